"""Prices of one position over the rows of a block, in closed form and compiled.

In each kernel ``x`` (n,) is the log change of the underlying's price and ``v`` (n,) that of its volatility; ``weight``
times the price is added to ``out`` (n,). ``terms`` are spot, strike, rate, dividend, years left, volatility, sign (+1
call, -1 put) and two numbers of the type's own. With no years left an option is worth its payoff.
"""

from __future__ import annotations

import math

import numpy as np

from raresim.numerics.arrays import Float
from raresim.numerics.jit import kernel

MAGIC = 6755399441055744.0
"""1.5 times 2^52: added to a number below 2^51 and taken away again, it rounds it to a whole one."""

TILE = 512
"""Rows that a kernel takes at once."""

ROOT_HALF = math.sqrt(0.5)


@kernel
def exponential(x: float) -> float:
    """``exp(x)`` of ``x`` from -700 to 0 to 1e-11 of itself, without a call, so that loops over it are vectorised."""
    t = max(x, -700.0) * 1.4426950408889634 + MAGIC
    k = t - MAGIC
    r = (max(x, -700.0) - k * 6.93147180369123816490e-01) - k * 1.90821492927058770002e-10
    p = 2.7557319223985893e-06 * r + 2.48015873015873e-05
    p = p * r + 1.984126984126984e-04
    p = p * r + 1.388888888888889e-03
    p = p * r + 8.333333333333333e-03
    p = p * r + 4.1666666666666664e-02
    p = p * r + 1.6666666666666666e-01
    p = ((p * r + 0.5) * r + 1.0) * r + 1.0
    return p * np.int64((np.float64(t).view(np.int64) + 1023) << 52).view(np.float64)


@kernel
def numerator(a: float) -> float:
    """Of the ratio that is ``Phi(-a) exp(a^2 / 2)`` for ``a >= 0``, with an error of ``Phi`` below 2e-12.

    A rational function of degrees 4 and 5, fitted by weighted least squares so that the largest error of ``Phi`` over
    [0, 9] is small; beyond, where ``Phi(-a)`` is below 1e-19, only its absolute error is.
    """
    p = (0.002196169363143113 * a + 0.026339418358997526) * a + 0.13812120811736034
    return (p * a + 0.3717927211332415) * a + 0.5000000000011326


@kernel
def denominator(a: float) -> float:
    """See `numerator`."""
    q = (0.005501739676544018 * a + 0.06610542681427779) * a + 0.3507029846853939
    return ((q * a + 1.0061575247580172) * a + 1.5414700034092197) * a + 1.0


@kernel
def add_europeans(x: Float, growth: Float, terms: Float, out: Float) -> None:
    """European calls on one underlying with fixed volatilities: Black and Scholes's formula with one exponential.

    A row of ``terms`` (m, 6) has ``d1`` at ``x = 0`` and its slope, the standard deviation to expiry, the discounted
    spot and strike, and the weight. As ``spot growth phi(d1) = strike phi(d2)``, one exponential makes both tails.
    ``growth`` (n,) is ``exp(x)``.
    """
    n = x.shape[0]
    d, e = np.empty(TILE), np.empty(TILE)
    for first in range(0, n, TILE):
        stop = min(first + TILE, n)
        many = stop - first
        moves, grown, total = x[first:stop], growth[first:stop], out[first:stop]
        for k in range(terms.shape[0]):
            start, slope, sd = terms[k, 0], terms[k, 1], terms[k, 2]
            a, b, weight = terms[k, 3], terms[k, 4], terms[k, 5]
            for i in range(many):
                at = start + slope * moves[i]
                d[i], e[i] = at, a * grown[i] * exponential(-0.5 * at * at)
            for i in range(many):
                d1 = d[i]
                d2 = d1 - sd
                a1, a2 = abs(d1), abs(d2)
                q1, q2 = denominator(a1), denominator(a2)
                both = np.divide(e[i], q1 * q2)
                m1, m2 = numerator(a1) * q2 * both, numerator(a2) * q1 * both
                n1 = a * grown[i] - m1 if d1 > 0.0 else m1
                n2 = b - m2 if d2 > 0.0 else m2
                total[i] += weight * (n1 - n2)


@kernel
def normal(x: float) -> float:
    """``Phi(x)``."""
    return 0.5 * math.erfc(-x * ROOT_HALF)


@kernel
def scaled(log_factor: float, x: float) -> float:
    """``exp(log_factor) Phi(x)``, also where the one is infinite and the other 0."""
    if x > -30.0:
        return math.exp(min(log_factor, 700.0)) * normal(x)
    return math.exp(min(max(log_factor - 0.5 * x * x - math.log(-x) - 0.9189385332046727, -745.0), 700.0))


@kernel
def vanilla(s: float, terms: Float, sd: float) -> float:
    """Black and Scholes's price at the spot ``s``, with the standard deviation ``sd`` of its log to expiry."""
    k, r, q, t, sign = terms[1], terms[2], terms[3], terms[4], terms[6]
    if t <= 0.0:
        settled: float = max(sign * (s - k), 0.0)
        return settled
    d1 = (math.log(s / k) + (r - q) * t) / sd + 0.5 * sd
    forward, paid = s * math.exp(-q * t), k * math.exp(-r * t)
    value: float = sign * (forward * normal(sign * d1) - paid * normal(sign * (d1 - sd)))
    return value


