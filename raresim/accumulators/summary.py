"""All that the estimate stage keeps of its rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from raresim.accumulators.arrivals import Arrivals
from raresim.accumulators.base import Accumulator
from raresim.accumulators.bets import Bets
from raresim.accumulators.ends import Ends
from raresim.accumulators.kept import KeptRows
from raresim.accumulators.tail import TailMoments
from raresim.accumulators.tail_draws import TailDraws
from raresim.accumulators.top import TopWeights
from raresim.accumulators.weighted_losses import WeightedLosses
from raresim.numerics.arrays import Float

_NOTHING = KeptRows(np.empty(0), np.empty(0))


@dataclass(frozen=True, eq=False)
class Summary(Accumulator):
    """Sums, largest weights and first weighted losses of independent rows, and what they cost.

    Parameters
    ----------
    tail : TailMoments
        Of the log weight that each row gives to each event.
    top : TopWeights
        The largest of them, or of those of the single draws where ``drawn`` has their moments.
    kept : KeptRows
        Weighted losses for the figures.
    evaluations : int
        Loss evaluations that the rows took.
    drawn : TailMoments, optional
        Of the single draws whose weights a row is the mean of: their tail is looked at, not that of the means.
    upper : TailMoments, optional
        As ``tail``, had every draw without a loss been in every event; None where each has one.
    arrivals : Arrivals, optional
        The rows of the first hits, where the stage ends with a number of them.
    bets : Bets, optional
        What bets against each probability won, where an interval is read from them.
    losses : WeightedLosses, optional
        Those beyond a floor, where quantiles are read from them.
    draws : TailDraws, optional
        Of the first rows beyond it, where contributions or scenarios are.
    ends : Ends, optional
        Where replicates ended.
    states : TailMoments, optional
        Of the parts of each event in which each limit state fails, as `failing_states` has them.
    outside : TailMoments, optional
        Of the rows that are not in each event, where the probability of a common one is read from them too.
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
            Rows, those that give nothing to an event included.
        log_weights : sequence of (k,) float64
            For each event the log weights of the rows that give something to it, in nats; kept, not copied.
        evaluations : int
            Loss evaluations that they took.
        kept : KeptRows, optional
            Weighted losses for the figures.
        equal : bool
            Whether all weights are one: nothing is kept of their tail then.
        upper : sequence of (k,) float64, optional
            As ``log_weights``, had every draw without a loss been in every event; None where each has one.
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
        )
