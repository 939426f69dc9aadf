"""Independent standard normals: the sampling space itself."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from raresim.arguments import checks
from raresim.distributions.base import Distribution, Inputs
from raresim.distributions.lognormal_sum import lognormal_moments
from raresim.marginals.base import Marginal
from raresim.marginals.normal import Normal as NormalMarginal
from raresim.numerics.arrays import Float
from raresim.numerics.jit import kernel
from raresim.numerics.normals import fill_standard_normal
from raresim.registry import member

LOG_2PI = math.log(2.0 * math.pi)


@member("inputs", "distribution")
@dataclass(frozen=True, kw_only=True)
class StandardNormal(Inputs, Distribution):
    """``dim`` independent standard normals.

    Density ``(2 pi)^(-d/2) exp(-|x|^2 / 2)``.

    Parameters
    ----------
    dim : int
        Number of coordinates, at least one.
    """

    kind: ClassVar[str] = "standard_normal"

    dim: int = 1

    def __post_init__(self) -> None:
        checks.dimension("dim", self.dim)

    @property
    def fitted(self) -> None:
        return None

    @property
    def centre(self) -> Float:
        return np.zeros(self.dim)

    @property
    def is_normal(self) -> bool:
        return True

    @property
    def independent_laws(self) -> tuple[Marginal, ...]:
        return (NormalMarginal(),) * self.dim

    @staticmethod
    def latent_dim_of(dim: int) -> int:
        return dim

    def to_physical(self, u: Float, x: Float) -> Float:
        return u

    def linear_moments(self, weights: Float) -> tuple[float, float]:
        return 0.0, math.sqrt(float(weights @ weights))

    def exponential_moments(self, weights: Float) -> tuple[float, float]:
        return lognormal_moments(np.zeros(self.dim), np.eye(self.dim), weights)

    def describe(self) -> list[str]:
        return [f"{self.dim} independent standard normals"]

    def sample(self, rng: np.random.Generator, x: Float) -> None:
        fill_standard_normal(rng, x)

    def logpdf(self, x: Float, out: Float) -> None:
        squared_norm(x, out)
        out *= -0.5
        out -= 0.5 * self.dim * LOG_2PI

    @staticmethod
    def examples() -> list[StandardNormal]:
        """Members for the conformance tests."""
        return [StandardNormal(dim=1), StandardNormal(dim=7)]


@kernel
def squared_norm(x: Float, out: Float) -> None:
    """``out[i] = sum_j x[i, j]^2``."""
    n, d = x.shape
    for i in range(n):
        out[i] = 0.0
    for j in range(d):
        for i in range(n):
            out[i] += x[i, j] * x[i, j]


def widening(dim: int) -> float:
    """Standard deviation of the widened target for which the second moment of the weights is 4."""
    r = 4.0 ** (1.0 / dim)
    return math.sqrt(r * r + math.sqrt(r**4 - r * r))
