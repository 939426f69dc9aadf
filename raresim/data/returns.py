"""Returns from a file of prices or returns, or from an array or data frame.

The first column of a file is the date (``YYYY-MM-DD``, or ``YYYY-MM`` for the first of the month; in Parquet also a
date or a timestamp at midnight), strictly increasing; every other column is one asset or factor. An empty cell,
``nan``, ``NaN``, ``NA`` and a null of Parquet are missing values. The index of a frame that pandas wrote to Parquet,
which stands last in the file, counts as its first column.
"""

from __future__ import annotations

import datetime
import hashlib
import logging
import math
import numbers
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

import numpy as np

from raresim.arguments.checks import one_of, positive
from raresim.arguments.typed import shown, typed
from raresim.data import files
from raresim.data.files import MISSING, MISSING_ADVICE, DataFile, Problems
from raresim.errors import DataError, FieldError
from raresim.numerics.arrays import Bool, Float, frozen

LOGGER = logging.getLogger("raresim")

ReturnKind = Literal["log", "simple"]
Unit = Literal["fraction", "percent"]
MissingPolicy = Literal["error", "drop", "previous"]
CovarianceMethod = Literal["ledoit_wolf", "sample"]

CONSTANT_RANGE = 1e-13  # dimensionless; returns of a steadily growing price differ by rounding only
MAX_RETURN = 2.0
"""Largest return, as a fraction, that is accepted by default: a log return of 2 multiplies the price by 7.4."""


class ReturnsData(Protocol):
    """What a law is fitted to: a `ReturnsSource` or a `ReturnsTable`."""

    @property
    def returns(self) -> ReturnKind | None:
        """The kind of the returns; None where it is not stated."""

    @property
    def covariance(self) -> CovarianceMethod:
        """The covariance estimator to use."""

    def load(self) -> ReturnsTable:
        """The returns."""


