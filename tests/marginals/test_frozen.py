"""Frozen laws of SciPy where a marginal or inputs are wanted: the same law, or a refusal with the remedy."""

import numpy as np
import pytest
from scipy import stats

import raresim
from raresim.errors import FieldError
from raresim.marginals.frozen import COUNTS, SAME, of_frozen
from raresim.marginals.scipy_law import ScipyLaw

FROZEN = {
    "beta": stats.beta(2.0, 3.0, 1.0, scale=2.0),
    "expon": stats.expon(scale=3.0),
    "gamma": stats.gamma(2.0, loc=1.0),
    "genextreme": stats.genextreme(0.2, 1.0, 2.0),
    "genpareto": stats.genpareto(c=0.3, scale=2.0),
    "gumbel_l": stats.gumbel_l(1.0, 2.0),
    "gumbel_r": stats.gumbel_r(1.0, 2.0),
    "laplace": stats.laplace(1.0, 2.0),
    "logistic": stats.logistic(1.0, 2.0),
    "lognorm": stats.lognorm(0.5, scale=2.0),
    "norm": stats.norm(1.0, 2.0),
    "pareto": stats.pareto(3.0, scale=2.0),
    "t": stats.t(4.0, 1.0, 2.0),
    "triang": stats.triang(0.3, 1.0, 2.0),
    "truncnorm": stats.truncnorm(-1.0, np.inf, loc=1.0, scale=2.0),
    "uniform": stats.uniform(1.0, 2.0),
    "weibull_min": stats.weibull_min(1.5, scale=2.0),
    "bernoulli": stats.bernoulli(0.3),
    "binom": stats.binom(5, 0.3),
    "geom": stats.geom(0.3),
    "nbinom": stats.nbinom(2.5, 0.3),
    "poisson": stats.poisson(2.0),
}


@pytest.mark.parametrize("name", [*SAME, *COUNTS])
def test_a_law_of_the_same_name_is_the_same_law(name):
    frozen = FROZEN[name]
    law = of_frozen(frozen)
    assert not isinstance(law, ScipyLaw)
    x = frozen.ppf([1e-3, 0.2, 0.5, 0.9, 1.0 - 1e-6])
    np.testing.assert_allclose(law.logcdf(x), frozen.logcdf(x), rtol=1e-8, atol=1e-15)
    np.testing.assert_allclose(law.logsf(x[:-1]), frozen.logsf(x[:-1]), rtol=1e-8)


def test_any_other_continuous_law_is_scipys_own_with_all_its_parameters():
    law = of_frozen(stats.johnsonsu(0.5, b=1.5, scale=2.0))
    assert isinstance(law, ScipyLaw)
    assert law.parameters == {"a": 0.5, "b": 1.5, "loc": 0.0, "scale": 2.0}


def test_a_shifted_count_and_an_untruncated_normal_are_what_they_are():
    assert of_frozen(stats.binom(2, 0.5, loc=10)).cdf(11.0) == pytest.approx(0.75)
    assert of_frozen(stats.truncnorm(-np.inf, np.inf)).is_normal


def test_frozen_laws_are_taken_in_lists_mappings_and_alone():
    named = raresim.Independent(marginals={"x": stats.gamma(2.0), "y": raresim.marginals.Normal(mean=0.0, std=1.0)})
    assert [law.kind for law in named.laws] == ["gamma", "normal"]
    assert raresim.Independent(marginal=stats.norm(), dim=3).is_normal
    assert [law.kind for law in raresim.Independent(marginals=[stats.t(3.0), stats.poisson(2.0)]).laws] == [
        "student_t",
        "poisson",
    ]
    copula = raresim.copulas.Gaussian(correlation=[[1.0, 0.5], [0.5, 1.0]])
    assert raresim.CopulaInputs(marginals=[stats.expon(), stats.norm()], copula=copula).dim == 2


def test_joint_laws_of_scipy_are_inputs():
    asked = {"loss": raresim.Linear(weights="equal"), "measures": [raresim.Probability(above=3.0)], "seed": 1}
    cov = [[2.0, 0.5], [0.5, 1.0]]
    normal = raresim.Experiment(inputs=stats.multivariate_normal([1.0, 2.0], cov), **asked).inputs
    np.testing.assert_allclose(normal.cov, cov)
    student = raresim.Experiment(inputs=stats.multivariate_t([1.0, 2.0], cov, df=3), **asked).inputs
    assert (student.dof, student.kind) == (3.0, "student_t")
    np.testing.assert_allclose(student.shape, cov)
    one = raresim.Experiment(inputs=stats.lognorm(0.5), **asked).inputs
    assert (one.kind, one.laws[0].kind) == ("independent", "lognormal")


@pytest.mark.parametrize(
    ("law", "message"),
    [
        (
            stats.norm,
            r"must be a law of one risk factor, got a norm_gen; give it its parameters",
        ),
        (stats.norm([0.0, 1.0]), r"must be a law of one risk factor, got a rv_continuous_frozen; give one such as"),
        (stats.zipf(2.0), r"must be a law of one risk factor, got a rv_discrete_frozen; give one such as"),
        (stats.multivariate_normal([0.0, 0.0]), r"must be a law of one risk factor, got a multivariate_normal_frozen"),
    ],
    ids=["not frozen", "arrays", "unknown count", "joint"],
)
def test_what_is_no_law_of_one_number_is_refused_with_the_remedy(law, message):
    with pytest.raises(FieldError, match=f"marginals: entry 'x' {message}"):
        raresim.Independent(marginals={"x": law})


def test_the_numbers_are_those_of_the_marginal():
    kind = {"measures": raresim.Probability(above=9.0), "method": "cross_entropy", "seed": 2}
    loss = raresim.PythonLoss(function=lambda x: x.sum(axis=1))
    frozen = raresim.estimate(raresim.Independent(marginals=[stats.gamma(2.0), stats.expon()]), loss, **kind)
    gamma, exponential = raresim.marginals.Gamma(a=2.0), raresim.marginals.Exponential()
    own = raresim.estimate(raresim.Independent(marginals=[gamma, exponential]), loss, **kind)
    assert frozen.estimates[0].value == own.estimates[0].value


def test_marginals_given_by_position_are_asked_for_by_name():
    with pytest.raises(FieldError, match=r"marginals: must be given by name: Independent\(marginals=\.\.\.\)"):
        raresim.Independent({"x": stats.norm()})
