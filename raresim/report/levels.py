"""Figure: how the tuning climbed to the threshold, and how far its proposal still is from the optimal one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from raresim.report import style, tables
from raresim.report.run import Array, Estimate, Iteration, Run

__all__ = ["draw"]

POOLED = "pooled"  # drawn after the starts that it combines
MOST_NAMED = 6


def draw(run: Run) -> style.Picture | str:
    """Levels per start on the left, Kullback-Leibler divergence per level on the right."""
    if not run.iterations:
        return "This method has no levels: it samples the target or a proposal that was given."
    starts: dict[str, list[Iteration]] = {}
    for row in run.iterations:
        starts.setdefault(row.start, []).append(row)
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
        color = style.SERIES[place % len(style.SERIES)] if start.isdigit() else style.INK
        look: dict[str, Any] = {
            "color": color,
            "marker": "osD^vP"[place % 6],
            "markersize": 4.0,
            "linewidth": 1.3,
        }
        label = style.safe(start if not start.isdigit() else f"start {start}") if place < MOST_NAMED else None
        x = _column(rows, "iteration") + (after if start == POOLED and rows[0].iteration < after else 0)
        left.plot(x, _column(rows, "level"), label=label, **look)
        right.plot(x, divergence[start] if has_divergence else -_column(rows, "log_probability"), **look)
    if threshold is not None:
        left.axhline(threshold, **style.DASHED, linewidth=1.2, label=f"threshold {tables.number(threshold)}")
    left.set_title(style.safe(f"level reached{_unit(primary)}"))
    left.legend(loc="upper right" if primary.is_below else "lower right", fontsize=7.5, handlelength=1.8)
    style.linear(left.yaxis)
    if has_divergence:
        right.set_title("KL(optimal \u2016 proposal), nats")
        right.set_ylim(bottom=0.0)
    else:
        right.set_title("information of the level reached, nats")
    style.linear(right.yaxis)
    for axes in (left, right):
        axes.set_xlabel("iteration")
        axes.margins(x=0.08)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    return style.finish(
        figure,
        "levels",
        title,
        "Left: each start raises its level until the threshold (dashed) is reached; a flat line is a start"
        " that stalled. Right: how far the proposal of each level is from the optimal one for that level; one"
        " effective hit costs about exp(KL) draws, so lower is cheaper. The pooled point combines the starts."
        if has_divergence
        else "Left: each start raises its level until the threshold (dashed) is reached. Right: the"
        " information in nats of the level reached, minus the logarithm of its probability.",
        f"Level against iteration for {len(starts)} starts, {len(run.iterations)} levels in all.",
    )


def _column(rows: list[Iteration], name: str) -> Array:
    return np.array([math.nan if (v := getattr(row, name)) is None else v for row in rows], dtype=np.float64)


def _unit(estimate: Estimate) -> str:
    return "" if estimate.unit in ("", "dimensionless") or estimate.kind == "probability" else f" ({estimate.unit})"


def _finding(starts: dict[str, list[Iteration]], primary: Estimate, threshold: float | None, run: Run) -> str:
    climbs = {start: rows for start, rows in starts.items() if start.isdigit()} or starts
    n = len(climbs)
    if threshold is None:
        return f"{len(run.iterations)} levels in {n} {'start' if n == 1 else 'starts'}"
    tolerance = 1e-9 * max(1.0, abs(threshold))
    sign = -1 if primary.is_below else 1
    levels = {start: [sign * row.level for row in rows if row.level is not None] for start, rows in climbs.items()}
    reached = sum(1 for seen in levels.values() if seen and max(seen) >= sign * threshold - tolerance)
    finding = f"{f'All {n} starts' if reached == n else f'{reached} of {n} starts'} reached the threshold"
    if n == 1:
        finding = f"The start {'reached' if reached else 'did not reach'} the threshold"
    kl = run.diagnostics.get("kl_optimal_proposal")
    return finding if kl is None else f"{finding}; the proposal ends {tables.amount(kl)} nats from the optimal one"
