"""Self-information and KL divergence against quadrature and closed forms."""

import math

import numpy as np
import pytest
from scipy import integrate, stats

from raresim import LowRankNormal
from raresim.information import BITS_PER_NAT, kl_low_rank, kl_normal, self_information, weighted_kl
from tests import oracles
from tests.statistical import assert_within_error

PAIRS = [((0.0, 1.0), (2.0, 1.0)), ((1.0, 0.5), (-1.0, 2.0)), ((0.0, 3.0), (0.0, 1.0))]


@pytest.mark.parametrize(("p", "q"), PAIRS)
def test_kl_of_normals_is_the_integral(p, q):
    p, q = stats.norm(*p), stats.norm(*q)
    exact, _ = integrate.quad(lambda x: p.pdf(x) * (p.logpdf(x) - q.logpdf(x)), -40, 40, points=[-1, 0, 2])
    got = kl_normal(*(np.array([v]) for v in (p.mean(), p.var(), q.mean(), q.var())))
    assert got == pytest.approx(exact, rel=1e-9)


def matrices(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(2, 4, 4))
    return rng.normal(size=4), a @ a.T + np.eye(4), rng.normal(size=4), b @ b.T + np.eye(4)


def test_kl_does_not_depend_on_the_coordinates(seed):
    """Invariant under an invertible map, so that standard normal and physical space give one number."""
    mp, cp, mq, cq = matrices(seed(141))
    a, shift = np.random.default_rng(seed(142)).normal(size=(4, 4)), 3.0
    moved = (a @ mp + shift, a @ cp @ a.T, a @ mq + shift, a @ cq @ a.T)
    assert kl_normal(*moved) == pytest.approx(kl_normal(mp, cp, mq, cq), rel=1e-9)


def test_kl_of_independent_coordinates_adds_up_and_takes_vectors_or_matrices(seed):
    mp, cp, mq, cq = matrices(seed(143))
    vp, vq = np.diag(cp).copy(), np.diag(cq).copy()
    apart = sum(kl_normal(*(v[i : i + 1] for v in (mp, vp, mq, vq))) for i in range(4))
    for a in (vp, np.diag(vp)):
        for b in (vq, np.diag(vq)):
            assert kl_normal(mp, a, mq, b) == pytest.approx(apart, rel=1e-12)


def test_kl_is_zero_for_equal_laws_and_has_a_direction(seed):
    mp, cp, mq, cq = matrices(seed(144))
    assert kl_normal(mp, cp, mp, cp) == pytest.approx(0.0, abs=1e-12)
    assert kl_normal(mp, cp, mq, cq) > 0
    assert kl_normal(mp, cp, mq, cq) != pytest.approx(kl_normal(mq, cq, mp, cp))


@pytest.mark.parametrize("k", [0, 1, 3])
@pytest.mark.parametrize("j", [0, 2])
def test_low_rank_kl_agrees_with_the_dense_formula(k, j, seed):
    rng = np.random.default_rng([seed(145), k, j])
    laws = []
    for size in (k, j):
        basis = np.linalg.qr(rng.normal(size=(5, 5)))[0][:, :size]
        laws.append((rng.normal(size=5), basis, rng.uniform(0.6, 3.0, size=size)))
    dense = [(m, np.eye(5) + v @ (np.diag(s) - np.eye(s.size)) @ v.T) for m, v, s in laws]
    assert kl_low_rank(*laws) == pytest.approx(kl_normal(*dense[0], *dense[1]), rel=1e-11)


def test_low_rank_law_has_the_covariance_that_its_kl_speaks_of():
    law = LowRankNormal(mean=[0.0, 0.0], directions=[[0.6], [0.8]], variances=[3.0])
    cov = oracles.centre_and_spread(law)[1]
    np.testing.assert_allclose(np.linalg.eigvalsh(cov), [1.0, 3.0])
    np.testing.assert_allclose(cov @ [0.6, 0.8], 3.0 * np.array([0.6, 0.8]))


def test_self_information_counts_fair_coins_in_bits():
    assert self_information(log_p=math.log(2.0**-10)) * BITS_PER_NAT == pytest.approx(10)
    assert self_information(log_p=0.0) == 0.0
    assert self_information(log_p=-1e5) == 1e5


def test_equal_weights_cost_the_share_of_the_misses():
    """KL of the optimal law to a proposal that hits a share ``h`` with equal weights is ``-log h``."""
    assert weighted_kl(sum_w=25.0, sum_w_log_w=0.0, n=100) == pytest.approx(math.log(4))


def test_optimal_proposal_has_no_kl_to_itself():
    assert weighted_kl(sum_w=100 * 1e-9, sum_w_log_w=100 * 1e-9 * math.log(1e-9), n=100) == pytest.approx(0, abs=1e-12)


@pytest.mark.statistical(effect=0.08, false_fail=1e-7, false_pass=1e-3)
def test_weighted_kl_agrees_with_the_closed_form(seed):
    """Optimal law N(2, 1) without restriction: weights of draws from N(0, 1) give KL = 2, within 5 errors."""
    u = np.random.default_rng(seed(146)).standard_normal(400_000) + 1.0
    log_w = stats.norm.logpdf(u, 2.0) - stats.norm.logpdf(u, 1.0)
    w = np.exp(log_w)
    batches = [weighted_kl(w[i::40].sum(), (w * log_w)[i::40].sum(), 10_000) for i in range(40)]
    error = np.std(batches) / np.sqrt(40)
    assert_within_error(np.mean(batches), 0.5, error + 2 / 10_000)  # and the ratio's bias, of the order of 1/n


def test_no_hit_has_no_kl():
    assert math.isnan(weighted_kl(0.0, 0.0, 100))
