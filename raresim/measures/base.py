"""The contract of a measure: what is read from the weighted losses."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from raresim.measures.tail_sample import TailSample
from raresim.record.event import Direction, Event
from raresim.record.exhibits import Exhibit
from raresim.record.records import Reference

if TYPE_CHECKING:
    from raresim.distributions.base import Inputs
    from raresim.engine.problem import Problem
    from raresim.engine.session import Session
    from raresim.losses.base import Loss
    from raresim.record.records import Estimate


@dataclass(frozen=True)
class LossScale:
    """Mean and standard deviation of the loss under the target, and how they are known.

    Parameters
    ----------
    mean, std : float
        In the unit of the loss.
    source : str
        How they are known, in words.
    draws : int
        How many draws they were read from; 0 where they are exact.
    skewness, kurtosis : float
        Third and fourth standardised moment of these draws: what the error of ``std`` is read from.
    khat : float or None
        Shape of the tail of their squares: from 0.5 on ``std`` has no standard error. None where it is not seen.
    evaluations : int
        What the draws cost.
    """

    mean: float
    std: float
    source: str
    draws: int = 0
    skewness: float = 0.0
    kurtosis: float = 3.0
    khat: float | None = None
    evaluations: int = 0

    def error_at(self, sigmas: float) -> float:
        """Standard error of ``mean + sigmas std``: both come from the same draws, so they are correlated."""
        if not self.draws:
            return 0.0
        variance = 1.0 + sigmas * self.skewness + 0.25 * sigmas**2 * (self.kurtosis - 1.0)
        return self.std * math.sqrt(max(0.0, variance) / self.draws)

    @property
    def std_error(self) -> float:
        """Of the mean."""
        return self.std / math.sqrt(self.draws) if self.draws else 0.0


Interval = Literal["standard", "betting"]
"""Exact for counts and on the log scale for weights; or one that holds at every look, from a bound on the weights."""


Quantity = Literal["probability", "value_at_risk", "expected_shortfall"]

Keeps = Literal["counts", "losses", "draws"]
"""What a measure is read from: sums over the rows of each event; the weighted losses beyond a floor; or these and their
draws, risk factors and components."""


@dataclass(frozen=True)
class Unsure:
    """A threshold that is itself estimated.

    Parameters
    ----------
    std_error : float
        Of the threshold, in the unit of the loss.
    sigmas : float
        How many standard deviations it is from the mean.
    std : float
        The standard deviation, in the unit of the loss.
    draws : int
        From how many draws.
    khat : float or None
        Shape of the tail of their squares; from 0.5 on ``std_error`` cannot be believed.
    """

    std_error: float
    sigmas: float
    std: float
    draws: int
    khat: float | None


@dataclass(frozen=True)
class Question:
    """One number that a measure asks for.

    Parameters
    ----------
    event : Event
        The event, its threshold in loss units; of a quantile, what the search before the tuning found.
    note : str
        How the threshold was resolved; empty where it was given in loss units.
    confidence : float
        Of the interval.
    reference : Reference or None
        The known answer.
    interval : "standard" or "betting"
        How it is made.
    quantity : str
        What is wanted: the probability of the event, or the value at risk or the expected shortfall at ``tail``.
    tail : float or None
        One minus the level of a value at risk or an expected shortfall; None for a probability.
    asked : bool
        Whether the user asked for this number: one that the program adds of itself does not set the verdict of the run.
    unsure : Unsure or None
        How well the threshold is known, where it is estimated too.
    """

    event: Event
    note: str
    confidence: float
    reference: Reference | None
    interval: Interval = "standard"
    quantity: Quantity = "probability"
    tail: float | None = None
    asked: bool = True
    unsure: Unsure | None = None


@dataclass(frozen=True, eq=False)
class Answered:
    """What a measure's exhibits are read from, when all numbers of the run are known.

    Parameters
    ----------
    sample : TailSample
        The weighted rows of the estimate.
    own : tuple of Estimate
        The answers to the measure's own questions, in their order.
    estimates : tuple of Estimate
        Those of all measures of the run.
    session : Session
        The run: inputs and bound loss, and what evaluates further losses.
    factor : float
        What a quantile of the normal law is multiplied by in intervals of this run: more than 1 where it chose the
        size of its own sample.
    left : int
        Losses that the exhibits may still evaluate.
    scale : callable or None
        Gives the loss's mean and standard deviation, once a measure's `questions` have asked for them.
    """

    sample: TailSample
    own: tuple[Estimate, ...]
    estimates: tuple[Estimate, ...]
    session: Session
    factor: float = 1.0
    left: int = 2_000
    scale: Callable[[], LossScale] | None = None

    @property
    def problem(self) -> Problem:
        """Inputs, bound loss and space of the draws."""
        return self.session.problem

    @property
    def inputs(self) -> Inputs:
        return self.problem.inputs

    @property
    def loss(self) -> Loss:
        return self.problem.loss


class Measure(ABC):
    """Something to be estimated.

    To add one: a frozen dataclass in a file of its own in this folder, decorated with ``@member("measure")``, with a
    ``kind``, `questions` and ``examples()``; `exhibits` where it shows more than single numbers.
    """

    kind: ClassVar[str]
    keeps: ClassVar[Keeps] = "counts"

    asks: ClassVar[bool] = True
    """Whether it asks for a number: `questions` of one that only shows something beside others' numbers is empty."""

    @property
    def direction(self) -> Direction:
        """The side of the loss on which its events lie."""
        return "above"

    @property
    def bets(self) -> bool:
        """Whether an interval of it is made from bets on single rows, which have to be won or lost."""
        return False

    @property
    def tails(self) -> tuple[float, ...]:
        """Tail probabilities whose quantiles of the loss have to be known, roughly, before the proposal is tuned."""
        return ()

    @property
    def sigmas(self) -> tuple[float, ...]:
        """Thresholds in standard deviations of the loss from its mean, where these are those of the model."""
        return ()

    @abstractmethod
    def questions(self, scale: Callable[[], LossScale], quantile: Callable[[float], float]) -> list[Question]:
        """The numbers asked for.

        Parameters
        ----------
        scale : callable
            Gives the loss's mean and standard deviation where they are needed.
        quantile : callable
            Gives, for each of `tails`, about the loss that is reached with that probability.
        """

    def check_loss(self, loss: Loss) -> None:
        """Refuse a bound ``loss`` from which the exhibits cannot be made, before anything is drawn.

        Raises
        ------
        FieldError, DataError
            When it lacks something.
        """
        return

    def check_inputs(self, inputs: Inputs) -> None:
        """Raise `FieldError` or `DataError`, before anything is drawn, where it does not go with ``inputs``."""
        return

    def check_moments(self, loss: Loss, inputs: Inputs) -> None:
        """Raise `FieldError`, before anything is drawn, where moments of a bound ``loss`` are known and not enough."""
        return

    def floor(self, climbed: Callable[[float], TailSample], loss: Loss) -> float:
        """The smallest loss whose rows the exhibits need, where that is below what the numbers need; else infinite.

        Parameters
        ----------
        climbed : callable
            Gives rows of the target, weighted, beyond the quantile of a tail probability: few, and no part of the
            estimate.
        loss : Loss
            Bound.
        """
        return math.inf

    def after(self, budget: int) -> int:
        """Losses that the exhibits may evaluate, at most, of ``budget`` for the whole run."""
        return 0

    def exhibits(self, answered: Answered) -> list[Exhibit]:
        """Tables and figures beside the numbers."""
        return []
