"""Figures: how well the inputs fit their data, one small panel per fitted law or tail."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import MaxNLocator

from raresim.evidence import EvidencePlot
from raresim.report import style, tables
from raresim.report.run import Array, Run

__all__ = ["draw_quantiles", "draw_stability"]

MOST_PANELS = 12
LARGEST = 1e100  # beyond it the distance of two points may be too large for a double, and nothing is a return
PLOT_HEIGHT = {1: 2.7, 2: 1.9, 3: 1.2}  # inches, by panels in a row
TICK_SIZE = {1: 9.0, 2: 8.0, 3: 7.5}

Draw = Callable[[Axes, EvidencePlot, tuple[float, float]], None]


def draw_quantiles(run: Run) -> style.Picture | str:
    """Observed against fitted quantiles of each law, with the identity line and the band around it."""
    plots = [plot for plot in run.evidence.plots if plot.form == "quantiles"]
    if not plots:
        return "No fitted quantiles were stored."
    return _draw(
        "fit-quantiles",
        plots,
        _quantiles_finding(plots),
        _quantiles,
        _headings(plots[:MOST_PANELS]),
        [_quantile_limits(plot) for plot in plots[:MOST_PANELS]],
        "Each point is an observed quantile against the same quantile of the fitted law. A good fit keeps the points on"
        " the dashed line, up to the scatter that the shaded band allows; points outside it are orange. A few just"
        " outside are chance, and come in clusters. Points that leave the band at the ends, where the events of this"
        " run lie, mean that the law of the tail is doubtful: above the line at the upper end, or below it at the lower"
        " end, the data have a heavier tail than the law.",
        "Quantile plots",
    )


def draw_stability(run: Run) -> style.Picture | str:
    """Shape of each fitted tail, with its band, against the share of the sample that it was fitted to."""
    plots = [plot for plot in run.evidence.plots if plot.form == "stability"]
    if not plots:
        return "No tail was fitted to different shares of the sample."
    shown = plots[:MOST_PANELS]
    return _draw(
        "fit-stability",
        plots,
        _stability_finding(plots),
        _stability,
        [plot.title for plot in shown],
        [_common_limits(shown)] * len(shown),
        "The shape of the tail, fitted to more and more of the sample; the larger, the heavier the tail. Where the tail"
        " law holds, the line is level within its shaded band, and the share that was used should lie on a level"
        " stretch. On the left few points make the band wide; a drift on the right means that the share reaches out of"
        " the tail. A line that is level nowhere means that the law of the tail is doubtful.",
        "Tail shapes",
    )


def _draw(
    name: str,
    plots: list[EvidencePlot],
    finding: str,
    draw: Draw,
    headings: list[str],
    limits: list[tuple[float, float]],
    caption: str,
    what: str,
) -> style.Picture:
    """A grid of panels; labels that all of them share stand at its left and lower edges only."""
    shown = plots[:MOST_PANELS]
    n, columns = len(shown), len(shown) if len(shown) <= 3 else 2 if len(shown) == 4 else 3
    size, plot_height = TICK_SIZE[columns], PLOT_HEIGHT[columns]
    is_shared = len({(plot.x_label, plot.y_label) for plot in shown}) == 1
    label = 0.18  # inches that a line of text beside an axis takes
    row_height = plot_height + 0.52 + (0.0 if is_shared else label)
    height = 0.37 + math.ceil(n / columns) * row_height + (label if is_shared else 0.0)
    figure = style.canvas(height, finding)
    edge = label if is_shared else 0.0
    cell = (style.WIDTH - edge) / columns
    margin = 0.58 if is_shared else 0.58 + label
    for place, (plot, heading, (low, high)) in enumerate(zip(shown, headings, limits, strict=True)):
        row, column = divmod(place, columns)
        x0, x1 = edge + column * cell + margin, edge + (column + 1) * cell - 0.1
        y1 = height - 0.55 - row * row_height
        axes = style.panel(figure, x0, y1 - plot_height, x1, y1)
        axes.set_ylim(low, high)
        axes.tick_params(labelsize=size)
        draw(axes, plot, (low, high))
        if _points(plot)[0].size == 0:
            middle: dict[str, Any] = {"transform": axes.transAxes, "ha": "center", "va": "center"}
            axes.text(0.5, 0.5, "no finite number", backgroundcolor="white", **middle)
        _few(axes.xaxis, x1 - x0, size, lambda text: style.width_of(text, size))
        _few(axes.yaxis, plot_height, size, lambda _: size / 72)
        axes.set_title(style.clipped(heading, x1 - x0 + 0.05, size + 0.5), fontsize=size + 0.5)
        if not is_shared or place + columns >= n:
            axes.set_xlabel(style.clipped(plot.x_label, x1 - x0, size), fontsize=size, labelpad=2.5)
        if not is_shared or column == 0:
            side = (x0 - margin - edge + 0.02) / style.WIDTH, (y1 - plot_height / 2) / figure.get_figheight()
            text = style.clipped(plot.y_label, plot_height, size)
            figure.text(*side, text, rotation=90, va="center", fontsize=size)
    left_out = len(plots) - n
    more = f" {left_out} further plot{'s are' if left_out > 1 else ' is'} in evidence.json." if left_out else ""
    return style.finish(figure, name, finding, caption + more, f"{what}: {', '.join(plot.title for plot in shown)}.")


def _quantiles(axes: Axes, plot: EvidencePlot, limits: tuple[float, float]) -> None:
    x, y, low, high = _points(plot)
    left, right = _padded(x)
    axes.set_xlim(left, right)
    _band(axes, x, low, high, limits)
    axes.plot([left, right], [left, right], **(style.DASHED | {"color": style.GREY}), linewidth=1.0)
    is_outside = (y < low) | (y > high)
    look: dict[str, Any] = {"linestyle": "", "marker": "o", "markeredgewidth": 0.0}
    axes.plot(x[~is_outside], y[~is_outside], **look, markersize=2.6, color=style.BLUE)
    axes.plot(x[is_outside], y[is_outside], **look, markersize=3.2, color=style.ORANGE)


def _stability(axes: Axes, plot: EvidencePlot, limits: tuple[float, float]) -> None:
    x, y, low, high = _points(plot)
    axes.set_xlim(*_padded(x))
    _band(axes, x, low, high, limits)
    axes.plot(x, y, color=style.BLUE, linewidth=1.2, marker="o", markersize=2.6)


def _band(axes: Axes, x: Array, low: Array, high: Array, limits: tuple[float, float]) -> None:
    """The shaded band; where only one end is known, the other is open."""
    low = np.where(np.isnan(low) & ~np.isnan(high), -LARGEST, low)
    high = np.where(np.isnan(high) & ~np.isnan(low), LARGEST, high)
    far = 50 * (limits[1] - limits[0])  # out of sight, and near enough to be drawn
    low, high = (np.clip(end, limits[0] - far, limits[1] + far) for end in (low, high))
    axes.fill_between(x, low, high, color=style.BLUE, alpha=0.18)


def _few(axis: Axis, length: float, size: float, extent: Callable[[str], float]) -> None:
    """As many ticks, at most eight, as fit beside each other on an axis of ``length`` inches."""
    low, high = sorted(axis.get_view_interval())
    for most in range(8 if length > 4 else 5, 0, -1):
        places = MaxNLocator(most, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
        ticks = [float(place) for place in places if low <= place <= high]
        labels = _labels(ticks)
        if sum(extent(label) + 0.6 * size / 72 for label in labels) <= length:
            break
    axis.set_ticks(ticks, labels)


def _labels(ticks: list[float]) -> list[str]:
    """With as many digits as it takes to tell them apart; powers from a million on, which are shorter."""
    for digits in range(4, 18):
        labels = [f"{x:,.0f}" if 1e4 <= abs(x) < 1e6 and x == int(x) else f"{x:.{digits}g}" for x in ticks]
        if len(set(labels)) == len(labels):
            break
    return labels


def _points(plot: EvidencePlot) -> tuple[Array, Array, Array, Array]:
    """The points that can be drawn, by their place on the x axis, with their band; each ``(k,)``."""
    stored = np.array([plot.x, plot.y, plot.low, plot.high], dtype=np.float64)
    stored = np.where(np.abs(stored) <= LARGEST, stored, np.nan)
    stored = stored[:, ~np.isnan(stored[:2]).any(axis=0)]
    x, y, low, high = stored[:, np.argsort(stored[0], kind="stable")]
    return x, y, low, high


def _quantile_limits(plot: EvidencePlot) -> tuple[float, float]:
    """The band at the ends may be many times as wide as the sample, and is cut off there."""
    x, y, _, _ = _points(plot)
    return _padded(np.concatenate([x, y]))


def _common_limits(plots: list[EvidencePlot]) -> tuple[float, float]:
    """One scale for all panels: shapes have no unit, and comparing them is the point of showing them together."""
    ends = [np.zeros(0)]
    for _, y, low, high in map(_points, plots):
        half = (high - low)[np.isfinite(high - low)] / 2
        ends += [y - np.median(half), y + np.median(half)] if half.size else [y]
    return _padded(np.concatenate(ends))


def _padded(values: Array) -> tuple[float, float]:
    if values.size == 0:
        return 0.0, 1.0
    low, high = float(np.min(values)), float(np.max(values))
    largest = max(abs(low), abs(high))
    pad = 0.05 * (high - low if high - low > 1e-9 * largest else largest) or 1.0
    return low - pad, high + pad


def _headings(plots: list[EvidencePlot]) -> list[str]:
    """The titles, without what all of them say after a colon."""
    parts = [plot.title.partition(": ") for plot in plots]
    if all(part[0] and part[1] for part in parts) and len({part[2] for part in parts}) == 1:
        return [part[0] for part in parts]
    return [plot.title for plot in plots]


def _quantiles_finding(plots: list[EvidencePlot]) -> str:
    inside = []
    for plot, heading in zip(plots, _headings(plots), strict=True):
        _, y, low, high = _points(plot)
        if y.size:
            inside.append((int(np.count_nonzero(~((y < low) | (y > high)))), y.size, heading))
    if not inside:
        return "No fitted quantile is a finite number"
    within, total = sum(k for k, _, _ in inside), sum(n for _, n, _ in inside)
    if within == total:
        return "All points lie in the band"
    finding = f"{tables.percent(within / total)} of the points lie in the band"
    if len(inside) == 1:
        return finding
    k, n, worst = min(inside, key=lambda row: row[0] / row[1])
    return f"{finding}, fewest for {style.clipped(worst, 2.5, 10)}: {tables.percent(k / n)}"


def _stability_finding(plots: list[EvidencePlot]) -> str:
    """In how many tails one shape lies in the bands of all shares."""
    bands = [(low, high) for x, _, low, high in map(_points, plots) if x.size]
    level = sum(np.nanmax(np.append(low, -LARGEST)) <= np.nanmin(np.append(high, LARGEST)) for low, high in bands)
    if not bands:
        return "No fitted shape is a finite number"
    if len(bands) == 1:
        return "One shape fits every share of the sample" if level else "No one shape fits every share of the sample"
    return f"One shape fits every share of the sample in {level} of {len(bands)} tails"
