"""Intervals of a probability: exact against SciPy, coverage summed over the binomial law, not simulated."""

import math

import numpy as np
import pytest
from scipy import stats

from raresim.measures.intervals import clopper_pearson, log_scale, widened, zero_hits_bound

GRID = [(0, 1), (0, 50), (1, 1), (1, 50), (7, 50), (25, 50), (49, 50), (50, 50), (3, 10**6), (10**5, 10**6)]
CONFIDENCES = [0.5, 0.9, 0.95, 0.999]


@pytest.mark.parametrize("confidence", CONFIDENCES)
@pytest.mark.parametrize(("hits", "n"), GRID)
def test_exact_interval_agrees_with_scipy(hits, n, confidence):
    expected = stats.binomtest(hits, n).proportion_ci(confidence, method="exact")
    np.testing.assert_allclose(
        clopper_pearson(hits, n, confidence), (expected.low, expected.high), rtol=1e-9, atol=5e-12
    )


@pytest.mark.parametrize("confidence", CONFIDENCES)
@pytest.mark.parametrize(("hits", "n"), [(1, 10**9), (40, 10**9), (7, 50), (49, 50)])
def test_ends_of_the_exact_interval_solve_the_tail_equations(hits, n, confidence):
    """To a relative 1e-8 at any size, where SciPy's root finder stops at an absolute 1e-12."""
    low, high = clopper_pearson(hits, n, confidence)
    assert stats.binom.sf(hits - 1, n, low) == pytest.approx((1 - confidence) / 2, rel=1e-6)
    assert stats.binom.cdf(hits, n, high) == pytest.approx((1 - confidence) / 2, rel=1e-6)


def coverage(p, n, confidence):
    """Probability that the exact interval holds ``p``, summed over every count that is not negligible."""
    hits = np.arange(int(stats.binom.ppf(1e-14, n, p)), int(stats.binom.isf(1e-14, n, p)) + 1)
    intervals = [clopper_pearson(int(h), n, confidence) for h in hits]
    held = np.array([low <= p <= high for low, high in intervals])
    return stats.binom.pmf(hits, n, p) @ held


@pytest.mark.parametrize("expected_hits", [0.01, 0.1, 0.5, 1.0, 2.0, 2.9, 3.1, 3.4, 3.7, 5.0, 10.0, 30.0, 300.0])
def test_exact_interval_covers_at_least_as_often_as_it_says(expected_hits):
    n = 10_000
    assert coverage(expected_hits / n, n, 0.95) >= 0.95


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_exact_interval_covers_at_least_as_often_as_it_says_at_both_ends(confidence):
    """The interval of zero hits is part of the promise: it must hold together with the others."""
    few = np.linspace(0.01, 12, 120) / 200
    lowest, where = min((coverage(p, 200, confidence), 200 * p) for p in np.concatenate([few, 1 - few]))
    assert lowest >= confidence, f"coverage {lowest:.4f} at {where:.2f} expected hits"


@pytest.mark.parametrize("n", [100, 10_000, 10**9])
def test_bound_without_a_hit_is_three_over_n(n):
    bound = zero_hits_bound(n, 0.95)
    assert bound == pytest.approx(3.0 / n, rel=0.02)
    assert (1 - bound) ** n == pytest.approx(0.05, rel=1e-6)


@pytest.mark.parametrize("confidence", CONFIDENCES)
def test_log_scale_interval_is_the_normal_one_of_the_logarithm(confidence):
    low, high = log_scale(1e-200, 0.3, confidence)
    z = stats.norm.isf((1 - confidence) / 2)
    assert math.log(high / 1e-200) == pytest.approx(0.3 * z, rel=1e-12)
    assert math.log(low / 1e-200) == pytest.approx(-0.3 * z, rel=1e-12)


@pytest.mark.parametrize("confidence", CONFIDENCES)
@pytest.mark.parametrize("relative_error", [0.001, 0.1, 0.8])
def test_log_scale_interval_covers_as_often_as_it_says_on_its_own_terms(confidence, relative_error):
    """Where the logarithm is normal with that standard error; the probability is read off, not simulated."""
    true, z = 1e-6, stats.norm.isf((1 - confidence) / 2)
    edges = true * np.exp(relative_error * z * np.array([-0.999, 0.999, -1.001, 1.001]))
    inside = [low <= true <= high for low, high in (log_scale(e, relative_error, confidence) for e in edges)]
    assert inside == [True, True, False, False]


@pytest.mark.parametrize("confidence", CONFIDENCES)
@pytest.mark.parametrize("dof", [1, 9, 15])
def test_few_replicates_take_the_quantile_of_student_t(dof, confidence):
    """Exact; at 95 % and 15 degrees of freedom the normal quantile is 8 % shorter, that of 16 degrees 0.5 %."""
    low, high = log_scale(1e-6, 0.01, confidence, dof)
    half = 0.01 * stats.t.isf((1 - confidence) / 2, dof)
    assert math.log(high / 1e-6) == pytest.approx(half, rel=1e-10)
    assert math.log(low / 1e-6) == pytest.approx(-half, rel=1e-10)


def test_one_replicate_bounds_nothing():
    assert log_scale(1e-6, 0.01, 0.95, 0) == (0.0, math.inf)


def test_widening_multiplies_the_distances_on_the_log_scale():
    low, high = widened((0.01, 0.09), 0.03, 1.05)
    assert math.log(0.03 / low) == pytest.approx(1.05 * math.log(3))
    assert math.log(high / 0.03) == pytest.approx(1.05 * math.log(3))


@pytest.mark.parametrize("interval", [(0.01, 0.09), (0.0, 0.05), (0.02, 1.0)])
def test_factor_one_changes_nothing(interval):
    assert widened(interval, 0.03, 1.0) == pytest.approx(interval)


def test_widened_interval_stays_a_probability():
    assert widened((0.5, 0.99), 0.9, 2.0)[1] == 1.0
    assert widened((0.0, 0.5), 0.0, 1.05) == (0.0, 0.525)
    assert widened((0.0, 1.0), 0.0, 1.05) == (0.0, 1.0)
    assert widened((0.0, 0.2), 0.1, 1.5)[0] == 0.0
