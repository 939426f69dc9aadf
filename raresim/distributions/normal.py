"""The multivariate normal law, with independent or correlated coordinates."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from raresim.arguments import checks
from raresim.arguments.checks import Matrix, Vector
from raresim.data import ReturnsData, as_source
from raresim.data.names import aligned
from raresim.distributions.base import Distribution, Fitted, Inputs, ratio_in_two
from raresim.distributions.covariances import covariance_of
from raresim.distributions.lognormal_sum import lognormal_moments
from raresim.distributions.normal_passes import (
    affine_sums,
    dense_distance,
    dense_ratio,
    diagonal_distance,
    diagonal_ratio,
    lower_affine,
    scale_shift,
)
from raresim.distributions.standard_normal import LOG_2PI, StandardNormal
from raresim.errors import FieldError
from raresim.marginals.base import Marginal
from raresim.marginals.normal import Normal as NormalMarginal
from raresim.numerics import arrays
from raresim.numerics.arrays import Float
from raresim.numerics.normals import fill_normal, fill_standard_normal
from raresim.registry import member


@member("inputs", "distribution")
@dataclass(frozen=True, kw_only=True, eq=False)
class Normal(Inputs, Distribution):
    """Multivariate normal law.

    Density ``(2 pi)^(-d/2) |C|^(-1/2) exp(-(x - m)' C^-1 (x - m) / 2)``.

    Parameters
    ----------
    mean : float or (d,)
        Mean ``m``, in the unit of ``x``. Where ``mean``, ``std`` or ``cov`` is a series or frame of pandas, or a
        mapping, the factors have its names, and all parameters are put in that order by name.
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
    labels: tuple[str, ...] | None = field(default=None, repr=False, metadata={"yaml": False})

    location: Float = field(init=False, repr=False)
    scales: Float = field(init=False, repr=False)
    factor: Float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.std is not None and self.cov is not None:
            raise FieldError("cov", "give either std (independent coordinates) or cov, not both")
        take_names(self, "mean", "std", "cov")
        spread = self.cov if self.cov is not None else 1.0 if self.std is None else self.std
        dim = common_dim(self.dim, mean=self.mean, **{"std" if self.cov is None else "cov": spread})
        if self.cov is None:
            scales = checks.positive_vector("std", spread, dim)
            factor = arrays.frozen(np.empty((0, 0)))
        else:
            cov = checks.matrix("cov", spread, dim)
            factor = checks.cholesky("cov", cov)
            scales = arrays.frozen(np.sqrt(np.diag(cov)))
        object.__setattr__(self, "dim", dim)
        object.__setattr__(self, "location", checks.vector("mean", self.mean, dim))
        object.__setattr__(self, "scales", scales)
        object.__setattr__(self, "factor", factor)

    @classmethod
    def fit(cls, data: ReturnsData | ArrayLike) -> Normal:
        """Normal law with the sample mean and the (shrunk) covariance of a table of returns.

        ``data`` is a `ReturnsSource`, a `ReturnsTable`, or an array or data frame of returns as fractions.

        Raises
        ------
        DataError
            When the data cannot be used, or its covariance is not positive definite.
        """
        source = as_source(data)
        table = source.load()
        estimate, dependent = covariance_of(table, source)
        return cls(
            mean=table.values.mean(axis=0),
            cov=estimate.cov,
            fitted=Fitted.to_table(table, source, estimate, dependent),
        )

    @property
    def correlated(self) -> bool:
        """Whether the law was given by a covariance: ``factor`` is then its Cholesky factor, and else empty."""
        return self.factor.size > 0

    @property
    def names(self) -> tuple[str, ...] | None:
        return self.labels if self.fitted is None else self.fitted.names

    @staticmethod
    def latent_dim_of(dim: int) -> int:
        return dim

    @property
    def centre(self) -> Float:
        return self.location

    def spread_transposed(self, a: Float) -> Float:
        return self.factor.T @ a if self.correlated else self.scales * a

    def precision_times(self, shift: Float) -> Float:
        from scipy.linalg import cho_solve

        return np.asarray(cho_solve((self.factor, True), shift)) if self.correlated else shift / self.scales**2

    def blended(self, old: Distribution, share: float) -> Normal:
        """The normal law with ``share`` of its own mean and covariance, and the rest those of a normal law ``old``."""
        before = gaussian_moments(old)
        if before is None:
            raise TypeError(f"not Gaussian: {old!r}")
        a, b = self.factor @ self.factor.T if self.correlated else self.scales**2, before[1]
        if a.ndim != b.ndim:
            a, b = (np.diag(c) if c.ndim == 1 else c for c in (a, b))
        mean = share * self.location + (1.0 - share) * before[0]
        spread = share * a + (1.0 - share) * b
        return Normal(mean=mean, std=np.sqrt(spread)) if spread.ndim == 1 else Normal(mean=mean, cov=spread)

    @property
    def is_normal(self) -> bool:
        return True

    @property
    def independent_laws(self) -> tuple[Marginal, ...] | None:
        if self.correlated:
            return None
        return tuple(NormalMarginal(loc=m, scale=s) for m, s in zip(self.location, self.scales, strict=True))

    def to_physical(self, u: Float, x: Float) -> Float:
        if self.correlated and u.shape[0] == 1:  # contiguous both ways, for which the kernel would be compiled again
            two = np.empty((2, self.dim), order="F")
            two[:] = u
            lower_affine(two, self.factor, self.location, two)
            x[:] = two[:1]
        elif self.correlated:
            lower_affine(u, self.factor, self.location, x)
        else:
            scale_shift(u, self.scales, self.location, x)
        return x

    def weighted_sums(self, u: Float, weights: Float, out: Float) -> bool:
        if self.correlated and u.flags.f_contiguous and u.shape[0] > 1:
            affine_sums(u, self.factor, self.location, weights, out)
            return True
        return False

    def linear_moments(self, weights: Float) -> tuple[float, float]:
        exposure = weights @ self.factor if self.correlated else weights * self.scales
        return float(weights @ self.location), math.sqrt(float(exposure @ exposure))

    def exponential_moments(self, weights: Float) -> tuple[float, float]:
        cov = self.factor @ self.factor.T if self.correlated else np.diag(self.scales**2)
        return lognormal_moments(self.location, cov, weights)

    def mass_below(self, x: float) -> Float:
        from scipy.special import ndtr

        return np.asarray(ndtr((x - self.location) / self.scales))

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

    def log_ratio(self, target: Distribution, x: Float, out: Float) -> None:
        constant = 0.5 * self.dim * LOG_2PI
        if not isinstance(target, StandardNormal):
            ratio_in_two(target, self, x, out)
        elif self.correlated:
            dense_ratio(x, self.factor, self.location, constant, constant + self.log_det, out)
        else:
            diagonal_ratio(x, self.scales, self.location, constant, constant + self.log_det, out)

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
    """Mean and covariance (a vector where it is diagonal) of a normal law; None for any other law."""
    if isinstance(law, StandardNormal):
        return np.zeros(law.dim), np.ones(law.dim)
    if isinstance(law, Normal):
        return law.location, law.factor @ law.factor.T if law.correlated else law.scales**2
    return None


def take_names(law: Any, *parameters: str) -> None:
    """Put the ``parameters`` of a frozen law in one order by the names that they carry, which become its ``labels``."""
    names, values = aligned(**{name: getattr(law, name) for name in parameters})
    if names is not None:
        for name, value in {**values, "labels": names}.items():
            object.__setattr__(law, name, value)


def common_dim(dim: int, **parameters: Vector | Matrix) -> int:
    """The one dimension that ``dim`` (0: not given) and the sizes of ``parameters`` agree on."""
    sizes = {"dim": dim} if dim else {}
    for name, value in parameters.items():
        shape = np.shape(value)
        if shape:
            sizes[name] = shape[0]
    if dim:
        checks.dimension("dim", dim)
    if len(set(sizes.values())) > 1:
        first, *rest = sizes.items()
        other = next(item for item in rest if item[1] != first[1])
        raise FieldError(other[0], f"must agree with {first[0]} ({first[1]} entries), got {other[1]}")
    return next(iter(sizes.values()), 1)
