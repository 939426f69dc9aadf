"""From the sums of the estimate stage to estimates: value, error, interval, diagnostics and verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from raresim.accumulators.tail import TailMoments
from raresim.audit import Audit
from raresim.diagnostics.psis import khat
from raresim.diagnostics.verdict import judge
from raresim.diagnostics.vov import variance_of_variance
from raresim.estimation import Sample
from raresim.estimators.base import Unit
from raresim.information import budget
from raresim.measures.base import Question
from raresim.measures.intervals import (
    LOOK_INFLATION,
    clopper_pearson,
    log_scale,
    weighted_upper,
    widened,
    zero_hits_bound,
)
from raresim.result import ConvergencePoint, Estimate


@dataclass(frozen=True)
class Lost:
    """Rows without a loss: those of the stages before the estimate, and those of the estimate."""

    searching: int = 0
    estimating: int = 0


def convergence(questions: Sequence[Question], sample: Sample, crude: bool) -> tuple[ConvergencePoint, ...]:
    """Each estimate after a part of its draws.

    The intervals are those of a sample of fixed size.
    """
    points = []
    for k, question in enumerate(questions):
        for look in sample.history:
            tail = look.tail
            value = math.exp(tail.log_probability(k))
            relative_error = math.hypot(tail.relative_error(k), sample.resolution)
            low, high = _interval(tail, k, relative_error, question.confidence, crude, sample.unit)[0]
            if look.upper is not None:
                high = _upper_end(look.upper, k, sample, question.confidence, crude)
            error = value * relative_error if tail.hits[k] else math.nan
            points.append(ConvergencePoint(k, look.evaluations, value, error, low, high))
    return tuple(points)


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
        In the order of the sample's events.
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
    A row without a loss is in no event for the estimate and the lower end of the interval, and in every event for the
    upper end. Each end has its own sampling error: whatever these rows are, the interval covers at its confidence.
    """
    lost, audited = lost or Lost(), audited or Audit("off")
    return tuple(_estimate(k, question, sample, search, total, lost, audited) for k, question in enumerate(questions))


def _estimate(
    k: int, question: Question, sample: Sample, search: Mapping[str, Any], total: int, lost: Lost, audited: Audit
) -> Estimate:
    tail = sample.summary.tail
    log_value = tail.log_probability(k)
    value = math.exp(log_value)
    relative_error = math.hypot(tail.relative_error(k), sample.resolution)
    hits = int(tail.hits[k])
    drawn, top = sample.summary.drawn or tail, sample.summary.top
    weights = int(drawn.hits[k])
    kl = drawn.kl(k)
    spent = budget(log_value, kl)
    diagnostics: dict[str, Any] = {
        "rows": tail.n,
        "hits": hits,
        "ess": tail.ess(k),
        "max_share": tail.max_share(k),
        "khat": None if drawn is tail and sample.unit == "replicate" else khat(top.largest(k), weights),
        "weights": weights,
        "max_to_mean": weights * drawn.max_share(k),
        "kl_optimal_proposal": kl,
        "self_information_nats": spent.event_nats,
        "self_information_bits": spent.event_bits,
        "draws_per_effective_hit": tail.n / tail.ess(k) if hits else math.inf,
        "speedup_over_crude": _speedup(log_value, relative_error, total),
        "vov": variance_of_variance(top.largest(k), drawn, k) if search["weighted"] else None,
        **audited.diagnostics(k),
    }
    factor = inflation(sample)
    crude = not search["weighted"]
    interval, interval_kind = _interval(tail, k, relative_error, question.confidence, crude, sample.unit, factor)
    if lost.searching or lost.estimating:
        alone, upper = interval, sample.summary.upper
        if upper is not None:
            interval = alone[0], max(alone[1], _upper_end(upper, k, sample, question.confidence, crude, factor))
            interval_kind += ", failed rows counted on both sides"
        diagnostics["failed_searching"] = lost.searching
        diagnostics["failed_estimating"] = lost.estimating
        diagnostics["widening"] = _widening(alone, interval)
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
        interval=interval,
        confidence=question.confidence,
        interval_kind=interval_kind,
        reference=question.reference,
        information=spent,
        diagnostics=diagnostics,
        verdict=judge(diagnostics, relative_error if hits else None, search),
    )


def _interval(
    tail: TailMoments,
    k: int,
    relative_error: float,
    confidence: float,
    crude: bool,
    unit: Unit,
    factor: float = 1.0,
) -> tuple[tuple[float, float], str]:
    """The interval, its distances from the estimate widened by ``factor`` on the log scale, and how it was made."""
    hits = int(tail.hits[k])
    value = math.exp(tail.log_probability(k))
    if hits == 0:
        interval = (0.0, zero_hits_bound(tail.n, confidence) if crude else 1.0)
        return widened(interval, value, factor), "bound"
    if crude:
        return widened(clopper_pearson(hits, tail.n, confidence), value, factor), "exact (Clopper-Pearson)"
    dof = tail.n - 1 if unit == "replicate" else None
    low, high = log_scale(value, factor * relative_error, confidence, dof)
    kind = "log scale" if dof is None else f"log scale, t with {dof:,} degrees of freedom"
    return (min(1.0, low), min(1.0, max(high, math.ulp(0.0)))), kind


def _widening(alone: tuple[float, float], interval: tuple[float, float]) -> float:
    """How much wider ``interval`` is than ``alone``, relative to that; infinite where that is a point."""
    width, more = alone[1] - alone[0], interval[1] - alone[1]
    return more / width if width > 0 else math.inf if more > 0 else 0.0


def _upper_end(
    upper: TailMoments, k: int, sample: Sample, confidence: float, crude: bool, factor: float = 1.0
) -> float:
    """Upper end of the interval from the moments in which every row without a loss is in the event.

    What fails is not what the proposal was made for: a few large weights may make up the most of it.
    """
    relative_error = math.hypot(upper.relative_error(k), sample.resolution)
    end = _interval(upper, k, relative_error, confidence, crude, sample.unit, factor)[0][1]
    if crude or sample.unit == "replicate" or not upper.hits[k]:
        return end
    value = math.exp(upper.log_probability(k))
    few = value * weighted_upper(upper.sum_w[k], upper.sum_w2[k], confidence) / float(upper.sum_w[k])
    return max(end, widened((value, few), value, factor)[1])


def inflation(sample: Sample) -> float:
    """How far intervals are widened because the sample chose its own size."""
    return 1.0 if sample.planned and sample.looks == 1 else LOOK_INFLATION


def _speedup(log_value: float, relative_error: float, total: int) -> float | None:
    """Draws that crude Monte Carlo needs for the same relative error, divided by those of the run."""
    if not (math.isfinite(relative_error) and relative_error > 0 and log_value < 0):
        return None
    log_speedup = -log_value - 2.0 * math.log(relative_error) - math.log(total)
    return -math.expm1(log_value) * math.exp(log_speedup) if log_speedup < 700 else math.inf
