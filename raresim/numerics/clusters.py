"""How weighted rows lie together: their clusters, and the directions in which they spread most."""

from __future__ import annotations

import math

import numpy as np

from raresim.numerics.arrays import Float, Index


def seeds(u: Float, weight: Float, k: int, rng: np.random.Generator) -> Float:
    """Up to ``k`` rows of ``u`` (n, d), drawn by weight times squared distance from those before: k-means++ of [1]_.

    There are fewer if no other row with a positive weight is left.

    References
    ----------
    .. [1] Arthur & Vassilvitskii, *k-means++: the advantages of careful seeding*, SODA 2007.
    """
    chosen: list[Float] = []
    nearest, chance = np.full(len(u), np.inf), weight
    while len(chosen) < k and (total := chance.sum()) > 0:
        chosen.append(u[rng.choice(len(u), p=chance / total)])
        nearest = np.minimum(nearest, np.square(u - chosen[-1]).sum(axis=1))
        chance = weight * nearest
    return np.array(chosen).reshape(-1, u.shape[1])


def distances(u: Float, centres: Float) -> Float:
    """Squared distances (n, k) of the rows of ``u`` (n, d) from ``centres`` (k, d)."""
    apart = np.empty((len(u), len(centres)))
    for j, centre in enumerate(centres):
        apart[:, j] = np.square(u - centre).sum(axis=1)
    return apart


def settled(u: Float, weight: Float, centres: Float, steps: int) -> tuple[Index, float]:
    """The nearest centre of each row after ``steps`` of Lloyd's algorithm, and the weighted sum of squared distances.

    Before each step but the first, centres move to the weighted means of their rows.
    """
    centres, squares = centres.copy(), np.square(u).sum(axis=1)
    for _ in range(steps):
        distance = squares[:, None] - 2.0 * u @ centres.T + np.square(centres).sum(axis=1)
        label: Index = distance.argmin(axis=1)
        shares = (label[:, None] == np.arange(len(centres))).astype(np.float64)
        mass = weight @ shares
        filled = mass > 0
        centres[filled] = ((shares * weight[:, None]).T @ u)[filled] / mass[filled, None]
    return label, float(weight @ distance.min(axis=1))


def one_hot(label: Index, k: int) -> Float:
    """Shares (n, k): one in the cluster of each row, zero elsewhere."""
    shares: Float = (label[:, None] == np.arange(k)).astype(np.float64)
    return shares


def principal(centred: Float, n: float = 1.0) -> tuple[Float, Float]:
    """Eigenvalues of ``centred' centred / n``, in ascending order, and unit eigenvectors as columns.

    The rows are ``centred`` (m, d). With fewer rows than columns, the result has only the ``m`` that the rows span.
    """
    m, d = centred.shape
    if m >= d:
        values, vectors = np.linalg.eigh(centred.T @ centred / n)
        return values, vectors
    values, left = np.linalg.eigh(centred @ centred.T / n)
    spanned = centred.T @ left
    spanned /= np.maximum(np.sqrt(np.square(spanned).sum(axis=0)), 1e-12)
    return values, spanned


def noise_edge(d: int, n: float) -> float:
    """Approximate largest eigenvalue of the covariance of ``n`` draws of ``d`` independent standard normals, [1]_.

    References
    ----------
    .. [1] Johnstone, *On the distribution of the largest eigenvalue in principal components analysis*,
       Ann. Stat. 29, 2001.
    """
    return (1.0 + math.sqrt(d / n)) ** 2
