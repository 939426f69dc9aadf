"""The lognormal law."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from raresim.arguments import checks
from raresim.marginals import likelihood
from raresim.marginals.base import Continuous, Moments
from raresim.marginals.likelihood import MarginalFit
from raresim.marginals.normal import HALF_LOG_2PI
from raresim.marginals.parameters import REQUIRED, UNSET, Natural, finite, mean_and_std, resolve
from raresim.numerics.arrays import Float
from raresim.numerics.exponentials import exponential
from raresim.registry import member


@member("marginal")
@dataclass(frozen=True, kw_only=True, eq=False)
class Lognormal(Continuous):
    """Lognormal law: ``log((X - loc) / scale)`` is normal with mean 0 and standard deviation ``s``.

    Parameters
    ----------
    s : float
        Standard deviation of the log, positive and dimensionless.
    scale : float
        Median above the lower end, positive; 1 where it is left out.
    mean, std : float
        Mean and standard deviation of the law itself, instead of ``s`` and ``scale``.
    loc : float
        Lower end.
    """

    kind: ClassVar[str] = "lognormal"

    s: Natural = UNSET
    scale: Natural = UNSET
    mean: float | None = None
    std: float | None = None
    loc: float = 0.0

    def __post_init__(self) -> None:
        finite("loc", self.loc)
        resolve(self, {"s": REQUIRED, "scale": 1.0}, ("mean", "std"), self._of_mean_and_std)
        checks.positive("s", self.s)
        checks.positive("scale", self.scale)

    def _of_mean_and_std(self) -> Mapping[str, float]:
        mean, std = mean_and_std(self, above=self.loc)
        s2 = math.log1p((std / (mean - self.loc)) ** 2)
        return {"s": math.sqrt(s2), "scale": (mean - self.loc) * math.exp(-0.5 * s2)}

    @property
    def _support(self) -> tuple[float, float]:
        return 0.0, np.inf

    def _logpdf(self, z: Float) -> Float:
        log_z = np.log(z)
        out = -0.5 * (log_z / self.s) ** 2 - log_z - (HALF_LOG_2PI + math.log(self.s))
        return np.where(z > 0, out, -np.inf)

    def _logcdf(self, z: Float) -> Float:
        from scipy import special

        return np.asarray(special.log_ndtr(np.log(z) / self.s))

    def _logsf(self, z: Float) -> Float:
        from scipy import special

        return np.asarray(special.log_ndtr(-np.log(z) / self.s))

    def _quantile(self, log_p: Float, upper: bool) -> Float:
        return np.asarray(np.exp(self._log_quantile(log_p, upper)))

    def _log_quantile(self, log_p: Float, upper: bool) -> Float:
        from scipy import special

        return np.asarray(special.ndtri_exp(log_p) * (-self.s if upper else self.s))

    def from_normal(self, u: Float, out: Float) -> None:
        np.multiply(u, self.s, out=out)
        exponential(out, out)
        out *= self.scale
        out += self.loc

    def moments(self) -> Moments:
        grown = _or_infinite(lambda: math.expm1(self.s**2))
        w = 1.0 + grown
        root = math.sqrt(w) if w < math.inf else _or_infinite(lambda: math.exp(0.5 * self.s**2))
        mean = self.loc + self.scale * root
        variance = _or_infinite(lambda: self.scale**2 * w * grown)
        excess = _or_infinite(lambda: grown * (w**3 + 3.0 * w**2 + 6.0 * w + 6.0))
        return Moments(mean, variance, (w + 2.0) * math.sqrt(grown), excess)

    def entropy(self) -> float:
        return 0.5 + HALF_LOG_2PI + math.log(self.s * self.scale)

    @classmethod
    def fit(cls, values: ArrayLike, weights: ArrayLike | None = None) -> MarginalFit:
        """Maximum likelihood with ``loc`` 0: weighted mean and standard deviation of the logs."""
        x, w = likelihood.observations(values, weights)
        likelihood.above_zero(cls, x)
        total, log_x = float(w.sum()), np.log(x)
        mean = float(w @ log_x) / total
        s, scale = math.sqrt(float(w @ (log_x - mean) ** 2) / total), math.exp(mean)
        errors = {"s": s / math.sqrt(2.0 * total), "scale": scale * s / math.sqrt(total)}
        return likelihood.closed_form(cls, {"s": s, "scale": scale}, errors, x, w)

    @staticmethod
    def examples() -> list[Lognormal]:
        """Members for the conformance tests."""
        return [Lognormal(s=0.5, scale=3.0), Lognormal(s=2.0, loc=-1.0), Lognormal(mean=10.0, std=4.0)]


def _or_infinite(moment: Callable[[], float]) -> float:
    """Infinity where no double holds ``moment``."""
    try:
        return moment()
    except OverflowError:
        return math.inf
