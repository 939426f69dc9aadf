"""Independent risk factors, each with a law of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from raresim.data import FileFacts
from raresim.distributions import margins
from raresim.distributions.base import HALF_SPACE, Distribution, Inputs
from raresim.marginals.base import Marginal
from raresim.marginals.logistic import Logistic
from raresim.marginals.skewed_t import SkewedT
from raresim.numerics.arrays import Float
from raresim.record.evidence import Evidence
from raresim.registry import member


@member("inputs", "distribution")
@dataclass(frozen=True, kw_only=True, eq=False)
class Independent(Inputs, Distribution):
    """Independent factors with any marginals.

    Parameters
    ----------
    marginals : mapping of name to Marginal, or sequence of Marginal, optional
        The law of each factor.
    marginal : Marginal, optional
        One law for all ``dim`` factors, instead of ``marginals``.
    dim : int, optional
        Number of factors where one ``marginal`` stands for all.
    """

    kind: ClassVar[str] = "independent"

    marginals: Mapping[str, Marginal] | Sequence[Marginal] | None = None
    marginal: Marginal | None = None
    dim: int = 0

    names: tuple[str, ...] = field(init=False, repr=False, default=())
    laws: tuple[Marginal, ...] = field(init=False, repr=False, default=())

    def __post_init__(self) -> None:
        names, laws = margins.named(self.marginals, self.marginal, self.dim)
        for name, value in {"names": names, "laws": laws, "dim": len(laws)}.items():
            object.__setattr__(self, name, value)

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
        return margins.to_physical(self.laws, u, x)

    @property
    def is_normal(self) -> bool:
        return all(law.is_normal for law in self.laws)

    def sums_in_one_region(self, weights: Float) -> str:
        held = [law for law, weight in zip(self.laws, weights, strict=True) if weight != 0]
        if len(held) == 1:
            return "only one factor has a weight, and it is monotone in one standard normal: the event is a half-space"
        return HALF_SPACE if all(law.is_normal for law in held) else ""

    def linear_moments(self, weights: Float) -> tuple[float, float]:
        return margins.linear_moments_of_independent(self.laws, weights)

    def exponential_moments(self, weights: Float) -> tuple[float, float] | None:
        return margins.exponential_moments(self.laws, weights, True)

    @property
    def independent_laws(self) -> tuple[Marginal, ...]:
        return self.laws

    def mass_below(self, x: float) -> Float:
        return margins.mass_below(self.laws, x)

    def describe(self) -> list[str]:
        return [f"{self.dim} independent factors", *margins.describe(self.names, self.laws)]

    def sample(self, rng: np.random.Generator, x: Float) -> None:
        for j, law in enumerate(self.laws):
            law.sample(rng, x[:, j])

    def logpdf(self, x: Float, out: Float) -> None:
        margins.log_density(self.laws, x, out)

    @staticmethod
    def examples() -> list[Independent]:
        """Members for the conformance tests."""
        return [
            Independent(marginals={"x": SkewedT(dof=5.0, skew=-0.3), "y": Logistic(scale=2.0)}),
            Independent(marginal=Logistic(loc=1.0), dim=3),
        ]
