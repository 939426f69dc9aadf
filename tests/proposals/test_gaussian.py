"""The Gaussian family's parts: directions, moments, closed forms between its members."""

import numpy as np
import pytest

from raresim import Gaussian, LowRankNormal, Mixture, Normal, StandardNormal, StudentT
from raresim.information import kl_normal
from raresim.proposals.gaussian import gaussian_moments, orthonormal
from tests import oracles

V = np.array([[0.6, 0.0], [0.8, 0.0], [0.0, 1.0]])
LOW = LowRankNormal(mean=[1.0, 2.0, 0.5], directions=V, variances=[0.7, 3.0])
LOWER = LowRankNormal(mean=[0.0, -1.0, 0.5], directions=[[0.0], [0.8], [0.6]], variances=[2.0])


def test_directions_are_orthonormal_in_the_order_given():
    a, b = np.array([3.0, 0.0, 4.0]), np.array([0.0, 2.0, 1.0])
    basis = orthonormal([a, b], 2)
    np.testing.assert_allclose(basis.T @ basis, np.eye(2), atol=1e-15)
    np.testing.assert_allclose(basis[:, 0], a / 5)
    assert np.linalg.matrix_rank(np.column_stack([basis, a, b]), tol=1e-10) == 2


def test_near_repeats_and_surplus_directions_are_left_out():
    a = np.array([1.0, 0.0, 0.0])
    assert orthonormal([a, np.array([1.0, 0.01, 0]), np.array([0, 1.0, 0])], 3).shape == (3, 2)
    assert orthonormal([a, np.array([0, 1.0, 0])], 1).shape == (3, 1)


CORRELATED = Normal(mean=[1, 2], cov=[[2.0, 0.3], [0.3, 1.0]])


@pytest.mark.parametrize("law", [StandardNormal(dim=3), Normal(mean=[1, 2], std=[3, 4]), CORRELATED])
def test_moments_of_normal_laws_are_read_off(law):
    mean, cov = gaussian_moments(law)
    expected_mean, expected_cov = oracles.centre_and_spread(law)
    np.testing.assert_allclose(mean, expected_mean)
    np.testing.assert_allclose(np.diag(cov) if cov.ndim == 1 else cov, expected_cov, rtol=1e-14)


def test_other_laws_have_no_gaussian_moments():
    assert gaussian_moments(StudentT(dof=3.0)) is None
    assert gaussian_moments(Mixture(weights=[1.0], components=[Normal()])) is None


@pytest.mark.parametrize(("p", "q"), [(LOW, LOWER), (LOWER, LOW), (LOW, StandardNormal(dim=3))])
def test_low_rank_kl_agrees_with_the_dense_formula(p, q):
    exact = kl_normal(*oracles.centre_and_spread(p), *oracles.centre_and_spread(q))
    assert Gaussian().kl(p, q) == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("other", [Normal(mean=[5.0, 0.0, 0.0]), StudentT(dof=3.0, dim=3)], ids=["normal", "t"])
def test_kl_to_a_law_of_another_family_is_refused_or_right(other):
    """A law that is not low-rank must not be taken for the standard normal."""
    try:
        value = Gaussian().kl(LOW, other)
    except TypeError:
        return
    exact = kl_normal(*oracles.centre_and_spread(LOW), *oracles.centre_and_spread(other))
    assert other.kind == "normal"
    assert value == pytest.approx(exact, rel=1e-12)


def test_kl_of_laws_that_are_not_gaussian_is_refused():
    with pytest.raises(TypeError, match="not Gaussian"):
        Gaussian(covariance="full").kl(StudentT(dof=3.0), StandardNormal(dim=1))


@pytest.mark.parametrize(
    ("covariance", "expected"), [("mean_shift", 20), ("diagonal", 40), ("full", 230), ("low_rank", 21)]
)
def test_free_parameters_are_counted(covariance, expected):
    assert Gaussian(covariance=covariance).n_parameters(20) == expected
