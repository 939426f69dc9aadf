"""Files of cells: CSV and Parquet are both read as text with its place, so that the same checks apply to both."""

from __future__ import annotations

import csv
import datetime
import difflib
import hashlib
import io
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raresim.errors import DataError

MAX_PROBLEMS = 20
MAX_NAMES_LISTED = 30
MISSING = ("", "nan", "NaN", "NA")
LONGEST_NUMBER = 60
MISSING_ADVICE = "a missing value is an empty cell, nan, NaN or NA"

_ISO_DATE = re.compile(r"[0-9]{4}-[0-9]{2}(-[0-9]{2})?")


class Problems:
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
        """Raise the problems, if there are any."""
        if self._lines:
            raise DataError("\n".join(self._lines))


@dataclass(frozen=True)
class DataFile(ABC):
    """A file with a header.

    Parameters
    ----------
    name, size, sha256 : str, int, str
        Name without the folder, bytes, and hash of the whole file.
    header : tuple of str
        Names of the columns; only the first may be empty.
    header_row : int, optional
        The line of the header, where the file has lines.
    """

    name: str
    size: int
    sha256: str
    header: tuple[str, ...]
    header_row: int | None

    @abstractmethod
    def rows(self, columns: Sequence[int], problems: Problems) -> Iterator[tuple[int, list[str]]]:
        """Number of each row and its cells in ``columns``, as text without surrounding blanks."""

    def place(self, names: Sequence[str], after: int = 0) -> list[int]:
        """The places of the columns called ``names``, from column ``after`` on; raises where one is missing."""
        present = self.header[after:]
        problems = Problems(self.name)
        for name in names:
            if name not in present:
                problems.add(no_such("column", name, present), self.header_row)
        problems.stop()
        return [self.header.index(name, after) for name in names]


@dataclass(frozen=True)
class CsvFile(DataFile):
    """``lines`` are pairs of line number and cells."""

    lines: list[tuple[int, list[str]]]

    def rows(self, columns: Sequence[int], problems: Problems) -> Iterator[tuple[int, list[str]]]:
        """As in `DataFile`; a row that is shorter or longer than the header goes on the list of problems."""
        for row, cells in self.lines:
            if len(cells) == len(self.header):
                yield row, [*map(cells.__getitem__, columns)]
            else:
                problems.add(
                    f"has {len(cells)} cells, must have {len(self.header)} as the header does; "
                    "quote a cell that contains a comma",
                    row,
                )


@dataclass(frozen=True)
class ParquetFile(DataFile):
    """``content`` is the open file and ``stored`` its column names, in the order of ``header``; rows count from 1."""

    content: Any
    stored: tuple[str, ...]

    def rows(self, columns: Sequence[int], problems: Problems) -> Iterator[tuple[int, list[str]]]:
        names = [self.stored[at] for at in columns]
        row = 0
        for batch in self.content.iter_batches(columns=list(dict.fromkeys(names))):
            for cells in zip(*(batch.column(name).to_pylist() for name in names), strict=True):
                row += 1
                yield row, [_text(cell) for cell in cells]


@dataclass(frozen=True)
class FrameFile(DataFile):
    """A data frame in the place of a file: its ``columns`` of texts; rows count from 0."""

    columns: tuple[tuple[str, ...], ...]

    def rows(self, columns: Sequence[int], problems: Problems) -> Iterator[tuple[int, list[str]]]:
        for row, cells in enumerate(zip(*(self.columns[at] for at in columns), strict=True)):
            yield row, list(cells)


def of_frame(name: str, first: str, frame: Any) -> FrameFile:
    """A data frame of pandas, polars or another library as a file called ``name``.

    Where no column is called ``first`` and the frame has an index, the index is that column.

    Raises
    ------
    DataError
        When ``frame`` is not a data frame, has no rows, or has columns without a name or with the same one.
    """
    heads = getattr(frame, "columns", None)
    if heads is None or callable(heads):
        raise DataError(f"{name}: must be a file, or a data frame with columns, got {type(frame).__name__}")
    header = [str(head) for head in heads]
    columns = [tuple(_text(cell) for cell in frame[head]) for head in heads]
    index = getattr(frame, "index", None)
    if first not in header and index is not None and not callable(index):
        header, columns = [first, *header], [tuple(_text(cell) for cell in index), *columns]
    _check_header(name, None, header)
    if not columns or not columns[0]:
        raise DataError(f"{name}: has no rows")
    return FrameFile(name, 0, "", tuple(header), None, tuple(columns))


