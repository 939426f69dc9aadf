"""The contract of a proposal family, over every registered member."""

import numpy as np
import pytest
from scipy import stats

from raresim import StandardNormal
from tests import oracles
from tests.helpers import FALSE_ALARM, assert_within_error, block, draws, examples, logpdf

D = 3
N = 50_000
TARGET = StandardNormal(dim=D)


@pytest.fixture(params=examples("proposal_family"))
def family(request):
    return request.param


def fit(family, current, u, weight=None):
    return family.fit(current, family.suffstats(current, u, np.ones(len(u)) if weight is None else weight))


def elites(seed, sign=1.0, scale=1.0):
    """Draws of a level: shifted, stretched across two coordinates, dependent."""
    u = draws(TARGET, 4000, seed)
    u[:, 0] = scale * (1.6 * u[:, 0] + 0.3 * u[:, 1]) + sign * 2.0
    u[:, 1:] *= scale
    u[:, 2] += sign * 0.5 * u[:, 0]
    return u


def members_of(family, seed):
    """Two members of the family, each fitted twice so that it has all its directions."""
    laws = []
    for k, sign in enumerate((1.0, -0.5)):
        first = fit(family, TARGET, elites(seed + k, sign))
        laws.append(fit(family, first, elites(seed + 10 + k, sign)))
    return laws


def test_fit_recovers_its_own_parameters(family, seed):
    """``2 n KL`` of a maximum-likelihood fit is chi-square with its number of parameters: level 1e-6."""
    for law in members_of(family, seed(61)):
        again = fit(family, law, draws(law, N, seed(62)))
        limit = stats.chi2.isf(FALSE_ALARM, family.n_parameters(D)) / (2 * N)
        assert 0 <= family.kl(again, law) < limit


def test_weighted_fit_recovers_a_law_that_was_not_drawn(family, seed):
    """The cross-entropy update: draws of ``q`` weighted by ``p/q`` have the mean of ``p``, within 5 errors."""
    p = members_of(family, seed(63))[0]
    mean, cov = oracles.centre_and_spread(p)
    q = stats.multivariate_normal(mean, 1.7 * cov)
    u = np.asfortranarray(q.rvs(N, random_state=np.random.default_rng(seed(64))))
    weight = np.exp(logpdf(p, u) - q.logpdf(u))
    got = oracles.centre_and_spread(fit(family, p, u, weight))[0]
    se = np.sqrt((weight[:, None] ** 2 * (u - mean) ** 2).sum(axis=0)) / weight.sum()
    assert_within_error(got, mean, se)


def test_fit_maximises_the_weighted_likelihood(family, seed):
    """No other member is more likely: the fit beats its start and the fits to other weights of the same rows."""
    if family.covariance == "low_rank":
        pytest.skip("its directions are those in which the levels move, not the most likely ones")
    law = members_of(family, seed(65))[0]
    u = elites(seed(66))
    weight = np.random.default_rng(seed(67)).exponential(size=len(u))
    best = weight @ logpdf(fit(family, law, u, weight), u)
    for other in (law, fit(family, law, u[::2].copy(order="F"), weight[::2]), fit(family, law, u)):
        assert weight @ logpdf(other, u) < best + 1e-6 * abs(best)


def test_halves_merge_to_the_whole(family, seed):
    law, u = members_of(family, seed(68))[0], elites(seed(69))
    weight = np.random.default_rng(seed(70)).exponential(size=len(u))
    whole = family.suffstats(law, u, weight)
    parts = [family.suffstats(law, np.asfortranarray(u[s]), weight[s]) for s in (slice(0, 1500), slice(1500, None))]
    merged = parts[0].merge(parts[1])
    for name in ("weight", "weight2", "first", "second"):
        np.testing.assert_allclose(getattr(merged, name), getattr(whole, name), rtol=1e-12, atol=1e-9)


def test_weight_two_equals_a_repeated_row(family, seed):
    law, u = members_of(family, seed(71))[0], elites(seed(72))
    weight = np.ones(len(u))
    weight[:1000] = 2.0
    repeated = np.asfortranarray(np.concatenate([u, u[:1000]]))
    assert family.kl(fit(family, law, u, weight), fit(family, law, repeated)) < 1e-12


def test_scale_of_the_weights_does_not_matter(family, seed):
    law, u = members_of(family, seed(73))[0], elites(seed(74))
    fits = [fit(family, law, u, np.full(len(u), w)) for w in (1.0, 1e-200)]
    assert family.kl(*fits) < 1e-12


def test_no_eigenvalue_falls_below_the_floor(family, seed):
    law = fit(family, TARGET, elites(seed(75)))
    narrow = fit(family, law, elites(seed(76), scale=0.1))
    values = np.linalg.eigvalsh(oracles.centre_and_spread(narrow)[1])
    assert values.min() > family.floor - 1e-12


def test_kl_agrees_with_draws(family, seed):
    """``E_p[log p - log q]`` over draws of ``p``: 5 standard errors; 1 % would show."""
    a, b = members_of(family, seed(77))
    for p, q in ((a, b), (b, a), (a, TARGET), (TARGET, a)):
        u = draws(p, N, seed(78))
        gap = logpdf(p, u) - logpdf(q, u)
        assert_within_error(gap.mean(), family.kl(p, q), gap.std() / np.sqrt(N))


def test_kl_is_zero_for_equal_laws_only_and_has_a_direction(family, seed):
    a, b = members_of(family, seed(79))
    for law in (a, b, TARGET):
        assert family.kl(law, law) == pytest.approx(0.0, abs=1e-12)
    assert family.kl(a, b) > 0.1
    assert family.kl(TARGET, a) > 0.1
    if family.covariance != "mean_shift":
        assert family.kl(a, b) != pytest.approx(family.kl(b, a), rel=1e-3)


def test_more_parameters_than_coordinates_never_fewer(family):
    counts = [family.n_parameters(d) for d in (1, 3, 20)]
    assert counts == sorted(counts)
    assert all(count >= d for count, d in zip(counts, (1, 3, 20), strict=True))


def test_suffstats_of_no_rows_are_zero(family):
    stats_of_none = family.suffstats(TARGET, block(0, D), np.zeros(0))
    assert stats_of_none.weight == stats_of_none.ess == 0.0
