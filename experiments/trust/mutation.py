"""Would a test fail if the code were wrong? Mutants of every module that a number is read from, and which survive.

``python experiments/trust/mutation.py FOLDER`` needs mutmut 3 (``pip install mutmut==3.8.1``), copies the repository
into FOLDER, makes the mutants there, runs the tests of `TESTS` on each, and writes mutation.md beside this file. What
FOLDER already has is not run again: to mutate changed code or run changed tests, name an empty one. ``--sample N`` runs
N mutants of each module, of a fixed seed, and the table has the limits of the score.

This file is also the plugin of pytest that the runs are made with (``-p mutation``): cheap tests first, slow ones never.
"""

from __future__ import annotations

import ast
import json
import math
import os
import platform
import random
import shutil
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import libcst as cst
import pytest
import typer

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

MODULES = (
    *(f"accumulators/{name}" for name in ("arrivals", "bets", "moments", "summary", "tail", "top")),
    *(f"estimators/{name}" for name in ("antithetic", "base", "control_variates", "replicates", "weighted_draws")),
    *(f"measures/{name}" for name in ("guarantee", "intervals")),
    *(f"diagnostics/{name}" for name in ("canary", "ess", "psis", "verdict", "vov")),
    "reading",
    "audit",
)

TESTS = (
    "verdict",
    "ess",
    "psis",
    "vov",
    "canary",
    "audit",
    "intervals",
    "accumulators",
    "antithetic",
    "control_variates",
    "estimation",
    "reading",
    "estimators",
    "information",
    "importance",
    "properties",
    "experiment",
    "failures",
    "subset_simulation",
)

LEFT_OUT = (
    "tests/test_antithetic.py::test_budget_is_kept",
    "tests/test_control_variates.py::test_interval_covers_and_the_error_is_that_between_seeds",
    "tests/test_properties.py::test_a_report_reads_what_a_run_wrote",
)
"""Tests that failed without a mutant at the commit that was looked at."""

ELSEWHERE = "not (executor or process or worker)"
"""Tests that start processes, to which the choice of a mutant does not pass."""

SLOWEST = 0.3
"""Seconds that a test may take, in the run without a mutant."""

SEED = 20_251_125

EQUIVALENT = HERE / "mutation_equivalent.json"
"""Survivors that no test can kill: the change in the source, and why it changes nothing."""


@pytest.hookimpl(tryfirst=True)
def pytest_configure() -> None:
    from hypothesis import settings

    settings.register_profile("mutation", derandomize=True, deadline=None, max_examples=25, database=None)


def pytest_collection_modifyitems(config: Any, items: list[Any]) -> None:
    seconds = _seconds()
    if not seconds:
        return
    slow = [item for item in items if seconds.get(item.nodeid, 0.0) > SLOWEST]
    config.hook.pytest_deselected(items=slow)
    left = [item for item in items if seconds.get(item.nodeid, 0.0) <= SLOWEST]
    items[:] = sorted(left, key=lambda item: seconds.get(item.nodeid, 0.0))


def _seconds() -> dict[str, float]:
    stored = Path("mutmut-stats.json")
    return dict(json.loads(stored.read_text())["duration_by_test"]) if stored.exists() else {}


class _Properties(cst.CSTTransformer):
    """``@property`` over a method becomes ``name = property(name)`` under it: mutmut leaves decorated methods alone."""

    def leave_FunctionDef(self, original_node: cst.FunctionDef, updated_node: cst.FunctionDef) -> Any:
        decorators = [d.decorator for d in updated_node.decorators]
        if len(decorators) != 1 or not (isinstance(decorators[0], cst.Name) and decorators[0].value == "property"):
            return updated_node
        name = updated_node.name.value
        rebound = cst.parse_statement(f"{name} = property({name})")
        return cst.FlattenSentinel([updated_node.with_changes(decorators=[]), rebound])


