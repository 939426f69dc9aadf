"""The operations of an event algebra: union, intersection and complement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from raresim.distributions.base import Inputs
from raresim.distributions.standard_normal import StandardNormal
from raresim.errors import FieldError
from raresim.losses.base import Loss
from raresim.losses.combination import Combination, Parts, named
from raresim.losses.composite import Composite, columns_of, described
from raresim.losses.event import event, of_factor
from raresim.numerics.arrays import Float
from raresim.registry import member

SMALLEST = float(np.finfo(np.float64).tiny)
"""What stands for 0 in a complement: an event holds at 0, so that its complement does not."""


@member("loss")
@dataclass(frozen=True, kw_only=True, eq=False)
class Union(Combination):
    """The event that any of several named losses fails.

    Parameters
    ----------
    parts : mapping of str to Loss
        The parts by name, each a loss of any kind: events with a threshold of their own (``kind: event``), further
        unions and intersections; or losses without one, which all have the threshold of the measure.

    Raises
    ------
    FieldError
        When there are fewer than two parts, or only some have a threshold of their own.
    """

    kind: ClassVar[str] = "union"
    title: ClassVar[str] = "union"

    @property
    def needed(self) -> int:
        return 1

    @property
    def words(self) -> str:
        return "any of them fails"

    @staticmethod
    def examples() -> list[tuple[Inputs, Union]]:
        """Inputs and losses for the conformance tests."""
        cut = Intersection(parts={"b": event(1, 0.5), "c": event(2, 0.5)})
        return [
            (StandardNormal(dim=3), Union(parts={"a": of_factor(0), "b": of_factor(1)})),
            (StandardNormal(dim=3), Union(parts={"a": event(0, 1.0), "cut": cut})),
            (StandardNormal(dim=3), Union(parts={"a": event(0, 1.0), "rest": Union(parts=cut.parts)})),
        ]


@member("loss")
@dataclass(frozen=True, kw_only=True, eq=False)
class Intersection(Combination):
    """The event that all of several named losses fail.

    Parameters
    ----------
    parts : mapping of str to Loss
        The parts by name, as of a union.

    Raises
    ------
    FieldError
        When there are fewer than two parts, or only some have a threshold of their own.
    """

    kind: ClassVar[str] = "intersection"
    title: ClassVar[str] = "intersection"

    @property
    def needed(self) -> int:
        return len(self.parts)

    @property
    def words(self) -> str:
        return "all of them fail"

    @staticmethod
    def examples() -> list[tuple[Inputs, Intersection]]:
        """Inputs and losses for the conformance tests."""
        path = Union(parts={"b": event(1, 0.5), "c": event(2, 0.5)})
        return [(StandardNormal(dim=3), Intersection(parts={"a": event(0, 1.0), "path": path}))]


@member("loss")
@dataclass(frozen=True, kw_only=True, eq=False)
class Complement(Composite):
    """The event that another event does not happen.

    Parameters
    ----------
    parts : mapping of str to Loss
        One part by name, which has a threshold of its own: an event, or a union, an intersection or the like of events.

    Raises
    ------
    FieldError
        When there is not exactly one part, or it has no threshold of its own.

    Notes
    -----
    The complement of an event, whose loss is at least 0, is that its loss is below 0; its value is the loss with the
    sign turned. The complement of "at least k of n parts fail" is that at least ``n - k + 1`` do not, so that its limit
    states are the complements of the parts.
    """

    kind: ClassVar[str] = "complement"

    parts: Parts

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", named(self.kind, self.parts))
        if len(self.parts) > 1:
            raise FieldError(
                "parts",
                f"must be one part, got {len(self.parts)}: write the complement of their union (none of them happens) "
                "or of their intersection (not all of them happen)",
            )
        if not self.of.has_threshold:
            raise FieldError(
                "parts",
                f"must have a threshold of its own, so that it is known what does not happen: write {self.name!r} as "
                "{kind: event, loss: ..., above: its threshold}",
            )

    @property
    def name(self) -> str:
        """The name of the part."""
        return next(iter(self.parts))

    @property
    def of(self) -> Loss:
        """The part."""
        loss = self.parts[self.name]
        if not isinstance(loss, Loss):
            raise TypeError("the constructor makes it one")
        return loss

    @property
    def inner(self) -> Mapping[str, Loss]:
        return {f"parts.{self.name}": self.of}

    def holding(self, inner: Sequence[Loss]) -> Complement:
        return replace(self, parts={self.name: inner[0]})

    @property
    def has_threshold(self) -> bool:
        return True

    def columns(self, x: Float) -> Float:
        values = columns_of({self.name: (self.of, len(self.of.limit_state_names))}, x)
        return np.where(values == 0.0, -SMALLEST, -values)

    @property
    def has_limit_states(self) -> bool:
        return self.of.has_limit_states

    @property
    def limit_state_names(self) -> tuple[str, ...]:
        return tuple(f"not {name}" for name in self.of.limit_state_names)

    @property
    def at_least(self) -> int:
        m = len(self.of.limit_state_names)
        return m - self.of.at_least + 1 if m else 1

    def one_region(self, inputs: Inputs) -> str:
        return self.of.one_region(inputs)

    def describe(self) -> list[str]:
        return [f"complement: the event is that {self.name} does not happen", *described(self.name, self.of)]

    @staticmethod
    def examples() -> list[tuple[Inputs, Complement]]:
        """Inputs and losses for the conformance tests."""
        both = Union(parts={"a": event(0, 1.0), "b": event(1, 2.0)})
        return [
            (StandardNormal(dim=3), Complement(parts={"a": event(0, 1.0)})),
            (StandardNormal(dim=3), Complement(parts={"both": both})),
        ]
