"""A session: the means of a run, and where it reports its progress."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, TypeVar

from raresim.accumulators.base import Accumulator
from raresim.accumulators.event_draws import Drawing
from raresim.accumulators.tail_draws import Beyond
from raresim.engine.executors import Executor
from raresim.engine.fold import Job, fold
from raresim.engine.journal import Journal, current
from raresim.engine.problem import Problem
from raresim.losses.base import Loss
from raresim.numerics.blocks import Growing, Plan, plan
from raresim.record.event import Event

S = TypeVar("S", bound=Accumulator)


LOGGER = logging.getLogger("raresim")


Report = Callable[[str, int, int, str], None]
"""Called with progress: name of the stage, rows done (0 at its start), rows in all (0: not known), a line of text."""


@dataclass(eq=False)
class Session:
    """The means of one run: the problem, its events, the executor, the stages, and where progress is told.

    Parameters
    ----------
    problem : Problem
        Inputs and loss.
    events : sequence of Event
        Whose probabilities are asked; none while thresholds are still looked for.
    seed : int
        Of every random stream.
    executor : Executor
        Does the blocks.
    max_evaluations : int
        Evaluations of search, estimate and audit together; a later round has what is left.
    report : callable
        Is told the progress.
    relative_error : float or None
        The error asked of the events' probabilities; None where the budget is to be spent.
    confidences : sequence of float
        Of the events' intervals.
    reserved : int
        Evaluations that are left to the audit.
    beyond : Beyond or None
        The rows of the estimate that measures are read from, which have to be weighted draws; None where counts of
        events are enough.
    drawing : Drawing or None
        The sample of draws that the user wants of the estimate; no method looks at it.
    scheme : object
        The way to draw that the model of the run offers, a `raresim.methods.scheme.Scheme`; None where it has none.
    approximation : Loss or None
        Something cheap that is near to the loss, bound to the inputs; it has as many limit states.
    tails : sequence of float or None
        For each event, the tail probability of the quantile that is asked there; None where its threshold is given.
    excesses : sequence of bool
        For each event, whether the mean loss beyond that quantile is asked, not the quantile.
    """

    problem: Problem
    events: Sequence[Event]
    seed: int
    executor: Executor
    max_evaluations: int
    report: Report
    relative_error: float | None = None
    confidences: Sequence[float] = ()
    reserved: int = 0
    beyond: Beyond | None = None
    drawing: Drawing | None = None
    scheme: object = None
    approximation: Loss | None = None
    tails: Sequence[float | None] = ()
    excesses: Sequence[bool] = ()
    log: list[dict[str, Any]] = field(default_factory=list)
    _stages: count[int] = field(default_factory=count)
    _begun: float = field(default_factory=time.monotonic)

    @property
    def unreserved(self) -> int:
        """Evaluations of search and estimate together."""
        return self.max_evaluations - self.reserved

    def of_round(self, before: int) -> int:
        """Evaluations of a round whose search had taken ``before`` when it began: all of them in the first round.

        A later round may take all but its audit's share, which a search must not put at risk.
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
        seconds = round(time.monotonic() - self._begun, 6)
        entry = {"seconds": seconds, "event": name, "stage": stage.stage}
        self.log.append({**entry, "rows": stage.n_samples, "blocks": stage.n_blocks, "text": text})
        if moved := self.executor.take_moved():
            self.log.append({"seconds": seconds, "event": "executor", "stage": stage.stage, "text": moved})
            LOGGER.info("%s", moved)
        LOGGER.info("%s: stage %d, %d rows, %s", name, stage.stage, stage.n_samples, text)
