"""The words of a page: each one that is linked gets its entry in the glossary at the end."""

from __future__ import annotations

from dataclasses import dataclass

from raresim.errors import FieldError
from raresim.report.glossary import Term, explain, spelling

__all__ = ["ROWS", "Rows", "Words"]


@dataclass(frozen=True)
class Rows:
    """What the independent rows of an estimate are called.

    ``one`` is a row, ``hit`` one that counts for the event where that has a word of its own, ``hits`` many of them.
    """

    one: str
    hit: str
    hits: str

    @property
    def many(self) -> str:
        """Several rows."""
        return f"{self.one}s"

    def counted(self, number: str) -> str:
        """A number, already in words, of rows."""
        return f"{number} {self.one if number == '1' else self.many}"

    @property
    def effective(self) -> str:
        """Several that count, of equal weight."""
        return f"effective {self.hit}s"


ROWS = {
    "draw": Rows("draw", "hit", "hits"),
    "line": Rows("line", "line", "lines in the event"),
    "direction": Rows("direction", "direction", "directions in the event"),
    "replicate": Rows("replicate", "replicate", "replicates in the event"),
}
"""By the unit of a row, see `raresim.estimators.base.Unit`."""


class Words:
    """The terms that a page has linked so far."""

    def __init__(self) -> None:
        self._linked: dict[str, Term] = {}

    def anchor(self, name: str) -> str:
        """The id of the entry that explains ``name``, which is then part of the page; empty where nothing does."""
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
