"""Which limit states fail in the hits of each event: weighted moments of the parts of an event."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from raresim.accumulators.tail import TailMoments
from raresim.numerics.arrays import Bool, Float
from raresim.record.event import Event


def failing_states(
    events: Sequence[Event], in_event: Sequence[Bool], log_weight: Float, states: Float, at_least: int
) -> TailMoments:
    """The moments of parts of each event: where each limit state fails, then where each decides, event by event.

    A limit state decides where it fails and exactly ``at_least`` do: without it the event would not have happened.

    Parameters
    ----------
    events : sequence of Event
        Large losses.
    in_event : sequence of (n,) bool
        The rows of each.
    log_weight : (n,) float64
        In nats.
    states : (n, m) float64
        How far each limit state is.
    at_least : int
        How many have to reach the threshold.

    Returns
    -------
    TailMoments
        Of ``2 m`` parts for each event.
    """
    parts: list[Float] = []
    for event, mask in zip(events, in_event, strict=True):
        rows = np.flatnonzero(mask)
        fails = states[rows] >= event.threshold
        decides = fails & (fails.sum(axis=1) == at_least)[:, np.newaxis]
        weights = log_weight[rows]
        parts += [weights[part] for parts_of in (fails, decides) for part in parts_of.T]
    return TailMoments.of_hits(log_weight.size, parts)
