"""Whether to believe a number: a pure function of the numbers that a run stores."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from raresim.diagnostics.assumptions import assumptions, remarks
from raresim.diagnostics.endings import Ending
from raresim.diagnostics.psis import bounded
from raresim.diagnostics.surrogate import surrogate_checks
from raresim.record.records import Estimate
from raresim.record.rows import is_estimate
from raresim.record.verdict import Check, Status, Verdict

_ORDER = list(Status)

MIN_STARTS = 4
"""Climbs below which one failure region of several is missed too often to trust the search."""


WIDENED = (0.1, 1.0)
"""Relative widening of an interval by failed rows: trusted up to the first, untrusted beyond the second."""

MIN_FAILED = 10
"""Failed rows of a weighted estimate from which the upper end of its interval can be read."""

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

CONTROL_ERRORS = 4.0
"""Standard errors by which a control may be further off than what it assumes allows."""

UNCONDITIONAL = 0.25
"""Hidden share of the estimate up to which the scope is all failure regions, without a condition."""

MANY_WALKS = 16
"""Walks uphill from which a region for each walk means that more regions are left to be found."""

MIN_REPLICATES = 10
"""Replicates below which their spread is too uncertain an error to be trusted."""


def worst(statuses: list[Status]) -> Status:
    """The worst of some statuses."""
    return max(statuses, key=_ORDER.index)


class Judged(Protocol):
    """Anything with a status: a `Verdict`, or a verdict read from a file."""

    @property
    def status(self) -> str:
        """A value of `Status`."""


J = TypeVar("J", bound=Judged)


def overall(verdicts: Sequence[J], asked: Sequence[bool] = ()) -> J:
    """The verdict of a run: the first of the worst verdicts of its estimates.

    Parameters
    ----------
    verdicts : sequence
        The verdicts of all estimates, at least one.
    asked : sequence of bool, optional
        Which estimates the user asked for. Those that the program adds, such as points of a curve, do not count for the
        verdict of the run. If there is none, or it is left out, all count.
    """
    counted = [v for v, own in zip(verdicts, asked, strict=True) if own] if any(asked) else list(verdicts)
    status = worst([Status(v.status) for v in counted])
    return next(v for v in counted if v.status == status)


def advice_of(verdict: Verdict, estimates: Iterable[Estimate]) -> tuple[str, ...]:
    """What to do about a run: the advice of its ``verdict``, then what is odd about any number that was asked for."""
    odd = (text for e in estimates if e.asked for text in remarks(e.diagnostics))
    return tuple(dict.fromkeys((*verdict.advice, *odd)))


def judge(diagnostics: Mapping[str, Any], relative_error: float | None, search: Mapping[str, Any]) -> Verdict:
    """The verdict on one estimate.

    Parameters
    ----------
    diagnostics : mapping
        ``rows``, ``hits``, ``ess``, ``max_share``, ``khat``, ``max_to_mean`` and ``weights`` of the estimate, as in
        ``result.json``; with ``failed_searching``, ``failed_estimating`` and ``widening`` where a loss failed, the
        findings of the audit's climbs under names that begin with ``audit_``; ``known_variance`` where the equations of
        a model give the relative variance of a row, which the error is then not below; and ``threshold_error``,
        ``threshold_draws`` and ``threshold_khat`` where the threshold is estimated too.
    relative_error : float or None
        Standard error divided by the estimate; None without a hit.
    search : mapping
        ``kind`` ("none": draws from the target; "stated": the user's proposal; "tuned": a search before the estimate;
        "replicates": a climb in each row of the estimate; "surrogate": a surrogate that rows correct), ``unit`` of a
        row, ``reached``, ``starts``, ``regions``, ``outcome``, ``gave_up``, ``nominal``, ``weighted``, ``facts``,
        ``audit`` and ``canary``, as in ``result.json``;
        ``interrupted`` if the run was; and ``assumptions``, what inputs and loss take for granted.

    Notes
    -----
    If each start ends in a region of its own, more regions are left to be found ([1]_: with ``L`` starts in ``w``
    regions the share found is about ``1 - w (w + 1) / (L (L - 1))``), so two starts a region are wanted.

    The limits are those that the coverage study in ``experiments/coverage`` was run with. A check that could not run
    counts as caution.

    References
    ----------
    .. [1] Boender & Rinnooy Kan, *Bayesian stopping rules for multistart global optimization methods*,
       Math. Program. 37, 1987.
    """
    checks: tuple[Check, ...]
    unit = search["unit"]
    scope, hidden = _scope(search, diagnostics)
    if diagnostics["hits"] == 0:
        message = f"no {unit} {_MET[unit]} the event: only an upper bound is known"
        check = Check("data", 0.0, Status.BOUND_ONLY, message)
        advice: tuple[str, ...] = (
            ("raise stop.max_evaluations, or use a method that searches for the event, such as auto or cross_entropy",)
            if search["kind"] == "none"
            else (
                "check the threshold: the event may be impossible",
                "raise stop.max_evaluations, or the samples per level of the tuning",
            )
        )
        advice = tuple(dict.fromkeys((*_gave_up(search), *advice, *remarks(diagnostics))))
        checks = (
            check,
            *_search(search, diagnostics),
            *_failures(diagnostics, search["weighted"]),
            *_assumptions(search, diagnostics),
            *_interrupted(search),
        )
        return Verdict(Status.BOUND_ONLY, scope, hidden, checks, advice)
    if is_estimate(unit):
        tails = () if diagnostics["khat"] is None else (_tail(diagnostics, search["weighted"]),)
        checks = (_replicates(unit, diagnostics["hits"], diagnostics["rows"]), _error(relative_error), *tails)
    else:
        confirmed = error_is_confirmed(diagnostics, search["audit"])
        checks = (
            _hits(diagnostics["hits"], unit),
            _effective(diagnostics["ess"]),
            _error(relative_error) if "tail_error" not in diagnostics else _tail_error(diagnostics["tail_error"]),
            _tail(diagnostics, search["weighted"], confirmed),
            _share(diagnostics["max_share"], confirmed),
        )
    lost = _failures(diagnostics, search["weighted"])
    searched = (
        *_search(search, diagnostics),
        *_facts(search["facts"]),
        *(surrogate_checks(search["facts"], diagnostics, relative_error) if search["kind"] == "surrogate" else ()),
        *_audit(diagnostics, diagnostics.get("tail_error", relative_error), search["audit"], unit),
    )
    checks = (
        *checks,
        *_threshold(diagnostics),
        *_sections(diagnostics),
        *_control(diagnostics, relative_error),
        *searched,
        *_canary(search["canary"]),
        *lost,
        *_assumptions(search, diagnostics),
        *_interrupted(search),
    )
    status = worst([check.status for check in checks])
    is_short = any(check.name == "search" and check.status is not Status.TRUSTED for check in checks)
    advice = (*(_gave_up(search) if is_short else ()), *_advice(checks), *remarks(diagnostics))
    return Verdict(status, scope, hidden, checks, tuple(dict.fromkeys(advice)))


def _gave_up(search: Mapping[str, Any]) -> tuple[str, ...]:
    """What to do about the reasons for which climbs of the search gave up; empty where none did."""
    return tuple(Ending(value).advice for value in search.get("gave_up", ()))


def judge_weights(diagnostics: Mapping[str, Any], relative_error: float | None = None) -> tuple[Check, ...]:
    """The checks of weighted rows alone, for rows that the run drew for another number and weighs again.

    Parameters
    ----------
    diagnostics : mapping
        ``hits``, ``ess``, ``max_share``, ``khat``, ``max_to_mean`` and ``weights``, as for `judge`.
    relative_error : float, optional
        Standard error divided by the number read from the rows; left out where that number may be zero.
    """
    if diagnostics["hits"] == 0:
        return (Check("data", 0.0, Status.BOUND_ONLY, "no draw hit the event"),)
    return (
        _hits(diagnostics["hits"], "draw"),
        _effective(diagnostics["ess"]),
        *(() if relative_error is None else (_error(relative_error),)),
        _tail(diagnostics, weighted=True),
        _share(diagnostics["max_share"]),
    )


def _graded(name: str, value: float, trusted: bool, caution: bool, message: str) -> Check:
    status = Status.TRUSTED if trusted else Status.CAUTION if caution else Status.UNTRUSTED
    return Check(name, value, status, message)


def _hits(hits: int, unit: str) -> Check:
    return _graded("hits", hits, hits >= 100, hits >= 30, f"{hits:,} {unit}s {_MET[unit]} the event (100 wanted)")


def _effective(ess: float) -> Check:
    return _graded("ess", ess, ess >= 50, ess >= 20, f"the effective number of hits is {ess:,.0f} (50 wanted)")


def _error(relative_error: float | None) -> Check:
    error = math.inf if relative_error is None else relative_error
    return _graded(
        "relative_error",
        error,
        error <= 0.10,
        error <= 0.30,
        f"the relative error is {error:.2%} (10 % wanted)",
    )


def threshold_is_known(diagnostics: Mapping[str, Any]) -> bool:
    """Whether the standard error of a threshold that is estimated too can be believed."""
    shape = diagnostics.get("threshold_khat")
    return shape is None or shape < 0.5


def _threshold(diagnostics: Mapping[str, Any]) -> tuple[Check, ...]:
    """The error of a threshold in standard deviations, where mean and standard deviation come from draws."""
    error = diagnostics.get("threshold_error")
    if error is None:
        return ()
    draws, shape = diagnostics["threshold_draws"], diagnostics["threshold_khat"]
    size = f"mean and standard deviation of the loss come from {draws:,} draws"
    if not threshold_is_known(diagnostics):
        message = (
            f"{size}, whose squares have a tail of shape k-hat {shape:.2f} (below 0.5 wanted): the loss may have no "
            "fourth moment, and the error of the threshold is not known"
        )
        return (_graded("threshold", shape, False, shape < 0.7, message),)
    message = f"{size}: the threshold alone gives the probability a relative error of {error:.2%} (10 % wanted)"
    return (_graded("threshold", error, error <= 0.10, error <= 0.30, message),)


def _tail_error(error: float | None) -> Check:
    """The relative error of the probability beyond a quantile, or of the mean excess there."""
    error = math.inf if error is None else error
    message = f"the probability or mean excess beyond the quantile has a relative error of {error:.2%} (10 % wanted)"
    return _graded("relative_error", error, error <= 0.10, error <= 0.30, message)


def _sections(diagnostics: Mapping[str, Any]) -> tuple[Check, ...]:
    """Whether the reported error agrees with the spread of sixteen parts of the rows."""
    ratio = diagnostics.get("sections_error_ratio")
    if ratio is None:
        return ()
    message = f"the standard error from sixteen parts of the rows is {ratio:.2f} times the reported one (2 allowed)"
    return (_graded("sections", ratio, ratio < 2.0, ratio < 4.0, message),)


def _control(diagnostics: Mapping[str, Any], relative_error: float | None) -> tuple[Check, ...]:
    """Whether a number that is known without sampling is as near as what it assumes allows, and sampling error does."""
    gap = diagnostics.get("control_gap")
    if gap is None:
        return ()
    allowed = diagnostics["control_allowed"] + CONTROL_ERRORS * (relative_error or 0.0)
    message = (
        f"a control that is known without sampling is {gap:.2%} off ({allowed:.2%} allowed by what it assumes and by "
        f"{CONTROL_ERRORS:g} standard errors): see controls.csv"
    )
    return (Check("control", gap, Status.TRUSTED if gap <= allowed else Status.CAUTION, message),)


def error_is_audited(diagnostics: Mapping[str, Any], audit: Mapping[str, Any]) -> bool:
    """Whether rows through failing draws of the audit, where the heaviest rows are, confirm the reported error."""
    ratio = diagnostics.get("audit_error_ratio")
    return ratio is not None and ratio < AGREES and audit["samples"] >= MIN_AUDIT


def error_is_confirmed(diagnostics: Mapping[str, Any], audit: Mapping[str, Any]) -> bool:
    """Whether the reported error is known by more than the rows: by the audit, or by equations for their variance."""
    return "known_variance" in diagnostics or error_is_audited(diagnostics, audit)


def _tail(diagnostics: Mapping[str, Any], weighted: bool, confirmed: bool = False) -> Check:
    khat, ratio = diagnostics["khat"], diagnostics["max_to_mean"]
    if not weighted:
        return Check("khat", None, Status.TRUSTED, "all weights are equal")
    if (khat is None or khat >= 0.5) and tail_is_trusted(khat, ratio, diagnostics["weights"]):
        shape = "" if khat is None else f"tail shape k-hat {khat:.2f}, but "
        message = f"{shape}the largest weight is only {ratio:.3g} times the mean weight: too little to matter"
        return Check("khat", khat, Status.TRUSTED, message)
    if confirmed and (khat is None or khat >= 0.5):
        shape = "too few different weights to see their tail" if khat is None else f"tail shape k-hat {khat:.2f}"
        known = diagnostics.get("known_variance")
        said = _AS_SAID.format(diagnostics["audit_error_ratio"]) if known is None else _KNOWN.format(known)
        return Check("khat", khat, Status.TRUSTED, f"{shape}, but {said}")
    if khat is None:
        return Check("khat", None, Status.CAUTION, "too few different weights to see their tail")
    meaning = "the weights have a variance" if khat < 0.5 else "the weights may have no variance"
    return _graded("khat", khat, khat < 0.5, khat < 0.7, f"tail shape k-hat {khat:.2f}: {meaning} (below 0.5 wanted)")


def tail_is_trusted(khat: float | None, max_to_mean: float, weights: int) -> bool:
    """Whether ``weights`` weights with Pareto shape ``khat`` have a variance, or a tail too small to matter."""
    return (khat is not None and khat < 0.5) or bounded(max_to_mean, weights)


def share_is_trusted(share: float, confirmed: bool = False) -> bool:
    """Whether the share of the largest weight is small enough; see `error_is_confirmed`."""
    return share < (0.05 if confirmed else 0.02)


def _share(share: float, confirmed: bool = False) -> Check:
    message = f"the largest weight carries {share:.2%} (under {'5' if confirmed else '2'} % wanted)"
    return _graded("max_share", share, share_is_trusted(share, confirmed), share < 0.05, message)


def _canary(canary: Mapping[str, Any] | None) -> tuple[Check, ...]:
    """Whether draws, densities and weights fit each other, by regions of known probability."""
    if canary is None:
        return ()
    if canary["z"] is None:
        message = (
            f"the density of the proposal could not be tested: around its components the weights of "
            f"{canary['draws']:,} draws are too uneven; this is missing evidence, not a finding"
        )
        return (Check("canary", None, Status.CAUTION, message),)
    z, ratio = canary["z"], canary["ratio"]
    message = (
        f"the estimated probability of test regions is {ratio:.3f} times the known one, "
        f"{abs(z):.1f} standard errors off (under 4 wanted)"
    )
    return (_graded("canary", z, abs(z) < 4.0, abs(z) < 5.0, message),)


def _replicates(unit: str, reached: int, replicates: int) -> Check:
    name, what = (
        ("batches", "batches of the correction have a positive estimate")
        if unit == "batch"
        else ("replicates", "independent replicates reached the event")
    )
    message = f"{reached:,} of {replicates:,} {what}"
    if replicates < MIN_REPLICATES:
        message += f"; {MIN_REPLICATES} wanted"
    enough = replicates >= MIN_REPLICATES and reached >= 0.9 * replicates
    return _graded(name, reached, enough, reached >= max(4, 0.5 * replicates), message)


def _facts(facts: Mapping[str, float]) -> tuple[Check, ...]:
    """Checks of the numbers that a method stores beside its search."""
    checks = []
    if "grid_step" in facts:
        step, change = facts["grid_step"], facts.get("grid_change")
        if change is None:
            message = f"no grid finer than {step:.3g} standard deviations was tried: no trial hit, or no budget"
            checks.append(Check("grid", None, Status.CAUTION, message))
        else:
            message = f"halving the step of the grid changes a trial's estimates by {change:.2%} (1 % allowed)"
            checks.append(_graded("grid", change, change <= 0.01, change <= 0.1, message))
    if "uncovered" in facts:
        share = facts["uncovered"]
        message = f"{share:.1%} of the failing mass seen so far lies where the proposal hardly draws (under 5 % wanted)"
        checks.append(_graded("uncovered", share, share < 0.05, share < 0.2, message))
    if "unseen_regions" in facts:
        share, walks = facts["unseen_regions"], int(facts.get("unseen_walks", MANY_WALKS))
        if share >= 0.1 and walks < MANY_WALKS:
            message = (
                f"{walks} walk{'' if walks == 1 else 's'} uphill cannot tell how many failure regions there are: this "
                f"is missing evidence, not a finding ({MANY_WALKS} walks, or two a region, would tell)"
            )
            return (*checks, Check("unseen_regions", None, Status.CAUTION, message))
        message = f"about {share:.1%} of the failure regions may not have been found (under 10 % wanted)"
        checks.append(_graded("unseen_regions", share, share < 0.1, share < 0.5, message))
    return tuple(checks)


def _failures(diagnostics: Mapping[str, Any], weighted: bool) -> tuple[Check, ...]:
    """How much the rows for which the user's loss gave no number widen the interval."""
    searching, estimating = diagnostics.get("failed_searching", 0), diagnostics.get("failed_estimating", 0)
    if not searching and not estimating:
        return ()
    widening = math.inf if diagnostics["widening"] is None else diagnostics["widening"]
    some, much = WIDENED
    message = (
        f"{estimating:,} rows of the estimate failed: counting them on both sides widens the interval by "
        f"{widening:.3g} of its width ({some:.0%} allowed)"
    )
    few = weighted and searching > 0 and estimating < MIN_FAILED
    if few:
        message += (
            f"; but {searching:,} of the rows of the search failed: the proposal may avoid them, and the upper end "
            "miss them"
        )
    return (_graded("failures", widening, widening <= some and not few, widening <= much, message),)


