"""Names of the rows behind an estimate: draws, or what a method draws in their place."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ROWS", "Rows"]


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
