"""The von Mises-Fisher-Nakagami law and its family: constants, draws and fits from 1 to 1,000 dimensions."""

import itertools
import math

import numpy as np
import pytest
from scipy import special, stats

from raresim import CrossEntropy, Mixture, StandardNormal
from raresim.distributions.von_mises_fisher_nakagami import (
    LARGEST_CONCENTRATION,
    VonMisesFisherNakagami,
    log_0f1,
    mean_cosine,
)
from raresim.engine.executors import Executor
from raresim.errors import FieldError
from raresim.proposals.von_mises_fisher_nakagami import VonMisesFisherNakagamiMixture, concentration_of, gamma_shape
from tests.helpers import block, draws, logpdf, normals
from tests.problems import linear_normal, solve, two_sided
from tests.statistical import assert_count, assert_within_error

DIMENSIONS = (1, 2, 3, 10, 203, 1000)
CONCENTRATIONS = (0.0, 1e-3, 1.9, 2.1, 40.0, 900.0, 1e5)
N = 50_000


def law_of(d, kappa, shape=None):
    return VonMisesFisherNakagami(
        direction=np.linspace(1.0, 2.0, d), concentration=kappa, shape=shape or 0.5 * d + 1.0, spread=1.3 * d
    )


# --- the law -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("d", "kappa"), list(itertools.product(DIMENSIONS, CONCENTRATIONS)))
def test_constant_is_the_sum_of_its_series(d, kappa):
    """``0F1(; b; z) = sum_k z^k / ((b)_k k!)``, all terms positive, summed in logs."""
    b, k = 0.5 * d, np.arange(60_000.0)
    with np.errstate(divide="ignore"):
        powers = special.xlogy(k, 0.25 * kappa**2)
    series = special.logsumexp(powers - special.gammaln(k + 1) - special.gammaln(b + k) + special.gammaln(b))
    assert log_0f1(b, kappa) == pytest.approx(series, rel=1e-12, abs=2e-9)


