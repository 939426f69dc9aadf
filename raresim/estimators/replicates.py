"""Replicates: one row is one complete, independent run of a population method."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from raresim.accumulators.ends import Ends, evenly
from raresim.accumulators.kept import KeptRows
from raresim.accumulators.summary import Summary
from raresim.engine.fold import Sampler
from raresim.estimators.base import KEPT_ROWS, Estimator
from raresim.losses.failures import collecting, note
from raresim.numerics.arrays import Float
from raresim.numerics.blocks import Block
from raresim.numerics.streams import stream
from raresim.record.event import Event
from raresim.record.rows import Unit
from raresim.search.goals import rarest
from raresim.search.markov import Evaluate

REACHED = "reached"


@dataclass(frozen=True)
class Step:
    """One level of a run, for the figure of levels.

    Parameters
    ----------
    level : float
        Level that the draws gave, in the unit of the signed loss.
    share : float
        Share of the draws that reach the level, weighted if the method weighs them.
    log_probability : float
        Log probability of the level, in nats.
    draws, evaluations : int
        Draws of the level, and evaluations of the loss for them.
    ess : float
        Effective number of the draws that reach the level.
    move : float
        Share of new noise in the moves of the chains after the level.
    """

    level: float
    share: float
    log_probability: float
    draws: int
    evaluations: int
    ess: float
    move: float


@dataclass(frozen=True, eq=False)
class Run:
    """The result of one run of a population method.

    Parameters
    ----------
    log_probabilities : (m,) float64
        Log probability of each threshold, in nats; ``-inf`` if it was not reached.
    steps : tuple of Step
        The levels of the run, at least one.
    loss, log_weight : (k,) float64
        A weighted sample of the target for the figures: signed losses, and log weights in nats; the weights have
        expected mean one.
    evaluations : int
        Evaluations of the loss.
    outcome : str
        `REACHED`, or why the run ended before the largest threshold.
    ends : Ends
        Some draws of the run in the events.
    variance : float or None
        Relative variance of the estimate, from its own draws; None if they do not give it.
    after : Population or None
        Method for the runs of the estimate, if they use the findings of this run.
    """

    log_probabilities: Float
    steps: tuple[Step, ...]
    loss: Float
    log_weight: Float
    evaluations: int
    outcome: str
    ends: Ends
    variance: float | None = None
    after: Population | None = None

    @property
    def reached(self) -> bool:
        return self.outcome == REACHED


class Population(ABC):
    """A method that climbs to a rare event with many draws at once, which depend on each other.

    Its option ``samples`` is the number of draws of the target that a run begins with.
    """

    correlation: ClassVar[float | None] = None
    """Variance of the share of a level, as a multiple of its variance for as many independent draws; None if
    unknown."""

    samples: int

    def pilot(self, max_evaluations: int) -> Population:
        """Method for the pilot run, of at most ``max_evaluations``: by default the same method."""
        return self

    @abstractmethod
    def run(
        self, evaluate: Evaluate, dim: int, thresholds: Float, rng: np.random.Generator, max_evaluations: int
    ) -> Run:
        """One run on ``dim`` standard normals to the largest of the signed ``thresholds`` (m,).

        A level that could exceed ``max_evaluations`` in total is not begun.
        """


@dataclass(frozen=True, eq=False)
class Replicates(Estimator):
    """Independent runs of a population method; the spread of their estimates gives the error of the mean.

    Parameters
    ----------
    sampler : Sampler
        Evaluates the loss; it draws nothing here.
    events : tuple of Event
        Events in one direction, all estimated from the same runs.
    population : Population
        The population method.
    expected : float
        Loss evaluations that a run is expected to take.
    most : int
        Loss evaluations that no run may exceed; a run that would exceed them ends before the event.
    planned : tuple of float, optional
        Relative variance of a run for each event, from the levels of a pilot.

    Notes
    -----
    A draw without a loss is never beyond a level. If such draws were in the event, a run that met none would have the
    same estimate, and any other run an estimate of at most 1: for the upper end of the interval it counts as 1.

    Formulas for the error of one run of subset simulation or splitting ignore the common ancestors of draws of
    different levels, and are too small. The runs here share nothing but the options. About fifteen runs give their
    spread to a fifth, and the stage tends to end, or to be trusted, when the spread is small by chance: if ``planned``
    is larger than the observed variance, the two are pooled.
    """

    unit: ClassVar[Unit] = "replicate"
    block_rows: ClassVar[int | None] = 1
    first_look: ClassVar[int] = 10
    least_rows: ClassVar[int] = 10

    sampler: Sampler
    events: tuple[Event, ...]
    population: Population
    expected: float
    most: int
    planned: tuple[float, ...] | None = None

    @property
    def known(self) -> tuple[float, ...]:
        return self.planned or ()

    @property
    def nominal(self) -> int:
        return self.population.samples

    @property
    def cost(self) -> float:
        return self.expected

    @property
    def gapless(self) -> str:
        return ""

    def __call__(self, block: Block) -> Summary:
        with collecting() as met:
            run = run_once(self.sampler, self.events, self.population, block, self.most)
        note(met.failures)
        log_weights = [np.array([w]) if w > -np.inf else np.empty(0) for w in run.log_probabilities]
        most = KEPT_ROWS // self.first_look if block.first < self.first_look else 0
        rows = evenly(run.loss.size, most)
        rows = rows[np.isfinite(run.loss[rows])]
        kept = KeptRows(self.events[0].sign * run.loss[rows], run.log_weight[rows])
        upper = [np.zeros(1)] * len(self.events) if met.failures.total else None
        return replace(Summary.of_rows(1, log_weights, run.evaluations, kept, upper=upper), ends=run.ends)


def run_once(sampler: Sampler, events: Sequence[Event], population: Population, block: Block, most: int) -> Run:
    """One run on the stream of ``block``, of at most ``most`` evaluations."""
    sign = rarest(events).sign

    def evaluate(u: Float) -> Float:
        return sampler.signed_loss(u, block, sign)

    thresholds = np.array([sign * event.threshold for event in events])
    rng = stream(sampler.seed, block.stage, block.index)
    return population.run(evaluate, sampler.problem.dim, thresholds, rng, most)
