"""How the surrogate of each limit state is fitted: with its warp chosen once, and with what is known that is cheap."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from raresim.numerics.arrays import Float
from raresim.surrogate.belief import Predicted, temper_of
from raresim.surrogate.gaussian_process import fit
from raresim.surrogate.system import Approximation, Component, System
from raresim.surrogate.warp import Warp, candidates


def first_system(
    x: Float, margins: Float, least: int, goals: tuple[float, ...], approximation: Approximation | None
) -> System:
    """The surrogates after the first design, points ``x`` (n, d) with ``margins`` (n, m), whose warps are to stay."""
    rough = None if approximation is None else approximation(x)
    columns = range(margins.shape[1])
    parts = [first_component(x, margins[:, j], None if rough is None else rough[:, j], j) for j in columns]
    return System(tuple(parts), least, goals, approximation)


def first_component(x: Float, margin: Float, rough: Float | None, column: int) -> Component:
    """The most probable of surrogates with different warps, and with the approximation ``rough`` (n,) or without."""
    tried: list[tuple[Warp, Float]] = [(warp, np.zeros(len(x))) for warp in candidates(margin)]
    if rough is not None:
        left = float((margin - rough).std()) or 1e-9 * (float(margin.std()) or 1.0)
        bent = [warp for warp, _ in tried if warp.bends]
        tried += [(warp, warp(rough)) for warp in (Warp(0.0, left, bends=False), *bent)]
    fits = [(fit(x, warp(margin) - offset, warp), warp, offset) for warp, offset in tried]
    (process, _), _, offset = max(fits, key=lambda found: found[0][1] + found[1].log_slope(margin) + found[1].bonus)
    return Component(process, assisted=bool(offset.any()), column=column)


def refitted(
    component: Component, x: Float, margins: Float, approximation: Approximation | None, before: list[Predicted]
) -> Component:
    """``component`` with parameters fitted to all points ``x`` (n, d) and their ``margins`` (n, m)."""
    warp, values = component.process.warp, component.process.warp(margins[:, component.column])
    if component.assisted and approximation is not None:
        values = values - warp(approximation(x)[:, component.column])
    process, _ = fit(x, values, warp, component.process.theta)
    return replace(component, process=process, temper=temper_of(process, before))
