"""The normal law."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from raresim.arguments import checks
from raresim.marginals import likelihood
from raresim.marginals.base import Continuous, Moments
from raresim.marginals.likelihood import MarginalFit
from raresim.marginals.parameters import UNSET, Natural, finite, mean_and_std, resolve
from raresim.numerics.arrays import Float
from raresim.registry import member

HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)


@member("marginal")
@dataclass(frozen=True, kw_only=True, eq=False)
class Normal(Continuous):
    """Normal law, density ``exp(-z^2 / 2) / (sqrt(2 pi) scale)`` with ``z = (x - loc) / scale``.

    Parameters
    ----------
    loc, scale : float
        Mean and standard deviation, positive, in the unit of ``x``; 0 and 1 where one is left out.
    mean, std : float
        Other names of ``loc`` and ``scale``, to be used instead of these.
    """

    kind: ClassVar[str] = "normal"
    is_normal: ClassVar[bool] = True

    loc: Natural = UNSET
    scale: Natural = UNSET
    mean: float | None = None
    std: float | None = None

    def __post_init__(self) -> None:
        resolve(self, {"loc": 0.0, "scale": 1.0}, ("mean", "std"), self._of_mean_and_std)
        finite("loc", self.loc)
        checks.positive("scale", self.scale)

    def _of_mean_and_std(self) -> Mapping[str, float]:
        return dict(zip(("loc", "scale"), mean_and_std(self), strict=True))

    @property
    def _support(self) -> tuple[float, float]:
        return -np.inf, np.inf

    def _logpdf(self, z: Float) -> Float:
        return -0.5 * z * z - HALF_LOG_2PI

    def _logcdf(self, z: Float) -> Float:
        from scipy import special

        return np.asarray(special.log_ndtr(z))

    def _logsf(self, z: Float) -> Float:
        from scipy import special

        return np.asarray(special.log_ndtr(-z))

    def _quantile(self, log_p: Float, upper: bool) -> Float:
        from scipy import special

        z = special.ndtri_exp(log_p)
        return np.asarray(-z if upper else z)

    def from_normal(self, u: Float, out: Float) -> None:
        np.multiply(u, self.scale, out=out)
        out += self.loc

    def moments(self) -> Moments:
        return Moments(self.loc, self.scale**2, 0.0, 0.0)

    def entropy(self) -> float:
        return 0.5 + HALF_LOG_2PI + math.log(self.scale)

    @classmethod
    def fit(cls, values: ArrayLike, weights: ArrayLike | None = None) -> MarginalFit:
        """Maximum likelihood: weighted mean and standard deviation, which divides by the sum of weights."""
        x, w = likelihood.observations(values, weights)
        total = float(w.sum())
        loc = float(w @ x) / total
        scale = math.sqrt(float(w @ (x - loc) ** 2) / total)
        errors = {"loc": scale / math.sqrt(total), "scale": scale / math.sqrt(2.0 * total)}
        return likelihood.closed_form(cls, {"loc": loc, "scale": scale}, errors, x, w)

    @staticmethod
    def examples() -> list[Normal]:
        """Members for the conformance tests."""
        return [Normal(loc=1.0, scale=2.0), Normal(mean=-1e3, std=0.1)]
