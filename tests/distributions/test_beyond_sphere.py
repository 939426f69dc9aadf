"""Standard normals beyond a cylinder: exact mass, draws by chi laws, weights that are all the same."""

import math

import numpy as np
import pytest
from scipy import stats

from raresim.distributions.beyond_sphere import BeyondSphere
from raresim.errors import FieldError
from tests.helpers import draws, logpdf
from tests.statistical import assert_law_is, assert_mean_is


def turned(d, k, seed):
    """The first ``k`` directions of a random rotation in ``d`` dimensions."""
    return stats.ortho_group.rvs(d, random_state=seed)[:, :k]


@pytest.mark.parametrize("radius", [0.5, 4.0, 12.0])
def test_mass_has_its_closed_form(radius):
    """In one direction both normal tails, in two an exponential, in four one more term; in the log of any size."""
    square = 0.5 * radius**2
    exact = {
        1: math.log(2.0) + stats.norm.logsf(radius),
        2: -square,
        4: -square + math.log1p(square),
        6: -square + math.log1p(square + 0.5 * square**2),
    }
    for k, log_mass in exact.items():
        assert BeyondSphere(directions=np.eye(7)[:, :k], radius=radius).log_mass == pytest.approx(log_mass, rel=1e-10)


@pytest.mark.parametrize(("d", "k", "radius"), [(1, 1, 3.0), (3, 2, 1.5), (18, 4, 5.5), (10, 10, 7.0)])
def test_weights_beside_the_target_are_all_the_same(d, k, radius, seed):
    """The probability of the region, wherever the draw is: nothing is lost inside it."""
    law = BeyondSphere(directions=turned(d, k, 5), radius=radius)
    x = draws(law, 2000, seed(5300))
    weight = stats.norm.logpdf(x).sum(axis=1) - logpdf(law, x)
    np.testing.assert_allclose(weight, stats.chi.logsf(radius, k), rtol=1e-9)


@pytest.mark.parametrize(("d", "k", "radius"), [(1, 1, 3.0), (3, 2, 1.5), (18, 4, 5.5), (10, 10, 7.0), (5, 3, 25.0)])
@pytest.mark.statistical(effect=0.05, false_fail=1e-7, false_pass=1e-3)
def test_distances_follow_the_chi_law_beyond_the_radius(d, k, radius, seed):
    law = BeyondSphere(directions=turned(d, k, 6), radius=radius)
    length = np.linalg.norm(draws(law, 20_000, seed(5310)) @ law.basis, axis=1)
    assert length.min() >= radius * (1.0 - 1e-12)
    log_beyond = stats.chi.logsf(radius, k)
    assert_law_is(length, lambda r: -np.expm1(stats.chi.logsf(r, k) - log_beyond))


@pytest.mark.statistical(effect=0.05, false_fail=2e-7, false_pass=1e-3)
def test_directions_are_even_and_the_other_coordinates_normal(seed):
    d, k = 6, 2
    basis = turned(d, d, 7)
    law = BeyondSphere(directions=basis[:, :k], radius=3.0)
    x = draws(law, 20_000, seed(5320))
    angle = np.arctan2(*(x @ basis[:, :2]).T)
    assert_law_is(angle, stats.uniform(-math.pi, 2.0 * math.pi).cdf)
    assert_law_is((x @ basis[:, 4]), stats.norm.cdf)


@pytest.mark.statistical(effect=0.05, false_fail=1e-7, false_pass=1e-3)
def test_density_gives_the_probability_of_what_lies_beyond(seed):
    """Draws of a wider normal law, weighed by the density: it integrates to one."""
    law = BeyondSphere(directions=turned(3, 2, 8), radius=2.0)
    wide = stats.norm(scale=1.6)
    x = 1.6 * np.random.default_rng(seed(5330)).standard_normal((200_000, 3))
    assert_mean_is(np.exp(logpdf(law, x) - wide.logpdf(x).sum(axis=1)), 1.0)


def test_there_is_no_density_inside():
    law = BeyondSphere(directions=np.eye(3)[:, :2], radius=2.0)
    inside = logpdf(law, [[1.9, 0.0, 50.0], [1.4, 1.4, 0.0], [0.0, 0.0, 0.0]])
    assert inside.tolist() == [-math.inf] * 3
    outside = logpdf(law, [[2.1, 0.0, 0.0], [1.5, 1.5, 3.0]])
    exact = stats.norm.logpdf([[2.1, 0.0, 0.0], [1.5, 1.5, 3.0]]).sum(axis=1) + 2.0
    np.testing.assert_allclose(outside, exact)


def test_turned_directions_turn_the_law():
    basis = turned(4, 2, 9)
    x = np.random.default_rng(3).standard_normal((20, 4)) * 3.0
    one = logpdf(BeyondSphere(directions=basis, radius=3.0), x)
    complete = stats.ortho_group.rvs(2, random_state=4)
    np.testing.assert_allclose(one, logpdf(BeyondSphere(directions=basis @ complete, radius=3.0), x))


@pytest.mark.parametrize(
    ("directions", "radius", "message"),
    [
        (np.eye(3)[:2], 1.0, r"directions: must have at most as many columns as rows, got \(2, 3\)"),
        ([[1.0], [1.0]], 1.0, "directions: must be orthonormal"),
        ([[1.0, 0.6], [0.0, 0.8]], 1.0, "directions: must be orthonormal"),
        (np.eye(2), 0.0, "radius: must be positive and finite, got 0"),
        (np.eye(2), -1.0, "radius: must be positive and finite, got -1"),
        (np.eye(2), 40.0, "radius: must leave a mass of 1e-300 beyond it, got 40"),
    ],
)
def test_what_is_no_cylinder_is_refused(directions, radius, message):
    with pytest.raises(FieldError, match=message):
        BeyondSphere(directions=directions, radius=radius)
