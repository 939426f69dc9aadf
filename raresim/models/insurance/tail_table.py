"""A smooth tail probability that is dear to compute, by interpolation between points that are chosen to be enough."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from raresim.numerics.arrays import Float

FIRST_POINTS = 33
"""Points at first."""

WITHIN, NARROWEST = 1e-4, 1e-4
"""Relative error of the interpolation half way between two points, above which there is to be a point, if these are
further apart than this share of themselves: a jump is no more than that out of its place."""

LOWEST, LEAST = 1e-6, 1e-13
"""Where points begin, as a share of the end, and the tail probability at which they end, as a share of the whole."""


@dataclass(frozen=True, eq=False)
class TailTable:
    """A tail that falls from ``whole`` at 0 to 0 at ``end``.

    Parameters
    ----------
    exact : callable
        The tail at each of some points (n,) between both.
    whole, end : float
        Positive.
    most : int
        Points at most.

    Notes
    -----
    The logarithm of the tail is interpolated over that of the point by monotone cubics. Points are added half way
    between two where the interpolation is most off, as long as it is so by more than `WITHIN`. Outside of the points
    the tail is computed.
    """

    exact: Callable[[Float], Float]
    whole: float
    end: float
    most: int = 2_049

    @cached_property
    def curve(self) -> Any:
        """The interpolation of the logarithm; None of a tail that is next to nothing from the first point on."""
        from scipy import interpolate

        at = np.linspace(np.log(LOWEST * self.end), np.log(self.end), FIRST_POINTS)[:-1]
        tail = self.exact(np.exp(at))
        at, value = at[tail > LEAST * self.whole], np.log(tail[tail > LEAST * self.whole])
        if at.size < 3:
            return None
        off = np.full(at.size - 1, np.inf)  # of each interval; unknown at first
        while (open_ := (off > WITHIN) & (np.diff(at) > 2.0 * NARROWEST)).any() and at.size < self.most:
            worst = np.argsort(-np.where(open_, off, 0.0), kind="stable")[: min(open_.sum(), self.most - at.size)]
            where = np.sort(worst)
            middle = 0.5 * (at[where] + at[where + 1])
            found = np.log(self.exact(np.exp(middle)))
            error = np.abs(found - interpolate.PchipInterpolator(at, value)(middle))
            off[where] = error
            at, value = np.insert(at, where + 1, middle), np.insert(value, where + 1, found)
            off = np.insert(off, where + 1, error)
        return interpolate.PchipInterpolator(at, value)

    def __call__(self, x: Float) -> Float:
        """The tail at each of ``x`` (n,)."""
        out = np.where(x <= 0.0, self.whole, 0.0)
        left = (x > 0.0) & (x < self.end)
        curve = self.curve
        if curve is not None:
            with np.errstate(divide="ignore", invalid="ignore"):
                at = np.log(x)
            inside = left & (at >= curve.x[0]) & (at <= curve.x[-1])
            out[inside] = np.exp(curve(at[inside]))
            left &= ~inside
        out[left] = self.exact(x[left])
        return out
