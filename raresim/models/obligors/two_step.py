"""The scheme of a credit portfolio: where large losses come from, found on the conditional law of the loss."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from raresim.diagnostics.ess import effective_of_logs
from raresim.distributions.base import Distribution, log_density
from raresim.distributions.mixture import Mixture
from raresim.distributions.normal import Normal
from raresim.distributions.standard_normal import StandardNormal, widening
from raresim.engine.fold import Sampler
from raresim.engine.session import Session
from raresim.estimators.base import Estimator
from raresim.methods.base import Tuned
from raresim.methods.scheme import Scheme, spread_over
from raresim.methods.scheme_pilot import SchemePilot
from raresim.models.factors import CreditFactors
from raresim.models.obligors.conditional_draws import ConditionalDraws
from raresim.models.obligors.tape_loss import TapeLoss
from raresim.models.obligors.twisted_draws import Aim, TwistedDraws
from raresim.numerics.arrays import Float
from raresim.numerics.streams import stream
from raresim.record.records import Iteration
from raresim.search.fitting import fit_mixture

DEFENSIVE = 0.05
"""Share of the rows that come from the model itself: no weight is larger than its inverse."""

BROAD, SHIFTED = 0.1, 0.05
"""Shares of the factors' law that are its components broadened, and unit normals around the likeliest factors."""

MOST_LEVELS = 5
"""Losses that rows are drawn for, at most, spread over those that are asked."""

BATCH, EACH = 100, 10
"""Factors of a batch whose conditional laws the fit comes from: at least, and for each of their number."""

MOST_BATCHES = 12
ENOUGH = 0.3
"""Batches at most, and the share of a batch that it has to be worth for them to end."""

AFFORDED = 0.05
"""Share of the rows that the estimate is expected to need up to which batches go on beyond that."""

PILOT = 200
"""Rows of the pilot that the sample is planned from, for each level."""

RIVAL = 6.0
"""How much less likely, in nats, another place on the way to a loss may be to be drawn from."""

LOWEST = 25.0
"""How much lower than the first place found, in nats, another ascent may begin."""

STARTS, APART = 10, 1.0
"""Further ascents, at most, and the distance from which two places are different."""

FIRST_ASCENT, ASCENT = 60, 20
"""Evaluations of the first ascent and of each further one, at most."""


@dataclass(frozen=True, eq=False)
class TwoStep(Scheme):
    """Two-step importance sampling.

    Parameters
    ----------
    inputs : CreditFactors
        Of the model.
    loss : TapeLoss
        Of the model.

    Notes
    -----
    1. *Where*: the factors that are the likeliest on the way to the loss ``x`` maximise ``F(v) - v'v / 2`` with
       Chernoff's bound ``F`` of ``log P(L >= x | v)``, [1]_ eq. (24); from the origin, and from those axes along which
       the maximum might be another one.
    2. *Fit*: factors are drawn around there and weighted by ``phi(v) P(L >= x | v)`` over their density, with the
       probability to the first order of a saddle point. A mixture is fitted to them by weighted maximum likelihood,
       which is the cross-entropy update; batches of it follow until the weights are even.
    3. *Integration*: where only probabilities are asked and losses are multiples of a unit, what obligors do given the
       factors is integrated out.
    4. *Pilot*: rows of the scheme, which the estimate does not use, say what one is worth.

    A conditional law counts as one evaluation, as a loss does.

    References
    ----------
    .. [1] Glasserman & Li, *Importance sampling for portfolio credit risk*, Management Science 51, 2005.
    """

    inputs: CreditFactors
    loss: TapeLoss

    @property
    def name(self) -> str:
        return f"two-step sampling (twisted {self.loss.twists} given fitted factors)"

    def tune(self, session: Session) -> Tuned | None:
        if any(event.direction == "below" for event in session.events):
            return None
        usual = self.loss.expected_loss
        asked = sorted({event.threshold for event in session.events if event.threshold > usual})
        asked = [level for level in asked if level <= self.loss.largest_loss]
        if not asked or self.loss.tape.size < 2:
            return None
        levels = spread_over(asked, MOST_LEVELS)
        search = _Search(self, session)
        aims = [Aim(DEFENSIVE, StandardNormal(dim=search.dim), -math.inf)]
        aims += [Aim((1.0 - DEFENSIVE) / len(levels), search.law(level), level) for level in levels]
        sampler = Sampler(session.problem, None, session.seed)
        events = tuple(session.events)
        rows: Estimator = TwistedDraws(sampler, events, tuple(aims), session.beyond)
        if session.beyond is None:
            factors = _mixture(np.array([aim.share for aim in aims]), [aim.law for aim in aims])
            integrated = ConditionalDraws.of(sampler, events, factors)
            if integrated is not None:
                search.decide(
                    "losses are multiples of a unit: given the factors, their probabilities follow by recursion"
                )
                rows = integrated
        pilot = SchemePilot.of(session, rows, PILOT * len(levels), "the two-step scheme")
        search.record("pilot", levels[-1], pilot.rows, pilot.hits, pilot.rows)
        variances = pilot.variances
        search.decide(f"a pilot of {pilot.rows:,} rows: one row has a relative variance of {max(variances):.2g}")
        return Tuned(
            proposal=None,
            iterations=tuple(search.records),
            evaluations=search.evaluations + pilot.rows,
            variances=variances,
            starts=1,
            reached=1,
            regions=search.places,
            outcome="factors and defaults that make the loss common were found from its conditional law",
            estimator=rows,
            facts={"searched": 1.0},
            decisions=tuple(search.decisions),
        )


