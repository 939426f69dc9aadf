"""Days of a history that are like a scenario."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from raresim.data import ReturnsTable
from raresim.distributions.covariances import covariance
from raresim.errors import FieldError
from raresim.measures.modes import Prices
from raresim.numerics import arrays
from raresim.numerics.arrays import Float
from raresim.record.exhibits import Exhibit

FEWEST_DAYS = 3


def columns_of(table: ReturnsTable, names: tuple[str, ...] | None) -> ReturnsTable:
    """``table`` with the columns ``names``, in this order.

    Raises
    ------
    FieldError
        When the factors have no names, or a factor has no column.
    """
    if names is None:
        raise FieldError("history_file", "needs inputs with named factors: a fit to data, or marginals with names")
    if absent := [name for name in names if name not in table.names]:
        shown = ", ".join(absent[:5]) + (", ..." if len(absent) > 5 else "")
        has = ", ".join(table.names[:5]) + (", ..." if len(table.names) > 5 else "")
        raise FieldError(
            "history_file", f"must have a column for each of the {len(names)} inputs, lacks {shown}; it has {has}"
        )
    place = [table.names.index(name) for name in names]
    return replace(table, names=names, values=arrays.frozen(table.values[:, place]))


@dataclass(frozen=True, eq=False)
class Days:
    """The days of a history that are nearest to a scenario.

    Parameters
    ----------
    dates : tuple of str
        Nearest first; the number of the row, from 1, where the table has no dates.
    x : (k, d) float64
        Their risk factors.
    distance : (k,) float64
        Mahalanobis distance from the scenario, dimensionless.
    usual : (k,) float64
        Mahalanobis distance from the mean of the history: how unusual the day itself was.
    losses : list of float or None
        Losses of these days.
    note : str
        The source of the days, or why there are none.
    """

    dates: tuple[str, ...] = ()
    x: Float = field(default_factory=lambda: np.empty((0, 0)))
    distance: Float = field(default_factory=lambda: np.empty(0))
    usual: Float = field(default_factory=lambda: np.empty(0))
    losses: Sequence[float | None] = ()
    note: str = ""

    @classmethod
    def nearest(cls, table: ReturnsTable | None, scenario: Float, prices: Prices, count: int) -> Days:
        """The ``count`` days of ``table`` that are nearest to ``scenario`` (d,)."""
        if count == 0:
            return cls()
        if table is None:
            return cls(note="There is no history to compare with: the inputs were not fitted to one table of days.")
        if len(table.values) < FEWEST_DAYS:
            return cls(note=f"A history of {len(table.values)} days is too short to compare with.")
        std = table.values.std(axis=0)
        scaled = table.values / std
        centre = scenario / std
        factor = np.linalg.cholesky(covariance(scaled).cov)
        distance = np.linalg.norm(np.linalg.solve(factor, (scaled - centre).T), axis=0)
        usual = np.linalg.norm(np.linalg.solve(factor, (scaled - scaled.mean(axis=0)).T), axis=0)
        rows = np.argsort(distance, kind="stable")[:count]
        dates = tuple(str(table.dates[row]) if table.dates else f"row {row + 1}" for row in rows)
        x = table.values[rows]
        return cls(dates, x, distance[rows], usual[rows], prices.known(x), f"History: {table.describe()}.")

    def exhibit(self) -> list[Exhibit]:
        """The table of days; none if no days were asked for."""
        if not self.note:
            return []
        columns = ("rank", "date", "distance", "distance_from_mean", "loss")
        rows = [
            (k + 1, date, float(distance), float(usual), loss)
            for k, (date, distance, usual, loss) in enumerate(
                zip(self.dates, self.distance, self.usual, self.losses, strict=True)
            )
        ]
        how = (
            "Distance is the Mahalanobis distance from the most likely scenario, with the covariance of the history "
            "(columns in their own standard deviations, shrunk by Ledoit and Wolf). If even the nearest day is much "
            "closer to the mean of the history than to the scenario, the history holds nothing like the scenario."
        )
        notes = (self.note, how) if rows else (self.note,)
        return [
            Exhibit(
                "scenario_days", "Days of the history nearest to the most likely scenario", columns, tuple(rows), notes
            )
        ]
