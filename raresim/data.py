"""Market data: a CSV of prices or returns -> a table of returns, and the two fits made from one.

The first column of the file is the date (``YYYY-MM-DD``, or ``YYYY-MM`` for the first of the month),
strictly increasing; every other column is one asset or factor. The header row is required. An empty
cell, ``nan``, ``NaN`` and ``NA`` are missing values. Nothing is guessed or repaired: the unit, the kind of
return and what to do with a missing value are stated by the user, and whatever is wrong with the
file is listed as ``file.csv:ROW:COLUMN: message``, ROW being the line of the file (the header is line 1).
"""

from __future__ import annotations

import csv
import datetime
import difflib
import hashlib
import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from raresim.arrays import Bool, Float, frozen, one_of
from raresim.errors import DataError, FieldError

__all__ = [
    "FileFacts",
    "ReturnsSource",
    "ReturnsTable",
    "read_positions",
]

ReturnKind = Literal["log", "simple"]
Unit = Literal["fraction", "percent"]
MissingPolicy = Literal["error", "drop", "previous"]
CovarianceMethod = Literal["ledoit_wolf", "sample"]

MAX_PROBLEMS = 20
MAX_NAMES_LISTED = 30
CONSTANT_RANGE = 1e-13  # dimensionless; returns of a steadily growing price differ by rounding only

_MISSING = ("", "nan", "NaN", "NA")
_ISO_DATE = re.compile(r"[0-9]{4}-[0-9]{2}(-[0-9]{2})?")


@dataclass(frozen=True, kw_only=True)
class ReturnsSource:
    """Where returns come from and how they are read: the block ``fit:`` of an input law.

    Parameters
    ----------
    prices, returns_csv : path
        The CSV file; exactly one of the two. Prices must be positive.
    returns : {"log", "simple"}
        How returns are made from prices: ``log(p[t] / p[t-1])`` or ``p[t] / p[t-1] - 1``; with
        ``returns_csv``, what the numbers in the file are (they are not converted).
    unit : {"fraction", "percent"}
        Unit of the numbers in ``returns_csv``, required there; per cent is divided by 100.
    start, end : datetime.date
        First and last date of the rows that are used, both inclusive; ``from`` and ``to`` in YAML. With
        prices, the first row of the range is only the base of the first return. Of rows outside the
        range the dates are checked, the cells are not.
    columns : tuple of str
        The columns to use, in this order; every column but the date when left out.
    missing : {"error", "drop", "previous"}
        ``error`` refuses missing values; ``drop`` leaves out a row in which a used column is missing, so that
        a return from prices spans the gap; ``previous`` repeats the last price, which makes a zero return.
    covariance : {"ledoit_wolf", "sample"}
        The estimator that the input law is to use; see `covariance`.

    Examples
    --------
    >>> source = ReturnsSource(prices=Path("prices.csv"), returns="log", columns=("KO", "PEP"))
    >>> source.missing, source.covariance
    ('error', 'ledoit_wolf')
    """

    ALIASES: ClassVar[Mapping[str, str]] = {"start": "from", "end": "to"}

    prices: Path | None = None
    returns_csv: Path | None = None
    returns: ReturnKind
    unit: Unit | None = None
    start: datetime.date | None = None
    end: datetime.date | None = None
    columns: tuple[str, ...] | None = None
    missing: MissingPolicy = "error"
    covariance: CovarianceMethod = "ledoit_wolf"

    def __post_init__(self) -> None:
        if (self.prices is None) == (self.returns_csv is None):
            given = "neither" if self.prices is None else "both"
            raise FieldError("prices", f"give exactly one of `prices` and `returns_csv`, got {given}")
        one_of("returns", self.returns, ReturnKind)
        one_of("missing", self.missing, MissingPolicy)
        one_of("covariance", self.covariance, CovarianceMethod)
        self._check_unit()
        self._check_range()
        self._check_columns()
        if self.missing == "previous" and self.prices is None:
            raise FieldError("missing", "'previous' is for prices: with `returns_csv` use 'drop' or 'error'")

    def _check_unit(self) -> None:
        if self.unit is not None:
            one_of("unit", self.unit, Unit)
        if self.prices is not None and self.unit is not None:
            raise FieldError("unit", f"must be left out with `prices`, got {self.unit!r}")
        if self.returns_csv is not None and self.unit is None:
            raise FieldError("unit", "is required with `returns_csv`: 'fraction' (0.01) or 'percent' (1.0)")

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
        if isinstance(self.columns, str) or not all(isinstance(name, str) for name in self.columns):
            raise FieldError("columns", f"must be a list of column names, got {self.columns!r}")
        object.__setattr__(self, "columns", tuple(self.columns))
        if not self.columns:
            raise FieldError("columns", "must not be empty; leave it out to use every column but the date")
        if twice := _repeated(self.columns):
            raise FieldError("columns", f"must name each column once, got {', '.join(twice)} more than once")

    @property
    def path(self) -> Path:
        """The file, whichever of the two it is."""
        return next(Path(path) for path in (self.prices, self.returns_csv) if path is not None)

    def load(self) -> ReturnsTable:
        """Read the file and return the table; raises `DataError` when its content cannot be used."""
        file = _read_csv(self.path)
        names = _used_columns(file, self.columns)
        rows = _Rows.of_file(file, names, self)
        dates, values = rows.without_missing(file.name, self.missing)
        facts = FileFacts(
            name=file.name,
            bytes=file.size,
            sha256=file.sha256,
            rows=len(rows.dates),
            columns=len(names),
            first_date=rows.dates[0],
            last_date=rows.dates[-1],
            missing=int(np.isnan(rows.values).sum()),
            missing_policy=self.missing,
        )
        if self.prices is not None:
            dates, values = dates[1:], _returns(values, self.returns)
        elif self.unit == "percent":
            values = values / 100.0
        _check_table(file.name, names, dates, values)
        return ReturnsTable(names=names, dates=dates, values=frozen(values), source=facts)


