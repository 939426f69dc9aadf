"""Probabilities of common events beside rare ones: within [0, 1], within their intervals, and covered by them."""

import math

import numpy as np
import pytest
from scipy import stats

from raresim import (
    Auto,
    CrossEntropy,
    Importance,
    Linear,
    Normal,
    Probability,
    StandardNormal,
    StudentT,
    ValueAtRisk,
)
from raresim.accumulators.tail import TailMoments
from raresim.measures.bands import exceedances_of, intervals
from raresim.measures.curve import Certainty, TailCurve
from raresim.measures.often import often
from raresim.measures.tail_sample import TailSample
from tests.problems import Case, solve
from tests.statistical import assert_within_error

SIGMAS = (-3.0, -1.0, 0.0, 1.0)
LAWS = {
    "normal": (StandardNormal(dim=3), stats.norm.sf),
    "t": (StudentT(dof=4.0, dim=3), lambda k: stats.t.sf(k * math.sqrt(2.0), 4)),
}


def beside_a_quantile(law, method):
    measures = [Probability(above=[f"{k:g} sigma" for k in SIGMAS]), ValueAtRisk(level=0.999)]
    return Case("common", LAWS[law][0], Linear(weights="equal", factors="losses"), measures[0], [], method), measures


@pytest.mark.slow
@pytest.mark.parametrize("method", [Auto(), CrossEntropy()], ids=["auto", "cross_entropy"])
@pytest.mark.parametrize("law", LAWS)
@pytest.mark.statistical(effect=0.1, false_fail=4e-7, false_pass=0.1)
def test_18_1_common_events_beside_a_rare_quantile(law, method, seed):
    case, measures = beside_a_quantile(law, method)
    found = solve(case, seed(1), measures=measures)
    for k, estimate in zip(SIGMAS, found.estimates, strict=False):
        assert 0.0 <= estimate.interval[0] <= estimate.value <= estimate.interval[1] <= 1.0
        assert_within_error(estimate.value, LAWS[law][1](k), estimate.std_error)
        assert estimate.relative_error <= 0.011
        assert estimate.verdict.status == "trusted"
    last = {point.estimate: point for point in found.convergence}
    for k, estimate in enumerate(found.estimates[: len(SIGMAS)]):
        assert last[k].value == estimate.value


def test_18_1_no_probability_is_above_one_without_draws_from_the_target(seed):
    """A stated proposal far out: the mean of the weights of a common event is anything, and is not trusted."""
    for k in range(10):
        method = Importance(proposal=Normal(mean=[1.5, 0.0, 0.0], std=1.0))
        case = Case("far", StandardNormal(dim=3), Linear(weights=[1.0, 0.0, 0.0]), Probability(above=-3.0), [], method)
        (estimate,) = solve(case, seed(10 + k), relative_error=None, max_evaluations=2_000).estimates
        assert 0.0 <= estimate.interval[0] <= estimate.value <= estimate.interval[1] <= 1.0
        assert estimate.log_value <= 0.0


def draws(rng, n, share=0.1):
    """Draws of a mixture of N(3, 1) and N(0, 1), and their log weights for N(0, 1)."""
    x = rng.standard_normal(n) + 3.0 * (rng.random(n) >= share)
    log_q = np.logaddexp(math.log1p(-share) + stats.norm.logpdf(x, 3.0), math.log(share) + stats.norm.logpdf(x))
    return x, stats.norm.logpdf(x) - log_q


@pytest.mark.parametrize("k", [-3.0, -1.5, -0.5, 0.0])
def test_18_1_intervals_of_common_events_cover(k, seed):
    """Of 400 at 95 %: fewer than 350 cover with a probability of 3e-8, if they cover as often as they say."""
    exact, covered, used = stats.norm.sf(k), 0, 0
    for j in range(400):
        x, log_weight = draws(np.random.default_rng(seed(1000 + j)), 4_000)
        inside, outside = (TailMoments.of_block(log_weight, [mask]) for mask in (x >= k, x < k))
        common = often(inside, outside, 0, math.log(10.0))
        if common is None:
            covered += 1
            continue
        used += 1
        low, high = common.interval(0.95, None, 1.0)
        assert 0.0 <= low <= common.value <= high <= 1.0
        covered += low <= exact <= high
    assert used > 300
    assert covered >= 350


