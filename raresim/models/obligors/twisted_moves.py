"""Rows whose obligors change their ratings, or default, with twisted probabilities."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from raresim.models.obligors.moves import Moves, chances_of, move_chances, move_twist, top_exponent
from raresim.models.obligors.tape_loss import TapeLoss, TwistedLoss
from raresim.models.own_risk import Book, Places, Words, lost, seeds, word_of
from raresim.numerics.arrays import Float
from raresim.numerics.jit import kernel


@dataclass(frozen=True, eq=False)
class TwistedMoves(TwistedLoss):
    """The loss of a portfolio whose changes of ratings are twisted towards the level of one of several aims.

    Parameters
    ----------
    plain : TapeLoss
        The loss of the model.
    book, moves : Book and Moves
        Its obligors.
    levels, shares : (j,) float64
        Of the aims.
    """

    kind: ClassVar[str] = "twisted_credit_migration"

    plain: TapeLoss
    book: Book
    moves: Moves
    levels: Float
    shares: Float

    def rows(self, x: Float, out: Float) -> Float:
        given, t, psi = self._twists(x)
        mean, own = np.empty(len(x)), np.ascontiguousarray(t[np.arange(len(x)), self.picks(x)])
        moved_losses(given, seeds(x), self.book, self.moves, own, out, mean)
        return np.asarray(t * mean[:, None] - psi)

    def ratios(self, x: Float, mean: Float) -> Float:
        _, t, psi = self._twists(x)
        return np.asarray(t * mean[:, None] - psi)

    def components(self, x: Float) -> Float:
        return self.part_columns(x)(np.arange(len(self.component_names)))

    def part_columns(self, x: Float) -> Callable[[Places], Float]:
        given, t, _ = self._twists(x)
        own, twist = seeds(x), np.ascontiguousarray(t[np.arange(len(x)), self.picks(x)])

        def make(members: Places) -> Float:
            parts = np.empty((len(x), members.size), order="F")
            moved_parts(given, own, self.book, self.moves, twist, members, parts)
            return parts

        return make

    def _twists(self, x: Float) -> tuple[Float, Float, Float]:
        """Factors row by row, and the twist for each level and ``psi`` there, (n, j)."""
        given, shape = np.ascontiguousarray(x), (len(x), self.levels.size)
        t, psi = np.empty(shape), np.empty(shape)
        move_twists(given, self.book, self.moves, self.levels, t, psi)
        return given, t, psi


@kernel
def move_twists(x: Float, book: Book, moves: Moves, levels: Float, t: Float, psi: Float) -> None:
    """The twist ``t`` (n, j) for each of ``levels`` (j,) given each row of factors ``x`` (n, d), and ``psi`` (n, j).

    A level of ``-inf``, and one that no loss reaches, has a twist of 0.
    """
    m, r = moves.amount.shape
    p, eta, work = np.empty((m, r)), np.empty((m, r - 1)), np.empty(3)
    for i in range(x.shape[0]):
        move_chances(x[i], book, moves, p, eta)
        for j in range(levels.shape[0]):
            t[i, j], psi[i, j] = 0.0, 0.0
            if levels[j] > -math.inf:
                found = move_twist(p, moves.amount, levels[j], work)
                if 0.0 < found < math.inf:
                    t[i, j], psi[i, j] = found, work[0]


@kernel
def outcome_of(word: np.uint64, p: Float, c: Float, t: float) -> int:
    """Where an obligor goes by its random ``word``, with the probabilities ``p`` (r + 1,) twisted by ``t``."""
    top, total = top_exponent(p, c, t), 0.0
    for j in range(p.shape[0]):
        if p[j] > 0.0:
            total += p[j] * math.exp(t * c[j] - top)
    left, last = float(word) * 2.0**-64 * total, 0
    for j in range(p.shape[0]):
        if p[j] > 0.0:
            last = j
            left -= p[j] * math.exp(t * c[j] - top)
            if left < 0.0:
                break
    return last


@kernel
def moved_losses(x: Float, own: Words, book: Book, moves: Moves, t: Float, loss: Float, mean_loss: Float) -> None:
    """Losses of rows of factors ``x`` (n, d) whose obligors are twisted by ``t`` (n,).

    ``mean_loss`` (n,) has what those that default are expected to lose in place of what is drawn.
    """
    m, r = moves.amount.shape
    p, eta, state = np.empty(r), np.empty(r - 1), np.empty(1, np.uint64)
    for i in range(x.shape[0]):
        loss[i], mean_loss[i] = 0.0, 0.0
        for k in range(m):
            chances_of(x[i], book, moves, k, p, eta)
            word = word_of(own[i], k)
            j = outcome_of(word, p, moves.amount[k], t[i])
            mean_loss[i] += moves.amount[k, j]
            loss[i] += lost(word, book.money[k], book.a[k], book.b[k], state) if j == 0 else moves.amount[k, j]


@kernel
def moved_parts(x: Float, own: Words, book: Book, moves: Moves, t: Float, members: Places, out: Float) -> None:
    """As `moved_losses`, with what each of the obligors ``members`` (j,) loses in ``out`` (n, j)."""
    r = moves.amount.shape[1]
    p, eta, state = np.empty(r), np.empty(r - 1), np.empty(1, np.uint64)
    for i in range(x.shape[0]):
        for q in range(members.shape[0]):
            k = members[q]
            chances_of(x[i], book, moves, k, p, eta)
            word = word_of(own[i], k)
            j = outcome_of(word, p, moves.amount[k], t[i])
            out[i, q] = lost(word, book.money[k], book.a[k], book.b[k], state) if j == 0 else moves.amount[k, j]
