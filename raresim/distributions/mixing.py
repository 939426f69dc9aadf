"""The mixing variable of the Student t law as a smooth function of one standard normal.

With ``W ~ chi-square(dof)`` and ``W = F^-1(Phi(u))``, the t law is ``loc + s(u) * z`` where
``s(u) = sqrt(dof / W(u))``. A far quantile of W costs an iteration per draw, and ``Phi(u)`` rounds to 1 at
u = 8.3. So ``log s`` is tabulated once per law, with its first two derivatives, from the log tail
probabilities on either side, and read by quintic Hermite interpolation.
"""

from __future__ import annotations

import numpy as np

from raresim.arrays import Float, frozen
from raresim.jit import kernel

U_MAX = 37.5
"""Half-width of the table: a standard normal lies beyond it with probability 1e-307."""

N_NODES = 3001
_SERIES_TERMS = 2000


def log_mixing_table(dof: float) -> Float:
    """Nodes of ``log s(u)`` on an even grid over [-U_MAX, U_MAX].

    Parameters
    ----------
    dof : float
        Degrees of freedom, positive.

    Returns
    -------
    (N_NODES, 3) float64
        ``log s`` and its first and second derivative times the step and the squared step.

    Notes
    -----
    With a = dof / 2, y = W / 2 and h = log y, the law of y is gamma(a) and dh/du = phi(u) / (y f(y)). Newton steps
    on the log of the smaller tail probability give h to rounding on both sides: the lower tail from the
    series of Abramowitz & Stegun 6.5.29, in logs because W itself may be below the smallest double.
    """
    from scipy import special

    a = 0.5 * dof
    u = np.linspace(-U_MAX, U_MAX, N_NODES)
    low = u < 0
    log_gamma = special.gammaln(a)
    h = np.empty_like(u)
    h[low] = _lower(a, special.log_ndtr(u[low]))
    h[~low] = _upper(a, special.log_ndtr(-u[~low]))
    y = np.exp(h)
    first = np.exp(-0.5 * u * u - 0.5 * np.log(2 * np.pi) - (a * h - y - log_gamma))
    second = first * (-u + (y - a) * first)
    step = u[1] - u[0]
    log_s = 0.5 * (np.log(a) - h)
    return frozen(np.ascontiguousarray(np.stack([log_s, -0.5 * step * first, -0.5 * step**2 * second], axis=1)))


def _lower(a: float, log_p: Float) -> Float:
    """``h = log y`` with ``log P(a, y) = log_p``, for probabilities up to one half."""
    from scipy import special

    h = (log_p + special.gammaln(a + 1)) / a
    usable = log_p > -600.0
    start = special.gammaincinv(a, np.exp(log_p[usable]))
    h[usable] = np.where(start > 1e-280, np.log(np.maximum(start, 1e-300)), h[usable])
    for _ in range(8):
        y = np.exp(h)
        term = np.ones_like(y)
        total = np.ones_like(y)
        for n in range(1, _SERIES_TERMS):
            term = term * (y / (a + n))
            total += term
            if (term < 1e-17 * total).all():
                break
        log_tail = a * h - y + np.log(total) - special.gammaln(a + 1)
        slope = np.exp(a * h - y - special.gammaln(a) - log_tail)
        h = h - (log_tail - log_p) / slope
    return h


def _upper(a: float, log_q: Float) -> Float:
    """``h = log y`` with ``log Q(a, y) = log_q``, for probabilities up to one half."""
    from scipy import special

    y = special.gammainccinv(a, np.exp(log_q))
    for _ in range(4):
        log_tail = np.log(special.gammaincc(a, y))
        slope = np.exp((a - 1) * np.log(y) - y - special.gammaln(a) - log_tail)
        y = y + (log_tail - log_q) / slope
    return np.log(y)


@kernel
def log_mixing(u: Float, table: Float, out: Float) -> None:
    """``out[i] = log s(u[i])`` by quintic Hermite interpolation; linear beyond the table."""
    nodes = table.shape[0]
    per_step = (nodes - 1) / (2.0 * U_MAX)
    for i in range(u.shape[0]):
        position = (u[i] + U_MAX) * per_step
        k = int(min(max(position, 0.0), nodes - 1.000001))
        t = position - k
        if t < 0.0:
            out[i] = table[0, 0] + t * table[0, 1]
        elif t > 1.0:
            out[i] = table[nodes - 1, 0] + (t - 1.0) * table[nodes - 1, 1]
        else:
            f0, d0, c0 = table[k, 0], table[k, 1], table[k, 2]
            f1, d1, c1 = table[k + 1, 0], table[k + 1, 1], table[k + 1, 2]
            rise = f1 - f0 - d0 - 0.5 * c0
            slope = d1 - d0 - c0
            bend = c1 - c0
            a3 = 10.0 * rise - 4.0 * slope + 0.5 * bend
            a4 = -15.0 * rise + 7.0 * slope - bend
            a5 = 6.0 * rise - 3.0 * slope + 0.5 * bend
            out[i] = f0 + t * (d0 + t * (0.5 * c0 + t * (a3 + t * (a4 + t * a5))))
