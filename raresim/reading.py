"""From the sums of the estimate stage to estimates: value, error, interval, diagnostics and verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from raresim.accumulators.bets import Bets
from raresim.accumulators.tail import TailMoments
from raresim.audit import Audit
from raresim.diagnostics.psis import bounded, khat
from raresim.diagnostics.verdict import judge, tail_is_trusted
from raresim.estimation import Sample
from raresim.estimators.base import Unit
from raresim.information import budget
from raresim.measures.base import Question
from raresim.measures.guarantee import Wait
from raresim.measures.intervals import (
    HEAVY_DOF,
    HEAVY_KHAT,
    LOOK_INFLATION,
    clopper_pearson,
    log_scale,
    weighted_upper,
    widened,
    zero_hits_bound,
)
from raresim.result import ConvergencePoint, Estimate

AFFORDABLE = 100
"""Draws, divided by the largest possible weight over the estimate, from which an interval of bets is not far wider than
others: one side of it is at least ``3.7 x bound / (estimate x draws)`` wide, relative to the estimate, at 95 %."""


@dataclass(frozen=True)
class Lost:
    """Rows without a loss: those of the stages before the estimate, and those of the estimate."""

    searching: int = 0
    estimating: int = 0


def convergence(questions: Sequence[Question], sample: Sample, crude: bool) -> tuple[ConvergencePoint, ...]:
    """Each estimate after a part of its draws.

    The intervals are those of a sample of fixed size; where a number of hits or bets make the last one, those of the
    draws alone.
    """
    points = []
    for k, question in enumerate(questions):
        heavy = _is_heavy(_weights(k, sample), sample.unit)
        for look in sample.history:
            tail = look.tail
            value = math.exp(tail.log_probability(k))
            relative_error = math.hypot(tail.relative_error(k), sample.resolution)
            dof = _dof(tail, sample.unit, heavy)
            low, high = _interval(tail, k, relative_error, question.confidence, crude, dof)[0]
            if look.upper is not None:
                high = _upper_end(look.upper, k, sample, question.confidence, crude, heavy)
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
    kl = (sample.summary.drawn or tail).kl(k)
    wait = sample.waits[k] if sample.waits else None
    if wait is not None and wait.time is not None:
        value, relative_error = wait.value, wait.relative_error
        log_value = math.log(value)
        kl = -log_value
    spent = budget(log_value, kl)
    weights = _weights(k, sample)
    heavy = _is_heavy(weights, sample.unit)
    diagnostics: dict[str, Any] = {
        "rows": tail.n,
        "hits": hits,
        "ess": tail.ess(k),
        "max_share": tail.max_share(k),
        **weights,
        "kl_optimal_proposal": kl,
        "self_information_nats": spent.event_nats,
        "self_information_bits": spent.event_bits,
        "draws_per_effective_hit": tail.n / tail.ess(k) if hits else math.inf,
        "speedup_over_crude": _speedup(log_value, relative_error, total),
        **audited.diagnostics(k),
    }
    factor = inflation(sample)
    crude = not search["weighted"]
    dof = _dof(tail, sample.unit, heavy)
    interval, interval_kind = _interval(tail, k, relative_error, question.confidence, crude, dof, factor)
    bets = sample.summary.bets if question.interval == "betting" else None
    if bets is not None:
        interval, interval_kind = _of_bets(bets, k, value, question.confidence)
    if wait is not None:
        interval, interval_kind = _guaranteed(wait, interval, interval_kind, hits)
        diagnostics["hits_wanted"] = wait.goal.hits
        diagnostics["guaranteed_error"] = None if wait.time is None else wait.goal.error
    if lost.searching or lost.estimating:
        alone, upper = interval, sample.summary.upper
        if upper is not None:
            interval = alone[0], max(alone[1], _upper_end(upper, k, sample, question.confidence, crude, heavy, factor))
            interval_kind += ", failed rows counted on both sides"
        diagnostics["failed_searching"] = lost.searching
        diagnostics["failed_estimating"] = lost.estimating
        diagnostics["widening"] = _widening(alone, interval)
    holds = crude or not hits or bets is not None or _holds(weights, sample.unit)
    if not holds:
        why = "too few to see their tail" if weights["khat"] is None else "that may have no variance"
        interval_kind = f"not at {100 * question.confidence:g} %: {interval_kind}, of weights {why}"
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
        holds_confidence=holds,
        reference=question.reference,
        information=spent,
        diagnostics=diagnostics,
        verdict=judge(diagnostics, relative_error if hits else None, search),
    )


def _weights(k: int, sample: Sample) -> dict[str, Any]:
    """What is known of the tail of the weights of event ``k``; of replicates without single weights there is none."""
    tail, drawn = sample.summary.tail, sample.summary.drawn
    moments = drawn or tail
    weights = int(moments.hits[k])
    unseen = drawn is None and sample.unit == "replicate"
    return {
        "khat": None if unseen else khat(sample.summary.top.largest(k), weights),
        "weights": weights,
        "max_to_mean": weights * moments.max_share(k),
    }


def _is_heavy(weights: Mapping[str, Any], unit: Unit) -> bool:
    """Whether the tail of the weights leaves the standard error itself uncertain."""
    if weights["khat"] is None:
        return unit != "replicate" and not bounded(weights["max_to_mean"], weights["weights"])
    return bool(weights["khat"] >= HEAVY_KHAT)


def _holds(weights: Mapping[str, Any], unit: Unit) -> bool:
    """Whether an interval of the log scale may be called by its confidence: the weights are seen to have a variance."""
    if weights["khat"] is None and unit == "replicate":
        return True
    return tail_is_trusted(weights["khat"], weights["max_to_mean"], weights["weights"])


def _dof(tail: TailMoments, unit: Unit, heavy: bool) -> int | None:
    """Degrees of freedom of the standard error; None where they are too many to matter."""
    few = [tail.n - 1] if unit == "replicate" else []
    return min([*few, HEAVY_DOF] if heavy else few, default=None)


def _guaranteed(wait: Wait, alone: tuple[float, float], kind: str, hits: int) -> tuple[tuple[float, float], str]:
    """The interval of the wait for the wanted hits, and how it was made; that of the draws where they did not come."""
    goal = wait.goal
    if wait.time is None:
        return alone, f"{kind}; no guarantee: the budget ended after {hits:,} of {goal.hits:,} hits"
    promise = f"off by more than {100 * goal.error:.3g} % in at most {100 * (1 - goal.confidence):.3g} % of runs"
    return wait.interval(), f"exact (gamma law of {goal.hits:,} hits); {promise}"


def _of_bets(bets: Bets, k: int, value: float, confidence: float) -> tuple[tuple[float, float], str]:
    """The interval of the bets, and how it was made."""
    bound = math.exp(bets.log_bound)
    kind = f"betting: holds at every look, weights of at most {bound:.3g}"
    wide = "wide: the bound divided by the estimate is above a hundredth of the draws"
    enough = value > 0 and bound / value <= bets.n / AFFORDABLE
    return bets.interval(k, confidence), kind if enough else f"{kind}; {wide}"


def _interval(
    tail: TailMoments,
    k: int,
    relative_error: float,
    confidence: float,
    crude: bool,
    dof: int | None,
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
    low, high = log_scale(value, factor * relative_error, confidence, dof)
    kind = "log scale" if dof is None else f"log scale, t with {dof:,} degrees of freedom"
    return (min(1.0, low), min(1.0, max(high, math.ulp(0.0)))), kind


def _widening(alone: tuple[float, float], interval: tuple[float, float]) -> float:
    """How much wider ``interval`` is than ``alone``, relative to that; infinite where that is a point."""
    width, more = alone[1] - alone[0], interval[1] - alone[1]
    return more / width if width > 0 else math.inf if more > 0 else 0.0


def _upper_end(
    upper: TailMoments,
    k: int,
    sample: Sample,
    confidence: float,
    crude: bool,
    heavy: bool,
    factor: float = 1.0,
) -> float:
    """Upper end of the interval from the moments in which every row without a loss is in the event.

    What fails is not what the proposal was made for: a few large weights may make up the most of it.
    """
    relative_error = math.hypot(upper.relative_error(k), sample.resolution)
    end = _interval(upper, k, relative_error, confidence, crude, _dof(upper, sample.unit, heavy), factor)[0][1]
    if crude or sample.unit == "replicate" or not upper.hits[k]:
        return end
    value = math.exp(upper.log_probability(k))
    few = value * weighted_upper(upper.sum_w[k], upper.sum_w2[k], confidence) / float(upper.sum_w[k])
    return max(end, widened((value, few), value, factor)[1])


def inflation(sample: Sample) -> float:
    """How far intervals are widened because the sample chose its own size."""
    return 1.0 if sample.waits or (sample.planned and sample.looks == 1) else LOOK_INFLATION


def _speedup(log_value: float, relative_error: float, total: int) -> float | None:
    """Draws that crude Monte Carlo needs for the same relative error, divided by those of the run."""
    if not (math.isfinite(relative_error) and relative_error > 0 and log_value < 0):
        return None
    log_speedup = -log_value - 2.0 * math.log(relative_error) - math.log(total)
    return -math.expm1(log_value) * math.exp(log_speedup) if log_speedup < 700 else math.inf
