"""The covariance of a Gaussian process prior for a loss in standard normal space, with its derivatives."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from raresim.numerics.arrays import Float, Index

CONSTANT = 25.0
"""Variance of the constant, in squared units of the standardised values."""

HALF_WIDTH, FREQUENCIES = 9.0, 12
"""Half the width of the interval on which each axis has effects of its own, and their number of sine waves."""

ALONE_FROM, ARD_UP_TO = 3, 15
"""Dimensions from which axes have effects of their own, and up to which each has a length scale of its own.

Beyond, axes that were turned to where most changes have them, and the last of them is that of all that follow.
"""

ROOT5 = math.sqrt(5.0)

LOCATION = {
    "linear": 0.0,
    "quadratic": -5.0,
    "radial": -6.0,
    "rough": -1.0,
    "length": math.log(4.0),
    "alone": -1.0,
    "alone_length": 1.0,
    "noise": math.log(1e-6),
}
"""Centre of the normal prior of the log of each parameter."""

SCALE = {
    "linear": 2.0,
    "quadratic": 2.5,
    "radial": 2.5,
    "rough": 2.0,
    "length": 1.0,
    "alone": 2.0,
    "alone_length": 0.7,
    "noise": 3.0,
}
"""Standard deviation of that prior."""

LOWEST, HIGHEST = math.log(1e-8), math.log(1e-2)
"""Bounds of the log of the noise variance, which stands for what no length scale explains."""


SMALLEST, LARGEST = -14.0, 7.0
"""Bounds of the logs of the others."""


@dataclass(frozen=True, eq=False)
class Layout:
    """Which parameters a prior in ``dim`` dimensions has: their logs lie in one vector.

    Parameters
    ----------
    dim : int
        Coordinates of a point.
    turn : (d, d) float64, optional
        Orthogonal matrix whose columns are the axes with length scales and effects of their own; the coordinates of a
        point by default.
    """

    dim: int
    turn: Float | None = None

    def turned(self, x: Float) -> Float:
        """Points (n, d) along the axes."""
        return x if self.turn is None else x @ self.turn

    @property
    def names(self) -> tuple[str, ...]:
        """The name of each entry of the vector."""
        lengths = min(self.dim, ARD_UP_TO) if self.turn is not None or self.dim <= ARD_UP_TO else 1
        alone = ("alone", "alone_length") if self.dim >= ALONE_FROM else ()
        return ("linear", "quadratic", "radial", "rough", *("length",) * lengths, *alone, "noise")

    def prior(self) -> tuple[Float, Float]:
        """Centre and standard deviation of the prior of each entry."""
        return np.array([LOCATION[name] for name in self.names]), np.array([SCALE[name] for name in self.names])

    def bounds(self) -> list[tuple[float, float]]:
        """Where each entry may lie."""
        return [(LOWEST, HIGHEST) if name == "noise" else (SMALLEST, LARGEST) for name in self.names]

    def at(self, theta: Float, name: str) -> float:
        """The parameter ``name``, not its log."""
        return math.exp(theta[self.names.index(name)])

    @property
    def length_of(self) -> Index:
        """Which length scale each axis (d,) has."""
        return np.minimum(np.arange(self.dim), self.names.count("length") - 1)

    def lengths(self, theta: Float) -> Float:
        """Length scale of each axis (d,)."""
        own = np.exp(theta[[k for k, name in enumerate(self.names) if name == "length"]])
        return own[self.length_of]


def covariance(layout: Layout, theta: Float, x: Float, z: Float) -> Float:
    """Prior covariance (n, m) of the values at ``x`` (n, d) and ``z`` (m, d), without noise.

    ``25 + c1 x.z + c2 (x.z)^2 + c3 |x|^2 |z|^2 + s2 Matern52 + (sa / d) sum_k Matern52_1(x_k, z_k)``: a quadratic
    function, one of the distance from the centre that needs a single number to be known, what they leave out, and
    effects of each axis alone, which a Matern part in many dimensions hardly sees.
    """
    inner = x @ z.T
    out: Float = CONSTANT + layout.at(theta, "linear") * inner + layout.at(theta, "quadratic") * inner**2
    out += layout.at(theta, "radial") * np.multiply.outer(_squares(x), _squares(z))
    length, x, z = layout.lengths(theta), layout.turned(x), layout.turned(z)
    out += layout.at(theta, "rough") * _matern(_distance(x / length, z / length))
    if layout.dim >= ALONE_FROM:
        wave_variances = layout.at(theta, "alone") / layout.dim * spectrum(layout.at(theta, "alone_length"))
        out += (waves(x) * np.tile(wave_variances, layout.dim)) @ waves(z).T
    return out


def variance(layout: Layout, theta: Float, z: Float) -> Float:
    """Prior variance (m,) of the value at each row of ``z`` (m, d), without noise."""
    inner = _squares(z)
    out: Float = CONSTANT + layout.at(theta, "linear") * inner
    out += (layout.at(theta, "quadratic") + layout.at(theta, "radial")) * inner**2
    out += layout.at(theta, "rough")
    if layout.dim >= ALONE_FROM:
        wave_variances = layout.at(theta, "alone") / layout.dim * spectrum(layout.at(theta, "alone_length"))
        out += waves(layout.turned(z)) ** 2 @ np.tile(wave_variances, layout.dim)
    return out


def with_derivatives(layout: Layout, theta: Float, x: Float) -> tuple[Float, Callable[[Float], Float]]:
    """Covariance (n, n) of the values at ``x`` (n, d), with noise, and what its derivatives by ``theta`` sum to.

    Returns
    -------
    total : (n, n) float64
        The covariance.
    summed : callable
        Takes a symmetric matrix (n, n) to the sums (p,) of its products with the derivative by each entry of
        ``theta``: no derivative is ever held as a matrix of its own.
    """
    inner, square = x @ x.T, _squares(x)
    linear, quadratic = layout.at(theta, "linear") * inner, layout.at(theta, "quadratic") * inner**2
    radial = layout.at(theta, "radial") * np.multiply.outer(square, square)
    along = layout.turned(x)
    scaled = along / layout.lengths(theta)
    r = _distance(scaled, scaled)
    rough = layout.at(theta, "rough") * _matern(r)
    total = CONSTANT + linear + quadratic + radial + rough
    noise = layout.at(theta, "noise")
    has_alone = layout.dim >= ALONE_FROM
    if has_alone:
        scale, span = layout.at(theta, "alone") / layout.dim, layout.at(theta, "alone_length")
        phi = waves(along)
        total += (phi * np.tile(scale * spectrum(span), layout.dim)) @ phi.T

    def summed(outer: Float) -> Float:
        slope = outer * (layout.at(theta, "rough") * 5.0 / 3.0 * (1.0 + ROOT5 * r) * np.exp(-ROOT5 * r))
        by_axis = 2.0 * (slope.sum(axis=1) @ scaled**2 - np.einsum("ij,ij->j", scaled, slope @ scaled))
        by_length = np.bincount(layout.length_of, by_axis)
        found = [np.vdot(outer, part) for part in (linear, quadratic, radial, rough)]
        if not has_alone:
            return np.array([*found, *by_length, noise * np.trace(outer)])
        waved = np.einsum("ij,ij->j", phi, outer @ phi).reshape(layout.dim, -1).sum(axis=0)
        alone = [scale * (waved @ spectrum(span)), scale * (waved @ spectrum_slope(span))]
        return np.array([*found, *by_length, *alone, noise * np.trace(outer)])

    total[np.diag_indices_from(total)] += noise
    return total, summed


def waves(x: Float) -> Float:
    """The sine waves (n, d k) of each axis at ``x`` (n, d): eigenfunctions of the Laplacian on an interval [1]_.

    References
    ----------
    .. [1] Solin & Sarkka, *Hilbert space methods for reduced-rank Gaussian process regression*, Stat. Comput. 30, 2020.
    """
    angle = (np.clip(x, -HALF_WIDTH, HALF_WIDTH) + HALF_WIDTH) * (np.pi / (2.0 * HALF_WIDTH))
    found = np.empty((*x.shape, FREQUENCIES))
    before, wave, twice = np.zeros_like(angle), np.sin(angle) / math.sqrt(HALF_WIDTH), 2.0 * np.cos(angle)
    for k in range(FREQUENCIES):
        found[:, :, k] = wave
        before, wave = wave, twice * wave - before
    return found.reshape(len(x), -1)


def spectrum(length: float) -> Float:
    """Variances (k,) of the waves: the spectral density of a Matern-5/2 process in one dimension."""
    return np.asarray(16.0 / 3.0 * (ROOT5 / length) ** 5 / (5.0 / length**2 + _frequencies() ** 2) ** 3)


def spectrum_slope(length: float) -> Float:
    """Derivative (k,) of `spectrum` by the log of ``length``."""
    stretch = 5.0 / length**2
    return spectrum(length) * (-5.0 + 6.0 * stretch / (stretch + _frequencies() ** 2))


def _frequencies() -> Float:
    return np.asarray(np.pi * np.arange(1, FREQUENCIES + 1) / (2.0 * HALF_WIDTH))


def _squares(x: Float) -> Float:
    """Squared distance (n,) of each row from the origin."""
    return np.asarray(np.einsum("ij,ij->i", x, x))


def _distance(x: Float, z: Float) -> Float:
    """Distances (n, m) between rows."""
    square = _squares(x)[:, np.newaxis] + _squares(z) - 2.0 * (x @ z.T)
    return np.asarray(np.sqrt(np.maximum(square, 0.0)))


def _matern(r: Float) -> Float:
    """Matern-5/2 correlation at distances ``r``."""
    return np.asarray((1.0 + ROOT5 * r + 5.0 / 3.0 * r**2) * np.exp(-ROOT5 * r))
