"""Does the interval hold in each cell that is trusted, on 2,000 seeds?

``python experiments/trust/cells.py`` runs every cell of ``run.py``'s suite of which half of the runs are trusted, the
quick cells first. Runs in ``data/cells.csv.gz`` or kept by ``run.py`` are not made again. It writes cells.md from all
of them. ``--quick`` runs two cells on a few seeds, writes nothing, and fails on results that chance gives one time in a
million.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

# the study of methods has the problems, and what counts evaluations
sys.path.append(str(Path(__file__).parents[1] / "methods"))

import rows
import verdicts
from processes import run_in
from runs import some_of
from suite import CASES
from trials import MATTERS, METHODS, Key, Trial, run_trial

HERE = Path(__file__).parent
FILE = "cells"
"""Of the parts, in ``data``."""

SEEDS, BLOCK = 2000, 100
SECONDS = 120.0

TRUSTED = 0.5
"""Share of trusted runs in ``run.py`` from which a cell is studied here."""

FEWEST = 200
"""Fewest trusted runs for which a cell is reported."""

COVERAGE, SIDE, SPREAD = (0.938, 0.975), 0.035, (0.9, 1.1)
"""Bars: coverage of the 95 % interval, misses on either side, and sd between seeds over the reported error."""

CHANCE = 1e-3
"""A miss counts as more than chance if chance gives it with a probability below this."""

QUICK = (("crude", "RP22"), ("design_point", "LIN-2-B3.5"))


@dataclass(frozen=True)
class Part:
    """The results of some seeds of a cell.

    Parameters
    ----------
    method, problem : str
        The cell.
    first, seeds : int
        The first seed, and the number of seeds.
    trusted, wrong, below, above : int
        Runs that are trusted; of these the wrong ones, and the 95 % intervals that end below the answer or begin above.
    off, off2, off3, off4 : float
        Sums over the trusted runs of the powers 1 to 4 of the estimate over the answer, less one.
    error2 : float
        Sum over the trusted runs of the square of the reported error over the answer.
    seconds : float
        Processor time.
    """

    method: str
    problem: str
    first: int
    seeds: int
    trusted: int
    wrong: int
    below: int
    above: int
    off: float
    off2: float
    off3: float
    off4: float
    error2: float
    seconds: float

    @property
    def key(self) -> Key:
        return self.method, self.problem, self.first

    @property
    def file(self) -> str:
        return FILE

    @classmethod
    def of(cls, method: str, problem: str, first: int, runs: Sequence[Trial]) -> Part:
        trusted = [run for run in runs if run.trusted]
        off = np.array([run.off - 1.0 for run in trusted])
        error = np.array([run.off * run.reported for run in trusted])
        return cls(
            method,
            problem,
            first,
            len(runs),
            len(trusted),
            sum(run.wrong for run in trusted),
            sum(run.missed > 0 for run in trusted),
            sum(run.missed < 0 for run in trusted),
            *(float((off**power).sum()) for power in (1, 2, 3, 4)),
            float(np.square(error).sum()),
            sum(run.seconds for run in runs),
        )


def run_part(asked: tuple[Key, Mapping[Key, Trial]]) -> Part:
    """The part from its runs, made one after the other except for those that are known."""
    key, known = asked
    runs = [known.get(run) or run_trial(run, SECONDS) for run in seeds_of(key)]
    return Part.of(*key, runs)


def seeds_of(part: Key) -> list[Key]:
    """The runs of a part, by method, problem and seed."""
    method, problem, first = part
    return [(method, problem, seed) for seed in range(first, first + BLOCK)]


@dataclass(frozen=True)
class Cell:
    """All parts of a method on a problem."""

    method: str
    problem: str
    parts: Sequence[Part]

    def total(self, name: str) -> Any:
        return sum(getattr(part, name) for part in self.parts)

    @property
    def trusted(self) -> int:
        return int(self.total("trusted"))

    @property
    def is_exact(self) -> bool:
        """Whether estimates differ too little for their spread to mean anything: all rows of all runs are alike."""
        return float(self.total("off2")) <= self.trusted * MATTERS**2

    def misses(self, side: str) -> tuple[float, bool, bool]:
        """Share of the misses on one side, whether it is above the bar, and whether by more than chance."""
        count, n = int(self.total(side)), self.trusted
        return count / n, count > SIDE * n, float(stats.binom.sf(count - 1, n, SIDE)) < CHANCE

    @property
    def coverage(self) -> tuple[float, bool, bool]:
        """Coverage, whether it is outside of the bars, and whether by more than chance."""
        n = self.trusted
        covered = n - int(self.total("below")) - int(self.total("above"))
        low, high = COVERAGE
        chance = min(float(stats.binom.cdf(covered, n, low)), float(stats.binom.sf(covered - 1, n, high)))
        return covered / n, not low <= covered / n <= high, chance < CHANCE

    @property
    def spread(self) -> tuple[float, float]:
        """Standard deviation of the trusted estimates over their reported error, and the error of this ratio."""
        n = self.trusted
        moments = [float(self.total(name)) / n for name in ("off", "off2", "off3", "off4")]
        mean, second, third, fourth = moments
        variance = second - mean**2
        central = fourth - 4.0 * mean * third + 6.0 * mean**2 * second - 3.0 * mean**4
        ratio = math.sqrt(variance * n / (n - 1) / (float(self.total("error2")) / n))
        return ratio, ratio * math.sqrt(max(0.0, central / variance**2 - 1.0) / (4.0 * n))

    @property
    def spread_bar(self) -> tuple[bool, bool]:
        """Whether the spread is outside the bars, and whether by more than chance."""
        if self.is_exact:
            return False, False
        ratio, error = self.spread
        low, high = SPREAD
        away = max(low - ratio, ratio - high)
        return away > 0, away > float(stats.norm.isf(CHANCE)) * error

    @property
    def bias(self) -> float:
        """Mean of the trusted estimates over the answer, less one."""
        return float(self.total("off")) / self.trusted

    def row(self) -> dict[str, str]:
        covered = self.coverage[0]
        ratio, error = (math.nan, math.nan) if self.is_exact else self.spread
        return {
            "method": self.method,
            "problem": self.problem,
            "kind": CASES[self.problem].kind,
            "d": str(CASES[self.problem].problem.dim),
            "p": f"{CASES[self.problem].problem.probability:.3g}",
            "runs": f"{self.total('seeds'):,}",
            "trusted": f"{self.trusted:,}",
            "false trust": str(self.total("wrong")),
            "coverage %": f"{100 * covered:.1f}",
            "below / above %": f"{100 * self.misses('below')[0]:.1f} / {100 * self.misses('above')[0]:.1f}",
            "sd / se": "exact" if self.is_exact else f"{ratio:.3f} +- {error:.3f}",
            "bias %": f"{100 * self.bias:+.2f}",
            "beyond chance": ", ".join(self.beyond),
        }

    @property
    def beyond(self) -> list[str]:
        """The bars that it misses by more than chance."""
        found = {
            "coverage": self.coverage[2] and not (self.is_exact and self.coverage[0] > COVERAGE[1]),
            "below": self.misses("below")[2],
            "above": self.misses("above")[2],
            "sd / se": self.spread_bar[1],
        }
        return [name for name, is_beyond in found.items() if is_beyond]


def trusted_cells(methods: Iterable[str], ids: Iterable[str]) -> list[tuple[str, str]]:
    """Reachable cells of which `TRUSTED` of the runs of ``run.py`` are trusted, the quickest first."""
    by_cell: dict[tuple[str, str], list[Trial]] = defaultdict(list)
    for run in rows.read(Trial, methods).values():
        by_cell[run.method, run.problem].append(run)
    cost = {
        cell: sum(run.seconds for run in runs) / len(runs)
        for cell, runs in by_cell.items()
        if cell[1] in ids and runs[0].case.reachable and sum(run.trusted for run in runs) >= TRUSTED * len(runs)
    }
    return sorted(cost, key=lambda cell: cost[cell])


def run_all(parts: Sequence[Key], workers: int, known: Mapping[Key, Trial]) -> Iterator[Part]:
    """The parts, in order; runs that are ``known`` are not made again."""
    return run_in(workers, run_part, [(p, {run: known[run] for run in seeds_of(p) if run in known}) for p in parts])


def cells_of(parts: Iterable[Part]) -> list[Cell]:
    """The cells by method and problem that have at least `FEWEST` trusted runs."""
    by_cell: dict[tuple[str, str], list[Part]] = defaultdict(list)
    for part in parts:
        by_cell[part.method, part.problem].append(part)
    found = [Cell(*key, by_cell[key]) for key in by_cell]
    order = {id: k for k, id in enumerate(CASES)}
    ranked = sorted(found, key=lambda cell: (METHODS.index(cell.method), order[cell.problem]))
    return [cell for cell in ranked if cell.trusted >= FEWEST]


def bars(cells: Sequence[Cell]) -> list[dict[str, str]]:
    """A row for each bar: the number of cells that miss it, and those that miss it by more than chance."""
    named = {
        "coverage from 93.8 to 97.5 %": ("coverage", lambda cell: cell.coverage[1]),
        "intervals that end below the answer, at most 3.5 %": ("below", lambda cell: cell.misses("below")[1]),
        "intervals that begin above the answer, at most 3.5 %": ("above", lambda cell: cell.misses("above")[1]),
        "sd between seeds / reported error from 0.9 to 1.1": ("sd / se", lambda cell: cell.spread_bar[0]),
    }
    out = []
    for bar, (name, missed) in named.items():
        beyond = [f"{cell.method} on {cell.problem}" for cell in cells if name in cell.beyond]
        out.append(
            {
                "bar": bar,
                "cells that miss it": f"{sum(map(missed, cells))} of {len(cells)}",
                "by more than chance": f"{len(beyond)}" + (f": {', '.join(beyond)}" if beyond else ""),
            }
        )
    return out


def write(parts: Iterable[Part]) -> None:
    """Write cells.md."""
    every = list(parts)
    cells = cells_of(every)
    n = sum(cell.trusted for cell in cells)
    missed = {side: sum(int(cell.total(side)) for cell in cells) for side in ("below", "above")}
    wrong = sum(int(cell.total("wrong")) for cell in cells)
    limit = float(stats.beta.ppf(0.95, wrong + 1, n - wrong))
    lines = ["# Intervals of trusted runs, cell by cell", ""]
    lines += ["Written by `python experiments/trust/cells.py`; README.md says what the columns mean.", ""]
    lines += [
        f"{sum(part.seeds for part in every):,} runs, {sum(part.seconds for part in every) / 60:.0f} minutes of one "
        f"core; {n:,} of them trusted. All together: coverage {100 * (1 - sum(missed.values()) / n):.2f} %, "
        f"{100 * missed['below'] / n:.2f} % below and {100 * missed['above'] / n:.2f} % above the answer; wrong "
        f"{wrong:,}, {100 * wrong / n:.3f} % (limit {100 * limit:.3f} %).",
        "",
    ]
    lines += verdicts.section("Bars", bars(cells))
    lines += verdicts.section("Cells", [cell.row() for cell in cells])
    (HERE / "cells.md").write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


def quick(workers: int) -> None:
    """Raise where chance does not explain what the short version finds."""
    for cell in cells_of(run_all([(*cell, first) for cell in QUICK for first in (1, 101, 201)], workers, {})):
        misses = int(cell.total("below") + cell.total("above"))
        most = int(stats.binom.isf(1e-6, cell.trusted, 1.0 - COVERAGE[0]))
        print(f"{cell.method} on {cell.problem}: {misses} of {cell.trusted} trusted intervals miss the answer")
        if misses > most:
            raise SystemExit(f"{misses} of {cell.trusted} intervals miss the answer, at most {most} allowed")


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--methods", type=some_of(METHODS), default=METHODS, metavar="KIND,...", help="all by default")
    parser.add_argument("--problems", type=some_of(CASES), default=list(CASES), metavar="ID,...", help="all by default")
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"runs of each cell, a multiple of {BLOCK}")
    parser.add_argument("--minutes", type=float, default=math.inf, help="after which no other part is begun")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--again", action="store_true", help="run also what is kept, and replace it")
    parser.add_argument("--table", action="store_true", help="run nothing; write the table")
    parser.add_argument("--quick", action="store_true", help="two cheap cells; writes nothing")
    options = parser.parse_args()
    if options.quick:
        quick(options.workers)
        return
    if not options.table:
        kept = rows.read(Part, [FILE])
        begun = time.monotonic()
        wanted = [
            (*cell, first)
            for cell in trusted_cells(options.methods, options.problems)
            for first in range(1, options.seeds + 1, BLOCK)
            if options.again or (*cell, first) not in kept
        ]
        for done, part in enumerate(run_all(wanted, options.workers, rows.read(Trial, options.methods)), 1):
            rows.save([part])
            print(f"{done:,} of {len(wanted):,} parts, {part.method} on {part.problem}", flush=True)
            if time.monotonic() - begun > 60.0 * options.minutes:
                break
    write(rows.read(Part, [FILE]).values())


if __name__ == "__main__":
    main()
