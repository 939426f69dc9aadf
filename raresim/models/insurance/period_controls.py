"""What is known of a table of periods without sampling: each of its periods is as likely as the others."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from raresim.models.controls import Control
from raresim.models.insurance.compound_loss import CompoundLoss
from raresim.numerics.arrays import Float

if TYPE_CHECKING:
    from raresim.record.records import Estimate

NAME = "all periods of the table"

ROUNDING = 1e-9
"""How far a number from the losses of all periods may be off, relative to it."""

CHUNK = 2**16
"""Periods whose losses are computed at once."""


def losses_of_periods(loss: CompoundLoss) -> Float | None:
    """The loss of each period (p,), in rising order; None where the loss is not that of one table of fixed losses."""
    if loss.frequencies.lines or len(loss.tables) != 1 or loss.tables[0].is_random:
        return None
    out = np.empty(loss.tables[0].periods)
    for first in range(0, out.size, CHUNK):
        part = out[first : first + CHUNK]
        x = np.zeros((part.size, loss.factors), order="F")
        x[:, 0] = np.arange(first, first + part.size) + 1.0
        loss(x, part)
    return np.sort(out)


def controls_of(ordered: Float, estimates: Sequence[Estimate]) -> Iterator[Control]:
    """Controls of the numbers ``estimates``, from the losses of all periods in rising order."""
    why = "nothing: the share of the periods, or the mean over them"
    yield Control("expected loss", "EL", float(ordered.mean()), None, why)
    for e in estimates:
        if e.level is None:
            yield Control(NAME, e.label, float(np.mean(ordered >= e.threshold)), e.value, why, ROUNDING)
            continue
        tail = 1.0 - e.level
        place = quantile_place(tail, ordered.size)
        value = float(ordered[place])
        if e.kind == "value_at_risk":
            around = ordered[max(place - 1, 0) : place + 2]
            step = float(np.abs(around - value).max())
            steps = f"losses of a table move in steps: the neighbouring losses are {around[0]:.6g} and {around[-1]:.6g}"
            yield Control(NAME, e.label, value, e.value, steps, max(step / value, ROUNDING) if value else None)
        elif e.kind == "expected_shortfall":
            shortfall = value + float(np.maximum(ordered - value, 0.0).mean()) / tail
            yield Control(NAME, e.label, shortfall, e.value, why, ROUNDING)


def quantile_place(tail: float, periods: int) -> int:
    """The place of the smallest loss that is not exceeded with at least one minus ``tail``, in rising order."""
    beyond = math.floor(tail * periods * (1.0 + 1e-12) + 1e-9)
    return max(0, periods - 1 - beyond)
