"""How does each method do on problems whose probability is known? Many seeds, everything counted.

``python experiments/methods/run.py`` makes the runs that are not yet in ``data/measured``, then writes table.md,
table.csv and gain.png beside this file from all runs there; ``--quick`` runs a few cheap problems, writes nothing, and
fails on a trusted estimate off by more than five of its errors or on intervals that miss the answer too often to be
chance (one time in a million).
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Iterator, Sequence
from functools import partial

import summary
from problems import PROBLEMS
from processes import run_in
from runs import QUESTIONS, Key, Run, measure, read, save, some_of
from scipy import stats
from targets import TARGETS

from raresim.record.verdict import Status
from raresim.registry import members

NOT_RUN = "importance"
"""It draws from a law that its user states, so there is nothing to compare."""

SETS = {
    "tuning": [id for id, problem in PROBLEMS.items() if not problem.held_out],
    "held-out": [id for id, problem in PROBLEMS.items() if problem.held_out],
    "all": list(PROBLEMS),
    "targets": list(TARGETS),
}
SAVE_EVERY = 30.0
"""Seconds between two savings, which an interrupted study loses at most."""

QUICK_METHODS = ("auto", "cross_entropy", "subset_simulation")
QUICK_PROBLEMS = ("DIG-PUT-50", "RP22", "FOUR-BRANCH-WAARTS", "LN-SUM-4-LEFT", "RP60", "RP107", "PORT-5SIGMA-IND")
QUICK_SEEDS = 6
CHANCE = 1e-6
COVERAGE_BAR = 0.9
FAR = 5.0


def run_all(keys: Sequence[Key], seconds: float, workers: int) -> Iterator[Run]:
    """The runs, in order."""
    return run_in(workers, partial(measure, seconds=seconds), keys)


def study(keys: Sequence[Key], seconds: float, workers: int) -> None:
    """Run ``keys`` and keep the runs, also those before an interruption."""
    waiting: list[Run] = []
    begun = saved = time.monotonic()
    try:
        for done, run in enumerate(run_all(keys, seconds, workers), 1):
            waiting.append(run)
            now = time.monotonic()
            if now - saved > SAVE_EVERY:
                save(waiting)
                waiting, saved = [], now
                left = (now - begun) / done * (len(keys) - done) / 60
                print(
                    f"{done:,} of {len(keys):,} runs, {run.method} on {run.problem}; {left:.0f} minutes left",
                    flush=True,
                )
    finally:
        save(waiting)


def quick(workers: int) -> None:
    """Raise where chance does not explain what the short version finds."""
    seeds = range(1, QUICK_SEEDS + 1)
    keys = [(m, p, 0.05, 200_000, s) for m, p, s in itertools.product(QUICK_METHODS, QUICK_PROBLEMS, seeds)]
    runs = list(run_all(keys, 30.0, workers))
    for method in QUICK_METHODS:
        for line in check([run for run in runs if run.method == method]):
            print(line, flush=True)


def check(runs: Sequence[Run]) -> Iterator[str]:
    """A line for each problem of one method's runs, and at the end a line for all; raises `SystemExit`."""
    for id, group in itertools.groupby(runs, lambda run: run.problem):
        of = list(group)
        for run in of:
            if not run.answered:
                raise SystemExit(f"{run.method} on {id}, seed {run.seed}: {run.verdict}: {run.outcome}")
            if run.verdict == Status.TRUSTED and not run.within(FAR):
                raise SystemExit(
                    f"{run.method} on {id}, seed {run.seed}: trusted, off by {run.deviation:+.1%} "
                    f"with a reported error of {run.reported:.1%}"
                )
        cell = summary.Cell.of(of)
        spent = f"{cell.evaluations:,.0f} evaluations"
        yield f"{of[0].method} on {id}: {spent}, bias {cell.bias:+.1%}, rmse {cell.rmse:.1%}"
    held, fewest = sum(run.covered for run in runs), stats.binom.ppf(CHANCE, len(runs), COVERAGE_BAR)
    if held < fewest:
        raise SystemExit(f"{runs[0].method}: {held} of {len(runs)} intervals hold the answer, {fewest:.0f} wanted")
    yield f"{runs[0].method}: {held} of {len(runs)} intervals hold the answer"


def main() -> None:
    """Parse the command line and run."""
    methods = [kind for kind in members("method") if kind != NOT_RUN]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--methods", type=some_of(methods), default=methods, metavar="KIND,...", help="all by default")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--problems", type=some_of(QUESTIONS), metavar="ID,...", help="these alone")
    which.add_argument("--set", choices=SETS, default="all", help="which problems; all 89 by default")
    parser.add_argument("--seeds", type=int, default=50, help="runs of each method on each problem")
    parser.add_argument("--error", type=_errors, default=[0.05], metavar="E,...", help="relative errors to stop at")
    parser.add_argument("--max-evaluations", type=int, default=1_000_000, metavar="N", help="of a run")
    parser.add_argument("--seconds", type=float, default=60.0, help="after which a run has failed")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--again", action="store_true", help="run also what is kept, and replace it")
    parser.add_argument("--table", action="store_true", help="run nothing; write the tables and the figure")
    parser.add_argument("--quick", action="store_true", help="a few cheap problems; writes nothing")
    options = parser.parse_args()
    if options.quick:
        quick(options.workers)
        return
    if not options.table:
        ids = options.problems or SETS[options.set]
        seeds = range(1, options.seeds + 1)
        wanted = itertools.product(options.methods, ids, options.error, [options.max_evaluations], seeds)
        kept = {} if options.again else read(methods=options.methods)
        study([key for key in wanted if key not in kept], options.seconds, options.workers)
    summary.write(read().values())


def _errors(text: str) -> list[float]:
    """An argument that lists relative errors."""
    errors = [float(part) for part in text.split(",")]
    if not all(0.0 < error < 1.0 for error in errors):
        raise argparse.ArgumentTypeError("must be above 0 and below 1")
    return errors


if __name__ == "__main__":
    main()
