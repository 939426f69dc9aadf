"""The gamma law."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from raresim.arguments import checks
from raresim.marginals import likelihood, tails
from raresim.marginals.base import Continuous, Moments
from raresim.marginals.likelihood import Domain
from raresim.marginals.parameters import REQUIRED, UNSET, Natural, finite, mean_and_std, resolve
from raresim.numerics.arrays import Float
from raresim.registry import member


@member("marginal")
@dataclass(frozen=True, kw_only=True, eq=False)
class Gamma(Continuous):
    """Gamma law, density ``z^(a - 1) exp(-z) / (Gamma(a) scale)`` with ``z = (x - loc) / scale > 0``.

    `fit` leaves ``loc`` at 0.

    Parameters
    ----------
    a : float
        Shape, positive.
    scale : float
        Scale, positive; 1 where it is left out.
    mean, std : float
        Mean and standard deviation of the law itself, instead of ``a`` and ``scale``.
    loc : float
        Lower end.
    """

    kind: ClassVar[str] = "gamma"
    PARAMETERS: ClassVar[Mapping[str, Domain]] = {"a": "positive", "scale": "positive"}

    a: Natural = UNSET
    scale: Natural = UNSET
    mean: float | None = None
    std: float | None = None
    loc: float = 0.0

    def __post_init__(self) -> None:
        finite("loc", self.loc)
        resolve(self, {"a": REQUIRED, "scale": 1.0}, ("mean", "std"), self._of_mean_and_std)
        checks.positive("a", self.a)
        checks.positive("scale", self.scale)

    def _of_mean_and_std(self) -> Mapping[str, float]:
        mean, std = mean_and_std(self, above=self.loc)
        return {"a": ((mean - self.loc) / std) ** 2, "scale": std**2 / (mean - self.loc)}

    @property
    def _support(self) -> tuple[float, float]:
        return 0.0, np.inf

    def _logpdf(self, z: Float) -> Float:
        from scipy import special

        if self.a > 100:
            log_z = np.log(z)
            return np.where(z > 0, tails.log_gamma_mass(self.a, log_z) - log_z, -np.inf)
        return np.asarray(special.xlogy(self.a - 1.0, z) - z - special.gammaln(self.a))

    def _logcdf(self, z: Float) -> Float:
        return tails.log_gamma_cdf(self.a, np.log(z))

    def _logsf(self, z: Float) -> Float:
        return tails.log_gamma_sf(self.a, z)

    def _quantile(self, log_p: Float, upper: bool) -> Float:
        return tails.gamma_isf(self.a, log_p) if upper else np.asarray(np.exp(tails.gamma_log_quantile(self.a, log_p)))

    def _log_quantile(self, log_p: Float, upper: bool) -> Float:
        return np.asarray(np.log(tails.gamma_isf(self.a, log_p))) if upper else tails.gamma_log_quantile(self.a, log_p)

    def moments(self) -> Moments:
        return Moments(self.loc + self.a * self.scale, self.a * self.scale**2, 2.0 / math.sqrt(self.a), 6.0 / self.a)

    def entropy(self) -> float:
        from scipy import special

        a = self.a
        if a > 1e4:  # DLMF 5.11.1 and 5.11.2, because the terms below cancel
            shape = 0.5 * math.log(2.0 * math.pi * math.e * a) - 1.0 / (3.0 * a) - 1.0 / (12.0 * a**2)
        else:
            shape = a + float(special.gammaln(a) + (1.0 - a) * special.digamma(a))
        return shape + math.log(self.scale)

    @classmethod
    def start(cls, values: Float, weights: Float) -> dict[str, float]:
        likelihood.above_zero(cls, values)
        share = weights / weights.sum()
        mean = float(share @ values)
        gap = max(math.log(mean) - float(share @ np.log(values)), 1e-12)
        a = (3.0 - gap + math.sqrt((gap - 3.0) ** 2 + 24.0 * gap)) / (12.0 * gap)  # the start of Minka (2002)
        return {"a": a, "scale": mean / a}

    @staticmethod
    def examples() -> list[Gamma]:
        """Members for the conformance tests."""
        return [Gamma(a=2.0, scale=3.0), Gamma(a=0.5, loc=1.0), Gamma(a=50.0, scale=0.1), Gamma(mean=2.0, std=3.0)]
