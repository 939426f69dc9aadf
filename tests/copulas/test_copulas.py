"""Copulas against closed forms and outside references; what they refuse; and what they are fitted with."""

import json
import math
import re

import mpmath
import numpy as np
import pytest
from scipy import special, stats

from raresim import registry
from raresim.copulas import nataf, tables
from raresim.copulas.archimedean import log_stirling_second
from raresim.copulas.blocks import Blocks
from raresim.copulas.clayton import Clayton
from raresim.copulas.fit import log_likelihood
from raresim.copulas.frank import Frank
from raresim.copulas.gaussian import Gaussian
from raresim.copulas.grouped_t import GroupedT, between_groups
from raresim.copulas.gumbel import Gumbel
from raresim.copulas.independence import Independence
from raresim.copulas.joe import Joe, log_sibuya
from raresim.copulas.nataf import normal_correlation
from raresim.copulas.ranks import count_below, kendall_matrix, pseudo_scores
from raresim.copulas.student_t_map import StudentTMap
from raresim.copulas.survival import Survival
from raresim.copulas.t import T
from raresim.copulas.vine import CUT, Vine
from raresim.data.correlation import correlation
from raresim.errors import DataError, FieldError
from raresim.marginals.bernoulli import Bernoulli
from raresim.marginals.exponential import Exponential
from raresim.marginals.lognormal import Lognormal
from raresim.marginals.pareto import Pareto
from raresim.marginals.poisson import Poisson
from raresim.marginals.uniform import Uniform
from tests.helpers import block, logpdf, normals
from tests.statistical import FROM_A_FIT, assert_count, assert_within_error

MATRIX = [[1.0, 0.6, -0.3], [0.6, 1.0, 0.2], [-0.3, 0.2, 1.0]]
NOT_DEFINITE = [[1.0, 0.9, -0.9], [0.9, 1.0, 0.9], [-0.9, 0.9, 1.0]]

CDFS = {
    Clayton: lambda u, w, a: (u**-a + w**-a - 1) ** (-1 / a),
    Gumbel: lambda u, w, a: np.exp(-((((-np.log(u)) ** a) + (-np.log(w)) ** a) ** (1 / a))),
    Frank: lambda u, w, a: -np.log1p(np.expm1(-a * u) * np.expm1(-a * w) / np.expm1(-a)) / a,
    Joe: lambda u, w, a: 1 - ((1 - u) ** a + (1 - w) ** a - ((1 - u) * (1 - w)) ** a) ** (1 / a),
}
THETAS = {Clayton: 1.7, Gumbel: 2.3, Frank: 6.0, Joe: 2.6}
ARCHIMEDEAN = list(CDFS)


def scores(copula, u):
    v = block(len(u), copula.dim)
    copula.scores(np.asfortranarray(u, dtype=float), v)
    return v


def draws(copula, n, seed):
    return scores(copula, normals(n, copula.latent_dim, seed))


# Laws of pairs in closed form.


@pytest.mark.parametrize("cls", ARCHIMEDEAN)
@pytest.mark.parametrize(("q", "w"), [(0.3, 0.7), (1e-3, 1e-3), (0.02, 0.002), (0.999, 0.999), (0.9, 0.99)])
@pytest.mark.statistical(effect=50, false_fail=1e-7, false_pass=1e-3)
def test_joint_probabilities_of_draws_are_in_closed_form(cls, q, w, seed):
    """At the corners too, where the limit of ``C(q, q) / q`` shows."""
    n = 200_000
    u, v = draws(cls(theta=THETAS[cls], dim=2), n, seed(821)).T
    low = CDFS[cls](q, w, THETAS[cls])
    upper = 1 - q - w + low
    a, b = special.ndtri(q), special.ndtri(w)
    assert_count([((u < a) & (v < b)).sum(), ((u > a) & (v > b)).sum()], n, np.array([low, upper]))


@pytest.mark.parametrize("cls", ARCHIMEDEAN)
def test_density_of_a_pair_is_the_mixed_difference_of_its_distribution(cls):
    theta = THETAS[cls]
    cdf, h = CDFS[cls], mpmath.mpf("1e-12")
    copula = cls(theta=theta, dim=2)
    for u, w in [(0.2, 0.7), (0.5, 0.5), (0.05, 0.9), (0.97, 0.96)]:
        with mpmath.workdps(60):
            a, b = mpmath.mpf(u), mpmath.mpf(w)
            plain = {
                Clayton: lambda x, y, t: (x**-t + y**-t - 1) ** (-1 / t),
                Gumbel: lambda x, y, t: mpmath.exp(-(((-mpmath.log(x)) ** t + (-mpmath.log(y)) ** t) ** (1 / t))),
                Frank: lambda x, y, t: (
                    -mpmath.log1p(mpmath.expm1(-t * x) * mpmath.expm1(-t * y) / mpmath.expm1(-t)) / t
                ),
                Joe: lambda x, y, t: 1 - ((1 - x) ** t + (1 - y) ** t - ((1 - x) * (1 - y)) ** t) ** (1 / t),
            }[cls]
            t = mpmath.mpf(theta)
            assert float(plain(a, b, t)) == pytest.approx(cdf(u, w, theta), rel=1e-9)
            mixed = (
                plain(a + h, b + h, t) - plain(a + h, b - h, t) - plain(a - h, b + h, t) + plain(a - h, b - h, t)
            ) / (4 * h * h)
            exact = float(mpmath.log(mixed))
        found = logpdf(copula, special.ndtri([[u, w]]))[0]
        assert found == pytest.approx(exact, rel=1e-9, abs=1e-9)


