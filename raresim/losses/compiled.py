"""A user's function of one row, compiled by numba and called for whole blocks."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from raresim.errors import LossError
from raresim.numerics.arrays import Float


@functools.lru_cache(maxsize=8)
def over_rows(call: Callable[..., Any], name: str, has_columns: bool) -> Callable[[Float], Float]:
    """A compiled function of an ``(n, d)`` array that calls ``call`` for each row, without the interpreter's lock.

    It is made once for each function: a worker process gets the loss with every chunk.

    Parameters
    ----------
    call : callable
        Takes a row, ``(d,)`` float64, and returns one number, or ``(m,)`` numbers as an array or a tuple. It may be
        compiled by numba already.
    name : str
        Of the function, in messages.
    has_columns : bool
        Whether it returns ``(m,)`` numbers.

    Returns
    -------
    callable
        From ``(n, d)`` float64 to ``(n,)``, or to ``(n, m)``.

    Raises
    ------
    LossError
        When numba cannot compile the function, or finds that it returns something else.
    """
    import numba
    from numba import types

    compiled: Any = numba.njit(nogil=True)
    of_row: Any = call if hasattr(call, "py_func") else compiled(call)
    try:
        of_row.compile((types.float64[::1],))
    except Exception as error:  # numba raises whatever its passes do
        raise LossError(
            f"loss {name}: numba cannot compile it for one row: {_reason(error)}; leave out `jit: true`, and say "
            "`vectorised: false` if it takes one row"
        ) from error
    given = of_row.overloads[types.float64[::1],].signature.return_type
    is_row = isinstance(given, types.UniTuple) or (isinstance(given, types.Array) and given.ndim == 1)
    if not (is_row if has_columns else isinstance(given, types.Number | types.Boolean)):
        wanted = "an array of numbers or a tuple of floats" if has_columns else "one number"
        raise LossError(f"loss {name}: must return {wanted} for one row, compiled it returns {given}")

    def numbers(x: Float) -> Float:
        out = np.empty(x.shape[0])
        for row in range(x.shape[0]):
            out[row] = of_row(x[row])
        return out

    def columns(x: Float) -> Float:
        first = np.asarray(of_row(x[0].copy()))
        out = np.empty((x.shape[0], first.size))
        for row in range(x.shape[0]):
            found = np.asarray(of_row(x[row]))
            if found.size != first.size:
                raise ValueError("returns more numbers for one row than for another")
            out[row] = found
        return out

    over = compiled(columns if has_columns else numbers)
    return lambda x: over(np.ascontiguousarray(x))


def _reason(error: Exception) -> str:
    """What numba says, without its advice: the first two lines that are not about its own steps."""
    lines = [line.strip() for line in str(error).splitlines()]
    said = [line for line in lines if line and not line.startswith(("Failed in", "During:", "For more", "This error"))]
    return " ".join(said[:2]) or f"{type(error).__name__} within numba"
