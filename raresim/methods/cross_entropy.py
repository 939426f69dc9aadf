"""The multilevel cross-entropy method with several pooled starts."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from raresim.accumulators.level import LevelRows
from raresim.accumulators.tail import TailMoments, masks
from raresim.arguments.checks import whole
from raresim.diagnostics.endings import Ending, GaveUp, endings_of
from raresim.distributions.base import Distribution, log_density
from raresim.distributions.mixture import Mixture
from raresim.distributions.standard_normal import LOG_2PI
from raresim.engine.fold import Sampler
from raresim.engine.problem import Problem, Space
from raresim.engine.session import Session
from raresim.errors import FieldError, LossError
from raresim.methods.base import Held, Method, Tuned
from raresim.methods.draws import Draws, are_single, drawn_as, kinds_of, refuse_family, told_of
from raresim.methods.levels import (
    Cells,
    EliteRows,
    Evaluate,
    Fit,
    KeepElites,
    Responsibilities,
    Split,
    Whole,
    draws_per_level,
)
from raresim.methods.regions import HITS, LEAST_BY_HITS, TUNING_SHARE, iteration, led_to, nearest_points
from raresim.numerics.arrays import Float
from raresim.numerics.blocks import Plan
from raresim.numerics.clusters import noise_edge, principal
from raresim.numerics.streams import stream
from raresim.proposals.base import ELITES_PER_PARAMETER, ProposalFamily, Statistics
from raresim.proposals.gaussian import Gaussian
from raresim.proposals.gaussian_mixture import GaussianMixture, smoothed
from raresim.proposals.student_t import StudentTMixture
from raresim.record.event import Event
from raresim.record.records import Iteration
from raresim.registry import member
from raresim.search.explorer import Explorer
from raresim.search.goals import rarest
from raresim.search.hits import Region, find_by_hits
from raresim.search.limit_states import cost_along_states, regions_along_states

MIN_ESS = 20.0
"""Effective elites below which a fit is noise and the start ends."""

MAX_STALLED = 3
"""Levels without progress after which a start ends."""

MAX_DOUBLINGS = 3
"""How often a level may be doubled if it has less than one effective elite per free parameter."""

SAME_REGION = 4.0
"""Symmetrised KL, in nats, below which two starts have found the same region and one stands for both."""

SPLIT_ROWS = 2000
"""Elites from which the directions of the first split are read."""

SPLIT_MARGIN = 1.25
"""How far an eigenvalue of the elites' covariance must stand above the edge of noise to split them."""

KEPT_ELITES = 20_000
"""Elites of a level in the fit of a mixture; more if its parameters need more."""

COVERED = 4.0
"""Nats by which a mixture's density at the nearest point of a region may be below that of a standard normal there."""

MIN_CLOUD = 1000
"""Smallest number of draws around such a point for the fit of a law, if the mixture does not cover it."""

KMEANS_RUNS = 20
"""Random starts of the clustering of the first elites."""

POOLED_SHARE = 0.75
"""Largest share of a round's evaluations for tuning, with its pooled level."""

MIN_SHARE = 0.1
"""Smallest share of a pooled component, relative to an equal share."""


