"""The output of the shell for people: the numbers of a run, comparisons, backtests, tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

from raresim.diagnostics.verdict import advice_of
from raresim.record.rows import is_estimate
from raresim.report.rows import ROWS, distinct
from raresim.report.tables import count, interval, multiple, number, percent, unit_of
from raresim.report.tables import value as in_digits

if TYPE_CHECKING:
    from raresim.backtests.backtest import Backtest
    from raresim.record.exhibits import Exhibit
    from raresim.record.records import Estimate
    from raresim.report.comparison import Comparison, Row, Spread
    from raresim.run.result import Result

STAGES = ("explore", "tune", "estimate", "audit")

NAME_WIDTH = 12
"""Characters of a line with the name of a method, beside seven columns of numbers."""

MOST_DETAILED = 3
"""Up to so many numbers are printed with all their details; more are listed."""

MOST_DECISIONS = 6
"""Number of a method's decisions that are printed; the report has all."""

MOST_CONTROLS = 24
"""Controls that are printed; all are in the file."""

MOST_SHARES = 10
"""Number of limit states that are printed; the report has all."""

KIND_WORDS = {
    "raised": "raised",
    "timeout": "timed out",
    "nan": "NaN",
    "infinite": "infinite",
    "died": "ended their process",
    "exit": "ended with an exit code other than 0",
    "output": "wrote no number",
}
"""Words for the kinds of failed rows, by the keys of ``result.json``."""

STYLES = {"trusted": "bold green", "caution": "bold yellow", "untrusted": "bold red", "bound_only": "bold red"}

VERDICT_STYLES = {"not rejected": "bold green", "doubtful": "bold yellow", "rejected": "bold red"}
"""Styles of the verdicts of a backtest."""


def _console() -> Console:
    """A console that prints text unchanged: names and notes may look like rich's markup."""
    return Console(highlight=False, markup=False, emoji=False)


def show_result(result: Result) -> None:
    """Print the verdict first, then the numbers and their cost."""
    console = _console()
    status = str(result.verdict.status)
    console.print(Text(f"{status.replace('_', ' ').upper()}", style=STYLES[status]), Text(result.name, style="bold"))
    for check in result.verdict.checks:
        if str(check.status) != "trusted":
            console.print(Text(f"  {check.message}", style=STYLES[str(check.status)]))
    for advice in advice_of(result.verdict, result.estimates):
        console.print(f"  -> {advice}")
    console.print(f"Scope: {result.verdict.scope}.", style="dim")
    console.print()
    numbers = distinct(result.estimates)
    if len(numbers) > MOST_DETAILED:
        console.print(_listed(numbers))
        console.print()
    else:
        for estimate in numbers:
            console.print(_numbers(estimate, result.search["unit"]))
            console.print()
    _show_exhibits(console, result.exhibits)
    if drawn := result.manifest.get("draws"):
        of = f"{count(drawn['rows'])} of {count(drawn['of'])} draws of the event" if "file" in drawn else drawn["why"]
        console.print(f"Draws: {drawn['file']}, {of}" if "file" in drawn else f"Note: {of}", style="dim")
        console.print()
    if result.search["decisions"]:
        _show_decisions(console, result.search["decisions"])
    console.print(_costs(result))
    console.print()


def _show_exhibits(console: Console, exhibits: Sequence[Exhibit]) -> None:
    """What is worth a table here, and the file of each exhibit that has rows."""
    for exhibit in exhibits:
        if exhibit.name == "limit_states" and exhibit.rows:
            console.print(_shares(exhibit))
        if exhibit.name == "controls":
            console.print(_controls(exhibit))
        if exhibit.rows:
            rows = "1 row" if len(exhibit.rows) == 1 else f"{count(len(exhibit.rows))} rows"
            console.print(f"{exhibit.title}: {exhibit.name}.csv, {rows}", style="dim")
    if exhibits:
        console.print()


def show_report(folder: Path) -> None:
    """Print the path of the report."""
    _console().print(f"Report: {folder / 'report.html'}", soft_wrap=True)


