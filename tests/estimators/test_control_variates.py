"""Components of a mixture as control variates: unbiased whatever the coefficients, honest, and of some use."""

import math

import numpy as np
import pytest

from raresim import Importance, Mixture, Normal, StandardNormal
from raresim.engine.executors import Executor
from raresim.engine.fold import Sampler, fold
from raresim.engine.problem import Problem
from raresim.errors import FieldError
from raresim.estimators.control_variates import ControlledBatches, log_controlled_mean, responsibilities
from raresim.methods.draws import estimator_for
from raresim.numerics.blocks import Block, plan
from raresim.record.event import Event
from tests.helpers import draws
from tests.problems import linear_normal, solve
from tests.statistical import assert_count_at_least, assert_spread_is, assert_within_error

SHIFTED = Normal(mean=3 / math.sqrt(3), dim=3)
MIXED = Mixture(weights=[0.4, 0.3, 0.3], components=(SHIFTED, Normal(mean=0.5, std=1.5, dim=3), StandardNormal(dim=3)))


def sampler(case, law, seed):
    return Sampler(Problem(case.inputs, case.loss.bind(case.inputs)), law, seed)


@pytest.mark.statistical(effect=0.08, false_fail=1e-7, false_pass=1e-3)
def test_controls_have_mean_zero(seed):
    """Responsibilities average to the shares: 5 standard errors of 20,000 draws."""
    r = responsibilities(MIXED, draws(MIXED, 20_000, seed(351)))
    assert r.sum(axis=1) == pytest.approx(1.0)
    assert_within_error(r.mean(axis=0), MIXED.shares, r.std(axis=0) / math.sqrt(20_000))


def test_responsibilities_are_known_where_densities_are_not():
    """Forty, and four thousand, standard deviations out, where the densities and their ratio are below all doubles."""
    far = Mixture(weights=[0.5, 0.5], components=(Normal(mean=1.0), Normal(mean=-1.0)))
    u = np.asfortranarray([[0.0], [40.0], [-4000.0], [0.25]])
    assert responsibilities(far, u)[:, 0] == pytest.approx([0.5, 1.0, 0.0, 1 / (1 + math.exp(-0.5))])


def test_a_value_that_is_a_sum_of_controls_is_known_exactly(seed):
    """y = 1 + 2 c_1 - c_2: both halves find the coefficients, and the mean is 1 without error."""
    c = np.random.default_rng(seed(352)).uniform(-0.3, 0.3, size=(2, 50, 2))
    assert log_controlled_mean(np.log(1 + 2 * c[..., 0] - c[..., 1]), c) == pytest.approx(0.0, abs=1e-12)


def test_coefficients_come_from_the_other_half():
    """Controls that fit one half and not the other: each half is corrected by the slope of the other, here 2 and 0."""
    c = np.array([[[-1.0], [0.0], [2.0]], [[-1.0], [0.0], [4.0]]])
    y = np.array([3.0 + 2.0 * c[0, :, 0], [5.0, 5.0, 5.0]])
    halves = y[0].mean() - 0.0 * c[0].mean(), y[1].mean() - 2.0 * c[1].mean()
    assert math.exp(log_controlled_mean(np.log(y), c)) == pytest.approx(np.mean(halves))


def test_controls_that_are_equal_but_for_rounding_are_one(seed):
    """Responsibilities add up to one: the last is known from the others, and must not get a coefficient of 1e10."""
    rng = np.random.default_rng(seed(359))
    c, y = rng.uniform(-0.3, 0.3, size=(2, 50, 1)), rng.uniform(1.0, 2.0, size=(2, 50))
    twice = np.concatenate([c, c + 1e-11 * rng.normal(size=c.shape)], axis=2)
    assert log_controlled_mean(np.log(y), twice) == pytest.approx(log_controlled_mean(np.log(y), c), abs=1e-9)


def test_a_mean_that_is_not_positive_gives_nothing():
    c = np.array([[[-1.0], [0.0], [2.0]], [[-1.0], [0.0], [40.0]]])
    y = np.array([3.0 + 2.0 * c[0, :, 0], [5.0, 5.0, 5.0]])
    assert log_controlled_mean(np.log(y), c) == -math.inf
    assert log_controlled_mean(np.full((2, 3), -np.inf), c) == -math.inf


@pytest.mark.parametrize("how", ["independent", "antithetic"])
@pytest.mark.parametrize("law", [MIXED, Mixture.defensive(SHIFTED, StandardNormal(dim=3), 0.1)], ids=["three", "two"])
@pytest.mark.statistical(effect=0.12, false_fail=1e-7, false_pass=1e-3)
def test_estimate_is_exact(law, how, seed):
    """5 standard errors of 1 %."""
    case, method = linear_normal(3, 3.0), Importance(proposal=law, draws=how, control_variates=True)
    (estimate,) = solve(case, seed(353), method=method, relative_error=0.01).estimates
    assert_within_error(estimate.value, case.exact[0], estimate.std_error)


