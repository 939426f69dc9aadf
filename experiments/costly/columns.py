"""What does a surrogate of each limit state answer where a system is given by columns?

``python experiments/costly/columns.py`` makes the runs that are not in ``data/columns.csv.gz`` yet, and writes
columns.md from all rows there. ``--first`` and ``--last`` choose numbers of random problems, ``--table`` runs nothing.
``--quick`` makes two runs, writes nothing, and fails on results that chance gives one time in a million.

Problems: the random problems of ``experiments/trust`` that are systems of several smooth branches, with at most twelve
inputs and one seed each, as in run.py. There each is one number and none is trusted. Here each branch is a limit state.
Branches are declared to be smooth, except those that are the smallest of several planes. *Declared*: all branches are.
*Open*: numbers that were looked at while constants were chosen. *Unseen*: from 40,000 on, run once and then left.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import run as study
from branches import Corner
from processes import run_in
from random_problems import problem as random_problem
from run import DATA, ERROR, HEADER, HERE, MOST_INPUTS, PARTS, Key, Run, line, rows

from raresim import Probability, PythonLoss, Surrogate, estimate

FILE, BUDGET = "columns", 200
OPEN = 400
"""Open numbers of random problems that are looked at if none are asked for."""

QUICK = ("13", "20")
GROUPS = ("declared", "not all declared")


@dataclass(frozen=True)
class Columns(Run):
    """A row of the file of runs with limit states."""

    @property
    def file(self) -> str:
        return FILE


def keys(first: int, last: int) -> Iterator[Key]:
    """The runs of the numbers from ``first`` to before ``last``."""
    for number in range(first, last):
        drawn = random_problem(number)
        if drawn.kind == "smooth" and drawn.dim <= MOST_INPUTS:
            yield part_of(number), str(number), BUDGET, number


def part_of(number: int) -> str:
    """Whether a number was looked at while constants were chosen."""
    return next(part for part, numbers in PARTS.items() if number in numbers)


def run(key: Key) -> Columns:
    """Make one run; an error is a result too."""
    part, name, budget, seed = key
    drawn = random_problem(int(name))
    names = [f"g{k + 1}" for k in range(drawn.branches)]
    kinked = [isinstance(branch.part, Corner) for branch in drawn.columns.branches]
    smooth = [state for state, is_kinked in zip(names, kinked, strict=True) if not is_kinked]
    known = {"part": part, "problem": name, "budget": budget, "seed": seed, "dim": drawn.inputs.latent_dim}
    known["group"] = GROUPS[any(kinked)]
    if len(names) == 1:
        raise ValueError(f"problem {name} is no system")
    system = {"at_least": drawn.system} if isinstance(drawn.system, int) else drawn.system
    loss = PythonLoss(function=drawn.columns, limit_states=names, system=system, smooth=smooth or False)
    begun = time.process_time()
    measure = Probability(above=0.0)
    options = {"seed": seed, "max_evaluations": budget, "relative_error": ERROR}
    found = estimate(drawn.inputs, loss, measure, Surrogate(), **options)
    return Columns(**vars(study._row(known, found, drawn.probability, time.process_time() - begun)))


def table(found: Sequence[Run]) -> str:
    """The table, as Markdown."""
    out = study.heading("Systems by columns", "columns.py", HEADER)
    for part in PARTS:
        for group in GROUPS:
            some = [r for r in found if (r.part, r.group) == (part, group)]
            if some:
                out.append(line((part, group, str(BUDGET)), some))
    out += ["", "Accepted and wrong:", "", "| part | problem | estimate / answer |", "| --- | --- | --- |"]
    out += [f"| {r.part} | {r.problem} | {r.ratio:.3g} |" for r in found if r.accepted and r.wrong]
    return "\n".join(out) + "\n"


def quick() -> None:
    """Raise where chance does not explain what two runs find."""
    for name in QUICK:
        study.judge(run((part_of(int(name)), name, 100, int(name))))


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first", type=int, default=0, help="first number of a random problem")
    parser.add_argument("--last", type=int, default=OPEN, help="the number after the last")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--table", action="store_true", help="run nothing; write the table")
    what.add_argument("--quick", action="store_true", help="two runs; writes nothing")
    options = parser.parse_args()
    if options.quick:
        quick()
        return
    kept = rows.read(Columns, [FILE], DATA)
    if not options.table:
        wanted = [key for key in keys(options.first, options.last) if key not in kept]
        study.keep(run_in(options.workers, run, wanted), len(wanted))
    (HERE / "columns.md").write_text(table(list(rows.read(Columns, [FILE], DATA).values())))


if __name__ == "__main__":
    main()
