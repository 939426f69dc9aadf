"""Do the intervals of lines and of populations hold where the loss moves in steps, and where it does not?

``python experiments/trust/steps.py`` runs `line_sampling`, `sequential_importance` and, for comparison,
`subset_simulation` on eight stepped and eight smooth problems with 500 seeds each, where the run is not yet in
``data/steps.csv.gz``, and writes steps.md from all runs there. ``--table`` only writes it. ``--quick`` runs a few cheap
cells, writes nothing, and fails on results that chance gives one time in a million. All methods have default options, a
stop of 10 % and at most 200,000 evaluations.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from scipy import integrate, stats

# the study of methods has what counts evaluations
sys.path.append(str(Path(__file__).parents[1] / "methods"))

import rows
from processes import run_in
from runs import FAILED, REFUSED, Counted, attempt, some_of

from raresim import Independent, Probability, StandardNormal, StudentT, estimate
from raresim.distributions.base import Inputs
from raresim.marginals.exponential import Exponential
from raresim.marginals.poisson import Poisson
from raresim.measures.intervals import clopper_pearson
from raresim.record.verdict import Status
from raresim.run.result import Result

HERE = Path(__file__).parent
FILE = "steps"
METHODS = ("line_sampling", "sequential_importance", "subset_simulation")
SEEDS = 500
ERROR, BUDGET = 0.10, 200_000
"""Relative error that a run stops at, and the evaluations that it may take."""

SECONDS = 60.0
SAVE_EVERY = 30.0

COVERAGE = (0.93, 0.975)
"""Bars of the coverage of the 95 % interval among the trusted runs, of all stepped and of all smooth problems."""

QUICK = ("CREDIT-50", "FLOOR-PLANE-20", "FLOOR-BOWL-3", "WAVE-10", "T-SUM-5", "BOWL-50")
QUICK_METHODS = ("line_sampling", "sequential_importance")
QUICK_SEEDS = 6
CHANCE = 1e-6

NEAR = 0.25
"""Relative deviation beyond which an estimate is wrong."""

MATTERS = 1e-4
"""Relative difference that counts as none."""

Array = np.ndarray
Kind = Literal["stepped", "smooth"]
Key = tuple[str, str, int]


@dataclass(frozen=True)
class Case:
    """A loss with an exact probability.

    Parameters
    ----------
    id : str
        Its name.
    kind : "stepped" or "smooth"
        How the loss moves along a line.
    inputs : Inputs
        Law of the rows.
    loss : callable
        Maps rows (n, d) to losses (n,).
    threshold : float
        The event is ``loss >= threshold``.
    exact : float
        Probability of the event.
    """

    id: str
    kind: Kind
    inputs: Inputs
    loss: Callable[[Array], Array]
    threshold: float
    exact: float


# --- losses ------------------------------------------------------------------------------------------

RHO = 0.2
"""Correlation of two obligors' assets."""


def defaults(x: Array, barrier: float, exposure: Array) -> Array:
    """Sum of the exposures whose assets, with a common factor in the first column, lie beyond ``barrier``."""
    assets = math.sqrt(RHO) * x[:, :1] + math.sqrt(1.0 - RHO) * x[:, 1:]
    return (assets > barrier) @ exposure


def beyond_defaults(barrier: float, exposure: Array, threshold: int) -> float:
    """``P(defaults >= threshold)`` for whole exposures: convolution given the factor, a sum over the factor."""
    grid = np.linspace(-8.0, 9.0, 1_701)
    p = stats.norm.sf((barrier - math.sqrt(RHO) * grid) / math.sqrt(1.0 - RHO))[:, None]
    law = np.ones((grid.size, 1))
    for size in exposure.astype(int):
        none = np.zeros((grid.size, size))
        law = np.hstack([(1.0 - p) * law, none]) + np.hstack([none, p * law])
    return float(stats.norm.pdf(grid) @ law[:, threshold:].sum(axis=1) * (grid[1] - grid[0]))


def beyond_defaults_alike(barrier: float, obligors: int, threshold: int) -> float:
    """As `beyond_defaults`, for equal exposures of one."""
    z = np.linspace(-8.0, 9.0, 17_001)
    p = stats.norm.sf((barrier - math.sqrt(RHO) * z) / math.sqrt(1.0 - RHO))
    return float(stats.norm.pdf(z) @ stats.binom.sf(threshold - 1, obligors, p) * (z[1] - z[0]))


def failures(x: Array, barrier: float) -> Array:
    """Number of columns that lie beyond ``barrier``."""
    return (x > barrier).sum(axis=1).astype(float)


def plane(x: Array) -> Array:
    return x.sum(axis=1) / math.sqrt(x.shape[1])


def both_sides(x: Array) -> Array:
    return np.abs(plane(x))


