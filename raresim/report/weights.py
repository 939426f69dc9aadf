"""Figure: whether a few heavy rows carry the estimate; for replicates, how far apart they lie."""

from __future__ import annotations

import math
from collections.abc import Collection

import numpy as np
from matplotlib.axes import Axes

from raresim.record.rows import is_estimate
from raresim.report import style, tables
from raresim.report.rows import ROWS, Rows
from raresim.report.run import Array, Run

__all__ = ["ALIKE", "draw", "histogram", "kept"]

BINS = 40

ALIKE = 1e-9
"""Largest difference of log weights, in nats, up to which they count as the same."""

NOTHING = {"replicate": "did not reach the event", "batch": "have no positive estimate"}
TOO_SMALL = {
    "replicate": "the sample of each is too small",
    "batch": "the surrogate is wrong in a large part of the event",
}


def draw(run: Run) -> style.Picture | str:
    """Weights of the hits on the left, share of the heaviest hits on the right."""
    primary = run.primary
    if primary.is_bound:
        return "No event was seen, so there are no weights of hits to show."
    if is_estimate(run.unit):
        return _replicates(run)
    rows = ROWS[run.unit]
    log_weight = kept(run)
    if log_weight.size < 2:
        return f"Fewer than two {rows.hits} were kept, too few to show their weights."
    if np.ptp(log_weight) < ALIKE:
        return f"All {rows.hits} have the same weight: no {rows.one} can dominate, and only their count matters."
    khat = primary.diagnostics.get("khat")
    share = primary.diagnostics.get("max_share")
    passed = {check.name for check in primary.verdict.checks if check.status == "trusted"}
    title = _finding(khat, share, rows, passed)
    figure = style.canvas(3.2, title)
    hits = style.panel(figure, 0.6, 0.5, 4.25, 2.6)
    histogram(hits, log_weight, rows)
    hits.set_title(f"{rows.hit}s by weight ({_facts(khat, share)})")
    _concentration(style.panel(figure, 4.95, 0.5, 7.3, 2.6), run.arrays.top_log_weight, log_weight, share, rows)
    return style.finish(
        figure,
        "weights",
        title,
        f"Left: the bars show how many {rows.hits} have which weight, the line the share of the estimate they carry."
        f" Under a high line there should be many {rows.hits}; a line that is high where there are no bars means"
        f" that a handful of {rows.many} decides the estimate. Right: the share of the estimate that the {rows.hits} "
        "with the largest weights carry together; a curve that starts high is the same warning. k-hat is the tail "
        "index of the weights: below 0.5 their variance is finite, from 0.7 on the interval does not hold.",
        f"Histogram of log weights of {tables.count(log_weight.size)} kept {rows.hits}. {_facts(khat, share)}.",
    )


def kept(run: Run) -> Array:
    """The log weights of the hits of the primary estimate that were kept, in nats."""
    held = run.arrays
    of_hits = held.log_weight[run.is_hit(run.primary)] if run.unit == "draw" else held.top_log_weight
    return of_hits[np.isfinite(of_hits)]


def _replicates(run: Run) -> style.Picture | str:
    """The estimate of each replicate in ascending order, with the estimate and its interval."""
    primary, rows = run.primary, ROWS[run.unit]
    n, reached = (primary.diagnostics.get(key) for key in ("rows", "hits"))
    logs = np.sort(run.arrays.top_log_weight[np.isfinite(run.arrays.top_log_weight)]) / math.log(10)
    if n is None or reached is None or logs.size < reached or logs.size < 2 or not math.isfinite(primary.log_value):
        return f"The estimates of the {rows.many} were not kept."
    missed = round(n - reached)
    title = f"{tables.count(n)} independent {rows.many}, within a factor {tables.multiple(10 ** float(np.ptp(logs)))}"
    if missed:
        title = f"{tables.count(missed)} of {tables.count(n)} {rows.many} {NOTHING[run.unit]} and count as zero"
    figure = style.canvas(2.9, title)
    axes = style.panel(figure, 0.95, 0.5, 7.3, 2.35)
    ends = [end for end in primary.interval if 0 < end < math.inf]
    if len(ends) == 2:
        axes.axhspan(*np.log10(ends), color=style.BLUE, alpha=0.18, linewidth=0, label="interval")
    axes.axhline(primary.log_value / math.log(10), color=style.BLUE, linewidth=1.2, label="estimate")
    if primary.reference is not None and primary.reference.value > 0:
        axes.axhline(math.log10(primary.reference.value), **style.DASHED, linewidth=1.2, label="reference")
    axes.plot(missed + 1 + np.arange(logs.size), logs, "o", color=style.INK, markersize=3.0, label=rows.one)
    axes.set_xlim(0, n + 1)
    axes.set_xlabel(f"{rows.many}, the smallest first")
    axes.set_title("estimate of each (log scale)")
    axes.margins(y=0.1)
    style.linear(axes.xaxis)
    style.decades(axes.yaxis, *axes.get_ylim(), most=6)
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=4, borderaxespad=0.1, handlelength=1.4)
    return style.finish(
        figure,
        "weights",
        title,
        f"Each point is the estimate of one {rows.one}; the reported number is their mean, and its interval comes from"
        f" their spread. A single {rows.one} far above all others would carry the mean alone; many {rows.many} at zero"
        f" mean that {TOO_SMALL[run.unit]}.",
        f"Estimates of {tables.count(logs.size)} {rows.many} from {tables.number_of_log(float(logs[0]) * math.log(10))}"
        f" to {tables.number_of_log(float(logs[-1]) * math.log(10))}.",
    )


