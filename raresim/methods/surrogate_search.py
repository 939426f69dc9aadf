"""Learning a surrogate: which point of the pool to evaluate next, and when to stop learning."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from raresim.methods.surrogate_pool import Pool, pool_of
from raresim.numerics.arrays import Float, Index
from raresim.surrogate.belief import Belief, Predicted, temper_of, unsure
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

LEARNT, MOST_LEARNT = 0.6, 300
"""Largest share of the budget that learning takes, and most evaluations: the arithmetic of more takes too long."""

SPARE = 0.7
"""Share of the evaluations that are left for the correction by which it must be expected to reach the asked error."""

MIXED = (0.85, 0.10, 0.05)
"""Shares of what the correction draws by: where the surrogate is unsure, where it expects the event, anywhere."""

FLOOR = 0.005
"""Share of a point's probability that counts as unsure however sure the surrogate is."""

REHEARSED, SURPRISE = 8, 0.03
"""Evaluations drawn as the correction draws them, before learning may end; and the probability below which an outcome
of one of them is a surprise, so that learning goes on."""

FAILURES = 5
"""Evaluations in the event before learning may end."""

LEARNT_ALL = 1e-3
"""What is unsure, over the probability, below which nothing is left to learn."""


def first_size(dim: int) -> int:
    """Evaluations of the first design."""
    return max(10, 2 * dim + 4)


def least_budget(dim: int) -> int:
    """Evaluations below which the method cannot begin."""
    return max(60, 2 * first_size(dim) + 40)


def first_design(dim: int, rng: np.random.Generator) -> Float:
    """The origin, and Sobol points turned into directions with radii spread evenly up to the edge of what matters."""
    from scipy import special, stats

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
    taken: list[int] = field(default_factory=list)
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
        self.rebuilt, self.taken = self.evaluations, []

    def learn(self, budget: int, target: float | None) -> None:
        """Evaluate where it helps most, until the correction is expected to reach ``target`` with what is left.

        ``budget`` counts all evaluations, with those of the correction; without a ``target`` all of it is used.
        """
        most = min(int(LEARNT * budget), MOST_LEARNT)
        next_look = first_size(self.dim) + self.dim + 10
        while self.evaluations < most:
            if self.evaluations >= self.rebuilt + max(REBUILD_LEAST, int(REBUILD * self.rebuilt)):
                self.rebuild()
            if self.evaluations >= next_look and self.failures >= FAILURES and self._knows(budget, target):
                if not self.rehearse(min(REHEARSED, most - self.evaluations)):
                    break
                next_look = self.evaluations + max(REBUILD_LEAST, self.dim)
                self.rebuild()
                continue
            self.step(min(self.batch, most - self.evaluations))

    def _knows(self, budget: int, target: float | None) -> bool:
        """Whether it believes that it has learnt enough."""
        if target is not None:
            return self.expected_error(budget) <= target
        likely = self.belief.failing
        return float(np.mean(self.pool.weight * unsure(likely))) <= LEARNT_ALL * self.pool.probability(likely)

    def rehearse(self, count: int) -> bool:
        """Evaluate points as the correction would draw them, and learn from them; true if one was a surprise."""
        from scipy import special

        likely = self.belief.failing
        drawn = self.rng.choice(likely.size, count, replace=False, p=draw_by(self.pool, likely))
        before = len(self.predictions)
        self._evaluate(list(drawn))
        labels = np.array([p.is_hit for p in self.predictions[before:]], dtype=bool)
        scores = np.array([p.score for p in self.predictions[before:]]) / self.temper
        return bool((special.ndtr(np.where(labels, scores, -scores)) < SURPRISE).any())

    def expected_error(self, budget: int) -> float:
        """Relative error that the correction is expected to have after the rest of ``budget``."""
        return math.sqrt(row_variance(self.pool, self.belief.failing) / max(1.0, SPARE * (budget - self.evaluations)))

    def step(self, count: int) -> None:
        """Choose ``count`` points, evaluate them side by side, and learn from them."""
        belief, chosen = self.belief, list[int]()
        for _ in range(count):
            row = self._most_useful(belief, [*self.taken, *chosen])
            chosen.append(row)
            if count > 1:  # as if the point turned out as expected
                belief = belief.after(self.pool.points[row], float(belief.mean[row]))
        self._evaluate(chosen)

    def _evaluate(self, chosen: list[int]) -> None:
        """Evaluate rows of the pool side by side, keep what was predicted of them, and learn from them."""
        self.taken += chosen
        margins = self.evaluate(self.pool.points[chosen])
        boundary = self.process.warp.boundary
        for row, margin in zip(chosen, margins, strict=True):
            if not math.isfinite(margin):
                self.failed += 1
                continue
            score = float((self.belief.mean[row] - boundary) / self.belief.spread[row])
            self.predictions.append(Predicted(score, bool(margin >= 0)))
            self.belief = self.belief.after(self.pool.points[row], float(self.process.warp(np.array([margin]))[0]))
            self.x, self.margin = np.vstack([self.x, self.pool.points[row]]), np.append(self.margin, margin)
        self.process = self.belief.process

    def _most_useful(self, belief: Belief, taken: list[int]) -> int:
        """The point, of some drawn where weight and doubt are large and not ``taken`` yet, that would teach most."""
        likely = belief.failing
        doubt = self.pool.weight * unsure(likely)
        doubt[taken] = 0.0
        if not doubt.sum() > 0:
            return int(self.rng.integers(likely.size))
        some: Index = self.rng.choice(likely.size, CHOICES, p=doubt / doubt.sum())
        return int(some[np.argmax(likely[some] * (1.0 - likely[some]) * belief.spread[some])])

    @property
    def failures(self) -> int:
        """Evaluations in the event."""
        return int(np.count_nonzero(self.margin >= 0.0))


def draw_by(pool: Pool, failing: Float) -> Float:
    """Probability (m,) with which the correction draws each point of the pool."""
    doubt = pool.weight * (unsure(failing) + FLOOR * failing)
    likely, anywhere = pool.weight * failing, np.ones(failing.size)
    parts = zip(MIXED, (doubt, likely, anywhere), strict=True)
    drawn: Float = np.sum([share * part / max(part.sum(), 1e-300) for share, part in parts], axis=0)
    drawn /= drawn.sum()  # where no event is expected, anywhere is all that is left
    return drawn


def row_variance(pool: Pool, failing: Float) -> float:
    """Relative variance of one evaluation of the correction, if the surrogate's doubts are right."""
    value = pool.probability(failing)
    if value <= 0:
        return math.inf
    r = draw_by(pool, failing)
    terms = (pool.weight / failing.size) ** 2 * failing * (1.0 - failing) / r
    return float(terms.sum()) / value**2
