"""Evidence for a fit to data, or for a method: tables and plots, as plain values that a run folder can hold."""

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
        "quantiles": observed against fitted quantiles with a band. "stability": a parameter with its band against the
        share in the tail. "line": points joined in order, with or without a band. "points": points alone. "bars":
        horizontal bars of ``y`` from 0 with their intervals, the first on top. "curve": a curve on a log axis with a
        band. "band" and "marks" after it: a second band and marked points over the curve.
    title, x_label, y_label : str
        The title, and the labels of the axes.
    x, y, low, high : tuple of float
        Points and their band; ``low`` and ``high`` are empty without a band.
    labels : tuple of str
        Names of the bars; empty for other forms.
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
    """Tables and plots that show how well a law fits its data, or how a method came to its proposal."""

    tables: tuple[EvidenceTable, ...] = ()
    plots: tuple[EvidencePlot, ...] = ()

    def and_(self, other: Evidence) -> Evidence:
        """Tables and plots of both, these first."""
        return Evidence(self.tables + other.tables, self.plots + other.plots)
