"""What does a method answer from a hundred evaluations, and is it right when it is trusted?

``python experiments/costly/run.py`` makes the runs that are not in ``data/costly.csv.gz`` yet, and writes table.md from
all rows there. ``--part unseen`` asks for the random problems that are run once, at the end. ``--table`` runs nothing.
``--peers`` runs adaptive kriging of UQpy, in an environment that has it. ``--quick`` makes a few runs, writes nothing,
and fails on results that chance gives one time in a million.

Problems. *Reference*: those of the literature on costly losses, ten seeds each. *Smooth*: random problems of
``experiments/trust`` with one branch and at most twelve inputs, one seed each, declared to be smooth. *Unlike parts*:
random problems that are systems of several smooth branches, given as one number, not declared. *Steps*: random problems
whose losses move in steps, wrongly declared to be smooth. *Unfit*: the losses of ``unfit.py``, one seed each, declared
to be smooth. *Wide*: smooth ones of 20 to 50 inputs, declared, with 300 evaluations.

Words. *Accepted*: trusted. *Wrong*: more than 25 % off. Error is the relative deviation from the answer; coverage is
that of the 95 % interval in accepted runs, with its own 95 % interval.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

# the studies of methods and of trust have the problems, and the files of rows
sys.path.append(str(Path(__file__).parents[1] / "methods"))
sys.path.append(str(Path(__file__).parents[1] / "trust"))

import peers
import rows
import unfit
from peers import Peer
from problems import PROBLEMS
from processes import run_in
from random_problems import problem as random_problem

from raresim import Probability, PythonLoss, StandardNormal, Surrogate, estimate
from raresim.measures.intervals import clopper_pearson
from raresim.record.verdict import Status
from raresim.run.result import Result

HERE = Path(__file__).parent
FILE, DATA = "costly", HERE / "data"
REFERENCE = ("FOUR-BRANCH-WAARTS", "R-S", "RP14", "RP22", "RP35", "OSC-REE", "OSC-AKMCS", "RP107", "HIMMELBLAU-95")
SEEDS = 10
PARTS = {"open": range(1_000), "unseen": range(40_000, 42_500)}
"""Numbers of random problems. Constants were chosen while the open ones up to 417 were looked at."""

MOST = 300
"""Random problems of each kind in a part."""

UNFIT = range(1_000, 1_200)
WIDE, WIDE_INPUTS, WIDE_BUDGET = 20, range(20, 51), 300
"""Number of wide problems, of the part ``unseen``, their inputs and their evaluations."""

OTHERS = ("unfit", "wide")
"""Parts beside the literature and the random problems."""

BUDGETS, MOST_SMOOTH = (100, 200), 300
"""Evaluations of a run, and of a third one for each smooth problem."""

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


def keys(part: str) -> list[Key]:
    """The runs of a part: smooth random problems, systems, losses with steps, and smooth ones with most evaluations."""
    if part == "reference":
        return [(part, name, budget, seed) for name in REFERENCE for budget in BUDGETS for seed in range(SEEDS)]
    if part == "unfit":
        return [(part, str(number), unfit.problem(number).budget, number) for number in UNFIT]
    if part == "wide":
        drawn = (random_problem(number) for number in PARTS["unseen"])
        fit = [p.number for p in drawn if p.kind == "one" and p.dim in WIDE_INPUTS]
        return [(part, str(number), WIDE_BUDGET, number) for number in fit[:WIDE]]
    found: dict[str, list[int]] = {kind: [] for kind in GROUPS}
    for number in PARTS[part]:
        drawn_one = random_problem(number)
        if drawn_one.dim <= MOST_INPUTS:
            found[drawn_one.kind].append(number)
    order = [(number, budget) for kind in GROUPS for number in found[kind][:MOST] for budget in BUDGETS]
    order += [(number, MOST_SMOOTH) for number in found["one"][:MOST]]
    return [(part, str(number), budget, number) for number, budget in order]


def asked_of(part: str, name: str) -> tuple[Any, Any, Any, float, str]:
    """Inputs, loss, measure, answer and group of a problem."""
    if part == "reference":
        asked = PROBLEMS[name]
        return asked.inputs, asked.loss, asked.measure, asked.probability, "reference"
    if part == "unfit":
        drawn = unfit.problem(int(name))
        return StandardNormal(dim=drawn.dim), drawn.loss, Probability(above=0.0), drawn.probability, drawn.kind
    random = random_problem(int(name))
    group = "wide" if part == "wide" else GROUPS[random.kind]
    return random.inputs, random.loss, Probability(above=0.0), random.probability, group


def run(key: Key) -> Run:
    """Make one run; an error is a result too."""
    part, name, budget, seed = key
    inputs, loss, measure, answer, group = asked_of(part, name)
    costly = PythonLoss(function=loss, smooth=group != "unlike parts")
    begun = time.process_time()
    known: dict[str, Any] = {"part": part, "problem": name, "budget": budget, "seed": seed, "group": group}
    known["dim"] = inputs.latent_dim
    try:
        found = estimate(inputs, costly, measure, Surrogate(), seed=seed, max_evaluations=budget, relative_error=ERROR)
    except Exception as error:
        return failed(known, error, time.process_time() - begun)
    return _row(known, found, answer, time.process_time() - begun)


def failed(known: dict[str, Any], error: Exception, seconds: float) -> Run:
    """The row of a run that ended with an error."""
    text = f"{type(error).__name__}: {error}"[:200]
    return Run(**known, ratio=math.nan, reported=math.nan, covered=False, evaluations=0, seconds=seconds,
               verdict="failed", wanting=text)  # fmt: skip


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


def keep(runs: Iterable[Run | Peer], total: int) -> None:
    """Save rows as they come, also those before an interruption."""
    waiting: list[Run | Peer] = []
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


def heading(title: str, script: str, header: Sequence[str]) -> list[str]:
    """The first lines of a file with a table, as Markdown: its title, what writes it, and the heads of the columns."""
    written = f"Written by `python experiments/costly/{script}`; its first lines say what the words mean."
    return [f"# {title}", "", written, "", f"| {' | '.join(header)} |", "| --- " * len(header) + "|"]


def table(found: Sequence[Run], others: Sequence[Peer]) -> str:
    """All tables, as Markdown."""
    parts = [part for part in ("reference", *PARTS, *OTHERS) if any(r.part == part for r in found)]
    out = heading("A hundred evaluations", "run.py", HEADER)
    for part in parts:
        for group in ("reference", *GROUPS.values(), *unfit.KINDS, "wide"):
            for budget in sorted({r.budget for r in found}):
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
    out += peers_table(found, others) if others else []
    wrong = [r for r in found if r.accepted and r.wrong]
    out += ["", "## Accepted and wrong", "", "| part | problem | evaluations | estimate / answer | group |"]
    out += ["| --- | --- | --- | --- | --- |"]
    out += [f"| {r.part} | {r.problem} | {r.budget} | {r.ratio:.3g} | {r.group} |" for r in wrong]
    return "\n".join(out) + "\n"


def peers_table(found: Sequence[Run], others: Sequence[Peer]) -> list[str]:
    """Lines: adaptive kriging of UQpy beside method surrogate, all runs of both, accepted or not."""
    columns = ("problem", "evaluations", "UQpy runs", "median error", "largest error", "off by more than 25 %",
               "surrogate runs", "median error", "largest error", "off by more than 25 %")  # fmt: skip
    out = ["", "## Beside AK-MCS of UQpy", "", f"| {' | '.join(columns)} |", "| --- " * len(columns) + "|"]
    for name in peers.NAMES:
        for budget in peers.BUDGETS:
            theirs = [abs(p.ratio - 1.0) for p in others if (p.problem, p.budget) == (name, budget)]
            own = [abs(r.ratio - 1.0) for r in found if (r.part, r.problem, r.budget) == ("reference", name, budget)]
            if theirs and own:
                out.append(f"| {name} | {budget} | {' | '.join([*errors(theirs), *errors(own)])} |")
    return out


def errors(off: Sequence[float]) -> list[str]:
    """Number of runs, their median and largest error, and how many are wrong; no answer counts as infinitely wrong."""
    known = [math.inf if math.isnan(value) else value for value in off]
    wrong = sum(value > WRONG for value in known)
    return [str(len(known)), f"{np.median(known):.2%}", f"{max(known):.2%}", str(wrong)]


def quick() -> None:
    """Raise where chance does not explain what a few runs find."""
    for part, name, seed in QUICK:
        judge(run((part, name, BUDGETS[0], seed)))


def judge(row: Run, slack: float = WRONG) -> None:
    """Tell of a run of a short version; raise where it failed or spent too much, and where it is trusted and more than
    ``slack`` and six reported errors off."""
    print(f"{row.problem}: {row.ratio:.4f} of the answer, {row.verdict}, {row.evaluations} evaluations", flush=True)
    if row.verdict == "failed" or row.evaluations > row.budget:
        raise SystemExit(f"{row.problem}: {row.wanting}, {row.evaluations} evaluations")
    if row.accepted and abs(row.ratio - 1.0) > max(slack, 6.0 * row.reported):
        raise SystemExit(f"{row.problem}: trusted, and {row.ratio:.4g} times the answer")


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--part", choices=["reference", *PARTS, *OTHERS], help="one part; by default reference and open"
    )
    parser.add_argument("--workers", type=int, default=2, help="processes")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--table", action="store_true", help="run nothing; write the table")
    what.add_argument("--quick", action="store_true", help="a few runs; writes nothing")
    what.add_argument("--peers", action="store_true", help="adaptive kriging of UQpy, in one process")
    options = parser.parse_args()
    if options.quick:
        quick()
        return
    kept = rows.read(Run, [FILE], DATA)
    if options.peers:
        keep(peers.run_all(rows.read(Peer, [peers.FILE], DATA)), len(peers.NAMES) * len(peers.BUDGETS) * peers.SEEDS)
    elif not options.table:
        asked = [options.part] if options.part else ["reference", "open"]
        wanted = [key for part in asked for key in keys(part) if key not in kept]
        keep(run_in(options.workers, run, wanted), len(wanted))
    found, others = rows.read(Run, [FILE], DATA), rows.read(Peer, [peers.FILE], DATA)
    (HERE / "table.md").write_text(table(list(found.values()), list(others.values())))


if __name__ == "__main__":
    main()
