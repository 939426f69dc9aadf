"""The histogram tilt: exact bins and tails, the fit under its floor, and sums of discrete factors."""

import numpy as np
import pytest
from scipy import stats

from raresim import CrossEntropy, Importance, Probability, PythonLoss, StandardNormal, marginals
from raresim.distributions.histogram_tilt import BINS, LOWER, WIDTHS, HistogramTilt, bin_counts, normal_edges
from raresim.distributions.independent import Independent
from raresim.engine.executors import Executor
from raresim.errors import FieldError
from raresim.proposals.histogram_tilt import HistogramTilting
from tests.helpers import draws, logpdf, normals
from tests.problems import Case, linear_normal, solve
from tests.statistical import assert_count, assert_count_at_least, assert_scores_are_standard, assert_within_error

N = 100_000
EDGES = np.concatenate([LOWER, 1.0 - LOWER[-2::-1]])


def total(x):
    return x.sum(axis=1)


def shares_of(*tilts):
    rows = np.stack([WIDTHS * np.exp(t * np.linspace(-1, 1, BINS)) for t in tilts])
    return rows / rows.sum(axis=1, keepdims=True)


LAW = HistogramTilt(shares=shares_of(1.5, -2.0), groups=[0, 1, 0])


# --- the law -----------------------------------------------------------------------------------------


def test_bins_are_those_of_the_probabilities():
    np.testing.assert_allclose(stats.norm.ppf(EDGES[1:-1]), normal_edges(), atol=1e-13)
    np.testing.assert_allclose(np.diff(EDGES), WIDTHS, atol=1e-16)
    assert WIDTHS.sum() == pytest.approx(1.0, abs=1e-15)


def test_density_is_the_normals_times_the_ratio_of_its_bin(seed):
    x = 1.5 * normals(2000, 3, seed(841))
    bins = np.array([np.digitize(stats.norm.cdf(x[:, j]), EDGES[1:-1]) for j in range(3)])
    ratio = sum(np.log(LAW.table / WIDTHS)[LAW.labels[j], bins[j]] for j in range(3))
    np.testing.assert_allclose(logpdf(LAW, x), stats.norm.logpdf(x).sum(axis=1) + ratio, rtol=1e-12, atol=1e-12)


@pytest.mark.statistical(effect=10, false_fail=3e-7, false_pass=1e-3)
def test_draws_fall_into_bins_in_their_shares(seed):
    x = draws(LAW, N, seed(842))
    for j in range(3):
        counts = bin_counts(x[:, j], np.ones(N))
        assert_count(counts, N, LAW.table[LAW.labels[j]])


@pytest.mark.statistical(effect=10, false_fail=3e-7, false_pass=1e-3)
def test_draws_are_normal_within_a_bin(seed):
    """In both outermost bins and a middle one, the probability is uniform: counts at 1e-6."""
    law = HistogramTilt(shares=shares_of(0.0) * 0.1 + 0.9 / BINS, groups=[0])
    x = draws(law, N, seed(843))[:, 0]
    for low, high, tail in ((0.0, 0.001, -x), (0.0, 0.001, x), (0.2, 0.35, x)):
        p = stats.norm.sf(tail)
        inside = p[(p > low) & (p < high)]
        place = (inside - low) / (high - low)
        assert_count([(place < q).sum() for q in (1e-3, 0.1, 0.5)], len(place), np.array([1e-3, 0.1, 0.5]))


def test_far_draws_are_as_far_on_either_side(seed):
    """A share in the last bins of 0.99: the largest of 1e5 draws lie near the 1e-8 quantiles of both tails."""
    shares = np.full(BINS, 0.01 / (BINS - 2))
    shares[[0, -1]] = 0.495
    x = draws(HistogramTilt(shares=[shares], groups=[0]), N, seed(844))[:, 0]
    for extreme in (-x.min(), x.max()):
        assert 5.0 < extreme < 7.5


