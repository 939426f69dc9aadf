"""Kernels of the normal law: its map, its distances, and what is made of them in the same pass over the draws.

A block of draws does not fit into the cache nearest to a core. A kernel that makes the next result too, while a tile of
rows is there, saves reading the block again, which takes as long as the arithmetic. It adds in the same order as the
kernels that make one result each, and so gives the same bits.
"""

from __future__ import annotations

import numpy as np

from raresim.numerics.arrays import Float
from raresim.numerics.jit import kernel

TILE = 512
"""Rows that a kernel takes at once, so that one tile of all columns stays in cache."""


@kernel
def scale_shift(u: Float, scale: Float, loc: Float, x: Float) -> None:
    """``x = loc + scale * u``, column by column; ``x`` may be ``u``."""
    n, d = u.shape
    for j in range(d):
        for i in range(n):
            x[i, j] = loc[j] + scale[j] * u[i, j]


@kernel
def lower_affine(u: Float, factor: Float, loc: Float, x: Float) -> None:
    """``x = loc + factor u`` for a lower triangular factor; ``x`` may be ``u``, as the last columns are made first.

    Four columns at a time are made from four, so that each value read is used four times. Rows are taken through
    slices that start at zero: an index that might be negative would keep the loop from being vectorised. So would a
    loop that reads and writes the same column: where ``x`` is ``u``, such columns are copied first.
    """
    n, alike = u.shape[0], u.ctypes.data == x.ctypes.data
    spare = np.empty((4 if alike else 0, TILE + 8)).T  # columns a page apart would share lines of the cache
    for start in range(0, n, TILE):
        stop = min(start + TILE, n)
        affine_rows(u, start, stop, factor, loc, x, start, spare)


@kernel
def affine_rows(u: Float, start: int, stop: int, factor: Float, loc: Float, x: Float, at: int, spare: Float) -> None:
    """`lower_affine` of some rows of ``u``, into the rows of ``x`` from ``at`` on.

    ``spare`` has four columns where ``x`` is ``u``, and none where it is not.
    """
    d, end, alike = u.shape[1], at + stop - start, spare.shape[1] > 0
    first = d - d % 4
    for j in range(d - 1, first - 1, -1):
        if alike:
            copy_column(u[start:stop, j], spare[: stop - start, 0])
            set_column(loc[j], factor[j, j], spare[: stop - start, 0], x[at:end, j])
        else:
            set_column(loc[j], factor[j, j], u[start:stop, j], x[at:end, j])
        for c in range(j):
            add_column(factor[j, c], u[start:stop, c], x[at:end, j])
    while first > 0:
        first -= 4
        x0, x1, x2, x3 = x[at:end, first], x[at:end, first + 1], x[at:end, first + 2], x[at:end, first + 3]
        for c in range(first, -1, -4):
            u0, u1 = u[start:stop, c], u[start:stop, c + 1]
            u2, u3 = u[start:stop, c + 2], u[start:stop, c + 3]
            if c == first and alike:
                s0, s1 = spare[: stop - start, 0], spare[: stop - start, 1]
                s2, s3 = spare[: stop - start, 2], spare[: stop - start, 3]
                copy_column(u0, s0)
                copy_column(u1, s1)
                copy_column(u2, s2)
                copy_column(u3, s3)
                set_four(loc, factor, first, s0, s1, s2, s3, x0, x1, x2, x3)
            elif c == first:
                set_four(loc, factor, first, u0, u1, u2, u3, x0, x1, x2, x3)
            else:
                add_four(factor, first, c, u0, u1, u2, u3, x0, x1, x2, x3)


@kernel
def affine_sums(u: Float, factor: Float, loc: Float, weights: Float, out: Float) -> None:
    """``out[i] = sum_j weights[j] x[i, j]`` of ``x = loc + factor u``, which stays in cache, a tile at a time."""
    n, d = u.shape
    x, none = np.empty((d, TILE)).T, np.empty((0, TILE)).T
    first = n - n  # for a literal zero, a kernel is compiled again
    for start in range(0, n, TILE):
        stop = min(start + TILE, n)
        affine_rows(u, start, stop, factor, loc, x, first, none)
        total = out[start:stop]
        total[:] = 0.0
        for j in range(d):
            w, xj = weights[j], x[: stop - start, j]
            for i in range(stop - start):
                total[i] += w * xj[i]


@kernel
def copy_column(u: Float, x: Float) -> None:
    """``x = u``."""
    for i in range(x.shape[0]):
        x[i] = u[i]


@kernel
def set_column(m: float, f: float, u: Float, x: Float) -> None:
    """``x = m + f u``."""
    for i in range(x.shape[0]):
        x[i] = m + f * u[i]


@kernel
def add_column(f: float, u: Float, x: Float) -> None:
    """``x += f u``."""
    for i in range(x.shape[0]):
        x[i] += f * u[i]


