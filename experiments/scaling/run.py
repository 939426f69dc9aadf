"""How does a run scale: with workers, with the number of draws, with the number of factors, and where workers die?

``python experiments/scaling/run.py`` writes table.md and table.csv beside this file; it needs a machine with nothing
else to do for a quarter of an hour. ``--only PART`` measures a part of it and writes nothing. ``--quick`` measures
little, in under a minute, writes nothing, and fails where digits differ or memory grows with the number of draws.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jobs
import numpy as np

from raresim import Executor

sys.path.append(str(Path(__file__).parents[1] / "throughput"))
import table
from table import Row

HERE = Path(__file__).parent
KINDS = (("threads", 1), ("threads", 2), ("processes", 2), ("dask", 2))


@dataclass(frozen=True)
class Size:
    """How much is measured: rounds, draws of each job, numbers of draws and of factors, kills.

    ``long`` are the draws of the job that takes a thread a minute, which is measured once, or not if they are 0.
    """

    rounds: int
    linear: int
    python: int
    long: int
    draws: tuple[int, ...]
    factors: tuple[int, ...]
    numbers: int
    kills: int
    counted: int


FULL = Size(
    rounds=3,
    linear=60_000_000,
    python=4_000_000,
    long=800_000_000,
    draws=(10**5, 10**6, 10**7, 10**8, 10**9),
    factors=(10, 100, 1000, 10_000),
    numbers=3 * 10**8,
    kills=20,
    counted=1_000_000,
)
QUICK = Size(2, 2_000_000, 200_000, 0, (10**6, 10**7), (10, 100), 10**7, 2, 600_000)


def in_turns(measure: list[Callable[[int], Any]], rounds: int) -> list[list[Any]]:
    """Every measurement once a round, so that other work affects all alike; the first round warms up."""
    values: list[list[Any]] = [[] for _ in measure]
    for seed in range(rounds + 1):
        for series, function in zip(values, measure, strict=True):
            value = function(seed)
            if seed:
                series.append(value)
    return values


def workers(size: Size) -> Iterator[Row]:
    """Time of one thread over the time of each executor, and whether their digits are the same."""
    several: list[tuple[str, int, Callable[[int, int], Any]]] = [
        ("linear loss", size.linear, lambda n, seed: jobs.linear(n, 20, seed)),
        ("Python loss", size.python, jobs.python),
    ]
    for name, n, job in several:
        turns = [lambda seed, of=of, job=job, n=n: _timed(of, lambda rows: job(rows, seed), n) for of in KINDS]
        times = in_turns(turns, size.rounds)
        one = [t for t, _ in times[0]]
        for (kind, count), series in zip(KINDS, times, strict=True):
            title = f"{name}, {count} {kind}"
            ratios = [a / t for a, (t, _) in zip(one, series, strict=True)]
            bars = {("threads", 2): 1.9, ("dask", 2): 1.8} if name == "linear loss" else {("dask", 2): 1.8}
            yield Row(f"{title}: times faster than one thread", ratios, "times", bars.get((kind, count)))
            same = [float(value == first) for (_, value), (_, first) in zip(series, times[0], strict=True)]
            yield Row(f"{title}: share of runs with the digits of one thread", same, "share", 1.0)


def minute(size: Size) -> Iterator[Row]:
    """The same of one job that takes a thread a minute, measured once on a thread, two threads and two Dask workers."""
    if not size.long:
        return
    found = {of: _timed(of, lambda rows: jobs.linear(rows, 20, 1), size.long) for of in KINDS if of[0] != "processes"}
    one, first = found["threads", 1]
    for of, bar in ((("threads", 2), 1.9), (("dask", 2), 1.8)):
        title = f"{size.long:,} draws, {of[1]} {of[0]}"
        yield Row(f"{title}: times faster than the {one:.0f} s of one thread", [one / found[of][0]], "times", bar)
        yield Row(f"{title}: share of runs with the digits of one thread", [float(found[of][1] == first)], "share", 1.0)


def _timed(of: tuple[Any, int], job: Callable[[int], Any], n: int) -> tuple[float, float]:
    """Seconds and estimate on workers that are there for this job alone, and have done a small one before.

    A Dask client beside a job on a thread would slow it: its own thread wants the interpreter's lock.
    """
    with Executor.of(*of) as executor:
        jobs.seconds(job(n // 20), executor)
        return jobs.seconds(job(n), executor)


def memory(size: Size) -> Iterator[Row]:
    """Peak memory of a process with two threads, by the number of draws."""
    peaks = [_peak(n) for n in size.draws]
    for n, peak in zip(size.draws, peaks, strict=True):
        yield Row(f"peak memory of {n:.0e} draws", [peak], "MB")
    many = [peak for n, peak in zip(size.draws, peaks, strict=True) if n >= 10**6]
    yield Row(f"growth from 1e6 to {size.draws[-1]:.0e} draws", [many[-1] - many[0]], "MB", 50.0, at_least=False)


def _peak(n: int) -> float:
    program = (
        "import sys, jobs; from raresim import Executor\n"
        "with Executor.of('threads', 2) as e: jobs.linear(int(sys.argv[1]), 20, 1).run(e)\n"
        "print([line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')][0])"
    )
    command = [sys.executable, "-c", program, str(n)]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=HERE).stdout) / 1024


def factors(size: Size) -> Iterator[Row]:
    """Cost of a number, which is a draw of one factor, relative to ten factors; dense correlation adds to it."""
    for name, job, bar, some in (
        ("independent", jobs.independent, 1.3, size.factors),
        ("correlated", jobs.linear, None, size.factors[:2]),
    ):
        cost = [partial(_cost, job, size.numbers, d) for d in some]
        times = in_turns(cost, size.rounds)
        for d, series in zip(some[1:], times[1:], strict=True):
            ratios = [t / first for t, first in zip(series, times[0], strict=True)]
            title = f"cost of a number at d = {d:,} over d = {some[0]}, {name} factors"
            yield Row(title, ratios, "times", bar, at_least=False)


def _cost(job: Callable[[int, int, int], Any], numbers: int, d: int, seed: int) -> float:
    """Seconds of the processor, so that other work on the machine counts for little."""
    return jobs.seconds(job(numbers // d, d, seed), None, time.process_time)[0]


def kills(size: Size) -> Iterator[Row]:
    """As `killed`, on two Dask workers."""
    with Executor.of("dask", 2) as dask:
        yield from killed(size, dask)


def killed(size: Size, dask: Executor) -> Iterator[Row]:
    """Runs of which a worker is killed at a random counted call, and the digits of a run in this thread."""
    rng, same = np.random.default_rng(20), []
    with tempfile.TemporaryDirectory() as place:
        for k in range(size.kills):
            folder = Path(place) / str(k)
            folder.mkdir()
            shutil.copy(HERE / "counted.py", folder)
            (folder / "kill").write_text("none")
            _, here = jobs.seconds(jobs.counting(size.counted, folder, k), None)
            calls = len(list(folder.glob("call-*")))
            for path in folder.glob("call-*"):
                path.unlink()
            (folder / "kill").write_text(str(rng.integers(2, calls)))  # no worker dies of the check for noise alone
            _, there = jobs.seconds(jobs.counting(size.counted, folder, k), dask)
            same.append(float(there == here))
    yield Row(f"{size.kills} workers killed at a counted call: share of runs with the same digits", same, "share", 1.0)


PARTS = {"workers": workers, "minute": minute, "kills": kills, "factors": factors, "memory": memory}


def main() -> None:
    """Parse the command line, measure, and write the table or judge the short version."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="measure little, judge digits and memory, write nothing")
    parser.add_argument("--draft", action="store_true", help="write the table of the short version, marked so")
    parser.add_argument("--only", choices=PARTS, help="measure this part at full length, write nothing")
    given = parser.parse_args()
    quick = given.quick or given.draft
    load, rows = os.getloadavg()[0], []
    for name, part in PARTS.items():
        if given.only in (None, name):
            for row in part(QUICK if quick else FULL):
                rows.append(row)
                print(" | ".join(row.cells()), flush=True)
    if given.quick:
        wrong = [row.what for row in rows if row.unit in ("share", "MB") and not row.meets()]
        sys.exit("\n".join(wrong) if wrong else 0)
    if given.only:
        return
    facts = f"{table.machine()}; load at the start {load:.1f}"
    if given.draft:
        facts = f"**Draft of the short version, on a busy machine: no ratio of times in it holds.** {facts}"
    table.write(HERE, rows, facts)


if __name__ == "__main__":
    main()
