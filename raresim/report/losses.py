"""Figure: the distribution of losses under the target and under the proposal."""

from __future__ import annotations

import math

import numpy as np

from raresim.report import style, tables
from raresim.report.rows import ROWS
from raresim.report.run import Array, Run

__all__ = ["draw"]

BINS = 60
FEWEST = 5  # smallest number of draws in a bin whose weighted height is shown
MOST_LINES = 6


def draw(run: Run) -> style.Picture | str:
    """Both densities on a logarithmic scale, with the thresholds."""
    primary = run.primary
    usable = np.isfinite(run.arrays.loss)
    loss, log_weight = run.arrays.loss[usable], run.arrays.log_weight[usable]
    if loss.size == 0 and run.unit != "draw":
        return f"The numbers come from {ROWS[run.unit].many}, and the losses along them were not kept."
    if loss.size < 20 or np.ptp(loss) == 0:
        return "The kept draws have too few different losses for a histogram (arrays.npz)."
    lines = [(e, t) for e in run.estimates if (t := run.threshold_of(e)) is not None]
    lines = sorted(lines, key=lambda line: line[0] is not primary)[:MOST_LINES]
    edges = _edges(loss, [t for _, t in lines])
    is_crude = bool(np.all(log_weight == 0))
    title = _finding(run, is_crude)
    figure = style.canvas(3.3, title)
    axes = style.panel(figure, 0.75, 0.5, 7.45, 2.7)
    drawn = _log_density(loss, np.zeros(loss.shape), edges, fewest=1)
    target = drawn if is_crude else _log_density(loss, log_weight, edges, fewest=FEWEST)
    if not is_crude:
        axes.stairs(drawn, edges, color=style.BLUE, linewidth=1.5, baseline=None, label="proposal")
    axes.stairs(target, edges, color=style.INK, linewidth=1.8, baseline=None, label="target")
    for estimate, threshold in lines:
        is_first = estimate is primary
        label = f"threshold {tables.number(threshold)}" if is_first else None
        axes.axvline(threshold, **style.DASHED, linewidth=1.6 if is_first else 0.8, label=label)
    axes.set_xlim(min([edges[0], *(t for _, t in lines)]), max([edges[-1], *(t for _, t in lines)]))
    style.decades(axes.yaxis, *axes.get_ylim(), most=6)
    style.linear(axes.xaxis, 7)
    axes.set_xlabel(style.safe(f"loss{tables.in_brackets(run.loss_unit)}"))
    axes.set_title("density (log scale)")
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=4, borderaxespad=0.1, handlelength=2.0)
    return style.finish(
        figure,
        "losses",
        title,
        "The dark line is the loss distribution of the model. The blue line is the sampled distribution, under which"
        " the event beyond the threshold (bold dashes) is common. Where the dark line is absent or ragged, the"
        " proposal made hardly any draws and the run says nothing."
        if not is_crude
        else "The loss distribution as sampled, without any change of measure; the dashed line is the threshold.",
        "Histogram of losses on a logarithmic scale, target and proposal, with the threshold.",
    )


def _edges(loss: Array, thresholds: list[float]) -> Array:
    """Bins over nearly all draws and all thresholds; if there are few distinct losses, one bin around each."""
    atoms = np.unique(loss)
    if atoms.size <= BINS:
        between = (atoms[1:] + atoms[:-1]) / 2
        return np.array([2 * atoms[0] - between[0], *between, 2 * atoms[-1] - between[-1]])
    low, high = (float(q) for q in np.quantile(loss, [0.001, 0.999]))
    low, high = min([low, *thresholds]), max([high, *thresholds])
    margin = 0.04 * (high - low) or 1.0
    return np.linspace(low - margin, high + margin, BINS + 1)


def _log_density(loss: Array, log_weight: Array, edges: Array, *, fewest: int) -> Array:
    """Weighted histogram density as ``log10``, NaN for bins with fewer than ``fewest`` draws; ``(BINS,)``."""
    n_bins = edges.size - 1
    place = np.searchsorted(edges, loss, side="right") - 1
    inside = (place >= 0) & (place < n_bins) & np.isfinite(log_weight)
    place, log_weight = place[inside], log_weight[inside]
    peak = np.full(n_bins, -np.inf)
    np.maximum.at(peak, place, log_weight)  # per bin: weights of different bins may differ by hundreds of decades
    mass = np.bincount(place, np.exp(log_weight - peak[place]), n_bins)
    is_shown = np.bincount(place, minlength=n_bins) >= fewest
    log_mass = np.log(mass, where=is_shown, out=np.full(n_bins, np.nan)) + np.where(is_shown, peak, 0.0)
    width: Array = np.diff(edges)
    return (log_mass - np.log(loss.size * width)) / math.log(10)


def _finding(run: Run, is_crude: bool) -> str:
    primary = run.primary
    hits = float(np.mean(run.is_hit(primary)))
    if primary.is_bound or hits == 0:
        return "No kept draw reaches the threshold"
    if is_crude:
        return f"{tables.percent(hits)} of the draws reach the threshold, {tables.one_in(hits)}"
    sampled = f"{tables.percent(hits)} of the draws are hits"
    if primary.kind != "probability" or not primary.value > 0:
        return f"{sampled} under the proposal"
    return f"{sampled} under the proposal, {tables.one_in(primary.value)} under the target"
