"""YAML text to plain data that remembers the line and column of every key."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from raresim.errors import ConfigError

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 32
MAX_NODES = 10_000

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
        """Where ``loc`` stands, or the nearest value above it that does."""
        for end in range(len(loc), -1, -1):
            if loc[:end] in self.places:
                return self.places[loc[:end]]
        return self.source

    def error(self, loc: Loc, message: str) -> ConfigError:
        """A `ConfigError` with position and dotted path."""
        return ConfigError(f"{self.place(loc)}: {dotted(loc)}: {message}" if loc else f"{self.place(loc)}: {message}")

    def find(self, name: str) -> Loc | None:
        """The path of the only key called ``name``, or None when there is none or more than one."""
        found = [loc for loc in self.places if loc and loc[-1] == name]
        return found[0] if len(found) == 1 else None


def dotted(loc: Loc) -> str:
    """``("inputs", "components", 0)`` as ``inputs.components[0]``."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in loc)
    return text.removeprefix(".")


def read(path: Path) -> tuple[Tree, str]:
    """Read a config file; also its text, byte for byte.

    Raises
    ------
    ConfigError
        When there is no such file, it is too large, or it is not a YAML 1.2 mapping.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    if len(content) > MAX_BYTES:
        raise ConfigError(f"{path}: must be at most {MAX_BYTES:,} bytes, got {len(content):,}")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: must be UTF-8 text: {error.reason} at byte {error.start}") from None
    data = _parse(text, str(path))
    if not isinstance(data, Mapping):
        raise ConfigError(f"{path}:1:1: must be a mapping of keys to values, got {_kind(data)}")
    places: dict[Loc, str] = {(): f"{path}:1:1"}
    plain = _Walk(str(path), places).plain(data, (), 0)
    return Tree(str(path), plain, places), text


def override(tree: Tree, assignment: str) -> None:
    """Apply ``key=value`` to the tree: the key dotted, with ``[i]`` for list entries, the value YAML 1.2.

    Raises
    ------
    ConfigError
        When the assignment has no ``=``, its key runs through a scalar, or its value is not YAML.
    """
    key, equals, value = assignment.partition("=")
    steps = [m[1] if m[1] is not None else int(m[2]) for m in _STEP.finditer(key)]
    place = f"override {assignment!r}"
    if not equals or not steps or dotted(tuple(steps)) != key.strip():
        raise ConfigError(f"{place}: must have the form key=value, for instance stop.relative_error=0.05")
    node: Any = tree.data
    for depth, step in enumerate(steps[:-1]):
        if isinstance(node, dict):
            node = node.setdefault(step, {})
        elif isinstance(node, list) and isinstance(step, int) and step < len(node):
            node = node[step]
        else:
            raise ConfigError(f"{place}: {dotted(tuple(steps[: depth + 1]))} is not there to be changed")
    last: Any = steps[-1]
    if not (isinstance(node, dict) or (isinstance(node, list) and isinstance(last, int) and last < len(node))):
        raise ConfigError(f"{place}: {dotted(tuple(steps))} is not there to be changed")
    loc = tuple(steps)
    for old in [p for p in tree.places if p[: len(loc)] == loc]:
        del tree.places[old]
    tree.places[loc] = place
    node[last] = _Walk(place, None).plain(_parse(value, place), loc, 0)


def _parse(text: str, source: str) -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        return YAML(typ="rt").load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = f":{mark.line + 1}:{mark.column + 1}" if mark is not None else ""
        problem = (error.problem or str(error)).splitlines()[0]
        raise ConfigError(f"{source}{at}: {problem}") from None
    except (YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{source}: cannot be read as YAML: {str(error).splitlines()[0]}") from None


@dataclass
class _Walk:
    """Turns ruamel's nodes into plain data and notes where each stands (``places`` None: an override)."""

    source: str
    places: dict[Loc, str] | None
    nodes: int = 0

    def plain(self, node: Any, loc: Loc, depth: int) -> Any:
        self.nodes += 1
        if self.nodes > MAX_NODES or depth > MAX_DEPTH:
            raise ConfigError(f"{self.source}: must have at most {MAX_NODES:,} values, {MAX_DEPTH} levels deep")
        if isinstance(node, Mapping):
            return self.mapping(node, loc, depth)
        if isinstance(node, list):
            for i in range(len(node)):
                self.note((*loc, i), getattr(node, "lc", None), i)
            return [self.plain(item, (*loc, i), depth + 1) for i, item in enumerate(node)]
        return self.scalar(node, loc)

    def mapping(self, node: Any, loc: Loc, depth: int) -> dict[str, Any]:
        if getattr(node, "merge", None):
            raise ConfigError(f"{self.place(loc)}: merge keys (<<) are not supported; write the values out")
        out = {}
        for key, value in node.items():
            if not isinstance(key, str):
                raise ConfigError(f"{self.place(loc)}: keys must be text, got {key!r}")
            self.note((*loc, str(key)), getattr(node, "lc", None), key)
            out[str(key)] = self.plain(value, (*loc, str(key)), depth + 1)
        return out

    def scalar(self, node: Any, loc: Loc) -> Any:
        if node is None or isinstance(node, bool):
            return node
        if isinstance(node, int):
            return int(node)
        if isinstance(node, float):
            if not math.isfinite(node):
                raise ConfigError(f"{self.place(loc)}: {dotted(loc)}: must be a finite number, got {float(node)}")
            return float(node)
        if isinstance(node, str):
            return str(node)
        if type(node) is datetime.date:
            return node
        raise ConfigError(f"{self.place(loc)}: {dotted(loc)}: cannot be {_kind(node)}")

    def place(self, loc: Loc) -> str:
        places = self.places or {}
        return next((places[loc[:end]] for end in range(len(loc), -1, -1) if loc[:end] in places), self.source)

    def note(self, loc: Loc, marks: Any, key: Any) -> None:
        if self.places is None or marks is None:
            return
        line, column = marks.data[key][:2]
        self.places[loc] = f"{self.source}:{line + 1}:{column + 1}"


def _kind(value: Any) -> str:
    """A value's type in words."""
    if isinstance(value, datetime.date):
        return "a time of day"
    if isinstance(value, str):
        return f"the text {str(value)!r}"
    if isinstance(value, Sequence):
        return "a list"
    return "nothing" if value is None else f"a {type(value).__name__}"
