"""The one decorator for compiled code: nogil, cached on disk, and compiled at first use.

Importing numba takes longer than everything ``raresim check`` does, so a kernel imports it when it
is first called. No ``fastmath`` and no ``parallel``: both change the last digits of a result.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

P = ParamSpec("P")
R = TypeVar("R")

_LOCK = threading.RLock()


class _LazyKernel:
    """Stands in for a kernel until its first call, then puts the compiled one in its place."""

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        self.py_func = function
        self._compiled: Any = None

    def compiled(self) -> Any:
        """The numba dispatcher. Kernels that this one may call are made ready first."""
        if self._compiled is not None:
            return self._compiled
        with _LOCK:
            if self._compiled is None:
                import numba

                self._compiled = numba.njit(nogil=True, cache=True)(self.py_func)
                namespace = self.py_func.__globals__
                for name, value in list(namespace.items()):
                    if isinstance(value, _LazyKernel):
                        namespace[name] = value.compiled()
        return self._compiled

    def __call__(self, *args: Any) -> Any:
        return self.compiled()(*args)


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Mark a function of arrays and numbers as compiled code.

    Parameters
    ----------
    function : callable
        Plain loops over arrays, outputs last. It may call other kernels of its own file.
    """
    return cast(Callable[P, R], _LazyKernel(function))
