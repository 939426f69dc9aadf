"""Logs of tail probabilities and their quantiles, where SciPy's own lose digits or underflow.

The incomplete gamma and beta functions are SciPy's down to 1e-300, and series in logs below that. A quantile starts
from SciPy's inverse and is made exact by Newton steps on the log of the tail.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from raresim.numerics.arrays import Float

SMALLEST = 1e-300
"""Probabilities below it are computed in logs."""

TERMS = 100_000
STEPS = 50


def log1mexp(log_p: Float) -> Float:
    """``log(1 - exp(log_p))`` for ``log_p <= 0``."""
    with np.errstate(divide="ignore"):
        return np.where(log_p > -0.7, np.log(-np.expm1(log_p)), np.log1p(-np.exp(log_p)))


def log_hazard(log_p: Float, upper: bool) -> Float:
    """Log of ``-log S`` where the lower (or upper) tail ``1 - S`` (or ``S``) has log probability ``log_p``."""
    return np.asarray(np.log(-log_p)) if upper else log_minus_log1m(log_p)


def log_minus_log1m(log_p: Float) -> Float:
    """``log(-log(1 - exp(log_p)))``, which is ``log_p`` where that is small."""
    with np.errstate(divide="ignore"):
        return np.where(log_p < -40.0, log_p, np.log(-log1mexp(log_p)))


def log1m_exp_minus_exp(log_t: Float) -> Float:
    """``log(1 - exp(-t))`` from ``log t``: the inverse of `log_minus_log1m`."""
    with np.errstate(over="ignore", divide="ignore"):
        return np.where(log_t < -40.0, log_t, log1mexp(-np.exp(log_t)))


def expm1_ratio(xi: float, t: Float) -> Float:
    """``(exp(xi t) - 1) / xi``, which is ``t`` for ``xi = 0``: the inverse of `log1p_ratio`."""
    return t if xi == 0 else np.asarray(np.expm1(xi * t) / xi)


def log1p_ratio(xi: float, z: Float) -> Float:
    """``log(1 + xi z) / xi``, which is ``z`` for ``xi = 0``."""
    if xi == 0:
        return z
    with np.errstate(divide="ignore"):
        return np.asarray(np.log1p(np.maximum(xi * z, -1.0)) / xi)


def log_gamma_mass(a: float, h: Float) -> Float:
    """``log(y^a e^-y / Gamma(a))`` at ``y = exp(h)``, the log of the gamma density times ``y``.

    For large ``a`` it is expanded about its peak at ``a``, with Stirling's series for the rest of ``Gamma(a)``, DLMF
    5.11.1.
    """
    from scipy import special

    if a < 100.0:
        return np.asarray(a * h - np.exp(h) - special.gammaln(a))
    rise = h - np.log(a)
    rest = 0.5 * np.log(a / (2.0 * np.pi)) - (1.0 / 12.0 - (1.0 / 360.0 - 1.0 / (1260.0 * a * a)) / (a * a)) / a
    return np.asarray(a * (rise - np.expm1(rise)) + rest)


def log_gamma_cdf(a: float, h: Float) -> Float:
    """``log P(a, y)`` of the gamma law at ``y = exp(h)``.

    A small value comes from ``P = y^a e^-y / Gamma(a + 1) * sum_n y^n / ((a + 1) ... (a + n))``, DLMF 8.7.1.
    """
    from scipy import special

    y = np.exp(h)
    p = special.gammainc(a, y)
    out = _log(p)
    far = (p < SMALLEST) | (y < SMALLEST)
    if far.any():
        y, h = y[far], h[far]
        out[far] = log_gamma_mass(a, h) - np.log(a) + _log_series(lambda n: y / (a + n), y)
    return out


def log_gamma_sf(a: float, y: Float) -> Float:
    """``log Q(a, y)`` of the gamma law; a small value comes from the continued fraction of DLMF 8.9.2."""
    from scipy import special

    q = special.gammaincc(a, y)
    out = _log(q)
    far = (q < SMALLEST) & np.isfinite(y)
    if far.any():
        y = y[far]
        b = y + 1.0 - a
        d = 1.0 / b
        c = np.full(y.shape, 1e300)
        fraction = d
        for n in range(1, TERMS):
            term = -n * (n - a)
            b = b + 2.0
            d = 1.0 / (term * d + b)
            c = b + term / c
            fraction = fraction * (c * d)
            if (np.abs(c * d - 1.0) < 1e-16).all():
                break
        out[far] = log_gamma_mass(a, np.log(y)) + np.log(fraction)
    return out


def gamma_log_quantile(a: float, log_p: Float) -> Float:
    """``h = log y`` with ``log P(a, y) = log_p``, for probabilities up to one half."""
    from scipy import special

    start = special.gammaincinv(a, np.exp(log_p))
    h = np.where(start > SMALLEST, np.log(np.maximum(start, SMALLEST)), (log_p + special.gammaln(a + 1)) / a)

    def step(h: Float) -> Float:
        log_tail = log_gamma_cdf(a, h)
        return (log_tail - log_p) * np.exp(log_tail - log_gamma_mass(a, h))

    return _newton(step, h)


def gamma_isf(a: float, log_q: Float) -> Float:
    """``y`` with ``log Q(a, y) = log_q``, for probabilities up to one half."""
    from scipy import special

    inverse = special.gammainccinv(a, np.exp(log_q))
    start = np.where(np.isfinite(inverse) & (log_q > -690.0), inverse, np.maximum(a, 1.0) - log_q)

    def step(y: Float) -> Float:
        log_tail = log_gamma_sf(a, y)
        return (log_q - log_tail) * y * np.exp(log_tail - log_gamma_mass(a, np.log(y)))

    return _newton(step, np.asarray(start, dtype=np.float64))


def log_beta_cdf(a: float, b: float, h: Float) -> Float:
    """``log I_x(a, b)`` of the beta law at ``x = exp(h)``.

    A small value comes from ``I = x^a (1 - x)^b / (a B(a, b)) * sum_n (a + b)_n / (a + 1)_n x^n``, DLMF 8.17.8.
    """
    from scipy import special

    x = np.exp(h)
    p = special.betainc(a, b, x)
    out = _log(p)
    far = (p < SMALLEST) | (x < SMALLEST)
    if far.any():
        h, x = h[far], x[far]
        series = _log_series(lambda n: x * ((a + b + n - 1.0) / (a + n)), x)
        out[far] = a * h + b * np.log1p(-x) - np.log(a) - special.betaln(a, b) + series
    return out


def beta_log_quantile(a: float, b: float, log_p: Float) -> Float:
    """``h = log x`` with ``log I_x(a, b) = log_p``, for probabilities up to one half."""
    from scipy import special

    start = special.betaincinv(a, b, np.exp(log_p))
    h = np.where(start > SMALLEST, np.log(np.maximum(start, SMALLEST)), (log_p + np.log(a) + special.betaln(a, b)) / a)

    def step(h: Float) -> Float:
        log_tail = log_beta_cdf(a, b, h)
        log_slope = a * h + (b - 1.0) * np.log(-np.expm1(h)) - special.betaln(a, b) - log_tail
        # Where x is next to 1, SciPy's inverse is exact to the last digit, and 1 - x would be lost here.
        return np.where(h > -1e-3, 0.0, (log_tail - log_p) * np.exp(-log_slope))

    return _newton(step, h)


def t_logpdf(dof: float, z: Float) -> Float:
    """Log density of the standard t law."""
    from scipy import special

    return np.asarray(-0.5 * np.log(dof) - special.betaln(0.5 * dof, 0.5) - 0.5 * (dof + 1) * _log1p_square(dof, z))


def t_log_tail(dof: float, z: Float) -> Float:
    """``log P(T > z)`` of the standard t law for ``z >= 0``; half of ``I_w(dof / 2, 1 / 2)``, w = dof / (dof + z^2)."""
    from scipy import special

    log_w = -_log1p_square(dof, z)
    near = log_w > -0.7
    p = np.where(
        near, special.betaincc(0.5, 0.5 * dof, -np.expm1(log_w)), special.betainc(0.5 * dof, 0.5, np.exp(log_w))
    )
    out = _log(p)
    far = (p < SMALLEST) | (log_w < np.log(SMALLEST))
    if far.any():
        out[far] = log_beta_cdf(0.5 * dof, 0.5, log_w[far])
    return np.asarray(out - np.log(2.0))


def t_isf(dof: float, log_q: Float) -> Float:
    """``z >= 0`` with ``log P(T > z) = log_q``, for probabilities up to one half."""
    from scipy import special

    a = 0.5 * dof
    log_w = np.minimum((log_q + np.log(2.0 * a) + special.betaln(a, 0.5)) / a, 0.0)
    far = np.sqrt(dof) * np.exp(0.5 * (log1mexp(log_w) - log_w))
    near = -special.stdtrit(dof, np.exp(np.maximum(log_q, -100.0)))
    # The leading term of the far tail gives a start only where w is small.
    z = np.where(log_w < -20.0, far, np.where(log_q > -100.0, near, np.sqrt(-2.0 * log_q)))

    def step(z: Float) -> Float:
        log_tail = t_log_tail(dof, z)
        return (log_q - log_tail) * np.exp(log_tail - t_logpdf(dof, z))

    return _newton(step, np.maximum(z, 0.0))


def _log1p_square(dof: float, z: Float) -> Float:
    """``log(1 + z^2 / dof)``."""
    ratio = np.abs(z) / np.sqrt(dof)
    with np.errstate(over="ignore", divide="ignore"):
        return np.asarray(np.where(ratio < 1e9, np.log1p(ratio * ratio), 2.0 * np.log(ratio)))


def _log(p: Any) -> Float:
    """``log p``, ``-inf`` for 0."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(p))


def _log_series(ratio: Callable[[int], Float], like: Float) -> Float:
    """Log of ``1 + r(1) + r(1) r(2) + ...`` for positive ratios that end below 1."""
    term, total = np.ones(like.shape), np.ones(like.shape)
    for n in range(1, TERMS):
        term = term * ratio(n)
        total = total + term
        if (term < 1e-17 * total).all():
            break
    return np.asarray(np.log(total))


def _newton(step: Callable[[Float], Float], x: Float) -> Float:
    """``x`` after Newton steps, until the next would be lost in rounding; a step that is not finite is skipped."""
    for _ in range(STEPS):
        change = step(x)
        change = np.where(np.isfinite(change), change, 0.0)
        x = x - change
        if (np.abs(change) <= 1e-10 * np.maximum(np.abs(x), 1e-2)).all():
            break
    return x
