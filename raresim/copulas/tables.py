"""Tables of the smooth functions of one variable that copulas read at every draw, and logs that keep their digits."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from raresim.numerics import arrays
from raresim.numerics.arrays import Float
from raresim.numerics.interpolation import PiecewisePolynomial
from raresim.numerics.jit import kernel

U_MAX = 38.5
"""Half-width of the tables: a standard normal lies beyond it with probability 1e-323."""

TABLE_ERROR = 1e-11
FINEST_CELLS = 60_000
_CELLS = 1200
_TINY = -36.0
"""Log of a number that is lost in rounding when added to 1."""


def log_one_minus_exp(log_a: Float) -> Float:
    """``log(1 - exp(-a))`` from ``log a``."""
    with np.errstate(over="ignore", divide="ignore"):
        a = np.exp(log_a)
        near = np.log(-np.expm1(-a))
        far = np.log1p(-np.exp(-a))
    return np.where(log_a < _TINY, log_a, np.where(a < 0.7, near, far))


def log_minus_log_one_minus_exp(log_a: Float) -> Float:
    """``log(-log(1 - exp(-a)))`` from ``log a``; this function is its own inverse."""
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        a = np.exp(log_a)
        return np.where(a > -_TINY, -a, np.log(-log_one_minus_exp(np.where(a > -_TINY, 0.0, log_a))))


def log_minus_log_one_minus(log_z: Float) -> Float:
    """``log(-log(1 - z))`` from ``log z``, which is below zero."""
    with np.errstate(divide="ignore"):
        return np.where(log_z < _TINY, log_z, np.log(-np.log1p(-np.exp(log_z))))


def log_expm1(log_a: Float) -> Float:
    """``log(exp(a) - 1)`` from ``log a``."""
    with np.errstate(over="ignore"):
        return np.where(log_a < _TINY, log_a, np.exp(log_a) + log_one_minus_exp(log_a))


def log_softplus(y: Float) -> Float:
    """``log(log(1 + exp(y)))``."""
    with np.errstate(divide="ignore"):
        return np.where(y < _TINY, y, np.log(np.logaddexp(0.0, np.maximum(y, _TINY - 1.0))))


def log_exponential_exactly(u: Float) -> Float:
    """``log(-log Phi(u))``, the log of a standard exponential that falls as the standard normal ``u`` rises."""
    from scipy import special

    high = u > 5.0
    out = np.empty(u.shape)
    out[~high] = np.log(-special.log_ndtr(u[~high]))
    log_q = special.log_ndtr(-u[high])
    q = np.exp(log_q)
    out[high] = log_q + np.log1p(q * (0.5 + q / 3.0))
    return out


@functools.cache
def _log_exponential_table() -> PiecewisePolynomial:
    return PiecewisePolynomial.fit(log_exponential_exactly, -U_MAX, U_MAX, _CELLS)


def log_exponential(u: Float, out: Float) -> None:
    """Write `log_exponential_exactly` of ``u`` (n,) into ``out`` (n,), which is not the memory of ``u``."""
    read(_log_exponential_table(), log_exponential_exactly, u, out)


def read(table: PiecewisePolynomial, exactly: Callable[[Float], Float], u: Float, out: Float) -> None:
    """Write the table's values at ``u`` (n,) into ``out`` (n,), from ``exactly`` where they lie outside the table."""
    if not table(u, out):
        beyond = ~((u >= table.low) & (u <= table.high))
        out[beyond] = exactly(u[beyond])


@dataclass(frozen=True, eq=False)
class StretchedTable:
    """A table of a function on the whole line that grows like the square root of its argument.

    Normal scores of probabilities that fall exponentially in ``x`` are such functions. They are polynomials of
    ``w = z (1 + z^2)^(-1/4)`` with ``z = (x - centre) / scale``, which is ``z`` near 0 and ``sqrt|z|`` far away.

    Parameters
    ----------
    function : callable
        Takes and returns a vector; used outside the table.
    polynomial : PiecewisePolynomial or None
        Table in ``w``; None where no table of up to `FINEST_CELLS` cells is exact enough.
    low, high : float
        The part of the line that is tabulated.
    centre, scale : float
        Centre and scale of the argument.
    error : float
        Largest error found between the nodes: absolute below 1, relative above.
    """

    function: Callable[[Float], Float]
    polynomial: PiecewisePolynomial | None
    low: float
    high: float
    centre: float
    scale: float
    error: float

    @classmethod
    def of(
        cls, function: Callable[[Float], Float], low: float, high: float, centre: float = 0.0, scale: float = 1.0
    ) -> StretchedTable:
        """The table of ``function`` with the fewest cells that reach `TABLE_ERROR`."""

        def of_place(w: Float) -> Float:
            fourth = w**4
            z = np.copysign(np.sqrt(0.5 * (fourth + np.sqrt(fourth * (fourth + 4.0)))), w)
            return function(centre + scale * z)

        ends = np.array([low, high])
        stretched(ends, centre, scale, ends)
        cells = max(64, int(8 * (ends[1] - ends[0])))
        error = np.inf
        while cells <= FINEST_CELLS:
            polynomial = PiecewisePolynomial.fit(of_place, ends[0], ends[1], cells)
            w = np.linspace(ends[0], ends[1], 5 * cells + 1)
            w = 0.5 * (w[1:] + w[:-1])
            found = np.empty(w.shape)
            polynomial(w, found)
            exact = of_place(w)
            error = float(np.max(np.abs(found - exact) / np.maximum(np.abs(exact), 1.0)))
            if error <= TABLE_ERROR:
                return cls(function, polynomial, low, high, centre, scale, error)
            cells *= 2
        return cls(function, None, low, high, centre, scale, error)

    def __call__(self, x: Float, out: Float) -> None:
        """Write the function of ``x`` (n,) into ``out`` (n,), which is not the memory of ``x``."""
        if self.polynomial is None:
            out[:] = self.function(x)
            return
        stretched(x, self.centre, self.scale, out)
        if not self.polynomial(out, out):
            place = arrays.scratch("stretched", x.shape[0], 1)[:, 0]
            stretched(x, self.centre, self.scale, place)
            beyond = ~((place >= self.polynomial.low) & (place <= self.polynomial.high))
            out[beyond] = self.function(x[beyond])


@kernel
def stretched(x: Float, centre: float, scale: float, out: Float) -> None:
    """``out = z (1 + z^2)^(-1/4)`` with ``z = (x - centre) / scale``; ``out`` may be ``x``."""
    inverse = 1.0 / scale
    for i in range(x.shape[0]):
        z = (x[i] - centre) * inverse
        out[i] = z / np.sqrt(np.sqrt(1.0 + z * z))
