"""Multilevel splitting: the unbiased last-particle form, tiny probabilities, ties, and how a run may end."""

import math

import numpy as np
import pytest
from scipy import stats

from raresim.methods.splitting import Splitting
from tests.helpers import runs_of
from tests.problems import (
    floored,
    total,
    two_sided_loss,
)
from tests.statistical import assert_mean_is


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
@pytest.mark.slow_cases("linear-d100")
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


def test_an_event_that_comes_nearer_for_ever_ends_at_the_lowest_probability(seed):
    """Losses that rise to 1 and never reach it, in a space where they can always rise: 1e-300 is given up."""
    method = Splitting(samples=40, killed=20, steps=1)
    (run,) = runs_of(method, lambda u: -np.exp(-0.01 * u[:, 0]), 0.0, seed(495), 1, d=1)
    assert run.outcome == "threshold not reached at probability 1e-300"
    assert run.log_probabilities[0] == -np.inf


def test_method_describes_its_options():
    assert Splitting(samples=100, killed=1, steps=7).describe()[0] == (
        "multilevel splitting: 100 particles, 1 killed a level, moved 7 steps from a survivor"
    )