@pytest.mark.parametrize(("d", "kappa"), [(2, 0.5), (3, 7.0), (5, 200.0)])
def test_density_of_the_direction_agrees_with_scipy(d, kappa, seed):
    law = law_of(d, kappa, shape=0.5 * d)
    x = draws(law, 100, seed(821))
    radius = np.linalg.norm(x, axis=1)
    known = stats.vonmises_fisher(law.axis, kappa).logpdf(x / radius[:, None])
    known += stats.nakagami(law.shape, scale=math.sqrt(law.spread)).logpdf(radius) - (d - 1) * np.log(radius)
    np.testing.assert_allclose(logpdf(law, x), known, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("d", DIMENSIONS)
def test_standard_normal_is_a_member(d, seed):
    law = VonMisesFisherNakagami(direction=np.ones(d), concentration=0.0, shape=0.5 * d, spread=d)
    u = normals(50, d, seed(822))
    np.testing.assert_allclose(logpdf(law, u), logpdf(StandardNormal(dim=d), u), rtol=1e-12)


@pytest.mark.parametrize(("d", "kappa"), list(itertools.product(DIMENSIONS, (0.0, 1.5, 60.0, 1e4))))
@pytest.mark.statistical(effect=0.6, false_fail=3e-7, false_pass=1e-3)
def test_draws_have_the_moments_of_direction_and_radius(d, kappa, seed):
    """Mean cosine, mean square of the cosine (``1 - (d - 1) A / kappa``), and the gamma law of ``r^2``: 5 errors."""
    n = N if d < 20 else 4000
    law = law_of(d, kappa)
    x = draws(law, n, seed(823))
    square = np.square(x).sum(axis=1)
    cosine = x @ law.axis / np.sqrt(square)
    a = mean_cosine(d, kappa)
    second = 1.0 - (d - 1) * a / kappa if kappa > 0 else 1.0 / d
    assert_within_error(cosine.mean(), a, math.sqrt(max(second - a * a, 0.0) / n) + 1e-12, scale=1.0)
    assert_within_error(np.square(cosine).mean(), second, np.square(cosine).std() / math.sqrt(n) + 1e-12)
    radial = stats.gamma(law.shape, scale=law.spread / law.shape)
    places = radial.ppf([0.1, 0.5, 0.9])
    assert_count([(square <= place).sum() for place in places], n, np.array([0.1, 0.5, 0.9]))


@pytest.mark.statistical(effect=0.04, false_fail=3e-7, false_pass=1e-3)
def test_directions_across_the_mean_are_uniform(seed):
    """Each coordinate across has mean 0 and the same square, within 5 errors."""
    law = VonMisesFisherNakagami(direction=[0.0, 0.0, 1.0], concentration=4.0, shape=3.0, spread=2.0)
    x = draws(law, N, seed(824))
    assert_within_error(x[:, :2].mean(axis=0), 0.0, x[:, :2].std(axis=0) / math.sqrt(N))
    gap = x[:, 0] ** 2 - x[:, 1] ** 2
    assert_within_error(gap.mean(), 0.0, gap.std() / math.sqrt(N))
    product = x[:, 0] * x[:, 1]
    assert_within_error(product.mean(), 0.0, product.std() / math.sqrt(N))


@pytest.mark.statistical(effect=0.2, false_fail=1e-7, false_pass=1e-3)
def test_draws_stay_exact_at_the_largest_concentration(seed):
    """In 3 dimensions ``kappa (1 - t)`` is exponential there: counts at 1e-6."""
    law = law_of(3, LARGEST_CONCENTRATION)
    x = draws(law, N, seed(825))
    unit = x / np.linalg.norm(x, axis=1)[:, None]
    gap = 0.5 * np.square(unit - law.axis).sum(axis=1) * law.concentration
    assert_count([(gap <= q).sum() for q in (0.1, 1.0, 3.0)], N, stats.expon.cdf([0.1, 1.0, 3.0]))


@pytest.mark.parametrize("d", [20, 1000])
@pytest.mark.statistical(effect=0.04, false_fail=1e-7, false_pass=1e-3)
def test_density_of_draws_weighs_the_normal_law_to_one(d, seed):
    """``E_q[p/q] = 1`` in many dimensions, ``q`` near the standard normal ``p``: 5 errors."""
    law = VonMisesFisherNakagami(direction=np.ones(d), concentration=1.0, shape=0.48 * d, spread=1.01 * d)
    x = draws(law, 4000, seed(826))
    ratio = np.exp(logpdf(StandardNormal(dim=d), x) - logpdf(law, x))
    assert ratio.std() < 1.5
    assert_within_error(ratio.mean(), 1.0, ratio.std() / math.sqrt(len(ratio)))


def test_density_at_the_origin():
    """0 with more than d/2 as shape, a pole with less, the normal's with the same."""
    out = [logpdf(law_of(4, 0.0, shape), block(1, 4, 0.0))[0] for shape in (3.0, 1.0, 2.0)]
    assert out[:2] == [-math.inf, math.inf]
    assert out[2] == pytest.approx(-2.0 * math.log(2 * math.pi * 1.3))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"direction": [0.0, 0.0]}, "direction: must have a positive and finite length, got 0"),
        ({"concentration": -1.0}, "concentration: must be from 0 to 1e"),
        ({"concentration": math.nan}, "concentration: must be from 0 to 1e"),
        ({"shape": 0.0}, "shape: must be positive and finite, got 0"),
        ({"spread": math.inf}, "spread: must be positive and finite, got inf"),
    ],
)
def test_bad_parameters_are_refused(options, message):
    good = {"direction": [1.0, 0.0], "concentration": 1.0, "shape": 1.0, "spread": 2.0}
    with pytest.raises(FieldError, match=message):
        VonMisesFisherNakagami(**(good | options))


# --- the fit -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("d", "kappa"), [(1, 1e-3), (1, 7.0), *itertools.product(DIMENSIONS[1:], (1e-3, 0.5, 7.0, 300.0, 1e4))]
)
def test_concentration_inverts_the_mean_cosine(d, kappa):
    assert concentration_of(d, mean_cosine(d, kappa)) == pytest.approx(kappa, rel=1e-6)


def test_concentration_at_the_ends_of_the_mean_cosine():
    assert concentration_of(5, 0.0) == 0.0
    assert concentration_of(5, 1.0) == concentration_of(5, 1.0 - 1e-15) == LARGEST_CONCENTRATION


