"""Figure: each estimate and its interval against the evaluations spent on it."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from raresim.record.records import Estimate
from raresim.report import style, tables
from raresim.report.run import Array, Run, Trace

__all__ = ["draw", "path"]

MOST_PANELS = 4


def draw(run: Run) -> style.Picture | str:
    """The primary estimate in a large panel, up to three others in small panels below it."""
    primary = run.primary
    trace = run.trace_of(primary)
    if trace is None:
        return "The run recorded no path of the primary estimate (convergence.csv has no row for it)."
    if primary.is_below_doubles:
        return "The probability is smaller than the smallest number a double holds, so its path is flat at zero."
    others = [(e, t) for e in run.estimates if e is not primary and (t := run.trace_of(e)) is not None]
    small = others if len(others) < MOST_PANELS else []
    title = _finding(primary, trace)
    height = 5.1 if small else 3.3
    figure = style.canvas(height, title)
    main = style.panel(figure, 0.95, height - 2.75, 6.4, height - 0.55)
    path(main, primary, trace)
    main.set_title(style.safe(_quantity(primary))[:30])
    main.set_xlabel("model evaluations of the estimate stage (log scale)")
    main.legend(
        loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, borderaxespad=0.1, handlelength=1.6, columnspacing=1.3
    )
    width = 6.65 / 3
    for place, (estimate, own) in enumerate(small):
        axes = style.panel(figure, 0.95 + place * width, 0.3, 0.95 + (place + 1) * width - 0.7, 1.4)
        path(axes, estimate, own, is_small=True)
        axes.set_title(style.safe(_short(f"{estimate.label} = {tables.number(estimate.value)}")), fontsize=8)
    return style.finish(
        figure,
        "convergence",
        title,
        _reading(primary) + _left_out(len(others) - len(small)),
        f"Running estimate of {primary.label} against evaluations, ending at {tables.number(primary.value)}"
        f" with interval {tables.interval(primary.lower, primary.upper)}.",
    )


def _telling(trace: Trace) -> Trace:
    """``trace`` without the first points whose interval reaches a probability of one, unless there are no others."""
    begins = int(np.argmax(trace.upper < 1.0))
    return Trace(*(getattr(trace, f.name)[begins:] for f in fields(trace)))


def path(axes: Axes, estimate: Estimate, trace: Trace, *, is_small: bool = False) -> None:
    """The running ``estimate`` with its interval on ``axes``; ``is_small`` leaves out the number at its end."""
    if estimate.kind == "probability":
        trace = _telling(trace)
    x = np.log10(np.maximum(trace.evaluations, 1.0))
    lower, value, upper = (_finite(a) for a in (trace.lower, trace.value, trace.upper))
    reference = math.nan if estimate.reference is None else estimate.reference.value
    floor = _log_floor(lower, value, upper, reference)
    if floor is not None:
        lower, value, upper = (np.log10(np.where(a > 0, a, floor)) for a in (lower, value, upper))
    axes.fill_between(x, lower, upper, color=style.BLUE, alpha=0.18, label=_band(estimate))
    is_point = bool(x[0] == x[-1])  # neither a line nor a band can show one point
    look: dict[str, Any] = {"color": style.BLUE, "marker": "o" if is_point else None, "markersize": 4.0}
    if is_point:
        axes.vlines(x, lower, upper, color=style.BLUE, alpha=0.35, linewidth=5.0)
    if estimate.is_bound:
        axes.plot(x, upper, **look, label="upper limit")
    else:
        axes.plot(x, value, **look, label="estimate")
    if math.isfinite(reference) and (floor is None or reference > 0):
        place = reference if floor is None else math.log10(reference)
        axes.axhline(place, **style.DASHED, linewidth=1.2, label=f"reference {tables.number(reference)}")
    first, last = (x[0] - 0.5, x[0] + 0.5) if is_point else (float(x[0]), float(x[-1]))
    axes.set_xlim(first, last)
    if floor is None:
        style.linear(axes.yaxis, 3 if is_small else 5)
    else:
        axes.set_ylim(bottom=math.log10(floor))
        style.decades(axes.yaxis, *axes.get_ylim(), most=3 if is_small else 6)
    style.decades(axes.xaxis, first, last, most=3 if is_small else 6, plain=True)
    if is_small:
        axes.tick_params(labelsize=7.5)
    else:
        end = upper[-1] if estimate.is_bound else value[-1]
        if np.isfinite(end):
            axes.text(last + 0.01 * (last - first), end, _final(estimate), va="center", color=style.BLUE)


def _log_floor(lower: Array, value: Array, upper: Array, reference: float) -> float | None:
    """Lower end of a log axis, which stands for zero; None if an ordinary axis shows the path better."""
    positive = value[value > 0] if np.any(value > 0) else upper[upper > 0]
    everything = np.concatenate([lower, value, upper])
    if positive.size == 0 or np.nanmin(everything) < 0:
        return None
    last, widest = positive[-1], 8.0
    if np.nanmax(everything) < widest * last and np.min(positive) > last / widest:
        return None
    everything = np.append(everything, reference)
    return float(np.min(everything[everything > 0])) / 2


def _finite(a: Array) -> Array:
    return np.where(np.isfinite(a), a, np.nan)


def _quantity(estimate: Estimate) -> str:
    name = {
        "probability": "probability",
        "value_at_risk": "value at risk",
        "expected_shortfall": "expected shortfall",
    }
    return name.get(estimate.kind, estimate.kind.replace("_", " ")) + tables.in_brackets(estimate.unit)


def _band(estimate: Estimate) -> str:
    return f"{tables.confidence(estimate)} interval".lstrip()


def _final(estimate: Estimate) -> str:
    if estimate.is_bound:
        return f"\u2264 {tables.number(estimate.upper)}"
    if not tables.is_known(estimate.relative_error):
        return tables.number(estimate.value)
    return f"{tables.number(estimate.value)}\nrel. error {tables.percent(estimate.relative_error)}"


def _finding(estimate: Estimate, trace: Trace) -> str:
    evaluations = tables.count(trace.evaluations[-1])
    if estimate.is_bound:
        return f"No event in {evaluations} evaluations: only an upper limit of {tables.number(estimate.upper)}"
    finding = f"{tables.number(estimate.value)} after {evaluations} evaluations"
    if tables.is_known(estimate.relative_error):
        finding += f", relative error {tables.percent(estimate.relative_error)}"
    if estimate.reference is not None and estimate.has_error:
        distance = abs(estimate.value - estimate.reference.value) / estimate.std_error
        finding += f", {tables.number(distance, 2)} SE from reference"
    return finding


def _reading(estimate: Estimate) -> str:
    if estimate.is_bound:
        return (
            "The line is the upper limit that a run without any event supports; it falls like one over the"
            " evaluations. The probability may be anywhere below it."
        )
    return (
        "The line is the running estimate, the band its interval. A sound run narrows like one over the"
        " square root of the evaluations and stays inside its own earlier band; a jump late in the run"
        " means that rare heavy weights are still arriving."
    )


def _short(text: str) -> str:
    return text if len(text) <= 38 else f"{text[:35]}..."


def _left_out(left: int) -> str:
    return f" {left} further estimates are in convergence.csv." if left else ""
