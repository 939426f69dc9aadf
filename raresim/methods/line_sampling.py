"""Line sampling along design points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np

from raresim.arguments import checks
from raresim.arguments.checks import Vector, whole
from raresim.engine.fold import Sampler
from raresim.engine.problem import Space
from raresim.engine.session import Session
from raresim.errors import FieldError
from raresim.estimators.base import Estimator
from raresim.estimators.lines import Lines
from raresim.methods.base import Held, Method, Tuned
from raresim.methods.draws import lines_for, row_variances
from raresim.methods.grids import settle
from raresim.methods.regions import (
    BETWEEN_TWO,
    MIN_PILOT,
    TUNING_SHARE,
    Regions,
    expected_cost,
    find_more,
    find_regions,
    iteration,
    memory_of,
    refuse_few,
)
from raresim.numerics.arrays import Float
from raresim.registry import member
from raresim.search.design_points import FARTHEST, DesignPoint, slope_direction, unit
from raresim.search.goals import rarest

Along = Literal["design_point", "pilot"]
LineDraws = Literal["independent", "sobol"]

TRIAL = 40
"""Lines from which cost and variance are planned."""

MIN_HITS = 10
"""Smallest number of trial lines in the event from which anything is planned."""

BEYOND = 32.0
"""The grid ends at ``sqrt(beta^2 + BEYOND)``: beyond it lies 1e-7 of the probability beyond ``beta``."""

UNKNOWN = 7.0
"""Distance of the event for which the grid is made if no design point is known."""

ALIKE = 0.8
"""Cosine above which two design points share a direction."""

MIN_SHARE = 1e-3
"""First-order probability, relative to the largest, below which a design point gets no direction of its own."""

MOST = 24
"""Largest number of directions."""


@member("method")
@dataclass(frozen=True, kw_only=True, eq=False)
class LineSampling(Method):
    """For a nearly flat boundary in any dimension: the exact probability along random lines to the design points.

    Parameters
    ----------
    direction : "design_point", "pilot" or (d,)
        Direction of the lines: to the design points of a search, along the mean slope of the pilot's losses, or given.
    step : float
        First spacing of the grid along a line, in standard deviations, at most 4. It is halved if a trial sees more on
        a grid of half the spacing; narrower parts of the event may be missed.
    pilot : int
        Draws of the target, at least 100, from whose largest losses the search starts.
    starts : int
        Climbs of each round of the search. Another round follows if the last found a second or later region, and while
        fewer than two climbs came to each region.
    draws : "independent" or "sobol"
        Random lines, or lines through the points of independently scrambled Sobol' nets, which pay if the boundary is
        smooth and few directions matter.

    Raises
    ------
    FieldError
        When an option is out of range.

    Notes
    -----
    See `raresim.estimators.lines.Lines` for the estimate and what it misses, `raresim.search.design_points` for the
    search. A direction that does not point to the event, or a boundary that bends, costs lines but leaves the mean
    right. Each of several design points gets a cone of the space with lines of its own, and so does a point between
    two of them where the event begins before their planes, as for a sum of heavy tails. Both ends of a line are
    searched.

    If the audit finds failing draws that no line comes near, and the directions came from a search, nearest points from
    these draws are design points of another round (`raresim.run.rounds`).
    """

    kind: ClassVar[str] = "line_sampling"
    bounds_failures: ClassVar[bool] = False

    direction: Along | Vector = "design_point"
    step: float = 1.0
    pilot: int = 1000
    starts: int = 4
    draws: LineDraws = "independent"

    def __post_init__(self) -> None:
        checks.one_of("draws", self.draws, LineDraws)
        if isinstance(self.direction, str):
            checks.one_of("direction", self.direction, Along)
        else:
            given = checks.vector("direction", self.direction)
            if not given.any():
                raise FieldError("direction", "must not be zero")
            object.__setattr__(self, "direction", given)
        if not 0 < self.step <= 4:
            raise FieldError("step", f"must be above 0 and at most 4, got {self.step:.15g}")
        object.__setattr__(self, "pilot", whole("pilot", self.pilot, MIN_PILOT))
        object.__setattr__(self, "starts", whole("starts", self.starts))

    @property
    def weighs_draws(self) -> bool:
        return False

    @property
    def draws_in(self) -> Space:
        return "standard"

    def cost(self, latent_dim: int, dim: int) -> int:
        if not isinstance(self.direction, str):
            checks.vector("direction", self.direction, latent_dim)
            explored = 0
        elif self.direction == "pilot":
            explored = self.pilot
        else:
            explored = expected_cost(self.pilot, self.starts, latent_dim)
        return explored + TRIAL * math.ceil(6 * math.hypot(UNKNOWN, math.sqrt(BEYOND)) / self.step + 20)

    def refuse_budget(self, dim: int, max_evaluations: int) -> None:
        if isinstance(self.direction, str):
            refuse_few(self.pilot, self.starts if self.direction == "design_point" else 0, dim, max_evaluations)

    def memory(self, latent_dim: int, dim: int, budget: int) -> Held:
        return memory_of(self.pilot, self.starts, latent_dim)

    def describe(self) -> list[str]:
        where = {"design_point": "to the design points", "pilot": "along the mean slope of a pilot"}
        along = where[self.direction] if isinstance(self.direction, str) else "along a given direction"
        how = ", through Sobol' nets" if self.draws == "sobol" else ""
        return [f"line sampling {along}{how}", f"grid along a line: every {self.step:g} standard deviations"]

    def tune(self, session: Session) -> Tuned:
        return self.tuned(session, self.search(session))

    def search(self, session: Session) -> Regions:
        """The pilot and the search; nothing if the direction is given."""
        dim = session.problem.dim
        self.cost(dim, session.problem.inputs.dim)
        if not isinstance(self.direction, str):
            return Regions(rarest(session.events), np.empty((0, dim)), np.empty(0))
        return find_regions(session, self.pilot, self.starts if self.direction == "design_point" else 0)

    def tuned(self, session: Session, found: Regions) -> Tuned:
        """The lines for the regions ``found``, and the way to another round of the search."""
        directions, beta, why = self.choose(found, session.problem.dim)
        top = math.hypot(beta, math.sqrt(BEYOND))
        sampler = Sampler(session.problem, None, session.seed)

        def lines(step: float) -> Lines:
            return Lines(sampler, tuple(session.events), directions, np.linspace(-top, top, nodes(top, step)))

        half = found.left(session, TUNING_SHARE)
        each = 2 * len(directions) * nodes(top, self.step)
        rows = min(TRIAL, half // each)
        if rows < 1:
            least = 2 * (found.evaluations + each)
            raise FieldError("max_evaluations", f"must be at least {least:,}, got {session.max_evaluations:,}")
        trial = settle(session, lines, self.step, rows, "trial lines", half)
        tail = trial.summary.tail
        planned = tail.hits.min() >= MIN_HITS
        hit = int(tail.hits[session.events.index(found.event)])
        variances = tuple(rows * tail.relative_error(k) ** 2 for k in range(tail.hits.size)) if planned else None
        final = replace(lines(trial.step), cost=trial.summary.evaluations / rows)
        found = found.and_then(
            trial.evaluations,
            [iteration("pooled", 0, math.nan, trial.evaluations, hit, hit / rows)],
            [
                why,
                f"Each line is evaluated every {trial.step:.3g} standard deviations from {-top:.3g} to {top:.3g}, then "
                "the boundaries of the event in between are found; a part narrower than this step may be missed.",
                trial.decision,
                f"Of {rows} trial rows {hit} met the rarest event, at {final.cost:.3g} evaluations each; "
                + (
                    "the sample size is planned from their variance." if planned else "too few to plan the sample size."
                ),
            ],
        )
        estimator: Estimator = final
        refused = ""
        if self.draws == "sobol":
            left = session.unreserved - found.evaluations
            try:
                estimator = lines_for(final, budget=left, variances=variances, relative_error=session.relative_error)
            except FieldError as error:
                if not found.before:
                    raise
                refused = f"The lines are random, not through Sobol' nets: max_evaluations {error.message}."
        search = found.search
        given = not isinstance(self.direction, str)
        return Tuned(
            proposal=None,
            iterations=found.iterations,
            evaluations=found.evaluations,
            nominal=found.loss.size,
            variances=row_variances(estimator, variances),
            starts=len(search.ends),
            reached=search.reached,
            regions=len(found.points),
            outcome="the direction was given" if given else search.outcome,
            gave_up=search.gave_up,
            estimator=estimator,
            facts=trial.facts,
            decisions=(*found.decisions, refused) if refused else found.decisions,
            trace=found.trace,
            again=(lambda missed: self.tuned(session, find_more(session, found, missed))) if search.ends else None,
            least=2 * MOST * nodes(math.hypot(FARTHEST, math.sqrt(BEYOND)), self.step),
        )

    def choose(self, found: Regions, dim: int) -> tuple[Float, float, str]:
        """The directions (k, d), the distance for which the grid is made, and the reason in words."""
        if not isinstance(self.direction, str):
            return unit(checks.vector("direction", self.direction, dim))[None, :], UNKNOWN, "The direction was given."
        points, between = found.points, found.between
        kept = separate((*points, *between) if len(points) + len(between) <= MOST else points)
        if kept:
            directions = np.array([towards(point) for point in kept])
            several = f", and the space is cut into {len(kept)} cones around them" if len(kept) > 1 else ""
            beta = max(point.beta for point in kept)
            halfway = sum(point.note == BETWEEN_TWO for point in kept)
            of_two = f" and {halfway} points between two" if halfway else ""
            many = f"the {len(kept) - halfway} most important design points{of_two}"
            return directions, beta, f"Lines run to {many}{several}."
        slope = slope_direction(found.u, found.loss)
        why = "Lines run along the mean slope of the pilot's losses"
        return slope[None, :], UNKNOWN, why + ("." if not found.search.ends else ": no design point was found.")

    @staticmethod
    def examples() -> list[LineSampling]:
        """Members for the conformance tests."""
        return [
            LineSampling(),
            LineSampling(direction=[1.0, 1.0, 0.5], step=0.7),
            LineSampling(direction="pilot", pilot=2000),
            LineSampling(draws="sobol"),
        ]


def nodes(top: float, step: float) -> int:
    """Number of points of a grid from ``-top`` to ``top``, at most ``step`` apart."""
    return math.ceil(2 * top / step) + 1


def towards(point: DesignPoint) -> Float:
    """The direction of lines to a design point: up the gradient if that is known, else along its ray."""
    return point.direction if point.converged else unit(point.u)


def separate(points: Sequence[DesignPoint]) -> list[DesignPoint]:
    """The most important of ``points``, no two in nearly the same direction."""
    from scipy.special import log_ndtr

    kept: list[DesignPoint] = []
    for point in sorted(points, key=lambda p: p.beta):
        alike = any(towards(point) @ towards(other) > ALIKE for other in kept)
        unimportant = kept and log_ndtr(-point.beta) < log_ndtr(-kept[0].beta) + math.log(MIN_SHARE)
        if not alike and not unimportant and len(kept) < MOST:
            kept.append(point)
    return kept