GENERATORS = {
    Clayton: lambda t, a: (1 + t) ** (-1 / a),
    Gumbel: lambda t, a: mpmath.exp(-(t ** (1 / a))),
    Frank: lambda t, a: -mpmath.log(1 - (1 - mpmath.exp(-a)) * mpmath.exp(-t)) / a,
    Joe: lambda t, a: 1 - (1 - mpmath.exp(-t)) ** (1 / a),
}


@pytest.mark.parametrize("cls", ARCHIMEDEAN)
@pytest.mark.parametrize("order", [1, 2, 5, 9])
def test_derivatives_of_the_generator_are_those_of_arbitrary_precision(cls, order):
    copula = cls(theta=THETAS[cls], dim=2)
    for t in (1e-3, 0.4, 3.0, 40.0):
        with mpmath.workdps(60):
            a = mpmath.mpf(THETAS[cls])
            exact = mpmath.diff(lambda s, a=a: GENERATORS[cls](s, a), mpmath.mpf(t), order) * (-1) ** order
            log_exact = float(mpmath.log(exact))
        assert copula._log_derivative(np.array([math.log(t)]), order)[0] == pytest.approx(
            log_exact, rel=1e-10, abs=1e-10
        )


def test_stirling_numbers_of_the_second_kind():
    np.testing.assert_allclose(np.exp(log_stirling_second(5)), [0, 1, 15, 25, 10, 1], rtol=1e-13)


@pytest.mark.parametrize("cls", ARCHIMEDEAN)
def test_density_in_many_dimensions_is_finite_and_that_of_its_own_margin(cls):
    """The density is finite in 60 dimensions; in three, integrated over one number, it equals the density in two."""
    v = np.random.default_rng(1).standard_normal((20, 60))
    assert np.isfinite(logpdf(cls(theta=THETAS[cls], dim=60), v)).all()
    axis = np.arange(-9.0, 9.001, 0.02)
    points = np.column_stack([np.full(axis.size, 0.3), np.full(axis.size, -1.1), axis])
    three = np.exp(logpdf(cls(theta=THETAS[cls], dim=3), points)) @ stats.norm.pdf(axis) * 0.02
    two = np.exp(logpdf(cls(theta=THETAS[cls], dim=2), points[:1, :2]))[0]
    assert three == pytest.approx(two, rel=1e-9)


@pytest.mark.parametrize(
    ("copula", "lower", "upper"),
    [
        (Clayton(theta=2.0, dim=2), 2**-0.5, 0.0),
        (Gumbel(theta=3.0, dim=2), 0.0, 2 - 2 ** (1 / 3)),
        (Joe(theta=3.0, dim=2), 0.0, 2 - 2 ** (1 / 3)),
        (Frank(theta=9.0, dim=2), 0.0, 0.0),
        (Survival(copula=Clayton(theta=2.0, dim=2)), 0.0, 2**-0.5),
        (T(dof=4.0, rho=0.5, dim=2), *[2 * stats.t.sf(math.sqrt(5 / 3), 5)] * 2),
        (Gaussian(rho=0.9, dim=2), 0.0, 0.0),
    ],
)
def test_tail_dependence_is_the_known_one(copula, lower, upper):
    found = copula.tail_dependence()
    assert found[0][0, 1] == pytest.approx(lower, rel=1e-12)
    assert found[1][0, 1] == pytest.approx(upper, rel=1e-12)


@pytest.mark.parametrize("cls", ARCHIMEDEAN)
def test_tail_dependence_is_the_limit_of_the_generator(cls):
    """``psi(2 psi^-1(q)) / q`` at q = 1e-100, which for those without it is far below."""
    copula = cls(theta=THETAS[cls], dim=2)
    z = np.array([stats.norm.ppf(1e-100)])
    lower, upper = (t[0, 1] for t in copula.tail_dependence())
    both = np.exp(copula._log_psi(copula._log_inverse(z) + math.log(2.0)) - math.log(1e-100))[0]
    assert both == pytest.approx(lower, abs=1e-9)
    rest = np.exp(copula._log_rest(copula._log_inverse(-z) + math.log(2.0)) - math.log(1e-100))[0]
    assert 2 - rest == pytest.approx(upper, abs=1e-9)


@pytest.mark.parametrize("cls", ARCHIMEDEAN)
@pytest.mark.parametrize("tau", [0.01, 0.35, 0.8])
def test_theta_of_kendalls_tau_gives_it_back_by_its_integral(cls, tau):
    """``tau = 1 + 4 int phi / phi'`` of the inverse generator (Genest & MacKay 1986), by quadrature."""
    theta = cls(tau=tau, dim=2).parameter
    with mpmath.workdps(60):
        a, log, em1 = mpmath.mpf(theta), mpmath.log, mpmath.expm1
        ratio = {
            Clayton: lambda u: (u ** (a + 1) - u) / a,
            Gumbel: lambda u: u * log(u) / a,
            Frank: lambda u: -log(em1(-a * u) / em1(-a)) * em1(-a * u) * mpmath.exp(a * u) / a,
            Joe: lambda u: log(1 - (1 - u) ** a) * (1 - (1 - u) ** a) / (a * (1 - u) ** (a - 1)),
        }[cls]
        integral = mpmath.quad(ratio, [0, 0.02, 0.1, 0.5, 0.9, 1])
    assert float(1 + 4 * integral) == pytest.approx(tau, abs=1e-8)


