"""Moments given an event, from weighted rows: ratio estimates with errors by their influence functions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from raresim.arrays import Bool, Float
from raresim.diagnostics.ess import effective
from raresim.diagnostics.psis import bounded, khat
from raresim.measures.tail_sample import TailSample

MOST_KHAT = 1.0
"""Tail index of influence values above which not even their mean is known, and no error is given.

Above 0.5 they have no variance, but samples of light tails show 0.7: squares of normals with weights, for one.
"""

ROUNDING = 1e-12
"""Distance of a share from 0 and 1, and of a correlation from -1 and 1, up to which it is taken to be there."""

NEAREST = 10
"""Rows, at least, whose mean stands for that on the threshold."""


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
        Of the intervals.
    factor : float
        What their quantiles are multiplied by.

    Notes
    -----
    ``m = sum w v / sum w`` over the rows of the event has the influence function ``w 1(L >= x) (v - m) / P``. Where the
    threshold is an estimated quantile, it moves with the sample and ``m`` with it: to first order, ``m`` is replaced in
    the influence function by ``E[v | L = x]``, as in that of an expected shortfall. Intervals take Student's t with the
    effective number of rows.
    """

    sample: TailSample
    threshold: float
    estimated: bool = False
    confidence: float = 0.95
    factor: float = 1.0

    @cached_property
    def inside(self) -> Bool:
        """Which of the kept rows (k,) are in the event."""
        return np.asarray(self.sample.loss >= self.threshold)

    @cached_property
    def weight(self) -> Float:
        """Weights (k,) of the kept rows; 0 outside the event."""
        return np.where(self.inside, self.sample.weight, 0.0)

    @cached_property
    def probability(self) -> float:
        """Of the event, dimensionless."""
        return float(self.weight.sum()) / self.sample.n

    @cached_property
    def quantile(self) -> float:
        """Standard errors on either side of an estimate; infinite where one row decides."""
        from scipy.special import stdtrit

        dof = effective(self.weight) - 1.0
        return self.factor * float(stdtrit(dof, 0.5 + 0.5 * self.confidence)) if dof > 0.5 else math.inf

    def mean(self, values: Float) -> Float:
        """``E[v | event]`` (m,) of values (k, m) of the kept rows."""
        mean: Float = (self.weight @ np.where(self.inside[:, None], values, 0.0)) / self.weight.sum()
        return mean

    def errors(self, centred: Float) -> Float:
        """Standard errors (m,) of estimates with the influence values ``centred`` (k, m), weights left out."""
        return np.array([self.sample.error_of_sum(influence) for influence in self._influence(centred).T])

    def honest_errors(self, centred: Float) -> Float:
        """As `errors`, NaN where the values have too heavy a tail for one."""
        columns = self._influence(centred).T
        return np.array([math.nan if _is_heavy(c[self.inside]) else self.sample.error_of_sum(c) for c in columns])

    def _influence(self, centred: Float) -> Float:
        influence: Float = self.weight[:, None] * (centred - self._on_threshold(centred)) / self.probability
        return influence

    def _on_threshold(self, values: Float) -> Float:
        """``E[v | L = x]`` (m,) where the threshold is estimated and is no atom of the loss, else 0."""
        distance = np.abs(self.sample.loss - self.threshold)
        if not self.estimated or np.count_nonzero(distance == 0.0) > 1:
            return np.zeros(values.shape[1])
        hits = int(self.inside.sum())
        nearest = np.argsort(distance, kind="stable")[: max(NEAREST, round(hits ** (2 / 3)))]
        weight = self.sample.weight[nearest]
        on: Float = weight @ values[nearest] / weight.sum()
        return on

    def moments_of_mean(self, values: Float) -> Moments:
        """``E[v | event]`` of values (k, m) of the kept rows."""
        mean = self.mean(values)
        error = self.honest_errors(values - mean)
        return Moments(mean, error, *self._around(mean, error))

    def moments_of_std(self, values: Float) -> Moments:
        """Standard deviations given the event; intervals on the log scale."""
        centred, std = self._centred(values)
        safe = np.where(std > 0, std, 1.0)
        error = np.where(std > 0, self.honest_errors((np.square(centred) - np.square(std)) / (2.0 * safe)), np.nan)
        low, high = self._around(np.log(safe), error / safe)
        return Moments(std, error, np.exp(low), np.exp(high))

    def moments_of_correlation(self, values: Float, pairs: list[tuple[int, int]]) -> Moments:
        """Correlations of pairs of columns given the event; intervals on Fisher's scale."""
        centred, std = self._centred(values)
        z = centred / np.where(std > 0, std, 1.0)
        first, second = (z[:, list(column)] for column in zip(*pairs, strict=True))
        rho = self.mean(first * second)
        error = self.honest_errors(first * second - 0.5 * rho * (np.square(first) + np.square(second)))
        inner = np.clip(rho, -ROUNDING - 1.0, 1.0 - ROUNDING)
        known = (np.abs(rho) < 1.0 - ROUNDING) & np.array([std[i] > 0 and std[j] > 0 for i, j in pairs])
        low, high = self._around(np.arctanh(inner), np.where(known, error / (1.0 - np.square(inner)), np.nan))
        rho = np.where([std[i] > 0 and std[j] > 0 for i, j in pairs], np.clip(rho, -1.0, 1.0), np.nan)
        return Moments(rho, np.where(known, error, np.nan), np.tanh(low), np.tanh(high))

    def shares(self, label: NDArray[np.intp], count: int) -> Moments:
        """Shares of the event's probability of rows labelled 0 to ``count - 1``; intervals on the logit scale."""
        belongs = (label[:, None] == np.arange(count)).astype(np.float64)
        share = self.mean(belongs)
        error = self.errors(belongs - share)
        spread = share * (1.0 - share)
        known = spread > ROUNDING
        safe = np.where(known, share, 0.5)
        low, high = self._around(
            np.log(safe / (1.0 - safe)), np.where(known, error / np.where(known, spread, 1.0), np.nan)
        )
        return Moments(share, np.where(known, error, np.nan), 1.0 / (1.0 + np.exp(-low)), 1.0 / (1.0 + np.exp(-high)))

    def _centred(self, values: Float) -> tuple[Float, Float]:
        """Values (k, m) minus their means given the event, and their standard deviations (m,)."""
        centred = values - self.mean(values)
        return centred, np.sqrt(self.mean(np.square(centred)))

    def _around(self, middle: Float, error: Float) -> tuple[Float, Float]:
        """Both ends of an interval, NaN without an error."""
        reach = np.where(np.isfinite(error), self.quantile * error, np.nan) if math.isfinite(self.quantile) else np.nan
        return middle - reach, middle + reach


def _is_heavy(influence: Float) -> bool:
    """Whether influence values (j,) have a tail that leaves their mean square unknown."""
    size = np.abs(influence[influence != 0.0])
    if not size.size or bounded(float(size.max() / size.mean()), size.size):
        return False
    most = min(size.size, 4 * math.isqrt(size.size) + 8)
    shape = khat(np.log(np.partition(size, -most)[-most:]), size.size)
    return shape is not None and shape > MOST_KHAT
