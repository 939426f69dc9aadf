"""Laws that hold for any numbers, by Hypothesis: of sums, weights, intervals, verdicts, stages and files.

Others stand beside what they are about: sums of weighted rows in `test_accumulators`, plans in `test_blocks`, entropies
in `information/`.
"""

import dataclasses
import itertools
import json
import math
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from raresim.accumulators.kept import KeptRows
from raresim.accumulators.level import LevelRows
from raresim.accumulators.moments import LossMoments
from raresim.accumulators.several import Several
from raresim.accumulators.summary import Summary
from raresim.accumulators.tail import TailMoments, hit_weights, masks
from raresim.accumulators.top import TopWeights
from raresim.diagnostics.ess import effective, effective_of_logs
from raresim.diagnostics.psis import bounded, khat
from raresim.diagnostics.verdict import judge, worst
from raresim.distributions.mixture import Mixture
from raresim.distributions.normal import Normal
from raresim.distributions.standard_normal import StandardNormal
from raresim.engine.executors import Executor
from raresim.engine.fold import Sampler, fold
from raresim.engine.journal import Journal
from raresim.engine.problem import Problem
from raresim.estimators.weighted_draws import WeightedDraws
from raresim.losses.linear import Linear
from raresim.marginals.gamma import Gamma
from raresim.marginals.lognormal import Lognormal
from raresim.marginals.poisson import Poisson
from raresim.marginals.student_t import StudentT
from raresim.marginals.weibull import Weibull
from raresim.measures.intervals import clopper_pearson, log_scale, weighted_upper, widened, zero_hits_bound
from raresim.numerics.blocks import Block, Growing, plan
from raresim.record.event import Event
from raresim.record.verdict import Status
from raresim.report.run import read
from raresim.run.checkpoint import State
from raresim.run.sample import Progress
from tests.accumulators.test_accumulators import assert_same_tail, cuts, merged, pieces, rows, tail_of
from tests.diagnostics.test_verdict import GOOD, REPLICATES, STATED, TUNED
from tests.helpers import logpdf
from tests.problems import linear_normal, solve


