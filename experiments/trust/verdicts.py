"""The tables and the figure from the rows: ``table.md``, ``table.csv`` and ``roc.png``."""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from libraries import ERROR, Rival
from matplotlib.figure import Figure
from scipy import stats
from suite import CASES, Case
from trials import METHODS, NEAR, STATED, SURE, Trial

from raresim.diagnostics.verdict import worst
from raresim.numerics.arrays import Float
from raresim.record.verdict import Status
from raresim.report import style

HERE = Path(__file__).parent

FALSE_TRUST, CELL_FALSE_TRUST = 0.005, 0.02
FALSE_ALARM, CELL_FALSE_ALARM = 0.10, 0.20
COVERAGE, CELL_COVERAGE = 0.94, 0.92
CELL_RANGE = (0.938, 0.975)
SIDE = 0.035
SPREAD = (0.9, 1.1)
SENSITIVITY, GROSS_SENSITIVITY = 0.99, 0.95
HONESTY = 0.95
AUDIT = 0.30
"""The bars; README.md describes them."""

ENOUGH = 100
"""Fewest trusted runs for which a cell has a bar of coverage and spread."""

CONFIDENT = 149
"""Fewest trusted runs with which a cell can be shown to be below its bar of false trust."""

CHANCE = 1e-3
"""One-sided: a cell is beyond a bar for sure if chance would give that with less than this probability."""

PRECISE = 0.10
"""Reported relative error up to which a right run should be trusted."""

ENOUGH_DATA = ("hits", "replicates", "relative_error")
"""The checks that a comparable library uses."""

MORE_IS_BETTER = frozenset({"hits", "ess", "replicates", "search"})
"""Checks whose small values speak against a run; for all others the large values do."""

TWO_SIDED = frozenset({"canary"})
"""Checks of a deviation whose sign does not matter."""

GROSS = 2.0

MEAN = "mean over reachable problems, at 10 %"

Rows = list[dict[str, str]]


@dataclass(frozen=True)
class Share:
    """A count out of a number of runs."""

    count: int
    n: int

    @classmethod
    def of(cls, among: Iterable[Trial], holds: Callable[[Trial], bool]) -> Share:
        marks = [holds(run) for run in among]
        return cls(sum(marks), len(marks))

    @property
    def value(self) -> float:
        return self.count / self.n if self.n else math.nan

    @property
    def limit(self) -> float:
        """One-sided Clopper-Pearson limit: the share that would give so few one time in twenty."""
        return float(stats.beta.ppf(0.95, self.count + 1, self.n - self.count)) if self.count < self.n else 1.0

    @property
    def text(self) -> str:
        return f"{self.count} of {self.n:,}, {percent(self.value)} %" if self.n else ""

    @property
    def with_limit(self) -> str:
        return f"{self.text} (limit {percent(self.limit)} %)" if self.n else ""


def false_trust(runs: Sequence[Trial]) -> Share:
    """Share of wrong runs among the trusted."""
    return Share.of([run for run in runs if run.trusted], lambda run: run.wrong)


def false_alarm(runs: Sequence[Trial]) -> Share:
    """Share of runs that are not trusted, among right runs whose reported error is small enough."""
    return Share.of([run for run in runs if not run.wrong and run.reported <= PRECISE], lambda run: not run.trusted)


def coverage(runs: Sequence[Trial]) -> Share:
    return Share.of(runs, lambda run: run.missed == 0)


def below(runs: Sequence[Trial]) -> Share:
    """Share of the intervals that end below the answer."""
    return Share.of(runs, lambda run: run.missed == 1)


def above(runs: Sequence[Trial]) -> Share:
    """Share of the intervals that begin above the answer."""
    return Share.of(runs, lambda run: run.missed == -1)


def sensitivity(runs: Sequence[Trial]) -> Share:
    """Share of runs that are not trusted, among those more than 25 % off."""
    return Share.of([run for run in runs if run.is_far_off], lambda run: not run.trusted)


def gross_sensitivity(runs: Sequence[Trial]) -> Share:
    """Share of runs that are untrusted or give only a bound, among those more than a factor of two off."""
    off = [run for run in runs if not 1.0 / GROSS <= run.off <= GROSS]
    return Share.of(off, lambda run: run.verdict in {Status.UNTRUSTED, Status.BOUND_ONLY})


