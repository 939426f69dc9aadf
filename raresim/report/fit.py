"""Figures: how well the inputs fit their data, one small panel per fitted law or tail."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from raresim.record.evidence import EvidencePlot
from raresim.report import grid, style, tables
from raresim.report.run import Run

__all__ = ["draw_quantiles", "draw_stability"]

FILE = "evidence.json"


def draw_quantiles(run: Run) -> style.Picture | str:
    """Observed against fitted quantiles of each law, with the identity line and the band around it."""
    plots = [plot for plot in run.evidence.plots if plot.form == "quantiles"]
    if not plots:
        return "No fitted quantiles were stored."
    return grid.draw(
        "fit-quantiles",
        [
            grid.Panel(plot, heading, _quantile_limits(plot), _quantiles)
            for plot, heading in zip(plots, _headings(plots), strict=True)
        ],
        _quantiles_finding(plots),
        "Each point is an observed quantile against the same quantile of the fitted law. A good fit keeps the points on"
        " the dashed line, up to the scatter that the shaded band allows; points outside it are orange. A few just"
        " outside are chance, and come in clusters. Points that leave the band at the ends, where the events of this"
        " run lie, mean that the law of the tail is doubtful: above the line at the upper end, or below it at the lower"
        " end, the data have a heavier tail than the law.",
        "Quantile plots",
        FILE,
    )


def draw_stability(run: Run) -> style.Picture | str:
    """Shape of each fitted tail, with its band, against the share of the sample that it was fitted to."""
    plots = [plot for plot in run.evidence.plots if plot.form == "stability"]
    if not plots:
        return "No tail was fitted to different shares of the sample."
    limits = _common_limits(plots[: grid.MOST_PANELS])
    return grid.draw(
        "fit-stability",
        [grid.Panel(plot, plot.title, limits, _stability) for plot in plots],
        _stability_finding(plots),
        "The shape of the tail, fitted to more and more of the sample; the larger, the heavier the tail. Where the tail"
        " law holds, the line is level within its shaded band, and the share that was used should lie on a level"
        " stretch. On the left few points make the band wide; a drift on the right means that the share reaches out of"
        " the tail. A line that is level nowhere means that the law of the tail is doubtful.",
        "Tail shapes",
        FILE,
    )


def _quantiles(axes: Axes, plot: EvidencePlot, limits: grid.Limits) -> None:
    x, y, low, high = grid.points(plot)
    left, right = grid.padded(x)
    axes.set_xlim(left, right)
    grid.band(axes, x, low, high, limits)
    axes.plot([left, right], [left, right], **(style.DASHED | {"color": style.GREY}), linewidth=1.0)
    is_outside = (y < low) | (y > high)
    look: dict[str, Any] = {"linestyle": "", "marker": "o", "markeredgewidth": 0.0}
    axes.plot(x[~is_outside], y[~is_outside], **look, markersize=2.6, color=style.BLUE)
    axes.plot(x[is_outside], y[is_outside], **look, markersize=3.2, color=style.ORANGE)


def _stability(axes: Axes, plot: EvidencePlot, limits: grid.Limits) -> None:
    x, y, low, high = grid.points(plot)
    axes.set_xlim(*grid.padded(x))
    grid.band(axes, x, low, high, limits)
    axes.plot(x, y, color=style.BLUE, linewidth=1.2, marker="o", markersize=2.6)


def _quantile_limits(plot: EvidencePlot) -> grid.Limits:
    """Limits from the sample: the band at its ends may be many times as wide, and is cut off there."""
    x, y, _, _ = grid.points(plot)
    return grid.padded(np.concatenate([x, y]))


def _common_limits(plots: list[EvidencePlot]) -> grid.Limits:
    """One scale for all panels: shapes have no unit, and comparing them is the point of showing them together."""
    ends = [np.zeros(0)]
    for _, y, low, high in map(grid.points, plots):
        half = (high - low)[np.isfinite(high - low)] / 2
        ends += [y - np.median(half), y + np.median(half)] if half.size else [y]
    return grid.padded(np.concatenate(ends))


def _headings(plots: list[EvidencePlot]) -> list[str]:
    """The titles, without a text after the colon that all of them share."""
    parts = [plot.title.partition(": ") for plot in plots]
    if all(part[0] and part[1] for part in parts) and len({part[2] for part in parts}) == 1:
        return [part[0] for part in parts]
    return [plot.title for plot in plots]


def _quantiles_finding(plots: list[EvidencePlot]) -> str:
    inside = []
    for plot, heading in zip(plots, _headings(plots), strict=True):
        _, y, low, high = grid.points(plot)
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
    """The number of tails in which one shape lies in the bands of all shares."""
    bands = [(low, high) for x, _, low, high in map(grid.points, plots) if x.size]
    level = sum(
        np.nanmax(np.append(low, -grid.LARGEST)) <= np.nanmin(np.append(high, grid.LARGEST)) for low, high in bands
    )
    if not bands:
        return "No fitted shape is a finite number"
    if len(bands) == 1:
        return "One shape fits every share of the sample" if level else "No one shape fits every share of the sample"
    return f"One shape fits every share of the sample in {level} of {len(bands)} tails"
