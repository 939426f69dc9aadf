"""Where a surrogate is evaluated before it knows anything, and where it is sure that it knows."""

from __future__ import annotations

import math

import numpy as np

from raresim.numerics.arrays import Float

FARTHEST = 1e-5
"""Probability that the radius of a draw is beyond that of the first design."""

INNERMOST = 0.15
"""Share of that radius at which the first design begins."""

BEYOND, AFAR_RADII = 1.25, (5.0, 8.0)
"""Distance of far evaluations, in those of the event; at least, and at most, where marginals still have numbers."""


def first_size(dim: int) -> int:
    """Evaluations of the first design."""
    return max(10, 2 * dim + 4)


def least_budget(dim: int) -> int:
    """Evaluations below which the method cannot begin."""
    return max(60, 2 * first_size(dim) + 40)


def first_design(dim: int, rng: np.random.Generator) -> Float:
    """The origin, and Sobol points turned into directions with radii spread evenly up to the edge of what matters."""
    from scipy import special, stats

    n = first_size(dim) - 1
    sobol = stats.qmc.Sobol(dim + 1, seed=rng).random(2 ** math.ceil(math.log2(n)))[:n]
    v = special.ndtri(np.clip(sobol[:, :dim], 1e-6, 1.0 - 1e-6))
    v /= np.linalg.norm(v, axis=1, keepdims=True)
    edge = math.sqrt(stats.chi2.isf(FARTHEST, dim))
    steps = INNERMOST + (1.0 - INNERMOST) * (np.argsort(np.argsort(sobol[:, dim])) + 0.5) / n
    return np.vstack([np.zeros((1, dim)), v * (edge * steps)[:, np.newaxis]])


def far_points(points: Float, expected: Float, rng: np.random.Generator) -> Float:
    """Points (4 d, d) beyond the events, on the axes and in random directions.

    A part that shows only where it fails is a cone that widens with the distance, and mostly depends on few inputs.

    Parameters
    ----------
    points : (k, d) float64
        Points of a pool.
    expected : (e, k) float64
        What each of them is expected to contribute to the probability of each event.
    rng : numpy.random.Generator
        Advanced in place.
    """
    dim, radius = points.shape[1], far_radius(points, expected)
    axes = np.vstack([np.eye(dim), -np.eye(dim)])
    others = rng.standard_normal(axes.shape)
    return np.asarray(radius * np.vstack([axes, others / np.linalg.norm(others, axis=1, keepdims=True)]))


def far_radius(points: Float, expected: Float) -> float:
    """Distance of far evaluations from the origin; the arguments are those of `far_points`."""
    squares = np.square(points).sum(axis=1)
    distances = [math.sqrt(float(some @ squares) / max(float(some.sum()), 1e-300)) for some in expected]
    return min(max(BEYOND * max(distances), AFAR_RADII[0]), AFAR_RADII[1])


def directions(points: Float) -> Float:
    """``points`` (k, d) at distance one from the origin, in Fortran order."""
    return np.asfortranarray(points / np.linalg.norm(points, axis=1, keepdims=True))
