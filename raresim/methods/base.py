"""The contract of a method: it chooses what to draw from; the estimate is the same for all."""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from raresim.accumulators.base import Accumulator
from raresim.arrays import Float
from raresim.blocks import Growing, Plan, plan
from raresim.distributions.base import Distribution
from raresim.engine import Job, fold
from raresim.estimators.base import Estimator
from raresim.estimators.weighted_draws import Beyond
from raresim.evidence import Evidence
from raresim.executors import Executor
from raresim.journal import Journal, current
from raresim.measures.guarantee import Goal
from raresim.problem import Event, Problem, Space

if TYPE_CHECKING:
    from raresim.estimation import Progress
    from raresim.measures.asked import Asked
    from raresim.measures.base import Question

S = TypeVar("S", bound=Accumulator)

LOGGER = logging.getLogger("raresim")

Again = Callable[[Float], "Tuned"]

Report = Callable[[str, int, int, str], None]
"""Progress: name of the stage, rows done (0 where they begin), rows in all (0: not known) and a line about it."""


@dataclass(frozen=True)
class Iteration:
    """One level of one start: a row of ``iterations.csv``.

    Parameters
    ----------
    start : int or str
        Which start, or a word for a level that is not that of one: "all" shares it among them, "pooled" draws from all
        of them together, other methods have words of their own.
    iteration : int
        Number of the level in its start.
    level : float
        Intermediate threshold, in the unit of the loss.
    rarity : float
        Share of the draws at or beyond it.
    evaluations, elites : int
        Draws, and draws at or beyond the level.
    ess : float
        Effective number of elites.
    kl_optimal_proposal : float
        KL from the law conditioned on the level to the law that was drawn from, in nats.
    kl_step : float
        KL from the fitted law to the one drawn from, in nats; NaN where it has no closed form.
    cross_entropy, entropy : float
        Of the law conditioned on the level against the one drawn from, and of itself, in nats: their difference is
        ``kl_optimal_proposal``.
    log_probability : float
        Log of the estimated probability of the level, in nats.
    note : str
        Why the start ended here, when it did not reach the threshold. On other levels it says what a fit lacks of the
        components or covariances that were asked for, because there were too few elites.
    """

    start: int | str
    iteration: int
    level: float
    rarity: float
    evaluations: int
    elites: int
    ess: float
    kl_optimal_proposal: float
    kl_step: float
    cross_entropy: float
    entropy: float
    log_probability: float
    note: str = ""


@dataclass(frozen=True, eq=False)
class Tuned:
    """What a method hands to the estimate stage.

    Parameters
    ----------
    proposal : Distribution or None
        The law to draw from; None is the target itself.
    iterations : tuple of Iteration
        The way there.
    evaluations : int
        Loss evaluations that tuning took.
    nominal : int
        Those among them that were drawn from the target.
    variances : tuple of float, or None
        Relative variance of one draw for each event, from draws that the estimate does not use; None: not known.
    starts, reached : int
        Climbs that were begun, and those that came to the threshold; 0 when there was no tuning.
    regions : int
        Different regions in which they ended.
    outcome : str
        The tuning's end in words.
    kl_proposal_target : float or None
        KL(proposal || target) in nats where it has a closed form (without the defensive share).
    estimator : Estimator or None
        How the independent rows of the estimate are made; None: single draws from the proposal.
    facts : mapping of str to float
        Further numbers that the verdict looks at, stored with the search; see `raresim.diagnostics.verdict`.
    decisions : tuple of str
        What the method chose and why, a sentence each, in their order.
    trace : Evidence
        Tables and plots of the way to the proposal, beyond ``iterations``.
    goals : tuple of Goal
        The hits of each event at which the estimate ends; empty where it ends with the asked error.
    again : callable, optional
        Another round of the search, from failing draws (k, d) of standard normal space that the estimate hardly made;
        ``evaluations`` of what it returns count both rounds. None where the method has none.
    mends : bool
        Whether another round also serves where the weights are heavy, from failing draws at which one would be so.
    least : int
        Evaluations that the estimate of another round takes at least.
    rows : int
        Rows of the estimate's first look at least: where the weights of the round before had no tail to be trusted, as
        many as there, so that no smaller sample passes because it has not met it.
    """

    proposal: Distribution | None
    iterations: tuple[Iteration, ...] = ()
    evaluations: int = 0
    nominal: int = 0
    variances: tuple[float, ...] | None = None
    starts: int = 0
    reached: int = 0
    regions: int = 0
    outcome: str = ""
    kl_proposal_target: float | None = None
    estimator: Estimator | None = None
    facts: Mapping[str, float] = field(default_factory=dict)
    decisions: tuple[str, ...] = ()
    trace: Evidence = field(default_factory=Evidence)
    goals: tuple[Goal, ...] = ()
    again: Again | None = None
    mends: bool = False
    least: int = 1
    rows: int = 0

    @property
    def weighted(self) -> bool:
        """Whether rows of the estimate have weights of their own, not those of draws of the target."""
        return self.proposal is not None or self.estimator is not None


