"""Design points: the likeliest points of an event in standard normal space, by a gradient search from several starts.

The event is ``loss >= goal``. The density of the event is largest at its nearest point to the origin. With the distance
``beta`` of that point, ``Phi(-beta)`` is the probability's approximation by the first-order reliability method (FORM).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from raresim.diagnostics.endings import Ending, GaveUp, endings_of
from raresim.numerics.arrays import Float
from raresim.search.hlrf import Evaluate, Steps, penalty_of

Rows = NDArray[np.intp]

CENTRAL_UP_TO = 20
"""Largest dimension in which a gradient takes differences on both sides."""

DIFFERENCE = 1e-3
"""Step of a difference, in standard deviations."""

SHORTER = 0.5 ** np.arange(1, 6)
"""Shares of the step that are tried if the whole step does not lower the merit function."""

ARMIJO = 0.1
"""Share of the predicted decrease that a step must bring."""

FARTHEST = 12.0
"""Largest radius of a step: a standard normal lies beyond it with probability 1e-33."""

STEPS = Steps(difference=DIFFERENCE, central_up_to=CENTRAL_UP_TO, most_reach=FARTHEST, exact=True)

SAME_POINT = 1.0
"""Distance below which two points stand for the same region."""

MOST_PAIRED = 12
"""Largest number of design points between all pairs of which the event is looked for."""

BETWEEN = 6.0
"""Nats by which the density there may be below the density at the nearest design point."""

BEFORE_PLANES = 0.95
"""A point between two design points must lie within this share of the way to their planes."""

BISECTIONS = 6

RADII = np.arange(1.0, 9.0)
"""Radii at which the direction of a start is searched for the event."""

ELITES = 0.1
"""Share of a pilot, with the largest losses, from which starts are taken."""

UNSEEN = 0.22
"""Expected number of regions not found at which a search for several ends: eight climbs to two, 44 to seven."""

STRETCHES = np.array([1.0, 1.01, 1.03, 1.1, 1.3, 1.6, 2.0, 3.0])
"""How far outwards the event is looked for from the end of a climb that did not converge."""

HALVINGS = 10
"""Bisections that then bring it back to the event's boundary."""


class Step(NamedTuple):
    """One point of a climb: its start and iteration, its loss and distance, and the evaluations spent on it."""

    start: int
    iteration: int
    loss: float
    radius: float
    evaluations: int


@dataclass(frozen=True, eq=False)
class DesignPoint:
    """The end of a climb.

    Parameters
    ----------
    u : (d,) float64
        The point.
    loss : float
        Signed loss at the point.
    direction : (d,) float64
        Direction of steepest ascent of the loss, of length one.
    slope : float
        Length of the gradient, loss per standard deviation.
    start : int
        Index of the start that led here.
    note : str
        Why the climb ended before it converged; empty if it converged.
    reached : bool
        Whether the point is on the event's boundary, even if it is not the nearest of its region.
    nearest : bool
        Whether it is the nearest of its region although no climb converged there, as in a corner of two limit states.
    """

    u: Float
    loss: float
    direction: Float
    slope: float
    start: int
    note: str = ""
    reached: bool = True
    nearest: bool = False

    @property
    def beta(self) -> float:
        """Distance from the origin, in standard deviations."""
        return float(np.linalg.norm(self.u))

    @property
    def converged(self) -> bool:
        """Whether it is on the event's boundary, nearest to the origin to first order."""
        return not self.note

    @property
    def settled(self) -> bool:
        """Whether it is the nearest point of its region, by a climb or otherwise."""
        return self.converged or self.nearest


Settle = Callable[["Search", Sequence[DesignPoint]], "Search"]
"""From climbs and known design points to the same climbs, with ends that did not converge moved to nearest points."""


