"""Moves of Markov chains: they keep the law that they are meant to keep, and levels are set without bias."""

import math

import numpy as np
import pytest
from scipy import stats

from raresim.search.markov import DRAWS_EACH, LEAST_VARIANCE, WANTED_ACCEPTANCE, WIDER, Guide, Walk, beyond, next_level
from tests.statistical import assert_within_error

MOVES = ["adaptive", "elliptical_slice"]


def total(u):
    """A standard normal that the coordinates make up."""
    return u.sum(axis=1) / np.sqrt(u.shape[1])


def walk(seed, moves="adaptive", evaluate=total, **options):
    return Walk(evaluate, np.random.Generator(np.random.SFC64(seed)), moves, **options)


def soft(loss):
    """``log Phi(2 loss - 1)``."""
    return stats.norm.logcdf(2 * loss - 1)


def moved(chains, u, steps, log_factor):
    loss = total(u)
    for _ in range(steps):
        u, loss = chains.advance(u, loss, log_factor, 0.0)
    return u, loss


# --- what is kept ------------------------------------------------------------------------------------


@pytest.mark.parametrize("moves", MOVES)
@pytest.mark.parametrize("d", [1, 4])
@pytest.mark.statistical(effect=0.15, false_fail=3e-7, false_pass=1e-3)
def test_moves_keep_a_truncated_normal(moves, d, seed):
    """10,000 chains begun at exact draws of N(0, 1) given >= 1 along one direction: mean and square to 5 errors."""
    rng = np.random.default_rng(seed(401))
    u = np.asfortranarray(rng.standard_normal((10_000, d)))
    along = stats.truncnorm(1.0, np.inf)
    u += np.outer(along.rvs(10_000, random_state=rng) - total(u), np.full(d, 1 / math.sqrt(d)))
    u, loss = moved(walk(seed(402), moves), np.asfortranarray(u), 5, beyond(1.0))
    np.testing.assert_allclose(loss, total(u), rtol=1e-12)
    assert loss.min() >= 1.0
    for k in (1, 2):
        second = along.expect(lambda x, k=k: x ** (2 * k))
        error = math.sqrt((second - along.moment(k) ** 2) / loss.size)
        assert_within_error(np.mean(loss**k), along.moment(k), error)
    across = u[:, 0] - loss / math.sqrt(d)  # the rest of a coordinate keeps its variance 1 - 1/d
    assert_within_error(np.mean(across**2), 1 - 1 / d, (1 - 1 / d) * math.sqrt(2 / loss.size) + 1e-9)


@pytest.mark.parametrize("moves", MOVES)
@pytest.mark.statistical(effect=0.1, false_fail=1e-7, false_pass=1e-3)
def test_moves_forget_where_they_began_under_a_smooth_factor(moves, seed):
    """From a point: after 60 steps the mean under ``Phi(2x - 1) phi(x)`` by quadrature, to 5 errors of 5,000 chains."""
    x = np.linspace(-9, 9, 20_001)
    density = np.exp(soft(x) + stats.norm.logpdf(x))
    density /= density.sum()
    mean = density @ x
    chains = walk(seed(403), moves, step=0.8)
    _, loss = moved(chains, np.full((5_000, 3), 2.0, order="F"), 60, soft)
    assert_within_error(loss.mean(), mean, math.sqrt(density @ (x - mean) ** 2 / loss.size))


@pytest.mark.statistical(effect=0.08, false_fail=1e-7, false_pass=1e-3)
def test_free_chains_keep_the_standard_normal(seed):
    """Second moment of 40,000 coordinates to 5 errors; steps that did not shrink the old place would give 2.8."""
    u = np.asfortranarray(np.random.default_rng(seed(404)).standard_normal((20_000, 2)))
    free, _ = moved(walk(seed(405)), u, 5, np.zeros_like)
    assert_within_error(np.mean(free**2), 1.0, math.sqrt(2 / free.size))


@pytest.mark.parametrize("moves", MOVES)
def test_chains_that_may_go_nowhere_stay(moves, seed):
    calls = []

    def first_only(u):
        calls.append(len(u))
        return np.full(len(u), 1.0 if len(calls) == 1 else 0.0)

    chains = walk(seed(407), moves, evaluate=first_only)
    u, loss = chains.fresh(50, 2)
    after, same = chains.advance(u, loss, beyond(1.0))
    np.testing.assert_array_equal(after, u)
    np.testing.assert_array_equal(same, loss)
    assert sum(calls) == chains.evaluations


# --- guides ------------------------------------------------------------------------------------------


