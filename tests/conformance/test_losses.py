"""The contract of a loss, over every registered member."""

import pickle
from dataclasses import replace

import numpy as np
import pytest

from raresim.losses.rows import RowLoss
from raresim.losses.umbridge import UMBridgeLoss
from tests.helpers import block, examples, losses, normals
from tests.statistical import assert_within_error
from tests.umbridge_server import serving

ORACLES = {
    ("at_least", 0): lambda x: np.median(x, axis=1),
    ("complement", 0): lambda x: 1.0 - x[:, 0],
    ("complement", 1): lambda x: np.minimum(1.0 - x[:, 0], 2.0 - x[:, 1]),
    ("event", 0): lambda x: (x[:, 0] + 2.0 * x[:, 1] - 1.0) / 2.0,
    ("event", 1): lambda x: 0.5 - x[:, :2].max(axis=1),
    ("intersection", 0): lambda x: np.minimum(x[:, 0] - 1.0, x[:, 1:].max(axis=1) - 0.5),
    ("parallel", 0): lambda x: np.minimum(x[:, 0] - 1.0, x[:, 1] - 2.0),
    ("series", 0): lambda x: np.maximum(x[:, 0] - 1.0, x[:, 1] - 2.0),
    ("union", 0): lambda x: x[:, :2].max(axis=1),
    ("union", 1): lambda x: np.maximum(x[:, 0] - 1.0, x[:, 1:].min(axis=1) - 0.5),
    ("union", 2): lambda x: np.maximum(x[:, 0] - 1.0, x[:, 1:].max(axis=1) - 0.5),
    ("linear", 0): lambda x: x.mean(axis=1),
    ("linear", 1): lambda x: 2.0 * x[:, 1] - x[:, 0],
    ("umbridge", 0): lambda x: (x[:, 0] + x[:, 1]) * x[:, 2],
    ("program", 0): lambda x: x.sum(axis=1),
    ("python", 0): lambda x: x.max(axis=1),
    ("python", 1): lambda x: x.max(axis=1),
    ("python", 3): lambda x: np.square(x).sum(axis=1),
    ("python", 4): lambda x: np.square(x).sum(axis=1),
    ("python", 5): lambda x: np.square(x).max(axis=1),
    ("python", 6): lambda x: np.median(np.square(x), axis=1),
    ("python", 7): lambda x: np.linalg.norm(x, axis=1),
}


@pytest.fixture(params=examples("loss"))
def example(request):
    inputs, loss = request.param
    if not isinstance(loss, UMBridgeLoss):
        yield inputs, loss
        return
    with serving() as server:
        yield inputs, replace(loss, url=server.url)


@pytest.fixture
def inputs(example):
    return example[0]


@pytest.fixture
def loss(example):
    return example[1].bind(example[0])


def most(loss, n):
    """At most ``n`` rows, and few for a loss that is evaluated row by row outside this process."""
    return min(n, 4) if isinstance(loss, RowLoss) else n


def factors(inputs, n, seed):
    return inputs.to_physical(normals(n, inputs.latent_dim, seed), block(n, inputs.dim))


@pytest.mark.parametrize("n", [1, 1000])
def test_loss_writes_every_row_and_leaves_the_factors_alone(inputs, loss, n, seed):
    x = factors(inputs, most(loss, n), seed(51))
    before = x.copy()
    assert np.isfinite(losses(loss, x)).all()
    np.testing.assert_array_equal(x, before)


def test_loss_is_row_by_row(inputs, loss, seed):
    x = factors(inputs, most(loss, 100), seed(52))
    alone = np.array([losses(loss, x[i : i + 1])[0] for i in range(len(x))])
    np.testing.assert_allclose(losses(loss, x), alone, rtol=1e-14)


def test_loss_agrees_with_numpy(request, inputs, loss, seed):
    kind, _, k = request.node.callspec.id.rpartition("-")
    if (kind, int(k)) not in ORACLES:
        pytest.skip(f"no outside oracle of {kind}")
    x = factors(inputs, most(loss, 1000), seed(53))
    np.testing.assert_allclose(losses(loss, x), ORACLES[kind, int(k)](x), rtol=1e-13, atol=1e-13)


@pytest.mark.statistical(effect=0.06, false_fail=2e-7, false_pass=1e-3)
def test_closed_moments_agree_with_draws(inputs, loss, seed):
    """5 standard errors of the mean and, for near-normal losses, of the standard deviation."""
    closed = loss.moments(inputs)
    if closed is None:
        return
    y = losses(loss, factors(inputs, 200_000, seed(54)))
    assert_within_error(y.mean(), closed[0], closed[1] / np.sqrt(y.size))
    assert_within_error(y.std() / closed[1], 1.0, 1 / np.sqrt(2 * y.size))


def test_bound_loss_binds_and_pickles_to_itself(inputs, loss, seed):
    x = factors(inputs, most(loss, 100), seed(55))
    for again in (loss.bind(inputs), pickle.loads(pickle.dumps(loss))):
        np.testing.assert_array_equal(losses(again, x), losses(loss, x))


def test_description_is_lines_of_text(loss):
    lines = loss.describe()
    assert lines
    assert all(isinstance(line, str) and line for line in lines)


def test_parts_add_up_to_the_loss(inputs, loss, seed):
    """One column for each name; none without names."""
    x = factors(inputs, 1000, seed(56))
    parts = loss.components(x)
    if parts is None:
        assert loss.component_names == ()
        return
    assert parts.shape == (1000, len(loss.component_names))
    assert len(set(loss.component_names)) == len(loss.component_names)
    np.testing.assert_allclose(parts.sum(axis=1), losses(loss, x), rtol=1e-12, atol=1e-12)
    alone = np.concatenate([loss.components(x[i : i + 1]) for i in range(20)])
    np.testing.assert_allclose(alone, parts[:20], rtol=1e-14)


def test_enough_limit_states_reach_what_the_loss_does(inputs, loss, seed):
    """One column for each name; none without names."""
    x = factors(inputs, 1000, seed(57))
    states = loss.states(x)
    if states is None:
        assert (loss.limit_state_names, loss.at_least) == ((), 1)
        return
    out = losses(loss, x)
    assert states.shape == (1000, len(loss.limit_state_names))
    assert len(set(loss.limit_state_names)) == len(loss.limit_state_names)
    for threshold in np.quantile(out, [0.1, 0.5, 0.9]):
        np.testing.assert_array_equal((states >= threshold).sum(axis=1) >= loss.at_least, out >= threshold)
    alone = np.concatenate([loss.states(x[i : i + 1]) for i in range(20)])
    np.testing.assert_allclose(alone, states[:20], rtol=1e-14)
