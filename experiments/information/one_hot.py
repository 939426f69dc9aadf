"""The loss of a classifier is a surprise; its average over a sample is a cross-entropy."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from step import Step, plain

from raresim.information import classification_loss, cross_entropy, entropy, kl, mean_classification_loss
from raresim.report import style

CLASSES = ("cat", "dog", "bird")
LOGITS = np.array([2.0, 1.0, 0.1])
LABELS = np.array([0, 1, 0, 0, 2, 1, 0, 2, 0, 1])
COLORS = (style.BLUE, style.GREEN, style.SERIES[2])


def step() -> Step:
    logits = np.tile(LOGITS, (LABELS.size, 1))
    losses = classification_loss(LABELS, logits=logits)
    mean = mean_classification_loss(LABELS, logits=logits)
    by_class = classification_loss(np.eye(3), logits=np.tile(LOGITS, (3, 1)))
    belief = np.exp(-by_class)
    seen = np.bincount(LABELS) / LABELS.size
    rows = [
        [
            f"{name} ({round(seen[k] * LABELS.size)} of {LABELS.size})",
            f"{LOGITS[k]:.1f}",
            f"{belief[k]:.4f}",
            f"{np.eye(3, dtype=int)[k].tolist()}",
            f"{by_class[k]:.4f}",
            f"{cross_entropy(np.eye(3)[k], belief):.4f}",
        ]
        for k, name in enumerate(CLASSES)
    ]
    total = ["all ten", "", "", f"{[float(v) for v in seen]}", f"{mean:.4f}", f"{cross_entropy(seen, belief):.4f}"]
    head = ["label y", "logit", "belief q", "law p of the label", "mean of the losses -log q(y), nats", "H(p, q), nats"]
    return Step(
        name="one_hot",
        finding=f"The mean loss of ten labels is the cross-entropy of their frequencies: {mean:.3f} nats",
        alt="Left, the loss of each label and their mean; right, a bar of the same height, entropy plus KL.",
        table=[head, *rows, total],
        draw=lambda title: _figure(title, losses, seen, belief),
    )


def _figure(title: str, losses: np.ndarray, seen: np.ndarray, belief: np.ndarray) -> Figure:
    figure = style.canvas(3.2, title)
    mean, own, extra = losses.mean(), entropy(seen), kl(seen, belief)
    axes = style.panel(figure, 0.55, 0.5, 4.5, 2.6)
    plain(axes)
    axes.bar(np.arange(10), losses, 0.75, color=[COLORS[y] for y in LABELS])
    for k, loss in enumerate(losses):
        axes.text(k, loss + 0.04, f"{loss:.2f}", ha="center", fontsize=8)
    axes.axhline(mean, **style.DASHED)
    axes.text(2.5, mean + 0.05, f"mean\n{mean:.3f}", ha="center", color=style.ORANGE, fontweight="bold")
    axes.set_xticks(np.arange(10), [CLASSES[y] for y in LABELS])
    axes.set(xlim=(-0.6, 9.6), ylim=(0, 2.7), xlabel="label y of each sample", ylabel="loss -log q(y), nats")
    believed = ", ".join(f"{name} {q:.2f}" for name, q in zip(CLASSES, belief, strict=True))
    axes.set_title(f"belief q: {believed}", pad=4)

    axes = style.panel(figure, 5.15, 0.5, 7.5, 2.6)
    plain(axes)
    inside = {"ha": "center", "va": "center", "color": "white", "fontweight": "bold"}
    axes.bar(0, mean, 0.75, color=style.ORANGE)
    axes.text(0, mean / 2, f"{mean:.3f}", **inside)
    axes.bar(1, own, 0.75, color=style.GREY)
    axes.text(1, own / 2, f"entropy\n{own:.3f}", **inside)
    axes.bar(1, extra, 0.75, bottom=own, color=style.INK)
    axes.text(1.42, own + extra / 2, f"+ KL\n{extra:.3f}", va="center", fontweight="bold")
    axes.set_xticks([0, 1], ["mean of\nthe losses", "H(p, q) of the\nfrequencies p"])
    axes.set(xlim=(-0.5, 2.1), ylim=(0, 1.35), ylabel="nats")
    return figure


if __name__ == "__main__":
    step().write()
