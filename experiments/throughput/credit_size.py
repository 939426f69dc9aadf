"""What do time and memory of a credit portfolio do with the number of its obligors?

``python experiments/throughput/credit_size.py`` writes credit_size.md beside this file: value at risk and expected
shortfall at 99.9 % to 2 %, and the contributions of all obligors and of twelve sectors, of 1,000, 10,000 and 100,000
obligors with ten factors, on two threads. Each runs in a process of its own, whose peak memory is told, after a small
one that fills numba's cache.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import raresim
from raresim.models import Credit

HERE = Path(__file__).parent
SIZES, FACTORS = (1_000, 10_000, 100_000), 10


class Table(dict[str, list[Any]]):
    """Columns by name, as a data frame has them."""

    columns = property(list)


def portfolio(obligors: int) -> Credit:
    rng = np.random.default_rng(1)
    loadings = rng.uniform(0.0, 0.3, (obligors, FACTORS))
    pd, ead = rng.uniform(0.001, 0.03, obligors), rng.lognormal(size=obligors)
    table = Table(id=list(range(obligors)), ead=ead.tolist(), pd=pd.tolist())
    table |= {"sector": [f"s{k % 12}" for k in range(obligors)]}
    table |= {f"loading_{j}": loadings[:, j].tolist() for j in range(FACTORS)}
    return Credit(tape=table, lgd=1.0)


def child(obligors: int) -> None:
    """Run one portfolio, and print a row of the table."""
    import resource

    begun = time.perf_counter()
    model = portfolio(obligors)
    read = time.perf_counter() - begun
    measures = [
        raresim.ValueAtRisk(level=0.999),
        raresim.ExpectedShortfall(level=0.999),
        raresim.Contributions(level=0.999, by="sector"),
    ]
    begun = time.perf_counter()
    result = raresim.estimate(model, measures=measures, seed=1, relative_error=0.02, workers=2)
    took = time.perf_counter() - begun
    mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    total, worst = result.evaluations["total"], max(e.relative_error for e in result.estimates)
    print(f"| {obligors:,} | {total:,} | {worst:.2%} | {read:.1f} | {took:.0f} | {mib:.0f} | {result.verdict.status} |")


def main() -> None:
    def row(obligors: int) -> str:
        command = [sys.executable, __file__, str(obligors)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    row(100)
    lines = [
        f"VaR and ES 99.9 % to 2 % with contributions of all obligors and of sectors; {FACTORS} factors, two threads.",
        "",
        "| obligors | evaluations | largest relative error | seconds to read | seconds to run | peak MiB | verdict |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *(row(obligors) for obligors in SIZES),
    ]
    (HERE / "credit_size.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    child(int(sys.argv[1])) if len(sys.argv) > 1 else main()
