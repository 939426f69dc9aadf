"""Learning a surrogate: which point of the pool to evaluate next, and when to stop learning."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from scipy import special, stats

from raresim.methods.surrogate_pool import Pool, pool_of
from raresim.numerics.arrays import Float, Index
from raresim.surrogate.belief import Belief, Predicted, hits, temper_of, unsure
from raresim.surrogate.gaussian_process import GaussianProcess, fit
from raresim.surrogate.warp import Warp, candidates

FARTHEST = 1e-5
"""Probability that the radius of a draw is beyond that of the first design."""

INNERMOST = 0.15
"""Share of that radius at which the first design begins."""

CHOICES = 300
"""Points among which the most useful one is evaluated."""

POOL, POOL_LATER, LATER = 8_000, 16_000, 60
"""Points of a pool up to so many evaluations, and beyond."""

REBUILD, REBUILD_LEAST = 0.3, 6
"""Evaluations after which parameters and pool are made anew, as a share of all, and at least."""

LEARNT = 0.6
"""Largest share of the budget that learning takes."""

SPARE = 0.7
"""Share of the evaluations that are left for the correction by which it must be expected to reach the asked error."""

MIXED = (0.85, 0.10, 0.05)
"""Shares of what the correction draws by: where the surrogate is unsure, where it expects the event, anywhere."""

FLOOR = 0.005
"""Share of a point's probability that counts as unsure however sure the surrogate is."""

EXPECTED = 0.02
"""A label that had so small a probability is a surprise."""


def first_size(dim: int) -> int:
    """Evaluations of the first design."""
    return max(10, 2 * dim + 4)


def least_budget(dim: int) -> int:
    """Evaluations below which the method cannot begin."""
    return max(60, 2 * first_size(dim) + 40)


def first_design(dim: int, rng: np.random.Generator) -> Float:
    """The origin, and Sobol points turned into directions with radii spread evenly up to the edge of what matters."""
    n = first_size(dim) - 1
    sobol = stats.qmc.Sobol(dim + 1, seed=rng).random(2 ** math.ceil(math.log2(n)))[:n]
    v = special.ndtri(np.clip(sobol[:, :dim], 1e-6, 1.0 - 1e-6))
    v /= np.linalg.norm(v, axis=1, keepdims=True)
    edge = math.sqrt(stats.chi2.isf(FARTHEST, dim))
    steps = INNERMOST + (1.0 - INNERMOST) * (np.argsort(np.argsort(sobol[:, dim])) + 0.5) / n
    return np.vstack([np.zeros((1, dim)), v * (edge * steps)[:, np.newaxis]])


