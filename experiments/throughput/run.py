"""How fast is raresim, against what else, and what does it cost beside the draws?

``python experiments/throughput/run.py`` writes table.md and table.csv beside this file; ``--quick`` measures less,
in under 30 s, writes nothing and fails where a figure is worse than a quarter of its bar: on a machine whose caches
are shared with others, the ratio to NumPy was seen to fall from 2.5 to 0.9 without a change of code.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from portfolio import DIM, Answer, Program, experiment, nanoseconds
from rivals import fastest_blocked_numpy, fastest_openturns, whole_array
from table import Row, machine, write
from threadpoolctl import threadpool_limits

HERE = Path(__file__).parent
SLACK = 4.0
"""How much worse than its bar a figure of the short version may be."""
CONFIG = HERE.parents[1] / "configs" / "gaussian-5-sigma-d20.yaml"
COST_ROWS = (256, 512, 1024, 2048, 4096)


@dataclass(frozen=True)
class Size:
    """How much is measured: rounds, draws of each program, draws for the cost of a block.

    A short run has no bar for whole arrays, because small arrays do not spend the time that large ones need to get
    memory. It has none for threads, because half of that bar is met without a gain, and needs an idle machine.
    """

    rounds: int
    raresim: int
    numpy: int
    whole: int
    openturns: int
    cost: int
    whole_bar: float | None = None
    threads_bar: float | None = None


FULL = Size(
    rounds=7,
    raresim=10_000_000,
    numpy=10_000_000,
    whole=1_000_000,
    openturns=500_000,
    cost=2_000_000,
    whole_bar=20.0,
    threads_bar=1.8,
)
QUICK = Size(rounds=3, raresim=1_000_000, numpy=1_000_000, whole=100_000, openturns=20_000, cost=500_000)


Measure = Callable[[int], float]
"""A measurement with a seed."""


@dataclass(frozen=True)
class Contender:
    """A program, its number of draws, how a round of it is measured, and how much faster raresim has to be."""

    name: str
    draws: int
    measure: Measure
    bar: float | None = None
    note: str = ""


def raresim_program(workers: int) -> Program:
    """The job by raresim, on this thread or on several threads."""

    def program(n: int, seed: int) -> Answer:
        from raresim import Executor

        with Executor.of("threads" if workers > 1 else "serial", workers) as executor:
            estimate = experiment(n, seed).run(executor).estimates[0]
        return estimate.value, estimate.std_error

    return program


def contenders(size: Size) -> list[Contender]:
    """Every program, raresim on one thread first."""
    block, blocked = fastest_blocked_numpy()

    def here(program: Program, draws: int) -> Measure:
        return lambda seed: nanoseconds(program, draws, seed)

    def in_a_new_process(seed: int) -> float:
        return child("whole", size.whole, seed)

    several = [
        Contender("raresim", size.raresim, here(raresim_program(1), size.raresim)),
        Contender("blocked NumPy", size.numpy, here(blocked, size.numpy), 2.0, block),
        Contender("whole arrays, scipy.stats", size.whole, in_a_new_process, size.whole_bar, "first call of a process"),
        Contender("whole arrays again", size.whole, here(whole_array, size.whole), None, "later calls"),
    ]
    if openturns := fastest_openturns():
        choice, program = openturns
        several.append(Contender("OpenTURNS", size.openturns, here(program, size.openturns), 10.0, choice))
    else:
        print("openturns is not installed: not measured")
    return several


def against_others(size: Size) -> Iterator[Row]:
    """Processor time per draw of each program, measured in turns, and its ratio to raresim's."""
    several = contenders(size)
    times = in_turns([c.measure for c in several], size.rounds)
    for c, values in zip(several, times, strict=True):
        note = f" ({c.note})" if c.note else ""
        yield Row(f"{c.name}{note}, {c.draws:,} draws", values, "ns/draw")
    for c, values in list(zip(several, times, strict=True))[1:]:
        yield Row(f"raresim against {c.name}", np.array(values) / times[0], "times", c.bar)


def two_threads(size: Size) -> Iterator[Row]:
    """The wall-clock time that a second thread saves."""

    def seconds(workers: int) -> Measure:
        program = raresim_program(workers)
        return lambda seed: nanoseconds(program, size.raresim, seed, time.perf_counter)

    one, two = in_turns([seconds(1), seconds(2)], size.rounds)
    yield Row("1 thread, wall clock", one, "ns/draw")
    yield Row("2 threads, wall clock", two, "ns/draw")
    yield Row("2 threads against 1", np.array(one) / two, "times", size.threads_bar)


def in_turns(measure: Sequence[Measure], rounds: int) -> list[list[float]]:
    """Every measurement once a round, so that other work on the machine affects all alike; the first round warms up."""
    times: list[list[float]] = [[] for _ in measure]
    for seed in range(rounds + 1):
        for series, function in zip(times, measure, strict=True):
            value = function(seed)
            if seed:
                series.append(value)
    return times


