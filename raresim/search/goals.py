"""The goal of a search: the rarest of several events on one side of the loss."""

from __future__ import annotations

from collections.abc import Sequence

from raresim.errors import FieldError
from raresim.record.event import Event

TWO_SIDES = "put `above` and `below` into two experiments"
"""What to do with events on both sides."""


def rarest(events: Sequence[Event]) -> Event:
    """The event with the farthest threshold; raises `FieldError` if events lie on both sides of the loss."""
    if len({event.direction for event in events}) > 1:
        raise FieldError("measures", f"must be on one side of the loss: {TWO_SIDES}", ())
    return max(events, key=lambda event: event.sign * event.threshold)
