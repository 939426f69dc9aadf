"""Tests of value at risk: how many days exceed it, and whether these days cluster.

Every p-value is exact. The likelihood ratios of Kupiec and Christoffersen are asymptotically chi-square, but of 250
days at 99 % only two or three exceed the VaR, and the asymptotic law is then far off.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raresim.measures.levels import tail_of
from raresim.numerics.arrays import Bool, Float

Int = NDArray[np.int64]

GREEN, RED = 0.95, 0.9999
"""Cumulative probabilities at which the yellow and the red zone begin."""

BASEL_DAYS, BASEL_LEVEL = 250, 0.99
"""Number of days and level for which the add-ons of `TrafficLight` are stated."""

MAR32_ADDONS = (0.0, 0.0, 0.0, 0.0, 0.0, 0.20, 0.26, 0.33, 0.38, 0.42, 0.50)
BASEL_1996_ADDONS = (0.0, 0.0, 0.0, 0.0, 0.0, 0.40, 0.50, 0.65, 0.75, 0.85, 1.0)
"""Add-ons by the number of exceedances, the last for 10 and more."""

TIE = 1e-9
"""Likelihood ratios that differ by less than this, by the order of computation, count as equal."""

MASS = 1e-14
"""Probability of the counts that `conditional_coverage` leaves out, on each side."""


@dataclass(frozen=True)
class Coverage:
    """A likelihood ratio with its p-values.

    Parameters
    ----------
    statistic : float
        Likelihood ratio, dimensionless, at least 0.
    p_value : float
        Exact p-value: the probability, if the forecasts are right, of a ratio at least as large, or of a count at most
        as likely.
    p_chi_square : float
        Asymptotic p-value.
    """

    statistic: float
    p_value: float
    p_chi_square: float


@dataclass(frozen=True)
class Transitions:
    """Counts of pairs of successive days, by whether the first and the second day exceed the VaR."""

    n00: int
    n01: int
    n10: int
    n11: int

    @classmethod
    def of(cls, exceeds: Bool) -> Transitions:
        """Count the pairs in a series of days."""
        pairs = np.bincount(2 * exceeds[:-1].astype(int) + exceeds[1:], minlength=4)
        return cls(*(int(count) for count in pairs))


@dataclass(frozen=True)
class TrafficLight:
    """The zones of the Basel Committee for a number of exceedances.

    Parameters
    ----------
    zone : {"green", "yellow", "red"}
        Zone of the number.
    cumulative : float
        Probability of so many exceedances or fewer if the VaR is right.
    yellow_from, red_from : int
        Smallest numbers of exceedances in the two zones.
    addon_mar32, addon_1996 : float or None
        Add-on to the capital multiplier of 1.5 (MAR32) and of 3 (1996, replaced by MAR32); None unless for 250 days at
        99 %, for which alone they are stated.
    """

    zone: str
    cumulative: float
    yellow_from: int
    red_from: int
    addon_mar32: float | None
    addon_1996: float | None


def proportion_of_failures(count: int, days: int, tail: float) -> Coverage:
    """Kupiec's test of the number of exceedances [1]_, with the exact two-sided binomial p-value.

    Parameters
    ----------
    count, days : int
        Number of exceedances and of days.
    tail : float
        Probability that a right VaR is exceeded, one minus its level.

    References
    ----------
    .. [1] Kupiec, *Techniques for verifying the accuracy of risk measurement models*, J. Derivatives 3, 1995.
    """
    from scipy.special import chdtrc

    statistic = float(_likelihood_ratio(np.array([count]), np.array([days]), tail)[0])
    return Coverage(statistic, binomial_p(count, days, tail), float(chdtrc(1, statistic)))


def binomial_p(count: int, days: int, tail: float) -> float:
    """Two-sided p-value of a count: the total probability of all counts that are at most as likely."""
    from scipy.stats import binomtest

    return float(binomtest(count, days, tail).pvalue)


def accepted_counts(days: int, tail: float, alpha: float) -> tuple[int, int]:
    """Smallest and largest number of exceedances with a `binomial_p` above ``alpha``."""
    mode = min(int((days + 1) * tail), days)
    low = bisect_left(range(mode), True, key=lambda k: binomial_p(k, days, tail) > alpha)
    above = range(mode + 1, days + 1)
    return low, mode + bisect_left(above, True, key=lambda k: binomial_p(k, days, tail) <= alpha)


def independence(exceeds: Bool) -> Coverage:
    """Christoffersen's test of whether an exceedance changes the probability of one on the next day [1]_.

    Parameters
    ----------
    exceeds : (n,) bool
        Whether each day exceeds its VaR.

    Notes
    -----
    The asymptotic law is chi-square with one degree of freedom. The exact p-value is conditional on the number of
    exceedances: if days are independent and identically distributed, all places of these exceedances are equally
    likely, whatever their probability. With fewer than two exceedances the p-value is 1.

    References
    ----------
    .. [1] Christoffersen, *Evaluating interval forecasts*, Int. Econ. Rev. 39, 1998.
    """
    from scipy.special import chdtrc

    statistic = _of_pairs(Transitions.of(exceeds))
    tables, chance = _arrangements(int(exceeds.sum()), len(exceeds))
    p_value = float(chance[_independence_ratio(tables) >= statistic - TIE].sum())
    return Coverage(statistic, min(1.0, p_value), float(chdtrc(1, statistic)))


def conditional_coverage(exceeds: Bool, tail: float) -> Coverage:
    """Christoffersen's joint test: the sum of the ratios of the other two tests.

    Parameters
    ----------
    exceeds : (n,) bool
        Whether each day exceeds its VaR.
    tail : float
        Probability that a right VaR is exceeded.

    Notes
    -----
    The asymptotic law is chi-square with two degrees of freedom. The exact p-value is the probability of a sum at least
    as large for independent days that exceed with probability ``tail``.
    """
    from scipy.special import chdtrc
    from scipy.stats import binom

    days = len(exceeds)
    of_count = _likelihood_ratio(np.arange(days + 1), np.full(days + 1, days), tail)
    statistic = float(of_count[int(exceeds.sum())]) + _of_pairs(Transitions.of(exceeds))
    p_value = 0.0
    for count in range(int(binom.ppf(MASS, days, tail)), int(binom.isf(MASS, days, tail)) + 1):
        tables, chance = _arrangements(count, days)
        larger = of_count[count] + _independence_ratio(tables) >= statistic - TIE
        p_value += float(binom.pmf(count, days, tail)) * float(chance[larger].sum())
    return Coverage(statistic, min(1.0, p_value), float(chdtrc(2, statistic)))


def traffic_light(count: int, days: int, level: float) -> TrafficLight:
    """The zone of a number of exceedances [1]_, with the newer add-ons of [2]_.

    References
    ----------
    .. [1] Basel Committee, *Supervisory framework for the use of backtesting*, 1996.
    .. [2] Basel Committee, *MAR32: internal models approach, backtesting and P&L attribution test*, 2019.
    """
    from scipy.stats import binom

    tail = tail_of(level, None)
    cumulative = float(binom.cdf(count, days, tail))
    zone = "green" if cumulative < GREEN else "yellow" if cumulative < RED else "red"
    addons: list[float | None] = [None, None]
    if days == BASEL_DAYS and math.isclose(level, BASEL_LEVEL):
        addons = [table[min(count, len(table) - 1)] for table in (MAR32_ADDONS, BASEL_1996_ADDONS)]
    return TrafficLight(zone, cumulative, int(binom.ppf(GREEN, days, tail)), int(binom.ppf(RED, days, tail)), *addons)


def _likelihood_ratio(count: Float | Int, n: Float | Int, p: float | Float) -> Float:
    """``2 n KL(count / n || p)``, as twice the log ratio of two binomial likelihoods; 0 where ``n`` is 0."""
    from scipy.stats import binom

    own = count / np.maximum(n, 1)
    ratio = 2.0 * (binom.logpmf(count, n, own) - binom.logpmf(count, n, p))
    return np.maximum(ratio, 0.0)


def _of_pairs(pairs: Transitions) -> float:
    return float(_independence_ratio(np.array([[pairs.n00], [pairs.n01], [pairs.n10], [pairs.n11]]))[0])


def _independence_ratio(tables: Int) -> Float:
    """Ratio of each table, a column ``n00, n01, n10, n11``: the day before matters, or it does not."""
    n00, n01, n10, n11 = tables
    after_none, after_one = n00 + n01, n10 + n11
    pooled = (n01 + n11) / (after_none + after_one)
    return _likelihood_ratio(n01, after_none, pooled) + _likelihood_ratio(n11, after_one, pooled)


def _arrangements(count: int, days: int) -> tuple[Int, Float]:
    """All tables of transitions that ``count`` exceedances in ``days`` can have, with their probabilities.

    The number of runs of exceedances and whether the first and the last day exceed determine a table. The exceedances
    split into runs in ``C(count - 1, runs - 1)`` ways, and the other days into gaps in ``C(others - 1, gaps - 1)``
    ways.
    """
    from scipy.special import betaln

    def log_choose(n: Int | int, k: Int | int) -> Float:
        return -betaln(1 + np.asarray(n) - k, 1 + np.asarray(k)) - np.log1p(n)

    others = days - count
    if count == 0 or others == 0:
        whole = [days - 1, 0, 0, 0] if count == 0 else [0, 0, 0, days - 1]
        return np.array(whole).reshape(4, 1), np.ones(1)
    runs, first, last = (axis.ravel() for axis in np.meshgrid(np.arange(1, count + 1), [0, 1], [0, 1]))
    gaps = runs + 1 - first - last
    possible = (gaps >= 1) & (gaps <= others)
    runs, first, last, gaps = runs[possible], first[possible], last[possible], gaps[possible]
    chance = np.exp(log_choose(count - 1, runs - 1) + log_choose(others - 1, gaps - 1) - log_choose(days, count))
    n01, n10, n11 = runs - first, runs - last, count - runs
    return np.array([days - 1 - n01 - n10 - n11, n01, n10, n11]), chance
