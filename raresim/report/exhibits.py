"""Figures: the plots of the measures of a run."""

from __future__ import annotations

from collections.abc import Mapping

from raresim.record.exhibits import Exhibit
from raresim.report import bars, curve, grid, style, trace
from raresim.report.run import Run

__all__ = ["draw"]


def draw(run: Run) -> Mapping[str, list[style.Picture]]:
    """The pictures of each exhibit by name: one for each set of bars, and one grid of all other plots."""
    return {exhibit.name: _pictures(exhibit) for exhibit in run.exhibits}


def _pictures(exhibit: Exhibit) -> list[style.Picture]:
    name = f"exhibit-{exhibit.name}"
    pictures = [
        bars.draw(plot, f"{name}-{k}")
        for k, plot in enumerate((plot for plot in exhibit.plots if plot.form in bars.FORMS), start=1)
    ]
    curves = curve.panels(exhibit.plots)
    others = [plot for plot in exhibit.plots if plot.form not in (*bars.FORMS, *curve.FORMS)]
    panels = [*curves, *(trace.panel(plot, plot.title) for plot in others)]
    if panels:
        caption = curve.CAPTION if curves else "Numbers of the table, as they are stored."
        file = f"{exhibit.name}.csv"
        pictures.append(grid.draw(name, panels, exhibit.title, caption, "Plots", file))
    return pictures