@contextmanager
def block_bytes(size: int) -> Iterator[None]:
    """Blocks of ``size`` bytes."""
    from raresim.numerics import blocks

    before = blocks.BLOCK_BYTES
    blocks.BLOCK_BYTES = size
    try:
        yield
    finally:
        blocks.BLOCK_BYTES = before


def cost_of_a_block(size: Size) -> Iterator[Row]:
    """The fixed cost ``a`` of a block, from the time ``a + b rows`` of blocks of different size.

    The blocks of the fit all stay in cache, where a row costs the same in each.
    """
    from raresim.numerics.blocks import BLOCK_BYTES, block_rows

    default = block_rows(size.cost, DIM)

    def seconds(rows: int, seed: int) -> float:
        with block_bytes(8 * DIM * rows):
            return nanoseconds(raresim_program(1), size.cost, seed) * rows * 1e-9

    times = np.array(in_turns([lambda seed, r=r: seconds(r, seed) for r in (*COST_ROWS, default)], size.rounds))
    rows = np.array(COST_ROWS)
    fixed = []
    for series in times.T:
        design = np.stack([1.0 / series[:-1], rows / series[:-1]], axis=1)
        fixed.append(float(np.linalg.lstsq(design, np.ones(rows.size))[0][0]))
    yield Row("fixed cost of a block", [1e6 * a for a in fixed], "microseconds")
    share = 100 * np.array(fixed) / times[-1]
    yield Row(f"its share of a block of {default:,} rows ({BLOCK_BYTES // 1024} KiB)", share, "%", 3.0, at_least=False)


def memory(rounds: int) -> Iterator[Row]:
    """Peak memory of a process that makes 1e6 and 1e8 draws on two threads."""
    peaks = np.array([[child("memory", n, 2) for n in (10**6, 10**8)] for _ in range(rounds)])
    yield Row("peak memory, 1e6 draws", peaks[:, 0], "MB")
    yield Row("peak memory, 1e8 draws", peaks[:, 1], "MB")
    yield Row("difference", peaks[:, 1] - peaks[:, 0], "MB", 50.0, at_least=False)


def child(what: str, draws: int, option: int) -> float:
    """The number that child.py prints."""
    command = [sys.executable, str(HERE / "child.py"), what, str(draws), str(option)]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def command_line(rounds: int) -> Iterator[Row]:
    """Wall time of the shell command, with kernels compiled before (warm) and not (cold)."""
    from importlib.util import find_spec

    if find_spec("raresim.shell.cli") is None or not CONFIG.exists():
        print(f"no raresim.shell.cli or no {CONFIG.name}: the command line was not measured")
        return
    script = Path(sys.executable).with_name("raresim")
    raresim = [str(script)] if script.exists() else [sys.executable, "-m", "raresim.shell.cli"]
    with tempfile.TemporaryDirectory() as folder:
        warm = Path(folder) / "warm"

        def run(*arguments: str, cache: Path = warm) -> float:
            environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache)}
            begun = time.perf_counter()
            subprocess.run([*raresim, *arguments], check=True, capture_output=True, env=environment)
            return time.perf_counter() - begun

        def run_config(seed: int, cache: Path = warm) -> float:
            return run("run", str(CONFIG), "--out", tempfile.mkdtemp(dir=folder), cache=cache)

        commands = {
            "raresim --help": lambda seed: run("--help"),
            f"raresim check {CONFIG.name}": lambda seed: run("check", str(CONFIG)),
            f"raresim run {CONFIG.name}, warm": run_config,
            f"raresim run {CONFIG.name}, cold": lambda seed: run_config(seed, Path(folder) / f"cold-{seed}"),
        }
        for name, values in zip(commands, in_turns(list(commands.values()), rounds), strict=True):
            yield Row(name, values, "s")


def measurements(quick: bool) -> Iterator[Row]:
    """Every row of the table, as it is measured."""
    size = QUICK if quick else FULL
    with threadpool_limits(1):
        yield from against_others(size)
        yield from two_threads(size)
        yield from cost_of_a_block(size)
    if not quick:
        yield from memory(FULL.rounds)
        yield from command_line(FULL.rounds)


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="measure less, check a quarter of each bar, write nothing")
    quick = parser.parse_args().quick
    load = os.getloadavg()[0]
    rows = []
    for row in measurements(quick):
        rows.append(row)
        print("  ".join(row.cells()), flush=True)
    if not quick:
        write(HERE, rows, f"{machine()}; load average {load:.1f} before, {os.getloadavg()[0]:.1f} after.")
    missed = [row.what for row in rows if not row.meets(slack=SLACK)]
    if quick and missed:
        raise SystemExit(f"worse than a quarter of the bar: {'; '.join(missed)}")


if __name__ == "__main__":
    main()
