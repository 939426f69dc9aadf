"""Do the intervals of value at risk and expected shortfall hold the truth in 95 % of the runs?

``python experiments/coverage/quantiles.py`` writes quantiles.md and quantiles.csv beside this file; ``--quick`` runs
some cases and fails when a coverage could not come about by chance (one time in a million).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import study
from scipy import stats

import raresim
from raresim import CrossEntropy, Crude, ExpectedShortfall, Experiment, Linear, Stop, ValueAtRisk
from raresim.distributions.base import Inputs
from raresim.methods.base import Method

BAR, SPREAD = (0.93, 0.975), (0.9, 1.1)
TAILS = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
QUICK = ("CE, normal d=20, 0.01", "CE, normal d=20, 1e-06", "crude, normal d=20, 0.01")
T_DOF = 4.0


@dataclass(frozen=True)
class Case:
    """A question with its exact answers.

    Parameters
    ----------
    name : str
        Name of the case in the table.
    tail : float
        One minus the level.
    exact : tuple of float
        Value at risk and expected shortfall.
    inputs : Inputs
        Law of the factors; the loss is their sum over the root of their number.
    method : Method
        How draws are chosen.
    relative_error : float
        Relative error asked of both.
    """

    name: str
    tail: float
    exact: tuple[float, float]
    inputs: Inputs
    method: Method
    relative_error: float

    def run(self, seed: int) -> raresim.Result:
        """One run."""
        d = self.inputs.dim
        return Experiment(
            inputs=self.inputs,
            loss=Linear(weights=np.full(d, 1.0 / math.sqrt(d)), factors="losses"),
            measures=[ValueAtRisk(tail=self.tail), ExpectedShortfall(tail=self.tail)],
            method=self.method,
            stop=Stop(relative_error=self.relative_error, max_evaluations=400_000),
            seed=seed,
        ).run()


@dataclass(frozen=True)
class Outcome:
    """What is kept of one number of a run; value, error and interval are divided by the exact answer."""

    value: float
    error: float
    low: float
    high: float
    verdict: str
    evaluations: int


def all_cases() -> dict[str, Case]:
    """Every case by name, in the order of the table."""
    normal, t = raresim.StandardNormal(dim=20), raresim.StudentT(dof=T_DOF, dim=5)
    ways: list[tuple[str, Inputs, Callable[[float], tuple[float, float]], Method, float, Sequence[float]]] = [
        ("CE, normal d=20", normal, _normal, CrossEntropy(), 0.003, TAILS),
        ("CE, t d=5", t, _student_t, CrossEntropy(), 0.01, TAILS),
        ("auto, normal d=20", normal, _normal, raresim.Auto(), 0.003, (1e-4,)),
        ("crude, normal d=20", normal, _normal, Crude(), 0.01, (1e-2,)),
        ("crude, t d=5", t, _student_t, Crude(), 0.02, (1e-2,)),
    ]
    cases = [
        Case(f"{name}, {tail:g}", tail, exact(tail), inputs, method, error)
        for name, inputs, exact, method, error, tails in ways
        for tail in tails
    ]
    return {case.name: case for case in cases}


def _normal(tail: float) -> tuple[float, float]:
    v = float(stats.norm.isf(tail))
    return v, float(stats.norm.pdf(v)) / tail


def _student_t(tail: float) -> tuple[float, float]:
    """Answers for a t law; expected shortfall by McNeil, Frey & Embrechts, *Quantitative risk management*, 2.2.4."""
    law = stats.t(T_DOF)
    v = float(law.isf(tail))
    return v, float(law.pdf(v)) / tail * (T_DOF + v * v) / (T_DOF - 1.0)


def outcomes(task: tuple[str, int, int]) -> list[tuple[Outcome, Outcome]]:
    """Run a case on ``count`` seeds from ``first`` on: value at risk and expected shortfall of each."""
    name, first, count = task
    case = all_cases()[name]
    return [_outcome(case, seed) for seed in range(first, first + count)]


def _outcome(case: Case, seed: int) -> tuple[Outcome, Outcome]:
    result = case.run(seed)
    var, es = (
        Outcome(
            value=estimate.value / exact,
            error=estimate.std_error / exact,
            low=estimate.interval[0] / exact,
            high=estimate.interval[1] / exact,
            verdict=str(estimate.verdict.status),
            evaluations=result.evaluations["total"],
        )
        for estimate, exact in zip(result.estimates, case.exact, strict=True)
    )
    return var, es


def summarise(name: str, runs: Sequence[Outcome]) -> dict[str, str]:
    """One row of the table."""
    n = len(runs)
    value, error = np.array([r.value for r in runs]), np.array([r.error for r in runs])
    held = _held(runs)
    low, high = stats.binomtest(held, n).proportion_ci(0.95, "exact")
    ratio = value.std(ddof=1) / math.sqrt(np.square(error).mean())
    met = BAR[0] <= held / n <= BAR[1] and SPREAD[0] <= ratio <= SPREAD[1]
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


def _held(runs: Sequence[Outcome]) -> int:
    return sum(r.low <= 1.0 <= r.high for r in runs)


def check(name: str, runs: Sequence[Outcome]) -> None:
    """Raise where chance hardly explains the runs of an interval that meets its bar."""
    n, held = len(runs), _held(runs)
    fewest, most = stats.binom.ppf(study.CHANCE, n, BAR[0]), stats.binom.isf(study.CHANCE, n, BAR[1])
    if not fewest <= held <= most:
        raise SystemExit(f"{name}: {held} of {n} intervals hold the truth, {fewest:.0f} to {most:.0f} wanted")


def main() -> None:
    """Parse the command line and run."""
    options = study.options(__doc__, quick_seeds=40)
    names = QUICK if options.quick else tuple(all_cases())
    rows = []
    for name, runs in study.run_all(outcomes, names, options.first, options.seeds, options.workers):
        for k, measure in enumerate(("VaR", "ES")):
            of = [run[k] for run in runs]
            rows.append(summarise(f"{measure}, {name}", of))
            study.tell(rows[-1], options.quick)
            if options.quick:
                check(f"{measure}, {name}", of)
    if not options.quick:
        study.write("quantiles", rows, options.seeds)


if __name__ == "__main__":
    main()