def histogram(axes: Axes, log_weight: Array, rows: Rows) -> None:
    """Bars of the hits by weight, and the share of the estimate in each bar, on ``axes``."""
    peak = float(np.max(log_weight))
    weight = np.exp(log_weight - peak)
    relative = (log_weight - peak - math.log(float(np.mean(weight)))) / math.log(10)  # log10 of w over its mean
    low, high = float(np.quantile(relative, 0.001)), float(np.max(relative))
    edges = np.linspace(low - 0.02 * (high - low), high + 0.02 * (high - low), BINS + 1)
    hits = np.histogram(relative, edges)[0] / relative.size
    carried = np.histogram(relative, edges, weights=weight)[0] / np.sum(weight)
    axes.stairs(
        hits,
        edges,
        fill=True,
        color=style.BLUE,
        alpha=0.3,
        label=f"share of {rows.hit}s",
    )
    axes.stairs(carried, edges, color=style.ORANGE, linewidth=1.5, label="share of the estimate", baseline=None)
    axes.set_xlim(edges[0], edges[-1])
    axes.set_xlabel(f"weight of a {rows.hit}, as a multiple of the mean (log scale)")
    axes.legend(loc="upper left", handlelength=1.4)
    style.decades(axes.xaxis, edges[0], edges[-1], most=6)
    style.shares(axes.yaxis)


def _concentration(axes: Axes, top: Array, log_weight: Array, share: float | None, rows: Rows) -> None:
    if top.size == 0 or share is None:  # the kept draws replace what was not stored
        top = np.sort(log_weight)[::-1][:1000]
        peak = float(top[0])
        carried = np.exp(top - peak) / float(np.sum(np.exp(log_weight - peak)))
    else:
        carried = np.exp(top - top[0]) * share
    together = np.cumsum(carried)
    rank = np.log10(np.arange(1, together.size + 1))
    axes.plot(rank, together, color=style.BLUE, marker="o" if together.size < 20 else None, markersize=3.5)
    axes.set_xlabel(f"heaviest {rows.hit}s counted (log scale)")
    axes.set_title("share of the estimate they carry")
    axes.set_ylim(0, min(1.0, 1.08 * float(together[-1])))
    axes.set_xlim(0, max(float(rank[-1]), 0.3))
    style.decades(axes.xaxis, 0.0, max(float(rank[-1]), 0.3), most=5, plain=True)
    style.shares(axes.yaxis)


def _finding(khat: float | None, share: float | None, rows: Rows, passed: Collection[str]) -> str:
    """The title; ``passed`` are the checks that passed, even if the numbers alone would look worse."""
    if khat is not None and khat >= 0.5 and {"khat", "max_share"} <= set(passed):
        return f"No single {rows.one} dominates, and the error of the weights is known"
    if khat is not None and khat >= 0.7:
        return "The weights have a heavy tail: the interval cannot be relied on"
    if share is not None and share >= 0.05:
        return f"One {rows.one} carries {tables.percent(share)} of the estimate: too much"
    if khat is not None and khat >= 0.5:
        return "The tail of the weights is on the edge: read the interval as optimistic"
    if share is not None and share >= 0.02:
        return f"One {rows.one} carries {tables.percent(share)} of the estimate: more than it should"
    if khat is None:
        return f"The weights of the {rows.hits}; their tail index could not be computed"
    return f"No single {rows.one} dominates, and the tail of the weights is light"


def _facts(khat: float | None, share: float | None) -> str:
    return f"k-hat {'not available' if khat is None else f'{khat:.2f}'}; largest share {tables.percent(share)}"