def guide_of_the_tail(d):
    """Near N(0, 1) given >= 1 along the diagonal."""
    return Guide(np.full(d, 1.5 / math.sqrt(d)), np.full((1, d), 1.0 / math.sqrt(d)), np.array([0.3]))


@pytest.mark.parametrize("d", [1, 4])
@pytest.mark.statistical(effect=0.15, false_fail=3e-7, false_pass=1e-3)
def test_guided_moves_keep_a_truncated_normal(d, seed):
    """10,000 chains begun at exact draws: mean and square to 5 errors. The guide alone has a mean square of 2.6."""
    rng = np.random.default_rng(seed(420))
    u = np.asfortranarray(rng.standard_normal((10_000, d)))
    along = stats.truncnorm(1.0, np.inf)
    u += np.outer(along.rvs(10_000, random_state=rng) - total(u), np.full(d, 1 / math.sqrt(d)))
    chains, loss = walk(seed(421)), total(u)
    for _ in range(5):
        u, loss = chains.guided(u, loss, beyond(1.0), guide_of_the_tail(d), 0.0)
    np.testing.assert_allclose(loss, total(u), rtol=1e-12)
    for k in (1, 2):
        second = along.expect(lambda x, k=k: x ** (2 * k))
        error = math.sqrt((second - along.moment(k) ** 2) / loss.size)
        assert_within_error(np.mean(loss**k), along.moment(k), error)
    across = u[:, 0] - loss / math.sqrt(d)
    assert_within_error(np.mean(across**2), 1 - 1 / d, (1 - 1 / d) * math.sqrt(2 / loss.size) + 1e-9)


def test_guided_moves_forget_where_they_began(seed):
    """From one place beyond 4 in 20 dimensions: across that direction ten steps bring all of the variance, not a third.

    The guide is near enough for its steps to stay long.
    """
    law = stats.truncnorm(4.0, np.inf)
    axis = np.full(20, 1 / math.sqrt(20))
    guide = Guide(law.mean() * axis, axis[None, :], np.array([0.1]))
    across = []
    for move, more in (("guided", (guide,)), ("advance", ())):
        chains, u = walk(seed(422)), np.full((2_000, 20), 4.1 / math.sqrt(20), order="F")
        loss = total(u)
        for turn in range(1, 11):
            u, loss = getattr(chains, move)(u, loss, beyond(4.0), *more, 1 / math.sqrt(turn))
        across.append(np.mean(np.square(u - np.outer(loss, axis))))
    assert across[0] > 0.85
    assert across[1] < 0.5
    assert chains.step < 0.5


def test_density_of_a_guide_is_that_of_a_normal_law():
    rng = np.random.default_rng(5)
    axes = np.linalg.qr(rng.standard_normal((3, 3)))[0][:2]
    guide = Guide(np.array([1.0, -2.0, 0.5]), axes, np.array([0.2, 3.0]))
    cov = np.eye(3) + axes.T @ np.diag(guide.variances - 1.0) @ axes
    u = rng.standard_normal((50, 3))
    exact = stats.multivariate_normal(np.zeros(3)).logpdf(u) - stats.multivariate_normal(guide.mean, cov).logpdf(u)
    got = guide.log_target(u)
    np.testing.assert_allclose(got - got[0], exact - exact[0], rtol=1e-12, atol=1e-12)
    z = guide.stretched(np.eye(3))
    np.testing.assert_allclose(z.T @ z, cov, atol=1e-12)


def test_a_guide_has_the_covariance_of_many_draws_and_one_direction_of_few():
    rng = np.random.default_rng(6)
    draws = rng.standard_normal((400, 5)) * [1.0, 0.5, 2.0, 1.0, 0.01] + [3.0, 0.0, 0.0, 0.0, 0.0]
    many = Guide.of(draws)
    assert DRAWS_EACH * 5 <= 400
    spread = np.eye(5) + many.axes.T @ np.diag(many.variances - 1.0) @ many.axes
    np.testing.assert_allclose(spread[:4, :4], WIDER * np.cov(draws[:, :4], rowvar=False), atol=0.02)
    assert many.variances.min() == LEAST_VARIANCE
    few = Guide.of(draws[:100])
    assert few.axes.shape == (1, 5)
    np.testing.assert_allclose(few.mean, draws[:100].mean(axis=0))
    assert Guide.of(rng.standard_normal((100, 50))) is None


# --- the step ----------------------------------------------------------------------------------------


