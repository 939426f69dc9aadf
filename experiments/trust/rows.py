"""Files of rows: a dataclass for each row, a compressed table for each kind of run, in ``data``."""

from __future__ import annotations

import csv
import gzip
import io
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import astuple, fields
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

DATA = Path(__file__).parent / "data"

DIGITS = 6
"""Digits of a number in a file; a difference in the last digit is rounding."""


class Row(Protocol):
    """A frozen dataclass of strings, numbers and flags; rows with the same key stand for the same run."""

    @property
    def key(self) -> tuple[Any, ...]: ...

    @property
    def file(self) -> str: ...


T = TypeVar("T", bound=Row)


def read(kind: type[T], files: Iterable[str], folder: Path = DATA) -> dict[tuple[Any, ...], T]:
    """The rows of some files; a file that is not there has none."""
    paths = [folder / f"{name}.csv.gz" for name in files]
    return {row.key: row for path in paths if path.exists() for row in _rows(kind, path)}


def save(new: Iterable[T], folder: Path = DATA) -> None:
    """Add rows to their files; a row replaces one with the same key."""
    folder.mkdir(parents=True, exist_ok=True)
    by_file: dict[str, dict[tuple[Any, ...], T]] = {}
    for row in new:
        by_file.setdefault(row.file, {})[row.key] = row
    for name, of_file in by_file.items():
        kind = type(next(iter(of_file.values())))
        kept = read(kind, [name], folder) | of_file
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(field.name for field in fields(cast(Any, kind)))
        writer.writerows([_written(v) for v in astuple(cast(Any, kept[key]))] for key in sorted(kept))
        path = folder / f"{name}.csv.gz"
        draft = path.with_suffix(f".{os.getpid()}")
        draft.write_bytes(gzip.compress(text.getvalue().encode(), mtime=0))
        draft.replace(path)


def _written(value: str | float | bool) -> str:
    if isinstance(value, bool):
        return str(int(value))
    return f"{value:.{DIGITS}g}" if isinstance(value, float) else str(value)


def _rows(kind: type[T], path: Path) -> Iterator[T]:
    convert: dict[str, Callable[[str], Any]] = {"str": str, "int": int, "float": float, "bool": "1".__eq__}
    columns = fields(cast(Any, kind))
    with gzip.open(path, "rt", newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            yield kind(**{field.name: convert[str(field.type)](row[field.name]) for field in columns})
