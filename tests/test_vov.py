"""The variance of the variance against its definition, and against the scatter of variances."""

import numpy as np
import pytest

from raresim.accumulators.tail import TailMoments
from raresim.accumulators.top import TopWeights
from raresim.diagnostics.vov import variance_of_variance


def seen(n, log_weight, kept=None):
    """What a run keeps of ``n`` rows of which some have the given log weights."""
    largest = TopWeights.of_hits([log_weight]).largest(0)
    return variance_of_variance(largest[:kept], TailMoments.of_hits(n, [log_weight]), 0)


@pytest.mark.parametrize("shift", [0.0, -300.0, 700.0])
def test_is_the_ratio_of_power_sums(shift, seed):
    log_weight = np.random.default_rng(seed(1000)).normal(size=500)
    w = np.exp(log_weight)
    assert seen(2000, log_weight + shift) == pytest.approx((w**4).sum() / (w**2).sum() ** 2 - 1 / 2000, rel=1e-12)


def test_equal_weights_leave_what_hits_leave():
    """A binomial variance: one over the hits less one over the rows."""
    assert seen(1000, np.zeros(100)) == pytest.approx(1 / 100 - 1 / 1000)


def test_weights_that_were_not_kept_count_at_most(seed):
    """From above, by little: they are as large as the smallest that was kept, at most."""
    log_weight = np.random.default_rng(seed(1001)).normal(size=5000)
    exact, bound = seen(20_000, log_weight), seen(20_000, log_weight, kept=1000)
    assert exact < bound < 1.05 * exact


def test_nothing_is_known_without_weights():
    assert seen(1000, np.empty(0)) is None
    assert variance_of_variance(np.empty(0), TailMoments.of_hits(10, [np.zeros(3)]), 0) is None


def test_says_how_far_variances_scatter(seed):
    """Samples of 400 uniform weights: the relative variance of their second moments, within a fifth."""
    rng = np.random.default_rng(seed(1002))
    samples = np.log(rng.uniform(size=(2000, 400)))
    moments = np.exp(2 * samples).mean(axis=1)
    assert np.mean([seen(400, s) for s in samples]) == pytest.approx(np.var(moments) / moments.mean() ** 2, rel=0.2)
