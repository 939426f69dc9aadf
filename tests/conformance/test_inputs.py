"""The contract of inputs: a law that is also a map of independent standard normals."""

import numpy as np
import pytest

from tests import oracles
from tests.helpers import block, examples, normals
from tests.statistical import assert_count, assert_within_error

N = 100_000
LEVELS = np.array([1e-4, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1 - 1e-4])


@pytest.fixture(params=examples("inputs"))
def inputs(request):
    return request.param


@pytest.fixture
def known(inputs):
    if not oracles.has_oracle(inputs):
        pytest.skip(f"no outside oracle of {inputs.kind}")
    return inputs


def physical(inputs, u):
    return inputs.to_physical(u, block(len(u), inputs.dim))


@pytest.mark.parametrize("n", [1, 1000, 3001])
def test_map_fills_every_row_and_leaves_the_normals_alone(inputs, n, seed):
    u = normals(n, inputs.latent_dim, seed(31))
    before = u.copy()
    x = physical(inputs, u)
    assert x.shape == (n, inputs.dim)
    assert np.isfinite(x).all()
    np.testing.assert_array_equal(u, before)


def test_map_is_row_by_row(inputs, seed):
    u = normals(1000, inputs.latent_dim, seed(32))
    x = physical(inputs, u)
    for i in (0, 511, 999):
        np.testing.assert_allclose(physical(inputs, np.asfortranarray(u[i : i + 1]))[0], x[i], rtol=1e-13)


@pytest.mark.statistical(effect=6, false_fail=9e-7, false_pass=1e-3)
@pytest.mark.slow_cases("standard_normal-1")
def test_mapped_normals_have_the_marginals_and_the_dependence_of_the_law(known, seed):
    """Binomial counts below nine quantiles of every direction, at 1e-6; a shift of 0.02 sd would show."""
    x = physical(known, normals(N, known.latent_dim, seed(33)))
    for w in oracles.directions(known.dim):
        exact = oracles.line(known, w)
        assert_count([(x @ w <= exact.quantile(p)).sum() for p in LEVELS], N, LEVELS)


def test_moments_of_a_linear_combination_agree_with_scipy(known):
    for w in oracles.directions(known.dim):
        exact = oracles.line(known, w)
        mean, std = known.linear_moments(w)
        assert mean == pytest.approx(exact.mean, rel=1e-12, abs=1e-12)
        assert std == pytest.approx(exact.std, rel=1e-12)


@pytest.mark.statistical(effect=0.04, false_fail=9e-7, false_pass=1e-3)
def test_moments_of_a_linear_combination_agree_with_draws(inputs, seed):
    """Mean and, through batches, standard deviation; 5 standard errors of either."""
    batches = physical(inputs, normals(N, inputs.latent_dim, seed(34))).reshape(100, -1, inputs.dim)
    for w in oracles.directions(inputs.dim):
        if inputs.linear_moments(w) is None:  # no closed form: a pilot sample stands in
            continue
        mean, std = inputs.linear_moments(w)
        y = batches @ w
        assert_within_error(y.mean(), mean, std / np.sqrt(N), scale=std)
        spread = y.std(axis=1, ddof=1)
        assert abs(np.median(spread) / std - 1) < 0.1


def test_description_is_lines_of_text(inputs):
    lines = inputs.describe()
    assert lines
    assert all(isinstance(line, str) and line for line in lines)
