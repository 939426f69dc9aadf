"""The house: which folder of the package may import which, and that there are few of them.

A folder of the package is one node; imports for type checkers alone do not count.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import raresim

ROOT = Path(raresim.__file__).parent

FLOORS = (
    ("numerics", "errors"),
    ("arguments", "files"),
    ("registry",),
    ("record", "data"),
    ("marginals",),
    ("distributions",),
    ("copulas", "information"),
    ("inputs", "accumulators"),
    ("losses",),
    ("engine",),
    ("proposals", "diagnostics", "surrogate"),
    ("search", "report"),
    ("measures", "estimators"),
    ("methods", "backtests"),
    ("models",),
    ("run",),
    ("config",),
    ("shell",),
)
"""From the ground up: a folder imports those on lower floors, and none beside it."""


def modules() -> Iterator[tuple[str, ast.Module]]:
    """The name of each module of the package, without the package's own, and its syntax tree.

    What ``python -m raresim`` starts only calls the shell, and stands for no part.
    """
    for path in sorted(set(ROOT.rglob("*.py")) - {ROOT / "__main__.py"}):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        yield name, ast.parse(path.read_text())


def is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def imported(tree: ast.AST) -> Iterator[str]:
    """Names of the package that are imported, wherever it happens, but for type checkers."""
    for node in ast.iter_child_nodes(tree):
        if is_for_types(node):
            continue
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "raresim":
            for alias in node.names:
                yield ".".join([*(node.module or "").split(".")[1:], alias.name])
        elif isinstance(node, ast.Import):
            yield from (a.name.partition(".")[2] for a in node.names if a.name.startswith("raresim."))
        yield from imported(node)


def graph() -> dict[str, set[str]]:
    """The folders and top modules that each of them imports."""
    nodes: dict[str, set[str]] = {}
    for name, tree in modules():
        here = name.split(".", maxsplit=1)[0]
        nodes.setdefault(here, set()).update(there.split(".", maxsplit=1)[0] for there in imported(tree))
    for here, there in nodes.items():
        there.intersection_update(set(nodes) - {here, ""})
    return {here: there for here, there in nodes.items() if here}


@pytest.fixture(scope="module")
def rooms() -> dict[str, set[str]]:
    return graph()


@pytest.mark.slow
def test_every_folder_has_a_floor(rooms):
    assert sorted(rooms) == sorted(name for floor in FLOORS for name in floor)
    assert len(rooms) + 1 <= 30
    assert len(FLOORS) <= 19


def test_imports_go_down(rooms):
    floor = {name: k for k, names in enumerate(FLOORS) for name in names}
    up = [(here, there) for here, theirs in rooms.items() for there in theirs if floor[there] >= floor[here]]
    assert up == []


def test_the_ground_floor_imports_nothing(rooms):
    assert rooms["numerics"] == rooms["errors"] == set()


def test_a_report_reads_records_and_runs_nothing(rooms):
    assert rooms["report"] <= {"record", "files", "errors", "numerics", "diagnostics", "arguments"}


def test_few_modules_lie_at_the_top():
    found = sorted(path.name for path in ROOT.glob("*.py"))
    assert found == ["__init__.py", "__main__.py", "errors.py", "registry.py"]


def test_an_import_that_goes_up_is_seen(tmp_path, monkeypatch):
    for folder, text in (("numerics", "def f():\n    from raresim.run import audit\n"), ("run", "")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "module.py").write_text(text)
    monkeypatch.setattr("tests.test_house.ROOT", tmp_path)
    assert graph() == {"numerics": {"run"}, "run": set()}
