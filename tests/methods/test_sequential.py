"""Sequential importance sampling: masses of the smooth indicators, the pooled weights, and how a run may end."""

import math

import numpy as np
import pytest
from scipy import stats
from scipy.special import ndtr

from raresim.methods.sequential import SequentialImportance, next_width, pooled_weights, soft
from raresim.numerics.streams import stream
from tests.helpers import runs_of
from tests.problems import (
    floored,
    total,
    two_sided_loss,
)
from tests.statistical import assert_mean_is, assert_spread_is

QUICK = SequentialImportance(samples=300, steps=5, target_cv=1.0)


def runs(*arguments, method=QUICK, **options):
    return runs_of(method, *arguments, **options)


# --- one run -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("evaluate", "goal", "d", "exact"),
    [
        (total, 3.0, 3, stats.norm.sf(3)),
        (total, 5.0, 50, stats.norm.sf(5)),
        (two_sided_loss, 4.0, 2, 2 * stats.norm.sf(4)),
        (floored, 6.0, 2, stats.norm.sf(6 / math.sqrt(2))),
    ],
    ids=["linear", "linear-d50", "two-sided", "ties"],
)
@pytest.mark.statistical(effect=2, false_fail=1e-7, false_pass=1e-3)
@pytest.mark.slow_cases("linear-d50")
def test_mean_of_runs_is_exact(evaluate, goal, d, exact, seed):
    """20 runs, 5 errors of some 8 %."""
    assert_mean_is(np.exp([run.log_probabilities[0] for run in runs(evaluate, goal, seed(461), 20, d)]), exact)


@pytest.mark.slow
@pytest.mark.statistical(effect=1.5, false_fail=1e-7, false_pass=1e-3)
def test_elliptical_slices_give_the_same_answer(seed):
    method = SequentialImportance(samples=100, steps=3, target_cv=0.7, moves="elliptical_slice")
    values = [run.log_probabilities[0] for run in runs(total, 3.0, seed(462), 20, method=method)]
    assert_mean_is(np.exp(values), stats.norm.sf(3))


@pytest.mark.slow
@pytest.mark.statistical(effect=2, false_fail=3e-7, false_pass=1e-3)
def test_every_threshold_is_read_from_all_levels(seed):
    """The last level alone would give P(loss >= 1) as if nothing lay between 1 and 5."""
    thresholds = [1.0, 5.0, 3.0]
    values = np.exp([run.log_probabilities for run in runs(total, thresholds, seed(463), 60)])
    for column, t in zip(values.T, thresholds, strict=True):
        assert_mean_is(column, stats.norm.sf(t))


@pytest.mark.statistical(effect=1.2, false_fail=3e-7, false_pass=1e-3)
def test_masses_of_the_smooth_indicators_are_exact(seed):
    """The first three of 20 runs against a sum over a grid: the mean of mass over exact mass, within 5 errors of 1."""
    x = np.linspace(-10, 12, 4_001)
    density = stats.norm.pdf(x) * (x[1] - x[0])
    done = runs(total, 4.0, seed(464), 20)
    for level in range(3):
        steps = [run.steps[level] for run in done]
        exact = [density @ ndtr((x - 4.0) / (4.0 - step.level)) for step in steps]
        assert_mean_is(np.exp([step.log_probability for step in steps]) / exact, 1.0)


def test_levels_approach_the_threshold(seed):
    (run,) = runs(total, 4.0, seed(465), 1)
    levels = [step.level for step in run.steps]
    assert levels == sorted(levels)
    assert levels[-1] == 4.0
    assert run.reached
    assert run.evaluations == sum(step.evaluations for step in run.steps) == 300 + (len(levels) - 1) * 300 * 5
    assert run.loss.size == len(levels) * 300
    assert run.log_weight.max() <= math.log(len(levels)) + 1e-12


# --- runs through known levels -------------------------------------------------------------------------


def pilot_and_after(method, evaluate, goal, d, seed):
    """A pilot, and the population that it leaves."""
    run = method.pilot(10**9).run(evaluate, d, np.array([goal]), stream(seed, 1, 0), 10**9)
    return run, run.after


def squares(u):
    return np.square(u).sum(axis=1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("evaluate", "goal", "d", "exact"),
    [
        (total, 4.0, 30, stats.norm.sf(4)),
        (squares, 20.0, 3, stats.chi2.sf(20, 3)),
        (floored, 6.0, 2, stats.norm.sf(6 / math.sqrt(2))),
        (two_sided_loss, 4.0, 2, 2 * stats.norm.sf(4)),
    ],
    ids=["linear-d30", "around", "ties", "two-sided"],
)
@pytest.mark.statistical(effect=0.2, false_fail=1e-7, false_pass=1e-3)
def test_runs_of_few_draws_are_unbiased(evaluate, goal, d, exact, seed):
    """800 runs of 100 draws, 5 errors of 2 %; those that read their levels from 100 draws are 5 to 34 % too low."""
    method = SequentialImportance(samples=100, steps=3)
    values = []
    for number in range(8):
        _, after = pilot_and_after(method, evaluate, goal, d, seed(480) + number)
        done = runs_of(after, evaluate, goal, seed(481) + number, 100, d)
        values += [run.log_probabilities[0] for run in done]
    assert_mean_is(np.exp(values), exact)


