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
from raresim.arrays import Float, whole
from raresim.blocks import Plan
from raresim.distributions.base import Distribution
from raresim.distributions.mixture import Mixture
from raresim.engine import Sampler
from raresim.errors import FieldError
from raresim.methods.base import Iteration, Method, Session, Tuned
from raresim.methods.levels import Cells, Evaluate, Fit, KeepElites, Responsibilities, Split, Whole
from raresim.problem import Event, Space
from raresim.proposals.base import ProposalFamily, WeightedMoments
from raresim.proposals.gaussian import Gaussian
from raresim.registry import member
from raresim.streams import stream

ELITES_PER_PARAMETER = 5
MIN_SAMPLES = 1000
MIN_ESS = 20.0
"""Effective elites below which a fit is noise: the start ends there."""

MAX_STALLED = 3
"""Levels without progress after which a start ends."""

MAX_DOUBLINGS = 3
"""How often a level may be doubled when its elites are worth less than one per free parameter."""

SAME_REGION = 4.0
"""Symmetrised KL, in nats, below which two starts have found the same region and one stands for both."""

SPLIT_ROWS = 2000
"""Elites that the directions of the first split are read from."""

SPLIT_MARGIN = 1.25
"""How far an eigenvalue of the elites' covariance must stand above the edge of noise to split them."""

KMEANS_RUNS = 20
"""Random beginnings of the clustering of the first elites."""

MIN_SHARE = 0.1
"""Smallest share of a pooled component, relative to an equal share."""


