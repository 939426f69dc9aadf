"""What is asked of a path, in the coordinates of the path: kernels over rows (n, steps) of paths that begin at 0."""

from __future__ import annotations

import math

from raresim.numerics.arrays import Float
from raresim.numerics.jit import kernel


@kernel
def farthest(points: Float, sign: float, out: Float) -> None:
    """The largest of 0 and ``sign`` times the points of each row."""
    n, steps = points.shape
    for i in range(n):
        out[i] = 0.0
    for k in range(steps):
        for i in range(n):
            out[i] = max(out[i], sign * points[i, k])


@kernel
def deepest_fall(path: Float, out: Float) -> None:
    """The largest fall from the highest point before, the beginning included."""
    n, steps = path.shape
    for i in range(n):
        top, fall = 0.0, 0.0
        for k in range(steps):
            value = path[i, k]
            top = max(top, value)
            fall = max(fall, top - value)
        out[i] = fall


@kernel
def worst_window(path: Float, width: int, out: Float) -> None:
    """The largest fall over any ``width`` steps."""
    n, steps = path.shape
    for i in range(n):
        out[i] = -path[i, width - 1]
    for k in range(width, steps):
        for i in range(n):
            out[i] = max(out[i], path[i, k - width] - path[i, k])


@kernel
def average(path: Float, geometric: bool, of_exp: bool, out: Float) -> None:
    """The average over the dates of the path, of its exponential, or the exponential of its average."""
    n, steps = path.shape
    for i in range(n):
        out[i] = 0.0
    for k in range(steps):
        if of_exp and not geometric:
            for i in range(n):
                out[i] += math.exp(min(path[i, k], 700.0))
        else:
            for i in range(n):
                out[i] += path[i, k]
    for i in range(n):
        out[i] /= steps
        if of_exp and geometric:
            out[i] = math.exp(min(out[i], 700.0))


@kernel
def first_time(points: Float, sign: float, distance: float, out: Float) -> None:
    """The first step, from 1, at which ``sign`` times a point is at least ``distance``.

    Where there is none, the number of steps times one plus the share of the distance that is left.
    """
    n, steps = points.shape
    for i in range(n):
        best, when = 0.0, 0
        for k in range(steps):
            value = sign * points[i, k]
            best = max(best, value)
            if value >= distance:
                when = k + 1
                break
        out[i] = when if when > 0 else steps * (2.0 - best / distance)