def one_in(divisor):
    """Of examples that take long, a part of what the profile asks for."""
    return settings(max_examples=max(1, settings.default.max_examples // divisor))


losses = hnp.arrays(float, st.integers(1, 60), elements=st.floats(-1e3, 1e3))
logs = st.floats(-600.0, 600.0)
weights = hnp.arrays(float, st.integers(1, 100), elements=st.floats(-30.0, 30.0))
confidences = st.floats(0.5, 0.999)

# --- sums over blocks --------------------------------------------------------------------------------


def summary_of(first, loss, log_weight, events):
    every = Block(0, 0, first, len(loss))
    hits = [hit_weights(log_weight, mask) for mask in masks(events, loss)]
    return Summary.of_rows(len(loss), hits, len(loss), KeptRows.of_block(every, loss, log_weight))


@pytest.mark.slow
@given(rows, cuts)
def test_a_summary_does_not_depend_on_where_blocks_are_cut(sample, at):
    events = (Event(0.0), Event(1.5, "below"))
    first = itertools.accumulate((len(loss) for loss, _ in pieces(sample, at)), initial=0)
    parts = merged([summary_of(k, *piece, events) for k, piece in zip(first, pieces(sample, at), strict=False)])
    whole = summary_of(0, *sample, events)
    assert_same_tail(parts.tail, whole.tail)
    assert parts.evaluations == whole.evaluations == len(sample[0])
    np.testing.assert_array_equal(parts.kept.loss, sample[0])
    np.testing.assert_array_equal(parts.kept.log_weight, sample[1])
    for k in range(2):
        np.testing.assert_array_equal(parts.top.largest(k), whole.top.largest(k))


@pytest.mark.slow
@given(rows, st.integers(0, 80), st.integers(1, 60))
def test_kept_rows_are_at_most_those_asked_for_and_begin_the_stage(sample, limit, size):
    loss, log_weight = sample
    parts = [
        KeptRows.of_block(Block(0, k, i, len(loss[i : i + size])), loss[i : i + size], log_weight[i : i + size], limit)
        for k, i in enumerate(range(0, len(loss), size))
    ]
    kept = merged(parts)
    assert kept.loss.size == min(limit, len(loss))
    whole_blocks = min(limit, len(loss)) // size * size
    np.testing.assert_array_equal(kept.loss[:whole_blocks], loss[:whole_blocks])


@pytest.mark.slow
@given(rows, cuts, st.sampled_from([-1e5, 0.0, 1e5]))
def test_cross_entropy_of_a_level_depends_neither_on_blocks_nor_on_a_constant(sample, at, shift):
    loss, log_weight = sample
    log_weight = np.clip(log_weight, -30.0, 30.0)
    log_q = -0.5 * loss**2
    whole = LevelRows.of_block(loss, log_weight, log_q)
    moved = (loss, log_weight + shift, log_q)
    parts = merged([LevelRows.of_block(*piece) for piece in pieces(moved, at)])
    for level in (-3.0, 0.0, 2.0):
        assert parts.cross_entropy(level) == pytest.approx(whole.cross_entropy(level), rel=1e-8, abs=1e-9, nan_ok=True)


@pytest.mark.slow
@given(losses, losses, losses)
def test_loss_moments_merge_in_any_grouping_and_order(a, b, c):
    a, b, c = map(LossMoments.of_block, (a, b, c))
    one = a.merge(b).merge(c)
    for other in (a.merge(b.merge(c)), c.merge(a).merge(b)):
        assert other.n == one.n
        assert other.mean == pytest.approx(one.mean, rel=1e-9, abs=1e-9)
        assert other.squares == pytest.approx(one.squares, rel=1e-9, abs=1e-6)


@pytest.mark.slow
@given(rows, rows, rows)
def test_several_summaries_merge_in_any_grouping(a, b, c):
    a, b, c = (Several((tail_of(*x), LossMoments.of_block(x[0]))) for x in (a, b, c))
    one, other = a.merge(b).merge(c), a.merge(b.merge(c))
    assert_same_tail(one.parts[0], other.parts[0])
    assert one.parts[1].mean == pytest.approx(other.parts[1].mean, rel=1e-9, abs=1e-9)


@pytest.mark.slow
@given(weights, weights, weights)
def test_largest_weights_merge_in_any_grouping_and_order(a, b, c):
    a, b, c = (TopWeights.of_hits([x]) for x in (a, b, c))
    one = a.merge(b).merge(c).largest(0)
    np.testing.assert_array_equal(one, a.merge(b.merge(c)).largest(0))
    np.testing.assert_array_equal(one, c.merge(a).merge(b).largest(0))


@pytest.mark.slow
@given(rows, st.permutations(range(60)))
def test_the_order_of_rows_does_not_matter(sample, order):
    loss, log_weight = sample
    order = [k for k in order if k < len(loss)]
    assert_same_tail(tail_of(loss[order], log_weight[order]), tail_of(loss, log_weight))


@pytest.mark.slow
@given(rows, st.lists(st.floats(-4.0, 4.0), min_size=2, max_size=6))
def test_probability_falls_with_the_threshold(sample, thresholds):
    loss, log_weight = sample
    events = [Event(t) for t in sorted(thresholds)]
    tail = TailMoments.of_block(log_weight, masks(events, loss))
    found = [tail.log_probability(k) for k in range(len(events))]
    assert all(a >= b or a == pytest.approx(b, abs=1e-9) for a, b in itertools.pairwise(found))
    assert (np.diff(tail.hits) <= 0).all()


@pytest.mark.slow
@given(rows, st.integers(2, 5))
def test_repeated_rows_change_no_probability(sample, times):
    once = tail_of(*sample)
    often = tail_of(*(np.tile(a, times) for a in sample))
    for k in range(len(once.hits)):
        assert often.log_probability(k) == pytest.approx(once.log_probability(k), abs=1e-9)
        assert often.ess(k) == pytest.approx(times * once.ess(k), rel=1e-9)


# --- weights -----------------------------------------------------------------------------------------


@pytest.mark.slow
@given(
    st.floats(1e-3, 1.0, exclude_max=True),
    hnp.arrays(float, 3, elements=st.floats(-8.0, 8.0)),
    st.floats(0.1, 3.0),
    hnp.arrays(float, (20, 3), elements=st.floats(-12.0, 12.0)),
)
def test_no_weight_of_a_defensive_mixture_exceeds_one_over_its_share(share, mean, std, u):
    target = StandardNormal(dim=3)
    law = Mixture.defensive(Normal(mean=mean, std=std), target, share)
    log_weight = logpdf(target, u) - logpdf(law, u)
    assert (log_weight <= -math.log(share) + 1e-12).all()


@pytest.mark.slow
@given(
    st.floats(0.01, 0.99),
    st.floats(-5.0, 5.0),
    hnp.arrays(float, (10, 1), elements=st.floats(-30.0, 30.0)),
)
def test_density_of_a_mixture_lies_between_its_components_and_knows_no_order(share, mean, u):
    parts = Normal(mean=[mean], std=0.7), Normal(mean=[0.0], std=2.0)
    one = logpdf(Mixture(weights=[share, 1 - share], components=parts), u)
    other = logpdf(Mixture(weights=[1 - share, share], components=parts[::-1]), u)
    np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)
    each = np.stack([logpdf(part, u) for part in parts])
    slack = 1e-9 * (1 + np.abs(each).max(axis=0))
    assert (each.min(axis=0) - slack <= one).all()
    assert (one <= each.max(axis=0) + slack).all()


@pytest.mark.slow
@given(weights, st.floats(-1e5, 1e5))
def test_effective_number_is_between_one_and_all_whatever_the_scale(log_weight, shift):
    ess = effective_of_logs(log_weight)
    assert 1 - 1e-9 <= ess <= log_weight.size * (1 + 1e-9)
    assert effective_of_logs(log_weight + shift) == pytest.approx(ess, rel=1e-6)
    assert effective(np.exp(log_weight)) == pytest.approx(ess, rel=1e-9)


@pytest.mark.slow
@given(
    hnp.arrays(float, st.integers(30, 200), elements=st.floats(-20.0, 20.0), unique=True),
    st.floats(-1e5, 1e5),
    st.randoms(use_true_random=False),
)
def test_tail_shape_depends_neither_on_the_scale_nor_on_the_order(log_weight, shift, random):
    found = khat(log_weight, log_weight.size)
    shuffled = log_weight.copy()
    random.shuffle(shuffled)
    assert khat(shuffled, log_weight.size) == found
    rounded = (log_weight + shift) - shift  # what the shift leaves of the digits
    again, moved = khat(rounded, log_weight.size), khat(log_weight + shift, log_weight.size)
    assert (again is None) == (moved is None)
    if moved is not None:
        assert moved == pytest.approx(again, abs=1e-6)


@given(st.floats(1.0, 100.0), st.floats(1.0, 2.0), st.integers(1, 10**7), st.integers(1, 10))
def test_weights_pass_for_bounded_the_more_so_the_nearer_they_are_and_the_more_there_are(ratio, factor, n, times):
    if bounded(ratio * factor, n):
        assert bounded(ratio, n)
        assert bounded(ratio * factor, n * times)


# --- intervals ---------------------------------------------------------------------------------------

counts = st.integers(1, 10**6).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def within(inner, outer, slack=1e-12):
    return outer[0] <= inner[0] * (1 + slack) and inner[1] <= outer[1] * (1 + slack)


@given(counts, confidences, confidences)
def test_exact_intervals_are_nested_in_confidence_around_the_share(count, a, b):
    low, high = sorted((a, b))
    inner, outer = clopper_pearson(*count, low), clopper_pearson(*count, high)
    assert within(inner, outer)
    assert 0.0 <= inner[0] <= count[0] / count[1] <= inner[1] <= 1.0


@given(counts, confidences)
def test_exact_intervals_rise_with_the_hits_and_mirror_with_the_misses(count, confidence):
    hits, n = count
    low, high = clopper_pearson(hits, n, confidence)
    if hits < n:
        more = clopper_pearson(hits + 1, n, confidence)
        assert low < more[0]
        assert high < more[1] or more[1] == 1.0
    mirrored = clopper_pearson(n - hits, n, confidence)
    assert mirrored == pytest.approx((1 - high, 1 - low), rel=1e-7, abs=1e-12)


@given(st.integers(1, 10**9), confidences, confidences)
def test_the_bound_without_a_hit_falls_with_the_draws_and_rises_with_confidence(n, a, b):
    low, high = sorted((a, b))
    assert zero_hits_bound(n, low) <= zero_hits_bound(n, high)
    assert zero_hits_bound(n + 1, low) <= zero_hits_bound(n, low)
    assert zero_hits_bound(n, low) <= clopper_pearson(0, n, low)[1] * (1 + 1e-9)


@given(st.floats(1e-300, 1.0), st.floats(1e-4, 2.0), confidences, confidences, st.integers(1, 1000))
def test_intervals_on_the_log_scale_are_nested_and_wider_with_few_replicates(value, error, a, b, dof):
    low, high = sorted((a, b))
    inner, outer, of_few = (log_scale(value, error, *rest) for rest in ((low,), (high,), (low, dof)))
    assert within(inner, outer)
    assert within(inner, of_few, 1e-9)
    assert within(log_scale(value, error, low, dof + 1), of_few, 1e-9)
    assert inner[0] * inner[1] == pytest.approx(value**2, rel=1e-9, abs=1e-320)


@given(st.floats(1e-12, 1.0), st.floats(0.0, 1.0), st.floats(1.0, 3.0), st.floats(1.0, 2.0))
def test_a_widened_interval_holds_the_narrow_one(value, error, factor, more):
    interval = log_scale(value, error, 0.95)
    interval = (interval[0], min(1.0, interval[1]))
    assert widened(interval, value, 1.0) == pytest.approx(interval, rel=1e-12)
    assert within(interval, widened(interval, value, factor), 1e-9)
    assert within(widened(interval, value, factor), widened(interval, value, factor * more), 1e-9)


@given(hnp.arrays(float, st.integers(1, 50), elements=st.floats(1e-3, 1.0)), confidences, confidences)
def test_the_upper_end_of_few_weights_is_above_them_and_rises_with_confidence(w, a, b):
    low, high = sorted((a, b))
    total, squares = w.sum(), np.square(w).sum()
    assert total <= weighted_upper(total, squares, low) <= weighted_upper(total, squares, high) * (1 + 1e-12)


# --- verdict -----------------------------------------------------------------------------------------

ORDER = list(Status)
SEARCHES = [TUNED, STATED, TUNED | {"reached": 2}, TUNED | {"facts": {"unseen_regions": 0.2}}, REPLICATES]

SEEN = {
    "hits": st.integers(1, 300),
    "ess": st.floats(0.0, 200.0),
    "max_share": st.floats(0.0, 0.2),
    "khat": st.floats(-0.5, 1.5),
    "max_to_mean": st.floats(1.0, 40.0),
    "weights": st.integers(1, 10**6),
}
diagnostics = st.fixed_dictionaries({}, optional=SEEN).map(lambda some: GOOD | {"rows": 1000} | some)
"""Good ones, of which some may be anything: with all of them free hardly any number would be trusted."""

errors = st.just(0.05) | st.floats(1e-3, 0.5)
WORSE = {
    "hits": lambda value, by: max(1, round(value * (1 - by))),
    "ess": lambda value, by: value * (1 - by),
    "max_share": lambda value, by: value + by,
    "khat": lambda value, by: value + by,
    "max_to_mean": lambda value, by: value * (1 + by),
}


@pytest.mark.slow
@given(
    diagnostics,
    st.floats(1e-3, 0.5),
    st.sampled_from(SEARCHES),
    st.sampled_from([*WORSE, "error"]),
    st.floats(0.0, 1.0),
)
def test_a_worse_diagnostic_never_gives_a_better_verdict(seen, error, search, name, by):
    before = judge(seen, error, search)
    if name == "error":
        after = judge(seen, error * (1 + by), search)
    else:
        after = judge(seen | {name: WORSE[name](seen[name], by)}, error, search)
    assert ORDER.index(after.status) >= ORDER.index(before.status)


@given(diagnostics, errors, st.sampled_from(SEARCHES))
def test_a_verdict_is_the_worst_of_its_checks_and_advises_unless_trusted(seen, error, search):
    verdict = judge(seen, error, search)
    assert verdict.status is worst([check.status for check in verdict.checks])
    assert bool(verdict.advice) == (verdict.status is not Status.TRUSTED)
    interrupted = judge(seen, error, search | {"interrupted": True})
    assert interrupted.status is worst([verdict.status, Status.CAUTION])


@given(st.lists(st.sampled_from(ORDER), min_size=1, max_size=6), st.sampled_from(ORDER))
def test_the_worst_of_statuses_knows_no_order_and_only_gets_worse(statuses, another):
    found = worst(statuses)
    assert found in statuses
    assert worst(statuses[::-1]) is found
    assert worst([*statuses, another]) is max(found, another, key=ORDER.index)


# --- draws, maps and losses --------------------------------------------------------------------------

LAWS = [law for cls in (Lognormal, StudentT, Gamma, Weibull, Poisson) for law in cls.examples()]


@pytest.mark.slow
@given(st.sampled_from(LAWS), hnp.arrays(float, 12, elements=st.floats(-30.0, 30.0)))
def test_maps_from_the_normal_law_keep_the_order(law, u):
    x = np.empty(12)
    law.from_normal(np.sort(u), x)
    assert (np.diff(x) >= -1e-11 * (1.0 + np.abs(x[1:]))).all()  # maps are tables, exact to some 1e-12


@pytest.mark.slow
@given(
    hnp.arrays(float, 4, elements=st.floats(-5.0, 5.0)).filter(lambda w: np.abs(w).max() > 0.1),
    hnp.arrays(float, (8, 4), elements=st.floats(-50.0, 50.0)),
    st.floats(0.1, 10.0),
)
def test_a_linear_loss_scales_with_its_weights_and_adds_up(w, x, factor):
    inputs = StandardNormal(dim=4)

    def loss_of(weights, rows):
        out = np.empty(len(rows))
        Linear(weights=weights).bind(inputs)(np.asfortranarray(rows), out)
        return out

    scaled = loss_of(factor * w, x)
    np.testing.assert_allclose(scaled, factor * loss_of(w, x), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(loss_of(w, x) + loss_of(w, x[::-1]), loss_of(w, x + x[::-1]), rtol=1e-9, atol=1e-9)


@one_in(4)
@given(st.integers(0, 2**64 - 1), st.integers(0, 1000), st.integers(0, 1000), st.integers(1, 50))
def test_a_block_can_be_drawn_again_whatever_was_drawn_between(seed, stage, index, n):
    sampler = Sampler(problem(), StandardNormal(dim=3), seed)
    first = sampler.draw(Block(stage, index, 0, n)).copy()
    sampler.draw(Block(stage, index + 1, 0, 7))
    np.testing.assert_array_equal(sampler.draw(Block(stage, index, 0, n)), first)


@cache
def problem():
    inputs = StandardNormal(dim=3)
    return Problem(inputs, Linear(weights=[1.0, 1.0, 1.0]).bind(inputs), "standard")


def job(seed):
    return WeightedDraws(Sampler(problem(), Normal(mean=1.0, std=1.2, dim=3), seed), (Event(4.0), Event(0.0, "below")))


def assert_same_bits(a, b):
    for name in ("n", "hits", "peak", "sum_w", "sum_w2", "sum_w_log"):
        np.testing.assert_array_equal(getattr(a.tail, name), getattr(b.tail, name))
    np.testing.assert_array_equal(a.kept.loss, b.kept.loss)
    for x, y in zip(a.top.log_weights, b.top.log_weights, strict=True):
        np.testing.assert_array_equal(np.sort(x), np.sort(y))


@one_in(4)
@given(st.integers(0, 2**32), st.integers(1, 12_000), st.data())
def test_a_stage_that_is_resumed_has_the_bits_of_one_that_was_not(seed, n, data):
    """After any chunk, with what was summed so far stored as a checkpoint and read again."""
    stage = plan(0, n, 3)
    done = data.draw(st.integers(0, stage.n_chunks - 1))
    seen = []
    whole = fold(Executor(), job(seed), stage, seen=seen.append)
    before = None
    if done:
        stored = State({"seed": seed}, progress=Progress(stage, done, seen[done - 1], 1, n))
        before = State.of_bytes(stored.to_bytes()).progress.total
    assert_same_bits(fold(Executor(), job(seed), stage, before, skip=done), whole)


@one_in(8)
@given(st.integers(0, 2**32), st.integers(1, 12_000), st.integers(2, 4))
def test_threads_do_not_change_a_bit(seed, n, workers):
    with Executor.of("threads", workers) as executor:
        assert_same_bits(fold(executor, job(seed), plan(0, n, 3)), fold(Executor(), job(seed), plan(0, n, 3)))


@one_in(4)
@given(st.integers(0, 2**32), st.integers(1, 6000), st.integers(1, 6000))
def test_a_growing_stage_begins_like_a_longer_one(seed, n, more):
    """Its first whole chunks have the same rows, hence the same sums."""
    short, long = [], []
    fold(Executor(), job(seed), Growing(0, n, 3), seen=short.append)
    fold(Executor(), job(seed), Growing(0, n + more, 3), seen=long.append)
    for a, b in zip(short[:-1], long, strict=False):
        assert_same_bits(a, b)


@pytest.mark.slow
@given(st.lists(st.integers(-(10**6), 10**6), max_size=40), st.integers(1, 5))
def test_an_executor_gives_results_in_the_order_of_the_items(items, workers):
    with Executor.of("threads", workers) as executor:
        assert list(executor.map(abs, items)) == [abs(item) for item in items]


# --- files -------------------------------------------------------------------------------------------


@pytest.mark.slow
@given(rows, st.binary(max_size=40), st.integers(0, 10**6), st.lists(st.floats(-1e9, 1e9), max_size=20))
def test_a_checkpoint_holds_what_was_put_into_it(sample, content, generation, values):
    total = summary_of(0, *sample, (Event(0.0),))
    state = State(
        {"seed": 1, "nested": {"values": values}},
        generation,
        Journal(),
        Progress(plan(0, 100, 3), 2, total, 1, 100),
        {"result.json": content},
    )
    again = State.of_bytes(state.to_bytes())
    assert (again.generation, dict(again.identity)) == (generation, {"seed": 1, "nested": {"values": values}})
    assert again.files["result.json"] == content
    assert again.progress.plan == state.progress.plan
    assert_same_bits(again.progress.total, total)


@one_in(4)
@given(st.integers(0, 10**4), st.binary(min_size=1, max_size=8), st.integers(0, 10**6))
def test_a_damaged_checkpoint_is_never_read(cut, noise, place):
    content = State({"seed": 1}, progress=Progress(plan(0, 100, 3), 0, None, 1, 100)).to_bytes()
    place %= len(content)
    changed = content[:place] + noise + content[place + len(noise) :]
    for wrong in (content[: cut % len(content)], changed):
        if wrong != content:
            with pytest.raises((ValueError, KeyError)):
                State.of_bytes(wrong)


@cache
def finished():
    """A small run whose numbers are then replaced."""
    return solve(linear_normal(2, 2.0), 5, relative_error=0.2)


positive = st.floats(1e-300, 1.0)


@pytest.mark.slow
@one_in(2)
@given(positive, st.floats(1e-6, 1.0), positive, positive, st.floats(-1e6, 1e6))
def test_a_report_reads_what_a_run_wrote(tmp_path_factory, value, error, a, b, threshold):
    result = finished()
    estimate = dataclasses.replace(
        result.estimates[0],
        value=value,
        log_value=math.log(value),
        std_error=value * error,
        relative_error=error,
        interval=(min(a, b), max(a, b)),
        threshold=threshold,
    )
    written = dataclasses.replace(result, estimates=(estimate,))
    folder = tmp_path_factory.getbasetemp() / "round-trip"
    folder.mkdir(exist_ok=True)
    for name, content in written.files("finished").items():
        (folder / name).write_bytes(content)
    (found,) = read(folder).estimates
    for name in ("value", "log_value", "std_error", "relative_error", "threshold", "label", "confidence"):
        assert getattr(found, name) == getattr(estimate, name)
    assert (found.lower, found.upper) == estimate.interval
    assert found.verdict.status == str(judge(estimate.diagnostics, error, result.search).status)
    assert json.loads((folder / "result.json").read_text()) == written.to_dict()
