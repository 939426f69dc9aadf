"""Tables as data frames of pandas or polars, whichever there is."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from raresim.arguments.checks import one_of
from raresim.errors import FieldError

Library = Literal["pandas", "polars"]
"""Libraries of data frames."""


def frame(columns: Sequence[str], rows: Iterable[Sequence[Any]], library: Library | None = None) -> Any:
    """A data frame with one row for each of ``rows``.

    Parameters
    ----------
    columns : sequence of str
        Names of the columns.
    rows : iterable of sequences
        Texts, numbers, truth values; None for a missing one.
    library : "pandas" or "polars", optional
        The library of the frame. Left out, the one that is imported already, else the one that is installed; pandas
        where both are.

    Raises
    ------
    FieldError
        When there is no such library.
    """
    table = list(rows)
    return of_columns({name: [row[k] for row in table] for k, name in enumerate(columns)}, library)


def of_columns(columns: Mapping[str, Any], library: Library | None = None) -> Any:
    """As `frame`, from the content of each column by its name."""
    if library is not None:
        one_of("library", library, Library)
    name = library or present()
    if name is None:
        raise FieldError("library", "a data frame needs pandas or polars: pip install pandas")
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError:
        raise FieldError("library", f"{name} is not installed: pip install {name}") from None
    return module.DataFrame(columns)


def present() -> Library | None:
    """The library that is imported already, else the one that is installed; None where there is neither."""
    both: tuple[Library, ...] = ("pandas", "polars")
    for name in both:
        if name in sys.modules:
            return name
    return next((name for name in both if importlib.util.find_spec(name) is not None), None)
