"""The contract of an estimator: it turns a block into independent rows whose mean is the estimate."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import ClassVar, Self

import numpy as np

from raresim.accumulators.event_draws import Drawing
from raresim.accumulators.summary import Summary
from raresim.engine.fold import Job, Sampler
from raresim.engine.problem import Problem
from raresim.estimators.guarantee import Wait
from raresim.numerics.arrays import Float
from raresim.numerics.blocks import Block
from raresim.record.evaluated import Evaluated
from raresim.record.event import Event
from raresim.record.evidence import EvidencePlot
from raresim.record.rows import Unit

KEPT_ROWS = 50_000
"""Weighted losses that a stage keeps for the figures."""


class Estimator(Job[Summary]):
    """Makes rows that are independent and identically distributed, with the probability as their mean.

    A row has a weight for each event: ``p(u)/q(u)`` for a draw in the event, the probability of the event along a line,
    or the estimate of a replicate. The mean of the weights is the estimate, and their spread gives its error. To add
    one: a frozen dataclass that holds a ``Sampler`` and the events, in a file of its own in this folder.
    """

    unit: ClassVar[Unit] = "draw"

    corrects: ClassVar[bool] = False
    """Whether rows correct a surrogate of the loss, so that the verdict asks what the surrogate has seen."""

    block_rows: ClassVar[int | None] = None
    """Rows of a block, or None if their size decides: 1 for replicates, so that workers share them."""

    first_look: ClassVar[int] = 10_000
    """Rows before the first look at the error, where no variance is known."""

    least_rows: ClassVar[int] = 400
    """Rows of the smallest sample whose standard error is believed."""

    known_rows: ClassVar[float] = 10.0
    """Rows that `known` counts for beside the spread of those drawn; subset simulation gets it right within a third.
    Infinite: the error is never below what is known."""

    resolution: ClassVar[float] = 0.0
    """Relative numerical error of a row's weight, which the spread of rows does not show."""

    eases: tuple[float, ...] = ()
    """For each event, how many times the relative error that is asked of its answer that of its mean may be; empty:
    they are the same."""

    unseen: ClassVar[float] = 0.0
    """Rows of mean weight that may be missing among the drawn rows: no relative error is below ``unseen / rows``."""

    @property
    def known(self) -> tuple[float, ...]:
        """Relative variance of a row for each event, if it is known before any row is drawn; else empty."""
        return ()

    @property
    def is_exact(self) -> bool:
        """Whether `known` is exact, by equations that no sample enters."""
        return False

    def resolution_of(self, rows: int) -> float:
        """Relative error of an estimate from ``rows`` rows that their spread does not show."""
        return math.hypot(self.resolution, self.unseen / rows)

    @property
    def nominal(self) -> int:
        """Draws of the target from which each row begins a search of its own; 0 where rows do not search."""
        return 0

    def waits(self, summary: Summary, stage: int) -> tuple[Wait, ...]:
        """The times that the wanted hits of each event took; empty if the stage does not end at a number of hits."""
        return ()

    @property
    def weight_bound(self) -> float | None:
        """Log of the largest possible weight of a row in nats, if weights outside of events are summed; else None."""
        return None

    @property
    def read_with(self) -> Problem | None:
        """The problem whose factors and components the kept draws have; None: that of the run."""
        return None

    def evaluated(self, summary: Summary, stage: int) -> Evaluated | None:
        """Every evaluation behind the rows of ``summary`` of a stage; None where they are too many to be kept."""
        return None

    @property
    def plots(self) -> tuple[EvidencePlot, ...]:
        """Plots of what stands behind its rows, beside the table of evaluations."""
        return ()

    def drawing(self, wanted: Drawing) -> Self | None:
        """The same estimator, which also keeps a sample of its draws; None where its rows are not single draws."""
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
        """Why rows see every part of the event, in words; empty if there can be a part that they hardly ever see."""

    @property
    def per_row(self) -> int:
        """Number of draws, lines or rays whose mean is a row."""
        return 1

    begins_with_target: ClassVar[bool] = False
    """Whether its rows begin with draws of the target, as climbs of an audit would: these begin with a widened one."""

    @property
    def cost_through(self) -> float:
        """Loss evaluations that `through` is expected to take for a draw."""
        return 0.0

    def through(self, u: Float, block: Block) -> tuple[Float, int]:
        """Log weights (m, k) in nats of draws, lines or rays through draws ``u`` (k, d), and the evaluations.

        The audit uses them to check whether the estimate could have missed these draws. ``u`` lies in the space of the
        sampler; losses are evaluated for ``block``. Estimators that are `gapless` need no such method.
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
