"""Learning a surrogate: which point of the pool to evaluate next, and when to stop learning."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from raresim.losses.system import combined
from raresim.methods.surrogate_pool import Pool, pool_of
from raresim.numerics.arrays import Float, Index
from raresim.surrogate.belief import Predicted, unsure
from raresim.surrogate.components import first_system, refitted
from raresim.surrogate.system import Approximation, System, SystemBelief, together

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
        Signed margins (k, m) of the limit states at the rows of ``u`` (k, d): at least zero in the event.
    dim : int
        Coordinates of a point.
    rng : numpy.random.Generator
        For choices.
    batch : int
        Evaluations that are made side by side.
    least : int
        Limit states whose margins have to be at least zero in the event.
    goals : tuple of float
        Margins at which the events begin; see `System`.
    approximation : callable, optional
        Margins (k, m) of something cheap.
    """

    evaluate: Callable[[Float], Float]
    dim: int
    rng: np.random.Generator
    batch: int = 1
    least: int = 1
    goals: tuple[float, ...] = (0.0,)
    approximation: Approximation | None = None
    x: Float = field(init=False)
    margins: Float = field(init=False)
    system: System = field(init=False)
    predictions: list[list[Predicted]] = field(default_factory=list)
    outcomes: list[tuple[float, bool]] = field(default_factory=list)
    pool: Pool = field(init=False)
    belief: SystemBelief = field(init=False)
    taken: list[int] = field(default_factory=list)
    rebuilt: int = 0
    failed: int = 0
    given: int = 0

    def begin(self, known: tuple[Float, Float] | None = None) -> None:
        """Evaluate the first design, and choose the warps for the whole run.

        Parameters
        ----------
        known : tuple of (n, d) and (n, m) float64, optional
            Points that were evaluated before, those of a first design first, and their margins. They replace the first
            design where they are as many.
        """
        if known is not None:
            self.x, self.margins = known
            self.given = len(self.x)
        if self.given < first_size(self.dim):
            x, margins = self._evaluated(first_design(self.dim, self.rng))
            self.x = x if known is None else np.vstack([known[0], x])
            self.margins = margins if known is None else np.vstack([known[1], margins])
        first = slice(0, max(first_size(self.dim) - self.failed, 3))
        self.system = first_system(self.x[first], self.margins[first], self.least, self.goals, self.approximation)
        self.predictions = [[] for _ in self.system.components]
        self.rebuild()

    @property
    def seen(self) -> int:
        """Evaluations that it has learnt from, and rows that failed."""
        return len(self.margins) + self.failed

    @property
    def evaluations(self) -> int:
        """Evaluations so far that it was not given, with those of rows that failed."""
        return self.seen - self.given

    def _evaluated(self, points: Float) -> tuple[Float, Float]:
        """The ``points`` (k, d) that have margins, and these; rows that failed are counted and left out."""
        margins = self.evaluate(points)
        good = np.isfinite(margins).all(axis=1)
        self.failed += int(np.count_nonzero(~good))
        return points[good], margins[good]

    def see(self, points: Float) -> None:
        """Evaluate ``points`` (k, d) that others have found, and make parameters and pool anew."""
        points, margins = self._evaluated(points)
        self.x, self.margins = np.vstack([self.x, points]), np.vstack([self.margins, margins])
        self.rebuild()

    def refit(self) -> None:
        """Fit the parameters to all evaluations."""
        components = [
            refitted(component, self.x, self.margins, self.approximation, predictions)
            for component, predictions in zip(self.system.components, self.predictions, strict=True)
        ]
        self.system = replace(self.system, components=tuple(components))

    def rebuild(self) -> None:
        """Fit parameters to all evaluations, and draw a new pool."""
        self.refit()
        size = POOL if self.seen < LATER else POOL_LATER
        self.pool = pool_of(self.system, (self.x, self.margin), size, self.rng)
        self.belief = SystemBelief.of(self.system, self.pool.points)
        self.rebuilt, self.taken = self.seen, []

    def learn(self, budget: int, target: float | None) -> None:
        """Evaluate where it helps most, until the correction is expected to reach ``target`` with what is left.

        ``budget`` counts all evaluations, with those of the correction; without a ``target`` all of it is used.
        """
        most = min(int(LEARNT * budget), MOST_LEARNT - self.given)
        next_look = first_size(self.dim) + self.dim + 10
        while self.evaluations < most:
            if self.seen >= self.rebuilt + max(REBUILD_LEAST, int(REBUILD * self.rebuilt)):
                self.rebuild()
            if self.seen >= next_look and self.failures >= FAILURES and self._knows(budget, target):
                if not self.rehearse(min(REHEARSED, most - self.evaluations)):
                    break
                next_look = self.seen + max(REBUILD_LEAST, self.dim)
                self.rebuild()
                continue
            self.step(min(self.batch, most - self.evaluations))

    def _knows(self, budget: int, target: float | None) -> bool:
        """Whether it believes that it has learnt enough."""
        if target is not None:
            return self.expected_error(budget) <= target
        doubts = [float(np.mean(self.pool.weight * unsure(likely))) for likely in self.belief.failing]
        found = map(self.pool.probability, self.belief.failing)
        return all(doubt <= LEARNT_ALL * value for doubt, value in zip(doubts, found, strict=True))

    def rehearse(self, count: int) -> bool:
        """Evaluate points as the correction would draw them, and learn from them; true if one was a surprise."""
        likely = self.belief.failing
        drawn = self.rng.choice(likely.shape[1], count, replace=False, p=draw_by(self.pool, likely))
        before = len(self.outcomes)
        self._evaluate(list(drawn))
        return any((p if hit else 1.0 - p) < SURPRISE for p, hit in self.outcomes[before:])

    def expected_error(self, budget: int) -> float:
        """Relative error that the correction is expected to have after the rest of ``budget``."""
        variance = max(row_variances(self.pool, self.belief.failing))
        return math.sqrt(variance / max(1.0, SPARE * (budget - self.evaluations)))

    def step(self, count: int) -> None:
        """Choose ``count`` points, evaluate them side by side, and learn from them."""
        belief, chosen = self.belief, list[int]()
        for _ in range(count):
            row = self._most_useful(belief, [*self.taken, *chosen])
            chosen.append(row)
            if count > 1:  # as if the point turned out as expected
                belief = belief.after(row, belief.expected(row))
        self._evaluate(chosen)

    def _evaluate(self, chosen: list[int]) -> None:
        """Evaluate rows of the pool side by side, keep what was predicted of them, and learn from them."""
        self.taken += chosen
        margins = self.evaluate(self.pool.points[chosen])
        for row, found in zip(chosen, margins, strict=True):
            if not np.isfinite(found).all():
                self.failed += 1
                continue
            self._predicted(row, found)
            self.belief = self.belief.after(row, self.belief.left(row, found))
            self.x, self.margins = np.vstack([self.x, self.pool.points[row]]), np.vstack([self.margins, found])
        self.system = self.belief.system

    def _predicted(self, row: int, margins: Float) -> None:
        """Keep what was predicted of a row of the pool, whose true ``margins`` (m,) have come."""
        system, goal = self.system, self.goals[0]
        score = system.scores(self.belief.mean[[row]], self.belief.spread[[row]], goal)
        for j, component in enumerate(system.components):
            before = Predicted(float(score[0, j] * component.temper), bool(margins[j] >= goal))
            self.predictions[j].append(before)
        is_hit = bool(combined(margins[np.newaxis], self.least)[0] >= goal)
        self.outcomes.append((float(together(score, self.least)[0]), is_hit))

    def _most_useful(self, belief: SystemBelief, taken: list[int]) -> int:
        """The point, of some drawn where weight and doubt are large and not ``taken`` yet, that would teach most."""
        failing = belief.failing
        worth = relative_worth(self.pool, failing)
        doubt = np.sum([share * self.pool.weight * unsure(p) for share, p in zip(worth, failing, strict=True)], axis=0)
        doubt[taken] = 0.0
        if not doubt.sum() > 0:
            return int(self.rng.integers(doubt.size))
        some: Index = self.rng.choice(doubt.size, CHOICES, p=doubt / doubt.sum())
        taught = [
            p[some] * (1.0 - p[some]) * belief.deciding(some, g) for p, g in zip(failing, self.goals, strict=True)
        ]
        return int(some[np.argmax(np.sum(taught, axis=0))])

    @property
    def margin(self) -> Float:
        """Margins (n,) of the system."""
        return combined(self.margins, self.least)

    @property
    def failures(self) -> int:
        """Evaluations in the event that has the fewest."""
        return min(int(np.count_nonzero(self.margin >= goal)) for goal in self.goals)


