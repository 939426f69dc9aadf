"""Would a test fail if the code were wrong? Mutants of every module that makes a number, and those that survive.

``python experiments/trust/mutation.py FOLDER`` needs mutmut 3 (``pip install mutmut==3.8.1``), copies the repository
into FOLDER, makes the mutants there, runs the tests of `TESTS` on each, and writes mutation.md beside this file.
Mutants in FOLDER that have been run are not run again: to mutate changed code or run changed tests, name an empty
folder. ``--sample N`` runs N mutants of each module, drawn with a fixed seed, and the table has the limits of the
score; ``--again`` runs survivors once more, after tests were added, and the mutants of functions that have changed.

This file is also a plugin of pytest (``-p mutation``) in these runs: cheap tests come first, slow ones not at all.
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
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import libcst as cst
import pytest
import typer
from scipy import stats

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

MODULES = (
    *(f"accumulators/{name}" for name in ("arrivals", "bets", "moments", "summary", "tail", "top")),
    *(
        f"estimators/{name}"
        for name in ("antithetic", "base", "control_variates", "guarantee", "replicates", "weighted_draws")
    ),
    "measures/intervals",
    *(f"diagnostics/{name}" for name in ("canary", "ess", "psis", "verdict")),
    *(f"run/{name}" for name in ("answer", "probabilities", "quantiles")),
    "run/audit",
)

TESTS = (
    "diagnostics/test_verdict",
    "diagnostics/test_ess",
    "diagnostics/test_psis",
    "diagnostics/test_canary",
    "run/test_audit",
    "measures/test_intervals",
    "accumulators/test_accumulators",
    "estimators/test_antithetic",
    "estimators/test_control_variates",
    "run/test_estimation",
    "run/test_reading",
    "estimators/test_estimators",
    "information/test_information",
    "methods/test_importance",
    "test_properties",
    "run/test_experiment",
    "losses/test_failures",
    "methods/test_subset_simulation",
)

ELSEWHERE = "not (executor or process or worker)"
"""Tests that start processes, which do not see the chosen mutant."""

SLOWEST = 0.3
"""Most seconds that a test may take in the run without a mutant."""

SEED = 20_251_125

EQUIVALENT = HERE / "mutation_equivalent.json"
"""Survivors that no test can kill: the change in the source, and why it changes nothing."""


SKIPPED = shutil.ignore_patterns(".*", "__pycache__", "runs")

DETECTED = ("killed", "timeout")


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

    def leave_FunctionDef(  # noqa: N802  (libcst's name)
        self, original_node: cst.FunctionDef, updated_node: cst.FunctionDef
    ) -> Any:
        decorators = [d.decorator for d in updated_node.decorators]
        if len(decorators) != 1 or not (isinstance(decorators[0], cst.Name) and decorators[0].value == "property"):
            return updated_node
        name = updated_node.name.value
        rebound = cst.parse_statement(f"{name} = property({name})")
        return cst.FlattenSentinel([updated_node.with_changes(decorators=[]), rebound])


def prepare(folder: Path) -> None:
    """Copy the repository into ``folder``, with the settings of mutmut."""
    shutil.copytree(ROOT, folder, ignore=SKIPPED, dirs_exist_ok=True)
    (folder / "mutants").mkdir()  # before Python looks for modules there, and remembers that there are none
    renew(folder)
    settings = {
        "source_paths": ["raresim"],
        "only_mutate": [f"raresim/{module}.py" for module in MODULES],
        "also_copy": ["configs", "docs", "experiments", "tests", "README.md", "Makefile"],
        "pytest_add_cli_args_test_selection": [f"tests/{name}.py" for name in TESTS],
        "pytest_add_cli_args": [
            "-p",
            "mutation",
            "-p",
            "no:cacheprovider",
            "-m",
            "not slow",
            "-k",
            ELSEWHERE,
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


def renew(folder: Path) -> None:
    """Copy tests and modules once more; mutmut makes and runs the mutants of functions that have changed anew."""
    shutil.copytree(ROOT / "tests", folder / "tests", ignore=SKIPPED, dirs_exist_ok=True)
    for module in MODULES:
        name = Path("raresim") / f"{module}.py"
        source = cst.parse_module((ROOT / name).read_text()).visit(_Properties()).code
        if source != (folder / name).read_text():
            (folder / name).write_text(source)


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
        Mutmut's name.
    module, function : str
        Place of the mutant.
    change : str
        Lines before and after, without their common part.
    is_text : bool
        Whether it changes only string literals.
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
        """Place and change on one line, the key in `EQUIVALENT`."""
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
    """The syntax tree of a function with every string literal emptied, including f-strings and all inside them."""

    class Blank(ast.NodeTransformer):
        def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
            return ast.Constant("")

        def visit_Constant(self, node: ast.Constant) -> ast.AST:
            return ast.Constant("") if isinstance(node.value, str) else node

    return ast.dump(Blank().visit(ast.parse(textwrap.dedent(source))))


def _change(before: str, after: str) -> str:
    """The lines that differ, on one line, shortened to the differing part."""
    old, new = before.splitlines(), after.splitlines()
    while old and new and old[0] == new[0]:
        old, new = old[1:], new[1:]
    while old and new and old[-1] == new[-1]:
        old, new = old[:-1], new[:-1]
    return f"`{_joined(old)}` -> `{_joined(new)}`"


def _joined(lines: list[str]) -> str:
    return " ".join(line.strip() for line in lines).replace("|", "\\|")


def run(folder: Path, sample: int | None, children: int, again: bool) -> None:
    """Make the mutants, and run the tests on those that count and have not been run or have survived."""
    if not (folder / "pyproject.toml").exists():
        prepare(folder)
    if not (folder / "mutants" / "mutmut-stats.json").exists():
        mutmut(folder, "run", "raresim.diagnostics.ess.*")
    if again:
        renew(folder)
        mutmut(folder, "run", "raresim.diagnostics.ess.*")
    chosen = drawn(mutants(folder), sample)
    left = [m.name for m in chosen if not m.outcome or (again and m.outcome not in DETECTED)]
    if left:
        mutmut(folder, "run", "--max-children", str(children), *left)


def drawn(found: list[Mutant], sample: int | None) -> list[Mutant]:
    """The mutants that count: at most ``sample`` of each module, or all where all have been run."""
    chosen: list[Mutant] = []
    for module in MODULES:
        counted = [m for m in found if m.module == module and not m.is_text]
        order = random.Random(f"{SEED} {module}").sample(counted, len(counted))
        whole = all(m.outcome for m in counted)
        chosen += counted if whole else sorted(order[:sample], key=counted.index)
    return chosen


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

PAGE = """# Mutation score

