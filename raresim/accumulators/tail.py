"""Weighted moments of the indicator of each event, which give a probability and its error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from raresim.accumulators.base import Accumulator
from raresim.information import weighted_kl
from raresim.numerics import arrays
from raresim.numerics.arrays import Bool, Float
from raresim.numerics.exponentials import exponential
from raresim.numerics.jit import kernel
from raresim.record.event import Event


@dataclass(frozen=True, eq=False)
class TailMoments(Accumulator):
    """Sums over the hits of ``m`` events, each relative to its largest log weight.

    Parameters
    ----------
    n : int
        Number of rows, hits or not.
    hits : (m,) int64
        Number of rows in each event.
    peak : (m,) float64
        Largest log weight among the hits, in nats; ``-inf`` without a hit.
    sum_w, sum_w2, sum_w_log : (m,) float64
        Sums of ``v``, ``v^2`` and ``v log v`` with ``v = exp(log_weight - peak)``.
    """

    n: int
    hits: np.ndarray[tuple[int], np.dtype[np.int64]]
    peak: Float
    sum_w: Float
    sum_w2: Float
    sum_w_log: Float

    @classmethod
    def of_block(cls, log_weight: Float, masks: Sequence[Bool]) -> Self:
        """Summarise one block from ``log_weight`` (n,) in nats and the masks of the events."""
        return cls.of_hits(log_weight.size, [log_weight[mask] for mask in masks])

    @classmethod
    def of_hits(cls, n: int, log_weights: Sequence[Float]) -> Self:
        """Summarise a block of ``n`` rows from the log weights of each event's hits, which are not changed."""
        m = len(log_weights)
        peak = np.full(m, -np.inf)
        sums = np.zeros((3, m))
        for k, hits in enumerate(log_weights):
            if hits.size and (top := hits.max()) != -np.inf:
                if np.isnan(top):
                    raise ArithmeticError("a log weight is NaN: target and proposal are both impossible at a draw")
                peak[k] = top
                log_v = hits - top
                v = np.empty_like(log_v)
                exponential(log_v, v)
                if not v.all():
                    log_v[v == 0] = 0.0
                log_v *= v
                sums[:, k] = v.sum(), np.square(v, out=v).sum(), log_v.sum()
        counts = np.array([hits.size for hits in log_weights], dtype=np.int64)
        return cls(n, counts, peak, sums[0], sums[1], sums[2])

    def merge(self, other: Self) -> Self:
        peak = np.maximum(self.peak, other.peak)
        a, b = _shrink(self.peak, peak), _shrink(other.peak, peak)
        fa, fb = np.exp(a), np.exp(b)
        return type(self)(
            n=self.n + other.n,
            hits=self.hits + other.hits,
            peak=peak,
            sum_w=fa * self.sum_w + fb * other.sum_w,
            sum_w2=fa**2 * self.sum_w2 + fb**2 * other.sum_w2,
            sum_w_log=fa * (self.sum_w_log + a * self.sum_w) + fb * (other.sum_w_log + b * other.sum_w),
        )

    def log_probability(self, k: int) -> float:
        """Log of the estimate of event ``k``, ``sum w / n``, in nats; ``-inf`` without a hit."""
        return float(self.peak[k]) + math.log(self.sum_w[k] / self.n) if self.sum_w[k] > 0 else -math.inf

    def relative_error(self, k: int) -> float:
        """Standard error of the estimate of event ``k``, divided by the estimate; infinite without a hit."""
        if self.n < 2 or self.sum_w[k] == 0:
            return math.inf
        second = self.n * self.sum_w2[k] / self.sum_w[k] ** 2
        return math.sqrt(max(0.0, second - 1.0) / (self.n - 1))

    def ess(self, k: int) -> float:
        """Effective number of hits, ``(sum w)^2 / sum w^2`` (Kish)."""
        return float(self.sum_w[k] ** 2 / self.sum_w2[k]) if self.sum_w[k] > 0 else 0.0

    def max_share(self, k: int) -> float:
        """Share of the estimate that its largest weight carries."""
        return float(1.0 / self.sum_w[k]) if self.sum_w[k] > 0 else math.nan

    def kl(self, k: int) -> float:
        """KL(optimal || proposal) of event ``k`` in nats; NaN without a hit."""
        return weighted_kl(self.sum_w[k], self.sum_w_log[k], self.n)


def masks(events: Sequence[Event], loss: Float) -> list[Bool]:
    """The rows of each event."""
    return [loss >= e.threshold if e.direction == "above" else loss <= e.threshold for e in events]


def masks_with_failed(in_event: Sequence[Bool], loss: Float) -> list[Bool] | None:
    """The rows of each event, with every row without a loss counted in it; None if every row has a loss."""
    failed = np.isnan(loss)
    return [rows | failed for rows in in_event] if failed.any() else None


def hit_weights(log_weight: Float, mask: Bool) -> Float:
    """The entries of ``log_weight`` (n,) where ``mask`` is true, as an array of its own."""
    out = arrays.scratch("hits", log_weight.size + 1, 1)[:, 0]
    return out[: compress(log_weight, mask, out)].copy()


@kernel
def compress(x: Float, mask: Bool, out: Float) -> int:
    """Move the masked entries of ``x`` to the front of ``out``, which has one entry to spare; return their number.

    Every entry is written, and the position advances only after masked entries: the loop has no branch to mispredict.
    """
    k = np.uint64(0)
    for i in range(x.shape[0]):
        out[k] = x[i]
        k += np.uint64(mask[i])
    return int(k)


def _shrink(old: Float, new: Float) -> Float:
    """``old - new`` where ``old`` is finite, else 0, so that an empty sum stays empty."""
    shift = np.zeros_like(old)
    np.subtract(old, new, out=shift, where=np.isfinite(old))
    return shift