def bowl(x: Array, bend: float = 0.05) -> Array:
    return x[:, 0] + bend * np.square(x[:, 1:]).sum(axis=1)


def beyond_bowl(c: float, dim: int, bend: float = 0.05) -> float:
    r = stats.chi2(dim - 1)
    return float(integrate.quad(lambda s: r.pdf(s) * stats.norm.sf(c - bend * s), 0, 200, limit=500, epsabs=0)[0])


def wave(x: Array) -> Array:
    return plane(x) + 0.5 * np.sin(math.sqrt(2.0) * (x[:, 0] - x[:, 1]))


def beyond_wave(c: float) -> float:
    def given(q: float) -> float:
        return float(stats.norm.pdf(q) * stats.norm.sf(c - 0.5 * math.sin(2.0 * q)))

    return float(integrate.quad(given, -9, 9, limit=500, epsabs=0)[0])


def teeth(x: Array) -> Array:
    """A staircase that also goes down along a line, which enters the event, leaves it and enters it again."""
    p = plane(x)
    return 0.5 * np.floor(2.0 * (p + 0.4 * np.sin(8.0 * p)))


def beyond_teeth(c: float) -> float:
    p = np.linspace(-9.0, 9.0, 1_800_001)
    inside = 0.5 * np.floor(2.0 * (p + 0.4 * np.sin(8.0 * p))) >= c
    return float(stats.norm.pdf(p) @ inside * (p[1] - p[0]))


def least(x: Array) -> Array:
    return x.min(axis=1)


def rings(x: Array) -> Array:
    """Twice one exponential plus another, each from the squares of a pair of normals."""
    s = np.square(x)
    return s[:, 0] + s[:, 1] + 0.5 * (s[:, 2] + s[:, 3])


def total(x: Array) -> Array:
    return x.sum(axis=1)


def whole(x: Array) -> Array:
    return np.floor(x).sum(axis=1)


def floored(x: Array, of: Callable[[Array], Array], width: float) -> Array:
    """``of`` rounded down to a multiple of ``width``."""
    return width * np.floor(of(x) / width)


EXPOSURE = np.tile(np.arange(1.0, 6.0), 10)
"""Exposures of fifty obligors, in whole units."""


def _stepped() -> Iterator[tuple[str, Inputs, Callable[[Array], Array], float, float]]:
    """Name, inputs, loss, threshold and exact probability of each."""
    sf, claims = stats.norm.sf, Independent(marginals=[Poisson(mu=1.0)] * 10)
    exponentials = Independent(marginals=[Exponential()] * 5)
    credit = partial(defaults, barrier=2.33, exposure=np.ones(200))
    yield "CREDIT-200", StandardNormal(dim=201), credit, 40.0, beyond_defaults_alike(2.33, 200, 40)
    credit = partial(defaults, barrier=2.0, exposure=EXPOSURE)
    yield "CREDIT-50", StandardNormal(dim=51), credit, 60.0, beyond_defaults(2.0, EXPOSURE, 60)
    any_five = float(stats.binom.sf(4, 10, sf(1.5)))
    yield "K-OF-N-10", StandardNormal(dim=10), partial(failures, barrier=1.5), 5.0, any_five
    yield "FLOOR-PLANE-20", StandardNormal(dim=20), partial(floored, of=plane, width=0.5), 3.5, float(sf(3.5))
    yield "FLOOR-BOWL-3", StandardNormal(dim=3), partial(floored, of=bowl, width=0.25), 4.0, beyond_bowl(4.0, 3)
    yield "TEETH-5", StandardNormal(dim=5), teeth, 3.5, beyond_teeth(3.5)
    yield "POISSON-SUM-10", claims, total, 24.0, float(stats.poisson.sf(23, 10))
    yield "GEOMETRIC-SUM-5", exponentials, whole, 18.0, float(stats.nbinom.sf(17, 5, 1.0 - math.exp(-1.0)))


def _smooth() -> Iterator[tuple[str, Inputs, Callable[[Array], Array], float, float]]:
    sf, exponentials = stats.norm.sf, Independent(marginals=[Exponential()] * 5)
    yield "WAVE-10", StandardNormal(dim=10), wave, 3.5, beyond_wave(3.5)
    yield "BOWL-50", StandardNormal(dim=50), partial(bowl, bend=0.02), 4.5, beyond_bowl(4.5, 50, 0.02)
    yield "BOWL-3", StandardNormal(dim=3), bowl, 4.0, beyond_bowl(4.0, 3)
    yield "BOTH-10", StandardNormal(dim=10), both_sides, 3.5, float(2.0 * sf(3.5))
    yield "EXPONENTIAL-SUM-5", exponentials, total, 18.0, float(stats.gamma.sf(18.0, 5))
    yield "CORNER-2", StandardNormal(dim=2), least, 2.0, float(sf(2.0) ** 2)
    yield "T-SUM-5", StudentT(dof=5.0, dim=5), plane, 7.0, float(stats.t.sf(7.0, 5))
    yield "RINGS-4", StandardNormal(dim=4), rings, 20.0, float(2.0 * math.exp(-10.0) - math.exp(-20.0))


