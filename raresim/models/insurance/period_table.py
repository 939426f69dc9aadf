"""A period loss table: the events of simulated periods, or what each period costs in all."""

from __future__ import annotations

import calendar
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from raresim.arguments.typed import typed
from raresim.data import files
from raresim.data.files import MISSING_ADVICE, DataFile, Problems
from raresim.errors import DataError, FieldError
from raresim.models.insurance.contracts import Contract
from raresim.models.insurance.event_table import (
    EXPOSURE,
    ID,
    MEAN,
    STD,
    SUMMARY,
    TYPE,
    beta_shapes,
    check_loss,
    is_chosen,
)
from raresim.models.insurance.period_losses import PeriodLosses
from raresim.numerics.arrays import Float, frozen

PERIOD, LOSS = "period_no", "loss"
"""The period as ktools calls it, and what it costs in a year loss table."""

DATE, DAY = ("date_id",), ("occ_year", "occ_month", "occ_day")
"""When an event is: a number of the day, or a date; ktools writes either."""

MOST_PERIODS = 10**7
"""Periods of a table, at most."""


@typed
@dataclass(frozen=True, kw_only=True, eq=False)
class PeriodTable:
    """Simulated periods, such as years, one of which is drawn at random with all its events.

    Parameters
    ----------
    name : str
        What the table is called.
    file : path
        CSV or Parquet. A period loss table (PLT) has the columns of ktools: event_id, period_no, mean,
        standard_deviation, exposure_value, and date_id or occ_year, occ_month, occ_day, which may be left out. With a
        standard deviation of 0 the loss is the mean; else the share of the exposure that is lost has a beta law, which
        is independent from event to event. A year loss table (YLT) has period_no and loss: no event_id.
    periods : int, optional
        How many periods were simulated. Periods without events have no rows in a PLT: where it is left out, the
        numbers in the file must be 1 to the largest without gaps.
    summary_id : int, optional
        The summary whose rows are used, for a table with several summaries.
    type : int, optional
        The type whose rows are used, for a table with analytical (1) and sampled (2) rows.

    Raises
    ------
    DataError
        For wrong cells, each named by file, row and column, up to 20.
    FieldError
        When ``periods`` is no possible number.

    Notes
    -----
    Tables are independent of each other and of the lines: portfolios that share the simulated periods belong into one
    file. Dates do not enter the loss, as the terms of contracts do not depend on the order of events; they tell the
    rows of an event that comes twice in a period from a row that is there twice.
    """

    name: str
    file: Path
    periods: int | None = None
    summary_id: int | None = None
    type: int | None = None

    losses: PeriodLosses = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise FieldError("name", "must not be empty")
        object.__setattr__(self, "file", Path(self.file))
        if self.periods is not None and not 1 <= self.periods <= MOST_PERIODS:
            raise FieldError("periods", f"must be from 1 to {MOST_PERIODS:,}, got {self.periods}")
        file = files.read(self.file)
        object.__setattr__(self, "losses", self._read(file))

    def _read(self, file: DataFile) -> PeriodLosses:
        chosen = {n: w for n, w in ((SUMMARY, self.summary_id), (TYPE, self.type)) if w is not None}
        is_events = ID in file.header or LOSS not in file.header
        names = [PERIOD, *([ID, MEAN, STD, EXPOSURE, *_dates(file)] if is_events else [LOSS])]
        problems, numbers = Problems(file.name), _Numbers(self.periods)
        rows: list[tuple[float, ...]] = []
        seen: dict[tuple[str, ...], int] = {}
        for row, cells in file.rows(file.place([*names, *chosen]), problems):
            if not is_chosen(cells[len(names) :], chosen, row, problems):
                continue
            period = numbers.read(cells[0], row, problems)
            same = (cells[0], cells[1], *cells[5 : len(names)]) if is_events else (cells[0],)
            if same in seen:
                problems.add(_twice(seen[same], is_events, bool(chosen)), row, ID if is_events else PERIOD)
            seen.setdefault(same, row)
            values = names[2:5] if is_events else names[1:]
            places = range(2, 5) if is_events else range(1, 2)
            given = [
                files.number(cells[k], MISSING_ADVICE, problems, row, n) for k, n in zip(places, values, strict=True)
            ]
            if is_events:
                check_loss(given[0], given[1], given[2], row, problems)
                _check_date(dict(zip(names[5:], cells[5 : len(names)], strict=True)), row, problems)
            elif given[0] < 0:
                problems.add(f"must be at least 0, got {given[0]:.15g}", row, LOSS)
            rows.append((period, *given) if is_events else (period, given[0], 0.0, given[0]))
        numbers.check_gaps(problems)
        problems.stop()
        if not rows:
            raise DataError(f"{file.name}: has no rows among those that are taken")
        return _losses(self.name, np.array(rows), self.periods or numbers.largest, is_events)

    def notes(self) -> list[str]:
        """What is to be said of the periods."""
        losses = self.losses
        empty = int((losses.counts == 0).sum())
        said = f"table {self.name}: {losses.periods:,} periods of {self.file.name}"
        if self.periods is None:
            return [f"{said}, as its largest period_no says; later ones without events count by `periods`"]
        return [f"{said}, {empty:,} of them without a loss"]


