"""Learning a surrogate: which point of the pool to evaluate next, and when to stop learning."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from raresim.methods.surrogate_pool import Pool, pool_of
from raresim.numerics.arrays import Float, Index
from raresim.surrogate.belief import Belief, Predicted, failing_at, temper_of, unsure
from raresim.surrogate.gaussian_process import GaussianProcess, fit
from raresim.surrogate.warp import BONUS, Warp, candidates, neighbours

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

RIVALS, UNLIKELY, WARPED = 4, 15.0, 150
"""Warps that stay in the choice, nats below the best at which one leaves, and evaluations from which the best stays."""

FAILURES, EVERY = 5, 3
"""Evaluations in the event before learning may end, and how many evaluations until then one is drawn to be there."""

BEYOND, AFAR_RADII = 1.25, (5.0, 8.0)
"""Distance of far evaluations, in those of the event; at least, and at most, where marginals still have numbers."""

AFAR_TWICE = 150
"""Evaluations from which a look is made early, too; the last one ends the learning."""

AFAR_LEAST, AFAR_MOST, AFAR_EVERY, AFAR_AGAIN = 4, 12, 25, 20
"""Far evaluations of a look, at least and at most, one of so many of the budget; and evaluations after which a look is
repeated if one was in the event."""

LEARNT_ALL, LEARNT_ENOUGH = 1e-3, 0.1
"""What is unsure, over the probability, below which nothing is left to learn, and below which learning may end if the
correction can do the rest."""


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


@dataclass(frozen=True, eq=False)
class Rival:
    """A warp, with axes, that may be the one to learn with, and where the search for its parameters begins."""

    warp: Warp
    theta: Float | None = None
    turn: Float | None = None


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
    first: Float = field(init=False)
    rivals: list[Rival] = field(default_factory=list)
    temper: float = 1.0
    predictions: list[Predicted] = field(default_factory=list)
    pool: Pool = field(init=False)
    belief: Belief = field(init=False)
    taken: list[int] = field(default_factory=list)
    rebuilt: int = 0
    failed: int = 0
    afar: int = 0
    afar_hits: int = 0

    def begin(self) -> None:
        """Evaluate the first design."""
        self.x, self.margin = self._evaluated(first_design(self.dim, self.rng))
        self.first = self.margin
        self.rivals = [Rival(warp) for warp in candidates(self.margin)]
        self.rebuild()

    def _fit(self) -> None:
        """Fit parameters under every warp that is still likely, and those near the best, and take the most probable.

        The best one is also tried along the axes along which it changes most.
        """
        found = [self._fitted(rival) for rival in self.rivals[: len(self.rivals) if len(self.margin) < WARPED else 1]]
        if len(self.margin) < WARPED:
            best = max(found, key=lambda pair: pair[0])[1]
            known = {rival.warp for rival in self.rivals}
            axes = best.layout.turn
            near = [Rival(warp, best.theta, axes) for warp in neighbours(best.warp, self.first) if warp not in known]
            turned = [Rival(best.warp, None, best.axes())]
            found += [self._fitted(rival) for rival in (*near, *turned)]
        found.sort(key=lambda pair: -pair[0])
        best_value, self.process = found[0]
        likely = [process for value, process in found[:RIVALS] if value > best_value - UNLIKELY]
        self.rivals = [Rival(process.warp, process.theta, process.layout.turn) for process in likely]

    def _fitted(self, rival: Rival) -> tuple[float, GaussianProcess]:
        """The process of one rival, and the log of its posterior density, in nats that can be compared."""
        warp = rival.warp
        process, log_density = fit(self.x, warp(self.margin), warp, rival.theta, rival.turn)
        bonus = BONUS if rival.turn is None else 0.0
        return log_density + warp.log_slope(self.margin) + warp.bonus + bonus, process

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
        self._add(points)
        self.rebuild()

    def _add(self, points: Float) -> None:
        points, margins = self._evaluated(points)
        self.x, self.margin = np.vstack([self.x, points]), np.append(self.margin, margins)

    def rebuild(self, is_last: bool = False) -> None:
        """Fit parameters to all evaluations, and draw a new pool; the last one looks for its places anew."""
        self._fit()
        self.temper = temper_of(self.process, self.predictions)
        size = POOL if self.evaluations < LATER else POOL_LATER
        known = self.pool.law if self.rebuilt and not is_last else None
        self.pool = pool_of(self.process, self.temper, size, self.rng, known)
        self.belief = Belief.of(self.process, self.pool.points, self.temper)
        self.rebuilt, self.taken = self.evaluations, []

    def learn(self, budget: int, target: float | None) -> None:
        """Evaluate where it helps most, until the correction is expected to reach ``target`` with what is left.

        ``budget`` counts all evaluations, with those of the correction; without a ``target`` all of it is used.
        """
        most = min(int(LEARNT * budget), MOST_LEARNT)
        next_look = first_size(self.dim) + self.dim + 10
        next_afar = next_look if budget >= AFAR_TWICE else budget
        looks = min(max(AFAR_LEAST, budget // AFAR_EVERY), AFAR_MOST)
        most -= looks  # those of the end
        while self.evaluations < most:
            if self.evaluations >= self.rebuilt + max(REBUILD_LEAST, int(REBUILD * self.rebuilt)):
                self.rebuild()
            if self.evaluations >= next_afar:
                self.look_afar(min(looks, most - self.evaluations))
                self.rebuild()
                next_afar = self.evaluations + (AFAR_AGAIN if self.afar_hits else budget)
                continue
            if self.evaluations >= next_look and self.failures >= FAILURES and self._knows(budget, target):
                if not self.rehearse(min(REHEARSED, most - self.evaluations)):
                    self.look_afar(looks)
                    if not self.afar_hits:
                        return
                next_look = self.evaluations + max(REBUILD_LEAST, self.dim)
                self.rebuild()
                continue
            self.step(min(self.batch, most - self.evaluations))
        self.look_afar(looks)

    def _knows(self, budget: int, target: float | None) -> bool:
        """Whether it believes that it has learnt enough."""
        likely = self.belief.failing
        doubt = float(np.mean(self.pool.weight * unsure(likely))) / max(self.pool.probability(likely), 1e-300)
        if target is None:
            return doubt <= LEARNT_ALL
        return doubt <= LEARNT_ENOUGH and self.expected_error(budget) <= target

    def rehearse(self, count: int) -> bool:
        """Evaluate points as the correction would draw them, and learn from them; true if one was a surprise."""
        from scipy import special

        likely = self.belief.failing
        chance = draw_by(self.pool, likely)
        chance[self.taken] = 0.0
        drawn = self.rng.choice(likely.size, count, replace=False, p=chance / chance.sum())
        before = len(self.predictions)
        self._evaluate(list(drawn))
        labels = np.array([p.is_hit for p in self.predictions[before:]], dtype=bool)
        scores = np.array([p.score for p in self.predictions[before:]]) / self.temper
        return bool((special.ndtr(np.where(labels, scores, -scores)) < SURPRISE).any())

    def look_afar(self, count: int) -> None:
        """Evaluate points beyond the event, on the axes and in random directions, where no event is expected.

        A part that shows only where it fails is a cone that widens with the distance, and mostly depends on few inputs.
        Neither parameters nor pool follow what is found yet.
        """
        likely = self.pool.weight * self.belief.failing
        square = float(likely @ np.square(self.pool.points).sum(axis=1)) / max(float(likely.sum()), 1e-300)
        radius = min(max(BEYOND * math.sqrt(square), AFAR_RADII[0]), AFAR_RADII[1])
        axes = np.vstack([np.eye(self.dim), -np.eye(self.dim)])
        others = self.rng.standard_normal(axes.shape)
        points = radius * np.vstack([axes, others / np.linalg.norm(others, axis=1, keepdims=True)])
        failing, _ = failing_at(self.process, self.temper, points)
        seen = (points[:, np.newaxis] == self.x).all(axis=2).any(axis=1)
        sure = np.flatnonzero((failing < SURPRISE) & ~seen)
        points = points[self.rng.permutation(sure)[:count]]
        before = self.failures
        self.afar = len(points)
        if len(points):
            self._add(points)
        self.afar_hits = self.failures - before

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
        """The point, of some drawn where weight and doubt are large and not ``taken`` yet, that would teach most.

        While few evaluations are in the event, every third one is drawn from what the surrogate takes for the event: a
        boundary that is known from one side only may be one that is never crossed.
        """
        likely = belief.failing
        expected = self.pool.weight * likely
        expected[taken] = 0.0
        if self.failures < FAILURES and len(self.predictions) % EVERY == EVERY - 1 and expected.sum() > 0:
            return int(self.rng.choice(likely.size, p=expected / expected.sum()))
        doubt = self.pool.weight * unsure(likely)
        doubt[taken] = 0.0
        if not doubt.sum() > 0:
            return int(self.rng.integers(likely.size))
        some: Index = self.rng.choice(likely.size, CHOICES, p=doubt / doubt.sum())
        return int(some[np.argmax(likely[some] * (1.0 - likely[some]) * belief.spread[some])])

    @property
    def calibration(self) -> float:
        """Outcomes in the event less those expected, in standard deviations: a standard normal if it knows its doubts.

        Every prediction was made before its outcome was known.
        """
        from scipy import special

        if not self.predictions:
            return 0.0
        expected = special.ndtr(np.array([p.score for p in self.predictions]) / self.temper)
        hits = np.array([p.is_hit for p in self.predictions], dtype=float)
        return float((hits - expected).sum() / math.sqrt(max(float((expected * (1.0 - expected)).sum()), 1.0)))

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
