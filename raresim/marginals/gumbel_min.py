"""The Gumbel law of a minimum."""

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
from raresim.marginals.parameters import UNSET, Natural, finite, mean_and_std, resolve
from raresim.numerics.arrays import Float
from raresim.registry import member


@member("marginal")
@dataclass(frozen=True, kw_only=True, eq=False)
class GumbelMin(Continuous):
    """Gumbel law of a minimum, ``P(X > x) = exp(-exp(z))`` with ``z = (x - loc) / scale``; SciPy's ``gumbel_l``.

    Parameters
    ----------
    loc, scale : float
        Mode and scale, positive; 0 and 1 where one is left out.
    mean, std : float
        Mean and standard deviation of the law itself, instead of ``loc`` and ``scale``.
    """

    kind: ClassVar[str] = "gumbel_min"
    PARAMETERS: ClassVar[Mapping[str, Domain]] = {"loc": "real", "scale": "positive"}

    loc: Natural = UNSET
    scale: Natural = UNSET
    mean: float | None = None
    std: float | None = None

    def __post_init__(self) -> None:
        resolve(self, {"loc": 0.0, "scale": 1.0}, ("mean", "std"), self._of_mean_and_std)
        finite("loc", self.loc)
        checks.positive("scale", self.scale)

    def _of_mean_and_std(self) -> Mapping[str, float]:
        mean, std = mean_and_std(self)
        scale = std * math.sqrt(6.0) / math.pi
        return {"loc": mean + np.euler_gamma * scale, "scale": scale}

    @property
    def _support(self) -> tuple[float, float]:
        return -np.inf, np.inf

    def _logpdf(self, z: Float) -> Float:
        return np.asarray(z - np.exp(z))

    def _logcdf(self, z: Float) -> Float:
        return tails.log1m_exp_minus_exp(z)

    def _logsf(self, z: Float) -> Float:
        return np.asarray(-np.exp(z))

    def _quantile(self, log_p: Float, upper: bool) -> Float:
        return tails.log_hazard(log_p, upper)

    def moments(self) -> Moments:
        return Moments(self.loc - np.euler_gamma * self.scale, (math.pi * self.scale) ** 2 / 6.0, -SKEWNESS, 2.4)

    def entropy(self) -> float:
        return math.log(self.scale) + np.euler_gamma + 1.0

    @classmethod
    def start(cls, values: Float, weights: Float) -> dict[str, float]:
        share = weights / weights.sum()
        mean = float(share @ values)
        law = cls(mean=mean, std=math.sqrt(float(share @ (values - mean) ** 2)))
        return {"loc": law.loc, "scale": law.scale}

    @staticmethod
    def examples() -> list[GumbelMin]:
        """Members for the conformance tests."""
        return [GumbelMin(loc=1.0, scale=2.0), GumbelMin(mean=-100.0, std=5.0)]
