"""How obligors depend on each other: their loadings on common factors, from one column, several, or sectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from raresim.arguments.typed import typed
from raresim.data import files
from raresim.data.files import DataFile, Problems
from raresim.errors import DataError, FieldError
from raresim.models.obligors.header import Header
from raresim.models.obligors.sector_correlation import SectorCorrelation, equal_correlation
from raresim.models.obligors.tape import Tape
from raresim.numerics.arrays import Float, frozen

Factors = Literal["rho", "loadings", "sector"]

PREFIX = "loading_"
"""How columns of loadings begin that are found without being named."""

COMMON = "common"
"""The name of the only factor of a tape with ``rho``."""


@typed
@dataclass(frozen=True, kw_only=True)
class Loading:
    """A column of loadings on several factors, one for each value of another column.

    Parameters
    ----------
    column : str
        The column of loadings.
    by : str
        The column whose values are the factors: with ``sector``, each obligor loads on the factor of its own sector.
    """

    column: str
    by: str


@dataclass(frozen=True, eq=False)
class Dependence:
    """Loadings of ``m`` obligors on ``k`` common factors.

    Parameters
    ----------
    names : tuple of str
        Of the factors.
    loadings : (m, k) float64
        Row ``i`` holds what the asset value of obligor ``i`` takes of each factor.
    correlation : (k, k) float64 or None
        Of the factors; None where they are independent.
    notes : tuple of str
        What was understood without being asked, a sentence each.
    """

    names: tuple[str, ...]
    loadings: Float
    correlation: Float | None = None
    notes: tuple[str, ...] = ()

    @property
    def common_share(self) -> Float:
        """R^2 of each obligor (m,): the share of its asset value's variance that comes from the factors."""
        a = self.loadings
        turned = a if self.correlation is None else a @ self.correlation
        return np.asarray(np.einsum("ij,ij->i", turned, a))


