"""Design points of a system from the columns of its limit states: each column by its own levels and gradients.

A system fails where at least ``k`` of its limit states reach the goal. Its loss, the ``k``-th largest column, says
little about them: below the goal the flatter limit states hide the steeper ones. Here every column is linearised
separately, all of them from one set of differences, and is described by the distance and the direction of its own
plane: its steepness plays no part.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from raresim.distributions.standard_normal import widening
from raresim.losses.system import combined
from raresim.numerics.arrays import Bool, Float
from raresim.search.climbing import WIDE, peaks
from raresim.search.design_points import ARMIJO, DIFFERENCE, FARTHEST, SHORTER, bisected, unit
from raresim.search.hits import Region
from raresim.search.nearest import least_distance

Evaluate = Callable[[Float], tuple[Float, Float]]
"""From points (n, d) to losses (n,) and limit states (n, m); larger is rarer, ``-inf`` for a missing value."""

Target = tuple[int, ...]
"""Columns that are to reach the goal together, in ascending order."""

NEAR = 3.0
"""Distance from the origin at which climbs begin if their start is further away."""

OWN_STARTS = 4
"""Starts of its own for a target with columns that are not linear, beside the starts that all targets share."""

MOST_TARGETS = 64
"""Choices of ``k`` columns that are climbed from a start: the nearest ones, and some at random."""

RANDOM_TARGETS = 4

MOST_CHOICES = 400
"""Largest number of choices of ``k`` columns that are all checked; more are built up column by column."""

SEEDS = 8
"""Columns with which these choices begin, and points from which one column is exchanged."""

NEGLIGIBLE = 12.0
"""Nats by which the density at a choice's nearest point may be below that of the nearest of all."""

TOLERANCE = 1e-3
"""Distance from the planes, and from the nearest point on them, at which a climb has converged."""

STRAIGHT = 1e-6
"""If a full step misses its planes by at most this share of its length, the columns are linear on the way."""

ITERATIONS = 12

TOGETHER = 0.5
"""Distance below which two points are one."""

BUNDLED = 6
"""Planes of earlier points that a step may have to respect, if its own planes do not suffice: for corners."""

SMOOTHING = 0.7
"""Standard deviation of the draws around a point from which a stepped column is linearised."""

ROUNDS = 5
"""Steps of a climb on smoothed columns."""

MIXED = 0.1
"""Share of these draws on either side of a column's edge from which the edge is fitted instead of the level."""

NOISE = 2.0
"""A fitted slope below this many standard errors counts as zero."""

WIDER = (2.0, 3.0, 4.5)
RUNG = 60
"""If no start reaches the goal on a stepped column: multiples of the target's spread, and draws of each."""

STARTS = 100
"""Draws of a widened target among which climbs begin."""

STRETCHES = np.array([0.6, 0.8, 0.9, 1.0, 1.01, 1.03, 1.1, 1.2, 1.35, 1.6, 2.0])
"""Radii, relative to the end of a climb, at which its ray is checked for the event."""

HALVINGS = 10

APART = 1.5
"""Distance below which two points of the same stepped columns are one: draws leave them uncertain by that much."""

AGREED = 3
"""Number of climbs on draws to one place after which no more are begun."""

FEWER = (1, 2, 3, 5, 8, 13, 21, 34)
"""Numbers of largest coordinates with which the end of a climb on draws is tried: the other ones may be noise."""


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
            f"the search along limit states found {many} of {columns} of them, the nearest at distance {nearest:.2f} "
            f"{spent}"
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


@dataclass(eq=False)
class _Climb:
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