@kernel
def set_four(
    loc: Float, f: Float, j: int, u0: Float, u1: Float, u2: Float, u3: Float, x0: Float, x1: Float, x2: Float, x3: Float
) -> None:
    """``x = loc + f u`` for four columns of ``u`` and four of ``x``."""
    a0, a1, a2, a3 = f[j, j], f[j, j + 1], f[j, j + 2], f[j, j + 3]
    b0, b1, b2, b3 = f[j + 1, j], f[j + 1, j + 1], f[j + 1, j + 2], f[j + 1, j + 3]
    c0, c1, c2, c3 = f[j + 2, j], f[j + 2, j + 1], f[j + 2, j + 2], f[j + 2, j + 3]
    d0, d1, d2, d3 = f[j + 3, j], f[j + 3, j + 1], f[j + 3, j + 2], f[j + 3, j + 3]
    m0, m1, m2, m3 = loc[j], loc[j + 1], loc[j + 2], loc[j + 3]
    for i in range(x0.shape[0]):
        p, q, r, s = u0[i], u1[i], u2[i], u3[i]
        x0[i] = m0 + a0 * p + a1 * q + a2 * r + a3 * s
        x1[i] = m1 + b0 * p + b1 * q + b2 * r + b3 * s
        x2[i] = m2 + c0 * p + c1 * q + c2 * r + c3 * s
        x3[i] = m3 + d0 * p + d1 * q + d2 * r + d3 * s


@kernel
def add_four(
    f: Float, j: int, c: int, u0: Float, u1: Float, u2: Float, u3: Float, x0: Float, x1: Float, x2: Float, x3: Float
) -> None:
    """``x += f u`` for four columns of ``u`` and four of ``x``."""
    a0, a1, a2, a3 = f[j, c], f[j, c + 1], f[j, c + 2], f[j, c + 3]
    b0, b1, b2, b3 = f[j + 1, c], f[j + 1, c + 1], f[j + 1, c + 2], f[j + 1, c + 3]
    c0, c1, c2, c3 = f[j + 2, c], f[j + 2, c + 1], f[j + 2, c + 2], f[j + 2, c + 3]
    d0, d1, d2, d3 = f[j + 3, c], f[j + 3, c + 1], f[j + 3, c + 2], f[j + 3, c + 3]
    for i in range(x0.shape[0]):
        p, q, r, s = u0[i], u1[i], u2[i], u3[i]
        x0[i] += a0 * p + a1 * q + a2 * r + a3 * s
        x1[i] += b0 * p + b1 * q + b2 * r + b3 * s
        x2[i] += c0 * p + c1 * q + c2 * r + c3 * s
        x3[i] += d0 * p + d1 * q + d2 * r + d3 * s


@kernel
def diagonal_distance(x: Float, scale: Float, loc: Float, out: Float) -> None:
    """Squared distance ``sum_j ((x_j - loc_j) / scale_j)^2`` of each row."""
    n, d = x.shape
    for i in range(n):
        out[i] = 0.0
    for j in range(d):
        m = loc[j]
        inverse = 1.0 / scale[j]
        for i in range(n):
            z = (x[i, j] - m) * inverse
            out[i] += z * z


@kernel
def diagonal_ratio(x: Float, scale: Float, loc: Float, ours: float, theirs: float, out: Float) -> None:
    """Log density of independent standard normals less that of normals of this ``scale`` and ``loc``.

    The log densities are ``-r / 2 - ours`` and ``-s / 2 - theirs`` with the squared distances ``r`` and ``s``. ``x`` is
    read once for both.
    """
    n, d = x.shape
    far = np.empty(TILE)
    for start in range(0, n, TILE):
        stop = min(start + TILE, n)
        near = out[start:stop]
        near[:] = 0.0
        far[:] = 0.0
        for j in range(d):
            m, inverse, xj = loc[j], 1.0 / scale[j], x[start:stop, j]
            for i in range(stop - start):
                z = (xj[i] - m) * inverse
                near[i] += xj[i] * xj[i]
                far[i] += z * z
        for i in range(stop - start):
            near[i] = (-0.5 * near[i] - ours) - (-0.5 * far[i] - theirs)


@kernel
def dense_distance(x: Float, factor: Float, loc: Float, out: Float) -> None:
    """Squared Mahalanobis distance ``|factor^-1 (x - loc)|^2`` of each row, by forward substitution."""
    n, d = x.shape
    z = np.empty((d, TILE))
    for start in range(0, n, TILE):
        stop = min(start + TILE, n)
        total = out[start:stop]
        total[:] = 0.0
        for j in range(d):
            zj = z[j]
            xj = x[start:stop, j]
            m = loc[j]
            for i in range(stop - start):
                zj[i] = xj[i] - m
            for c in range(j):
                f = factor[j, c]
                zc = z[c]
                for i in range(stop - start):
                    zj[i] -= f * zc[i]
            inverse = 1.0 / factor[j, j]
            for i in range(stop - start):
                zj[i] *= inverse
                total[i] += zj[i] * zj[i]


@kernel
def dense_ratio(x: Float, factor: Float, loc: Float, ours: float, theirs: float, out: Float) -> None:
    """`diagonal_ratio` for normals with a lower triangular ``factor``, whose distance `dense_distance` has."""
    n, d = x.shape
    z, far = np.empty((d, TILE)), np.empty(TILE)
    for start in range(0, n, TILE):
        stop = min(start + TILE, n)
        near = out[start:stop]
        near[:] = 0.0
        far[:] = 0.0
        for j in range(d):
            m, zj, xj = loc[j], z[j], x[start:stop, j]
            for i in range(stop - start):
                near[i] += xj[i] * xj[i]
                zj[i] = xj[i] - m
            for c in range(j):
                f, zc = factor[j, c], z[c]
                for i in range(stop - start):
                    zj[i] -= f * zc[i]
            inverse = 1.0 / factor[j, j]
            for i in range(stop - start):
                zj[i] *= inverse
                far[i] += zj[i] * zj[i]
        for i in range(stop - start):
            near[i] = (-0.5 * near[i] - ours) - (-0.5 * far[i] - theirs)