@member("method")
@dataclass(frozen=True, kw_only=True)
class CrossEntropy(Method):
    """For rare events whose shape a known family fits: the proposal is fitted level by level, then drawn from.

    Parameters
    ----------
    proposal : ProposalFamily
        The family of the proposal; it decides the space of the draws.
    rarity : float
        Share of a level's draws that sets the next level, between 0 and 0.5.
    samples : int, optional
        Draws per level and start. Without it: five elites per free parameter, at least 1,000 draws.
    starts : int
        Independent climbs that are pooled into one mixture.
    defensive : float
        Share of the final draws taken from the target: bounds every weight by its inverse.
    max_levels : int
        Levels after which a start gives up.
    smoothing : float
        Share of a fit's means and covariances in the next law; the rest comes from the law before. Above 0 and at most
        1, which is no smoothing. For Gaussian and t proposals.
    draws : "independent", "antithetic" or "sobol"
        How the final draws are made: one by one; in pairs that mirror each other about the centre of their component;
        or at the points of independently scrambled Sobol' nets, which pay if the loss is smooth and few directions
        matter.
    control_variates : bool
        Whether the components of the final mixture correct the estimate.

    Raises
    ------
    FieldError
        When an option is out of range or does not go with ``proposal``, or ``samples`` gives too few elites for it.

    Notes
    -----
    Each level draws from the current proposal, raises the level to the ``1 - rarity`` quantile of the losses (never
    above the threshold) and refits by weighted maximum likelihood to the draws beyond it: [1]_ alg. 3.2. If a level has
    too few effective elites, further draws of the same size are added, up to `MAX_DOUBLINGS` times.

    The first level is drawn once for all starts. If its elites spread further along some directions than standard
    normals would, beyond what noise explains ([2]_), they lie in several regions: k-means clusters them along these
    directions, a cluster for each start. So both sides of a two-sided event get starts of their own, while four
    independent starts would all take the same side one time in eight.

    The start with the most effective elites represents all starts that end in the same region. A last, pooled level
    draws from the mixture of all regions and refits shares and components together. No tuning draw enters the estimate.

    In standard normal space, hits of a widened target show further regions (`raresim.search.hits`). If the mixture
    hardly draws such a region, it gets a law of the family around the nearest point before the pooled level. In another
    round, regions to which an audit's failing draws lead get the same, with a pooled level (`raresim.run.rounds`).

    References
    ----------
    .. [1] de Boer, Kroese, Mannor & Rubinstein, *A tutorial on the cross-entropy method*, Ann. Oper. Res. 134, 2005.
    .. [2] Johnstone, *On the distribution of the largest eigenvalue in principal components analysis*,
       Ann. Stat. 29, 2001.
    """

    kind: ClassVar[str] = "cross_entropy"

    proposal: ProposalFamily = field(default_factory=Gaussian)
    rarity: float = 0.1
    samples: int | None = None
    starts: int = 4
    defensive: float = 0.05
    max_levels: int = 50
    smoothing: float = 1.0
    draws: Draws = "independent"
    control_variates: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.rarity <= 0.5:
            raise FieldError("rarity", f"must be above 0 and at most 0.5, got {self.rarity:.15g}")
        if not 0 <= self.defensive < 1:
            raise FieldError("defensive", f"must be at least 0 and below 1, got {self.defensive:.15g}")
        for name in ("samples", "starts", "max_levels"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, whole(name, getattr(self, name)))
        if not 0 < self.smoothing <= 1:
            raise FieldError("smoothing", f"must be above 0 and at most 1, got {self.smoothing:.15g}")
        if self.smoothing < 1 and not self.proposal.blends:
            allowed = ", ".join(kinds_of("blends"))
            raise FieldError("smoothing", f"goes with proposal {allowed}, got {self.proposal.kind}")
        refuse_family(self.draws, self.control_variates, self.proposal, self.defensive)

    @property
    def weighs_draws(self) -> bool:
        return are_single(self.draws, self.control_variates)

    @property
    def draws_in(self) -> Space:
        return self.proposal.space

    def describe(self) -> list[str]:
        told = ("components", "covariance", "dof")
        options = ", ".join(f"{k} {v}" for k, v in vars(self.proposal).items() if k in told)
        family = f"{self.proposal.kind} ({options})" if options else self.proposal.kind
        return [
            f"cross-entropy tuning of a {family} proposal: {self.starts} starts, rarity {self.rarity:g}"
            + (f", smoothing {self.smoothing:g}" if self.smoothing < 1 else ""),
            f"final draws{told_of(self.draws, self.control_variates)}: tuned mixture with {self.defensive:.0%} of the "
            "target",
        ]

    def samples_per_level(self, dim: int) -> int:
        """Draws per level and start; raises `FieldError` if ``samples`` is too small for the family."""
        parameters = self.proposal.n_parameters(dim)
        needed = math.ceil(ELITES_PER_PARAMETER * parameters / self.rarity)
        why = f"{ELITES_PER_PARAMETER} elites for each of the {parameters:,} free parameters"
        return draws_per_level(self.samples, needed, why)

    def cost(self, latent_dim: int, dim: int) -> int:
        of_a_draw = latent_dim if self.proposal.space == "standard" else dim
        return (6 * self.starts + 2) * self.samples_per_level(of_a_draw)

    def refuse_budget(self, dim: int, max_evaluations: int) -> None:
        first = self.samples_per_level(dim) * self.starts
        if 2 * first > max_evaluations:
            raise FieldError(
                "max_evaluations",
                f"must be at least {2 * first:,}: the first level ({self.starts} starts) takes {first:,} draws, "
                f"got {max_evaluations:,}; or give fewer starts, or method crude",
                ("stop",),
            )

    def memory(self, latent_dim: int, dim: int, budget: int) -> Held:
        """Losses and weights of the levels, the elites of one, and moments of second order."""
        d = max(latent_dim, dim)
        rows = min(2 * self.cost(latent_dim, dim), budget)
        return Held(12 * rows + 4 * KEPT_ELITES * d + 8 * self.starts * d * d)

    def refuse_problem(self, problem: Problem) -> None:
        self.proposal.refuse(problem.target)

    def tune(self, session: Session) -> Tuned:
        climb = _Climb(self, session, rarest(session.events), self.samples_per_level(session.problem.dim))
        return drawn_as(climb.run(), session, self.draws, self.control_variates)

    @staticmethod
    def examples() -> list[CrossEntropy]:
        """Members for the conformance tests."""
        return [
            CrossEntropy(),
            CrossEntropy(proposal=Gaussian(covariance="diagonal"), starts=2, smoothing=0.8),
            CrossEntropy(proposal=GaussianMixture(components=2)),
            CrossEntropy(proposal=StudentTMixture()),
            CrossEntropy(draws="antithetic", control_variates=True),
            CrossEntropy(draws="sobol", starts=2),
        ]


