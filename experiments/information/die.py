"""Surprise of each face of a fair and a loaded die, and its mean: entropy."""

from __future__ import annotations

import itertools

import numpy as np
from matplotlib.figure import Figure
from step import Step

from raresim.information import entropy, perplexity, self_information
from raresim.report import style

FAIR = np.full(6, 1 / 6)
LOADED = np.array([0.1, 0.1, 0.1, 0.1, 0.1, 0.5])
DICE = {"fair die": FAIR, "loaded die": LOADED}
COLORS = {"fair die": style.BLUE, "loaded die": style.GREEN}


def step() -> Step:
    bits = {name: entropy(p, base=2) for name, p in DICE.items()}
    fair, loaded = bits.values()
    surprise = {name: [self_information(v, base=2) for v in p] for name, p in DICE.items()}
    rows = [
        [
            name,
            f"{p[0]:.4f}",
            f"{surprise[name][0]:.4f}",
            f"{p[5]:.4f}",
            f"{surprise[name][5]:.4f}",
            f"{bits[name]:.4f}",
            f"{entropy(p):.4f}",
            f"{perplexity(p):.3f}",
        ]
        for name, p in DICE.items()
    ]
    head = ["", "P(1)", "surprise of a 1, bits", "P(6)", "surprise of a 6, bits", "entropy, bits", "entropy, nats"]
    return Step(
        name="die",
        finding=f"Load a die, and a throw surprises less on average: {loaded:.2f} bits, not {fair:.2f}",
        alt="Bars as wide as each face is probable and as high as it is surprising; the shaded area is the entropy.",
        table=[[*head, "as many equally likely faces"], *rows],
        draw=lambda title: _figure(title, bits, surprise),
    )


def _figure(title: str, bits: dict[str, float], surprise: dict[str, list[float]]) -> Figure:
    figure = style.canvas(3.2, title)
    for k, (name, p) in enumerate(DICE.items()):
        axes = style.panel(figure, 0.55 + 3.75 * k, 0.55, 3.6 + 3.75 * k, 2.6)
        edges = np.concatenate([[0.0], np.cumsum(p)])
        look = {"color": COLORS[name], "alpha": 0.35, "edgecolor": "white", "linewidth": 1.5}
        axes.bar(edges[:-1], surprise[name], p, align="edge", **look)
        for face, (left, right) in enumerate(itertools.pairwise(edges), 1):
            middle, height = 0.5 * (left + right), surprise[name][face - 1]
            axes.text(middle, height - 0.08, f"{height:.2f}", ha="center", va="top", fontsize=8.5)
            axes.text(middle, 0.12, str(face), ha="center", fontsize=11, fontweight="bold")
        axes.axhline(bits[name], **style.DASHED)
        words = f"entropy {bits[name]:.2f}" + (" = shaded area" if k == 0 else "")
        axes.text(1.0, bits[name] + 0.07, words, ha="right", color=style.ORANGE, fontweight="bold")
        axes.set_title(f"{name}: {_words(p)}", pad=6)
        axes.set(xlim=(0, 1), ylim=(0, 3.8), xlabel="probability (width of each face's bar)")
        style.shares(axes.xaxis)
        if k == 0:
            axes.set_ylabel("surprise, bits")
    return figure


def _words(p: np.ndarray) -> str:
    return "every face 1/6" if np.ptp(p) < 1e-12 else "a six half of the time"


if __name__ == "__main__":
    step().write()
