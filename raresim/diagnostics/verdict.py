"""Whether to believe a number: a pure function of the numbers that a run stores."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from raresim.diagnostics import audit_checks, row_checks, search_checks
from raresim.diagnostics.advice import advice_on
from raresim.diagnostics.assumptions import assumptions, remarks
from raresim.diagnostics.endings import Ending
from raresim.diagnostics.surrogate import surrogate_checks
from raresim.record.records import Estimate
from raresim.record.rows import is_estimate
from raresim.record.verdict import Check, Status, Verdict

_ORDER = list(Status)


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
    scope, hidden = search_checks.scope(search, diagnostics)
    if diagnostics["hits"] == 0:
        message = f"no {unit} {row_checks.MET[unit]} the event: only an upper bound is known"
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
            *search_checks.search(search, diagnostics),
            *row_checks.failures(diagnostics, search["weighted"]),
            *_assumptions(search, diagnostics),
            *_interrupted(search),
        )
        return Verdict(Status.BOUND_ONLY, scope, hidden, checks, advice)
    if is_estimate(unit):
        tails = () if diagnostics["khat"] is None else (row_checks.tail(diagnostics, search["weighted"]),)
        checks = (
            row_checks.replicates(unit, diagnostics["hits"], diagnostics["rows"]),
            row_checks.error(relative_error),
            *tails,
        )
    else:
        confirmed = audit_checks.error_is_confirmed(diagnostics, search["audit"])
        checks = (
            row_checks.hits(diagnostics["hits"], unit),
            row_checks.effective(diagnostics["ess"]),
            row_checks.error(relative_error)
            if "tail_error" not in diagnostics
            else row_checks.tail_error(diagnostics["tail_error"]),
            row_checks.tail(diagnostics, search["weighted"], confirmed),
            row_checks.share(diagnostics["max_share"], confirmed),
        )
    lost = row_checks.failures(diagnostics, search["weighted"])
    searched = (
        *search_checks.search(search, diagnostics),
        *search_checks.facts(search["facts"]),
        *(surrogate_checks(search["facts"], diagnostics, relative_error) if search["kind"] == "surrogate" else ()),
        *audit_checks.audit(diagnostics, diagnostics.get("tail_error", relative_error), search["audit"], unit),
    )
    checks = (
        *checks,
        *row_checks.threshold(diagnostics),
        *row_checks.sections(diagnostics),
        *row_checks.control(diagnostics, relative_error),
        *searched,
        *row_checks.canary(search["canary"]),
        *lost,
        *_assumptions(search, diagnostics),
        *_interrupted(search),
    )
    status = worst([check.status for check in checks])
    is_short = any(check.name == "search" and check.status is not Status.TRUSTED for check in checks)
    advice = (*(_gave_up(search) if is_short else ()), *advice_on(checks), *remarks(diagnostics))
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
        row_checks.hits(diagnostics["hits"], "draw"),
        row_checks.effective(diagnostics["ess"]),
        *(() if relative_error is None else (row_checks.error(relative_error),)),
        row_checks.tail(diagnostics, weighted=True),
        row_checks.share(diagnostics["max_share"]),
    )


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
