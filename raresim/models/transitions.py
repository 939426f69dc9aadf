"""A matrix of rating transitions over the horizon, and what an exposure is worth in each rating."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from raresim.data import files
from raresim.data.files import Problems
from raresim.errors import FieldError
from raresim.numerics.arrays import Float, frozen

TOLERANCE = 1e-3
"""How far the probabilities of a row may be from adding up to 1 by rounding."""


@dataclass(frozen=True, eq=False)
class Transitions:
    """Probabilities of going from each rating to each other and to default.

    Parameters
    ----------
    ratings : tuple of str
        From the best to the worst, without default.
    probability : (r, r + 1) float64
        A row for each rating; the last column is default. Rows add up to 1.
    notes : tuple of str
        What was changed, a sentence each.
    """

    ratings: tuple[str, ...]
    probability: Float
    notes: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: Path) -> Transitions:
        """Read a file: a header with the ratings from the best to default, and a row for each with its name first.

        A row of default itself, from which there is no way back, may be there and is left out.

        Raises
        ------
        DataError
            With the place of each cell that is no probability, and of each row that adds up to something else than 1.
        """
        file = files.read(Path(path))
        names, problems = file.header[1:], Problems(file.name)
        ratings, default = names[:-1], names[-1]
        rows: dict[str, Float] = {}
        off = 0.0
        for row, (name, *cells) in file.rows(range(len(file.header)), problems):
            if name not in names:
                problems.add(files.no_such("rating", name, names), row, file.header[0] or "first column")
            elif name in rows:
                problems.add(f"{name!r} has a row already", row, file.header[0] or "first column")
            advice = "a probability is a number from 0 to 1"
            read = np.array([files.number(c, advice, problems, row, n) for c, n in zip(cells, names, strict=True)])
            for column in np.flatnonzero((read < 0) | (read > 1)):
                problems.add(f"must be between 0 and 1, got {read[column]:.15g}", row, names[column])
            total = float(read.sum())
            if abs(total - 1.0) > TOLERANCE:
                problems.add(
                    f"the probabilities of {name!r} add up to {total:.6g}: must be 1 within {TOLERANCE:g}", row
                )
            off = max(off, abs(total - 1.0))
            rows[name] = read
        for name in ratings:
            if name not in rows:
                problems.add(f"has a column for {name!r} but no row")
        problems.stop()
        table = np.array([rows[name] / rows[name].sum() for name in ratings])
        notes = (
            (f"rows of {file.name} were off 1 by up to {off:.2g}: each was divided by its sum",) if off > 1e-12 else ()
        )
        return cls(ratings, frozen(table), (*notes, f"the last column of {file.name}, {default}, is default"))

    def values(self, given: Mapping[str, float]) -> Float:
        """What a unit of exposure is worth in each rating (r,), in their order.

        Raises
        ------
        FieldError
            For ``values``, where ratings are missing or unknown.
        """
        for name in given:
            if name not in self.ratings:
                raise FieldError("values", files.no_such("rating", name, self.ratings))
        if missing := [name for name in self.ratings if name not in given]:
            raise FieldError("values", f"must have a number for each rating, lacks {files.listed(missing)}")
        return np.array([float(given[name]) for name in self.ratings])
