"""Heston's stochastic volatility."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from raresim.arguments import checks
from raresim.distributions.base import Inputs
from raresim.errors import FieldError
from raresim.models.market.book_file import MOST_VOLATILITY
from raresim.models.paths.process import STANDARD, Process, check_price, finite, independent
from raresim.numerics.arrays import Float
from raresim.numerics.jit import kernel
from raresim.registry import member


@member("process")
@dataclass(frozen=True, kw_only=True, eq=False)
class Heston(Process):
    """Heston's stochastic volatility, by Andersen's quadratic-exponential scheme: not exact between dates.

    Parameters
    ----------
    price : float
        The first price.
    drift : float
        Expected growth of the price in a unit of time.
    variance : float
        Present variance of the log return over a unit of time: 0.04 for a volatility of 20 %.
    reversion : float
        Rate at which the variance returns to its long-run level.
    long_variance : float
        Long-run level of the variance.
    vol_of_variance : float
        Volatility of the variance: ``dv = reversion (long_variance - v) dt + vol_of_variance sqrt(v) dW``.
    correlation : float
        Correlation of the Brownian motions of price and variance.

    Notes
    -----
    The scheme QE of [1]_ (sections 3.2 and 4.2, with equal weights of both ends of a step, without the correction that
    makes the price a martingale): the variance after a step is a squared normal, or exponential with an atom at 0, with
    its exact mean and variance. What a step lacks falls with its length, so halve the step to see whether it matters.

    References
    ----------
    .. [1] Andersen, *Simple and efficient simulation of the Heston stochastic volatility model*, Journal of
       Computational Finance 11(3), 2008.
    """

    kind: ClassVar[str] = "heston"

    price: float
    drift: float = 0.0
    variance: float
    reversion: float
    long_variance: float
    vol_of_variance: float
    correlation: float = 0.0

    def __post_init__(self) -> None:
        check_price(self)
        object.__setattr__(self, "drift", finite("drift", self.drift))
        for name in ("variance", "long_variance"):
            value = checks.positive(name, getattr(self, name))
            if value > MOST_VOLATILITY**2:
                raise FieldError(
                    name,
                    f"must be at most {MOST_VOLATILITY**2:g}, got {value:.15g}; it is a variance, the square of a "
                    "volatility: is it in per cent?",
                )
            object.__setattr__(self, name, value)
        for name in ("reversion", "vol_of_variance"):
            object.__setattr__(self, name, checks.positive(name, getattr(self, name)))
        object.__setattr__(self, "correlation", checks.between("correlation", self.correlation, -1.0, 1.0))

    @property
    def first(self) -> float:
        return self.price

    def factors(self, steps: int, dt: float) -> Inputs:
        return independent(steps, z=STANDARD, v=STANDARD)

    def fill(self, x: Float, dt: float, path: Float) -> None:
        steps = path.shape[1]
        state = self.variance, self.reversion, self.long_variance, self.vol_of_variance, self.correlation
        quadratic_exponential(x[:, :steps], x[:, steps : 2 * steps], self.drift * dt, dt, *state, path)

    def notes(self, dt: float) -> list[str]:
        twice = 2.0 * self.reversion * self.long_variance
        if twice >= self.vol_of_variance**2:
            return []
        return [
            f"the variance can reach 0: twice reversion times long_variance, {twice:.4g}, is below the square of "
            f"vol_of_variance, {self.vol_of_variance**2:.4g} (Feller's condition); the scheme allows it"
        ]

    def describe(self) -> list[str]:
        return [
            f"Heston model from {self.price:g}, drift {self.drift:g}; variance {self.variance:g}, returning to "
            f"{self.long_variance:g} at the rate {self.reversion:g}, volatility of variance {self.vol_of_variance:g}, "
            f"correlation {self.correlation:g}; quadratic-exponential scheme"
        ]

    @staticmethod
    def examples() -> list[Heston]:
        """Members for the conformance tests."""
        calm = {"price": 100.0, "variance": 0.04, "reversion": 2.0, "long_variance": 0.04, "correlation": -0.7}
        return [Heston(**calm, vol_of_variance=0.3), Heston(**calm, vol_of_variance=1.0)]


@kernel
def quadratic_exponential(
    z: Float,
    normal: Float,
    drift: float,
    dt: float,
    first: float,
    reversion: float,
    level: float,
    vol: float,
    rho: float,
    path: Float,
) -> None:
    """Log prices (n, steps) from normals of the price ``z`` and of the variance, (n, steps) each."""
    n, steps = path.shape
    left = math.exp(-reversion * dt)
    of_state = vol * vol * left * (1.0 - left) / reversion
    of_level = level * vol * vol * (1.0 - left) ** 2 / (2.0 * reversion)
    half = 0.5 * dt * (reversion * rho / vol - 0.5)
    k0 = drift - rho * reversion * level * dt / vol  # [1] eq. (33), with both weights 1/2
    k1, k2 = half - rho / vol, half + rho / vol
    k3 = 0.5 * dt * (1.0 - rho * rho)
    for i in range(n):
        v, s = first, 0.0
        for k in range(steps):
            mean = level + (v - level) * left  # [1] eq. (17)
            psi = (v * of_state + of_level) / (mean * mean)  # [1] eq. (18)
            u = normal[i, k]
            if psi <= 1.5:
                two = 2.0 / psi
                b2 = two - 1.0 + math.sqrt(two) * math.sqrt(two - 1.0)  # [1] eq. (27)
                after = mean / (1.0 + b2) * (math.sqrt(b2) + u) ** 2
            else:
                p = (psi - 1.0) / (psi + 1.0)  # [1] eq. (29)
                above = 0.5 * math.erfc(u / math.sqrt(2.0))
                after = 0.0 if above >= 1.0 - p else math.log((1.0 - p) / above) * mean / (1.0 - p)
            s += k0 + k1 * v + k2 * after + math.sqrt(k3 * (v + after)) * z[i, k]
            path[i, k] = s
            v = after
