"""The reference of the Python interface: a page for each group of public names, from their docstrings."""

import importlib
import inspect
from collections.abc import Iterator
from types import GenericAlias

import raresim
from raresim.errors import RaresimError

GROUPS = {
    "run": ("Run and read", ("raresim.run", "raresim.config", "raresim.report", "raresim.engine", "raresim.record")),
    "inputs": ("Inputs", ("raresim.inputs", "raresim.distributions")),
    "losses": ("Losses", ("raresim.losses",)),
    "measures": ("Measures", ("raresim.measures",)),
    "methods": ("Methods", ("raresim.methods",)),
    "proposals": ("Families of proposals", ("raresim.proposals",)),
    "data": ("Data and backtests", ("raresim.data", "raresim.backtests")),
    "errors": ("Errors and exit codes", ("raresim.errors",)),
}
"""Name of a page, its title, and the folders whose public names are on it."""

FAMILIES = {
    "marginals": "Laws of one factor",
    "copulas": "Copulas",
    "models": "Models",
    "information": "Information theory",
}
"""Modules with public names of their own: ``raresim.marginals.Normal``."""


def pages() -> Iterator[tuple[str, str]]:
    """The name of each page, without its ending, and its text."""
    for name, (title, folders) in GROUPS.items():
        here = [each for each in raresim.__all__ if home(each).startswith(folders)]
        yield name, page(title, "raresim", here)
    for name, title in FAMILIES.items():
        yield name, page(title, f"raresim.{name}", importlib.import_module(f"raresim.{name}").__all__)


def home(name: str) -> str:
    """The module in which a public name of raresim is defined."""
    return f"{getattr(raresim, name).__module__}."


def page(title: str, module: str, names: list[str]) -> str:
    """A table of the names, and the docstring of each."""
    found = {name: getattr(importlib.import_module(module), name) for name in names}
    found = {name: each for name, each in found.items() if not isinstance(each, GenericAlias)}  # a name for a type
    ordered = sorted(found, key=lambda name: (kind(found[name]) != "function", name))
    lines = [
        title,
        "=" * len(title),
        "",
        f".. currentmodule:: {module}",
        "",
        ".. autosummary::",
        "   :nosignatures:",
        "",
    ]
    lines += [f"   {name}" for name in ordered if kind(found[name]) != "data"]
    for name in ordered:
        lines += ["", name, "-" * len(name), "", f".. auto{kind(found[name])}:: {module}.{name}"]
        if kind(found[name]) == "class":
            lines += ["   :members:", "   :exclude-members: examples"]
    return "\n".join(lines) + "\n"


def kind(found: object) -> str:
    """What Sphinx calls such an object."""
    if inspect.isclass(found):
        return "exception" if issubclass(found, RaresimError) else "class"
    return "function" if inspect.isroutine(found) else "data"
