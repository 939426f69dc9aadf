"""Tails that are exact relative to themselves: of quadratic forms, of sums, of planes, and of systems of events.

No formula subtracts a probability from one that is close to it, so a tail of 1e-11 is as accurate as one of 0.1.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from scipy import interpolate, optimize, special

from raresim.numerics.arrays import Float

REACH = 13.0
"""A standard normal lies beyond this with a probability of 1e-38."""

HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)

SMALL = 1e-9
"""Share of the whole below which a common part of planes is bounded instead of computed."""

PLANAR = 0.25
"""Size of a unit vector's part across the span of two others, below which quadrature of the three is too coarse."""


# Quadrature.


@lru_cache(maxsize=8)
def _legendre(n: int) -> tuple[Float, Float]:
    nodes, weights = np.polynomial.legendre.leggauss(n)
    return nodes, weights


def panels(edges: Float, n: int = 12) -> tuple[Float, Float]:
    """Nodes and weights of Gauss and Legendre between neighbouring edges."""
    x, w = _legendre(n)
    half = 0.5 * np.diff(edges)[:, np.newaxis]
    middle = 0.5 * (edges[1:] + edges[:-1])[:, np.newaxis]
    return (middle + half * x).ravel(), (half * w).ravel()


def normal_nodes(breaks: Sequence[float] = (), n_panels: int = 104) -> tuple[Float, Float]:
    """Nodes and weights for the mean of a function of a standard normal.

    Parameters
    ----------
    breaks : sequence of float
        Points where the function is not smooth; panels shrink towards them.
    n_panels : int
        Number of panels of equal width, beside the shrinking ones.
    """
    edges = np.linspace(-REACH, REACH, n_panels + 1)
    if breaks:
        near = 0.125 * 0.25 ** np.arange(9)
        at = np.asarray(breaks, dtype=float)[:, np.newaxis]
        more = np.hstack([at, at - near, at + near]).ravel()
        edges = np.unique(np.concatenate([edges, more[np.abs(more) < REACH]]))
    z, w = panels(edges)
    return z, w * np.exp(-0.5 * z * z - HALF_LOG_2PI)


# Systems of events that are independent.


def system_tail(p: Float, at_least: int) -> Float:
    """Probability that at least so many of independent events happen.

    Parameters
    ----------
    p : (m, n) float64
        Probability of each event, in each of ``n`` situations.
    at_least : int
        Least number of events, from 1 to ``m``.

    Returns
    -------
    (n,) float64
        The probability, as a sum of positive terms.
    """
    m = len(p)
    if at_least == 1:
        with np.errstate(divide="ignore"):
            return np.asarray(-np.expm1(np.log1p(-p).sum(axis=0)))
    if at_least == m:
        return np.asarray(p.prod(axis=0))
    counts = np.zeros((m + 1, p.shape[1]))
    counts[0] = 1.0
    for of_event in p:
        happens = counts[:-1] * of_event
        counts *= 1.0 - of_event
        counts[1:] += happens
    return np.asarray(counts[at_least:].sum(axis=0))


# Quadratic forms.


LAST, AGREED = 1e-10, 1e-9
"""Tolerances of an inversion: its last terms relative to the first, and its difference from one of finer steps."""


