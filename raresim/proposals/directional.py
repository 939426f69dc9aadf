"""Laws with one direction each: an asymmetric profile along it, a common variance across it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from raresim.arguments import checks
from raresim.distributions.base import Distribution
from raresim.distributions.directional import Directional, along_and_square
from raresim.numerics.arrays import Float
from raresim.proposals.base import ProposalFamily, Statistics
from raresim.proposals.gaussian import weighted_sums
from raresim.proposals.gaussian_mixture import Components, MixtureFamily, checked_components, missing
from raresim.registry import member

LEAST_SHIFT = 1.0
"""Mean along the direction below which the rows surround the origin: they are then fitted with a normal profile."""

LEAST_VARIANCE = 0.6
"""Smallest variance of a normal profile, as in the Gaussian family: at one half the weights lose their variance."""

ACROSS = (0.8, 4.0)
"""Limits of the variance across the direction."""

NOISE = 2.0
"""Standard errors by which the variance across must differ from 1 to be used."""


@dataclass(frozen=True, eq=False)
class DirectionalStatistics(Statistics):
    """Weighted rows in the form in which a directional law is fitted to them.

    Parameters
    ----------
    first : (d,) float64
        ``sum_i w_i u_i``.
    rows : (3, n) float64
        ``a'u``, ``|u|^2`` and the weight of each row; ``a`` is the direction of the law before, n is 0 if it had none.
    """

    first: Float
    rows: Float

    def merge(self, other: Self) -> Self:
        return type(self)(
            self.weight + other.weight,
            self.weight2 + other.weight2,
            self.first + other.first,
            np.concatenate([self.rows, other.rows], axis=1),
        )


@dataclass(frozen=True, kw_only=True)
class _Component(ProposalFamily):
    """The family of one law."""

    kind: ClassVar[str] = "directional"
    passes: ClassVar[int] = 2

    left_floor: float

    def n_parameters(self, dim: int) -> int:
        return dim + 3  # the direction, the three numbers of the profile, and the variance

    def suffstats(self, current: Distribution, u: Float, weight: Float) -> DirectionalStatistics:
        n, d = u.shape
        first, rows = np.zeros(d), np.empty((3, 0))
        weighted_sums(u, weight, first)
        if isinstance(current, Directional):
            rows = np.empty((3, n))
            along_and_square(u, current.axis, rows[0], rows[1])
            rows[2] = weight
        return DirectionalStatistics(float(weight.sum()), float(np.square(weight).sum()), first, rows)

    def fit(self, current: Distribution, stats: DirectionalStatistics) -> Directional:
        mean = stats.first / stats.weight
        length = float(np.linalg.norm(mean))
        direction = mean / length if length > 0 else np.eye(mean.size)[0]
        if stats.rows.shape[1] == 0:
            return Directional(direction=direction, location=length, profile="normal")
        along, square, weight = stats.rows
        return fit_profile(along, square, weight, direction, self.left_floor)


@member("proposal_family")
@dataclass(frozen=True, kw_only=True)
class DirectionalMixture(MixtureFamily):
    """Mixtures of laws with a direction and a skewed profile along it: for smooth losses in many dimensions.

    A law has ``d + 3`` parameters, its weights stay bounded along the direction, and its single variance across it also
    fits events that are shells.

    Parameters
    ----------
    components : int or "auto"
        Number of laws; "auto" finds it by BIC.
    left_floor : float
        Smallest ratio of the profile's scale below its mode to the scale above, positive. 1 suits discrete and curved
        losses too; 0.25 is sharper if the loss is smooth and nearly linear in the tail.

    Raises
    ------
    FieldError
        When an option is out of range.
    """

    kind: ClassVar[str] = "directional"
    mapped: ClassVar[bool] = True

    components: Components = 1
    left_floor: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "components", checked_components(self.components))
        checks.positive("left_floor", self.left_floor)

    @property
    def part(self) -> _Component:
        return _Component(left_floor=self.left_floor)

    def fit_component(self, current: Distribution, stats: Any, allowed: float) -> Directional:
        return self.part.fit(current, stats)

    def shortfall(self, law: Distribution) -> str:
        return missing(self.components, len(law.parts[1]), 0, "")

    @staticmethod
    def examples() -> list[DirectionalMixture]:
        """Members for the conformance tests."""
        return [DirectionalMixture(), DirectionalMixture(components=2, left_floor=0.25)]


def fit_profile(along: Float, square: Float, weight: Float, direction: Float, left_floor: float) -> Directional:
    """The directional law fitted to weighted rows with given ``a'u`` and ``|u|^2``, (n,) both.

    Notes
    -----
    For an asymmetric Laplace law with mode ``m``, ``L = E (m - t)+`` and ``R = E (t - m)+``, the likelihood is largest
    at the scales ``L + sqrt(LR)`` and ``R + sqrt(LR)``, with value ``-2 log(sqrt(L) + sqrt(R)) - 1``. So ``m`` is the
    row with the smallest sum of the roots. The left scale is then raised to ``left_floor`` times the right one.
    Rows that surround the origin get a normal profile. The variance across stays 1 unless the rows clearly differ.
    """
    share = weight / weight.sum()
    ess = 1.0 / float(np.square(share).sum())
    d = direction.size
    variance = 1.0
    if d > 1:
        found = float(share @ (square - np.square(along))) / (d - 1)
        if abs(found - 1.0) > NOISE * math.sqrt(2.0 / ((d - 1) * ess)):
            variance = min(max(found, ACROSS[0]), ACROSS[1])
    mean = float(share @ along)
    if abs(mean) < LEAST_SHIFT:
        scale = math.sqrt(max(float(share @ np.square(along - mean)), LEAST_VARIANCE))
        return Directional(
            direction=direction, location=mean, left=scale, right=scale, variance=variance, profile="normal"
        )
    mode, left, right = fit_laplace(along, share)
    return Directional(
        direction=direction, location=mode, left=max(left, left_floor * right), right=right, variance=variance
    )


def fit_laplace(t: Float, share: Float) -> tuple[float, float, float]:
    """Mode and scales below and above of the maximum likelihood asymmetric Laplace law of ``t`` (n,) with ``share``.

    A scale is at least 1e-6 of the mode's size, so that equal rows have a law too.
    """
    order = np.argsort(t, kind="stable")
    t, share = t[order], share[order]
    below = np.cumsum(share)
    sum_below = np.cumsum(share * t)
    # Distances of the rows at or below and at or above each row; rounding may leave them just below zero.
    left = np.maximum(below * t - sum_below, 0.0)
    right = np.maximum((sum_below[-1] - sum_below) - (below[-1] - below) * t, 0.0)
    k = int(np.argmin(np.sqrt(left) + np.sqrt(right)))
    mode, cross = float(t[k]), math.sqrt(left[k] * right[k])
    least = 1e-6 * max(1.0, abs(mode))
    return mode, max(float(left[k]) + cross, least), max(float(right[k]) + cross, least)
