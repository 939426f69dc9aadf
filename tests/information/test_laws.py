"""Entropy and divergences of the package's distributions against SciPy, integrals and many digits."""

import itertools
import math

import mpmath as mp
import numpy as np
import pytest
from scipy import integrate, stats

from raresim import LowRankNormal, Mixture, Normal, StandardNormal, StudentT
from raresim.information import (
    chi_square_of_laws,
    cross_entropy_of_laws,
    differential_entropy,
    empirical_cross_entropy,
    entropy,
    jensen_shannon_of_laws,
    kl_normal,
    kl_of_laws,
    mean_classification_loss,
    negative_log_likelihood,
    renyi_normal,
    renyi_of_laws,
)
from tests import oracles
from tests.helpers import draws
from tests.statistical import assert_within_error

COV = [[2.0, 0.6, -0.3], [0.6, 1.0, 0.2], [-0.3, 0.2, 0.5]]
LOW_RANK = LowRankNormal(mean=[1.0, 2.0, 0.0], directions=[[0.6, 0.0], [0.8, 0.0], [0.0, 1.0]], variances=[0.5, 3.0])
LARGE = LowRankNormal(mean=np.full(300, 0.1), directions=np.full((300, 1), 300**-0.5), variances=[0.7])

T, Z = StudentT(dof=5.0, loc=0.5, scale=0.8), Normal(mean=0.0, std=1.5)
SCIPY_T, SCIPY_Z = stats.t(5.0, 0.5, 0.8), stats.norm(0.0, 1.5)

FAR_AND_NARROW = [
    ([0.5, 0.5], [(0.0, 1.0), (3.0, 0.5)]),
    ([0.5, 0.5], [(0.0, 1e-4), (1.0, 1e-4)]),
    ([0.5, 0.5], [(0.0, 1.0), (1e4, 1.0)]),
    ([0.999, 0.001], [(0.0, 1.0), (1e3, 1e-2)]),
    ([0.5, 0.5], [(0.0, 1.0), (0.0, 1e-6)]),
    ([0.2, 0.5, 0.3], [(-1e6, 1e5), (0.0, 1e-2), (1e-2, 1e-2)]),
    ([1.0], [(1e-4, 1e-9)]),
]


def integral(f, *centres):
    """Over the line, cut around each centre (a pair of place and scale)."""
    steps = (-1e4, -1e3, -200, -40, -10, -3, -1, 0, 1, 3, 10, 40, 200, 1e3, 1e4)
    edges = sorted({c + k * s for c, s in centres for k in steps})
    options = {"limit": 500, "epsabs": 1e-14, "epsrel": 1e-11}
    return sum(integrate.quad(f, a, b, **options)[0] for a, b in itertools.pairwise(edges))


def both(f):
    """The integral over the line for the pair ``T``, ``Z``."""
    return integral(f, (0.5, 0.8), (0.0, 1.5))


# --- outside values ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("law", "exact"),
    [
        pytest.param(StandardNormal(dim=7), 7 * stats.norm().entropy(), id="standard normal"),
        pytest.param(Normal(mean=5.0, std=0.2), stats.norm(5, 0.2).entropy(), id="normal"),
        pytest.param(Normal(mean=0.0, cov=COV), stats.multivariate_normal(np.zeros(3), COV).entropy(), id="correlated"),
        pytest.param(
            LOW_RANK, stats.multivariate_normal(*oracles.centre_and_spread(LOW_RANK)).entropy(), id="low rank"
        ),
        pytest.param(StudentT(dof=0.7, scale=2.0), stats.t(0.7, 0, 2).entropy(), id="wide t"),
        pytest.param(StudentT(dof=4.0, loc=3.0), stats.t(4).entropy(), id="t"),
        pytest.param(
            StudentT(dof=2.5, shape=COV), stats.multivariate_t(np.zeros(3), COV, df=2.5).entropy(), id="correlated t"
        ),
        pytest.param(
            StudentT(dof=1e5, dim=3), stats.multivariate_t(np.zeros(3), df=1e5).entropy(), id="t, nearly normal"
        ),
    ],
)
def test_entropy_of_normal_and_student_t_laws_is_scipys(law, exact):
    quantity = differential_entropy(law)
    assert quantity.value == pytest.approx(float(exact), rel=1e-9)
    assert (quantity.std_error, quantity.how) == (0.0, "closed form")