def _listed(estimates: Sequence[Estimate]) -> Table:
    """Many numbers, with one or two lines each; the report has the details."""
    has_references = any(estimate.reference is not None for estimate in estimates)
    table = Table(
        "number\nverdict",
        Column("estimate\nreference" if has_references else "estimate", justify="right"),
        Column("interval", no_wrap=True),
        Column("rel.\nerror", justify="right"),
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
    )
    for estimate in estimates:
        status = str(estimate.verdict.status)
        reference = "" if estimate.reference is None else f"\n{number(estimate.reference.value)}"
        added = "" if estimate.asked else " (added)"
        nominal = "" if estimate.holds_confidence else "nominal "
        table.add_row(
            Text.assemble(estimate.label, "\n", (status.replace("_", " "), STYLES[status]), added),
            f"{in_digits(estimate.value, *estimate.interval)} {unit_of(estimate)}".rstrip() + reference,
            f"{interval(*estimate.interval)}\n{nominal}{estimate.confidence:.0%}",
            percent(estimate.relative_error) if math.isfinite(estimate.relative_error) else "-",
        )
    return table


def _controls(exhibit: Exhibit) -> Table:
    """What is known without sampling beside each number; what it assumes is in the file."""
    table = Table(
        Column("control"),
        Column("number"),
        Column("value", justify="right", no_wrap=True),
        Column("from the estimate", justify="right", no_wrap=True),
        title=exhibit.title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
    )
    at = {name: k for k, name in enumerate(exhibit.columns)}
    for row in exhibit.rows[:MOST_CONTROLS]:
        value, gap = row[at["value"]], row[at["difference"]]
        shown = "" if gap is None or isinstance(gap, str) else f"{gap:+.2%}"
        known = None if isinstance(value, str) else value
        table.add_row(str(row[at["control"]]), str(row[at["number"]]), number(known, 6), shown)
    return table


def _shares(exhibit: Exhibit) -> Table:
    """The share of each limit state in the event, the largest first."""
    heads = ("share", "interval", "decisive", "interval")
    table = Table(
        Column("limit state"),
        *(Column(head, justify="right", no_wrap=True) for head in heads),
        title=exhibit.title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
    )
    at = {name: k for k, name in enumerate(exhibit.columns)}

    def cell(row: Sequence[str | float | None], name: str) -> float | None:
        found = row[at[name]]
        return None if isinstance(found, str) else found

    for row in exhibit.rows[:MOST_SHARES]:
        cells = []
        for share, low, high in (("share", "lower", "upper"), ("decisive", "decisive_lower", "decisive_upper")):
            cells += [number(cell(row, share), 3), interval(cell(row, low), cell(row, high))]
        table.add_row(Text(str(row[at["limit_state"]]), style="cyan"), *cells)
    return table


def _show_decisions(console: Console, sentences: Sequence[str]) -> None:
    shown = list(sentences[:MOST_DECISIONS])
    if len(sentences) > MOST_DECISIONS:
        shown.append(f"and {len(sentences) - MOST_DECISIONS} more in the report")
    console.print(Text("Decisions", style="bold"))
    for sentence in shown:
        console.print(Padding(Text(sentence), (0, 0, 0, 3)))
    console.print()


def _numbers(estimate: Estimate, unit: str) -> Table:
    table = _two_columns(estimate.label)
    if estimate.threshold_note:
        table.add_row("threshold", estimate.threshold_note)
    unit_of_it = f" {unit_of(estimate)}".rstrip()
    table.add_row("estimate", f"{number(estimate.value)}{unit_of_it}")
    kind = "upper bound" if estimate.value == 0 else "interval"
    nominal = "" if estimate.holds_confidence else "nominal "
    words = f"{interval(*estimate.interval)}{unit_of_it}  ({estimate.interval_kind})"
    table.add_row(f"{nominal}{estimate.confidence:.0%} {kind}", words)
    if estimate.value > 0:
        table.add_row("relative error", percent(estimate.relative_error))
    if estimate.reference is not None:
        gap, error = estimate.value - estimate.reference.value, estimate.std_error
        away = f", {gap / error:+.2f} standard errors away" if 0 < error < math.inf else ""
        table.add_row("reference", f"{number(estimate.reference.value)}{away}")
    d = estimate.diagnostics
    rows = ROWS[unit]
    if is_estimate(unit):
        reached = "have a positive estimate" if unit == "batch" else "reached the event"
        table.add_row(rows.many, f"{count(d['hits'])} of {count(d['rows'])} {reached}")
    else:
        khat = "-" if d["khat"] is None else f"{d['khat']:.2f}"
        worth = f"{count(d['hits'])} {rows.hits}, {d['ess']:,.0f} effective"
        table.add_row("weights", f"{worth}; largest share {percent(d['max_share'])}, k-hat {khat}")
    if "surrogate_correction" in d:
        table.add_row(
            "correction", f"{d['surrogate_correction']:+.2%} of the estimate; the rest comes from the surrogate"
        )
    if estimate.value > 0:
        i = estimate.information
        table.add_row("surprise -log P", f"{i.event_nats:.4f} nats = {i.event_bits:.4f} bits: what crude pays")
        if not is_estimate(unit):
            table.add_row("KL(optimal||q)", f"{i.proposal_nats:.4f} nats = {i.proposal_bits:.4f} bits: what q pays")
            needs = multiple(i.proposal_draws)
            needs = needs if unit == "draw" else rows.counted(needs)
            draws = f"{multiple(i.crude_draws)} draws per effective hit become {needs}"
            table.add_row("saved", f"{i.saved_share:.0%}: {draws}")
    return table


