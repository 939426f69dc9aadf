"""Another round of a method's search: what the audit of the first one found begins it, and nothing else is kept."""

import numpy as np
import pytest

from raresim import Mixture, Normal, PythonLoss, StandardNormal
from raresim.draws import drawn_as
from raresim.estimators.control_variates import ControlledBatches
from raresim.estimators.sobol import SobolReplicates
from raresim.executors import Executor
from raresim.methods.base import Session, Tuned
from raresim.problem import Event, Problem
from raresim.rounds import missed_by


def steep_and_flat(u):
    """Two alike regions; below the threshold the flat one hides the steep one."""
    return np.maximum(u[:, 0] - 4.89, 5.0 * (u[:, 1] - 4.89))


def session(seed, function=steep_and_flat, most=100_000):
    inputs = StandardNormal(dim=10)
    problem = Problem(inputs, PythonLoss(function=function).bind(inputs))
    return Session(problem, [Event(0.0)], seed, Executor(), most, lambda *_: None, 0.05)


@pytest.mark.parametrize(
    ("options", "kind"), [(("sobol", False), SobolReplicates), (("independent", True), ControlledBatches)]
)
def test_later_rounds_are_drawn_as_the_first(options, kind, seed):
    law = Mixture(weights=[0.5, 0.5], components=[Normal(mean=np.full(10, m), std=1.0) for m in (0.0, 1.0)])
    tuned = Tuned(law, again=lambda missed: Tuned(law, decisions=(f"{len(missed)} draws",)))
    later = drawn_as(tuned, session(seed(912)), *options).again(np.zeros((3, 10)))
    assert isinstance(later.estimator, kind)
    assert later.decisions == ("3 draws",)
    assert later.least == (1024 if kind is SobolReplicates else 5120)


class Audited:
    missed = np.zeros((1, 10))


@pytest.mark.parametrize(
    ("tuned", "rounds", "left", "goes_on"),
    [
        (Tuned(None, again=lambda _: Tuned(None)), 1, 2_000, True),
        (Tuned(None, again=lambda _: Tuned(None)), 1, 1_999, False),
        (Tuned(None, again=lambda _: Tuned(None)), 3, 2_000, False),
        (Tuned(None), 1, 2_000, False),
        (Tuned(None, again=lambda _: Tuned(None), least=1_000), 1, 5_000, True),
        (Tuned(None, again=lambda _: Tuned(None), least=1_000), 1, 4_999, False),
    ],
)
def test_another_round_needs_room_for_an_audit_and_an_estimate(tuned, rounds, left, goes_on):
    assert (missed_by(tuned, Audited(), rounds, left, 1_000) is not None) == goes_on