@dataclass(eq=False)
class _Search:
    """The search for the factors of one run: what it has spent and decided."""

    scheme: TwoStep
    session: Session
    evaluations: int = 0
    places: int = 1
    records: list[Iteration] = field(default_factory=list)
    decisions: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.dim = self.scheme.inputs.dim - 1
        self.rng = stream(self.session.seed, self.session.plan(1).stage, 0)

    def law(self, level: float) -> Distribution:
        """The law of the factors for a loss of ``level``."""
        modes = self.modes(level)
        heights = np.array([height for _, height in modes])
        shares = np.exp(heights - heights.max())
        near = _mixture(shares, [Normal(mean=point, std=1.0) for point, _ in modes])
        n = max(BATCH, EACH * self.dim)
        laws: list[Distribution] = []
        draws: list[Float] = []
        tails: list[Float] = []
        now: Distribution = near
        for batch in range(1, MOST_BATCHES + 1):
            v = np.empty((n, self.dim), order="F")
            now.sample(self.rng, v)
            laws, draws = [*laws, now], [*draws, v]
            tails.append(self.conditional(v, level)[1])
            target = StandardNormal(dim=self.dim)
            log_own = tails[-1] + log_density(target, v) - log_density(now, v)
            ess = effective_of_logs(log_own[log_own > -math.inf])
            u = np.concatenate(draws)
            each = np.column_stack([log_density(law, u) for law in laws])
            log_mixed = np.logaddexp.reduce(each, axis=1) - math.log(len(laws))
            log_weight = np.concatenate(tails) + log_density(target, u) - log_mixed
            weight = np.exp(log_weight - log_weight.max())
            fit = fit_mixture(np.asfortranarray(u), weight / weight.sum(), "unit", self.rng)
            now = _mixture(np.array([1.0 - BROAD - SHIFTED, BROAD, SHIFTED]), [fit.law(), fit.broad(), near])
            log_p = float(np.logaddexp.reduce(log_weight) - math.log(len(u)))
            self.record(f"fit at {level:.6g}", level, n, round(ess), n, batch, log_p, ess)
            asked = self.session.relative_error
            expected = 0.0 if asked is None else 2.0 * n / max(ess, 1.0) / asked**2
            if batch > 1 and ess >= ENOUGH * n and (batch + 1) * n > AFFORDED * expected:
                break
        nearest = min(float(np.linalg.norm(point)) for point, _ in modes)
        self.decide(
            f"a loss of {level:,.6g}: the likeliest factors are {nearest:.2f} standard deviations away, in "
            f"{len(modes)} place{'s' * (len(modes) > 1)}; the effective size of a batch of the fitted factors is "
            f"{ess / n:.0%} of its size"
        )
        self.places = max(self.places, len(modes))
        return now

    def modes(self, level: float) -> list[tuple[Float, float]]:
        """Places where factors are the likeliest on the way to ``level``, and how likely, in nats; the best first."""
        before = self.evaluations
        found = [self.ascend(np.zeros(self.dim), level, FIRST_ASCENT)]
        for start in self.starts(level, found[0]):
            other = self.ascend(start, level, ASCENT)
            if all(np.linalg.norm(other[0] - point) > APART for point, _ in found):
                found.append(other)
        found = sorted(found, key=lambda place: -place[1])
        kept = [place for place in found if place[1] > found[0][1] - RIVAL]
        spent = self.evaluations - before
        self.record(f"place at {level:.6g}", level, spent, len(kept), spent)
        return kept

    def starts(self, level: float, first: tuple[Float, float]) -> list[Float]:
        """Where other ascents begin: the highest of widened draws, and axes and the opposite of the first place."""
        radius = max(1.0, float(np.linalg.norm(first[0])))
        wide = widening(self.dim) * self.rng.standard_normal((BATCH, self.dim))
        v = np.concatenate([wide, radius * np.eye(self.dim), -first[0][None, :]])
        _, tail, _ = self.conditional(np.asfortranarray(v), level)
        height = tail - 0.5 * np.square(v).sum(axis=1)
        chosen: list[Float] = []
        for k in np.argsort(-height, kind="stable"):
            if len(chosen) == STARTS or not height[k] > first[1] - LOWEST:
                break
            if all(np.linalg.norm(v[k] - other) > radius for other in (first[0], *chosen)):
                chosen.append(v[k])
        return chosen

    def ascend(self, start: Float, level: float, most: int) -> tuple[Float, float]:
        """The place that is reached uphill from ``start`` (k,), and its height."""
        from scipy import optimize

        def below(v: Float) -> tuple[float, Float]:
            bound, _, slope = self.conditional(v[None, :], level)
            return 0.5 * float(v @ v) - float(bound[0]), v - slope[0]

        options: Any = {"maxfun": most, "ftol": 1e-6}
        done: Any = optimize.minimize(below, start, jac=True, method="L-BFGS-B", options=options)
        return np.asarray(done.x), -float(done.fun)

    def conditional(self, v: Float, level: float) -> tuple[Float, Float, Float]:
        """Of each row of standard normals ``v`` (n, k): Chernoff's bound and the log probability, and its slope."""
        n, inputs = len(v), self.scheme.inputs
        self.evaluations += n
        u = np.zeros((n, self.dim + 1), order="F")
        u[:, :-1] = v
        x = inputs.to_physical(u, np.empty((n, inputs.dim), order="F"))
        bound, tail, slope = self.scheme.loss.tail_laws(x, level)
        return bound, tail, inputs.pulled_back(v, slope)

    def decide(self, sentence: str) -> None:
        self.decisions.append(sentence)

    def record(
        self,
        start: str,
        level: float,
        evaluations: int,
        elites: int,
        n: int,
        iteration: int = 0,
        log_probability: float = -math.inf,
        ess: float = math.nan,
    ) -> None:
        """A row of the table of iterations."""
        self.records.append(
            Iteration(
                start=start,
                iteration=iteration,
                level=level,
                rarity=elites / max(1, n),
                evaluations=evaluations,
                elites=elites,
                ess=ess,
                kl_optimal_proposal=math.nan,
                kl_step=math.nan,
                cross_entropy=math.nan,
                entropy=math.nan,
                log_probability=log_probability,
            )
        )


def _mixture(shares: Float, laws: Sequence[Distribution]) -> Distribution:
    """One law of several, with shares that are made to add up to one."""
    parts: list[tuple[float, Distribution]] = []
    for share, law in zip((shares / shares.sum()).tolist(), laws, strict=True):
        if isinstance(law, Mixture):
            parts += [(share * w, c) for w, c in zip(law.shares.tolist(), law.components, strict=True)]
        else:
            parts.append((share, law))
    if len(parts) == 1:
        return parts[0][1]
    total = math.fsum(share for share, _ in parts)
    return Mixture(weights=[share / total for share, _ in parts], components=[law for _, law in parts])
