"""One run from end to end: explore, tune, estimate, judge."""

from __future__ import annotations

import functools
import hashlib
import math
import platform
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

import raresim
from raresim.accumulators.kept import KeptRows
from raresim.accumulators.moments import LossMoments
from raresim.accumulators.several import Several
from raresim.arguments.checks import one_of
from raresim.arguments.typed import argument, typed
from raresim.diagnostics.canary import Canary, canary
from raresim.diagnostics.psis import khat
from raresim.diagnostics.verdict import overall
from raresim.distributions.base import Inputs
from raresim.distributions.standard_normal import StandardNormal
from raresim.engine.executors import Executor
from raresim.engine.fold import Job, Sampler
from raresim.engine.journal import keeping
from raresim.engine.problem import Problem
from raresim.engine.session import Report, Session
from raresim.errors import FieldError
from raresim.estimators.base import Estimator, Unit
from raresim.estimators.weighted_draws import Beyond
from raresim.losses.base import Loss
from raresim.losses.failures import NOTHING, Collector, Failures, collecting
from raresim.losses.isolation import isolating
from raresim.losses.python import PythonLoss
from raresim.measures import limit_states
from raresim.measures.base import Answered, LossScale, Measure, Question
from raresim.measures.probability import Probability
from raresim.measures.tail_rate import normal_rate
from raresim.measures.tail_sample import TailSample
from raresim.methods.auto import Auto
from raresim.methods.base import Method, Tuned
from raresim.methods.crude import Crude
from raresim.numerics.arrays import Float
from raresim.numerics.blocks import Block
from raresim.numerics.streams import BIT_GENERATOR, STREAM_VERSION
from raresim.numerics.surroundings import undisturbed
from raresim.record.exhibits import Exhibit
from raresim.record.records import Estimate
from raresim.registry import lookup
from raresim.run import reading
from raresim.run.asked import plan_of
from raresim.run.audit import Audit, Extent, audit, reserve
from raresim.run.checkpoint import Checkpoint
from raresim.run.estimation import Extension, Progress, Sample, Stop, estimator_of, sample_of, weights_settled
from raresim.run.estimation import estimate as estimate_stage
from raresim.run.locate import Located, locate
from raresim.run.presets import PRESETS, Name
from raresim.run.result import Arrays, Result
from raresim.run.rounds import Round, ended, held_on_the_way, missed_by, reserved_next

EXPLORE_DRAWS, EXPLORE_SHARE = 10_000, 0.02
"""Draws of the target that give the loss's standard deviation where it has no closed form; and the share of the budget
up to which there may be more, where the asked error of a threshold in standard deviations needs them."""


