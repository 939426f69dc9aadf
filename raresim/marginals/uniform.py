"""The uniform law."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from raresim.arguments import checks
from raresim.errors import FieldError
from raresim.marginals import likelihood
from raresim.marginals.base import Continuous, Moments
from raresim.marginals.likelihood import MarginalFit
from raresim.marginals.parameters import UNSET, Natural, finite, resolve
from raresim.numerics.arrays import Float
from raresim.registry import member


@member("marginal")
@dataclass(frozen=True, kw_only=True, eq=False)
class Uniform(Continuous):
    """Uniform law, density ``1 / scale`` from ``loc`` to ``loc + scale``.

    Parameters
    ----------
    loc, scale : float
        Lower end and length, positive; 0 and 1 where one is left out.
    low, high : float
        The two ends, instead of ``loc`` and ``scale``.
    """

    kind: ClassVar[str] = "uniform"

    loc: Natural = UNSET
    scale: Natural = UNSET
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        resolve(self, {"loc": 0.0, "scale": 1.0}, ("low", "high"), self._of_ends)
        finite("loc", self.loc)
        checks.positive("scale", self.scale)

    def _of_ends(self) -> Mapping[str, float]:
        low, high = (finite(name, getattr(self, name)) for name in ("low", "high"))
        if not low < high:
            raise FieldError("high", f"must be above low, which is {low:.15g}, got {high:.15g}")
        return {"loc": low, "scale": high - low}

    @property
    def _support(self) -> tuple[float, float]:
        return 0.0, 1.0

    def _logpdf(self, z: Float) -> Float:
        return np.zeros(z.shape)

    def _logcdf(self, z: Float) -> Float:
        return np.asarray(np.log(z))

    def _logsf(self, z: Float) -> Float:
        return np.asarray(np.log1p(-z))

    def _quantile(self, log_p: Float, upper: bool) -> Float:
        return np.asarray(-np.expm1(log_p) if upper else np.exp(log_p))

    def _log_quantile(self, log_p: Float, upper: bool) -> Float:
        return np.asarray(np.log1p(-np.exp(log_p))) if upper else log_p

    def moments(self) -> Moments:
        return Moments(self.loc + 0.5 * self.scale, self.scale**2 / 12.0, 0.0, -1.2)

    def entropy(self) -> float:
        return math.log(self.scale)

    @classmethod
    def fit(cls, values: ArrayLike, weights: ArrayLike | None = None) -> MarginalFit:
        """Maximum likelihood: from the smallest value to the largest, without standard errors of the usual kind."""
        x, w = likelihood.observations(values, weights)
        used = x[w > 0]
        low, high = float(used.min()), float(used.max())
        errors = {"loc": math.nan, "scale": math.nan}
        return likelihood.closed_form(cls, {"loc": low, "scale": high - low}, errors, used, w[w > 0])

    @staticmethod
    def examples() -> list[Uniform]:
        """Members for the conformance tests."""
        return [Uniform(loc=1.0, scale=2.0), Uniform(low=-1.0, high=1.0)]