def read(path: Path, least: int = 2, known: Sequence[str] = ()) -> DataFile:
    """Read a whole file once, so that the bytes that are parsed are those that are hashed.

    Parameters
    ----------
    path : path
        Parquet if its name ends in ``.parquet``, CSV otherwise.
    least : int
        The number of columns that it must have at least.
    known : sequence of str
        Columns with which it is a table although no cell is a number, such as a list of edges; by default none.

    Raises
    ------
    DataError
        When it cannot be read, has no rows, or has columns without a name or with the same one.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    if path.suffix.lower() == ".parquet":
        return _parquet(path.name, raw, least)
    return _csv(path.name, raw, least, known)


def _csv(name: str, raw: bytes, least: int, known: Sequence[str]) -> CsvFile:
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = raw.count(b"\n", 0, error.start) + 1
        kind = next((words for mark, words in _OTHER_FILES.items() if raw.startswith(mark)), None)
        message = f"must be UTF-8, got the byte 0x{raw[error.start]:02x}; save the file as UTF-8"
        raise DataError(f"{name}: {kind}" if kind else f"{name}:{row}: {message}") from None
    lines = _parse_csv(name, text)
    if not lines:
        raise DataError(f"{name}: is empty; a header row and data rows are required")
    line, header = lines[0]
    if len(header) < least:
        other = next((words for mark, words in _OTHER_SEPARATORS.items() if mark in header[0]), "")
        raise DataError(
            f"{name}:{line}: the header must name at least {least} columns, separated by commas, got "
            f"{len(header)}{other}"
        )
    if _ISO_DATE.fullmatch(header[0]):
        raise DataError(
            f"{name}:{line}: must be a header with the names of the columns, got a row of data that begins with "
            f"{header[0]!r}; write a first line such as date,{','.join('ABCDEFGH'[: min(len(header) - 1, 8)])}"
        )
    if not known or not set(known) <= set(header):
        _refuse_no_table(name, lines)
    _check_header(name, line, header)
    if len(lines) == 1:
        raise DataError(f"{name}: has a header row but no data rows")
    return CsvFile(name, len(raw), hashlib.sha256(raw).hexdigest(), tuple(header), line, lines[1:])


_OTHER_FILES = {
    b"PK\x03\x04": "is a zip archive, as a workbook of Excel is; save the sheet as CSV in UTF-8",
    b"\xd0\xcf\x11\xe0": "is a workbook of Excel; save the sheet as CSV in UTF-8",
    b"\xff\xfe": "must be UTF-8, got UTF-16; save the file as CSV in UTF-8",
    b"\xfe\xff": "must be UTF-8, got UTF-16; save the file as CSV in UTF-8",
    b"PAR1": "is a Parquet file; give it a name that ends in .parquet",
}
_OTHER_SEPARATORS = {
    "#": "; lines of comments are not read: remove those above the header",
    ";": "; it has semicolons: save the file with commas",
    "\t": "; it has tabs: save the file with commas",
    "|": "; it has bars: save the file with commas",
}
_NUMERIC = re.compile(r"[-+($ ]*[0-9][0-9.,_'/: +-]*([eE][-+]?[0-9]+)?[ %)]*|[-+]?[.,][0-9]+([eE][-+]?[0-9]+)?")


def _refuse_no_table(name: str, lines: Sequence[tuple[int, list[str]]]) -> None:
    """Refuse a file without a number or date below its first line; it may be any file, so its content is not shown."""
    cells = 0
    for cell in (cell for _, row in lines[1:] for cell in row if cell not in MISSING):
        cells += 1
        if len(cell) <= LONGEST_NUMBER and _NUMERIC.fullmatch(cell):
            return
    if cells:
        raise DataError(
            f"{name}: is not a table: below its first line no cell is a number or a date; is it the right file?"
        )


def _parse_csv(file: str, text: str) -> list[tuple[int, list[str]]]:
    """Cells of each row that is not blank, with the number of its (first) line."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows = []
    line = 1
    try:
        for cells in reader:
            if cells:
                rows.append((line, [*map(str.strip, cells)]))
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{file}:{line}: is not valid CSV: {error}") from None
    return rows


