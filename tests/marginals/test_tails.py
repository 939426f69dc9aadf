"""Marginals in the far tails, against definitions that are evaluated with 60 digits; and what they refuse."""

import math

import mpmath as mp
import numpy as np
import pytest

from raresim.errors import DataError, FieldError
from raresim.marginals.beta import Beta
from raresim.marginals.exponential import Exponential
from raresim.marginals.gamma import Gamma
from raresim.marginals.generalised_pareto import GeneralisedPareto
from raresim.marginals.gev import Gev
from raresim.marginals.gumbel import Gumbel
from raresim.marginals.gumbel_min import GumbelMin
from raresim.marginals.laplace import Laplace
from raresim.marginals.logistic import Logistic
from raresim.marginals.lognormal import Lognormal
from raresim.marginals.normal import Normal
from raresim.marginals.pareto import Pareto
from raresim.marginals.skewed_t import SkewedT
from raresim.marginals.student_t import StudentT
from raresim.marginals.triangular import Triangular
from raresim.marginals.uniform import Uniform
from raresim.marginals.weibull import Weibull
from raresim.numerics import normal_scores

FAR = [s * u for u in (2.0, 8.0, 9.0, 20.0, 37.0) for s in (-1.0, 1.0)]
DIGITS = 60


def phi(u):
    """Lower and upper tail of the standard normal, exact."""
    root = mp.sqrt(2)
    return mp.erfc(-mp.mpf(u) / root) / 2, mp.erfc(mp.mpf(u) / root) / 2


def solved(log_tail, log_p, start):
    """The point at which a smooth function reaches ``log_p``, near a start that is good to some digits."""
    start = mp.mpf(start)
    return mp.findroot(lambda y: log_tail(y) - log_p, (start, start * (1 + mp.mpf(10) ** -9)), tol=mp.mpf(10) ** -50)


# Quantiles of the standard forms from both tail probabilities, by definition. Those that have no closed form are solved
# for in a variable that cannot underflow, from a start that the law under test gives: a wrong start does not converge
# to a wrong answer, because the equation has one solution.


def gamma_quantile(a):
    a = mp.mpf(a)

    def quantile(p, q, start):
        if p < q:
            h = solved(lambda h: mp.log(mp.gammainc(a, 0, mp.exp(h), regularized=True)), mp.log(p), mp.log(start))
            return mp.exp(h)
        return solved(lambda y: mp.log(mp.gammainc(a, y, mp.inf, regularized=True)), mp.log(q), start)

    return quantile


def log_incomplete_beta(a, b, x):
    """By the series of DLMF 8.17.8, which does not end in a zero."""
    series = mp.hyp2f1(a + b, 1, a + 1, x)
    return a * mp.log(x) + b * mp.log1p(-x) - mp.log(a) - mp.log(mp.beta(a, b)) + mp.log(series)


def beta_quantile(a, b):
    a, b = mp.mpf(a), mp.mpf(b)

    def quantile(p, q, start):
        if p < q:
            return mp.exp(solved(lambda h: log_incomplete_beta(a, b, mp.exp(h)), mp.log(p), mp.log(start)))
        # The distance from 1 is below the last digit of ``start``: its leading term is start enough.
        first = (mp.log(q) + mp.log(b) + mp.log(mp.beta(a, b))) / b
        return 1 - mp.exp(solved(lambda h: log_incomplete_beta(b, a, mp.exp(h)), mp.log(q), first))

    return quantile


def t_isf(dof, q, start):
    """Upper quantile of the standard t law, ``q <= 1/2``."""
    dof = mp.mpf(dof)

    def log_tail(log_z):
        return log_incomplete_beta(dof / 2, mp.mpf(1) / 2, dof / (dof + mp.exp(2 * log_z))) - mp.log(2)

    return mp.exp(solved(log_tail, mp.log(q), mp.log(start)))


def t_quantile(dof):
    return lambda p, q, start: -t_isf(dof, p, -start) if p < q else t_isf(dof, q, start)


