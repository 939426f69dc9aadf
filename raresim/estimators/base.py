"""The contract of an estimator: it turns a block into the independent rows that an estimate is the mean of."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import ClassVar, Literal

import numpy as np

from raresim.accumulators.summary import Summary
from raresim.engine.fold import Job, Sampler
from raresim.engine.problem import Problem
from raresim.estimators.guarantee import Wait
from raresim.numerics.arrays import Float
from raresim.numerics.blocks import Block
from raresim.record.event import Event

Unit = Literal["draw", "line", "direction", "replicate"]
"""What an independent row is: one draw, one line or ray with its share of probability in the event, or the estimate of
a whole sample whose own draws depend on each other."""

KEPT_ROWS = 50_000
"""Weighted losses that a stage keeps for the figures."""


class Estimator(Job[Summary]):
    """Makes rows that are independent and identically distributed, with the probability as their mean.

    A row gives each event a weight: ``p(u)/q(u)`` of a draw in the event, the probability of the event on a line, or
    the estimate that a replicate came to. The mean of the weights is the estimate, their spread is its error. To add
    one: a frozen dataclass that holds a ``Sampler`` and the events, in a file of its own in this folder.
    """

    unit: ClassVar[Unit] = "draw"

    block_rows: ClassVar[int | None] = None
    """Rows of a block where that is not left to their size: 1 for replicates, so that workers share them."""

    first_look: ClassVar[int] = 10_000
    """Rows before the first look at the error, where no variance is known."""

    least_rows: ClassVar[int] = 400
    """Rows of the smallest sample whose error is believed."""

    resolution: ClassVar[float] = 0.0
    """Relative error of a row's weight that its numerics leave, which the spread of rows does not show."""

    unseen: ClassVar[float] = 0.0
    """Rows of mean weight that may be missing among those drawn: no error is below so many divided by their number."""

    @property
    def known(self) -> tuple[float, ...]:
        """Relative variance of a row for each event, as known before any was drawn; empty where it is not."""
        return ()

    def resolution_of(self, rows: int) -> float:
        """Relative error of an estimate from ``rows`` rows that their spread does not show."""
        return math.hypot(self.resolution, self.unseen / rows)

    @property
    def nominal(self) -> int:
        """Draws of the target from which each row begins a search of its own; 0 where rows do not search."""
        return 0

    def waits(self, summary: Summary, stage: int) -> tuple[Wait, ...]:
        """How long the wanted hits of each event took; empty where the stage does not end with a number of hits."""
        return ()

    @property
    def weight_bound(self) -> float | None:
        """Log of the largest weight that a row can have, in nats, where weights outside of events are summed up too."""
        return None

    @property
    def read_with(self) -> Problem | None:
        """The problem whose factors and components the kept draws have; None: that of the run."""
        return None

    @property
    @abstractmethod
    def cost(self) -> float:
        """Loss evaluations that a row is expected to take."""

    @abstractmethod
    def __call__(self, block: Block) -> Summary:
        """The rows of one block; random numbers come from the block's stream alone."""

    @property
    @abstractmethod
    def gapless(self) -> str:
        """Why no part of the event can be one that rows hardly ever see, in words; empty where there can be one."""

    @property
    def per_row(self) -> int:
        """Draws, lines or rays that a row is the mean of."""
        return 1

    @property
    def cost_through(self) -> float:
        """Loss evaluations that `through` is expected to take for a draw."""
        return 0.0

    def through(self, u: Float, block: Block) -> tuple[Float, int]:
        """Log weights (m, k) of draws, lines or rays through the draws ``u`` (k, d), in nats; and what they cost.

        For the audit, which asks whether the estimate could have missed these draws. ``u`` lies in the space of the
        sampler; losses are evaluated for ``block``. Not for estimators that are `gapless`.
        """
        raise NotImplementedError


class OfDraws(Estimator):
    """An estimator whose rows are made of single draws of the sampler's law."""

    sampler: Sampler
    events: tuple[Event, ...]

    @property
    def gapless(self) -> str:
        return "" if self.sampler.proposal is not None else "every draw came from the target itself"

    def through(self, u: Float, block: Block) -> tuple[Float, int]:
        return np.tile(self.sampler.log_weight(u), (len(self.events), 1)), 0
