"""Figure: cross-entropy falling towards the entropy, its lower limit, level by level and for the event."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from raresim.record.records import Iteration
from raresim.report import style, tables
from raresim.report.run import Array, Entropies, Run

__all__ = ["draw"]

POOLED = "pooled"


def draw(run: Run) -> style.Picture | str:
    """Both quantities per level on the left; for the event before and after tuning on the right."""
    if not run.iterations:
        return "This method has no levels, so there is no cross-entropy to reduce."
    if sum(_is_known(row) for row in run.iterations) < 2:
        return "The cross-entropy is known for fewer than two levels, so there is no path to show."
    event = run.entropies
    title = _finding(event)
    figure = style.canvas(3.3, title)
    _levels(style.panel(figure, 0.6, 0.5, 4.9 if event else 7.45, 2.7), run.iterations)
    if event:
        _event(style.panel(figure, 5.55, 0.5, 7.45, 2.7), event)
    return style.finish(
        figure,
        "entropy",
        title,
        f"{'Left: for' if event else 'For'} each level, the cross-entropy of the target beyond that level against the"
        " law that the level was"
        " drawn from (blue), and the entropy below which it cannot fall (dashed). Both fall because each level is a"
        " narrower event, and step up where the pooled level joins several regions. Tuning shows in the gap between"
        " them, KL(optimal \u2016 proposal), which should close at the last levels."
        + (" Right: the same for the event itself, untuned and at the last level." if event else "")
        + " Entropies of densities depend on the coordinates: only their differences mean anything.",
        f"Cross-entropy and entropy in nats of {len(run.iterations)} levels."
        + (
            f" Of the event: {tables.amount(event.target)} untuned, {tables.amount(event.proposal)} at the last level,"
            f" floor {tables.amount(event.optimal)}."
            if event
            else ""
        ),
    )


def _is_known(row: Iteration) -> bool:
    return math.isfinite(row.cross_entropy) and math.isfinite(row.entropy)


def _levels(axes: Axes, iterations: tuple[Iteration, ...]) -> None:
    """Each start as a path from the level that all starts share to the pooled level."""
    numbered = sorted({row.start for row in iterations if isinstance(row.start, int)})
    before = [row for row in iterations if isinstance(row.start, str) and row.start != POOLED]
    after = [row for row in iterations if row.start == POOLED]
    last = 1 + max((row.iteration for row in iterations if row.start != POOLED), default=-1)
    paths = [[*before, *(r for r in iterations if r.start == start), *after] for start in numbered]
    path = [row for start in paths or [[*before, *after]] for row in (*start, None)]  # None: lift the pen
    x = np.array([math.nan if r is None else last if r.start == POOLED else r.iteration for r in path])
    cross, floor = _column(path, "cross_entropy"), _column(path, "entropy")
    look: dict[str, Any] = {"color": style.BLUE, "linewidth": 1.3, "marker": "o", "markersize": 3.5}
    axes.fill_between(x, floor, cross, color=style.BLUE, alpha=0.03)
    axes.plot(x, cross, **look, label="cross-entropy H(optimal, q)")
    axes.plot(x, floor, **style.DASHED, linewidth=1.1, label="entropy H(optimal): its floor")
    axes.set_title("target beyond each level, nats")
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.0, handlelength=1.8, fontsize=7.5)
    axes.set_xlabel("iteration")
    axes.margins(x=0.06)
    style.linear(axes.yaxis)
    step = max(1, math.ceil(last / 10))
    ticks = [(float(k), str(k)) for k in range(0, last, step)]
    if after:
        ticks = [tick for tick in ticks if last - tick[0] >= step] + [(float(last), POOLED)]
    axes.set_xticks([x for x, _ in ticks], [label for _, label in ticks])


def _event(axes: Axes, event: Entropies) -> None:
    """A bar that falls from one height to another above the floor."""
    height = max(event.target - event.optimal, 1e-9)
    axes.axhline(event.optimal, **style.DASHED, linewidth=1.2)
    axes.plot([0.16, 0.16], [event.target, event.proposal], color=style.BLUE)
    axes.plot(0.16, event.target, "o", color=style.BLUE, markersize=4.5)
    axes.plot(0.16, event.proposal, "v", color=style.BLUE, markersize=6.5)
    for y, text, color, side in (
        (event.target, f"untuned: {tables.amount(event.target)}", style.BLUE, "center"),
        (event.proposal, f"last level: {tables.amount(event.proposal)}", style.BLUE, "bottom"),
        (event.optimal - 0.02 * height, f"floor: {tables.amount(event.optimal)}", style.ORANGE, "top"),
    ):
        axes.text(0.26, y, text, va=side, color=color)
    axes.set_xlim(0, 1)
    axes.set_ylim(event.optimal - 0.14 * height, event.target + 0.08 * height)
    axes.set_title("H(optimal, q) of the event")
    axes.xaxis.set_visible(False)
    style.linear(axes.yaxis)


def _column(rows: list[Iteration | None], name: str) -> Array:
    return np.array([getattr(row, name, math.nan) for row in rows], dtype=np.float64)


def _finding(event: Entropies | None) -> str:
    if event is None:
        return "Cross-entropy of each level and the entropy below it"
    return (
        f"Tuning cut the event's cross-entropy from {tables.amount(event.target)} to"
        f" {tables.amount(event.proposal)} nats; its floor is {tables.amount(event.optimal)}"
    )