def prepare(folder: Path) -> None:
    """Copy the repository into ``folder``, with the settings of mutmut."""
    skipped = shutil.ignore_patterns(".*", "__pycache__", "mutants", "runs")
    shutil.copytree(ROOT, folder, ignore=skipped, dirs_exist_ok=True)
    (folder / "mutants").mkdir()  # before Python looks for modules there, and remembers that there are none
    for module in MODULES:
        path = folder / "raresim" / f"{module}.py"
        path.write_text(cst.parse_module(path.read_text()).visit(_Properties()).code)
    settings = {
        "source_paths": ["raresim"],
        "only_mutate": [f"raresim/{module}.py" for module in MODULES],
        "also_copy": ["configs", "experiments", "tests", "README.md", "Makefile"],
        "pytest_add_cli_args_test_selection": [f"tests/test_{name}.py" for name in TESTS],
        "pytest_add_cli_args": [
            "-p",
            "mutation",
            "-p",
            "no:cacheprovider",
            "-m",
            "not slow",
            "-k",
            ELSEWHERE,
            *(f"--deselect={t}" for t in LEFT_OUT),
        ],
        "timeout_constant": 5.0,
        "timeout_multiplier": 2.0,
        "use_git_change_detection": False,
        "track_dependencies": False,
    }
    with (folder / "pyproject.toml").open("a") as out:
        print("\n[tool.mutmut]", file=out)
        for key, value in settings.items():
            print(f"{key} = {json.dumps(value)}", file=out)


def mutmut(folder: Path, *arguments: str) -> None:
    """Run mutmut in ``folder``, with this file as a plugin of its tests."""
    places = os.pathsep.join([str(folder / "mutants"), str(HERE)])
    environ = {**os.environ, "PYTHONPATH": places, "HYPOTHESIS_PROFILE": "mutation"}
    program = "import sys; from mutmut.__main__ import cli; sys.argv[0] = 'mutmut'; cli()"
    subprocess.run([sys.executable, "-c", program, *arguments], cwd=folder, env=environ, check=True)


@dataclass(frozen=True)
class Mutant:
    """One change of one function, and what the tests said of it.

    Parameters
    ----------
    name : str
        Mutmut's.
    module, function : str
        Where.
    change : str
        Lines before and after, without what they have in common.
    is_text : bool
        Whether it changes string literals alone.
    outcome : str
        ``killed``, ``timeout``, ``survived``, ``no tests``; empty where it was not run.
    """

    name: str
    module: str
    function: str
    change: str
    is_text: bool
    outcome: str

    @property
    def row(self) -> str:
        """Where and what, on one line: what `EQUIVALENT` knows it by."""
        return f"{self.module} {self.function}: {self.change}"


def mutants(folder: Path) -> list[Mutant]:
    """All mutants that mutmut has made in ``folder``."""
    from mutmut.mutation.data import MutantLineSpans, SourceFileMutationData
    from mutmut.stats import status_by_exit_code
    from mutmut.utils.file_utils import change_cwd

    found = []
    with change_cwd(folder):
        for module in MODULES:
            path = Path("raresim") / f"{module}.py"
            data, spans = SourceFileMutationData(path=path), MutantLineSpans.load(path)
            data.load()
            if spans is None:
                continue
            names = [key.rpartition(".")[2] for key in data.exit_code_by_key]
            originals = [name.rpartition("__mutmut_")[0] + "__mutmut_orig" for name in names]
            sources = dict(zip(wanted := [*names, *set(originals)], spans.read_function_sources(wanted), strict=True))
            for (key, code), name, original in zip(data.exit_code_by_key.items(), names, originals, strict=True):
                before = sources[original].replace(original, "f")
                after = sources[name].replace(name, "f")
                outcome = "" if code is None else status_by_exit_code[code]
                function = (
                    name.rpartition("__mutmut_")[0].removeprefix("x_").removeprefix("x\u01c1").replace("\u01c1", ".")
                )
                is_text = _without_text(before) == _without_text(after)
                found.append(Mutant(key, module, function, _change(before, after), is_text, outcome))
    return found


def _without_text(source: str) -> str:
    """The syntax tree of a function, with every string literal empty, f-strings and all that is in them included."""

    class Blank(ast.NodeTransformer):
        def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
            return ast.Constant("")

        def visit_Constant(self, node: ast.Constant) -> ast.AST:
            return ast.Constant("") if isinstance(node.value, str) else node

    return ast.dump(Blank().visit(ast.parse(textwrap.dedent(source))))


def _change(before: str, after: str) -> str:
    """The lines that differ, on one line, shortened to the place where they do."""
    old, new = before.splitlines(), after.splitlines()
    while old and new and old[0] == new[0]:
        old, new = old[1:], new[1:]
    while old and new and old[-1] == new[-1]:
        old, new = old[:-1], new[:-1]
    return f"`{_joined(old)}` -> `{_joined(new)}`"


def _joined(lines: list[str]) -> str:
    return " ".join(line.strip() for line in lines).replace("|", "\\|")