def quadratic_tail(t: float, linear: Float, square: Float) -> float:
    """``P(sum a_i x_i + g_i x_i^2 >= t)`` of independent standard normals.

    Parameters
    ----------
    t : float
        The level.
    linear, square : (m,) float64
        ``a`` and ``g``.

    Notes
    -----
    Inversion of the moment generating function ``exp(K(s))`` along a parabola through the saddle point of
    ``K(s) - s t - log s``. The trapezoidal rule converges exponentially there, relative to the tail itself.
    """
    pole = 0.5 / square.max() if square.max() > 0.0 else math.inf
    if square.min() > 0.0 and t <= -float((linear**2 / (4.0 * square)).sum()):
        return 1.0

    def slope(s: float) -> float:
        left = 1.0 - 2.0 * square * s
        return float((square / left + linear**2 * s * (1.0 - square * s) / left**2).sum()) - t - 1.0 / s

    low, high = _around(slope, pole)
    c = float(optimize.brentq(slope, low, high, xtol=1e-14 * high, rtol=1e-13))
    left = 1.0 - 2.0 * square * c
    second = float((2.0 * square**2 / left**2 + linear**2 / left**3).sum()) + 1.0 / c**2
    third = float((8.0 * square**3 / left**3 + 6.0 * square * linear**2 / left**4).sum()) - 2.0 / c**3
    steepest, width = max(0.0, third / (6.0 * second)), 1.0 / math.sqrt(second)
    for bend in (steepest, steepest / 2.0, steepest / 4.0, steepest / 8.0, 0.0):
        value, last = _inverted(t, linear, square, c, bend, width / 7.0, 1600)
        finer, _ = _inverted(t, linear, square, c, bend, width / 11.0, 3200)
        if last < LAST and abs(value / finer - 1.0) < AGREED:
            return finer
    raise ArithmeticError(f"the integral for {t} does not converge")


def _around(slope: Callable[[float], float], pole: float) -> tuple[float, float]:
    """A bracket of the saddle point in ``(0, pole)``."""
    low = 1e-12 if math.isinf(pole) else 1e-12 * pole
    if math.isinf(pole):
        high = 1.0
        while slope(high) < 0.0:
            high *= 2.0
        return low, high
    gap = 0.5
    while slope(pole * (1.0 - gap)) < 0.0:
        gap *= 0.25
    return low, pole * (1.0 - gap)


def _inverted(
    t: float, linear: Float, square: Float, c: float, bend: float, step: float, n: int
) -> tuple[float, float]:
    """The integral along ``c + i u + bend u^2`` by ``n`` steps, and its last terms relative to the first."""
    u = np.arange(n) * step
    s = c + 1j * u + bend * u * u
    exponent = -s * t
    pairs, counts = np.unique(np.column_stack([linear, square]), axis=0, return_counts=True)
    for (a, g), times in zip(pairs, counts, strict=True):
        left = 1.0 - 2.0 * g * s
        exponent += times * (0.5 * a * a * s * s / left - (0.5 * np.log(left) if g else 0.0))
    first = exponent[0].real
    if exponent.real.max() > first + 20.0:  # the bend leads where the function grows
        return math.nan, math.inf
    terms = np.exp(exponent - first) / s * (1.0 - 2j * bend * u)
    last = float(np.abs(terms[-50:]).max() / np.abs(terms[0]))
    terms[0] *= 0.5
    return math.exp(first) * float(terms.sum().real) * step / math.pi, last


# Sums with heavy tails.


def lognormal_sum_tail(t: float, sigma: float, terms: int) -> float:
    """``P(sum exp(sigma z_i) >= t)`` for ``terms`` independent standard normals ``z_i``."""
    return float(_lognormal_tails(np.array([math.log(t)]), sigma, terms)[0])


def _lognormal_tails(log_t: Float, sigma: float, terms: int) -> Float:
    """As above, at many logarithms of ``t``: the last term is below half of ``t``, above it, or beyond ``t``."""
    if terms == 1:
        return np.asarray(special.ndtr(-log_t / sigma))
    rest = _lognormal_table(sigma, terms - 1)
    low = -9.0 * sigma  # of a single term; the rest is above that with a probability of 1 up to 1e-19
    out = np.empty(log_t.size)
    for k, log_level in enumerate(log_t):
        level = math.exp(log_level)
        half = log_level - math.log(2.0)
        if half <= low:
            out[k] = 1.0
            continue
        v, w = panels(np.linspace(low, half, 25))
        density = np.exp(-0.5 * (v / sigma) ** 2 - HALF_LOG_2PI) / sigma
        lower = (w * density) @ rest(np.log(level - np.exp(v)))
        other = level - np.exp(v)  # the last term, where the rest is exp(v)
        log_other = np.log(other)
        density = np.exp(-0.5 * (log_other / sigma) ** 2 - HALF_LOG_2PI) / (sigma * other)
        upper = (w * density * np.exp(v)) @ rest(v)
        beyond = float(special.ndtr(-math.log(level - math.exp(low)) / sigma))
        out[k] = float(lower + upper) + beyond
    return out


