"""Points where a surrogate expects the event or is unsure of it, drawn from a law that is fitted to them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from raresim.distributions.base import Distribution
from raresim.distributions.mixture import Mixture
from raresim.distributions.normal import Normal
from raresim.distributions.standard_normal import StandardNormal
from raresim.methods.subset_simulation import climb
from raresim.numerics.arrays import Float
from raresim.search.fitting import fit_mixture
from raresim.search.markov import Walk, beyond
from raresim.surrogate.belief import failing_at
from raresim.surrogate.gaussian_process import GaussianProcess

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


def pool_of(process: GaussianProcess, temper: float, size: int, rng: np.random.Generator) -> Pool:
    """A pool of ``size`` points for what ``process`` believes.

    Chains begin at draws of a climb, which finds what is likely, and at the evaluations in the event, which it may have
    lost on its way.

    Parameters
    ----------
    process : GaussianProcess
        The surrogate.
    temper : float
        Factor of its standard deviations.
    size : int
        Number of points.
    rng : numpy.random.Generator
        Advanced in place.
    """
    d, blur = process.layout.dim, BLUR * temper

    def score(u: Float) -> Float:
        return failing_at(process, blur, u)[1]

    draws = climb(score, d, CLIMBERS, RARITY, NEAR, rng).levels[-1].u
    margins = process.y - process.warp.boundary
    known = process.x[np.argsort(-margins)[: max(4, np.count_nonzero(margins >= 0))]]
    known = np.asfortranarray(known[score(known) >= NEAR])
    if len(known):
        around, _ = Walk(score, rng).extend(known, score(known), max(CLIMBERS, len(known)), beyond(NEAR))
        draws = np.asfortranarray(np.vstack([draws, around]))
    law = _fitted(draws, failing_at(process, blur, draws)[0], d, rng)
    for _ in range(REFITS):
        pool = _drawn(law, REFIT_DRAWS, rng)
        likely, _ = failing_at(process, blur, pool.points)
        if pool.effective(likely) > ENOUGH:
            break
        law = _fitted(pool.points, pool.weight * likely, d, rng)
    return _drawn(law, size, rng)


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