@typed
@dataclass(frozen=True, kw_only=True)
class ReturnsSource:
    """Where returns come from and how they are read: the block ``fit:`` of an input law.

    Parameters
    ----------
    prices, returns_file, returns_csv : path
        The file, CSV or Parquet (``.parquet``); exactly one of these keys is given. Prices must be positive.
        ``returns_csv`` is the older name of ``returns_file``.
    returns : {"log", "simple"}
        How returns are made from prices: ``log(p[t] / p[t-1])`` or ``p[t] / p[t-1] - 1``; with
        ``returns_file``, what the numbers in the file are (they are not converted).
    unit : {"fraction", "percent"}
        Unit of the numbers in ``returns_file``, required there; per cent is divided by 100.
    start, end : datetime.date
        First and last date of the rows that are used, both inclusive; ``from`` and ``to`` in YAML. With
        prices, the first row of the range is only the base of the first return. Outside the range the
        dates are checked, but not the cells.
    columns : tuple of str
        The columns to use, in this order; every column but the date when left out.
    missing : {"error", "drop", "previous"}
        ``error`` refuses missing values; ``drop`` leaves out a row in which a used column is missing, so that
        a return from prices spans the gap; ``previous`` repeats the last price, which makes a zero return.
    covariance : {"ledoit_wolf", "sample"}
        The estimator that the input law is to use; see `raresim.distributions.covariances.covariance`.
    max_return : float
        A return whose absolute value is larger, as a fraction, is refused as a mistake in the data: per cent taken
        for fractions, a split that was not adjusted, a slipped decimal point. For prices the log return is compared.
        Such moves do happen; raise the limit where one has.
    held : tuple of str, optional
        The names of a portfolio: where ``columns`` is left out and the file has a column for each of them, only these
        columns are used, in the order of the file.

    Notes
    -----
    A simple return below -1 is refused whatever ``max_return`` is: no price falls by more than all of itself. Small
    values are never refused: returns of 0.01 read as per cent may be fractions by mistake, but those of a money market
    or a pegged currency look the same.

    Examples
    --------
    >>> source = ReturnsSource(prices=Path("prices.csv"), returns="log", columns=("KO", "PEP"))
    >>> source.missing, source.covariance
    ('error', 'ledoit_wolf')
    """

    ALIASES: ClassVar[Mapping[str, str]] = {"start": "from", "end": "to"}

    prices: Path | None = None
    returns_file: Path | None = None
    returns_csv: Path | None = None
    returns: ReturnKind
    unit: Unit | None = None
    start: datetime.date | None = field(default=None, metadata={"typed": False})  # `_check_range` says more
    end: datetime.date | None = field(default=None, metadata={"typed": False})
    columns: tuple[str, ...] | None = field(default=None, metadata={"typed": False})
    missing: MissingPolicy = "error"
    covariance: CovarianceMethod = "ledoit_wolf"
    max_return: float = MAX_RETURN
    held: tuple[str, ...] | None = field(default=None, metadata={"typed": False, "yaml": False})

    def __post_init__(self) -> None:
        given = [name for name in ("prices", "returns_file", "returns_csv") if getattr(self, name) is not None]
        if len(given) != 1:
            got = " and ".join(f"`{name}`" for name in given) or "neither"
            raise FieldError("prices", f"give exactly one of `prices` and `returns_file`, got {got}")
        one_of("returns", self.returns, ReturnKind)
        one_of("missing", self.missing, MissingPolicy)
        one_of("covariance", self.covariance, CovarianceMethod)
        positive("max_return", self.max_return)
        self._check_unit(given[0])
        self._check_range()
        self._check_columns()
        if self.missing == "previous" and self.prices is None:
            raise FieldError("missing", f"'previous' is for prices: with `{given[0]}` use 'drop' or 'error'")

    def _check_unit(self, key: str) -> None:
        if self.unit is not None:
            one_of("unit", self.unit, Unit)
        if self.prices is not None and self.unit is not None:
            raise FieldError("unit", f"must be left out with `prices`, got {self.unit!r}")
        if self.prices is None and self.unit is None:
            raise FieldError("unit", f"is required with `{key}`: 'fraction' (0.01) or 'percent' (1.0)")

    def _check_range(self) -> None:
        for name, alias in self.ALIASES.items():
            given = getattr(self, name)
            # Not isinstance: a datetime is a date by class, but cannot be compared to one.
            if given is not None and type(given) is not datetime.date:
                raise FieldError(alias, f"must be a date YYYY-MM-DD, got {given!r}")
        if self.start is not None and self.end is not None and self.start > self.end:
            raise FieldError("from", f"must not be after `to`, got {self.start} and {self.end}")

    def _check_columns(self) -> None:
        if self.columns is None:
            return
        is_list = isinstance(self.columns, Iterable) and not isinstance(self.columns, str)
        if not is_list or not all(isinstance(name, str) for name in self.columns):
            raise FieldError("columns", f"must be a list of column names, got {self.columns!r}")
        object.__setattr__(self, "columns", tuple(self.columns))
        if not self.columns:
            raise FieldError("columns", "must not be empty; leave it out to use every column but the date")
        if twice := files.repeated(self.columns):
            raise FieldError("columns", f"must name each column once, got {', '.join(twice)} more than once")

    @property
    def path(self) -> Path:
        """The file, whichever key it was given under."""
        given = (self.prices, self.returns_file, self.returns_csv)
        return next(Path(path) for path in given if path is not None)

    def _columns(self, header: tuple[str, ...]) -> tuple[str, ...]:
        """The columns to use: those named, those held, or all."""
        if self.columns is not None or self.held is None or not set(self.held) <= set(header):
            return self.columns or header
        found = tuple(name for name in header if name in self.held)
        if len(found) < len(header):
            LOGGER.info("%s: the positions hold %d of %d columns", self.path.name, len(found), len(header))
        return found

    def load(self) -> ReturnsTable:
        """Read the file and return the table; raises `DataError` when its content cannot be used."""
        file = files.read(self.path)
        columns = self._columns(file.header[1:])
        rows = _Rows.of_file(file, columns, self)
        used = rows.without_missing(file.name, self.missing)
        facts = FileFacts(
            name=file.name,
            bytes=file.size,
            sha256=file.sha256,
            rows=len(rows.dates),
            columns=len(rows.names),
            first_date=rows.dates[0],
            last_date=rows.dates[-1],
            missing=int(np.isnan(rows.values).sum()),
            missing_policy=self.missing,
            not_held=len(file.header) - 1 - len(columns) if self.columns is None else 0,
        )
        dates, values = used.dates, used.values
        last_prices = None
        if self.prices is not None:
            last_prices = dict(zip(rows.names, map(float, values[-1]), strict=True)) if len(values) else None
            used.check_moves(file.name, self.max_return)
            dates, values = dates[1:], _returns(values, self.returns)
        elif self.unit == "percent":
            values = values / 100.0
        _check_table(file.name, rows.names, dates, values)
        return ReturnsTable(
            names=rows.names,
            dates=dates,
            values=frozen(values),
            source=facts,
            returns=self.returns,
            covariance=self.covariance,
            last_prices=last_prices,
        )


