"""YAML text to plain data that remembers the line and column of every key."""

from __future__ import annotations

import copy
import datetime
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from raresim.errors import ConfigError
from raresim.files import plain_files

MAX_BYTES = 1024 * 1024
MAX_DIGITS = 400
MAX_MESSAGE = 2000
"""Most bytes of a file, digits of a number (a double has 309 before the point), characters of an error."""

Loc = tuple[str | int, ...]
"""Keys and indices from the top of a document to a value."""

_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


@dataclass(frozen=True)
class Tree:
    """A document: plain dicts, lists and scalars, and where each value stands.

    Parameters
    ----------
    source : str
        The file's name, as messages show it.
    data : dict
        The content.
    places : mapping
        From a path to ``file:line:col`` (1-based) or to the override that gave the value.
    """

    source: str
    data: dict[str, Any]
    places: dict[Loc, str] = field(repr=False)

    def place(self, loc: Loc) -> str:
        """The place of ``loc``, or of the nearest value above it that has one."""
        for end in range(len(loc), -1, -1):
            if loc[:end] in self.places:
                return self.places[loc[:end]]
        return self.source

    def error(self, loc: Loc, message: str) -> ConfigError:
        """A `ConfigError` with position and dotted path, on one line."""
        place = self.place(loc)
        message += several(place)
        return ConfigError(_one_line(f"{place}: {dotted(loc)}: {message}" if loc else f"{place}: {message}"))

    def below(self, loc: Loc, field: str) -> Loc:
        """The path of ``field`` below ``loc``; dots lead to keys of the document as far as it has them.

        ``parts.pump.above`` below ``("loss",)`` is ``("loss", "parts", "pump", "above")``. What is not a key of the
        document stays one step.
        """
        data: Any = self.data
        for step in loc:
            is_there = isinstance(data, dict) and step in data
            is_there = is_there or (isinstance(data, list) and isinstance(step, int) and step < len(data))
            data = data[step] if is_there else None
        while isinstance(data, dict) and field not in data:
            keys = [key for key in data if field.startswith(f"{key}.")]
            if not keys:
                break
            key = max(keys, key=len)
            loc, data, field = (*loc, key), data[key], field[len(key) + 1 :]
        return (*loc, field)

    def find(self, name: str) -> Loc | None:
        """The path of the only key called ``name``, or None when there is none or more than one."""
        found = [loc for loc in self.places if loc and loc[-1] == name]
        return found[0] if len(found) == 1 else None


_SEVERAL = re.compile(r"override '[^=]+=[^,\[{'\"]+(,[^,\]}'\"]+)+'")


def several(place: str) -> str:
    """The end of a message about an override at ``place`` whose value is a list without brackets."""
    if not _SEVERAL.fullmatch(place):
        return ""
    return "; commas between several values of a key are for `raresim sweep`, which runs each of them"


