"""Finished runs of one problem side by side: the answer of each, and its price.

Only run folders are read: no user code is imported, nothing is unpickled.
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from raresim.arguments.typed import argument
from raresim.errors import ConfigError, FieldError
from raresim.files import yaml_tree
from raresim.record.codec import plain
from raresim.record.frames import Library, frame
from raresim.record.outcome import Outcome
from raresim.record.records import Estimate
from raresim.report import tables
from raresim.report.run import Run, read

SCHEMA_VERSION = 1


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
        The method, with the same options in all runs.
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
        names = [f.name for f in fields(Row)]
        return frame(names, [[getattr(row, name) for name in names] for row in self.rows], library)

    def save(self, folder: Path) -> None:
        """Write ``compare.json`` and ``compare.csv``."""
        text = json.dumps({"schema_version": SCHEMA_VERSION, **asdict(self)}, indent=1, allow_nan=False)
        (folder / "compare.json").write_text(text + "\n", encoding="utf-8")
        with (folder / "compare.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, [f.name for f in fields(Row)], lineterminator="\n")
            writer.writeheader()
            writer.writerows(asdict(row) for row in self.rows)


def compare(
    runs: Sequence[Outcome | str | Path], names: Sequence[str] | None = None, failures: Sequence[Failure] = ()
) -> Comparison:
    """Put runs of one problem side by side.

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
        When the runs were not asked the same question of the same model, or a folder cannot be read.
    """
    runs = argument("runs", runs, Sequence[Outcome | str | Path])
    if not runs:
        raise FieldError("runs", "must be at least one result or run folder, got none")
    read_runs = [Run.of(each) if isinstance(each, Outcome) else read(Path(each)) for each in runs]
    names = names_of(read_runs) if names is None else argument("names", names, Sequence[str])
    if len(names) != len(runs) or len(set(names)) != len(names):
        raise FieldError("names", f"must be {len(runs)} different names, one for each run, got {', '.join(names)}")
    return _compared(read_runs, names, failures)


def _compared(runs: Sequence[Run], names: Sequence[str], failures: Sequence[Failure]) -> Comparison:
    first, *others = runs
    notes = [note for other in others for note in _differences(first, other)]
    labels = tuple(estimate.label for estimate in first.estimates)
    rows = [
        [_row(k, label, run, name) for run, name in zip(runs, names, strict=True)] for k, label in enumerate(labels)
    ]
    notes += [
        f"the interval of {row.run} does not hold at its confidence: its weights may have no variance"
        for row in (row for answers in rows for row in answers)
        if not row.holds_confidence
    ]
    spreads = [
        _spread([answers[place] for place in same])
        for answers in rows
        for same in _same_but_for_the_seed(runs)
        if sum(bool(answers[place].value) for place in same) > 1
    ]
    return Comparison(
        labels,
        tuple(row for answers in rows for row in answers),
        tuple(spreads),
        tuple(failures),
        tuple(dict.fromkeys(notes)),
    )


def names_of(runs: Sequence[Run]) -> list[str]:
    """The method of each run if that tells them apart, else with its seed, its folder, or its whole path."""
    for naming in (
        lambda run: run.method,
        lambda run: f"{run.method}, seed {run.seed}",
        lambda run: f"{run.method}, {run.folder.resolve().name}",
    ):
        names = [naming(run) for run in runs]
        if len(set(names)) == len(names):
            return names
    names = [str(run.folder) for run in runs]
    return names if len(set(names)) == len(names) else [f"run {k}" for k in range(1, len(runs) + 1)]


def _row(k: int, label: str, run: Run, name: str) -> Row:
    estimate = run.estimates[k]
    evaluations = run.evaluations.get("total")
    error = plain(estimate.relative_error) if estimate.value else None
    reference = None if estimate.reference is None else estimate.reference.value
    away = covers = None
    if reference is not None:
        if estimate.value and estimate.has_error:
            away = (estimate.value - reference) / estimate.std_error
        if tables.is_known(estimate.lower) and tables.is_known(estimate.upper):
            covers = estimate.lower <= reference <= estimate.upper or estimate.is_exactly_the_reference
    return Row(
        measure=k,
        label=label,
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
    )


def _same_but_for_the_seed(runs: Sequence[Run]) -> list[list[int]]:
    """Indices of the runs that share a method and its options, one for each seed."""
    groups: dict[tuple[str, tuple[str, ...]], dict[str, int]] = {}
    for place, run in enumerate(runs):
        options = (run.method, tuple(run.description.get("method", ())))
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
        method=rows[0].method,
        runs=len(rows),
        trusted=sum(row.verdict == "trusted" for row in rows),
        mean=mean,
        between=between,
        reported=math.sqrt(math.fsum(error**2 for error in errors) / len(errors)) if errors else None,
        work=between**2 * math.fsum(spent) / len(spent) if spent else None,
        covered=sum(covers) if covers else None,
    )


def _differences(first: Run, other: Run) -> list[str]:
    """Notes on what differs; raises if the two runs answer different questions."""
    for part in ("inputs", "loss"):
        if _part(first, other, part) != _part(other, first, part):
            raise ConfigError(f"{other.folder}: its {part} section differs from {first.folder}: nothing to compare")
    changed = _hashes(first).items() ^ _hashes(other).items()
    if changed:
        raise ConfigError(
            f"{other.folder}: its input files differ from those of {first.folder}: {min(name for name, _ in changed)}"
        )
    if len(first.estimates) != len(other.estimates):
        raise ConfigError(
            f"{other.folder}: it has {len(other.estimates)} measures and {first.folder} has {len(first.estimates)}"
        )
    return [
        note for a, b in zip(first.estimates, other.estimates, strict=True) for note in _questions(first, other, a, b)
    ]


def _questions(first: Run, other: Run, a: Estimate, b: Estimate) -> list[str]:
    """Notes on thresholds in standard deviations: estimates of them by the runs may differ by noise."""
    if (a.kind, a.direction, a.level) == (b.kind, b.direction, b.level):
        if plain(a.threshold) == plain(b.threshold) or (a.level is not None and a.level == b.level):
            return []
        asked = a.threshold_note.partition(":")[0]
        if asked.endswith("sigma") and asked == b.threshold_note.partition(":")[0]:
            return [
                f"{asked} is {a.threshold:.6g} in one run and {b.threshold:.6g} in another: each estimated the standard"
                " deviation from draws of its own"
            ]
    raise ConfigError(f"{other.folder}: it asks for {b.label}, {first.folder} for {a.label}: nothing to compare")


def _part(run: Run, beside: Run, part: str) -> Any:
    """What identifies a part of the problem: its config if both runs have one, else the description by the run."""
    if "resolved.yaml" in run.texts and "resolved.yaml" in beside.texts:
        content = yaml_tree.parse(run.texts["resolved.yaml"], str(run.folder / "resolved.yaml"))
        return _without_folders(content.data.get(part))
    return run.description.get(part)


def _without_folders(value: Any) -> Any:
    """``value`` with paths reduced to their last part: a file is identified by its hash, wherever it lies."""
    if isinstance(value, dict):
        return {key: _without_folders(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_folders(item) for item in value]
    return re.split(r"[/\\]", value)[-1] if isinstance(value, str) else value


def _hashes(run: Run) -> dict[str, str]:
    """Name and SHA-256 of each input file."""
    files = run.manifest.get("files")
    given = [entry for entry in files if isinstance(entry, dict)] if isinstance(files, list) else []
    return {str(entry.get("name")): str(entry.get("sha256")) for entry in given}
