"""Rows whose obligors default with twisted probabilities."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from raresim.models.obligors.conditional import twisted, twisted_parts
from raresim.models.obligors.tape_loss import TapeLoss, TwistedLoss
from raresim.models.own_risk import Book, Places, Words, losses_given, seeds
from raresim.numerics.arrays import Float

TILE_NUMBERS = 2**17
"""Default probabilities that are held at once (1 megabyte)."""


class _Tile(NamedTuple):
    """A few rows: which, their generators, twisted default probabilities, and the twists and cumulants of each aim."""

    rows: slice
    own: Words
    q: Float
    t: Float
    psi: Float


@dataclass(frozen=True, eq=False)
class TwistedDefaults(TwistedLoss):
    """The loss of a portfolio whose defaults are twisted towards the level of one of several aims.

    Parameters
    ----------
    plain : TapeLoss
        The loss of the model.
    book : Book
        Its obligors.
    severity : (m,) float64
        What each is expected to lose at default.
    levels, shares : (j,) float64
        Of the aims.
    """

    kind: ClassVar[str] = "twisted_credit"

    plain: TapeLoss
    book: Book
    severity: Float
    levels: Float
    shares: Float

    def rows(self, x: Float, out: Float) -> Float:
        logs = np.empty((len(x), self.levels.size), order="F")
        for tile in self._tiles(x):
            mean = np.empty(tile.own.size)
            losses_given(tile.own, tile.q, self.book, self.severity, out[tile.rows], mean)
            logs[tile.rows] = tile.t * mean[:, None] - tile.psi
        return logs

    def ratios(self, x: Float, mean: Float) -> Float:
        logs = np.empty((len(x), self.levels.size), order="F")
        for tile in self._tiles(x):
            logs[tile.rows] = tile.t * mean[tile.rows, None] - tile.psi
        return logs

    def components(self, x: Float) -> Float:
        return self.part_columns(x)(np.arange(self.severity.size))

    def part_columns(self, x: Float) -> Callable[[Places], Float]:
        given, own, pick, t = np.ascontiguousarray(x), seeds(x), self.picks(x), np.empty(len(x))
        for tile in self._tiles(x):
            t[tile.rows] = tile.t[np.arange(tile.own.size), pick[tile.rows]]

        def make(members: Places) -> Float:
            parts = np.empty((len(x), members.size), order="F")
            twisted_parts(given, own, t, self.book, self.severity, members, parts)
            return parts

        return make

    def _tiles(self, x: Float) -> Iterator[_Tile]:
        pick, own, m, j = self.picks(x), seeds(x), self.severity.size, self.levels.size
        size = max(1, TILE_NUMBERS // m)
        q, t, psi = np.empty((size, m)), np.empty((size, j)), np.empty((size, j))
        for first in range(0, len(x), size):
            rows = slice(first, min(first + size, len(x)))
            n = rows.stop - first
            given = np.ascontiguousarray(x[rows])
            twisted(given, self.book, self.severity, self.levels, pick[rows], q[:n], t[:n], psi[:n])
            yield _Tile(rows, own[rows], q[:n], t[:n], psi[:n])
