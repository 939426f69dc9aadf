"""Whether replicates came near a draw."""

import math

import numpy as np
import pytest

from raresim.accumulators.ends import EACH, REPLICATES, Ends
from raresim.numerics.blocks import Block
from raresim.record.event import Event
from raresim.run.reach import Reach, far_from

BLOCK = Block(3, 0, 0, 1)


@pytest.fixture
def rng(seed):
    return np.random.default_rng(seed(41))


def cloud(rng, centre, n=30, d=2):
    return centre + 0.3 * rng.standard_normal((n, d))


def test_a_draw_near_all_replicates_is_near_and_one_elsewhere_is_far(rng):
    parts = [cloud(rng, [4.0, 0.0]) for _ in range(10)]
    asked = np.array([[4.0, 0.1], [4.2, -0.2], [0.0, 4.0], [-4.0, 0.0]])
    assert far_from(parts, asked).tolist() == [False, False, True, True]


@pytest.mark.parametrize(("found", "far"), [(1, True), (2, True), (3, False), (10, False)])
def test_three_replicates_have_to_come_near(rng, found, far):
    """What one or two of ten found by luck is in few of the estimates."""
    parts = [
        np.concatenate([cloud(rng, [4.0, 0.0]), *([cloud(rng, [0.0, 4.0], 10)] if k < found else [])])
        for k in range(10)
    ]
    assert far_from(parts, np.array([[0.0, 4.0], [4.0, 0.0]])).tolist() == [far, False]


@pytest.mark.parametrize(("d", "found"), [(9, 0.9), (60, 0.3)])
def test_in_many_dimensions_distance_is_taken_where_the_draws_differ(rng, d, found):
    """Two half-spaces four away from the origin: the other coordinates alone are farther apart than these are."""

    def draws(axis, n=30):
        u = rng.standard_normal((n, d))
        u[:, axis] = 4.2 + 0.2 * rng.random(n)
        return u

    parts = [draws(0) for _ in range(15)]
    assert np.mean(far_from(parts, draws(0, 200))) < 0.01
    assert np.mean(far_from(parts, draws(1, 200))) > found


def test_each_event_asks_where_replicates_reached_it():
    """The easier one is met everywhere, the harder on one side; the hardest by one replicate alone: no answer."""
    u = np.array([[4.0, 0.0], [4.1, 0.0], [0.0, 4.0], [0.1, 4.1]])
    loss = np.array([5.0, 5.1, 2.0, 2.1])
    ends = Ends((u, u + 0.05, u - 0.05, u + 0.02), (loss, loss, loss, np.array([9.5, 5.1, 2.0, 2.1])))
    events = (Event(-1.0, "below"), Event(-4.0, "below"), Event(-9.0, "below"))
    rows, cost = Reach(ends, events).through(np.array([[4.05, 0.0], [0.0, 4.05], [9.0, 9.0]]), BLOCK)
    assert cost == 0
    assert rows[0].tolist() == [-math.inf, -math.inf, math.inf]
    assert rows[1].tolist() == [-math.inf, math.inf, math.inf]
    assert np.isnan(rows[2]).all()


def test_ends_keep_an_even_part_of_the_draws_beyond_each_threshold():
    loss = np.arange(200.0)
    u = np.asfortranarray(np.column_stack([loss, -loss]))
    ends = Ends.of_run(u, loss, np.array([100.0, 190.0, 500.0]))
    (kept,), (losses,) = ends.u, ends.loss
    assert losses.min() == 100.0
    assert np.count_nonzero(losses >= 190.0) >= 10
    assert EACH <= losses.size <= 2 * EACH
    np.testing.assert_array_equal(kept, np.column_stack([losses, -losses]))
    assert ends.beyond(150.0)[0][:, 0].min() >= 150.0
    assert ends.beyond(500.0) == []
    assert Ends.of_run(u, loss, np.array([500.0])).loss[0].size == 0


def test_ends_of_the_first_replicates_are_kept_in_their_order():
    one = [Ends((np.full((1, 2), float(k)),), (np.array([float(k)]),)) for k in range(REPLICATES + 3)]
    both = one[0]
    for other in one[1:]:
        both = both.merge(other)
    assert [float(part[0]) for part in both.loss] == list(range(REPLICATES))
    assert len(both.u) == REPLICATES
