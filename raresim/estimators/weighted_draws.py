"""One draw from the proposal is one row, weighted by ``p/q``."""

from __future__ import annotations

from dataclasses import dataclass

from raresim.accumulators.kept import KeptRows
from raresim.accumulators.summary import Summary
from raresim.accumulators.tail import hit_weights, masks, masks_with_failed
from raresim.blocks import Block
from raresim.engine import Sampler
from raresim.estimators.base import KEPT_ROWS, OfDraws
from raresim.problem import Event


@dataclass(frozen=True, eq=False)
class WeightedDraws(OfDraws):
    """Importance sampling, and crude Monte Carlo where the sampler has no proposal.

    Parameters
    ----------
    sampler : Sampler
        Draws and weighs.
    events : tuple of Event
        What is counted.
    """

    sampler: Sampler
    events: tuple[Event, ...]

    @property
    def cost(self) -> float:
        return 1.0

    def __call__(self, block: Block) -> Summary:
        u = self.sampler.draw(block)
        loss = self.sampler.loss(u, block)
        log_weight = self.sampler.log_weight(u)
        in_event = masks(self.events, loss)
        could_be = masks_with_failed(in_event, loss)
        hits = [hit_weights(log_weight, mask) for mask in in_event]
        upper = None if could_be is None else [hit_weights(log_weight, mask) for mask in could_be]
        kept = KeptRows.of_block(block, loss, log_weight, KEPT_ROWS)
        return Summary.of_rows(block.rows, hits, block.rows, kept, self.sampler.proposal is None, upper)
