"""A value at risk or an expected shortfall from the weighted losses of the estimate stage."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from raresim.accumulators.weighted_losses import WeightedLosses, Whole
from raresim.diagnostics.psis import evenness
from raresim.information import budget
from raresim.measures.base import Question
from raresim.measures.curve import Certainty, Quantile, TailCurve
from raresim.measures.intervals import log_scale
from raresim.measures.levels import level_of, percent
from raresim.numerics.arrays import Float
from raresim.record.records import ConvergencePoint, Estimate
from raresim.run import answer
from raresim.run.answer import Answer
from raresim.run.audit import Audit
from raresim.run.sample import Look, Sample

SECTIONS, LEAST_OF_SECTION = 16, 20
"""Number of parts of the rows for a cross-check of an error, and rows beyond the quantile that each part must have."""

ROUNDING = 1e-12
"""Relative error of a quantile that is none: losses of a law with steps can differ in their last digits alone."""

MOST_SORTED = 2_000_000
"""Total number of losses sorted for the convergence of a quantile, over all its points."""


@dataclass(frozen=True, eq=False)
class Losses:
    """The weighted losses of a sample, sorted once for all readings.

    Parameters
    ----------
    rows : WeightedLosses
        The rows that the estimate stage kept.
    looks : sequence of Look
        The looks after parts of the rows.
    """

    rows: WeightedLosses
    looks: Sequence[Look]

    @cached_property
    def curve(self) -> TailCurve:
        """The curve of all rows."""
        return TailCurve.of(self.rows)

    @cached_property
    def joined(self) -> tuple[Float, Float, Whole]:
        """Losses, log weights and numbers of the rows that are kept by themselves."""
        return self.rows.joined()

    @cached_property
    def sofar(self) -> list[tuple[int, TailCurve]]:
        """Evaluations and the curve after some of the looks, as long as rows are kept one by one."""
        loss, log_weight, row = self.joined
        looks = [look for look in self.looks if look.tail.n <= self.rows.among]
        curves = []
        for look in looks[-1 :: -max(1, len(looks) * loss.size // MOST_SORTED)][::-1]:
            k = int(np.searchsorted(row, look.tail.n))
            curves.append((look.evaluations, TailCurve.of_rows(look.tail.n, loss[:k], log_weight[:k])))
        return curves

    @cached_property
    def sections(self) -> list[TailCurve]:
        """`SECTIONS` parts of the rows: every sixteenth row, because components of a mixture stand in sequence."""
        loss, log_weight, row = self.joined
        parts = ((row % SECTIONS == k, len(range(k, self.rows.among, SECTIONS))) for k in range(SECTIONS))
        return [TailCurve.of_rows(n, loss[at], log_weight[at]) for at, n in parts]

    def sectioned_error(self, question: Question, tail: float, value: float, bounded: bool) -> float | None:
        """Standard error of ``value`` from the spread of the values of the parts ([1]_); None if parts are too small.

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
        """How even the weights of an expected shortfall are: weights of the rows times their excess over ``floor``."""
        loss, log_weight, _ = self.joined
        beyond = loss > floor
        return evenness(log_weight[beyond] + np.log(loss[beyond] - floor)) if beyond.any() else {}


def estimate(
    k: int,
    question: Question,
    tail: float,
    losses: Losses,
    sample: Sample,
    search: Mapping[str, Any],
    total: int,
    audited: Audit,
) -> Estimate:
    """A value at risk or expected shortfall; its counts and weights are of the rows at and beyond the value at risk."""
    crude, curve = not search["weighted"], losses.curve.for_tail(tail, sample.weight_bound is not None)
    certainty = _certainty(k, question, sample, crude, answer.inflation(sample))
    found = curve.value_at_risk(tail, certainty)
    at = found.at
    log_beyond = -math.inf if at is None else math.log(float(curve.beyond[at]))
    spent = budget(log_beyond, sample.summary.tail.kl(k))
    weights, share = answer.weights_of(k, sample), sample.summary.tail.max_share(k)
    faster = answer.speedup(log_beyond, found.tail_error, total)
    diagnostics = answer.diagnostics_of(curve.n, found.hits, curve.ess(at), share, weights, spent, faster)
    diagnostics |= audited.diagnostics(k)
    diagnostics |= {"tail_error": found.tail_error, "audit_error_ratio": None}  # that ratio is of a probability
    value, std_error, interval = _answer(question, found, tail, curve, certainty)
    diagnostics |= answer.of_gross(search, value)
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
    if sections is not None and std_error > ROUNDING * abs(value):
        diagnostics["sections_error_ratio"] = sections / std_error
    doubtful = not crude and found.hits and not answer.holds(diagnostics, sample.unit)
    relative_error = std_error / abs(value) if value else math.inf
    name = "VaR" if question.quantity == "value_at_risk" else "ES"
    number = Answer(
        kind=question.quantity,
        label=f"{name} {percent(tail)}",
        direction="above",
        threshold=found.value,
        threshold_note=f"tuned to a loss of {question.event.threshold:.6g}, found before the estimate",
        value=value,
        log_value=math.nan,
        std_error=std_error,
        relative_error=relative_error,
        judged_error=relative_error,
        interval=interval,
        interval_kind=kind,
        doubt="from weights whose variance may be infinite" if doubtful else "",
        information=spent,
        diagnostics=diagnostics,
        level=level_of(tail),
        unit="loss",
    )
    return number.finish(question, search)


def path(
    k: int, question: Question, tail: float, losses: Losses, sample: Sample, crude: bool
) -> Iterator[ConvergencePoint]:
    """The answer to question ``k`` after growing parts of its draws, with intervals of a sample of fixed size."""
    certainty = _certainty(k, question, sample, crude)
    for evaluations, sofar in losses.sofar:
        curve = sofar.for_tail(tail, sample.weight_bound is not None)
        found = curve.value_at_risk(tail, certainty)
        value, error, interval = _answer(question, found, tail, curve, certainty)
        yield ConvergencePoint(k, evaluations, value, error, *interval)


def _answer(
    question: Question, found: Quantile, tail: float, curve: TailCurve, certainty: Certainty
) -> tuple[float, float, tuple[float, float]]:
    """Value, standard error and interval of the value at risk ``found``, or of the expected shortfall beyond it.

    To first order the error of the shortfall is the error of the mean excess, positive and skewed like a probability.
    """
    if question.quantity == "value_at_risk" or found.at is None:
        return found.value, found.std_error, (found.low, found.high)
    value, error = curve.shortfall(found.at, tail)
    excess = value - found.value
    relative_error = certainty.factor * error / excess if excess else 0.0
    low, high = log_scale(excess, relative_error, certainty.confidence, certainty.dof)
    return value, error, (found.value + low, found.value + high)


def _certainty(k: int, question: Question, sample: Sample, crude: bool, factor: float = 1.0) -> Certainty:
    """The certainty of the interval of a quantile, given the weights of its event."""
    heavy = not crude and answer.is_heavy(answer.weights_of(k, sample), sample.unit)
    return Certainty(question.confidence, crude, answer.dof_of(sample.summary.tail, sample.unit, heavy), factor)
