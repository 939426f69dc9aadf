"""The canary: regions of known probability, and densities that are wrong."""

import math

import numpy as np
import pytest
from scipy import stats

from raresim import Linear, Normal, StandardNormal
from raresim.diagnostics.canary import Region, canary
from raresim.distributions.mixture import Mixture
from raresim.engine import Sampler
from raresim.problem import Problem
from raresim.streams import stream
from tests.statistical import assert_count_at_least


def sampler(law, seed):
    inputs = StandardNormal(dim=law.dim)
    return Sampler(Problem(inputs, Linear(weights=np.ones(law.dim)).bind(inputs)), law, seed)


def shifted(d, distance, std=1.0):
    return Normal(mean=np.full(d, distance / math.sqrt(d)), std=std)


def pair(d):
    """Two components and a share of the target."""
    two = Mixture(weights=[0.7, 0.3], components=(shifted(d, 4.0), shifted(d, -3.0, 0.7)))
    return Mixture.defensive(two, StandardNormal(dim=d), 0.1)


class Wrong(Normal):
    """A normal law whose density is ``size`` times what it should be."""

    size = 1.0

    def logpdf(self, x, out):
        super().logpdf(x, out)
        out += math.log(self.size)


def wrong(d, distance, size):
    law = Wrong(mean=np.full(d, distance / math.sqrt(d)), std=1.0)
    object.__setattr__(law, "size", size)
    return law


@pytest.mark.parametrize("d", [1, 2, 10, 60])
@pytest.mark.parametrize("distance", [0.0, 4.0, 9.0])
def test_a_region_has_the_probability_that_it_says(d, distance, seed):
    """Against a count of draws that lie in it, seen from a law that is centred on it."""
    law = shifted(d, distance)
    region = Region.around(law, stream(seed(820), 0, 0), 4000)
    u = np.empty((40_000, d), order="F")
    law.sample(stream(seed(821), 0, 0), u)
    inside = region.holds(u)
    logs = stats.norm.logpdf(u[inside]).sum(axis=1) - stats.norm.logpdf(u[inside] - distance / math.sqrt(d)).sum(axis=1)
    weights = np.zeros(len(u))
    weights[inside] = np.exp(logs - region.log_probability)
    assert abs(weights.mean() - 1.0) < 5.0 * weights.std() / math.sqrt(len(u))
    assert 0.3 < inside.mean() < 0.6


def test_a_right_density_passes(seed):
    """Within four errors, 400 times; a hundred times as often would be 3 at most."""
    laws = [shifted(3, 5.0), shifted(40, 4.0), pair(4), pair(20)]
    z = [canary(sampler(law, seed(830 + k)), 7).z for k in range(100) for law in laws]
    assert max(map(abs, z)) < 5.0
    assert sum(abs(x) > 4.0 for x in z) <= 1
    assert np.std(z) == pytest.approx(1.0, abs=0.2)


@pytest.mark.parametrize("factor", [1.1, 1 / 1.1], ids=["too large", "too small"])
@pytest.mark.statistical(effect=0.5, false_fail=1e-7, false_pass=0.1)
def test_a_density_that_is_off_by_a_tenth_is_seen(factor, seed):
    z = [canary(sampler(wrong(5, 4.5, factor), seed(930 + k)), 7).z for k in range(60)]
    assert_count_at_least(sum(abs(x) > 4.0 for x in z), 60, 0.95)
    assert np.sign(z).tolist() == [1.0 if factor < 1 else -1.0] * 60


def test_the_ratio_says_how_far_it_is_off(seed):
    assert canary(sampler(wrong(5, 4.5, 2.0), seed(990)), 7).ratio == pytest.approx(0.5, rel=0.05)


def test_a_component_that_has_no_share_in_the_density_is_seen(seed):
    """Drawn three times in ten, weighed as if never."""
    law = pair(4)

    class Forgets(Mixture):
        def logpdf(self, x, out):
            self.components[0].logpdf(x, out)
            out += math.log(self.shares[0])

    forgetful = Forgets(weights=law.shares, components=law.components)
    assert abs(canary(sampler(forgetful, seed(991)), 7).z) > 5.0


def test_weights_that_are_too_uneven_say_nothing(seed):
    """A law a tenth as wide as the target in 30 dimensions: no region's weights have a mean to speak of."""
    found = canary(sampler(Mixture(weights=[1.0], components=(Wide(),)), seed(992)), 7)
    assert (found.regions, found.z, found.ratio) == (0, None, None)


class Wide(Normal):
    """Sampled tightly, weighed as what it is: the regions around it hold weights of every size."""

    def __init__(self):
        super().__init__(mean=np.zeros(30), std=3.0)


def test_draws_of_the_target_have_nothing_to_test(seed):
    plain = sampler(StandardNormal(dim=2), seed(993))
    with pytest.raises(ValueError, match="no weights"):
        canary(Sampler(plain.problem, None, seed(993)), 7)
