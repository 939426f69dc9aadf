"""Intervals of a probability: exact against SciPy, coverage summed over the binomial law, not simulated."""

import math

import numpy as np
import pytest
from scipy import special, stats

from raresim import Mixture, Normal, StandardNormal
from raresim.accumulators.bets import STAKES, Bets
from raresim.distributions.mixture import log_weight_bound
from raresim.errors import FieldError
from raresim.estimators.guarantee import Goal, Wait, chance_of_more, hits_for
from raresim.measures.intervals import HEAVY_DOF, clopper_pearson, log_scale, weighted_upper, widened, zero_hits_bound
from tests.statistical import assert_count, assert_count_at_least

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


def test_an_error_without_bound_bounds_nothing():
    assert log_scale(1e-6, math.inf, 0.95) == log_scale(1e-6, math.nan, 0.95) == (0.0, math.inf)
    assert log_scale(1e-6, 1e4, 0.95) == (0.0, math.inf)
    z = stats.norm.isf(0.025)
    assert log_scale(1.0, 699.9 / z, 0.95)[1] == pytest.approx(math.exp(699.9), rel=1e-9)
    assert log_scale(1.0, 700.1 / z, 0.95)[1] == math.inf


@pytest.mark.parametrize("confidence", CONFIDENCES)
@pytest.mark.parametrize("hits", [0, 1, 7, 100])
def test_upper_end_of_equal_weights_is_that_of_a_poisson_mean(hits, confidence):
    expected = stats.chi2.ppf(0.5 + 0.5 * confidence, 2 * hits + 2) / 2
    assert weighted_upper(hits, hits, confidence) == pytest.approx(expected)


def test_upper_end_of_unequal_weights_is_that_of_the_gamma_law_with_one_more_of_the_largest():
    w = np.array([1.0, 0.5, 0.25])
    mean, variance = w.sum() + 1.0, (w**2).sum() + 1.0
    expected = stats.gamma(mean**2 / variance, scale=variance / mean).ppf(0.95)
    assert weighted_upper(w.sum(), (w**2).sum(), 0.9) == pytest.approx(expected)


# --- weights with a heavy tail -----------------------------------------------------------------------


@pytest.mark.parametrize(("k", "least", "most"), [(0.4, 0.94, 1.0), (0.6, 0.0, 0.94)])
def test_student_t_covers_where_weights_have_a_variance_and_not_where_they_have_none(k, least, most, seed):
    """1,000 rows, half of them hits with Pareto weights; measured 96.5 % at k = 0.4 and 89 % at 0.6, of 4,000."""
    rng = np.random.default_rng(seed(211))
    held = 0
    for _ in range(4_000):
        x = np.where(rng.random(1_000) < 0.5, (1.0 - rng.random(1_000)) ** -k, 0.0)
        error = x.std(ddof=1) / x.mean() / math.sqrt(1_000)
        low, high = log_scale(x.mean(), error, 0.95, HEAVY_DOF)
        held += low <= 0.5 / (1 - k) <= high
    assert stats.binom.cdf(held, 4_000, least) > 1e-6
    assert stats.binom.sf(held - 1, 4_000, most) > 1e-6


# --- a relative guarantee ----------------------------------------------------------------------------

HITS = [(0.2, 0.95, 97), (0.1, 0.95, 385), (0.1, 0.99, 672), (0.05, 0.95, 1537)]


@pytest.mark.parametrize(("error", "confidence", "hits"), HITS)
def test_hits_of_a_guarantee_are_the_fewest(error, confidence, hits):
    assert hits_for(error, confidence) == hits
    assert chance_of_more(hits, error) <= 1 - confidence < chance_of_more(hits - 1, error)


@pytest.mark.parametrize(("error", "confidence", "hits"), HITS)
def test_chance_of_a_larger_error_is_that_of_the_gamma_law(error, confidence, hits):
    law = stats.gamma(hits)
    inside = law.cdf((hits - 1) / (1 - error)) - law.cdf((hits - 1) / (1 + error))
    assert chance_of_more(hits, error) == pytest.approx(1 - inside, rel=1e-9)


@pytest.mark.slow
@pytest.mark.statistical(effect=0.4, false_fail=3e-7, false_pass=0.1)
@pytest.mark.parametrize("p", [0.5, 1e-2, 1e-4])
def test_estimate_of_a_guarantee_is_off_as_often_as_it_says_at_any_probability(p, seed):
    """Its time is that of independent exponential steps, one a row; 20,000 seeds, and the interval misses evenly."""
    rng = np.random.default_rng(seed(212))
    goal = Goal(hits_for(0.1, 0.95), 0.1, 0.95)
    rows = goal.hits + rng.negative_binomial(goal.hits, p, 20_000)
    waits = [Wait(goal, time) for time in rng.standard_gamma(rows)]
    off = np.abs(np.array([wait.value for wait in waits]) / p - 1)
    assert_count((off > 0.1).sum(), 20_000, chance_of_more(goal.hits, 0.1))
    ends = np.array([wait.interval() for wait in waits])
    assert_count((ends[:, 1] < p).sum(), 20_000, 0.025)
    assert_count((ends[:, 0] > p).sum(), 20_000, 0.025)
    assert np.mean([wait.value for wait in waits]) == pytest.approx(p, rel=5 * waits[0].relative_error / 20_000**0.5)


def test_half_width_of_a_normal_interval_is_what_is_guaranteed():
    goal = Goal.of(0.05, 0.95)
    assert goal.error == pytest.approx(0.05 * stats.norm.isf(0.025))
    assert goal.hits == 402
    assert Wait(goal, 1.0).relative_error <= 0.05


