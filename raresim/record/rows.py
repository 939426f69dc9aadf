"""What an independent row of an estimate is."""

from __future__ import annotations

from typing import Literal, get_args

Unit = Literal["draw", "line", "direction", "replicate", "batch"]
"""One draw; one line or ray with the probability of the event along it; the estimate of a whole sample whose draws
depend on each other; or a batch of evaluations that corrects a surrogate."""

UNITS: tuple[str, ...] = get_args(Unit)


def is_estimate(unit: str | None) -> bool:
    """Whether each row is an estimate by itself, which has no weight: a replicate or a batch."""
    return unit in ("replicate", "batch")