@pytest.mark.parametrize(("shares", "parts"), FAR_AND_NARROW)
@pytest.mark.slow_cases("shares5-parts5")
def test_entropy_of_a_mixture_on_the_line_is_the_integral(shares, parts):
    """In 30 digits: components far apart, narrow or rare are all seen."""
    law = Mixture(weights=shares, components=[Normal(mean=m, std=s) for m, s in parts])
    with mp.workdps(30):
        terms = [(mp.mpf(w), mp.mpf(m), mp.mpf(s)) for w, (m, s) in zip(shares, parts, strict=True)]

        def surprise(x):
            density = mp.fsum(w / s * mp.exp(-(((x - m) / s) ** 2) / 2) for w, m, s in terms) / mp.sqrt(2 * mp.pi)
            return -density * mp.log(density) if density else mp.mpf(0)

        edges = sorted({m + k * s for _, m, s in terms for k in (-100, -30, -12, -6, -3, -1, 0, 1, 3, 6, 12, 30, 100)})
        exact = float(mp.quad(surprise, edges))
    quantity = differential_entropy(law)
    assert quantity.how == "quadrature"
    assert quantity.std_error < 1e-9
    assert quantity.value == pytest.approx(exact, abs=quantity.std_error + 1e-9)  # a place rounds by 1e-11 of the scale


def test_entropy_of_a_mixture_of_equal_student_t_laws_is_that_of_one():
    """Tails that fall like a power: nothing is cut off."""
    for dof, scale in [(0.5, 1.0), (1.0, 1e-3), (3.0, 1e5)]:
        one = StudentT(dof=dof, loc=1.0, scale=scale)
        quantity = differential_entropy(Mixture(weights=[0.3, 0.7], components=[one, one]))
        assert quantity.value == pytest.approx(float(stats.t(dof, 0, scale).entropy()), rel=1e-8)


@pytest.mark.statistical(effect=0.008, false_fail=1e-7, false_pass=1e-3)
def test_entropy_of_a_mixture_in_the_plane_is_the_integral(seed):
    shares, centres = [0.4, 0.6], [(0.0, 0.0), (2.0, 1.0)]
    law = Mixture(weights=shares, components=[Normal(mean=c) for c in centres])
    grid = np.linspace(-9, 11, 801)
    x = np.stack(np.meshgrid(grid, grid), axis=-1)
    density = sum(w * stats.multivariate_normal(c).pdf(x) for w, c in zip(shares, centres, strict=True))
    exact = float(-(density * np.log(density)).sum() * (grid[1] - grid[0]) ** 2)  # spectral accuracy for smooth bumps
    quantity = differential_entropy(law, seed=seed(620))
    assert quantity.how == "Monte Carlo"
    assert 0 < quantity.std_error < 0.01
    assert_within_error(quantity.value, exact, quantity.std_error)


@pytest.mark.statistical(effect=0.02, false_fail=2e-7, false_pass=1e-3)
def test_cross_entropy_is_the_integral(seed):
    exact = both(lambda x: -SCIPY_T.pdf(x) * SCIPY_Z.logpdf(x))
    quantity = cross_entropy_of_laws(T, Z, seed=seed(621))
    assert_within_error(quantity.value, exact, quantity.std_error)
    exact = both(lambda x: -SCIPY_Z.pdf(x) * SCIPY_T.logpdf(x))
    quantity = cross_entropy_of_laws(Z, T, seed=seed(622))
    assert_within_error(quantity.value, exact, quantity.std_error)


