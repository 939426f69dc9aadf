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
from study import Outcome

import raresim
from raresim import CrossEntropy, Crude, ExpectedShortfall, Experiment, Linear, Stop, ValueAtRisk
from raresim.distributions.base import Inputs
from raresim.methods.base import Method

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


def outcomes(task: tuple[str, int, int]) -> list[tuple[Outcome, ...]]:
    """Run a case on ``count`` seeds from ``first`` on: value at risk and expected shortfall of each."""
    name, first, count = task
    case = all_cases()[name]
    return [study.outcomes_of(case.run(seed), case.exact) for seed in range(first, first + count)]


def main() -> None:
    """Parse the command line and run."""
    options = study.options(__doc__, quick_seeds=40)
    names = QUICK if options.quick else tuple(all_cases())
    rows = []
    for name, runs in study.run_all(outcomes, names, options.first, options.seeds, options.workers):
        for k, measure in enumerate(("VaR", "ES")):
            of = [run[k] for run in runs]
            rows.append(study.summarise(f"{measure}, {name}", of))
            study.tell(rows[-1], options.quick)
            if options.quick:
                study.check(f"{measure}, {name}", of)
    if not options.quick:
        study.write("quantiles", rows, options.seeds)


if __name__ == "__main__":
    main()
