"""The exact law of a quadratic loss, and draws that are twisted towards it."""

import math

import numpy as np
import pytest
from scipy import integrate, stats

from raresim.distributions.base import log_density
from raresim.distributions.standard_normal import StandardNormal
from raresim.models.market.exact_quadratic import QuadraticLaw
from raresim.models.market.quadratic_form import QuadraticForm
from raresim.models.market.strata import stratified, tails_of
from raresim.models.market.twisted_quadratic import TwistedQuadratic, score_of_chi_square
from tests.statistical import assert_within_error

REFERENCES = [0.00969621777039448, 1.0260616127141318e-05]
NONE = np.empty((0, 0))


def form(b, lam, constant=0.0, dof=None):
    b, lam = (np.broadcast_to(np.asarray(v, dtype=float), max(np.size(b), np.size(lam))) for v in (b, lam))
    return QuadraticForm(constant, b.copy(), lam.copy(), NONE, dof)


def b2(dof=None):
    """The hundred factors of DG-B2."""
    return form(0.2, 0.5 * 0.95 ** np.arange(100), dof=dof)


@pytest.mark.parametrize("d", [1, 2, 7])
def test_sums_of_squares_are_chi_square_and_of_the_law_of_f(d):
    x = np.array([0.2, 1.0, d, 9.0, 200.0])
    normal, t = QuadraticLaw(form(0.0, np.ones(d))), QuadraticLaw(form(0.0, np.ones(d), dof=3.0))
    np.testing.assert_allclose([normal.probability(v) for v in x], stats.chi2.sf(x, d), rtol=1e-10)
    np.testing.assert_allclose([t.probability(v) for v in x], stats.f.sf(x / d, d, 3.0), rtol=1e-9)
    falls = QuadraticLaw(form(0.0, -np.ones(d)))
    np.testing.assert_allclose([falls.probability(-v) for v in x[:4]], stats.chi2.cdf(x[:4], d), rtol=1e-10)
    assert (falls.probability(0.0), falls.probability(1.0), normal.probability(-1.0)) == (0.0, 0.0, 1.0)


@pytest.mark.parametrize("x", [-3.0, 1.0, 1.001, 9.0, 60.0])
def test_sums_are_normal_or_of_student_s_law(x):
    for dof, law in ((None, stats.norm), (4.0, stats.t(4.0))):
        found = QuadraticLaw(form([1.0, -2.0], 0.0, 1.0, dof))
        np.testing.assert_allclose(found.probability(x), law.sf((x - 1.0) / math.sqrt(5.0)), rtol=1e-11)


def test_published_tails_of_a_hundred_factors():
    """DG-B2: values of an independent contour integral."""
    law = QuadraticLaw(b2())
    p = law.probability(26.5)
    assert law.quantile(p) == pytest.approx(26.5, rel=1e-12)
    np.testing.assert_allclose([law.probability(17.8), p], REFERENCES, rtol=1e-10)


def test_excess_and_shortfall_integrate_the_tail():
    for law in (QuadraticLaw(form([1.0, 0.3], [0.4, -0.7])), QuadraticLaw(form([1.0, 0.3], [0.4, -0.7], dof=6.0))):
        exact = integrate.quad(law.probability, 4.0, np.inf, epsabs=1e-14, epsrel=1e-9, limit=200)[0]
        assert law.excess(4.0) == pytest.approx(exact, rel=1e-7)
        tail = law.probability(4.0)
        assert law.shortfall(tail) == pytest.approx(4.0 + exact / tail, rel=1e-7)
    assert QuadraticLaw(form(1.0, 1.0, dof=2.0)).excess(9.0) is None


def test_moments_are_those_of_draws_in_closed_form():
    square = form([1.0, -2.0], [0.5, 0.25], 3.0, 7.0)
    law = QuadraticLaw(square)
    mean = 3.0 + law_mean(law, 3.0)
    assert square.mean == pytest.approx(mean, rel=1e-6)
    assert form([3.0, 4.0], 0.0, dof=5.0).std == pytest.approx(5.0 * math.sqrt(5.0 / 3.0))
    assert math.isnan(form([3.0], 1.0, dof=4.0).std)


def law_mean(law, start):
    """Mean of the loss less ``start``, by its tails on both sides."""
    below = integrate.quad(lambda x: 1.0 - law.probability(x), -60.0, start, limit=200)[0]
    return law.excess(start) - below


@pytest.mark.statistical(effect=0.2, false_fail=1e-6, false_pass=1e-3)
@pytest.mark.parametrize("dof", [None, 4.0])
def test_weights_are_those_of_the_model(dof, seed):
    """Of twisted and stratified draws: beyond the level they add up to its exact probability."""
    square = form([1.0, -0.5, 0.2], [0.3, 0.6, -0.4], -0.2, dof)
    level = QuadraticLaw(square).quantile(1e-3)
    law = stratified(square, level, True, np.random.default_rng(seed(940)))
    assert law.edges.size > 0
    spread = [0.0, 0.0]
    for k, drawn in enumerate((law, TwistedQuadratic.plain(square, level, law.theta))):
        u = np.empty((40_000, drawn.dim), order="F")
        drawn.sample(np.random.default_rng(seed(941 + k)), u)
        q = drawn.quadratic(u)
        weight = np.exp(log_density(StandardNormal(dim=law.dim), u) - log_density(drawn, u))
        hit = weight * (q > 0)
        assert_within_error(hit.mean() / 1e-3, 1.0, hit.std() / math.sqrt(hit.size) / 1e-3)
        spread[k] = hit.std() / hit.mean()
    assert spread[0] < 1.5  # of rows whose weights are the probability itself, but for the floor
    assert spread[1] > 1.2 * spread[0]


def test_shares_of_strata_are_those_of_the_twisted_law():
    """One factor: under the twist it is normal with another mean and variance."""
    square, level = form([1.0], [0.3]), 9.0
    theta = square.twist(level)
    left = 1.0 - 2.0 * theta * 0.3
    z = stats.norm(theta / left, 1.0 / math.sqrt(left))
    edges = np.array([-2.0, -0.5, 0.0, 1.0, 5.0])
    root = np.sqrt(1.0 + 4.0 * 0.3 * (level + edges))
    exact = z.sf((root - 1.0) / 0.6) + z.cdf((-root - 1.0) / 0.6)
    np.testing.assert_allclose(tails_of(square, level, theta, edges), exact, rtol=1e-9)


def test_chi_square_scores_hold_in_both_tails():
    y = np.array([1e-40, 1e-3, 4.0, 300.0])
    u = score_of_chi_square(3.0, y)
    np.testing.assert_allclose(stats.norm.logcdf(u[:2]), stats.chi2.logcdf(y[:2], 3.0), rtol=1e-9)
    np.testing.assert_allclose(stats.norm.logsf(u[2:]), stats.chi2.logsf(y[2:], 3.0), rtol=1e-9)


def test_a_loss_out_of_reach_has_no_twist():
    falls = form([1.0, 0.5], [-0.3, -0.2])
    assert stratified(falls, falls.bounds[1] + 0.1, False, np.random.default_rng(1)) is None
    assert stratified(falls, falls.bounds[1] - 0.1, False, np.random.default_rng(1)).theta > 0
