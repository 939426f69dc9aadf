"""The first rows beyond a floor, with their draws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from raresim.accumulators.base import Accumulator
from raresim.accumulators.weighted_losses import PIECES, Whole
from raresim.numerics.arrays import Float

NUMBERS = 2**23
"""Largest number of coordinates of all kept draws together (64 megabytes), or of what the parts lose in all of them."""


@dataclass(frozen=True)
class Beyond:
    """The rows that are kept, for numbers that need more than counts of events.

    Parameters
    ----------
    floor : float
        Smallest loss of the rows that are kept.
    draws : bool
        Whether the first kept rows keep their draws.
    """

    floor: float
    draws: bool


@dataclass(frozen=True, eq=False)
class TailDraws(Accumulator):
    """Loss, log weight and draw of every row that reaches a floor among the first ``n`` rows of the stage.

    Parameters
    ----------
    n : int
        Number of first rows of the stage that are covered.
    most : int
        Largest number of rows that are kept.
    full : bool
        Whether more rows came than are kept, so that no further row is kept.
    loss, log_weight, row, u : tuple of (j,) float64, float64 and int64, and (j, d) float64
        Losses, log weights in nats, row numbers from 0, and draws: pieces in the order of the rows.
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
        """Copy the rows of one block that reach the floor; a row without a loss does not reach it.

        Fewer rows are kept if the portfolio has so many ``parts`` that their losses are more numbers than a draw.
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
        """The same without surplus rows, covering the stage up to the first row that is left out."""
        if self.kept <= self.most:
            return self
        loss, log_weight, row, u = self.joined()
        m = self.most
        return type(self)(int(row[m]), m, True, (loss[:m],), (log_weight[:m],), (row[:m],), (u[:m],))

    def joined(self) -> tuple[Float, Float, Whole, Float]:
        """Losses, log weights, row numbers and draws, each as one array."""
        loss, log_weight = np.concatenate(self.loss), np.concatenate(self.log_weight)
        return loss, log_weight, np.concatenate(self.row), np.concatenate(self.u)
