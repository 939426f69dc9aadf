"""The loss of a credit portfolio in migration mode: asset values decide on the rating at the horizon."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from raresim.distributions.base import Inputs
from raresim.models.defaults import seeds
from raresim.models.own_risk import TILE, Book, Places, Words, exceeds, lost, mixed, step_of, taus
from raresim.models.tape import Tape
from raresim.models.tape_loss import TapeLoss
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
    rating : (m,) int64
        Where each is, from the best.
    barrier : (r, r) float64
        What an asset value exceeds, from each rating, to be in default, in the worst rating or worse, and so on.
    change : (r, r) float64
        What a unit of exposure loses from each rating in the worst rating, and so on to the best.
    factors : int
        How many there are: common ones, the shock and the seed.
    files_read : tuple of Path
        Tape and transitions.

    Notes
    -----
    Asset values are those of `raresim.models.defaults.DefaultLoss`. A default loses the exposure times its loss given
    default, any other change the exposure times the difference of the values.
    """

    kind: ClassVar[str] = "credit_migration"

    tape: Tape
    book: Book
    rating: Places
    barrier: Float
    change: Float
    factors: int
    files_read: tuple[Path, ...] = ()

    def __call__(self, x: Float, out: Float) -> None:
        migration_losses(x, seeds(x), self.book, self.rating, self.barrier, self.change, self.tape.ead, out)

    def components(self, x: Float) -> Float:
        parts = np.empty((len(x), self.tape.size), order="F")
        migration_parts(x, seeds(x), self.book, self.rating, self.barrier, self.change, self.tape.ead, parts)
        return parts

    def mean(self, probability: Float) -> float:
        """The expected loss, with the probabilities (r, r + 1) of going from each rating to each and to default."""
        moved = np.einsum("rs,rs->r", probability[:, -2::-1], self.change)[self.rating]
        return float(self.tape.ead @ (moved + self.tape.pd * self.tape.lgd))

    def moments(self, inputs: Inputs) -> None:
        return None

    def files(self) -> list[Path]:
        return list(self.files_read)

    def describe(self) -> list[str]:
        return [
            f"defaults and changes of ratings of {self.tape.size:,} obligors of {self.tape.file}: exposure "
            f"{self.tape.ead.sum():,.6g}"
        ]


@kernel
def part_of(word: np.uint64, tau: float, k: int, over: float, book: Book, r: int, barrier: Float, change: Float, ead: float, state: Words) -> float:  # fmt: skip  # noqa: E501
    """What obligor ``k`` of rating ``r`` loses; its own normal exceeds ``tau`` where its asset value exceeds 0."""
    if exceeds(word, tau + barrier[r, 0] * over * book.scale[k]):
        return lost(word, book.money[k], book.a[k], book.b[k], state)
    last = barrier.shape[1] - 1
    for j in range(1, last + 1):
        if exceeds(word, tau + barrier[r, j] * over * book.scale[k]):
            return float(ead * change[r, j - 1])
    return float(ead * change[r, last])


@kernel
def migration_losses(x: Float, own: Words, book: Book, rating: Places, barrier: Float, change: Float, ead: Float, out: Float) -> None:  # fmt: skip  # noqa: E501
    """The loss of each row of factors ``x`` (n, d) into ``out`` (n,)."""
    tau, state = np.empty(TILE), np.empty(1, np.uint64)
    for first in range(0, x.shape[0], TILE):
        n = min(TILE, x.shape[0] - first)
        for i in range(n):
            out[first + i] = 0.0
        for k in range(rating.shape[0]):
            taus(x, first, n, k, book, tau)
            step = step_of(k)
            for i in range(n):
                word = mixed(own[first + i] + step)
                over = 1.0 if book.shock < 0 else 1.0 / x[first + i, book.shock]
                out[first + i] += part_of(word, tau[i], k, over, book, rating[k], barrier, change, ead[k], state)


@kernel
def migration_parts(x: Float, own: Words, book: Book, rating: Places, barrier: Float, change: Float, ead: Float, out: Float) -> None:  # fmt: skip  # noqa: E501
    """As `migration_losses`, with what each obligor loses in ``out`` (n, m)."""
    tau, state = np.empty(TILE), np.empty(1, np.uint64)
    for first in range(0, x.shape[0], TILE):
        n = min(TILE, x.shape[0] - first)
        for k in range(rating.shape[0]):
            taus(x, first, n, k, book, tau)
            step = step_of(k)
            for i in range(n):
                word = mixed(own[first + i] + step)
                over = 1.0 if book.shock < 0 else 1.0 / x[first + i, book.shock]
                out[first + i, k] = part_of(word, tau[i], k, over, book, rating[k], barrier, change, ead[k], state)
