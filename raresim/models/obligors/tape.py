"""A credit tape: one row for each obligor, checked cell by cell, with the place of everything that is wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from raresim.data import files
from raresim.data.files import MISSING, DataFile, Problems
from raresim.errors import FieldError
from raresim.models.obligors.header import Header
from raresim.numerics.arrays import Float, frozen

PER_CENT = "; is the column in per cent? Divide it by 100"


@dataclass(frozen=True, eq=False)
class Tape:
    """What a tape says of its ``m`` obligors.

    Parameters
    ----------
    file : str
        Name of the file.
    ids : tuple of str
        The obligors.
    ead : (m,) float64
        Exposures at default, in a unit of money.
    pd : (m,) float64
        Default probabilities over the horizon, from 0 to 1; NaN where the tape has none.
    lgd, lgd_std : (m,) float64
        Mean and standard deviation of the share of the exposure that is lost at default; a standard deviation of 0 is
        a fixed share, any other that of a beta law.
    numbers : mapping of str to (m,) float64
        Further columns that were asked for as numbers.
    cells : mapping of str to tuple of str
        All further columns, as texts.
    rows : tuple of int
        The row of the file of each obligor.
    """

    file: str
    ids: tuple[str, ...]
    ead: Float
    pd: Float
    lgd: Float
    lgd_std: Float
    numbers: Mapping[str, Float]
    cells: Mapping[str, tuple[str, ...]]
    rows: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of obligors."""
        return len(self.ids)

    @property
    def severity(self) -> Float:
        """What each obligor is expected to lose at default, (m,), in the unit of the exposures."""
        return self.ead * self.lgd

    @property
    def expected_loss(self) -> float:
        """The sum of pd times ead times lgd."""
        return math.fsum(self.pd * self.severity)

    @classmethod
    def read(cls, file: DataFile, header: Header, lgd: float | None, numbers: Sequence[str]) -> Tape:
        """Read all rows.

        Parameters
        ----------
        file : DataFile
            The open file.
        header : Header
            Its columns.
        lgd : float or None
            The loss given default of every obligor, where the file has no column for it.
        numbers : sequence of str
            Further columns that have to be numbers.

        Raises
        ------
        FieldError
            For ``lgd``, where it is given beside a column, or neither is.
        DataError
            With the place of each cell that is wrong, at most twenty.
        """
        places, problems = header.places, Problems(file.name)
        severities = _severity_columns(file, places, lgd)
        money = ("ead", *(("pd",) if "pd" in places else ()), *severities)
        checked = [(places[name], _CHECKS[name]) for name in money] + [(name, _Range(-math.inf)) for name in numbers]
        columns = [places["id"], *(name for name, _ in checked), *header.further]
        if header.default:
            columns = [*columns, header.default]
        seen: dict[str, int] = {}
        values: list[list[float]] = []
        texts: list[list[str]] = []
        for row, (name, *cells) in file.rows(file.place(columns), problems):
            if name in MISSING:
                problems.add("is missing; every obligor needs one of its own", row, places["id"])
            elif name in seen:
                problems.add(f"{name!r} is in row {seen[name]} already; keep one row for each", row, places["id"])
            seen.setdefault(name, row)
            read = [
                check(cell, row, column, problems)
                for cell, (column, check) in zip(cells[: len(checked)], checked, strict=True)
            ]
            if "lgd_std" in severities:
                mean, std = read[len(money) - 2 : len(money)]
                _check_beta(mean, std, row, places["lgd_std"], problems)
            if header.default and cells[-1].lower().startswith("poisson"):
                problems.add(
                    "must be Bernoulli: Poisson defaults, of which an obligor can have several, are not supported",
                    row,
                    header.default,
                )
            values.append(read)
            texts.append(cells[len(checked) : len(checked) + len(header.further)])
        problems.stop()
        table = np.array(values, dtype=np.float64).reshape(len(values), len(checked))
        m = len(values)
        if not table[:, 0].any():
            problems.add("every exposure is 0; at least one must be positive")
            problems.stop()
        column = dict(zip(money, table.T, strict=False))
        means = column[severities[0]] if severities else np.full(m, lgd)
        stds = column["lgd_std"] if "lgd_std" in severities else np.zeros(m)
        return cls(
            file=file.name,
            ids=tuple(seen),
            ead=frozen(table[:, 0].copy()),
            pd=frozen(column.get("pd", np.full(m, math.nan)).copy()),
            lgd=frozen(np.array(means)),
            lgd_std=frozen(np.array(stds)),
            numbers={name: frozen(table[:, len(money) + k].copy()) for k, name in enumerate(numbers)},
            cells={name: tuple(text[k] for text in texts) for k, name in enumerate(header.further)},
            rows=tuple(seen.values()),
        )

    def groups(self, column: str) -> tuple[str, ...]:
        """What ``column`` says of each obligor.

        Raises
        ------
        FieldError
            For ``by``, when there is no such column beside those that are read as numbers.
        DataError
            With the place of each cell that is empty.
        """
        if column not in self.cells:
            if not self.cells:
                raise FieldError("by", f"must be a column of {self.file}, which has none to group by, got {column!r}")
            raise FieldError("by", files.no_such(f"column of {self.file}", column, list(self.cells)))
        problems = Problems(self.file)
        for row, cell in zip(self.rows, self.cells[column], strict=True):
            if cell in MISSING:
                problems.add(f"is missing, got {cell!r}; every obligor needs a group", row, column)
        problems.stop()
        return self.cells[column]


