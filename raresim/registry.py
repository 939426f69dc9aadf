"""Families of interchangeable parts: what may stand in YAML under ``kind``.

A member is a frozen dataclass with a ``kind`` and a static method ``examples()``; the decorator
`member` puts it into its family. Nothing else has to be touched for it to be accepted in YAML, listed
by ``raresim list``, described by ``raresim schema`` and covered by the conformance tests.

A member may be in a package of somebody else, which names it by an entry point of the group `GROUP`. These are read
only where a kind is not known here.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

from raresim.arguments.synonyms import unknown
from raresim.arguments.typed import typed
from raresim.errors import ConfigError, FieldError

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
    "process": ("raresim.models.paths",),
}
"""The packages in which the members of each family are looked for."""

GROUP = "raresim.members"
"""Group of the entry points by which packages name their members: ``loss.butterfly = "package.module:Butterfly"``."""

_members: dict[str, dict[str, type]] = {family: {} for family in FAMILIES}

_adopted: dict[str, str] = {}
"""Packages from which members were imported, with their versions."""


@dataclass(frozen=True)
class Plugin:
    """A member of another package, as its metadata name it; nothing of the package is imported.

    Parameters
    ----------
    family, kind : str
        The member.
    package, version : str
        The package that has it.
    entry : EntryPoint
        Where in the package it is.
    """

    family: str
    kind: str
    package: str
    version: str
    entry: metadata.EntryPoint = field(repr=False, compare=False)

    def __str__(self) -> str:
        return f"{self.package} {self.version}"


def member(*families: str) -> Callable[[T], T]:
    """Register a class under its ``kind`` in each of ``families``; its constructor checks the types of arguments."""

    def register(cls: T) -> T:
        typed(cls)
        kind: str = cls.kind  # type: ignore[attr-defined]  # every member has one, by contract
        for family in families:
            if kind in _members[family]:
                both = f"{_members[family][kind].__module__} and {cls.__module__}"
                raise TypeError(f"{family}: kind {kind!r} is registered twice, by {both}")
            _members[family][kind] = cls
        return cls

    return register


def members(family: str) -> dict[str, type]:
    """Kind -> class of one family, in alphabetical order."""
    for package in map(importlib.import_module, FAMILIES[family]):
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{package.__name__}.{module.name}")
    return dict(sorted(_members[family].items()))


def some_members(family: str, kinds: Collection[str]) -> dict[str, type]:
    """Those of `members` that are of one of ``kinds``; files in which no line says such a kind are not imported."""
    for package in FAMILIES[family]:
        for module in {module for kind in kinds for module in _homes(package).get(kind, ())}:
            importlib.import_module(module)
    return {kind: cls for kind, cls in sorted(_members[family].items()) if kind in kinds}


KIND = re.compile(r'^    kind: ClassVar.* = "(\w+)"', re.MULTILINE)


@functools.cache
def _homes(package: str) -> Mapping[str, list[str]]:
    """Kind -> the modules of ``package`` whose text says it: reading a hundred files is quicker than importing them."""
    homes: dict[str, list[str]] = {}
    for folder in importlib.import_module(package).__path__:
        for path in Path(folder).glob("*.py"):
            for kind in KIND.findall(path.read_text("utf-8")):
                homes.setdefault(kind, []).append(f"{package}.{path.stem}")
    return homes


def lookup(family: str, kind: Any) -> type:
    """The class of ``kind``; raises `FieldError` with the nearest name when there is none."""
    if isinstance(kind, str) and (known := some_members(family, {kind})):
        return known[kind]
    known = members(family)
    if isinstance(kind, str) and kind not in known:
        for plugin in plugins_of({kind}):
            adopt(plugin)
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


def plugins() -> list[Plugin]:
    """The members that other packages name in their metadata, by family and kind.

    Raises
    ------
    ConfigError
        When a name is not FAMILY.KIND.
    """
    found = []
    for entry in metadata.entry_points(group=GROUP):
        family, _, kind = entry.name.partition(".")
        package, version = (entry.dist.name, entry.dist.version) if entry.dist is not None else ("?", "?")
        if family not in FAMILIES or not kind:
            raise ConfigError(
                f"package {package} {version}: its entry point {entry.name!r} of the group {GROUP} must be called "
                f"FAMILY.KIND, with one of the families {', '.join(FAMILIES)}"
            )
        found.append(Plugin(family, kind, package, version, entry))
    return sorted(found, key=lambda plugin: (plugin.family, plugin.kind, plugin.package))


def plugins_of(kinds: Collection[str]) -> list[Plugin]:
    """The plug-ins of ``kinds``, but for kinds that are known already in their family.

    Raises
    ------
    ConfigError
        When two packages have the same kind of one family.
    """
    found: dict[tuple[str, str], Plugin] = {}
    for plugin in plugins():
        if plugin.kind not in kinds or some_members(plugin.family, {plugin.kind}):
            continue
        other = found.setdefault((plugin.family, plugin.kind), plugin)
        if other is not plugin:
            raise ConfigError(
                f"{plugin.family} kind {plugin.kind!r}: two packages have it, {other} and {plugin}: remove one of them"
            )
    return list(found.values())


def adopt(plugin: Plugin) -> None:
    """Import ``plugin`` and make it a member of its family.

    Raises
    ------
    ConfigError
        When it cannot be imported, or is no class of that kind.
    """
    what = f"{plugin.family} kind {plugin.kind!r} of the package {plugin}"
    try:
        cls = plugin.entry.load()
        if getattr(cls, "kind", None) != plugin.kind:
            raise TypeError(f"{plugin.entry.value} has the kind {getattr(cls, 'kind', None)!r}")
        if _members[plugin.family].get(plugin.kind) is not cls:  # its own decorator has not done it
            member(plugin.family)(cls)
    except Exception as error:
        raise ConfigError(f"{what}: cannot be imported: {type(error).__name__}: {error}") from error
    _adopted[plugin.package] = plugin.version


def adopted() -> dict[str, str]:
    """The packages from which members were imported, with their versions."""
    return dict(sorted(_adopted.items()))