Written by `python experiments/trust/mutation.py {command}`, with {program} and Python {python}.

Would a test fail if the code were wrong? A mutant is the code with one small change: a number that is one larger, `<`
for `<=`, `+` for `-`, an argument left out or `None`, a condition always true. The tests *kill* it if one fails. The
score is the share that is killed, in the modules that weights, estimates, intervals, diagnostics and the verdict
come from.

**{score}{limits} of {n:,} mutants are killed, as {run:,} that were run say; {without} without those that change
nothing.**

{table}

*text*: not run and not counted, since they change nothing but string literals: what is inside of quotes in the source,
f-strings with all that stands in them included, by comparison of the syntax trees. These are messages, and names of
fields, most of which are asserted on and would be killed. *timeout*: an endless loop, detected. *no tests*: no test
that was run calls the function; counted as survived. *equivalent*: survivors that no test can kill, listed below
with the reason; *score without* leaves them out.{few}

Not mutated: docstrings, annotations and constants at module level (mutmut changes functions alone), arguments of
decorators, and the two kernels that numba compiles, `compress` and `add_winnings`, which have tests against NumPy
(`tests/accumulators/test_accumulators.py`, `tests/numerics/test_jit.py`). Properties are, as functions (the script says
how).

Tests: {tests}, without those that take more than {slowest:g} s, that are marked slow, or that start processes, to which
the choice of a mutant does not pass; 25 examples of each property. More tests would kill more.

The tests were written with survivors in view, some of them in this sample, so it flatters. Before there were
`tests/run/test_reading.py`, `tests/estimators/test_estimators.py`, `tests/diagnostics/test_ess.py` and the arithmetic
in others, 286 of the first 328 mutants that ran were killed, in the cheapest modules to run. A pass over 2,262 mutants
after most of these tests, the greater part of which had not been run before, killed 2,181: 96 %, with equivalent ones
counted as survivors.

## Survivors

{survivors}

## Equivalent

{equivalent}
"""

SAMPLED = """

