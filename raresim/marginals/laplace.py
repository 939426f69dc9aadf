"""The Laplace law."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from raresim.arguments import checks
from raresim.marginals import likelihood
from raresim.marginals.base import LOG_HALF, Continuous, Moments
from raresim.marginals.likelihood import MarginalFit
from raresim.marginals.parameters import finite
from raresim.numerics.arrays import Float
from raresim.registry import member


@member("marginal")
@dataclass(frozen=True, kw_only=True, eq=False)
class Laplace(Continuous):
    """Laplace law, density ``exp(-|x - loc| / scale) / (2 scale)``.

    Parameters
    ----------
    loc : float
        Mean and median.
    scale : float
        Mean distance from the median, positive.
    """

    kind: ClassVar[str] = "laplace"

    loc: float = 0.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        finite("loc", self.loc)
        checks.positive("scale", self.scale)

    @property
    def _support(self) -> tuple[float, float]:
        return -np.inf, np.inf

    def _logpdf(self, z: Float) -> Float:
        return np.asarray(LOG_HALF - np.abs(z))

    def _logcdf(self, z: Float) -> Float:
        return self._logsf(-z)

    def _logsf(self, z: Float) -> Float:
        return np.where(z > 0, LOG_HALF - z, np.log1p(-0.5 * np.exp(np.minimum(z, 0.0))))

    def _quantile(self, log_p: Float, upper: bool) -> Float:
        z = log_p - LOG_HALF
        return -z if upper else z

    def moments(self) -> Moments:
        return Moments(self.loc, 2.0 * self.scale**2, 0.0, 3.0)

    def entropy(self) -> float:
        return 1.0 + math.log(2.0 * self.scale)

    @classmethod
    def fit(cls, values: ArrayLike, weights: ArrayLike | None = None) -> MarginalFit:
        """Maximum likelihood: the weighted median, and the weighted mean distance from it."""
        x, w = likelihood.observations(values, weights)
        total = float(w.sum())
        loc = weighted_median(x, w)
        scale = float(w @ np.abs(x - loc)) / total
        error = scale / math.sqrt(total)
        return likelihood.closed_form(cls, {"loc": loc, "scale": scale}, {"loc": error, "scale": error}, x, w)

    @staticmethod
    def examples() -> list[Laplace]:
        """Members for the conformance tests."""
        return [Laplace(loc=1.0, scale=2.0), Laplace(scale=1e-3)]


def weighted_median(x: Float, w: Float) -> float:
    """The value with half of the weight on either side; the middle of such values where there are several."""
    order = np.argsort(x)
    order = order[w[order] > 0]
    x, share = x[order], np.cumsum(w[order])
    half = 0.5 * share[-1]
    k = int(np.searchsorted(share, half))
    return float(0.5 * (x[k] + x[k + 1]) if share[k] == half else x[k])
