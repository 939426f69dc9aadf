"""The events of simulated periods, one of which is drawn at random: what a period loss table stands for."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from raresim.models.insurance.claims import PIECE, Rows, others
from raresim.models.own_risk import Words
from raresim.numerics.arrays import Float


class Piece(NamedTuple):
    """Losses of some events: the row that each belongs to (k,), and what it costs (k,)."""

    row: Rows
    claim: Float


@dataclass(frozen=True, eq=False)
class PeriodLosses:
    """Periods, all as likely, each with its events.

    Parameters
    ----------
    name : str
        What the table is called.
    counts : (p,) int64
        How many events each period has; 0 for one without.
    mean : (k,) float64
        What each event costs on average, positive, period by period.
    a, b : (k,) float64
        Shapes of the beta law of the share of the exposure that is lost; 0 where the loss is fixed.
    exposure : (k,) float64
        The largest loss of each.
    has_events : bool
        False for the table of what whole years cost.
    """

    name: str
    counts: Rows
    mean: Float
    a: Float
    b: Float
    exposure: Float
    has_events: bool = True

    @property
    def periods(self) -> int:
        """How many there are."""
        return self.counts.size

    @cached_property
    def is_random(self) -> bool:
        """Whether an event's loss has a law of its own."""
        return bool((self.a > 0).any())

    @property
    def factors(self) -> tuple[str, ...]:
        """Names of the factors: the number of the period; how large its events are, where their losses are random."""
        return (f"{self.name}_period", *((f"{self.name}_level",) if self.is_random else ()))

    @cached_property
    def starts(self) -> Rows:
        """The first event of each period."""
        return np.cumsum(self.counts) - self.counts

    @cached_property
    def of_event(self) -> Rows:
        """The place (k,) of the period of each event."""
        return np.repeat(np.arange(self.periods), self.counts)

    @cached_property
    def sums(self) -> Float:
        """What each period costs on average (p,)."""
        return np.bincount(self.of_event, self.mean, minlength=self.periods).astype(np.float64)

    @cached_property
    def ordered(self) -> Rows:
        """Places of the periods (p,), in the order of what they cost on average."""
        return np.argsort(self.sums, kind="stable")

    @property
    def expected(self) -> float:
        """What a period costs on average."""
        return float(self.sums.mean())

    @property
    def variance(self) -> float:
        """Of what a period costs."""
        both = np.where(self.a > 0, self.a + self.b, 1.0)
        own = np.where(self.a > 0, self.exposure**2 * self.a * self.b / (both**2 * (both + 1.0)), 0.0)
        return float(own.sum() / self.periods + self.sums.var())

    def to_physical(self, u: Float, x: Float) -> None:
        """Write the factors (n, f) of standard normals ``u`` (n, f) into ``x``: a larger one is a worse period."""
        from scipy import special

        place = np.minimum((special.ndtr(u[:, 0]) * self.periods).astype(np.int64), self.periods - 1)
        x[:, 0] = self.ordered[place] + 1
        x[:, 1:] = u[:, 1:]

    def pieces(self, x: Float, own: Words) -> Iterator[Piece]:
        """The losses of all events of the periods of the factors ``x`` (n, f), in pieces.

        ``own`` (n,) are states of generators: given the level, each random loss follows from them.
        """
        place = x[:, 0].astype(np.int64) - 1
        many = self.counts[place]
        before = np.cumsum(many) - many
        done = 0
        for row, score in self._scores(x, many, own):
            event = self.starts[place[row]] + np.arange(done, done + row.size) - before[row]
            done += row.size
            yield Piece(row, self.losses(event, score))

    def _scores(self, x: Float, many: Rows, own: Words) -> Iterator[tuple[Rows, Float | None]]:
        if self.is_random:
            yield from others(many.astype(np.float64), np.ascontiguousarray(x[:, 1]), own, None, None)
            return
        ends = np.cumsum(many)
        for first in range(0, int(many.sum()), PIECE):
            which = np.arange(first, min(first + PIECE, int(ends[-1])))
            yield np.searchsorted(ends, which, side="right").astype(np.int64), None

    def losses(self, event: Rows, score: Float | None) -> Float:
        """What events (k,) cost at the standard normal scores (k,) of their own laws."""
        from scipy import special

        out = self.mean[event]
        if score is None:
            return out
        a, b = self.a[event], self.b[event]
        for rows, inverse, p in (
            ((a > 0) & (score < 0.0), special.betaincinv, special.ndtr(score)),
            ((a > 0) & (score >= 0.0), special.betainccinv, special.ndtr(-score)),
        ):
            z = inverse(a[rows], b[rows], p[rows])
            end = 0.0 if inverse is special.betaincinv else 1.0  # SciPy finds none of the least probabilities
            out[rows] = self.exposure[event][rows] * np.where(np.isnan(z), end, z)
        return out

    @cached_property
    def maxima(self) -> Float:
        """The largest loss of each period (p,), in rising order, where no loss is random."""
        out = np.zeros(self.periods)
        np.maximum.at(out, self.of_event, self.mean)
        return np.sort(out)

    def largest_above(self, x: Float) -> Float:
        """For each of ``x`` (n,), the probability that the largest loss of a period is above it."""
        if self.is_random:
            return np.array([self._random_above(float(at)) for at in x])
        return np.asarray(1.0 - np.searchsorted(self.maxima, x, side="right") / self.periods)

    def _random_above(self, x: float) -> float:
        """As `largest_above`: the largest of a period has the product of its events' laws, which are independent."""
        from scipy import special

        reach = np.where(self.a > 0, self.exposure, self.mean) > x
        if not reach.any():
            return 0.0
        period, a, b = self.of_event[reach], self.a[reach], self.b[reach]
        fixed = a == 0
        z = np.clip(x / self.exposure[reach], 0.0, 1.0)
        with np.errstate(divide="ignore"):
            log_below = np.log1p(-special.betaincc(np.where(fixed, 1.0, a), np.where(fixed, 1.0, b), z))
        log_below[fixed] = -math.inf
        return float(-np.expm1(np.bincount(period, log_below, minlength=self.periods)).mean())

    def describe(self) -> str:
        """The table in words."""
        what = f"one of {self.periods:,} periods"
        if not self.has_events:
            return f"table {self.name}: {what}, each with its loss"
        random = f", {int((self.a > 0).sum()):,} of them with a beta law of the loss" if self.is_random else ""
        return f"table {self.name}: {what}, which have {self.mean.size:,} events in all{random}"
