"""The contract of a proposal family, over every registered member."""

import dataclasses

import numpy as np
import pytest
from scipy import stats

from raresim import Mixture, StandardNormal
from raresim.accumulators.base import Accumulator
from raresim.proposals.base import KL_DRAWS, ProposalFamily
from tests import oracles
from tests.helpers import block, draws, examples, logpdf
from tests.statistical import assert_divergence_is_chance, assert_within_error

D = 3
N = 50_000
TARGET = StandardNormal(dim=D)


@pytest.fixture(scope="module", params=examples("proposal_family"))
def family(request):
    return request.param


@pytest.fixture(scope="module")
def members(family, seed):
    """Two members of the family, each fitted twice so that it has all its directions.

    The means of both are well beyond one, where the profile of a directional law changes.
    """
    laws = []
    for k, sign in enumerate((1.0, -0.7)):
        first = refit(family, TARGET, elites(seed(61 + k), sign), seed(61))
        laws.append(refit(family, first, elites(seed(63 + k), sign), seed(62)))
    return laws


def fit(family, current, u, weight=None):
    """One step of the fit: all of it, where it has a closed form."""
    return family.fit(current, family.suffstats(current, u, np.ones(len(u)) if weight is None else weight))


def refit(family, current, u, seed):
    return family.refit(current, u, np.ones(len(u)), np.random.default_rng(seed))


def elites(seed, sign=1.0, scale=1.0):
    """Draws of a level: shifted, stretched across two coordinates, dependent."""
    u = draws(TARGET, 4000, seed)
    u[:, 0] = scale * (1.6 * u[:, 0] + 0.3 * u[:, 1]) + sign * 2.0
    u[:, 1:] *= scale
    u[:, 2] += sign * 0.5 * u[:, 0]
    return u


def has_closed_kl(family):
    return type(family).kl is not ProposalFamily.kl and type(family.part) is type(family)


def divergence(family, p, q, seed):
    """KL(p || q) in closed form, or the mean of ``r - 1 - log r`` for ``r = q / p`` over draws of ``p``.

    That mean has hardly any error where the laws are near each other, and is never below 0.
    """
    if has_closed_kl(family):
        return family.kl(p, q)
    u = draws(p, N, seed)
    log_ratio = logpdf(q, u) - logpdf(p, u)
    return (np.expm1(log_ratio) - log_ratio).mean()


def n_parameters(family, law):
    return len(law.parts[1]) * (1 + family.part.n_parameters(D))


def is_elliptical(law):
    return all(c.kind != "mixture" and oracles.has_oracle(c) for c in law.parts[1])


@pytest.mark.statistical(effect=0.0015, false_fail=2e-7, false_pass=1e-3)
@pytest.mark.slow_cases("gaussian_mixture-0")
def test_fit_recovers_its_own_parameters(family, members, seed):
    for law in members:
        again = fit(family, law, draws(law, N, seed(62)))
        assert_divergence_is_chance(divergence(family, again, law, seed(60)), N, n_parameters(family, law))


@pytest.mark.statistical(effect=0.03, false_fail=1e-7, false_pass=1e-3)
@pytest.mark.slow_cases("gaussian_mixture-0")
def test_weighted_fit_recovers_a_law_that_was_not_drawn(family, members, seed):
    """The cross-entropy update: draws of a wide ``q`` weighted by ``p/q`` give ``p``, within ten times the error."""
    p = members[0]
    seen = draws(p, N, seed(59))
    q = stats.multivariate_t(seen.mean(axis=0) + 0.3, np.cov(seen.T), df=3)
    u = np.asfortranarray(q.rvs(N, random_state=np.random.default_rng(seed(64))))
    weight = np.exp(logpdf(p, u) - q.logpdf(u))
    ess = weight.sum() ** 2 / (weight**2).sum()
    gap = divergence(family, fit(family, p, u, weight), p, seed(60))
    assert_divergence_is_chance(gap, ess / 10, n_parameters(family, p))
    assert divergence(family, fit(family, p, u), p, seed(60)) > gap


def test_mean_of_a_weighted_fit_is_the_weighted_mean(family, members, seed):
    """Of Gaussians and their mixtures, exactly, whatever the shares of the components."""
    law = members[0]
    u = elites(seed(66))
    weight = np.random.default_rng(seed(67)).exponential(size=len(u))
    fitted = fit(family, law, u, weight)
    if not is_elliptical(fitted) or any(c.kind == "student_t" for c in fitted.parts[1]):
        pytest.skip("its parameters are not its mean")
    shares = fitted.shares if isinstance(fitted, Mixture) else [1.0]
    mean = sum(share * oracles.centre_and_spread(c)[0] for share, c in zip(shares, fitted.parts[1], strict=True))
    np.testing.assert_allclose(mean, weight @ u / weight.sum(), rtol=1e-9)


