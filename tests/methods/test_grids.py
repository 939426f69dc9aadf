"""What a trial of a grid tells the verdict."""

import dataclasses
import math

import numpy as np
import pytest

from raresim.accumulators.summary import Summary
from raresim.methods.grids import HALVINGS, SETTLED, Trial, settle

NOTHING = Summary.of_rows(40, [np.empty(0)], 100)


@pytest.mark.parametrize(
    ("change", "facts"),
    [
        (0.3, {"grid_step": 0.5, "grid_change": 0.3}),
        (0.0, {"grid_step": 0.5, "grid_change": 0.0}),
        (math.nan, {"grid_step": 0.5}),
    ],
    ids=["changed", "settled", "not tried"],
)
def test_change_of_the_grid_is_stored_where_it_is_known(change, facts):
    assert Trial(0.5, NOTHING, 100, change).facts == facts


class Session:
    """Counts the grids that are tried; the rows that they meet double with each."""

    def __init__(self):
        self.steps = []

    def plan(self, n, fixed_rows):
        return n

    def fold(self, name, rows, n, note):
        self.steps.append(rows.step)
        return Summary.of_rows(n, [np.zeros(2 ** len(self.steps))], 10)


@dataclasses.dataclass(frozen=True)
class Rows:
    step: float
    block_rows: int = 1


def test_a_grid_that_does_not_settle_says_by_how_much_the_last_halving_changed_it():
    session = Session()
    trial = settle(session, Rows, 1.6, 100, "trial", 10**6)
    assert session.steps == [1.6 / 2**k for k in range(HALVINGS + 2)]
    assert trial.step == 1.6 / 2**HALVINGS
    assert trial.facts["grid_change"] == pytest.approx(0.5)


def test_a_grid_that_the_budget_cannot_halve_has_no_change():
    trial = settle(Session(), Rows, 1.6, 100, "trial", 20)
    assert trial.facts == {"grid_step": 1.6}


@dataclasses.dataclass
class Gaps(Session):
    """A coarse grid sees one line with all of the mass, finer ones two with half of it each."""

    def __init__(self):
        self.steps = []

    def fold(self, name, rows, n, note):
        self.steps.append(rows.step)
        weights = [0.1] if rows.step > 1.0 else [0.05, 0.05]
        return Summary.of_rows(n, [np.log(weights)], 10)


def test_a_change_that_cancels_in_the_estimate_is_seen():
    """What a gap adds on one line and a part that is not seen takes away on another: the estimate is the same."""
    session = Gaps()
    trial = settle(session, Rows, 1.6, 40, "trial", 10**6)
    assert trial.step == 0.8
    assert session.steps == [1.6, 0.8, 0.4]
    assert trial.change <= SETTLED


@pytest.mark.parametrize(("n", "expected"), [(40, 3), (5, 1), (1600, 64)])
def test_workers_share_the_rows_of_a_trial(n, expected):
    """A sixteenth of them in a block, and no more than in a block of the estimate."""
    session, asked = Session(), []
    session.plan = lambda n, fixed_rows: asked.append(fixed_rows) or n
    settle(session, lambda step: Rows(step, block_rows=64), 1.0, n, "trial", 20)
    assert asked == [expected]
