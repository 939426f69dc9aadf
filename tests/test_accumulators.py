"""Laws that every summary of rows obeys, and NumPy's answer on the whole sample."""

import dataclasses
import functools
import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from raresim.accumulators.arrivals import Arrivals
from raresim.accumulators.bets import STAKES, Bets
from raresim.accumulators.kept import KeptRows
from raresim.accumulators.moments import LossMoments
from raresim.accumulators.several import Several
from raresim.accumulators.summary import Summary
from raresim.accumulators.tail import TailMoments, masks
from raresim.accumulators.top import CAPACITY, TopWeights
from raresim.blocks import Block
from raresim.problem import Event

SUMS = ("hits", "peak", "sum_w", "sum_w2", "sum_w_log")
LEVELS = (-math.inf, 0.0, 1.5, math.inf)  # every row, some rows, few rows, no row
EVENTS = tuple(Event(level) for level in LEVELS)

log_weights = st.floats(-700, 700) | st.just(-math.inf)
rows = hnp.arrays(float, st.tuples(st.integers(1, 60), st.just(2)), elements=st.floats(-3, 3)).flatmap(
    lambda a: hnp.arrays(float, len(a), elements=log_weights).map(lambda w: (a[:, 0].copy(), w))
)
cuts = st.lists(st.integers(0, 60), max_size=6)


def tail_of(loss, log_weight):
    return TailMoments.of_block(log_weight, masks(EVENTS, loss))


def pieces(arrays, at):
    """The rows of ``arrays`` cut at ``at``; empty pieces are left out."""
    n = len(arrays[0])
    edges = sorted({0, n, *(c for c in at if c < n)})
    return [tuple(a[i:j] for a in arrays) for i, j in itertools.pairwise(edges)]


def merged(summaries):
    return functools.reduce(lambda a, b: a.merge(b), summaries)


def assert_same_tail(a, b, rtol=1e-9):
    assert a.n == b.n
    for name in SUMS:
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol=rtol, atol=1e-9)


# --- weighted tail moments ---------------------------------------------------------------------------


@given(rows, cuts)
def test_tail_of_pieces_merges_to_the_whole(sample, at):
    assert_same_tail(merged([tail_of(*piece) for piece in pieces(sample, at)]), tail_of(*sample))


@given(rows, rows, rows)
def test_tail_merge_is_associative(a, b, c):
    a, b, c = tail_of(*a), tail_of(*b), tail_of(*c)
    assert_same_tail(a.merge(b).merge(c), a.merge(b.merge(c)))


@given(rows, rows)
def test_tail_merge_commutes(a, b):
    a, b = tail_of(*a), tail_of(*b)
    assert_same_tail(a.merge(b), b.merge(a))


@given(rows, cuts, st.sampled_from([-1e5, 1e5]))
def test_shifting_log_weights_shifts_the_log_probability_alone(sample, at, shift):
    loss, log_weight = sample
    still = tail_of(loss, log_weight)
    moved = merged([tail_of(*piece) for piece in pieces((loss, log_weight + shift), at)])
    for k in range(len(EVENTS)):
        if still.sum_w[k] == 0:
            assert moved.log_probability(k) == -math.inf
            continue
        assert moved.log_probability(k) == pytest.approx(still.log_probability(k) + shift, abs=1e-8)
        assert moved.relative_error(k) == pytest.approx(still.relative_error(k), rel=1e-6, abs=1e-8)
        assert moved.ess(k) == pytest.approx(still.ess(k), rel=1e-7)
        assert moved.max_share(k) == pytest.approx(still.max_share(k), rel=1e-7)
        assert moved.kl(k) == pytest.approx(still.kl(k), abs=1e-7)


@given(rows)
def test_merging_changes_neither_part(sample):
    part = tail_of(*sample)
    before = {name: getattr(part, name).copy() for name in SUMS}
    part.merge(part)
    for name in SUMS:
        np.testing.assert_array_equal(getattr(part, name), before[name])


def sample_of(n, seed):
    rng = np.random.default_rng(seed)
    return rng.normal(size=n), rng.normal(scale=2.0, size=n)


@pytest.mark.parametrize("level", [0.0, 1.5, 3.0])
def test_tail_numbers_agree_with_numpy_on_the_whole_sample(level, seed):
    loss, log_weight = sample_of(5000, seed(111))
    tail = merged([TailMoments.of_block(w, [x >= level]) for x, w in pieces((loss, log_weight), range(0, 60, 7))])
    w = np.exp(log_weight) * (loss >= level)
    hit = w[w > 0]
    assert tail.n == 5000
    assert tail.hits[0] == hit.size
    assert math.exp(tail.log_probability(0)) == pytest.approx(w.mean(), rel=1e-12)
    assert tail.relative_error(0) == pytest.approx(w.std(ddof=1) / np.sqrt(5000) / w.mean(), rel=1e-10)
    assert tail.ess(0) == pytest.approx(hit.sum() ** 2 / (hit**2).sum(), rel=1e-12)
    assert tail.max_share(0) == pytest.approx(hit.max() / hit.sum(), rel=1e-12)
    optimal = hit / hit.sum()
    assert tail.kl(0) == pytest.approx((optimal * np.log(hit / w.mean())).sum(), rel=1e-10)


