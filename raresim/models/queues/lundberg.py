"""The exponents of a random walk: the twists under which claims outrun premiums, or services outrun arrivals."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from raresim.marginals.twist import Twistable

LARGEST = 1e6
"""Times the reciprocal of the mean claim up to which an exponent is looked for."""


@dataclass(frozen=True, eq=False)
class Exponents:
    """The twists of a walk with the steps ``X - c A``: a claim less the premium of the time before it.

    Parameters
    ----------
    claims, gaps : Twistable
        The laws of ``X`` and ``A``.
    rate : float
        The premium rate ``c``; 1 for a queue.

    Notes
    -----
    A path is twisted by ``exp(theta X - s A)`` a step. With ``E exp(theta X) E exp(-s A) = 1`` the density ratio of a
    path at any stopping time with the sum ``C`` of the claims so far and the time ``t`` is ``exp(theta C - s t)``
    ([1]_ ch. V). Lundberg's exponent ``gamma`` has ``s = c gamma``: then it is ``exp(gamma S)`` with the walk ``S``.

    References
    ----------
    .. [1] Asmussen & Albrecher, *Ruin probabilities*, 2nd ed., 2010.
    """

    claims: Twistable
    gaps: Twistable
    rate: float

    def log_mean(self, theta: float) -> float:
        """``log E exp(theta (X - c A))`` of a step."""
        return self.claims.log_mean(theta) + self.gaps.log_mean(-self.rate * theta)

    @cached_property
    def adjustment(self) -> float | None:
        """Lundberg's exponent; None where claims have no exponential moments that reach it, or a walk never falls."""
        if self.claims.is_heavy:
            return None
        theta = self.claims.largest()
        while self.log_mean(theta) > 0 and theta > 1e-12 * self.claims.largest():
            theta *= 0.5
        return root(self.log_mean, theta)

    def discount(self, theta: float) -> float:
        """``s`` with ``E exp(theta X) E exp(-s A) = 1``; infinite where there is none."""
        from scipy import optimize

        aim = self.claims.log_mean(theta)
        if not math.isfinite(aim):
            return math.inf

        def gap(s: float) -> float:
            return aim + self.gaps.log_mean(-s)

        high = max(self.rate * theta, 1e-12)
        while gap(high) > 0:
            high *= 2.0
            if high > 1e12:
                return math.inf
        return float(optimize.brentq(gap, 0.0, high, xtol=1e-15 * high, rtol=1e-14))

    def excess(self, theta: float) -> float:
        """``s(theta) - c theta``: the cumulant of the walk over a unit of time."""
        return self.discount(theta) - self.rate * theta

    def for_time(self, level: float, horizon: float) -> float | None:
        """The twist whose path reaches ``level`` by ``horizon``: least ``excess horizon - theta level`` from ``gamma``.

        With it, no path that reaches the level in time has a weight above the exponential of that.
        """
        from scipy import optimize

        least = self.adjustment
        if least is None:
            return None

        def bound(theta: float) -> float:
            value = self.excess(theta) * horizon - theta * level
            return value if math.isfinite(value) else 1e300

        high = 2.0 * least
        while bound(high) < bound(0.5 * high) and high < LARGEST * least:
            high *= 2.0
        found = optimize.minimize_scalar(bound, bounds=(least, high), method="bounded", options={"xatol": 1e-8 * high})
        theta = float(found.x)
        return theta if bound(theta) < bound(least) else least


def root(function: Callable[[float], float], low: float) -> float | None:
    """Where a convex ``function`` that is negative at ``low`` crosses zero above it; None where it does not."""
    from scipy import optimize

    if not function(low) < 0:
        return None
    high = 2.0 * low
    while function(high) < 0:
        low, high = high, 2.0 * high
        if high > 1e12 * low:
            return None
    while not math.isfinite(function(high)):
        middle = 0.5 * (low + high)
        if high - low < 1e-13 * high:
            return None
        value = function(middle)
        if value < 0:
            low = middle
        else:
            high = middle
    return float(optimize.brentq(function, low, high, xtol=1e-15 * high, rtol=1e-14))
