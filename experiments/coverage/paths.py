"""Do the intervals of paths hold the truth in 95 % of the runs?

``python experiments/coverage/paths.py`` writes paths.md and paths.csv beside this file. Each scheme has a case whose
answer is exact: two twists at dates and all the time, one twist of normal, two-valued and jump steps, a quantile of
the end, and a drift by cross-entropy.
"""

from __future__ import annotations

import argparse
import csv
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

# the study of methods has the processes
sys.path.append(str(Path(__file__).parents[1] / "methods"))

from processes import run_in

import raresim
from raresim.config import load
from raresim.measures.base import Measure
from raresim.models.base import Model

HERE = Path(__file__).parent
PATHS = HERE.parents[1] / "configs" / "paths"
BAR = (0.93, 0.975)


@dataclass(frozen=True)
class Case:
    """The model of a config, what is asked of it, and the answer."""

    config: str
    measure: Measure
    exact: float


SPREAD = 0.2
END = raresim.models.Path(
    process=raresim.models.GeometricBrownian(price=100.0, volatility=SPREAD), steps=50, horizon=1.0, quantity="end"
)
"""The case without a config: its quantile is that of a lognormal law."""

CASES: Mapping[str, Case] = {
    "knock-in, 50 dates": Case("knock-in", raresim.Probability(above=0.0), 0.0005628762173406775),
    "knock-in, all the time": Case("knock-in-continuous", raresim.Probability(above=0.0), 0.0011038204893257983),
    "maximum of a Gaussian walk": Case("walk-maximum", raresim.Probability(above=28.0), 2.536308468390585e-06),
    "first passage of a simple walk": Case("simple-walk", raresim.Probability(below=40.0), 5.547005117233223e-05),
    "end with jumps": Case("merton-end", raresim.Probability(below=35.0), 0.0009337020017399168),
    "VaR 99.9 % of the end": Case(
        "", raresim.ValueAtRisk(level=0.999), 100.0 * math.exp(-0.5 * SPREAD**2 + SPREAD * 3.090232306167813)
    ),
    "average of 16 dates": Case("asian-tail", raresim.Probability(above=90.0), 0.001110072944677757),
}


def model(case: Case) -> Model:
    if not case.config:
        return END
    found = load.load(PATHS / f"{case.config}.yaml").experiment().model
    assert found is not None
    return found


def run(seed: int, name: str, error: float) -> tuple[float, float, float, float, str, int]:
    """Value, standard error, ends of the interval, verdict and evaluations."""
    case = CASES[name]
    result = raresim.estimate(model(case), measures=case.measure, seed=seed, relative_error=error)
    (e,) = result.estimates
    return (e.value, e.std_error, *e.interval, str(e.verdict.status), result.evaluations["total"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=500)
    parser.add_argument("--error", type=float, default=0.05)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    lines = []
    for name, case in CASES.items():
        job = partial(run, name=name, error=options.error)
        found = list(run_in(options.workers, job, range(options.seeds), 5))
        share = sum(f[2] <= case.exact <= f[3] for f in found) / len(found)
        z = np.array([(f[0] - case.exact) / f[1] for f in found])
        trusted = sum(f[4] == "trusted" for f in found) / len(found)
        median = int(np.median([f[5] for f in found]))
        is_held = BAR[0] <= share <= BAR[1]
        lines.append((name, case.exact, len(found), share, z.mean(), z.std(), trusted, median, is_held))
        print(lines[-1], flush=True)
    heads = ("case", "exact", "runs", "coverage", "mean of z", "standard deviation of z", "trusted")
    heads = (*heads, "median evaluations", "within 93 to 97.5 %")
    with (HERE / "paths.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([heads, *lines])
    text = [
        "# Coverage of paths",
        "",
        f"`python experiments/coverage/paths.py --seeds {options.seeds} --error {options.error:g}`: method auto. "
        "Coverage of 95 % intervals; z is the error in standard errors.",
        "",
        f"| {' | '.join(heads)} |",
        f"|{'---|' * len(heads)}",
        *(
            f"| {a} | {b:,.6g} | {c} | {d:.1%} | {e:+.2f} | {f:.2f} | {g:.1%} | {h:,} | {'yes' if i else 'no'} |"
            for a, b, c, d, e, f, g, h, i in lines
        ),
    ]
    (HERE / "paths.md").write_text("\n".join(text) + "\n", encoding="utf-8")
    print("\n".join(text))


if __name__ == "__main__":
    main()
