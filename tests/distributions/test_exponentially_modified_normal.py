"""The normal law with an exponential tail: against quadrature, scipy and its own draws."""

import math

import numpy as np
import pytest
from scipy import integrate, special, stats

from raresim.distributions.exponentially_modified_normal import ExponentiallyModifiedNormal
from raresim.errors import FieldError
from tests.helpers import draws, logpdf, normals
from tests.statistical import assert_law_is, assert_within_error

SKEWED = ExponentiallyModifiedNormal(
    mean=[1.0, -0.5], directions=[[0.6], [0.8]], variances=[0.3], bulk=1.4, tail=[0.0, 1.0], rate=1.5
)
SOLID = ExponentiallyModifiedNormal(
    mean=[1.0, -2.0, 0.5],
    directions=np.linalg.qr(normals(3, 2, 1))[0],
    variances=[0.2, 2.5],
    bulk=0.7,
    tail=[0.0, 0.6, 0.8],
    rate=2.0,
)


def covariance(law):
    """Of the normal part."""
    return law.bulk * np.eye(law.dim) + law.basis @ np.diag(law.spread - law.bulk) @ law.basis.T


@pytest.mark.parametrize(("mean", "variance", "rate"), [(0.0, 1.0, 1.0), (3.0, 0.04, 3.0), (-1.0, 4.0, 0.3)])
def test_density_in_one_dimension_is_that_of_scipy(mean, variance, rate):
    scale = math.sqrt(variance)
    x = mean + np.linspace(-6.0, 8.0, 57) * scale
    expected = stats.exponnorm.logpdf(x, 1.0 / (scale * rate), mean, scale)
    for law in (
        ExponentiallyModifiedNormal(mean=[mean], bulk=variance, tail=[1.0], rate=rate),
        ExponentiallyModifiedNormal(mean=[mean], directions=[[1.0]], variances=[variance], tail=[1.0], rate=rate),
    ):
        np.testing.assert_allclose(logpdf(law, x[:, None]), expected, rtol=1e-9, atol=1e-9)
    mirrored = ExponentiallyModifiedNormal(mean=[-mean], bulk=variance, tail=[-1.0], rate=rate)
    np.testing.assert_allclose(logpdf(mirrored, -x[:, None]), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("rate", [0.3, 3.0, 200.0])
def test_density_integrates_to_one_in_one_dimension(rate):
    law = ExponentiallyModifiedNormal(mean=[2.0], bulk=0.5, tail=[1.0], rate=rate)
    mass, _ = integrate.quad(lambda x: math.exp(logpdf(law, [[x]])[0]), -5.0, 10.0 + 40.0 / rate, limit=200)
    assert mass == pytest.approx(1.0, abs=1e-7)


def test_density_integrates_to_one_in_two_dimensions():
    """A sum over a grid of a smooth density that vanishes at the edges is exact to many digits."""
    axis = np.linspace(-8.0, 22.0, 601)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    mass = np.exp(logpdf(SKEWED, grid)).sum() * (axis[1] - axis[0]) ** 2
    assert mass == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("law", [SKEWED, SOLID], ids=["d2", "d3"])
def test_density_is_the_integral_over_the_exponential_part(law):
    """Gauss-Laguerre quadrature of the definition, with scipy's normal density."""
    nodes, weights = special.roots_laguerre(100)
    x = draws(law, 20, 11)
    normal = stats.multivariate_normal(law.location, covariance(law))
    shifted = x[:, None, :] - (nodes / law.rate)[:, None] * np.asarray(law.tail)
    np.testing.assert_allclose(np.exp(logpdf(law, x)), normal.pdf(shifted) @ weights, rtol=1e-5)


def test_without_a_tail_it_is_a_normal():
    law = ExponentiallyModifiedNormal(mean=[0.5, -0.5], directions=[[1.0], [0.0]], variances=[3.0], bulk=0.4)
    x = normals(30, 2, 2)
    expected = stats.multivariate_normal([0.5, -0.5], np.diag([3.0, 0.4])).logpdf(x)
    np.testing.assert_allclose(logpdf(law, x), expected, rtol=1e-12)


def test_a_large_rate_comes_to_the_normal():
    plain = ExponentiallyModifiedNormal(mean=[1.0, 2.0], bulk=0.8)
    steep = ExponentiallyModifiedNormal(mean=[1.0, 2.0], bulk=0.8, tail=[0.6, 0.8], rate=1e5)
    x = draws(plain, 50, 12)
    np.testing.assert_allclose(logpdf(steep, x), logpdf(plain, x), atol=1e-3)


def test_far_tails_are_finite_and_fall_at_the_rate():
    """Ahead the log density falls by the rate times the distance, behind as that of a normal."""
    law = ExponentiallyModifiedNormal(mean=[3.0, 0.0], tail=[1.0, 0.0], rate=3.0)
    ahead = logpdf(law, [[100.0, 0.0], [101.0, 0.0]])
    assert ahead[1] - ahead[0] == pytest.approx(-3.0, abs=1e-9)
    behind = logpdf(law, [[-100.0, 0.0], [-101.0, 0.0]])
    assert behind[1] - behind[0] == pytest.approx(-(104.0**2 - 103.0**2) / 2, abs=0.1)


@pytest.mark.parametrize("law", [SKEWED, SOLID], ids=["d2", "d3"])
@pytest.mark.statistical(effect=1.5, false_fail=2e-7, false_pass=1e-3)
def test_draws_have_its_mean_and_covariance(law, seed):
    """40,000 draws: 5 standard errors of each entry."""
    x = draws(law, 40_000, seed(701))
    tail = np.asarray(law.tail)
    mean = law.location + tail / law.rate
    cov = covariance(law) + np.outer(tail, tail) / law.rate**2
    assert_within_error(x.mean(axis=0), mean, x.std(axis=0) / 200.0, scale=x.std(axis=0))
    centred = x - mean
    products = centred[:, :, None] * centred[:, None, :]
    assert_within_error(products.mean(axis=0), cov, products.std(axis=0) / 200.0)


@pytest.mark.statistical(effect=0.05, false_fail=2e-7, false_pass=1e-3)
def test_draws_follow_the_density(seed):
    """Across the tail a normal law, along it scipy's: Kolmogorov-Smirnov on 20,000 draws."""
    law = ExponentiallyModifiedNormal(mean=[3.0, 1.0], bulk=0.5, tail=[0.6, 0.8], rate=0.9)
    x = draws(law, 20_000, seed(702)) - law.location
    scale = math.sqrt(0.5)
    along = stats.exponnorm(1.0 / (scale * 0.9), 0.0, scale)
    assert_law_is(x @ [0.6, 0.8], along.cdf)
    assert_law_is(x @ [0.8, -0.6], stats.norm(0.0, scale).cdf)


@pytest.mark.statistical(effect=0.12, false_fail=1e-7, false_pass=1e-3)
def test_weights_against_another_law_have_the_mean_one(seed):
    """Ratio of scipy's normal density to this one, over 20,000 draws: 5 standard errors of about 1 %."""
    other = stats.multivariate_normal(SOLID.location, 0.4 * covariance(SOLID))
    x = draws(SOLID, 20_000, seed(703))
    ratio = np.exp(other.logpdf(x) - logpdf(SOLID, x))
    assert_within_error(ratio.mean(), 1.0, ratio.std() / math.sqrt(ratio.size))


def test_given_numbers_place_the_draws():
    """With ``z = 0`` draws lie on the tail, at ``e / rate`` from its beginning."""
    x = np.empty((3, 3), order="F")
    SOLID.place(np.zeros((3, 3), order="F"), np.array([0.0, 1.0, 4.0]), x)
    expected = SOLID.location + np.array([0.0, 0.5, 2.0])[:, None] * np.asarray(SOLID.tail)
    np.testing.assert_allclose(x, expected, atol=1e-12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"directions": [[1.0], [0.0], [0.0]], "variances": [1.0]}, "directions: must be a matrix of 2 rows"),
        ({"directions": [[1.0], [0.0]]}, "variances: must have one entry per direction"),
        ({"directions": [[1.0], [1.0]], "variances": [1.0]}, "directions: must be orthonormal"),
        ({"directions": [[1.0], [0.0]], "variances": [0.0]}, "variances"),
        ({"bulk": 0.0}, "bulk: must be positive"),
        ({"tail": [1.0, 0.0]}, "rate: goes with tail"),
        ({"rate": 1.0}, "rate: goes with tail"),
        ({"tail": [1.0, 0.0], "rate": -1.0}, "rate: must be positive"),
        ({"tail": [2.0, 0.0], "rate": 1.0}, "tail: must have length one"),
        ({"tail": [1.0, 0.0, 0.0], "rate": 1.0}, "tail"),
    ],
)
def test_wrong_parameters_are_refused(options, message):
    with pytest.raises(FieldError) as caught:
        ExponentiallyModifiedNormal(mean=[0.0, 0.0], **options)
    assert str(caught.value).startswith(message)
