"""Parameters of a marginal that may be given in two ways, such as ``scale`` or ``mean`` and ``std``."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from raresim.arguments import checks
from raresim.errors import FieldError

if TYPE_CHECKING:
    Natural = float
else:
    Natural = float | None
"""A natural parameter that need not be given; every finished law has a number for it."""

UNSET: Any = None
"""Default of a `Natural` parameter."""

REQUIRED = math.nan
"""Marks a natural parameter that has no default."""


def finite(field: str, value: float) -> float:
    """Return ``value`` as a float; raises `FieldError` unless it is finite."""
    if not math.isfinite(value):
        raise FieldError(field, f"must be finite, got {value:g}")
    return float(value)


def mean_and_std(law: Any, above: float = -math.inf) -> tuple[float, float]:
    """The checked ``mean`` and ``std`` of ``law``, whose lower end is ``above``."""
    mean, std = finite("mean", law.mean), checks.positive("std", law.std)
    if not mean > above:
        raise FieldError("mean", f"must be above {above:.15g}, where the law begins, got {mean:.15g}")
    return mean, std


def resolve(
    law: Any, natural: Mapping[str, float], other: tuple[str, ...], convert: Callable[[], Mapping[str, float]]
) -> None:
    """Set the natural parameters of a frozen ``law``: as given, by default, or converted from the ``other`` ones.

    Parameters
    ----------
    law : Marginal
        The law in its ``__post_init__``; a parameter that is not given is None.
    natural : mapping
        Name to default; `REQUIRED` where there is no default.
    other : tuple of str
        Names of all parameters that may be given instead.
    convert : callable
        Returns the natural parameters that follow from the ``other`` ones.

    Raises
    ------
    FieldError
        When parameters of both kinds are given, of neither kind, or too few of them.
    """
    given = [name for name in natural if getattr(law, name) is not None]
    instead = [name for name in other if getattr(law, name) is not None]
    allowed = f"give either {_listed(tuple(natural))} or {_listed(other)}"
    if given and instead:
        raise FieldError(instead[0], f"{allowed}, got {_listed((*given, *instead))}")
    if not given and not instead and any(math.isnan(default) for default in natural.values()):
        raise FieldError(next(iter(natural)), f"{allowed}, got none of them")
    needed = other if instead else tuple(name for name, default in natural.items() if math.isnan(default))
    for name in needed:
        if getattr(law, name) is None:
            raise FieldError(name, f"is needed with {_listed(tuple(instead or given))}: {allowed}")
    values = convert() if instead else {**natural} | {name: getattr(law, name) for name in given}
    for name, value in values.items():
        object.__setattr__(law, name, float(value))


def _listed(names: tuple[str, ...]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
