"""Antithetic pairs: exact, honest, and better than two draws where one of a pair always hits."""

import math

import numpy as np
import pytest
from scipy import stats

from raresim import Importance, LowRankNormal, Mixture, Normal, StandardNormal, StudentT
from raresim.distributions.directional import Directional
from raresim.distributions.exponentially_modified_normal import ExponentiallyModifiedNormal
from raresim.engine.executors import Executor
from raresim.engine.fold import Sampler, fold
from raresim.engine.problem import Problem
from raresim.errors import FieldError
from raresim.estimators.antithetic import AntitheticDraws, mean_of_pairs, sample_pairs
from raresim.estimators.weighted_draws import WeightedDraws
from raresim.methods.draws import estimator_for, row_variances
from raresim.numerics.blocks import Block, plan
from raresim.numerics.streams import stream
from raresim.record.event import Event
from tests.helpers import block
from tests.problems import linear_normal, solve, two_sided
from tests.statistical import assert_count_at_least, assert_scores_are_standard, assert_within_error

SHIFTED = Normal(mean=3 / math.sqrt(3), dim=3)
LOW_RANK = LowRankNormal(mean=[2.0, 1.0, 1.5], directions=[[0.6], [0.8], [0.0]], variances=[0.6])
TWO_SIDES = Mixture(weights=[0.5, 0.5], components=(Normal(mean=4.0), Normal(mean=-4.0)))
LAWS = [
    SHIFTED,
    LOW_RANK,
    StudentT(dof=5.0, loc=1.7, dim=3),
    Mixture.defensive(SHIFTED, StandardNormal(dim=3), 0.2),
    Mixture(weights=[0.6, 0.4], components=(SHIFTED, LOW_RANK)),
]


def jobs(case, law, seed, event):
    """Pairs and single draws of one law."""
    sampler = Sampler(Problem(case.inputs, case.loss.bind(case.inputs)), law, seed)
    return AntitheticDraws(sampler, (event,)), WeightedDraws(sampler, (event,))


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.kind)
@pytest.mark.statistical(effect=0.12, false_fail=1e-7, false_pass=1e-3)
def test_estimate_is_exact_for_every_symmetric_law(law, seed):
    """5 standard errors of 1 %."""
    case, method = linear_normal(3, 3.0), Importance(proposal=law, draws="antithetic")
    (estimate,) = solve(case, seed(331), method=method, relative_error=0.01).estimates
    assert_within_error(estimate.value, case.exact[0], estimate.std_error)


def test_members_of_a_pair_lie_about_the_centre_of_their_component(seed):
    u = block(40, 1)
    sample_pairs(TWO_SIDES, stream(seed(332), 0, 0), u)
    assert set(np.round(u[:20, 0] + u[20:, 0], 9)) == {8.0, -8.0}


def test_every_row_of_a_pair_is_written_whatever_the_number_of_components(seed):
    u = block(60, 1)
    laws = tuple(Normal(mean=mean, std=0.1) for mean in (-100.0, 0.0, 100.0))
    sample_pairs(Mixture(weights=[0.3, 0.3, 0.4], components=laws), stream(seed(340), 0, 0), u)
    assert np.isfinite(u).all()
    assert (np.round(u[:30, 0] + u[30:, 0], 6) == np.round(2 * np.round(u[:30, 0], -2), 6)).all()
    assert set(np.round(u[:, 0], -2)) == {-100.0, 0.0, 100.0}


@pytest.mark.statistical(effect=0.25, false_fail=1e-7, false_pass=1e-3)
def test_components_are_drawn_by_their_shares(seed):
    u = block(20_000, 1)
    law = Mixture(weights=[0.2, 0.8], components=(Normal(mean=40.0), Normal(mean=-40.0)))
    sample_pairs(law, stream(seed(333), 0, 0), u)
    assert_within_error((u[:10_000] > 0).mean(), 0.2, math.sqrt(0.2 * 0.8 / 10_000))


def test_a_row_is_the_mean_of_its_pair():
    weights = np.array([[0.2, 0.0, 3.0, 0.0], [0.4, 0.5, 0.0, 0.0]])
    with np.errstate(divide="ignore"):
        assert np.exp(mean_of_pairs(np.log(weights.ravel()))) == pytest.approx([0.3, 0.25, 1.5, 0.0])


