"""A normal law whose covariance is the identity except in a few directions."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from raresim.arguments import checks
from raresim.arguments.checks import Matrix, Vector
from raresim.distributions.base import Distribution
from raresim.distributions.binned_ratio import BinnedRatio
from raresim.distributions.normal import gaussian_moments
from raresim.distributions.standard_normal import LOG_2PI
from raresim.errors import FieldError
from raresim.numerics import arrays
from raresim.numerics.arrays import Float
from raresim.numerics.jit import kernel
from raresim.numerics.normals import fill_standard_normal
from raresim.registry import member

EDGES = arrays.frozen(np.linspace(-12.0, 12.0, 385))
"""Where one bin of a coordinate ends and the next begins, for the law as a `BinnedRatio`."""

UNIT, ACROSS = 0.05, 0.05
"""Unit to which steps of the log density ratio may be rounded, in nats, and the length from which the part of the mean
across the directions counts."""


@member("distribution")
@dataclass(frozen=True, kw_only=True, eq=False)
class LowRankNormal(Distribution):
    """Normal law with covariance ``I + V (diag(v) - I) V'``.

    Parameters
    ----------
    mean : (d,)
        Mean.
    directions : (d, k)
        Orthonormal columns ``V``.
    variances : (k,)
        Variances ``v`` along them, positive; the variance across is one.

    Raises
    ------
    FieldError
        When sizes disagree, the columns are not orthonormal to 1e-8, or a variance is not positive.
    """

    kind: ClassVar[str] = "low_rank_normal"
    mapped: ClassVar[bool] = True

    mean: Vector
    directions: Matrix
    variances: Vector

    location: Float = field(init=False, repr=False)
    basis: Float = field(init=False, repr=False)
    spread: Float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        location = checks.vector("mean", self.mean)
        basis = np.array(self.directions, dtype=np.float64, ndmin=2, order="F")
        if basis.shape[0] != location.size:
            raise FieldError("directions", f"must have {location.size} rows, got {basis.shape[0]}")
        gap = np.abs(basis.T @ basis - np.eye(basis.shape[1])).max(initial=0.0)
        if not gap <= 1e-8:
            raise FieldError("directions", f"must be orthonormal columns, got a product off by {gap:.2g}")
        spread = checks.positive_vector("variances", self.variances, basis.shape[1])
        object.__setattr__(self, "location", location)
        object.__setattr__(self, "basis", arrays.frozen(basis))
        object.__setattr__(self, "spread", spread)

    @property
    def dim(self) -> int:
        return int(self.location.size)

    def sample(self, rng: np.random.Generator, x: Float) -> None:
        fill_standard_normal(rng, x)
        along = arrays.scratch("along", x.shape[0], self.spread.size)
        project(x, self.basis, arrays.frozen(np.zeros(self.dim)), along)
        along *= np.sqrt(self.spread) - 1.0
        add_along(along, self.basis, self.location, x)

    def logpdf(self, x: Float, out: Float) -> None:
        centred_squared_norm(x, self.location, out)
        along = arrays.scratch("along", x.shape[0], self.spread.size)
        project(x, self.basis, self.location, along)
        for k, v in enumerate(self.spread):
            out += (1.0 / v - 1.0) * along[:, k] ** 2
        out *= -0.5
        out -= 0.5 * (self.dim * LOG_2PI + float(np.log(self.spread).sum()))

    @property
    def centre(self) -> Float:
        return self.location

    def from_normals(self, z: Float, turn: Callable[[Float], None], x: Float) -> None:
        turn(z)
        x[:] = z
        along = arrays.scratch("along", z.shape[0], self.spread.size)
        project(z, self.basis, np.zeros(self.dim), along)
        along *= np.sqrt(self.spread) - 1.0
        add_along(along, self.basis, self.location, x)

    def spread_transposed(self, a: Float) -> Float:
        moved: Float = a + self.basis @ ((np.sqrt(self.spread) - 1.0) * (self.basis.T @ a))
        return moved

    def binned_ratio(self) -> BinnedRatio:
        """Along the directions with variances of their own, and along the part of the mean across them."""
        across = self.location - self.basis @ (self.basis.T @ self.location)
        length = math.sqrt(float(across @ across))
        basis, variances = self.basis, self.spread
        if length > ACROSS:
            basis, variances = np.column_stack([basis, across / length]), np.append(variances, 1.0)
        middles = np.concatenate([[EDGES[0]], (EDGES[1:] + EDGES[:-1]) / 2.0, [EDGES[-1]]])
        centred = middles - (basis.T @ self.location)[:, None]
        steps = 0.5 * (np.square(middles) - np.square(centred) / variances[:, None])
        return BinnedRatio(steps, EDGES, UNIT, basis)

    def entropy(self) -> float:
        return 0.5 * (self.dim * (1.0 + math.log(2.0 * math.pi)) + float(np.log(self.spread).sum()))

    def blended(self, old: Distribution, share: float) -> LowRankNormal:
        """The law along its own directions, with ``share`` of its mean and variances and the rest those of ``old``."""
        there = old.centre
        if there is None:
            raise TypeError(f"not Gaussian: {old!r}")
        mean = share * self.location + (1.0 - share) * there
        along = share * self.spread + (1.0 - share) * _variances_along(old, self.basis)
        return LowRankNormal(mean=mean, directions=self.basis, variances=along)

    @staticmethod
    def examples() -> list[LowRankNormal]:
        """Members for the conformance tests."""
        directions = [[0.6, 0.0], [0.8, 0.0], [0.0, 1.0]]
        return [LowRankNormal(mean=[1.0, 2.0, 0.0], directions=directions, variances=[0.5, 3.0])]


def _variances_along(law: Distribution, basis: Float) -> Float:
    """Variances of a normal law along the columns of ``basis`` (d, k)."""
    if isinstance(law, LowRankNormal):
        variances: Float = 1.0 + (law.spread - 1.0) @ np.square(law.basis.T @ basis)
        return variances
    moments = gaussian_moments(law)
    if moments is None:
        raise TypeError(f"not Gaussian: {law!r}")
    full = np.diag(moments[1]) if moments[1].ndim == 1 else moments[1]
    along: Float = np.einsum("ik,ij,jk->k", basis, full, basis)
    return along


@kernel
def project(x: Float, basis: Float, loc: Float, out: Float) -> None:
    """``out = (x - loc) basis``: (n, d) and (d, k) to (n, k)."""
    n, d = x.shape
    for k in range(basis.shape[1]):
        for i in range(n):
            out[i, k] = 0.0
        for j in range(d):
            b = basis[j, k]
            m = loc[j]
            for i in range(n):
                out[i, k] += b * (x[i, j] - m)


@kernel
def add_along(along: Float, basis: Float, loc: Float, x: Float) -> None:
    """``x += loc + along basis'``."""
    n, d = x.shape
    for j in range(d):
        m = loc[j]
        for i in range(n):
            x[i, j] += m
        for k in range(basis.shape[1]):
            b = basis[j, k]
            for i in range(n):
                x[i, j] += b * along[i, k]


@kernel
def centred_squared_norm(x: Float, loc: Float, out: Float) -> None:
    """``out[i] = sum_j (x[i, j] - loc[j])^2``."""
    n, d = x.shape
    for i in range(n):
        out[i] = 0.0
    for j in range(d):
        m = loc[j]
        for i in range(n):
            z = x[i, j] - m
            out[i] += z * z
