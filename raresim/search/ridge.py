"""Ridge regression of losses on draws that were made for other reasons: the direction of ascent, and a quadratic."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from raresim.arrays import Float

PENALTIES = np.logspace(-8, 1, 19)
"""Ridge penalties that are tried, relative to the sum of squares of a standardised column."""

WINSOR = 0.01
"""Share of the losses at each end that is drawn in: a few huge losses must not decide."""

FULL_QUADRATIC = 40
"""Coordinates up to which a quadratic has its mixed terms."""

ROWS_PER_TERM = 1.3
"""Rows that a quadratic needs for each of its terms."""

MOST_ROWS = 4000


def ridge_direction(u: Float, loss: Float) -> Float | None:
    """Unit vector (d,) along which the loss rises; None where it does not vary.

    Parameters
    ----------
    u : (n, d)
        Draws.
    loss : (n,)
        Their losses.

    Notes
    -----
    Ridge regression of the winsorised losses. The mean of the draws in the event has squared noise ``d / n`` across its
    direction, and each unit of it costs a factor ``e`` in the variance of the weights; a regression on all draws has
    far less, and none for a linear loss once ``n > d``.
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
    """Coefficients (k,) of centred ``y`` (n,) on centred columns ``x`` (n, k), the penalty by [1]_.

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


@dataclass(frozen=True, eq=False)
class Quadratic:
    """A quadratic in place of the margin ``loss - goal``: positive where it expects the event.

    It only ever shapes a proposal; every draw of the estimate is evaluated with the loss itself.
    """

    centre: Float
    scale: Float
    slope: Float
    intercept: float
    mixed: bool

    def __call__(self, u: Float) -> Float:
        """Its value (n,) at the rows of ``u`` (n, d)."""
        value: Float = (_terms(u, self.mixed) - self.centre) / self.scale @ self.slope + self.intercept
        return value


def fit_quadratic(u: Float, margin: Float) -> Quadratic | None:
    """Fit a quadratic to margins (n,) at draws (n, d); None where there are too few of them, or all are equal.

    The margins are squeezed by ``asinh`` at their median size, which keeps the zero and tames orders of magnitude.
    """
    finite = np.isfinite(margin)
    u, margin = u[finite][:MOST_ROWS], margin[finite][:MOST_ROWS]
    n, d = u.shape
    mixed = d <= FULL_QUADRATIC and n >= ROWS_PER_TERM * (d + 1) * (d + 2) / 2
    if not mixed and n < ROWS_PER_TERM * (2 * d + 1):
        return None
    size = float(np.median(np.abs(margin)))
    if size == 0.0:
        return None
    y = np.arcsinh(margin / size)
    terms = _terms(u, mixed)
    centre, scale = terms.mean(axis=0), np.maximum(terms.std(axis=0), 1e-12)
    slope = ridge((terms - centre) / scale, y - y.mean())
    return Quadratic(centre, scale, slope, float(y.mean()), mixed)


def _terms(u: Float, mixed: bool) -> Float:
    """Linear and quadratic terms of each row."""
    if not mixed:
        return np.hstack([u, np.square(u)])
    i, j = np.triu_indices(u.shape[1])
    return np.hstack([u, u[:, i] * u[:, j]])
