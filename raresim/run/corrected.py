"""A value at risk or an expected shortfall from the corrected mean of a surrogate at a threshold near the quantile."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from raresim.accumulators.tail import TailMoments
from raresim.information import budget
from raresim.measures.base import Question
from raresim.measures.intervals import log_scale
from raresim.measures.levels import level_of, percent
from raresim.record.records import ConvergencePoint, Estimate
from raresim.run import answer
from raresim.run.answer import Answer
from raresim.run.audit import Audit
from raresim.run.sample import Sample


@dataclass(frozen=True)
class Corrected:
    """How a number is read from the ratio of a corrected mean to the tail probability.

    Parameters
    ----------
    threshold : float
        The quantile of the surrogate, in the unit of the loss.
    rate : float
        How fast the log of the probability falls with the threshold there, per unit of the loss.
    unit : float
        Mean excess over the threshold as the surrogate has it; 0 for a value at risk.
    tail : float
        The tail probability.

    Notes
    -----
    A probability that is ``r`` times the tail at ``threshold`` moves the value at risk by ``log(r) / rate``. The
    expected shortfall is ``threshold + E[(loss - threshold)+] / tail``, which is smallest at the value at risk [1]_, so
    that to first order it does not matter how near the threshold is.

    References
    ----------
    .. [1] Rockafellar & Uryasev, *Optimization of conditional value-at-risk*, J. Risk 2, 2000.
    """

    threshold: float
    rate: float
    unit: float
    tail: float

    @classmethod
    def of(cls, k: int, facts: Mapping[str, float], tail: float) -> Corrected:
        """That of question ``k``, from the facts of a search."""
        return cls(
            facts[f"surrogate_threshold_{k}"],
            facts[f"surrogate_rate_{k}"],
            facts.get(f"surrogate_unit_{k}", 0.0),
            tail,
        )

    def value(self, mean: float) -> float:
        """The number, if the corrected mean is ``mean``."""
        if self.unit:
            return self.threshold + self.unit * mean / self.tail
        return self.threshold + (math.log(mean / self.tail) / self.rate if mean > 0 else -math.inf)

    def error(self, mean: float, relative_error: float) -> float:
        """Its standard error, in the unit of the loss."""
        return relative_error * (self.unit * mean / self.tail if self.unit else 1.0 / self.rate)


def estimate(
    k: int, question: Question, tail: float, sample: Sample, search: Mapping[str, Any], total: int, audited: Audit
) -> Estimate:
    """The answer to question ``k``; its counts and weights are of the batches that correct it."""
    moments, found = sample.summary.tail, Corrected.of(k, search["facts"], tail)
    log_mean, hits = moments.log_probability(k), int(moments.hits[k])
    spent = budget(math.log(tail), moments.kl(k))
    weights = answer.weights_of(k, sample)
    value, error, interval, kind = _read(k, question, found, moments, sample, answer.inflation(sample))
    tail_error = sample.relative_error(moments, k)
    faster = answer.speedup(log_mean, tail_error, total)
    diagnostics = answer.diagnostics_of(moments.n, hits, moments.ess(k), moments.max_share(k), weights, spent, faster)
    diagnostics |= audited.diagnostics(k) | answer.of_gross(search, value) | answer.of_surrogate(search, sample, k)
    diagnostics |= {"tail_error": tail_error}
    if "surrogate_correction" in diagnostics:
        # to first order only: a threshold that is no quantile of the surrogate gives no number either
        off = 1.0 - tail / max(search["facts"][f"surrogate_beyond_{k}"], 1e-300)
        diagnostics["surrogate_correction"] = max(diagnostics["surrogate_correction"], off, key=abs)
    relative_error = error / abs(value) if value else math.inf
    name = "VaR" if question.quantity == "value_at_risk" else "ES"
    number = Answer(
        kind=question.quantity,
        label=f"{name} {percent(tail)}",
        direction="above",
        threshold=value if question.quantity == "value_at_risk" else found.threshold,
        threshold_note=f"corrected at a loss of {found.threshold:.6g}, the quantile of the surrogate",
        value=value,
        log_value=math.nan,
        std_error=error,
        relative_error=relative_error,
        judged_error=max(relative_error, tail_error) if hits else None,
        interval=interval,
        interval_kind=kind,
        doubt="",
        information=spent,
        diagnostics=diagnostics,
        level=level_of(tail),
        unit="loss",
    )
    return number.finish(question, search)


def path(
    k: int, question: Question, tail: float, sample: Sample, facts: Mapping[str, float]
) -> Iterator[ConvergencePoint]:
    """The answer to question ``k`` after growing parts of its batches."""
    found = Corrected.of(k, facts, tail)
    for look in sample.history:
        value, error, interval, _ = _read(k, question, found, look.tail, sample)
        yield ConvergencePoint(k, look.evaluations, value, error, *interval)


def _read(
    k: int, question: Question, found: Corrected, moments: TailMoments, sample: Sample, factor: float = 1.0
) -> tuple[float, float, tuple[float, float], str]:
    """Value, standard error, interval, and how that was made."""
    if not moments.hits[k]:
        return math.nan, math.inf, (-math.inf, math.inf), "none"
    mean, relative_error = math.exp(moments.log_probability(k)), sample.relative_error(moments, k)
    heavy = answer.is_heavy(answer.weights_of(k, sample), sample.unit)
    dof = answer.dof_of(moments, sample.unit, heavy)
    low, high = log_scale(mean, factor * relative_error, question.confidence, dof)
    kind = "log scale of the corrected mean excess" if found.unit else "log scale of the corrected tail, over its rate"
    if dof is not None:
        kind += f", t with {dof:,} degrees of freedom"
    return found.value(mean), found.error(mean, relative_error), (found.value(low), found.value(high)), kind