def _audit(
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
    kind = "from a widened target" if widened else "that never saw the proposal"
    size = f"{climbs:,} climbs of {samples:,} draws a level {kind}"
    hits, chance = diagnostics["audit_nominal_hits"], diagnostics["audit_nominal_chance"]
    some, few = NOMINAL_CHANCE
    message = (
        f"{hits:,} of the {diagnostics['audit_nominal']:,} draws of the target that began the climbs hit the event "
        f"(chance of so many: {chance:.2g})"
    )
    drawn = diagnostics["audit_nominal"] > 0
    nominal = (_graded("nominal_hits", hits, chance > some, chance > few, message),) if drawn else ()
    if not found:
        message = f"none of {size} reached the event: they cannot say what the estimate misses"
        known = diagnostics.get("soundings_uncovered") is not None and not is_estimate(unit)
        if known:
            message += "; the soundings can"
        return (Check("audit", None, Status.TRUSTED if known else Status.CAUTION, message), *soundings, *nominal)
    share = diagnostics["audit_uncovered"]
    most, limit = MISSED[1], missed_allowed(relative_error)
    seen = "replicates hardly come near" if widened else "the estimate hardly draws"
    message = f"{size}: {seen} {share:.1%} of the failing mass that they found ({limit:.2%} allowed)"
    coverage = _graded("audit", share, share == 0.0 or share < limit, share < most, message)
    checks = (coverage, *soundings, *(() if unit == "draw" else _audited_error(diagnostics.get("audit_error_ratio"))))
    ratio, error = diagnostics["audit_log_ratio"], diagnostics["audit_log_ratio_error"]
    if ratio is None:
        return *checks, *nominal
    message = f"the climbs put the probability at {math.exp(min(ratio, 700.0)):.3g} times the estimate"
    level = _graded("audit_level", ratio, ratio < max(0.8, 3.0 * error), ratio < max(1.6, 4.0 * error), message)
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
    return (_graded("audit_agreement", lesser, times < some, times < much, message),)


def missed_allowed(relative_error: float | None) -> float:
    """Share of the event that an estimate with this error may hardly draw and still be trusted."""
    return min(MISSED[0], MISSED_ERRORS * (relative_error or 0.0))


def _soundings(diagnostics: Mapping[str, Any]) -> tuple[Check, ...]:
    """What draws around regions that were found without following the loss find about the event."""
    if "soundings_hits" not in diagnostics:
        return ()
    draws, hits, width = (diagnostics[f"soundings_{name}"] for name in ("draws", "hits", "width"))
    regions = diagnostics["soundings_regions"]
    size = f"{draws:,} draws with standard deviation {width:g}"
    if not hits:
        return (Check("soundings", None, Status.TRUSTED, f"none of {size} is in the event: they say nothing about it"),)
    found = f"{hits:,} of {size} are in the event, in {regions} region{'' if regions == 1 else 's'}"
    if not diagnostics["soundings_whole"]:
        message = f"{found}; then the evaluations left for them were spent: more would show what the estimate misses"
        return (Check("soundings", None, Status.CAUTION, message),)
    share = diagnostics["soundings_uncovered"]
    if share is None:
        return (Check("soundings", None, Status.CAUTION, f"{found}, but no typical failing draw was found there"),)
    seen = f"{share:.1%} of the event there"
    if SEEN_MISSED <= share < 1e-3:
        seen = f"a part of the event there: they see a share of {share:.1g}, and it may be larger"
    message = f"{found}; the estimate hardly draws {seen} (none wanted)"
    coverage = _graded("soundings", share, share < SEEN_MISSED, share < MISSED[1], message)
    ratio, error = diagnostics["soundings_log_ratio"], diagnostics["soundings_error"]
    if ratio is None or error is None:
        return (coverage,)
    if width < WIDE_ENOUGH and ratio < math.log(ACCOUNTED):
        message = (
            f"regions that they found account for {math.exp(ratio):.2g} of the estimate ({ACCOUNTED:g} wanted: below a "
            f"standard deviation of {WIDE_ENOUGH:g} most draws hit one region, and others may hide behind it)"
        )
        return (coverage, Check("soundings_level", ratio, Status.CAUTION, message))
    above = math.exp(min(ratio, 700.0)) * (1.0 - SOUNDED_ERRORS * error)
    message = (
        f"the soundings put the probability at {math.exp(min(ratio, 700.0)):.3g} times the estimate, with a relative "
        f"error of {error:.0%}"
    )
    level = _graded("soundings_level", ratio, above < SOUNDED[0], above < SOUNDED[1], message)
    return (coverage, level)


def _audited_error(ratio: float | None) -> tuple[Check, ...]:
    """Whether the error by failing draws of the audit, which show the rare rows, agrees with the reported one."""
    if ratio is None:
        return ()
    some, much = ERRORS_OFF
    message = f"the failing draws of the audit give an error {ratio:.2f} times the reported one ({some:g} allowed)"
    return (_graded("audit_error", ratio, ratio < some, ratio < much, message),)


def _search(search: Mapping[str, Any], diagnostics: Mapping[str, Any]) -> tuple[Check, ...]:
    if search["kind"] in ("none", "replicates"):
        return ()
    if "searched" in search["facts"]:
        reached = search["reached"] > 0
        status = Status.TRUSTED if reached else Status.UNTRUSTED
        return (Check("search", search["reached"], status, search["outcome"]),)
    stands_in = diagnostics.get("audit_found", 0) >= 2 and search["audit"]["samples"] >= MIN_AUDIT
    if search["kind"] == "stated":
        if stands_in and diagnostics["audit_uncovered"] > 0:
            message = "the proposal was stated, not searched for, and the audit found failing mass that it hardly draws"
            return (Check("search", None, Status.CAUTION, message),)
        if stands_in:
            message = "the proposal was stated, not searched for; the audit has looked for what it misses"
            return (Check("search", None, Status.TRUSTED, message),)
        return (
            Check(
                "search",
                None,
                Status.CAUTION,
                "the proposal was stated, not searched for: a failure region away from it would not be seen",
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
        message += "; two starts a region wanted: there may be more regions than starts"
    enough = starts >= MIN_STARTS and 2 * reached >= starts and 2 * regions <= reached
    if stands_in and reached > 0 and not enough:
        enough, message = True, f"{message}; the audit has looked for missed regions"
    return (_graded("search", reached, enough, reached > 0, message),)


def _assumptions(search: Mapping[str, Any], diagnostics: Mapping[str, Any]) -> tuple[Check, ...]:
    """What inputs and loss take for granted: never worse than caution, because it may be intended."""
    found = assumptions(search.get("assumptions", {}), diagnostics)
    return tuple(Check(a.name, a.value, Status.TRUSTED if a.harmless else Status.CAUTION, a.message) for a in found)


def _interrupted(search: Mapping[str, Any]) -> tuple[Check, ...]:
    """A run that did not end by its own rule says so, and is never trusted."""
    if not search.get("interrupted"):
        return ()
    message = "the run was interrupted: this is the estimate so far"
    return (Check("interrupted", None, Status.CAUTION, message),)


def _scope(search: Mapping[str, Any], diagnostics: Mapping[str, Any]) -> tuple[str, float | None]:
    kind, unit, step = search["kind"], search["unit"], search["facts"].get("grid_step")
    narrow = "" if step is None else f"; a part narrower along a line than {step:.3g} standard deviations may be missed"
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
        return f"all failure regions: any part that {nominal:,} draws of the target missed is small beside them", hidden
    if reason := search.get("one_region"):
        return f"all failure regions: {reason}{narrow}", None
    first = "first draws of all runs" if kind == "replicates" else "first draws of search and audit"
    return (
        f"{_met_when_widened(diagnostics)}failure regions that can be reached by climbing in the loss from the "
        f"{nominal:,} {first}; an isolated region of probability up to {hidden:.2g} (95 %) cannot be excluded{narrow}",
        hidden,
    )


def _seen_by_surrogate(facts: Mapping[str, float]) -> str:
    """The scope of a run with a surrogate."""
    if facts.get("surrogate_searched"):
        return "the failure regions that a search with true evaluations, which followed no values of the loss, found"
    count, states = f"{facts['surrogate_evaluations']:.0f} evaluations", facts["surrogate_limit_states"]
    if not facts["surrogate_undeclared"]:
        what = "a loss that is" if states == 1 else f"{states:.0f} limit states that are"
        return f"the failure regions that {count} show of {what} as smooth as was declared"
    return f"the failure regions that {count} show; a part of the loss that appears only where it fails is not excluded"


def _met_when_widened(diagnostics: Mapping[str, Any]) -> str:
    """The regions that soundings meet with a confidence of 95 %, in words; empty where they met none."""
    from scipy.special import ndtri

    if not diagnostics.get("soundings_hits"):
        return ""
    width, draws = diagnostics["soundings_width"], diagnostics["soundings_draws"]
    least = -math.log(0.05) / draws
    distance = -width * float(ndtri(min(least, 0.5)))
    return (
        f"failure regions that draws with {width:g} times the standard deviation meet with a probability of "
        f"{least:.2g} or more (95 %; a half-space: up to {distance:.1f} standard deviations away), if the straight "
        "line to another region leaves the event; and "
    )


_KNOWN = "the equations of the model give a row a relative variance of {:.3g}, and the error is not below that"

_AS_SAID = "the failing draws of the audit give an error only {:.2f} times the reported one"

_MET = {"draw": "hit", "line": "met", "direction": "met", "replicate": "reached", "batch": "met"}
"""The verb for a row of each unit that is in the event."""

_ADVICE = {
    "grid": "give the method a smaller step, or raise stop.max_evaluations so that a finer grid is tried",
    "audit": "run again with another seed and audit: full, or use method auto: part of the event may be missed",
    "soundings": "run again with method auto, or give the limit states by themselves (loss.limit_states and "
    "loss.system): part of the event may be missed",
    "soundings_level": "run again with method auto, or give the limit states by themselves (loss.limit_states and "
    "loss.system): part of the event may be missed",
    "audit_level": "run again with another seed and audit: full, or use method auto: part of the event may be missed",
    "audit_agreement": "run again with method auto: the replicates may all miss the same part of the event",
    "audit_error": "raise stop.max_evaluations, or use another method: the error leaves out a few rare, heavy rows",
    "nominal_hits": "run again with another seed, or with method auto: draws of the target hit an unknown region",
    "canary": "do not use the number: draws and density of the proposal do not fit each other; report it as a bug",
    "uncovered": "run again with another seed: the proposal does not cover a part of what was found",
    "unseen_regions": "raise stop.max_evaluations, so that more walks uphill can be made",
    "replicates": "raise stop.max_evaluations: the error is read from the spread of the replicates",
    "batches": "raise stop.max_evaluations: the error is read from the spread of the batches",
    "failures": "replay failed_rows.npz and mend the loss, or let it try again with loss.on_failure and loss.retries",
    "threshold": "give the threshold in loss units, or sigma as a number; or raise stop.max_evaluations, of which a "
    "fiftieth may go into mean and standard deviation",
    "hits": "raise stop.max_evaluations, or ask for a smaller stop.relative_error",
    "ess": "raise stop.max_evaluations, or ask for a smaller stop.relative_error",
    "sections": "raise stop.max_evaluations: the rows are too few for the error to be known",
    "relative_error": "raise stop.max_evaluations: the budget ended before the error was small enough",
    "khat": "add a defensive share, or choose a proposal with heavier tails: a few weights decide the answer",
    "max_share": "raise stop.max_evaluations or add a defensive share: one weight is too important",
    "shrinkage": "compare with fit.covariance: sample, use more rows, or fewer columns",
    "simple_returns": "fit log returns (fit.returns: log) and value positions by loss.revalue: exp",
    "log_returns": "value positions by loss.revalue: exp, or say by loss.revalue: none that log returns are meant",
    "control": "compare what the control assumes with the portfolio, and run again with another seed",
    "columns": "leave out such columns with fit.columns, or use more rows",
    "interrupted": "run it again with --resume: it goes on where it was",
    "surrogate_sight": "declare loss.smooth: true where the loss has neither kinks nor jumps, or raise "
    "stop.max_evaluations to 1,200, of which half may pay for a search with true evaluations",
    "surrogate_limit_states": "raise stop.max_evaluations: some limit states were never looked at where they may fail",
    "surrogate_failures": "raise stop.max_evaluations: the surrogate has hardly met the event",
    "surrogate_steps": "use method auto: a surrogate needs a loss without steps",
    "surrogate_unsure": "raise stop.max_evaluations: the surrogate has learnt too little",
    "surrogate_pool": "raise stop.max_evaluations, or use method auto: the pool does not cover the event well",
    "surrogate_inputs": "use method auto, or leave out inputs that hardly matter: in many inputs a surrogate can miss "
    "most of an event",
    "surrogate_afar": "take smooth: true away from the loss, and use method auto or a budget of 1,200: it has a "
    "part that the surrogate does not expect",
    "surrogate_calibration": "raise stop.max_evaluations, or use method auto: the loss is not what the surrogate "
    "takes it for",
    "surrogate_spread": "raise stop.max_evaluations, or use method auto: the surrogate is surer than it should be",
    "surrogate_agreement": "raise stop.max_evaluations, or use method auto: the surrogate is far from the truth",
    "search": "let the method search from more starts, or use method auto, and compare with a run of another seed",
}


_MISSING = {
    "audit": "leave evaluations for the audit, or raise stop.max_evaluations: nothing has looked for missed regions",
    "soundings": "raise stop.max_evaluations: the audit had too few evaluations to say what the estimate misses",
    "canary": "compare with method crude, or with a proposal of fewer or wider components, whose weights are more even",
    "unseen_regions": "compare with method crude or with another seed: these walks are too few to count the regions",
    "khat": "raise stop.max_evaluations: more draws in the event show the tail of their weights",
}
"""Advice for a check that could not be made, which warns and has no value."""


def _advice(checks: tuple[Check, ...]) -> tuple[str, ...]:
    """What would improve the status; where evidence is missing, how to get it."""
    wanting = [c for c in checks if c.status is not Status.TRUSTED]
    return tuple(dict.fromkeys((_MISSING if c.value is None else {}).get(c.name, _ADVICE[c.name]) for c in wanting))