def skewed_t_quantile(dof, skew):
    """Hansen (1994): the two halves of a t law, stretched."""
    dof, skew = mp.mpf(dof), mp.mpf(skew)
    c = mp.gamma((dof + 1) / 2) / (mp.sqrt(mp.pi * (dof - 2)) * mp.gamma(dof / 2))
    a = 4 * skew * c * (dof - 2) / (dof - 1)
    b = mp.sqrt(1 + 3 * skew**2 - a**2)
    unit = mp.sqrt((dof - 2) / dof)

    def quantile(p, q, start):
        y = b * mp.mpf(start) + a
        if p < (1 - skew) / 2:
            stretch = (1 - skew) * unit
            return (-stretch * t_isf(dof, p / (1 - skew), -y / stretch) - a) / b
        stretch = (1 + skew) * unit
        return (stretch * t_isf(dof, q / (1 + skew), y / stretch) - a) / b

    return quantile


def normal_quantile(p, q, start):
    """``u`` itself, which `phi` was given."""
    sign = -1 if p < q else 1
    return sign * solved(lambda z: mp.log(mp.erfc(z / mp.sqrt(2)) / 2), mp.log(min(p, q)), abs(start))


def hazard(p, q):
    """``-log q``, from the smaller tail."""
    return -mp.log1p(-p) if p < q else -mp.log(q)


def triangular_quantile(c):
    c = mp.mpf(c)
    return lambda p, q, _: mp.sqrt(c * p) if p < c else 1 - mp.sqrt((1 - c) * q)


def gev_quantile(xi):
    xi = mp.mpf(xi)
    return lambda p, q, _: mp.expm1(-xi * mp.log(hazard(q, p))) / xi


CASES = {
    "normal": (Normal(loc=0.0, scale=1.0), normal_quantile),
    "lognormal": (Lognormal(s=2.0), lambda p, q, start: mp.exp(2 * normal_quantile(p, q, mp.log(start) / 2))),
    "student_t": (StudentT(dof=3.0), t_quantile(3)),
    "student_t_heavy": (StudentT(dof=2.5), t_quantile(2.5)),
    "student_t_light": (StudentT(dof=40.0), t_quantile(40)),
    "skewed_t": (SkewedT(dof=3.5, skew=-0.4), skewed_t_quantile(3.5, -0.4)),
    "skewed_t_right": (SkewedT(dof=12.0, skew=0.7), skewed_t_quantile(12, 0.7)),
    "uniform": (Uniform(loc=0.0, scale=1.0), lambda p, q, _: p),
    "gamma_half": (Gamma(a=0.5), gamma_quantile(0.5)),
    "gamma_fifty": (Gamma(a=50.0), gamma_quantile(50)),
    "gamma_many": (Gamma(a=400.0), gamma_quantile(400)),
    "beta": (Beta(a=0.5, b=3.0), beta_quantile(0.5, 3)),
    "beta_high": (Beta(a=4.0, b=0.7), beta_quantile(4, 0.7)),
    "weibull_heavy": (Weibull(c=0.7), lambda p, q, _: hazard(p, q) ** (1 / mp.mpf(0.7))),
    "weibull": (Weibull(c=3.0), lambda p, q, _: mp.cbrt(hazard(p, q))),
    "gumbel": (Gumbel(loc=0.0), lambda p, q, _: -mp.log(hazard(q, p))),
    "gumbel_min": (GumbelMin(loc=0.0), lambda p, q, _: mp.log(hazard(p, q))),
    "gev_heavy": (Gev(xi=0.2), gev_quantile(0.2)),
    "gev_short": (Gev(xi=-0.2), gev_quantile(-0.2)),
    "gev_gumbel": (Gev(xi=0.0), lambda p, q, _: -mp.log(hazard(q, p))),
    "gpd_heavy": (GeneralisedPareto(xi=0.5), lambda p, q, _: 2 * mp.expm1(hazard(p, q) / 2)),
    "gpd_short": (GeneralisedPareto(xi=-0.3), lambda p, q, _: mp.expm1(mp.mpf(-0.3) * hazard(p, q)) / mp.mpf(-0.3)),
    "gpd_exponential": (GeneralisedPareto(xi=0.0), lambda p, q, _: hazard(p, q)),
    "exponential": (Exponential(), lambda p, q, _: hazard(p, q)),
    "pareto": (Pareto(b=1.5), lambda p, q, _: mp.exp(hazard(p, q) / mp.mpf(1.5))),
    "lomax": (Pareto(b=3.0, loc=-1.0), lambda p, q, _: mp.expm1(hazard(p, q) / 3)),
    "laplace": (Laplace(), lambda p, q, _: mp.log(2 * p) if p < q else -mp.log(2 * q)),
    "logistic": (Logistic(), lambda p, q, _: mp.log(p) - mp.log(q)),
    "triangular": (Triangular(c=0.25), triangular_quantile(0.25)),
    "triangular_falling": (Triangular(c=0.0), lambda p, q, _: p / (1 + mp.sqrt(q))),
}


