"""The levels of a tuning in 20 dimensions: entropy of each optimal law, and cross-entropy of the laws drawn from."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from scipy import stats
from step import Step

from raresim import CrossEntropy, Linear, Probability, StandardNormal, estimate
from raresim.information import entropy_normal, self_information
from raresim.record.records import Iteration
from raresim.report import style

DIM, SIGMAS, SEED, SAMPLES = 20, 5.0, 20261124, 20_000


def exact_entropy(level: float) -> float:
    """Entropy of 20 standard normals given that their evenly weighted sum exceeds ``level``, in nats.

    It adds 19 standard normals across that direction and a truncated one along it: ``log(sqrt(2 pi e) P) + a phi(a) /
    (2 P)``.
    """
    log_p = float(stats.norm.logsf(level))
    along = entropy_normal([1.0]) + log_p + 0.5 * level * math.exp(float(stats.norm.logpdf(level)) - log_p)
    return entropy_normal(np.ones(DIM - 1)) + along


def step() -> Step:
    result = estimate(
        StandardNormal(dim=DIM),
        Linear(weights=np.full(DIM, DIM**-0.5)),
        Probability(above=SIGMAS),
        CrossEntropy(starts=1, samples=SAMPLES),
        seed=SEED,
        relative_error=0.01,
    )
    levels = [row for row in result.iterations if row.start != "hits"]
    rows = [
        [
            _name(row),
            f"{row.level:.3f}",
            f"{row.entropy - row.log_probability:.3f}",
            f"{row.cross_entropy:.3f}",
            f"{row.entropy:.3f}",
            f"{exact_entropy(row.level):.3f}",
            f"{row.kl_optimal_proposal:.3f}",
            f"{self_information(log_p=float(stats.norm.logsf(row.level))):.3f}",
        ]
        for row in levels
    ]
    head = [
        "drawn from",
        "level, sigma",
        "cross-entropy against the target, nats",
        "against the law drawn from",
        "entropy of the optimal law",
        "its exact value",
        "KL(optimal, drawn from)",
        "exact KL(optimal, target) = -log P",
    ]
    return Step(
        name="tuning",
        finding=f"The target falls {-levels[-1].log_probability:.0f} nats behind the levels; "
        f"the law drawn from never more than {max(row.kl_optimal_proposal for row in levels):.1f}",
        alt="Cross-entropy against the target rises with the level; against the law drawn from it stays near entropy.",
        table=[head, *rows],
        draw=lambda title: _figure(title, levels),
    )


def _name(row: Iteration) -> str:
    if row.start == "all":
        return "the target"
    return "the last fit, 5 % of it the target" if row.start == "pooled" else f"fit to level {row.iteration}"


def _figure(title: str, levels: Sequence[Iteration]) -> Figure:
    figure = style.canvas(3.8, title)
    axes = style.panel(figure, 0.62, 0.68, 5.55, 3.45)
    x = np.arange(len(levels))
    entropy = np.array([row.entropy for row in levels])
    crossed = np.array([row.cross_entropy for row in levels])
    target = np.array([row.entropy - row.log_probability for row in levels])
    axes.fill_between(x, entropy, target, color=style.GREY, alpha=0.13, linewidth=0)
    axes.fill_between(x, entropy, crossed, color=style.BLUE, alpha=0.3, linewidth=0)
    axes.plot(x, target, color=style.GREY, marker="s", linewidth=2)
    axes.plot(x, crossed, color=style.BLUE, marker="o", linewidth=2)
    axes.plot(x, entropy, color=style.GREEN, marker="^", linewidth=2)
    last = x[-1] + 0.12
    for y, text, color in (
        (target[-1], "cross-entropy against\nthe target: + " + f"{target[-1] - entropy[-1]:.1f}", style.GREY),
        (crossed[-1] + 0.55, f"against the law\ndrawn from: + {crossed[-1] - entropy[-1]:.1f}", style.BLUE),
        (entropy[-1] - 0.55, "entropy of the\noptimal law", style.GREEN),
    ):
        axes.text(last, y, text, color=color, va="center", fontweight="bold", clip_on=False)
    axes.set_xticks(x, [f"{row.level:.2f}\n{_short(row)}" for row in levels])
    axes.set(
        xlim=(-0.15, x[-1] + 0.05),
        ylim=(24, 43),
        xlabel="level, sigma, and what was drawn from",
        ylabel="cross-entropy and entropy, nats",
    )
    return figure


def _short(row: Iteration) -> str:
    return {"all": "target", "pooled": "last fit"}.get(str(row.start), f"fit {row.iteration}")


if __name__ == "__main__":
    step().write()