@dataclass(frozen=True)
class FileFacts:
    """What was read, for the manifest and the report.

    Parameters
    ----------
    name : str
        Name of the file, without its folder; ``array`` where the values came from memory.
    bytes : int
        Size of the whole file in bytes.
    sha256 : str
        Hash of the whole file, 64 hexadecimal digits; of an array, of its float64 values row by row.
    rows, columns : int
        Rows in the date range (before any is dropped) and columns used.
    first_date, last_date : datetime.date or None
        First and last date of these rows; None where they have no dates.
    missing : int
        Missing cells in these rows.
    missing_policy : {"error", "drop", "previous"}
        What was done about missing cells.
    not_held : int
        Columns that were left out because no position is in them.
    """

    name: str
    bytes: int
    sha256: str
    rows: int
    columns: int
    first_date: datetime.date | None
    last_date: datetime.date | None
    missing: int
    missing_policy: MissingPolicy
    not_held: int = 0

    def to_dict(self) -> dict[str, Any]:
        """These facts as plain text and numbers, ready for JSON; dates are ISO, or None."""
        plain = asdict(self)
        for key in ("first_date", "last_date"):
            plain[key] = plain[key] and plain[key].isoformat()
        if not self.not_held:
            del plain["not_held"]
        return plain


@dataclass(frozen=True, eq=False)
class ReturnsTable:
    """Returns of ``d`` columns at ``n`` dates.

    Parameters
    ----------
    names : tuple of str
        The ``d`` column names.
    dates : tuple of datetime.date
        The ``n`` dates, or none; a return from prices has the date of the later price.
    values : (n, d) float64
        Returns as fractions (0.01 is one per cent), dimensionless, finite, read-only.
    source : FileFacts
        The file they were read from.
    returns : {"log", "simple"} or None
        Kind of the returns; None where it is not stated.
    covariance : {"ledoit_wolf", "sample"}
        The estimator that an input law is to use.
    last_prices : mapping or None
        The price of each column on the last of the dates; None where the returns were not made from prices.
    """

    names: tuple[str, ...]
    dates: tuple[datetime.date, ...]
    values: Float
    source: FileFacts
    returns: ReturnKind | None = None
    covariance: CovarianceMethod = "ledoit_wolf"
    last_prices: Mapping[str, float] | None = None

    @classmethod
    def of(
        cls,
        frame: Any,
        dates: Any = None,
        names: Sequence[str] | None = None,
        *,
        returns: ReturnKind | None = None,
        covariance: CovarianceMethod = "ledoit_wolf",
        max_return: float = MAX_RETURN,
    ) -> ReturnsTable:
        """The table of an array or data frame of returns.

        Parameters
        ----------
        frame : (n, d) or (n,) array_like
            Returns as fractions: an array, or a frame or series of pandas, polars or any other library whose
            objects turn into arrays.
        dates : (n,) sequence, optional
            Dates, datetimes, ``datetime64`` or ISO text, strictly increasing. Without it, the ``index`` of
            ``frame`` if that holds datetimes, else the table has no dates.
        names : (d,) sequence of str, optional
            Without it, the ``columns`` (of a series, the ``name``) of ``frame``, else ``x1``, ``x2``, ...
        returns, covariance, max_return
            As in `ReturnsSource`.

        Raises
        ------
        DataError
            When a value is not a finite number, a name or a date is repeated, a column is constant, or a value is
            larger than ``max_return``. Rows are counted from 0.

        Examples
        --------
        >>> table = ReturnsTable.of([[0.01, 0.02], [-0.03, 0.0]], names=["A", "B"], dates=["2020-01-01", "2020-01-02"])
        >>> table.names, table.values[1, 0], str(table.dates[0])
        (('A', 'B'), np.float64(-0.03), '2020-01-01')
        """
        if returns is not None:
            one_of("returns", returns, ReturnKind)
        one_of("covariance", covariance, CovarianceMethod)
        positive("max_return", max_return)
        values = _numbers(frame)
        n, d = values.shape
        columns = _names(frame, names, d)
        days = days_of(frame, dates, n)
        problems = Problems("array")
        for row, column in np.argwhere(~np.isfinite(values)):
            shown = f"{values[row, column]}"
            problems.add(f"must be finite, got {shown}; leave out or fill its row", row, columns[column])
        problems.stop()
        for row, column in np.argwhere((np.abs(values) > max_return) | ((values < -1) & (returns == "simple"))):
            value = float(values[row, column])
            advice = "are these per cent? Divide them by 100"
            _doubt(value, repr(value), returns, max_return, advice, problems, int(row), columns[column])
        problems.stop()
        _check_table("array", columns, days, values)
        facts = FileFacts(
            name="array",
            bytes=values.nbytes,
            sha256=hashlib.sha256(values.tobytes()).hexdigest(),
            rows=n,
            columns=d,
            first_date=days[0] if days else None,
            last_date=days[-1] if days else None,
            missing=0,
            missing_policy="error",
        )
        return cls(columns, days, frozen(values), facts, returns, covariance)

    def load(self) -> ReturnsTable:
        """The table itself: what is fitted to a `ReturnsSource` can be fitted to a table."""
        return self

    def describe(self) -> str:
        """Name, size, kind and dates in one line."""
        n, d = self.values.shape
        kind = f"{self.returns} returns" if self.returns else "returns"
        span = f", {self.dates[0]} to {self.dates[-1]}" if self.dates else ""
        others = f" (no position is in the other {self.source.not_held})" if self.source.not_held else ""
        return f"{self.source.name}: {n:,} {kind} of {d} column{'s' if d > 1 else ''}{others}{span}"


