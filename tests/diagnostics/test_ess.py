"""The effective number of Kish where squares, or the weights themselves, leave the range of doubles."""

import math

import numpy as np
import pytest

from raresim.diagnostics.ess import effective, effective_of_logs

WEIGHTS = np.array([1.0, 2.0, 3.0, 0.0])


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_is_the_square_of_the_sum_over_the_sum_of_squares(scale):
    assert effective(scale * WEIGHTS) == pytest.approx(36 / 14, rel=1e-12)


@pytest.mark.parametrize("shift", [-1e4, 0.0, 1e4])
def test_of_logarithms_is_that_of_the_weights(shift):
    assert effective_of_logs(np.log(WEIGHTS[:3]) + shift) == pytest.approx(36 / 14, rel=1e-12)


@pytest.mark.parametrize("weight", [np.empty(0), np.zeros(3)])
def test_weights_of_nothing_are_worth_nothing(weight):
    assert effective(weight) == 0.0
    assert effective_of_logs(np.full(weight.size, -math.inf)) == 0.0
