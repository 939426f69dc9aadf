"""Levels of quantiles: given as a confidence or as a tail, and computed as a tail."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any, ClassVar

import numpy as np

from raresim.arguments import checks
from raresim.errors import FieldError
from raresim.measures.base import Keeps, LossScale, Measure, Quantity, Question
from raresim.record.event import Event
from raresim.record.records import Reference

LOWEST_LEVEL = 0.1
"""A level below this is refused as a tail given by mistake; `tail` gives such a quantile."""

DECIMALS = Context(prec=50)
"""Decimal arithmetic with its own precision: a user's code may change that of the process."""

Levels = float | Sequence[float] | None


def tail_of(level: float | None, tail: float | None) -> float:
    """The tail probability of one ``level`` (0.999) or ``tail`` (0.001); exactly one of the two is given.

    A level is taken as the decimal number that it is written as: 0.9999999 has the tail 1e-7, to the last digit.

    Raises
    ------
    FieldError
        When both or neither are given, or the number is not between 0 and 1.
    """
    (found,) = tails_of(level, tail, one=True)
    return found


def tails_of(level: Levels, tail: Levels, one: bool = False) -> tuple[float, ...]:
    """The tail probabilities of one or several levels or tails, in their order; ``one`` allows no list."""
    if (level is None) == (tail is None):
        raise FieldError("level", "give exactly one of level and tail")
    name, given = ("level", level) if level is not None else ("tail", tail)
    several = not isinstance(given, str) and bool(np.ndim(given))  # type: ignore[arg-type]  # a number or a list
    if one and several:
        raise FieldError(name, f"must be one number, got {given!r}")
    listed: list[Any] = list(given) if several else [given]  # type: ignore[arg-type]  # a list where several
    if not listed:
        raise FieldError(name, "must name at least one number")
    tails = tuple(_tail(name, value) for value in listed)
    if len(set(tails)) < len(tails):
        raise FieldError(name, f"must not name the same number twice, got {given!r}")
    return tails


def level_of(tail: float) -> float:
    """One minus ``tail``, rounded once."""
    return float(_rest(Decimal(repr(tail))))


def _rest(share: Decimal) -> Decimal:
    """One minus ``share``, exactly."""
    return DECIMALS.subtract(Decimal(1), share)


def percent(tail: float) -> str:
    """The level as it is printed: ``99.9 %``."""
    share = Decimal(f"{tail:.4g}")
    return f"{DECIMALS.normalize(DECIMALS.scaleb(_rest(share), 2)):f} %"


def references_of(given: Reference | Sequence[Reference] | None, count: int) -> list[Reference | None]:
    """A reference for each of ``count`` numbers; raises `FieldError` where there are more or fewer."""
    if given is None:
        return [None] * count
    listed = [given] if isinstance(given, Reference) else list(given)
    if len(listed) != count:
        raise FieldError("reference", f"must have one entry per level ({count}), got {len(listed)}")
    return list(listed)


def questions_at(
    quantity: Quantity,
    tails: Sequence[float],
    quantile: Callable[[float], float],
    confidence: float,
    references: Sequence[Reference | None] | None = None,
) -> list[Question]:
    """A question for each tail."""
    return [
        Question(Event(quantile(tail)), "", confidence=confidence, reference=reference, quantity=quantity, tail=tail)
        for tail, reference in zip(tails, references or [None] * len(tails), strict=True)
    ]


@dataclass(frozen=True, kw_only=True)
class AtLevels(Measure):
    """A number at one or several levels of the losses: common part of value at risk and expected shortfall."""

    quantity: ClassVar[Quantity]
    keeps: ClassVar[Keeps] = "losses"

    level: Levels = None
    tail: Levels = None
    confidence: float = 0.95
    reference: Reference | Sequence[Reference] | None = None

    def __post_init__(self) -> None:
        checks.between("confidence", self.confidence, 0.0, 1.0)
        references_of(self.reference, len(self.tails))

    @property
    def tails(self) -> tuple[float, ...]:
        return tails_of(self.level, self.tail)

    def questions(self, scale: Callable[[], LossScale], quantile: Callable[[float], float]) -> list[Question]:
        references = references_of(self.reference, len(self.tails))
        return questions_at(self.quantity, self.tails, quantile, self.confidence, references)


def _tail(name: str, value: Any) -> float:
    number = checks.between(name, value, 0.0, 1.0)
    if name == "level" and number < LOWEST_LEVEL:
        raise FieldError(
            name,
            f"must be at least {LOWEST_LEVEL:g}, got {number:.15g}; did you mean `tail: {number:.15g}`? A level is a "
            f"confidence such as 0.999 (for the quantile at {number:.15g} write `tail: {level_of(number):.15g}`)",
        )
    tail = number if name == "tail" else float(_rest(Decimal(repr(number))))
    if not math.isfinite(tail) or tail <= 0:
        raise FieldError(name, f"must be below 1, got {value!r}; give the tail instead")
    return tail
