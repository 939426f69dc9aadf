"""Values that a Gaussian process can follow: margins as they are, or with their large or small ones drawn together."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from raresim.numerics.arrays import Float

BONUS = 4.0
"""Nats by which another warp has to be more probable than none."""

Shape = Literal["straight", "asinh", "root", "sinh", "log", "atanh"]

NEAR = (1.0, 0.1, 0.01)
"""Units of ``asinh`` and ``root``, as shares of the median distance from the threshold."""

REACH = (1.5, 3.0, 5.0)
"""Argument of ``sinh`` at the largest margin."""

FINER = 4.0
"""Factor of the unit of a neighbour."""

GAP = (1.0, 1e-2, 1e-4)
"""Distances of a bound from the margins, as shares of the largest one."""


@dataclass(frozen=True)
class Warp:
    """An increasing transform of the margin, the signed distance of a loss from its threshold.

    Parameters
    ----------
    centre : float
        Margin at which the argument of the transform is zero.
    scale : float
        Unit of the margin.
    shape : str
        ``asinh`` draws large margins together, and ``root``, a cube root that is smooth at zero, does so less; ``sinh``
        draws small ones together; ``log`` undoes a lower bound, and ``atanh`` one on both sides.
    edge : float
        Distance from a bound, in units of ``scale``, within which the transform goes on as a straight line.
    unit : float
        What the transform is divided by.
    """

    centre: float
    scale: float
    shape: Shape = "straight"
    edge: float = 0.0
    unit: float = 1.0

    def __call__(self, margin: Float) -> Float:
        """The warped margins (n,)."""
        return _SHAPES[self.shape][0]((margin - self.centre) / self.scale, self.edge) / self.unit

    @property
    def is_bounded(self) -> bool:
        """Whether margins are taken to have a bound."""
        return self.edge > 0.0

    @property
    def boundary(self) -> float:
        """The warped margin at the threshold."""
        return float(self(np.zeros(1))[0])

    def log_slope(self, margin: Float) -> float:
        """Sum of the logs of the derivative, in nats: what makes likelihoods of different warps comparable."""
        slopes = _SHAPES[self.shape][1]((margin - self.centre) / self.scale, self.edge)
        return float(slopes.sum()) - margin.size * math.log(self.scale * self.unit)

    def describe(self) -> str:
        """How margins are taken, in words that follow "margins are"."""
        return "not transformed" if self.shape == "straight" else f"transformed by {self.shape}"

    @property
    def bonus(self) -> float:
        """Nats that are added to its likelihood."""
        return 0.0 if self.shape != "straight" else BONUS


def unwarped(warp: Warp, value: Float) -> Float:
    """The margins (n,) that ``warp`` takes to ``value`` (n,)."""
    return np.asarray(_SHAPES[warp.shape][2](value * warp.unit, warp.edge) * warp.scale + warp.centre)


def candidates(margin: Float) -> Iterator[Warp]:
    """The warps to choose from, with units read from the first margins (n,), which later ones must not change.

    Later evaluations pile up at the threshold: units read from them would make the rest of the loss look huge.
    """
    scale = float(margin.std()) or 1.0
    yield Warp(0.0, scale)
    middle = float(np.median(margin))
    near = float(np.median(np.abs(margin))) or scale
    most = float(np.abs(margin).max()) or scale
    around = float(np.median(np.abs(margin - middle))) or scale
    bent = [Warp(middle, around, "asinh")]
    bent += [Warp(0.0, near * share, "asinh") for share in NEAR]
    bent += [Warp(0.0, near * share, "root") for share in NEAR]
    bent += [Warp(0.0, most / reach, "sinh") for reach in REACH]
    bent += [Warp(0.0, most * (1.0 + gap), "atanh", 0.5 * gap / (1.0 + gap)) for gap in GAP]
    lowest = float(margin.min())
    if lowest < 0:
        bent += [Warp(lowest * (1.0 + gap), -lowest * (1.0 + gap), "log", 0.5 * gap / (1.0 + gap)) for gap in GAP]
    for warp in bent:
        yield standardised(warp, margin)


def neighbours(warp: Warp, margin: Float) -> Iterator[Warp]:
    """Warps of the same shape in smaller and larger units, or with a nearer and a farther bound.

    Parameters
    ----------
    warp : Warp
        A warp that turned out to be likely.
    margin : (n,) float64
        The first margins, from which all units are read.
    """
    for factor in (1.0 / FINER, FINER):
        if warp.shape in ("asinh", "root", "sinh"):
            yield standardised(replace(warp, scale=warp.scale * factor), margin)
        elif warp.shape in ("log", "atanh"):
            gap = 2.0 * warp.edge / (1.0 - 2.0 * warp.edge)
            further = gap * factor
            scale = warp.scale / (1.0 + gap) * (1.0 + further)
            centre = 0.0 if warp.shape == "atanh" else -scale
            yield standardised(replace(warp, centre=centre, scale=scale, edge=0.5 * further / (1.0 + further)), margin)


def standardised(warp: Warp, margin: Float) -> Warp:
    """The warp whose values at ``margin`` (n,) have a standard deviation of one."""
    plain = replace(warp, unit=1.0)
    return replace(plain, unit=float(plain(margin).std()) or 1.0)


def _log(z: Float, edge: float) -> Float:
    inside = np.maximum(z, edge)
    return np.log(inside) + np.minimum(z - edge, 0.0) / edge


def _log_slope(z: Float, edge: float) -> Float:
    return -np.log(np.maximum(z, edge))


def _exp(v: Float, edge: float) -> Float:
    lowest = math.log(edge)
    return np.asarray(np.exp(np.maximum(v, lowest)) + np.minimum(v - lowest, 0.0) * edge)


def _atanh(z: Float, edge: float) -> Float:
    inside = np.clip(z, edge - 1.0, 1.0 - edge)
    return np.arctanh(inside) + (z - inside) / (edge * (2.0 - edge))


def _atanh_slope(z: Float, edge: float) -> Float:
    inside = np.clip(z, edge - 1.0, 1.0 - edge)
    return -np.log1p(-inside * inside)


def _tanh(v: Float, edge: float) -> Float:
    inside = np.clip(v, np.arctanh(edge - 1.0), np.arctanh(1.0 - edge))
    return np.asarray(np.tanh(inside) + (v - inside) * (edge * (2.0 - edge)))


def _root(z: Float, edge: float) -> Float:
    return np.asarray(3.0 * np.sinh(np.arcsinh(z) / 3.0))


def _root_slope(z: Float, edge: float) -> Float:
    return np.asarray(np.log(np.cosh(np.arcsinh(z) / 3.0)) - 0.5 * np.log1p(z * z))


def _cube(v: Float, edge: float) -> Float:
    return np.asarray(np.sinh(3.0 * np.arcsinh(v / 3.0)))


REACHED = 30.0
"""Argument beyond which ``sinh`` goes on as a straight line."""


def _sinh(z: Float, edge: float) -> Float:
    inside = np.clip(z, -REACHED, REACHED)
    return np.sinh(inside) + (z - inside) * math.cosh(REACHED)


def _sinh_slope(z: Float, edge: float) -> Float:
    return np.asarray(np.log(np.cosh(np.clip(z, -REACHED, REACHED))))


def _asinh(v: Float, edge: float) -> Float:
    most = math.sinh(REACHED)
    return np.asarray(np.arcsinh(np.clip(v, -most, most)) + (v - np.clip(v, -most, most)) / math.cosh(REACHED))


Transform = Callable[[Float, float], Float]

_SHAPES: dict[Shape, tuple[Transform, Transform, Transform]] = {
    "straight": (lambda z, edge: z, lambda z, edge: np.zeros_like(z), lambda v, edge: v),
    "asinh": (lambda z, edge: np.arcsinh(z), lambda z, edge: -0.5 * np.log1p(z * z), lambda v, edge: np.sinh(v)),
    "root": (_root, _root_slope, _cube),
    "sinh": (_sinh, _sinh_slope, _asinh),
    "log": (_log, _log_slope, _exp),
    "atanh": (_atanh, _atanh_slope, _tanh),
}
"""Each transform and the log of its derivative, at margins in their units, and its inverse."""
