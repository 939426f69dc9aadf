"""Closed forms between normal laws against integrals, SciPy and many digits."""

import itertools
import math

import mpmath as mp
import numpy as np
import pytest
from scipy import integrate, stats

from raresim.information import (
    chi_square_normal,
    cross_entropy_normal,
    entropy_normal,
    kl_low_rank,
    kl_normal,
    renyi_normal,
)
from tests.statistical import assert_mean_is

ONE_DIMENSION = [((0, 1), (2, 1)), ((1, 0.5), (-1, 2)), ((0, 3), (0, 1)), ((5, 1), (0, 1))]
"""Mean and standard deviation of p and q."""


def moments(p, q):
    """The arguments of a closed form from mean and standard deviation of two laws."""
    return [p[0]], [p[1] ** 2], [q[0]], [q[1] ** 2]


def expectation(p, f):
    """E_p f(x) for a SciPy law of one dimension."""
    edges = p.mean() + p.std() * np.array([-40, -10, -3, 0, 3, 10, 40])
    pieces = itertools.pairwise(edges)
    return sum(integrate.quad(lambda x: p.pdf(x) * f(x), a, b, epsabs=1e-13, epsrel=1e-12)[0] for a, b in pieces)


def random_pair(seed, d=4):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(2, d, d))
    return rng.normal(size=d), a @ a.T + np.eye(d), rng.normal(size=d), b @ b.T + np.eye(d)


def exact_renyi(p, q, alpha):
    """By integration with 30 digits."""
    with mp.workdps(30):
        (m, s), (n, t), a = p, q, mp.mpf(alpha)

        def density(x, loc, scale):
            return mp.exp(-(((x - loc) / scale) ** 2) / 2) / (scale * mp.sqrt(2 * mp.pi))

        def integrand(x):
            return density(x, m, s) ** a * density(x, n, t) ** (1 - a)

        total = mp.quad(integrand, [-60, -20, -10, -5, 0, 5, 10, 20, 60])
        return float(mp.log(total) / (a - 1))


# --- outside values ----------------------------------------------------------------------------------


def test_entropy_is_scipys(seed):
    _, cov, _, other = random_pair(seed(601))
    for matrix in (cov, other):
        law = stats.multivariate_normal(np.zeros(4), matrix)
        assert entropy_normal(matrix) == pytest.approx(law.entropy(), rel=1e-13)
    assert entropy_normal([4.0]) == entropy_normal(4.0) == pytest.approx(stats.norm(0, 2).entropy(), rel=1e-15)
    assert entropy_normal([1.0], base=2) == pytest.approx(0.5 * math.log2(2 * math.pi * math.e), rel=1e-15)


@pytest.mark.parametrize(("p", "q"), ONE_DIMENSION)
def test_kl_is_the_integral(p, q):
    a, b = stats.norm(*p), stats.norm(*q)
    exact = expectation(a, lambda x: a.logpdf(x) - b.logpdf(x))
    assert kl_normal(*moments(p, q)) == pytest.approx(exact, rel=1e-11)


@pytest.mark.parametrize(("p", "q"), ONE_DIMENSION)
def test_cross_entropy_is_the_integral(p, q):
    exact = expectation(stats.norm(*p), lambda x: -stats.norm(*q).logpdf(x))
    assert cross_entropy_normal(*moments(p, q)) == pytest.approx(exact, rel=1e-11)


@pytest.mark.parametrize("alpha", [0.3, 0.5, 0.999, 1.2, 2.0])
@pytest.mark.parametrize(("p", "q"), [((0.0, 1.0), (2.0, 1.0)), ((1.0, 0.5), (-1.0, 2.0)), ((0.0, 1.5), (0.0, 1.25))])
def test_renyi_to_many_digits(p, q, alpha):
    assert renyi_normal(*moments(p, q), alpha) == pytest.approx(exact_renyi(p, q, alpha), rel=1e-11)


def test_chi_square_to_many_digits():
    """A mean shift by ``m`` gives ``exp(m^2) - 1``: two sigma already costs 54 draws for one."""
    assert chi_square_normal([2.0], [1.0], [0.0], [1.0]) == pytest.approx(math.expm1(4.0), rel=1e-14)
    for p, q in [((1.0, 0.5), (-1.0, 2.0)), ((0.0, 1.5), (0.0, 1.25))]:
        exact = math.expm1(exact_renyi(p, q, 2.0))
        assert chi_square_normal(*moments(p, q)) == pytest.approx(exact, rel=1e-11)


@pytest.mark.statistical(effect=0.03, false_fail=1e-7, false_pass=1e-3)
def test_kl_of_correlated_laws_is_a_sample_mean(seed):
    """Four dimensions, log densities by SciPy; error from the sample of a well-behaved quadratic form."""
    mp_, cp, mq, cq = random_pair(seed(602))
    p, q = stats.multivariate_normal(mp_, cp), stats.multivariate_normal(mq, cq)
    x = p.rvs(400_000, random_state=np.random.default_rng(seed(603)))
    values = p.logpdf(x) - q.logpdf(x)
    assert_mean_is(values, kl_normal(mp_, cp, mq, cq))


@pytest.mark.parametrize(("j", "k"), [(0, 1), (4, 7)])
def test_low_rank_kl_in_a_thousand_dimensions(seed, j, k):
    rng = np.random.default_rng([seed(604), j, k])
    laws = []
    for rank in (j, k):
        basis = np.linalg.qr(rng.normal(size=(1000, rank)))[0]
        laws.append((rng.normal(size=1000) / 30, basis, rng.uniform(0.6, 3.0, size=rank)))
    (mean_p, _, _), (mean_q, _, _) = laws
    dense = [np.eye(1000) + v @ (np.diag(s) - np.eye(s.size)) @ v.T for _, v, s in laws]
    assert kl_low_rank(*laws) == pytest.approx(kl_normal(mean_p, dense[0], mean_q, dense[1]), rel=1e-10)


