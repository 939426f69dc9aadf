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
from raresim.accumulators.tail import TailMoments, hit_weights, masks, masks_with_failed
from raresim.accumulators.top import CAPACITY, TopWeights
from raresim.numerics.blocks import Block
from raresim.record.event import Event

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


@pytest.mark.slow
@given(rows, rows, rows)
def test_tail_merge_is_associative(a, b, c):
    a, b, c = tail_of(*a), tail_of(*b), tail_of(*c)
    assert_same_tail(a.merge(b).merge(c), a.merge(b.merge(c)))


@pytest.mark.slow
@given(rows, rows)
def test_tail_merge_commutes(a, b):
    a, b = tail_of(*a), tail_of(*b)
    assert_same_tail(a.merge(b), b.merge(a))


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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


def test_thinned_weights_merge_to_the_same_largest_ones(seed):
    """With ties at the floor, an empty piece, and two events of which one has few weights."""
    rng = np.random.default_rng(seed(4201))
    weights = [np.round(rng.normal(size=n), 2) for n in (9000, 0, 20_000, 700)]
    pieces = [TopWeights.of_hits([w, w[:5]]) for w in weights]
    thin = TopWeights.thinned(pieces)
    assert sum(p.log_weights[0].size for p in thin) < 1.1 * CAPACITY
    assert sum(p.log_weights[0].size for p in pieces) > 2 * CAPACITY
    for event in (0, 1):
        np.testing.assert_array_equal(merged(thin).largest(event), merged(pieces).largest(event))


def test_top_weights_are_bounded_and_copied():
    log_weight = np.zeros(3 * CAPACITY)
    every = np.ones(3 * CAPACITY, dtype=bool)
    top = TopWeights.of_block(log_weight, [every])
    for _ in range(5):
        top = top.merge(TopWeights.of_block(log_weight, [every]))
    log_weight[:] = 1.0
    assert top.log_weights[0].size <= 2 * CAPACITY
    assert (top.largest(0) == 0.0).all()


@pytest.mark.parametrize(("size", "kept"), [(2 * CAPACITY, 2 * CAPACITY), (2 * CAPACITY + 1, CAPACITY)])
def test_weights_are_cut_once_twice_the_capacity_has_come_together(size, kept):
    log_weight = np.arange(float(size))
    assert TopWeights.of_hits([log_weight]).log_weights[0].size == kept
    assert TopWeights.of_hits([log_weight]).largest(0).tolist() == list(range(size - 1, size - 1 - CAPACITY, -1))


# --- losses ------------------------------------------------------------------------------------------


@pytest.mark.slow
@given(hnp.arrays(float, st.integers(2, 80), elements=st.floats(-100, 100)), cuts, st.sampled_from([0.0, 1e5, -1e7]))
def test_loss_moments_agree_with_numpy(loss, at, shift):
    loss = loss + shift
    got = merged([LossMoments.of_block(piece) for (piece,) in pieces((loss,), at)])
    assert got.n == loss.size
    assert got.mean == pytest.approx(loss.mean(), rel=1e-12, abs=1e-12)
    assert got.std == pytest.approx(loss.std(ddof=1), rel=1e-7, abs=1e-7)


@pytest.mark.parametrize("n", [0, 1])
def test_fewer_than_two_losses_have_no_spread(n):
    got = LossMoments.of_block(np.full(n, 3.0))
    assert (got.n, got.mean, got.squares) == (n, 3.0 * n, 0.0)
    assert math.isnan(got.std)
    two = LossMoments.of_block(np.array([1.0, 5.0]))
    for both in (got.merge(two), two.merge(got)):
        assert (both.n, both.mean, both.squares) == (n + 2, 3.0, 8.0)
        assert both.std == pytest.approx(math.sqrt(8.0 / (n + 1)))


def test_two_losses_have_a_spread():
    assert LossMoments(2, 3.0, 8.0).std == pytest.approx(math.sqrt(8.0))


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
    """Two rows and the single draws of which they are means: the verdict reads the tail of all of these draws."""
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


@pytest.mark.slow
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


@pytest.mark.slow
@given(hnp.arrays(float, st.integers(1, 60), elements=st.floats(-700, 2.0)), cuts)
def test_winnings_of_pieces_merge_to_the_whole_and_are_sums_of_logarithms(log_weight, at):
    parts = [Bets.of_hits(2 * len(w), [w, w[:0]], 2.0) for (w,) in pieces((log_weight,), at)]
    together = merged(parts)
    expected = np.log1p(np.multiply.outer(STAKES, np.exp(log_weight - 2.0))).sum(axis=1)
    np.testing.assert_allclose(together.log_won[0], expected, rtol=1e-10, atol=1e-13)
    assert together.n == 2 * len(log_weight)
    assert not together.log_won[1].any()


