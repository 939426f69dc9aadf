"""Read a run folder back into records: every file is checked, and every complaint names its path.

A folder may come from elsewhere, so links are refused, sizes are limited, and no text can command a terminal.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
import zipfile
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from raresim.errors import ConfigError
from raresim.files import plain_files, run_folders
from raresim.record.codec import Stored, all_visible, entry_of, hints_of, read, shown
from raresim.record.evidence import Evidence
from raresim.record.exhibits import Exhibit
from raresim.record.outcome import RESULT, SCHEMA_VERSION, TEXTS, Arrays, Outcome
from raresim.record.records import ConvergencePoint

__all__ = ["arrays_in", "fields_of", "log_in"]

MAX_BYTES = 256 * 1024**2
FIT_FORMS = ("quantiles", "stability")
TRACE_FORMS = ("line", "points")
EXHIBIT_FORMS = (*TRACE_FORMS, "bars", "curve", "band", "marks")
EXHIBIT_NAME = re.compile(r"[a-z][a-z0-9_]{0,60}")
"""Allowed names of exhibits, after which figures are named: a name that could lead elsewhere is refused."""

STATUSES = ("finished", "interrupted")


def fields_of(folder: Path) -> dict[str, Any]:
    """The fields of the `raresim.record.outcome.Outcome` that ``folder`` holds, by name, without the log.

    Raises
    ------
    ConfigError
        With the file and what is wrong with it: the folder is incomplete, broken, unfinished or of another version of
        the format.
    """
    run_folders.refuse_no_run(folder)
    manifest = _json(folder / "manifest.json")
    if (status := read(str, manifest.child("status"))) not in STATUSES:
        raise ConfigError(f"{manifest.where}: a report needs a finished run, got {status!r}; resume the run first")
    stored = _json(folder / "result.json")
    if (version := stored.child("schema_version").value) != SCHEMA_VERSION:
        raise ConfigError(
            f"{stored.where}.schema_version: this raresim reads version {SCHEMA_VERSION}, got"
            f" {shown(version)}; use the raresim release that wrote the folder"
        )
    kinds = hints_of(Outcome)
    content = {name: entry_of(kinds[name], stored, name) for name in RESULT}
    if not content["estimates"]:
        raise ConfigError(f"{stored.where}.estimates: must hold at least one estimate")
    has_config = manifest.child("config_sha256").value is not None  # a run started from Python has no YAML
    return content | {
        "manifest": {key: value for key, value in manifest.value.items() if key != "status"},
        "texts": {name: _text(folder / name) for name in TEXTS if has_config or os.path.lexists(folder / name)},
        "convergence": _convergence(folder / "convergence.csv", len(content["estimates"])),
        "evidence": _evidence(folder / "evidence.json", FIT_FORMS),
        "trace": _evidence(folder / "trace.json", TRACE_FORMS),
        "exhibits": _exhibits(folder / "exhibits.json"),
        "arrays": _arrays(folder / "arrays.npz"),
    }


def _evidence(path: Path, forms: tuple[str, ...]) -> Evidence:
    """The evidence; empty without the file: most inputs are not fitted, and many methods store no evidence."""
    if not os.path.lexists(path):
        return Evidence()
    stored = _json(path)
    _refuse_tables(stored.child("tables"))
    _refuse_plots(stored.child("plots"), forms)
    evidence: Evidence = read(Evidence, stored)
    return evidence


def _exhibits(path: Path) -> tuple[Exhibit, ...]:
    """The exhibits; none without the file: most measures are single numbers."""
    if not os.path.lexists(path):
        return ()
    stored = _json(path).child("exhibits")
    _refuse_tables(stored)
    for exhibit in stored.items():
        if not EXHIBIT_NAME.fullmatch(read(str, (name := exhibit.child("name")))):
            raise name.wants("lower case letters, digits and underscores")
        _refuse_plots(exhibit.child("plots"), EXHIBIT_FORMS)
    return tuple(read(Exhibit, exhibit) for exhibit in stored.items())


def _refuse_tables(stored: Stored) -> None:
    """Raise `ConfigError` for a table without columns, or with a row whose number of cells differs."""
    for table in stored.items():
        columns, rows = table.child("columns"), table.child("rows")
        if not columns.items():
            raise ConfigError(f"{columns.where}: must name at least one column")
        for row in rows.items():
            if not isinstance(row.value, list) or len(row.value) != len(columns.value):
                raise row.wants(f"a list of {len(columns.value)} cells")


def _refuse_plots(stored: Stored, forms: tuple[str, ...]) -> None:
    """Raise `ConfigError` for a plot whose form is not in ``forms``, or whose numbers do not fit together."""
    for plot in stored.items():
        form = plot.child("form")
        if entry_of(str, plot, "form") not in forms:
            raise form.wants(f"one of {', '.join(forms)}")
        x, y, low, high = points = [_numbers(plot, key) for key in ("x", "y", "low", "high")]
        if form.value in EXHIBIT_FORMS and not low and not high:
            points = [x, y]
        if len(set(map(len, points))) > 1:
            lengths = ", ".join(str(len(numbers)) for numbers in points)
            raise ConfigError(f"{plot.where}: x, y, low and high must have the same length, got {lengths}")
        labels = plot.child("labels").items()
        if form.value == "bars" and len(labels) != len(y):
            raise ConfigError(f"{plot.where}: labels must have the length of y, {len(y)}, got {len(labels)}")


def _numbers(plot: Stored, key: str) -> list[Stored]:
    """The entries of a list of numbers, which must be there."""
    numbers = plot.child(key)
    if key not in plot.value:
        raise ConfigError(f"{numbers.where}: missing")
    if numbers.value is None:
        raise numbers.wants("a list of numbers")
    return numbers.items()


def _convergence(path: Path, n_estimates: int) -> tuple[ConvergencePoint, ...]:
    points = []
    reader = csv.DictReader(_text(path).splitlines())
    names = [field.name for field in fields(ConvergencePoint)]
    if absent := [name for name in names if name not in (reader.fieldnames or ())]:
        raise ConfigError(f"{path}: column {absent[0]!r} is missing")
    for line, row in enumerate(reader, start=2):
        try:
            index, evaluations = int(row["estimate"]), float(row["evaluations"])
            numbers = [math.nan if row[name] == "" else float(row[name]) for name in names[2:]]
        except (TypeError, ValueError):
            raise ConfigError(f"{path}:{line}: must be one whole number and five numbers") from None
        if not 0 <= index < n_estimates:
            raise ConfigError(f"{path}:{line}: estimate {index} is not in result.json, which has {n_estimates}")
        points.append(ConvergencePoint(index, int(evaluations), *numbers))
    return tuple(points)


def log_in(folder: Path) -> tuple[Mapping[str, Any], ...]:
    """The events that the run noted, one object a line of the log; empty without the file.

    Raises
    ------
    ConfigError
        With the file and the line that holds no object.
    """
    path = folder / "log.jsonl"
    if not os.path.lexists(path):
        return ()
    lines = [line for line in _text(path).splitlines() if line]
    return tuple(_object(f"{path}:{number}", line).value for number, line in enumerate(lines, start=1))


_UNREADABLE = (OSError, ValueError, EOFError, TypeError, AttributeError, MemoryError, RuntimeError, zipfile.BadZipFile)
"""Exceptions of numpy and zipfile for archives that are broken, encrypted, or whose arrays claim to be huge."""


def arrays_in(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays of a NumPy archive by name; nothing in it is unpickled.

    Raises
    ------
    ConfigError
        When the file is missing, broken or too large.
    """
    content = _content(path)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            size = sum(entry.file_size for entry in packed.infolist())
        if size > MAX_BYTES:
            raise ConfigError(f"{path}: must unpack to at most {MAX_BYTES:,} bytes, got {size:,}")
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except _UNREADABLE as error:
        raise ConfigError(f"{path}: cannot be read as arrays ({type(error).__name__})") from None


