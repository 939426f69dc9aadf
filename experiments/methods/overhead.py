"""How much time does raresim itself take for an evaluation? Seconds outside the loss, for tuning and estimate, d = 10.

``python experiments/methods/overhead.py`` prints the table and writes overhead.md beside this file. The loss is the
scaled sum of ten normals; its time is measured around every call and subtracted, on one worker. The table has medians
over several seeds, after a run that compiles. Seconds depend on the machine.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from raresim import Probability, StandardNormal, estimate
from raresim.numerics.arrays import Float

DIM = 10
METHODS = ("auto", "crude", "cross_entropy", "improved_cross_entropy", "design_point", "subset_simulation", "splitting")
SEEDS = 7
TABLE = Path(__file__).with_name("overhead.md")
TITLE = f"""# Microseconds of raresim's own work for an evaluation

Made by `python experiments/methods/overhead.py`: everything but the loss, d = {DIM}, 5 sigma (crude: 2 sigma), one
worker, medians of {SEEDS} seeds with a relative error of 1 % (population methods 10 %, crude 2 %)."""


@dataclass(eq=False)
class Timed:
    """A loss that measures itself."""

    seconds: float = 0.0

    def __call__(self, x: Float) -> Float:
        begun = time.perf_counter()
        loss: Float = x.sum(axis=1) / np.sqrt(DIM)
        self.seconds += time.perf_counter() - begun
        return loss


@dataclass(frozen=True)
class Cost:
    """Seconds of a run outside the loss, and its evaluations, both for tuning and for the estimate."""

    tune: float
    tuned: int
    sample: float
    sampled: int


def run(method: str, seed: int, error: float) -> Cost:
    """One run; the time of the loss is divided among the evaluations, which all cost the same."""
    loss = Timed()
    above = 2.0 if method == "crude" else 5.0
    result = estimate(StandardNormal(dim=DIM), loss, Probability(above=above), method, seed=seed, relative_error=error)
    spent, seconds = result.evaluations, result.seconds
    share = loss.seconds / spent["total"]
    tuned = spent["explore"] + spent["tune"]
    return Cost(
        seconds["tune"] - share * tuned,
        tuned,
        seconds["estimate"] - share * spent["estimate"],
        spent["estimate"],
    )


def row(method: str) -> list[str]:
    """Medians of one method."""
    error = {"crude": 0.02, "subset_simulation": 0.1, "splitting": 0.1}.get(method, 0.01)
    run(method, 0, error)
    costs = [run(method, seed, error) for seed in range(1, SEEDS + 1)]
    tuning = [1e6 * c.tune / c.tuned for c in costs if c.tuned]
    return [
        method,
        f"{statistics.median(c.tuned for c in costs):,.0f}",
        f"{statistics.median(tuning):.2f}" if tuning else "-",
        f"{statistics.median(c.sampled for c in costs):,.0f}",
        f"{statistics.median(1e6 * c.sample / c.sampled for c in costs):.2f}",
    ]


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    head = ["method", "evaluations, tuning", "us each", "evaluations, estimate", "us each"]
    lines = ["| " + " | ".join(cells) + " |" for cells in [head, *(row(method) for method in METHODS)]]
    text = "\n".join([lines[0], "|" + "---|" * len(head), *lines[1:]])
    print(text)
    TABLE.write_text(f"{TITLE}\n\n{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
