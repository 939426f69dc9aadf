"""Normals from SFC64 are those of NumPy's own generator."""

import numpy as np
import pytest

from raresim.numerics.normals import fill_normal, fill_standard_normal


@pytest.mark.parametrize("seed", range(3))
def test_numbers_are_those_of_numpy(seed):
    ours, theirs = (np.random.Generator(np.random.SFC64(seed)) for _ in range(2))
    x = np.empty((100_000, 3), order="F")
    fill_standard_normal(ours, x)
    np.testing.assert_allclose(x, theirs.standard_normal((3, 100_000)).T, rtol=0, atol=1e-13)


def test_the_generator_stands_where_numpy_would_leave_it():
    ours, theirs = (np.random.Generator(np.random.SFC64(7)) for _ in range(2))
    fill_standard_normal(ours, np.empty((50_001, 2), order="F"))
    theirs.standard_normal(100_002)
    assert ours.bit_generator.random_raw() == theirs.bit_generator.random_raw()


def test_other_generators_give_their_own_numbers():
    ours, theirs = (np.random.Generator(np.random.PCG64DXSM(7)) for _ in range(2))
    x = np.empty((1000, 2), order="F")
    fill_normal(ours, np.array([1.0, 2.0]), np.array([0.0, 3.0]), x)
    np.testing.assert_array_equal(x, theirs.standard_normal((2, 1000)).T * [1.0, 2.0] + [0.0, 3.0])
