"""One complete, independent run of a population method is one row."""

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
from raresim.estimators.base import KEPT_ROWS, Estimator, Unit
from raresim.losses.failures import collecting, note
from raresim.numerics.arrays import Float
from raresim.numerics.blocks import Block
from raresim.numerics.streams import stream
from raresim.record.event import Event
from raresim.search.goals import rarest
from raresim.search.markov import Evaluate

REACHED = "reached"


@dataclass(frozen=True)
class Step:
    """One level of a run, for the figure of levels.

    Parameters
    ----------
    level : float
        That was read from the draws, in the unit of the signed loss.
    share : float
        Of the draws that reach it, weighted where the method weighs them.
    log_probability : float
        Of the level, in nats.
    draws, evaluations : int
        Draws of the level, and the losses that were evaluated for them.
    ess : float
        What the draws that reach the level are worth, were they independent.
    move : float
        Share of new noise in a proposal of the chains, after the level.
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
    """What one run of a population method came to.

    Parameters
    ----------
    log_probabilities : (m,) float64
        Of each threshold, in nats; ``-inf`` where it was not reached.
    steps : tuple of Step
        Its levels, at least one.
    loss, log_weight : (k,) float64
        A weighted sample of the target for the figures: signed losses, and log weights in nats whose exponentials have
        the mean one in expectation.
    evaluations : int
        Losses evaluated.
    outcome : str
        `REACHED`, or why the run ended before the largest threshold.
    ends : Ends
        Some of its draws in the events.
    variance : float or None
        Relative variance of the estimate, as its own draws tell it; None where they do not.
    after : Population or None
        What the runs of the estimate are made by, where they use what this one found.
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
    """A way to climb to a rare event with many draws at once, whose own draws depend on each other.

    Its option ``samples`` is the number of draws of the target that a run begins with.
    """

    correlation: ClassVar[float | None] = None
    """How many times as much the share of a level varies than that of as many independent draws; None: not known."""

    samples: int

    def pilot(self, max_evaluations: int) -> Population:
        """What the pilot run is made by, of at most ``max_evaluations``: by default what all are made by."""
        return self

    @abstractmethod
    def run(
        self, evaluate: Evaluate, dim: int, thresholds: Float, rng: np.random.Generator, max_evaluations: int
    ) -> Run:
        """One run on ``dim`` standard normals to the largest of the signed ``thresholds`` (m,).

        A level that could take more than ``max_evaluations`` in all is not begun.
        """


@dataclass(frozen=True, eq=False)
class Replicates(Estimator):
    """Independent runs of a population method; the spread of their estimates is the error of the mean.

    Parameters
    ----------
    sampler : Sampler
        Evaluates; it draws nothing here.
    events : tuple of Event
        In one direction. All are read from the same runs.
    population : Population
        What is run.
    expected : float
        Loss evaluations that a run is expected to take.
    most : int
        Loss evaluations that no run may exceed; one that would ends there, short of the event.
    planned : tuple of float, optional
        Relative variance of a run for each event, by the levels of a pilot.

    Notes
    -----
    A draw without a loss is never beyond a level. A run that met none would have come to the same estimate had such
    draws been in the event, and the others to at most 1: for the upper end of the interval they count as 1.

    Formulas for the error of one run of subset simulation or splitting leave out that draws of different levels have
    ancestors in common, and come out too small. The runs here share nothing but the options. Some fifteen of them know
    their spread to a fifth, and the stage ends, or is trusted, where it is small by chance: where ``planned`` is larger
    than what is seen, both are pooled.
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
