"""What do better points save? Variance of antithetic pairs, scrambled Sobol' nets and lines against independent draws.

``python experiments/methods/rqmc.py`` prints the table and writes rqmc.md beside this file; ``--quick`` takes smaller
nets, writes nothing and fails where an estimator is more than six of its standard errors off. Every problem is smooth
and has one mode. The proposal is a standard normal around the design point, except in one row, where a tenth of the
draws comes from the target. A ratio of 10 means as exact as ten times as many evaluations of independent draws. The
columns with lines integrate the direction of the design point out, with random lines and with lines from Sobol' nets.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from problems import PROBLEMS
from scipy import stats

from raresim import Linear, Mixture, Normal, PythonLoss, StandardNormal
from raresim.distributions.base import Distribution, Inputs
from raresim.distributions.transport import Transport
from raresim.engine.executors import Executor
from raresim.engine.fold import Sampler, fold
from raresim.engine.problem import Problem
from raresim.estimators.antithetic import AntitheticDraws
from raresim.estimators.base import Estimator
from raresim.estimators.lines import Lines
from raresim.estimators.sobol import SobolLines, SobolReplicates
from raresim.estimators.weighted_draws import WeightedDraws
from raresim.losses.base import Loss
from raresim.numerics.blocks import plan
from raresim.record.event import Event
from raresim.search.design_points import explore

SEED = 20_261_125
SINGLE = 200_000
LINE_POINTS = 2**8
POINTS, QUICK_POINTS = 2**14, 2**9
REPLICATES = 32
FAR = 6.0
TITLE = f"""# Variance of independent draws over that of better ones, per evaluation

Made by `python experiments/methods/rqmc.py`; {REPLICATES} scrambled nets of {POINTS:,} points or {LINE_POINTS} lines.
*z*: the most that any of the estimators of a row is off, in its standard errors."""
TABLE = Path(__file__).with_name("rqmc.md")
FROM_THE_TABLE = ("R-S", "GAYTON-HAT", "OSC-AKMCS", "DG-A1-b", "SORM-CONVEX-11", "ASIAN-TAIL-16-30-90", "GAMMA-SUM-20")
"""Smooth, with one mode, and none of them held out."""


@dataclass(frozen=True, eq=False)
class Case:
    """A problem with its event and its answer."""

    name: str
    inputs: Inputs
    loss: Loss
    event: Event
    exact: float
    defensive: float = 0.0


@dataclass(frozen=True)
class Seen:
    """Relative variance times evaluations of an estimator, and how many standard errors it is off."""

    work: float
    z: float


def cases() -> list[Case]:
    """Half-spaces, whose answer is exact, and problems of the reference table."""
    found = [half_space(2), half_space(10), replace(half_space(10), name="linear, d = 10, 10 % target", defensive=0.1)]
    for name in FROM_THE_TABLE:
        p = PROBLEMS[name]
        (question,) = p.measure.questions(lambda: None, lambda _: 0.0)  # type: ignore[arg-type, return-value]  # no sigma
        loss = PythonLoss(function=p.loss)
        found.append(Case(f"{name}, d = {p.dim}", p.inputs, loss, question.event, p.probability))
    return found


def half_space(d: int) -> Case:
    """``sum(x) / sqrt(d) >= 4`` of standard normals."""
    loss = Linear(weights=np.full(d, d**-0.5))
    return Case(f"linear, d = {d}", StandardNormal(dim=d), loss, Event(4.0), float(stats.norm.sf(4.0)))


def design_point(problem: Problem, event: Event) -> np.ndarray:
    """The likeliest point of the event, from a pilot of the target."""

    def loss(u: np.ndarray) -> np.ndarray:
        out = np.empty(len(u))
        problem.loss(problem.inputs.to_physical(u, np.empty((len(u), problem.inputs.dim), order="F")), out)
        return event.sign * out

    u = np.asfortranarray(np.random.default_rng(SEED).standard_normal((1000, problem.dim)))
    return explore(loss, event.sign * event.threshold, u, loss(u), 2, 10_000).points[0].u


def measure(case: Case, job: Estimator, rows: int, stage: int, dim: int) -> Seen:
    """Fold ``rows`` rows and compare."""
    summary = fold(Executor(), job, plan(stage, rows, dim, job.block_rows))
    error = summary.tail.relative_error(0)
    off = math.exp(summary.tail.log_probability(0)) / case.exact - 1.0
    return Seen(error**2 * summary.evaluations, off / error if error > 0 else 0.0)


def compare(case: Case, points: int, replicates: int) -> list[str]:
    """The row of one problem."""
    problem = Problem(case.inputs, case.loss.bind(case.inputs))
    events, d = (case.event,), problem.dim
    at = design_point(problem, case.event)
    law: Distribution = Mixture.defensive(Normal(mean=at), problem.target, case.defensive)
    sampler = Sampler(problem, law, SEED)
    turned = Transport.of(law, problem.target)
    plain = replace(turned, mirrors=tuple(0.0 * v for v in turned.mirrors))
    beta = float(np.linalg.norm(at))
    top = math.hypot(beta, math.sqrt(32.0))
    lines = Lines(Sampler(problem, None, SEED), events, at[None, :] / beta, np.linspace(-top, top, round(2 * top)))
    single = measure(case, WeightedDraws(sampler, events), SINGLE, 0, d)
    others = [
        measure(case, AntitheticDraws(sampler, events), SINGLE // 2, 1, d),
        measure(case, SobolReplicates(sampler, events, plain, points), replicates, 2, d),
        measure(case, SobolReplicates(sampler, events, turned, points), replicates, 3, d),
        measure(case, lines, 2000, 4, d),
        measure(case, SobolLines(lines, LINE_POINTS), replicates, 5, d),
    ]
    worst = max(abs(seen.z) for seen in (single, *others))
    ratios = [f"{single.work / seen.work:.3g}" if seen.work > 1e-12 else "exact" for seen in others]
    return [case.name, f"{single.work:.3g}", *ratios, f"{worst:.1f}"]


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows as Markdown, the first one the head."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller nets; writes nothing")
    points = QUICK_POINTS if (quick := parser.parse_args().quick) else POINTS
    head = [
        "problem",
        "n x rel. variance",
        "antithetic",
        "Sobol', not turned",
        "Sobol'",
        "lines",
        "Sobol' lines",
        "z",
    ]
    rows = [compare(case, points, REPLICATES) for case in cases()]
    text = table([head, *rows])
    print(text)
    if quick:
        far = [row[0] for row in rows if float(row[-1]) > FAR]
        if far:
            raise SystemExit(f"more than {FAR:g} standard errors off: {'; '.join(far)}")
    else:
        TABLE.write_text(f"{TITLE}\n\n{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
