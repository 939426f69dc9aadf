"""The exponential law."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from raresim.arguments import checks
from raresim.marginals import likelihood, tails
from raresim.marginals.base import Continuous, Moments
from raresim.marginals.likelihood import MarginalFit
from raresim.marginals.parameters import finite
from raresim.numerics.arrays import Float
from raresim.registry import member


@member("marginal")
@dataclass(frozen=True, kw_only=True, eq=False)
class Exponential(Continuous):
    """Exponential law, density ``exp(-(x - loc) / scale) / scale`` above ``loc``.

    Parameters
    ----------
    loc : float
        Lower end.
    scale : float
        Mean distance above the lower end, positive.
    """

    kind: ClassVar[str] = "exponential"

    loc: float = 0.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        finite("loc", self.loc)
        checks.positive("scale", self.scale)

    @property
    def _support(self) -> tuple[float, float]:
        return 0.0, np.inf

    def _logpdf(self, z: Float) -> Float:
        return -z

    def _logcdf(self, z: Float) -> Float:
        return np.asarray(np.log(-np.expm1(-z)))

    def _logsf(self, z: Float) -> Float:
        return -z

    def _quantile(self, log_p: Float, upper: bool) -> Float:
        return -log_p if upper else np.asarray(-np.log1p(-np.exp(log_p)))

    def _log_quantile(self, log_p: Float, upper: bool) -> Float:
        return tails.log_hazard(log_p, upper)

    def moments(self) -> Moments:
        return Moments(self.loc + self.scale, self.scale**2, 2.0, 6.0)

    def entropy(self) -> float:
        return 1.0 + float(np.log(self.scale))

    @classmethod
    def fit(cls, values: ArrayLike, weights: ArrayLike | None = None) -> MarginalFit:
        """Maximum likelihood with ``loc`` 0: the weighted mean."""
        x, w = likelihood.observations(values, weights)
        likelihood.above_zero(cls, x)
        mean = float(w @ x / w.sum())
        return likelihood.closed_form(cls, {"scale": mean}, {"scale": mean / w.sum() ** 0.5}, x, w)

    @staticmethod
    def examples() -> list[Exponential]:
        """Members for the conformance tests."""
        return [Exponential(scale=2.0), Exponential(loc=-1.0, scale=0.3)]
