"""Bands of a quantile plot hold what they promise."""

import math

import numpy as np
import pytest
from scipy import special, stats

from raresim.errors import DataError, FieldError
from raresim.marginals.exponential import Exponential
from raresim.marginals.poisson import Poisson
from raresim.marginals.quantile_plot import quantile_plot
from tests.statistical import assert_count, assert_count_at_least

LAW = Exponential(scale=2.0)
REPLICATIONS, N = 300, 60


def contradicted(plot):
    """Whether a point lies outside the simultaneous band."""
    return bool(((plot.observed < plot.low_all) | (plot.observed > plot.high_all)).any())


@pytest.mark.statistical(effect=0.3, false_fail=2e-7, false_pass=1e-3)
def test_each_point_lies_in_its_band_as_often_as_stated(seed):
    rng = np.random.default_rng(seed(4201))
    inside, all_inside = np.zeros(N, dtype=int), 0
    for _ in range(REPLICATIONS):
        plot = quantile_plot(LAW, rng.exponential(2.0, N), confidence=0.9)
        inside += (plot.observed >= plot.low) & (plot.observed <= plot.high)
        all_inside += not contradicted(plot)
        assert plot.outside == ((plot.observed < plot.low) | (plot.observed > plot.high)).sum()
    assert_count(inside, REPLICATIONS, 0.9)
    assert_count_at_least(all_inside, REPLICATIONS, 0.9)


def test_a_wrong_law_is_contradicted(seed):
    rng = np.random.default_rng(seed(4202))
    assert contradicted(quantile_plot(LAW, 2.0 * rng.pareto(1.5, 2000)))
    plot = quantile_plot(Exponential(scale=3.0), rng.exponential(2.0, 2000))
    assert contradicted(plot)
    assert plot.outside > 0.5 * plot.rank.size


@pytest.mark.parametrize("side", ["lower", "upper", "both"])
def test_points_and_bands_are_those_of_the_beta_law(side):
    x = np.random.default_rng(1).exponential(2.0, N)
    plot = quantile_plot(LAW, x, confidence=0.8, side=side)
    j = np.arange(1, N + 1)
    np.testing.assert_array_equal(plot.rank, j)
    np.testing.assert_array_equal(plot.observed, np.sort(x))
    order = stats.beta(j, N + 1 - j)
    for band, p in ((plot.low, 0.1), (plot.expected, 0.5), (plot.high, 0.9), (plot.high_all, 1 - 0.1 / N)):
        np.testing.assert_allclose(band, stats.expon.ppf(order.ppf(p), scale=2.0), rtol=1e-9)
    np.testing.assert_allclose(plot.low_all, stats.expon.ppf(order.ppf(0.1 / N), scale=2.0), rtol=1e-9)
    median = order.ppf(0.5)
    np.testing.assert_allclose(plot.probability, 1 - median if side == "upper" else median, rtol=1e-9)


def test_upper_band_keeps_its_digits_in_a_large_sample():
    """The largest of n exponentials: ``log(1 / (1 - p^(1/n)))`` at the quantile p."""
    n = 1_000_000
    plot = quantile_plot(Exponential(), np.random.default_rng(2).exponential(size=n), confidence=0.99)
    for band, p in ((plot.low, 0.005), (plot.expected, 0.5), (plot.high, 0.995)):
        assert band[-1] == pytest.approx(-math.log(-special.expm1(math.log(p) / n)), rel=1e-12)


@pytest.mark.parametrize("side", ["lower", "upper", "both"])
@pytest.mark.parametrize("n", [2, 499, 500, 501, 620, 30_000])
def test_thinning_keeps_the_extremes_and_the_limit(n, side):
    x = np.random.default_rng(3).exponential(size=n)
    plot = quantile_plot(LAW, x, side=side)
    kept = plot.rank
    assert kept.size == n if n <= 500 else 380 < kept.size <= 500
    assert (np.diff(kept) > 0).all()
    assert (kept[0], kept[-1]) == (1, n)
    extremes = min(100, n)
    if side != "lower":
        np.testing.assert_array_equal(kept[-extremes:], np.arange(n - extremes + 1, n + 1))
    if side != "upper":
        np.testing.assert_array_equal(kept[:extremes], np.arange(1, extremes + 1))
    np.testing.assert_array_equal(plot.observed, np.sort(x)[kept - 1])
    for lower, upper in ((plot.low_all, plot.low), (plot.low, plot.expected), (plot.expected, plot.high)):
        assert (lower <= upper).all()
    assert (plot.high <= plot.high_all).all()


@pytest.mark.statistical(effect=0.5, false_fail=1e-7, false_pass=1e-3)
def test_band_of_a_discrete_law_covers_at_least_as_stated(seed):
    rng = np.random.default_rng(seed(4203))
    inside = np.zeros(N, dtype=int)
    for _ in range(100):
        plot = quantile_plot(Poisson(mu=3.0), rng.poisson(3.0, N).astype(float))
        inside += (plot.observed >= plot.low) & (plot.observed <= plot.high)
    assert_count_at_least(inside, 100, 0.95)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"confidence": 1.0}, FieldError, "confidence: must be above 0 and below 1, got 1"),
        ({"side": "left"}, FieldError, "side: unknown value 'left'"),
        ({"values": [1.0, math.nan, 2.0]}, DataError, "the values must be finite"),
        ({"values": [1.0]}, DataError, "at least 2 values are needed"),
        ({"values": [1.0, 1.0]}, DataError, "all 2 values are 1"),
    ],
)
def test_bad_input_is_refused(given, error, message):
    with pytest.raises(error) as caught:
        quantile_plot(LAW, **{"values": [1.0, 2.0, 3.0], **given})
    assert str(caught.value).startswith(message)
