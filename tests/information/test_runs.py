"""What runs report of information, against integrals and closed forms."""

import math

import numpy as np
import pytest
from scipy import integrate, stats

from raresim import CrossEntropy, Gaussian, Importance, Linear, Normal, Probability, StandardNormal
from raresim.accumulators.tail import TailMoments
from raresim.engine.executors import Executor
from raresim.engine.fold import Sampler, fold
from raresim.engine.problem import Problem
from raresim.information import budget, self_information, weighted_cross_entropy
from raresim.methods.levels import Evaluate
from raresim.numerics.blocks import plan
from tests.information.test_weighted import entropy_beyond, kl_of_shift
from tests.problems import Case, linear_normal, solve, two_sided
from tests.statistical import assert_mean_is, assert_within_error

NORMAL_ENTROPY = stats.norm().entropy()


def stated(shift, threshold=5.0):
    """One standard normal, drawn from N(shift, 1)."""
    method = Importance(proposal=Normal(mean=shift))
    loss, measure = Linear(weights=[1.0]), Probability(above=threshold)
    return Case(f"stated-{shift:g}", StandardNormal(dim=1), loss, measure, [stats.norm.sf(threshold)], method)


def mean_and_deviation(f, shift, threshold=5.0):
    """Of ``f(x, w)`` over draws of N(shift, 1), zero for misses, by quadrature; ``w`` is the weight over P."""
    q, probability = stats.norm(shift), stats.norm.sf(threshold)

    def value(x):
        return f(x, stats.norm.pdf(x) / q.pdf(x) / probability)

    def integral(g):
        return integrate.quad(lambda x: q.pdf(x) * g(x), threshold, threshold + 15, epsrel=1e-11)[0]

    mean = integral(value)
    return mean, math.sqrt(integral(lambda x: value(x) ** 2) - mean**2)


def exact_cross_entropy(shift, threshold=5.0):
    """H(optimal, N(shift, 1)), and the deviation of one draw's share in its estimate (delta method)."""
    q = stats.norm(shift)
    exact, _ = mean_and_deviation(lambda x, w: -w * q.logpdf(x), shift, threshold)
    _, deviation = mean_and_deviation(lambda x, w: w * (-q.logpdf(x) - exact), shift, threshold)
    return exact, deviation


def evaluated(law, dim, n, seed):
    """All rows of ``n`` draws of ``law`` on the even linear loss of ``dim`` standard normals."""
    case = linear_normal(dim, 5.0)
    problem = Problem(case.inputs, case.loss.bind(case.inputs))
    return fold(Executor(), Evaluate(Sampler(problem, law, seed), 1.0), plan(0, n, dim))


# --- a stated proposal -------------------------------------------------------------------------------


@pytest.mark.parametrize("shift", [4.0, 5.0, 5.1865, 6.0])
@pytest.mark.statistical(effect=0.05, false_fail=1e-7, false_pass=1e-3)
def test_kl_of_a_run_is_the_closed_form_within_its_error(shift, seed):
    result = solve(stated(shift), seed(640), relative_error=0.01)
    exact, n = kl_of_shift(shift), result.evaluations["estimate"]

    def share(x, w):
        log_w = stats.norm.logpdf(x) - stats.norm.logpdf(x, shift) - stats.norm.logsf(5.0)
        return w * (log_w - exact - 1)

    _, deviation = mean_and_deviation(share, shift)
    assert_within_error(result.diagnostics["kl_optimal_proposal"], exact, deviation / math.sqrt(n))


