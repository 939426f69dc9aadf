"""Risk factors with any marginals and a Pearson correlation of their own: Nataf's model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from raresim.arguments import checks
from raresim.arguments.checks import Matrix
from raresim.copulas.gaussian import Gaussian
from raresim.copulas.nataf import normal_correlation
from raresim.data import FileFacts
from raresim.data.correlation import RepairMode
from raresim.data.names import table_in_order
from raresim.distributions import margins
from raresim.distributions.base import Distribution, Inputs
from raresim.inputs.copula import CopulaInputs
from raresim.marginals.base import Marginal
from raresim.marginals.logistic import Logistic
from raresim.marginals.skewed_t import SkewedT
from raresim.numerics.arrays import Float
from raresim.record.evidence import Evidence
from raresim.registry import member


@member("inputs", "distribution")
@dataclass(frozen=True, kw_only=True, eq=False)
class Nataf(Inputs, Distribution):
    """Factors with any marginals, a Gaussian copula, and a given correlation of the factors themselves.

    ``correlation`` is Pearson's, between the factors as they are; the correlation of the normals behind them is solved
    for each pair [1]_.

    Parameters
    ----------
    correlation : (d, d)
        Pearson correlation of the factors.
    marginals : mapping of name to Marginal, or sequence of Marginal, optional
        The law of each factor, with a finite variance.
    marginal : Marginal, optional
        One law for all factors, instead of ``marginals``.
    repair : {"none", "nearest"}
        What to do when the normals' correlation is not positive definite: refuse it, or take the nearest one that is.

    Raises
    ------
    FieldError
        When a pair cannot have its correlation, or the matrix is not a correlation matrix.

    References
    ----------
    .. [1] Liu & Der Kiureghian, *Multivariate distribution models with prescribed marginals and covariances*,
       Probabilistic Engineering Mechanics 1(2), 1986.
    """

    kind: ClassVar[str] = "nataf"

    correlation: Matrix
    marginals: Mapping[str, Marginal] | Sequence[Marginal] | None = None
    marginal: Marginal | None = None
    repair: RepairMode = "none"

    joint: CopulaInputs = field(init=False, repr=False)

    def __post_init__(self) -> None:
        dim = 0 if self.marginal is None else len(np.asarray(self.correlation))
        names, laws = margins.named(self.marginals, self.marginal, dim)
        wanted = checks.matrix("correlation", table_in_order("correlation", self.correlation, names, names))
        normal = normal_correlation(laws, wanted)
        copula = Gaussian(correlation=normal, repair=self.repair)
        object.__setattr__(self, "correlation", wanted)
        object.__setattr__(self, "joint", CopulaInputs(copula=copula, marginals=dict(zip(names, laws, strict=True))))

    @property
    def dim(self) -> int:
        return self.joint.dim

    @property
    def names(self) -> tuple[str, ...]:
        return self.joint.names

    @property
    def fitted(self) -> None:
        return None

    @property
    def evidence(self) -> Evidence:
        return self.joint.evidence

    @property
    def sources(self) -> tuple[FileFacts, ...]:
        return self.joint.sources

    def to_physical(self, u: Float, x: Float) -> Float:
        return self.joint.to_physical(u, x)

    def linear_moments(self, weights: Float) -> tuple[float, float] | None:
        if self.repair != "none":
            return None
        mean, variance = margins.moments(self.joint.laws)
        exposure = weights * np.sqrt(variance)
        return float(weights @ mean), math.sqrt(float(exposure @ np.asarray(self.correlation) @ exposure))

    def exponential_moments(self, weights: Float) -> tuple[float, float] | None:
        return self.joint.exponential_moments(weights)

    def mass_below(self, x: float) -> Float | None:
        return self.joint.mass_below(x)

    def describe(self) -> list[str]:
        return ["Nataf: the normals' correlation was solved from the factors' correlation", *self.joint.describe()]

    def sample(self, rng: np.random.Generator, x: Float) -> None:
        self.joint.sample(rng, x)

    def logpdf(self, x: Float, out: Float) -> None:
        self.joint.logpdf(x, out)

    @staticmethod
    def examples() -> list[Nataf]:
        """Members for the conformance tests."""
        laws = {"x": SkewedT(dof=5.0, skew=-0.3), "y": Logistic(scale=2.0)}
        return [Nataf(correlation=[[1.0, 0.5], [0.5, 1.0]], marginals=laws)]
