"""The Student t law at the ends of its range."""

import math

import mpmath
import numpy as np
import pytest
from scipy import stats

from raresim import Normal, StudentT
from raresim.distributions.covariances import covariance
from raresim.errors import FieldError
from tests.helpers import draws, logpdf
from tests.statistical import assert_count


def law_or_refusal(dof):
    """The law, or None where ``dof`` is refused with a message."""
    try:
        return StudentT(dof=dof)
    except FieldError:
        return None


@pytest.mark.parametrize("dof", [0.005, 0.02, 0.05, 0.5])
@pytest.mark.statistical(effect=0.12, false_fail=1e-7, false_pass=1e-3)
def test_few_degrees_of_freedom_are_drawn_or_refused(dof, seed):
    """A gamma draw may be below the smallest double; its inverse must not end the run with a division by zero."""
    law = law_or_refusal(dof)
    if law is not None:
        x = draws(law, 10_000, seed(311))
        assert not np.isnan(x).any()
        assert_count((x > 0).sum(), 10_000, 0.5)


@pytest.mark.parametrize("dof", [0.05, 1e3, 1e6, 1e9, 1e12, 1e15])
def test_density_is_normalised_for_many_degrees_of_freedom_or_refused(dof):
    """Every weight carries this constant: a relative 1e-8 of all results."""
    law = law_or_refusal(dof)
    if law is not None:
        with mpmath.workdps(60):
            v = mpmath.mpf(dof)
            exact = mpmath.loggamma((v + 1) / 2) - mpmath.loggamma(v / 2) - mpmath.log(v * mpmath.pi) / 2
        assert logpdf(law, np.zeros((1, 1)))[0] == pytest.approx(float(exact), abs=1e-8)


def test_density_far_out_is_a_power():
    law, x = StudentT(dof=3.0), np.array([[1e5], [1e50], [1e150]])
    np.testing.assert_allclose(logpdf(law, x), stats.t(3.0).logpdf(x[:, 0]), rtol=1e-12)


def test_coordinates_share_one_mixing_variable(seed):
    """Independent coordinates would be large together with probability 1e-4; dependent ones far more often."""
    x = draws(StudentT(dof=2.0, dim=2), 100_000, seed(312))
    level = stats.t(2.0).isf(0.01)
    assert ((x[:, 0] > level) & (x[:, 1] > level)).mean() > 5e-4


def test_fitted_law_has_mean_and_covariance_of_the_data(seed):
    """Exact: with the covariance as scale matrix every threshold in sigma would be at least 15 % too large."""
    x = np.random.default_rng(seed(313)).standard_t(5.0, (2_000, 3)) @ [
        [0.02, 0.01, 0.0],
        [0.0, 0.01, 0.0],
        [0.0, 0.0, 0.03],
    ]
    law, w = StudentT.fit(x), np.array([0.5, 0.2, 0.3])
    mean, std = law.linear_moments(w)
    assert law.dof < 8.0
    assert mean == pytest.approx(x.mean(axis=0) @ w, rel=1e-9)
    assert std**2 == pytest.approx(w @ covariance(x).cov @ w, rel=1e-9)


@pytest.mark.parametrize(
    ("dof", "mean", "std"), [(1.0, math.nan, math.nan), (1.5, 3.0, math.nan), (2.0, 3.0, math.nan)]
)
def test_moments_that_do_not_exist_are_nan(dof, mean, std):
    got = StudentT(dof=dof, loc=[1.0, 2.0]).linear_moments(np.ones(2))
    np.testing.assert_array_equal(got, (mean, std))


def test_parameters_are_those_of_the_normal_law_that_is_stretched():
    law = StudentT(dof=4.0, loc=[1.0, 2.0], shape=[[2.0, 0.5], [0.5, 1.0]])
    assert isinstance(law.normal, Normal)
    assert (law.dim, law.latent_dim) == (2, 3)
    assert law.describe() == ["Student t, 2 coordinates with one shared mixing variable, dof 4"]
