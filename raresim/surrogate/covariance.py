"""The covariance of a Gaussian process prior for a loss in standard normal space, with its derivatives."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Self

import numpy as np

from raresim.numerics.arrays import Float, Index
from raresim.numerics.jit import kernel

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
    def has_alone(self) -> bool:
        """Whether axes have effects of their own."""
        return self.dim >= ALONE_FROM

    def waved(self, x: Float) -> Float | None:
        """`waves` of its axes at ``x`` (n, d), which depend on no parameter; None where it has none."""
        return waves(self.turned(x)) if self.has_alone else None

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The name of each entry of the vector."""
        lengths = min(self.dim, ARD_UP_TO) if self.turn is not None or self.dim <= ARD_UP_TO else 1
        alone = ("alone", "alone_length") if self.has_alone else ()
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


def covariance(
    layout: Layout, theta: Float, x: Float, z: Float, x_waved: Float | None = None, z_waved: Float | None = None
) -> Float:
    """Prior covariance (n, m) of the values at ``x`` (n, d) and ``z`` (m, d), without noise.

    ``25 + c1 x.z + c2 (x.z)^2 + c3 |x|^2 |z|^2 + s2 Matern52 + (sa / d) sum_k Matern52_1(x_k, z_k)``: a quadratic
    function, one of the distance from the centre that needs a single number to be known, what they leave out, and
    effects of each axis alone, which a Matern part in many dimensions hardly sees.

    Parameters
    ----------
    layout, theta
        The prior, and logs of its parameters.
    x, z : (n, d) and (m, d) float64
        Points.
    x_waved, z_waved : (n, d k) and (m, d k) float64, optional
        `Layout.waved` there, where it is known.
    """
    inner = x @ z.T
    out: Float = CONSTANT + layout.at(theta, "linear") * inner + layout.at(theta, "quadratic") * inner**2
    out += layout.at(theta, "radial") * np.multiply.outer(_squares(x), _squares(z))
    length, x_along, z_along = layout.lengths(theta), layout.turned(x), layout.turned(z)
    out += layout.at(theta, "rough") * _matern(_distance(x_along / length, z_along / length))
    if layout.has_alone:
        x_waved = waves(x_along) if x_waved is None else x_waved
        z_waved = waves(z_along) if z_waved is None else z_waved
        wave_variances = layout.at(theta, "alone") / layout.dim * spectrum(layout.at(theta, "alone_length"))
        out += (x_waved * np.tile(wave_variances, layout.dim)) @ z_waved.T
    return out


def variance(layout: Layout, theta: Float, z: Float, waved: Float | None = None) -> Float:
    """Prior variance (m,) of the value at each row of ``z`` (m, d), without noise; ``waved`` as of `covariance`."""
    inner = _squares(z)
    out: Float = CONSTANT + layout.at(theta, "linear") * inner
    out += (layout.at(theta, "quadratic") + layout.at(theta, "radial")) * inner**2
    out += layout.at(theta, "rough")
    if layout.has_alone:
        waved = waves(layout.turned(z)) if waved is None else waved
        wave_variances = layout.at(theta, "alone") / layout.dim * spectrum(layout.at(theta, "alone_length"))
        out += waved**2 @ np.tile(wave_variances, layout.dim)
    return out


@dataclass(frozen=True, eq=False)
class Fixed:
    """What covariances of points with each other have that depends on no parameter.

    Parameters
    ----------
    inner, radial : (n, n) float64
        Inner products of the points, and products of their squared distances from the centre.
    along : (n, d) float64
        The points along the axes.
    waved : (n, d k) float64 or None
        `Layout.waved` there.
    """

    inner: Float
    radial: Float
    along: Float
    waved: Float | None

    @classmethod
    def of(cls, layout: Layout, x: Float) -> Self:
        """Of points ``x`` (n, d)."""
        square = _squares(x)
        return cls(x @ x.T, np.multiply.outer(square, square), layout.turned(x), layout.waved(x))


def with_derivatives(layout: Layout, theta: Float, fixed: Fixed) -> tuple[Float, Callable[[Float], Float]]:
    """Covariance (n, n) of the values at some points, with noise, and what its derivatives by ``theta`` sum to.

    Returns
    -------
    total : (n, n) float64
        The covariance.
    summed : callable
        Takes a symmetric matrix (n, n) to the sums (p,) of its products with the derivative by each entry of
        ``theta``: no derivative is ever held as a matrix of its own.
    """
    linear, quadratic = layout.at(theta, "linear") * fixed.inner, layout.at(theta, "quadratic") * fixed.inner**2
    radial = layout.at(theta, "radial") * fixed.radial
    scaled = fixed.along / layout.lengths(theta)
    r = _distance(scaled, scaled)
    falling = np.exp(-ROOT5 * r)
    rough = layout.at(theta, "rough") * ((1.0 + ROOT5 * r + 5.0 / 3.0 * r**2) * falling)
    total = CONSTANT + linear + quadratic + radial + rough
    noise, phi = layout.at(theta, "noise"), fixed.waved
    if phi is not None:
        scale, span = layout.at(theta, "alone") / layout.dim, layout.at(theta, "alone_length")
        total += (phi * np.tile(scale * spectrum(span), layout.dim)) @ phi.T

    def summed(outer: Float) -> Float:
        slope = outer * (layout.at(theta, "rough") * 5.0 / 3.0 * (1.0 + ROOT5 * r) * falling)
        by_axis = 2.0 * (slope.sum(axis=1) @ scaled**2 - np.einsum("ij,ij->j", scaled, slope @ scaled))
        by_length = np.bincount(layout.length_of, by_axis)
        found = [np.vdot(outer, part) for part in (linear, quadratic, radial, rough)]
        if phi is None:
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
    angle = np.ravel((np.clip(x, -HALF_WIDTH, HALF_WIDTH) + HALF_WIDTH) * (np.pi / (2.0 * HALF_WIDTH)))
    found = np.empty((len(angle), FREQUENCIES))
    sines_of_multiples(np.sin(angle) / math.sqrt(HALF_WIDTH), 2.0 * np.cos(angle), found)
    return found.reshape(len(x), -1)


@kernel
def sines_of_multiples(sine: Float, twice_cosine: Float, out: Float) -> None:
    """Sines of the first ``k`` multiples of angles (n,) into ``out`` (n, k), each from the two before it."""
    for i in range(out.shape[0]):
        before, wave, twice = 0.0, sine[i], twice_cosine[i]
        for k in range(out.shape[1]):
            out[i, k] = wave
            before, wave = wave, twice * wave - before


def spectrum(length: float) -> Float:
    """Variances (k,) of the waves: the spectral density of a Matern-5/2 process in one dimension."""
    return np.asarray(16.0 / 3.0 * (ROOT5 / length) ** 5 / (5.0 / length**2 + _frequencies() ** 2) ** 3)


def spectrum_slope(length: float) -> Float:
    """Derivative (k,) of `spectrum` by the log of ``length``."""
    stretch = 5.0 / length**2
    return spectrum(length) * (-5.0 + 6.0 * stretch / (stretch + _frequencies() ** 2))


@cache
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