@pytest.mark.parametrize("case", [stated(5.0), linear_normal(3, 5.0), two_sided(3, 4.0)], ids=lambda case: case.name)
@pytest.mark.statistical(effect=0.025, false_fail=1e-7, false_pass=1e-3)
def test_kl_from_the_optimal_law_to_the_target_is_minus_log_p(case, seed):
    """In each place where a run says it: from its own estimate exactly, and the truth within its error."""
    result = solve(case, seed(641), relative_error=0.02)
    estimate = result.estimates[0]
    for said in (
        result.diagnostics["kl_target_optimal"],
        result.diagnostics["self_information_nats"],
        estimate.information.event_nats,
        estimate.information.event_bits * math.log(2),
    ):
        assert said == pytest.approx(-math.log(estimate.value), rel=1e-12)
    assert_within_error(estimate.information.event_nats, self_information(case.exact[0]), estimate.relative_error)


@pytest.mark.statistical(effect=0.003, false_fail=1e-7, false_pass=1e-3)
def test_cross_entropy_of_a_level_is_the_integral(seed):
    """H(optimal, q) from 100,000 draws of N(5, 1), within 5 standard errors of exact asymptotics."""
    rows = evaluated(Normal(mean=5.0), 1, 100_000, seed(642))
    exact, deviation = exact_cross_entropy(5.0)
    assert_within_error(rows.cross_entropy(5.0), exact, deviation / math.sqrt(100_000))
    assert exact == pytest.approx(kl_of_shift(5.0) + entropy_beyond(5), rel=1e-9)


@pytest.mark.statistical(effect=0.006, false_fail=1e-7, false_pass=1e-3)
def test_cross_entropy_against_the_target_is_the_integral(seed):
    """Read by SciPy from the draws themselves (in one dimension the loss is the draw)."""
    result = solve(stated(5.0), seed(643), relative_error=0.01)
    x = result.arrays.loss
    hit, w = x >= 5.0, np.exp(result.arrays.log_weight)
    surprise = -stats.norm.logpdf(x[hit])
    crossed = np.average(surprise, weights=w[hit])
    exact = entropy_beyond(5) - stats.norm.logsf(5.0)
    _, deviation = mean_and_deviation(lambda x, v: v * (-stats.norm.logpdf(x) - exact), 5.0)
    assert_within_error(crossed, exact, deviation / math.sqrt(x.size))
    assert weighted_cross_entropy(w[hit].sum(), -(w[hit] * surprise).sum()) == pytest.approx(crossed, rel=1e-12)


@pytest.mark.statistical(effect=0.008, false_fail=1e-7, false_pass=1e-3)
def test_cross_entropy_against_the_target_less_entropy_is_minus_log_p(seed):
    """The identity of a sample, to rounding; hence the truth within the error of its estimate (d = 20)."""
    law = Normal(mean=np.full(20, 5 / math.sqrt(20)))
    rows = evaluated(law, 20, 50_000, seed(644))
    tail = TailMoments.of_block(rows.log_weight, [rows.loss >= 5.0])
    hit = rows.loss >= 5.0
    w = np.exp(rows.log_weight[hit] - rows.peak(5.0))
    log_p = rows.log_weight[hit] + rows.log_q[hit]
    entropy = rows.cross_entropy(5.0) - tail.kl(0)
    gap = weighted_cross_entropy(w.sum(), (w * log_p).sum()) - entropy
    assert gap == pytest.approx(-tail.log_probability(0), rel=1e-11)
    assert_within_error(gap, -stats.norm.logsf(5.0), tail.relative_error(0))