@pytest.mark.parametrize("shape", [0.05, 0.5, 3.0, 500.0, 1e6])
def test_shape_solves_its_equation(shape):
    gap = math.log(shape) - special.digamma(shape)
    assert gamma_shape(gap) == pytest.approx(shape, rel=1e-7)


@pytest.mark.parametrize("d", [1, 2, 50])
@pytest.mark.statistical(effect=0.2, false_fail=3e-7, false_pass=1e-3)
def test_fit_recovers_a_law_within_its_errors(d, seed):
    """Mean direction, concentration, shape and spread to 5 errors from their Fisher information."""
    law = law_of(d, 2.0 * d**0.5, shape=0.5 * d)
    u = draws(law, N // 5, seed(827))
    n = len(u)
    fit = VonMisesFisherNakagamiMixture().refit(StandardNormal(dim=d), u, np.full(n, 3.0), np.random.default_rng(1))
    a = mean_cosine(d, law.concentration)
    of_kappa = 1.0 - a * a - (d - 1) / law.concentration * a
    assert_within_error(fit.concentration, law.concentration, 1.0 / math.sqrt(n * of_kappa))
    of_shape = special.polygamma(1, law.shape) - 1.0 / law.shape
    assert_within_error(fit.shape, law.shape, 1.0 / math.sqrt(n * of_shape))
    assert_within_error(fit.spread, law.spread, law.spread / math.sqrt(n * law.shape))
    assert np.linalg.norm(fit.axis - law.axis) < 5.0 * math.sqrt(d / (n * law.concentration * a))


def test_narrow_radii_keep_the_floor(seed):
    """With ``spread / (2 shape)`` above one half the weights keep a variance far out, whatever the elites say."""
    u = normals(500, 3, seed(828))
    u *= (5.0 / np.linalg.norm(u, axis=1))[:, None]
    for floor in (0.6, 0.9):
        family = VonMisesFisherNakagamiMixture(floor=floor)
        fit = family.refit(StandardNormal(dim=3), u, np.ones(500), np.random.default_rng(1))
        assert fit.spread == pytest.approx(25.0)
        assert fit.spread / (2 * fit.shape) == pytest.approx(floor)


def test_two_cones_become_two_laws(seed):
    u = 0.4 * normals(3000, 4, seed(829))
    u[:, 0] += np.where(np.arange(3000) % 3 == 0, -4.0, 4.0)
    family = VonMisesFisherNakagamiMixture(components=2)
    law = family.refit(StandardNormal(dim=4), u, np.ones(3000), np.random.default_rng(1))
    assert isinstance(law, Mixture)
    order = np.argsort(law.shares)
    np.testing.assert_allclose(law.shares[order], [1 / 3, 2 / 3], atol=1e-6)
    np.testing.assert_allclose([law.components[k].axis[0] for k in order], [-1.0, 1.0], atol=0.01)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"components": 1.5}, "components: must be a whole number or 'auto', got 1.5"),
        ({"floor": 0.5}, "floor: must be above 0.5 and at most 1, got 0.5"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(FieldError, match=message):
        VonMisesFisherNakagamiMixture(**options)


# --- rare events -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("case", "components"), [(linear_normal(30, 4.0), 1), (two_sided(5, 4.5), 2)], ids=["linear", "two-sided"]
)
@pytest.mark.statistical(effect=0.3, false_fail=1e-7, false_pass=1e-3)
def test_rare_events_are_exact_within_their_error(case, components, seed):
    method = CrossEntropy(proposal=VonMisesFisherNakagamiMixture(components=components), starts=2)
    estimate = solve(case, seed(830), method=method, relative_error=0.03).estimates[0]
    assert_within_error(estimate.value, case.exact[0], estimate.std_error)


@pytest.mark.slow
def test_digits_do_not_depend_on_the_workers(seed):
    method = CrossEntropy(proposal=VonMisesFisherNakagamiMixture(components=2), starts=2)
    alone = solve(two_sided(5, 4.0), seed(831), method=method)
    with Executor.of("threads", 2) as executor:
        together = solve(two_sided(5, 4.0), seed(831), executor, method=method)
    assert alone.estimates[0].value == together.estimates[0].value