def check_layers_of_years(contracts: Sequence[Contract], tables: Sequence[PeriodTable]) -> None:
    """Refuse layers of the single claims of a year loss table, which has none."""
    years = [table.name for table in tables if not table.losses.has_events]
    for k, contract in enumerate(contracts):
        of = [name for name in years if contract.lines is None or name in contract.lines]
        if of and (contract.attachment > 0 or math.isfinite(contract.limit)):
            what = "attachment" if contract.attachment > 0 else "limit"
            raise FieldError(
                f"contracts[{k}].{what}",
                f"must be left out where {of[0]!r} is covered: a year loss table has no single claims; "
                "aggregate_deductible and aggregate_limit apply to the sum of a year",
            )


class _Numbers:
    """The numbers of the periods of a file, as they are read."""

    def __init__(self, declared: int | None) -> None:
        self.most = declared or MOST_PERIODS
        self.is_declared = declared is not None
        self.first: dict[int, int] = {}

    @property
    def largest(self) -> int:
        return max(self.first, default=0)

    def read(self, cell: str, row: int, problems: Problems) -> float:
        """The number in ``cell``; NaN where it is none, which then is on the list of ``problems``."""
        value = files.number(cell, MISSING_ADVICE, problems, row, PERIOD)
        if math.isnan(value):
            return value
        if value != math.floor(value) or value < 1:
            problems.add(f"must be a whole number from 1 on, got {cell}", row, PERIOD)
            return math.nan
        if value > self.most:
            limit = "`periods` says" if self.is_declared else "is allowed"
            problems.add(f"must be at most {self.most:,}, as {limit}, got {cell}", row, PERIOD)
            return math.nan
        self.first.setdefault(int(value), row)
        return value

    def check_gaps(self, problems: Problems) -> None:
        """Put numbers that no row has on the list, where the number of periods is not declared."""
        if self.is_declared:
            return
        before = 0
        for number in sorted(self.first):
            if number > before + 1:
                gap = f"{before + 1}" if number == before + 2 else f"{before + 1} to {number - 1}"
                advice = "say by `periods` how many were simulated if those without events have no rows"
                problems.add(f"is {number}, but no row has {gap}; {advice}", self.first[number], PERIOD)
            before = number


def _dates(file: DataFile) -> Sequence[str]:
    """The columns that say when an event is; none where the file has none."""
    found = [columns for columns in (DATE, DAY) if any(name in file.header for name in columns)]
    if len(found) > 1:
        raise DataError(f"{file.name}:{file.header_row}: must have date_id or {', '.join(DAY)}, got both")
    return found[0] if found else ()


def _twice(row: int, is_events: bool, few: bool) -> str:
    what = "the same event of the period" if is_events else "the period"
    advice = "keep one row for each" if few else "keep one row for each, or choose rows by summary_id or type"
    return f"{what} is in row {row} already; {advice}"


def _check_date(cells: dict[str, str], row: int, problems: Problems) -> None:
    for name, cell in cells.items():
        value = files.number(cell, MISSING_ADVICE, problems, row, name)
        if math.isnan(value):
            continue
        least, most = 0 if name == DATE[0] else 1, math.inf
        if name == "occ_month":
            most = 12
        elif name == "occ_day":
            most = _days(cells["occ_month"])
        if value != math.floor(value) or not least <= value <= most:
            upto = "on" if math.isinf(most) else f"to {most:g}"
            problems.add(f"must be a whole number from {least} {upto}, got {cell}", row, name)


def _days(month: str) -> int:
    """How many days a month has at most."""
    try:
        return calendar.monthrange(2024, int(float(month)))[1]
    except ValueError:  # no month: said by itself
        return 31


def _losses(name: str, rows: Float, periods: int, has_events: bool) -> PeriodLosses:
    """The table of ``rows`` (k, 4): period, mean, standard deviation and exposure."""
    kept = rows[rows[:, 1] > 0]
    period, mean, std, exposure = kept[np.argsort(kept[:, 0], kind="stable")].T
    if not period.size:
        raise DataError(f"table {name}: has no loss above 0 among the rows that are taken")
    a, b, most = beta_shapes(mean, std, exposure)
    counts = np.bincount(period.astype(np.int64) - 1, minlength=periods)
    return PeriodLosses(name, frozen(counts), frozen(mean.copy()), a, b, most, has_events)
