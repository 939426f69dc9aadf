"""Risk factors with any marginals, joined by a copula."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from raresim.copulas.base import Copula
from raresim.copulas.clayton import Clayton
from raresim.copulas.gaussian import Gaussian
from raresim.data import FileFacts
from raresim.data.names import labels_of, table_in_order
from raresim.distributions import margins
from raresim.distributions.base import Distribution, Inputs
from raresim.errors import FieldError
from raresim.marginals.base import Marginal
from raresim.marginals.logistic import Logistic
from raresim.marginals.skewed_t import SkewedT
from raresim.numerics import arrays
from raresim.numerics.arrays import Float
from raresim.numerics.normals import fill_standard_normal
from raresim.record.evidence import Evidence
from raresim.registry import member


@member("inputs", "distribution")
@dataclass(frozen=True, kw_only=True, eq=False)
class CopulaInputs(Inputs, Distribution):
    """Factors with any marginals, joined by a copula.

    Density ``c(F_1(x_1), ..., F_d(x_d)) f_1(x_1) ... f_d(x_d)`` (Sklar's theorem).

    Parameters
    ----------
    copula : Copula
        The dependence.
    marginals : mapping of name to Marginal, or sequence of Marginal, optional
        The law of each factor, as many as the copula has coordinates.
    marginal : Marginal, optional
        One law for all factors, instead of ``marginals``.
    """

    kind: ClassVar[str] = "copula"

    copula: Copula
    marginals: Mapping[str, Marginal] | Sequence[Marginal] | None = None
    marginal: Marginal | None = None

    names: tuple[str, ...] = field(init=False, repr=False, default=())
    laws: tuple[Marginal, ...] = field(init=False, repr=False, default=())

    def __post_init__(self) -> None:
        names, laws = margins.named(self.marginals, self.marginal, 0 if self.marginal is None else self.copula.dim)
        if len(laws) != self.copula.dim:
            raise FieldError("marginals", f"must be {self.copula.dim}, as many as the copula joins, got {len(laws)}")
        matrix = getattr(self.copula, "correlation", None)
        if labels_of(matrix) is not None:
            ordered = table_in_order("copula.correlation", matrix, names, names)
            object.__setattr__(self, "copula", replace(self.copula, correlation=ordered))  # type: ignore[type-var]
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "laws", laws)

    @property
    def dim(self) -> int:
        return self.copula.dim

    @property
    def latent_dim(self) -> int:
        return self.copula.latent_dim

    @property
    def fitted(self) -> None:
        return None

    @property
    def evidence(self) -> Evidence:
        return margins.evidence(self.names, self.laws)

    @property
    def sources(self) -> tuple[FileFacts, ...]:
        return margins.sources(self.laws)

    def to_physical(self, u: Float, x: Float) -> Float:
        v = arrays.scratch("scores", u.shape[0], self.dim)
        self.copula.scores(u, v)
        return margins.to_physical(self.laws, v, x)

    def linear_moments(self, weights: Float) -> tuple[float, float] | None:
        if np.count_nonzero(weights) == 1 or self.copula.kind == "independence":
            return margins.linear_moments_of_independent(self.laws, weights)
        return None

    def exponential_moments(self, weights: Float) -> tuple[float, float] | None:
        return margins.exponential_moments(self.laws, weights, self.copula.kind == "independence")

    def mass_below(self, x: float) -> Float:
        return margins.mass_below(self.laws, x)

    def describe(self) -> list[str]:
        return [f"{self.dim} factors", *self.copula.describe(), *margins.describe(self.names, self.laws)]

    def sample(self, rng: np.random.Generator, x: Float) -> None:
        u = arrays.scratch("latent", x.shape[0], self.latent_dim)
        fill_standard_normal(rng, u)
        self.to_physical(u, x)

    def logpdf(self, x: Float, out: Float) -> None:
        if any(law.discrete for law in self.laws):
            raise FieldError("space", "must be 'standard': a copula of discrete marginals has no density")
        v = arrays.scratch("scores", x.shape[0], self.dim)
        margins.to_scores(self.laws, x, v)
        inside = np.asarray(np.isfinite(v).all(axis=1))
        self.copula.logpdf(np.where(inside[:, None], v, 0.0), out)
        density = arrays.scratch("marginal_density", x.shape[0], 1)[:, 0]
        margins.log_density(self.laws, x, density)
        out += density

    @staticmethod
    def examples() -> list[CopulaInputs]:
        """Members for the conformance tests."""
        laws = {"x": SkewedT(dof=5.0, skew=-0.3), "y": Logistic(scale=2.0)}
        return [
            CopulaInputs(copula=Gaussian(correlation=[[1.0, 0.6], [0.6, 1.0]]), marginals=laws),
            CopulaInputs(copula=Clayton(theta=2.0, dim=2), marginals=list(laws.values())),
        ]