@dataclass(frozen=True, eq=False)
class Search:
    """What a search for design points found.

    Parameters
    ----------
    ends : tuple of DesignPoint
        The end of each climb.
    points : tuple of DesignPoint
        Ends on the event's boundary, one for each region: first those that converged, then other nearest points, each
        group nearest first.
    steps : tuple of Step
        The points on the way.
    evaluations : int
        Number of evaluations of the loss.
    """

    ends: tuple[DesignPoint, ...]
    points: tuple[DesignPoint, ...]
    steps: tuple[Step, ...]
    evaluations: int

    def and_(self, later: Search, looked: int) -> Search:
        """Both searches, with the starts of ``later`` numbered after these; ``looked`` evaluations chose its starts."""
        n = len(self.ends)
        ends = (*self.ends, *(replace(end, start=n + end.start) for end in later.ends))
        share = looked // max(1, len(later.ends))
        steps = [step._replace(start=n + step.start) for step in later.steps]
        steps = [s._replace(evaluations=s.evaluations + (share if s.iteration == 1 else 0)) for s in steps]
        return Search(ends, distinct(ends), (*self.steps, *steps), self.evaluations + later.evaluations + looked)

    @property
    def gave_up(self) -> tuple[Ending, ...]:
        """Why starts did not come to the event's boundary."""
        return endings_of(end.note for end in self.ends if not end.reached)

    @property
    def reached(self) -> int:
        """Number of starts that came to the event's boundary."""
        return sum(end.reached for end in self.ends)

    @property
    def outcome(self) -> str:
        """The outcome in words."""
        settled = sum(end.settled for end in self.ends)
        notes = "; ".join(sorted({end.note for end in self.ends if not end.settled}))
        text = f"{self.reached} of {len(self.ends)} starts reached the threshold"
        return f"{text}, {settled} at a design point ({notes})" if notes else text


def gradient_cost(dim: int) -> int:
    """Evaluations of one gradient, without the one at the point itself."""
    return STEPS.cost(dim)


def unseen_share(found: int, climbs: int) -> float:
    """Expected share of the regions that ``climbs`` climbs to ``found`` regions have missed; 0 for one region.

    References
    ----------
    .. [1] Boender & Rinnooy Kan, *Bayesian stopping rules for multistart global optimization methods*,
       Math. Program. 37, 1987.
    """
    return min(1.0, found * (found + 1) / max(1.0, climbs * (climbs - 1.0))) if found > 1 else 0.0


def slope_direction(u: Float, loss: Float) -> Float:
    """Direction (d,) of the mean gradient of the loss's ranks over draws ``u`` (n, d) of the target.

    For standard normals ``E[f(u) u] = E[grad f(u)]`` ([1]_), so no difference is taken and plateaus do no harm.

    References
    ----------
    .. [1] Stein, *Estimation of the mean of a multivariate normal distribution*, Ann. Stat. 9, 1981.
    """
    from scipy.stats import rankdata

    ranks = rankdata(loss)
    return unit((ranks - ranks.mean()) @ u)


def start_directions(u: Float, loss: Float, k: int, taken: Float | None = None) -> Float:
    """Start directions (k, d): the mean slope, the largest loss, and large losses far from directions taken before.

    Parameters
    ----------
    u : (n, d) float64
        Draws of the target.
    loss : (n,) float64
        Losses of the draws, signed.
    k : int
        Number of directions.
    taken : (j, d) float64, optional
        Directions of earlier starts: the result then has only other directions.
    """
    best = np.argsort(-loss, kind="stable")[: max(k, math.ceil(ELITES * loss.size))]
    elites = u[best] / np.maximum(np.linalg.norm(u[best], axis=1), 1e-300)[:, None]
    chosen = [slope_direction(u, loss), elites[0]] if taken is None else list(taken)
    first = 0 if taken is None else len(chosen)
    while len(chosen) < first + k:
        nearest = np.max(elites @ np.array(chosen).T, axis=1)
        chosen.append(elites[int(nearest.argmin())])
    return np.array(chosen[first : first + k])


def start_points(evaluate: Evaluate, goal: float, directions: Float) -> tuple[Float, int]:
    """The first point of the event along each direction, or the point of largest loss; and the evaluations spent."""
    k, d = directions.shape
    grid = (RADII[:, None, None] * directions).reshape(-1, d)
    loss = evaluate(np.asfortranarray(grid)).reshape(RADII.size, k)
    first = np.where((loss >= goal).any(axis=0), (loss >= goal).argmax(axis=0), loss.argmax(axis=0))
    return RADII[first][:, None] * directions, loss.size


