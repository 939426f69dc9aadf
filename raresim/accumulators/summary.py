"""All that the estimate stage keeps of its rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from raresim.accumulators.arrivals import Arrivals
from raresim.accumulators.base import Accumulator
from raresim.accumulators.bets import Bets
from raresim.accumulators.ends import Ends
from raresim.accumulators.event_draws import EventDraws
from raresim.accumulators.kept import KeptRows
from raresim.accumulators.tail import TailMoments
from raresim.accumulators.tail_draws import TailDraws
from raresim.accumulators.top import TopWeights
from raresim.accumulators.weighted_losses import WeightedLosses
from raresim.numerics.arrays import Float

_NOTHING = KeptRows(np.empty(0), np.empty(0))


@dataclass(frozen=True, eq=False)
class Summary(Accumulator):
    """Sums, largest weights and first weighted losses of independent rows, and the evaluations that they took.

    Parameters
    ----------
    tail : TailMoments
        Moments of the weights of the rows for each event.
    top : TopWeights
        The largest weights of the rows, or of the single draws if ``drawn`` has their moments.
    kept : KeptRows
        Weighted losses for the figures.
    evaluations : int
        Loss evaluations that the rows took.
    drawn : TailMoments, optional
        Moments of the single draws, if a row is the mean of several: the tail check uses the single draws.
    upper : TailMoments, optional
        As ``tail``, with every draw without a loss counted in every event; None if every draw has a loss.
    arrivals : Arrivals, optional
        The rows of the first hits, if the stage ends at a number of hits.
    bets : Bets, optional
        Money won by bets against each probability, if an interval needs it.
    losses : WeightedLosses, optional
        Weighted losses beyond a floor, if quantiles need them.
    draws : TailDraws, optional
        Draws of the first rows beyond the floor, if contributions or scenarios need them.
    ends : Ends, optional
        Draws in the event from the first replicates.
    states : TailMoments, optional
        Moments of the parts of each event in which each limit state fails, see `failing_states`.
    outside : TailMoments, optional
        Moments of the rows outside each event, if the probability of a common event needs them.
    sampled : EventDraws, optional
        A sample of the draws in the event, if the user wants to have one.
    """

    tail: TailMoments
    top: TopWeights
    kept: KeptRows
    evaluations: int
    drawn: TailMoments | None = None
    upper: TailMoments | None = None
    arrivals: Arrivals | None = None
    bets: Bets | None = None
    losses: WeightedLosses | None = None
    draws: TailDraws | None = None
    ends: Ends | None = None
    states: TailMoments | None = None
    outside: TailMoments | None = None
    sampled: EventDraws | None = None

    @classmethod
    def of_rows(
        cls,
        n: int,
        log_weights: Sequence[Float],
        evaluations: int,
        kept: KeptRows | None = None,
        equal: bool = False,
        upper: Sequence[Float] | None = None,
    ) -> Self:
        """Summarise ``n`` independent rows.

        Parameters
        ----------
        n : int
            Number of rows, including those with no weight for any event.
        log_weights : sequence of (k,) float64
            For each event the log weights of the rows with a positive weight, in nats; kept, not copied.
        evaluations : int
            Loss evaluations that the rows took.
        kept : KeptRows, optional
            Weighted losses for the figures.
        equal : bool
            Whether all weights are one, so that their tail is not kept.
        upper : sequence of (k,) float64, optional
            As ``log_weights``, with every draw without a loss counted in every event; None if every draw has a loss.
        """
        tops = [w[:0] for w in log_weights] if equal else log_weights
        return cls(
            TailMoments.of_hits(n, log_weights),
            TopWeights.of_hits(tops),
            kept or _NOTHING,
            evaluations,
            upper=None if upper is None else TailMoments.of_hits(n, upper),
        )

    def merge(self, other: Self) -> Self:
        has_upper = self.upper is not None or other.upper is not None
        return type(self)(
            self.tail.merge(other.tail),
            self.top.merge(other.top),
            self.kept.merge(other.kept),
            self.evaluations + other.evaluations,
            self.drawn if self.drawn is None or other.drawn is None else self.drawn.merge(other.drawn),
            (self.upper or self.tail).merge(other.upper or other.tail) if has_upper else None,
            self.arrivals if self.arrivals is None or other.arrivals is None else self.arrivals.merge(other.arrivals),
            self.bets if self.bets is None or other.bets is None else self.bets.merge(other.bets),
            self.losses if self.losses is None or other.losses is None else self.losses.merge(other.losses),
            self.draws if self.draws is None or other.draws is None else self.draws.merge(other.draws),
            self.ends if self.ends is None or other.ends is None else self.ends.merge(other.ends),
            self.states if self.states is None or other.states is None else self.states.merge(other.states),
            self.outside if self.outside is None or other.outside is None else self.outside.merge(other.outside),
            self.sampled if self.sampled is None or other.sampled is None else self.sampled.merge(other.sampled),
        )

    @classmethod
    def thinned(cls, summaries: Sequence[Self]) -> Sequence[Self]:
        """As in `Accumulator`; hardly anything but the largest weights and draws of the event is lost in merging."""
        tops = TopWeights.thinned([summary.top for summary in summaries])
        slim = [replace(summary, top=top) for summary, top in zip(summaries, tops, strict=True)]
        drawn = [summary.sampled for summary in slim if summary.sampled is not None]
        if len(drawn) < len(slim):
            return slim
        return [replace(s, sampled=kept) for s, kept in zip(slim, EventDraws.thinned(drawn), strict=True)]
