"""Draw a block; fold the summaries of all blocks in their order. The whole of raresim runs through this file."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Future
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Generic, TypeVar

import numpy as np

from raresim.accumulators.base import Accumulator
from raresim.distributions.base import Distribution
from raresim.engine.executors import Executor, WorkersDiedError
from raresim.engine.groups import Groups
from raresim.engine.journal import Journal, current, keeping
from raresim.engine.pools import BrokenPoolError
from raresim.engine.problem import Problem
from raresim.errors import LossError
from raresim.losses.failures import NOTHING, Failures, collecting, note
from raresim.losses.isolation import isolating
from raresim.losses.system import combined
from raresim.numerics import arrays
from raresim.numerics.arrays import Float
from raresim.numerics.blocks import Block, Growing, Plan
from raresim.numerics.streams import stream
from raresim.numerics.surroundings import usual_arithmetic

S = TypeVar("S", bound=Accumulator)

_Item = tuple[tuple[Block, ...], Journal | None]
_Sent = tuple[tuple[S, Failures], Journal | None]
"""What is sent to a worker of another process, and what it sends back."""


@dataclass(frozen=True, eq=False)
class Sampler:
    """Where the rows of a stage come from.

    Parameters
    ----------
    problem : Problem
        Target, map and loss.
    proposal : Distribution or None
        The law that is drawn from; None is the target itself (crude Monte Carlo, every log weight zero).
    seed : int
        The run's seed.
    """

    problem: Problem
    proposal: Distribution | None
    seed: int

    def draw(self, block: Block) -> Float:
        """The draws ``u`` (n, d) of a block, in a buffer that the next call reuses."""
        u = arrays.scratch("draws", block.rows, self.problem.dim)
        law = self.proposal or self.problem.target
        law.sample(stream(self.seed, block.stage, block.index), u)
        return u

    def log_weight(self, u: Float) -> Float:
        """``log p(u) - log q(u)`` (n,), in nats, in a reused buffer."""
        out = arrays.scratch("log_weight", u.shape[0], 1)[:, 0]
        if self.proposal is None:
            out[:] = 0.0
        else:
            self.proposal.log_ratio(self.problem.target, u, out)
        return out

    def log_density(self, u: Float) -> Float:
        """``log q(u)`` (n,) of the law that is drawn from, in nats, in a reused buffer."""
        out = arrays.scratch("log_q", u.shape[0], 1)[:, 0]
        (self.proposal or self.problem.target).logpdf(u, out)
        return out

    def loss(self, u: Float, block: Block) -> Float:
        """The loss (n,) of each draw, in a reused buffer; NaN where the user's function failed and this is bounded.

        Neither ``loss >= threshold`` nor ``loss <= threshold`` holds for NaN: such a row is in no event. Losses in the
        run's journal are not evaluated again, but calls with failed rows are, so that these are counted.
        """
        out = arrays.scratch("loss", u.shape[0], 1)[:, 0]
        self._evaluate(u, block, out, self.problem.loss)
        return out

    def states(self, u: Float, block: Block) -> tuple[Float, Float]:
        """The loss (n,) of each draw and its limit states (n, m), from one evaluation.

        As `loss`, in buffers that the next call may reuse; the whole row of a failed draw is NaN. A loss without limit
        states is its own only limit state: (n, 1).
        """
        bound = self.problem.loss
        if not bound.limit_state_names:
            loss = self.loss(u, block)
            return loss, loss[:, np.newaxis].copy()
        states = arrays.scratch("states", u.shape[0], len(bound.limit_state_names))

        def write(x: Float, out: Float) -> None:
            out[:] = bound.states(x)

        self._evaluate(u, block, states, write)
        return combined(states, bound.at_least), states

    def _evaluate(self, u: Float, block: Block, out: Float, write: Callable[[Float, Float], None]) -> None:
        """Fill ``out`` with the values at the draws ``u`` (n, d): recalled, or written by the user's function."""
        problem, journal = self.problem, current()
        if journal is not None and (known := journal.recall(block, u)) is not None:
            out[:] = known
            return
        if problem.space == "standard" and write is problem.loss and problem.loss.of_normals(problem.inputs, u, out):
            if journal is not None:
                journal.keep(block, u, out)
            return
        x = u
        if problem.space == "standard":
            x = problem.inputs.to_physical(u, arrays.scratch("factors", u.shape[0], problem.inputs.dim))
        with collecting() as found:
            try:
                begun = time.perf_counter()
                write(x, out)
                seconds = time.perf_counter() - begun
                if block.index == 0:  # once a stage, in whatever process its first block is
                    problem.loss.refuse_noise(x, out, seconds)
            except LossError as error:
                failures = None if error.failures is None else error.failures.at(block)
                raise LossError(f"{error} [stage {block.stage}, block {block.index}]", failures) from error.__cause__
        failed = found.failures is not NOTHING
        if failed:
            note(found.failures.at(block))
        if journal is not None:
            journal.keep(block, u, None if failed else out)
            journal.hurry(seconds, len(u))

    def signed_loss(self, u: Float, block: Block, sign: float) -> Float:
        """The loss (n,) times ``sign``, in a reused buffer; ``-inf`` where the user's function failed.

        For searches, in which larger is rarer: a row that failed is never beyond a level.
        """
        return _signed(self.loss(u, block), sign)

    def signed_states(self, u: Float, block: Block, sign: float) -> tuple[Float, Float]:
        """The loss (n,) and its limit states (n, m) times ``sign``; ``-inf`` where the user's function failed."""
        loss, states = self.states(u, block)
        return _signed(loss, sign), _signed(states, sign)