def exact_quantiles(law, quantile, us):
    """With 60 digits, at each of the standard normals ``us``."""
    tail = normal_scores.log_tail(np.array(us))
    with mp.workdps(DIGITS):
        return [quantile(*phi(u), float(law.quantile(log_p, upper=u > 0))) for u, log_p in zip(us, tail, strict=True)]


@pytest.mark.parametrize("name", CASES)
def test_map_from_a_normal_is_exact_in_both_tails(name):
    law, quantile = CASES[name]
    found = np.empty(len(FAR))
    law.from_normal(np.array(FAR), found)
    exact = np.array([float(x) for x in exact_quantiles(law, quantile, FAR)])
    seen = (np.abs(exact) > 1e-290) & (np.abs(exact) < 1e300)
    assert seen.sum() >= 8
    np.testing.assert_allclose(found[seen], exact[seen], rtol=1e-10)
    by_log = np.array([float(law.quantile(normal_scores.log_tail(np.array(u)), upper=u > 0)) for u in FAR])
    np.testing.assert_allclose(by_log[seen], exact[seen], rtol=2e-12)


@pytest.mark.parametrize("name", CASES)
def test_log_tails_are_exact_at_exact_quantiles(name):
    """Up to what the rounding of ``x`` itself does, which is large at the end of a bounded law."""
    law, quantile = CASES[name]
    exact = [float(x) for x in exact_quantiles(law, quantile, FAR)]
    checked = 0
    for u, x in zip(FAR, exact, strict=True):
        log_tail = law.logcdf if u < 0 else law.logsf
        with mp.workdps(DIGITS):
            log_p = float(mp.log(phi(u)[u > 0]))
        if not 1e-290 < abs(x) < 1e300:
            continue
        condition = math.exp(min(float(law.logpdf(x)) - log_p, 700.0)) * abs(x) * 2.3e-16
        if condition > 1e-9 or x in law.support:
            continue
        assert abs(float(log_tail(x)) - log_p) <= 1e-12 + 2.0 * condition + 4.0 * abs(log_p) * 2.3e-16
        checked += 1
    assert checked >= 5


def test_far_below_the_smallest_double_the_log_of_a_quantile_remains():
    """Gamma with a = 0.1: ``x^a / Gamma(a + 1) = p`` gives ``x`` near 1e-2990."""
    law = Gamma(a=0.1)
    log_p = normal_scores.log_tail(np.array([-37.0]))
    log_x = law._log_quantile(log_p, False)
    with mp.workdps(DIGITS):
        exact = float((mp.log(phi(-37.0)[0]) + mp.loggamma(mp.mpf(0.1) + 1)) / mp.mpf(0.1))
    assert exact < -6000
    np.testing.assert_allclose(log_x, exact, rtol=1e-12)


def test_tails_beyond_the_smallest_double_have_logs():
    z = 1e200
    with mp.workdps(DIGITS):
        exact = float(log_incomplete_beta(mp.mpf(3), mp.mpf(1) / 2, 6 / (6 + mp.mpf(z) ** 2)) - mp.log(2))
        deep = float(mp.log(mp.gammainc(mp.mpf(2.5), 2000, mp.inf, regularized=True)))
    assert float(StudentT(dof=6.0).logsf(z)) == pytest.approx(exact, rel=1e-13)
    assert float(StudentT(dof=6.0).logcdf(-z)) == pytest.approx(exact, rel=1e-13)
    assert float(Gamma(a=2.5).logsf(2000.0)) == pytest.approx(deep, rel=1e-13)


