"""The default method: it looks for the failure regions, fits, compares and chooses what to draw from by itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from raresim.accumulators.level import LevelRows
from raresim.accumulators.tail import TailMoments
from raresim.arguments.checks import one_of, whole
from raresim.diagnostics.endings import Ending, GaveUp, endings_of
from raresim.diagnostics.ess import effective, effective_of_logs
from raresim.diagnostics.verdict import UNCOVERED
from raresim.distributions.base import Distribution, log_density
from raresim.distributions.beyond_sphere import BeyondSphere
from raresim.distributions.low_rank_normal import LowRankNormal
from raresim.distributions.mixture import Mixture
from raresim.distributions.normal import Normal
from raresim.distributions.standard_normal import widening
from raresim.engine.fold import Sampler
from raresim.engine.problem import Space
from raresim.engine.session import Session
from raresim.errors import FieldError
from raresim.estimators.base import Estimator
from raresim.estimators.replicates import Replicates
from raresim.losses.base import Loss
from raresim.losses.failures import met
from raresim.measures.base import Measure
from raresim.methods.base import Method, Tuned
from raresim.methods.costly import why_a_surrogate
from raresim.methods.draws import Draws, are_single, drawn_as, refuse_draws, told_of
from raresim.methods.scheme import Scheme, SchemeUse, chosen
from raresim.methods.subset_simulation import SubsetSimulation
from raresim.methods.surrogate import Surrogate
from raresim.numerics.arrays import Float, Index
from raresim.proposals.histogram_tilt import HistogramTilting
from raresim.record.evidence import Evidence, EvidencePlot, EvidenceTable
from raresim.record.records import Iteration
from raresim.registry import member
from raresim.search.archive import Archive
from raresim.search.blend import (
    LAYERS,
    Candidate,
    carried,
    drawn_from,
    fitted_layers,
    fitted_shares,
    layers,
    proposal,
    searching,
)
from raresim.search.explorer import Explorer
from raresim.search.fitting import CENTRAL, WIDE, Fit, Part, capped, em, fit_mixture, mixed, radial
from raresim.search.goals import rarest
from raresim.search.hits import (
    MOST_CLIMBS,
    RUNG,
    SAME,
    Region,
    bends_seen,
    cost_by_hits,
    find_by_hits,
    points_of,
)
from raresim.search.limit_states import cost_along_states, regions_along_states
from raresim.search.nearest import edge_on_ray, nearest_point
from raresim.search.quadratic import fit_quadratic, tilted_together
from raresim.search.ridge import ridge_direction
from raresim.search.walks import AXES, WALKS, find_design_points

FIRST = 300
"""Draws of the first batch."""

BATCH = 200
"""Draws of a level, in up to ten dimensions; ten more for each further one, up to `MOST_EXTRA` of them."""

MOST_EXTRA = 40

LEVEL_ESS = 50.0
"""Effective draws beyond a level that is chosen; half as many for each level without progress."""

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

WITHIN = 0.98
"""Radius at which the law of such a region begins, relative to its nearest point."""

AGAIN_COST = 60.0
"""Evaluations of climbs from an audit's draws: at most this many times the number of coordinates plus twenty."""

HEAVY_SHARE = 0.2
"""Share of the search's evaluations for refits while draws of the last refit had to be covered."""

MOST_POINTS, MOST_BEGUN = 80, 24
"""Points that are kept, and the nearest of them from which fits of components start."""
LEAST_COVER = 0.3
"""Smallest share of a point among all, relative to an equal share."""

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

LEAST_NEAR, NEAR_PER_TERM = 300, 4
"""Draws for the fit of a quadratic: the smallest number, and the number per term."""

SIMULATED, SIMULATIONS, SIMULATED_ESS = 3000, 3, 50.0
"""Draws of the event of a quadratic, largest number of such batches, and their smallest effective number."""

MOST_TILTS = 6
"""Regions that get a tilt by a quadratic of their own: those with the most mass."""

TILTED = 20
"""Number of coordinates from which one tilt of all coordinates is a candidate."""

RADIAL_NATS = 1.0
"""Nats of cross-entropy by which a law of the radius alone may be worse at first and still be a candidate."""

AT = " at "
"""Stands between the name of a candidate and the threshold that it is for, if there are several."""

OF_FAILED = 0.1
"""Share of final draws from the target if rows failed: the upper end of the interval counts these rows."""


