"""The largest weights of each event, for the tail check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from raresim.accumulators.base import Accumulator
from raresim.numerics.arrays import Bool, Float

CAPACITY = 8192
"""Weights kept per event: enough for the Pareto fit's ``3 sqrt(hits)`` up to 7 million hits."""


@dataclass(frozen=True, eq=False)
class TopWeights(Accumulator):
    """The `CAPACITY` largest log weights of each event, unordered (more while merging: cut in `largest`).

    Parameters
    ----------
    log_weights : tuple of (j,) float64
        One array per event, in nats.
    """

    log_weights: tuple[Float, ...]

    @classmethod
    def of_block(cls, log_weight: Float, masks: Sequence[Bool]) -> Self:
        """Keep the largest log weights of one block."""
        return cls.of_hits([log_weight[mask] for mask in masks])

    @classmethod
    def of_hits(cls, log_weights: Sequence[Float]) -> Self:
        """Keep the largest of the log weights of the hits of each event; the arrays are kept, not copied."""
        return cls(tuple(_cut(hits) for hits in log_weights))

    def merge(self, other: Self) -> Self:
        pairs = zip(self.log_weights, other.log_weights, strict=True)
        return type(self)(tuple(_cut(np.concatenate(pair)) for pair in pairs))

    def largest(self, k: int) -> Float:
        """The kept log weights of event ``k``, largest first."""
        return np.sort(self.log_weights[k])[::-1][:CAPACITY]

    @classmethod
    def thinned(cls, summaries: Sequence[Self]) -> Sequence[Self]:
        """As in `Accumulator`: weights below the `CAPACITY`-th largest of all summaries are dropped."""
        floors = [
            _floor(np.concatenate(of_event)) for of_event in zip(*(s.log_weights for s in summaries), strict=True)
        ]
        return [
            cls(tuple(kept[kept >= floor] for kept, floor in zip(s.log_weights, floors, strict=True)))
            for s in summaries
        ]


def _floor(log_weight: Float) -> float:
    """The `CAPACITY`-th largest weight; minus infinity if there are fewer."""
    if log_weight.size <= CAPACITY:
        return -np.inf
    return float(np.partition(log_weight, log_weight.size - CAPACITY)[-CAPACITY])


def _cut(log_weight: Float) -> Float:
    """Drop weights that cannot be among the largest, if there are more than twice the capacity."""
    if log_weight.size <= 2 * CAPACITY:
        return log_weight
    return np.partition(log_weight, log_weight.size - CAPACITY)[-CAPACITY:]
