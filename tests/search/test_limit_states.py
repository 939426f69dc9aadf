"""Design points of a system from its columns: exact geometry, whatever the scales of the columns are."""

import itertools

import numpy as np
import pytest

from raresim.losses.system import combined
from raresim.search.limit_states import find_system_points
from raresim.search.nearest import least_distance


class Counted:
    """Loss and columns of a system; counts what is evaluated."""

    def __init__(self, columns, at_least):
        self.columns, self.at_least, self.evaluations = columns, at_least, 0

    def __call__(self, points):
        self.evaluations += len(points)
        columns = np.asarray(self.columns(points), dtype=float)
        return combined(columns, self.at_least), columns


def search(columns, at_least, d, goal=0.0, budget=20_000, seed=1, n=100):
    rng = np.random.default_rng(seed)
    counted = Counted(columns, at_least)
    found = find_system_points(counted, goal, at_least, rng.standard_normal((n, d)), budget, rng)
    assert counted.evaluations == found.evaluations <= budget
    for point in found.points:
        assert (point.states >= goal).sum() >= at_least
        assert set(point.target) <= set(point.failing)
    return found


def rotation(d, seed):
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((d, d)))[0]


def planes(normals, distances, slopes=1.0):
    """Half-spaces at ``distances`` along ``normals``, of any steepness."""
    return lambda x: (x @ np.asarray(normals).T - distances) * slopes


def nearest_of(normals, distances):
    """Where orthonormal planes meet."""
    return np.asarray(distances) @ np.asarray(normals)


def assert_points(found, expected, within=0.01):
    """Each of ``expected`` (k, d) is found, nothing else is."""
    at = np.array([point.u for point in found.points])
    expected = np.atleast_2d(expected)
    gaps = np.linalg.norm(at[:, None] - expected, axis=2)
    assert gaps.min(axis=0).max() < within
    assert len(at) == len(expected)


@pytest.mark.parametrize("d", [2, 10, 60])
@pytest.mark.parametrize("steep", [1e-6, 5.0, 1e6])
def test_a_flat_column_does_not_hide_a_steep_one(d, steep):
    q = rotation(d, 11)
    found = search(planes(q[:2], [4.89, 4.89], [1.0, steep]), 1, d)
    assert_points(found, 4.89 * q[:2])
    assert {point.failing for point in found.points} == {(0,), (1,)}
    assert all(point.converged for point in found.points)
    assert found.evaluations < 150 + 8 * d


def test_scales_of_columns_change_no_point():
    q = rotation(10, 12)
    plain = search(planes(q[:6], np.linspace(3.0, 5.0, 6)), 1, 10)
    scaled = search(planes(q[:6], np.linspace(3.0, 5.0, 6), 2.0 ** np.arange(-24, 24, 8)), 1, 10)
    assert_points(scaled, [point.u for point in plain.points], 1e-6)
    assert plain.evaluations == scaled.evaluations


def test_fifty_planes_take_one_set_of_differences():
    a, b = rotation(60, 13), rotation(60, 14)
    normals, distances = np.concatenate([a[:25], b[:25]]), np.random.default_rng(15).uniform(3.0, 5.0, 50)
    found = search(planes(normals, distances), 1, 60)
    assert_points(found, distances[:, None] * normals)
    assert found.evaluations < 800


@pytest.mark.parametrize("d", [3, 20, 60])
def test_three_planes_meet_in_a_point(d):
    corners = np.array([[1.0, 0.0, 0.0], [0.6, 0.8, 0.0], [0.0, 0.6, 0.8]])
    normals, distances = corners @ rotation(d, 16)[:3], np.array([3.0, 3.0, 2.5])
    (point,) = search(planes(normals, distances, [1.0, 1e3, 0.01]), 3, d).points
    exact = np.linalg.lstsq(normals, distances, rcond=None)[0]
    np.testing.assert_allclose(point.u, exact, atol=0.01)
    assert (point.failing, point.converged) == ((0, 1, 2), True)


