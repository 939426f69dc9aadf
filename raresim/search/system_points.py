"""Points of a system's event, the planes of its limit states there, and the climbs that lead to such points."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from raresim.numerics.arrays import Float
from raresim.search.design_points import unit
from raresim.search.nearest import least_distance

Evaluate = Callable[[Float], tuple[Float, Float]]
"""From points (n, d) to losses (n,) and limit states (n, m); larger is rarer, ``-inf`` for a missing value."""

Target = tuple[int, ...]
"""Columns that are to reach the goal together, in ascending order."""

TOLERANCE = 1e-3
"""Distance from the planes, and from the nearest point on them, at which a climb has converged."""

TOGETHER = 0.5
"""Distance below which two points are one."""


@dataclass(frozen=True, eq=False)
class SystemPoint:
    """The end of a climb.

    Parameters
    ----------
    u : (d,) float64
        The point.
    states : (m,) float64
        The columns at the point, signed.
    failing : tuple of int
        Columns that reach the goal there, to within `TOLERANCE` standard deviations.
    target : tuple of int
        The columns of the climb.
    note : str
        Why the climb ended before it converged; empty if it converged.
    """

    u: Float
    states: Float
    failing: Target
    target: Target
    note: str = ""

    @property
    def beta(self) -> float:
        """Distance from the origin, in standard deviations."""
        return float(np.linalg.norm(self.u))

    @property
    def converged(self) -> bool:
        """Whether it is the nearest point of its planes, to first order."""
        return not self.note


@dataclass(frozen=True, eq=False)
class SystemSearch:
    """What a search along the columns found.

    Parameters
    ----------
    points : tuple of SystemPoint
        Points of the event, at least `TOGETHER` apart: first those that converged, nearest first.
    missed : tuple of (tuple of int, str)
        Columns for which no point was found, and why.
    evaluations : int
        Number of evaluations.
    """

    points: tuple[SystemPoint, ...]
    missed: tuple[tuple[Target, str], ...]
    evaluations: int

    def describe(self) -> str:
        """A sentence about the search."""
        spent = f"({self.evaluations:,} evaluations)"
        if not self.points:
            return f"the search along limit states reached no design point {spent}"
        many = f"{len(self.points)} design point{'s' if len(self.points) > 1 else ''}"
        columns = len({j for point in self.points for j in point.failing})
        nearest = min(point.beta for point in self.points)
        return (
            f"the search along limit states found {many}, at which {columns} limit "
            f"state{'s fail' if columns > 1 else ' fails'}; the nearest is {nearest:.2f} standard deviations from "
            f"the origin {spent}"
        )


class Planes(NamedTuple):
    """Every column linearised at a point.

    ``normals`` (m, d) have length one, or are 0 for a flat column. The linearised column reaches the goal at ``v`` if
    ``normals @ v >= offsets`` (m,), the distances of the planes from the origin. ``slopes`` (m,) are the lengths of the
    gradients.
    """

    normals: Float
    offsets: Float
    slopes: Float

    def are_usable(self, target: Sequence[int]) -> bool:
        """Whether no column of ``target`` is flat."""
        chosen = list(target)
        known = np.isfinite(self.offsets[chosen]) & self.normals[chosen].any(axis=1)
        return bool(known.all())


def planes_of(u: Float, slopes: Float, short: Float) -> Planes:
    """Planes at ``u`` (d,) from slopes (m, d) and the shortfalls of the columns from the goal there (m,)."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        largest = np.abs(slopes).max(axis=1)
        scaled = np.where(largest[:, None] > 0, slopes / largest[:, None], 0.0)
        steep = np.sqrt(np.square(scaled).sum(axis=1))
        normals = np.where(steep[:, None] > 0, scaled / steep[:, None], 0.0)
        gaps = np.where(steep > 0, short / largest / steep, np.inf)
        return Planes(np.nan_to_num(normals), np.nan_to_num(normals) @ u + gaps, largest * steep)


@dataclass(eq=False)
class Climb:
    """The climb of one target from one start; ``planes`` are those at ``u``, if known."""

    target: Target
    u: Float
    states: Float
    planes: Planes | None
    note: str = ""
    ended: bool = False
    reached: bool = False
    earlier: list[tuple[Float, Float]] = field(default_factory=list)

    def end(self, note: str = "") -> None:
        self.ended, self.note, self.reached = True, note, not note


def outwards(climb: Climb) -> Float:
    """A move (d,) to one unit beyond each plane of the climb's columns, or along its ray without known planes."""
    if climb.planes is None:
        return unit(climb.u)
    normals = climb.planes.normals[list(climb.target)]
    found = least_distance(normals, np.ones(len(normals)))
    return unit(climb.u) if found is None else found[0]
