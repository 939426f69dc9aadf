"""Protection of raresim's own arithmetic and files from what a user's code changes for the whole process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

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
