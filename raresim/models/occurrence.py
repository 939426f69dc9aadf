"""The largest claim of a period in closed form: occurrence exceedance."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from raresim.models.frequencies import Frequencies
from raresim.numerics.arrays import Float

STEPS = 4_000
"""Points of the integral of the mean beyond a quantile, even on the logarithm of the claim."""

LAST = 1e-14
"""How much less likely than the quantile the last of these points is."""


@dataclass(frozen=True, eq=False)
class Occurrence:
    """The law of the largest claim of a period, of all lines.

    Parameters
    ----------
    frequencies : Frequencies
        The lines and the law of their numbers of claims, not joined by a copula.

    Notes
    -----
    ``P(M > x) = 1 - G(F_1(x), ..., F_k(x))`` with the generating function ``G`` of the numbers of claims; of Poisson
    lines ``1 - exp(-sum lambda_i P(X_i > x))``.
    """

    frequencies: Frequencies

    def exceeds(self, x: Float) -> Float:
        """``P(M > x)`` for each ``x`` (n,)."""
        missing = [line.severity.sf(x) for line in self.frequencies.lines]
        return np.asarray(-np.expm1(self.frequencies.log_pgf(missing)))

    def quantile(self, tail: float) -> float:
        """The smallest ``x`` with ``P(M > x) <= tail``; 0 where a claim is less likely than that."""
        if self.exceeds(np.zeros(1))[0] <= tail:
            return 0.0
        low, high = 0.0, 1.0
        while self.exceeds(np.array([high]))[0] > tail:
            low, high = high, 2.0 * high
            if math.isinf(high):
                return math.inf
        while low < (middle := 0.5 * (low + high)) < high:
            low, high = (low, middle) if self.exceeds(np.array([middle]))[0] <= tail else (middle, high)
        return high

    def mean_beyond(self, tail: float) -> float:
        """The mean of the worst share ``tail`` of all periods' largest claims; infinite where that of a claim is."""
        if any(math.isinf(line.severity.moments().mean) for line in self.frequencies.lines):
            return math.inf
        start = self.quantile(tail)
        first, last = max(start, self.quantile(0.5), 1e-300), self.quantile(tail * LAST)
        if start < first:  # the quantile is 0: from there to the first point the tail is taken as it is at both ends
            x = np.concatenate([np.linspace(start, first, STEPS), np.geomspace(first, last, STEPS)[1:]])
        else:
            x = np.geomspace(start, last, STEPS)
        p = self.exceeds(x)
        return start + float(np.sum(0.5 * (p[1:] + p[:-1]) * np.diff(x))) / tail
