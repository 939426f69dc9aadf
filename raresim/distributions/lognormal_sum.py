"""Moments of weighted sums of jointly lognormal factors."""

from __future__ import annotations

import math

import numpy as np

from raresim.numerics.arrays import Float


def lognormal_moments(mean: Float, cov: Float, weights: Float) -> tuple[float, float]:
    """Mean and standard deviation of ``sum_i weights[i] * exp(x_i)`` for jointly normal ``x``; NaN where too large."""
    with np.errstate(over="ignore", invalid="ignore"):
        parts = weights * np.exp(mean + 0.5 * np.diag(cov))
        variance = float(parts @ np.expm1(cov) @ parts)
    total = float(parts.sum())
    if not (math.isfinite(total) and math.isfinite(variance)):
        return math.nan, math.nan
    return total, math.sqrt(max(variance, 0.0))