@lru_cache(maxsize=32)
def _lognormal_table(sigma: float, terms: int) -> Callable[[Float], Float]:
    """The tail of the sum as a function of the logarithm of its level."""
    if terms == 1:
        return lambda log_t: np.asarray(special.ndtr(-log_t / sigma))
    grid = np.linspace(-9.0 * sigma, 10.0 * sigma + math.log(terms), 240)
    spline = interpolate.CubicSpline(grid, np.log(_lognormal_tails(grid, sigma, terms)))
    return lambda log_t: np.exp(np.minimum(spline(np.clip(log_t, grid[0], grid[-1])), 0.0))


def t_sum_tail(t: float, dof: float, terms: int) -> float:
    """``P(sum >= t)`` of ``terms`` independent Student's t with ``dof`` degrees of freedom."""
    beyond = float(_t_tails(np.array([abs(t)]), dof, terms)[0])
    return beyond if t >= 0.0 else 1.0 - beyond


def _t_tails(t: Float, dof: float, terms: int) -> Float:
    if terms == 1:
        return np.asarray(special.stdtr(dof, -t))
    rest = _t_table(dof, terms - 1)
    log_scale = special.gammaln(0.5 * (dof + 1.0)) - special.gammaln(0.5 * dof) - 0.5 * math.log(dof * math.pi)
    out = np.empty(t.size)
    for k, level in enumerate(t):
        half = math.asinh(0.5 * level)
        near, w = panels(np.linspace(-18.0, half, 40))
        far, w_far = panels(np.linspace(-half, 18.0, 40))
        x = np.concatenate([np.sinh(near), level + np.sinh(far)])
        w = np.concatenate([w * np.cosh(near), w_far * np.cosh(far)])
        density = np.exp(log_scale - 0.5 * (dof + 1.0) * np.log1p(x * x / dof))
        out[k] = (w * density) @ rest(level - x)
    return out


@lru_cache(maxsize=32)
def _t_table(dof: float, terms: int) -> Callable[[Float], Float]:
    if terms == 1:
        return lambda t: np.asarray(special.stdtr(dof, -t))
    grid = np.linspace(0.0, 19.0, 320)
    spline = interpolate.CubicSpline(grid, np.log(_t_tails(np.sinh(grid), dof, terms)))

    def tail(t: Float) -> Float:
        beyond = np.exp(spline(np.minimum(np.arcsinh(np.abs(t)), grid[-1])))
        return np.where(t >= 0.0, beyond, 1.0 - beyond)

    return tail


# Planes.


def union_of_planes(directions: Float, betas: Float) -> tuple[float, float]:
    """``P(v_k . x >= beta_k for some k)`` of standard normals, and its relative accuracy.

    Parameters
    ----------
    directions : (k, d) float64
        Unit vectors.
    betas : (k,) float64
        Distances from the origin, positive.

    Notes
    -----
    Inclusion and exclusion up to three planes. The common part of four planes bounds the rest (Bonferroni), and is at
    most the smallest common part of three of them. Where three directions nearly lie in a plane, the relative accuracy
    is given as infinite.
    """
    order = np.argsort(-betas)
    b, rho = betas[order], (directions @ directions.T)[np.ix_(order, order)]
    single = float(special.ndtr(-b).sum())
    pairs = list(itertools.combinations(range(len(b)), 2))
    shared = dict(zip(pairs, _common_of_two(b, rho, pairs), strict=True)) if pairs else {}
    triples: list[tuple[int, int, int]] = []
    error = 0.0
    for i, j, k in itertools.combinations(range(len(b)), 3):
        most = min(shared[i, j], shared[i, k], shared[j, k])
        if most > SMALL * single:
            triples.append((i, j, k))
        else:
            error += most
    roots = [np.linalg.cholesky(rho[np.ix_(of, of)] + 1e-14 * np.eye(3)) for of in triples]
    if any(root[2, 2] < PLANAR for root in roots):
        return math.nan, math.inf
    three = [_common_of_three(b[list(of)], root) for of, root in zip(triples, roots, strict=True)]
    known = dict(zip(triples, three, strict=True))
    for of in itertools.combinations(range(len(b)), 4):
        error += min(known.get((of[i], of[j], of[k]), 0.0) for i, j, k in itertools.combinations(range(4), 3))
    value = single - math.fsum(shared.values()) + math.fsum(three)
    return value, error / value + 1e-10