@dataclass(frozen=True)
class FileFacts:
    """What was read, for the manifest and the report.

    Parameters
    ----------
    name : str
        Name of the file, without its folder.
    bytes : int
        Size of the whole file in bytes.
    sha256 : str
        Hash of the whole file, 64 hexadecimal digits.
    rows, columns : int
        Rows in the date range (before any is dropped) and columns used.
    first_date, last_date : datetime.date
        Of these rows.
    missing : int
        Missing cells met among them.
    missing_policy : {"error", "drop", "previous"}
        What was done about those.
    """

    name: str
    bytes: int
    sha256: str
    rows: int
    columns: int
    first_date: datetime.date
    last_date: datetime.date
    missing: int
    missing_policy: MissingPolicy

    def to_dict(self) -> dict[str, Any]:
        """The same as plain text and numbers, ready for JSON; dates are ISO."""
        dates = {"first_date": self.first_date.isoformat(), "last_date": self.last_date.isoformat()}
        return asdict(self) | dates


@dataclass(frozen=True, eq=False)
class ReturnsTable:
    """Returns of ``d`` columns at ``n`` dates.

    Parameters
    ----------
    names : tuple of str
        The ``d`` column names.
    dates : tuple of datetime.date
        The ``n`` dates; of a return from prices, the date of the later price.
    values : (n, d) float64
        Returns as fractions (0.01 is one per cent), dimensionless, finite, read-only.
    source : FileFacts
        The file they were read from.
    """

    names: tuple[str, ...]
    dates: tuple[datetime.date, ...]
    values: Float
    source: FileFacts


def read_positions(path: Path, names: Sequence[str]) -> Float:
    """Weights of a portfolio from a CSV with the columns ``id`` and ``weight``.

    Parameters
    ----------
    path : path
        The CSV; further columns are allowed and not read. One row for each of ``names``, in any order.
    names : sequence of str
        The ``d`` names that can be held, in the order of the result.

    Returns
    -------
    (d,) float64
        Weights as they stand in the file, read-only; a name that is not held has to be there with weight 0.
    """
    file = _read_csv(Path(path))
    problems = _Problems(file.name)
    for needed in ("id", "weight"):
        if needed not in file.header:
            problems.add(f"a column {needed!r} is required, got {_listed(file.header)}; add or rename it", 1)
    problems.stop()
    id_at, weight_at = file.header.index("id"), file.header.index("weight")
    seen: dict[str, int] = {}
    weights: dict[str, float] = {}
    for row, cells in file.full_rows(problems):
        name = cells[id_at]
        if name in seen:
            problems.add(f"{name!r} is in row {seen[name]} already; keep one row for each", row, "id")
        elif name not in names:
            problems.add(_no_such("id", name, names), row, "id")
        else:
            weights[name] = _weight(cells[weight_at], row, problems)
        seen.setdefault(name, row)
    if absent := [name for name in names if name not in seen]:
        problems.add(
            f"no row for {len(absent)} of {len(names)} names: {', '.join(absent)}; "
            "add each, with weight 0 where there is no position"
        )
    elif not any(weights.values()):
        problems.add("every weight is 0; at least one position must be held")
    problems.stop()
    ordered: Float = frozen(np.array([weights[name] for name in names]))
    return ordered


