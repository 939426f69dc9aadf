"""Draws in the event from the first replicates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from raresim.accumulators.base import Accumulator
from raresim.numerics.arrays import Float

REPLICATES = 64
"""Number of replicates whose draws are kept."""

EACH = 32
"""Largest number of draws kept for each replicate and threshold."""

NUMBERS = 2**23
"""Largest number of coordinates of all kept draws together (64 megabytes)."""


@dataclass(frozen=True, eq=False)
class Ends(Accumulator):
    """Some of the draws in the events, of each of the first `REPLICATES` replicates.

    Parameters
    ----------
    u : tuple of (k, d) float64
        Draws in standard normal space, one array for each replicate.
    loss : tuple of (k,) float64
        Signed losses of the draws.
    """

    u: tuple[Float, ...]
    loss: tuple[Float, ...]

    @classmethod
    def of_run(cls, u: Float, loss: Float, thresholds: Float) -> Self:
        """Keep up to `EACH` evenly spaced draws of one replicate beyond each of the signed ``thresholds`` (m,)."""
        each = max(1, min(EACH, NUMBERS // (REPLICATES * thresholds.size * max(1, u.shape[1]))))
        hits = [np.flatnonzero(loss >= threshold) for threshold in thresholds]
        rows = np.unique(np.concatenate([of[evenly(of.size, each)] for of in hits]))
        return cls((np.ascontiguousarray(u[rows]),), (loss[rows],))

    def merge(self, other: Self) -> Self:
        return type(self)((self.u + other.u)[:REPLICATES], (self.loss + other.loss)[:REPLICATES])

    def beyond(self, threshold: float) -> Sequence[Float]:
        """The draws (k, d) beyond a signed threshold, of each replicate that has some."""
        parts = (u[loss >= threshold] for u, loss in zip(self.u, self.loss, strict=True))
        return [part for part in parts if len(part)]


def evenly(n: int, most: int) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Indices of at most ``most`` of ``n`` rows, evenly spaced."""
    return np.linspace(0, n - 1, min(most, n)).astype(np.intp)
