"""Where the loss stands in what a program wrote: after a pattern, or in a column of a CSV file."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from raresim.arguments.checks import one_of
from raresim.arguments.synonyms import unknown
from raresim.arguments.typed import typed
from raresim.errors import FieldError, LossError
from raresim.losses.limits import Limited
from raresim.losses.rows import RowError

Take = Literal["only", "first", "last", "largest", "smallest"]

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eEdD][+-]?\d+)?|[+-]?(nan|inf|infinity)", re.IGNORECASE)

_TAKEN: Mapping[str, str] = {
    "first": "the first",
    "last": "the last",
    "largest": "the largest",
    "smallest": "the smallest",
}


@typed
@dataclass(frozen=True, kw_only=True)
class ProgramOutput(Limited):
    """Where a program writes the loss, or one limit state of several.

    Parameters
    ----------
    file : str, optional
        The file that it writes, in the folder of the row; left out, its standard output.
    pattern : str, optional
        Regular expression with one group, which is the number: ``deflection = (.*)``. ``^`` and ``$`` match at each
        line.
    column : str, optional
        Column of a CSV file with a header. It replaces ``pattern``.
    take : "only", "first", "last", "largest" or "smallest"
        The number that is taken where the pattern matches, or the column has rows, several times; with ``only`` that
        is an error.
    name : str, optional
        Name of the limit state, where there are several outputs; left out, ``g1``, ``g2``, ... by its place.
    above : float, optional
        The limit of the number, in its own unit: the limit state fails where the number is at least this. The loss is
        then the distance beyond the limit, ``(number - above) / scale``, and a measure asks for ``above: 0``.
    below : float, optional
        The limit state fails where the number is at most this limit; the loss is ``(below - number) / scale``. It
        replaces ``above``.
    scale : float
        What counts as one unit beyond the limit, positive, in the unit of the number. It changes no event. Where
        several outputs have different units it makes their distances comparable, which helps a search.

    Raises
    ------
    FieldError
        When not exactly one of ``pattern`` and ``column`` is given, the pattern is no regular expression with one
        group, or the limit is not allowed.
    """

    file: str | None = None
    pattern: str | None = None
    column: str | None = None
    take: Take = "only"
    name: str | None = None
    above: float | None = None
    below: float | None = None
    scale: float = 1.0

    compiled: re.Pattern[str] | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        one_of("take", self.take, Take)
        self.check_limit()
        if (self.pattern is None) == (self.column is None):
            raise FieldError("pattern", "give either pattern or column, which say where the loss stands in the output")
        if self.pattern is None:
            return
        try:
            compiled = re.compile(self.pattern, re.MULTILINE)
        except re.error as error:
            raise FieldError("pattern", f"must be a regular expression, got {self.pattern!r}: {error}") from None
        if compiled.groups != 1:
            raise FieldError(
                "pattern",
                f"must have one group, (...), around the number, got {compiled.groups} in {self.pattern!r}; a group "
                "that only holds together is written (?:...)",
            )
        object.__setattr__(self, "compiled", compiled)

    def number(self, folder: Path, printed: Path) -> float:
        """The number that a program wrote into ``folder``, or printed into the file ``printed``.

        Raises
        ------
        RowError
            When the file is not there, has no such number, or has something else in its place.
        LossError
            When there are several numbers and ``take`` is ``only``, or the file has no such column.
        """
        path = printed if self.file is None else folder / self.file
        where = "its standard output" if self.file is None else f"its output file {self.file}"
        try:
            text = path.read_text("utf-8", errors="replace")
        except OSError as error:
            raise RowError("output", f"did not write {where} ({error.strerror})") from None
        found = self._by_pattern(text, where) if self.compiled is not None else self._by_column(text, where)
        values = [_number(shown, where) for shown in found]
        if self.take in ("largest", "smallest"):
            if any(map(math.isnan, values)):
                return math.nan
            return max(values) if self.take == "largest" else min(values)
        return values[-1 if self.take == "last" else 0]

    def describe(self) -> str:
        """Where the loss is read, as a clause."""
        what = f"the column {self.column!r}" if self.pattern is None else f"the pattern {self.pattern!r}"
        which = f"{_TAKEN[self.take]} number of " if self.take in _TAKEN else ""
        return f"{which}{what} in {'its standard output' if self.file is None else self.file}{self.limit_in_words}"

    def _by_pattern(self, text: str, where: str) -> list[str]:
        found = [match[1] for match in self.compiled.finditer(text)] if self.compiled is not None else []
        if not found:
            raise RowError("output", f"wrote nothing in {where} that the pattern {self.pattern!r} matches")
        if None in found:
            raise LossError(f"the group of the pattern {self.pattern!r} is not part of its match in {where}")
        self._refuse_several(found, f"the pattern {self.pattern!r} matches {len(found)} times in {where}")
        return found

    def _by_column(self, text: str, where: str) -> list[str]:
        lines = [line for line in csv.reader(text.splitlines(), skipinitialspace=True) if line]
        if not lines:
            raise RowError("output", f"wrote nothing into {where}")
        header = [name.strip() for name in lines[0]]
        if header.count(self.column or "") != 1:
            again = "has several columns" if self.column in header else "has no such column"
            raise LossError(f"{where} {again}: {unknown('column', self.column, header)}")
        at = header.index(self.column or "")
        if len(lines) == 1:
            raise RowError("output", f"wrote no row below the header of {where}")
        for k, line in enumerate(lines[1:], 2):
            if len(line) != len(header):
                raise RowError("output", f"wrote {len(line)} cells for {len(header)} columns in row {k} of {where}")
        found = [line[at] for line in lines[1:]]
        self._refuse_several(found, f"the column {self.column!r} has {len(found)} rows in {where}")
        return found

    def _refuse_several(self, found: Sequence[str], what: str) -> None:
        if len(found) > 1 and self.take == "only":
            shown = ", ".join(text.strip()[:20] for text in found[:3])
            raise LossError(f"{what}, first {shown}; say which is the loss: take: first, last, largest or smallest")


def _number(text: str, where: str) -> float:
    """``text`` as a number; a Fortran exponent, ``1.5D-3``, counts as ``e``."""
    stripped = text.strip()
    if not _NUMBER.fullmatch(stripped):
        raise RowError("output", f"wrote {stripped[:40]!r} into {where} where a number is expected")
    if stripped[-1].isalpha():
        return float(stripped)
    return float(stripped.replace("D", "e").replace("d", "e"))
