"""The Weibull law."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from raresim.arguments import checks
from raresim.errors import FieldError
from raresim.marginals import likelihood, tails
from raresim.marginals.base import Continuous, Moments
from raresim.marginals.likelihood import Domain
from raresim.marginals.parameters import REQUIRED, UNSET, Natural, finite, mean_and_std, resolve
from raresim.numerics.arrays import Float
from raresim.registry import member


@member("marginal")
@dataclass(frozen=True, kw_only=True, eq=False)
class Weibull(Continuous):
    """Weibull law of a minimum, ``P(X > x) = exp(-z^c)`` with ``z = (x - loc) / scale > 0``.

    SciPy's ``weibull_min``. `fit` leaves ``loc`` at 0.

    Parameters
    ----------
    c : float
        Shape, positive; below 1 for a tail heavier than exponential.
    scale : float
        Scale, positive; 1 where it is left out.
    mean, std : float
        Mean and standard deviation of the law itself, instead of ``c`` and ``scale``.
    loc : float
        Lower end.
    """

    kind: ClassVar[str] = "weibull"
    PARAMETERS: ClassVar[Mapping[str, Domain]] = {"c": "positive", "scale": "positive"}

    c: Natural = UNSET
    scale: Natural = UNSET
    mean: float | None = None
    std: float | None = None
    loc: float = 0.0

    def __post_init__(self) -> None:
        finite("loc", self.loc)
        resolve(self, {"c": REQUIRED, "scale": 1.0}, ("mean", "std"), self._of_mean_and_std)
        checks.positive("c", self.c)
        checks.positive("scale", self.scale)

    def _of_mean_and_std(self) -> Mapping[str, float]:
        from scipy import optimize, special

        mean, std = mean_and_std(self, above=self.loc)
        variation = math.log1p((std / (mean - self.loc)) ** 2)

        def excess(log_k: float) -> float:
            return _log_square_ratio(math.exp(log_k)) - variation

        if not excess(math.log(1e-7)) < 0 < excess(math.log(50.0)):
            raise FieldError("std", f"must be between about 1e-7 and 1e15 times the mean above loc, got {std:.15g}")
        k = math.exp(optimize.brentq(excess, math.log(1e-7), math.log(50.0), xtol=1e-14, rtol=1e-14))
        return {"c": 1.0 / k, "scale": (mean - self.loc) / math.exp(float(special.gammaln(1.0 + k)))}

    @property
    def _support(self) -> tuple[float, float]:
        return 0.0, np.inf

    def _logpdf(self, z: Float) -> Float:
        from scipy import special

        return np.asarray(math.log(self.c) + special.xlogy(self.c - 1.0, z) - z**self.c)

    def _logcdf(self, z: Float) -> Float:
        return tails.log1m_exp_minus_exp(self.c * np.log(z))

    def _logsf(self, z: Float) -> Float:
        return np.asarray(-(z**self.c))

    def _quantile(self, log_p: Float, upper: bool) -> Float:
        return np.asarray(np.exp(self._log_quantile(log_p, upper)))

    def _log_quantile(self, log_p: Float, upper: bool) -> Float:
        return tails.log_hazard(log_p, upper) / self.c

    def moments(self) -> Moments:
        from scipy import special

        if self.c > 30.0:
            return Continuous.moments(self)  # the raw moments below cancel
        g1, g2, g3, g4 = (float(special.gamma(1.0 + k / self.c)) for k in (1, 2, 3, 4))
        variance = g2 - g1 * g1
        third = g3 - 3.0 * g1 * g2 + 2.0 * g1**3
        fourth = g4 - 4.0 * g1 * g3 + 6.0 * g1 * g1 * g2 - 3.0 * g1**4
        return Moments(
            self.loc + self.scale * g1, self.scale**2 * variance, third / variance**1.5, fourth / variance**2 - 3.0
        )

    def entropy(self) -> float:
        return np.euler_gamma * (1.0 - 1.0 / self.c) + math.log(self.scale / self.c) + 1.0

    @classmethod
    def start(cls, values: Float, weights: Float) -> dict[str, float]:
        likelihood.above_zero(cls, values)
        share, log_x = weights / weights.sum(), np.log(values)
        mean = float(share @ log_x)
        c = math.pi / math.sqrt(6.0 * float(share @ (log_x - mean) ** 2))
        return {"c": c, "scale": math.exp(mean + np.euler_gamma / c)}

    @staticmethod
    def examples() -> list[Weibull]:
        """Members for the conformance tests."""
        return [Weibull(c=1.5, scale=2.0), Weibull(c=0.7, loc=-1.0), Weibull(c=3.0), Weibull(mean=10.0, std=2.0)]


def _log_square_ratio(k: float) -> float:
    """``log(E X^2 / (E X)^2)`` at ``k = 1 / c``; for small ``k`` by the series of log gamma, DLMF 5.7.3."""
    from scipy import special

    if k > 0.05:
        return float(special.gammaln(1.0 + 2.0 * k) - 2.0 * special.gammaln(1.0 + k))
    n = np.arange(2, 20)
    return float((special.zeta(n) * (-k) ** n * (2.0**n - 2.0) / n).sum())
