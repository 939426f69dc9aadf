"""A weighted sample of the event: draws with their losses and weights, in memory and as a file of the run folder."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from raresim.errors import ConfigError, FieldError
from raresim.files import plain_files
from raresim.numerics.arrays import Float
from raresim.record.frames import Library, of_columns

Format = Literal["csv", "parquet"]

LAST = ("loss", "log_weight", "weight")
"""The columns after the factors and the losses of the parts."""

MAX_BYTES = 2 * 1024**3
"""Largest file that is read."""


@dataclass(frozen=True, eq=False)
class Draws:
    """Draws of the event, a row each.

    Parameters
    ----------
    columns : tuple of str
        Names of the columns: risk factors, losses of parts (``loss of NAME``), then ``loss``, ``log_weight`` and
        ``weight``.
    values : (k, c) float64
        Factors and losses in their units; log weights ``log p/q`` in nats; weights as probabilities: the sum of
        ``weight`` over the rows of an event estimates its probability.
    format : "csv" or "parquet"
        Format of the file.
    """

    columns: tuple[str, ...]
    values: Float
    format: Format = "csv"

    @property
    def file(self) -> str:
        """Name of the file in the run folder."""
        return f"draws.{self.format}"

    def to_arrays(self) -> dict[str, Float]:
        """Each column by its name, (k,) float64."""
        return {name: self.values[:, k].copy() for k, name in enumerate(self.columns)}

    def to_frame(self, library: Library | None = None) -> Any:
        """A data frame of pandas or polars; see `raresim.record.frames.frame`."""
        return of_columns(self.to_arrays(), library)

    def to_bytes(self) -> bytes:
        """The content of the file; a number in CSV has as many digits as tell it from its neighbours."""
        if self.format == "parquet":
            return _to_parquet(self.to_arrays())
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows(self.values.tolist())
        return text.getvalue().encode()


def refuse_no_parquet(format: Format) -> None:
    """Raise `FieldError` where Parquet is asked for and pyarrow is not installed."""
    if format == "parquet":
        try:
            import pyarrow  # type: ignore[import-untyped]  # noqa: F401
        except ImportError:
            raise FieldError("format", "parquet needs pyarrow: pip install 'raresim[arrow]', or use csv") from None


def read_draws(folder: Path) -> Draws | None:
    """The draws that a run folder holds; None without a file of them.

    Raises
    ------
    ConfigError
        With the file, and the line and column where a cell is not a number.
    """
    for form in get_args(Format):
        path = folder / f"draws.{form}"
        if os.path.lexists(path):
            columns = _of_csv(path) if form == "csv" else _of_parquet(path)
            if missing := [name for name in LAST if name not in columns]:
                raise ConfigError(f"{path}: column {missing[0]!r} is missing")
            return Draws(tuple(columns), np.column_stack(list(columns.values())), form)
    return None


def _of_csv(path: Path) -> Mapping[str, Float]:
    reader = csv.reader(io.StringIO(plain_files.whole(path, MAX_BYTES).decode("utf-8", errors="replace"), newline=""))
    header = next(reader, [])
    rows = []
    for line, cells in enumerate(reader, start=2):
        if len(cells) != len(header):
            raise ConfigError(f"{path}:{line}: has {len(cells)} cells, must have {len(header)} as the header does")
        try:
            rows.append([*map(float, cells)])
        except ValueError:
            wrong = next(k for k, cell in enumerate(cells) if not _is_number(cell))
            raise ConfigError(f"{path}:{line}:{header[wrong]}: must be a number, got {cells[wrong][:40]!r}") from None
    values = np.array(rows, dtype=np.float64).reshape(len(rows), len(header))
    return {name: values[:, k] for k, name in enumerate(header)}


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _to_parquet(columns: Mapping[str, Float]) -> bytes:
    import pyarrow
    from pyarrow import parquet

    buffer = io.BytesIO()
    parquet.write_table(pyarrow.table(dict(columns)), buffer)
    return buffer.getvalue()


def _of_parquet(path: Path) -> Mapping[str, Float]:
    refuse_no_parquet("parquet")
    import pyarrow
    from pyarrow import parquet

    try:
        table = parquet.read_table(io.BytesIO(plain_files.whole(path, MAX_BYTES)))
        return {name: np.asarray(table[name], dtype=np.float64) for name in table.column_names}
    except (pyarrow.ArrowException, ValueError, TypeError) as error:
        raise ConfigError(f"{path}: cannot be read as a table of numbers ({type(error).__name__})") from None
