"""A decision taken in two steps has the entropy of the same decision taken at once."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from step import Step, plain, stacked

from raresim.information import conditional_entropy, entropy, joint_entropy, mutual_information
from raresim.report import style

# rows: is it dry or wet; columns: rain or snow (a dry day has one column only)
WEATHER = np.array([[1 / 2, 0.0], [1 / 3, 1 / 6]])
COIN_AND_DIE = np.full((2, 6), 1 / 12)


def step() -> Step:
    whole = entropy(WEATHER, base=2)
    first = entropy(WEATHER.sum(axis=1), base=2)
    second = conditional_entropy(WEATHER, base=2)
    return Step(
        name="chain_rule",
        finding=f"Ask once or ask twice, the uncertainty is the same: {whole:.3f} = {first:.3f} + {second:.3f} bits",
        alt="A tree of two questions beside two bars of one length, the second made of two parts.",
        table=[
            ["", "H(X, Y), bits", "H(X)", "H(Y given X)", "H(X) + H(Y given X)", "H(Y)", "shared, I(X; Y)"],
            _row("dry or wet, then rain or snow", WEATHER),
            _row("a coin and a die", COIN_AND_DIE),
        ],
        draw=lambda title: _figure(title, whole, first, second),
    )


def _row(name: str, table: np.ndarray) -> list[str]:
    first, second = entropy(table.sum(axis=1), base=2), conditional_entropy(table, base=2)
    values = [
        joint_entropy(table, base=2),
        first,
        second,
        first + second,
        entropy(table.sum(axis=0), base=2),
        mutual_information(table, base=2),
    ]
    return [name, *(f"{v:.4f}" for v in values)]


def _figure(title: str, whole: float, first: float, second: float) -> Figure:
    figure = style.canvas(2.85, title)
    _tree(style.panel(figure, 0.05, 0.15, 3.0, 2.4))
    axes = style.panel(figure, 3.55, 0.5, 7.5, 2.4)
    plain(axes)
    stacked(axes, 1.0, [(whole, style.GREY, f"{whole:.3f}")], height=0.42)
    stacked(axes, 0.0, [(first, style.BLUE, f"{first:.3f}"), (second, style.GREEN, f"{second:.3f}")], height=0.42)
    axes.text(0, 1.27, "one question: dry, rain or snow?", va="bottom")
    axes.text(0, 0.27, "dry or wet?", va="bottom", color=style.BLUE)
    axes.text(first, 0.27, "rain or snow?", va="bottom", color=style.GREEN)
    axes.text(first, -0.27, "0.918, but asked\nevery other day", va="top", color=style.GREEN, fontsize=8)
    axes.set(xlim=(0, 1.62), ylim=(-0.75, 1.6), yticks=[], xlabel="entropy, bits")
    axes.spines["left"].set_visible(False)
    return figure


def _tree(axes: Axes) -> None:
    axes.set_axis_off()
    axes.set(xlim=(0, 10), ylim=(0, 10))
    places = {"day": (0.9, 5.5), "dry": (4.6, 8.3), "wet": (4.6, 3.0), "rain": (8.7, 4.8), "snow": (8.7, 1.2)}
    branches = [
        ("day", "dry", "1/2", style.BLUE),
        ("day", "wet", "1/2", style.BLUE),
        ("wet", "rain", "2/3", style.GREEN),
        ("wet", "snow", "1/3", style.GREEN),
    ]
    for start, end, share, color in branches:
        (x0, y0), (x1, y1) = places[start], places[end]
        axes.plot([x0, x1], [y0, y1], color=color, linewidth=2.2, zorder=1)
        axes.text(0.5 * (x0 + x1), 0.5 * (y0 + y1) + 0.45, share, ha="center", va="bottom", color=color, fontsize=9)
    totals = {"dry": "1/2", "rain": "1/3", "snow": "1/6"}
    for name, (x, y) in places.items():
        text = f"{name} {totals[name]}" if name in totals else name
        box = {"facecolor": "white", "edgecolor": style.GREY, "boxstyle": "round,pad=0.35", "linewidth": 0.8}
        axes.text(x, y, text, ha="center", va="center", bbox=box, zorder=2)


if __name__ == "__main__":
    step().write()