@dataclass(frozen=True, eq=False)
class Cell:
    """The runs of a method on a problem.

    Parameters
    ----------
    runs : sequence of Trial
        Runs with an estimate.
    lost : int
        Number of runs without an estimate.
    """

    method: str
    case: Case
    runs: Sequence[Trial]
    lost: int

    @property
    def trusted(self) -> list[Trial]:
        return [run for run in self.runs if run.trusted]

    @property
    def spread(self) -> tuple[float, float]:
        """Standard deviation of the trusted estimates over the error they report, and the error of this ratio.

        Both are NaN for fewer than three runs, or where an exact method leaves nothing to compare.
        """
        values = np.array([run.off for run in self.trusted])
        errors = np.array([run.off * run.reported for run in self.trusted])
        if values.size < 3 or not errors.any() or np.ptp(values) <= 1e-9:
            return math.nan, math.nan
        ratio = float(values.std(ddof=1) / math.sqrt(np.square(errors).mean()))
        kurtosis = float(stats.kurtosis(values, fisher=False))
        return ratio, ratio * math.sqrt((kurtosis - 1.0) / (4.0 * values.size))


def cells(runs: Iterable[Trial]) -> list[Cell]:
    """The cells by method and problem, in the order of the suite."""
    order = {id: k for k, id in enumerate(CASES)}
    kinds = {kind: k for k, kind in enumerate(METHODS)}
    known = [run for run in runs if run.problem in order]
    ordered = sorted(known, key=lambda run: (kinds[run.method], order[run.problem], run.seed))
    out = []
    for (method, id), group in groupby(ordered, lambda run: (run.method, run.problem)):
        of = list(group)
        answered = [run for run in of if run.answered]
        out.append(Cell(method, CASES[id], answered, len(of) - len(answered)))
    return out


# Tables.


def cell_row(cell: Cell) -> dict[str, str]:
    runs, trusted, problem = cell.runs, cell.trusted, cell.case.problem
    trust, (ratio, error) = false_trust(runs), cell.spread
    return {
        "method": cell.method,
        "problem": problem.id,
        "kind": cell.case.kind,
        "d": str(problem.dim),
        "p": f"{problem.probability:.3g}",
        "runs": str(len(runs)),
        "no estimate": str(cell.lost),
        "wrong %": percent(Share.of(runs, lambda run: run.wrong).value),
        "trusted %": percent(len(trusted) / len(runs) if runs else math.nan),
        "false trust": f"{trust.count} of {trust.n}",
        "its limit %": percent(trust.limit) if trust.n else "",
        "false alarm %": percent(false_alarm(runs).value),
        "coverage %": percent(coverage(runs).value),
        "coverage if trusted %": percent(coverage(trusted).value),
        "below / above if trusted %": f"{percent(below(trusted).value)} / {percent(above(trusted).value)}",
        "sd / se if trusted": "" if math.isnan(ratio) else f"{ratio:.2f} +- {error:.2f}",
        "evaluations": f"{np.median([run.evaluations for run in runs]):,.0f}" if runs else "",
        "audit %": percent(audit_share(runs)),
    }


def audit_share(runs: Sequence[Trial]) -> float:
    """Evaluations of the audit over all others."""
    rest = sum(run.before + run.sample for run in runs)
    return sum(run.audit for run in runs) / rest if rest else math.nan


def pooled_row(name: str, runs: Sequence[Trial]) -> dict[str, str]:
    trusted = [run for run in runs if run.trusted]
    trust = false_trust(runs)
    return {
        "": name,
        "runs": f"{len(runs):,}",
        "wrong": percent(Share.of(runs, lambda run: run.wrong).value) + " %",
        "trusted": percent(len(trusted) / len(runs)) + " %",
        "false trust, of the trusted": trust.with_limit,
        "of all runs": Share(trust.count, len(runs)).with_limit,
        "false alarm": false_alarm(runs).text,
        "coverage": percent(coverage(runs).value) + " %",
        "coverage if trusted": percent(coverage(trusted).value) + " %" if trusted else "",
        "below / above if trusted": f"{percent(below(trusted).value)} / {percent(above(trusted).value)} %",
        "far off, not trusted": sensitivity(runs).text,
        "off by 2, untrusted": gross_sensitivity(runs).text,
        "audit": percent(audit_share(runs)) + " %",
    }


