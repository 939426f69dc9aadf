"""Finished runs side by side: the answer of each, its price, and what changed between them.

Only run folders are read: no user code is imported, nothing is unpickled.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from raresim.arguments.typed import argument
from raresim.errors import ConfigError, FieldError
from raresim.record.codec import plain
from raresim.record.frames import Library, frame
from raresim.record.outcome import Outcome
from raresim.record.records import Estimate
from raresim.report import settings, tables
from raresim.report.run import Run, read

SCHEMA_VERSION = 1

TWO_SIDED_95 = 1.959963984540054
"""Standard errors on each side of a 95 % interval."""

APART = 4.0
"""Standard errors that two answers to one question may be apart: chance goes beyond in one of 16,000 pairs."""


@dataclass(frozen=True)
class Row:
    """One run's answer to one question, and its price.

    Parameters
    ----------
    measure : int
        Index of the question.
    label, run, method, seed : str
        The question, the run's short name, its method and its seed.
    value, lower, upper, relative_error : float or None
        Estimate, ends of its interval and relative error, dimensionless; None without a hit.
    evaluations, seconds : float or None
        Evaluations and seconds of the whole run, tuning included.
    work : float or None
        Squared relative error times evaluations, in evaluations; smaller is better.
    reference, standard_errors : float or None
        A value from elsewhere, and the estimate minus this value, in standard errors.
    covers : bool or None
        Whether the interval contains the reference.
    verdict : str
        Verdict of this estimate.
    holds_confidence : bool
        Whether the interval holds at its confidence.
    difference, difference_lower, difference_upper : float or None
        The value minus that of the first run, and the ends of its 95 % interval; None without an error of both. The
        runs count as independent.
    changed : mapping
        The keys of the configs that are not the same in all runs, with the run's own values.
    """

    measure: int
    label: str
    run: str
    method: str
    seed: str
    value: float | None
    lower: float | None
    upper: float | None
    relative_error: float | None
    evaluations: float | None
    seconds: float | None
    work: float | None
    reference: float | None
    standard_errors: float | None
    covers: bool | None
    verdict: str
    holds_confidence: bool = True
    difference: float | None = None
    difference_lower: float | None = None
    difference_upper: float | None = None
    changed: Mapping[str, Any] = field(default_factory=dict)

    def flat(self) -> dict[str, Any]:
        """The fields by name, with a column for each changed key after the seed."""
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "changed"}
        place = list(own).index("seed") + 1
        items = list(own.items())
        return dict([*items[:place], *self.changed.items(), *items[place:]])


@dataclass(frozen=True)
class Failure:
    """A method that did not run on the problem, with the reason.

    ``exit_code`` is 0 if the method does not fit the problem, else the code of the error in the user's loss or data.
    """

    run: str
    message: str
    exit_code: int = 0


@dataclass(frozen=True)
class Spread:
    """Several runs of one method that differ only in the seed.

    Parameters
    ----------
    measure : int
        Index of the question.
    method : str
        The method, with the same options in all runs, and what changed between this and other groups of runs.
    runs, trusted : int
        Number of runs, and of trusted runs.
    mean : float
        Mean of the estimates.
    between : float
        Standard deviation of the estimates divided by their mean: the error that the seeds show.
    reported : float or None
        Root mean square of the relative errors that the runs report: it should be as large as ``between``.
    work : float or None
        Square of ``between`` times the mean evaluations.
    covered : int or None
        Number of intervals that contain the reference.
    """

    measure: int
    method: str
    runs: int
    trusted: int
    mean: float
    between: float
    reported: float | None
    work: float | None
    covered: int | None


@dataclass(frozen=True, repr=False)
class Comparison:
    """The content of a comparison.

    Parameters
    ----------
    labels : tuple of str
        The questions.
    rows : tuple of Row
        Rows by question, then in the order of the runs.
    spreads : tuple of Spread
        One for each question and each method, with the same options, that was run with several seeds.
    failures : tuple of Failure
        Methods that did not run.
    notes : tuple of str
        What keeps the runs from being comparable digit by digit, and which intervals do not hold at their confidence.
    """

    labels: tuple[str, ...]
    rows: tuple[Row, ...]
    spreads: tuple[Spread, ...]
    failures: tuple[Failure, ...]
    notes: tuple[str, ...]

    @property
    def has_several_problems(self) -> bool:
        """Whether a changed key makes the runs answer different problems, and not one in different ways."""
        return any(settings.is_of_the_problem(key) for row in self.rows for key in row.changed)

    @property
    def names(self) -> list[str]:
        """The short name of each run."""
        return list(dict.fromkeys(row.run for row in self.rows))

    def __repr__(self) -> str:
        lines = []
        for row in self.rows:
            ends = "" if row.lower is None or row.upper is None else tables.interval(row.lower, row.upper)
            cells = (row.label, row.run, tables.number(row.value), ends, row.verdict)
            lines.append("  ".join(filter(None, cells)))
        lines += [f"{failure.run}: {failure.message}" for failure in self.failures]
        return "\n".join([*lines, *self.notes])

    def to_frame(self, library: Library | None = None) -> Any:
        """The rows as a data frame of pandas or polars; see `raresim.record.frames.frame`."""
        rows = [row.flat() for row in self.rows]
        return frame(list(rows[0]), [list(row.values()) for row in rows], library)

    def save(self, folder: Path) -> None:
        """Write ``compare.json`` and ``compare.csv``."""
        text = json.dumps({"schema_version": SCHEMA_VERSION, **asdict(self)}, indent=1, allow_nan=False)
        (folder / "compare.json").write_text(text + "\n", encoding="utf-8")
        with (folder / "compare.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(self.rows[0].flat()), lineterminator="\n")
            writer.writeheader()
            writer.writerows(row.flat() for row in self.rows)


def compare(
    runs: Sequence[Outcome | str | Path], names: Sequence[str] | None = None, failures: Sequence[Failure] = ()
) -> Comparison:
    """Put runs side by side: of one problem, or of several that differ in a few keys of their configs.

    Parameters
    ----------
    runs : sequence of results or run folders
        At least one.
    names : sequence of str, optional
        A short name for each run, all different. Left out, the method of each, with its seed or folder where needed.
    failures : sequence of Failure
        Methods that did not run.

    Returns
    -------
    Comparison
        ``print(comparison)`` shows a line for each answer; ``comparison.to_frame()`` has all columns.

    Raises
    ------
    FieldError
        When there is no run, or the names are not as many different ones.
    ConfigError
        When the runs were not asked the same questions, or a folder cannot be read.
    """
    runs = argument("runs", runs, Sequence[Outcome | str | Path])
    if not runs:
        raise FieldError("runs", "must be at least one result or run folder, got none")
    read_runs = [Run.of(each) if isinstance(each, Outcome) else read(Path(each)) for each in runs]
    names = argument("names", names, Sequence[str] | None)
    if names is not None and (len(names) != len(runs) or len(set(names)) != len(names)):
        raise FieldError("names", f"must be {len(runs)} different names, one for each run, got {', '.join(names)}")
    return _compared(read_runs, names, failures)


def _compared(runs: Sequence[Run], names: Sequence[str] | None, failures: Sequence[Failure]) -> Comparison:
    first, *others = runs
    keys = settings.changed(runs)
    another = any(map(settings.is_of_the_problem, keys))
    notes = [note for other in others for note in _differences(first, other, another)]
    own = [{key: values[place] for key, values in keys.items()} for place in range(len(runs))]
    named = names_of(runs, own) if names is None else names
    rows = [
        [_row(k, run, name, changes, first) for run, name, changes in zip(runs, named, own, strict=True)]
        for k in range(len(first.estimates))
    ]
    notes += [
        f"the interval of {row.run} does not hold at its confidence: the variance of its weights may be infinite"
        for row in (row for answers in rows for row in answers)
        if not row.holds_confidence
    ]
    if not another:
        notes += [note for answers in rows for note in _disagreements(answers)]
    spreads = [
        _spread([answers[place] for place in same])
        for answers in rows
        for same in _same_but_for_the_seed(runs, own)
        if sum(bool(answers[place].value) for place in same) > 1
    ]
    return Comparison(
        tuple(_label([run.estimates[k] for run in runs]) for k in range(len(rows))),
        tuple(row for answers in rows for row in answers),
        tuple(spreads),
        tuple(failures),
        tuple(dict.fromkeys(notes)),
    )


def _label(estimates: Sequence[Estimate]) -> str:
    """The question: its label where all runs have the same, else what it is about."""
    first = estimates[0]
    if all(e.label == first.label for e in estimates):
        return first.label
    return first.kind.replace("_", " ").capitalize()


def _disagreements(rows: Sequence[Row]) -> list[str]:
    """Notes on answers to one question that differ by more than their errors explain."""
    notes = []
    for k, row in enumerate(rows):
        for other in rows[:k]:
            errors = _errors_apart(row, other)
            if errors is not None and errors > APART and {row.verdict, other.verdict} <= {"trusted", "caution"}:
                notes.append(
                    f"{row.run} and {other.run} disagree on {row.label}: they are {errors:.1f} standard errors apart"
                )
    return notes


def _errors_apart(row: Row, other: Row) -> float | None:
    if row.value is None or other.value is None or row.relative_error is None or other.relative_error is None:
        return None
    error = math.hypot(row.value * row.relative_error, other.value * other.relative_error)
    return abs(row.value - other.value) / error if error > 0 else None


def names_of(runs: Sequence[Run], changed: Sequence[Mapping[str, Any]] = ()) -> list[str]:
    """What tells the runs apart: their methods, else what else changed, the seed, the folder, or the whole path."""
    told = [_told(own) for own in changed] or [""] * len(runs)
    for naming in (
        lambda run, own: run.method,
        lambda run, own: own,
        lambda run, own: ", ".join(filter(None, (run.method, own))),
        lambda run, own: ", ".join(filter(None, (run.method, own, f"seed {run.seed}"))),
        lambda run, own: ", ".join(filter(None, (run.method, own, run.folder.resolve().name))),
    ):
        names = [naming(run, own) for run, own in zip(runs, told, strict=True)]
        if len(set(names)) == len(names):
            return names
    names = [str(run.folder) for run in runs]
    return names if len(set(names)) == len(names) else [f"run {k}" for k in range(1, len(runs) + 1)]


def _told(changed: Mapping[str, Any]) -> str:
    """Changed keys, by their last parts, with their values."""
    return ", ".join(f"{key.rpartition('.')[2]}={value}" for key, value in changed.items())


def _row(k: int, run: Run, name: str, changes: Mapping[str, Any], first: Run) -> Row:
    estimate, base = run.estimates[k], first.estimates[k]
    evaluations = run.evaluations.get("total")
    error = plain(estimate.relative_error) if estimate.value else None
    reference = None if estimate.reference is None else estimate.reference.value
    away = covers = None
    if reference is not None:
        if estimate.value and estimate.has_error:
            away = (estimate.value - reference) / estimate.std_error
        if tables.is_known(estimate.lower) and tables.is_known(estimate.upper):
            covers = estimate.lower <= reference <= estimate.upper or estimate.is_exactly_the_reference
    differs = run is not first and estimate.has_error and base.has_error
    difference = estimate.value - base.value
    half = TWO_SIDED_95 * math.hypot(estimate.std_error, base.std_error) if differs else 0.0
    return Row(
        measure=k,
        label=estimate.label,
        run=name,
        method=run.method,
        seed=str(run.seed),
        value=plain(estimate.value),
        lower=plain(estimate.lower),
        upper=plain(estimate.upper),
        relative_error=error,
        evaluations=evaluations,
        seconds=run.seconds.get("total"),
        work=None if error is None or evaluations is None else error**2 * evaluations,
        reference=reference,
        standard_errors=away,
        covers=covers,
        verdict=estimate.verdict.status,
        holds_confidence=estimate.holds_confidence,
        difference=difference if differs else None,
        difference_lower=difference - half if differs else None,
        difference_upper=difference + half if differs else None,
        changed=dict(changes),
    )


def _same_but_for_the_seed(runs: Sequence[Run], changed: Sequence[Mapping[str, Any]]) -> list[list[int]]:
    """Indices of the runs that share a method, its options and every changed key, one for each seed."""
    groups: dict[tuple[str, ...], dict[str, int]] = {}
    for place, (run, own) in enumerate(zip(runs, changed, strict=True)):
        options = (run.method, *run.description.get("method", ()), *map(repr, own.items()))
        groups.setdefault(options, {}).setdefault(str(run.seed), place)
    return [list(by_seed.values()) for by_seed in groups.values()]


def _spread(rows: list[Row]) -> Spread:
    """The spread of the runs. A run without a hit counts as zero: without it the mean would be too large."""
    values = [row.value or 0.0 for row in rows]
    mean = math.fsum(values) / len(values)
    between = math.sqrt(math.fsum((value / mean - 1.0) ** 2 for value in values) / (len(values) - 1))
    errors = [row.relative_error for row in rows if row.relative_error is not None]
    spent = [row.evaluations for row in rows if row.evaluations is not None]
    covers = [row.covers for row in rows if row.covers is not None]
    return Spread(
        measure=rows[0].measure,
        method=", ".join(filter(None, (rows[0].method, _told(rows[0].changed)))),
        runs=len(rows),
        trusted=sum(row.verdict == "trusted" for row in rows),
        mean=mean,
        between=between,
        reported=math.sqrt(math.fsum(error**2 for error in errors) / len(errors)) if errors else None,
        work=between**2 * math.fsum(spent) / len(spent) if spent else None,
        covered=sum(covers) if covers else None,
    )


def _differences(first: Run, other: Run, another: bool) -> list[str]:
    """Notes on what differs; raises if the two runs answer different questions. ``another``: the problem may differ."""
    if len(first.estimates) != len(other.estimates):
        few, many = sorted((first, other), key=lambda run: len(run.estimates))
        known = {e.label for e in few.estimates}
        more = [f"{e.label}{'' if e.asked else ' (added)'}" for e in many.estimates if e.label not in known]
        alone = f", and one of them alone has {', '.join(more[:5])}" if more else ""
        counts = f"it has {len(other.estimates)} measures and {first.folder} has {len(first.estimates)}"
        raise ConfigError(f"{other.folder}: {counts}; runs that are compared ask the same{alone}")
    pairs = zip(first.estimates, other.estimates, strict=True)
    return [note for a, b in pairs for note in _questions(first, other, a, b, another)]


def _questions(first: Run, other: Run, a: Estimate, b: Estimate, another: bool) -> list[str]:
    """Notes on thresholds in standard deviations: estimates of them by the runs may differ by noise."""
    if (a.kind, a.direction) == (b.kind, b.direction) and (another or a.level == b.level):
        if another or plain(a.threshold) == plain(b.threshold) or (a.level is not None and a.level == b.level):
            return []
        asked = a.threshold_note.partition(":")[0]
        if asked.endswith("sigma") and asked == b.threshold_note.partition(":")[0]:
            return [
                f"{asked} is {a.threshold:.6g} in one run and {b.threshold:.6g} in another: each estimated the standard"
                " deviation from draws of its own"
            ]
    raise ConfigError(f"{other.folder}: it asks for {b.label}, {first.folder} for {a.label}: nothing to compare")
