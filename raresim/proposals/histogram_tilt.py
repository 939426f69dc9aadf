"""Histogram tilts: coordinates that stay independent, reweighted by their quantile bin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from raresim.arguments import checks
from raresim.arguments.checks import Vector
from raresim.distributions.base import Distribution
from raresim.distributions.histogram_tilt import BINS, WIDTHS, HistogramTilt, bin_counts
from raresim.errors import FieldError
from raresim.numerics.arrays import Float
from raresim.proposals.base import ProposalFamily, WeightedMoments
from raresim.registry import member


@member("proposal_family")
@dataclass(frozen=True, kw_only=True, eq=False)
class HistogramTilting(ProposalFamily):
    """Independent coordinates reweighted bin by bin: for sums of many interchangeable, discrete or jumping factors.

    Parameters
    ----------
    groups : (d,), optional
        A whole number for each coordinate; coordinates with the same number share one tilt. Without it all share one.
    floor : float
        Smallest ratio of a bin's probability to the target's, above 0 and below 1: a coordinate multiplies the weight
        of a draw by at most its inverse.

    Raises
    ------
    FieldError
        When ``floor`` is out of range, or the groups are not numbered 0, 1, 2, ...

    Notes
    -----
    A factor of a rare sum is often a mixture: a jump with a small probability, otherwise the usual law. A shifted
    normal is far from that, a histogram of 18 bins of ``Phi(u)`` is close. With ``m`` interchangeable coordinates every
    elite gives ``m`` observations of the same histogram, so few elites determine its 17 parameters.

    Weighted maximum likelihood is the weighted share of each bin. A ratio below ``floor`` is set to ``floor``, and the
    other bins keep their proportions, which is the maximum under that constraint.
    """

    kind: ClassVar[str] = "histogram_tilt"

    groups: Vector | None = None
    floor: float = 0.05

    def __post_init__(self) -> None:
        checks.between("floor", self.floor, 0.0, 1.0)
        if self.groups is not None:
            groups = checks.vector("groups", self.groups)
            if not np.array_equal(np.unique(groups), np.arange(np.unique(groups).size)):
                raise FieldError("groups", "must be whole numbers 0, 1, 2, ... without a gap, one for each coordinate")
            object.__setattr__(self, "groups", groups)

    def labels(self, dim: int) -> Float:
        """The group of each of ``dim`` coordinates; raises `FieldError` if another number of groups is given."""
        return checks.vector("groups", 0.0 if self.groups is None else self.groups, dim)

    def n_parameters(self, dim: int) -> int:
        return (BINS - 1) * int(self.labels(dim).max() + 1)

    def suffstats(self, current: Distribution, u: Float, weight: Float) -> WeightedMoments:
        labels = self.labels(u.shape[1]).astype(int)
        counts = np.zeros((labels.max() + 1, BINS))
        for j, group in enumerate(labels):
            counts[group] += bin_counts(u[:, j], weight)
        return WeightedMoments(float(weight.sum()), float(np.square(weight).sum()), counts, np.zeros(0))

    def fit(self, current: Distribution, stats: WeightedMoments) -> HistogramTilt:
        shares = np.stack([_above(self.floor * WIDTHS, counts) for counts in stats.first])
        return HistogramTilt(shares=shares, groups=self.labels(current.dim))

    def kl(self, p: Distribution, q: Distribution) -> float:
        """Closed form: the laws agree within a bin, so it is the sum of the divergences of the bin probabilities."""
        a, b = _log_ratios(p), _log_ratios(q)
        return float(np.sum(WIDTHS * np.exp(a) * (a - b)))

    @staticmethod
    def examples() -> list[HistogramTilting]:
        """Members for the conformance tests."""
        return [HistogramTilting()]


def _above(least: Float, counts: Float) -> Float:
    """Probabilities in proportion to ``counts`` (18,), but at least ``least`` (18,), whose sum is below 1."""
    low = np.zeros(counts.size, dtype=bool)
    while True:
        scale = (1.0 - least[low].sum()) / counts[~low].sum()
        below = ~low & (scale * counts < least)
        if not below.any():
            return np.where(low, least, scale * counts)
        low |= below


def _log_ratios(law: Distribution) -> Float:
    """Log of the ratio of each bin, (d, 18); zero for the standard normal."""
    if isinstance(law, HistogramTilt):
        return law.log_ratios()
    return np.zeros((law.dim, BINS))
