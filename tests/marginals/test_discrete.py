"""Discrete marginals against SciPy, exact sums and their own definitions."""

import math

import mpmath as mp
import numpy as np
import pytest
from scipy import special, stats

from raresim.errors import DataError, FieldError
from raresim.marginals.bernoulli import Bernoulli
from raresim.marginals.binomial import Binomial
from raresim.marginals.empirical import Empirical
from raresim.marginals.finite import Finite
from raresim.marginals.geometric import Geometric
from raresim.marginals.negative_binomial import NegativeBinomial
from raresim.marginals.poisson import Poisson
from raresim.numerics.streams import stream
from tests.statistical import assert_count, assert_within_error

SAMPLE = [3.0, 1.0, 3.0, 7.5, -2.0, 3.0, 1.0, 9.0]

AGAINST_SCIPY = [
    (Bernoulli(p=0.3), stats.bernoulli(0.3)),
    (Binomial(n=1, p=0.2), stats.binom(1, 0.2)),
    (Binomial(n=20, p=0.3), stats.binom(20, 0.3)),
    (Binomial(n=7, p=0.999), stats.binom(7, 0.999)),
    (Binomial(n=1_000_000, p=1e-4), stats.binom(1_000_000, 1e-4)),
    (Poisson(mu=1e-3), stats.poisson(1e-3)),
    (Poisson(mu=3.5), stats.poisson(3.5)),
    (Poisson(mu=1e4), stats.poisson(1e4)),
    (Geometric(p=0.3), stats.geom(0.3)),
    (Geometric(p=0.01), stats.geom(0.01)),
    (NegativeBinomial(n=2.5, p=0.3), stats.nbinom(2.5, 0.3)),
    (NegativeBinomial(n=300.0, p=0.9), stats.nbinom(300.0, 0.9)),
    (
        Finite(values=[2.0, 0.0, 5.0], probabilities=[0.5, 0.2, 0.3]),
        stats.rv_discrete(values=([0, 2, 5], [0.2, 0.5, 0.3])),
    ),
    (Empirical(values=SAMPLE), None),
]
LAWS = [law for law, _ in AGAINST_SCIPY]
NAMES = [f"{law.kind}-{k}" for k, law in enumerate(LAWS)]
WIDE = [Poisson(mu=1e9), NegativeBinomial(n=0.5, p=1e-6), Geometric(p=1e-6), Binomial(n=4_000_000_000, p=0.3)]
every_law = pytest.mark.parametrize("law", LAWS, ids=NAMES)
wide_law = pytest.mark.parametrize("law", WIDE, ids=[law.kind for law in WIDE])


def summed(pmf, ratio, k, step):
    """The exact tail that begins at ``k``: the first term times the series of its ratios."""
    term = pmf(k)
    total = mp.mpf(0)
    while term > total * mp.mpf(10) ** -19:
        total += term
        term *= ratio(k)
        k += step
    return total


def poisson(mu):
    def pmf(k):
        return mp.exp(k * mp.log(mu) - mu - mp.loggamma(k + 1))

    return Poisson(mu=mu), pmf, lambda k: mp.mpf(mu) / (k + 1), lambda k: k / mp.mpf(mu)


def binomial(n, p):
    q = mp.mpf(p)

    def pmf(k):
        log_ways = mp.loggamma(n + 1) - mp.loggamma(k + 1) - mp.loggamma(n - k + 1)
        return mp.exp(log_ways + k * mp.log(q) + (n - k) * mp.log1p(-q))

    def up(k):
        return (n - k) / mp.mpf(k + 1) * q / (1 - q)

    return Binomial(n=n, p=p), pmf, up, lambda k: 1 / up(k - 1) if k else 0


def negative_binomial(n, p):
    m, q = mp.mpf(n), mp.mpf(p)

    def pmf(k):
        return mp.exp(mp.loggamma(m + k) - mp.loggamma(m) - mp.loggamma(k + 1) + m * mp.log(q) + k * mp.log1p(-q))

    def up(k):
        return (m + k) / (k + 1) * (1 - q)

    return NegativeBinomial(n=n, p=p), pmf, up, lambda k: 1 / up(k - 1) if k else 0


