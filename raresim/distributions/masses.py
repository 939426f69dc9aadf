"""Masses of intervals on a line and of shells, in logs."""

from __future__ import annotations

import numpy as np

from raresim.marginals.tails import log1mexp
from raresim.numerics.arrays import Float


def log_sum(parts: Float) -> Float:
    """``log sum_j exp(parts[..., j])``, ``-inf`` where every part is."""
    top = parts.max(axis=-1)
    top[top == -np.inf] = 0.0
    with np.errstate(divide="ignore"):
        return np.asarray(top + np.log(np.exp(parts - top[..., None]).sum(axis=-1)))


def log_normal_mass(a: Float, b: Float) -> Float:
    """``log(Phi(b) - Phi(a))`` for ``a < b``, computed in the tail on the side of the two."""
    from scipy.special import log_ndtr

    mirrored = -a > b
    near, far = np.where(mirrored, -b, a), np.where(mirrored, -a, b)
    tail = log_ndtr(-near)
    return np.asarray(tail + log1mexp(log_ndtr(-far) - tail))


def log_chi_mass(dim: int, a: Float, b: Float) -> Float:
    """Log of the probability that the norm of ``dim`` standard normals lies between ``a`` and ``b``, ``a < b``."""
    out = np.empty(a.shape)
    upper = a * a > dim
    tail = log_chi_tail(dim, a[upper], upper=True)
    out[upper] = tail + log1mexp(log_chi_tail(dim, b[upper], upper=True) - tail)
    tail = log_chi_tail(dim, b[~upper], upper=False)
    out[~upper] = tail + log1mexp(log_chi_tail(dim, a[~upper], upper=False) - tail)
    return out


def log_chi_tail(dim: int, r: Float, upper: bool) -> Float:
    """Log of the probability that the norm of ``dim`` standard normals is above (or at most) ``r``."""
    from raresim.marginals.tails import log_gamma_cdf, log_gamma_sf

    out = np.full(r.shape, -np.inf if upper else 0.0)
    inner = np.isfinite(r) & (r > 0)
    with np.errstate(divide="ignore", under="ignore"):
        y = 0.5 * np.square(r[inner])
        out[inner] = log_gamma_sf(0.5 * dim, y) if upper else log_gamma_cdf(0.5 * dim, np.log(y))
    out[r <= 0] = 0.0 if upper else -np.inf
    return out
