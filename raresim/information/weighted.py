"""Information computed from weighted draws, which the engine reports for a run."""

from __future__ import annotations

import math

from raresim.information.discrete import self_information
from raresim.information.units import BITS_PER_NAT, exp_or_inf
from raresim.record.budget import Budget


def weighted_kl(sum_w: float, sum_w_log_w: float, n: int) -> float:
    """KL(optimal || proposal) from a sample of the proposal, in nats.

    It is ``sum w log w / sum w - log(sum w / n)`` with the weights ``w = p/q`` of the hits among ``n`` draws: the mean
    log density ratio of the optimal proposal ``p 1_A / P(A)`` to ``q``, under the optimal proposal. A common factor on
    all weights does not change it.

    Parameters
    ----------
    sum_w, sum_w_log_w : float
        Sums over the hits; the misses have weight zero in the optimal proposal.
    n : int
        Number of draws, hits or not.

    Returns
    -------
    float
        NaN without a hit.
    """
    if sum_w <= 0:
        return math.nan
    return float(sum_w_log_w / sum_w - math.log(sum_w / n))


def weighted_cross_entropy(sum_w: float, sum_w_log_q: float) -> float:
    """``H(optimal, q) = -sum w log q / sum w`` from weighted hits, in nats; tuning minimises it.

    Parameters
    ----------
    sum_w, sum_w_log_q : float
        Sums over the hits of the weight, and of the weight times the log density of ``q``.
    """
    return -sum_w_log_q / sum_w if sum_w > 0 else math.nan


def budget(log_probability: float, kl_proposal: float) -> Budget:
    """The budget of an event of log probability ``log_probability`` and a proposal at ``kl_proposal`` nats.

    References
    ----------
    .. [1] Chatterjee & Diaconis, *The sample size required in importance sampling*, Ann. Appl. Probab. 28, 2018:
       about ``exp(KL(optimal || q))`` draws of ``q`` are necessary and sufficient.
    """
    event = self_information(log_p=min(log_probability, 0.0))
    return Budget(
        event_nats=event,
        event_bits=event * BITS_PER_NAT,
        crude_draws=exp_or_inf(event),
        proposal_nats=kl_proposal,
        proposal_bits=kl_proposal * BITS_PER_NAT,
        proposal_draws=exp_or_inf(kl_proposal),
        saved_share=1.0 - kl_proposal / event if event > 0 else math.nan,
    )
