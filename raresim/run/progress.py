"""The progress of a run in Python: a bar, or a function that is told."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape

from raresim.arguments.typed import shown
from raresim.engine.session import Report
from raresim.errors import FieldError


@dataclass(frozen=True)
class StageProgress:
    """How far a run is.

    Parameters
    ----------
    stage : str
        ``explore``, ``tune``, ``estimate`` or ``audit``, or a step of a method or measure such as ``fit``. A stage can
        begin again: ``done`` is then smaller than before.
    done : int
        Rows that are done; 0 when the stage begins.
    total : int
        Rows in all; 0 where that is not known. It can grow.
    text : str
        What the stage does or has found so far, such as ``relative error 3.60 %, asked 1.00 %``; may be empty.
    seconds : float
        Time since the run began, in seconds.
    """

    stage: str
    done: int
    total: int
    text: str
    seconds: float

    @property
    def share(self) -> float | None:
        """``done / total``, from 0 to 1; None where the total is not known."""
        return self.done / self.total if self.total else None


EVERY = 0.2
"""Seconds between two pictures of the bars in a notebook."""

Watcher = bool | Callable[[StageProgress], object] | None
"""True for a bar, a function that is told, or nothing."""


@contextmanager
def reporting(progress: Watcher) -> Iterator[Report]:
    """What a run reports to while it lasts.

    Raises
    ------
    FieldError
        When ``progress`` is neither a truth value nor a function.
    """
    if progress is None or progress is False:
        yield lambda *_: None
    elif progress is True:
        from rich.console import Console

        with _in_notebook() if Console().is_jupyter else _bars() as report:
            yield report
    elif callable(progress) and not isinstance(progress, type):
        begun, tell = time.monotonic(), progress

        def told(stage: str, done: int, total: int, text: str) -> None:
            tell(StageProgress(stage, done, total, text, time.monotonic() - begun))

        yield told
    else:
        raise FieldError("progress", f"must be True, False or a function of a StageProgress, got {shown(progress)}")


@contextmanager
def _bars() -> Iterator[Report]:
    """A bar for each stage, on standard error."""
    from rich import progress as rich
    from rich.console import Console
    from rich.markup import escape as as_it_is

    columns = (
        rich.TextColumn("{task.description:<9}"),
        rich.BarColumn(bar_width=20),
        rich.MofNCompleteColumn(),
        rich.TimeElapsedColumn(),
        rich.TextColumn("{task.fields[text]}"),
    )
    with rich.Progress(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, rich.TaskID] = {}

        def report(stage: str, done: int, total: int, text: str) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=None, text="")
            bars.update(tasks[stage], completed=done, total=total or None, text=as_it_is(text))

        yield report


@contextmanager
def _in_notebook() -> Iterator[Report]:
    """A bar for each stage below the cell, in HTML that every notebook shows: rich needs widgets for it."""
    from IPython.display import HTML, display

    shown = display(HTML(""), display_id=True)
    stages: dict[str, tuple[int, int, str]] = {}
    drawn = time.monotonic()

    def report(stage: str, done: int, total: int, text: str) -> None:
        nonlocal drawn
        stages[stage] = done, total, text
        if time.monotonic() - drawn >= EVERY:
            shown.update(HTML(_table(stages)))
            drawn = time.monotonic()

    try:
        yield report
    finally:
        shown.update(HTML(_table(stages)))


def _table(stages: Mapping[str, tuple[int, int, str]]) -> str:
    """The bars as a table: stage, share, rows, and what it does."""
    rows = []
    for stage, (done, total, text) in stages.items():
        bar = f'<progress value="{done}" max="{max(total, done, 1)}"></progress>' if total else ""
        count = f"{done:,} of {total:,}" if total else f"{done:,}"
        rows.append("".join(f"<td>{cell}</td>" for cell in (escape(stage), bar, count, escape(text))))
    return f"<table>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"