@pytest.mark.parametrize("d", [4, 60])
def test_every_pair_of_four_is_found(d):
    q, distances = rotation(d, 17), np.array([3.0, 3.2, 3.4, 3.6])
    found = search(planes(q[:4], distances, [1.0, 10.0, 100.0, 1e3]), 2, d)
    pairs = [list(pair) for pair in itertools.combinations(range(4), 2)]
    assert_points(found, [nearest_of(q[pair], distances[pair]) for pair in pairs])
    assert {point.failing for point in found.points} == {tuple(pair) for pair in pairs}


@pytest.mark.parametrize(("d", "k"), [(12, 3), (20, 10)])
def test_among_many_choices_the_nearest_are_found(d, k):
    q, distances = rotation(d, 18), np.random.default_rng(19).uniform(1.5, 2.5, d)
    found = search(planes(q, distances, 10.0 ** np.linspace(-3, 3, d)), k, d)
    nearest = np.sort(np.argsort(distances)[:k])
    assert found.points[0].failing == tuple(nearest)
    np.testing.assert_allclose(found.points[0].u, nearest_of(q[nearest], distances[nearest]), atol=0.01)


def test_a_plane_that_others_imply_is_left_out():
    normals, distances = np.array([[1.0, 0.0], [0.8, 0.6]]), np.array([1.0, 4.0])
    (point,) = search(planes(normals, distances), 2, 2).points
    np.testing.assert_allclose(point.u, 4.0 * normals[1], atol=0.01)


def test_columns_that_cannot_fail_together_are_said_to():
    found = search(lambda x: np.column_stack([x[:, 0] - 4.0, -x[:, 0] - 4.0]), 2, 3)
    assert found.points == ()
    assert found.missed == (((0, 1), "the linearised limit states never fail together"),)
    assert found.describe().startswith("the search along limit states reached no design point (")


@pytest.mark.parametrize("d", [2, 10, 60])
@pytest.mark.parametrize("two_sided", [np.abs, np.square], ids=["kinked", "smooth"])
def test_both_sides_of_a_column_are_found(two_sided, d):
    found = search(lambda x: np.column_stack([two_sided(x[:, 0]) - two_sided(4.0), 1e3 * (x[:, 1] - 4.5)]), 1, d)
    e = np.eye(d)
    assert_points(found, [4.0 * e[0], -4.0 * e[0], 4.5 * e[1]])


@pytest.mark.parametrize("d", [3, 10])
def test_regions_of_one_column_are_found_each(d):
    found = search(lambda x: np.column_stack([x[:, :3].max(axis=1) - 4.0]), 1, d)
    assert_points(found, 4.0 * np.eye(d)[:3])


@pytest.mark.parametrize("d", [2, 10, 60])
def test_a_corner_within_a_column_is_found(d):
    found = search(lambda x: np.column_stack([np.minimum(x[:, 0], x[:, 1]) - 2.5, 1e4 * (x[:, 1] - 4.5)]), 1, d)
    e = np.eye(d)
    assert_points(found, [2.5 * (e[0] + e[1]), 4.5 * e[1]])


@pytest.mark.parametrize("d", [6, 40])
def test_curved_columns_in_their_own_units(d):
    found = search(
        lambda x: np.column_stack([np.exp(0.3 * x[:, 0] + 0.2 * x[:, 1]) - 4.0, 1e5 * (np.exp(0.5 * x[:, 2]) - 8.0)]),
        1,
        d,
    )
    e = np.eye(d)
    along = 0.3 * e[0] + 0.2 * e[1]
    assert_points(found, [np.log(4.0) * along / (along @ along), 2.0 * np.log(8.0) * e[2]])


@pytest.mark.parametrize("d", [2, 10, 60])
def test_a_stepped_column_is_found_beside_a_steep_one(d):
    found = search(
        lambda x: np.column_stack([np.floor(3.0 * (x[:, 0] + x[:, 1])) / 3.0 - 4.0, 100.0 * (x[:, 0] - x[:, 1] - 5.0)]),
        1,
        d,
    )
    e = np.eye(d)
    assert_points(found, [2.0 * (e[0] + e[1]), 2.5 * (e[0] - e[1])], 0.2)


