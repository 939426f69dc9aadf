"""Information read from weighted draws, where every sum is known as an integral."""

import math

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import integrate, stats

from raresim.accumulators.level import LevelRows
from raresim.accumulators.tail import TailMoments
from raresim.information import budget, self_information, weighted_cross_entropy, weighted_kl

P, MILLS = stats.norm.sf(5.0), stats.norm.pdf(5.0) / stats.norm.sf(5.0)
"""Probability of five sigma, and the mean of the draws that reach it."""


def kl_of_shift(shift):
    """KL of the normal tail beyond 5 to N(shift, 1): ``-log P - shift E[Z | Z > 5] + shift^2 / 2``."""
    return -math.log(P) - shift * MILLS + 0.5 * shift**2


def entropy_beyond(a, digits=40):
    """Of the standard normal given ``Z > a``: ``log(sqrt(2 pi e) P) + a phi(a) / (2 P)``."""
    with mp.workdps(digits):
        p, density = mp.erfc(mp.mpf(a) / mp.sqrt(2)) / 2, mp.npdf(a)
        return float(mp.log(mp.sqrt(2 * mp.pi * mp.e) * p) + a * density / (2 * p))


def tail_integral(f):
    return integrate.quad(f, 5.0, 20.0, epsabs=0.0, epsrel=1e-12)[0]


# --- outside values ----------------------------------------------------------------------------------


@pytest.mark.parametrize("shift", [4.0, 5.0, MILLS, 6.0])
def test_sums_of_the_shifted_normal_give_the_closed_form(shift):
    """Infinitely many draws of ``q = N(shift, 1)``, each sum an integral over the event."""
    p, q = stats.norm(), stats.norm(shift)
    sum_w = tail_integral(p.pdf)
    sum_w_log_w = tail_integral(lambda x: p.pdf(x) * (p.logpdf(x) - q.logpdf(x)))
    sum_w_log_q = tail_integral(lambda x: p.pdf(x) * q.logpdf(x))
    assert sum_w == pytest.approx(P, rel=1e-11)
    kl, crossed = weighted_kl(sum_w, sum_w_log_w, 1), weighted_cross_entropy(sum_w, sum_w_log_q)
    assert kl == pytest.approx(kl_of_shift(shift), rel=1e-10)
    assert crossed - kl == pytest.approx(entropy_beyond(5), rel=1e-9)


def test_best_shift_is_the_mean_of_the_tail():
    """1.6325 nats for a shift of 5, 1.6151 for the best one, 5.1865; the target itself pays 15.0650."""
    assert pytest.approx(5.1865, abs=5e-5) == MILLS
    assert kl_of_shift(5.0) == pytest.approx(1.6325, abs=5e-5)
    assert kl_of_shift(MILLS) == pytest.approx(1.6151, abs=5e-5)
    assert kl_of_shift(0.0) == pytest.approx(self_information(P), rel=1e-15)
    assert all(kl_of_shift(MILLS) < kl_of_shift(MILLS + step) for step in (-0.1, -0.01, 0.01, 0.1))


def test_budget_of_five_sigma():
    cost = budget(stats.norm.logsf(5.0), kl_of_shift(5.0))
    assert cost.event_nats == pytest.approx(15.0650, abs=5e-5)
    assert cost.event_bits == pytest.approx(21.7342, abs=5e-5)
    assert cost.crude_draws == pytest.approx(3_488_556, rel=1e-6)
    assert cost.proposal_nats == pytest.approx(1.6325, abs=5e-5)
    assert cost.proposal_bits == pytest.approx(1.6325 / math.log(2), abs=1e-4)
    assert cost.proposal_draws == pytest.approx(5.117, abs=1e-3)
    assert cost.saved_share == pytest.approx(1 - 1.6325 / 15.0650, abs=1e-5)


@pytest.mark.parametrize("a", [0, 2, 5, 20])
def test_kl_from_the_optimal_law_to_the_target_is_the_surprise_of_the_event(a):
    """Quadrature with 30 digits of ``E log(p_A / p)`` over the tail."""
    with mp.workdps(30):
        inside = mp.erfc(mp.mpf(a) / mp.sqrt(2)) / 2

        def integrand(z):
            optimal = mp.npdf(z) / inside
            return optimal * mp.log(optimal / mp.npdf(z))

        kl = float(mp.quad(integrand, [a, a + 1, a + 3, a + 10, a + 30]))
    assert self_information(stats.norm.sf(a)) == pytest.approx(kl, rel=1e-13)
    assert self_information(log_p=stats.norm.logsf(a)) == pytest.approx(kl, rel=1e-13)


