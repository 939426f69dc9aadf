"""Checks of the search for failure regions, and the scope: which regions it could have found."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from raresim.diagnostics.audit_checks import MIN_AUDIT
from raresim.diagnostics.row_checks import graded
from raresim.record.verdict import Check, Status

MIN_STARTS = 4
"""Climbs below which one failure region of several is missed too often to trust the search."""

UNCONDITIONAL = 0.25
"""Hidden share of the estimate up to which the scope is all failure regions, without a condition."""

MANY_WALKS = 16
"""Walks uphill from which a region for each walk means that more regions are left to be found."""


def search(search: Mapping[str, Any], diagnostics: Mapping[str, Any]) -> tuple[Check, ...]:
    if search["kind"] in ("none", "replicates"):
        return ()
    if "searched" in search["facts"]:
        reached = search["reached"] > 0
        status = Status.TRUSTED if reached else Status.UNTRUSTED
        return (Check("search", search["reached"], status, search["outcome"]),)
    stands_in = diagnostics.get("audit_found", 0) >= 2 and search["audit"]["samples"] >= MIN_AUDIT
    if search["kind"] == "stated":
        if stands_in and diagnostics["audit_uncovered"] > 0:
            message = (
                "the proposal was stated, not found by a search, and the audit found a part of the event where it "
                "hardly draws"
            )
            return (Check("search", None, Status.CAUTION, message),)
        if stands_in:
            message = "the proposal was stated, not found by a search; the audit has looked for regions that it misses"
            return (Check("search", None, Status.TRUSTED, message),)
        return (
            Check(
                "search",
                None,
                Status.CAUTION,
                "the proposal was stated, not found by a search: a failure region away from it would not be seen",
            ),
        )
    reached, starts = search["reached"], search["starts"]
    regions = search["regions"]
    message = search["outcome"]
    if reached:
        message += f", in {regions} region{'' if regions == 1 else 's'}"
    if starts < MIN_STARTS:
        message += f"; {MIN_STARTS} starts wanted"
    if 2 * regions > reached > 0:
        message += "; two starts per region wanted: some regions may not have been reached by any start"
    enough = starts >= MIN_STARTS and 2 * reached >= starts and 2 * regions <= reached
    if stands_in and reached > 0 and not enough:
        enough, message = True, f"{message}; the audit has looked for missed regions"
    return (graded("search", reached, enough, reached > 0, message),)


def facts(facts: Mapping[str, float]) -> tuple[Check, ...]:
    """Checks of the numbers that a method stores beside its search."""
    checks = []
    if "grid_step" in facts:
        step, change = facts["grid_step"], facts.get("grid_change")
        if change is None:
            message = (
                f"the grid step of {step:.3g} standard deviations was not compared with a finer one: no trial met the "
                "event, or the budget was too small"
            )
            checks.append(Check("grid", None, Status.CAUTION, message))
        else:
            message = f"halving the grid step changes the estimates of a trial by {change:.2%} (1 % allowed)"
            checks.append(graded("grid", change, change <= 0.01, change <= 0.1, message))
    if "uncovered" in facts:
        share = facts["uncovered"]
        message = (
            f"{share:.1%} of the failure probability seen so far lies where the proposal makes hardly any draws (under "
            "5 % wanted)"
        )
        checks.append(graded("uncovered", share, share < 0.05, share < 0.2, message))
    if "unseen_regions" in facts:
        share, walks = facts["unseen_regions"], int(facts.get("unseen_walks", MANY_WALKS))
        if share >= 0.1 and walks < MANY_WALKS:
            message = (
                f"{walks} walk{'' if walks == 1 else 's'} uphill cannot show how many failure regions there are: this "
                f"is missing evidence, not a finding ({MANY_WALKS} walks, or two per region, would be enough)"
            )
            return (*checks, Check("unseen_regions", None, Status.CAUTION, message))
        message = f"about {share:.1%} of the failure regions may not have been found (under 10 % wanted)"
        checks.append(graded("unseen_regions", share, share < 0.1, share < 0.5, message))
    return tuple(checks)


def scope(search: Mapping[str, Any], diagnostics: Mapping[str, Any]) -> tuple[str, float | None]:
    kind, unit, step = search["kind"], search["unit"], search["facts"].get("grid_step")
    narrow = (
        ""
        if step is None
        else f"; a part of the event that is narrower than {step:.3g} standard deviations along a line may be missed"
    )
    if kind == "none":
        which = "all failure regions" if step is None else "all failure regions that the grid sees"
        why = search["audit"].get("why") if unit == "draw" and search["weighted"] else ""
        return f"{which}: {why or f'every {unit} came from the target itself'}{narrow}", None
    if kind == "surrogate":
        return _seen_by_surrogate(search["facts"]), None
    if kind == "tuned" and search["weighted"] and not search["audit"]["needed"] and search["audit"].get("why"):
        return f"all failure regions: {search['audit']['why']}{narrow}", None
    nominal = search["nominal"] + diagnostics.get("audit_nominal", 0)
    if not nominal:
        return f"the failure regions that the {'stated proposal covers' if kind == 'stated' else 'search found'}", None
    hidden = -math.log(0.05) / nominal
    information = diagnostics["self_information_nats"]
    if information is not None and hidden <= UNCONDITIONAL * math.exp(-information):
        return (
            f"all failure regions: any part of the event that {nominal:,} draws of the target missed is small beside "
            "the estimate",
            hidden,
        )
    if reason := search.get("one_region"):
        return f"all failure regions: {reason}{narrow}", None
    first = "of all runs" if kind == "replicates" else "of the search and the audit"
    return (
        f"{_met_when_widened(diagnostics)}failure regions that can be reached by following rising losses from the "
        f"{nominal:,} first draws {first}; an isolated region with a probability of up to {hidden:.2g} (95 % "
        f"confidence) cannot be excluded{narrow}",
        hidden,
    )


def _seen_by_surrogate(facts: Mapping[str, float]) -> str:
    """The scope of a run with a surrogate."""
    if facts.get("surrogate_searched"):
        return (
            "the failure regions found by a search that evaluates the loss and only asks whether a draw is in the event"
        )
    count, states = f"{facts['surrogate_evaluations']:.0f} evaluations", facts["surrogate_limit_states"]
    if not facts["surrogate_undeclared"]:
        what = "the loss is" if states == 1 else f"all {states:.0f} limit states are"
        return f"the failure regions that {count} can reveal, provided that {what} as smooth as declared"
    return (
        f"the failure regions that {count} can reveal; a failure region that does not show in the loss outside it "
        "cannot be excluded"
    )


def _met_when_widened(diagnostics: Mapping[str, Any]) -> str:
    """The regions that soundings meet with a confidence of 95 %, in words; empty where they met none."""
    from scipy.special import ndtri

    if not diagnostics.get("soundings_hits"):
        return ""
    width, draws = diagnostics["soundings_width"], diagnostics["soundings_draws"]
    least = -math.log(0.05) / draws
    distance = -width * float(ndtri(min(least, 0.5)))
    return (
        f"failure regions that a draw with {width:g} times the standard deviation hits with a probability of at least "
        f"{least:.2g} (95 % confidence; for a half-space: up to {distance:.1f} standard deviations away), provided "
        "that the straight line to any other region leaves the event; and "
    )