@member("method")
@dataclass(frozen=True, kw_only=True)
class Auto(Method):
    """Looks for the failure regions and chooses the proposal by itself: begin here.

    Parameters
    ----------
    max_levels : int
        Levels after which the search for the event gives up.
    scheme : "compare", "only" or "off"
        What becomes of the scheme that a model offers: held against what a search finds, used alone, or left out.
    draws : "independent" or "sobol"
        How the final draws are made: one by one, or as points of scrambled Sobol' nets.
    control_variates : bool
        Whether the components of the proposal serve as control variates.

    Raises
    ------
    FieldError
        When ``max_levels`` is not a positive whole number, or the other options do not fit each other.

    Notes
    -----
    1. *First batch*: 300 draws of a widened target. An event with a probability above one fifth is left to crude Monte
       Carlo; so is one for which crude Monte Carlo costs no more than a search would, after a pilot of the target where
       the first batch comes near to that.
    2. *Walks uphill* from the highest points and along the axes, where few of these draws are in the event: design
       points, one for each failure region, and points between two axes, where a sum fails by two terms. Regions are
       told apart by whether the loss falls between two of them, and walks go on until few are likely to be left ([1]_).
    3. *Levels*: batches of mostly broadened fits, each to the draws beyond the highest level that 50 effective draws
       reach, until the event is reached. All draws so far are weighted as one sample (balance heuristic).
    4. *Refits*: batches of the proposal itself. Candidates (mixtures with free or pooled variances, their number of
       components by BIC; the target tilted by a quadratic that is fitted to the losses near the threshold; in many
       dimensions one tilt that all coordinates share) get shares by the likelihood of fresh draws in the event, which
       is minus their cross-entropy. Broadened copies of them and laws of the search get the shares that make the
       variance smallest, 7.5 % at least. Refits end when they have cost a quarter of what the estimate is expected to
       cost: one more could no longer save what it takes.
    5. *Estimate*: fresh draws of the last proposal alone. Draws that a proposal was fitted to would bias it low. Where
       its largest weights would not be trusted (k-hat, largest share), as many are made again, at most twice.
    6. *Another round* where the audit finds failing draws that the proposal hardly makes, or where the weights stay
       heavy: from these draws, or from those at which a row would be heaviest.

    Where some of several events are common (about one fifth and more), three tenths of the draws come from the target
    and nothing is fitted to these events.

    Where rows of the search failed and are bounded, a tenth of the final draws comes from the target: what fails may
    lie where the proposal hardly goes, and the upper end of the interval has to see it.

    Where the proposal would need more draws than subset simulation or crude Monte Carlo, these are used instead.

    References
    ----------
    .. [1] Boender & Rinnooy Kan, *Bayesian stopping rules for multistart global optimization methods*,
       Math. Program. 37, 1987.
    """

    kind: ClassVar[str] = "auto"

    max_levels: int = 40
    scheme: SchemeUse = "compare"
    draws: Draws = "independent"
    control_variates: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "max_levels", whole("max_levels", self.max_levels))
        one_of("scheme", self.scheme, SchemeUse)
        refuse_draws(self.draws, self.control_variates)
        if self.draws == "antithetic":
            raise FieldError("draws", "cannot be 'antithetic': the laws that are fitted are not symmetric")

    @property
    def weighs_draws(self) -> bool:
        return are_single(self.draws, self.control_variates)

    @property
    def draws_in(self) -> Space:
        return "standard"

    def tune(self, session: Session) -> Tuned:
        counts = session.beyond is None and session.drawing is None
        if why := self._costly(session.problem.loss, session.problem.dim, session.max_evaluations, counts):
            tuned = Surrogate().tune(session)
            return replace(tuned, decisions=(why, *tuned.decisions))
        if self.scheme == "only" and session.scheme is None:
            raise FieldError(
                "scheme", "must not be 'only': inputs and loss of this run come from no model that has one"
            )
        scheme = session.scheme if isinstance(session.scheme, Scheme) and self.scheme != "off" else None
        offered = None if scheme is None else scheme.tune(session)
        if self.scheme == "only" and offered is None:
            raise FieldError("scheme", "must not be 'only': the scheme of the model does not serve these measures")
        if offered is None:
            return self._searched(session)
        session.max_evaluations -= offered.evaluations
        cost = offered.patience * self.cost(session.problem.dim, session.problem.dim)
        return chosen(offered, lambda most: self._searched(session, most), self._needed(session, offered), cost)

    def _costly(self, loss: Loss, dim: int, budget: int, counts: bool) -> str:
        """Why the run is left to a surrogate; empty where it is not, and where options ask for a search."""
        return why_a_surrogate(loss, dim, budget, counts) if self == Auto() else ""

    def foreseen(self, loss: Loss, measures: Sequence[Measure], dim: int, budget: int) -> str:
        return self._costly(loss, dim, budget, all(measure.keeps == "counts" for measure in measures))

    def _searched(self, session: Session, most: float = math.inf) -> Tuned:
        """What a search of at most ``most`` evaluations finds; later rounds have all that the session has."""
        search = _Search(self, session, most)
        found = search.run()
        search.most = math.inf
        return self._drawn(found, search)

    def _needed(self, session: Session, offered: Tuned) -> float:
        """Evaluations that the estimate of the scheme is expected to need; 0 where no search is wanted."""
        if self.scheme == "only":
            return 0.0
        if offered.variances is None:
            return math.inf
        return max(offered.variances) / (session.relative_error or 0.01) ** 2

    def _drawn(self, tuned: Tuned, search: _Search) -> Tuned:
        """``tuned`` with draws as they were asked for, and with the way to another round."""
        if tuned.estimator is None and tuned.proposal is not None:
            tuned = drawn_as(tuned, search.session, self.draws, self.control_variates)
        return replace(tuned, again=lambda missed: self._drawn(search.again(missed), search), mends=True)

    def cost(self, latent_dim: int, dim: int) -> int:
        return FIRST + WALKS * (latent_dim + 4) + 5 * batch_size(latent_dim)

    def describe(self) -> list[str]:
        fresh = "fresh draws" + told_of(self.draws, self.control_variates)
        return [f"chosen by the program: search for failure regions, fitted mixture proposals, {fresh}"]

    @staticmethod
    def examples() -> list[Auto]:
        """Members for the conformance tests."""
        return [Auto(), Auto(max_levels=20), Auto(draws="sobol"), Auto(control_variates=True)]


