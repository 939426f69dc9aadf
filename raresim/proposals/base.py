"""The contract of a proposal family: what tuning may choose from, and how it is fitted."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Self

from raresim.accumulators.base import Accumulator
from raresim.arrays import Float
from raresim.distributions.base import Distribution


@dataclass(frozen=True, eq=False)
class WeightedMoments(Accumulator):
    """Weighted sums that a Gaussian is fitted from.

    Parameters
    ----------
    weight : float
        Sum of the weights.
    weight2 : float
        Sum of their squares.
    first : (d,) float64
        ``sum_i w_i u_i``.
    second : float64
        ``sum_i w_i`` times what the family keeps of ``u_i u_i'``: nothing, the diagonal, the whole, or its
        projection on a few directions.
    """

    weight: float
    weight2: float
    first: Float
    second: Float

    def merge(self, other: Self) -> Self:
        return type(self)(
            self.weight + other.weight,
            self.weight2 + other.weight2,
            self.first + other.first,
            self.second + other.second,
        )

    @property
    def ess(self) -> float:
        """Effective number of rows, ``(sum w)^2 / sum w^2``."""
        return self.weight**2 / self.weight2 if self.weight2 > 0 else 0.0


class ProposalFamily(ABC):
    """Laws on standard normal space, with their weighted maximum-likelihood fit.

    The fit to the elites of a level, weighted by ``p/q``, minimises the cross-entropy from the optimal
    proposal of that level: it is the cross-entropy update.

    To add one: a frozen dataclass of options in a file of its own in this folder, decorated with
    ``@member("proposal_family")``, with a ``kind``, the methods below and ``examples()``.
    """

    kind: ClassVar[str]

    @abstractmethod
    def n_parameters(self, dim: int) -> int:
        """Free parameters of one fitted law; the elites of a level are in proportion to it."""

    @abstractmethod
    def suffstats(self, current: Distribution, u: Float, weight: Float) -> WeightedMoments:
        """Sufficient statistics of the rows of ``u`` (n, d) with ``weight`` (n,) under the law they came from."""

    @abstractmethod
    def fit(self, current: Distribution, stats: WeightedMoments) -> Distribution:
        """The member of the family with the largest weighted likelihood, within the family's limits."""

    @abstractmethod
    def kl(self, p: Distribution, q: Distribution) -> float:
        """KL(p || q) in nats between two members (or the standard normal), in closed form."""
