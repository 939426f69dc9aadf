"""The binomial law."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from raresim.arguments import checks
from raresim.errors import DataError, FieldError
from raresim.marginals import likelihood
from raresim.marginals.base import Moments
from raresim.marginals.likelihood import MarginalFit
from raresim.marginals.poisson import LARGEST_COUNT, Count, counts, log_binomial
from raresim.numerics.arrays import Float
from raresim.registry import member

MOST_TRIALS = 1e9
"""Largest number of trials that `Binomial.fit` tries."""


@member("marginal")
@dataclass(frozen=True, kw_only=True, eq=False)
class Binomial(Count):
    """Binomial law: successes among ``n`` independent trials, each of probability ``p``.

    Parameters
    ----------
    n : int
        Trials, at least 1 and at most 1e15.
    p : float
        Probability of a success, from 0 to 1.
    """

    kind: ClassVar[str] = "binomial"

    n: int
    p: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "n", checks.whole("n", self.n))
        if self.n > LARGEST_COUNT:
            raise FieldError("n", f"must be at most {LARGEST_COUNT:g}, got {self.n:.15g}")
        if not 0.0 <= self.p <= 1.0:
            raise FieldError("p", f"must be from 0 to 1, got {self.p:.15g}")

    @property
    def support(self) -> tuple[float, float]:
        return (float(self.n) if self.p == 1 else 0.0), (0.0 if self.p == 0 else float(self.n))

    def _log_probability(self, k: Float) -> Float:
        n, p = float(self.n), self.p
        if p in (0.0, 1.0):
            return np.zeros(k.shape)
        none, all_ = n * math.log1p(-p), n * math.log(p)
        if n == 1:
            return np.where(k == 0, none, all_)
        inner = log_binomial(np.clip(k, 1.0, n - 1.0), n, p, 1.0 - p)
        # The two ends have formulas of their own; the quadrature needs no value between an end and its neighbour.
        return np.where(k == 0, none, np.where(k == n, all_, inner))

    def _tails(self, k: Float) -> tuple[Float, Float]:
        from scipy import special

        a, b = k + 1.0, self.n - k
        return np.asarray(special.betaincc(a, b, self.p)), np.asarray(special.betainc(a, b, self.p))

    def moments(self) -> Moments:
        q = 1.0 - self.p
        variance = self.n * self.p * q
        if variance == 0:
            return Moments(self.n * self.p, 0.0, math.nan, math.nan)
        return Moments(
            self.n * self.p, variance, (q - self.p) / math.sqrt(variance), (1.0 - 6.0 * self.p * q) / variance
        )

    @classmethod
    def fit(cls, values: ArrayLike, weights: ArrayLike | None = None, n: int | None = None) -> MarginalFit:
        """Maximum likelihood of ``p`` where the number of trials ``n`` is given, else of both.

        The likelihood of ``n`` has a maximum if the sample variance is below the mean, but a flat one: the standard
        errors, computed as if ``n`` were real, are often as large as ``n`` itself.

        Raises
        ------
        DataError
            When the values are not counts, exceed ``n``, or vary so much that no number of trials is best.
        """
        x, w = likelihood.observations(values, weights)
        counts(cls, x)
        total, mean = float(w.sum()), float(w @ x / w.sum())
        if n is not None:
            if x.max() > (n := checks.whole("n", n)):
                raise DataError(f"binomial with n = {n} cannot take {x.max():g}, at row {int(x.argmax())}")
            p = mean / n
            law = cls(n=n, p=p)
            error = math.sqrt(p * (1.0 - p) / (total * n))
            return MarginalFit(law, {"p": p}, {"p": error}, float(w @ law.logpdf(x)), x.size)
        trials = _best_trials(x, w, mean)
        p = mean / trials
        return likelihood.closed_form(cls, {"n": trials, "p": p}, _errors(x, w, trials, p), x, w)

    @staticmethod
    def examples() -> list[Binomial]:
        """Members for the conformance tests."""
        return [Binomial(n=20, p=0.3), Binomial(n=1_000_000, p=1e-4)]


def _best_trials(x: Float, w: Float, mean: float) -> int:
    """The whole number that maximises the likelihood with ``p = mean / n``, which has one maximum.

    Notes
    -----
    DeRiggi, *Unimodality of likelihood functions for the binomial distribution*, JASA 78, 1983.
    """
    from scipy import special

    def slope(n: float) -> float:
        rise = special.digamma(n + 1.0) - special.digamma(n - x + 1.0)
        return float(w @ rise + w.sum() * math.log1p(-mean / n))

    def log_likelihood(n: int) -> float:
        return float(w @ Binomial(n=n, p=mean / n).logpdf(x))

    low = high = float(x[w > 0].max())
    if float(w @ (x - mean) ** 2) >= float(w.sum()) * mean:
        raise DataError(
            "the values vary more than any binomial law allows; fit poisson or negative_binomial, or give n"
        )
    while slope(high) > 0:
        low, high = high, 2.0 * high
        if high > MOST_TRIALS:
            raise DataError(f"the best number of trials is above {MOST_TRIALS:g}; fit poisson, or give n")
    while high - low > 1.0:
        middle = math.floor(0.5 * (low + high))
        low, high = (middle, high) if slope(middle) > 0 else (low, middle)
    return int(max((low, high), key=lambda n: log_likelihood(int(n))))


def _errors(x: Float, w: Float, n: int, p: float) -> dict[str, float]:
    from scipy import special

    total = float(w.sum())
    of_n = float(w @ (special.polygamma(1, n - x + 1.0) - special.polygamma(1, n + 1.0)))
    of_p = total * n / (p * (1.0 - p))
    determinant = of_n * of_p - (total / (1.0 - p)) ** 2
    if not determinant > 0:
        return {"n": math.nan, "p": math.nan}
    return {"n": math.sqrt(of_p / determinant), "p": math.sqrt(of_n / determinant)}
