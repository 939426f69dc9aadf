"""Several named losses as one, for an event in which some number of them fail: the parts of a system."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

from raresim.errors import FieldError
from raresim.losses.base import Loss
from raresim.losses.composite import Composite, columns_of, described
from raresim.losses.python import PythonLoss
from raresim.numerics.arrays import Float

Parts = Mapping[str, Loss | Callable[..., Any]]
"""Losses by name; in Python also functions, as of `PythonLoss`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Combination(Composite):
    """Named losses, at least `needed` of which must fail for the event.

    To add one: a member that gives `needed`, `words`, and `title`, what it is called.

    Parameters
    ----------
    parts : mapping of str to Loss
        The parts by name. Either each has a threshold of its own, as an `Event` and a combination of events have, or
        none has, and each fails where it reaches the threshold that a measure asks for.

    Notes
    -----
    The limit states are the parts, or the limit states of a part where these can take its place: a union in a union,
    say, whose names are then ``part.name``. The loss is the k-th largest of their values.
    """

    title: ClassVar[str]

    parts: Parts

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", named(self.title, self.parts))
        if len(self.parts) < 2:
            only = next(iter(self.parts))
            raise FieldError("parts", f"must be at least two, got only {only!r}: give that loss by itself")
        if not 1 <= self.needed <= len(self.parts):
            raise FieldError("count", f"must be from 1 to the number of parts, {len(self.parts)}, got {self.needed}")
        one_kind_of_threshold(self.losses)

    @property
    @abstractmethod
    def needed(self) -> int:
        """Number of parts that must fail for the event."""

    @property
    @abstractmethod
    def words(self) -> str:
        """The event, as a clause that follows the names of the parts."""

    @property
    def losses(self) -> Mapping[str, Loss]:
        """The parts, all of which the constructor made losses."""
        return {name: loss for name, loss in self.parts.items() if isinstance(loss, Loss)}

    @property
    def inner(self) -> Mapping[str, Loss]:
        return {f"parts.{name}": loss for name, loss in self.losses.items()}

    def holding(self, inner: Sequence[Loss]) -> Self:
        held = replace(self, parts=dict(zip(self.parts, inner, strict=True)))
        names = held.limit_state_names
        if again := sorted({name for name in names if names.count(name) > 1}):
            raise FieldError("parts", f"must have limit states of different names, got {again[0]!r} twice")
        return held

    @property
    def has_threshold(self) -> bool:
        return all(loss.has_threshold for loss in self.losses.values())

    def columns(self, x: Float) -> Float:
        return columns_of({name: (loss, self._width(loss)) for name, loss in self.losses.items()}, x)

    @property
    def has_limit_states(self) -> bool:
        return True

    @property
    def limit_state_names(self) -> tuple[str, ...]:
        names: list[str] = []
        for name, loss in self.losses.items():
            own = loss.limit_state_names if self._width(loss) else ()
            names.extend(f"{name}.{of_part}" for of_part in own)
            names.extend(() if own else (name,))
        return tuple(names)

    @property
    def undeclared(self) -> tuple[str, ...]:
        """See `Loss.undeclared`; a part whose limit states do not take its place has kinks between them."""
        names: list[str] = []
        for name, loss in self.losses.items():
            if self._width(loss):
                names.extend(f"{name}.{of_part}" for of_part in loss.undeclared)
            elif loss.limit_state_names or loss.undeclared:
                names.append(name)
        return tuple(names)

    @property
    def at_least(self) -> int:
        return len(self.limit_state_names) if self.needed == len(self.parts) else self.needed

    def _width(self, loss: Loss) -> int:
        """How many limit states of a part take its place: all in a union of unions and alike, else 0."""
        m, n = len(loss.limit_state_names), len(self.parts)
        is_union = self.needed == 1 and loss.at_least == 1
        is_intersection = self.needed == n and loss.at_least == m
        return m if is_union or is_intersection else 0

    def describe(self) -> list[str]:
        lines = [f"{self.title} of {len(self.parts)} parts: the event is that {self.words}"]
        return lines + [line for name, loss in self.losses.items() for line in described(name, loss)]


def named(title: str, parts: Parts) -> dict[str, Loss]:
    """``parts`` with functions made losses; raises `FieldError` if there are none, or a name cannot be one."""
    if not parts:
        raise FieldError("parts", f"must name the parts of the {title}, got none")
    found: dict[str, Loss] = {}
    for name, loss in parts.items():
        if not isinstance(name, str) or not name.strip() or name != name.strip():
            raise FieldError("parts", f"must have names without spaces around them, got {name!r}")
        try:
            found[name] = loss if isinstance(loss, Loss) else PythonLoss(function=loss)
        except FieldError as error:
            raise FieldError(f"parts.{name}", error.message) from None
    return found


def one_kind_of_threshold(losses: Mapping[str, Loss]) -> None:
    """Raise `FieldError` if some losses have a threshold of their own and others have none."""
    own = [name for name, loss in losses.items() if loss.has_threshold]
    none = [name for name in losses if name not in own]
    if own and none:
        raise FieldError(
            "parts",
            f"must all have a threshold or none: {own[0]!r} has its own, {none[0]!r} has none; write the latter as "
            "{kind: event, loss: ..., above: its threshold}, and ask a measure for above: 0",
        )
