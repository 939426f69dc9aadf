"""Which runs of the index are meant: ``verdict=trusted``, ``date>=2026-11-01``, ``stop.seconds<60``."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from operator import ge, gt, le, lt
from typing import Any, NamedTuple

from raresim.arguments import numerals
from raresim.arguments.synonyms import unknown
from raresim.errors import ConfigError
from raresim.files.run_index import Entry

OWN = ("name", "method", "seed", "status", "verdict", "date", "seconds", "evaluations", "path")
"""What is known of each run beside the keys of its config."""

ORDERS: dict[str, Callable[[Any, Any], bool]] = {">=": ge, "<=": le, ">": gt, "<": lt}

_CONDITION = re.compile(r"([^=<>!]+)(>=|<=|!=|=|<|>)(.*)", re.DOTALL)


class Condition(NamedTuple):
    """``key=value``, or another comparison of a key with a value."""

    key: str
    sign: str
    value: str


def conditions(texts: Sequence[str]) -> list[Condition]:
    """The conditions that ``texts`` state; raises `ConfigError` for a text that states none."""
    found = []
    for text in texts:
        match = _CONDITION.fullmatch(text)
        if match is None:
            raise ConfigError(
                f"runs find: {text!r}: must be KEY=VALUE, or with !=, <, <=, > or >=; a name: name={text}"
            )
        found.append(Condition(match[1].strip(), match[2], match[3].strip()))
    return found


def matching(entries: Sequence[Entry], wanted: Sequence[Condition]) -> list[Entry]:
    """The entries that fulfil all conditions.

    A text may hold ``*`` and ``?``; a date may be the beginning of one; the end of a dotted key stands for all keys
    with that end.

    Raises
    ------
    ConfigError
        When no run has the key of a condition.
    """
    keys = {key for entry in entries for key in entry.settings}
    for condition in wanted:
        if condition.key not in OWN and not any(_means(condition.key, key) for key in keys) and entries:
            raise ConfigError(f"runs find: {unknown('key', condition.key, sorted({*OWN, *keys}))}")
    return [entry for entry in entries if all(_fulfils(entry, each) for each in wanted)]


def _fulfils(entry: Entry, wanted: Condition) -> bool:
    if wanted.key == "date":
        return _compared(entry.started[: max(len(wanted.value), 1)], wanted)
    if wanted.key in OWN:
        return _compared(getattr(entry, wanted.key), wanted)
    values = [value for key, value in entry.settings.items() if _means(wanted.key, key)]
    if wanted.sign == "!=":
        return all(_compared(value, wanted) for value in values)
    return any(_compared(value, wanted) for value in values)


def _means(given: str, key: str) -> bool:
    """Whether ``given`` is the dotted key, or its end after a dot, with or without the places in lists."""
    return any(each == given or each.endswith(f".{given}") for each in (key, re.sub(r"\[\d+\]", "", key)))


def _compared(value: Any, wanted: Condition) -> bool:
    text = str(value).lower() if isinstance(value, bool) or value is None else str(value)
    one, other = numerals.number(text), numerals.number(wanted.value)
    if wanted.sign in ORDERS:
        if one is not None and other is not None:
            return ORDERS[wanted.sign](one, other)
        return bool(text) and ORDERS[wanted.sign](text, wanted.value)
    is_equal = one == other if one is not None and other is not None else _is_like(text, wanted.value)
    return is_equal is (wanted.sign == "=")


def _is_like(text: str, pattern: str) -> bool:
    return fnmatchcase(text.casefold().replace(" ", "_"), pattern.casefold().replace(" ", "_"))
