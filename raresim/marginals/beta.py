"""The beta law."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from raresim.arguments import checks
from raresim.errors import DataError
from raresim.marginals import tails
from raresim.marginals.base import Continuous, Moments
from raresim.marginals.likelihood import Domain
from raresim.marginals.parameters import finite
from raresim.numerics.arrays import Float
from raresim.registry import member


@member("marginal")
@dataclass(frozen=True, kw_only=True, eq=False)
class Beta(Continuous):
    """Beta law, density ``z^(a - 1) (1 - z)^(b - 1) / (B(a, b) scale)`` with ``0 < z = (x - loc) / scale < 1``.

    `fit` leaves ``loc`` at 0 and ``scale`` at 1.

    Parameters
    ----------
    a, b : float
        Shapes at the lower and the upper end, positive.
    loc : float
        Lower end.
    scale : float
        Distance between the ends, positive.
    """

    kind: ClassVar[str] = "beta"
    PARAMETERS: ClassVar[Mapping[str, Domain]] = {"a": "positive", "b": "positive"}

    a: float
    b: float
    loc: float = 0.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        checks.positive("a", self.a)
        checks.positive("b", self.b)
        finite("loc", self.loc)
        checks.positive("scale", self.scale)

    @property
    def _support(self) -> tuple[float, float]:
        return 0.0, 1.0

    def _logpdf(self, z: Float) -> Float:
        from scipy import special

        shape = special.xlogy(self.a - 1.0, z) + special.xlog1py(self.b - 1.0, -z)
        return np.asarray(shape - special.betaln(self.a, self.b))

    def _logcdf(self, z: Float) -> Float:
        return self._log_tail(z, np.log(z), self.a, self.b)

    def _logsf(self, z: Float) -> Float:
        return self._log_tail(1.0 - z, np.log1p(-z), self.b, self.a)

    @staticmethod
    def _log_tail(y: Float, log_y: Float, a: float, b: float) -> Float:
        """Log of ``I_y(a, b)``, computed from the other tail where it is near 1."""
        from scipy import special

        other = special.betaincc(a, b, y)
        return np.where(other < 0.5, np.log1p(-other), tails.log_beta_cdf(a, b, log_y))

    def _quantile(self, log_p: Float, upper: bool) -> Float:
        if upper:
            return np.asarray(-np.expm1(tails.beta_log_quantile(self.b, self.a, log_p)))
        return np.asarray(np.exp(tails.beta_log_quantile(self.a, self.b, log_p)))

    def _log_quantile(self, log_p: Float, upper: bool) -> Float:
        if upper:
            return tails.log1mexp(tails.beta_log_quantile(self.b, self.a, log_p))
        return tails.beta_log_quantile(self.a, self.b, log_p)

    def moments(self) -> Moments:
        a, b, n = self.a, self.b, self.a + self.b
        variance = a * b / (n * n * (n + 1.0))
        skewness = 2.0 * (b - a) * math.sqrt(n + 1.0) / ((n + 2.0) * math.sqrt(a * b))
        excess = 6.0 * ((a - b) ** 2 * (n + 1.0) - a * b * (n + 2.0)) / (a * b * (n + 2.0) * (n + 3.0))
        return Moments(self.loc + self.scale * a / n, self.scale**2 * variance, skewness, excess)

    def entropy(self) -> float:
        from scipy import special

        a, b = self.a, self.b
        ends = (a - 1.0) * special.digamma(a) + (b - 1.0) * special.digamma(b)
        return float(special.betaln(a, b) - ends + (a + b - 2.0) * special.digamma(a + b)) + math.log(self.scale)

    @classmethod
    def start(cls, values: Float, weights: Float) -> dict[str, float]:
        outside = (values <= 0) | (values >= 1)
        if outside.any():
            row = int(outside.argmax())
            raise DataError(f"{cls.kind} needs values above 0 and below 1, got {values[row]:.15g} at row {row}")
        share = weights / weights.sum()
        mean = float(share @ values)
        variance = float(share @ (values - mean) ** 2)
        size = max(mean * (1.0 - mean) / variance - 1.0, 0.1)
        return {"a": mean * size, "b": (1.0 - mean) * size}

    @staticmethod
    def examples() -> list[Beta]:
        """Members for the conformance tests."""
        return [Beta(a=2.0, b=5.0), Beta(a=0.5, b=3.0, loc=-1.0, scale=4.0), Beta(a=3.0, b=0.5)]