@typed
@dataclass(frozen=True, kw_only=True, eq=False)
class Experiment:
    """What is asked, of what, and how.

    Parameters
    ----------
    inputs : Inputs
        The joint law of the risk factors.
    loss : Loss
        A function of them; larger is worse.
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
        How thoroughly failing draws are looked for that the estimate could have missed; see `raresim.run.audit`.
    preset : str, optional
        The preset that the levels come from: title and horizon are printed, nothing is computed from them.
    """

    inputs: Inputs
    loss: Loss
    measures: Sequence[Measure]
    seed: int = field(metadata={"advice": "choose one, such as 1: with the same seed a run gives the same digits"})
    method: Method = field(default_factory=Auto)
    stop: Stop = field(default_factory=Stop)
    name: str = "run"
    audit: Extent = "quick"
    preset: Name | None = None

    def __post_init__(self) -> None:
        if not self.measures:
            raise FieldError("measures", "must name at least one")
        check_seed(self.seed)
        one_of("audit", self.audit, Extent)
        refuse_bound(self.loss, self.method)
        refuse_guarantee(self.loss, self.method, self.stop)
        refuse_betting(self.loss, self.method, self.measures)
        refuse_rows(self.loss, self.method, self.measures)
        refuse_below(self.loss, self.measures)

    @undisturbed()
    def run(
        self,
        executor: Executor | None = None,
        report: Report | None = None,
        provenance: Mapping[str, Any] | None = None,
        texts: Mapping[str, str] | None = None,
        checkpoint: Checkpoint | None = None,
        extension: Extension | None = None,
    ) -> Result:
        """Run the experiment.

        Parameters
        ----------
        executor : Executor, optional
            Where chunks are computed, the calling thread by default. It cannot change a digit.
        report : callable, optional
            Told the progress: stage, rows done, rows in all, a line of text.
        provenance, texts : mapping, optional
            Further entries of the manifest, and further files of the run folder.
        checkpoint : Checkpoint, optional
            Where the run is saved while it goes on, and what it goes on from.
        extension : Extension, optional
            What is added to the finished run that ``checkpoint`` goes on from; the budget of ``stop`` holds it already.

        Raises
        ------
        FieldError, DataError, LossError
            When a part does not fit the others, or the user's loss fails.
        """
        from numba.core.event import install_recorder
        from threadpoolctl import threadpool_limits

        advice = "wrap a pool: raresim.Executor(pool, workers=2)"
        executor = argument("executor", executor, Executor | None, advice)
        begun, started = time.perf_counter(), datetime.now(UTC)
        saved: AbstractContextManager[Any] = checkpoint or nullcontext()
        marks = {"resumed": True} if checkpoint and checkpoint.resumed else {}
        with (
            threadpool_limits(1),
            install_recorder("numba:compile") as compiling,
            collecting() as failed,
            keeping(checkpoint.journal if checkpoint else None),
            saved,
        ):
            budget = extension.tuned_for if extension else self.stop.max_evaluations
            is_new = checkpoint is None or not checkpoint.resumed
            found = self._search(executor or Executor(), report or (lambda *_: None), budget, is_new)
            ends = {"tune": time.perf_counter()}
            rounds = _Rounds(self, found, failed, checkpoint, extension, failed.failures, ends)

            def result_of(outcome: _Outcome) -> Result:
                seconds = {"compile": _compile_seconds(compiling.buffer), **_durations(begun, ends)}
                manifest = {
                    **_environment(),
                    "seed": self.seed,
                    "started": started.isoformat(timespec="seconds"),
                    "seconds": seconds["total"],
                    "files": self.files(),
                    **marks,
                    **(provenance or {}),
                }
                return self._result(rounds.found, outcome, seconds, manifest, texts or {})

            if checkpoint:
                checkpoint.files_of = lambda progress: result_of(
                    self._so_far(rounds.found, progress, rounds.searching)
                ).files()
                found.session.keep = checkpoint.keep
            sample, audited = rounds.run()
            tested = _canary(found.session, rounds.found.tuned)
            ends["audit"] = time.perf_counter()
        return result_of(_Outcome(sample, failed.failures, rounds.estimating, audited, tested))

    def _search(self, executor: Executor, report: Report, budget: int, is_new: bool) -> _Found:
        """Explore where that is needed, and tune, of ``budget`` evaluations for the whole run.

        The loss of a run that goes on, which ``is_new`` denies, was looked at for noise when it began.
        """
        loss = self.loss.bind(self.inputs)
        loss = loss.watched() if is_new else loss
        for measure in self.measures:
            measure.check_inputs(self.inputs)
            measure.check_loss(loss)
            measure.check_moments(loss, self.inputs)
        problem = Problem(self.inputs, loss, self.method.draws_in)
        session = Session(problem, [], self.seed, executor, budget, report, self.stop.relative_error)
        explored: list[LossScale] = []
        tails = [tail for measure in self.measures for tail in measure.tails]
        located = locate(session, tails, keep=any(m.keeps == "draws" for m in self.measures)) if tails else None
        explore = located.evaluations if located else 0
        after = sum(measure.after(budget) for measure in self.measures)
        session.max_evaluations -= explore + after
        scale = _scale_of(session, explored, [k for measure in self.measures for k in measure.sigmas])
        asked = [measure.questions(scale, located.quantile if located else _nowhere) for measure in self.measures]
        questions, places = _once(asked)
        if not questions:
            kinds = ", ".join(measure.kind for measure in self.measures)
            raise FieldError(
                "measures",
                f"must ask for a number, such as a probability or a value_at_risk: {kinds} are of the others",
            )
        session.events = [q.event for q in questions]
        session.confidences = [q.confidence for q in questions]
        session.betting = any(q.interval == "betting" for q in questions)
        session.beyond = self._beyond(questions, located, problem)
        session.questions = questions if located else ()
        if located and self.stop.relative_error is not None:
            session.asked = plan_of(self.stop.relative_error, questions, located)
            session.relative_error = min(session.asked.planned)
        if explored:
            explore += explored[0].evaluations
            session.max_evaluations -= explored[0].evaluations
        session.reserved = reserve(self.audit, session.max_evaluations, problem)
        tuned = self.method.tune(session)
        job = estimator_of(session, tuned)
        audited = budget - explore - after
        reserved = 0 if job.gapless else reserve(self.audit, audited, problem)
        return _Found(loss, questions, places, session, tuned, job, explore, reserved, after, scale)

    def _beyond(self, questions: Sequence[Question], located: Located | None, problem: Problem) -> Beyond | None:
        """The rows of the estimate that its measures are read from; None where counts of events are enough.

        Raises
        ------
        FieldError
            When something else is asked of the losses below a threshold.
        """
        if all(measure.keeps == "counts" for measure in self.measures):
            return None
        if any(q.event.direction == "below" for q in questions):
            raise FieldError(
                "measures",
                "must be on the upper side of the loss: what is read from its largest values does not go with `below`; "
                "put it into an experiment of its own, or turn the sign of the loss",
            )
        floors = [q.event.threshold for q in questions if q.tail is None]
        if located:
            floors.append(located.floor([tail for measure in self.measures for tail in measure.tails]))
            floors += [measure.floor(_climbed(located, problem), problem.loss) for measure in self.measures]
        return Beyond(min(floors), any(measure.keeps == "draws" for measure in self.measures))

    def _exhibits(self, found: _Found, sample: Sample, estimates: Sequence[Estimate]) -> tuple[Exhibit, ...]:
        """What the measures show beside their numbers.

        The loss is called from here, not from a worker: where workers may die of it, from a process of its own.
        """
        if found.session.beyond is None:
            return ()
        with isolating() if found.session.executor.is_renewable else nullcontext():
            return self._shown(found, sample, estimates)

    def _shown(self, found: _Found, sample: Sample, estimates: Sequence[Estimate]) -> tuple[Exhibit, ...]:
        rows = reading.tail_sample(sample.summary, found.session.problem)
        shown: list[Exhibit] = []
        factor = reading.inflation(sample)
        for measure, places in zip(self.measures, found.places, strict=True):
            own = tuple(estimates[place] for place in places)
            problem, left = found.session.problem, found.after - sum(exhibit.evaluations for exhibit in shown)
            answered = Answered(rows, own, tuple(estimates), problem, factor, left, found.scale)
            for exhibit in measure.exhibits(answered):
                alike = sum(re.fullmatch(rf"{exhibit.name}(_\d+)?", other.name) is not None for other in shown)
                shown.append(replace(exhibit, name=f"{exhibit.name}_{alike + 1}") if alike else exhibit)
        return tuple(shown)

    def _so_far(self, found: _Found, progress: Progress, searching: Failures) -> _Outcome:
        """What an estimate stage that got to ``progress`` has come to."""
        gapless = found.job.gapless
        unaudited = Audit(self.audit, gapless or "the run was interrupted", needed=not gapless)
        failures = searching.merge(progress.failures)
        sample = sample_of(progress, found.job, False)
        return _Outcome(sample, failures, progress.failures.total, unaudited, None, interrupted=True)

    def files(self) -> list[dict[str, Any]]:
        """Name, size and hash of every file that the numbers depend on."""
        return [*(facts.to_dict() for facts in self.inputs.sources), *map(_fingerprint, self.loss.files())]

    def _result(
        self,
        found: _Found,
        outcome: _Outcome,
        seconds: Mapping[str, float],
        manifest: Mapping[str, Any],
        texts: Mapping[str, str],
    ) -> Result:
        """What is read from the sums of a run."""
        tuned, sample, audited = found.tuned, outcome.sample, outcome.audited
        lost = reading.Lost(outcome.failures.total - outcome.estimating, outcome.estimating)
        evaluations = {
            "explore": found.explore,
            "tune": tuned.evaluations,
            "estimate": sample.summary.evaluations,
            "audit": audited.evaluations,
        }
        if found.rounds:
            evaluations["rounds"] = sum(before.evaluations for before in found.rounds)
        evaluations["total"] = sum(evaluations.values())
        search = _search(tuned, sample.unit, sample.summary.tail.n)
        search |= {"audit": audited.facts(), "canary": asdict(outcome.tested) if outcome.tested else None}
        search["rounds"] = [before.facts() for before in found.rounds]
        search["one_region"] = found.loss.one_region(self.inputs)
        search["assumptions"] = {**self.inputs.assumptions, **found.loss.assumptions(self.inputs)}
        if outcome.interrupted:
            search["interrupted"] = True
        estimates = reading.estimates(found.questions, sample, search, evaluations["total"], lost, audited)
        primary = max(range(len(estimates)), key=lambda k: (estimates[k].asked, _rarity(estimates[k])))
        exhibits: tuple[Exhibit, ...] = ()
        if not outcome.interrupted:
            asked, factor = (found.loss, found.questions, estimates), reading.inflation(sample)
            of_states = limit_states.exhibits(*asked, sample.summary, factor, self.method.kind)
            exhibits = (*of_states, *self._exhibits(found, sample, estimates))
        if shown := sum(exhibit.evaluations for exhibit in exhibits):
            evaluations["exhibits"] = shown
            evaluations["total"] += shown
        return Result(
            name=self.name,
            seed=self.seed,
            method=self.method.kind,
            description={
                **({"preset": [PRESETS[self.preset].title, PRESETS[self.preset].horizon]} if self.preset else {}),
                "inputs": self.inputs.describe(),
                "loss": found.loss.describe(),
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
                "entropy": _entropies(tuned, estimates[primary]),
            },
            search=search,
            stopping={
                "relative_error": self.stop.relative_error,
                "max_evaluations": self.stop.max_evaluations,
                "looks": sample.looks,
                "planned": sample.planned,
                "interval_inflation": reading.inflation(sample),
            },
            iterations=tuned.iterations,
            convergence=reading.convergence(found.questions, sample, crude=not search["weighted"]),
            exhibits=exhibits,
            arrays=Arrays(
                loss=sample.summary.kept.loss,
                log_weight=sample.summary.kept.log_weight,
                top_log_weight=sample.summary.top.largest(primary),
            ),
            manifest=manifest,
            evidence=self.inputs.evidence,
            trace=tuned.trace.and_(audited.evidence(found.session.events)),
            log=tuple(found.session.log),
            texts=texts,
            failures=outcome.failures,
            failed=_failed(outcome.failures, lost.searching, evaluations["total"]),
        )


