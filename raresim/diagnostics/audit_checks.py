"""Checks of what the audit found, which looks for the event in other ways than the search did."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from raresim.diagnostics.row_checks import graded
from raresim.record.rows import is_estimate
from raresim.record.verdict import Check, Status

UNCOVERED = 0.1
"""Share of the estimate that one draw at a point may add before the point counts as uncovered."""

MISSED, MISSED_ERRORS = (0.01, 0.2), 3.0
"""Share of the failing mass found by the audit that the estimate may hardly draw: below the first trusted, below the
second caution. The first limit is also at most `MISSED_ERRORS` relative errors of the estimate."""

SEEN_MISSED = 1e-12
"""Share of the estimate that soundings may find where the estimate hardly draws. If a missed region bends in many
dimensions, the few soundings around its nearest point find as little as a billionth of it."""

SOUNDED, SOUNDED_ERRORS = (1.1, 2.0), 3.0
"""Probability by the soundings, less `SOUNDED_ERRORS` of its standard errors, over the estimate: below the first
trusted, below the second caution."""

WIDE_ENOUGH, ACCOUNTED = 4.0, 0.1
"""Standard deviation of soundings below which most draws would hit one region, and the share of the estimate that the
regions found must then account for."""

BOTH_ABOVE = (1.25, 2.0)
"""The lesser of the probabilities by climbs and by soundings over an estimate of replicates: below the first trusted,
below the second caution. Replicates that all miss the same part of the event agree with each other."""

ERRORS_OFF = (2.0, 4.0)
"""The error by failing draws of the audit over the reported one, for lines and rays, which are few: below the first it
may be chance, and beyond the second the interval is not to be used."""

AGREES = 1.25
"""The same ratio below which the reported error is confirmed whatever the largest weights are."""

MIN_AUDIT = 100
"""Draws a level from which climbs of the audit replace a search that was not made."""

NOMINAL_CHANCE = (1e-3, 1e-5)
"""Probability of at least so many hits among draws of the target: above the first trusted, above the second caution."""


def error_is_audited(diagnostics: Mapping[str, Any], audit: Mapping[str, Any]) -> bool:
    """Whether rows through failing draws of the audit, where the heaviest rows are, confirm the reported error."""
    ratio = diagnostics.get("audit_error_ratio")
    return ratio is not None and ratio < AGREES and audit["samples"] >= MIN_AUDIT


def error_is_confirmed(diagnostics: Mapping[str, Any], audit: Mapping[str, Any]) -> bool:
    """Whether the reported error is known by more than the rows: by the audit, or by equations for their variance."""
    return "known_variance" in diagnostics or error_is_audited(diagnostics, audit)


def missed_allowed(relative_error: float | None) -> float:
    """Share of the event that an estimate with this error may hardly draw and still be trusted."""
    return min(MISSED[0], MISSED_ERRORS * (relative_error or 0.0))


def audit(
    diagnostics: Mapping[str, Any], relative_error: float | None, audit: Mapping[str, Any], unit: str
) -> tuple[Check, ...]:
    """What climbs that never saw the proposal find about the event.

    The share of the event that the estimate hardly draws has to be small, and small beside the reported error.
    """
    if not audit["needed"]:
        return ()
    if audit["why"]:
        return (Check("audit", None, Status.CAUTION, f"no audit was made: {audit['why']}"),)
    soundings = _soundings(diagnostics)
    climbs, found, samples = diagnostics["audit_climbs"], diagnostics["audit_found"], audit["samples"]
    widened = is_estimate(unit) and not diagnostics["audit_nominal"]
    kind = "from a widened target" if widened else "that do not use the proposal"
    size = f"{climbs:,} climbs with {samples:,} draws per level {kind}"
    hits, chance = diagnostics["audit_nominal_hits"], diagnostics["audit_nominal_chance"]
    some, few = NOMINAL_CHANCE
    message = (
        f"{hits:,} of the {diagnostics['audit_nominal']:,} draws of the target that began the climbs hit the event "
        f"(probability of at least so many, if the estimate is right: {chance:.2g})"
    )
    drawn = diagnostics["audit_nominal"] > 0
    nominal = (graded("nominal_hits", hits, chance > some, chance > few, message),) if drawn else ()
    if not found:
        message = f"none of {size} reached the event: they cannot say what the estimate misses"
        known = diagnostics.get("soundings_uncovered") is not None and not is_estimate(unit)
        if known:
            message += "; the soundings can"
        return (Check("audit", None, Status.TRUSTED if known else Status.CAUTION, message), *soundings, *nominal)
    share = diagnostics["audit_uncovered"]
    most, limit = MISSED[1], missed_allowed(relative_error)
    seen = "replicates hardly come near" if widened else "the estimate makes hardly any draws in"
    message = f"{seen} {share:.1%} of the failure probability found by {size} ({limit:.2%} allowed)"
    coverage = graded("audit", share, share == 0.0 or share < limit, share < most, message)
    checks = (coverage, *soundings, *(() if unit == "draw" else _audited_error(diagnostics.get("audit_error_ratio"))))
    ratio, error = diagnostics["audit_log_ratio"], diagnostics["audit_log_ratio_error"]
    if ratio is None:
        return *checks, *nominal
    message = f"the climbs put the probability at {math.exp(min(ratio, 700.0)):.3g} times the estimate"
    level = graded("audit_level", ratio, ratio < max(0.8, 3.0 * error), ratio < max(1.6, 4.0 * error), message)
    return *checks, level, *(_audits_agree(ratio, diagnostics) if widened else ()), *nominal


def _audits_agree(climbed: float, diagnostics: Mapping[str, Any]) -> tuple[Check, ...]:
    """Whether climbs and soundings, which look in different ways, both see more than replicates that may fail alike.

    ``climbed`` is the log of the probability by the climbs over the estimate, in nats.
    """
    sounded = diagnostics.get("soundings_log_ratio")
    if sounded is None:
        return ()
    lesser = min(climbed, sounded)
    times = math.exp(min(lesser, 700.0))
    some, much = BOTH_ABOVE
    message = (
        f"climbs and soundings both put the probability at {times:.3g} times the estimate or more ({some:g} allowed)"
    )
    return (graded("audit_agreement", lesser, times < some, times < much, message),)


def _soundings(diagnostics: Mapping[str, Any]) -> tuple[Check, ...]:
    """What draws around regions that were found without following the loss find about the event."""
    if "soundings_hits" not in diagnostics:
        return ()
    draws, hits, width = (diagnostics[f"soundings_{name}"] for name in ("draws", "hits", "width"))
    regions = diagnostics["soundings_regions"]
    size = f"{draws:,} draws widened to standard deviation {width:g}"
    if not hits:
        return (Check("soundings", None, Status.TRUSTED, f"none of {size} hit the event: they give no evidence"),)
    found = f"{hits:,} of {size} hit the event, in {regions} region{'' if regions == 1 else 's'}"
    if not diagnostics["soundings_whole"]:
        message = f"{found}; the evaluations for soundings ran out before it was known what the estimate misses"
        return (Check("soundings", None, Status.CAUTION, message),)
    share = diagnostics["soundings_uncovered"]
    if share is None:
        return (Check("soundings", None, Status.CAUTION, f"{found}, but no typical failing draw was found there"),)
    seen = f"{share:.1%} of the event there"
    if SEEN_MISSED <= share < 1e-3:
        seen = f"a part of the event there: the soundings see a share of {share:.1g}, but the part may be larger"
    message = f"{found}; the estimate makes hardly any draws in {seen} (none wanted)"
    coverage = graded("soundings", share, share < SEEN_MISSED, share < MISSED[1], message)
    ratio, error = diagnostics["soundings_log_ratio"], diagnostics["soundings_error"]
    if ratio is None or error is None:
        return (coverage,)
    if width < WIDE_ENOUGH and ratio < math.log(ACCOUNTED):
        message = (
            f"the regions found by soundings account for {math.exp(ratio):.2g} of the estimate ({ACCOUNTED:g} wanted: "
            f"below a standard deviation of {WIDE_ENOUGH:g} most draws hit one region, which may hide others)"
        )
        return (coverage, Check("soundings_level", ratio, Status.CAUTION, message))
    above = math.exp(min(ratio, 700.0)) * (1.0 - SOUNDED_ERRORS * error)
    message = (
        f"the soundings put the probability at {math.exp(min(ratio, 700.0)):.3g} times the estimate, with a relative "
        f"error of {error:.0%}"
    )
    level = graded("soundings_level", ratio, above < SOUNDED[0], above < SOUNDED[1], message)
    return (coverage, level)


def _audited_error(ratio: float | None) -> tuple[Check, ...]:
    """Whether the error by failing draws of the audit, which show the rare rows, agrees with the reported one."""
    if ratio is None:
        return ()
    some, much = ERRORS_OFF
    message = (
        f"the relative error computed from the failing draws of the audit is {ratio:.2f} times the reported one "
        f"({some:g} allowed)"
    )
    return (graded("audit_error", ratio, ratio < some, ratio < much, message),)
