"""P(Z > 5) from draws of the target and of a shifted normal: hits, running estimates, and what each draw is worth."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats
from step import Step

from raresim import Importance, Linear, Normal, Probability, StandardNormal, estimate
from raresim.information import budget, weighted_kl
from raresim.measures.intervals import clopper_pearson, log_scale
from raresim.numerics.streams import stream
from raresim.report import style

LEVEL, SHIFT, SEED = 5.0, 5.0, 20261124
LOG_P = float(stats.norm.logsf(LEVEL))
P = math.exp(LOG_P)
TAIL_MEAN = math.exp(float(stats.norm.logpdf(LEVEL)) - LOG_P)
BLOCK = 1_000_000
TARGET_DRAWS, SHIFTED_DRAWS = 100_000_000, 100_000
SHOWN = (1.0, 9.0)  # powers of ten of draws


@dataclass(frozen=True)
class Running:
    """The estimate after a growing number of draws.

    Parameters
    ----------
    draws, hits : (k,)
        Draws and hits so far.
    value, low, high : (k,)
        Estimate and 95 % interval, divided by the exact probability.
    first : int
        Draws up to the first hit.
    kl : float
        KL(optimal || q) from all draws, in nats.
    """

    draws: np.ndarray
    hits: np.ndarray
    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    first: int
    kl: float


def kl_of_shift(shift: float) -> float:
    """KL from the normal tail beyond the level to N(shift, 1), in nats: ``-log P - s E[Z | Z > 5] + s^2 / 2``."""
    return -LOG_P - shift * TAIL_MEAN + 0.5 * shift**2


def draws_needed(shift: float, error: float) -> float:
    """Draws of N(shift, 1) for a relative error: ``(E_q[w^2; Z > 5] / P^2 - 1) / error^2``."""
    second = math.exp(shift**2 + float(stats.norm.logsf(LEVEL + shift)) - 2 * LOG_P)
    return (second - 1.0) / error**2


def sample(shift: float, draws: int) -> Running:
    """Draw from N(shift, 1), weigh the hits with ``p/q``, and read the estimate along the way."""
    law = Normal(mean=shift) if shift else StandardNormal(dim=1)
    places, logs = [], []
    buffer = np.empty((BLOCK, 1), order="F")
    for block, done in enumerate(range(0, draws, BLOCK)):
        x = buffer[: min(BLOCK, draws - done)]
        law.sample(stream(SEED, round(shift), block), x)
        hit = np.flatnonzero(x[:, 0] >= LEVEL)
        places.append(done + hit + 1)
        logs.append(0.5 * shift**2 - shift * x[hit, 0])
    place, log_w = np.concatenate(places), np.concatenate(logs)
    w = np.exp(log_w)
    steps = np.unique(np.geomspace(10, draws, 120).astype(int))
    hits = np.searchsorted(place, steps, side="right")
    total, squares = (np.concatenate([[0.0], np.cumsum(v)])[hits] for v in (w, w**2))
    sums = zip(steps, hits, total, squares, strict=True)
    low, high = np.array([_interval(int(n), int(k), s, s2, shift) for n, k, s, s2 in sums]).T / P
    kl = weighted_kl(float(w.sum()), float((w * log_w).sum()), draws)
    return Running(steps, hits, total / steps / P, low, high, int(place[0]), kl)


def _interval(n: int, hits: int, total: float, squares: float, shift: float) -> tuple[float, float]:
    if shift == 0:
        return clopper_pearson(hits, n, 0.95)
    if hits < 2:
        return 0.0, math.inf
    return log_scale(total / n, math.sqrt(max(0.0, n * squares / total**2 - 1.0) / (n - 1)), 0.95)


def step() -> Step:
    crude, shifted = sample(0.0, TARGET_DRAWS), sample(SHIFT, SHIFTED_DRAWS)
    run = estimate(
        StandardNormal(dim=1),
        Linear(weights=[1.0]),
        Probability(above=LEVEL),
        Importance(proposal=Normal(mean=SHIFT)),
        seed=SEED,
        relative_error=0.01,
    )
    said = run.estimates[0]
    head = [
        "draws from q",
        "KL(optimal, q), nats",
        "bits",
        "exp(KL), draws",
        "draws for 10 % error",
        "for 1 % error",
        "drawn here",
        "hits",
        "estimate",
        "95 % interval",
        "KL from the hits",
    ]
    by_raresim = [
        f"{run.evaluations['estimate']:,}",
        f"{run.diagnostics['hits']:,}",
        f"{said.value:.4e}",
        _limits(*said.interval),
        f"{run.diagnostics['kl_optimal_proposal']:.3f}",
    ]
    rows = [
        [*_known("the target, N(0, 1)", 0.0), *_seen(crude)],
        [*_known("N(5, 1)", SHIFT), *_seen(shifted)],
        [*_known("N(5, 1), a run of raresim to 1 %", SHIFT), *by_raresim],
        [*_known(f"N({TAIL_MEAN:.4f}, 1), the best shift", TAIL_MEAN), *[""] * 5],
    ]
    few, many = (_round(draws_needed(shift, 0.01)) for shift in (SHIFT, 0.0))
    return Step(
        name="five_sigma",
        finding=f"Five sigma to 1 % takes {few} draws from N(5, 1), {many} from the target",
        alt="Hits and running estimates against the number of draws for both laws, and the draws that each needs.",
        table=[head, *rows],
        draw=lambda title: _figure(title, crude, shifted),
    )


def _known(name: str, shift: float) -> list[str]:
    """Exact figures of N(shift, 1)."""
    cost = budget(LOG_P, kl_of_shift(shift))
    draws = cost.proposal_draws
    return [
        name,
        f"{cost.proposal_nats:.4f}",
        f"{cost.proposal_bits:.4f}",
        f"{draws:,.2f}" if draws < 1000 else f"{draws:,.0f}",
        f"{draws_needed(shift, 0.1):,.0f}",
        f"{draws_needed(shift, 0.01):,.0f}",
    ]


def _seen(run: Running) -> list[str]:
    """The results of the draws."""
    return [
        f"{run.draws[-1]:,}",
        f"{run.hits[-1]:,}",
        f"{run.value[-1] * P:.4e}",
        _limits(run.low[-1] * P, run.high[-1] * P),
        f"{run.kl:.3f}",
    ]


def _limits(low: float, high: float) -> str:
    return f"{low:.3e} to {high:.3e}"


def _round(n: float) -> str:
    return f"{n / 1e9:.0f} billion" if n >= 1e9 else f"{round(n, -3):,.0f}"


def _figure(title: str, crude: Running, shifted: Running) -> Figure:
    figure = style.canvas(5.1, title)
    _hits(style.panel(figure, 0.9, 2.7, 3.65, 4.5), crude, shifted)
    _running(style.panel(figure, 4.3, 2.7, 7.45, 4.5), crude, shifted)
    _needed(style.panel(figure, 0.9, 0.5, 3.65, 1.95))
    _price(style.panel(figure, 5.2, 0.5, 7.45, 1.95))
    return figure


def _hits(axes: Axes, crude: Running, shifted: Running) -> None:
    for run, color, shift in ((crude, style.GREY, 0.0), (shifted, style.BLUE, SHIFT)):
        expected = np.array(SHOWN) + float(stats.norm.logsf(LEVEL - shift)) / math.log(10)
        axes.plot(SHOWN, expected, color=color, linewidth=0.8, linestyle=":")
        seen = run.hits > 0
        x, y = np.log10(run.draws[seen]), np.log10(run.hits[seen])
        axes.plot(x, y, color=color, drawstyle="steps-post", linewidth=2)
    axes.text(3.7, 2.9, "N(5, 1): every\nsecond draw", color=style.BLUE, va="center")
    words = f"target: first hit after\n{crude.first / 1e6:.1f} million draws"
    axes.text(6.4, 0.95, words, color=style.GREY, ha="right", va="bottom")
    axes.set(xlim=SHOWN, ylim=(0, 5.4), xlabel="draws", ylabel="hits")
    axes.set_title("draws beyond five sigma", pad=4)
    style.decades(axes.xaxis, *SHOWN)
    style.decades(axes.yaxis, 0, 5.4, most=6, plain=True)


def _running(axes: Axes, crude: Running, shifted: Running) -> None:
    for run, color, needed in ((crude, style.GREY, 1), (shifted, style.BLUE, 2)):
        x = np.log10(run.draws)
        low, high = (np.log10(np.clip(v, 1e-3, 1e6)) for v in (run.low, run.high))
        axes.fill_between(x, low, high, color=color, alpha=0.25, linewidth=0)
        seen = run.hits >= needed
        axes.plot(x[seen], np.log10(run.value[seen]), color=color, linewidth=2)
    axes.axhline(0, **style.DASHED)
    axes.text(8.95, 0.04, "exact", color=style.ORANGE, ha="right", va="bottom")
    axes.text(3.6, 0.3, "N(5, 1)", color=style.BLUE, ha="center", fontweight="bold")
    axes.text(
        3.6, 1.05, "target: an upper bound,\nand nothing else, until a hit", color=style.GREY, ha="center", va="center"
    )
    axes.set(xlim=SHOWN, ylim=(-1.05, 1.45), xlabel="draws", ylabel="estimate / exact")
    axes.set_title("running estimate and its 95 % interval", pad=4)
    style.decades(axes.xaxis, *SHOWN)
    axes.set_yticks(np.log10([0.1, 0.3, 1, 3, 10]), ["0.1", "0.3", "1", "3", "10"])


def _needed(axes: Axes) -> None:
    axes.grid(visible=False, axis="y")
    for place, name, shift, color in ((0, "target", 0.0, style.GREY), (-1, "N(5, 1)", SHIFT, style.BLUE)):
        ends = [math.log10(draws_needed(shift, error)) for error in (0.1, 0.01)]
        axes.plot(ends, [place] * 2, color=color, linewidth=3, marker="o", markersize=7)
        for x, words in zip(ends, ("10 %", "1 %"), strict=True):
            axes.text(x, place + 0.2, words, ha="center", va="bottom", color=color, fontweight="bold")
        axes.text(ends[0] - 0.5 if shift == 0 else ends[1] + 0.5, place, name, va="center", color=color,
                  ha="right" if shift == 0 else "left")  # fmt: skip
    axes.set(xlim=(2, 11.4), ylim=(-1.5, 0.75), yticks=[], xlabel="draws needed")
    axes.spines["left"].set_visible(False)
    axes.set_title("draws for a relative error of 10 % and 1 %", pad=4)
    style.decades(axes.xaxis, 2, 11.4, most=5)


def _price(axes: Axes) -> None:
    axes.grid(visible=False, axis="y")
    cost = budget(LOG_P, kl_of_shift(SHIFT))
    axes.barh([0, -1], [cost.event_nats, cost.proposal_nats], 0.5, color=[style.GREY, style.BLUE])
    words = f"{cost.event_nats:.2f} nats\nexp: {cost.crude_draws / 1e6:.1f} million draws"
    axes.text(0.5 * cost.event_nats, 0, words, ha="center", va="center", color="white", fontweight="bold")
    words = f"{cost.proposal_nats:.2f} nats\nexp: {cost.proposal_draws:.1f} draws"
    axes.text(cost.proposal_nats + 0.4, -1, words, va="center", color=style.BLUE, fontweight="bold")
    axes.set_yticks([0, -1], ["to the target:\n-log P", "to N(5, 1)"])
    axes.set(xlim=(0, 16), ylim=(-1.5, 0.75), xlabel="KL from the optimal law, nats")
    axes.set_title("why: draws for one hit that counts", pad=4)


if __name__ == "__main__":
    step().write()
