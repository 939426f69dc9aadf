"""Multilevel splitting: the unbiased last-particle form, tiny probabilities, ties, and how a run may end."""

import math

import numpy as np
import pytest
from scipy import stats

from raresim import Probability, PythonLoss, StandardNormal
from raresim.config import load as configs
from raresim.engine.executors import Executor
from raresim.errors import FieldError
from raresim.methods.splitting import Splitting
from raresim.record.verdict import Status
from tests.helpers import assert_intervals_of_replicates_cover, runs_of
from tests.problems import (
    Case,
    below,
    capped,
    constant,
    floored,
    linear_normal,
    several,
    solve,
    total,
    two_sided,
    two_sided_loss,
)
from tests.statistical import assert_log_within_error, assert_mean_is


def indicator(u):
    return (u.sum(axis=1) > 2.0).astype(float)


# --- one run -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("evaluate", "goal", "d", "exact"),
    [
        (total, 3.0, 3, stats.norm.sf(3)),
        (total, 4.0, 100, stats.norm.sf(4)),
        (two_sided_loss, 4.0, 2, 2 * stats.norm.sf(4)),
        (floored, 5.0, 2, stats.norm.sf(5 / math.sqrt(2))),
        (indicator, 1.0, 2, stats.norm.sf(math.sqrt(2))),
    ],
    ids=["linear", "linear-d100", "two-sided", "ties", "two-values"],
)
@pytest.mark.statistical(effect=1.5, false_fail=1e-7, false_pass=1e-3)
def test_mean_of_runs_is_exact(evaluate, goal, d, exact, seed):
    """30 runs of 200 particles, 5 errors of 4 to 9 %."""
    done = runs_of(Splitting(samples=200, killed=50), evaluate, goal, seed(481), 30, d)
    assert_mean_is(np.exp([run.log_probabilities[0] for run in done]), exact)


@pytest.mark.slow
@pytest.mark.statistical(effect=0.4, false_fail=2e-7, false_pass=1e-3)
def test_last_particle_is_unbiased_with_a_poisson_number_of_killed(seed):
    """20 particles to P = 0.159: ``J`` are killed, Poisson with mean ``-N log p = 36.8`` for perfect moves.

    The mean of 100 runs of ``(1 - 1/N)^J`` to 5 errors of 3 %, that of ``J`` to 5 of its own; the relative variance,
    ``p^(-1/N) - 1 = 0.096`` for perfect moves, within what the fourth moment of 100 runs and imperfect moves leave.
    """
    p = stats.norm.sf(1.0)
    done = runs_of(Splitting(samples=20, killed=1, steps=8), total, 1.0, seed(482), 100, d=1)
    killed = np.array([sum(round(20 * (1 - step.share)) for step in run.steps) for run in done])
    values = np.exp([run.log_probabilities[0] for run in done])
    np.testing.assert_allclose(values, 0.95**killed, rtol=0.01)  # two particles in one place die together
    assert_mean_is(values, p)
    assert_mean_is(killed, -20 * math.log(p))
    assert 0.04 < values.var(ddof=1) / p**2 < 0.2


@pytest.mark.slow
@pytest.mark.parametrize("beta", [7.1, 11.46])
@pytest.mark.statistical(effect=3, false_fail=1e-7, false_pass=1e-3)
def test_probabilities_of_1e_12_and_1e_30_are_reached(beta, seed):
    """Mean of 16 runs, each with an error of some 40 %."""
    done = runs_of(Splitting(samples=500, killed=150, steps=4), total, beta, seed(483), 16, d=10)
    exact = stats.norm.logsf(beta)
    assert exact < math.log(1e-12)
    assert_mean_is(np.exp([run.log_probabilities[0] - exact for run in done]), 1.0)


@pytest.mark.statistical(effect=1, false_fail=4e-7, false_pass=1e-3)
def test_every_threshold_is_read_from_the_same_run(seed):
    thresholds = [1.0, 4.0, -1.0, 2.5]
    done = runs_of(Splitting(samples=200, killed=50), total, thresholds, seed(484), 30)
    for column, t in zip(np.exp([run.log_probabilities for run in done]).T, thresholds, strict=True):
        assert_mean_is(column, stats.norm.sf(t))


def test_particles_are_a_weighted_sample_of_the_target(seed):
    """The dead with the mass of their level, the last with what is left: they count the events as the run does."""
    (run,) = runs_of(Splitting(samples=200, killed=20), total, [3.0, 4.0], seed(485), 1)
    weight = np.exp(run.log_weight)
    assert weight.mean() == pytest.approx(1.0)
    for t, log_probability in zip([3.0, 4.0], run.log_probabilities, strict=True):
        assert np.mean(weight * (run.loss >= t)) == pytest.approx(math.exp(log_probability))
    assert run.evaluations == sum(step.evaluations for step in run.steps)
    assert run.loss.size == 200 + sum(round(200 * (1 - step.share)) for step in run.steps[:-1])


# --- whole runs --------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", [linear_normal(3, 5.0), two_sided(3, 4.0), below(4.0)], ids=lambda case: case.name)
@pytest.mark.statistical(effect=4, false_fail=1e-7, false_pass=1e-3)
def test_answer_is_exact_within_its_error(case, seed):
    result = solve(case, seed(491), method=Splitting(), relative_error=0.1)
    (estimate,) = result.estimates
    assert_log_within_error(estimate.value, case.exact[0], estimate.relative_error, estimate.diagnostics["rows"] - 1)
    assert result.evaluations["tune"] == sum(row.evaluations for row in result.iterations)
    assert result.search["unit"] == "replicate"
    assert estimate.diagnostics["rows"] >= 10


