"""The rows of every estimator, against the same block made again from its stream with the densities of SciPy."""

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy import stats

from raresim import Mixture, Normal, StandardNormal
from raresim.accumulators.bets import Bets
from raresim.accumulators.ends import Ends
from raresim.accumulators.tail import TailMoments
from raresim.engine.fold import Sampler
from raresim.engine.problem import Problem
from raresim.errors import FieldError, LossError
from raresim.estimators.antithetic import AntitheticDraws, sample_pairs
from raresim.estimators.base import KEPT_ROWS
from raresim.estimators.control_variates import ControlledBatches
from raresim.estimators.guarantee import Goal
from raresim.estimators.replicates import REACHED, Population, Replicates, Run, Step, run_once
from raresim.estimators.weighted_draws import CLOCK, WeightedDraws
from raresim.losses.failures import NOTHING, collecting, note
from raresim.numerics.blocks import Block
from raresim.numerics.streams import stream
from raresim.record.event import Event
from raresim.search.goals import rarest
from tests.helpers import block as empty

SEED = 77
LAW = Mixture(weights=[0.7, 0.3], components=(Normal(mean=[2.0, 0.0], std=0.8), StandardNormal(dim=2)))
EVENTS = (Event(1.5), Event(-0.5, "below"), Event(9.0))


def holed(x, out):
    """The first coordinate; no number where the second is above 1.5."""
    out[:] = x[:, 0]
    out[x[:, 1] > 1.5] = np.nan


class Holed:
    """A loss that is `holed` or another function, and is never looked at for noise."""

    def __init__(self, function=holed):
        self.function = function

    def __call__(self, x, out):
        self.function(x, out)

    def of_normals(self, *_):
        return False

    def refuse_noise(self, *_):
        return


PROBLEM = Problem(StandardNormal(dim=2), Holed())


def sampler(law=LAW):
    return Sampler(PROBLEM, law, SEED)


def log_weight(u):
    p = stats.norm.logpdf(u).sum(axis=1)
    q = 0.7 * np.exp(stats.norm.logpdf(u, [2.0, 0.0], 0.8).sum(axis=1)) + 0.3 * np.exp(p)
    return p - np.log(q)


def drawn(block, rows=None):
    u = empty(rows or block.rows, 2)
    LAW.sample(stream(SEED, block.stage, block.index), u)
    return u


def in_events(u):
    """Rows in each event, and rows that may be in it: a row without a number is in no event, and may be in any."""
    failed = u[:, 1] > 1.5
    hit = [~failed & (u[:, 0] >= 1.5), ~failed & (u[:, 0] <= -0.5), ~failed & (u[:, 0] >= 9.0)]
    return hit, [rows | failed for rows in hit]


def assert_tail(tail, n, log_weights):
    expected = TailMoments.of_hits(n, log_weights)
    assert (tail.n, tail.hits.tolist()) == (expected.n, expected.hits.tolist())
    for name in ("peak", "sum_w", "sum_w2", "sum_w_log"):
        np.testing.assert_allclose(getattr(tail, name), getattr(expected, name), rtol=1e-9, atol=1e-12)


# --- draws -------------------------------------------------------------------------------------------


def test_a_draw_is_a_row():
    block = Block(2, 3, 0, 500)
    got, u = WeightedDraws(sampler(), EVENTS)(block), drawn(block)
    logs, (hit, could) = log_weight(u), in_events(u)
    assert_tail(got.tail, 500, [logs[rows] for rows in hit])
    assert_tail(got.upper, 500, [logs[rows] for rows in could])
    assert min(got.tail.hits[:2]) > 20
    assert got.upper.hits[2] > got.tail.hits[2] == 0
    for k, rows in enumerate(hit):
        np.testing.assert_allclose(got.top.largest(k), np.sort(logs[rows])[::-1])
    known = u[:, 1] <= 1.5
    np.testing.assert_array_equal(got.kept.loss, u[known, 0])
    np.testing.assert_allclose(got.kept.log_weight, logs[known], atol=1e-12)
    assert (got.evaluations, got.arrivals, got.bets, got.drawn) == (500, None, None, None)


