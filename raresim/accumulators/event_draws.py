"""A fixed number of draws of the event, each with the same chance to be among them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from raresim.accumulators.base import Accumulator
from raresim.accumulators.weighted_losses import PIECES, Whole
from raresim.numerics.arrays import Bool, Float
from raresim.numerics.blocks import Block
from raresim.numerics.streams import stream

LOTS = 2**62
"""Index of the stream of lots of a stage's first block; no stage has as many blocks."""


@dataclass(frozen=True)
class Drawing:
    """Which draws are kept as a sample of the event.

    Parameters
    ----------
    most : int
        Largest number of draws that are kept.
    at_least, at_most : float
        The event is a loss of at least the first, or of at most the second, in the unit of the loss.
    seed : int
        The run's seed.
    """

    most: int
    at_least: float = math.inf
    at_most: float = -math.inf
    seed: int = 0

    def holds(self, loss: Float) -> Bool:
        """The rows (n,) of the event; a row without a loss (NaN) is not among them."""
        inside: Bool = (loss >= self.at_least) | (loss <= self.at_most)
        return inside


@dataclass(frozen=True, eq=False)
class EventDraws(Accumulator):
    """The draws of the event with the smallest lots, among all rows of a stage.

    Each row has a lot, a uniform number from a stream of its own, so the kept draws are a random sample of all draws of
    the event without replacement [1]_, whatever the order of merging and the number of workers. (The first draws would
    not be one: those of a mixture's components follow one after the other.)

    Parameters
    ----------
    n : int
        Number of rows, including those outside the event.
    inside : int
        Number of rows in the event.
    most : int
        Largest number of draws that are kept.
    bound : float
        No draw with a lot above it is kept; 1 for no bound.
    lot, loss, log_weight, row, u : tuple of (j,) float64, float64, float64 and int64, and (j, d) float64
        Lots, losses, log weights in nats, row numbers from 0, and draws: pieces in the order of the rows. There are at
        most twice as many as are wanted.

    References
    ----------
    .. [1] Vitter, *Random sampling with a reservoir*, ACM Trans. Math. Softw. 11, 1985.
    """

    n: int
    inside: int
    most: int
    bound: float
    lot: tuple[Float, ...]
    loss: tuple[Float, ...]
    log_weight: tuple[Float, ...]
    row: tuple[Whole, ...]
    u: tuple[Float, ...]

    @classmethod
    def of_block(cls, block: Block, u: Float, loss: Float, log_weight: Float, drawing: Drawing) -> Self:
        """Draw lots for the rows of one block, and copy those that are kept."""
        lot = stream(drawing.seed, block.stage, LOTS + block.index).random(loss.size)
        at = np.flatnonzero(drawing.holds(loss))
        inside = at.size
        if inside > drawing.most:
            own = lot[at]
            at = at[own <= np.partition(own, drawing.most - 1)[drawing.most - 1]]
        pieces = (lot[at],), (loss[at],), (log_weight[at],), (at.astype(np.int64),), (np.ascontiguousarray(u[at]),)
        return cls(loss.size, inside, drawing.most, 1.0, *pieces)

    @property
    def kept(self) -> int:
        """Number of draws that are held."""
        return sum(piece.size for piece in self.lot)

    def merge(self, other: Self) -> Self:
        low = other if other.kept == 0 else other.below(self.bound)
        both = type(self)(
            self.n + other.n,
            self.inside + other.inside,
            self.most,
            min(self.bound, other.bound),
            self.lot + low.lot,
            self.loss + low.loss,
            self.log_weight + low.log_weight,
            self.row + tuple(piece + self.n for piece in low.row),
            self.u + low.u,
        )
        if both.kept > 2 * self.most:
            return both.cut()
        return both.joined() if len(both.lot) > PIECES else both

    def below(self, bound: float) -> Self:
        """The same without the draws whose lot is above ``bound``."""
        if bound >= self.bound:
            return self
        whole = self.joined()
        return whole._only(np.flatnonzero(whole.lot[0] <= bound), min(bound, self.bound))

    def cut(self) -> Self:
        """The same with as many draws as are wanted, in one piece."""
        whole = self.joined()
        if self.kept <= self.most:
            return whole
        bound = float(np.partition(whole.lot[0], self.most - 1)[self.most - 1])
        return whole._only(np.flatnonzero(whole.lot[0] <= bound), bound)

    def joined(self) -> Self:
        """The same in one piece."""
        if len(self.lot) == 1:
            return self
        return replace(
            self,
            lot=(np.concatenate(self.lot),),
            loss=(np.concatenate(self.loss),),
            log_weight=(np.concatenate(self.log_weight),),
            row=(np.concatenate(self.row),),
            u=(np.concatenate(self.u),),
        )

    def _only(self, at: np.ndarray[tuple[int], np.dtype[np.intp]], bound: float) -> Self:
        """The draws in places ``at`` of the only piece."""
        return replace(
            self,
            bound=bound,
            lot=(self.lot[0][at],),
            loss=(self.loss[0][at],),
            log_weight=(self.log_weight[0][at],),
            row=(self.row[0][at],),
            u=(self.u[0][at],),
        )

    @classmethod
    def thinned(cls, summaries: Sequence[Self]) -> Sequence[Self]:
        """As in `Accumulator`: draws are dropped whose lot is not among the smallest of all the summaries."""
        lots = np.concatenate([piece for summary in summaries for piece in summary.lot])
        most = summaries[0].most
        if lots.size <= most:
            return summaries
        bound = float(np.partition(lots, most - 1)[most - 1])
        return [replace(summary.below(bound), bound=summary.bound) for summary in summaries]
