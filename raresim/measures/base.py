"""The contract of a measure: what is read from the weighted losses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

from raresim.problem import Event


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A known answer, drawn in the report and compared in the table; the run never uses it.

    Parameters
    ----------
    value : float
        The answer, positive.
    source : str
        Where it comes from.
    """

    value: float
    source: str


@dataclass(frozen=True)
class LossScale:
    """Mean and standard deviation of the loss under the target, and how they are known."""

    mean: float
    std: float
    source: str


Interval = Literal["standard", "betting"]
"""Exact for counts and on the log scale for weights; or one that holds at every look, from a bound on the weights."""


@dataclass(frozen=True)
class Question:
    """One number that a measure asks for.

    Parameters
    ----------
    event : Event
        The event, its threshold in loss units.
    note : str
        How the threshold was resolved; empty where it was given in loss units.
    confidence : float
        Of the interval.
    reference : Reference or None
        The known answer.
    interval : "standard" or "betting"
        How it is made.
    """

    event: Event
    note: str
    confidence: float
    reference: Reference | None
    interval: Interval = "standard"


class Measure(ABC):
    """Something to be estimated.

    To add one: a frozen dataclass in a file of its own in this folder, decorated with ``@member("measure")``, with a
    ``kind``, the method below and ``examples()``.
    """

    kind: ClassVar[str]

    @abstractmethod
    def questions(self, scale: Callable[[], LossScale]) -> list[Question]:
        """The numbers asked for; ``scale`` gives the loss's mean and standard deviation where they are needed."""
