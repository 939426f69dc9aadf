"""Surrogates of several limit states: how likely they fail together, and which of them decides."""

import itertools

import numpy as np
import pytest
from scipy import special

from raresim.surrogate.components import first_component, first_system, refitted
from raresim.surrogate.rivals import First
from raresim.surrogate.system import SystemBelief, together

RNG = np.random.default_rng(5)
SCORES = RNG.normal(size=(6, 4)) * 2.0


@pytest.mark.parametrize("least", [1, 2, 3, 4])
def test_the_probability_of_at_least_so_many_is_the_sum_over_all_outcomes(least):
    p = special.ndtr(SCORES)
    whole = np.zeros(len(p))
    for outcome in itertools.product([False, True], repeat=4):
        if sum(outcome) >= least:
            whole += np.prod(np.where(outcome, p, 1.0 - p), axis=1)
    np.testing.assert_allclose(together(SCORES, least), whole, rtol=1e-12)


@pytest.mark.parametrize(("least", "far"), [(1, -30.0), (2, -20.0)])
def test_it_keeps_its_digits_far_out(least, far):
    exact = 2 * special.ndtr(far) if least == 1 else special.ndtr(far) ** 2
    assert together(np.array([[far, far]]), least)[0] == pytest.approx(exact, rel=1e-12)


def of_planes(approximation=None):
    x = RNG.normal(size=(24, 2)) * 2.0
    margins = np.column_stack([x[:, 0] - 3.0, 50.0 * (x[:, 1] - 3.0)])
    return first_system(x, margins, 1, (0.0,), approximation), x, margins


def test_the_limit_state_that_decides_gives_the_deviation():
    belief = SystemBelief.of(of_planes()[0], np.array([[4.0, 0.0], [0.0, 4.0]]))
    np.testing.assert_array_equal(belief.deciding(np.arange(2), 0.0), np.diag(belief.spread))


def test_an_evaluation_settles_the_point_where_it_was_made():
    system, _, _ = of_planes()
    points = np.array([[3.01, 0.0], [5.0, 5.0]])
    belief = SystemBelief.of(system, points)
    after = belief.after(0, belief.left(0, np.array([0.01, -150.0])))
    assert after.failing[0, 0] > 0.9
    assert (after.spread <= belief.spread).all()


def test_an_approximation_is_used_only_where_it_helps():
    x = RNG.normal(size=(30, 2)) * 2.0
    truth = np.exp(0.5 * x[:, 0]) + x[:, 1] ** 3
    near, far = truth + 0.01 * x[:, 0], RNG.normal(size=30)
    assert first_component(x, truth, near, 0).assisted
    assert not first_component(x, truth, far, 0).assisted


def test_an_approximation_is_not_used_with_a_bound_of_the_loss():
    """Beyond a bound, what it says would be taken for certain. A loss with a bound, which has one, is still offered."""
    margin = np.tanh(np.random.default_rng(2).normal(size=30))
    rivals = list(First(margin, 2.0 * margin).rivals())
    assert {rival.warp.shape for rival in rivals if not rival.assisted} >= {"log", "atanh"}
    assert {rival.warp.shape for rival in rivals if rival.assisted} == {"straight", "asinh", "root", "sinh"}


def test_the_surrogate_with_an_approximation_predicts_the_truth():
    def rough(u):
        return np.column_stack([u[:, 0] - 2.5 + 0.1 * u[:, 1] ** 2, 49.0 * (u[:, 1] - 3.0)])

    system, _, _ = of_planes(rough)
    assert all(component.assisted for component in system.components)
    points = np.array([[1.0, -1.0], [2.0, 2.5]])
    mean, spread = system.predict(points)
    for j, component in enumerate(system.components):
        truth = component.process.warp(np.column_stack([points[:, 0] - 3.0, 50.0 * (points[:, 1] - 3.0)])[:, j])
        assert (np.abs(mean[:, j] - truth) <= 6.0 * spread[:, j] + 1e-3).all()


@pytest.mark.parametrize("dim", [4, 16])
def test_axes_that_were_turned_are_followed_by_neighbours_of_their_warp(dim):
    """16 inputs share one length scale, and as many turned axes do not."""
    x = np.random.default_rng(1).normal(size=(40, dim)) * 2.0
    margin = np.sinh(x.sum(axis=1) / np.sqrt(dim)) - 3.0
    component = first_component(x, margin, None, 0)
    again = refitted(component, x, margin, None, [])
    assert any(rival.turn is not None for rival in component.rivals)
    assert again.process.warp.shape != "straight"
    assert any(rival.turn is not None for rival in again.rivals)
