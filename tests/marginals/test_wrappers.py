"""Laws that are known by their density alone, and laws made of other laws, against mpmath far out in both tails."""

import math
import pickle

import mpmath as mp
import numpy as np
import pytest
from scipy import stats

from raresim.errors import DataError, FieldError
from raresim.marginals.affine import Affine
from raresim.marginals.exponential import Exponential
from raresim.marginals.lognormal import Lognormal
from raresim.marginals.mixture import Mixture
from raresim.marginals.normal import Normal
from raresim.marginals.normal_inverse_gaussian import NormalInverseGaussian
from raresim.marginals.poisson import Poisson
from raresim.marginals.scipy_law import ScipyLaw
from raresim.marginals.student_t import StudentT
from raresim.marginals.truncated import Truncated
from raresim.marginals.truncated_normal import TruncatedNormal
from raresim.marginals.uniform import Uniform
from raresim.marginals.variance_gamma import VarianceGamma, log_bessel_k
from raresim.numerics import normal_scores
from raresim.numerics.streams import stream
from tests.statistical import FROM_A_FIT, assert_within_error

US = [s * u for u in (2.0, 8.0, 9.0, 20.0, 37.0) for s in (-1, 1)]


def mapped(law, u):
    out = np.full(np.shape(u), np.nan)
    law.from_normal(np.asarray(u, dtype=float), out)
    return out


def quantiles(law, u):
    u = np.asarray(u, dtype=float)
    tail = normal_scores.log_tail(u)
    return np.where(u > 0, law.quantile(tail, upper=True), law.quantile(tail))


def draws(law, n, seed):
    x = np.empty(n)
    law.sample(stream(seed, 0, 0), x)
    return x


def assert_exact(law, density, tail, us=US, tolerance=1e-10):
    """Fail where the map or the quantile of ``law`` misses the exact one by more than the contract allows.

    ``tail(x, upper)`` and ``density(x)`` are mpmath's; the distance to the exact value is one Newton step of theirs.
    """
    for u, x, quantile in zip(us, mapped(law, us), quantiles(law, us), strict=True):
        with mp.workdps(max(mp.mp.dps, 20)):
            slope = density(mp.mpf(float(x)))
            off = (tail(mp.mpf(float(x)), u > 0) - mp.ncdf(-abs(u))) / slope
            size = max(abs(float(x)), mp.npdf(u) / slope)
            assert abs(off) <= tolerance * size, f"u = {u}: {x} is off by {mp.nstr(off / size, 3)}"
            assert abs(quantile - x + off) <= tolerance * size


def mixed_normal(log_mixing, drift, loc=0.0, scale=1.0):
    """Density and tail of ``loc + drift G + scale sqrt(G) W``, where ``log_mixing(g)`` is the log density of ``G``.

    The integral over ``log G`` by the trapezoidal rule where the integrand is not below e^-55 of its largest value.
    """

    def integral(log_kernel, kernel):
        t = np.linspace(-400.0, 30.0, 43_001)
        g = np.exp(t)
        with np.errstate(all="ignore"):
            level = np.array(log_mixing(g, np)) + t + log_kernel(g)
        used = np.flatnonzero(level > np.nanmax(level) - 55.0)
        low, high = t[used[0]], t[used[-1]]
        n = int(max(200, (high - low) / 0.12))
        grid = [mp.exp(low + (high - low) * mp.mpf(i) / n) for i in range(n + 1)]
        return mp.fsum(mp.exp(log_mixing(v, mp)) * v * kernel(v) for v in grid) * (high - low) / n

    def standard(x, g, sqrt):
        return (x - loc - drift * g) / (scale * sqrt(g))

    def density(x):
        return integral(
            lambda g: stats.norm.logpdf(standard(float(x), g, np.sqrt)) - 0.5 * np.log(g),
            lambda g: mp.npdf(standard(x, g, mp.sqrt)) / (scale * mp.sqrt(g)),
        )

    def tail(x, upper):
        sign = 1.0 if upper else -1.0
        return integral(
            lambda g: stats.norm.logsf(sign * standard(float(x), g, np.sqrt)),
            lambda g: mp.ncdf(-sign * standard(x, g, mp.sqrt)),
        )

    return density, tail


