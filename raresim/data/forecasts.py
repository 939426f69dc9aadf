"""Realised losses beside the risk forecasts that were made for them, from a file or from arrays."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from raresim.arguments.typed import typed
from raresim.data import files
from raresim.data.files import MISSING, DataFile, Problems
from raresim.data.returns import days_of
from raresim.errors import DataError
from raresim.numerics.arrays import Bool, Float, frozen

LEAST_DAYS = 30
"""Fewest days that are tested: in fewer, less than a third of an exceedance is expected at 99 %."""

USUAL_NAMES: Mapping[str, tuple[str, ...]] = {
    "date": ("date", "day", "asof", "as_of_date"),
    "loss": ("loss", "losses", "realised_loss", "realized_loss", "actual_loss"),
    "var": ("var", "value_at_risk"),
    "es": ("es", "expected_shortfall", "cvar", "tvar"),
}
"""Names by which a column is found when none is given; case, blanks and punctuation do not matter."""

USUAL_PNL = ("pnl", "p&l", "profit_and_loss", "profit", "realised_pnl", "realized_pnl")
"""Such names for a column of profits and losses."""

WHAT = {
    "date": "dates",
    "loss": "realised losses",
    "var": "VaR forecasts",
    "es": "ES forecasts",
    "es_var": "VaR forecasts at the level of the ES",
}


@typed
@dataclass(frozen=True, kw_only=True)
class ForecastSource:
    """Where losses and forecasts come from: columns of one file, one row a day.

    Parameters
    ----------
    file : path
        CSV with a header row, or Parquet. Its other columns are not read.
    date, loss, var, es : str, optional
        Names of the columns; without a name, the only column called by one of the `USUAL_NAMES` is taken. A file
        without a column of ES forecasts is tested for VaR alone. The dates are strictly increasing; days may be left
        out.
    es_var : str, optional
        Column of the VaR at the level of the ES, where that is not the level of ``var``.
    pnl : bool
        Whether the realised column is a profit and loss, with profits positive: losses are then minus the column. VaR
        and ES are positive losses in either case.

    Examples
    --------
    >>> ForecastSource(file=Path("desk.csv"), loss="actual").es is None
    True
    """

    file: Path
    date: str | None = None
    loss: str | None = None
    var: str | None = None
    es: str | None = None
    es_var: str | None = None
    pnl: bool = False

    def load(self) -> Forecasts:
        """Read the columns; raises `DataError` when their content cannot be used."""
        file = files.read(Path(self.file))
        names = self._columns(file)
        problems = Problems(file.name)
        dates, rows, values = [], [], []
        last = None
        numbers = [role for role in names if role != "date"]
        files.refuse_other_dates(file, file.header.index(names["date"]))
        for row, (day, *cells) in file.rows(file.place(list(names.values())), problems):
            date = files.iso_date(day, last, problems, row, names["date"])
            last = date or last
            dates.append(last)
            rows.append(row)
            values.append([_number(cell, problems, row, names[r]) for r, cell in zip(numbers, cells, strict=True)])
        problems.stop()
        found = dict(zip(numbers, np.array(values).T, strict=True))
        sign = f"loss = -({names['loss']}): the column is a profit and loss" if self.pnl else ""
        return Forecasts(
            name=file.name,
            losses=-found["loss"] if self.pnl else found["loss"],
            var=found["var"],
            es=found.get("es"),
            es_var=found.get("es_var"),
            dates=tuple(day for day in dates if day is not None),
            rows=tuple(rows),
            columns=names,
            sign=sign or f"loss = {names['loss']}: positive is bad",
            sha256=file.sha256,
        )

    def _columns(self, file: DataFile) -> dict[str, str]:
        """The name of the column for each role that the file has."""
        given = {"date": self.date, "loss": self.loss, "var": self.var, "es": self.es}
        problems = Problems(file.name)
        found = {}
        for role, name in given.items():
            if name is not None and name not in file.header:
                problems.add(files.no_such("column", name, file.header), file.header_row)
            column = _usual(file, role, self.pnl, problems) if name is None else name
            if column is not None:
                found[role] = column
        if self.es_var is not None:
            if self.es_var not in file.header:
                problems.add(files.no_such("column", self.es_var, file.header), file.header_row)
            if "es" not in found:
                problems.add("a VaR at the level of the ES needs a column of ES forecasts", None, self.es_var)
            found["es_var"] = self.es_var
        for name in files.repeated(list(found.values())):
            roles = " and ".join(WHAT[role] for role, other in found.items() if other == name)
            problems.add(f"cannot be both {roles}; name a column for each", file.header_row, name)
        problems.stop()
        return found


@dataclass(frozen=True, kw_only=True, eq=False)
class Forecasts:
    """Losses of ``n`` days and the forecasts for these days.

    Parameters
    ----------
    name : str
        Name of the file, without its folder; ``array`` where the values came from memory.
    losses, var : (n,) float64
        Realised losses and the VaR forecast for each day, in the same unit; positive is bad.
    es, es_var : (n,) float64, optional
        The expected shortfall forecast for each day, and the VaR forecast at its level.
    dates : tuple of datetime.date
        The ``n`` dates, or none.
    rows : tuple of int
        Where each day stands: the line of a CSV file, the row of an array counted from 0.
    columns : mapping
        The name of the column for each of ``date``, ``loss``, ``var``, ``es``, ``es_var`` that is there.
    sign : str
        How the losses were made from the realised column.
    sha256 : str
        Hash of the file; empty for arrays.

    Raises
    ------
    DataError
        When there are fewer than `LEAST_DAYS`, or a VaR or ES is not positive. A VaR of zero or less is almost always a
        quantile of the profit and loss with its own sign, and every day would exceed it; a day without a position is
        left out.
    """

    name: str
    losses: Float
    var: Float
    es: Float | None = None
    es_var: Float | None = None
    dates: tuple[datetime.date, ...] = ()
    rows: tuple[int, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    sign: str = ""
    sha256: str = ""

    def __post_init__(self) -> None:
        for role in ("var", "es", "es_var"):
            self._refuse_negative(role, getattr(self, role))
        if self.n_days < LEAST_DAYS:
            raise DataError(f"{self.name}: at least {LEAST_DAYS} days are needed, got {self.n_days}")
        for values in (self.losses, self.var, self.es, self.es_var):
            if values is not None:
                frozen(values)

    def _refuse_negative(self, role: str, values: Float | None) -> None:
        if values is not None:
            advice = "change the sign of a quantile of the profit and loss, and leave out days without a position"
            self.refuse(values <= 0, role, lambda row: f"must be a positive loss, got {values[row]:.12g}; {advice}")

    @property
    def n_days(self) -> int:
        """Number of days."""
        return len(self.losses)

    @classmethod
    def of(
        cls,
        losses: ArrayLike,
        var: ArrayLike,
        es: ArrayLike | None = None,
        *,
        es_var: ArrayLike | None = None,
        dates: Any = None,
    ) -> Forecasts:
        """Losses and forecasts given as arrays; a single VaR or ES is the forecast for every day.

        Parameters
        ----------
        losses : (n,) array_like
            Realised losses.
        var, es, es_var : (n,) array_like or float
            Forecasts.
        dates : (n,) sequence, optional
            Dates, datetimes, ``datetime64`` or ISO text, strictly increasing. Without it, the ``index`` of
            ``losses`` if that holds datetimes, else there are none.

        Raises
        ------
        DataError
            As the class does, and when a value is not a finite number. Rows are counted from 0.
        """
        realised = _column("loss", losses)
        n = len(realised)
        given = {"var": var, "es": es, "es_var": es_var}
        found = {role: _column(role, values, n) for role, values in given.items() if values is not None}
        if "es_var" in found and "es" not in found:
            raise DataError("array: es_var needs es")
        days = days_of(losses, dates, n)
        for role, values in given.items():
            _refuse_other_days(role, days_of(values, None, n), days)
        return cls(
            name="array",
            losses=realised,
            var=found["var"],
            es=found.get("es"),
            es_var=found.get("es_var"),
            dates=days,
            rows=tuple(range(n)),
            columns={role: role for role in ("loss", *found)},
            sign="loss: positive is bad",
        )

    def refuse(self, wrong: Bool, role: str, message: Callable[[int], str]) -> None:
        """Raise `DataError` with ``message(day)`` for each day that is ``wrong``, in the column for ``role``."""
        problems = Problems(self.name)
        for day in np.flatnonzero(wrong):
            problems.add(message(int(day)), self.rows[day], self.columns[role])
        problems.stop()


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9&]", "", name.casefold())


def _usual(file: DataFile, role: str, is_pnl: bool, problems: Problems) -> str | None:
    """The only column with a usual name for ``role``; None without one, which is a problem unless it is the ES."""
    usual = USUAL_PNL if is_pnl and role == "loss" else USUAL_NAMES[role]
    matching = [name for name in file.header if _plain(name) in map(_plain, usual)]
    if len(matching) == 1:
        return matching[0]
    if matching:
        problems.add(
            f"{files.listed(matching)} may all be the {WHAT[role]}; choose by the option `{role}`", file.header_row
        )
    elif role != "es":
        hint = ""
        if role == "loss" and not is_pnl and any(_plain(name) in map(_plain, USUAL_PNL) for name in file.header):
            hint = ", or set `pnl` where profits are positive"
        problems.add(
            f"no column of {WHAT[role]}: none is called {' or '.join(usual[:2])}; name it by the option `{role}`{hint} "
            f"(columns: {files.listed(file.header)})",
            file.header_row,
        )
    return None


def _number(cell: str, problems: Problems, row: int, column: str) -> float:
    if cell in MISSING:
        problems.add(f"is missing, got {cell!r}; fill it in or leave out the day", row, column)
        return math.nan
    return files.number(cell, "correct it or leave out the day", problems, row, column)


def _refuse_other_days(role: str, own: Sequence[datetime.date], days: Sequence[datetime.date]) -> None:
    """Raise `DataError` where forecasts carry other dates than the losses, since values are matched by place."""
    for row, (day, other) in enumerate(zip(days, own, strict=False)):
        if day != other:
            raise DataError(
                f"array:{row}:{role}: must be of the same day as the loss, got {other} beside {day}; give all series "
                "for the same dates"
            )


def _column(role: str, values: ArrayLike, n: int | None = None) -> Float:
    """The values of one role as a new, finite (n,) array."""
    try:
        column = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError(f"array: {role} must be numbers, one for each day") from None
    if column.ndim == 0 and n is not None:
        column = np.full(n, float(column))
    if column.ndim != 1 or (n is not None and len(column) != n):
        wanted = "one number for each day" if n is None else f"one number for each of {n} days"
        raise DataError(f"array: {role} must be {wanted}, got shape {column.shape}")
    problems = Problems("array")
    for row in np.flatnonzero(~np.isfinite(column)):
        problems.add(f"must be finite, got {column[row]}; leave out the day", int(row), role)
    problems.stop()
    return column
