"""What every marginal promises, whatever its kind."""

import functools
import math
import pickle

import numpy as np
import pytest

from raresim import registry
from raresim.distributions.margins import to_physical
from raresim.errors import DataError
from raresim.numerics import normal_scores
from raresim.numerics.streams import stream
from tests.helpers import block, examples, normals
from tests.marginal_oracles import breaks, frozen
from tests.statistical import FROM_A_FIT, assert_count, assert_within_error

LAWS = examples("marginal")
KNOWN = [p for p in LAWS if frozen(p.values[0]) is not None]
CONTINUOUS = [p for p in LAWS if not p.values[0].discrete]
FITTED = [cls for cls in registry.members("marginal").values() if cls.PARAMETERS or "fit" in vars(cls)]
N_FIT, N_FIT_SLOW = 20_000, 4_000
BESSEL = ("normal_inverse_gaussian", "variance_gamma")
"""Kinds whose density is slow to evaluate."""

BODY = np.linspace(-4.0, 4.0, 41)
TAILS = np.array([s * u for u in (0.1, 0.5, 1.0, 2.0, 5.0, 8.0, 20.0, 37.0) for s in (-1, 1)])


def quantiles(law, u):
    """Quantiles at standard normals ``u``, from the log of the smaller tail."""
    x, tail = np.empty(u.shape), normal_scores.log_tail(u)
    for upper in (False, True):
        rows = (u > 0) == upper
        x[rows] = law.quantile(tail[rows], upper=upper)
    return x


def with_breaks(law, u):
    """The standard normals ``u`` with those at which the density jumps."""
    jumps = np.array(breaks(law))
    own = np.empty(jumps.shape)
    normal_scores.from_log_probabilities(law.logcdf(jumps), law.logsf(jumps), own)
    return np.unique([*u, *own[(own > u[0]) & (own < u[-1])]])


def panels(law):
    """Probability of each panel between two of many quantiles, and the mass that the density gives to it.

    A panel next to an end of the support may be too narrow for its values to be told apart: it keeps its probability.
    """
    u = with_breaks(law, np.linspace(-8.0, 8.0, 801))
    edges = quantiles(law, u)
    tail = np.exp(normal_scores.log_tail(u))
    exact = np.diff(np.where(u > 0, 1.0 - tail, tail))
    node, weight = np.polynomial.legendre.leggauss(8)
    half = 0.5 * np.diff(edges)
    x = edges[:-1, None] + half[:, None] * (1.0 + node)
    with np.errstate(over="ignore", invalid="ignore"):
        mass = (np.exp(law.logpdf(x)) @ weight) * half
    wide = half > 1e-11 * np.abs(edges[1:])
    assert exact[wide].sum() > 0.999
    return exact, np.where(wide, mass, exact)


@functools.cache
def grid(law):
    """Values of a continuous law at Gauss-Legendre nodes in the standard normal, and the probability of each."""
    edges = with_breaks(law, np.linspace(-37.0, 37.0, 1185))
    node, weight = np.polynomial.legendre.leggauss(4)
    half = 0.5 * np.diff(edges)
    u = (edges[:-1, None] + half[:, None] * (1.0 + node)).ravel()
    density = np.exp(-0.5 * u * u) / math.sqrt(2.0 * math.pi)
    return quantiles(law, u), density * (half[:, None] * weight).ravel()


def expected(law, function):
    """``E function(X)``, by quadrature or the sum over all atoms; None where there are too many."""
    if law.discrete:
        if law.atoms is None:
            return None
        x, p = law.atoms, np.exp(law.logpdf(law.atoms))
    else:
        x, p = grid(law)
    keep = p > 0
    with np.errstate(over="ignore"):
        terms = function(x[keep]) * p[keep]
    return float(terms[np.isfinite(terms)].sum())


def mapped(law, u):
    out = np.full(u.shape, np.nan)
    law.from_normal(u, out)
    return out


def size(law, u, x):
    """What an error is relative to: the value, or near 0 what one standard normal unit changes."""
    h = 1e-3
    with np.errstate(over="ignore", invalid="ignore"):
        return np.maximum(np.abs(x), np.abs(quantiles(law, u + h) - quantiles(law, u - h)) / (2.0 * h))


@pytest.mark.parametrize("law", LAWS)
def test_factors_of_one_law_are_mapped_together_to_the_digits_of_each_alone(law, seed):
    v = normals(7, 5, seed(62))
    x = to_physical([law] * 5, v, block(7, 5))
    for j in range(5):
        law.from_normal(v[:, j], alone := np.empty(7))
        np.testing.assert_array_equal(x[:, j], alone)


