"""Nats, bits and other units: one factor, for values, errors and bounds alike."""

import math

import numpy as np
import pytest

from raresim.information import BITS_PER_NAT, Quantity, entropy, self_information
from tests.information.calls import CALLS, numbers


@pytest.mark.parametrize("base", [2.0, 10.0, 256.0, 1.5])
@pytest.mark.parametrize("name", CALLS)
def test_unit_divides_by_the_logarithm_of_the_base(name, base):
    nats, units = (numbers(CALLS[name](base=b)) for b in (math.e, base))
    np.testing.assert_allclose(units, nats / math.log(base), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", CALLS)
def test_nats_are_the_default(name):
    np.testing.assert_array_equal(numbers(CALLS[name]()), numbers(CALLS[name](base=math.e)))


@pytest.mark.parametrize("base", [1.0, 0.0, -2.0, 0.5, math.nan, math.inf])
@pytest.mark.parametrize("name", CALLS)
def test_base_must_be_above_one(name, base):
    """Below one a surprise would be a negative amount, and the lower bound of a mixture's entropy the upper one."""
    with pytest.raises(ValueError, match=rf"^base: must be above 1 \(e for nats, 2 for bits\), got {base:g}$"):
        CALLS[name](base=base)


def test_bits_and_digits_by_name():
    assert self_information(2.0**-10, base=2) == pytest.approx(10, rel=1e-15)
    assert self_information(1e-6, base=10) == pytest.approx(6, rel=1e-15)
    assert entropy(np.full(256, 1 / 256), base=256) == pytest.approx(1, rel=1e-15)
    assert math.isclose(BITS_PER_NAT, 1.4426950408889634, rel_tol=1e-15)


def test_quantity_says_how_it_was_found():
    found = {name: CALLS[name]() for name in CALLS}
    how = {answer.how for answer in found.values() if isinstance(answer, Quantity)}
    assert how == {"quadrature", "Monte Carlo"}
    for answer in found.values():
        if isinstance(answer, Quantity):
            assert answer.std_error > 0
