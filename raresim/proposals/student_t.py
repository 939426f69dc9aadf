"""Student t proposals, alone and as a mixture: their tails keep the weights of any target bounded."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Self

import numpy as np

from raresim.arguments import checks
from raresim.distributions.base import Distribution
from raresim.distributions.normal import Normal
from raresim.distributions.standard_normal import StandardNormal
from raresim.distributions.student_t import StudentT
from raresim.errors import FieldError
from raresim.numerics.arrays import Float
from raresim.proposals.base import ProposalFamily, Statistics, WeightedMoments
from raresim.proposals.gaussian import Gaussian
from raresim.proposals.gaussian_mixture import (
    Components,
    Dense,
    MixtureFamily,
    affordable,
    checked_components,
    missing,
)
from raresim.registry import member

DOF_RANGE = (1.0, 200.0)
"""Limits of estimated degrees of freedom."""

FIRST_DOF = 10.0
"""Degrees of freedom with which their estimation begins."""


@dataclass(frozen=True, eq=False)
class StudentTStatistics(Statistics):
    """Sums for the fit of a t law, with the expected mixing variable of each row under the current law.

    Parameters
    ----------
    moments : WeightedMoments
        Moments of the rows, each weight times the expected precision ``(v + d) / (v + q)``.
    log_mixing : float
        Sum of weights times the expectation of ``log precision - precision``; NaN under a law that is not t.
    """

    moments: WeightedMoments
    log_mixing: float

    def merge(self, other: Self) -> Self:
        return type(self)(
            self.weight + other.weight,
            self.weight2 + other.weight2,
            self.moments.merge(other.moments),
            self.log_mixing + other.log_mixing,
        )


@member("proposal_family")
@dataclass(frozen=True, kw_only=True)
class StudentTMixture(MixtureFamily):
    """Mixtures of Student t laws: every weight stays bounded, however narrow the fit.

    Parameters
    ----------
    components : int or "auto"
        Number of t laws; "auto" finds it by BIC.
    dof : float or "estimated"
        Degrees of freedom of each law, from 1 to 200; or fitted for each.
    covariance : "mean_shift", "diagonal" or "full"
        What is fitted beside the centre: nothing (the identity stays), a diagonal or a whole scale matrix.
    floor : float
        Smallest eigenvalue of a fitted scale matrix, above 0 and at most 1.

    Raises
    ------
    FieldError
        When an option is out of range.

    Notes
    -----
    A t law is a normal law whose precision is multiplied by a random factor shared by all coordinates. Given a row at
    squared distance ``q`` from the centre, that factor has the mean ``(v + d) / (v + q)``: distant rows count less. The
    scale matrix is the weighted second moment divided by the sum of weights *times* factors. It has the fixed point of
    [1]_ and converges faster ([2]_). The degrees of freedom maximise the expected likelihood, by root finding.

    References
    ----------
    .. [1] Liu & Rubin, *ML estimation of the t distribution using EM and its extensions, ECM and ECME*,
       Stat. Sin. 5, 1995.
    .. [2] Kent, Tyler & Vardi, *A curious likelihood identity for the multivariate t-distribution*,
       Commun. Stat. Simul. Comput. 23, 1994.
    """

    kind: ClassVar[str] = "student_t"
    symmetric: ClassVar[bool] = True
    mapped: ClassVar[bool] = True
    blends: ClassVar[bool] = True

    components: Components = 1
    dof: float | Literal["estimated"] = 10.0
    covariance: Dense = "diagonal"
    floor: float = 0.3

    def __post_init__(self) -> None:
        object.__setattr__(self, "components", checked_components(self.components))
        checks.one_of("covariance", self.covariance, Dense)
        if isinstance(self.dof, str):
            checks.one_of("dof", self.dof, Literal["estimated"])
        elif not DOF_RANGE[0] <= self.dof <= DOF_RANGE[1]:
            raise FieldError("dof", f"must be from {DOF_RANGE[0]:g} to {DOF_RANGE[1]:g}, got {self.dof:.15g}")
        if not 0 < self.floor <= 1:
            raise FieldError("floor", f"must be above 0 and at most 1, got {self.floor:.15g}")

    @property
    def part(self) -> SingleT:
        return SingleT(dof=self.dof, covariance=self.covariance, floor=self.floor)

    def fit_component(self, current: Distribution, stats: StudentTStatistics, allowed: float) -> Distribution:
        estimated = self.dof == "estimated"
        covariance, moments = affordable(self.covariance, stats.moments, allowed - estimated)
        return replace(self.part, covariance=covariance).fit(current, replace(stats, moments=moments))

    def shortfall(self, law: Distribution) -> str:
        laws = law.parts[1]
        simpler = 0 if self.covariance == "mean_shift" else sum(not self._as_asked(one) for one in laws)
        return missing(self.components, len(laws), simpler, self.covariance)

    def _as_asked(self, law: Distribution) -> bool:
        normal = law.normal if isinstance(law, StudentT) else Normal()
        return normal.correlated if self.covariance == "full" else bool((normal.scales != 1.0).any())

    @staticmethod
    def examples() -> list[StudentTMixture]:
        """Members for the conformance tests."""
        return [
            StudentTMixture(),
            StudentTMixture(dof="estimated", covariance="full"),
            StudentTMixture(components=2, dof=4.0, covariance="mean_shift"),
        ]


@dataclass(frozen=True, kw_only=True)
class SingleT(ProposalFamily):
    """One t law; options as in `StudentTMixture`."""

    kind: ClassVar[str] = "student_t"

    dof: float | Literal["estimated"]
    covariance: Dense
    floor: float

    def n_parameters(self, dim: int) -> int:
        return Gaussian(covariance=self.covariance).n_parameters(dim) + (self.dof == "estimated")

    def suffstats(self, current: Distribution, u: Float, weight: Float) -> StudentTStatistics:
        from scipy.special import digamma

        precision, log_mixing = np.ones(len(u)), math.nan
        if isinstance(current, StudentT):
            v, d = current.dof, current.dim
            current.normal.distance(u, precision)
            precision += v
            np.divide(v + d, precision, out=precision)
            expected_log = np.log(precision) + float(digamma(0.5 * (v + d))) - math.log(0.5 * (v + d))
            log_mixing = float(weight @ (expected_log - precision))
        moments = Gaussian(covariance=self.covariance).suffstats(StandardNormal(dim=u.shape[1]), u, weight * precision)
        return StudentTStatistics(float(weight.sum()), float(np.square(weight).sum()), moments, log_mixing)

    def fit(self, current: Distribution, stats: StudentTStatistics) -> Distribution:
        moments = stats.moments
        mean = moments.first / moments.weight
        dof = _dof(stats) if self.dof == "estimated" else self.dof
        if self.covariance == "full":
            scatter = moments.second / moments.weight - np.outer(mean, mean)
            values, vectors = np.linalg.eigh(scatter)
            raised = (vectors * np.maximum(values, self.floor)) @ vectors.T
            return StudentT(dof=dof, loc=mean, shape=0.5 * (raised + raised.T))
        if self.covariance == "diagonal":
            variances = moments.second / moments.weight - mean**2
            return StudentT(dof=dof, loc=mean, scale=np.sqrt(np.maximum(variances, self.floor)))
        return StudentT(dof=dof, loc=mean, scale=1.0)


def _dof(stats: StudentTStatistics) -> float:
    """Degrees of freedom that maximise the expected likelihood."""
    from scipy.optimize import brentq
    from scipy.special import digamma

    if math.isnan(stats.log_mixing):
        return FIRST_DOF
    mean = stats.log_mixing / stats.weight

    def slope(v: float) -> float:
        return math.log(0.5 * v) - float(digamma(0.5 * v)) + 1.0 + mean

    low, high = DOF_RANGE
    if slope(low) <= 0:
        return low
    return high if slope(high) >= 0 else float(brentq(slope, low, high, xtol=1e-10))
