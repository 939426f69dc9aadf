"""What a fit to data, or a method, shows for itself: tables and plots, as plain values that a run folder can hold."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EvidenceTable:
    """A table of the report: numbers and texts in rows."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | float | None, ...], ...]


@dataclass(frozen=True)
class EvidencePlot:
    """A plot of the report.

    Parameters
    ----------
    form : {"quantiles", "stability", "line", "points", "bars", "curve", "band", "marks"}
        Observed against fitted quantiles with a band; a parameter with its band against the share in the tail; points
        joined in their order, with or without a band; points alone; or horizontal bars of ``y`` from 0, the first on
        top, with their intervals. A curve has a log axis and a band; a second band and marked points that follow it
        lie over it.
    title, x_label, y_label : str
        What it shows, and what is on the axes.
    x, y, low, high : tuple of float
        Points and their band; ``low`` and ``high`` are empty where there is none.
    labels : tuple of str
        What each bar is called; empty for other forms.
    """

    form: str
    title: str
    x_label: str
    y_label: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Evidence:
    """What shows how well a law fits its data, or how a method came to its proposal."""

    tables: tuple[EvidenceTable, ...] = ()
    plots: tuple[EvidencePlot, ...] = ()

    def and_(self, other: Evidence) -> Evidence:
        """Both, this one first."""
        return Evidence(self.tables + other.tables, self.plots + other.plots)
