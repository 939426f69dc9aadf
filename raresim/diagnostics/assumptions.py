"""What a fit to data and a loss take for granted, and how much it matters for one number."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MOVED_LOSS = 0.05
"""Relative change of the loss's standard deviation up to which shrinkage hardly matters."""

MOVED_CORRELATION = 0.1
"""Change of a correlation up to which shrinkage hardly matters, where nothing is known about the loss."""

BELOW_SHARE = 0.05
"""Largest allowed share of an event that draws with a return below -100 % may be."""

LINEAR_OFF = 0.1
"""Largest allowed share of a loss that comes from taking log returns as simple ones: half the return, to second
order."""

BEYOND_GROSS = "a long position cannot lose more than its value; is the threshold in the unit of the positions?"
USUAL = "more than half of all scenarios are in the event; is the threshold in the unit of the loss?"
"""What to ask about a loss that is larger than all positions together, and about an event that is no rare one."""


@dataclass(frozen=True)
class Assumption:
    """One assumption: its name in a verdict, its size, whether it is harmless, and a message."""

    name: str
    value: float | None
    harmless: bool
    message: str


def assumptions(stored: Mapping[str, Any], diagnostics: Mapping[str, Any]) -> tuple[Assumption, ...]:
    """The assumptions of inputs and loss, as far as they are known.

    Parameters
    ----------
    stored : mapping
        ``search.assumptions`` of ``result.json``: what `Inputs.assumptions` and `Loss.assumptions` say.
    diagnostics : mapping
        Diagnostics of one estimate, as in ``result.json``.
    """
    return tuple(found for look in (_shrinkage, _columns, _simple, _log) for found in look(stored, diagnostics))


def remarks(diagnostics: Mapping[str, Any]) -> list[str]:
    """What is odd about a number, a sentence each: it may be meant, so that it does not change a verdict."""
    found = []
    if (share := diagnostics.get("share_of_gross")) and share > 1.0:
        found.append(f"the loss is {share:.4g} times the gross size of the book: {BEYOND_GROSS}")
    if (usual := diagnostics.get("usual_event")) is not None:
        found.append(f"the probability is {usual:.4g}: {USUAL}")
    return found


def _simple(stored: Mapping[str, Any], diagnostics: Mapping[str, Any]) -> list[Assumption]:
    """How much of the event simple returns below -100 % can be."""
    if "below_total_loss" not in stored:
        return []
    below, nats = stored["below_total_loss"], diagnostics["self_information_nats"]
    start = "the law of simple returns allows returns below -100 %, which no price can have"
    if below is None or nats is None or not math.isfinite(nats):
        return [Assumption("simple_returns", below, True, f"{start}; their effect on this number is not known")]
    share = below * math.exp(min(nats, 700.0))
    shown = f"{share:.1%}" if share <= 1.0 else "all"
    message = f"{start}, with probability {below:.2g}: at most {shown} of this event ({BELOW_SHARE:.0%} allowed)"
    return [Assumption("simple_returns", share, share <= BELOW_SHARE, message)]


def _log(stored: Mapping[str, Any], diagnostics: Mapping[str, Any]) -> list[Assumption]:
    """How far a sum of log returns of this size is from the loss of the positions: ``x`` against ``exp(x) - 1``."""
    if "log_returns" not in stored or "share_of_gross" not in diagnostics:
        return []
    size = diagnostics["share_of_gross"]
    off = 0.5 * size
    message = (
        f"log returns enter the linear loss as if they were simple returns: at a loss of {size:.1%} of all positions, "
        f"this makes up about {off:.1%} of the loss ({LINEAR_OFF:.0%} allowed)"
    )
    return [Assumption("log_returns", off, off <= LINEAR_OFF, message)]


def _shrinkage(stored: Mapping[str, Any], _: Mapping[str, Any]) -> list[Assumption]:
    """How far shrunk correlations move the standard deviation of the loss from its value in the sample."""
    if "shrinkage" not in stored:
        return []
    intensity, ratio = stored["shrinkage"], stored.get("loss_std_ratio")
    start = f"the fit shrinks correlations towards 0 by {intensity:.2%}"
    if ratio is None:
        moved = stored["correlation_moved"]
        message = f"{start}, none by more than {moved:.2g} ({MOVED_CORRELATION:g} allowed)"
        return [Assumption("shrinkage", moved, moved <= MOVED_CORRELATION, message)]
    moved = abs(ratio - 1.0)
    message = (
        f"{start}: the standard deviation of the loss is {ratio:.4g} times its value in the sample "
        f"(a change of {MOVED_LOSS:.0%} allowed)"
    )
    return [Assumption("shrinkage", moved, moved <= MOVED_LOSS, message)]


def _columns(stored: Mapping[str, Any], _: Mapping[str, Any]) -> list[Assumption]:
    """Columns of the data that follow from others, or more columns than rows can tell apart."""
    found = stored.get("dependent_columns")
    if not found:
        return []
    more = f"; and {len(found) - 1} more like it" if len(found) > 1 else ""
    return [Assumption("columns", len(found), False, f"{found[0]}{more}: the fit treats them as different risks")]
