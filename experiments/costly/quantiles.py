"""Are value at risk and expected shortfall of an option book right after 200 full revaluations?

``python experiments/costly/quantiles.py`` makes the runs that are not in ``data/quantiles.csv.gz`` yet, sixty seeds,
and writes quantiles.md from all rows there. ``--table`` runs nothing.

The book is that of ``configs/market/options.yaml``: short straddles on ten assets, whose loss has an exact law. Both
numbers come from the same 200 revaluations at the level 99.9 %; a run spends its whole budget.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from run import DATA, HERE, Run, heading, keep, rows

from raresim import ExpectedShortfall, Normal, Surrogate, ValueAtRisk, estimate, models
from raresim.measures.intervals import clopper_pearson
from raresim.record.verdict import Status

MARKET = Path(__file__).parents[2] / "configs" / "market"
FILE, BUDGET, SEEDS, LEVEL = "quantiles", 200, range(1, 61), 0.999
EXACT = {"value at risk": 287.537537216383, "expected shortfall": 319.18832284660175}
"""By a contour integral of the transform of one asset's loss; see ``configs/market/options.yaml``."""

WITHIN = 0.01


@dataclass(frozen=True)
class Quantile(Run):
    """A row of the file: a number of a run."""

    @property
    def file(self) -> str:
        return FILE


def run(seed: int) -> Iterator[Quantile]:
    """Both numbers of one run."""
    law = Normal(mean=0.0002, std=0.06, dim=10)
    given = {"positions": MARKET / "straddles.csv", "spots": MARKET / "spots.csv", "factors": law, "horizon": 0.04}
    book = models.Options(**given, volatility=0.3, rate=0.05, dividend=0.0)
    begun = time.process_time()
    measures = [ValueAtRisk(level=LEVEL), ExpectedShortfall(level=LEVEL)]
    found = estimate(
        book, measures=measures, method=Surrogate(), seed=seed, max_evaluations=BUDGET, relative_error=None
    )
    seconds = round(time.process_time() - begun - found.seconds["compile"], 2)
    for number, (name, exact) in zip(found.estimates, EXACT.items(), strict=True):
        low, high = number.interval
        wanting = " ".join(c.name for c in number.verdict.checks if c.status is not Status.TRUSTED)
        yield Quantile(
            "quantiles", name, BUDGET, seed, "option book", 10, number.value / exact, number.relative_error,
            bool(low <= exact <= high), found.evaluations["total"], seconds, str(number.verdict.status), wanting,
        )  # fmt: skip


def table(found: Sequence[Run]) -> str:
    """The table, as Markdown."""
    header = ("number", "runs", "accepted", "within 1 %", "median error", "largest error", "reported error",
              "coverage %", "evaluations", "seconds")  # fmt: skip
    out = heading("Quantiles of an option book", "quantiles.py", header)
    for name in EXACT:
        some = [r for r in found if r.problem == name]
        off, held = [abs(r.ratio - 1.0) for r in some], sum(r.covered for r in some)
        low, high = clopper_pearson(held, len(some), 0.95)
        cells = [name, str(len(some)), str(sum(r.accepted for r in some)), str(sum(x <= WITHIN for x in off))]
        cells += [f"{np.median(off):.2%}", f"{max(off):.2%}", f"{np.median([r.reported for r in some]):.2%}"]
        cells += [f"{100 * held / len(some):.0f} ({100 * low:.0f} to {100 * high:.0f})"]
        cells += [f"{np.median([r.evaluations for r in some]):.0f}", f"{np.median([r.seconds for r in some]):.1f}"]
        out.append(f"| {' | '.join(cells)} |")
    return "\n".join(out) + "\n"


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", action="store_true", help="run nothing; write the table")
    options = parser.parse_args()
    kept = rows.read(Quantile, [FILE], DATA)
    if not options.table:
        made = {seed for _, _, _, seed in kept}
        left = [seed for seed in SEEDS if seed not in made]
        keep((row for seed in left for row in run(seed)), len(left) * len(EXACT))
    found = list(rows.read(Quantile, [FILE], DATA).values())
    (HERE / "quantiles.md").write_text(table(found))


if __name__ == "__main__":
    main()
