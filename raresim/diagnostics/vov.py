"""How well the error itself is known: the relative variance of the weights' variance."""

from __future__ import annotations

import numpy as np

from raresim.accumulators.tail import TailMoments
from raresim.arrays import Float


def variance_of_variance(largest: Float, tail: TailMoments, k: int) -> float | None:
    """Relative variance of the estimated variance of event ``k``; None without a hit.

    Parameters
    ----------
    largest : (j,) float64
        The largest log weights among its hits, largest first, in nats.
    tail : TailMoments
        Of the same weights.
    k : int
        Which event.

    Notes
    -----
    ``sum y^4 / (sum y^2)^2 - 1/n`` of the weights ``y`` of the rows, zeros included: [1]_, for events that are rare
    among the rows. Fourth powers are those of the largest weights; a weight that is not among them is no larger than
    the smallest of them, and counts with that square.

    References
    ----------
    .. [1] Forster, Pederson & Booth, *Two proposed convergence criteria for Monte Carlo solutions*,
       Trans. Am. Nucl. Soc. 64, 1991.
    """
    if not tail.hits[k]:
        return None
    if not largest.size:
        return None
    squares = np.exp(2.0 * (largest - tail.peak[k]))
    total = float(tail.sum_w2[k])
    rest = max(0.0, total - float(squares.sum())) if tail.hits[k] > largest.size else 0.0
    return float((np.square(squares).sum() + squares[-1] * rest) / total**2 - 1.0 / tail.n)