def test_relative_error_of_unit_weights_is_the_binomial_one():
    """``sqrt((1 - p) / (p (n - 1)))``: misses count, and the divisor is n - 1."""
    tail = TailMoments.of_block(np.zeros(1000), [np.arange(1000) < 250])
    assert tail.relative_error(0) == pytest.approx(math.sqrt(0.75 / 0.25 / 999), rel=1e-13)


def test_event_without_a_hit_is_empty_not_an_error():
    tail = tail_of(np.full(10, -1.0), np.zeros(10)).merge(tail_of(np.full(5, -1.0), np.full(5, 3.0)))
    assert (tail.n, tail.hits[1], tail.peak[1]) == (15, 0, -math.inf)
    assert tail.log_probability(1) == -math.inf
    assert tail.relative_error(1) == math.inf
    assert tail.ess(1) == 0.0
    assert math.isnan(tail.max_share(1))
    assert math.isnan(tail.kl(1))


def test_hit_of_weight_zero_is_a_hit():
    """A log weight of minus infinity adds nothing to the sum but stays in both counts."""
    loss = np.array([2.0, 2.0, -1.0])
    tail = tail_of(loss, np.array([-math.inf, 0.0, 0.0]))
    assert (tail.n, tail.hits[1]) == (3, 2)
    assert math.exp(tail.log_probability(1)) == pytest.approx(1 / 3)
    none = tail_of(loss, np.full(3, -math.inf))
    assert (none.hits[1], none.log_probability(1)) == (2, -math.inf)
    assert_same_tail(tail.merge(none), none.merge(tail))


def test_nan_log_weight_is_not_taken_for_zero():
    """One NaN among a block's weights may not silently remove the block from the sum."""
    log_weight = np.zeros(100)
    log_weight[7] = np.nan
    try:
        tail = TailMoments.of_block(log_weight, [np.ones(100, dtype=bool)])
    except (ValueError, ArithmeticError):
        return
    assert math.isnan(tail.log_probability(0))


def test_one_row_has_no_relative_error():
    assert tail_of(np.array([2.0]), np.zeros(1)).relative_error(1) == math.inf


def test_masks_are_closed_on_both_sides():
    loss = np.array([0.9, 1.0, 1.1])
    above, below = masks([Event(1.0), Event(1.0, "below")], loss)
    assert above.tolist() == [False, True, True]
    assert below.tolist() == [True, True, False]


# --- largest weights ---------------------------------------------------------------------------------


@given(hnp.arrays(float, st.integers(1, 200), elements=st.floats(-1e5, 1e5)), st.lists(st.integers(0, 200), max_size=6))
def test_top_weights_are_all_of_a_small_sample_in_order(log_weight, at):
    parts = [TopWeights.of_block(w, [np.ones(len(w), dtype=bool)]) for (w,) in pieces((log_weight,), at)]
    np.testing.assert_array_equal(merged(parts).largest(0), np.sort(log_weight)[::-1])


@pytest.mark.parametrize("size", [1000, 9000, 60_000])
def test_top_weights_are_the_largest_of_a_large_sample(size, seed):
    rng = np.random.default_rng(seed(112))
    log_weight, hit = rng.normal(size=120_000), rng.random(120_000) < 0.9
    parts = [
        TopWeights.of_block(log_weight[i : i + size], [hit[i : i + size], ~hit[i : i + size]])
        for i in range(0, 120_000, size)
    ]
    for kept, mask in enumerate((hit, ~hit)):
        expected = np.sort(log_weight[mask])[::-1][:CAPACITY]
        np.testing.assert_array_equal(merged(parts).largest(kept), expected)


def test_top_weights_are_bounded_and_copied():
    log_weight = np.zeros(3 * CAPACITY)
    every = np.ones(3 * CAPACITY, dtype=bool)
    top = TopWeights.of_block(log_weight, [every])
    for _ in range(5):
        top = top.merge(TopWeights.of_block(log_weight, [every]))
    log_weight[:] = 1.0
    assert top.log_weights[0].size <= 2 * CAPACITY
    assert (top.largest(0) == 0.0).all()


# --- losses ------------------------------------------------------------------------------------------


