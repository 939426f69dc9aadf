"""The search with which design points and lines begin: a pilot, climbs from its largest losses, and their record."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from raresim.engine.session import Session
from raresim.errors import FieldError
from raresim.methods.base import Held
from raresim.numerics.arrays import Float
from raresim.record.event import Event
from raresim.record.evidence import Evidence, EvidencePlot, EvidenceTable
from raresim.record.records import Iteration
from raresim.search.design_points import (
    RADII,
    SHORTER,
    DesignPoint,
    Search,
    Step,
    between,
    distinct,
    explore,
    find_design_points,
    gradient_cost,
    unit,
)
from raresim.search.explorer import Explorer
from raresim.search.goals import rarest
from raresim.search.hits import CHORD, OUTWARDS, SAME, Region, explaining, find_by_hits
from raresim.search.limit_states import cost_along_states, regions_along_states
from raresim.search.nearest import nearest_point

MIN_PILOT = 100
SHOWN = 0.1
"""Share of the pilot that sets the level of its row in ``iterations.csv``."""

EXPECTED_STEPS = 15
"""Steps of a climb in predictions of the cost."""

SEARCH_SHARE, TUNING_SHARE = 0.25, 0.5
"""Share of a round's evaluations for the search, and for search and trial together."""

HITS = 24
"""Smallest number of hits of a widened target."""

LOOSE = 8
"""Largest number of nearest points sought from ends of climbs that did not converge."""

MISSED = 8
"""Largest number of nearest points sought from failing draws of an audit."""

LEAST_BY_HITS = 120
"""Evaluations below which no hits of a widened target are sought."""

IN_CORNER = "nearest point of a corner"
BY_HITS = "found by a hit of a widened target"
BY_AUDIT = "found by a failing draw of the audit"
BY_STATES = "found along the limit states"
"""Notes of a `DesignPoint` that is the nearest of its region although no climb converged there."""

BETWEEN_TWO = "between two design points"
"""Note of a `DesignPoint` in which no climb ended."""

NOTHING = Search((), (), (), 0)


@dataclass(frozen=True, eq=False)
class Regions:
    """The known failure regions, and the way to them.

    Parameters
    ----------
    event : Event
        The rarest event, the goal of the search.
    u : (n, d) float64
        The pilot's draws of the target.
    loss : (n,) float64
        Losses of the draws, signed so that larger is rarer.
    search : Search
        The climbs.
    between : tuple of DesignPoint
        Points halfway between two design points where the event begins before their planes: no regions of their own.
    evaluations : int
        Evaluations of the loss, with trials of proposals made from the points.
    iterations : tuple of Iteration
        The steps of the search, as rows of ``iterations.csv``.
    decisions : tuple of str
        The same in sentences.
    before : int
        Evaluations of the rounds before this one.
    """

    event: Event
    u: Float
    loss: Float
    search: Search = NOTHING
    between: tuple[DesignPoint, ...] = ()
    evaluations: int = 0
    iterations: tuple[Iteration, ...] = ()
    decisions: tuple[str, ...] = ()
    before: int = 0

    def and_then(self, evaluations: int, iterations: Sequence[Iteration], decisions: Sequence[str]) -> Regions:
        """The same after a further stage."""
        return replace(
            self,
            evaluations=self.evaluations + evaluations,
            iterations=(*self.iterations, *iterations),
            decisions=(*self.decisions, *decisions),
        )

    @property
    def points(self) -> tuple[DesignPoint, ...]:
        """The design points; without any, the points at which climbs came to the event's boundary."""
        return tuple(point for point in self.search.points if point.settled) or self.search.points

    def left(self, session: Session, share: float) -> int:
        """Evaluations left to this round from a ``share`` of its budget."""
        return int(share * session.of_round(self.before)) - (self.evaluations - self.before)

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
                for k, p in enumerate(self.points)
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
        return Evidence((table,) if self.points else (), (plot,))


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


def first_steps(starts: int, dim: int) -> int:
    """Evaluations of the first step of ``starts`` climbs."""
    return starts * (RADII.size + gradient_cost(dim) + SHORTER.size + 2)


def refuse_few(pilot: int, starts: int, dim: int, max_evaluations: int) -> None:
    """Raise `FieldError` if half of the budget does not pay for the pilot and a first step of the climbs."""
    least = pilot + first_steps(starts, dim)
    if 2 * least > max_evaluations:
        raise FieldError(
            "max_evaluations",
            f"must be at least {2 * least:,}: the pilot and the first step of {starts} climbs take "
            f"{least:,} evaluations, got {max_evaluations:,}; or give a smaller pilot, fewer starts, or method crude",
            ("stop",),
        )


