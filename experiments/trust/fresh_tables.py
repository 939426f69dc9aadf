"""The tables from the rows of random problems: ``fresh.md`` and ``fresh.csv``."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
from fresh_trials import COLUMNS, METHODS, PARTS, Fresh
from scipy import stats
from verdicts import Rows, Share, percent, section

from raresim.record.verdict import Status

HERE = Path(__file__).parent

KINDS = ("one", "smooth", "stepped")
WORDS = {"one": "one branch", "smooth": "several, smooth", "stepped": "with steps", "all": "all"}

FALSE_TRUST, FALSE_TRUST_LIMIT = 0.005, 0.01
COVERAGE = (0.93, 0.975)
SOLVED = {
    "auto": {"one": 0.95, "smooth": 0.75, "stepped": 0.5},
    COLUMNS: {"smooth": 0.95, "stepped": 0.8},
}
"""The bars for unseen problems."""

MOST_NAMED = 60
"""Most wrong trusted runs that are named."""

Test = Callable[[Fresh], bool]


def share(runs: Iterable[Fresh], holds: Test) -> Share:
    """Share of the runs, one for each problem, for which ``holds`` is true."""
    marks = [holds(run) for run in runs]
    return Share(sum(marks), len(marks))


def false_trust(runs: Iterable[Fresh]) -> Share:
    """Share of wrong runs among the trusted."""
    return share((run for run in runs if run.trusted), lambda run: run.wrong)


def coverage(runs: Iterable[Fresh]) -> Share:
    """Share of the intervals of trusted runs that hold the answer."""
    return share((run for run in runs if run.trusted), lambda run: run.missed == 0)


def interval(of: Share) -> tuple[float, float]:
    """Clopper-Pearson, 95 %, two-sided."""
    low = float(stats.beta.ppf(0.025, of.count, of.n - of.count + 1)) if of.count else 0.0
    high = float(stats.beta.ppf(0.975, of.count + 1, of.n - of.count)) if of.count < of.n else 1.0
    return low, high


def row_of(runs: Sequence[Fresh]) -> dict[str, str]:
    """The results of the runs, as a row of a table."""
    answered = [run for run in runs if run.answered]
    trusted = [run for run in answered if run.trusted]
    held = coverage(answered)
    covered = f"{percent(held.value)} ({' to '.join(map(percent, interval(held)))})" if held.n else ""
    below, above = (share(trusted, lambda run, side=side: run.missed == side) for side in (1, -1))  # type: ignore[misc]
    return {
        "problems": f"{len(runs):,}",
        "answered": f"{len(answered):,}",
        "trusted": _of(len(trusted), len(runs)),
        "trusted and wrong": false_trust(answered).with_limit,
        "near": _of(sum(run.near for run in answered), len(runs)),
        "solved": _of(sum(run.solved for run in answered), len(runs)),
        "coverage if trusted %": covered,
        "below / above": f"{below.count} / {above.count}" if trusted else "",
        "evaluations": _quartiles([run.evaluations for run in answered]),
        "seconds": f"{np.median([run.seconds for run in answered]):.2g}" if answered else "",
        "caution": str(sum(run.verdict == Status.CAUTION for run in answered)),
        "untrusted": str(sum(run.verdict == Status.UNTRUSTED for run in answered)),
        "bound only": str(sum(run.verdict == Status.BOUND_ONLY for run in answered)),
        "more rounds": str(sum(run.rounds > 1 for run in answered)),
    }


def _of(count: int, n: int) -> str:
    return f"{count:,} ({percent(count / n)} %)" if n else ""


def _quartiles(values: Sequence[int]) -> str:
    """The median, with quartiles."""
    if not values:
        return ""
    low, middle, high = (f"{q:,.0f}" for q in np.quantile(values, (0.25, 0.5, 0.75)))
    return f"{middle} ({low} to {high})"


def method_rows(runs: Sequence[Fresh]) -> Rows:
    """A row for each method and kind, and one for all kinds."""
    out = []
    for method in METHODS:
        mine = [run for run in runs if run.method == method]
        for kind in (*KINDS, "all"):
            of = [run for run in mine if kind in {"all", run.kind}]
            if of:
                out.append({"method": method, "kind": WORDS[kind], **row_of(of)})
    return out


def form_rows(runs: Sequence[Fresh], method: str) -> Rows:
    """A row for each kind and form, of one method."""
    mine = [run for run in runs if run.method == method]
    out = []
    for kind in KINDS:
        of_kind = [run for run in mine if run.kind == kind]
        for form in dict.fromkeys(run.form for run in of_kind):
            of = [run for run in of_kind if run.form == form]
            out.append({"kind": WORDS[kind], "form": form, **row_of(of)})
    return out


def bar_rows(runs: Sequence[Fresh]) -> Rows:
    """Rows of the bars: what was wanted, what was measured, and whether the bar is met."""
    out = []
    for method in METHODS:
        mine = [run for run in runs if run.method == method]
        trust = false_trust(run for run in mine if run.answered)
        if not mine or not trust.n:
            continue
        out += [
            _bar(
                method, "trusted and wrong", f"at most {percent(FALSE_TRUST)} %", trust.text, trust.value <= FALSE_TRUST
            ),
            _bar(
                method,
                "its limit",
                f"at most {percent(FALSE_TRUST_LIMIT)} %",
                f"{percent(trust.limit)} %",
                trust.limit <= FALSE_TRUST_LIMIT,
            ),
        ]
        for kind, least in SOLVED.get(method, {}).items():
            solved = share((run for run in mine if run.kind == kind), lambda run: run.answered and run.solved)
            if solved.n:
                wanted = f"at least {percent(least)} %"
                out.append(_bar(method, f"solved, {WORDS[kind]}", wanted, solved.text, solved.value >= least))
        if method == "auto":
            held = coverage(mine)
            wanted = " to ".join(map(percent, COVERAGE)) + " %"
            is_met = COVERAGE[0] <= held.value <= COVERAGE[1]
            out.append(_bar(method, "coverage if trusted", wanted, held.text, is_met))
    return out


def _bar(method: str, bar: str, wanted: str, measured: str, is_met: bool) -> dict[str, str]:
    return {"method": method, "bar": bar, "wanted": wanted, "measured": measured, "": "met" if is_met else "missed"}


def wrong_rows(runs: Iterable[Fresh]) -> Rows:
    """Trusted runs that are wrong, by problem."""
    wrong = sorted((run for run in runs if run.trusted and run.wrong), key=lambda run: (run.number, run.method))
    return [
        {
            "number": str(run.number),
            "method": run.method,
            "kind": WORDS[run.kind],
            "form": run.form,
            "d": str(run.dim),
            "branches": str(run.branches),
            "p": f"{run.probability:.2g}",
            "estimate / answer": f"{run.off:.3g}",
            "reported error": percent(run.reported) + " %",
            "evaluations": f"{run.evaluations:,}",
        }
        for run in wrong[:MOST_NAMED]
    ]


def complaints(runs: Iterable[Fresh]) -> Rows:
    """Why runs have no estimate: a row for each method and message."""
    lost = sorted((run for run in runs if not run.answered), key=lambda run: (run.method, run.outcome, run.number))
    out = []
    for (method, message), group in groupby(lost, key=lambda run: (run.method, run.outcome)):
        numbers = [run.number for run in group]
        named = ", ".join(map(str, numbers[:8])) + (", ..." if len(numbers) > 8 else "")
        said = message.replace("|", "/")
        out.append({"method": method, "runs": str(len(numbers)), "numbers": named, "message": said})
    return out


def write(kept: Iterable[Fresh], machine: str, folder: Path = HERE) -> None:
    """Write the tables of all rows: a section for each part and stop."""
    runs = sorted(kept, key=lambda run: (list(PARTS).index(run.part), run.error, -run.budget, run.number))
    lines = ["# Trust on random problems", ""]
    lines += ["Written by `python experiments/trust/fresh.py`; its first lines say what the words mean.", ""]
    seconds = sum(run.seconds for run in runs)
    lines += [
        f"{len(runs):,} runs, one of each problem and method, {seconds / 60:.0f} minutes of one core; {machine}.",
        "",
    ]
    table: list[Mapping[str, str]] = []
    for (part, error, budget), group in groupby(runs, key=lambda run: (run.part, run.error, run.budget)):
        of = list(group)
        title = f"{part.capitalize()} part, {percent(error)} % and {budget:,} evaluations"
        rows = method_rows(of)
        lines += section(title, rows)
        lines += section(f"{title}: what was wanted", bar_rows(of))
        for method in ("auto", COLUMNS):
            lines += section(f"{title}: forms, {method}", form_rows(of, method))
        lines += section(f"{title}: trusted and wrong, at most {MOST_NAMED} of them", wrong_rows(of))
        lines += section(f"{title}: without an estimate", complaints(of))
        head = {"part": part, "error": f"{error:g}", "budget": str(budget)}
        table += [head | {"form": "all"} | row for row in rows]
        table += [head | {"method": method} | row for method in METHODS for row in form_rows(of, method)]
    (folder / "fresh.md").write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    names = ["part", "error", "budget", "method", "kind", "form", *row_of([])]
    with (folder / "fresh.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)


def mean_seconds(runs: Iterable[Fresh]) -> float:
    """Mean seconds of a run; 0 without runs."""
    seconds = [run.seconds for run in runs]
    return math.fsum(seconds) / len(seconds) if seconds else 0.0
