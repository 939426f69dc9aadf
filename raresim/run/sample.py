"""What the estimate stage has drawn, while it goes on and when it has ended."""

from __future__ import annotations

import math
from dataclasses import dataclass

from raresim.accumulators.summary import Summary
from raresim.accumulators.tail import TailMoments
from raresim.estimators.base import Estimator
from raresim.estimators.guarantee import Wait
from raresim.losses.failures import NOTHING, Failures
from raresim.measures.often import Often, often
from raresim.numerics.blocks import Growing, Plan
from raresim.record.rows import Unit
from raresim.run.looks import spread


@dataclass(frozen=True, eq=False)
class Look:
    """The moments after a part of the rows, and their cost; ``upper`` and ``outside`` as in `Summary`."""

    evaluations: int
    tail: TailMoments
    upper: TailMoments | None = None
    outside: TailMoments | None = None


@dataclass(frozen=True, eq=False)
class Progress:
    """State of the estimate stage after a whole chunk: the stage can go on from here.

    Parameters
    ----------
    plan : Plan or Growing
        Plan of the current look.
    chunks : int
        Chunks of it that are done.
    total : Summary or None
        Sums over all rows so far; None before the first.
    looks : int
        Number of the current look, from one.
    rows : int
        Rows of all looks, including the current one.
    history : tuple of Look
        The moments so far, at growing numbers of rows.
    failures : Failures
        Rows of this stage without a number.
    settling : int
        Number of the current look among those made for the largest weights, not for the asked error; 0 for none.
    audited : int or None
        Draws of a level of the audit that followed; None if none has followed.
    """

    plan: Plan | Growing
    chunks: int
    total: Summary | None
    looks: int
    rows: int
    history: tuple[Look, ...] = ()
    failures: Failures = NOTHING
    settling: int = 0
    audited: int | None = None


@dataclass(frozen=True, eq=False)
class Sample:
    """The outcome of the estimate stage.

    Parameters
    ----------
    summary : Summary
        Sums over all rows.
    history : tuple of Look
        The moments so far, at growing numbers of rows.
    looks : int
        How often the result was compared with the asked error.
    planned : bool
        Whether the size of the first look came from draws outside the sample.
    unit : Unit
        What a row is.
    resolution : float
        Relative error from the resolution of a row's weight, added to the error from the spread of rows.
    known : tuple of float
        Relative variance of a row for each event, known before any was drawn; empty if unknown.
    waits : tuple of Wait
        Rows until the wanted hits of each event, if the stage ends with a number of hits.
    progress : Progress or None
        The end of the stage, from which it can go on.
    reached : bool
        Whether the stage ended with what was asked for, not with its budget.
    weight_bound : float or None
        Log of the largest weight that a row can have, in nats; None if it is not needed.
    ended_at : int or None
        Evaluations of the run at which its time was up or the user stopped it; None if it ended otherwise.
    by_hand : bool
        Whether the user stopped it.
    known_rows : float
        Rows that ``known`` counts for.
    is_exact : bool
        Whether ``known`` is exact; see `Estimator.is_exact`.
    """

    summary: Summary
    history: tuple[Look, ...]
    looks: int
    planned: bool
    unit: Unit = "draw"
    resolution: float = 0.0
    waits: tuple[Wait, ...] = ()
    known: tuple[float, ...] = ()
    progress: Progress | None = None
    reached: bool = True
    weight_bound: float | None = None
    ended_at: int | None = None
    by_hand: bool = False
    known_rows: float = Estimator.known_rows
    is_exact: bool = False

    def common(self, at: Summary | Look, k: int) -> Often | None:
        """The reading of event ``k`` at the end or at a look if the event is common; None if it is not."""
        return None if at.upper is not None else often(at.tail, at.outside, k, self.weight_bound)

    def relative_error(self, tail: TailMoments, k: int) -> float:
        """Relative error of event ``k`` from rows with moments ``tail``: their spread, and what it does not show."""
        return math.hypot(spread(tail, k, self.known, self.known_rows), self.resolution)
