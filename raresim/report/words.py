"""The words of a page: each linked word gets its entry in the glossary at the end."""

from __future__ import annotations

from raresim.report.glossary import Term, explain, find, spelling

__all__ = ["Words"]


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
        return find(name) is not None

    @staticmethod
    def slug(term: Term) -> str:
        """The id of a term's entry."""
        return f"term-{spelling(term.name).replace(' ', '-')}"

    @property
    def linked(self) -> list[Term]:
        """The linked terms in alphabetical order."""
        return sorted(self._linked.values(), key=lambda term: spelling(term.name))