@dataclass(frozen=True, eq=False)
class _Found:
    """A run after its search: what is asked, where each measure's numbers are in it, what is drawn from, the cost.

    ``rounds`` are those before this one; ``tuned`` counts the search of all.
    """

    loss: Loss
    questions: Sequence[Question]
    places: Sequence[Sequence[int]]
    session: Session
    tuned: Tuned
    job: Estimator
    explore: int
    reserved: int
    after: int
    scale: Callable[[], LossScale]
    rounds: tuple[Round, ...] = ()


@dataclass(eq=False)
class _Rounds:
    """The rounds of a run while it goes on: estimate and audit, and another search where the audit asks for it.

    ``searching`` are the rows that failed before the estimate that goes on, and ``estimating`` is how many did in it.
    """

    experiment: Experiment
    found: _Found
    failed: Collector
    checkpoint: Checkpoint | None
    extension: Extension | None
    searching: Failures
    ends: dict[str, float]
    estimating: int = 0

    def run(self) -> tuple[Sample, Audit]:
        """All rounds; the estimate and the audit of the last."""
        on: Progress | None = None
        while True:
            sample, audited, held, left = self.round(on)
            found = self.found
            reserved = reserved_next(found.reserved, audited)
            missed = missed_by(found.tuned, sample, audited, found.rounds, left, reserved)
            goes_on = missed is None and not sample.reached and held > found.reserved and left > found.reserved
            if self.is_extended or (missed is None and not goes_on):
                return sample, audited
            before = ended(sample, audited, missed)
            on = replace(sample.progress, failures=NOTHING) if goes_on and sample.progress else None
            self.found = replace(found, rounds=(*found.rounds, before))
            if missed is not None:
                session = found.session
                session.max_evaluations, session.reserved = session.max_evaluations - before.evaluations, reserved
                self.search_on(missed, 0 if weights_settled(sample.summary) else sample.summary.tail.n)
            if self.checkpoint:
                self.checkpoint.end_round(len(self.found.rounds))

    @property
    def is_last(self) -> bool:
        """Whether an earlier attempt came no further than this round."""
        return self.checkpoint is not None and len(self.found.rounds) == len(self.checkpoint.rounds)

    @property
    def is_extended(self) -> bool:
        """Whether this is the round to which evaluations are added."""
        return self.extension is not None and self.is_last

    def round(self, on: Progress | None) -> tuple[Sample, Audit, int, int]:
        """An estimate that goes on from ``on``, and its audit; evaluations that it held back, and that are left."""
        found, stop, checkpoint = self.found, self.experiment.stop, self.checkpoint
        if self.extension and not self.is_extended:  # as it was before anything was added
            stop = replace(stop, max_evaluations=self.extension.tuned_for)
        known = checkpoint.begin_round(len(found.rounds)) if checkpoint else None
        found.session.before = known or on
        spent = found.explore + sum(r.evaluations for r in found.rounds)
        left = stop.max_evaluations - spent - found.tuned.evaluations - found.after
        held = found.reserved
        if self.is_extended and held:
            whole = stop.max_evaluations - found.explore - found.after
            held = reserve(self.experiment.audit, whole, found.session.problem)
        if stop.relative_error is not None and not self.is_extended:
            held = held_on_the_way(found.tuned, found.rounds, left, held)
        failures, added = self.failed.failures.total, self.extension if self.is_extended else None
        sample = estimate_stage(found.session, found.tuned, stop, spent, added, held + found.after)
        self.ends["estimate"] = time.perf_counter()
        self.estimating += self.failed.failures.total - failures
        spent += found.tuned.evaluations + sample.summary.evaluations
        left = stop.max_evaluations - spent - found.after
        samples = known.audited if known else None
        audited = audit(found.session, found.job, sample, self.experiment.audit, spent, left, samples)
        if checkpoint and checkpoint.progress and self.is_last:
            checkpoint.keep(replace(checkpoint.progress, audited=audited.samples))
        return sample, audited, held, left - audited.evaluations

    def search_on(self, missed: Float, rows: int) -> None:
        """Go on with the search from failing draws ``missed`` (k, d) that the last round hardly made.

        Its estimate makes so many ``rows`` at least.
        """
        session, again = self.found.session, self.found.tuned.again
        if again is None:
            raise ValueError("the method has no other round")
        tuned = replace(again(missed), rows=rows)
        job, reserved = estimator_of(session, tuned), session.reserved
        self.found = replace(self.found, tuned=tuned, job=job, reserved=reserved)
        self.searching, self.estimating = self.failed.failures, 0


