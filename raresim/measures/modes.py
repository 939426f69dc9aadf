"""Failure modes of an event: climbs from its densest draws to design points, and which of these lie in one region."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from raresim.distributions.base import Inputs
from raresim.errors import LossError
from raresim.losses.failures import collecting
from raresim.numerics.arrays import Float
from raresim.search.climbing import peaks, regions
from raresim.search.design_points import (
    HALVINGS,
    SHORTER,
    DesignPoint,
    Search,
    distinct,
    explore,
    find_design_points,
    gradient_cost,
    unit,
)
from raresim.search.explorer import Explorer

Labels = NDArray[np.intp]

MAX_EVALUATIONS, MAX_SHARE, FEW = 2000, 0.2, 300
"""Evaluations that all scenarios together may take: the first, or this share of the estimate's draws if that is less.

Where that share is below the third, they may take the third, but never more than there were draws.
"""

CLIMBING = 0.75
"""Share of these evaluations for climbs; the rest tells regions apart and evaluates scenarios."""

CLIMBS = 4
"""Climbs in a round; the first round has one."""

STEPS = 3
"""Approximate steps of a climb; a round has no more climbs than its evaluations allow."""

MOST_CLIMBS = 32
UNEXPLAINED = 0.01
"""Climbs end when at most this share of the event's probability lies beyond no tangent plane."""

BESIDE = 0.05
"""Distance from a tangent plane, in standard deviations, up to which a draw still counts as beyond it."""

PILOT = 200
"""Largest number of draws of the target from which climbs start, if the kept draws are no standard normals."""


@dataclass(eq=False)
class Prices:
    """Evaluates losses of scenarios, and counts the evaluations.

    Parameters
    ----------
    explorer : Explorer
        Evaluates at standard normals, as a stage of the run.
    n : int
        Number of draws of the estimate.
    left : int
        Evaluations that are left of the run's budget.
    """

    explorer: Explorer
    n: int
    left: int = MAX_EVALUATIONS
    failed: int = 0

    @property
    def inputs(self) -> Inputs:
        return self.explorer.problem.inputs

    @property
    def evaluations(self) -> int:
        return self.explorer.evaluations

    @property
    def most(self) -> int:
        """Evaluations allowed in total."""
        return min(MAX_EVALUATIONS, self.left, max(int(MAX_SHARE * self.n), min(FEW, self.n)))

    @property
    def left_to_climb(self) -> int:
        """Evaluations that climbs may still take."""
        return max(0, int(CLIMBING * self.most) - self.evaluations)

    def __call__(self, u: Float) -> Float:
        """Losses (n,) at standard normals (n, l); ``-inf`` where the user's function failed and is bounded."""
        with collecting():  # what fails here is no row of the estimate
            return self._counted(self.explorer(u, "scenarios"))

    def factors(self, u: Float) -> Float:
        """The risk factors (n, d) of standard normals (n, l), in an array of its own."""
        x = np.empty((len(u), self.inputs.dim), order="F")
        return np.array(self.inputs.to_physical(np.asfortranarray(u), x), order="F")

    def at(self, x: Float) -> Float:
        """Losses (n,) at risk factors (n, d)."""
        with collecting():
            return self._counted(self.explorer.at_factors(x, "scenarios"))

    def _counted(self, loss: Float) -> Float:
        """``loss`` (n,), of which the rows without one are counted."""
        self.failed += int(np.isneginf(loss).sum())
        return loss

    def known(self, x: Float) -> list[float | None]:
        """As `at`, with None where there is no loss for any reason, or no evaluation is left."""
        if not len(x) or self.evaluations + len(x) > self.most:
            return [None] * len(x)
        try:
            return [float(loss) if np.isfinite(loss) else None for loss in self.at(x)]
        except LossError:
            return [None] * len(x)


@dataclass(frozen=True, eq=False)
class Modes:
    """What the climbs found.

    Parameters
    ----------
    points : tuple of DesignPoint
        On the event's boundary.
    mode : tuple of int
        The region of each.
    label : (j,) int
        The region of each draw of the event, by the tangent plane that the draw lies furthest beyond.
    unexplained : float
        Share of the event's probability beyond none of these planes.
    climbs : int
        Number of climbs.
    problem : str
        Why points may be missing; empty where nothing went wrong.
    """

    points: tuple[DesignPoint, ...] = ()
    mode: tuple[int, ...] = ()
    label: Labels = field(default_factory=lambda: np.zeros(0, dtype=np.intp))
    unexplained: float = 1.0
    climbs: int = 0
    problem: str = ""

    @property
    def count(self) -> int:
        """Number of regions."""
        return max(self.mode, default=0) + 1


