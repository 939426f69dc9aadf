"""One search of `auto`, stage by stage, from the first batch to the proposal that is chosen."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from raresim.diagnostics.audit_checks import UNCOVERED
from raresim.diagnostics.endings import Ending, GaveUp, endings_of
from raresim.diagnostics.ess import effective_of_logs
from raresim.distributions.base import Distribution, log_density
from raresim.distributions.mixture import Mixture
from raresim.distributions.normal import Normal
from raresim.distributions.standard_normal import widening
from raresim.engine.fold import Sampler
from raresim.engine.session import Session
from raresim.estimators.base import Estimator
from raresim.estimators.replicates import Replicates
from raresim.losses.failures import met
from raresim.methods.auto_fits import Fits, batch_size
from raresim.methods.auto_notes import AT, LEVEL_ESS, Notes, information_of, named
from raresim.methods.auto_regions import Known, apart, part_at
from raresim.methods.base import Tuned
from raresim.methods.subset_simulation import SubsetSimulation
from raresim.numerics.arrays import Float
from raresim.search.archive import Archive
from raresim.search.blend import (
    LAYERS,
    Candidate,
    carried,
    fitted_layers,
    fitted_shares,
    layers,
    proposal,
    searching,
)
from raresim.search.explorer import Explorer
from raresim.search.fitting import mixed
from raresim.search.goals import rarest
from raresim.search.hits import MOST_CLIMBS, RUNG, Region, bends_seen, cost_by_hits, find_by_hits, points_of
from raresim.search.limit_states import cost_along_states, regions_along_states
from raresim.search.nearest import edge_on_ray, nearest_point
from raresim.search.walks import WALKS, find_design_points

FIRST = 300
"""Draws of the first batch."""

GOAL_ESS = 20.0
"""Effective draws in the event at which the search for levels ends."""

ENOUGH = 10.0
"""Effective draws of the first batch in the event that make walks uphill superfluous."""

HITS = 24
"""Smallest number of hits of a widened target: a region with a sixth of the hits is among them with 99 %."""

LARGER = 4
"""Largest evaluations of a search by hits as a multiple of the usual ones, if several regions need it."""

HEAVY, MOST_HEAVY = 0.03, 6
"""Share of a batch's weight above which a failing draw gets a point of its own, and largest number in a batch."""

AGAIN_COST = 60.0
"""Evaluations of climbs from an audit's draws: at most this many times the number of coordinates plus twenty."""

HEAVY_SHARE = 0.2
"""Share of the search's evaluations for refits while draws of the last refit had to be covered."""

COMMON = 0.2
"""Probability above which draws come from the target itself."""

OF_COMMON = 0.3
"""Share of the draws that come from the target if some of several events are that common."""

OF_OTHERS = 1.3
"""Factor on the evaluations of search and estimate for the refits and the audit of a run."""

LIKELY_VARIANCE = 5.0
"""Approximate relative variance of one draw of a fitted proposal, before anything is known."""

PILOT_HITS, LEAST_HITS = 20, 8
"""Expected hits in a pilot of the target if crude Monte Carlo costs the same, and hits that the pilot needs."""

STALLED = 6
"""Levels without progress that end the search."""

REFIT_SHARE = 0.25
"""Largest number of draws for refits, relative to the expected draws of the estimate."""

REFIT_GROWTH = 1.6

MOST_REFITS = 7

TUNING_SHARE = 0.5
"""Largest share of the budget for tuning."""

SUBSET_VARIANCE = 20.0
"""Approximate relative variance per draw of subset simulation, per squared decade of the probability."""

OF_FAILED = 0.1
"""Share of final draws from the target if rows failed: the upper end of the interval counts these rows."""

MOST_POINTS = 80
"""Points that are kept."""


def cost_of_search(dim: int) -> int:
    """About the evaluations that a search takes in ``dim`` dimensions."""
    return FIRST + WALKS * (dim + 4) + 5 * batch_size(dim)


