"""Failure regions from hits of a widened target: what is found, whatever the slopes, and what it costs."""

import math

import numpy as np
import pytest
from scipy import special, stats

from raresim.search import hits as search_hits
from raresim.search.hits import Hits, Region, find_by_hits, points_of
from raresim.search.nearest import nearest_point
from tests.statistical import assert_count_at_least

FAR = 4.89
"""Distance of both planes of the smallest case: 1.008e-6 of the target fails."""


class Counted:
    """A loss that counts its rows."""

    def __init__(self, loss):
        self.loss, self.rows = loss, 0

    def __call__(self, u):
        assert len(u), "no row to evaluate"
        self.rows += len(u)
        return self.loss(u)


def search(loss, d, goal, seed, hits=24, **options):
    """What a search finds; it says itself what it has evaluated."""
    counted = Counted(loss)
    found = find_by_hits(counted, d, goal, np.random.default_rng(seed), hits, **options)
    assert found.evaluations == counted.rows
    return found


def searches(loss, d, goal, first, many, **options):
    return [search(loss, d, goal, first + k, **options) for k in range(many)]


def two_planes(slope, far=FAR):
    return lambda u: np.maximum(u[:, 0] - far, slope * (u[:, 1] - far))


def axis(d, *distances):
    """A point with these coordinates first."""
    point = np.zeros(d)
    point[: len(distances)] = distances
    return point


def off(found, *points):
    """The largest distance of any of ``points`` to the nearest point found."""
    known = found.nearest.reshape(-1, points[0].size)
    return max(np.linalg.norm(known - point, axis=1).min(initial=math.inf) for point in points)


# --- regions of different slopes ---------------------------------------------------------------------


@pytest.mark.statistical(effect=0.8, false_fail=1e-7, false_pass=0.1)
@pytest.mark.parametrize("d", [2, 10, 30, 60])
@pytest.mark.parametrize("slope", [1.0, 5.0, 1e6])
def test_planes_of_any_slopes_are_both_found(slope, d, seed):
    found = searches(two_planes(slope), d, 0.0, seed(5000), 20)
    both = [off(h, axis(d, FAR), axis(d, 0.0, FAR)) < 0.6 for h in found]
    assert_count_at_least(sum(both), 20, 0.95)
    assert max(h.evaluations for h in found) < 500 + 5 * d


@pytest.mark.parametrize("d", [2, 10, 60])
def test_the_slope_of_a_region_changes_no_digit(d, seed):
    """Differences inside a region see its own slope alone, and its direction does not depend on it."""
    one, other = (search(two_planes(slope), d, 0.0, seed(5020)) for slope in (1.0, 1024.0))
    assert (one.draws, one.hits, one.climbs, one.evaluations) == (
        other.draws,
        other.hits,
        other.climbs,
        other.evaluations,
    )
    np.testing.assert_allclose(one.nearest, other.nearest, rtol=1e-9, atol=1e-9)


TRANSFORMS = {
    "exponential": (np.exp, 1.0),
    "cube": (lambda y: y**3, 0.0),
    "ranks": (special.ndtr, 0.5),
}


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("d", [2, 10])
def test_an_increasing_transform_of_the_loss_changes_no_region(name, d, seed):
    """The same draws are hits, and the nearest points differ by what a difference makes of a bend."""
    transform, goal = TRANSFORMS[name]
    plain = two_planes(5.0)
    for k in range(5):
        one = search(plain, d, 0.0, seed(5030 + k))
        other = search(lambda u: transform(plain(u)), d, goal, seed(5030 + k))
        assert (one.width, one.draws, one.hits, one.ended) == (other.width, other.draws, other.hits, other.ended)
        assert len(one.regions) == len(other.regions)
        np.testing.assert_allclose(one.nearest, other.nearest, atol=0.05)


