"""The estimate stage: fresh draws from a frozen proposal, until the asked error or the budget."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from raresim.accumulators.summary import Summary
from raresim.accumulators.tail import TailMoments
from raresim.arrays import whole
from raresim.diagnostics.psis import khat
from raresim.diagnostics.verdict import share_is_trusted, tail_is_trusted
from raresim.engine import Sampler, fold
from raresim.errors import FieldError
from raresim.estimators.base import Estimator, Unit
from raresim.estimators.weighted_draws import WeightedDraws
from raresim.methods.base import Session, Tuned

GROWTH = 8
HISTORY_STEP = 1.1
MARGIN = 1.1
"""Draws planned beyond what the known variance asks for, so that a second look is rare."""


@dataclass(frozen=True, kw_only=True)
class Stop:
    """When a run ends.

    Parameters
    ----------
    relative_error : float or None
        Standard error divided by the estimate, asked of every measure; None: the budget is spent.
    max_evaluations : int
        Loss evaluations of the whole run, tuning included.

    Raises
    ------
    FieldError
        When an argument is out of range.
    """

    relative_error: float | None = 0.01
    max_evaluations: int = 10_000_000

    def __post_init__(self) -> None:
        if self.relative_error is not None and not 0 < self.relative_error < 1:
            raise FieldError("relative_error", f"must be above 0 and below 1, got {self.relative_error:g}")
        object.__setattr__(self, "max_evaluations", whole("max_evaluations", self.max_evaluations, 100))


@dataclass(frozen=True, eq=False)
class Look:
    """The moments after a part of the rows, and what these cost; ``upper`` as in `Summary`."""

    evaluations: int
    tail: TailMoments
    upper: TailMoments | None = None


@dataclass(frozen=True, eq=False)
class Sample:
    """The outcome of the estimate stage.

    Parameters
    ----------
    summary : Summary
        Of all rows.
    history : tuple of Look
        The moments so far, at growing numbers of rows.
    looks : int
        How often the result was held against the asked error.
    planned : bool
        Whether the size of the first look came from draws that are not in the sample.
    unit : Unit
        What a row is.
    resolution : float
        Relative error of a row's weight beside the spread of rows.
    """

    summary: Summary
    history: tuple[Look, ...]
    looks: int
    planned: bool
    unit: Unit = "draw"
    resolution: float = 0.0


def estimate(session: Session, tuned: Tuned, stop: Stop, explored: int = 0) -> Sample:
    """Draw from the tuned proposal until every event has the asked relative error, or the budget is spent.

    Parameters
    ----------
    session : Session
        Problem, events and executor.
    tuned : Tuned
        The proposal, and what tuning spent.
    stop : Stop
        The asked error and the budget.
    explored : int
        Evaluations spent before tuning.

    Raises
    ------
    FieldError
        When nothing is left of the budget.

    Notes
    -----
    Optional stopping. Looking at a running error after every few draws and stopping when it is small favours
    samples whose error is underestimated. Here the size of the first look is fixed by the variance seen in the
    tuning draws, which the estimate never uses, so a run that ends there has not chosen its own size. A run without
    such draws, or one that needs a further look, has; each look is then planned from the variance so far (at most
    `GROWTH` times the draws), there are few of them, and the interval is widened by
    `raresim.measures.intervals.LOOK_INFLATION`. Which of the two happened is part of the result.

    Where ``tuned.settles`` and the largest weights do not pass the verdict's checks, as many draws are made once more:
    that is a further look.
    """
    spent = explored + tuned.evaluations
    budget = stop.max_evaluations - spent
    if budget < 1:
        raise FieldError(
            "max_evaluations",
            f"must leave draws for the estimate: {spent:,} of {stop.max_evaluations:,} were spent before it",
        )
    sampler = Sampler(session.problem, tuned.proposal, session.seed)
    job = tuned.estimator or WeightedDraws(sampler, tuple(session.events))
    affordable = max(1, int(budget / job.cost))
    target = stop.relative_error
    plan = session.plan(_first_size(tuned.variances, target, affordable, job), job.block_rows)
    history = _History(session, target, plan.n_samples)
    total = fold(session.executor, job, plan, None, history.seen)
    session.note("estimate", plan, history.text(total))
    looks = 1
    while target is not None and _worst(total.tail) > target:
        affordable = int((budget - total.evaluations) * total.tail.n / max(1, total.evaluations))
        if affordable < 1:
            break
        plan = plan.then(min(affordable, _next_size(total.tail.n, _worst(total.tail), target)))
        history.planned += plan.n_samples
        total = fold(session.executor, job, plan, total, history.seen)
        session.note("estimate", plan, history.text(total))
        looks += 1
    affordable = int((budget - total.evaluations) * total.tail.n / max(1, total.evaluations))
    if tuned.settles and target is not None and affordable > 0 and not _settled(total):
        plan = plan.then(min(affordable, total.tail.n))
        history.planned += plan.n_samples
        total = fold(session.executor, job, plan, total, history.seen)
        session.note("estimate", plan, f"once more, for the largest weights; {history.text(total)}")
        looks += 1
    if history.points[-1].tail.n != total.tail.n:
        history.points.append(Look(total.evaluations, total.tail, total.upper))
    planned = target is None or tuned.variances is not None
    return Sample(total, tuple(history.points), looks, planned, job.unit, job.resolution)


@dataclass(eq=False)
class _History:
    """Keeps the moments at growing numbers of rows, and tells progress."""

    session: Session
    target: float | None
    planned: int
    points: list[Look] = field(default_factory=list)

    def seen(self, total: Summary) -> None:
        if not self.points or total.tail.n >= HISTORY_STEP * self.points[-1].tail.n:
            self.points.append(Look(total.evaluations, total.tail, total.upper))
        self.session.report("estimate", total.tail.n, self.planned, self.text(total))

    def text(self, total: Summary) -> str:
        """The relative error so far against the one asked for."""
        error = _worst(total.tail)
        asked = "" if self.target is None else f", asked {self.target:.2%}"
        return f"relative error {error:.2%}{asked}" if math.isfinite(error) else "no hit yet"


def _worst(tail: TailMoments) -> float:
    """The largest relative error of any event; infinite while one has no hit."""
    return max(tail.relative_error(k) for k in range(tail.hits.size))


def _settled(total: Summary) -> bool:
    """Whether the largest weights of every event would be trusted."""
    drawn = total.drawn or total.tail
    return all(
        tail_is_trusted(khat(total.top.largest(k), n), n * drawn.max_share(k), n)
        and share_is_trusted(total.tail.max_share(k))
        for k, n in enumerate(drawn.hits.tolist())
    )


def _first_size(variances: Sequence[float] | None, target: float | None, affordable: int, job: Estimator) -> int:
    """Rows of the first look, at most ``affordable``."""
    if target is None:
        return affordable
    if variances is None:
        return min(affordable, job.first_look)
    return min(affordable, max(job.least_rows, math.ceil(MARGIN * max(variances) / target**2)))


def _next_size(n: int, worst: float, target: float) -> int:
    """Further rows: what the variance so far asks for, within a factor `GROWTH`."""
    ratio = min(MARGIN * (worst / target) ** 2, GROWTH)
    return max(math.ceil(n * (ratio - 1)), n // 10, 1)