def dotted(loc: Loc) -> str:
    """``("inputs", "components", 0)`` as ``inputs.components[0]``."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in loc)
    return text.removeprefix(".")


def flat(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Dotted keys with their values; an entry of a list has its place, ``measures[0].above``."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from flat(f"{key}.{name}" if key else str(name), inner)
    elif isinstance(value, list) and any(isinstance(inner, Mapping | list) for inner in value):
        for place, inner in enumerate(value):
            yield from flat(f"{key}[{place}]", inner)
    else:
        yield key, value


def read(path: Path) -> tuple[Tree, str]:
    """Read a config file; returns its tree and its text, byte for byte.

    Raises
    ------
    ConfigError
        When the file does not exist, is not an ordinary file, is above a limit, or is not a YAML 1.2 mapping.
    """
    try:
        content = plain_files.read(path, MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    if len(content) > MAX_BYTES:
        raise ConfigError(
            f"{path}: must be at most {MAX_BYTES:,} bytes, got {max(path.stat().st_size, len(content)):,}"
        )
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: must be UTF-8 text: {error.reason} at byte {error.start}") from None
    return parse(text, str(path)), text


def parse(text: str, source: str) -> Tree:
    """The tree of a config file's ``text``; ``source`` is its name in messages.

    Raises
    ------
    ConfigError
        When it is above a limit, or is not a YAML 1.2 mapping.
    """
    places: dict[Loc, str] = {(): f"{source}:1:1"}
    data = _Builder(text.removeprefix("\ufeff"), source, places).document()
    if not isinstance(data, dict):
        raise ConfigError(f"{source}:1:1: must be a mapping of keys to values, got {_kind(data)}")
    return Tree(source, data, places)


def overrides(tree: Tree, assignments: Iterable[str]) -> None:
    """Apply the ``key=value`` assignments of one command to the tree, in their order.

    Raises
    ------
    ConfigError
        As `override`, and when an assignment replaces an earlier one, as a repeated key in a file would.
    """
    given: dict[Loc, str] = {}
    for assignment in assignments:
        loc = override(tree, assignment)
        for earlier, other in given.items():
            if earlier[: len(loc)] == loc:
                raise ConfigError(
                    f"override {assignment!r}: {dotted(earlier)} is given by {other!r} already; leave one of them out"
                )
        given[loc] = assignment


def override(tree: Tree, assignment: str) -> Loc:
    """Apply ``key=value`` to the tree and return its path: a dotted key, list entries as ``[i]`` or ``.i``, YAML 1.2.

    Raises
    ------
    ConfigError
        When the assignment has no ``=``, its key runs through a scalar or names an entry that a list does not have, or
        its value is not YAML.
    """
    key, equals, value = assignment.partition("=")
    steps: list[str | int] = [m[1] if m[1] is not None else int(m[2]) for m in _STEP.finditer(key)]
    place = f"override {assignment!r}"
    if not equals or not steps or dotted(tuple(steps)) != key.strip():
        raise ConfigError(f"{place}: must have the form key=value, for instance stop.relative_error=0.05")
    node: Any = tree.data
    loc: Loc = ()
    for step in steps[:-1]:
        inner = _entry(node, step, loc, place)
        node = node.setdefault(inner, {}) if isinstance(node, dict) else node[inner]
        loc = (*loc, inner)
    last: Any = _entry(node, steps[-1], loc, place)
    loc = (*loc, last)
    for old in [p for p in tree.places if p[: len(loc)] == loc]:
        del tree.places[old]
    tree.places[loc] = place
    node[last] = _Builder(value, place, None).document()
    return loc


def _entry(node: Any, step: str | int, above: Loc, place: str) -> str | int:
    """The key or index that ``step`` means in ``node``, which stands at ``above``; raises where it cannot be there."""
    name = dotted(above) or "the config"
    if isinstance(node, dict):
        if isinstance(step, int):
            raise ConfigError(f"{place}: {name} is a mapping, got the index [{step}] (its keys: {', '.join(node)})")
        return step
    if not isinstance(node, list):
        raise ConfigError(f"{place}: {name} is {_kind(node)}, so there is no {dotted((*above, step))} to change")
    index = int(step) if isinstance(step, int) or step.isdecimal() else None
    if index is not None and index < len(node):
        return index
    wanted = f"has no entry {index}" if index is not None else f"is a list, got the key {step!r}"
    allowed = f"0 to {len(node) - 1}" if len(node) > 1 else "0" if node else "none: it is empty"
    raise ConfigError(
        f"{place}: {name} {wanted} (allowed: {allowed}); to add or remove entries give the whole list, {name}=[...]"
    )


@dataclass(frozen=True)
class _Anchor:
    """A finished value that has a name: the value, its path, its size, and its part of the list of places."""

    value: Any
    loc: Loc
    nodes: int
    depth: int
    first: int
    last: int


class _Builder:
    """Turns the events of a text into plain data and notes where each value stands.

    Parameters
    ----------
    text, source : str
        YAML, and the name with which messages start.
    places : dict or None
        Filled with the place of each value; None for an override, whose text has no lines.
    """

    def __init__(self, text: str, source: str, places: dict[Loc, str] | None) -> None:
        from raresim.files import yaml_events  # ruamel is loaded only when there is text to read

        self._limits = yaml_events
        self._events = iter(list(yaml_events.events(text, source)))  # every limit is checked before an event is used
        self._source = source
        self._places = places
        self._noted: list[Loc] = []
        self._anchors: dict[str, _Anchor | None] = {}
        self._nodes = self._deepest = 0

    def document(self) -> Any:
        """The only document of the text; None for an empty text."""
        value = None
        for event in self._events:
            if type(event).__name__.endswith(("ScalarEvent", "AliasEvent", "SequenceStartEvent", "MappingStartEvent")):
                value = self._value(event, (), 0)
        return value

    def _value(self, event: Any, loc: Loc, depth: int) -> Any:
        kind = type(event).__name__
        if kind == "AliasEvent":
            return self._alias(event, loc, depth)
        self._count(event, 1, depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        nodes, first = self._nodes, len(self._noted)
        above, self._deepest = self._deepest, depth
        if kind == "ScalarEvent":
            value = self._scalar(event, loc)
        elif kind == "SequenceStartEvent":
            value = self._list(loc, depth)
        else:
            value = self._mapping(loc, depth)
        if event.anchor is not None:
            size, height = self._nodes - nodes + 1, self._deepest - depth
            self._anchors[event.anchor] = _Anchor(value, loc, size, height, first, len(self._noted))
        self._deepest = max(above, self._deepest)
        return value

    def _list(self, loc: Loc, depth: int) -> list[Any]:
        values: list[Any] = []
        while type(event := next(self._events)).__name__ != "SequenceEndEvent":
            inner = (*loc, len(values))
            self._note(inner, event)
            values.append(self._value(event, inner, depth + 1))
        return values

    def _mapping(self, loc: Loc, depth: int) -> dict[str, Any]:
        values: dict[str, Any] = {}
        while type(event := next(self._events)).__name__ != "MappingEndEvent":
            key = self._key(event, loc)
            if key in values:
                raise self._error(event, f'found duplicate key "{key}"')
            inner = (*loc, key)
            self._note(inner, event)
            values[key] = self._value(next(self._events), inner, depth + 1)
        return values

    def _key(self, event: Any, loc: Loc) -> str:
        if type(event).__name__ != "ScalarEvent" or event.anchor is not None:
            raise self._error(event, "keys must be text, got a list, a mapping, an alias or an anchor")
        self._count(event, 1, len(loc))
        key = self._scalar(event, loc)
        if not isinstance(key, str):
            raise self._error(event, f"keys must be text, got {key!r}; put it in quotes")
        if len(key) > self._limits.MAX_KEY:
            raise self._error(event, f"a key must have at most {self._limits.MAX_KEY} characters, got {len(key):,}")
        return key

    def _alias(self, event: Any, loc: Loc, depth: int) -> Any:
        """A copy of the value that the alias stands for; it counts in full towards the limits."""
        anchor = self._anchors.get(event.anchor)
        if anchor is None:
            problem = "stands inside itself" if event.anchor in self._anchors else "is not defined before its use"
            raise self._error(event, f"the anchor &{event.anchor[:60]} {problem}")
        self._count(event, anchor.nodes, depth + anchor.depth)
        if self._places is not None:
            for old in self._noted[anchor.first : anchor.last]:
                new = (*loc, *old[len(anchor.loc) :])
                self._places[new] = self._places[old]
                self._noted.append(new)
        return copy.deepcopy(anchor.value)

    def _count(self, event: Any, nodes: int, depth: int) -> None:
        self._nodes += nodes
        self._deepest = max(self._deepest, depth)
        if self._nodes > self._limits.MAX_NODES:
            raise self._error(
                event, f"must have at most {self._limits.MAX_NODES:,} keys and values, got {self._nodes:,} up to here"
            )
        if depth > self._limits.MAX_DEPTH:
            raise self._error(event, f"must be at most {self._limits.MAX_DEPTH} levels deep, got {depth}")

    def _scalar(self, event: Any, loc: Loc) -> Any:
        text: str = event.value
        if event.style is not None:
            if found := _NOT_TEXT.search(text):
                raise self._error(event, f"{_named(loc)}the character U+{ord(found[0]):04X} is not allowed")
            return text
        if not loc and self._places is not None:  # not a config: its content is not read, nor shown
            return text
        try:
            value = _resolved(text)
        except ValueError as error:
            raise self._error(event, f"{_named(loc)}{error}") from None
        if isinstance(value, float) and not math.isfinite(value):
            raise self._error(event, f"{_named(loc)}must be a finite number, got {value}", loc)
        return value

    def _note(self, loc: Loc, event: Any) -> None:
        if self._places is not None:
            mark = event.start_mark
            self._places[loc] = f"{self._source}:{mark.line + 1}:{mark.column + 1}"
            self._noted.append(loc)

    def _error(self, event: Any, message: str, loc: Loc | None = None) -> ConfigError:
        """An error at the key of ``loc`` if given, else where ``event`` begins; an override is a place of its own."""
        if self._places is None:
            return ConfigError(_one_line(f"{self._source}: {message}"))
        mark = event.start_mark
        place = f"{self._source}:{mark.line + 1}:{mark.column + 1}"
        return ConfigError(_one_line(f"{self._places.get(loc, place) if loc else place}: {message}"))


_NOT_TEXT = re.compile("[\x00\ud800-\udfff]")
_NULL = ("", "~", "null", "Null", "NULL")
_BOOLEAN = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_WHOLE = re.compile(r"[-+]?[0-9]+")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIME = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt]|[ \t]+)[0-9]{1,2}:.*")


def _resolved(text: str) -> Any:
    """The value of a word without quotes by the core schema of YAML 1.2 (section 10.3.2), extended by dates.

    Raises
    ------
    ValueError
        When YAML 1.1 and 1.2 read different numbers, a number is too long, or a date does not exist.
    """
    if text in _NULL:
        return None
    if text in _BOOLEAN:
        return _BOOLEAN[text]
    if text[0] not in "0123456789+-.":
        return text
    if len(text) > MAX_DIGITS and (_NUMBER.fullmatch(text) or _BASED.fullmatch(text)):
        raise ValueError(f"a number must have at most {MAX_DIGITS} digits, got {len(text):,}")
    if _WHOLE.fullmatch(text):
        digits = text.lstrip("+-")
        if digits.startswith("0") and digits != "0":
            raise ValueError(f"must be a number without leading zeros, which some read as octal, got {text}")
        return int(text)
    if _BASED.fullmatch(text):
        return int(text, 0)
    if _NUMBER.fullmatch(text):
        return float(text)
    if _NOT_FINITE.fullmatch(text):
        return float(text.lower().replace(".", ""))
    if _DATE.fullmatch(text):
        try:
            return datetime.date.fromisoformat(text)
        except ValueError:
            raise ValueError(f"must be a day of the calendar, got {text}") from None
    if _TIME.fullmatch(text):
        raise ValueError("cannot be a time of day")
    return text


def _one_line(message: str) -> str:
    """``message`` on one line and cut short: names and values may hold line breaks, and be long."""
    line = " ".join(message.splitlines())
    return line if len(line) <= MAX_MESSAGE else f"{line[:MAX_MESSAGE]}..."


def _named(loc: Loc) -> str:
    return f"{dotted(loc)}: " if loc else ""


def _kind(value: Any) -> str:
    """A value's type in words; never its content, because the file may not be a config."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, (int, float)):
        return "a number"
    words = {str: "text", list: "a list", dict: "a mapping", datetime.date: "a date"}
    return words[type(value)]