def _parquet(name: str, raw: bytes, least: int) -> ParquetFile:
    try:
        import pyarrow as arrow  # type: ignore[import-untyped]
        from pyarrow import parquet
    except ImportError:
        raise DataError(f"{name}: needs pyarrow: pip install 'raresim[arrow]'") from None
    try:
        content = parquet.ParquetFile(arrow.BufferReader(raw))
    except arrow.ArrowException as error:
        raise DataError(f"{name}: is not valid Parquet: {error}") from None
    stored = _index_first(content.schema_arrow)
    header = tuple("" if at == 0 and key.startswith("__index_level_") else key for at, key in enumerate(stored))
    if len(header) < least:
        raise DataError(f"{name}: must have at least {least} columns, got {', '.join(header) or 'none'}")
    _check_header(name, None, header)
    if content.metadata.num_rows == 0:
        raise DataError(f"{name}: has no rows")
    return ParquetFile(name, len(raw), hashlib.sha256(raw).hexdigest(), header, None, content, tuple(stored))


def _index_first(schema: Any) -> list[str]:
    """Names of the columns; the index of a pandas frame, which pandas stores last, comes first."""
    indexes = [key for key in (schema.pandas_metadata or {}).get("index_columns", []) if isinstance(key, str)]
    return indexes + [key for key in schema.names if key not in indexes]


def _text(cell: Any) -> str:
    """A cell as it would stand in a CSV file, with every digit of a number."""
    if cell is None:
        return ""
    if isinstance(cell, datetime.datetime) and cell.time() == datetime.time():
        return cell.date().isoformat()
    return str(cell).strip()


def _check_header(file: str, line: int | None, header: Sequence[str]) -> None:
    problems = Problems(file)
    if blank := [str(at) for at, name in enumerate(header, start=1) if not name and at > 1]:
        problems.add(f"every column after the first needs a name, got none in place {', '.join(blank)}", line)
    for name in repeated([name for name in header if name]):
        problems.add("is the name of more than one column; rename or remove one", line, name)
    problems.stop()


def number(cell: str, advice: str, problems: Problems, row: int, column: str) -> float:
    """The finite number in ``cell``; NaN where it is not one, which then is on the list of problems."""
    try:
        value = float(cell.replace("_", "?"))  # Python would read 1_000 as a number
    except ValueError:
        value = math.nan
    if math.isfinite(value):
        return value
    problems.add(f"must be a finite number with a decimal point, got {cell!r}; {advice}", row, column)
    return math.nan


def iso_date(cell: str, last: datetime.date | None, problems: Problems, row: int, column: str) -> datetime.date | None:
    """The date in a cell, which must be later than ``last``; None where it cannot be read."""
    try:
        if not _ISO_DATE.fullmatch(cell):
            raise ValueError
        date = datetime.date.fromisoformat(cell if len(cell) > 7 else f"{cell}-01")
    except ValueError:
        problems.add(f"must be a date YYYY-MM-DD or YYYY-MM, got {cell!r}", row, column or "date")
        return None
    if last is not None and date <= last:
        remedy = "give each date one row" if date == last else "sort the rows by date, the oldest first"
        problems.add(f"must be later than the row before, got {date} after {last}; {remedy}", row, column or "date")
    return date


def refuse_other_dates(file: DataFile, place: int) -> None:
    """Refuse a file none of whose dates, in column ``place``, can be read: once, and not for each of its rows."""
    lengths = Problems(file.name)
    days: list[tuple[int, str]] = []
    for row, (cell,) in file.rows((place,), lengths):
        if _ISO_DATE.fullmatch(cell):
            return
        days.append((row, cell))
    lengths.stop()
    if len(days) > 1:
        row, cell = days[0]
        raise DataError(
            f"{file.name}:{row}:{file.header[place] or 'date'}: must be a date YYYY-MM-DD or YYYY-MM, got {cell!r}, "
            f"and none of the {len(days):,} rows has such a date; write the column anew, such as 2024-12-31"
        )


def repeated(names: Sequence[str]) -> list[str]:
    """The names that occur more than once, in order."""
    return [name for name in dict.fromkeys(names) if names.count(name) > 1]


def no_such(what: str, given: str, allowed: Sequence[str]) -> str:
    """As `raresim.arguments.synonyms.unknown`, for names from a file: ignores case and lists only the first names."""
    folded = {name.lower(): name for name in allowed}
    near = difflib.get_close_matches(given.lower(), folded, n=1)
    hint = f"; did you mean {folded[near[0]]!r}?" if near else ""
    return f"unknown {what} {given!r}{hint} (allowed: {listed(allowed)})"


def listed(names: Sequence[str]) -> str:
    """The names with commas, the first `MAX_NAMES_LISTED` of them."""
    more = len(names) - MAX_NAMES_LISTED
    return ", ".join(names[:MAX_NAMES_LISTED]) + (f" and {more} more" if more > 0 else "")
