"""Tables of the evidence and of exhibits, as they are printed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from raresim.record.evidence import EvidenceTable
from raresim.record.exhibits import Exhibit
from raresim.report import tables
from raresim.report.glossary import spelling
from raresim.report.panels import Panel
from raresim.report.words import Words

EVIDENCE_NATS = ("log likelihood", "AIC", "BIC")
EVIDENCE_ERRORS = ("std error",)
"""Columns or rows of the evidence that are compared by differences, and columns that need few digits."""

LATER = ("contributions", "scenario", "sensitivities", "what_if")
"""How the names of exhibits begin that stand after the others, in their order."""

MOST_ROWS, MOST_NAMES = 40, 100
"""Rows of a table that are shown, and rows of a table with one row for each name."""


@dataclass(frozen=True)
class FitTable:
    """A table of the evidence as printed: column heads with the term that each links to, and the rows."""

    title: str
    heads: list[tuple[str, str, bool]]
    rows: list[list[tuple[str, bool]]]
    n_left_out: int


@dataclass(frozen=True)
class ShownExhibit:
    """An exhibit as printed: its badge, table, notes and pictures; a curve has numbers for names."""

    name: str
    title: str
    status: str
    table: FitTable
    notes: tuple[str, ...]
    panels: list[Panel]
    is_curve: bool


def shown(exhibit: Exhibit, panels: Mapping[str, Panel]) -> ShownExhibit:
    """An exhibit with its pictures and some of its rows: every so many of a curve and its last, the first names.

    A column without a value in any row is left out; it stands in the file.
    """
    kept = [k for k in range(len(exhibit.columns)) if any(row[k] not in (None, "") for row in exhibit.rows)]
    columns = tuple(exhibit.columns[k].replace("_", " ") for k in kept)
    is_curve = bool(exhibit.rows) and isinstance(exhibit.rows[0][0], int | float)
    step = max(1, -(-len(exhibit.rows) // MOST_ROWS)) if is_curve else 1
    rows = tuple(tuple(row[k] for k in kept) for row in exhibit.rows[::-step][::-1])
    table = fit_table(EvidenceTable("", columns, rows), MOST_ROWS if is_curve else MOST_NAMES)
    name = f"exhibit-{exhibit.name}"
    pictures = [panel for key, panel in panels.items() if key == name or re.fullmatch(rf"{name}-\d+", key)]
    left_out = f"One row in {step} is shown; {exhibit.name}.csv has all {len(exhibit.rows)}." if step > 1 else ""
    notes = (*filter(None, (left_out,)), *exhibit.notes)
    return ShownExhibit(exhibit.name, exhibit.title, exhibit.status, table, notes, pictures, is_curve)


def place(exhibit: Exhibit) -> int:
    """Results first, then what the loss is made of, then scenarios, then what changes it."""
    found = [place for place, begin in enumerate(LATER, start=1) if exhibit.name.startswith(begin)]
    return found[0] if found else 0


def fit_table(table: EvidenceTable, most: int = MOST_ROWS) -> FitTable:
    """The table as printed: numbers are aligned right; a column without numbers holds names."""
    heads = []
    for j, column in enumerate(table.columns):
        own = f"evidence.{column}"  # a word such as value has another meaning in the other tables
        is_number = any(isinstance(row[j], int | float) for row in table.rows)
        term = own if spelling(column) and Words.is_known(own) else column
        heads.append((column[:1].upper() + column[1:], term, is_number))
    rows = [
        [
            (_fit_cell(column, row, cell), isinstance(cell, int | float))
            for column, cell in zip(table.columns, row, strict=True)
        ]
        for row in table.rows[:most]
    ]
    return FitTable(table.title, heads, rows, len(table.rows) - len(rows))


def _fit_cell(column: str, row: tuple[str | float | None, ...], cell: str | float | None) -> str:
    if cell is None or isinstance(cell, str):
        return cell or ""
    if any(name in EVIDENCE_NATS for name in (column, *row)):
        return tables.amount(cell)
    return tables.number(cell, 3 if column in EVIDENCE_ERRORS else 4)
