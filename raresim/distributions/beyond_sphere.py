"""Standard normals given that some directions together are farther from the origin than a radius."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from raresim.arguments import checks
from raresim.arguments.checks import Matrix
from raresim.distributions.base import Distribution
from raresim.distributions.standard_normal import LOG_2PI
from raresim.errors import FieldError
from raresim.numerics import arrays
from raresim.numerics.arrays import Float
from raresim.numerics.normals import fill_standard_normal
from raresim.registry import member

SMALLEST = -690.0
"""Log of the smallest mass that can be drawn from, in nats."""


@member("distribution")
@dataclass(frozen=True, kw_only=True, eq=False)
class BeyondSphere(Distribution):
    """A standard normal law of ``d`` dimensions, cut off inside a cylinder around the origin.

    Density ``(2 pi)^(-d/2) exp(-|x|^2 / 2) / P(chi^2_k >= radius^2)`` where ``|directions' x| >= radius``, else 0.

    Parameters
    ----------
    directions : (d, k)
        Orthonormal columns, ``k`` at most ``d``: the directions in which distance counts.
    radius : float
        Distance from the origin at which the law begins, positive.

    Raises
    ------
    FieldError
        When the directions are not orthonormal, or the radius is not positive or so large that nothing is beyond it.

    Notes
    -----
    The ratio of the target to it is constant beyond the radius. It covers a failure region that bends around the
    origin, such as that of a loss that grows with the square of several factors; normal laws around points cover only
    a part of it.
    """

    kind: ClassVar[str] = "beyond_sphere"

    directions: Matrix
    radius: float

    basis: Float = field(init=False, repr=False)
    log_mass: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        from raresim.distributions.masses import log_chi_tail

        basis = np.array(self.directions, float, ndmin=2, order="F")
        if basis.shape[1] > basis.shape[0]:
            raise FieldError("directions", f"must have at most as many columns as rows, got {basis.shape}")
        if np.abs(basis.T @ basis - np.eye(basis.shape[1])).max(initial=0.0) > 1e-8:
            raise FieldError("directions", "must be orthonormal")
        radius = checks.positive("radius", self.radius)
        object.__setattr__(self, "basis", arrays.frozen(basis))
        log_mass = float(log_chi_tail(basis.shape[1], np.array([radius]), upper=True)[0])
        if log_mass < SMALLEST:
            raise FieldError("radius", f"must leave a mass of 1e-300 beyond it, got {radius:g}")
        object.__setattr__(self, "log_mass", log_mass)

    @property
    def dim(self) -> int:
        return int(self.basis.shape[0])

    @property
    def radial(self) -> Float:
        return self.basis

    def sample(self, rng: np.random.Generator, x: Float) -> None:
        from scipy.special import gammaincc, gammainccinv

        fill_standard_normal(rng, x)
        k = self.basis.shape[1]
        inside = x @ self.basis
        length = np.sqrt(np.square(inside).sum(axis=1))
        mass = float(gammaincc(0.5 * k, 0.5 * self.radius**2))
        wanted = np.sqrt(2.0 * gammainccinv(0.5 * k, mass * rng.random(x.shape[0])))
        inside *= (np.maximum(wanted, self.radius) / np.maximum(length, 1e-300) - 1.0)[:, None]
        x += inside @ self.basis.T

    def logpdf(self, x: Float, out: Float) -> None:
        square = np.square(x @ self.basis).sum(axis=1)
        np.einsum("ij,ij->i", x, x, out=out)
        out *= -0.5
        out -= 0.5 * self.dim * LOG_2PI + self.log_mass
        out[square < self.radius**2 * (1.0 - 1e-12)] = -math.inf

    @staticmethod
    def examples() -> list[BeyondSphere]:
        """Members for the conformance tests."""
        turned = np.linalg.qr(np.array([[1.0, 0.2], [0.5, 1.0], [0.3, -1.0]]))[0]
        return [BeyondSphere(directions=np.eye(3)[:, :2], radius=1.5), BeyondSphere(directions=turned, radius=4.0)]