def pooled(parts: Sequence[Cell]) -> Rows:
    """Rows for each method, for all of them, and for all without the stated proposal."""
    groups = {method: [cell for cell in parts if cell.method == method] for method in METHODS}
    groups |= {"all": list(parts), f"all but {STATED}": [cell for cell in parts if cell.method != STATED]}
    runs = {name: [run for cell in of for run in cell.runs] for name, of in groups.items()}
    return [pooled_row(name, of) for name, of in runs.items() if of]


def bars(everything: Sequence[Cell]) -> Rows:
    """Rows of the bars: what was wanted, what was measured, and whether the bar is met."""
    parts = [cell for cell in everything if cell.case.reachable]
    runs = [run for cell in parts for run in cell.runs]
    trusted = [run for run in runs if run.trusted]
    needles = [run for cell in everything if not cell.case.reachable for run in cell.runs if not math.isnan(run.hidden)]
    large = [cell for cell in parts if len(cell.trusted) >= ENOUGH]
    trust, alarm, hold = false_trust(runs), false_alarm(runs), coverage(trusted)
    honest = Share.of(needles, lambda run: run.hidden >= run.case.missed)
    confident = [cell for cell in parts if len(cell.trusted) >= CONFIDENT]
    by_default = [cell for cell in parts if cell.method == "auto" and false_alarm(cell.runs).n >= ENOUGH]
    audit = audit_share(runs)
    return [
        _bar("false trust, limit", trust.limit <= FALSE_TRUST, f"at most {percent(FALSE_TRUST)} %", trust.with_limit),
        _cells_bar(
            f"false trust in a cell of {CONFIDENT} trusted runs, limit",
            f"at most {percent(CELL_FALSE_TRUST)} %",
            confident,
            lambda cell: false_trust(cell.runs).limit > CELL_FALSE_TRUST,
            lambda cell: _surely_more(false_trust(cell.runs), CELL_FALSE_TRUST),
        ),
        _bar("false alarm", alarm.value <= FALSE_ALARM, f"at most {percent(FALSE_ALARM)} %", alarm.text),
        _cells_bar(
            "false alarm in a cell of auto",
            f"at most {percent(CELL_FALSE_ALARM)} %",
            by_default,
            lambda cell: false_alarm(cell.runs).value > CELL_FALSE_ALARM,
            lambda cell: _surely_more(false_alarm(cell.runs), CELL_FALSE_ALARM),
        ),
        _bar("coverage if trusted", hold.value >= COVERAGE, f"at least {percent(COVERAGE)} %", hold.text),
        _cells_bar(
            "coverage if trusted, in a cell",
            f"at least {percent(CELL_COVERAGE)} %",
            large,
            lambda cell: coverage(cell.trusted).value < CELL_COVERAGE,
            lambda cell: _surely_less(coverage(cell.trusted), CELL_COVERAGE),
        ),
        _cells_bar(
            "the same",
            f"{percent(CELL_RANGE[0])} to {percent(CELL_RANGE[1])} %",
            large,
            lambda cell: not CELL_RANGE[0] <= coverage(cell.trusted).value <= CELL_RANGE[1],
            lambda cell: (
                _surely_less(coverage(cell.trusted), CELL_RANGE[0])
                or _surely_more(coverage(cell.trusted), CELL_RANGE[1])
            ),
        ),
        _cells_bar(
            "misses on either side if trusted, in a cell",
            f"at most {percent(SIDE)} %",
            large,
            lambda cell: max(below(cell.trusted).value, above(cell.trusted).value) > SIDE,
            lambda cell: _surely_more(below(cell.trusted), SIDE) or _surely_more(above(cell.trusted), SIDE),
        ),
        _cells_bar(
            "sd between seeds / reported error if trusted, in a cell",
            f"{SPREAD[0]:g} to {SPREAD[1]:g}",
            [cell for cell in large if not math.isnan(cell.spread[0])],
            lambda cell: not SPREAD[0] <= cell.spread[0] <= SPREAD[1],
            lambda cell: not SPREAD[0] - 3.1 * cell.spread[1] <= cell.spread[0] <= SPREAD[1] + 3.1 * cell.spread[1],
        ),
        _share_bar("more than 25 % off and not trusted", sensitivity(runs), SENSITIVITY),
        _share_bar("off by a factor of 2 and untrusted", gross_sensitivity(runs), GROSS_SENSITIVITY),
        _share_bar("needles: printed bound at least the missed mass", honest, HONESTY),
        _share_bar("needles: a scope with a condition", Share.of(needles, lambda run: not run.unconditional), 1.0),
        _bar(
            "audit over the other evaluations",
            audit <= AUDIT,
            f"at most {percent(AUDIT)} %",
            percent(audit) + " %",
        ),
    ]


