"""Weighted EM of a search: what it recovers, how many components it takes, and what few draws do to it."""

import math

import mpmath
import numpy as np
import pytest
from scipy import stats

from raresim.diagnostics.ess import effective
from raresim.distributions.base import log_density
from raresim.distributions.exponentially_modified_normal import log_mills
from raresim.search.fitting import Part, beginnings, capped, em, fit_mixture, mixed, radial, tail_moments
from tests.helpers import normals

RESTS = ["unit", "pooled"]


def rng():
    return np.random.default_rng(31)


def beyond(n, d, distance, seed, axis=0, sign=1.0):
    """Draws of a standard normal beyond the plane at ``distance`` on one axis."""
    u = normals(n, d, seed)
    tail = np.random.default_rng(seed + 1).uniform(size=n) * stats.norm.sf(distance)
    u[:, axis] = sign * stats.norm.isf(tail)
    return u


def around(*centres, n, std=1.0, seed):
    """``n`` draws around each centre."""
    d = len(centres[0])
    return np.concatenate([np.array(c) + std * normals(n, d, seed + k) for k, c in enumerate(centres)])


def fitted(u, rest="pooled", weight=None, begin=()):
    return fit_mixture(np.asfortranarray(u), np.ones(len(u)) if weight is None else weight, rest, rng(), begin)


def variance_of(law, u):
    """Relative variance of the weight of a draw of ``law``, for an event that ``u`` are draws of the target in."""
    log_ratio = -0.5 * np.square(u).sum(axis=1) - 0.5 * u.shape[1] * math.log(2.0 * math.pi) - log_density(law, u)
    return np.exp(log_ratio)


def anchored(point, share=1.0):
    """A component that a walk uphill found."""
    point = np.asarray(point, dtype=float)
    distance = float(np.linalg.norm(point))
    direction = point / distance
    variance = np.array([1.0 / distance**2])
    return Part(share, point, np.asfortranarray(direction[:, None]), variance, 1.0, direction, distance, direction)


def mean_of(part):
    return part.mean if part.tail is None else part.mean + part.tail / part.rate


# --- weights -----------------------------------------------------------------------------------------


def test_effective_number_of_rows():
    assert effective(np.array([3.0, 3.0, 3.0])) == pytest.approx(3.0)
    assert effective(np.array([2.0, 1.0])) == pytest.approx(9.0 / 5.0)
    assert effective(np.array([1.0, 0.0, 0.0])) == pytest.approx(1.0)
    assert effective(np.zeros(4)) == 0.0
    assert effective(np.empty(0)) == 0.0
    assert effective(np.array([1e-200, 1e-200, 0.0])) == pytest.approx(2.0)  # the squares would vanish


@pytest.mark.parametrize("heaviest", [1.0, 10.0, 1e3, 1e9, 1e30])
def test_capped_weights_add_to_one_and_none_decides(heaviest):
    weight = np.array([heaviest, *np.linspace(0.5, 1.0, 40)])
    light = capped(weight)
    assert light.sum() == pytest.approx(1.0)
    assert light.max() <= 0.2 * (1.0 + 1e-6)
    np.testing.assert_allclose(light[1:] / light[1], weight[1:] / weight[1], rtol=1e-9)
    assert light[0] >= light[1:].max()


def test_weights_that_need_no_cap_are_only_normalised():
    weight = np.arange(1.0, 21.0)
    np.testing.assert_allclose(capped(weight), weight / weight.sum(), rtol=1e-12)
    np.testing.assert_allclose(capped(np.array([7.0, 7.0, 7.0])), 1.0 / 3.0)


# --- components --------------------------------------------------------------------------------------


