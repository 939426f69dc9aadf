"""What all numbers of the estimate stage share: facts about their weights, trust in their error, the final record."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from raresim.accumulators.tail import TailMoments
from raresim.diagnostics.psis import bounded, khat
from raresim.diagnostics.row_checks import tail_is_trusted
from raresim.diagnostics.verdict import judge
from raresim.measures.base import Question
from raresim.measures.intervals import HEAVY_DOF, HEAVY_KHAT, LOOK_INFLATION
from raresim.record.budget import Budget
from raresim.record.records import Estimate
from raresim.record.rows import Unit, is_estimate
from raresim.run.sample import Sample

LEAST_KNOWN = 1e-12
"""Relative variance of a row below which what is known counts as rounding: a surrogate can know a plane exactly."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A number before its verdict.

    Parameters
    ----------
    kind, label, direction, threshold, threshold_note, value, log_value, std_error, relative_error, interval
        As in `raresim.record.records.Estimate`.
    interval_kind : str
        How the interval was made.
    doubt : str
        Why the interval does not hold at its confidence; empty if it does.
    judged_error : float or None
        The relative error that the verdict looks at; None without a hit.
    """

    kind: str
    label: str
    direction: str
    threshold: float
    threshold_note: str
    value: float
    log_value: float
    std_error: float
    relative_error: float
    judged_error: float | None
    interval: tuple[float, float]
    interval_kind: str
    doubt: str
    information: Budget
    diagnostics: Mapping[str, Any]
    level: float | None = None
    unit: str = "dimensionless"

    def finish(self, question: Question, search: Mapping[str, Any]) -> Estimate:
        """The estimate, with the verdict that its numbers and the ``search`` give."""
        kind = self.interval_kind
        if self.doubt:
            kind = f"not at {100 * question.confidence:g} %: {kind}, {self.doubt}"
        return Estimate(
            kind=self.kind,
            label=self.label,
            direction=self.direction,
            threshold=self.threshold,
            threshold_note=self.threshold_note,
            value=self.value,
            log_value=self.log_value,
            std_error=self.std_error,
            relative_error=self.relative_error,
            interval=self.interval,
            confidence=question.confidence,
            interval_kind=kind,
            holds_confidence=not self.doubt,
            reference=question.reference,
            information=self.information,
            diagnostics=self.diagnostics,
            verdict=judge(self.diagnostics, self.judged_error, search),
            level=self.level,
            unit=self.unit,
            asked=question.asked,
        )


def diagnostics_of(
    rows: int, hits: int, ess: float, share: float, weights: Mapping[str, Any], spent: Budget, faster: float | None
) -> dict[str, Any]:
    """What is stored with every number: its rows and hits, the largest ``share`` of one row, and its cost."""
    return {
        "rows": rows,
        "hits": hits,
        "ess": ess,
        "max_share": share,
        **weights,
        "kl_optimal_proposal": spent.proposal_nats,
        "self_information_nats": spent.event_nats,
        "self_information_bits": spent.event_bits,
        "draws_per_effective_hit": rows / ess if hits else math.inf,
        "speedup_over_crude": faster,
    }


def inflation(sample: Sample) -> float:
    """Factor by which intervals are widened because the sample chose its own size."""
    return 1.0 if sample.waits or (sample.planned and sample.looks == 1) else LOOK_INFLATION


def weights_of(k: int, sample: Sample) -> dict[str, Any]:
    """What is known of the tail of the weights of event ``k``; replicates without single weights have no k-hat."""
    tail, drawn = sample.summary.tail, sample.summary.drawn
    moments = drawn or tail
    weights = int(moments.hits[k])
    unseen = drawn is None and is_estimate(sample.unit)
    return {
        "khat": None if unseen else khat(sample.summary.top.largest(k), weights),
        "weights": weights,
        "max_to_mean": weights * moments.max_share(k),
    }


def is_heavy(weights: Mapping[str, Any], unit: Unit) -> bool:
    """Whether the tail of the weights makes the standard error itself uncertain."""
    if weights["khat"] is None:
        return not is_estimate(unit) and not bounded(weights["max_to_mean"], weights["weights"])
    return bool(weights["khat"] >= HEAVY_KHAT)


def holds(weights: Mapping[str, Any], unit: Unit) -> bool:
    """Whether an interval on the log scale holds at its confidence: the weights show that they have a variance."""
    if weights["khat"] is None and is_estimate(unit):
        return True
    return tail_is_trusted(weights["khat"], weights["max_to_mean"], weights["weights"])


def dof_of(tail: TailMoments, unit: Unit, heavy: bool) -> int | None:
    """Degrees of freedom of the standard error; None if they are too many to matter."""
    few = [tail.n - 1] if is_estimate(unit) else []
    return min([*few, HEAVY_DOF] if heavy else few, default=None)


def of_gross(search: Mapping[str, Any], loss: float) -> dict[str, float]:
    """Size of the loss divided by the gross positions, if the search stored their size; else empty."""
    gross = search.get("assumptions", {}).get("gross")
    return {"share_of_gross": abs(loss) / gross} if gross else {}


def of_surrogate(search: Mapping[str, Any], sample: Sample, k: int) -> dict[str, float]:
    """What the correction says of a surrogate; empty for other runs, and where no batch has a positive estimate.

    ``spread_over_known`` is the variance of the batches over the one that its doubts give, and ``surrogate_correction``
    the share of the estimate that the correction carries.
    """
    tail = sample.summary.tail
    if search["kind"] != "surrogate" or not tail.hits[k]:
        return {}
    alone = search["facts"][f"surrogate_probability_{k}"]
    found = {"surrogate_correction": 1.0 - alone * math.exp(-tail.log_probability(k))}
    if sample.known:
        found["spread_over_known"] = tail.n * tail.relative_error(k) ** 2 / max(sample.known[k], LEAST_KNOWN)
    return found


def of_known(sample: Sample, k: int) -> dict[str, float]:
    """Relative variance of a row, where the equations of a model give it exactly; else empty."""
    return {"known_variance": sample.known[k]} if sample.is_exact else {}


def speedup(log_value: float, relative_error: float, total: int) -> float | None:
    """Draws that crude Monte Carlo needs for the same relative error, divided by the evaluations of the run."""
    if not (math.isfinite(relative_error) and relative_error > 0 and log_value < 0):
        return None
    log_speedup = -log_value - 2.0 * math.log(relative_error) - math.log(total)
    return -math.expm1(log_value) * math.exp(log_speedup) if log_speedup < 700 else math.inf