def test_rows_that_all_have_a_loss_have_one_end():
    one = Sampler(Problem(StandardNormal(dim=2), Holed(lambda x, out: np.copyto(out, x[:, 0]))), LAW, SEED)
    block = Block(2, 3, 0, 100)
    assert WeightedDraws(one, EVENTS)(block).upper is None
    assert AntitheticDraws(one, EVENTS)(block).upper is None
    assert ControlledBatches(one, EVENTS, 64)(Block(2, 3, 0, 1)).upper is None


def test_draws_of_the_target_keep_no_tail():
    got = WeightedDraws(sampler(None), EVENTS)(Block(2, 3, 0, 500))
    assert got.tail.hits[1] > 0 == got.top.largest(1).size
    assert got.tail.log_probability(1) == pytest.approx(math.log(got.tail.hits[1] / 500))


@pytest.mark.parametrize("first", [KEPT_ROWS - 40, KEPT_ROWS])
def test_the_figures_have_the_first_rows_of_a_stage(first):
    """Of the block in which they end a part, spread over it; less the rows that failed."""
    block = Block(2, 3, first, 100)
    part = np.arange(KEPT_ROWS - first) * 100 // 40
    u = drawn(block)[part]
    got = WeightedDraws(sampler(), EVENTS)(block)
    assert got.kept.loss.tolist() == u[u[:, 1] <= 1.5, 0].tolist()
    pairs = AntitheticDraws(sampler(), EVENTS)(Block(2, 3, first // 2, 50))
    sample_pairs(LAW, stream(SEED, 2, 3), u := empty(100, 2))
    u = u[part]
    assert pairs.kept.loss.tolist() == u[u[:, 1] <= 1.5, 0].tolist()


def test_the_figures_have_the_draws_of_the_first_batches():
    """Batch 390 of 128 begins 80 rows before the last that is kept."""
    found = [ControlledBatches(sampler(), EVENTS[:1], 128)(Block(2, k, k, 1)).kept.loss.size for k in (389, 390, 391)]
    assert found[0] > 100
    assert 60 < found[1] <= 80
    assert found[2] == 0


def test_hits_that_end_a_stage_and_bets_are_kept_where_they_are_asked_for():
    block = Block(2, 3, 0, 500)
    goals = (Goal(5, 0.5, 0.9), Goal(10**6, 0.5, 0.9), Goal(1, 0.5, 0.9))
    job = WeightedDraws(sampler(), EVENTS, goals, 0.25)
    got, u = job(block), drawn(block)
    hit, logs = in_events(u)[0], log_weight(u)
    rows = np.flatnonzero(hit[0]) + 1
    assert got.arrivals.rows[0].tolist() == rows[:5].tolist()
    assert got.arrivals.n == 500
    assert got.bets.interval(0, 0.9) == pytest.approx(Bets.of_hits(500, [logs[hit[0]]], 0.25).interval(0, 0.9))
    first, second, third = job.waits(got, 2)
    assert first.time == stream(SEED, 2, CLOCK).standard_gamma(rows[4])
    assert (second.time, third.time) == (None, None)
    assert (first.goal, second.goal) == goals[:2]
    ended = WeightedDraws(sampler(), EVENTS[:2], (goals[2], goals[0]))
    waits = ended.waits(ended(block), 4)
    last = np.flatnonzero(hit[1])[4] + 1
    assert waits[1].time == stream(SEED, 4, CLOCK + 1).standard_gamma(last)
    assert WeightedDraws(sampler(), EVENTS).waits(got, 2) == ()
    assert job.waits(WeightedDraws(sampler(), EVENTS)(block), 2) == ()


# --- pairs and batches -------------------------------------------------------------------------------


def pair_means(logs, rows):
    """Log of the mean weight of each pair with a member in the event."""
    w = np.where(rows, np.exp(logs), 0.0).reshape(2, -1).mean(axis=0)
    return np.log(w[w > 0])


def test_a_pair_is_a_row():
    block = Block(2, 3, 0, 300)
    got, u = AntitheticDraws(sampler(), EVENTS)(block), empty(600, 2)
    sample_pairs(LAW, stream(SEED, 2, 3), u)
    logs, (hit, could) = log_weight(u), in_events(u)
    assert_tail(got.tail, 300, [pair_means(logs, rows) for rows in hit])
    assert_tail(got.upper, 300, [pair_means(logs, rows) for rows in could])
    np.testing.assert_allclose(got.top.largest(0), np.sort(pair_means(logs, hit[0]))[::-1])
    np.testing.assert_array_equal(got.kept.loss, u[u[:, 1] <= 1.5, 0])
    assert got.evaluations == 600
    assert (AntitheticDraws(sampler(), EVENTS).cost, AntitheticDraws(sampler(), EVENTS).per_row) == (2.0, 2)


def controlled(y, controls):
    """Mean of both halves, each corrected for its controls by the least squares coefficients of the other half."""
    slopes = [
        np.linalg.lstsq(c - c.mean(axis=0), v - v.mean(), rcond=1e-9)[0] for c, v in zip(controls, y, strict=True)
    ]
    return np.mean([v.mean() - c.mean(axis=0) @ b for v, c, b in zip(y, controls, slopes[::-1], strict=True)])


@pytest.mark.parametrize("paired", [False, True])
def test_a_batch_is_a_row(paired):
    draws, block = 256, Block(2, 3, 0, 1)
    got = ControlledBatches(sampler(), EVENTS, draws, paired)(block)
    rng, halves = stream(SEED, 2, 3), []
    for _ in range(2):
        u = empty(draws // 2, 2)
        if paired:
            sample_pairs(LAW, rng, u)
        else:
            LAW.sample(rng, u)
        halves.append(u)
    u = np.concatenate(halves)
    logs, (hit, could) = log_weight(u), in_events(u)
    share = 0.3 * np.exp(logs) - 0.3  # the second component is the target: its responsibility is 0.3 w
    controls = np.column_stack([-share, share]).reshape(2, draws // 2, 2)
    if paired:
        controls = controls.reshape(2, 2, draws // 4, 2).mean(axis=1)

    def row(rows):
        y = np.where(rows, np.exp(logs), 0.0).reshape(2, draws // 2)
        mean = controlled(y.reshape(2, 2, draws // 4).mean(axis=1) if paired else y, controls)
        return np.log([mean]) if mean > 0 else np.empty(0)

    assert_tail(got.tail, 1, [row(rows) for rows in hit])
    assert_tail(got.upper, 1, [row(rows) for rows in could])
    assert_tail(got.drawn, draws, [logs[rows] for rows in hit])
    np.testing.assert_allclose(got.top.largest(0), np.sort(logs[hit[0]])[::-1])
    np.testing.assert_array_equal(got.kept.loss, u[u[:, 1] <= 1.5, 0])
    assert got.evaluations == draws
    job = ControlledBatches(sampler(), EVENTS, draws, paired)
    assert (job.cost, job.per_row, job.unit, job.block_rows) == (256.0, 256, "replicate", 1)


@pytest.mark.parametrize("job", [WeightedDraws, AntitheticDraws, ControlledBatches])
def test_draws_that_are_asked_about_have_their_own_weight_for_every_event(job):
    one = job(sampler(), EVENTS, 64) if job is ControlledBatches else job(sampler(), EVENTS)
    u = drawn(Block(0, 0, 0, 7))
    logs, evaluations = one.through(u, Block(0, 0, 0, 7))
    np.testing.assert_allclose(logs, [log_weight(u)] * 3, atol=1e-12)
    assert (evaluations, one.cost_through, one.nominal, one.gapless) == (0, 0.0, 0, "")
    assert WeightedDraws(sampler(None), EVENTS).gapless == "every draw came from the target itself"
    assert (WeightedDraws(sampler(), EVENTS).per_row, WeightedDraws(sampler(), EVENTS).cost) == (1, 1.0)


# --- replicates --------------------------------------------------------------------------------------

STEP = Step(1.0, 0.2, math.log(0.2), 100, 90, 50.0, 0.5)


@dataclass
class Fixed(Population):
    """Gives the stated result after an evaluation that fails the stated number of times."""

    log_probabilities: tuple[float, ...]
    n: int = 20_000
    fails: int = 0
    samples: int = 50

    def run(self, evaluate, dim, thresholds, rng, max_evaluations):
        self.seen = dim, thresholds.tolist(), rng.random(), max_evaluations
        u = np.asfortranarray([[3.0, 0.0], [4.0, 2.0]])
        self.losses = evaluate(u).tolist()
        if self.fails:
            note(replace(NOTHING, counts=np.array([self.fails, 0, 0, 0])))
        loss = np.linspace(0.0, 1.0, self.n)
        loss[self.n // 2] = -np.inf
        ends = Ends.of_run(u, np.array([2.0, 9.5]), thresholds)
        return Run(np.array(self.log_probabilities), (STEP,), loss, -loss, 123, REACHED, ends)


def replicates(population, events=EVENTS[::2]):
    return Replicates(sampler(None), events, population, 300.0, 10_000)


def test_a_run_is_a_row():
    population = Fixed((-3.0, -math.inf))
    job = replicates(population)
    got = job(Block(2, 3, 3, 1))
    assert_tail(got.tail, 1, [np.array([-3.0]), np.empty(0)])
    assert (got.upper, got.evaluations) == (None, 123)
    assert population.seen == (2, [1.5, 9.0], stream(SEED, 2, 3).random(), 10_000)
    assert population.losses == [3.0, -math.inf]
    assert (job.nominal, job.cost, job.unit, job.block_rows) == (50, 300.0, "replicate", 1)
    assert job.gapless == ""
    assert [part.tolist() for part in got.ends.beyond(1.5)] == [[[3.0, 0.0], [4.0, 2.0]]]
    assert [part.tolist() for part in got.ends.beyond(9.0)] == [[[4.0, 2.0]]]


def test_a_run_whose_loss_failed_counts_as_one_that_was_in_every_event():
    with collecting() as met:
        got = replicates(Fixed((-3.0, -math.inf), fails=2))(Block(2, 3, 3, 1))
    assert met.failures.total == 2
    assert_tail(got.upper, 1, [np.zeros(1), np.zeros(1)])
    assert_tail(got.tail, 1, [np.array([-3.0]), np.empty(0)])


@pytest.mark.parametrize(("first", "n", "kept"), [(0, 20_000, 5000), (9, 20_000, 5000), (10, 20_000, 0), (0, 11, 10)])
def test_the_first_runs_give_the_figures_an_even_part_of_their_sample(first, n, kept):
    """A tenth each of what is kept; less the one draw that has no loss, where it is among them."""
    got = replicates(Fixed((-3.0, -4.0), n=n))(Block(2, first, first, 1)).kept
    rows = np.linspace(0, n - 1, min(5000, n)).astype(int) if first < 10 else np.empty(0, dtype=int)
    rows = rows[rows != n // 2]
    assert len(rows) in (kept, kept - 1)
    np.testing.assert_array_equal(got.loss, np.linspace(0.0, 1.0, n)[rows])
    np.testing.assert_array_equal(got.log_weight, -np.linspace(0.0, 1.0, n)[rows])


def test_a_run_downwards_has_its_losses_back_in_their_sign():
    below = (Event(-0.5, "below"), Event(-2.0, "below"))
    population = Fixed((-1.0, -2.0), n=3)
    got = replicates(population, below)(Block(2, 3, 3, 1))
    assert got.kept.loss.tolist() == [0.0, -1.0]
    assert population.seen[1] == [0.5, 2.0]
    assert population.losses == [-3.0, -math.inf]


def test_runs_climb_to_one_side():
    assert (rarest(EVENTS[::2]), rarest(EVENTS[1:2])) == (EVENTS[2], EVENTS[1])
    with pytest.raises(
        FieldError, match=r"^measures: must be on one side of the loss: put `above` and `below` into two exp"
    ):
        rarest(EVENTS)


@pytest.mark.parametrize(
    "job",
    [
        lambda one: WeightedDraws(one, EVENTS),
        lambda one: AntitheticDraws(one, EVENTS),
        lambda one: ControlledBatches(one, EVENTS, 64),
        lambda one: Replicates(one, EVENTS[::2], Fixed((-3.0, -4.0)), 300.0, 10_000),
    ],
    ids=["draws", "pairs", "batches", "replicates"],
)
def test_a_loss_that_fails_names_the_block(job):
    def fails(x, out):
        raise LossError("no convergence")

    with pytest.raises(LossError, match=r"^no convergence \[stage 2, block 3\]$"):
        job(Sampler(Problem(StandardNormal(dim=2), Holed(fails)), LAW, SEED))(Block(2, 3, 3, 1))


def test_a_run_that_ended_early_did_not_reach():
    run = run_once(sampler(None), EVENTS[::2], Fixed((-3.0, -4.0)), Block(2, 3, 3, 1), 10_000)
    assert run.reached
    assert not Run(run.log_probabilities, run.steps, run.loss, run.log_weight, 1, "stalled", run.ends).reached