@pytest.mark.parametrize("law", CONTINUOUS)
def test_density_integrates_to_the_probability_between_any_two_quantiles(law):
    exact, mass = panels(law)
    np.testing.assert_allclose(np.cumsum(mass), np.cumsum(exact), atol=2e-6)


@pytest.mark.parametrize("law", [p for p in LAWS if p.values[0].discrete])
def test_atoms_carry_all_probability_and_the_steps_of_the_cdf(law):
    atoms = law.atoms
    if atoms is None:
        atoms = np.unique(quantiles(law, np.linspace(-9, 9, 2001)))
        sure = np.exp(law.logpdf(atoms)) <= law.cdf(atoms) + 1e-12
        assert sure.all()
        return
    p = np.exp(law.logpdf(atoms))
    assert (np.diff(atoms) > 0).all()
    assert p.sum() == pytest.approx(1.0, abs=1e-11)
    np.testing.assert_allclose(np.cumsum(p), law.cdf(atoms), atol=1e-11)
    between = atoms[:-1] + 0.5 * np.diff(atoms)
    np.testing.assert_array_equal(law.logpdf(between), -np.inf)
    np.testing.assert_array_equal(law.logcdf(between), law.logcdf(atoms[:-1]))
    np.testing.assert_array_equal(law.logsf(between), law.logsf(atoms[:-1]))


