"""Figure: the plots that a method stored on its way to the proposal, one small panel each."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from raresim.record.evidence import EvidencePlot
from raresim.report import grid, style
from raresim.report.run import Array, Run

__all__ = ["draw", "panel"]

LOG_SPAN = 1e3
"""Ratio of the largest to the smallest value above which a positive quantity is drawn on a log scale."""


def draw(run: Run) -> style.Picture | str:
    """The plots of ``trace.json``: joined points with their band if they have one, or points alone."""
    plots = run.trace.plots
    if not plots:
        return "The method stored no plots of its way to the proposal."
    title = plots[0].title if len(plots) == 1 else "What the method saw on its way to the estimate"
    return grid.draw(
        "trace",
        [panel(plot, "" if len(plots) == 1 else plot.title) for plot in plots],
        title,
        "The numbers by which the method decided, as stored. A shaded band, where there is one, is the"
        " uncertainty of the line; an axis with powers of ten is logarithmic.",
        "Plots",
        "trace.json",
    )


def panel(plot: EvidencePlot, heading: str) -> grid.Panel:
    """A panel of joined points or of points alone, on a log axis if the values span decades."""
    _, y, low, high = grid.finite(plot)
    is_log = bool(y.size) and float(y.min()) > 0 and float(y.max()) > LOG_SPAN * float(y.min())
    if is_log:
        foot = float(y.min()) / 10
        plot = replace(
            plot,
            y=_log10(plot.y, 0.0),
            low=_log10(plot.low, foot),
            high=_log10(plot.high, foot),
        )
        _, y, low, high = grid.finite(plot)
    seen = np.concatenate([y, low, high])
    limits = grid.padded(seen[np.isfinite(seen)])
    return grid.Panel(plot, heading, limits, _joined if plot.form == "line" else _alone, is_log)


def _log10(values: tuple[float, ...], foot: float) -> tuple[float, ...]:
    """``log10`` of each value, with ``foot`` for anything below it; NaN stays."""
    with np.errstate(divide="ignore"):
        logs: Array = np.log10(np.maximum(np.array(values, dtype=np.float64), foot))
    return tuple(logs.tolist())


def _joined(axes: Axes, plot: EvidencePlot, limits: grid.Limits) -> None:
    x, y, low, high = grid.finite(plot)
    axes.set_xlim(*grid.padded(x))
    grid.band(axes, x, low, high, limits)
    axes.plot(x, y, color=style.BLUE, linewidth=1.3, marker="o" if x.size <= 40 else None, markersize=2.6)


def _alone(axes: Axes, plot: EvidencePlot, limits: grid.Limits) -> None:
    x, y, low, high = grid.finite(plot)
    axes.set_xlim(*grid.padded(x))
    has_bar = np.isfinite(low) & np.isfinite(high)
    axes.vlines(x[has_bar], low[has_bar], high[has_bar], color=style.BLUE, alpha=0.4, linewidth=1.0)
    look: dict[str, Any] = {"linestyle": "", "marker": "o", "markeredgewidth": 0.0}
    axes.plot(x, y, **look, markersize=2.6 if x.size > 100 else 4.5, color=style.BLUE, alpha=0.8)
