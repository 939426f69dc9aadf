"""Checks of array arguments, and the buffers of a worker."""

import threading

import numpy as np
import pytest

from raresim.arguments import checks
from raresim.errors import FieldError
from raresim.numerics import arrays

REFUSED = {
    "text": (lambda: checks.vector("mean", "one"), "mean: must be numbers in equal rows, got 'one'"),
    "ragged": (lambda: checks.matrix("cov", [[1], [1, 2]]), "cov: must be numbers in equal rows"),
    "nan": (lambda: checks.vector("mean", [0, np.nan]), "mean: must be finite, got NaN or infinity"),
    "inf": (lambda: checks.vector("mean", np.inf), "mean: must be finite, got NaN or infinity"),
    "two axes": (lambda: checks.vector("mean", [[1.0]]), "mean: must be one number or a list of numbers, got 2 dim"),
    "count": (lambda: checks.vector("mean", [1, 2], 3), "mean: must have 3 entries, got 2"),
    "empty": (lambda: checks.vector("mean", []), "mean: must not be empty"),
    "zero std": (lambda: checks.positive_vector("std", [1, 0]), "std: must be positive, got 0"),
    "oblong": (lambda: checks.matrix("cov", [[1, 2]]), "cov: must be a square matrix, got shape (1, 2)"),
    "size": (lambda: checks.matrix("cov", np.eye(2), 3), "cov: must be 3 x 3, got 2 x 2"),
    "skew": (
        lambda: checks.matrix("cov", [[1, 0.5], [0.4, 1]]),
        "cov: must be symmetric, got 0.5 at [0][1] and 0.4 at [1][0]",
    ),
    "indefinite": (
        lambda: checks.cholesky("cov", np.array([[1.0, 2.0], [2.0, 1.0]])),
        "cov: must be positive definite, got a matrix with smallest eigenvalue -1",
    ),
    "negative": (lambda: checks.positive("dof", -1.0), "dof: must be positive and finite, got -1"),
    "infinite": (lambda: checks.positive("dof", np.inf), "dof: must be positive and finite, got inf"),
    "outside": (lambda: checks.between("confidence", 1.0, 0, 1), "confidence: must be above 0 and below 1, got 1"),
    "nan between": (lambda: checks.between("confidence", np.nan, 0, 1), "confidence: must be above 0 and below 1"),
}


@pytest.mark.parametrize(("build", "message"), REFUSED.values(), ids=REFUSED)
def test_refusal_names_the_argument_and_what_is_allowed(build, message):
    with pytest.raises(FieldError) as caught:
        build()
    assert str(caught.value).startswith(message)


def test_vector_repeats_a_number_and_copies_a_list():
    given = np.array([1.0, 2.0])
    kept = checks.vector("mean", given)
    given[0] = 9.0
    np.testing.assert_array_equal(kept, [1.0, 2.0])
    np.testing.assert_array_equal(checks.vector("mean", 3, 2), [3.0, 3.0])
    assert not kept.flags.writeable


def test_matrix_bears_rounding():
    nearly = np.array([[1.0, 0.1], [0.1 + 1e-14, 1.0]])
    np.testing.assert_array_equal(checks.matrix("cov", nearly), nearly)


def test_scratch_is_a_reused_buffer_in_fortran_order():
    big = arrays.scratch("test", 100, 3)
    big[:] = 7.0
    small = arrays.scratch("test", 10, 2)
    assert big.flags.f_contiguous
    assert small.shape == (10, 2)
    assert np.shares_memory(big, small)
    assert not np.shares_memory(big, arrays.scratch("another test", 10, 2))


def test_scratch_belongs_to_its_thread():
    mine, others = arrays.scratch("test", 10, 1), []
    thread = threading.Thread(target=lambda: others.append(arrays.scratch("test", 10, 1)))
    thread.start()
    thread.join()
    assert not np.shares_memory(mine, others[0])