def _signed(values: Float, sign: float) -> Float:
    """``values`` times ``sign`` in their own buffer; ``-inf`` in place of NaN: a row that failed is beyond no level."""
    values *= sign
    values[np.isnan(values)] = -np.inf
    return values


class Job(Generic[S]):
    """What a worker does with a block: a picklable object that turns it into a summary."""

    @abstractmethod
    def __call__(self, block: Block) -> S:
        """Summarise one block."""


def fold(
    executor: Executor,
    job: Job[S],
    plan: Plan | Growing,
    before: S | None = None,
    seen: Callable[[S], None] | None = None,
    skip: int = 0,
    enough: Callable[[S], bool] | None = None,
) -> S:
    """Summarise every block of ``plan`` and merge the summaries in block order.

    Parameters
    ----------
    executor : Executor
        Where chunks are computed; it cannot change the result.
    job : Job
        Summarises a block.
    plan : Plan or Growing
        The blocks of a stage.
    before : Accumulator, optional
        The summary of earlier blocks of the stage, which this plan continues.
    seen : callable, optional
        Called after each chunk with the summary so far.
    skip : int
        Chunks of the plan that ``before`` holds already.
    enough : callable, optional
        Called when a further chunk is there, with the summary before it; true if that chunk is not wanted any more.
    """
    total, journal = before, current()
    chunks = islice(plan.chunks(), skip, None)
    with closing(_summaries(executor, job, chunks, journal, plan.end)) as summaries:
        for part, failures in summaries:
            if enough is not None and total is not None and enough(total):
                break
            note(failures)
            total = part if total is None else total.merge(part)
            if seen is not None:
                seen(total)
    if total is None:
        raise ValueError("a plan has at least one row")
    return total


def _summaries(
    executor: Executor, job: Job[S], chunks: Iterable[tuple[Block, ...]], journal: Journal | None, end: int
) -> Generator[tuple[S, Failures]]:
    """The summary of each chunk, in order; workers that do not share memory send the losses for the journal along."""
    chunks, function = iter(chunks), _SentChunkOf(job)
    if executor.shares_memory:
        yield from executor.on_threads(_ChunkOf(job, journal), chunks)
        if not executor.leave_threads(function):
            yield from executor.map(_ChunkOf(job, journal), chunks)  # what is left where they could not be left
            return
    known = ((chunk, journal.part(chunk) if journal else None) for chunk in chunks)
    groups = executor.groups
    found = _surviving(executor, function, known) if groups is None else _grouped(groups, function, known, end)
    for summary, seen in found:
        if journal is not None and seen is not None:
            journal.take(seen)
        yield summary


def _surviving(executor: Executor, function: Callable[[_Item], _Sent[S]], items: Iterator[_Item]) -> Iterator[_Sent[S]]:
    """``function`` of each item, in order; what was under way when a worker died is computed again, in isolation."""
    while True:
        try:
            yield from executor.map(function, items)
            return
        except WorkersDiedError as death:
            under_way = [block for (chunk, _), _ in death.waiting for block in chunk]
            executor.renew()
            yield from _isolated(function, death.waiting, under_way)


def _grouped(groups: Groups, function: _SentChunkOf[S], items: Iterator[_Item], end: int) -> Iterator[_Sent[S]]:
    """``function`` of each item, in order, by the workers of a pool; what killed several of them is computed alone."""
    try:
        yield from groups.over(function, type(function.job).__name__, items, end, partial(_alone, function))
    except BrokenPoolError as death:
        deque(_alone(function, death.items), 0)  # a row to blame becomes an error of its own
        under_way = [block for chunk, _ in death.items for block in chunk]
        raise LossError(
            f"a process of the pool died while it computed {_named(under_way)}: it ran out of memory, or native code "
            "in the loss crashed. The pool was given to raresim and cannot be used again; raresim's own executors "
            "'processes' and 'dask' find the row, and on_failure applies to it"
        ) from death