def _costs(result: Result) -> Table:
    table = _two_columns("Cost")
    e = result.evaluations
    parts = ", ".join(f"{name} {count(e[name])}" for name in (*STAGES, "rounds", "exhibits") if e.get(name))
    table.add_row("evaluations", f"{count(e['total'])} ({parts})")
    if result.speedup_over_crude is not None and result.method != "crude":
        table.add_row("against crude", f"{multiple(result.speedup_over_crude)} times fewer evaluations")
    if result.failed:
        f = result.failed
        kinds = ", ".join(f"{KIND_WORDS[kind]} {count(number)}" for kind, number in f["kinds"].items())
        kept = f"; the first {count(f['kept'])} in failed_rows.npz" if f["kept"] else ""
        again = f"; {count(f['retried'])} more gave a loss when tried again" if f["retried"] else ""
        table.add_row(
            "failed rows", f"{count(f['rows'])} ({percent(f['share'])}){': ' * bool(kinds)}{kinds}{again}{kept}"
        )
    table.add_row("seconds", f"{result.seconds['total']:.2f} (compiling {result.seconds['compile']:.2f})")
    return table


def _two_columns(title: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, show_header=False, padding=(0, 1))
    table.add_column(no_wrap=True, style="cyan")
    table.add_column()
    return table


def show_comparison(comparison: Comparison) -> None:
    """Print a table for each question, with two lines a run so that it fits 80 columns; then the runs that failed."""
    console = _console()
    another = comparison.has_several_problems
    for k, label in enumerate(comparison.labels):
        rows = [row for row in comparison.rows if row.measure == k]
        reference = None if another else next((row.reference for row in rows if row.reference is not None), None)
        last = "difference\ninterval" if another else "work" if reference is None else "work\nreference"
        heads = ["run\nverdict", "estimate\ninterval", "rel.\nerror", "evaluations\nseconds", last]
        title = label if reference is None else f"{label}, reference {number(reference)}"
        table = Table(
            *(
                Column(head, justify="left" if place < 2 else "right", no_wrap=place == 1)
                for place, head in enumerate(heads)
            ),
            title=title,
            title_justify="left",
            title_style="bold",
            box=box.SIMPLE_HEAD,
            padding=(0, 1, 0, 0),
            show_edge=False,
        )
        for row in rows:
            table.add_row(
                Text.assemble((row.run, "cyan"), "\n", (row.verdict.replace("_", " "), STYLES[row.verdict])),
                f"{number(row.value)}\n{interval(row.lower, row.upper)}",
                "-" if row.relative_error is None else percent(row.relative_error),
                f"{count(row.evaluations)}\n{number(row.seconds, 3)}",
                _difference(row) if another else _work(row),
            )
        console.print(table)
        spreads = [spread for spread in comparison.spreads if spread.measure == k]
        if spreads:
            console.print(_over_seeds(spreads, another))
    for failure in comparison.failures:
        console.print(Text.assemble((f"{failure.run} did not run", "bold red"), f": {failure.message}"))
    for note in comparison.notes:
        console.print(f"Note: {note}.")
    if another:
        below = f"difference: from {comparison.names[0]}, with a 95 % interval that takes the runs as independent."
    else:
        below = "work: squared relative error times evaluations, smaller is better."
    console.print(below, style="dim")


def _work(row: Row) -> str:
    away = "" if row.standard_errors is None else f"\n{row.standard_errors:+.2f} SE"
    return f"{'-' if row.work is None else multiple(row.work)}{away}"


