"""Obligors with ratings: where each is, where it can go, and what it loses there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from raresim.data import files
from raresim.data.files import Problems
from raresim.errors import FieldError
from raresim.models.factors import CreditFactors
from raresim.models.obligors.barriers import barriers
from raresim.models.obligors.defaults import book_of
from raresim.models.obligors.dependence import Dependence
from raresim.models.obligors.header import Header
from raresim.models.obligors.migration import MigrationLoss
from raresim.models.obligors.moves import Moves
from raresim.models.obligors.tape import Tape
from raresim.models.obligors.transitions import Transitions
from raresim.models.own_risk import Places
from raresim.numerics.arrays import Float, frozen


@dataclass(frozen=True, kw_only=True, eq=False)
class Valuation:
    """What a claim is worth in each rating: by a value, or by a spread and the years to its maturity.

    Parameters
    ----------
    values : mapping of str to float, optional
        What a unit of exposure is worth in each rating.
    spreads : mapping of str to float, optional
        The credit spread of each rating, a fraction a year.
    maturity : float, optional
        Years that remain at the horizon, where the tape has no column for it.
    """

    values: Mapping[str, float] | None = None
    spreads: Mapping[str, float] | None = None
    maturity: float | None = None

    def check(self, has_transitions: bool) -> None:
        """Raise `FieldError` where something is missing beside the transitions, or too much is given."""
        given = "values" if self.values is not None else "spreads" if self.spreads is not None else ""
        if given and not has_transitions:
            raise FieldError("transitions", f"is required beside {given}")
        if has_transitions and not given:
            raise FieldError("values", "is required beside transitions, or spreads")
        if self.values is not None and self.spreads is not None:
            raise FieldError("spreads", "must be left out where values says what each rating is worth")
        if self.maturity is None:
            return
        if self.spreads is None:
            raise FieldError("maturity", "must be left out where there are no spreads")
        if not 0.0 <= self.maturity < np.inf:
            raise FieldError("maturity", f"must be a number of years of at least 0, got {self.maturity:.15g}")

    @property
    def column(self) -> tuple[str, ...]:
        """The column that the tape needs."""
        return ("maturity",) if self.spreads is not None and self.maturity is None else ()

    def lost(self, moves: Transitions, rating: Places, tape: Tape, header: Header) -> Float:
        """What a unit of exposure of each obligor loses in the worst rating, and so on to the best, (m, r).

        Raises
        ------
        FieldError
            Where ratings are missing or unknown, or the maturity is given twice.
        DataError
            With the place of each maturity that is negative.
        """
        if self.values is not None:
            return moves.lost_by_value(self.values, rating)
        return moves.lost_by_spread(self.spreads or {}, self._maturities(tape, header), rating)

    def _maturities(self, tape: Tape, header: Header) -> Float:
        if self.maturity is not None:
            if "maturity" in header.places:
                column = header.places["maturity"]
                raise FieldError("maturity", f"must be left out: {tape.file} has the column {column}")
            return np.full(tape.size, self.maturity)
        column, problems = header.places["maturity"], Problems(tape.file)
        years = tape.numbers[column]
        for k in np.flatnonzero(years < 0):
            problems.add(f"must be at least 0, got {years[k]:.15g}", tape.rows[k], column)
        problems.stop()
        return years


@dataclass(frozen=True, eq=False)
class Rated:
    """The ratings of the obligors of a tape.

    Parameters
    ----------
    moves : Transitions
        How likely each rating goes to each other.
    rating : (m,) int64
        Where each obligor is, from the best.
    lost : (m, r) float64
        What a unit of its exposure loses in the worst rating, and so on to the best.
    """

    moves: Transitions
    rating: Places
    lost: Float

    @classmethod
    def of(cls, tape: Tape, header: Header, moves: Transitions, valuation: Valuation) -> Self:
        """Read the ratings of ``tape``.

        Raises
        ------
        DataError
            With the place of each rating that has no row in the transitions.
        """
        column = header.places["rating"]
        labels, problems = tape.groups(column), Problems(tape.file)
        for row, label in zip(tape.rows, labels, strict=True):
            if label not in moves.ratings:
                problems.add(files.no_such("rating", label, moves.ratings), row, column)
        problems.stop()
        rating = np.array([moves.ratings.index(label) for label in labels], dtype=np.int64)
        return cls(moves, rating, valuation.lost(moves, rating, tape, header))

    @property
    def pd(self) -> Float:
        """The default probability of each obligor, (m,)."""
        return frozen(self.moves.probability[self.rating, -1].copy())

    def loss(self, tape: Tape, dependence: Dependence, inputs: CreditFactors, read: tuple[Path, ...]) -> MigrationLoss:
        """The loss of ``tape``, whose files are ``read``."""
        worst_first = self.moves.probability[:, ::-1]
        reached = np.minimum(np.cumsum(worst_first, axis=1)[:, :-1], 1.0)
        barrier = barriers(reached.ravel(), inputs).reshape(reached.shape)
        shock = len(inputs.factors) if inputs.has_shock else -1
        book = book_of(tape, dependence.loadings, dependence.common_share, np.zeros(tape.size), shock)
        amount = np.column_stack([tape.severity, tape.ead[:, None] * self.lost])
        moves = Moves(frozen(self.rating), frozen(barrier), frozen(np.ascontiguousarray(amount)))
        return MigrationLoss(tape, book, moves, frozen(self.moves.reached(self.rating).copy()), inputs.dim, read)
