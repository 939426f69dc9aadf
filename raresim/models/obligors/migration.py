"""The loss of a credit portfolio in migration mode: asset values decide on the rating at the horizon."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from raresim.distributions.base import Inputs
from raresim.models.obligors.moves import Moves, move_tail_laws
from raresim.models.obligors.tape import Tape
from raresim.models.obligors.tape_loss import TapeLoss
from raresim.models.obligors.twisted_moves import TwistedMoves
from raresim.models.own_risk import TILE, Book, Places, Words, exceeds, lost, mixed, seeds, step_of, taus
from raresim.numerics.arrays import Float
from raresim.numerics.jit import kernel


@dataclass(frozen=True, eq=False)
class MigrationLoss(TapeLoss):
    """What a portfolio loses in value by defaults and changes of ratings; a better rating is a gain.

    Parameters
    ----------
    tape : Tape
        The obligors.
    book : Book
        Their numbers; all barriers are 0.
    moves : Moves
        Where they can go, and what they lose there.
    probability : (m, r + 1) float64
        Of going to default, to the worst rating, and so on to the best.
    factors : int
        How many there are: common ones, the shock and the seed.
    files_read : tuple of Path
        Tape and transitions.

    Notes
    -----
    Asset values are those of `raresim.models.obligors.defaults.DefaultLoss`. A default loses the exposure times its
    loss given default, any other change the exposure times the difference of the values.
    """

    kind: ClassVar[str] = "credit_migration"
    twists: ClassVar[str] = "changes of ratings"

    tape: Tape
    book: Book
    moves: Moves
    probability: Float
    factors: int
    files_read: tuple[Path, ...] = ()

    def __call__(self, x: Float, out: Float) -> None:
        migration_losses(x, seeds(x), self.book, self.moves, out)

    def at_mean_severity(self, x: Float, out: Float) -> None:
        nothing, severity = np.zeros(self.tape.size), np.ascontiguousarray(self.moves.amount[:, 0])
        migration_losses(x, seeds(x), self.book._replace(money=severity, a=nothing, b=nothing), self.moves, out)

    def components(self, x: Float) -> Float:
        parts = np.empty((len(x), self.tape.size), order="F")
        migration_parts(x, seeds(x), self.book, self.moves, np.arange(self.tape.size), parts)
        return parts

    def part_columns(self, x: Float) -> Callable[[Places], Float]:
        own = seeds(x)

        def make(members: Places) -> Float:
            parts = np.empty((len(x), members.size), order="F")
            migration_parts(x, own, self.book, self.moves, members, parts)
            return parts

        return make

    @property
    def expected_loss(self) -> float:
        return float(np.einsum("ij,ij->", self.probability, self.moves.amount))

    @property
    def largest_loss(self) -> float:
        possible = np.where(self.probability > 0.0, self.moves.amount, -np.inf)
        return float(possible.max(axis=1).sum())

    def tail_laws(self, x: Float, level: float) -> tuple[Float, Float, Float]:
        bound, tail, slope = np.empty(len(x)), np.empty(len(x)), np.empty(x.shape)
        move_tail_laws(np.ascontiguousarray(x), self.book, self.moves, level, bound, tail, slope)
        return bound, tail, slope

    def twisted(self, levels: Float, shares: Float) -> TwistedMoves:
        return TwistedMoves(self, self.book, self.moves, levels, shares)

    def moments(self, inputs: Inputs) -> None:
        return None

    def files(self) -> list[Path]:
        return list(self.files_read)

    def describe(self) -> list[str]:
        return [
            f"defaults and changes of ratings of {self.tape.size:,} obligors of {self.tape.file}: exposure "
            f"{self.tape.ead.sum():,.6g}, expected loss {self.expected_loss:,.6g}"
        ]


@kernel
def part_of(word: np.uint64, tau: float, k: int, over: float, book: Book, moves: Moves, state: Words) -> float:
    """What obligor ``k`` loses; its own normal exceeds ``tau`` where its asset value exceeds 0."""
    r = moves.rating[k]
    if exceeds(word, tau + moves.barrier[r, 0] * over * book.scale[k]):
        return lost(word, book.money[k], book.a[k], book.b[k], state)
    last = moves.barrier.shape[1]
    for j in range(1, last):
        if exceeds(word, tau + moves.barrier[r, j] * over * book.scale[k]):
            return float(moves.amount[k, j])
    return float(moves.amount[k, last])


@kernel
def migration_losses(x: Float, own: Words, book: Book, moves: Moves, out: Float) -> None:
    """The loss of each row of factors ``x`` (n, d) into ``out`` (n,)."""
    tau, state = np.empty(TILE), np.empty(1, np.uint64)
    for first in range(0, x.shape[0], TILE):
        n = min(TILE, x.shape[0] - first)
        for i in range(n):
            out[first + i] = 0.0
        for k in range(moves.rating.shape[0]):
            taus(x, first, n, k, book, tau)
            step = step_of(k)
            for i in range(n):
                word = mixed(own[first + i] + step)
                over = 1.0 if book.shock < 0 else 1.0 / x[first + i, book.shock]
                out[first + i] += part_of(word, tau[i], k, over, book, moves, state)


@kernel
def migration_parts(x: Float, own: Words, book: Book, moves: Moves, members: Places, out: Float) -> None:
    """As `migration_losses`, with what each of the obligors ``members`` (j,) loses in ``out`` (n, j)."""
    tau, state = np.empty(TILE), np.empty(1, np.uint64)
    for first in range(0, x.shape[0], TILE):
        n = min(TILE, x.shape[0] - first)
        for j in range(members.shape[0]):
            k = members[j]
            taus(x, first, n, k, book, tau)
            step = step_of(k)
            for i in range(n):
                word = mixed(own[first + i] + step)
                over = 1.0 if book.shock < 0 else 1.0 / x[first + i, book.shock]
                out[first + i, j] = part_of(word, tau[i], k, over, book, moves, state)
