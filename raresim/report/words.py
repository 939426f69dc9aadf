"""The words of a page: each linked word gets its entry in the glossary at the end."""

from __future__ import annotations

from dataclasses import dataclass

from raresim.errors import FieldError
from raresim.report.glossary import Term, explain, spelling

__all__ = ["ROWS", "Rows", "Words"]


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


class Words:
    """The terms that a page has linked so far."""

    def __init__(self) -> None:
        self._linked: dict[str, Term] = {}

    def anchor(self, name: str) -> str:
        """The id of the entry that explains ``name``, which joins the page; empty if no entry does."""
        if not self.is_known(name):
            return ""
        term = explain(name)
        slug = self.slug(term)
        self._linked[slug] = term
        return slug

    @staticmethod
    def is_known(name: str) -> bool:
        """Whether the glossary explains ``name``."""
        try:
            explain(name)
        except FieldError:
            return False
        return True

    @staticmethod
    def slug(term: Term) -> str:
        """The id of a term's entry."""
        return f"term-{spelling(term.name).replace(' ', '-')}"

    @property
    def linked(self) -> list[Term]:
        """The linked terms in alphabetical order."""
        return sorted(self._linked.values(), key=lambda term: spelling(term.name))
