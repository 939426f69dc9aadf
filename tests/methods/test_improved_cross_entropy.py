"""The improved cross-entropy method: levels of a smoothed event, the pool of all draws, and how it may end."""

import numpy as np
import pytest
from scipy import stats

from raresim import Gaussian, Normal, Probability, PythonLoss, StandardNormal
from raresim.config import load as configs
from raresim.diagnostics.ess import effective_of_logs
from raresim.engine.executors import Executor
from raresim.errors import FieldError
from raresim.estimators.weighted_draws import WeightedDraws
from raresim.methods.improved_cross_entropy import (
    ImprovedCrossEntropy,
    log_indicator,
    weighted_median,
)
from raresim.methods.levels import Evaluate
from raresim.proposals.gaussian_mixture import GaussianMixture
from raresim.proposals.student_t import StudentTMixture
from raresim.record.verdict import Status
from raresim.search.archive import Archive
from tests import oracles
from tests.helpers import draws
from tests.problems import Case, below, linear_normal, several, solve, two_sided
from tests.statistical import assert_count_at_least, assert_scores_are_standard, assert_within_error

QUICK = ImprovedCrossEntropy(proposal=GaussianMixture(components=1))


def loss_case(function, threshold, d=2):
    return Case(
        function.__name__, StandardNormal(dim=d), PythonLoss(function=function), Probability(above=threshold), ()
    )


# --- the answer ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "method",
    [
        ImprovedCrossEntropy(),
        ImprovedCrossEntropy(pooled=False),
        ImprovedCrossEntropy(proposal=Gaussian(covariance="full"), target_cov=2.5),
        ImprovedCrossEntropy(proposal=StudentTMixture()),
    ],
    ids=["mixture", "own draws", "bold", "t"],
)
@pytest.mark.parametrize("case", [linear_normal(3, 5.0), below(4.0), linear_normal(20, 3.0)], ids=lambda c: c.name)
@pytest.mark.statistical(effect=0.6, false_fail=1e-7, false_pass=1e-3)
def test_answer_is_exact_within_its_error(case, method, seed):
    """5 standard errors of 5 %."""
    result = solve(case, seed(421), method=method, relative_error=0.05, max_evaluations=100_000)
    (estimate,) = result.estimates
    assert estimate.relative_error <= 0.05
    assert_within_error(estimate.value, case.exact[0], estimate.std_error)
    assert result.search["outcome"] == "the climb reached the threshold"


@pytest.mark.slow
@pytest.mark.statistical(effect=0.6, false_fail=1e-7, false_pass=1e-3)
def test_both_sides_of_an_event_are_found_by_a_mixture(seed):
    """10 seeds: a side that is missed halves the answer, 10 of its errors."""
    case = two_sided(3, 4.0)
    results = [solve(case, seed(430 + s), method=ImprovedCrossEntropy(), relative_error=0.05) for s in range(10)]
    estimates = [r.estimates[0] for r in results]
    assert_within_error([e.value for e in estimates], case.exact[0], [e.std_error for e in estimates])
    assert all(r.evaluations["tune"] <= 10_000 for r in results)


@pytest.mark.slow
@pytest.mark.usefixtures("no_canary")
@pytest.mark.statistical(effect=2, false_fail=3e-7, false_pass=1e-3)
def test_interval_covers_and_the_reported_error_is_the_spread(seed):
    """40 seeds: at least 95 % cover but for chance, and their z are standard."""
    case = linear_normal(2, 4.0)
    estimates = [solve(case, seed(2000 + s), method=QUICK, relative_error=0.08).estimates[0] for s in range(40)]
    z = np.array([(e.value - case.exact[0]) / e.std_error for e in estimates])
    assert_count_at_least(sum(e.interval[0] <= case.exact[0] <= e.interval[1] for e in estimates), 40, 0.95)
    assert_scores_are_standard(z)


@pytest.mark.statistical(effect=1.2, false_fail=1e-7, false_pass=1e-3)
def test_easier_events_are_estimated_with_the_rarest(seed):
    case = several(2.0, 4.0, 3.0)
    result = solve(case, seed(422), method=QUICK, relative_error=0.1)
    values = [e.value for e in result.estimates]
    assert_within_error(values, case.exact, [e.std_error for e in result.estimates])


# --- levels -------------------------------------------------------------------------------------------


def test_levels_have_the_coefficient_of_variation_that_was_asked_for(seed):
    """Effective draws of every level but the last: ``samples / (1 + cov^2)``; the last has at least as many hits."""
    method = ImprovedCrossEntropy(target_cov=2.0, samples=1500)
    result = solve(linear_normal(3, 5.0), seed(423), method=method, relative_error=0.1)
    rows = result.iterations
    assert len(rows) > 3
    np.testing.assert_allclose([row.ess for row in rows[:-1]], 1500 / 5, rtol=1e-6)
    assert rows[-1].ess >= 1500 / 5
    assert [row.evaluations for row in rows] == [1500] * len(rows)
    assert rows[-1].level == 5.0
    table = result.trace.tables[0]
    sigma = [row[1] for row in table.rows]
    assert sigma == sorted(sigma, reverse=True)
    assert sigma[-1] == 0.0


