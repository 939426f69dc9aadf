"""Several summaries of the same rows, side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Self, TypeVar

from raresim.accumulators.base import Accumulator

S = TypeVar("S", bound=Accumulator)


@dataclass(frozen=True, eq=False)
class Several(Accumulator, Generic[S]):
    """A fixed number of summaries, merged part by part."""

    parts: tuple[S, ...]

    def merge(self, other: Self) -> Self:
        return type(self)(tuple(a.merge(b) for a, b in zip(self.parts, other.parts, strict=True)))
