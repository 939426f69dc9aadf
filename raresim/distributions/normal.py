"""The multivariate normal law, with independent or correlated coordinates."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from raresim import arrays
from raresim.arrays import Float, Matrix, Vector
from raresim.data import ReturnsSource
from raresim.distributions.base import Distribution, Fitted, Inputs
from raresim.distributions.standard_normal import LOG_2PI, StandardNormal, fill_standard_normal
from raresim.errors import FieldError
from raresim.fitting import covariance
from raresim.jit import kernel
from raresim.registry import member

TILE = 256
"""Rows that a dense kernel takes at once, so that one tile of all columns stays in cache."""


@member("inputs", "distribution")
@dataclass(frozen=True, kw_only=True, eq=False)
class Normal(Inputs):
    """Multivariate normal law.

    Density ``(2 pi)^(-d/2) |C|^(-1/2) exp(-(x - m)' C^-1 (x - m) / 2)``.

    Parameters
    ----------
    mean : float or (d,)
        Mean ``m``, in the unit of ``x``.
    std : float or (d,), optional
        Standard deviations of independent coordinates, positive; 1 when neither ``std`` nor ``cov`` is given.
    cov : (d, d), optional
        Covariance ``C``, symmetric and positive definite; instead of ``std``.
    dim : int, optional
        Number of coordinates when every parameter is a single number.

    Raises
    ------
    FieldError
        When sizes disagree, a standard deviation is not positive or ``cov`` is not positive definite.
    """

    kind: ClassVar[str] = "normal"

    mean: Vector = 0.0
    std: Vector | None = None
    cov: Matrix | None = None
    dim: int = 0
    fitted: Fitted | None = field(default=None, repr=False, metadata={"yaml": False})

    location: Float = field(init=False, repr=False)
    scales: Float = field(init=False, repr=False)
    factor: Float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.std is not None and self.cov is not None:
            raise FieldError("cov", "give either std (independent coordinates) or cov, not both")
        spread = self.cov if self.cov is not None else 1.0 if self.std is None else self.std
        dim = common_dim(self.dim, mean=self.mean, **{"std" if self.cov is None else "cov": spread})
        if self.cov is None:
            scales = arrays.positive_vector("std", spread, dim)
            factor = arrays.frozen(np.empty((0, 0)))
        else:
            cov = arrays.matrix("cov", spread, dim)
            factor = arrays.cholesky("cov", cov)
            scales = arrays.frozen(np.sqrt(np.diag(cov)))
        object.__setattr__(self, "dim", dim)
        object.__setattr__(self, "location", arrays.vector("mean", self.mean, dim))
        object.__setattr__(self, "scales", scales)
        object.__setattr__(self, "factor", factor)

    @classmethod
    def fit(cls, source: ReturnsSource) -> Normal:
        """Normal law with the sample mean and the (shrunk) covariance of a table of returns.

        Raises
        ------
        DataError
            When the file cannot be used, or its covariance is not positive definite.
        """
        table = source.load()
        estimate = covariance(table.values, source.covariance)
        return cls(
            mean=table.values.mean(axis=0),
            cov=estimate.cov,
            fitted=Fitted.to_table(table, source, estimate.shrinkage),
        )

    @property
    def correlated(self) -> bool:
        """Whether the law was given by a covariance: then ``factor`` is its Cholesky factor, else it is empty."""
        return self.factor.size > 0

    @staticmethod
    def latent_dim_of(dim: int) -> int:
        return dim

    def to_physical(self, u: Float, x: Float) -> Float:
        if self.correlated:
            lower_affine(u, self.factor, self.location, x)
        else:
            scale_shift(u, self.scales, self.location, x)
        return x

    def linear_moments(self, weights: Float) -> tuple[float, float]:
        exposure = weights @ self.factor if self.correlated else weights * self.scales
        return float(weights @ self.location), math.sqrt(float(exposure @ exposure))

    def describe(self) -> list[str]:
        form = "correlated" if self.correlated else "independent"
        return [f"{self.dim} {form} normals", *(self.fitted.lines if self.fitted else ())]

    def sample(self, rng: np.random.Generator, x: Float) -> None:
        if self.correlated:
            fill_standard_normal(rng, x)
            lower_affine(x, self.factor, self.location, x)
        else:
            fill_normal(rng, self.scales, self.location, x)

    def logpdf(self, x: Float, out: Float) -> None:
        self.distance(x, out)
        out *= -0.5
        out -= 0.5 * self.dim * LOG_2PI + self.log_det

    def distance(self, x: Float, out: Float) -> None:
        """Write the squared Mahalanobis distance from the mean of each row of ``x`` (n, d) into ``out`` (n,)."""
        if self.correlated:
            dense_distance(x, self.factor, self.location, out)
        else:
            diagonal_distance(x, self.scales, self.location, out)

    @property
    def log_det(self) -> float:
        """Half the log determinant of the covariance."""
        spread = np.diag(self.factor) if self.correlated else self.scales
        return float(np.log(spread).sum())

    @staticmethod
    def examples() -> list[Normal]:
        """Members for the conformance tests."""
        return [
            Normal(mean=5.0, std=1.0),
            Normal(mean=[1.0, -2.0, 0.5], std=[1.0, 0.3, 4.0]),
            Normal(mean=[0.0, 1.0, 2.0], cov=[[2.0, 0.6, -0.3], [0.6, 1.0, 0.2], [-0.3, 0.2, 0.5]]),
        ]


def gaussian_moments(law: Distribution) -> tuple[Float, Float] | None:
    """Mean and covariance (a vector where it is diagonal) of a normal law; None of any other."""
    if isinstance(law, StandardNormal):
        return np.zeros(law.dim), np.ones(law.dim)
    if isinstance(law, Normal):
        return law.location, law.factor @ law.factor.T if law.correlated else law.scales**2
    return None


def common_dim(dim: int, **parameters: Vector | Matrix) -> int:
    """The one dimension that ``dim`` (0: not given) and the sizes of ``parameters`` agree on."""
    sizes = {"dim": dim} if dim else {}
    for name, value in parameters.items():
        shape = np.shape(value)
        if shape:
            sizes[name] = shape[0]
    if dim < 0:
        raise FieldError("dim", f"must be at least 1, got {dim}")
    if len(set(sizes.values())) > 1:
        first, *rest = sizes.items()
        other = next(item for item in rest if item[1] != first[1])
        raise FieldError(other[0], f"must agree with {first[0]} ({first[1]} entries), got {other[1]}")
    return next(iter(sizes.values()), 1)


@kernel
def fill_normal(rng: np.random.Generator, scale: Float, loc: Float, x: Float) -> None:
    """Overwrite ``x`` (n, d) with independent normals, column after column."""
    n, d = x.shape
    for j in range(d):
        a = scale[j]
        m = loc[j]
        for i in range(n):
            x[i, j] = m + a * rng.standard_normal()


@kernel
def scale_shift(u: Float, scale: Float, loc: Float, x: Float) -> None:
    """``x = loc + scale * u``, column by column; ``x`` may be ``u``."""
    n, d = u.shape
    for j in range(d):
        for i in range(n):
            x[i, j] = loc[j] + scale[j] * u[i, j]


@kernel
def lower_affine(u: Float, factor: Float, loc: Float, x: Float) -> None:
    """``x = loc + factor u`` for a lower triangular factor; ``x`` may be ``u``: columns are made last first.

    Rows are taken through slices that start at zero: an index that might be negative would keep the loop from being
    vectorised.
    """
    n, d = u.shape
    for start in range(0, n, TILE):
        stop = min(start + TILE, n)
        for j in range(d - 1, -1, -1):
            xj = x[start:stop, j]
            uj = u[start:stop, j]
            a = factor[j, j]
            m = loc[j]
            for i in range(stop - start):
                xj[i] = m + a * uj[i]
            c = 0
            while c + 4 <= j:
                f0, f1, f2, f3 = factor[j, c], factor[j, c + 1], factor[j, c + 2], factor[j, c + 3]
                u0, u1 = u[start:stop, c], u[start:stop, c + 1]
                u2, u3 = u[start:stop, c + 2], u[start:stop, c + 3]
                for i in range(stop - start):
                    xj[i] += f0 * u0[i] + f1 * u1[i] + f2 * u2[i] + f3 * u3[i]
                c += 4
            while c < j:
                f0 = factor[j, c]
                u0 = u[start:stop, c]
                for i in range(stop - start):
                    xj[i] += f0 * u0[i]
                c += 1


@kernel
def diagonal_distance(x: Float, scale: Float, loc: Float, out: Float) -> None:
    """Squared distance ``sum_j ((x_j - loc_j) / scale_j)^2`` of each row."""
    n, d = x.shape
    for i in range(n):
        out[i] = 0.0
    for j in range(d):
        m = loc[j]
        inverse = 1.0 / scale[j]
        for i in range(n):
            z = (x[i, j] - m) * inverse
            out[i] += z * z


@kernel
def dense_distance(x: Float, factor: Float, loc: Float, out: Float) -> None:
    """Squared Mahalanobis distance ``|factor^-1 (x - loc)|^2`` of each row, by forward substitution."""
    n, d = x.shape
    z = np.empty((d, TILE))
    for start in range(0, n, TILE):
        stop = min(start + TILE, n)
        total = out[start:stop]
        total[:] = 0.0
        for j in range(d):
            zj = z[j]
            xj = x[start:stop, j]
            m = loc[j]
            for i in range(stop - start):
                zj[i] = xj[i] - m
            for c in range(j):
                f = factor[j, c]
                zc = z[c]
                for i in range(stop - start):
                    zj[i] -= f * zc[i]
            inverse = 1.0 / factor[j, j]
            for i in range(stop - start):
                zj[i] *= inverse
                total[i] += zj[i] * zj[i]
