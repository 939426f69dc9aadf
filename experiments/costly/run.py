"""What does a method answer from a hundred evaluations, and is it right when it is trusted?

``python experiments/costly/run.py`` makes the runs that are not in ``data/costly.csv.gz`` yet, and writes table.md from
all rows there. ``--part unseen`` asks for the random problems that are run once, at the end. ``--table`` runs nothing.
``--quick`` makes a few runs, writes nothing, and fails on results that chance gives one time in a million.

Problems. *Reference*: those of the literature on costly losses, ten seeds each. *Smooth*: random problems of
``experiments/trust`` with one branch and at most twelve inputs, one seed each, declared to be smooth. *Unlike parts*:
random problems that are systems of several smooth branches, given as one number, not declared. *Steps*: random problems
whose losses move in steps, wrongly declared to be smooth.

Words. *Accepted*: trusted. *Wrong*: more than 25 % off. Error is the relative deviation from the answer; coverage is
that of the 95 % interval in accepted runs, with its own 95 % interval.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

# the studies of methods and of trust have the problems, and the files of rows
sys.path.append(str(Path(__file__).parents[1] / "methods"))
sys.path.append(str(Path(__file__).parents[1] / "trust"))

import rows
from problems import PROBLEMS
from random_problems import problem as random_problem

from raresim import Probability, PythonLoss, Surrogate, estimate
from raresim.measures.intervals import clopper_pearson
from raresim.record.verdict import Status
from raresim.run.result import Result

HERE = Path(__file__).parent
FILE, DATA = "costly", HERE / "data"
REFERENCE = ("FOUR-BRANCH-WAARTS", "R-S", "RP14", "RP22", "RP35", "OSC-REE", "OSC-AKMCS", "RP107", "HIMMELBLAU-95")
SEEDS = 10
PARTS = {"open": range(1_000), "unseen": range(40_000, 42_500)}
"""Numbers of random problems. Constants were chosen while the smooth ones of the first 300 were looked at."""

BUDGETS = (100, 200)
ERROR = 0.01
"""Relative error that a run stops at; the budget mostly ends before."""

MOST_INPUTS = 12
WRONG = 0.25
GROUPS = {"one": "smooth", "smooth": "unlike parts", "stepped": "steps"}
SAVE_EVERY = 20.0
QUICK = (("reference", "FOUR-BRANCH-WAARTS", 1), ("reference", "OSC-AKMCS", 1), ("open", "2", 2), ("open", "8", 8))
"""Runs of ``--quick``: two of the literature, a system of unlike parts or a hard one, and a smooth one."""

Key = tuple[str, str, int, int]
"""Part, problem, evaluations, seed."""


@dataclass(frozen=True)
class Run:
    """A row of the file of runs.

    Parameters
    ----------
    part, problem, budget, seed
        What was run; see `Key`.
    group : str
        What kind of problem it is.
    dim : int
        Number of inputs.
    ratio : float
        The estimate divided by the answer; NaN without an estimate.
    reported : float
        Reported relative error.
    covered : bool
        Whether the 95 % interval holds the answer.
    evaluations : int
        Evaluations of the loss.
    seconds : float
        Seconds of the processor.
    verdict : str
        The verdict, or the kind of error.
    wanting : str
        The checks that are not passed.
    """

    part: str
    problem: str
    budget: int
    seed: int
    group: str
    dim: int
    ratio: float
    reported: float
    covered: bool
    evaluations: int
    seconds: float
    verdict: str
    wanting: str

    @property
    def key(self) -> Key:
        return self.part, self.problem, self.budget, self.seed

    @property
    def file(self) -> str:
        return FILE

    @property
    def accepted(self) -> bool:
        return self.verdict == Status.TRUSTED

    @property
    def wrong(self) -> bool:
        return not abs(self.ratio - 1.0) <= WRONG


def numbers(part: str) -> Iterator[str]:
    """The random problems of a part that a surrogate takes."""
    for number in PARTS[part]:
        if random_problem(number).dim <= MOST_INPUTS:
            yield str(number)


def keys(part: str) -> list[Key]:
    """The runs of a part."""
    if part == "reference":
        return [(part, name, budget, seed) for name in REFERENCE for budget in BUDGETS for seed in range(SEEDS)]
    return [(part, number, budget, int(number)) for number in numbers(part) for budget in BUDGETS]


def run(key: Key) -> Run:
    """Make one run; an error is a result too."""
    part, name, budget, seed = key
    if part == "reference":
        asked = PROBLEMS[name]
        inputs, loss, measure, answer, group = asked.inputs, asked.loss, asked.measure, asked.probability, "reference"
    else:
        drawn = random_problem(int(name))
        inputs, loss, measure, answer = drawn.inputs, drawn.loss, Probability(above=0.0), drawn.probability
        group = GROUPS[drawn.kind]
    costly = PythonLoss(function=loss, smooth=group != "unlike parts")
    begun = time.process_time()
    known: dict[str, Any] = {"part": part, "problem": name, "budget": budget, "seed": seed, "group": group}
    known["dim"] = inputs.latent_dim
    try:
        found = estimate(inputs, costly, measure, Surrogate(), seed=seed, max_evaluations=budget, relative_error=ERROR)
    except Exception as error:
        text = f"{type(error).__name__}: {error}"[:200]
        seconds = time.process_time() - begun
        return Run(**known, ratio=math.nan, reported=math.nan, covered=False, evaluations=0, seconds=seconds,
                   verdict="failed", wanting=text)  # fmt: skip
    return _row(known, found, answer, time.process_time() - begun)


def _row(known: dict[str, Any], found: Result, answer: float, seconds: float) -> Run:
    (number,) = found.estimates
    low, high = number.interval
    return Run(
        **known,
        ratio=number.value / answer,
        reported=number.relative_error,
        covered=bool(low <= answer * (1.0 + 1e-4) and answer * (1.0 - 1e-4) <= high),
        evaluations=found.evaluations["total"],
        seconds=round(max(0.0, seconds - found.seconds["compile"]), 2),
        verdict=str(number.verdict.status),
        wanting=" ".join(c.name for c in number.verdict.checks if c.status is not Status.TRUSTED),
    )


def keep(runs: Iterable[Run], total: int) -> None:
    """Save rows as they come, also those before an interruption."""
    waiting: list[Run] = []
    saved = time.monotonic()
    try:
        for done, row in enumerate(runs, 1):
            waiting.append(row)
            if time.monotonic() - saved > SAVE_EVERY:
                rows.save(waiting, DATA)
                waiting, saved = [], time.monotonic()
                print(f"{done:,} of {total:,} runs", flush=True)
    finally:
        rows.save(waiting, DATA)


HEADER = ("part", "group", "evaluations", "runs", "accepted", "accepted and wrong", "coverage if accepted %",
          "median error if accepted", "median error of all", "seconds")  # fmt: skip


def line(name: tuple[str, ...], runs: Sequence[Run]) -> str:
    """A line of a table."""
    accepted = [r for r in runs if r.accepted]
    wrong = [r for r in accepted if r.wrong]
    count = f"{len(accepted)} ({len(accepted) / len(runs):.1%})"
    cells = [*name, str(len(runs)), count, f"{len(wrong)} of {len(accepted)}"]
    if accepted:
        held = sum(r.covered for r in accepted)
        low, high = clopper_pearson(held, len(accepted), 0.95)
        cells += [f"{100 * held / len(accepted):.1f} ({100 * low:.1f} to {100 * high:.1f})"]
        cells += [f"{np.median([abs(r.ratio - 1.0) for r in accepted]):.2%}"]
    else:
        cells += ["", ""]
    cells += [f"{np.median([abs(r.ratio - 1.0) for r in runs if not math.isnan(r.ratio)] or [math.nan]):.2%}"]
    return f"| {' | '.join([*cells, f'{np.median([r.seconds for r in runs]):.1f}'])} |"


def table(found: Sequence[Run]) -> str:
    """All tables, as Markdown."""
    parts = [part for part in ("reference", *PARTS) if any(r.part == part for r in found)]
    out = ["# A hundred evaluations", "", "Written by `python experiments/costly/run.py`; its first lines say what the "
           "words mean.", "", f"| {' | '.join(HEADER)} |", "| --- " * len(HEADER) + "|"]  # fmt: skip
    for part in parts:
        for group in ("reference", *GROUPS.values()):
            for budget in BUDGETS:
                some = [r for r in found if (r.part, r.group, r.budget) == (part, group, budget)]
                if some:
                    out.append(line((part, group, str(budget)), some))
    out += ["", "## Problems of the literature", "", f"| problem | {' | '.join(HEADER[2:])} |"]
    out += ["| --- " * (len(HEADER) - 1) + "|"]
    for name in REFERENCE:
        for budget in BUDGETS:
            some = [r for r in found if (r.part, r.problem, r.budget) == ("reference", name, budget)]
            if some:
                out.append(line((name, str(budget)), some))
    wrong = [r for r in found if r.accepted and r.wrong]
    out += ["", "## Accepted and wrong", "", "| part | problem | evaluations | estimate / answer | group |"]
    out += ["| --- | --- | --- | --- | --- |"]
    out += [f"| {r.part} | {r.problem} | {r.budget} | {r.ratio:.3g} | {r.group} |" for r in wrong]
    return "\n".join(out) + "\n"


def quick() -> None:
    """Raise where chance does not explain what a few runs find."""
    for part, name, seed in QUICK:
        row = run((part, name, BUDGETS[0], seed))
        print(f"{row.problem}: {row.ratio:.3f} of the answer, {row.verdict}, {row.evaluations} evaluations", flush=True)
        if row.verdict == "failed" or row.evaluations > BUDGETS[0]:
            raise SystemExit(f"{row.problem}: {row.wanting}, {row.evaluations} evaluations")
        if row.accepted and abs(row.ratio - 1.0) > max(WRONG, 6.0 * row.reported):
            raise SystemExit(f"{row.problem}: trusted, and {row.ratio:.3f} times the answer")


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=["reference", *PARTS], help="only that part; unseen only if asked for")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--table", action="store_true", help="run nothing; write the table")
    what.add_argument("--quick", action="store_true", help="a few runs; writes nothing")
    options = parser.parse_args()
    if options.quick:
        quick()
        return
    kept = rows.read(Run, [FILE], DATA)
    if not options.table:
        asked = [options.part] if options.part else ["reference", "open"]
        wanted = [key for part in asked for key in keys(part) if key not in kept]
        with ProcessPoolExecutor(options.workers, multiprocessing.get_context("spawn")) as pool:
            keep(pool.map(run, wanted), len(wanted))
    (HERE / "table.md").write_text(table(list(rows.read(Run, [FILE], DATA).values())))


if __name__ == "__main__":
    main()
