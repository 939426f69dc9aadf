"""Exponential tilts of independent risk factors, in their own space."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from raresim.distributions.base import Distribution
from raresim.distributions.exponential_tilt import ExponentialTilt, natural_factors
from raresim.engine.problem import Space
from raresim.errors import FieldError
from raresim.marginals.base import Marginal
from raresim.marginals.exponential import Exponential
from raresim.marginals.gamma import Gamma
from raresim.marginals.geometric import Geometric
from raresim.marginals.negative_binomial import NegativeBinomial
from raresim.numerics.arrays import Float
from raresim.proposals.base import ProposalFamily, WeightedMoments
from raresim.proposals.gaussian import weighted_sums
from raresim.registry import member

NEAREST_END = 0.01
"""Smallest distance of a tilted mean from an end of the factor's range, relative to that of the untilted mean."""


@member("proposal_family")
@dataclass(frozen=True, kw_only=True)
class ExponentialTilting(ProposalFamily):
    """Exponential tilts in physical space, for inputs of independent factors of natural exponential families.

    A gamma, Poisson or Bernoulli factor is drawn from a gamma, Poisson or Bernoulli law with another mean. This is the
    right change for sums of independent, skewed or discrete factors, which a shift of normals cannot imitate.

    Parameters
    ----------
    floor : float
        How far a factor with an exponential upper tail may be tilted down: the scale of its tail stays above ``floor``
        times the untilted one. Above 0.5 and at most 1; at one half the weights lose their variance.

    Raises
    ------
    FieldError
        When ``floor`` is out of range.

    Notes
    -----
    The cross-entropy update has a closed form: the tilt that gives each factor its weighted mean among the elites,
    [1]_. A mean is kept away from the ends of the factor's range, by `NEAREST_END`.

    References
    ----------
    .. [1] de Boer, Kroese, Mannor & Rubinstein, *A tutorial on the cross-entropy method*, Ann. Oper. Res. 134, 2005.
    """

    kind: ClassVar[str] = "exponential_tilt"
    space: ClassVar[Space] = "physical"

    floor: float = 0.6

    def __post_init__(self) -> None:
        if not 0.5 < self.floor <= 1:
            raise FieldError("floor", f"must be above 0.5 and at most 1, got {self.floor:.15g}")

    def refuse(self, target: Distribution) -> None:
        natural_factors("proposal", target)

    def n_parameters(self, dim: int) -> int:
        return dim

    def suffstats(self, current: Distribution, u: Float, weight: Float) -> WeightedMoments:
        first = np.zeros(u.shape[1])
        weighted_sums(u, weight, first)
        return WeightedMoments(float(weight.sum()), float(np.square(weight).sum()), first, np.zeros(0))

    def fit(self, current: Distribution, stats: WeightedMoments) -> ExponentialTilt:
        untilted = current.law if isinstance(current, ExponentialTilt) else current
        factors = current.untilted if isinstance(current, ExponentialTilt) else natural_factors("proposal", current)
        low, high = np.array([self._limits(law) for law in factors]).T
        return ExponentialTilt(law=untilted, mean=np.clip(stats.first / stats.weight, low, high))

    def kl(self, p: Distribution, q: Distribution) -> float:
        """Closed form: ``log p - log q`` is affine in the factors, so its mean is its value at the mean of ``p``."""
        return sum(_kl(a, b) for a, b in zip(_factors(p), _factors(q), strict=True))

    def _limits(self, law: Marginal) -> tuple[float, float]:
        """Smallest and largest mean to which a factor is tilted."""
        (low, high), mean = law.support, law.moments().mean
        least = low + NEAREST_END * (mean - low) if math.isfinite(low) else -math.inf
        most = high - NEAREST_END * (high - mean) if math.isfinite(high) else math.inf
        if isinstance(law, (Exponential, Gamma)):
            least = low + self.floor * (mean - low)
        elif isinstance(law, (Geometric, NegativeBinomial)):
            # The tail falls like (1 - p)^k, on the scale -1 / log(1 - p).
            fail = (1.0 - law.p) ** (1.0 / self.floor)
            least = 1.0 / (1.0 - fail) if isinstance(law, Geometric) else law.n * fail / (1.0 - fail)
        return least, most

    @staticmethod
    def examples() -> list[ExponentialTilting]:
        """Members for the conformance tests."""
        return [ExponentialTilting()]


def _factors(law: Distribution) -> tuple[Marginal, ...]:
    return law.laws if isinstance(law, ExponentialTilt) else natural_factors("law", law)


def _kl(p: Marginal, q: Marginal) -> float:
    """KL(p || q) of two tilts of one law, by interpolation between the two values of ``p`` around its mean."""
    mean = p.moments().mean
    if not p.discrete:
        x = np.array([mean])
        return float((p.logpdf(x) - q.logpdf(x))[0])
    values: Float | None = p.atoms if p.kind == "finite" else None  # type: ignore[attr-defined]  # as of every Discrete
    if values is None:
        x = np.floor(mean) + np.array([0.0, 1.0])
    else:
        first = min(max(int(np.searchsorted(values, mean, side="right")) - 1, 0), values.size - 2)
        x = values[first : first + 2]
    gap = p.logpdf(x) - q.logpdf(x)
    return float(gap[0] + (mean - x[0]) / (x[1] - x[0]) * (gap[1] - gap[0]))
