"""Whether a surrogate can be believed: checks of what it learnt from, and of what the correction found."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from raresim.diagnostics.row_checks import graded
from raresim.record.verdict import Check, Status

FAILURES = (5, 1)
"""Evaluations in the event among those that it learnt from: from the first trusted, from the second caution."""

DISTINCT = 0.6
"""Share of different values below which the loss moves in steps."""

UNSURE = (1.0, 3.0)
"""Standard deviation of what it does not know, over the probability: up to the first trusted, to the second caution."""

SPREAD = (2.5, 5.0)
"""Variance of the batches over the one that its doubts give."""

CLOSE, SPREAD_CLOSE = 0.03, (10.0, 20.0)
"""The same where the relative error, which is never less than the batches' own, is at most so much."""

OFF, OFF_ERRORS = 0.1, 3.0
"""How far the surrogate alone may be from the corrected estimate, and in standard errors."""

LEFT_OUT = (5.0, 10.0)
"""Largest error of an evaluation as the others predict it, in their standard deviations, for a smooth loss."""

CALIBRATION = (4.0, 8.0)
"""Outcomes in the event less those expected while it learnt, in standard deviations."""

MOST_INPUTS = 12
"""Inputs up to which a result was found to be right where all other checks pass; of seven such results in 20 to 50
inputs one was a quarter of the answer."""

LEARNT_PER_INPUT = 5.5
"""Evaluations for each input below which nothing is trusted: few can contradict the declaration of a smooth loss, and
losses of unlike parts that were declared so were mostly wrong and trusted with fewer. An approximation that serves
shows such parts, so with one there is no least number."""

POOL_ERROR = (0.04, 0.08)
"""Relative error from the points of the pool."""


def surrogate_checks(
    facts: Mapping[str, float], diagnostics: Mapping[str, Any], relative_error: float | None
) -> tuple[Check, ...]:
    """The checks of a run with a surrogate.

    Parameters
    ----------
    facts : mapping
        What the search stored; the entries used begin with ``surrogate``.
    diagnostics : mapping
        ``spread_over_known`` and ``surrogate_correction`` of the estimate.
    relative_error : float or None
        Of the estimate; None without a hit.
    """
    return (
        _sight(facts),
        _inputs(facts["surrogate_inputs"]),
        _evaluations(facts),
        _failures(facts),
        _distinct(facts["surrogate_distinct"]),
        _afar(facts["surrogate_afar"], facts["surrogate_afar_hits"]),
        *_limit_states(facts),
        _calibration(facts["surrogate_calibration"]),
        _unsure(facts["surrogate_unsure"]),
        _pool(facts["surrogate_pool_error"]),
        _spread(diagnostics.get("spread_over_known"), relative_error),
        _agreement(diagnostics.get("surrogate_correction"), relative_error),
    )


def _graded(name: str, value: float, limits: tuple[float, float], message: str) -> Check:
    """Trusted up to the first limit, caution up to the second."""
    some, much = limits
    return graded(name, value, value <= some, value <= much, message)


def _sight(facts: Mapping[str, float]) -> Check:
    """Whether a part of the loss that shows only where it fails can be excluded."""
    name, off = "surrogate_sight", facts["surrogate_largest_off"]
    if facts.get("surrogate_search_missed"):
        count = f"{facts['surrogate_search_missed']:.0f} of the design points that a search found"
        return Check(name, off, Status.UNTRUSTED, f"the surrogate does not expect the event beyond {count}")
    if facts.get("surrogate_searched"):
        message = "a search that only asks whether a draw is in the event found no other part of the event"
        return Check(name, off, Status.TRUSTED, message)
    states, undeclared = facts["surrogate_limit_states"], facts["surrogate_undeclared"]
    if undeclared:
        which = "the loss is" if states == 1 else f"{undeclared:.0f} of the {states:.0f} limit states are"
        message = (
            f"{which} not declared to be smooth, so {facts['surrogate_evaluations']:.0f} evaluations cannot exclude a "
            "failure region that does not show in the loss outside it"
        )
        return Check(name, None, Status.CAUTION, message)
    what = "the loss is" if states == 1 else f"all {states:.0f} limit states are"
    message = (
        f"{what} declared to be smooth; each evaluation lies within {off:.1f} standard deviations of its prediction "
        f"from all other evaluations ({LEFT_OUT[0]:g} allowed)"
    )
    return _graded(name, off, LEFT_OUT, message)


def _inputs(dim: float) -> Check:
    message = f"the surrogate has {dim:.0f} inputs (at most {MOST_INPUTS} can be trusted)"
    return Check("surrogate_inputs", dim, Status.TRUSTED if dim <= MOST_INPUTS else Status.CAUTION, message)


