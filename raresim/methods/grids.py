"""How fine the grid along lines and rays must be: it is halved until that changes nothing."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from raresim.accumulators.summary import Summary
from raresim.accumulators.tail import TailMoments
from raresim.engine.session import Session
from raresim.estimators.base import Estimator

SETTLED = 0.01
"""Relative change of all moments of the trial from one grid to the next at which the coarser grid is kept."""

HALVINGS = 3
"""Largest number of times that a grid is halved."""


@dataclass(frozen=True, eq=False)
class Trial:
    """What a trial of a few rows found.

    Parameters
    ----------
    step : float
        Spacing of the chosen grid.
    summary : Summary
        Sums over the trial rows on that grid.
    evaluations : int
        Evaluations of the loss on all grids.
    change : float
        Largest relative change of an estimate or its second moment from that grid to one of half the spacing; NaN if
        none was tried.
    """

    step: float
    summary: Summary
    evaluations: int
    change: float

    @property
    def facts(self) -> dict[str, float]:
        """Numbers for the verdict: ``grid_step``, and ``grid_change`` if it is known."""
        known = {} if math.isnan(self.change) else {"grid_change": self.change}
        return {"grid_step": self.step} | known

    @property
    def decision(self) -> str:
        """The choice of the grid in words."""
        if math.isnan(self.change):
            return (
                f"The grid step of {self.step:.3g} standard deviations was not compared with a finer one: no trial "
                "met the event, or the budget was too small."
            )
        if self.change <= SETTLED:
            return f"Halving the grid step {self.step:.3g} changes estimates of a trial by {self.change:.2%} at most."
        return (
            f"Halving the grid step of {self.step:.3g} still changes the estimates of a trial by {self.change:.2%}: "
            "parts of the event are missed, so give a smaller step."
        )


def settle(session: Session, rows: Callable[[float], Estimator], step: float, n: int, name: str, budget: int) -> Trial:
    """Try ``n`` rows on a grid of spacing ``step``, and the same rows on finer grids until nothing changes.

    Parameters
    ----------
    session : Session
        The run, which evaluates.
    rows : callable
        From the spacing to the estimator.
    step : float
        First spacing.
    n : int
        Rows of the trial.
    name : str
        Name of the trial in progress reports.
    budget : int
        Largest number of evaluations at which a finer grid is tried, for all grids together.
    """
    few = max(1, -(-n // 16))  # a row is a whole line or ray: small blocks let workers share even these
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
    """Largest relative change of an estimate or its second moment; NaN without a hit in either: nothing was compared.

    In an event with gaps, unseen gaps add to the estimate what unseen parts take away. The second moment weighs lines
    with gaps and lines with parts differently, and so shows the change.
    """
    pairs = [(_log_moments(coarse, k), _log_moments(fine, k)) for k in range(coarse.hits.size)]
    if any(a[0] == b[0] == -math.inf for a, b in pairs):
        return math.nan
    return max(_difference(x, y) for a, b in pairs for x, y in zip(a, b, strict=True))


def _log_moments(tail: TailMoments, k: int) -> tuple[float, float]:
    """Log of the mean weight, and log of the mean square up to a constant."""
    log_mean = tail.log_probability(k)
    return log_mean, (2.0 * log_mean - math.log(tail.ess(k)) if log_mean > -math.inf else -math.inf)


def _difference(coarse: float, fine: float) -> float:
    """Relative difference of two numbers given by their logs; 1 if the second is zero."""
    return abs(math.expm1(coarse - fine)) if fine > -math.inf else 1.0
