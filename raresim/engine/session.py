"""A session: what a run has to work with, and where it tells how far it is."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

from raresim.accumulators.base import Accumulator
from raresim.engine.executors import Executor
from raresim.engine.fold import Job, fold
from raresim.engine.journal import Journal, current
from raresim.engine.problem import Problem
from raresim.numerics.blocks import Growing, Plan, plan
from raresim.record.event import Event

if TYPE_CHECKING:
    from raresim.estimators.weighted_draws import Beyond
    from raresim.measures.base import Question
    from raresim.methods.scheme import Scheme
    from raresim.run.asked import Asked
    from raresim.run.estimation import Progress


S = TypeVar("S", bound=Accumulator)


LOGGER = logging.getLogger("raresim")


Report = Callable[[str, int, int, str], None]
"""Progress: name of the stage, rows done (0 where they begin), rows in all (0: not known) and a line about it."""


@dataclass(eq=False)
class Session:
    """One run's means: the problem, the executor, the stages, what is asked and where progress is told.

    ``confidences`` are those of the events' intervals, and ``betting`` is whether one of these is read from bets.
    ``reserved`` of the evaluations are left to the audit, and ``beyond`` says which rows of the estimate are kept.
    ``relative_error`` is that of the events' probabilities; where more than these is wanted, ``asked`` says what.
    ``questions`` are those of the events, where some are answered by a quantile.

    ``scheme`` is the way to draw that the model of the run offers; None where it has none.

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
    scheme: Scheme | None = None
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
