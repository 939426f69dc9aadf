"""How fine the grid along lines and rays has to be: halved until half of it changes nothing."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from raresim.accumulators.summary import Summary
from raresim.accumulators.tail import TailMoments
from raresim.engine.session import Session
from raresim.estimators.base import Estimator

SETTLED = 0.01
"""Relative change of all moments of the trial, from one grid to the next, at which the coarser one is kept."""

HALVINGS = 3
"""How often a grid may be halved."""


@dataclass(frozen=True, eq=False)
class Trial:
    """What a trial of a few rows found.

    Parameters
    ----------
    step : float
        Spacing of the grid that was settled on.
    summary : Summary
        Of the trial rows on that grid.
    evaluations : int
        Losses that were evaluated on all grids.
    change : float
        Largest relative change of an estimate or its second moment from that grid to one of half the spacing; NaN where
        none was tried.
    """

    step: float
    summary: Summary
    evaluations: int
    change: float

    @property
    def facts(self) -> dict[str, float]:
        """Numbers for the verdict: ``grid_step``, and ``grid_change`` where it is known."""
        known = {} if math.isnan(self.change) else {"grid_change": self.change}
        return {"grid_step": self.step} | known

    @property
    def decision(self) -> str:
        """The grid in words."""
        if math.isnan(self.change):
            return (
                f"The spacing of {self.step:.3g} was held against no finer one: no trial met the event, or no budget."
            )
        if self.change <= SETTLED:
            return f"Half the spacing of {self.step:.3g} changes the trial's estimates by {self.change:.2%} at most."
        return (
            f"Half the spacing of {self.step:.3g} still changes the trial's estimates by {self.change:.2%}: "
            "parts of the event are missed, so give a smaller step."
        )


def settle(session: Session, rows: Callable[[float], Estimator], step: float, n: int, name: str, budget: int) -> Trial:
    """Try ``n`` rows on a grid of spacing ``step``, and the same rows on finer ones until nothing changes.

    Parameters
    ----------
    session : Session
        The run's means.
    rows : callable
        From the spacing to the estimator.
    step : float
        Spacing to begin with.
    n : int
        Rows of the trial.
    name : str
        What is told of it.
    budget : int
        Evaluations that a finer grid may come to, all grids together.
    """
    few = max(1, -(-n // 16))  # a row is a whole line or ray: so that workers share even these
    plan = session.plan(n, min(few, rows(step).block_rows or few))
    summary = session.fold("tune", rows(step), plan, name)
    spent, change = summary.evaluations, math.nan
    for halving in range(HALVINGS + 1):
        if spent + 2 * summary.evaluations > budget:
            break
        finer = session.fold("tune", rows(0.5 * step), plan, f"{name}, finer grid")
        spent += finer.evaluations
        change = _change(summary.tail, finer.tail)
        if change <= SETTLED or halving == HALVINGS:
            break
        step, summary, change = 0.5 * step, finer, math.nan
    return Trial(step, summary, spent, change)


def _change(coarse: TailMoments, fine: TailMoments) -> float:
    """Largest relative change of an estimate or its second moment; NaN where neither has a hit: nothing was compared.

    Where the event has gaps, those that a grid does not see add to the estimate what parts that it does not see take
    away. The second moment weighs lines with the one and the other differently, and tells.
    """
    pairs = [(_log_moments(coarse, k), _log_moments(fine, k)) for k in range(coarse.hits.size)]
    if any(a[0] == b[0] == -math.inf for a, b in pairs):
        return math.nan
    return max(_difference(x, y) for a, b in pairs for x, y in zip(a, b, strict=True))


def _log_moments(tail: TailMoments, k: int) -> tuple[float, float]:
    """Log of the mean weight, and of the mean square but for a constant."""
    log_mean = tail.log_probability(k)
    return log_mean, (2.0 * log_mean - math.log(tail.ess(k)) if log_mean > -math.inf else -math.inf)


def _difference(coarse: float, fine: float) -> float:
    """Relative difference of two numbers whose logs are given; 1 where the second is zero."""
    return abs(math.expm1(coarse - fine)) if fine > -math.inf else 1.0