def test_kendalls_tau_is_smooth_where_its_formula_is_not():
    np.testing.assert_allclose(np.diff([Joe.tau_of(2.0 + h) for h in (-3e-4, -1e-4, 1e-4, 3e-4)], 2), 0.0, atol=1e-8)
    assert Joe.tau_of(2.0) == pytest.approx(2 - math.pi**2 / 6, rel=1e-12)
    assert Frank.tau_of(0.0999999) == pytest.approx(Frank.tau_of(0.1000001), rel=1e-5)
    assert Frank.tau_of(0.1) == pytest.approx(0.1 / 9 - 0.1**3 / 900, rel=1e-6)


# Far tails.


def test_gaussian_scores_are_the_correlated_latent_normals():
    u = np.random.default_rng(2).uniform(-37, 37, (50, 3))
    copula = Gaussian(correlation=MATRIX)
    np.testing.assert_allclose(scores(copula, u), u @ np.linalg.cholesky(MATRIX).T, rtol=1e-13, atol=1e-13)


def quantile_score(log_p, log_q):
    out = np.empty(1)
    from raresim.numerics.normal_scores import from_log_probabilities

    from_log_probabilities(np.array([float(log_p)]), np.array([float(log_q)]), out)
    return out[0]


FAR = [(-36.9, 0.3), (-34.0, -12.0), (-31.5, 35.0), (2.0, 36.0), (36.5, 0.1), (30.0, -30.0), (0.4, -0.2)]


@pytest.mark.parametrize(("frailty", "own"), FAR)
def test_clayton_scores_are_exact_in_both_far_tails(frailty, own):
    """With theta 1 the frailty is exponential: ``U = 1 / (1 + E / V)``, which is below 1e-200 in the first cases."""
    with mpmath.workdps(400):
        v = -mpmath.log(mpmath.erfc(mpmath.mpf(frailty) / mpmath.sqrt(2)) / 2)
        e = -mpmath.log(mpmath.erfc(-mpmath.mpf(own) / mpmath.sqrt(2)) / 2)
        u = 1 / (1 + e / v)
        exact = quantile_score(mpmath.log(u), mpmath.log(1 - u))
        if frailty < -31 and own < 1:
            assert u < mpmath.mpf("1e-200")
    found = scores(Clayton(theta=1.0, dim=2), [[frailty, own, 0.0]])[0, 0]
    assert found == pytest.approx(exact, rel=1e-10, abs=1e-10)


@pytest.mark.parametrize(("first", "own"), FAR)
@pytest.mark.parametrize("second", [-33.0, 0.7, 35.0])
def test_gumbel_scores_are_exact_in_both_far_tails(first, second, own):
    """Kanter's frailty in arbitrary precision."""
    theta = 2.5
    with mpmath.workdps(700):
        phi = [mpmath.erfc(-mpmath.mpf(x) / mpmath.sqrt(2)) / 2 for x in (first, second, own)]
        a, angle, w, e = 1 / mpmath.mpf(theta), mpmath.pi * phi[0], -mpmath.log(phi[1]), -mpmath.log(phi[2])
        v = mpmath.sin(a * angle) / mpmath.sin(angle) ** (1 / a) * (mpmath.sin((1 - a) * angle) / w) ** ((1 - a) / a)
        u = mpmath.exp(-((e / v) ** a))
        exact = quantile_score(mpmath.log(u), mpmath.log(-mpmath.expm1(-((e / v) ** a))))
    found = scores(Gumbel(theta=theta, dim=2), [[first, second, own, 0.0]])[0, 0]
    assert found == pytest.approx(exact, rel=1e-10, abs=1e-10)


@pytest.mark.parametrize(("first", "own"), FAR)
def test_frank_scores_are_exact_in_both_far_tails(first, own):
    theta, second = 6.0, 1.9
    with mpmath.workdps(700):
        phi = [mpmath.erfc(-mpmath.mpf(x) / mpmath.sqrt(2)) / 2 for x in (first, -second, own)]
        v = 1 + mpmath.floor(mpmath.log(phi[1]) / mpmath.log1p(-mpmath.exp(-theta * phi[0])))
        t = -mpmath.log(phi[2]) / v
        p = 1 - mpmath.exp(-theta)
        u = -mpmath.log(1 - p * mpmath.exp(-t)) / theta
        exact = quantile_score(mpmath.log(u), mpmath.log(1 - u))
    found = scores(Frank(theta=theta, dim=2), [[first, second, own, 0.0]])[0, 0]
    assert found == pytest.approx(exact, rel=1e-10, abs=1e-10)


@pytest.mark.parametrize("theta", [1.0001, 1.3, 2.0, 9.0])
def test_sibuya_frailty_is_the_quantile_of_its_law(theta):
    """Below 2000 by adding up its probabilities; far out by the power law of its tail."""
    a = 1 / theta
    k = np.arange(1, 2000)
    log_sf = special.gammaln(k + 1 - a) - special.gammaln(k + 1) - special.gammaln(1 - a)
    pmf = a * np.cumprod(np.append(1.0, (k[:-1] - a) / (k[:-1] + 1)))
    np.testing.assert_allclose(-np.expm1(log_sf), np.cumsum(pmf), rtol=1e-10)
    log_q = np.linspace(math.log(0.9999), 0.5 * (log_sf[-2] + log_sf[-3]), 5000)
    out = np.empty(log_q.size)
    log_sibuya(log_q, a, out)
    np.testing.assert_allclose(np.exp(out), k[np.searchsorted(-log_sf, -log_q)], rtol=1e-12)
    far = np.array([-300.0, -690.0])
    out = np.empty(2)
    log_sibuya(far, a, out)
    np.testing.assert_allclose(out, -(far + special.gammaln(1 - a)) / a, rtol=1e-12)


