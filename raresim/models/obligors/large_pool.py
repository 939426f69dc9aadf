"""The loss of a one-factor portfolio of infinitely many small names, and the first correction for their size."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from raresim.numerics.arrays import Float

REACH = 12.0
"""Factors beyond which nothing is integrated."""

NODES = 400


class Pool(ABC):
    """Asymptotic single risk factor model [1]_, with the granularity adjustment [2]_.

    A member gives the mean and the variance of the loss given the factor.

    Notes
    -----
    Given the factor ``z`` the loss has the mean ``m(z)`` and the variance ``v(z)``. In a large pool the loss is its
    mean, an increasing function of the factor, so its quantile is ``m`` at that of the factor. To first order in the
    variance, the quantile is larger by ``-(1 / (2 phi)) d/dz [v phi / m']`` at the quantile of the factor, and the
    expected shortfall by ``v phi / (2 m' (1 - a))``.

    References
    ----------
    .. [1] Gordy, *A risk-factor model foundation for ratings-based bank capital rules*, J. Financ. Intermediation 12,
       2003.
    .. [2] Martin & Wilde, *Unsystematic credit risk*, Risk 15(11), 2002.
    """

    @abstractmethod
    def given(self, z: float) -> tuple[float, float, float, float, float]:
        """``m``, ``m'``, ``m''``, ``v`` and ``v'`` at the factor ``z``."""

    def value_at_risk(self, tail: float) -> tuple[float, float]:
        """The quantile with ``tail`` beyond it, and what the granularity adjustment adds."""
        from scipy import special

        z = -float(special.ndtri(tail))
        mean, first, second, variance, changes = self.given(z)
        if first <= 0:
            return mean, 0.0
        # -(1 / (2 phi)) d/dz [v phi / m'], with phi' = -z phi
        return mean, 0.5 * (z * variance / first - changes / first + variance * second / first**2)

    def expected_shortfall(self, tail: float) -> tuple[float, float]:
        """The mean loss beyond that quantile, and what the granularity adjustment adds."""
        from scipy import special

        z = -float(special.ndtri(tail))
        nodes, weights = np.polynomial.legendre.leggauss(NODES)
        at = z + 0.5 * (REACH - z) * (nodes + 1.0)
        phi = np.exp(-0.5 * at * at) / math.sqrt(2.0 * math.pi)
        means = np.array([self.given(float(x))[0] for x in at])
        mean = float(0.5 * (REACH - z) * (weights * phi) @ means) / tail
        _, first, _, variance, _ = self.given(z)
        density = math.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)
        return mean, 0.5 * variance * density / (first * tail) if first > 0 else 0.0

    def probability(self, level: float) -> float:
        """Of a loss of at least ``level``."""
        from scipy import optimize, special

        def gap(z: float) -> float:
            return self.given(z)[0] - level

        if gap(REACH) < 0:
            return 0.0
        return float(special.ndtr(-optimize.brentq(gap, -REACH, REACH, xtol=1e-12))) if gap(-REACH) < 0 else 1.0

    @property
    def variance_of_mean(self) -> float:
        """The variance of ``m(z)``: what is left of the loss's in a large pool."""
        nodes, weights = np.polynomial.hermite_e.hermegauss(NODES // 4)
        means = np.array([self.given(float(x))[0] for x in nodes])
        weights = weights / weights.sum()
        return float(weights @ (means - weights @ means) ** 2)


@dataclass(frozen=True, eq=False)
class LargePool(Pool):
    """A large pool of ``m`` obligors in default mode: ``m(z) = sum_k c_k p_k(z)``.

    Parameters
    ----------
    severity, severity_std : (m,) float64
        Mean and standard deviation of what each loses at default, in the unit of the loss.
    pd : (m,) float64
        Default probabilities.
    rho : (m,) float64
        Share of each asset value's variance that comes from the factor.
    """

    severity: Float
    severity_std: Float
    pd: Float
    rho: Float

    def given(self, z: float) -> tuple[float, float, float, float, float]:
        from scipy import special

        slope = np.sqrt(self.rho / (1.0 - self.rho))
        score = (special.ndtri(self.pd) + np.sqrt(self.rho) * z) / np.sqrt(1.0 - self.rho)
        p = special.ndtr(score)
        density = np.where(np.isfinite(score), np.exp(-0.5 * np.where(np.isfinite(score), score, 0.0) ** 2), 0.0)
        density *= slope / math.sqrt(2.0 * math.pi)
        c, square = self.severity, self.severity**2 + self.severity_std**2
        curve = -np.where(np.isfinite(score), score, 0.0) * slope * density
        mean, first, second = c @ p, c @ density, c @ curve
        variance = square @ p - (c**2) @ (p * p)
        return (
            float(mean),
            float(first),
            float(second),
            float(variance),
            float(square @ density - 2.0 * (c**2) @ (p * density)),
        )


@dataclass(frozen=True, eq=False)
class MovingPool(Pool):
    """A large pool of ``m`` obligors that go to default, to the worst rating, and so on to the best.

    Parameters
    ----------
    amount : (m, r + 1) float64
        What each is expected to lose there, in the unit of the loss.
    severity_std : (m,) float64
        Standard deviation of what each loses at default.
    outcome_probability : (m, r + 1) float64
        Of each outcome.
    rho : (m,) float64
        Share of each asset value's variance that comes from the factor.

    Notes
    -----
    With the probability ``S_kj(z)`` of outcome ``j`` or a worse one, the mean loss of an obligor is that in the best
    rating plus ``sum_j (c_kj - c_k,j+1) S_kj(z)``; the mean of its square likewise.
    """

    amount: Float
    severity_std: Float
    outcome_probability: Float
    rho: Float

    def given(self, z: float) -> tuple[float, float, float, float, float]:
        from scipy import special

        c, square = self.amount, self.amount**2
        square[:, 0] += self.severity_std**2
        reached = np.minimum(np.cumsum(self.outcome_probability, axis=1)[:, :-1], 1.0)
        root, own = np.sqrt(self.rho)[:, None], np.sqrt(1.0 - self.rho)[:, None]
        score = (special.ndtri(reached) + root * z) / own
        inside = np.isfinite(score)
        finite, slope = np.where(inside, score, 0.0), root / own
        p = special.ndtr(score)
        density = np.where(inside, np.exp(-0.5 * finite**2) / math.sqrt(2.0 * math.pi), 0.0) * slope
        falls, squares = c[:, :-1] - c[:, 1:], square[:, :-1] - square[:, 1:]
        mean, first = c[:, -1] + (falls * p).sum(axis=1), (falls * density).sum(axis=1)
        second = -(falls * finite * slope * density).sum()
        variance = (square[:, -1] + (squares * p).sum(axis=1) - mean**2).sum()
        change = ((squares * density).sum(axis=1) - 2.0 * mean * first).sum()
        return float(mean.sum()), float(first.sum()), float(second), float(variance), float(change)
