"""Is a trusted number ever wrong on problems that nobody tuned for?

``python experiments/trust/fresh.py`` runs every method once on each random problem of a part, with the number of the
problem as seed, where the run is not yet in ``data``, and writes fresh.md and fresh.csv beside this file from all rows
there.

Parts. ``open``, numbers 0 to 999, may be looked at while anything is changed. ``unseen``, numbers 30,000 to 31,999, is
run once, at the end, and reported as it comes out: it has to be asked for, and its kept runs are not made again.

Words. *Wrong*: more than 25 % off, or the answer outside the 99.9 % interval (by more than 1e-4 of it). *Near*: at most
25 % off. *Solved*: near and trusted. *Trusted and wrong*: among the trusted, with the one-sided 95 % limit of Clopper
and Pearson; each problem has one run, so it is a limit by problem. *Coverage*: of the 95 % intervals of trusted runs,
with its own 95 % interval; *below / above*: those that end below the answer or begin above it. Evaluations are the
median with quartiles, seconds of the processor the median. ``auto_columns`` is `auto` that is given the limit states.

``--plan`` measures a few open problems and prints the time that the whole would take. ``--quick`` runs a few cheap open
problems, writes nothing, and fails on results that chance gives one time in a million.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

from scipy import stats

from raresim.losses.noise import ROWS_AGAIN

# the study of methods has the parts that count evaluations and read lists
sys.path.append(str(Path(__file__).parents[1] / "methods"))

import fresh_tables
import rows
from fresh_trials import BUDGET, COLUMNS, ERROR, METHODS, PARTS, Fresh, Key, Part, available, file_of, run_fresh
from processes import run_in
from random_problems import problem
from runs import FAILED, some_of

SECONDS = 120.0
SAVE_EVERY = 30.0
"""Seconds between two savings: what an interrupted study loses at most."""

PLAN_PROBLEMS = 12

QUICK_METHODS = ("auto", "cross_entropy", "subset_simulation")
QUICK_PROBLEMS, QUICK_DIM = 36, 16
QUICK_STOP = (0.1, 20_000)
CHANCE = 1e-6


def keys_of(methods: Iterable[str], numbers: Iterable[int], error: float, budget: int) -> list[Key]:
    """The keys of the runs, method by method."""
    wanted = list(numbers)
    return [(method, number, error, budget) for method in methods for number in wanted]


def run_all(keys: Sequence[Key], seconds: float, workers: int) -> Iterator[Fresh | None]:
    """The runs, in order; None where a method is not asked."""
    return run_in(workers, partial(run_fresh, seconds=seconds), keys, chunk=2)


def keep(runs: Iterable[Fresh | None], total: int) -> None:
    """Save rows as they come, also those before an interruption."""
    waiting: list[Fresh] = []
    begun = saved = time.monotonic()
    try:
        for done, run in enumerate(runs, 1):
            if run is not None:
                waiting.append(run)
            now = time.monotonic()
            if waiting and now - saved > SAVE_EVERY:
                last = waiting[-1]
                rows.save(waiting)
                waiting, saved = [], now
                left = (now - begun) / done * (total - done) / 60
                print(
                    f"{done:,} of {total:,} runs, {last.method} on {last.problem}; {left:.0f} minutes left", flush=True
                )
    finally:
        rows.save(waiting)


def plan(methods: Sequence[str], n_problems: int, stop: tuple[float, int], seconds: float, workers: int) -> None:
    """Measure a few open problems and print, for each method, the time that ``n_problems`` would take."""
    whole = 0.0
    step = len(PARTS["open"]) // PLAN_PROBLEMS
    for method in methods:
        keys = keys_of([method], PARTS["open"][::step], *stop)
        asked = [run for run in run_all(keys, seconds, workers) if run is not None]
        minutes = fresh_tables.mean_seconds(asked) * len(asked) / len(keys) * n_problems / 60.0
        whole += minutes
        print(f"{method}: asked about {len(asked)} of {len(keys)}, {minutes:.0f} minutes of one core", flush=True)
    print(f"all: {whole:.0f} minutes of one core, {whole / workers:.0f} on {workers} that do nothing else")


def quick_numbers() -> list[int]:
    """The first open problems of few dimensions."""
    few = (number for number in PARTS["open"] if problem(number).dim <= QUICK_DIM)
    return [number for number, _ in zip(few, range(QUICK_PROBLEMS), strict=False)]


def quick(workers: int) -> None:
    """Raise where chance does not explain what the short version finds."""
    keys = keys_of(QUICK_METHODS, quick_numbers(), *QUICK_STOP)
    for line in check([run for run in run_all(keys, 30.0, workers) if run is not None]):
        print(line, flush=True)


def check(runs: Sequence[Fresh]) -> Iterator[str]:
    """Lines of results; raises `SystemExit` where they are worse than wanted by more than chance."""
    for run in runs:
        where = f"{run.method} on {run.problem} ({run.form})"
        if run.verdict == FAILED:
            raise SystemExit(f"{where}: {run.verdict}: {run.outcome}")
        if run.answered and not 0 <= run.calls - run.evaluations <= ROWS_AGAIN:
            raise SystemExit(f"{where}: {run.calls} rows, not {run.evaluations}")
    trusted = [run for run in runs if run.trusted]
    if not trusted:
        raise SystemExit(f"none of {len(runs)} runs is trusted")
    wrong = [run for run in trusted if run.wrong]
    most = int(stats.binom.isf(CHANCE, len(trusted), fresh_tables.FALSE_TRUST))
    if len(wrong) > most:
        named = ", ".join(f"{run.method} on {run.problem} ({run.form}, {run.off:.3g} times)" for run in wrong[:5])
        raise SystemExit(f"{len(wrong)} of {len(trusted)} trusted runs are wrong, at most {most} allowed: {named}")
    yield f"{len(wrong)} of {len(trusted)} trusted runs are wrong, of {len(runs)} runs; at most {most} allowed"


def numbers_of(text: str, part: Part) -> range:
    """The numbers ``from:to`` of a part, all of it where the text is empty."""
    if not text:
        return PARTS[part]
    first, _, last = text.partition(":")
    numbers = range(int(first), int(last))
    if not numbers or numbers[0] not in PARTS[part] or numbers[-1] not in PARTS[part]:
        whole = PARTS[part]
        raise SystemExit(f"--numbers: the {part} part is {whole.start}:{whole.stop}, got {text}")
    return numbers


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=list(PARTS), default="open", help="which problems; the open ones by default")
    parser.add_argument("--numbers", default="", metavar="FROM:TO", help="some of the part, without the last")
    parser.add_argument("--methods", type=some_of(METHODS), default=METHODS, metavar="KIND,...", help="all by default")
    parser.add_argument("--error", type=float, default=ERROR, help="relative error that a run stops at")
    parser.add_argument("--budget", type=int, default=BUDGET, help="evaluations that a run may take")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="after which a run has failed")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--again", action="store_true", help="run also what is kept, and replace it; not the unseen")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--table", action="store_true", help="run nothing; write the tables")
    what.add_argument("--plan", action="store_true", help="print what it would take; writes nothing")
    what.add_argument("--quick", action="store_true", help="a few cheap problems; writes nothing")
    options = parser.parse_args()
    if options.quick:
        quick(options.workers)
        return
    if options.again and options.part == "unseen":
        raise SystemExit("--again: the unseen part is run once")
    numbers = numbers_of(options.numbers, options.part)
    methods, stop = available(options.methods), (options.error, options.budget)
    if len(methods) < len(options.methods):
        print(f"{COLUMNS} is left out: this version of raresim takes no limit states")
    if options.plan:
        plan(methods, len(numbers), stop, options.seconds, options.workers)
        return
    if not options.table:
        kept = {} if options.again else rows.read(Fresh, [file_of(method, options.part) for method in methods])
        keys = [key for key in keys_of(methods, numbers, *stop) if key not in kept]
        keep(run_all(keys, options.seconds, options.workers), len(keys))
    machine = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    files = [file_of(method, part) for method in METHODS for part in PARTS]
    fresh_tables.write(rows.read(Fresh, files).values(), machine)


if __name__ == "__main__":
    main()