@given(hnp.arrays(float, st.integers(2, 80), elements=st.floats(-100, 100)), cuts, st.sampled_from([0.0, 1e5, -1e7]))
def test_loss_moments_agree_with_numpy(loss, at, shift):
    loss = loss + shift
    got = merged([LossMoments.of_block(piece) for (piece,) in pieces((loss,), at)])
    assert got.n == loss.size
    assert got.mean == pytest.approx(loss.mean(), rel=1e-12, abs=1e-12)
    assert got.std == pytest.approx(loss.std(ddof=1), rel=1e-7, abs=1e-7)


def test_kept_rows_are_the_first_of_their_stage_and_copied():
    blocks = [Block(0, 0, 0, 4), Block(0, 1, 4, 4), Block(0, 2, 8, 4)]
    values = np.arange(12.0)
    kept = merged(
        [KeptRows.of_block(b, values[b.first : b.first + 4], -values[b.first : b.first + 4], 6) for b in blocks]
    )
    every = merged(
        [KeptRows.of_block(b, values[b.first : b.first + 4], -values[b.first : b.first + 4]) for b in blocks]
    )
    values[:] = 99.0
    evenly = np.array([0.0, 1.0, 2.0, 3.0, 4.0, 6.0])  # two of the second block's four rows, spread over it
    np.testing.assert_array_equal(kept.loss, evenly)
    np.testing.assert_array_equal(kept.log_weight, -evenly)
    np.testing.assert_array_equal(every.loss, np.arange(12.0))


def test_several_summaries_merge_part_by_part(seed):
    a, b = np.random.default_rng(seed(113)).normal(size=(2, 50))
    both = Several((LossMoments.of_block(a), LossMoments.of_block(-a))).merge(
        Several((LossMoments.of_block(b), LossMoments.of_block(-b)))
    )
    assert both.parts[0].mean == pytest.approx(-both.parts[1].mean)
    assert both.parts[0].n == 100


def test_summaries_of_replicates_merge_every_part(seed):
    """Two rows with the single draws that they are the means of: the verdict reads the tail of all of these."""
    draws = np.random.default_rng(seed(114)).normal(size=(2, 50))
    parts = [
        dataclasses.replace(
            Summary.of_rows(1, [np.array([-5.0 - k])], 80, KeptRows(w, w)),
            top=TopWeights.of_hits([w]),
            drawn=TailMoments.of_hits(80, [w]),
        )
        for k, w in enumerate(draws)
    ]
    both, everything = merged(parts), TailMoments.of_hits(160, [draws.ravel()])
    assert (both.tail.n, both.evaluations, both.kept.loss.size) == (2, 160, 100)
    assert both.tail.log_probability(0) == pytest.approx(np.logaddexp(-5.0, -6.0) - math.log(2.0))
    assert_same_tail(both.drawn, everything)
    np.testing.assert_array_equal(both.top.largest(0), np.sort(draws.ravel())[::-1])


# --- hits that end a stage, and bets -----------------------------------------------------------------


@given(st.lists(st.booleans(), min_size=1, max_size=60), cuts, st.integers(1, 8))
def test_first_hits_do_not_depend_on_where_the_rows_are_cut(hits, at, wanted):
    parts = [Arrivals.of_block(len(m), [m, ~m], (wanted, 2)) for (m,) in pieces((np.array(hits),), at)]
    together = merged(parts)
    places = [k + 1 for k, hit in enumerate(hits) if hit]
    assert together.n == len(hits)
    assert together.rows[0].tolist() == places[:wanted]
    assert together.last(0) == (places[wanted - 1] if len(places) >= wanted else None)
    assert together.missing[0] == max(0, wanted - len(places))


@given(st.lists(st.booleans(), min_size=3, max_size=60), st.integers(1, 8))
def test_merging_first_hits_is_associative_to_the_bit(hits, wanted):
    a, b, c = (Arrivals.of_block(len(m), [m], (wanted,)) for m in np.array_split(np.array(hits), 3))
    assert a.merge(b).merge(c).rows[0].tolist() == a.merge(b.merge(c)).rows[0].tolist()


@given(hnp.arrays(float, st.integers(1, 60), elements=st.floats(-700, 2.0)), cuts)
def test_winnings_of_pieces_merge_to_the_whole_and_are_sums_of_logarithms(log_weight, at):
    parts = [Bets.of_hits(2 * len(w), [w, w[:0]], 2.0) for (w,) in pieces((log_weight,), at)]
    together = merged(parts)
    expected = np.log1p(np.multiply.outer(STAKES, np.exp(log_weight - 2.0))).sum(axis=1)
    np.testing.assert_allclose(together.log_won[0], expected, rtol=1e-10, atol=1e-13)
    assert together.n == 2 * len(log_weight)
    assert not together.log_won[1].any()