def test_rows_of_first_hits_are_whole_numbers():
    a = Arrivals.of_block(5, [np.array([True, False, True, True, False])], (2,))
    assert a.rows[0].dtype == a.merge(a).rows[0].dtype == np.int64
    assert (a.n, a.wanted, a.merge(a).n, a.merge(a).wanted) == (5, (2,), 10, (2,))
    assert a.merge(a).rows[0].tolist() == [1, 3]
    assert (a.last(0), type(a.last(0))) == (3, int)


def test_every_event_waits_for_its_own_hits():
    mask = np.array([True, False, True])
    few, many = Arrivals.of_block(3, [mask, ~mask], (1, 4)), Arrivals.of_block(3, [~mask, mask], (1, 4))
    both = few.merge(many)
    assert [rows.tolist() for rows in both.rows] == [[1], [2, 4, 6]]
    assert (both.missing, both.last(0), both.last(1)) == ((0, 1), 1, None)


def test_summaries_of_another_number_of_events_are_refused():
    """They belong to another run; a shorter summary would be merged silently."""
    mask = np.array([True, False])
    one, two = Arrivals.of_block(2, [mask], (1,)), Arrivals.of_block(2, [mask, mask], (1, 1))
    for refused in (
        lambda: Arrivals.of_block(2, [mask, mask], (1,)),
        lambda: one.merge(two),
        lambda: Arrivals(2, (1, 1), one.rows).missing,
        lambda: TopWeights((np.zeros(1),)).merge(TopWeights((np.zeros(1), np.zeros(1)))),
    ):
        with pytest.raises(ValueError, match="zip"):
            refused()


def test_bets_count_weights_above_the_bound_as_the_bound():
    """Rounding can leave such weights, among unequal weights and among equal ones."""
    for logs in (np.array([2.0 + 1e-15, 1.0]), np.array([2.5, 2.5]), np.array([2.5, 1.0])):
        got = Bets.of_hits(3, [logs], 2.0).log_won[0]
        expected = np.log1p(np.multiply.outer(STAKES, np.exp(np.minimum(logs - 2.0, 0.0)))).sum(axis=1)
        np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-13)


def test_bets_on_rows_that_all_hit_leave_the_largest_probability():
    low, high = Bets.of_hits(200, [np.zeros(200)], 0.0).interval(0, 0.9)
    assert 0.9 < low < high == 1.0


def test_bets_on_one_miss_leave_all_probabilities():
    assert Bets.of_hits(1, [np.empty(0)], 0.0).interval(0, 0.999) == (0.0, 1.0)


@pytest.mark.parametrize(("gap", "all_left"), [(0.01, True), (-0.01, False)])
def test_bets_that_just_fail_to_get_rich_leave_all_probabilities(gap, all_left):
    """After one miss a player has won the mean of 1 / (1 + s) at most, over the stakes on less."""
    most = np.mean(1.0 / (1.0 + STAKES[STAKES < 0]))
    confidence = 1.0 - 2.0 / (most * math.exp(gap))
    low, high = Bets.of_hits(1, [np.empty(0)], 0.0).interval(0, confidence)
    assert low == 0.0
    assert (high == 1.0) is all_left


def test_bets_bound_probabilities_far_below_the_spacing_of_doubles_at_one():
    """A hundred thousand weights of 1e-12 among 1e9 rows."""
    low, high = Bets.of_hits(10**9, [np.full(10**5, math.log(1e-12))], 0.0).interval(0, 0.95)
    assert 5e-17 < low < 1e-16 < high


def test_ends_of_bets_are_probabilities():
    """Few rows, a twentieth of which have the largest weight 4: the mean could be above 1."""
    assert Bets.of_hits(20, [np.full(1, math.log(4.0))], math.log(4.0)).interval(0, 0.99)[1] == 1.0


@pytest.mark.parametrize("log_bound", [-5.0, 0.0, 3.0])
def test_interval_of_bets_scales_with_the_bound_on_weights(log_bound):
    """If weights and bound are multiplied by a number, so are the ends, up to probability one."""
    logs = np.log(np.linspace(0.01, 0.03, 50)) + log_bound
    low, high = Bets.of_hits(1000, [logs], log_bound).interval(0, 0.95)
    plain = Bets.of_hits(1000, [logs - log_bound], 0.0).interval(0, 0.95)
    assert (low, high) == pytest.approx((plain[0] * math.exp(log_bound), plain[1] * math.exp(log_bound)), rel=1e-9)


