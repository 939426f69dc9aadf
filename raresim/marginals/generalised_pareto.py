"""The generalised Pareto law."""

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
from raresim.marginals.parameters import finite
from raresim.numerics.arrays import Float
from raresim.registry import member


@member("marginal")
@dataclass(frozen=True, kw_only=True, eq=False)
class GeneralisedPareto(Continuous):
    """Generalised Pareto law, ``P(X > x) = (1 + xi z)^(-1 / xi)`` with ``z = (x - loc) / scale > 0``.

    The law of excesses over a high threshold, which is ``loc``; `fit` leaves it at 0. SciPy's ``genpareto`` has
    ``c = xi``.

    Parameters
    ----------
    xi : float
        Shape: positive for a heavy tail of index ``1 / xi``, 0 for the exponential law, negative for an upper end at
        ``loc - scale / xi``.
    loc : float
        Lower end.
    scale : float
        Scale, positive.
    """

    kind: ClassVar[str] = "generalised_pareto"
    PARAMETERS: ClassVar[Mapping[str, Domain]] = {"xi": (-1.0, 3.0), "scale": "positive"}

    xi: float
    loc: float = 0.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        finite("xi", self.xi)
        finite("loc", self.loc)
        checks.positive("scale", self.scale)

    @property
    def _support(self) -> tuple[float, float]:
        return 0.0, -1.0 / self.xi if self.xi < 0 else np.inf

    def _logpdf(self, z: Float) -> Float:
        from scipy import special

        # At the upper end of xi = -1 the density is 1, and 0 * inf would be NaN.
        return np.asarray(-z if self.xi == 0 else -special.xlog1py(1.0 / self.xi + 1.0, np.maximum(self.xi * z, -1.0)))

    def _logcdf(self, z: Float) -> Float:
        return tails.log1mexp(-tails.log1p_ratio(self.xi, z))

    def _logsf(self, z: Float) -> Float:
        return -tails.log1p_ratio(self.xi, z)

    def _quantile(self, log_p: Float, upper: bool) -> Float:
        return tails.expm1_ratio(self.xi, np.exp(tails.log_hazard(log_p, upper)))

    def _log_quantile(self, log_p: Float, upper: bool) -> Float:
        log_t = tails.log_hazard(log_p, upper)
        if self.xi == 0:
            return log_t
        t = np.exp(log_t)
        s = np.abs(self.xi) * t
        # (exp(xi t) - 1) / (xi t), in logs for either sign.
        ratio = tails.log1mexp(-s) - np.log(s) + (s if self.xi > 0 else 0.0)
        return np.asarray(log_t + np.where(s < 1e-20, 0.0, ratio))

    def moments(self) -> Moments:
        xi = self.xi
        mean = self.loc + self.scale / (1.0 - xi) if xi < 1 else math.inf
        variance = self.scale**2 / ((1.0 - xi) ** 2 * (1.0 - 2.0 * xi)) if 2 * xi < 1 else math.inf
        skewness = kurtosis = math.nan if 2 * xi >= 1 else math.inf
        if 3 * xi < 1:
            skewness = 2.0 * (1.0 + xi) * math.sqrt(1.0 - 2.0 * xi) / (1.0 - 3.0 * xi)
        if 4 * xi < 1:
            kurtosis = 3.0 * (1.0 - 2.0 * xi) * (2.0 * xi**2 + xi + 3.0) / ((1.0 - 3.0 * xi) * (1.0 - 4.0 * xi))
        return Moments(mean, variance, skewness, kurtosis - 3.0)

    def entropy(self) -> float:
        return math.log(self.scale) + 1.0 + self.xi

    @classmethod
    def start(cls, values: Float, weights: Float) -> dict[str, float]:
        likelihood.above_zero(cls, values)
        return {"xi": 0.0, "scale": float(weights @ values / weights.sum())}

    @staticmethod
    def examples() -> list[GeneralisedPareto]:
        """Members for the conformance tests."""
        return [
            GeneralisedPareto(xi=0.5, scale=2.0),
            GeneralisedPareto(xi=-0.3, loc=1.0),
            GeneralisedPareto(xi=0.0),
            GeneralisedPareto(xi=0.2, loc=-2.0, scale=0.1),
        ]
