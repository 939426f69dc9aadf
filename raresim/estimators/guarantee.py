"""A guaranteed relative error: stop at a number of hits, and time them by a clock of known law."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Self

from raresim.errors import FieldError

Guarantee = Literal["relative"]
"""The relative error exceeds a stated size with at most a stated probability, whatever the true probability is."""


@dataclass(frozen=True)
class Goal:
    """The hits at which the estimate of one event ends.

    Parameters
    ----------
    hits : int
        Number of hits, at least 3.
    error : float
        Guaranteed relative error, dimensionless.
    confidence : float
        Least probability that the relative error is not larger.
    """

    hits: int
    error: float
    confidence: float

    @classmethod
    def of(cls, relative_error: float, confidence: float) -> Self:
        """The goal of a run that asks for a relative standard error.

        The guarantee is for the half-width ``z r`` of a normal interval with the relative standard error ``r``, and the
        standard error is at most ``r``: the run takes about ``1 / r^2`` hits, as many as without the guarantee.

        Raises
        ------
        FieldError
            When that half-width is 1 or more.
        """
        from scipy.special import ndtri

        z = float(ndtri(0.5 + 0.5 * confidence))
        if z * relative_error >= 1:
            raise FieldError(
                "relative_error",
                f"must be below {1 / z:.3g} to be guaranteed at {100 * confidence:g} %, got {relative_error:.15g}: "
                f"the interval of {z:.3g} standard errors on both sides would begin below zero",
            )
        least = 2 + math.ceil(relative_error**-2)
        return cls(max(least, hits_for(z * relative_error, confidence)), z * relative_error, confidence)


@dataclass(frozen=True)
class Wait:
    """The time on the clock at the last hit of a goal; None if the budget ended before it."""

    goal: Goal
    time: float | None

    @property
    def value(self) -> float:
        """The estimate of the probability, ``(k - 1) / t``: unbiased, with a relative error of known law."""
        return (self.goal.hits - 1) / self.time if self.time else math.nan

    @property
    def relative_error(self) -> float:
        """Standard deviation of the estimate divided by the probability: ``1 / sqrt(k - 2)``."""
        return 1.0 / math.sqrt(self.goal.hits - 2)

    def interval(self) -> tuple[float, float]:
        """Exact equal-tailed interval of the probability ``p``, because ``p t`` has the gamma law of ``k``."""
        from scipy.special import gammainccinv, gammaincinv

        tail = 0.5 * (1.0 - self.goal.confidence)
        if not self.time:
            return 0.0, 1.0
        low, high = gammaincinv(self.goal.hits, tail), gammainccinv(self.goal.hits, tail)
        return float(low) / self.time, min(1.0, float(high) / self.time)


def hits_for(error: float, confidence: float) -> int:
    """Fewest hits ``k`` with which ``(k - 1) / t`` is within ``error`` with a probability of ``confidence``.

    Notes
    -----
    Gamma Bernoulli approximation scheme, [1]_: between draws the clock advances by independent standard exponential
    times, so the hits are a Poisson process of rate ``p``. With ``t`` the time of hit ``k``, ``p t`` has the gamma law
    of ``k``, so the law of the relative error ``(k - 1) / (p t)`` does not depend on ``p``.

    References
    ----------
    .. [1] M. Huber, *A Bernoulli mean estimate with known relative error distribution*, Random Structures & Algorithms
       50, 2017.
    """
    low, high = 2, 4
    while chance_of_more(high, error) > 1.0 - confidence:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if chance_of_more(middle, error) <= 1.0 - confidence else (middle, high)
    return high


def chance_of_more(hits: int, error: float) -> float:
    """Probability that the estimate after ``hits`` hits is off by more than ``error``, relative to the probability."""
    from scipy.special import gammainc, gammaincc

    return float(gammaincc(hits, (hits - 1) / (1 - error)) + gammainc(hits, (hits - 1) / (1 + error)))
