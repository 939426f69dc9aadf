"""Weighted clusters and principal directions, which all fits of mixtures begin from."""

import numpy as np
import pytest

from raresim.numerics.clusters import distances, noise_edge, one_hot, principal, seeds, settled
from tests.helpers import normals

FAR = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 1e6]])


def test_seeds_are_rows_that_weigh_something_and_no_row_twice():
    """Of two places with weight two seeds are found though three are asked for: one each."""
    u, weight = np.repeat(FAR, 20, axis=0), np.repeat([1.0, 1.0, 0.0], 20)
    found = seeds(u, weight, 3, np.random.default_rng(1))
    assert sorted(found.tolist()) == FAR[:2].tolist()
    assert seeds(u, np.zeros(60), 3, np.random.default_rng(1)).shape == (0, 2)


def test_seeds_follow_weight_times_squared_distance():
    """The second seed beside one at 0: 1 with weight 9 against 3 with weight 1, so one half each; 6 errors of 1,000."""
    u, weight = np.array([[0.0], [1.0], [3.0]]), np.array([1e9, 9.0, 1.0])
    rng = np.random.default_rng(2)
    ones = sum(float(seeds(u, weight, 2, rng)[1, 0]) == 1.0 for _ in range(1000))
    assert abs(ones - 500) <= 6 * np.sqrt(250)


def test_rows_settle_around_weighted_means(seed):
    u = np.concatenate([normals(200, 3, seed(1101)) + 10.0 * centre for centre in np.eye(3)])
    weight = np.full(600, 1 / 600)
    label, square = settled(u, weight, u[[0, 200, 400]], 3)
    assert [len(set(part)) for part in np.split(label, 3)] == [1, 1, 1]
    means = np.array([part.mean(axis=0) for part in np.split(u, 3)])
    assert square == pytest.approx(distances(u, means).min(axis=1).mean(), rel=1e-9)
    np.testing.assert_array_equal(one_hot(label, 4).sum(axis=0), [200, 200, 200, 0])


@pytest.mark.parametrize("shape", [(50, 7), (7, 50)])
def test_principal_directions_are_those_of_the_singular_values(shape, seed):
    rows = normals(*shape, seed(1102))
    values, vectors = principal(rows, 4.0)
    singular = np.linalg.svd(rows, compute_uv=False)
    np.testing.assert_allclose(values[::-1], singular**2 / 4.0, rtol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(rows @ vectors, axis=0) ** 2, 4.0 * values, rtol=1e-9)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(7), atol=1e-9)


def test_noise_hardly_exceeds_its_edge(seed):
    """The largest eigenvalue is the edge but for fluctuations of order ``n^(-2/3)``: within 15 % of it."""
    u = normals(2000, 40, seed(1103))
    assert principal(u, 2000)[0][-1] == pytest.approx(noise_edge(40, 2000), rel=0.15)
