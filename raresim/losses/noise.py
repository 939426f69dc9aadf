"""Whether the loss of a row is the same whenever it is asked: some rows of a run are evaluated again at its start."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable

import numpy as np

from raresim.errors import LossError
from raresim.numerics.arrays import Float

ROWS_AGAIN, SECONDS_AGAIN = 8, 2.0
"""Largest number of rows that are evaluated again at the start of a run, and the time limit for that in seconds."""

SAME, SAME_IN_CALL = 1e-9, 1e-4
"""Largest difference of two values of a row, as a share of the largest loss; and, if every call with the same rows
gives the same values, as a share of the spread of losses, for iterations that stop for all rows together."""

_TOKENS = itertools.count()
_ASKED: set[str] = set()
"""Numbers of the watched losses, and the losses that `refuse` has checked in this process."""


def token() -> str:
    """A name for a loss that is to be checked; no other loss of any process has it."""
    return f"{os.getpid()}-{next(_TOKENS)}"


def is_asked(token: str) -> bool:
    """Whether nothing is left to check: the loss is not watched, or was checked in this process before."""
    return not token or token in _ASKED


def rows_again(n: int, seconds: float) -> int:
    """How many of ``n`` rows, which took ``seconds`` together, are evaluated again."""
    return max(1, min(ROWS_AGAIN, int(SECONDS_AGAIN * n / max(seconds, 1e-9))))


def refuse(
    name: str, token: str, x: Float, out: Float, seconds: float, evaluate: Callable[[Float, Float], Float]
) -> None:
    """Raise `LossError` if a loss gives another value for the same row when it is evaluated again.

    The first rows, at most `ROWS_AGAIN` and as many as take `SECONDS_AGAIN`, are evaluated again in reversed order. If
    the values differ, they are evaluated a third time: a loss with noise of its own then differs again, while a loss
    whose value depends on the other rows does not.

    Parameters
    ----------
    name : str
        Of the loss, in messages.
    token : str
        Of the loss; nothing is done where it is empty, or was checked in this process before.
    x : (n, d) float64
        The rows that were evaluated.
    out : (n,) or (n, m) float64
        Their losses or limit states. Rows that failed have NaN and are not tried again.
    seconds : float
        Time that the evaluation took.
    evaluate : callable
        Gives the values of some rows; it gets the rows, and ``out`` for the form of the values.
    """
    if is_asked(token):
        return
    _ASKED.add(token)
    is_known = np.isfinite(out).reshape(len(x), -1).all(axis=1)
    rows = np.flatnonzero(is_known)[: rows_again(len(x), seconds)][::-1]
    if not rows.size:
        return
    before, again = out[rows], evaluate(x[rows], out)
    size, spread = np.abs(out[is_known]).max(), np.ptp(out[is_known])
    off = np.abs(again - before).reshape(rows.size, -1).max(axis=1)
    if not (off > SAME * size).any():  # also true if it fails now: NaN
        return
    third = evaluate(x[rows], out)
    is_same_again = not (np.abs(third - again) > SAME * size).any()
    if is_same_again and not (off > SAME_IN_CALL * spread).any():
        return
    row = int(np.nanargmax(off))
    two = f"{np.ravel(before[row])[0]:.9g} and {np.ravel(again[row])[0]:.9g}"
    scenario = f"the scenario {np.array2string(x[rows[row]], precision=6, threshold=12)}"
    if is_same_again:
        raise LossError(
            f"loss {name}: gives {two} for {scenario}, depending on the other rows of the call or on its "
            "place among them; compute the loss of each row from that row alone"
        )
    raise LossError(
        f"loss {name}: gives {two} for {scenario}, called twice: it has noise of its own, so that no "
        "threshold is the same twice and no run can be repeated; make its random numbers part of the inputs, one "
        "factor each, or take their seed from the row"
    )