@pytest.mark.slow
@pytest.mark.statistical(effect=0.5, false_fail=3e-7, false_pass=1e-3)
def test_every_threshold_of_known_levels_is_unbiased(seed):
    thresholds = [1.0, 4.0, 3.0]
    method = SequentialImportance(samples=100, steps=3)
    _, after = pilot_and_after(method, total, 4.0, 3, seed(482))
    values = np.exp([run.log_probabilities for run in runs_of(after, total, thresholds, seed(483), 200, 3)])
    for column, t in zip(values.T, thresholds, strict=True):
        assert_mean_is(column, stats.norm.sf(t))


def test_levels_of_the_pilot_are_those_of_all_runs(seed):
    method = SequentialImportance(samples=100, steps=3)
    pilot, after = pilot_and_after(method, total, 4.0, 3, seed(484))
    assert (pilot.steps[0].draws, after.samples) == (300, 100)
    for run in runs_of(after, total, 4.0, seed(485), 5, 3):
        assert [step.level for step in run.steps] == [step.level for step in pilot.steps]
        assert run.evaluations == 100 + (len(pilot.steps) - 1) * 100 * 3
        assert run.reached
        assert run.after is None
    (short,) = [after.run(total, 3, np.array([4.0]), stream(seed(486), 0, 0), 500)]
    assert short.outcome == "budget of 500 evaluations spent after 2 levels"


def test_a_pilot_is_only_as_large_as_the_budget_pays_for():
    method = SequentialImportance(samples=400)
    assert method.pilot(10**6).samples == 1200
    assert method.pilot(method.cost(1, 1)).samples == 600
    assert method.pilot(100).samples == 400


@pytest.mark.slow
@pytest.mark.statistical(effect=1.0, false_fail=1e-7, false_pass=1e-3)
def test_ancestors_tell_the_spread_of_runs(seed):
    """Root of the mean variance that 80 runs tell of themselves, and that of the pilot, against their spread."""
    method = SequentialImportance(samples=300)
    pilot, after = pilot_and_after(method, total, 4.0, 3, seed(487))
    done = runs_of(after, total, 4.0, seed(488), 80, 3)
    told = math.sqrt(np.mean([run.variance for run in done]))
    assert_spread_is(np.exp([run.log_probabilities[0] for run in done]) / stats.norm.sf(4.0), told)
    assert math.sqrt(3.0 * pilot.variance) == pytest.approx(told, rel=0.5)


# --- weights -----------------------------------------------------------------------------------------


def test_pooled_weights_are_the_target_over_the_mixture():
    """At exact masses the mixture integrates to one and gives the target back."""
    widths = [math.inf, 2.0, 0.5]
    x = np.linspace(-10, 12, 40_001)
    density = [stats.norm.pdf(x) * (1 if w == math.inf else stats.norm.cdf((x - 3) / w)) for w in widths]
    masses = [float(np.trapezoid(f, x)) for f in density]
    mixture = np.mean([f / m for f, m in zip(density, masses, strict=True)], axis=0)
    weight = np.exp(pooled_weights(x, 3.0, widths, [0.0, *np.log(masses[1:])]))
    np.testing.assert_allclose(weight * mixture, stats.norm.pdf(x), rtol=1e-9, atol=1e-300)


@pytest.mark.parametrize("target", [0.5, 1.5])
def test_width_gives_the_wanted_variation(target, seed):
    margin = np.random.default_rng(seed(466)).standard_normal(2_000) - 3.0
    width = next_width(margin, np.zeros(2_000), math.inf, target)
    weight = np.exp(soft(0.0, width)(margin))
    assert weight.std() / weight.mean() == pytest.approx(target, rel=0.01)
    narrower = next_width(margin, soft(0.0, width)(margin), width, target)
    assert narrower < width


def test_width_of_tied_losses_stays_of_the_order_of_their_distance():
    """Six tenths of the draws lie one below: no width varies by 1.5, and one of 1e-4 would ruin later levels."""
    margin = np.where(np.arange(1000) < 600, -1.0, -2.0)
    assert 0.1 < next_width(margin, np.zeros(1000), math.inf, 1.5) < 3.0


@pytest.mark.parametrize("margin", [np.full(50, -1.0), np.full(50, -np.inf), np.full(50, -0.0)])
def test_no_width_where_nothing_varies(margin):
    assert math.isnan(next_width(margin, np.zeros(50), math.inf, 1.5))


# --- whole runs --------------------------------------------------------------------------------------
