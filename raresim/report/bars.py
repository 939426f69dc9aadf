"""Figure: named numbers as horizontal bars from zero with their intervals, the first on top."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from raresim.record.evidence import EvidencePlot
from raresim.report import grid, style

__all__ = ["FORMS", "NAME_SIZE", "WIDEST_NAME", "draw", "on"]

FORMS = ("bars",)
"""Forms of `EvidencePlot` that are drawn here."""

NAME_SIZE = 8.0
WIDEST_NAME = 2.2
"""Points of a name, and the inches that it may take."""


def draw(plot: EvidencePlot, name: str) -> style.Picture:
    """The bars of ``plot``; ``name`` is the name of the file."""
    labels = [style.clipped(label, WIDEST_NAME, NAME_SIZE) for label in plot.labels]
    margin = 0.15 + max((style.width_of(label, NAME_SIZE) for label in labels), default=0.0)
    height = 0.17 * max(len(labels), 3)
    figure = style.canvas(height + 0.85, plot.title)
    axes = style.panel(figure, margin, 0.45, style.WIDTH - 0.15, 0.45 + height)
    on(axes, plot, labels)
    axes.set_xlabel(style.clipped(plot.y_label, style.WIDTH - margin, 9.0))
    low, high = np.array(plot.low, dtype=np.float64), np.array(plot.high, dtype=np.float64)
    has_lines = bool((high > low).any())
    caption = "Bars are the numbers, lines their intervals: one that contains zero leaves the sign of its number open."
    caption = caption if has_lines else "Bars are the numbers."
    return style.finish(figure, name, plot.title, caption, f"Bars: {', '.join(plot.labels)}.")


def on(axes: Axes, plot: EvidencePlot, labels: Sequence[str]) -> None:
    """The bars of ``plot`` on ``axes``, named by ``labels``."""
    y, low, high = (np.array(values, dtype=np.float64) for values in (plot.y, plot.low, plot.high))
    place = np.arange(y.size)
    axes.barh(place, y, height=0.62, color=style.BLUE, alpha=0.55)
    axes.hlines(place, low, high, color=style.INK, linewidth=1.0)
    axes.axvline(0.0, color=style.GREY, linewidth=0.8)
    seen = np.concatenate([[0.0], y, low, high])
    axes.set_xlim(*grid.padded(seen[np.isfinite(seen)]))
    axes.set_ylim(max(y.size, 3) - 0.4, -0.6)
    axes.set_yticks(place, labels, fontsize=NAME_SIZE)
    axes.grid(visible=False, axis="y")
    style.linear(axes.xaxis)
