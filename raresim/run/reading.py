"""From the sums of the estimate stage to estimates: which number is read in which way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from raresim.measures.base import Question
from raresim.record.records import ConvergencePoint, Estimate
from raresim.run import corrected, probabilities, quantiles
from raresim.run.audit import Audit
from raresim.run.probabilities import Lost
from raresim.run.quantiles import Losses
from raresim.run.sample import Sample


def estimates(
    questions: Sequence[Question],
    sample: Sample,
    search: Mapping[str, Any],
    total: int,
    lost: Lost | None = None,
    audited: Audit | None = None,
) -> tuple[Estimate, ...]:
    """The answer to each question.

    Parameters
    ----------
    questions : sequence of Question
        Questions, in the order of the sample's events.
    sample : Sample
        The estimate stage.
    search : mapping
        How failure regions were searched for; see `raresim.diagnostics.verdict.judge`.
    total : int
        Loss evaluations of the whole run.
    lost : Lost, optional
        Rows without a loss.
    audited : Audit, optional
        What the audit found.

    Notes
    -----
    A row without a loss counts in no event for the estimate and the lower end of the interval, and in every event for
    the upper end. Each end has its own sampling error: whatever these losses are, the interval keeps its coverage.
    """
    lost, audited = lost or Lost(), audited or Audit("off")
    losses = _losses(sample)

    def answered(k: int, question: Question) -> Estimate:
        if question.tail is None:
            return probabilities.estimate(k, question, sample, search, total, lost, audited)
        if losses is None:
            return corrected.estimate(k, question, question.tail, sample, search, total, audited)
        return quantiles.estimate(k, question, question.tail, losses, sample, search, total, audited)

    return tuple(answered(k, question) for k, question in enumerate(questions))


def convergence(
    questions: Sequence[Question], sample: Sample, crude: bool, facts: Mapping[str, float]
) -> tuple[ConvergencePoint, ...]:
    """Each estimate after growing parts of its draws, question by question; ``facts`` are those of the search."""
    losses = _losses(sample)

    def path(k: int, question: Question) -> Iterator[ConvergencePoint]:
        if question.tail is None:
            return probabilities.path(k, question, sample, crude)
        if losses is None:
            return corrected.path(k, question, question.tail, sample, facts)
        return quantiles.path(k, question, question.tail, losses, sample, crude)

    return tuple(point for k, question in enumerate(questions) for point in path(k, question))


def _losses(sample: Sample) -> Losses | None:
    """The weighted losses, if they were kept."""
    return None if sample.summary.losses is None else Losses(sample.summary.losses, sample.history)
