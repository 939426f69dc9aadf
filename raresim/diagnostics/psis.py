"""The shape of the weights' tail."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from raresim.diagnostics.ess import effective
from raresim.numerics.arrays import Float

MIN_TAIL = 5

SMALLEST = 1e-290
"""Least quartile of the tail, relative to the largest weight, that can still be divided by."""

CHANCE = 1e-3
"""Probability at which weights without a variance may pass for bounded ones."""

MOST_TO_MEAN = 10.0
"""Ratio of the largest weight to their mean above which weights never pass for bounded ones."""


def khat(log_weights: Float, n: int) -> float | None:
    """Pareto shape of the largest of ``n`` weights.

    Above 0.5 the weights have no variance, so the estimate has no standard error.

    Parameters
    ----------
    log_weights : (j,) float64
        The largest log weights, in any order: all, or more than ``3 sqrt(n)`` of them. A common constant changes
        nothing.
    n : int
        Number of all weights.

    Returns
    -------
    float or None
        None where there is no tail to fit: fewer than five weights, or a quarter of them no larger than the cut-off.

    Notes
    -----
    Tail of ``min(n / 5, 3 sqrt(n))`` weights, generalised Pareto fitted by the posterior mean of [2]_, shrunk towards
    0.5 by ten pseudo-observations as in [1]_ app. C.

    References
    ----------
    .. [1] Vehtari, Simpson, Gelman, Yao & Gabry, *Pareto smoothed importance sampling*, JMLR 25, 2024.
    .. [2] Zhang & Stephens, *A new and efficient estimation method for the generalized Pareto distribution*,
       Technometrics 51, 2009.
    """
    tail_size = math.ceil(min(0.2 * n, 3.0 * math.sqrt(n)))
    ordered = np.sort(log_weights)
    tail_size = min(tail_size, ordered.size - 1)
    if tail_size < MIN_TAIL:
        return None
    weights = np.exp(ordered[-tail_size - 1 :] - ordered[-1])
    excess = weights[1:] - weights[0]
    if excess[-1] <= 1e-12 or excess[_quartile(excess.size)] < SMALLEST:
        return None
    return _pareto_shape(excess)


def evenness(log_weights: Float) -> dict[str, Any]:
    """The diagnostics of all ``log_weights`` (j,), in nats, at least one, that the checks of a verdict use.

    ``ess``, ``max_share``, ``khat``, ``weights`` and ``max_to_mean``, as in ``result.json``.
    """
    relative = np.exp(log_weights - log_weights.max())
    total = float(relative.sum())
    return {
        "ess": effective(relative),
        "max_share": 1.0 / total,
        "khat": khat(log_weights, log_weights.size),
        "weights": log_weights.size,
        "max_to_mean": log_weights.size / total,
    }


def bounded(max_to_mean: float, n: int) -> bool:
    """Whether the largest of ``n`` weights is too near their mean for a tail without a variance.

    Parameters
    ----------
    max_to_mean : float
        The largest weight divided by the mean of all.
    n : int
        Number of all weights.

    Notes
    -----
    `khat` sees the excesses over a cut-off, not how small they are beside it. Where most weights are nearly equal and a
    few are several times larger, up to a bound, it takes the spread of the excesses for a tail without end. The
    lightest tail without a variance is ``P(W > w) = (m / 2w)^2`` with mean ``m``: all of ``n`` such weights stay below
    ``r m`` with probability ``(1 - 1 / 4r^2)^n``, about ``exp(-n / 4r^2)``. Weights that stay below the ``r`` at which
    this is `CHANCE` have a bound.
    """
    return max_to_mean < min(MOST_TO_MEAN, math.sqrt(n / (-4.0 * math.log(CHANCE))))


def _quartile(m: int) -> int:
    return max(0, int(m / 4 + 0.5) - 1)


def _pareto_shape(excess: Float) -> float:
    """Shape of the generalised Pareto law of ``excess`` (m,), ascending: [2] sec. 2, with prior."""
    m = excess.size
    grid = 30 + int(math.sqrt(m))
    quartile = excess[_quartile(m)]
    j = np.arange(1, grid + 1)
    theta = 1.0 / excess[-1] + (1.0 - np.sqrt(grid / (j - 0.5))) / (3.0 * quartile)
    theta[theta == 0.0] = 1e-200  # the exponential law, whose likelihood is the limit and not 0 / 0
    shapes = np.log1p(-theta[:, None] * excess).mean(axis=1)
    log_likelihood = m * (np.log(-theta / shapes) - shapes - 1.0)
    weight = np.exp(log_likelihood - log_likelihood.max())
    best = float((theta * weight).sum() / weight.sum())
    shape = float(np.log1p(-best * excess).mean())
    return (m * shape + 10 * 0.5) / (m + 10)
