"""The credit model: its law against closed forms, quadrature and exact convolution."""

import itertools
import math

import numpy as np
import pytest
from scipy import special, stats

from raresim import marginals
from raresim.models import Credit
from raresim.models.obligors.barriers import barriers
from raresim.models.own_risk import HARDLY, HIGH, LOW, PER_UNIT, SURELY, exceeds, severity_draw, word_of
from tests.helpers import block, losses, normals
from tests.statistical import assert_within_error


class Table(dict):
    columns = property(list)


def pool(m=4, pd=0.2, lgd=1.0, rho=0.3, **options):
    names = [f"n{k}" for k in range(m)]
    return Credit(tape=Table(id=names, ead=[1.0] * m, pd=np.broadcast_to(pd, m).tolist()), lgd=lgd, rho=rho, **options)


def draws(model, n, seed):
    u = normals(n, model.inputs.latent_dim, seed)
    return model.inputs.to_physical(u, block(n, model.inputs.dim))


def test_the_table_brackets_the_tail():
    at = LOW + np.arange(SURELY.size) / PER_UNIT
    tail = special.ndtr(-at) * 2.0**64
    assert (tail >= SURELY).all()
    assert (np.minimum(tail, 1.8e19) <= HARDLY + 1.0).all()
    assert at[-1] >= HIGH


@pytest.mark.parametrize("tau", [-12.0, -3.3, -0.01, 0.0, 1.234, 2.0, 5.001, 8.0, math.inf, -math.inf])
def test_a_word_is_compared_with_the_tail_probability(tau):
    tail = special.ndtr(-tau) * 2.0**64
    for share in (1e-9, 0.5, 0.99, 0.999999, 1.000001, 1.01, 2.0):
        if (word := share * tail) < 2.0**64:
            assert exceeds(np.uint64(word), tau) == (int(word) < tail)


@pytest.mark.statistical(effect=0.02, false_fail=1e-6, false_pass=1e-3)
def test_words_are_uniform_and_independent_of_their_neighbours(seed):
    rng = np.random.default_rng(seed(910))
    words = np.array([[word_of(np.uint64(s), k) for k in range(200)] for s in rng.integers(2**63, size=1000)])
    u = words / 2.0**64
    n = u.size
    assert_within_error(u.mean(), 0.5, math.sqrt(1 / 12 / n))
    assert_within_error(((u[:, 1:] - 0.5) * (u[:, :-1] - 0.5)).mean() * 12, 0.0, 1 / math.sqrt(n))
    assert_within_error(((u[1:] - 0.5) * (u[:-1] - 0.5)).mean() * 12, 0.0, 1 / math.sqrt(n))


@pytest.mark.statistical(effect=0.5, false_fail=1e-6, false_pass=1e-3)
@pytest.mark.parametrize(("a", "b"), [(2.0, 3.0), (0.4, 0.7), (5.0, 0.5)])
def test_severities_follow_the_beta_law(a, b, seed):
    state, n = np.empty(1, np.uint64), 40_000
    y = np.array([severity_draw(np.uint64(word_of(np.uint64(seed(911)), k)), a, b, state) for k in range(n)])
    law = stats.beta(a, b)
    assert_within_error(y.mean(), law.mean(), law.std() / math.sqrt(n))
    for level in (0.05, 0.3, 0.9):
        share = np.mean(y <= law.ppf(level))
        assert_within_error(share, level, math.sqrt(level * (1 - level) / n))


@pytest.mark.statistical(effect=0.15, false_fail=1e-6, false_pass=1e-3)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"copula": "t", "dof": 3.0},
        {"copula": "mixture", "variance": marginals.Lognormal(s=0.8)},
    ],
    ids=["gaussian", "t", "mixture"],
)
def test_obligors_default_with_their_probabilities(options, seed):
    pd = np.array([0.0, 0.02, 0.1, 0.7, 1.0])
    model, n = pool(5, pd, **options), 200_000
    share = (model.loss.components(draws(model, n, seed(912))) > 0).mean(axis=0)
    assert share[0] == 0.0
    assert share[4] == 1.0
    assert_within_error(share[1:4], pd[1:4], np.sqrt(pd * (1 - pd) / n)[1:4])


@pytest.mark.statistical(effect=0.12, false_fail=1e-6, false_pass=1e-3)
def test_pairs_default_together_as_the_bivariate_normal_law_says(seed):
    """Correlations of sectors enter through the asset values."""
    table = Table(id=["a", "b"], ead=[1.0, 1.0], pd=[0.1, 0.2], sector=["x", "y"], rho=[0.5, 0.3])
    model, n = Credit(tape=table, lgd=1.0, between_sectors=0.6), 200_000
    both = (losses(model.loss, draws(model, n, seed(913))) == 2.0).mean()
    correlation = 0.6 * math.sqrt(0.5 * 0.3)
    law = stats.multivariate_normal(cov=[[1.0, correlation], [correlation, 1.0]])
    exact = float(law.cdf(special.ndtri([0.1, 0.2])))
    assert_within_error(both, exact, math.sqrt(exact * (1 - exact) / n))


