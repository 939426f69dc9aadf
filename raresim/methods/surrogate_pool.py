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
"""Shares of the target and of a wider normal law in the pool's law, and its least standard deviation."""

FARTHER, AFAR = 1.6, 500
"""Standard deviation of the law of a second climb, and its draws of a level."""

SPREAD_OUT = (0.5, 0.9)
"""Shares of a normal law as wide as the event is far, where no fit has been enough."""

REFITS, REFIT_DRAWS, ENOUGH = 4, 3_000, 0.2
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


def pool_of(
    process: GaussianProcess, temper: float, size: int, rng: np.random.Generator, known: Mixture | None = None
) -> Pool:
    """A pool of ``size`` points for what ``process`` believes.

    Chains begin at draws of a climb, which finds what is likely, at those of a climb of a wider law, which is shorter
    and keeps places that are less likely, and at the evaluations in the event.

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
    known : Mixture, optional
        The law of an earlier pool, which serves again where it is still good enough.
    """
    d, blur = process.layout.dim, BLUR * temper
    if known is not None and _serves(_drawn(known, REFIT_DRAWS, rng), process, blur):
        return _drawn(known, size, rng)

    def score(u: Float) -> Float:
        return failing_at(process, blur, u)[1]

    draws = climb(score, d, CLIMBERS, RARITY, NEAR, rng).levels[-1].u
    wide = FARTHER * climb(lambda v: score(np.asfortranarray(FARTHER * v)), d, AFAR, RARITY, NEAR, rng).levels[-1].u
    margins = process.y - process.warp.boundary
    seen = process.x[np.argsort(-margins)[: max(4, np.count_nonzero(margins >= 0))]]
    starts = np.asfortranarray(np.vstack([seen, wide]))
    starts = np.asfortranarray(starts[score(starts) >= NEAR])
    if len(starts):
        around, _ = Walk(score, rng).extend(starts, score(starts), max(CLIMBERS, len(starts)), beyond(NEAR))
        draws = np.asfortranarray(np.vstack([draws, around]))
    law = _refitted(process, blur, _fitted(draws, failing_at(process, blur, draws)[0], d, rng), rng)
    return _drawn(law, size, rng)


def _refitted(process: GaussianProcess, blur: float, law: Mixture, rng: np.random.Generator) -> Mixture:
    """A law for the draws of ``law`` and of all that were fitted before, weighed by their mixture.

    A place that one of them has drawn stays in the next fit, also where the next law has no draw of it.
    """
    laws, points, chances = list[Mixture](), list[Float](), list[Float]()
    for _ in range(REFITS):
        pool = _drawn(law, REFIT_DRAWS, rng)
        laws.append(law)
        points.append(pool.points)
        chances.append(failing_at(process, blur, pool.points)[0])
        if pool.effective(chances[-1]) > ENOUGH:
            return law
        together = np.asfortranarray(np.vstack(points))
        weight = np.mean([_ratio(one, together) ** -1 for one in laws], axis=0) ** -1
        law = _fitted(together, weight * np.concatenate(chances), law.dim, rng)
    return _around(process, blur, law, rng)


def _serves(pool: Pool, process: GaussianProcess, blur: float) -> bool:
    """Whether enough of its draws count."""
    return pool.effective(failing_at(process, blur, pool.points)[0]) > ENOUGH


def _around(process: GaussianProcess, blur: float, law: Mixture, rng: np.random.Generator) -> Mixture:
    """``law``, or one with a large share of a normal law as wide as the event is far, whichever has less of a spread.

    An event on all sides, such as the outside of a ball, has no few places that a mixture could be fitted to.
    """
    d = law.dim
    best, most = law, 0.0
    for candidate in (law, *(_widened(law, _distance(process, blur, law, rng), d))):
        pool = _drawn(candidate, REFIT_DRAWS, rng)
        share = pool.effective(failing_at(process, blur, pool.points)[0])
        if share > most:
            best, most = candidate, share
    return best


def _distance(process: GaussianProcess, blur: float, law: Mixture, rng: np.random.Generator) -> float:
    """Root mean square of a coordinate in the event."""
    pool = _drawn(law, REFIT_DRAWS, rng)
    weight = pool.weight * failing_at(process, blur, pool.points)[0]
    square = float(weight @ np.square(pool.points).mean(axis=1))
    return math.sqrt(square / float(weight.sum())) if weight.sum() > 0 else WIDENED


def _widened(law: Mixture, width: float, dim: int) -> list[Mixture]:
    """``law`` with shares of a normal law of that standard deviation in each coordinate."""
    wide = Normal(mean=np.zeros(dim), std=np.full(dim, width))
    return [Mixture(weights=[1.0 - share, share], components=[law, wide]) for share in SPREAD_OUT]


def _fitted(u: Float, weight: Float, dim: int, rng: np.random.Generator) -> Mixture:
    """A mixture for draws ``u`` (n, d) with such weights; the target and a wider law where all weights are zero."""
    if not weight.sum() > 0:
        return defended(StandardNormal(dim=dim), dim, WIDENED)
    width = math.sqrt(float(weight @ np.square(u).mean(axis=1)) / float(weight.sum()))
    return defended(fit_mixture(u, weight, "unit", rng).law(), dim, max(WIDENED, width))


def defended(law: Distribution, dim: int, width: float) -> Mixture:
    """``law`` beside the target and one as wide as the event is far, so that no part of space is hardly ever drawn."""
    return Mixture(
        weights=[1.0 - TARGET - WIDE, TARGET, WIDE],
        components=[law, StandardNormal(dim=dim), Normal(mean=np.zeros(dim), std=np.full(dim, width))],
    )


def _drawn(law: Mixture, size: int, rng: np.random.Generator) -> Pool:
    u = np.empty((size, law.dim), order="F")
    law.sample(rng, u)
    return Pool(u, _ratio(law, u), law)


def _ratio(law: Mixture, u: Float) -> Float:
    """Density of the target over that of ``law`` at draws ``u`` (n, d)."""
    log_p, log_q = np.empty(len(u)), np.empty(len(u))
    StandardNormal(dim=law.dim).logpdf(u, log_p)
    law.logpdf(u, log_q)
    return np.asarray(np.exp(log_p - log_q))
