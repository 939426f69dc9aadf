"""A panel with a curve of probabilities on a log axis, its bands, and marked points: several plots in one panel."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes

from raresim.record.evidence import EvidencePlot
from raresim.report import grid, style

__all__ = ["CAPTION", "FORMS", "panels"]

FORMS = ("curve", "band", "marks")
"""Forms of `EvidencePlot` that are drawn here: a curve, and the forms drawn over the curve before them."""

CAPTION = (
    "The pale band holds for the whole curve at once, the darker one at each point by itself; orange points are the"
    " losses asked for by probability. A straight falling line on this axis means an exponential tail, a curve that"
    " bends up a heavier one."
)

FOOT = 10.0
"""Ratio of the smallest probability drawn to the lower edge of the panel."""


def panels(plots: tuple[EvidencePlot, ...]) -> list[grid.Panel]:
    """A panel for each plot of form ``curve``, with the plots of the other `FORMS` that follow it drawn over it."""
    groups: list[list[EvidencePlot]] = []
    for plot in plots:
        if plot.form == "curve":
            groups.append([])
        if plot.form in FORMS and groups:
            groups[-1].append(plot)
    return [_panel(*group) for group in groups]


def _panel(given: EvidencePlot, *overlays: EvidencePlot) -> grid.Panel:
    foot = min((y for y in given.y if y > 0), default=1.0) / FOOT
    curve, *over = (_logarithms(plot, foot) for plot in (given, *overlays))
    _, y, low, high = grid.finite(curve)
    seen = np.concatenate([y, np.maximum(low, np.log10(foot)), high])

    def content(axes: Axes, plot: EvidencePlot, limits: grid.Limits) -> None:
        _draw(axes, plot, over, limits)

    return grid.Panel(curve, curve.title, grid.padded(seen[np.isfinite(seen)]), content, is_log=True)


def _logarithms(plot: EvidencePlot, foot: float) -> EvidencePlot:
    """``log10`` of the y values; a point at zero is left out, and the end of a band there lies far below."""
    with np.errstate(divide="ignore", invalid="ignore"):
        y = np.log10(np.array(plot.y, dtype=np.float64))
        ends = (np.log10(np.maximum(np.array(end, dtype=np.float64), foot * foot)) for end in (plot.low, plot.high))
    low, high = (tuple(end.tolist()) for end in ends)
    return replace(plot, y=tuple(np.where(np.isfinite(y), y, np.nan).tolist()), low=low, high=high)


def _draw(axes: Axes, curve: EvidencePlot, over: list[EvidencePlot], limits: grid.Limits) -> None:
    x, y, low, high = grid.points(curve)
    axes.set_xlim(*grid.padded(x))
    grid.band(axes, x, low, high, limits)
    for plot in over:
        at, _, lower, upper = grid.points(plot)
        if plot.form == "band":
            grid.band(axes, at, lower, upper, limits)
    axes.plot(x, y, color=style.BLUE, linewidth=1.3)
    for plot in over:
        at, value, lower, upper = grid.points(plot)
        if plot.form == "marks":
            axes.vlines(at, lower, upper, color=style.ORANGE, linewidth=1.0)
            axes.plot(at, value, linestyle="", marker="o", markeredgewidth=0.0, markersize=4.0, color=style.ORANGE)