def nig_oracle(a, b, loc=0.0, scale=1.0):
    """Barndorff-Nielsen's definition: the variance is inverse Gaussian."""
    gamma = mp.sqrt(mp.mpf(a) ** 2 - mp.mpf(b) ** 2)

    def log_mixing(g, m):
        c = gamma if m is mp else float(gamma)
        return -m.log(2 * m.pi) / 2 - 1.5 * m.log(g) - (1 / m.sqrt(g) - c * m.sqrt(g)) ** 2 / 2

    return mixed_normal(log_mixing, b * scale, loc, scale)


def vg_oracle(nu, theta=0.0, loc=0.0, scale=1.0):
    """Madan, Carr and Chang's definition: the variance is gamma."""
    k = 1 / mp.mpf(nu)
    constant = -mp.loggamma(k) - k * mp.log(nu)

    def log_mixing(g, m):
        shape, c = (k, constant) if m is mp else (float(k), float(constant))
        return c + (shape - 1) * m.log(g) - g / nu

    return mixed_normal(log_mixing, theta, loc, scale)


@pytest.mark.slow
@pytest.mark.parametrize("given", [(1.5, -0.5), (0.6, 0.1, 0.001, 0.01), (40.0, 25.0, -2.0, 3.0), (1.0, 0.999)])
def test_normal_inverse_gaussian_is_exact_in_both_tails(given):
    names = ("a", "b", "loc", "scale")
    law = NormalInverseGaussian(**dict(zip(names, given, strict=False)))
    assert_exact(law, *nig_oracle(*given))