@dataclass(frozen=True, eq=False)
class _Outcome:
    """A run after its estimate, or in the midst of it.

    Parameters
    ----------
    sample : Sample
        The estimate stage.
    failures : Failures
        Rows of all stages to which the user's loss gave no number.
    estimating : int
        How many of them are the estimate's.
    audited : Audit
        What followed.
    tested : Canary or None
        The test of the proposal's density; None where it has none.
    interrupted : bool
        Whether the estimate is one so far.
    """

    sample: Sample
    failures: Failures
    estimating: int
    audited: Audit
    tested: Canary | None
    interrupted: bool = False


def _durations(begun: float, ends: Mapping[str, float]) -> dict[str, float]:
    """Seconds of each stage that has ended or goes on, and in all, from the moments at which stages ended."""
    now, last = time.perf_counter(), begun
    seconds = {}
    for stage in ("tune", "estimate", "audit"):
        end = ends.get(stage, now)
        seconds[stage], last = end - last, end
    return seconds | {"total": now - begun}


def check_seed(seed: int) -> None:
    """Raise `FieldError` unless ``seed`` is from 0 to 2^64 - 1."""
    if not 0 <= seed < 2**64:
        raise FieldError("seed", f"must be from 0 to 2^64 - 1, got {seed}")


def refuse_bound(loss: Loss, method: Method) -> None:
    """Raise `FieldError` where ``method`` cannot bound the failures that ``loss`` wants bounded."""
    if isinstance(loss, PythonLoss) and loss.on_failure == "bound" and not method.bounds_failures:
        raise FieldError(
            "on_failure",
            f"cannot be 'bound' with method {method.kind}: its rows are whole lines or rays, and one failed evaluation "
            "leaves nothing of a boundary to find; use 'retry', or another method such as auto",
        )