def find_modes(prices: Prices, goal: float, u: Float, weight: Float) -> Modes:
    """Climb from the densest known point, then from draws beyond no tangent plane; join points of the same region.

    Parameters
    ----------
    prices : Prices
        Evaluates losses.
    goal : float
        The threshold.
    u : (j, l) float64
        Standard normals of the draws in the event.
    weight : (j,) float64
        Their weights.

    Notes
    -----
    Two points belong to one region if the loss halfway between them reaches the threshold, see `climbing.regions`. If
    two regions lie beyond the same tangent plane, the search does not look for the farther one.
    """
    found, problem = Search((), (), (), 0), ""
    share, radius = weight / weight.sum(), np.linalg.norm(u, axis=1)
    unexplained = np.ones(len(u), dtype=np.bool_)
    try:
        starts = _first_start(prices, goal, u, share, radius)
        while float(share[unexplained].sum()) > UNEXPLAINED and len(found.ends) < MOST_CLIMBS:
            left = prices.left_to_climb
            if left < len(starts) * _first_step(u.shape[1]):
                problem = _spent(prices)
                found = found if found.points else _on_rays(prices, goal, starts)
                break
            search, known = find_design_points(prices, goal, starts, left), len(found.points)
            found = found.and_(search, 0)
            if len(found.points) == known:
                problem = "" if search.reached == len(starts) else _spent(prices)
                break
            unexplained = _beyond(found.points, u).max(axis=1) < -BESIDE
            size = min(CLIMBS, max(1, prices.left_to_climb // (STEPS * _first_step(u.shape[1]))))
            starts = u[unexplained][peaks(u[unexplained], -radius[unexplained], size)]
    except LossError as error:
        problem = f"The loss failed in the search for design points: {error}."
    return _joined(prices, goal, found, u, float(share[unexplained].sum()), problem)


def _first_start(prices: Prices, goal: float, u: Float, share: Float, radius: Float) -> Float:
    """The mean of the draws, which is denser than every draw if the event is convex, or else the densest draw."""
    mean = (share @ u)[None]
    densest = u[[radius.argmin()]]
    is_denser = np.linalg.norm(mean) < radius.min() and prices.left_to_climb > 0
    return mean if is_denser and float(prices(mean)[0]) >= goal else densest


def _on_rays(prices: Prices, goal: float, starts: Float) -> Search:
    """The first point of the event on the line from the origin to each start: few evaluations can find no more."""
    if prices.left_to_climb < HALVINGS * len(starts):
        return Search((), (), (), 0)
    low, high, loss = np.zeros(len(starts)), np.ones(len(starts)), np.full(len(starts), goal)
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        seen = prices(middle[:, None] * starts)
        within = seen >= goal
        low, high, loss = np.where(within, low, middle), np.where(within, middle, high), np.where(within, seen, loss)
    ends = tuple(
        DesignPoint(u=h * start, loss=float(x), direction=unit(start), slope=0.0, start=k, note="no gradient was taken")
        for k, (h, start, x) in enumerate(zip(high, starts, loss, strict=True))
    )
    return Search(ends, distinct(ends), (), HALVINGS * len(starts))


def find_points(prices: Prices, goal: float, rows: int) -> Modes:
    """Design points from a pilot of the target, if the standard normals of the ``rows`` draws are unknown."""
    dim, pilot = prices.inputs.latent_dim, min(PILOT, prices.left_to_climb // 4)
    u = np.asfortranarray(prices.explorer.generator().standard_normal((pilot, dim)))
    nothing = np.zeros(rows, dtype=np.intp)
    try:
        loss = prices(u)
        search = explore(prices, goal, u, loss, CLIMBS, prices.left_to_climb, rounds=2)
    except LossError as error:
        return Modes(label=nothing, problem=f"The loss failed in the search for design points: {error}.")
    why = "The draws were made in the space of the risk factors: modes are not told apart."
    return Modes(search.points, (0,) * len(search.points), nothing, 0.0, len(search.ends), why)


def _spent(prices: Prices) -> str:
    return (
        "The search for design points ended before all draws were explained, so there may be further modes: all "
        f"scenarios together may take {prices.most:,} evaluations, because the estimate took {prices.n:,} draws."
    )


def _first_step(dim: int) -> int:
    return 2 + gradient_cost(dim) + SHORTER.size


def _beyond(points: tuple[DesignPoint, ...], u: Float) -> Float:
    """Distances (j, k) of the rows of ``u`` (j, l) beyond the tangent planes of the points."""
    directions = np.array([point.direction for point in points])
    beyond: Float = u @ directions.T - np.einsum("ij,ij->i", directions, np.array([point.u for point in points]))
    return beyond


def _joined(prices: Prices, goal: float, found: Search, u: Float, unexplained: float, problem: str) -> Modes:
    points, climbs = found.points, len(found.ends)
    if not points:
        why = problem or f"The search for design points failed: {found.outcome}."
        return Modes(label=np.zeros(len(u), dtype=np.intp), climbs=climbs, problem=why)
    try:
        groups = regions(prices, np.array([point.u for point in points]), goal)
    except LossError as error:
        groups, problem = (
            [[k] for k in range(len(points))],
            f"The loss failed between two design points, which count as modes of their own: {error}.",
        )
    mode = np.empty(len(points), dtype=np.intp)
    for number, group in enumerate(groups):
        mode[group] = number
    label = mode[_beyond(points, u).argmax(axis=1)]
    return Modes(points, tuple(mode.tolist()), label, unexplained, climbs, problem)
