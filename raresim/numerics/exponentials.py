"""The exponential of many numbers: a loop that a processor without AVX-512 runs on several numbers at once, too.

NumPy's own does so with AVX-512 alone. Without, it takes three to four times as long as this loop, which is more than
the rest of a draw from most laws.
"""

from __future__ import annotations

import numpy as np

from raresim.numerics.arrays import Float
from raresim.numerics.jit import kernel

LEAST, LARGEST = -760.0, 720.0
"""Exponents beyond which the exponential is zero and infinite."""

PER_LOG_2 = 1.4426950408889634
LOG_2, LOG_2_REST = 6.93147180369123816490e-01, 1.90821492927058770002e-10
"""Log of two in two parts; the first has so few digits that its multiples are exact (Cody & Waite, 1980)."""

ROUNDING = 6755399441055744.0
"""1.5 times 2**52: a sum with it has the nearest whole number in its last bits."""

ONE = 0x3FF0000000000000
"""The bits of 1.0; a whole number ``k`` added to its exponent, which begins at bit 52, makes it ``2**k``."""


def exponential(x: Float, out: Float) -> None:
    """Write ``exp(x)`` into ``out``, with a relative error of at most 1.5e-16; overflow gives infinity.

    Parameters
    ----------
    x, out : (n,) or (n, m) float64
        ``out`` may be ``x``. Two-dimensional arrays are taken column by column.
    """
    if out is not x:
        np.copyto(out, x)
    for column in (out,) if out.ndim == 1 else out.T:
        exponentiate(column)


@kernel
def exponentiate(x: Float) -> None:
    """Replace ``x`` (n,) by its exponential.

    One array is read and written: with two, a loop that finds them to be the same does one number at a time.

    It is ``2**k exp(r)`` with ``|r| <= log(2) / 2`` and the Taylor polynomial of degree 13 for ``exp(r)``. The power of
    two comes in two factors, so that neither leaves the range of the normal floating-point numbers.
    """
    for i in range(x.shape[0]):
        v = LEAST if x[i] < LEAST else LARGEST if x[i] > LARGEST else x[i]  # NaN stays
        scaled = v * PER_LOG_2
        k = (scaled + ROUNDING) - ROUNDING
        half = 0.5 * scaled + ROUNDING
        rest = (k - (half - ROUNDING)) + ROUNDING
        r = (v - k * LOG_2) - k * LOG_2_REST
        r2 = r * r
        r4 = r2 * r2
        low = (1 / 2 + r * (1 / 6)) + r2 * (1 / 24 + r * (1 / 120))
        middle = (1 / 720 + r * (1 / 5040)) + r2 * (1 / 40320 + r * (1 / 362880))
        high = (1 / 3628800 + r * (1 / 39916800)) + r2 * (1 / 479001600 + r * (1 / 6227020800))
        of_r = 1.0 + (r + r2 * (low + r4 * (middle + r4 * high)))
        first = (np.float64(half).view(np.int64) << 52) + ONE
        second = (np.float64(rest).view(np.int64) << 52) + ONE
        x[i] = of_r * np.int64(first).view(np.float64) * np.int64(second).view(np.float64)
