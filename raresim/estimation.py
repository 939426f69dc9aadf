"""The estimate stage: fresh draws from a frozen proposal, until the asked error or the budget."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

from raresim.accumulators.base import Accumulator
from raresim.accumulators.kept import KeptRows
from raresim.accumulators.tail import TailMoments, hit_weights, masks
from raresim.accumulators.top import TopWeights
from raresim.arrays import whole
from raresim.blocks import Block
from raresim.engine import Job, Sampler, fold
from raresim.errors import FieldError
from raresim.methods.base import Session, Tuned
from raresim.problem import Event

FIRST_LOOK = 10_000
KEPT_ROWS = 50_000
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
class Summary(Accumulator):
    """All that the estimate stage keeps of its rows."""

    tail: TailMoments
    top: TopWeights
    kept: KeptRows

    def merge(self, other: Self) -> Self:
        return type(self)(self.tail.merge(other.tail), self.top.merge(other.top), self.kept.merge(other.kept))


@dataclass(frozen=True, eq=False)
class Summarise(Job[Summary]):
    """Draw a block, weigh it, and count the events."""

    sampler: Sampler
    events: tuple[Event, ...]

    def __call__(self, block: Block) -> Summary:
        u = self.sampler.draw(block)
        loss = self.sampler.loss(u, block)
        log_weight = self.sampler.log_weight(u)
        hits = [hit_weights(log_weight, mask) for mask in masks(self.events, loss)]
        return Summary(
            TailMoments.of_hits(block.rows, hits),
            TopWeights.of_hits(hits if self.sampler.proposal is not None else [h[:0] for h in hits]),
            KeptRows.of_block(block, loss, log_weight, KEPT_ROWS),
        )


@dataclass(frozen=True, eq=False)
class Sample:
    """The outcome of the estimate stage.

    Parameters
    ----------
    summary : Summary
        Of all rows.
    history : tuple of TailMoments
        The moments so far, at growing numbers of rows.
    looks : int
        How often the result was held against the asked error.
    planned : bool
        Whether the size of the first look came from draws that are not in the sample.
    """

    summary: Summary
    history: tuple[TailMoments, ...]
    looks: int
    planned: bool


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
    """
    spent = explored + tuned.evaluations
    budget = stop.max_evaluations - spent
    if budget < 1:
        raise FieldError(
            "max_evaluations",
            f"must leave draws for the estimate: {spent:,} of {stop.max_evaluations:,} were spent before it",
        )
    job = Summarise(Sampler(session.problem, tuned.proposal, session.seed), tuple(session.events))
    target = stop.relative_error
    plan = session.plan(_first_size(tuned.variances, target, budget))
    history = _History(session, target, plan.n_samples)
    total = fold(session.executor, job, plan, None, history.seen)
    session.note("estimate", plan, history.text(total))
    looks = 1
    while target is not None and _worst(total.tail) > target and total.tail.n < budget:
        plan = plan.then(min(budget - total.tail.n, _next_size(total.tail.n, _worst(total.tail), target)))
        history.planned += plan.n_samples
        total = fold(session.executor, job, plan, total, history.seen)
        session.note("estimate", plan, history.text(total))
        looks += 1
    if history.points[-1].n != total.tail.n:
        history.points.append(total.tail)
    return Sample(total, tuple(history.points), looks, target is None or tuned.variances is not None)


@dataclass(eq=False)
class _History:
    """Keeps the moments at growing numbers of rows, and tells progress."""

    session: Session
    target: float | None
    planned: int
    points: list[TailMoments] = field(default_factory=list)

    def seen(self, total: Summary) -> None:
        if not self.points or total.tail.n >= HISTORY_STEP * self.points[-1].n:
            self.points.append(total.tail)
        self.session.report("estimate", total.tail.n, self.planned, self.text(total))

    def text(self, total: Summary) -> str:
        """The relative error so far against the one asked for."""
        error = _worst(total.tail)
        asked = "" if self.target is None else f", asked {self.target:.2%}"
        return f"relative error {error:.2%}{asked}" if math.isfinite(error) else "no hit yet"


def _worst(tail: TailMoments) -> float:
    """The largest relative error of any event; infinite while one has no hit."""
    return max(tail.relative_error(k) for k in range(tail.hits.size))


def _first_size(variances: Sequence[float] | None, target: float | None, budget: int) -> int:
    if target is None:
        return budget
    if variances is None:
        return min(budget, FIRST_LOOK)
    return min(budget, max(1000, math.ceil(MARGIN * max(variances) / target**2)))


def _next_size(n: int, worst: float, target: float) -> int:
    """Further draws: what the variance so far asks for, within a factor `GROWTH`."""
    ratio = min(MARGIN * (worst / target) ** 2, GROWTH)
    return max(math.ceil(n * (ratio - 1)), n // 10, 1)