@dataclass(eq=False)
class Session:
    """One run's means: the problem, the executor, the stages, what is asked and where progress is told.

    ``confidences`` are those of the events' intervals, and ``betting`` is whether one of these is read from bets.
    ``reserved`` of the evaluations are left to the audit, and ``beyond`` says which rows of the estimate are kept.
    ``relative_error`` is that of the events' probabilities; where more than these is wanted, ``asked`` says what.
    ``questions`` are those of the events, where some are answered by a quantile.

    ``before`` is where an earlier attempt at the estimate stage got to, and ``keep`` is told how far it is.
    """

    problem: Problem
    events: Sequence[Event]
    seed: int
    executor: Executor
    max_evaluations: int
    report: Report
    relative_error: float | None = None
    questions: Sequence[Question] = ()
    reserved: int = 0
    confidences: Sequence[float] = ()
    betting: bool = False
    beyond: Beyond | None = None
    asked: Asked | None = None
    before: Progress | None = None
    keep: Callable[[Progress], None] | None = None
    log: list[dict[str, Any]] = field(default_factory=list)
    _stages: count[int] = field(default_factory=count)
    _begun: float = field(default_factory=time.monotonic)

    @property
    def unreserved(self) -> int:
        """Evaluations of search and estimate together."""
        return self.max_evaluations - self.reserved

    def of_round(self, before: int) -> int:
        """Evaluations of a round whose search had taken ``before`` when it began: all of them in the first round.

        Of later ones it is what they may take without their audit, which is not to be put at risk by a search.
        """
        return self.unreserved - before if before else self.max_evaluations

    @property
    def journal(self) -> Journal | None:
        """The losses that are kept to resume the run; None where it is not saved."""
        return current()

    def plan(self, n_samples: int, fixed_rows: int | None = None) -> Plan:
        """The plan of a new stage, in blocks of ``fixed_rows`` where they are given."""
        return plan(next(self._stages), n_samples, self.problem.dim, fixed_rows)

    def fold(self, name: str, job: Job[S], stage: Plan, note: str = "", before: S | None = None) -> S:
        """Fold ``job`` over ``stage``, telling progress under ``name``."""
        chunks = count(1)
        share = stage.n_samples / max(1, stage.n_chunks)

        def seen(_: S) -> None:
            self.report(name, min(stage.n_samples, round(next(chunks) * share)), stage.n_samples, note)

        self.report(name, 0, stage.n_samples, note)
        result = fold(self.executor, job, stage, before, seen)
        self.note(name, stage, note)
        return result

    def note(self, name: str, stage: Plan | Growing, text: str) -> None:
        """Write that ``stage`` is done to the run's log."""
        entry = {"seconds": round(time.monotonic() - self._begun, 6), "event": name, "stage": stage.stage}
        self.log.append({**entry, "rows": stage.n_samples, "blocks": stage.n_blocks, "text": text})
        LOGGER.info("%s: stage %d, %d rows, %s", name, stage.stage, stage.n_samples, text)


class Method(ABC):
    """A way to choose what is drawn from.

    To add one: a frozen dataclass of options in a file of its own in this folder, decorated with
    ``@member("method")``, with a ``kind``, the methods below and ``examples()``.
    """

    kind: ClassVar[str]

    bounds_failures: ClassVar[bool] = True
    """Whether its estimate can count an evaluation that failed for both ends of the interval."""

    @property
    def weighs_draws(self) -> bool:
        """Whether the rows of its estimate are independent draws, each with a loss and a weight."""
        return True

    @property
    @abstractmethod
    def draws_in(self) -> Space:
        """The space in which the proposal lives."""

    @abstractmethod
    def tune(self, session: Session) -> Tuned:
        """Choose the proposal. Its draws are never part of the estimate."""

    @abstractmethod
    def cost(self, latent_dim: int, dim: int) -> int:
        """Loss evaluations that tuning is expected to take, for ``raresim check``.

        Parameters
        ----------
        latent_dim, dim : int
            Coordinates of a draw in standard normal and in physical space.

        Raises
        ------
        FieldError
            When the method does not fit these dimensions.
        """

    @abstractmethod
    def describe(self) -> list[str]:
        """Lines that say in words what the method does."""
