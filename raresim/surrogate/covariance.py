"""The covariance of a Gaussian process prior for a loss in standard normal space, with its derivatives."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from raresim.numerics.arrays import Float

CONSTANT = 25.0
"""Variance of the constant, in squared units of the standardised values."""

HALF_WIDTH, FREQUENCIES = 9.0, 12
"""Half the width of the interval on which each axis has effects of its own, and their number of sine waves."""

ALONE_FROM, ARD_UP_TO = 3, 15
"""Dimensions from which axes have effects of their own, and up to which each has a length scale of its own."""

ROOT5 = math.sqrt(5.0)

LOCATION = {
    "linear": 0.0,
    "quadratic": -3.0,
    "rough": -1.0,
    "length": math.log(4.0),
    "alone": -1.0,
    "alone_length": 1.0,
    "noise": math.log(1e-6),
}
"""Centre of the normal prior of the log of each parameter."""

SCALE = {
    "linear": 2.0,
    "quadratic": 2.0,
    "rough": 2.0,
    "length": 1.0,
    "alone": 2.0,
    "alone_length": 0.7,
    "noise": 3.0,
}
"""Standard deviation of that prior."""

LOWEST, HIGHEST = math.log(1e-8), math.log(1e-2)
"""Bounds of the log of the noise variance, which stands for what no length scale explains."""


@dataclass(frozen=True)
class Layout:
    """Which parameters a prior in ``dim`` dimensions has: their logs lie in one vector.

    Parameters
    ----------
    dim : int
        Coordinates of a point.
    """

    dim: int

    @property
    def names(self) -> tuple[str, ...]:
        """The name of each entry of the vector."""
        lengths = self.dim if self.dim <= ARD_UP_TO else 1
        alone = ("alone", "alone_length") if self.dim >= ALONE_FROM else ()
        return ("linear", "quadratic", "rough", *("length",) * lengths, *alone, "noise")

    def prior(self) -> tuple[Float, Float]:
        """Centre and standard deviation of the prior of each entry."""
        return np.array([LOCATION[name] for name in self.names]), np.array([SCALE[name] for name in self.names])

    def bounds(self) -> list[tuple[float, float]]:
        """Where each entry may lie."""
        return [(LOWEST, HIGHEST) if name == "noise" else (-9.0, 7.0) for name in self.names]

    def at(self, theta: Float, name: str) -> float:
        """The parameter ``name``, not its log."""
        return math.exp(theta[self.names.index(name)])

    def lengths(self, theta: Float) -> Float:
        """Length scale of each axis (d,)."""
        own = np.exp(theta[[k for k, name in enumerate(self.names) if name == "length"]])
        return np.broadcast_to(own, (self.dim,)) if own.size == 1 else own


def covariance(layout: Layout, theta: Float, x: Float, z: Float) -> Float:
    """Prior covariance (n, m) of the values at ``x`` (n, d) and ``z`` (m, d), without noise.

    ``25 + c1 x.z + c2 (x.z)^2 + s2 Matern52 + (sa / d) sum_k Matern52_1(x_k, z_k)``: a quadratic function, what it
    leaves out, and effects of each axis alone, which a Matern part in many dimensions hardly sees.
    """
    inner = x @ z.T
    out: Float = CONSTANT + layout.at(theta, "linear") * inner + layout.at(theta, "quadratic") * inner**2
    length = layout.lengths(theta)
    out += layout.at(theta, "rough") * _matern(_distance(x / length, z / length))
    if layout.dim >= ALONE_FROM:
        wave_variances = layout.at(theta, "alone") / layout.dim * spectrum(layout.at(theta, "alone_length"))
        out += (waves(x) * np.tile(wave_variances, layout.dim)) @ waves(z).T
    return out


def variance(layout: Layout, theta: Float, z: Float) -> Float:
    """Prior variance (m,) of the value at each row of ``z`` (m, d), without noise."""
    inner = np.einsum("ij,ij->i", z, z)
    out: Float = CONSTANT + layout.at(theta, "linear") * inner + layout.at(theta, "quadratic") * inner**2
    out += layout.at(theta, "rough")
    if layout.dim >= ALONE_FROM:
        wave_variances = layout.at(theta, "alone") / layout.dim * spectrum(layout.at(theta, "alone_length"))
        out += waves(z) ** 2 @ np.tile(wave_variances, layout.dim)
    return out


def with_derivatives(layout: Layout, theta: Float, x: Float) -> tuple[Float, list[Float]]:
    """Covariance (n, n) of the values at ``x`` (n, d), with noise, and its derivative by each entry of ``theta``."""
    inner = x @ x.T
    linear, quadratic = layout.at(theta, "linear") * inner, layout.at(theta, "quadratic") * inner**2
    length = layout.lengths(theta)
    scaled = x / length
    r = _distance(scaled, scaled)
    rough = layout.at(theta, "rough") * _matern(r)
    slope = layout.at(theta, "rough") * 5.0 / 3.0 * (1.0 + ROOT5 * r) * np.exp(-ROOT5 * r)
    if layout.names.count("length") == 1:
        by_length = [slope * r**2]
    else:
        by_length = [slope * np.subtract.outer(column, column) ** 2 for column in scaled.T]
    total = CONSTANT + linear + quadratic + rough
    found = [linear, quadratic, rough, *by_length]
    if layout.dim >= ALONE_FROM:
        scale, span = layout.at(theta, "alone") / layout.dim, layout.at(theta, "alone_length")
        phi = waves(x)
        alone = (phi * np.tile(scale * spectrum(span), layout.dim)) @ phi.T
        found += [alone, (phi * np.tile(scale * spectrum_slope(span), layout.dim)) @ phi.T]
        total = total + alone
    noise = layout.at(theta, "noise") * np.eye(len(x))
    return total + noise, [*found, noise]


def waves(x: Float) -> Float:
    """The sine waves (n, d k) of each axis at ``x`` (n, d): eigenfunctions of the Laplacian on an interval [1]_.

    References
    ----------
    .. [1] Solin & Sarkka, *Hilbert space methods for reduced-rank Gaussian process regression*, Stat. Comput. 30, 2020.
    """
    inside = np.clip(x, -HALF_WIDTH, HALF_WIDTH)[:, :, np.newaxis] + HALF_WIDTH
    found = np.sin(inside * _frequencies()) / math.sqrt(HALF_WIDTH)
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


def _distance(x: Float, z: Float) -> Float:
    """Distances (n, m) between rows."""
    square = np.einsum("ij,ij->i", x, x)[:, np.newaxis] + np.einsum("ij,ij->i", z, z) - 2.0 * (x @ z.T)
    return np.asarray(np.sqrt(np.maximum(square, 0.0)))


def _matern(r: Float) -> Float:
    """Matern-5/2 correlation at distances ``r``."""
    return np.asarray((1.0 + ROOT5 * r + 5.0 / 3.0 * r**2) * np.exp(-ROOT5 * r))
