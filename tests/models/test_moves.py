"""The law of a portfolio with ratings given the factors, its scheme and its controls, against exact convolutions."""

import math
import pickle

import numpy as np
import pytest
from scipy import optimize, special, stats

import raresim
from raresim.models import Credit
from raresim.models.obligors.large_pool import LargePool, MovingPool
from raresim.models.obligors.moves import move_cumulants, move_twist
from raresim.record.verdict import Status
from tests.helpers import losses, normals
from tests.models.test_credit import Table
from tests.models.test_credit_migration import TAPES, rated
from tests.statistical import assert_within_error

# What one of many obligors alike loses in default, B, BB, BBB and A, in units, from the rating BB.
UNITS, CHANCES = np.array([10, 4, 0, -1, -2]), np.array([0.011, 0.094, 0.82, 0.07, 0.005])
RHO = 0.2


def alike(m, unit=1.0):
    """``m`` obligors of rating BB whose losses are those multiples of ``unit``."""
    table = Table(id=range(m), ead=[10.0 * unit] * m, rating=["BB"] * m)
    values = {"A": 1.2, "BBB": 1.1, "BB": 1.0, "B": 0.6}
    return Credit(tape=table, lgd=1.0, rho=RHO, transitions=TAPES / "transitions.csv", values=values)


def law_alike(m, chances=CHANCES):
    """Probabilities of losses from ``-2 m`` units on, in steps of one: powers of a Fourier transform, quadrature."""
    z, mass = np.polynomial.legendre.leggauss(200)
    z, mass = 9.0 * z, 9.0 * mass * stats.norm.pdf(9.0 * z)
    reached = np.minimum(np.cumsum(chances)[:-1], 1.0)
    cumulative = special.ndtr((special.ndtri(reached) + math.sqrt(RHO) * z[:, None]) / math.sqrt(1 - RHO))
    p = np.diff(np.column_stack([np.zeros(z.size), cumulative, np.ones(z.size)]), axis=1)
    one = np.zeros((z.size, 12 * m + 1))
    for units, chance in zip(UNITS, p.T, strict=True):
        one[:, units + 2] += chance
    return mass @ np.fft.irfft(np.fft.rfft(one, axis=1) ** m, 12 * m + 1, axis=1)


def outcomes(seed, m=50):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet([0.2, 0.5, 3.0, 0.3], m)
    p[:5, 0] = 0.0
    return p / p.sum(axis=1, keepdims=True), np.sort(rng.normal(size=(m, 4)), axis=1)[:, ::-1].copy()


@pytest.mark.parametrize("share", [0.01, 0.3, 0.8, 0.999])
def test_twist_makes_the_level_the_mean(share, seed):
    p, c = outcomes(seed(950))
    usual, most = float((p * c).sum()), float(np.where(p > 0, c, -np.inf).max(axis=1).sum())
    level, work = usual + share * (most - usual), np.empty(3)

    def psi(t):
        return special.logsumexp(t * c, b=p, axis=1).sum()

    def mean(t):
        return (special.softmax(t * c + np.log(np.maximum(p, 1e-300)), axis=1) * c).sum()

    t = move_twist(p, c, level, work)
    assert t == pytest.approx(optimize.brentq(lambda t: mean(t) - level, 0.0, 1e3, xtol=1e-14), rel=1e-6)
    assert work[0] == pytest.approx(psi(t), rel=1e-9)
    assert work[1] == pytest.approx(mean(t), rel=1e-9)
    assert work[2] == pytest.approx((mean(t + 1e-5) - mean(t - 1e-5)) / 2e-5, rel=1e-5)
    assert move_twist(p, c, most + 1e-6, work) == math.inf
    assert move_twist(p, c, usual - 0.1, work) == 0.0
    move_cumulants(p, c, 0.0, work)
    assert work[:2] == pytest.approx([0.0, usual], abs=1e-12)


