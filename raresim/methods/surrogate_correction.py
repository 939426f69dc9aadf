"""What the evaluations of the correction are drawn by, and how well they are expected to do."""

from __future__ import annotations

import math

import numpy as np

from raresim.methods.surrogate_pool import Pool
from raresim.numerics.arrays import Float
from raresim.surrogate.belief import unsure

SMALLEST, LARGEST = 4, 8
"""Evaluations of a batch of the correction, if the budget pays for no more, and if it does."""

MIXED = (0.85, 0.10, 0.05)
"""Shares of what the correction draws by: where the surrogate is unsure, where it expects the event, anywhere."""

FLOOR = 0.005
"""Share of a point's probability that counts as unsure however sure the surrogate is."""


def relative_worth(pool: Pool, failing: Float) -> Float:
    """How much each event (e,) counts: the first divided by its probability, so that relative errors count alike."""
    found = np.maximum([pool.probability(likely) for likely in failing], 1e-300)
    return np.asarray(np.minimum(found[0] / found, 1e12))


def draw_by(pool: Pool, failing: Float, doubts: Float | None = None) -> Float:
    """Probability (k,) with which the correction draws each point of the pool, for all events (e, k) alike.

    Parameters
    ----------
    pool : Pool
        The points.
    failing : (e, k) float64
        What the surrogate expects of each event's indicator, or of its excess in a unit of its own.
    doubts : (e, k) float64, optional
        Standard deviations of these; those of indicators by default.
    """
    drawn = np.zeros(failing.shape[1])
    for likely, doubt_of in zip(failing, unsure(failing) if doubts is None else doubts, strict=True):
        doubt = pool.weight * (doubt_of + FLOOR * likely)
        parts = zip(MIXED, (doubt, pool.weight * likely, np.ones(likely.size)), strict=True)
        drawn += np.sum([share * part / max(part.sum(), 1e-300) for share, part in parts], axis=0)
    drawn /= drawn.sum()  # where no event is expected, anywhere is all that is left
    return drawn


def row_variances(pool: Pool, failing: Float, doubts: Float | None = None) -> tuple[float, ...]:
    """Relative variance of one evaluation of the correction for each event, if the surrogate's doubts are right."""
    r = draw_by(pool, failing, doubts)
    found = []
    for k, likely in enumerate(failing):
        value = pool.probability(likely)
        variance = likely * (1.0 - likely) if doubts is None else doubts[k] ** 2
        terms = (pool.weight / likely.size) ** 2 * variance / r
        found.append(float(terms.sum()) / value**2 if value > 0 else math.inf)
    return tuple(found)
