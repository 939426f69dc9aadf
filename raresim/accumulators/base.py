"""The contract of a summary of rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Self


class Accumulator(ABC):
    """An immutable summary of the rows of some blocks.

    To add one: a frozen dataclass in a file of its own with a constructor ``of_block(...)`` that copies what it keeps,
    and `merge`. Merging is associative up to rounding; the engine always merges in block order.
    """

    @abstractmethod
    def merge(self, other: Self) -> Self:
        """The summary of both sets of rows."""