def refuse_guarantee(loss: Loss, method: Method, stop: Stop) -> None:
    """Raise `FieldError` where ``method`` guarantees an error that ``loss`` or ``stop`` does not allow."""
    if not isinstance(method, Crude) or method.guarantee is None:
        return
    if stop.relative_error is None:
        raise FieldError("guarantee", "needs stop.relative_error, the error that it is about")
    if isinstance(loss, PythonLoss) and loss.on_failure == "bound":
        raise FieldError(
            "guarantee",
            "must not be given where loss.on_failure is 'bound': rows without a loss leave the error open; use 'retry' "
            "or 'error'",
        )


def refuse_betting(loss: Loss, method: Method, measures: Sequence[Measure]) -> None:
    """Raise `FieldError` where a measure wants an interval from bets that ``loss`` or ``method`` does not allow."""
    if not any(isinstance(measure, Probability) and measure.interval == "betting" for measure in measures):
        return
    if isinstance(method, Crude) and method.guarantee is not None:
        raise FieldError("interval", "must not be 'betting' where method.guarantee is given: its own interval is exact")
    if isinstance(loss, PythonLoss) and loss.on_failure == "bound":
        raise FieldError(
            "interval",
            "must not be 'betting' where loss.on_failure is 'bound': a row without a loss is no bet won or lost; use "
            "'retry' or 'error'",
        )


