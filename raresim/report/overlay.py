"""Figure: several runs of one problem on common axes, estimates and errors against evaluations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from raresim.record.records import Estimate
from raresim.report import style, tables
from raresim.report.run import Array, Run

__all__ = ["draw"]

MOST_RUNS = 16
BEFORE = ("explore", "tune")
DASHES = ("-", (0, (6, 2)), (0, (2, 1.5)))


def draw(runs: Sequence[Run], names: Sequence[str]) -> style.Picture | str:
    """The rarest question of the first run: running estimates above, relative errors below."""
    k = runs[0].index(runs[0].primary)
    shown = [(run, name) for run, name in zip(runs, names, strict=True) if _has_path(run, k)][:MOST_RUNS]
    if not shown:
        return "No run has a path with a hit, so there is nothing to draw."
    with style.applied():
        primary = runs[0].estimates[k]
        title = f"{primary.label}: {len(shown)} run{'s' if len(shown) > 1 else ''} on common axes"
        height = max(5.3, 1.2 + 0.19 * len(shown))
        figure = style.canvas(height, title)
        estimates = style.panel(figure, 0.95, height / 2 + 0.15, 5.35, height - 0.55)
        errors = style.panel(figure, 0.95, 0.5, 5.35, height / 2 - 0.4)
        for place, (run, name) in enumerate(shown):
            _paths(estimates, errors, run, k, _look(place), name)
        reference = primary.reference.value if primary.reference else 0.0
        if reference > 0:
            label = f"reference {tables.number(reference)}"
            estimates.axhline(math.log10(reference), color=style.INK, linestyle=":", linewidth=1.3, label=label)
        estimates.set_ylim(*_range([run.estimates[k] for run, _ in shown], reference))
        estimates.set_title("running estimate and its interval (log scale)")
        errors.set_title("relative error (log scale)")
        errors.set_xlabel("model evaluations, tuning included (log scale)")
        for axes in (estimates, errors):
            style.decades(axes.yaxis, *axes.get_ylim(), most=6)
            style.decades(axes.xaxis, *axes.get_xlim(), most=6, plain=True)
        estimates.legend(loc="upper left", bbox_to_anchor=(1.02, 1.02), fontsize=8, handlelength=2.2)
        left_out = len(runs) - len(shown)
        return style.finish(
            figure,
            "compare",
            title,
            "A line begins where the tuning of its run ended. Errors of sound runs fall like one over the square root"
            " of the evaluations, side by side; the lower line is the cheaper method."
            + (f" {left_out} further runs are not drawn." if left_out else ""),
            "Running estimates and relative errors of " + ", ".join(name for _, name in shown) + ".",
        )


def _look(place: int) -> dict[str, Any]:
    return {
        "color": style.SERIES[place % len(style.SERIES)],
        "linestyle": DASHES[place // len(style.SERIES) % len(DASHES)],
        "linewidth": 1.4,
    }


def _has_path(run: Run, k: int) -> bool:
    return k in run.traces and bool(np.any(run.traces[k].value > 0))


def _paths(estimates: Axes, errors: Axes, run: Run, k: int, look: dict[str, Any], name: str) -> None:
    trace = run.traces[k]
    spent = trace.evaluations + sum(run.evaluations.get(stage, 0) for stage in BEFORE)
    kept = (trace.value > 0) & (spent > 0)
    x = np.log10(spent[kept])
    value, error, lower, upper = (a[kept] for a in (trace.value, trace.std_error, trace.lower, trace.upper))
    look = look | {"marker": "o" if x.size < 3 else None, "markersize": 3.5}
    estimates.fill_between(x, _log10(lower), _log10(upper), color=look["color"], alpha=0.1)
    estimates.plot(x, _log10(value), label=style.clipped(name, 1.75, 8), **look)
    errors.plot(x, _log10(error / value), **look)


def _log10(values: Array) -> Array:
    return np.log10(values, where=values > 0, out=np.full(values.shape, np.nan))


def _range(estimates: list[Estimate], reference: float) -> tuple[float, float]:
    """Range of all final estimates and of the intervals that hold: other intervals would take all the room."""
    believed = [e for e in estimates if e.verdict.status in ("trusted", "caution")] or estimates
    seen = [*(e.value for e in estimates), *(end for e in believed for end in (e.lower, e.upper))]
    ends = [x for x in seen if 0 < x < math.inf]
    logs = np.log10([*ends, *([reference] if reference > 0 else [])] or [1.0])
    middle, half = float(logs.max() + logs.min()) / 2, float(np.ptp(logs)) / 2
    half = max(1.5 * half, 0.05)
    return middle - half, middle + half