def _bar(name: str, met: bool, wanted: str, measured: str, sure: str = "") -> dict[str, str]:
    return {
        "bar": name,
        "wanted": wanted,
        "measured": measured,
        "beyond it by more than chance": sure,
        "": "met" if met else "missed",
    }


def _nothing(name: str, wanted: str) -> dict[str, str]:
    return _bar(name, True, wanted, "no runs to measure it") | {"": ""}


def _share_bar(name: str, share: Share, least: float) -> dict[str, str]:
    wanted = f"at least {percent(least)} %"
    return _bar(name, share.value >= least, wanted, share.text) if share.n else _nothing(name, wanted)


def _cells_bar(
    name: str, wanted: str, of: Sequence[Cell], misses: Callable[[Cell], bool], surely: Callable[[Cell], bool]
) -> dict[str, str]:
    """A bar that every cell has to meet; a cell is named when it misses the bar by more than chance."""
    if not of:
        return _nothing(name, wanted)
    missed = [cell for cell in of if misses(cell)]
    sure = [f"{cell.method} on {cell.case.problem.id}" for cell in missed if surely(cell)]
    named = f"{len(sure)}: {', '.join(sure[:6])}{', ...' if len(sure) > 6 else ''}" if sure else "0"
    return _bar(name, not missed, wanted, f"{len(missed)} of {len(of)} cells miss it", named)


def _surely_more(share: Share, most: float) -> bool:
    return share.n > 0 and float(stats.binom.sf(share.count - 1, share.n, most)) < CHANCE


def _surely_less(share: Share, least: float) -> bool:
    return share.n > 0 and float(stats.binom.cdf(share.count, share.n, least)) < CHANCE


# How well each check separates wrong from right runs.


def looks_precise(run: Trial) -> bool:
    """Whether a library that checks only hits and the reported error would accept the run."""
    hits = run.seen.get("hits")
    return run.reported <= PRECISE and (hits is None or hits.status is Status.TRUSTED)


def scores(runs: Sequence[Trial], name: str) -> tuple[Float, Float]:
    """Values of a check in wrong and in right runs, with large values bad; runs without a value are left out."""
    sign = -1.0 if name in MORE_IS_BETTER else 1.0
    found: tuple[list[float], list[float]] = ([], [])
    for run in runs:
        check = run.seen.get(name)
        if check is not None and check.value is not None:
            value = abs(check.value) if name in TWO_SIDED else check.value
            found[not run.is_far_off].append(sign * value)
    return np.array(found[0]), np.array(found[1])


def auc(bad: Float, good: Float) -> float:
    """Probability that a wrong run scores worse than a right one, ties counted half."""
    if not bad.size or not good.size:
        return math.nan
    ranks = stats.rankdata(np.concatenate([bad, good]))[: bad.size]
    return float((ranks.sum() - 0.5 * bad.size * (bad.size + 1)) / (bad.size * good.size))


def curve(bad: Float, good: Float) -> tuple[Float, Float]:
    """False and true alarms at every cut, from none to all."""
    cuts = np.unique(np.concatenate([bad, good, [math.inf, -math.inf]]))[::-1]
    shares = [1.0 - np.searchsorted(np.sort(part), cuts, side="left") / part.size for part in (good, bad)]
    return shares[0], shares[1]


def names_of(runs: Iterable[Trial]) -> list[str]:
    """Every check by name, in the order in which they are first seen."""
    return list(dict.fromkeys(name for run in runs for name in run.seen if name != "data"))


