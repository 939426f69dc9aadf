"""Whether a user's function wants its risk factors one by one, where it is given one array."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Sequence
from typing import Any


def required_in(tree: ast.Module, name: str) -> list[str]:
    """Names of the arguments that the function ``name`` of a module must be given by position; empty without one."""
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name]
    if not functions or functions[-1].decorator_list:  # a decorator may change what is wanted
        return []
    wanted = functions[-1].args
    names = [argument.arg for argument in (*wanted.posonlyargs, *wanted.args)]
    return names[: len(names) - len(wanted.defaults)]


def required_by(function: Callable[..., Any] | None) -> list[str]:
    """The same of a function at hand; empty for one that does not tell."""
    try:
        known = inspect.signature(function).parameters.values() if function else ()
    except (TypeError, ValueError):  # of a compiled extension
        return []
    return [p.name for p in known if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]


def one_array(wanted: Sequence[str], vectorised: bool) -> str:
    """What to do about a function that wants several arguments; empty for any other."""
    if len(wanted) < 2:
        return ""
    given, begin = ("rows of risk factors", "x.T") if vectorised else ("the risk factors of a row", "x")
    return (
        f"it wants {len(wanted)} arguments and is called with one, an array x of {given}: let it take x, and begin "
        f"with `{', '.join(wanted)} = {begin}`"
    )