# --- relations ---------------------------------------------------------------------------------------


def test_equal_weights_cost_the_share_of_the_misses():
    """A proposal that hits a quarter of the time, with equal weights, is ``log 4`` from the optimal one."""
    assert weighted_kl(sum_w=25.0, sum_w_log_w=0.0, n=100) == pytest.approx(math.log(4), rel=1e-15)


def test_optimal_proposal_has_no_kl_to_itself():
    """All draws hit, and every weight is the probability."""
    p = 1e-9
    assert weighted_kl(100 * p, 100 * p * math.log(p), 100) == pytest.approx(0.0, abs=1e-12)


WEIGHTS = arrays.arrays(float, st.integers(1, 30), elements=st.floats(-200, 200))


@given(WEIGHTS, st.floats(-300, 300), st.integers(0, 50))
def test_kl_does_not_depend_on_the_constant_of_the_weights(log_w, shift, misses):
    def kl(logs):
        w = np.exp(logs)
        return weighted_kl(w.sum(), (w * logs).sum(), w.size + misses)

    assert kl(log_w + shift) == pytest.approx(kl(log_w), rel=1e-9, abs=1e-9)


@pytest.mark.slow
@given(WEIGHTS, st.integers(0, 50))
def test_kl_is_that_of_the_weights_to_the_even_law_over_all_draws(log_w, misses):
    """The finite KL of SciPy: normalised weights, misses with none, against ``1/n`` each."""
    w = np.append(np.exp(log_w - log_w.max()), np.zeros(misses))
    exact = stats.entropy(w, np.ones(w.size))
    with np.errstate(divide="ignore"):
        terms = np.where(w > 0, w * np.log(np.where(w > 0, w, 1.0)), 0.0)
    assert weighted_kl(w.sum(), terms.sum(), w.size) == pytest.approx(exact, rel=1e-9, abs=1e-10)
    assert exact <= math.log(w.size) + 1e-12


def test_nothing_is_known_without_a_hit():
    assert math.isnan(weighted_kl(0.0, 0.0, 100))
    assert math.isnan(weighted_cross_entropy(0.0, 0.0))
    rows = LevelRows.of_block(np.array([1.0, 2.0]), np.zeros(2), np.zeros(2))
    assert math.isnan(rows.cross_entropy(3.0))


def test_budget_of_events_beyond_the_range_of_doubles():
    cost = budget(-5005.5, 3.0)
    assert (cost.event_nats, cost.crude_draws) == (5005.5, math.inf)
    assert budget(-10.0, 800.0).proposal_draws == math.inf
    assert budget(-700.0, 1.0).crude_draws == pytest.approx(math.exp(700.0), rel=1e-15)
    assert math.isnan(budget(-math.inf, math.nan).saved_share)


def test_budget_of_a_certain_event_has_nothing_to_save():
    """An estimate above one, by noise, is a certain event."""
    for log_p in (0.0, 1e-3):
        cost = budget(log_p, 0.0)
        assert (cost.event_nats, cost.crude_draws, cost.proposal_draws) == (0.0, 1.0, 1.0)
        assert math.isnan(cost.saved_share)


@pytest.mark.slow
@given(
    arrays.arrays(float, (12, 3), elements=st.floats(-50, 50)),
    st.integers(1, 11),
    st.floats(-20, 20),
)
def test_rows_of_a_level_give_the_entropy_of_the_weighted_hits(rows, cut, level):
    """Merged from two blocks; the difference of cross-entropy and KL does not know ``q``."""
    loss, log_weight, log_q = (np.ascontiguousarray(column) for column in rows.T)
    merged = LevelRows.of_block(loss[:cut], log_weight[:cut], log_q[:cut]).merge(
        LevelRows.of_block(loss[cut:], log_weight[cut:], log_q[cut:])
    )
    hit = loss >= level
    if not hit.any():
        assert math.isnan(merged.cross_entropy(level))
        return
    w = np.exp(log_weight[hit] - log_weight[hit].max())
    assert merged.cross_entropy(level) == pytest.approx(-np.average(log_q[hit], weights=w), rel=1e-9, abs=1e-9)
    tail = TailMoments.of_block(log_weight, [hit])
    against_target = -np.average((log_weight + log_q)[hit], weights=w)
    entropy = merged.cross_entropy(level) - tail.kl(0)
    assert against_target - entropy == pytest.approx(-tail.log_probability(0), rel=1e-9, abs=1e-9)
