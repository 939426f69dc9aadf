"""One run of a method on a problem, and the files in which runs are kept: ``data/measured/METHOD.csv.gz``."""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import math
import os
import signal
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
from problems import PROBLEMS, Loss, ReferenceProblem, total
from targets import TARGETS

from raresim import FieldError, Linear, estimate
from raresim.numerics.arrays import Float
from raresim.run.result import Result

MEASURED = Path(__file__).parent / "data" / "measured"
QUESTIONS: dict[str, ReferenceProblem] = PROBLEMS | {id: target.problem for id, target in TARGETS.items()}
"""Reference problems and targets by id."""

Key = tuple[str, str, float, int, int]
"""Method, problem, relative error asked for, largest number of evaluations, seed."""

REFUSED, FAILED = "refused", "failed"

ROUNDING = 1e-6
"""Relative difference that counts as none: files of runs hold seven digits, and some methods are exact."""


@dataclass(frozen=True)
class Run:
    """A row of a file of runs.

    Parameters
    ----------
    method, problem, error, budget, seed
        What was run; see `Key`.
    estimate, reported : float
        The estimate and its relative error; NaN without an estimate.
    low, high : float
        The 95 % interval.
    covered : bool
        Whether the interval holds the answer, within the accuracy of the answer.
    before, sample, audit : int
        Evaluations reported for exploring and tuning, for the estimate, and for the audit.
    calls : int
        Rows that the loss was given, as counted here.
    seconds : float
        Seconds of the whole run, without numba's compiler.
    verdict : str
        Raresim's verdict; or `REFUSED`, when the method does not take the question, or `FAILED`.
    outcome : str
        The end of the tuning in words, or the message of the error.
    """

    method: str
    problem: str
    error: float
    budget: int
    seed: int
    estimate: float
    reported: float
    low: float
    high: float
    covered: bool
    before: int
    sample: int
    audit: int
    calls: int
    seconds: float
    verdict: str
    outcome: str

    @property
    def key(self) -> Key:
        return self.method, self.problem, self.error, self.budget, self.seed

    @property
    def evaluations(self) -> int:
        return self.before + self.sample + self.audit

    @property
    def deviation(self) -> float:
        """Relative deviation from the answer."""
        return self.estimate / QUESTIONS[self.problem].probability - 1.0

    def within(self, errors: float) -> bool:
        """Whether the estimate is within so many reported errors of the answer."""
        slack = ROUNDING + QUESTIONS[self.problem].rel_accuracy
        return abs(self.deviation) <= errors * self.reported * (1.0 + self.deviation) + slack

    @property
    def answered(self) -> bool:
        """Whether there is an estimate."""
        return self.verdict not in {REFUSED, FAILED}


class OutOfTime(BaseException):
    """Not an `Exception`, because raresim turns an exception of a loss into an error of its own, and this must pass."""


@dataclass(eq=False)
class Counted:
    """A loss that counts the rows it is given."""

    loss: Loss
    rows: int = 0

    def __call__(self, x: Float) -> Float:
        self.rows += len(x)
        return self.loss(x)


def measure(key: Key, seconds: float) -> Run:
    """Run a method on a problem; whatever goes wrong is part of the result.

    Parameters
    ----------
    key : Key
        What to run.
    seconds : float
        Seconds after which the run is given up, by an alarm that Windows does not have; it rings between two steps of
        Python.
    """
    method, id, error, budget, seed = key
    problem = QUESTIONS[id]
    counted = Counted(problem.loss)
    loss = linear(problem) if method == "asmussen_kroese" and problem.loss is total else counted
    begun = time.perf_counter()

    def run() -> Result:
        return estimate(
            problem.inputs, loss, problem.measure, method, seed=seed, relative_error=error, max_evaluations=budget
        )

    result, verdict, outcome = attempt(run, seconds)
    if result is not None:
        number, spent = result.estimates[0], result.evaluations
        slack = problem.probability * (ROUNDING + problem.rel_accuracy)
        return Run(
            *key,
            estimate=number.value,
            reported=number.relative_error,
            low=number.interval[0],
            high=number.interval[1],
            covered=bool(number.interval[0] - slack <= problem.probability <= number.interval[1] + slack),
            before=spent["explore"] + spent["tune"] + spent.get("rounds", 0),
            sample=spent["estimate"],
            audit=spent["audit"],
            calls=counted.rows,
            seconds=result.seconds["total"] - result.seconds["compile"],
            verdict=str(result.verdict.status),
            outcome=result.search["outcome"],
        )
    none = (math.nan,) * 4
    return Run(*key, *none, False, 0, 0, 0, counted.rows, time.perf_counter() - begun, verdict, outcome)


def linear(problem: ReferenceProblem) -> Linear:
    """The sum of the inputs, as the loss that `asmussen_kroese` asks for."""
    return Linear(weights=np.ones(problem.inputs.dim), factors="losses")


@contextmanager
def alarm(seconds: float) -> Iterator[None]:
    """Raise `OutOfTime` in the block after so many seconds."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise OutOfTime

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)  # again every second: an alarm in a finaliser is lost
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def attempt(run: Callable[[], Result], seconds: float) -> tuple[Result | None, str, str]:
    """The result of a run; or None with `REFUSED` or `FAILED` and the reason."""
    try:
        with alarm(seconds):
            return run(), "", ""
    except OutOfTime:
        return None, FAILED, f"not done after {seconds:g} s"
    except FieldError as refusal:
        return None, REFUSED, str(refusal)
    except Exception as bug:
        return None, FAILED, f"{type(bug).__name__}: {bug}"


def some_of(known: Collection[str]) -> Callable[[str], list[str]]:
    """An argument that lists members of ``known``."""

    def parse(text: str) -> list[str]:
        names = text.split(",")
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(f"unknown {name!r}; one of {', '.join(known)}")
        return names

    return parse


def read(folder: Path = MEASURED, methods: Iterable[str] | None = None) -> dict[Key, Run]:
    """The runs that are kept, of all methods or of some."""
    paths = sorted(folder.glob("*.csv.gz")) if methods is None else [_path(folder, method) for method in methods]
    runs = [run for path in paths if path.exists() for run in _rows(path)]
    return {run.key: run for run in runs}


def save(runs: Iterable[Run], folder: Path = MEASURED) -> None:
    """Add ``runs`` to the files; a run replaces one with the same key."""
    folder.mkdir(parents=True, exist_ok=True)
    new: dict[str, dict[Key, Run]] = {}
    for run in runs:
        new.setdefault(run.method, {})[run.key] = run
    for method, of_method in new.items():
        kept = read(folder, [method]) | of_method
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(field.name for field in fields(Run))
        writer.writerows([_written(v) for v in astuple(kept[key])] for key in sorted(kept))
        path = _path(folder, method)
        draft = path.with_suffix(f".{os.getpid()}")
        draft.write_bytes(gzip.compress(text.getvalue().encode(), mtime=0))
        draft.replace(path)


def _path(folder: Path, method: str) -> Path:
    return folder / f"{method}.csv.gz"


def _written(value: str | float | bool) -> str:
    if isinstance(value, bool):
        return str(int(value))
    return f"{value:.7g}" if isinstance(value, float) else str(value)


def _rows(path: Path) -> Iterator[Run]:
    convert: dict[str, Callable[[str], Any]] = {"str": str, "int": int, "float": float, "bool": "1".__eq__}
    with gzip.open(path, "rt", newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            yield Run(**{field.name: convert[str(field.type)](row[field.name]) for field in fields(Run)})