def refuse_rows(loss: Loss, method: Method, measures: Sequence[Measure]) -> None:
    """Raise `FieldError` where a measure is read from weighted losses that ``loss`` or ``method`` does not give."""
    asked = next((measure.kind for measure in measures if measure.keeps != "counts"), None)
    if asked is None:
        return
    if not method.weighs_draws:
        raise FieldError(
            "measures",
            f"must be probabilities with method {method.kind} and these options, got {asked}: it is read from single "
            "draws with weights, and the rows of this method are none; use auto, cross_entropy, importance or crude, "
            "with draws 'independent' and without control variates",
        )
    if isinstance(method, Crude) and method.guarantee is not None:
        raise FieldError("measures", f"must be probabilities where method.guarantee is given, got {asked}")
    if isinstance(loss, PythonLoss) and loss.on_failure == "bound":
        raise FieldError(
            "measures",
            f"must be probabilities where loss.on_failure is 'bound', got {asked}: rows without a loss leave its upper "
            "end open; use 'retry' or 'error'",
        )


def refuse_below(loss: Loss, measures: Sequence[Measure]) -> None:
    """Raise `FieldError` where a measure asks for small losses of a loss with limit states: these fail upwards."""
    asked = (measure.direction for measure in measures if isinstance(measure, Probability))
    if isinstance(loss, PythonLoss) and loss.limit_states is not False and "below" in asked:
        raise FieldError(
            "measures",
            "must ask `above` where loss.limit_states is given, got below: a limit state fails where it is at least "
            "the threshold; return -g for one that fails at g <= 0, and ask `above: 0`",
        )


def estimate(
    inputs: Inputs | int,
    loss: Loss | Callable[..., Any],
    measures: Measure | Sequence[Measure],
    method: Method | str = "auto",
    *,
    seed: int,
    relative_error: float | None = 0.01,
    max_evaluations: int = 10_000_000,
    workers: int = 1,
    name: str = "run",
    audit: Extent = "quick",
) -> Result:
    """Estimate tail probabilities of a loss.

    Parameters
    ----------
    inputs : Inputs or int
        The joint law of the risk factors; ``d`` stands for ``d`` independent standard normals.
    loss : Loss or callable
        A loss model, or a function of an ``(n, d)`` array that returns ``(n,)``; larger is worse.
    measures : Measure or sequence of them
        What to estimate.
    method : Method or str
        A method, or the ``kind`` of one with its default options.
    seed : int
        Of every random stream.
    relative_error : float or None
        Standard error divided by the estimate at which to stop; None: spend the budget.
    max_evaluations : int
        Loss evaluations in all.
    workers : int
        Threads; they cannot change a digit.
    name : str
        Names the run.
    audit : "off", "quick" or "full"
        How thoroughly failing draws are looked for that the estimate could have missed, by soundings and climbs that
        never see what is drawn from: not at all, which leaves the verdict at caution; by climbs of thirty draws a
        level or, where that is more, for three tenths of the evaluations before them; or by four larger ones.

    Returns
    -------
    Result
        ``result.estimates[0].value``, ``.interval``, ``.verdict``; ``result.save(folder)`` writes the report.

    Raises
    ------
    FieldError, DataError, LossError
        When an argument is not allowed, or the loss fails.

    Examples
    --------
    >>> import raresim
    >>> result = raresim.estimate(3, lambda x: x.sum(axis=1), raresim.Probability(above=8.0), seed=1)
    >>> result.verdict.status
    <Status.TRUSTED: 'trusted'>
    """
    workers = argument("workers", workers, int)
    inputs = argument("inputs", inputs, Inputs | int)
    measures = list(measures) if isinstance(measures, Iterator) else measures
    measures = argument("measures", measures, Measure | Sequence[Measure])
    experiment = Experiment(
        inputs=StandardNormal(dim=inputs) if isinstance(inputs, int) else inputs,
        loss=_loss_of(loss),
        measures=measures if isinstance(measures, Sequence) else [measures],
        method=_method_of(method),
        stop=Stop(relative_error=relative_error, max_evaluations=max_evaluations),
        seed=seed,
        name=name,
        audit=audit,
    )
    with Executor.of("threads" if workers > 1 else "serial", workers) as executor:
        return experiment.run(executor)