TAILS = [
    (poisson(3.5), [0, 1, 8, 50, 150], 1e-12),
    (poisson(1e4), [6600, 7000, 9900, 11000, 13500], 1e-12),
    (poisson(1e9), [10**9 - 10**6, 10**9 + 10**6], 1e-12),
    (binomial(20, 0.3), [0, 1, 15, 19], 1e-12),
    (binomial(10**6, 1e-4), [2, 20, 200, 500, 600], 1e-12),
    # Half an ulp of p moves these tails by 2e-12.
    (binomial(10**6, 0.4), [385_000, 418_000], 4e-12),
    (negative_binomial(2.5, 0.3), [0, 30, 1000], 1e-12),
    (negative_binomial(40.0, 0.01), [100, 9000, 30_000], 1e-12),
    (negative_binomial(0.3, 0.999), [1, 5], 1e-12),
    (negative_binomial(500.0, 1e-3), [310_000, 720_000], 1e-12),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "places", "tolerance"), TAILS, ids=lambda v: v[0].describe() if isinstance(v, tuple) else ""
)
def test_small_tails_are_exact(case, places, tolerance):
    law, pmf, up, down = case
    with mp.workdps(40):
        for k in places:
            assert float(law.logpdf(k) - mp.log(pmf(k))) == pytest.approx(0, abs=tolerance)
            if k > law.moments().mean:
                assert float(law.logsf(k) - mp.log(summed(pmf, up, k + 1, 1))) == pytest.approx(0, abs=tolerance)
            else:
                assert float(law.logcdf(k) - mp.log(summed(pmf, down, k, -1))) == pytest.approx(0, abs=tolerance)


def test_geometric_tail_is_exact_at_any_depth():
    law = Geometric(p=1e-6)
    with mp.workdps(40):
        for k in (1, 1000, 10**6, 7 * 10**8, 10**12):
            log_sf = k * mp.log1p(-mp.mpf(1e-6))
            assert float(law.logsf(k)) == pytest.approx(float(log_sf), rel=1e-14)
            if k < 10**8:
                assert float(law.logcdf(k)) == pytest.approx(float(mp.log(-mp.expm1(log_sf))), rel=1e-13)
            assert law.quantile(float(law.logsf(k)), upper=True) == k


