"""Array types, and the buffers a worker reuses.

A block of ``n`` draws in ``d`` dimensions is an ``(n, d)`` float64 array in Fortran order: each
column is contiguous, so kernels loop over columns outside and rows inside.
"""

from __future__ import annotations

import threading
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

A = TypeVar("A", bound=NDArray[Any])

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]
Index = NDArray[np.intp]


_buffers = threading.local()


def scratch(name: str, n: int, d: int) -> Float:
    """An uninitialised ``(n, d)`` Fortran-ordered buffer, owned by this thread and reused by name."""
    flat: Float | None = getattr(_buffers, name, None)
    if flat is None or flat.size < n * d:
        flat = np.empty(n * d)
        setattr(_buffers, name, flat)
    return flat[: n * d].reshape((n, d), order="F")


def frozen(array: A) -> A:
    """Make ``array`` read-only and return it."""
    array.flags.writeable = False
    return array
