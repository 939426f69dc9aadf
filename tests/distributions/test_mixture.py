"""Mixtures: shares, the defensive bound, mixtures of mixtures."""

import numpy as np
import pytest
from scipy.special import logsumexp

from raresim import Mixture, Normal, StandardNormal
from raresim.distributions.mixture import log_sum_exp
from tests import oracles
from tests.helpers import block, draws, logpdf
from tests.statistical import assert_count, assert_spread_is

N = 50_000


def at(centre, d=1):
    return Normal(mean=centre, std=0.1, dim=d)


def nested(d, inner_first):
    inner = Mixture(weights=[0.2, 0.8], components=(at(-3.0, d), at(3.0, d)))
    parts = (inner, at(20.0, d)) if inner_first else (at(20.0, d), inner)
    return Mixture(weights=[0.5, 0.5], components=parts)


@pytest.mark.parametrize("inner_first", [True, False])
@pytest.mark.parametrize("d", [1, 3])
@pytest.mark.statistical(effect=0.15, false_fail=1e-7, false_pass=1e-3)
def test_mixture_of_mixtures_is_drawn_in_proportion(d, inner_first, seed):
    """Binomial counts at 1e-6 of the draws that lie near each centre; a share off by 0.02 would show."""
    x = draws(nested(d, inner_first), N, seed(41))
    near = [(np.abs(x - centre) < 1).all(axis=1).sum() for centre in (-3.0, 3.0, 20.0)]
    assert_count(near, N, np.array([0.1, 0.4, 0.5]))


@pytest.mark.parametrize("inner_first", [True, False])
def test_mixture_of_mixtures_has_the_density_of_all_its_parts(inner_first):
    law = nested(2, inner_first)
    x = np.array([[-3.0, -3.0], [3.0, 3.05], [20.0, 20.0], [0.0, 0.0]])
    np.testing.assert_allclose(logpdf(law, x), oracles.log_density(law, x), rtol=1e-12)


def test_defensive_mixture_bounds_every_weight_by_its_share():
    target, x = StandardNormal(dim=2), np.random.default_rng(42).standard_normal((1000, 2)) * 10
    law = Mixture.defensive(Normal(mean=[4.0, 4.0], std=0.5), target, 0.05)
    assert (logpdf(target, x) - logpdf(law, x) <= np.log(20) + 1e-12).all()


def test_defensive_share_of_a_mixture_is_one_more_component():
    target, parts = StandardNormal(dim=1), (at(1.0), at(2.0))
    law = Mixture.defensive(Mixture(weights=[0.25, 0.75], components=parts), target, 0.2)
    assert law.components == (*parts, target)
    np.testing.assert_allclose(law.shares, [0.2, 0.6, 0.2])


def test_no_defensive_share_leaves_the_proposal_alone():
    law = at(1.0)
    assert Mixture.defensive(law, StandardNormal(dim=1), 0) is law


@pytest.mark.statistical(effect=0.5, false_fail=1e-7, false_pass=1e-3)
def test_counts_of_the_components_are_multinomial(seed):
    """Standard deviation of a component's count over 400 streams."""
    law = Mixture(weights=[0.3, 0.7], components=(at(-3.0), at(3.0)))
    counts = np.array([(draws(law, 1000, seed(43), index) < 0).sum() for index in range(400)])
    exact = np.sqrt(1000 * 0.3 * 0.7)
    assert_spread_is(counts, exact)


@pytest.mark.parametrize("shift", [-1e5, 0.0, 1e5])
def test_log_sum_exp_agrees_with_scipy(shift):
    logs = block(6, 3)
    logs[:] = np.random.default_rng(44).normal(size=(6, 3)) * 50 + shift
    expected, out = logsumexp(logs, axis=1), np.empty(6)
    log_sum_exp(logs, out)
    np.testing.assert_allclose(out, expected, rtol=1e-14)
