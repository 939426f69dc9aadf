"""One run from end to end: explore, tune, estimate, judge."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from raresim import inputs as _inputs  # noqa: F401  # frozen laws of SciPy become inputs
from raresim.accumulators.tail_draws import Beyond
from raresim.arguments.typed import argument, shown, typed
from raresim.distributions.base import Inputs
from raresim.distributions.standard_normal import StandardNormal
from raresim.engine.executors import Executor
from raresim.engine.journal import keeping
from raresim.engine.problem import Problem
from raresim.engine.session import Report, Session
from raresim.errors import FieldError, about
from raresim.losses.base import Loss
from raresim.losses.failures import Failures, collecting
from raresim.losses.python import PythonLoss
from raresim.measures.base import LossScale, Measure, Question
from raresim.methods.auto import Auto
from raresim.methods.base import Method
from raresim.models.base import Model
from raresim.numerics.surroundings import in_one_thread, undisturbed
from raresim.registry import lookup
from raresim.run.approximation import Named, bound, refuse_approximation
from raresim.run.asked import plan_of
from raresim.run.assemble import Estimated, assemble
from raresim.run.audit import Audit, Extent, reserve
from raresim.run.checkpoint import Checkpoint
from raresim.run.clock import Clock, affordable, pace_of
from raresim.run.estimation import Extension, Wanted, estimator_of, sample_of
from raresim.run.explore import climbed, nowhere, once, scale_of, unknown
from raresim.run.facts import (
    canary_of,
)
from raresim.run.found import Found
from raresim.run.live import Live
from raresim.run.locate import Located, locate, sought
from raresim.run.path import Rounds
from raresim.run.presets import Name
from raresim.run.progress import Watcher, reporting
from raresim.run.provenance import compile_seconds, durations, environment, fingerprint
from raresim.run.refusals import refuse_for, refuse_output, refuse_parts
from raresim.run.result import Result
from raresim.run.rough_quantiles import KnownQuantiles
from raresim.run.sample import Progress
from raresim.run.sampled import Output, drawing_of, refuse_names
from raresim.run.stop import Stop

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
        The loss as a function of the risk factors; larger is worse.
    model : Model, optional
        A model that gives inputs and loss together, such as a credit portfolio, instead of the two.
    measures : sequence of Measure
        What is to be estimated, at least one.
    method : Method
        How the law to draw from is chosen.
    stop : Stop
        When the run ends.
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
        A cheap approximation of the loss: the surrogate then learns only the part that the approximation does not
        explain. It is a function, a coarser run of the same program, or the delta-gamma approximation that a model of
        kind options provides.
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

            def result_of(estimated: Estimated, found: Found | None = None) -> Result:
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
                return assemble(it, found or rounds.found, estimated, seconds, manifest, texts or {})

            if checkpoint:
                checkpoint.files_of = lambda progress: result_of(
                    it._so_far(rounds.found, progress, rounds.searching)
                ).files()
            if live:
                live.begin(lambda *at: result_of(it._so_far(*at), at[0]))
            sample, audited = rounds.run()
            tested = canary_of(found.session, rounds.found.tuned)
            ends["audit"] = time.perf_counter()
            return result_of(Estimated(sample, failed.failures, rounds.estimating, audited, tested))

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
        tails = sought(self.measures, self.method, self.known_quantiles is not None)
        located: Located | KnownQuantiles | None = None if self.method.finds_quantiles else self.known_quantiles
        if tails:
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

    def _so_far(self, found: Found, progress: Progress, searching: Failures) -> Estimated:
        """The outcome of an estimate stage that has reached ``progress``."""
        gapless = found.job.gapless
        unaudited = Audit(self.audit, gapless or "the run was interrupted", needed=not gapless)
        failures = searching.merge(progress.failures)
        sample = sample_of(progress, found.job, False)
        return Estimated(sample, failures, progress.failures.total, unaudited, None, interrupted=True)

    def files(self) -> list[dict[str, Any]]:
        """Name, size and hash of every file that the numbers depend on."""
        paths = self.loss.files() if self.model is None else self.model.files()
        paths = [*paths, *(self.approximation.files() if isinstance(self.approximation, Loss) else ())]
        return [*(facts.to_dict() for facts in self.inputs.sources), *map(fingerprint, paths)]


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
