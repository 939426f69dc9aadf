"""What a fit to data, and a loss of what it gives, take for granted: how much of it matters for one number."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MOVED_LOSS = 0.05
"""Relative change of the loss's standard deviation by shrinkage up to which it hardly matters."""

MOVED_CORRELATION = 0.1
"""Change of a correlation by shrinkage up to which it hardly matters, where nothing is known of the loss."""

BELOW_SHARE = 0.05
"""Share of an event that draws below a return of -100 % may be."""

LINEAR_OFF = 0.1
"""Share of a loss that may be due to log returns which enter as simple ones: to second order half the return."""


@dataclass(frozen=True)
class Assumption:
    """One thing taken for granted: its name in a verdict, how large it is, whether it is harmless, and in words."""

    name: str
    value: float | None
    harmless: bool
    message: str


def assumptions(stored: Mapping[str, Any], diagnostics: Mapping[str, Any]) -> tuple[Assumption, ...]:
    """What was taken for granted, as far as it is known.

    Parameters
    ----------
    stored : mapping
        ``search.assumptions`` of ``result.json``: what `Inputs.assumptions` and `Loss.assumptions` say.
    diagnostics : mapping
        Of one estimate, as in ``result.json``.
    """
    return tuple(found for look in (_shrinkage, _columns, _simple, _log) for found in look(stored, diagnostics))


def _simple(stored: Mapping[str, Any], diagnostics: Mapping[str, Any]) -> list[Assumption]:
    """Simple returns below -100 %: how much of the event they can be."""
    if "below_total_loss" not in stored:
        return []
    below, nats = stored["below_total_loss"], diagnostics["self_information_nats"]
    start = "the law of simple returns draws some below -100 %, further than a price can fall"
    if below is None or nats is None or not math.isfinite(nats):
        return [Assumption("simple_returns", below, True, f"{start}; what that means for this number is not known")]
    share = below * math.exp(min(nats, 700.0))
    shown = f"{share:.1%}" if share <= 1.0 else "all"
    message = f"{start}, with probability {below:.2g}: at most {shown} of this event ({BELOW_SHARE:.0%} allowed)"
    return [Assumption("simple_returns", share, share <= BELOW_SHARE, message)]


def _log(stored: Mapping[str, Any], diagnostics: Mapping[str, Any]) -> list[Assumption]:
    """Log returns in a sum: how far a loss of this size is from what positions lose, ``x`` against ``exp(x) - 1``."""
    if "log_returns" not in stored or "share_of_gross" not in diagnostics:
        return []
    size = diagnostics["share_of_gross"]
    off = 0.5 * size
    message = (
        f"log returns enter the linear loss as if they were simple: of a loss that is {size:.1%} of all positions, "
        f"some {off:.1%} is due to that ({LINEAR_OFF:.0%} allowed)"
    )
    return [Assumption("log_returns", off, off <= LINEAR_OFF, message)]


def _shrinkage(stored: Mapping[str, Any], _: Mapping[str, Any]) -> list[Assumption]:
    """How far shrunk correlations move the loss: its standard deviation against that of the sample."""
    if "shrinkage" not in stored:
        return []
    intensity, ratio = stored["shrinkage"], stored.get("loss_std_ratio")
    start = f"the fit pulls correlations towards 0 by {intensity:.2%}"
    if ratio is None:
        moved = stored["correlation_moved"]
        message = f"{start}, none by more than {moved:.2g} ({MOVED_CORRELATION:g} allowed)"
        return [Assumption("shrinkage", moved, moved <= MOVED_CORRELATION, message)]
    moved = abs(ratio - 1.0)
    message = (
        f"{start}: the loss has {ratio:.4g} times the standard deviation of the sample "
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