CASES = {id: Case(id, "stepped", *rest) for id, *rest in _stepped()} | {
    id: Case(id, "smooth", *rest) for id, *rest in _smooth()
}


# --- runs --------------------------------------------------------------------------------------------

REFUSED_OR_FAILED = (REFUSED, FAILED)


@dataclass(frozen=True)
class Run:
    """A row of the file of runs.

    Parameters
    ----------
    method, problem, seed
        What was run.
    ratio, reported : float
        The estimate over the answer, and its relative error; NaN where there is none.
    missed : int
        Place of the answer: -1 below the 95 % interval, 1 above it, 0 in it.
    evaluations : int
        Evaluations of the whole run.
    seconds : float
        Processor time, without numba's compiler.
    verdict : str
        Raresim's verdict; or `REFUSED`, when the method does not take the question, or `FAILED`.
    reasons : str
        The checks that are not passed.
    """

    method: str
    problem: str
    seed: int
    ratio: float
    reported: float
    missed: int
    evaluations: int
    seconds: float
    verdict: str
    reasons: str

    @property
    def key(self) -> Key:
        return self.method, self.problem, self.seed

    @property
    def file(self) -> str:
        return FILE

    @property
    def trusted(self) -> bool:
        return self.verdict == Status.TRUSTED

    @property
    def wrong(self) -> bool:
        """Whether nobody may trust it: more than 25 % off."""
        return abs(self.ratio - 1.0) > NEAR


def run_one(key: Key) -> Run:
    """One run; any error is part of the result."""
    method, problem, seed = key
    case = CASES[problem]
    counted = Counted(case.loss)
    begun = time.process_time()

    def run() -> Result:
        return estimate(
            case.inputs,
            counted,
            Probability(above=case.threshold),
            method,
            seed=seed,
            relative_error=ERROR,
            max_evaluations=BUDGET,
        )

    result, verdict, outcome = attempt(run, SECONDS)
    seconds = time.process_time() - begun
    if result is None:
        return Run(*key, math.nan, math.nan, 0, counted.rows, float(f"{seconds:.3g}"), verdict, outcome)
    number = result.estimates[0]
    low, high = number.interval
    return Run(
        *key,
        ratio=number.value / case.exact,
        reported=number.relative_error,
        missed=int(case.exact > high * (1.0 + MATTERS)) - int(case.exact < low * (1.0 - MATTERS)),
        evaluations=result.evaluations["total"],
        seconds=float(f"{max(0.0, seconds - result.seconds['compile']):.3g}"),
        verdict=str(number.verdict.status),
        reasons=" ".join(check.name for check in number.verdict.checks if check.status is not Status.TRUSTED),
    )


def run_all(keys: Sequence[Key], workers: int) -> Iterator[Run]:
    """The runs, in order."""
    return run_in(workers, run_one, keys, chunk=4)


def keep(runs: Iterable[Run], total: int) -> None:
    """Save rows as they come, also those before an interruption."""
    waiting: list[Run] = []
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


# --- tables ------------------------------------------------------------------------------------------


def limits(count: int, n: int) -> str:
    """A share and its 95 % Clopper-Pearson interval, in percent."""
    if not n:
        return "-"
    low, high = clopper_pearson(count, n, 0.95)
    return f"{100 * count / n:.1f} ({100 * low:.1f} to {100 * high:.1f})"


def is_exact(runs: Sequence[Run]) -> bool:
    """Whether the estimates differ too little for coverage to mean anything: all rows of all runs are alike."""
    return bool(np.std([run.ratio for run in runs]) <= MATTERS)


def line(name: Sequence[str], runs: Sequence[Run]) -> str:
    """One row of a table."""
    trusted = [run for run in runs if run.trusted]
    held = sum(run.missed == 0 for run in trusted)
    below, above = (sum(run.missed == side for run in trusted) for side in (1, -1))
    cells = [
        *name,
        f"{len(runs):,}",
        f"{100 * len(trusted) / len(runs):.1f}",
        str(sum(run.wrong for run in trusted)),
        limits(held, len(trusted)),
        f"{below} / {above}",
        f"{np.mean([run.ratio for run in trusted]):.3f}" if trusted else "-",
        f"{np.median([run.evaluations for run in runs]):,.0f}",
        f"{np.median([run.seconds for run in runs]):.2f}",
    ]
    return "| " + " | ".join(cells) + " |"


