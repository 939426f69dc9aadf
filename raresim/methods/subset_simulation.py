"""Subset simulation: climb level by level with Markov chains."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
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

MAX_LEVELS = 50
CORRELATION = 4.0
"""Between 2.7 and 4.5 on nine problems of `experiments/trust`, 3.6 on average; more if chains hardly mix."""

MIN_SAMPLES = 50


@member("method")
@dataclass(frozen=True, kw_only=True)
class SubsetSimulation(PopulationMethod):
    """Subset simulation, for rare events in many dimensions or of any shape, where no proposal family fits.

    Parameters
    ----------
    samples : int
        Draws of each level, at least 50.
    rarity : float
        Share of a level's draws that sets the next level, above 0 and at most 0.5.
    moves : "adaptive" or "elliptical_slice"
        How chains move: conditional sampling with an adapted step, or elliptical slices, which need no step size but
        take several evaluations per step.
    max_levels : int
        Levels after which a run gives up.

    Raises
    ------
    FieldError
        When an option is out of range.

    Notes
    -----
    The estimate is the mean of independent runs of `climb`, and its error comes from their spread: at least ten runs,
    more until the asked relative error. Each draw of a run costs one evaluation. The relative variance of a run is
    about ``4 l (1 - rarity) / (rarity samples)`` for ``l`` levels.
    """

    kind: ClassVar[str] = "subset_simulation"
    least_time: ClassVar[str] = "ten whole runs of the simulation at least; one that is under way is not used"
    correlation: ClassVar[float | None] = CORRELATION

    samples: int = 1000
    rarity: float = 0.1
    moves: Moves = "adaptive"
    max_levels: int = MAX_LEVELS

    def __post_init__(self) -> None:
        object.__setattr__(self, "samples", whole("samples", self.samples, MIN_SAMPLES))
        object.__setattr__(self, "max_levels", whole("max_levels", self.max_levels))
        if not 0 < self.rarity <= 0.5:
            raise FieldError("rarity", f"must be above 0 and at most 0.5, got {self.rarity:.15g}")
        one_of("moves", self.moves, Moves)

    def run(
        self, evaluate: Evaluate, dim: int, thresholds: Float, rng: np.random.Generator, max_evaluations: int
    ) -> Run:
        goal = float(thresholds.max())
        options = (self.max_levels, False, self.moves, max_evaluations, float(thresholds.min()))
        done = climb(evaluate, dim, self.samples, self.rarity, goal, rng, *options)
        u, loss, log_weight = (np.concatenate(part) for part in zip(*done.shells(), strict=True))
        return Run(
            log_probabilities=np.array([done.log_probability_of(float(t)) for t in thresholds]),
            steps=tuple(level.step for level in done.levels),
            loss=loss,
            log_weight=log_weight,
            evaluations=done.evaluations,
            outcome=done.outcome,
            ends=Ends.of_run(u, loss[loss.size - len(u) :], thresholds),
        )

    def variance(self, levels: float) -> float:
        """Approximate relative variance of a run of ``levels`` levels."""
        return CORRELATION * levels * (1.0 - self.rarity) / (self.rarity * self.samples)

    @property
    def losses_kept(self) -> int:
        return 2 * self.max_levels * self.samples

    def cost(self, latent_dim: int, dim: int) -> int:
        return 10 * self.samples * (1 if self.moves == "adaptive" else 4)

    def describe(self) -> list[str]:
        moves = "an adapted step" if self.moves == "adaptive" else "elliptical slices"
        return [
            f"subset simulation: {self.samples:,} draws a level, rarity {self.rarity:g}, chains with {moves}",
            REPLICATED,
        ]

    @staticmethod
    def examples() -> list[SubsetSimulation]:
        """Members for the conformance tests."""
        return [SubsetSimulation(), SubsetSimulation(samples=500, rarity=0.2)]


@dataclass(frozen=True, eq=False)
class Level:
    """``n`` draws of the target given the level before, and the level read from them.

    Parameters
    ----------
    level : float
        The level, at most the goal, in the unit of the signed loss.
    share : float
        Share of the draws that reach it.
    log_probability : float
        Estimate of the log probability of ``level``, in nats.
    u, loss : (n, d) and (n,) float64
        The draws, empty if another level follows and they were not to be kept; and their signed losses.
    evaluations : int
        Evaluations for the draws.
    move : float
        Share of new noise in a proposal of the chains that made the draws.
    """

    level: float
    share: float
    log_probability: float
    u: Float
    loss: Float
    evaluations: int
    move: float

    @property
    def step(self) -> Step:
        """The level without its draws."""
        n, reach = self.loss.size, float(np.count_nonzero(self.loss >= self.level))
        return Step(self.level, self.share, self.log_probability, n, self.evaluations, reach, self.move)


@dataclass(frozen=True, eq=False)
class Climb:
    """One run of subset simulation.

    Parameters
    ----------
    levels : tuple of Level
        The levels in order, at least one.
    goal : float
        The level that was asked for.
    outcome : str
        `REACHED`, or why the climb ended before.
    evaluations : int
        Evaluations of the loss.
    seen : tuple of arrays, or None
        With ``keep_all``: every evaluated draw (k, d) in Fortran order and its signed loss (k,), rejected ones too.
    """

    levels: tuple[Level, ...]
    goal: float
    outcome: str
    evaluations: int
    seen: tuple[Float, Float] | None = None

    @property
    def reached(self) -> bool:
        return self.outcome == REACHED

    @property
    def log_probability(self) -> float:
        """Log probability of the goal, in nats; ``-inf`` if it was not reached."""
        return self.levels[-1].log_probability if self.reached else -math.inf

    @property
    def failing(self) -> tuple[Float, Float]:
        """Draws (k, d) of the last level that reach the goal, and their losses (k,)."""
        last = self.levels[-1]
        hit = last.loss >= self.goal
        return np.asfortranarray(last.u[hit]), last.loss[hit]

    def log_probability_of(self, threshold: float) -> float:
        """Log probability of an easier threshold, from its level, in nats; ``-inf`` if no draw reached it."""
        before = 0.0
        for level in self.levels:
            if level.level >= threshold:
                return before + math.log(np.count_nonzero(level.loss >= threshold) / level.loss.size)
            before = level.log_probability
        return -math.inf

    def shells(self) -> list[tuple[Float, Float, Float]]:
        """A weighted sample of the target: of each level the draws below the next, with losses, log weights in nats.

        The last level gives all its draws. The weights have mean one. Draws that a level did not keep are left out.
        """
        last = len(self.levels) - 1
        inner = [
            slice(None) if k == last else np.flatnonzero(level.loss < level.level)
            for k, level in enumerate(self.levels)
        ]
        total = sum(level.loss[rows].size for level, rows in zip(self.levels, inner, strict=True))
        logs = [0.0, *(level.log_probability for level in self.levels)]
        return [
            (
                level.u[rows] if len(level.u) else level.u,
                level.loss[rows],
                np.full(level.loss[rows].size, before + math.log(total / level.loss.size)),
            )
            for level, rows, before in zip(self.levels, inner, logs, strict=False)
        ]


def climb(
    evaluate: Evaluate,
    dim: int,
    n: int,
    rarity: float,
    goal: float,
    rng: np.random.Generator,
    max_levels: int = MAX_LEVELS,
    keep_all: bool = False,
    moves: Moves = "adaptive",
    max_evaluations: float = math.inf,
    keep_from: float = math.inf,
    until: float = -math.inf,
) -> Climb:
    """Subset simulation on ``dim`` independent standard normals: [1]_ with the moves of [2]_.

    Parameters
    ----------
    evaluate : callable
        Losses (k,) of the rows of ``u`` (k, d), in Fortran order; signed so that larger is rarer.
    dim : int
        Coordinates of a draw.
    n : int
        Draws of each level.
    rarity : float
        Share of a level's draws that sets the next level.
    goal : float
        Signed threshold.
    rng : numpy.random.Generator
        Advanced in place.
    max_levels : int
        Levels after which the climb gives up.
    keep_all : bool
        Whether to return every evaluated draw.
    moves : "adaptive" or "elliptical_slice"
        See `raresim.search.markov.Walk`.
    max_evaluations : float
        Budget: a level that could exceed it is not begun.
    keep_from : float
        Levels from this one on keep their draws, and the last level always does.
    until : float
        Log probability of a level, in nats, at which the climb also ends.

    Notes
    -----
    ``P(goal) = P(b_1) P(b_2 | b_1) ...``; each factor is the share of ``n`` draws given the level before that reach the
    next. A level is set so that a share ``rarity`` of the draws lies beyond it (`raresim.search.markov.next_level`);
    if no draw has a larger loss than the others, the climb has stalled.

    A level is read from the draws that also give its share, and these depend on each other. The estimate has a bias of
    order ``1 / n``, small beside its own error, which is therefore taken from the spread of independent runs.

    References
    ----------
    .. [1] Au & Beck, *Estimation of small failure probabilities in high dimensions by subset simulation*,
       Probab. Eng. Mech. 16, 2001.
    .. [2] Papaioannou, Betz, Zwirglmaier & Straub, *MCMC algorithms for subset simulation*,
       Probab. Eng. Mech. 41, 2015.
    """
    walk = Walk(evaluate, rng, moves, keep_all)
    levels: list[Level] = []
    log_probability = 0.0
    outcome: str = GaveUp(Ending.LEVELS, f"threshold not reached in {max_levels} levels")
    wanted = max(1, math.floor(rarity * n))
    u, loss = walk.fresh(n, dim)
    before = 0
    for number in range(1, max_levels + 1):
        level = min(goal, next_level(loss, wanted))
        reach = loss >= level
        share = float(reach.mean())
        log_probability += math.log(share)
        spent, before = walk.evaluations - before, walk.evaluations
        levels.append(Level(level, share, log_probability, u, loss, spent, walk.step))
        if level >= goal or log_probability <= until:
            outcome = REACHED
        elif share == 1.0:
            text = f"level stalled after {number} levels: no draw has a larger loss than the others"
            outcome = GaveUp(Ending.STALLED, text)
        elif before + max(n, spent) > max_evaluations:
            text = f"budget of {max_evaluations:,.0f} evaluations spent after {number} levels"
            outcome = GaveUp(Ending.BUDGET, text)
        elif number < max_levels:
            if level < keep_from:
                levels[-1] = replace(levels[-1], u=u[:0])
            u, loss = walk.extend(u[reach], loss[reach], n, beyond(level))
            continue
        break
    return Climb(tuple(levels), goal, outcome, walk.evaluations, _together(walk.seen) if keep_all else None)


def _together(seen: Sequence[tuple[Float, Float]]) -> tuple[Float, Float]:
    u = np.empty((sum(loss.size for _, loss in seen), seen[0][0].shape[1]), order="F")
    np.concatenate([part for part, _ in seen], out=u)
    return u, np.concatenate([loss for _, loss in seen])