def _alone(function: Callable[[_Item], _Sent[S]], items: Sequence[_Item]) -> Iterator[_Sent[S]]:
    """The results of items that lost their workers, from a process of their own with each call of the loss isolated.

    Raises
    ------
    LossError
        When a row kills its process and a failure is to end the run, or the process dies outside the loss.
    """
    with Executor.of("processes", 1) as alone:
        for item in items:
            try:
                result, _, _ = next(alone.map(_Isolated(function), [item]))
            except WorkersDiedError as death:
                raise LossError(
                    f"workers died while they computed {_named(item[0])}, and so did a process of this machine with "
                    "the loss in a process of its own: memory may have run out, or the module of the loss ends its "
                    "process when it is imported"
                ) from death
            yield result


def _isolated(
    function: Callable[[_Item], _Sent[S]],
    waiting: Sequence[tuple[_Item, Future[_Sent[S]]]],
    under_way: Sequence[Block],
) -> Iterator[_Sent[S]]:
    """The results of items that were ``waiting`` when a worker died, in order, with each call of the loss isolated.

    Raises
    ------
    LossError
        When a row kills its process and a failure is to end the run; when the worker dies again, although the loss is
        not in it; and when nothing dies this time and a failure is to end the run.
    """
    deaths, strict, again = 0, False, 0
    with Executor.of("processes", 1) as alone:
        for item, future in waiting:
            if future.done() and not future.cancelled() and not isinstance(future.exception(), BrokenExecutor):
                yield future.result()
                continue
            try:
                result, died, is_strict = next(alone.map(_Isolated(function), [item]))
            except WorkersDiedError as death:
                raise LossError(
                    f"a worker process died while it computed {_named(item[0])}, and died again with the loss in a "
                    "process of its own: memory may have run out (give fewer workers), or the module of the loss ends "
                    "its process when it is imported. A script that asks for processes must do so below "
                    '`if __name__ == "__main__":`'
                ) from death
            deaths, strict = deaths + died, strict or is_strict
            again += sum(block.rows for block in item[0])
            yield result
    if deaths:
        return
    if strict:
        raise LossError(
            f"a worker process died while {_named(under_way)} were under way, and none died when they were computed "
            "again with each call of the loss in a process of its own: memory may have run out for a moment (give "
            "fewer workers), or the loss crashes now and then. With on_failure 'retry' or 'bound' the run goes on"
        )
    note(replace(NOTHING, retried=again))


def _named(blocks: Sequence[Block]) -> str:
    """The place of blocks and their number of rows, in words."""
    first, last = blocks[0], blocks[-1]
    rows = f"{sum(block.rows for block in blocks):,} rows"
    if len(blocks) == 1:
        return f"stage {first.stage}, block {first.index} ({rows})"
    return f"stage {first.stage}, blocks {first.index} to {last.index} ({rows})"


@dataclass(frozen=True, eq=False)
class _ChunkOf(Generic[S]):
    """Applies a job to the blocks of one chunk, in order."""

    job: Job[S]
    journal: Journal | None = None

    def __call__(self, chunk: tuple[Block, ...]) -> tuple[S, Failures]:
        """The summary of the chunk, and its rows for which the user's loss gave no number."""
        with usual_arithmetic(), keeping(self.journal), collecting() as found:
            summaries: Iterator[S] = map(self.job, chunk)
            total = next(summaries)
            for summary in summaries:
                total = total.merge(summary)
        return total, found.failures


@dataclass(frozen=True, eq=False)
class _SentChunkOf(Generic[S]):
    """As `_ChunkOf`; the chunk's part of the journal is sent to the worker and comes back with the new losses."""

    job: Job[S]

    def __call__(self, item: _Item) -> _Sent[S]:
        chunk, journal = item
        return _ChunkOf(self.job, journal)(chunk), journal

    def thinned(self, sent: Sequence[_Sent[S]]) -> list[_Sent[S]]:
        """The results for neighbouring chunks with less to send; see `Accumulator.thinned`."""
        summaries = [summary for (summary, _), _ in sent]
        slim = type(summaries[0]).thinned(summaries)
        return [((summary, failures), journal) for summary, ((_, failures), journal) in zip(slim, sent, strict=True)]


@dataclass(frozen=True, eq=False)
class _Isolated(Generic[S]):
    """``function`` with the loss in a process of its own; counts its deaths and says whether one ends the run."""

    function: Callable[[_Item], _Sent[S]]

    def __call__(self, item: _Item) -> tuple[_Sent[S], int, bool]:
        with isolating() as isolation:
            sent = self.function(item)
        return sent, isolation.deaths, isolation.strict
