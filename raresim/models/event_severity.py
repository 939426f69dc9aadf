"""The size of a claim of an event table: one of many events, each with a beta law of what it costs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from raresim.marginals.base import Marginal, Moments
from raresim.numerics import normal_scores
from raresim.numerics.arrays import Float

TILE = 2**20
"""Probabilities of events that are held at once."""


@dataclass(frozen=True, eq=False)
class EventSeverity(Marginal):
    """A mixture of beta laws scaled by exposures, and of fixed losses.

    Parameters
    ----------
    shares : (k,) float64
        Of the events, adding up to one; in the order of their means.
    mean : (k,) float64
        What each costs on average, positive.
    a, b : (k,) float64
        Shapes of the beta law of the share of the exposure that is lost; 0 where the loss is fixed.
    exposure : (k,) float64
        The largest loss of each.

    Notes
    -----
    A standard normal chooses the event, by the cells that the shares cut the line into in the order of their means, and
    its place in the cell is the probability of the event's own law. So the map is exact, and larger on the whole for a
    larger normal, but does not rise throughout: where the cells of two events meet, it falls back.
    """

    kind: ClassVar[str] = "event_table"

    shares: Float
    mean: Float
    a: Float
    b: Float
    exposure: Float

    @property
    def support(self) -> tuple[float, float]:
        fixed = self.a == 0
        low = float(self.mean.min()) if fixed.all() else 0.0
        return low, float(np.where(fixed, self.mean, self.exposure).max())

    @cached_property
    def _below(self) -> Float:
        return np.append(0.0, np.cumsum(self.shares))

    @cached_property
    def _above(self) -> Float:
        return np.append(np.cumsum(self.shares[::-1])[::-1], 0.0)

    @cached_property
    def _edges(self) -> Float:
        """The standard normals between the cells of the events."""
        out = np.empty(self.shares.size - 1)
        with np.errstate(divide="ignore"):
            normal_scores.from_log_probabilities(np.log(self._below[1:-1]), np.log(self._above[1:-1]), out)
        return out

    def from_normal(self, u: Float, out: Float) -> None:
        from scipy import special

        k = np.searchsorted(self._edges, u)
        share, a, b = self.shares[k], self.a[k], self.b[k]
        low = np.clip((special.ndtr(u) - self._below[k]) / share, 0.0, 1.0)
        high = np.clip((special.ndtr(-u) - self._above[k + 1]) / share, 0.0, 1.0)
        out[:] = self.mean[k]
        drawn = a > 0
        ends = (
            (drawn & (low < 0.5), special.betaincinv, low, 0.0),
            (drawn & (low >= 0.5), special.betainccinv, high, 1.0),
        )
        for rows, inverse, p, end in ends:
            z = inverse(a[rows], b[rows], p[rows])
            # of probabilities below some 1e-290 SciPy finds no inverse: to double precision it is the end
            out[rows] = self.exposure[k[rows]] * np.where(np.isnan(z), end, z)

    def _tails(self, x: Float, upper: bool) -> Float:
        from scipy import special

        out = np.empty(x.size)
        size = max(1, TILE // self.shares.size)
        function = special.betaincc if upper else special.betainc
        fixed = self.a == 0
        a, b = np.where(fixed, 1.0, self.a), np.where(fixed, 1.0, self.b)
        for first in range(0, x.size, size):
            at = x[first : first + size, None]
            each = function(a, b, np.clip(at / self.exposure, 0.0, 1.0))
            each = np.where(fixed, (self.mean > at) if upper else (self.mean <= at), each)
            out[first : first + size] = each @ self.shares
        return out

    def logcdf(self, x: ArrayLike) -> Float:
        at = np.asarray(x, dtype=np.float64)
        with np.errstate(divide="ignore"):
            return np.log(self._tails(at.ravel(), upper=False)).reshape(at.shape)

    def logsf(self, x: ArrayLike) -> Float:
        at = np.asarray(x, dtype=np.float64)
        with np.errstate(divide="ignore"):
            return np.log(self._tails(at.ravel(), upper=True)).reshape(at.shape)

    def logpdf(self, x: ArrayLike) -> Float:
        """As `Marginal.logpdf`, of the events whose loss is not fixed: fixed losses have no density."""
        from scipy import special, stats

        at = np.asarray(x, dtype=np.float64)
        drawn = self.a > 0
        a, b, exposure = self.a[drawn], self.b[drawn], self.exposure[drawn]
        z = np.clip(at.ravel()[:, None] / exposure, 0.0, 1.0)
        with np.errstate(divide="ignore"):
            log_f = stats.beta.logpdf(z, a, b)
            return np.asarray(special.logsumexp(log_f, axis=1, b=self.shares[drawn] / exposure)).reshape(at.shape)

    def quantile(self, log_p: ArrayLike, upper: bool = False) -> Float:
        wanted = np.atleast_1d(np.asarray(log_p, dtype=np.float64))
        low, high = (np.full(wanted.size, end) for end in self.support)
        for _ in range(100):
            middle = 0.5 * (low + high)
            there = self.logsf(middle) <= wanted if upper else self.logcdf(middle) >= wanted
            low, high = np.where(there, low, middle), np.where(there, middle, high)
        return high.reshape(np.shape(log_p))

    def moments(self) -> Moments:
        both = np.where(self.a > 0, self.a + self.b, 1.0)
        spread = np.where(self.a > 0, self.exposure**2 * self.a * self.b / (both**2 * (both + 1.0)), 0.0)
        mean = float(self.shares @ self.mean)
        variance = float(self.shares @ (spread + (self.mean - mean) ** 2))
        return Moments(mean, variance, math.nan, math.nan)

    def entropy(self) -> float:
        return math.nan

    def describe(self) -> str:
        drawn = int(np.count_nonzero(self.a))
        return f"one of {self.shares.size:,} events, {drawn:,} of them with a beta law of the loss"
