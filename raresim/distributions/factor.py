"""A factor model: common factors with any joint law, and a specific part of each name."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from raresim.arguments.checks import Matrix, Vector
from raresim.data import FileFacts, ReturnKind
from raresim.data.names import in_order, labels_of, table_in_order
from raresim.distributions import margins
from raresim.distributions.base import HALF_SPACE, Distribution, Inputs
from raresim.distributions.lognormal_sum import lognormal_moments
from raresim.distributions.normal import gaussian_moments
from raresim.distributions.standard_normal import StandardNormal
from raresim.distributions.student_t import StudentT
from raresim.errors import FieldError
from raresim.marginals.base import Marginal
from raresim.marginals.normal import Normal
from raresim.numerics import arrays
from raresim.numerics.arrays import Float
from raresim.numerics.jit import kernel
from raresim.record.evidence import Evidence
from raresim.registry import member


@member("inputs")
@dataclass(frozen=True, kw_only=True, eq=False)
class FactorModel(Inputs):
    """``x = loc + loadings f + specific e`` with factors ``f`` of any law and independent residuals ``e`` of one law.

    Parameters
    ----------
    loadings : (d, k)
        Row ``i`` holds the loadings of name ``i`` on the ``k`` factors.
    factors : Inputs
        The joint law of the factors, ``k`` of them.
        A frame of pandas names the names by its index and the factors by its columns, where these have names.
    specific : float or (d,)
        Scale of each residual, not negative.
    residual : Marginal
        The law of a residual before it is scaled; standard normal by default.
    loc : float or (d,)
        Constant added to each name.
    """

    kind: ClassVar[str] = "factor"

    loadings: Matrix
    factors: Inputs
    specific: Vector
    residual: Marginal = field(default_factory=Normal)
    loc: Vector = 0.0
    labels: tuple[str, ...] | None = field(default=None, repr=False, metadata={"yaml": False})

    def __post_init__(self) -> None:
        labels = self.labels or next(filter(None, map(labels_of, (self.loadings, self.specific, self.loc))), None)
        columns = self.factors.names or tuple(f"x{i}" for i in range(1, self.factors.dim + 1))
        given: Any = table_in_order("loadings", self.loadings, labels or (), columns)
        try:
            loadings = np.array(given, dtype=np.float64)
        except (TypeError, ValueError):
            raise FieldError("loadings", "must be numbers in equal rows") from None
        if loadings.ndim != 2 or loadings.shape[1] != self.factors.dim:
            raise FieldError(
                "loadings",
                f"must be rows of {self.factors.dim} numbers, as many as there are factors, got shape {loadings.shape}",
            )
        if not np.isfinite(loadings).all():
            raise FieldError("loadings", "must be finite, got NaN or infinity")
        d = loadings.shape[0]
        names = labels or tuple(f"x{i}" for i in range(1, d + 1))
        specific = in_order("specific", self.specific, names)
        if (specific < 0).any():
            raise FieldError("specific", f"must not be negative, got {specific.min():g}")
        object.__setattr__(self, "loadings", arrays.frozen(loadings))
        object.__setattr__(self, "specific", specific)
        object.__setattr__(self, "loc", in_order("loc", self.loc, names))
        object.__setattr__(self, "labels", labels)

    @property
    def names(self) -> tuple[str, ...] | None:
        return self.labels

    @property
    def dim(self) -> int:
        return len(np.asarray(self.loadings))

    @property
    def latent_dim(self) -> int:
        return self.factors.latent_dim + self.dim

    @property
    def fitted(self) -> None:
        return None

    @property
    def evidence(self) -> Evidence:
        return self.factors.evidence.and_(margins.evidence(("residual",), (self.residual,)))

    @property
    def sources(self) -> tuple[FileFacts, ...]:
        return self.factors.sources + margins.sources((self.residual,))

    @property
    def are_returns(self) -> bool | None:
        return self.factors.are_returns

    @property
    def returns(self) -> ReturnKind | None:
        return self.factors.returns

    def to_physical(self, u: Float, x: Float) -> Float:
        n, k = u.shape[0], self.factors.latent_dim
        # The buffer is named after this model, because its factors may be a factor model too.
        f = self.factors.to_physical(u[:, :k], arrays.scratch(f"common {id(self)}", n, self.factors.dim))
        for j in range(self.dim):
            self.residual.from_normal(u[:, k + j], x[:, j])
        combine(np.asarray(self.loadings), f, np.asarray(self.specific), np.asarray(self.loc), x)
        return x

    @property
    def is_normal(self) -> bool:
        return self.factors.is_normal and (self.residual.is_normal or not np.any(self.specific))

    def sums_in_one_region(self, weights: Float) -> str:
        """See `Inputs.sums_in_one_region`: the factors decide where no weighted name has a specific part."""
        common = weights @ np.asarray(self.loadings)
        if not np.any(weights * np.asarray(self.specific)) and np.any(common):
            return self.factors.sums_in_one_region(common)
        return HALF_SPACE if self.factors.is_normal and self.residual.is_normal else ""

    def linear_moments(self, weights: Float) -> tuple[float, float] | None:
        common = self.factors.linear_moments(weights @ np.asarray(self.loadings))
        if common is None:
            return None
        own_mean, own_std = margins.linear_moments_of_independent(
            [self.residual] * self.dim, weights * np.asarray(self.specific)
        )
        return float(weights @ np.asarray(self.loc)) + common[0] + own_mean, math.hypot(common[1], own_std)

    def exponential_moments(self, weights: Float) -> tuple[float, float] | None:
        held = weights != 0
        loadings, specific = np.asarray(self.loadings), np.asarray(self.specific)
        used = np.any(loadings[held], axis=0).astype(np.float64)
        of_factors = self.factors.exponential_moments(used)
        widest = float(specific[held].max(initial=0.0))
        if (of_factors is not None and math.isnan(of_factors[1])) or (
            widest > 0 and not margins.has_exponential_moment(self.residual, 2.0 * widest)
        ):
            return math.nan, math.nan
        known = gaussian_moments(self.factors) if isinstance(self.factors, Distribution) else None
        if known is None or not self.is_normal:
            return None
        mean, cov = known
        own_mean, own_variance = self.residual.moments()[:2]
        spread = loadings @ (cov if cov.ndim == 2 else np.diag(cov)) @ loadings.T + np.diag(specific**2 * own_variance)
        return lognormal_moments(np.asarray(self.loc) + loadings @ mean + specific * own_mean, spread, weights)

    def describe(self) -> list[str]:
        scales = np.asarray(self.specific)
        size = f"{scales.min():.4g}" if scales.min() == scales.max() else f"{scales.min():.4g} to {scales.max():.4g}"
        return [
            f"factor model: {self.dim} names, {self.factors.dim} factors",
            *(f"factors: {line}" for line in self.factors.describe()),
            f"specific parts: {self.residual.describe()}, scale {size}",
        ]

    @staticmethod
    def examples() -> list[FactorModel]:
        """Members for the conformance tests."""
        return [
            FactorModel(loadings=[[0.6], [0.3], [-0.2]], factors=StudentT(dof=5.0), specific=0.5, loc=[0.0, 1.0, 2.0]),
            FactorModel(loadings=[[1.0, 0.5], [0.0, 2.0]], factors=StandardNormal(dim=2), specific=[0.0, 1.5]),
        ]


@kernel
def combine(loadings: Float, f: Float, specific: Float, loc: Float, x: Float) -> None:
    """``x = loc + loadings f + specific x``, column by column."""
    n, d = x.shape
    for j in range(d):
        s = specific[j]
        m = loc[j]
        for i in range(n):
            x[i, j] = m + s * x[i, j]
        for k in range(f.shape[1]):
            b = loadings[j, k]
            if b != 0.0:
                for i in range(n):
                    x[i, j] += b * f[i, k]
