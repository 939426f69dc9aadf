"""Checks of the rows of an estimate: hits, weights, errors, thresholds, controls and failed rows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from raresim.diagnostics.psis import bounded
from raresim.record.verdict import Check, Status

MIN_FAILED = 10
"""Failed rows of a weighted estimate from which the upper end of its interval can be read."""

WIDENED = (0.1, 1.0)
"""Relative widening of an interval by failed rows: trusted up to the first, untrusted beyond the second."""

CONTROL_ERRORS = 4.0
"""Standard errors by which a control may be further off than what it assumes allows."""

MIN_REPLICATES = 10
"""Replicates below which their spread is too uncertain an error to be trusted."""

MET = {"draw": "hit", "line": "met", "direction": "met", "replicate": "reached", "batch": "met"}
"""The verb for a row of each unit that is in the event."""

_KNOWN = (
    "by the equations of the model the relative variance of a row is {:.3g}, and the reported error is not smaller "
    "than that implies"
)

_AS_SAID = "the relative error computed from the failing draws of the audit is only {:.2f} times the reported one"


def graded(name: str, value: float, trusted: bool, caution: bool, message: str) -> Check:
    """A check with the status that follows from whether its value is trusted, or at least a caution."""
    status = Status.TRUSTED if trusted else Status.CAUTION if caution else Status.UNTRUSTED
    return Check(name, value, status, message)


def hits(hits: int, unit: str) -> Check:
    return graded("hits", hits, hits >= 100, hits >= 30, f"{hits:,} {unit}s {MET[unit]} the event (100 wanted)")


def effective(ess: float) -> Check:
    return graded("ess", ess, ess >= 50, ess >= 20, f"the effective number of hits is {ess:,.0f} (50 wanted)")


def error(relative_error: float | None) -> Check:
    error = math.inf if relative_error is None else relative_error
    return graded(
        "relative_error",
        error,
        error <= 0.10,
        error <= 0.30,
        f"the relative error is {error:.2%} (10 % wanted)",
    )


def tail_error(error: float | None) -> Check:
    """The relative error of the probability beyond a quantile, or of the mean excess there."""
    error = math.inf if error is None else error
    message = f"the probability or mean excess beyond the quantile has a relative error of {error:.2%} (10 % wanted)"
    return graded("relative_error", error, error <= 0.10, error <= 0.30, message)


def threshold_is_known(diagnostics: Mapping[str, Any]) -> bool:
    """Whether the standard error of a threshold that is estimated too can be believed."""
    shape = diagnostics.get("threshold_khat")
    return shape is None or shape < 0.5


def threshold(diagnostics: Mapping[str, Any]) -> tuple[Check, ...]:
    """The error of a threshold in standard deviations, where mean and standard deviation come from draws."""
    error = diagnostics.get("threshold_error")
    if error is None:
        return ()
    draws, shape = diagnostics["threshold_draws"], diagnostics["threshold_khat"]
    size = f"mean and standard deviation of the loss come from {draws:,} draws"
    if not threshold_is_known(diagnostics):
        message = (
            f"{size}; the tail of the squared losses has the shape k-hat {shape:.2f} (below 0.5 wanted): the loss may "
            "have no fourth moment, and the error of the threshold is not known"
        )
        return (graded("threshold", shape, False, shape < 0.7, message),)
    message = f"{size}: the threshold alone gives the probability a relative error of {error:.2%} (10 % wanted)"
    return (graded("threshold", error, error <= 0.10, error <= 0.30, message),)


def sections(diagnostics: Mapping[str, Any]) -> tuple[Check, ...]:
    """Whether the reported error agrees with the spread of sixteen parts of the rows."""
    ratio = diagnostics.get("sections_error_ratio")
    if ratio is None:
        return ()
    message = f"the standard error from sixteen parts of the rows is {ratio:.2f} times the reported one (2 allowed)"
    return (graded("sections", ratio, ratio < 2.0, ratio < 4.0, message),)


def control(diagnostics: Mapping[str, Any], relative_error: float | None) -> tuple[Check, ...]:
    """Whether a number that is known without sampling is as near as what it assumes allows, and sampling error does."""
    gap = diagnostics.get("control_gap")
    if gap is None:
        return ()
    allowed = diagnostics["control_allowed"] + CONTROL_ERRORS * (relative_error or 0.0)
    message = (
        f"the estimate is {gap:.2%} off a control, a number known without sampling ({allowed:.2%} allowed: the error "
        f"of what the control assumes and {CONTROL_ERRORS:g} standard errors); see controls.csv"
    )
    return (Check("control", gap, Status.TRUSTED if gap <= allowed else Status.CAUTION, message),)


def tail(diagnostics: Mapping[str, Any], weighted: bool, confirmed: bool = False) -> Check:
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
    meaning = "the weights have a finite variance" if khat < 0.5 else "the variance of the weights may be infinite"
    return graded("khat", khat, khat < 0.5, khat < 0.7, f"tail shape k-hat {khat:.2f}: {meaning} (below 0.5 wanted)")


def tail_is_trusted(khat: float | None, max_to_mean: float, weights: int) -> bool:
    """Whether ``weights`` weights with Pareto shape ``khat`` have a variance, or a tail too small to matter."""
    return (khat is not None and khat < 0.5) or bounded(max_to_mean, weights)


def share_is_trusted(share: float, confirmed: bool = False) -> bool:
    """Whether the share of the largest weight is small enough; see `error_is_confirmed`."""
    return share < (0.05 if confirmed else 0.02)


def share(share: float, confirmed: bool = False) -> Check:
    message = f"the largest weight carries {share:.2%} of the estimate (under {'5' if confirmed else '2'} % wanted)"
    return graded("max_share", share, share_is_trusted(share, confirmed), share < 0.05, message)


def canary(canary: Mapping[str, Any] | None) -> tuple[Check, ...]:
    """Whether draws, densities and weights fit each other, by regions of known probability."""
    if canary is None:
        return ()
    if canary["z"] is None:
        message = (
            "the density of the proposal could not be tested, because the weights of "
            f"{canary['draws']:,} draws around its components are too uneven; this is missing evidence, not a finding"
        )
        return (Check("canary", None, Status.CAUTION, message),)
    z, ratio = canary["z"], canary["ratio"]
    message = (
        f"the estimated probability of test regions is {ratio:.3f} times the known one, "
        f"{abs(z):.1f} standard errors off (under 4 wanted)"
    )
    return (graded("canary", z, abs(z) < 4.0, abs(z) < 5.0, message),)


def replicates(unit: str, reached: int, replicates: int) -> Check:
    name, what = (
        ("batches", "batches of the correction have a positive estimate")
        if unit == "batch"
        else ("replicates", "independent replicates reached the event")
    )
    message = f"{reached:,} of {replicates:,} {what}"
    if replicates < MIN_REPLICATES:
        message += f"; {MIN_REPLICATES} wanted"
    enough = replicates >= MIN_REPLICATES and reached >= 0.9 * replicates
    return graded(name, reached, enough, reached >= max(4, 0.5 * replicates), message)


def failures(diagnostics: Mapping[str, Any], weighted: bool) -> tuple[Check, ...]:
    """How much the rows for which the user's loss gave no number widen the interval."""
    searching, estimating = diagnostics.get("failed_searching", 0), diagnostics.get("failed_estimating", 0)
    if not searching and not estimating:
        return ()
    widening = math.inf if diagnostics["widening"] is None else diagnostics["widening"]
    some, much = WIDENED
    message = (
        f"{estimating:,} rows of the estimate failed: counting them as safe at the lower end and as failing at the "
        f"upper end widens the interval by {widening:.3g} of its width ({some:.0%} allowed)"
    )
    few = weighted and searching > 0 and estimating < MIN_FAILED
    if few:
        message += (
            f"; but {searching:,} of the rows of the search failed: the proposal may avoid such rows, and the upper "
            "end may then be too low"
        )
    return (graded("failures", widening, widening <= some and not few, widening <= much, message),)
