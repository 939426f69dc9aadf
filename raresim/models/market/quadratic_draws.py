"""Rows of the delta-gamma twist for a loss that is quadratic itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

from raresim.accumulators.event_draws import Drawing
from raresim.accumulators.summary import Summary
from raresim.accumulators.tail import masks
from raresim.accumulators.tail_draws import Beyond
from raresim.distributions.mixture import log_weight_bound
from raresim.engine.fold import Sampler
from raresim.estimators.base import OfDraws
from raresim.estimators.weighted_draws import summary_of
from raresim.numerics.blocks import Block
from raresim.record.event import Event


@dataclass(frozen=True, eq=False)
class QuadraticDraws(OfDraws):
    """Weighted draws from twists of the loss itself.

    Parameters
    ----------
    sampler : Sampler
        With a mixture of `raresim.models.market.twisted_quadratic.TwistedQuadratic` and the target as its law.
    events : tuple of Event
        What is counted.
    beyond : Beyond, optional
        The rows that are kept.
    sampled : Drawing, optional
        The sample of them that is kept for the user.

    Notes
    -----
    The ratio of both densities is a function of the loss, and under Student's t law of the mixing variable too. So rows
    are spread over the points of one loss as the model spreads them: no region of an event can be missed.
    """

    sampler: Sampler
    events: tuple[Event, ...]
    beyond: Beyond | None = None
    sampled: Drawing | None = None

    def drawing(self, wanted: Drawing) -> Self:
        return replace(self, sampled=wanted)

    @property
    def cost(self) -> float:
        return 1.0

    @property
    def gapless(self) -> str:
        return "a row's weight depends on the size of its loss and not on where the row lies"

    @property
    def weight_bound(self) -> float | None:
        """Log of one over the share of rows from the model itself."""
        return log_weight_bound(self.sampler.proposal, self.sampler.problem.target)

    def __call__(self, block: Block) -> Summary:
        u = self.sampler.draw(block)
        loss = self.sampler.loss(u, block)
        log_weight = self.sampler.log_weight(u)
        many = self.sampler.problem.loss.parts_at_once if self.beyond is not None and self.beyond.draws else 0
        in_event = masks(self.events, loss)
        return summary_of(block, u, loss, log_weight, in_event, many, self.beyond, True, sampled=self.sampled)
