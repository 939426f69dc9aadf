"""A matrix of rating transitions over the horizon, and what is lost by a change of rating."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from raresim.data import files
from raresim.data.files import Problems
from raresim.errors import FieldError
from raresim.models.own_risk import Places
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

    def reached(self, rating: Places) -> Float:
        """Probabilities (m, r + 1) of going from ``rating`` (m,) to default, to the worst rating, and so on."""
        return np.asarray(self.probability[rating, ::-1])

    def lost_by_value(self, given: Mapping[str, float], rating: Places) -> Float:
        """What a unit of exposure loses by going from ``rating`` (m,) to the worst rating, and so on, (m, r).

        ``given`` is what it is worth in each.

        Raises
        ------
        FieldError
            For ``values``, where ratings are missing or unknown, or a value is not finite.
        """
        worth = self._of_each("values", given)
        return np.asarray(worth[rating, None] - worth[None, ::-1])

    def lost_by_spread(self, given: Mapping[str, float], maturity: Float, rating: Places) -> Float:
        """As `lost_by_value`, with the credit spread of each rating as ``given``, and years to ``maturity`` (m,).

        The exposure is what a claim is worth in its present rating. In another it is worth
        ``exp(-(spread - present spread) maturity)`` of that, a zero bond's share with spreads that are compounded
        continuously [1]_; a claim that pays coupons has its duration in place of its maturity.

        Raises
        ------
        FieldError
            For ``spreads``, where ratings are missing or unknown, or a spread is no fraction a year.

        References
        ----------
        .. [1] Gupton, Finger & Bhatia, *CreditMetrics technical document*, 1997.
        """
        spread = self._of_each("spreads", given)
        for name, value in zip(self.ratings, spread.tolist(), strict=True):
            if not -1.0 < value < 1.0:
                raise FieldError(
                    "spreads",
                    f"must be fractions a year between -1 and 1, got {value:.15g} for {name}; is it in per cent or in "
                    "basis points? 120 basis points are 0.012",
                )
        return np.asarray(-np.expm1(-(spread[None, ::-1] - spread[rating, None]) * maturity[:, None]))

    def _of_each(self, field: str, given: Mapping[str, float]) -> Float:
        """A number for each rating (r,), in their order."""
        for name, value in given.items():
            if name not in self.ratings:
                raise FieldError(field, files.no_such("rating", name, self.ratings))
            if not math.isfinite(value):
                raise FieldError(field, f"must be finite numbers, got {value} for {name}")
        if missing := [name for name in self.ratings if name not in given]:
            raise FieldError(field, f"must have a number for each rating, lacks {files.listed(missing)}")
        return np.array([float(given[name]) for name in self.ratings])
