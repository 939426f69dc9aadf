"""The progress of a run on standard error: one bar in a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.table import Column
from rich.text import Text

from raresim.report.tables import count, duration

if TYPE_CHECKING:
    from raresim.engine.session import Report
    from raresim.run.experiment import Experiment

FIRST_SECONDS, LINE_SECONDS = 0.8, 10.0
"""Without a terminal, seconds before the first progress line and between two lines."""

SETTLED = 0.5
"""Seconds of a stage before its rate says how long it will take."""


class Forecast(NamedTuple):
    """What a run is expected to draw, as ``raresim check`` predicts it.

    Parameters
    ----------
    search : int
        Rows until the estimate begins.
    estimate : int or None
        Rows of the estimate; None where it ends at an error that is asked.
    audit : float
        Rows of the audit, as a share of those before it.
    """

    search: int = 0
    estimate: int | None = None
    audit: float = 0.0


def forecast(experiment: Experiment) -> Forecast:
    """The prediction for ``experiment``."""
    from raresim.run.audit import SIZES
    from raresim.run.locate import expected_cost, sought

    inputs, stop = experiment.inputs, experiment.stop
    tails = sought(experiment.measures, experiment.method, experiment.known_quantiles is not None)
    budget = experiment.stop.max_evaluations
    search = experiment.method.cost_within(budget, inputs.latent_dim, inputs.dim) + expected_cost(tails)
    size = None if experiment.method.unaudited else SIZES.get(experiment.audit)
    is_fixed = stop.relative_error is None and stop.seconds is None
    return Forecast(
        search, max(0, stop.max_evaluations - search) if is_fixed else None, 0.0 if size is None else size.share
    )


@contextmanager
def progress(quiet: bool) -> Iterator[Report]:
    """Show progress on standard error: a bar in a terminal, plain lines elsewhere, nothing if quiet.

    Both are updated while a slow loss is called, so something moves from the beginning.
    """
    console = Console(stderr=True)
    if quiet:
        yield lambda *_: None
    elif console.is_terminal:
        with Progress(
            TextColumn("{task.description:<8}"),
            BarColumn(bar_width=12),
            _Words(table_column=Column(no_wrap=True)),
            TextColumn("{task.fields[note]}", style="dim", table_column=Column(no_wrap=True, ratio=1)),
            console=console,
            transient=True,
            expand=True,  # the note takes the remaining width, and is cut there
        ) as bars:
            yield _Bar(bars)
    else:
        with _Lines() as lines:
            yield lines


class Both:
    """Tells the progress of a run in two places."""

    def __init__(self, *places: Any) -> None:
        self._places = places

    def expects(self, expected: Forecast) -> None:
        """Take the prediction of the run."""
        for place in self._places:
            if hasattr(place, "expects"):
                place.expects(expected)

    def __call__(self, stage: str, done: int, total: int, note: str) -> None:
        for place in self._places:
            place(stage, done, total, note)


class Course:
    """How far a run has come: rows done of those that are expected, their rate, and the time that is left.

    A row is a draw, or what a method draws in its place: a line, a direction, a whole run of another method.
    """

    def __init__(self) -> None:
        self.expected = Forecast()
        self.stage, self.note = "starting", ""
        self._begun = self._stage_begun = self._heard = time.monotonic()
        self._step = 0  # rows of the step that goes on
        self._before = 0  # rows of the steps before it
        self._at_stage = 0  # rows when the stage began
        self._search: int | None = None  # rows before the estimate, which may be none; None until it begins
        self._estimate = 0
        self._share = 0.0

    def hear(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Record the progress: ``done`` rows of ``total`` in a step of ``stage``; a smaller count is another step."""
        self._heard = time.monotonic()
        if stage != self.stage or done < self._step:
            self._before, self._step = self._before + self._step, 0
        if stage != self.stage:
            self.stage, self._stage_begun, self._at_stage = stage, self._heard, self._before
            if stage == "estimate":
                self._search = self._before
                self._step = done  # rows of an earlier look, or of a run that goes on
                self._at_stage += done
        self._step, self.note = done, note
        if stage == "estimate":
            self._estimate = total

    @property
    def rows(self) -> int:
        """Rows done so far, those of an unfinished run that goes on included."""
        return self._before + self._step

    def share(self) -> float:
        """The share of the run that is done, between 0 and 1; it never falls."""
        total = self._search_total() + self._estimate_total()
        total += round(self.expected.audit * total)
        if total:
            self._share = max(self._share, min(0.99, self.rows / max(total, self.rows)))
        return self._share

    def rate(self) -> float:
        """Rows a second in this stage; 0 while it is not known."""
        seconds = self._heard - self._stage_begun
        return (self.rows - self._at_stage) / seconds if seconds >= SETTLED else 0.0

    def text(self) -> str:
        """For instance ``45 %, 1,200 rows/s, 30 s left``; the time so far where the rate is not known."""
        return ", ".join(part for part in (f"{self.share():.0%}", self.speed(), self.left() or self.time()) if part)

    def speed(self) -> str:
        """For instance ``1,200 rows/s``; empty where the rate is not known."""
        rate = self.rate()
        return f"{count(round(rate)) if rate >= 10 else f'{rate:.2g}'} rows/s" if rate else ""

    def time(self) -> str:
        """The time so far."""
        return duration(round(time.monotonic() - self._begun))

    def left(self) -> str:
        """For instance ``30 s left to search``; empty where that is not known."""
        rate, (rows, what) = self.rate(), self._left()
        if not rate or rows is None:
            return ""
        seconds = rows / rate - (time.monotonic() - self._heard)
        return f"{duration(max(1, math.ceil(seconds)))} left{what}"

    def _search_total(self) -> int:
        return max(self.expected.search, self.rows) if self._search is None else self._search

    def _estimate_total(self) -> int:
        if self._estimate:
            return self._estimate
        return self._search_total() if self.expected.estimate is None else self.expected.estimate

    def _left(self) -> tuple[int | None, str]:
        """Rows left, and of what; None where that is not known."""
        if self.stage == "estimate":
            left = self._estimate - self._step
            return (left, "") if left > 0 else (None, "")
        if self._search is not None:  # an audit, or a further round
            return None, ""
        left = self.expected.search - self.rows
        return (left, " to search") if left > 0 else (None, "")


