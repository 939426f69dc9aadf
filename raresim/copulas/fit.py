"""The result of a fit of a copula to pseudo-observations, and the search for its one parameter."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from raresim.copulas.base import Copula
from raresim.marginals.likelihood import Criteria
from raresim.numerics.arrays import Float

_GRID = 24
"""Number of grid points of the first search."""


@dataclass(frozen=True, eq=False)
class CopulaFit(Criteria):
    """A copula fitted to pseudo-observations.

    Parameters
    ----------
    copula : Copula
        The copula with the fitted parameters.
    parameters : mapping
        Name to value of the fitted parameters; ``rho[i][j]`` for a correlation.
    std_errors : mapping
        Name to standard error.
    log_likelihood : float
        Log likelihood of the copula at the scores, in nats.
    n : int
        Number of observations.
    """

    copula: Copula
    parameters: Mapping[str, float]
    std_errors: Mapping[str, float]
    log_likelihood: float
    n: int


def log_likelihood(copula: Copula, scores: Float) -> float:
    """Log likelihood of a copula at normal scores (n, d), in nats."""
    terms = np.empty(len(scores))
    copula.logpdf(scores, terms)
    return float(terms.sum())


def pairs(matrix: Float) -> dict[str, float]:
    d = matrix.shape[0]
    return {f"rho[{i}][{j}]": float(matrix[i, j]) for i in range(d) for j in range(i)}


def maximise(total: Callable[[float], float], low: float, high: float) -> tuple[float, Literal["", "low", "high"]]:
    """The maximiser of ``total``, and the end of the range at which it lies, if any: a grid, then Brent's search."""
    from scipy import optimize

    grid = np.linspace(low, high, _GRID)
    with np.errstate(all="ignore"):
        values = np.array([total(float(point)) for point in grid])
    best = int(np.nanargmax(values))
    bracket = grid[max(best - 1, 0)], grid[min(best + 1, _GRID - 1)]
    found = optimize.minimize_scalar(
        lambda point: -total(float(point)), bounds=bracket, method="bounded", options={"xatol": 1e-8 * (high - low)}
    )
    at = float(found.x)
    if best in {0, _GRID - 1} and values[best] >= -float(found.fun):
        return at, "low" if best == 0 else "high"
    return at, ""


def std_error_of(total: Callable[[float], float], at: float, low: float, high: float) -> float:
    """Standard error from the second derivative of the log likelihood; NaN if that is not negative."""
    step = min(1e-3 * at, 0.5 * (at - low), 0.5 * (high - at))
    if step <= 0:
        return math.nan
    curvature = (total(at + step) - 2.0 * total(at) + total(at - step)) / step**2
    return 1.0 / math.sqrt(-curvature) if curvature < 0 else math.nan
