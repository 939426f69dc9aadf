"""The negative binomial law."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from raresim.arguments import checks
from raresim.errors import DataError, FieldError
from raresim.marginals import likelihood
from raresim.marginals.base import Moments
from raresim.marginals.likelihood import Domain, MarginalFit
from raresim.marginals.parameters import REQUIRED, UNSET, Natural, mean_and_std, resolve
from raresim.marginals.poisson import LARGEST_COUNT, Count, counts, log_binomial
from raresim.numerics.arrays import Float
from raresim.registry import member


@member("marginal")
@dataclass(frozen=True, kw_only=True, eq=False)
class NegativeBinomial(Count):
    """Negative binomial law: failures before the ``n``-th success; a Poisson law whose mean is gamma distributed.

    ``P(X = k) = Gamma(k + n) / (Gamma(n) k!) p^n (1 - p)^k`` for ``k = 0, 1, ...``. It is given by ``n`` and ``p`` or
    by ``mean`` and ``std``.

    Parameters
    ----------
    n : float, optional
        Number of successes, or the shape of the gamma law: positive, not necessarily whole.
    p : float, optional
        Probability of a success, above 0 and at most 1.
    mean, std : float, optional
        Mean and standard deviation; the variance must exceed the mean.
    """

    kind: ClassVar[str] = "negative_binomial"
    PARAMETERS: ClassVar[Mapping[str, Domain]] = {"n": "positive", "p": (0.0, 1.0)}

    n: Natural = UNSET
    p: Natural = UNSET
    mean: float | None = None
    std: float | None = None

    def __post_init__(self) -> None:
        resolve(self, {"n": REQUIRED, "p": REQUIRED}, ("mean", "std"), self._of_mean_and_std)
        checks.positive("n", self.n)
        if not 0.0 < self.p <= 1.0:
            raise FieldError("p", f"must be above 0 and at most 1, got {self.p:.15g}")
        if (mean := self.n * self._q / self.p) > LARGEST_COUNT:
            raise FieldError("p" if self.mean is None else "mean", f"the mean must be at most 1e15, got {mean:.15g}")

    def _of_mean_and_std(self) -> Mapping[str, float]:
        mean, std = mean_and_std(self, above=0.0)
        p = mean / std**2
        if p >= 1:
            raise FieldError("std", f"must be above the root of the mean, {math.sqrt(mean):.15g}, got {std:.15g}")
        return {"n": mean * p / (1.0 - p), "p": p}

    @property
    def _q(self) -> float:
        return 1.0 - self.p

    @property
    def support(self) -> tuple[float, float]:
        return 0.0, (0.0 if self._q == 0 else math.inf)

    def _log_probability(self, k: Float) -> Float:
        n, p, q = self.n, self.p, self._q
        none = n * math.log(p)
        if q == 0:
            return np.zeros(k.shape)
        j = np.maximum(k, 1.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            log_p = log_binomial(j, n + j, q, p) - np.log1p(j / n)
        return np.where(k == 0, none, log_p)

    def _tails(self, k: Float) -> tuple[Float, Float]:
        from scipy import special

        if self.p < 0.5:
            return special.betainc(self.n, k + 1.0, self.p), special.betaincc(self.n, k + 1.0, self.p)
        return special.betaincc(k + 1.0, self.n, self._q), special.betainc(k + 1.0, self.n, self._q)

    def moments(self) -> Moments:
        n, p, q = self.n, self.p, self._q
        if q == 0:
            return Moments(0.0, 0.0, math.nan, math.nan)
        return Moments(n * q / p, n * q / p**2, (1.0 + q) / math.sqrt(n * q), 6.0 / n + p * p / (n * q))

    @classmethod
    def fit(cls, values: ArrayLike, weights: ArrayLike | None = None) -> MarginalFit:
        """Maximum likelihood of ``n`` and ``p``; `DataError` unless the sample variance exceeds the mean.

        Notes
        -----
        Else the likelihood rises towards a Poisson law: Levin & Reeds, *Ann. Statist.* 5, 1977.
        """
        x, w = likelihood.observations(values, weights)
        counts(cls, x)
        return likelihood.maximise(cls, x, w)

    @classmethod
    def start(cls, values: Float, weights: Float) -> dict[str, float]:
        """The law with the sample's mean and variance."""
        mean = float(weights @ values / weights.sum())
        variance = float(weights @ (values - mean) ** 2 / weights.sum())
        if variance <= mean:
            raise DataError(
                f"negative_binomial needs a variance above the mean, got {variance:.15g} and {mean:g}; fit poisson"
            )
        return {"n": mean**2 / (variance - mean), "p": mean / variance}

    def describe(self) -> str:
        return f"negative binomial (n {self.n:.6g}, p {self.p:.6g})"

    @staticmethod
    def examples() -> list[NegativeBinomial]:
        """Members for the conformance tests."""
        return [NegativeBinomial(n=2.5, p=0.3), NegativeBinomial(mean=40.0, std=60.0)]