def relative_worth(pool: Pool, failing: Float) -> Float:
    """How much each event (e,) counts: the first divided by its probability, so that relative errors count alike."""
    found = np.maximum([pool.probability(likely) for likely in failing], 1e-300)
    return np.asarray(np.minimum(found[0] / found, 1e12))


def draw_by(pool: Pool, failing: Float) -> Float:
    """Probability (k,) with which the correction draws each point of the pool, for all events (e, k) alike."""
    drawn = np.zeros(failing.shape[1])
    for likely in failing:
        doubt = pool.weight * (unsure(likely) + FLOOR * likely)
        parts = zip(MIXED, (doubt, pool.weight * likely, np.ones(likely.size)), strict=True)
        drawn += np.sum([share * part / max(part.sum(), 1e-300) for share, part in parts], axis=0)
    drawn /= drawn.sum()  # where no event is expected, anywhere is all that is left
    return drawn


def row_variances(pool: Pool, failing: Float) -> tuple[float, ...]:
    """Relative variance of one evaluation of the correction for each event, if the surrogate's doubts are right."""
    r = draw_by(pool, failing)
    found = []
    for likely in failing:
        value = pool.probability(likely)
        terms = (pool.weight / likely.size) ** 2 * likely * (1.0 - likely) / r
        found.append(float(terms.sum()) / value**2 if value > 0 else math.inf)
    return tuple(found)