@pytest.mark.parametrize("dof", [0.1, 1.0, 4.0, 30.0, 1e5])
@pytest.mark.slow_cases("100000.0")
def test_score_of_a_t_variate_is_exact_far_into_the_tail(dof):
    margin = StudentTMap(dof)
    x = np.array([-18.0, -3.01, -0.4, 0.3, 0.61, 1.3, 2.2, 3.3, *([25.0, 120.0] if dof <= 4 else [])])
    found = np.empty(x.size)
    margin.score(x, found)
    for at, score in zip(x, found, strict=True):
        with mpmath.workdps(60):
            y, nu = mpmath.exp(mpmath.mpf(at)), mpmath.mpf(dof)
            tail = mpmath.betainc(nu / 2, 0.5, 0, nu / (nu + y * y), regularized=True) / 2
            own = mpmath.erfc(mpmath.mpf(score) / mpmath.sqrt(2)) / 2
            error = float((own - tail) / mpmath.npdf(mpmath.mpf(score)))
        assert abs(error) < 1e-10
    back = np.empty(x.size)
    margin.log_variate(found, back)
    np.testing.assert_allclose(back[1:], x[1:], rtol=1e-9, atol=1e-9)


def test_t_scores_of_a_wild_and_of_a_calm_draw():
    """The shared mixing variable stretches both numbers alike: against SciPy's tails where those are normal doubles."""
    copula = T(dof=4.0, rho=0.5, dim=2)
    u = np.array([[-3.0, 1.0, 0.5], [2.5, -1.0, 2.0], [-6.0, 0.1, -3.0]])
    found = scores(copula, u)
    z = u[:, 1:] @ np.linalg.cholesky([[1, 0.5], [0.5, 1]]).T
    w = stats.chi2.ppf(special.ndtr(u[:, 0]), 4.0)
    exact = special.ndtri(stats.t.cdf(z * np.sqrt(4.0 / w)[:, None], 4.0))
    np.testing.assert_allclose(found, exact, rtol=1e-8)


# Densities against SciPy.