@pytest.mark.parametrize("d", [2, 10, 60])
def test_columns_that_only_say_yes_or_no_are_found(d):
    found = search(lambda x: np.column_stack([x[:, 0] > 3.5, 1e3 * (x[:, 1] > 3.7)]), 1, d, goal=0.5)
    e = np.eye(d)
    assert_points(found, [3.5 * e[0], 3.7 * e[1]], 0.2)


@pytest.mark.parametrize("d", [2, 10])
def test_a_step_and_a_plane_fail_together(d):
    found = search(lambda x: np.column_stack([np.floor(2.0 * x[:, 0]) / 2.0 - 2.0, 50.0 * (x[:, 1] - 2.2)]), 2, d)
    e = np.eye(d)
    assert_points(found, 2.0 * e[0] + 2.2 * e[1], 0.2)
    assert found.points[0].failing == (0, 1)


def test_a_column_that_never_moves_is_said_to():
    found = search(lambda x: np.column_stack([x[:, 0] - 4.0, np.full(len(x), -1.0)]), 1, 5)
    assert_points(found, 4.0 * np.eye(5)[:1])
    assert found.missed == (((1,), "no point beyond the edge of a limit state that moves in steps was found"),)


def test_rows_that_fail_are_beyond_nothing():
    def columns(x):
        out = np.column_stack([x[:, 0] - 4.0, x[:, 1] - 4.0])
        out[x[:, 0] > 3.0] = -np.inf
        return out

    assert_points(search(columns, 1, 4), 4.0 * np.eye(4)[1:2])


HARD = [
    (lambda x: np.column_stack([x[:, 0] > 3.5, x[:, 1] > 3.7, 0.0 * x[:, 2]]) - 0.5, 1),
    (lambda x: np.column_stack([x[:, 0] ** 2 - 12.0, (x[:, 1] > 3.7) - 0.5, x[:, 2] - 3.0]), 2),
    (lambda x: np.column_stack([x[:, 0] ** 2 - 12.0, np.minimum(x[:, 1], x[:, 4]) - 2.0, np.exp(x[:, 1]) - 30.0]), 1),
    (lambda x: np.column_stack([x[:, j] - 3.0 for j in range(6)]), 3),
]


@pytest.mark.parametrize(("columns", "at_least"), HARD)
@pytest.mark.parametrize("budget", [0, 1, 30, 100, 150, 300, 700, 3000])
def test_the_budget_is_kept(columns, at_least, budget):
    search(columns, at_least, 6, budget=budget)


def test_the_search_is_a_function_of_its_generator():
    first, second = (search(*HARD[1], 6, seed=3) for _ in range(2))
    assert [p.u.tolist() for p in first.points] == [p.u.tolist() for p in second.points]
    assert first.evaluations == second.evaluations


def test_columns_of_starts_that_are_known_are_not_evaluated_again():
    columns = planes(np.eye(5)[:2], [4.0, 4.0])
    starts = np.random.default_rng(4).standard_normal((100, 5))
    spent = []
    for states in (None, columns(starts)):
        counted = Counted(columns, 1)
        find_system_points(counted, 0.0, 1, starts, 5_000, np.random.default_rng(5), states)
        spent.append(counted.evaluations)
    assert spent[0] - spent[1] == 100


@pytest.mark.parametrize("k", [1, 2, 5, 8])
def test_least_distance_meets_its_conditions(k):
    """Karush, Kuhn and Tucker: the point is a combination of the planes that hold it, and beyond all of them."""
    rng = np.random.default_rng(20)
    for _ in range(50):
        normals = rng.standard_normal((k, 6))
        normals /= np.linalg.norm(normals, axis=1)[:, None]
        offsets = rng.uniform(-2.0, 4.0, k)
        found = least_distance(normals, offsets)
        if found is None:
            continue
        v, multipliers = found
        assert (normals @ v - offsets > -1e-8).all()
        assert (multipliers >= 0).all()
        np.testing.assert_allclose(normals.T @ multipliers, v, atol=1e-8)
        assert np.abs(multipliers * (normals @ v - offsets)).max() < 1e-7
    assert least_distance(np.array([[1.0, 0.0], [-1.0, 0.0]]), np.array([1.0, 1.0])) is None
