"""The first rows of a stage, kept as they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from raresim.accumulators.base import Accumulator
from raresim.numerics.arrays import Float
from raresim.numerics.blocks import Block


@dataclass(frozen=True, eq=False)
class KeptRows(Accumulator):
    """Loss and log weight of the first rows of a stage, up to a limit.

    Parameters
    ----------
    loss, log_weight : (k,) float64
        Losses in their unit, and log weights in nats.
    states : (k, m) float64 or None
        Limit states of each row, where they are kept too.
    """

    loss: Float
    log_weight: Float
    states: Float | None = None

    @classmethod
    def of_block(cls, block: Block, loss: Float, log_weight: Float, limit: int | None = None) -> Self:
        """Copy as many rows of one block as lie before row ``limit`` of the stage (all rows without a limit).

        If that is only a part of the block, the rows are evenly spaced in it, because the components of a mixture
        follow one after the other. Rows without a loss are left out.
        """
        k = block.rows if limit is None else max(0, min(block.rows, limit - block.first))
        rows = np.arange(k) * block.rows // max(1, k)
        rows = rows[~np.isnan(loss[rows])]
        return cls(loss[rows], log_weight[rows])

    def merge(self, other: Self) -> Self:
        if not other.loss.size:
            return self
        joined = np.concatenate([self.loss, other.loss]), np.concatenate([self.log_weight, other.log_weight])
        if self.states is None or other.states is None:
            return type(self)(*joined)
        return type(self)(*joined, np.concatenate([self.states, other.states]))