def find_regions(session: Session, pilot: int, starts: int) -> Regions:
    """Draw the pilot, and climb to design points with at most a quarter of the budget.

    Raises
    ------
    FieldError
        When events lie on both sides, or half of the budget does not pay for the pilot and a first step.
    """
    event = rarest(session.events)
    dim = session.problem.dim
    climbing = first_steps(starts, dim)
    refuse_few(pilot, starts, dim, session.max_evaluations)
    u, loss = Explorer(session, event.sign).nominal(pilot, "pilot")
    found = Regions(event, u, loss).and_then(pilot, [_of_pilot(event, loss)], [])
    if not starts:
        return found
    session.report("tune", 0, 0, f"climbing to design points of {event.label}")
    most = min(int(SEARCH_SHARE * session.max_evaluations), found.left(session, TUNING_SHARE))
    here = _Round(session, event, max(climbing, most))
    search = explore(here.explorer, here.goal, u, loss, starts, here.most, settle=here.settle)
    search, told = here.by_hits(search.and_(here.along_states(), 0), 0)
    climbs = (
        f"A pilot of {pilot:,} draws of the target gave the starts of {len(search.ends)} climbs to design points "
        f"({search.evaluations:,} evaluations): {search.outcome}."
    )
    return here.ended(found, search, f"{climbs} {told}".strip())


def find_more(session: Session, found: Regions, missed: Float) -> Regions:
    """Another round, from failing draws ``missed`` (k, d) that the last one hardly made, heaviest first.

    It seeks nearest points from those draws that no known point explains, hits of a widened target, and climbs from new
    points, with at most a quarter of the round's evaluations.
    """
    found = replace(found, before=found.evaluations)
    here = _Round(session, found.event, found.left(session, SEARCH_SHARE))
    known = [point.u for point in found.points if point.settled]
    points = nearest_points(here.explorer, here.goal, missed, known, here.most)
    spent = here.explorer.evaluations
    here.rows.append(iteration("audit", 0, found.event.threshold, spent, len(missed)))
    search, told = here.by_hits(found.search.and_(here.at(points, BY_AUDIT), 0), len(found.search.ends))
    climbs = f"{led_to(missed, points, spent)} In total {search.outcome}."
    return here.ended(found, search, f"{climbs} {told}".strip())


def led_to(missed: Float, points: Sequence[Float], evaluations: int) -> str:
    """A sentence about the new ``points`` (d,) to which an audit's failing draws ``missed`` (k, d) led."""
    draws = f"{len(missed)} failing draw{'' if len(missed) == 1 else 's'} of the audit"
    many = f"{len(points) or 'no'} new point{'' if len(points) == 1 else 's'} of failure regions"
    return f"{draws} led to {many} ({evaluations:,} evaluations)."


