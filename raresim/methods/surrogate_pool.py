"""Points where a surrogate expects the event or is unsure of it, drawn from a law that is fitted to them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from raresim.distributions.base import Distribution
from raresim.distributions.mixture import Mixture
from raresim.distributions.normal import Normal
from raresim.distributions.standard_normal import StandardNormal
from raresim.methods.subset_simulation import climb
from raresim.numerics.arrays import Float
from raresim.search.fitting import fit_mixture
from raresim.search.markov import Walk, beyond
from raresim.surrogate.system import System, together

BLUR = 1.5
"""Factor of the standard deviations for the climb: points that may yet turn out to fail belong to the pool."""

CLIMBERS, RARITY, NEAR = 1_000, 0.2, -0.7
"""Draws of a level, share that sets the next, and score at which the climb ends."""

TARGET, WIDE, WIDENED = 0.03, 0.07, 1.6
"""Shares of the target and of a wider normal law in the pool's law, and its standard deviation."""

REFITS, REFIT_DRAWS, ENOUGH = 4, 4_000, 0.25
"""Largest number of fits by importance sampling, draws of each, and share of effective draws that ends them."""


@dataclass(frozen=True, eq=False)
class Pool:
    """Points drawn from one law, with their weights.

    Parameters
    ----------
    points : (m, d) float64
        The points.
    weight : (m,) float64
        Density of the target over that of their law.
    law : Mixture
        The law.
    """

    points: Float
    weight: Float
    law: Mixture

    def probability(self, failing: Float) -> float:
        """Probability of the event, if each point is in it with the probability ``failing`` (m,)."""
        return float(np.mean(self.weight * failing))

    def error(self, failing: Float) -> float:
        """Relative standard error of `probability` from the points of the pool being as they are."""
        terms = self.weight * failing
        value = terms.mean()
        return float(terms.std(ddof=1) / math.sqrt(terms.size) / value) if value > 0 else math.inf

    def effective(self, failing: Float) -> float:
        """Effective number of its points for the event, as a share of all."""
        terms = self.weight * failing
        return float(terms.sum() ** 2 / (np.square(terms).sum() * terms.size)) if terms.any() else 0.0


def pool_of(system: System, known: tuple[Float, Float], size: int, rng: np.random.Generator) -> Pool:
    """A pool of ``size`` points for what ``system`` believes.

    Chains begin at draws of climbs, which find what is likely, and at the evaluations in the event, which these may
    have lost on their way.

    Parameters
    ----------
    system : System
        The surrogates.
    known : tuple of (n, d) and (n,) float64
        The evaluated points, and the margins of the first event there.
    size : int
        Number of points.
    rng : numpy.random.Generator
        Advanced in place.
    """
    d = known[0].shape[1]
    found = [_near(system, goal, known[0], known[1] - goal, rng) for goal in system.goals]
    draws = np.asfortranarray(np.vstack([u for u, _ in found]))
    law = _fitted(draws, np.concatenate([weight for _, weight in found]), d, rng)
    for _ in range(REFITS):
        pool = _drawn(law, REFIT_DRAWS, rng)
        likely = system.failing_at(pool.points, BLUR)
        if min(map(pool.effective, likely)) > ENOUGH:
            break
        law = _fitted(pool.points, pool.weight * _of_all(pool, likely), d, rng)
    return _drawn(law, size, rng)


def _near(system: System, goal: float, x: Float, margin: Float, rng: np.random.Generator) -> tuple[Float, Float]:
    """Draws (k, d) near the event that begins at ``goal``, and weights (k,) with sum one, or 0 where none is likely.

    In a system that fails by any limit state each has a climb of its own: one climb of all loses the rarer ones.
    """
    alone = len(system.components) == 1
    by = [replace(system, components=(c,)) for c in system.components] if system.least == 1 and not alone else [system]

    score = partial(system.score_at, goal=goal, blur=BLUR)
    parts, shares = [], []
    for one in by:
        done = climb(partial(one.score_at, goal=goal, blur=BLUR), x.shape[1], CLIMBERS, RARITY, NEAR, rng)
        parts.append(done.levels[-1].u)
        shares.append(1.0 if len(by) == 1 else math.exp(done.levels[-1].log_probability))
    known = x[np.argsort(-margin)[: max(4, np.count_nonzero(margin >= 0))]]
    known = np.asfortranarray(known[score(known) >= NEAR])
    if len(known):
        around, _ = Walk(score, rng).extend(known, score(known), max(CLIMBERS, len(known)), beyond(NEAR))
        parts.append(around)
        shares.append(max(shares))
    draws = np.asfortranarray(np.vstack(parts))
    likely = together(system.scores(*system.predict(draws), goal, BLUR), system.least)
    weight = np.repeat(shares, [len(part) for part in parts]) * likely
    return draws, weight if len(system.goals) == 1 else weight / max(weight.sum(), 1e-300)


def _of_all(pool: Pool, failing: Float) -> Float:
    """How much each point of the pool matters (k,) to the events with probabilities ``failing`` (e, k) there."""
    if len(failing) == 1:
        return np.asarray(failing[0])
    return np.asarray(np.sum([likely / max(pool.probability(likely), 1e-300) for likely in failing], axis=0))


def _fitted(u: Float, weight: Float, dim: int, rng: np.random.Generator) -> Mixture:
    """A mixture for draws ``u`` (n, d) with such weights; the target and a wider law where all weights are zero."""
    if not weight.sum() > 0:
        return defended(StandardNormal(dim=dim), dim)
    return defended(fit_mixture(u, weight, "unit", rng).law(), dim)


def defended(law: Distribution, dim: int) -> Mixture:
    """``law`` beside the target and a wider one, so that no weight is large and no part of space is never drawn."""
    return Mixture(
        weights=[1.0 - TARGET - WIDE, TARGET, WIDE],
        components=[law, StandardNormal(dim=dim), Normal(mean=np.zeros(dim), std=np.full(dim, WIDENED))],
    )


def _drawn(law: Mixture, size: int, rng: np.random.Generator) -> Pool:
    u = np.empty((size, law.dim), order="F")
    law.sample(rng, u)
    log_p, log_q = np.empty(size), np.empty(size)
    StandardNormal(dim=law.dim).logpdf(u, log_p)
    law.logpdf(u, log_q)
    return Pool(u, np.exp(log_p - log_q), law)