def _common_of_two(b: Float, rho: Float, pairs: Sequence[tuple[int, int]]) -> Float:
    """``P(x_i >= b_i, x_j >= b_j)`` of each pair, the farther plane first."""
    i, j = np.array(pairs).T
    r = rho[i, j][:, np.newaxis]
    offset, w = panels(np.linspace(0.0, 10.0, 13))
    x = b[i][:, np.newaxis] + offset
    root = np.sqrt(np.maximum(1.0 - r * r, 1e-30))
    inner = special.ndtr((r * x - b[j][:, np.newaxis]) / root)
    return np.asarray((np.exp(-0.5 * x * x - HALF_LOG_2PI) * inner) @ w)


def _common_of_three(b: Float, root: Float) -> float:
    """``P(root x >= b)`` in three dimensions, one after another; ``root`` is lower triangular."""
    offset, w = panels(np.linspace(0.0, 9.0, 7), 8)
    x = b[0] + offset
    low = np.maximum((b[1] - root[1, 0] * x) / root[1, 1], -REACH)
    y = low[:, np.newaxis] + offset
    far = (b[2] - root[2, 0] * x[:, np.newaxis] - root[2, 1] * y) / root[2, 2]
    inner = np.exp(-0.5 * y * y - HALF_LOG_2PI) * special.ndtr(-far)
    deep = low < -4.0
    if deep.any():  # nine units do not reach across the bulk from there
        y_deep, w_deep = panels(np.linspace(-9.0, 9.0, 19), 8)
        far = (b[2] - root[2, 0] * x[deep, np.newaxis] - root[2, 1] * y_deep) / root[2, 2]
        bulk = np.exp(-0.5 * y_deep**2 - HALF_LOG_2PI) * special.ndtr(-far) * (y_deep > low[deep, np.newaxis])
        along = inner @ w
        along[deep] = bulk @ w_deep
    else:
        along = inner @ w
    return float((np.exp(-0.5 * x * x - HALF_LOG_2PI) * along) @ w)


def outside_polygon(angles: Float, betas: Float) -> float:
    """``P(cos(a_k) x + sin(a_k) y >= beta_k for some k)`` of two standard normals.

    Parameters
    ----------
    angles, betas : (k,) float64
        Direction of each side and its distance from the origin, which is positive.

    Notes
    -----
    In polar coordinates, the integral of ``exp(-r^2 / 2) / (2 pi)`` over the angle, with ``r`` the distance of the
    nearest side on the ray.
    """
    corners = [*(angles + 0.5 * np.pi), *(angles - 0.5 * np.pi)]
    for i, j in itertools.combinations(range(len(angles)), 2):
        across = betas[i] * np.cos(angles[j]) - betas[j] * np.cos(angles[i])
        along = betas[i] * np.sin(angles[j]) - betas[j] * np.sin(angles[i])
        where = math.atan2(-across, along)  # where both sides are met at once
        corners += [where, where + np.pi]
    edges = np.unique(np.concatenate([np.mod(corners, 2.0 * np.pi), [0.0, 2.0 * np.pi], np.linspace(0.0, 6.28, 33)]))
    theta, w = panels(edges)
    toward = np.cos(theta[:, np.newaxis] - angles)
    with np.errstate(divide="ignore", over="ignore"):
        r = np.where(toward > 1e-12, betas / np.maximum(toward, 1e-300), np.inf).min(axis=1)
    return float(w @ np.exp(-0.5 * r * r)) / (2.0 * math.pi)
