"""The law of the loss given the factors: default probabilities, cumulants, and the twist that makes a loss usual.

Given the factors, obligors default independently with probabilities ``p_k``, and the log of the moment generating
function of the loss is ``psi(t) = sum_k log(1 + p_k (exp(t c_k) - 1))``, with what each loses, ``c_k``: [1]_ sec. 3.
The twist for a loss ``x`` solves ``psi'(t) = x``; it is 0 where the loss is expected to be larger anyway. Random
severities enter with their means.

References
----------
.. [1] Glasserman & Li, *Importance sampling for portfolio credit risk*, Management Science 51, 2005.
"""

from __future__ import annotations

import math

import numpy as np

from raresim.models.own_risk import Book, Places, Words, lost, word_of
from raresim.numerics.arrays import Float
from raresim.numerics.jit import kernel

STEPS = 60
"""Newton steps to a twist, at most; it takes about seven."""

CLOSE = 1e-10
"""Relative distance of the twisted mean from the loss at which they end: any twist near the root serves as well."""

MOST = 650.0
"""Largest exponent of a twist: beyond it an obligor that can default does."""


@kernel
def score_of(x: Float, over: float, book: Book, k: int) -> float:
    """The normal score of obligor ``k``'s default probability given factors ``x`` (d,), with one ``over`` the shock."""
    score = -book.barrier[k] * over
    for j in range(book.ptr[k], book.ptr[k + 1]):
        score += book.load[j] * x[book.column[j]]
    return float(score * book.scale[k])


@kernel
def probabilities(x: Float, book: Book, p: Float, eta: Float) -> None:
    """Default probabilities ``p`` (m,) and their normal scores ``eta`` (m,) given one row of factors ``x`` (d,)."""
    over = 1.0 if book.shock < 0 else 1.0 / x[book.shock]
    for k in range(p.shape[0]):
        eta[k] = score_of(x, over, book, k)
        p[k] = 0.5 * math.erfc(-eta[k] * math.sqrt(0.5))


@kernel
def cumulants(p: Float, c: Float, t: float, out: Float) -> None:
    """``psi``, ``psi'`` and ``psi''`` at ``t`` into ``out`` (3,)."""
    psi, first, second = 0.0, 0.0, 0.0
    for k in range(p.shape[0]):
        if p[k] > 0.0 and c[k] > 0.0:
            at = t * c[k]
            if at < MOST:
                e = math.exp(at)
                m = 1.0 + p[k] * (e - 1.0)
                q = p[k] * e / m
                psi += math.log1p(p[k] * (e - 1.0)) if p[k] * (e - 1.0) < 0.5 else math.log(m)
            else:
                q = 1.0
                psi += at + math.log(p[k])
            first += c[k] * q
            second += c[k] * c[k] * q * (1.0 - q)
    out[0], out[1], out[2] = psi, first, second


@kernel
def twist(p: Float, c: Float, x: float, work: Float) -> float:
    """``t >= 0`` with ``psi'(t) = x``, with the cumulants there in ``work`` (3,); infinite if ``x`` is out of reach."""
    cumulants(p, c, 0.0, work)
    if work[1] >= x:
        return 0.0
    most = 0.0
    for k in range(p.shape[0]):
        if p[k] > 0.0:
            most += c[k]
    if most < x:
        return math.inf
    low, high, t = 0.0, math.inf, 0.0
    for _ in range(STEPS):
        if abs(work[1] - x) <= CLOSE * x:
            break
        if work[1] < x:
            low = t
        else:
            high = t
        # Newton's step for the log of the mean, which is nearly linear while few default
        step = t + math.log(x / work[1]) * work[1] / work[2] if work[2] > 0.0 else math.inf
        if not low < step < high:
            step = 0.5 * (low + high) if high < math.inf else 2.0 * low + 1.0 / x
        t = step
        cumulants(p, c, t, work)
    return t