def explore(
    evaluate: Evaluate,
    goal: float,
    u: Float,
    loss: Float,
    starts: int,
    max_evaluations: int,
    rounds: int = 16,
    settle: Settle | None = None,
) -> Search:
    """Search from the largest losses of a pilot, and again in other directions while there may be more regions.

    Parameters
    ----------
    evaluate : callable
        See `Evaluate`.
    goal : float
        The threshold, with the sign of the losses.
    u : (n, d) float64
        Draws of the target.
    loss : (n,) float64
        Losses of the draws, signed.
    starts : int
        Climbs of a round.
    max_evaluations : int
        Largest number of evaluations of the loss.
    rounds : int
        Largest number of rounds. Another one follows if the last found a second or later region, while fewer than two
        climbs have come to each region, and while `unseen_share` expects more than `UNSEEN` regions not to be found.
    settle : callable, optional
        Treats the climbs of a round that did not converge; without it, and if none converged, each of them counts as a
        region of its own.
    """
    directions = start_directions(u, loss, starts)
    found = Search((), (), (), 0)
    for _ in range(rounds):
        new = directions[len(found.ends) :]
        left = max_evaluations - found.evaluations - len(new) * RADII.size
        if left < len(new) * (gradient_cost(u.shape[1]) + SHORTER.size + 2):
            break
        begin, looked = start_points(evaluate, goal, new)
        search = find_design_points(evaluate, goal, begin, left)
        if settle:
            search = settle(search, found.points)
        known = len([point for point in found.points if point.settled] or found.points)
        found = found.and_(search, looked)
        regions = len([point for point in found.points if point.settled] or found.points)
        seen = found.reached >= 2 * regions and regions * unseen_share(regions, found.reached) <= UNSEEN
        if seen and regions <= max(known, 1):
            break
        directions = np.concatenate([directions, start_directions(u, loss, starts, directions)])
    return found


def find_design_points(
    evaluate: Evaluate,
    goal: float,
    starts: Float,
    max_evaluations: int,
    max_iterations: int = 30,
    tolerance: float = 1e-3,
) -> Search:
    """Climb from every start to a point of ``loss >= goal`` nearest to the origin.

    Parameters
    ----------
    evaluate : callable
        See `Evaluate`.
    goal : float
        The threshold, with the sign of the losses.
    starts : (k, d) float64
        Points where the climbs begin.
    max_evaluations : int
        Largest number of evaluations of the loss.
    max_iterations : int
        Steps after which a climb gives up.
    tolerance : float
        Distance from the boundary, and from the ray along the gradient, at which a climb has converged.

    Notes
    -----
    The step of `raresim.search.hlrf` is shortened until its merit ``|u|^2 / 2 + c |goal - loss|`` falls. The climbs run
    side by side, so an iteration is two or three calls; a climb that comes close to the end of another stops there.
    """
    climbs = _Climbs(evaluate, goal, np.array(starts, dtype=np.float64), max_evaluations, tolerance)
    for iteration in range(1, max_iterations + 1):
        if not climbs.step(iteration):
            break
    climbs.end(climbs.active.copy(), GaveUp(Ending.UNSETTLED, f"not converged in {max_iterations} iterations"))
    climbs.bring_to_boundary()
    ends = climbs.ends()
    return Search(ends, distinct(ends), tuple(climbs.steps), climbs.evaluations)


