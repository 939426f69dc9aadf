"""One Gaussian; as much of its covariance is fitted as the number of elites supports."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from raresim.arguments import checks
from raresim.distributions.base import Distribution
from raresim.distributions.low_rank_normal import LowRankNormal
from raresim.distributions.normal import Normal, gaussian_moments
from raresim.distributions.standard_normal import StandardNormal
from raresim.errors import FieldError
from raresim.information import LowRank, kl_low_rank, kl_normal
from raresim.numerics.arrays import Float
from raresim.numerics.jit import kernel
from raresim.proposals.base import ProposalFamily, WeightedMoments
from raresim.registry import member

Covariance = Literal["mean_shift", "diagonal", "full", "low_rank"]


@member("proposal_family")
@dataclass(frozen=True, kw_only=True)
class Gaussian(ProposalFamily):
    """Gaussian proposals on standard normal space.

    Parameters
    ----------
    covariance : "mean_shift", "diagonal", "full" or "low_rank"
        What is fitted beside the mean: nothing (the identity stays), the variances, the whole matrix, or the
        variances along ``rank`` directions, the last in which the means moved from level to level (the default).
    rank : int
        Number of directions of ``low_rank``.
    floor : float
        Smallest eigenvalue of a fitted covariance, relative to the target's identity, above 0.5 and at most 1.

    Raises
    ------
    FieldError
        When ``floor`` or ``rank`` is out of range.

    Notes
    -----
    Weighted maximum likelihood, [1]_ sec. 3: weighted mean and weighted covariance of the elites. The weights of a
    Gaussian proposal have a finite variance for every event only if all eigenvalues exceed one half, and a full
    covariance fitted to few elites is far too narrow in some direction: eigenvalues below ``floor`` are raised to it.

    References
    ----------
    .. [1] de Boer, Kroese, Mannor & Rubinstein, *A tutorial on the cross-entropy method*, Ann. Oper. Res. 134, 2005.
    """

    kind: ClassVar[str] = "gaussian"
    symmetric: ClassVar[bool] = True
    mapped: ClassVar[bool] = True
    blends: ClassVar[bool] = True

    covariance: Covariance = "low_rank"
    rank: int = 1
    floor: float = 0.6

    def __post_init__(self) -> None:
        checks.one_of("covariance", self.covariance, Covariance)
        if not 0.5 < self.floor <= 1:
            raise FieldError("floor", f"must be above 0.5 and at most 1, got {self.floor:.15g}")
        object.__setattr__(self, "rank", checks.whole("rank", self.rank))
        if self.rank != 1 and self.covariance != "low_rank":
            raise FieldError("rank", f"goes with covariance: low_rank, got covariance: {self.covariance}")

    def n_parameters(self, dim: int) -> int:
        extra = {
            "mean_shift": 0,
            "diagonal": dim,
            "full": dim * (dim + 1) // 2,
            "low_rank": self.rank * (self.rank + 1) // 2,
        }
        return dim + extra[self.covariance]

    def suffstats(self, current: Distribution, u: Float, weight: Float) -> WeightedMoments:
        d = u.shape[1]
        first = np.zeros(d)
        weighted_sums(u, weight, first)
        if self.covariance == "diagonal":
            second = np.zeros(d)
            weighted_squares(u, weight, second)
        elif self.covariance == "full":
            second = np.zeros((d, d))
            weighted_products(u, weight, second)
        elif self.covariance == "low_rank" and isinstance(current, LowRankNormal):
            along = np.asfortranarray(u @ current.basis)
            second = np.zeros((along.shape[1], along.shape[1]))
            weighted_products(along, weight, second)
        else:
            second = np.zeros(0)
        return WeightedMoments(float(weight.sum()), float(np.square(weight).sum()), first, second)

    def fit(self, current: Distribution, stats: WeightedMoments) -> Distribution:
        mean = stats.first / stats.weight
        if self.covariance == "diagonal":
            variances = stats.second / stats.weight - mean**2
            return Normal(mean=mean, std=np.sqrt(np.maximum(variances, self.floor)))
        if self.covariance == "full":
            return Normal(mean=mean, cov=self._floored(stats.second / stats.weight - np.outer(mean, mean)))
        if self.covariance == "low_rank":
            return self._fit_low_rank(current, stats, mean)
        return Normal(mean=mean, std=1.0)

    def kl(self, p: Distribution, q: Distribution) -> float:
        if isinstance(p, LowRankNormal) or isinstance(q, LowRankNormal):
            return kl_low_rank(_low_rank(p), _low_rank(q))
        of_p, of_q = gaussian_moments(p), gaussian_moments(q)
        if of_p is None or of_q is None:
            raise TypeError(f"not Gaussian: {p!r}, {q!r}")
        return kl_normal(*of_p, *of_q)

    def _fit_low_rank(self, current: Distribution, stats: WeightedMoments, mean: Float) -> Distribution:
        """Variances along the directions of ``current``; the new directions are those of the last means."""
        old = current.basis if isinstance(current, LowRankNormal) else np.zeros((mean.size, 0))
        basis = orthonormal([mean, *old.T], self.rank)
        variances = np.ones(basis.shape[1])
        if old.shape[1]:
            centre = old.T @ mean
            along = self._floored(stats.second / stats.weight - np.outer(centre, centre))
            overlap = old.T @ basis
            variances = 1.0 + np.einsum("ik,ij,jk->k", overlap, along - np.eye(old.shape[1]), overlap)
        return LowRankNormal(mean=mean, directions=basis, variances=np.maximum(variances, self.floor))

    def _floored(self, cov: Float) -> Float:
        values, vectors = np.linalg.eigh(cov)
        raised: Float = (vectors * np.maximum(values, self.floor)) @ vectors.T
        return 0.5 * (raised + raised.T)

    @staticmethod
    def examples() -> list[Gaussian]:
        """Members for the conformance tests."""
        return [
            Gaussian(covariance="mean_shift"),
            Gaussian(covariance="diagonal"),
            Gaussian(covariance="full"),
            Gaussian(covariance="low_rank", rank=2),
        ]


def orthonormal(vectors: list[Float], limit: int) -> Float:
    """Gram-Schmidt on ``vectors`` (each (d,)): up to ``limit`` columns without near-repeats; shape (d, k)."""
    columns: list[Float] = []
    for vector in vectors:
        residual = vector.copy()
        for column in columns:
            residual -= (column @ residual) * column
        length = math.sqrt(residual @ residual)
        if len(columns) < limit and length > 0.05 * math.sqrt(vector @ vector):
            columns.append(residual / length)
    return np.asfortranarray(np.stack(columns, axis=1))


def _low_rank(law: Distribution) -> LowRank:
    if isinstance(law, LowRankNormal):
        return law.location, law.basis, law.spread
    if isinstance(law, StandardNormal):
        return np.zeros(law.dim), np.zeros((law.dim, 0)), np.zeros(0)
    raise TypeError(f"neither low-rank nor standard normal: {law!r}")


@kernel
def weighted_sums(u: Float, weight: Float, out: Float) -> None:
    """``out[j] = sum_i weight[i] u[i, j]``."""
    n, d = u.shape
    for j in range(d):
        total = 0.0
        for i in range(n):
            total += weight[i] * u[i, j]
        out[j] = total


@kernel
def weighted_squares(u: Float, weight: Float, out: Float) -> None:
    """``out[j] = sum_i weight[i] u[i, j]^2``."""
    n, d = u.shape
    for j in range(d):
        total = 0.0
        for i in range(n):
            total += weight[i] * u[i, j] * u[i, j]
        out[j] = total


@kernel
def weighted_products(u: Float, weight: Float, out: Float) -> None:
    """``out[j, c] = sum_i weight[i] u[i, j] u[i, c]``, symmetric."""
    n, d = u.shape
    for j in range(d):
        for c in range(j + 1):
            total = 0.0
            for i in range(n):
                total += weight[i] * u[i, j] * u[i, c]
            out[j, c] = total
            out[c, j] = total
