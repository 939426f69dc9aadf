"""The reference of the keys of a config: a page for each part, from the schema and the docstrings behind it."""

import re
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from raresim.config.keys import Key, all_keys, kinds

TITLES = {
    "top level": "The top of a config",
    "inputs": "inputs",
    "marginals": "marginals",
    "copula": "copula",
    "loss": "loss",
    "model": "model",
    "measures": "measures",
    "method": "method",
    "proposal": "proposal",
    "stop": "stop",
    "execution": "execution",
    "fit": "fit",
}
"""Parts of a config with a page of their own, in the order of the pages, and their titles. All others, which stand
inside of one of these, share a page."""

REST = "parts"


class Section(NamedTuple):
    """A part of a config, such as ``loss, kind linear``: its summary and its keys."""

    part: str
    kind: str
    summary: str
    keys: list[Key]


def pages() -> Iterator[tuple[str, str]]:
    """The name of each page, without its ending, and its text."""
    by_page: dict[str, list[Section]] = {name: [] for name in [*TITLES, REST]}
    for section in sections():
        by_page[section.part if section.part in TITLES else REST].append(section)
    for number, (name, here) in enumerate(by_page.items()):
        title = TITLES.get(name, "Smaller parts")
        yield f"{number:02}-{name.replace(' ', '-')}", "\n".join([f"# {title}", "", *_body(here)])


def sections() -> Iterator[Section]:
    """Every part, in the order of the schema; the keys of a part follow each other there."""
    keys = all_keys()
    top = [key for key in all_keys() if key.part == "top level"]
    yield Section("top level", "", "These keys stand at the left margin of a config.", list(islice(keys, len(top))))
    for part, summary, names in kinds():
        under, _, kind = part.partition(", kind ")
        yield Section(under, kind, summary, list(islice(keys, len(names))))


def _body(here: list[Section]) -> Iterator[str]:
    """A heading for each kind, its summary, and a table of its keys."""
    for section in here:
        if len(here) > 1:
            yield from [f"## {section.kind or section.part}", ""]
        yield from [section.summary, ""]
        if section.kind:
            yield from [f"As `kind: {section.kind}` under `{section.part}`.", ""]
        if section.keys:
            yield from ["| key | meaning |", "|---|---|"]
            yield from (f"| `{key.name}` | {meaning(key)} |" for key in section.keys)
        elif section.kind:
            yield "It has no keys of its own."
        yield ""


def meaning(key: Key) -> str:
    """What a key means, its type and its default, as a cell."""
    told = [cell(key.type)] if key.type else []
    if key.default:
        told.append("required" if key.default == "required" else f"default {cell(key.default)}")
    return f'{cell(key.text)} <span class="meta">{"; ".join(told)}</span>'


def cell(text: str) -> str:
    """Text that Markdown shows as it is, in a cell of a table; what stands between backticks stays code."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        parts = [text]
    shown = [part if k % 2 else re.sub(r"[\\`*_{}\[\]<>|$~#]", r"\\\g<0>", part) for k, part in enumerate(parts)]
    return "`".join(shown) or " "
