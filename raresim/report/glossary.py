"""Every word, column and number that a run shows, explained once: for ``raresim explain`` and for the report.

The texts are in ``glossary.toml`` beside this file.
"""

from __future__ import annotations

import difflib
import re
import textwrap
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources

from raresim.errors import FieldError

__all__ = ["TERMS", "Term", "explain", "find", "listing", "page", "spelling"]


@dataclass(frozen=True)
class Term:
    """One word of raresim.

    Parameters
    ----------
    name : str
        The word as it stands in a sentence.
    aliases : tuple of str
        Other spellings: column heads, keys of ``result.json`` (``parent.key`` where the key alone is ambiguous), rows
        of the shell's table.
    definition : str
        Two to four sentences.
    formula : str
        The formula in ASCII; empty without one.
    unit : str
        Unit of the number; empty for a word that is not a number.
    where : str
        Places in a run where the word appears.
    reading : str
        What is good, what is bad, what to do.
    """

    name: str
    aliases: tuple[str, ...]
    definition: str
    formula: str = ""
    unit: str = ""
    where: str = ""
    reading: str = ""


def explain(term: str, others: Iterable[str] = ()) -> Term:
    """The entry for a name or an alias; case, spaces, underscores, hyphens and punctuation do not matter.

    Parameters
    ----------
    term : str
        The word to look up.
    others : iterable of str
        Further words that can be explained; the nearest name may be one of them.

    Raises
    ------
    FieldError
        When there is no such term; the message gives the nearest name.
    """
    found = find(term)
    if found is None:
        key = spelling(term)
        near = difflib.get_close_matches(key, [*_BY_SPELLING, *others], n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise FieldError("term", f"unknown term {(key or term)[:100]!r}{hint} (`raresim explain` lists all terms)")
    return found


def find(term: str) -> Term | None:
    """As `explain`, but None for an unknown term."""
    return _BY_SPELLING.get(spelling(term))


def spelling(term: str) -> str:
    """``term`` without case, punctuation or a leading confidence (``95 % interval``): what `explain` compares."""
    return re.sub(r"[^a-z0-9]+", " ", re.sub(r"^\s*(nominal )?[\d.]+\s*%", "", term.casefold())).strip()


def page(term: Term, width: int = 80) -> str:
    """The whole entry of a term, as plain text of ``width`` columns."""
    parts = [
        _wrapped("", f"{term.name} (also: {', '.join(term.aliases)})" if term.aliases else term.name, width),
        _wrapped("", term.definition, width),
    ]
    facts = {"Formula": term.formula, "Unit": term.unit, "Where": term.where, "Reading": term.reading}
    parts.append("\n".join(_wrapped(f"{head:<9}", text, width) for head, text in facts.items() if text))
    return "\n\n".join(parts)


def listing(width: int = 80) -> str:
    """All terms with the first sentence of each definition, as plain text of ``width`` columns."""
    longest = max(len(term.name) for term in TERMS) + 2
    return "\n".join(
        _wrapped(f"{term.name:<{longest}}", re.split(r"(?<=[.])\s", term.definition)[0], width) for term in TERMS
    )


def _wrapped(head: str, text: str, width: int) -> str:
    return textwrap.fill(
        text,
        width,
        initial_indent=head,
        subsequent_indent=" " * len(head),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _read() -> list[Term]:
    """The terms of ``glossary.toml``."""
    text = resources.files(__package__).joinpath("glossary.toml").read_text("utf-8")
    return [Term(**{**entry, "aliases": tuple(entry.get("aliases", ()))}) for entry in tomllib.loads(text)["term"]]


TERMS: tuple[Term, ...] = tuple(sorted(_read(), key=lambda term: spelling(term.name)))
"""All terms, in alphabetical order."""

_BY_SPELLING = {spelling(text): term for term in TERMS for text in (term.name, *term.aliases)}
_NAMES = [term.name for term in TERMS]