# --- all that a stage keeps --------------------------------------------------------------------------


def test_a_summary_of_rows_keeps_what_it_is_given():
    logs, kept = [np.array([-1.0, -2.0]), np.empty(0)], KeptRows(np.arange(3.0), -np.arange(3.0))
    got = Summary.of_rows(7, logs, 21, kept, upper=[np.zeros(3), np.zeros(1)])
    assert (got.tail.n, got.tail.hits.tolist(), got.evaluations) == (7, [2, 0], 21)
    assert (got.upper.n, got.upper.hits.tolist()) == (7, [3, 1])
    assert got.top.largest(0).tolist() == [-1.0, -2.0]
    assert got.kept is kept
    assert (got.drawn, got.arrivals, got.bets) == (None, None, None)
    bare = Summary.of_rows(7, logs, 21, equal=True)
    assert (bare.kept.loss.size, bare.kept.log_weight.size, bare.upper) == (0, 0, None)
    assert bare.top.largest(0).size == 0
    assert bare.tail.hits.tolist() == [2, 0]


def test_a_part_in_which_nothing_failed_has_the_same_two_ends():
    """Merged with one in which rows failed, from either side."""
    whole = Summary.of_rows(10, [np.zeros(4)], 10)
    failed = Summary.of_rows(10, [np.zeros(3)], 10, upper=[np.zeros(5)])
    for both in (whole.merge(failed), failed.merge(whole)):
        assert (both.tail.hits[0], both.upper.hits[0], both.upper.n) == (7, 9, 20)
    assert whole.merge(whole).upper is None
    assert failed.merge(failed).upper.hits[0] == 10


def test_arrivals_and_bets_are_merged_where_both_parts_have_them():
    plain = Summary.of_rows(2, [np.zeros(1)], 2)
    arrivals, bets = Arrivals.of_block(2, [np.array([True, True])], (3,)), Bets.of_hits(2, [np.zeros(1)], 0.0)
    full = dataclasses.replace(plain, arrivals=arrivals, bets=bets, drawn=plain.tail)
    both = full.merge(full)
    assert both.arrivals.rows[0].tolist() == [1, 2, 3]
    assert (both.bets.n, both.drawn.n) == (4, 4)
    for one in (plain.merge(full), full.merge(plain)):
        assert one.tail.n == 4
        assert {one.arrivals, one.bets, one.drawn} in ({None}, {arrivals, bets, plain.tail})
    assert plain.merge(plain).arrivals is None


def test_a_log_weight_that_is_no_number_is_refused():
    with pytest.raises(ArithmeticError, match="a log weight is NaN: target and proposal are both impossible"):
        TailMoments.of_hits(3, [np.zeros(1), np.array([0.0, math.nan])])


def test_weights_that_vanish_beside_the_largest_add_nothing_to_any_sum():
    tail = TailMoments.of_hits(4, [np.array([0.0, -800.0])])
    assert (tail.sum_w[0], tail.sum_w2[0], tail.sum_w_log[0]) == (1.0, 1.0, 0.0)
    assert tail.hits[0] == 2


def test_hits_keep_their_log_weights_in_order_and_of_their_own():
    log_weight, mask = np.arange(5.0), np.array([True, False, True, False, True])
    got = hit_weights(log_weight, mask)
    hit_weights(-log_weight, mask)
    assert got.tolist() == [0.0, 2.0, 4.0]
    assert hit_weights(log_weight, np.ones(5, dtype=bool)).tolist() == log_weight.tolist()


def test_rows_without_a_loss_could_be_in_every_event():
    loss = np.array([0.0, math.nan, 2.0])
    in_event = masks([Event(1.0), Event(1.0, "below")], loss)
    assert [rows.tolist() for rows in masks_with_failed(in_event, loss)] == [[False, True, True], [True, True, False]]
    assert masks_with_failed(in_event, np.zeros(3)) is None


def test_two_rows_have_a_relative_error():
    assert TailMoments.of_hits(2, [np.zeros(1)]).relative_error(0) == pytest.approx(1.0)
    assert TailMoments.of_hits(2, [np.zeros(2)]).relative_error(0) == 0.0
