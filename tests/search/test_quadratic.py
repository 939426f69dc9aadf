"""Quadratics from draws, and the normal laws that they tilt the target to."""

import numpy as np
import pytest
from scipy import stats

from raresim import StandardNormal
from raresim.distributions.base import log_density
from raresim.numerics.streams import stream
from raresim.search.quadratic import FULL_QUADRATIC, Quadratic, fit_quadratic, tilted_together
from tests.helpers import normals


def quadratic(d, seed):
    """``c + b'u + u'Mu`` that is negative at the origin and rises most in its first directions."""
    rng = np.random.default_rng(seed)
    ways = np.linalg.qr(rng.standard_normal((d, d)))[0]
    bend = ways @ np.diag(np.linspace(1.0, -0.3, d)) @ ways.T
    return Quadratic(-4.0 * d, rng.standard_normal(d), bend)


@pytest.mark.parametrize("d", [2, 9, FULL_QUADRATIC + 7])
def test_a_quadratic_is_found_from_its_values(d, seed):
    """By ridge regression up to some coordinates, by a few steps of LSQR above them: the squeeze bends it a little."""
    right, u = quadratic(d, 6), 1.5 * normals(4000, d, seed(730))
    found = fit_quadratic(u, right(u))
    fresh = 1.5 * normals(2000, d, seed(731))
    assert np.corrcoef(found(fresh), right(fresh))[0, 1] > 0.95
    np.testing.assert_allclose(found.bend, found.bend.T)


def test_a_quadratic_without_rows_for_its_mixed_terms_has_squares_alone(seed):
    right, u = quadratic(20, 7), normals(200, 20, seed(732))
    found = fit_quadratic(u, right(u))
    np.testing.assert_array_equal(found.bend, np.diag(np.diag(found.bend)))
    assert fit_quadratic(u[:30], right(u[:30])) is None
    assert fit_quadratic(u, np.zeros(200)) is None


@pytest.mark.slow
@pytest.mark.parametrize("d", [2, 9, 40])
def test_a_tilt_by_a_quadratic_weighs_less_than_its_chernoff_bound(d, seed):
    """The quadratic is zero on average, and ``log w = psi - theta g`` wherever it is."""
    g = quadratic(d, 8)
    law = g.tilted()
    u = np.empty((200_000, d), order="F")
    law.sample(stream(seed(733), 0, 0), u)
    value = g(u)
    assert abs(value.mean()) < 5.5 * value.std() / np.sqrt(len(u))
    log_weight = log_density(StandardNormal(dim=d), u) - log_density(law, u)
    theta, psi = np.polyfit(value, log_weight, 1)
    assert theta < 0.0
    np.testing.assert_allclose(log_weight, psi + theta * value, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("k", "d"), [(3, 3), (8, 8), (20, 30)])
def test_a_tilt_by_a_quadratic_draws_a_shell_well(k, d, seed):
    """Beyond a radius in ``k`` directions, with a probability of 1e-8: exact, and few draws are wanted."""
    square = stats.chi2.isf(1e-8, k)
    bend = np.diag((np.arange(d) < k).astype(float))
    law = Quadratic(-square, np.zeros(d), bend).tilted()
    u = np.empty((100_000, d), order="F")
    law.sample(stream(seed(734), 0, 0), u)
    weight = np.exp(log_density(StandardNormal(dim=d), u) - log_density(law, u))
    value = weight * (np.square(u[:, :k]).sum(axis=1) >= square)
    assert abs(value.mean() - 1e-8) < 5.5 * value.std() / np.sqrt(len(u))
    assert value.var() < 25.0 * 1e-16


def test_no_tilt_by_a_quadratic_that_is_not_rare_or_does_not_bend_or_is_never_zero():
    assert Quadratic(1.0, np.ones(2), np.eye(2)).tilted() is None
    assert Quadratic(-3.0, np.ones(2), np.zeros((2, 2))).tilted() is None
    assert Quadratic(-3.0, np.zeros(2), -np.eye(2)).tilted() is None


def test_a_tilt_by_several_quadratics_draws_where_all_of_them_are_reached(seed):
    """Two shells of different directions and a third that never matters: the probability is a product."""
    d, squares = 9, (stats.chi2.isf(1e-4, 3), stats.chi2.isf(1e-5, 4))
    parts = (np.arange(d) < 3, (np.arange(d) >= 3) & (np.arange(d) < 7))
    shells = [
        Quadratic(-scale * r, np.zeros(d), scale * np.diag(part.astype(float)))
        for scale, r, part in zip((1.0, 1e4), squares, parts, strict=True)
    ]
    idle = Quadratic(50.0, np.ones(d), np.zeros((d, d)))
    law = tilted_together([*shells, idle])
    u = np.empty((100_000, d), order="F")
    law.sample(stream(seed(735), 0, 0), u)
    for shell in shells:
        value = shell(u)
        assert abs(value.mean()) < 5.5 * value.std() / np.sqrt(len(u)) + 1e-3 * value.std()
    weight = np.exp(log_density(StandardNormal(dim=d), u) - log_density(law, u))
    hit = weight * ((shells[0](u) >= 0.0) & (shells[1](u) >= 0.0) & (idle(u) >= 0.0))
    assert abs(hit.mean() - 1e-9) < 5.5 * hit.std() / np.sqrt(len(u))
    assert hit.std() < 15.0 * 1e-9


def test_one_quadratic_together_is_one_alone(seed):
    g = quadratic(5, 9)
    alone, together = g.tilted(), tilted_together([g])
    np.testing.assert_array_equal(together.location, alone.location)
    twice = tilted_together([g, Quadratic(2.0 * g.constant, 2.0 * g.slope, 2.0 * g.bend)])
    np.testing.assert_allclose(twice.location, alone.location, rtol=1e-3, atol=1e-3)
