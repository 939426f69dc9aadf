"""Design points of a system from the columns of its limit states: each column by its own levels and gradients.

A system fails where at least ``k`` of its limit states reach the goal. Its loss, the ``k``-th largest column, says
little about them: below the goal the flatter limit states hide the steeper ones. Here every column is linearised
separately, all of them from one set of differences, and is described by the distance and the direction of its own
plane: its steepness plays no part.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from raresim.distributions.standard_normal import widening
from raresim.losses.system import combined
from raresim.numerics.arrays import Float
from raresim.search.climbs_along_states import NEAR, drawn_near
from raresim.search.design_points import DIFFERENCE, unit
from raresim.search.hits import Region
from raresim.search.stepped_states import APART, SteppedClimbs
from raresim.search.system_looks import HALVINGS, STRETCHES
from raresim.search.system_points import (
    TOGETHER,
    TOLERANCE,
    Climb,
    Evaluate,
    SystemPoint,
    SystemSearch,
    outwards,
)
from raresim.search.system_targets import targets_of

STARTS = 100
"""Draws of a widened target among which climbs begin."""


def find_system_points(
    evaluate: Evaluate,
    goal: float,
    at_least: int,
    starts: Float,
    max_evaluations: int,
    rng: np.random.Generator,
    states: Float | None = None,
) -> SystemSearch:
    """Find the points nearest to the origin at which at least ``at_least`` columns reach ``goal``.

    Parameters
    ----------
    evaluate : callable
        See `Evaluate`.
    goal : float
        The value that the columns have to reach.
    at_least : int
        Number of columns that must reach it.
    starts : (n, d) float64
        Draws among which climbs begin: those with the largest losses, and with the largest values of a column.
    max_evaluations : int
        Largest number of evaluations.
    rng : numpy.random.Generator
        Advanced in place.
    states : (n, m) float64, optional
        The columns at ``starts``, if known.

    Notes
    -----
    The step goes to the nearest point to the origin of the half-spaces beyond the linearised columns: [1]_ for one
    column; for several a least-distance problem, solved exactly by [2]_, ch. 23. It is shortened until the merit
    ``|u|^2 / 2 + c sum_j max(0, distance to plane j)`` falls, [3]_. One set of differences at a start serves all
    columns and all choices of them; if a full step lands on its planes, the columns are linear there and the climb
    has ended. Only other columns need starts and differences of their own. If no step lowers the merit, planes of
    earlier points are added, for a column with a corner of its own.

    A column counts as stepped if its small differences are mostly zero while wide ones are not. It is linearised by
    least squares on draws around the point: its level or, near its edge, whether the edge is passed. Climbs with such
    columns end with a bisection of their ray.

    References
    ----------
    .. [1] Rackwitz & Fiessler, *Structural reliability under combined random load sequences*, Comput. Struct. 9, 1978.
    .. [2] Lawson & Hanson, *Solving least squares problems*, 1974.
    .. [3] Zhang & Der Kiureghian, *Two improved algorithms for reliability analysis*, IFIP WG 7.5, 1995.
    """
    starts = np.atleast_2d(np.asarray(starts, dtype=np.float64))
    search = _Search(evaluate, goal, at_least, starts.shape[1], max_evaluations, rng)
    search.begin(starts, states)
    return search.found()


def regions_along_states(
    evaluate: Evaluate, goal: float, at_least: int, dim: int, rng: np.random.Generator, most: int
) -> tuple[list[Region], SystemSearch]:
    """The regions that the columns show, from starts among draws of a widened target; and the search for them.

    Parameters
    ----------
    evaluate : callable
        See `Evaluate`.
    goal : float
        The value that the columns have to reach.
    at_least : int
        Number of columns that must reach it.
    dim : int
        Number of coordinates.
    rng : numpy.random.Generator
        Advanced in place.
    most : int
        Largest number of evaluations.
    """
    starts = np.asfortranarray(widening(dim) * rng.standard_normal((min(STARTS, most // 4), dim)))
    found = find_system_points(evaluate, goal, at_least, starts, most, rng)
    return [Region(point.u, 0) for point in found.points], found


def cost_along_states(dim: int) -> int:
    """Largest number of evaluations of `regions_along_states`."""
    return 2000 + 40 * dim


class _Search(SteppedClimbs):
    """The order of one search: where climbs begin, which follow, and what they have found."""

    def begin(self, starts: Float, states: Float | None) -> None:
        """Run all climbs that the budget allows."""
        if states is None:
            starts = starts[: max(0, self.left)]
            states = self.look(starts) if len(starts) else None
        if states is None or not len(starts):
            return
        self.pool, self.pool_states = starts, states
        self.stepped = np.zeros(states.shape[1], dtype=bool)
        common = self.common_starts()
        if not len(common):
            return
        at = self.look(common)
        narrow = self.differences(common, at, DIFFERENCE)
        self.stepped = self.are_stepped(common, at, narrow)
        planes = self.planes_at(common, at, narrow)
        targets = targets_of(planes, len(self.stepped), self.at_least, self.rng)
        smooth = [t for t in targets if not self.stepped[list(t)].any()]
        for u, here, found in zip(common, at, planes, strict=True):
            self.climb_from(u, here, found, smooth)
        self.go_on()
        if 1 < self.at_least < states.shape[1]:
            self.swap_columns()
        self.climb_from_own_starts([t for t in smooth if not self.is_linear(t)])
        self.climb_steps([t for t in targets if self.stepped[list(t)].any()], common, at)

    def common_starts(self) -> Float:
        """Starts of all targets: the largest loss, its mirror image, and a random point."""
        best = self.pool[int(np.argmax(combined(self.pool_states, self.at_least)))]
        best = best if best.any() else unit(self.rng.standard_normal(self.dim))
        other = NEAR / 2.0 * unit(self.rng.standard_normal(self.dim))
        starts = drawn_near(np.array([best, -best, other]))
        return starts[: max(0, self.left // (2 * self.dim + 1))]

    def found(self) -> SystemSearch:
        """The points of the event, each once."""
        for climb in self.climbs:
            if not climb.reached and self.left >= STRETCHES.size + HALVINGS + 1:
                edge = self.on_ray(climb.target, climb.u)
                if edge is not None:
                    climb.u, climb.states = edge
                    climb.reached = True
        self.step_over()
        points = [self.point(c) for c in self.climbs if c.reached]
        kept: list[SystemPoint] = []
        for point in sorted(points, key=lambda p: (not p.converged, p.beta)):
            place = next((k for k, other in enumerate(kept) if self.are_one(other, point)), None)
            if place is None:
                kept.append(point)
            else:
                failing = tuple(sorted({*kept[place].failing, *point.failing}))
                kept[place] = replace(kept[place], failing=failing)
        done = {c.target for c in self.climbs if c.reached}
        notes = {c.target: c.note for c in self.climbs if not c.reached} | self.missed
        missed = tuple((t, note) for t, note in sorted(notes.items()) if t not in done)
        return SystemSearch(tuple(kept), missed, self.evaluations)

    def are_one(self, one: SystemPoint, other: SystemPoint) -> bool:
        """Whether two points stand for the same place."""
        alike = one.target == other.target and bool(self.stepped[list(one.target)].any())
        return float(np.linalg.norm(one.u - other.u)) < (APART if alike else TOGETHER)

    def step_over(self) -> None:
        """Move the ends that are just short of the event across its edge."""
        short = [c for c in self.climbs if c.reached and not self.reaches(c.target, c.states[np.newaxis])[0]]
        for reach in (1e-6, 2.0 * TOLERANCE):
            short = [c for c in short if not self.reaches(c.target, c.states[np.newaxis])[0]][: max(0, self.left)]
            if not short:
                return
            ahead = [c.u + reach * outwards(c) for c in short]
            found = self.look(np.array(ahead))
            for climb, u, states in zip(short, ahead, found, strict=True):
                if self.reaches(climb.target, states[np.newaxis])[0]:
                    climb.u, climb.states = u, states

    def point(self, climb: Climb) -> SystemPoint:
        beyond = {int(j) for j in np.flatnonzero(climb.states >= self.goal)}
        failing = tuple(sorted({*beyond, *climb.target}))
        return SystemPoint(climb.u, climb.states, failing, climb.target, climb.note)
