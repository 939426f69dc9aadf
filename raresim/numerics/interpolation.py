"""A smooth function of one variable as polynomials of degree 7 on even cells, read by one compiled loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from raresim.numerics.arrays import Float, frozen
from raresim.numerics.jit import kernel

DEGREE = 7


@dataclass(frozen=True, eq=False)
class PiecewisePolynomial:
    """A function on ``[low, high]``, tabulated.

    Parameters
    ----------
    low, high : float
        Ends of the table.
    coefficients : (cells, 8) float64
        Coefficients in each cell of the powers of the position in it, which runs from 0 to 1.
    """

    low: float
    high: float
    coefficients: Float

    @classmethod
    def fit(cls, function: Callable[[Float], Float], low: float, high: float, cells: int) -> PiecewisePolynomial:
        """Interpolate ``function``, which takes and returns a vector, at the 8 Chebyshev points of each cell."""
        place = 0.5 * (1.0 - np.cos((np.arange(DEGREE + 1) + 0.5) * np.pi / (DEGREE + 1)))
        edges = np.linspace(low, high, cells + 1)
        points = edges[:-1, None] + np.diff(edges)[:, None] * place
        values = function(points.ravel()).reshape(points.shape)
        # Differences from the middle value are fitted, so that a large constant costs no digits of the shape.
        middle = values[:, DEGREE // 2]
        coefficients = np.linalg.solve(np.vander(place, increasing=True), (values - middle[:, None]).T).T
        coefficients[:, 0] += middle
        return cls(float(low), float(high), frozen(np.ascontiguousarray(coefficients)))

    def __call__(self, x: Float, out: Float) -> bool:
        """Write the function of ``x`` (n,) into ``out`` (n,); False when some ``x`` lie outside the table.

        Values outside come from the polynomial of the nearest cell and mean nothing: the caller replaces them.
        """
        cells = self.coefficients.shape[0]
        return evaluate(x, self.coefficients, self.low, cells / (self.high - self.low), out) == 0

    def extended(self, x: Float) -> Float:
        """The function of ``x`` (n,), continued as a straight line beyond the ends of the table."""
        inside = np.clip(x, self.low, self.high)
        value = np.empty(inside.shape)
        self(inside, value)
        per_unit = self.coefficients.shape[0] / (self.high - self.low)
        slope = np.where(x < self.low, self.coefficients[0, 1], self.coefficients[-1] @ np.arange(DEGREE + 1.0))
        return np.asarray(value + slope * per_unit * (x - inside))


@kernel
def evaluate(x: Float, coefficients: Float, low: float, per_unit: float, out: Float) -> int:
    """`PiecewisePolynomial.__call__`; returns how many of ``x`` lie outside. ``out`` may be ``x``.

    Estrin's scheme adds up pairs of terms first: they need not wait for each other as the steps of Horner's do.
    """
    last = coefficients.shape[0] - 1
    outside = 0
    for i in range(x.shape[0]):
        position = (x[i] - low) * per_unit
        if not 0.0 <= position <= last + 1.0:
            outside += 1
        k = int(min(max(position, 0.0), float(last)))
        c = coefficients[k]
        t = position - k
        square = t * t
        lower = (c[0] + t * c[1]) + square * (c[2] + t * c[3])
        upper = (c[4] + t * c[5]) + square * (c[6] + t * c[7])
        out[i] = lower + square * square * upper
    return outside
