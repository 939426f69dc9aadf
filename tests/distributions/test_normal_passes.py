"""What is made in one pass over the draws of a normal law has the bits of the steps that it stands for."""

import numpy as np
import pytest

from raresim.distributions.base import ratio_in_two
from raresim.distributions.normal import Normal
from raresim.distributions.normal_passes import TILE
from raresim.distributions.standard_normal import StandardNormal
from raresim.losses.linear import Linear
from tests.helpers import normals

SIZES = [(2, 1), (TILE - 1, 3), (TILE, 4), (3 * TILE + 7, 21)]


def root(d):
    return np.random.default_rng(131).normal(size=(d, d))


@pytest.mark.parametrize(("n", "d"), SIZES)
def test_a_linear_loss_without_its_factors(n, d):
    inputs = Normal(mean=np.linspace(-1.0, 2.0, d), cov=root(d) @ root(d).T + np.eye(d))
    loss, u = Linear(weights=np.linspace(-0.5, 1.0, d)).bind(inputs), normals(n, d, 132)
    once, twice = np.empty(n), np.empty(n)
    assert loss.of_normals(inputs, u, once)
    loss(inputs.to_physical(u, np.empty((n, d), order="F")), twice)
    np.testing.assert_array_equal(once, twice)


def test_it_is_not_offered_where_steps_are_as_quick_or_the_loss_is_not_linear():
    apart, joint = Normal(mean=0.0, std=[1.0, 2.0]), Normal(mean=0.0, cov=[[1.0, 0.5], [0.5, 1.0]])
    u, out = normals(5, 2, 133), np.empty(5)
    assert not Linear(weights=[1.0, 2.0]).bind(apart).of_normals(apart, u, out)
    assert not Linear(weights=[1.0, 2.0]).bind(joint).of_normals(joint, u[:1], out[:1])
    assert not Linear(weights=[1.0, 2.0], factors="returns", revalue="exp").bind(joint).of_normals(joint, u, out)


@pytest.mark.parametrize("is_dense", [False, True])
@pytest.mark.parametrize(("n", "d"), SIZES)
def test_the_ratio_of_two_densities(n, d, is_dense):
    spread = {"cov": root(d) @ root(d).T + np.eye(d)} if is_dense else {"std": np.linspace(0.3, 2.0, d)}
    law, target = Normal(mean=np.linspace(-1.0, 2.0, d), **spread), StandardNormal(dim=d)
    u, once, twice = normals(n, d, 134), np.empty(n), np.empty(n)
    law.log_ratio(target, u, once)
    ratio_in_two(target, law, u, twice)
    np.testing.assert_array_equal(once, twice)
    assert np.ptp(once) > 0.1


def test_the_ratio_to_a_law_that_is_not_standard():
    law, target, u = Normal(mean=1.0, std=2.0), Normal(mean=-1.0, std=1.0), normals(9, 1, 135)
    once, twice = np.empty(9), np.empty(9)
    law.log_ratio(target, u, once)
    ratio_in_two(target, law, u, twice)
    np.testing.assert_array_equal(once, twice)
