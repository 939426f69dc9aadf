"""How often is a trusted number wrong, and how often is a right number not trusted?

``python experiments/trust/run.py`` runs every method on the suite with 200 seeds, where the run is not yet in
``data``, and writes table.md, table.csv and roc.png beside this file from all rows there. ``--plan`` measures a few
runs of each cell and prints the time that the whole would take. ``--libraries`` runs OpenTURNS and pystra on the same
problems, in an environment that has both. ``--quick`` runs a few cheap cells, writes nothing, and fails on results that
chance gives one time in a million.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

from scipy import stats

from raresim.losses.noise import ROWS_AGAIN

# the study of methods has the problems, and what counts evaluations
sys.path.append(str(Path(__file__).parents[1] / "methods"))

import libraries
import rows
import verdicts
from libraries import Rival
from processes import run_in
from runs import some_of
from suite import CASES
from trials import METHODS, Key, Trial, applies, run_trial

SEEDS = 200
SECONDS = 60.0
SAVE_EVERY = 30.0
"""Seconds between two savings, which an interrupted study loses at most."""

PLAN_SEEDS = 3

QUICK_METHODS = ("auto", "design_point", "subset_simulation", "importance")
QUICK_CASES = ("FOUR-BRANCH-WAARTS", "RP22", "TWO-SIDED-B4", "TRAP-80-20", "TRAP-DECOY", "TRAP-CURVED")
QUICK_SEEDS = 6
CHANCE = 1e-6


def keys_of(methods: Iterable[str], ids: Iterable[str], seeds: int) -> list[Key]:
    """The keys of the runs: cells in order, with the seeds of a cell beside each other."""
    pairs = [(method, id) for method in methods for id in ids if applies(method, CASES[id])]
    return [(method, id, seed) for method, id in pairs for seed in range(1, seeds + 1)]


def run_all(keys: Sequence[Key], seconds: float, workers: int) -> Iterator[Trial]:
    """The runs, in order."""
    return run_in(workers, partial(run_trial, seconds=seconds), keys, chunk=4)


def keep(runs: Iterable[Trial] | Iterable[Rival], total: int) -> None:
    """Save rows as they come, also those before an interruption."""
    waiting: list[Trial | Rival] = []
    begun = saved = time.monotonic()
    try:
        for done, run in enumerate(runs, 1):
            waiting.append(run)
            now = time.monotonic()
            if now - saved > SAVE_EVERY:
                rows.save(waiting)
                waiting, saved = [], now
                left = (now - begun) / done * (total - done) / 60
                print(f"{done:,} of {total:,} runs, {run.method} on {run.problem}; {left:.0f} minutes left", flush=True)
    finally:
        rows.save(waiting)


def plan(methods: Sequence[str], ids: Sequence[str], seeds: int, workers: int) -> None:
    """Measure a few runs of each cell and print the time of all, a line for each method and its three dearest cells."""
    spent: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for run in run_all(keys_of(methods, ids, PLAN_SEEDS), SECONDS, workers):
        spent[run.method][run.problem].append(run.seconds)
    whole = 0.0
    for method, of in spent.items():
        cells = {id: statistics.median(seconds) for id, seconds in of.items()}
        seconds = seeds * sum(cells.values())
        whole += seconds
        dearest = ", ".join(f"{id} {cells[id]:.2f} s" for id in sorted(cells, key=lambda id: -cells[id])[:3])
        print(f"{method}: {len(cells)} problems, {seconds / 60:.0f} minutes of one core; a run of {dearest}")
    print(f"all: {whole / 60:.0f} minutes of one core, {whole / 60 / workers:.0f} on {workers} that do nothing else")


def quick(workers: int) -> None:
    """Raise where chance does not explain what the short version finds."""
    for line in check(list(run_all(keys_of(QUICK_METHODS, QUICK_CASES, QUICK_SEEDS), 30.0, workers))):
        print(line, flush=True)


def check(runs: Sequence[Trial]) -> Iterator[str]:
    """Lines of results; raises `SystemExit` where they are worse than the bars by more than chance."""
    for run in runs:
        if not run.answered:
            raise SystemExit(f"{run.method} on {run.problem}, seed {run.seed}: {run.verdict}: {run.outcome}")
        if not 0 <= run.calls - run.evaluations <= ROWS_AGAIN:
            raise SystemExit(f"{run.method} on {run.problem}, seed {run.seed}: {run.calls} rows, not {run.evaluations}")
    trusted = [run for run in runs if run.trusted]
    if not trusted:
        raise SystemExit(f"none of {len(runs)} runs is trusted")
    false = [run for run in trusted if run.wrong]
    most = int(stats.binom.isf(CHANCE, len(trusted), verdicts.FALSE_TRUST))
    if len(false) > most:
        first = false[0]
        raise SystemExit(
            f"{len(false)} of {len(trusted)} trusted runs are wrong, at most {most} allowed; the first is "
            f"{first.method} on {first.problem}, seed {first.seed}: {first.off:.3g} times the answer"
        )
    yield f"{len(false)} of {len(trusted)} trusted runs are wrong, of {len(runs)} runs"
    covered, fewest = sum(run.missed == 0 for run in trusted), stats.binom.ppf(CHANCE, len(trusted), verdicts.COVERAGE)
    if covered < fewest:
        raise SystemExit(f"{covered} of {len(trusted)} trusted intervals hold the answer, {fewest:.0f} wanted")
    yield f"{covered} of {len(trusted)} trusted intervals hold the answer"


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--methods", type=some_of(METHODS), default=METHODS, metavar="KIND,...", help="all by default")
    parser.add_argument("--problems", type=some_of(CASES), default=list(CASES), metavar="ID,...", help="all by default")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="runs of each method on each problem")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="after which a run has failed")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--again", action="store_true", help="run also what is kept, and replace it")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--table", action="store_true", help="run nothing; write the tables and the figures")
    what.add_argument("--plan", action="store_true", help="print what the study would take; writes nothing")
    what.add_argument("--libraries", action="store_true", help="run OpenTURNS and pystra instead, in one process")
    what.add_argument("--quick", action="store_true", help="a few cheap cells; writes nothing")
    options = parser.parse_args()
    if options.quick:
        quick(options.workers)
        return
    if options.plan:
        plan(options.methods, options.problems, options.seeds, options.workers)
        return
    if options.libraries:
        wanted = [
            (method, id, seed)
            for first in range(1, options.seeds + 1, libraries.ROUND)
            for method in libraries.METHODS
            for id in options.problems
            for seed in range(first, min(first + libraries.ROUND, options.seeds + 1))
        ]
        there = {} if options.again else rows.read(Rival, [libraries.FILE])
        keep(libraries.run_all(wanted, there), len(wanted) - len(there))
    elif not options.table:
        kept = {} if options.again else rows.read(Trial, options.methods)
        keys = [key for key in keys_of(options.methods, options.problems, options.seeds) if key not in kept]
        keep(run_all(keys, options.seconds, options.workers), len(keys))
    machine = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    verdicts.write(rows.read(Trial, METHODS).values(), rows.read(Rival, [libraries.FILE]).values(), machine)


if __name__ == "__main__":
    main()