def test_gaussian_density_is_scipys():
    v = np.random.default_rng(3).standard_normal((50, 3)) * 2
    exact = stats.multivariate_normal(cov=MATRIX).logpdf(v) - stats.norm.logpdf(v).sum(axis=1)
    np.testing.assert_allclose(logpdf(Gaussian(correlation=MATRIX), v), exact, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("dof", [0.7, 4.0, 60.0])
def test_t_density_is_scipys(dof):
    v = np.random.default_rng(4).standard_normal((50, 3)) * 1.5
    y = np.where(v < 0, stats.t.ppf(special.ndtr(v), dof), -stats.t.ppf(special.ndtr(-v), dof))
    exact = stats.multivariate_t(shape=MATRIX, df=dof).logpdf(y) - stats.t.logpdf(y, dof).sum(axis=1)
    np.testing.assert_allclose(logpdf(T(dof=dof, correlation=MATRIX), v), exact, rtol=1e-7, atol=1e-8)


def test_a_grouped_t_of_equal_degrees_of_freedom_is_the_t_copula():
    one, other = GroupedT(groups=[1, 2], dof=5.0, correlation=MATRIX), T(dof=5.0, correlation=MATRIX)
    u = normals(200, 4, 5)
    np.testing.assert_array_equal(scores(one, u), scores(other, u))
    v = np.random.default_rng(6).uniform(-12, 12, (60, 3))
    np.testing.assert_allclose(logpdf(one, v), logpdf(other, v), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(one.kendall(), other.kendall(), atol=1e-12)
    np.testing.assert_array_equal(one.tail_dependence()[0], other.tail_dependence()[0])


@pytest.mark.statistical(effect=0.08, false_fail=1e-7, false_pass=1e-3)
def test_tail_dependence_between_groups():
    """With nearly equal degrees of freedom it is the t copula's; otherwise the mean of a minimum, by simulation."""
    assert between_groups(0.5, 4.0, 4.0 + 1e-7) == pytest.approx(2 * stats.t.sf(math.sqrt(5 / 3), 5), rel=1e-6)
    z = np.random.default_rng(7).standard_normal((400_000, 2)) @ np.linalg.cholesky([[1, 0.5], [0.5, 1]]).T
    powers = np.maximum(z, 0.0) ** np.array([2.0, 5.0])
    means = [0.5, 2**1.5 * special.gamma(3.0) / math.sqrt(math.pi)]
    least = (powers / means).min(axis=1)
    assert_within_error(least.mean(), between_groups(0.5, 2.0, 5.0), least.std() / math.sqrt(len(z)))


# Structures.


@pytest.mark.statistical(effect=0.2, false_fail=1e-7, false_pass=1e-3)
def test_survival_copula_mirrors_the_probabilities(seed):
    n, q, w = 200_000, 0.2, 0.05
    v = draws(Survival(copula=Clayton(theta=1.7, dim=2)), n, seed(823))
    both = ((v[:, 0] < special.ndtri(q)) & (v[:, 1] < special.ndtri(w))).sum()
    assert_count(both, n, q + w - 1 + CDFS[Clayton](1 - q, 1 - w, 1.7))


def test_blocks_are_their_copulas_side_by_side():
    parts = [Clayton(theta=2.0, dim=2), Independence(dim=1), T(dof=5.0, rho=0.4, dim=2)]
    blocks = Blocks(copulas=parts)
    u = normals(100, blocks.latent_dim, 8)
    v = scores(blocks, u)
    np.testing.assert_array_equal(v[:, :2], scores(parts[0], u[:, :3]))
    np.testing.assert_array_equal(v[:, 2], u[:, 3])
    np.testing.assert_array_equal(v[:, 3:], scores(parts[2], u[:, 4:]))
    np.testing.assert_allclose(
        logpdf(blocks, v), logpdf(parts[0], v[:, :2]) + logpdf(parts[2], v[:, 3:]), rtol=1e-13, atol=1e-13
    )
    assert blocks.kendall()[0, 3] == 0.0


@pytest.mark.parametrize("measure", ["spearman", "kendall"])
@pytest.mark.statistical(effect=0.1, false_fail=1e-7, false_pass=1e-3)
def test_rank_correlations_are_converted(measure, seed):
    copula = Gaussian(rho=0.5, dim=2, measure=measure)
    v = draws(copula, 400_000, seed(824))
    statistic = {"spearman": stats.spearmanr, "kendall": stats.kendalltau}[measure](*v.T).statistic
    assert_within_error(statistic, 0.5, 0.8 / math.sqrt(len(v)))
    assert abs(statistic - copula.matrix[0, 1]) > 0.01


def test_vine_is_the_package_inside_its_cut():
    pv = pytest.importorskip("pyvinecopulib")
    (vine,) = Vine.examples()
    u = normals(200, 3, 9)
    own = pv.Vinecop.from_file(str(vine.file))
    exact = special.ndtri(own.inverse_rosenblatt(np.asfortranarray(special.ndtr(u))))
    np.testing.assert_allclose(scores(vine, u), exact, rtol=1e-12)
    np.testing.assert_allclose(np.exp(logpdf(vine, exact)), own.pdf(np.asfortranarray(special.ndtr(exact))), rtol=1e-8)
    far = scores(vine, np.full((1, 3), 20.0))
    assert np.abs(far).max() == pytest.approx(CUT, rel=1e-9)
    tau = vine.kendall()
    assert np.isnan(tau).sum() == 2
    assert sorted(tau[np.isfinite(tau) & (tau < 1)]) == pytest.approx(
        sorted([*[1.5 / 3.5] * 2, *[2 / math.pi * math.asin(0.5)] * 2])
    )
    lower, upper = vine.tail_dependence()
    clayton = np.isclose(lower, 2 ** (-1 / 1.5))
    assert clayton.sum() == 2
    assert (upper[clayton] == 0).all()


def test_upper_tails_of_a_vine_are_not_its_lower_ones(tmp_path):
    pv = pytest.importorskip("pyvinecopulib")
    gumbel = pv.Bicop.from_family(pv.BicopFamily.gumbel, parameters=np.array([[2.0]]))
    path = tmp_path / "vine.json"
    pv.Vinecop.from_structure(structure=pv.DVineStructure([1, 2]), pair_copulas=[[gumbel]]).to_file(str(path))
    lower, upper = Vine(file=path).tail_dependence()
    assert (lower[0, 1], upper[0, 1]) == (0.0, pytest.approx(2 - math.sqrt(2)))


# Correlation matrices.


def test_higham_s_example_is_repaired_to_the_published_matrix():
    """Higham (2002), section 1: the nearest of the tridiagonal matrix of ones."""
    given = np.eye(3) + np.eye(3, k=1) + np.eye(3, k=-1)
    found, repair = correlation("correlation", given, "nearest")
    exact = [[1.0, 0.7607, 0.1573], [0.7607, 1.0, 0.7607], [0.1573, 0.7607, 1.0]]
    np.testing.assert_allclose(found, exact, atol=1e-4)
    assert repair.distance == pytest.approx(0.5278, abs=1e-4)
    assert repair.largest_change == pytest.approx(np.abs(found - given).max())
    np.linalg.cholesky(found)


def test_repair_says_how_far_it_went_and_is_idle_where_none_is_needed():
    assert correlation("correlation", MATRIX, "nearest")[1] is None
    copula = Gaussian(correlation=NOT_DEFINITE, repair="nearest")
    np.testing.assert_array_equal(np.diag(copula.matrix), 1.0)
    assert np.linalg.eigvalsh(copula.matrix)[0] > 0
    change = copula.matrix - NOT_DEFINITE
    text = " ".join(copula.describe())
    assert f"{np.linalg.norm(change):.3g} in the Frobenius norm" in text
    assert f"{np.abs(change).max():.3g}" in text
    # No projection of a random correlation matrix is nearer.
    rng = np.random.default_rng(10)
    for _ in range(200):
        other = stats.random_correlation.rvs(np.sort(rng.dirichlet(np.ones(3)) * 3), random_state=rng)
        mixed = 0.95 * copula.matrix + 0.05 * other
        assert np.linalg.norm(mixed - NOT_DEFINITE) >= np.linalg.norm(change) - 1e-6


# Pearson's correlation in physical units.


@pytest.mark.parametrize(("s", "t", "rho"), [(0.2, 0.5, -0.6), (1.0, 0.5, 0.3), (1.5, 1.5, 0.95), (2.0, 0.3, 0.7)])
def test_nataf_of_lognormals_is_in_closed_form(s, t, rho):
    pearson = math.expm1(rho * s * t) / math.sqrt(math.expm1(s * s) * math.expm1(t * t))
    found = normal_correlation([Lognormal(s=s), Lognormal(s=t)], [[1, pearson], [pearson, 1]])
    assert found[0, 1] == pytest.approx(rho, abs=5e-9)


@pytest.mark.parametrize("pearson", [-0.95, -0.3, 0.5, 0.99])
def test_nataf_of_uniforms_is_that_of_spearman(pearson):
    laws = [Uniform(low=0, high=1), Uniform(low=-3, high=5)]
    found = normal_correlation(laws, [[1, pearson], [pearson, 1]])[0, 1]
    assert found == pytest.approx(2 * math.sin(math.pi * pearson / 6), abs=1e-9)


@pytest.mark.parametrize("pearson", [-0.7, 0.2, 0.9, 0.99])
def test_nataf_of_fair_coins_is_an_arcsine(pearson):
    found = normal_correlation([Bernoulli(p=0.5)] * 2, [[1, pearson], [pearson, 1]])[0, 1]
    assert found == pytest.approx(math.sin(math.pi * pearson / 2), abs=1e-9)


@pytest.mark.statistical(effect=0.15, false_fail=3e-7, false_pass=1e-3)
def test_nataf_of_different_laws_gives_the_wanted_correlation_of_draws(seed):
    laws = [Poisson(mu=3.0), Exponential(scale=2.0), Lognormal(s=0.5)]
    wanted = np.array([[1.0, 0.5, -0.3], [0.5, 1.0, 0.2], [-0.3, 0.2, 1.0]])
    v = draws(Gaussian(correlation=normal_correlation(laws, wanted)), 200_000, seed(825))
    x = block(*v.shape)
    for j, law in enumerate(laws):
        law.from_normal(v[:, j], x[:, j])
        x[:, j] = (x[:, j] - law.moments().mean) / math.sqrt(law.moments().variance)
    for i, j in [(0, 1), (0, 2), (1, 2)]:
        product = x[:, i] * x[:, j]
        assert_within_error(product.mean(), wanted[i, j], product.std() / math.sqrt(len(v)))


def attainable(first, second, wanted):
    """The smallest and largest correlation that a refusal of ``wanted`` names."""
    with pytest.raises(FieldError) as caught:
        normal_correlation([first, second], [[1.0, wanted], [wanted, 1.0]])
    found = re.search(r"must be from (\S+) to (\S+)", str(caught.value))
    return float(found[1]), float(found[2])


def test_attainable_correlations_are_those_of_equal_and_opposite_scores():
    exponential = Exponential(scale=3.0)
    assert attainable(exponential, exponential, -0.99) == pytest.approx((1 - math.pi**2 / 6, 1.0), rel=1e-5)
    sd = math.sqrt(0.2 * 0.8 * 0.3 * 0.7)
    of_coins = (-0.06 / sd, (0.2 - 0.06) / sd)
    assert attainable(Bernoulli(p=0.2), Bernoulli(p=0.3), -0.99) == pytest.approx(of_coins, rel=1e-5)
    # a coin and an exponential: E X 1{X > m} = p (m + 1) with m = -log p
    p = 0.25
    _, most = attainable(Bernoulli(p=p), Exponential(), 0.999)
    assert most == pytest.approx(p * -math.log(p) / math.sqrt(p * (1 - p)), rel=1e-5)


def test_nataf_refuses_what_no_normal_correlation_gives():
    laws = [Lognormal(s=0.2), Exponential(), Exponential()]
    wanted = [[1, 0.1, 0.1], [0.1, 1, -0.8], [0.1, -0.8, 1]]
    with pytest.raises(FieldError, match=r"at \[2\]\[1\] must be from -0\.644934 to 1 .* got -0\.8"):
        normal_correlation(laws, wanted)
    with pytest.raises(FieldError, match=r"marginals\[1\]: must have a finite variance"):
        normal_correlation([Exponential(), Pareto(b=1.5)], [[1, 0.1], [0.1, 1]])
    with pytest.raises(FieldError, match="must be 1 x 1"):
        normal_correlation([Exponential()], [[1, 0.1], [0.1, 1]])


# What is refused.


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Independence(dim=0), "dim: must be at least 1, got 0"),
        (Gaussian, "correlation: give either correlation (a matrix) or rho (one number), got neither"),
        (lambda: Gaussian(correlation=MATRIX, rho=0.2), "got both"),
        (lambda: Gaussian(rho=0.2), "dim: must be at least 2 where rho is given, got 0"),
        (lambda: Gaussian(rho=1.2, dim=2), "rho: must be from -1 to 1, got 1.2"),
        (lambda: Gaussian(rho=-0.6, dim=3), "rho: must be a normal correlation above -0.5 and below 1 for 3 numbers"),
        (lambda: Gaussian(rho=1.0, dim=2), "below 1 for 2 numbers, got 1"),
        (lambda: Gaussian(correlation=[[1, 1.2], [1.2, 1]]), "entries from -1 to 1, got 1.2 at [0][1]"),
        (lambda: Gaussian(correlation=[[1, 0.2], [0.3, 1]]), "correlation: must be symmetric"),
        (lambda: Gaussian(correlation=[[2, 0.2], [0.2, 1]]), "ones on the diagonal, got 2 at [0][0]"),
        (lambda: Gaussian(correlation=NOT_DEFINITE), "smallest eigenvalue -0.8; `repair: nearest`"),
        (lambda: Gaussian(correlation=MATRIX, dim=2), "correlation: must be 2 x 2, got 3 x 3"),
        (lambda: Gaussian(correlation=MATRIX, measure="pearson"), "measure: unknown value 'pearson'"),
        (lambda: Gaussian(correlation=MATRIX, repair="near"), "did you mean 'nearest'"),
        (lambda: T(dof=0.0, rho=0.2, dim=2), "dof: must be from 0.1 to 100000 (beyond: kind gaussian), got 0"),
        (lambda: T(dof=-3.0, rho=0.2, dim=2), "got -3"),
        (lambda: T(dof=math.nan, rho=0.2, dim=2), "got nan"),
        (lambda: T(dof=3.0, rho=0.2, dim=2, measure="spearman"), "measure: unknown value 'spearman'"),
        (lambda: GroupedT(groups=[], dof=3.0, rho=0.2), "groups: must have at least one entry"),
        (lambda: GroupedT(groups=[2, 0], dof=3.0, rho=0.2), "groups: must be at least 1, got 0"),
        (lambda: GroupedT(groups=[2, 1], dof=[3.0], rho=0.2), "dof: must have 2 entries, got 1"),
        (lambda: GroupedT(groups=[2, 1], dof=[3.0, 0.0], rho=0.2), "dof: must be from 0.1 to 100000"),
        (lambda: GroupedT(groups=[2, 2], dof=3.0, correlation=MATRIX), "correlation: must be 4 x 4, got 3 x 3"),
        (lambda: Clayton(theta=-0.5, dim=2), "from 0.0001 to 20, got -0.5; negative dependence is not supported"),
        (lambda: Clayton(theta=21.0, dim=2), "theta: must be from 0.0001 to 20, got 21"),
        (lambda: Frank(theta=-3.0, dim=2), "negative dependence is not supported"),
        (lambda: Gumbel(theta=0.9, dim=2), "theta: must be from 1 to 100, got 0.9"),
        (lambda: Joe(theta=math.nan, dim=2), "theta: must be from 1 to 100, got nan"),
        (lambda: Joe(tau=-0.1, dim=2), "tau: must be from 0 to 0.980"),
        (lambda: Gumbel(theta=2.0, tau=0.5, dim=2), "theta: give either theta or Kendall's tau, got both"),
        (lambda: Gumbel(dim=2), "theta: give either theta or Kendall's tau, got neither"),
        (lambda: Gumbel(theta=2.0, dim=1), "dim: must be at least 2, got 1"),
        (lambda: Blocks(copulas=[]), "copulas: must have at least one entry, got none"),
    ],
)
def test_bad_arguments_are_refused_with_their_name(make, message):
    with pytest.raises(FieldError) as error:
        make()
    assert message in str(error.value)


