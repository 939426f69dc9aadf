"""A law that has a shape of its own along one direction and is normal across it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np

from raresim.arguments import checks
from raresim.arguments.checks import Vector
from raresim.distributions.base import Distribution
from raresim.distributions.standard_normal import LOG_2PI
from raresim.errors import FieldError
from raresim.numerics import arrays
from raresim.numerics.arrays import Float
from raresim.numerics.jit import kernel
from raresim.numerics.normals import fill_normal
from raresim.registry import member

Profile = Literal["laplace", "normal"]


@member("distribution")
@dataclass(frozen=True, kw_only=True, eq=False)
class Directional(Distribution):
    """Law with an asymmetric Laplace or two-piece normal density along one direction, normal across it.

    With ``a`` the direction, ``t = a'u`` and ``z = (t - location) / s``, where ``s`` is ``left`` below the location and
    ``right`` above it, the density along ``a`` is ``exp(-|z|) / (left + right)`` or ``sqrt(2 / pi) exp(-z^2 / 2) /
    (left + right)``. Across it, the ``d - 1`` coordinates are independent normals with mean 0. It is continuous.

    Parameters
    ----------
    direction : (d,)
        Not zero; its length does not matter.
    location : float
        Mode along the direction.
    left, right : float
        Scales below and above the mode, positive.
    variance : float
        Variance of each coordinate across, positive.
    profile : "laplace" or "normal"
        The density along the direction.

    Raises
    ------
    FieldError
        When the direction is zero, or a scale or the variance is not positive.

    Notes
    -----
    A normal law conditioned on ``t >= b`` decays above ``b`` like an exponential of rate ``b``: the Laplace profile
    follows it, and its tails are heavier than the normal's, so that weights stay bounded along ``a``. A draw takes one
    product of ``u`` with ``a``, and so does a density.
    """

    kind: ClassVar[str] = "directional"
    mapped: ClassVar[bool] = True

    direction: Vector
    location: float = 0.0
    left: float = 1.0
    right: float = 1.0
    variance: float = 1.0
    profile: Profile = "laplace"

    axis: Float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        direction = checks.vector("direction", self.direction)
        length = float(np.linalg.norm(direction))
        if not 0 < length < math.inf:
            raise FieldError("direction", f"must have a positive and finite length, got {length:g}")
        if not math.isfinite(self.location):
            raise FieldError("location", f"must be finite, got {self.location:g}")
        for name in ("left", "right", "variance"):
            checks.positive(name, getattr(self, name))
        checks.one_of("profile", self.profile, Profile)
        object.__setattr__(self, "axis", arrays.frozen(direction / length))

    @property
    def dim(self) -> int:
        return int(self.axis.size)

    def sample(self, rng: np.random.Generator, x: Float) -> None:
        n, d = x.shape
        fill_normal(rng, np.full(d, math.sqrt(self.variance)), np.zeros(d), x)
        z = rng.standard_exponential(n) if self.profile == "laplace" else np.abs(rng.standard_normal(n))
        below = rng.random(n) * (self.left + self.right) < self.left
        shift = self.location + np.where(below, -self.left, self.right) * z
        along, square = _buffers(n)
        along_and_square(x, self.axis, along, square)
        shift -= along
        move_along(shift, self.axis, x)

    def logpdf(self, x: Float, out: Float) -> None:
        along, square = _buffers(x.shape[0])
        along_and_square(x, self.axis, along, square)
        self.log_density(along, square, out)

    def log_density(self, along: Float, square: Float, out: Float) -> None:
        """Write the log density into ``out`` (n,) from ``a'u`` and ``|u|^2`` of each row, (n,) both."""
        z = (along - self.location) / np.where(along < self.location, self.left, self.right)
        constant = -math.log(self.left + self.right) - 0.5 * (self.dim - 1) * (LOG_2PI + math.log(self.variance))
        np.subtract(square, np.square(along), out=out)
        out *= -0.5 / self.variance
        if self.profile == "laplace":
            out -= np.abs(z)
        else:
            out -= 0.5 * np.square(z)
            constant += 0.5 * math.log(2.0 / math.pi)
        out += constant

    def lead(self, target: Distribution) -> Float:
        """Its own direction: the first normal becomes the coordinate along it."""
        return self.axis

    def from_normals(self, z: Float, turn: Callable[[Float], None], x: Float) -> None:
        first = z[:, 0].copy()
        z[:, 0] = 0.0
        turn(z)
        np.multiply(z, math.sqrt(self.variance), out=x)
        x += self.along_of(first)[:, None] * self.axis

    def along_of(self, z: Float) -> Float:
        """The coordinate along the direction, as a rising function of a standard normal ``z`` (n,).

        Below the mode lies the share ``left / (left + right)``; the tail on either side of a two-sided law with that
        scale is read from the log tail of ``z``.
        """
        from scipy.special import log_ndtr, ndtri_exp

        share = np.array([self.left, self.right]) / (self.left + self.right)
        below = log_ndtr(z) < math.log(share[0])
        log_tail = np.minimum(log_ndtr(np.where(below, z, -z)) - np.log(np.where(below, *share)), 0.0)
        size = -log_tail if self.profile == "laplace" else -ndtri_exp(log_tail - math.log(2.0))
        return np.asarray(self.location + np.where(below, -self.left, self.right) * size)

    @staticmethod
    def examples() -> list[Directional]:
        """Members for the conformance tests."""
        return [
            Directional(direction=[3.0, 4.0], location=2.0, left=0.5, right=0.8, variance=1.5),
            Directional(direction=[1.0, -1.0, 1.0], location=1.0, left=0.7, right=1.2, profile="normal"),
            Directional(direction=[1.0], location=-1.0, left=1.0, right=2.0),
        ]


def _buffers(n: int) -> tuple[Float, Float]:
    pair = arrays.scratch("directional", n, 2)
    return pair[:, 0], pair[:, 1]


@kernel
def along_and_square(x: Float, axis: Float, along: Float, square: Float) -> None:
    """``along[i] = sum_j axis[j] x[i, j]`` and ``square[i] = sum_j x[i, j]^2``, in one pass."""
    n, d = x.shape
    for i in range(n):
        along[i] = 0.0
        square[i] = 0.0
    for j in range(d):
        a = axis[j]
        for i in range(n):
            along[i] += a * x[i, j]
            square[i] += x[i, j] * x[i, j]


@kernel
def move_along(shift: Float, axis: Float, x: Float) -> None:
    """``x[i, j] += shift[i] axis[j]``."""
    n, d = x.shape
    for j in range(d):
        a = axis[j]
        for i in range(n):
            x[i, j] += shift[i] * a
