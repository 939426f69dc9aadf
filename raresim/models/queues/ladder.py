"""The law of a ladder height: how far a walk with Poisson arrivals exceeds its maximum so far, where it does."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from raresim.marginals.base import U_MAX, Marginal, Moments
from raresim.marginals.exponential import Exponential
from raresim.marginals.generalised_pareto import GeneralisedPareto
from raresim.numerics import normal_scores
from raresim.numerics.arrays import Float

END, WIDTH, NODES = 37.0, 0.05, 10
"""Scores between which the tail is integrated, width of a cell, and points of the quadrature in it."""


def ladder_height(law: Marginal) -> Marginal:
    """The law with the survival function ``int_y^inf P(X > x) dx / E X`` of a claim ``X`` with the given ``law``.

    That of exponential and of generalised Pareto claims is again of their kind; any other is integrated.
    """
    if isinstance(law, Exponential) and law.loc == 0:
        return law
    if isinstance(law, GeneralisedPareto) and law.loc == 0 and 0 <= law.xi < 1:
        return GeneralisedPareto(xi=law.xi / (1.0 - law.xi), scale=law.scale / (1.0 - law.xi))
    return LadderHeight(law)


class Scores(NamedTuple):
    """Standard normal scores of the same values under the law of claims (k,) and under that of ladder heights (k,),
    and the slope of the second over the first (k,)."""

    claim: Float
    ladder: Float
    slope: Float


@dataclass(frozen=True, eq=False)
class LadderHeight(Marginal):
    """The integrated tail of a continuous law of claims ``X`` that are not negative, as a law.

    Parameters
    ----------
    law : Marginal
        Of the claims, with a density and a finite mean.

    Notes
    -----
    ``P(Y > y)`` is integrated over the standard normal score of the claim, from both ends, so that nothing is lost in
    either tail; between the ends of cells, scores are interpolated by cubics with the exact slopes, to about 1e-8.
    """

    kind: ClassVar[str] = "ladder_height"

    law: Marginal

    @cached_property
    def mean_claim(self) -> float:
        """Of the claims."""
        return self.law.moments().mean

    @cached_property
    def log_low(self) -> float:
        """Log of the probability of a height below the smallest claim."""
        low = self.law.support[0]
        return math.log(low / self.mean_claim) if low > 0 else -math.inf

    @cached_property
    def scores(self) -> Scores:
        """The table."""
        ends = np.linspace(-END, END, round(2.0 * END / WIDTH) + 1)
        nodes, weights = np.polynomial.legendre.leggauss(NODES)
        u = np.concatenate([ends, (ends[:-1, None] + 0.5 * WIDTH * (nodes + 1.0)).ravel()])
        x = np.empty(u.size)
        with np.errstate(all="ignore"):
            self.law.from_normal(u, x)
            log_slope = self.law.logsf(x) - 0.5 * u * u - 0.5 * math.log(2.0 * math.pi) - self.law.logpdf(x)
            log_slope = np.where(np.isfinite(log_slope), log_slope, -np.inf) - math.log(self.mean_claim)
            inside = np.exp(log_slope[ends.size :]).reshape(-1, NODES) @ (0.5 * WIDTH * weights)
            below = np.append(0.0, np.cumsum(inside)) + math.exp(self.log_low)
            above = np.append(np.cumsum(inside[::-1])[::-1], 0.0)
            total = below[-1]
            ladder = np.empty(ends.size)
            normal_scores.from_log_probabilities(np.log(below / total), np.log(above / total), ladder)
            slope = np.exp(log_slope[: ends.size] + 0.5 * ladder**2 + 0.5 * math.log(2.0 * math.pi)) / total
        kept = np.isfinite(ladder) & np.isfinite(slope) & (slope > 0) & (np.abs(ladder) < U_MAX)
        kept[1:] &= ladder[1:] > ladder[:-1]
        return Scores(ends[kept], ladder[kept], slope[kept])

    @property
    def support(self) -> tuple[float, float]:
        return 0.0, self.law.support[1]

    def logpdf(self, x: ArrayLike) -> Float:
        x = np.asarray(x, dtype=np.float64)
        return np.where(x >= 0, self.law.logsf(x) - math.log(self.mean_claim), -np.inf)

    def logcdf(self, x: ArrayLike) -> Float:
        return self._log_tail(np.asarray(x, dtype=np.float64), upper=False)

    def logsf(self, x: ArrayLike) -> Float:
        return self._log_tail(np.asarray(x, dtype=np.float64), upper=True)

    def _log_tail(self, x: Float, upper: bool) -> Float:
        from scipy import special

        u, flat = np.empty(x.size), x.ravel()
        normal_scores.from_log_probabilities(self.law.logcdf(flat), self.law.logsf(flat), u)
        table = self.scores
        ladder = cubic(table.claim, table.ladder, table.slope, np.clip(u, -END, END))
        low = flat < self.law.support[0]
        with np.errstate(divide="ignore", invalid="ignore"):
            p = np.clip(flat / self.mean_claim, 0.0, 1.0)
            out = np.where(low, np.log1p(-p) if upper else np.log(p), special.log_ndtr(-ladder if upper else ladder))
        out[flat >= self.support[1]] = -np.inf if upper else 0.0
        return np.asarray(out).reshape(x.shape)

    def quantile(self, log_p: ArrayLike, upper: bool = False) -> Float:
        log_p = np.asarray(log_p, dtype=np.float64)
        u, out = np.empty(log_p.size), np.empty(log_p.size)
        normal_scores.from_log_tail(log_p.ravel(), upper, u)
        self.from_normal(u, out)
        return out.reshape(log_p.shape)

    def from_normal(self, u: Float, out: Float) -> None:
        from scipy import special

        table = self.scores
        claim = cubic(table.ladder, table.claim, 1.0 / table.slope, u)
        low = special.log_ndtr(u) < self.log_low
        below = np.exp(special.log_ndtr(u[low])) * self.mean_claim
        self.law.from_normal(claim, out)
        out[low] = below

    def moments(self) -> Moments:
        """From those of the claims: ``E Y^k = E X^(k + 1) / ((k + 1) E X)``; the last two are not computed."""
        claim = self.law.moments()
        mean = (claim.variance + claim.mean**2) / (2.0 * claim.mean)
        third = claim.skewness * claim.variance**1.5 + 3.0 * claim.mean * claim.variance + claim.mean**3
        return Moments(mean, third / (3.0 * claim.mean) - mean**2, math.nan, math.nan)

    def entropy(self) -> float:
        u = np.linspace(-END, END, 6001)
        x = np.empty(u.size)
        self.from_normal(u, x)
        terms = -self.logpdf(x) * np.exp(-0.5 * u * u)
        return float(np.nansum(np.where(np.isfinite(terms), terms, 0.0)) * (u[1] - u[0]) / math.sqrt(2.0 * math.pi))

    def describe(self) -> str:
        return f"the integrated tail of {self.law.describe()}"


def cubic(at: Float, value: Float, slope: Float, x: Float) -> Float:
    """Cubics through ``value`` (k,) with ``slope`` (k,) at the points ``at`` (k,), at ``x`` (n,); straight beyond."""
    k = np.clip(np.searchsorted(at, x, side="right") - 1, 0, at.size - 2)
    width = at[k + 1] - at[k]
    t = (x - at[k]) / width
    inner = np.clip(t, 0.0, 1.0)
    left, right = inner - 1.0, inner
    with np.errstate(invalid="ignore", over="ignore"):
        found = left * left * ((1.0 + 2.0 * right) * value[k] + right * width * slope[k]) + right * right * (
            (3.0 - 2.0 * right) * value[k + 1] + left * width * slope[k + 1]
        )
        beyond = np.where(t < 0, t * width * slope[k], np.where(t > 1, (t - 1.0) * width * slope[k + 1], 0.0))
        return np.asarray(found + beyond)
