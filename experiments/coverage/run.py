"""Does a 95 % interval hold the truth in 95 % of the runs? Many seeds of problems whose answer is known.

``python experiments/coverage/run.py`` writes table.md and table.csv beside this file; ``--quick`` runs a few cases
and fails when a coverage could not come about by chance (one time in a million).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import study
from cases import Case, all_cases
from scipy import stats

BAR = (0.925, 0.975)
NEAR = 0.25
NEAR_BAR = 0.95
TRUSTED = 0.95
QUICK = (
    "crude, 2 sigma, 5%",
    "CE low_rank, d=3, 5%",
    "CE low_rank, d=20, 5%",
    "CE two-sided, d=3, 5%",
    "CE two-sided, d=20, 5%",
    "control: two-sided, stated one-sided, 1%",
)


@dataclass(frozen=True)
class Outcome(study.Outcome):
    """What is kept of one run."""

    planned: bool


def outcomes(task: tuple[str, int, int]) -> list[Outcome]:
    """Run a case on ``count`` seeds from ``first`` on."""
    name, first, count = task
    case = all_cases()[name]
    return [_outcome(case, seed) for seed in range(first, first + count)]


def _outcome(case: Case, seed: int) -> Outcome:
    result = case.build(seed).run()
    estimate = result.estimates[0]
    low, high = estimate.interval
    return Outcome(
        value=estimate.value / case.exact,
        error=estimate.std_error / case.exact,
        low=low / case.exact,
        high=high / case.exact,
        verdict=str(result.verdict.status),
        evaluations=result.evaluations["total"],
        planned=result.stopping["planned"] and result.stopping["looks"] == 1,
    )


def summarise(case: Case, runs: Sequence[Outcome]) -> dict[str, str]:
    """One row of the table."""
    n = len(runs)
    value, error = np.array([r.value for r in runs]), np.array([r.error for r in runs])
    held = sum(r.low <= 1.0 <= r.high for r in runs)
    low, high = stats.binomtest(held, n).proportion_ci(0.95, "exact")
    verdicts = Counter(r.verdict for r in runs)
    evaluations = [r.evaluations for r in runs]
    return {
        "case": case.name,
        "coverage %": f"{100 * held / n:.1f}",
        "its 95 % limits": f"{100 * low:.1f} to {100 * high:.1f}",
        "too low": str(sum(r.high < 1.0 for r in runs)),
        "too high": str(sum(r.low > 1.0 for r in runs)),
        "mean / exact": f"{value.mean():.4f} +- {value.std(ddof=1) / n**0.5:.4f}",
        "sd / mean error": f"{value.std(ddof=1) / error.mean():.3f}" if np.isfinite(error).all() else "",
        "one look %": f"{100 * sum(r.planned for r in runs) / n:.0f}",
        "trusted / caution / untrusted / bound": " / ".join(
            str(verdicts[v]) for v in ("trusted", "caution", "untrusted", "bound_only")
        ),
        "near or not trusted %": f"{100 * _safe(runs) / n:.1f}",
        "evaluations median": f"{np.median(evaluations):,.0f}",
        "max": f"{max(evaluations):,}",
        "bar": _bar(case, runs),
    }


def _safe(runs: Sequence[Outcome]) -> int:
    """Runs that are near the truth, or do not claim to be."""
    return sum(abs(r.value - 1.0) <= NEAR or r.verdict != "trusted" for r in runs)


def _bar(case: Case, runs: Sequence[Outcome]) -> str:
    if case.nominal:
        share = sum(r.low <= 1.0 <= r.high for r in runs) / len(runs)
        return "met" if BAR[0] <= share <= BAR[1] else "missed"
    if case.hidden:
        return "met" if _safe(runs) >= NEAR_BAR * len(runs) else "missed"
    return ""


def check(case: Case, runs: Sequence[Outcome]) -> None:
    """Raise where chance hardly explains the runs of a method that meets its bar."""
    n = len(runs)
    if case.nominal:
        held = sum(r.low <= 1.0 <= r.high for r in runs)
        fewest, most = stats.binom.ppf(study.CHANCE, n, BAR[0]), stats.binom.isf(study.CHANCE, n, BAR[1])
        if not fewest <= held <= most:
            raise SystemExit(f"{case.name}: {held} of {n} intervals hold the truth, {fewest:.0f} to {most:.0f} wanted")
    if case.nominal or case.hidden:
        _check_spread(case, runs)
    if case.hidden and _safe(runs) < stats.binom.ppf(study.CHANCE, n, NEAR_BAR):
        raise SystemExit(f"{case.name}: only {_safe(runs)} of {n} runs are near the truth or not trusted")
    if case.name.startswith("control"):
        half = np.array([r.value for r in runs])
        if abs(half.mean() - 0.5) > 5 * half.std(ddof=1) / n**0.5 or any(r.verdict == "trusted" for r in runs):
            raise SystemExit(f"{case.name}: must see half of the truth and never be trusted, got {half.mean():.3f}")


def _check_spread(case: Case, runs: Sequence[Outcome]) -> None:
    """Raise where chance hardly explains the mean of the estimates, their spread, or how few of them are trusted."""
    value, error = np.array([r.value for r in runs]), np.array([r.error for r in runs])
    n, half = value.size, 0.5 * study.CHANCE
    sd = value.std(ddof=1)
    if abs(value.mean() - 1.0) > stats.t.isf(half, n - 1) * sd / n**0.5:
        raise SystemExit(f"{case.name}: the mean of {n} estimates is {value.mean():.4f} of the answer")
    ratio, ends = sd / np.sqrt(np.mean(error**2)), stats.chi2.ppf([half, 1.0 - half], n - 1)
    if not ends[0] <= (n - 1) * ratio**2 <= ends[1]:
        raise SystemExit(f"{case.name}: the spread of {n} estimates is {ratio:.3f} of the error that they report")
    if (trusted := sum(r.verdict == "trusted" for r in runs)) < stats.binom.ppf(study.CHANCE, n, TRUSTED):
        raise SystemExit(f"{case.name}: only {trusted} of {n} runs are trusted")


def main() -> None:
    """Parse the command line and run."""
    options = study.options(__doc__, quick_seeds=100)
    cases, rows = all_cases(), []
    names = QUICK if options.quick else tuple(cases)
    for name, runs in study.run_all(outcomes, names, options.first, options.seeds, options.workers):
        rows.append(summarise(cases[name], runs))
        study.tell(rows[-1], options.quick)
        if options.quick:
            check(cases[name], runs)
    if not options.quick:
        study.write("table", rows, options.seeds)


if __name__ == "__main__":
    main()
