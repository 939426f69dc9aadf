"""One run from end to end: explore, tune, estimate, judge."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from raresim import inputs as _inputs  # noqa: F401  # frozen laws of SciPy become inputs
from raresim.accumulators.tail_draws import Beyond
from raresim.arguments.typed import argument, shown, typed
from raresim.diagnostics.canary import Canary
from raresim.diagnostics.verdict import judge, overall
from raresim.distributions.base import Inputs
from raresim.distributions.standard_normal import StandardNormal
from raresim.engine.executors import Executor
from raresim.engine.journal import keeping
from raresim.engine.problem import Problem
from raresim.engine.session import Report, Session
from raresim.errors import FieldError, about
from raresim.losses.base import Loss
from raresim.losses.failures import Failures, collecting
from raresim.losses.isolation import isolating
from raresim.losses.python import PythonLoss
from raresim.measures import limit_states
from raresim.measures.base import Answered, LossScale, Measure, Question
from raresim.measures.tail_sample import tail_sample
from raresim.methods.auto import Auto
from raresim.methods.base import Method
from raresim.models import controls as model_controls
from raresim.models.base import Model
from raresim.models.controls import Control, gaps
from raresim.numerics.surroundings import in_one_thread, undisturbed
from raresim.record.draws import Draws
from raresim.record.exhibits import Exhibit
from raresim.record.outcome import Arrays
from raresim.record.records import Estimate
from raresim.registry import lookup
from raresim.run import evaluations as of_evaluations
from raresim.run import reading, units
from raresim.run.answer import inflation
from raresim.run.approximation import Named, bound, refuse_approximation
from raresim.run.asked import plan_of
from raresim.run.audit import Audit, Extent, reserve
from raresim.run.checkpoint import Checkpoint
from raresim.run.clock import Clock, affordable, pace_of
from raresim.run.estimation import Extension, Progress, Sample, Stop, Wanted, estimator_of, sample_of
from raresim.run.explore import climbed, nowhere, once, scale_of, unknown
from raresim.run.facts import (
    canary_of,
    entropies,
    failed_facts,
    rarity,
    search_facts,
    timing_facts,
    timing_words,
)
from raresim.run.found import Found
from raresim.run.live import Live
from raresim.run.locate import Located, locate
from raresim.run.path import Rounds
from raresim.run.presets import PRESETS, Name
from raresim.run.probabilities import Lost
from raresim.run.progress import Watcher, reporting
from raresim.run.provenance import compile_seconds, durations, environment, fingerprint
from raresim.run.refusals import refuse_for, refuse_output, refuse_parts
from raresim.run.result import Result
from raresim.run.rough_quantiles import KnownQuantiles
from raresim.run.sampled import Output, drawing_of, not_drawn, refuse_names, sampled

EITHER = "a run takes either inputs and loss, or a model, which has both"


@typed
@dataclass(frozen=True, kw_only=True, eq=False)
class Experiment:
    """A question, the inputs and loss that it is about, and the method that answers it.

    Parameters
    ----------
    inputs : Inputs
        The joint law of the risk factors.
    loss : Loss
        A function of them; larger is worse.
    model : Model, optional
        Both together, such as a credit tape, instead of inputs and loss.
    measures : sequence of Measure
        What is to be estimated, at least one.
    method : Method
        How draws are chosen.
    stop : Stop
        When to end.
    seed : int
        From 0 to 2^64 - 1; the same seed gives the same digits.
    name : str
        Names the run folder.
    audit : "off", "quick" or "full"
        How thoroughly to look for failing draws that the estimate could have missed; see `raresim.run.audit`.
    preset : str, optional
        The preset that the levels come from. Its title and horizon are printed; nothing is computed from them.
    output : Output, optional
        A weighted sample of the event that the run writes beside its numbers, which do not change.
    approximation : Loss or "delta_gamma", optional
        Something cheap that is near to the loss: the surrogate learns what it leaves. A function, a coarser run of the
        same program, or the delta-gamma approximation that a model of kind options has of itself.
    """

    inputs: Inputs = None  # type: ignore[assignment]  # a model has both
    loss: Loss = None  # type: ignore[assignment]
    measures: Sequence[Measure]
    seed: int = field(metadata={"advice": "choose one, such as 1: with the same seed a run gives the same digits"})
    method: Method = field(default_factory=Auto)
    stop: Stop = field(default_factory=Stop)
    name: str = "run"
    audit: Extent = "quick"
    preset: Name | None = None
    model: Model | None = None
    output: Output | None = None
    approximation: Loss | Named | None = None

    def __post_init__(self) -> None:
        self._take_model()
        refuse_parts(self.loss, self.measures, self.method, self.stop, self.seed, self.audit)
        refuse_approximation(self.approximation, self.method)
        if self.output is not None:
            refuse_output(self.method)

    def check(self) -> Loss:
        """Return the loss bound to the inputs, or raise the error that would stop a run before its first draw.

        Raises
        ------
        FieldError, DataError, LossError
            When a part does not go with the inputs, or the user's code or a file cannot be read.
        """
        with about("loss"):
            loss = self.loss.bind(self.inputs)
        sizes, budget = (self.inputs.latent_dim, self.inputs.dim), self.stop.max_evaluations
        known = self.known_quantiles is not None
        refuse_for(*sizes, self.inputs, loss, self.measures, self.method, budget, known)
        if self.output is not None:
            refuse_names(self.inputs, loss, self.output)
        return loss

    @cached_property
    def known_quantiles(self) -> KnownQuantiles | None:
        """The quantiles that the model knows without sampling, for the search to aim at; None where it does not."""
        return KnownQuantiles.of(self.model, self.measures)

    def _take_model(self) -> None:
        """Inputs and loss from the model; raises `FieldError` where not exactly one of the two ways is used."""
        given = [name for name in ("inputs", "loss") if getattr(self, name) is not None]
        if self.model is None:
            if missing := [name for name in ("inputs", "loss") if name not in given]:
                raise FieldError(missing[0], f"is required but missing: {EITHER}")
            return
        built = {"inputs": self.model.inputs, "loss": self.model.loss}
        if other := [name for name in given if getattr(self, name) is not built[name]]:
            raise FieldError("model", f"must be left out where {' and '.join(other)} are given: {EITHER}")
        for name, part in built.items():
            object.__setattr__(self, name, part)

    @undisturbed()
    def run(
        self,
        executor: Any = None,
        report: Report | None = None,
        provenance: Mapping[str, Any] | None = None,
        texts: Mapping[str, str] | None = None,
        checkpoint: Checkpoint | None = None,
        extension: Extension | None = None,
        live: Live | None = None,
    ) -> Result:
        """Run the experiment.

        Parameters
        ----------
        executor : Executor or a pool, optional
            Where chunks are computed, by default in the calling thread. It cannot change a digit. A pool is anything
            that `raresim.Executor` takes; it is not shut down.
        report : callable, optional
            Told the progress: stage, rows done, rows in all, a line of text.
        provenance, texts : mapping, optional
            Further entries of the manifest, and further files of the run folder.
        checkpoint : Checkpoint, optional
            Where the run is saved on its way, and the state that it goes on from.
        extension : Extension, optional
            What is added to the finished run in ``checkpoint``; the budget of ``stop`` includes it.
        live : Live, optional
            From where another thread looks at the estimate so far, and asks the run to end.

        Raises
        ------
        FieldError, DataError, LossError
            When a part does not fit the others, or the user's loss fails.
        ClusterLostError
            When the Dask cluster of ``executor`` is lost.
        """
        from numba.core.event import install_recorder

        executor = executor_of(executor)
        begun, started = time.perf_counter(), datetime.now(UTC)
        saved: AbstractContextManager[Any] = checkpoint or nullcontext()
        marks = {"resumed": True} if checkpoint and checkpoint.resumed else {}
        with (
            in_one_thread(),
            install_recorder("numba:compile") as compiling,
            collecting() as failed,
            keeping(checkpoint.journal if checkpoint else None),
            saved,
        ):
            it = self._within_seconds(executor, begun, checkpoint) if self.stop.seconds else self
            budget = extension.tuned_for if extension else it.stop.max_evaluations
            is_new = checkpoint is None or not checkpoint.resumed
            found = it._search(executor, report or (lambda *_: None), budget, is_new)
            ends, clock = {"tune": time.perf_counter()}, Clock(begun, it.stop.seconds, it.stop.ended_at)
            if live:
                clock.wished = lambda: live.is_stopping
            failures = failed.failures
            rounds = Rounds(it.stop, it.audit, found, failed, checkpoint, extension, failures, ends, clock, live)

            def result_of(outcome: _Outcome, found: Found | None = None) -> Result:
                seconds = {"compile": compile_seconds(compiling.buffer), **durations(begun, ends)}
                manifest = {
                    **environment(),
                    "seed": it.seed,
                    "started": started.isoformat(timespec="seconds"),
                    "seconds": seconds["total"],
                    "files": it.files(),
                    **marks,
                    **(provenance or {}),
                }
                return it._result(found or rounds.found, outcome, seconds, manifest, texts or {})

            if checkpoint:
                checkpoint.files_of = lambda progress: result_of(
                    it._so_far(rounds.found, progress, rounds.searching)
                ).files()
            if live:
                live.begin(lambda *at: result_of(it._so_far(*at), at[0]))
            sample, audited = rounds.run()
            tested = canary_of(found.session, rounds.found.tuned)
            ends["audit"] = time.perf_counter()
            return result_of(_Outcome(sample, failed.failures, rounds.estimating, audited, tested))

    def _within_seconds(self, executor: Executor, begun: float, checkpoint: Checkpoint | None) -> Experiment:
        """The same experiment with the evaluations that ``stop.seconds`` pay for, or those that its checkpoint names.

        Raises
        ------
        FieldError
            When so few are paid for that the run cannot begin.
        """
        budget = checkpoint.budget if checkpoint else 0
        loss = self.check()
        if not budget:
            problem = Problem(self.inputs, loss, self.method.draws_in)
            pace = pace_of(problem, self.seed, executor, self.stop.seconds or 0.0)
            budget = affordable(self.stop, pace, executor.workers, time.perf_counter() - begun)
            try:
                sizes = (self.inputs.latent_dim, self.inputs.dim)
                known = self.known_quantiles is not None
                refuse_for(*sizes, self.inputs, loss, self.measures, self.method, budget, known)
            except FieldError as error:
                paid = f"pays for about {budget:,} evaluations of {pace:.2g} s each"
                raise FieldError("seconds", f"{paid}, which are too few: {error}", ("stop",)) from error
        if checkpoint:
            checkpoint.budget = budget
        return replace(self, stop=replace(self.stop, max_evaluations=budget))

    def _search(self, executor: Executor, report: Report, budget: int, is_new: bool) -> Found:
        """Explore if needed, then tune, with ``budget`` evaluations for the whole run.

        ``is_new`` is false for a run that goes on: its loss was checked for noise when it began.
        """
        loss = self.check()
        near = bound(self.approximation, loss, self.inputs, self.model)
        loss = loss.watched() if is_new else loss
        problem = Problem(self.inputs, loss, self.method.draws_in)
        before = Session(problem, [], self.seed, executor, budget, report, self.stop.relative_error)
        explored: list[LossScale] = []
        tails = [tail for measure in self.measures for tail in measure.tails]
        located: Located | KnownQuantiles | None = None if self.method.finds_quantiles else self.known_quantiles
        if tails and located is None and not self.method.finds_quantiles:
            located = locate(before, tails, keep=any(m.keeps == "draws" for m in self.measures))
        explore = located.evaluations if located else 0
        after = sum(measure.after(budget) for measure in self.measures)
        before = replace(before, max_evaluations=budget - explore - after)
        scale = scale_of(before, explored, [k for measure in self.measures for k in measure.sigmas])
        elsewhere = unknown if self.method.finds_quantiles else nowhere
        asked = [measure.questions(scale, located.quantile if located else elsewhere) for measure in self.measures]
        questions, places = once(asked)
        error, asked_for = self.stop.relative_error, None
        if located and error is not None:
            asked_for = plan_of(error, questions, located)
            error = min(asked_for.planned)
        betting = any(q.interval == "betting" for q in questions)
        wanted = Wanted(questions if located else (), asked_for, betting)
        explore += sum(known.evaluations for known in explored)
        left = budget - explore - after
        beyond = self._beyond(questions, located, problem)
        session = replace(
            before,
            events=[q.event for q in questions],
            max_evaluations=left,
            relative_error=error,
            confidences=[q.confidence for q in questions],
            reserved=reserve(self.audit, left, problem),
            beyond=beyond,
            drawing=drawing_of(self.output, questions, beyond, self.seed),
            scheme=None if self.model is None else self.model.scheme,
            approximation=near,
            tails=[q.tail for q in questions],
            excesses=[q.quantity == "expected_shortfall" for q in questions],
        )
        tuned = self.method.tune(session)
        if self.known_quantiles is not None and located is not None:
            tuned = replace(tuned, decisions=(KnownQuantiles.sentence, *tuned.decisions))
        job = estimator_of(session, tuned, wanted)
        reserved = 0 if job.gapless else session.reserved
        return Found(loss, questions, places, session, wanted, tuned, job, explore, reserved, after, scale)

    def _beyond(
        self, questions: Sequence[Question], located: Located | KnownQuantiles | None, problem: Problem
    ) -> Beyond | None:
        """The rows of the estimate that its measures are read from; None if counts of events are enough."""
        if self.method.finds_quantiles or all(measure.keeps == "counts" for measure in self.measures):
            return None
        floors = [q.event.threshold for q in questions if q.tail is None]
        if located:
            floors.append(located.floor([tail for measure in self.measures for tail in measure.tails]))
            floors += [measure.floor(climbed(located, problem), problem.loss) for measure in self.measures]
        return Beyond(min(floors), any(measure.keeps == "draws" for measure in self.measures))

    def _exhibits(self, found: Found, sample: Sample, estimates: Sequence[Estimate]) -> tuple[Exhibit, ...]:
        """What the measures show beside their numbers.

        Parts of the loss are computed in this process, or in a process of their own if workers may die of it. Further
        losses are a stage of the run like others.
        """
        if found.session.beyond is None:
            return ()
        with nullcontext() if found.session.executor.shares_memory else isolating():
            return self._shown(found, sample, estimates)

    def _shown(self, found: Found, sample: Sample, estimates: Sequence[Estimate]) -> tuple[Exhibit, ...]:
        rows = tail_sample(sample.summary, found.job.read_with or found.session.problem)
        shown: list[Exhibit] = []
        factor = inflation(sample)
        for measure, places in zip(self.measures, found.places, strict=True):
            own = tuple(estimates[place] for place in places)
            left = found.after - sum(exhibit.evaluations for exhibit in shown)
            answered = Answered(rows, own, tuple(estimates), found.session, factor, left, found.scale)
            for exhibit in measure.exhibits(answered):
                alike = sum(re.fullmatch(rf"{exhibit.name}(_\d+)?", other.name) is not None for other in shown)
                shown.append(replace(exhibit, name=f"{exhibit.name}_{alike + 1}") if alike else exhibit)
        return tuple(shown)

    def _sampled(self, found: Found, sample: Sample) -> tuple[Draws | None, dict[str, Any]]:
        """The sample of the event that the run writes, and its facts for the manifest; nothing if none is wanted."""
        kept, drawing = sample.summary.sampled, found.session.drawing
        if self.output is None or drawing is None:
            return None, {}
        if kept is None:
            return None, {"draws": {"why": not_drawn(sample.unit)}}
        problem = found.job.read_with or found.session.problem
        with nullcontext() if found.session.executor.shares_memory else isolating():
            table, facts = sampled(kept, drawing, problem, self.output)
        return table, {"draws": facts}

    def _so_far(self, found: Found, progress: Progress, searching: Failures) -> _Outcome:
        """The outcome of an estimate stage that has reached ``progress``."""
        gapless = found.job.gapless
        unaudited = Audit(self.audit, gapless or "the run was interrupted", needed=not gapless)
        failures = searching.merge(progress.failures)
        sample = sample_of(progress, found.job, False)
        return _Outcome(sample, failures, progress.failures.total, unaudited, None, interrupted=True)

    def files(self) -> list[dict[str, Any]]:
        """Name, size and hash of every file that the numbers depend on."""
        paths = self.loss.files() if self.model is None else self.model.files()
        paths = [*paths, *(self.approximation.files() if isinstance(self.approximation, Loss) else ())]
        return [*(facts.to_dict() for facts in self.inputs.sources), *map(fingerprint, paths)]

    def _result(
        self,
        found: Found,
        outcome: _Outcome,
        seconds: Mapping[str, float],
        manifest: Mapping[str, Any],
        texts: Mapping[str, str],
    ) -> Result:
        """What is read from the sums of a run."""
        tuned, sample, audited = found.tuned, outcome.sample, outcome.audited
        lost = Lost(outcome.failures.total - outcome.estimating, outcome.estimating)
        evaluations = {
            "explore": found.explore,
            "tune": tuned.evaluations,
            "estimate": sample.summary.evaluations,
            "audit": audited.evaluations,
        }
        if found.rounds:
            evaluations["rounds"] = sum(before.evaluations for before in found.rounds)
        evaluations["total"] = sum(evaluations.values())
        search = search_facts(tuned, sample.unit, sample.summary.tail.n)
        search |= {"audit": audited.facts(), "canary": asdict(outcome.tested) if outcome.tested else None}
        search["decisions"] += timing_words(self.stop, sample)
        search["rounds"] = [before.facts() for before in found.rounds]
        search["one_region"] = found.loss.one_region(self.inputs)
        search["assumptions"] = {**self.inputs.assumptions, **found.loss.assumptions(self.inputs)}
        unit = found.loss.unit
        if unit:
            search["assumptions"]["unit"] = unit
        if outcome.interrupted:
            search["interrupted"] = True
        estimates = reading.estimates(found.questions, sample, search, evaluations["total"], lost, audited)
        controls = self.model.controls(estimates, self.preset) if self.model and not outcome.interrupted else ()
        estimates = tuple(_controlled(estimate, controls, search) for estimate in estimates)
        estimates = tuple(units.of_estimate(e, unit) for e in estimates) if unit else estimates
        primary = max(range(len(estimates)), key=lambda k: (estimates[k].asked, rarity(estimates[k])))
        exhibits: tuple[Exhibit, ...] = ()
        if not outcome.interrupted:
            asked, factor = (found.loss, found.questions, estimates), inflation(sample)
            of_states = limit_states.exhibits(*asked, sample.summary, factor, self.method.kind)
            exhibits = (*of_states, *self._exhibits(found, sample, estimates))
            if self.model is not None:
                exhibits = (*exhibits, *self.model.exhibits(estimates, exhibits))
            of_loss = of_evaluations.exhibits(found.job, sample, self.inputs, found.loss)
            exhibits = (*exhibits, *of_loss)
        if controls:
            status = overall([e.verdict for e in estimates], [e.asked for e in estimates]).status
            exhibits = (model_controls.exhibit(controls, status), *exhibits)
        exhibits = tuple(units.of_exhibit(exhibit, unit) for exhibit in exhibits) if unit else exhibits
        if shown := sum(exhibit.evaluations for exhibit in exhibits):
            evaluations["exhibits"] = shown
            evaluations["total"] += shown
        drawn, facts = (None, {}) if outcome.interrupted else self._sampled(found, sample)
        return Result(
            name=self.name,
            seed=self.seed,
            method=self.method.kind,
            description={
                **({"preset": [PRESETS[self.preset].title, PRESETS[self.preset].horizon]} if self.preset else {}),
                **({"model": [*self.model.describe(), *self.model.notes()]} if self.model else {}),
                "inputs": self.inputs.describe(),
                "loss": found.loss.describe(),
                **({"approximation": found.session.approximation.describe()} if found.session.approximation else {}),
                "method": self.method.describe(),
            },
            estimates=estimates,
            verdict=overall([e.verdict for e in estimates], [e.asked for e in estimates]),
            evaluations=evaluations,
            seconds=seconds,
            speedup_over_crude=estimates[primary].diagnostics["speedup_over_crude"],
            diagnostics={
                **estimates[primary].diagnostics,
                "kl_proposal_target": tuned.kl_proposal_target,
                "kl_target_optimal": estimates[primary].information.event_nats,
                "entropy": entropies(tuned, estimates[primary]),
            },
            search=search,
            stopping={
                "relative_error": self.stop.relative_error,
                "max_evaluations": self.stop.max_evaluations,
                "looks": sample.looks,
                "planned": sample.planned,
                "interval_inflation": inflation(sample),
                **timing_facts(self.stop, sample),
            },
            iterations=tuned.iterations,
            convergence=reading.convergence(found.questions, sample, not search["weighted"], search["facts"]),
            exhibits=exhibits,
            arrays=Arrays(
                loss=sample.summary.kept.loss,
                log_weight=sample.summary.kept.log_weight,
                top_log_weight=sample.summary.top.largest(primary),
            ),
            manifest={**manifest, **facts},
            evidence=self.inputs.evidence,
            trace=tuned.trace.and_(audited.evidence(found.session.events)),
            log=tuple(found.session.log),
            texts=texts,
            failures=outcome.failures,
            draws=drawn,
            failed=failed_facts(outcome.failures, lost.searching, evaluations["total"]),
        )


@dataclass(frozen=True, eq=False)
class _Outcome:
    """A run after its estimate, or on its way to it.

    Parameters
    ----------
    sample : Sample
        The estimate stage.
    failures : Failures
        Rows of all stages to which the user's loss gave no number.
    estimating : int
        How many of these rows belong to the estimate.
    audited : Audit
        The audit that followed.
    tested : Canary or None
        The test of the proposal's density; None if the proposal has none.
    interrupted : bool
        Whether the run was interrupted, with the estimate so far.
    """

    sample: Sample
    failures: Failures
    estimating: int
    audited: Audit
    tested: Canary | None
    interrupted: bool = False


def _controlled(estimate: Estimate, controls: Sequence[Control], search: Mapping[str, Any]) -> Estimate:
    """``estimate``, judged with the controls of the model."""
    found = gaps(estimate, controls)
    if not found:
        return estimate
    diagnostics = {**estimate.diagnostics, **found}
    error = estimate.relative_error if diagnostics["hits"] else None
    return replace(estimate, diagnostics=diagnostics, verdict=judge(diagnostics, error, search))


def estimate(
    inputs: Inputs | Model | int,
    loss: Loss | Callable[..., Any] | None = None,
    measures: Measure | Sequence[Measure] = (),
    method: Method | str = "auto",
    *,
    seed: int,
    relative_error: float | None = 0.01,
    max_evaluations: int = 10_000_000,
    workers: int = 1,
    name: str = "run",
    audit: Extent = "quick",
    executor: Any = None,
    seconds: float | None = None,
    draws: int = 0,
    progress: Watcher = None,
    approximation: Loss | Callable[..., Any] | Named | None = None,
) -> Result:
    """Estimate tail probabilities of a loss.

    Parameters
    ----------
    inputs : Inputs, Model or int
        The joint law of the risk factors; ``d`` stands for ``d`` independent standard normals. A model, such as a
        credit tape, stands for inputs and loss.
    loss : Loss or callable
        A loss, or a function of an ``(n, d)`` array that returns ``(n,)``; larger is worse. Left out beside a model.
    measures : Measure or sequence of them
        What to estimate.
    method : Method or str
        A method, or the ``kind`` of one with its default options.
    seed : int
        Seed of every random stream.
    relative_error : float or None
        Standard error divided by the estimate at which to stop; None: spend the budget.
    max_evaluations : int
        Largest number of loss evaluations in total.
    workers : int
        Threads; they cannot change a digit.
    name : str
        Names the run.
    audit : "off", "quick" or "full"
        How thoroughly to look for failing draws that the estimate could have missed, with soundings and climbs that
        never see the proposal. "off": not at all; the verdict is caution at best. "quick": climbs of thirty draws a
        level, or more if three tenths of the evaluations before them pay for more. "full": four larger climbs.
    executor : Executor or a pool, optional
        Where chunks are computed, instead of threads: a `raresim.Executor`, a client of Dask, or another pool that it
        takes. It cannot change a digit, and is not shut down.
    seconds : float, optional
        How long it may take; see `raresim.Stop`.
    draws : int
        Largest number of weighted draws of the event that `Result.weighted_draws` gives and ``result.save`` writes to
        ``draws.csv``; 0 for none. For Parquet see `raresim.Output`.
    progress : bool or callable, optional
        True shows a bar for each stage. A function is called with a `raresim.StageProgress` each time that rows are
        done, in the calling thread; an exception that it raises ends the run.
    approximation : Loss, callable or "delta_gamma", optional
        Something cheap that is near to the loss, of which method ``surrogate`` learns what it leaves; "delta_gamma" is
        that of a model of kind options.

    Returns
    -------
    Result
        ``result.estimates[0].value``, ``.interval``, ``.verdict``; ``result.save(folder)`` writes the report.

    Raises
    ------
    FieldError, DataError, LossError
        When an argument is not allowed, or the loss fails.
    ClusterLostError
        When the Dask cluster of ``executor`` is lost.

    Examples
    --------
    >>> import raresim
    >>> result = raresim.estimate(3, lambda x: x.sum(axis=1), raresim.Probability(above=8.0), seed=1)
    >>> result.verdict.status
    <Status.TRUSTED: 'trusted'>
    """
    workers = argument("workers", workers, int)
    inputs = argument("inputs", inputs, Inputs | Model | int)
    if isinstance(inputs, Model) and loss is not None:
        raise FieldError("loss", f"must be left out beside a model: {EITHER}; give measures by name, `measures=`")
    measures = list(measures) if isinstance(measures, Iterator) else measures
    measures = argument("measures", measures, Measure | Sequence[Measure])
    if isinstance(inputs, Model):
        parts: dict[str, Any] = {"model": inputs}
    else:
        parts = {"inputs": StandardNormal(dim=inputs) if isinstance(inputs, int) else inputs, "loss": _loss_of(loss)}
    experiment = Experiment(
        **parts,
        measures=measures if isinstance(measures, Sequence) else [measures],
        method=_method_of(method),
        stop=Stop(relative_error=relative_error, max_evaluations=max_evaluations, seconds=seconds),
        seed=seed,
        name=name,
        audit=audit,
        output=Output(draws=draws) if draws else None,
        approximation=approximation if isinstance(approximation, str) else _loss_of(approximation),
    )
    if executor is not None:
        if workers > 1:
            raise FieldError("workers", "must be left out beside an executor: raresim.Executor(pool, workers=...)")
        with reporting(progress) as report:
            return experiment.run(executor, report)
    with reporting(progress) as report, Executor.of("threads" if workers > 1 else "serial", workers) as own:
        return experiment.run(own, report)


def executor_of(given: Any) -> Executor:
    """``given`` as an executor: itself, around the pool that it is, or this thread for None."""
    if given is None or isinstance(given, Executor):
        return given or Executor()
    if not callable(getattr(given, "submit", None)) or isinstance(given, type):
        raise FieldError(
            "executor", f"must be an Executor, a pool with submit(), or None for this thread, got {shown(given)}"
        )
    return Executor(given)


def _loss_of(loss: Any) -> Any:
    """A loss; a function, or the text ``file.py:name``, becomes the loss that calls it."""
    if not isinstance(loss, str) and (isinstance(loss, type) or not callable(loss)):
        return loss
    try:
        return loss if isinstance(loss, Loss) else PythonLoss(function=loss)
    except FieldError as error:
        raise FieldError("loss", error.message) from None


def _method_of(method: Any) -> Any:
    """A method; the name of a kind becomes that method with its default options."""
    if not isinstance(method, str):
        return method
    try:
        cls = lookup("method", method)
    except FieldError as error:
        raise FieldError("method", error.message) from None
    try:
        return cls()
    except FieldError as error:
        raise FieldError("method", f"{method!r} needs options: give raresim.{cls.__name__}(...); {error}") from None
