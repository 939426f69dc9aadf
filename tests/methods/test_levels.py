"""The jobs of tuning: a level is evaluated once and replayed to fit."""

import numpy as np
import pytest
from scipy import stats

from raresim import Gaussian, Mixture, Normal, StandardNormal
from raresim.engine.executors import Executor
from raresim.engine.fold import Sampler, fold
from raresim.engine.problem import Problem
from raresim.methods.levels import Cells, Evaluate, Fit, KeepElites, Responsibilities, Whole
from raresim.numerics.blocks import plan
from tests import oracles
from tests.helpers import normals
from tests.problems import linear_normal

CASE = linear_normal(3, 3.0)
PROPOSAL = Normal(mean=[1.0, 0.5, 0.0], std=[1.0, 1.2, 0.9])
PLAN = plan(0, 6000, 3)
LEVEL = 1.5


@pytest.fixture(scope="module")
def sampler(seed):
    return Sampler(Problem(CASE.inputs, CASE.loss.bind(CASE.inputs)), PROPOSAL, seed(341))


@pytest.fixture(scope="module")
def draws(sampler):
    """All draws of the level, block after block."""
    return np.concatenate([sampler.draw(block).copy() for chunk in PLAN.chunks() for block in chunk])


@pytest.fixture(scope="module")
def rows(sampler):
    return fold(Executor(), Evaluate(sampler, 1.0), PLAN)


def test_every_row_has_its_loss_and_its_weight(rows, draws):
    np.testing.assert_allclose(rows.loss, draws.sum(axis=1) / np.sqrt(3), rtol=1e-12, atol=1e-12)
    log_q = oracles.log_density(PROPOSAL, draws)
    np.testing.assert_allclose(rows.log_weight, oracles.log_density(CASE.inputs, draws) - log_q, rtol=1e-11, atol=1e-11)


def test_the_sign_turns_small_losses_into_rare_ones(sampler, rows):
    np.testing.assert_array_equal(fold(Executor(), Evaluate(sampler, -1.0), PLAN).loss, -rows.loss)


@pytest.mark.parametrize("limit", [1, 376, 1000, 6000])
def test_elites_are_the_rows_before_the_limit_that_reach_the_level(sampler, rows, draws, limit):
    kept = fold(Executor(), KeepElites(sampler, rows, LEVEL, limit), PLAN).u
    np.testing.assert_array_equal(kept, draws[:limit][rows.loss[:limit] >= LEVEL])


def test_fit_sees_the_elites_with_their_weights(sampler, rows, draws):
    peak = rows.log_weight[rows.loss >= LEVEL].max()
    job = Fit(sampler, rows, LEVEL, peak, Gaussian(covariance="full"), (PROPOSAL,), Whole())
    (got,) = fold(Executor(), job, PLAN).parts
    elite = rows.loss >= LEVEL
    w, u = np.exp(rows.log_weight[elite] - peak), draws[elite]
    np.testing.assert_allclose(got.weight, w.sum(), rtol=1e-12)
    np.testing.assert_allclose(got.first, w @ u, rtol=1e-10)
    np.testing.assert_allclose(got.second, (w[:, None] * u).T @ u, rtol=1e-9, atol=1e-9)
    assert got.ess == pytest.approx(w.sum() ** 2 / (w**2).sum(), rel=1e-12)


def test_responsibilities_are_the_posterior_shares_of_the_components():
    parts = (Normal(mean=-1.0), StandardNormal(dim=1), Normal(mean=2.0, std=0.5))
    u, prior = normals(100, 1, 342), np.array([0.2, 0.5, 0.3])
    joint = prior * np.column_stack([stats.norm(*m).pdf(u[:, 0]) for m in ((-1, 1), (0, 1), (2, 0.5))])
    got = Responsibilities(Mixture(weights=prior, components=parts)).shares(u)
    np.testing.assert_allclose(got, joint / joint.sum(axis=1, keepdims=True), rtol=1e-10)


def test_responsibilities_far_out_are_still_shares():
    far = np.array([[1e3], [-1e3]], order="F")
    shares = Responsibilities(Mixture(weights=[0.5, 0.5], components=(Normal(mean=-1.0), Normal(mean=1.0)))).shares(far)
    np.testing.assert_allclose(shares, [[0, 1], [1, 0]], atol=1e-12)


def test_cells_give_each_elite_to_its_nearest_centre():
    axes = np.eye(3)[:, :2]
    cells = Cells(axes, np.array([[2.0, 0.0], [-2.0, 0.0], [0.0, 3.0]]))
    u = np.array([[1.0, 0.0, 9.0], [-0.5, 0.1, -9.0], [0.1, 2.0, 0.0]])
    np.testing.assert_array_equal(cells.shares(u), np.eye(3))
    assert cells.laws == 3


def test_whole_gives_every_elite_to_every_law():
    np.testing.assert_array_equal(Whole(2).shares(normals(5, 3, 343)), np.ones((5, 2)))