def test_normal_inverse_gaussian_density_is_scipys():
    x = np.linspace(-9.0, 12.0, 43)
    for a, b in ((1.5, -0.5), (0.01, 0.005), (30.0, 29.0)):
        np.testing.assert_allclose(NormalInverseGaussian(a=a, b=b).logpdf(x), stats.norminvgauss(a, b).logpdf(x), 1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(
    "given",
    [{"nu": 0.2, "theta": -0.3}, {"nu": 0.7, "theta": 0.002, "loc": 0.001, "scale": 0.01}, {"nu": 3.0, "theta": 0.5}],
)
def test_variance_gamma_is_exact_in_both_tails(given):
    assert_exact(VarianceGamma(**given), *vg_oracle(**given))


def test_variance_gamma_with_a_whole_shape_is_the_asymmetric_laplace_law():
    """``nu = 1``: exponential tails of rates ``m -+ theta`` over ``scale^2``, in closed form."""
    theta = mp.mpf("0.5")
    m = mp.sqrt(theta**2 + 2)
    right, left = m - theta, m + theta

    def tail(x, upper):
        if x >= 0:
            above = left / (left + right) * mp.exp(-right * x)
            return above if upper else 1 - above
        below = right / (left + right) * mp.exp(left * x)
        return 1 - below if upper else below

    def density(x):
        return left * right / (left + right) * mp.exp(-right * x if x >= 0 else left * x)

    law = VarianceGamma(nu=1.0, theta=0.5)
    assert law._table is not None
    assert_exact(law, density, tail, [*US, -0.3, -0.2, 0.1, 0.3])


@pytest.mark.parametrize("given", [{"nu": 0.3, "theta": -0.4}, {"nu": 1.7, "theta": 0.8}, {"nu": 0.01, "theta": 0.2}])
def test_variance_gamma_density_is_that_of_a_mixed_normal(given):
    density, _ = vg_oracle(**given)
    x = [-9.0, -1.3, 0.4, 3.0]
    np.testing.assert_allclose(VarianceGamma(**given).logpdf(x), [float(mp.log(density(v))) for v in x], rtol=1e-11)


def test_variance_gamma_density_at_its_location():
    assert float(VarianceGamma(nu=1.0).logpdf(0.0)) == pytest.approx(-0.5 * math.log(2.0), rel=1e-12)
    assert float(VarianceGamma(nu=2.0).logpdf(0.0)) == math.inf
    assert float(VarianceGamma(nu=5.0).logpdf(0.0)) == math.inf


def half_integer_bessel_k(order, x):
    """``log K_(n + 1/2)(x) + x``, a finite sum: DLMF 10.49.12."""
    n, total, term = int(order - 0.5), mp.mpf(1), mp.mpf(1)
    for k in range(1, n + 1):
        term *= mp.mpf((n + k) * (n - k + 1)) / (2 * k * x)
        total += term
    return mp.log(mp.sqrt(mp.pi / (2 * x)) * total)


@pytest.mark.parametrize("order", [0.0, 0.5, 3.3, 19.5, 99.5, 100.5, 999.5])
def test_log_of_the_bessel_function_at_any_size(order):
    x = np.array([1e-200, 1e-30, 1e-3, 0.5, 7.0, 40.0, 300.0, 1e4, 1e12])
    with mp.workdps(30):
        if order % 1 == 0.5:
            exact = [float(half_integer_bessel_k(order, mp.mpf(v))) for v in x]
        else:
            exact = [float(mp.log(mp.besselk(order, mp.mpf(v))) + mp.mpf(v)) for v in x]
    np.testing.assert_allclose(log_bessel_k(order, x), exact, rtol=1e-13, atol=1e-12)


@pytest.mark.parametrize(
    "law",
    [
        *NormalInverseGaussian.examples(),
        *VarianceGamma.examples(),
        VarianceGamma(nu=3.0, theta=1.0),
        VarianceGamma(nu=20.0),
        VarianceGamma(nu=0.001, theta=100.0),
        NormalInverseGaussian(a=1e-3, b=9.99e-4),
        NormalInverseGaussian(a=1e9),
    ],
    ids=lambda law: law.describe(),
)
def test_density_integrates_to_one(law):
    assert law._tails.total == pytest.approx(1.0, abs=1e-12)
    assert law._tails.left.size < 5000


def test_tails_beyond_the_panels():
    """At probabilities no standard normal reaches, where the panels have ended."""
    law = NormalInverseGaussian(a=1.5, b=-0.5)
    _, tail = nig_oracle(1.5, -0.5)
    for x, upper in ((-900.0, False), (2000.0, True)):
        found = float(law.logsf(x) if upper else law.logcdf(x))
        assert found == pytest.approx(float(mp.log(tail(mp.mpf(x), upper))), rel=1e-13)
        assert float(law.quantile(found, upper)) == pytest.approx(x, rel=1e-12)


def truncated_normal_oracle(low, high):
    """Density and tail of the standard normal between two bounds."""

    def mass(a, b):
        return mp.ncdf(b) - mp.ncdf(a) if b <= 0 else mp.ncdf(-a) - mp.ncdf(-b)

    a = mp.mpf("-inf") if low is None else mp.mpf(low)
    b = mp.mpf("inf") if high is None else mp.mpf(high)
    return (
        lambda x: mp.npdf(x) / mass(a, b),
        lambda x, upper: mass(x, b) / mass(a, b) if upper else mass(a, x) / mass(a, b),
    )


BOUNDS = [
    (8.0, 9.0),
    (20.0, None),
    (None, -20.0),
    (-9.0, -8.0),
    (-1.0, 2.5),
    (0.0, None),
    (None, 3.0),
    (-40.0, 35.0),
    (0.5, 0.5 + 1e-9),
]


@pytest.mark.slow
@pytest.mark.parametrize(("low", "high"), BOUNDS)
def test_truncated_normal_is_exact_in_both_tails(low, high):
    density, tail = truncated_normal_oracle(low, high)
    with mp.workdps(400):
        law = TruncatedNormal(mean=0.0, std=1.0, low=low, high=high)
        assert law._table is not None
        assert_exact(law, density, tail)


def test_distance_from_a_bound_at_zero_keeps_its_digits():
    """``[0, inf)`` and ``(-inf, 0]``: the smallest values are sqrt(pi / 2) times their probability."""
    p = np.array([1e-5, 1e-20, 1e-300])
    for bounds, sign in (({"low": 0.0}, 1.0), ({"high": 0.0}, -1.0)):
        law = TruncatedNormal(mean=0.0, std=1.0, **bounds)
        x = law.quantile(np.log(p), upper=sign < 0)
        np.testing.assert_allclose(x[1:], sign * math.sqrt(0.5 * math.pi) * p[1:], rtol=2e-13)
        np.testing.assert_allclose(law.logsf(x) if sign < 0 else law.logcdf(x), np.log(p), rtol=1e-14)


@pytest.mark.parametrize(("low", "high"), [(8.0, 9.0), (20.0, None), (-1.0, 2.5), (1e4, None), (-1e4 - 1e-4, -1e4)])
@pytest.mark.slow_cases("-1.0-2.5", "8.0-9.0")
def test_truncated_normal_moments_and_entropy(low, high):
    law = TruncatedNormal(mean=0.0, std=1.0, low=low, high=high)
    with mp.workdps(40):
        end = mp.mpf(high if low is None or (high is not None and abs(high) < abs(low)) else low)
        reach = mp.mpf(60) / max(abs(end), 1)
        a, b = (end - reach, end) if end == high else (end, end + reach)
        a, b = (a if low is None else max(a, low)), (b if high is None else min(b, high))
        edges = [a + (b - a) * t for t in (0, 0.05, 0.2, 0.5, 0.8, 0.95, 1)]

        def weight(x):
            return mp.exp((end - x) * (end + x) / 2)

        whole = mp.quad(weight, edges)
        mean = mp.quad(lambda x: x * weight(x), edges) / whole
        second, third, fourth = (mp.quad(lambda x, k=k: (x - mean) ** k * weight(x), edges) / whole for k in (2, 3, 4))
        entropy = mp.log(whole) - mp.quad(lambda x: (end - x) * (end + x) / 2 * weight(x), edges) / whole
        exact = [mean, second, third / second ** mp.mpf(1.5), fourth / second**2 - 3]
    np.testing.assert_allclose(law.moments(), [float(v) for v in exact], rtol=1e-6, atol=1e-8)
    assert law.entropy() == pytest.approx(float(entropy), rel=1e-9)


def mixture_oracle(parts):
    """Density and tail of a mixture of normals: (weight, mean, std)."""
    parts = [tuple(map(mp.mpf, part)) for part in parts]

    def tail(x, upper):
        return sum(w * mp.ncdf((m - x) / s if upper else (x - m) / s) for w, m, s in parts)

    return lambda x: sum(w * mp.npdf(x, m, s) for w, m, s in parts), tail


@pytest.mark.slow
def test_mixture_is_exact_in_both_tails_and_nested_ones_are_flattened():
    inner = Mixture(weights=[0.25, 0.75], components=[Normal(mean=-4.0, std=0.5), Normal(mean=0.5, std=1.0)])
    law = Mixture(weights=[0.2, 0.8], components=[Normal(mean=1.0, std=3.0), inner])
    assert [c.kind for c in law.components] == ["normal"] * 3
    np.testing.assert_allclose(law.shares, [0.2, 0.2, 0.6], rtol=1e-15)
    assert_exact(law, *mixture_oracle([(0.2, 1, 3), (0.2, -4, 0.5), (0.6, 0.5, 1)]), [*US, -0.8, -0.7, 0.1])


@pytest.mark.slow
def test_smooth_mixture_is_tabulated_and_exact():
    law = Mixture(weights=[0.9, 0.1], components=[Normal(mean=0.05, std=1.0), Normal(mean=-1.0, std=2.5)])
    assert law._table is not None
    assert_exact(law, *mixture_oracle([(0.9, 0.05, 1), (0.1, -1, 2.5)]))


def test_mixture_with_a_gap_and_edges_is_solved_for_each_draw():
    law = Mixture(
        weights=[0.5, 0.5 - 1e-12, 1e-12],
        components=[Uniform(low=0.0, high=1.0), Uniform(low=5.0, high=7.0), Exponential(loc=100.0)],
    )
    assert law._table is None
    x = mapped(law, [-2.0, -1e-6, 1e-6, 1.0, 7.5, 20.0])
    p = stats.norm.cdf([-2.0, -1e-6])
    np.testing.assert_allclose(x[:2], 2.0 * p, rtol=1e-12)
    assert x[2] == pytest.approx(5.0, abs=1e-5)
    assert x[3] == pytest.approx(7.0 - 4.0 * stats.norm.sf(1.0), rel=1e-10)
    far = [100.0 - float(stats.norm.logsf(u)) + math.log(1e-12) for u in (7.5, 20.0)]
    np.testing.assert_allclose(x[4:], far, rtol=1e-13)


@pytest.mark.slow
def test_mixture_moments_are_those_of_the_density():
    law = Mixture(weights=[0.3, 0.7], components=[Lognormal(s=0.5), Normal(mean=-1.0, std=2.0)])
    x = np.linspace(-30.0, 90.0, 2_400_001)
    p = np.exp(law.logpdf(x)) * (x[1] - x[0])
    mean = float(p @ x)
    second, third, fourth = (float(p @ (x - mean) ** k) for k in (2, 3, 4))
    np.testing.assert_allclose(law.moments(), [mean, second, third / second**1.5, fourth / second**2 - 3], rtol=1e-7)
    assert law.entropy() == pytest.approx(-float(p @ law.logpdf(x)), rel=1e-8)


def test_mixture_of_counts_has_their_probabilities():
    law = Mixture(weights=[0.8, 0.2], components=[Poisson(mu=1.0), Affine(law=Poisson(mu=8.0), loc=0.5)])
    assert law.discrete
    k = np.arange(12.0)
    np.testing.assert_allclose(np.exp(law.logpdf(k)), 0.8 * stats.poisson(1.0).pmf(k), rtol=1e-12)
    np.testing.assert_allclose(np.exp(law.logpdf(k + 0.5)), 0.2 * stats.poisson(8.0).pmf(k), rtol=1e-12)
    exact = np.logaddexp(math.log(0.8) + stats.poisson(1.0).logsf(60), math.log(0.2) + stats.poisson(8.0).logsf(59))
    assert float(law.logsf(60.2)) == pytest.approx(exact, rel=1e-12)
    u = np.array([-3.0, 0.0, 2.0, 6.0])
    x = mapped(law, u)
    assert (law.cdf(x) >= stats.norm.cdf(u)).all()
    assert (law.cdf(x - 0.5) < stats.norm.cdf(u)).all()


def test_reflection_maps_the_upper_tail_exactly():
    base, law = StudentT(dof=3.0), Affine(law=StudentT(dof=3.0), loc=0.0, scale=-2.0)
    u = np.array([-37.0, -8.5, -1.0, 0.3, 9.0, 37.0])
    np.testing.assert_array_equal(mapped(law, u), -2.0 * mapped(base, -u))
    x = np.array([-1e60, -3.0, 0.1, 1e70])
    np.testing.assert_array_equal(law.logsf(x), base.logcdf(-x / 2.0))
    np.testing.assert_array_equal(law.logcdf(x), base.logsf(-x / 2.0))
    np.testing.assert_allclose(law.logpdf(x), base.logpdf(-x / 2.0) - math.log(2.0), rtol=1e-15)
    assert law.entropy() == pytest.approx(base.entropy() + math.log(2.0))


def test_reflected_exponential_is_exact_in_both_tails():
    law = Affine(law=Exponential(scale=2.0), loc=3.0, scale=-0.5)

    def tail(x, upper):
        below = mp.exp(-(3 - x))
        return 1 - below if upper else below

    with mp.workdps(400):
        assert_exact(law, lambda x: mp.exp(-(3 - x)), tail)
    assert law.support == (-math.inf, 3.0)
    np.testing.assert_allclose(law.moments(), [2.0, 1.0, -2.0, 6.0])


def test_reflected_counts_have_the_probabilities_of_their_values():
    law, n = Affine(law=Poisson(mu=3.0), loc=1.0, scale=-0.1), np.arange(9.0)
    x = 1.0 - 0.1 * n
    oracle = stats.poisson(3.0)
    np.testing.assert_allclose(np.exp(law.logpdf(x)), oracle.pmf(n), rtol=1e-12)
    np.testing.assert_allclose(law.cdf(x), oracle.sf(n - 1), rtol=1e-12)
    np.testing.assert_allclose(law.sf(x)[1:], oracle.cdf(n - 1)[1:], rtol=1e-12)
    assert float(law.logcdf(1.0 - 0.1 * 150)) == pytest.approx(float(Poisson(mu=3.0).logsf(149)), rel=1e-12)
    assert law.moments().mean == pytest.approx(0.7)


@pytest.mark.parametrize(("low", "high"), [(8.0, 9.0), (20.0, None), (-3.0, 1.5), (None, -25.0)])
def test_truncation_is_exact_in_both_tails(low, high):
    density, tail = truncated_normal_oracle(low, high)
    with mp.workdps(400):
        assert_exact(Truncated(law=Normal(loc=0.0, scale=1.0), low=low, high=high), density, tail)


@pytest.mark.parametrize(("low", "high"), [(8.0, 9.0), (20.0, None), (-3.0, 1.5), (0.7, 0.7001)])
@pytest.mark.slow_cases("-3.0-1.5")
def test_truncation_of_a_normal_is_the_truncated_normal(low, high):
    law, exact = (
        Truncated(law=Normal(loc=0.0, scale=1.0), low=low, high=high),
        TruncatedNormal(mean=0.0, std=1.0, low=low, high=high),
    )
    x = quantiles(exact, np.linspace(-6.0, 6.0, 25))
    for name in ("logpdf", "logcdf", "logsf"):
        np.testing.assert_allclose(getattr(law, name)(x), getattr(exact, name)(x), rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(law.moments(), exact.moments(), rtol=1e-6, atol=1e-6)
    assert law.entropy() == pytest.approx(exact.entropy(), rel=1e-9)


def test_truncation_does_not_mind_edges_of_the_law():
    steps = Mixture(weights=[0.9, 0.1], components=[Uniform(low=0.0, high=1.0), Uniform(low=0.0, high=10.0)])
    law = Truncated(law=steps, low=0.5, high=4.0)
    inside = 0.91 * 0.5 + 0.01 * 3.0
    x = np.array([0.5, 0.6, 1.0, 2.0, 4.0])
    exact = (0.91 * np.minimum(x - 0.5, 0.5) + 0.01 * np.maximum(x - 1.0, 0.0)) / inside
    np.testing.assert_allclose(law.cdf(x), exact, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(mapped(law, stats.norm.ppf(exact[1:4])), x[1:4], rtol=1e-10)


def test_truncated_counts_have_their_probabilities():
    law = Truncated(law=Poisson(mu=2.0), low=1.0, high=4.0)
    p = stats.poisson(2.0).pmf([1, 2, 3, 4])
    np.testing.assert_allclose(np.exp(law.logpdf([0, 1, 2, 3, 4, 5])), [0.0, *(p / p.sum()), 0.0], rtol=1e-12)
    np.testing.assert_array_equal(mapped(law, [-37.0, 37.0]), [1.0, 4.0])


def test_scipy_law_is_scipys():
    given = {"a": 0.5, "b": 1.5, "loc": 1.0, "scale": 2.0}
    law, oracle = ScipyLaw(name="johnsonsu", parameters=given), stats.johnsonsu(**given)
    x = np.linspace(-20.0, 15.0, 71)
    for name in ("logpdf", "logcdf", "logsf"):
        np.testing.assert_allclose(getattr(law, name)(x), getattr(oracle, name)(x), rtol=1e-13)
    np.testing.assert_allclose(law.moments(), oracle.stats("mvsk"), rtol=1e-10)
    assert law.entropy() == pytest.approx(float(oracle.entropy()))
    # X = 1 + 2 sinh((W - 0.5) / 1.5) for a standard normal W.
    np.testing.assert_allclose(mapped(law, US), 1.0 + 2.0 * np.sinh((np.array(US) - 0.5) / 1.5), rtol=1e-10)


def test_scipy_law_follows_the_logs_of_its_tails_below_what_a_double_holds():
    law = ScipyLaw(name="norm", parameters={"loc": -1.0, "scale": 0.5})
    np.testing.assert_allclose(quantiles(law, [-45.0, -38.5, 38.5, 45.0]), [-23.5, -20.25, 18.25, 21.5], rtol=1e-13)


def test_scipy_law_without_exact_tails_is_not_tabulated():
    """The upper tail of SciPy's cosine law is one minus a probability."""
    law = ScipyLaw(name="cosine")
    assert law._table is None
    x = mapped(law, np.linspace(-9.0, 9.0, 19))
    assert np.isfinite(x).all()
    assert (np.diff(x) >= -1e-6).all()


@pytest.mark.parametrize(
    ("make", "field", "message"),
    [
        (lambda: NormalInverseGaussian(a=-1.0), "a", "must be positive and finite, got -1"),
        (lambda: NormalInverseGaussian(a=1.0, b=-1.0), "b", "must be above -1 and below 1, the value of a, got -1"),
        (lambda: NormalInverseGaussian(a=1.0, b=math.nan), "b", "got nan"),
        (lambda: NormalInverseGaussian(a=1.0, loc=math.inf), "loc", "must be finite, got inf"),
        (lambda: NormalInverseGaussian(a=1.0, scale=0.0), "scale", "must be positive and finite, got 0"),
        (lambda: VarianceGamma(nu=0.0), "nu", "must be from 0.001 to 20, got 0"),
        (lambda: VarianceGamma(nu=math.nan), "nu", "got nan"),
        (lambda: VarianceGamma(nu=1.0, theta=math.inf), "theta", "must be finite, got inf"),
        (lambda: VarianceGamma(nu=1.0, scale=-2.0), "scale", "must be positive and finite, got -2"),
        (lambda: TruncatedNormal(mean=0.0, std=1.0), "low", "without bounds the law is kind normal"),
        (lambda: TruncatedNormal(mean=0.0, std=0.0, low=1.0), "std", "must be positive and finite, got 0"),
        (lambda: TruncatedNormal(mean=0.0, std=1.0, low=2.0, high=1.0), "high", "must be above low, which is 2, got 1"),
        (lambda: TruncatedNormal(mean=0.0, std=1.0, low=math.inf), "low", "must be finite, got inf"),
        (lambda: Mixture(weights=[], components=[]), "components", "must name at least one law"),
        (lambda: Mixture(weights=[1.0, 0.0], components=[Exponential()] * 2), "weights", "must be positive, got 0"),
        (lambda: Mixture(weights=[0.5, 0.4], components=[Exponential()] * 2), "weights", "must add to 1, got 0.9"),
        (lambda: Mixture(weights=[1.0], components=[Exponential()] * 2), "weights", "must have 2 entries, got 1"),
        (
            lambda: Mixture(weights=[0.5, 0.5], components=[Exponential(), Poisson(mu=1.0)]),
            "components",
            "must be all continuous or all discrete, got exponential (continuous), poisson (discrete)",
        ),
        (
            lambda: Mixture(weights=[1.0], components=[Poisson(mu=1e14)]),
            "components",
            "must have values that can be listed",
        ),
        (lambda: Affine(law=Exponential(), scale=0.0), "scale", "must not be 0"),
        (lambda: Affine(law=Exponential(), loc=math.nan), "loc", "must be finite, got nan"),
        (lambda: Affine(law=Poisson(mu=1.0), loc=1.0, scale=1e-17), "scale", "values of the law coincide, got 1e-17"),
        (lambda: Truncated(law=Exponential()), "low", "must be given where high is not"),
        (lambda: Truncated(law=Exponential(), low=2.0, high=2.0), "high", "must be above low, which is 2, got 2"),
        (lambda: Truncated(law=Exponential(), low=math.nan), "low", "must be a number, got nan"),
        (lambda: Truncated(law=Exponential(), high=-1.0), "high", "no probability between -inf and -1"),
        (lambda: Truncated(law=Poisson(mu=2.0), low=1.2, high=1.8), "low", "no probability between 1.2 and 1.8"),
        (lambda: ScipyLaw(name="jonsonsu"), "name", "got 'jonsonsu'; did you mean 'johnsonsu'"),
        (lambda: ScipyLaw(name="poisson"), "name", "'poisson' is discrete"),
        (lambda: ScipyLaw(name="linregress"), "name", "must be a continuous law of scipy.stats"),
        (lambda: ScipyLaw(name="gamma"), "parameters", "gamma needs a; missing: a"),
        (
            lambda: ScipyLaw(name="beta", parameters={"a": 1.0, "c": 2.0}),
            "parameters",
            "unknown parameter of beta 'c' (allowed: a, b, loc, scale)",
        ),
        (lambda: ScipyLaw(name="gamma", parameters={"a": -1.0}), "parameters", "does not allow a = -1"),
        (
            lambda: ScipyLaw(name="gamma", parameters={"a": math.nan}),
            "parameters",
            "a must be a finite number, got nan",
        ),
        (lambda: ScipyLaw(name="norm", parameters={"scale": 0.0}), "parameters", "scale must be positive, got 0"),
    ],
)
def test_bad_parameters_are_refused(make, field, message):
    with pytest.raises(FieldError) as caught:
        make()
    assert caught.value.field == field
    assert message in caught.value.message


@pytest.mark.parametrize("cls", [TruncatedNormal, Mixture, Affine, Truncated, ScipyLaw], ids=lambda cls: cls.kind)
def test_laws_that_are_given_cannot_be_fitted(cls):
    with pytest.raises(DataError, match=f"{cls.kind} cannot be fitted to data; state its parameters"):
        cls.fit([1.0, 2.0, 3.0])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("law", "n"),
    [
        (NormalInverseGaussian(a=0.6, b=0.1, loc=0.001, scale=0.01), 20_000),
        (VarianceGamma(nu=0.6, theta=-0.004, loc=0.002, scale=0.01), 5_000),
    ],
    ids=["normal_inverse_gaussian", "variance_gamma"],
)
@pytest.mark.statistical(effect=1.5, false_fail=8e-9, false_pass=1e-3)
def test_fit_recovers_the_law(law, n, seed):
    x = draws(law, n, seed(811))
    fit = type(law).fit(x)
    for name, value in fit.parameters.items():
        assert 0 < fit.std_errors[name] < 10.0
        assert_within_error(value, getattr(law, name), fit.std_errors[name], false_fail=FROM_A_FIT)
    assert fit.log_likelihood >= float(law.logpdf(x).sum())


@pytest.mark.slow
def test_fit_of_normal_data_ends_next_to_the_normal_law(seed):
    """Neither law has the normal as a member: both must come close to its likelihood and say what they found."""
    x = np.random.default_rng(seed(812)).normal(0.3, 2.0, 300)
    best = float(stats.norm(x.mean(), x.std()).logpdf(x).sum())
    for cls in (NormalInverseGaussian, VarianceGamma):
        assert cls.fit(x).log_likelihood > best - 1.0


@pytest.mark.parametrize(
    "law",
    [NormalInverseGaussian(a=1.0), VarianceGamma(nu=0.2), Mixture.examples()[0], Affine.examples()[0]],
    ids=lambda law: law.kind,
)
@pytest.mark.slow_cases("mixture")
def test_law_that_has_been_used_can_be_sent_to_a_worker(law):
    x = mapped(law, US)
    np.testing.assert_array_equal(mapped(pickle.loads(pickle.dumps(law)), US), x)
