"""Loss functions of the example configs: each takes an (n, d) array, one scenario per row, and returns (n,) losses."""

import numba
import numpy as np


@numba.njit(nogil=True, cache=True)
def two_sided(x):
    """``|sum_j x_j| / sqrt(d)``, compiled with ``nogil``, so that the workers of a run do not wait for each other."""
    n, d = x.shape
    out = np.zeros(n)
    for j in range(d):
        for i in range(n):
            out[i] += x[i, j]
    return np.abs(out) / np.sqrt(d)


def convex_limit_state(x):
    """``g(x) = 2.5 - (x1 + x2) / sqrt(2) + (x1 - x2)^2 / 10``; failure is ``g <= 0``."""
    a, b = x[:, 0], x[:, 1]
    return 2.5 - (a + b) / np.sqrt(2.0) + 0.1 * (a - b) ** 2


def smallest(x):
    """The smallest factor, which exceeds a threshold where all factors do."""
    return x.min(axis=1)


def parabola(x):
    """``x1 + 0.02 (x2^2 + ... + xd^2)``: beyond a threshold, a nearly flat boundary that bends in all directions."""
    return x[:, 0] + 0.02 * np.square(x[:, 1:]).sum(axis=1)


def largest_size(x):
    """``max_j |x_j|``: it has two failure regions for each factor, beyond two faces of a cube."""
    return np.abs(x).max(axis=1)


def squared_norm(x):
    """``x1^2 + ... + xd^2``, chi-square under standard normals: every point far from the origin fails."""
    return np.square(x).sum(axis=1)


def desk_excess(x):
    """The loss of each of three desks beyond its limit, in millions; rates, credit in basis points, fx in per cent."""
    rates, fx, credit = x.T
    return np.column_stack([0.35 * rates - 8.0, 6.0 * fx - 15.0, 0.12 * credit - 4.5])
