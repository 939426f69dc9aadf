"""Thresholds that may be in another unit than the loss: remarks for ``raresim check``, before anything is drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from raresim.data import ReturnsTable
from raresim.diagnostics.assumptions import BEYOND_GROSS, USUAL
from raresim.distributions.base import Inputs
from raresim.losses.base import Loss
from raresim.measures.base import Measure


def remarks(measures: Sequence[Measure], loss: Loss, law: Inputs | None, table: ReturnsTable | None) -> list[str]:
    """What is odd about the thresholds that are given in the unit of the loss, a sentence each.

    Parameters
    ----------
    measures : sequence of Measure
        The measures of the experiment.
    loss : Loss
        The loss bound to the inputs, or the result of `Loss.look`.
    law : Inputs or None
        The law of the risk factors; None if it is not fitted yet.
    table : ReturnsTable or None
        The data that it will be fitted to.
    """
    thresholds = [(measure.direction, t) for measure in measures for t in measure.in_losses]
    return [*_beyond_gross(thresholds, loss), *_usual(thresholds, loss, law, table)]


def _beyond_gross(thresholds: Sequence[tuple[str, float]], loss: Loss) -> Iterator[str]:
    unit = f" {loss.unit}" if loss.unit else ""
    for direction, t in thresholds:
        if loss.gross and direction == "above" and t > loss.gross:
            size = f"{t:.6g}{unit} is {t / loss.gross:.4g} times the gross size of the book, {loss.gross:.6g}{unit}"
            yield f"the threshold {size}: {BEYOND_GROSS}"


def _usual(
    thresholds: Sequence[tuple[str, float]], loss: Loss, law: Inputs | None, table: ReturnsTable | None
) -> Iterator[str]:
    """Thresholds on the usual side of the median of the losses on past days, or of the mean of the loss."""
    weights, centre, what = loss.factor_weights, None, "the mean of the loss"
    if table is not None and weights is not None:
        centre, what = float(np.median(table.values @ weights)), "the median of the losses in the data"
    elif law is not None and (known := loss.moments(law)) is not None:
        centre = known[0]
    for direction, t in thresholds:
        if centre is not None and (t < centre if direction == "above" else t > centre):
            side = "below" if direction == "above" else "above"
            yield f"the threshold {t:.6g} is {side} {what}, {centre:.4g}: {USUAL}"
