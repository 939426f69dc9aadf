"""Protection of raresim's own arithmetic and files from what a user's code changes for the whole process."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np


@contextmanager
def usual_arithmetic() -> Iterator[None]:
    """NumPy's default handling of floating-point errors inside, whatever `numpy.seterr` was told outside."""
    with np.errstate(divide="warn", over="warn", under="ignore", invalid="warn"):
        yield


def one_thread() -> None:
    """Limit linear algebra to one thread in this process, once for all: with more of them, last digits change.

    NumPy and SciPy each have a library of their own, and only a library that is loaded can be limited.
    """
    import scipy.linalg  # noqa: F401
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)


@contextmanager
def in_one_thread() -> Iterator[None]:
    """Linear algebra has one thread inside, and afterwards as many as before.

    SciPy has a library of its own beside NumPy's, which comes with its special functions. It is loaded before the limit
    is set: in a fresh process it would otherwise come in the middle of a run, with all its threads.
    """
    import scipy.special  # noqa: F401

    with _linear_algebra(len(sys.modules)).limit(limits=1):
        yield


@functools.lru_cache(maxsize=1)
def _linear_algebra(modules: int) -> Any:
    """The loaded libraries that have threads, looked for anew after an import, which may load one.

    To look for them is a sixth of a run of a thousand rows.
    """
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


@contextmanager
def undisturbed() -> Iterator[None]:
    """Usual arithmetic inside; afterwards the working folder is what it was before.

    Code inside must not rely on the working folder: a user's function may change it at any time.
    """
    try:
        folder = os.getcwd()
    except FileNotFoundError:  # somebody has removed it
        folder = ""
    try:
        with usual_arithmetic():
            yield
    finally:
        if folder and os.path.isdir(folder):
            os.chdir(folder)