COLUMNS = ("runs", "trusted %", "wrong", "coverage % (95 %)", "below / above", "mean ratio", "evaluations", "seconds")


def page(kept: Iterable[Run]) -> str:
    """steps.md."""
    runs: dict[tuple[str, str], list[Run]] = defaultdict(list)
    for run in kept:
        if run.problem in CASES and run.verdict not in REFUSED_OR_FAILED:
            runs[run.method, run.problem].append(run)
    exact = [cell for cell, of in runs.items() if len(of) > 1 and is_exact(of)]
    text = [
        "# Intervals of trusted runs where the loss moves in steps, and where it does not",
        "",
        f"Written by `python experiments/trust/steps.py`. Default options, a stop of {ERROR:.0%} and at most {BUDGET:,}"
        " evaluations. *Wrong*: trusted, and more than 25 % off. *Coverage*: of the 95 % interval among the trusted"
        f" runs, {100 * COVERAGE[0]:g} to {100 * COVERAGE[1]:g} % wanted of all stepped and of all smooth problems;"
        " *below / above*: trusted intervals that end below the answer or begin above it. *Mean ratio*: of estimate"
        " and answer, of the trusted. Evaluations and seconds of the processor are medians. Cells in which all"
        " estimates are alike to 1e-4 are left out of the sums: their intervals always hold.",
        "",
    ]
    head = ["method", "problems", *COLUMNS]
    text += ["## All", "", "| " + " | ".join(head) + " |", "|---|---" + "|--:" * len(COLUMNS) + "|"]
    for method in METHODS:
        for kind in ("stepped", "smooth"):
            of = [r for cell, of in runs.items() if cell not in exact for r in of if cell[0] == method]
            some = [run for run in of if CASES[run.problem].kind == kind]
            if some:
                text.append(line((method, kind), some))
    head = ["method", "problem", "kind", "d", "P", *COLUMNS]
    text += ["", "## Each", "", "| " + " | ".join(head) + " |", "|---|---|---" + "|--:" * (len(COLUMNS) + 2) + "|"]
    for method in METHODS:
        for id, case in CASES.items():
            if runs[method, id]:
                kind = case.kind + (", exact" if (method, id) in exact else "")
                name = (method, id, kind, str(case.inputs.latent_dim), f"{case.exact:.3g}")
                text.append(line(name, runs[method, id]))
    return "\n".join([*text, ""])


def check(runs: Sequence[Run]) -> Iterator[str]:
    """Lines of results; raises `SystemExit` where they are worse than the bars by more than chance."""
    for method in dict.fromkeys(run.method for run in runs):
        of = [run for run in runs if run.method == method]
        lost = [run for run in of if run.verdict in REFUSED_OR_FAILED]
        if lost:
            raise SystemExit(f"{method} on {lost[0].problem}, seed {lost[0].seed}: {lost[0].reasons}")
        trusted = [run for run in of if run.trusted]
        if not trusted:
            raise SystemExit(f"none of {len(of)} runs of {method} is trusted")
        held = sum(run.missed == 0 for run in trusted)
        least_held = int(stats.binom.ppf(CHANCE, len(trusted), COVERAGE[0]))
        if held < least_held:
            raise SystemExit(f"{held} of {len(trusted)} trusted intervals of {method} hold, at least {least_held} do")
        yield f"{method}: {len(trusted)} of {len(of)} runs are trusted, {held} of their intervals hold the answer"


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--methods", type=some_of(METHODS), default=METHODS, metavar="KIND,...", help="all by default")
    parser.add_argument("--problems", type=some_of(CASES), default=list(CASES), metavar="ID,...", help="all by default")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="runs of each method on each problem")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--again", action="store_true", help="run also what is kept, and replace it")
    parser.add_argument("--table", action="store_true", help="run nothing; write the table")
    parser.add_argument("--quick", action="store_true", help="a few cheap cells; writes nothing")
    options = parser.parse_args()
    if options.quick:
        keys = [(m, id, seed) for m in QUICK_METHODS for id in QUICK for seed in range(1, QUICK_SEEDS + 1)]
        for found in check(list(run_all(keys, options.workers))):
            print(found, flush=True)
        return
    if not options.table:
        kept = {} if options.again else rows.read(Run, [FILE])
        keys = [
            (m, id, seed) for m in options.methods for id in options.problems for seed in range(1, options.seeds + 1)
        ]
        wanted = [key for key in keys if key not in kept]
        keep(run_all(wanted, options.workers), len(wanted))
    (HERE / "steps.md").write_text(page(rows.read(Run, [FILE]).values()), encoding="utf-8")


if __name__ == "__main__":
    main()
