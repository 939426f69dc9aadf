"""The process that stands in for a costly loss: its derivatives, its posterior, and single further evaluations."""

import numpy as np
import pytest
from scipy import optimize, special

from raresim.surrogate.belief import Belief, Predicted, failing_at, temper_of
from raresim.surrogate.covariance import Layout, covariance, spectrum, variance, with_derivatives
from raresim.surrogate.gaussian_process import _likelihood, fit
from raresim.surrogate.warp import Warp, candidates

STRAIGHT = Warp(0.0, 1.0, bends=False)


def draws(n, d, seed=1):
    return np.random.default_rng(seed).standard_normal((n, d))


def waves(x):
    return np.sin(x[:, 0]) + 0.3 * x.sum(axis=1)


@pytest.fixture(scope="module")
def fitted():
    x = draws(25, 3)
    return fit(x, waves(x), STRAIGHT)[0]


@pytest.mark.parametrize("dim", [2, 5, 17])
def test_derivatives_are_those_of_the_likelihood(dim):
    """17 inputs share one length scale; three and more have effects of each axis alone."""
    x, layout = draws(20, dim), Layout(dim)
    theta = layout.prior()[0] + 0.3 * np.random.default_rng(2).standard_normal(len(layout.names))
    theta[-1] = np.log(1e-2)  # enough noise for differences to be exact
    values = waves(x)
    slope = optimize.approx_fprime(theta, lambda t: _likelihood(layout, t, x, values)[0], 1e-6)
    np.testing.assert_allclose(_likelihood(layout, theta, x, values)[1], slope, rtol=1e-3, atol=1e-3)


def test_the_covariance_has_one_formula():
    x, layout = draws(12, 4), Layout(4)
    theta, _ = layout.prior()
    noisy, _ = with_derivatives(layout, theta, x)
    plain = covariance(layout, theta, x, x)
    np.testing.assert_allclose(noisy - layout.at(theta, "noise") * np.eye(12), plain, atol=1e-12)
    np.testing.assert_allclose(np.diagonal(plain), variance(layout, theta, x), rtol=1e-12)


def test_waves_on_an_interval_have_the_spectrum_of_a_matern_process():
    """A squared wave has a mean of 1/18; the sum leaves out half of a step at frequency zero, where it is largest."""
    length = 4.0
    at_zero = 16.0 / 3.0 * length / np.sqrt(5.0)
    assert (spectrum(length).sum() + 0.5 * at_zero) / 18.0 == pytest.approx(1.0, abs=0.01)


def test_left_out_errors_are_those_of_a_process_without_the_point(fitted):
    mean, spread = fitted.left_out()
    k, others = 7, np.arange(25) != 7
    noise = fitted.noise * np.eye(24)
    known = covariance(fitted.layout, fitted.theta, fitted.x[others], fitted.x[others]) + noise
    cross = covariance(fitted.layout, fitted.theta, fitted.x[others], fitted.x[k : k + 1])[:, 0]
    weights = np.linalg.solve(known, cross)
    assert mean[k] == pytest.approx(weights @ fitted.y[others], rel=1e-5)
    left = variance(fitted.layout, fitted.theta, fitted.x[k : k + 1])[0] - weights @ cross + fitted.noise
    assert spread[k] == pytest.approx(np.sqrt(left), rel=1e-3)


def test_it_predicts_what_it_has_not_seen(fitted):
    z = draws(200, 3, seed=3)
    mean, spread = fitted.predict(z)
    off = (mean - waves(z)) / spread
    assert np.sqrt(np.mean((mean - waves(z)) ** 2)) < 0.1
    assert np.mean(np.abs(off) < 3.0) > 0.95


def test_a_further_evaluation_gives_what_a_process_with_it_gives(fitted):
    pool, x = draws(50, 3, seed=4), draws(1, 3, seed=5)[0]
    one = Belief.of(fitted, pool, 1.0).after(x, float(waves(x[np.newaxis])[0]))
    again = Belief.of(one.process, pool, 1.0)
    np.testing.assert_allclose(one.mean, again.mean, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(one.spread, again.spread, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(one.process.predict(x[np.newaxis])[0], waves(x[np.newaxis]), atol=1e-3)


def test_many_points_are_seen_in_parts(fitted, monkeypatch):
    pool = draws(50, 3, seed=4)
    whole = failing_at(fitted, 1.0, pool)[0]
    monkeypatch.setattr("raresim.surrogate.belief.ROWS", 7)
    np.testing.assert_allclose(failing_at(fitted, 1.0, pool)[0], whole, rtol=1e-4, atol=1e-9)
    np.testing.assert_allclose(Belief.of(fitted, pool, 1.0).failing, whole, rtol=1e-4, atol=1e-9)


def test_predictions_that_were_too_sure_raise_the_factor(fitted):
    rng = np.random.default_rng(6)
    score = rng.standard_normal(60) * 3.0

    def seen(factor):
        hit = rng.random(60) < special.ndtr(score / factor)
        return [Predicted(float(s), bool(h)) for s, h in zip(score, hit, strict=True)]

    assert temper_of(fitted, seen(5.0)) > 1.5 * temper_of(fitted, seen(0.5))


def test_warps_keep_order_and_say_their_slope():
    margin = draws(30, 1)[:, 0] * 10.0
    for warp in candidates(margin):
        assert (np.diff(warp(np.sort(margin))) > 0).all()
        step = 1e-6
        slope = np.log((warp(margin + step) - warp(margin - step)) / (2 * step)).sum()
        assert warp.log_slope(margin) == pytest.approx(slope, rel=1e-4)
        assert warp.boundary == warp(np.zeros(1))[0]
