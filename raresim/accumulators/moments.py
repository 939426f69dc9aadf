"""Mean and variance of the loss itself."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

from raresim.accumulators.base import Accumulator
from raresim.numerics.arrays import Float


@dataclass(frozen=True)
class LossMoments(Accumulator):
    """Mean and centred sum of squares of unweighted losses.

    Notes
    -----
    Summaries merge by the pairwise update of [1]_ eq. (2.1).

    References
    ----------
    .. [1] Chan, Golub & LeVeque, *Algorithms for computing the sample variance*, Am. Stat. 37, 1983.
    """

    n: int
    mean: float
    squares: float

    @classmethod
    def of_block(cls, loss: Float) -> Self:
        """Summarise the losses (n,) of one block, which may be empty."""
        if not loss.size:
            return cls(0, 0.0, 0.0)
        mean = float(loss.mean())
        return cls(loss.size, mean, float(((loss - mean) ** 2).sum()))

    def merge(self, other: Self) -> Self:
        if not self.n or not other.n:
            return self if self.n else other
        n = self.n + other.n
        gap = other.mean - self.mean
        return type(self)(
            n,
            self.mean + gap * other.n / n,
            self.squares + other.squares + gap * gap * self.n * other.n / n,
        )

    @property
    def std(self) -> float:
        """Sample standard deviation with divisor ``n - 1``; NaN for fewer than two losses."""
        return math.sqrt(self.squares / (self.n - 1)) if self.n > 1 else math.nan
