"""The process that stands in for a costly loss: its derivatives, its posterior, and single further evaluations."""

import numpy as np
import pytest
from scipy import optimize, special

from raresim.surrogate.belief import Belief, Predicted, largest_off, temper_of
from raresim.surrogate.covariance import Fixed, Layout, covariance, spectrum, variance, with_derivatives
from raresim.surrogate.gaussian_process import GaussianProcess, _likelihood, fit
from raresim.surrogate.system import Component, System, SystemBelief
from raresim.surrogate.warp import Warp, candidates, neighbours, unwarped

STRAIGHT = Warp(0.0, 1.0)


def draws(n, d, seed=1):
    return np.random.default_rng(seed).standard_normal((n, d))


def waves(x):
    return np.sin(x[:, 0]) + 0.3 * x.sum(axis=1)


@pytest.fixture(scope="module")
def fitted():
    x = draws(25, 3)
    return fit(x, waves(x), STRAIGHT)[0]


@pytest.mark.parametrize(("dim", "is_turned"), [(2, False), (5, True), (17, False), (17, True)])
def test_derivatives_are_those_of_the_likelihood(dim, is_turned):
    """17 inputs share one length scale, and the last of their turned axes do; three and more have effects alone."""
    x = draws(20, dim)
    turn = np.linalg.qr(draws(dim, dim, seed=9))[0] if is_turned else None
    layout = Layout(dim, turn)
    theta = layout.prior()[0] + 0.3 * np.random.default_rng(2).standard_normal(len(layout.names))
    theta[-1] = np.log(1e-2)  # enough noise for differences to be exact
    values, fixed = waves(x), Fixed.of(layout, x)
    slope = optimize.approx_fprime(theta, lambda t: _likelihood(layout, t, fixed, values)[0], 1e-6)
    np.testing.assert_allclose(_likelihood(layout, theta, fixed, values)[1], slope, rtol=1e-3, atol=1e-3)


def test_the_covariance_has_one_formula():
    x, layout = draws(12, 4), Layout(4, np.linalg.qr(draws(4, 4, seed=9))[0])
    theta, _ = layout.prior()
    noisy, _ = with_derivatives(layout, theta, Fixed.of(layout, x))
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
    one = Belief.of(fitted, pool).after(x, float(waves(x[np.newaxis])[0]))
    again = Belief.of(one.process, pool)
    np.testing.assert_allclose(one.mean, again.mean, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(one.spread, again.spread, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(one.process.predict(x[np.newaxis])[0], waves(x[np.newaxis]), atol=1e-3)


def test_many_points_are_seen_in_parts(fitted, monkeypatch):
    pool = draws(50, 3, seed=4)
    alone = System((Component(fitted, 1.0, assisted=False, column=0, rivals=(), first=None),))
    whole = alone.failing_at(pool)
    monkeypatch.setattr("raresim.surrogate.system.ROWS", 7)
    np.testing.assert_allclose(alone.failing_at(pool), whole, rtol=1e-4, atol=1e-9)
    np.testing.assert_allclose(SystemBelief.of(alone, pool).failing, whole, rtol=1e-4, atol=1e-9)


def test_predictions_that_were_too_sure_raise_the_factor(fitted):
    rng = np.random.default_rng(6)
    score = rng.standard_normal(60) * 3.0

    def seen(factor):
        hit = rng.random(60) < special.ndtr(score / factor)
        return [Predicted(float(s), bool(h)) for s, h in zip(score, hit, strict=True)]

    assert temper_of(fitted, seen(5.0)) > 1.5 * temper_of(fitted, seen(0.5))


def test_axes_begin_with_the_direction_that_matters(fitted):
    """The gradient of ``sin(x_1) + 0.3 (x_1 + x_2 + x_3)`` leaves the plane of ``x_1`` and ``(0, 1, 1)`` nowhere."""
    axes = fitted.axes()
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-12)
    assert abs(axes[:, 2] @ [0.0, 1.0, -1.0]) / np.sqrt(2.0) > 0.95


def test_a_turned_process_sees_a_ridge_that_is_not_along_an_axis():
    x, z = draws(40, 6), draws(200, 6, seed=3)
    direction = np.ones(6) / np.sqrt(6.0)

    def ridge(x):
        return np.tanh(2.0 * x @ direction)

    plain, plain_density = fit(x, ridge(x), STRAIGHT)
    turned, density = fit(x, ridge(x), STRAIGHT, None, plain.axes())
    assert density > plain_density
    off = [np.sqrt(np.mean((process.predict(z)[0] - ridge(z)) ** 2)) for process in (plain, turned)]
    assert off[1] < 0.5 * off[0]


@pytest.mark.parametrize("margin", [draws(30, 1)[:, 0] * 10.0, draws(30, 1)[:, 0] - 5.0])
def test_warps_keep_order_and_say_their_slope(margin):
    tried = list(candidates(margin))
    assert {warp.shape for warp in tried} == {"straight", "asinh", "root", "sinh", "log", "atanh"}
    tried += [near for warp in tried for near in neighbours(warp, margin)]
    beyond = np.concatenate([margin, margin.min() * np.array([1.5, 3.0]), -margin.min() * np.array([1.5, 3.0])])
    for warp in tried:
        assert (np.diff(warp(np.sort(beyond))) > 0).all()
        np.testing.assert_allclose(unwarped(warp, warp(beyond)), beyond, rtol=1e-6, atol=1e-9 * np.abs(beyond).max())
        step = 1e-7 * np.abs(margin).max()
        slope = np.log((warp(margin + step) - warp(margin - step)) / (2 * step)).sum()
        assert warp.log_slope(margin) == pytest.approx(slope, rel=1e-3, abs=1e-2)
        assert warp.boundary == warp(np.zeros(1))[0]
        assert warp.shape == "straight" or warp(margin).std() == pytest.approx(1.0)


UNDONE = {
    "root": lambda y: y**3,
    "log": np.expm1,
    "sinh": lambda y: np.sign(y) * np.log1p(np.abs(y)),
    "atanh": lambda y: np.tanh(y / 2.0),
}


@pytest.mark.parametrize("shape", sorted(UNDONE))
def test_a_transform_is_undone_by_the_warp_that_is_made_for_it(shape):
    """The most probable warp of a plane that was bent is the one that makes it a plane again."""
    x = 2.0 * draws(30, 3)
    margin = UNDONE[shape](x.sum(axis=1) - 2.0)
    fits = [(fit(x, warp(margin), warp)[1] + warp.log_slope(margin), warp.shape) for warp in candidates(margin)]
    assert max(fits)[1] == shape


def test_errors_that_nobody_could_see_are_no_contradiction(fitted):
    assert largest_off(fitted) < 5.0
    x = np.vstack([fitted.x, fitted.x[:1] + 1e-3])
    jump = np.append(fitted.y, fitted.y[0] + 1.0)
    theta = fitted.theta.copy()
    theta[-1] = np.log(1e-6)
    assert largest_off(at(theta, x, jump)) > 5.0
    jump[-1] = fitted.y[0] + 0.02 * fitted.y.std()
    assert largest_off(at(theta, x, jump)) < 5.0


def at(theta, x, y):
    layout = Layout(x.shape[1])
    total, _ = with_derivatives(layout, theta, Fixed.of(layout, x))
    return GaussianProcess(layout, theta, x, y, STRAIGHT, np.linalg.cholesky(total))
