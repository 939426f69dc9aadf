"""Values that a Gaussian process can follow: margins as they are, or with their large ones drawn together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from raresim.numerics.arrays import Float

BONUS = 4.0
"""Nats by which another warp has to be more probable than none."""


@dataclass(frozen=True)
class Warp:
    """An increasing transform of the margin, the signed distance of a loss from its threshold.

    Parameters
    ----------
    centre : float
        Margin at which the transform is steepest.
    scale : float
        Unit of the margin.
    bends : bool
        Whether ``asinh`` draws large margins together.
    """

    centre: float
    scale: float
    bends: bool

    def __call__(self, margin: Float) -> Float:
        """The warped margins; their sign is that of ``margin`` less the warp's zero."""
        scaled = (margin - self.centre) / self.scale
        return np.arcsinh(scaled) if self.bends else scaled

    @property
    def boundary(self) -> float:
        """The warped margin at the threshold."""
        return float(self(np.zeros(1))[0])

    def log_slope(self, margin: Float) -> float:
        """Sum of the logs of the derivative, in nats: what makes likelihoods of different warps comparable."""
        scaled = (margin - self.centre) / self.scale
        bent = -0.5 * np.log1p(scaled**2) if self.bends else np.zeros_like(scaled)
        return float(bent.sum()) - margin.size * float(np.log(self.scale))

    @property
    def bonus(self) -> float:
        """Nats that are added to its likelihood."""
        return 0.0 if self.bends else BONUS


def unwarped(warp: Warp, value: Float) -> Float:
    """The margins (n,) that ``warp`` takes to ``value`` (n,)."""
    scaled = np.sinh(value) if warp.bends else value
    return np.asarray(scaled * warp.scale + warp.centre)


def candidates(margin: Float) -> Iterator[Warp]:
    """The warps to choose from, with units read from the first margins (n,), which later ones must not change.

    Later evaluations pile up at the threshold: units read from them would make the rest of the loss look huge.
    """
    scale = float(margin.std()) or 1.0
    yield Warp(0.0, scale, bends=False)
    middle = float(np.median(margin))
    near = float(np.median(np.abs(margin))) or scale
    yield Warp(0.0, near, bends=True)
    around = float(np.median(np.abs(margin - middle))) or scale
    yield Warp(middle, around, bends=True)