def _difference(row: Row) -> str:
    if row.difference is None:
        return "-"
    return f"{number(row.difference)}\n{interval(row.difference_lower, row.difference_upper)}"


def _over_seeds(spreads: Sequence[Spread], another: bool) -> Table:
    """The spread over seeds; a reference holds for one problem, so with ``another`` no interval is held against it."""
    heads = ["method", "seeds", "trusted", "mean", "spread", "reported", "work", "covered"]
    table = Table(
        *(Column(head, justify="right" if head != "method" else "left") for head in heads),
        title="Over the seeds: spread of the estimates, and the error that the runs report",
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for s in spreads:
        covered = "-" if s.covered is None or another else f"{s.covered} of {s.runs}"
        shares = percent(s.between), percent(s.reported)
        name = "\n".join(wrap(s.method.replace("_", "_ "), NAME_WIDTH)).replace("_ ", "_")
        table.add_row(name, f"{s.runs}", f"{s.trusted}", number(s.mean), *shares, multiple(s.work), covered)
    return table


def show_backtest(found: Backtest) -> None:
    """Print verdict and reasons, exceedances, tests, and how much the tests of ES depend on the tail law."""
    console = _console()
    style = VERDICT_STYLES[found.verdict]
    console.print(Text(found.verdict.upper(), style=style), Text(found.forecasts.name, style="bold"))
    for finding in found.findings:
        console.print(Padding(Text(finding, style=style), (0, 0, 0, 2)))
    for step in found.steps:
        console.print(Padding(Text(step, style="dim"), (0, 0, 0, 2)))
    console.print()
    console.print(_exceedances(found))
    console.print()
    console.print(_outcomes(found))
    if found.tails:
        console.print(_tails(found))


def _exceedances(found: Backtest) -> Table:
    f, light, (low, high) = found.forecasts, found.light, found.accepted
    table = _two_columns(f"Exceedances of the VaR at {found.level:g}")
    table.add_row("days", f"{count(f.n_days)}" + (f", {f.dates[0]} to {f.dates[-1]}" if f.dates else ""))
    table.add_row(
        "exceedances", f"{count(found.n_exceedances)}; {number(found.n_expected)} expected, {low} to {high} accepted"
    )
    zones = f"yellow from {light.yellow_from}, red from {light.red_from}"
    zone = Text(light.zone, style={"green": "green", "yellow": "yellow", "red": "red"}[light.zone])
    table.add_row("traffic light", Text.assemble(zone, f"; {zones}; P(so many or fewer) {light.cumulative:.2%}"))
    if light.addon_mar32 is not None:
        addons = f"{light.addon_mar32:.2f} on 1.5 (MAR32), {light.addon_1996:.2f} on 3 (1996)"
        table.add_row("capital add-on", addons)
    return table


def _outcomes(found: Backtest) -> Table:
    from raresim.backtests.backtest import TITLES

    heads = ["test", "statistic", "critical", "p-value", "chi-square p", "result"]
    table = Table(
        *(Column(head, justify="left" if head in ("test", "result") else "right", no_wrap=True) for head in heads),
        title=f"Tests at {found.alpha:g}: exact p-values for VaR, simulated ones for ES",
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
    )
    for test in found.tests:
        result = Text("rejected", style="bold red") if test.is_rejected else Text("passed", style="green")
        table.add_row(
            Text(TITLES[test.name], style="cyan"),
            *(_or_dash(x) for x in (test.statistic, test.critical, test.p_value, test.p_chi_square)),
            Text("nothing to test") if test.p_value is None else result,
        )
    return table


def _tails(found: Backtest) -> Table:
    names = [test.name for test in found.tests if test.measure == "es"]
    table = Table(
        Column("tail law"),
        *(
            Column(head, justify="right")
            for head in ("Z1\ncritical", "p", "Z2\ncritical", "p", "min. biased\ncritical", "p")
        ),
        title="How much the tests of ES depend on the tail law",
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
    )
    for check in found.tails:
        cells = [_or_dash(x) for name in names for x in (check.critical[name], check.p_values[name])]
        table.add_row(Text(check.tail, style="cyan"), *cells)
    return table


def _or_dash(x: float | None) -> str:
    return "-" if x is None else number(x, 3)


def show_table(columns: list[str], rows: list[list[str]]) -> None:
    """Print a plain table."""
    table = Table(*columns, box=box.SIMPLE_HEAD)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    _console().print(table)