def test_two_outcomes_are_default_mode(seed):
    """Where all ratings are worth the same: conditional laws, weights and losses at mean severities."""
    model = rated(values=dict.fromkeys(["A", "BBB", "BB", "B"], 1.0))
    ead, pd = model.obligors.ead.tolist(), model.obligors.pd.tolist()
    plain = Credit(tape=Table(id=range(40), ead=ead, pd=pd), lgd=0.5, rho=0.3)
    x, levels, shares = normals(200, 2, seed(951)), np.array([-np.inf, 12.0, 20.0]), np.array([0.2, 0.4, 0.4])
    for one, other in zip(model.loss.tail_laws(x, 12.0), plain.loss.tail_laws(x, 12.0), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-7, atol=1e-9)
    mean = np.empty((2, 200))
    for k, loss in enumerate((model.loss, plain.loss)):
        loss.at_mean_severity(x, mean[k])
    np.testing.assert_allclose(mean[0], mean[1])
    one, other = (loss.twisted(levels, shares) for loss in (model.loss, plain.loss))
    np.testing.assert_allclose(one.ratios(x, mean[0]), other.ratios(x, mean[0]), rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(one.picks(x), other.picks(x))
    assert model.loss.expected_loss == pytest.approx(plain.loss.expected_loss)
    assert model.loss.largest_loss == pytest.approx(plain.loss.largest_loss)


def test_rows_of_the_twist_have_its_mean(seed):
    """Given one place of the factors, rows twisted towards a level lose it on average."""
    model, n = rated(), 20_000
    x = np.asfortranarray(np.column_stack([np.full(n, 1.0), normals(n, 1, seed(952))[:, 0]]))
    twisted = model.loss.twisted(np.array([25.0]), np.array([1.0]))
    loss = losses(twisted, x)
    assert loss.mean() == pytest.approx(25.0, abs=6 * loss.std() / math.sqrt(n))
    np.testing.assert_allclose(twisted.components(x[:500]).sum(axis=1), loss[:500])
    copied = pickle.loads(pickle.dumps(twisted))  # as processes get it
    np.testing.assert_array_equal(losses(copied, x[:500]), loss[:500])


@pytest.mark.statistical(effect=0.5, false_fail=1e-6, false_pass=1e-3)
def test_auto_takes_the_scheme_and_finds_the_exact_answer(seed):
    m, level = 50, 220
    exact = law_alike(m)[level + 2 * m :].sum()
    result = raresim.estimate(alike(m), measures=raresim.Probability(above=level), seed=seed(953), relative_error=0.03)
    (estimate,) = result.estimates
    assert_within_error(estimate.value / exact, 1.0, estimate.std_error / exact)
    assert exact < 1e-3
    assert result.verdict.status is Status.TRUSTED
    assert result.evaluations["estimate"] < 6_000
    assert any("draws come from the scheme of the model" in decision for decision in result.search["decisions"])


@pytest.mark.statistical(effect=0.5, false_fail=1e-6, false_pass=1e-3)
def test_shortfall_with_ratings_is_exact(seed):
    m, tail = 50, 0.001
    law = law_alike(m)
    at, beyond = np.arange(law.size) - 2.0 * m, law[::-1].cumsum()[::-1]
    var = at[np.argmax(beyond <= tail) - 1]
    shortfall = var + law @ np.maximum(at - var, 0.0) / tail
    measures = [raresim.ValueAtRisk(tail=tail), raresim.ExpectedShortfall(tail=tail)]
    method = raresim.Auto(scheme="only")
    result = raresim.estimate(alike(m), measures=measures, method=method, seed=seed(954), relative_error=0.02)
    at_risk, es = result.estimates
    assert abs(at_risk.value - var) <= 1.0
    assert_within_error(es.value / shortfall, 1.0, es.std_error / shortfall)


def test_pool_of_two_outcomes_is_that_of_defaults():
    rng = np.random.default_rng(5)
    c, std, pd, rho = rng.lognormal(size=9), rng.uniform(size=9), rng.uniform(0.001, 0.3, 9), rng.uniform(0.0, 0.5, 9)
    plain = LargePool(c, std, pd, rho)
    moving = MovingPool(np.column_stack([c, np.zeros(9)]), std, np.column_stack([pd, 1 - pd]), rho)
    for z in (-1.0, 0.0, 2.5):
        np.testing.assert_allclose(moving.given(z), plain.given(z), rtol=1e-12)


def test_slopes_of_a_moving_pool_are_derivatives():
    model = rated()
    share = model.dependence.common_share
    pool = MovingPool(model.loss.moves.amount, np.zeros(40), model.loss.probability, share)
    h = 1e-4
    below, here, above = (pool.given(1.3 + step) for step in (-h, 0.0, h))
    assert here[1] == pytest.approx((above[0] - below[0]) / 2 / h, rel=1e-6)
    assert here[2] == pytest.approx((above[1] - below[1]) / 2 / h, rel=1e-6)
    assert here[4] == pytest.approx((above[3] - below[3]) / 2 / h, rel=1e-6)


def test_granularity_adjustment_with_ratings_leaves_an_error_of_second_order():
    """To the exact quantile, between two steps of its lattice."""
    gaps, changes = [], []
    for m in (200, 400):
        model = alike(m, 1.0 / m)
        pool = MovingPool(model.loss.moves.amount, np.zeros(m), model.loss.probability, np.full(m, RHO))
        plain, change = pool.value_at_risk(0.001)
        beyond = law_alike(m)[::-1].cumsum()[::-1]
        k = int(np.argmax(beyond <= 0.001))
        part = math.log(beyond[k - 1] / 0.001) / math.log(beyond[k - 1] / beyond[k])
        gaps.append((k - 1.5 + part) / m - 2.0 - plain - change)
        changes.append(change)
    assert changes[0] == pytest.approx(2 * changes[1], rel=1e-9)
    assert abs(gaps[0]) < 0.1 * changes[0]
    assert abs(gaps[1]) < 0.5 * abs(gaps[0])


@pytest.mark.slow
def test_controls_with_ratings_stand_beside_the_estimates(seed):
    result = raresim.estimate(
        alike(400), measures=raresim.ValueAtRisk(level=0.999), seed=seed(955), relative_error=0.02
    )
    table = next(e for e in result.exhibits if e.name == "controls")
    names = [row[0] for row in table.rows]
    assert names == ["expected loss", "ASRF (Vasicek)", "ASRF with granularity adjustment"]
    assert abs(table.rows[2][4]) < 0.05
    assert result.verdict.status is Status.TRUSTED
