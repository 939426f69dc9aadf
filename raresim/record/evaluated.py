"""The points at which a run evaluated a costly loss, in the order in which it did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raresim.numerics.arrays import Float

STAGES = ("search", "design", "learning", "correction")
"""What evaluations are for: a search that follows no values, the first design, learning, and the correction."""


@dataclass(frozen=True, eq=False)
class Evaluated:
    """Points, their losses, and what they were evaluated for.

    Parameters
    ----------
    stage : tuple of str
        One of `STAGES` for each of ``n`` points.
    u : (n, d) float64
        The points in standard normal space.
    values : (n, m) float64
        The limit states, or the loss alone; NaN where only the loss is known of a loss with limit states.
    loss : (n,) float64
        The loss.
    """

    stage: tuple[str, ...]
    u: Float
    values: Float
    loss: Float

    @classmethod
    def of(cls, stage: str, u: Float, values: Float, loss: Float) -> Evaluated:
        """Points that were all evaluated for one stage."""
        return cls((stage,) * len(u), u, values, loss)

    @classmethod
    def joined(cls, parts: Sequence[Evaluated]) -> Evaluated:
        """Several after one another, at least one."""
        stages = tuple(stage for part in parts for stage in part.stage)
        u, values, loss = (np.concatenate([getattr(p, name) for p in parts]) for name in ("u", "values", "loss"))
        return cls(stages, u, values, loss)
