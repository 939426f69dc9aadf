"""Moments given an event: ratio estimates from weighted rows, with errors by their influence functions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from raresim.diagnostics.ess import effective
from raresim.diagnostics.psis import bounded, khat
from raresim.measures.tail_sample import TailSample
from raresim.numerics.arrays import Bool, Float

MOST_KHAT = 1.0
"""Tail index of influence values above which not even their mean is known, and no error is given.

Above 0.5 they have no variance, but samples with light tails, such as weighted squares of normals, show 0.7.
"""

ROUNDING = 1e-12
"""Distance up to which a share counts as 0 or 1, and a correlation as -1 or 1."""

NEAREST = 10
"""Least number of rows whose mean replaces the mean on the threshold."""


@dataclass(frozen=True, eq=False)
class Moments:
    """Estimates (m,) with their standard errors (m,) and intervals (m,); NaN where there is none."""

    value: Float
    std_error: Float
    low: Float
    high: Float

    def where(self, known: Bool) -> Moments:
        """The same, NaN where not ``known`` (m,)."""
        return Moments(*(np.where(known, x, np.nan) for x in (self.value, self.std_error, self.low, self.high)))


@dataclass(frozen=True, eq=False)
class Given:
    """The rows with ``loss >= threshold``.

    Parameters
    ----------
    sample : TailSample
        The rows of the estimate.
    threshold : float
        In the unit of the loss.
    estimated : bool
        Whether the threshold is a value at risk of the same sample.
    confidence : float
        Confidence of the intervals.
    factor : float
        Factor on their quantiles.

    Notes
    -----
    ``m = sum w v / sum w`` over the rows of the event has the influence function ``w 1(L >= x) (v - m) / P``. If the
    threshold is an estimated quantile, it moves with the sample, and ``m`` with it: to first order ``E[v | L = x]``
    replaces ``m`` in the influence function, as for an expected shortfall. Intervals use Student's t with the effective
    number of rows.
    """

    sample: TailSample
    threshold: float
    estimated: bool = False
    confidence: float = 0.95
    factor: float = 1.0

    @cached_property
    def inside(self) -> Bool:
        """Whether each kept row (k,) is in the event."""
        return np.asarray(self.sample.loss >= self.threshold)

    @cached_property
    def weight(self) -> Float:
        """Weights (k,) of the kept rows; 0 outside the event."""
        return np.where(self.inside, self.sample.weight, 0.0)

    @cached_property
    def probability(self) -> float:
        """Probability of the event, dimensionless."""
        return float(self.weight.sum()) / self.sample.n

    @cached_property
    def quantile(self) -> float:
        """Half-width of an interval in standard errors; infinite where one row decides."""
        from scipy.special import stdtrit

        dof = effective(self.weight) - 1.0
        return self.factor * float(stdtrit(dof, 0.5 + 0.5 * self.confidence)) if dof > 0.5 else math.inf

    def mean(self, values: Float) -> float:
        """``E[v | event]`` of values (k,) of the kept rows."""
        return float(self.weight @ np.where(self.inside, values, 0.0)) / (self.probability * self.sample.n)

    def error(self, centred: Float) -> float:
        """Standard error of an estimate with the influence values ``centred`` (k,), without weights."""
        return self.sample.error_of_sum(self._influence(centred))

    def honest_error(self, centred: Float) -> float:
        """As `error`, but NaN where the tail of the values is too heavy for a standard error."""
        influence = self._influence(centred)
        return math.nan if _is_heavy(influence[self.inside]) else self.sample.error_of_sum(influence)

    def _influence(self, centred: Float) -> Float:
        influence: Float = self.weight * (centred - self._on_threshold(centred)) / self.probability
        return influence

    def _on_threshold(self, values: Float) -> float:
        """``E[v | L = x]`` if the threshold is estimated and no atom of the loss, else 0."""
        if not self._nearest.size:
            return 0.0
        weight = self.sample.weight[self._nearest]
        return float(weight @ values[self._nearest] / weight.sum())

    @cached_property
    def _nearest(self) -> NDArray[np.intp]:
        """The rows with losses nearest to an estimated threshold; none if the threshold is given or an atom."""
        distance = np.abs(self.sample.loss - self.threshold)
        if not self.estimated or np.count_nonzero(distance == 0.0) > 1:
            return np.empty(0, dtype=np.intp)
        most = max(NEAREST, round(int(self.inside.sum()) ** (2 / 3)))
        return np.argsort(distance, kind="stable")[:most]

    def moments_of_mean(self, values: Float) -> Moments:
        """``E[v | event]`` of each column of values (k, m) of the kept rows."""
        mean = np.array([self.mean(column) for column in values.T])
        error = np.array([self.honest_error(v - m) for v, m in zip(values.T, mean, strict=True)])
        return Moments(mean, error, *self._around(mean, error))

    def moments_of_std(self, values: Float) -> Moments:
        """Standard deviation of each column of values (k, m) given the event; intervals on the log scale."""
        found = [self._std(column) for column in values.T]
        std, error = np.array(found).T
        safe = np.where(std > 0, std, 1.0)
        low, high = self._around(np.log(safe), np.where(std > 0, error, np.nan) / safe)
        return Moments(std, np.where(std > 0, error, np.nan), np.exp(low), np.exp(high))

    def _std(self, values: Float) -> tuple[float, float]:
        squares = np.square(values - self.mean(values))
        variance = self.mean(squares)
        if not variance > 0:
            return 0.0, math.nan
        std = math.sqrt(variance)
        return std, self.honest_error((squares - variance) / (2.0 * std))

    def moments_of_correlation(self, values: Float, pairs: list[tuple[int, int]]) -> Moments:
        """Correlation of pairs of columns given the event; intervals on Fisher's scale."""
        found = [self._correlation(values[:, i], values[:, j]) for i, j in pairs]
        rho, error = np.array(found).T
        inner = np.clip(np.nan_to_num(rho), ROUNDING - 1.0, 1.0 - ROUNDING)
        low, high = self._around(np.arctanh(inner), error / (1.0 - np.square(inner)))
        return Moments(rho, error, np.tanh(low), np.tanh(high))

    def _correlation(self, first: Float, second: Float) -> tuple[float, float]:
        first, second = (v - self.mean(v) for v in (first, second))
        spread = math.sqrt(self.mean(np.square(first)) * self.mean(np.square(second)))
        if not spread > 0:
            return math.nan, math.nan
        ratio = math.sqrt(self.mean(np.square(second)) / self.mean(np.square(first)))
        rho = self.mean(first * second) / spread
        if abs(rho) > 1.0 - ROUNDING:
            return math.copysign(1.0, rho), math.nan
        influence = first * second - 0.5 * rho * (ratio * np.square(first) + np.square(second) / ratio)
        return rho, self.honest_error(influence / spread)

    def shares(self, label: NDArray[np.intp], count: int) -> Moments:
        """Shares of the event's probability for the labels 0 to ``count - 1``; intervals on the logit scale."""
        share = np.array([self.mean((label == k).astype(np.float64)) for k in range(count)])
        error = np.array([self.error((label == k) - share[k]) for k in range(count)])
        spread = share * (1.0 - share)
        inner = np.where(spread > ROUNDING, share, 0.5)
        error = np.where(spread > ROUNDING, error, np.nan)
        low, high = self._around(np.log(inner / (1.0 - inner)), error / (inner * (1.0 - inner)))
        return Moments(share, error, 1.0 / (1.0 + np.exp(-low)), 1.0 / (1.0 + np.exp(-high)))

    def _around(self, middle: Float, error: Float) -> tuple[Float, Float]:
        """Both ends of an interval, NaN without an error."""
        reach = np.where(np.isfinite(error), self.quantile * error, np.nan) if math.isfinite(self.quantile) else np.nan
        return middle - reach, middle + reach


def _is_heavy(influence: Float) -> bool:
    """Whether influence values (j,) have so heavy a tail that their mean square is unknown."""
    size = np.abs(influence[influence != 0.0])
    if not size.size or bounded(float(size.max() / size.mean()), size.size):
        return False
    most = min(size.size, 4 * math.isqrt(size.size) + 8)
    shape = khat(np.log(np.partition(size, -most)[-most:]), size.size)
    return shape is not None and shape > MOST_KHAT
