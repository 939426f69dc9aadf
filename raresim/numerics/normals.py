"""Standard normals as NumPy's `Generator` makes them from `SFC64`, in compiled code that calls nothing.

Numba's own ``rng.standard_normal()`` calls the bit generator through a pointer, once for each word. Code that keeps the
four words of the state in registers makes the same numbers in three fifths of the time.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from raresim.numerics.arrays import Float, frozen
from raresim.numerics.jit import kernel

Words = NDArray[np.uint64]

EDGE = 3.6541528853610087963519472518
"""The point at which the lowest of the 256 layers passes into the tail."""


def fill_standard_normal(rng: np.random.Generator, x: Float) -> None:
    """Overwrite ``x`` (n, d) with independent standard normals, column after column."""
    fill_normal(rng, frozen(np.ones(x.shape[1])), frozen(np.zeros(x.shape[1])), x)  # read-only: compiled once


def fill_normal(rng: np.random.Generator, scale: Float, loc: Float, x: Float) -> None:
    """Overwrite ``x`` (n, d) with independent normals, column after column.

    Parameters
    ----------
    rng : numpy.random.Generator
        Advanced in place as by its own ``standard_normal``; fastest on `SFC64`.
    scale, loc : (d,) float64
        Standard deviation and mean of each column.
    x : (n, d) float64
        Overwritten.
    """
    bits = rng.bit_generator
    if isinstance(bits, np.random.SFC64):
        state = bits.state
        fill_from_words(state["state"]["state"], scale, loc, x)
        bits.state = state
    else:
        fill_from_generator(rng, scale, loc, x)


def layers() -> tuple[Float, Float, Words]:
    """Ziggurat of 256 layers of equal area under ``exp(-x^2 / 2)``: [1]_ sec. 2.

    Returns
    -------
    height : (256,) float64
        Height of the curve at the right end of each layer; 1 for the lowest layer, which has no end.
    width : (512,) float64
        Width of each layer divided by 2^52, then the negatives of these.
    inner : (256,) uint64
        2^52 times the share of the layer that lies wholly under the curve.

    References
    ----------
    .. [1] Marsaglia & Tsang, *The ziggurat method for generating random variables*, J. Stat. Softw. 5(8), 2000.
    """
    area = EDGE * math.exp(-0.5 * EDGE**2) + math.sqrt(0.5 * math.pi) * math.erfc(EDGE / math.sqrt(2.0))
    end, height = np.zeros(256), np.ones(256)
    end[255], height[255] = EDGE, math.exp(-0.5 * EDGE**2)
    for k in range(254, 0, -1):
        height[k] = height[k + 1] + area / end[k + 1]
        end[k] = math.sqrt(-2.0 * math.log(height[k]))
    outer = np.append(area / height[255], end[1:])
    inner = np.append(EDGE, end[:255])
    width = outer / 2.0**52
    return frozen(height), frozen(np.append(width, -width)), frozen((inner / outer * 2.0**52).astype(np.uint64))


HEIGHT, WIDTH, INNER = layers()


@kernel
def fill_from_generator(rng: np.random.Generator, scale: Float, loc: Float, x: Float) -> None:
    """`fill_normal` from any generator."""
    n, d = x.shape
    for j in range(d):
        a = scale[j]
        m = loc[j]
        for i in range(n):
            x[i, j] = m + a * rng.standard_normal()


@kernel
def fill_from_words(state: Words, scale: Float, loc: Float, x: Float) -> None:
    """`fill_normal` from SFC64, whose ``state`` (4,) is advanced.

    Bits 0-7 of a word choose the layer, bit 8 the sign and bits 9-60 the place in the layer, as in NumPy.
    """
    n, d = x.shape
    a, b, c, counter = state[0], state[1], state[2], state[3]
    for j in range(d):
        s = scale[j]
        m = loc[j]
        xj = x[:, j]
        for i in range(n):
            word = a + b + counter
            counter += np.uint64(1)
            a = b ^ (b >> np.uint64(11))
            b = c + (c << np.uint64(3))
            c = ((c << np.uint64(24)) | (c >> np.uint64(40))) + word
            place = (word >> np.uint64(9)) & np.uint64(0xFFFFFFFFFFFFF)
            z = np.float64(np.int64(place)) * WIDTH[word & np.uint64(511)]
            if place >= INNER[word & np.uint64(255)]:
                state[0], state[1], state[2], state[3] = a, b, c, counter
                z = outside(state, word)
                a, b, c, counter = state[0], state[1], state[2], state[3]
            xj[i] = m + s * z
    state[0], state[1], state[2], state[3] = a, b, c, counter


@kernel
def outside(state: Words, word: np.uint64) -> float:
    """A standard normal, given that ``word`` fell outside the inner part of its layer: one time in a hundred."""
    while True:
        layer = word & np.uint64(255)
        place = (word >> np.uint64(9)) & np.uint64(0xFFFFFFFFFFFFF)
        z: float = np.float64(np.int64(place)) * WIDTH[word & np.uint64(511)]
        if place < INNER[layer]:
            return z
        if layer == 0:
            return -tail(state) if (word >> np.uint64(17)) & np.uint64(1) else tail(state)
        above = HEIGHT[layer - np.uint64(1)] - HEIGHT[layer]
        if HEIGHT[layer] + above * uniform(state) < math.exp(-0.5 * z * z):
            return z
        word = next_word(state)


@kernel
def tail(state: Words) -> float:
    """A standard normal, given that it exceeds `EDGE`: [1] sec. 2, Marsaglia's method."""
    while True:
        excess = -math.log1p(-uniform(state)) / EDGE
        if -2.0 * math.log1p(-uniform(state)) > excess * excess:
            return EDGE + excess


@kernel
def uniform(state: Words) -> float:
    """A uniform number in [0, 1) from the upper 53 bits of the next word."""
    return float(next_word(state) >> np.uint64(11)) * 2.0**-53


@kernel
def next_word(state: Words) -> np.uint64:
    """The next word of SFC64, whose ``state`` (4,) is advanced."""
    a, b, c, counter = state[0], state[1], state[2], state[3]
    word: np.uint64 = a + b + counter
    state[0] = b ^ (b >> np.uint64(11))
    state[1] = c + (c << np.uint64(3))
    state[2] = ((c << np.uint64(24)) | (c >> np.uint64(40))) + word
    state[3] = counter + np.uint64(1)
    return word
