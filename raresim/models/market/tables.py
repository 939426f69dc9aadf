"""Files of sensitivities and covariances: a column of numbers by name, and a symmetric matrix by pairs of names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from raresim.data import files
from raresim.data.files import MISSING, DataFile, Problems
from raresim.numerics.arrays import Float, frozen

ROUNDING = 1e-9
"""How far two entries of a pair may be off by the digits of the file, relative to the larger."""

NUMBER = "write it without a unit or a thousands separator"


@dataclass(frozen=True, eq=False)
class Column:
    """Numbers by name, from a file with the column ``factor``.

    Parameters
    ----------
    file : str
        Name of the file.
    names : tuple of str
        The factors, in the order of the file.
    values : mapping of str to (d,) float64
        Each column that was asked for and is there.
    """

    file: str
    names: tuple[str, ...]
    values: dict[str, Float]

    @classmethod
    def read(cls, path: Path, needed: str, also: Sequence[str] = ()) -> Column:
        """Read the columns ``factor`` and ``needed``, and those of ``also`` that the file has.

        Raises
        ------
        DataError
            When a column is missing, with the place of each wrong cell, and when a factor has two rows.
        """
        file = files.read(Path(path))
        columns = [needed, *(name for name in also if name in file.header)]
        problems = Problems(file.name)
        seen: dict[str, int] = {}
        found: list[list[float]] = []
        for row, (name, *cells) in file.rows(file.place(["factor", *columns]), problems):
            _once(name, seen, row, "factor", problems)
            found.append([_number(c, row, column, problems) for c, column in zip(cells, columns, strict=True)])
        problems.stop()
        table = np.array(found).reshape(len(found), len(columns))
        return cls(file.name, tuple(seen), {n: frozen(table[:, k].copy()) for k, n in enumerate(columns)})


@dataclass(frozen=True, eq=False)
class Square:
    """A symmetric matrix whose rows and columns have names.

    Parameters
    ----------
    file : str
        Name of the file.
    names : tuple of str
        Of the rows.
    matrix : (d, d) float64
        Symmetric.
    """

    file: str
    names: tuple[str, ...]
    matrix: Float

    @classmethod
    def read(cls, path: Path, value: str) -> Square:
        """Read a matrix whose header and first column name the factors, or a list of pairs.

        A list of pairs has the columns ``factor_1``, ``factor_2`` and ``value``, each pair in one row in either order;
        a pair without a row is 0.

        Raises
        ------
        DataError
            With the place of each wrong cell; when a name or a pair comes twice, or two entries of a pair differ.
        """
        file = files.read(Path(path))
        if {"factor_1", "factor_2"} <= set(file.header):
            return cls._of_pairs(file, value)
        return cls._of_rows(file)

    @classmethod
    def _of_pairs(cls, file: DataFile, value: str) -> Square:
        problems = Problems(file.name)
        entries: dict[tuple[str, str], float] = {}
        rows: dict[tuple[str, str], int] = {}
        for row, (first, second, cell) in file.rows(file.place(["factor_1", "factor_2", value]), problems):
            pair = (first, second) if first <= second else (second, first)
            for name, column in ((first, "factor_1"), (second, "factor_2")):
                if name in MISSING:
                    problems.add("is missing; every row needs two factors", row, column)
            if pair in rows:
                problems.add(
                    f"the pair {first!r} and {second!r} is in row {rows[pair]} already; keep one row for each",
                    row,
                    "factor_2",
                )
            rows.setdefault(pair, row)
            entries[pair] = _number(cell, row, value, problems)
        problems.stop()
        names = tuple(dict.fromkeys(name for pair in entries for name in pair))
        return cls(file.name, names, square_of(names, entries))

    @classmethod
    def _of_rows(cls, file: DataFile) -> Square:
        names, problems = file.header[1:], Problems(file.name)
        first = file.header[0] or "first column"
        seen: dict[str, int] = {}
        found: dict[str, list[float]] = {}
        for row, (name, *cells) in file.rows(range(len(file.header)), problems):
            if name not in names:
                problems.add(files.no_such("factor", name, names), row, first)
            _once(name, seen, row, first, problems)
            found[name] = [_number(c, row, n, problems) for c, n in zip(cells, names, strict=True)]
        for name in names:
            if name not in found:
                problems.add(f"has a column for {name!r} but no row")
        problems.stop()
        matrix = np.array([found[name] for name in names])
        size = float(np.abs(matrix).max())
        for i, j in zip(*np.nonzero(np.abs(matrix - matrix.T) > ROUNDING * size), strict=True):
            if i > j:
                problems.add(
                    f"must be as in row {seen[names[j]]}, column {names[i]}: got {matrix[i, j]:.15g} here and "
                    f"{matrix[j, i]:.15g} there",
                    seen[names[i]],
                    names[j],
                )
        problems.stop()
        return cls(file.name, names, frozen(0.5 * (matrix + matrix.T)))

    def of(self, names: Sequence[str]) -> Float:
        """The matrix (k, k) of ``names``, in their order, all of which it has."""
        order = [self.names.index(name) for name in names]
        return frozen(self.matrix[np.ix_(order, order)].copy())


def square_of(names: Sequence[str], entries: dict[tuple[str, str], float]) -> Float:
    """The symmetric matrix (d, d) with the ``entries`` of pairs; 0 elsewhere."""
    at = {name: k for k, name in enumerate(names)}
    matrix = np.zeros((len(names), len(names)))
    for (first, second), value in entries.items():
        matrix[at[first], at[second]] = matrix[at[second], at[first]] = value
    return frozen(matrix)


def _once(name: str, seen: dict[str, int], row: int, column: str, problems: Problems) -> None:
    if name in MISSING:
        problems.add("is missing; every row needs a factor", row, column)
    elif name in seen:
        problems.add(f"{name!r} is in row {seen[name]} already; keep one row for each", row, column)
    seen.setdefault(name, row)


def _number(cell: str, row: int, column: str, problems: Problems) -> float:
    return files.number(cell, NUMBER, problems, row, column)
