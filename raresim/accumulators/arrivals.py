"""The rows of the first hits of each event."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from raresim.accumulators.base import Accumulator
from raresim.numerics.arrays import Bool

Rows = np.ndarray[tuple[int], np.dtype[np.int64]]


@dataclass(frozen=True, eq=False)
class Arrivals(Accumulator):
    """The first ``wanted`` hits of each event, for a stage that ends with the last of them.

    Parameters
    ----------
    n : int
        Number of rows, hits or not.
    wanted : tuple of int
        Wanted hits of each event; later hits are not kept.
    rows : tuple of (j,) int64
        For each event the numbers of the rows that hit it, rising; the first row of the stage is number one.
    """

    n: int
    wanted: tuple[int, ...]
    rows: tuple[Rows, ...]

    @classmethod
    def of_block(cls, n: int, masks: Sequence[Bool], wanted: tuple[int, ...]) -> Self:
        """Summarise one block of ``n`` rows from the masks of the events."""
        pairs = zip(masks, wanted, strict=True)
        return cls(n, wanted, tuple((np.flatnonzero(mask)[:most] + 1).astype(np.int64) for mask, most in pairs))

    def merge(self, other: Self) -> Self:
        triples = zip(self.rows, other.rows, self.wanted, strict=True)
        rows = tuple(
            mine if mine.size == most else np.concatenate([mine, theirs[: most - mine.size] + self.n])
            for mine, theirs, most in triples
        )
        return type(self)(self.n + other.n, self.wanted, rows)

    def last(self, k: int) -> int | None:
        """Number of the row with the last wanted hit of event ``k``; None if it has not come yet."""
        return int(self.rows[k][-1]) if self.rows[k].size == self.wanted[k] else None

    @property
    def missing(self) -> tuple[int, ...]:
        """Hits of each event that are still to come."""
        return tuple(most - rows.size for most, rows in zip(self.wanted, self.rows, strict=True))
