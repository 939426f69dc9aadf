"""The geometric law."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from raresim.errors import FieldError
from raresim.marginals import likelihood
from raresim.marginals.base import Discrete, Moments
from raresim.marginals.finite import TIE, smaller_tail
from raresim.marginals.likelihood import MarginalFit
from raresim.marginals.poisson import LOG_SMALLEST, MOST_ATOMS, counts
from raresim.numerics.arrays import Float
from raresim.registry import member


@member("marginal")
@dataclass(frozen=True, kw_only=True, eq=False)
class Geometric(Discrete):
    """Geometric law, ``P(X = k) = p (1 - p)^(k - 1)`` for ``k = 1, 2, ...``: trials up to the first success.

    Parameters
    ----------
    p : float
        Probability of a success, above 0 and at most 1.
    """

    kind: ClassVar[str] = "geometric"

    p: float

    def __post_init__(self) -> None:
        if not 0.0 < self.p <= 1.0:
            raise FieldError("p", f"must be above 0 and at most 1, got {self.p:.15g}")

    @property
    def _log_fail(self) -> float:
        """``log(1 - p)``."""
        return math.log1p(-self.p) if self.p < 1 else -math.inf

    @property
    def support(self) -> tuple[float, float]:
        return 1.0, (1.0 if self.p == 1 else math.inf)

    @property
    def atoms(self) -> Float | None:
        last = math.ceil(LOG_SMALLEST / self._log_fail) + 1
        return None if last > MOST_ATOMS else np.arange(1.0, last + 1.0)

    def logpdf(self, x: ArrayLike) -> Float:
        x = np.asarray(x, dtype=np.float64)
        low, high = self.support
        out = np.where(np.isnan(x), np.nan, -np.inf)
        possible = (x >= low) & (x <= high) & (np.floor(x) == x) & np.isfinite(x)
        failures = x[possible] - 1.0
        out[possible] = math.log(self.p) + np.where(failures == 0, 0.0, np.maximum(failures, 1.0) * self._log_fail)
        return out

    def logcdf(self, x: ArrayLike) -> Float:
        log_sf = self.logsf(x)
        with np.errstate(divide="ignore"):
            # There are two forms, because exp and log lose the digits of a number near 1.
            return np.where(log_sf > -0.5, np.log(-np.expm1(log_sf)), np.log1p(-np.exp(np.minimum(log_sf, -0.5))))

    def logsf(self, x: ArrayLike) -> Float:
        k = np.floor(np.asarray(x, dtype=np.float64))
        return np.where(k < 1, 0.0, np.maximum(k, 1.0) * self._log_fail)

    def quantile(self, log_p: ArrayLike, upper: bool = False) -> Float:
        log_p = np.asarray(log_p, dtype=np.float64)
        smaller, swapped = smaller_tail(log_p)
        with np.errstate(divide="ignore", invalid="ignore"):
            # The inequality in terms of the upper tail, up to TIE, and its smallest whole solution.
            log_q = np.where(swapped ^ upper, smaller + TIE, np.log1p(-np.exp(smaller - TIE)))
            k = np.maximum(np.ceil(log_q / self._log_fail), 1.0)
        if self.p == 1:
            k = np.ones(log_p.shape)
        return np.where(log_p <= 0, k, np.nan)

    def moments(self) -> Moments:
        p, q = self.p, 1.0 - self.p
        if q == 0:
            return Moments(1.0, 0.0, math.nan, math.nan)
        return Moments(1.0 / p, q / p**2, (2.0 - p) / math.sqrt(q), 6.0 + p * p / q)

    def entropy(self) -> float:
        """``(-p log p - (1 - p) log(1 - p)) / p``."""
        return 0.0 if self.p == 1 else -math.log(self.p) - (1.0 - self.p) / self.p * self._log_fail

    @classmethod
    def fit(cls, values: ArrayLike, weights: ArrayLike | None = None) -> MarginalFit:
        """Maximum likelihood: the inverse of the weighted mean."""
        x, w = likelihood.observations(values, weights)
        counts(cls, x, least=1)
        p = float(w.sum() / (w @ x))
        return likelihood.closed_form(cls, {"p": p}, {"p": p * math.sqrt((1.0 - p) / w.sum())}, x, w)

    @staticmethod
    def examples() -> list[Geometric]:
        """Members for the conformance tests."""
        return [Geometric(p=0.3), Geometric(p=1e-6)]