class _Words(ProgressColumn):
    """The present text of a `Course`."""

    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        return Text(task.fields["course"].text())


class _Bar:
    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._course = Course()
        self._task = bars.add_task("starting", total=None, course=self._course, note="")

    def expects(self, expected: Forecast) -> None:
        """Take the prediction of the run."""
        self._course.expected = expected

    def __call__(self, stage: str, done: int, total: int, note: str) -> None:
        course = self._course
        course.hear(stage, done, total, note)
        self._bars.update(self._task, description=stage, completed=course.share(), total=1.0, note=note)


class _Lines:
    """A line from time to time, even if no progress is reported for long."""

    def __init__(self) -> None:
        self._course = Course()
        self._due = time.monotonic() + min(FIRST_SECONDS, LINE_SECONDS)
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._waiting = threading.Thread(target=self._wait, daemon=True)

    def __enter__(self) -> Self:
        self._waiting.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._waiting.join()

    def expects(self, expected: Forecast) -> None:
        """Take the prediction of the run."""
        with self._lock:
            self._course.expected = expected

    def __call__(self, stage: str, done: int, total: int, note: str) -> None:
        with self._lock:
            self._course.hear(stage, done, total, note)
            self._print_where_due()

    def _wait(self) -> None:
        while not self._over.wait(0.25):
            with self._lock:
                self._print_where_due()

    def _print_where_due(self) -> None:
        now = time.monotonic()
        if now >= self._due:
            self._due = now + max(LINE_SECONDS, 0.0)
            note = f"  {self._course.note}" if self._course.note else ""
            line = f"{self._course.stage}: {self._course.text()}{note}"
            print(line, file=sys.stderr, flush=True)  # noqa: T201