def test_a_transform_of_one_branch_changes_no_region(seed):
    def bent(u):
        return np.maximum(np.expm1(u[:, 0] - FAR), (u[:, 1] - FAR) ** 3)

    for k in range(5):
        one, other = (search(loss, 10, 0.0, seed(5040 + k)) for loss in (two_planes(1.0), bent))
        assert (one.draws, one.hits) == (other.draws, other.hits)
        np.testing.assert_allclose(one.nearest, other.nearest, atol=0.05)


def test_many_planes_of_many_slopes_are_found(seed):
    """Eight planes at the same distance, each twice as steep as the one before."""
    d = 12

    def loss(u):
        return ((u[:, :8] - 4.5) * 2.0 ** np.arange(8)).max(axis=1)

    found = searches(loss, d, 0.0, seed(5050), 10)
    near = [sum(off(h, 4.5 * np.eye(d)[k]) < 0.5 for k in range(8)) for h in found]
    assert sum(near) >= 74
    assert min(near) >= 6


# --- shapes ------------------------------------------------------------------------------------------


@pytest.mark.statistical(effect=0.8, false_fail=1e-7, false_pass=0.1)
@pytest.mark.parametrize("d", [2, 10, 20])
@pytest.mark.parametrize("slope", [1.0, 5.0])
def test_the_corner_of_two_planes_is_found(slope, d, seed):
    """It is farther than either plane, 3.9 where these are 2.5 and 3 away. Of the widest draws a tenth are hits."""

    def loss(u):
        return np.minimum(u[:, 0] - 2.5, slope * (u[:, 1] - 3.0))

    found = [h for h in searches(loss, d, 0.0, seed(5060), 24) if h.hits]
    assert len(found) >= 20
    assert {len(h.regions) for h in found} == {1}
    assert_count_at_least(sum(off(h, axis(d, 2.5, 3.0)) < 0.4 for h in found), len(found), 0.85)


@pytest.mark.statistical(effect=0.8, false_fail=1e-7, false_pass=0.1)
@pytest.mark.parametrize("d", [5, 20])
def test_the_corner_of_two_planes_that_are_not_at_right_angles_is_found(d, seed):
    first, second = axis(d, 1.0), axis(d, 0.5, math.sqrt(0.75))
    corner = np.linalg.lstsq(np.stack([first, second]), np.array([3.0, 3.5]), rcond=None)[0]

    def loss(u):
        return np.minimum(u @ first - 3.0, 3.0 * (u @ second - 3.5))

    found = searches(loss, d, 0.0, seed(5080), 30)
    assert_count_at_least(sum(off(h, corner) < 0.5 for h in found), 30, 0.8)


@pytest.mark.statistical(effect=0.8, false_fail=1e-7, false_pass=0.1)
@pytest.mark.parametrize("d", [3, 10])
def test_the_corner_of_three_planes_is_found(d, seed):
    """It is found if anything was hit: 5 % of the widest draws are hits."""

    def loss(u):
        return (u[:, :3] - 2.0).min(axis=1)

    found = [h for h in searches(loss, d, 0.0, seed(5100), 24) if h.hits]
    assert len(found) >= 12
    assert_count_at_least(sum(off(h, axis(d, 2.0, 2.0, 2.0)) < 0.5 for h in found), len(found), 0.85)


def test_a_plane_that_a_corner_lies_behind_is_not_its_nearest_point(seed):
    """From one draw: the foot of the first plane is outside, and the second plane is looked for."""
    look = Counted(lambda u: np.minimum(u[:, 0] - 2.0, u[:, 1] - 2.0))
    point = nearest_point(look, 0.0, np.array([9.0, 2.5, 1.0]))
    np.testing.assert_allclose(point, [2.0, 2.0, 0.0], atol=0.2)


