"""Events and problems."""

import pytest

from raresim import Linear, StudentT
from raresim.engine.problem import Problem
from raresim.record.event import Event


@pytest.mark.parametrize(
    ("event", "sign", "label"),
    [
        (Event(5.0), 1.0, "P(loss >= 5)"),
        (Event(-0.25, "above"), 1.0, "P(loss >= -0.25)"),
        (Event(-2.5, "below"), -1.0, "P(loss <= -2.5)"),
        (Event(123456.789, "below"), -1.0, "P(loss <= 123457)"),
    ],
)
def test_event_has_a_side_and_a_label(event, sign, label):
    assert (event.sign, event.label) == (sign, label)


@pytest.mark.parametrize(("space", "dim", "kind"), [("standard", 3, "standard_normal"), ("physical", 2, "student_t")])
def test_draws_live_in_the_space_of_the_problem(space, dim, kind):
    inputs = StudentT(dof=4.0, dim=2)
    problem = Problem(inputs, Linear(weights="equal").bind(inputs), space)
    assert (problem.dim, problem.target.dim, problem.target.kind) == (dim, dim, kind)
