"""What each obligor does by itself: reproducible random words, and whether and how badly it defaults.

A row's seed and an obligor's number give a word of 64 random bits, by the generator SplitMix64 [1]_ with the row's seed
as its state: any word of it can be had without those before. An obligor defaults where its asset value, less what the
factors have done, is beyond a barrier: where a standard normal exceeds ``tau``. The word is compared with
``2^64 sf(tau)``, which a table brackets; only where it falls between both ends is the probability computed.

References
----------
.. [1] Steele, Lea & Flood, *Fast splittable pseudorandom number generators*, OOPSLA 2014.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from raresim.numerics.arrays import Float, frozen
from raresim.numerics.jit import kernel

Words = NDArray[np.uint64]
Places = NDArray[np.int64]

LOW, HIGH, PER_UNIT = -9.5, 9.5, 64
"""Ends of the table: below and above, a word of 64 bits is on one side of the probability but for one in 1e20."""

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""Distance of the states of two words of a generator that follow each other: 2^64 over the golden ratio."""

TILE = 256
"""Rows that are worked on together: their numbers stay in the nearest cache."""

ROUNDING = 1e-11
"""Relative slack of the table's ends, far above the rounding of its entries."""


def _table() -> tuple[Words, Words]:
    """``2^64 sf`` at the points of the table, lowered and raised by the slack."""
    at = LOW + np.arange(round((HIGH - LOW) * PER_UNIT) + 2) / PER_UNIT
    tail = np.array([0.5 * math.erfc(t * math.sqrt(0.5)) for t in at]) * 2.0**64
    most = 2.0**64 - 2.0**12
    low, high = np.minimum(tail * (1.0 - ROUNDING), most), np.minimum(tail * (1.0 + ROUNDING), most)
    return frozen(low.astype(np.uint64)), frozen(high.astype(np.uint64))


SURELY, HARDLY = _table()


class Book(NamedTuple):
    """The numbers of ``m`` obligors as kernels take them.

    Parameters
    ----------
    ptr, column, load : (m + 1,) int64, (j,) int64 and (j,) float64
        The loadings that are not 0, obligor by obligor, and the factors that they are on.
    barrier : (m,) float64
        What an asset value has to exceed for a default; its own scale, larger is worse.
    scale : (m,) float64
        One over the standard deviation of the own part of an asset value given the factors.
    shock : int
        The factor that multiplies all asset values; -1 without one.
    money : (m,) float64
        What is lost at default; where the severity is random, the exposure.
    a, b : (m,) float64
        Shapes of the beta law of the severity; 0 where it is fixed.
    """

    ptr: Places
    column: Places
    load: Float
    barrier: Float
    scale: Float
    shock: int
    money: Float
    a: Float
    b: Float


@kernel
def mixed(word: np.uint64) -> np.uint64:
    """SplitMix64's finaliser: each bit of the result depends on all bits of ``word``."""
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return word ^ (word >> np.uint64(31))


@kernel
def step_of(k: int) -> np.uint64:
    """How far the state of word ``k`` of a generator is from its seed."""
    return np.uint64(k + 1) * GOLDEN


@kernel
def word_of(seed: np.uint64, k: int) -> np.uint64:
    """Word ``k`` of the generator with the state ``seed``."""
    return mixed(seed + step_of(k))


@kernel
def seeds_of(own: Float, seeds: Words) -> None:
    """The state of each row's generator from the bits of its ``own`` risk (n,)."""
    bits = own.view(np.uint64)
    for i in range(own.shape[0]):
        seeds[i] = mixed(bits[i] + np.uint64(0x632BE59BD9B4E019))


def seeds(x: Float) -> Words:
    """The state of the generator of each row of factors ``x`` (n, d), (n,) uint64."""
    out = np.empty(len(x), np.uint64)
    seeds_of(np.ascontiguousarray(x[:, -1]), out)
    return out


@kernel
def exceeds(word: np.uint64, tau: float) -> bool:
    """Whether a standard normal, of which ``word`` is the upper tail probability times 2^64, exceeds ``tau``."""
    t = min(max(tau, LOW), HIGH)
    j = int((t - LOW) * PER_UNIT)
    if word < SURELY[j + 1]:
        return True
    if word > HARDLY[j]:
        return False
    return float(word) < 0.5 * math.erfc(tau * math.sqrt(0.5)) * 2.0**64


@kernel
def taus(x: Float, first: int, n: int, k: int, book: Book, out: Float) -> None:
    """What the own standard normal of obligor ``k`` has to exceed in each of ``n`` rows from ``first`` on.

    ``(barrier / shock - sum_j load_j x_j) / scale`` with the loadings of the obligor.
    """
    c = book.barrier[k] * book.scale[k]
    if book.shock >= 0:
        for i in range(n):
            out[i] = c / x[first + i, book.shock]
    else:
        for i in range(n):
            out[i] = c
    for p in range(book.ptr[k], book.ptr[k + 1]):
        a = book.load[p] * book.scale[k]
        xj = x[first : first + n, book.column[p]]
        for i in range(n):
            out[i] -= a * xj[i]


