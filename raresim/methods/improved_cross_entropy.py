"""The improved cross-entropy method: levels of a smoothed event, in which every evaluation counts."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from raresim.accumulators.level import LevelRows
from raresim.accumulators.tail import TailMoments, masks
from raresim.arguments import checks
from raresim.diagnostics.endings import Ending, GaveUp, endings_of
from raresim.diagnostics.ess import effective_of_logs
from raresim.distributions.base import Distribution
from raresim.distributions.mixture import Mixture
from raresim.engine.fold import Sampler
from raresim.engine.problem import Problem, Space
from raresim.engine.session import Session
from raresim.errors import FieldError
from raresim.methods.base import Method, Tuned
from raresim.methods.cross_entropy import MAX_STALLED, MIN_ESS
from raresim.methods.levels import Evaluate, KeepElites, draws_per_level
from raresim.numerics.arrays import Float
from raresim.numerics.streams import stream
from raresim.proposals.base import ELITES_PER_PARAMETER, ProposalFamily
from raresim.proposals.gaussian import Gaussian
from raresim.proposals.gaussian_mixture import GaussianMixture
from raresim.record.event import Event
from raresim.record.evidence import Evidence, EvidencePlot, EvidenceTable
from raresim.record.records import Iteration
from raresim.registry import member
from raresim.search.archive import Archive
from raresim.search.goals import rarest

WIDEST, NARROWEST = 1e3, 1e-9
"""Largest and smallest smoothing, in spreads of the margins of the first draws."""

ACCURACY = 1e-9
"""Relative tolerance of a level's smoothing."""

SLOW, STALLED = 0.8, 0.99
"""A level brings little, or nothing, if smoothing and the median loss's distance to the threshold keep this share."""

NEGLIGIBLE = 1e-9
"""Weight, relative to the largest, below which a fit leaves out a row."""


@member("method")
@dataclass(frozen=True, kw_only=True)
class ImprovedCrossEntropy(Method):
    """Cross-entropy levels of a smoothed event that reuse every evaluation: for costly, smooth losses.

    Parameters
    ----------
    proposal : ProposalFamily
        The family of the proposal; it decides the space of the draws.
    target_cov : float
        Coefficient of variation of a level's weights: a larger value takes fewer, bolder levels.
    pooled : bool
        Whether a level is chosen and fitted from all draws so far, or only from its own.
    samples : int, optional
        Draws per level. Without it: enough for five effective elites per free parameter, at least 1,000.
    defensive : float
        Share of the final draws taken from the target: bounds every weight by its inverse.
    max_levels : int
        Levels after which the climb gives up.

    Raises
    ------
    FieldError
        When an option is out of range, or ``samples`` gives too few elites for the family.

    Notes
    -----
    With ``m`` the margin by which the loss is beyond the threshold, a level aims at the density in proportion to
    ``Phi(m / sigma) p``, which is the optimal one at ``sigma = 0`` and the target at infinity: [1]_ sec. 4. No draw is
    thrown away as a non-elite. Each level takes the smallest ``sigma`` at which its weights have the coefficient of
    variation ``target_cov``. The climb ends when this holds with the event itself, ``sigma = 0``. It also ends if the
    family cannot come so near to the optimal density: when `MAX_STALLED` levels brought little and the event has five
    effective hits for each free parameter of a component.

    Pooled draws are weighted by ``p`` over the mixture of all laws of the draws, each with its share of the draws (the
    balance heuristic, [2]_). The asked effective number of draws is then what ``target_cov`` leaves of the draws of one
    level, ``samples / (1 + target_cov^2)``. All draws are kept in memory until the climb ends, and none enters the
    estimate.

    References
    ----------
    .. [1] Papaioannou, Geyer & Straub, *Improved cross entropy-based importance sampling with a flexible mixture
       model*, Reliab. Eng. Syst. Saf. 191, 2019.
    .. [2] Veach & Guibas, *Optimally combining sampling techniques for Monte Carlo rendering*, SIGGRAPH 1995.
    """

    kind: ClassVar[str] = "improved_cross_entropy"

    proposal: ProposalFamily = field(default_factory=GaussianMixture)
    target_cov: float = 1.5
    pooled: bool = True
    samples: int | None = None
    defensive: float = 0.05
    max_levels: int = 50

    def __post_init__(self) -> None:
        checks.positive("target_cov", self.target_cov)
        if not 0 <= self.defensive < 1:
            raise FieldError("defensive", f"must be at least 0 and below 1, got {self.defensive:.15g}")
        for name in ("samples", "max_levels"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, checks.whole(name, getattr(self, name)))

    @property
    def draws_in(self) -> Space:
        return self.proposal.space

    def describe(self) -> list[str]:
        drawn = "all draws so far" if self.pooled else "its own draws"
        return [
            f"improved cross-entropy tuning of a {self.proposal.kind} proposal: each level fitted to {drawn}, weights "
            f"with coefficient of variation {self.target_cov:g}",
            f"final draws: tuned proposal with {self.defensive:.0%} of the target",
        ]

    def samples_per_level(self, dim: int) -> int:
        """Draws per level; raises `FieldError` when ``samples`` is too small for the family."""
        parameters = self.proposal.n_parameters(dim)
        needed = math.ceil(max(MIN_ESS, ELITES_PER_PARAMETER * parameters) * (1.0 + self.target_cov**2))
        why = f"{ELITES_PER_PARAMETER} effective elites for each of the {parameters:,} free parameters"
        return draws_per_level(self.samples, needed, why)

    def cost(self, latent_dim: int, dim: int) -> int:
        return 10 * self.samples_per_level(latent_dim if self.proposal.space == "standard" else dim)

    def refuse_budget(self, dim: int, max_evaluations: int) -> None:
        first = self.samples_per_level(dim)
        if 2 * first > max_evaluations:
            raise FieldError(
                "max_evaluations",
                f"must be at least {2 * first:,}: the first level takes {first:,} draws, "
                f"got {max_evaluations:,}; or method crude",
                ("stop",),
            )

    def refuse_problem(self, problem: Problem) -> None:
        self.proposal.refuse(problem.target)

    def tune(self, session: Session) -> Tuned:
        event = rarest(session.events)
        return _Climb(self, session, event, self.samples_per_level(session.problem.dim)).run()

    @staticmethod
    def examples() -> list[ImprovedCrossEntropy]:
        """Members for the conformance tests."""
        return [
            ImprovedCrossEntropy(),
            ImprovedCrossEntropy(proposal=Gaussian(covariance="full"), pooled=False),
        ]


