"""A Gaussian process fitted to a few evaluations, and what it says of further points."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from raresim.numerics.arrays import Float
from raresim.surrogate.covariance import Fixed, Layout, covariance, variance, with_derivatives
from raresim.surrogate.warp import Warp

ITERATIONS = 60
"""Largest number of steps of the optimiser; a fit begins at the one before, so that few are needed."""

STEP = 0.01
"""Half the step of a difference of means."""

JITTER = 1e-10
"""Share of the mean variance that is added where rounding makes a covariance indefinite."""


@dataclass(frozen=True, eq=False)
class GaussianProcess:
    """The posterior of a Gaussian process.

    Parameters
    ----------
    layout : Layout
        What its parameters are.
    theta : (p,) float64
        Logs of the parameters.
    x : (n, d) float64
        Points of standard normal space.
    y : (n,) float64
        Warped values there.
    warp : Warp
        How values were warped.
    root : (n, n) float64
        Lower Cholesky factor of the covariance of ``y``.
    """

    layout: Layout
    theta: Float
    x: Float
    y: Float
    warp: Warp
    root: Float

    @property
    def noise(self) -> float:
        """Variance of what no length scale explains."""
        return self.layout.at(self.theta, "noise")

    @cached_property
    def waved(self) -> Float | None:
        """`Layout.waved` at its points."""
        return self.layout.waved(self.x)

    def whitened(self, z: Float, waved: Float | None = None) -> Float:
        """``root^-1 k(x, z)`` (n, m) for points ``z`` (m, d); ``waved`` is `Layout.waved` there, where it is known."""
        return _solved(self.root, covariance(self.layout, self.theta, self.x, z, self.waved, waved))

    @cached_property
    def whitened_values(self) -> Float:
        """``root^-1 y`` (n,)."""
        return _solved(self.root, self.y)

    def posterior(self, z: Float, waved: Float | None = None) -> tuple[Float, Float, Float]:
        """Mean and standard deviation (m,) of the warped value at each row of ``z`` (m, d), and `whitened` there."""
        waved = self.layout.waved(z) if waved is None else waved
        v = self.whitened(z, waved)
        spread = variance(self.layout, self.theta, z, waved) - np.einsum("ij,ij->j", v, v)
        return v.T @ self.whitened_values, np.sqrt(np.maximum(spread, JITTER)), v

    def predict(self, z: Float, waved: Float | None = None) -> tuple[Float, Float]:
        """Mean and standard deviation (m,) of the warped value at each row of ``z`` (m, d)."""
        mean, spread, _ = self.posterior(z, waved)
        return mean, spread

    def axes(self) -> Float:
        """Directions (d, d) in its columns by how much the mean changes along them at its points [2]_.

        References
        ----------
        .. [2] Constantine, *Active Subspaces*, SIAM, 2015.
        """
        from scipy import linalg

        known = linalg.cho_solve((self.root, True), self.y)
        n, d = self.x.shape
        steps = STEP * np.eye(d)
        ahead, behind = ((self.x[:, np.newaxis] + side * steps).reshape(-1, d) for side in (1.0, -1.0))
        change = covariance(self.layout, self.theta, ahead, self.x) - covariance(
            self.layout, self.theta, behind, self.x
        )
        slopes = (change @ known).reshape(n, d)
        return np.asarray(np.linalg.eigh(slopes.T @ slopes)[1][:, ::-1])

    def left_out(self) -> tuple[Float, Float]:
        """Mean and standard deviation (n,) at each of its points as the other points predict it [1]_, sec. 5.4.2.

        References
        ----------
        .. [1] Rasmussen & Williams, *Gaussian Processes for Machine Learning*, MIT Press, 2006.
        """
        from scipy import linalg

        inverse = linalg.cho_solve((self.root, True), np.eye(len(self.y)))
        alpha = linalg.cho_solve((self.root, True), self.y)
        spread = 1.0 / np.diagonal(inverse)
        return self.y - alpha * spread, np.sqrt(spread)


def fit(
    x: Float, y: Float, warp: Warp, before: Float | None = None, turn: Float | None = None
) -> tuple[GaussianProcess, float]:
    """The process with the most probable parameters, and the log of their posterior density, in nats.

    Parameters
    ----------
    x : (n, d) float64
        Points.
    y : (n,) float64
        Warped values.
    warp : Warp
        How they were warped.
    turn : (d, d) float64, optional
        The axes, as of `Layout`.
    before : (p,) float64, optional
        Where the search for parameters begins; at the centre of their prior by default.
    """
    from scipy import optimize

    layout = Layout(x.shape[1], turn)
    centre, scale = layout.prior()
    fixed = Fixed.of(layout, x)

    def objective(theta: Float) -> tuple[float, Float]:
        off = (theta - centre) / scale
        value, slope = _likelihood(layout, theta, fixed, y)
        return 0.5 * float(off @ off) - value, off / scale - slope

    best = optimize.minimize(
        objective,
        centre if before is None else before,
        jac=True,
        method="L-BFGS-B",
        bounds=layout.bounds(),
        options={"maxiter": ITERATIONS},
    )
    k, _ = with_derivatives(layout, best.x, fixed)
    return GaussianProcess(layout, best.x, x, y, warp, _root(k)), -float(best.fun)


def _likelihood(layout: Layout, theta: Float, fixed: Fixed, y: Float) -> tuple[float, Float]:
    """Log likelihood of ``y`` in nats, and its derivative by ``theta``."""
    from scipy import linalg

    k, summed = with_derivatives(layout, theta, fixed)
    root = _root(k)
    alpha = linalg.cho_solve((root, True), y, check_finite=False)
    inverse = linalg.cho_solve((root, True), np.eye(len(y)), overwrite_b=True, check_finite=False)
    value = -0.5 * float(y @ alpha) - float(np.log(np.diagonal(root)).sum()) - 0.5 * len(y) * math.log(2.0 * math.pi)
    outer = np.multiply.outer(alpha, alpha) - inverse
    return value, 0.5 * summed(outer)


def _root(k: Float) -> Float:
    """Lower Cholesky factor of ``k``, with as much added to its diagonal as rounding asks for."""
    from scipy import linalg

    jitter = 0.0
    while True:
        try:
            return linalg.cholesky(k + jitter * np.eye(len(k)), lower=True, check_finite=False)
        except linalg.LinAlgError:
            jitter = max(10.0 * jitter, JITTER * float(np.diagonal(k).mean()))


def _solved(root: Float, right: Float) -> Float:
    from scipy import linalg

    return linalg.solve_triangular(root, right, lower=True, check_finite=False)
