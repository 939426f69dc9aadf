"""Multilevel splitting: the lowest of many particles are killed and grown again from the others."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from raresim.accumulators.ends import Ends
from raresim.arguments.checks import one_of, whole
from raresim.diagnostics.endings import Ending, GaveUp
from raresim.errors import FieldError
from raresim.estimators.replicates import REACHED, Run, Step
from raresim.methods.pilot import REPLICATED, PopulationMethod
from raresim.numerics.arrays import Float
from raresim.registry import member
from raresim.search.markov import Evaluate, Moves, Walk, beyond, next_level

MIN_PARTICLES = 20
GAIN = 0.1
"""How strongly a step of the chains changes its size: there are hundreds of levels with few chains each."""

LOWEST = math.log(1e-300)
"""Log probability, in nats, at which a run gives up."""


@member("method")
@dataclass(frozen=True, kw_only=True)
class Splitting(PopulationMethod):
    """Adaptive multilevel splitting, for events of probability 1e-10 and far below.

    Parameters
    ----------
    samples : int
        Particles, at least 20.
    killed : int
        Particles killed at each level, at most half; 1 is last-particle splitting.
    steps : int
        Number of steps of a new particle away from its parent.
    moves : "adaptive" or "elliptical_slice"
        How chains move; see `raresim.search.markov.Walk`.

    Raises
    ------
    FieldError
        When an option is out of range.

    Notes
    -----
    Each level is the ``killed``-th lowest loss of the ``N`` particles. The ``K`` particles that do not lie beyond it
    (more than ``killed`` if losses are tied) are killed and grown again: each becomes a copy of a random survivor,
    moved ``steps`` times within the part of space beyond the level. The estimate of a run is the product of ``1 - K/N``
    over the levels, times the share of the last particles in the event.

    With one particle killed at a time this is ``(1 - 1/N)^J`` with ``J`` levels. For perfect moves ``J`` is Poisson
    with mean ``-N log p``. This form is then unbiased, while ``exp(-J/N)`` is not; its relative variance is
    ``p^(-1/N) - 1``, close to ``-log(p) / N`` [1]_. Killing more particles at a time costs little precision, and the
    loss is called for many draws at once. A particle whose moves were all rejected lies where its parent does, and both
    die together: then, too, ``K`` exceeds ``killed``.

    The estimate is the mean of independent runs, and its error comes from their spread.

    References
    ----------
    .. [1] Guyader, Hengartner & Matzner-Lober, *Simulation and estimation of extreme quantiles and extreme
       probabilities*, Appl. Math. Optim. 64, 2011.
    """

    kind: ClassVar[str] = "splitting"
    least_time: ClassVar[str] = "ten whole runs of the splitting at least; one that is under way is not used"
    correlation: ClassVar[float | None] = 1.5
    """Between 0.9 and 3 on nine problems of `experiments/trust`, 1.4 on average."""

    samples: int = 400
    killed: int = 80
    steps: int = 5
    moves: Moves = "adaptive"

    def __post_init__(self) -> None:
        object.__setattr__(self, "samples", whole("samples", self.samples, MIN_PARTICLES))
        object.__setattr__(self, "killed", whole("killed", self.killed))
        object.__setattr__(self, "steps", whole("steps", self.steps))
        if 2 * self.killed > self.samples:
            raise FieldError("killed", f"must be at most half of the {self.samples:,} samples, got {self.killed:,}")
        one_of("moves", self.moves, Moves)

    def run(
        self, evaluate: Evaluate, dim: int, thresholds: Float, rng: np.random.Generator, max_evaluations: int
    ) -> Run:
        walk = Walk(evaluate, rng, self.moves)
        n, goal = self.samples, float(thresholds.max())
        estimates = np.full(thresholds.size, -np.inf)
        passed = np.zeros(thresholds.size, dtype=bool)
        steps: list[Step] = []
        dead: list[tuple[Float, float]] = []
        draws: list[Float] = []
        log_probability = 0.0
        u, loss = walk.fresh(n, dim)
        counted = 0
        while True:
            level = min(goal, next_level(loss, n - self.killed))
            for k in np.flatnonzero(~passed & (thresholds <= level)):
                estimates[k] = log_probability + math.log(np.count_nonzero(loss >= thresholds[k]) / n)
                passed[k] = True
            alive = loss >= level
            before, share = log_probability, float(alive.mean())
            log_probability += math.log(share)
            spent, counted = walk.evaluations - counted, walk.evaluations
            steps.append(Step(level, share, log_probability, n, spent, float(np.count_nonzero(alive)), walk.step))
            outcome = self._ended(steps, level >= goal, counted + max(spent, self.killed * self.steps), max_evaluations)
            if outcome:
                break
            dead.append((loss[~alive], before))
            draws.append(u[~alive & (loss >= thresholds.min())])
            parents = rng.choice(np.flatnonzero(alive), np.count_nonzero(~alive))
            children, losses = np.asfortranarray(u[parents]), loss[parents]
            for _ in range(self.steps):
                children, losses = walk.advance(children, losses, beyond(level), GAIN)
            u[~alive], loss[~alive] = children, losses
        dead.append((loss, before))
        draws.append(u[loss >= thresholds.min()])
        everyone = np.concatenate([part for part, _ in dead])
        log_weight = np.concatenate([np.full(part.size, log) for part, log in dead]) + math.log(everyone.size / n)
        in_events = everyone[everyone >= thresholds.min()]
        return Run(
            log_probabilities=estimates,
            steps=tuple(steps),
            loss=everyone,
            log_weight=log_weight,
            evaluations=counted,
            outcome=outcome,
            ends=Ends.of_run(np.concatenate(draws), in_events, thresholds),
        )

    def _ended(self, steps: list[Step], at_goal: bool, next_cost: int, max_evaluations: int) -> str:
        """Why a run ends after these levels; empty if it goes on."""
        last = steps[-1]
        if at_goal:
            return REACHED
        if last.share == 1.0:
            text = f"level stalled after {len(steps):,} levels: no particle has a larger loss than the others"
            return GaveUp(Ending.STALLED, text)
        if last.log_probability < LOWEST:
            return GaveUp(Ending.LOWEST, f"threshold not reached at probability {math.exp(LOWEST):.0e}")
        if next_cost > max_evaluations:
            return GaveUp(Ending.BUDGET, f"budget of {max_evaluations:,} evaluations spent after {len(steps):,} levels")
        return ""

    def cost(self, latent_dim: int, dim: int) -> int:
        return self.samples * (1 + 16 * self.steps * (1 if self.moves == "adaptive" else 4))

    def describe(self) -> list[str]:
        return [
            f"multilevel splitting: {self.samples:,} particles, {self.killed:,} killed a level, "
            f"moved {self.steps:,} steps from a survivor",
            REPLICATED,
        ]

    @staticmethod
    def examples() -> list[Splitting]:
        """Members for the conformance tests."""
        return [Splitting(), Splitting(samples=1000, killed=300, steps=3)]
