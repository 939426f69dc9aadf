"""The tables and the figure of the runs: ``table.md``, ``table.csv`` and ``gain.png``."""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from problems import PROBLEMS, ReferenceProblem
from runs import FAILED, QUESTIONS, REFUSED, Run
from scipy import stats
from targets import TARGETS, Target

from raresim.losses.noise import ROWS_AGAIN
from raresim.record.verdict import Status
from raresim.report import style

HERE = Path(__file__).parent
REFERENCE_ERROR = 0.05
NEAR = 0.25
"""Relative deviation up to which an estimate is near the answer."""

Column = tuple[str, float, int]
"""Method, the stop with its sign turned so that loose stops come first, and the largest number of evaluations."""


@dataclass(frozen=True, eq=False)
class Cell:
    """All runs of a method on a problem with one stop and one budget.

    Parameters
    ----------
    bias, bias_error, rmse : float
        Bias of the estimates, its standard error and their rmse, relative to the answer.
    reported : float
        Median of the relative errors that the runs report.
    coverage : float
        Share of the intervals that hold the answer.
    evaluations : float
        Median evaluations of a run.
    to_five : float
        Evaluations to a relative error of 5 %: ``mean evaluations * (rmse / 5 %)^2``, at least one.
    reported_to_five : float
        The same from the reported errors: median of ``evaluations * (reported / 5 %)^2``.
    variance_ratio : float
        Variance of a draw of crude Monte Carlo over the variance of an evaluation of the estimate, by the reported
        error.

    Notes
    -----
    Every number is for the runs with an estimate, whatever their verdict; NaN where fewer than half of them have one.
    """

    column: Column
    problem: ReferenceProblem
    runs: Sequence[Run]
    bias: float = math.nan
    bias_error: float = math.nan
    rmse: float = math.nan
    reported: float = math.nan
    coverage: float = math.nan
    evaluations: float = math.nan
    to_five: float = math.nan
    reported_to_five: float = math.nan
    variance_ratio: float = math.nan

    @classmethod
    def of(cls, runs: Sequence[Run]) -> Cell:
        """Summarise runs that differ in their seeds alone."""
        problem = QUESTIONS[runs[0].problem]
        answered = [run for run in runs if run.answered]
        if 2 * len(answered) < len(runs):
            return cls(_column(runs[0]), problem, runs)
        off = np.array([run.deviation for run in answered])
        reported = np.array([run.reported for run in answered])
        spent = np.array([run.evaluations for run in answered])
        sample = np.array([run.sample for run in answered])
        rmse = math.sqrt(float(np.square(off).mean()))
        one_draw = float(np.median(sample * np.square(reported)))
        return cls(
            column=_column(runs[0]),
            problem=problem,
            runs=runs,
            bias=float(off.mean()),
            bias_error=float(off.std(ddof=1)) / math.sqrt(off.size) if off.size > 1 else math.nan,
            rmse=rmse,
            reported=float(np.median(reported)),
            coverage=float(np.mean([run.covered for run in answered])),
            evaluations=float(np.median(spent)),
            to_five=max(1.0, float(spent.mean()) * (rmse / REFERENCE_ERROR) ** 2),
            reported_to_five=max(1.0, float(np.median([_to_five(run) for run in answered]))),
            variance_ratio=(1.0 / problem.probability - 1.0) / one_draw if one_draw > 0.0 else math.inf,
        )

    @property
    def verdicts(self) -> Counter[str]:
        return Counter(run.verdict for run in self.runs)


def cells(runs: Iterable[Run]) -> list[Cell]:
    """The cells of ``runs``, by column and problem in order."""
    order = {id: k for k, id in enumerate(QUESTIONS)}
    ordered = sorted(runs, key=lambda r: (_column(r), order[r.problem], r.seed))
    return [Cell.of(list(group)) for _, group in groupby(ordered, lambda r: (_column(r), r.problem))]


def _column(run: Run) -> Column:
    return run.method, -run.error, run.budget


def _named(column: Column) -> str:
    return f"{column[0]}, {-100 * column[1]:.3g} %, {column[2]:,}"


# Evaluations of the peers.


@dataclass(frozen=True)
class Peer:
    """A row of ``data/peers.csv``: another library's method, and its evaluations to 5 %."""

    name: str
    to_five: float


def best_peers() -> dict[str, Peer]:
    """For each problem, the peer with the fewest evaluations to 5 % among those whose bias is below 25 %."""
    best: dict[str, Peer] = {}
    for row in _table("peers.csv"):
        if row["rel_bias"] and abs(float(row["rel_bias"])) < NEAR:
            peer = Peer(f"{row['library'].split()[0]}, {row['method']}", float(row["evaluations_to_5_percent"]))
            best[row["problem"]] = min(best.get(row["problem"], peer), peer, key=lambda p: p.to_five)
    return best


