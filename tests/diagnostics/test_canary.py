"""The canary: regions of known probability, and densities that are wrong."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from raresim import Linear, Normal, StandardNormal
from raresim.diagnostics.canary import Region, Ring, Window, _around, _compared, _even, canary
from raresim.distributions.base import ratio_in_two
from raresim.distributions.beyond_sphere import BeyondSphere
from raresim.distributions.histogram_tilt import WIDTHS, HistogramTilt
from raresim.distributions.low_rank_normal import LowRankNormal
from raresim.distributions.mixture import Mixture
from raresim.engine.fold import Sampler
from raresim.engine.problem import Problem
from raresim.numerics.blocks import Block
from raresim.numerics.streams import stream
from tests.statistical import assert_count, assert_count_at_least


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

    def log_ratio(self, target, x, out):
        ratio_in_two(target, self, x, out)


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


@pytest.mark.parametrize(("d", "k", "radius"), [(2, 2, 4.0), (18, 4, 5.5), (10, 10, 6.0)])
@pytest.mark.statistical(effect=0.05, false_fail=1e-7, false_pass=1e-3)
def test_a_ring_has_the_probability_that_it_says(d, k, radius, seed):
    """By the chi law; draws from beyond the sphere lie in the ring as often as the ratio of the masses says."""
    law = BeyondSphere(directions=stats.ortho_group.rvs(d, random_state=1)[:, :k], radius=radius)
    ring = Ring.around(law, law.radial, stream(seed(840), 0, 0), 4000)
    exact = stats.chi.sf(ring.low, k) - stats.chi.sf(ring.high, k)
    assert math.exp(ring.log_probability) == pytest.approx(exact, rel=1e-9)
    assert radius < ring.low < ring.high
    u = np.empty((40_000, d), order="F")
    law.sample(stream(seed(841), 0, 0), u)
    assert_count(int(ring.holds(u).sum()), len(u), exact / stats.chi.sf(radius, k))
    assert ring.holds(u).mean() == pytest.approx(0.45, abs=0.05)


def test_a_ring_holds_distances_in_its_directions_alone():
    ring = Ring(np.eye(3)[:, :2], 2.0, 3.0)
    u = np.array([[2.5, 0.0, 9.0], [0.0, -2.0, 0.0], [3.0, 0.0, 0.0], [0.0, 0.0, 2.5], [2.0, 2.0, 0.0]])
    assert ring.holds(u).tolist() == [True, True, False, False, True]


def test_the_kind_of_region_is_one_whose_weights_are_even():
    sphere = BeyondSphere(directions=np.eye(5)[:, :2], radius=3.0)
    for law, kind in ((sphere, Ring), (tilted(5), Window), (bent(5, [2.0]), Window), (shifted(5, 3.0), Region)):
        assert isinstance(_around(law, stream(1, 0, 0), 200), kind)


class WrongSphere(BeyondSphere):
    """The law beyond a sphere with half the density, as if its mass were twice what it is."""

    def logpdf(self, x, out):
        super().logpdf(x, out)
        out -= math.log(2.0)


@pytest.mark.parametrize("with_a_normal", [False, True])
def test_the_density_beyond_a_sphere_is_tested(with_a_normal, seed):
    """By itself, and as a part of a mixture in which other components are right."""
    for kind, is_right in ((BeyondSphere, True), (WrongSphere, False)):
        law = kind(directions=np.eye(6)[:, :3], radius=4.5)
        if with_a_normal:
            law = Mixture(weights=[0.5, 0.5], components=(law, shifted(6, 4.0)))
        seen = [canary(sampler(law, seed(850 + k)), 7) for k in range(5)]
        assert all(c.regions for c in seen)
        if not is_right:
            assert all(abs(c.z) > 5.0 for c in seen)
        elif with_a_normal:
            assert all(abs(c.z) < 5.0 for c in seen)
        else:  # all weights are the same: what is left is how many draws lie in the ring
            assert all(abs(c.ratio - 1.0) < 0.1 for c in seen)


@pytest.mark.slow
def test_a_right_density_passes(seed):
    """Within four errors, 400 times; a hundred times as often would be 3 at most."""
    laws = [shifted(3, 5.0), shifted(40, 4.0), pair(4), pair(20)]
    z = [canary(sampler(law, seed(830 + k)), 7).z for k in range(100) for law in laws]
    assert max(map(abs, z)) < 5.0
    assert sum(abs(x) > 4.0 for x in z) <= 1
    assert np.std(z) == pytest.approx(1.0, abs=0.2)


def tilted(d, rare=0.3, groups=None):
    """Coordinates that fall into the upper tail more often; with ``groups`` of two kinds, the other kind the lower."""
    up = WIDTHS * (1.0 - rare)
    up[-4:] += rare / 4
    return HistogramTilt(shares=[up, up[::-1]], groups=np.zeros(d) if groups is None else groups)


def bent(d, variances, distance=3.0):
    """A normal law with these variances along some directions, and a mean along and across them."""
    directions = np.linalg.qr(np.random.default_rng(d).standard_normal((d, len(variances))))[0]
    mean = distance * directions[:, 0] + 0.5 * np.eye(d)[-1]
    return LowRankNormal(mean=mean, directions=directions, variances=variances)


LAWS = {
    "1": tilted(1),
    "4": tilted(4),
    "mixed": tilted(5, 0.1, [0, 1, 1, 0, 1]),
    "normal": bent(3, [1.5, 2.0], 1.0),
}


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
@pytest.mark.statistical(effect=0.1, false_fail=1e-7, false_pass=0.1)
def test_a_window_has_the_probability_that_it_says(law, seed):
    """Against a count of standard normals, and all windows together against one."""
    window = Window.around(law, law.binned_ratio(), stream(seed(822), 0, 0), 4000)
    u = np.empty((400_000, law.dim), order="F")
    StandardNormal(dim=law.dim).sample(stream(seed(823), 0, 0), u)
    assert_count(np.count_nonzero(window.holds(u)), len(u), math.exp(window.log_probability))
    ends = int(window.steps.min(axis=1).sum()), int(window.steps.max(axis=1).sum())
    assert replace(window, low=ends[0], high=ends[1]).log_probability == pytest.approx(0.0, abs=1e-9)
    assert 0.1 < np.mean(window.holds(drawn(law, seed(824)))) < 0.9


def drawn(law, seed, n=10_000):
    u = np.empty((n, law.dim), order="F")
    law.sample(stream(seed, 0, 0), u)
    return u


@pytest.mark.slow
def test_a_window_far_out_is_known_too(seed):
    """200 coordinates, and a probability of e^-60, against draws of a law tilted to it, within their error."""
    law = tilted(200)
    window = Window.around(law, law.binned_ratio(), stream(seed(825), 0, 0), 4000)
    assert window.log_probability < -60.0
    u = drawn(law, seed(826), 40_000)
    weights = np.zeros(len(u))
    inside = window.holds(u)
    ratio = np.empty(inside.sum())
    law.logpdf(np.asfortranarray(u[inside]), ratio)
    weights[inside] = np.exp(stats.norm.logpdf(u[inside]).sum(axis=1) - ratio - window.log_probability)
    assert abs(weights.mean() - 1.0) < 5.0 * weights.std() / math.sqrt(len(u))
    assert weights[inside].max() < math.exp(4.0) * weights[inside].min()


class WrongNormal(LowRankNormal):
    """A normal law with half its density."""

    def logpdf(self, x, out):
        super().logpdf(x, out)
        out -= math.log(2.0)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [LowRankNormal, WrongNormal])
def test_a_normal_law_with_many_wide_directions_is_tested(kind, seed):
    """Its weights are alike in no cylinder: forty directions with standard deviations up to three."""
    right = bent(44, np.square(np.linspace(1.2, 3.0, 40)))
    law = kind(mean=right.location, directions=right.basis, variances=right.spread)
    seen = [canary(sampler(law, seed(860 + k)), 7) for k in range(5)]
    assert all(c.z is not None for c in seen)
    if kind is LowRankNormal:
        assert all(abs(c.z) < 5.0 for c in seen)
    else:
        assert all(abs(c.z) > 5.0 for c in seen)


@pytest.mark.slow
def test_a_tilt_of_a_hundred_coordinates_is_tested(seed):
    """No cylinder holds weights that are alike there."""
    found = [canary(sampler(tilted(100), seed(840 + k)), 7) for k in range(8)]
    assert all(one.z is not None and abs(one.z) < 5.0 for one in found)

    class Off(HistogramTilt):
        def logpdf(self, x, out):
            super().logpdf(x, out)
            out += math.log(1.5)

    law = tilted(100)
    assert abs(canary(sampler(Off(shares=law.shares, groups=law.groups), seed(861)), 7).z) > 5.0


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
    """Drawn narrowly but weighed correctly: the regions around it hold weights of every size."""

    def __init__(self):
        super().__init__(mean=np.zeros(30), std=3.0)


def test_draws_of_the_target_have_nothing_to_test(seed):
    plain = sampler(StandardNormal(dim=2), seed(993))
    with pytest.raises(ValueError, match="no weights"):
        canary(Sampler(plain.problem, None, seed(993)), 7)


# --- the arithmetic ----------------------------------------------------------------------------------


def region(low=1.0, high=2.0, radius=0.5):
    return Region(np.array([0.6, 0.8]), low, high, radius)


def test_a_region_is_a_cylinder_with_its_lower_end_and_its_wall():
    axis, wall = np.array([0.6, 0.8]), np.array([0.8, -0.6])
    rows = [
        a * axis + b * wall for a, b in [(1.0, 0.0), (0.999, 0.0), (1.999, 0.49), (2.0, 0.0), (1.5, 0.51), (1.5, -0.49)]
    ]
    assert region(1.0 - 1e-12, 2.0 - 1e-12).holds(np.asfortranarray(rows)).tolist() == [
        True,
        False,
        True,
        False,
        False,
        True,
    ]
    on_the_ends = np.asfortranarray([[1.0, 0.0], [2.0, 0.0], [1.5, 0.5]])
    assert Region(np.array([1.0, 0.0]), 1.0, 2.0, 0.5).holds(on_the_ends).tolist() == [True, False, True]


def test_probability_of_a_region_is_that_of_a_slab_times_that_of_a_ball():
    slab = stats.norm.cdf(2.0) - stats.norm.cdf(1.0)
    assert region().log_probability == pytest.approx(math.log(slab * stats.chi(1).cdf(0.5)))
    assert Region(np.array([1.0]), 1.0, 2.0, 0.5).log_probability == pytest.approx(math.log(slab))
    wide = Region(np.array([1.0, 0.0, 0.0]), 1.0, 2.0, 0.5)
    assert wide.log_probability == pytest.approx(math.log(slab * stats.chi(2).cdf(0.5)))


@pytest.mark.parametrize("mean", [[3.0, 4.0], [0.3, -0.4]])
def test_a_region_lies_beyond_the_middle_of_the_draws_that_show_it(mean):
    law = Normal(mean=mean, std=0.5)
    got = Region.around(law, stream(5, 0, 0), 3000)
    law.sample(stream(5, 0, 0), u := np.empty((3000, 2), order="F"))
    axis = u.mean(axis=0) / np.linalg.norm(u.mean(axis=0))
    along, across = u @ axis, np.abs(u @ [axis[1], -axis[0]])
    np.testing.assert_allclose(got.axis, axis)
    assert (got.low, got.high) == pytest.approx(tuple(np.quantile(along, [0.5, 0.95])))
    assert got.radius == pytest.approx(np.quantile(across, 0.95))


def test_a_middle_at_the_origin_has_the_first_axis():
    class Still(Normal):
        def sample(self, rng, x):
            x[:] = 0.0

    assert Region.around(Still(mean=[0.0, 0.0]), stream(5, 0, 0), 10).axis.tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    ("worths", "even"),
    [
        ([], False),
        ([1.0] * 2, False),
        ([1.0] * 3, True),
        ([1.0] * 2 + [0.0] * 6, True),
        ([1.0] * 3 + [0.0] * 9, True),  # three of twelve are a quarter
        ([1.0] * 3 + [0.0] * 10, False),
        ([1.0] * 40 + [0.0] * 960, True),
        ([1.0] * 39 + [0.0] * 961, False),
    ],
)
def test_a_region_is_read_where_its_draws_are_worth_enough_of_them(worths, even):
    with np.errstate(divide="ignore"):
        assert _even(np.log(np.array(worths)) - 5.0) is even


def test_what_is_compared_is_the_mean_over_the_regions_of_weights_over_probabilities():
    """Two regions that share draws; the error is that of the sum of a draw, not of its parts."""
    u = np.asfortranarray(stream(6, 0, 0).normal([2.0, 0.0], 1.0, (5000, 2)))
    regions = [Region(np.array([1.0, 0.0]), 1.5, 2.5, 1.0), Region(np.array([1.0, 0.0]), 2.0, 3.0, 2.0)]
    logs = stats.norm.logpdf(u).sum(axis=1) - stats.norm.logpdf(u, [2.0, 0.0]).sum(axis=1)
    score = np.zeros(5000)
    for r in regions:
        inside = (u[:, 0] >= r.low) & (u[:, 0] < r.high) & (np.abs(u[:, 1]) <= r.radius)
        score[inside] += np.exp(logs[inside] - r.log_probability) / 2
    got = _compared(u, logs, regions)
    assert (got.draws, got.regions) == (5000, 2)
    assert got.ratio == pytest.approx(score.mean())
    assert got.z == pytest.approx((score.mean() - 1.0) / (score.std(ddof=1) / math.sqrt(5000)))


@pytest.mark.parametrize(
    ("weights", "known"),
    [([1.0] * 60, True), ([1.0] * 59, False), ([6.0] + [1.0] * 94, True), ([6.1] + [1.0] * 94, False)],
    ids=["60 draws", "59 draws", "6 %", "more"],
)
def test_regions_speak_where_enough_draws_of_like_weight_lie_in_them(weights, known):
    """Sixty, none of which has more than 6 % of the sum."""
    u = np.asfortranarray(np.full((len(weights) + 5, 1), 1.5))
    u[len(weights) :] = 9.0
    got = _compared(u, np.append(np.log(weights), [50.0] * 5), [Region(np.array([1.0]), 1.0, 2.0, 1.0)])
    assert (got.regions, got.z is None, got.ratio is None) == (int(known), not known, not known)
    assert got.draws == len(weights) + 5


def test_the_draws_of_a_canary_are_those_of_its_stage_and_a_quarter_chooses_the_regions(monkeypatch):
    """One component in two dimensions: 28,000 draws, 8,000 of the component for the region."""
    law = shifted(2, 4.0, 0.9)
    one = sampler(Mixture.defensive(law, StandardNormal(dim=2), 0.3), 41)
    blocks, draw = [], Sampler.draw
    monkeypatch.setattr(Sampler, "draw", lambda self, block: blocks.append(block) or draw(self, block))
    got = canary(one, 7)
    assert blocks == [Block(7, 0, 0, 7000), Block(7, 1, 7000, 21_000)]
    (rng,) = stream(41, 7, 0).spawn(1)
    shares, laws = one.proposal.shares, one.proposal.components
    regions = [Region.around(laws[k], rng, 4000) for k in np.argsort(-np.asarray(shares))]
    first, second = one.draw(Block(7, 0, 0, 7000)).copy(), one.draw(Block(7, 1, 7000, 21_000)).copy()
    logs = one.log_weight(first).copy()
    kept = [r for r in regions if _even(logs[r.holds(first)])]
    assert len(kept) == got.regions == 2
    assert got == _compared(second, one.log_weight(second), kept)
    assert got.draws == 21_000


@pytest.mark.parametrize(("share", "regions"), [(0.05, 2), (0.003, 1)])
def test_a_region_whose_draws_are_worth_little_beside_those_of_the_best_is_left_out(share, regions, monkeypatch):
    """About 150 and 10 effective draws of 7,000: forty are enough, and so is a tenth of the best region's number."""
    monkeypatch.setattr("raresim.diagnostics.canary._even", lambda _: True)
    law = Mixture(weights=[1.0 - share, share], components=(shifted(2, 4.0), shifted(2, -4.0)))
    assert canary(sampler(law, 42), 7).regions == regions


@pytest.mark.parametrize(("work", "draws"), [(10**9, 21_000), (400_000, 18_750), (100_000, 4688), (10_000, 1500)])
def test_draws_times_coordinates_times_components_have_a_limit(work, draws, monkeypatch):
    """Eight coordinates, two components; no fewer than 2,000 draws, of which three quarters are compared."""
    monkeypatch.setattr("raresim.diagnostics.canary.MOST_WORK", work)
    assert canary(sampler(Mixture.defensive(shifted(8, 3.0), StandardNormal(dim=8), 0.5), 42), 7).draws == draws


def test_regions_are_those_of_the_largest_shares_the_first_of_equal_ones_first(monkeypatch):
    seen, around = [], Region.around
    recorded = lambda law, rng, n: seen.append((law, n)) or around(law, rng, n)  # noqa: E731
    monkeypatch.setattr("raresim.diagnostics.canary.Region.around", recorded)
    shares = np.where(np.arange(200) % 2, 1.0, 2.0) / 300.0
    law = Mixture(weights=shares, components=tuple(Normal(mean=float(k)) for k in range(200)))
    canary(sampler(law, 43), 7)
    assert [law.mean for law, _ in seen] == [*range(0, 128, 2)]
    assert {n for _, n in seen} == {125}