def follows_the_mean(family):
    return family.kind == "directional" or getattr(family, "covariance", "") == "low_rank"


def test_fit_maximises_the_weighted_likelihood(family, members, seed):
    """No step makes the rows less likely, and no fit to other weights of the same rows beats the last."""
    if follows_the_mean(family):
        pytest.skip("its directions are those in which the levels move, not the most likely ones")
    law = members[0]
    u = elites(seed(66))
    weight = np.random.default_rng(seed(67)).exponential(size=len(u))

    def likelihood(one):
        return weight @ logpdf(one, u)

    best, steps = law, 1 if family.passes == 1 else 100
    for _ in range(steps):
        better = fit(family, best, u, weight)
        assert likelihood(better) > likelihood(best) - 1e-6 * abs(likelihood(best))
        best = better
    for other in (law, fit(family, law, u[::2].copy(order="F"), weight[::2]), fit(family, law, u)):
        assert likelihood(other) < likelihood(best) + 1e-6 * abs(likelihood(best))


def numbers(statistics):
    """All numbers of nested statistics, by their place."""
    for field in dataclasses.fields(statistics):
        value = getattr(statistics, field.name)
        for one in value if isinstance(value, tuple) else (value,):
            if isinstance(one, Accumulator):
                yield from numbers(one)
            else:
                yield np.asarray(one)


def test_halves_merge_to_the_whole(family, members, seed):
    law, u = members[0], elites(seed(69))
    weight = np.random.default_rng(seed(70)).exponential(size=len(u))
    whole = family.suffstats(law, u, weight)
    parts = [family.suffstats(law, np.asfortranarray(u[s]), weight[s]) for s in (slice(0, 1500), slice(1500, None))]
    for got, expected in zip(numbers(parts[0].merge(parts[1])), numbers(whole), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-9)


def test_weight_two_equals_a_repeated_row(family, members, seed):
    law, u = members[0], elites(seed(72))
    weight = np.ones(len(u))
    weight[:1000] = 2.0
    repeated = np.asfortranarray(np.concatenate([u, u[:1000]]))
    once, twice = fit(family, law, u, weight), fit(family, law, repeated)
    assert divergence(family, once, twice, seed(60)) < 1e-12


def test_scale_of_the_weights_does_not_matter(family, members, seed):
    law, u = members[0], elites(seed(74))
    fits = [fit(family, law, u, np.full(len(u), w)) for w in (1.0, 1e-200)]
    assert divergence(family, *fits, seed(60)) < 1e-12


def test_no_eigenvalue_falls_below_the_floor(family, seed):
    law = refit(family, TARGET, elites(seed(75)), seed(75))
    if not is_elliptical(law):
        pytest.skip("its floor is not one of a covariance")
    narrow = fit(family, law, elites(seed(76), scale=0.1))
    for component in narrow.parts[1]:
        assert np.linalg.eigvalsh(oracles.centre_and_spread(component)[1]).min() > family.floor - 1e-12


@pytest.mark.statistical(effect=2.5, false_fail=4e-7, false_pass=1e-3)
def test_kl_agrees_with_draws(family, members, seed):
    """``E_p[log p - log q]`` over draws of ``p``: 5 standard errors; 1 % would show where it has a closed form."""
    a, b = members
    for p, q in ((a, b), (b, a), (a, TARGET), (TARGET, a)):
        u = draws(p, N, seed(78))
        gap = logpdf(p, u) - logpdf(q, u)
        error = np.hypot(1.0, 0.0 if has_closed_kl(family) else np.sqrt(N / KL_DRAWS)) * gap.std() / np.sqrt(N)
        assert_within_error(gap.mean(), family.kl(p, q), error)


def test_kl_is_zero_for_equal_laws_only_and_has_a_direction(family, members, seed):
    a, b = members
    for law in (a, b, TARGET):
        assert family.kl(law, law) == pytest.approx(0.0, abs=1e-12)
    assert family.kl(a, b) > 0.1
    assert family.kl(TARGET, a) > 0.1
    if getattr(family, "covariance", "") != "mean_shift" and family.space == "standard":
        assert family.kl(a, b) != pytest.approx(family.kl(b, a), rel=1e-3)


def test_more_coordinates_never_take_fewer_parameters(family):
    counts = [family.n_parameters(d) for d in (1, 3, 20)]
    assert counts == sorted(counts)
    assert counts[0] >= family.part.n_parameters(1) >= 1


def test_suffstats_of_no_rows_are_zero(family):
    stats_of_none = family.suffstats(TARGET, block(0, D), np.zeros(0))
    assert stats_of_none.weight == stats_of_none.ess == 0.0


def test_nothing_is_lacking_where_elites_are_many(family, seed):
    law = refit(family, TARGET, elites(seed(58)), seed(57))
    assert "without" not in family.shortfall(law)
