"""Walks uphill in the loss from several points at once, towards the nearest points of failure regions."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raresim.numerics.arrays import Bool, Float
from raresim.search.design_points import bisected
from raresim.search.hlrf import Evaluate, Steps, penalty_of

Index = NDArray[np.intp]

MAX_MOVE = 5.0
MAX_NORM = 15.0

WIDE = 0.25
"""Distance over which differences are taken: wide enough that small noise and small jumps do not decide."""

STEPS = Steps(difference=WIDE, outwards=True, most_ahead=2.0 * MAX_NORM)

FRACTIONS = (1.0, 0.5, 0.2)
CLOSE = 0.7
"""A walk in the event ends if its next move is shorter than this."""

LINEAR = 0.02
"""A walk also ends if a full step came this close to the goal, relative to the loss that it had to gain."""

TOGETHER = 0.5
"""Distance below which two walks are assumed to go to the same place."""

ROUNDS = 8

BESIDE = 0.1
"""A point from which the linearised loss reaches the goal within this distance counts as next to the event."""

AXIS_TIP = 4.0
AXIS_LIMIT = 7.0
AXIS_STEPS = 7


@dataclass(frozen=True, eq=False)
class Climbs:
    """The ends of walks uphill.

    Parameters
    ----------
    points : (k, d)
        Ends that lie in the event, or next to it.
    directions : (k, d)
        Unit gradient of the loss at these points.
    started, flat : int
        Number of walks, and of walks that ended because the loss did not change.
    """

    points: Float
    directions: Float
    started: int
    flat: int


@np.errstate(over="ignore", invalid="ignore")
def climb(evaluate: Evaluate, starts: Float, losses: Float, goal: float, most: float = math.inf) -> Climbs:
    """Walk from each start towards the nearest point where the loss is ``goal``.

    Parameters
    ----------
    evaluate : callable
        The loss.
    starts : (k, d)
        Points where walks begin.
    losses : (k,)
        The loss at the starts.
    goal : float
        The loss that walks have to reach.
    most : float
        Largest number of evaluations of a round: walks that could exceed it are ended before.

    Notes
    -----
    Several fractions of the step of `raresim.search.hlrf` are tried, and the one with the best merit is taken. All
    walks move together: a round is one call for the gradients and one for the candidates.
    """
    walks = _Walks(starts.copy(), losses.astype(np.float64), goal)
    spent = 0
    for _ in range(ROUNDS):
        spent += int(walks.active.sum()) * (starts.shape[1] + len(FRACTIONS))
        if spent > most or not walks.active.any():
            break
        walks.advance(evaluate)
    ended = (walks.value >= goal - walks.slack) & (np.square(walks.direction).sum(axis=1) > 0)
    return Climbs(walks.at[ended], walks.direction[ended], len(starts), walks.flat)


@dataclass(eq=False)
class _Walks:
    """Positions of the walks, and which of them go on.

    ``slack``: a point whose loss is below the goal by no more than this counts as in the event.
    """

    at: Float
    value: Float
    goal: float
    flat: int = 0

    def __post_init__(self) -> None:
        self.direction = np.zeros_like(self.at)
        self.active: Bool = np.isfinite(self.value)
        self.slack = np.zeros(len(self.at))

    def advance(self, evaluate: Evaluate) -> None:
        """One round: a call for the gradients, and one for the candidates."""
        walk = np.flatnonzero(self.active)
        gradient = STEPS.gradients(evaluate, self.at[walk], self.value[walk])
        steep = np.hypot.reduce(gradient, axis=1)
        usable = np.isfinite(steep) & (steep > 0)
        self.flat += int((~usable).sum())
        self.active[walk[~usable]] = False
        walk, gradient, steep = walk[usable], gradient[usable], steep[usable]
        unit = gradient / steep[:, None]
        self.direction[walk] = unit
        self.slack[walk] = BESIDE * steep
        here, value = self.at[walk], self.value[walk]
        aim = STEPS.aims(here, unit, (self.goal - value) / steep)
        length = np.sqrt(np.square(aim - here).sum(axis=1))
        arrived = (length < CLOSE) & (value >= self.goal - self.slack[walk])
        self.active[walk[arrived]] = False
        if not arrived.all():
            self.step(evaluate, walk[~arrived], aim[~arrived], steep[~arrived])

    def step(self, evaluate: Evaluate, walk: Index, aim: Float, steep: Float) -> None:
        """Move the walks with indices ``walk`` towards ``aim`` (k, d), if that is better than to stay."""
        here, value = self.at[walk], self.value[walk]
        move = aim - here
        length = np.sqrt(np.square(move).sum(axis=1))
        move *= np.minimum(1.0, MAX_MOVE / np.maximum(length, 1e-12))[:, None]
        tried = np.stack([_within(here + f * move) for f in FRACTIONS])
        found = evaluate(tried.reshape(-1, here.shape[1])).reshape(len(FRACTIONS), walk.size)
        penalty = penalty_of(aim, steep)
        merit = STEPS.merit(tried, found, self.goal, penalty)
        before = STEPS.merit(here, value, self.goal, penalty)
        best = np.nan_to_num(merit, nan=math.inf).argmin(axis=0)
        row = np.arange(walk.size)
        better = merit[best, row] < before - 1e-9
        self.active[walk[~better]] = False
        self.at[walk[better]], self.value[walk[better]] = tried[best, row][better], found[best, row][better]
        self.active[_followers(self.at, self.value, self.active, self.goal)] = False
        gained = np.abs(found[0] - self.goal) <= LINEAR * (self.goal - value)
        straight = better & (best == 0) & (length <= MAX_MOVE) & gained
        self.active[walk[straight]] = False
        self.slack[walk[straight]] = np.maximum(self.slack[walk], LINEAR * (self.goal - value))[straight]


def _followers(at: Float, value: Float, active: Bool, goal: float) -> list[int]:
    """Active walks within `TOGETHER` of one that is at least as high: they would end where it ends."""
    order = np.lexsort((np.square(at).sum(axis=1), -np.minimum(value, goal))).tolist()
    followers = []
    for place, k in enumerate(order):
        leaders = order[:place]
        if active[k] and leaders and np.square(at[leaders] - at[k]).sum(axis=1).min() < TOGETHER**2:
            followers.append(k)
    return followers


def axis_roots(evaluate: Evaluate, dim: int, goal: float, centre: float, usual: float) -> Float:
    """Points where the coordinate axes enter the event, within `AXIS_LIMIT` of the origin.

    Parameters
    ----------
    evaluate : callable
        The loss.
    dim : int
        Number of coordinates.
    goal : float
        The loss that has to be reached.
    centre : float
        The loss at the origin.
    usual : float
        A loss that few random draws exceed: axes are only followed if it is exceeded on more than one.

    Returns
    -------
    (k, d) float64
        Points on axes that reach the goal.

    Notes
    -----
    Sums and maxima of independent factors fail along axes, and random draws never find all of these. The roots are
    found by bisection, on all axes at once, which works for losses that grow by orders of magnitude, or in jumps, as
    well as for linear ones.
    """
    axes = np.concatenate([np.eye(dim), -np.eye(dim)])
    at_tip = evaluate(AXIS_TIP * axes)
    if np.count_nonzero(at_tip > usual) < 2:
        return np.empty((0, dim))
    low, high = np.zeros(2 * dim), np.full(2 * dim, AXIS_TIP)
    rising = np.flatnonzero((at_tip < goal) & (at_tip > centre))
    low[rising], high[rising] = AXIS_TIP, AXIS_LIMIT
    entered = at_tip >= goal
    if rising.size:
        entered[rising] = evaluate(AXIS_LIMIT * axes[rising]) >= goal
    low, high, axes = low[entered], high[entered], axes[entered]
    begins = bisected(lambda c: evaluate(c[:, None] * axes) >= goal, low, high, AXIS_STEPS)
    roots: Float = begins[:, None] * axes
    return roots


def peaks(u: Float, loss: Float, most: int, apart: float = 0.7) -> Bool:
    """The rows with the largest losses, at most ``most``, with pairwise cosines of their directions below ``apart``."""
    unit = u / np.maximum(np.sqrt(np.square(u).sum(axis=1)), 1e-12)[:, None]
    open_ = np.isfinite(loss)
    chosen = np.zeros(loss.size, dtype=bool)
    for i in np.argsort(-loss, kind="stable"):
        if not open_[i]:
            continue
        chosen[i] = True
        if chosen.sum() == most:
            break
        open_ &= unit @ unit[i] < apart
    return chosen


def regions(evaluate: Evaluate, points: Float, goal: float) -> list[list[int]]:
    """Groups of points in one failure region: halfway between two points of it the loss still reaches ``goal``.

    Halfway is meant on the sphere: the midpoint is moved out to the larger of the two distances from the origin, and a
    little further, so that a ring or a shell is one region. If a third point is nearer to it than the two, it may lie
    in the region of the third alone, as between two sides of a polygon with another side in the middle: then only the
    third point can join the two.
    """
    groups: list[list[int]] = []
    for i, point in enumerate(points):
        firsts = list(groups)
        joined: list[list[int]] = []
        if firsts:
            others = np.array([min(group, key=lambda j: _distance(points[j], point)) for group in firsts])
            halfway = np.array([_halfway(points[j], point) for j in others])
            near = np.array([_distance(points[j], point) < 1.0 for j in others])
            reaches = near.copy()
            if not near.any():
                thirds = [_is_beside_a_third(at, points, (i, j)) for j, at in zip(others, halfway, strict=True)]
                reaches = (evaluate(halfway) >= goal) & ~np.array(thirds)
            joined = [group for group, r in zip(firsts, reaches, strict=True) if r]
        merged = [i, *(j for group in joined for j in group)]
        groups = [group for group in groups if group not in joined] + [merged]
    return groups


def _within(u: Float) -> Float:
    """Rows within `MAX_NORM` of the origin."""
    norm = np.sqrt(np.square(u).sum(axis=1))
    shortened: Float = u * np.minimum(1.0, MAX_NORM / np.maximum(norm, 1e-12))[:, None]
    return shortened


def _is_beside_a_third(at: Float, points: Float, two: tuple[int, int]) -> bool:
    """Whether ``at`` (d,) is nearer to another of the ``points`` (k, d) than to these ``two``."""
    return int(np.square(points - at).sum(axis=1).argmin()) not in two


def _distance(a: Float, b: Float) -> float:
    return math.sqrt(float(np.square(a - b).sum()))


def _halfway(a: Float, b: Float) -> Float:
    middle = 0.5 * (a + b)
    norm = math.sqrt(float(middle @ middle))
    outer = 0.2 + max(math.sqrt(float(a @ a)), math.sqrt(float(b @ b)))
    halfway: Float = middle * (outer / norm) if norm > 0.1 * outer else middle
    return halfway
