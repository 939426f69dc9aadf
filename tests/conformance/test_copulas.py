"""The contract of a copula: dependent standard normals from independent ones, and their density."""

import itertools
import pickle

import numpy as np
import pytest
from scipy import special, stats

from raresim.copulas.archimedean import Archimedean
from raresim.copulas.blocks import Blocks
from raresim.copulas.fit import log_likelihood
from raresim.copulas.gaussian import Gaussian
from raresim.copulas.grouped_t import GroupedT
from raresim.copulas.independence import Independence
from raresim.copulas.ranks import kendall_matrix
from raresim.copulas.survival import Survival
from raresim.copulas.t import T
from tests.helpers import block, examples, logpdf, normals
from tests.statistical import assert_count, assert_within_error

N = 100_000
LEVELS = np.array([1e-4, 1e-3, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 1 - 1e-4])
PAIRS = [p for p in examples("copula") if p.values[0].dim == 2]
RISING = [
    p
    for p in examples("copula")
    if isinstance(p.values[0].copula if isinstance(p.values[0], Survival) else p.values[0], Archimedean)
]


@pytest.fixture(params=examples("copula"))
def copula(request):
    return request.param


def scores(copula, u):
    v = block(len(u), copula.dim)
    copula.scores(u, v)
    return v


def draws(copula, n, seed):
    return scores(copula, normals(n, copula.latent_dim, seed))


@pytest.mark.parametrize("n", [1, 1000, 3001])
def test_map_fills_every_row_and_leaves_the_normals_alone(copula, n, seed):
    u = normals(n, copula.latent_dim, seed(801))
    before = u.copy()
    assert np.isfinite(scores(copula, u)).all()
    np.testing.assert_array_equal(u, before)


def test_map_is_row_by_row(copula, seed):
    u = normals(1000, copula.latent_dim, seed(802))
    v = scores(copula, u)
    for i in (0, 511, 999):
        np.testing.assert_allclose(scores(copula, np.asfortranarray(u[i : i + 1]))[0], v[i], rtol=1e-13, atol=1e-13)


@pytest.mark.statistical(effect=6, false_fail=5e-7, false_pass=1e-3)
@pytest.mark.slow_cases("vine-0")
def test_each_score_is_standard_normal(copula, seed):
    v = draws(copula, N, seed(803))
    for column in v.T:
        assert_count([(column <= z).sum() for z in special.ndtri(LEVELS)], N, LEVELS)


@pytest.mark.statistical(effect=1, false_fail=1e-7, false_pass=1e-3)
def test_kendalls_tau_of_draws_is_the_stated_one(copula, seed):
    """Its variance is at most ``2 (1 - tau^2) / n``, whatever the copula (Kendall & Gibbons 1990, section 5.21)."""
    n = 20_000
    v = draws(copula, n, seed(804))
    tau = copula.kendall()
    assert tau.shape == (copula.dim, copula.dim)
    np.testing.assert_array_equal(np.diag(tau), 1.0)
    np.testing.assert_array_equal(tau, tau.T)
    found = kendall_matrix(v)
    known = np.isfinite(tau) & ~np.eye(copula.dim, dtype=bool)
    assert known.any() or copula.dim == 1
    if known.any():
        assert_within_error(found[known], tau[known], np.sqrt(2 * (1 - tau[known] ** 2) / n))


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.slow_cases("grouped_t-0")
def test_density_of_a_pair_integrates_to_one(pair):
    axis = np.arange(-9.0, 9.01, 0.2 if isinstance(pair, GroupedT) else 0.05)
    grid = np.asfortranarray(list(itertools.product(axis, axis)))
    weights = np.exp(logpdf(pair, grid) + stats.norm.logpdf(grid).sum(axis=1)) * (axis[1] - axis[0]) ** 2
    assert weights.sum() == pytest.approx(1.0, abs=2e-8)
    # Each margin is standard normal: the density given one score integrates to one.
    margin = weights.reshape(axis.size, -1).sum(axis=1) / (axis[1] - axis[0])
    inner = np.abs(axis) < 4
    np.testing.assert_allclose(margin[inner], stats.norm.pdf(axis[inner]), rtol=1e-4)