def exact_law(model, factor, mass):
    """Probabilities of the number of defaults of a one-factor pool, given points of the factor and their masses."""
    pd, rho = model.obligors.pd, model.dependence.common_share
    given = special.ndtr((special.ndtri(pd) + np.sqrt(rho) * factor[:, None]) / np.sqrt(1 - rho))
    law = np.zeros((factor.size, pd.size + 1))
    law[:, 0] = 1.0
    for p in given.T:
        law[:, 1:] = law[:, 1:] * (1 - p[:, None]) + law[:, :-1] * p[:, None]
        law[:, 0] *= 1 - p
    return mass @ law


@pytest.mark.statistical(effect=0.2, false_fail=1e-6, false_pass=1e-3)
def test_number_of_defaults_follows_the_exact_convolution(seed):
    model, n = pool(6, [0.1, 0.2, 0.05, 0.3, 0.1, 0.02], rho=0.4), 300_000
    factor = np.linspace(-9, 9, 2001)
    exact = exact_law(model, factor, stats.norm.pdf(factor) * (factor[1] - factor[0]))
    seen = np.bincount(losses(model.loss, draws(model, n, seed(914))).astype(int), minlength=7) / n
    common = exact > 0.01
    assert_within_error(seen[common], exact[common], np.sqrt(exact * (1 - exact) / n)[common])


def test_a_large_factor_is_bad():
    model = pool(50, 0.05, rho=0.5)
    x = np.array([[z, 0.3] for z in (0.0, 2.0, 3.0, 4.0)], order="F")
    loss = losses(model.loss, x)
    assert (np.diff(loss) > 0).all()


@pytest.mark.parametrize("dof", [3.0, 10.0])
def test_barriers_of_a_mixture_are_those_of_the_t_law(dof):
    """A squared shock with the inverse gamma law makes Student's t; here as SciPy has it."""
    inverse = marginals.ScipyLaw(name="invgamma", parameters={"a": dof / 2, "scale": dof / 2})
    mixture = pool(3, copula="mixture", variance=inverse).inputs
    t = pool(3, copula="t", dof=dof).inputs
    pd = np.array([1e-6, 0.01, 0.3, 0.5, 0.9, 0.0])
    np.testing.assert_allclose(barriers(pd, mixture), barriers(pd, t), rtol=1e-7)


def test_expected_loss_is_the_sum_over_all_subsets():
    model = pool(3, [0.1, 0.2, 0.3], lgd=0.5)
    subsets = itertools.product([0, 1], repeat=3)
    exact = sum(0.5 * sum(s) * np.prod(np.where(s, model.obligors.pd, 1 - model.obligors.pd)) for s in subsets)
    np.testing.assert_allclose(model.obligors.expected_loss, exact)


def test_a_thousand_rows_hold_no_table_of_rows_and_obligors():
    """A hundred thousand obligors: what one row takes is a row."""
    m = 100_000
    rng = np.random.default_rng(1)
    table = Table(id=range(m), ead=rng.lognormal(size=m).tolist(), pd=rng.uniform(0, 0.02, m).tolist())
    model = Credit(tape=table, lgd=0.45, rho=0.2)
    x = draws(model, 20, 3)
    np.testing.assert_allclose(model.loss.components(x).sum(axis=1), losses(model.loss, x))
    assert model.inputs.dim == 2


@pytest.mark.statistical(effect=0.1, false_fail=1e-6, false_pass=1e-3)
@pytest.mark.parametrize("options", [{}, {"copula": "t", "dof": 4.0}], ids=["gaussian", "t"])
def test_closed_moments_are_those_of_draws(options, seed):
    """Four standard errors of the variance, from the fourth moment of the draws themselves."""
    table = Table(
        id=range(12),
        ead=[1.0 + k for k in range(12)],
        pd=np.linspace(0.02, 0.2, 12).tolist(),
        lgd_mean=[0.5] * 12,
        lgd_std=[0.2] * 12,
        rho=[0.3] * 12,
        sector=[*"xyz"] * 4,
    )
    model, n = Credit(tape=table, between_sectors=0.5, **options), 400_000
    mean, std = model.loss.moments(model.inputs)
    loss = losses(model.loss, draws(model, n, seed(915)))
    assert mean == model.obligors.expected_loss
    assert_within_error(loss.mean() / mean, 1.0, std / mean / math.sqrt(n))
    squares = np.square(loss - mean)
    assert_within_error(squares.mean() / std**2, 1.0, squares.std() / std**2 / math.sqrt(n))


def test_standard_deviation_of_a_homogeneous_pool_is_closed():
    """One pair of obligors says it all: the bivariate normal law has its probability."""
    m, pd, rho = 40, 0.03, 0.25
    both = float(stats.multivariate_normal(cov=[[1, rho], [rho, 1]]).cdf([special.ndtri(pd)] * 2))
    exact = math.sqrt(m * pd * (1 - pd) + m * (m - 1) * (both - pd * pd))
    model = pool(m, pd, rho=rho)
    np.testing.assert_allclose(model.loss.moments(model.inputs), (m * pd, exact), rtol=1e-6)
