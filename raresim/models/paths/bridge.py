"""Brownian bridges: normals in the order in which they matter, and the extremes of a path between its dates."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from raresim.numerics import arrays
from raresim.numerics.arrays import Float
from raresim.numerics.jit import kernel

Places = NDArray[np.int64]


class Order(NamedTuple):
    """The order in which a bridge sets the points of a path of unit steps, (steps,) each.

    Normal ``j`` sets the point ``place[j]`` between the points ``left[j]`` and ``right[j]`` that are known, -1 for the
    beginning, with ``weight[j]`` on the right one and the standard deviation ``std[j]``.
    """

    place: Places
    left: Places
    right: Places
    weight: Float
    std: Float


@lru_cache(maxsize=32)
def order_of(steps: int) -> Order:
    """The end first, then the middle of the widest gap: Glasserman, *Monte Carlo methods in financial engineering*,
    2004, section 3.1."""
    rows = [(steps - 1, -1, -1, 0.0, math.sqrt(steps))]
    gaps = [(-1, steps - 1)]
    while gaps:
        low, high = gaps.pop(0)
        if high - low < 2:
            continue
        middle = (low + high) // 2
        share = (middle - low) / (high - low)
        rows.append((middle, low, high, share, math.sqrt((middle - low) * (high - middle) / (high - low))))
        gaps += [(low, middle), (middle, high)]
    place, left, right, weight, std = zip(*rows, strict=True)
    indices = [arrays.frozen(np.array(each, dtype=np.int64)) for each in (place, left, right)]
    numbers = [arrays.frozen(np.array(each)) for each in (weight, std)]
    return Order(indices[0], indices[1], indices[2], numbers[0], numbers[1])


def increments(u: Float) -> Float:
    """Independent standard normals (n, steps) of the steps of a path whose bridge has the normals ``u`` (n, steps)."""
    out = arrays.scratch("bridge_increments", *u.shape)
    bridged(u, *order_of(u.shape[1]), out)
    return out


def normals_of(z: Float) -> Float:
    """The normals (n, steps) of the bridge of a path whose steps have the normals ``z``: the inverse of
    `increments`."""
    out = np.empty(z.shape, order="F")
    unbridged(np.cumsum(z, axis=1), *order_of(z.shape[1]), out)
    return out


@kernel
def bridged(u: Float, place: Places, left: Places, right: Places, weight: Float, std: Float, out: Float) -> None:
    """Write the steps of the path that a bridge builds of ``u`` into ``out``, (n, steps) each."""
    n, steps = u.shape
    for j in range(steps):
        at, low, high, w, s = place[j], left[j], right[j], weight[j], std[j]
        for i in range(n):
            value = s * u[i, j]
            if j > 0:
                before = out[i, low] if low >= 0 else 0.0
                value += before + w * (out[i, high] - before)
            out[i, at] = value
    for k in range(steps - 1, 0, -1):
        for i in range(n):
            out[i, k] -= out[i, k - 1]


@kernel
def unbridged(path: Float, place: Places, left: Places, right: Places, weight: Float, std: Float, out: Float) -> None:
    """Write the normals of the bridge of each ``path`` into ``out``, (n, steps) each."""
    n, steps = path.shape
    for j in range(steps):
        at, low, high, w, s = place[j], left[j], right[j], weight[j], std[j]
        for i in range(n):
            value = path[i, at]
            if j > 0:
                before = path[i, low] if low >= 0 else 0.0
                value -= before + w * (path[i, high] - before)
            out[i, j] = value / s


@kernel
def extremes(path: Float, exponential: Float, variance: float, sign: float, out: Float) -> None:
    """The largest (``sign`` 1) or smallest (-1) value of a Brownian motion within each step, (n, steps).

    Parameters
    ----------
    path : (n, steps) float64
        The motion after each step; it begins at 0.
    exponential : (n, steps) float64
        Standard exponential draws: the extreme is where the bridge of the step crosses with the probability
        ``exp(-exponential)``.
    variance : float
        Of a step.
    sign : float
        1 or -1.
    out : (n, steps) float64
        Overwritten.

    Notes
    -----
    Between ``a`` and ``b`` the bridge exceeds ``m`` with the probability ``exp(-2 (m - a)(m - b) / variance)``, so its
    maximum is ``(a + b + sqrt((b - a)^2 + 2 variance E)) / 2`` with a standard exponential ``E``: Glasserman, *Monte
    Carlo methods in financial engineering*, 2004, section 6.4, eq. (6.51).
    """
    n, steps = path.shape
    for k in range(steps):
        for i in range(n):
            a = 0.0 if k == 0 else path[i, k - 1]
            b = path[i, k]
            root = math.sqrt((b - a) * (b - a) + 2.0 * variance * max(exponential[i, k], 0.0))
            out[i, k] = 0.5 * (a + b + sign * root)
