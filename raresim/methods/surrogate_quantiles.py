"""The thresholds of a surrogate that is asked for quantiles: learning follows the quantile, which moves meanwhile."""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from raresim.engine.session import Session
from raresim.methods.surrogate_correction import FLOOR
from raresim.methods.surrogate_design import first_design
from raresim.methods.surrogate_pool import Pool
from raresim.methods.surrogate_search import Learner
from raresim.numerics.arrays import Float
from raresim.record.event import Event
from raresim.surrogate.belief import unsure
from raresim.surrogate.system import Approximation, System, together
from raresim.surrogate.warp import unwarped

MOVES, LOOKS, ASTRAY = 8, 2, 3
"""Most moves of the thresholds, looks at which the surrogate learns near them before they are fixed, and moves in a row
without coming near after which it learns where it is."""

CLOSE = 2.0
"""Factor from the asked tail within which a threshold is near enough to learn there."""

STEP = 1.15
"""Factor of the tail between the two thresholds that give the rate at which the probability falls."""

TAIL_ERROR = 0.1
"""Relative error that is always asked of the probability beyond a quantile, as `raresim.run.asked` does."""

NODES = 8
"""Of the quadrature of an expected excess over what the surrogate believes of a point."""


@dataclass(frozen=True, eq=False)
class Believed:
    """What surrogates of one loss believe of the points of a pool.

    Parameters
    ----------
    system : System
        The surrogate, of one limit state.
    pool : Pool
        The points.
    mean, spread : (k, 1) float64
        Mean and standard deviation of the warped margins.
    """

    system: System
    pool: Pool
    mean: Float
    spread: Float

    @classmethod
    def of(cls, system: System, pool: Pool) -> Believed:
        return cls(system, pool, *system.predict(pool.points))

    def failing(self, goal: float) -> Float:
        """Probability (k,) that the margin of each point is at least ``goal``."""
        return together(self.system.scores(self.mean, self.spread, goal), self.system.least)

    def probability(self, goal: float) -> float:
        """Probability of a margin of at least ``goal``."""
        return self.pool.probability(self.failing(goal))

    def goal(self, tail: float) -> float:
        """The margin that is reached with probability ``tail``, between those that are predicted."""
        from scipy import optimize

        predicted = np.sort(unwarped(self.system.components[0].process.warp, self.mean[:, 0]))

        def excess(goal: float) -> float:
            return math.log(max(self.probability(goal), 1e-300) / tail)

        # Where a warp is a logarithm, the largest predictions may be astronomic: only neighbours give a scale.
        beyond = bisect.bisect_left(predicted, True, key=lambda goal: excess(goal) <= 0.0)
        if beyond in (0, predicted.size):
            return float(predicted[min(beyond, predicted.size - 1)])
        low, high = map(float, predicted[beyond - 1 : beyond + 1])
        return float(optimize.brentq(excess, low, high, xtol=1e-9 * (high - low), rtol=1e-9))

    def rate(self, tail: float) -> float:
        """How fast the log of the probability falls with the margin at its quantile, per unit of the loss."""
        apart = self.goal(tail / STEP) - self.goal(tail * STEP)
        return 2.0 * math.log(STEP) / apart if apart > 0 else math.inf

    def excess(self, goal: float) -> tuple[Float, Float]:
        """Mean and standard deviation (k,) of what the margin of each point exceeds ``goal`` by, or of 0."""
        nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
        component, total, square = self.system.components[0], np.zeros(len(self.mean)), np.zeros(len(self.mean))
        for node, weight in zip(nodes, weights / weights.sum(), strict=True):
            warped = self.mean[:, 0] + node * component.temper * self.spread[:, 0]
            over = np.maximum(unwarped(component.process.warp, warped) - goal, 0.0)
            total += weight * over
            square += weight * over**2
        return total, np.sqrt(np.maximum(square - total**2, 0.0))


@dataclass(frozen=True, eq=False)
class Asked:
    """What a surrogate says of what is asked, at the points of a pool.

    Parameters
    ----------
    events : tuple of Event
        The events.
    failing : (e, k) float64
        Probability that each point is in each event.
    expected : (e, k) float64
        The same, or the expected excess over the threshold in `units` where the mean beyond a quantile is asked.
    doubts : (e, k) float64, optional
        Standard deviations of these; those of indicators by default.
    units, eases : tuple of float
        As of `raresim.estimators.surrogate_batches.SurrogateBatches`.
    facts : mapping of str to float
        Threshold, rate and unit of each quantile, from which its answer is read.
    """

    events: tuple[Event, ...]
    failing: Float
    expected: Float
    doubts: Float | None = None
    units: tuple[float, ...] = ()
    eases: tuple[float, ...] = ()
    facts: Mapping[str, float] = field(default_factory=dict)