def test_last_level_knows_the_answer_from_draws_that_the_result_does_not_use(seed):
    """More than 300 effective hits: within 0.3 nats, 5 of their errors."""
    case = linear_normal(3, 5.0)
    result = solve(case, seed(424), method=ImprovedCrossEntropy(), relative_error=0.1)
    assert result.iterations[-1].log_probability == pytest.approx(np.log(case.exact[0]), abs=0.3)
    assert result.stopping["planned"] is True


@pytest.mark.slow
def test_pool_saves_levels(seed):
    """What reuse is for: over five seeds, never more draws than levels that see their own alone."""
    case = linear_normal(3, 5.0)
    spent = {
        pooled: sum(
            solve(case, seed(440 + s), method=ImprovedCrossEntropy(pooled=pooled), relative_error=0.2).evaluations[
                "tune"
            ]
            for s in range(5)
        )
        for pooled in (True, False)
    }
    assert spent[True] < spent[False]


def test_no_tuning_draw_enters_the_estimate(seed, monkeypatch):
    stages = {"tune": set(), "estimate": set()}
    for name, job in (("tune", Evaluate), ("estimate", WeightedDraws)):
        original = job.__call__

        def call(self, block, name=name, original=original):
            stages[name].add(block.stage)
            return original(self, block)

        monkeypatch.setattr(job, "__call__", call)
    result = solve(linear_normal(3, 4.0), seed(425), method=QUICK, relative_error=0.1)
    assert len(stages["tune"]) == len(result.iterations)
    assert not stages["tune"] & stages["estimate"]


# --- its parts ----------------------------------------------------------------------------------------


def test_pool_weighs_by_the_mixture_of_all_laws(seed):
    target, laws = StandardNormal(dim=2), (StandardNormal(dim=2), Normal(mean=[2.0, 0.0], std=[1.0, 2.0]))
    pool = Archive(target)
    for k, (law, n) in enumerate(zip(laws, (30, 70), strict=True)):
        u = draws(law, n, seed(426 + k))
        pool.add(law, u, u[:, 0])
    mixed = np.log(
        sum(share * np.exp(oracles.log_density(q, pool.u)) for share, q in zip((0.3, 0.7), laws, strict=True))
    )
    np.testing.assert_allclose(pool.log_weight, oracles.log_density(target, pool.u) - mixed, atol=1e-10)
    np.testing.assert_array_equal(pool.loss, pool.u[:, 0])


def test_variance_of_another_law_is_read_from_the_pool(seed):
    """P(u > 2) drawn from N(2, 1): ``E_q w^2 / p^2 - 1 = e^4 P(u > 4) / P(u > 2)^2 - 1``, within 10 % (4 errors)."""
    law, pool = Normal(mean=[2.0], std=1.0), Archive(StandardNormal(dim=1))
    for one in (StandardNormal(dim=1), Normal(mean=[1.5], std=1.2)):
        u = draws(one, 20_000, seed(428))
        pool.add(one, u, u[:, 0])
    exact = np.exp(4.0) * stats.norm.sf(4.0) / stats.norm.sf(2.0) ** 2 - 1.0
    assert pool.variance(law, pool.loss >= 2.0, 40.0) == pytest.approx(exact, rel=0.1)
    assert np.isnan(pool.variance(law, pool.loss >= 20.0, 40.0))


def test_smooth_indicator_is_a_normal_probability_and_sharp_at_zero():
    margin = np.array([-np.inf, -60.0, -1.0, 0.0, 2.0, np.inf])
    np.testing.assert_allclose(log_indicator(margin, 2.0), stats.norm.logcdf(margin / 2.0), rtol=1e-12)
    np.testing.assert_array_equal(log_indicator(margin, 0.0), [-np.inf, -np.inf, -np.inf, 0.0, 0.0, 0.0])


def test_effective_draws_are_kish_and_do_not_overflow():
    log_weight = np.log([1.0, 2.0, 3.0])
    for shift in (0.0, 900.0, -900.0):
        assert effective_of_logs(log_weight + shift) == pytest.approx(36 / 14)
    assert effective_of_logs(np.full(3, -np.inf)) == effective_of_logs(np.empty(0)) == 0.0


def test_weighted_median_has_half_of_the_weight_on_either_side():
    x = np.array([3.0, 1.0, 2.0, 10.0])
    assert weighted_median(x, np.log([1.0, 1.0, 1.0, 5.0])) == 10.0
    assert weighted_median(x, np.zeros(4) - 800.0) == 2.0


# --- how tuning may end -------------------------------------------------------------------------------


def capped(x):
    return np.minimum(x.sum(axis=1), 2.0)


def constant(x):
    return np.zeros(len(x))


def steps(x):
    return np.floor(x.sum(axis=1))