@dataclass(eq=False)
class _Round:
    """A round of the search: its goal, its evaluations, and its records."""

    session: Session
    event: Event
    most: int
    explorer: Explorer = field(init=False)
    rows: list[Iteration] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.explorer = Explorer(self.session, self.event.sign)

    @property
    def goal(self) -> float:
        """The signed loss that has to be reached."""
        return self.event.sign * self.event.threshold

    @property
    def left(self) -> int:
        """Evaluations that are left to it."""
        return self.most - self.explorer.evaluations

    def at(self, points: Sequence[Float], note: str) -> Search:
        """Design ``points`` (d,) in which no climb ended."""
        ends = tuple(DesignPoint(u, self.goal, unit(u), math.nan, k, note, nearest=True) for k, u in enumerate(points))
        return Search(ends, ends, (), 0)

    def settle(self, search: Search, known: Sequence[DesignPoint]) -> Search:
        """``search`` with ends on the boundary that did not converge moved to the nearest point of their region.

        If a known point explains an end, as in a corner, along whose edges climbs end, the end moves to that point.
        """
        points = [point.u for point in (*known, *search.ends) if point.settled]
        corners = sum(point.nearest for point in known)
        ends, steps, begun = list(search.ends), list(search.steps), self.explorer.evaluations
        loose = [k for k, end in enumerate(ends) if end.reached and not end.settled]
        for k in sorted(loose, key=lambda k: ends[k].beta):
            before = self.explorer.evaluations
            if self.left < len(CHORD):
                break
            point = explaining_point(self.explorer, self.goal, points, ends[k].u)
            if point is None and corners < LOOSE:
                corners += 1
                point = nearest_point(self.explorer, self.goal, OUTWARDS * ends[k].u, self.left)
                points.append(point)
            if point is not None:
                ends[k] = replace(ends[k], u=point, loss=self.goal, direction=unit(point), note=IN_CORNER, nearest=True)
            number = 1 + max(step.iteration for step in steps if step.start == k)
            spent = self.explorer.evaluations - before
            steps.append(Step(k, number, ends[k].loss, ends[k].beta, spent))
        spent = self.explorer.evaluations - begun
        return Search(tuple(ends), distinct(ends), tuple(steps), search.evaluations + spent)

    def along_states(self) -> Search:
        """Design points that limit states show, if the loss has limit states."""
        loss, dim, before = self.session.problem.loss, self.explorer.dim, self.explorer.evaluations
        if not loss.limit_state_names or self.left < LEAST_BY_HITS:
            return NOTHING
        most = min(self.left // 3, cost_along_states(dim))
        rng = self.explorer.generator()
        regions, _ = regions_along_states(self.explorer.states, self.goal, loss.at_least, dim, rng, most)
        spent = self.explorer.evaluations - before
        self.rows.append(iteration("limit states", 0, self.event.threshold, spent, len(regions)))
        return self.at([region.point for region in regions], BY_STATES)

    def by_hits(self, search: Search, first: int) -> tuple[Search, str]:
        """``search`` with regions from hits of a widened target and with climbs from new points; and a sentence.

        New are the design points, from index ``first`` of the ends on, in which no climb ended.
        """
        dim, told = self.explorer.dim, ""
        if self.left >= LEAST_BY_HITS:
            known = [point.u for point in search.points if point.settled]
            rng = self.explorer.generator()
            regions = [Region(u, 0) for u in known]
            hits = find_by_hits(self.explorer, dim, self.goal, rng, HITS, self.left // 2, regions)
            told = f"{hits.describe(len(known)).capitalize()}."
            share = hits.hits / hits.draws
            self.rows.append(iteration("hits", 0, self.event.threshold, hits.evaluations, hits.hits, share))
            seen = [u for u in hits.nearest.reshape(-1, dim) if not any(np.array_equal(u, other) for other in known)]
            search = search.and_(self.at(seen, BY_HITS), 0)
        new = [p.u for p in search.points if p.start >= first and p.note in (BY_AUDIT, BY_HITS, BY_STATES)]
        if new and self.left >= len(new) * (gradient_cost(dim) + SHORTER.size + 2):
            search = search.and_(find_design_points(self.explorer, self.goal, np.array(new), self.left), 0)
        return search, told

    def ended(self, found: Regions, search: Search, first: str) -> Regions:
        """``found`` after this round, whose first sentences are ``first``, and with points between two."""
        before = len(found.search.steps)
        steps = [self.of_step(step) for step in search.steps[before:]]
        known, found = found.points, replace(found, search=search)
        points, halfway, looked = found.points, found.between, 0
        if points != known:
            at, looked = between(self.explorer, self.goal, np.array([point.u for point in points]), self.left)
            halfway = tuple(DesignPoint(u, self.goal, unit(u), math.nan, -1, BETWEEN_TWO) for u in at)
        rows = [iteration("between", 0, self.event.threshold, looked)] if looked else []
        found = replace(found, between=halfway)
        told = [first, *_where(found)]
        return found.and_then(self.explorer.evaluations, [*steps, *self.rows, *rows], told)

    def of_step(self, step: Step) -> Iteration:
        """A row of ``iterations.csv``."""
        from scipy.special import log_ndtr

        log_probability = float(log_ndtr(-step.radius))
        level = self.event.sign * step.loss
        return iteration(step.start, step.iteration, level, step.evaluations, log_probability=log_probability)


def nearest_points(explorer: Explorer, goal: float, missed: Float, known: Sequence[Float], most: int) -> list[Float]:
    """Nearest points (d,) of regions of failing draws ``missed`` (k, d) that no ``known`` point (d,) explains.

    They start from at most `MISSED` of the draws, the first ones first, until the explorer has spent ``most``.
    """
    found: list[Float] = []
    climbs = 0
    for u in missed:
        if climbs == MISSED or explorer.evaluations >= most:
            break
        if explaining_point(explorer, goal, [*known, *found], u) is not None:
            continue
        climbs += 1
        point = nearest_point(explorer, goal, u, most - explorer.evaluations)
        if all(np.linalg.norm(point - other) >= SAME for other in (*known, *found)):
            found.append(point)
    return found


def explaining_point(explorer: Explorer, goal: float, points: Sequence[Float], u: Float) -> Float | None:
    """The ``points`` (d,) entry in whose region ``u`` (d,) lies (see `explaining`); None if none is seen."""
    k = explaining(lambda at: explorer(at) >= goal, np.array(points), u) if points else None
    return None if k is None else points[k]


def _of_pilot(event: Event, loss: Float) -> Iteration:
    """The row of a pilot with signed losses (n,)."""
    level = float(np.quantile(loss, 1.0 - SHOWN, method="higher"))
    elites = int((loss >= level).sum())
    share = elites / loss.size
    return iteration("all", 0, event.sign * level, loss.size, elites, share, math.log(share))


def _where(found: Regions) -> list[str]:
    """Sentences about the design points and the points between them."""
    if not found.points:
        return []
    distances = ", ".join(f"{point.beta:.4g}" for point in found.points)
    where = f"Distances of the design points from the origin, in standard deviations: {distances}."
    if not found.between:
        return [where]
    n, nearest = len(found.between), min(point.beta for point in found.between)
    points = "one point" if n == 1 else f"{n} points"
    halfway = (
        "Halfway between two design points the event begins nearer to the origin than their tangent planes: "
        f"{points}, the nearest at a distance of {nearest:.4g}."
    )
    return [where, halfway]


def expected_cost(pilot: int, starts: int, dim: int) -> int:
    """Evaluations that `find_regions` is expected to take."""
    return pilot + starts * (RADII.size + EXPECTED_STEPS * (gradient_cost(dim) + 2))


def memory_of(pilot: int, starts: int, dim: int) -> Held:
    """Memory of `find_regions`: the draws of the pilot, and the points of all gradients."""
    return Held(24 * pilot * (dim + 4) + 4 * starts * dim**2)