def test_low_rank_kl_of_one_direction_is_that_of_one_dimension():
    """A rotated direction does not matter: mean along it and variance are all there is."""
    direction = np.array([[0.6], [0.8]])
    p = (3.0 * direction[:, 0], direction, np.array([0.7]))
    standard = (np.zeros(2), np.zeros((2, 0)), np.zeros(0))
    law, reference = stats.norm(3.0, math.sqrt(0.7)), stats.norm()
    exact = expectation(law, lambda x: law.logpdf(x) - reference.logpdf(x))
    assert kl_low_rank(p, standard) == pytest.approx(exact, rel=1e-11)


# --- laws --------------------------------------------------------------------------------------------


def test_divergences_do_not_depend_on_the_coordinates(seed):
    """An invertible affine map: KL is one number in standard normal and in physical space."""
    mp_, cp, mq, cq = random_pair(seed(605))
    rng = np.random.default_rng(seed(606))
    a, shift = rng.normal(size=(4, 4)), rng.normal(size=4)
    moved = [a @ mp_ + shift, a @ cp @ a.T, a @ mq + shift, a @ cq @ a.T]
    moved[1::2] = [0.5 * (c + c.T) for c in moved[1::2]]
    plain = (mp_, cp, mq, cq)
    assert kl_normal(*moved) == pytest.approx(kl_normal(*plain), rel=1e-8)
    assert renyi_normal(*moved, 0.4) == pytest.approx(renyi_normal(*plain, 0.4), rel=1e-8)
    change = math.log(abs(np.linalg.det(a)))
    assert entropy_normal(moved[1]) == pytest.approx(entropy_normal(cp) + change, rel=1e-9)


def test_kl_is_zero_for_equal_laws_and_has_a_direction(seed):
    mp_, cp, mq, cq = random_pair(seed(607))
    assert kl_normal(mp_, cp, mp_, cp) == pytest.approx(0.0, abs=1e-13)
    assert kl_normal(mp_, cp, mq, cq) != pytest.approx(kl_normal(mq, cq, mp_, cp), rel=0.01)
    assert cross_entropy_normal(mp_, cp, mp_, cp) == pytest.approx(entropy_normal(cp), rel=1e-14)


def test_vectors_stand_for_diagonal_matrices(seed):
    mp_, cp, mq, cq = random_pair(seed(608))
    vp, vq = np.diag(cp).copy(), np.diag(cq).copy()
    for divergence in (kl_normal, cross_entropy_normal, lambda *a: renyi_normal(*a, 0.7), chi_square_normal):
        dense = divergence(mp_, np.diag(vp), mq, np.diag(vq))
        for a, b in [(vp, vq), (vp, np.diag(vq)), (np.diag(vp), vq)]:
            assert divergence(mp_, a, mq, b) == pytest.approx(dense, rel=1e-12)


def test_renyi_of_order_one_is_kl_and_it_grows_with_its_order(seed):
    pair = random_pair(seed(609))
    orders = [0.1, 0.5, 0.9, 0.99999, 1.0, 1.00001]
    values = [renyi_normal(*pair, alpha) for alpha in orders]
    assert values == sorted(values)
    assert values[4] == kl_normal(*pair)
    assert values[3] == pytest.approx(values[4], rel=1e-3)


def test_weights_of_too_narrow_a_proposal_have_no_variance():
    """Infinite at half the variance and below."""
    assert chi_square_normal([0.0], [1.0], [0.0], [0.5]) == math.inf
    assert chi_square_normal([0.0], [1.0], [0.0], [0.4]) == math.inf
    assert math.isfinite(chi_square_normal([0.0], [1.0], [0.0], [0.5001]))
    assert chi_square_normal([0.0, 0.0], np.eye(2), [0.0, 0.0], [[0.4, 0.0], [0.0, 2.0]]) == math.inf


def test_variance_of_weights_is_a_number_up_to_the_largest_double():
    assert chi_square_normal([26.6], [1.0], [0.0], [1.0]) == pytest.approx(math.expm1(26.6**2), rel=1e-9)
    assert chi_square_normal([27.0], [1.0], [0.0], [1.0]) == math.inf


def test_kl_of_scales_as_far_apart_as_doubles_go():
    assert kl_normal([0.0], [1e300], [0.0], [1e-300]) == math.inf
    assert kl_normal([0.0], [1e-300], [0.0], [1e300]) == pytest.approx(0.5 * (600 * math.log(10) - 1), rel=1e-14)


@pytest.mark.parametrize("gap", [1e-3, 1e-5, 1e-7])
def test_kl_of_nearly_equal_laws_keeps_its_digits(gap):
    assert kl_normal([0.0], [1.0 + gap], [0.0], [1.0]) == pytest.approx(gap**2 / 4, rel=max(gap, 1e-5))


def test_nearly_equal_laws_have_no_negative_kl(seed):
    rng = np.random.default_rng(seed(610))
    for _ in range(50):
        basis = np.linalg.qr(rng.normal(size=(30, 2)))[0]
        law = (rng.normal(size=30), basis, rng.uniform(0.6, 3, size=2))
        assert kl_low_rank(law, law) >= 0.0
