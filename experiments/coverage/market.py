"""Do the intervals of market books hold the truth in 95 % of the runs: probability, VaR and ES?

``python experiments/coverage/market.py`` writes market.md and market.csv beside this file. Books: the hundred
factors of configs/market/delta-gamma.yaml, normal; the curve of configs/market/rates-t.yaml, Student t; both with exact
numbers by inversion of the transform; and the straddles of configs/market/options.yaml, with the config's references.
"""

from __future__ import annotations

import argparse
import csv
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

import raresim
from raresim.config import load
from raresim.models.base import Model
from raresim.models.market.exact_quadratic import QuadraticLaw

HERE = Path(__file__).parent
MARKET = HERE.parents[1] / "configs" / "market"
BAR = (0.93, 0.975)
STRADDLES = {"P": 9.932846060928565e-05, "VaR": 287.537537216383, "ES": 319.18832284660175}
LEVELS = {"delta-gamma": 26.5, "rates-t": 15_000.0, "options": 360.0}
"""The loss whose probability is asked of each book; VaR and ES are at 99.9 %."""


def model(book: str) -> Model:
    found = load.load(MARKET / f"{book}.yaml").experiment().model
    assert found is not None
    return found


def exact(book: str) -> dict[str, float]:
    """The probability, VaR and ES of a book."""
    if book == "options":
        return STRADDLES
    law = QuadraticLaw(model(book).form)  # type: ignore[attr-defined]  # of these two models
    found = {"P": law.probability(LEVELS[book]), "VaR": law.quantile(1e-3), "ES": law.shortfall(1e-3)}
    return {name: value for name, value in found.items() if value is not None}


def run(seed: int, book: str, error: float) -> dict[str, tuple[float, float, float, float, str, int]]:
    """Value, standard error, ends of the interval, verdict and evaluations of each number."""
    measures = [
        raresim.Probability(above=LEVELS[book]),
        raresim.ValueAtRisk(level=0.999),
        raresim.ExpectedShortfall(level=0.999),
    ]
    result = raresim.estimate(model(book), measures=measures, seed=seed, relative_error=error)
    total = result.evaluations["total"]
    return {
        name: (e.value, e.std_error, *e.interval, str(e.verdict.status), total)
        for name, e in zip(("P", "VaR", "ES"), result.estimates, strict=True)
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=500)
    parser.add_argument("--error", type=float, default=0.03)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    lines = []
    with ProcessPoolExecutor(options.workers) as pool:
        for book in LEVELS:
            job = partial(run, book=book, error=options.error)
            found = list(pool.map(job, range(options.seeds), chunksize=5))
            for name, value in exact(book).items():
                each = [f[name] for f in found]
                share = sum(f[2] <= value <= f[3] for f in each) / len(each)
                z = np.array([(f[0] - value) / f[1] for f in each])
                trusted = sum(f[4] == "trusted" for f in each) / len(each)
                median = int(np.median([f[5] for f in each]))
                is_held = BAR[0] <= share <= BAR[1]
                lines.append((book, name, value, len(each), share, z.mean(), z.std(), trusted, median, is_held))
    heads = ("book", "number", "exact", "runs", "coverage", "mean of z", "standard deviation of z", "trusted")
    heads = (*heads, "median evaluations", "within 93 to 97.5 %")
    with (HERE / "market.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([heads, *lines])
    text = [
        "# Coverage of market books",
        "",
        f"`python experiments/coverage/market.py --seeds {options.seeds} --error {options.error:g}`: method auto, VaR "
        "and ES at 99.9 %. Coverage of 95 % intervals; z is the error in standard errors.",
        "",
        f"| {' | '.join(heads)} |",
        f"|{'---|' * len(heads)}",
        *(
            f"| {a} | {b} | {c:,.6g} | {d} | {e:.1%} | {f:+.2f} | {g:.2f} | {h:.1%} | {i:,} | {'yes' if j else 'no'} |"
            for a, b, c, d, e, f, g, h, i, j in lines
        ),
    ]
    (HERE / "market.md").write_text("\n".join(text) + "\n", encoding="utf-8")
    print("\n".join(text))


if __name__ == "__main__":
    main()