@member("method")
@dataclass(frozen=True, kw_only=True)
class CrossEntropy(Method):
    """Multilevel cross-entropy tuning of the proposal, then importance sampling from it.

    Parameters
    ----------
    proposal : ProposalFamily
        The family that is fitted, on standard normal space.
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

    Raises
    ------
    FieldError
        When an option is out of range, or ``samples`` gives too few elites for the family.

    Notes
    -----
    Each level draws from the current proposal, raises the level to the ``1 - rarity`` quantile of the losses (never
    above the threshold) and refits by weighted maximum likelihood to the draws beyond it: [1]_ alg. 3.2. A level whose
    elites are worth too little is drawn again at the same size and added, up to `MAX_DOUBLINGS` times.

    The first level is drawn once for all starts. Where its elites spread further along some directions than standard
    normals would, beyond what noise explains ([2]_), they lie in several regions: they are clustered along these
    directions by k-means, a cluster for each start. So both sides of a two-sided event get starts of their own,
    where four independent starts would all take the same side one time in eight.

    Starts that end in the same region are represented by the one with most effective elites. A last, pooled level
    draws from the mixture of all regions and refits shares and components together. No tuning draw enters the estimate.

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

    def __post_init__(self) -> None:
        if not 0 < self.rarity <= 0.5:
            raise FieldError("rarity", f"must be above 0 and at most 0.5, got {self.rarity:g}")
        if not 0 <= self.defensive < 1:
            raise FieldError("defensive", f"must be at least 0 and below 1, got {self.defensive:g}")
        for name in ("samples", "starts", "max_levels"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, whole(name, getattr(self, name)))

    @property
    def draws_in(self) -> Space:
        return "standard"

    def describe(self) -> list[str]:
        options = ", ".join(f"{k} {v}" for k, v in vars(self.proposal).items() if k == "covariance")
        family = f"{self.proposal.kind} ({options})" if options else self.proposal.kind
        return [
            f"cross-entropy tuning of a {family} proposal: {self.starts} starts, rarity {self.rarity:g}",
            f"final draws: tuned mixture with {self.defensive:.0%} of the target",
        ]

    def samples_per_level(self, dim: int) -> int:
        """Draws per level and start; raises `FieldError` when ``samples`` is too small for the family."""
        needed = math.ceil(ELITES_PER_PARAMETER * self.proposal.n_parameters(dim) / self.rarity)
        if self.samples is None:
            return max(MIN_SAMPLES, needed)
        if self.samples < needed:
            raise FieldError(
                "samples",
                f"must be at least {needed:,}: {ELITES_PER_PARAMETER} elites for each of the "
                f"{self.proposal.n_parameters(dim):,} free parameters, got {self.samples:,}",
            )
        return self.samples

    def cost(self, latent_dim: int, dim: int) -> int:
        return (6 * self.starts + 2) * self.samples_per_level(latent_dim)

    def tune(self, session: Session) -> Tuned:
        climb = _Climb(self, session, _rarest(session.events), self.samples_per_level(session.problem.dim))
        return climb.run()

    @staticmethod
    def examples() -> list[CrossEntropy]:
        """Members for the conformance tests."""
        return [CrossEntropy(), CrossEntropy(proposal=Gaussian(covariance="diagonal"), starts=2)]


def _rarest(events: Sequence[Event]) -> Event:
    if len({event.direction for event in events}) > 1:
        raise FieldError("measures", "cross-entropy tunes to one tail: put `above` and `below` into two experiments")
    return max(events, key=lambda event: event.sign * event.threshold)


@dataclass(frozen=True, eq=False)
class _Level:
    """One evaluated level: its draws can be replayed, its losses and weights are kept."""

    sampler: Sampler
    plans: tuple[Plan, ...]
    rows: LevelRows
    level: float
    record: Iteration


@dataclass(frozen=True, eq=False)
class _Found:
    """Where a start ended, and why it did not reach the threshold (empty: it did)."""

    law: Distribution
    ess: float
    note: str = ""

    @property
    def reached(self) -> bool:
        return not self.note


@dataclass(eq=False)
class _Climb:
    """The state of one tuning: what it has spent and recorded."""

    method: CrossEntropy
    session: Session
    event: Event
    samples: int
    evaluations: int = 0
    records: list[Iteration] = field(default_factory=list)

    @property
    def needed_ess(self) -> float:
        """Effective elites that a fit should have: one for each free parameter."""
        return max(MIN_ESS, self.method.proposal.n_parameters(self.session.problem.dim))

    def run(self) -> Tuned:
        target = self.session.problem.target
        starts = self.method.starts
        self.refuse_small_budget(self.samples * starts)
        first = self.evaluate(None, "all", 0, self.samples * starts)
        nominal = self.evaluations
        if first.record.elites < 2 or first.level == -math.inf:
            return self.gave_up(first, "no draw told the tail from the rest")
        if first.level >= self.event.sign * self.event.threshold:
            return self.not_rare(first)
        split = self.cells(first)
        stats = self.fit(first, (target,) * split.laws, split)
        usable = [s for s in stats if s.ess >= MIN_ESS] or [max(stats, key=lambda s: s.ess)]
        self.records.append(first.record)
        found = [self.start(k, self.method.proposal.fit(target, s), s.ess) for k, s in enumerate(usable)]
        mixture = self.regions([f for f in found if f.reached] or found)
        tuned, variances = self.pool(mixture)
        reached = sum(f.reached for f in found)
        return Tuned(
            proposal=Mixture.defensive(tuned, target, self.method.defensive),
            iterations=tuple(self.records),
            evaluations=self.evaluations,
            nominal=nominal,
            variances=variances if reached else None,
            starts=len(found),
            reached=reached,
            regions=len(mixture.components),
            outcome=_outcome(found),
            kl_proposal_target=None if isinstance(tuned, Mixture) else self.method.proposal.kl(tuned, target),
        )

    def refuse_small_budget(self, first: int) -> None:
        """Raise `FieldError` when the first level alone takes more than half of the budget."""
        if 2 * first > self.session.max_evaluations:
            raise FieldError(
                "max_evaluations",
                f"must be at least {2 * first:,}: the first level ({self.method.starts} starts) takes {first:,} draws, "
                f"got {self.session.max_evaluations:,}; or give fewer starts, or method crude",
            )

    def start(self, number: int, law: Distribution, ess: float) -> _Found:
        """Climb from the first level to the threshold, one fit per level."""
        family = self.method.proposal
        goal = self.event.sign * self.event.threshold
        best = -math.inf
        stalled = 0
        for iteration in range(1, self.method.max_levels + 1):
            if self.evaluations + self.samples > self.session.max_evaluations // 2:
                return _Found(law, ess, "half of max_evaluations spent on tuning")
            step = self.evaluate(law, number, iteration, self.samples)
            (stats,) = self.fit(step, (law,), Whole())
            fitted = family.fit(law, stats) if stats.ess >= MIN_ESS else law
            self.records.append(replace(step.record, ess=stats.ess, kl_step=family.kl(fitted, law)))
            if stats.ess < MIN_ESS:
                return self.ended(law, ess, f"weights degenerate: {stats.ess:.1f} effective elites")
            law, ess = fitted, stats.ess
            if step.level >= goal:
                return _Found(law, ess)
            stalled = 0 if step.level > best else stalled + 1
            best = max(best, step.level)
            if stalled == MAX_STALLED:
                return self.ended(law, ess, f"level stalled for {MAX_STALLED} iterations")
        return self.ended(law, ess, f"threshold not reached in {self.method.max_levels} levels")

    def regions(self, found: list[_Found]) -> Mixture:
        """One component for each region in which starts ended, with the share of the starts that ended there."""
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
        return Mixture(weights=np.array(sizes) / sum(sizes), components=laws)

    def pool(self, mixture: Mixture) -> tuple[Distribution, tuple[float, ...] | None]:
        """Draw once from all regions together and refit shares and components; relative variances of a draw."""
        family, laws = self.method.proposal, tuple(mixture.components)
        samples = self.samples * max(2, len(laws))
        if self.evaluations + samples > self.session.max_evaluations * 3 // 4:
            return _simplest(mixture), None
        drawn = Mixture.defensive(mixture, self.session.problem.target, self.method.defensive)
        level = self.evaluate(drawn, "pooled", 0, samples)
        variances = self.variances(level)
        if level.record.elites < 2:
            self.records.append(level.record)
            return _simplest(mixture), None
        stats = self.fit(level, laws, Responsibilities(mixture))
        refitted = tuple(
            family.fit(law, s) if s.ess >= self.needed_ess else law for law, s in zip(laws, stats, strict=True)
        )
        kl_step = family.kl(refitted[0], laws[0]) if len(laws) == 1 else math.nan
        self.records.append(replace(level.record, kl_step=kl_step))
        mass = np.array([s.weight for s in stats])
        shares = np.maximum(mass / mass.sum(), MIN_SHARE / len(laws))
        return _simplest(Mixture(weights=shares / shares.sum(), components=refitted)), variances

    def evaluate(self, law: Distribution | None, start: int | str, iteration: int, samples: int) -> _Level:
        """Draw a level, evaluate it once, and find the next level; more draws while its elites are worth too little."""
        session, sign = self.session, self.event.sign
        goal = sign * self.event.threshold
        sampler = Sampler(session.problem, law, session.seed)
        note = self.progress(start)
        wanted = self.needed_ess
        plans = [session.plan(samples)]
        rows = session.fold("tune", Evaluate(sampler, sign), plans[0], note)
        while True:
            self.evaluations += plans[-1].n_samples
            n = rows.loss.size
            level = goal if start == "pooled" else min(goal, _upper_quantile(rows.loss, self.method.rarity))
            tail = TailMoments.of_block(rows.log_weight, [rows.loss >= level])
            affordable = self.evaluations + n <= session.max_evaluations // 2
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

    def fit(self, level: _Level, current: tuple[Distribution, ...], split: Split) -> tuple[WeightedMoments, ...]:
        """Sufficient statistics of the level's elites, by replaying its draws."""
        rows, family = level.rows, self.method.proposal
        job = Fit(level.sampler, rows, level.level, rows.peak(level.level), family, current, split)
        parts = [self.session.fold("fit", job, plan, self.progress(level.record.start)) for plan in level.plans]
        return functools.reduce(lambda a, b: a.merge(b), parts).parts

    def cells(self, first: _Level) -> Split:
        """The first elites, clustered along the directions in which they spread beyond noise: a cell for each start."""
        starts = self.method.starts
        reached = np.flatnonzero(first.rows.loss >= first.level)
        limit = int(reached[min(reached.size, SPLIT_ROWS) - 1]) + 1
        job = KeepElites(first.sampler, first.rows, first.level, limit)
        u = np.concatenate([self.session.fold("fit", job, plan, self.progress("all")).u for plan in first.plans])
        axes = _wide_directions(u, starts)
        if starts == 1 or axes.shape[1] == 0:
            return Whole(starts)
        rng = stream(self.session.seed, self.session.plan(1).stage, 0)
        return Cells(axes, _centres(u @ axes, starts, rng))

    def variances(self, level: _Level) -> tuple[float, ...] | None:
        """Relative variance of one draw of the pooled proposal, for each event; None where hits are too few."""
        loss = self.event.sign * level.rows.loss
        tail = TailMoments.of_block(level.rows.log_weight, masks(self.session.events, loss))
        if min(tail.ess(k) for k in range(tail.hits.size)) < 2 * MIN_ESS:
            return None
        return tuple(tail.n * tail.relative_error(k) ** 2 for k in range(tail.hits.size))

    def progress(self, start: int | str) -> str:
        """Where a start has got to, in words."""
        levels = [r.level for r in self.records if r.start == start]
        who = f"start {start}" if isinstance(start, int) else f"{start} starts"
        return f"{who}: level {levels[-1]:.4g} of {self.event.threshold:.4g}" if levels else who

    def ended(self, law: Distribution, ess: float, note: str) -> _Found:
        """A start that did not reach the threshold; its last record says why."""
        self.records[-1] = replace(self.records[-1], note=note)
        return _Found(law, ess, note)

    def not_rare(self, first: _Level) -> Tuned:
        """The first level reached the event: weighing gains nothing, so the target itself is drawn from."""
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
        )