def test_a_vine_without_its_package_says_what_to_install(monkeypatch, tmp_path):
    import sys

    monkeypatch.setitem(sys.modules, "pyvinecopulib", None)
    with pytest.raises(FieldError, match=r"pip install raresim\[vine\]"):
        Vine(file=tmp_path / "vine.json")


def test_a_vine_that_is_none_is_refused(tmp_path):
    pytest.importorskip("pyvinecopulib")
    path = tmp_path / "vine.json"
    with pytest.raises(DataError, match="cannot be read"):
        Vine(file=path)
    path.write_text(json.dumps({"a": 1}), encoding="utf-8")
    with pytest.raises(DataError, match="not a vine of pyvinecopulib"):
        Vine(file=path)


# Fits.


@pytest.mark.parametrize(
    "copula",
    [
        Gaussian(correlation=MATRIX),
        T(dof=4.0, correlation=MATRIX),
        Clayton(theta=1.5, dim=3),
        Gumbel(theta=1.8, dim=3),
        Frank(theta=4.0, dim=3),
        Joe(theta=1.8, dim=3),
    ],
    ids=lambda c: c.kind,
)
@pytest.mark.statistical(effect=1.2, false_fail=8e-9, false_pass=1e-3)
@pytest.mark.slow_cases("t")
def test_fits_recover_their_parameters(copula, seed):
    """Stated standard errors, which for ranks are a little too small."""
    v = draws(copula, 4000, seed(826))
    fit = type(copula).fit(pseudo_scores(np.exp(v)))
    exact = {}
    if hasattr(copula, "matrix"):
        exact = {f"rho[{i}][{j}]": copula.matrix[i, j] for i in range(3) for j in range(i)}
    if hasattr(copula, "dof"):
        exact["dof"] = copula.dof
    if hasattr(copula, "parameter"):
        exact["theta"] = copula.parameter
    assert fit.parameters.keys() == fit.std_errors.keys() == exact.keys()
    for name, value in exact.items():
        assert 0 < fit.std_errors[name] < 0.3 * max(abs(value), 0.3)
        assert_within_error(fit.parameters[name], value, fit.std_errors[name], false_fail=FROM_A_FIT)
    assert fit.n == 4000
    assert fit.log_likelihood == pytest.approx(log_likelihood(fit.copula, pseudo_scores(v)), rel=1e-9)
    assert fit.aic == pytest.approx(2 * len(exact) - 2 * fit.log_likelihood)
    assert fit.bic == pytest.approx(len(exact) * math.log(4000) - 2 * fit.log_likelihood)


