"""The first rows of a stage, kept as they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from raresim.accumulators.base import Accumulator
from raresim.arrays import Float
from raresim.blocks import Block


@dataclass(frozen=True, eq=False)
class KeptRows(Accumulator):
    """Loss and log weight of the rows whose number in their stage is below a limit.

    Parameters
    ----------
    loss, log_weight : (k,) float64
        In the unit of the loss, and in nats.
    """

    loss: Float
    log_weight: Float

    @classmethod
    def of_block(cls, block: Block, loss: Float, log_weight: Float, limit: int | None = None) -> Self:
        """Copy the rows of one block that come before row ``limit`` of the stage (all without a limit)."""
        k = block.rows if limit is None else max(0, min(block.rows, limit - block.first))
        return cls(loss[:k].copy(), log_weight[:k].copy())

    def merge(self, other: Self) -> Self:
        if not other.loss.size:
            return self
        return type(self)(np.concatenate([self.loss, other.loss]), np.concatenate([self.log_weight, other.log_weight]))
