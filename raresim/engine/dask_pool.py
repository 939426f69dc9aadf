"""A Dask cluster as a pool: a client of distributed, and the cluster that raresim starts where none is named."""

from __future__ import annotations

import logging
import multiprocessing
import re
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager
from queue import Empty, Queue
from typing import Any

from raresim.engine.parcels import Parcel
from raresim.engine.pools import LostTaskError, Pool
from raresim.engine.workers import Kind
from raresim.errors import ClusterLostError, FieldError

LOGGER = logging.getLogger("raresim")

ADDRESS = re.compile(r"(tcp|tls)://(\[[0-9a-fA-F:.]+\]|[^\s/:\[\]]+):([0-9]{1,5})")
"""Protocol, host and port of a scheduler."""

SECONDS = 4.5
"""Seconds to wait for a connection, and again for the answer of a scheduler."""

LOUD = ("distributed", "distributed.client", "distributed.worker", "distributed.nanny", "distributed.scheduler")


class DaskPool(Pool):
    """A client of distributed."""

    def _size(self) -> int:
        return sum(self.given.nthreads().values())

    def put(self, parcel: Parcel) -> Any:
        """A task that holds the parcel, which goes to the cluster once.

        Data that are scattered are lost with the workers that hold them. A task is computed again.
        """
        return self.submit(_same, parcel)

    def begin(self, function: Callable[..., None], kind: Kind, problem: Any) -> None:
        if not self.given.nthreads():
            LOGGER.warning("the Dask cluster has no worker yet: the run waits for the first")
        addresses = list(self.given.nthreads())
        ready = [
            self.given.submit(function, kind, problem, workers=[one], allow_other_workers=True, pure=False)
            for one in addresses
        ]
        for future in ready:
            try:
                self.result(future)
            except LostTaskError:  # the tasks of the run will tell
                continue

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """As in `Pool`; an error of the task is never tried again, and equal tasks are not merged."""
        if self.given.status != "running":
            raise self._lost(f"its client is {self.given.status}")
        return self.given.submit(function, *arguments, pure=False, retries=0)

    def result(self, future: Any) -> Any:
        from distributed.scheduler import KilledWorker

        try:
            return future.result()
        except KilledWorker as error:
            raise LostTaskError(str(error)) from error
        except (CancelledError, TimeoutError, OSError) as error:
            if future.status == "error":  # of the task itself
                raise
            raise self._lost(str(error).splitlines()[0]) from error

    def _lost(self, why: str) -> ClusterLostError:
        address = getattr(self.given.scheduler, "addr", None) or "its scheduler"
        return ClusterLostError(f"the Dask cluster at {address} was lost: {why}")


def _same(parcel: Parcel) -> Parcel:
    return parcel


def client_of(pool: Any) -> Any:
    """The client of distributed that ``pool`` is or works through; None for any other pool."""
    distributed = sys.modules.get("distributed")
    if distributed is None:  # nobody can have made a client
        return None
    client = getattr(pool, "_client", pool)  # of `Client.get_executor`
    return client if isinstance(client, distributed.Client) else None


def refuse_address(scheduler: str) -> None:
    """Raise `FieldError` if ``scheduler`` is not the address of a Dask scheduler."""
    found = ADDRESS.fullmatch(scheduler)
    if found is None or not 0 < int(found[3]) < 65536:
        raise FieldError(
            "scheduler",
            f"must be the address of a Dask scheduler, such as tcp://host:8786, or null for a cluster of processes on "
            f"this machine, got {scheduler!r:.80}",
        )


@contextmanager
def connected(scheduler: str | None, workers: int | None) -> Iterator[Any]:
    """A client of the cluster at ``scheduler``, or of a new cluster of ``workers`` processes on this machine.

    Raises
    ------
    FieldError
        When distributed is not installed, or no scheduler answers in time.
    """
    try:
        import dask
        import distributed
    except ImportError:
        raise FieldError("executor", "dask needs the package distributed: pip install 'raresim[dask]'") from None
    with ExitStack() as stack:
        stack.enter_context(_silent())
        if scheduler is None:
            stack.enter_context(dask.config.set(_settings()))
            options = {"n_workers": workers, "threads_per_worker": 1, "processes": True, "dashboard_address": ":0"}
            begun: Any = distributed.LocalCluster
            with _workers_ignore_interrupts():
                given: Any = stack.enter_context(begun(**options, silence_logs=logging.CRITICAL + 1))
        else:
            _refuse_silence(scheduler)
            given = scheduler
        yield stack.enter_context(_client(given, scheduler))


@contextmanager
def _workers_ignore_interrupts() -> Iterator[None]:
    """Processes that begin inside inherit that an interrupt from the terminal is not for them: the caller ends them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before or signal.SIG_DFL)


def _settings() -> dict[str, Any]:
    """Settings of Dask while a cluster of this machine is there."""
    forks = "forkserver" in multiprocessing.get_all_start_methods()
    return {
        "distributed.scheduler.allowed-failures": 1,  # a task that lost two workers would lose a third
        "distributed.deploy.lost-worker-timeout": "10 minutes",  # a new worker may take long on a busy machine
        "distributed.worker.multiprocessing-method": "forkserver" if forks else "spawn",  # starts in half the time
    }


def _client(given: Any, scheduler: str | None) -> Any:
    """A client, made in a thread of its own: it waits without end for something that listens and never answers."""
    made: Queue[Any] = Queue()
    threading.Thread(target=_make_client, args=(given, made), daemon=True).start()
    try:
        client = made.get(timeout=SECONDS if scheduler else None)
    except Empty:
        client = TimeoutError(f"nothing came in {SECONDS:g} s")
    if isinstance(client, Exception):
        raise FieldError("scheduler", f"what listens at {scheduler} does not answer as a Dask scheduler: {client}")
    return client


def _make_client(given: Any, made: Queue[Any]) -> None:
    import distributed

    begun: Any = distributed.Client
    try:
        made.put(begun(given, timeout=SECONDS, set_as_default=False))
    except Exception as error:  # what answers may be no scheduler at all
        made.put(error)


def _refuse_silence(scheduler: str) -> None:
    """Raise `FieldError` unless something listens at the address."""
    refuse_address(scheduler)
    _, host, port = ADDRESS.fullmatch(scheduler).groups()  # type: ignore[union-attr]  # it matched
    try:
        socket.create_connection((host.strip("[]"), int(port)), SECONDS).close()
    except OSError as error:
        raise FieldError("scheduler", f"no Dask scheduler listens at {scheduler}: {error}") from None


@contextmanager
def _silent() -> Iterator[None]:
    """Keep distributed's own messages from the terminal: what matters in them becomes an error of raresim."""
    before = {name: logging.getLogger(name).level for name in LOUD}
    for name in LOUD:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