@pytest.mark.parametrize(("bend", "d", "within"), [(0.2, 2, 1.5), (0.05, 2, 1.5), (-0.05, 2, 1.0), (-0.05, 10, 1.0)])
def test_a_paraboloid_is_one_region_with_a_point_near_its_top(bend, d, within, seed):
    """Bent away from the origin or towards it: no other point of the event is as near as 4 for the former."""

    def loss(u):
        return u[:, 0] - 4.0 - bend * np.square(u[:, 1:]).sum(axis=1)

    for found in searches(loss, d, 0.0, seed(5120), 10):
        assert len(found.regions) == 1
        point = found.regions[0].point
        assert abs(loss(point[None])[0]) < 0.3
        assert np.linalg.norm(point - axis(d, 4.0)) < within


@pytest.mark.statistical(effect=0.8, false_fail=2e-7, false_pass=0.1)
def test_a_shell_in_turned_directions_is_told_from_planes_beside_it(seed):
    """Four of 18 turned coordinates, of which the length grows twice as fast as the planes; most hits lie in it."""
    d = 18
    turned = stats.ortho_group.rvs(d, random_state=3)

    def loss(u):
        z = u @ turned.T
        shell = 2.0 * (np.sqrt(np.square(z[:, 2:6]).sum(axis=1)) - 5.5)
        return np.maximum(np.maximum(z[:, 0] - 4.5, 5.0 * (z[:, 1] - 4.5)), shell)

    found = searches(loss, d, 0.0, seed(5140), 20, bends=20)
    planes = 0
    for h in found:
        spheres = [region.sphere for region in h.regions if region.sphere]
        assert [basis.shape for basis, _ in spheres] == [(d, 4)]
        ((basis, radius),) = spheres
        assert np.linalg.norm(turned[2:6] @ basis) == pytest.approx(2.0, abs=0.01)  # the same four directions
        assert radius == pytest.approx(5.5, abs=0.1)
        planes += sum(off(h, 4.5 * turned[k]) < 0.5 for k in range(2))
    assert_count_at_least(planes, 40, 0.75)


@pytest.mark.slow
@pytest.mark.statistical(effect=0.8, false_fail=1e-7, false_pass=0.1)
@pytest.mark.parametrize("d", [12, 40])
def test_a_plane_is_found_beside_a_paraboloid_that_most_wide_draws_hit(d, seed):
    """The paraboloid bends towards the origin in eight turned directions, and is far flatter than the plane."""
    turn = np.linalg.qr(np.random.default_rng(5).standard_normal((d, d)))[0]

    def loss(u):
        v = u @ turn
        bowl = 0.05 * (v[:, 0] + 0.12 * np.square(v[:, 1:9]).sum(axis=1) - 6.0)
        return np.maximum(bowl, 20.0 * (v[:, 10] - 5.0))

    wide = 4.2 * np.random.default_rng(7).standard_normal((1000, d))
    assert np.mean(loss(wide) >= 0.0) > 0.9
    found = searches(loss, d, 0.0, seed(5290), 30, most=30_000.0)
    assert_count_at_least(sum(off(f, 5.0 * turn[:, 10]) < 0.3 for f in found), 30, 0.9)


def test_directions_of_a_sphere_are_read_from_its_points():
    """Eight points of a circle in two of five coordinates, of which the nearest says how far it is."""
    angle = 2.0 * np.pi * np.arange(8) / 8
    points = np.zeros((8, 5))
    points[:, 1], points[:, 3] = 4.0 * np.cos(angle), 4.0 * np.sin(angle)
    region = Region(1.1 * points[0])
    for point in points[1:]:
        region.add(point)
    basis, radius = region.sphere
    assert region.beta == pytest.approx(4.0)
    assert radius == pytest.approx(4.0)
    assert np.linalg.norm(basis[[1, 3]]) == pytest.approx(math.sqrt(2.0))
    assert points_of([region], 5).shape == (1, 5)
    straight = Region(points[0])
    for k in range(6):
        straight.add(points[0] + np.eye(5)[k % 5])
    assert straight.sphere is None
    assert points_of([region, straight], 5).shape == (8, 5)
    assert points_of([], 5).shape == (0, 5)


