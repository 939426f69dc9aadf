"""What a result stores about search, failures and entropies."""

from __future__ import annotations

import math
from typing import Any

from raresim.diagnostics.canary import Canary, canary
from raresim.engine.fold import Sampler
from raresim.engine.session import Session
from raresim.losses.failures import Failures
from raresim.methods.base import Tuned
from raresim.record.records import Estimate
from raresim.record.rows import Unit
from raresim.run.sample import Sample
from raresim.run.stop import Stop


def search_facts(tuned: Tuned, unit: Unit, rows: int) -> dict[str, Any]:
    """How failure regions were searched for, as stored in ``result.json``."""
    each = tuned.estimator.nominal if tuned.estimator and tuned.starts else 0
    untuned = "none" if tuned.proposal is None else "stated"
    kind = untuned if not tuned.starts else "replicates" if each else "tuned"
    if tuned.estimator is not None and tuned.estimator.corrects:
        kind = "surrogate"
    return {
        "kind": kind,
        "unit": unit,
        "starts": tuned.starts,
        "reached": tuned.reached,
        "regions": tuned.regions,
        "nominal": tuned.nominal + rows * each,
        "outcome": tuned.outcome,
        "gave_up": [str(ending) for ending in tuned.gave_up],
        "weighted": tuned.weighted,
        "facts": dict(tuned.facts),
        "decisions": list(tuned.decisions),
    }


def timing_facts(stop: Stop, sample: Sample) -> dict[str, Any]:
    """What ``stopping`` says about the time of a run; empty if time did not matter."""
    facts = {"seconds": stop.seconds, "ended_at": sample.ended_at, "by_hand": sample.by_hand or None}
    return {name: value for name, value in facts.items() if value is not None}


def timing_words(stop: Stop, sample: Sample) -> list[str]:
    """How a run that its time or its user ended is repeated; empty for any other run."""
    planned = f"stop: {{seconds: null, max_evaluations: {stop.max_evaluations}"
    if sample.by_hand:
        return [
            f"the user, who could see the estimate, stopped the run after {sample.ended_at:,} evaluations, so its "
            f"intervals are widened; {planned}, ended_at: {sample.ended_at}, by_hand: true}} repeats its digits"
        ]
    if stop.seconds is None:
        return []
    if sample.ended_at is None:
        return [f"the run ended before its {stop.seconds:g} s were up; {planned}}} repeats its digits"]
    return [
        f"the {stop.seconds:g} s of the run were up after {sample.ended_at:,} evaluations, and unfinished rows are not "
        f"used; {planned}, ended_at: {sample.ended_at}}} repeats its digits"
    ]


def failed_facts(failures: Failures, searching: int, evaluations: int) -> dict[str, Any]:
    """What ``result.json`` stores about rows without a loss; empty if every row has one at the first try."""
    if not failures.total and not failures.retried:
        return {}
    return {
        "rows": failures.total,
        "share": failures.total / evaluations,
        "searching": searching,
        "estimating": failures.total - searching,
        "kinds": failures.by_kind,
        "retried": failures.retried,
        "kept": failures.kept,
    }


def entropies(tuned: Tuned, estimate: Estimate) -> dict[str, float]:
    """Entropy of the optimal law and its cross-entropy against target and proposal, in nats, from the last level.

    Empty if no level was drawn at the threshold itself, or its entropy is unknown.
    """
    last = tuned.iterations[-1] if tuned.iterations else None
    if last is None or last.level != estimate.threshold or math.isnan(last.entropy):
        return {}
    return {
        "optimal": last.entropy,
        "cross_entropy_target": last.entropy + estimate.information.event_nats,
        "cross_entropy_proposal": last.cross_entropy,
    }


def rarity(estimate: Estimate) -> float:
    """The self-information of the event in nats; infinite if no row hit it."""
    nats = estimate.information.event_nats
    return math.inf if math.isnan(nats) else nats


def canary_of(session: Session, tuned: Tuned) -> Canary | None:
    """The test of the density of a proposal in standard normal space on regions of known probability; else None."""
    if tuned.proposal is None or session.problem.space != "standard":
        return None
    return canary(Sampler(session.problem, tuned.proposal, session.seed), session.plan(1).stage)