@dataclass(eq=False)
class _Climbs:
    """All climbs of one search, side by side."""

    evaluate: Evaluate
    goal: float
    u: Float
    max_evaluations: int
    tolerance: float
    evaluations: int = 0
    steps: list[Step] = field(default_factory=list)

    def __post_init__(self) -> None:
        k = len(self.u)
        self.loss = np.full(k, -np.inf)
        self.direction = np.zeros(self.u.shape)
        self.slope = np.zeros(k)
        self.notes: list[str] = [""] * k
        self.reached = np.zeros(k, dtype=np.bool_)
        self.active = np.arange(k)

    def step(self, iteration: int) -> bool:
        """One iteration of every active climb; returns whether any goes on."""
        active, d = self.active, self.u.shape[1]
        first = int(iteration == 1)
        if self.evaluations + active.size * (gradient_cost(d) + 1 + SHORTER.size + first) > self.max_evaluations:
            self.end(active.copy(), GaveUp(Ending.BUDGET, "budget of the search spent"))
            return False
        spent = np.full(len(self.u), first + gradient_cost(d))
        if first:
            self.loss[active] = self.look(self.u[active])
        gradient = STEPS.gradients(self.look, self.u[active], self.loss[active])
        with np.errstate(invalid="ignore", over="ignore"):
            slope = np.linalg.norm(gradient, axis=1)
        flat = ~(np.isfinite(slope) & (slope > 0) & np.isfinite(self.loss[active]))
        slope[flat] = 1.0
        gradient[flat] = 0.0
        self.slope[active], self.direction[active] = np.where(flat, 0.0, slope), gradient / slope[:, None]
        gap, across = self.distances()
        radius = np.linalg.norm(self.u[active], axis=1)
        converged = ~flat & (np.abs(gap) < self.tolerance) & (across < self.tolerance * np.maximum(1.0, radius))
        going = ~flat & ~converged
        stuck = self.advance(active[going], gap[going], spent) if going.any() else active[:0]
        self.record(active, iteration, spent)
        self.end(active[flat], GaveUp(Ending.FLAT, "the loss is flat around the point reached"))
        self.end(active[converged], "")
        self.end(stuck, GaveUp(Ending.UNSETTLED, "no step lowers the merit function"))
        self.join(active[converged])
        return self.active.size > 0

    def look(self, u: Float) -> Float:
        """The losses at the rows of ``u``; they are counted."""
        self.evaluations += len(u)
        return self.evaluate(np.asfortranarray(u))

    def distances(self) -> tuple[Float, Float]:
        """For every active point: distance along the gradient to the linearised edge, and distance from its ray."""
        u, a = self.u[self.active], self.direction[self.active]
        with np.errstate(invalid="ignore"):
            gap = (self.goal - self.loss[self.active]) / np.maximum(self.slope[self.active], 1e-300)
        along = np.einsum("ij,ij->i", u, a)
        return gap, np.linalg.norm(u - along[:, None] * a, axis=1)

    def advance(self, who: Rows, gap: Float, spent: Rows) -> Rows:
        """Move each of ``who`` by the longest step that lowers its merit; returns those for which no step did."""
        u, a, slope = self.u[who], self.direction[who], self.slope[who]
        move, penalty = STEPS.aims(u, a, gap) - u, penalty_of(u, slope)
        downhill = np.einsum("ij,ij->i", u, move) - penalty * slope * np.abs(gap)

        def merit(v: Float, loss: Float, c: Float) -> Float:
            return STEPS.merit(v, loss, self.goal, c)

        before = merit(u, self.loss[who], penalty)
        whole = self.look(u + move)
        spent[who] += 1
        taken = merit(u + move, whole, penalty) <= before + ARMIJO * np.minimum(downhill, 0.0)
        self.u[who[taken]], self.loss[who[taken]] = (u + move)[taken], whole[taken]
        rest = np.flatnonzero(~taken)
        if not rest.size:
            return who[:0]
        shorter = u[rest, None, :] + SHORTER[:, None] * move[rest, None, :]
        loss = self.look(shorter.reshape(-1, u.shape[1])).reshape(rest.size, SHORTER.size)
        spent[who[rest]] += SHORTER.size
        wanted = before[rest, None] + ARMIJO * SHORTER * np.minimum(downhill[rest, None], 0.0)
        good = merit(shorter, loss, penalty[rest, None]) <= wanted
        first, found = good.argmax(axis=1), good.any(axis=1)
        moved = rest[found]
        self.u[who[moved]] = shorter[found, first[found]]
        self.loss[who[moved]] = loss[found, first[found]]
        stuck: Rows = who[rest[~found]]
        return stuck

    def record(self, who: Rows, iteration: int, spent: Rows) -> None:
        """Record the position of each of ``who``."""
        for k in who:
            radius = float(np.linalg.norm(self.u[k]))
            self.steps.append(Step(int(k), iteration, float(self.loss[k]), radius, int(spent[k])))

    def end(self, who: Rows, note: str) -> None:
        """End the climbs ``who``, and say why."""
        for k in who:
            self.notes[k] = note
        self.active = np.setdiff1d(self.active, who)

    def join(self, ended: Rows) -> None:
        """End the climbs close to one of ``ended``: they would end there too."""
        for k in ended:
            near = self.active[np.linalg.norm(self.u[self.active] - self.u[k], axis=1) < 0.5 * SAME_POINT]
            for field_ in (self.u, self.loss, self.direction, self.slope):
                field_[near] = field_[k]
            self.end(near, "")

    def bring_to_boundary(self) -> None:
        """Move climbs that did not converge along their rays to where the event begins, if that is near."""
        self.reached[:] = [not note for note in self.notes]
        who = looked = np.flatnonzero(~self.reached)
        cost = who.size * (STRETCHES.size + HALVINGS)
        if not self.steps or not who.size or self.evaluations + cost > self.max_evaluations:
            return
        u = self.u[who]
        most = np.maximum(1.0, FARTHEST / np.maximum(np.linalg.norm(u, axis=1), 1e-300))
        stretches = np.minimum(STRETCHES[:, None], most)
        loss = self.look((stretches[..., None] * u).reshape(-1, u.shape[1])).reshape(stretches.shape)
        found = (loss >= self.goal).any(axis=0)
        first = (loss >= self.goal).argmax(axis=0)
        column = np.arange(who.size)
        low, high = np.where(first > 0, stretches[first - 1, column], 0.0)[found], stretches[first, column][found]
        best = loss[first, column][found]
        who, u = who[found], u[found]
        for _ in range(HALVINGS if who.size else 0):
            middle = 0.5 * (low + high)
            seen = self.look(middle[:, None] * u)
            within = seen >= self.goal
            low, high, best = (
                np.where(within, low, middle),
                np.where(within, middle, high),
                np.where(within, seen, best),
            )
        self.u[who], self.loss[who], self.reached[who] = high[:, None] * u, best, True
        spent = np.full(len(self.u), STRETCHES.size)
        spent[who] += HALVINGS
        self.record(looked, max(step.iteration for step in self.steps) + 1, spent)
        for k in who[self.slope[who] == 0]:
            self.direction[k] = unit(self.u[k])

    def ends(self) -> tuple[DesignPoint, ...]:
        """The end of each climb."""
        return tuple(
            DesignPoint(
                u=self.u[k],
                loss=float(self.loss[k]),
                direction=self.direction[k],
                slope=float(self.slope[k]),
                start=k,
                note=self.notes[k],
                reached=bool(self.reached[k]),
            )
            for k in range(len(self.u))
        )


