"""The contract of an estimator: it turns a block into the independent rows that an estimate is the mean of."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, Literal

from raresim.accumulators.summary import Summary
from raresim.blocks import Block
from raresim.engine import Job

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

    @property
    def nominal(self) -> int:
        """Draws of the target from which each row begins a search of its own; 0 where rows do not search."""
        return 0

    @property
    @abstractmethod
    def cost(self) -> float:
        """Loss evaluations that a row is expected to take."""

    @abstractmethod
    def __call__(self, block: Block) -> Summary:
        """The rows of one block; random numbers come from the block's stream alone."""
