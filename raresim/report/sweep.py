"""Figure: the answers of a sweep against the values of its first key, a line for each combination of the others."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from raresim.arguments import numerals
from raresim.report import grid, style
from raresim.report.comparison import Comparison, Row

__all__ = ["draw"]

MOST_PANELS, MOST_LINES = 6, 12
LOG_SPAN = 30.0
"""Ratio of the largest to the smallest answer from which an axis is logarithmic."""

HEIGHT = 2.3


def draw(comparison: Comparison, values: Mapping[str, Sequence[str]], settings: Sequence[Mapping[str, str]]) -> bytes:
    """The figure as PNG.

    Parameters
    ----------
    comparison : Comparison
        The runs, in the order of ``settings``.
    values : mapping of str to sequence of str
        The swept keys and their values, in order.
    settings : sequence of mapping
        Key to value of each run.
    """
    first = next(iter(values))
    labels = comparison.labels[:MOST_PANELS]
    with style.applied():
        height = 0.75 + HEIGHT * len(labels)
        title = f"{len(settings)} runs against {first}"
        figure = style.canvas(height, title)
        for k, label in enumerate(labels):
            top = height - 0.6 - k * HEIGHT
            axes = style.panel(figure, 0.95, top - HEIGHT + 0.75, 5.35, top)
            rows = [row for row in comparison.rows if row.measure == k]
            _panel(axes, rows, values[first], [own[first] for own in settings], _lines(settings, first))
            axes.set_title(style.safe(label))
            if k == 0 and any(axes.get_legend_handles_labels()):
                axes.legend(loc="upper left", bbox_to_anchor=(1.02, 1.02), fontsize=8, handlelength=1.6)
            if k == len(labels) - 1:
                axes.set_xlabel(style.safe(first))
        return style.finish(figure, "sweep", title, "", "").png


def _lines(settings: Sequence[Mapping[str, str]], first: str) -> list[str]:
    """The line that each run belongs to: the values of all keys but the first and the seed."""
    keys = [key for key in settings[0] if key not in (first, "seed")]
    return [", ".join(f"{key.rpartition('.')[2]}={own[key]}" for key in keys) for own in settings]


def _panel(axes: Axes, rows: Sequence[Row], values: Sequence[str], places: Sequence[str], lines: Sequence[str]) -> None:
    """The answers of one question, with their intervals."""
    numbers = [numerals.number(value) for value in values]
    is_number = None not in numbers and len(set(numbers)) == len(numbers)
    x_of = dict(zip(values, numbers if is_number else range(len(values)), strict=True))
    known = [row.value for row in rows if row.value]
    is_log = bool(known) and min(known) > 0 and max(known) > LOG_SPAN * min(known)
    ends: list[float] = []
    for place, line in enumerate(list(dict.fromkeys(lines))[:MOST_LINES]):
        own = [(x_of[at], row) for at, row, its in zip(places, rows, lines, strict=True) if its == line and row.value]
        x = np.array([at for at, _ in own], dtype=np.float64)
        y, low, high = (_scaled([getattr(row, name) for _, row in own], is_log) for name in ("value", "lower", "upper"))
        colour = style.SERIES[place % len(style.SERIES)]
        axes.vlines(x, low, high, color=colour, linewidth=1.2)
        axes.plot(x, y, color=colour, marker="o", markersize=3.5, linewidth=1.0, label=style.clipped(line, 1.75, 8))
        ends += [*y, *low, *high]
    seen = np.array(ends)[np.isfinite(ends)]
    axes.set_ylim(*grid.padded(seen))
    if is_number:
        style.linear(axes.xaxis)
    else:
        axes.set_xticks(range(len(values)), [style.clipped(value, 4.4 / len(values), 8) for value in values])
    if is_log:
        style.decades(axes.yaxis, *axes.get_ylim(), most=5)
    else:
        style.linear(axes.yaxis)


def _scaled(values: Sequence[float | None], is_log: bool) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    found = np.array([math.nan if value is None else value for value in values], dtype=np.float64)
    if not is_log:
        return found
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(found > 0, np.log10(found), np.nan)
