"""The largest claim of a period in closed form: occurrence exceedance."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from raresim.models.insurance.compound_loss import CompoundLoss
from raresim.models.insurance.event_severity import EventSeverity
from raresim.models.insurance.frequencies import Frequencies
from raresim.models.insurance.lines import Line
from raresim.models.insurance.per_claim import PerClaim, added_by
from raresim.models.insurance.period_losses import PeriodLosses
from raresim.numerics.arrays import Float

STEPS = 4_000
"""Points of the integral of the mean beyond a quantile, even on the logarithm of the claim."""

FEWEST_STEPS, MOST_NUMBERS = 100, 10_000_000
"""Points at least, and tail probabilities of single events at most, where a point asks many of them."""

LAST = 1e-14
"""How much less likely than the quantile the last of these points is."""


@dataclass(frozen=True, eq=False)
class Occurrence:
    """The law of the largest claim of a period, of all lines and tables.

    Parameters
    ----------
    frequencies : Frequencies
        The lines and the law of their numbers of claims, not joined by a copula.
    tables : tuple of PeriodLosses
        Period tables, of events.
    per_claim : tuple of PerClaim
        For each line and table, what counts of a claim: what it adds to the loss. Empty for the claims themselves.

    Notes
    -----
    ``P(M > x) = 1 - G(F_1(x), ..., F_k(x))`` with the generating function ``G`` of the numbers of claims; of Poisson
    lines ``1 - exp(-sum lambda_i P(X_i > x))``. What a claim adds rises with it, so ``P(X_i > x)`` becomes the
    probability of a claim above the largest one that adds no more than ``x``. A period table has a factor of its own:
    the mean over its periods of the probability that none of their events is above ``x``.
    """

    frequencies: Frequencies
    tables: tuple[PeriodLosses, ...] = ()
    per_claim: tuple[PerClaim, ...] = ()

    @classmethod
    def of(cls, loss: CompoundLoss) -> Occurrence | None:
        """The law for what each claim adds to ``loss``; None where it has no closed form: see `unknown`."""
        if unknown(loss):
            return None
        parts = (added_by(loss, i) for i in range(len(loss.names)))
        return cls(loss.frequencies, loss.tables, tuple(part for part in parts if part is not None))

    def exceeds(self, x: Float) -> Float:
        """``P(M > x)`` for each ``x`` (n,)."""
        sizes = [part.last_within(x) for part in self.per_claim] or [x] * (len(self._lines) + len(self.tables))
        missing = [_above(line, size) for line, size in zip(self._lines, sizes, strict=False)]
        log_below = self.frequencies.log_pgf(missing)
        for table, size in zip(self.tables, sizes[len(self._lines) :], strict=True):
            with np.errstate(divide="ignore"):
                log_below = log_below + np.log1p(-table.largest_above(size))
        return np.asarray(-np.expm1(log_below))

    @property
    def _lines(self) -> tuple[Line, ...]:
        return self.frequencies.lines

    def quantile(self, tail: float) -> float:
        """The smallest ``x`` with ``P(M > x) <= tail``; 0 where a claim is less likely than that."""
        if self.exceeds(np.zeros(1))[0] <= tail:
            return 0.0
        low, high = 0.0, 1.0
        while self.exceeds(np.array([high]))[0] > tail:
            low, high = high, 2.0 * high
            if math.isinf(high):
                return math.inf
        while low < (middle := 0.5 * (low + high)) < high:
            low, high = (low, middle) if self.exceeds(np.array([middle]))[0] <= tail else (middle, high)
        return high

    def mean_beyond(self, tail: float) -> float:
        """The mean of the worst share ``tail`` of all periods' largest claims; infinite where that of a claim is."""
        if self._has_infinite_mean:
            return math.inf
        start = self.quantile(tail)
        if not self._lines and not any(table.is_random for table in self.tables):
            return start + self._mean_excess(start) / tail
        points = min(STEPS, max(FEWEST_STEPS, MOST_NUMBERS // self._events))
        first, last = max(start, self.quantile(0.5), 1e-300), self.quantile(tail * LAST)
        if start < first:  # the quantile is 0: from there to the first point the tail is taken as it is at both ends
            x = np.concatenate([np.linspace(start, first, points), np.geomspace(first, last, points)[1:]])
        else:
            x = np.geomspace(start, last, points)
        p = self.exceeds(x)
        return start + float(np.sum(0.5 * (p[1:] + p[:-1]) * np.diff(x))) / tail

    def _mean_excess(self, start: float) -> float:
        """``E max(M - start, 0)`` of tables of fixed losses: ``M`` has one of their values, and its law has steps."""
        every = [table.maxima for table in self.tables]
        if self.per_claim:
            every = [part(maxima) for part, maxima in zip(self.per_claim, every, strict=True)]
        at = np.unique(np.concatenate([[start], *every]))
        at = at[at >= start]
        return float(np.sum(self.exceeds(at[:-1]) * np.diff(at)))

    @property
    def _has_infinite_mean(self) -> bool:
        for i, line in enumerate(self._lines):
            bounded = self.per_claim and self.per_claim[i].is_bounded
            if math.isinf(line.severity.moments().mean) and not bounded:
                return True
        return False

    @property
    def _events(self) -> int:
        """How many laws one point of the tail asks."""
        of_lines = (s.shares.size for s in severities(self.frequencies) if not s.is_interpolated(1))
        return 1 + sum(of_lines) + sum(table.mean.size for table in self.tables if table.is_random)


def severities(frequencies: Frequencies) -> list[EventSeverity]:
    """Those of event tables."""
    return [line.severity for line in frequencies.lines if isinstance(line.severity, EventSeverity)]


def _above(line: Line, size: Float) -> Float:
    """The probability of a claim of ``line`` above each of ``size`` (n,), which may be infinite."""
    out = np.where(size < 0.0, 1.0, 0.0)
    proper = np.isfinite(size)
    out[proper] = line.severity.sf(size[proper])
    return out


def unknown(loss: CompoundLoss) -> str:
    """Why the largest claim has no closed form; empty where it has one."""
    if loss.frequencies.copula is not None:
        return "a copula joins the numbers of claims"
    if any(not table.has_events for table in loss.tables):
        return "a year loss table has no single claims"
    for i, name in enumerate(loss.names):
        if added_by(loss, i) is None:
            return f"the contracts together take more than a claim of {name} adds"
    return ""
