"""Observed against expected quantiles, with bands from the law of order statistics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from raresim.arguments import checks
from raresim.marginals import likelihood
from raresim.marginals.base import Marginal
from raresim.numerics.arrays import Float

MOST_POINTS = 500
EXTREMES = 100
"""Number of points at the end of interest that are all kept."""


@dataclass(frozen=True, eq=False)
class QuantilePlot:
    """Points and bands, in increasing order of the observations.

    Parameters
    ----------
    rank : (m,) int64
        Rank of each observation in the sample, 1 for the smallest.
    probability : (m,) float64
        Plotting position of each: ``P(X > x)`` for ``side="upper"``, otherwise ``P(X <= x)``.
    expected, observed : (m,) float64
        The law's quantile at this position, and the observation.
    low, high : (m,) float64
        Pointwise band: each observation lies in it with probability ``confidence`` if the law is true.
    low_all, high_all : (m,) float64
        Simultaneous band: all points lie in it with probability at least ``confidence``. It comes from Bonferroni's
        inequality over the ``m`` points, so it is wider than necessary.
    confidence : float
        Confidence of both bands.
    n : int
        Number of observations in the sample.
    """

    rank: NDArray[np.int64]
    probability: Float
    expected: Float
    observed: Float
    low: Float
    high: Float
    low_all: Float
    high_all: Float
    confidence: float
    n: int

    @property
    def outside(self) -> int:
        """Number of points outside the pointwise band; ``(1 - confidence) m`` are expected if the law is true."""
        return int(((self.observed < self.low) | (self.observed > self.high)).sum())


def quantile_plot(
    law: Marginal, values: ArrayLike, confidence: float = 0.95, side: Literal["lower", "upper", "both"] = "upper"
) -> QuantilePlot:
    """Compare a sample with a law, at most 500 points of it.

    Parameters
    ----------
    law : Marginal
        If it was fitted to the same sample, the sample lies closer to it than to the true law: both bands are then
        conservative.
    values : (n,) array_like
        The sample, at least 2 different values.
    confidence : float
        Confidence of the bands, between 0 and 1.
    side : {"lower", "upper", "both"}
        The end at which the 100 most extreme observations are all kept; the others are thinned evenly on a log scale
        of their rank from that end.

    Returns
    -------
    QuantilePlot

    Raises
    ------
    FieldError
        For a wrong ``confidence`` or ``side``.
    DataError
        When the values are not finite, fewer than 2, or all equal.

    Notes
    -----
    The probability beyond the ``j``-th largest of ``n`` observations has a beta law with parameters ``j`` and
    ``n - j + 1``: David & Nagaraja, *Order Statistics*, 2003, sec. 2.3. Its median is the plotting position; the law's
    quantiles at its quantiles are the band. Each observation is counted from its nearer end, so that no digits of a
    tail are lost.
    """
    checks.between("confidence", confidence, 0.0, 1.0)
    checks.one_of("side", side, Literal["lower", "upper", "both"])
    x = np.sort(likelihood.observations(values, None)[0])
    rank = _kept(x.size, side)
    error = 1.0 - confidence
    expected = _quantiles(law, rank, x.size, 0.5)
    low, high, low_all, high_all = (
        _quantiles(law, rank, x.size, p) for e in (error, error / rank.size) for p in (0.5 * e, 1.0 - 0.5 * e)
    )
    j = x.size + 1 - rank if side == "upper" else rank
    probability = np.exp(_log_tail(j, x.size, 0.5))
    return QuantilePlot(rank, probability, expected, x[rank - 1], low, high, low_all, high_all, confidence, x.size)


def _kept(n: int, side: str) -> NDArray[np.int64]:
    """Ranks to show, increasing."""
    every = np.arange(1, n + 1)
    if n <= MOST_POINTS:
        return every
    if side == "both":
        middle = np.linspace(EXTREMES + 1, n - EXTREMES, MOST_POINTS - 2 * EXTREMES)
        return np.unique(np.concatenate((every[:EXTREMES], np.round(middle).astype(np.int64), every[-EXTREMES:])))
    rest = np.unique(np.round(np.geomspace(EXTREMES + 1, n, MOST_POINTS - EXTREMES)).astype(np.int64))
    from_end = np.concatenate((every[:EXTREMES], rest))
    return from_end if side == "lower" else n + 1 - from_end[::-1]


def _quantiles(law: Marginal, rank: NDArray[np.int64], n: int, p: float) -> Float:
    """The ``p``-quantile of the observation of each rank."""
    out = np.empty(rank.size)
    upper = 2 * rank > n
    out[~upper] = law.quantile(_log_tail(rank[~upper], n, p), upper=False)
    out[upper] = law.quantile(_log_tail(n + 1 - rank[upper], n, 1.0 - p), upper=True)
    return out


def _log_tail(j: NDArray[np.int64], n: int, p: float) -> Float:
    """Log of the ``p``-quantile of the probability beyond the ``j``-th observation from an end."""
    from scipy import special

    return np.asarray(np.log(special.betaincinv(j.astype(np.float64), n + 1.0 - j, p)))