@pytest.mark.parametrize(("dof", "skew"), [(5.0, -0.5), (2.2, 0.3), (30.0, 0.9)])
def test_skewed_t_is_that_of_arch(dof, skew):
    arch = pytest.importorskip("arch.univariate")
    oracle, law = arch.SkewStudent(), SkewedT(dof=dof, skew=skew)
    x = np.linspace(-4, 4, 33)
    parameters = np.array([dof, skew])
    density = oracle.loglikelihood(parameters, x, np.ones(33), individual=True)
    np.testing.assert_allclose(law.logpdf(x), density, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(law.cdf(x), oracle.cdf(x, parameters), rtol=1e-9)
    p = np.array([0.01, 0.2, 0.5, 0.8, 0.99])
    np.testing.assert_allclose(law.ppf(p), oracle.ppf(p, parameters), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize(("s", "finite"), [(13.0, 4), (15.0, 3), (20.0, 2), (27.0, 1), (40.0, 0)])
def test_moments_that_no_double_holds_are_infinite(s, finite):
    """Mean exp(s^2 / 2), variance and skewness about exp(2 s^2) and exp(1.5 s^2), fourth moment about exp(4 s^2)."""
    found = Lognormal(s=s).moments()
    assert np.isfinite([found.mean, found.variance, found.skewness, found.excess_kurtosis]).sum() == finite


@pytest.mark.parametrize(
    "law",
    [
        Normal(mean=10.0, std=2.0),
        Lognormal(mean=10.0, std=2.0),
        Lognormal(mean=10.0, std=200.0, loc=-5.0),
        Gamma(mean=10.0, std=2.0),
        Gamma(mean=10.0, std=2.0, loc=4.0),
        Weibull(mean=10.0, std=2.0),
        Weibull(mean=10.0, std=30.0),
        Weibull(mean=10.0, std=0.3),
        Gumbel(mean=10.0, std=2.0),
        GumbelMin(mean=10.0, std=2.0),
    ],
    ids=lambda law: law.describe(),
)
def test_mean_and_std_are_those_given(law):
    moments = law.moments()
    assert moments.mean == pytest.approx(law.mean, rel=1e-9)
    assert math.sqrt(moments.variance) == pytest.approx(law.std, rel=1e-8)


def test_ends_are_those_given():
    assert Uniform(low=-1.0, high=3.0).support == (-1.0, 3.0)
    law = Triangular(low=-1.0, mode=2.0, high=3.0)
    assert law.support == (-1.0, 3.0)
    assert (law.c, law.loc, law.scale) == (0.75, -1.0, 4.0)
    assert float(law.logpdf(2.0)) == pytest.approx(math.log(0.5))


def test_natural_parameters_have_the_defaults_of_scipy():
    assert (Normal(scale=2.0).loc, Gumbel(loc=3.0).scale, Gamma(a=2.0).scale) == (0.0, 1.0, 1.0)


@pytest.mark.parametrize("xi", [0.04, -0.04, 1e-4])
def test_moments_of_gev_do_not_cancel_for_small_shapes(xi):
    with mp.workdps(DIGITS):
        g1, g2, g3, g4 = (mp.gamma(1 - k * mp.mpf(xi)) for k in (1, 2, 3, 4))
        spread = g2 - g1**2
        third = mp.sign(xi) * (g3 - 3 * g1 * g2 + 2 * g1**3) / spread ** mp.mpf(1.5)
        fourth = (g4 - 4 * g1 * g3 + 6 * g1**2 * g2 - 3 * g1**4) / spread**2 - 3
        exact = [float(m) for m in ((g1 - 1) / mp.mpf(xi), spread / mp.mpf(xi) ** 2, third, fourth)]
    np.testing.assert_allclose(Gev(xi=xi).moments(), exact, rtol=1e-8)


NAN, INF = math.nan, math.inf

# Law, its arguments, the field that the error names and a part of what it says.
REFUSED = [
    (Normal, {"loc": 0.0, "scale": 0.0}, "scale", "must be positive"),
    (Normal, {"loc": NAN, "scale": 1.0}, "loc", "must be finite, got nan"),
    (Normal, {"mean": 0.0, "std": -1.0}, "std", "must be positive and finite, got -1"),
    (Normal, {"mean": INF, "std": 1.0}, "mean", "must be finite"),
    (Normal, {"mean": 0.0}, "std", "is needed with mean: give either loc and scale or mean and std"),
    (Normal, {"loc": 0.0, "std": 1.0}, "std", "give either loc and scale or mean and std, got loc and std"),
    (Lognormal, {"s": 0.0}, "s", "must be positive"),
    (Lognormal, {"s": 1.0, "scale": INF}, "scale", "must be positive and finite"),
    (Lognormal, {"scale": 1.0}, "s", "is needed with scale"),
    (Lognormal, {"s": 1.0, "loc": NAN}, "loc", "must be finite"),
    (Lognormal, {"mean": 1.0, "std": 1.0, "loc": 1.0}, "mean", "must be above 1, where the law begins, got 1"),
    (Lognormal, {"s": 1.0, "mean": 1.0}, "mean", "got s and mean"),
    (StudentT, {"dof": 0.0}, "dof", "must be from 0.1 to 100000"),
    (StudentT, {"dof": 3.0, "loc": INF}, "loc", "must be finite"),
    (StudentT, {"dof": 3.0, "scale": -1.0}, "scale", "must be positive"),
    (SkewedT, {"dof": 2.0, "skew": 0.0}, "dof", "must be above 2"),
    (SkewedT, {"dof": INF, "skew": 0.0}, "dof", "below 100000"),
    (SkewedT, {"dof": 5.0, "skew": 1.0}, "skew", "must be above -1 and below 1, got 1"),
    (SkewedT, {"dof": 5.0, "skew": 0.0, "loc": NAN}, "loc", "must be finite"),
    (SkewedT, {"dof": 5.0, "skew": 0.0, "scale": 0.0}, "scale", "must be positive"),
    (Uniform, {"loc": 0.0, "scale": -1.0}, "scale", "must be positive"),
    (Uniform, {"loc": NAN}, "loc", "must be finite"),
    (Uniform, {"low": 1.0, "high": 1.0}, "high", "must be above low, which is 1, got 1"),
    (Uniform, {"low": -INF, "high": 1.0}, "low", "must be finite"),
    (Uniform, {"low": 1.0, "scale": 1.0}, "low", "give either loc and scale or low and high"),
    (Uniform, {"high": 1.0}, "low", "is needed with high"),
    (Gamma, {"a": -1.0}, "a", "must be positive"),
    (Gamma, {"a": 1.0, "scale": NAN}, "scale", "must be positive"),
    (Gamma, {"a": 1.0, "loc": INF}, "loc", "must be finite"),
    (Gamma, {"mean": -1.0, "std": 1.0}, "mean", "must be above 0"),
    (Gamma, {"mean": 1.0, "std": 0.0}, "std", "must be positive"),
    (Beta, {"a": 0.0, "b": 1.0}, "a", "must be positive"),
    (Beta, {"a": 1.0, "b": NAN}, "b", "must be positive"),
    (Beta, {"a": 1.0, "b": 1.0, "loc": NAN}, "loc", "must be finite"),
    (Beta, {"a": 1.0, "b": 1.0, "scale": 0.0}, "scale", "must be positive"),
    (Weibull, {"c": 0.0}, "c", "must be positive"),
    (Weibull, {"c": 1.0, "scale": -2.0}, "scale", "must be positive"),
    (Weibull, {"mean": 1.0, "std": 1e-9}, "std", "times the mean above loc, got 1e-09"),
    (Weibull, {"c": 1.0, "loc": INF}, "loc", "must be finite"),
    (Gumbel, {"loc": 0.0, "scale": 0.0}, "scale", "must be positive"),
    (Gumbel, {"loc": INF}, "loc", "must be finite"),
    (Gumbel, {"std": 1.0}, "mean", "is needed with std"),
    (GumbelMin, {"loc": 0.0, "scale": 0.0}, "scale", "must be positive"),
    (GumbelMin, {"loc": INF}, "loc", "must be finite"),
    (GumbelMin, {"mean": 0.0, "std": INF}, "std", "must be positive and finite"),
    (Gev, {"xi": NAN}, "xi", "must be finite"),
    (Gev, {"xi": 0.0, "loc": INF}, "loc", "must be finite"),
    (Gev, {"xi": 0.0, "scale": 0.0}, "scale", "must be positive"),
    (GeneralisedPareto, {"xi": INF}, "xi", "must be finite"),
    (GeneralisedPareto, {"xi": 0.0, "loc": NAN}, "loc", "must be finite"),
    (GeneralisedPareto, {"xi": 0.0, "scale": -1.0}, "scale", "must be positive"),
    (Pareto, {"b": 0.0}, "b", "must be positive"),
    (Pareto, {"b": 1.0, "loc": NAN}, "loc", "must be finite"),
    (Pareto, {"b": 1.0, "scale": 0.0}, "scale", "must be positive"),
    (Laplace, {"loc": NAN}, "loc", "must be finite"),
    (Laplace, {"scale": 0.0}, "scale", "must be positive"),
    (Logistic, {"loc": NAN}, "loc", "must be finite"),
    (Logistic, {"scale": 0.0}, "scale", "must be positive"),
    (Exponential, {"scale": 0.0}, "scale", "must be positive"),
    (Exponential, {"loc": NAN}, "loc", "must be finite"),
    (Triangular, {"c": 1.1}, "c", "must be from 0 to 1, got 1.1"),
    (Triangular, {"c": NAN}, "c", "must be from 0 to 1, got nan"),
    (Triangular, {"c": 0.5, "loc": INF}, "loc", "must be finite"),
    (Triangular, {"c": 0.5, "scale": 0.0}, "scale", "must be positive"),
    (Triangular, {"scale": 1.0}, "c", "is needed with scale"),
    (Triangular, {"low": 0.0, "high": 1.0}, "mode", "is needed with low and high"),
    (Triangular, {"low": 0.0, "mode": 2.0, "high": 1.0}, "mode", "must be from low, 0, to high, 1, got 2"),
    (Triangular, {"low": 0.0, "mode": 0.0, "high": 0.0}, "high", "must be above low"),
    (Triangular, {"c": 0.5, "mode": 0.0}, "mode", "give either c, loc and scale or low, mode and high"),
]


@pytest.mark.parametrize(
    ("cls", "given", "field", "message"), REFUSED, ids=[f"{c.kind}-{i}" for i, (c, *_) in enumerate(REFUSED)]
)
def test_refused_parameters_are_named(cls, given, field, message):
    with pytest.raises(FieldError) as error:
        cls(**given)
    assert error.value.field == field
    assert message in error.value.message


LAWS = sorted({type(law) for law, _ in CASES.values()}, key=lambda cls: cls.kind)
POSITIVE = [Exponential, Gamma, GeneralisedPareto, Lognormal, Pareto, Weibull]


@pytest.mark.parametrize("cls", LAWS, ids=lambda cls: cls.kind)
def test_fits_refuse_bad_data(cls):
    good = np.linspace(0.1, 0.9, 9)
    for values, message in (
        ([*good, NAN], "1 that are not, the first at row 9: nan"),
        ([*good, INF], "must be finite"),
        (np.full(9, 0.5), "all 9 values are 0.5"),
        ([0.5], "values are needed, got 1"),
        (["one", "two"], "must be numbers"),
    ):
        with pytest.raises(DataError, match=message):
            cls.fit(values)
    for weights in (np.ones(8), np.zeros(9), -np.ones(9), np.full(9, NAN)):
        with pytest.raises(DataError, match="weights must be 9 numbers"):
            cls.fit(good, weights)


@pytest.mark.parametrize("cls", POSITIVE, ids=lambda cls: cls.kind)
def test_fits_of_positive_laws_refuse_other_values(cls):
    with pytest.raises(DataError, match=f"{cls.kind} needs positive values, got -3 at row 1"):
        cls.fit([1.0, -3.0, 2.0, 5.0])


def test_fit_of_beta_refuses_values_outside_its_interval():
    with pytest.raises(DataError, match=r"beta needs values above 0 and below 1, got 1\.5 at row 2"):
        Beta.fit([0.2, 0.5, 1.5, 0.4])


@pytest.mark.parametrize(
    ("weights", "median"), [([1, 1, 1, 1], 2.5), ([1, 1, 1, 0], 2.0), ([1, 1, 0, 2], 3.0), ([5, 1, 1, 1], 1.0)]
)
def test_laplace_takes_the_middle_of_all_weighted_medians(weights, median):
    assert Laplace.fit([1.0, 2.0, 3.0, 4.0], weights).law.loc == median