@dataclass(frozen=True)
class _Step:
    """One level: median loss and smoothing, effective draws at it and in the event, components of its fit."""

    level: float
    sigma: float
    ess: float
    hits_ess: float
    components: int


@dataclass(eq=False)
class _Climb:
    """The state of one tuning."""

    method: ImprovedCrossEntropy
    session: Session
    event: Event
    samples: int
    evaluations: int = 0
    records: list[Iteration] = field(default_factory=list)
    steps: list[_Step] = field(default_factory=list)

    @property
    def goal(self) -> float:
        return self.event.sign * self.event.threshold

    @property
    def enough(self) -> float:
        """Effective hits that support a fit."""
        parameters = self.method.proposal.part.n_parameters(self.session.problem.dim)
        return max(MIN_ESS, ELITES_PER_PARAMETER * parameters)

    @property
    def needed(self) -> float:
        """Effective draws at which weights have the asked coefficient of variation."""
        return self.samples / (1.0 + self.method.target_cov**2)

    def run(self) -> Tuned:
        """Climb, one fit per level, until the event itself has enough effective draws."""
        session, method = self.session, self.method
        method.refuse_budget(session.problem.dim, session.max_evaluations)
        target = session.problem.target
        law, pool, narrowest, spread = target, Archive(target), 0.0, 0.0
        for iteration in range(method.max_levels):
            if self.evaluations + self.samples > session.max_evaluations // 2:
                return self.tuned(pool, law, GaveUp(Ending.BUDGET, "half of max_evaluations spent on tuning"))
            if not method.pooled:
                pool = Archive(target)
            rows = self.draw(pool, law)
            hits_ess = effective_of_logs(pool.log_weight[pool.loss >= self.goal])
            reached = hits_ess >= (self.enough if self.idles(SLOW) else self.needed)
            if iteration == 0:
                finite = pool.loss[np.isfinite(pool.loss)]
                spread = float(np.std(finite)) if finite.size and np.ptp(finite) > 0 else 0.0
                if reached or spread == 0:
                    return self.ended_at_once(rows, reached)
                narrowest = NARROWEST * spread
            widest = self.steps[-1].sigma if self.steps else WIDEST * spread
            sigma = 0.0 if reached else self.smoothing(pool, narrowest, widest)
            smooth = pool.log_weight + log_indicator(pool.loss - self.goal, sigma)
            ess = effective_of_logs(smooth)
            fitted = self.fit(law, pool.u, smooth) if ess >= MIN_ESS else law
            level = self.goal if reached else min(self.goal, weighted_median(pool.loss, smooth))
            self.steps.append(_Step(level, sigma, ess, hits_ess, len(fitted.parts[1])))
            self.record(rows, pool, law, fitted)
            law = fitted
            if reached:
                return self.tuned(pool, law)
            if ess < MIN_ESS:
                return self.tuned(
                    pool, law, GaveUp(Ending.DEGENERATE, f"weights degenerate: {ess:.1f} effective elites")
                )
            if self.idles(STALLED) and hits_ess < self.enough:
                return self.tuned(pool, law, GaveUp(Ending.STALLED, f"level stalled for {MAX_STALLED} iterations"))
        return self.tuned(pool, law, GaveUp(Ending.LEVELS, f"threshold not reached in {method.max_levels} levels"))

    def idles(self, share: float) -> bool:
        """Whether each of the last levels left at least ``share`` of the way, in smoothing and in median loss."""
        last = self.steps[-MAX_STALLED - 1 :]
        return len(last) > MAX_STALLED and all(
            b.sigma >= share * a.sigma and self.goal - b.level >= share * (self.goal - a.level)
            for a, b in itertools.pairwise(last)
        )

    def draw(self, pool: Archive, law: Distribution) -> LevelRows:
        """Evaluate a level, and replay its draws into the pool."""
        session = self.session
        sampler = Sampler(session.problem, law if self.steps else None, session.seed)
        plan, note = session.plan(self.samples), self.progress()
        rows = session.fold("tune", Evaluate(sampler, self.event.sign), plan, note)
        everything = KeepElites(sampler, rows, -math.inf, self.samples)
        pool.add(law, session.fold("fit", everything, plan, note).u, rows.loss)
        self.evaluations += self.samples
        return rows

    def smoothing(self, pool: Archive, narrowest: float, widest: float) -> float:
        """The smallest ``sigma`` from ``narrowest`` to ``widest`` at which enough draws are effective."""
        from scipy.optimize import brentq

        margin, log_weight = pool.loss - self.goal, pool.log_weight

        def to_spare(log_sigma: float) -> float:
            return effective_of_logs(log_weight + log_indicator(margin, math.exp(log_sigma))) - self.needed

        low, high = math.log(narrowest), math.log(widest)
        if to_spare(low) >= 0:
            return narrowest
        if to_spare(high) <= 0:
            return widest
        return math.exp(brentq(to_spare, low, high, xtol=ACCURACY))

    def fit(self, law: Distribution, u: Float, log_weight: Float) -> Distribution:
        """The family's fit to the pool, without rows of negligible weight."""
        weight = np.exp(log_weight - log_weight.max())
        kept = weight > NEGLIGIBLE
        rng = stream(self.session.seed, self.session.plan(1).stage, 0)
        return self.method.proposal.refit(law, np.asfortranarray(u[kept]), weight[kept], rng)

    def record(self, rows: LevelRows, pool: Archive, law: Distribution, fitted: Distribution) -> None:
        """Record a level: what its own draws show, and its probability from all draws."""
        step, sign = self.steps[-1], self.event.sign
        tail = TailMoments.of_block(rows.log_weight, [rows.loss >= step.level])
        cross_entropy = rows.cross_entropy(step.level)
        self.records.append(
            Iteration(
                start=0,
                iteration=len(self.records),
                level=sign * step.level,
                rarity=float(tail.hits[0] / tail.n),
                evaluations=tail.n,
                elites=int(tail.hits[0]),
                ess=step.ess,
                kl_optimal_proposal=tail.kl(0),
                kl_step=self.method.proposal.kl(fitted, law),
                cross_entropy=cross_entropy,
                entropy=cross_entropy - tail.kl(0),
                log_probability=TailMoments.of_block(pool.log_weight, [pool.loss >= step.level]).log_probability(0),
                note=self.method.proposal.shortfall(fitted),
            )
        )

    def progress(self) -> str:
        """The progress of the climb, in words."""
        return f"level {self.records[-1].level:.4g} of {self.event.threshold:.4g}" if self.records else "first level"

    def tuned(self, pool: Archive, law: Distribution, why: str = "") -> Tuned:
        """The outcome; ``why`` says in words why the event was not reached (empty: it was)."""
        if why and self.records:
            self.records[-1] = replace(self.records[-1], note=why)
        proposal = Mixture.defensive(law, self.session.problem.target, self.method.defensive)
        hits = masks(self.session.events, self.event.sign * pool.loss)
        variances = () if why else tuple(pool.variance(proposal, hit, 2 * MIN_ESS) for hit in hits)
        k = len(law.parts[1])
        decisions = (
            f"The proposal is a {self.method.proposal.kind} of {k} component{'' if k == 1 else 's'}, fitted in "
            f"{len(self.steps)} levels; the last fit used {pool.size:,} draws of {len(pool.laws)} laws.",
        )
        return Tuned(
            proposal=proposal,
            iterations=tuple(self.records),
            evaluations=self.evaluations,
            nominal=self.samples,
            variances=variances if variances and not any(map(math.isnan, variances)) else None,
            starts=1,
            reached=0 if why else 1,
            regions=1,
            outcome="the climb reached the threshold" if not why else f"the climb did not reach the threshold ({why})",
            gave_up=endings_of([why]),
            decisions=decisions,
            trace=self.trace(),
        )

    def trace(self) -> Evidence:
        """Smoothing and effective draws of each level."""
        table = EvidenceTable(
            "levels of the smoothed event",
            ("level", "sigma", "effective draws", "effective draws in the event", "components"),
            tuple((k, s.sigma, s.ess, s.hits_ess, s.components) for k, s in enumerate(self.steps)),
        )
        smooth = [(float(k), s.sigma) for k, s in enumerate(self.steps) if s.sigma > 0]
        plot = EvidencePlot(
            form="line",
            title="width of the smoothed event",
            x_label="level",
            y_label="sigma, in the unit of the loss",
            x=tuple(x for x, _ in smooth),
            y=tuple(y for _, y in smooth),
            low=(),
            high=(),
        )
        return Evidence(tables=(table,), plots=(plot,) if smooth else ())

    def ended_at_once(self, rows: LevelRows, common: bool) -> Tuned:
        """The outcome if the first level decides: the event is common, or the loss takes one value."""
        level = self.goal if common else float(rows.loss[0])
        tail = TailMoments.of_block(rows.log_weight, [rows.loss >= level])
        why = (
            f"the event is not rare: {tail.hits[0] / tail.n:.1%} of the first level's draws hit it"
            if common
            else GaveUp(Ending.ALIKE, "no draw separates the tail from the rest")
        )
        record = Iteration(
            start=0,
            iteration=0,
            level=self.event.sign * level,
            rarity=float(tail.hits[0] / tail.n),
            evaluations=tail.n,
            elites=int(tail.hits[0]),
            ess=tail.ess(0),
            kl_optimal_proposal=tail.kl(0),
            kl_step=math.nan,
            cross_entropy=rows.cross_entropy(level),
            entropy=rows.cross_entropy(level) - tail.kl(0),
            log_probability=tail.log_probability(0),
            note="not rare: drawn from the target" if common else why,
        )
        return Tuned(
            proposal=None,
            iterations=(record,),
            evaluations=self.evaluations,
            nominal=self.evaluations,
            starts=0 if common else 1,
            outcome=why,
            gave_up=endings_of([why]),
        )


def log_indicator(margin: Float, sigma: float) -> Float:
    """``log Phi(margin / sigma)``, dimensionless; the log of the event's indicator if ``sigma`` is 0."""
    from scipy.special import log_ndtr

    if sigma == 0:
        return np.where(margin >= 0, 0.0, -np.inf)
    smooth: Float = log_ndtr(margin / sigma)
    return smooth


def weighted_median(x: Float, log_weight: Float) -> float:
    """The smallest entry of ``x`` (n,) that half of the weight does not exceed."""
    order = np.argsort(x)
    mass = np.cumsum(np.exp(log_weight[order] - log_weight.max()))
    return float(x[order[np.searchsorted(mass, 0.5 * mass[-1])]])