def as_source(data: Any) -> ReturnsData:
    """What a law can be fitted to: ``data`` if it is a `ReturnsSource` or `ReturnsTable`, else `ReturnsTable.of` it.

    Raises
    ------
    FieldError
        When ``data`` is a path or None: a source has to say whether a file holds prices or returns.
    """
    if data is None or isinstance(data, (str, os.PathLike)):
        raise FieldError(
            "data",
            f"must be an array or data frame of returns, got {shown(data)}; a file is read by "
            "raresim.ReturnsSource(prices='prices.csv', returns='log')",
        )
    return data if isinstance(data, (ReturnsSource, ReturnsTable)) else ReturnsTable.of(data)


def table_of(data: Any, kind: str) -> ReturnsTable:
    """The returns for inputs of a ``kind`` that does not use a covariance; refuses a stated covariance estimator."""
    source = as_source(data)
    if source.covariance != "ledoit_wolf":
        raise FieldError("fit", f"must state no covariance, got {source.covariance!r}: kind {kind} does not use one")
    return source.load()


@dataclass(frozen=True, eq=False)
class _Rows:
    """The used part of a file: ``values`` is ``(rows, columns)``, NaN where missing."""

    names: tuple[str, ...]
    dates: tuple[datetime.date, ...]
    lines: tuple[int, ...]
    values: Float

    @staticmethod
    def of_file(file: DataFile, names: tuple[str, ...], source: ReturnsSource) -> _Rows:
        """Check every date, and the cells of the used columns in the date range."""
        places = file.place(names, after=1)
        problems = Problems(file.name)
        start, end = source.start or datetime.date.min, source.end or datetime.date.max
        first, last = None, None
        dates, lines, values = [], [], []
        files.refuse_other_dates(file, 0)
        _refuse_empty(file, names, places)
        for row, (day, *cells) in file.rows((0, *places), problems):
            date = files.iso_date(day, last, problems, row, file.header[0])
            first, last = first or date, date or last
            if date is not None and start <= date <= end:
                dates.append(date)
                lines.append(row)
                values.append(
                    _plain(cells, source)
                    or [_cell(cell, source, problems, row, name) for name, cell in zip(names, cells, strict=True)]
                )
        problems.stop()
        if not dates:
            raise DataError(
                f"{file.name}: no rows in the range from {source.start or 'the first'} to "
                f"{source.end or 'the last'}; the file has {first} to {last}"
            )
        return _Rows(names, tuple(dates), tuple(lines), np.array(values))

    def without_missing(self, file: str, policy: MissingPolicy) -> _Rows:
        """The rows after the missing values were dropped or filled."""
        missing: Bool = np.isnan(self.values)
        if policy == "previous":
            self._check_first(file)
            index = np.where(missing, 0, np.arange(len(self.dates))[:, None])
            filled = np.take_along_axis(self.values, np.maximum.accumulate(index, axis=0), axis=0)
            return _Rows(self.names, self.dates, self.lines, filled)
        kept = np.flatnonzero(~missing.any(axis=1))
        dates = tuple(self.dates[row] for row in kept)
        return _Rows(self.names, dates, tuple(self.lines[row] for row in kept), self.values[kept])

    def _check_first(self, file: str) -> None:
        problems = Problems(file)
        for column in np.flatnonzero(np.isnan(self.values[0])):
            problems.add(
                "is missing and has no earlier price in the range to repeat; "
                "move `from`, leave out the column, or use `missing: drop`",
                self.lines[0],
                self.names[column],
            )
        problems.stop()

    def check_moves(self, file: str, max_return: float) -> None:
        """Refuse prices that move by more than ``max_return`` in one step."""
        moves = np.diff(np.log(self.values), axis=0)
        problems = Problems(file)
        for step, column in np.argwhere(np.abs(moves) > max_return):
            before, after = self.values[step : step + 2, column]
            problems.add(
                f"the price goes from {before:.12g} on {self.dates[step]} to {after:.12g}, a log return of "
                f"{moves[step, column]:.3g}; correct it, adjust earlier prices for a split, or raise `max_return` "
                f"({max_return:g}) where it is right",
                self.lines[step + 1],
                self.names[column],
            )
        problems.stop()