def batch_size(dim: int) -> int:
    """Draws of a level in ``dim`` dimensions."""
    return BATCH + 10 * min(max(0, dim - 10), MOST_EXTRA)


@dataclass(eq=False)
class _Search:
    """One search: what it knows, has spent and has decided."""

    method: Auto
    session: Session
    most: float = math.inf
    explorer: Explorer = field(init=False)
    records: list[Iteration] = field(default_factory=list)
    decisions: list[str] = field(default_factory=list)
    begin: list[Part] = field(default_factory=list)
    walks: int = 1
    fits: list[tuple[int, int, float, str]] = field(default_factory=list)
    found: int = 1
    unseen: float = 0.0
    of_layers: Float = field(default_factory=LAYERS.copy)
    regions: list[Region] = field(default_factory=list)
    edges: list[Float] = field(default_factory=list)
    of_target: float = 0.0
    counted_walks: int = 0

    def __post_init__(self) -> None:
        sign = rarest(self.session.events).sign
        self.explorer = Explorer(self.session, sign)
        self.rng = self.explorer.generator()
        self.goals = sorted({sign * event.threshold for event in self.session.events})
        self.goal = self.goals[-1]
        self.tilt = HistogramTilting()

    @property
    def limit(self) -> int:
        """Evaluations that tuning may take."""
        return int(min(self.most, TUNING_SHARE * self.session.max_evaluations))

    @property
    def dim(self) -> int:
        return self.explorer.dim

    def run(self) -> Tuned:
        archive = self.explorer.archive
        self.first_batch()
        probability = self.probability(self.goal)
        if probability > COMMON:
            self.decide(f"the event is common (about {probability:.2g}): draws from the target, no weights")
            return self.crude(f"the event is not rare: about {probability:.2g}")
        if self.crude_costs_no_more():
            return self.crude("crude Monte Carlo costs no more than a search for the event would")
        self.leave_common()
        self.look_for_regions()
        outcome = self.climb_levels()
        archive.keep_searched()
        if outcome:
            return self.gave_up(outcome)
        return self.fitted()

    def fitted(self) -> Tuned:
        """Fit to all draws so far, and choose."""
        candidates, shares, variances = self.refit()
        law = proposal(candidates, shares, self.explorer.archive, self.cover(), self.of_layers)
        return self.choose(self.with_target(law), variances)

    # the stages

    def crude_costs_no_more(self) -> bool:
        """Whether draws of the target need no more evaluations than a search, its estimate and its audit.

        If the first batch leaves it open, a pilot of the target decides. Crude Monte Carlo misses nothing, its interval
        is exact, and it needs no audit.
        """
        asked, archive = self.session.relative_error, self.explorer.archive
        if asked is None or self.explorer.evaluations >= self.limit:
            return False
        search = self.method.cost(self.dim, self.dim) + cost_by_hits(self.dim)
        other = OF_OTHERS * (search + LIKELY_VARIANCE / asked**2)
        same = 1.0 / (1.0 + other * asked**2)  # the probability at which both cost the same
        if not 0.7 * same < self.probability(self.goal) or same >= COMMON:
            return False
        n = math.ceil(PILOT_HITS / same)
        if self.explorer.evaluations + n > self.limit:
            return False
        rows = self.explorer.draw(self.session.problem.target, n, "draws of the target")
        hits = int(np.count_nonzero(archive.loss[rows] >= self.goal))
        self.record("target", 0, n)
        enough = hits >= LEAST_HITS and hits / n >= same
        then = "costs no more than a search" if enough else "would cost more than a search"
        self.decide(f"{hits:,} of {n:,} draws of the target hit the event: crude Monte Carlo {then}")
        return enough

    def leave_common(self) -> None:
        """Leave common events to a share of draws from the target: nothing is fitted to them."""
        rare = [goal for goal in self.goals[:-1] if self.probability(goal) <= COMMON] + [self.goal]
        if len(rare) < len(self.goals):
            many = len(self.goals) - len(rare)
            are = "is" if many == 1 else "are"
            self.decide(
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
        self.decide(f"{n:,} draws of the target, widened to a standard deviation of {wide:.2f}")
        self.record("first", 0, n)

    def look_for_regions(self) -> None:
        """Nearest points by walks uphill, and by hits of a widened target; a batch around them."""
        self.regions = self.along_states()
        self.regions += [Region(point, 0) for point in self.walk_uphill()]
        self.by_hits()
        if self.regions:
            self.around(self.points)

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
        self.decide(found.describe())
        self.record("limit states", 0, self.explorer.evaluations - before, elites=len(regions))
        return regions

    def walk_uphill(self) -> Float:
        """Design points (k, d) by walks uphill; none if many draws are in the event, or none is higher."""
        archive, d = self.explorer.archive, self.dim
        most = (self.limit - self.explorer.evaluations) // 2
        known = self.ess(self.goal) >= ENOUGH or self.regions
        if known or most < batch_size(d) or archive.loss.min() == archive.loss.max():
            return np.empty((0, d))
        found = find_design_points(self.explorer, self.goal, most)
        self.walks, self.found, self.unseen = max(found.walks, 1), found.regions, found.unseen
        self.counted_walks = found.walks
        self.decide(found.describe())
        self.record("walks", 0, found.evaluations, elites=len(found.points))
        return found.points

    def by_hits(self) -> None:
        """Look for further regions by hits of a widened target."""
        most = min((self.limit - self.explorer.evaluations) // 2, LARGER * cost_by_hits(self.dim))
        if most < RUNG:
            return
        known, spheres = len(self.regions), sum(r.sphere is not None for r in self.regions)
        rng = self.explorer.generator()
        climbs = MOST_CLIMBS + bends_seen(self.dim)
        found = find_by_hits(
            self.explorer, self.dim, self.goal, rng, HITS, most, self.regions, climbs, bends_seen(self.dim)
        )
        self.decide(found.describe(known))
        self.walks = max(self.walks, found.climbs)
        self.record("hits", 0, found.evaluations, elites=found.hits)
        self.regions = list(found.regions)
        self.found = max(self.found, len(self.regions))
        if found.hits >= HITS:
            self.unseen = min(self.unseen, sum(region.hits == 1 for region in self.regions) / found.hits)
            self.counted_walks = 0
        for sphere in [r.sphere for r in self.regions if r.sphere][spheres:]:
            self.decide(f"a region bends around the origin in {sphere[0].shape[1]} directions, {sphere[1]:.2f} away")

    @property
    def points(self) -> Float:
        """Points of the edges of all regions (k, d): the nearest of each first, then others."""
        return np.concatenate([points_of(self.regions, self.dim), np.array(self.edges).reshape(-1, self.dim)])

    def around(self, points: Float) -> None:
        """Begin the fits at ``points`` (k, d) too, with a batch around them."""
        n = batch_size(self.dim)
        distance = np.square(points).sum(axis=1)
        shares = np.exp(-0.5 * (distance - distance.min()))
        shares = np.maximum(shares / shares.sum(), 0.2 / len(points))
        begin = [_around(point, float(share)) for point, share in zip(points, shares / shares.sum(), strict=True)]
        self.begin = [*self.begin, *begin]
        weights = [p.share for p in begin]
        narrow, broad = (mixed(weights, laws) for laws in zip(*((p.law(), p.broad()) for p in begin), strict=True))
        n = min(max(n, 4 * len(points)), self.limit - self.explorer.evaluations)
        if n > 0:
            self.explorer.draw(mixed([0.5, 0.5], [narrow, broad]), n, "around the design points")
            self.record("design points", 0, n)

    def again(self, missed: Float) -> Tuned:
        """Another round, from failing draws (k, d) that the last proposal hardly makes, heaviest first."""
        before, known, edges = self.explorer.evaluations, list(self.regions), len(self.edges)
        most = min(self.limit, before + int(AGAIN_COST * (self.dim + 20)))
        there: list[Float] = []
        for u, goal in zip(missed, self.goals_at(missed), strict=True):
            if self.explorer.evaluations >= most:
                break
            point = nearest_point(self.explorer, goal, u)
            if not self.add_region(point) and len(self.edges) < edges + MOST_HEAVY:
                self.add_edge(edge_on_ray(self.explorer, goal, u))
            there.append(point)
        if self.explorer.evaluations > before:
            self.record("audit", 0, self.explorer.evaluations - before, elites=len(missed))
        self.by_hits()
        new = [region for region in self.regions if not any(region is other for other in known)]
        self.decide(f"{len(missed)} failing draws of the audit led to {len(new)} new points of regions")
        there += [*points_of(new, self.dim), *self.edges[edges:]]
        if there:
            self.around(_apart(there))
        return self.fitted()

    def goals_at(self, u: Float) -> list[float]:
        """The rarest goal that each of the failing draws ``u`` (n, d) has reached."""
        if len(self.goals) == 1:
            return self.goals * len(u)
        return [max((g for g in self.goals if g <= x), default=self.goals[0]) for x in self.explorer(u).tolist()]

    def add_region(self, point: Float) -> bool:
        """Add a region with this nearest ``point`` (d,), unless one near to it is known; whether it was not."""
        if self.is_known(point):
            return False
        self.regions.append(Region(point, 0))
        return True

    def add_edge(self, point: Float) -> None:
        """Add a ``point`` (d,) of the event's edge that is nearest to nothing, unless one near to it is known."""
        if not self.is_known(point):
            self.edges.append(point)

    def is_known(self, point: Float) -> bool:
        """Whether a point near this one (d,) is known."""
        known = self.points
        return bool(len(known)) and float(np.square(known - point).sum(axis=1).min()) < SAME**2

    def climb_levels(self) -> str:
        """Batches until the event is reached; why it was not, or nothing."""
        archive, best, stalled = self.explorer.archive, -math.inf, 0
        n = batch_size(self.dim)
        for level in range(self.method.max_levels):
            at = archive.level(self.goal, LEVEL_ESS / 2**stalled)
            if at >= self.goal or archive.level(self.goal, GOAL_ESS) >= self.goal:
                many = f"{level} level{'' if level == 1 else 's'}"
                self.decide(f"the event was reached after {many} ({self.explorer.evaluations:,} evaluations)")
                return ""
            if self.explorer.evaluations + n > self.limit:
                return GaveUp(Ending.BUDGET, "half of max_evaluations spent before the event was reached")
            stalled = 0 if at > best else stalled + 1
            best = max(best, at)
            if stalled >= STALLED:
                return GaveUp(Ending.STALLED, f"the level stalled at {self.explorer.sign * best:.6g}")
            self.explorer.draw(searching(self.fit(at)), n, f"level {self.explorer.sign * at:.6g}")
            self.record("levels", level + 1, n, at)
        return GaveUp(Ending.LEVELS, f"the event was not reached in {self.method.max_levels} levels")

    def refit(self) -> tuple[list[Candidate], Float, tuple[float, ...]]:
        """Batches of the proposal, each fitted to all draws before it, while they are cheap beside the estimate."""
        archive, target = self.explorer.archive, self.session.problem.target
        left = self.session.unreserved - self.explorer.evaluations
        size = min(max(batch_size(self.dim), 4 * len(self.begin)), max(left // 2, 1))
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
            self.record("refits", number, size, information=_information(log_weight, archive, rows, self.goal))
            self.fits.append((number, size, max(variances), _named(candidates, shares)))
            fitted = self.fit_all(simulate=True)
            shares, candidates = carried(shares, candidates, fitted), fitted
            spent += size
            needed = max(variances) / asked**2
            size = int(REFIT_GROWTH * size)
            enough = spent + size > (HEAVY_SHARE * self.limit if more else REFIT_SHARE * needed)
            if enough or self.explorer.evaluations + size > self.limit:
                break
        kept = _named(candidates, shares)
        many = f"{number} refit{'s' if number > 1 else ''}"
        _, broad, past, *_ = self.of_layers
        self.decide(
            f"{many}; the proposal is {kept}, {broad:.1%} of it broadened and {past:.1%} laws of the search; "
            f"one draw has a relative variance of {max(variances):.2g}"
        )
        return candidates, shares, variances

    def cover(self) -> Distribution | None:
        """A law around the nearest point of each known region; None without one.

        Each region has a standard normal beyond its plane, as far as its distance goes, and one around its point. The
        shares are the masses of the failing draws on its side, at least a fixed part of an equal share.
        """
        points = self.points
        if not len(points):
            return None
        archive = self.explorer.archive
        failing = archive.loss >= self.goals[0]
        shares = np.full(len(points), 1.0 / len(points))
        if np.count_nonzero(failing) > 5:
            side = _side(archive.u[failing], points)
            mass = np.bincount(side, capped(np.exp(archive.log_weight[failing])), minlength=len(points))
            shares = np.maximum(mass / mass.sum(), LEAST_COVER / len(points))
            shares /= shares.sum()
        laws: list[Distribution] = []
        for point, share in zip(points, shares.tolist(), strict=True):
            laws += [_around(point, share).law(), Normal(mean=point, std=1.0)]
        around = mixed(np.repeat(shares, 2).tolist(), laws)
        bent = [region.sphere for region in self.regions if region.sphere]
        spheres = [BeyondSphere(directions=basis, radius=WITHIN * radius) for basis, radius in bent]
        return mixed([1.0] + [1.0] * len(spheres), [around, *spheres])

    def cover_heavy(self, u: Float, log_weight: Float, size: int) -> int:
        """Add points where failing draws ``u`` (n, d) carry much of a batch of ``size``; returns their number.

        Each is the nearest point from the draw or, if that is known, the edge on its ray.
        """
        weight = np.exp(log_weight - log_weight.max())
        share = weight / weight.sum()
        heavy = np.argsort(-share, kind="stable")[: min(MOST_HEAVY, size // (self.dim + 20))]
        heavy = heavy[share[heavy] > HEAVY]
        before, known, edges = self.explorer.evaluations, len(self.regions), len(self.edges)
        for k in heavy:
            if len(self.points) >= MOST_POINTS or self.explorer.evaluations + size > self.limit:
                break
            if not self.add_region(nearest_point(self.explorer, self.goals[0], u[k])):
                self.add_edge(edge_on_ray(self.explorer, self.goals[0], u[k]))
        if self.explorer.evaluations > before:
            self.record("heavy draws", 0, self.explorer.evaluations - before, elites=heavy.size)
        new = [*(region.point for region in self.regions[known:]), *self.edges[edges:]]
        self.begin += [_around(point, 1.0 / len(self.points)) for point in new]
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
        probability = self.probability(self.goal)
        variance = max(variances)
        if probability > 0 and (1.0 - probability) / probability < variance:
            self.decide(f"a draw of crude Monte Carlo has the smaller relative variance, {1 / probability:.2g}")
            return self.crude(f"the event has a probability of about {probability:.2g}: weights gain nothing")
        levels = max(1.0, -math.log10(max(probability, 1e-300)))
        if variance > SUBSET_VARIANCE * levels**2 and self.session.beyond is None:
            why = f"draws of the fitted proposal have a relative variance of {variance:.2g}"
            return self.subset(why, probability)
        return self.tuned(law, variances, facts=self.coverage(law, probability, variance))

    # what the stages share

    def fit(self, level: float, simulate: bool = False) -> list[Candidate]:
        """Candidates for the law of the target beyond ``level``."""
        archive, d = self.explorer.archive, self.dim
        elite = archive.loss >= level
        u, weight = archive.u[elite], np.exp(archive.log_weight[elite])
        begin: list[Sequence[Part]] = [sorted(self.begin, key=lambda part: part.rate)[:MOST_BEGUN]]
        if d > 10:
            recent = slice(max(0, archive.size - max(3 * batch_size(d), 4 * d)), None)
            direction = ridge_direction(archive.u[recent], archive.loss[recent])
            if direction is not None:
                along = float(capped(weight) @ (u @ direction))
                if abs(along) > 0.5:
                    begin.append([_around(along * direction, 1.0)])
        fits = {"pooled variances": fit_mixture(u, weight, "pooled", self.rng, begin)}
        if 2 < d <= WIDE:
            fits["free variances"] = fit_mixture(u, weight, "unit", self.rng, begin)
        if simulate and 2 < d <= AXES:
            simulated = self.simulated(level, min(fits.values(), key=lambda fit: fit.bic))
            if simulated is not None:
                fits["by a quadratic"] = simulated
        candidates = [Candidate(name, f.law(), f.broad(), len(f.parts)) for name, f in fits.items()]
        if simulate and 2 < d <= AXES:
            candidates += self.tilted(level)
        if d > 1 and self.method.draws == "independent":
            law, broad = radial(u, weight)
            logs = log_density(law, u)
            best = max(float(capped(weight) @ log_density(c.law, u)) for c in candidates)
            if float(capped(weight) @ logs) > best - RADIAL_NATS:
                candidates.append(Candidate("all directions alike", law, broad))
        if d >= TILTED and self.method.draws == "independent":
            stats = self.tilt.suffstats(self.session.problem.target, np.asfortranarray(u), capped(weight))
            candidates.append(Candidate("tilt of all coordinates", self.tilt.fit(self.session.problem.target, stats)))
        return candidates

    def simulated(self, level: float, fit: Fit) -> Fit | None:
        """``fit`` repeated with draws that a quadratic places in the event; None if the quadratic does not serve.

        The quadratic is fitted to the draws that are most likely under ``fit``, on both sides of the level. Its event
        can be drawn from as often as a covariance needs.
        """
        archive, target = self.explorer.archive, self.session.problem.target
        near = np.argsort(-log_density(fit.broad(), archive.u), kind="stable")
        near = near[: self.enough_near]
        quadratic = fit_quadratic(archive.u[near], archive.loss[near] - level)
        if quadratic is None:
            return None
        parts = [replace(part, anchor=None, frame=None) for part in fit.parts]
        law, broad = fit.law(), fit.broad()
        for _ in range(SIMULATIONS):
            drawn = mixed([0.7, 0.3], [law, broad])
            u = np.empty((SIMULATED, self.dim), order="F")
            drawn.sample(self.rng, u)
            u = u[quadratic(u) >= 0.0]
            weight = np.exp(log_density(target, u) - log_density(drawn, u))
            if effective(weight) < SIMULATED_ESS:
                return None
            fit = em(u, capped(weight), parts, "pooled")
            parts, law, broad = list(fit.parts), fit.law(), fit.broad()
        return fit

    def tilted(self, level: float) -> list[Candidate]:
        """The target tilted by a quadratic, fitted to the draws whose losses are nearest to ``level``.

        If several regions are known, also a mixture of such tilts, each fitted on the side of a region; if the loss has
        limit states, one for each choice of them that fails together.
        """
        laws = {"tilt by a quadratic": [(1.0, self.tilt_from(self.near(self.explorer.archive.loss, level), level))]}
        if self.explorer.archive.states is not None:
            laws["tilts by limit states"] = self.tilts_of_states(level)
        elif len(self.regions) > 1:
            laws["tilts by quadratics"] = self.tilts_of_regions(level)
        made = []
        for name, each in laws.items():
            there = [(share, law) for share, law in each if law is not None]
            if there:
                shares, tilts = [share for share, _ in there], [law for _, law in there]
                made.append(Candidate(name, mixed(shares, tilts), mixed(shares, [_no_narrower(t) for t in tilts])))
        return made

    def near(self, loss: Float, level: float, among: Index | None = None) -> Index:
        """Rows of the archive, among ``among`` if given, whose ``loss`` (n,) is nearest to ``level``."""
        rows = np.arange(loss.size) if among is None else among
        return rows[np.argsort(np.abs(loss[rows] - level), kind="stable")[: self.enough_near]]

    @property
    def enough_near(self) -> int:
        """Number of draws for the fit of a quadratic."""
        return max(LEAST_NEAR, NEAR_PER_TERM * (self.dim + 1) * (self.dim + 2) // 2)

    def tilt_from(self, rows: Index, level: float) -> LowRankNormal | None:
        """The target tilted by the quadratic that these rows of the archive show."""
        archive = self.explorer.archive
        quadratic = fit_quadratic(archive.u[rows], archive.loss[rows] - level)
        return None if quadratic is None else quadratic.tilted()

    def tilts_of_regions(self, level: float) -> list[tuple[float, LowRankNormal | None]]:
        """A tilt for each of the regions with the most mass, from the draws on its side."""
        archive = self.explorer.archive
        points = np.array([region.point for region in self.regions])
        side, failing = _side(archive.u, points), archive.loss >= level
        mass = np.bincount(side[failing], capped(np.exp(archive.log_weight[failing])), minlength=len(points))
        largest = [k for k in np.argsort(-mass, kind="stable")[:MOST_TILTS] if mass[k] > 0.0]
        return [
            (float(mass[k]), self.tilt_from(self.near(archive.loss, level, np.flatnonzero(side == k)), level))
            for k in largest
        ]

    def tilts_of_states(self, level: float) -> list[tuple[float, LowRankNormal | None]]:
        """A tilt for each choice of limit states that fail together in the draws with the most mass."""
        archive, least = self.explorer.archive, self.session.problem.loss.at_least
        states = archive.states
        if states is None:
            return []
        failing = np.flatnonzero(archive.loss >= level)
        weight = capped(np.exp(archive.log_weight[failing]))
        sizes = np.maximum(np.median(np.abs(states - level), axis=0), 1e-300)
        highest = np.sort(np.argsort(-(states[failing] - level) / sizes, axis=1, kind="stable")[:, :least], axis=1)
        choices, number = np.unique(highest, axis=0, return_inverse=True)
        mass = np.bincount(number.reshape(-1), weight, minlength=len(choices))
        largest = np.argsort(-mass, kind="stable")[:MOST_TILTS]
        fitted = {}
        for k in np.unique(choices[largest]):
            rows = self.near(states[:, k], level)
            if (quadratic := fit_quadratic(archive.u[rows], states[rows, k] - level)) is not None:
                fitted[k] = quadratic
        return [
            (float(mass[c]), tilted_together([fitted[k] for k in choices[c]]))
            for c in largest
            if all(k in fitted for k in choices[c])
        ]

    def fit_all(self, simulate: bool = False) -> list[Candidate]:
        """Candidates for each of the events."""
        several = len(self.goals) > 1
        return [
            replace(candidate, name=f"{candidate.name}{AT}{self.explorer.sign * goal:.4g}", goal=goal)
            if several
            else replace(candidate, goal=goal)
            for goal in self.goals
            for candidate in self.fit(goal, simulate)
        ]

    def signed_thresholds(self) -> list[float]:
        return [self.explorer.sign * event.threshold for event in self.session.events]

    def ess(self, level: float) -> float:
        """Effective draws beyond ``level``."""
        archive = self.explorer.archive
        return effective_of_logs(archive.log_weight[archive.loss >= level])

    def probability(self, level: float) -> float:
        """Probability of a loss beyond ``level``, from all draws as one sample."""
        archive = self.explorer.archive
        return min(1.0, float(np.exp(archive.log_weight[archive.loss >= level]).sum()) / archive.size)

    def coverage(self, law: Distribution, probability: float, variance: float) -> dict[str, float]:
        """Facts for the verdict: failing mass that the proposal would hardly draw, and regions not found."""
        archive, target = self.explorer.archive, self.session.problem.target
        failing = archive.loss >= self.goal
        weight = np.exp(archive.log_weight[failing])
        ratio = np.exp(log_density(target, archive.u[failing]) - log_density(law, archive.u[failing]))
        n = max(400.0, variance / (self.session.relative_error or 0.01) ** 2)
        uncovered = ratio > UNCOVERED * n * probability
        facts = {"uncovered": float(weight[uncovered].sum() / weight.sum()), "unseen_regions": self.unseen}
        return facts | ({"unseen_walks": float(self.counted_walks)} if self.counted_walks else {})

    def decide(self, sentence: str) -> None:
        self.decisions.append(sentence)

    def record(
        self,
        start: str,
        iteration: int,
        n: int,
        level: float | None = None,
        elites: int | None = None,
        information: tuple[float, float] = (math.nan, math.nan),
    ) -> None:
        """A row of the table of iterations: the level that all draws so far reach, and KL and cross-entropy in nats."""
        archive, sign = self.explorer.archive, self.explorer.sign
        at = archive.level(self.goal, LEVEL_ESS) if level is None else level
        beyond = int(np.count_nonzero(archive.loss[-n:] >= at)) if elites is None else elites
        probability = self.probability(at)
        self.records.append(
            Iteration(
                start=start,
                iteration=iteration,
                level=sign * at,
                rarity=beyond / n,
                evaluations=n,
                elites=beyond,
                ess=self.ess(at),
                kl_optimal_proposal=information[0],
                kl_step=math.nan,
                cross_entropy=information[1],
                entropy=information[1] - information[0],
                log_probability=math.log(probability) if probability > 0 else -math.inf,
            )
        )

    # how it ends

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
            self.decide(
                f"{failed:,} rows failed: {OF_FAILED:.0%} of the draws come from the target, so that a failed row "
                "weighs at most ten ordinary rows"
            )
        return Tuned(
            proposal=law,
            iterations=tuple(self.records),
            evaluations=self.explorer.evaluations,
            nominal=self.explorer.archive.counts[0],
            variances=variances,
            starts=0 if law is None and estimator is None else max(self.walks, 1),
            reached=max(self.walks, 1) if reached else 0,
            regions=self.found,
            outcome=outcome,
            gave_up=endings_of([outcome]),
            estimator=estimator,
            facts={"searched": 1.0, **(facts or {})},
            decisions=tuple(self.decisions),
            trace=self.trace(),
        )

    def trace(self) -> Evidence:
        """The refits: the law of the draws, and the relative variance of a draw."""
        if not self.fits:
            return Evidence()
        columns = ("refit", "evaluations", "relative variance", "candidates")
        number, variance = tuple(float(f[0]) for f in self.fits), tuple(f[2] for f in self.fits)
        plot = EvidencePlot(
            "line", "Relative variance of one draw", "refit", "relative variance", number, variance, (), ()
        )
        return Evidence((EvidenceTable("Refits of the proposal", columns, tuple(self.fits)),), (plot,))

    def crude(self, outcome: str) -> Tuned:
        return self.tuned(None, None, outcome)

    def subset(self, why: str, probability: float) -> Tuned:
        """Independent runs of subset simulation as the estimate."""
        session, population = self.session, SubsetSimulation()
        sampler = Sampler(session.problem, None, session.seed)
        levels = max(1.0, -math.log10(max(probability, 1e-300)))
        expected = population.samples * (levels + 1.0)
        self.decide(f"{why}: independent runs of subset simulation are used instead")
        events = tuple(session.events)
        variances = (population.variance(levels),) * len(events)
        estimator = Replicates(sampler, events, population, expected, session.max_evaluations // 2, variances)
        return self.tuned(None, variances, estimator=estimator)

    def gave_up(self, why: str) -> Tuned:
        """The best available proposal if the event was not reached; the verdict says so."""
        archive = self.explorer.archive
        if np.count_nonzero(archive.loss >= self.goal) < 2:
            self.decide(f"{why}, and hardly any draw was in the event: draws from the target give a bound")
            return replace(self.tuned(None, None, why), starts=max(self.walks, 1), reached=0)
        self.decide(f"{why}: the proposal is fitted to the few draws in the event")
        candidates = self.fit_all()
        law = proposal(candidates, np.full(len(candidates), 1.0 / len(candidates)), archive, self.cover())
        return self.tuned(self.with_target(law), None, why, reached=False)


def _side(u: Float, points: Float) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """For each row of ``u`` (n, d), which of the ``points`` (k, d) has the tangent plane that it exceeds most."""
    length = np.sqrt(np.square(points).sum(axis=1))
    return np.asarray(np.argmax(u @ (points / np.maximum(length, 1e-12)[:, None]).T - length, axis=1))


def _apart(points: Sequence[Float]) -> Float:
    """The ``points`` (d,) that are not near an earlier one, as rows."""
    kept: list[Float] = []
    for point in points:
        if all(np.linalg.norm(point - other) >= SAME for other in kept):
            kept.append(point)
    return np.array(kept)


def _no_narrower(law: LowRankNormal) -> LowRankNormal:
    """``law``, widened to be nowhere narrower than the target."""
    return replace(law, variances=np.maximum(law.variances, 1.0))


def _information(log_weight: Float, archive: Archive, rows: slice, goal: float) -> tuple[float, float]:
    """KL(optimal || q) and H(optimal, q) in nats, from fresh draws of the last law ``q`` of the archive."""
    loss = archive.loss[rows]
    tail = TailMoments.of_block(log_weight, [loss >= goal])
    drawn = LevelRows(loss, log_weight, log_density(archive.laws[-1], archive.u[rows]))
    return tail.kl(0), drawn.cross_entropy(goal)


def _named(candidates: Sequence[Candidate], shares: Float) -> str:
    """The candidates in the proposal, with their shares; those of a kind for several events together."""
    kept = drawn_from(candidates, shares)
    total: dict[str, float] = {}
    for candidate, share, drawn in zip(candidates, shares.tolist(), kept, strict=True):
        if drawn:
            kind = str(candidate).partition(AT)[0]
            total[kind] = total.get(kind, 0.0) + share
    events = len({c.goal for c, drawn in zip(candidates, kept, strict=True) if drawn})
    shown = ", ".join(f"{share:.0%} {kind}" for kind, share in sorted(total.items(), key=lambda item: -item[1]))
    return f"{shown} (for {events} thresholds)" if events > 1 else shown


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


def _around(point: Float, share: float) -> Part:
    """A component that begins at a design point and has the tail of a standard normal behind a plane there.

    Close to the origin, where no direction is the tail's, it is the target moved to the point.
    """
    distance = math.sqrt(float(point @ point))
    if distance < CENTRAL:
        return Part(share, point, np.zeros((point.size, 0)), np.zeros(0), 1.0, None, 0.0)
    direction = point / distance
    variance = np.array([1.0 / max(distance, 1.0) ** 2])
    return Part(share, point, np.asfortranarray(direction[:, None]), variance, 1.0, direction, distance, direction)
