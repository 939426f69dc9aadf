"""Merton's jump diffusion."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from raresim.arguments import checks
from raresim.distributions.base import Inputs
from raresim.errors import FieldError
from raresim.marginals.poisson import Poisson
from raresim.models.paths.process import STANDARD, Process, check_price, finite, independent, volatility
from raresim.models.paths.steps import JumpStep
from raresim.numerics.arrays import Float
from raresim.numerics.jit import kernel
from raresim.registry import member


@member("process")
@dataclass(frozen=True, kw_only=True, eq=False)
class MertonJumps(Process):
    """Merton's jump diffusion: geometric Brownian motion with normal jumps of the log price; exact at every date.

    Parameters
    ----------
    price : float
        The first price.
    drift : float
        Expected growth of the price in a unit of time, jumps included: its mean is ``price exp(drift t)``.
    volatility : float
        Standard deviation of the log return over a unit of time without jumps, as a fraction.
    jump_rate : float
        Expected number of jumps in a unit of time, by a Poisson process.
    jump_mean, jump_std : float
        Mean and standard deviation of a jump of the log price.

    Notes
    -----
    Given ``N`` jumps in a step, its log return is normal with the mean ``a dt + N jump_mean`` and the variance
    ``volatility^2 dt + N jump_std^2``, where ``a = drift - volatility^2 / 2 - jump_rate (E exp(jump) - 1)``: [1]_. So a
    step has two factors, a normal and the number of jumps.

    References
    ----------
    .. [1] Merton, *Option pricing when underlying stock returns are discontinuous*, Journal of Financial Economics 3,
       1976.
    """

    kind: ClassVar[str] = "merton"

    price: float
    drift: float = 0.0
    volatility: float
    jump_rate: float
    jump_mean: float = 0.0
    jump_std: float = 0.0

    def __post_init__(self) -> None:
        check_price(self)
        for name in ("drift", "jump_mean"):
            object.__setattr__(self, name, finite(name, getattr(self, name)))
        object.__setattr__(self, "volatility", volatility("volatility", self.volatility))
        object.__setattr__(self, "jump_rate", checks.positive("jump_rate", self.jump_rate))
        if not 0 <= self.jump_std < math.inf:
            raise FieldError("jump_std", f"must not be negative, and finite, got {self.jump_std:g}")

    @property
    def first(self) -> float:
        return self.price

    def factors(self, steps: int, dt: float) -> Inputs:
        return independent(steps, z=STANDARD, jumps=Poisson(mu=self.jump_rate * dt))

    def fill(self, x: Float, dt: float, path: Float) -> None:
        step = self.increment(dt)
        steps = path.shape[1]
        variances = step.std**2, step.jump_std**2
        jump_walk(x[:, :steps], x[:, steps : 2 * steps], step.loc, step.jump_loc, *variances, path)

    def increment(self, dt: float) -> JumpStep:
        grown = math.expm1(self.jump_mean + 0.5 * self.jump_std**2)
        loc = (self.drift - 0.5 * self.volatility**2 - self.jump_rate * grown) * dt
        std = self.volatility * math.sqrt(dt)
        return JumpStep(loc, std, self.jump_rate * dt, self.jump_mean, self.jump_std)

    def describe(self) -> list[str]:
        return [
            f"Merton jump diffusion from {self.price:g}, drift {self.drift:g} and volatility {self.volatility:g} a "
            f"unit of time, {self.jump_rate:g} jumps in it with mean {self.jump_mean:g} and standard deviation "
            f"{self.jump_std:g} of the log price"
        ]

    @staticmethod
    def examples() -> list[MertonJumps]:
        """Members for the conformance tests."""
        return [MertonJumps(price=100.0, volatility=0.2, jump_rate=1.0, jump_mean=-0.1, jump_std=0.15)]


@kernel
def jump_walk(
    z: Float, jumps: Float, loc: float, jump_loc: float, variance: float, jump_variance: float, path: Float
) -> None:
    """Sums of steps with the mean ``loc + N jump_loc`` and the variance ``variance + N jump_variance``."""
    n, steps = path.shape
    for k in range(steps):
        for i in range(n):
            number = jumps[i, k]
            before = 0.0 if k == 0 else path[i, k - 1]
            std = math.sqrt(variance + number * jump_variance)
            path[i, k] = before + (loc + number * jump_loc + std * z[i, k])
