"""Information: one quantity, ``-log(probability)``, from Shannon's entropy to the weight of a draw.

It is the surprise of an event, the mean surprise of a law, the extra surprise of a wrong law, and the log weight that
corrects a draw. Results are in nats; ``base=2`` gives bits.

======================================  ==================================================================
`self_information`                      ``-log p``
`entropy`                               ``H(p) = -sum p log p``
`joint_entropy`                         ``H(X, Y)``
`conditional_entropy`                   ``H(Y | X) = H(X, Y) - H(X)``
`mutual_information`                    ``I(X; Y) = KL(p(x, y) || p(x) p(y))``
`perplexity`                            ``exp H(p)``
`cross_entropy`                         ``H(p, q) = -sum p log q``
`kl`                                    ``KL(p || q) = sum p log(p/q) = H(p, q) - H(p)``
`jensen_shannon`                        ``(KL(p || m) + KL(q || m)) / 2``, ``m = (p + q) / 2``
`renyi`                                 ``log(sum p^a q^(1-a)) / (a - 1)``
`chi_square`                            ``sum (p - q)^2 / q``
`classification_loss`                   ``-log q(y)`` per sample, from probabilities or logits
`mean_classification_loss`              its average
`entropy_normal`                        ``log|2 pi e C| / 2``
`kl_normal`                             between normal laws
`kl_low_rank`                           the same where both differ from the identity in few directions
`cross_entropy_normal`                  ``H(p) + KL(p || q)`` between normal laws
`renyi_normal`                          between normal laws
`chi_square_normal`                     between normal laws
`differential_entropy`                  ``-E log p(x)`` of any distribution of the package
`cross_entropy_of_laws`                 ``-E_p log q(x)``
`kl_of_laws`                            ``E_p log(p(x)/q(x))``
`jensen_shannon_of_laws`                against the even mixture
`renyi_of_laws`                         ``log(E_q (p/q)^a) / (a - 1)``
`chi_square_of_laws`                    ``E_q (p/q - 1)^2``
`negative_log_likelihood`               ``-sum_i log q(x_i)``
`empirical_cross_entropy`               its average, with a standard error
`mixture_entropy_bounds`                lower and upper bound, from pairwise divergences
`mixture_kl_bound`                      upper bound, component by component
`weighted_kl`                           ``sum w log w / sum w - log(sum w / n)``: KL(optimal || proposal)
`weighted_cross_entropy`                ``-sum w log q / sum w``, which tuning minimises
`budget`                                cost of an event for crude Monte Carlo and a proposal
======================================  ==================================================================

The functions ``..._of_laws`` return a `Quantity`: value, standard error, and how it was computed.
"""

from __future__ import annotations

from raresim.information.discrete import (
    TOLERANCE,
    chi_square,
    conditional_entropy,
    cross_entropy,
    entropy,
    jensen_shannon,
    joint_entropy,
    kl,
    mutual_information,
    perplexity,
    renyi,
    self_information,
)
from raresim.information.labels import classification_loss, mean_classification_loss
from raresim.information.laws import (
    chi_square_of_laws,
    cross_entropy_of_laws,
    differential_entropy,
    empirical_cross_entropy,
    jensen_shannon_of_laws,
    kl_of_laws,
    mixture_entropy_bounds,
    mixture_kl_bound,
    negative_log_likelihood,
    renyi_of_laws,
)
from raresim.information.normal import (
    LowRank,
    chi_square_normal,
    cross_entropy_normal,
    entropy_normal,
    kl_low_rank,
    kl_normal,
    renyi_normal,
)
from raresim.information.units import BITS_PER_NAT, Quantity
from raresim.information.weighted import budget, weighted_cross_entropy, weighted_kl
from raresim.record.budget import Budget

__all__ = [
    "BITS_PER_NAT",
    "TOLERANCE",
    "Budget",
    "LowRank",
    "Quantity",
    "budget",
    "chi_square",
    "chi_square_normal",
    "chi_square_of_laws",
    "classification_loss",
    "conditional_entropy",
    "cross_entropy",
    "cross_entropy_normal",
    "cross_entropy_of_laws",
    "differential_entropy",
    "empirical_cross_entropy",
    "entropy",
    "entropy_normal",
    "jensen_shannon",
    "jensen_shannon_of_laws",
    "joint_entropy",
    "kl",
    "kl_low_rank",
    "kl_normal",
    "kl_of_laws",
    "mean_classification_loss",
    "mixture_entropy_bounds",
    "mixture_kl_bound",
    "mutual_information",
    "negative_log_likelihood",
    "perplexity",
    "renyi",
    "renyi_normal",
    "renyi_of_laws",
    "self_information",
    "weighted_cross_entropy",
    "weighted_kl",
]
