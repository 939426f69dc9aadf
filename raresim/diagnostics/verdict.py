"""Whether to believe a number: a pure function of the numbers that a run stores."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """How far a number may be believed, best first."""

    TRUSTED = "trusted"
    CAUTION = "caution"
    UNTRUSTED = "untrusted"
    BOUND_ONLY = "bound_only"


_ORDER = list(Status)

MIN_STARTS = 4
"""Climbs below which one failure region of several is missed too often to trust the search."""


@dataclass(frozen=True)
class Check:
    """One reason of a verdict: what was looked at, what was seen, what follows."""

    name: str
    value: float | None
    status: Status
    message: str


@dataclass(frozen=True)
class Verdict:
    """The worst of the checks, what it speaks about, and what to do.

    Parameters
    ----------
    status : Status
        The worst status of any check.
    scope : str
        What a trusted number is trusted for.
    hidden_mass_bound : float or None
        Probability of failure that may still lie where no draw of the search went (95 %); None where nothing was
        searched or nothing can hide.
    checks : tuple of Check
        Every check, in a fixed order.
    advice : tuple of str
        What would improve the status.
    """

    status: Status
    scope: str
    hidden_mass_bound: float | None
    checks: tuple[Check, ...]
    advice: tuple[str, ...]


def worst(statuses: list[Status]) -> Status:
    """The worst of some statuses."""
    return max(statuses, key=_ORDER.index)


def judge(diagnostics: Mapping[str, Any], relative_error: float | None, search: Mapping[str, Any]) -> Verdict:
    """The verdict on one estimate.

    Parameters
    ----------
    diagnostics : mapping
        ``hits``, ``ess``, ``max_share`` and ``khat`` of the estimate, as in ``result.json``.
    relative_error : float or None
        Standard error divided by the estimate; None without a hit.
    search : mapping
        ``kind`` ("none": draws from the target; "stated": the user's proposal; "tuned"), ``reached``, ``starts``,
        ``regions``, ``outcome``, ``nominal`` and ``weighted``, as in ``result.json``.

    Notes
    -----
    Starts that each end in a region of their own leave more to be found ([1]_: with ``L`` starts in ``w`` regions the
    share found is about ``1 - w (w + 1) / (L (L - 1))``), so two starts a region are wanted.

    The limits are those that the coverage study in ``experiments/coverage`` was run with. A check that could not run
    counts as caution.

    References
    ----------
    .. [1] Boender & Rinnooy Kan, *Bayesian stopping rules for multistart global optimization methods*,
       Math. Program. 37, 1987.
    """
    kind = search["kind"]
    scope, hidden = _scope(search)
    if diagnostics["hits"] == 0:
        check = Check("data", 0.0, Status.BOUND_ONLY, "no draw hit the event: only an upper bound is known")
        advice = (
            ("raise stop.max_evaluations, or use method cross_entropy",)
            if kind == "none"
            else (
                "check the threshold: the event may be impossible",
                "raise stop.max_evaluations, or the samples per level of the tuning",
            )
        )
        return Verdict(Status.BOUND_ONLY, scope, hidden, (check, *_search(search)), advice)
    checks = (
        _hits(diagnostics["hits"]),
        _effective(diagnostics["ess"]),
        _error(relative_error),
        _tail(diagnostics["khat"], search["weighted"]),
        _share(diagnostics["max_share"]),
        *_search(search),
    )
    status = worst([check.status for check in checks])
    return Verdict(status, scope, hidden, checks, _advice(checks))


def _graded(name: str, value: float, trusted: bool, caution: bool, message: str) -> Check:
    status = Status.TRUSTED if trusted else Status.CAUTION if caution else Status.UNTRUSTED
    return Check(name, value, status, message)


def _hits(hits: int) -> Check:
    return _graded("hits", hits, hits >= 100, hits >= 30, f"{hits:,} draws hit the event (100 wanted)")


def _effective(ess: float) -> Check:
    return _graded("ess", ess, ess >= 50, ess >= 20, f"they are worth {ess:,.0f} equally weighted hits (50 wanted)")


def _error(relative_error: float | None) -> Check:
    error = math.inf if relative_error is None else relative_error
    return _graded(
        "relative_error",
        error,
        error <= 0.10,
        error <= 0.30,
        f"the relative error is {error:.2%} (10 % wanted)",
    )


def _tail(khat: float | None, weighted: bool) -> Check:
    if not weighted:
        return Check("khat", None, Status.TRUSTED, "all weights are equal")
    if khat is None:
        return Check("khat", None, Status.CAUTION, "too few different weights to see their tail")
    meaning = "the weights have a variance" if khat < 0.5 else "the weights may have no variance"
    return _graded("khat", khat, khat < 0.5, khat < 0.7, f"tail shape k-hat {khat:.2f}: {meaning} (below 0.5 wanted)")


def _share(share: float) -> Check:
    return _graded(
        "max_share",
        share,
        share < 0.02,
        share < 0.05,
        f"the largest weight carries {share:.2%} (under 2 % wanted)",
    )


def _search(search: Mapping[str, Any]) -> tuple[Check, ...]:
    if search["kind"] == "none":
        return ()
    if search["kind"] == "stated":
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
    return (_graded("search", reached, enough, reached > 0, message),)


def _scope(search: Mapping[str, Any]) -> tuple[str, float | None]:
    if search["kind"] == "none":
        return "all failure regions: every draw came from the target itself", None
    if search["kind"] == "stated":
        return "the failure regions that the stated proposal covers", None
    hidden = -math.log(0.05) / search["nominal"]
    return (
        f"failure regions that can be reached from the {search['nominal']:,} draws of the first level by climbing in "
        f"the loss; an isolated region of probability up to {hidden:.2g} (95 %) cannot be excluded",
        hidden,
    )


_ADVICE = {
    "hits": "raise stop.max_evaluations, or ask for a smaller stop.relative_error",
    "ess": "raise stop.max_evaluations, or ask for a smaller stop.relative_error",
    "relative_error": "raise stop.max_evaluations: the budget ended before the error was small enough",
    "khat": "add a defensive share, or choose a proposal with heavier tails: a few weights decide the answer",
    "max_share": "raise stop.max_evaluations or add a defensive share: one weight is too important",
    "search": "use method cross_entropy with more starts, and compare with a run of another seed",
}


def _advice(checks: tuple[Check, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_ADVICE[c.name] for c in checks if c.status is not Status.TRUSTED))
