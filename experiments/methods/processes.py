"""Where the runs of a study are made: in several processes, or in this one, which then imports nothing twice."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

K = TypeVar("K")
R = TypeVar("R")


def run_in(workers: int, function: Callable[[K], R], keys: Iterable[K], chunk: int = 1) -> Iterator[R]:
    """The run of each key, in order, as they are made.

    Parameters
    ----------
    workers : int
        Number of processes; with one, the runs are made here.
    function : callable
        Makes the run of a key.
    keys : iterable
        What to run.
    chunk : int
        How many runs a process takes at a time.

    Notes
    -----
    Runs that are not begun when the iteration is given up are not made.
    """
    if workers == 1:
        yield from map(function, keys)
        return
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"))
    try:
        yield from pool.map(function, keys, chunksize=chunk)
    finally:
        pool.shutdown(cancel_futures=True)
