"""How many evaluations does a cheap approximation save?

``python experiments/costly/approximation.py`` makes the runs that are not in ``data/approximation.csv.gz`` yet, with
the approximation and without it, and writes approximation.md from all rows there. ``--table`` runs nothing. ``--quick``
makes one run, writes nothing, and fails on a result that chance gives one time in a million.

*Straddles*: the book of ``configs/costly/option-book.yaml``, and its delta-gamma approximation. *Near expiry*: short
options on twelve correlated assets (``near_expiry.csv``), five weeks before expiry with a horizon of two, and their
delta-gamma approximation. *Solver*: the displacement of a damped oscillator with a softening spring, six inputs, by 100
Runge-Kutta steps, and by a coarser run of the same program. A run ends at a relative error of 2 %, or after 400
evaluations. Answers are exact or from long runs of this program that use no surrogate; correlations are those of 20,000
draws of the inputs.
"""

from __future__ import annotations

import argparse
import functools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from run import DATA, HERE, Run, heading, judge, keep, rows

from raresim import Normal, Probability, PythonLoss, StandardNormal, Surrogate, estimate, models
from raresim.numerics.arrays import Float
from raresim.record.verdict import Status
from raresim.run.approximation import bound

MARKET = Path(__file__).parents[2] / "configs" / "market"
FILE, MOST, ERROR, SEEDS = "approximation", 400, 0.02, range(1, 11)
GROUPS = ("without", "with")
DRAWS, LONG = 20_000, 500_000


@dataclass(frozen=True)
class Assisted(Run):
    """A row of the file."""

    @property
    def file(self) -> str:
        return FILE


def solver(x: Float, steps: int) -> Float:
    """Displacement (n,) at the end of a damped oscillator with a softening spring, by ``steps`` Runge-Kutta steps."""
    damping, spring, bend = 0.1 * np.exp(0.2 * x[:, 0]), np.exp(0.1 * x[:, 1]), 0.3 * np.exp(0.2 * x[:, 2])
    force, frequency, start = np.exp(0.2 * x[:, 3]), 1.3 * np.exp(0.03 * x[:, 4]), 0.3 * x[:, 5]
    step, y, v = 12.0 / steps, start.copy(), np.zeros(len(x))

    def slope(t: float, y: Float, v: Float) -> Float:
        return force * np.cos(frequency * t) - damping * v - spring * y - bend * np.tanh(y)

    for k in range(steps):
        t = k * step
        a1 = slope(t, y, v)
        v2 = v + 0.5 * step * a1
        a2 = slope(t + 0.5 * step, y + 0.5 * step * v, v2)
        v3 = v + 0.5 * step * a2
        a3 = slope(t + 0.5 * step, y + 0.5 * step * v2, v3)
        v4 = v + step * a3
        a4 = slope(t + step, y + step * v3, v4)
        y = y + step / 6.0 * (v + 2.0 * v2 + 2.0 * v3 + v4)
        v = v + step / 6.0 * (a1 + 2.0 * a2 + 2.0 * a3 + a4)
    return y


def fine(x: Float) -> Float:
    return solver(x, 100)


def coarse(x: Float) -> Float:
    return solver(x, COARSE)


COARSE = 10
"""Steps of the coarser run, whose correlation with the finer one is 0.99."""


@dataclass(frozen=True)
class Problem:
    """What is asked: positional and named arguments of `estimate`, and the approximation."""

    arguments: tuple[Any, ...]
    threshold: float
    approximation: Any
    exact: float | None = None


@functools.cache
def problem(name: str) -> Problem:
    """One of the problems."""
    if name == "solver":
        return Problem((6, PythonLoss(function=fine, smooth=True)), 6.2, PythonLoss(function=coarse))
    if name == "straddles":
        law = Normal(mean=0.0002, std=0.06, dim=10)
        given = {"positions": MARKET / "straddles.csv", "spots": MARKET / "spots.csv", "factors": law}
        book = models.Options(**given, horizon=0.04, volatility=0.3, rate=0.05, dividend=0.0)
        return Problem((book,), 360.0, "delta_gamma", 9.932846060928565e-05)
    cov = 0.05**2 * (0.3 + 0.7 * np.eye(12))
    given = {"positions": HERE / "near_expiry.csv", "spots": {f"S{k}": 100.0 for k in range(12)}}
    law = Normal(mean=np.zeros(12), cov=cov)
    book = models.Options(**given, factors=law, horizon=0.04, volatility=0.3, rate=0.05, dividend=0.0)
    return Problem((book,), 500.0, "delta_gamma")


