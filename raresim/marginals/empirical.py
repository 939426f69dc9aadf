"""The law of a sample."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from raresim.arguments import checks
from raresim.arguments.checks import Vector
from raresim.errors import DataError
from raresim.marginals import likelihood
from raresim.marginals.finite import Atoms, Tabulated
from raresim.marginals.likelihood import MarginalFit
from raresim.numerics.arrays import Float
from raresim.registry import member


@member("marginal")
@dataclass(frozen=True, kw_only=True, eq=False)
class Empirical(Tabulated):
    """The discrete law of a sample: each observation has probability ``1 / n``, and equal ones form one atom.

    It never exceeds its sample: an event beyond the largest observation has probability 0.

    Parameters
    ----------
    values : (n,) array_like
        The sample, in any order.
    """

    kind: ClassVar[str] = "empirical"

    values: Vector
    _table: Atoms = field(init=False, repr=False)

    def __post_init__(self) -> None:
        values = checks.vector("values", self.values)
        object.__setattr__(self, "values", values)
        atoms, occurrences = np.unique(values, return_counts=True)
        object.__setattr__(self, "_table", Atoms.of(atoms, np.log(occurrences / values.size)))

    def describe(self) -> str:
        low, high = self.support
        n = np.size(self.values)
        return f"empirical ({n} values from {low:.6g} to {high:.6g}; it cannot go beyond its sample)"

    @classmethod
    def fit(cls, values: ArrayLike, weights: ArrayLike | None = None) -> MarginalFit:
        """The law of ``values``. It has no parameters, so its AIC and BIC do not count its freedom."""
        x = unweighted(cls.kind, values, weights)
        law = cls(values=x)
        return MarginalFit(law, {}, {}, float(law.logpdf(x).sum()), x.size)

    @staticmethod
    def examples() -> list[Empirical]:
        """Members for the conformance tests."""
        return [
            Empirical(values=[0.3, -1.2, 2.5, 0.3, 7.0]),
            Empirical(values=np.random.default_rng(5).standard_t(4, 400)),
        ]


def unweighted(kind: str, values: ArrayLike, weights: ArrayLike | None) -> Float:
    """The checked sample; raises `DataError` where weights differ, since laws of a sample take no weights."""
    x, w = likelihood.observations(values, weights)
    if (w != w[0]).any():
        raise DataError(f"{kind} takes no weights; repeat the values, or use finite")
    return x
