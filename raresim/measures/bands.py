"""How often and by how much many thresholds are exceeded, with intervals and a band for all thresholds at once."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from raresim.diagnostics.psis import bounded, khat
from raresim.measures.curve import TailCurve
from raresim.measures.intervals import (
    HEAVY_DOF,
    HEAVY_KHAT,
    clopper_pearson,
    log_scale,
    widened,
    zero_hits_bound,
)
from raresim.measures.tail_sample import TailSample, Whole
from raresim.numerics.arrays import Bool, Float

MAXIMA = 20_000
"""Simulated maxima that give a critical value: at 95 % its error is about 0.01."""

AT_ONCE = 1_000

LEAST = 100
"""Maxima that must lie beyond the critical value; with fewer, the bound of Bonferroni is taken."""

FEW = 100.0
"""Effective hits below which a gamma law also limits the lower end of an interval."""


@dataclass(frozen=True, eq=False)
class Exceedances:
    """``P(loss > x)`` at rising thresholds ``x``, as estimated from one sample.

    Parameters
    ----------
    n : int
        Independent rows of the sample.
    thresholds : (m,) float64
        In the unit of the loss, none below the floor of the sample.
    hits : (m,) int64
        Rows beyond each threshold.
    probability, std_error : (m,) float64
        Estimates and their standard errors, dimensionless.
    squares : (m,) float64
        ``sum w^2 / n`` over the rows beyond each threshold.
    is_crude : bool
        Whether all weights are 1, so that hits are binomial.
    is_heavy : (m,) bool
        Whether the weights beyond each threshold have so heavy a tail that the standard error is uncertain.
    dof : (m,) float64
        Degrees of freedom of the standard error, from the spread of the squared weights.
    """

    n: int
    thresholds: Float
    hits: Whole
    probability: Float
    std_error: Float
    squares: Float
    is_crude: bool
    is_heavy: Bool
    dof: Float


@dataclass(frozen=True, eq=False)
class Excesses:
    """How far rising thresholds are exceeded: arrays (m,) in the unit of the loss, or in its square where stated.

    Parameters
    ----------
    first, first_error : (m,) float64
        ``E[(loss - x)+]``, the stop-loss premium, and its standard error.
    second, second_error : (m,) float64
        ``E[((loss - x)+)^2]``, in squared units, and its standard error.
    beyond, beyond_error : (m,) float64
        ``E[loss | loss > x]`` and its standard error; NaN where nothing is beyond.
    """

    first: Float
    first_error: Float
    second: Float
    second_error: Float
    beyond: Float
    beyond_error: Float


def exceedances_of(sample: TailSample, thresholds: Float) -> Exceedances:
    """The curve at ``thresholds`` (m,), which have to rise.

    Raises
    ------
    ValueError
        When one is below the floor of the sample: rows are missing there.
    """
    order, first = _ordered(sample, thresholds)
    log_weight = sample.log_weight[order]
    p = _beyond(np.exp(log_weight), first) / sample.n
    squares = _beyond(np.exp(2.0 * log_weight), first) / sample.n
    relative = np.exp(2.0 * (log_weight - log_weight.max(initial=-math.inf)))
    second, fourth = _beyond(relative, first), _beyond(relative**2, first)
    hits = order.size - first
    is_crude = order.size > 0 and not log_weight.any()
    return Exceedances(
        n=sample.n,
        thresholds=thresholds,
        hits=hits,
        probability=np.minimum(p, 1.0),  # a mean of weights may be more by chance
        std_error=np.sqrt(np.maximum(0.0, squares - p**2) / max(1, sample.n - 1)),
        squares=squares,
        is_crude=is_crude,
        is_heavy=np.array([not is_crude and _is_heavy(log_weight[i:]) for i in first], dtype=bool),
        dof=2.0 * np.divide(second**2, fourth, out=np.zeros_like(p), where=fourth > 0),
    )


def excesses_of(sample: TailSample, thresholds: Float) -> Excesses:
    """Partial moments beyond ``thresholds`` (m,), which have to rise and must not be below the floor.

    A moment is infinite where it is larger than a double, as for a short position whose price is the exponential of a
    Student t return. Its error is then infinite or NaN.
    """
    order, first = _ordered(sample, thresholds)
    loss, weight = sample.loss[order], sample.weight[order]
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        total, once, twice = _powers(loss, weight, thresholds, first, 2) / sample.n
        s0, s1, s2, _, s4 = _powers(loss, weight**2, thresholds, first, 4) / sample.n
        mean = once / total
        spread = (s2 - 2.0 * mean * s1 + mean**2 * s0) / total**2
        errors = [np.sqrt(np.maximum(0.0, v) / max(1, sample.n - 1)) for v in (s2 - once**2, s4 - twice**2, spread)]
    first_error, second_error, beyond_error = errors
    return Excesses(once, first_error, twice, second_error, thresholds + mean, beyond_error)


def quantiles_of(sample: TailSample, tails: Float) -> Float:
    """For each of ``tails`` (m,) the smallest loss that is exceeded with at most this probability.

    It is NaN below the floor of the sample, and the largest loss where no row lies beyond.
    """
    curve = TailCurve.of_rows(sample.n, sample.loss, sample.log_weight)
    places = (curve.index(float(tail)) for tail in tails)
    return np.array([math.nan if at is None else curve.loss[at] for at in places])


def intervals(curve: Exceedances, confidence: float, factor: float = 1.0) -> tuple[Float, Float]:
    """Lower and upper ends (m,) that hold for each threshold by itself.

    Parameters
    ----------
    curve : Exceedances
        The curve.
    confidence : float
        Confidence of each interval.
    factor : float
        Factor on the quantiles of the normal law.

    Notes
    -----
    The interval is exact for crude draws. For weights it is on the log scale, with Student's t where they are heavy. If
    the weights are few, a gamma law also limits its lower end, as for the sum of a Poisson number of equal weights. For
    weights without a hit the only upper end is the one of a lower threshold.
    """
    return _ends(curve, confidence, factor, np.where(curve.is_heavy, HEAVY_DOF, math.inf))


def band(curve: Exceedances, critical: float, factor: float = 1.0) -> tuple[Float, Float]:
    """Lower and upper ends (m,) between which the whole curve lies at once.

    Parameters
    ----------
    curve : Exceedances
        The curve.
    critical : float
        `critical_value` at the confidence of the band.
    factor : float
        Factor on the quantiles of the normal law.

    Notes
    -----
    The band is made of `intervals`, each with the confidence at which all hold together. The curve falls, so an end
    that holds at one threshold holds beyond it too: between two thresholds the curve is below the upper end at the
    lower one and above the lower end at the higher one.
    """
    dof = np.where(curve.is_heavy, np.minimum(curve.dof, HEAVY_DOF), curve.dof)
    low, high = _ends(curve, pointwise_confidence(critical), factor, np.maximum(1.0, dof))
    return np.maximum.accumulate(low[::-1])[::-1], np.minimum.accumulate(high)


def critical_value(curve: Exceedances, confidence: float) -> float:
    """The value that the largest studentised error of all thresholds stays below with probability ``confidence``.

    Notes
    -----
    The joint law of the errors is approximately normal, with the covariance ``C_jk = sum w^2 / n - p_j p_k`` over the
    rows beyond both thresholds. Independent normal multipliers of the rows simulate it, [1]_ sec. 2; all rows between
    two thresholds share one multiplier. Errors that are certain to be 0 are left out. If too few maxima are simulated
    for the confidence, the bound of Bonferroni is taken.

    References
    ----------
    .. [1] Chernozhukov, Chetverikov & Kato, *Gaussian approximations and multiplier bootstrap for maxima of sums of
       high-dimensional random vectors*, Ann. Statist. 41, 2013.
    """
    from scipy.special import ndtri

    p, s = curve.probability, curve.squares
    scale = np.sqrt(np.maximum(0.0, s - p**2))
    known = scale > 1e-7 * np.sqrt(s)
    alone = max(1, int(np.count_nonzero(known))) if (1.0 - confidence) * MAXIMA < LEAST else 1
    if alone > 1 or not known.any():
        return -float(ndtri(0.5 * (1.0 - confidence) / alone))
    step = np.sqrt(np.maximum(0.0, -np.diff(s, append=0.0)))
    slope = np.divide(-np.diff(p, append=0.0), step, out=np.zeros_like(p), where=step > 0)
    rest = math.sqrt(max(0.0, 1.0 - float(slope @ slope)))
    rng = np.random.Generator(np.random.PCG64(20261125))
    maxima = []
    for _ in range(MAXIMA // AT_ONCE):
        between = rng.standard_normal((AT_ONCE, p.size))
        common = (between * slope).sum(axis=1) + rest * rng.standard_normal(AT_ONCE)
        beyond = np.cumsum((between * step)[:, ::-1], axis=1)[:, ::-1]
        errors = beyond - common[:, None] * p
        maxima.append(np.abs(errors[:, known] / scale[known]).max(axis=1))
    return float(np.quantile(np.concatenate(maxima), confidence))


def pointwise_confidence(critical: float) -> float:
    """Probability that one normal error stays below ``critical``, kept below 1, for which there is no interval."""
    return min(math.erf(critical / math.sqrt(2.0)), 1.0 - 2.0**-53)


def _ordered(sample: TailSample, thresholds: Float) -> tuple[Whole, Whole]:
    """Order of the rows by rising loss, and in it the first row beyond each threshold."""
    if thresholds.size and thresholds[0] < sample.floor:
        raise ValueError(f"the curve begins at the floor of the sample, {sample.floor:g}, got {thresholds[0]:g}")
    order = np.argsort(sample.loss, kind="stable")
    return order, np.searchsorted(sample.loss[order], thresholds, side="right")


def _beyond(values: Float, first: Whole) -> Float:
    """Sums of ``values`` (k,) from each of ``first`` (m,) on; they start with the small values of the far rows."""
    sums: Float = np.append(np.cumsum(values[::-1])[::-1], 0.0)[first]
    return sums


def _powers(loss: Float, mass: Float, thresholds: Float, first: Whole, most: int) -> Float:
    """``sum mass (loss - x)^r`` over the rows beyond each threshold ``x``, (r, m) for ``r`` up to ``most``.

    The binomial theorem leads from each threshold to the next lower one: all terms are positive, so nothing cancels.
    """
    found = np.zeros((most + 1, thresholds.size))
    ends = np.append(first[1:], loss.size)
    step = np.append(np.diff(thresholds), 0.0)
    for j in reversed(range(thresholds.size)):
        term, excess = mass[first[j] : ends[j]], loss[first[j] : ends[j]] - thresholds[j]
        for r in range(most + 1):
            found[r, j] = term.sum()
            if j + 1 < thresholds.size:
                found[r, j] += sum(math.comb(r, q) * step[j] ** (r - q) * found[q, j + 1] for q in range(r + 1))
            term = term * excess
    return found


def _is_heavy(log_weight: Float) -> bool:
    n = log_weight.size
    if n == 0:
        return False
    most = min(n, math.ceil(3.0 * math.sqrt(n)) + 2)
    largest = np.partition(log_weight, n - most)[n - most :]
    shape = khat(largest, n)
    if shape is not None:
        return shape >= HEAVY_KHAT
    top = float(largest.max())
    return not bounded(1.0 / float(np.exp(log_weight - top).mean()), n)


def _ends(curve: Exceedances, confidence: float, factor: float, dof: Float) -> tuple[Float, Float]:
    ends = [_interval(curve, j, confidence, factor, float(dof[j])) for j in range(curve.thresholds.size)]
    low, high = np.array(ends, dtype=np.float64).reshape(-1, 2).T
    return low, high


def _interval(curve: Exceedances, j: int, confidence: float, factor: float, dof: float) -> tuple[float, float]:
    hits, value, error = int(curve.hits[j]), float(curve.probability[j]), float(curve.std_error[j])
    if curve.is_crude:
        ends = clopper_pearson(hits, curve.n, confidence) if hits else (0.0, zero_hits_bound(curve.n, confidence))
        return widened(ends, value, factor)
    if value <= 0.0:
        return 0.0, 1.0
    low, high = log_scale(value, factor * error / value, confidence, int(dof) if dof < 1e6 else None)
    return min(1.0, low, _gamma_end(value, error, confidence)), min(1.0, high)


def _gamma_end(value: float, error: float, confidence: float) -> float:
    """Lower end of the gamma law with mean ``value`` and standard deviation ``error``; ``value`` for many hits."""
    from scipy.special import gammaincinv

    effective = (value / error) ** 2 if error > 0 else math.inf
    if effective >= FEW:
        return value
    return value * float(gammaincinv(effective, 0.5 - 0.5 * confidence)) / effective
