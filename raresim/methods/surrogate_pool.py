"""Points where a surrogate expects the event or is unsure of it, drawn from a law that is fitted to them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from raresim.distributions.base import Distribution
from raresim.distributions.mixture import Mixture
from raresim.distributions.normal import Normal
from raresim.distributions.standard_normal import StandardNormal
from raresim.methods.subset_simulation import Climb, climb
from raresim.numerics.arrays import Float
from raresim.search.fitting import fit_mixture
from raresim.search.markov import Walk, beyond
from raresim.surrogate.belief import unsure
from raresim.surrogate.system import System, together

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

    def doubt(self, failing: Float) -> float:
        """What is unsure, over the probability; infinite where no point is expected in the event."""
        value = self.probability(failing)
        return float(np.mean(self.weight * unsure(failing))) / value if value > 0 else math.inf

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
    system: System, seen: tuple[Float, Float], size: int, rng: np.random.Generator, known: Mixture | None = None
) -> Pool:
    """A pool of ``size`` points for what ``system`` believes.

    Chains begin at draws of climbs, which find what is likely, at those of climbs of a wider law, which are shorter and
    keep places that are less likely, and at the evaluations in the event.

    Parameters
    ----------
    system : System
        The surrogates.
    seen : tuple of (n, d) and (n,) float64
        The evaluated points, and the margins of the first event there.
    size : int
        Number of points.
    rng : numpy.random.Generator
        Advanced in place.
    known : Mixture, optional
        The law of an earlier pool, which serves again where it is still good enough.
    """
    if known is not None and _share(_drawn(known, REFIT_DRAWS, rng), system) > ENOUGH:
        return _drawn(known, size, rng)
    d = seen[0].shape[1]
    found = [_near(system, goal, seen[0], seen[1] - goal, rng) for goal in system.goals]
    draws = np.asfortranarray(np.vstack([u for u, _ in found]))
    law = _fitted(draws, np.concatenate([weight for _, weight in found]), d, rng)
    return _drawn(_refitted(system, law, rng), size, rng)


def _near(system: System, goal: float, x: Float, margin: Float, rng: np.random.Generator) -> tuple[Float, Float]:
    """Draws (k, d) near the event that begins at ``goal``, and weights (k,) with sum one, or 0 where none is likely.

    In a system that fails by any limit state each has climbs of its own: one climb of all loses the rarer ones.
    """
    alone = len(system.components) == 1
    by = [replace(system, components=(c,)) for c in system.components] if system.least == 1 and not alone else [system]

    score = partial(system.score_at, goal=goal, blur=BLUR)
    parts, shares = list[Float](), list[float]()
    starts = [x[np.argsort(-margin)[: max(4, np.count_nonzero(margin >= 0))]]]
    for one in by:
        done, wide = _climbed(partial(one.score_at, goal=goal, blur=BLUR), x.shape[1], rng)
        parts.append(done.levels[-1].u)
        shares.append(1.0 if len(by) == 1 else math.exp(done.levels[-1].log_probability))
        starts.append(wide)
    first = np.asfortranarray(np.vstack(starts))
    first = np.asfortranarray(first[score(first) >= NEAR])
    if len(first):
        around, _ = Walk(score, rng).extend(first, score(first), max(CLIMBERS, len(first)), beyond(NEAR))
        parts.append(around)
        shares.append(max(shares))
    draws = np.asfortranarray(np.vstack(parts))
    likely = together(system.scores(*system.predict(draws), goal, BLUR), system.least)
    weight = np.repeat(shares, [len(part) for part in parts]) * likely
    return draws, weight if len(system.goals) == 1 else weight / max(weight.sum(), 1e-300)


def _climbed(score: Callable[[Float], Float], dim: int, rng: np.random.Generator) -> tuple[Climb, Float]:
    """A climb to where ``score`` is large, and the draws (k, d) at the end of one of a law `FARTHER` times as wide."""

    def farther(v: Float) -> Float:
        return score(np.asfortranarray(FARTHER * v))

    done = climb(score, dim, CLIMBERS, RARITY, NEAR, rng)
    return done, FARTHER * climb(farther, dim, AFAR, RARITY, NEAR, rng).levels[-1].u


def _refitted(system: System, law: Mixture, rng: np.random.Generator) -> Mixture:
    """A law for the draws of ``law`` and of all that were fitted before, weighed by their mixture.

    A place that one of them has drawn stays in the next fit, also where the next law has no draw of it.
    """
    laws, points, chances = list[Mixture](), list[Float](), list[Float]()
    for _ in range(REFITS):
        pool = _drawn(law, REFIT_DRAWS, rng)
        laws.append(law)
        points.append(pool.points)
        chances.append(system.failing_at(pool.points, BLUR))
        if min(map(pool.effective, chances[-1])) > ENOUGH:
            return law
        all_points = np.asfortranarray(np.vstack(points))
        with np.errstate(divide="ignore"):  # far out a ratio is zero, and so is the weight
            weight = np.mean([_ratio(one, all_points) ** -1 for one in laws], axis=0) ** -1
        law = _fitted(all_points, _worth(weight, np.concatenate(chances, axis=1)), law.dim, rng)
    return _around(system, law, rng)


def _share(pool: Pool, system: System) -> float:
    """Effective share of its draws, for the event of which it is the smallest."""
    return min(map(pool.effective, system.failing_at(pool.points, BLUR)))


def _around(system: System, law: Mixture, rng: np.random.Generator) -> Mixture:
    """``law``, or one with a large share of a normal law as wide as the event is far, whichever has less of a spread.

    An event on all sides, such as the outside of a ball, has no few places that a mixture could be fitted to.
    """
    best, most = law, 0.0
    for candidate in (law, *_widened(law, _distance(system, law, rng))):
        share = _share(_drawn(candidate, REFIT_DRAWS, rng), system)
        if share > most:
            best, most = candidate, share
    return best


def _distance(system: System, law: Mixture, rng: np.random.Generator) -> float:
    """Root mean square of a coordinate in the events, all alike."""
    pool = _drawn(law, REFIT_DRAWS, rng)
    weight = _worth(pool.weight, system.failing_at(pool.points, BLUR))
    square = float(weight @ np.square(pool.points).mean(axis=1))
    return math.sqrt(square / float(weight.sum())) if weight.sum() > 0 else WIDENED


def _widened(law: Mixture, width: float) -> list[Mixture]:
    """``law`` with shares of a normal law of that standard deviation in each coordinate."""
    wide = Normal(mean=np.zeros(law.dim), std=np.full(law.dim, width))
    return [Mixture(weights=[1.0 - share, share], components=[law, wide]) for share in SPREAD_OUT]


def _worth(weight: Float, failing: Float) -> Float:
    """How much draws with weights (k,) count for events with probabilities ``failing`` (e, k) there, all alike."""
    if len(failing) == 1:
        return np.asarray(weight * failing[0])
    return np.asarray(np.sum([weight * p / max(float(np.mean(weight * p)), 1e-300) for p in failing], axis=0))


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
