"""The variance gamma law."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from raresim.arguments import checks
from raresim.errors import FieldError
from raresim.marginals.base import Continuous, Moments
from raresim.marginals.likelihood import Domain
from raresim.marginals.numeric_tails import NumericTails, sample_moments
from raresim.marginals.parameters import finite
from raresim.numerics import normal_scores
from raresim.numerics.arrays import Float
from raresim.registry import member

NU_MIN, NU_MAX = 1e-3, 20.0


@member("marginal")
@dataclass(frozen=True, kw_only=True, eq=False)
class VarianceGamma(Continuous):
    """Variance gamma law of Madan, Carr and Chang: a normal whose variance is a gamma variable.

    ``X = loc + theta G + scale sqrt(G) W`` for a standard normal ``W`` and a gamma variable ``G`` of mean 1 and
    variance ``nu`` [1]_. With ``k = 1 / nu``, ``y = x - loc`` and ``m = sqrt(theta^2 + 2 scale^2 / nu)`` the density is
    ``2 exp(theta y / scale^2) / (nu^k sqrt(2 pi) scale Gamma(k)) (|y| / m)^(k - 1/2) K_(k - 1/2)(m |y| / scale^2)``,
    [1]_ eq. (23). The mean is ``loc + theta``, the variance ``scale^2 + theta^2 nu``.

    The density has a kink at ``loc`` for ``nu >= 1`` and is infinite there for ``nu >= 2``. The map from a standard
    normal is less smooth the larger ``nu`` is: from about ``nu = 0.55`` on, except for ``nu = 1``, it is not tabulated
    but solved for each draw.

    Parameters
    ----------
    nu : float
        Variance of the gamma variable, from 0.001 (almost normal) to 20. A fit searches below 2, where the likelihood
        is bounded.
    theta : float
        Asymmetry, in the unit of ``x``; positive leans to the right.
    loc : float
        Location, the mean where ``theta`` is 0.
    scale : float
        ``sigma`` of [1]_, positive.

    References
    ----------
    .. [1] Madan, Carr and Chang, *The variance gamma process and option pricing*, European Finance Review 2, 1998.
    """

    kind: ClassVar[str] = "variance_gamma"
    PARAMETERS: ClassVar[Mapping[str, Domain]] = {
        "nu": (NU_MIN, 2.0),
        "theta": "real",
        "loc": "real",
        "scale": "positive",
    }

    nu: float
    theta: float = 0.0
    loc: float = 0.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        if not NU_MIN <= self.nu <= NU_MAX:
            raise FieldError("nu", f"must be from {NU_MIN:g} to {NU_MAX:g}, got {self.nu:.15g}")
        finite("theta", self.theta)
        finite("loc", self.loc)
        checks.positive("scale", self.scale)

    @property
    def _support(self) -> tuple[float, float]:
        return -np.inf, np.inf

    @property
    def _kink(self) -> float:
        score = np.empty(1)
        normal_scores.from_log_probabilities(self._logcdf(np.zeros(1)), self._logsf(np.zeros(1)), score)
        return float(score[0])

    def _logpdf(self, z: Float) -> Float:
        from scipy import special

        k, t = 1.0 / self.nu, self.theta / self.scale
        m = math.hypot(t, math.sqrt(2.0 * k))
        steep = m + abs(t)
        rate = np.where(t * z > 0, 2.0 * k / steep, steep)
        distance = np.maximum(np.abs(z), 1e-300)
        constant = math.log(2.0) - 0.5 * math.log(2.0 * math.pi) - k * math.log(self.nu) - special.gammaln(k)
        bessel = log_bessel_k(abs(k - 0.5), m * distance)
        out = constant - rate * distance + (k - 0.5) * (np.log(distance) - math.log(m)) + bessel
        return np.where((z == 0) & (k <= 0.5), np.inf, out)

    def _logcdf(self, z: Float) -> Float:
        return self._tails.log_tail(z, False, self._logpdf)

    def _logsf(self, z: Float) -> Float:
        return self._tails.log_tail(z, True, self._logpdf)

    def _quantile(self, log_p: Float, upper: bool) -> Float:
        return self._tails.quantile(log_p, upper, self)

    @cached_property
    def _tails(self) -> NumericTails:
        return NumericTails.of(self._logpdf)

    def moments(self) -> Moments:
        nu, theta, square = self.nu, self.theta, self.scale**2
        variance = square + theta**2 * nu
        third = theta * nu * (2.0 * theta**2 * nu + 3.0 * square)
        excess = 3.0 * nu * (square**2 + 4.0 * square * theta**2 * nu + 2.0 * theta**4 * nu**2)
        return Moments(self.loc + theta, variance, third / variance**1.5, excess / variance**2)

    def entropy(self) -> float:
        return math.log(self.scale) - self._tails.expect(self._logpdf, self._logpdf)

    @classmethod
    def start(cls, values: Float, weights: Float) -> dict[str, float]:
        """The method of moments, to first order in the asymmetry."""
        mean, variance, skewness, kurtosis = sample_moments(values, weights)
        nu = min(max(kurtosis / 3.0, 0.05), 1.5)
        theta = math.copysign(min(abs(skewness) / (3.0 * nu), 0.5 / math.sqrt(nu)), skewness) * math.sqrt(variance)
        return {"nu": nu, "theta": theta, "loc": mean - theta, "scale": math.sqrt(variance - theta**2 * nu)}

    @staticmethod
    def examples() -> list[VarianceGamma]:
        """Members for the conformance tests."""
        return [
            VarianceGamma(nu=0.2, theta=-0.3),
            VarianceGamma(nu=0.3, theta=0.002, loc=0.001, scale=0.01),
        ]


def log_bessel_k(order: float, x: Float) -> Float:
    """``log K_order(x) + x`` for ``order`` from 0 to 1000 and any ``x`` above zero.

    SciPy's value is used where it neither overflows nor fails; else the first terms of DLMF 10.40.2 for large ``x``, of
    10.27.4 with 10.25.2 for small ``x``, and of 10.41.4 for a large order.
    """
    from scipy import special

    bessel = special.kve(order, x)
    out = np.log(bessel)
    large = np.isnan(bessel) | (bessel == 0)
    if large.any():
        y, term, total = x[large], 1.0, 1.0
        for j in range(1, 6):
            term = term * (4.0 * order**2 - (2 * j - 1) ** 2) / (8.0 * j * y)
            total = total + term
        out[large] = 0.5 * np.log(0.5 * math.pi / y) + np.log(total)
    small = np.isposinf(bessel)
    if small.any():
        y = x[small]
        out[small] = _debye(order, y) if order > 100.0 else _small_argument(order, y)
    return np.asarray(out)


def _small_argument(order: float, x: Float) -> Float:
    from scipy import special

    square = 0.25 * x * x
    total = 1.0 - square / (order - 1.0) + square**2 / (2.0 * (order - 1.0) * (order - 2.0)) if order > 2.5 else 1.0
    return np.asarray(special.gammaln(order) - math.log(2.0) - order * np.log(0.5 * x) + np.log(total) + x)


def _debye(order: float, x: Float) -> Float:
    z = x / order
    root = np.hypot(1.0, z)
    p = 1.0 / root
    square = p * p
    u1 = p * (3.0 - 5.0 * square) / 24.0
    u2 = square * (81.0 - square * (462.0 - 385.0 * square)) / 1152.0
    u3 = p * square * (30375.0 - square * (369603.0 - square * (765765.0 - 425425.0 * square))) / 414720.0
    u4 = 4465125.0 - square * (94121676.0 - square * (349922430.0 - square * (446185740.0 - 185910725.0 * square)))
    u4 = square**2 * u4 / 39813120.0
    total = 1.0 - u1 / order + u2 / order**2 - u3 / order**3 + u4 / order**4
    eta = root + np.log(z / (1.0 + root))
    return np.asarray(0.5 * np.log(0.5 * math.pi * p / order) - order * eta + np.log(total) + x)
