"""Exponentials are right to the last digit, and do not depend on the numbers beside them."""

import numpy as np
import pytest
from mpmath import mp, mpf

from raresim.numerics.exponentials import exponential


def of(x):
    out = np.empty(np.shape(x), order="F")
    exponential(np.asfortranarray(x, dtype=float), out)
    return out


@pytest.mark.parametrize("size", [1e-12, 1e-3, 1.0, 30.0, 708.0])
def test_the_error_is_below_one_unit_in_the_last_place(size):
    x = size * np.concatenate([np.random.default_rng(1).uniform(-1, 1, 1000), [-1.0, 0.0, 1.0]])
    with mp.workdps(40):
        error = max(float(abs(mpf(found) / mp.exp(mpf(at)) - 1)) for at, found in zip(x, of(x), strict=True))
    assert error <= 1.5e-16


def test_halfway_between_two_powers_of_two_it_is_as_exact():
    x = (np.arange(-1000, 1000) + 0.5) * np.log(2.0)
    np.testing.assert_allclose(of(x), np.exp(x), rtol=3e-16, atol=0)


def test_numbers_that_are_no_normal_floats_are_rounded_once():
    x = np.linspace(-746.0, -708.0, 400)
    np.testing.assert_allclose(of(x), np.exp(x), rtol=3e-16, atol=5e-324)


def test_ends_and_nan():
    x = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 709.78, 709.79, 1e300, -745.2, -1e300])
    largest = np.exp(709.78)
    wanted = [1.0, 1.0, np.inf, 0.0, np.nan, largest, np.inf, np.inf, 0.0, 0.0]
    np.testing.assert_allclose(of(x), wanted, rtol=3e-16, atol=0)


def test_a_number_has_the_same_digits_wherever_it_stands():
    x = np.random.default_rng(2).normal(scale=10.0, size=1003)
    whole = of(x)
    for first in (1, 2, 3, 5, 1000):
        np.testing.assert_array_equal(of(x[first:]), whole[first:])
    x[::7] = np.nan
    np.testing.assert_array_equal(of(x)[1:7], whole[1:7])


@pytest.mark.parametrize("order", ["F", "C"])
def test_in_place_and_by_columns(order):
    x = np.array(np.random.default_rng(3).normal(size=(50, 3)), order=order)
    wanted = of(x.ravel(order="F"))
    exponential(x, x)
    np.testing.assert_array_equal(x.ravel(order="F"), wanted)


def test_parts_of_larger_arrays_are_filled():
    x = np.random.default_rng(4).normal(size=(50, 4))
    out = np.zeros((50, 4))
    exponential(x[::2, 1:3], out[::2, 1:3])
    np.testing.assert_allclose(out[::2, 1:3], np.exp(x[::2, 1:3]), rtol=3e-16)
    assert not out[1::2].any()
    assert not out[:, [0, 3]].any()
