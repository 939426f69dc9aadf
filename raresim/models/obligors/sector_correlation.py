"""The correlation of the sectors: one number for all pairs, or a matrix from a file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from raresim.data import files
from raresim.data.files import Problems
from raresim.errors import DataError, FieldError
from raresim.numerics.arrays import Float, frozen

ROUNDING = 1e-9
"""How far two entries of a pair, and a 1 on the diagonal, may be off by the digits of the file."""


@dataclass(frozen=True, eq=False)
class SectorCorrelation:
    """A correlation matrix whose rows have names.

    Parameters
    ----------
    file : str
        Where it was read.
    names : tuple of str
        The sectors.
    matrix : (k, k) float64
        Positive definite.
    """

    file: str
    names: tuple[str, ...]
    matrix: Float

    @classmethod
    def read(cls, path: Path) -> SectorCorrelation:
        """Read a file whose header and first column name the sectors.

        Raises
        ------
        DataError
            With the place of each cell that cannot be an entry of a correlation matrix, and where the names of rows and
            columns differ, or the matrix is not positive definite.
        """
        file = files.read(Path(path))
        names, problems = file.header[1:], Problems(file.name)
        rows: dict[str, Float] = {}
        at: dict[str, int] = {}
        first = file.header[0] or "first column"
        advice = "an entry of a correlation matrix is a number from -1 to 1"
        for row, (name, *cells) in file.rows(range(len(file.header)), problems):
            if name not in names:
                problems.add(files.no_such("sector", name, names), row, first)
            elif name in rows:
                problems.add(f"{name!r} has a row already", row, first)
            read = np.array([files.number(c, advice, problems, row, n) for c, n in zip(cells, names, strict=True)])
            for column in np.flatnonzero(np.abs(read) > 1.0):
                problems.add(f"must be between -1 and 1, got {read[column]:.15g}", row, names[column])
            rows[name], at[name] = read, row
        for name in names:
            if name not in rows:
                problems.add(f"has a column for {name!r} but no row")
        problems.stop()
        matrix = np.array([rows[name] for name in names])
        _check_pairs(matrix, names, [at[name] for name in names], problems)
        problems.stop()
        smallest = float(np.linalg.eigvalsh(matrix)[0])
        if not smallest > len(names) * np.finfo(float).eps:
            raise DataError(
                f"{file.name}: is no correlation matrix: it must be positive definite, got one with the smallest "
                f"eigenvalue {smallest:.3g}"
            )
        return cls(file.name, names, frozen(matrix))

    def of(self, names: Sequence[str]) -> Float:
        """The matrix (k, k) of the sectors ``names``, in their order.

        Raises
        ------
        FieldError
            For ``sector_correlation``, where one of them has no row.
        """
        if missing := [name for name in names if name not in self.names]:
            raise FieldError("sector_correlation", f"has no row for {files.listed(missing)}")
        order = [self.names.index(name) for name in names]
        return frozen(self.matrix[np.ix_(order, order)].copy())


def equal_correlation(k: int, between: float) -> Float:
    """The matrix (k, k) of ``k`` sectors with the correlation ``between`` of all pairs.

    Raises
    ------
    FieldError
        For ``between_sectors``, where there is no such matrix that is positive definite.
    """
    least = -1.0 / (k - 1) if k > 1 else -1.0
    if not least < between < 1.0:
        hint = "; is it in per cent? Divide it by 100" if between > 1.0 else ""
        lowest = "-1" if math.isclose(least, -1.0) else f"-1/{k - 1}"
        raise FieldError(
            "between_sectors",
            f"must be more than {lowest} and less than 1 for {k} sectors to have it as the correlation of all pairs, "
            f"got {between:.15g}{hint}",
        )
    matrix = np.full((k, k), between)
    np.fill_diagonal(matrix, 1.0)
    return frozen(matrix)


def _check_pairs(matrix: Float, names: Sequence[str], rows: Sequence[int], problems: Problems) -> None:
    """Note each 1 that is missing on the diagonal, and each pair with two correlations."""
    for i, name in enumerate(names):
        if abs(matrix[i, i] - 1.0) > ROUNDING:
            problems.add(f"must be 1 on the diagonal, got {matrix[i, i]:.15g}", rows[i], name)
        for j in range(i):
            if abs(matrix[i, j] - matrix[j, i]) > ROUNDING:
                problems.add(
                    f"must be as in row {rows[j]}, column {name}: got {matrix[i, j]:.15g} here and {matrix[j, i]:.15g} "
                    "there",
                    rows[i],
                    names[j],
                )
