"""Figure: whether a few heavy draws carry the estimate."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes

from raresim.report import style, tables
from raresim.report.run import Array, Run

__all__ = ["draw"]

BINS = 40


def draw(run: Run) -> style.Picture | str:
    """Weights of the hits on the left, share of the heaviest on the right."""
    primary = run.primary
    if primary.is_bound:
        return "No event was seen, so there are no weights of hits to show."
    log_weight = run.log_weight[run.is_hit(primary)]
    log_weight = log_weight[np.isfinite(log_weight)]
    if log_weight.size < 2:
        return "Fewer than two hits are among the kept draws, too few to show their weights."
    if np.ptp(log_weight) < 1e-9:
        return "Every hit has the same weight: no draw can dominate, and only the count of hits matters."
    khat = primary.diagnostics.get("khat")
    share = primary.diagnostics.get("max_share")
    title = _finding(khat, share)
    figure = style.canvas(3.2, title)
    hits = style.panel(figure, 0.6, 0.5, 4.25, 2.6)
    _histogram(hits, log_weight)
    hits.set_title(f"hits by weight ({_facts(khat, share)})")
    _concentration(style.panel(figure, 4.95, 0.5, 7.3, 2.6), run.top_log_weight, log_weight, share)
    return style.finish(
        figure,
        "weights",
        title,
        "Left: bars show how many hits have which weight, the line how much of the estimate they carry."
        " Under a high line there should be many hits; a line that stands where the bars have run out means"
        " that a handful of draws decides the answer. Right: what the heaviest hits carry together; a curve"
        " that starts high is the same warning. k-hat is the tail index of the weights: below 0.5 their"
        " variance is finite, from 0.7 on the interval does not hold.",
        f"Histogram of log weights of {tables.count(log_weight.size)} kept hits. {_facts(khat, share)}.",
    )


def _histogram(axes: Axes, log_weight: Array) -> None:
    peak = float(np.max(log_weight))
    weight = np.exp(log_weight - peak)
    relative = (log_weight - peak - math.log(float(np.mean(weight)))) / math.log(10)  # log10 of w over its mean
    low, high = float(np.quantile(relative, 0.001)), float(np.max(relative))
    edges = np.linspace(low - 0.02 * (high - low), high + 0.02 * (high - low), BINS + 1)
    hits = np.histogram(relative, edges)[0] / relative.size
    carried = np.histogram(relative, edges, weights=weight)[0] / np.sum(weight)
    axes.stairs(hits, edges, fill=True, color=style.BLUE, alpha=0.3, label="share of hits")
    axes.stairs(carried, edges, color=style.ORANGE, linewidth=1.5, label="share of the estimate", baseline=None)
    axes.set_xlim(edges[0], edges[-1])
    axes.set_xlabel("weight of a hit, as a multiple of the mean (log scale)")
    axes.legend(loc="upper left", handlelength=1.4)
    style.decades(axes.xaxis, edges[0], edges[-1], most=6)
    style.shares(axes.yaxis)


def _concentration(axes: Axes, top: Array, log_weight: Array, share: float | None) -> None:
    if top.size == 0 or share is None:  # the kept draws stand in for what was not stored
        top = np.sort(log_weight)[::-1][:1000]
        peak = float(top[0])
        carried = np.exp(top - peak) / float(np.sum(np.exp(log_weight - peak)))
    else:
        carried = np.exp(top - top[0]) * share
    together = np.cumsum(carried)
    rank = np.log10(np.arange(1, together.size + 1))
    axes.plot(rank, together, color=style.BLUE, marker="o" if together.size < 20 else None, markersize=3.5)
    axes.set_xlabel("heaviest hits counted (log scale)")
    axes.set_title("share of the estimate they carry")
    axes.set_ylim(0, min(1.0, 1.08 * float(together[-1])))
    axes.set_xlim(0, max(float(rank[-1]), 0.3))
    style.decades(axes.xaxis, 0.0, max(float(rank[-1]), 0.3), most=5, plain=True)
    style.shares(axes.yaxis)


def _finding(khat: float | None, share: float | None) -> str:
    if khat is not None and khat >= 0.7:
        return "The weights have a heavy tail: the interval cannot be relied on"
    if share is not None and share >= 0.05:
        return f"One draw carries {tables.percent(share)} of the estimate: too much"
    if khat is not None and khat >= 0.5:
        return "The tail of the weights is on the edge: read the interval as optimistic"
    if share is not None and share >= 0.02:
        return f"One draw carries {tables.percent(share)} of the estimate: more than it should"
    if khat is None:
        return "The weights of the hits; their tail index could not be computed"
    return "No single draw dominates, and the tail of the weights is light"


def _facts(khat: float | None, share: float | None) -> str:
    return f"k-hat {'not available' if khat is None else f'{khat:.2f}'}; largest share {tables.percent(share)}"
