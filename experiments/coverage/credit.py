"""Do the intervals of a credit portfolio hold the truth in 95 % of the runs: VaR, ES and the ten largest contributions?

``python experiments/coverage/credit.py`` writes credit.md and credit.csv beside this file. The portfolio is that of
configs/credit/one-factor.yaml: 120 obligors with one factor, whose loss lies on multiples of 5. Its exact law comes
from a recursion given the factor, with 161 points of the factor; contributions to the expected shortfall from the same
recursion without each obligor.
"""

from __future__ import annotations

import argparse
import csv
import sys
from functools import partial
from pathlib import Path

import numpy as np
from scipy import stats
from scipy.special import ndtr, ndtri

# the study of methods has the processes
sys.path.append(str(Path(__file__).parents[1] / "methods"))

from processes import run_in

import raresim
from raresim.models import Credit

HERE = Path(__file__).parent
TAPE = HERE.parents[1] / "configs" / "credit" / "tape.csv"
UNIT, TAIL, LARGEST = 5.0, 1e-3, 10
BAR = (0.93, 0.975)


def laws(given: np.ndarray, units: np.ndarray, n: int) -> np.ndarray:
    """Probabilities of 0 to n - 1 units at each point of the factor; more is left out."""
    law = np.zeros((len(given), n))
    law[:, 0] = 1.0
    for k in np.argsort(units):
        p, s = given[:, k : k + 1], units[k]
        moved = law * (1.0 - p)
        moved[:, s:] += p * law[:, : n - s]
        law = moved
    return law


def exact() -> dict[str, float]:
    """Value at risk, expected shortfall, and the contributions of the obligors with the largest ones to it."""
    model = Credit(tape=TAPE)
    tape, rho = model.obligors, model.dependence.common_share
    units = np.round(tape.severity / UNIT).astype(int)
    z = np.linspace(-8.5, 8.5, 161)
    mass = stats.norm.pdf(z) * (z[1] - z[0])
    given = ndtr((ndtri(tape.pd) + np.sqrt(rho) * z[:, None]) / np.sqrt(1.0 - rho))
    n = 10_000
    law = mass @ laws(given, units, n)
    below = np.cumsum(law)
    q = int(np.argmax(below >= 1.0 - TAIL))
    over = 1.0 - below[q]
    edge = (TAIL - over) / law[q]
    parts = np.zeros(tape.size)
    for k in np.argsort(-tape.severity)[:16]:
        others = np.delete(np.arange(tape.size), k)
        left = laws(given[:, others], units[others], n)
        at = q - units[k]
        beyond = 1.0 - left[:, : at + 1].sum(axis=1) if at >= 0 else np.ones(z.size)
        on = left[:, at] if at >= 0 else np.zeros(z.size)
        parts[k] = tape.severity[k] * float(mass @ (given[:, k] * (beyond + edge * on))) / TAIL
    total = float(tape.severity @ tape.pd)
    mean_below = UNIT * float(law[: q + 1] @ np.arange(q + 1))
    shortfall = (total - mean_below + UNIT * q * edge * law[q]) / TAIL
    largest = np.argsort(-parts)[:LARGEST]
    return {
        "VaR 99.9 %": UNIT * q,
        "ES 99.9 %": shortfall,
        **{f"contribution of {tape.ids[k]}": float(parts[k]) for k in largest},
    }


def run(seed: int, error: float) -> dict[str, tuple[float, float, float, float, str]]:
    """Value, error and interval of each number, and the verdict, of one run."""
    result = raresim.estimate(
        Credit(tape=TAPE),
        measures=[
            raresim.ValueAtRisk(level=0.999),
            raresim.ExpectedShortfall(level=0.999),
            raresim.Contributions(level=0.999, of="expected_shortfall", min_share=0.0),
        ],
        seed=seed,
        relative_error=error,
        max_evaluations=1_000_000,
    )
    status = str(result.verdict.status)
    found = {e.label: (e.value, e.std_error, *e.interval, status) for e in result.estimates}
    table = next(e for e in result.exhibits if e.name == "contributions")
    for row in table.rows:
        found[f"contribution of {row[1]}"] = (*row[3:7], status)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=500)
    parser.add_argument("--error", type=float, default=0.02)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    truth = exact()
    found = list(run_in(options.workers, partial(run, error=options.error), range(options.seeds), 5))
    lines = []
    for name, value in truth.items():
        each = [f[name] for f in found]
        inside = [low <= value <= high for _, _, low, high, _ in each]
        share = sum(inside) / len(inside)
        z = np.array([(v - value) / e for v, e, *_ in each])
        lines.append((name, value, len(each), share, float(z.mean()), float(z.std()), BAR[0] <= share <= BAR[1]))
    trusted = sum(f["ES 99.9 %"][4] == "trusted" for f in found) / len(found)
    heads = ("number", "exact", "runs", "coverage", "mean of z", "standard deviation of z", "within 93 to 97.5 %")
    with (HERE / "credit.csv").open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([heads, *lines])
    text = [
        "# Coverage of a credit portfolio",
        "",
        f"`python experiments/coverage/credit.py --seeds {options.seeds} --error {options.error:g}`: 120 obligors, one "
        f"factor (configs/credit/tape.csv), method auto; {trusted:.1%} of the runs are trusted. Coverage of 95 % "
        "intervals; z is the error in standard errors.",
        "",
        f"| {' | '.join(heads)} |",
        f"|{'---|' * len(heads)}",
        *(
            f"| {a} | {b:,.6g} | {c} | {d:.1%} | {e:+.2f} | {f:.2f} | {'yes' if g else 'no'} |"
            for a, b, c, d, e, f, g in lines
        ),
    ]
    (HERE / "credit.md").write_text("\n".join(text) + "\n")
    print("\n".join(text))


if __name__ == "__main__":
    main()
