"""Weighted draws: one row is one draw from the proposal, weighted by ``p/q``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from raresim.accumulators.arrivals import Arrivals
from raresim.accumulators.bets import Bets
from raresim.accumulators.event_draws import Drawing, EventDraws
from raresim.accumulators.failing_states import failing_states
from raresim.accumulators.kept import KeptRows
from raresim.accumulators.summary import Summary
from raresim.accumulators.tail import TailMoments, hit_weights, masks, masks_with_failed
from raresim.accumulators.tail_draws import Beyond, TailDraws
from raresim.accumulators.weighted_losses import WeightedLosses
from raresim.distributions.mixture import log_weight_bound
from raresim.engine.fold import Sampler
from raresim.estimators.base import KEPT_ROWS, OfDraws
from raresim.estimators.guarantee import Goal, Wait
from raresim.numerics.arrays import Bool, Float
from raresim.numerics.blocks import Block
from raresim.numerics.streams import stream
from raresim.record.event import Event

CLOCK = 2**63
"""Index of the stream that times the hits; no stage has as many blocks."""


@dataclass(frozen=True, eq=False)
class WeightedDraws(OfDraws):
    """Importance sampling, and crude Monte Carlo where the sampler has no proposal.

    Parameters
    ----------
    sampler : Sampler
        Draws and weighs.
    events : tuple of Event
        The events that are counted.
    goals : tuple of Goal
        The hits of each event at which the stage ends; empty if the error or the budget ends it.
    log_bound : float, optional
        Log of the largest possible weight, in nats, if the interval comes from bets.
    beyond : Beyond, optional
        The rows that are kept.
    shares : bool
        Whether the failures of the limit states in each event are summed.
    outside : bool
        Whether the weights outside of each event are summed too.
    sampled : Drawing, optional
        The sample of draws that is kept for the user.
    """

    sampler: Sampler
    events: tuple[Event, ...]
    goals: tuple[Goal, ...] = ()
    log_bound: float | None = None
    beyond: Beyond | None = None
    shares: bool = False
    outside: bool = False
    sampled: Drawing | None = None

    def drawing(self, wanted: Drawing) -> Self:
        return replace(self, sampled=wanted)

    @property
    def cost(self) -> float:
        return 1.0

    def __call__(self, block: Block) -> Summary:
        u = self.sampler.draw(block)
        states = None
        if self.shares:
            loss, states = self.sampler.states(u, block)
        else:
            loss = self.sampler.loss(u, block)
        log_weight = self.sampler.log_weight(u)
        in_event = masks(self.events, loss)
        draws = self.beyond is not None and self.beyond.draws
        many = self.sampler.problem.loss.parts_at_once if draws else 0
        equal = self.sampler.proposal is None
        summary = summary_of(block, u, loss, log_weight, in_event, many, self.beyond, self.outside, equal, self.sampled)
        if self.log_bound is not None:
            hits = [hit_weights(log_weight, mask) for mask in in_event]
            summary = replace(summary, bets=Bets.of_hits(block.rows, hits, self.log_bound))
        if states is not None:
            at_least = self.sampler.problem.loss.at_least
            parts = failing_states(self.events, in_event, log_weight, states, at_least)
            summary = replace(summary, states=parts)
        if not self.goals:
            return summary
        wanted = tuple(goal.hits for goal in self.goals)
        return replace(summary, arrivals=Arrivals.of_block(block.rows, in_event, wanted))

    @property
    def weight_bound(self) -> float | None:
        return log_weight_bound(self.sampler.proposal, self.sampler.problem.target) if self.outside else None

    def waits(self, summary: Summary, stage: int) -> tuple[Wait, ...]:
        """The sum of an exponential time for each row up to the last wanted hit, as one draw from the gamma law."""
        if summary.arrivals is None:
            return ()
        waits = []
        for k, goal in enumerate(self.goals):
            row = summary.arrivals.last(k)
            clock = stream(self.sampler.seed, stage, CLOCK + k)
            waits.append(Wait(goal, None if row is None else float(clock.standard_gamma(row))))
        return tuple(waits)


def summary_of(
    block: Block,
    u: Float,
    loss: Float,
    log_weight: Float,
    in_event: Sequence[Bool],
    parts: int,
    beyond: Beyond | None,
    outside: bool,
    equal: bool = False,
    sampled: Drawing | None = None,
) -> Summary:
    """Summarise the rows of a block.

    Parameters
    ----------
    block : Block
        The block.
    u : (n, d) float64
        Draws.
    loss, log_weight : (n,) float64
        Of each; NaN for a row without a loss, and in nats.
    in_event : sequence of (n,) bool
        The rows of each event.
    parts : int
        How many the portfolio has.
    beyond : Beyond or None
        The rows that are kept.
    outside : bool
        Whether the weights outside of each event are summed up too.
    equal : bool
        Whether all weights are one.
    sampled : Drawing, optional
        The sample of draws that is kept for the user.
    """
    could_be = masks_with_failed(in_event, loss)
    hits = [hit_weights(log_weight, mask) for mask in in_event]
    upper = None if could_be is None else [hit_weights(log_weight, mask) for mask in could_be]
    kept = KeptRows.of_block(block, loss, log_weight, KEPT_ROWS)
    summary = Summary.of_rows(block.rows, hits, block.rows, kept, equal, upper)
    if outside:
        out = [hit_weights(log_weight, ~(mask | np.isnan(loss))) for mask in in_event]
        summary = replace(summary, outside=TailMoments.of_hits(block.rows, out))
    if sampled is not None:
        summary = replace(summary, sampled=EventDraws.of_block(block, u, loss, log_weight, sampled))
    if beyond is not None:
        summary = replace(summary, losses=WeightedLosses.of_block(loss, log_weight, beyond.floor))
        if beyond.draws:
            summary = replace(summary, draws=TailDraws.of_block(u, loss, log_weight, beyond.floor, parts))
    return summary
