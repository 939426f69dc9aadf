"""The figures of the report one by one, on matplotlib's axes."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from raresim.errors import FieldError
from raresim.record.evidence import EvidencePlot
from raresim.record.outcome import Outcome
from raresim.record.rows import is_estimate
from raresim.report import bars, convergence, curve, grid, style, weights
from raresim.report.rows import ROWS
from raresim.report.run import Run

__all__ = ["Plots"]


class Plots:
    """Draws figures of a result. Each method takes the axes to draw on, or makes a figure, and returns the axes.

    Parameters
    ----------
    result : Outcome
        What to draw.
    """

    def __init__(self, result: Outcome) -> None:
        self._run = Run.of(result)

    def convergence(self, ax: Axes | None = None, number: int | None = None) -> Axes:
        """The path of an estimate over the evaluations, with its interval.

        Parameters
        ----------
        ax : Axes, optional
            Where to draw.
        number : int, optional
            Place of the estimate among ``result.estimates``; left out, the rarest of those that were asked for.

        Raises
        ------
        FieldError
            When there is no such estimate, or no path of it was recorded.
        """
        run = self._run
        if number is not None and not -len(run.estimates) <= number < len(run.estimates):
            raise FieldError("number", f"must be below {len(run.estimates)}, the number of estimates, got {number}")
        estimate = run.primary if number is None else run.estimates[number]
        path = run.trace_of(estimate)
        if path is None:
            raise FieldError("number", f"the run recorded no path of {estimate.label}")
        with style.applied():
            axes = _axes(ax)
            convergence.path(axes, estimate, path)
            axes.set_title(style.safe(estimate.label))
            axes.set_xlabel("model evaluations of the estimate stage (log scale)")
            axes.legend()
        return axes

    def curve(self, ax: Axes | None = None) -> Axes:
        """The exceedance curve; raises `FieldError` where the run was asked for none."""
        plots = next((e.plots for e in self._run.exhibits if any(plot.form == "curve" for plot in e.plots)), ())
        panels = curve.panels(plots)
        if not panels:
            raise FieldError("measures", "the run has no curve: ask for one with Exceedance()")
        with style.applied():
            axes = _axes(ax)
            _fill(axes, panels[0])
        return axes

    def contributions(self, ax: Axes | None = None, number: int = 0) -> Axes:
        """Bars of the largest contributions, with their intervals.

        ``number`` says which of the report's figures of them is meant, from 0.

        Raises
        ------
        FieldError
            When the run was not asked for contributions, or has no such figure.
        """
        shown: list[EvidencePlot] = [
            plot for e in self._run.exhibits if e.name == "contributions" for plot in e.plots if plot.form in bars.FORMS
        ]
        if not shown:
            raise FieldError("measures", "the run has no contributions: ask for them with Contributions(...)")
        if not 0 <= number < len(shown):
            raise FieldError("number", f"must be from 0 to {len(shown) - 1}, got {number}")
        plot = shown[number]
        with style.applied():
            axes = _axes(ax)
            bars.on(axes, plot, [style.clipped(label, bars.WIDEST_NAME, bars.NAME_SIZE) for label in plot.labels])
            axes.set_title(style.safe(plot.title))
            axes.set_xlabel(style.safe(plot.y_label))
        return axes

    def weights(self, ax: Axes | None = None) -> Axes:
        """Hits by weight, and the share of the estimate that they carry.

        Raises
        ------
        FieldError
            When fewer than two hits were kept, all have the same weight, or rows are replicates, which have none.
        """
        run = self._run
        rows = ROWS[run.unit]
        kept = weights.kept(run)
        if is_estimate(run.unit) or kept.size < 2 or np.ptp(kept) < weights.ALIKE:
            raise FieldError("weights", "the run has no different weights to show")
        with style.applied():
            axes = _axes(ax)
            weights.histogram(axes, kept, rows)
            axes.set_title(f"{rows.hit}s by weight")
        return axes


def _axes(given: Axes | None) -> Axes:
    """The ``given`` axes, or new ones on a figure of their own."""
    if given is not None:
        return given
    from matplotlib import pyplot

    _, axes = pyplot.subplots(layout="constrained")
    return axes


def _fill(axes: Axes, panel: grid.Panel) -> None:
    axes.set_ylim(*panel.limits)
    panel.content(axes, panel.plot, panel.limits)
    if panel.is_log:
        style.decades(axes.yaxis, *panel.limits)
    axes.set_title(style.safe(panel.heading))
    axes.set_xlabel(style.safe(panel.plot.x_label))
    axes.set_ylabel(style.safe(panel.plot.y_label))
