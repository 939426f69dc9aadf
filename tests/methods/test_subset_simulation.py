"""Subset simulation: the pure climb, the replicates that its error is read from, and every way in which it may end."""

import dataclasses
import math
import pickle

import numpy as np
import pytest
from scipy import stats

from raresim import Probability, PythonLoss, StandardNormal
from raresim.accumulators.ends import Ends
from raresim.engine.fold import Sampler
from raresim.engine.problem import Problem
from raresim.errors import FieldError
from raresim.estimators.replicates import REACHED, Replicates, Run, Step
from raresim.methods.pilot import planned_variances
from raresim.methods.sequential import SequentialImportance
from raresim.methods.subset_simulation import SubsetSimulation, climb
from raresim.numerics.blocks import Block
from raresim.numerics.streams import stream
from raresim.record.event import Event
from raresim.record.verdict import Status
from tests.problems import (
    Case,
    capped,
    constant,
    floored,
    linear_normal,
    solve,
    total,
    two_sided_loss,
)
from tests.statistical import assert_mean_is, assert_spread_is

P5 = stats.norm.sf(5.0)


def indicator(u):
    return (u.sum(axis=1) > 3.0).astype(float)


def lowest(u):
    return np.full(len(u), -np.inf)


def bounded(u):
    """Below 1 for ever, and always a little higher."""
    return np.tanh(u[:, 0])


def case_of(function, threshold, exact=()):
    return Case(
        function.__name__, StandardNormal(dim=2), PythonLoss(function=function), Probability(above=threshold), exact
    )


def many(evaluate, goal, seed, runs, d=3, n=500, **options):
    """Estimates of independent climbs."""
    climbs = [climb(evaluate, d, n, 0.1, goal, stream(seed, 0, r), **options) for r in range(runs)]
    return np.exp([c.log_probability for c in climbs])


# --- one climb ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("evaluate", "goal", "d", "exact"),
    [
        (total, 3.0, 3, stats.norm.sf(3)),
        (total, 5.0, 100, P5),
        (two_sided_loss, 5.0, 2, 2 * P5),
        (floored, 7.0, 2, stats.norm.sf(7 / math.sqrt(2))),
        (indicator, 1.0, 2, stats.norm.sf(3 / math.sqrt(2))),
    ],
    ids=["linear", "linear-d100", "two-sided", "ties", "two-values"],
)
@pytest.mark.statistical(effect=4, false_fail=1e-7, false_pass=1e-3)
def test_mean_of_climbs_is_exact(evaluate, goal, d, exact, seed):
    """40 climbs of 500 draws, 5 errors of about 8 %."""
    values = many(evaluate, goal, seed(421), 40, d)
    assert_mean_is(values, exact)


@pytest.mark.slow
@pytest.mark.statistical(effect=4, false_fail=1e-7, false_pass=1e-3)
def test_elliptical_slices_give_the_same_answer(seed):
    values = many(total, 4.0, seed(422), 60, n=200, moves="elliptical_slice")
    assert_mean_is(values, stats.norm.sf(4))


def test_climb_keeps_its_levels_and_all_that_it_saw(seed):
    done = climb(total, 3, 400, 0.1, 4.0, stream(seed(423), 0, 0), keep_all=True)
    assert done.reached
    levels = [level.level for level in done.levels]
    assert levels == sorted(levels)
    assert levels[-1] == 4.0
    assert done.log_probability == pytest.approx(sum(math.log(level.share) for level in done.levels))
    for before, level in zip([-np.inf, *levels], done.levels, strict=False):
        assert level.loss.min() >= before
        assert level.share == np.mean(level.loss >= level.level)
    assert done.evaluations == sum(level.evaluations for level in done.levels) == done.seen[1].size
    assert done.seen[0].flags.f_contiguous
    np.testing.assert_allclose(done.seen[1], total(done.seen[0]), rtol=1e-12)
    assert (done.seen[1] < levels[0]).sum() > 400 * 0.9  # rejected proposals of later levels too
    assert [len(level.u) for level in done.levels] == [0] * (len(levels) - 1) + [400]
    u, loss = done.failing
    assert loss.size == round(done.levels[-1].share * 400)
    assert (total(u) >= 4.0).all()


