"""The generalised extreme value law."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from raresim.arguments import checks
from raresim.marginals import tails
from raresim.marginals.base import Continuous, Moments
from raresim.marginals.gumbel import SKEWNESS
from raresim.marginals.likelihood import Domain
from raresim.marginals.parameters import finite
from raresim.numerics.arrays import Float
from raresim.registry import member


@member("marginal")
@dataclass(frozen=True, kw_only=True, eq=False)
class Gev(Continuous):
    """Generalised extreme value law, ``P(X <= x) = exp(-(1 + xi z)^(-1 / xi))`` with ``z = (x - loc) / scale``.

    The sign of ``xi`` follows the extreme value literature: SciPy's ``genextreme`` has ``c = -xi``.

    Parameters
    ----------
    xi : float
        Shape: positive for a heavy upper tail of index ``1 / xi`` (Frechet), 0 for the Gumbel law, negative for an
        upper end at ``loc - scale / xi`` (Weibull).
    loc : float
        Location.
    scale : float
        Scale, positive.
    """

    kind: ClassVar[str] = "gev"
    PARAMETERS: ClassVar[Mapping[str, Domain]] = {"xi": (-1.0, 3.0), "loc": "real", "scale": "positive"}

    xi: float
    loc: float = 0.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        finite("xi", self.xi)
        finite("loc", self.loc)
        checks.positive("scale", self.scale)

    @property
    def _support(self) -> tuple[float, float]:
        if self.xi == 0:
            return -np.inf, np.inf
        end = -1.0 / self.xi
        return (end, np.inf) if self.xi > 0 else (-np.inf, end)

    def _gumbel(self, z: Float) -> Float:
        """The standard Gumbel variable ``g`` with ``z = (exp(xi g) - 1) / xi``."""
        return tails.log1p_ratio(self.xi, z)

    def _logpdf(self, z: Float) -> Float:
        g = self._gumbel(z)
        out = -(1.0 + self.xi) * g - np.exp(-g)
        return np.where(np.isneginf(g), -np.inf, out)

    def _logcdf(self, z: Float) -> Float:
        return np.asarray(-np.exp(-self._gumbel(z)))

    def _logsf(self, z: Float) -> Float:
        return tails.log1m_exp_minus_exp(-self._gumbel(z))

    def _quantile(self, log_p: Float, upper: bool) -> Float:
        return tails.expm1_ratio(self.xi, -tails.log_hazard(log_p, not upper))

    def _log_quantile(self, log_p: Float, upper: bool) -> Float:
        return np.asarray(-self.xi * tails.log_hazard(log_p, not upper) - math.log(abs(self.xi)))

    def moments(self) -> Moments:
        from scipy import special

        xi = self.xi
        if xi == 0:
            return Moments(self.loc + np.euler_gamma * self.scale, (math.pi * self.scale) ** 2 / 6.0, SKEWNESS, 2.4)
        if abs(xi) < 0.05:
            return Continuous.moments(self)  # the raw moments below cancel
        g1, g2, g3, g4 = (float(special.gamma(1.0 - k * xi)) if k * xi < 1 else math.inf for k in (1, 2, 3, 4))
        mean = self.loc + self.scale * (g1 - 1.0) / xi
        if xi >= 0.5:
            return Moments(mean, math.inf, math.nan, math.nan)
        spread = g2 - g1 * g1
        third = g3 - 3.0 * g1 * g2 + 2.0 * g1**3
        fourth = g4 - 4.0 * g1 * g3 + 6.0 * g1 * g1 * g2 - 3.0 * g1**4 if 3 * xi < 1 else math.inf
        skewness = math.copysign(1.0, xi) * third / spread**1.5
        return Moments(mean, (self.scale / xi) ** 2 * spread, skewness, fourth / spread**2 - 3.0)

    def entropy(self) -> float:
        return math.log(self.scale) + np.euler_gamma * (1.0 + self.xi) + 1.0

    @classmethod
    def start(cls, values: Float, weights: Float) -> dict[str, float]:
        share = weights / weights.sum()
        mean = float(share @ values)
        scale = math.sqrt(6.0 * float(share @ (values - mean) ** 2)) / math.pi
        return {"xi": 0.0, "loc": mean - np.euler_gamma * scale, "scale": scale}

    @staticmethod
    def examples() -> list[Gev]:
        """Members for the conformance tests."""
        return [Gev(xi=0.2, loc=1.0, scale=2.0), Gev(xi=-0.2), Gev(xi=0.0, scale=0.5), Gev(xi=0.6, loc=-1.0)]