def _weight(cell: str, row: int, problems: _Problems) -> float:
    """One weight; NaN where it is wrong, which has then been put on the list."""
    if cell in _MISSING:
        problems.add("is missing; write 0 for no position", row, "weight")
        return math.nan
    return _number(cell, "write 0 for no position", problems, row, "weight")


class _Problems:
    """What is wrong with a file, raised together as one `DataError` of at most `MAX_PROBLEMS` lines."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._lines: list[str] = []

    def add(self, message: str, row: int | None = None, column: str | None = None) -> None:
        place = ":".join(str(part) for part in (self._file, row, column) if part is not None)
        self._lines.append(f"{place}: {message}")
        if len(self._lines) == MAX_PROBLEMS:
            self._lines.append(f"{self._file}: stopped after {MAX_PROBLEMS} problems, there may be more")
            self.stop()

    def stop(self) -> None:
        """Raise if there are any."""
        if self._lines:
            raise DataError("\n".join(self._lines))


@dataclass(frozen=True)
class _CsvFile:
    """A CSV as text cells without surrounding blanks; ``rows`` are pairs of line number and cells."""

    name: str
    size: int
    sha256: str
    header: tuple[str, ...]
    rows: list[tuple[int, list[str]]]

    def full_rows(self, problems: _Problems) -> Iterator[tuple[int, list[str]]]:
        """The rows that have as many cells as the header; the others go on the list of problems."""
        for row, cells in self.rows:
            if len(cells) == len(self.header):
                yield row, cells
            else:
                problems.add(
                    f"has {len(cells)} cells, must have {len(self.header)} as the header does; "
                    "quote a cell that contains a comma",
                    row,
                )


def _read_csv(path: Path) -> _CsvFile:
    """Read a whole file once: its hash is that of the bytes which are parsed."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = raw.count(b"\n", 0, error.start) + 1
        message = f"must be UTF-8, got the byte 0x{raw[error.start]:02x}; save the file as UTF-8"
        raise DataError(f"{path.name}:{row}: {message}") from None
    rows = _parse_csv(path.name, text)
    if not rows:
        raise DataError(f"{path.name}: is empty; a header row and data rows are required")
    line, header = rows[0]
    _check_header(path.name, line, header)
    if len(rows) == 1:
        raise DataError(f"{path.name}: has a header row but no data rows")
    digest = hashlib.sha256(raw).hexdigest()
    return _CsvFile(name=path.name, size=len(raw), sha256=digest, header=tuple(header), rows=rows[1:])


