"""Walks uphill: nearest points of failure regions, how walks end, which regions are one, and failure along axes."""

import math

import numpy as np
import pytest

from raresim.search.climbing import MAX_MOVE, MAX_NORM, axis_roots, climb, peaks, regions
from tests.helpers import normals

D = (2, 20, 200)


class Counted:
    """A loss that counts its evaluations and refuses points that are not finite."""

    def __init__(self, loss):
        self.loss = loss
        self.evaluations = 0

    def __call__(self, u):
        assert np.isfinite(u).all()
        self.evaluations += len(u)
        return np.asarray(self.loss(u), dtype=float)


def walk(loss, starts, goal):
    """The climbs from ``starts``, and the evaluations that they took."""
    counted = Counted(loss)
    starts = np.asarray(starts, dtype=float)
    ended = climb(counted, starts, counted.loss(starts), goal)
    return ended, counted.evaluations


def slope(d, seed=1):
    a = np.random.default_rng(seed).standard_normal(d)
    return a / np.linalg.norm(a)


def near_origin(k, d, seed, length=2.0):
    u = np.ascontiguousarray(normals(k, d, seed))
    return u * (length / np.linalg.norm(u, axis=1, keepdims=True))


# --- where walks end ---------------------------------------------------------------------------------


@pytest.mark.parametrize("d", D)
@pytest.mark.parametrize("distance", [1.5, 3.0, 7.0, 12.0])
def test_walk_to_a_plane_ends_at_its_nearest_point(d, distance, seed):
    a = slope(d)
    ended, evaluations = walk(lambda u: 3.0 * u @ a + 10.0, near_origin(2, d, seed(731)), 3.0 * distance + 10.0)
    assert len(ended.points) >= 1
    for point, direction in zip(ended.points, ended.directions, strict=True):
        np.testing.assert_allclose(point, distance * a, atol=1e-6)
        np.testing.assert_allclose(direction, a, atol=1e-6)
    assert evaluations <= 2 * 4 * (d + 3)
    assert (ended.started, ended.flat) == (2, 0)


def test_starts_in_the_event_walk_back_to_the_nearest_point():
    """One walk for each of 60 planes: the rounding of a last step must not decide whether it is kept."""
    for k in range(60):
        a = slope(5, k)
        ended, _ = walk(lambda u, a=a: u @ a, [8.0 * a + 2.0 * slope(5, k + 100)], 4.0)
        assert len(ended.points) == 1
        np.testing.assert_allclose(ended.points, [4.0 * a], atol=0.8)


def test_plane_beyond_reach_is_not_reached():
    """Beyond `MAX_NORM` the target has no mass that counts; the walk ends and nothing is returned."""
    a = slope(3)
    ended, _ = walk(lambda u: u @ a, near_origin(2, 3, 3), 2.0 * MAX_NORM)
    assert len(ended.points) == 0
    assert ended.started == 2


@pytest.mark.parametrize("d", D)
def test_walks_from_both_sides_find_both_regions(d):
    a = slope(d)
    starts = np.stack([1.5 * a, -1.5 * a]) + 0.3 * near_origin(2, d, 4, 1.0)
    ended, _ = walk(lambda u: np.abs(u @ a), starts, 4.0)
    sides = ended.points @ a
    np.testing.assert_allclose(np.sort(sides), [-4.0, 4.0], atol=1e-6)
    np.testing.assert_allclose(ended.points, sides[:, None] * a, atol=1e-6)


@pytest.mark.parametrize("curvature", [-0.1, 0.05, 0.1, 0.2])
def test_curved_boundary_is_met_near_its_design_point(curvature):
    """A paraboloid around the first axis, nearest at distance 3 on it; from outside of a convex one too."""

    def loss(u):
        return u[:, 0] - curvature * np.square(u[:, 1:]).sum(axis=1)

    ended, _ = walk(loss, [[1.0, 0.8, -0.5]], 3.0)
    assert len(ended.points) == 1
    assert loss(ended.points)[0] >= 3.0 - 0.15
    np.testing.assert_allclose(ended.points, [[3.0, 0.0, 0.0]], atol=0.7)


