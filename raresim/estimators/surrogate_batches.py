"""The error of a surrogate, estimated by true evaluations: one row is one batch of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import numpy as np

from raresim.accumulators.kept import KeptRows
from raresim.accumulators.summary import Summary
from raresim.accumulators.tail import masks, masks_with_failed
from raresim.engine.fold import Sampler
from raresim.estimators.base import KEPT_ROWS, Estimator
from raresim.numerics.arrays import Bool, Float, Index
from raresim.numerics.blocks import Block
from raresim.numerics.streams import stream
from raresim.record.evaluated import Evaluated
from raresim.record.event import Event
from raresim.record.evidence import EvidencePlot
from raresim.record.rows import Unit

BATCHES = 10
"""Batches before the first look, and the fewest whose spread is believed."""


@dataclass(frozen=True, eq=False)
class SurrogateBatches(Estimator):
    """The surrogate's probability, corrected by true evaluations at points of its pool.

    Parameters
    ----------
    sampler : Sampler
        Evaluates the loss; it draws nothing here.
    events : tuple of Event
        The events, in one direction.
    points : (m, d) float64
        Points drawn from some law, in standard normal space.
    weight : (m,) float64
        Density of the target over that of their law.
    failing : (e, m) float64
        Probability that each point is in each event, as the surrogate says: frozen before the first row.
    drawn_by : (m,) float64
        Probability with which an evaluation is made at each point.
    draws : int
        Evaluations of a batch.
    variances : tuple of float
        Relative variance of one evaluation's contribution to each event, if the surrogate's doubts are right.
    pool_error : float
        Relative error from the points being as they are, of the event for which it is largest.
    learnt : Evaluated
        What the surrogate learnt from.
    predicted : tuple of EvidencePlot
        The surrogate against the truth.
    units : tuple of float
        For each event the unit of the excess over its threshold whose mean is estimated, in that of the loss; 0 where
        the probability is. Empty: all are probabilities.
    eases : tuple of float
        How many times the error of an answer the relative error of its mean may be; empty: they are the same.

    Notes
    -----
    With ``P = mean(w pi)`` of the surrogate, an evaluation ``y_j`` at a point that is drawn with probability ``r_j``
    gives ``T = P + w_j (y_j - pi_j) / (m r_j)``, whose mean is ``mean(w y)`` whatever the surrogate says: importance
    sampling of its mistakes. Its rows are independent, since the surrogate does not learn from them.

    The reported variance is never below the one that the surrogate's doubts give: a few evaluations that all agree with
    it do not show that it is perfect. A batch whose corrected mean is not positive counts as zero, as in
    `raresim.estimators.control_variates`.
    """

    unit: ClassVar[Unit] = "batch"
    corrects: ClassVar[bool] = True
    block_rows: ClassVar[int | None] = 1
    first_look: ClassVar[int] = BATCHES
    least_rows: ClassVar[int] = BATCHES
    known_rows: ClassVar[float] = math.inf

    sampler: Sampler
    events: tuple[Event, ...]
    points: Float
    weight: Float
    failing: Float
    drawn_by: Float
    draws: int
    variances: tuple[float, ...]
    pool_error: float
    learnt: Evaluated
    predicted: tuple[EvidencePlot, ...] = ()
    units: tuple[float, ...] = ()
    eases: tuple[float, ...] = ()

    @cached_property
    def surrogate(self) -> Float:
        """Probability (e,) of each event as the surrogate says."""
        return np.array([float(np.mean(self.weight * likely)) for likely in self.failing])

    @property
    def known(self) -> tuple[float, ...]:
        return tuple(v / self.draws for v in self.variances) if all(map(math.isfinite, self.variances)) else ()

    @property
    def cost(self) -> float:
        return float(self.draws)

    @property
    def per_row(self) -> int:
        return self.draws

    @property
    def gapless(self) -> str:
        return "a costly loss leaves no evaluations for it; what the surrogate has seen is part of the verdict"

    @property
    def plots(self) -> tuple[EvidencePlot, ...]:
        return self.predicted

    def resolution_of(self, rows: int) -> float:
        return self.pool_error if math.isfinite(self.pool_error) else 0.0

    def __call__(self, block: Block) -> Summary:
        drawn = self._drawn(block.stage, block.index)
        loss, states = self.sampler.states(np.asfortranarray(self.points[drawn]), block)
        ratio = self.weight[drawn] / (len(self.points) * self.drawn_by[drawn])

        def rows_of(in_events: Sequence[Bool]) -> list[Float]:
            return [self._row(k, drawn, ratio, self._value(k, loss, hit)) for k, hit in enumerate(in_events)]

        in_events = masks(self.events, loss)
        could_be = masks_with_failed(in_events, loss)
        rows = replace(block, first=block.first * self.draws, rows=self.draws)
        kept = KeptRows.of_block(rows, loss, np.log(ratio), KEPT_ROWS)
        if len(kept.loss) == len(states):
            kept = replace(kept, states=states.copy())
        upper = None if could_be is None else rows_of(could_be)
        return Summary.of_rows(1, rows_of(in_events), self.draws, kept, upper=upper)

    def _drawn(self, stage: int, index: int) -> Index:
        """The points of a batch."""
        rng = stream(self.sampler.seed, stage, index)
        return rng.choice(len(self.points), self.draws, p=self.drawn_by)

    def evaluated(self, summary: Summary, stage: int) -> Evaluated | None:
        kept, rows = summary.kept, summary.tail.n
        if kept.states is None or len(kept.states) != rows * self.draws:
            return None
        drawn = np.concatenate([self._drawn(stage, index) for index in range(rows)])
        corrected = Evaluated.of("correction", self.points[drawn], kept.states, kept.loss)
        return Evaluated.joined([self.learnt, corrected])

    def _value(self, k: int, loss: Float, in_event: Bool) -> Float:
        """What the mean of event ``k`` is of: whether each row is in it, or its excess over the threshold in units."""
        unit = self.units[k] if self.units else 0.0
        return np.maximum(loss - self.events[k].threshold, 0.0) / unit if unit else in_event.astype(np.float64)

    def _row(self, k: int, drawn: Index, ratio: Float, value: Float) -> Float:
        """Log of the corrected mean of event ``k`` from one batch; empty where it is not positive."""
        mean = self.surrogate[k] + float(np.mean(ratio * (value - self.failing[k][drawn])))
        return np.array([math.log(mean)]) if mean > 0 else np.empty(0)
