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

NAMES = ("id", "ticker", "symbol", "name")
"""Columns that may hold the names; the first that a file has does."""

SIZES = ("weight", "market_value", "quantity")
"""Columns that may hold the sizes; a file has one of them."""


@dataclass(frozen=True, eq=False)
class Positions:
    """A portfolio from a file: the weight of each name, and the further columns of the file.

    Parameters
    ----------
    weights : (d,) float64
        As they stand in the file, quantities times prices, read-only, in the order of the names that were asked for.
    cells : mapping
        The further columns by name: the ``d`` texts of each, in the same order.
    rows : tuple of int
        The row of the file on which each name stands.
    file, header_row : str, int or None
        Name of the file, and the line of its header where there is one.
    named_by : tuple of str
        The columns of names and of sizes.
    """

    weights: Float
    cells: Mapping[str, tuple[str, ...]]
    rows: tuple[int, ...]
    file: str
    header_row: int | None
    named_by: tuple[str, str] = ("id", "weight")

    @classmethod
    def read(cls, path: Path, names: Sequence[str], prices: Mapping[str, float] | None = None) -> Self:
        """Read a file with a column of names and a column of sizes.

        Parameters
        ----------
        path : path
            CSV or Parquet; further columns are allowed. One row for each of ``names``, in any order. The names stand in
            the first of the columns ``id``, ``ticker``, ``symbol`` and ``name`` that there is, the sizes in exactly one
            of ``weight``, ``market_value`` and ``quantity``.
        names : sequence of str
            The ``d`` names that can be held; one that is not held has to be there with size 0.
        prices : mapping, optional
            The last price of each name, by which a quantity is multiplied.
        """
        return cls._from(files.read(Path(path)), names, prices)

    @classmethod
    def of(cls, frame: Any, names: Sequence[str], prices: Mapping[str, float] | None = None) -> Self:
        """As `read`, from a data frame; its index is the column of names where it has no other."""
        heads = [str(head) for head in getattr(frame, "columns", ()) if not callable(head)]
        return cls._from(files.of_frame("positions", _first_of(NAMES, heads) or "id", frame), names, prices)

    @classmethod
    def _from(cls, file: DataFile, names: Sequence[str], prices: Mapping[str, float] | None) -> Self:
        column, size = _columns(file)
        problems = Problems(file.name)
        if size == "quantity" and prices is None:
            raise FieldError(
                "positions",
                f"column 'quantity' of {file.name} is multiplied by the last price of each name: fit the inputs to "
                "`prices`, or give the column 'market_value' instead",
            )
        further = [name for name in file.header if name not in (column, size, "")]
        seen: dict[str, int] = {}
        weights: dict[str, float] = {}
        texts: dict[str, list[str]] = {}
        for row, (name, cell, *others) in file.rows(file.place((column, size, *further)), problems):
            if name in seen:
                problems.add(f"{name!r} is in row {seen[name]} already; keep one row for each", row, column)
            elif name not in names:
                problems.add(files.no_such(column, name, names), row, column)
            else:
                price = 1.0 if size != "quantity" or prices is None else prices.get(name, math.nan)
                if math.isnan(price):
                    problems.add(
                        "has no price in the data of the fit; give the column 'market_value' instead", row, size
                    )
                weights[name], texts[name] = price * _size(cell, row, size, problems), others
            seen.setdefault(name, row)
        if absent := [name for name in names if name not in seen]:
            problems.add(
                f"no row for {len(absent)} of {len(names)} names: {files.listed(absent)}; add each, with {size} 0 "
                "where there is no position, or fit the inputs only to the columns that are held, "
                f"`fit.columns: [{files.listed([name for name in names if name in seen])}]`"
            )
        elif not any(weights.values()):
            problems.add(f"every {size} is 0; at least one position must be held")
        problems.stop()
        return cls(
            weights=frozen(np.array([weights[name] for name in names])),
            cells={head: tuple(texts[name][k] for name in names) for k, head in enumerate(further)},
            rows=tuple(seen[name] for name in names),
            file=file.name,
            header_row=file.header_row,
            named_by=(column, size),
        )

    def groups(self, column: str) -> tuple[str, ...]:
        """The group of each name: its cell in ``column``.

        Raises
        ------
        FieldError
            For ``by``, when no column other than those of names and sizes has that name.
        DataError
            When cells are empty, with the place of each.
        """
        if column not in self.cells:
            allowed = list(self.cells)
            if not allowed:
                only = " and ".join(self.named_by)
                raise FieldError("by", f"must be a column of {self.file}, which has only {only}, got {column!r}")
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


def held_names(path: Path) -> tuple[str, ...]:
    """The names in a file of positions, in its order; raises `DataError` where it cannot be read."""
    file = files.read(Path(path))
    problems = Problems(file.name)
    found = tuple(name for _, (name,) in file.rows(file.place((_columns(file)[0],)), problems))
    problems.stop()
    return found


def _columns(file: DataFile) -> tuple[str, str]:
    """The columns of names and of sizes; raises `DataError` where there is none, or more than one of sizes."""
    problems, given = Problems(file.name), files.listed(file.header)
    column = _first_of(NAMES, file.header)
    if column is None:
        others = " or ".join(map(repr, NAMES[1:]))
        problems.add(f"a column 'id' (or {others}) is required, got {given}; add or rename it", file.header_row)
    sizes = [name for name in SIZES if name in file.header]
    if not sizes:
        others = " or ".join(map(repr, SIZES[1:]))
        problems.add(f"a column 'weight' (or {others}) is required, got {given}; add or rename it", file.header_row)
    elif len(sizes) > 1:
        named = " and ".join(map(repr, sizes))
        problems.add(
            f"the columns {named} each give the size of a position; keep one of them, and rename or leave out the rest",
            file.header_row,
        )
    problems.stop()
    return str(column), sizes[0]


def _first_of(wanted: Sequence[str], header: Sequence[str]) -> str | None:
    return next((name for name in wanted if name in header), None)


def _size(cell: str, row: int, column: str, problems: Problems) -> float:
    """One size; NaN where it is wrong, which then is on the list of problems."""
    if cell in MISSING:
        problems.add("is missing; write 0 for no position", row, column)
        return math.nan
    return files.number(cell, "write 0 for no position", problems, row, column)