@pytest.mark.slow
@pytest.mark.statistical(effect=1.2, false_fail=2e-7, false_pass=1e-3)
def test_intervals_cover(seed):
    """From ten runs of 100 particles each to 4e-3."""
    done = runs_of(Splitting(samples=100, killed=20), total, 2.65, seed(484), 800, d=1)
    values = np.exp([run.log_probabilities[0] for run in done]).reshape(80, 10)
    assert_intervals_of_replicates_cover(values, stats.norm.sf(2.65), 0.95)


@pytest.mark.statistical(effect=4, false_fail=3e-7, false_pass=1e-3)
def test_several_events_are_exact_within_their_errors(seed):
    case = several(2.0, 4.0, 3.0)
    result = solve(case, seed(492), method=Splitting(samples=200, killed=50), relative_error=0.2)
    for estimate, exact in zip(result.estimates, case.exact, strict=True):
        assert_log_within_error(estimate.value, exact, estimate.relative_error, estimate.diagnostics["rows"] - 1)


def test_workers_change_no_digit(seed):
    options = {"method": Splitting(samples=100, killed=30), "relative_error": 0.3}
    one = solve(linear_normal(2, 3.0), seed(493), **options)
    with Executor.of("threads", 2) as executor:
        two = solve(linear_normal(2, 3.0), seed(493), executor, **options)
    assert one.estimates[0].value == two.estimates[0].value
    np.testing.assert_array_equal(one.arrays.log_weight, two.arrays.log_weight)


@pytest.mark.parametrize(
    ("function", "levels"),
    [(capped, None), (constant, 1)],
)
def test_impossible_event_gives_a_bound_and_a_name(function, levels, seed):
    case = Case("c", StandardNormal(dim=2), PythonLoss(function=function), Probability(above=3.0), ())
    result = solve(case, seed(494), method=Splitting(samples=100, killed=30), max_evaluations=20_000)
    assert result.verdict.status is Status.BOUND_ONLY
    assert "no particle has a larger loss than the others" in result.search["outcome"]
    assert levels is None or len(result.iterations) == levels
    assert result.evaluations["total"] <= 20_000


def test_an_event_that_comes_nearer_for_ever_ends_at_the_lowest_probability(seed):
    """Losses that rise to 1 and never reach it, in a space where they can always rise: 1e-300 is given up."""
    method = Splitting(samples=40, killed=20, steps=1)
    (run,) = runs_of(method, lambda u: -np.exp(-0.01 * u[:, 0]), 0.0, seed(495), 1, d=1)
    assert run.outcome == "threshold not reached at probability 1e-300"
    assert run.log_probabilities[0] == -np.inf


def test_a_pilot_takes_at_most_half_of_the_budget(seed):
    result = solve(linear_normal(3, 6.0), seed(496), method=Splitting(), max_evaluations=10_000)
    assert result.search["outcome"].startswith("the pilot run ended early: budget of 5,000 evaluations spent after ")
    assert result.evaluations["tune"] <= 5_000
    assert result.evaluations["total"] <= 10_000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"samples": 10}, "samples: must be at least 20, got 10"),
        ({"killed": 0}, "killed: must be at least 1, got 0"),
        ({"samples": 100, "killed": 51}, "killed: must be at most half of the 100 samples, got 51"),
        ({"steps": 0}, "steps: must be at least 1, got 0"),
        ({"moves": "pcn"}, "moves: unknown value 'pcn' (allowed: adaptive, elliptical_slice)"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(FieldError) as caught:
        Splitting(**options)
    assert str(caught.value) == message


@pytest.mark.parametrize("change", [{"samples": 80}, {"killed": 10}, {"steps": 4}, {"moves": "elliptical_slice"}])
def test_every_option_changes_the_result(change, seed):
    options = {"samples": 60, "killed": 20, "steps": 2}
    plain, other = (runs_of(Splitting(**(options | given)), total, 2.0, seed(497), 1)[0] for given in ({}, change))
    assert plain.evaluations != other.evaluations or plain.log_probabilities[0] != other.log_probabilities[0]


@pytest.mark.statistical(effect=3, false_fail=1e-7, false_pass=1e-3)
def test_method_runs_from_yaml(tmp_path, seed):
    text = f"""
seed: {seed(498)}
inputs: {{kind: standard_normal, dim: 3}}
loss: {{kind: linear, weights: [1, 1, 1]}}
measures: [{{kind: probability, above: 4 sigma}}]
method: {{kind: splitting, samples: 200, killed: 60, steps: 3, moves: adaptive}}
stop: {{relative_error: 0.2, max_evaluations: 1e6}}
"""
    (tmp_path / "one.yaml").write_text(text)
    experiment = configs.load(tmp_path / "one.yaml").experiment()
    assert experiment.method == Splitting(samples=200, killed=60, steps=3)
    (estimate,) = experiment.run().estimates
    assert_log_within_error(estimate.value, stats.norm.sf(4), estimate.relative_error, estimate.diagnostics["rows"] - 1)


def test_method_describes_its_options():
    assert Splitting(samples=100, killed=1, steps=7).describe()[0] == (
        "multilevel splitting: 100 particles, 1 killed a level, moved 7 steps from a survivor"
    )
