"""When the time of a run is up: a budget in seconds, told before the run as evaluations, and kept at whole chunks."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count

from raresim.accumulators.base import Accumulator
from raresim.engine.executors import Executor
from raresim.engine.fold import Job, Sampler, fold
from raresim.engine.journal import keeping
from raresim.engine.problem import Problem
from raresim.losses.failures import collecting
from raresim.numerics.blocks import Block, Plan, plan
from raresim.run.stop import Stop

STAGE = 2**31
"""Stage of the timed draws, which no other stage of a run can have."""

SHARE = 0.9
"""Share of the seconds for which evaluations are planned; the rest is for what is not evaluations."""

AFTER = 0.25
"""Largest share of the seconds that the estimate leaves to the audit."""

ENOUGH, MOST_ROWS = 0.05, 2**16
"""Seconds after which draws have been timed well enough, and their largest number."""


@dataclass(eq=False)
class Clock:
    """Says at each chunk of an estimate whether the run has to end before it.

    Parameters
    ----------
    begun : float
        `time.perf_counter` at the start of the run.
    seconds : float or None
        How long the run may take; None without a limit.
    ended_at : int or None
        Evaluations of the run at which an earlier one ended; None if there was no such run.
    stopped : int or None
        Evaluations at which this run ended; None as long as it has not.
    wished : callable
        Whether the user has asked the run to end.
    by_hand : bool
        Whether the run ended because the user asked for it.

    Notes
    -----
    The number ``N`` of chunks that are finished in time depends on how long they take, and that may depend on their
    losses. The mean of the first ``max(1, N)`` chunks is still without bias if these are alike and one worker computes
    them [1]_: given ``N``, the order of the finished chunks is arbitrary. The chunk that is under way when the time is
    up must not be used: it is likely to be a long one. With several workers, and with looks, the bias is of the order
    of one chunk's share of the rows.

    References
    ----------
    .. [1] Glynn & Heidelberger, *Bias properties of budget constrained simulations*, Operations Research 38(5), 1990.
    """

    begun: float
    seconds: float | None = None
    ended_at: int | None = None
    stopped: int | None = None
    wished: Callable[[], bool] = lambda: False
    by_hand: bool = False

    def ends(self, evaluations: int, reserved: int) -> bool:
        """Whether the estimate ends after so many ``evaluations`` of the run, with ``reserved`` for the audit."""
        if self.ended_at is not None:
            is_up = evaluations >= self.ended_at
        elif self.seconds is not None:
            elapsed = time.perf_counter() - self.begun
            audit = min(AFTER * self.seconds if reserved else 0.0, elapsed * reserved / max(1, evaluations))
            is_up = elapsed + audit >= self.seconds
        else:
            is_up = False
        if not is_up and self.wished():
            is_up = self.by_hand = True
        if is_up:
            self.stopped = evaluations
        return is_up


@dataclass(frozen=True, eq=False)
class Pace(Accumulator):
    """Seconds that evaluations took, added over workers."""

    rows: int
    seconds: float

    def merge(self, other: Pace) -> Pace:
        return Pace(self.rows + other.rows, self.seconds + other.seconds)


@dataclass(frozen=True, eq=False)
class _Timed(Job[Pace]):
    """Draws of the target with their losses, of which only the time is kept."""

    sampler: Sampler

    def __call__(self, block: Block) -> Pace:
        begun = time.perf_counter()
        u = self.sampler.draw(block)
        self.sampler.log_weight(u)
        if self.sampler.problem.loss.limit_state_names:
            self.sampler.states(u, block)
        else:
            self.sampler.loss(u, block)
        return Pace(block.rows, time.perf_counter() - begun)


def pace_of(problem: Problem, seed: int, executor: Executor, most: float) -> float:
    """Seconds of an evaluation by one worker, from timed draws that no number is read from.

    A first draw, whose time is ignored, imports and compiles what is needed. Then one draw is timed, sixteen, and eight
    times as many, until `ENOUGH` or a third of ``most`` seconds are spent. The draws do not count as evaluations. An
    error of the loss is raised as in the run.
    """
    job = _Timed(Sampler(problem, None, seed))
    with keeping(None), collecting():
        fold(executor, job, _plan(problem, 0, 1))
        begun = time.perf_counter()
        for k in count(1):
            rows = 1 if k == 1 else 2 * 8 ** (k - 1)
            found = fold(executor, job, _plan(problem, k, rows))
            spent = time.perf_counter() - begun
            if found.seconds >= ENOUGH or rows >= MOST_ROWS or spent + 16 * found.seconds > most / 3:
                break
    return found.seconds / found.rows


def _plan(problem: Problem, k: int, rows: int) -> Plan:
    """A block of ``rows`` timed draws; block 0 of a stage is the one that is checked for noise."""
    return replace(plan(STAGE, rows, problem.dim, rows), first_block=1 + k)


def affordable(stop: Stop, pace: float, workers: int, elapsed: float) -> int:
    """Evaluations for the rest of ``stop.seconds`` at ``pace`` seconds each, at most ``stop.max_evaluations``.

    The number has two digits, as a config would state it, and is at least 100.
    """
    left = max(0.0, SHARE * (stop.seconds or 0.0) - elapsed)
    number = min(left * workers / max(pace, 1e-12), 1e18)
    digits = int(10 ** max(0, math.floor(math.log10(max(number, 1.0))) - 1))
    return min(stop.max_evaluations, max(100, int(number // digits) * digits))