@pytest.mark.statistical(effect=1.2, false_fail=1e-7, false_pass=1e-3)
@pytest.mark.slow_cases("vine-0", "grouped_t-1")
def test_density_gives_the_probability_of_a_box(copula, seed):
    """Counts of draws in an oblique box against the mean density there of independent normals."""
    low, high = -0.6, 1.3
    inside = special.ndtr(high) - special.ndtr(low)
    v = draws(copula, N, seed(805))
    count = ((v > low) & (v < high)).all(axis=1)
    n = 4_000 if isinstance(copula, GroupedT) else 40_000
    uniform = np.random.default_rng(seed(806)).random((n, copula.dim))
    ratio = np.exp(logpdf(copula, special.ndtri(special.ndtr(low) + inside * uniform))) * inside**copula.dim
    se = np.hypot(count.std() / np.sqrt(N), ratio.std() / np.sqrt(n))
    assert_within_error(count.mean(), ratio.mean(), se + 1e-12)


def test_density_is_finite_far_out(copula, seed):
    v = np.random.default_rng(seed(807)).uniform(-37, 37, (200, copula.dim))
    assert np.isfinite(logpdf(copula, v)).all()


def test_density_fits_the_draws_better_than_independence(copula, seed):
    """The mean log density of draws is the mutual information, which is positive: its sign cannot be wrong."""
    v = draws(copula, 2000, seed(808))
    mean = log_likelihood(copula, v) / len(v)
    if isinstance(copula, Independence):
        assert mean == 0
    else:
        assert mean > 0


def test_scores_are_finite_for_latent_normals_up_to_37(copula, seed):
    rng = np.random.default_rng(seed(809))
    corners = list(itertools.product([-37.0, 0.0, 37.0], repeat=copula.latent_dim))[:400]
    u = np.asfortranarray([*corners, *rng.uniform(-37, 37, (400, copula.latent_dim))])
    assert np.isfinite(scores(copula, u)).all()


def test_scores_go_on_beyond_the_tables(copula):
    u = np.asfortranarray([[side] * copula.latent_dim for side in (-39.5, 39.5)])
    assert np.isfinite(scores(copula, u)).all()


@pytest.mark.parametrize("copula", RISING)
def test_scores_of_archimedean_copulas_rise_in_every_latent_normal(copula, seed):
    u = np.random.default_rng(seed(810)).uniform(-37, 37, (300, copula.latent_dim))
    before = scores(copula, np.asfortranarray(u))
    for k in range(copula.latent_dim):
        higher = u.copy()
        higher[:, k] += 0.3
        after = scores(copula, np.asfortranarray(higher))
        assert (after >= before - 1e-9).all()
        assert (after > before + 1e-6).any()


def test_tail_dependence_is_a_symmetric_matrix_of_probabilities(copula):
    for tail in copula.tail_dependence():
        assert tail.shape == (copula.dim, copula.dim)
        np.testing.assert_array_equal(np.diag(tail), 1.0)
        np.testing.assert_array_equal(tail, tail.T)
        known = tail[np.isfinite(tail)]
        assert ((known >= 0) & (known <= 1)).all()


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.statistical(effect=4, false_fail=2e-7, false_pass=1e-3)
@pytest.mark.slow_cases("grouped_t-0")
def test_joint_tails_of_draws_are_those_of_the_density(pair, seed):
    """``P(V_1 < z, V_2 < z)`` and the upper one at a margin of 1 %, from the density of pairs by quadrature."""
    q = 0.01
    z = special.ndtri(q)
    v = draws(pair, N, seed(811))
    nodes, weights = np.polynomial.legendre.leggauss(120)
    low = -10.0
    axis = 0.5 * (z - low) * nodes + 0.5 * (z + low)
    weight = 0.5 * (z - low) * weights * stats.norm.pdf(axis)
    for side in (1.0, -1.0):
        grid = np.asfortranarray(list(itertools.product(side * axis, side * axis)))
        exact = weight @ np.exp(logpdf(pair, grid)).reshape(axis.size, -1) @ weight
        assert_count((side * v < z).all(axis=1).sum(), N, exact)


def test_a_copula_can_be_sent_to_another_process(copula, seed):
    u = normals(64, copula.latent_dim, seed(812))
    before = scores(copula, u)
    np.testing.assert_array_equal(scores(pickle.loads(pickle.dumps(copula)), u), before)


def test_description_is_lines_of_text(copula):
    lines = copula.describe()
    assert lines
    assert all(isinstance(line, str) and line for line in lines)


def test_every_kind_of_structure_is_covered():
    kinds = {type(p.values[0]) for p in examples("copula")}
    assert {Blocks, Gaussian, GroupedT, Independence, Survival, T} <= kinds
    assert sum(issubclass(kind, Archimedean) for kind in kinds) >= 4
    assert len(PAIRS) >= 7