def test_exponential_loss_is_climbed():
    """A loss over five orders of magnitude overshoots a linear step: the point must still be near the boundary."""
    ended, _ = walk(lambda u: np.exp(2.0 * u[:, 0]), [[1.0, 0.3]], math.exp(10.0))
    (point,) = ended.points
    assert 5.0 - 1e-9 <= point[0] <= 6.5
    assert abs(point[1]) < 0.5


def test_sphere_is_met_at_its_radius():
    ended, _ = walk(lambda u: np.square(u).sum(axis=1), near_origin(3, 4, 5), 25.0)
    assert len(ended.points) >= 1
    radius = np.linalg.norm(ended.points, axis=1)
    assert (radius >= 5.0 - 0.1).all()
    assert (radius <= 6.5).all()


def test_walks_to_one_place_are_not_all_walked_to_the_end():
    """Ten walks that go to the same point cost little more than the first steps of each."""
    a = slope(20)
    _, ten = walk(lambda u: u @ a, near_origin(10, 20, 6), 5.0)
    assert ten <= 10 * 2 * 23


# --- how walks end otherwise -------------------------------------------------------------------------


@pytest.mark.parametrize("d", D)
def test_flat_losses_end_walks_at_once_and_are_counted(d):
    ended, evaluations = walk(lambda u: np.full(len(u), 2.0), near_origin(4, d, 7), 3.0)
    assert (len(ended.points), ended.started, ended.flat) == (0, 4, 4)
    assert evaluations <= 4 * (d + 3)


def test_walk_that_starts_on_a_plateau_stays_flat_and_others_go_on():
    ended, _ = walk(lambda u: np.maximum(u[:, 0], 0.0), [[-3.0, 0.5], [1.0, 0.5]], 4.0)
    assert (ended.started, ended.flat) == (2, 1)
    np.testing.assert_allclose(ended.points, [[4.0, 0.0]], atol=1e-6)


def noise(u):
    """Of the row alone, between -1 and 1."""
    return np.sin(1e6 * u.sum(axis=1))


@pytest.mark.parametrize(
    ("loss", "goal"),
    [
        (lambda u: np.floor(u.sum(axis=1)), 9.0),
        (lambda u: np.floor(4.0 * u.sum(axis=1)), 30.0),
        (lambda u: (u[:, 0] > 3.0).astype(float), 1.0),
        (noise, 0.9),
        (lambda u: u[:, 0] + 0.1 * noise(u), 4.0),
        (lambda u: np.tanh(u[:, 0]), 1.5),
        (lambda u: -np.square(u).sum(axis=1), 1.0),
        (lambda u: np.where(np.square(u - 3.0).sum(axis=1) < 0.01, 1.0, 0.0), 1.0),
        (lambda u: np.exp(np.minimum(300.0 * u[:, 0], 700.0)), 1e200),
        (lambda u: 1e-200 * u[:, 0], 3e-200),
        (lambda u: 1e200 * u[:, 0], 3e200),
        (lambda u: np.exp(-np.square(u - 50.0).sum(axis=1) / 2.0), 0.5),
    ],
    ids=[
        "steps",
        "fine-steps",
        "indicator",
        "noise",
        "noisy",
        "bounded",
        "peak",
        "needle",
        "huge",
        "tiny",
        "large",
        "underflow",
    ],
)
def test_awkward_losses_end_walks_within_a_few_rounds(loss, goal, seed):
    """No exception, no warning, no endless walk; what is returned reaches the goal but for what a line would miss."""
    starts = near_origin(5, 3, seed(732))
    with np.errstate(under="ignore"):
        ended, evaluations = walk(loss, starts, goal)
        assert evaluations <= 5 * 8 * (3 + 3)
        assert ended.points.shape == ended.directions.shape == (len(ended.points), 3)
        assert len(ended.points) <= ended.started == 5
        assert 0 <= ended.flat <= 5
        assert np.isfinite(ended.points).all()
        assert (np.linalg.norm(ended.points, axis=1) <= MAX_NORM + 1e-9).all()
        np.testing.assert_allclose(np.linalg.norm(ended.directions, axis=1), 1.0)
        assert (loss(ended.points) - goal >= -0.1 * (goal - loss(starts).min())).all()