@pytest.mark.slow
@pytest.mark.statistical(effect=0.12, false_fail=2e-7, false_pass=1e-3)
def test_kl_is_the_integral(seed):
    for p, q, a, b, k in [(T, Z, SCIPY_T, SCIPY_Z, 0), (Z, T, SCIPY_Z, SCIPY_T, 1)]:
        exact = both(lambda x, a=a, b=b: a.pdf(x) * (a.logpdf(x) - b.logpdf(x)))
        quantity = kl_of_laws(p, q, seed=seed(623) + k)
        assert quantity.how == "Monte Carlo"
        assert_within_error(quantity.value, exact, quantity.std_error)


@pytest.mark.slow
@pytest.mark.statistical(effect=0.15, false_fail=2e-7, false_pass=1e-3)
def test_jensen_shannon_is_the_integral(seed):
    def halves(x):
        middle = 0.5 * (SCIPY_T.pdf(x) + SCIPY_Z.pdf(x))
        return 0.5 * sum(law.pdf(x) * (law.logpdf(x) - math.log(middle)) for law in (SCIPY_T, SCIPY_Z))

    exact = both(halves)
    for p, q in [(T, Z), (Z, T)]:
        quantity = jensen_shannon_of_laws(p, q, seed=seed(625))
        assert_within_error(quantity.value, exact, quantity.std_error)


@pytest.mark.parametrize("alpha", [0.5, 0.9, 2.0])
@pytest.mark.statistical(effect=1, false_fail=1e-7, false_pass=1e-3)
def test_renyi_is_the_integral(alpha, seed):
    """From the normal to the t law, whose density ratio is bounded."""
    exact = both(lambda x: math.exp(alpha * SCIPY_Z.logpdf(x) + (1 - alpha) * SCIPY_T.logpdf(x)))
    quantity = renyi_of_laws(Z, T, alpha, seed=seed(626))
    assert_within_error(quantity.value, math.log(exact) / (alpha - 1), quantity.std_error)


@pytest.mark.statistical(effect=0.12, false_fail=1e-7, false_pass=1e-3)
def test_chi_square_is_the_integral(seed):
    exact = both(lambda x: (SCIPY_Z.pdf(x) - SCIPY_T.pdf(x)) ** 2 / SCIPY_T.pdf(x))
    quantity = chi_square_of_laws(Z, T, seed=seed(627))
    assert_within_error(quantity.value, exact, quantity.std_error)


def test_negative_log_likelihood_is_scipys(seed):
    x = draws(StudentT(dof=3.0, dim=3), 500, seed(628))
    law = StudentT(dof=4.0, loc=0.5, shape=COV)
    oracle = stats.multivariate_t(np.full(3, 0.5), COV, df=4.0)
    assert negative_log_likelihood(law, x) == pytest.approx(-oracle.logpdf(x).sum(), rel=1e-12)


def test_empirical_cross_entropy_is_scipys_nnlf_per_draw(seed):
    x = draws(Z, 500, seed(629))
    quantity = empirical_cross_entropy(T, x)
    assert quantity.value == pytest.approx(stats.t.nnlf((5.0, 0.5, 0.8), x[:, 0]) / 500, rel=1e-12)
    surprise = -SCIPY_T.logpdf(x[:, 0])
    assert quantity.std_error == pytest.approx(stats.sem(surprise), rel=1e-10)


# --- relations ---------------------------------------------------------------------------------------


def test_closed_forms_are_used_between_all_normal_laws():
    """Standard, correlated and low rank are one family."""
    laws = [StandardNormal(dim=3), Normal(mean=[1.0, 0.0, 2.0], cov=COV), Normal(mean=0.0, std=[1, 2, 3]), LOW_RANK]
    for p, q in itertools.product(laws, laws):
        (mp_, cp), (mq, cq) = oracles.centre_and_spread(p), oracles.centre_and_spread(q)
        kl = kl_of_laws(p, q)
        assert (kl.std_error, kl.how) == (0.0, "closed form")
        assert kl.value == pytest.approx(kl_normal(mp_, cp, mq, cq), rel=1e-10, abs=1e-12)
        assert renyi_of_laws(p, q, 0.5).value == pytest.approx(renyi_normal(mp_, cp, mq, cq, 0.5), rel=1e-10, abs=1e-12)
        crossed = cross_entropy_of_laws(p, q).value
        assert crossed == pytest.approx(differential_entropy(p).value + kl.value, rel=1e-12)


