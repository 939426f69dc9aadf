"""Losses of unlike parts, as users write them: is a trusted number ever half the truth?

``python experiments/trust/unlike.py`` runs `auto` on each case until 200 of its runs are trusted, with 300 seeds at
most, and writes unlike.md beside this file. ``--seeds N`` ends earlier. The parts of a case are independent, so the
answer is exact.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from scipy import special, stats

sys.path.append(str(Path(__file__).parents[1] / "methods"))

from processes import run_in
from trials import sure_interval

from raresim import Independent, Probability, StandardNormal, estimate
from raresim import marginals as m
from raresim.distributions.base import Inputs
from raresim.measures.intervals import clopper_pearson
from raresim.numerics.arrays import Float

TRUSTED, SEEDS = 200, 300
ERROR, BUDGET = 0.05, 200_000
FAR = 0.25


@dataclass(frozen=True, eq=False)
class Case:
    """A loss whose event is ``loss >= 0``, and the probabilities of its independent parts."""

    name: str
    inputs: Inputs
    loss: Callable[[Float], Float]
    parts: tuple[float, ...]

    @property
    def probability(self) -> float:
        return -math.expm1(math.fsum(math.log1p(-p) for p in self.parts))


def two_planes(x: Float, beta: float, slope: float) -> Float:
    """Two planes, one of them steeper."""
    return np.maximum(x[:, 0] - beta, slope * (x[:, 1] - beta))


def desks(x: Float, directions: Float, beta: float, vols: Float) -> Float:
    """The largest excess over limits in money."""
    return ((x @ directions.T - beta) * vols).max(axis=1)


def series(x: Float) -> Float:
    """A beam in kNm, a bolt in MPa, a deflection in mm: each fails where its load exceeds its capacity."""
    bending = x[:, 1] - x[:, 0]
    stress = x[:, 3] - x[:, 2]
    deflection = x[:, 4] - 25.0
    return np.max([bending, stress, deflection], axis=0)


def books(x: Float, level: float) -> Float:
    """A book that is short gamma in four factors, in thousands, beside a linear one in millions."""
    return np.maximum(0.3 * (np.square(x[:, :4]).sum(axis=1) - level), 50.0 * (x[:, 4] - 4.6))


def directions(k: int, d: int) -> Float:
    """Orthonormal rows (k, d)."""
    return np.asarray(stats.ortho_group.rvs(d, random_state=np.random.default_rng([k, d])))[:k]


def cases() -> dict[str, Case]:
    """The cases by name."""
    tail = special.ndtr
    level = float(stats.chi2.isf(1.5e-6, 4))
    in_units = Independent(
        marginals=[
            m.Normal(loc=120.0, scale=20.0),  # resistance, kNm
            m.Normal(loc=40.0, scale=8.0),  # moment, kNm
            m.Lognormal(s=0.10, scale=400.0),  # strength, MPa
            m.Lognormal(s=0.20, scale=130.0),  # stress, MPa
            m.Gumbel(loc=8.0, scale=1.25),  # deflection, mm
        ]
    )
    bending = float(tail(-80.0 / math.hypot(20.0, 8.0)))
    stress = float(tail(-math.log(400.0 / 130.0) / math.hypot(0.10, 0.20)))
    deflection = float(stats.gumbel_r.sf(25.0, 8.0, 1.25))
    listed = (
        Case(
            "two planes", StandardNormal(dim=10), partial(two_planes, beta=4.89, slope=5.0), (float(tail(-4.89)),) * 2
        ),
        Case(
            "desks, 20 factors",
            StandardNormal(dim=20),
            partial(desks, directions=directions(5, 20), beta=4.5, vols=np.array([1.0, 2.0, 3.0, 4.0, 5.0])),
            (float(tail(-4.5)),) * 5,
        ),
        Case(
            "desks, 50 factors",
            StandardNormal(dim=50),
            partial(desks, directions=directions(4, 50), beta=3.5, vols=np.array([1.0, 2.0, 3.5, 5.0])),
            (float(tail(-3.5)),) * 4,
        ),
        Case("series in units", in_units, series, (bending, stress, deflection)),
        Case(
            "options and linear",
            StandardNormal(dim=10),
            partial(books, level=level),
            (1.5e-6, float(tail(-4.6))),
        ),
    )
    return {case.name: case for case in listed}


@dataclass(frozen=True)
class Outcome:
    """A run: whether it is trusted, its estimate over the answer, whether it is wrong, its interval right, its cost."""

    trusted: bool
    off: float
    wrong: bool
    covered: bool
    evaluations: int


def run(key: tuple[str, int]) -> Outcome:
    """The run of a case with a seed."""
    case = cases()[key[0]]
    result = estimate(
        case.inputs,
        case.loss,
        Probability(above=0.0),
        seed=key[1],
        relative_error=ERROR,
        max_evaluations=BUDGET,
    )
    number, answer = result.estimates[0], case.probability
    low, high = sure_interval(number, result.stopping)
    off = number.value / answer
    return Outcome(
        number.verdict.status == "trusted",
        off,
        abs(off - 1.0) > FAR or not low <= answer <= high,
        number.interval[0] <= answer <= number.interval[1],
        result.evaluations["total"],
    )


def lines(seeds: int, workers: int) -> Iterator[str]:
    """The table, a row for each case."""
    yield "| case | probability | runs | trusted | trusted and wrong (95 % limit) | coverage if trusted | evaluations |"
    yield "|---|---|---|---|---|---|---|"
    for name, case in cases().items():
        seen: list[Outcome] = []
        for first in range(1, seeds + 1, 50):
            keys = [(name, seed) for seed in range(first, min(first + 50, seeds + 1))]
            seen += run_in(workers, run, keys, 5)
            if sum(outcome.trusted for outcome in seen) >= TRUSTED:
                break
        trusted = [outcome for outcome in seen if outcome.trusted]
        wrong = sum(outcome.wrong for outcome in trusted)
        limit = clopper_pearson(wrong, len(trusted), 0.9)[1] if trusted else 1.0
        covered = sum(outcome.covered for outcome in trusted) / max(1, len(trusted))
        spent = statistics.median(outcome.evaluations for outcome in seen)
        yield (
            f"| {name} | {case.probability:.4g} | {len(seen)} | {len(trusted)} ({len(trusted) / len(seen):.1%}) | "
            f"{wrong} ({limit:.1%}) | {covered:.1%} | {spent:,.0f} |"
        )


def main() -> None:
    """Parse the command line, run, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS, help="runs of a case at most")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    options = parser.parse_args()
    head = (
        "# Losses of unlike parts\n\n"
        f"`auto`, relative error {ERROR:.0%}, at most {BUDGET:,} evaluations. *Wrong*: more than {FAR:.0%} off, or the "
        "answer outside of the 99.9 % interval.\nWritten by `python experiments/trust/unlike.py`.\n\n"
    )
    table = []
    for line in lines(options.seeds, options.workers):
        print(line, flush=True)
        table.append(line)
    (Path(__file__).parent / "unlike.md").write_text(head + "\n".join(table) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