def roc_rows(reachable: Sequence[Trial], everything: Sequence[Trial]) -> Rows:
    """A row for each check: how well its value and its status separate wrong from right runs that look precise."""
    out = []
    for name in names_of(everything):
        bad, good = scores(reachable, name)
        with_needles = scores(everything, name)
        of = [run for run in reachable if name in run.seen]
        alarms = {far: [run for run in of if run.is_far_off == far] for far in (True, False)}
        flagged = {
            far: Share.of(part, lambda run: run.seen[name].status is not Status.TRUSTED)  # noqa: B023  # used at once
            for far, part in alarms.items()
        }
        out.append(
            {
                "check": name,
                "wrong / right runs": f"{bad.size:,} / {good.size:,}",
                "AUC": _two(auc(bad, good)),
                "AUC with needles": _two(auc(*with_needles)),
                "not passed by wrong": flagged[True].text,
                "not passed by right": flagged[False].text,
            }
        )
    return out


# What each check contributes.


def verdict_without(run: Trial, name: str) -> Status:
    """The worst status of the other checks."""
    return _worst(run, lambda other: other != name)


def verdict_with(run: Trial, name: str) -> Status:
    """The worst status of hits, reported error and one check."""
    return _worst(run, lambda other: other in (*ENOUGH_DATA, "data", name))


def _worst(run: Trial, kept: Callable[[str], bool]) -> Status:
    return worst([Status.TRUSTED, *(check.status for name, check in run.seen.items() if kept(name))])


def ablation_rows(runs: Sequence[Trial]) -> Rows:
    """Rows of the verdict without each check, and with this check alone beside hits and error."""
    rules: dict[str, tuple[Callable[[Trial], Status], Callable[[Trial], Status] | None]] = {
        "(none; hits and error alone)": (lambda run: verdict_without(run, ""), lambda run: verdict_with(run, "")),
    }
    for name in names_of(runs):
        alone = None if name in ENOUGH_DATA else (lambda run, name=name: verdict_with(run, name))
        rules[name] = (lambda run, name=name: verdict_without(run, name), alone)
    out = []
    for name, (without, alone) in rules.items():
        wrong = [run for run in runs if run.wrong and without(run) is Status.TRUSTED]
        right = [run for run in runs if not run.wrong and without(run) is Status.TRUSTED]
        out.append(
            {
                "check": name,
                "false trust without it": Share(len(wrong), len(wrong) + len(right)).with_limit,
                "wrong runs only it stops": str(sum(not run.trusted for run in wrong)),
                "right runs only it stops": str(sum(not run.trusted for run in right)),
                "false alarm without it": _alarm(runs, without),
                "false trust, hits, error and it": "" if alone is None else _trust(runs, alone),
                "false alarm, hits, error and it": "" if alone is None else _alarm(runs, alone),
            }
        )
    return out


def _trust(runs: Sequence[Trial], rule: Callable[[Trial], Status]) -> str:
    return Share.of([run for run in runs if rule(run) is Status.TRUSTED], lambda run: run.wrong).with_limit


def _alarm(runs: Sequence[Trial], rule: Callable[[Trial], Status]) -> str:
    right = [run for run in runs if not run.wrong and run.reported <= PRECISE]
    return Share.of(right, lambda run: rule(run) is not Status.TRUSTED).text


# Other libraries.


def rival_is_wrong(run: Rival) -> bool:
    """Whether a run is wrong: more than 25 % off, or the answer outside the 99.9 % interval, here a normal one."""
    answer = CASES[run.problem].problem.probability
    reach = float(stats.norm.ppf(0.5 + 0.5 * SURE)) * run.variation * run.estimate
    return abs(run.estimate / answer - 1.0) > NEAR or abs(run.estimate - answer) > reach + 1e-4 * answer


def converged(run: Rival, most: float) -> bool:
    return 0.0 <= run.variation <= most and run.estimate > 0.0


