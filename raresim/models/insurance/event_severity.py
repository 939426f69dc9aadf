"""The size of a claim of an event table: one of many events, each with a beta law of what it costs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from raresim.marginals.base import Marginal, Moments
from raresim.models.insurance.tail_table import TailTable
from raresim.numerics import normal_scores
from raresim.numerics.arrays import Float

TILE = 2**20
"""Probabilities of events that are held at once."""

MANY, MOST_POINTS, LEAST_POINTS, MOST_NUMBERS = 2_000, 2_049, 257, 20_000_000
"""Events from which on tails are interpolated, and points for which they are so in any case; points that this rests on
are so many that about this many probabilities of events are computed, and no fewer."""


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

    A draw looks its event up among the cells, so its cost hardly grows with their number. A tail probability asks all
    events; of many events, and in many points, it is interpolated between those that `TailTable` chooses.
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
        if upper and self.is_interpolated(x.size):
            return self._fixed_above(x) + self._table(x)
        return self._exact_tails(x, upper)

    def _exact_tails(self, x: Float, upper: bool) -> Float:
        """The share of losses above each of ``x`` (n,), or not above."""
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

    def is_interpolated(self, points: int) -> bool:
        """Whether tails in so many points are interpolated."""
        return bool((self.a > 0).any()) and (self.shares.size > MANY or points > MOST_POINTS)

    @cached_property
    def _table(self) -> TailTable:
        """The tail of the events whose loss is not fixed, as a share of all."""
        drawn = self.a > 0
        points = min(MOST_POINTS, max(LEAST_POINTS, MOST_NUMBERS // int(drawn.sum())))
        whole, end = float(self.shares[drawn].sum()), float(self.exposure[drawn].max())
        return TailTable(self._drawn_above, whole, end, points)

    def _drawn_above(self, x: Float) -> Float:
        from scipy import special

        a, b, exposure, shares = self._by_exposure
        many = exposure.size - np.searchsorted(exposure[::-1], x, side="right")  # the others do not reach it
        return np.array(
            [special.betaincc(a[:k], b[:k], at / exposure[:k]) @ shares[:k] for at, k in zip(x, many, strict=True)]
        )

    @cached_property
    def _by_exposure(self) -> tuple[Float, ...]:
        """Shapes, exposures and shares of the events whose loss is not fixed, the largest exposure first."""
        drawn = np.flatnonzero(self.a > 0)
        order = drawn[np.argsort(-self.exposure[drawn], kind="stable")]
        return self.a[order], self.b[order], self.exposure[order], self.shares[order]

    @cached_property
    def _fixed(self) -> tuple[Float, Float]:
        """The fixed losses in rising order, and the share of those from each of them on."""
        fixed = np.flatnonzero(self.a == 0)
        order = fixed[np.argsort(self.mean[fixed])]
        return self.mean[order], np.append(np.cumsum(self.shares[order][::-1])[::-1], 0.0)

    def _fixed_above(self, x: Float) -> Float:
        mean, share = self._fixed
        return np.asarray(share[np.searchsorted(mean, x, side="right")])

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
