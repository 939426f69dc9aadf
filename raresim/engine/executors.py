"""Where chunks are computed: in this thread, on threads, in processes, or on any `concurrent.futures.Executor`.

Results come back in the order of the chunks, so an executor cannot change a digit.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import math
import multiprocessing
import multiprocessing.connection
import os
import pickle
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
from raresim.engine import dask_pool
from raresim.engine.groups import Groups
from raresim.engine.lock_watch import LockWatch
from raresim.engine.pools import AnyPool, refuse_no_pool, shut_down
from raresim.errors import FieldError
from raresim.losses.base import Loss
from raresim.losses.stopping import Stop, Stoppable

LOGGER = logging.getLogger("raresim")

A = TypeVar("A")
B = TypeVar("B")

Kind = Literal["auto", "serial", "threads", "processes", "dask"]

UNITS = {"KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}


@typed
@dataclass(frozen=True, kw_only=True)
class Execution:
    """Where a run is computed; this never changes a digit of its results.

    Parameters
    ----------
    executor : "auto", "serial", "threads", "processes" or "dask"
        What computes the blocks. ``auto`` begins with threads, and goes on in processes if a loss written in Python
        makes the threads wait for each other; the log says so. It stays on threads where ``memory`` is limited: a
        process takes some 200 MB. A loss with a time limit begins in processes.
    workers : int, optional
        Number of workers; the number of processors when left out, or all workers of the cluster at ``scheduler``.
    scheduler : str or None
        Address of the scheduler of a Dask cluster, such as ``tcp://host:8786``. Without it, ``dask`` starts a cluster
        of processes on this machine.
    checkpoint : float or None
        Seconds between two checkpoints, from which a run of the shell can be resumed; None for no checkpoints.
    memory : str or int, optional
        Memory that a run may use, as ``4 GiB`` or in bytes; a run that may need more (`raresim.config.memory`) is
        refused before it begins. No limit when left out.
    """

    executor: Kind = "auto"
    workers: int | None = None
    checkpoint: float | None = 10.0
    memory: str | int | None = None
    scheduler: str | None = None

    def __post_init__(self) -> None:
        if self.checkpoint is not None and not 0 < self.checkpoint < math.inf:
            raise FieldError("checkpoint", f"must be seconds above zero, or null for never, got {self.checkpoint:g}")
        if self.workers is not None and not 1 <= self.workers <= 1024:
            raise FieldError("workers", f"must be from 1 to 1024, got {self.workers}")
        if self.memory is not None:
            bytes_of("memory", self.memory)
        if self.scheduler is not None:
            if self.executor != "dask":
                raise FieldError("scheduler", f"goes with executor dask, got executor {self.executor}")
            dask_pool.refuse_address(self.scheduler)

    def kind_for(self, loss: Loss) -> Kind:
        """The kind of executor that a run of ``loss`` begins with: ``auto`` is settled where the loss settles it."""
        if self.executor != "auto":
            return self.executor
        if loss.needs_main_thread:
            return "processes"
        return "auto" if loss.runs_user_code and self.memory is None else "threads"

    @property
    def asked_workers(self) -> int | None:
        """The number of workers to begin with; None for all workers of a cluster that is there already."""
        return self.workers if self.scheduler is not None else self.n_workers

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


def _while(goes_on: Callable[[], bool], items: Iterator[A]) -> Iterator[A]:
    """Items as long as ``goes_on()``; what is not taken stays in ``items``."""
    while goes_on():
        try:
            yield next(items)
        except StopIteration:
            return


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
    """Computes the chunks of a run, in the calling thread or in a pool of workers, and returns them in order.

    Parameters
    ----------
    pool : concurrent.futures.Executor, distributed.Client or any object with ``submit``, optional
        Where the work is done; without it, in the calling thread. ``submit(function, *arguments)`` returns an object
        with ``result()``, as the pools of mpi4py, loky, executorlib and submitit have it.
    workers : int, optional
        Number of workers; twice as many tasks may be under way at once, so that no worker waits. By default it is the
        number that the pool states, or one if the pool states none.
    owns : bool
        Whether leaving the context shuts the pool down; otherwise the pool stays open for its owner.

    Raises
    ------
    FieldError
        When the pool has no ``submit``, or is owned and has no ``shutdown``.

    Examples
    --------
    >>> with Executor.of("threads", workers=2) as executor:
    ...     list(executor.map(abs, [-1, 2, -3]))
    [1, 2, 3]
    """

    def __init__(self, pool: Any = None, workers: int | None = None, owns: bool = False) -> None:
        if workers is not None and argument("workers", workers, int) < 1:
            raise FieldError("workers", f"must be at least 1, got {workers}")
        self._groups: Groups | None = None
        if pool is not None:
            refuse_no_pool(pool, owns, shown(pool))
            client = dask_pool.client_of(pool)
            kept = dask_pool.DaskPool(client, workers) if client is not None else AnyPool(pool, workers)
            workers = workers or kept.workers
            if not isinstance(pool, futures.ThreadPoolExecutor):
                self._groups = Groups(kept)
        self._pool = pool
        self._workers = workers or 1
        self._end = contextlib.ExitStack()
        if owns and pool is not None:
            self._end.callback(lambda: shut_down(self._pool))
        self._make: Callable[[], futures.Executor] | None = None
        self._watch: LockWatch | None = None
        self._moved = ""

    @classmethod
    def of(cls, kind: Kind, workers: int | None = None, scheduler: str | None = None) -> Executor:
        """The executor of that kind, owning its pool: use it as a context manager.

        Parameters
        ----------
        kind : "auto", "serial", "threads", "processes" or "dask"
            What computes the chunks; see `Execution`.
        workers : int, optional
            Number of workers; one when left out, or all workers of the cluster at ``scheduler``.
        scheduler : str, optional
            Address of a Dask cluster; without it, ``dask`` starts one on this machine.

        Raises
        ------
        FieldError
            When an argument is not allowed, or the Dask cluster does not answer.
        """
        if workers is not None and argument("workers", workers, int) < 1:
            raise FieldError("workers", f"must be at least 1, got {workers}")
        count = workers or 1
        if kind == "serial":
            return cls()
        if kind in ("auto", "threads"):
            executor = cls(futures.ThreadPoolExecutor(count), count, owns=True)
            executor._watch = LockWatch() if kind == "auto" and count > 1 else None
            return executor
        if kind == "processes":
            executor = cls(_processes(count), count, owns=True)
            executor._groups = None  # a worker that died is replaced, and its blocks are computed one by one
            executor._make = functools.partial(_processes, count)
            return executor
        if kind == "dask":
            with contextlib.ExitStack() as stack:
                client = stack.enter_context(dask_pool.connected(scheduler, count if scheduler is None else workers))
                executor = cls(client, workers)
                executor._end = stack.pop_all()
            return executor
        raise FieldError("executor", f"must be auto, serial, threads, processes or dask, got {kind!r}")

    @property
    def shares_memory(self) -> bool:
        """Whether workers see this process's objects, not copies of them."""
        return self._pool is None or isinstance(self._pool, futures.ThreadPoolExecutor)

    @property
    def workers(self) -> int:
        """Number of workers."""
        return self._workers

    @property
    def groups(self) -> Groups | None:
        """How stages are computed on a pool of workers that share no memory; None for threads and own processes."""
        return self._groups

    @property
    def is_renewable(self) -> bool:
        """Whether the workers are this executor's own processes, which are replaced when one dies."""
        return self._make is not None

    def on_threads(self, function: Callable[[A], B], items: Iterator[A]) -> Iterator[B]:
        """As `map`, on threads; ends early, with the rest in ``items``, once processes are known to serve better."""
        if self._watch is None:
            yield from self.map(function, items)
            return
        watch = self._watch
        with watch.on():
            yield from self.map(function, _while(lambda: not watch.is_held, items))

    def leave_threads(self, function: object) -> bool:
        """Go on in processes where threads wait for each other; whether this is done.

        A ``function`` that cannot be sent to processes stays on the threads.
        """
        if self._watch is None or not self._watch.is_held:
            return False
        watch, self._watch = self._watch, None
        try:
            pickle.dumps(function)
        except Exception as error:  # whatever a user's object raises
            LOGGER.info("threads wait for the interpreter lock, but the loss cannot be sent to processes: %s", error)
            return False
        self._make = functools.partial(_processes, self._workers)
        self.renew()
        self._moved = (
            f"{self._workers} processes instead of threads: the loss holds the interpreter lock, for which "
            f"{watch.share:.0%} of the probes waited"
        )
        return True

    def take_moved(self) -> str:
        """Why it went from threads to processes, once; empty where it did not, or it was said before."""
        moved, self._moved = self._moved, ""
        return moved

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
        first error in the order of the items is raised; work that has not begun is cancelled, and in threads of this
        process programs and requests under way are ended (`raresim.losses.stopping`).

        Raises
        ------
        WorkersDiedError
            When a process of the pool ends while it has work; if ``items`` is an iterator, it holds what is left.
        """
        if self._pool is None:
            yield from map(function, items)
            return
        waiting: deque[tuple[A, futures.Future[B]]] = deque()
        stop = Stop()
        called = Stoppable(function, stop) if isinstance(self._pool, futures.ThreadPoolExecutor) else function
        try:
            for item in items:
                waiting.append((item, _submitted(self._pool, called, item)))
                if len(waiting) >= 2 * self._workers:
                    yield _first(waiting)
            while waiting:
                yield _first(waiting)
        finally:
            stop.set()
            for _, future in waiting:
                future.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.close()


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