@kernel
def tail_laws(x: Float, book: Book, c: Float, level: float, log_bound: Float, log_tail: Float, slope: Float) -> None:
    """How likely a loss of ``level`` is given each row of factors.

    Parameters
    ----------
    x : (n, d) float64
        Factors.
    book : Book
        The obligors.
    c : (m,) float64
        What each is expected to lose at default.
    level : float
        The loss.
    log_bound : (n,) float64
        ``psi(t) - t level`` at the twist: the log of Chernoff's bound, 0 where the loss is expected to be larger.
    log_tail : (n,) float64
        The log of the probability, to the first order of a saddle point: with ``l = t sqrt(psi''(t))`` it is
        ``psi(t) - t level + l^2 / 2 + log sf(l)``; that of the normal law where the twist is 0.
    slope : (n, d) float64
        The gradient of ``log_bound`` in the factors.
    """
    m = c.shape[0]
    p, eta, work = np.empty(m), np.empty(m), np.empty(3)
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            slope[i, j] = 0.0
        probabilities(x[i], book, p, eta)
        t = twist(p, c, level, work)
        log_bound[i], log_tail[i] = saddle_point_tail(t, work, level)
        if not 0.0 < t < math.inf:
            continue
        for k in range(m):
            if p[k] > 0.0 and c[k] > 0.0 and p[k] < 1.0:
                e = math.exp(min(t * c[k], MOST)) - 1.0
                density = math.exp(-0.5 * eta[k] * eta[k]) / math.sqrt(2.0 * math.pi)
                pull = e / (1.0 + p[k] * e) * density * book.scale[k]
                for j in range(book.ptr[k], book.ptr[k + 1]):
                    slope[i, book.column[j]] += pull * book.load[j]
                if book.shock >= 0:
                    slope[i, book.shock] += pull * book.barrier[k] / (x[i, book.shock] * x[i, book.shock])


@kernel
def saddle_point_tail(t: float, work: Float, level: float) -> tuple[float, float]:
    """Chernoff's bound and the log of the probability of ``level``, to the first order, as in `tail_laws`.

    ``t`` is the twist, 0 where the loss is expected to be larger, infinite where it is out of reach, and ``work`` (3,)
    are the cumulants there.
    """
    if t == math.inf:
        return -math.inf, -math.inf
    spread = math.sqrt(max(work[2], 1e-300))
    if t == 0.0:
        return 0.0, math.log(max(0.5 * math.erfc((level - work[1]) / spread * math.sqrt(0.5)), 1e-300))
    bound = work[0] - t * level
    return bound, bound + log_mills(t * spread)


@kernel
def log_mills(l: float) -> float:  # noqa: E741  # the symbol of the formula
    """``l^2 / 2 + log sf(l)`` of the standard normal law."""
    if l < 30.0:
        return 0.5 * l * l + math.log(0.5 * math.erfc(l * math.sqrt(0.5)))
    s = 1.0 / (l * l)
    return math.log((1.0 - s * (1.0 - s * (3.0 - 15.0 * s))) / (l * math.sqrt(2.0 * math.pi)))


@kernel
def twisted(x: Float, book: Book, c: Float, levels: Float, pick: Places, q: Float, t: Float, psi: Float) -> None:
    """Twisted default probabilities of a few rows, and all twists.

    Parameters
    ----------
    x : (n, d) float64
        Factors.
    book : Book
        The obligors.
    c : (m,) float64
        What each is expected to lose at default.
    levels : (j,) float64
        Losses that twists make usual; ``-inf`` for no twist.
    pick : (n,) int64
        Which of them each row is drawn for.
    q : (n, m) float64
        The probabilities that the row is drawn with.
    t, psi : (n, j) float64
        The twist for each level, and ``psi`` there; a level that no loss reaches has a twist of 0.
    """
    m = c.shape[0]
    p, eta, work = np.empty(m), np.empty(m), np.empty(3)
    for i in range(x.shape[0]):
        probabilities(x[i], book, p, eta)
        for j in range(levels.shape[0]):
            t[i, j], psi[i, j] = 0.0, 0.0
            if levels[j] > -math.inf:
                found = twist(p, c, levels[j], work)
                if found < math.inf and found > 0.0:
                    t[i, j], psi[i, j] = found, work[0]
        own = t[i, pick[i]]
        for k in range(m):
            e = math.exp(min(own * c[k], MOST))
            q[i, k] = p[k] * e / (1.0 + p[k] * (e - 1.0))


@kernel
def twisted_parts(x: Float, own: Words, t: Float, book: Book, c: Float, members: Places, out: Float) -> None:
    """What each of the obligors ``members`` (j,) loses in rows that are twisted by ``t`` (n,), into ``out`` (n, j).

    As `raresim.models.own_risk.losses_given` with the probabilities of `twisted`.
    """
    state = np.empty(1, np.uint64)
    for i in range(x.shape[0]):
        over = 1.0 if book.shock < 0 else 1.0 / x[i, book.shock]
        for j in range(members.shape[0]):
            k = members[j]
            p = 0.5 * math.erfc(-score_of(x[i], over, book, k) * math.sqrt(0.5))
            e = math.exp(min(t[i] * c[k], MOST))
            word = word_of(own[i], k)
            out[i, j] = 0.0
            if float(word) < p * e / (1.0 + p * (e - 1.0)) * 2.0**64:
                out[i, j] = lost(word, book.money[k], book.a[k], book.b[k], state)
