"""Self-information, cross-entropy and KL divergence: the currency of a run.

Everything is in nats unless it says otherwise; ``-log p`` is the surprise of an event of probability ``p``.
"""

from __future__ import annotations

import math

import numpy as np

from raresim.arrays import Float

BITS_PER_NAT = 1.0 / math.log(2.0)


def self_information(log_probability: float) -> float:
    """``-log p`` in nats, from ``log p``.

    It is also KL(optimal || target): the optimal proposal is the target restricted to the event, so its
    log density ratio is the constant ``-log p``. Crude Monte Carlo needs about ``exp`` of it draws [1]_.

    References
    ----------
    .. [1] Chatterjee & Diaconis, *The sample size required in importance sampling*, Ann. Appl. Probab. 28, 2018.
    """
    return -log_probability


def weighted_kl(sum_w: float, sum_w_log_w: float, n: int) -> float:
    """KL(optimal || proposal) from a sample of the proposal, in nats.

    With weights ``w = p/q`` of the hits among ``n`` draws, ``sum w log w / sum w - log(sum w / n)``: the mean, under
    the optimal proposal ``p 1_A / P(A)``, of its log density ratio to ``q``. Unchanged when all weights are
    multiplied by a constant.

    Parameters
    ----------
    sum_w, sum_w_log_w : float
        Sums over the hits; the misses have weight zero in the optimal proposal.
    n : int
        Draws, hits or not.
    """
    if sum_w <= 0:
        return math.nan
    return float(sum_w_log_w / sum_w - math.log(sum_w / n))


def kl_normal(mean_p: Float, cov_p: Float, mean_q: Float, cov_q: Float) -> float:
    """KL(p || q) between two normal laws, in nats.

    ``(tr(Cq^-1 Cp) - d + (mq - mp)' Cq^-1 (mq - mp) + log |Cq| - log |Cp|) / 2``.

    Parameters
    ----------
    mean_p, mean_q : (d,) float64
        Means.
    cov_p, cov_q : (d, d) or (d,) float64
        Covariances; a vector stands for a diagonal matrix.

    References
    ----------
    .. [1] Kullback, *Information Theory and Statistics*, 1959, ch. 9.
    """
    gap = mean_q - mean_p
    if cov_p.ndim == 1 and cov_q.ndim == 1:
        ratio = cov_p / cov_q
        return float(0.5 * (ratio - 1.0 - np.log(ratio) + gap**2 / cov_q).sum())
    cov_p, cov_q = (np.diag(c) if c.ndim == 1 else c for c in (cov_p, cov_q))
    trace = np.trace(np.linalg.solve(cov_q, cov_p))
    distance = gap @ np.linalg.solve(cov_q, gap)
    log_dets = np.linalg.slogdet(cov_q)[1] - np.linalg.slogdet(cov_p)[1]
    return float(0.5 * (trace - gap.size + distance + log_dets))


LowRank = tuple[Float, Float, Float]
"""A normal law with covariance ``I + V (diag(v) - I) V'``: mean (d,), orthonormal ``V`` (d, k), ``v`` (k,)."""


def kl_low_rank(p: LowRank, q: LowRank) -> float:
    """KL(p || q) between normal laws that differ from the identity in a few directions, in nats.

    `kl_normal` with the determinant ``prod v`` and the inverse ``I + V (diag(1/v) - I) V'``; the number of
    directions of the two laws may differ and may be zero.
    """
    mean_p, basis_p, spread_p = p
    mean_q, basis_q, spread_q = q
    gap = mean_q - mean_p
    inverse = 1.0 / spread_q - 1.0
    overlap = (basis_q.T @ basis_p) ** 2
    trace_less_d = inverse.sum() + (spread_p - 1.0).sum() + inverse @ overlap @ (spread_p - 1.0)
    distance = gap @ gap + inverse @ (basis_q.T @ gap) ** 2
    return float(0.5 * (trace_less_d + distance + np.log(spread_q).sum() - np.log(spread_p).sum()))
