"""The logistic law."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from raresim.arguments import checks
from raresim.marginals import tails
from raresim.marginals.base import Continuous, Moments
from raresim.marginals.likelihood import Domain
from raresim.marginals.parameters import finite
from raresim.numerics.arrays import Float
from raresim.registry import member


@member("marginal")
@dataclass(frozen=True, kw_only=True, eq=False)
class Logistic(Continuous):
    """Logistic law, ``P(X <= x) = 1 / (1 + exp(-z))`` with ``z = (x - loc) / scale``.

    Parameters
    ----------
    loc : float
        Mean and median.
    scale : float
        Scale, positive; the standard deviation is ``scale * pi / sqrt(3)``.
    """

    kind: ClassVar[str] = "logistic"
    PARAMETERS: ClassVar[Mapping[str, Domain]] = {"loc": "real", "scale": "positive"}

    loc: float = 0.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        finite("loc", self.loc)
        checks.positive("scale", self.scale)

    @property
    def _support(self) -> tuple[float, float]:
        return -np.inf, np.inf

    def _logpdf(self, z: Float) -> Float:
        return np.asarray(-np.abs(z) - 2.0 * np.log1p(np.exp(-np.abs(z))))

    def _logcdf(self, z: Float) -> Float:
        from scipy import special

        return np.asarray(special.log_expit(z))

    def _logsf(self, z: Float) -> Float:
        from scipy import special

        return np.asarray(special.log_expit(-z))

    def _quantile(self, log_p: Float, upper: bool) -> Float:
        z = log_p - tails.log1mexp(log_p)
        return -z if upper else z

    def moments(self) -> Moments:
        return Moments(self.loc, (math.pi * self.scale) ** 2 / 3.0, 0.0, 1.2)

    def entropy(self) -> float:
        return 2.0 + math.log(self.scale)

    @classmethod
    def start(cls, values: Float, weights: Float) -> dict[str, float]:
        share = weights / weights.sum()
        mean = float(share @ values)
        return {"loc": mean, "scale": math.sqrt(3.0 * float(share @ (values - mean) ** 2)) / math.pi}

    @staticmethod
    def examples() -> list[Logistic]:
        """Members for the conformance tests."""
        return [Logistic(loc=1.0, scale=2.0), Logistic(loc=-5.0, scale=0.1)]
