"""The limit states that fail in the hits of each event: weighted moments of the parts of an event."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from raresim.accumulators.tail import TailMoments
from raresim.numerics.arrays import Bool, Float
from raresim.record.event import Event


def failing_states(
    events: Sequence[Event], in_event: Sequence[Bool], log_weight: Float, states: Float, at_least: int
) -> TailMoments:
    """Moments of the parts of each event in which each limit state fails, then of those in which each decides.

    A limit state decides if it fails and exactly ``at_least`` limit states fail: without it there would be no event.

    Parameters
    ----------
    events : sequence of Event
        Events of large losses.
    in_event : sequence of (n,) bool
        The rows of each event.
    log_weight : (n,) float64
        Log weights, in nats.
    states : (n, m) float64
        Value of each limit state.
    at_least : int
        Number of limit states that must reach the threshold.

    Returns
    -------
    TailMoments
        Moments of ``2 m`` parts for each event, event by event.
    """
    parts: list[Float] = []
    for event, mask in zip(events, in_event, strict=True):
        rows = np.flatnonzero(mask)
        fails = states[rows] >= event.threshold
        decides = fails & (fails.sum(axis=1) == at_least)[:, np.newaxis]
        weights = log_weight[rows]
        parts += [weights[part] for parts_of in (fails, decides) for part in parts_of.T]
    return TailMoments.of_hits(log_weight.size, parts)
