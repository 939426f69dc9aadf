"""What does a scenario of a credit portfolio cost, against NumPy?

``python experiments/throughput/credit.py`` writes credit.md beside this file: 1,000 obligors, 10 factors, plain draws
of default mode, on one thread and on two; medians of five rounds in turns. NumPy is written straightforwardly: normals
for the factors and for each obligor, a matrix product, a comparison, a weighted sum, in blocks of 1,000 scenarios.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import ndtri

import raresim
from raresim.models import Credit

HERE = Path(__file__).parent
OBLIGORS, FACTORS, SCENARIOS, BLOCK, ROUNDS = 1_000, 10, 1_000_000, 1_000, 5
OF_NUMPY = 50_000
"""Scenarios that NumPy makes in a round; its time is proportional to them."""


class Table(dict[str, list[Any]]):
    """Columns by name, as a data frame has them."""

    columns = property(list)


def portfolio() -> tuple[Credit, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    loadings = rng.uniform(0.0, 0.3, (OBLIGORS, FACTORS))
    pd, ead = rng.uniform(0.001, 0.03, OBLIGORS), rng.lognormal(size=OBLIGORS)
    table = Table(id=list(range(OBLIGORS)), ead=ead.tolist(), pd=pd.tolist())
    table |= {f"loading_{j}": loadings[:, j].tolist() for j in range(FACTORS)}
    return Credit(tape=table, lgd=1.0), loadings, pd, ead


def by_numpy(loadings: np.ndarray, pd: np.ndarray, ead: np.ndarray) -> float:
    rng = np.random.default_rng(2)
    own, barrier = np.sqrt(1.0 - (loadings**2).sum(axis=1)), -ndtri(pd)
    total = 0.0
    for _ in range(OF_NUMPY // BLOCK):
        factors = rng.standard_normal((BLOCK, FACTORS))
        assets = factors @ loadings.T + own * rng.standard_normal((BLOCK, OBLIGORS))
        total += float(((assets > barrier) @ ead).sum())
    return total / OF_NUMPY


def by_raresim(model: Credit, workers: int, scenarios: int) -> float:
    result = raresim.estimate(
        model,
        measures=raresim.Probability(above=1e-9),
        method="crude",
        seed=1,
        relative_error=None,
        max_evaluations=scenarios,
        workers=workers,
    )
    return result.estimates[0].value


def main() -> None:
    model, loadings, pd, ead = portfolio()
    by_raresim(model, 1, 1_000)
    seconds: dict[str, list[float]] = {"NumPy": [], "raresim, one thread": [], "raresim, two threads": []}
    for _ in range(ROUNDS):
        for name, job, share in (
            ("NumPy", lambda: by_numpy(loadings, pd, ead), SCENARIOS / OF_NUMPY),
            ("raresim, one thread", lambda: by_raresim(model, 1, SCENARIOS // 5), 5.0),
            ("raresim, two threads", lambda: by_raresim(model, 2, SCENARIOS // 5), 5.0),
        ):
            begun = time.perf_counter()
            job()
            seconds[name].append(share * (time.perf_counter() - begun))
    plain = statistics.median(seconds["NumPy"])
    lines = [
        f"{SCENARIOS:,} scenarios of {OBLIGORS:,} obligors and {FACTORS} factors; seconds on the wall, median, "
        "smallest and largest round.",
        "",
        "| program | seconds | range | ns an obligor | times as fast as NumPy |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, each in seconds.items():
        t = statistics.median(each)
        per = 1e9 * t / SCENARIOS / OBLIGORS
        lines.append(f"| {name} | {t:.1f} | {min(each):.1f} to {max(each):.1f} | {per:.1f} | {plain / t:.1f} |")
    (HERE / "credit.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