def _loss_of(loss: Any) -> Any:
    """A loss; of a function, or the text ``file.py:name``, the loss that calls it."""
    if not isinstance(loss, str) and (isinstance(loss, type) or not callable(loss)):
        return loss
    try:
        return loss if isinstance(loss, Loss) else PythonLoss(function=loss)
    except FieldError as error:
        raise FieldError("loss", error.message) from None


def _method_of(method: Any) -> Any:
    """A method; of the kind of one, that with its default options."""
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


@dataclass(frozen=True, eq=False)
class _Explore(Job[Several[Any]]):
    """Mean and standard deviation of the loss under the target, and the losses themselves."""

    sampler: Sampler

    def __call__(self, block: Block) -> Several[Any]:
        loss = self.sampler.loss(self.sampler.draw(block), block)
        loss = loss[~np.isnan(loss)]
        return Several((LossMoments.of_block(loss), KeptRows(loss, np.zeros(loss.size))))


def _scale_of(session: Session, explored: list[LossScale], sigmas: Sequence[float]) -> Callable[[], LossScale]:
    """The loss's mean and standard deviation, from a pilot sample (put into ``explored``) where there is no formula.

    Thresholds at ``sigmas`` standard deviations want more draws, as far as a share of the budget goes.
    """
    problem = session.problem

    def scale() -> LossScale:
        closed = problem.loss.moments(problem.inputs)
        if closed is not None:
            return LossScale(*closed, "model standard deviation, closed form")
        if not explored:
            if session.max_evaluations <= EXPLORE_DRAWS:
                raise FieldError(
                    "max_evaluations",
                    f"must be above {EXPLORE_DRAWS:,}: the standard deviation of this loss is estimated from as many "
                    "draws; or give the threshold in loss units, or sigma as a number",
                )
            job = _Explore(Sampler(problem, None, session.seed))
            found, spent = session.fold("explore", job, session.plan(EXPLORE_DRAWS)), EXPLORE_DRAWS
            wanted = max((draws_for(_read_scale(found, spent), k, session.relative_error) for k in sigmas), default=0)
            more = min(wanted, int(EXPLORE_SHARE * session.max_evaluations)) - spent
            if more > 0:
                found, spent = session.fold("explore", job, session.plan(more), before=found), spent + more
            explored.append(_read_scale(found, spent))
        return explored[0]

    return scale


def _read_scale(found: Several[Any], evaluations: int) -> LossScale:
    """What the draws of the pilot sample say."""
    moments, kept = found.parts
    source = f"model standard deviation, from {moments.n:,} draws"
    scale = LossScale(moments.mean, moments.std, source, moments.n, evaluations=evaluations)
    if not (math.isfinite(scale.std) and scale.std > 0):
        return scale
    z = (kept.loss - scale.mean) / scale.std
    shape = khat(2.0 * np.log(np.abs(z[z != 0.0])), z.size)
    return replace(scale, skewness=float((z**3).mean()), kurtosis=float((z**4).mean()), khat=shape)


def draws_for(scale: LossScale, sigmas: float, relative_error: float | None) -> int:
    """Draws from which ``mean + sigmas std`` is known so well that the probability beyond it has the asked error.

    The tail is taken to fall there as that of a normal law does, ``-d log P / dk = phi(k) / Phi(-k)``.
    """
    if relative_error is None or not scale.draws or not (math.isfinite(scale.std) and scale.std > 0):
        return 0
    rate = normal_rate(abs(sigmas))
    return math.ceil(scale.draws * (rate * scale.error_at(sigmas) / scale.std / relative_error) ** 2)


def _once(asked: Sequence[Sequence[Question]]) -> tuple[list[Question], list[list[int]]]:
    """The questions of all measures, alike ones once, and for each measure the places of its own."""
    questions: list[Question] = []
    places: list[list[int]] = []
    for of_measure in asked:
        places.append([])
        for question in of_measure:
            alike = (
                k
                for k, other in enumerate(questions)
                if replace(other, reference=question.reference, asked=question.asked) == question
                and None in (other.reference, question.reference)
            )
            place = next(alike, len(questions)) if question.tail is not None else len(questions)
            if place == len(questions):
                questions.append(question)
            else:
                known = questions[place]
                reference = known.reference or question.reference
                questions[place] = replace(known, reference=reference, asked=known.asked or question.asked)
            places[-1].append(place)
    return questions, places


