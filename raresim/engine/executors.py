"""Where chunks are computed: in this thread, on threads, in processes, or on any `concurrent.futures.Executor`.

Results come back in the order of the chunks, so an executor cannot change a digit.
"""

from __future__ import annotations

import functools
import math
import multiprocessing
import multiprocessing.connection
import os
import re
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from raresim.arguments.typed import argument, shown, typed
from raresim.errors import FieldError

A = TypeVar("A")
B = TypeVar("B")

Kind = Literal["serial", "threads", "processes"]

UNITS = {"KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}


@typed
@dataclass(frozen=True, kw_only=True)
class Execution:
    """Where a run is computed; this never changes a digit of its results.

    Parameters
    ----------
    executor : "serial", "threads" or "processes"
        What computes the blocks.
    workers : int, optional
        Number of workers; the number of processors when left out.
    checkpoint : float or None
        Seconds between two checkpoints, from which a run of the shell can be resumed; None for no checkpoints.
    memory : str or int, optional
        Memory that a run may use, as ``4 GiB`` or in bytes; a run that may need more (`raresim.config.memory`) is
        refused before it begins. No limit when left out.
    """

    executor: Kind = "threads"
    workers: int | None = None
    checkpoint: float | None = 10.0
    memory: str | int | None = None

    def __post_init__(self) -> None:
        if self.checkpoint is not None and not 0 < self.checkpoint < math.inf:
            raise FieldError("checkpoint", f"must be seconds above zero, or null for never, got {self.checkpoint:g}")
        if self.workers is not None and not 1 <= self.workers <= 1024:
            raise FieldError("workers", f"must be from 1 to 1024, got {self.workers}")
        if self.memory is not None:
            bytes_of("memory", self.memory)

    @property
    def n_workers(self) -> int:
        """The number of workers, resolved."""
        return 1 if self.executor == "serial" else self.workers or os.cpu_count() or 1

    @property
    def memory_bytes(self) -> int | None:
        """Memory that the run may use, in bytes; None without a limit."""
        return None if self.memory is None else bytes_of("memory", self.memory)


def bytes_of(field: str, value: str | int) -> int:
    """A size such as ``4 GiB``, or a number of bytes, in bytes; raises `FieldError` for other text and below 1 MiB."""
    if isinstance(value, str):
        found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?) ?(KiB|MiB|GiB)", value)
        if found is None:
            raise FieldError(field, f"must be a size such as 512 MiB or 4 GiB, or a number of bytes, got {value!r:.60}")
        value = round(float(found[1]) * UNITS[found[2]])
    if value < UNITS["MiB"]:
        raise FieldError(field, f"must be at least 1 MiB, got {value:,} bytes")
    return value


class WorkersDiedError(Exception):
    """A process of a pool ended while it had work, which ends the pool.

    Parameters
    ----------
    waiting : list of (item, future)
        The items under way, in order; the future of an item that was done before holds its result.
    """

    def __init__(self, waiting: list[tuple[Any, futures.Future[Any]]]) -> None:
        super().__init__("a worker process died")
        self.waiting = waiting


class Executor:
    """An ordered map over chunks.

    Parameters
    ----------
    pool : concurrent.futures.Executor, optional
        Where the work is done; without it, in the calling thread.
    workers : int
        Number of workers; twice as many chunks may be under way at once, so that no worker waits.

    Examples
    --------
    >>> with Executor.of("threads", workers=2) as executor:
    ...     list(executor.map(abs, [-1, 2, -3]))
    [1, 2, 3]
    """

    def __init__(self, pool: futures.Executor | None = None, workers: int = 1) -> None:
        if pool is not None and not callable(getattr(pool, "submit", None)):
            raise FieldError(
                "pool",
                f"must be a concurrent.futures.Executor, or None for the calling thread, got {shown(pool)}; "
                'raresim.Executor.of("processes", workers=2) makes one',
            )
        if argument("workers", workers, int) < 1:
            raise FieldError("workers", f"must be at least 1, got {workers}")
        self._pool = pool
        self._workers = workers
        self._make: Callable[[], futures.Executor] | None = None

    @classmethod
    def of(cls, kind: Kind, workers: int) -> Executor:
        """The executor of that kind, owning its pool: use it as a context manager."""
        workers = argument("workers", workers, int)
        if workers < 1:
            raise FieldError("workers", f"must be at least 1, got {workers}")
        if kind == "serial":
            return cls()
        if kind == "threads":
            return cls(futures.ThreadPoolExecutor(workers), workers)
        if kind == "processes":
            executor = cls(_processes(workers), workers)
            executor._make = functools.partial(_processes, workers)
            return executor
        raise FieldError("executor", f"must be serial, threads or processes, got {kind!r}")

    @property
    def shares_memory(self) -> bool:
        """Whether workers see this process's objects, not copies of them."""
        return self._pool is None or isinstance(self._pool, futures.ThreadPoolExecutor)

    @property
    def is_renewable(self) -> bool:
        """Whether the workers are this executor's own processes, which are replaced when one dies."""
        return self._make is not None

    def renew(self) -> bool:
        """Replace a pool whose worker died by a new one; False where the pool is not this executor's own."""
        if self._make is None:
            return False
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
        self._pool = self._make()
        return True

    def map(self, function: Callable[[A], B], items: Iterable[A]) -> Iterator[B]:
        """``function`` of each item, in the order of the items.

        At most ``2 * workers`` results wait to be read, so memory does not grow with the number of items. The
        first error in the order of the items is raised; work that has not begun is cancelled.

        Raises
        ------
        WorkersDiedError
            When a process of the pool ends while it has work; if ``items`` is an iterator, it holds what is left.
        """
        if self._pool is None:
            yield from map(function, items)
            return
        waiting: deque[tuple[A, futures.Future[B]]] = deque()
        try:
            for item in items:
                waiting.append((item, _submitted(self._pool, function, item)))
                if len(waiting) >= 2 * self._workers:
                    yield _first(waiting)
            while waiting:
                yield _first(waiting)
        finally:
            for _, future in waiting:
                future.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)


def _processes(workers: int) -> futures.Executor:
    return futures.ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_begin_worker)


def _submitted(pool: futures.Executor, function: Callable[[A], B], item: A) -> futures.Future[B]:
    """The future of ``function(item)``; a failed future where the pool is already broken."""
    try:
        return pool.submit(function, item)
    except futures.BrokenExecutor as error:
        future: futures.Future[B] = futures.Future()
        future.set_exception(error)
        return future


def _first(waiting: deque[tuple[A, futures.Future[B]]]) -> B:
    """The result of the first item, which leaves the queue; raises `WorkersDiedError` where a worker died over it."""
    try:
        result = waiting[0][1].result()
    except futures.BrokenExecutor as error:
        raise WorkersDiedError(list(waiting)) from error
    waiting.popleft()
    return result


def _begin_worker() -> None:
    """Give linear algebra one thread, leave interrupts to the parent, and end this worker when the parent has ended."""
    from raresim.numerics.surroundings import one_thread

    one_thread()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)
