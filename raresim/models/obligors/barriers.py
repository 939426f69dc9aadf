"""Barriers of defaults: quantiles of the normal law, of Student's t, or of another normal variance mixture."""

from __future__ import annotations

import numpy as np

from raresim.models.factors import CreditFactors
from raresim.numerics.arrays import Float

REACH, POINTS = 12.0, 4001
"""The standard normal of a shock is integrated over from minus to plus ``REACH``, with so many points."""


def barriers(pd: Float, inputs: CreditFactors) -> Float:
    """What the asset value of each obligor (m,) exceeds with the probability ``pd`` (m,): infinite where that is 0."""
    from scipy import special

    if not inputs.has_shock:
        return np.asarray(-special.ndtri(pd))
    if inputs.dof is not None:
        inside = np.clip(pd, 5e-324, 1.0)  # of 0 it gives the wrong end
        return np.where(pd == 0.0, np.inf, np.where(pd == 1.0, -np.inf, -special.stdtrit(inputs.dof, inside)))
    distinct, back = np.unique(pd, return_inverse=True)
    shock, mass = shocks(inputs)
    found = np.array([_quantile(float(p), shock, mass) for p in distinct])
    return np.asarray(found[back])


def shocks(inputs: CreditFactors) -> tuple[Float, Float]:
    """Values of the shock and their probabilities (n,): a trapezoidal rule, which converges fast for smooth laws."""
    u = np.linspace(-REACH, REACH, POINTS)
    shock = np.empty(POINTS)
    inputs.shock(u, shock)
    mass = np.exp(-0.5 * u * u)
    return shock, mass / mass.sum()


def _quantile(p: float, shock: Float, mass: Float) -> float:
    """``c`` with ``E sf(c / s) = p``."""
    from scipy import optimize, special

    if p in (0.0, 1.0):
        return np.inf if p == 0.0 else -np.inf
    if p > 0.5:
        return -_quantile(1.0 - p, shock, mass)

    def off(c: float) -> float:
        return float(mass @ special.ndtr(-c / shock)) / p - 1.0

    high = 1.0
    while off(high) > 0:
        high *= 2.0
    return float(optimize.brentq(off, 0.0, high, xtol=1e-14, rtol=1e-14)) if p < 0.5 else 0.0


def falls_by_log(pd: Float, barrier: Float, inputs: CreditFactors) -> Float:
    """What each barrier (m,) falls by the log of its default probability: ``pd / f`` with the density ``f`` there."""
    from scipy import stats

    inside = np.isfinite(barrier)
    at = np.where(inside, barrier, 0.0)
    if not inputs.has_shock:
        density = stats.norm.pdf(at)
    elif inputs.dof is not None:
        density = stats.t.pdf(at, inputs.dof)
    else:
        shock, mass = shocks(inputs)
        density = np.array([float((mass / shock) @ stats.norm.pdf(c / shock)) for c in at])
    return np.where(inside, pd / density, 0.0)
