"""Which column of a tape is which: mapped by the user, called as usual elsewhere, or of a known dialect."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from raresim.data import files
from raresim.data.files import DataFile, Problems
from raresim.errors import FieldError

ALIASES: Mapping[str, tuple[str, ...]] = {
    "id": ("obligor", "obligor_id", "counterparty", "counterparty_id", "borrower", "loan_id", "name", "number"),
    "ead": ("exposure", "exposure_at_default", "outstanding", "balance", "notional"),
    "pd": ("default_probability", "probability_of_default", "prob_default", "p"),
    "lgd": ("loss_given_default", "severity"),
    "lgd_mean": ("mean_lgd", "expected_lgd"),
    "lgd_std": ("std_lgd", "sd_lgd", "lgd_sd"),
    "rho": ("asset_correlation", "r_squared", "r2"),
    "sector": ("industry",),
    "rating": ("grade",),
    "maturity": ("remaining_maturity", "years_to_maturity", "time_to_maturity", "duration"),
}
"""What the columns of a credit tape are called, and what they are often called instead."""

WHERE_ASKED = ("maturity",)
"""Names that are looked for only where the model needs them; else such a column is like any other."""

GCPM = ("number", "name", "business", "country", "ead", "lgd", "pd", "default")
"""The first columns of a tape of the R package GCPM; those after them are loadings on its sectors."""


@dataclass(frozen=True)
class Header:
    """The columns of a tape.

    Parameters
    ----------
    places : mapping of str to str
        The column of the file for each name of `ALIASES` that it has.
    further : tuple of str
        The other columns, and those of sector and rating: what obligors can be grouped by.
    sectors : tuple of str
        Of these, the loadings of a tape of GCPM; empty for other tapes.
    default : str
        Of these, the column of a tape of GCPM that says how an obligor defaults; empty for other tapes.
    notes : tuple of str
        What was understood without being asked, a sentence each.
    """

    places: Mapping[str, str]
    further: tuple[str, ...]
    sectors: tuple[str, ...] = ()
    default: str = ""
    notes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        file: DataFile,
        columns: Mapping[str, str],
        needed: tuple[str, ...] = ("id", "ead", "pd"),
        also: tuple[str, ...] = (),
    ) -> Header:
        """The columns of ``file``, of which the user has named some and some are ``needed``.

        Names of `WHERE_ASKED` are looked for where they are needed, or in ``also``.

        Raises
        ------
        FieldError
            For ``columns``, where it maps an unknown name, or to a column that the file does not have.
        DataError
            When two columns could be the same, or one that is needed is missing.
        """
        _check_mapping(columns, file)
        usual = {_usual(name): name for name in file.header}
        is_gcpm = tuple(_usual(name) for name in file.header[: len(GCPM)]) == GCPM
        places, notes, problems = dict(columns), [], Problems(file.name)
        taken = set(places.values())
        if is_gcpm:
            places.setdefault("id", file.header[0])
        hidden = {name for name in WHERE_ASKED if name not in (*needed, *also)}
        for name in [name for name in ALIASES if name not in places and name not in hidden]:
            found = [usual[n] for n in (name, *ALIASES[name]) if n in usual and usual[n] not in taken]
            if len(found) > 1 and _usual(found[0]) != name:
                problems.add(
                    f"the columns {files.listed(found)} could each be {name}: say which by "
                    f"`columns: {{{name}: {found[0]}}}`",
                    file.header_row,
                )
            elif found:
                places[name] = found[0]
                if found[0] != name:
                    notes.append(f"column {found[0]} of {file.name} is read as {name}")
        for name in needed:
            if name not in places:
                problems.add(
                    f"a column {name} is required, got {files.listed([n for n in file.header if n])}; rename it, or "
                    f"say which it is by `columns: {{{name}: ...}}`",
                    file.header_row,
                )
        problems.stop()
        used = {column for name, column in places.items() if name not in ("sector", "rating", *hidden)}
        sectors = tuple(file.header[len(GCPM) :]) if is_gcpm else ()
        if is_gcpm:
            notes.insert(0, f"{file.name} is a tape of GCPM: {files.listed(sectors)} are loadings R, not R^2")
        further = tuple(n for n in file.header if n and n not in used)
        return cls(places, further, sectors, file.header[len(GCPM) - 1] if is_gcpm else "", tuple(notes))


def _usual(name: str) -> str:
    """``name`` in lower case, words joined by an underscore."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def _check_mapping(columns: Mapping[str, str], file: DataFile) -> None:
    for name, column in columns.items():
        if name not in ALIASES:
            raise FieldError("columns", files.no_such("name", name, list(ALIASES)))
        if column not in file.header:
            raise FieldError("columns", files.no_such(f"column of {file.name}", column, file.header))