@pytest.mark.parametrize(("law", "scipy_law"), AGAINST_SCIPY[:-1], ids=NAMES[:-1])
def test_probabilities_and_tails_match_scipy(law, scipy_law):
    low, high = scipy_law.ppf([1e-9, 1 - 1e-9])
    x = np.unique(np.concatenate((np.linspace(low - 2, high + 2, 60).round(), [low, low + 0.5, high])))
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(np.exp(law.logpdf(x)), scipy_law.pmf(x), rtol=1e-9, atol=1e-300)
    np.testing.assert_allclose(law.cdf(x), scipy_law.cdf(x), rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(law.sf(x), scipy_law.sf(x), rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize(("law", "scipy_law"), AGAINST_SCIPY[:-2], ids=NAMES[:-2])
def test_moments_and_entropy_match_scipy_and_the_sum(law, scipy_law):
    np.testing.assert_allclose(law.moments(), [float(m) for m in scipy_law.stats("mvsk")], rtol=1e-8)
    k, p = law.atoms, np.exp(law.logpdf(law.atoms))
    mean = p @ k
    third = p @ (k - mean) ** 3 / (p @ (k - mean) ** 2) ** 1.5
    np.testing.assert_allclose(law.moments()[:3], [mean, p @ (k - mean) ** 2, third], rtol=1e-8)
    assert law.entropy() == pytest.approx(special.entr(p).sum(), rel=1e-10)


@every_law
def test_atoms_carry_all_probability_and_reach_both_ends(law):
    assert np.exp(law.logpdf(law.atoms)).sum() == pytest.approx(1, abs=1e-12)
    assert np.all(np.diff(law.atoms) > 0)
    low, high = law.support
    assert law.atoms[0] == low or law.logcdf(law.atoms[0]) < math.log(1e-307)
    assert law.atoms[-1] == high or law.logsf(law.atoms[-1]) < math.log(1e-307)


def neighbours(law, x):
    """The atom before each of ``x``; minus infinity before the first."""
    return np.concatenate(([-np.inf], law.atoms))[np.searchsorted(law.atoms, x)] if law.atoms is not None else x - 1


@pytest.mark.parametrize("law", LAWS + WIDE, ids=[*NAMES, *(f"wide-{law.kind}" for law in WIDE)])
def test_quantile_is_the_smallest_value_that_satisfies_its_inequality(law):
    rng = np.random.default_rng(3)
    log_p = np.concatenate((np.log(rng.uniform(size=60)), -np.geomspace(1, 700, 40)))
    x = law.quantile(log_p)
    assert (law.logcdf(x) >= log_p - 3e-12).all()
    assert (law.logcdf(neighbours(law, x)) < log_p).all()
    x = law.quantile(log_p, upper=True)
    assert (law.logsf(x) <= log_p + 3e-12).all()
    assert (law.logsf(neighbours(law, x)) > log_p).all()


@every_law
def test_quantile_returns_each_atom_from_its_own_tail(law):
    atoms = law.atoms[:: max(1, law.atoms.size // 2000)]
    log_cdf, log_sf = law.logcdf(atoms), law.logsf(atoms)
    lower, upper = log_cdf < math.log(0.5), log_sf < math.log(0.5)
    np.testing.assert_array_equal(law.quantile(log_cdf[lower]), atoms[lower])
    np.testing.assert_array_equal(law.quantile(log_sf[upper], upper=True), atoms[upper])
    # From a probability in double precision the same, while its complement has the digits.
    middle = (log_cdf > math.log(1e-3)) & (log_sf > math.log(1e-3))
    np.testing.assert_array_equal(law.ppf(law.cdf(atoms[middle])), atoms[middle])
    np.testing.assert_array_equal(law.isf(law.sf(atoms[middle])), atoms[middle])


@pytest.mark.parametrize("law", LAWS + WIDE, ids=[*NAMES, *(f"wide-{law.kind}" for law in WIDE)])
def test_ends_of_the_quantile_are_the_support(law):
    low, high = law.support
    np.testing.assert_array_equal(law.ppf([0.0, 1.0]), [low, high])
    np.testing.assert_array_equal(law.isf([0.0, 1.0]), [high, low])
    assert np.isnan(law.ppf([np.nan, -0.1, 1.1])).all()
    assert np.isnan(law.logcdf(np.nan))
    assert np.isnan(law.logsf(np.nan))
    assert np.isnan(law.logpdf(np.nan))
    assert law.logcdf(low - 1) == -np.inf
    assert law.logsf(low - 1) == 0
    assert law.logpdf(low - 0.5) == -np.inf


@wide_law
def test_law_of_more_than_a_million_atoms_searches_its_quantiles(law):
    assert law.atoms is None
    u = np.random.default_rng(8).standard_normal(300) * 2
    x = np.empty(u.shape)
    law.from_normal(u, x)
    lower, upper = u < 0, u > 0
    tail = special.log_ndtr(-np.abs(u))
    assert (law.logcdf(x[lower]) >= tail[lower] - 3e-12).all()
    assert (law.logcdf(x[lower] - 1) < tail[lower]).all()
    assert (law.logsf(x[upper]) <= tail[upper] + 3e-12).all()
    assert (law.logsf(x[upper] - 1) > tail[upper]).all()


@pytest.mark.slow
def test_entropy_of_wide_laws():
    mu = 1e9
    assert Poisson(mu=mu).entropy() == pytest.approx(
        0.5 * math.log(2 * math.pi * math.e * mu) - 1 / (12 * mu), abs=1e-12
    )
    law = Geometric(p=1e-6)
    assert NegativeBinomial(n=1.0, p=1e-6).entropy() == pytest.approx(law.entropy(), rel=1e-11)
    # A narrower law by its sum and by the integral.
    narrow = NegativeBinomial(n=0.5, p=1e-3)
    by_sum = narrow.entropy()
    again = NegativeBinomial(n=0.5, p=1e-3)
    object.__setattr__(again, "_table", None)
    assert again.entropy() == pytest.approx(by_sum, rel=1e-10)


@every_law
@pytest.mark.statistical(effect=0.2, false_fail=3e-7, false_pass=1e-3)
def test_draws_have_the_law(law, seed):
    n = 20_000
    x = np.empty(n)
    law.sample(stream(seed(4001), 0, 0), x)
    assert np.isin(x, law.atoms).all()
    for q in law.quantile(np.log([0.2, 0.5, 0.9])):
        assert_count((x <= q).sum(), n, float(law.cdf(q)))


def test_far_tail_is_reached_from_the_normal():
    out = np.empty(2)
    Poisson(mu=3.5).from_normal(np.array([-37.0, 37.0]), out)
    assert out[0] == 0
    assert Poisson(mu=3.5).logsf(out[1]) <= special.log_ndtr(-37.0) < Poisson(mu=3.5).logsf(out[1] - 1)


@pytest.mark.parametrize(
    "law",
    [Bernoulli(p=0.3), Poisson(mu=3.5), Geometric(p=0.2), NegativeBinomial(n=3.0, p=0.4)],
    ids=lambda law: law.kind,
)
@pytest.mark.statistical(effect=0.6, false_fail=2e-7, false_pass=1e-3)
def test_fit_recovers_its_parameters_and_knows_its_error(law, seed):
    x = np.empty(4000)
    law.sample(stream(seed(4002), 0, 0), x)
    fit = type(law).fit(x)
    for name, value in fit.parameters.items():
        assert_within_error(value, getattr(law, name), fit.std_errors[name])
    assert fit.log_likelihood == pytest.approx(type(law)(**fit.parameters).logpdf(x).sum())
    for name in fit.parameters:
        for factor in (0.99, 1.01):
            moved = type(law)(**{**fit.parameters, name: fit.parameters[name] * factor})
            assert moved.logpdf(x).sum() < fit.log_likelihood


@pytest.mark.parametrize("cls", [Bernoulli, Poisson, NegativeBinomial, Binomial, Finite], ids=lambda cls: cls.kind)
def test_weight_two_equals_a_repeated_row(cls):
    x = np.array([0.0, 1.0, 1.0, 0.0, 1.0]) if cls is Bernoulli else np.array([0.0, 4.0, 1.0, 3.0, 4.0])
    if cls is NegativeBinomial:
        x = np.array([0.0, 14.0, 1.0, 3.0, 4.0])
    w = np.array([1.0, 2.0, 1.0, 3.0, 0.0])
    weighted, repeated = cls.fit(x, w), cls.fit(np.repeat(x, w.astype(int)))
    for name, value in repeated.parameters.items():
        assert weighted.parameters[name] == pytest.approx(value, rel=1e-5)
        assert weighted.std_errors[name] == pytest.approx(repeated.std_errors[name], rel=1e-3, nan_ok=True)
    assert weighted.log_likelihood == pytest.approx(repeated.log_likelihood, rel=1e-12)


def test_standard_errors_of_closed_fits_match_the_textbook():
    x = np.array([0.0, 1.0, 1.0, 1.0])
    assert Bernoulli.fit(x).std_errors["p"] == pytest.approx(math.sqrt(0.75 * 0.25 / 4))
    assert Poisson.fit(x).std_errors["mu"] == pytest.approx(math.sqrt(0.75 / 4))
    assert Geometric.fit(x + 1).std_errors["p"] == pytest.approx(math.sqrt((1 / 1.75) ** 2 * (1 - 1 / 1.75) / 4))
    assert Binomial.fit(x, n=5).std_errors["p"] == pytest.approx(math.sqrt(0.15 * 0.85 / 20))
    assert Finite.fit([1.0, 1.0, 2.0, 5.0]).parameters == {"P(1)": 0.5, "P(2)": 0.25}


@pytest.mark.statistical(effect=0.2, false_fail=1e-7, false_pass=1e-3)
def test_binomial_fit_finds_the_number_of_trials():
    x = np.random.default_rng(6).binomial(12, 0.6, 3000).astype(float)
    fit = Binomial.fit(x)
    assert_within_error(fit.parameters["n"], 12, fit.std_errors["n"])
    n = np.arange(x.max(), 60)
    by_hand = [stats.binom.logpmf(x, k, x.mean() / k).sum() for k in n]
    assert fit.parameters["n"] == n[int(np.argmax(by_hand))]
    assert fit.log_likelihood == pytest.approx(max(by_hand))

    # As if n were real: the curvature of the profile by differences.
    def profile(t):
        return float(
            (
                special.gammaln(t + 1)
                - special.gammaln(x + 1)
                - special.gammaln(t - x + 1)
                + special.xlogy(x, x.mean() / t)
                + special.xlog1py(t - x, -x.mean() / t)
            ).sum()
        )

    best, h = fit.parameters["n"], 0.01
    curvature = -(profile(best + h) - 2 * profile(best) + profile(best - h)) / h**2
    assert fit.std_errors["n"] == pytest.approx(curvature**-0.5, rel=0.05)


def test_negative_binomial_by_mean_and_std():
    law = NegativeBinomial(mean=40.0, std=60.0)
    assert law.moments()[:2] == pytest.approx((40.0, 3600.0))
    assert law.n == pytest.approx(1600 / 3560)


def test_negative_binomial_fit_matches_its_score_equation():
    x = stats.nbinom.rvs(1.7, 0.2, size=800, random_state=2).astype(float)
    n, p = NegativeBinomial.fit(x).parameters.values()
    assert n * (1 - p) / p == pytest.approx(x.mean(), rel=1e-6)
    score = (special.digamma(x + n) - special.digamma(n)).sum() + x.size * math.log(p)
    assert score / x.size == pytest.approx(0, abs=1e-6)


def test_empirical_merges_ties_and_ends_with_its_sample():
    law = Empirical(values=SAMPLE)
    np.testing.assert_array_equal(law.atoms, [-2, 1, 3, 7.5, 9])
    np.testing.assert_allclose(np.exp(law.logpdf([-2, 1, 3, 7.5, 9, 4])), np.array([1, 2, 3, 1, 1, 0]) / 8)
    np.testing.assert_allclose(law.cdf([0, 3, 8.9, 9]), [1 / 8, 6 / 8, 7 / 8, 1])
    np.testing.assert_array_equal(law.isf(np.arange(9) / 8), [9, 7.5, 3, 3, 3, 1, 1, -2, -2])
    assert law.logsf(9) == -np.inf
    assert "cannot go beyond its sample" in law.describe()
    fit = Empirical.fit(SAMPLE)
    assert dict(fit.parameters) == {}
    np.testing.assert_array_equal(fit.law.atoms, law.atoms)
    assert law.moments().mean == pytest.approx(np.mean(SAMPLE))
    assert law.moments().variance == pytest.approx(np.var(SAMPLE))


def test_finite_keeps_small_probabilities_of_both_ends():
    p = np.array([1e-300, 1.0 - 1e-20, 1e-20])
    law = Finite(values=[-1.0, 0.0, 4.0], probabilities=p)
    assert law.logcdf(-1) == pytest.approx(math.log(1e-300), rel=1e-14)
    assert law.logsf(0) == pytest.approx(math.log(1e-20), rel=1e-14)
    assert law.logcdf(0) == pytest.approx(-1e-20, rel=1e-12)


def test_laws_that_are_a_constant():
    for law, value in ((Bernoulli(p=0.0), 0), (Bernoulli(p=1.0), 1), (Binomial(n=5, p=1.0), 5), (Geometric(p=1.0), 1)):
        assert law.support == (value, value)
        assert law.logpdf(value) == 0
        assert law.entropy() == pytest.approx(0, abs=1e-15)
        out = np.empty(3)
        law.from_normal(np.array([-3.0, 0.0, 3.0]), out)
        np.testing.assert_array_equal(out, value)
        assert law.moments()[:2] == (value, 0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Bernoulli(p=1.5), "p: must be from 0 to 1, got 1.5"),
        (lambda: Bernoulli(p=math.nan), "p: must be from 0 to 1, got nan"),
        (lambda: Binomial(n=3, p=-0.1), "p: must be from 0 to 1, got -0.1"),
        (lambda: Binomial(n=2.5, p=0.1), "n: must be a whole number, got 2.5"),
        (lambda: Binomial(n=0, p=0.1), "n: must be at least 1, got 0"),
        (lambda: Binomial(n=1e16, p=0.1), "n: must be at most 1e+15, got 1e+16"),
        (lambda: Poisson(mu=0.0), "mu: must be positive and finite, got 0"),
        (lambda: Poisson(mu=1e17), "mu: must be at most 1e+15, got 1e+17"),
        (lambda: Geometric(p=0.0), "p: must be above 0 and at most 1, got 0"),
        (lambda: NegativeBinomial(n=1.0, p=1.1), "p: must be above 0 and at most 1, got 1.1"),
        (lambda: NegativeBinomial(n=-1.0, p=0.5), "n: must be positive and finite, got -1"),
        (lambda: NegativeBinomial(n=1.0, p=1e-16), "p: the mean must be at most 1e15"),
        (lambda: NegativeBinomial(mean=4.0, std=2.0), "std: must be above the root of the mean, 2, got 2"),
        (lambda: NegativeBinomial(n=1.0, mean=4.0), "mean: give either n and p or mean and std"),
        (lambda: Finite(values=[1, 2], probabilities=[0.5, 0.4]), "probabilities: must add to 1 within 1e-09, got 0.9"),
        (lambda: Finite(values=[1, 2], probabilities=[1.5, -0.5]), "probabilities: must not be negative, got -0.5"),
        (lambda: Finite(values=[1, 2, 1], probabilities=[0.5, 0.2, 0.3]), "values: must be different, got 1 more"),
        (lambda: Finite(values=[1, 2], probabilities=[1.0]), "probabilities: must have 2 entries, got 1"),
        (lambda: Empirical(values=[1.0, math.nan]), "values: must be finite"),
    ],
)
def test_bad_parameters_are_refused(make, message):
    with pytest.raises(FieldError) as caught:
        make()
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("fit", "message"),
    [
        (lambda: Bernoulli.fit([0.0, 1.0, 2.0]), "bernoulli needs zeros and ones, got 2 at row 2"),
        (lambda: Poisson.fit([1.0, 2.5]), "poisson needs whole numbers from 0 on, got 2.5 at row 1"),
        (lambda: Poisson.fit([1.0, -1.0]), "poisson needs whole numbers from 0 on, got -1 at row 1"),
        (lambda: Geometric.fit([1.0, 0.0]), "geometric needs whole numbers from 1 on, got 0 at row 1"),
        (lambda: Poisson.fit([3.0, 3.0]), "all 2 values are 3"),
        (lambda: Poisson.fit([3.0, math.nan]), "the values must be finite"),
        (lambda: Binomial.fit([1.0, 6.0], n=5), "binomial with n = 5 cannot take 6, at row 1"),
        (lambda: Binomial.fit([0.0, 9.0, 0.0]), "the values vary more than any binomial law allows"),
        (lambda: NegativeBinomial.fit([1.0, 2.0, 1.0]), "negative_binomial needs a variance above the mean"),
        (lambda: Empirical.fit([1.0, 1.0]), "all 2 values are 1"),
        (lambda: Empirical.fit([1.0, 2.0], [1.0, 2.0]), "empirical takes no weights"),
    ],
)
def test_data_that_cannot_be_fitted_are_refused(fit, message):
    with pytest.raises(DataError) as caught:
        fit()
    assert str(caught.value).startswith(message)