@pytest.mark.statistical(effect=1.2, false_fail=5e-7, false_pass=1e-3)
def test_easier_thresholds_are_read_from_the_level_in_which_they_lie(seed):
    climbs = [climb(total, 2, 500, 0.1, 5.0, stream(seed(424), 0, r)) for r in range(120)]
    for t in (-1.0, 0.5, 2.5, 4.0, 5.0):
        values = np.exp([c.log_probability_of(t) for c in climbs])
        assert_mean_is(values, stats.norm.sf(t))
    assert climbs[0].log_probability_of(5.0) == climbs[0].log_probability
    assert climbs[0].log_probability_of(6.0) == -np.inf


def test_shells_are_a_weighted_sample_of_the_target(seed):
    """Their weights have the mean one, and count every threshold as the climb does."""
    done = climb(total, 2, 500, 0.1, 5.0, stream(seed(425), 0, 0))
    _, loss, log_weight = (np.concatenate(part) for part in zip(*done.shells(), strict=True))
    weight = np.exp(log_weight)
    assert weight.mean() == pytest.approx(1.0)
    for t in (0.5, 2.5, 5.0):
        assert np.mean(weight * (loss >= t)) == pytest.approx(math.exp(done.log_probability_of(t)))


@pytest.mark.parametrize(
    ("evaluate", "goal", "outcome"),
    [
        (capped, 3.0, "level stalled after 3 levels: no draw has a larger loss than the others"),
        (constant, 1.0, "level stalled after 1 levels: no draw has a larger loss than the others"),
        (lowest, 1.0, "level stalled after 1 levels: no draw has a larger loss than the others"),
        (bounded, 1.5, "threshold not reached in 12 levels"),
    ],
)
def test_a_climb_that_does_not_reach_says_why(evaluate, goal, outcome, seed):
    done = climb(evaluate, 2, 500, 0.1, goal, stream(seed(426), 0, 0), max_levels=12)
    assert done.outcome == outcome
    assert not done.reached
    assert done.log_probability == -np.inf
    assert done.failing[1].size == 0


def test_a_climb_keeps_to_its_budget(seed):
    done = climb(total, 3, 500, 0.1, 6.0, stream(seed(427), 0, 0), max_evaluations=2_000)
    assert done.outcome == "budget of 2,000 evaluations spent after 4 levels"
    assert done.evaluations <= 2_000


@pytest.mark.statistical(effect=0.5, false_fail=1e-7, false_pass=1e-3)
def test_infinite_losses_are_in_the_event(seed):
    """An infinite loss half of the time where the sum is above 3."""
    values = many(lambda u: np.where(u.sum(axis=1) > 3.0, np.inf, u.sum(axis=1)), 9.0, seed(428), 40, d=2)
    assert_mean_is(values, stats.norm.sf(3 / math.sqrt(2)))


# --- replicates --------------------------------------------------------------------------------------


def test_no_replicate_shares_a_stream_with_the_pilot(seed):
    result = solve(linear_normal(2, 3.0), seed(434), method=SubsetSimulation(), relative_error=0.2)
    stages = {entry["event"]: entry["stage"] for entry in result.log}
    assert stages["tune"] != stages["estimate"]
    assert result.evaluations["tune"] == sum(row.evaluations for row in result.iterations)
    assert result.search["unit"] == "replicate"
    assert (result.search["starts"], result.search["reached"]) == (1, 1)
    assert len(result.search["decisions"]) == 2
    assert result.trace.tables[0].rows[-1][0] == 3.0