@functools.cache
def answer(name: str) -> float:
    """The probability, exact or from a long run."""
    asked = problem(name)
    if asked.exact is not None:
        return asked.exact
    long = estimate(
        *asked.arguments, measures=Probability(above=asked.threshold), seed=1, max_evaluations=LONG, relative_error=2e-3
    )
    return long.estimates[0].value


def correlation(name: str) -> float:
    """Correlation of loss and approximation."""
    asked = problem(name)
    is_book = len(asked.arguments) == 1
    inputs = asked.arguments[0].inputs if is_book else StandardNormal(dim=asked.arguments[0])
    model = asked.arguments[0] if is_book else None
    loss = (model.loss if model is not None else asked.arguments[1]).bind(inputs)
    near = bound(asked.approximation, loss, inputs, model)
    u = np.asfortranarray(np.random.default_rng(1).standard_normal((DRAWS, inputs.latent_dim)))
    x = inputs.to_physical(u, np.empty((DRAWS, inputs.dim), order="F"))
    found = np.empty((2, DRAWS))
    loss(x, found[0])
    near(x, found[1])
    return float(np.corrcoef(found)[0, 1])


PROBLEMS = ("solver", "straddles", "near expiry")


def run(key: tuple[str, str, int, int]) -> Assisted:
    """One run."""
    group, name, budget, seed = key
    asked, begun = problem(name), time.process_time()
    near = asked.approximation if group == "with" else None
    options = {"seed": seed, "max_evaluations": budget, "relative_error": ERROR, "approximation": near}
    found = estimate(*asked.arguments, measures=Probability(above=asked.threshold), method=Surrogate(), **options)
    seconds = round(time.process_time() - begun - found.seconds["compile"], 2)
    (number,) = found.estimates
    low, high = number.interval
    exact = answer(name)
    wanting = " ".join(c.name for c in number.verdict.checks if c.status is not Status.TRUSTED)
    return Assisted(
        group, name, budget, seed, group, 0, number.value / exact, number.relative_error, bool(low <= exact <= high),
        found.evaluations["total"], seconds, str(number.verdict.status), wanting,
    )  # fmt: skip


def table(found: Sequence[Run]) -> str:
    """The table, as Markdown."""
    header = ("problem", "correlation", "approximation", "runs", "accepted", "median evaluations", "most",
              "median error", "median reported error", "seconds")  # fmt: skip
    out = heading("A cheap approximation", "approximation.py", header)
    for name in PROBLEMS:
        for group in GROUPS:
            some = [r for r in found if (r.problem, r.group) == (name, group)]
            if not some:
                continue
            cells = [name, f"{correlation(name):.3f}", group, str(len(some)), str(sum(r.accepted for r in some))]
            cells += [f"{np.median([r.evaluations for r in some]):.0f}", str(max(r.evaluations for r in some))]
            cells += [f"{np.median([abs(r.ratio - 1.0) for r in some]):.2%}"]
            cells += [f"{np.median([r.reported for r in some]):.2%}", f"{np.median([r.seconds for r in some]):.1f}"]
            out.append(f"| {' | '.join(cells)} |")
    return "\n".join(out) + "\n"


def quick() -> None:
    """Raise where chance does not explain what one run finds."""
    judge(run(("with", "solver", MOST, 1)), slack=0.0)


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--table", action="store_true", help="run nothing; write the table")
    what.add_argument("--quick", action="store_true", help="one run; writes nothing")
    options = parser.parse_args()
    if options.quick:
        quick()
        return
    kept = rows.read(Assisted, [FILE], DATA)
    if not options.table:
        wanted = [(group, name, MOST, seed) for seed in SEEDS for name in PROBLEMS for group in GROUPS]
        left = [key for key in wanted if key not in kept]
        keep(map(run, left), len(left))
    (HERE / "approximation.md").write_text(table(list(rows.read(Assisted, [FILE], DATA).values())))


if __name__ == "__main__":
    main()
