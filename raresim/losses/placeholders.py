"""Texts with placeholders for risk factors, ``$load`` or ``${load}``: the input files and arguments of a program."""

from __future__ import annotations

import string
from collections.abc import Collection, Mapping
from typing import ClassVar

from raresim.arguments.synonyms import unknown
from raresim.errors import FieldError


class Placeholders(string.Template):
    """As `string.Template`; between braces a name may have any characters but braces and ends of lines."""

    braceidpattern: ClassVar[str] = r"[^{}\n]+"


def names_in(text: str, allowed: Collection[str], field: str, where: str) -> set[str]:
    """The names of the placeholders in ``text``.

    Parameters
    ----------
    text : str
        The text.
    allowed : collection of str
        The names that a placeholder may have.
    field, where : str
        The argument that the text belongs to, and the text's own name, which messages begin with.

    Raises
    ------
    FieldError
        For a placeholder of another name, or a dollar sign that begins none; with its line and column.
    """
    found = set()
    for match in Placeholders.pattern.finditer(text):
        name = match["named"] or match["braced"]
        if match["escaped"] is not None:
            continue
        line = text.count("\n", 0, match.start()) + 1
        column = match.start() - text.rfind("\n", 0, match.start())
        place = f"{where}:{line}:{column}"
        if match["invalid"] is not None:
            raise FieldError(
                field, f"{place}: this dollar sign begins no placeholder such as ${{load}}; write $$ for a dollar sign"
            )
        if name not in allowed:
            raise FieldError(field, f"{place}: {unknown('placeholder', name, sorted(allowed))}")
        found.add(name)
    return found


def filled(text: str, values: Mapping[str, str]) -> str:
    """``text`` with the value of each placeholder; one without a value is an error of the caller."""
    return Placeholders(text).substitute(values)