@pytest.mark.parametrize("pooled", [True, False])
def test_impossible_event_stalls_and_bounds_nothing(pooled, seed):
    method = ImprovedCrossEntropy(proposal=Gaussian(), pooled=pooled)
    result = solve(loss_case(capped, 3.0), seed(451), method=method, max_evaluations=100_000)
    assert result.search["outcome"] == "the climb did not reach the threshold (level stalled for 3 iterations)"
    assert result.iterations[-1].note == "level stalled for 3 iterations"
    assert result.verdict.status is Status.BOUND_ONLY
    assert result.estimates[0].interval == (0.0, 1.0)


def test_constant_loss_is_named(seed):
    result = solve(loss_case(constant, 1.0), seed(452), method=QUICK, max_evaluations=20_000)
    assert result.search["outcome"] == "no draw separates the tail from the rest"
    assert result.verdict.status is Status.BOUND_ONLY


@pytest.mark.statistical(effect=0.12, false_fail=1e-7, false_pass=1e-3)
def test_common_event_is_drawn_from_the_target(seed):
    result = solve(linear_normal(2, 0.0), seed(453), method=QUICK)
    assert_within_error(result.estimates[0].value, 0.5, result.estimates[0].std_error)
    assert result.iterations[0].note == "not rare: drawn from the target"


@pytest.mark.statistical(effect=0.6, false_fail=1e-7, false_pass=1e-3)
def test_loss_with_ties_is_estimated(seed):
    (estimate,) = solve(loss_case(steps, 6.0), seed(454), method=QUICK, relative_error=0.05).estimates
    assert_within_error(estimate.value, stats.norm.sf(6.0 / np.sqrt(2)), estimate.std_error)


def test_too_few_levels_are_named(seed):
    method = ImprovedCrossEntropy(proposal=Gaussian(), max_levels=2)
    result = solve(linear_normal(3, 5.0), seed(455), method=method, max_evaluations=20_000)
    assert result.iterations[-1].note == "threshold not reached in 2 levels"
    assert result.search["reached"] == 0
    assert result.stopping["planned"] is False
    assert result.verdict.status is not Status.TRUSTED


def test_half_of_the_budget_on_tuning_is_named(seed):
    result = solve(linear_normal(3, 5.0), seed(456), method=QUICK, max_evaluations=4500, audit="off")
    assert "half of max_evaluations spent on tuning" in result.search["outcome"]
    assert result.evaluations["tune"] == 2000
    assert result.evaluations["total"] == 4500


def test_a_budget_below_the_first_level_is_refused_before_it_is_spent(seed):
    calls = []

    def counted(x):
        calls.append(len(x))
        return x.sum(axis=1)

    with pytest.raises(FieldError, match="max_evaluations: must be at least 2,000: the first level takes 1,000 draws"):
        solve(loss_case(counted, 5.0), seed(457), method=QUICK, max_evaluations=1999)
    assert calls == []


# --- options ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target_cov": 0.0}, "target_cov: must be positive and finite, got 0"),
        ({"defensive": 1.0}, "defensive: must be at least 0 and below 1, got 1"),
        ({"samples": 10.5}, "samples: must be a whole number or None, got 10.5"),
        ({"max_levels": 0}, "max_levels: must be at least 1, got 0"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(FieldError) as caught:
        ImprovedCrossEntropy(**options)
    assert str(caught.value) == message


def test_too_few_samples_for_the_family_are_refused(seed):
    method = ImprovedCrossEntropy(proposal=Gaussian(covariance="full"), samples=3000)
    with pytest.raises(FieldError) as caught:
        solve(linear_normal(20, 3.0), seed(458), method=method)
    assert str(caught.value) == (
        "samples: must be at least 3,738: 5 effective elites for each of the 230 free parameters, got 3,000"
    )


def test_two_tails_at_once_are_refused(seed):
    measures = [Probability(above=3.0), Probability(below=-3.0)]
    with pytest.raises(FieldError, match="must be on one side of the loss"):
        solve(linear_normal(2, 3.0), seed(459), method=QUICK, measures=measures)


CONFIG = """\
seed: 7
inputs: {kind: normal, dim: 2}
loss: {kind: linear, weights: equal}
measures: [{kind: probability, above: 4 sigma}]
method: {kind: improved_cross_entropy, pooled: false, proposal: {kind: gaussian_mixture, components: 2}}
stop: {relative_error: 0.1}
"""


@pytest.mark.slow
@pytest.mark.statistical(effect=1, false_fail=1e-7, false_pass=1e-3)
def test_method_runs_from_yaml_with_the_same_digits_on_any_number_of_workers(tmp_path):
    path = tmp_path / "one.yaml"
    path.write_text(CONFIG)
    experiment = configs.load(path).experiment()
    assert experiment.method == ImprovedCrossEntropy(pooled=False, proposal=GaussianMixture(components=2))
    one = experiment.run()
    with Executor.of("threads", 2) as executor:
        two = experiment.run(executor)
    assert one.estimates[0].value == two.estimates[0].value
    assert [row.level for row in one.iterations] == [row.level for row in two.iterations]
    assert_within_error(one.estimates[0].value, stats.norm.sf(4.0), one.estimates[0].std_error)
