"""What rows of the schemes of walks, chains and systems have in common: a weight that has a bound, or has none."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import numpy as np

from raresim.accumulators.event_draws import Drawing
from raresim.accumulators.summary import Summary
from raresim.accumulators.tail import masks
from raresim.accumulators.tail_draws import Beyond
from raresim.estimators.base import OfDraws
from raresim.estimators.weighted_draws import summary_of
from raresim.methods.offers import of_squares, of_weights
from raresim.numerics.arrays import Float
from raresim.numerics.blocks import Block
from raresim.numerics.streams import stream

NOTHING = 1e-9
"""Share of rows from the model itself that is the rounding of a sum of shares."""


def share_left(shares: Iterable[float]) -> float:
    """Share of rows from the model itself: what other ``shares`` leave of one."""
    left = 1.0 - sum(shares)
    return left if left > NOTHING else 0.0


class OfferedDraws(OfDraws):
    """Rows of a scheme that knows the largest weight of a row, or its mean square.

    A subclass has the field ``heaviest``: that weight over the probability of its event; infinite if it is not known.
    """

    heaviest: float

    squares: float = math.inf
    """Bound on the mean square weight of a row in an event over its squared probability."""

    @property
    def cost(self) -> float:
        return 1.0

    @property
    def gapless(self) -> str:
        return of_weights(self.heaviest) or of_squares(self.squares)


class MixedDraws(OfferedDraws):
    """Rows of which some are drawn for one of several aims, and the others, a share ``plain``, from the model itself.

    A subclass has the fields ``beyond``, the rows that are kept, and ``sampled``, those that are kept for the user.
    """

    beyond: Beyond | None
    sampled: Drawing | None

    if TYPE_CHECKING:  # a field in some subclasses, a property in others

        @property
        @abstractmethod
        def plain(self) -> float:
            """Share of rows from the model itself."""

    @abstractmethod
    def draw(self, block: Block) -> Float:
        """Standard normals (n, d) of the rows of a block."""

    @abstractmethod
    def log_weight(self, x: Float) -> Float:
        """Log weights (n,) of rows of factors ``x`` (n, d), in nats."""

    def mapped(self, u: Float) -> Float:
        """Factors (n, d) of standard normals ``u`` (n, d)."""
        return self.sampler.problem.inputs.to_physical(np.asfortranarray(u), np.empty(u.shape, order="F"))

    def __call__(self, block: Block) -> Summary:
        u = self.draw(block)
        x = self.mapped(u)
        loss = np.empty(block.rows)
        problem_loss = self.sampler.problem.loss
        problem_loss(x, loss)
        many = problem_loss.parts_at_once if self.beyond is not None and self.beyond.draws else 0
        in_event = masks(self.events, loss)
        log_weight, outside = self.log_weight(x), self.plain > 0
        return summary_of(block, u, loss, log_weight, in_event, many, self.beyond, outside, sampled=self.sampled)

    def through(self, u: Float, block: Block) -> tuple[Float, int]:
        return np.tile(self.log_weight(self.mapped(u)), (len(self.events), 1)), 0

    @property
    def weight_bound(self) -> float | None:
        """Log of one over the share of rows of the model itself, where there are some."""
        return -math.log(self.plain) if self.plain else None


class Shared(Protocol):
    """What some of the rows are drawn for."""

    @property
    def share(self) -> float:
        """Of all rows."""


AimT = TypeVar("AimT", bound=Shared)


class AimedDraws(MixedDraws, Generic[AimT]):
    """Rows of which each is drawn for one of several ``aims``, in standard normals that were the model's at first."""

    aims: tuple[AimT, ...]

    @property
    def plain(self) -> float:
        return share_left(aim.share for aim in self.aims)

    def draw(self, block: Block) -> Float:
        rng = stream(self.sampler.seed, block.stage, block.index)
        u = np.asfortranarray(rng.standard_normal((block.rows, self.sampler.problem.dim)))
        which = np.searchsorted(np.cumsum([aim.share for aim in self.aims]), rng.random(block.rows), side="right")
        if not self.plain:
            which = np.minimum(which, len(self.aims) - 1)
        for k, aim in enumerate(self.aims):
            rows = np.flatnonzero(which == k)
            if rows.size:
                u[rows] = self.drawn_for(aim, rng, u[rows])
        return u

    @abstractmethod
    def drawn_for(self, aim: AimT, rng: np.random.Generator, u: Float) -> Float:
        """The normals (k, d) of rows for ``aim``, made of those of the model, ``u`` (k, d)."""