def test_step_is_adapted_to_the_wanted_acceptance(seed):
    """Given >= 4 in 50 dimensions: the last 50 of 150 adapted steps accept 0.44 to within 0.1."""
    chains = walk(seed(409))
    u = np.asfortranarray(np.random.default_rng(seed(410)).standard_normal((300, 50)))
    u += ((4.2 - total(u)) / math.sqrt(50))[:, None]
    loss = total(u)
    moves = []
    for turn in range(1, 151):
        new, loss = chains.advance(u, loss, beyond(4.0), 1 / math.sqrt(turn))
        moves.append(np.mean((new != u).any(axis=1)))
        u = new
    assert np.mean(moves[-50:]) == pytest.approx(WANTED_ACCEPTANCE, abs=0.1)
    assert 0 < chains.step < 0.6


def test_step_never_exceeds_one(seed):
    chains = walk(seed(411))
    for _ in range(20):
        chains.advance(*chains.fresh(100, 2), np.zeros_like)
    assert chains.step == 1.0


# --- chains ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [10, 25, 47, 100])
def test_extended_chains_have_the_wanted_number_of_states_and_begin_where_they_should(n, seed):
    chains = walk(seed(412))
    u, loss = chains.fresh(10, 3)
    states, losses = chains.extend(u, loss, n, np.zeros_like)
    assert states.shape == (n, 3)
    assert states.flags.f_contiguous
    np.testing.assert_array_equal(np.sort(losses[:10]), np.sort(loss))
    np.testing.assert_allclose(losses, total(states), rtol=1e-12)
    assert chains.evaluations == n
    assert np.unique(losses).size == n  # free chains accept every proposal


@pytest.mark.parametrize("moves", MOVES)
def test_every_evaluated_draw_is_kept_on_demand(moves, seed):
    chains = walk(seed(413), moves, keep_all=True)
    u, loss = chains.fresh(40, 2)
    chains.extend(u[loss > 0], loss[loss > 0], 80, beyond(0.0))
    seen = np.concatenate([part for _, part in chains.seen])
    assert seen.size == chains.evaluations
    assert (seen < 0).sum() > (loss < 0).sum()  # rejected proposals too
    for draws, values in chains.seen:
        assert draws.flags.f_contiguous
        np.testing.assert_array_equal(values, total(draws))


def test_losses_are_copied_from_the_buffer_they_come_in(seed):
    buffer = np.empty(100)

    def reused(u):
        buffer[: len(u)] = total(u)
        return buffer[: len(u)]

    chains = walk(seed(414), evaluate=reused)
    u, loss = chains.fresh(100, 2)
    chains.fresh(100, 2)
    np.testing.assert_array_equal(loss, total(u))


# --- levels ------------------------------------------------------------------------------------------


@pytest.mark.statistical(effect=0.04, false_fail=1e-7, false_pass=1e-3)
def test_level_gives_an_unbiased_share(seed):
    """Mean of ``(k / n) / P(beyond the level)`` over 20,000 samples is 1; the k-th largest gives ``k / (k - 1)``."""
    n, k = 50, 5
    samples = np.random.default_rng(seed(415)).random((20_000, n))  # P(beyond x) = 1 - x
    levels = np.array([next_level(row, k) for row in samples])
    ratio = (k / n) / (1 - levels)
    assert_within_error(ratio.mean(), 1.0, ratio.std() / math.sqrt(ratio.size))
    naive = (k / n) / (1 - np.sort(samples)[:, -k])
    assert naive.mean() > 1.2


@pytest.mark.parametrize(
    ("loss", "k", "beyond_it"),
    [
        ([1, 2, 3, 4, 5, 6], 2, [5, 6]),
        ([1, 1, 1, 1, 1, 6], 2, [6]),  # one of two lies beyond: enough
        ([1, 1, 5, 5, 5, 5], 2, [5, 5, 5, 5]),  # none lies beyond: the tied ones are taken in
        ([1, 5, 5, 5, 5, 6], 4, [5, 5, 5, 5, 6]),
        ([1, 1, 1, 1, 1, 1, 1, 1, 1, 6], 4, [6]),  # the tied ones are all: the next larger
        ([-np.inf, -np.inf, -np.inf, 0], 1, [0]),
        ([0, 1, np.inf, np.inf], 1, [np.inf, np.inf]),
    ],
)
def test_level_with_ties(loss, k, beyond_it):
    loss = np.array(loss, dtype=float)
    assert sorted(loss[loss >= next_level(loss, k)]) == beyond_it


@pytest.mark.parametrize("value", [0.0, -np.inf, np.inf])
def test_level_of_equal_losses_is_that_loss(value):
    assert next_level(np.full(20, value), 5) == value