def test_18_1_the_odds_are_those_of_the_sums_inside_and_outside():
    """By hand: weights 2 and 0.2 inside, 1.6 and 0.2 outside, a thousand rows of each."""
    rows = 1_000
    inside = TailMoments.of_hits(4 * rows, [np.log(np.repeat([2.0, 0.2], rows))])
    outside = TailMoments.of_hits(4 * rows, [np.log(np.repeat([1.6, 0.2], rows))])
    found = often(inside, outside, 0, math.log(4.0))
    assert found.value == pytest.approx(0.55)
    assert found.outside == pytest.approx(0.45)
    assert found.odds_error**2 == pytest.approx((4.04 / 2.2**2 + 2.6 / 1.8**2) / rows)
    assert found.relative_error == pytest.approx(0.45 * found.odds_error)
    assert often(inside, outside, 0, None) is None
    assert often(inside, None, 0, math.log(4.0)) is None


def test_18_1_an_event_that_no_draw_missed_is_bounded_from_below():
    """Nothing outside among 5,000 rows of weights up to 4: one minus a Poisson bound for none, 3.7, of such weights."""
    inside = TailMoments.of_hits(5_000, [np.zeros(5_000)])
    outside = TailMoments.of_hits(5_000, [np.empty(0)])
    found = often(inside, outside, 0, math.log(4.0))
    low, high = found.interval(0.95, None, 1.0)
    assert (found.value, high) == (1.0, 1.0)
    assert 1.0 - low == pytest.approx(-math.log(0.025) * 4.0 / 5_000)
    assert found.relative_error == pytest.approx(4.0 / 5_000)


def test_18_1_a_rare_event_keeps_its_plain_mean(seed):
    x, log_weight = draws(np.random.default_rng(seed(2)), 20_000)
    inside, outside = (TailMoments.of_block(log_weight, [mask]) for mask in (x >= 3.0, x < 3.0))
    assert often(inside, outside, 0, math.log(10.0)) is None


@pytest.mark.parametrize("tail", [0.5, 0.9, 0.99])
@pytest.mark.slow_cases("0.5", "0.99")
def test_18_1_quantiles_that_most_losses_exceed_are_read_from_shares(tail, seed):
    """The weights of 2,000 draws need not add up to a large tail, and their shares always do."""
    covered = 0
    for j in range(300):
        x, log_weight = draws(np.random.default_rng(seed(3000 + j)), 2_000)
        plain = TailCurve.of_rows(x.size, x, log_weight)
        curve = plain.for_tail(tail, bounded=True)
        assert plain.for_tail(tail, bounded=False) is plain
        assert plain.for_tail(0.01, bounded=True) is plain
        assert curve.beyond[-1] == pytest.approx(1.0, rel=1e-12)
        found = curve.value_at_risk(tail, Certainty(0.95))
        assert found.low <= found.value <= found.high
        covered += found.low <= stats.norm.isf(tail) <= found.high
    assert covered >= 258, covered  # of 95 % intervals fewer with a probability of 1e-9


def test_18_1_no_point_of_a_curve_is_above_one():
    weights = np.log(np.array([1.5, 1.2, 1.1, 0.9]))
    none = np.empty((4, 0))
    rows = TailSample(4, -math.inf, np.array([1.0, 2.0, 3.0, 4.0]), weights, np.arange(4), none, none, none)
    curve = exceedances_of(rows, np.array([0.5, 3.5]))
    assert curve.probability.tolist() == pytest.approx([1.0, 0.225])
    low, high = intervals(curve, 0.95)
    assert (low <= curve.probability).all()
    assert (curve.probability <= high).all()
    assert (high <= 1.0).all()
