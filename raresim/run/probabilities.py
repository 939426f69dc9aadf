"""A probability from the sums of the estimate stage: value, error, interval, diagnostics and verdict."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from raresim.accumulators.bets import Bets
from raresim.accumulators.summary import Summary
from raresim.accumulators.tail import TailMoments
from raresim.diagnostics.audit_checks import error_is_confirmed
from raresim.diagnostics.row_checks import threshold_is_known
from raresim.estimators.guarantee import Wait
from raresim.information import budget
from raresim.measures.base import Question
from raresim.measures.curve import Certainty
from raresim.measures.intervals import clopper_pearson, log_scale, weighted_upper, widened, zero_hits_bound
from raresim.measures.often import Often
from raresim.measures.tail_rate import rate_at
from raresim.record.records import ConvergencePoint, Estimate
from raresim.record.rows import is_estimate
from raresim.run import answer
from raresim.run.answer import Answer
from raresim.run.audit import Audit
from raresim.run.sample import Look, Sample

USUAL = 0.5
"""Probability from which on an event that was asked for is remarked on: its threshold may be in another unit."""

AFFORDABLE = 100
"""Draws x estimate / largest possible weight, from which on an interval of bets is not much wider than others. One side
of it is at least ``3.7 x bound / (estimate x draws)`` wide, relative to the estimate, at 95 %."""


@dataclass(frozen=True)
class Lost:
    """Rows without a loss: the number before the estimate, and the number in the estimate."""

    searching: int = 0
    estimating: int = 0


def estimate(
    k: int, question: Question, sample: Sample, search: Mapping[str, Any], total: int, lost: Lost, audited: Audit
) -> Estimate:
    tail = sample.summary.tail
    log_value, value, relative_error, common = _read(k, sample, sample.summary)
    hits = int(tail.hits[k])
    kl = (sample.summary.drawn or tail).kl(k)
    wait = sample.waits[k] if sample.waits else None
    if wait is not None and wait.time is not None:
        value, relative_error = wait.value, wait.relative_error
        log_value = math.log(value)
        kl = -log_value
    spent = budget(log_value, kl)
    weights = answer.weights_of(k, sample)
    heavy = answer.is_heavy(weights, sample.unit)
    faster = answer.speedup(log_value, relative_error, total)
    diagnostics = answer.diagnostics_of(tail.n, hits, tail.ess(k), tail.max_share(k), weights, spent, faster)
    diagnostics |= audited.diagnostics(k)
    diagnostics |= answer.of_gross(search, question.event.threshold) | answer.of_surrogate(search, sample, k)
    diagnostics |= answer.of_known(sample, k)
    if question.asked and USUAL < value <= 1.0:
        diagnostics["usual_event"] = value
    factor = answer.inflation(sample)
    crude = not search["weighted"]
    dof = answer.dof_of(tail, sample.unit, heavy)
    interval, interval_kind = _interval(tail, k, relative_error, question.confidence, crude, dof, factor, common)
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
    of_threshold = _of_threshold(question, sample, value, diagnostics)
    if of_threshold > 0:
        interval = _with_threshold(interval, value, of_threshold, question.confidence)
        interval_kind += ", and the error of the threshold"
        relative_error = math.hypot(relative_error, of_threshold)
    seen = answer.holds(weights, sample.unit) or error_is_confirmed(diagnostics, search["audit"])
    doubt = ""
    if not (crude or not hits or bets is not None or seen):
        doubt = "from weights " + (
            "too few to see their tail" if weights["khat"] is None else "whose variance may be infinite"
        )
    elif of_threshold > 0 and not threshold_is_known(diagnostics):
        doubt = "whose draws may have an infinite variance"
    found = Answer(
        kind="probability",
        label=question.event.label,
        direction=question.event.direction,
        threshold=question.event.threshold,
        threshold_note=_noted(question, value),
        value=value,
        log_value=log_value,
        std_error=value * relative_error if hits else math.inf,
        relative_error=relative_error,
        judged_error=relative_error if hits else None,
        interval=interval,
        interval_kind=interval_kind,
        doubt=doubt,
        information=spent,
        diagnostics=diagnostics,
    )
    return found.finish(question, search)


def path(k: int, question: Question, sample: Sample, crude: bool) -> Iterator[ConvergencePoint]:
    """The probability of event ``k`` after growing parts of its draws.

    The intervals are those of a sample of fixed size. If the last interval comes from a number of hits or from bets,
    the others come from the draws alone.
    """
    heavy = answer.is_heavy(answer.weights_of(k, sample), sample.unit)
    of_threshold = _of_threshold(question, sample, _read(k, sample, sample.summary)[1], {})
    for look in sample.history:
        tail = look.tail
        _, value, relative_error, common = _read(k, sample, look)
        dof = answer.dof_of(tail, sample.unit, heavy)
        low, high = _interval(tail, k, relative_error, question.confidence, crude, dof, common=common)[0]
        if look.upper is not None:
            high = _upper_end(look.upper, k, sample, question.confidence, crude, heavy)
        if of_threshold > 0 and value > 0:
            low, high = _with_threshold((low, high), value, of_threshold, question.confidence)
            relative_error = math.hypot(relative_error, of_threshold)
        error = value * relative_error if tail.hits[k] else math.nan
        yield ConvergencePoint(k, look.evaluations, value, error, low, high)


def _read(k: int, sample: Sample, at: Summary | Look) -> tuple[float, float, float, Often | None]:
    """Log, value and relative error of a probability; and its reading as a common event, or None.

    Otherwise it is the mean of the weights, cut at one because chance can push the mean above any probability.
    """
    common = sample.common(at, k)
    if common is not None:
        return math.log1p(-common.outside), common.value, common.relative_error, common
    log_value = min(at.tail.log_probability(k), 0.0)
    return log_value, math.exp(log_value), sample.relative_error(at.tail, k), None


def _interval(
    tail: TailMoments,
    k: int,
    relative_error: float,
    confidence: float,
    crude: bool,
    dof: int | None,
    factor: float = 1.0,
    common: Often | None = None,
) -> tuple[tuple[float, float], str]:
    """The interval, widened around the estimate by ``factor`` on the log scale, and how it was made.

    A ``common`` event has the interval of its own reading.
    """
    if common is not None:
        kind = common.kind if dof is None else f"{common.kind}, t with {dof:,} degrees of freedom"
        return common.interval(confidence, dof, factor), kind
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


def _of_threshold(question: Question, sample: Sample, value: float, diagnostics: dict[str, Any]) -> float:
    """Relative error that an estimated threshold adds to a probability ``value``; 0 if the threshold is known.

    Writes what the verdict looks at to ``diagnostics``. By the delta method, the log of the probability falls with the
    threshold at the rate that the rows show.
    """
    unsure = question.unsure
    if unsure is None or not 0 < value < math.inf:
        return 0.0
    kept = sample.summary.kept
    rate = rate_at(question.event, kept.loss, kept.log_weight, min(value, 1.0), unsure.sigmas, unsure.std)
    error = rate * unsure.std_error
    diagnostics |= {"threshold_error": error, "threshold_draws": unsure.draws, "threshold_khat": unsure.khat}
    return error


def _with_threshold(
    interval: tuple[float, float], value: float, error: float, confidence: float
) -> tuple[float, float]:
    """``interval`` with the relative ``error`` of another source: distances on the log scale add in squares."""
    more = Certainty(confidence).quantile * error
    low, high = interval
    down = math.hypot(math.log(value / low), more) if low > 0 else math.inf
    up = math.hypot(math.log(high / value), more) if high > 0 else math.inf
    return value * math.exp(-down), min(1.0, value * math.exp(min(up, 700.0)))


def _noted(question: Question, value: float) -> str:
    """How the threshold was found, and a doubt if it is not in a tail."""
    if value <= 0.5:
        return question.note
    side = "below" if question.event.direction == "above" else "above"
    common = f"it lies {side} the median of the loss, so the event is more likely than not: is the sign right?"
    return f"{question.note}; {common}" if question.note else common


def _guaranteed(wait: Wait, alone: tuple[float, float], kind: str, hits: int) -> tuple[tuple[float, float], str]:
    """The interval of the wait for the wanted hits, and how it was made; of the draws alone if too few hits came."""
    goal = wait.goal
    if wait.time is None:
        return alone, f"{kind}; no guarantee: the budget ended after {hits:,} of {goal.hits:,} hits"
    promise = f"off by more than {100 * goal.error:.3g} % in at most {100 * (1 - goal.confidence):.3g} % of runs"
    return wait.interval(), f"exact (gamma law of {goal.hits:,} hits); {promise}"


def _of_bets(bets: Bets, k: int, value: float, confidence: float) -> tuple[tuple[float, float], str]:
    """The interval from the bets, and how it was made."""
    bound = math.exp(bets.log_bound)
    kind = f"betting: holds at every look, weights of at most {bound:.3g}"
    wide = "wide: the bound divided by the estimate is above a hundredth of the draws"
    enough = value > 0 and bound / value <= bets.n / AFFORDABLE
    return bets.interval(k, confidence), kind if enough else f"{kind}; {wide}"


def _widening(alone: tuple[float, float], interval: tuple[float, float]) -> float:
    """How much wider ``interval`` is than ``alone``, relative to the latter; infinite if that is a point."""
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
    """Upper end of the interval from the moments with every row without a loss counted in the event.

    The proposal was not made for rows that fail: a few large weights may make up most of their sum.
    """
    relative_error = sample.relative_error(upper, k)
    end = _interval(upper, k, relative_error, confidence, crude, answer.dof_of(upper, sample.unit, heavy), factor)[0][1]
    if crude or is_estimate(sample.unit) or not upper.hits[k]:
        return end
    value = math.exp(upper.log_probability(k))
    few = value * weighted_upper(upper.sum_w[k], upper.sum_w2[k], confidence) / float(upper.sum_w[k])
    return max(end, widened((value, few), value, factor)[1])
