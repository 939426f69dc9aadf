"""The sample of the event: the same draws whatever the order of merging, and each with the same chance."""

import functools

import numpy as np
import pytest

from raresim.accumulators.event_draws import LOTS, Drawing, EventDraws
from raresim.numerics.blocks import Block
from raresim.numerics.streams import stream
from tests.helpers import normals
from tests.statistical import assert_count

ROWS = (40, 7, 120, 33, 64, 1, 90)


def blocks(rows=ROWS):
    first = np.cumsum([0, *rows[:-1]])
    return [Block(4, k, int(first[k]), n) for k, n in enumerate(rows)]


def kept(most, at_least=0.3, rows=ROWS, seed=5):
    """What is kept of each block, and all losses and lots."""
    u = normals(sum(rows), 2, 3)
    loss, drawing = u.sum(axis=1), Drawing(most, at_least, seed=seed)
    whole = blocks(rows)
    parts = [slice(b.first, b.first + b.rows) for b in whole]
    each = [EventDraws.of_block(b, u[s], loss[s], -loss[s], drawing) for b, s in zip(whole, parts, strict=True)]
    lots = np.concatenate([stream(seed, b.stage, LOTS + b.index).random(b.rows) for b in whole])
    return each, u, loss, lots


def merged(parts):
    return functools.reduce(EventDraws.merge, parts).cut()


@pytest.mark.parametrize("most", [1, 17, 60, 1000])
def test_the_draws_with_the_smallest_lots_are_kept_in_the_order_of_drawing(most):
    each, u, loss, lots = kept(most)
    inside = np.flatnonzero(loss >= 0.3)
    wanted = np.sort(inside[np.argsort(lots[inside])[:most]])
    left, right = merged(each[:3]), functools.reduce(EventDraws.merge, each[3:])
    for got in (merged(each), left.merge(right).cut(), merged(EventDraws.thinned(each))):
        assert (got.n, got.inside) == (loss.size, inside.size)
        np.testing.assert_array_equal(got.row[0], wanted)
        np.testing.assert_array_equal(got.loss[0], loss[wanted])
        np.testing.assert_array_equal(got.log_weight[0], -loss[wanted])
        np.testing.assert_array_equal(got.u[0], u[wanted])


def test_what_is_sent_to_another_process_is_no_more_than_is_wanted():
    each, *_ = kept(17)
    assert sum(part.kept for part in each) > 17
    assert sum(part.kept for part in EventDraws.thinned(each)) == 17


def test_no_more_than_twice_the_wanted_draws_are_held_on_the_way():
    each, *_ = kept(5, rows=(50,) * 100)
    so_far = each[0]
    for part in each[1:]:
        so_far = so_far.merge(part)
        assert so_far.kept <= 10
        assert len(so_far.lot) <= 64


def test_an_event_has_two_sides_and_a_row_without_a_loss_is_in_none():
    loss = np.array([-2.0, -1.0, np.nan, 1.0, 2.0])
    np.testing.assert_array_equal(Drawing(9, at_least=1.5).holds(loss), [0, 0, 0, 0, 1])
    np.testing.assert_array_equal(Drawing(9, at_most=-1.0).holds(loss), [1, 1, 0, 0, 0])


@pytest.mark.statistical(effect=0.1, false_fail=2e-7, false_pass=1e-3)
def test_early_and_late_rows_of_a_block_are_kept_alike():
    early, trials = 0, 400
    for seed in range(trials):
        each, *_ = kept(20, -np.inf, (100, 100), seed)
        early += int(np.count_nonzero(merged(each).row[0] % 100 < 50))
    assert_count(early, 20 * trials, 0.5)