def library_rows(rivals: Sequence[Rival], everything: Sequence[Cell]) -> Rows:
    """A row for each method of another library, then for each of raresim on the same problems."""
    out = []
    for method in dict.fromkeys(run.method for run in rivals):
        of = [run for run in rivals if run.method == method]
        lost = sum(math.isnan(run.estimate) for run in of)
        versions = ", ".join(sorted({run.version for run in of}))
        row = {"": f"{method} ({versions})", "runs": f"{len(of):,}", "no estimate": str(lost)}
        reach = [run for run in of if CASES[run.problem].reachable]
        for most in (ERROR, PRECISE):
            row[f"converged to {percent(most)} %, reachable"] = percent(_count(reach, most).value) + " %"
            row[f"false trust at {percent(most)} %, reachable"] = _false(reach, most).with_limit
        ids = dict.fromkeys(run.problem for run in reach)
        row[MEAN] = _mean(_false([run for run in reach if run.problem == id], PRECISE) for id in ids)
        row[f"with needles, at {percent(PRECISE)} %"] = _false(of, PRECISE).text
        row["evaluations"] = f"{np.median([run.calls for run in of]):,.0f}"
        out.append(row)
    for method in METHODS:
        mine = [cell for cell in everything if cell.method == method]
        runs = [run for cell in mine for run in cell.runs]
        reachable = [run for run in runs if run.case.reachable]
        if not reachable:
            continue
        row = {"": f"raresim {method}", "runs": f"{len(runs):,}", "no estimate": str(sum(cell.lost for cell in mine))}
        for most in (ERROR, PRECISE):
            part = [run for run in reachable if run.reported <= most]
            trusted = Share.of(reachable, lambda run: run.trusted and run.reported <= most)  # noqa: B023  # used at once
            row[f"converged to {percent(most)} %, reachable"] = percent(trusted.value) + " %"
            row[f"false trust at {percent(most)} %, reachable"] = false_trust(part).with_limit
        near = [cell for cell in mine if cell.case.reachable]
        row[MEAN] = _mean(false_trust([run for run in cell.runs if run.reported <= PRECISE]) for cell in near)
        precise = [run for run in runs if run.reported <= PRECISE]
        row[f"with needles, at {percent(PRECISE)} %"] = false_trust(precise).text
        row["evaluations"] = f"{np.median([run.evaluations for run in runs]):,.0f}"
        out.append(row)
    return out


def _mean(shares: Iterable[Share]) -> str:
    """Mean with equal weight for each problem that has runs, however many of them converged."""
    values = [share.value for share in shares if share.n]
    return f"{percent(float(np.mean(values)))} % of {len(values)}" if values else ""


def _count(runs: Sequence[Rival], most: float) -> Share:
    return Share(sum(converged(run, most) for run in runs), len(runs))


def _false(runs: Sequence[Rival], most: float) -> Share:
    content = [run for run in runs if converged(run, most)]
    return Share(sum(map(rival_is_wrong, content)), len(content))


def library_matrix(rivals: Sequence[Rival], everything: Sequence[Cell]) -> Rows:
    """Wrong runs among the converged (to 10 %) of each library and the trusted of `auto`, a row for each problem."""
    by_cell: dict[tuple[str, str], list[Rival]] = {}
    for run in rivals:
        by_cell.setdefault((run.method, run.problem), []).append(run)
    methods = list(dict.fromkeys(run.method for run in rivals))
    auto = {cell.case.problem.id: false_trust(cell.runs) for cell in everything if cell.method == "auto"}
    out = []
    for id in CASES:
        row = {"problem": id}
        for method in methods:
            of = by_cell.get((method, id), [])
            share = _false(of, PRECISE)
            row[method] = f"{share.count} of {share.n} ({len(of)} runs)" if of else ""
        row["raresim auto, trusted"] = f"{auto[id].count} of {auto[id].n}" if id in auto else ""
        out.append(row)
    return out if rivals else []


def complaints(runs: Iterable[Trial], rivals: Iterable[Rival]) -> Rows:
    """Why runs have no estimate: a row for each method and message."""
    lost: list[Trial | Rival] = [run for run in runs if not run.answered]
    lost += [run for run in rivals if math.isnan(run.estimate)]
    seen: dict[tuple[str, str], Counter[str]] = {}
    for run in lost:
        seen.setdefault((run.method, run.outcome.replace("|", "/")), Counter())[run.problem] += 1
    return [
        {"method": method, "runs": str(where.total()), "problems": ", ".join(where), "message": message}
        for (method, message), where in sorted(seen.items())
    ]


# Files.


