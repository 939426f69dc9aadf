"""Figure: how tuning climbed to the threshold, and how far its proposal still is from the optimal proposal."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from raresim.record.records import Estimate, Iteration
from raresim.report import style, tables
from raresim.report.run import Array, Run

__all__ = ["draw"]

POOLED = "pooled"  # drawn after the starts that it combines
MOST_NAMED = 6


def draw(run: Run) -> style.Picture | str:
    """Levels per start on the left, Kullback-Leibler divergence per level on the right."""
    if all(not math.isfinite(row.level) for row in run.iterations):
        return "This run climbed no levels."
    starts: dict[int | str, list[Iteration]] = {}
    for row in run.iterations:
        starts.setdefault(row.start, []).append(row)
    staged = _staged(starts)
    primary = run.primary
    threshold = run.threshold_of(primary)
    divergence = {start: _column(rows, "kl_optimal_proposal") for start, rows in starts.items()}
    has_divergence = any(np.isfinite(kl).any() for kl in divergence.values())
    title = _finding(starts, primary, threshold, run)
    figure = style.canvas(3.3, title)
    left = style.panel(figure, 0.6, 0.5, 3.6, 2.7)
    right = style.panel(figure, 4.3, 0.5, 7.45, 2.7)
    after = 1 + max((row.iteration for row in run.iterations if row.start != POOLED), default=-1)
    for place, (start, rows) in enumerate(starts.items()):
        color = style.SERIES[place % len(style.SERIES)] if staged or isinstance(start, int) else style.INK
        look: dict[str, Any] = {
            "color": color,
            "marker": "osD^vP"[place % 6],
            "markersize": 4.0,
            "linewidth": 1.3,
        }
        label = style.safe(f"start {start}" if isinstance(start, int) else start) if place < MOST_NAMED else None
        if staged:
            x = np.array([number for number, row in enumerate(run.iterations) if row.start == start])
        else:
            x = _column(rows, "iteration") + (after if start == POOLED and rows[0].iteration < after else 0)
        left.plot(x, _column(rows, "level"), label=label, **look)
        right.plot(x, divergence[start] if has_divergence else -_column(rows, "log_probability"), **look)
    if threshold is not None:
        left.axhline(threshold, **style.DASHED, linewidth=1.2, label=f"threshold {tables.number(threshold)}")
    left.set_title(style.safe(f"level reached{_unit(primary)}"))
    left.legend(loc="upper right" if primary.is_below else "lower right", fontsize=7.5, handlelength=1.8)
    style.linear(left.yaxis)
    style.make_room(left)
    if has_divergence:
        right.set_title("KL(optimal \u2016 proposal), nats")
        right.set_ylim(bottom=0.0)
    else:
        right.set_title("information of the level reached, nats")
    style.linear(right.yaxis)
    for axes in (left, right):
        axes.set_xlabel("batch of draws" if staged else "iteration")
        axes.margins(x=0.08)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    many = f"{len(run.iterations)} batches" if staged else f"{len(starts)} starts, {len(run.iterations)} levels in all"
    words = _caption(staged, has_divergence)
    return style.finish(figure, "levels", title, words, f"Level against iteration for {many}.")


def _caption(staged: bool, has_divergence: bool) -> str:
    if staged:
        left = "the level that all batches so far have reached, stage by stage; the threshold is dashed"
        right = "how far the proposal of a batch is from the optimal proposal"
    elif has_divergence:
        left = (
            "each start raises its level until the threshold (dashed) is reached; a flat line is a start that stalled"
        )
        right = "how far the proposal of each level is from the optimal proposal for that level"
    else:
        left = "each start raises its level until the threshold (dashed) is reached"
    if not has_divergence:
        right = "the information in nats of the level reached, minus the logarithm of its probability"
    else:
        right += "; one effective hit costs about exp(KL) draws, so lower is cheaper"
    pooled = "" if staged or not has_divergence else " The pooled point combines the starts."
    return f"Left: {left}. Right: {right}.{pooled}"


def _column(rows: list[Iteration], name: str) -> Array:
    return np.array([getattr(row, name) for row in rows], dtype=np.float64)


def _unit(estimate: Estimate) -> str:
    return "" if estimate.kind == "probability" else tables.in_brackets(estimate.unit)


def _staged(starts: dict[int | str, list[Iteration]]) -> bool:
    """Whether the rows are named stages of one climb, instead of climbs from several starts."""
    return len(starts) > 1 and not any(isinstance(start, int) for start in starts)


def _finding(starts: dict[int | str, list[Iteration]], primary: Estimate, threshold: float | None, run: Run) -> str:
    staged = _staged(starts)
    climbs = [rows for start, rows in starts.items() if isinstance(start, int)] or list(starts.values())
    if staged:
        climbs = [[row for rows in starts.values() for row in rows]]
    n = len(climbs)
    if threshold is None:
        return f"{len(run.iterations)} levels in {n} {'start' if n == 1 else 'starts'}"
    tolerance = 1e-9 * max(1.0, abs(threshold))
    sign = -1 if primary.is_below else 1
    levels = [[sign * row.level for row in rows if math.isfinite(row.level)] for rows in climbs]
    reached = sum(1 for seen in levels if seen and max(seen) >= sign * threshold - tolerance)
    finding = f"{f'All {n} starts' if reached == n else f'{reached} of {n} starts'} reached the threshold"
    if n == 1:
        who = "search" if staged else "start"
        finding = f"The {who} {'reached' if reached else 'did not reach'} the threshold"
    kl = run.diagnostics.get("kl_optimal_proposal") if run.unit == "draw" else None
    return finding if kl is None else f"{finding}; the proposal ends {tables.amount(kl)} nats from the optimal proposal"
