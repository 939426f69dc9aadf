"""Why a search may end before it has come to the event, and what to do about each of the reasons."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Self


class Ending(StrEnum):
    """A kind of reason for which a search gives up; its value is what ``result.json`` holds, `advice` what helps."""

    advice: str

    def __new__(cls, value: str, advice: str = "") -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.advice = advice
        return member

    BUDGET = (
        "budget",
        "raise stop.max_evaluations: the search spent its share of the evaluations before it reached the event",
    )
    LEVELS = (
        "levels",
        "raise max_levels of the method, or use method auto: the search ran out of levels on its way to the event",
    )
    STALLED = (
        "stalled",
        "check the threshold and the loss: no draw had a larger loss than all draws before it, as happens if the event "
        "is impossible or the loss has a largest value",
    )
    LOWEST = (
        "lowest",
        "check the threshold: the search went down to probabilities near the smallest that a double can hold",
    )
    ALIKE = (
        "alike",
        "check the loss: its values do not separate the tail from the rest, as happens if most draws have the same "
        "loss",
    )
    DEGENERATE = (
        "degenerate",
        "give the method more samples per level, or a proposal with fewer parameters: a few weights decided the fit",
    )
    FLAT = (
        "flat",
        "use method auto or subset_simulation, which need no gradient: the loss is flat where a climb ended",
    )
    UNSETTLED = (
        "unsettled",
        "use method auto, or give each limit state separately: the loss has corners or jumps where a climb ended",
    )


class GaveUp(str):
    """Why one search ended before it came to the event, in words, and which `Ending` that is."""

    __slots__ = ("ending",)

    ending: Ending

    def __new__(cls, ending: Ending, text: str) -> Self:
        reason = super().__new__(cls, text)
        reason.ending = ending
        return reason

    def __reduce__(self) -> tuple[type[GaveUp], tuple[Ending, str]]:
        return GaveUp, (self.ending, str(self))


def endings_of(reasons: Iterable[str]) -> tuple[Ending, ...]:
    """The kinds of those of the ``reasons`` for which searches gave up, each once, in the order of `Ending`."""
    met = {reason.ending for reason in reasons if isinstance(reason, GaveUp)}
    return tuple(ending for ending in Ending if ending in met)