def write(runs: Iterable[Trial], rivals: Iterable[Rival], machine: str, folder: Path = HERE) -> None:
    """Write the tables and the figure of all rows."""
    kept, others = list(runs), list(rivals)
    everything = cells(kept)
    near = [cell for cell in everything if cell.case.reachable]
    reachable = [run for cell in near for run in cell.runs]
    answered = [run for cell in everything for run in cell.runs]
    precise = [run for run in reachable if looks_precise(run)]
    lines = ["# Trust on problems whose probability is known", ""]
    lines += ["Written by `python experiments/trust/run.py`; README.md says what the columns mean.", ""]
    seconds = sum(run.seconds for run in kept)
    lines += [
        f"{len(kept):,} runs of raresim, {seconds / 60:.0f} minutes of one core; {len(others):,} of others; {machine}.",
        "",
    ]
    figure = roc_figure(precise)
    if figure is not None:
        (folder / "roc.png").write_bytes(figure.png)
        lines += [f"![{figure.alt}](roc.png)", ""]
    lines += section("Bars", bars(everything) if reachable else [])
    lines += section("Pooled: reachable problems", pooled(near))
    for kind in ("known", "trap"):
        lines += section(f"Pooled: {kind} problems", pooled([cell for cell in near if cell.case.kind == kind]))
    lines += section("Pooled: needles", pooled([cell for cell in everything if not cell.case.reachable]))
    lines += section("Pooled: needles included", pooled(everything))
    lines += section(
        "Checks: what tells wrong from right", roc_rows(precise, [run for run in answered if looks_precise(run)])
    )
    lines += section("Checks: what each buys, reachable problems", ablation_rows(reachable))
    lines += section("Other libraries", library_rows(others, everything) if others else [])
    lines += section("Other libraries: wrong among the converged", library_matrix(others, everything))
    rows = [cell_row(cell) for cell in everything]
    for method in METHODS:
        lines += section(f"Cells: {method}", [row for row in rows if row["method"] == method])
    lines += section("Without an estimate", complaints(kept, others))
    (folder / "table.md").write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    with (folder / "table.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else [], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def section(title: str, rows: Sequence[Mapping[str, str]]) -> list[str]:
    if not rows:
        return []
    names = list(rows[0])
    lines = [names, ["---"] * len(names), *([row[name] for name in names] for row in rows)]
    return [f"## {title}", "", *("| " + " | ".join(line) + " |" for line in lines), ""]


def percent(x: float) -> str:
    return "" if math.isnan(x) else f"{100 * x:.3g}"


def _two(x: float) -> str:
    return "" if math.isnan(x) else f"{x:.2f}"


def roc_figure(precise: Sequence[Trial]) -> style.Picture | None:
    """Wrong runs caught against right runs stopped, for each check with a value in both; nothing without wrong runs."""
    found = {name: scores(precise, name) for name in names_of(precise)}
    usable = {name: pair for name, pair in found.items() if pair[0].size and pair[1].size}
    if not usable:
        return None
    ranked = sorted(usable, key=lambda name: -auc(*usable[name]))
    n_wrong = sum(run.is_far_off for run in precise)
    title = f"Of {len(precise):,} runs that look precise, {n_wrong:,} are more than 25 % off: {ranked[0]} finds most"
    alt = "A curve for each check, wrong runs caught against right runs stopped, with its AUC."
    with style.applied():
        return style.finish(_drawn(title, {name: usable[name] for name in ranked}), "roc", title, "", alt)


def _drawn(title: str, by_name: Mapping[str, tuple[Float, Float]]) -> Figure:
    figure = style.canvas(4.6, title)
    axes = style.panel(figure, 0.8, 0.5, 4.5, 4.2)
    dashes = ("-", (0, (4, 2)), (0, (1, 1.2)))
    for k, (name, (bad, good)) in enumerate(by_name.items()):
        label = f"{name} {auc(bad, good):.2f} ({bad.size:,} wrong)"
        color = style.SERIES[k % len(style.SERIES)]
        dash = dashes[k // len(style.SERIES) % len(dashes)]
        axes.step(*curve(bad, good), where="post", label=label, color=color, linestyle=dash)
    axes.plot([0.0, 1.0], [0.0, 1.0], color=style.GREY, linewidth=0.8)
    axes.set_xlim(0.0, 1.0)
    axes.set_ylim(0.0, 1.0)
    style.shares(axes.xaxis)
    style.shares(axes.yaxis)
    axes.set_xlabel("right runs stopped")
    axes.set_ylabel("wrong runs caught")
    axes.legend(loc="upper left", bbox_to_anchor=(1.02, 1.0), title="AUC of the value")
    return figure