def _parse_csv(file: str, text: str) -> list[tuple[int, list[str]]]:
    """Cells of each line that is not blank, with the number of the (first) line they stand on."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows = []
    line = 1
    try:
        for cells in reader:
            if cells:
                rows.append((line, [cell.strip() for cell in cells]))
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{file}:{line}: is not valid CSV: {error}") from None
    return rows


def _check_header(file: str, line: int, header: list[str]) -> None:
    if len(header) < 2:
        raise DataError(
            f"{file}:{line}: the header must name at least 2 columns, got {header[0]!r}; "
            "columns are separated by commas"
        )
    problems = _Problems(file)
    if blank := [str(at) for at, name in enumerate(header, start=1) if not name and at > 1]:
        problems.add(f"every column after the first needs a name, got none in place {', '.join(blank)}", line)
    for name in _repeated([name for name in header if name]):
        problems.add("is the name of more than one column; rename or remove one", line, name)
    problems.stop()


def _used_columns(file: _CsvFile, columns: tuple[str, ...] | None) -> tuple[str, ...]:
    """Names of the columns to use: those asked for, or all but the date."""
    present = file.header[1:]
    if columns is None:
        return present
    problems = _Problems(file.name)
    for name in columns:
        if name not in present:
            problems.add(_no_such("column", name, present), row=1)
    problems.stop()
    return columns


@dataclass(frozen=True, eq=False)
class _Rows:
    """The used part of a file: ``values`` is ``(rows, columns)``, NaN where missing."""

    names: tuple[str, ...]
    dates: tuple[datetime.date, ...]
    lines: tuple[int, ...]
    values: Float

    @staticmethod
    def of_file(file: _CsvFile, names: tuple[str, ...], source: ReturnsSource) -> _Rows:
        """Check every date, and the cells of the used columns in the date range."""
        problems = _Problems(file.name)
        places = [(name, file.header.index(name, 1)) for name in names]
        start, end = source.start or datetime.date.min, source.end or datetime.date.max
        first, last = None, None
        dates, lines, values = [], [], []
        for row, cells in file.full_rows(problems):
            date = _date(cells[0], last, problems, row, file.header[0])
            first, last = first or date, date or last
            if date is not None and start <= date <= end:
                dates.append(date)
                lines.append(row)
                values.append([_cell(cells[at], source, problems, row, name) for name, at in places])
        problems.stop()
        if not dates:
            raise DataError(
                f"{file.name}: no rows in the range from {source.start or 'the first'} to "
                f"{source.end or 'the last'}; the file has {first} to {last}"
            )
        return _Rows(names, tuple(dates), tuple(lines), np.array(values))

    def without_missing(self, file: str, policy: MissingPolicy) -> tuple[tuple[datetime.date, ...], Float]:
        """Dates and values after the missing ones were dropped or filled."""
        missing: Bool = np.isnan(self.values)
        if policy == "previous":
            self._check_first(file)
            index = np.where(missing, 0, np.arange(len(self.dates))[:, None])
            return self.dates, np.take_along_axis(self.values, np.maximum.accumulate(index, axis=0), axis=0)
        kept = np.flatnonzero(~missing.any(axis=1))
        return tuple(self.dates[row] for row in kept), self.values[kept]

    def _check_first(self, file: str) -> None:
        problems = _Problems(file)
        for column in np.flatnonzero(np.isnan(self.values[0])):
            problems.add(
                "is missing and has no earlier price in the range to repeat; "
                "move `from`, leave out the column, or use `missing: drop`",
                self.lines[0],
                self.names[column],
            )
        problems.stop()


def _date(cell: str, last: datetime.date | None, problems: _Problems, row: int, column: str) -> datetime.date | None:
    """The date in a cell, which must be later than ``last``; None where it cannot be read."""
    try:
        if not _ISO_DATE.fullmatch(cell):
            raise ValueError
        date = datetime.date.fromisoformat(cell if len(cell) > 7 else f"{cell}-01")
    except ValueError:
        problems.add(f"must be a date YYYY-MM-DD or YYYY-MM, got {cell!r}", row, column or "date")
        return None
    if last is not None and date <= last:
        problems.add(f"must be later than the row before, got {date} after {last}", row, column or "date")
    return date


def _cell(cell: str, source: ReturnsSource, problems: _Problems, row: int, column: str) -> float:
    """A price or return; NaN where it is missing or wrong, the latter having been put on the list."""
    is_price = source.prices is not None
    if cell in _MISSING:
        if source.missing == "error":
            ways = "`missing: drop` or `missing: previous`" if is_price else "`missing: drop`"
            problems.add(f"is missing, got {cell!r}; fill it in or choose {ways}", row, column)
        return math.nan
    value = _number(cell, "a missing value is an empty cell, nan, NaN or NA", problems, row, column)
    if is_price and value <= 0:
        problems.add(
            f"must be a positive price, got {cell}; correct it or leave it empty, "
            "or use `returns_csv` if these are returns",
            row,
            column,
        )
    return value


def _number(cell: str, advice: str, problems: _Problems, row: int, column: str) -> float:
    """A finite number; NaN where it is not one, which has then been put on the list."""
    try:
        value = float(cell.replace("_", "?"))  # Python would read 1_000 as a number
    except ValueError:
        value = math.nan
    if math.isfinite(value):
        return value
    problems.add(f"must be a finite number with a decimal point, got {cell!r}; {advice}", row, column)
    return math.nan


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
    problems = _Problems(file)
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


def _repeated(names: Sequence[str]) -> list[str]:
    """The names that occur more than once, in order."""
    return [name for name in dict.fromkeys(names) if names.count(name) > 1]


def _no_such(what: str, given: str, allowed: Sequence[str]) -> str:
    """`registry.unknown` for names from a file: blind to case, and short when there are hundreds."""
    folded = {name.lower(): name for name in allowed}
    near = difflib.get_close_matches(given.lower(), folded, n=1)
    hint = f"; did you mean {folded[near[0]]!r}?" if near else ""
    return f"unknown {what} {given!r}{hint} (allowed: {_listed(allowed)})"


def _listed(names: Sequence[str]) -> str:
    more = len(names) - MAX_NAMES_LISTED
    return ", ".join(names[:MAX_NAMES_LISTED]) + (f" and {more} more" if more > 0 else "")