@dataclass(frozen=True, eq=False)
class Choice:
    """Which columns say how obligors depend on each other.

    Parameters
    ----------
    factors : "rho", "loadings" or "sector"
        The kind.
    loadings : tuple of Loading
        For the second: the columns, with an empty ``by`` where all obligors load on the same factor.
    notes : tuple of str
        What was understood without being asked.
    """

    factors: Factors
    loadings: tuple[Loading, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def numbers(self) -> tuple[str, ...]:
        """Further columns that have to be numbers."""
        return tuple(loading.column for loading in self.loadings)


def choose(
    file: DataFile,
    header: Header,
    factors: Factors | None,
    rho: float | None,
    loadings: Sequence[str | Loading] | None,
    by_sector: bool,
) -> Choice:
    """Which columns are used, by what the user says and what the tape has.

    Raises
    ------
    FieldError, DataError
        When nothing says how obligors depend on each other, or two things do.
    """
    named = tuple(Loading(column=n, by="") if isinstance(n, str) else n for n in loadings or ())
    for loading in named:
        for column in (loading.column, loading.by):
            if column and column not in file.header:
                raise FieldError("loadings", files.no_such(f"column of {file.name}", column, file.header))
    found = named or _found(header)
    has_rho = rho is not None or "rho" in header.places
    factors = factors or ("sector" if by_sector else _only(file, header, bool(named), found, has_rho))
    if named and factors != "loadings":
        raise FieldError("loadings", f"must be left out where factors is {factors!r}")
    if rho is not None and "rho" in header.places and factors != "loadings":
        raise FieldError("rho", f"must be left out: {file.name} has the column {header.places['rho']}")
    if factors == "loadings":
        if rho is not None:
            raise FieldError("rho", "must be left out where loadings are given: R^2 is the sum of their squares")
        if not found:
            raise FieldError("loadings", f"must name columns of {file.name}: none begins with {PREFIX}")
        told = files.listed([f"{x.column} (by {x.by})" if x.by else x.column for x in found])
        return Choice(factors, found, () if named else (f"columns of loadings: {told}",))
    if not has_rho:
        raise FieldError("rho", f"is required where factors is {factors!r}: a number, or a column of {file.name}")
    if factors == "sector" and "sector" not in header.places:
        raise FieldError("columns", f"{file.name} has no column sector: say which it is by `columns: {{sector: ...}}`")
    return Choice(factors)


def _only(file: DataFile, header: Header, is_named: bool, found: Sequence[Loading], has_rho: bool) -> Factors:
    """How obligors depend on each other where the user has not said it: by the only thing that says so."""
    if is_named or (found and not has_rho):
        return "loadings"
    if found:
        columns = files.listed([loading.column for loading in found])
        raise DataError(
            f"{file.name}: rho and loadings are both given ({header.places.get('rho', 'rho')}; {columns}): say which "
            "is meant by `factors: rho` or `factors: loadings`"
        )
    if not has_rho:
        raise DataError(
            f"{file.name}: nothing says how obligors depend on each other: a column rho (the share of the asset "
            "value's variance that is common), columns of loadings (`loadings: [a, b]`), or one number (`rho: 0.15`) "
            f"is required; where a column has another name, say `columns: {{rho: NAME}}` (columns: "
            f"{files.listed(file.header)})"
        )
    return "rho"


def _found(header: Header) -> tuple[Loading, ...]:
    """Columns of loadings that are called so: ``loading_x`` goes by the column ``x`` where there is one."""
    if header.sectors:
        return tuple(Loading(column=name, by="") for name in header.sectors)
    columns = {*header.further, *header.places.values()}
    return tuple(
        Loading(column=name, by=rest if (rest := name.removeprefix(PREFIX)) in columns else "")
        for name in header.further
        if name.startswith(PREFIX)
    )


def dependence(
    choice: Choice, tape: Tape, header: Header, rho: float | None, between: SectorCorrelation | float | None
) -> Dependence:
    """The loadings of the obligors of ``tape``.

    Parameters
    ----------
    choice : Choice
        What says so.
    tape : Tape
        With the columns of `Choice.numbers` as numbers, and ``rho``.
    header : Header
        The columns.
    rho : float or None
        R^2 of every obligor, where the tape has no column for it.
    between : SectorCorrelation, float or None
        Correlation of the sectors: a matrix; one number for all pairs; None where they are independent.

    Raises
    ------
    DataError
        With the place of each obligor whose R^2 is not below 1, or whose sector is unknown.
    """
    if choice.factors == "loadings":
        found = _of_columns(choice.loadings, tape)
        if header.sectors and between is not None:
            found = Dependence(found.names, found.loadings, _between(found.names, between))
        column = choice.loadings[0].column
    else:
        column = header.places.get("rho", "rho")
        shares = np.full(tape.size, rho) if rho is not None else tape.numbers[column]
        _check_rho(shares, tape, column)
        roots = np.sqrt(shares)
        if choice.factors == "rho":
            return Dependence((COMMON,), frozen(roots[:, None]))
        sector = header.places["sector"]
        labels = tape.groups(sector)
        names = tuple(dict.fromkeys(labels))
        known = between.names if isinstance(between, SectorCorrelation) else names
        _check_sectors(labels, known, tape, sector)
        at = np.array([known.index(label) for label in labels])
        loadings = np.zeros((tape.size, len(known)))
        loadings[np.arange(tape.size), at] = roots
        found = Dependence(known, frozen(loadings), None if between is None else _between(known, between))
    _check_squares(found, tape, column)
    return Dependence(found.names, found.loadings, found.correlation, choice.notes)


def _of_columns(columns: Sequence[Loading], tape: Tape) -> Dependence:
    names: list[str] = []
    parts: list[Float] = []
    for loading in columns:
        values = tape.numbers[loading.column]
        own = loading.column.removeprefix(PREFIX)
        if not loading.by:
            names.append(own)
            parts.append(values[:, None])
            continue
        labels = tape.groups(loading.by)
        known = tuple(dict.fromkeys(sorted(labels)))
        at = np.array([known.index(label) for label in labels])
        spread = np.zeros((tape.size, len(known)))
        spread[np.arange(tape.size), at] = values
        names += [label if label not in names else f"{loading.by} {label}" for label in known]
        parts.append(spread)
    return Dependence(tuple(names), frozen(np.hstack(parts)))


def _check_rho(shares: Float, tape: Tape, column: str) -> None:
    problems = Problems(tape.file)
    for k in np.flatnonzero(~((shares >= 0) & (shares < 1))):
        hint = "; is the column in per cent? Divide it by 100" if shares[k] >= 1 else ""
        problems.add(f"must be at least 0 and below 1, got {shares[k]:.15g}{hint}", tape.rows[k], column)
    problems.stop()


def _check_squares(found: Dependence, tape: Tape, column: str) -> None:
    problems = Problems(tape.file)
    shares = found.common_share
    for k in np.flatnonzero(~(shares < 1)):
        problems.add(
            f"the squared loadings of {tape.ids[k]!r} add up to {shares[k]:.6g}, which must be below 1: they are the "
            "share of its variance that is common",
            tape.rows[k],
            column,
        )
    problems.stop()


def _check_sectors(labels: Sequence[str], known: Sequence[str], tape: Tape, column: str) -> None:
    problems = Problems(tape.file)
    for row, label in zip(tape.rows, labels, strict=True):
        if label not in known:
            problems.add(files.no_such("sector", label, known), row, column)
    problems.stop()


def _between(names: Sequence[str], between: SectorCorrelation | float) -> Float:
    return between.of(names) if isinstance(between, SectorCorrelation) else equal_correlation(len(names), between)
