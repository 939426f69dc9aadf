"""Checks of arguments: numbers, arrays and words, with errors that say what is wanted."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, get_args

import numpy as np
from numpy.typing import ArrayLike

from raresim.arguments import numerals
from raresim.arguments.synonyms import unknown
from raresim.errors import FieldError
from raresim.numerics.arrays import Float, frozen

Vector = Annotated[ArrayLike, "vector"]
"""A constructor argument that is one number or a list of numbers."""


Matrix = Annotated[ArrayLike, "matrix"]
"""A constructor argument that is a matrix, as rows."""


FunctionPath = Annotated[str, "function"]
"""A constructor argument of the form ``file.py:name``."""


FolderPath = Annotated[Path, "folder"]
"""A constructor argument that is a folder; in YAML it is relative to the config file."""


MAX_DIM = 100_000


MAX_MATRIX_DIM = 5_000
"""Most coordinates of a law, and of a law that holds a number for each pair of them (200 megabytes)."""


def vector(field: str, value: ArrayLike, dim: int | None = None) -> Float:
    """Return ``value`` as a read-only ``(dim,)`` array; a single number is repeated."""
    array = _finite(field, value)
    if array.ndim == 0:
        array = np.full(1 if dim is None else dim, float(array))
    if array.ndim != 1:
        raise FieldError(field, f"must be one number or a list of numbers, got {array.ndim} dimensions")
    if dim is not None and array.size != dim:
        raise FieldError(field, f"must have {dim} entries, got {array.size}")
    if array.size == 0:
        raise FieldError(field, "must not be empty")
    return frozen(array)


def positive_vector(field: str, value: ArrayLike, dim: int | None = None) -> Float:
    """As `vector`, with every entry above zero."""
    array = vector(field, value, dim)
    if not (array > 0).all():
        raise FieldError(field, f"must be positive, got {array.min():g}")
    return array


def matrix(field: str, value: ArrayLike, dim: int | None = None) -> Float:
    """Return ``value`` as a read-only, square, symmetric ``(dim, dim)`` array."""
    array = _finite(field, value)
    if array.ndim != 2 or array.shape[0] != array.shape[1]:
        raise FieldError(field, f"must be a square matrix, got shape {array.shape}")
    if dim is not None and array.shape[0] != dim:
        raise FieldError(field, f"must be {dim} x {dim}, got {array.shape[0]} x {array.shape[1]}")
    gap = np.abs(array - array.T)
    if gap.max(initial=0.0) > 1e-10 * np.abs(array).max(initial=0.0):
        i, j = np.unravel_index(int(gap.argmax()), gap.shape)
        raise FieldError(
            field,
            f"must be symmetric, got {array[i, j]:.15g} at [{i}][{j}] and {array[j, i]:.15g} at [{j}][{i}]",
        )
    return frozen(array)


def cholesky(field: str, cov: Float) -> Float:
    """Lower Cholesky factor of ``cov``; raises `FieldError` when it is not positive definite."""
    try:
        factor = np.asarray(np.linalg.cholesky(cov), dtype=np.float64)
    except np.linalg.LinAlgError:
        smallest = float(np.linalg.eigvalsh(cov)[0])
        raise FieldError(
            field, f"must be positive definite, got a matrix with smallest eigenvalue {smallest:.3g}"
        ) from None
    return frozen(factor)


def refuse_text(field: str, value: object) -> None:
    """Raise `FieldError` where ``value`` is a text; the message says which number to write where it may mean one."""
    if isinstance(value, str):
        raise FieldError(field, f"must be a number, got the text {value[:60]!r}{numerals.advice(value)}")


def positive(field: str, value: float) -> float:
    """Return ``value`` as a float; raises `FieldError` unless it is finite and above zero."""
    refuse_text(field, value)
    if not (math.isfinite(value) and value > 0):
        raise FieldError(field, f"must be positive and finite, got {value:g}")
    return float(value)


def between(field: str, value: float, low: float, high: float) -> float:
    """Return ``value``; raises `FieldError` unless ``low < value < high``."""
    refuse_text(field, value)
    if not low < value < high:
        hint = numerals.as_share(value) if (low, high) == (0, 1) else ""
        raise FieldError(field, f"must be above {low:g} and below {high:g}, got {value:.15g}{hint}")
    return float(value)


def whole(field: str, value: float, least: int = 1) -> int:
    """Return ``value`` as an int; raises `FieldError` unless it is whole (``1e6`` is) and at least ``least``."""
    refuse_text(field, value)
    if isinstance(value, bool) or not float(value).is_integer():
        raise FieldError(field, f"must be a whole number, got {value}")
    if value < least:
        raise FieldError(field, f"must be at least {least}, got {value}")
    return int(value)


def dimension(field: str, value: float, least: int = 1, most: int = MAX_DIM) -> int:
    """As `whole`, and at most ``most``: arrays with an entry for each coordinate or pair have to fit in memory."""
    if value > most:
        raise FieldError(field, f"must be at most {most:,}, got {value:.15g}")
    return whole(field, value, least)


def one_of(field: str, given: object, allowed: Any) -> None:
    """Raise `FieldError` unless ``given`` is a value of the `Literal` ``allowed``."""
    if given not in get_args(allowed):
        raise FieldError(field, unknown("value", given, list(get_args(allowed))))


LONGEST_UNIT = 20
"""Largest number of characters of a unit."""


def named_unit(field: str, value: str | None) -> None:
    """Raise `FieldError` unless ``value`` is None or a short name of a unit, such as ``USD`` or ``EUR m``."""
    if value is not None and not (0 < len(value.strip()) == len(value) <= LONGEST_UNIT and value.isprintable()):
        raise FieldError(field, f"must be a short name such as USD or EUR m, got {value[:60]!r}")


def _finite(field: str, value: ArrayLike) -> Float:
    try:
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise FieldError(field, f"must be numbers in equal rows, got {value!r}{numerals.advice(value)}") from None
    if not np.isfinite(array).all():
        raise FieldError(field, "must be finite, got NaN or infinity")
    return array