def _refuse_empty(file: DataFile, names: tuple[str, ...], places: list[int]) -> None:
    """Refuse columns without a single value, once for each and not for each of its cells."""
    lengths, problems = Problems(file.name), Problems(file.name)
    empty = dict(enumerate(names))
    for _, cells in file.rows(places, lengths):
        empty = {k: name for k, name in empty.items() if cells[k] in MISSING}
        if not empty:
            return
    lengths.stop()
    for name in empty.values():
        problems.add("has no value in any row; leave it out with `columns`", file.header_row, name)
    problems.stop()


def _plain(cells: list[str], source: ReturnsSource) -> list[float] | None:
    """The numbers of a row if there is nothing to say of any cell, which is quickly seen; else None."""
    if "_" in "".join(cells):
        return None
    try:
        values = [*map(float, cells)]
    except ValueError:
        return None
    is_price = source.prices is not None
    most = math.inf if is_price else min(source.max_return, 1.0) * (100.0 if source.unit == "percent" else 1.0)
    least = 0.0 if is_price else -most
    are_numbers = math.isfinite(sum(values))  # no NaN among them, so that the least of them is one
    return values if are_numbers and least < min(values) and max(values) < most else None


def _cell(cell: str, source: ReturnsSource, problems: Problems, row: int, column: str) -> float:
    """A price or return; NaN where it is missing or wrong; a wrong one then is on the list of problems."""
    is_price = source.prices is not None
    if cell in MISSING:
        if source.missing == "error":
            ways = "`missing: drop` or `missing: previous`" if is_price else "`missing: drop`"
            problems.add(f"is missing, got {cell!r}; fill it in or choose {ways}", row, column)
        return math.nan
    value = files.number(cell, MISSING_ADVICE, problems, row, column)
    if not is_price:
        percent = source.unit == "percent"
        advice = "correct it" if percent else "is `unit: percent` meant? Correct it"
        fraction = value / 100.0 if percent else value
        _doubt(fraction, cell, source.returns, source.max_return, advice, problems, row, column)
    elif value <= 0:
        problems.add(
            f"must be a positive price, got {cell}; correct it or leave it empty, "
            "or use `returns_file` if these are returns",
            row,
            column,
        )
    return value


def _doubt(
    value: float,
    shown: str,
    kind: ReturnKind | None,
    max_return: float,
    advice: str,
    problems: Problems,
    row: int,
    column: str,
) -> None:
    """Put a return that cannot be right on the list; ``value`` is a fraction, ``shown`` what was given."""
    if kind == "simple" and value < -1:
        problems.add(f"no price falls by more than 100 %, got {shown}; {advice}", row, column)
    elif abs(value) > max_return:
        problems.add(
            f"is a return of {100 * value:.6g} %, got {shown}; {advice}, "
            f"or raise `max_return` ({max_return:g}) where it is right",
            row,
            column,
        )