@dataclass(frozen=True, eq=False)
class _Level:
    """One evaluated level: its losses and weights are kept, and its draws can be replayed."""

    sampler: Sampler
    plans: tuple[Plan, ...]
    rows: LevelRows
    level: float
    record: Iteration


@dataclass(frozen=True, eq=False)
class _Found:
    """The end of a start, and why it did not reach the threshold (empty: it did)."""

    law: Distribution
    ess: float
    note: str = ""

    @property
    def reached(self) -> bool:
        return not self.note


@dataclass(frozen=True, eq=False)
class _Known:
    """What tuning knows, and makes a proposal from.

    Parameters
    ----------
    mixture : Mixture
        A law of the family for each region.
    regions : int
        Number of regions.
    starts, reached : int
        Climbs, and climbs that reached the threshold; a region found by hits counts as one.
    outcome : str
        How the starts ended.
    gave_up : tuple of Ending
        Why climbs did not reach the threshold.
    points : tuple of Region
        Regions as shown by hits of a widened target.
    """

    mixture: Mixture
    regions: int
    starts: int
    reached: int
    outcome: str
    gave_up: tuple[Ending, ...] = ()
    points: tuple[Region, ...] = ()

    def with_laws(self, laws: Sequence[Distribution]) -> _Known:
        """The same with laws for further regions, each with the equal share of a region before."""
        if not laws:
            return self
        old, n = self.mixture.components, len(laws)
        shares = np.concatenate([self.mixture.weights, np.full(n, 1.0 / len(old))])
        mixture = Mixture(weights=shares / shares.sum(), components=[*old, *laws])
        starts, reached = self.starts + n, self.reached + n
        return replace(self, mixture=mixture, regions=self.regions + n, starts=starts, reached=reached)