@pytest.mark.slow
@pytest.mark.parametrize(("paired", "size"), [(False, 32), (True, 64)])
@pytest.mark.statistical(effect=0.1, false_fail=1e-7, false_pass=1e-3)
def test_small_batches_have_no_bias(paired, size, seed):
    """2,000 batches of 32 rows: coefficients from the whole batch shift the mean by 5 %; 5 standard errors are 4 %."""
    case = linear_normal(3, 0.5)
    job = ControlledBatches(sampler(case, MIXED, seed(354)), (Event(0.5),), size, paired)
    tail = fold(Executor(), job, plan(0, 2_000, 3, 1)).tail
    assert tail.hits[0] >= 1_980  # a mean below 0 is left out
    assert_within_error(math.exp(tail.log_probability(0)), case.exact[0], tail.relative_error(0) * case.exact[0])


@pytest.mark.slow
def test_variance_that_is_left_is_that_of_the_residuals(seed):
    """Least squares on 100,000 draws says what the best coefficients leave, some 80 %; batches come within 15 %."""
    case = linear_normal(3, 1.0)
    law = Mixture.defensive(Normal(mean=0.9, dim=3), StandardNormal(dim=3), 0.5)
    s = sampler(case, law, seed(355))
    u = draws(law, 100_000, seed(356))
    y = np.where(u.sum(axis=1) >= math.sqrt(3), np.exp(s.log_weight(u)), 0.0)
    c = responsibilities(law, u) - law.shares
    residual = y - y.mean() - c @ np.linalg.lstsq(c, y - y.mean(), rcond=1e-9)[0]
    batches = fold(Executor(), ControlledBatches(s, (Event(1.0),), 512), plan(0, 1000, 3, 1)).tail.relative_error(0)
    assert residual.var() < 0.85 * y.var()
    assert batches**2 * 1000 * 512 == pytest.approx(residual.var() / case.exact[0] ** 2, rel=0.15)


@pytest.mark.slow
@pytest.mark.usefixtures("no_canary")
@pytest.mark.statistical(effect=1.5, false_fail=3e-7, false_pass=1e-3)
def test_interval_covers_and_the_error_is_that_between_seeds(seed):
    """80 runs of 20 batches of 256 draws."""
    case, method = linear_normal(3, 3.0), Importance(proposal=MIXED, control_variates=True)
    results = [
        solve(
            case, seed(3400 + r), method=method, relative_error=None, max_evaluations=20 * 256, audit="off"
        ).estimates[0]
        for r in range(80)
    ]
    exact = case.exact[0]
    assert_count_at_least(sum(e.interval[0] <= exact <= e.interval[1] for e in results), 80, 0.94)
    z = np.array([(e.value - exact) / e.std_error for e in results])
    assert_spread_is([e.value for e in results], np.mean([e.std_error for e in results]))
    assert_within_error(z.mean(), 0.0, math.sqrt(19 / 17 / 80))


def test_a_row_is_a_batch_from_its_own_stream(seed):
    job = ControlledBatches(sampler(linear_normal(3, 3.0), MIXED, seed(356)), (Event(3.0),), 256)
    first, second = job(Block(0, 0, 0, 1)), job(Block(0, 1, 1, 1))
    assert (first.tail.n, first.evaluations, first.kept.loss.size) == (1, 256, 256)
    assert first.tail.peak[0] != second.tail.peak[0]
    assert first.tail.peak[0] == job(Block(0, 0, 0, 1)).tail.peak[0]


def test_workers_change_no_digit(seed):
    case, method = linear_normal(3, 3.0), Importance(proposal=MIXED, control_variates=True)
    alone = solve(case, seed(357), method=method)
    with Executor.of("threads", 2) as executor:
        assert solve(case, seed(357), executor, method=method).estimates == alone.estimates


def test_draws_from_the_target_alone_have_nothing_to_correct(seed):
    crude = sampler(linear_normal(3, 3.0), None, seed(358))
    assert estimator_for(crude, [Event(3.0)], "independent", True, budget=10**6) is None


def test_a_law_without_components_is_refused():
    with pytest.raises(FieldError, match=r"^control_variates: .* a law of kind normal has only one; give a defensive"):
        Importance(proposal=SHIFTED, control_variates=True)


def test_sobol_points_with_controls_are_refused():
    with pytest.raises(FieldError, match=r"^control_variates: must be false where draws is 'sobol'"):
        Importance(proposal=MIXED, draws="sobol", control_variates=True)


@pytest.mark.statistical(effect=0.3, false_fail=1e-7, false_pass=1e-3)
def test_more_components_than_a_batch_bears_make_no_estimate_too_large(seed):
    """Sixty components that hardly a batch draws, as further rounds of a search leave them, are no controls."""
    rng = np.random.default_rng(8)
    apart = tuple(Normal(mean=SHIFTED.mean + 1.5 * rng.standard_normal(3), std=0.4) for _ in range(60))
    law = Mixture(weights=[0.94] + [0.001] * 60, components=(SHIFTED, *apart))
    case = linear_normal(3, 3.0)
    job = ControlledBatches(sampler(case, law, seed(361)), (Event(3.0),), 256)
    assert job.controls.tolist() == [0]
    total = fold(Executor(), job, plan(0, 60, 3, 1))
    mean = math.exp(total.tail.log_probability(0))
    assert_within_error(mean, case.exact[0], mean * total.tail.relative_error(0))
