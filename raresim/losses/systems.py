"""Systems of components by their usual names in reliability: series, parallel, and k out of n."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from raresim.arguments.checks import whole
from raresim.distributions.base import Inputs
from raresim.distributions.standard_normal import StandardNormal
from raresim.losses.combination import Combination
from raresim.losses.event import event, of_factor
from raresim.registry import member


@member("loss")
@dataclass(frozen=True, kw_only=True, eq=False)
class SeriesSystem(Combination):
    """A system of components that needs all of them: it fails where any component fails. The same event as a union.

    Parameters
    ----------
    parts : mapping of str to Loss
        The components by name, as of a union.

    Raises
    ------
    FieldError
        When there are fewer than two parts, or only some have a threshold of their own.
    """

    kind: ClassVar[str] = "series"
    title: ClassVar[str] = "series system"

    @property
    def needed(self) -> int:
        return 1

    @property
    def words(self) -> str:
        return "any component fails"

    @staticmethod
    def examples() -> list[tuple[Inputs, SeriesSystem]]:
        """Inputs and losses for the conformance tests."""
        return [(StandardNormal(dim=3), SeriesSystem(parts={"a": event(0, 1.0), "b": event(1, 2.0)}))]


@member("loss")
@dataclass(frozen=True, kw_only=True, eq=False)
class ParallelSystem(Combination):
    """A system of components that needs only one of them: it fails where all fail. The same event as an intersection.

    Parameters
    ----------
    parts : mapping of str to Loss
        The components by name, as of a union.

    Raises
    ------
    FieldError
        When there are fewer than two parts, or only some have a threshold of their own.
    """

    kind: ClassVar[str] = "parallel"
    title: ClassVar[str] = "parallel system"

    @property
    def needed(self) -> int:
        return len(self.parts)

    @property
    def words(self) -> str:
        return "all components fail"

    @staticmethod
    def examples() -> list[tuple[Inputs, ParallelSystem]]:
        """Inputs and losses for the conformance tests."""
        return [(StandardNormal(dim=3), ParallelSystem(parts={"a": event(0, 1.0), "b": event(1, 2.0)}))]


@member("loss")
@dataclass(frozen=True, kw_only=True, eq=False)
class AtLeast(Combination):
    """The event that at least so many of several named losses fail: k out of n.

    Parameters
    ----------
    count : int
        Number of parts that must fail for the event. A system that works as long as k of its n components work fails
        where at least ``n - k + 1`` of them fail.
    parts : mapping of str to Loss
        The parts by name, as of a union.

    Raises
    ------
    FieldError
        When there are fewer than two parts, ``count`` is more than their number, or only some have a threshold of
        their own.
    """

    kind: ClassVar[str] = "at_least"
    title: ClassVar[str] = "system"

    count: int

    @property
    def needed(self) -> int:
        return whole("count", self.count)

    @property
    def words(self) -> str:
        return f"at least {self.count} of them fail"

    @staticmethod
    def examples() -> list[tuple[Inputs, AtLeast]]:
        """Inputs and losses for the conformance tests."""
        parts = {name: of_factor(k) for k, name in enumerate("abc")}
        return [(StandardNormal(dim=3), AtLeast(count=2, parts=parts))]
