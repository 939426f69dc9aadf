"""The contract of a distribution, over every registered member."""

import dataclasses
import pickle

import numpy as np
import pytest
from scipy import stats

from raresim import LowRankNormal, Mixture, Normal, StudentT
from raresim.numerics.streams import stream
from tests import oracles
from tests.helpers import block, draws, examples, logpdf
from tests.statistical import assert_count, assert_within_error

N = 100_000
LEVELS = np.array([1e-4, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1 - 1e-4])


@pytest.fixture(params=examples("distribution"))
def law(request):
    return request.param


@pytest.fixture
def known(law):
    """A law that SciPy knows too."""
    if not oracles.has_oracle(law):
        pytest.skip(f"no outside oracle of {law.kind}; the density's integral is tested")
    return law


# --- density -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("law", [p for p in examples("distribution") if p.values[0].dim <= 2])
def test_density_integrates_to_one(law, seed):
    """Midpoint rule in ``atan`` of one or two coordinates; a wrong constant of 0.1 % would show."""
    x = draws(law, 1000, seed(11))
    centre, scale = np.median(x, axis=0), np.ptp(np.quantile(x, [0.25, 0.75], axis=0), axis=0)
    points = 4001 if law.dim == 1 else 1001
    angle = (np.arange(points) + 0.5) / points * np.pi - np.pi / 2
    step = np.pi / points * (1 + np.tan(angle) ** 2)
    grid = np.stack(np.meshgrid(*(c + s * np.tan(angle) for c, s in zip(centre, scale, strict=True))), axis=-1)
    volume = np.prod(np.stack(np.meshgrid(*(s * step for s in scale))), axis=0)
    density = np.exp(logpdf(law, grid.reshape(-1, law.dim)))
    assert density @ volume.ravel() == pytest.approx(1.0, abs=1e-3)


def test_density_agrees_with_scipy(known, seed):
    near = draws(known, 500, seed(12))
    far = 40.0 * (near - near.mean(axis=0))
    x = np.concatenate([near, far])
    expected = oracles.log_density(known, x)
    np.testing.assert_allclose(logpdf(known, x), expected, rtol=1e-12, atol=1e-12)


def test_density_of_a_row_does_not_depend_on_the_others(law, seed):
    x = draws(law, 1000, seed(13))
    alone = [logpdf(law, x[i : i + 1])[0] for i in (0, 7, 999)]
    np.testing.assert_allclose(logpdf(law, x)[[0, 7, 999]], alone, rtol=1e-14)


# --- draws -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 1000, 3001])
def test_sample_fills_the_buffer(law, n, seed):
    x = draws(law, n, seed(14))
    assert np.isfinite(x).all()
    assert len(np.unique(x[:, 0])) == n


def test_sample_is_a_function_of_the_stream_alone(law, seed):
    first = draws(law, 1000, seed(15))
    draws(law, 3001, seed(16))
    draws(law, 1, seed(16))
    np.testing.assert_array_equal(draws(law, 1000, seed(15)), first)
    assert not np.array_equal(draws(law, 1000, seed(15), index=1), first)


@pytest.mark.statistical(effect=2, false_fail=6e-7, false_pass=1e-3)
def test_density_of_draws_takes_every_small_region_in_proportion(law, seed):
    """``E_q[p/q]`` is the share of ``p`` where ``q`` has a density, for normal laws ``p`` in 6 places inside ``q``.

    That is one, but beside an edge of a law that is cut off, and draws stand for what ``p`` has beyond it.
    """
    x = draws(law, N, seed(17))
    near = draws(law, 6, seed(18))
    centres = np.median(x, axis=0) + 0.5 * (near - np.median(x, axis=0))
    is_hole = ~np.isfinite(logpdf(law, centres))
    centres = np.where(is_hole[:, None], near, centres)
    width = 0.1 + 0.07 * law.dim  # narrow enough for a finite variance, wide enough to be hit
    width *= 0.3 if is_hole.any() else 1.0  # the law lies around a hole that is as wide as the law
    spread = width**2 * np.atleast_2d(np.cov(x.T))
    log_q = logpdf(law, x)
    for centre in centres:
        small = stats.multivariate_normal(centre, spread)
        ratio = np.exp(np.atleast_1d(small.logpdf(x)) - log_q)
        drawn = small.rvs(N, random_state=seed(17)).reshape(N, law.dim)
        held = np.isfinite(logpdf(law, drawn))
        error = np.hypot(ratio.std(), held.std()) / np.sqrt(N)
        assert_within_error(ratio.mean(), held.mean(), error)


@pytest.mark.statistical(effect=6, false_fail=9e-7, false_pass=1e-3)
@pytest.mark.slow_cases("standard_normal-1")
def test_draws_have_the_marginals_and_the_dependence_of_the_law(known, seed):
    """Binomial counts below nine quantiles of every direction, at 1e-6; a shift of 0.02 sd would show."""
    x = draws(known, N, seed(19))
    for w in oracles.directions(known.dim):
        exact = oracles.line(known, w)
        counts = [(x @ w <= exact.quantile(p)).sum() for p in LEVELS]
        assert_count(counts, N, LEVELS)


@pytest.mark.statistical(effect=0.08, false_fail=2e-6, false_pass=1e-3)
def test_draws_have_the_moments_of_the_law(known, seed):
    """Mean, and variance where the fourth moment exists, with their exact standard errors."""
    x = draws(known, N, seed(20))
    for w in oracles.directions(known.dim):
        exact, y = oracles.line(known, w), x @ w
        assert_within_error(y.mean(), exact.mean, exact.std / np.sqrt(N), scale=exact.std)
        if np.isfinite(exact.std_of_square):
            squares = (y - exact.mean) ** 2
            assert_within_error(squares.mean(), exact.std**2, exact.std_of_square / np.sqrt(N))


# --- a value, not an object --------------------------------------------------------------------------


def test_parameters_are_frozen(law):
    for field in dataclasses.fields(law):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(law, field.name, None)
        value = getattr(law, field.name)
        if not field.init and isinstance(value, np.ndarray):
            assert not value.flags.writeable


def test_pickle_round_trips(law, seed):
    again = pickle.loads(pickle.dumps(law))
    x = draws(law, 100, seed(21))
    np.testing.assert_array_equal(draws(again, 100, seed(21)), x)
    np.testing.assert_array_equal(logpdf(again, x), logpdf(law, x))


def test_changing_the_callers_arrays_changes_nothing(seed):
    mean, cov, std, basis = np.zeros(2), np.eye(2), np.ones(2), np.eye(2)[:, :1].copy()
    laws = [
        Normal(mean=mean, cov=cov),
        Normal(mean=mean, std=std),
        StudentT(dof=4.0, loc=mean, shape=cov),
        StudentT(dof=4.0, loc=mean, scale=std),
        LowRankNormal(mean=mean, directions=basis, variances=std[:1]),
        Mixture(weights=std / 2, components=(Normal(mean=mean, cov=cov),) * 2),
    ]
    x = draws(laws[0], 50, seed(22))
    before = [logpdf(law, x) for law in laws]
    for array in (mean, cov, std, basis):
        array[:] = 3.0
    for law, expected in zip(laws, before, strict=True):
        np.testing.assert_array_equal(logpdf(law, x), expected)


def test_sample_advances_the_stream(law, seed):
    rng, first, second = stream(seed(23), 0, 0), block(10, law.dim), block(10, law.dim)
    law.sample(rng, first)
    law.sample(rng, second)
    assert not np.array_equal(first, second)
