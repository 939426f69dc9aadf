"""The contract of a summary of rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Self


class Accumulator(ABC):
    """An immutable summary of the rows of some blocks.

    To add one: a frozen dataclass in a file of its own with a constructor ``of_block(...)`` that copies what it keeps,
    and `merge`. Merging is associative up to rounding; the engine always merges in block order.
    """

    @abstractmethod
    def merge(self, other: Self) -> Self:
        """The summary of both sets of rows."""

    @classmethod
    def thinned(cls, summaries: Sequence[Self]) -> Sequence[Self]:
        """Neighbouring summaries without what is lost when they are merged, before they are sent to another process.

        Merged in order, they must read as before, digit by digit.
        """
        return summaries
