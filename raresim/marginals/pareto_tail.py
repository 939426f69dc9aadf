"""Tails of a sample: the generalised Pareto law of the excesses over a threshold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from raresim.arguments.checks import one_of
from raresim.errors import DataError, FieldError
from raresim.marginals import likelihood
from raresim.numerics.arrays import Float, frozen

Side = Literal["lower", "upper"]

LEAST_EXCEEDANCES = 20

REGULAR = -0.5
"""Below this shape the maximum likelihood estimator is not asymptotically normal [1]_."""

GRID = 96
SERIES_BELOW = 0.1


class ParetoFit(NamedTuple):
    """A generalised Pareto law fitted to excesses.

    ``covariance`` (2, 2) belongs to shape and scale; it is NaN where it does not exist.
    """

    shape: float
    scale: float
    covariance: Float
    log_likelihood: float


@dataclass(frozen=True, eq=False)
class TailFit:
    """One fitted tail of a sample.

    Parameters
    ----------
    side : {"lower", "upper"}
        Excesses are measured downwards on the lower side.
    threshold : float
        Threshold in the unit of the sample.
    exceedances : int
        Observations strictly beyond the threshold.
    share : float
        Share of the sample beyond the threshold.
    shape, scale : float
        Shape and scale of the generalised Pareto law of the excesses; ``shape`` is positive for a power-law tail.
    shape_se, scale_se : float
        Standard errors from the observed information; NaN for ``shape <= -0.5``.
    covariance : (2, 2) float64
        Covariance of the estimates of shape and scale.
    log_likelihood : float
        Log likelihood of the excesses, in nats.
    """

    side: Side
    threshold: float
    exceedances: int
    share: float
    shape: float
    scale: float
    shape_se: float
    scale_se: float
    covariance: Float
    log_likelihood: float


class StabilityRow(NamedTuple):
    """The fit above one threshold; above a good threshold, ``shape`` and ``modified_scale`` no longer change."""

    share: float
    threshold: float
    exceedances: int
    shape: float
    shape_se: float
    scale: float
    scale_se: float
    modified_scale: float
    modified_scale_se: float


def fit_generalised_pareto(excesses: ArrayLike, weights: ArrayLike | None = None) -> ParetoFit:
    """Maximum likelihood for ``P(Y > y) = (1 + shape y / scale)^(-1 / shape)``.

    Parameters
    ----------
    excesses : (n,) array_like
        Positive numbers, at least 3 of them.
    weights : (n,) array_like, optional
        Weight of each excess in the log likelihood; 1 by default.

    Raises
    ------
    DataError
        When the excesses are not finite, not positive, all equal or too few.

    Notes
    -----
    For given ``theta = shape / scale`` the best shape is the mean of ``log(1 + theta y)`` [2]_, which leaves one
    unknown. The likelihood is unbounded for shapes below -1, so the local maximum above -1 is taken; where there is
    none, the boundary is: shape -1, with the largest excess as scale. The root of the slope is polished by Newton steps
    in both parameters, whose matrix is the observed information.

    References
    ----------
    .. [1] Smith, *Maximum likelihood estimation in a class of nonregular cases*, Biometrika 72, 1985.
    .. [2] Grimshaw, *Computing maximum likelihood estimates for the generalized Pareto distribution*,
       Technometrics 35, 1993.
    """
    y, w = likelihood.observations(excesses, weights, least=3)
    y, w = y[w > 0], w[w > 0]
    if (y <= 0).any():
        raise DataError(f"excesses must be positive, got {y.min():g} at row {int(y.argmin())}")
    unit = float(y.max())
    shape, scale = _profile_maximum(y / unit, w)
    nowhere = frozen(np.full((2, 2), math.nan))
    if shape <= -1.0:
        return ParetoFit(-1.0, unit, nowhere, -float(w.sum()) * math.log(unit))
    shape, scale, covariance = _polished(shape, scale, y / unit, w)
    covariance *= np.outer((1.0, unit), (1.0, unit))
    total = float(w @ log_density(y / (unit * scale), shape)) - float(w.sum()) * math.log(unit * scale)
    return ParetoFit(shape, unit * scale, frozen(covariance), total)


def fit_tail(values: Float, side: Side, share: float | None, threshold: float | None = None) -> TailFit:
    """Fit the tail of ``values`` (n,), sorted, beyond the observation that cuts off ``share``, or beyond ``threshold``.

    Raises
    ------
    DataError
        When fewer than 20 observations lie strictly beyond the threshold.
    """
    n = values.size
    y = values if side == "upper" else -values[::-1]
    if threshold is None:
        # The threshold is the first observation that is not in the tail.
        t = float(y[n - 1 - min(int(float(share or 0.0) * n + 1e-9), n - 1)])
    else:
        t = threshold if side == "upper" else -threshold
    excesses = y[y > t] - t
    at = t if side == "upper" else -t
    if excesses.size < LEAST_EXCEEDANCES:
        beyond = "above" if side == "upper" else "below"
        raise DataError(
            f"too few exceedances: {excesses.size} of {n} values lie {beyond} the {side} threshold {at:g}, "
            f"but a tail needs {LEAST_EXCEEDANCES}"
        )
    shape, scale, covariance, log_likelihood = fit_generalised_pareto(excesses)
    shape_se, scale_se = np.sqrt(np.diag(covariance)).tolist()
    return TailFit(
        side,
        at + 0.0,
        excesses.size,
        excesses.size / n,
        shape,
        scale,
        shape_se,
        scale_se,
        covariance,
        log_likelihood,
    )


def threshold_stability(values: ArrayLike, side: Side = "upper", shares: Sequence[float] = ()) -> list[StabilityRow]:
    """Fits of one tail above several thresholds, for a plot of their parameters against the threshold.

    Parameters
    ----------
    values : (n,) array_like
        The sample.
    side : {"lower", "upper"}
        Which tail.
    shares : sequence of float
        Shares of the sample in the tail, between 0 and 1. By default 25 shares in equal ratios, from 0.3 to the share
        of 20 exceedances.

    Returns
    -------
    list of StabilityRow
        In the order of ``shares``. A share that leaves fewer than 20 exceedances has no row.

    Raises
    ------
    DataError
        When no share leaves 20 exceedances.

    Notes
    -----
    If excesses over ``t`` are generalised Pareto, excesses over a higher ``s`` have the same shape and the scale
    ``scale + shape (s - t)``, and therefore the same modified scale ``scale - shape s``: Coles, *An Introduction to
    Statistical Modeling of Extreme Values*, 2001, sec. 4.3.4. On the lower side ``s`` is minus the threshold.
    """
    one_of("side", side, Side)
    x = np.sort(likelihood.observations(values, None)[0])
    if len(shares) == 0:
        shares = np.geomspace(0.3, min(0.3, LEAST_EXCEEDANCES / x.size), 25).tolist()
    for share in shares:
        if not 0.0 < share < 1.0:
            raise FieldError("shares", f"must be above 0 and below 1, got {share:.15g}")
    rows = []
    for share in shares:
        try:
            tail = fit_tail(x, side, share)
        except DataError:
            continue
        t = tail.threshold if side == "upper" else -tail.threshold
        gradient = np.array([-t, 1.0])
        modified_se = math.sqrt(float(gradient @ tail.covariance @ gradient))
        rows.append(
            StabilityRow(
                tail.share,
                tail.threshold,
                tail.exceedances,
                tail.shape,
                tail.shape_se,
                tail.scale,
                tail.scale_se,
                tail.scale - tail.shape * t,
                modified_se,
            )
        )
    if not rows:
        raise DataError(f"no share of {x.size} values leaves the {LEAST_EXCEEDANCES} different exceedances of a tail")
    return rows


# The functions of the standard form, at z = excess / scale.


def log_survival(z: Float, shape: float) -> Float:
    """Log of ``P(Z > z)``."""
    return -_log1p_over(z, shape)


def log_density(z: Float, shape: float) -> Float:
    """Log density."""
    from scipy import special

    # At the upper end of shape -1 the density is 1, and 0 * inf would be NaN.
    return -z if abs(shape) < 1e-15 else np.asarray(-special.xlog1py(1.0 + 1.0 / shape, np.maximum(shape * z, -1.0)))


def quantile(log_q: Float, shape: float) -> Float:
    """The ``z`` whose upper tail has log probability ``log_q``."""
    with np.errstate(over="ignore"):
        return -log_q if shape == 0 else np.asarray(np.expm1(-shape * log_q) / shape)


def raw_moment(k: int, shape: float) -> float:
    """``E Z^k``, infinite for ``shape >= 1 / k``."""
    if k * shape >= 1.0:
        return math.inf
    return math.factorial(k) / math.prod(1.0 - j * shape for j in range(1, k + 1))


def _log1p_over(z: Float, shape: float) -> Float:
    """``log(1 + shape z) / shape``, and its limit at shape 0."""
    with np.errstate(divide="ignore"):
        return z if abs(shape) < 1e-15 else np.asarray(np.log1p(np.maximum(shape * z, -1.0)) / shape)


def _profile_maximum(y: Float, w: Float) -> tuple[float, float]:
    """Shape and scale at the best local maximum with shape above -1, for excesses whose largest is 1."""
    from scipy import optimize

    total = float(w.sum())

    def shape_of(t: float) -> float:
        return float(w @ np.log1p(math.expm1(t) * y)) / total

    def profile(t: float) -> float:
        """Log likelihood per unit of weight; ``exp(t) = 1 + theta``."""
        theta = math.expm1(t)
        ratio = float(w @ y) / total if abs(theta) < 1e-12 else shape_of(t) / theta
        return -math.log(ratio) - shape_of(t) - 1.0

    def slope(t: float) -> float:
        """Slope of `profile`, per unit of ``theta``."""
        theta = math.expm1(t)
        if abs(theta) < 1e-7:
            first, second = float(w @ y) / total, float(w @ (y * y)) / total
            return 0.5 * second / first - first
        rise = float(w @ (y / (1.0 + theta * y))) / total
        return 1.0 / theta - rise / shape_of(t) - rise

    low = -1.0
    while shape_of(low) > -1.0 and low > -20.0:
        low *= 1.5
    if shape_of(low) < -1.0:
        low = float(optimize.brentq(lambda t: shape_of(t) + 1.0, low, 0.0))
    high = 1.0
    while slope(high) > 0 and high < 690.0:
        high *= 1.5
    t = np.concatenate((np.linspace(low, 0.0, GRID // 3, endpoint=False), np.geomspace(1e-3, high, 2 * GRID // 3)))
    rise = np.array([slope(s) for s in t])
    tops = np.flatnonzero((rise[:-1] > 0) & (rise[1:] <= 0))
    if tops.size == 0:
        return -1.0, 1.0
    roots = [float(optimize.brentq(slope, t[k], t[k + 1], xtol=1e-13, rtol=1e-13)) for k in tops]
    best = max(roots, key=profile)
    theta = math.expm1(best)
    shape = shape_of(best)
    return shape, (float(w @ y) / total if abs(theta) < 1e-12 else shape / theta)


def _polished(shape: float, scale: float, y: Float, w: Float) -> tuple[float, float, Float]:
    """Shape and scale after Newton steps, made while they lower the slope, and the covariance at the last point."""
    point = np.array([shape, scale])
    slope, information = _derivatives(point, y, w)
    for _ in range(5):
        try:
            moved = point + np.linalg.solve(information, slope)
        except np.linalg.LinAlgError:
            break
        if moved[1] <= 0 or 1.0 + moved[0] / moved[1] <= 0:
            break
        new_slope, new_information = _derivatives(moved, y, w)
        if not np.abs(new_slope * (1.0, moved[1])).max() < np.abs(slope * (1.0, point[1])).max():
            break
        point, slope, information = moved, new_slope, new_information
    regular = point[0] > REGULAR and np.isfinite(information).all() and np.linalg.eigvalsh(information)[0] > 0
    covariance = np.asarray(np.linalg.inv(information), np.float64) if regular else np.full((2, 2), math.nan)
    return float(point[0]), float(point[1]), covariance


def _derivatives(point: Float, y: Float, w: Float) -> tuple[Float, Float]:
    """Slope (2,) of the log likelihood and observed information (2, 2), in shape and scale."""
    shape, scale = float(point[0]), float(point[1])
    z = y / scale
    r = z / (1.0 + shape * z)
    first, second = _ratio_derivatives(shape * z)
    total, sum_r, sum_rr = float(w.sum()), float(w @ r), float(w @ (r * r))
    by_shape = -sum_r - float(w @ (z * z * first))
    by_scale = (-total + (1.0 + shape) * sum_r) / scale
    shape_shape = -sum_rr + float(w @ (z**3 * second))
    shape_scale = (-sum_r + (1.0 + shape) * sum_rr) / scale
    # d/d scale of z / (1 + shape z) is -z / (scale (1 + shape z)^2) = -(r - shape r^2) / scale.
    scale_scale = (-total + (1.0 + shape) * (2.0 * sum_r - shape * sum_rr)) / scale**2
    return np.array([by_shape, by_scale]), np.array([[shape_shape, shape_scale], [shape_scale, scale_scale]])


def _ratio_derivatives(a: Float) -> tuple[Float, Float]:
    """First two derivatives of ``log(1 + a) / a``, by the series where the closed form cancels."""
    near = np.abs(a) < SERIES_BELOW
    s = np.where(near, a, 0.0)
    first, second = np.zeros(a.shape), np.zeros(a.shape)
    for j in range(18, 0, -1):
        c = (-1.0) ** j / (j + 1.0)
        first = first * s + c * j
        if j > 1:
            second = second * s + c * j * (j - 1)
    b = np.where(near, 1.0, a)
    closed_first = (1.0 / (1.0 + b) - np.log1p(b) / b) / b
    closed_second = (-1.0 / (1.0 + b) ** 2 - 2.0 * closed_first) / b
    return np.where(near, first, closed_first), np.where(near, second, closed_second)
