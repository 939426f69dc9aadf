"""Several limit states as one loss, for an event in which at least ``k`` of them fail together.

The loss of a row is its ``k``-th largest column. It reaches any threshold exactly where at least ``k`` columns do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

from raresim.arguments.checks import whole
from raresim.arguments.synonyms import unknown
from raresim.errors import FieldError
from raresim.numerics.arrays import Float

System = Literal["any", "all"] | Mapping[str, int]
"""Which limit states make the event: any of them, all of them, or ``{"at_least": k}`` of them."""


def checked(system: System) -> System:
    """``system``; raises `FieldError` if it has none of the three forms."""
    if not isinstance(system, Mapping):
        if system not in ("any", "all"):
            raise FieldError("system", f"{unknown('value', system, ['any', 'all'])}; or {{at_least: 2}}")
        return system
    for key in system:
        if key != "at_least":
            raise FieldError("system", unknown("key", key, ["at_least"]))
    if not system:
        raise FieldError("system", "must be any, all or {at_least: 2}, got an empty mapping")
    try:
        return {"at_least": whole("at_least", system["at_least"])}
    except FieldError as error:
        raise FieldError("system", f"at_least {error.message}") from None


def least_of(system: System, count: int) -> int:
    """Number of ``count`` limit states that must reach the threshold."""
    if isinstance(system, Mapping):
        return system["at_least"]
    return 1 if system == "any" else count


def too_few(system: System, count: int) -> str:
    """The message if the system needs more than ``count`` limit states; empty otherwise."""
    least = least_of(system, count)
    return f"at_least must be at most the number of limit states, {count}, got {least}" if least > count else ""


def combined(columns: Float, least: int) -> Float:
    """The ``least``-th largest column (n,) of each row of ``columns`` (n, m); NaN where the row has a NaN."""
    m = columns.shape[1]
    if least == 1:
        return np.asarray(columns.max(axis=1))
    if least == m:
        return np.asarray(columns.min(axis=1))
    loss: Float = np.partition(columns, m - least, axis=1)[:, m - least]
    return np.where(np.isnan(columns).any(axis=1), np.nan, loss)


def of_states(states: Float, least: int) -> Float:
    """`combined` (n,) of ``states`` (n, m), but of a row with a value that is not finite the first such value."""
    loss = combined(states, least)
    wrong = ~np.isfinite(states)
    rows = np.flatnonzero(wrong.any(axis=1))
    loss[rows] = states[rows, wrong[rows].argmax(axis=1)]
    return loss


def in_words(system: System) -> str:
    """The event of the system, as a clause."""
    if isinstance(system, Mapping):
        return f"at least {system['at_least']} of them reach the threshold"
    return f"{system} of them reach{'es' if system == 'any' else ''} the threshold"
