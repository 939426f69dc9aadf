"""What a measure shows beside its numbers: a table that becomes a CSV file of the run folder, and plots of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from raresim.record.evidence import EvidencePlot
from raresim.record.frames import Library, frame
from raresim.record.verdict import Status


@dataclass(frozen=True)
class Exhibit:
    """A table with its plots.

    Parameters
    ----------
    name : str
        Name of its file in the run folder, without the ending: ``contributions``.
    title : str
        Heading in the report.
    columns : tuple of str
        Names of the columns, as in the file: lower case, with underscores.
    rows : tuple of tuple
        Texts and numbers; None for a missing number.
    notes : tuple of str
        Sentences below the table: how it was made, what it leaves out.
    status : Status
        Status of the number that it belongs to.
    plots : tuple of EvidencePlot
        Plots of the same numbers.
    evaluations : int
        Evaluations of the loss for it, after the estimate.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | float | None, ...], ...]
    notes: tuple[str, ...] = ()
    status: Status = Status.TRUSTED
    plots: tuple[EvidencePlot, ...] = ()
    evaluations: int = 0

    def to_frame(self, library: Library | None = None) -> Any:
        """The table as a data frame of pandas or polars; see `raresim.record.frames.frame`."""
        return frame(self.columns, self.rows, library)