def _outcome(found: list[_Found]) -> str:
    """How the starts ended, in words."""
    reached = sum(f.reached for f in found)
    notes = "; ".join(sorted({f.note for f in found if f.note}))
    return f"{reached} of {len(found)} starts reached the threshold" + (f" ({notes})" if notes else "")


def _upper_quantile(loss: Float, rarity: float) -> float:
    """The largest level that at least a share ``rarity`` of ``loss`` (n,) reaches."""
    k = max(1, math.floor(rarity * loss.size))
    return float(np.partition(loss, loss.size - k)[loss.size - k])


def _wide_directions(u: Float, k: int) -> Float:
    """Up to ``k`` principal directions along which the rows of ``u`` (n, d) spread further than standard normals would.

    The largest eigenvalue of the covariance of ``n`` standard normals is near ``(1 + sqrt(d / n))^2``.
    """
    n, d = u.shape
    centred = u - u.mean(axis=0)
    if n < d:
        values, vectors = np.linalg.eigh(centred @ centred.T / n)
        axes = centred.T @ vectors[:, ::-1][:, :k]
        axes /= np.sqrt(np.square(axes).sum(axis=0))
    else:
        values, vectors = np.linalg.eigh(centred.T @ centred / n)
        axes = vectors[:, ::-1][:, :k]
    edge = SPLIT_MARGIN * (1.0 + math.sqrt(d / n)) ** 2
    return np.ascontiguousarray(axes[:, values[::-1][: axes.shape[1]] > edge])


def _centres(seen: Float, k: int, rng: np.random.Generator) -> Float:
    """Centres (k, j) of up to ``k`` clusters of the rows of ``seen`` (n, j): the best of several k-means runs."""
    from scipy.cluster.vq import kmeans

    centres, _ = kmeans(seen, k, iter=KMEANS_RUNS, rng=rng)
    return np.ascontiguousarray(centres)


def _symmetric_kl(family: ProposalFamily, a: Distribution, b: Distribution) -> float:
    return family.kl(a, b) + family.kl(b, a)


def _simplest(mixture: Mixture) -> Distribution:
    """The component itself when there is only one."""
    return mixture.components[0] if len(mixture.components) == 1 else mixture
