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
        The source of both, in words.
    draws : int
        Number of draws that they were estimated from; 0 where they are exact.
    skewness, kurtosis : float
        Third and fourth standardised moments of these draws, which give the error of ``std``.
    khat : float or None
        Tail index of the squared draws: from 0.5 on ``std`` has no standard error. None where it is unknown.
    evaluations : int
        Evaluations of the loss that the draws took.
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
        """Standard error of the mean."""
        return self.std / math.sqrt(self.draws) if self.draws else 0.0


Interval = Literal["standard", "betting"]
"""``standard`` is exact for counts and on the log scale for weights; ``betting`` holds at every look and needs bounded
weights."""


Quantity = Literal["probability", "value_at_risk", "expected_shortfall"]

Keeps = Literal["counts", "losses", "draws"]
"""What a measure needs: sums over the rows of each event; the weighted losses beyond a floor; or these losses with
their draws, risk factors and components."""


@dataclass(frozen=True)
class Unsure:
    """A threshold that is itself estimated.

    Parameters
    ----------
    std_error : float
        Standard error of the threshold, in the unit of the loss.
    sigmas : float
        Distance of the threshold from the mean, in standard deviations.
    std : float
        The standard deviation, in the unit of the loss.
    draws : int
        Number of draws that the threshold was estimated from.
    khat : float or None
        Tail index of the squared draws; from 0.5 on ``std_error`` cannot be believed.
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
        The event, with its threshold in loss units; for a quantile, the threshold that the search before the tuning
        found.
    note : str
        How the threshold was resolved; empty where it was given in loss units.
    confidence : float
        Confidence of the interval.
    reference : Reference or None
        The known answer.
    interval : "standard" or "betting"
        Kind of the interval.
    quantity : str
        The number that is asked for: the probability of the event, or the value at risk or expected shortfall at
        ``tail``.
    tail : float or None
        One minus the level of a value at risk or an expected shortfall; None for a probability.
    asked : bool
        Whether the user asked for this number: a number that the program adds does not set the verdict of the run.
    unsure : Unsure or None
        The error of the threshold, if it is estimated too.
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
    """All that a measure's exhibits are made from, when the numbers of the run are known.

    Parameters
    ----------
    sample : TailSample
        The weighted rows of the estimate.
    own : tuple of Estimate
        The answers to the measure's own questions, in their order.
    estimates : tuple of Estimate
        The answers to the questions of all measures of the run.
    session : Session
        The run: inputs and bound loss, and what evaluates further losses.
    factor : float
        Factor on the quantile of the normal law in intervals of this run: more than 1 if the run chose its own sample
        size.
    left : int
        Evaluations of the loss that the exhibits may still make.
    scale : callable or None
        Gives mean and standard deviation of the loss, if a measure's `questions` asked for them.
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
    def in_losses(self) -> tuple[float, ...]:
        """The thresholds that are given in the unit of the loss."""
        return ()

    @property
    def bets(self) -> bool:
        """Whether an interval of it is made from bets on single rows, which have to be won or lost."""
        return False

    @property
    def tails(self) -> tuple[float, ...]:
        """Tail probabilities for which approximate quantiles of the loss are needed before the proposal is tuned."""
        return ()

    @property
    def sigmas(self) -> tuple[float, ...]:
        """Thresholds given in standard deviations of the loss from its mean, both taken from the model."""
        return ()

    @abstractmethod
    def questions(self, scale: Callable[[], LossScale], quantile: Callable[[float], float]) -> list[Question]:
        """The numbers asked for.

        Parameters
        ----------
        scale : callable
            Gives mean and standard deviation of the loss where they are needed.
        quantile : callable
            Gives, for each of `tails`, an approximate loss that is reached with that probability.
        """

    def check_loss(self, loss: Loss) -> None:
        """Refuse a bound ``loss`` from which the exhibits cannot be made, before anything is drawn.

        Raises
        ------
        FieldError, DataError
            When the loss lacks something that they need.
        """
        return

    def check_inputs(self, inputs: Inputs) -> None:
        """Raise `FieldError` or `DataError`, before anything is drawn, if the measure does not fit ``inputs``."""
        return

    def check_parameters(self, loss: Loss, inputs: Inputs) -> None:
        """Raise `FieldError`, before anything is drawn, if a parameter that is asked for belongs to neither."""
        return

    def check_moments(self, loss: Loss, inputs: Inputs) -> None:
        """Raise `FieldError`, before anything is drawn, if known moments of a bound ``loss`` exclude the measure."""
        return

    def floor(self, climbed: Callable[[float], TailSample], loss: Loss) -> float:
        """The smallest loss whose rows the exhibits need, if the numbers need only larger ones; else infinite.

        Parameters
        ----------
        climbed : callable
            Gives a few weighted rows of the target beyond the quantile of a tail probability; they are no part of the
            estimate.
        loss : Loss
            Bound to its inputs.
        """
        return math.inf

    def after(self, budget: int) -> int:
        """Evaluations of the loss that the exhibits may make, of ``budget`` for the whole run."""
        return 0

    def exhibits(self, answered: Answered) -> list[Exhibit]:
        """Tables and figures beside the numbers."""
        return []
