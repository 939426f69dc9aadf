"""How the surrogate of each limit state is fitted: under several warps and axes, with what is cheap to know."""

from __future__ import annotations

from dataclasses import dataclass, replace

from raresim.numerics.arrays import Float
from raresim.surrogate.belief import Predicted, temper_of
from raresim.surrogate.gaussian_process import GaussianProcess, fit
from raresim.surrogate.rivals import First, Rival
from raresim.surrogate.system import Approximation, Component, System
from raresim.surrogate.warp import BONUS

RIVALS, UNLIKELY, WARPED = 4, 15.0, 150
"""Warps that stay in the choice, nats below the best at which one leaves, and evaluations from which the best stays."""


def first_system(
    x: Float,
    margins: Float,
    least: int,
    goals: tuple[float, ...],
    approximation: Approximation | None,
    design: int | None = None,
) -> System:
    """The surrogates after the first evaluations, at points ``x`` (n, d) with ``margins`` (n, m).

    The first ``design`` points, all by default, are those of a first design, from which units are read.
    """
    rough = None if approximation is None else approximation(x)
    columns = range(margins.shape[1])
    parts = [first_component(x, margins[:, j], None if rough is None else rough[:, j], j, design) for j in columns]
    return System(tuple(parts), least, goals, approximation)


def first_component(x: Float, margin: Float, rough: Float | None, column: int, design: int | None = None) -> Component:
    """The most probable of surrogates with different warps, and with the approximation ``rough`` (n,) or without."""
    first = First(margin[:design], None if rough is None else rough[:design])
    return _chosen(tuple(first.rivals()), first, x, margin, rough, column, [])


def refitted(component: Component, x: Float, margin: Float, rough: Float | None, before: list[Predicted]) -> Component:
    """``component`` with parameters fitted to all points ``x`` (n, d) and their margins (n,).

    Parameters
    ----------
    component : Component
        The surrogate so far.
    x, margin
        All points (n, d) and their margins (n,).
    rough : (n,) float64 or None
        Margins of the approximation there.
    before : list of Predicted
        What it predicted, and what came.
    """
    return _chosen(component.rivals, component.first, x, margin, rough, component.column, before)


@dataclass(frozen=True, eq=False)
class _Fit:
    """A rival with its parameters, and the log of its posterior density, in nats that can be compared."""

    process: GaussianProcess
    log_density: float
    assisted: bool

    @property
    def rival(self) -> Rival:
        """Where the next search for its parameters begins."""
        process = self.process
        return Rival(process.warp, process.theta, process.layout.turn, self.assisted)


def _chosen(
    rivals: tuple[Rival, ...],
    first: First,
    x: Float,
    margin: Float,
    rough: Float | None,
    column: int,
    before: list[Predicted],
) -> Component:
    """The most probable surrogate of those that are still likely, and of those near the best.

    The best one is also tried along the axes along which it changes most.
    """
    is_open = len(margin) < WARPED
    found = [_fitted(rival, x, margin, rough) for rival in (rivals if is_open else rivals[:1])]
    if is_open:
        best = max(found, key=lambda one: one.log_density)
        known = {(rival.warp, rival.assisted) for rival in rivals}
        near = [rival for rival in first.near(best.rival) if (rival.warp, rival.assisted) not in known]
        turned = replace(best.rival, theta=None, turn=best.process.axes())
        found += [_fitted(rival, x, margin, rough) for rival in (*near, turned)]
    found.sort(key=lambda one: -one.log_density)
    best = found[0]
    likely = tuple(one.rival for one in found[:RIVALS] if one.log_density > best.log_density - UNLIKELY)
    return Component(best.process, temper_of(best.process, before), best.assisted, column, likely, first)


def _fitted(rival: Rival, x: Float, margin: Float, rough: Float | None) -> _Fit:
    """One rival with its most probable parameters."""
    warp = rival.warp
    values = warp(margin)
    if rival.assisted and rough is not None:
        values = values - warp(rough)
    process, log_density = fit(x, values, warp, rival.theta, rival.turn)
    bonus = BONUS if rival.turn is None else 0.0
    return _Fit(process, log_density + warp.log_slope(margin) + warp.bonus + bonus, rival.assisted)
