"""Weighted losses beyond a floor: each one while they are few, in narrow bins when they are many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from raresim.accumulators.base import Accumulator
from raresim.numerics.arrays import Float

CAPACITY = 2**20
"""Largest number of losses that are kept singly (24 megabytes)."""

BINS = 2**14
"""Number of bins for more losses; each bin holds an equal share, 1 / 16,384, of the first `CAPACITY` losses."""

PIECES = 64
"""Number of pieces before they are joined into one array."""

Whole = np.ndarray[tuple[int], np.dtype[np.int64]]


@dataclass(frozen=True, eq=False)
class Bins:
    """Sums of the rows between two edges.

    Parameters
    ----------
    edges : (b,) float64
        Lower ends of the bins, rising; the last bin is open.
    count : (b,) int64
        Rows in each bin.
    sum_w, sum_w2, sum_wl : (b,) float64
        Sums of weights, of their squares, and of weights times losses.
    """

    edges: Float
    count: Whole
    sum_w: Float
    sum_w2: Float
    sum_wl: Float

    @classmethod
    def around(cls, loss: Float) -> Self:
        """Empty bins that each hold an equal share of ``loss``; equal losses share one bin."""
        ranks = np.arange(BINS) * loss.size // BINS
        edges = np.unique(np.partition(loss, np.unique(ranks))[ranks])
        zeros = np.zeros((3, edges.size))
        return cls(edges, np.zeros(edges.size, np.int64), *zeros)

    def with_rows(self, loss: Float, log_weight: Float) -> Self:
        """These bins with further rows."""
        at = np.maximum(np.searchsorted(self.edges, loss, side="right") - 1, 0)
        weight = np.exp(log_weight)
        size = self.edges.size
        return type(self)(
            self.edges,
            self.count + np.bincount(at, minlength=size),
            self.sum_w + np.bincount(at, weight, size),
            self.sum_w2 + np.bincount(at, weight * weight, size),
            self.sum_wl + np.bincount(at, weight * loss, size),
        )

    def with_pieces(self, rows: WeightedLosses) -> Self:
        """These bins with all rows that are kept singly."""
        return self.with_rows(np.concatenate(rows.loss), np.concatenate(rows.log_weight))

    def with_bins(self, other: Bins) -> Self:
        """These bins with those of ``other``, each of which counts at its mean loss."""
        full = other.sum_w > 0
        mean = other.sum_wl[full] / other.sum_w[full]
        at = np.maximum(np.searchsorted(self.edges, mean, side="right") - 1, 0)
        size = self.edges.size
        return type(self)(
            self.edges,
            self.count + np.bincount(at, other.count[full], size).astype(np.int64),
            self.sum_w + np.bincount(at, other.sum_w[full], size),
            self.sum_w2 + np.bincount(at, other.sum_w2[full], size),
            self.sum_wl + np.bincount(at, other.sum_wl[full], size),
        )


@dataclass(frozen=True, eq=False)
class WeightedLosses(Accumulator):
    """Loss and log weight of every row that reaches a floor.

    Parameters
    ----------
    n : int
        Number of rows, including those below the floor.
    floor : float
        Smallest loss that is kept, in the unit of the loss.
    loss, log_weight, row : tuple of (j,) float64, float64 and int64
        Losses, log weights in nats, and row numbers from 0: pieces in the order of the rows.
    bins : Bins, optional
        Bins with all rows, if there were more than `CAPACITY`; only the first rows are then kept singly.
    first : int
        Number of first rows of the stage that the singly kept rows cover; 0 for all rows.
    """

    n: int
    floor: float
    loss: tuple[Float, ...]
    log_weight: tuple[Float, ...]
    row: tuple[Whole, ...]
    bins: Bins | None = None
    first: int = 0

    @classmethod
    def of_block(cls, loss: Float, log_weight: Float, floor: float) -> Self:
        """Copy the rows of one block that reach the floor; a row without a loss does not reach it."""
        at = np.flatnonzero(loss >= floor)
        return cls(loss.size, floor, (loss[at],), (log_weight[at],), (at.astype(np.int64),))

    @property
    def kept(self) -> int:
        """Number of rows that are kept singly."""
        return sum(piece.size for piece in self.loss)

    def joined(self) -> tuple[Float, Float, Whole]:
        """Losses, log weights and row numbers of the singly kept rows, each as one array."""
        return np.concatenate(self.loss), np.concatenate(self.log_weight), np.concatenate(self.row)

    @property
    def among(self) -> int:
        """Number of first rows of the stage that the singly kept rows cover."""
        return self.first or self.n

    def merge(self, other: Self) -> Self:
        n = self.n + other.n
        if self.bins is None and other.bins is None and self.kept + other.kept <= CAPACITY:
            pieces = (self.loss + other.loss, self.log_weight + other.log_weight)
            rows = self.row + tuple(piece + self.n for piece in other.row)
            if len(rows) <= PIECES:
                return type(self)(n, self.floor, *pieces, rows)
            both = type(self)(n, self.floor, *pieces, rows)
            loss, log_weight, row = both.joined()
            return type(self)(n, self.floor, (loss,), (log_weight,), (row,))
        bins = self.bins or Bins.around(np.concatenate(self.loss + other.loss)).with_pieces(self)
        bins = bins.with_pieces(other) if other.bins is None else bins.with_bins(other.bins)
        return type(self)(n, self.floor, self.loss, self.log_weight, self.row, bins, self.among)
