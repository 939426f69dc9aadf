"""The error at which a run may end, and the error that its sample has so far."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from raresim.accumulators.summary import Summary
from raresim.measures.base import Question
from raresim.measures.curve import Certainty, TailCurve
from raresim.run.rough_quantiles import Quantiles

TAIL_ERROR = 0.1
"""Relative error that is always asked of the probability beyond a quantile; the verdict asks no more."""


@dataclass(frozen=True)
class Asked:
    """The errors that the sample has to reach.

    Parameters
    ----------
    relative_error : float
        Asked relative error of each answer.
    questions : tuple of Question
        The questions, in the order of the events.
    planned : tuple of float
        For each event, the relative error of its probability that is expected to be enough.
    least : tuple of float
        For each event, the smallest size of a loss that an error is divided by, in the unit of the loss. An answer
        next to zero, between losses of either sign, is no scale for its own error.
    """

    relative_error: float
    questions: tuple[Question, ...]
    planned: tuple[float, ...]
    least: tuple[float, ...]

    def ratio(self, total: Summary, error_of: Callable[[int], float], bounded: bool) -> float:
        """The largest error of any answer divided by the asked error; infinite while an answer has no error.

        ``error_of`` gives the relative error of the probability of an event from its index; ``bounded`` says whether
        the weights have a bound.
        """
        found = _errors(total, self.questions, self.least, error_of, bounded)
        return max(max(error / self.relative_error, tail_error / TAIL_ERROR) for error, tail_error in found)


def worst_error(
    total: Summary, questions: Sequence[Question], error_of: Callable[[int], float], bounded: bool
) -> float:
    """The largest relative error of any answer; infinite while one has no error. Arguments as in `Asked.ratio`."""
    return max(error for error, _ in _errors(total, questions, [0.0] * len(questions), error_of, bounded))


def _errors(
    total: Summary,
    questions: Sequence[Question],
    least: Sequence[float],
    error_of: Callable[[int], float],
    bounded: bool,
) -> Iterator[tuple[float, float]]:
    """For each answer the pair `errors_of`; for a probability its relative error and 0."""
    curve = None if total.losses is None else TailCurve.of(total.losses)
    for k, question in enumerate(questions):
        if question.tail is None or curve is None:
            yield error_of(k), 0.0
        else:
            yield errors_of(curve.for_tail(question.tail, bounded), question, least[k])


def errors_of(curve: TailCurve, question: Question, least: float = 0.0) -> tuple[float, float]:
    """Relative errors of a value at risk or expected shortfall, and of the tail beyond the quantile it is read from.

    The first error is divided by the size of the answer, or by ``least`` if that is larger.
    """
    if question.tail is None:
        raise ValueError("a probability is not read from the curve of losses")
    found = curve.value_at_risk(question.tail, Certainty(question.confidence))
    if found.at is None:
        return math.inf, math.inf
    if question.quantity == "value_at_risk":
        return _relative(found.std_error, max(abs(found.value), least)), found.tail_error
    value, error = curve.shortfall(found.at, question.tail)
    return _relative(error, max(abs(value), least)), max(found.tail_error, _relative(error, value - found.value))


def _relative(error: float, value: float) -> float:
    return error / abs(value) if value else math.inf if error else 0.0


def plan_of(relative_error: float, questions: Sequence[Question], located: Quantiles | None) -> Asked:
    """The plan of a run that asks for ``relative_error`` of each answer."""
    planned, least = [], []
    for question in questions:
        if question.tail is None or located is None:
            planned.append(relative_error)
            least.append(0.0)
            continue
        if question.quantity == "value_at_risk":
            least.append(located.least(question.tail))
            planned.append(min(TAIL_ERROR, relative_error * located.steepness(question.tail)))
        else:
            least.append(located.least_shortfall(question.tail))
            excess, value = located.excess(question.tail), located.quantile(question.tail)
            ratio = max(abs(value + excess), least[-1]) / excess if excess > 0 else math.inf
            planned.append(min(TAIL_ERROR, relative_error * ratio / math.sqrt(2.0)))
    return Asked(relative_error, tuple(questions), tuple(planned), tuple(least))
