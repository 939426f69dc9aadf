"""Confidence intervals of a probability."""

from __future__ import annotations

import math

LOOK_INFLATION = 1.05
"""Factor on the length of an interval whose sample size was chosen by looking at the sample."""

HEAVY_KHAT = 0.3
"""Pareto shape of the weights from which the standard error is too uncertain for the quantile of a normal law."""

HEAVY_DOF = 15
"""Degrees of freedom of Student's t in that case; `experiments/trust/intervals.py` has its coverage and that of
rivals."""


def clopper_pearson(hits: int, n: int, confidence: float) -> tuple[float, float]:
    """Exact interval of a binomial proportion: its coverage is at least the confidence for every proportion.

    Parameters
    ----------
    hits, n : int
        Number of hits and number of draws.
    confidence : float
        Confidence of the interval.

    References
    ----------
    .. [1] Clopper & Pearson, *The use of confidence or fiducial limits illustrated in the case of the binomial*,
       Biometrika 26, 1934.
    """
    from scipy.special import betaincinv

    tail = 0.5 * (1.0 - confidence)
    low = 0.0 if hits == 0 else float(betaincinv(hits, n - hits + 1, tail))
    high = 1.0 if hits == n else float(betaincinv(hits + 1, n - hits, 1.0 - tail))
    return low, high


def zero_hits_bound(n: int, confidence: float) -> float:
    """One-sided upper limit of a probability after ``n`` draws without a hit: about ``3 / n`` at 95 %.

    It is reported in place of the interval. The two-sided `clopper_pearson` interval without a hit ends at ``3.7 / n``.
    """
    return -math.expm1(math.log1p(-confidence) / n)


def log_scale(value: float, relative_error: float, confidence: float, dof: int | None = None) -> tuple[float, float]:
    """Interval of a positive estimate with an approximately normal logarithm: ``value exp(-+ z r)``.

    Parameters
    ----------
    value : float
        The estimate.
    relative_error : float
        Standard error divided by the estimate; to first order the standard error of its logarithm.
    confidence : float
        Confidence of the interval.
    dof : int, optional
        Degrees of freedom of the standard error, if it comes from few replicates or from weights with a heavy tail:
        Student's t then replaces the normal law. With 0 degrees of freedom the interval is unbounded.
    """
    from scipy.special import ndtri, stdtrit

    if dof == 0 or not math.isfinite(relative_error):
        return 0.0, math.inf
    quantile = ndtri(0.5 + 0.5 * confidence) if dof is None else stdtrit(dof, 0.5 + 0.5 * confidence)
    exponent = float(quantile) * relative_error
    factor = math.exp(exponent) if exponent < 700 else math.inf
    return value / factor, value * factor


def weighted_upper(total: float, squares: float, confidence: float) -> float:
    """Upper end of the mean of a sum of few independent weights, Poisson in number, whose largest is 1.

    Parameters
    ----------
    total, squares : float
        Sum of the weights, and of their squares.
    confidence : float
        Confidence of the two-sided interval.

    Notes
    -----
    It is a quantile of the gamma law with the mean ``total + 1`` and the variance ``squares + 1``, as if one more row
    with the largest weight had been seen. For equal weights it is the exact upper end of a Poisson mean; for unequal
    weights it was conservative in all cases of [1]_. It is less conservative where the largest observed weight replaces
    the largest possible one.

    References
    ----------
    .. [1] Fay & Feuer, *Confidence intervals for directly standardized rates: a method based on the gamma
       distribution*, Statist. Med. 16, 1997.
    """
    from scipy.special import gammaincinv

    mean, variance = total + 1.0, squares + 1.0
    return float(variance / mean * gammaincinv(mean**2 / variance, 0.5 + 0.5 * confidence))


def weighted_lower(total: float, squares: float, confidence: float) -> float:
    """Lower end that belongs to `weighted_upper`: 0 without any weights."""
    from scipy.special import gammaincinv

    if not total > 0:
        return 0.0
    return float(squares / total * gammaincinv(total**2 / squares, 0.5 - 0.5 * confidence))


def widened(interval: tuple[float, float], value: float, factor: float) -> tuple[float, float]:
    """``interval`` with its distances from ``value`` on the log scale multiplied by ``factor``."""
    low, high = interval
    if value <= 0:
        return low, min(1.0, high * factor)
    return low * (low / value) ** (factor - 1) if low > 0 else 0.0, min(1.0, high * (high / value) ** (factor - 1))
