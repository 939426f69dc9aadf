"""A wrong belief costs the divergence, which depends on which law is true and which is believed."""

from __future__ import annotations

import math

import numpy as np
from die import FAIR, LOADED
from matplotlib.figure import Figure
from step import Step, plain, stacked

from raresim.information import cross_entropy, entropy, jensen_shannon, kl
from raresim.report import style

NO_SIX = np.array([0.2, 0.2, 0.2, 0.2, 0.2, 0.0])
CASES = [
    ("loaded die, believed fair", LOADED, FAIR),
    ("fair die, believed loaded", FAIR, LOADED),
    ("die without a six, believed fair", NO_SIX, FAIR),
    ("fair die, a six believed impossible", FAIR, NO_SIX),
]


def step() -> Step:
    rows = [
        [name, *(_number(f(p, q, base=2)) for f in (cross_entropy, _own, kl)), f"{jensen_shannon(p, q, base=2):.4f}"]
        for name, p, q in CASES
    ]
    head = ["throws from p, judged by q", "cross-entropy H(p, q), bits", "entropy H(p)", "KL(p, q)", "Jensen-Shannon"]
    there, back = kl(LOADED, FAIR, base=2), kl(FAIR, LOADED, base=2)
    return Step(
        name="beliefs",
        finding=f"A wrong belief costs extra surprise, not the same both ways: {there:.2f} or {back:.2f} bits",
        alt="Four bars, each cross-entropy split into the entropy of the die and its price; one has no end.",
        table=[head, *rows],
        draw=_figure,
    )


def _own(p: np.ndarray, q: np.ndarray, base: float) -> float:
    return entropy(p, base=base)


def _number(value: float) -> str:
    return f"{value:.4f}" if math.isfinite(value) else "infinite"


def _figure(title: str) -> Figure:
    figure = style.canvas(3.45, title)
    axes = style.panel(figure, 0.2, 0.5, 7.4, 3.05)
    plain(axes)
    for k, (name, p, q) in enumerate(CASES):
        place = 3 - k
        own, extra = entropy(p, base=2), kl(p, q, base=2)
        ends = math.isfinite(extra)
        shown = extra if ends else 1.25
        words = f"{extra:.2f}" if ends else "no end"
        total = stacked(axes, place, [(own, style.BLUE, f"{own:.2f}"), (shown, style.ORANGE, words)], height=0.4)
        axes.text(0, place + 0.24, name, va="bottom")
        if ends:
            axes.text(total + 0.04, place, f"= {total:.2f}", va="center")
        else:
            arrow = {"arrowstyle": "-|>", "color": style.ORANGE, "linewidth": 3}
            axes.annotate("", (total + 0.28, place), (total - 0.05, place), arrowprops=arrow)
    axes.text(1.65, 3.55, "entropy of the die", color=style.BLUE, fontweight="bold", va="bottom", ha="right")
    axes.text(1.75, 3.55, "+ KL, the price of the belief", color=style.ORANGE, fontweight="bold", va="bottom")
    axes.text(3.3, 3.55, "= cross-entropy", fontweight="bold", va="bottom")
    axes.set(xlim=(0, 4.3), ylim=(-0.4, 3.85), yticks=[], xlabel="mean surprise of a throw, bits")
    axes.spines["left"].set_visible(False)
    return figure


if __name__ == "__main__":
    step().write()
