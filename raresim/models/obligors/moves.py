"""What obligors lose by changes of ratings, and the law of it given the factors: cumulants, and the twist.

Given the factors, obligors go independently to default, to the worst rating, and so on to the best, with probabilities
``p_kr``, and lose ``c_kr``, which is negative for a gain. The log of the moment generating function of the loss is
``psi(t) = sum_k log sum_r p_kr exp(t c_kr)``: with two outcomes that of `raresim.models.obligors.conditional`,
[1]_ sec. 3. The twist for a loss ``x`` solves ``psi'(t) = x``; it is 0 where the loss is expected to be larger anyway.

References
----------
.. [1] Glasserman & Li, *Importance sampling for portfolio credit risk*, Management Science 51, 2005.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from raresim.models.obligors.conditional import CLOSE, STEPS, saddle_point_tail
from raresim.models.own_risk import Book, Places
from raresim.numerics.arrays import Float
from raresim.numerics.jit import kernel


class Moves(NamedTuple):
    """The numbers of ``m`` obligors that can go to ``r`` ratings or to default, as kernels take them.

    Parameters
    ----------
    rating : (m,) int64
        Where each is, from the best.
    barrier : (r, r) float64
        What an asset value exceeds, from each rating, to be in default, in the worst rating or worse, and so on.
    amount : (m, r + 1) float64
        What each is expected to lose in default, and loses in the worst rating, and so on to the best.
    """

    rating: Places
    barrier: Float
    amount: Float


@kernel
def chances_of(x: Float, book: Book, moves: Moves, k: int, p: Float, eta: Float) -> None:
    """Probabilities ``p`` (r + 1,) of obligor ``k`` going to default, to the worst rating, and so on.

    Given factors ``x`` (d,); ``eta`` (r,) has the normal scores of being in default, in the worst rating or worse, and
    so on.
    """
    over = 1.0 if book.shock < 0 else 1.0 / x[book.shock]
    last = eta.shape[0]
    common = 0.0
    for j in range(book.ptr[k], book.ptr[k + 1]):
        common += book.load[j] * x[book.column[j]]
    below = 0.0
    for j in range(last):
        eta[j] = (common - moves.barrier[moves.rating[k], j] * over) * book.scale[k]
        reached = 0.5 * math.erfc(-eta[j] * math.sqrt(0.5))
        p[j] = max(0.0, reached - below)
        below = reached
    p[last] = 0.5 * math.erfc(eta[last - 1] * math.sqrt(0.5))


@kernel
def move_chances(x: Float, book: Book, moves: Moves, p: Float, eta: Float) -> None:
    """`chances_of` all obligors: ``p`` (m, r + 1) and ``eta`` (m, r)."""
    for k in range(eta.shape[0]):
        chances_of(x, book, moves, k, p[k], eta[k])


@kernel
def top_exponent(p: Float, c: Float, t: float) -> float:
    """The largest ``t c_r`` among outcomes that are possible."""
    top = -math.inf
    for j in range(p.shape[0]):
        if p[j] > 0.0:
            top = max(top, t * c[j])
    return top


@kernel
def move_cumulants(p: Float, c: Float, t: float, out: Float) -> None:
    """``psi``, ``psi'`` and ``psi''`` at ``t`` into ``out`` (3,)."""
    psi, first, second = 0.0, 0.0, 0.0
    for k in range(p.shape[0]):
        top = top_exponent(p[k], c[k], t)
        total, mean, square = 0.0, 0.0, 0.0
        for j in range(p.shape[1]):
            if p[k, j] > 0.0:
                e = p[k, j] * math.exp(t * c[k, j] - top)
                total += e
                mean += e * c[k, j]
                square += e * c[k, j] * c[k, j]
        mean /= total
        psi += top + math.log(total)
        first += mean
        second += max(0.0, square / total - mean * mean)
    out[0], out[1], out[2] = psi, first, second


@kernel
def move_twist(p: Float, c: Float, x: float, work: Float) -> float:
    """``t >= 0`` with ``psi'(t) = x``, with the cumulants there in ``work`` (3,); infinite if ``x`` is out of reach."""
    move_cumulants(p, c, 0.0, work)
    usual = work[1]
    if usual >= x:
        return 0.0
    most, least = 0.0, 0.0
    for k in range(p.shape[0]):
        high, low = -math.inf, math.inf
        for j in range(p.shape[1]):
            if p[k, j] > 0.0:
                high, low = max(high, c[k, j]), min(low, c[k, j])
        most += high
        least += low
    if most < x:
        return math.inf
    below, above, t = 0.0, math.inf, 0.0
    for _ in range(STEPS):
        if abs(work[1] - x) <= CLOSE * (x - usual):
            break
        if work[1] < x:
            below = t
        else:
            above = t
        # Newton's step for the log of the mean above the least loss, which is nearly linear while few move
        step, gone = math.inf, work[1] - least
        if work[2] > 0.0 and gone > 0.0:
            step = t + math.log((x - least) / gone) * gone / work[2]
        if not below < step < above:
            step = 0.5 * (below + above) if above < math.inf else 2.0 * below + 1.0 / (x - usual)
        t = step
        move_cumulants(p, c, t, work)
    return t


@kernel
def move_tail_laws(x: Float, book: Book, moves: Moves, level: float, log_bound: Float, log_tail: Float, slope: Float) -> None:  # fmt: skip  # noqa: E501
    """How likely a loss of ``level`` is given each row of factors ``x`` (n, d).

    As `raresim.models.obligors.conditional.tail_laws`, which has the formulas and the shapes.
    """
    c = moves.amount
    m, last = c.shape[0], c.shape[1] - 1
    p, eta, e, work = np.empty((m, last + 1)), np.empty((m, last)), np.empty(last + 1), np.empty(3)
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            slope[i, j] = 0.0
        move_chances(x[i], book, moves, p, eta)
        t = move_twist(p, c, level, work)
        log_bound[i], log_tail[i] = saddle_point_tail(t, work, level)
        if not 0.0 < t < math.inf:
            continue
        for k in range(m):
            top, total = top_exponent(p[k], c[k], t), 0.0
            for j in range(last + 1):
                e[j] = math.exp(min(t * c[k, j] - top, 0.0))  # an impossible outcome may lose more
                total += p[k, j] * e[j]
            pull, by_shock = 0.0, 0.0
            for j in range(last):
                density = math.exp(-0.5 * eta[k, j] * eta[k, j]) / math.sqrt(2.0 * math.pi)
                if density > 0.0:
                    each = (e[j] - e[j + 1]) / total * density * book.scale[k]
                    pull += each
                    by_shock += each * moves.barrier[moves.rating[k], j]
            for j in range(book.ptr[k], book.ptr[k + 1]):
                slope[i, book.column[j]] += pull * book.load[j]
            if book.shock >= 0:
                slope[i, book.shock] += by_shock / (x[i, book.shock] * x[i, book.shock])