class _Search:
    """The climbs of one search, side by side."""

    def __init__(
        self, evaluate: Evaluate, goal: float, at_least: int, dim: int, budget: int, rng: np.random.Generator
    ) -> None:
        self.evaluate, self.goal, self.at_least, self.dim = evaluate, goal, at_least, dim
        self.budget, self.rng = budget, rng
        self.evaluations = 0
        self.climbs: list[_Climb] = []
        self.stepped: Bool = np.zeros(0, dtype=bool)
        self.pool = np.empty((0, dim))
        self.pool_states = np.empty((0, 0))
        self.missed: dict[Target, str] = {}

    @property
    def left(self) -> int:
        """Evaluations that are left."""
        return self.budget - self.evaluations

    def look(self, points: Float) -> Float:
        """Columns (n, m) at ``points`` (n, d); they are counted."""
        self.evaluations += len(points)
        return self.evaluate(np.asfortranarray(points))[1]

    # --- the order of things ---

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
        targets = self.targets(planes)
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
        starts = _drawn_near(np.array([best, -best, other]))
        return starts[: max(0, self.left // (2 * self.dim + 1))]

    def are_stepped(self, points: Float, at: Float, narrow: Float) -> Bool:
        """Which columns (m,) wide differences move and small ones do not, or no difference moves."""
        moves = self.differences(points, at, WIDE) != 0
        still = ((narrow == 0) & moves).sum(axis=(0, 2)) > 0.5 * moves.sum(axis=(0, 2))
        flat = ~narrow.any(axis=(0, 2))
        stepped: Bool = still | flat
        return stepped

    def differences(self, points: Float, at: Float, step: float) -> Float:
        """Differences (k, m, d) of the columns, away from the origin, divided by the signed step."""
        k, d = points.shape
        signs = np.where(points >= 0, step, -step)
        moved = np.repeat(points, d, axis=0)
        moved[np.arange(k * d), np.tile(np.arange(d), k)] += signs.ravel()
        ahead = self.look(moved).reshape(k, d, -1)
        with np.errstate(invalid="ignore"):
            rise = (ahead - at[:, np.newaxis]) / signs[:, :, np.newaxis]
        known = np.isfinite(rise)
        slopes: Float = np.where(known, rise, 0.0).transpose(0, 2, 1)
        return slopes

    def planes_at(self, points: Float, at: Float, slopes: Float) -> list[Planes]:
        """The planes at ``points`` (k, d), with columns ``at`` (k, m) and slopes ``slopes`` (k, m, d)."""
        return [_planes(u, own, self.goal - here) for u, own, here in zip(points, slopes, at, strict=True)]

    # --- which columns ---

    def targets(self, planes: list[Planes]) -> list[Target]:
        """The choices of columns to climb."""
        m, k = len(self.stepped), self.at_least
        if k == 1:
            return [(j,) for j in range(m)]
        if k == m:
            return [tuple(range(m))]
        chosen: dict[Target, float] = {}
        for found in planes:
            near = {t: self.distance(t, found) for t in self.choices(found)}
            least = min(near.values(), default=math.inf)
            worst = math.sqrt(least**2 + 2.0 * NEGLIGIBLE) if math.isfinite(least) else math.inf
            for t in sorted(near, key=lambda t: (near[t], t))[:MOST_TARGETS]:
                if near[t] <= worst:
                    chosen[t] = min(near[t], chosen.get(t, math.inf))
        for _ in range(RANDOM_TARGETS):
            some = self.rng.choice(m, k, replace=False)
            chosen.setdefault(tuple(sorted(int(j) for j in some)), math.inf)
        return sorted(chosen, key=lambda t: (chosen[t], t))

    def choices(self, planes: Planes) -> list[Target]:
        """All choices of ``k`` columns, or choices built up from each of the nearest columns, nearest first."""
        m, k = len(self.stepped), self.at_least
        if math.comb(m, k) <= MOST_CHOICES:
            return list(itertools.combinations(range(m), k))
        found = set()
        nearest = sorted(range(m), key=lambda j: (self.distance((j,), planes), j))
        for j in nearest[:SEEDS]:
            target: Target = (j,)
            while len(target) < k:
                more = [tuple(sorted((*target, i))) for i in range(m) if i not in target]
                target = min(more, key=lambda t: (self.distance(t, planes), t))
            found.add(target)
        return sorted(found)

    def distance(self, target: Target, planes: Planes) -> float:
        """Distance from the origin to where the linearised columns reach the goal together; infinite if they never do.

        A flat column is left out: nothing is known of it.
        """
        chosen = [j for j in target if planes.are_usable((j,))]
        if not chosen:
            return math.inf
        found = least_distance(planes.normals[chosen], planes.offsets[chosen])
        return math.inf if found is None else float(np.linalg.norm(found[0]))

    def is_linear(self, target: Target) -> bool:
        """Whether all climbs of ``target`` have come to the same point."""
        ends = [c for c in self.climbs if c.target == target]
        agreed = ends and all(c.reached for c in ends)
        return bool(agreed) and all(np.linalg.norm(c.u - ends[0].u) < TOGETHER for c in ends)

    # --- smooth columns ---

    def climb_from(self, u: Float, states: Float, planes: Planes, targets: Iterable[Target]) -> None:
        """Begin a climb of each target at ``u`` (d,) with its first step."""
        begun = []
        for target in targets:
            if not planes.are_usable(target):
                self.missed.setdefault(target, "a column is flat where the climb begins")
                continue
            climb = _Climb(target, u, states, planes)
            aim = self.aim(climb)
            if aim is not None and any(
                c.reached and c.target == target and np.linalg.norm(c.u - aim[0]) < 0.1 * TOGETHER for c in self.climbs
            ):
                continue
            begun.append(climb)
        self.climbs += begun
        self.advance(begun)

    def go_on(self) -> None:
        """Run all climbs to their ends, the nearest first if the budget is short."""
        for _ in range(ITERATIONS):
            self.follow()
            active = [c for c in self.climbs if not c.ended]
            if not active:
                return
            cost = self.dim + 1 + SHORTER.size
            affordable = self.left // cost
            if affordable < len(active):
                active.sort(key=lambda c: float(np.linalg.norm(c.u)))
                for climb in active[affordable:]:
                    climb.end("budget of the search spent")
                active = active[:affordable]
            if active:
                at = np.array([c.states for c in active])
                points = np.array([c.u for c in active])
                found = self.planes_at(points, at, self.differences(points, at, DIFFERENCE))
                for climb, planes in zip(active, found, strict=True):
                    climb.planes = planes
                self.advance(active)
        for climb in self.climbs:
            if not climb.ended:
                climb.end(f"not converged in {ITERATIONS} iterations")

    def follow(self) -> None:
        """End the climbs close to the end of another climb of the same target."""
        for climb in self.climbs:
            near = (
                c
                for c in self.climbs
                if c.reached and c.target == climb.target and np.linalg.norm(c.u - climb.u) < 0.5 * TOGETHER
            )
            if not climb.ended and (other := next(near, None)) is not None:
                climb.u, climb.states, climb.planes = other.u, other.states, other.planes
                climb.end()

    def aim(self, climb: _Climb) -> tuple[Float, Float] | None:
        """The aim of the whole step, with the multipliers of the target's planes."""
        planes, chosen = climb.planes, list(climb.target)
        if planes is None or not planes.are_usable(chosen):
            return None
        return least_distance(planes.normals[chosen], planes.offsets[chosen])

    def gaps(self, climb: _Climb, states: Float) -> Float:
        """Distance of each column of the target from the goal at ``states`` (..., m), by its slope at the climb."""
        if climb.planes is None:
            raise ValueError("the climb has no planes")
        chosen = list(climb.target)
        gap: Float = (self.goal - states[..., chosen]) / climb.planes.slopes[chosen]
        return gap

    def advance(self, climbs: list[_Climb]) -> None:
        """One step of each climb with known planes."""
        going, aims, penalties = [], [], []
        for climb in climbs:
            aim = self.aim(climb)
            if aim is None:
                flat = climb.planes is None or not climb.planes.are_usable(climb.target)
                climb.end("a column is flat" if flat else "the linearised columns never reach the goal together")
                continue
            v, multipliers = aim
            move = float(np.linalg.norm(v - climb.u))
            gaps = self.gaps(climb, climb.states)
            if move < TOLERANCE * max(1.0, float(np.linalg.norm(climb.u))) and gaps.max() < TOLERANCE:
                climb.end()
                continue
            length = float(np.linalg.norm(v))
            going.append(climb)
            aims.append(v * min(1.0, FARTHEST / max(length, 1e-300)))
            penalties.append(2.0 * max(float(np.linalg.norm(climb.u)), 1.0, float(multipliers.max(initial=0.0))))
        if not going or len(going) * (1 + SHORTER.size) > self.left:
            for climb in going:
                climb.end("budget of the search spent")
            return
        whole = self.look(np.array(aims))
        short: list[tuple[_Climb, Float, float, float]] = []
        for climb, v, penalty, states in zip(going, aims, penalties, whole, strict=True):
            gaps, before = self.gaps(climb, states), self.merit(climb, climb.u, climb.states, penalty)
            move = float(np.linalg.norm(v - climb.u))
            fall = 0.5 * float(climb.u @ climb.u - v @ v) + penalty * float(
                np.maximum(self.gaps(climb, climb.states), 0.0).sum()
            )
            if self.merit(climb, v, states, penalty) > before - ARMIJO * max(fall, 0.0):
                short.append((climb, v, penalty, before))
                continue
            straight = self.lands_on_planes(climb, v, gaps, STRAIGHT * move + 1e-9)
            self.keep_planes(climb)
            climb.u, climb.states = v, states
            if straight:
                climb.end()
        self.shorten(short)

    def lands_on_planes(self, climb: _Climb, v: Float, gaps: Float, slack: float) -> bool:
        """Whether the columns at ``v`` (d,) agree with their planes, for the planes that hold the step back."""
        planes, chosen = climb.planes, list(climb.target)
        if planes is None:
            return False
        promised = planes.offsets[chosen] - planes.normals[chosen] @ v
        held = promised > -slack
        return bool((np.abs(gaps[held]) < slack).all() and (gaps < slack).all())

    def keep_planes(self, climb: _Climb) -> None:
        """Store the planes at the climb's position."""
        if climb.planes is not None:
            chosen = list(climb.target)
            climb.earlier.append((climb.planes.normals[chosen], climb.planes.offsets[chosen]))
            del climb.earlier[:-BUNDLED]

    def merit(self, climb: _Climb, u: Float, states: Float, penalty: float) -> float:
        """``|u|^2 / 2 + c sum_j max(0, distance to plane j)``."""
        return 0.5 * float(u @ u) + penalty * float(np.maximum(self.gaps(climb, states), 0.0).sum())

    def shorten(self, short: list[tuple[_Climb, Float, float, float]]) -> None:
        """Try shorter steps, and whole steps to where planes of earlier points meet too."""
        if not short:
            return
        tried, owners = [], []
        for k, (climb, v, *_) in enumerate(short):
            ways = [climb.u + f * (v - climb.u) for f in SHORTER]
            if (corner := self.corner(climb)) is not None:
                ways += [corner, 0.5 * (corner + climb.u)]
            tried += ways
            owners += [k] * len(ways)
        if len(tried) > self.left:
            for climb, *_ in short:
                climb.end("budget of the search spent")
            return
        found = self.look(np.array(tried))
        for k, (climb, _, penalty, before) in enumerate(short):
            rows = [i for i, owner in enumerate(owners) if owner == k]
            merits = [self.merit(climb, tried[i], found[i], penalty) for i in rows]
            best = int(np.argmin(merits))
            corner = self.corner(climb)
            self.keep_planes(climb)
            if corner is not None and np.linalg.norm(corner - climb.u) < TOLERANCE * max(
                1.0, float(np.linalg.norm(climb.u))
            ):
                climb.end()
            elif merits[best] < before - 1e-9:
                climb.u, climb.states = tried[rows[best]], found[rows[best]]
            else:
                climb.end("no step lowers the merit function")

    def corner(self, climb: _Climb) -> Float | None:
        """The nearest point to the origin at which the target's planes here and at earlier points meet."""
        if climb.planes is None or not climb.earlier:
            return None
        chosen = list(climb.target)
        normals = np.concatenate([climb.planes.normals[chosen], *(n for n, _ in climb.earlier)])
        offsets = np.concatenate([climb.planes.offsets[chosen], *(o for _, o in climb.earlier)])
        found = least_distance(normals, offsets)
        return None if found is None or np.linalg.norm(found[0]) > FARTHEST else found[0]

    def swap_columns(self) -> None:
        """From each point found, climb untried choices with one column exchanged that are as near."""
        tried = {c.target for c in self.climbs}
        ends = sorted((c for c in self.climbs if c.reached), key=lambda c: float(np.linalg.norm(c.u)))
        for climb in ends[:SEEDS]:
            planes = climb.planes
            if planes is None:
                continue
            new = []
            for left_out, taken_in in itertools.product(climb.target, range(len(self.stepped))):
                target = tuple(sorted({*climb.target, taken_in} - {left_out}))
                if len(target) == self.at_least and target not in tried and not self.stepped[list(target)].any():
                    reach = self.distance(target, planes)
                    if reach**2 <= float(climb.u @ climb.u) + 2.0 * NEGLIGIBLE:
                        new.append((reach, target))
            for _, target in sorted(new)[:RANDOM_TARGETS]:
                tried.add(target)
                self.climb_from(climb.u, climb.states, planes, [target])
        self.go_on()

    def climb_from_own_starts(self, targets: list[Target]) -> None:
        """Begin again where a target's own columns are large, in other directions than before."""
        share = self.left // max(1, len(targets))
        most = min(OWN_STARTS, share // (4 * self.dim + 8))
        for target in targets if most > 0 else []:
            value = self.own_value(target, self.pool_states)
            chosen = np.flatnonzero(peaks(self.pool, value, most))
            points = _drawn_near(self.pool[chosen])
            if self.left < len(points) * (2 * self.dim + 8):
                return
            at = self.look(points)
            found = self.planes_at(points, at, self.differences(points, at, DIFFERENCE))
            for u, here, planes in zip(points, at, found, strict=True):
                self.climb_from(u, here, planes, [target])
        self.go_on()

    def own_value(self, target: Target, states: Float) -> Float:
        """Value of the last column of the target (n,), each column in the unit of its spread over the pool."""
        chosen = list(target)
        columns = np.where(np.isfinite(self.pool_states[:, chosen]), self.pool_states[:, chosen], np.nan)
        spread = np.nanstd(columns, axis=0) if len(columns) > 1 else np.ones(len(chosen))
        value: Float = ((states[:, chosen] - self.goal) / np.where(spread > 0, spread, 1.0)).min(axis=1)
        return value

    # --- stepped columns ---

    def climb_steps(self, targets: list[Target], common: Float, at: Float) -> None:
        """Climbs of targets with stepped columns: from points beyond the edge, or from the largest levels."""
        for target in targets:
            share = self.left // max(1, len(targets))
            cost = self.draws + 2 * HALVINGS + STRETCHES.size
            begins = [*self.edge_starts(target), *self.level_starts(target, common, at)]
            for u, here in begins[: max(1, min(OWN_STARTS, share // (2 * cost)))]:
                if self.left < 2 * cost:
                    self.missed.setdefault(target, "budget of the search spent")
                    break
                if self.agree(target):
                    break
                self.climb_smoothed(target, u, here)

    def agree(self, target: Target) -> bool:
        """Whether `AGREED` climbs of ``target`` have all come to one place."""
        ends = [c.u for c in self.climbs if c.target == target]
        return len(ends) >= AGREED and all(np.linalg.norm(u - ends[0]) < APART for u in ends)

    @property
    def draws(self) -> int:
        """Number of draws from which a stepped column is linearised."""
        return 2 * self.dim + 20

    def reaches(self, target: Target, states: Float) -> Bool:
        """Which rows of ``states`` (n, m) have all columns of the target at the goal."""
        return np.asarray((states[:, list(target)] >= self.goal).all(axis=1))

    def edge_starts(self, target: Target) -> list[tuple[Float, Float]]:
        """Points on the edge of the target's event, on the rays of known points in it, in different directions."""
        inside = self.reaches(target, self.pool_states)
        for width in WIDER:
            if inside.any() or self.left < 4 * RUNG:
                break
            more = width * self.rng.standard_normal((RUNG, self.dim))
            self.pool = np.concatenate([self.pool, more])
            self.pool_states = np.concatenate([self.pool_states, self.look(more)])
            inside = self.reaches(target, self.pool_states)
        if not inside.any():
            return []
        points = self.pool[inside]
        near = points[peaks(points, -np.square(points).sum(axis=1), OWN_STARTS)]
        edges, states = self.drawn_in(target, near)
        return list(zip(edges, states, strict=True))

    def level_starts(self, target: Target, common: Float, at: Float) -> list[tuple[Float, Float]]:
        """The common starts with the largest levels of the target's columns."""
        order = np.argsort(-self.own_value(target, at), kind="stable")
        return [(common[i], at[i]) for i in order[:2]]

    def drawn_in(self, target: Target, points: Float) -> tuple[Float, Float]:
        """``points`` (k, d) in the target's event, moved towards the origin to where it begins; columns there."""

        def inside(share: Float) -> Bool:
            return self.reaches(target, self.look(share[:, None] * points))

        share = bisected(inside, np.zeros(len(points)), np.ones(len(points)), HALVINGS)
        edges: Float = share[:, None] * points
        return edges, self.look(edges)

    def climb_smoothed(self, target: Target, u: Float, states: Float) -> None:
        """Steps on columns linearised over draws around the point, then along the ray to the edge."""
        climb = _Climb(target, u, states, None)
        best: tuple[Float, Float] | None = None
        if self.reaches(target, states[np.newaxis])[0]:
            best = (u, states)
        for _ in range(ROUNDS):
            if self.left < self.draws + HALVINGS + STRETCHES.size + 1:
                break
            climb.planes = self.planes_of_draws(climb.u)
            aim = self.aim(climb)
            if aim is None:
                break
            v = aim[0] * min(1.0, FARTHEST / max(float(np.linalg.norm(aim[0])), 1e-300))
            move = float(np.linalg.norm(v - climb.u))
            climb.u = v
            on_edge = self.on_ray(target, v)
            if on_edge is not None:
                gain = math.inf if best is None else float(np.linalg.norm(best[0]) - np.linalg.norm(on_edge[0]))
                best = on_edge if gain > 0 else best
                climb.u = on_edge[0]
                if gain < 0.02 * float(np.linalg.norm(on_edge[0])):
                    break
            elif move < 0.1 * SMOOTHING:
                break
        if best is None:
            self.missed.setdefault(target, "no point beyond the edge of a stepped column was found")
            return
        climb.u, climb.states = self.without_noise(target, *best)
        climb.end()
        self.climbs.append(climb)

    def without_noise(self, target: Target, u: Float, states: Float) -> tuple[Float, Float]:
        """``u`` (d,) with as few non-zero coordinates as keep it in the target's event, and the columns there."""
        order = np.argsort(-np.abs(u), kind="stable")
        ways = [np.where(np.isin(np.arange(u.size), order[:r]), u, 0.0) for r in FEWER if r < u.size]
        tried = np.array([f * way for way in ways for f in (1.0, 1.05)])
        if not len(tried) or self.left < len(tried) + HALVINGS + 1:
            return u, states
        inside = np.flatnonzero(self.reaches(target, self.look(tried)))
        length = np.linalg.norm(tried[inside], axis=1)
        if not inside.size or length.min() >= np.linalg.norm(u):
            return u, states
        edge, there = self.drawn_in(target, tried[inside[[int(length.argmin())]]])
        return edge[0], there[0]

    def planes_of_draws(self, u: Float) -> Planes:
        """The planes of all columns by least squares on draws around ``u`` (d,).

        If draws lie on both sides of a column's edge, the side is fitted, and the plane lies where half of the draws
        are beyond; otherwise the level is fitted. Slopes within their noise count as zero.
        """
        n = self.draws
        moves = SMOOTHING * self.rng.standard_normal((n, self.dim))
        seen = self.look(u + moves)
        design = np.column_stack([np.ones(n), moves])
        inverse = np.linalg.inv(design.T @ design)
        slopes, short = np.zeros((seen.shape[1], self.dim)), np.zeros(seen.shape[1])
        for j, level in enumerate(seen.T):
            beyond = level >= self.goal
            mixed = MIXED < beyond.mean() < 1.0 - MIXED
            value = beyond.astype(np.float64) if mixed else np.where(np.isfinite(level), level, self.goal)
            fit = inverse @ (design.T @ value)
            error = math.sqrt(float(np.square(value - design @ fit).sum()) / max(1, n - self.dim - 1))
            clear = np.abs(fit[1:]) > NOISE * error * np.sqrt(np.diag(inverse)[1:])
            slopes[j] = np.where(clear, fit[1:], 0.0) if clear.any() else fit[1:]
            short[j] = (0.5 if mixed else self.goal) - fit[0]
        return _planes(u, slopes, short)

    def on_ray(self, target: Target, u: Float) -> tuple[Float, Float] | None:
        """The point where the target's event begins on the ray through ``u`` (d,), near it, and the columns there."""
        length = float(np.linalg.norm(u))
        if length == 0.0 or self.left < STRETCHES.size + HALVINGS + 1:
            return None
        stretches = STRETCHES[STRETCHES * length <= FARTHEST]
        inside = self.reaches(target, self.look(stretches[:, None] * u))
        if not inside.any():
            return None
        first = int(np.argmax(inside))
        low, high = (stretches[first - 1] if first else 0.0), stretches[first]
        begins = bisected(
            lambda c: self.reaches(target, self.look(c[:, None] * u)), np.array([low]), np.array([high]), HALVINGS
        )
        edge = begins[0] * u
        return edge, self.look(edge[np.newaxis])[0]

    # --- the end ---

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
            ahead = [c.u + reach * _outwards(c) for c in short]
            found = self.look(np.array(ahead))
            for climb, u, states in zip(short, ahead, found, strict=True):
                if self.reaches(climb.target, states[np.newaxis])[0]:
                    climb.u, climb.states = u, states

    def point(self, climb: _Climb) -> SystemPoint:
        beyond = {int(j) for j in np.flatnonzero(climb.states >= self.goal)}
        failing = tuple(sorted({*beyond, *climb.target}))
        return SystemPoint(climb.u, climb.states, failing, climb.target, climb.note)


def _planes(u: Float, slopes: Float, short: Float) -> Planes:
    """Planes at ``u`` (d,) from slopes (m, d) and the shortfalls of the columns from the goal there (m,)."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        largest = np.abs(slopes).max(axis=1)
        scaled = np.where(largest[:, None] > 0, slopes / largest[:, None], 0.0)
        steep = np.sqrt(np.square(scaled).sum(axis=1))
        normals = np.where(steep[:, None] > 0, scaled / steep[:, None], 0.0)
        gaps = np.where(steep > 0, short / largest / steep, np.inf)
        return Planes(np.nan_to_num(normals), np.nan_to_num(normals) @ u + gaps, largest * steep)


def _outwards(climb: _Climb) -> Float:
    """A move (d,) to one unit beyond each plane of the climb's columns, or along its ray without known planes."""
    if climb.planes is None:
        return unit(climb.u)
    normals = climb.planes.normals[list(climb.target)]
    found = least_distance(normals, np.ones(len(normals)))
    return unit(climb.u) if found is None else found[0]


def _drawn_near(points: Float) -> Float:
    """Points (k, d) moved to within `NEAR` of the origin."""
    length = np.sqrt(np.square(points).sum(axis=1))
    near: Float = points * np.minimum(1.0, NEAR / np.maximum(length, 1e-300))[:, None]
    return near