# --- losses without a slope --------------------------------------------------------------------------


@pytest.mark.statistical(effect=0.8, false_fail=1e-7, false_pass=0.1)
@pytest.mark.parametrize("d", [2, 10, 30])
@pytest.mark.parametrize("kind", ["steps", "digital"])
def test_losses_that_move_by_steps_have_their_regions_found(kind, d, seed):
    def steps(u):
        return np.maximum(np.floor(2.0 * u[:, 0]), np.floor(2.0 * u[:, 1]))

    def digital(u):
        return np.where((u[:, 0] >= 4.5) | (u[:, 1] >= 4.5), 1.0, 0.0)

    loss, goal = {"steps": (steps, 9.0), "digital": (digital, 1.0)}[kind]
    found = searches(loss, d, goal, seed(5160), 20)
    both = [off(h, axis(d, 4.5), axis(d, 0.0, 4.5)) < 0.8 for h in found]
    assert_count_at_least(sum(both), 20, 0.85)


def test_where_two_edges_meet_a_step_is_looked_for_closer_to_one(seed):
    """Both regions hold the place a little inside from which edges are looked for: along no axis does the event end."""

    def loss(u):
        return np.maximum(np.floor(2.0 * u[:, 0]), np.floor(1.7 * u[:, 1]))

    hit = np.array([4.97, 5.82, -8.92, -2.32, 0.6, 2.56, -2.77, 0.59, -4.42, -1.24])
    point = nearest_point(Counted(loss), 9.0, hit)
    assert loss(point[None])[0] >= 9.0
    assert np.linalg.norm(point) < 6.0


# --- what it costs and how it ends -------------------------------------------------------------------


@pytest.mark.parametrize("d", [2, 10, 60])
def test_a_lone_plane_costs_a_few_hundred_evaluations(d, seed):
    """About 24 hits at one hit in seven draws, a gradient, and chords to each hit."""
    for found in searches(lambda u: u[:, 0] - 4.5, d, 0.0, seed(5180), 10):
        assert len(found.regions) == 1
        assert found.ended == "all hits explained"
        assert found.hits >= 24
        assert found.evaluations < 400 + 3 * d
        assert found.draws % 40 == 0


def test_where_nothing_is_hit_there_is_no_region(seed):
    found = search(lambda u: u[:, 0] - 60.0, 5, 0.0, seed(5200))
    assert found.regions == ()
    assert found.nearest.size == 0
    assert (found.hits, found.climbs, found.ended) == (0, 0, "no hit")
    assert found.evaluations == 2 * search_hits.RUNG
    assert found.describe() == "none of 40 draws widened to standard deviation 6 hit the event (80 evaluations)"


@pytest.mark.parametrize("most", [60, 150, 300, 600])
def test_the_search_ends_with_what_it_may_take(most, seed):
    """A region in each of 40 directions: there is always more to find. A climb that is begun may go over it."""
    found = search(lambda u: np.abs(u).max(axis=1) - 4.5, 20, 0.0, seed(5210), most=most)
    assert found.ended == search_hits.SPENT
    assert found.evaluations <= most + 150


@pytest.mark.parametrize("most", [500, 1500, 4000])
def test_many_inputs_of_which_few_matter_take_no_more_than_is_there(most, seed):
    """Most differences are flat there, so that edges were looked for along each of the axes, whatever was left."""
    found = find_by_hits(lambda u: np.abs(u[:, :5]).max(axis=1), 1000, 3.8, np.random.default_rng(seed(73)), 40, most)
    assert 0 < found.evaluations <= most + 2 * search_hits.RUNG


def test_the_search_ends_with_the_climbs_it_may_make(seed):
    found = search(lambda u: np.abs(u).max(axis=1) - 4.5, 20, 0.0, seed(5211), climbs=3)
    assert (found.climbs, found.ended) == (3, "limit of climbs reached")