def test_estimator_gives_the_same_row_in_another_process(seed):
    problem = Problem(StandardNormal(dim=2), linear_normal(2, 3.0).loss.bind(StandardNormal(dim=2)))
    method = SubsetSimulation(samples=100)
    job = Replicates(Sampler(problem, None, seed(436)), (Event(3.0), Event(2.0)), method, 300.0, 10_000)
    row, sent = (j(Block(stage=1, index=4, first=4, rows=1)) for j in (job, pickle.loads(pickle.dumps(job))))
    assert (row.tail.n, row.evaluations) == (1, sent.evaluations)
    np.testing.assert_array_equal(row.tail.peak, sent.tail.peak)
    assert row.tail.peak[0] < row.tail.peak[1] < 0  # one log weight of each event
    weight = np.exp(row.kept.log_weight)
    assert weight.mean() == pytest.approx(1.0)
    assert np.mean(weight * (row.kept.loss >= 2.0)) == pytest.approx(math.exp(row.tail.peak[1]))
    assert job(Block(stage=1, index=10, first=10, rows=1)).kept.loss.size == 0


# --- how a run may end -------------------------------------------------------------------------------


def test_a_budget_for_few_replicates_is_kept_and_not_trusted(seed):
    result = solve(linear_normal(3, 4.0), seed(442), method=SubsetSimulation(), max_evaluations=20_000)
    assert result.evaluations["total"] <= 20_000
    assert result.estimates[0].diagnostics["rows"] == 2
    assert result.verdict.status is Status.UNTRUSTED


# --- options -----------------------------------------------------------------------------------------


def test_two_tails_and_a_budget_below_the_first_level_are_refused_before_a_draw(seed):
    measures = [Probability(above=3.0), Probability(below=-3.0)]
    with pytest.raises(
        FieldError,
        match="measures: must be on one side of the loss for method subset_simulation: put `above` and",
    ):
        solve(linear_normal(2, 3.0), seed(445), method=SubsetSimulation(), measures=measures)
    with pytest.raises(FieldError, match="max_evaluations: must be at least 2,000: the first level takes 1,000 draws"):
        solve(linear_normal(2, 3.0), seed(446), method=SubsetSimulation(), max_evaluations=1_500)


def test_method_describes_its_options():
    lines = SubsetSimulation(samples=300, rarity=0.25, moves="elliptical_slice").describe()
    assert lines[0] == "subset simulation: 300 draws a level, rarity 0.25, chains with elliptical slices"


def test_levels_of_the_pilot_plan_the_replicates(seed):
    """The first level is of independent draws, the others vary four times as much; all events are read alike."""
    population = SubsetSimulation(samples=500)
    steps = tuple(Step(1.0, share, -1.0, 500, 500, 50.0, 0.5) for share in (0.1, 0.1, 0.4))
    nothing = np.empty(0)
    run = Run(np.array([-5.0]), steps, nothing, nothing, 1500, REACHED, Ends((), ()))
    expected = (9 + 4 * (9 + 1.5)) / 500
    assert planned_variances(population, run, 2) == pytest.approx((expected, expected))
    assert planned_variances(population, dataclasses.replace(run, outcome="stalled"), 2) is None
    assert planned_variances(SequentialImportance(), run, 2) is None
    assert population.variance(3.0) == pytest.approx(4 * 3 * 9 / 500)


@pytest.mark.slow
@pytest.mark.statistical(effect=0.4, false_fail=1e-7, false_pass=0.1)
def test_the_error_of_few_replicates_is_not_the_smaller_for_stopping(seed):
    """About fifteen runs reach the asked error: ended when their spread is small by chance, they would miss."""
    settings = {"method": SubsetSimulation(samples=100), "relative_error": 0.1, "max_evaluations": 10**6}
    case = linear_normal(3, 2.0)
    results = [solve(case, seed(470 + k), audit="off", **settings) for k in range(180)]
    z = [(r.estimates[0].log_value - math.log(case.exact[0])) / r.estimates[0].relative_error for r in results]
    assert_spread_is(np.array(z), 1.0)
    assert np.median([r.estimates[0].diagnostics["rows"] for r in results]) < 40
