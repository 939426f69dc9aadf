"""Soundings: an audit that looks for failure regions without following the loss, and weighs what it finds.

They start afresh, with draws of a widened target, and ask only whether each is in the event (`raresim.search.hits`).
Around the nearest point of each region they then draw typical failing points, and compute the share of the estimate
that one row at each would have added. A loss whose slope hides a region from climbs does not hide it here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from raresim.accumulators.base import Accumulator
from raresim.diagnostics.audit_checks import UNCOVERED
from raresim.distributions.base import Distribution, log_density
from raresim.distributions.beyond_plane import BeyondPlane
from raresim.distributions.beyond_sphere import BeyondSphere
from raresim.distributions.mixture import Mixture
from raresim.distributions.normal import Normal
from raresim.engine.fold import Job, Sampler
from raresim.engine.problem import Problem
from raresim.estimators.base import Estimator
from raresim.numerics.arrays import Float, Index
from raresim.numerics.blocks import Block
from raresim.numerics.streams import stream
from raresim.record.event import Event
from raresim.run.reach import Reach
from raresim.search.design_points import gradient_cost
from raresim.search.hits import Hits, Region, bends_seen, cost_by_hits, find_by_hits
from raresim.search.limit_states import cost_along_states, regions_along_states

HITS = 44
"""Wanted hits of the widened target: a region with a tenth of the hits is among them with a probability of 99 %."""

LARGER = 12
"""Soundings may use this many times the evaluations held back for them, if so many are left."""

DRAWS = 32
"""Draws around each nearest point."""

FEWEST = 4
"""Nearest points for which evaluations are kept back to draw around them, whatever the search uses."""

BEFORE = 0.3
"""How far before the tangent plane half of these draws begin."""

INSIDE, CLOSE = 1.05, 0.3
"""If none of these draws fails: distance of the centre of further draws, relative to the point, and their spread."""

WITHIN = 0.97
"""Radius at which draws beyond the sphere of a region begin, relative to its nearest point."""

KEPT = 64
"""Failing draws that the estimate draws least, kept for another round of the search."""


def cost(problem: Problem) -> int:
    """Largest number of evaluations of soundings on one side of the loss."""
    dim = problem.inputs.latent_dim
    return 1500 + 20 * dim + (cost_along_states(dim) if problem.loss.limit_state_names else 0)


@dataclass(frozen=True, eq=False)
class Thin:
    """Failing draws of an audit at which one row of the estimate would be heaviest.

    Parameters
    ----------
    u : (k, d) float64
        The draws, in standard normal space: first those that the estimate hardly makes, by decreasing mass, then the
        others, by decreasing share.
    share : (k,) float64
        Share of the estimate that one row at each draw would add.
    """

    u: Float
    share: Float

    @classmethod
    def none(cls, dim: int) -> Self:
        """No draw."""
        return cls(np.empty((0, dim)), np.empty(0))

    @classmethod
    def of(cls, u: Float, log_share: Float, mass: Float) -> Self:
        """From draws ``u`` (n, d) that stand for ``mass`` (n,); one row there would add ``exp(log_share)`` (n,)."""
        missed = log_share > math.log(UNCOVERED)
        order = np.lexsort((np.where(missed, -mass, -log_share), ~missed))[:KEPT]
        return cls(u[order], np.exp(np.minimum(log_share[order], 700.0)))

    @property
    def missed(self) -> Float:
        """Draws (k, d) that the estimate hardly makes."""
        missed: Float = self.u[self.share > UNCOVERED]
        return missed


@dataclass(frozen=True, eq=False)
class Sounded:
    """What soundings on one side of the loss show of its events.

    Parameters
    ----------
    sign : float
        The side of the loss.
    width : float
        Standard deviation of the widened target.
    draws, hits : int
        Draws of the widened target, and those in the rarest event.
    regions, climbs : int
        Nearest points found, and searches for them.
    ended : str
        Why the search ended.
    evaluations : int
        Evaluations of the loss in total.
    failing : (m,) int64
        Draws around the points that are in each event.
    log_probability : (m,) float64
        Estimates from these draws, in nats; ``-inf`` without one.
    relative_error : (m,) float64
        Relative errors of these estimates; infinite without one.
    uncovered : (m,) float64
        Share of the estimate that they find where a single row would have added more than `UNCOVERED` of it; NaN if
        nothing was checked.
    thin : Thin
        Draws in the rarest event at which a single row would be heaviest.
    """

    sign: float
    width: float
    draws: int
    hits: int
    regions: int
    climbs: int
    ended: str
    evaluations: int
    failing: np.ndarray[tuple[int], np.dtype[np.int64]]
    log_probability: Float
    relative_error: Float
    uncovered: Float
    thin: Thin


@dataclass(frozen=True, eq=False)
class Soundings(Accumulator):
    """The soundings of each side, in order."""

    seen: tuple[Sounded, ...]

    def merge(self, other: Self) -> Self:
        return type(self)((*self.seen, *other.seen))


@dataclass(frozen=True, eq=False)
class Sound(Job[Soundings]):
    """The soundings as a job: block ``k`` is side ``k`` of the loss.

    Parameters
    ----------
    problem : Problem
        Inputs and loss.
    seed : int
        The run's seed.
    job : Estimator or Reach
        Says what a row of the estimate at a draw would have added.
    events : tuple of Event
        The events of the run.
    sides : tuple of float
        The signs of the sides.
    log_sizes : tuple of float
        For each event: log of the number of rows times the estimate; ``-inf`` if the estimate saw nothing.
    log_values : tuple of float
        Log of the estimates, in nats.
    most : int
        Largest number of evaluations.
    most_rows : int
        Failing draws that are checked if each check takes evaluations.
    """

    problem: Problem
    seed: int
    job: Estimator | Reach
    events: tuple[Event, ...]
    sides: tuple[float, ...]
    log_sizes: tuple[float, ...]
    log_values: tuple[float, ...]
    most: int
    most_rows: int = 100

    def __call__(self, block: Block) -> Soundings:
        sampler = Sampler(Problem(self.problem.inputs, self.problem.loss), None, self.seed)
        sign = self.sides[block.index]
        mine = [k for k, e in enumerate(self.events) if e.sign == sign and self.log_sizes[k] > -math.inf]
        goal = max(sign * self.events[k].threshold for k in mine)
        rng = stream(self.seed, block.stage, block.index)

        def evaluate(u: Float) -> Float:
            return sampler.signed_loss(np.asfortranarray(u), block, sign).copy()

        known, along = self._along_states(sampler, block, sign, goal, rng)
        dim = sampler.problem.dim
        bends = bends_seen(dim) if self.most >= along + cost_by_hits(dim) else 0
        most = min(self.most, along + max(cost_by_hits(dim) if bends else 0, LARGER * cost(self.problem)))
        search = max(0, most - along - FEWEST * DRAWS - 2 * gradient_cost(dim))
        found = find_by_hits(evaluate, dim, goal, rng, HITS, search, known, HITS + bends, bends, unseen=1.0)
        room = min(max(1, (self.most - along - found.evaluations) // DRAWS), len(found.regions))
        found = replace(found, evaluations=found.evaluations + along, regions=found.regions[:room])
        if not found.regions:
            return Soundings((self._nothing(sign, found),))
        u, loss, log_mass = _drawn(evaluate, sampler.problem.target, _laws(found.regions), DRAWS * room, rng)
        silent = np.ones(room, bool)
        silent[_nearest(found.regions, u[loss >= goal])] = False
        if silent.any() and self.most - found.evaluations - len(u) >= DRAWS * np.count_nonzero(silent):
            close = [r for r, is_silent in zip(found.regions, silent, strict=True) if is_silent]
            more = _drawn(evaluate, sampler.problem.target, _closer(close), DRAWS * len(close), rng)
            more[2][~silent[_nearest(found.regions, more[0])]] = -math.inf  # regions with failing draws of their own
            u, loss, log_mass = (np.concatenate(both) for both in zip((u, loss, log_mass), more, strict=True))
        return Soundings((self._read(sign, mine, found, u, loss, log_mass, block),))

    def _along_states(
        self, sampler: Sampler, block: Block, sign: float, goal: float, rng: np.random.Generator
    ) -> tuple[list[Region], int]:
        """The regions that the limit states show, if the loss has limit states, and the evaluations used."""
        bound, dim = self.problem.loss, sampler.problem.dim
        if not bound.limit_state_names:
            return [], 0

        def states(u: Float) -> tuple[Float, Float]:
            loss, seen = sampler.signed_states(np.asfortranarray(u), block, sign)
            return loss.copy(), seen.copy()

        regions, found = regions_along_states(states, goal, bound.at_least, dim, rng, cost_along_states(dim))
        return regions[:HITS], found.evaluations

    def _nothing(self, sign: float, found: Hits) -> Sounded:
        m, d = len(self.events), self.problem.inputs.latent_dim
        none = np.full(m, math.nan)
        return Sounded(
            sign,
            found.width,
            found.draws,
            found.hits,
            0,
            found.climbs,
            found.ended,
            found.evaluations,
            np.zeros(m, np.int64),
            np.full(m, -math.inf),
            np.full(m, math.inf),
            none,
            Thin.none(d),
        )

    def _read(
        self, sign: float, mine: list[int], found: Hits, u: Float, loss: Float, log_mass: Float, block: Block
    ) -> Sounded:
        """What draws ``u`` (n, d) around the points show; each stands for ``exp(log_mass)`` of the target."""
        easiest = min(sign * self.events[k].threshold for k in mine)
        failing = np.flatnonzero(loss >= easiest)
        some, log_rows, more = self._rows_through(u[failing], block, self.most - found.evaluations - len(u))
        asked = failing[some]
        result = self._nothing(sign, found)
        thin = result.thin
        for k in sorted(mine, key=lambda k: -sign * self.events[k].threshold):
            hit = loss >= sign * self.events[k].threshold
            if not hit.any():
                continue
            mass = np.exp(np.where(hit, log_mass, -np.inf) - log_mass[hit].max())
            result.failing[k] = np.count_nonzero(hit)
            result.log_probability[k] = math.log(mass.sum()) + log_mass[hit].max()
            spread = float(np.square(mass).sum() - mass.sum() ** 2 / mass.size)
            result.relative_error[k] = math.sqrt(max(spread, 0.0)) / mass.sum()
            known = ~np.isnan(log_rows[k]) & hit[asked]
            if not known.any():
                continue
            of = mass[asked[known]]
            heavy = log_rows[k][known] - self.log_sizes[k] > math.log(UNCOVERED)
            share = of[heavy].sum() / of.sum() if of.sum() else 0.0
            ratio = min(math.exp(min(result.log_probability[k] - self.log_values[k], 700.0)), 1e6)
            result.uncovered[k] = share * ratio
            if not len(thin.u):
                thin = Thin.of(u[asked[known]], log_rows[k][known] - self.log_sizes[k], of)
        evaluations = found.evaluations + len(u) + more
        return replace(result, regions=len(found.regions), evaluations=evaluations, thin=thin)

    def _rows_through(self, u: Float, block: Block, left: int) -> tuple[Index, Float, int]:
        """See `rows_through`; with at most ``left`` evaluations."""
        cost = self.job.cost_through
        most = min(self.most_rows, max(1, int(left / cost))) if cost else len(u)
        return rows_through(self.job, self.problem, u, block, most)


def rows_through(
    job: Estimator | Reach, problem: Problem, u: Float, block: Block, most: int
) -> tuple[Index, Float, int]:
    """The log weights that rows of the estimate would have at draws ``u`` (k, d) of standard normal space.

    Parameters
    ----------
    job : Estimator or Reach
        What makes the rows.
    problem : Problem
        Inputs and loss.
    u : (k, d) float64
        The draws.
    block : Block
        The block, for losses that have to be evaluated.
    most : int
        Largest number of draws that are checked if each check takes evaluations; they are taken evenly from ``u``.

    Returns
    -------
    the indices (j,) of the checked draws, the log weights (m, j) for each event in nats, and the evaluations used.
    A weight is infinite if the line or ray through a failing draw misses it between two points of its grid.
    """
    chosen = len(u) if not job.cost_through else most
    some = np.unique(np.linspace(0, len(u) - 1, min(chosen, len(u))).round().astype(np.intp))
    events = getattr(job, "events", ())
    if not some.size:
        return some, np.empty((len(events), 0)), 0
    at = np.asfortranarray(u[some])
    if problem.space == "physical":
        x = np.empty((some.size, problem.inputs.dim), order="F")
        at = np.array(problem.inputs.to_physical(at, x), order="F")
    log_rows, evaluations = job.through(at, block)
    return some, np.where(log_rows == -math.inf, math.inf, log_rows) if job.cost_through else log_rows, evaluations


def _drawn(
    evaluate: Callable[[Float], Float], target: Distribution, law: Distribution, n: int, rng: np.random.Generator
) -> tuple[Float, Float, Float]:
    """Draws (n, d) of ``law``, their losses (n,), and the log of the mass of the target that each stands for (n,)."""
    u = np.empty((n, law.dim), order="F")
    law.sample(rng, u)
    return u, evaluate(u), log_density(target, u) - log_density(law, u) - math.log(n)


def _nearest(regions: Sequence[Region], u: Float) -> Index:
    """Index of the region whose nearest point is nearest to each of the draws ``u`` (n, d)."""
    apart = u[:, None, :] - np.array([region.point for region in regions])
    return np.asarray(np.argmin(np.square(apart).sum(axis=2), axis=1))


def _closer(regions: Sequence[Region]) -> Distribution:
    """The law of draws close to the nearest points of regions in which nothing failed, such as narrow corners."""
    laws = [Normal(mean=INSIDE * region.point, std=CLOSE) for region in regions]
    return Mixture(weights=np.full(len(laws), 1.0 / len(laws)), components=laws)


def _laws(regions: Sequence[Region]) -> Distribution:
    """The law of draws around all regions alike: half target beyond the tangent plane, half normal around the point.

    For a region that bends around the origin, the first half lies beyond its sphere instead of a plane.
    """
    laws: list[Distribution] = []
    for region in regions:
        point, beta = region.point, region.beta
        if region.sphere:
            basis, radius = region.sphere
            laws.append(BeyondSphere(directions=basis, radius=WITHIN * radius))
        else:
            outwards = (point / beta if beta > 0 else np.eye(point.size)[0])[:, None]
            laws.append(BeyondPlane(direction=outwards[:, 0], distance=beta - BEFORE))
        laws.append(Normal(mean=point, std=1.0))
    return Mixture(weights=np.full(len(laws), 1.0 / len(laws)), components=laws)