def test_guarantee_of_more_than_everything_is_refused():
    with pytest.raises(FieldError, match=r"^relative_error: must be below 0\.51 to be guaranteed at 95 %, got 0\.6: "):
        Goal.of(0.6, 0.95)


def test_time_of_no_last_hit_has_no_estimate():
    wait = Wait(Goal.of(0.1, 0.95), None)
    assert math.isnan(wait.value)
    assert wait.interval() == (0.0, 1.0)


def test_hits_of_a_guarantee_are_a_whole_number_and_those_of_the_error_at_least():
    """Two more than one over the square, or the fewest that the half-width needs, whichever is more."""
    assert type(hits_for(0.1, 0.95)) is int
    assert Goal.of(0.1, 0.95) == Goal(102, pytest.approx(0.1 * stats.norm.isf(0.025)), 0.95)
    sure = Goal.of(0.1, 0.99)
    assert sure.hits == hits_for(sure.error, 0.99) == 109


def test_a_wide_error_takes_three_hits():
    """Two have no variance."""
    assert hits_for(0.95, 0.5) == 3


def test_a_half_width_of_exactly_everything_is_refused():
    z = float(special.ndtri(0.5 + 0.5 * 0.9))
    assert z * (1 / z) == 1.0
    with pytest.raises(FieldError, match=r"the interval of 1\.64 standard errors on both sides would begin below zero"):
        Goal.of(1 / z, 0.9)


def test_interval_of_a_wait_is_that_of_the_gamma_law_and_of_probabilities():
    assert Wait(Goal(50, 0.3, 0.9), 400.0).interval() == pytest.approx(tuple(stats.gamma(50).ppf([0.05, 0.95]) / 400.0))
    low, high = Wait(Goal(3, 0.9, 0.95), 6.0).interval()
    assert (low, high) == (pytest.approx(stats.gamma(3).ppf(0.025) / 6.0), 1.0)
    assert Wait(Goal(50, 0.3, 0.9), 400.0).value == 49 / 400
    assert Wait(Goal(51, 0.3, 0.9), 400.0).relative_error == 1 / 7


# --- bets --------------------------------------------------------------------------------------------


def money(bets, mean, smaller):
    """What the player has on average over the stakes, from the definition: a product over rows, one at a time."""
    stakes = STAKES[STAKES < 0] if smaller else STAKES[STAKES > 0]
    return np.mean([np.prod((1 + s * bets) / (1 + s * mean)) for s in stakes])


def test_ends_of_an_interval_of_bets_solve_their_equation(seed):
    y = np.where(np.random.default_rng(seed(213)).random(400) < 0.3, 0.8, 0.0)
    bets = Bets.of_hits(400, [np.log(4.0 * y[y > 0])], math.log(4.0))
    low, high = bets.interval(0, 0.9)
    assert 0 < low < 4 * y.mean() < high
    assert money(y, low / 4, smaller=False) == pytest.approx(20, rel=1e-6)
    wide = Bets.of_hits(400, [np.log(y[y > 0])], 0.0).interval(0, 0.9)
    assert money(y, wide[1], smaller=True) == pytest.approx(20, rel=1e-6)


@pytest.mark.slow
@pytest.mark.statistical(effect=0.05, false_fail=1e-7, false_pass=0.1)
def test_interval_of_bets_holds_at_every_look(seed):
    """A mean that is the true one is never given up in 95 % of 2,000 samples, at 200 looks each."""
    rng = np.random.default_rng(seed(214))
    p, n = 0.2, 50
    hits = np.cumsum(rng.binomial(n, p, (2_000, 200)), axis=1)
    rows = n * np.arange(1, 201)
    given_up = np.zeros(hits.shape, dtype=bool)
    for side in (STAKES < 0, STAKES > 0):
        logs = hits[..., None] * np.log1p(STAKES[side]) - rows[:, None] * np.log1p(p * STAKES[side])
        given_up |= np.exp(logs).mean(axis=2) >= 40
    assert_count_at_least(int((~given_up.any(axis=1)).sum()), 2_000, 0.95)
    assert given_up.any()  # it is no interval that holds everything


@pytest.mark.parametrize(("hits", "n"), [(500, 1_000), (2_000, 100_000)])
def test_interval_of_bets_on_counts_is_less_than_twice_the_exact_one(hits, n):
    bets = Bets.of_hits(n, [np.zeros(hits)], 0.0)
    low, high = bets.interval(0, 0.95)
    exact = clopper_pearson(hits, n, 0.95)
    assert low < exact[0] < exact[1] < high
    assert high - low < 2.1 * (exact[1] - exact[0])


def test_bets_without_a_hit_bound_the_mean_from_above_alone():
    low, high = Bets.of_hits(1_000, [np.empty(0)], 0.0).interval(0, 0.95)
    assert low == 0.0
    assert 3.0 / 1_000 < high < 12.0 / 1_000


def test_weights_are_bounded_by_the_share_of_the_target():
    target, law = StandardNormal(dim=2), Normal(mean=3.0, dim=2)
    assert log_weight_bound(None, target) == 0.0
    assert log_weight_bound(law, target) is None
    assert log_weight_bound(Mixture.defensive(law, target, 0.1), target) == pytest.approx(math.log(10))
    twice = Mixture(weights=[0.5, 0.5], components=[Mixture.defensive(law, target, 0.1), StandardNormal(dim=2)])
    assert log_weight_bound(twice, target) == pytest.approx(-math.log(0.55))
