"""The direction in which a loss rises: exact where it is linear and seen, close where it is not, none where flat."""

import numpy as np
import pytest

from raresim.search.ridge import ridge_direction
from tests.helpers import normals


def slope(d, seed):
    a = np.random.default_rng(seed).standard_normal(d)
    return a / np.linalg.norm(a)


@pytest.mark.parametrize(("n", "d"), [(50, 1), (50, 2), (200, 20), (600, 200)])
def test_direction_of_a_linear_loss_is_exact_with_more_draws_than_coordinates(n, d, seed):
    """Winsorising bends the loss a little: 2 % of the squared length at most lies across the direction."""
    a, u = slope(d, 1), normals(n, d, seed(721))
    found = ridge_direction(u, 5.0 * u @ a - 100.0)
    assert np.linalg.norm(found) == pytest.approx(1.0)
    assert found @ a > 0.99


def test_direction_from_fewer_draws_than_coordinates(seed):
    """What ``n`` random draws see of a direction in ``d`` dimensions is a cosine of about the root of ``n / d``."""
    a, u = slope(400, 2), normals(200, 400, seed(722))
    found = ridge_direction(u, u @ a)
    assert found @ a > 0.6
    assert np.linalg.norm(found) == pytest.approx(1.0)


def test_direction_under_noise_is_better_than_the_mean_of_the_highest_draws(seed):
    a, u = slope(50, 3), normals(400, 50, seed(723))
    loss = u @ a + np.random.default_rng(seed(724)).standard_normal(400)
    found = ridge_direction(u, loss)
    highest = u[np.argsort(-loss)[:40]].mean(axis=0)
    assert found @ a > highest @ a / np.linalg.norm(highest)
    assert found @ a > 0.85


def test_direction_of_a_monotone_loss_survives_huge_values(seed):
    """A loss over 60 orders of magnitude, and one infinite loss."""
    a, u = slope(5, 4), normals(400, 5, seed(725))
    loss = np.exp(20.0 * u @ a)
    loss[3] = np.inf
    loss[7] = -np.inf
    assert ridge_direction(u, loss) @ a > 0.6


@pytest.mark.parametrize("scale", [1e-200, 1e-3, 1e200])
@pytest.mark.parametrize("d", [4, 150])
def test_direction_does_not_depend_on_place_and_scale(scale, d, seed):
    a, u = slope(d, 5), normals(100, d, seed(726))
    loss = u @ a + 0.2 * u[:, 0] ** 2
    plain = ridge_direction(u, loss)
    np.testing.assert_allclose(ridge_direction(u + 3.0, scale * (loss + 50.0)), plain, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(ridge_direction(u, -loss), -plain, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("d", [3, 40])
def test_there_is_no_direction_in_a_constant_loss(d):
    u = normals(30, d, 6)
    assert ridge_direction(u, np.full(30, 2.5)) is None


def test_there_is_no_direction_in_a_handful_of_draws():
    u = normals(5, 2, 7)
    assert ridge_direction(u, u[:, 0]) is None
    u = normals(30, 2, 8)
    assert ridge_direction(u, np.full(30, np.inf)) is None


def test_repeated_draws_and_unused_coordinates_do_no_harm(seed):
    """Singular draws: one coordinate never moves, one copies another, every row stands twice."""
    u = np.repeat(normals(40, 4, seed(727)), 2, axis=0)
    u[:, 1] = 0.0
    u[:, 2] = u[:, 0]
    found = ridge_direction(u, u[:, 0] + u[:, 3])
    assert np.isfinite(found).all()
    assert abs(found[1]) < 1e-6
    assert found[0] == pytest.approx(found[2], rel=1e-6)
    assert found[3] > found[0] > 0
