"""The estimate stage: fresh draws from a frozen proposal, until the asked error or the end of the budget."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from raresim.accumulators.summary import Summary
from raresim.accumulators.tail import TailMoments
from raresim.arguments.checks import between, positive, whole
from raresim.arguments.typed import typed
from raresim.diagnostics.psis import khat
from raresim.diagnostics.row_checks import share_is_trusted, tail_is_trusted
from raresim.distributions.mixture import log_weight_bound
from raresim.engine.fold import Sampler, fold
from raresim.engine.session import Session
from raresim.errors import FieldError
from raresim.estimators.base import Estimator
from raresim.estimators.guarantee import Wait
from raresim.estimators.weighted_draws import WeightedDraws
from raresim.losses.failures import NOTHING, Failures, collecting, note, noted
from raresim.measures.base import Question
from raresim.measures.often import Often, often
from raresim.methods.base import Tuned
from raresim.numerics.blocks import Growing, Plan
from raresim.record.rows import Unit, is_estimate
from raresim.run.asked import Asked, worst_error

GROWTH = 8
SETTLINGS = 2
"""How often the rows may be doubled because of the largest weights: each time, the share of one row halves."""

HISTORY_STEP, TEXT_STEP = 1.1, 1.2
MARGIN = 1.1
"""Factor on the draws that the known variance asks for, so that a second look is rare."""


@typed
@dataclass(frozen=True, kw_only=True)
class Stop:
    """When a run ends.

    Parameters
    ----------
    relative_error : float or None
        Standard error divided by the estimate, asked of every measure; None: spend the budget. If a value at risk or an
        expected shortfall is next to zero, between losses of either sign, the error is divided by a quarter of the
        distance to losses half as likely and twice as likely, or of the mean excess.
    max_evaluations : int
        Loss evaluations of the whole run, tuning included.
    seconds : float or None
        How long the run may take, without figures and page: it ends there with the estimate that it has. Evaluations
        are timed before the run, and its searches planned for those that the time pays for; ``max_evaluations`` still
        holds. The estimate ends with the last chunk of rows that was finished in time; the chunk under way is not used.
        What cannot be cut is finished: a search, the first rows of an estimate, and the audit.
    ended_at : int or None
        Number of evaluations after which a run limited by ``seconds`` ended, as its result records it. With this number
        and the recorded ``max_evaluations`` the run is repeated digit by digit, however long it takes.
    by_hand : bool or None
        Whether ``ended_at`` is where the user stopped the run on its live page. A user who stops a run has seen its
        estimate, so its intervals are widened as for a further look.

    Raises
    ------
    FieldError
        When an argument is out of range.
    """

    relative_error: float | None = 0.01
    max_evaluations: int = 10_000_000
    seconds: float | None = None
    ended_at: int | None = None
    by_hand: bool | None = None

    def __post_init__(self) -> None:
        if self.by_hand and self.ended_at is None:
            raise FieldError("by_hand", "must be given beside ended_at: it says who ended the run there")
        if self.seconds is not None:
            object.__setattr__(self, "seconds", positive("seconds", self.seconds))
        if self.ended_at is not None:
            object.__setattr__(self, "ended_at", whole("ended_at", self.ended_at, 1))
            if self.seconds is not None:
                raise FieldError(
                    "ended_at", "must not be given beside seconds: it repeats a run that a time limit ended"
                )
        if self.relative_error is not None:
            between("relative_error", self.relative_error, 0.0, 1.0)
        object.__setattr__(self, "max_evaluations", whole("max_evaluations", self.max_evaluations, 20))


@dataclass(frozen=True, eq=False)
class Look:
    """The moments after a part of the rows, and their cost; ``upper`` and ``outside`` as in `Summary`."""

    evaluations: int
    tail: TailMoments
    upper: TailMoments | None = None
    outside: TailMoments | None = None


@dataclass(frozen=True, eq=False)
class Progress:
    """State of the estimate stage after a whole chunk: the stage can go on from here.

    Parameters
    ----------
    plan : Plan or Growing
        Plan of the current look.
    chunks : int
        Chunks of it that are done.
    total : Summary or None
        Sums over all rows so far; None before the first.
    looks : int
        Number of the current look, from one.
    rows : int
        Rows of all looks, including the current one.
    history : tuple of Look
        The moments so far, at growing numbers of rows.
    failures : Failures
        Rows of this stage without a number.
    settling : int
        Number of the current look among those made for the largest weights, not for the asked error; 0 for none.
    audited : int or None
        Draws of a level of the audit that followed; None if none has followed.
    """

    plan: Plan | Growing
    chunks: int
    total: Summary | None
    looks: int
    rows: int
    history: tuple[Look, ...] = ()
    failures: Failures = NOTHING
    settling: int = 0
    audited: int | None = None


@dataclass(frozen=True, eq=False)
class Sample:
    """The outcome of the estimate stage.

    Parameters
    ----------
    summary : Summary
        Sums over all rows.
    history : tuple of Look
        The moments so far, at growing numbers of rows.
    looks : int
        How often the result was compared with the asked error.
    planned : bool
        Whether the size of the first look came from draws outside the sample.
    unit : Unit
        What a row is.
    resolution : float
        Relative error from the resolution of a row's weight, added to the error from the spread of rows.
    known : tuple of float
        Relative variance of a row for each event, known before any was drawn; empty if unknown.
    waits : tuple of Wait
        Rows until the wanted hits of each event, if the stage ends with a number of hits.
    progress : Progress or None
        The end of the stage, from which it can go on.
    reached : bool
        Whether the stage ended with what was asked for, not with its budget.
    weight_bound : float or None
        Log of the largest weight that a row can have, in nats; None if it is not needed.
    ended_at : int or None
        Evaluations of the run at which its time was up or the user stopped it; None if it ended otherwise.
    by_hand : bool
        Whether the user stopped it.
    known_rows : float
        Rows that ``known`` counts for.
    is_exact : bool
        Whether ``known`` is exact; see `Estimator.is_exact`.
    """

    summary: Summary
    history: tuple[Look, ...]
    looks: int
    planned: bool
    unit: Unit = "draw"
    resolution: float = 0.0
    waits: tuple[Wait, ...] = ()
    known: tuple[float, ...] = ()
    progress: Progress | None = None
    reached: bool = True
    weight_bound: float | None = None
    ended_at: int | None = None
    by_hand: bool = False
    known_rows: float = Estimator.known_rows
    is_exact: bool = False

    def common(self, at: Summary | Look, k: int) -> Often | None:
        """The reading of event ``k`` at the end or at a look if the event is common; None if it is not."""
        return None if at.upper is not None else often(at.tail, at.outside, k, self.weight_bound)

    def relative_error(self, tail: TailMoments, k: int) -> float:
        """Relative error of event ``k`` from rows with moments ``tail``: their spread, and what it does not show."""
        return math.hypot(_spread(tail, k, self.known, self.known_rows), self.resolution)


@dataclass(frozen=True, eq=False)
class Wanted:
    """What the rows of the estimate stage are for, beside the probabilities of the events.

    Parameters
    ----------
    questions : sequence of Question
        The questions of the events, if a quantile answers some of them.
    asked : Asked or None
        The errors that are asked where more than the events' probabilities is wanted.
    betting : bool
        Whether an interval is read from bets.
    keep : callable or None
        Called with the state of the stage.
    """

    questions: Sequence[Question] = ()
    asked: Asked | None = None
    betting: bool = False
    keep: Callable[[Progress], None] | None = None


@dataclass(frozen=True)
class Extension:
    """Evaluations that are added to a finished run.

    Parameters
    ----------
    evaluations : int
        Number of added evaluations, at least one.
    rows : int
        Rows that the finished run had planned.
    tuned_for : int
        The budget for which the search is tuned: that of the first run.
    """

    evaluations: int
    rows: int
    tuned_for: int

    def begin(self, before: Progress, first: Progress) -> Progress:
        """Where the added rows begin.

        A run that ends only with its budget becomes the run with the larger budget; any other gets one more look.

        Parameters
        ----------
        before : Progress
            State of the finished run, or of an earlier attempt to extend it.
        first : Progress
            A run with the larger budget, before its first row.
        """
        if isinstance(before.plan, Growing):
            return replace(before, plan=first.plan, rows=first.rows)
        if before.rows > self.rows or before.total is None:
            return before
        total = before.total
        more = max(1, int(self.evaluations * total.tail.n / max(1, total.evaluations)))
        plan = before.plan.then(more)
        return replace(before, plan=plan, chunks=0, looks=before.looks + 1, rows=before.rows + more, settling=0)


def estimate(
    session: Session,
    tuned: Tuned,
    stop: Stop,
    wanted: Wanted = Wanted(),  # frozen
    explored: int = 0,
    reserved: int = 0,
    before: Progress | None = None,
    extension: Extension | None = None,
    ends: Callable[[int], bool] = lambda _: False,
) -> Sample:
    """Draw from the tuned proposal until every event has the asked relative error, or the budget is spent.

    Parameters
    ----------
    session : Session
        Problem, events and executor.
    tuned : Tuned
        The proposal, and what tuning spent.
    stop : Stop
        The asked error and the budget.
    wanted : Wanted, optional
        What else is read from the rows; nothing by default.
    explored : int
        Evaluations spent before tuning.
    reserved : int
        Evaluations held back for the stage after it.
    before : Progress, optional
        State that an earlier attempt at the stage reached.
    extension : Extension, optional
        What is added to the finished stage that ``before`` is.
    ends : callable, optional
        Told the evaluations of the run when a further chunk is there; true if the run has to end before that chunk.

    Raises
    ------
    FieldError
        When nothing is left of the budget, or a run that ends with a number of hits is extended.

    Notes
    -----
    Optional stopping. Looking at a running error after every few draws and stopping when it is small favours
    samples whose error is underestimated. Here the size of the first look is fixed by the variance seen in the
    tuning draws, which the estimate never uses, so a run that ends there has not chosen its own size. A run without
    such draws, or one that needs a further look, has; each look is then planned from the variance so far (at most
    `GROWTH` times the draws), there are few of them, and the interval is widened by
    `raresim.measures.intervals.LOOK_INFLATION`. Which of the two happened is part of the result.

    If the largest weights do not pass the verdict's checks, the rows are doubled, at most `SETTLINGS` times: these are
    further looks.

    If ``tuned.goals`` are given, the number of hits ends the stage and the error plays no part. The result is exact
    however many looks there were: rows after the last wanted hit of an event do not count for it.
    """
    if tuned.goals and extension is not None:
        raise FieldError("guarantee", "must not be given for a run that is extended: it ends with a number of hits")
    spent = explored + tuned.evaluations
    budget = stop.max_evaluations - spent - reserved
    if budget < 1:
        raise FieldError(
            "max_evaluations",
            f"must leave draws for the estimate: {spent:,} of {stop.max_evaluations:,} were spent before it",
        )
    job = estimator_of(session, tuned, wanted)
    target = stop.relative_error
    at = _first(session, tuned, job, target, max(1, int(budget / job.cost)), wanted.asked)
    settles = tuned.weighted and not is_estimate(job.unit) and not tuned.goals
    planned = target is None or (tuned.variances is not None and extension is None)
    if before is not None:
        at = before if extension is None else extension.begin(before, at)
    history = _History(session, wanted, target, job, at)
    if session.journal is not None and job.block_rows is None:
        session.journal.leave_out(at.plan.stage)
    least = job.least_rows if job.block_rows is not None else 1
    ended_at: int | None = None

    def enough(total: Summary) -> bool:
        nonlocal ended_at
        if total.tail.n >= least and ends(spent + total.evaluations):
            ended_at = spent + total.evaluations
        return ended_at is not None

    with collecting() as found:
        found.add(at.failures)
        reached = True
        while True:
            session.report("estimate", at.total.tail.n if at.total else 0, at.rows, history.words)
            total = fold(session.executor, job, at.plan, at.total, history.seen, at.chunks, enough)
            why = "another look for the largest weights; " if at.settling else ""
            session.note("estimate", at.plan, why + history.text(total))
            if ended_at is not None:
                history.at, reached = _cut(history.at), False
                session.note("estimate", history.at.plan, "the time was up, or the run was asked to end")
                break
            if target is None or isinstance(at.plan, Growing) or extension is not None or at.settling == SETTLINGS:
                break
            affordable = int((budget - total.evaluations) * total.tail.n / max(1, total.evaluations))
            ratio = _ratio(total, target, wanted.asked, job)
            reached = ratio <= 1.0
            if affordable < 1 or (reached and (not settles or weights_settled(total))):
                break
            more = total.tail.n if reached else _further(total, ratio)
            settling = at.settling + 1 if reached else at.settling
            at = history.next_look(at.plan.then(min(affordable, more)), total, settling)
    note(found.failures)
    progress = replace(history.at, total=total)
    return replace(sample_of(progress, job, planned), progress=progress, reached=reached, ended_at=ended_at)


def _cut(at: Progress) -> Progress:
    """The state of a stage whose plan ends with the chunks that are done."""
    rows = sum(block.rows for chunk in islice(at.plan.chunks(), at.chunks) for block in chunk)
    return replace(at, plan=replace(at.plan, n_samples=rows), rows=at.rows - at.plan.n_samples + rows)


def estimator_of(session: Session, tuned: Tuned, wanted: Wanted) -> Estimator:
    """How the rows of the estimate are made, and which of them are kept for the user where they are single draws.

    Raises
    ------
    FieldError
        When an interval is asked from bets, and the weights of independent draws have no bound.
    """
    rows = _rows(session, tuned, wanted)
    return rows if session.drawing is None else rows.drawing(session.drawing) or rows


def _rows(session: Session, tuned: Tuned, wanted: Wanted) -> Estimator:
    sampler = Sampler(session.problem, tuned.proposal, session.seed)
    shares = bool(session.problem.loss.limit_state_names)
    # a method that searches for a single event draws from the target where that is common
    bounded = tuned.proposal is not None and log_weight_bound(tuned.proposal, session.problem.target) is not None
    outside = bounded and (len(session.events) > 1 or not tuned.starts)
    if not wanted.betting:
        draws = WeightedDraws(
            sampler, tuple(session.events), tuned.goals, beyond=session.beyond, shares=shares, outside=outside
        )
        return tuned.estimator or draws
    if tuned.estimator is not None:
        raise FieldError("interval", "must not be 'betting' here: the rows of this method are not independent draws")
    log_bound = log_weight_bound(tuned.proposal, session.problem.target)
    if log_bound is None:
        raise FieldError(
            "interval",
            "must not be 'betting' here: the weights have no bound; give the method a defensive share, or use "
            "'standard'",
        )
    return WeightedDraws(sampler, tuple(session.events), log_bound=log_bound, beyond=session.beyond, shares=shares)


def sample_of(progress: Progress, job: Estimator, planned: bool) -> Sample:
    """The outcome of a stage that ended here."""
    if progress.total is None:
        raise ValueError("no row was drawn yet")
    history = progress.history
    if not history or history[-1].tail.n != progress.total.tail.n:
        history = (*history, _look(progress.total))
    waits = job.waits(progress.total, progress.plan.stage)
    resolution = job.resolution_of(progress.total.tail.n)
    sample = Sample(progress.total, history, progress.looks, planned, job.unit, resolution, waits, job.known)
    return replace(sample, weight_bound=job.weight_bound, known_rows=job.known_rows, is_exact=job.is_exact)


def _look(total: Summary) -> Look:
    return Look(total.evaluations, total.tail, total.upper, total.outside)


def _first(
    session: Session, tuned: Tuned, job: Estimator, target: float | None, affordable: int, asked: Asked | None
) -> Progress:
    """The stage before its first row. A sample of known size begins like any longer one."""
    size = _first_size(tuned.variances, target, affordable, job, asked)
    size = max(size, min(affordable, tuned.rows))
    if tuned.goals:  # so many hits take at least so many rows
        size = min(affordable, max(goal.hits for goal in tuned.goals))
    plan: Plan | Growing = session.plan(size, job.block_rows)
    if target is None:
        plan = Growing(plan.stage, size, plan.dim, plan.fixed_rows)
    return Progress(plan, 0, None, 1, size)


@dataclass(eq=False)
class _History:
    """Keeps the moments at growing numbers of rows, reports progress, and saves it."""

    session: Session
    wanted: Wanted
    target: float | None
    job: Estimator
    at: Progress
    shown: int = 0
    words: str = ""

    def seen(self, total: Summary) -> None:
        history = self.at.history
        if not history or total.tail.n >= HISTORY_STEP * history[-1].tail.n:
            history = (*history, _look(total))
        failures = noted()
        self.at = replace(self.at, chunks=self.at.chunks + 1, total=total, history=history, failures=failures)
        if self.wanted.keep is not None and self._is_whole(total):
            self.wanted.keep(self.at)
        if self.session.journal is not None and self.at.plan.fixed_rows == 1:
            self.session.journal.forget(self.at.plan.stage, total.tail.n)
        if total.tail.n >= min(TEXT_STEP * self.shown, self.at.rows):  # a quantile's error takes a sort of all losses
            self.shown, self.words = total.tail.n, self.text(total)
        self.session.report("estimate", total.tail.n, self.at.rows, self.words)

    def next_look(self, plan: Plan, total: Summary, settling: int) -> Progress:
        """Begin another look."""
        at = self.at
        rows = at.rows + plan.n_samples
        self.at = Progress(plan, 0, total, at.looks + 1, rows, at.history, at.failures, settling)
        return self.at

    def _is_whole(self, total: Summary) -> bool:
        """Whether the last chunk would be the same with more rows: a run can be extended from there."""
        plan = self.at.plan
        return isinstance(plan, Plan) or total.tail.n < plan.n_samples or plan.whole(self.at.chunks - 1)

    def text(self, total: Summary) -> str:
        """The relative error so far beside the asked error, or the hits so far beside the wanted hits."""
        if total.arrivals is not None:
            missing, wanted = max(zip(total.arrivals.missing, total.arrivals.wanted, strict=True))
            return f"{wanted - missing:,} of {wanted:,} hits"
        error = _worst(total, self.job)
        if self.wanted.questions and math.isfinite(error):
            bounded = self.job.weight_bound is not None
            error = worst_error(total, self.wanted.questions, lambda k: _error(total, k, self.job), bounded)
        asked = "" if self.target is None else f", asked {self.target:.2%}"
        return f"relative error {error:.2%}{asked}" if math.isfinite(error) else "no hit yet"


def _spread(tail: TailMoments, k: int, known: Sequence[float], known_rows: float) -> float:
    """Relative error of the estimate of event ``k``, from the spread of its rows and the variance known before.

    A few rows may have a small spread by chance; a run would stop there and be trusted. If the variance of a row was
    roughly known in advance, the two are pooled, with the known one counted as ``known_rows`` rows. It never lowers
    the error.
    """
    seen, n = tail.relative_error(k), tail.n
    if not known or not math.isfinite(seen):
        return seen
    pooled = known[k]
    if math.isfinite(known_rows):
        pooled = ((n - 1) * n * seen**2 + known_rows * known[k]) / (n - 1 + known_rows)
    return max(seen, math.sqrt(pooled / n))


def _worst(total: Summary, job: Estimator) -> float:
    """The largest relative error of any event, over what its answer allows; infinite while one has no hit."""
    count = total.tail.hits.size
    return max(_error(total, k, job) / ease for k, ease in enumerate(job.eases or (1.0,) * count))


def _error(total: Summary, k: int, job: Estimator) -> float:
    """Relative error of the probability of event ``k``."""
    common = often(total.tail, total.outside, k, job.weight_bound) if total.upper is None else None
    if common is not None:
        return common.relative_error
    return math.hypot(_spread(total.tail, k, job.known, job.known_rows), job.unseen / total.tail.n)


def _ratio(total: Summary, target: float, asked: Asked | None, job: Estimator) -> float:
    """The largest error divided by the asked error; infinite until all wanted hits are there, if hits are wanted."""
    if total.arrivals is not None:
        return math.inf if any(total.arrivals.missing) else 0.0
    if asked is None:
        return _worst(total, job) / target
    return asked.ratio(total, lambda k: _error(total, k, job), job.weight_bound is not None)


def _further(total: Summary, ratio: float) -> int:
    """Rows of the next look, after one that ended with an error of ``ratio`` times the asked error."""
    if total.arrivals is None:
        return _next_size(total.tail.n, ratio)
    pairs = zip(total.arrivals.wanted, total.arrivals.missing, strict=True)
    return max(_rows_to(wanted - missing, missing, total.tail.n) for wanted, missing in pairs)


def weights_settled(total: Summary, audited: bool = False) -> bool:
    """Whether the largest weights of every event would be trusted; an audit may have confirmed the error."""
    drawn = total.drawn or total.tail
    return all(
        (audited or tail_is_trusted(khat(total.top.largest(k), n), n * drawn.max_share(k), n))
        and share_is_trusted(total.tail.max_share(k), audited)
        for k, n in enumerate(drawn.hits.tolist())
    )


def _first_size(
    variances: Sequence[float] | None, target: float | None, affordable: int, job: Estimator, asked: Asked | None
) -> int:
    """Rows of the first look, at most ``affordable``."""
    if target is None:
        return affordable
    if variances is None:
        return min(affordable, job.first_look)
    planned = [target] * len(variances) if asked is None else asked.planned
    wanted = max(variance / error**2 for variance, error in zip(variances, planned, strict=True))
    return min(affordable, max(job.least_rows, math.ceil(MARGIN * wanted)))


def _next_size(n: int, ratio: float) -> int:
    """Further rows that the variance so far asks for, within a factor `GROWTH`."""
    times = min(MARGIN * ratio**2, GROWTH)
    return max(math.ceil(n * (times - 1)), n // 10, 1)


def _rows_to(hits: int, missing: int, n: int) -> int:
    """Further rows for ``missing`` more hits after ``hits`` among ``n``, within a factor `GROWTH`.

    The number is one standard deviation too small, of the rate so far and of the hits to come: the last looks are
    short, and few rows come after the last hit that counts.
    """
    most = n * (GROWTH - 1)
    if not hits or not missing:
        return most if missing else 1
    likely = (missing - math.sqrt(missing)) * (1.0 - 1.0 / math.sqrt(hits))
    return min(most, math.ceil(max(likely, 1.0) * n / hits))