def test_kl_of_a_large_low_rank_law_to_the_standard_normal():
    """Mean 0.1 in each of 300 coordinates and one variance 0.7: (300 / 100 + 0.7 - 1 - log 0.7) / 2."""
    kl = kl_of_laws(LARGE, StandardNormal(dim=300))
    assert kl.how == "closed form"
    assert kl.value == pytest.approx(0.5 * (3.0 + 0.7 - 1 - math.log(0.7)), rel=1e-10)


def test_kl_does_not_depend_on_the_unit(seed):
    """The entropy does: centimetres add ``log 100`` a coordinate."""
    p, q = StudentT(dof=5.0, loc=50.0, scale=80.0), Normal(mean=0.0, std=150.0)
    moved, plain = kl_of_laws(p, q, seed=seed(630)), kl_of_laws(T, Z, seed=seed(630))
    assert moved.value == pytest.approx(plain.value, rel=1e-9)
    assert differential_entropy(p).value == pytest.approx(differential_entropy(T).value + math.log(100), rel=1e-12)


@pytest.mark.statistical(effect=0.015, false_fail=1e-7, false_pass=1e-3)
def test_average_surprise_comes_near_the_cross_entropy(seed):
    x = draws(T, 100_000, seed(631))
    quantity = empirical_cross_entropy(Z, x)
    assert quantity.value == pytest.approx(negative_log_likelihood(Z, x) / len(x), rel=1e-12)
    exact = both(lambda x: -SCIPY_T.pdf(x) * SCIPY_Z.logpdf(x))
    assert_within_error(quantity.value, exact, quantity.std_error)


@pytest.mark.statistical(effect=0.004, false_fail=1e-7, false_pass=1e-3)
def test_average_loss_of_a_classifier_comes_near_the_cross_entropy(seed):
    """Labels drawn from ``p``, beliefs ``q``: mean loss to H(p, q), with the error of a mean."""
    p, q = np.array([0.6, 0.3, 0.1]), np.array([0.3, 0.3, 0.4])
    labels = np.random.default_rng(seed(632)).choice(3, size=50_000, p=p)
    loss = mean_classification_loss(labels, probabilities=np.tile(q, (50_000, 1)))
    surprise = -np.log(q)
    spread = math.sqrt(p @ surprise**2 - (p @ surprise) ** 2)
    assert_within_error(loss, entropy(p) + stats.entropy(p, q), spread / math.sqrt(50_000))


def test_seed_and_draws_decide_the_answer():
    few = {"draws": 1000}
    assert kl_of_laws(T, Z, seed=1, **few) == kl_of_laws(T, Z, seed=1, **few)
    assert kl_of_laws(T, Z, seed=1, **few) != kl_of_laws(T, Z, seed=2, **few)
    errors = [kl_of_laws(T, Z, seed=1, draws=n).std_error for n in (1000, 100_000)]
    assert errors[0] / errors[1] == pytest.approx(10, rel=0.3)


def test_renyi_of_laws_that_hardly_overlap_stays_a_number():
    """Every density ratio is below the smallest double."""
    alike = Mixture(weights=[1.0], components=[Normal(mean=100.0)])
    assert math.isfinite(renyi_of_laws(alike, Normal(mean=0.0), 0.5, draws=1000).value)


def test_flipped_laws_are_noticed(seed):
    """A control: KL the wrong way round is far outside the error."""
    exact = both(lambda x: SCIPY_Z.pdf(x) * (SCIPY_Z.logpdf(x) - SCIPY_T.logpdf(x)))
    quantity = kl_of_laws(T, Z, seed=seed(633))
    assert abs(quantity.value - exact) > 10 * quantity.std_error