@pytest.mark.parametrize("fails", [-math.inf, math.nan])
def test_rows_without_a_loss_are_no_hits(fails, seed):
    """A failed row is ``-inf`` in a search; one region of two gives no numbers, and the other is found."""

    def loss(u):
        y = two_planes(5.0)(u)
        y[u[:, 1] >= FAR - 0.5] = fails
        return y

    found = search(loss, 6, 0.0, seed(5220))
    assert found.hits
    assert all(region.point[1] < FAR - 0.5 for region in found.regions)
    assert off(found, axis(6, FAR)) < 0.5
    nothing = search(lambda u: np.full(len(u), fails), 6, 0.0, seed(5221))
    assert (nothing.hits, nothing.regions) == (0, ())


def test_a_wide_event_narrows_the_draws(seed):
    """Half of the target fails: so do half of the draws of any width, and the ladder ends at once."""
    half = search(lambda u: u[:, 0], 3, 0.0, seed(5230))
    assert (half.width, half.regions[0].beta) == (search_hits.WIDTHS[0], pytest.approx(0.0, abs=0.5))
    shell = search(lambda u: np.linalg.norm(u, axis=1) - 5.0, 10, 0.0, seed(5231))
    assert shell.width < search_hits.WIDTHS[0]


# --- what is known -----------------------------------------------------------------------------------


def test_regions_that_are_known_count_and_take_no_climb(seed):
    known = [Region(axis(10, FAR), 0), Region(axis(10, 0.0, FAR), 0)]
    found = search(two_planes(5.0), 10, 0.0, seed(5240), known=known)
    assert found.climbs == 0
    assert {id(region) for region in found.regions} == {id(region) for region in known}
    assert sum(region.hits for region in known) == found.hits
    assert "in 2 failure regions (0 new); the search ended with: all hits explained" in found.describe(2)


def test_a_region_that_is_not_known_is_found_beside_one_that_is(seed):
    known = [Region(axis(10, FAR), 0)]
    found = search(two_planes(5.0), 10, 0.0, seed(5250), known=known)
    assert len(found.regions) == 2
    assert off(found, axis(10, 0.0, FAR)) < 0.5
    assert "in 2 failure regions (1 new); the search ended with: all hits explained" in found.describe(1)


def test_hits_are_looked_at_from_the_nearest_on_and_every_one_is_counted(seed):
    found = search(two_planes(5.0), 10, 0.0, seed(5260))
    assert sum(region.hits for region in found.regions) == found.hits
    assert [region.beta for region in found.regions] == sorted(region.beta for region in found.regions)


def test_two_regions_are_not_joined_by_the_way_between_them():
    """The arc between their points goes through what is safe, and between two points of one region it does not."""
    loss = two_planes(5.0)
    finder = search_hits._Search(loss, 0.0, 3, [Region(axis(3, FAR))], math.inf, 0)
    assert finder.joined_to(axis(3, 0.0, FAR)) is None
    region, straight = finder.explained(axis(3, FAR + 1.0, 0.5))
    assert (region, straight) == (finder.regions[0], True)
    assert finder.explained(axis(3, 0.0, FAR + 1.0)) == (None, False)
    bowl = search_hits._Search(lambda u: np.linalg.norm(u, axis=1) - FAR, 0.0, 3, [Region(axis(3, FAR))], math.inf, 0)
    assert bowl.joined_to(axis(3, 0.0, FAR)) is bowl.regions[0]


def test_what_was_found_is_said_in_a_sentence():
    found = Hits((Region(axis(2, 3.0)),), 4.2, 1600, 200, 3, 2345, "all hits explained")
    assert found.describe() == (
        "200 of 1,600 draws widened to standard deviation 4.2 hit the event, in 1 failure region (1 new); the "
        "search ended with: all hits explained (2,345 evaluations)"
    )
    np.testing.assert_array_equal(found.nearest, [[3.0, 0.0]])
