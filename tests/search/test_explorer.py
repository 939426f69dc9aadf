"""One evaluator for all searches: workers share its points, the journal keeps them, and its seed is the run's."""

import threading

import numpy as np
import pytest

from raresim import DesignPointSampling, Experiment, Normal, Probability, PythonLoss, Scenarios, StandardNormal, Stop
from raresim.distributions.historical import Historical
from raresim.engine.executors import Executor
from raresim.engine.journal import Journal, keeping
from raresim.engine.problem import Problem
from raresim.run.checkpoint import Checkpoint, State
from raresim.search.explorer import LEAST_POINTS, Explorer
from tests.helpers import session_of

TWO = StandardNormal(dim=2)
POINTS = np.arange(4.0 * LEAST_POINTS).reshape(-1, 2)


def total(x):
    return x.sum(axis=1)


def problem(function, inputs=TWO, space="standard"):
    return Problem(inputs, PythonLoss(function=function).bind(inputs), space)


class Together:
    """A loss that ends only when a second call is under way: with one worker it would wait in vain."""

    def __init__(self):
        self.barrier, self.met = threading.Barrier(2), 0

    def __call__(self, x):
        if not self.met:
            self.barrier.wait(timeout=20)
            self.met += 1
        return x.sum(axis=1)


def test_workers_share_the_points_of_a_call():
    with Executor.of("threads", 2) as executor:
        loss = Explorer(session_of(problem(Together()), executor), -1.0)(POINTS)
    np.testing.assert_array_equal(loss, -POINTS.sum(axis=1))


def test_workers_share_the_pilot_of_a_search_for_design_points(seed):
    loss = Together()
    case = Experiment(
        inputs=TWO,
        loss=PythonLoss(function=loss),
        measures=[Probability(above=4.0)],
        method=DesignPointSampling(pilot=2 * LEAST_POINTS + 100),
        stop=Stop(relative_error=None, max_evaluations=5000),
        seed=seed(1001),
        audit="off",
    )
    with Executor.of("threads", 2) as executor:
        case.run(executor)
    assert loss.met


def test_risk_factors_are_evaluated_as_they_are():
    inputs = Normal(mean=[10.0, 20.0], std=2.0)
    explorer = Explorer(session_of(problem(total, inputs)), 1.0)
    np.testing.assert_array_equal(explorer.at_factors(POINTS), POINTS.sum(axis=1))
    np.testing.assert_array_equal(explorer(POINTS), (10.0 + 2.0 * POINTS[:, 0]) + (20.0 + 2.0 * POINTS[:, 1]))
    assert explorer.evaluations == 2 * len(POINTS)


def test_points_of_normals_beside_draws_of_factors():
    """Of a run in physical space, and of inputs without a density: nothing asks for the target's density."""
    inputs = Historical(values=[[0.0, 1.0], [1.0, 2.0], [2.0, 0.0]])
    found = Explorer(session_of(problem(total, inputs, "physical")), 1.0, "standard")(np.array([[-3.0], [3.0]]))
    assert found.tolist() == [1.0, 3.0]


def test_a_journal_answers_what_was_evaluated_before():
    calls = []

    def counted(x):
        calls.append(len(x))
        return x.sum(axis=1)

    journal = Journal()
    for _ in range(2):
        with keeping(journal):
            loss = Explorer(session_of(problem(counted)), 1.0)(POINTS)
        np.testing.assert_array_equal(loss, POINTS.sum(axis=1))
        journal = Journal(journal.calls())
    assert sum(calls) == len(POINTS)


@pytest.mark.parametrize("seeds", [(3, 3), (3, 4)])
def test_draws_are_those_of_the_seed(seeds):
    drawn = [Explorer(session_of(problem(total), seed=s), 1.0).nominal(50, "pilot")[0] for s in seeds]
    assert np.array_equal(*drawn) == (seeds[0] == seeds[1])
    choices = [Explorer(session_of(problem(total), seed=s), 1.0).generator().random() for s in seeds]
    assert (choices[0] == choices[1]) == (seeds[0] == seeds[1])


def test_a_run_that_is_played_again_evaluates_no_scenario_anew(seed, tmp_path):
    """What the scenarios evaluate is a stage of the run, which its checkpoint keeps."""
    calls = []

    def counted(x):
        calls.append(len(x))
        return x.sum(axis=1)

    case = Experiment(
        inputs=TWO,
        loss=PythonLoss(function=counted),
        measures=[Scenarios(above=4.0)],
        stop=Stop(relative_error=0.2, max_evaluations=20_000),
        seed=seed(1002),
        audit="off",
    )
    kept = Checkpoint(tmp_path / "first", {})
    first = case.run(checkpoint=kept)
    begun = sum(calls)
    state = State({}, 1, Journal(kept.journal.calls()), kept.progress, {}, rounds=kept.rounds)
    again = case.run(checkpoint=Checkpoint(tmp_path / "second", {}, before=state))
    assert first.evaluations["exhibits"] > 0
    assert sum(calls) == begun
    assert [e.rows for e in again.exhibits] == [e.rows for e in first.exhibits]