def _severity_columns(file: DataFile, places: Mapping[str, str], lgd: float | None) -> tuple[str, ...]:
    """The columns of the loss given default; none where ``lgd`` says it for all."""
    has = [name for name in ("lgd", "lgd_mean", "lgd_std") if name in places]
    if lgd is not None:
        if has:
            raise FieldError("lgd", f"must be left out: {file.name} has the column {places[has[0]]}")
        if not 0 <= lgd <= 1:
            raise FieldError("lgd", f"must be between 0 and 1, got {lgd:.15g}{PER_CENT if lgd > 1 else ''}")
        return ()
    if not has:
        raise FieldError(
            "lgd",
            f"is required where the tape has no column for it: {file.name} has neither lgd nor lgd_mean and lgd_std; "
            "give one number for all obligors, such as 0.45",
        )
    if "lgd" in has and "lgd_mean" in has:
        raise FieldError("columns", f"{file.name} has both {places['lgd']} and {places['lgd_mean']}: keep one of them")
    mean = "lgd" if "lgd" in has else "lgd_mean"
    if mean not in has:
        raise FieldError("columns", f"{file.name} has {places['lgd_std']} but no lgd_mean: the beta law needs both")
    return (mean, "lgd_std") if "lgd_std" in has else (mean,)


@dataclass(frozen=True)
class _Range:
    """A number from ``low`` to ``high``; reads a cell, and puts what is wrong on the list."""

    low: float
    high: float = math.inf
    remedy: str = ""

    def __call__(self, cell: str, row: int, column: str, problems: Problems) -> float:
        if cell in MISSING:
            problems.add("is missing; every obligor needs one", row, column)
            return math.nan
        value = files.number(cell, "write it without a unit or a thousands separator", problems, row, column)
        if not math.isnan(value) and not self.low <= value <= self.high:
            bounds = f"between {self.low:g} and {self.high:g}" if self.high < math.inf else f"at least {self.low:g}"
            problems.add(f"must be {bounds}, got {cell}{self.remedy if value > self.high else ''}", row, column)
            return math.nan
        return value


_CHECKS = {
    "ead": _Range(0.0),
    "pd": _Range(0.0, 1.0, PER_CENT),
    "lgd": _Range(0.0, 1.0, PER_CENT),
    "lgd_mean": _Range(0.0, 1.0, PER_CENT),
    "lgd_std": _Range(0.0, 0.5, PER_CENT),
}


def _check_beta(mean: float, std: float, row: int, column: str, problems: Problems) -> None:
    """A law on [0, 1] with mean ``m`` has a variance below ``m (1 - m)``, that of all or nothing."""
    if std > 0 and std * std >= mean * (1.0 - mean):
        problems.add(
            f"must be below sqrt(m (1 - m)) = {math.sqrt(mean * (1.0 - mean)):.6g} for a beta law with the mean m = "
            f"{mean:g}, got {std:g}",
            row,
            column,
        )