@kernel
def next_uniform(state: Words) -> float:
    """A uniform number in (0, 1); ``state`` (1,) is advanced."""
    state[0] += GOLDEN
    return (float(mixed(state[0]) >> np.uint64(11)) + 0.5) * 2.0**-53


@kernel
def log_gamma_draw(shape: float, state: Words) -> float:
    """The log of a draw of the gamma law: Marsaglia & Tsang, ACM Trans. Math. Softw. 26, 2000; boosted below one."""
    d = (shape if shape >= 1.0 else shape + 1.0) - 1.0 / 3.0
    c = 1.0 / math.sqrt(9.0 * d)
    while True:
        z = math.sqrt(-2.0 * math.log(next_uniform(state))) * math.cos(2.0 * math.pi * next_uniform(state))
        v = 1.0 + c * z
        if v > 0.0:
            v = v * v * v
            if math.log(next_uniform(state)) < 0.5 * z * z + d - d * v + d * math.log(v):
                found = math.log(d * v)
                return found if shape >= 1.0 else found + math.log(next_uniform(state)) / shape


@kernel
def severity_draw(word: np.uint64, a: float, b: float, state: Words) -> float:
    """A draw of the beta law with shapes ``a`` and ``b``, from the word that decided on the default."""
    state[0] = mixed(word ^ np.uint64(0xD6E8FEB86659FD93))
    x, y = log_gamma_draw(a, state), log_gamma_draw(b, state)
    return 1.0 / (1.0 + math.exp(y - x))


@kernel
def lost(word: np.uint64, money: float, a: float, b: float, state: Words) -> float:
    """What is lost at default: ``money``, or a share of it with a beta law where its shape ``a`` is not 0."""
    return money if a == 0.0 else money * severity_draw(word, a, b, state)


@kernel
def default_losses(x: Float, own: Words, book: Book, out: Float) -> None:
    """The loss of each row: the sum of what the obligors that default lose.

    Parameters
    ----------
    x : (n, d) float64
        Factors.
    own : (n,) uint64
        The state of each row's generator.
    book : Book
        The obligors.
    out : (n,) float64
        Overwritten.
    """
    tau, state = np.empty(TILE), np.empty(1, np.uint64)
    for first in range(0, x.shape[0], TILE):
        n = min(TILE, x.shape[0] - first)
        for i in range(n):
            out[first + i] = 0.0
        for k in range(book.barrier.shape[0]):
            taus(x, first, n, k, book, tau)
            step = step_of(k)
            money, a, b = book.money[k], book.a[k], book.b[k]
            for i in range(n):
                word = mixed(own[first + i] + step)
                if exceeds(word, tau[i]):
                    out[first + i] += lost(word, money, a, b, state)


@kernel
def default_parts(x: Float, own: Words, book: Book, members: Places, out: Float) -> None:
    """As `default_losses`, with what each of the obligors ``members`` (j,) loses in ``out`` (n, j)."""
    tau, state = np.empty(TILE), np.empty(1, np.uint64)
    for first in range(0, x.shape[0], TILE):
        n = min(TILE, x.shape[0] - first)
        for j in range(members.shape[0]):
            k = members[j]
            taus(x, first, n, k, book, tau)
            step = step_of(k)
            money, a, b = book.money[k], book.a[k], book.b[k]
            for i in range(n):
                word = mixed(own[first + i] + step)
                out[first + i, j] = 0.0
                if exceeds(word, tau[i]):
                    out[first + i, j] = lost(word, money, a, b, state)


@kernel
def losses_given(own: Words, q: Float, book: Book, c: Float, loss: Float, mean_loss: Float) -> None:
    """Losses of rows whose obligors default with the probabilities ``q`` (n, m).

    ``mean_loss`` (n,) has what those that default are expected to lose, ``c`` (m,), in place of what is drawn.
    """
    state = np.empty(1, np.uint64)
    for i in range(q.shape[0]):
        loss[i], mean_loss[i] = 0.0, 0.0
        for k in range(q.shape[1]):
            word = word_of(own[i], k)
            if float(word) < q[i, k] * 2.0**64:
                loss[i] += lost(word, book.money[k], book.a[k], book.b[k], state)
                mean_loss[i] += c[k]


@kernel
def picks_of(own: Words, shares: Float, pick: Places) -> None:
    """Which of several laws each row is drawn from, with the probabilities ``shares`` (j,), by its generator."""
    for i in range(own.shape[0]):
        left = float(mixed(own[i] ^ np.uint64(0xA0761D6478BD642F))) * 2.0**-64
        j = 0
        while j < shares.shape[0] - 1 and left >= shares[j]:
            left -= shares[j]
            j += 1
        pick[i] = j