def _evaluations(facts: Mapping[str, float]) -> Check:
    """Whether the declaration of a smooth loss was held against enough evaluations."""
    learnt, dim = facts["surrogate_evaluations"], min(facts["surrogate_inputs"], MOST_INPUTS)
    name, message = "surrogate_evaluations", f"the surrogate learnt from {learnt:.0f} evaluations"
    if facts["surrogate_assisted"] >= facts["surrogate_limit_states"]:
        return Check(name, learnt, Status.TRUSTED, f"{message} and an approximation")
    wanted = math.ceil(LEARNT_PER_INPUT * dim)
    status = Status.TRUSTED if learnt >= wanted else Status.CAUTION
    return Check(name, learnt, status, f"{message} ({wanted} wanted)")


def _failures(facts: Mapping[str, float]) -> Check:
    count, least = facts["surrogate_failures"], FAILURES
    message = f"{count:.0f} evaluations that the surrogate learnt from are in the event ({least[0]} wanted)"
    status = Status.TRUSTED if count >= least[0] else Status.CAUTION if count >= least[1] else Status.UNTRUSTED
    return Check("surrogate_failures", count, status, message)


def _distinct(share: float) -> Check:
    message = (
        f"{share:.0%} of the evaluations have distinct losses ({DISTINCT:.0%} wanted; a smaller share means that the "
        "loss moves in steps)"
    )
    status = Status.TRUSTED if share >= DISTINCT else Status.UNTRUSTED
    return Check("surrogate_steps", share, status, message)


def _afar(looked: float, hits: float) -> Check:
    """Whether the event is where the surrogate is sure that it is not."""
    message = (
        f"the surrogate was sure that the last {looked:.0f} evaluations far out are not in the event, and {hits:.0f} "
        "of them are"
    )
    return Check("surrogate_afar", hits, Status.UNTRUSTED if hits else Status.TRUSTED, message)


def _limit_states(facts: Mapping[str, float]) -> tuple[Check, ...]:
    """Whether each limit state was seen to fail, or looked at where it is expected nearest to it."""
    states, unprobed = facts["surrogate_limit_states"], facts.get("surrogate_unprobed", 0.0)
    if states == 1:
        return ()
    message = (
        f"{unprobed:.0f} of {states:.0f} limit states were neither seen to fail nor evaluated where they are expected "
        "to be nearest to failure"
    )
    status = Status.CAUTION if unprobed else Status.TRUSTED
    return (Check("surrogate_limit_states", unprobed, status, message),)


def _calibration(off: float) -> Check:
    message = (
        f"while the surrogate learnt, the event occurred {'more' if off > 0 else 'less'} often than it predicted, by "
        f"{abs(off):.1f} standard deviations ({CALIBRATION[0]:g} allowed)"
    )
    return _graded("surrogate_calibration", abs(off), CALIBRATION, message)


def _unsure(ratio: float) -> Check:
    message = f"the uncertainty of the surrogate is {ratio:.2g} times the probability ({UNSURE[0]:g} allowed)"
    return _graded("surrogate_unsure", ratio, UNSURE, message)


def _pool(error: float) -> Check:
    message = (
        f"the points of the pool give the probability a relative error of {error:.2%} ({POOL_ERROR[0]:.0%} allowed)"
    )
    return _graded("surrogate_pool", error, POOL_ERROR, message)


def _spread(ratio: float | None, relative_error: float | None) -> Check:
    """Whether the surrogate's doubts are of the right size; where batches agree well, they may be further off."""
    ratio = math.inf if ratio is None else ratio
    limits = SPREAD_CLOSE if relative_error is not None and relative_error <= CLOSE else SPREAD
    message = (
        f"the variance between batches of the correction is {ratio:.2g} times the variance that the surrogate predicts "
        f"({limits[0]:g} allowed)"
    )
    return _graded("surrogate_spread", ratio, limits, message)


def _agreement(share: float | None, relative_error: float | None) -> Check:
    """Whether the surrogate alone and the corrected estimate agree."""
    if share is None:
        return Check(
            "surrogate_agreement", None, Status.UNTRUSTED, "after the correction nothing is left of the probability"
        )
    off, allowed = abs(share), max(OFF, OFF_ERRORS * (relative_error or 0.0))
    message = f"the estimate of the surrogate alone is {off:.2%} off the corrected one ({allowed:.0%} allowed)"
    return _graded("surrogate_agreement", off, (allowed, 2.0 * allowed), message)
