"""Mixtures of laws with a von Mises-Fisher direction and a Nakagami radius."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from raresim.distributions.base import Distribution
from raresim.distributions.von_mises_fisher_nakagami import LARGEST_CONCENTRATION, VonMisesFisherNakagami, mean_cosine
from raresim.errors import FieldError
from raresim.numerics.arrays import Float
from raresim.proposals.base import ProposalFamily, WeightedMoments
from raresim.proposals.gaussian import weighted_sums
from raresim.proposals.gaussian_mixture import Components, MixtureFamily, checked_components, missing
from raresim.registry import member

NEWTON_STEPS = 50
"""Largest number of Newton steps; a handful is enough unless a parameter is near the end of its range."""

LARGEST_SHAPE = 1e8


@dataclass(frozen=True, kw_only=True)
class _Component(ProposalFamily):
    """The family of one law."""

    kind: ClassVar[str] = "von_mises_fisher_nakagami"

    floor: float

    def n_parameters(self, dim: int) -> int:
        return dim + 2

    def suffstats(self, current: Distribution, u: Float, weight: Float) -> WeightedMoments:
        square = np.einsum("ij,ij->i", u, u)
        first = np.zeros(u.shape[1])
        weighted_sums(u, weight / np.sqrt(square), first)
        radial = np.array([weight @ square, weight @ np.log(square)])
        return WeightedMoments(float(weight.sum()), float(np.square(weight).sum()), first, radial)

    def fit(self, current: Distribution, stats: WeightedMoments) -> VonMisesFisherNakagami:
        mean = stats.first / stats.weight
        cosine = float(np.linalg.norm(mean))
        direction = mean / cosine if cosine > 0 else np.eye(mean.size)[0]
        spread, mean_log = (float(s) for s in stats.second / stats.weight)
        shape = min(gamma_shape(math.log(spread) - mean_log), spread / (2.0 * self.floor))
        concentration = concentration_of(mean.size, cosine)
        return VonMisesFisherNakagami(direction=direction, concentration=concentration, shape=shape, spread=spread)


@member("proposal_family")
@dataclass(frozen=True, kw_only=True)
class VonMisesFisherNakagamiMixture(MixtureFamily):
    """Mixtures of von Mises-Fisher directions with Nakagami radii: for events in cones and shells of many dimensions.

    Parameters
    ----------
    components : int or "auto"
        Number of laws; "auto" finds it by BIC.
    floor : float
        Smallest ratio ``spread / (2 shape)``, which is 1 for the standard normal law. Above 0.5 and at most 1: the
        weights of a radius have a finite variance for every event only above one half.

    Raises
    ------
    FieldError
        When an option is out of range.

    Notes
    -----
    Weighted maximum likelihood of each component: the mean direction; the concentration whose mean cosine is the length
    of the weighted mean of the directions; and the gamma law of ``r^2``. [1]_ takes the shape from two moments instead.

    References
    ----------
    .. [1] Papaioannou, Geyer & Straub, *Improved cross entropy-based importance sampling with a flexible mixture
       model*, Reliab. Eng. Syst. Saf. 191, 2019.
    """

    kind: ClassVar[str] = "von_mises_fisher_nakagami"

    components: Components = 1
    floor: float = 0.6

    def __post_init__(self) -> None:
        object.__setattr__(self, "components", checked_components(self.components))
        if not 0.5 < self.floor <= 1:
            raise FieldError("floor", f"must be above 0.5 and at most 1, got {self.floor:.15g}")

    @property
    def part(self) -> _Component:
        return _Component(floor=self.floor)

    def fit_component(self, current: Distribution, stats: Any, allowed: float) -> VonMisesFisherNakagami:
        return self.part.fit(current, stats)

    def shortfall(self, law: Distribution) -> str:
        return missing(self.components, len(law.parts[1]), 0, "")

    @staticmethod
    def examples() -> list[VonMisesFisherNakagamiMixture]:
        """Members for the conformance tests."""
        return [VonMisesFisherNakagamiMixture(), VonMisesFisherNakagamiMixture(components=2)]


def concentration_of(d: int, cosine: float) -> float:
    """The concentration whose mean cosine is ``cosine``, from 0 to 1: Newton steps from a closed form, [1]_.

    References
    ----------
    .. [1] Sra, *A short note on parameter approximation for von Mises-Fisher distributions*, Comput. Stat. 27, 2012.
    """
    if cosine <= 0.0:
        return 0.0
    gap = (1.0 - cosine) * (1.0 + cosine)
    if gap * LARGEST_CONCENTRATION <= d:
        return LARGEST_CONCENTRATION
    kappa = cosine * (d - cosine * cosine) / gap
    for _ in range(NEWTON_STEPS):
        a = mean_cosine(d, kappa)
        slope = 1.0 - a * a - (d - 1) / kappa * a
        step = (a - cosine) / slope
        kappa = min(max(kappa - step, 0.1 * kappa), LARGEST_CONCENTRATION)
        if abs(step) < 1e-10 * kappa:
            break
    return kappa


def gamma_shape(gap: float) -> float:
    """The shape ``m`` of a gamma law with ``log m - digamma(m) = gap``: Newton steps from a closed form, [1]_.

    References
    ----------
    .. [1] Minka, *Estimating a gamma distribution*, 2002.
    """
    from scipy import special

    if gap <= 0.5 / LARGEST_SHAPE:
        return LARGEST_SHAPE
    m = (3.0 - gap + math.sqrt((gap - 3.0) ** 2 + 24.0 * gap)) / (12.0 * gap)
    for _ in range(NEWTON_STEPS):
        off = math.log(m) - float(special.digamma(m)) - gap
        before, m = m, 1.0 / (1.0 / m + off / (m * m * (1.0 / m - float(special.polygamma(1, m)))))
        if abs(m - before) < 1e-12 * m:
            break
    return m