def _climbed(located: Located, problem: Problem) -> Callable[[float], TailSample]:
    """The draws of the climbs beyond the quantile of a tail probability, as rows."""

    def rows(tail: float) -> TailSample:
        draws, floor = located.draws, located.quantile(tail)
        if draws is None:
            raise ValueError("the draws of the climbs were not kept")
        at = np.flatnonzero(draws.loss >= floor).astype(np.int64)
        return reading.of_draws(problem, draws.n, floor, draws.loss[at], draws.log_weight[at], at, draws.u[at])

    return rows


def _nowhere(tail: float) -> float:
    raise ValueError(f"a quantile that is not among the measure's tails: {tail:g}")


def _rarity(estimate: Estimate) -> float:
    """The self-information of its event in nats; infinite where no row hit it."""
    nats = estimate.information.event_nats
    return math.inf if math.isnan(nats) else nats


def _canary(session: Session, tuned: Tuned) -> Canary | None:
    """Where the proposal is a law of standard normal space, what regions of known probability say of its density."""
    if tuned.proposal is None or session.problem.space != "standard":
        return None
    return canary(Sampler(session.problem, tuned.proposal, session.seed), session.plan(1).stage)


def _search(tuned: Tuned, unit: Unit, rows: int) -> dict[str, Any]:
    """How failure regions were searched for, as stored in ``result.json``."""
    each = tuned.estimator.nominal if tuned.estimator and tuned.starts else 0
    untuned = "none" if tuned.proposal is None else "stated"
    kind = untuned if not tuned.starts else "replicates" if each else "tuned"
    return {
        "kind": kind,
        "unit": unit,
        "starts": tuned.starts,
        "reached": tuned.reached,
        "regions": tuned.regions,
        "nominal": tuned.nominal + rows * each,
        "outcome": tuned.outcome,
        "weighted": tuned.weighted,
        "facts": dict(tuned.facts),
        "decisions": list(tuned.decisions),
    }


def _failed(failures: Failures, searching: int, evaluations: int) -> dict[str, Any]:
    """What is stored of rows without a loss in ``result.json``; empty where every row has one at the first try."""
    if not failures.total and not failures.retried:
        return {}
    return {
        "rows": failures.total,
        "share": failures.total / evaluations,
        "searching": searching,
        "estimating": failures.total - searching,
        "kinds": failures.by_kind,
        "retried": failures.retried,
        "kept": failures.kept,
    }


def _entropies(tuned: Tuned, estimate: Estimate) -> dict[str, float]:
    """Entropy of the optimal law and its cross-entropy against target and proposal, in nats, from the last level.

    Empty where no level was drawn at the threshold itself, or its entropy is not known.
    """
    last = tuned.iterations[-1] if tuned.iterations else None
    if last is None or last.level != estimate.threshold or math.isnan(last.entropy):
        return {}
    return {
        "optimal": last.entropy,
        "cross_entropy_target": last.entropy + estimate.information.event_nats,
        "cross_entropy_proposal": last.cross_entropy,
    }


def _compile_seconds(events: Sequence[tuple[float, Any]]) -> float:
    """Seconds inside numba's compiler, from its recorded start and end events (nested ones counted once)."""
    total, depth, begun = 0.0, 0, 0.0
    for moment, event in events:
        if event.is_start:
            begun = moment if depth == 0 else begun
            depth += 1
        else:
            depth -= 1
            total += moment - begun if depth == 0 else 0.0
    return total


def _fingerprint(path: Path) -> dict[str, Any]:
    """Name, size and hash of a file, without its folder."""
    content = path.read_bytes()
    return {"name": path.name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


@functools.cache
def _versions() -> dict[str, str]:
    """Versions of the packages that a digit may depend on."""
    packages = ("numpy", "scipy", "numba", "llvmlite", "matplotlib", "pydantic", "ruamel.yaml")
    return {name: metadata.version(name) for name in packages}


def _environment() -> dict[str, Any]:
    return {
        "raresim": raresim.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(terse=True),
        "cpu": platform.processor() or platform.machine(),
        "packages": dict(_versions()),
        "bit_generator": BIT_GENERATOR,
        "stream_version": STREAM_VERSION,
    }