@dataclass(eq=False)
class Search:
    """One search: what it knows and has spent.

    Parameters
    ----------
    session : Session
        Problem, events and executor.
    max_levels : int
        Levels after which it gives up.
    single : bool
        Whether the final draws are made one by one; see `raresim.methods.auto_fits.Fits`.
    most : float
        Evaluations that it may take, at most; infinite where the session decides.
    """

    session: Session
    max_levels: int
    single: bool
    most: float = math.inf
    explorer: Explorer = field(init=False)
    notes: Notes = field(init=False)
    known: Known = field(init=False)
    fits: Fits = field(init=False)
    walks: int = 1
    found: int = 1
    unseen: float = 0.0
    of_layers: Float = field(default_factory=LAYERS.copy)
    of_target: float = 0.0
    counted_walks: int = 0

    def __post_init__(self) -> None:
        sign = rarest(self.session.events).sign
        self.explorer = Explorer(self.session, sign)
        self.goals = sorted({sign * event.threshold for event in self.session.events})
        self.goal = self.goals[-1]
        self.notes = Notes(self.explorer, self.goal)
        self.known = Known(self.explorer.dim)
        least, rng = self.session.problem.loss.at_least, self.explorer.generator()
        self.fits = Fits(self.archive, self.known, least, self.single, rng)

    @property
    def limit(self) -> int:
        """Evaluations that tuning may take."""
        return int(min(self.most, TUNING_SHARE * self.session.max_evaluations))

    @property
    def archive(self) -> Archive:
        """All draws so far."""
        return self.explorer.archive

    @property
    def dim(self) -> int:
        return self.explorer.dim

    def run(self) -> Tuned:
        self.first_batch()
        probability = self.archive.probability(self.goal)
        if probability > COMMON:
            self.notes.decide(
                f"the event is common, with a probability of about {probability:.2g}: draws come from the target"
            )
            return self.crude(f"the event is not rare, with a probability of about {probability:.2g}")
        if self.crude_costs_no_more():
            return self.crude("crude Monte Carlo costs no more than a search for the event would")
        self.leave_common()
        self.look_for_regions()
        outcome = self.climb_levels()
        self.archive.keep_searched()
        if outcome:
            return self.gave_up(outcome)
        return self.fitted()

    def fitted(self) -> Tuned:
        """Fit to all draws so far, and choose."""
        candidates, shares, variances = self.refit()
        law = proposal(candidates, shares, self.archive, self.cover(), self.of_layers)
        return self.choose(self.with_target(law), variances)

    # the stages

    def crude_costs_no_more(self) -> bool:
        """Whether draws of the target need no more evaluations than a search, its estimate and its audit.

        If the first batch leaves it open, a pilot of the target decides. Crude Monte Carlo misses nothing, its interval
        is exact, and it needs no audit.
        """
        asked, archive = self.session.relative_error, self.archive
        if asked is None or self.explorer.evaluations >= self.limit:
            return False
        search = cost_of_search(self.dim) + cost_by_hits(self.dim)
        other = OF_OTHERS * (search + LIKELY_VARIANCE / asked**2)
        same = 1.0 / (1.0 + other * asked**2)  # the probability at which both cost the same
        if not 0.7 * same < self.archive.probability(self.goal) or same >= COMMON:
            return False
        n = math.ceil(PILOT_HITS / same)
        if self.explorer.evaluations + n > self.limit:
            return False
        rows = self.explorer.draw(self.session.problem.target, n, "draws of the target")
        hits = int(np.count_nonzero(archive.loss[rows] >= self.goal))
        self.notes.record("target", 0, n)
        enough = hits >= LEAST_HITS and hits / n >= same
        then = "costs no more than a search" if enough else "would cost more than a search"
        self.notes.decide(f"{hits:,} of {n:,} draws of the target hit the event: crude Monte Carlo {then}")
        return enough

    def leave_common(self) -> None:
        """Leave common events to a share of draws from the target: nothing is fitted to them."""
        rare = [goal for goal in self.goals[:-1] if self.archive.probability(goal) <= COMMON] + [self.goal]
        if len(rare) < len(self.goals):
            many = len(self.goals) - len(rare)
            are = "is" if many == 1 else "are"
            self.notes.decide(
                f"{many} of {len(self.goals)} events {are} common: {OF_COMMON:.0%} of the draws come from the target"
            )
            self.goals, self.of_target = rare, OF_COMMON

    def with_target(self, law: Distribution) -> Distribution:
        """``law`` with the share of draws from the target that common events need."""
        return Mixture.defensive(law, self.session.problem.target, self.of_target)

    def first_batch(self) -> None:
        n = max(20, min(FIRST, self.limit // 2))
        wide = widening(self.dim)
        law = Normal(mean=np.zeros(self.dim), std=wide)
        self.explorer.draw(law, n, f"first batch, standard deviation {wide:.2f}")
        self.notes.decide(
            f"the search begins with {n:,} draws of the target, widened to a standard deviation of {wide:.2f}"
        )
        self.notes.record("first", 0, n)

    def look_for_regions(self) -> None:
        """Nearest points by walks uphill, and by hits of a widened target; a batch around them."""
        self.known.regions = self.along_states()
        self.known.regions += [Region(point, 0) for point in self.walk_uphill()]
        self.by_hits()
        if self.known.regions:
            self.around(self.known.points)

    def along_states(self) -> list[Region]:
        """The regions that limit states show, if the loss has limit states."""
        loss, before = self.session.problem.loss, self.explorer.evaluations
        most = (self.limit - before) // 3
        if not loss.limit_state_names or most < RUNG:
            return []
        rng = self.explorer.generator()
        regions, found = regions_along_states(
            self.explorer.states, self.goal, loss.at_least, self.dim, rng, min(most, cost_along_states(self.dim))
        )
        self.notes.decide(found.describe())
        self.notes.record("limit states", 0, self.explorer.evaluations - before, elites=len(regions))
        return regions

    def walk_uphill(self) -> Float:
        """Design points (k, d) by walks uphill; none if many draws are in the event, or none is higher."""
        archive, d = self.archive, self.dim
        most = (self.limit - self.explorer.evaluations) // 2
        known = self.archive.ess(self.goal) >= ENOUGH or self.known.regions
        if known or most < batch_size(d) or archive.loss.min() == archive.loss.max():
            return np.empty((0, d))
        found = find_design_points(self.explorer, self.goal, most)
        self.walks, self.found, self.unseen = max(found.walks, 1), found.regions, found.unseen
        self.counted_walks = found.walks
        self.notes.decide(found.describe())
        if found.evaluations:
            self.notes.record("walks", 0, found.evaluations, elites=len(found.points))
        return found.points

    def by_hits(self) -> None:
        """Look for further regions by hits of a widened target."""
        most = min((self.limit - self.explorer.evaluations) // 2, LARGER * cost_by_hits(self.dim))
        if most < RUNG:
            return
        known, spheres = len(self.known.regions), sum(r.sphere is not None for r in self.known.regions)
        rng = self.explorer.generator()
        climbs = MOST_CLIMBS + bends_seen(self.dim)
        found = find_by_hits(
            self.explorer, self.dim, self.goal, rng, HITS, most, self.known.regions, climbs, bends_seen(self.dim)
        )
        self.notes.decide(found.describe(known))
        self.walks = max(self.walks, found.climbs)
        self.notes.record("hits", 0, found.evaluations, elites=found.hits)
        self.known.regions = list(found.regions)
        self.found = max(self.found, len(self.known.regions))
        if found.hits >= HITS:
            self.unseen = min(self.unseen, sum(region.hits == 1 for region in self.known.regions) / found.hits)
            self.counted_walks = 0
        for sphere in [r.sphere for r in self.known.regions if r.sphere][spheres:]:
            self.notes.decide(
                f"a failure region surrounds the origin in {sphere[0].shape[1]} directions, at a distance of "
                f"{sphere[1]:.2f} standard deviations"
            )

    def around(self, points: Float) -> None:
        """Begin the fits at ``points`` (k, d) too, with a batch around them."""
        n = batch_size(self.dim)
        distance = np.square(points).sum(axis=1)
        shares = np.exp(-0.5 * (distance - distance.min()))
        shares = np.maximum(shares / shares.sum(), 0.2 / len(points))
        begin = [part_at(point, float(share)) for point, share in zip(points, shares / shares.sum(), strict=True)]
        self.fits.begin = [*self.fits.begin, *begin]
        weights = [p.share for p in begin]
        narrow, broad = (mixed(weights, laws) for laws in zip(*((p.law(), p.broad()) for p in begin), strict=True))
        n = min(max(n, 4 * len(points)), self.limit - self.explorer.evaluations)
        if n > 0:
            self.explorer.draw(mixed([0.5, 0.5], [narrow, broad]), n, "around the design points")
            self.notes.record("design points", 0, n)

    def again(self, missed: Float) -> Tuned:
        """Another round, from failing draws (k, d) that the last proposal hardly makes, heaviest first."""
        before, known, edges = self.explorer.evaluations, list(self.known.regions), len(self.known.edges)
        most = min(self.limit, before + int(AGAIN_COST * (self.dim + 20)))
        there: list[Float] = []
        for u, goal in zip(missed, self.goals_at(missed), strict=True):
            if self.explorer.evaluations >= most:
                break
            point = nearest_point(self.explorer, goal, u, most - self.explorer.evaluations)
            if not self.known.add_region(point) and len(self.known.edges) < edges + MOST_HEAVY:
                self.known.add_edge(edge_on_ray(self.explorer, goal, u))
            there.append(point)
        if self.explorer.evaluations > before:
            self.notes.record("audit", 0, self.explorer.evaluations - before, elites=len(missed))
        self.by_hits()
        new = [region for region in self.known.regions if not any(region is other for other in known)]
        self.notes.decide(f"{len(missed)} failing draws of the audit led to {len(new)} new points of regions")
        there += [*points_of(new, self.dim), *self.known.edges[edges:]]
        if there:
            self.around(apart(there))
        return self.fitted()

    def goals_at(self, u: Float) -> list[float]:
        """The rarest goal that each of the failing draws ``u`` (n, d) has reached."""
        if len(self.goals) == 1:
            return self.goals * len(u)
        return [max((g for g in self.goals if g <= x), default=self.goals[0]) for x in self.explorer(u).tolist()]

    def climb_levels(self) -> str:
        """Batches until the event is reached; why it was not, or nothing."""
        archive, best, stalled = self.archive, -math.inf, 0
        n = batch_size(self.dim)
        for level in range(self.max_levels):
            at = archive.level(self.goal, LEVEL_ESS / 2**stalled)
            if at >= self.goal or archive.level(self.goal, GOAL_ESS) >= self.goal:
                many = f"{level} level{'' if level == 1 else 's'}"
                self.notes.decide(f"the event was reached after {many} ({self.explorer.evaluations:,} evaluations)")
                return ""
            if self.explorer.evaluations + n > self.limit:
                return GaveUp(Ending.BUDGET, "half of max_evaluations spent before the event was reached")
            stalled = 0 if at > best else stalled + 1
            best = max(best, at)
            if stalled >= STALLED:
                return GaveUp(Ending.STALLED, f"the level stalled at {self.explorer.sign * best:.6g}")
            self.explorer.draw(searching(self.fits.beyond(at)), n, f"level {self.explorer.sign * at:.6g}")
            self.notes.record("levels", level + 1, n, at)
        return GaveUp(Ending.LEVELS, f"the event was not reached in {self.max_levels} levels")

    def refit(self) -> tuple[list[Candidate], Float, tuple[float, ...]]:
        """Batches of the proposal, each fitted to all draws before it, while they are cheap beside the estimate."""
        archive, target = self.archive, self.session.problem.target
        left = self.session.unreserved - self.explorer.evaluations
        size = min(max(batch_size(self.dim), 4 * len(self.fits.begin)), max(left // 2, 1))
        spent = 0
        asked = self.session.relative_error or 0.01
        candidates = self.fit_all(simulate=True)
        shares = np.full(len(candidates), 1.0 / len(candidates))
        variances: tuple[float, ...] = ()
        for number in range(1, MOST_REFITS + 1):
            more = 0
            cover = self.cover()
            if cover is not None and self.of_layers.size < LAYERS.size:
                self.of_layers = LAYERS.copy()
            law = self.with_target(proposal(candidates, shares, archive, cover, self.of_layers))
            rows = self.explorer.draw(law, size, f"refit {number}")
            u, loss = archive.u[rows], archive.loss[rows]
            log_weight = log_density(target, u) - log_density(archive.laws[-1], u)
            bounded = self.of_target > 0.0
            variances = tuple(_variance(log_weight, loss >= goal, bounded) for goal in self.signed_thresholds())
            shares = self.shared(candidates, shares, u, loss, log_weight)
            hit = loss >= self.goals[0]
            if np.count_nonzero(hit) > 5:
                laws, log_p = layers(candidates, shares, archive, cover), log_density(target, u[hit])
                self.of_layers = fitted_layers(laws, self.of_layers[: len(laws)], u[hit], log_weight[hit], log_p)
                more = self.cover_heavy(u[hit], log_weight[hit], size)
            self.notes.record("refits", number, size, information=information_of(log_weight, archive, rows, self.goal))
            self.notes.fits.append((number, size, max(variances), named(candidates, shares)))
            fitted = self.fit_all(simulate=True)
            shares, candidates = carried(shares, candidates, fitted), fitted
            spent += size
            needed = max(variances) / asked**2
            size = int(REFIT_GROWTH * size)
            enough = spent + size > (HEAVY_SHARE * self.limit if more else REFIT_SHARE * needed)
            if enough or self.explorer.evaluations + size > self.limit:
                break
        kept = named(candidates, shares)
        many = f"{number} refit{'s' if number > 1 else ''}"
        _, broad, past, *_ = self.of_layers
        self.notes.decide(
            f"{many}; the proposal is {kept}, with {broad:.1%} of its draws from broadened laws and "
            f"{past:.1%} from laws of the search; one draw has a relative variance of {max(variances):.2g}"
        )
        return candidates, shares, variances

    def cover(self) -> Distribution | None:
        """A law around the nearest point of each known region; None without one."""
        return self.known.cover(self.archive, self.goals[0])

    def cover_heavy(self, u: Float, log_weight: Float, size: int) -> int:
        """Add points where failing draws ``u`` (n, d) carry much of a batch of ``size``; returns their number.

        Each is the nearest point from the draw or, if that is known, the edge on its ray.
        """
        weight = np.exp(log_weight - log_weight.max())
        share = weight / weight.sum()
        heavy = np.argsort(-share, kind="stable")[: min(MOST_HEAVY, size // (self.dim + 20))]
        heavy = heavy[share[heavy] > HEAVY]
        before, known, edges = self.explorer.evaluations, len(self.known.regions), len(self.known.edges)
        for k in heavy:
            if len(self.known.points) >= MOST_POINTS or self.explorer.evaluations + size > self.limit:
                break
            left = self.limit - self.explorer.evaluations
            if not self.known.add_region(nearest_point(self.explorer, self.goals[0], u[k], left)):
                self.known.add_edge(edge_on_ray(self.explorer, self.goals[0], u[k]))
        if self.explorer.evaluations > before:
            self.notes.record("heavy draws", 0, self.explorer.evaluations - before, elites=heavy.size)
        new = [*(region.point for region in self.known.regions[known:]), *self.known.edges[edges:]]
        self.fits.begin += [part_at(point, 1.0 / len(self.known.points)) for point in new]
        return len(new)

    def shared(self, candidates: list[Candidate], shares: Float, u: Float, loss: Float, log_weight: Float) -> Float:
        """Shares of the candidates after fresh draws, all events treated alike."""
        shares = shares.copy()
        for goal in self.goals:
            rivals = np.flatnonzero([c.goal == goal for c in candidates])
            hit = loss >= goal
            if rivals.size > 1 and np.count_nonzero(hit) > 5:
                before = shares[rivals] / shares[rivals].sum()
                fitted = fitted_shares([candidates[k] for k in rivals], before, u[hit], log_weight[hit])
                shares[rivals] = fitted / len(self.goals)
        return shares

    def choose(self, law: Distribution, variances: tuple[float, ...]) -> Tuned:
        """The proposal, unless subset simulation or crude Monte Carlo needs fewer draws."""
        probability = self.archive.probability(self.goal)
        variance = max(variances)
        if probability > 0 and (1.0 - probability) / probability < variance:
            self.notes.decide(f"crude Monte Carlo has the smaller relative variance per draw, {1 / probability:.2g}")
            return self.crude(
                f"the event has a probability of about {probability:.2g}: importance sampling gains nothing"
            )
        levels = max(1.0, -math.log10(max(probability, 1e-300)))
        if variance > SUBSET_VARIANCE * levels**2 and self.session.beyond is None:
            why = f"draws of the fitted proposal have a relative variance of {variance:.2g}"
            return self.subset(why, probability)
        return self.tuned(law, variances, facts=self.coverage(law, probability, variance))

    # what the stages share

    def fit_all(self, simulate: bool = False) -> list[Candidate]:
        """Candidates for each of the events."""
        several = len(self.goals) > 1
        return [
            replace(candidate, name=f"{candidate.name}{AT}{self.explorer.sign * goal:.4g}", goal=goal)
            if several
            else replace(candidate, goal=goal)
            for goal in self.goals
            for candidate in self.fits.beyond(goal, simulate)
        ]

    def signed_thresholds(self) -> list[float]:
        return [self.explorer.sign * event.threshold for event in self.session.events]

    def coverage(self, law: Distribution, probability: float, variance: float) -> dict[str, float]:
        """Facts for the verdict: failing mass that the proposal would hardly draw, and regions not found."""
        archive, target = self.archive, self.session.problem.target
        failing = archive.loss >= self.goal
        weight = np.exp(archive.log_weight[failing])
        ratio = np.exp(log_density(target, archive.u[failing]) - log_density(law, archive.u[failing]))
        n = max(400.0, variance / (self.session.relative_error or 0.01) ** 2)
        uncovered = ratio > UNCOVERED * n * probability
        facts = {"uncovered": float(weight[uncovered].sum() / weight.sum()), "unseen_regions": self.unseen}
        return facts | ({"unseen_walks": float(self.counted_walks)} if self.counted_walks else {})

    def tuned(
        self,
        law: Distribution | None,
        variances: tuple[float, ...] | None,
        outcome: str = "the event was reached",
        estimator: Estimator | None = None,
        facts: dict[str, float] | None = None,
        reached: bool = True,
    ) -> Tuned:
        failed = met()
        if failed and law is not None and self.of_target < OF_FAILED:
            law = Mixture.defensive(law, self.session.problem.target, OF_FAILED)
            variances = variances and tuple((1.0 + v) / (1.0 - OF_FAILED) - 1.0 for v in variances)
            self.notes.decide(
                f"{failed:,} rows failed: {OF_FAILED:.0%} of the draws come from the target, so that a failed row "
                "weighs at most ten ordinary rows"
            )
        return Tuned(
            proposal=law,
            iterations=tuple(self.notes.records),
            evaluations=self.explorer.evaluations,
            nominal=self.archive.counts[0],
            variances=variances,
            starts=0 if law is None and estimator is None else max(self.walks, 1),
            reached=max(self.walks, 1) if reached else 0,
            regions=self.found,
            outcome=outcome,
            gave_up=endings_of([outcome]),
            estimator=estimator,
            facts={"searched": 1.0, **(facts or {})},
            decisions=tuple(self.notes.decisions),
            trace=self.notes.trace(),
        )

    def crude(self, outcome: str) -> Tuned:
        return self.tuned(None, None, outcome)

    def subset(self, why: str, probability: float) -> Tuned:
        """Independent runs of subset simulation as the estimate."""
        session, population = self.session, SubsetSimulation()
        sampler = Sampler(session.problem, None, session.seed)
        levels = max(1.0, -math.log10(max(probability, 1e-300)))
        expected = population.samples * (levels + 1.0)
        self.notes.decide(f"{why}: independent runs of subset simulation are used instead")
        events = tuple(session.events)
        variances = (population.variance(levels),) * len(events)
        estimator = Replicates(sampler, events, population, expected, session.max_evaluations // 2, variances)
        return self.tuned(None, variances, estimator=estimator)

    def gave_up(self, why: str) -> Tuned:
        """The best available proposal if the event was not reached; the verdict says so."""
        archive = self.archive
        in_event = archive.loss >= self.goal
        if np.count_nonzero(np.exp(archive.log_weight[in_event])) < 2:  # weights can vanish in many dimensions
            self.notes.decide(f"{why}, and hardly any draw was in the event: draws from the target give a bound")
            return replace(self.tuned(None, None, why), starts=max(self.walks, 1), reached=0)
        self.notes.decide(f"{why}: the proposal is fitted to the few draws in the event")
        candidates = self.fit_all()
        law = proposal(
            candidates,
            np.full(len(candidates), 1.0 / len(candidates)),
            archive,
            self.cover(),
        )
        return self.tuned(self.with_target(law), None, why, reached=False)


def _variance(log_weight: Float, hit: np.ndarray[tuple[int], np.dtype[np.bool_]], bounded: bool) -> float:
    """Relative variance of one draw; for a common event with ``bounded`` weights, that of the better estimate.

    See `raresim.measures.often.often`.
    """
    if not hit.any():
        return math.inf
    inside = log_weight.size / effective_of_logs(log_weight[hit])
    share = float(np.exp(log_weight[hit]).sum() / np.exp(log_weight).sum())
    if not bounded or share <= COMMON or hit.all():
        return inside - 1.0
    outside = log_weight.size / effective_of_logs(log_weight[~hit])
    return min(inside - 1.0, (1.0 - share) ** 2 * (inside + outside))
