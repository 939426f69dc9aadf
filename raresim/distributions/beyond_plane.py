"""Standard normals given that they lie beyond a plane."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from raresim.arguments import checks
from raresim.arguments.checks import Vector
from raresim.distributions.base import Distribution
from raresim.distributions.standard_normal import LOG_2PI
from raresim.errors import FieldError
from raresim.numerics import arrays
from raresim.numerics.arrays import Float
from raresim.numerics.normals import fill_standard_normal
from raresim.registry import member


@member("distribution")
@dataclass(frozen=True, kw_only=True, eq=False)
class BeyondPlane(Distribution):
    """A standard normal law of ``d`` dimensions, cut off before a plane.

    Density ``(2 pi)^(-d/2) exp(-|x|^2 / 2) / Phi(-distance)`` where ``direction' x >= distance``, else 0.

    Parameters
    ----------
    direction : (d,)
        Normal of the plane, not zero; its length does not matter.
    distance : float
        Distance of the plane from the origin; negative where the origin is beyond it.

    Raises
    ------
    FieldError
        When the direction is zero or the distance not finite.

    Notes
    -----
    The ratio of the target to it is constant beyond the plane: for an event that is this half-space it is a proposal
    without variance.
    """

    kind: ClassVar[str] = "beyond_plane"

    direction: Vector
    distance: float

    normal: Float = field(init=False, repr=False)
    log_mass: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        from scipy.special import log_ndtr

        normal = checks.vector("direction", self.direction)
        length = math.sqrt(float(normal @ normal))
        if length == 0.0:
            raise FieldError("direction", "must not be zero")
        if not math.isfinite(self.distance):
            raise FieldError("distance", f"must be finite, got {self.distance:g}")
        object.__setattr__(self, "normal", arrays.frozen(normal / length))
        object.__setattr__(self, "log_mass", float(log_ndtr(-self.distance)))

    @property
    def dim(self) -> int:
        return int(self.normal.size)

    def sample(self, rng: np.random.Generator, x: Float) -> None:
        from scipy.special import ndtri_exp

        fill_standard_normal(rng, x)
        beyond = -ndtri_exp(self.log_mass + np.log1p(-rng.random(x.shape[0])))
        x += np.multiply.outer(np.maximum(beyond, self.distance) - x @ self.normal, self.normal)

    def logpdf(self, x: Float, out: Float) -> None:
        along = x @ self.normal
        np.einsum("ij,ij->i", x, x, out=out)
        out *= -0.5
        out -= 0.5 * self.dim * LOG_2PI + self.log_mass
        out[along < self.distance - 1e-12 * max(1.0, abs(self.distance))] = -math.inf

    @staticmethod
    def examples() -> list[BeyondPlane]:
        """Members for the conformance tests."""
        return [BeyondPlane(direction=[1.0, 2.0, -1.0], distance=1.5), BeyondPlane(direction=[0.0, 3.0], distance=-0.5)]
