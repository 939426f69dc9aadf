"""Losses that no surrogate should be trusted on: their answers against draws."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

STUDIES = Path(__file__).parents[2] / "experiments"
NAMES = ("exact_tails", "branches", "unfit")


def module():
    """The file of the study, without leaving names behind."""
    hidden = {name: sys.modules.pop(name) for name in NAMES if name in sys.modules}
    before = list(sys.path)
    sys.path[:0] = [str(STUDIES / "costly"), str(STUDIES / "trust")]
    try:
        return importlib.import_module("unfit")
    finally:
        sys.path[:] = before
        for name in NAMES:
            sys.modules.pop(name, None)
        sys.modules.update(hidden)


unfit = module()


@pytest.mark.parametrize("number", [0, 1, 3, 5, 4, 8, 9, 10, 11, 17])
def test_answers_are_those_of_draws(number):
    """Counts of events among draws have binomial laws; a count this far out has a probability of 1e-7."""
    problem = unfit.problem(number)
    n = 20_000 if problem.kind == "noisy" else 100_000
    u = np.random.default_rng(number).standard_normal((n, problem.dim))
    count = np.count_nonzero(problem.loss(u) >= 0.0)
    low, high = stats.binom.ppf([5e-8, 1.0 - 5e-8], n, problem.probability)
    assert low <= count <= high


def test_every_kind_has_its_share_and_a_number_is_one_problem():
    kinds = [unfit.problem(number).kind for number in range(8)]
    assert kinds == [*unfit.KINDS, *unfit.KINDS]
    one, again = unfit.problem(4), unfit.problem(4)
    u = np.random.default_rng(1).standard_normal((50, one.dim))
    np.testing.assert_array_equal(one.loss(u), again.loss(u))
    assert one.probability == again.probability