def _arrays(path: Path) -> Arrays:
    stored = arrays_in(path)
    arrays = {}
    for field in fields(Arrays):
        if field.name not in stored and field.name != "top_log_weight":
            raise ConfigError(f"{path}: array {field.name!r} is missing")
        try:
            array = np.asarray(stored.get(field.name, []), dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{path}: cannot be read as arrays ({type(error).__name__})") from None
        if array.ndim != 1 or np.isnan(array).any():
            raise ConfigError(f"{path}: array {field.name!r} must be one-dimensional and free of NaN")
        arrays[field.name] = array
    if arrays["loss"].shape != arrays["log_weight"].shape:
        raise ConfigError(f"{path}: 'loss' and 'log_weight' must have the same length")
    return Arrays(**arrays)


def _json(path: Path) -> Stored:
    return _object(str(path), _text(path))


def _object(where: str, text: str) -> Stored:
    try:
        stored = Stored(where, all_visible(json.loads(text, parse_constant=lambda _: None)))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{where}: is not valid JSON ({error})") from None
    stored.child("")
    return stored


def _text(path: Path) -> str:
    return _content(path).decode("utf-8", errors="replace")


def _content(path: Path) -> bytes:
    """The bytes of a file in the folder itself: a link could bring any other file into the page."""
    if not os.path.lexists(path) or path.is_dir():
        raise ConfigError(f"{path}: missing; the run folder is incomplete")
    return plain_files.whole(path, MAX_BYTES)
