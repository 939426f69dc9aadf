"""The tail of the loss from weighted rows: probabilities, quantiles and means beyond them, with errors."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np

from raresim.accumulators.weighted_losses import WeightedLosses
from raresim.measures.intervals import clopper_pearson, weighted_lower, weighted_upper, widened
from raresim.numerics.arrays import Float

FEW = 0.02
"""The weights below a quantile count as many if the largest of all weights is at most this share of their sum."""

LARGE = 0.25
"""Tail probability above which a quantile is computed from shares of the weights."""


@dataclass(frozen=True)
class Certainty:
    """The confidence of an interval and how it is computed.

    Parameters
    ----------
    confidence : float
        Confidence of the interval.
    crude : bool
        Whether the rows are draws of the target, whose number of hits has a binomial law.
    dof : int or None
        Degrees of freedom of the standard error; None where they are many.
    factor : float
        Factor on the quantiles of the law.
    """

    confidence: float
    crude: bool = False
    dof: int | None = None
    factor: float = 1.0

    @property
    def quantile(self) -> float:
        """Half-width of the interval in standard errors."""
        from scipy.special import ndtri, stdtrit

        p = 0.5 + 0.5 * self.confidence
        return self.factor * float(ndtri(p) if self.dof is None else stdtrit(self.dof, p))


@dataclass(frozen=True)
class Quantile:
    """A value at risk.

    Parameters
    ----------
    value, low, high : float
        Estimate and interval, in the unit of the loss; ``high`` is infinite where the rows give no upper end.
    std_error : float
        Half the length of the interval, divided by the quantile of its law.
    hits : int
        Rows at and beyond the value.
    tail_error : float
        Relative error of the probability of at least the value.
    at : int or None
        Index of the value in the curve; None where it lies below all rows.
    """

    value: float
    low: float
    high: float
    std_error: float
    hits: int
    tail_error: float
    at: int | None


@dataclass(frozen=True, eq=False)
class TailCurve:
    """Distinct losses from the largest down, with the sums of weights at each.

    Parameters
    ----------
    n : int
        Rows in all, those below the floor included.
    loss : (k,) float64
        Falling, without repeats.
    weight, square : (k,) float64
        Sums of the weights of the rows there, and of their squares, relative to all weights.
    count : (k,) int64
        Number of rows at each loss.
    as_shares : bool
        Whether the weights are divided by their mean, so that estimates are shares of the sum of all weights; see
        `for_tail`.
    """

    n: int
    loss: Float
    weight: Float
    square: Float
    count: np.ndarray[tuple[int], np.dtype[np.int64]]
    as_shares: bool = False

    @classmethod
    def of(cls, rows: WeightedLosses) -> Self:
        """The curve of single rows, or of bins, each taken as an atom at its mean loss."""
        if rows.bins is not None:
            bins = rows.bins
            full = bins.sum_w > 0
            mean = bins.sum_wl[full] / bins.sum_w[full]
            order = np.argsort(-mean, kind="stable")
            count = bins.count[full][order]
            return cls(rows.n, mean[order], bins.sum_w[full][order], bins.sum_w2[full][order], count)
        loss, log_weight, _ = rows.joined()
        return cls.of_rows(rows.n, loss, log_weight)

    @classmethod
    def of_rows(cls, n: int, loss: Float, log_weight: Float) -> Self:
        """The curve of the rows among ``n`` that reach a floor: ``loss`` (k,) and ``log_weight`` (k,) in nats."""
        order = np.argsort(-loss, kind="stable")
        loss, weight = loss[order], np.exp(log_weight[order])
        first = np.flatnonzero(np.r_[True, loss[1:] != loss[:-1]]) if loss.size else np.empty(0, np.intp)
        if not first.size:
            return cls(n, loss, weight, weight, np.empty(0, np.int64))
        count = np.diff(np.r_[first, loss.size]).astype(np.int64)
        weights, squares = np.add.reduceat(weight, first), np.add.reduceat(weight * weight, first)
        return cls(n, loss[first], weights, squares, count)

    def for_tail(self, tail: float, bounded: bool) -> TailCurve:
        """The curve from which the quantile with tail probability ``tail`` is computed.

        It is the curve of shares if the tail is large, a share of draws from the target bounds the weights
        (``bounded``) and no row is missing, see `raresim.measures.often.often`; otherwise it is this curve.
        """
        if tail <= LARGE or not bounded or self.as_shares or int(self.count.sum()) < self.n:
            return self
        return self._shares

    @cached_property
    def _shares(self) -> TailCurve:
        factor = self.n / float(self.weight.sum())
        return replace(self, weight=factor * self.weight, square=factor**2 * self.square, as_shares=True)

    @cached_property
    def odds_errors(self) -> Float:
        """Standard errors (k,) of the log odds of `beyond`, for a curve of shares; 0 where `beyond` is one."""
        inside, squares = np.cumsum(self.weight), np.cumsum(self.square)
        outside, rest = self.n - inside, squares[-1] - squares
        known = outside > 1e-9 * self.n
        spread = squares / inside**2 + np.divide(rest, outside**2, out=np.zeros_like(rest), where=known)
        errors: Float = np.where(known, np.sqrt(np.maximum(spread, 0.0)), 0.0)
        return errors

    @cached_property
    def beyond(self) -> Float:
        """Estimates (k,) of ``P(loss >= loss_k)``."""
        return np.cumsum(self.weight) / self.n

    @cached_property
    def above(self) -> Float:
        """Estimates (k,) of ``P(loss > loss_k)``."""
        return self.beyond - self.weight / self.n

    @cached_property
    def hits(self) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """Rows (k,) at and above each loss."""
        return np.cumsum(self.count)

    @cached_property
    def errors(self) -> Float:
        """Relative errors (k,) of `beyond`."""
        if self.as_shares:
            errors: Float = np.maximum(0.0, 1.0 - self.beyond) * self.odds_errors
            return errors
        total = np.cumsum(self.weight)
        second = self.n * np.cumsum(self.square) / np.maximum(total * total, 1e-300)
        return np.sqrt(np.maximum(0.0, second - 1.0) / max(1, self.n - 1))

    def value_at_risk(self, tail: float, certainty: Certainty) -> Quantile:
        """The smallest loss that is exceeded with a probability of at most ``tail``.

        The interval holds every ``x`` unless the interval of ``P(loss > x)`` lies above ``tail`` or that of ``P(loss >=
        x)`` lies below it. Both ends are observed losses.
        """
        at = self.index(tail)
        if at is None:
            return Quantile(math.nan, -math.inf, math.inf, math.inf, 0, math.inf, None)
        first, last = self._exact(tail, certainty) if certainty.crude else self._on_log_scale(at, tail, certainty)
        high = math.inf if first is None else float(self.loss[first])
        low = -math.inf if last is None else float(self.loss[last])
        half = (high - low) / (2.0 * certainty.quantile)
        return Quantile(float(self.loss[at]), low, high, half, int(self.hits[at]), float(self.errors[at]), at)

    def index(self, tail: float) -> int | None:
        """Index of the value at risk: the last loss exceeded with at most ``tail``; None if it is below all rows."""
        k = int(np.searchsorted(self.above, tail * (1.0 + 1e-12), side="right")) - 1
        if k < 0 or (k == self.loss.size - 1 and self.beyond[k] < tail):
            return None
        return k

    def ess(self, at: int | None) -> float:
        """Effective number of the rows at and above a loss, ``(sum w)^2 / sum w^2``."""
        if at is None:
            return 0.0
        return float(self.weight[: at + 1].sum() ** 2 / self.square[: at + 1].sum())

    def gap(self, at: int | None) -> float:
        """Distance between the two neighbours of a loss, which is the resolution of bins."""
        if at is None or self.loss.size < 2:
            return math.nan
        return float(self.loss[max(at - 1, 0)] - self.loss[min(at + 1, self.loss.size - 1)])

    def excess(self, at: int) -> tuple[float, float]:
        """``E[(loss - x)+]`` for the loss ``x`` at index ``at``, and its standard error."""
        over = self.loss[:at] - self.loss[at]
        mean = float(self.weight[:at] @ over) / self.n
        if self.as_shares:
            rest = float(self.square.sum() - self.square[:at].sum())
            spread = float(self.square[:at] @ (over - mean) ** 2) + max(0.0, rest) * mean * mean
            return mean, math.sqrt(spread) / self.n
        second = float(self.square[:at] @ (over * over)) / self.n
        return mean, math.sqrt(max(0.0, second - mean * mean) / max(1, self.n - 1))

    def shortfall(self, at: int, tail: float) -> tuple[float, float]:
        """The expected shortfall, and its standard error, for the value at risk at index ``at``."""
        mean, error = self.excess(at)
        return float(self.loss[at]) + mean / tail, error / tail

    def _exact(self, tail: float, certainty: Certainty) -> tuple[int | None, int | None]:
        """Indices of the largest and the smallest loss in the interval, by the binomial law of the hits.

        None where the interval is open on that side.
        """

        def ends(hits: int) -> tuple[float, float]:
            return widened(clopper_pearson(hits, self.n, certainty.confidence), hits / self.n, certainty.factor)

        fewest = bisect_left(range(self.n + 1), tail, key=lambda hits: ends(hits)[1])
        most = bisect_right(range(self.n + 1), tail, key=lambda hits: ends(hits)[0]) - 1
        first = int(np.searchsorted(self.hits, fewest)) if fewest else None
        last = int(np.searchsorted(self.hits - self.count, most, side="right")) - 1
        return first, None if last == self.loss.size - 1 and self.hits[last] <= most else last

    def _on_log_scale(self, at: int, tail: float, certainty: Certainty) -> tuple[int | None, int | None]:
        """As `_exact`, by intervals on the log scale, searched outwards from the value at risk at index ``at``."""
        if self.as_shares and self._outside[0][at] * FEW < 1.0:
            return self._by_few_below(at, tail, certainty)
        size, level = self.beyond, tail
        if self.as_shares:  # the odds, on whose logarithm the interval is symmetric
            size, level = size / np.maximum(1.0 - size, 1e-300), tail / (1.0 - tail)
        spread = certainty.quantile * (self.odds_errors if self.as_shares else self.errors)
        below = np.flatnonzero(size[: at + 1] * np.exp(np.minimum(spread[: at + 1], 700.0)) < level)
        above = np.flatnonzero(size[at:] * np.exp(-spread[at:]) > level)
        first = int(below[-1]) + 1 if below.size else None
        if first is None and self._unseen(certainty.confidence) < tail:
            first = 0
        return first, at + int(above[0]) if above.size else None

    @cached_property
    def _outside(self) -> tuple[Float, Float, float]:
        """Sums (k,) of weights below each loss and of their squares, over the largest weight; and this weight."""
        largest = float((self.square / self.weight).max())
        outside = np.maximum(self.n - np.cumsum(self.weight), 0.0) / largest
        squares = np.maximum(self.square.sum() - np.cumsum(self.square), 0.0) / largest**2
        return outside, squares, largest

    def _by_few_below(self, at: int, tail: float, certainty: Certainty) -> tuple[int | None, int | None]:
        """As `_exact`, by gamma laws of the sum of the few weights below the value at risk at index ``at``."""
        sums, squares, largest = self._outside
        confidence = math.erf(certainty.quantile / math.sqrt(2.0))

        def surely(k: int, end: Callable[[float, float, float], float]) -> float:
            return largest / self.n * end(float(sums[k]), float(squares[k]), confidence)

        size = self.loss.size
        first = bisect_left(range(at), tail - 1.0, key=lambda k: -surely(k, weighted_lower))
        last = at + bisect_left(range(at, size), True, key=lambda k: surely(k, weighted_upper) < 1.0 - tail)
        return first, last if last < size else None

    def _unseen(self, confidence: float) -> float:
        """Upper end of the probability beyond the largest loss, if a row there has the weight of the rows at it."""
        return -math.log(0.5 * (1.0 - confidence)) * float(self.square[0] / self.weight[0]) / self.n