@dataclass(eq=False)
class _Climb:
    """The state of one tuning: what it has spent and recorded, and what it had spent when its last round began."""

    method: CrossEntropy
    session: Session
    event: Event
    samples: int
    evaluations: int = 0
    before: int = 0
    records: list[Iteration] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    @property
    def goal(self) -> float:
        """The signed loss that has to be reached."""
        return self.event.sign * self.event.threshold

    def left(self, share: float = TUNING_SHARE) -> int:
        """Evaluations left to this round from a ``share`` of its budget."""
        return int(share * self.session.of_round(self.before)) - (self.evaluations - self.before)

    @property
    def needed_ess(self) -> float:
        """Wanted number of effective elites of a fit: one for each free parameter."""
        return max(MIN_ESS, self.method.proposal.n_parameters(self.session.problem.dim))

    def run(self) -> Tuned:
        target = self.session.problem.target
        starts = self.method.starts
        self.method.refuse_budget(self.session.problem.dim, self.session.max_evaluations)
        first = self.evaluate(None, "all", 0, self.samples * starts)
        nominal = self.evaluations
        if first.record.elites < 2 or first.level == -math.inf:
            return self.gave_up(first, GaveUp(Ending.ALIKE, "no draw separates the tail from the rest"))
        if first.level >= self.goal:
            return self.not_rare(first)
        split = self.cells(first)
        stats = self.fit(first, (target,) * split.laws, split)
        usable = [s for s in stats if s.ess >= MIN_ESS] or [max(stats, key=lambda s: s.ess)]
        self.records.append(first.record)
        found = [self.start(k, self.fitted(target, s), s.ess) for k, s in enumerate(usable)]
        mixture, regions = self.regions([f for f in found if f.reached] or found)
        known = _Known(mixture, regions, len(found), sum(f.reached for f in found), *_outcome(found))
        return self.tuned(self.by_hits(self.along_states(known)), nominal)

    def again(self, known: _Known, nominal: int, missed: Float) -> Tuned:
        """Another round, from failing draws ``missed`` (k, d) that the last proposal hardly makes, heaviest first."""
        self.before = self.evaluations
        explorer = Explorer(self.session, self.event.sign)
        before = [region.point for region in known.points]
        points = nearest_points(explorer, self.goal, missed, before, self.left() // 2)
        self.evaluations += explorer.evaluations
        self.records.append(iteration("audit", 0, self.event.threshold, explorer.evaluations, len(missed)))
        self.told.append(led_to(missed, points, explorer.evaluations))
        known = replace(known, points=(*known.points, *(Region(point) for point in points)))
        return self.tuned(self.by_hits(known), nominal)

    def tuned(self, known: _Known, nominal: int) -> Tuned:
        """The pooled level for the regions ``known``, and the way to another round."""
        known = known.with_laws(self.uncovered(known))
        drawn, variances = self.pool(known.mixture, known.regions)
        simplest, known = _simplest(drawn), replace(known, mixture=drawn)
        self.told += self.components(simplest, known.regions)
        goes_on = self.session.problem.space == "standard"
        return Tuned(
            proposal=Mixture.defensive(simplest, self.session.problem.target, self.method.defensive),
            iterations=tuple(self.records),
            evaluations=self.evaluations,
            nominal=nominal,
            variances=variances if known.reached else None,
            starts=known.starts,
            reached=known.reached,
            regions=known.regions,
            outcome=known.outcome,
            gave_up=known.gave_up,
            kl_proposal_target=self.closed_kl(simplest),
            decisions=tuple(self.told),
            again=(lambda missed: self.again(known, nominal, missed)) if goes_on else None,
        )

    def start(self, number: int, law: Distribution, ess: float) -> _Found:
        """Climb from the first level to the threshold, one fit per level."""
        family = self.method.proposal
        best = -math.inf
        stalled = 0
        for turn in range(1, self.method.max_levels + 1):
            if self.samples > self.left():
                return _Found(law, ess, GaveUp(Ending.BUDGET, "half of max_evaluations spent on tuning"))
            step = self.evaluate(law, number, turn, self.samples)
            fitted = self.refit(step, law) if step.record.ess >= MIN_ESS else law
            lacks = family.shortfall(fitted)
            self.records.append(replace(step.record, kl_step=family.kl(fitted, law), note=lacks))
            if step.record.ess < MIN_ESS:
                note = f"weights degenerate: {step.record.ess:.1f} effective elites"
                return self.ended(law, ess, GaveUp(Ending.DEGENERATE, note))
            law, ess = fitted, step.record.ess
            if step.level >= self.goal:
                return _Found(law, ess)
            stalled = 0 if step.level > best else stalled + 1
            best = max(best, step.level)
            if stalled == MAX_STALLED:
                return self.ended(law, ess, GaveUp(Ending.STALLED, f"level stalled for {MAX_STALLED} iterations"))
        note = f"threshold not reached in {self.method.max_levels} levels"
        return self.ended(law, ess, GaveUp(Ending.LEVELS, note))

    def refit(self, step: _Level, law: Distribution) -> Distribution:
        """The family's fit to the elites of a level, whose draws came from ``law``."""
        family, begun = self.method.proposal, law
        if family.passes > 1:
            kept = self.keep(step, step.level, max(KEPT_ELITES, ELITES_PER_PARAMETER * family.n_parameters(law.dim)))
            weight = np.exp(kept.log_weight - kept.log_weight.max())
            begun = family.begin(law, np.asfortranarray(kept.u), weight, self.generator())
        for _ in range(family.passes):
            (stats,) = self.fit(step, (begun,), Whole())
            begun = family.fit(begun, stats)
        return smoothed(law, begun, self.method.smoothing) if self.method.smoothing < 1 else begun

    def fitted(self, current: Distribution, stats: Statistics) -> Distribution:
        """The law of a start, fitted to its elites of the first level."""
        law = self.method.proposal.fit(current, stats)
        return smoothed(current, law, self.method.smoothing) if self.method.smoothing < 1 else law

    def components(self, tuned: Distribution, regions: int) -> list[str]:
        """The number of components of a mixture, in words."""
        family, k = self.method.proposal, len(tuned.parts[1])
        if family.part is family:
            return []
        within = "one region" if regions == 1 else f"{regions} regions"
        return [f"The {family.kind} proposal has {k} component{'' if k == 1 else 's'} in {within}."]

    def closed_kl(self, tuned: Distribution) -> float | None:
        """KL(tuned || target) in nats, if it has a closed form."""
        part = self.method.proposal.part
        closed = type(part).kl is not ProposalFamily.kl and not isinstance(tuned, Mixture)
        return part.kl(tuned, self.session.problem.target) if closed else None

    def regions(self, found: list[_Found]) -> tuple[Mixture, int]:
        """The laws of the regions in which starts ended, each with the share of starts that ended there."""
        family = self.method.proposal
        laws: list[Distribution] = []
        sizes: list[int] = []
        for f in sorted(found, key=lambda f: -f.ess):
            same = [i for i, law in enumerate(laws) if _symmetric_kl(family, f.law, law) < SAME_REGION]
            if same:
                sizes[same[0]] += 1
            else:
                laws.append(f.law)
                sizes.append(1)
        return Mixture(weights=np.array(sizes) / sum(sizes), components=laws), len(laws)

    def along_states(self, known: _Known) -> _Known:
        """``known`` with the regions that limit states show, if the loss has limit states."""
        session, dim, loss = self.session, self.session.problem.dim, self.session.problem.loss
        if session.problem.space != "standard" or self.left() < LEAST_BY_HITS or not loss.limit_state_names:
            return known
        explorer, most = Explorer(session, self.event.sign), min(self.left() // 3, cost_along_states(dim))
        rng = explorer.generator()
        regions, along = regions_along_states(explorer.states, self.goal, loss.at_least, dim, rng, most)
        self.evaluations += explorer.evaluations
        self.told.append(f"{along.describe().capitalize()}.")
        self.records.append(iteration("limit states", 0, self.event.threshold, explorer.evaluations, len(regions)))
        return replace(known, points=tuple(regions))

    def by_hits(self, known: _Known) -> _Known:
        """``known`` with the regions that hits of a widened target show."""
        session = self.session
        if session.problem.space != "standard" or self.left() < LEAST_BY_HITS:
            return known
        dim, explorer = session.problem.dim, Explorer(session, self.event.sign)
        points = [replace(region, hits=0) for region in known.points]
        found = find_by_hits(explorer, dim, self.goal, explorer.generator(), HITS, self.left() // 2, points)
        self.evaluations += explorer.evaluations
        self.told.append(f"{found.describe(len(points)).capitalize()}.")
        share = found.hits / found.draws
        self.records.append(iteration("hits", 0, self.event.threshold, found.evaluations, found.hits, share))
        return replace(known, points=found.regions)

    def uncovered(self, known: _Known) -> list[Distribution]:
        """A law of the family around each known point that the mixture hardly draws."""
        family, target, dim = self.method.proposal.part, self.session.problem.target, self.session.problem.dim
        usual = -0.5 * dim * LOG_2PI - COVERED
        n = max(MIN_CLOUD, ELITES_PER_PARAMETER * family.n_parameters(dim))
        points = [region.point for region in known.points]
        hardly = [u for u in points if log_density(known.mixture, np.asfortranarray(u[None]))[0] < usual]
        clouds = (np.asfortranarray(u + self.generator().standard_normal((n, dim))) for u in hardly)
        return [family.fit(target, family.suffstats(target, cloud, np.ones(n))) for cloud in clouds]

    def pool(self, mixture: Mixture, regions: int) -> tuple[Mixture, tuple[float, ...] | None]:
        """Draw once from all regions together, refit shares and components; also the relative variances of a draw."""
        family, laws = self.method.proposal.part, tuple(mixture.components)
        samples = self.samples * max(2, regions)
        if samples > self.left(POOLED_SHARE):
            return mixture, None
        drawn = Mixture.defensive(mixture, self.session.problem.target, self.method.defensive)
        level = self.evaluate(drawn, "pooled", sum(r.start == "pooled" for r in self.records), samples)
        variances = self.variances(level)
        if level.record.elites < 2:
            self.records.append(level.record)
            return mixture, None
        stats = self.fit(level, laws, Responsibilities(mixture), family)
        needed = max(MIN_ESS, family.n_parameters(level.sampler.problem.dim))
        refitted = tuple(family.fit(law, s) if s.ess >= needed else law for law, s in zip(laws, stats, strict=True))
        kl_step = family.kl(refitted[0], laws[0]) if len(laws) == 1 else math.nan
        self.records.append(replace(level.record, kl_step=kl_step))
        mass = np.array([s.weight for s in stats])
        shares = np.maximum(mass / mass.sum(), MIN_SHARE / len(laws))
        return Mixture(weights=shares / shares.sum(), components=refitted), variances

    def evaluate(self, law: Distribution | None, start: int | str, iteration: int, samples: int) -> _Level:
        """Draw and evaluate a level, and find the next level; more draws while it has too few effective elites."""
        session, sign = self.session, self.event.sign
        sampler = Sampler(session.problem, law, session.seed)
        note = self.progress(start)
        wanted = self.needed_ess
        plans = [session.plan(samples)]
        rows = session.fold("tune", Evaluate(sampler, sign), plans[0], note)
        while True:
            self.evaluations += plans[-1].n_samples
            n = rows.loss.size
            if not np.isfinite(rows.loss).any():
                raise LossError(f"the loss failed for all {n:,} rows of a level: no level can be set")
            level = self.goal if start == "pooled" else min(self.goal, _upper_quantile(rows.loss, self.method.rarity))
            tail = TailMoments.of_block(rows.log_weight, [rows.loss >= level])
            affordable = n <= self.left()
            if tail.ess(0) >= wanted or len(plans) > MAX_DOUBLINGS or not affordable:
                break
            plans.append(plans[-1].then(n))
            rows = session.fold("tune", Evaluate(sampler, sign), plans[-1], note, rows)
        record = Iteration(
            start=start,
            iteration=iteration,
            level=sign * level,
            rarity=float(tail.hits[0] / n),
            evaluations=n,
            elites=int(tail.hits[0]),
            ess=tail.ess(0),
            kl_optimal_proposal=tail.kl(0),
            kl_step=math.nan,
            cross_entropy=rows.cross_entropy(level),
            entropy=rows.cross_entropy(level) - tail.kl(0),
            log_probability=tail.log_probability(0),
        )
        return _Level(sampler, tuple(plans), rows, level, record)

    def fit(
        self, level: _Level, current: tuple[Distribution, ...], split: Split, family: ProposalFamily | None = None
    ) -> tuple[Statistics, ...]:
        """Sufficient statistics of the level's elites, for the method's family or another, from its replayed draws."""
        rows, family = level.rows, family or self.method.proposal
        job = Fit(level.sampler, rows, level.level, rows.peak(level.level), family, current, split)
        parts = [self.session.fold("fit", job, plan, self.progress(level.record.start)) for plan in level.plans]
        return functools.reduce(lambda a, b: a.merge(b), parts).parts

    def cells(self, first: _Level) -> Split:
        """Clusters of the first elites along directions in which they spread beyond noise: a cell for each start."""
        starts = self.method.starts
        u = self.keep(first, first.level, SPLIT_ROWS).u
        scale = np.ones(u.shape[1])
        if self.session.problem.space == "physical":
            spread = self.keep(first, -math.inf, SPLIT_ROWS).u.std(axis=0)
            scale = np.where(spread > 0, spread, 1.0)
        axes = _wide_directions(u / scale, starts) / scale[:, None]
        if starts == 1 or axes.shape[1] == 0:
            return Whole(starts)
        return Cells(axes, _centres(u @ axes, starts, self.generator()))

    def keep(self, level: _Level, least: float, limit: int) -> EliteRows:
        """The first ``limit`` draws of a level that reach ``least``, with their log weights."""
        reached = np.flatnonzero(level.rows.loss >= least)
        job = KeepElites(level.sampler, level.rows, least, int(reached[min(reached.size, limit) - 1]) + 1)
        parts = [self.session.fold("fit", job, plan, self.progress(level.record.start)) for plan in level.plans]
        return functools.reduce(lambda a, b: a.merge(b), parts)

    def generator(self) -> np.random.Generator:
        """Random numbers of a fit, in a stage of their own."""
        return stream(self.session.seed, self.session.plan(1).stage, 0)

    def variances(self, level: _Level) -> tuple[float, ...] | None:
        """Relative variance of one draw of the pooled proposal, for each event; None if there are too few hits."""
        loss = self.event.sign * level.rows.loss
        tail = TailMoments.of_block(level.rows.log_weight, masks(self.session.events, loss))
        if min(tail.ess(k) for k in range(tail.hits.size)) < 2 * MIN_ESS:
            return None
        return tuple(tail.n * tail.relative_error(k) ** 2 for k in range(tail.hits.size))

    def progress(self, start: int | str) -> str:
        """The progress of a start, in words."""
        levels = [r.level for r in self.records if r.start == start]
        who = f"start {start}" if isinstance(start, int) else f"{start} starts"
        return f"{who}: level {levels[-1]:.4g} of {self.event.threshold:.4g}" if levels else who

    def ended(self, law: Distribution, ess: float, note: str) -> _Found:
        """A start that did not reach the threshold; its last record says why."""
        self.records[-1] = replace(self.records[-1], note=note)
        return _Found(law, ess, note)

    def not_rare(self, first: _Level) -> Tuned:
        """The first level reached the event: weights gain nothing, so draws come from the target itself."""
        return Tuned(
            proposal=None,
            iterations=(replace(first.record, note="not rare: drawn from the target"),),
            evaluations=self.evaluations,
            nominal=self.evaluations,
            outcome=f"the event is not rare: {first.record.rarity:.1%} of the first level's draws hit it",
        )

    def gave_up(self, first: _Level, why: str) -> Tuned:
        return Tuned(
            proposal=None,
            iterations=(replace(first.record, note=why),),
            evaluations=self.evaluations,
            nominal=self.evaluations,
            starts=self.method.starts,
            outcome=why,
            gave_up=endings_of([why]),
        )


def _outcome(found: list[_Found]) -> tuple[str, tuple[Ending, ...]]:
    """The end of the starts, in words, and why some gave up."""
    reached = sum(f.reached for f in found)
    notes = "; ".join(sorted({f.note for f in found if f.note}))
    text = f"{reached} of {len(found)} starts reached the threshold" + (f" ({notes})" if notes else "")
    return text, endings_of(f.note for f in found)


def _upper_quantile(loss: Float, rarity: float) -> float:
    """The largest level that at least a share ``rarity`` of ``loss`` (n,) reaches, and no row without a loss."""
    k = max(1, math.floor(rarity * loss.size))
    level = float(np.partition(loss, loss.size - k)[loss.size - k])
    return level if level > -math.inf else math.nextafter(-math.inf, 0.0)


def _wide_directions(u: Float, k: int) -> Float:
    """Up to ``k`` principal directions in which the rows of ``u`` (n, d) spread further than noise explains."""
    n, d = u.shape
    values, axes = principal(u - u.mean(axis=0), n)
    wide = values[::-1][:k] > SPLIT_MARGIN * noise_edge(d, n)
    return np.ascontiguousarray(axes[:, ::-1][:, :k][:, wide])


def _centres(seen: Float, k: int, rng: np.random.Generator) -> Float:
    """Centres (k, j) of up to ``k`` clusters of the rows of ``seen`` (n, j): the best of several k-means runs."""
    from scipy.cluster.vq import kmeans

    centres, _ = kmeans(seen, k, iter=KMEANS_RUNS, rng=rng)
    return np.ascontiguousarray(centres)


def _symmetric_kl(family: ProposalFamily, a: Distribution, b: Distribution) -> float:
    return family.kl(a, b) + family.kl(b, a)


def _simplest(mixture: Mixture) -> Distribution:
    """The mixture, or its component if there is only one."""
    return mixture.components[0] if len(mixture.components) == 1 else mixture
