"""Ridge regression of losses on draws made for other purposes, for the direction of ascent."""

from __future__ import annotations

import math

import numpy as np

from raresim.numerics.arrays import Float

PENALTIES = np.logspace(-8, 1, 19)
"""Ridge penalties that are tried, relative to the sum of squares of a standardised column."""

WINSOR = 0.01
"""Share of the losses at each end that is winsorised: a few huge losses must not decide."""


def ridge_direction(u: Float, loss: Float) -> Float | None:
    """Unit vector (d,) along which the loss rises; None if it does not vary.

    Parameters
    ----------
    u : (n, d)
        Draws.
    loss : (n,)
        Losses of the draws.

    Notes
    -----
    Ridge regression of the winsorised losses. The mean of the draws in the event has squared noise ``d / n`` across its
    direction, and each unit of it costs a factor ``e`` in the variance of the weights. A regression on all draws has
    far less noise, and none for a linear loss once ``n > d``.
    """
    finite = np.isfinite(loss)
    u, loss = u[finite], loss[finite]
    if loss.size < 10:
        return None
    y = np.clip(loss, *np.quantile(loss, [WINSOR, 1.0 - WINSOR]))
    if not np.any(y != y[0]):
        return None
    y = (y - y.mean()) / np.abs(y).max()
    slope = ridge(u - u.mean(axis=0), y)
    length = math.sqrt(float(slope @ slope))
    return None if length == 0.0 or not math.isfinite(length) else slope / length


def ridge(x: Float, y: Float) -> Float:
    """Coefficients (k,) of centred ``y`` (n,) on centred columns ``x`` (n, k), with the penalty of [1]_.

    References
    ----------
    .. [1] Golub, Heath & Wahba, *Generalized cross-validation as a method for choosing a good ridge parameter*,
       Technometrics 21, 1979.
    """
    n, k = x.shape
    if n <= k:
        values, left = np.linalg.eigh(x @ x.T)
        values = np.maximum(values, 0.0)
        seen = left.T @ y
    else:
        values, right = np.linalg.eigh(x.T @ x)
        values = np.maximum(values, 1e-12 * max(values[-1], 1e-300))
        seen = (right.T @ (x.T @ y)) / np.sqrt(values)
    rest = max(float(y @ y - seen @ seen), 0.0)
    scores = []
    for penalty in PENALTIES * n:
        left_out = penalty / (values + penalty)
        residual = rest + float(np.square(left_out * seen).sum())
        freedom = n - float((1.0 - left_out).sum())
        scores.append(residual / max(freedom, 1e-9) ** 2)
    penalty = PENALTIES[int(np.argmin(scores))] * n
    slope: Float = (
        x.T @ (left @ (seen / (values + penalty))) if n <= k else right @ (np.sqrt(values) * seen / (values + penalty))
    )
    return slope
