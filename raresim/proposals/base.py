"""The contract of a proposal family: its laws, and how tuning fits them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from raresim.accumulators.base import Accumulator
from raresim.distributions.base import Distribution
from raresim.engine.problem import Space
from raresim.information import kl_of_laws
from raresim.numerics.arrays import Float

KL_DRAWS = 2_000
"""Draws for the KL divergence between two members without a closed form."""

ELITES_PER_PARAMETER = 5
"""Smallest number of elites of a fit per free parameter; at least one of them is effective."""


@dataclass(frozen=True, eq=False)
class Statistics(Accumulator):
    """What a family keeps of weighted rows to fit a law: the sum of the weights, of their squares, and more.

    Parameters
    ----------
    weight : float
        Sum of the weights.
    weight2 : float
        Sum of their squares.
    """

    weight: float
    weight2: float

    @property
    def ess(self) -> float:
        """Effective number of rows, ``(sum w)^2 / sum w^2``."""
        return self.weight**2 / self.weight2 if self.weight2 > 0 else 0.0


@dataclass(frozen=True, eq=False)
class WeightedMoments(Statistics):
    """Weighted sums for the fit of a Gaussian.

    Parameters
    ----------
    first : (d,) float64
        ``sum_i w_i u_i``.
    second : float64
        ``sum_i w_i`` times the part of ``u_i u_i'`` that the family keeps: nothing, the diagonal, the whole matrix,
        or its projection on a few directions.
    """

    first: Float
    second: Float

    def merge(self, other: Self) -> Self:
        return type(self)(
            self.weight + other.weight,
            self.weight2 + other.weight2,
            self.first + other.first,
            self.second + other.second,
        )


class ProposalFamily(ABC):
    """Laws on the space of the draws, with their weighted maximum-likelihood fit.

    The fit to the elites of a level, weighted by ``p/q``, minimises the cross-entropy from the optimal
    proposal of that level: it is the cross-entropy update. Without a closed form, `begin` finds a law near it, and each
    of the `passes` over the elites (``suffstats``, then ``fit``) is a step of expectation maximisation from there.

    To add one: a frozen dataclass of options in a file of its own in this folder, decorated with
    ``@member("proposal_family")``, with a ``kind``, the methods below and ``examples()``.
    """

    kind: ClassVar[str]

    space: ClassVar[Space] = "standard"
    """The space of its laws: the standard normals behind the inputs, or the risk factors."""

    passes: ClassVar[int] = 1
    """Steps of the fit to the elites of a level; 1 with a closed form."""

    symmetric: ClassVar[bool] = False
    """Whether its laws, or their components, are symmetric about a point."""

    mapped: ClassVar[bool] = False
    """Whether uniforms can be mapped to draws of its laws; see `raresim.distributions.transport`."""

    blends: ClassVar[bool] = False
    """Whether a law can be blended with the law before; see `Distribution.blended`."""

    @property
    def part(self) -> ProposalFamily:
        """The family of one component; the family itself if its laws are not mixtures."""
        return self

    def refuse(self, target: Distribution) -> None:
        """Raise `FieldError` if the family has no law for draws of ``target``; called before any draw is made."""
        return

    @abstractmethod
    def n_parameters(self, dim: int) -> int:
        """Free parameters of one fitted law; the number of elites of a level is proportional to it."""

    @abstractmethod
    def suffstats(self, current: Distribution, u: Float, weight: Float) -> Statistics:
        """Sufficient statistics of the rows of ``u`` (n, d) with ``weight`` (n,) under the law of their draws."""

    @abstractmethod
    def fit(self, current: Distribution, stats: Any) -> Distribution:
        """The member of the family with the largest weighted likelihood, within the family's limits."""

    def begin(self, current: Distribution, u: Float, weight: Float, rng: np.random.Generator) -> Distribution:
        """The law with which the fit to the rows of ``u`` (n, d) with ``weight`` (n,) begins, if it takes steps."""
        return current

    def refit(self, current: Distribution, u: Float, weight: Float, rng: np.random.Generator) -> Distribution:
        """The whole fit to rows in memory: `begin`, then all `passes`."""
        law = self.begin(current, u, weight, rng)
        for _ in range(self.passes):
            law = self.fit(law, self.suffstats(law, u, weight))
        return law

    def shortfall(self, law: Distribution) -> str:
        """What a fitted ``law`` lacks of the options because there were too few elites; empty: nothing."""
        return ""

    def kl(self, p: Distribution, q: Distribution) -> float:
        """KL(p || q) in nats between two members (or the standard normal), in closed form or from `KL_DRAWS` draws."""
        return kl_of_laws(p, q, draws=KL_DRAWS).value
