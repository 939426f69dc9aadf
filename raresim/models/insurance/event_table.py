"""An event loss table: how often each event comes, and what it costs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from raresim.arguments.typed import typed
from raresim.data import files
from raresim.data.files import MISSING_ADVICE, DataFile, Problems
from raresim.errors import DataError, FieldError
from raresim.marginals.poisson import Poisson
from raresim.models.insurance.event_severity import EventSeverity
from raresim.models.insurance.lines import Line
from raresim.numerics.arrays import Float, frozen

ID, MEAN, STD, EXPOSURE, RATE, SUMMARY, TYPE = (
    "event_id",
    "mean",
    "standard_deviation",
    "exposure_value",
    "rate",
    "summary_id",
    "type",
)
"""Columns, as ktools calls them, and the rate."""

OFTEN = 1.0
"""Rates above it are taken for a mistake: an event that comes more than once a year is several."""


@typed
@dataclass(frozen=True, kw_only=True, eq=False)
class EventTable:
    """A line whose claims are the events of an event loss table (ELT): Poisson, with beta secondary uncertainty.

    Parameters
    ----------
    name : str
        What the line is called in tables.
    file : path
        CSV or Parquet, with the columns of ktools: event_id, mean, standard_deviation, exposure_value; and rate, the
        expected number of the event in a year, where ``rates`` does not have it. With a standard deviation of 0 the
        loss is the mean; else the share of the exposure that is lost has a beta law.
    rates : path, optional
        A file with the columns event_id and rate.
    summary_id : int, optional
        The summary whose rows are used, for a table with several summaries.
    type : int, optional
        The type whose rows are used, for a table with analytical (1) and sampled (2) rows.
    """

    name: str
    file: Path
    rates: Path | None = None
    summary_id: int | None = None
    type: int | None = None

    line: Line = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("file", "rates"):
            if (path := getattr(self, name)) is not None:
                object.__setattr__(self, name, Path(path))
        file = files.read(self.file)
        rates = None if self.rates is None else _rates(files.read(self.rates))
        if (rates is None) == (RATE not in file.header):
            if rates is None:
                raise FieldError("rates", f"must name a file with event_id and rate: {file.name} has no column rate")
            raise FieldError("rates", f"must be left out: {file.name} has a column rate")
        object.__setattr__(self, "line", self._read(file, rates))

    def _read(self, file: DataFile, rates: dict[str, float] | None) -> Line:
        chosen = {n: w for n, w in ((SUMMARY, self.summary_id), (TYPE, self.type)) if w is not None}
        names = [ID, MEAN, STD, EXPOSURE, *([RATE] if rates is None else []), *chosen]
        problems, seen = Problems(file.name), dict[str, int]()
        rows: list[tuple[float, float, float, float]] = []
        for row, cells in file.rows(file.place(names), problems):
            if not is_chosen(cells[len(names) - len(chosen) :], chosen, row, problems):
                continue
            if cells[0] in seen:
                advice = "choose rows by summary_id or type" if not chosen else "keep one row for each"
                problems.add(f"{cells[0]!r} is in row {seen[cells[0]]} already; {advice}", row, ID)
            seen.setdefault(cells[0], row)
            mean, std, exposure = (
                files.number(cell, MISSING_ADVICE, problems, row, name)
                for cell, name in zip(cells[1:4], names[1:4], strict=True)
            )
            if rates is None:
                rate = files.number(cells[4], MISSING_ADVICE, problems, row, RATE)
                _check_rate(rate, cells[4], row, problems)
            elif (found := rates.get(cells[0])) is None:
                problems.add(f"{cells[0]!r} has no rate in the file of rates", row, ID)
                rate = math.nan
            else:
                rate = found
            check_loss(mean, std, exposure, row, problems)
            rows.append((rate, mean, std, exposure))
        problems.stop()
        table = np.array([r for r in rows if r[0] > 0 and r[1] > 0])
        if not table.size:
            raise DataError(f"{file.name}: has no event with a rate and a mean above 0 among the rows that are taken")
        rate, mean, std, exposure = table[np.argsort(table[:, 1], kind="stable")].T
        a, b, most = beta_shapes(mean, std, exposure)
        severity = EventSeverity(shares=frozen(rate / rate.sum()), mean=frozen(mean.copy()), a=a, b=b, exposure=most)
        return Line(name=self.name, frequency=Poisson(mu=float(rate.sum())), severity=severity)


def is_chosen(cells: Sequence[str], chosen: Mapping[str, int], row: int, problems: Problems) -> bool:
    """Whether the ``cells`` of a row are the numbers ``chosen`` for their columns."""
    given = [files.number(c, MISSING_ADVICE, problems, row, n) for c, n in zip(cells, chosen, strict=True)]
    return given == list(chosen.values())


def beta_shapes(mean: Float, std: Float, exposure: Float) -> tuple[Float, Float, Float]:
    """Shapes of the beta laws of the shares of exposures (k,) that are lost, and the largest losses.

    Where the standard deviation is 0, the shapes are 0: the loss is the mean.
    """
    fixed = std == 0
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(fixed, 0.5, mean / exposure)
        both = share * (1.0 - share) / np.where(fixed, 1.0, std / exposure) ** 2 - 1.0
    a, b = np.where(fixed, 0.0, share * both), np.where(fixed, 0.0, (1.0 - share) * both)
    return frozen(a), frozen(b), frozen(np.where(fixed, np.maximum(exposure, mean), exposure))


def _check_rate(rate: float, cell: str, row: int, problems: Problems) -> None:
    if rate < 0:
        problems.add(f"must be at least 0, got {cell}", row, RATE)
    elif rate > OFTEN:
        problems.add(f"must be at most 1, the expected number in a year, got {cell}; is it in per cent?", row, RATE)


def check_loss(mean: float, std: float, exposure: float, row: int, problems: Problems) -> None:
    """Put on the list of ``problems`` what is wrong with the loss of the event in ``row``."""
    for value, name in ((mean, MEAN), (std, STD)):
        if value < 0:
            problems.add(f"must be at least 0, got {value:.15g}", row, name)
    if std > 0 and mean >= 0:
        if not mean < exposure:
            problems.add(
                f"must be above the mean, {mean:.15g}, where the loss is random, got {exposure:.15g}", row, EXPOSURE
            )
        elif mean > 0 and std * std >= mean * (exposure - mean):
            most = math.sqrt(mean * (exposure - mean))
            problems.add(
                f"must be below {most:.6g} for a beta law with this mean and exposure, got {std:.15g}", row, STD
            )


def _rates(file: DataFile) -> dict[str, float]:
    """Rate by event."""
    problems = Problems(file.name)
    found: dict[str, float] = {}
    for row, (event, cell) in file.rows(file.place([ID, RATE]), problems):
        rate = files.number(cell, MISSING_ADVICE, problems, row, RATE)
        _check_rate(rate, cell, row, problems)
        if event in found:
            problems.add(f"{event!r} has a rate already; keep one row for each", row, ID)
        found[event] = rate
    problems.stop()
    return found
