"""What the page says of each number, of the sampling behind it, and of the run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from raresim.record.records import Estimate
from raresim.record.rows import is_estimate
from raresim.record.verdict import Check, Verdict
from raresim.report import tables
from raresim.report.rows import ROWS, distinct
from raresim.report.run import Run

BADGES = {
    "trusted": ("\u2713", "Trusted"),
    "caution": ("!", "Caution"),
    "untrusted": ("\u2715", "Untrusted"),
    "bound_only": ("\u2264", "Bound only"),
}

STAGES = {
    "explore": "looking for where losses are large",
    "tune": "fitting the proposal",
    "estimate": "fresh {rows}, the only ones behind the numbers",
    "audit": "an independent search for missed failure regions",
    "rounds": "estimates and audits of earlier rounds, which found a region that was missed",
    "exhibits": "the search for the most likely scenarios",
}

FAILED = {
    "raised": "raised",
    "timeout": "timed out",
    "nan": "were NaN",
    "infinite": "were infinite",
    "died": "ended the process of their worker",
    "exit": "ended with an exit code other than 0",
    "output": "wrote no number where it is read",
}
"""How rows fail, by the keys of ``result.json``."""

ITERATION_COLUMNS = {
    "level": "Level",
    "rarity": "Rarity",
    "evaluations": "Evaluations",
    "elites": "Elites",
    "ess": "ESS",
    "kl_optimal_proposal": "KL(optimal \u2016 proposal)",
    "kl_step": "KL step",
    "cross_entropy": "Cross-entropy",
    "entropy": "Entropy",
    "log_probability": "log P",
}

COUNTS = ("evaluations", "elites", "ess")
AMOUNTS = ("kl_optimal_proposal", "kl_step", "cross_entropy", "entropy", "log_probability")
"""Columns of iterations that are whole numbers, and those in nats; the others are losses and shares."""

MOST_NAMED = 4
"""Numbers that a sentence names."""


@dataclass(frozen=True)
class Column:
    """A column of the table of the sampling behind each estimate: its head, term, key and format."""

    title: str
    term: str
    key: str
    how: str


@dataclass(frozen=True)
class Amount:
    """A row of the information budget."""

    title: str
    term: str
    nats: float
    bits: float | None
    draws: str
    meaning: str


def standing_of(estimates: Sequence[Estimate]) -> str:
    """How many of several numbers are trusted, and which checks the others did not pass; empty for one number."""
    asked = [e for e in estimates if e.asked]
    if len(asked) < 2:
        return ""
    others = [e for e in asked if e.verdict.status != "trusted"]
    if not others:
        return f"{'Both' if len(asked) == 2 else f'All {len(asked)}'} numbers that were asked for are trusted."
    reasons: dict[tuple[str, ...], list[str]] = {}
    for e in others:
        failed = tuple(check.name.replace("_", " ") for check in e.verdict.checks if check.status != "trusted")
        reasons.setdefault(failed, []).append(e.label)
    told = []
    for failed, labels in reasons.items():
        more = len(labels) - MOST_NAMED
        names = ", ".join(labels[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
        told.append(f"{names} {'is' if len(labels) == 1 else 'are'} not ({', '.join(failed)})")
    return f"{len(asked) - len(others)} of {len(asked)} numbers are trusted; {'; '.join(told)}."


def percent(x: float | None) -> str:
    """A share in percent, on one line."""
    return tables.percent(x).replace(" ", "\u00a0")


def badge(verdict: Verdict) -> dict[str, str]:
    """Status, symbol and word of a verdict."""
    symbol, word = BADGES[verdict.status]
    return {"status": verdict.status, "symbol": symbol, "word": word}


def value(estimate: Estimate) -> str:
    """The number itself, or its upper limit."""
    return tables.answer(estimate, "\u2264\u00a0")


def interval(estimate: Estimate) -> str:
    """The ends of its interval."""
    if estimate.is_below_doubles:
        return "ends too small for a double,"
    return tables.interval(estimate.lower, estimate.upper)


def comparison(estimate: Estimate) -> str:
    """The estimate against its reference, in words; empty without one."""
    reference = estimate.reference
    if reference is None:
        return ""
    if estimate.is_exactly_the_reference:
        return "agrees to nine digits"
    if estimate.is_bound or not estimate.has_error:
        if not tables.is_known(estimate.lower) or not tables.is_known(estimate.upper):
            return "cannot be compared: the run has no interval"
        is_inside = estimate.lower <= reference.value <= estimate.upper
        return "lies inside the interval" if is_inside else "lies outside the interval"
    difference = estimate.value - reference.value
    errors = abs(difference) / estimate.std_error
    where = "above" if difference > 0 else "below"
    relative = f" ({percent(abs(difference / reference.value))})" if reference.value else ""
    verdict = "agrees" if errors <= 2 else "is a borderline case" if errors <= 3 else "disagrees"
    return f"{verdict}: {tables.number(errors, 2)} standard errors {where} the reference{relative}"


def beside_reference(estimate: Estimate) -> str:
    """How an estimate compares with its reference in one cell of a table."""
    if estimate.reference is None:
        return ""
    if estimate.is_bound or not estimate.has_error:
        return comparison(estimate).removeprefix("lies ")
    return f"{(estimate.value - estimate.reference.value) / estimate.std_error:+.2f} SE"


def hidden(run: Run) -> dict[str, str] | None:
    """The bound on what the search may have missed, its size beside the estimate, and the cautious upper limit."""
    bound = run.verdict.hidden_mass_bound
    if bound is None:
        return None
    primary = run.primary
    is_probability = primary.kind == "probability"
    return {
        "bound": tables.number(bound),
        "times": tables.multiple(bound / primary.value) if is_probability and primary.value > 0 else "",
        "cautious": tables.number(primary.upper + bound) if is_probability and tables.is_known(primary.upper) else "",
    }


def stages(run: Run) -> list[dict[str, Any]]:
    """Evaluations by stage with their shares, in the order of the run; stages that did not run are left out."""
    counts = {stage: n for stage, n in run.evaluations.items() if stage != "total" and n}
    total = sum(counts.values())
    ordered = [s for s in STAGES if s in counts] + [s for s in counts if s not in STAGES]
    return [
        {
            "name": stage,
            "count": counts[stage],
            "share": counts[stage] / total,
            "what": STAGES.get(stage, "").format(rows=ROWS[run.unit].many),
        }
        for stage in ordered
    ]


def failed(run: Run) -> dict[str, Any]:
    """Rows without a loss, in words, and how much they widen the intervals; empty if every row has a loss."""
    if not run.failed:
        return {}
    by_kind = run.failed.get("kinds", {})
    kinds = [f"{tables.count(number)} {FAILED[kind]}" for kind, number in by_kind.items() if kind in FAILED]
    widened = [
        (e.label, "without limit" if (x := e.diagnostics["widening"]) is None else f"by {tables.percent(x)}")
        for e in distinct(run.estimates)
        if "widening" in e.diagnostics
    ]
    names = ("rows", "share", "searching", "estimating", "retried", "kept")
    return {name: run.failed.get(name) for name in names} | {"kinds": ", ".join(kinds), "widening": widened}


def sampling(run: Run) -> list[Column]:
    """Columns about the rows behind each estimate; a replicate or a batch is an estimate by itself, without weight."""
    rows = ROWS[run.unit]
    hits = Column(rows.hits.capitalize(), "hits", "hits", "count")
    speedup = Column("Speed-up over crude", "speed-up over crude", "speedup_over_crude", "multiple")
    if is_estimate(run.unit):
        return [Column(rows.many.capitalize(), rows.many, "rows", "count"), hits, speedup]
    weights = [
        hits,
        Column(rows.effective.capitalize(), "effective hits", "ess", "count"),
        Column("Largest share", "largest share", "max_share", "percent"),
        Column("k\u2011hat", "k-hat", "khat", "fixed"),
        Column(
            f"{rows.many.capitalize()} per effective {rows.hit}",
            "draws per effective hit",
            "draws_per_effective_hit",
            "multiple",
        ),
        speedup,
    ]
    return weights if run.unit == "draw" else [Column(rows.many.capitalize(), "row", "rows", "count"), *weights]


def crude_draws(run: Run) -> float | None:
    """Draws that crude Monte Carlo needs for the same relative error: the speed-up times the evaluations of the run."""
    speedup, total = run.primary.diagnostics.get("speedup_over_crude"), run.evaluations.get("total")
    return None if speedup is None or total is None else speedup * total


def budget(run: Run) -> list[Amount]:
    """The information budget of the primary estimate; empty if the folder holds none, or without a hit."""
    of = run.primary.information
    if not tables.is_known(of.event_nats):
        return []
    rows = [
        Amount(
            title="Self-information of the event",
            term="self-information",
            nats=of.event_nats,
            bits=of.event_bits,
            draws=tables.draws(of.crude_draws, of.event_nats),
            meaning="-log P = KL(optimal \u2016 target): crude Monte Carlo pays all of it",
        )
    ]
    if tables.is_known(of.proposal_nats) and not is_estimate(run.unit):
        draws = tables.draws(of.proposal_draws, of.proposal_nats)
        rows.append(
            Amount(
                title="KL(optimal \u2016 proposal)",
                term="KL(optimal || proposal)",
                nats=of.proposal_nats,
                bits=of.proposal_bits,
                draws=draws if run.unit == "draw" else ROWS[run.unit].counted(draws),
                meaning=_paid(run),
            )
        )
    moved = run.diagnostics.get("kl_proposal_target")
    if moved is not None:
        meaning = "how far the proposal, without its defensive share, is from the target"
        rows.append(Amount("KL(proposal \u2016 target)", "KL(proposal || target)", moved, None, "", meaning))
    return rows


def _paid(run: Run) -> str:
    if not run.is_weighted:
        return "the same, because the draws come from the target itself"
    by_variance = run.primary.diagnostics.get("draws_per_effective_hit")
    rows = ROWS[run.unit]
    paid = f"what the proposal still pays{'' if run.unit == 'draw' else f', in {rows.many}'}; 0 is perfect"
    if by_variance is None:
        return paid
    took = rows.counted(tables.multiple(by_variance))
    return f"{paid}. By the variance of its weights, an effective {rows.hit} took {took}"


def cross_entropies(run: Run) -> list[Amount]:
    """The cross-entropy of the event before and after tuning, and its lower limit."""
    event = run.entropies
    if event is None:
        return []
    rows = (
        ("Cross-entropy, untuned", "cross-entropy", event.target, "of the optimal law against the target"),
        ("Cross-entropy, last level", "cross-entropy", event.proposal, "against the law that the last level drew from"),
        ("Entropy, the floor", "entropy", event.optimal, "of the optimal law itself"),
    )
    return [Amount(title, term, nats, None, "", meaning) for title, term, nats, meaning in rows]


def checks(run: Run) -> list[tuple[str, list[Check]]]:
    """The checks of each estimate, the primary first, then those that only the verdict of the run lists."""
    ordered = distinct([run.primary, *run.estimates])
    groups = [(e.label, list(e.verdict.checks)) for e in ordered]
    listed = {check for _, checks in groups for check in checks}
    groups.append(("Whole run", [check for check in run.verdict.checks if check not in listed]))
    return [(name, checks) for name, checks in groups if checks]


def columns(run: Run) -> list[tuple[str, str]]:
    """Columns of the table of iterations that are not empty."""
    return [
        (field, title)
        for field, title in ITERATION_COLUMNS.items()
        if any(tables.is_known(getattr(row, field)) for row in run.iterations)
    ]


def cell(column: str, x: float) -> str:
    """A number of the table of iterations."""
    if not tables.is_known(x):
        return "\u2013"
    return tables.count(x) if column in COUNTS else tables.amount(x) if column in AMOUNTS else tables.number(x)