def test_the_right_copula_has_the_better_likelihood(seed):
    v = draws(Clayton(theta=1.5, dim=2), 2000, seed(827))
    pseudo = pseudo_scores(v)
    aic = {cls.kind: cls.fit(pseudo).aic for cls in (Gaussian, *ARCHIMEDEAN)}
    assert min(aic, key=aic.get) == "clayton"


@pytest.mark.slow
def test_standard_errors_are_the_spread_of_fits(seed):
    """Of 60 fits of 400 rows each; the ratio of two standard deviations is within 5 of its own errors of 1."""
    thetas, stated, rhos, by_tau = [], [], [], []
    for k in range(60):
        pseudo = pseudo_scores(draws(Clayton(theta=1.0, dim=2), 400, seed(828) + k))
        fit = Clayton.fit(pseudo)
        thetas.append(fit.parameters["theta"])
        stated.append(fit.std_errors["theta"])
        robust = Gaussian.fit(pseudo, by="kendall")
        rhos.append(robust.parameters["rho[1][0]"])
        by_tau.append(robust.std_errors["rho[1][0]"])
    assert np.std(rhos, ddof=1) / np.mean(by_tau) == pytest.approx(1.0, abs=5 / math.sqrt(2 * 59))
    # That of theta leaves out what the ranks add.
    assert 1.0 - 5 / math.sqrt(2 * 59) < np.std(thetas, ddof=1) / np.mean(stated) < 1.9