@dataclass(eq=False)
class Learner:
    """A surrogate while it learns.

    Parameters
    ----------
    evaluate : callable
        Signed margins (k,) at the rows of ``u`` (k, d): at least zero in the event.
    dim : int
        Coordinates of a point.
    rng : numpy.random.Generator
        For choices.
    batch : int
        Evaluations that are made side by side.
    """

    evaluate: Callable[[Float], Float]
    dim: int
    rng: np.random.Generator
    batch: int = 1
    x: Float = field(init=False)
    margin: Float = field(init=False)
    process: GaussianProcess = field(init=False)
    temper: float = 1.0
    predictions: list[Predicted] = field(default_factory=list)
    pool: Pool = field(init=False)
    belief: Belief = field(init=False)
    rebuilt: int = 0
    failed: int = 0

    def begin(self) -> None:
        """Evaluate the first design, and choose the warp for the whole run."""
        self.x, self.margin = self._evaluated(first_design(self.dim, self.rng))
        fits = [(fit(self.x, warp(self.margin), warp), warp) for warp in candidates(self.margin)]
        (self.process, _), _ = max(fits, key=lambda found: found[0][1] + self._comparable(found[1]))
        self.rebuild()

    def _comparable(self, warp: Warp) -> float:
        return warp.log_slope(self.margin) + warp.bonus

    @property
    def evaluations(self) -> int:
        """Evaluations so far, with those of rows that failed."""
        return len(self.margin) + self.failed

    def _evaluated(self, points: Float) -> tuple[Float, Float]:
        """The ``points`` (k, d) that have a margin, and their margins; rows that failed are counted and left out."""
        margins = self.evaluate(points)
        good = np.isfinite(margins)
        self.failed += int(np.count_nonzero(~good))
        return points[good], margins[good]

    def see(self, points: Float) -> None:
        """Evaluate ``points`` (k, d) that others have found, and make parameters and pool anew."""
        points, margins = self._evaluated(points)
        self.x, self.margin = np.vstack([self.x, points]), np.append(self.margin, margins)
        self.rebuild()

    def rebuild(self, size: int | None = None) -> None:
        """Fit parameters to all evaluations, and draw a new pool."""
        warp = self.process.warp
        self.process, _ = fit(self.x, warp(self.margin), warp, self.process.theta)
        self.temper = temper_of(self.process, self.predictions)
        size = size or (POOL if self.evaluations < LATER else POOL_LATER)
        self.pool = pool_of(self.process, self.temper, size, self.rng)
        self.belief = Belief.of(self.process, self.pool.points, self.temper)
        self.rebuilt = self.evaluations

    def learn(self, budget: int, target: float | None) -> None:
        """Evaluate where it helps most, until the correction is expected to reach ``target`` with what is left.

        ``budget`` counts all evaluations, with those of the correction; without a ``target`` all of it is used.
        """
        most, least = int(LEARNT * budget), first_size(self.dim) + self.dim + 10
        while self.evaluations < most:
            if self.evaluations >= self.rebuilt + max(REBUILD_LEAST, int(REBUILD * self.rebuilt)):
                self.rebuild()
            if target is not None and self.evaluations >= least and self.expected_error(budget) <= target:
                break
            self.step(min(self.batch, most - self.evaluations))

    def expected_error(self, budget: int) -> float:
        """Relative error that the correction is expected to have after the rest of ``budget``."""
        return math.sqrt(row_variance(self.pool, self.belief.failing) / max(1.0, SPARE * (budget - self.evaluations)))

    def step(self, count: int) -> None:
        """Choose ``count`` points, evaluate them side by side, and learn from them."""
        belief, chosen = self.belief, []
        for _ in range(count):
            row = self._most_useful(belief)
            chosen.append(row)
            if count > 1:  # as if the point turned out as expected
                belief = belief.after(self.pool.points[row], float(belief.mean[row]))
        margins = self.evaluate(self.pool.points[chosen])
        boundary = self.process.warp.boundary
        for row, margin in zip(chosen, margins, strict=True):
            if not math.isfinite(margin):
                self.failed += 1
                self.pool.weight[row] = 0.0  # it is not chosen again
                continue
            score = float((self.belief.mean[row] - boundary) / self.belief.spread[row])
            self.predictions.append(Predicted(score, bool(margin >= 0)))
            self.belief = self.belief.after(self.pool.points[row], float(self.process.warp(np.array([margin]))[0]))
            self.x, self.margin = np.vstack([self.x, self.pool.points[row]]), np.append(self.margin, margin)
        self.process = self.belief.process

    def _most_useful(self, belief: Belief) -> int:
        """The point, of some drawn where weight and doubt are large, that would teach most."""
        likely = belief.failing
        doubt = self.pool.weight * unsure(likely)
        if not doubt.any():
            return int(self.rng.integers(likely.size))
        some: Index = self.rng.choice(likely.size, CHOICES, p=doubt / doubt.sum())
        return int(some[np.argmax(likely[some] * (1.0 - likely[some]) * belief.spread[some])])

    @property
    def failures(self) -> int:
        """Evaluations in the event."""
        return int(np.count_nonzero(hits(self.margin)))


def draw_by(pool: Pool, failing: Float) -> Float:
    """Probability (m,) with which the correction draws each point of the pool."""
    doubt = pool.weight * (unsure(failing) + FLOOR * failing)
    likely, anywhere = pool.weight * failing, np.ones(failing.size)
    return sum(share * part / part.sum() for share, part in zip(MIXED, (doubt, likely, anywhere), strict=True))


def row_variance(pool: Pool, failing: Float) -> float:
    """Relative variance of one evaluation of the correction, if the surrogate's doubts are right."""
    value = pool.probability(failing)
    if value <= 0:
        return math.inf
    r = draw_by(pool, failing)
    terms = (pool.weight / failing.size) ** 2 * failing * (1.0 - failing) / r
    return float(terms.sum()) / value**2
