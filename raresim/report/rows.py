"""Names of the rows behind an estimate: draws, or what a method draws in their place; and which numbers are shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from raresim.record.records import Estimate

__all__ = ["ROWS", "Rows", "distinct"]


@dataclass(frozen=True)
class Rows:
    """Names of the independent rows of an estimate.

    ``one`` is a row, ``hit`` a row that counts for the event if it has a name of its own, ``hits`` several of them.
    """

    one: str
    hit: str
    hits: str

    @property
    def many(self) -> str:
        """Several rows."""
        return f"{self.one}es" if self.one.endswith("ch") else f"{self.one}s"

    def counted(self, number: str) -> str:
        """``number``, already in words, with the name of the rows."""
        return f"{number} {self.one if number == '1' else self.many}"

    @property
    def effective(self) -> str:
        """Several rows that count, of equal weight."""
        return f"effective {self.hit}s"


ROWS = {
    "draw": Rows("draw", "hit", "hits"),
    "line": Rows("line", "line", "lines in the event"),
    "direction": Rows("direction", "direction", "directions in the event"),
    "replicate": Rows("replicate", "replicate", "replicates in the event"),
    "batch": Rows("batch", "batch", "batches in the event"),
}
"""Names by the unit of a row, see `raresim.record.rows.Unit`."""


def distinct(estimates: Sequence[Estimate]) -> list[Estimate]:
    """The numbers without those that say what an earlier one says, as of scenarios of a threshold that has its own."""
    kept: list[Estimate] = []
    for e in estimates:
        said = (e.label, e.value, e.interval, e.confidence, e.verdict.status)
        if not any(
            said == (k.label, k.value, k.interval, k.confidence, k.verdict.status)
            and e.reference in (None, k.reference)
            for k in kept
        ):
            kept.append(e)
    return kept
