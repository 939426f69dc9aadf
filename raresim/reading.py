"""From the sums of the estimate stage to estimates: value, error, interval, diagnostics and verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from raresim.accumulators.tail import TailMoments
from raresim.diagnostics.psis import khat
from raresim.diagnostics.verdict import judge
from raresim.estimation import Sample
from raresim.information import budget
from raresim.measures.base import Question
from raresim.measures.intervals import LOOK_INFLATION, clopper_pearson, log_scale, widened, zero_hits_bound
from raresim.result import ConvergencePoint, Estimate


def convergence(questions: Sequence[Question], sample: Sample, crude: bool) -> tuple[ConvergencePoint, ...]:
    """Each estimate after a part of its draws.

    The intervals are those of a sample of fixed size.
    """
    points = []
    for k, question in enumerate(questions):
        for tail in sample.history:
            value = math.exp(tail.log_probability(k))
            low, high = _interval(tail, k, question.confidence, crude)[0]
            error = value * tail.relative_error(k) if tail.hits[k] else math.nan
            points.append(ConvergencePoint(k, tail.n, value, error, low, high))
    return tuple(points)


def estimates(
    questions: Sequence[Question], sample: Sample, search: Mapping[str, Any], total: int
) -> tuple[Estimate, ...]:
    """The answer to each question.

    Parameters
    ----------
    questions : sequence of Question
        In the order of the sample's events.
    sample : Sample
        The estimate stage.
    search : mapping
        How failure regions were searched for; see `raresim.diagnostics.verdict.judge`.
    total : int
        Loss evaluations of the whole run.
    """
    return tuple(_estimate(k, question, sample, search, total) for k, question in enumerate(questions))


def _estimate(k: int, question: Question, sample: Sample, search: Mapping[str, Any], total: int) -> Estimate:
    tail = sample.summary.tail
    log_value = tail.log_probability(k)
    value = math.exp(log_value)
    relative_error = tail.relative_error(k)
    hits = int(tail.hits[k])
    kl = tail.kl(k)
    spent = budget(log_value, kl)
    diagnostics: dict[str, Any] = {
        "hits": hits,
        "ess": tail.ess(k),
        "max_share": tail.max_share(k),
        "khat": khat(sample.summary.top.largest(k), hits),
        "kl_optimal_proposal": kl,
        "self_information_nats": spent.event_nats,
        "self_information_bits": spent.event_bits,
        "draws_per_effective_hit": tail.n / tail.ess(k) if hits else math.inf,
        "speedup_over_crude": _speedup(value, relative_error, total),
    }
    interval, interval_kind = _interval(tail, k, question.confidence, crude=search["kind"] == "none")
    return Estimate(
        kind="probability",
        label=question.event.label,
        direction=question.event.direction,
        threshold=question.event.threshold,
        threshold_note=question.note,
        value=value,
        log_value=log_value,
        std_error=value * relative_error if hits else math.inf,
        relative_error=relative_error,
        interval=widened(interval, value, inflation(sample)),
        confidence=question.confidence,
        interval_kind=interval_kind,
        reference=question.reference,
        information=spent,
        diagnostics=diagnostics,
        verdict=judge(diagnostics, relative_error if hits else None, search),
    )


def _interval(tail: TailMoments, k: int, confidence: float, crude: bool) -> tuple[tuple[float, float], str]:
    hits = int(tail.hits[k])
    if hits == 0:
        return (0.0, zero_hits_bound(tail.n, confidence) if crude else 1.0), "bound"
    if crude:
        return clopper_pearson(hits, tail.n, confidence), "exact (Clopper-Pearson)"
    value = math.exp(tail.log_probability(k))
    return log_scale(value, tail.relative_error(k), confidence), "log scale"


def inflation(sample: Sample) -> float:
    """How far intervals are widened because the sample chose its own size."""
    return 1.0 if sample.planned and sample.looks == 1 else LOOK_INFLATION


def _speedup(value: float, relative_error: float, total: int) -> float | None:
    """Draws that crude Monte Carlo needs for the same relative error, divided by those of the run."""
    if not (math.isfinite(relative_error) and relative_error > 0 and value > 0):
        return None
    return (1.0 - value) / (value * relative_error**2) / total
