"""What design points and lines begin with: a pilot, a search for design points from its largest losses, its story."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from raresim.arrays import Float
from raresim.blocks import Block
from raresim.design_point import (
    RADII,
    SHORTER,
    DesignPoint,
    Search,
    between,
    explore,
    find_design_points,
    gradient_cost,
    unit,
)
from raresim.engine import Sampler
from raresim.errors import FieldError
from raresim.evidence import Evidence, EvidencePlot, EvidenceTable
from raresim.methods.base import Iteration, Session
from raresim.problem import Event
from raresim.search.explorer import Explorer
from raresim.search.hits import OUTWARDS, Hits, Region, find_by_hits, nearest_point
from raresim.search.limit_states import cost_along_states, regions_along_states
from raresim.streams import stream

MIN_PILOT = 100
SHOWN = 0.1
"""Share of the pilot that sets the level of its row in ``iterations.csv``."""

EXPECTED_STEPS = 15
"""Steps of a climb that a cost is predicted with."""

HITS = 24
"""Hits of a widened target that are wanted at least."""

LOOSE = 8
"""Ends of climbs that did not converge from which nearest points are looked for, at most: the nearest ones."""

LEAST_BY_HITS = 120
"""Evaluations without which they are not looked for."""

BY_HITS = "found by a hit of a widened target"
"""What a `DesignPoint` notes that no climb ended in, but the search of `raresim.search.hits`."""

BETWEEN_TWO = "between two design points"
"""What a `DesignPoint` that no climb ended in notes."""


@dataclass(frozen=True, eq=False)
class Regions:
    """What was found.

    Parameters
    ----------
    event : Event
        The rarest, to which the search went.
    u : (n, d) float64
        The pilot's draws of the target.
    loss : (n,) float64
        Their losses, signed so that larger is rarer.
    search : Search
        The climbs.
    between : tuple of DesignPoint
        Where the event begins halfway between two design points, before their planes do: no regions of their own.
    looked_between : int
        Losses that these took.
    hits : Hits, optional
        What hits of a widened target showed; None where they were not looked for.
    """

    event: Event
    u: Float
    loss: Float
    search: Search
    between: tuple[DesignPoint, ...] = ()
    looked_between: int = 0
    hits: Hits | None = None

    @property
    def evaluations(self) -> int:
        """Losses that were evaluated."""
        by_hits = self.hits.evaluations if self.hits else 0
        return self.loss.size + self.search.evaluations + self.looked_between + by_hits

    @property
    def iterations(self) -> tuple[Iteration, ...]:
        """The pilot and every step of the climbs, as rows of ``iterations.csv``."""
        from scipy.special import log_ndtr

        sign = self.event.sign
        level = float(np.quantile(self.loss, 1.0 - SHOWN, method="higher"))
        elites = int((self.loss >= level).sum())
        share = elites / self.loss.size
        pilot = iteration("all", 0, sign * level, self.loss.size, elites, share, math.log(share))
        steps = [
            iteration(s.start, s.iteration, sign * s.loss, s.evaluations, log_probability=float(log_ndtr(-s.radius)))
            for s in self.search.steps
        ]
        halfway = [iteration("between", 0, self.event.threshold, self.looked_between)] if self.looked_between else []
        hits = self.hits
        wide = (
            [iteration("hits", 0, self.event.threshold, hits.evaluations, hits.hits, hits.hits / hits.draws)]
            if hits
            else []
        )
        return (pilot, *steps, *wide, *halfway)

    @property
    def decisions(self) -> tuple[str, ...]:
        """The pilot and the search in sentences."""
        search = self.search
        if not search.ends:
            return ()
        first = (
            f"A pilot of {self.loss.size:,} draws of the target gave the starts of {len(search.ends)} climbs to design "
            f"points ({search.evaluations:,} evaluations): {search.outcome}."
        )
        if self.hits:
            first = f"{first} {self.hits.describe().capitalize()}."
        if not search.points:
            return (first,)
        distances = ", ".join(f"{point.beta:.4g}" for point in search.points)
        where = f"Distances of the design points from the origin, in standard deviations: {distances}."
        if not self.between:
            return (first, where)
        n, nearest = len(self.between), min(point.beta for point in self.between)
        points = "one point" if n == 1 else f"{n} points"
        halfway = (
            f"Halfway between two of them the event begins before their planes: {points}, the nearest at {nearest:.4g}."
        )
        return (first, where, halfway)

    @property
    def trace(self) -> Evidence:
        """The design points as a table, the climbs as a plot."""
        from scipy.special import log_ndtr

        if not self.search.steps:
            return Evidence()
        table = EvidenceTable(
            "Design points",
            ("region", "start", "distance from the origin", "first-order probability", "loss", "ended"),
            tuple(
                (k + 1, p.start, p.beta, math.exp(float(log_ndtr(-p.beta))), self.event.sign * p.loss, ended(p))
                for k, p in enumerate(self.search.points)
            ),
        )
        plot = EvidencePlot(
            form="points",
            title="Climbs to the design points",
            x_label="step",
            y_label="distance from the origin (standard deviations)",
            x=tuple(float(step.iteration) for step in self.search.steps),
            y=tuple(step.radius for step in self.search.steps),
            low=(),
            high=(),
        )
        return Evidence((table,) if self.search.points else (), (plot,))


def ended(point: DesignPoint) -> str:
    """How a climb ended, in words."""
    return point.note or "converged"


def iteration(
    start: int | str,
    number: int,
    level: float,
    evaluations: int,
    elites: int = 0,
    rarity: float = math.nan,
    log_probability: float = math.nan,
    note: str = "",
) -> Iteration:
    """A row of ``iterations.csv`` for a step that fits no law."""
    nan = math.nan
    return Iteration(start, number, level, rarity, evaluations, elites, nan, nan, nan, nan, nan, log_probability, note)


def rarest(events: Sequence[Event]) -> Event:
    """The event to search for; raises `FieldError` where events lie on both sides."""
    if len({event.direction for event in events}) > 1:
        raise FieldError("measures", "must be on one side of the loss: put `above` and `below` into two experiments")
    return max(events, key=lambda event: event.sign * event.threshold)


def find_regions(session: Session, pilot: int, starts: int) -> Regions:
    """Draw the pilot, and climb to design points with at most a quarter of the budget.

    Raises
    ------
    FieldError
        When events lie on both sides, or half of the budget does not pay for the pilot and a first step.
    """
    event = rarest(session.events)
    dim = session.problem.dim
    first = pilot + starts * (RADII.size + gradient_cost(dim) + SHORTER.size + 2)
    if 2 * first > session.max_evaluations:
        raise FieldError(
            "max_evaluations",
            f"must be at least {2 * first:,}: the pilot and the first step of {starts} climbs take {first:,} "
            f"evaluations, got {session.max_evaluations:,}; or give a smaller pilot, fewer starts, or method crude",
        )
    sampler = Sampler(session.problem, None, session.seed)

    def evaluate(u: Float) -> Float:
        plan = session.plan(len(u))
        return sampler.signed_loss(np.asfortranarray(u), Block(plan.stage, 0, 0, len(u)), event.sign).copy()

    plan = session.plan(pilot)
    block = Block(plan.stage, 0, 0, pilot)
    u = sampler.draw(block).copy(order="F")
    loss = sampler.signed_loss(u, block, event.sign).copy()
    session.note("tune", plan, "pilot")
    limit = max(session.max_evaluations // 4, first - pilot)
    session.report("tune", 0, 0, f"climbing to design points of {event.label}")
    goal = event.sign * event.threshold
    search = explore(evaluate, goal, u, loss, starts, limit) if starts else Search((), (), (), 0)
    hits = None
    if starts:
        search, hits = by_hits(session, evaluate, goal, search, limit)
    if not search.points:
        return Regions(event, u, loss, search, hits=hits)
    found = np.array([point.u for point in search.points])
    halfway, looked = between(evaluate, goal, found, limit - search.evaluations - (hits.evaluations if hits else 0))
    points = tuple(DesignPoint(at, goal, unit(at), math.nan, -1, BETWEEN_TWO) for at in halfway)
    return Regions(event, u, loss, search, points, looked, hits)


def by_hits(
    session: Session, evaluate: Callable[[Float], Float], goal: float, search: Search, limit: int
) -> tuple[Search, Hits | None]:
    """``search`` with the design points of further regions that hits of a widened target show, and these hits."""
    left, dim = limit - search.evaluations, session.problem.dim
    if left < LEAST_BY_HITS:
        return search, None
    known = np.array([point.u for point in search.points if point.converged]).reshape(-1, dim)
    rng = stream(session.seed, session.plan(1).stage, 0)
    loose = [point.u for point in search.points if not point.converged][:LOOSE]
    drawn, spent = settled(evaluate, goal, loose)
    regions = [Region(point, 0) for point in [*known, *drawn]]
    bound = session.problem.loss
    if bound.limit_state_names:
        states = Explorer(session, session.events[0].sign).states
        along, found = regions_along_states(
            states, goal, bound.at_least, dim, rng, min(left // 3, cost_along_states(dim))
        )
        regions, spent = [*regions, *along], spent + found.evaluations
    hits = find_by_hits(evaluate, dim, goal, rng, HITS, left // 2 - spent, regions)
    hits = replace(hits, evaluations=hits.evaluations + spent)
    new = [u for u in hits.nearest.reshape(-1, dim) if not any(np.array_equal(u, other) for other in known)]
    search = replace(search, points=tuple(point for point in search.points if point.converged))
    if not new:
        return search, hits
    ends = tuple(DesignPoint(u, goal, unit(u), math.nan, k, BY_HITS) for k, u in enumerate(new))
    search = search.and_(Search(ends, ends, (), 0), 0)
    search = replace(search, points=tuple(p for p in search.points if p.converged or p.note == BY_HITS))
    left = limit - search.evaluations - hits.evaluations
    if left >= len(new) * (gradient_cost(dim) + SHORTER.size + 2):
        search = search.and_(find_design_points(evaluate, goal, np.array(new), left), 0)
        search = replace(search, points=tuple(p for p in search.points if p.converged or p.note == BY_HITS))
    return search, hits


def settled(evaluate: Callable[[Float], Float], goal: float, points: Sequence[Float]) -> tuple[list[Float], int]:
    """Nearest points from where climbs ended without converging, such as a corner's edge, and what they took."""
    spent = 0

    def look(u: Float) -> Float:
        nonlocal spent
        spent += len(u)
        return evaluate(u)

    return [nearest_point(look, goal, OUTWARDS * u) for u in points], spent


def expected_cost(pilot: int, starts: int, dim: int) -> int:
    """Evaluations that `find_regions` is expected to take."""
    return pilot + starts * (RADII.size + EXPECTED_STEPS * (gradient_cost(dim) + 2))
