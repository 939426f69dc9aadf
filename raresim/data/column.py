"""One column of a file: claims, losses, or anything else a marginal is fitted to."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from raresim.arguments.checks import one_of
from raresim.arguments.typed import typed
from raresim.data import files
from raresim.data.files import MISSING, MISSING_ADVICE, Problems
from raresim.data.returns import FileFacts
from raresim.errors import DataError
from raresim.numerics.arrays import Float, frozen

ColumnMissing = Literal["error", "drop"]


@typed
@dataclass(frozen=True, kw_only=True)
class ColumnSource:
    """Where the values of a marginal come from: one column of a file whose rows need no date and no order.

    Parameters
    ----------
    file : path
        CSV with a header row, or Parquet. Its other columns are not read.
    column : str
        Name of the column.
    missing : {"error", "drop"}
        ``error`` refuses missing values, ``drop`` leaves their rows out.
    least : float, optional
        Smallest allowed value; smaller ones are refused, each with its place. For the severity of claims it is 0 by
        default.

    Examples
    --------
    >>> ColumnSource(file=Path("claims.csv"), column="loss").missing
    'error'
    """

    file: Path
    column: str
    missing: ColumnMissing = "error"
    least: float | None = None

    def __post_init__(self) -> None:
        one_of("missing", self.missing, ColumnMissing)

    def load(self) -> Column:
        """Read the column; raises `DataError` when its content cannot be used."""
        file = files.read(Path(self.file), least=1)
        problems = Problems(file.name)
        read = [self._value(cell, problems, row) for row, (cell,) in file.rows(file.place((self.column,)), problems)]
        problems.stop()
        values = np.array(read)
        missing = np.isnan(values)
        if missing.all():
            raise DataError(f"{file.name}: every value of column {self.column!r} is missing")
        facts = FileFacts(
            name=file.name,
            bytes=file.size,
            sha256=file.sha256,
            rows=len(values),
            columns=1,
            first_date=None,
            last_date=None,
            missing=int(missing.sum()),
            missing_policy=self.missing,
        )
        return Column(name=self.column, values=frozen(values[~missing]), source=facts)

    def _value(self, cell: str, problems: Problems, row: int) -> float:
        if cell not in MISSING:
            value = files.number(cell, MISSING_ADVICE, problems, row, self.column)
            if self.least is not None and value < self.least:
                problems.add(f"must be at least {self.least:g}, got {cell}", row, self.column)
            return value
        if self.missing == "error":
            problems.add(f"is missing, got {cell!r}; fill it in or choose `missing: drop`", row, self.column)
        return math.nan


@dataclass(frozen=True, eq=False)
class Column:
    """Numbers from a file.

    Parameters
    ----------
    name : str
        The column's name.
    values : (n,) float64
        In the unit and order of the file, finite, at least one, read-only.
    source : FileFacts
        The file they were read from.
    """

    name: str
    values: Float
    source: FileFacts
