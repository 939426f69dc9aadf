"""Learning a surrogate: which point of the pool to evaluate next, and when to stop learning."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from raresim.distributions.mixture import Mixture
from raresim.estimators.surrogate_batches import BATCHES
from raresim.losses.system import combined
from raresim.methods.surrogate_correction import SMALLEST, draw_by, relative_worth, row_variances
from raresim.methods.surrogate_design import directions, far_points, far_radius, first_design, first_size
from raresim.methods.surrogate_pool import Pool, pool_of
from raresim.numerics.arrays import Float, Index
from raresim.surrogate.belief import Predicted, calibration_of, unsure
from raresim.surrogate.components import first_component, first_system, refitted
from raresim.surrogate.system import Approximation, System, SystemBelief, together

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

LOOK, ASSISTED_LOOK = 10, 4
"""Evaluations after the first design before learning may end: beside one for each input, or with an approximation that
serves, which needs none of these."""

REHEARSED, SURPRISE = 8, 0.03
"""Evaluations drawn as the correction draws them, before learning may end; and the probability below which an outcome
of one of them is a surprise, so that learning goes on."""

FAILURES, EVERY = 5, 3
"""Evaluations in the event before learning may end, and how many evaluations until then one is drawn to be there."""

AFAR_TWICE = 150
"""Evaluations from which a look is made early, too; the last one ends the learning."""

AFAR_LEAST, AFAR_MOST, AFAR_AGAIN = 4, 12, 20
"""Far evaluations of a look, at least and at most; and evaluations after which a look is repeated if one was in the
event."""

AFAR_EVERY, AFAR_DENSE, FEW_INPUTS = 25, 8, 6
"""A look has one far evaluation for so many of the budget, and with few inputs for fewer: a part that is far out takes
a good share of the directions then, so that some of a dozen see it."""

PROBES, NEARER = 8, 0.02
"""Evaluations at most in a row for each limit state that none has shown to fail, each where it is now expected nearest
to failing; and the share of the rest of the way by which one has to come nearer for another."""

DIRECTIONS, ELITE, NARROWER = 500, 25, (1.0, 0.5, 0.25, 0.12)
"""Directions among which such a place is looked for at a time, the best of them, and how far others are from these."""

LEARNT_ALL, LEARNT_ENOUGH = 1e-3, 0.1
"""What is unsure, over the probability, below which nothing is left to learn, and below which learning may end if the
correction can do the rest."""


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
    design: int = 0
    failed: int = 0
    given: int = 0
    afar: int = 0
    afar_hits: int = 0
    unprobed: int = 0

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
        self.design = max(first_size(self.dim) - self.failed, 3)
        self.system = first_system(self.x, self.margins, self.least, self.goals, self.approximation, self.design)
        self.predictions = [[] for _ in self.system.components]
        self._draw_pool(None)

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
        self._add(points)
        self.rebuild()

    def _add(self, points: Float) -> None:
        points, margins = self._evaluated(points)
        self.x, self.margins = np.vstack([self.x, points]), np.vstack([self.margins, margins])

    def refit(self) -> None:
        """Fit the parameters to all evaluations."""
        rough = None if self.approximation is None else self.approximation(self.x)
        components = [
            refitted(component, self.x, self.margins[:, j], None if rough is None else rough[:, j], self.predictions[j])
            for j, component in enumerate(self.system.components)
        ]
        self.system = replace(self.system, components=tuple(components))

    def rebuild(self, is_last: bool = False) -> None:
        """Fit parameters to all evaluations, and draw a new pool; the last one looks for its places anew."""
        self.refit()
        self._draw_pool(None if is_last else self.pool.law)

    def _draw_pool(self, known: Mixture | None) -> None:
        """A pool for what the surrogates believe, from the law ``known`` where it serves again."""
        size = POOL if self.seen < LATER else POOL_LATER
        self.pool = pool_of(self.system, (self.x, self.margin), size, self.rng, known)
        self.belief = SystemBelief.of(self.system, self.pool.points)
        self.rebuilt, self.taken = self.seen, []

    def learn(self, budget: int, target: float | None) -> None:
        """Evaluate where it helps most, until the correction is expected to reach ``target`` with what is left.

        ``budget`` counts all evaluations, with those of the correction; without a ``target`` all of it is used. An
        approximation that serves shows the parts of the loss that are far out, so fewer evaluations look there.
        """
        assisted = self.is_assisted
        every = AFAR_DENSE if self.dim <= FEW_INPUTS else AFAR_EVERY
        looks = AFAR_LEAST if assisted else min(max(AFAR_LEAST, budget // every), AFAR_MOST)
        most = min(int(LEARNT * budget), MOST_LEARNT - self.given) - looks  # those of the end
        next_look = first_size(self.dim) + (ASSISTED_LOOK if assisted else self.dim + LOOK)
        next_afar = next_look if budget >= AFAR_TWICE and not assisted else self.seen + budget
        self.probe(most)
        while self.evaluations < most:
            if self.seen >= self.rebuilt + max(REBUILD_LEAST, int(REBUILD * self.rebuilt)):
                self.rebuild()
            if self.seen >= next_afar:
                self.look_afar(min(looks, most - self.evaluations))
                self.rebuild()
                next_afar = self.seen + (AFAR_AGAIN if self.afar_hits else budget)
                continue
            if self.seen >= next_look and self.failures >= FAILURES and self._knows(budget, target):
                surprised = self.rehearse(min(REHEARSED, most - self.evaluations))
                if not surprised and not self._was_too_sure(target):
                    self.look_afar(looks)
                    if not self.afar_hits and not self._was_too_sure(target):
                        return
                next_look = self.seen + max(REBUILD_LEAST, self.dim)
                self.rebuild()
                continue
            self.step(min(self.batch, most - self.evaluations))
        self.look_afar(looks)

    def _knows(self, budget: int, target: float | None) -> bool:
        """Whether it believes that it has learnt enough."""
        doubt = max(map(self.pool.doubt, self.belief.failing))
        if target is None:
            return doubt <= LEARNT_ALL
        if self.is_assisted:
            return not self._is_dear(target)
        return doubt <= LEARNT_ENOUGH and self.expected_error(budget) <= target

    def _is_dear(self, target: float) -> bool:
        """Whether the correction is expected to need more evaluations for ``target`` than the learning has had."""
        return self.expected_error(self.evaluations + max(SMALLEST * BATCHES, self.seen)) > target

    def _was_too_sure(self, target: float | None) -> bool:
        """Whether it no longer knows enough after parameters are fitted to all evaluations; see `_is_dear`."""
        if target is None or not self.is_assisted:
            return False
        self.rebuild()
        return self._is_dear(target)

    def rehearse(self, count: int) -> bool:
        """Evaluate points as the correction would draw them, and learn from them; true if one was a surprise."""
        likely = self.belief.failing
        chance = draw_by(self.pool, likely)
        chance[self.taken] = 0.0
        drawn = self.rng.choice(likely.shape[1], count, replace=False, p=chance / chance.sum())
        before = len(self.outcomes)
        self._evaluate(list(drawn))
        return any((p if hit else 1.0 - p) < SURPRISE for p, hit in self.outcomes[before:])

    @property
    def uncrossed(self) -> list[int]:
        """Limit states that no evaluation has shown to fail."""
        return [j for j, column in enumerate(self.margins.T) if not (column >= min(self.goals)).any()]

    def probe(self, most: int) -> None:
        """Evaluate limit states that none has shown to fail where they are expected nearest to it, as far out as
        `far_points`, while each comes nearer and all evaluations are at most ``most``.

        Each limit state has its threshold beyond all values of the first design, and a warp is hardly known there: one
        with a bound may be sure that it is never reached, and then nothing else would look.
        """
        if len(self.system.components) == 1:
            return
        begun, left = self.seen, self.uncrossed
        for _ in range(PROBES):
            if not left or self.evaluations + len(left) > most:
                break
            radius = far_radius(self.pool.points, self.pool.weight * self.belief.failing)
            before = self.margins.max(axis=0)
            self._add(np.vstack([self._likeliest(j, radius) for j in left]))
            self._choose_warps(left)
            left = [j for j in self.uncrossed if j in left and self._is_nearer(j, float(before[j]))]
        self.unprobed = len(left)
        if self.seen > begun:
            self.rebuild()

    def _is_nearer(self, column: int, before: float) -> bool:
        """Whether the largest margin of a limit state is nearer to its threshold than ``before``, as its surrogate
        measures it."""
        component = self.system.components[column]
        found = component.process.warp(np.array([before, self.margins[:, column].max()]))
        gaps = component.boundary(min(self.goals)) - found
        return bool(gaps[1] < (1.0 - NEARER) * gaps[0])

    def _likeliest(self, column: int, radius: float) -> Float:
        """The point (d,) of a sphere at which a limit state is expected to have its largest margin."""
        process = self.system.components[column].process
        best = directions(self.rng.standard_normal((DIRECTIONS, self.dim)))
        for width in NARROWER:
            mean, _ = process.predict(radius * best)
            elite = best[np.argsort(-mean)[:ELITE]]
            others = np.repeat(elite, DIRECTIONS // ELITE - 1, axis=0)
            moved = directions(others + width * self.rng.standard_normal(others.shape) / math.sqrt(self.dim))
            best = np.vstack([elite, moved])
        mean, _ = process.predict(radius * best)
        return np.asarray(radius * best[int(np.argmax(mean))])

    def _choose_warps(self, columns: list[int]) -> None:
        """Surrogates of some limit states with all warps in the choice again."""
        rough = None if self.approximation is None else self.approximation(self.x)
        components = list(self.system.components)
        for j in columns:
            near = None if rough is None else rough[:, j]
            components[j] = first_component(self.x, self.margins[:, j], near, j, self.design)
        self.system = replace(self.system, components=tuple(components))

    def look_afar(self, count: int) -> None:
        """Evaluate at most ``count`` of `far_points`, where the surrogates are sure of no event.

        Neither parameters nor pool follow what is found yet. Limit states that have not been seen to fail are probed.
        """
        self.probe(self.evaluations + 2 * len(self.uncrossed))
        points = far_points(self.pool.points, self.pool.weight * self.belief.failing, self.rng)
        seen = (points[:, np.newaxis] == self.x).all(axis=2).any(axis=1)
        sure = np.flatnonzero((self.system.failing_at(points).max(axis=0) < SURPRISE) & ~seen)
        points = points[self.rng.permutation(sure)[:count]]
        before = len(self.margins)
        self.afar = len(points)
        if len(points):
            self._add(points)
        self.afar_hits = int(np.count_nonzero(self.margin[before:] >= min(self.goals)))

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
        for j, component in enumerate(system.components):
            score = float((self.belief.mean[row, j] - component.boundary(goal)) / self.belief.spread[row, j])
            self.predictions[j].append(Predicted(score, bool(margins[j] >= goal)))
        scores = system.scores(self.belief.mean[[row]], self.belief.spread[[row]], goal)
        is_hit = bool(combined(margins[np.newaxis], self.least)[0] >= goal)
        self.outcomes.append((float(together(scores, self.least)[0]), is_hit))

    def _most_useful(self, belief: SystemBelief, taken: list[int]) -> int:
        """The point, of some drawn where weight and doubt are large and not ``taken`` yet, that would teach most.

        While few evaluations are in the event, every third one is drawn from what the surrogates take for the event: a
        boundary that is known from one side only may be one that is never crossed.
        """
        failing = belief.failing
        worth = relative_worth(self.pool, failing)
        if self.failures < FAILURES and len(self.outcomes) % EVERY == EVERY - 1:
            expected = np.sum([share * self.pool.weight * p for share, p in zip(worth, failing, strict=True)], axis=0)
            expected[taken] = 0.0
            if expected.sum() > 0:
                return int(self.rng.choice(expected.size, p=expected / expected.sum()))
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
    def is_assisted(self) -> bool:
        """Whether the surrogates learn what an approximation leaves, of every limit state."""
        return all(component.assisted for component in self.system.components)

    @property
    def calibration(self) -> float:
        """As `calibration_of`, of the limit state for which it is farthest from zero."""
        pairs = zip(self.predictions, self.system.components, strict=True)
        return max((calibration_of(before, component.temper) for before, component in pairs), key=abs)

    @property
    def margin(self) -> Float:
        """Margins (n,) of the system."""
        return combined(self.margins, self.least)

    @property
    def failures(self) -> int:
        """Evaluations in the event that has the fewest."""
        return min(int(np.count_nonzero(self.margin >= goal)) for goal in self.goals)
