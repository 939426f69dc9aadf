"""From the sums of the estimate stage to estimates: value, error, interval, diagnostics and verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from raresim.accumulators.bets import Bets
from raresim.accumulators.summary import Summary
from raresim.accumulators.tail import TailMoments
from raresim.accumulators.weighted_losses import WeightedLosses, Whole
from raresim.diagnostics.psis import bounded, evenness, khat
from raresim.diagnostics.verdict import error_is_audited, judge, tail_is_trusted, threshold_is_known
from raresim.engine.problem import Problem
from raresim.estimators.base import Unit
from raresim.estimators.guarantee import Wait
from raresim.information import budget
from raresim.measures.base import Question
from raresim.measures.curve import Certainty, Quantile, TailCurve
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
from raresim.measures.levels import level_of, percent
from raresim.measures.often import Often
from raresim.measures.tail_rate import rate_at
from raresim.measures.tail_sample import TailSample
from raresim.numerics.arrays import Float
from raresim.record.records import ConvergencePoint, Estimate
from raresim.run.audit import Audit
from raresim.run.estimation import Look, Sample

SECTIONS, LEAST_OF_SECTION = 16, 20
"""Parts of the rows that cross-check an error, and rows beyond the quantile that each has to have."""

MOST_SORTED = 2_000_000
"""Losses that are sorted for the convergence of a quantile, over all its points."""

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
    losses = None if sample.summary.losses is None else _Losses(sample.summary.losses, sample.history)
    for k, question in enumerate(questions):
        if question.tail is not None and losses is not None:
            certainty = _certainty(k, question, sample, crude)
            for evaluations, sofar in losses.sofar:
                curve = sofar.for_tail(question.tail, sample.weight_bound is not None)
                found = curve.value_at_risk(question.tail, certainty)
                value, error, interval = _answer(question, found, question.tail, curve, certainty)
                points.append(ConvergencePoint(k, evaluations, value, error, *interval))
            continue
        heavy = _is_heavy(_weights(k, sample), sample.unit)
        of_threshold = _of_threshold(question, sample, _read(k, sample, sample.summary)[1], {})
        for look in sample.history:
            tail = look.tail
            _, value, relative_error, common = _read(k, sample, look)
            dof = _dof(tail, sample.unit, heavy)
            low, high = _interval(tail, k, relative_error, question.confidence, crude, dof, common=common)[0]
            if look.upper is not None:
                high = _upper_end(look.upper, k, sample, question.confidence, crude, heavy)
            if of_threshold > 0 and value > 0:
                low, high = _with_threshold((low, high), value, of_threshold, question.confidence)
                relative_error = math.hypot(relative_error, of_threshold)
            error = value * relative_error if tail.hits[k] else math.nan
            points.append(ConvergencePoint(k, look.evaluations, value, error, low, high))
    return tuple(points)


@dataclass(frozen=True, eq=False)
class _Losses:
    """The weighted losses of a sample, sorted once for all that is read from them.

    Parameters
    ----------
    rows : WeightedLosses
        As the estimate stage kept them.
    looks : sequence of Look
        After which parts of them.
    """

    rows: WeightedLosses
    looks: Sequence[Look]

    @cached_property
    def curve(self) -> TailCurve:
        """Of all rows."""
        return TailCurve.of(self.rows)

    @cached_property
    def joined(self) -> tuple[Float, Float, Whole]:
        """Losses, log weights and numbers of the rows that are kept by themselves."""
        return self.rows.joined()

    @cached_property
    def sofar(self) -> list[tuple[int, TailCurve]]:
        """Evaluations and the curve after some of the looks, as far as rows are kept by themselves."""
        loss, log_weight, row = self.joined
        looks = [look for look in self.looks if look.tail.n <= self.rows.among]
        curves = []
        for look in looks[-1 :: -max(1, len(looks) * loss.size // MOST_SORTED)][::-1]:
            k = int(np.searchsorted(row, look.tail.n))
            curves.append((look.evaluations, TailCurve.of_rows(look.tail.n, loss[:k], log_weight[:k])))
        return curves

    @cached_property
    def sections(self) -> list[TailCurve]:
        """`SECTIONS` parts of the rows: every sixteenth, as components of a mixture stand one after the other."""
        loss, log_weight, row = self.joined
        parts = ((row % SECTIONS == k, len(range(k, self.rows.among, SECTIONS))) for k in range(SECTIONS))
        return [TailCurve.of_rows(n, loss[at], log_weight[at]) for at, n in parts]

    def sectioned_error(self, question: Question, tail: float, value: float, bounded: bool) -> float | None:
        """Standard error of ``value`` from the spread of the parts' around it ([1]_); None where they are too few.

        References
        ----------
        .. [1] Asmussen & Glynn, *Stochastic simulation*, 2007, III.5a.
        """
        squares = []
        for section in self.sections:
            curve = section.for_tail(tail, bounded)
            at = curve.index(tail)
            if at is None or curve.hits[at] < LEAST_OF_SECTION:
                return None
            of_part = curve.shortfall(at, tail)[0] if question.quantity == "expected_shortfall" else curve.loss[at]
            squares.append(float(of_part - value) ** 2)
        return math.sqrt(sum(squares) / (SECTIONS * (SECTIONS - 1)) * self.rows.among / self.rows.n)

    def excess_weights(self, floor: float) -> dict[str, Any]:
        """How even the weights of an expected shortfall are: those of the rows times what is beyond ``floor``."""
        loss, log_weight, _ = self.joined
        beyond = loss > floor
        return evenness(log_weight[beyond] + np.log(loss[beyond] - floor)) if beyond.any() else {}


def _answer(
    question: Question, found: Quantile, tail: float, curve: TailCurve, certainty: Certainty
) -> tuple[float, float, tuple[float, float]]:
    """Value, standard error and interval of a value at risk, ``found``, or of the expected shortfall beyond it.

    To first order the error of the second is that of the mean excess, which is positive and skewed as a probability is.
    """
    if question.quantity == "value_at_risk" or found.at is None:
        return found.value, found.std_error, (found.low, found.high)
    value, error = curve.shortfall(found.at, tail)
    excess = value - found.value
    relative_error = certainty.factor * error / excess if excess else 0.0
    low, high = log_scale(excess, relative_error, certainty.confidence, certainty.dof)
    return value, error, (found.value + low, found.value + high)


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
    losses = None if sample.summary.losses is None else _Losses(sample.summary.losses, sample.history)
    return tuple(
        _estimate(k, question, sample, search, total, lost, audited)
        if question.tail is None or losses is None
        else _of_losses(k, question, question.tail, losses, sample, search, total, audited)
        for k, question in enumerate(questions)
    )


def tail_sample(summary: Summary, problem: Problem) -> TailSample:
    """The rows beyond the floor, with their factors and components where their draws were kept."""
    losses = summary.losses
    if losses is None:
        raise ValueError("no rows were kept")
    if summary.draws is not None:
        draws = summary.draws
        loss, log_weight, row, u = draws.joined()
        return of_draws(problem, draws.n, losses.floor, loss, log_weight, row, u)
    loss, log_weight, row = losses.joined()
    nothing = np.empty((loss.size, 0))
    return TailSample(losses.among, losses.floor, loss, log_weight, row, nothing, nothing, nothing)


def of_draws(
    problem: Problem, n: int, floor: float, loss: Float, log_weight: Float, row: Whole, u: Float
) -> TailSample:
    """The rows of draws ``u`` (k, l), with their factors and components."""
    u = np.asfortranarray(u)
    x = u
    if problem.space == "standard":
        x = problem.inputs.to_physical(u, np.empty((len(u), problem.inputs.dim), order="F"))
    components = problem.loss.components(x)
    parts = np.empty((len(u), 0)) if components is None else components
    return TailSample(n, floor, loss, log_weight, row, u, x, parts)


def _certainty(k: int, question: Question, sample: Sample, crude: bool, factor: float = 1.0) -> Certainty:
    """How sure the interval of a quantile is to be, after what the weights of its event look like."""
    heavy = not crude and _is_heavy(_weights(k, sample), sample.unit)
    return Certainty(question.confidence, crude, _dof(sample.summary.tail, sample.unit, heavy), factor)


def _of_losses(
    k: int,
    question: Question,
    tail: float,
    losses: _Losses,
    sample: Sample,
    search: Mapping[str, Any],
    total: int,
    audited: Audit,
) -> Estimate:
    """A value at risk or an expected shortfall; counts and weights are those at and beyond the value at risk."""
    crude, curve = not search["weighted"], losses.curve.for_tail(tail, sample.weight_bound is not None)
    certainty = _certainty(k, question, sample, crude, inflation(sample))
    found = curve.value_at_risk(tail, certainty)
    at = found.at
    log_beyond = -math.inf if at is None else math.log(float(curve.beyond[at]))
    spent = budget(log_beyond, sample.summary.tail.kl(k))
    diagnostics: dict[str, Any] = {
        "rows": curve.n,
        "hits": found.hits,
        "ess": curve.ess(at),
        "max_share": sample.summary.tail.max_share(k),
        **_weights(k, sample),
        "tail_error": found.tail_error,
        "kl_optimal_proposal": sample.summary.tail.kl(k),
        "self_information_nats": spent.event_nats,
        "self_information_bits": spent.event_bits,
        "draws_per_effective_hit": curve.n / curve.ess(at) if found.hits else math.inf,
        "speedup_over_crude": _speedup(log_beyond, found.tail_error, total),
        **audited.diagnostics(k),
        "audit_error_ratio": None,  # that of the probability beyond the quantile
    }
    value, std_error, interval = _answer(question, found, tail, curve, certainty)
    diagnostics |= _of_gross(search, value)
    kind = "order statistics (exact)" if crude else "inverted tail interval, log scale"
    if question.quantity == "expected_shortfall" and at is not None:
        kind = "influence function, log scale of the excess"
        diagnostics |= losses.excess_weights(found.value)
        excess = value - found.value
        diagnostics["tail_error"] = max(found.tail_error, std_error / excess if excess > 0 else 0.0)
    if certainty.dof is not None:
        kind += f", t with {certainty.dof:,} degrees of freedom"
    if losses.rows.bins is not None:
        diagnostics["resolution"] = curve.gap(at)
    sections = losses.sectioned_error(question, tail, value, sample.weight_bound is not None)
    if sections is not None and std_error > 0:
        diagnostics["sections_error_ratio"] = sections / std_error
    holds = crude or not found.hits or _holds(diagnostics, sample.unit)
    if not holds:
        kind = f"not at {100 * question.confidence:g} %: {kind}, of weights that may have no variance"
    relative_error = std_error / abs(value) if value else math.inf
    name = "VaR" if question.quantity == "value_at_risk" else "ES"
    return Estimate(
        kind=question.quantity,
        label=f"{name} {percent(tail)}",
        direction="above",
        threshold=found.value,
        threshold_note=f"tuned to a loss of {question.event.threshold:.6g}, found before",
        value=value,
        log_value=math.nan,
        std_error=std_error,
        relative_error=relative_error,
        interval=interval,
        confidence=question.confidence,
        interval_kind=kind,
        holds_confidence=holds,
        reference=question.reference,
        information=spent,
        diagnostics=diagnostics,
        verdict=judge(diagnostics, relative_error, search),
        level=level_of(tail),
        unit="loss",
        asked=question.asked,
    )


def _estimate(
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
    diagnostics |= _of_gross(search, question.event.threshold)
    factor = inflation(sample)
    crude = not search["weighted"]
    dof = _dof(tail, sample.unit, heavy)
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
    seen = _holds(weights, sample.unit) or error_is_audited(diagnostics, search["audit"])
    holds = crude or not hits or bets is not None or seen
    why = "of weights " + ("too few to see their tail" if weights["khat"] is None else "that may have no variance")
    if holds and of_threshold > 0 and not threshold_is_known(diagnostics):
        holds, why = False, "whose draws may have no variance"
    if not holds:
        interval_kind = f"not at {100 * question.confidence:g} %: {interval_kind}, {why}"
    return Estimate(
        kind="probability",
        label=question.event.label,
        direction=question.event.direction,
        threshold=question.event.threshold,
        threshold_note=_noted(question, value),
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


def _read(k: int, sample: Sample, at: Summary | Look) -> tuple[float, float, float, Often | None]:
    """Log, value and relative error of a probability; and how it was read where the event is common.

    Else it is the mean of the weights, which is at most one like the probability, by whatever chance it is more.
    """
    common = sample.common(at, k)
    if common is not None:
        return math.log1p(-common.outside), common.value, common.relative_error, common
    log_value = min(at.tail.log_probability(k), 0.0)
    return log_value, math.exp(log_value), sample.relative_error(at.tail, k), None


def _of_threshold(question: Question, sample: Sample, value: float, diagnostics: dict[str, Any]) -> float:
    """Relative error that a threshold which is itself estimated gives to a probability ``value``; 0 where it is known.

    Writes to ``diagnostics`` what the verdict looks at. By the delta method: the log of the probability falls with the
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
    """``interval`` with the relative ``error`` of another source: distances on the log scale add as squares."""
    more = Certainty(confidence).quantile * error
    low, high = interval
    down = math.hypot(math.log(value / low), more) if low > 0 else math.inf
    up = math.hypot(math.log(high / value), more) if high > 0 else math.inf
    return value * math.exp(-down), min(1.0, value * math.exp(min(up, 700.0)))


def _noted(question: Question, value: float) -> str:
    """How the threshold came about, and whether it is one of a tail at all."""
    if value <= 0.5:
        return question.note
    side = "below" if question.event.direction == "above" else "above"
    common = f"it lies {side} the median of the loss, so the event is more likely than not: is the sign right?"
    return f"{question.note}; {common}" if question.note else common


def _of_gross(search: Mapping[str, Any], loss: float) -> dict[str, float]:
    """How large a loss is beside the positions, where the search stored their sizes."""
    gross = search.get("assumptions", {}).get("gross")
    return {"share_of_gross": abs(loss) / gross} if gross else {}


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
    common: Often | None = None,
) -> tuple[tuple[float, float], str]:
    """The interval, its distances from the estimate widened by ``factor`` on the log scale, and how it was made.

    Of an event that is ``common`` the way that it is read by.
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
    relative_error = sample.relative_error(upper, k)
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