@pytest.mark.filterwarnings("ignore:Error in function boost.*ibeta:RuntimeWarning")  # SciPy's own beta quantile
@pytest.mark.parametrize("law", KNOWN)
def test_functions_are_those_of_scipy(law):
    oracle = frozen(law)
    x = quantiles(law, BODY)
    logpdf = oracle.logpmf if law.discrete else oracle.logpdf
    np.testing.assert_allclose(law.logpdf(x), logpdf(x), rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(law.cdf(x), oracle.cdf(x), rtol=1e-8)
    np.testing.assert_allclose(law.sf(x), oracle.sf(x), rtol=1e-8, atol=1e-300)
    p = np.array([1e-9, 1e-3, 0.1, 0.4999, 0.51, 0.9, 0.999])
    slack = {"rtol": 1e-8, "atol": 1e-9 * float(oracle.ppf(0.75) - oracle.ppf(0.25))}
    np.testing.assert_allclose(law.ppf(p), oracle.ppf(p), **slack)
    np.testing.assert_allclose(law.isf(p), oracle.isf(p), **slack)


@pytest.mark.parametrize("law", LAWS)
def test_quantiles_are_undone_by_the_tails_down_to_1e_300(law):
    """``F(x - d) <= p <= F(x + d)`` for a small ``d``: true of a step as well."""
    x = quantiles(law, TAILS)
    d = 1e-11 * np.abs(x) + 1e-300
    log_p = normal_scores.log_tail(TAILS)
    for upper, log_tail in ((False, law.logcdf), (True, law.logsf)):
        rows = (TAILS > 0) == upper
        less, more = (x[rows] + d[rows], x[rows] - d[rows])[:: 1 if upper else -1]
        assert (log_tail(less) <= log_p[rows] + 1e-9).all()
        assert (log_tail(more) >= log_p[rows] - 1e-9).all()


@pytest.mark.parametrize("law", LAWS)
def test_quantiles_of_no_and_all_probability_are_the_ends(law):
    """Of a discrete law the last value that its list of atoms holds: what lies beyond has probability 1e-307."""
    ends = law.support
    if law.discrete and law.atoms is not None:
        ends = law.ppf([0.0, 1.0])
        assert (law.logsf(ends[1]) < -700) or ends[1] == law.support[1]
        assert (law.logcdf(ends[0] - 1e-9) < -700) or ends[0] == law.support[0]
    np.testing.assert_array_equal(law.ppf([0.0, 1.0]), ends)
    np.testing.assert_array_equal(law.isf([1.0, 0.0]), ends)
    assert np.isnan(law.ppf([-0.1, 1.1, np.nan])).all()


@pytest.mark.parametrize("law", LAWS)
def test_ppf_and_isf_agree_across_the_median(law):
    p = np.array([0.0317, 0.2971, 0.4999999, 0.5000001, 0.7123, 0.9717])  # no step of a discrete example
    np.testing.assert_allclose(law.ppf(p), law.isf(1.0 - p), rtol=1e-7, atol=1e-7 * spread(law))


def spread(law):
    return max(float(law.ppf(0.75) - law.ppf(0.25)), 1e-300)


@pytest.mark.parametrize("law", LAWS)
def test_map_from_a_normal_is_the_quantile(law, seed):
    u = np.random.default_rng(seed(701)).uniform(-37.0, 37.0, 2000)
    u[:500] = np.random.default_rng(seed(702)).standard_normal(500)
    found = mapped(law, u)
    if law.discrete:
        assert (mapped(law, u - 1e-9) <= quantiles(law, u)).all()
        assert (mapped(law, u + 1e-9) >= quantiles(law, u)).all()
        return
    exact = quantiles(law, u)
    scale = size(law, u, exact)
    representable = (np.abs(exact) < 1e300) & (scale > 1e-290)
    assert representable.sum() > 1000
    assert (np.abs(found - exact)[representable] <= 1e-10 * scale[representable]).all()


@pytest.mark.parametrize("law", LAWS)
def test_map_from_a_normal_increases(law):
    u = np.linspace(-37.4, 37.4, 20_001)
    x = mapped(law, u)
    with np.errstate(over="ignore", invalid="ignore"):
        slack = 1e-11 * np.maximum(np.abs(x), np.abs(np.gradient(x, u)))[1:] * (not law.discrete)
    finite = np.isfinite(x[1:]) & np.isfinite(slack)
    assert finite.sum() > 10_000
    assert (np.diff(x)[finite] >= -slack[finite]).all()


@pytest.mark.parametrize("law", LAWS)
def test_map_may_write_over_its_input_and_reaches_beyond_the_table(law, seed):
    u = np.random.default_rng(seed(703)).standard_normal(1000)
    beyond = [-38.1, -37.6, 37.6, 38.1]
    u[[3, 500, 501, 999]] = beyond
    apart, within = mapped(law, u), u.copy()
    law.from_normal(within, within)
    np.testing.assert_array_equal(within, apart)
    found, exact = apart[[3, 500, 501, 999]], quantiles(law, np.array(beyond))
    if law.discrete:
        inner = quantiles(law, np.array([-37.4, -37.4, 37.4, 37.4]))
        assert ((np.minimum(inner, exact) <= found) & (found <= np.maximum(inner, exact))).all()
    else:
        np.testing.assert_allclose(found, exact, rtol=1e-10, atol=1e-290)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.statistical(effect=1, false_fail=1e-7, false_pass=1e-3)
def test_draws_have_the_cdf(law, seed):
    n = 20_000
    x = np.empty(n)
    law.sample(stream(seed(704), 0, 0), x)
    at = law.ppf(np.array([0.01, 0.1, 0.5, 0.9, 0.99]))
    assert_count((x[:, None] <= at).sum(axis=0), n, law.cdf(at))
    assert np.isfinite(law.logpdf(x)).all()


@pytest.mark.parametrize("law", LAWS)
def test_moments_are_those_of_the_density(law):
    m = law.moments()
    if not math.isfinite(m.mean) or not math.isfinite(m.variance):
        return
    mean = expected(law, lambda x: x)
    if mean is None or m.variance == 0:
        return
    std = math.sqrt(m.variance)
    assert mean == pytest.approx(m.mean, abs=1e-5 * std)
    for k, stated in ((2, 1.0), (3, m.skewness), (4, m.excess_kurtosis + 3.0)):
        if math.isfinite(stated):
            found = expected(law, lambda x, k=k: ((x - m.mean) / std) ** k)
            assert found == pytest.approx(stated, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("law", KNOWN)
def test_moments_are_those_of_scipy(law):
    """Where SciPy's is infinite or undefined, ours is not finite either."""
    ours = np.array(law.moments())
    with np.errstate(all="ignore"):
        theirs = np.array([float(m) for m in frozen(law).stats("mvsk")])
    np.testing.assert_array_equal(np.isfinite(ours), np.isfinite(theirs))
    finite = np.isfinite(ours)
    np.testing.assert_allclose(ours[finite], theirs[finite], rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("law", LAWS)
def test_entropy_is_the_mean_of_minus_the_log_density(law):
    def information(x):
        log_density = law.logpdf(x)
        return np.where(np.isfinite(log_density), -log_density, 0.0)

    found = expected(law, information)
    if found is None:
        found = float(frozen(law).entropy())
    assert law.entropy() == pytest.approx(found, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("cls", [pytest.param(cls, id=cls.kind) for cls in FITTED])
@pytest.mark.statistical(effect=5, false_fail=8e-9, false_pass=1e-3)
@pytest.mark.slow_cases("variance_gamma", "negative_binomial", "skewed_t", "normal_inverse_gaussian")
def test_fit_recovers_its_parameters(cls, seed):
    law, n = cls.examples()[0], N_FIT_SLOW if cls.kind in BESSEL else N_FIT
    x = np.empty(n)
    law.sample(stream(seed(705), 0, 0), x)
    fit = cls.fit(x)
    assert type(fit.law) is cls
    assert fit.n == n
    assert fit.log_likelihood == pytest.approx(float(fit.law.logpdf(x).sum()), rel=1e-9)
    assert fit.log_likelihood >= float(law.logpdf(x).sum()) - 1e-6 * n
    assert set(fit.std_errors) == set(fit.parameters)
    p = np.array([0.05, 0.3, 0.5, 0.7, 0.95])
    at = law.ppf(p)
    np.testing.assert_allclose(fit.law.cdf(at), law.cdf(at), atol=3.0 / math.sqrt(n))
    for name, value in fit.parameters.items():
        if not hasattr(law, name):
            continue  # a description of the sample, not a parameter of the law
        exact, error = getattr(law, name), fit.std_errors[name]
        if math.isfinite(error):
            assert_within_error(value, exact, error, false_fail=FROM_A_FIT)
            assert 0 < error < 0.5 * max(abs(exact), spread(law))
        else:
            assert value == pytest.approx(exact, rel=0.05), name


@pytest.mark.parametrize("cls", [pytest.param(cls, id=cls.kind) for cls in FITTED])
@pytest.mark.slow_cases("variance_gamma")
def test_weights_are_repeated_observations(cls, seed):
    x = np.empty(600)
    cls.examples()[0].sample(stream(seed(706), 0, 0), x)
    weights = np.random.default_rng(seed(707)).integers(0, 4, 600)
    try:
        one = cls.fit(x, weights)
    except DataError as error:
        assert "takes no weights" in str(error)  # noqa: PT017  # most kinds do take them
        return
    other = cls.fit(np.repeat(x, weights))
    assert one.log_likelihood == pytest.approx(other.log_likelihood, rel=1e-8)
    for name, value in one.parameters.items():
        error = other.std_errors[name]
        assert value == pytest.approx(other.parameters[name], rel=1e-4, abs=0.01 * error if error > 0 else 1e-4)
        assert one.std_errors[name] == pytest.approx(error, rel=0.01, nan_ok=True)


@pytest.mark.parametrize("law", LAWS)
def test_pickled_law_is_the_same(law):
    again = pickle.loads(pickle.dumps(law))
    x = quantiles(law, BODY)
    np.testing.assert_array_equal(again.logpdf(x), law.logpdf(x))
    np.testing.assert_array_equal(mapped(again, BODY), mapped(law, BODY))


@pytest.mark.parametrize("law", LAWS)
def test_description_is_one_line(law):
    text = law.describe()
    assert text.strip()
    assert "\n" not in text


@pytest.mark.parametrize("law", LAWS)
def test_nothing_lies_outside_the_support(law):
    low, high = law.support
    assert low <= float(law.ppf(0.5)) <= high
    below = [-np.inf, *([low - 1e-6 * (1.0 + abs(low))] if math.isfinite(low) else [])]
    above = [np.inf, *([high + 1e-6 * (1.0 + abs(high))] if math.isfinite(high) else [])]
    for outside, log_p, log_q in ((below, -np.inf, 0.0), (above, 0.0, -np.inf)):
        np.testing.assert_array_equal(law.logpdf(outside), -np.inf)
        for log_tail, exact in ((law.logcdf(outside), log_p), (law.logsf(outside), log_q)):
            none = -700.0 if law.discrete else -np.inf  # beyond the last atom that a law lists
            assert ((np.abs(log_tail) < 1e-15) if exact == 0 else (log_tail <= none)).all()
    for function in (law.logpdf, law.logcdf, law.logsf):
        assert np.isnan(function(np.nan))


@pytest.mark.parametrize("law", LAWS)
def test_functions_keep_the_shape_of_their_argument(law):
    x = np.resize(quantiles(law, BODY), (3, 4))
    for function in (law.logpdf, law.logcdf, law.logsf, law.cdf, law.sf):
        assert function(x).shape == (3, 4)
        assert np.shape(function(float(x[0, 0]))) == ()
    for function in (law.ppf, law.isf):
        assert function(np.full((2, 3), 0.3)).shape == (2, 3)
        assert float(function(0.3)) == function(np.array([0.3]))[0]