def published_ratios() -> dict[str, float]:
    """For each problem, the largest variance ratio in ``data/published.csv``."""
    best: dict[str, float] = {}
    for row in _table("published.csv"):
        if row["variance_ratio"]:
            best[row["id"]] = max(best.get(row["id"], 0.0), float(row["variance_ratio"]))
    return best


def _table(name: str) -> list[dict[str, str]]:
    with (HERE / "data" / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def gain(cell: Cell, peers: Mapping[str, Peer]) -> float:
    """The best peer's evaluations to 5 % over the method's; 0 without an estimate, NaN without a peer."""
    peer = peers.get(cell.problem.id)
    if peer is None:
        return math.nan
    return peer.to_five / cell.to_five if cell.to_five > 0.0 else 0.0


# The parts of table.md.


def summary_row(column: Column, part: Sequence[Cell], peers: Mapping[str, Peer]) -> dict[str, str]:
    """The row of a column over many problems."""
    runs = [run for cell in part for run in cell.runs]
    answered = [run for run in runs if run.answered]
    trusted = [run for run in runs if run.verdict == Status.TRUSTED]
    wrong = sum(abs(run.deviation) > NEAR for run in trusted)
    safe = sum(_safe(run) for run in runs)
    moderate = [run for cell in part if cell.problem.dim <= 100 for run in cell.runs]
    good = sum(run.verdict == Status.TRUSTED and run.within(3.0) for run in moderate)
    few = [cell.evaluations for cell in part if cell.problem.dim <= 30 and cell.evaluations > 0]
    gains = np.array([g for g in (gain(cell, peers) for cell in part) if not math.isnan(g)])
    mean_gain = math.exp(float(np.log(gains[gains > 0]).mean())) if (gains > 0).any() else math.nan
    miscounted = sum(not 0 <= run.calls - run.evaluations <= ROWS_AGAIN for run in answered)
    return {
        "method, stop, budget": _named(column),
        "problems": str(len(part)),
        "runs": str(len(runs)),
        "refused": str(sum(run.verdict == REFUSED for run in runs)),
        "failed": str(sum(run.verdict == FAILED for run in runs)),
        "near or not trusted": _share(safe, len(runs)),
        "d <= 100: trusted and within 3 errors": _share(good, len(moderate)),
        "coverage": _share(sum(run.covered for run in answered), len(answered)),
        "trusted and wrong": f"{wrong} of {len(trusted)}",
        "its 95 % limit": f"{100 * upper_limit(wrong, len(trusted)):.2g} %" if trusted else "",
        "evaluations, d <= 30": _number(float(np.median(few)) if few else math.nan),
        "problems with a peer": str(gains.size),
        "fewer than the peer": str(int((gains > 1.0).sum())),
        "at most half": str(int((gains >= 2.0).sum())),
        "more than twice, or no estimate": str(int((gains < 0.5).sum())),
        "geometric mean gain": _number(mean_gain),
        "other evaluations than counted": str(miscounted),
        "over the budget": str(sum(run.evaluations > run.budget for run in answered)),
    }


def _safe(run: Run) -> bool:
    """Whether a run is near the answer or does not claim to be: a refusal is safe, a failure is not."""
    return run.verdict != FAILED and (run.verdict != Status.TRUSTED or abs(run.deviation) <= NEAR)


def upper_limit(count: int, n: int) -> float:
    """Clopper-Pearson: the share that would give ``count`` or fewer of ``n`` one time in twenty."""
    return float(stats.beta.ppf(0.95, count + 1, n - count)) if count < n else 1.0


def problem_row(cell: Cell, peers: Mapping[str, Peer], ratios: Mapping[str, float]) -> dict[str, str]:
    """The row of a column on one problem."""
    problem, seen, peer = cell.problem, cell.verdicts, peers.get(cell.problem.id)
    wrong = sum(r.verdict == Status.TRUSTED and abs(r.deviation) > NEAR for r in cell.runs)
    return {
        "problem": problem.id,
        "d": str(problem.dim),
        "p": f"{problem.probability:.3g}",
        "set": "held out" if problem.held_out else "tuning",
        "runs": str(len(cell.runs)),
        "evaluations": _number(cell.evaluations),
        "bias %": _percent(cell.bias) + (f" +- {_percent(cell.bias_error)}" if cell.bias_error >= 0.0 else ""),
        "rmse %": _percent(cell.rmse),
        "rmse / reported": _number(cell.rmse / cell.reported if cell.reported > 0.0 else math.nan),
        "coverage %": _percent(cell.coverage),
        "to 5 %": _number(cell.to_five),
        "to 5 % as reported": _number(cell.reported_to_five),
        "trusted / caution / untrusted / bound": " / ".join(str(seen[status]) for status in Status),
        "refused": str(seen[REFUSED]),
        "failed": str(seen[FAILED]),
        "trusted and wrong": str(wrong),
        "best peer": peer.name if peer else "",
        "peer to 5 %": _number(peer.to_five if peer else math.nan),
        "gain": _number(gain(cell, peers)),
        "variance ratio": _number(cell.variance_ratio),
        "published ratio": _number(ratios.get(problem.id, math.nan)),
    }


def target_row(target: Target, cell: Cell) -> dict[str, str]:
    """The row of a column on one of the targets."""
    runs, seen = cell.runs, cell.verdicts
    ratio = [1.0 + run.deviation for run in runs if run.answered]
    within = sum(run.answered and _to_five(run) <= target.limit for run in runs)
    return {
        "target": f"{target.problem.id}: {target.problem.title}",
        "d": str(target.problem.dim),
        "p": f"{target.problem.probability:.3g}",
        "method, stop, budget": _named(cell.column),
        "runs": str(len(runs)),
        "evaluations": _number(cell.evaluations),
        "to 5 % as reported": _number(cell.reported_to_five),
        "limit": f"{target.limit:,}" + (" or not trusted" if target.refusable else ""),
        "runs within it": str(within),
        "estimate / answer": f"{min(ratio):.3f} to {max(ratio):.3f}, mean {np.mean(ratio):.3f}" if ratio else "",
        "trusted / caution / untrusted / bound": " / ".join(str(seen[status]) for status in Status),
        "refused, failed": f"{seen[REFUSED]}, {seen[FAILED]}",
        "target is": "met" if met(target, runs) else "missed",
    }


def met(target: Target, runs: Sequence[Run]) -> bool:
    """Whether at least half of the runs are within the limit, trusted and near, or not trusted where that is allowed.

    No run may be trusted and wrong, and none may fail.
    """

    def good(run: Run) -> bool:
        if target.refusable and run.verdict != Status.TRUSTED:
            return True
        return run.verdict == Status.TRUSTED and _to_five(run) <= target.limit

    return all(map(_safe, runs)) and 2 * sum(map(good, runs)) >= len(runs)


def _to_five(run: Run) -> float:
    """Evaluations to a relative error of 5 %, as the run reports its error."""
    return run.evaluations * (run.reported / REFERENCE_ERROR) ** 2


def matrix(shown: Sequence[Cell], peers: Mapping[str, Peer]) -> list[dict[str, str]]:
    """Evaluations to 5 % in every column and of the best peer, a row for each problem."""
    columns = sorted({cell.column for cell in shown})
    place = {(cell.problem.id, cell.column): cell for cell in shown}
    ids = {cell.problem.id for cell in shown}
    out = []
    for id, problem in PROBLEMS.items():
        if id not in ids:
            continue
        row = {"problem": id + (" (held out)" if problem.held_out else "")}
        for column in columns:
            cell = place.get((id, column))
            row[_named(column)] = _number(cell.to_five) if cell else ""
        row["best peer"] = _number(peers[id].to_five) if id in peers else ""
        out.append(row)
    return out


def complaints(shown: Sequence[Cell]) -> list[dict[str, str]]:
    """Rows of the reasons why runs were refused or failed."""
    seen = Counter(
        ((cell.column, run.verdict, run.outcome), cell.problem.id)
        for cell in shown
        for run in cell.runs
        if not run.answered
    )
    out = []
    for (column, verdict, message), group in groupby(sorted(seen), lambda pair: pair[0]):
        ids = [id for _, id in group]
        number = sum(seen[(column, verdict, message), id] for id in ids)
        out.append(
            {
                "method, stop, budget": _named(column),
                "verdict": verdict,
                "runs": str(number),
                "problems": f"{len(ids)}: {', '.join(ids[:3])}" + (", ..." if len(ids) > 3 else ""),
                "message": message.replace("|", "/").replace("\n", " "),
            }
        )
    return out


def write(runs: Iterable[Run], folder: Path = HERE) -> None:
    """Write the tables and the figure of ``runs``."""
    everything = cells(runs)
    shown = [cell for cell in everything if cell.problem.id in PROBLEMS]
    peers, ratios = best_peers(), published_ratios()
    by_column = {column: list(group) for column, group in groupby(shown, lambda cell: cell.column)}
    parts: dict[str, Callable[[Cell], bool]] = {
        "All problems": lambda cell: True,
        "Held out": lambda cell: cell.problem.held_out,
        "Tuning": lambda cell: not cell.problem.held_out,
    }
    lines = ["# Methods on problems whose probability is known", ""]
    lines += ["README.md says what the columns mean.", ""]
    figure = gain_figure(by_column, peers)
    if figure is not None:
        (folder / "gain.png").write_bytes(figure.png)
        lines += [f"![{figure.alt}](gain.png)", ""]
    for name, belongs in parts.items():
        kept = {column: [cell for cell in of if belongs(cell)] for column, of in by_column.items()}
        rows = [summary_row(column, part, peers) for column, part in kept.items() if part]
        lines += _section(f"Summary: {name.lower()}", rows)
    targets = [target_row(TARGETS[c.problem.id], c) for c in everything if c.problem.id in TARGETS]
    lines += _section("Targets", sorted(targets, key=lambda row: list(TARGETS).index(row["target"].split(":")[0])))
    lines += _section("Evaluations to 5 %", matrix(shown, peers))
    details = {column: [problem_row(cell, peers, ratios) for cell in of] for column, of in by_column.items()}
    for column, rows in details.items():
        lines += _section(f"Problems: {_named(column)}", rows)
    lines += _section("Refused and failed", complaints(everything))
    (folder / "table.md").write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    flat = [{"method, stop, budget": _named(column), **row} for column, rows in details.items() for row in rows]
    with (folder / "table.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(flat[0]) if flat else [], lineterminator="\n")
        writer.writeheader()
        writer.writerows(flat)


def _section(title: str, rows: Sequence[Mapping[str, str]]) -> list[str]:
    if not rows:
        return []
    names = list(rows[0])
    lines = [names, ["---"] * len(names), *([row[name] for name in names] for row in rows)]
    return [f"## {title}", "", *("| " + " | ".join(line) + " |" for line in lines), ""]


def _share(count: int, n: int) -> str:
    return f"{100 * count / n:.1f} %" if n else ""


def _percent(x: float) -> str:
    return "" if math.isnan(x) else f"{100 * x:.3g}"


def _number(x: float) -> str:
    if math.isnan(x):
        return ""
    return f"{x:.2g}" if x < 10 or x >= 1e7 else f"{x:,.0f}"


# The figure.


def gain_figure(by_column: Mapping[Column, Sequence[Cell]], peers: Mapping[str, Peer]) -> style.Picture | None:
    """Gain of one method on each problem with a peer and an estimate, sorted; None without such problems.

    The method is `auto` where it was run, with the stop and the budget that have most problems, the largest of several.
    """
    if not by_column:
        return None
    column = max(by_column, key=lambda c: (c[0] == "auto", len(by_column[c]), -c[1], c[2]))
    found = [(gain(cell, peers), cell.problem) for cell in by_column[column] if cell.problem.id in peers]
    ranked = sorted(((g, problem) for g, problem in found if g > 0.0), key=lambda pair: pair[0])
    if not ranked:
        return None
    fewer = sum(g > 1.0 for g, _ in ranked)
    title = f"{_named(column)}: fewer evaluations than the best peer on {fewer} of {len(found)} problems"
    alt = "Points, a row for each problem from the smallest gain to the largest; hollow: held out."
    with style.applied():
        return style.finish(_drawn(title, ranked), "gain", title, "", alt)


def _drawn(title: str, ranked: Sequence[tuple[float, ReferenceProblem]]) -> Figure:
    height = 1.25 + 0.145 * len(ranked)
    figure = style.canvas(height, title)
    axes = style.panel(figure, 1.75, 0.5, style.WIDTH - 0.15, height - 0.55)
    gains = np.log10([g for g, _ in ranked])
    low, high = min(-0.5, float(gains.min()) - 0.1), max(0.5, float(gains.max()) + 0.1)
    for k, (x, (_, problem)) in enumerate(zip(gains, ranked, strict=True)):
        color = style.BLUE if x >= 0.0 else style.ORANGE
        axes.plot([0.0, x], [k, k], color=color, linewidth=0.9)
        axes.plot(x, k, "o", color=color, markersize=4.5, markerfacecolor="white" if problem.held_out else color)
    axes.axvline(0.0, color=style.INK, linewidth=0.8)
    axes.axvline(-math.log10(2.0), **style.DASHED)
    axes.set_xlim(low, high)
    axes.set_ylim(-0.8, len(ranked) - 0.2)
    axes.set_yticks(range(len(ranked)), [problem.id for _, problem in ranked], fontsize=7.5)
    axes.grid(visible=False, axis="y")
    style.decades(axes.xaxis, low, high, plain=True)
    axes.set_xlabel("gain: evaluations to 5 % of the best peer over the method's")
    axes.set_title("Hollow: held out. Dashed: twice the peer's evaluations.", fontsize=8.5, color=style.GREY)
    return figure
