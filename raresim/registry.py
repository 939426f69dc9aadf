"""Families of interchangeable parts: what may stand in YAML under ``kind``.

A member is a frozen dataclass with a ``kind`` and a static method ``examples()``; the decorator
`member` puts it into its family. Nothing else has to be touched for it to be accepted in YAML, listed
by ``raresim list``, described by ``raresim schema`` and covered by the conformance tests.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from raresim.arguments.synonyms import unknown
from raresim.arguments.typed import typed
from raresim.errors import FieldError

T = TypeVar("T", bound=type)

FAMILIES: Mapping[str, tuple[str, ...]] = {
    "inputs": ("raresim.inputs", "raresim.distributions"),
    "distribution": ("raresim.distributions",),
    "marginal": ("raresim.marginals",),
    "copula": ("raresim.copulas",),
    "loss": ("raresim.losses",),
    "proposal_family": ("raresim.proposals",),
    "method": ("raresim.methods",),
    "measure": ("raresim.measures",),
    "model": ("raresim.models",),
}
"""The packages in which the members of each family are looked for."""

_members: dict[str, dict[str, type]] = {family: {} for family in FAMILIES}


def member(*families: str) -> Callable[[T], T]:
    """Register a class under its ``kind`` in each of ``families``; its constructor checks the types of arguments."""

    def register(cls: T) -> T:
        typed(cls)
        kind: str = cls.kind  # type: ignore[attr-defined]  # every member has one, by contract
        for family in families:
            if kind in _members[family]:
                raise TypeError(f"{family}: kind {kind!r} is registered twice")
            _members[family][kind] = cls
        return cls

    return register


def members(family: str) -> dict[str, type]:
    """Kind -> class of one family, in alphabetical order."""
    for package in map(importlib.import_module, FAMILIES[family]):
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{package.__name__}.{module.name}")
    return dict(sorted(_members[family].items()))


def lookup(family: str, kind: Any) -> type:
    """The class of ``kind``; raises `FieldError` with the nearest name when there is none."""
    known = members(family)
    if isinstance(kind, str) and kind in known:
        return known[kind]
    raise FieldError("kind", unknown(f"{family} kind".replace("_", " "), kind, known))


def families_called(name: str) -> list[str]:
    """The families that a user means by ``name``: one, in singular or plural; ``distributions`` stands for three.

    Raises
    ------
    FieldError
        When no family has that name.
    """
    if name == "distributions":
        return ["inputs", "distribution", "marginal"]
    for singular in (name, name.removesuffix("s"), name.removesuffix("es"), name.removesuffix("ies") + "y"):
        if singular in FAMILIES:
            return [singular]
    raise FieldError("family", unknown("family", name, FAMILIES))
