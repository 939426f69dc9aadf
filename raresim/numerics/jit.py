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
        """The numba dispatcher, made together with those of the kernels that this one may call.

        All of them come into their file's namespace in one step, and only then is any of them handed out: a second
        thread must not compile this kernel while a name in it still stands for an uncompiled one.
        """
        if self._compiled is None:
            with _LOCK:
                if self._compiled is None:
                    namespace = self.py_func.__globals__
                    lazy = {name: value for name, value in namespace.items() if isinstance(value, _LazyKernel)}
                    made = {name: value._dispatcher(namespace) for name, value in lazy.items()}
                    alone = made.get(self.py_func.__name__) or self._dispatcher(namespace)
                    namespace.update(made)
                    for name, value in lazy.items():
                        value._compiled = made[name]
                    self._compiled = self._compiled or alone
        return self._compiled

    def _dispatcher(self, namespace: dict[str, Any]) -> Any:
        """What takes the kernel's place in ``namespace``; not yet to be called."""
        import numba

        if self._compiled is not None or self.py_func.__globals__ is not namespace:
            return self.compiled()
        options: dict[str, Any] = {"nogil": True, "cache": True, "no_cfunc_wrapper": True}  # nothing calls one from C
        dispatcher: Any = numba.njit(**options)(self.py_func)
        if hasattr(dispatcher._cache, "_load_overload"):  # else numba has changed, and its own way is slower
            dispatcher._cache = _cache()(self.py_func)
        return dispatcher

    def __call__(self, *args: Any) -> Any:
        return self.compiled()(*args)


@functools.cache
def _cache() -> Any:
    """The class of numba's cache on disk, but that a kernel which lies there is loaded without the compiler.

    Before it looks into the cache, numba prepares the compiler, which takes longer than most kernels. Code that is
    loaded needs only what counts the references to its arrays. Where the cache has no such code, numba prepares the
    compiler when it compiles.
    """
    from numba.core.caching import FunctionCache
    from numba.core.runtime.nrt import rtsys

    class Cache(FunctionCache):
        def load_overload(self, sig: Any, target_context: Any) -> Any:
            rtsys.initialize(target_context)
            with self._guard_against_spurious_io_errors():
                return self._load_overload(sig, target_context)  # type: ignore[no-untyped-call]

    return Cache


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Mark a function of arrays and numbers as compiled code.

    Parameters
    ----------
    function : callable
        Plain loops over arrays, outputs last. It may call other kernels of its own file.
    """
    return cast(Callable[P, R], _LazyKernel(function))
