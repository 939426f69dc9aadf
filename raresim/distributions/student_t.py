"""The multivariate Student t law: one shared mixing variable."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from raresim.arguments import checks
from raresim.arguments.checks import Matrix, Vector
from raresim.data import ReturnsData, as_source
from raresim.distributions.base import Distribution, Fitted, Inputs
from raresim.distributions.covariances import covariance_of, fit_student_t_dof
from raresim.distributions.mixing import log_mixing, log_mixing_table
from raresim.distributions.normal import Normal, common_dim, take_names
from raresim.errors import FieldError
from raresim.numerics import arrays
from raresim.numerics.arrays import Float
from raresim.numerics.exponentials import exponential
from raresim.numerics.interpolation import PiecewisePolynomial
from raresim.numerics.jit import kernel
from raresim.registry import member

DOF_RANGE = (0.1, 1e5)
"""Below it, a chi-square draw may be smaller than the smallest double; above it, a chi-square quantile loses digits."""


@member("inputs", "distribution")
@dataclass(frozen=True, kw_only=True, eq=False)
class StudentT(Inputs, Distribution):
    """Multivariate Student t law.

    Density ``Gamma((v+d)/2) / (Gamma(v/2) (v pi)^(d/2) |S|^(1/2)) (1 + q/v)^(-(v+d)/2)`` with
    ``q = (x - loc)' S^-1 (x - loc)``: all coordinates share one mixing variable, so they are dependent in the tails
    even where ``S`` is diagonal.

    Parameters
    ----------
    dof : float
        Degrees of freedom ``v``, in `DOF_RANGE`; the variance exists above 2.
    loc : float or (d,)
        Centre, in the unit of ``x``. Names that ``loc``, ``scale`` or ``shape`` carry are used as in `Normal`.
    scale : float or (d,), optional
        Square roots of a diagonal ``S``, positive; 1 when neither ``scale`` nor ``shape`` is given.
    shape : (d, d), optional
        Scale matrix ``S``, symmetric and positive definite; the covariance is ``S v / (v - 2)``.
    dim : int, optional
        Number of coordinates when every parameter is a single number.

    Raises
    ------
    FieldError
        When sizes disagree or a parameter is out of its range.

    Notes
    -----
    The map takes ``d + 1`` standard normals. The first is the mixing variable: a larger one means a larger chi-square,
    hence a *calmer* draw; see `raresim.distributions.mixing`.
    """

    kind: ClassVar[str] = "student_t"

    dof: float
    loc: Vector = 0.0
    scale: Vector | None = None
    shape: Matrix | None = None
    dim: int = 0
    fitted: Fitted | None = field(default=None, repr=False, metadata={"yaml": False})
    labels: tuple[str, ...] | None = field(default=None, repr=False, metadata={"yaml": False})

    normal: Normal = field(init=False, repr=False)

    def __post_init__(self) -> None:
        low, high = DOF_RANGE
        if not low <= self.dof <= high:
            raise FieldError("dof", f"must be from {low:g} to {high:g} (beyond: kind normal), got {self.dof:.15g}")
        if self.scale is not None and self.shape is not None:
            raise FieldError("shape", "give either scale (diagonal) or shape, not both")
        take_names(self, "loc", "scale", "shape")
        scale = 1.0 if self.scale is None else self.scale
        spread = {"scale": scale} if self.shape is None else {"shape": self.shape}
        dim = common_dim(self.dim, loc=self.loc, **spread)
        loc = checks.vector("loc", self.loc, dim)
        if self.shape is not None:
            shape = checks.matrix("shape", self.shape, dim)
            checks.cholesky("shape", shape)
            normal = Normal(mean=loc, cov=shape)
        else:
            normal = Normal(mean=loc, std=checks.positive_vector("scale", scale, dim))
        object.__setattr__(self, "dim", dim)
        object.__setattr__(self, "normal", normal)

    @classmethod
    def fit(cls, data: ReturnsData | ArrayLike) -> StudentT:
        """Student t law with the mean and (shrunk) covariance of a table of returns, ``dof`` by maximum likelihood.

        ``data`` is a `ReturnsSource`, a `ReturnsTable`, or an array or data frame of returns as fractions.

        Raises
        ------
        DataError
            When the data cannot be used, or no finite ``dof`` above 2 fits it.
        """
        source = as_source(data)
        table = source.load()
        estimate, dependent = covariance_of(table, source)
        mean = table.values.mean(axis=0)
        dof = fit_student_t_dof(table.values, mean, estimate.cov)
        return cls(
            dof=dof,
            loc=mean,
            shape=estimate.cov * (dof - 2.0) / dof,
            fitted=Fitted.to_table(
                table, source, estimate, dependent, f"degrees of freedom {dof:.4g} by maximum likelihood"
            ),
        )

    @property
    def names(self) -> tuple[str, ...] | None:
        return self.labels if self.fitted is None else self.fitted.names

    @property
    def centre(self) -> Float:
        return self.normal.location

    def spread_transposed(self, a: Float) -> Float:
        return self.normal.spread_transposed(a)

    def precision_times(self, shift: Float) -> Float:
        return self.normal.precision_times(shift)

    def entropy(self) -> float:
        """In nats: [1]_.

        References
        ----------
        .. [1] Zografos & Nadarajah, *Expressions for Renyi and Shannon entropies for multivariate distributions*,
           Stat. Probab. Lett. 71, 2005.
        """
        from scipy.special import digamma

        v, d = self.dof, self.dim
        log_constant = 0.5 * d * math.log(v * math.pi) + math.lgamma(0.5 * v) - math.lgamma(0.5 * (v + d))
        spread = 0.5 * (v + d) * float(digamma(0.5 * (v + d)) - digamma(0.5 * v))
        return log_constant + spread + self.normal.log_det

    def blended(self, old: Distribution, share: float) -> StudentT:
        """Centre and scale matrix blended with those of a t or normal law ``old``, with its own degrees of freedom."""
        normal = self.normal.blended(old.normal if isinstance(old, StudentT) else old, share)
        if normal.correlated:
            return StudentT(dof=self.dof, loc=normal.location, shape=normal.factor @ normal.factor.T)
        return StudentT(dof=self.dof, loc=normal.location, scale=normal.scales)

    @staticmethod
    def latent_dim_of(dim: int) -> int:
        return dim + 1

    def to_physical(self, u: Float, x: Float) -> Float:
        self.normal.to_physical(u[:, 1:], x)
        mixing = arrays.scratch("mixing", u.shape[0], 1)[:, 0]
        log_mixing(u[:, 0], self.mixing_table, mixing)
        exponential(mixing, mixing)
        stretch(x, self.normal.location, mixing)
        return x

    def sums_in_one_region(self, weights: Float) -> str:
        """See `Inputs.sums_in_one_region`.

        A weighted sum is ``c + s y sqrt(v / W(u))`` with a standard normal ``y`` across the first one, ``u``: the event
        ``>= t`` is ``y >= g(u)`` with ``g(u) = (t - c) sqrt(W(u) / v) / s``, one side of a graph. It has one likeliest
        point for ``t > c``: ``W``, a chi-square quantile, is convex in ``u`` (a test checks this), so ``u^2 + g(u)^2``
        has one minimum.
        """
        return "the factors have a multivariate t law: the event is one region with one likeliest point"

    @cached_property
    def mixing_table(self) -> PiecewisePolynomial:
        """The tabulated mixing variable, made when a draw is first mapped."""
        return log_mixing_table(self.dof)

    def linear_moments(self, weights: Float) -> tuple[float, float]:
        mean, scale = self.normal.linear_moments(weights)
        if self.dof <= 2:
            return (mean if self.dof > 1 else math.nan), math.nan
        return mean, scale * math.sqrt(self.dof / (self.dof - 2.0))

    def exponential_moments(self, weights: Float) -> tuple[float, float]:
        return (math.nan, math.nan) if np.any(weights) else (0.0, 0.0)

    def mass_below(self, x: float) -> Float:
        from scipy.special import stdtr

        return np.asarray(stdtr(self.dof, (x - self.normal.location) / self.normal.scales))

    def describe(self) -> list[str]:
        head = f"Student t, {self.dim} coordinates with one shared mixing variable, dof {self.dof:.4g}"
        return [head, *(self.fitted.lines if self.fitted else ())]

    def sample(self, rng: np.random.Generator, x: Float) -> None:
        self.normal.sample(rng, x)
        mixing = arrays.scratch("mixing", x.shape[0], 1)[:, 0]
        fill_mixing(rng, self.dof, mixing)
        stretch(x, self.normal.location, mixing)

    def logpdf(self, x: Float, out: Float) -> None:
        self.normal.distance(x, out)
        v, d = self.dof, self.dim
        out /= v
        np.log1p(out, out=out)
        out *= -0.5 * (v + d)
        out += math.lgamma(0.5 * (v + d)) - math.lgamma(0.5 * v) - 0.5 * d * math.log(v * math.pi)
        out -= self.normal.log_det

    @staticmethod
    def examples() -> list[StudentT]:
        """Members for the conformance tests."""
        return [
            StudentT(dof=4.0),
            StudentT(dof=7.5, loc=[1.0, -1.0], scale=[1.0, 2.0]),
            StudentT(dof=3.0, loc=[0.0, 1.0], shape=[[2.0, 0.6], [0.6, 1.0]]),
        ]


@kernel
def fill_mixing(rng: np.random.Generator, dof: float, out: Float) -> None:
    """``out[i] = sqrt(dof / W)`` with ``W`` chi-square."""
    for i in range(out.shape[0]):
        out[i] = math.sqrt(0.5 * dof / rng.standard_gamma(0.5 * dof))


@kernel
def stretch(x: Float, loc: Float, mixing: Float) -> None:
    """Replace ``x`` by ``loc + mixing * (x - loc)``, row by row."""
    n, d = x.shape
    for j in range(d):
        m = loc[j]
        for i in range(n):
            x[i, j] = m + mixing[i] * (x[i, j] - m)
