"""raresim: rare-event Monte Carlo with intervals that hold and verdicts that say when they do not."""

import importlib
import pkgutil
import re

__version__ = "0.1.0"

_PUBLIC = re.compile(rb"^from (raresim\.[\w.]+) import (\w+) as \w+$", re.MULTILINE)

_HOMES = {
    name.decode(): home.decode() for home, name in _PUBLIC.findall(pkgutil.get_data(__name__, "__init__.pyi") or b"")
}
"""Public name to module, as the stub beside this file says it: a line of the stub is all that a further name takes."""

__all__ = sorted(_HOMES)  # noqa: PLE0605  # a list of the stub's names


_FAMILIES = ("copulas", "marginals", "models")
"""Folders whose members are called by the name of the folder: ``raresim.marginals.Normal``."""


def __getattr__(name: str) -> object:
    """Import a public name when it is first used: ``raresim --help`` must not wait for numpy."""
    if name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    if name in _FAMILIES:
        return importlib.import_module(f"raresim.{name}")
    raise AttributeError(f"module 'raresim' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
