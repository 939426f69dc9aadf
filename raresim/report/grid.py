"""A grid of small panels, one per `EvidencePlot`, and what the panels share."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import MaxNLocator

from raresim.record.evidence import EvidencePlot
from raresim.report import style
from raresim.report.run import Array

__all__ = ["LARGEST", "MOST_PANELS", "Limits", "Panel", "band", "draw", "finite", "padded", "points", "tick_labels"]

MOST_PANELS = 12
LARGEST = 1e100  # above it a distance of two points may overflow a double, and no number is meaningful
RIGHT = 0.1  # inches between a panel and the edge of the figure, or the next cell
PLOT_HEIGHT = {1: 2.7, 2: 1.9, 3: 1.2}  # inches, by panels in a row
TICK_SIZE = {1: 9.0, 2: 8.0, 3: 7.5}

Limits = tuple[float, float]


@dataclass(frozen=True)
class Panel:
    """One panel: its plot, the range of its y axis, and its drawing function; ``plot.y`` is a ``log10`` if `is_log`."""

    plot: EvidencePlot
    heading: str
    limits: Limits
    content: Callable[[Axes, EvidencePlot, Limits], None]
    is_log: bool = False


def draw(name: str, panels: list[Panel], finding: str, caption: str, what: str, file: str) -> style.Picture:
    """The first `MOST_PANELS` panels; labels that all of them share stand only at the grid's left and lower edges."""
    shown = panels[:MOST_PANELS]
    n, columns = len(shown), len(shown) if len(shown) <= 3 else 2 if len(shown) == 4 else 3
    size, plot_height = TICK_SIZE[columns], PLOT_HEIGHT[columns]
    is_shared = len({(panel.plot.x_label, panel.plot.y_label) for panel in shown}) == 1
    label = 0.18  # inches of a line of text beside an axis
    row_height = plot_height + 0.52 + (0.0 if is_shared else label)
    height = 0.37 + math.ceil(n / columns) * row_height + (label if is_shared else 0.0)
    figure = style.canvas(height, finding)
    edge = label if is_shared else 0.0
    cell = (style.WIDTH - edge) / columns
    margin = 0.58 if is_shared else 0.58 + label
    for place, panel in enumerate(shown):
        row, column = divmod(place, columns)
        x0, x1 = edge + column * cell + margin, edge + (column + 1) * cell - RIGHT
        y1 = height - 0.55 - row * row_height
        axes = style.panel(figure, x0, y1 - plot_height, x1, y1)
        axes.set_ylim(*panel.limits)
        axes.tick_params(labelsize=size)
        panel.content(axes, panel.plot, panel.limits)
        if points(panel.plot)[0].size == 0:
            middle: dict[str, Any] = {"transform": axes.transAxes, "ha": "center", "va": "center"}
            axes.text(0.5, 0.5, "no finite number", backgroundcolor="white", **middle)
        _few(axes.xaxis, x1 - x0, size, lambda text: style.width_of(text, size), RIGHT, below=1e9)
        if panel.is_log:
            style.decades(axes.yaxis, *panel.limits, most=max(2, int(plot_height / 0.3)))
        else:
            _few(axes.yaxis, plot_height, size, lambda _: size / 72)
        heading = "" if n == 1 and panel.heading == finding else panel.heading
        axes.set_title(style.clipped(heading, x1 - x0 + 0.05, size + 0.5), fontsize=size + 0.5)
        if not is_shared or place + columns >= n:
            axes.set_xlabel(style.clipped(panel.plot.x_label, x1 - x0, size), fontsize=size, labelpad=2.5)
        if not is_shared or column == 0:
            side = (x0 - margin - edge + 0.02) / style.WIDTH, (y1 - plot_height / 2) / figure.get_figheight()
            text = style.clipped(panel.plot.y_label, plot_height, size)
            figure.text(*side, text, rotation=90, va="center", fontsize=size)
    left_out = len(panels) - n
    more = f" {left_out} further plot{'s are' if left_out > 1 else ' is'} in {file}." if left_out else ""
    titles = ", ".join(panel.plot.title for panel in shown)
    return style.finish(figure, name, finding, caption + more, f"{what}: {titles}.")


def band(axes: Axes, x: Array, low: Array, high: Array, limits: tuple[float, float]) -> None:
    """The shaded band; if only one end is known, the other is open."""
    low = np.where(np.isnan(low) & ~np.isnan(high), -LARGEST, low)
    high = np.where(np.isnan(high) & ~np.isnan(low), LARGEST, high)
    far = 50 * (limits[1] - limits[0])  # out of sight, but still near enough to draw
    low, high = (np.clip(end, limits[0] - far, limits[1] + far) for end in (low, high))
    axes.fill_between(x, low, high, color=style.BLUE, alpha=0.18)


def points(plot: EvidencePlot) -> tuple[Array, Array, Array, Array]:
    """The points that can be drawn, sorted by x, with their band; each ``(k,)``."""
    stored = finite(plot)
    x, y, low, high = stored[:, np.argsort(stored[0], kind="stable")]
    return x, y, low, high


def finite(plot: EvidencePlot) -> Array:
    """The points that can be drawn and their band, in the order in which they are stored; ``(4, k)``."""
    none = (math.nan,) * len(plot.x)
    stored = np.array([plot.x, plot.y, plot.low or none, plot.high or none], dtype=np.float64)
    stored = np.where(np.abs(stored) <= LARGEST, stored, np.nan)
    kept: Array = stored[:, ~np.isnan(stored[:2]).any(axis=0)]
    return kept


def padded(values: Array) -> tuple[float, float]:
    if values.size == 0:
        return 0.0, 1.0
    low, high = float(np.min(values)), float(np.max(values))
    largest = max(abs(low), abs(high))
    pad = 0.05 * (high - low if high - low > 1e-9 * largest else largest) or 1.0
    return low - pad, high + pad


def _few(
    axis: Axis, length: float, size: float, extent: Callable[[str], float], room: float = math.inf, below: float = 1e6
) -> None:
    """As many ticks, at most eight, as fit beside each other on an axis of ``length`` inches.

    The last one is left out where its label would need more than ``room`` inches beyond the end of the axis.
    """
    low, high = sorted(axis.get_view_interval())
    for most in range(8 if length > 4 else 5, 0, -1):
        places = MaxNLocator(most, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
        ticks = [float(place) for place in places if low <= place <= high]
        labels = tick_labels(ticks, below)
        if sum(extent(label) + 0.6 * size / 72 for label in labels) <= length:
            break
    if ticks and extent(labels[-1]) / 2 > room + length * (high - ticks[-1]) / (high - low):
        ticks, labels = ticks[:-1], labels[:-1]
    axis.set_ticks(ticks, labels)


def tick_labels(ticks: list[float], below: float = 1e6) -> list[str]:
    """Labels with enough digits to tell the ticks apart, all in one form: powers, unless all ticks are ``below``."""
    is_plain = all(abs(x) < below for x in ticks)
    for digits in range(4, 18):
        labels = [f"{x:,.0f}" if is_plain and abs(x) >= 1e4 and x == int(x) else f"{x:.{digits}g}" for x in ticks]
        if len(set(labels)) == len(labels):
            break
    return labels
