"""Standard normal scores of the values of a discrete law."""

from __future__ import annotations

import numpy as np

from raresim.marginals.base import U_MAX, Marginal
from raresim.numerics import normal_scores
from raresim.numerics.arrays import Float


def scores_of_counts(rng: np.random.Generator, law: Marginal, number: Float) -> Float:
    """A score of each ``number`` (n, steps), as the law draws it given that number.

    The map of ``law`` steps from a number to the next where the probability up to it is passed: a score between both
    steps is drawn, in both tails from the smaller probability.
    """
    found, place = np.unique(number.ravel(), return_inverse=True)
    share = rng.random(place.size)
    p, above = np.exp(law.logpdf(found))[place], law.sf(found)[place]
    below = np.where(found > 0, law.cdf(found - 1.0), 0.0)[place]
    with np.errstate(divide="ignore"):
        log_p, log_q = np.log(below + share * p), np.log(above + (1.0 - share) * p)
    out = np.empty(place.size)
    normal_scores.from_log_probabilities(log_p, log_q, out)
    return np.asarray(np.clip(out, -U_MAX, U_MAX)).reshape(number.shape)