def answers_of(believed: Believed, session: Session, at: float) -> Asked:
    """What is asked, at the quantiles that ``believed`` has; its margins are losses less ``at``."""
    target, count = session.relative_error or 1.0, len(session.events)
    goals = [e.threshold - at for e in session.events]
    units, eases, facts = [0.0] * count, [1.0] * count, dict[str, float]()
    failing, expected, doubts = [], [], []
    for k, tail in enumerate(session.tails):
        goals[k] = goals[k] if tail is None else believed.goal(tail)
        likely = believed.failing(goals[k])
        failing.append(likely)
        expected.append(likely)
        doubts.append(unsure(likely))
        if tail is None:
            facts[f"surrogate_probability_{k}"] = believed.pool.probability(likely)
            continue
        value, rate = abs(at + goals[k]), believed.rate(tail)
        facts |= {f"surrogate_threshold_{k}": at + goals[k], f"surrogate_rate_{k}": rate}
        facts[f"surrogate_beyond_{k}"] = believed.pool.probability(likely)
        eases[k] = value * rate
        if session.excesses[k]:
            over, spread = believed.excess(goals[k])
            units[k] = believed.pool.probability(over) / tail
            expected[k], doubts[k] = over / units[k], np.hypot(spread, FLOOR * over) / units[k]
            facts[f"surrogate_unit_{k}"] = units[k]
            eases[k] = abs(at + goals[k] + units[k]) / units[k]
        facts[f"surrogate_probability_{k}"] = believed.pool.probability(expected[k])
        eases[k] = min(eases[k], max(1.0, TAIL_ERROR / target))
    events = tuple(Event(at + goal) for goal in goals)
    return Asked(events, np.stack(failing), np.stack(expected), np.stack(doubts), tuple(units), tuple(eases), facts)


@dataclass(eq=False)
class Aim:
    """Finds thresholds near the quantiles of a loss.

    Parameters
    ----------
    evaluate : callable
        Losses (k, 1) at the rows of ``u`` (k, d).
    dim : int
        Coordinates of a point.
    rng : numpy.random.Generator
        For choices.
    batch : int
        Evaluations that are made side by side.
    tails : sequence of float or None
        Tail probability of each event; None where its threshold is given.
    thresholds : list of float
        The given thresholds; the others are overwritten.
    approximation : callable, optional
        Losses (k, 1) of something cheap.
    """

    evaluate: Callable[[Float], Float]
    dim: int
    rng: np.random.Generator
    batch: int
    tails: Sequence[float | None]
    thresholds: list[float]
    approximation: Approximation | None = None
    u: Float = field(init=False)
    losses: Float = field(init=False)

    def find(self, known: tuple[Float, Float] | None) -> None:
        """Move the thresholds until the surrogate expects the asked tails there, with evaluations near them.

        Begins from points ``known`` (k, d) with losses (k, 1), or from a first design.
        """
        if known is None:
            points = first_design(self.dim, self.rng)
            known = points, self.evaluate(points)
        good = np.isfinite(known[1]).all(axis=1)
        self.u, self.losses = known[0][good], known[1][good]
        largest = float(self.losses.max())
        self.thresholds = [largest if tail else at for tail, at in zip(self.tails, self.thresholds, strict=True)]
        looks = astray = 0
        for _ in range(MOVES):
            at, learner = self.thresholds[0], self.learner()
            learner.begin((self.u, self.losses - at))
            is_near = self._follow(learner)
            if is_near and looks == LOOKS:
                return
            astray = 0 if is_near else astray + 1
            if is_near or astray == ASTRAY:
                looks, astray = looks + is_near, 0
                while learner.seen < len(self.u) + self.dim // 2 + 3:
                    learner.step(self.batch)
                self.u, self.losses = learner.x, learner.margins + at

    def learner(self) -> Learner:
        """One that learns at the present thresholds."""
        at, near = self.thresholds[0], self.approximation

        def margins(u: Float) -> Float:
            return self.evaluate(u) - at

        def rough(u: Float) -> Float:
            return np.asarray(near(u) - at) if near else np.zeros((len(u), 1))

        goals = tuple(threshold - at for threshold in self.thresholds)
        return Learner(margins, self.dim, self.rng, self.batch, 1, goals, rough if near else None)

    def _follow(self, learner: Learner) -> bool:
        """Move the thresholds to the quantiles that ``learner`` expects; true if all of them were near enough."""
        at, believed = self.thresholds[0], Believed.of(learner.system, learner.pool)
        pairs = zip(learner.goals, self.tails, strict=True)
        off = [abs(math.log(max(believed.probability(goal), 1e-300) / tail)) for goal, tail in pairs if tail]
        self.thresholds = [
            at + believed.goal(tail) if tail else given for tail, given in zip(self.tails, self.thresholds, strict=True)
        ]
        return max(off) <= math.log(CLOSE)