def test_a_row_of_a_block_costs_two_evaluations(seed):
    pairs, _ = jobs(linear_normal(3, 3.0), SHIFTED, seed(334), Event(3.0))
    summary = pairs(Block(0, 0, 0, 500))
    assert (summary.tail.n, summary.evaluations, summary.kept.loss.size) == (500, 1000, 1000)
    assert summary.tail.hits[0] == 500  # of a pair about the border of a half-space, one lies in it


def test_pairs_about_the_border_beat_two_draws(seed):
    """Half-space at 3, shift of 3, ``s = E[w^2] / p^2``: variance ``s / 2 - 1`` of a pair, ``(s - 1) / 2`` of two."""
    pairs, single = jobs(linear_normal(3, 3.0), SHIFTED, seed(335), Event(3.0))
    a = fold(Executor(), pairs, plan(0, 50_000, 3)).tail.relative_error(0)
    b = fold(Executor(), single, plan(1, 100_000, 3)).tail.relative_error(0)
    s = math.exp(9.0) * stats.norm.sf(6.0) / stats.norm.sf(3.0) ** 2
    assert (b / a) ** 2 == pytest.approx((s - 1) / (s - 2), rel=0.05)


def test_error_is_that_of_pairs_where_both_members_hit_alike(seed):
    """|sum| about the origin: a pair is one draw counted twice, and its error must say so (10 %)."""
    case = two_sided(2, 1.5)
    pairs, single = jobs(case, Normal(mean=0.0, std=1.5, dim=2), seed(336), Event(1.5))
    a = fold(Executor(), pairs, plan(0, 20_000, 2)).tail.relative_error(0)
    b = fold(Executor(), single, plan(1, 40_000, 2)).tail.relative_error(0)
    assert (a / b) ** 2 == pytest.approx(2.0, rel=0.1)


@pytest.mark.slow
@pytest.mark.usefixtures("no_canary")
@pytest.mark.statistical(effect=1.2, false_fail=3e-7, false_pass=1e-3)
def test_interval_covers_and_the_error_is_that_between_seeds(seed):
    case, method = linear_normal(3, 3.0), Importance(proposal=LAWS[3], draws="antithetic")
    results = [
        solve(case, seed(3200 + r), method=method, relative_error=None, max_evaluations=4000).estimates[0]
        for r in range(100)
    ]
    exact = case.exact[0]
    assert_count_at_least(sum(e.interval[0] <= exact <= e.interval[1] for e in results), 100, 0.94)
    errors = np.array([e.std_error for e in results])
    z = (np.array([e.value for e in results]) - exact) / errors
    assert_scores_are_standard(z)


def test_budget_is_kept(seed):
    method = Importance(proposal=SHIFTED, draws="antithetic")
    result = solve(
        linear_normal(3, 3.0), seed(337), method=method, relative_error=None, max_evaluations=5001, audit="off"
    )
    assert result.evaluations["total"] == 5000


def test_a_pair_is_planned_as_two_draws(seed):
    pairs, single = jobs(linear_normal(3, 3.0), SHIFTED, seed(339), Event(3.0))
    assert row_variances(pairs, [4.0, 6.0]) == (2.0, 3.0)
    assert row_variances(single, [4.0]) == row_variances(None, [4.0]) == (4.0,)
    assert row_variances(None, None) is None
    nets = estimator_for(pairs.sampler, [Event(3.0)], "sobol", False, budget=10**6)
    assert row_variances(nets, [4.0]) is None


def test_workers_change_no_digit(seed):
    case, method = linear_normal(3, 3.0), Importance(proposal=LAWS[3], draws="antithetic")
    alone = solve(case, seed(338), method=method)
    with Executor.of("threads", 2) as executor:
        assert solve(case, seed(338), executor, method=method).estimates == alone.estimates


def test_an_exponential_tail_has_no_centre():
    options = {"mean": [1.0, 2.0], "bulk": 2.0}
    assert ExponentiallyModifiedNormal(**options).centre.tolist() == [1.0, 2.0]
    assert ExponentiallyModifiedNormal(**options, tail=[1.0, 0.0], rate=1.0).centre is None


def test_a_law_without_a_centre_is_refused():
    law = Directional(direction=[1.0, 0.0], left=0.3, right=0.5)
    with pytest.raises(FieldError, match=r"^draws: cannot be 'antithetic': a law of kind directional is not known"):
        Importance(proposal=law, draws="antithetic")