@pytest.mark.slow
def test_data_without_the_dependence_of_a_copula_are_refused(seed):
    v = pseudo_scores(draws(Gaussian(rho=-0.5, dim=2), 500, seed(829)))
    for cls in ARCHIMEDEAN:
        with pytest.raises(DataError, match="no positive dependence of this kind"):
            cls.fit(v)
    z = np.random.default_rng(seed(830)).standard_normal((2000, 2))
    shell = z / np.linalg.norm(z, axis=1, keepdims=True)
    smooth = pseudo_scores(shell @ np.linalg.cholesky([[1, 0.5], [0.5, 1]]).T)
    with pytest.raises(DataError, match="as good as Gaussian"):
        T.fit(smooth)


def test_pseudo_observations_are_normal_scores_of_ranks():
    values = [[3.0, 1.0], [1.0, 1.0], [2.0, 5.0]]
    exact = stats.norm.ppf(np.array([[3, 1.5], [1, 1.5], [2, 3]]) / 4)
    np.testing.assert_allclose(pseudo_scores(values), exact, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([[1.0, 2.0]], "at least 3 rows"),
        ([[1.0, 2.0], [2.0, math.nan], [3.0, 4.0]], "got nan at row 1, column 1"),
        ([[1.0, 2.0], [2.0, 2.0], [3.0, 2.0]], "column 1 is constant"),
        (["a", "b"], "must be numbers"),
    ],
)
def test_observations_that_cannot_be_ranked_are_refused(values, message):
    with pytest.raises(DataError, match=message):
        pseudo_scores(values)


def test_kendall_matrix_and_counts_below_by_brute_force():
    rng = np.random.default_rng(11)
    x = rng.integers(0, 12, (60, 3)).astype(float)
    tau = kendall_matrix(x)
    a, b = x[:, 0], x[:, 2]
    signs = np.sign(a[:, None] - a) * np.sign(b[:, None] - b)
    pairs = np.sqrt(float((a[:, None] != a).sum()) * (b[:, None] != b).sum())
    assert tau[0, 2] == pytest.approx(signs.sum() / pairs)
    ranks = stats.rankdata(x[:, [0, 2]], method="max", axis=0).astype(np.int64)
    ranks = ranks[np.argsort(ranks[:, 0], kind="stable")]
    out = np.empty(60)
    count_below(ranks[:, 0].copy(), ranks[:, 1].copy(), out)
    np.testing.assert_array_equal(out, [((ranks <= row).all(axis=1)).sum() for row in ranks])


# Tables.


def test_log_exponential_is_exact_on_both_sides():
    u = np.array([-38.0, -20.3, -5.01, -0.7, 0.0, 1.1, 4.99, 5.01, 12.2, 38.1])
    out = np.empty(u.size)
    tables.log_exponential(u, out)
    for at, found in zip(u, out, strict=True):
        with mpmath.workdps(400):
            exact = float(mpmath.log(-mpmath.log(mpmath.erfc(-mpmath.mpf(at) / mpmath.sqrt(2)) / 2)))
        assert found == pytest.approx(exact, rel=1e-12, abs=1e-12)


def test_logs_keep_their_digits():
    log_a = np.array([-400.0, -37.0, -35.0, -3.0, 0.0, 2.0, 3.5, 5.0])
    with mpmath.workdps(400):
        a = [mpmath.exp(mpmath.mpf(float(x))) for x in log_a]
        rest = [float(mpmath.log(1 - mpmath.exp(-x))) for x in a]
        nested = [float(mpmath.log(-mpmath.log(1 - mpmath.exp(-x)))) for x in a]
        grown = [float(mpmath.log(mpmath.expm1(x))) for x in a]
        softened = [float(mpmath.log(mpmath.log(1 + mpmath.exp(mpmath.mpf(float(y)))))) for y in log_a]
    np.testing.assert_allclose(tables.log_one_minus_exp(log_a), rest, rtol=1e-13)
    np.testing.assert_allclose(tables.log_minus_log_one_minus_exp(log_a), nested, rtol=1e-13)
    np.testing.assert_allclose(tables.log_expm1(log_a), grown, rtol=1e-13)
    np.testing.assert_allclose(tables.log_softplus(log_a), softened, rtol=1e-13)


@pytest.mark.parametrize("kind", ["clayton", "gumbel", "frank", "joe"])
def test_tables_are_exact_to_1e_11_over_the_whole_range_of_theta(kind):
    cls = registry.members("copula")[kind]
    low, high = cls.THETAS
    for theta in (low, low + 1e-3, 2.0, high):
        table = cls(theta=theta, dim=2)._scores
        assert table.polynomial is not None
        assert table.error <= 1e-11


def test_a_function_no_table_can_hold_is_evaluated_itself():
    table = tables.StretchedTable.of(lambda x: np.sign(np.sin(1e4 * x)), -50.0, 50.0)
    assert table.polynomial is None
    out = np.empty(3)
    table(np.array([1e-5, -1e-5, 2e-4]), out)
    np.testing.assert_array_equal(out, [1.0, -1.0, 1.0])


def test_nataf_expansion_leaves_little_of_a_smooth_map():
    expansion = nataf._Expansion.of(Lognormal(s=1.0), "marginals[0]")
    k = np.arange(1, 8)
    exact = math.exp(0.5) / np.sqrt(special.factorial(k))
    np.testing.assert_allclose(np.abs(expansion.coefficients[:7]), exact, rtol=1e-10)
    assert expansion.remainder < 1e-10 * expansion.variance