def run(folder: Path, sample: int | None, children: int) -> None:
    """Make the mutants, and run the tests on those that count and have not been run."""
    if not (folder / "pyproject.toml").exists():
        prepare(folder)
    if not (folder / "mutants" / "mutmut-stats.json").exists():
        mutmut(folder, "run", "raresim.diagnostics.ess.*")
    left = [m.name for m in drawn(mutants(folder), sample) if not m.outcome]
    if left:
        mutmut(folder, "run", "--max-children", str(children), *left)


def drawn(found: list[Mutant], sample: int | None) -> list[Mutant]:
    """Those that count; of each module at most ``sample`` of them."""
    chosen: list[Mutant] = []
    for module in MODULES:
        counted = [m for m in found if m.module == module and not m.is_text]
        order = random.Random(f"{SEED} {module}").sample(counted, len(counted))
        chosen += sorted(order[:sample], key=counted.index)
    return chosen


def write(found: list[Mutant], sample: int | None, seconds: float) -> None:
    """Write mutation.md."""
    reasons = {row: reason for reason, rows in json.loads(EQUIVALENT.read_text()).items() for row in rows}
    lines = [f"| module | {' | '.join(COLUMNS)} |", f"|---|{'--:|' * len(COLUMNS)}"]
    chosen = [m for m in drawn(found, sample) if m.outcome]
    for module in (*MODULES, ""):
        of_all = [m for m in found if module in ("", m.module)]
        lines.append(_line(module or "**all**", of_all, [m for m in chosen if module in ("", m.module)], reasons))
    alive = [m for m in chosen if m.outcome not in DETECTED]
    same = [f"- {m.row}" for m in alive if m.row not in reasons]
    equal = [
        f"- {reason}\n" + "\n".join(f"  - {m.row}" for m in alive if reasons.get(m.row) == reason)
        for reason in dict.fromkeys(reasons.values())
        if any(reasons.get(m.row) == reason for m in alive)
    ]
    text = PAGE.format(
        program=f"mutmut {version('mutmut')}",
        python=platform.python_version(),
        table="\n".join(lines),
        few="" if sample is None else SAMPLED.format(sample=sample),
        minutes=seconds / 60,
        tests=", ".join(f"`{name}`" for name in TESTS),
        left_out=", ".join(f"`{name.rpartition('::')[2]}`" for name in LEFT_OUT) or "none",
        command=f"FOLDER{'' if sample is None else f' --sample {sample}'}",
        slowest=SLOWEST,
        survivors="\n".join(same) or "None.",
        equivalent="\n".join(equal) or "None.",
    )
    (HERE / "mutation.md").write_text(text)


DETECTED = ("killed", "timeout")

COLUMNS = (
    "mutants",
    "text",
    "run",
    "killed",
    "timeout",
    "survived",
    "no tests",
    "score",
    "equivalent",
    "score without",
)


def _line(name: str, of_all: list[Mutant], chosen: list[Mutant], reasons: Mapping[str, str]) -> str:
    seen = Counter(m.outcome for m in chosen)
    detected = sum(seen[outcome] for outcome in DETECTED)
    equal = sum(m.row in reasons for m in chosen if m.outcome not in DETECTED)
    counted = sum(not m.is_text for m in of_all)
    return (
        f"| {name} | {len(of_all)} | {len(of_all) - counted} | {len(chosen)} | {seen['killed']} | {seen['timeout']} "
        f"| {seen['survived']} | {seen['no tests']} | {_score(detected, len(chosen), counted)} | {equal} "
        f"| {_score(detected, len(chosen) - equal, counted)} |"
    )


def _score(detected: int, n: int, of: int) -> str:
    """Share that was detected, with its 95 % limits where it is that of a sample."""
    if not n:
        return "-"
    if n == of:
        return f"{detected / n:.0%}"
    low, high = clopper_pearson(detected, n, 0.95)
    return f"{detected / n:.0%} ({low:.0%} to {high:.0%})"


def main(
    folder: Annotated[Path, typer.Argument(help="Where mutants are made and run; outside of the repository.")],
    sample: Annotated[int | None, typer.Option(help="Mutants of each module; all without it.")] = None,
    children: Annotated[int, typer.Option(help="Mutants that run at a time.")] = 1,
) -> None:
    run(folder.resolve(), sample, children)


if __name__ == "__main__":
    typer.run(main)