@pytest.mark.statistical(effect=0.04, false_fail=1e-7, false_pass=1e-3)
def test_coordinates_are_independent(seed):
    x = draws(LAW, N, seed(845))
    product = (x[:, 0] - x[:, 0].mean()) * (x[:, 2] - x[:, 2].mean())
    assert_within_error(product.mean(), 0.0, product.std() / np.sqrt(N))


def test_ratios_of_one_are_the_standard_normal(seed):
    law = HistogramTilt(shares=[WIDTHS], groups=np.zeros(4))
    u = normals(100, 4, seed(846))
    np.testing.assert_allclose(logpdf(law, u), logpdf(StandardNormal(dim=4), u), rtol=1e-13)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shares": [[0.5, 0.5]]}, "shares: must have 18 entries in each row"),
        ({"shares": [WIDTHS * 0.9]}, "shares: must add to 1 in each row, got 0.9"),
        ({"shares": [np.where(WIDTHS == 0.001, 0.0, WIDTHS)]}, "shares: must be positive, got 0"),
        ({"groups": [0, 1]}, "groups: must be whole numbers from 0 to 0"),
        ({"groups": [0.5]}, "groups: must be whole numbers from 0 to 0"),
    ],
)
def test_bad_parameters_are_refused(options, message):
    with pytest.raises(FieldError, match=message):
        HistogramTilt(**({"shares": [WIDTHS], "groups": [0, 0]} | options))


# --- the fit -----------------------------------------------------------------------------------------


def fit(family, u, weight):
    current = StandardNormal(dim=u.shape[1])
    return family.fit(current, family.suffstats(current, u, weight))


