"""Do the intervals of contributions, sensitivities and the exceedance curve hold the truth in 95 % of the runs?

``python experiments/coverage/exhibits.py`` writes exhibits.md and exhibits.csv beside this file; ``--quick`` runs a law
on a few seeds to a larger error and fails when a coverage could not come about by chance (one time in a million).

Three factors, normal or Student t, correlated, with a linear loss: every number has a closed form.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import study
from scipy import stats

import raresim
from raresim import CrossEntropy, Experiment, Linear, Stop
from raresim.distributions.base import Inputs
from raresim.measures.base import Measure
from raresim.record.exhibits import Exhibit

BAR, SPREAD, BAND = (0.92, 0.98), (0.9, 1.1), 0.93

WEIGHTS = np.array([1.0, 0.5, 2.0])
STD = np.array([1.0, 1.5, 0.5])
CORRELATION = np.array([[1.0, 0.5, 0.2], [0.5, 1.0, 0.3], [0.2, 0.3, 1.0]])
COV = CORRELATION * np.outer(STD, STD)
SIGMA = math.sqrt(WEIGHTS @ COV @ WEIGHTS)
TAIL, T_DOF = 1e-3, 5.0
QUICK = "normal, 3 %"
SHARES = WEIGHTS * (COV @ WEIGHTS) / SIGMA**2
PARTS = WEIGHTS * STD
WIDER = 1.05
BY_CORRELATION = float((PARTS.sum() ** 2 - (PARTS * PARTS).sum()) / (2.0 * SIGMA))
"""How fast the standard deviation of the loss grows when all correlations do."""

Numbers = dict[str, tuple[float, float, float, float]]
"""Value, standard error and interval of each number, divided by the exact answer."""


@dataclass(frozen=True)
class Law:
    """A law of the factors.

    Parameters
    ----------
    name : str
        Name of the law in the table.
    inputs : Inputs
        The factors.
    standard : frozen scipy.stats law
        Law of the loss divided by `SIGMA`.
    shortfall : float
        Expected shortfall of that law at `TAIL`.
    measures : sequence of Measure
        The measures that are asked for.
    error : float
        Relative error that a run stops at.
    """

    name: str
    inputs: Inputs
    standard: Any
    shortfall: float
    measures: Sequence[Measure]
    error: float = 0.01


def laws() -> dict[str, Law]:
    """Both laws by name, and the one of the short version."""
    asked: list[Measure] = [
        raresim.ValueAtRisk(tail=TAIL),
        raresim.ExpectedShortfall(tail=TAIL),
        raresim.Contributions(tail=TAIL),
        raresim.Exceedance(from_tail=0.05, to_tail=1e-4),
        raresim.Scenarios(tail=TAIL),
    ]
    normal, t = stats.norm(), stats.t(T_DOF)
    z, v = float(normal.isf(TAIL)), float(t.isf(TAIL))
    changed: list[Measure] = [
        *asked,
        raresim.Sensitivities(parameters=["mean", "std", "correlation"]),
        raresim.WhatIf(name="wider", change={"std": f"* {WIDER}"}),
    ]
    all_laws = [
        Law("normal", raresim.Normal(mean=np.zeros(3), cov=COV), normal, float(normal.pdf(z)) / TAIL, changed),
        Law(
            "t",
            raresim.StudentT(dof=T_DOF, loc=np.zeros(3), shape=COV),
            t,
            float(t.pdf(v)) / TAIL * (T_DOF + v * v) / (T_DOF - 1.0),
            asked,
        ),
    ]
    all_laws.append(replace(all_laws[0], name=QUICK, error=0.03))
    return {law.name: law for law in all_laws}


def outcomes(task: tuple[str, int, int]) -> list[Numbers]:
    """The numbers of ``count`` seeds of a law from ``first`` on."""
    name, first, count = task
    law = laws()[name]
    return [numbers_of(law, seed) for seed in range(first, first + count)]


def numbers_of(law: Law, seed: int) -> Numbers:
    """Every number of one run."""
    result = Experiment(
        inputs=law.inputs,
        loss=Linear(weights=WEIGHTS, factors="losses"),
        measures=law.measures,
        method=CrossEntropy(),
        stop=Stop(relative_error=law.error, max_evaluations=400_000),
        seed=seed,
    ).run()
    shown = {exhibit.name: exhibit for exhibit in result.exhibits}
    found = contributions(law, shown) | scenarios(law, shown) | curve(law, shown)
    return found | sensitivities(law, shown) | what_if(law, shown)


def rows(exhibit: Exhibit) -> list[dict[str, Any]]:
    """The rows of an exhibit as mappings."""
    return [dict(zip(exhibit.columns, row, strict=True)) for row in exhibit.rows]


def contributions(law: Law, shown: Mapping[str, Exhibit]) -> Numbers:
    """Contributions under an elliptical law: each name has the share ``w_i (C w)_i / sigma^2`` of both numbers."""
    totals = {"value_at_risk": float(law.standard.isf(TAIL)) * SIGMA, "expected_shortfall": law.shortfall * SIGMA}
    found: Numbers = {}
    for row in rows(shown["contributions"]):
        if row["name"] != "total":
            exact = totals[row["measure"]] * SHARES[int(row["name"][1:]) - 1]
            numbers = (row[key] / exact for key in ("contribution", "std_error", "lower", "upper"))
            found[f"contribution to {row['measure'].replace('_', ' ')}, {row['name']}"] = _four(numbers)
    return found


def scenarios(law: Law, shown: Mapping[str, Exhibit]) -> Numbers:
    """Means of the factors given a loss of at least the value at risk: on the line ``C w`` of an elliptical law."""
    found: Numbers = {}
    for k, row in enumerate(rows(shown["scenario_moments"])):
        exact = float((COV @ WEIGHTS)[k]) / SIGMA * law.shortfall
        numbers = (row[key] / exact for key in ("mean", "mean_std_error", "mean_lower", "mean_upper"))
        found[f"scenarios, mean of {row['factor']}"] = _four(numbers)
    return found


def what_if(law: Law, shown: Mapping[str, Exhibit]) -> Numbers:
    """What-ifs: a law that is wider by a factor has both numbers larger by this factor."""
    if "what_if_wider" not in shown:
        return {}
    totals = {"value_at_risk": float(law.standard.isf(TAIL)) * SIGMA, "expected_shortfall": law.shortfall * SIGMA}
    found: Numbers = {}
    for row in rows(shown["what_if_wider"]):
        if row["quantity"] in totals and row["estimate"].endswith("99.9 %"):
            exact = WIDER * totals[row["quantity"]]
            numbers = (row[key] / exact for key in ("changed", "std_error", "lower", "upper"))
            found[f"what if std is wider: {row['quantity'].replace('_', ' ')}"] = _four(numbers)
    return found


def sensitivities(law: Law, shown: Mapping[str, Exhibit]) -> Numbers:
    """Derivatives in a location-scale family: by a mean they are its weight, by all scales the number itself."""
    if "sensitivities" not in shown:
        return {}
    totals = {"value_at_risk": float(law.standard.isf(TAIL)) * SIGMA, "expected_shortfall": law.shortfall * SIGMA}
    found: Numbers = {}
    for row in rows(shown["sensitivities"]):
        if row["quantity"] not in totals or row["derivative"] is None or not row["estimate"].endswith("99.9 %"):
            continue
        total, parameter = totals[row["quantity"]], row["parameter"]
        if parameter == "mean":
            exact = float(WEIGHTS.sum())
        elif parameter.startswith("mean.x"):
            exact = float(WEIGHTS[int(parameter.removeprefix("mean.x")) - 1])
        elif parameter == "std":
            exact = total
        elif parameter == "correlation":
            exact = total / SIGMA * BY_CORRELATION
        else:
            continue
        numbers = (row[key] / exact for key in ("derivative", "std_error", "lower", "upper"))
        found[f"derivative of {row['quantity'].replace('_', ' ')} by {parameter}"] = _four(numbers)
    return found


def curve(law: Law, shown: Mapping[str, Exhibit]) -> Numbers:
    """The middle of the curve; and whether the band holds all of it, as an interval of 1 or of nothing."""
    points = rows(shown["exceedance"])
    exact = np.array([float(law.standard.sf(row["threshold"] / SIGMA)) for row in points])
    low, high = (np.array([row[key] for row in points]) for key in ("band_lower", "band_upper"))
    held = bool(((low <= exact) & (exact <= high)).all())
    middle, truth = points[len(points) // 2], exact[len(points) // 2]
    numbers = (middle[key] / truth for key in ("probability", "std_error", "lower", "upper"))
    band = (math.nan, math.nan, 0.0, 2.0 if held else 0.5)
    return {"exceedance, a point of the curve": _four(numbers), "exceedance, band of the whole curve": band}


def _four(numbers: Iterator[float]) -> tuple[float, float, float, float]:
    value, error, low, high = numbers
    return (value, abs(error), min(low, high), max(low, high))


def summarise(name: str, runs: np.ndarray[Any, Any]) -> dict[str, str]:
    """One row of the table, from values, errors and intervals (n, 4)."""
    n = len(runs)
    held = int(((runs[:, 2] <= 1.0) & (runs[:, 3] >= 1.0)).sum())
    low, high = stats.binomtest(held, n).proportion_ci(0.95, "exact")
    is_band = bool(np.isnan(runs[:, 0]).all())
    ratio = math.nan if is_band else float(runs[:, 0].std(ddof=1) / math.sqrt(np.square(runs[:, 1]).mean()))
    met = held / n >= BAND if is_band else BAR[0] <= held / n <= BAR[1] and SPREAD[0] <= ratio <= SPREAD[1]
    return {
        "number": name,
        "coverage %": f"{100 * held / n:.1f}",
        "its 95 % limits": f"{100 * low:.1f} to {100 * high:.1f}",
        "too low": "" if is_band else str(int((runs[:, 3] < 1.0).sum())),
        "too high": "" if is_band else str(int((runs[:, 2] > 1.0).sum())),
        "mean / exact": "" if is_band else f"{runs[:, 0].mean():.4f} +- {runs[:, 0].std(ddof=1) / n**0.5:.4f}",
        "sd / reported": "" if is_band else f"{ratio:.3f}",
        "relative error %": "" if is_band else f"{100 * float(np.median(runs[:, 1])):.2f}",
        "bar": "met" if met else "missed",
    }


def check(name: str, runs: np.ndarray[Any, Any]) -> None:
    """Raise where chance hardly explains the runs of an interval that meets its bar."""
    n, held = len(runs), int(((runs[:, 2] <= 1.0) & (runs[:, 3] >= 1.0)).sum())
    if held < stats.binom.ppf(study.CHANCE, n, BAR[0]):
        raise SystemExit(f"{name}: {held} of {n} intervals hold the truth")


def main() -> None:
    """Parse the command line and run."""
    options = study.options(__doc__, quick_seeds=24)
    names = [QUICK] if options.quick else [name for name in laws() if name != QUICK]
    table = []
    for name, runs in study.run_all(outcomes, names, options.first, options.seeds, options.workers):
        by_number: dict[str, list[tuple[float, ...]]] = defaultdict(list)
        for numbers in runs:
            for number, four in numbers.items():
                by_number[number].append(four)
        for number, fours in by_number.items():
            table.append(summarise(f"{name}: {number}", np.array(fours)))
            study.tell(table[-1], options.quick)
            if options.quick:
                check(f"{name}: {number}", np.array(fours))
    if not options.quick:
        study.write("exhibits", table, options.seeds, each="a law")


if __name__ == "__main__":
    main()
