"""Between probabilities and standard normals, without loss in either tail.

A probability near 1 cannot be stored: ``Phi(u)`` rounds to 1 at u = 8.3. So a law is evaluated from the *logarithm of
the smaller tail probability* and the side on which it lies.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from raresim.numerics.arrays import Bool, Float


def log_tail(u: Float) -> Float:
    """``log Phi(-|u|)``, the log probability of the side on which each ``u`` lies."""
    from scipy import special

    tail: Float = special.log_ndtr(-np.abs(u))
    return tail


def by_side(function: Callable[[Float, bool], Float], u: Float, out: Float) -> None:
    """Write ``function(log_tail, upper)`` of each ``u`` (n,) into ``out`` (n,): one call for each side with draws."""
    tail = log_tail(u)
    above = u > 0
    for upper in (False, True):
        rows = above == upper
        if rows.any():
            out[rows] = function(tail[rows], upper)


def from_log_tail(log_tail: Float, upper: Bool | bool, out: Float) -> None:
    """Write the standard normal that cuts off a tail of log probability ``log_tail`` (n,) into ``out`` (n,).

    ``upper`` says whether it is the upper tail; ``out`` may be ``log_tail``.
    """
    from scipy import special

    special.ndtri_exp(log_tail, out=out)
    np.negative(out, out=out, where=upper)


def from_log_probabilities(log_p: Float, log_q: Float, out: Float) -> None:
    """Write the standard normal with ``log Phi = log_p`` and ``log (1 - Phi) = log_q`` into ``out`` (n,).

    Only the smaller of the two is read, so it may be exact where the other has rounded to zero.
    """
    from_log_tail(np.minimum(log_p, log_q), log_q < log_p, out)
