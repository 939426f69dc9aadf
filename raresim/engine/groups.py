"""Stages on a pool of workers that share no memory: neighbouring chunks go together, as one task of some length.

A chunk stays what summaries are merged by, so grouping changes no digit. Sizes are measured: a task takes about
`TASK` seconds, because a scheduler needs about a millisecond for it; where much is left to do, it takes longer.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from itertools import islice
from typing import Any, TypeVar

from raresim.engine.parcels import Packed, Packer, parcel_of
from raresim.engine.pools import BrokenPoolError, LostTaskError, Pool, cancel
from raresim.engine.problem import Problem
from raresim.engine.workers import begin, compute, kind_of_process
from raresim.numerics.blocks import Block

R = TypeVar("R")

HERE = 0.05
"""Seconds of a stage that the calling process computes itself, before it asks the workers."""

TASK, LONGEST = 0.2, 2.0
"""Shortest and longest time of a task, in seconds."""

PARTS = 4
"""What is left of a stage is cut into at least so many tasks for each worker, where these are not too short."""

MOST = 256
"""Largest number of chunks of a task: their summaries come back one by one."""

KNOWN = 4
"""Number of problems that stay on the workers."""

Item = tuple[tuple[Block, ...], Any]
"""A chunk, and what belongs to it."""


class Groups:
    """Computes the chunks of stages on a pool.

    Parameters
    ----------
    pool : Pool
        Where tasks are computed.
    """

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.tasks = 0
        self._packer = Packer()
        self._handles: OrderedDict[str, Any] = OrderedDict()
        self._paces: dict[tuple[str, ...], float] = {}

    def over(
        self,
        function: Callable[[Item], R],
        name: str,
        items: Iterator[Item],
        end: int,
        alone: Callable[[list[Item]], Iterator[R]],
    ) -> Iterator[R]:
        """``function`` of each item, in order.

        Parameters
        ----------
        function : callable
            Computes an item; picklable.
        name : str
            Names the work: what took so long a row before will take so long again.
        items : iterator
            The chunks of a stage.
        end : int
            Row of the stage after the last one.
        alone : callable
            Computes items whose workers were lost, and may say that one of them is to blame.

        Raises
        ------
        BrokenPoolError
            When the pool ends with its workers.
        ClusterLostError
            When a cluster is lost.
        """
        packed = self._packer.pack(function)
        key = (name, *packed.problems)
        ahead = _Ahead(items)
        if not packed.runs_user_code:
            yield from self._here(function, key, ahead, end)
        if ahead.items:
            yield from self._there(packed, key, ahead, end, alone)

    def _here(self, function: Callable[[Item], R], key: tuple[str, ...], ahead: _Ahead, end: int) -> Iterator[R]:
        """The first items, computed in this process for `HERE` seconds; none of a stage that takes longer."""
        if ahead.items and self._paces.get(key, 0.0) * (end - ahead.row) > HERE:
            return
        until = time.perf_counter() + HERE
        while ahead.items:
            (item,) = ahead.take(0)
            begun = time.perf_counter()
            result = function(item)
            now = time.perf_counter()
            self._paces[key] = (now - begun) / _rows([item])
            yield result
            if now > until:
                return

    def _there(
        self, packed: Packed, key: tuple[str, ...], ahead: _Ahead, end: int, alone: Callable[[list[Item]], Iterator[R]]
    ) -> Iterator[R]:
        """The items that are left, computed by the workers in groups."""
        kind, workers = kind_of_process(), self.pool.workers
        parcels = [self.pool.put(packed.job), *(self._handle(*pair) for pair in packed.problems.items())]
        waiting: deque[tuple[list[Item], Any]] = deque()
        try:
            while ahead.items or waiting:
                most = 2 * workers if key in self._paces else workers
                while ahead.items and len(waiting) < most:
                    group = ahead.take(self._rows_of_task(key, ahead, end, workers))
                    waiting.append((group, self.pool.submit(compute, kind, group, *parcels)))
                    self.tasks += 1
                group, future = waiting.popleft()
                try:
                    results, seconds = self.pool.result(future)
                except LostTaskError:
                    yield from alone(group)
                    continue
                self._paces[key] = seconds / _rows(group)
                yield from results
        except BrokenExecutor as error:
            raise BrokenPoolError(group) from error
        finally:
            cancel([future for _, future in waiting])

    def _rows_of_task(self, key: tuple[str, ...], ahead: _Ahead, end: int, workers: int) -> int:
        """Rows that the next task should have; none, for one chunk, until a row has been timed."""
        pace = self._paces.get(key)
        if pace is None:
            return 0
        seconds = max(TASK, min(LONGEST, pace * (end - ahead.row) / (PARTS * workers)))
        return round(seconds / max(1e-12, pace))

    def _handle(self, token: str, problem: Problem) -> Any:
        """What stands for a problem among the arguments of a task; it is sent to the workers the first time."""
        if token not in self._handles:
            handle = self.pool.put(parcel_of(token, problem))
            self.pool.begin(begin, kind_of_process(), handle)
            self._handles[token] = handle
        self._handles.move_to_end(token)
        while len(self._handles) > KNOWN:
            self._handles.popitem(last=False)
        return self._handles[token]


class _Ahead:
    """Items of which the first is known before it is taken."""

    def __init__(self, items: Iterator[Item]) -> None:
        self._items = items
        self.items = list(islice(items, 1))

    @property
    def row(self) -> int:
        """Row of the stage at which the first item begins."""
        return self.items[0][0][0].first

    def take(self, rows: int) -> list[Item]:
        """The next item, and further ones while all have at most so many ``rows``; chunks of a stage may grow."""
        taken: list[Item] = []
        while self.items and len(taken) < MOST and (not taken or _rows([*taken, *self.items]) <= rows):
            taken += self.items
            self.items = list(islice(self._items, 1))
        return taken


def _rows(items: Sequence[Item]) -> int:
    return sum(block.rows for chunk, _ in items for block in chunk)