def _returns(prices: Float, kind: ReturnKind) -> Float:
    """Returns ``(n - 1, d)`` of prices ``(n, d)``; the difference first keeps small returns exact."""
    with np.errstate(over="ignore", divide="ignore"):  # refused in `_check_table`, with their place
        simple = (prices[1:] - prices[:-1]) / prices[:-1]
        returns: Float = np.log1p(simple) if kind == "log" else simple
    return returns


def _check_table(file: str, names: tuple[str, ...], dates: tuple[datetime.date, ...], values: Float) -> None:
    """Refuse a table from which no covariance can be estimated."""
    if len(values) < 2:
        raise DataError(
            f"{file}: at least 2 returns are needed, got {len(values)}; widen the date range or, "
            "where values are missing, leave out columns"
        )
    problems = Problems(file)
    for row, column in np.argwhere(~np.isfinite(values)):
        problems.add(
            f"the return of column {names[column]!r} on {dates[row]} is not finite; "
            "correct the price of that date or of the one before"
        )
    problems.stop()
    for name, spread in zip(names, np.ptp(values, axis=0), strict=True):
        if spread <= CONSTANT_RANGE:
            problems.add(f"the returns of column {name!r} are constant; leave it out with `columns`")
    problems.stop()


def _numbers(frame: Any) -> Float:
    """A frame as a new (n, d) array."""
    raw = np.asarray(frame)
    is_number = raw.dtype.kind in "iuf" or (
        raw.dtype.kind == "O" and all(isinstance(value, numbers.Real) for value in raw.flat)
    )
    if not is_number:
        raise DataError(
            f"array: the values must be numbers, got {raw.dtype.name}; select the columns of returns "
            "and leave out missing values"
        )
    if raw.ndim not in (1, 2) or raw.size == 0:
        raise DataError(f"array: must be rows of returns, one column for each asset, got shape {raw.shape}")
    return np.array(raw.reshape(len(raw), -1), dtype=np.float64, order="C")


def _names(frame: Any, names: Sequence[str] | None, d: int) -> tuple[str, ...]:
    """The column names: those given, else the frame's, else ``x1``, ``x2``, ..."""
    given = names
    if given is None:
        given = getattr(frame, "columns", None)
    if given is None and getattr(frame, "name", None) not in (None, ""):
        given = (frame.name,)
    found = tuple(f"x{k}" for k in range(1, d + 1)) if given is None else tuple(str(name) for name in given)
    if len(found) != d:
        raise DataError(f"array: must have {d} names, one for each column, got {len(found)}")
    if "" in found:
        raise DataError("array: every column needs a name, got an empty one")
    own = tuple(str(name) for name in getattr(frame, "columns", ()))
    if found != own and sorted(found) == sorted(own):
        raise DataError(
            f"array: the names are the columns' own in another order, got {files.listed(found)} for "
            f"{files.listed(own)}; leave them out, or order the columns first"
        )
    if twice := files.repeated(found):
        raise DataError(f"array: each column needs a name of its own, got {', '.join(twice)} more than once")
    return found


def days_of(frame: Any, dates: Any, n: int) -> tuple[datetime.date, ...]:
    """The dates: those given, else the frame's index where it holds datetimes, else none."""
    given = dates
    if given is None:
        index = getattr(frame, "index", None)
        if index is None or callable(index):  # a list has a method of that name
            return ()
        given = np.asarray(index)
        if given.dtype.kind != "M" and not (given.size and all(isinstance(day, datetime.date) for day in given.flat)):
            return ()
    found = tuple(_day(day, row) for row, day in enumerate(np.asarray(given).ravel()))
    if len(found) != n:
        raise DataError(f"array: must have {n} dates, one for each row, got {len(found)}")
    for row in range(1, n):
        if found[row] <= found[row - 1]:
            raise DataError(f"array:{row}: must be later than the row before, got {found[row]} after {found[row - 1]}")
    return found


def _day(given: Any, row: int) -> datetime.date:
    """The date that ``given``, of any type, stands for."""
    day = given.date() if isinstance(given, datetime.datetime) else given
    if isinstance(given, (str, np.datetime64)):
        try:
            day = np.asarray(given, dtype="datetime64[D]").item()
        except ValueError:
            day = None
    if type(day) is not datetime.date:
        raise DataError(f"array:{row}: must be a date, got {given}")
    return day
