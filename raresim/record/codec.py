"""Records as JSON and back, by the fields of their dataclasses: the one place that writes and reads them.

JSON holds only finite numbers, so any other number is stored as null. The annotation of a field says what null stands
for: ``float`` reads NaN, `Infinite` reads infinity, `Vanishing` minus infinity, and ``float | None`` reads None.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import numpy as np

from raresim.errors import ConfigError, visible

T = TypeVar("T")

Infinite = Annotated[float, math.inf]
"""A number that is infinite if it is not finite."""

Vanishing = Annotated[float, -math.inf]
"""A logarithm; it is minus infinity if its number is 0."""

SHOWN = 40
"""Largest number of characters of a value in an error message."""


def plain(value: Any) -> Any:
    """``value`` in the types of JSON: dataclasses and mappings become objects, numbers that are not finite null.

    Raises
    ------
    TypeError
        For a value that is neither a record, a mapping, a sequence, a number, a text nor None.
    """
    if dataclasses.is_dataclass(value):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (bool, str)) or value is None:
        return value
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    raise TypeError(f"cannot be stored: {value!r}")


def shown(value: Any) -> str:
    """``value`` as an error message shows it."""
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."


@dataclass(frozen=True)
class Stored:
    """A JSON value and its place, which every complaint names.

    Parameters
    ----------
    where : str
        The file and the path in it: ``result.json.estimates[0].interval``.
    value : object
        The value that JSON holds there.
    """

    where: str
    value: Any

    def wants(self, allowed: str) -> ConfigError:
        """The complaint that the value must be ``allowed``."""
        return ConfigError(f"{self.where}: must be {allowed}, got {shown(self.value)}")

    def child(self, key: str, default: Any = None) -> Stored:
        """The entry ``key`` of an object; ``default`` if there is none.

        Raises
        ------
        ConfigError
            When the value is not an object.
        """
        if not isinstance(self.value, dict):
            raise self.wants("an object")
        return Stored(f"{self.where}.{key}", self.value.get(key, default))

    def items(self) -> list[Stored]:
        """The entries of a list; none for null.

        Raises
        ------
        ConfigError
            When the value is not a list.
        """
        if self.value is None:
            return []
        if not isinstance(self.value, list):
            raise self.wants("a list")
        return [Stored(f"{self.where}[{k}]", item) for k, item in enumerate(self.value)]

    def number(self) -> float | None:
        """The number; None for null and for a number that is not finite.

        Raises
        ------
        ConfigError
            When the value is neither a number nor null.
        """
        if self.value is None:
            return None
        if isinstance(self.value, bool) or not isinstance(self.value, int | float):
            raise self.wants("a number or null")
        try:
            return self.value if math.isfinite(self.value) else None
        except OverflowError:
            raise self.wants("a number that fits a double") from None

    def numbers(self) -> dict[str, float | None]:
        """Every entry of an object that is a number or null; lists and objects in it are left out.

        Raises
        ------
        ConfigError
            When the value is not an object, or an entry is a text.
        """
        self.child("")
        inner = {key: self.child(key) for key, item in self.value.items() if not isinstance(item, dict | list)}
        return {key: entry.number() for key, entry in inner.items()}


def read(wanted: Any, stored: Stored) -> Any:
    """The value of type ``wanted`` from which `plain` made ``stored``.

    A missing entry, or null, takes the default of its field. Without a default, a sequence or mapping is empty, a
    number is what null stands for, and anything else is an error.

    Parameters
    ----------
    wanted : type or annotation
        A record, or a type with which its fields may be annotated.
    stored : Stored
        The JSON value and its place.

    Raises
    ------
    ConfigError
        With the place, what is there and what is allowed.
    """
    origin, inner = get_origin(wanted), get_args(wanted)
    if origin is Annotated:
        return inner[1] if (x := stored.number()) is None else x
    if origin in (Union, types.UnionType):
        return _one_of(inner, stored)
    if origin is tuple:
        return _tuple(inner, stored)
    if origin is list:
        return [read(inner[0], item) for item in stored.items()]
    if origin is Mapping:
        held = Stored(stored.where, {}) if stored.value is None else stored
        held.child("")
        return {key: read(inner[1], held.child(key)) for key in held.value}
    if origin is Literal:
        if stored.value not in inner:
            raise stored.wants(f"one of {', '.join(map(str, inner))}")
        return stored.value
    if dataclasses.is_dataclass(wanted):
        return _record(wanted, stored)
    return _single(wanted, stored)


def _record(wanted: Any, stored: Stored) -> Any:
    stored.child("")
    given = {}
    for field in dataclasses.fields(wanted):
        has_default = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
        if has_default and stored.value.get(field.name) is None:
            continue
        given[field.name] = entry_of(hints_of(wanted)[field.name], stored, field.name)
    return wanted(**given)


def entry_of(kind: Any, stored: Stored, key: str) -> Any:
    """`read` for the entry ``key`` of an object; if there is no such entry, the complaint says so."""
    entry = stored.child(key)
    if key not in stored.value and not _may_be_empty(kind):
        raise ConfigError(f"{entry.where}: missing")
    return read(kind, entry)


@functools.cache
def hints_of(record: type) -> Mapping[str, Any]:
    """The annotations of the fields of ``record``, by name."""
    return typing.get_type_hints(record, include_extras=True)


def _may_be_empty(kind: Any) -> bool:
    return get_origin(kind) in (tuple, list, Mapping)


def _one_of(kinds: tuple[Any, ...], stored: Stored) -> Any:
    """A union of single types: None, a text, and a number or a record."""
    if stored.value is None and type(None) in kinds:
        return None
    if isinstance(stored.value, str) and str in kinds:
        return stored.value
    other = next(kind for kind in kinds if kind not in (str, type(None)))
    is_number = isinstance(stored.value, int | float) and not isinstance(stored.value, bool)
    if other in (int, float) and not is_number:
        names = [name for kind, name in ((str, "a text"), (other, "a number"), (type(None), "null")) if kind in kinds]
        raise stored.wants(f"{', '.join(names[:-1])} or {names[-1]}")
    return read(other, stored)


def _tuple(inner: tuple[Any, ...], stored: Stored) -> tuple[Any, ...]:
    items = stored.items()
    if len(inner) == 2 and inner[1] is Ellipsis:
        return tuple(read(inner[0], item) for item in items)
    if not items:  # nothing is known of them
        items = [Stored(stored.where, None) for _ in inner]
    if len(items) != len(inner):
        raise stored.wants(f"a list of {len(inner)}")
    return tuple(read(kind, item) for kind, item in zip(inner, items, strict=True))


def _single(wanted: Any, stored: Stored) -> Any:
    value = stored.value
    if wanted is Any:
        return value
    if wanted is float:
        return math.nan if (x := stored.number()) is None else x
    if wanted is str:
        if not isinstance(value, str):
            raise stored.wants("a text")
        return value
    if wanted is bool:
        if not isinstance(value, bool):
            raise stored.wants("true or false")
        return value
    if wanted is int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise stored.wants("a whole number")
        return value
    if issubclass(wanted, StrEnum):
        if value not in tuple(wanted):
            raise stored.wants(f"one of {', '.join(wanted)}")
        return wanted(value)
    raise TypeError(f"cannot be read back: {wanted!r}")


def all_visible(value: Any) -> Any:
    """Every text of a JSON value, keys too, made `visible`: it goes to terminals, figures and the page."""
    if isinstance(value, dict):
        return {visible(key): all_visible(item) for key, item in value.items()}
    if isinstance(value, list):
        return [all_visible(item) for item in value]
    return visible(value) if isinstance(value, str) else value