@kernel
def add_vanilla(x: Float, v: Float, terms: Float, weight: float, out: Float) -> None:
    """European options whose volatility moves."""
    root = math.sqrt(max(terms[4], 0.0))
    for i in range(x.shape[0]):
        out[i] += weight * vanilla(terms[0] * math.exp(x[i]), terms, terms[5] * math.exp(v[i]) * root)


@kernel
def add_digital(x: Float, v: Float, terms: Float, weight: float, out: Float) -> None:
    """Cash-or-nothing options, which pay ``terms[7]``."""
    k, r, q, t, sign = terms[1], terms[2], terms[3], terms[4], terms[6]
    root, pays = math.sqrt(max(t, 0.0)), weight * terms[7] * math.exp(-r * max(t, 0.0))
    for i in range(x.shape[0]):
        s = terms[0] * math.exp(x[i])
        if t <= 0.0:
            out[i] += pays if sign * (s - k) > 0.0 else 0.0
        else:
            sd = terms[5] * math.exp(v[i]) * root
            out[i] += pays * normal(sign * ((math.log(s / k) + (r - q) * t) / sd - 0.5 * sd))


@kernel
def add_asian(x: Float, v: Float, terms: Float, weight: float, out: Float) -> None:
    """Options on the continuous geometric average from today, ``terms[7]`` years ago, to expiry.

    Given both ends of the past, its part of the log of the average is normal about their mean (a Brownian bridge), and
    so is the future's: [1]_ is the case without a past.

    References
    ----------
    .. [1] Kemna & Vorst, *A pricing method for options based on average asset values*, J. Bank. Finance 14, 1990.
    """
    k, r, q, t, sign, past = terms[1], terms[2], terms[3], terms[4], terms[6], terms[7]
    whole, today = t + past, math.log(terms[0])
    for i in range(x.shape[0]):
        sigma = terms[5] * math.exp(v[i])
        mean = today + (past * 0.5 + t) / whole * x[i] + 0.5 * (r - q - 0.5 * sigma * sigma) * t * t / whole
        var = sigma * sigma * (past**3 / 12.0 + t**3 / 3.0) / (whole * whole)
        sd = math.sqrt(var)
        d = (mean - math.log(k)) / sd
        value = math.exp(mean + 0.5 * var) * normal(sign * (d + sd)) - k * normal(sign * d)
        out[i] += weight * sign * math.exp(-r * t) * value


@kernel
def add_barrier(x: Float, v: Float, terms: Float, mix: Float, weight: float, out: Float) -> None:
    """Options with one barrier ``terms[7]`` that is monitored all the time, and the rebate ``terms[8]``.

    ``mix`` (8,) has the coefficients of the terms A to F of [1]_ sec. 4.17.1, then the side of the barrier (+1: down)
    and 1 where crossing it knocks out. A rebate is paid on knocking out, or at expiry if nothing was knocked in.

    References
    ----------
    .. [1] Haug, *The Complete Guide to Option Pricing Formulas*, 2nd ed. 2007 (after Reiner & Rubinstein 1991).
    """
    k, r, q, t, sign, h, rebate = terms[1], terms[2], terms[3], terms[4], terms[6], terms[7], terms[8]
    side, is_out = mix[6], mix[7]
    left = max(t, 0.0)
    root, far, near = math.sqrt(left), math.exp(-r * left), math.exp(-q * left)
    for i in range(x.shape[0]):
        s = terms[0] * math.exp(x[i])
        sigma = terms[5] * math.exp(v[i])
        sd = sigma * root
        crossed = side * (s - h) <= 0.0
        if crossed or t <= 0.0:
            lives = crossed if is_out == 0.0 else not crossed
            out[i] += weight * (vanilla(s, terms, sd) if lives else rebate)
            continue
        mu = (r - q) / (sigma * sigma) - 0.5
        up = math.log(h / s)
        x1 = -math.log(k / s) / sd + (1.0 + mu) * sd
        x2 = -up / sd + (1.0 + mu) * sd
        y1 = (2.0 * up - math.log(k / s)) / sd + (1.0 + mu) * sd
        y2 = up / sd + (1.0 + mu) * sd
        one, two = 2.0 * mu * up, 2.0 * (mu + 1.0) * up + math.log(s)
        fs, fk = sign * near, sign * k * far
        value = mix[0] * (fs * s * normal(sign * x1) - fk * normal(sign * (x1 - sd)))
        value += mix[1] * (fs * s * normal(sign * x2) - fk * normal(sign * (x2 - sd)))
        value += mix[2] * (fs * scaled(two, side * y1) - fk * scaled(one, side * (y1 - sd)))
        value += mix[3] * (fs * scaled(two, side * y2) - fk * scaled(one, side * (y2 - sd)))
        if rebate != 0.0:
            value += mix[4] * rebate * far * (normal(side * (x2 - sd)) - scaled(one, side * (y2 - sd)))
            lam = math.sqrt(max(mu * mu + 2.0 * r / (sigma * sigma), 0.0))
            z = up / sd + lam * sd
            hit = scaled((mu + lam) * up, side * z) + scaled((mu - lam) * up, side * (z - 2.0 * lam * sd))
            value += mix[5] * rebate * hit
        out[i] += weight * value
