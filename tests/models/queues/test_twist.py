"""Twists of a law, exponents of a walk and ladder heights: against closed forms."""

import math

import numpy as np
import pytest
from scipy import integrate, stats

from raresim import marginals
from raresim.marginals.twist import Twistable
from raresim.models.queues.ladder import LadderHeight, ladder_height
from raresim.models.queues.lundberg import Exponents
from tests.statistical import assert_mean_is

EXPONENTIAL = marginals.Exponential()
LIGHT = [
    EXPONENTIAL,
    marginals.Gamma(a=0.1),
    marginals.Gamma(a=5.0),
    marginals.Weibull(c=2.0),
    marginals.Uniform(scale=3.0),
    marginals.Finite(values=[0.0, 2.0], probabilities=[0.3, 0.7]),
    marginals.GeneralisedPareto(xi=-0.2),
]
HEAVY = [
    marginals.Lognormal(mean=1.0, std=0.1),
    marginals.Weibull(c=0.9),
    marginals.Pareto(b=2.5),
    marginals.GeneralisedPareto(xi=0.1),
]


@pytest.mark.parametrize("law", LIGHT + HEAVY, ids=lambda law: law.describe())
def test_heavy_tails_are_told_from_light_ones(law):
    assert Twistable(law).is_heavy == (law in HEAVY)


@pytest.mark.parametrize("theta", [-3.0, -0.2, 0.25, 0.9])
def test_generating_functions_are_exact(theta):
    assert Twistable(EXPONENTIAL).log_mean(theta) == pytest.approx(-math.log1p(-theta), abs=1e-13)
    gamma = Twistable(marginals.Gamma(a=2.5)).log_mean(theta)
    assert gamma == pytest.approx(-2.5 * math.log1p(-theta), abs=1e-12)
    finite = Twistable(marginals.Finite(values=[1.0, 3.0], probabilities=[0.4, 0.6])).log_mean(theta)
    assert finite == pytest.approx(math.log(0.4 * math.exp(theta) + 0.6 * math.exp(3.0 * theta)), abs=1e-14)


def test_a_mean_that_does_not_exist_is_infinite():
    assert Twistable(EXPONENTIAL).log_mean(1.05) == math.inf
    assert Twistable(marginals.Lognormal(mean=1.0, std=1.0)).log_mean(0.1) == math.inf


@pytest.mark.statistical(effect=0.3, false_fail=1e-6, false_pass=1e-3)
@pytest.mark.parametrize("theta", [-2.0, 0.5])
def test_twisted_draws_have_the_twisted_law(theta, seed):
    law = Twistable(marginals.Gamma(a=2.0))
    draws = law.values(law.twisted(theta).sample(np.random.default_rng(seed(1)), 40_000))
    exact = stats.gamma(2.0, scale=1.0 / (1.0 - theta))
    assert_mean_is(draws, exact.mean())
    assert_mean_is(draws > exact.ppf(0.9), 0.1)
    atoms = Twistable(marginals.Finite(values=[1.0, 3.0], probabilities=[0.4, 0.6]))
    drawn = atoms.values(atoms.twisted(theta).sample(np.random.default_rng(seed(2)), 40_000))
    share = 0.6 * math.exp(3.0 * theta) / (0.4 * math.exp(theta) + 0.6 * math.exp(3.0 * theta))
    assert_mean_is(drawn == 3.0, share)


def test_lundbergs_exponent_by_known_queues():
    services, every = Twistable(EXPONENTIAL), Twistable(marginals.Finite(values=[1.0 / 0.7], probabilities=[1.0]))
    assert Exponents(services, every, 1.0).adjustment == pytest.approx(1.0 - 0.466996422, abs=1e-9)  # D/M/1
    poisson = Exponents(services, Twistable(marginals.Exponential(scale=1.0 / 0.7)), 1.0)
    assert poisson.adjustment == pytest.approx(0.3, abs=1e-13)
    # by T = 50 the walk reaches 30 with kappa'(theta) = 30 / 50, kappa = .7 (1 / (1 - theta) - 1) - theta
    assert poisson.for_time(30.0, 50.0) == pytest.approx(1.0 - math.sqrt(0.7 / 1.6), rel=1e-6)
    assert poisson.for_time(30.0, 200.0) == poisson.adjustment
    assert Exponents(Twistable(HEAVY[0]), every, 1.0).adjustment is None


@pytest.mark.parametrize(
    "law",
    [
        marginals.Lognormal(mean=1.0, std=1.0),
        marginals.Gamma(a=2.5),
        marginals.Pareto(b=1.5),
        marginals.Uniform(scale=2.0),
        marginals.GeneralisedPareto(xi=0.4),
    ],
    ids=lambda law: law.kind,
)
def test_ladder_height_is_the_integrated_tail(law):
    height, mean = LadderHeight(law), law.moments().mean
    y = np.array([0.01, 0.3, 0.9, 1.5, 1.9])
    end = law.support[1]
    above = [integrate.quad(law.sf, at, end, epsabs=0, epsrel=1e-9, limit=200)[0] / mean for at in y]
    np.testing.assert_allclose(height.sf(y), above, rtol=1e-6)
    np.testing.assert_allclose(height.cdf(y), 1.0 - np.array(above), rtol=1e-5)
    u = np.linspace(-3.0, 3.0, 13)
    x = np.empty(13)
    height.from_normal(u, x)
    np.testing.assert_allclose(height.cdf(x), stats.norm.cdf(u), rtol=1e-6)
    np.testing.assert_allclose(height.quantile(np.log(0.01), upper=True), height.isf(0.01))
    if law.kind == "generalised_pareto":
        np.testing.assert_allclose(ladder_height(law).logsf([1.0, 1e3]), height.logsf([1.0, 1e3]), rtol=1e-8)


def test_moments_of_a_ladder_height():
    height = LadderHeight(marginals.Gamma(a=2.0))
    u = np.linspace(-12.0, 12.0, 4001)
    x = np.empty(u.size)
    height.from_normal(u, x)
    p = stats.norm.pdf(u) * (u[1] - u[0])
    assert height.moments()[:2] == pytest.approx((p @ x, p @ x**2 - (p @ x) ** 2), rel=1e-5)
