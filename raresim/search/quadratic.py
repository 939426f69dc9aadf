"""Quadratic approximations of losses near the threshold, and the normal laws to which they tilt the target."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raresim.distributions.low_rank_normal import LowRankNormal
from raresim.numerics.arrays import Float
from raresim.search.ridge import ridge

FULL_QUADRATIC = 25
"""Largest number of coordinates for which the terms of a quadratic are written out."""

ROWS_PER_TERM = 1.3
"""Rows that a quadratic needs per term."""

FEWER_ROWS = 0.7
"""The same above `FULL_QUADRATIC` coordinates, where a small number of steps keeps the fit from following noise."""

LSQR_STEPS = 20

LEAST_PRECISION, MOST_TILT = 1e-6, 1e12
"""Smallest precision of a tilt by a quadratic in any direction, and largest tilt that is tried."""

INFEASIBLE = 1e12
"""Replaces a log mean that is infinite."""

BENT = 1e-3
"""Precisions that differ from one by less than this count as one."""

MOST_ROWS = 4000


@dataclass(frozen=True, eq=False)
class Quadratic:
    """``constant + u . slope + u' bend u`` as a model of the margin ``loss - goal``: positive if it expects the event.

    It only shapes a proposal; every draw of the estimate is evaluated with the loss itself.

    Parameters
    ----------
    constant : float
        Its value at the origin.
    slope : (d,) float64
        Its linear terms.
    bend : (d, d) float64
        Its quadratic terms, symmetric.
    """

    constant: float
    slope: Float
    bend: Float

    def __call__(self, u: Float) -> Float:
        """Its value (n,) at the rows of ``u`` (n, d)."""
        value: Float = self.constant + u @ self.slope + ((u @ self.bend) * u).sum(axis=1)
        return value

    @property
    def spread(self) -> float:
        """Its standard deviation under the standard normal."""
        return math.sqrt(float(self.slope @ self.slope) + 2.0 * float(np.square(self.bend).sum()))

    def tilted(self) -> LowRankNormal | None:
        """The standard normal tilted by it, ``phi(u) exp(theta g(u) - psi(theta))``; None if there is no such tilt.

        Notes
        -----
        A tilt by a quadratic is normal, with precision ``I - 2 theta bend`` and mean ``theta precision^-1 slope``. With
        the ``theta`` for which the quadratic has mean zero, a draw at which it is not negative has a weight of at most
        ``exp(psi(theta))``, the Chernoff bound of its probability: [1]_ section 4. There is no tilt if the mean of the
        quadratic under the target is not negative, if no tilt brings it to zero, or if the quadratic does not bend.

        References
        ----------
        .. [1] Glasserman, Heidelberger & Shahabuddin, *Variance reduction techniques for estimating Value-at-Risk*,
           Management Science 46, 2000.
        """
        values, vectors = np.linalg.eigh(self.bend)
        along = np.square(vectors.T @ self.slope)
        most = (1.0 - LEAST_PRECISION) / (2.0 * values[-1]) if values[-1] > 0.0 else math.inf

        def mean(theta: float) -> float:
            precision = 1.0 - 2.0 * theta * values
            rise = along * theta * (1.0 + precision) / np.square(precision) / 2.0 + values / precision
            return self.constant + float(rise.sum())

        if mean(0.0) >= 0.0:
            return None
        if not math.isfinite(most):
            most = 1.0 / max(float(np.abs(values).max()), math.sqrt(float(along.sum())), 1e-300)
            while mean(most) < 0.0 and most < MOST_TILT:
                most *= 2.0
        if mean(most) < 0.0:
            return None
        from scipy.optimize import brentq

        theta = brentq(mean, 0.0, most)
        return _normal(1.0 - 2.0 * theta * values, vectors, theta * (vectors.T @ self.slope))


def tilted_together(quadratics: Sequence[Quadratic]) -> LowRankNormal | None:
    """The standard normal tilted so that no quadratic has a negative mean; None if there is no such tilt.

    Notes
    -----
    It is the tilt ``phi(u) exp(theta . g(u) - psi(theta))`` with ``theta >= 0`` and the smallest ``psi``: where no
    quadratic is negative, a draw has a weight of at most ``exp(psi)``. The tilt is normal, with precision
    ``I - 2 sum_k theta_k bend_k``, and ``psi`` is convex.
    """
    if len(quadratics) == 1:
        return quadratics[0].tilted()
    from scipy.optimize import minimize

    scale = np.array([1.0 / max(g.spread, 1e-300) for g in quadratics])
    constant = scale * np.array([g.constant for g in quadratics])
    slopes = np.stack([s * g.slope for s, g in zip(scale, quadratics, strict=True)])
    bends = np.stack([s * g.bend for s, g in zip(scale, quadratics, strict=True)])
    eye = np.eye(slopes.shape[1])

    def log_mean(theta: Float) -> tuple[float, Float]:
        """``psi`` and its gradient: the means of the quadratics under the tilt."""
        values, vectors = np.linalg.eigh(eye - 2.0 * np.tensordot(theta, bends, 1))
        if values[0] < LEAST_PRECISION:
            return INFEASIBLE, np.zeros_like(theta)
        slope = theta @ slopes
        mean = vectors @ ((vectors.T @ slope) / values)
        covariance = (vectors / values) @ vectors.T
        psi = float(theta @ constant + 0.5 * slope @ mean - 0.5 * np.log(values).sum())
        second = covariance + np.outer(mean, mean)
        return psi, constant + slopes @ mean + np.tensordot(bends, second, 2)

    limits = [(0.0, None)] * len(quadratics)
    found = minimize(log_mean, np.zeros(len(quadratics)), jac=True, method="L-BFGS-B", bounds=limits)
    theta = found.x
    precision, vectors = np.linalg.eigh(eye - 2.0 * np.tensordot(theta, bends, 1))
    return None if precision[0] < LEAST_PRECISION else _normal(precision, vectors, vectors.T @ (theta @ slopes))


def _normal(precision: Float, vectors: Float, slope: Float) -> LowRankNormal | None:
    """The normal law with this ``precision`` (d,) along ``vectors`` (d, d), and the mean ``slope / precision`` there.

    None if it has the precision of the target in all directions.
    """
    bent = np.abs(precision - 1.0) > BENT
    if not bent.any():
        return None
    return LowRankNormal(
        mean=vectors @ (slope / precision), directions=vectors[:, bent], variances=1.0 / precision[bent]
    )


def fit_quadratic(u: Float, margin: Float) -> Quadratic | None:
    """Fit a quadratic to margins (n,) at draws (n, d); None if these are too few, or all margins equal.

    The margins are squeezed by ``asinh`` at their median size, which keeps the zero and tames orders of magnitude. Up
    to `FULL_QUADRATIC` coordinates `ridge` chooses the penalty; above that the few steps of the solver act as one.
    """
    finite = np.isfinite(margin)
    u, margin = u[finite][:MOST_ROWS], margin[finite][:MOST_ROWS]
    n, d = u.shape
    mixed = n >= ROWS_PER_TERM * (d + 1) * (d + 2) / 2
    if d > FULL_QUADRATIC:
        mixed = n >= FEWER_ROWS * (d + 1) * (d + 2) / 2
    if not mixed and n < ROWS_PER_TERM * (2 * d + 1):
        return None
    size = float(np.median(np.abs(margin)))
    if size == 0.0:
        return None
    y = np.arcsinh(margin / size)
    if mixed and d > FULL_QUADRATIC:
        return _fitted_by_steps(u, y)
    terms = _terms(u, mixed)
    centre, scale = terms.mean(axis=0), np.maximum(terms.std(axis=0), 1e-12)
    slope = ridge((terms - centre) / scale, y - y.mean()) / scale
    return _quadratic(float(y.mean() - centre @ slope), slope, d, mixed)


def _terms(u: Float, mixed: bool) -> Float:
    """Linear and quadratic terms of each row."""
    if not mixed:
        return np.hstack([u, np.square(u)])
    i, j = np.triu_indices(u.shape[1])
    return np.hstack([u, u[:, i] * u[:, j]])


def _quadratic(constant: float, terms: Float, dim: int, mixed: bool = True) -> Quadratic:
    """The quadratic with these coefficients of `_terms`."""
    if not mixed:
        return Quadratic(constant, terms[:dim], np.diag(terms[dim:]))
    bend = np.zeros((dim, dim))
    bend[np.triu_indices(dim)] = terms[dim:]
    return Quadratic(constant, terms[:dim], (bend + bend.T) / 2.0)


def _fitted_by_steps(u: Float, y: Float) -> Quadratic:
    """A quadratic with mixed terms by a few steps of LSQR, which never forms the matrix of its terms [1]_.

    References
    ----------
    .. [1] Paige & Saunders, *LSQR: an algorithm for sparse linear equations and sparse least squares*,
       ACM Trans. Math. Softw. 8, 1982.
    """
    from scipy.sparse.linalg import LinearOperator, lsqr

    n, d = u.shape
    i, j = np.triu_indices(d)
    product, square = u.T @ u / n, np.square(u)
    mean = np.concatenate([u.mean(axis=0), product[i, j]])
    variance = np.concatenate([u.var(axis=0), (square.T @ square / n - product**2)[i, j]])
    scale = np.sqrt(np.maximum(variance, 1e-24))

    def values(terms: Float) -> Float:
        seen: Float = _quadratic(0.0, terms / scale, d)(u) - mean @ (terms / scale)
        return seen

    def gradient(residual: Float) -> Float:
        bend = u.T @ (residual[:, None] * u)
        of_terms: Float = (np.concatenate([u.T @ residual, bend[i, j]]) - mean * residual.sum()) / scale
        return of_terms

    terms = LinearOperator((n, mean.size), matvec=values, rmatvec=gradient, dtype=np.float64)
    slope = lsqr(terms, y - y.mean(), iter_lim=LSQR_STEPS)[0] / scale
    return _quadratic(float(y.mean() - mean @ slope), slope, d)
