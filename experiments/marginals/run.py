"""How exact is the map from a standard normal to each law, and what does a draw cost?

``python experiments/marginals/run.py`` writes table.md and table.csv beside this file; ``--quick`` maps fewer points,
leaves SciPy out, writes nothing and fails where a law misses its bar by more than half.
"""

from __future__ import annotations

import argparse
import csv
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from mpmath import mp, mpf
from oracles import Case, cases, others
from scipy import special

from raresim.marginals.base import Continuous, Marginal
from raresim.numerics.arrays import Float
from raresim.numerics.normals import fill_standard_normal

HERE = Path(__file__).parent
U = (0.3, 1.0, 2.0, 3.3, 5.0, 8.0, 8.5, 12.0, 20.0, 30.0, 37.0)
QUADRATURE_U = (1.0, 8.5, 37.0)
SMALLEST, LARGEST = 1e-290, 1e300
ROWS = 65_536
ERROR_BAR = 1e-10
COST_BAR = 3.0
COLUMNS = (
    "law", "error", "at u", "table error", "cells", "ns", "times a normal draw", "SciPy ppf ns", "SciPy error",
    "bar is",
)  # fmt: skip


def relative_error(case: Case, x: float, u: float) -> float:
    """Error of ``x`` as the value at ``u``, from the error of its tail in mpmath; relative to ``max(|x|, dx/du)``."""
    upper = u > 0
    wanted = mp.ncdf(-mpf(abs(u)))
    point = mpf(x)
    tail = case.tail(point, upper)
    if case.density is not None:
        slope = case.density(point)
    else:
        step = abs(point) * mpf("1e-12") or mpf("1e-12")
        slope = abs(case.tail(point + step, upper) - case.tail(point - step, upper)) / (2 * step)
    if slope == 0:
        return math.nan
    per_normal = mp.npdf(mpf(u)) / slope
    return float(abs(tail - wanted) / slope / max(abs(point), per_normal))


def worst_error(case: Case, points: tuple[float, ...], values: Callable[[Float], Float]) -> tuple[float, float]:
    """Largest `relative_error` of ``values`` at both signs of ``points``, and where it is."""
    found = [(0.0, 0.0)]
    for u in sorted({s * p for p in points for s in (-1.0, 1.0)}):
        x = float(values(np.array([u]))[0])
        if math.isfinite(x) and SMALLEST < abs(x) < LARGEST and not _at_the_end(case, x, u):
            found.append((relative_error(case, x, u), u))
        elif not math.isfinite(x):
            found.append((math.inf, u))
    return max(found)


def _at_the_end(case: Case, x: float, u: float) -> bool:
    """Whether ``x`` is the upper end of the support to the last digit: the tail beyond cannot be stored in it."""
    low, high = case.law.support
    return (u > 0 and abs(high - x) <= 4 * np.spacing(abs(x))) or (u < 0 and abs(x - low) <= 4 * np.spacing(abs(x)))


def mapped(case: Case) -> Callable[[Float], Float]:
    def values(u: Float) -> Float:
        out = np.empty_like(u)
        case.law.from_normal(u, out)
        return out

    return values


def by_scipy(case: Case) -> Callable[[Float], Float]:
    """The quantile of the smaller tail by SciPy, as a careful user writes it."""
    return lambda u: np.where(u > 0, case.scipy.isf(special.ndtr(-u)), case.scipy.ppf(special.ndtr(u)))


def nanoseconds(work: list[Callable[[], object]], rounds: int) -> list[float]:
    """Median processor time for each of ``ROWS`` values of every task in ``work``, which take turns."""
    times: list[list[float]] = [[] for _ in work]
    for job in work:
        job()
    for _ in range(rounds):
        for k, job in enumerate(work):
            begun = time.process_time_ns()
            for _ in range(4):
                job()
            times[k].append((time.process_time_ns() - begun) / (4 * ROWS))
    return [float(np.median(t)) for t in times]


def measure(case: Case, quick: bool) -> list[str | float]:
    slow = case.law.kind in ("normal_inverse_gaussian", "variance_gamma")
    mp.dps = 25 if slow else 700  # a closed form may take a tail of 1e-300 as one minus the rest
    points = (QUADRATURE_U[1:2] if quick else QUADRATURE_U) if slow else (U[::3] if quick else U)
    error, where = worst_error(case, points, mapped(case))
    compared = case.scipy is not None and not quick
    scipy_error = worst_error(case, points, by_scipy(case))[0] if compared and not slow else math.nan
    rng = np.random.Generator(np.random.SFC64(20261124))
    u = np.empty((ROWS, 1), order="F")
    fill_standard_normal(rng, u)
    x = np.empty(ROWS)
    work: list[Callable[[], object]] = [
        lambda: fill_standard_normal(rng, u),
        lambda: case.law.from_normal(u[:, 0], x),
    ]
    normal, cost = nanoseconds(work, 5 if quick else 21)
    scipy_cost = math.nan
    if compared:
        part = special.ndtr(u[: 200 if slow else 4096, 0])
        begun = time.process_time_ns()
        case.scipy.ppf(part)
        scipy_cost = (time.process_time_ns() - begun) / part.size
    mapped_directly = type(case.law).from_normal is not Continuous.from_normal
    table = None if mapped_directly else getattr(case.law, "_table", None)
    ratio = cost / normal
    met = error <= ERROR_BAR and (not case.common or ratio <= COST_BAR)
    return [
        case.law.describe(), error, where, table.error if table else math.nan,
        table.polynomial.coefficients.shape[0] if table else 0, cost, ratio, scipy_cost, scipy_error,
        ("met" if met else "missed") + ("" if case.common else " (error)"),
    ]  # fmt: skip


def cost_alone(law: Marginal) -> list[str | float]:
    """A row without errors: the law is a count, a sample, or made of others."""
    rng = np.random.Generator(np.random.SFC64(20261124))
    u, x = np.empty((ROWS, 1), order="F"), np.empty(ROWS)
    fill_standard_normal(rng, u)
    normal, cost = nanoseconds([lambda: fill_standard_normal(rng, u), lambda: law.from_normal(u[:, 0], x)], 5)
    return [law.describe(), math.nan, math.nan, math.nan, 0, cost, cost / normal, math.nan, math.nan, ""]


def shown(value: str | float) -> str:
    if isinstance(value, str):
        return value
    if math.isnan(value):
        return ""
    return f"{value:.2g}" if 0 < abs(value) < 0.1 or abs(value) > 1e5 else f"{value:.4g}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    rows = []
    for case in cases():
        row = measure(case, quick)
        rows.append(row)
        print("  ".join(shown(v) for v in row), flush=True)
    if quick:
        wrong = [row[0] for row in rows if float(row[1]) > ERROR_BAR]
        dear = [r[0] for r, c in zip(rows, cases(), strict=True) if c.common and float(r[6]) > 1.5 * COST_BAR]
        sys.exit(f"bars missed: error {wrong}, cost {dear}" if wrong or dear else 0)
    rows += [cost_alone(law) for law in others()]
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + " --- |" * len(COLUMNS)]
    lines += ["| " + " | ".join(shown(v) for v in row) + " |" for row in rows]
    (HERE / "table.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    with (HERE / "table.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([COLUMNS, *rows])


if __name__ == "__main__":
    main()
