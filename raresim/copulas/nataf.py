"""The correlation of the normal scores from Pearson's correlation in physical units (Nataf's transformation)."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raresim.arguments.checks import Matrix
from raresim.data import correlation as matrices
from raresim.errors import FieldError
from raresim.marginals.base import Marginal
from raresim.numerics import normal_scores
from raresim.numerics.arrays import Float, frozen
from raresim.numerics.jit import kernel

HALF_WIDTH = 37.0
NODES = 29_601
"""Half-width and nodes of the trapezoidal rule, which converges geometrically for a smooth map and has an error of some
1e-7 for a map with kinks."""

TERMS = 350
"""Terms of the series; Hermite functions of higher degree reach beyond the nodes."""

DISCRETE_TERMS = 20_000
OPERATIONS = 200_000_000
"""Terms for a discrete law; a law of very many values has fewer, so that values times terms stay below `OPERATIONS`."""

NEGLIGIBLE = 1e-10
"""Size, in standard deviations, below which the coefficients at the end of a series are left out."""

STEP_PAIRS = 20_000
"""Up to so many pairs of jumps, the covariance of two discrete laws is another integral, which is exact near 1 too."""

WORST = 1e-5
"""Largest remainder, and largest variance missed by quadrature, that is accepted."""


def normal_correlation(marginals: Sequence[Marginal], pearson: Matrix) -> Float:
    r"""Correlation of the normal scores that gives the marginals the wanted correlations.

    Parameters
    ----------
    marginals : sequence of Marginal
        Laws of the ``d`` factors, of finite variance.
    pearson : (d, d)
        Correlation matrix in physical units.

    Returns
    -------
    (d, d) float64, read-only
        Symmetric with unit diagonal. It may fail to be positive definite even where ``pearson`` is: the copula that
        takes it says so, and may repair it.

    Raises
    ------
    FieldError
        When the sizes disagree, a variance is infinite, or no normal correlation gives the wanted one.

    Notes
    -----
    With :math:`X_i = T_i(Z_i)` and :math:`c_{ik} = E\,T_i(Z)\,he_k(Z)`, where the Hermite polynomials are orthonormal,

    .. math:: \mathrm{Cov}(X_i, X_j) = \sum_{k \ge 1} c_{ik} c_{jk} \rho^k

    (Mehler's formula; Liu & Der Kiureghian 1986 tabulate its inverse). By Parseval's identity the terms after the
    ``K``-th are at most :math:`|\rho|^{K+1} (r_i r_j)^{1/2}`, where :math:`r` is the variance that the first ``K``
    coefficients leave. At :math:`\rho = \pm 1` the covariance is a single integral, which gives the attainable range
    and the remainder of the series. The covariance rises with :math:`\rho`, so the root is bracketed.
    """
    wanted = matrices.entries("correlation", pearson)
    d = len(marginals)
    if wanted.shape[0] != d:
        raise FieldError("correlation", f"must be {d} x {d}, one row per marginal, got {wanted.shape[0]} rows")
    expansions = [_Expansion.of(law, f"marginals[{i}]") for i, law in enumerate(marginals)]
    result = np.eye(d)
    for i in range(d):
        for j in range(i):
            result[i, j] = result[j, i] = _pair(expansions, i, j, float(wanted[i, j]))
    return frozen(result)


@dataclass(frozen=True, eq=False)
class _Expansion:
    """The map of one law from a standard normal, in orthonormal Hermite polynomials.

    Parameters
    ----------
    coefficients : (K,) float64
        Coefficients of the polynomials of degree 1 to K.
    variance : float
        Variance of the law.
    remainder : float
        Variance that the coefficients leave.
    steps : tuple or None
        Where a discrete law jumps and how far; None for a continuous law.
    values : (NODES,) float64
        Values of the map at the nodes, less the mean.
    """

    coefficients: Float
    variance: float
    remainder: float
    steps: tuple[Float, Float] | None
    values: Float

    @classmethod
    def of(cls, law: Marginal, name: str) -> _Expansion:
        mean, variance, *_ = law.moments()
        if not (math.isfinite(mean) and math.isfinite(variance)):
            raise FieldError(name, f"must have a finite variance for a Pearson correlation, got {law.describe()}")
        if variance <= 0:
            raise FieldError(name, f"must not be constant for a Pearson correlation, got {law.describe()}")
        u = np.linspace(-HALF_WIDTH, HALF_WIDTH, NODES)
        values = np.empty(NODES)
        law.from_normal(u, values)
        values -= mean
        steps = _steps(law)
        if steps is not None:
            coefficients = _of_steps(*steps)
        else:
            weights = _weights(u)
            missed = abs(float(weights @ values**2) / variance - 1.0)
            if missed > WORST:
                raise FieldError(
                    name,
                    f"has too heavy a tail, or too many jumps, for its correlation to be computed: quadrature misses "
                    f"{missed:.2g} of the variance of {law.describe()}; state the correlation of the normal scores",
                )
            coefficients = _of_map(u, values, variance)
        remainder = max(variance - float(coefficients @ coefficients), 0.0)
        return cls(coefficients, variance, remainder, steps, values)


def _pair(expansions: Sequence[_Expansion], i: int, j: int, wanted: float) -> float:
    from scipy import optimize

    one, other = expansions[i], expansions[j]
    scale = math.sqrt(one.variance * other.variance)
    terms = min(one.coefficients.size, other.coefficients.size)
    series = one.coefficients[:terms] * other.coefficients[:terms] / scale
    left = [max(e.variance - float(e.coefficients[:terms] @ e.coefficients[:terms]), 0.0) for e in (one, other)]
    degrees = np.arange(1, terms + 1)
    pairs = one.steps[0].size * other.steps[0].size if one.steps and other.steps else math.inf
    least, most = (_extreme(one, other, side) / scale for side in (-1.0, 1.0))
    if not least - 1e-9 <= wanted <= most + 1e-9:
        raise FieldError(
            "correlation",
            f"at [{i}][{j}] must be from {least:.6g} to {most:.6g} for these two marginals, got {wanted:.15g}",
        )
    ends = {side: bound - float(series @ side**degrees) for side, bound in ((-1.0, least), (1.0, most))}

    def covariance(rho: float) -> float:
        if pairs <= STEP_PAIRS and one.steps and other.steps:
            return _covariance_of_steps(*one.steps, *other.steps, rho) / scale - wanted
        closing = ends[math.copysign(1.0, rho)] * abs(rho) ** (terms + 1)
        return float(series @ rho**degrees) + closing - wanted

    if wanted <= least or wanted >= most or covariance(-1.0) >= 0.0 or covariance(1.0) <= 0.0:
        return -1.0 if wanted < 0.5 * (least + most) else 1.0
    rho = float(optimize.brentq(covariance, -1.0, 1.0, xtol=1e-14, rtol=1e-14))
    error = math.sqrt(left[0] * left[1]) / scale * abs(rho) ** (terms + 1)
    if error > WORST and pairs > STEP_PAIRS:
        raise FieldError(
            "correlation",
            f"at [{i}][{j}], {wanted:g}, cannot be matched to better than {error:.2g}; "
            "state the correlation of the normal scores",
        )
    return rho


def _extreme(one: _Expansion, other: _Expansion, side: float) -> float:
    """Covariance of the two laws where their normal scores are equal (``side`` 1) or opposite (-1)."""
    if one.steps is not None or other.steps is not None:
        return _extreme_of_steps(one, other, side)
    u = np.linspace(-HALF_WIDTH, HALF_WIDTH, NODES)
    return float(_weights(u) @ (one.values * (other.values if side > 0 else other.values[::-1])))


def _extreme_of_steps(one: _Expansion, other: _Expansion, side: float) -> float:
    """`_extreme` where a law is discrete: ``E g(Z) T(Z)`` is a sum over its jumps of a partial expectation."""
    from scipy import special
    from scipy.interpolate import CubicSpline

    stepped, smooth = (one, other) if one.steps is not None else (other, one)
    thresholds, jumps = stepped.steps or (np.empty(0), np.empty(0))
    if (second := smooth.steps) is not None:
        # Cov(1{Z > a}, 1{Z > b}) = min(Q(a), Q(b)) - Q(a) Q(b), or with -Z in the second.
        a, b = thresholds[:, None], second[0][None, :]
        qa, qb = special.ndtr(-a), special.ndtr(-b)
        if side > 0:
            joint = special.ndtr(-np.maximum(a, b)) - qa * qb
        else:
            joint = np.maximum(special.ndtr(-b) - special.ndtr(a), 0.0) - qa * qb
        return float(jumps @ joint @ second[1])
    u = np.linspace(-HALF_WIDTH, HALF_WIDTH, NODES)
    values = smooth.values if side > 0 else smooth.values[::-1]
    # E values 1{Z > a} is a running integral of values times the density, read between the nodes.
    density = values * np.exp(-0.5 * u * u) / math.sqrt(2.0 * math.pi)
    running = CubicSpline(u, density).antiderivative()
    above = float(running(u[-1])) - running(thresholds)
    return float(jumps @ above)


def _covariance_of_steps(a: Float, jump_a: Float, b: Float, jump_b: Float, rho: float) -> float:
    """Covariance of two discrete laws, from the derivative of the bivariate normal probability in ``rho = sin(t)``.

    Drezner & Wesolowsky (1990), eq. (2): ``exp(-(a^2 - 2 a b sin t + b^2) / (2 cos^2 t)) / 2 pi`` for each two jumps.
    """
    end = math.asin(rho)
    total = 0.0
    for t, weight in zip(*_legendre(), strict=True):
        sine = math.sin(end * t)
        far = (a[:, None] - b) ** 2 / (2.0 * (1.0 - sine) * (1.0 + sine)) + a[:, None] * b / (1.0 + sine)
        total += weight * float(jump_a @ np.exp(-far) @ jump_b)
    return end * total / (2.0 * math.pi)


@functools.cache
def _legendre() -> tuple[Float, Float]:
    """Gauss's rule on [0, 1], with finer steps towards 1, where the two normals become one."""
    nodes, weights = np.polynomial.legendre.leggauss(24)
    edges = 1.0 - np.append(0.5 ** np.arange(12), 0.0)
    width = np.diff(edges)[:, None]
    return (edges[:-1, None] + 0.5 * width * (nodes + 1.0)).ravel(), (0.5 * width * weights).ravel()


def _steps(law: Marginal) -> tuple[Float, Float] | None:
    """The standard normals at which a discrete law jumps, and how far; None where it does not list its values."""
    values = getattr(law, "atoms", None) if law.discrete else None
    if values is None:
        return None
    thresholds = np.empty(values.size - 1)
    normal_scores.from_log_probabilities(law.logcdf(values[:-1]), law.logsf(values[:-1]), thresholds)
    inside = np.abs(thresholds) < HALF_WIDTH
    return thresholds[inside], np.diff(values)[inside]


def _weights(u: Float) -> Float:
    weights: Float = np.exp(-0.5 * u * u) * ((u[1] - u[0]) / math.sqrt(2.0 * math.pi))
    return weights


def _of_map(u: Float, values: Float, variance: float) -> Float:
    """The first `TERMS` coefficients of a map given at nodes, without negligible ones at the end."""
    found = np.empty(TERMS + 1)
    hermite_sums(u, values * ((u[1] - u[0]) / math.sqrt(2.0 * math.pi)), found)
    found = found[1:]
    kept = np.flatnonzero(np.abs(found) > NEGLIGIBLE * math.sqrt(variance))
    return found[: kept[-1] + 1]


def _of_steps(thresholds: Float, jumps: Float) -> Float:
    """Coefficients of a map with jumps: ``E 1{Z > a} he_k(Z) = phi(a) he_{k-1}(a) / k^(1/2)``."""
    terms = min(DISCRETE_TERMS, max(TERMS, OPERATIONS // thresholds.size))
    found = np.empty(terms)
    hermite_sums(thresholds, jumps / math.sqrt(2.0 * math.pi), found)
    return np.asarray(found / np.sqrt(np.arange(1, terms + 1)))


@kernel
def hermite_sums(u: Float, weights: Float, out: Float) -> None:
    """``out[k] = sum_i weights[i] he_k(u[i]) exp(-u[i]^2 / 2)``.

    Made by the recurrence of the Hermite functions ``he_k(u) exp(-u^2 / 4)``, which stay of size one where the
    polynomials grow.
    """
    n = u.shape[0]
    before = np.zeros(n)
    current = np.exp(-0.25 * u * u)
    scaled = weights * current
    for k in range(out.shape[0]):
        total = 0.0
        above, below = 1.0 / math.sqrt(k + 1.0), math.sqrt(k / (k + 1.0))
        for i in range(n):
            total += scaled[i] * current[i]
            following = u[i] * current[i] * above - below * before[i]
            before[i] = current[i]
            current[i] = following
        out[k] = total
