"""Negative log-likelihood of labels: from probabilities, from logits, one-hot or not."""

import math

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from raresim.information import classification_loss, cross_entropy, mean_classification_loss

LOGITS = np.array([[2.0, 1.0, 0.1], [0.0, 0.0, 0.0], [-3.0, 5.0, 4.0], [1e4, -1e4, 0.0]])
LABELS = np.array([0, 2, 1, 2])


def logits(k=4, n=5, size=50.0):
    return st.lists(st.lists(st.floats(-size, size), min_size=k, max_size=k), min_size=n, max_size=n).map(np.array)


@pytest.mark.slow
@given(logits(), st.lists(st.integers(0, 3), min_size=5, max_size=5))
def test_loss_from_logits_is_scipys_log_softmax(z, labels):
    expected = -special.log_softmax(z, axis=1)[np.arange(5), labels]
    np.testing.assert_allclose(classification_loss(labels, logits=z), expected, rtol=1e-12, atol=1e-12)


def test_mean_loss_to_many_digits():
    with mp.workdps(60):
        losses = []
        for row, y in zip(LOGITS, LABELS, strict=True):
            z = [mp.mpf(float(v)) for v in row]
            losses.append(mp.log(mp.fsum(mp.exp(v) for v in z)) - z[y])
        mean = float(mp.fsum(losses) / len(losses))
    assert mean_classification_loss(LABELS, logits=LOGITS) == pytest.approx(mean, rel=1e-14)


def test_loss_is_the_surprise_of_what_was_true():
    q = [[0.7, 0.2, 0.1], [0.25, 0.25, 0.5]]
    np.testing.assert_allclose(classification_loss([0, 2], probabilities=q, base=2), [-math.log2(0.7), 1.0], rtol=1e-15)


@pytest.mark.slow
@given(logits(), st.lists(st.integers(0, 3), min_size=5, max_size=5))
def test_one_hot_rows_and_class_numbers_give_the_same_loss(z, labels):
    by_number = classification_loss(labels, logits=z)
    np.testing.assert_array_equal(classification_loss(np.eye(4)[labels], logits=z), by_number)
    np.testing.assert_array_equal(classification_loss(np.eye(4, dtype=bool)[labels], logits=z), by_number)


@pytest.mark.slow
@given(logits(size=20.0), st.lists(st.integers(0, 3), min_size=5, max_size=5))
def test_loss_is_the_cross_entropy_from_a_one_hot_law(z, labels):
    q = special.softmax(z, axis=1)
    rows = [cross_entropy(np.eye(4)[y], belief / belief.sum()) for y, belief in zip(labels, q, strict=True)]
    np.testing.assert_allclose(classification_loss(labels, logits=z), rows, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(classification_loss(labels, probabilities=q), rows, rtol=1e-9, atol=1e-12)
    assert mean_classification_loss(labels, logits=z) == pytest.approx(np.mean(rows), rel=1e-9, abs=1e-12)


@pytest.mark.slow
@given(logits(), st.floats(-1e3, 1e3))
def test_a_constant_added_to_the_logits_changes_nothing(z, shift):
    labels = [0, 1, 2, 3, 0]
    moved = classification_loss(labels, logits=z + shift)
    np.testing.assert_allclose(moved, classification_loss(labels, logits=z), atol=1e-11)


def test_no_logit_is_too_large():
    """Where softmax in plain numbers gives 0/0 or log 0."""
    np.testing.assert_array_equal(classification_loss([0, 1], logits=[[1e4, -1e4], [1e4, -1e4]]), [0.0, 2e4])
    np.testing.assert_array_equal(classification_loss([0, 1], logits=[[1e308, -1e308]] * 2), [0.0, math.inf])
    np.testing.assert_array_equal(classification_loss([0, 1], logits=[[0.0, -math.inf]] * 2), [0.0, math.inf])


def test_certainty_costs_nothing_when_right_and_everything_when_wrong():
    loss = classification_loss([0, 1], probabilities=[[1.0, 0.0], [1.0, 0.0]])
    np.testing.assert_array_equal(loss, [0.0, math.inf])
    assert math.copysign(1.0, loss[0]) == 1.0
    assert mean_classification_loss([0, 1], probabilities=[[1.0, 0.0]] * 2) == math.inf
