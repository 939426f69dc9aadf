"""The unit of a loss where the user names it: on the numbers of a run and on the axes of its plots."""

from __future__ import annotations

from dataclasses import replace

from raresim.record.evidence import EvidencePlot
from raresim.record.exhibits import Exhibit
from raresim.record.records import Estimate

WORDS = "in the unit of the loss"
"""How labels and notes name a unit that nobody has named."""


def of_estimate(estimate: Estimate, unit: str) -> Estimate:
    """``estimate`` with its ``unit`` where it is an amount of loss; a probability has none."""
    return replace(estimate, unit=unit) if estimate.unit == "loss" else estimate


def of_exhibit(exhibit: Exhibit, unit: str) -> Exhibit:
    """``exhibit`` with the ``unit`` in its notes and on the axes of its plots."""
    notes = tuple(note.replace(WORDS, f"in {unit}") for note in exhibit.notes)
    return replace(exhibit, notes=notes, plots=tuple(_of_plot(plot, unit) for plot in exhibit.plots))


def _of_plot(plot: EvidencePlot, unit: str) -> EvidencePlot:
    x, y = (label.replace(WORDS, f"in {unit}") for label in (plot.x_label, plot.y_label))
    return replace(plot, x_label=x, y_label=y)