Of each module {sample} mutants were run, or all, drawn with the seed {seed}. In brackets the 95 %
limits of the score of all (Clopper-Pearson for a module; for all modules those of a stratified mean)."""


@dataclass(frozen=True)
class Score:
    """The outcome of the mutants of one module.

    Parameters
    ----------
    n : int
        Number of mutants that count.
    run, detected, equivalent : int
        Number that were run; of these, the number detected, and the number that survived and change nothing.
    """

    n: int
    run: int
    detected: int
    equivalent: int

    @classmethod
    def of(cls, module: str, found: list[Mutant], chosen: list[Mutant], reasons: Mapping[str, str]) -> Score:
        own = [m for m in chosen if m.module == module]
        alive = [m for m in own if m.outcome not in DETECTED]
        counted = sum(m.module == module and not m.is_text for m in found)
        return cls(counted, len(own), len(own) - len(alive), sum(m.row in reasons for m in alive))

    def share(self, without: bool) -> float:
        """Share of the mutants run that were detected, without the equivalent ones or with them."""
        return self.detected / max(1, self.run - without * self.equivalent)

    def text(self, without: bool) -> str:
        n = self.run - without * self.equivalent
        if self.run == self.n or not n:
            return f"{self.share(without):.0%}"
        ends = stats.binomtest(self.detected, n).proportion_ci(0.95)
        return f"{self.share(without):.0%} ({ends.low:.0%} to {ends.high:.0%})"


def together(scores: list[Score], without: bool) -> tuple[float, float]:
    """The share over all modules, as a mean of strata, and the half-width of its 95 % interval."""
    total = sum(s.n for s in scores)
    variance = 0.0
    for s in scores:
        p, left = s.share(without), 1.0 - s.run / s.n
        variance += (s.n / total) ** 2 * left * p * (1.0 - p) / max(1, s.run - 1)
    return sum(s.n * s.share(without) for s in scores) / total, 1.96 * math.sqrt(variance)


def write(found: list[Mutant], sample: int | None) -> None:
    """Write mutation.md."""
    reasons = {row: reason for reason, rows in json.loads(EQUIVALENT.read_text()).items() for row in rows}
    chosen = [m for m in drawn(found, sample) if m.outcome]
    scores = {module: Score.of(module, found, chosen, reasons) for module in MODULES}
    lines = [f"| module | {' | '.join(COLUMNS)} |", f"|---|{'--:|' * len(COLUMNS)}"]
    lines += [_line(module, found, chosen, score) for module, score in scores.items()]
    (score, half), (without, half_without) = (together(list(scores.values()), kind) for kind in (False, True))
    lines.append(
        f"| **all** | {len(found)} | {sum(m.is_text for m in found)} | {len(chosen)} "
        f"| {' | '.join(str(sum(m.outcome == outcome for m in chosen)) for outcome in OUTCOMES)} "
        f"| {_around(score, half)} | {sum(s.equivalent for s in scores.values())} | {_around(without, half_without)} |"
    )
    alive = [m for m in chosen if m.outcome not in DETECTED]
    groups = [
        (reason, [m for m in alive if reasons.get(m.row) == reason]) for reason in dict.fromkeys(reasons.values())
    ]
    text = PAGE.format(
        program=f"mutmut {version('mutmut')}",
        python=platform.python_version(),
        command=f"FOLDER{'' if sample is None else f' --sample {sample}'}",
        score=f"{score:.1%}",
        n=sum(s.n for s in scores.values()),
        run=len(chosen),
        limits=f" ({_limits(score, half)})" if half else "",
        without=f"{without:.1%}",
        table="\n".join(lines),
        few="" if sample is None else SAMPLED.format(sample=sample, seed=SEED),
        tests=", ".join(f"`{name}`" for name in TESTS),
        slowest=SLOWEST,
        survivors="\n".join(f"- {m.row}" for m in alive if m.row not in reasons) or "None.",
        equivalent="\n".join(
            f"- {reason}\n" + "\n".join(f"  - {m.row}" for m in group) for reason, group in groups if group
        ),
    )
    (HERE / "mutation.md").write_text(text)


OUTCOMES = ("killed", "timeout", "survived", "no tests")


def _line(module: str, found: list[Mutant], chosen: list[Mutant], score: Score) -> str:
    every = [m for m in found if m.module == module]
    seen = Counter(m.outcome for m in chosen if m.module == module)
    return (
        f"| {module} | {len(every)} | {sum(m.is_text for m in every)} | {score.run} "
        f"| {' | '.join(str(seen[outcome]) for outcome in OUTCOMES)} "
        f"| {score.text(False)} | {score.equivalent} | {score.text(True)} |"
    )


def _around(share: float, half: float) -> str:
    return f"{share:.1%} ({_limits(share, half)})" if half else f"{share:.1%}"


def _limits(share: float, half: float) -> str:
    return f"{share - half:.1%} to {min(1.0, share + half):.1%}"


def main(
    folder: Annotated[Path, typer.Argument(help="Where mutants are made and run; outside of the repository.")],
    sample: Annotated[int | None, typer.Option(help="Mutants of each module; all without it.")] = None,
    children: Annotated[int, typer.Option(help="Mutants that run at a time.")] = 1,
    again: Annotated[bool, typer.Option(help="Run survivors once more, with the tests as they are now.")] = False,
) -> None:
    run(folder.resolve(), sample, children, again)
    write(mutants(folder.resolve()), sample)


if __name__ == "__main__":
    typer.run(main)
