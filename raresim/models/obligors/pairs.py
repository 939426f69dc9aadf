"""Mean and standard deviation of a credit loss in closed form, from the joint defaults of all pairs of obligors."""

from __future__ import annotations

import math

import numpy as np

from raresim.models.factors import CreditFactors
from raresim.models.obligors.barriers import shocks
from raresim.models.obligors.tape import Tape
from raresim.models.own_risk import Book
from raresim.numerics.arrays import Float
from raresim.numerics.jit import kernel

MOST_PAIRS = 10_000_000
"""Pairs, times the values of a shock, up to which the standard deviation is computed: about a second."""

NODES = 12
"""Nodes of the integral over correlations: exact to 1e-9 for correlations up to 0.9."""

SHOCKS = 48
"""Values of a shock that joint defaults are averaged over."""

STRONGEST = 0.9
"""Correlation of two obligors up to which the integral is exact enough."""


def moments_of(tape: Tape, inputs: CreditFactors, book: Book, loadings: Float) -> tuple[float, float] | None:
    """Mean and standard deviation of the loss; None where there are too many pairs, or one is correlated too strongly.

    Parameters
    ----------
    tape, inputs, book : Tape, CreditFactors and Book
        Of the model.
    loadings : (m, k) float64
        On independent factors.
    """
    m = tape.size
    each = SHOCKS if inputs.has_shock else 1
    if m * (m - 1) // 2 * each > MOST_PAIRS:
        return None
    correlation = loadings @ loadings.T
    np.fill_diagonal(correlation, 0.0)
    if np.abs(correlation).max(initial=0.0) > STRONGEST:
        return None
    shock, mass = (np.ones(1), np.ones(1)) if not inputs.has_shock else _few(*shocks(inputs))
    at, weight = np.polynomial.legendre.leggauss(NODES)
    joint = 0.0
    for s, share in zip(shock.tolist(), mass.tolist(), strict=True):
        joint += share * joint_losses(book.barrier / s, tape.severity, correlation, 0.5 * (at + 1.0), 0.5 * weight)
    own = float(((tape.severity**2 + (tape.ead * tape.lgd_std) ** 2) * tape.pd).sum())
    mean = tape.expected_loss
    return mean, math.sqrt(max(0.0, own + 2.0 * joint - mean * mean))


def _few(shock: Float, mass: Float) -> tuple[Float, Float]:
    """Of many values of a shock, `SHOCKS` ones: nodes of Gauss's rule in the standard normal behind it."""
    from scipy import special

    below = np.cumsum(mass) - 0.5 * mass
    nodes, weights = np.polynomial.hermite_e.hermegauss(SHOCKS)
    inner = (below > 1e-16) & (below < 1.0 - 1e-16)
    at = np.interp(nodes, special.ndtri(below[inner]), np.log(shock[inner]))
    return np.exp(at), weights / weights.sum()


@kernel
def joint_losses(barrier: Float, severity: Float, correlation: Float, at: Float, weight: Float) -> float:
    """``sum c_i c_j P(both default)`` over all pairs: Plackett's integral of the density over correlations."""
    m = barrier.shape[0]
    total = 0.0
    for i in range(m):
        h = barrier[i]
        p = 0.5 * math.erfc(h * math.sqrt(0.5))
        for j in range(i):
            k, r = barrier[j], correlation[i, j]
            both = p * 0.5 * math.erfc(k * math.sqrt(0.5))
            if r != 0.0 and abs(h) < 1e300 and abs(k) < 1e300:
                for q in range(at.shape[0]):
                    s = r * at[q]
                    rest = 1.0 - s * s
                    both += (
                        r
                        * weight[q]
                        * math.exp(-0.5 * (h * h - 2.0 * h * k * s + k * k) / rest)
                        / (2.0 * math.pi * math.sqrt(rest))
                    )
            total += severity[i] * severity[j] * both
    return total
