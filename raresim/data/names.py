"""Numbers that carry names: mappings, and the series and frames of pandas, put in order by name and never by place."""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from raresim.arguments import checks
from raresim.data import files
from raresim.errors import FieldError
from raresim.numerics import arrays
from raresim.numerics.arrays import Float

MOST_SHOWN = 5


def labels_of(value: Any) -> tuple[str, ...] | None:
    """The names that ``value`` carries for its entries or rows; None where it has none or only numbers them."""
    if isinstance(value, Mapping):
        return tuple(str(name) for name in value)
    return _counted_out(getattr(value, "index", None))


def _counted_out(index: Any) -> tuple[str, ...] | None:
    """The labels of an index; None without an index, and for one that only counts."""
    if index is None or callable(index):  # a list has a method of that name
        return None
    labels = list(index)
    if all(isinstance(label, numbers.Integral) for label in labels):
        return None
    return tuple(str(label) for label in labels)


def in_order(field: str, value: Any, names: Sequence[str], remedy: str = "") -> Float:
    """``value`` as a read-only array in the order of ``names``: by name where it carries names, else as it stands.

    ``remedy`` is what to do about names that are missing.

    Raises
    ------
    FieldError
        When a name is unknown, missing or repeated, or the values are not numbers.
    """
    labels = labels_of(value)
    if labels is None:
        return checks.vector(field, value, len(names))
    place = _places(field, labels, names, remedy)
    plain = list(value.values()) if isinstance(value, Mapping) else np.asarray(value)
    return arrays.frozen(checks.vector(field, plain, len(names))[place])


def table_in_order(field: str, value: Any, rows: Sequence[str], columns: Sequence[str]) -> Any:
    """As `in_order` for a frame, whose rows and columns are put in order by name; any other value is left as it is."""
    labels, heads = labels_of(value), _counted_out(getattr(value, "columns", None))
    if labels is None and heads is None:
        return value
    plain = np.asarray(value)
    if labels is not None:
        plain = plain[_places(field, labels, rows)]
    if heads is not None:
        plain = plain[:, _places(field, heads, columns)]
    return plain


def aligned(**given: ArrayLike | None) -> tuple[tuple[str, ...] | None, dict[str, Any]]:
    """The names of the first argument that carries any (None without one), and all arguments of the law in their order.

    Raises
    ------
    FieldError
        When two arguments do not have the same names.
    """
    names = next((labels for value in given.values() if (labels := labels_of(value)) is not None), None)
    if names is None:
        return None, dict(given)
    found: dict[str, Any] = {}
    for field, value in given.items():
        if getattr(value, "ndim", 0) == 2:
            found[field] = table_in_order(field, value, names, names)
        else:
            found[field] = value if labels_of(value) is None else in_order(field, value, names)
    return names, found


def _places(field: str, labels: Sequence[str], names: Sequence[str], remedy: str = "") -> list[int]:
    """The place of each of ``names`` among ``labels``, which must be the same names in any order."""
    if twice := files.repeated(labels):
        raise FieldError(field, f"must have each name once, got {', '.join(twice[:MOST_SHOWN])} more than once")
    if unknown := [label for label in labels if label not in names]:
        raise FieldError(field, files.no_such("name", unknown[0], names))
    if absent := [name for name in names if name not in labels]:
        shown = ", ".join(absent[:MOST_SHOWN]) + (", ..." if len(absent) > MOST_SHOWN else "")
        raise FieldError(field, f"must have a number for each of the {len(names)} names, lacks {shown}{remedy}")
    return [labels.index(name) for name in names]
