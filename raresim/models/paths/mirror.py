"""Brownian paths that turn at a barrier that is watched all the time: with one drift, and mirrored where they hit."""

from __future__ import annotations

import numpy as np

from raresim.models.paths import bridge
from raresim.models.paths.steps import NormalStep
from raresim.numerics.arrays import Float


def mirrored(rng: np.random.Generator, step: NormalStep, first: float, turn: float, shape: tuple[int, int]) -> Float:
    """Normals (n, 2 steps) of steps, and of exponentials between dates, of paths that turn at ``turn``.

    Parameters
    ----------
    rng : numpy.random.Generator
        The block's stream; advanced in place.
    step : NormalStep
        The law of a step.
    first : float
        The twist until the path turns.
    turn : float
        The barrier, in the coordinates of the path.
    shape : tuple of int
        Rows and steps.

    Notes
    -----
    Two twists with one cumulant give a Brownian motion the drifts ``a`` and ``-a``. By the reflection principle a
    path with the drift ``a`` that is mirrored at the barrier from the time on at which it hits it, wherever between
    two dates that is, has the law of one that turns there. The density ratio of such a path to the model depends on
    its end alone, and on whether it has turned. So given the dates and that it hits, what happens within a step is
    that of the model: the exponential of the step of the turn is drawn given that the bridge reaches the barrier.
    """
    n, m = shape
    sign = 1.0 if turn > 0 else -1.0
    path = np.asfortranarray(np.cumsum(step.loc + step.std * step.sample(rng, first, shape)[0], axis=1))
    between = np.asfortranarray(rng.standard_exponential(shape))
    again = rng.standard_exponential(n)
    points = np.empty(shape, order="F")
    bridge.extremes(path, between, step.std**2, sign, points)
    hit = sign * points >= sign * turn
    rows = np.flatnonzero(hit.any(axis=1))
    stop = hit[rows].argmax(axis=1)
    after = np.arange(m) >= stop[:, None]
    path[rows] = np.where(after, 2.0 * turn - path[rows], path[rows])
    before = np.where(stop > 0, path[rows, np.maximum(stop - 1, 0)], 0.0)
    least = 2.0 * (turn - before) * (turn - path[rows, stop]) / step.std**2
    between[rows, stop] = np.maximum(least, 0.0) + again[rows]
    return np.hstack([(np.diff(path, axis=1, prepend=0.0) - step.loc) / step.std, exponential_scores(between)])


def exponential_scores(value: Float) -> Float:
    """The standard normal ``u`` with ``P(E > value) = Phi(-u)`` of a standard exponential."""
    from scipy import special

    return np.asarray(-special.ndtri_exp(-value))
