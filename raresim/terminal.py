"""What a run shows in the shell: its progress while it goes, its numbers at the end."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from raresim.report.tables import count, interval, multiple, number, percent

if TYPE_CHECKING:
    from raresim.methods.base import Report
    from raresim.result import Estimate, Result

LINE_SECONDS = 10.0
"""Seconds between two progress lines where there is no terminal."""

STYLES = {"trusted": "bold green", "caution": "bold yellow", "untrusted": "bold red", "bound_only": "bold red"}


@contextmanager
def progress(quiet: bool) -> Iterator[Report]:
    """Tell progress on standard error: a bar in a terminal, plain lines elsewhere, nothing when quiet."""
    console = Console(stderr=True)
    if quiet:
        yield lambda *_: None
    elif console.is_terminal:
        with Progress(
            TextColumn("{task.description:<9}"),
            BarColumn(bar_width=20),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[rate]}"),
            TextColumn("{task.fields[note]}", style="dim"),
            console=console,
            transient=True,
        ) as bars:
            yield _Bars(bars)
    else:
        yield _Lines()


class _Rate:
    """Rows per second and seconds left of the stage under way."""

    def __init__(self) -> None:
        self.stage = ""
        self.begun = time.monotonic()
        self.last = 0

    def starts(self, stage: str, done: int) -> bool:
        """Whether ``done`` rows of ``stage`` begin a new count."""
        fresh = stage != self.stage or done < self.last
        if fresh:
            self.stage, self.begun = stage, time.monotonic()
        self.last = done
        return fresh

    def text(self, done: int, total: int) -> str:
        """For instance ``1,200,000/s 3 s left``."""
        seconds = time.monotonic() - self.begun
        if seconds < 0.5:
            return ""
        rate = done / seconds
        return f"{rate:,.0f}/s {max(0, total - done) / rate:.0f} s left"


class _Bars:
    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, Any] = {}
        self._rate = _Rate()

    def __call__(self, stage: str, done: int, total: int, note: str) -> None:
        self._rate.starts(stage, done)
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(stage, total=total, rate="", note="")
        self._bars.update(self._tasks[stage], completed=done, total=total, rate=self._rate.text(done, total), note=note)


class _Lines:
    def __init__(self) -> None:
        self._rate = _Rate()
        self._shown = time.monotonic()

    def __call__(self, stage: str, done: int, total: int, note: str) -> None:
        self._rate.starts(stage, done)
        now = time.monotonic()
        if now - self._shown >= LINE_SECONDS:
            self._shown = now
            rate = self._rate.text(done, total)
            print(f"{stage}: {done:,} of {total:,}  {rate}  {note}", file=sys.stderr, flush=True)  # noqa: T201


def show_result(result: Result, folder: Path) -> None:
    """Print the verdict first, then the numbers, what they cost, and where the report is."""
    console = Console(highlight=False)
    status = str(result.verdict.status)
    console.print(Text(f"{status.replace('_', ' ').upper()}", style=STYLES[status]), Text(result.name, style="bold"))
    for check in result.verdict.checks:
        if str(check.status) != "trusted":
            console.print(Text(f"  {check.message}", style=STYLES[str(check.status)]))
    for advice in result.verdict.advice:
        console.print(f"  -> {advice}", markup=False)
    console.print(f"Scope: {result.verdict.scope}.", markup=False, style="dim")
    console.print()
    for estimate in result.estimates:
        console.print(_numbers(estimate))
        console.print()
    console.print(_costs(result))
    console.print()
    console.print(f"Report: {folder / 'report.html'}", markup=False, soft_wrap=True)


def _numbers(estimate: Estimate) -> Table:
    table = _two_columns(estimate.label)
    if estimate.threshold_note:
        table.add_row("threshold", estimate.threshold_note)
    table.add_row("estimate", number(estimate.value))
    kind = "upper bound" if estimate.value == 0 else "interval"
    table.add_row(f"{estimate.confidence:.0%} {kind}", f"{interval(*estimate.interval)}  ({estimate.interval_kind})")
    if estimate.value > 0:
        table.add_row("relative error", percent(estimate.relative_error))
    if estimate.reference is not None:
        gap = (estimate.value - estimate.reference.value) / estimate.std_error if estimate.value > 0 else float("nan")
        table.add_row("reference", f"{number(estimate.reference.value)}, {gap:+.2f} standard errors away")
    d = estimate.diagnostics
    khat = "-" if d["khat"] is None else f"{d['khat']:.2f}"
    table.add_row(
        "weights", f"{count(d['hits'])} hits worth {d['ess']:,.0f}, largest {percent(d['max_share'])}, k-hat {khat}"
    )
    if estimate.value > 0:
        i = estimate.information
        table.add_row("surprise -log P", f"{i.event_nats:.4f} nats = {i.event_bits:.4f} bits: what crude pays")
        table.add_row("KL(optimal||q)", f"{i.proposal_nats:.4f} nats = {i.proposal_bits:.4f} bits: what q pays")
        draws = f"{multiple(i.crude_draws)} draws per effective hit become {multiple(i.proposal_draws)}"
        table.add_row("saved", f"{i.saved_share:.0%}: {draws}")
    return table


def _costs(result: Result) -> Table:
    table = _two_columns("Cost")
    e = result.evaluations
    parts = ", ".join(f"{name} {count(e[name])}" for name in ("explore", "tune", "estimate", "audit") if e[name])
    table.add_row("evaluations", f"{count(e['total'])} ({parts})")
    if result.speedup_over_crude is not None and result.method != "crude":
        table.add_row("against crude", f"{multiple(result.speedup_over_crude)} times fewer evaluations")
    table.add_row("seconds", f"{result.seconds['total']:.2f} (compiling {result.seconds['compile']:.2f})")
    return table


def _two_columns(title: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, show_header=False, padding=(0, 1))
    table.add_column(no_wrap=True, style="cyan")
    table.add_column()
    return table


def show_table(columns: list[str], rows: list[list[str]]) -> None:
    """Print a plain table."""
    table = Table(*columns, box=box.SIMPLE_HEAD)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console(highlight=False).print(table)
