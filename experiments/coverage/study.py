"""The common part of the studies in this folder: the command line, seeds over processes, and the table."""

from __future__ import annotations

import argparse
import csv
import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TypeVar

HERE = Path(__file__).parent
CHANCE = 1e-6
"""How often a quick version may fail by chance."""

CHUNK = 10

T = TypeVar("T")


def options(description: str | None, quick_seeds: int) -> argparse.Namespace:
    """The command line: ``quick``, ``seeds`` (at most ``quick_seeds`` with it), ``first`` and ``workers``."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="a short version, checked against chance; writes nothing")
    parser.add_argument("--seeds", type=int, default=500, help="runs of each case")
    parser.add_argument("--first", type=int, default=1, help="first seed")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    given = parser.parse_args()
    if given.quick:
        given.seeds = min(given.seeds, quick_seeds)
    return given


def run_all(
    outcomes: Callable[[tuple[str, int, int]], list[T]], names: Sequence[str], first: int, seeds: int, workers: int
) -> Iterator[tuple[str, list[T]]]:
    """The outcomes of each case, in order; ``outcomes`` is given a name, a first seed and how many."""
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        pending = {
            name: [pool.submit(outcomes, (name, first + k, min(CHUNK, seeds - k))) for k in range(0, seeds, CHUNK)]
            for name in names
        }
        for name, futures in pending.items():
            yield name, [outcome for future in futures for outcome in future.result()]


def tell(row: Mapping[str, str], quick: bool) -> None:
    """Print a row as it comes; without its bar in a quick version, which has another."""
    print("  ".join(list(row.values())[: -1 if quick else None]), flush=True)


def write(name: str, rows: Sequence[Mapping[str, str]], seeds: int, each: str = "a case") -> None:
    """Write ``name.md`` for reading and ``name.csv`` for machines."""
    names = list(rows[0])
    lines = [f"| {' | '.join(cells)} |" for cells in (names, ["---"] * len(names), *(row.values() for row in rows))]
    (HERE / f"{name}.md").write_text("\n".join([f"{seeds} seeds {each}.", "", *lines]) + "\n", encoding="utf-8")
    with (HERE / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
