"""Money won by bets against a mean, which gives an interval that holds at every look."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from raresim.accumulators.base import Accumulator
from raresim.numerics.arrays import Float
from raresim.numerics.jit import kernel

STAKES = np.concatenate([-(10.0 ** np.linspace(-0.01, -4.0, 21)), 10.0 ** np.linspace(-4.0, 12.0, 65)])
"""Stakes on a row, in units of one over the largest weight: first on a smaller mean, then on a larger one.

Stakes must stay above -1, at which a row of the largest weight takes all the money. A good proposal has weights far
below the largest possible one, and needs stakes that are larger by the same factor."""

_SMALLER = 21


@dataclass(frozen=True, eq=False)
class Bets(Accumulator):
    """Sums of ``log(1 + s y)`` over the hits of each event, for each of `STAKES` and ``y = weight / largest weight``.

    Parameters
    ----------
    n : int
        Number of rows, hits or not.
    log_bound : float
        Log of the largest possible weight, in nats.
    log_won : (m, stakes) float64
        The sums, in nats.

    Notes
    -----
    A player who doubts that rows ``Y`` in [0, 1] have the mean ``m`` turns one unit into ``prod (1 + l (Y_i - m))``
    with a bet ``l``. If ``m`` is the mean, this is a martingale, which ever reaches ``1 / alpha`` with probability at
    most ``alpha``, for any number of rows; the same holds for the mean over several bets. The means against which no
    player became that rich form an interval that holds at all looks together ([1]_, sec. 4). With ``l = s / (1 + s m)``
    the product is ``prod (1 + s Y_i) / (1 + s m)^n``: one sum for each stake ``s`` serves all means, and rows without a
    hit add nothing to it. The stakes do not depend on the rows, so blocks can be summed separately.

    References
    ----------
    .. [1] Waudby-Smith & Ramdas, *Estimating means of bounded random variables by betting*, JRSS B 86, 2024.
    """

    n: int
    log_bound: float
    log_won: Float

    @classmethod
    def of_hits(cls, n: int, log_weights: Sequence[Float], log_bound: float) -> Self:
        """Summarise a block of ``n`` rows from the log weights of the hits of each event."""
        log_won = np.zeros((len(log_weights), STAKES.size))
        for k, hits in enumerate(log_weights):
            y = np.exp(np.minimum(hits - log_bound, 0.0))
            if y.size and y.min() == y.max():  # counts
                log_won[k] = y.size * np.log1p(STAKES * y[0])
            else:
                add_winnings(y, STAKES, log_won[k])
        return cls(n, log_bound, log_won)

    def merge(self, other: Self) -> Self:
        return type(self)(self.n + other.n, self.log_bound, self.log_won + other.log_won)

    def interval(self, k: int, confidence: float) -> tuple[float, float]:
        """The probabilities of event ``k`` at which neither player has ``2 / alpha`` units, ends included."""
        from scipy.optimize import brentq

        enough = math.log(2.0 / (1.0 - confidence))
        least, most = math.log(math.ulp(0.0)), min(0.0, -self.log_bound)
        larger = lambda log_mean: self._log_money(k, log_mean, slice(_SMALLER, None)) - enough  # noqa: E731
        smaller = lambda log_mean: self._log_money(k, log_mean, slice(_SMALLER)) - enough  # noqa: E731
        low = _crossing(brentq, larger, least, most)
        high = _crossing(brentq, smaller, least, most)
        return (
            0.0 if low is None else math.exp(low + self.log_bound),
            1.0 if high is None else min(1.0, math.exp(high + self.log_bound)),
        )

    def _log_money(self, k: int, log_mean: float, bets: slice) -> float:
        """Log of the player's mean money over some stakes, if the mean is ``exp(log_mean)`` largest weights."""
        logs = self.log_won[k, bets] - self.n * np.log1p(STAKES[bets] * math.exp(log_mean))
        top = float(logs.max())
        return top + math.log(float(np.exp(logs - top).mean()))


def _crossing(solve: Callable[..., float], money: Callable[[float], float], low: float, high: float) -> float | None:
    """The place where a monotone function changes its sign; None if there is none."""
    if money(low) * money(high) >= 0:
        return None
    return solve(money, low, high, xtol=1e-12)


@kernel
def add_winnings(y: Float, stakes: Float, out: Float) -> None:
    """Add ``sum_i log(1 + s y_i)`` to ``out`` for each stake ``s``, with one logarithm for eight rows.

    Factors lie between 0.02 and 1e12 + 1, so a product of eight stays within the range of doubles.
    """
    n = y.shape[0]
    for j in range(stakes.shape[0]):
        s = stakes[j]
        total = 0.0
        for first in range(0, n - 7, 8):
            product = 1.0
            for i in range(first, first + 8):
                product *= 1.0 + s * y[i]
            total += math.log(product)
        for i in range(n - n % 8, n):
            total += math.log1p(s * y[i])
        out[j] += total
