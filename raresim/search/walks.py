"""Design points by walks uphill and along the axes, and how many failure regions may still be unknown."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from raresim.numerics.arrays import Bool, Float
from raresim.search.climbing import AXIS_TIP, axis_roots, climb, peaks, regions
from raresim.search.design_points import BISECTIONS, between, bisected, unseen_share
from raresim.search.explorer import Explorer
from raresim.search.fitting import WIDE

WALKS, FEW_WALKS = 8, 4
"""First number of walks: in up to `WIDE` dimensions, and in up to twice `AXES`; beyond these there is one."""

RANDOM_WALKS = 2
"""Walks that begin at draws of the target: high draws of the first batch may not cover all regions."""

AXES = 150
"""Largest number of coordinates for which axes are searched, and walks go on until few regions can be left."""

AXIS_RIVALS = 16
"""Axes are followed if on at least two the loss exceeds the loss at this many random points as far from the origin."""

ALONG_AXIS = 0.85
"""Cosine with its axis above which the end of a walk still counts as on it."""

NEAR = 3.0
"""Distance from the origin at which walks begin if the draws themselves are further away, in many dimensions."""

CORNERED = 4
"""Largest number of coordinates for which a start in the event also moves to the origin one coordinate at a time."""

UNSEEN = 0.02, 0.1
"""Expected number of regions not found at which walks end: twice the asked error, between these two limits."""


@dataclass(frozen=True, eq=False)
class DesignPoints:
    """Design points found by walks uphill.

    Parameters
    ----------
    points : (k, d)
        Points where the loss reaches the goal, nearest to the origin in their neighbourhood.
    on_axes, between : int
        Number of points on axes, which come first, and number halfway between two of these, which come next.
    regions : int
        Number of failure regions in which they lie.
    walks : int
        Number of walks, with those along axes.
    unseen : float
        Expected share of the regions that no walk has reached.
    evaluations : int
        Loss evaluations in total.
    """

    points: Float
    on_axes: int
    between: int
    regions: int
    walks: int
    unseen: float
    evaluations: int

    def describe(self) -> str:
        """A sentence about the points."""
        spent = f"({self.evaluations:,} evaluations)"
        if not len(self.points):
            return f"{self.walks} walks uphill reached no design point {spent}"
        nearest = math.sqrt(float(np.square(self.points).sum(axis=1).min()))
        points = f"{len(self.points)} design point{'s' if len(self.points) > 1 else ''}"
        between = f", {self.between} between two axes" if self.between else ""
        on_axes = f" ({self.on_axes} on axes{between})" if self.on_axes else ""
        regions = f"{self.regions} failure region{'s' if self.regions > 1 else ''}"
        return (
            f"walks uphill found {points}{on_axes} in {regions}; the nearest is {nearest:.2f} standard deviations from "
            f"the origin {spent}"
        )


def find_design_points(explorer: Explorer, goal: float, most: int) -> DesignPoints:
    """Walk uphill from high draws, from random draws and along the axes.

    Parameters
    ----------
    explorer : Explorer
        Evaluates the loss; its archive shows where the loss is high.
    goal : float
        The loss that has to be reached.
    most : int
        Approximate largest number of evaluations.

    Notes
    -----
    If several regions are found away from the axes, walks go on until ``w`` times the estimate of [1]_ for the share
    not found, ``w (w + 1) / (L (L - 1))`` after ``L`` walks to ``w`` regions, is small. The share alone is not enough:
    of seven equal regions, 32 walks miss one in one case of twenty, and a seventh of the event is lost with it.

    References
    ----------
    .. [1] Boender & Rinnooy Kan, *Bayesian stopping rules for multistart global optimization methods*,
       Math. Program. 37, 1987.
    """
    d, before = explorer.dim, explorer.evaluations

    asked = explorer.session.relative_error or 0.0
    enough = min(max(2.0 * asked, UNSEEN[0]), UNSEEN[1])

    def left() -> int:
        return most - (explorer.evaluations - before)

    axes = _along_axes(explorer, goal, left())
    halfway, _ = between(explorer, goal, axes, left())
    known = np.concatenate([axes, halfway])
    walks = min(WALKS if d <= WIDE else FEW_WALKS if d <= 2 * AXES else 1, left() // (2 * (d + 4)))
    if walks < 1:
        spent = explorer.evaluations - before
        return DesignPoints(known, len(axes), len(halfway), max(len(axes), 1), len(axes), 1.0, spent)
    starts = _starting_points(explorer, walks)
    losses = explorer(starts, "starts of walks")
    ends = climb(explorer, starts, losses, goal, left())
    points, begun = _apart(ends.points), ends.started
    inside = _towards_origin(explorer, starts[losses >= goal], goal) if left() > 50 * walks else starts[:0]
    for point in inside[np.argsort(np.square(inside).sum(axis=1))]:
        if not len(points) or len(_away_from(explorer, goal, points, point[None])):
            points = np.concatenate([points, point[None]])
    if len(axes):
        points = _away_from(explorer, goal, axes, points)
        found, unseen = len(axes) + len(points), unseen_share(len(points), begun)
    else:
        found = len(regions(explorer, points, goal))
        while d <= AXES and found * unseen_share(found, begun) > enough and left() > 2 * WALKS * (d + 4):
            starts = explorer.generator().standard_normal((WALKS, d))
            near = math.sqrt(float(np.square(points).sum(axis=1).min()))
            starts *= 0.7 * near / np.sqrt(np.square(starts).sum(axis=1, keepdims=True))
            ends = climb(explorer, starts, explorer(starts, "starts of walks"), goal, left())
            begun += ends.started
            points = _apart(np.concatenate([points, ends.points]))
            found = len(regions(explorer, points, goal))
        unseen = unseen_share(found, begun)
    spent = explorer.evaluations - before
    points = np.concatenate([known, points])
    return DesignPoints(points, len(axes), len(halfway), max(found, 1), begun + len(axes), unseen, spent)


def _along_axes(explorer: Explorer, goal: float, most: int) -> Float:
    """Points where axes enter the event, if the event lies along axes; else none."""
    d = explorer.dim
    nothing = np.empty((0, d))
    if not 3 <= d <= AXES or most < 20 * d:
        return nothing
    centre = float(explorer(np.zeros((1, d)), "centre")[0])
    if not math.isfinite(centre) or centre >= goal:
        return nothing
    elsewhere = explorer.generator().standard_normal((AXIS_RIVALS, d))
    elsewhere *= AXIS_TIP / np.sqrt(np.square(elsewhere).sum(axis=1, keepdims=True))
    usual = float(explorer(elsewhere, "away from axes").max())
    roots = axis_roots(explorer, d, goal, centre, usual)
    if len(roots) < 2:
        return nothing
    nearest = roots[np.argsort(np.abs(roots).max(axis=1), kind="stable")[:4]]
    ends = climb(explorer, nearest, explorer(nearest, "ends of axes"), goal).points
    if not len(ends):
        return nothing
    cosine = np.abs(ends).max(axis=1) / np.sqrt(np.square(ends).sum(axis=1))
    return roots if cosine.min() > ALONG_AXIS else nothing


def _starting_points(explorer: Explorer, most: int) -> Float:
    """The highest points of the first batch in different directions, and random ones; not far out."""
    archive = explorer.archive
    starts = archive.u[peaks(archive.u, archive.loss, most)]
    if explorer.dim <= WIDE:
        elsewhere = explorer.generator().standard_normal((RANDOM_WALKS, explorer.dim))
        starts = np.concatenate([starts[: max(1, most - RANDOM_WALKS)], elsewhere])
    else:
        starts = starts * np.minimum(1.0, NEAR / np.sqrt(np.square(starts).sum(axis=1, keepdims=True)))
    return np.ascontiguousarray(starts)


def _away_from(explorer: Explorer, goal: float, known: Float, points: Float) -> Float:
    """Those ``points`` (k, d) that do not lie in the region of the nearest of the ``known`` points."""
    new = []
    for point in points:
        nearest = known[np.square(known - point).sum(axis=1).argmin()]
        if len(regions(explorer, np.stack([nearest, point]), goal)) > 1:
            new.append(point)
    return np.array(new).reshape(-1, explorer.dim)


def _towards_origin(explorer: Explorer, points: Float, goal: float) -> Float:
    """Points where the event begins on the way from ``points`` (k, d) in it towards the origin, by bisection.

    The way goes along the ray, then in a few dimensions along each coordinate: a walk along gradients does not find
    the nearest point of a corner.
    """
    d = explorer.dim
    if not len(points):
        return points
    at = points
    for way in [np.ones(d, dtype=bool), *(np.eye(d, dtype=bool) if d <= CORNERED else [])]:
        at = _drawn_in(explorer, at, way, goal)
    return at


def _drawn_in(explorer: Explorer, points: Float, way: Bool, goal: float) -> Float:
    """``points`` (k, d) in the event with their coordinates ``way`` (d,) shrunk by one factor to where it begins."""

    def shrunk(share: Float) -> Float:
        return np.where(way, share[:, None] * points, points)

    def inside(share: Float) -> Bool:
        return explorer(shrunk(share), "towards the origin") >= goal

    k = len(points)
    return shrunk(bisected(inside, np.zeros(k), np.ones(k), BISECTIONS))


def _apart(points: Float) -> Float:
    """The points nearest to the origin that are at least one unit away from each other and from the origin."""
    kept: list[Float] = []
    for point in points[np.argsort(np.square(points).sum(axis=1), kind="stable")]:
        if all(np.square(point - other).sum() > 1.0 for other in [*kept, np.zeros_like(point)]):
            kept.append(point)
    return np.array(kept).reshape(-1, points.shape[1])
