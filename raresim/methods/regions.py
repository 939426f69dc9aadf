"""What design points and lines begin with: a pilot, a search for design points from its largest losses, its story."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raresim.arrays import Float
from raresim.blocks import Block
from raresim.design_point import RADII, SHORTER, DesignPoint, Search, between, explore, gradient_cost, unit
from raresim.engine import Sampler
from raresim.errors import FieldError
from raresim.evidence import Evidence, EvidencePlot, EvidenceTable
from raresim.methods.base import Iteration, Session
from raresim.problem import Event

MIN_PILOT = 100
SHOWN = 0.1
"""Share of the pilot that sets the level of its row in ``iterations.csv``."""

EXPECTED_STEPS = 15
"""Steps of a climb that a cost is predicted with."""

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
    """

    event: Event
    u: Float
    loss: Float
    search: Search
    between: tuple[DesignPoint, ...] = ()
    looked_between: int = 0

    @property
    def evaluations(self) -> int:
        """Losses that were evaluated."""
        return self.loss.size + self.search.evaluations + self.looked_between

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
        return (pilot, *steps, *halfway)

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
    if not search.points:
        return Regions(event, u, loss, search)
    found = np.array([point.u for point in search.points])
    halfway, looked = between(evaluate, goal, found, limit - search.evaluations)
    points = tuple(DesignPoint(at, goal, unit(at), math.nan, -1, BETWEEN_TWO) for at in halfway)
    return Regions(event, u, loss, search, points, looked)


def expected_cost(pilot: int, starts: int, dim: int) -> int:
    """Evaluations that `find_regions` is expected to take."""
    return pilot + starts * (RADII.size + EXPECTED_STEPS * (gradient_cost(dim) + 2))
