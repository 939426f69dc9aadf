"""How far would a cluster go? What a task costs the calling machine is measured, the rest is arithmetic.

``python experiments/scaling/limits.py`` writes limits.csv and limits.md beside this file, in three minutes of one core;
with ``--table`` only the page, from the measurements that are there.
"""

from __future__ import annotations

import csv
import os
import pickle
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import jobs
from run import table

from raresim import Executor, Experiment, ValueAtRisk
from raresim.numerics.blocks import Growing, Plan, plan

HERE = Path(__file__).parent
SCHEDULER = 1e-3
"""Seconds of Dask's scheduler for a task, measured with LocalCluster: about 1 ms."""

CLUSTERS = (2, 100, 10_000)
DIM = 20
DRAWS = (10**4, 10**5, 10**6, 10**7, 10**8)
ROUNDS = 3
SIZES = (30_000_000, 90_000_000)
"""Draws of a short and of a long run; what a task costs is read from their difference."""


class Weighing:
    """A pool that computes each task at once, in this thread, and weighs what would travel."""

    def __init__(self) -> None:
        self.tasks, self.bytes, self.computing = 0, 0, 0.0

    def submit(self, function: Callable[..., Any], kind: Any, group: Any, *parcels: Any) -> Future[Any]:
        """The finished future of a task; sending the problem is not counted, because it is sent once."""
        begun = time.process_time()
        result = function(kind, group, *parcels)
        self.bytes += len(pickle.dumps(group)) + len(pickle.dumps(result))
        self.tasks += 1
        self.computing += time.process_time() - begun
        future: Future[Any] = Future()
        future.set_result(result)
        return future


def probability(n: int, seed: int) -> Experiment:
    """A probability, whose summaries are sums."""
    return jobs.linear(n, DIM, seed)


def quantile(n: int, seed: int) -> Experiment:
    """A value at risk, whose summaries hold losses."""
    experiment = jobs.linear(n, DIM, seed)
    return Experiment(
        inputs=experiment.inputs,
        loss=experiment.loss,
        measures=[ValueAtRisk(tail=2.866515718791933e-07)],
        method=experiment.method,
        stop=experiment.stop,
        seed=seed,
        audit="off",
    )


def weighed(job: Callable[[int, int], Experiment], n: int, seed: int) -> tuple[Weighing, float]:
    """What a run sends, and the seconds of the calling process beside the tasks themselves."""
    pool = Weighing()
    begun = time.process_time()
    job(n, seed).run(Executor(pool, workers=2))
    return pool, time.process_time() - begun - pool.computing


def measured(job: Callable[[int, int], Experiment]) -> list[float]:
    """Seconds of a task, seconds of the calling process for it and bytes of it, from two runs; the median round."""
    rounds = []
    for seed in range(1, ROUNDS + 1):
        (short, own), (long, more) = (weighed(job, n, seed) for n in SIZES)
        tasks = long.tasks - short.tasks
        computing = (long.computing - short.computing) / tasks
        rounds.append((max(more - own, 0.0) / tasks, (long.bytes - short.bytes) / tasks, computing))
    caller, size, seconds = sorted(rounds)[ROUNDS // 2]
    return [seconds, caller, size]


def measure() -> None:
    """Write limits.csv."""
    facts = f"{table.machine()}; load at the start {os.getloadavg()[0]:.1f}"
    jobs_of = {"a probability": probability, "a value at risk": quantile}
    with (HERE / "limits.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["job", "task_seconds", "caller_seconds", "bytes", "machine"])
        rows.writerows([name, *measured(job), facts] for name, job in jobs_of.items())


def page() -> Iterator[str]:
    """What was measured, then the arithmetic for each size of cluster."""
    with (HERE / "limits.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    yield from ["# What a task costs, and how far that goes", ""]
    yield f"Made by `python experiments/scaling/limits.py`; {rows[0]['machine']}."
    yield "Processor time of one process, in which a pool is imitated; median of three rounds."
    yield "The loss is linear in 20 factors, and half of its draws are hits."
    yield from ["", "| job | seconds of a task | calling process, ms a task | bytes a task |", "|---|--:|--:|--:|"]
    for row in rows:
        seconds, caller, size = numbers(row)
        yield f"| {row['job']} | {seconds:.2f} | {1e3 * caller:.1f} | {size:,.0f} |"
    yield from ["", "W workers finish W tasks in the seconds of a task."]
    yield f"Dask's scheduler takes about {1e3 * SCHEDULER:g} ms for one. The last column is the number of workers at"
    yield from ["which the scheduler, or the calling process, is busy all the time.", ""]
    yield "| job | workers | tasks a second | scheduler busy | caller busy | MB a second | workers kept busy, at most |"
    yield "|---|--:|--:|--:|--:|--:|--:|"
    yield from (reach(row["job"], workers, *numbers(row)) for row in rows for workers in CLUSTERS)
    yield from ["", "A chunk is the least that goes to a worker. The plan decides how many a stage has:", ""]
    yield from [f"| draws of a stage ({DIM} factors) | chunks | rows of the largest |", "|--:|--:|--:|"]
    for n in DRAWS:
        plans: list[Plan | Growing] = [plan(0, n, DIM), Growing(stage=0, n_samples=n, dim=DIM)]
        counts = sorted(sum(1 for _ in each.chunks()) for each in plans)
        largest = max(sum(block.rows for block in chunk) for each in plans for chunk in each.chunks())
        yield f"| {n:,} | {counts[0]} to {counts[1]} | {largest:,} |"


def numbers(row: dict[str, str]) -> list[float]:
    """Seconds of a task, seconds of the calling process for it, and its bytes."""
    return [float(row[name]) for name in ("task_seconds", "caller_seconds", "bytes")]


def reach(name: str, workers: int, seconds: float, caller: float, size: float) -> str:
    """A line of the second table."""
    tasks = workers / seconds
    most = seconds / max(SCHEDULER, caller)
    busy = f"{100 * tasks * SCHEDULER:,.3g} % | {100 * tasks * caller:,.3g} %"
    return f"| {name} | {workers:,} | {tasks:,.0f} | {busy} | {tasks * size / 1e6:,.3g} | {most:,.0f} |"


if __name__ == "__main__":
    if "--table" not in sys.argv[1:]:
        measure()
    (HERE / "limits.md").write_text("\n".join(page()) + "\n", "utf-8")
