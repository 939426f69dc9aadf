"""Pools of workers that share no memory with this process: anything with ``submit``."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from raresim.engine.parcels import Parcel
from raresim.engine.workers import Kind
from raresim.errors import FieldError


class LostTaskError(Exception):
    """Workers were lost while they computed a task; the pool itself goes on."""


class BrokenPoolError(Exception):
    """A pool ended with its workers.

    Parameters
    ----------
    items : list
        What was under way and has no result, in order.
    """

    def __init__(self, items: list[Any]) -> None:
        super().__init__("a worker died, and the pool with it")
        self.items = items


class Pool(ABC):
    """How tasks get to the workers of a pool, and their results back.

    Parameters
    ----------
    given : object
        The pool as its library has it.
    workers : int or None
        Number of workers that the run may use; None for all that the pool has.
    """

    def __init__(self, given: Any, workers: int | None) -> None:
        self.given = given
        self._workers = workers

    @property
    def workers(self) -> int:
        """Number of workers that the run uses at this moment."""
        return self._workers or max(1, self._size())

    @abstractmethod
    def _size(self) -> int:
        """Number of workers that the pool says it has."""

    @abstractmethod
    def put(self, parcel: Parcel) -> Any:
        """What stands for ``parcel`` among the arguments of a task."""

    @abstractmethod
    def begin(self, function: Callable[..., None], kind: Kind, problem: Any) -> None:
        """Call ``function(kind, problem)`` on each worker, where they can be addressed; raises what it raises."""

    @abstractmethod
    def submit(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """A future of ``function(*arguments)``."""

    @abstractmethod
    def result(self, future: Any) -> Any:
        """The result of a task.

        Raises
        ------
        LostTaskError
            When workers were lost over the task, and the pool goes on.
        concurrent.futures.BrokenExecutor
            When workers were lost, and the pool with them.
        ClusterLostError
            When the pool is lost.
        """


class AnyPool(Pool):
    """A pool with ``submit(function, *arguments)`` that returns something with ``result()``.

    `concurrent.futures`, mpi4py, loky, executorlib and submitit have such pools. A parcel travels with every task, and
    a worker unpacks it once.
    """

    def _size(self) -> int:
        sizes = (getattr(self.given, name, None) for name in ("_max_workers", "num_workers", "max_workers"))
        return next((size for size in sizes if isinstance(size, int)), 1)

    def put(self, parcel: Parcel) -> Parcel:
        return parcel

    def begin(self, function: Callable[..., None], kind: Kind, problem: Any) -> None:
        """Nothing: no worker can be addressed, so each one gets ready with its first task."""

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return self.given.submit(function, *arguments)

    def result(self, future: Any) -> Any:
        return future.result()


def cancel(futures: Sequence[Any]) -> None:
    """Cancel what has not begun, where futures can be cancelled."""
    for future in futures:
        if callable(getattr(future, "cancel", None)):
            future.cancel()


def shut_down(pool: Any) -> None:
    """End a pool and wait for its workers; work that has not begun is cancelled where the pool can do that."""
    try:
        takes = "cancel_futures" in inspect.signature(pool.shutdown).parameters
    except (TypeError, ValueError):
        takes = False
    if takes:
        pool.shutdown(wait=True, cancel_futures=True)
    else:
        pool.shutdown(wait=True)


def refuse_no_pool(pool: Any, owns: bool, given: str) -> None:
    """Raise `FieldError` where ``pool`` cannot be used, or is to be owned and cannot be shut down."""
    if not callable(getattr(pool, "submit", None)):
        raise FieldError(
            "pool",
            f"must be a concurrent.futures.Executor, or None for the calling thread, got {given}; "
            'raresim.Executor.of("processes", workers=2) makes one',
        )
    if owns and not callable(getattr(pool, "shutdown", None)):
        raise FieldError("owns", f"must be False for {given}, which has no shutdown() to end it with")