def test_fine_steps_are_climbed_like_the_slope_they_stand_for():
    """Jumps well below the finite difference's rise do not stop a walk."""
    ended, _ = walk(lambda u: np.floor(20.0 * u[:, 0]), [[1.0, 0.4]], 80.0)
    np.testing.assert_allclose(ended.points, [[4.0, 0.0]], atol=0.6)


def test_no_step_is_longer_than_allowed():
    """With a tiny slope the linear step would go far out."""
    seen = []

    def loss(u):
        seen.append(np.linalg.norm(u, axis=1).max())
        return 1e-3 * u[:, 0]

    climb(loss, np.array([[1.0, 0.0]]), np.array([1e-3]), 1.0)
    assert max(seen[:2]) <= 1.0 + MAX_MOVE + 0.3
    assert max(seen) <= MAX_NORM + 0.3


def test_no_starts_and_bad_starts():
    empty = climb(Counted(lambda u: u[:, 0]), np.empty((0, 3)), np.empty(0), 1.0)
    assert (len(empty.points), empty.started) == (0, 0)
    bad = climb(Counted(lambda u: u[:, 0]), np.ones((2, 3)), np.array([-np.inf, np.inf]), 4.0)
    assert (len(bad.points), bad.started) == (0, 2)


# --- axes --------------------------------------------------------------------------------------------


def roots_of(loss, d, goal, usual):
    counted = Counted(loss)
    roots = axis_roots(counted, d, goal, float(loss(np.zeros((1, d)))[0]), usual)
    return roots, counted.evaluations


def test_axes_of_a_maximum_are_all_found():
    """20 half-spaces, each entered by one axis at 5.5; the bisection knows them to 0.06."""
    roots, evaluations = roots_of(lambda u: u.max(axis=1), 20, 5.5, 3.0)
    assert roots.shape == (20, 20)
    assert evaluations <= 40 + 20 * 8 + 40
    along = roots.max(axis=1)
    assert (np.count_nonzero(roots, axis=1) == 1).all()
    assert set(roots.argmax(axis=1)) == set(range(20))
    assert ((along >= 5.5) & (along < 5.56)).all()


def test_axes_of_a_two_sided_maximum_are_found_on_both_sides():
    roots, _ = roots_of(lambda u: np.abs(u).max(axis=1), 3, 3.0, 2.0)
    expected = {(k, s) for k in range(3) for s in (-1.0, 1.0)}
    assert {(int(np.abs(r).argmax()), float(np.sign(r.sum()))) for r in roots} == expected
    np.testing.assert_allclose(np.abs(roots).max(axis=1), 3.0, atol=0.06)
    assert (np.abs(roots).max(axis=1) >= 3.0).all()


def test_axes_of_a_sum_of_exponentials_are_bisected():
    """Losses over many orders of magnitude are as good as linear ones; each axis enters at its own place."""
    scale = np.array([1.5, 2.0, 1.0, 0.1])
    roots, _ = roots_of(lambda u: np.exp(scale * u).sum(axis=1), 4, 3.0 + math.exp(6.0), 60.0)
    assert (roots.max(axis=1) >= 3.0).all()
    found = {int(r.argmax()): float(r.max()) for r in roots}
    assert set(found) == {0, 1, 2}
    for k, root in found.items():
        assert root == pytest.approx(6.0 / scale[k], abs=0.07)


def test_axes_are_not_followed_where_they_are_nothing_special():
    """One axis alone, none, or a flat loss: no point, and no evaluation beyond the tips."""
    for loss in (lambda u: u[:, 0], lambda u: np.zeros(len(u)), lambda u: -np.abs(u).sum(axis=1)):
        roots, evaluations = roots_of(loss, 6, 3.0, 3.5)
        assert roots.shape == (0, 6)
        assert evaluations == 12