def test_draws_that_a_proposal_needs_grow_with_the_exponential_of_its_kl(seed):
    """Chatterjee and Diaconis: at ``exp(KL - t)`` draws the estimate is mostly too low, at ``exp(KL + t)`` it is right.

    N(8, 1) is a poor proposal for 5 sigma: KL = 5.57 nats.
    """
    kl = kl_of_shift(8.0)
    assert kl == pytest.approx(5.573, abs=1e-3)
    rows = evaluated(Normal(mean=8.0), 1, 2_000_000, seed(645))
    relative = np.where(rows.loss >= 5.0, np.exp(rows.log_weight - stats.norm.logsf(5.0)), 0.0)
    medians = []
    for size in (round(math.exp(kl - 3)), round(math.exp(kl + 3))):
        runs = relative[: relative.size // size * size].reshape(-1, size).mean(axis=1)
        medians.append(float(np.median(runs)))
    assert medians[0] < 0.25
    assert 0.75 < medians[1] < 1.25


# --- a tuned proposal --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "case", [linear_normal(1, 5.0), linear_normal(20, 5.0), two_sided(3, 4.0)], ids=lambda c: c.name
)
def test_levels_split_cross_entropy_into_entropy_and_kl(case, seed):
    result = solve(case, seed(646), relative_error=0.1)
    assert len(result.iterations) > 5
    for row in [row for row in result.iterations if row.start != "hits"]:  # these fit no law
        assert row.cross_entropy - row.entropy == pytest.approx(row.kl_optimal_proposal, rel=1e-9, abs=1e-12)
    entropies = result.diagnostics["entropy"]
    last = result.iterations[-1]
    assert entropies["optimal"] == last.entropy
    assert entropies["cross_entropy_proposal"] - entropies["optimal"] == pytest.approx(
        last.kl_optimal_proposal, rel=1e-9
    )
    gap = entropies["cross_entropy_target"] - entropies["optimal"]
    assert gap == pytest.approx(-math.log(result.estimates[0].value), rel=1e-12)


@pytest.mark.statistical(effect=0.2, false_fail=1e-7, false_pass=1e-3)
def test_first_level_is_the_target_itself(seed):
    """Crude draws: KL is ``-log P`` of the level, cross-entropy and entropy those of a truncated normal."""
    row = solve(linear_normal(1, 5.0), seed(647), relative_error=0.1).iterations[0]
    assert row.start == "all"
    assert row.kl_optimal_proposal == pytest.approx(-row.log_probability, rel=1e-12)
    assert row.kl_optimal_proposal == pytest.approx(-math.log(row.elites / row.evaluations), rel=1e-12)
    exact, deviation = exact_cross_entropy(0.0, row.level)
    assert_within_error(row.cross_entropy, exact, deviation / math.sqrt(row.evaluations))


@pytest.mark.slow
@pytest.mark.parametrize("d", [1, 20])
@pytest.mark.statistical(effect=0.15, false_fail=2e-7, false_pass=1e-3)
def test_entropy_of_the_optimal_law_is_that_of_a_truncated_normal(d, seed):
    """Along the loss a truncated normal, across it ``d - 1`` standard normals; mean of 25 runs."""
    exact = entropy_beyond(5) + (d - 1) * NORMAL_ENTROPY
    method = CrossEntropy(proposal=Gaussian(covariance="mean_shift"), starts=1)
    runs = [
        solve(linear_normal(d, 5.0), seed(650) + k, relative_error=0.2, method=method).diagnostics["entropy"]
        for k in range(25)
    ]
    assert_mean_is([e["optimal"] for e in runs], exact)
    assert_mean_is([e["cross_entropy_target"] for e in runs], exact - stats.norm.logsf(5.0))


def test_tuning_lowers_the_cross_entropy_of_the_final_event(seed):
    """Against the optimal law at the threshold: the tuned proposal is within a bit of it, the target 15 nats away."""
    result = solve(linear_normal(20, 5.0), seed(648), relative_error=0.05)
    entropies = result.diagnostics["entropy"]
    assert entropies["cross_entropy_proposal"] < entropies["cross_entropy_target"] - 10
    spent = result.estimates[0].information
    assert spent == budget(result.estimates[0].log_value, result.diagnostics["kl_optimal_proposal"])
    assert spent.proposal_draws < 20 < spent.crude_draws
    assert spent.saved_share > 0.8


def test_entropy_is_left_out_where_nothing_was_tuned(seed):
    assert solve(stated(5.0), seed(649), relative_error=0.1).diagnostics["entropy"] == {}
