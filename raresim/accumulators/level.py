"""All rows of a tuning level, without their draws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from raresim.accumulators.base import Accumulator
from raresim.information import weighted_cross_entropy
from raresim.numerics.arrays import Float


@dataclass(frozen=True, eq=False)
class LevelRows(Accumulator):
    """Loss, log weight and log density of every row, in the order of the blocks.

    Parameters
    ----------
    loss : (n,) float64
        Signed so that larger is rarer, in the unit of the loss.
    log_weight, log_q : (n,) float64
        ``log p - log q`` and ``log q`` at the draw, in nats.
    """

    loss: Float
    log_weight: Float
    log_q: Float

    @classmethod
    def of_block(cls, loss: Float, log_weight: Float, log_q: Float) -> Self:
        """Copy the rows of one block."""
        return cls(loss.copy(), log_weight.copy(), log_q.copy())

    def merge(self, other: Self) -> Self:
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return type(self)(*(np.concatenate(pair) for pair in pairs))

    def peak(self, level: float) -> float:
        """Largest log weight of the rows that reach ``level``, in nats."""
        return float(self.log_weight[self.loss >= level].max())

    def cross_entropy(self, level: float) -> float:
        """H(optimal, q) in nats, where optimal is the target restricted to ``loss >= level``; NaN without a hit."""
        elite = self.loss >= level
        if not elite.any():
            return float("nan")
        weight = np.exp(self.log_weight[elite] - self.peak(level))
        return weighted_cross_entropy(float(weight.sum()), float((weight * self.log_q[elite]).sum()))
