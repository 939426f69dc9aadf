"""The estimate stage: fresh draws from a frozen proposal, until the asked error or the end of the budget."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from raresim.accumulators.summary import Summary
from raresim.distributions.mixture import log_weight_bound
from raresim.engine.fold import Sampler, fold
from raresim.engine.session import Session
from raresim.errors import FieldError
from raresim.estimators.base import Estimator
from raresim.estimators.weighted_draws import WeightedDraws
from raresim.losses.failures import collecting, note, noted
from raresim.measures.base import Question
from raresim.methods.base import Tuned
from raresim.numerics.blocks import Growing, Plan
from raresim.record.rows import is_estimate
from raresim.run.asked import Asked, worst_error
from raresim.run.looks import error_of, first_size, further, ratio_of, weights_settled, worst
from raresim.run.sample import Look, Progress, Sample
from raresim.run.stop import Stop

SETTLINGS = 2
"""How often the rows may be doubled because of the largest weights: each time, the share of one row halves."""

HISTORY_STEP, TEXT_STEP = 1.1, 1.2


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
            ratio = ratio_of(total, target, wanted.asked, job)
            reached = ratio <= 1.0
            if affordable < 1 or (reached and (not settles or weights_settled(total))):
                break
            more = total.tail.n if reached else further(total, ratio)
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
    size = first_size(tuned.variances, target, affordable, job, asked)
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
        error = worst(total, self.job)
        if self.wanted.questions and math.isfinite(error):
            bounded = self.job.weight_bound is not None
            error = worst_error(total, self.wanted.questions, lambda k: error_of(total, k, self.job), bounded)
        asked = "" if self.target is None else f", asked {self.target:.2%}"
        return f"relative error {error:.2%}{asked}" if math.isfinite(error) else "no hit yet"