@pytest.mark.parametrize("d", [1, 2, 7])
@pytest.mark.parametrize("with_tail", [True, False])
def test_density_of_a_component_is_that_of_its_law(d, with_tail):
    basis = np.linalg.qr(normals(d, d, 2))[0][:, : (d + 1) // 2]
    tail = np.ones(d) / math.sqrt(d)
    part = Part(
        0.4, np.arange(d) + 1.0, np.asfortranarray(basis), np.linspace(0.2, 2.0, basis.shape[1]), 0.8,
        tail if with_tail else None, 2.5,
    )  # fmt: skip
    u = normals(30, d, 3) + 1.0
    np.testing.assert_allclose(
        part.see(np.asfortranarray(u)).log_density, log_density(part.law(), u), rtol=1e-10, atol=1e-10
    )


@pytest.mark.parametrize("h", [-300.0, -61.0, -20.0, -1.0, 0.0, 3.0, 8.9, 12.0, 90.0])
def test_exponential_part_given_a_draw_is_a_normal_law_cut_off_at_zero(h):
    """Also beyond both ends of the table, where the mean is ``1 / (root |h|)`` and nearly all cancels."""
    root, expected, mills = 2.5, np.empty(2), np.empty(2)
    log_mills(np.full(2, h), mills)
    first, variance = tail_moments(np.full(2, h), mills, root, np.array([0.25, 0.75]), expected)
    with mpmath.workdps(60):
        ratio = mpmath.npdf(h) / mpmath.ncdf(h)
        mean, square = (h + ratio) / root, (1 - h * ratio - ratio**2) / root**2
    np.testing.assert_allclose(expected, float(mean), rtol=1e-6)
    assert first == pytest.approx(float(mean), rel=1e-6)
    assert variance == pytest.approx(float(square), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("rest", RESTS)
@pytest.mark.parametrize("d", [1, 3, 12, 60])
def test_broad_copy_is_nowhere_narrower_than_the_target(rest, d):
    """Variances of at least one in every direction, around the same mean."""
    fit = fitted(beyond(200, d, 4.0, 41), rest)
    for part in fit.parts:
        broad = part.broad()
        assert broad.rate is None
        assert min([broad.bulk, *broad.spread]) >= 1.0
        np.testing.assert_allclose(broad.location, mean_of(part), atol=1e-9)


def test_mixture_of_laws_has_the_shares_given():
    laws = [anchored([3.0, 0.0]).law(), anchored([0.0, 4.0]).law()]
    u = normals(20, 2, 4)
    expected = np.log(0.25 * np.exp(log_density(laws[0], u)) + 0.75 * np.exp(log_density(laws[1], u)))
    np.testing.assert_allclose(log_density(mixed([1.0, 3.0], laws), u), expected, rtol=1e-10)
    assert mixed([0.3], laws[:1]) is laws[0]


# --- one component -----------------------------------------------------------------------------------


@pytest.mark.parametrize("rest", RESTS)
@pytest.mark.parametrize(("d", "n"), [(1, 200), (2, 200), (10, 300), (25, 600)])
def test_half_space_is_fitted_by_one_component_with_its_tail(rest, d, n, seed):
    """The event beyond a plane at distance 4: direction, place, rate, and the variance that fresh draws would have."""
    fit = fitted(beyond(n, d, 4.0, seed(741)), rest)
    (part,) = fit.parts
    assert part.tail[0] > 0.9
    assert mean_of(part)[0] == pytest.approx(stats.norm.pdf(4.0) / stats.norm.sf(4.0), abs=0.1)
    assert 2.0 < part.rate < 15.0
    fresh = beyond(2000, d, 4.0, seed(742))
    ratio = variance_of(fit.law(), fresh)
    assert ratio.mean() / stats.norm.sf(4.0) < 2.0 * math.exp(2.0 * d / n)
    assert np.isfinite(fit.bic)


def test_wide_half_space_needs_a_beginning_that_knows_its_direction(seed):
    """200 dimensions: the component at the design point beats any that draws alone give, and stays there."""
    u = beyond(150, 200, 4.0, seed(743))
    point = np.zeros(200)
    point[0] = 4.0
    alone, begun = fitted(u), fitted(u, begin=[[anchored(point)]])
    fresh = beyond(1000, 200, 4.0, seed(744))
    assert log_density(begun.law(), fresh).mean() > log_density(alone.law(), fresh).mean() + 0.2
    assert begun.parts[0].tail[0] > 0.97


@pytest.mark.parametrize("rest", RESTS)
def test_a_normal_around_the_origin_has_no_tail(rest, seed):
    (part,) = fitted(1.5 * normals(500, 3, seed(745)), rest).parts
    assert part.tail is None
    np.testing.assert_allclose(part.law().location, 0.0, atol=0.3)
    widths = np.append(part.values, part.bulk) if part.values.size < 3 else part.values
    np.testing.assert_allclose(widths, 2.25, atol=0.6)


def test_variances_away_from_one_are_seen(seed):
    """Standard deviations 0.1 and 2 on two axes, the third as the target has it."""
    u = normals(400, 3, seed(746)) * [0.1, 2.0, 1.0]
    (part,) = fitted(u, "unit").parts
    covariance = part.bulk * np.eye(3) + part.vectors @ np.diag(part.values - part.bulk) @ part.vectors.T
    np.testing.assert_allclose(np.diag(covariance), [0.01, 4.0, 1.0], rtol=0.35)


def test_weights_count_as_repeated_rows(seed):
    u = beyond(100, 3, 3.0, seed(747))
    weight = np.random.default_rng(seed(748)).integers(1, 4, 100).astype(float)
    (start,) = beginnings(u, np.full(100, 0.01), np.ones((100, 1)), "unit")
    repeated = np.repeat(u, weight.astype(int), axis=0)
    one = em(u, weight / weight.sum(), [start], "unit")
    two = em(repeated, np.full(len(repeated), 1.0 / len(repeated)), [start], "unit")
    np.testing.assert_allclose(mean_of(one.parts[0]), mean_of(two.parts[0]), rtol=0.02, atol=0.02)
    assert one.ess < two.ess == pytest.approx(len(repeated))


# --- several -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("rest", RESTS)
def test_two_half_spaces_far_apart_are_recovered(rest, seed):
    """300 and 700 draws beyond opposite planes: shares, places, tails."""
    u = np.concatenate([beyond(300, 3, 3.0, seed(751)), beyond(700, 3, 4.0, seed(752), sign=-1.0)])
    fit = fitted(u, rest)
    assert 2 <= len(fit.parts) <= 4
    for side, share, place in ((1.0, 0.3, 3.28), (-1.0, 0.7, 4.23)):
        parts = [part for part in fit.parts if side * part.mean[0] > 0]
        assert sum(part.share for part in parts) == pytest.approx(share, abs=0.01)
        mean = sum(part.share * mean_of(part)[0] for part in parts) / share
        assert side * mean == pytest.approx(place, abs=0.15)
        assert all(side * part.tail[0] > 0.85 for part in parts)


@pytest.mark.parametrize(
    ("centres", "count"),
    [
        ([[3.0, 3.0]], 1),
        ([[6.0, 0.0], [-6.0, 0.0]], 2),
        ([[5.0, 5.0], [-5.0, 5.0], [5.0, -5.0], [-5.0, -5.0]], 4),
        ([[8.0, 0, 0], [-8.0, 0, 0], [0, 8.0, 0], [0, -8.0, 0], [0, 0, 8.0], [0, 0, -8.0]], 6),
        ([[0.0] * 15 + [5.0] * 5], 1),
        ([[6.0] + [0.0] * 19, [-6.0] + [0.0] * 19], 2),
        ([[8.0] + [0.0] * 79, [-8.0] + [0.0] * 79], 2),
    ],
    ids=["one", "two", "four", "six", "one-d20", "two-d20", "two-d80"],
)
def test_bic_counts_clear_clusters(centres, count, seed):
    fit = fitted(around(*centres, n=300, std=0.9, seed=seed(753)))
    assert len(fit.parts) == count
    assert sum(part.share for part in fit.parts) == pytest.approx(1.0, abs=0.01)


def test_six_dimensions_of_two_sided_events_are_all_covered(seed):
    """Twelve half-spaces at 4.5: the variance that a single normal would have is in the thousands."""
    parts = [beyond(60, 6, 4.5, seed(754 + k), axis=k // 2, sign=1.0 - 2.0 * (k % 2)) for k in range(12)]
    fit = fitted(np.concatenate(parts))
    fresh = np.concatenate(
        [beyond(100, 6, 4.5, seed(774 + k), axis=k // 2, sign=1.0 - 2.0 * (k % 2)) for k in range(12)]
    )
    assert variance_of(fit.law(), fresh).mean() / (12.0 * stats.norm.sf(4.5)) < 6.0
    assert len(fit.parts) >= 8


@pytest.mark.parametrize("rest", RESTS)
@pytest.mark.parametrize("d", [2, 8, 40])
def test_likelihood_does_not_fall(rest, d, seed):
    """From a bad beginning, and from its own end: but for what shrinking of variances costs."""
    u = np.concatenate([beyond(200, d, 3.0, seed(791)), beyond(200, d, 3.0, seed(792), sign=-1.0)])
    weight = np.full(400, 1.0 / 400)
    crooked = np.random.default_rng(seed(793)).dirichlet([1.0, 1.0, 1.0], 400)
    start = beginnings(u, weight, crooked, rest)
    law = mixed([p.share for p in start], [p.law() for p in start])
    begun = float(weight @ log_density(law, u))
    one = em(u, weight, start, rest)
    two = em(u, weight, one.parts, rest)
    assert one.log_likelihood >= begun - 0.02
    assert two.log_likelihood >= one.log_likelihood - 0.02
    assert float(weight @ log_density(one.law(), u)) == pytest.approx(one.log_likelihood, abs=0.02)


# --- components from walks uphill --------------------------------------------------------------------


def test_component_without_draws_keeps_its_place_and_a_share(seed):
    """Two design points, draws at one of them only: the other is kept for the draws to come."""
    u = beyond(200, 4, 4.0, seed(794))
    here, there = anchored([4.0, 0.0, 0.0, 0.0], 0.5), anchored([0.0, 0.0, -5.0, 0.0], 0.5)
    fit = em(u, np.full(200, 0.005), [here, there], "unit")
    assert len(fit.parts) == 2
    moved, kept = fit.parts
    np.testing.assert_array_equal(kept.mean, there.mean)
    np.testing.assert_array_equal(kept.values, there.values)
    np.testing.assert_array_equal(kept.tail, there.tail)
    assert kept.rate == there.rate
    assert 1e-6 < kept.share < 0.05
    assert moved.share > 0.9
    assert not np.array_equal(moved.mean, here.mean)


def test_kept_component_costs_no_parameters(seed):
    u = beyond(200, 4, 4.0, seed(794))
    here, there = anchored([4.0, 0.0, 0.0, 0.0], 0.5), anchored([0.0, 0.0, -5.0, 0.0], 0.5)
    one, two = (em(u, np.full(200, 0.005), parts, "unit") for parts in ([here], [here, there]))
    assert two.parameters <= one.parameters + 1.0 + 0.5


def test_component_without_draws_and_without_a_walk_dies(seed):
    u = beyond(200, 4, 4.0, seed(795))
    far = Part(0.5, np.full(4, -20.0), np.zeros((4, 0)), np.zeros(0), 1.0, None, 0.0)
    near = Part(0.5, np.array([4.0, 0.0, 0.0, 0.0]), np.zeros((4, 0)), np.zeros(0), 1.0, None, 0.0)
    fit = em(u, np.full(200, 0.005), [near, far], "unit")
    assert len(fit.parts) == 1
    assert mean_of(fit.parts[0])[0] > 3.0


def test_noise_across_an_anchor_is_shrunk_away(seed):
    """40 dimensions, 80 draws: the mean has noise of length 0.7 across the anchor; James and Stein leave a third."""
    d, n = 40, 80
    u = beyond(n, d, 4.0, seed(796))
    point = np.zeros(d)
    point[0] = 4.0
    (part,) = em(u, np.full(n, 1.0 / n), [anchored(point)], "pooled").parts
    raw, kept = (np.linalg.norm(m[1:]) for m in (u.mean(axis=0), mean_of(part)))
    assert raw > 0.4
    assert kept < 0.6 * raw
    assert mean_of(part)[0] == pytest.approx(u[:, 0].mean(), abs=1e-9)


def test_offset_across_an_anchor_that_draws_insist_on_is_kept(seed):
    """The event lies three units beside the design point that a walk found: the factor is 1 - (d - 3) / (9 n)."""
    d, n = 40, 80
    u = beyond(n, d, 4.0, seed(797))
    u[:, 1] += 3.0
    point = np.zeros(d)
    point[0] = 4.0
    (part,) = em(u, np.full(n, 1.0 / n), [anchored(point)], "pooled").parts
    assert mean_of(part)[1] == pytest.approx(u[:, 1].mean(), rel=0.08)


# --- few and odd draws -------------------------------------------------------------------------------


def odd(case, d):
    u = beyond(60, d, 3.0, 51)
    weight = np.ones(60)
    if case == "one":
        u, weight = u[:1], weight[:1]
    elif case == "two":
        u, weight = u[:2], np.array([1.0, 1e-9])
    elif case == "three":
        u, weight = u[:3], np.array([1.0, 0.5, 0.1])
    elif case == "same":
        u = np.repeat(u[:1], 60, axis=0)
    elif case == "two places":
        u = np.repeat(u[:2], 30, axis=0)
    elif case == "heavy":
        weight[0] = 1e12
    elif case == "wild":
        weight = np.exp(10.0 * normals(60, 1, 52)[:, 0])
    elif case == "tiny":
        weight = np.full(60, 1e-300)
    elif case == "far":
        u = u + 100.0
    elif case == "line":
        u[:, 1:] = 0.0
    return np.asfortranarray(u), weight


@pytest.mark.parametrize("rest", RESTS)
@pytest.mark.parametrize("d", [1, 2, 12, 80])
@pytest.mark.parametrize("case", ["one", "two", "three", "same", "two places", "heavy", "wild", "tiny", "far", "line"])
def test_odd_draws_give_a_law_all_the_same(case, d, rest):
    """Whatever is fitted to: a density that is finite at the draws, without a warning."""
    u, weight = odd(case, d)
    fit = fit_mixture(u, weight, rest, rng())
    for law in (fit.law(), fit.broad()):
        assert np.isfinite(log_density(law, u)).all()
        x = np.empty((20, d), order="F")
        law.sample(rng(), x)
        assert np.isfinite(x).all()


def test_more_draws_than_are_looked_at_change_little(seed):
    """Ten thousand rows are thinned; the fit is that of all within the noise of the part."""
    u = beyond(10_000, 2, 3.0, seed(798))
    fit = fitted(u)
    assert len(fit.parts) <= 3
    mean = sum(part.share * mean_of(part) for part in fit.parts)
    np.testing.assert_allclose(mean, [3.28, 0.0], atol=0.15)


# --- all directions alike ----------------------------------------------------------------------------


@pytest.mark.parametrize(("d", "low", "high"), [(2, 5.0, 5.4), (3, 0.0, 0.3), (100, 13.0, 14.0)])
def test_radial_law_has_the_mean_and_spread_of_the_squared_radii(d, low, high, seed):
    u = normals(4000, d, seed(760))
    u *= (np.random.default_rng(seed(761)).uniform(low, high, 4000) / np.linalg.norm(u, axis=1))[:, None]
    law, broad = radial(u, np.ones(4000))
    square = np.square(np.linalg.norm(u, axis=1))
    assert law.spread == pytest.approx(square.mean())
    assert law.shape == pytest.approx(max(0.5 * d, square.mean() ** 2 / square.var()))
    x = np.asfortranarray(np.geomspace(1e-3, 100.0, 50)[:, None] * np.eye(d)[-1])
    assert log_density(law, x[:1])[0] < math.inf
    fall = -0.5 * np.square(x[:, -1]) - log_density(broad, x)
    assert (np.diff(fall) <= 1e-9).all()  # the target over it never rises outwards


def test_radial_law_of_weighted_draws():
    u = np.asfortranarray([[1.0, 0.0], [0.0, -1.0], [2.0, 0.0], [0.0, 2.0]] * 10)
    law, _ = radial(u, np.array([3.0, 3.0, 1.0, 1.0] * 10))
    assert law.spread == pytest.approx(0.75 * 1.0 + 0.25 * 4.0)
