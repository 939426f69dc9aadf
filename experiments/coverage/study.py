"""The common part of the studies in this folder: the command line, seeds over processes, and the table."""

from __future__ import annotations

import argparse
import csv
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from scipy import stats

# the study of methods has the processes
sys.path.append(str(Path(__file__).parents[1] / "methods"))

from processes import run_in

from raresim import Result

HERE = Path(__file__).parent
CHANCE = 1e-6
"""How often a quick version may fail by chance."""

BAR, SPREAD = (0.93, 0.975), (0.9, 1.1)
"""Coverage that is wanted, and spread between seeds over the reported error."""

CHUNK = 10

T = TypeVar("T")


@dataclass(frozen=True)
class Outcome:
    """What is kept of one number of a run; value, error and interval are divided by the exact answer."""

    value: float
    error: float
    low: float
    high: float
    verdict: str
    evaluations: int


def outcomes_of(result: Result, exact: Sequence[float]) -> tuple[Outcome, ...]:
    """The numbers of a run beside their ``exact`` answers."""
    return tuple(
        Outcome(
            value=estimate.value / answer,
            error=estimate.std_error / answer,
            low=estimate.interval[0] / answer,
            high=estimate.interval[1] / answer,
            verdict=str(estimate.verdict.status),
            evaluations=result.evaluations["total"],
        )
        for estimate, answer in zip(result.estimates, exact, strict=True)
    )


def summarise(name: str, runs: Sequence[Outcome], of_spread: bool = True) -> dict[str, str]:
    """One row of the table; its bar is that of the coverage and, ``of_spread``, of the spread."""
    n, held = len(runs), held_by(runs)
    value, error = np.array([r.value for r in runs]), np.array([r.error for r in runs])
    low, high = stats.binomtest(held, n).proportion_ci(0.95, "exact")
    ratio = value.std(ddof=1) / math.sqrt(np.square(error).mean())
    met = BAR[0] <= held / n <= BAR[1] and (not of_spread or SPREAD[0] <= ratio <= SPREAD[1])
    return {
        "case": name,
        "coverage %": f"{100 * held / n:.1f}",
        "its 95 % limits": f"{100 * low:.1f} to {100 * high:.1f}",
        "too low": str(sum(r.high < 1.0 for r in runs)),
        "too high": str(sum(r.low > 1.0 for r in runs)),
        "mean / exact": f"{value.mean():.5f} +- {value.std(ddof=1) / n**0.5:.5f}",
        "sd / reported": f"{ratio:.3f}",
        "relative error %": f"{100 * float(np.median(error)):.2f}",
        "trusted %": f"{100 * sum(r.verdict == 'trusted' for r in runs) / n:.0f}",
        "evaluations median": f"{np.median([r.evaluations for r in runs]):,.0f}",
        "bar": "met" if met else "missed",
    }


def held_by(runs: Sequence[Outcome]) -> int:
    """How many intervals hold the truth."""
    return sum(r.low <= 1.0 <= r.high for r in runs)


def check(name: str, runs: Sequence[Outcome]) -> None:
    """Raise where chance hardly explains the runs of an interval that meets its bar."""
    n, held = len(runs), held_by(runs)
    fewest, most = stats.binom.ppf(CHANCE, n, BAR[0]), stats.binom.isf(CHANCE, n, BAR[1])
    if not fewest <= held <= most:
        raise SystemExit(f"{name}: {held} of {n} intervals hold the truth, {fewest:.0f} to {most:.0f} wanted")


def run_models(
    file: str,
    description: str | None,
    outcomes: Callable[[tuple[str, int, int]], list[tuple[Outcome, ...]]],
    cases: Mapping[str, Sequence[str]],
    quick: Sequence[str],
    quick_seeds: int,
) -> None:
    """Parse the command line, run all ``cases``, which name their numbers, and write ``file``.md and ``file``.csv."""
    given = options(description, quick_seeds)
    rows = []
    names = tuple(quick) if given.quick else tuple(cases)
    for name, runs in run_all(outcomes, names, given.first, given.seeds, given.workers):
        for k, number in enumerate(cases[name]):
            of, label = [run[k] for run in runs], name if len(cases[name]) == 1 else f"{number}, {name}"
            rows.append(summarise(label, of, of_spread=False))
            tell(rows[-1], given.quick)
            if given.quick:
                check(label, of)
        if not given.quick:  # after each case: a study that is ended leaves what it has
            write(file, rows, given.seeds)


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
    parts = [(first + k, min(CHUNK, seeds - k)) for k in range(0, seeds, CHUNK)]
    made = run_in(workers, outcomes, [(name, *part) for name in names for part in parts])
    for name in names:
        yield name, [outcome for _ in parts for outcome in next(made)]


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