@pytest.mark.statistical(effect=4, false_fail=1e-7, false_pass=1e-3)
def test_pooled_fit_uses_every_coordinate(seed):
    """Shares from ``3 n`` observations, within 5 binomial errors; those of one coordinate would be off by more."""
    law = HistogramTilt(shares=shares_of(1.0), groups=np.zeros(3))
    found = fit(HistogramTilting(), draws(law, N // 10, seed(847)), np.ones(N // 10))
    assert found.table.shape == (1, BINS)
    p = law.table[0]
    assert_within_error(found.table[0], p, np.sqrt(p * (1 - p) / (0.3 * N)))


@pytest.mark.statistical(effect=8, false_fail=1e-7, false_pass=1e-3)
def test_groups_are_fitted_apart(seed):
    family = HistogramTilting(groups=[0, 1, 0], floor=1e-3)
    found = fit(family, draws(LAW, N // 4, seed(848)), np.full(N // 4, 1e-200))
    n = N / 4 * np.array([[2], [1]])
    assert_within_error(found.table, LAW.table, np.sqrt(LAW.table * (1 - LAW.table) / n))
    assert family.n_parameters(3) == 2 * (BINS - 1)


def test_weighted_fit_recovers_a_law_that_was_not_drawn(seed):
    q = StandardNormal(dim=3)
    u = draws(q, N, seed(849))
    weight = np.exp(logpdf(LAW, u) - logpdf(q, u))
    family = HistogramTilting(groups=[0, 1, 0], floor=1e-3)
    np.testing.assert_allclose(fit(family, u, weight).table, LAW.table, rtol=0.4, atol=0.02)


def test_floor_is_kept_and_the_rest_stays_in_proportion():
    """All rows in one bin: every other ratio is the floor, to the last digit."""
    found = fit(HistogramTilting(floor=0.2), np.full((50, 2), 0.1, order="F"), np.ones(50))
    ratio = found.table[0] / WIDTHS
    assert ratio[BINS // 2] == pytest.approx((1 - 0.2 * 0.85) / 0.15)
    np.testing.assert_allclose(np.delete(ratio, BINS // 2), 0.2, rtol=1e-12)


def test_fit_maximises_the_likelihood_above_the_floor(seed):
    """Moving probability between any two bins, within the floor, lowers the weighted log likelihood."""
    family = HistogramTilting(floor=0.3)
    u = draws(HistogramTilt(shares=shares_of(2.5), groups=[0]), 4000, seed(850))
    counts = family.suffstats(StandardNormal(dim=1), u, np.ones(4000)).first[0]
    best = fit(family, u, np.ones(4000)).table[0]
    assert (best >= 0.3 * WIDTHS - 1e-15).all()
    for a in range(BINS):
        for b in range(BINS):
            moved = best.copy()
            moved[a] += 1e-5
            moved[b] -= 1e-5
            if a != b and moved[b] >= 0.3 * WIDTHS[b]:
                assert counts @ np.log(moved) < counts @ np.log(best)


@pytest.mark.statistical(effect=0.08, false_fail=1e-7, false_pass=1e-3)
def test_kl_is_that_of_draws(seed):
    family, target = HistogramTilting(), StandardNormal(dim=3)
    x = draws(LAW, N, seed(851))
    gap = logpdf(LAW, x) - logpdf(target, x)
    assert_within_error(gap.mean(), family.kl(LAW, target), gap.std() / np.sqrt(N))
    assert family.kl(LAW, LAW) == 0.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"floor": 0.0}, "floor: must be above 0 and below 1, got 0"),
        ({"floor": 1.0}, "floor: must be above 0 and below 1, got 1"),
        ({"groups": [0, 2]}, "groups: must be whole numbers 0, 1, 2, ... without a gap"),
        ({"groups": [0.5, 1.0]}, "groups: must be whole numbers 0, 1, 2, ... without a gap"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(FieldError, match=message):
        HistogramTilting(**options)


def test_groups_must_cover_the_coordinates():
    method = CrossEntropy(proposal=HistogramTilting(groups=[0, 1]))
    with pytest.raises(FieldError, match="groups: must have 3 entries, got 2"):
        solve(linear_normal(3, 4.0), 1, method=method)


# --- rare events -------------------------------------------------------------------------------------


def successes(n, p, k):
    inputs = Independent(marginal=marginals.Bernoulli(p=p), dim=n)
    measure = Probability(above=k - 0.5)
    return Case(f"binomial-{n}", inputs, PythonLoss(function=total), measure, [stats.binom.sf(k - 1, n, p)])


@pytest.mark.slow
@pytest.mark.parametrize("k", [12, 18])
@pytest.mark.statistical(effect=0.3, false_fail=1e-7, false_pass=1e-3)
def test_sum_of_bernoulli_factors_is_exact_within_its_error(k, seed):
    """The shifted normal that imitates it is off by tens of percent at these budgets."""
    case = successes(50, 0.1, k)
    method = CrossEntropy(proposal=HistogramTilting(), starts=2)
    estimate = solve(case, seed(852), method=method, relative_error=0.03).estimates[0]
    assert_within_error(estimate.value, case.exact[0], estimate.std_error)
    assert estimate.relative_error <= 0.03


@pytest.mark.slow
@pytest.mark.usefixtures("no_canary")
@pytest.mark.statistical(effect=2, false_fail=3e-7, false_pass=1e-3)
def test_intervals_cover_over_many_seeds(seed):
    """40 runs from the tilt by which 0.28 of the factors jump, the bins above 0.9: a bias of 0.7 errors would show."""
    case = successes(50, 0.1, 14)
    shares = WIDTHS * np.where(np.arange(BINS) >= BINS - 6, 2.8, 0.8)
    method = Importance(proposal=HistogramTilt(shares=[shares], groups=np.zeros(50)), defensive=0.1)
    runs = [solve(case, seed(1000 + k), method=method, max_evaluations=2000).estimates[0] for k in range(40)]
    z = np.array([(e.value - case.exact[0]) / e.std_error for e in runs])
    assert_scores_are_standard(z)
    assert_count_at_least(sum(e.interval[0] <= case.exact[0] <= e.interval[1] for e in runs), 40, 0.95)


@pytest.mark.slow
def test_digits_do_not_depend_on_the_workers(seed):
    case = successes(10, 0.1, 6)
    options = {"method": CrossEntropy(proposal=HistogramTilting(), starts=2), "relative_error": 0.1}
    alone = solve(case, seed(853), **options)
    with Executor.of("threads", 2) as executor:
        together = solve(case, seed(853), executor, **options)
    assert alone.estimates[0].value == together.estimates[0].value
