"""Historical simulation: the rows of a table, picked by one standard normal."""

import datetime

import numpy as np
import pytest
from scipy import stats

from raresim.data import ReturnsTable
from raresim.distributions.historical import Historical
from raresim.errors import DataError, FieldError
from tests.helpers import block, normals
from tests.statistical import assert_count

VALUES = np.array([[0.01, 0.03], [-0.05, -0.01], [0.02, -0.02], [0.0, 0.01], [0.015, 0.025], [-0.01, 0.0]])


def physical(law, u):
    u = np.asfortranarray(np.reshape(u, (-1, 1)), dtype=float)
    return law.to_physical(u, block(len(u), law.dim))


@pytest.mark.statistical(effect=0.2, false_fail=1e-7, false_pass=1e-3)
def test_each_row_has_the_same_probability(seed):
    rng = np.random.default_rng(5)
    values = rng.standard_t(3, (40, 3))
    law = Historical(values=values)
    n = 200_000
    x = physical(law, normals(n, 1, seed(41)))
    rows, counts = np.unique(x, axis=0, return_counts=True)
    np.testing.assert_array_equal(rows, np.unique(values, axis=0))
    assert_count(counts, n, 1 / 40)


def test_the_normal_decides_by_its_probability_alone():
    law = Historical(values=VALUES)
    order = [1, 5, 2, 3, 0, 4]  # means -0.03, -0.005, 0, 0.005, 0.02, 0.02: the last two tie
    for k, row in enumerate(order):
        middle = stats.norm.ppf((k + 0.5) / 6)
        edges = stats.norm.ppf(k / 6) + 1e-9, stats.norm.ppf((k + 1) / 6) - 1e-9
        for u in (middle, *np.clip(edges, -37, 37)):
            np.testing.assert_array_equal(physical(law, u)[0], VALUES[row])
    np.testing.assert_array_equal(physical(law, [-38.0, 38.0, 0.0]), VALUES[[1, 4, 2]])


@pytest.mark.parametrize("n", [2, 7, 1000, 20_000])
def test_thresholds_are_symmetric_quantiles(n):
    law = Historical(values=np.arange(n)[:, None])
    expected = stats.norm.ppf(np.arange(1, n) / n)
    np.testing.assert_allclose(law.thresholds, expected, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(law.thresholds, -law.thresholds[::-1], rtol=0, atol=1e-15)


def test_the_map_rises_in_the_mean_of_the_factors():
    law = Historical(values=np.random.default_rng(2).normal(size=(500, 4)))
    mean = physical(law, np.linspace(-5, 5, 2001)).mean(axis=1)
    assert (np.diff(mean) >= 0).all()
    assert len(np.unique(mean)) == 500


def test_equal_means_keep_the_order_of_the_dates():
    law = Historical(values=[[0.1, -0.1], [-0.2, 0.2], [0.0, 0.0]])
    np.testing.assert_array_equal(law.rows, [[0.1, -0.1], [-0.2, 0.2], [0.0, 0.0]])


def test_moments_of_a_combination_are_those_of_the_rows():
    law = Historical(values=VALUES)
    for w in np.array([[1.0, 1.0], [0.3, -2.0], [0.0, 1.0]]):
        mean, std = law.linear_moments(w)
        assert mean == pytest.approx((VALUES @ w).mean(), rel=1e-13, abs=1e-17)
        assert std == pytest.approx((VALUES @ w).std(), rel=1e-13)


def test_a_fit_holds_the_rows_and_says_where_they_end():
    dates = [datetime.date(2020, 1, k) for k in range(1, 7)]
    law = Historical.fit(ReturnsTable.of(VALUES, dates, ["A", "B"], returns="log"))
    np.testing.assert_array_equal(law.values, VALUES)
    assert law.names == law.fitted.names == ("A", "B")
    assert law.fitted.facts.rows == 6
    assert (law.dim, law.latent_dim) == (2, 1)
    assert law.describe() == [
        "historical simulation: 6 rows of 2 columns, each of probability 1/6",
        "rows of array: 6 log returns of 2 columns, 2020-01-01 to 2020-01-06",
        "lowest row by its mean: 2020-01-02",
        "it cannot go beyond its sample: the means of the rows lie between -0.03 and 0.02, and no loss is worse than "
        "in the worst row; for larger losses give each column a tail (`kind: fitted` with `margins: semi_parametric`)",
    ]


def test_an_array_can_be_fitted_to():
    law = Historical.fit(VALUES)
    assert law.names == ("x1", "x2")
    assert len(law.describe()) == 3
    with pytest.raises(DataError, match="must be finite"):
        Historical.fit(np.array([[1.0, np.nan], [0.0, 0.0]]))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([[1.0, 2.0]], "must be at least 2 rows of at least 1 number, got shape (1, 2)"),
        ([1.0, 2.0], "must be at least 2 rows of at least 1 number, got shape (2,)"),
        ([[], []], "must be at least 2 rows of at least 1 number, got shape (2, 0)"),
        ([[1.0, 2.0], [3.0]], "must be a matrix of numbers, got [[1.0, 2.0], [3.0]]"),
        ([[1.0], [np.inf]], "must be finite, got NaN or infinity"),
    ],
)
def test_bad_values_are_refused(values, message):
    with pytest.raises(FieldError) as caught:
        Historical(values=values)
    assert (caught.value.field, caught.value.message) == ("values", message)


def test_the_law_does_not_follow_a_change_of_the_array():
    values = VALUES.copy()
    law = Historical(values=values)
    values[:] = 0.0
    np.testing.assert_array_equal(law.values, VALUES)
    assert not law.rows.flags.writeable
