"""The contract of a model, over every registered member."""

import pickle

import numpy as np
import pytest

import raresim
from raresim.errors import FieldError
from tests.helpers import block, examples, losses, normals


@pytest.fixture(params=examples("model"))
def model(request):
    return request.param


def factors(model, n, seed):
    return model.inputs.to_physical(normals(n, model.inputs.latent_dim, seed), block(n, model.inputs.dim))


def test_loss_binds_to_the_inputs_of_its_model(model, seed):
    x = factors(model, 100, seed(901))
    bound = model.loss.bind(model.inputs)
    np.testing.assert_array_equal(losses(bound, x), losses(model.loss, x))
    np.testing.assert_array_equal(losses(pickle.loads(pickle.dumps(bound)), x), losses(bound, x))


def test_map_leaves_the_normals_alone_and_fills_every_row(model, seed):
    u = normals(1001, model.inputs.latent_dim, seed(902))
    before = u.copy()
    x = model.inputs.to_physical(u, block(1001, model.inputs.dim))
    assert np.isfinite(x).all()
    np.testing.assert_array_equal(u, before)
    assert len(set(model.inputs.names)) == len(model.inputs.names) == model.inputs.dim


def test_loss_is_row_by_row_and_the_same_again(model, seed):
    x = factors(model, 300, seed(903))
    alone = np.array([losses(model.loss, x[i : i + 1])[0] for i in range(300)])
    np.testing.assert_array_equal(losses(model.loss, x), alone)
    np.testing.assert_array_equal(losses(model.loss, x[::-1].copy(order="F"))[::-1], alone)


def test_parts_add_up_to_the_loss(model, seed):
    x = factors(model, 500, seed(904))
    parts = model.loss.components(x)
    if not model.loss.has_components:
        assert parts is None
        return
    assert parts.shape == (500, len(model.loss.component_names))
    np.testing.assert_allclose(parts.sum(axis=1), losses(model.loss, x), rtol=1e-12, atol=1e-12)


def test_model_stands_for_inputs_and_loss(model, seed):
    threshold = float(np.quantile(losses(model.loss, factors(model, 4000, seed(905))), 0.9))
    up = raresim.Probability(above=threshold)
    given = {"seed": seed(906), "relative_error": 0.2, "method": "crude"}
    of_model = raresim.estimate(model, measures=up, **given)
    of_parts = raresim.estimate(model.inputs, model.loss, up, **given)
    numbers = [[(e.label, e.value, e.std_error, e.interval) for e in run.estimates] for run in (of_model, of_parts)]
    assert numbers[0] == numbers[1]  # the diagnostics of a model hold its controls too
    assert of_model.description["model"] == [*model.describe(), *model.notes()]


def test_a_model_stands_alone(model):
    up = raresim.Probability(above=1.0)
    with pytest.raises(FieldError, match=r"^loss: must be left out beside a model"):
        raresim.estimate(model, lambda x: x[:, 0], measures=up, seed=1)
    with pytest.raises(FieldError, match=r"^model: must be left out where inputs are given"):
        raresim.Experiment(model=model, inputs=raresim.StandardNormal(dim=2), measures=[up], seed=1)
    with pytest.raises(FieldError, match=r"^inputs: is required but missing: a run takes either"):
        raresim.Experiment(measures=[up], seed=1)


def test_description_is_lines_of_text(model):
    lines = [*model.describe(), *model.notes()]
    assert lines
    assert all(isinstance(line, str) and line for line in lines)
