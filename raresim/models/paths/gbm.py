"""Geometric Brownian motion."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from raresim.distributions.base import Inputs
from raresim.models.paths.process import STANDARD, Process, check_price, finite, independent, volatility
from raresim.models.paths.steps import NormalStep
from raresim.numerics.arrays import Float
from raresim.numerics.jit import kernel
from raresim.registry import member


@member("process")
@dataclass(frozen=True, kw_only=True, eq=False)
class GeometricBrownian(Process):
    """Geometric Brownian motion: log returns are independent and normal; exact at every date.

    Parameters
    ----------
    price : float
        The first price.
    drift : float
        Expected growth of the price in a unit of time: its mean is ``price exp(drift t)``.
    volatility : float
        Standard deviation of the log return over a unit of time, as a fraction: 0.2 for 20 %.
    """

    kind: ClassVar[str] = "gbm"

    price: float
    drift: float = 0.0
    volatility: float

    def __post_init__(self) -> None:
        check_price(self)
        object.__setattr__(self, "drift", finite("drift", self.drift))
        object.__setattr__(self, "volatility", volatility("volatility", self.volatility))

    @property
    def first(self) -> float:
        return self.price

    def factors(self, steps: int, dt: float) -> Inputs:
        return independent(steps, z=STANDARD)

    def fill(self, x: Float, dt: float, path: Float) -> None:
        step = self.increment(dt)
        normal_walk(x, step.loc, step.std, path)

    def increment(self, dt: float) -> NormalStep:
        return NormalStep((self.drift - 0.5 * self.volatility**2) * dt, self.volatility * math.sqrt(dt))

    def bridge_variance(self, dt: float) -> float:
        return self.volatility**2 * dt

    def describe(self) -> list[str]:
        return [
            f"geometric Brownian motion from {self.price:g}, drift {self.drift:g} and volatility {self.volatility:g} "
            "a unit of time"
        ]

    @staticmethod
    def examples() -> list[GeometricBrownian]:
        """Members for the conformance tests."""
        return [GeometricBrownian(price=95.0, drift=0.05, volatility=0.15)]


@kernel
def normal_walk(z: Float, loc: float, std: float, path: Float) -> None:
    """``path[i, k] = sum_{j <= k} (loc + std z[i, j])``."""
    n, steps = path.shape
    for i in range(n):
        path[i, 0] = loc + std * z[i, 0]
    for k in range(1, steps):
        for i in range(n):
            path[i, k] = path[i, k - 1] + (loc + std * z[i, k])
