"""The result of a run, put together from its stages: estimates, verdicts, exhibits and facts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from raresim import inputs as _inputs  # noqa: F401  # frozen laws of SciPy become inputs
from raresim.diagnostics.canary import Canary
from raresim.diagnostics.verdict import judge, overall
from raresim.losses.failures import Failures
from raresim.losses.isolation import isolating
from raresim.measures import limit_states
from raresim.measures.base import Answered
from raresim.measures.tail_sample import tail_sample
from raresim.models import controls as model_controls
from raresim.models.controls import Control, gaps
from raresim.record.draws import Draws
from raresim.record.exhibits import Exhibit
from raresim.record.outcome import Arrays
from raresim.record.records import Estimate
from raresim.run import evaluations as of_evaluations
from raresim.run import reading, units
from raresim.run.answer import inflation
from raresim.run.audit import Audit
from raresim.run.facts import (
    entropies,
    failed_facts,
    rarity,
    search_facts,
    timing_facts,
    timing_words,
)
from raresim.run.found import Found
from raresim.run.presets import PRESETS
from raresim.run.probabilities import Lost
from raresim.run.result import Result
from raresim.run.sample import Sample
from raresim.run.sampled import not_drawn, sampled

if TYPE_CHECKING:
    from raresim.run.experiment import Experiment


@dataclass(frozen=True, eq=False)
class Estimated:
    """A run after its estimate, or on its way to it.

    Parameters
    ----------
    sample : Sample
        The estimate stage.
    failures : Failures
        Rows of all stages to which the user's loss gave no number.
    estimating : int
        How many of these rows belong to the estimate.
    audited : Audit
        The audit that followed.
    tested : Canary or None
        The test of the proposal's density; None if the proposal has none.
    interrupted : bool
        Whether the run was interrupted, with the estimate so far.
    """

    sample: Sample
    failures: Failures
    estimating: int
    audited: Audit
    tested: Canary | None
    interrupted: bool = False


def assemble(
    asked: Experiment,
    found: Found,
    estimated: Estimated,
    seconds: Mapping[str, float],
    manifest: Mapping[str, Any],
    texts: Mapping[str, str],
) -> Result:
    """The result of a run: everything that is read from its sums."""
    tuned, sample, audited = found.tuned, estimated.sample, estimated.audited
    lost = Lost(estimated.failures.total - estimated.estimating, estimated.estimating)
    evaluations = {
        "explore": found.explore,
        "tune": tuned.evaluations,
        "estimate": sample.summary.evaluations,
        "audit": audited.evaluations,
    }
    if found.rounds:
        evaluations["rounds"] = sum(before.evaluations for before in found.rounds)
    evaluations["total"] = sum(evaluations.values())
    search = search_facts(tuned, sample.unit, sample.summary.tail.n)
    search |= {"audit": audited.facts(), "canary": asdict(estimated.tested) if estimated.tested else None}
    search["decisions"] += timing_words(asked.stop, sample)
    search["rounds"] = [before.facts() for before in found.rounds]
    search["one_region"] = found.loss.one_region(asked.inputs)
    search["assumptions"] = {**asked.inputs.assumptions, **found.loss.assumptions(asked.inputs)}
    unit = found.loss.unit
    if unit:
        search["assumptions"]["unit"] = unit
    if estimated.interrupted:
        search["interrupted"] = True
    estimates = reading.estimates(found.questions, sample, search, evaluations["total"], lost, audited)
    controls = asked.model.controls(estimates, asked.preset) if asked.model and not estimated.interrupted else ()
    estimates = tuple(_controlled(estimate, controls, search) for estimate in estimates)
    estimates = tuple(units.of_estimate(e, unit) for e in estimates) if unit else estimates
    primary = max(range(len(estimates)), key=lambda k: (estimates[k].asked, rarity(estimates[k])))
    exhibits: tuple[Exhibit, ...] = ()
    if not estimated.interrupted:
        parts, factor = (found.loss, found.questions, estimates), inflation(sample)
        of_states = limit_states.exhibits(*parts, sample.summary, factor, asked.method.kind)
        exhibits = (*of_states, *_exhibits(asked, found, sample, estimates))
        if asked.model is not None:
            exhibits = (*exhibits, *asked.model.exhibits(estimates, exhibits))
        of_loss = of_evaluations.exhibits(found.job, sample, asked.inputs, found.loss)
        exhibits = (*exhibits, *of_loss)
    if controls:
        status = overall([e.verdict for e in estimates], [e.asked for e in estimates]).status
        exhibits = (model_controls.exhibit(controls, status), *exhibits)
    exhibits = tuple(units.of_exhibit(exhibit, unit) for exhibit in exhibits) if unit else exhibits
    if shown := sum(exhibit.evaluations for exhibit in exhibits):
        evaluations["exhibits"] = shown
        evaluations["total"] += shown
    drawn, facts = (None, {}) if estimated.interrupted else _sampled(asked, found, sample)
    return Result(
        name=asked.name,
        seed=asked.seed,
        method=asked.method.kind,
        description={
            **({"preset": [PRESETS[asked.preset].title, PRESETS[asked.preset].horizon]} if asked.preset else {}),
            **({"model": [*asked.model.describe(), *asked.model.notes()]} if asked.model else {}),
            "inputs": asked.inputs.describe(),
            "loss": found.loss.describe(),
            **({"approximation": found.session.approximation.describe()} if found.session.approximation else {}),
            "method": asked.method.describe(),
        },
        estimates=estimates,
        verdict=overall([e.verdict for e in estimates], [e.asked for e in estimates]),
        evaluations=evaluations,
        seconds=seconds,
        speedup_over_crude=estimates[primary].diagnostics["speedup_over_crude"],
        diagnostics={
            **estimates[primary].diagnostics,
            "kl_proposal_target": tuned.kl_proposal_target,
            "kl_target_optimal": estimates[primary].information.event_nats,
            "entropy": entropies(tuned, estimates[primary]),
        },
        search=search,
        stopping={
            "relative_error": asked.stop.relative_error,
            "max_evaluations": asked.stop.max_evaluations,
            "looks": sample.looks,
            "planned": sample.planned,
            "interval_inflation": inflation(sample),
            **timing_facts(asked.stop, sample),
        },
        iterations=tuned.iterations,
        convergence=reading.convergence(found.questions, sample, not search["weighted"], search["facts"]),
        exhibits=exhibits,
        arrays=Arrays(
            loss=sample.summary.kept.loss,
            log_weight=sample.summary.kept.log_weight,
            top_log_weight=sample.summary.top.largest(primary),
        ),
        manifest={**manifest, **facts},
        evidence=asked.inputs.evidence,
        trace=tuned.trace.and_(audited.evidence(found.session.events)),
        log=tuple(found.session.log),
        texts=texts,
        failures=estimated.failures,
        draws=drawn,
        failed=failed_facts(estimated.failures, lost.searching, evaluations["total"]),
    )


def _controlled(estimate: Estimate, controls: Sequence[Control], search: Mapping[str, Any]) -> Estimate:
    """``estimate``, judged with the controls of the model."""
    found = gaps(estimate, controls)
    if not found:
        return estimate
    diagnostics = {**estimate.diagnostics, **found}
    error = estimate.relative_error if diagnostics["hits"] else None
    return replace(estimate, diagnostics=diagnostics, verdict=judge(diagnostics, error, search))


def _exhibits(asked: Experiment, found: Found, sample: Sample, estimates: Sequence[Estimate]) -> tuple[Exhibit, ...]:
    """What the measures show beside their numbers.

    Parts of the loss are computed in this process, or in a process of their own if workers may die of it. Further
    losses are a stage of the run like others.
    """
    if found.session.beyond is None:
        return ()
    with nullcontext() if found.session.executor.shares_memory else isolating():
        return _shown(asked, found, sample, estimates)


def _shown(asked: Experiment, found: Found, sample: Sample, estimates: Sequence[Estimate]) -> tuple[Exhibit, ...]:
    rows = tail_sample(sample.summary, found.job.read_with or found.session.problem)
    shown: list[Exhibit] = []
    factor = inflation(sample)
    for measure, places in zip(asked.measures, found.places, strict=True):
        own = tuple(estimates[place] for place in places)
        left = found.after - sum(exhibit.evaluations for exhibit in shown)
        answered = Answered(rows, own, tuple(estimates), found.session, factor, left, found.scale)
        for exhibit in measure.exhibits(answered):
            alike = sum(re.fullmatch(rf"{exhibit.name}(_\d+)?", other.name) is not None for other in shown)
            shown.append(replace(exhibit, name=f"{exhibit.name}_{alike + 1}") if alike else exhibit)
    return tuple(shown)


def _sampled(asked: Experiment, found: Found, sample: Sample) -> tuple[Draws | None, dict[str, Any]]:
    """The sample of the event that the run writes, and its facts for the manifest; nothing if none is wanted."""
    kept, drawing = sample.summary.sampled, found.session.drawing
    if asked.output is None or drawing is None:
        return None, {}
    if kept is None:
        return None, {"draws": {"why": not_drawn(sample.unit)}}
    problem = found.job.read_with or found.session.problem
    with nullcontext() if found.session.executor.shares_memory else isolating():
        table, facts = sampled(kept, drawing, problem, asked.output)
    return table, {"draws": facts}
