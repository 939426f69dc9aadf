"""The first rows beyond a floor, with their draws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from raresim.accumulators.base import Accumulator
from raresim.accumulators.weighted_losses import PIECES, Whole
from raresim.numerics.arrays import Float

NUMBERS = 2**23
"""Coordinates of all draws that are kept (64 megabytes), or what the parts of the portfolio lose in all of them."""


@dataclass(frozen=True, eq=False)
class TailDraws(Accumulator):
    """Loss, log weight and draw of the first rows that reach a floor: those of the first ``n`` rows of the stage.

    Parameters
    ----------
    n : int
        Rows of the stage among which these are all that reach the floor.
    most : int
        Rows that are kept, at most.
    full : bool
        Whether a row more came, and none is kept any more.
    loss, log_weight, row, u : tuple of (j,) float64, float64 and int64, and (j, d) float64
        In the order of the rows, in pieces; weights in nats, and the number of each row, from 0.
    """

    n: int
    most: int
    full: bool
    loss: tuple[Float, ...]
    log_weight: tuple[Float, ...]
    row: tuple[Whole, ...]
    u: tuple[Float, ...]

    @classmethod
    def of_block(cls, u: Float, loss: Float, log_weight: Float, floor: float, parts: int = 0) -> Self:
        """Copy the rows of one block that reach the floor; a row without a loss does not.

        There are fewer where the portfolio has so many ``parts`` that what they lose is more than a draw.
        """
        at = np.flatnonzero(loss >= floor).astype(np.int64)
        most = max(1, NUMBERS // max(u.shape[1], parts))
        whole = cls(loss.size, most, False, (loss[at],), (log_weight[at],), (at,), (np.ascontiguousarray(u[at]),))
        return whole.cut()

    @property
    def kept(self) -> int:
        return sum(piece.size for piece in self.loss)

    def merge(self, other: Self) -> Self:
        if self.full:
            return self
        row = self.row + tuple(piece + self.n for piece in other.row)
        loss, log_weight, u = self.loss + other.loss, self.log_weight + other.log_weight, self.u + other.u
        both = type(self)(self.n + other.n, self.most, other.full, loss, log_weight, row, u)
        if both.kept > self.most:
            return both.cut()
        if len(loss) <= PIECES:
            return both
        one, weights, rows, draws = both.joined()
        return type(self)(both.n, self.most, both.full, (one,), (weights,), (rows,), (draws,))

    def cut(self) -> Self:
        """Without the rows that are too many, and those of the stage that come after the last one kept."""
        if self.kept <= self.most:
            return self
        loss, log_weight, row, u = self.joined()
        m = self.most
        return type(self)(int(row[m]), m, True, (loss[:m],), (log_weight[:m],), (row[:m],), (u[:m],))

    def joined(self) -> tuple[Float, Float, Whole, Float]:
        """Losses, log weights, numbers of the rows and draws, each as one array."""
        loss, log_weight = np.concatenate(self.loss), np.concatenate(self.log_weight)
        return loss, log_weight, np.concatenate(self.row), np.concatenate(self.u)