def test_axes_that_never_enter_give_no_root():
    roots, _ = roots_of(lambda u: np.tanh(u).max(axis=1), 4, 1.5, 0.1)
    assert roots.shape == (0, 4)


# --- peaks -------------------------------------------------------------------------------------------


def test_peaks_are_high_and_in_different_directions():
    u = np.array([[3.0, 0.0], [2.9, 0.1], [0.0, 2.0], [-1.0, 0.0], [0.0, -1.0]])
    loss = np.array([3.0, 2.95, 2.0, 1.0, 0.5])
    np.testing.assert_array_equal(peaks(u, loss, 3), [True, False, True, True, False])
    np.testing.assert_array_equal(peaks(u, loss, 1), [True, False, False, False, False])
    assert peaks(u, loss, 9).sum() == 4
    loss[0] = np.inf
    assert not peaks(u, loss, 3)[0]
    assert peaks(u, np.full(5, -np.inf), 3).sum() == 0


# --- regions -----------------------------------------------------------------------------------------


def circle(k, radius):
    angle = 2.0 * math.pi * np.arange(k) / k
    return radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)


@pytest.mark.parametrize("k", [3, 5, 8])
def test_points_of_a_ring_are_one_region(k):
    groups = regions(Counted(lambda u: np.square(u).sum(axis=1)), circle(k, 4.0), 16.0 - 1e-9)
    assert [sorted(group) for group in groups] == [list(range(k))]


@pytest.mark.parametrize("d", D)
def test_two_half_spaces_are_two_regions(d):
    a = slope(d)
    groups = regions(Counted(lambda u: np.abs(u @ a)), np.stack([3.0 * a, -3.0 * a]), 3.0 - 1e-9)
    assert sorted(map(sorted, groups)) == [[0], [1]]


def test_half_spaces_at_a_right_angle_are_two_regions_and_their_points_stay_together():
    points = np.array([[4.0, 0.0, 0.0], [0.0, 4.0, 0.0], [4.2, 1.0, 0.5], [0.5, 4.1, -1.0]])
    groups = regions(Counted(lambda u: u.max(axis=1)), points, 4.0)
    assert sorted(map(sorted, groups)) == [[0, 2], [1, 3]]


@pytest.mark.parametrize("k", [5, 6, 7])
def test_sides_of_a_polygon_are_regions_although_every_second_side_sees_the_one_between(k):
    """Without that one among the points nothing tells its region from one that the two lie in."""
    sides = circle(k, 4.5)
    loss = Counted(lambda u: (u @ circle(k, 1.0).T).max(axis=1))
    assert sorted(map(sorted, regions(loss, sides, 4.5 - 1e-9))) == [[i] for i in range(k)]
    assert len(regions(loss, sides[[0, 2]], 4.5 - 1e-9)) == 1


def test_a_point_may_join_two_regions():
    """The third lies halfway between two that do not see each other: one region in the end."""
    points = 4.0 * np.array([[1.0, 0.0], [math.cos(2.6), math.sin(2.6)], [math.cos(1.3), math.sin(1.3)]])
    gap = math.cos(0.8)

    def loss(u):
        """A ring with a gap below."""
        radius = np.linalg.norm(u, axis=1)
        return np.where(u[:, 1] < -gap * radius, 0.0, radius)

    assert len(regions(Counted(loss), points, 4.0 - 1e-9)) == 1


def test_every_point_is_in_one_region():
    points = np.ascontiguousarray(normals(30, 3, 8)) * 3.0
    groups = regions(Counted(lambda u: np.abs(u).max(axis=1)), points, 2.0)
    assert sorted(k for group in groups for k in group) == list(range(30))
    assert regions(Counted(lambda u: u[:, 0]), np.empty((0, 2)), 1.0) == []