def distinct(ends: Iterable[DesignPoint]) -> tuple[DesignPoint, ...]:
    """One of the points on the boundary for each region, in the order of `Search.points`."""
    kept: list[DesignPoint] = []
    for point in sorted((end for end in ends if end.reached), key=lambda p: (not p.converged, not p.nearest, p.beta)):
        if all(np.linalg.norm(point.u - other.u) >= SAME_POINT for other in kept):
            kept.append(point)
    return tuple(kept)


def between(evaluate: Callable[[Float], Float], goal: float, points: Float, most: float) -> tuple[Float, int]:
    """Points halfway between two design points where the event begins before their planes; and the evaluations spent.

    Parameters
    ----------
    evaluate : callable
        Losses (n,), signed, at points (n, d).
    goal : float
        The threshold, signed.
    points : (k, d) float64
        Design points; for more than `MOST_PAIRED`, nothing is searched.
    most : float
        Largest number of evaluations; if they may not suffice, nothing is searched.

    Returns
    -------
    (j, d) float64 and int
        Points that reach the goal, with a density at most `BETWEEN` nats below the largest at ``points``.

    Notes
    -----
    A sum of heavy tails mostly fails by one large term, for which its design points stand. Two terms together fail
    rarely, but far from either point, and without draws of its own this part has the largest weights. Events beyond
    planes have nothing there that draws around these points do not reach.
    """
    k, d = points.shape
    first, second = np.triu_indices(k if k <= MOST_PAIRED else 0, 1)
    length = np.sqrt(np.square(points).sum(axis=1))
    towards = points / length[:, None]
    apart = (towards[first] * towards[second]).sum(axis=1) <= -0.5
    way = (towards[first] + towards[second])[~apart]
    if not len(way) or len(way) * (1 + BISECTIONS) > most:
        return np.empty((0, d)), 0
    way /= np.sqrt(np.square(way).sum(axis=1, keepdims=True))
    planes = 1.0 / (way @ towards.T / length).max(axis=1)
    farthest = np.minimum(math.sqrt(length.min() ** 2 + 2.0 * BETWEEN), BEFORE_PLANES * planes)
    inside = evaluate(farthest[:, None] * way) >= goal
    way, high = way[inside], farthest[inside]
    begins = bisected(lambda c: evaluate(c[:, None] * way) >= goal, np.zeros(len(way)), high, BISECTIONS)
    return begins[:, None] * way, inside.size + BISECTIONS * len(way)


def bisected(inside: Callable[[Float], NDArray[np.bool_]], low: Float, high: Float, steps: int) -> Float:
    """Where an event begins between ``low`` and ``high`` (k,), with ``high`` in it: by bisection, all at once."""
    for _ in range(steps if len(high) else 0):
        middle = 0.5 * (low + high)
        hit = inside(middle)
        low, high = np.where(hit, low, middle), np.where(hit, middle, high)
    return high


LARGE = 1e150
"""Entry of a vector whose square may overflow."""


def unit(v: Float) -> Float:
    """``v`` at length one; the first axis for a zero vector."""
    if v.size and np.abs(v).max() > LARGE:
        v = v / np.abs(v).max()
    length = float(np.linalg.norm(v))
    return v / length if length > 0 and math.isfinite(length) else np.eye(1, v.size)[0]
