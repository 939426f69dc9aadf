"""A portfolio from a file: weights, and columns to group by."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from raresim.data import files
from raresim.data.files import MISSING, DataFile, Problems
from raresim.errors import FieldError
from raresim.numerics.arrays import Float, frozen


@dataclass(frozen=True, eq=False)
class Positions:
    """A portfolio from a file: the weight of each name, and the further columns of the file.

    Parameters
    ----------
    weights : (d,) float64
        As they stand in the file, read-only, in the order of the names that were asked for.
    cells : mapping
        The further columns by name: the ``d`` texts of each, in the same order.
    rows : tuple of int
        The row of the file on which each name stands.
    file, header_row : str, int or None
        Name of the file, and the line of its header where there is one.
    """

    weights: Float
    cells: Mapping[str, tuple[str, ...]]
    rows: tuple[int, ...]
    file: str
    header_row: int | None

    @classmethod
    def read(cls, path: Path, names: Sequence[str]) -> Self:
        """Read a file with the columns ``id`` and ``weight``.

        Parameters
        ----------
        path : path
            CSV or Parquet; further columns are allowed. One row for each of ``names``, in any order.
        names : sequence of str
            The ``d`` names that can be held; one that is not held has to be there with weight 0.
        """
        return cls._from(files.read(Path(path)), names)

    @classmethod
    def of(cls, frame: Any, names: Sequence[str]) -> Self:
        """As `read`, from a data frame with the columns ``id`` (or names as its index) and ``weight``."""
        return cls._from(files.of_frame("positions", "id", frame), names)

    @classmethod
    def _from(cls, file: DataFile, names: Sequence[str]) -> Self:
        problems = Problems(file.name)
        for needed in ("id", "weight"):
            if needed not in file.header:
                problems.add(
                    f"a column {needed!r} is required, got {files.listed(file.header)}; add or rename it",
                    file.header_row,
                )
        problems.stop()
        further = [name for name in file.header if name not in ("id", "weight", "")]
        seen: dict[str, int] = {}
        weights: dict[str, float] = {}
        texts: dict[str, list[str]] = {}
        for row, (name, weight, *others) in file.rows(file.place(("id", "weight", *further)), problems):
            if name in seen:
                problems.add(f"{name!r} is in row {seen[name]} already; keep one row for each", row, "id")
            elif name not in names:
                problems.add(files.no_such("id", name, names), row, "id")
            else:
                weights[name], texts[name] = _weight(weight, row, problems), others
            seen.setdefault(name, row)
        if absent := [name for name in names if name not in seen]:
            problems.add(
                f"no row for {len(absent)} of {len(names)} names: {files.listed(absent)}; add each, with weight 0 "
                "where there is no position, or fit the inputs only to the columns that are held, "
                f"`fit.columns: [{files.listed([name for name in names if name in seen])}]`"
            )
        elif not any(weights.values()):
            problems.add("every weight is 0; at least one position must be held")
        problems.stop()
        return cls(
            weights=frozen(np.array([weights[name] for name in names])),
            cells={column: tuple(texts[name][k] for name in names) for k, column in enumerate(further)},
            rows=tuple(seen[name] for name in names),
            file=file.name,
            header_row=file.header_row,
        )

    def groups(self, column: str) -> tuple[str, ...]:
        """The group of each name: its cell in ``column``.

        Raises
        ------
        FieldError
            For ``by``, when no column other than the id and the weight has that name.
        DataError
            When cells are empty, with the place of each.
        """
        if column not in self.cells:
            allowed = list(self.cells)
            if not allowed:
                raise FieldError("by", f"must be a column of {self.file}, which has only id and weight, got {column!r}")
            raise FieldError("by", files.no_such(f"column of {self.file}", column, allowed))
        problems = Problems(self.file)
        for row, cell in sorted(zip(self.rows, self.cells[column], strict=True)):
            if cell in MISSING:
                problems.add(f"is missing, got {cell!r}; every position needs a group", row, column)
        problems.stop()
        return self.cells[column]


def read_positions(path: Path, names: Sequence[str]) -> Float:
    """The weights of `Positions.read`, (d,) float64."""
    return Positions.read(path, names).weights


def _weight(cell: str, row: int, problems: Problems) -> float:
    """One weight; NaN where it is wrong, which then is on the list of problems."""
    if cell in MISSING:
        problems.add("is missing; write 0 for no position", row, "weight")
        return math.nan
    return files.number(cell, "write 0 for no position", problems, row, "weight")
