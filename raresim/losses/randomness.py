"""Random numbers that a loss draws itself, found in its text: ``raresim check`` imports no code of the user."""

from __future__ import annotations

import ast
from collections.abc import Iterator

MODULES = ("random", "numpy.random")
SEEDED = ("default_rng", "RandomState", "Random", "Generator", "SeedSequence")
BIT_GENERATORS = ("PCG64", "PCG64DXSM", "Philox", "SFC64", "MT19937")
"""Functions of these modules that make a generator or a bit generator, which are harmless with a seed."""


def random_calls(tree: ast.Module, name: str) -> list[tuple[str, int]]:
    """Calls in the function ``name`` of a module that draw random numbers whose seed does not come from the row.

    Each entry has the call as written and its line. Found are calls of a global generator, a generator without a seed,
    a generator that the module made outside the function, and ``rvs`` of SciPy without ``random_state``. Functions of
    the same module that the function calls are read too.
    """
    imported = dict(_imported(tree))
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    shared = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
        for target in node.targets
        if isinstance(target, ast.Name) and _maker(node.value, imported)
    }
    waiting, read, found = [name], set(), []
    while waiting:
        function = functions.get(waiting.pop())
        if function is None or function.name in read:
            continue
        read.add(function.name)
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and _draws(node, imported, shared):
                found.append((ast.unparse(node.func), node.lineno))
            elif isinstance(node, ast.Name):
                waiting.append(node.id)
    return sorted(set(found), key=lambda call: call[1])


def _draws(call: ast.Call, imported: dict[str, str], shared: set[str]) -> bool:
    path = _path(call.func, imported)
    if maker := _maker(call, imported):
        return maker not in BIT_GENERATORS and not (call.args or call.keywords)
    if path.rpartition(".")[0] in MODULES:
        return path.rpartition(".")[2] not in BIT_GENERATORS
    if isinstance(call.func, ast.Attribute):
        if call.func.attr == "rvs":
            return not any(keyword.arg == "random_state" for keyword in call.keywords)
        return isinstance(call.func.value, ast.Name) and call.func.value.id in shared
    return False


def _maker(call: ast.Call, imported: dict[str, str]) -> str:
    """The name of the function if ``call`` makes a generator; empty otherwise."""
    module, _, last = _path(call.func, imported).rpartition(".")
    return last if module in MODULES and last in SEEDED else ""


def _path(node: ast.expr, imported: dict[str, str]) -> str:
    """``numpy.random.normal`` for ``np.random.normal``; empty if it is no dotted name of an imported module."""
    if isinstance(node, ast.Name):
        return imported.get(node.id, "")
    inner = _path(node.value, imported) if isinstance(node, ast.Attribute) else ""
    return f"{inner}.{node.attr}" if inner and isinstance(node, ast.Attribute) else ""


def _imported(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """The names that imports anywhere in the module bind, and the dotted path of each."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield (alias.asname, alias.name) if alias.asname else (alias.name.split(".")[0],) * 2
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"
