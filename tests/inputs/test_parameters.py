"""Parameters of input laws by name, and the density that a changed law gives to draws of another."""

import math

import numpy as np
import pytest
from scipy import stats

from raresim import CopulaInputs, FactorModel, Groups, Independent, Nataf, Normal, StandardNormal, StudentT
from raresim.copulas.gaussian import Gaussian
from raresim.copulas.t import T
from raresim.errors import FieldError
from raresim.inputs.parameters import find, leaves
from raresim.inputs.reweighting import NoDensityError, log_density_at
from raresim.marginals.bernoulli import Bernoulli
from raresim.marginals.exponential import Exponential
from raresim.marginals.finite import Finite
from raresim.marginals.lognormal import Lognormal
from raresim.marginals.poisson import Poisson
from raresim.marginals.semi_parametric import SemiParametric
from raresim.marginals.student_t import StudentT as MarginalT
from tests.helpers import examples, normals
from tests.statistical import assert_within_error

LAWS = examples("inputs")
COV = [[2.0, 0.6, -0.3], [0.6, 1.0, 0.2], [-0.3, 0.2, 0.5]]


def mapped(law, u):
    return np.array(law.to_physical(u, np.empty((len(u), law.dim), order="F")), order="F")


def smooth(x, like):
    """A bounded, smooth function of the factors that every one of them moves, in units of the draws ``like``."""
    low, centre, high = np.quantile(like, (0.25, 0.5, 0.75), axis=0)
    return np.tanh(0.3 * np.cos(np.arange(x.shape[1])) @ np.tanh((x - centre) / (high - low)).T + 0.2)


def names(law):
    return [leaf.name for leaf in leaves(law) if leaf.values.size]


# ------------------------------------------------------------------ names


@pytest.mark.parametrize("law", LAWS)
def test_a_law_is_rebuilt_as_it_was(law):
    known = [leaf for leaf in leaves(law) if leaf.values.size]
    for leaf in known:
        again = {other.name: other for other in leaves(find(law, leaf.name).changed(law, lambda values: values * 1.0))}
        for other in known:
            np.testing.assert_allclose(again[other.name].values, other.values, rtol=1e-12, atol=1e-14)
            assert again[other.name].labels == other.labels


@pytest.mark.parametrize("law", [p for p in LAWS if p.values[0].kind in ("garch", "historical")])
def test_a_law_without_a_density_says_so(law):
    (leaf,) = leaves(law)
    assert leaf.values.size == 0
    assert leaf.why_not == f"a law of kind {law.kind} has no density whose parameters could be changed"


def test_a_part_given_by_its_values_says_so():
    law = Independent(marginals={"a": Finite(values=[0.0, 1.0], probabilities=[0.9, 0.1]), "b": Exponential()})
    found = {leaf.name: leaf.why_not for leaf in leaves(law)}
    assert found == {
        "a": "a law of kind finite is given by its values and has no parameters",
        "b.loc": "",
        "b.scale": "",
    }


@pytest.mark.parametrize(
    ("law", "name", "values"),
    [
        (Normal(mean=[1.0, 2.0, 3.0], cov=COV), "mean", [1, 2, 3]),
        (Normal(mean=[1.0, 2.0, 3.0], cov=COV), "mean.x2", [2]),
        (Normal(mean=[1.0, 2.0, 3.0], cov=COV), "std", np.sqrt(np.diag(COV))),
        (Normal(mean=0.0, cov=COV), "correlation.x1.x2", [0.6 / math.sqrt(2)]),
        (Normal(mean=0.0, cov=COV), "volatility", np.sqrt(np.diag(COV))),
        (StandardNormal(dim=2), "std", [1, 1]),
        (StudentT(dof=4.0, scale=[1.0, 2.0]), "dof", [4]),
        (StudentT(dof=4.0, scale=[1.0, 2.0]), "std", [1, 2]),
        (Independent(marginals={"a": Exponential(scale=2.0), "b": Bernoulli(p=0.1)}), "a.scale", [2]),
        (Independent(marginals={"a": Exponential(scale=2.0), "b": Bernoulli(p=0.1)}), "p", [0.1]),
        (Independent(marginals=[Exponential(scale=2.0), Exponential(scale=3.0)]), "scale", [2, 3]),
        (Independent(marginal=Lognormal(mean=2.0, std=0.5), dim=2), "std", [0.5]),
        (CopulaInputs(copula=T(dof=3.0, rho=0.2, dim=2), marginal=MarginalT(dof=5.0)), "copula.dof", [3]),
        (CopulaInputs(copula=T(dof=3.0, rho=0.2, dim=2), marginal=MarginalT(dof=5.0)), "dof", [3, 5]),
        (CopulaInputs(copula=Gaussian(rho=0.2, dim=2), marginal=MarginalT(dof=5.0)), "correlation", [0.2]),
        (Groups(groups={"a": StudentT(dof=5.0, dim=2), "b": Normal(std=[1.0, 2.0])}), "a.scale", [1, 1]),
    ],
)
def test_a_name_stands_for_all_that_end_so(law, name, values):
    np.testing.assert_allclose(find(law, name).values, values)


def test_changed_values_are_those_of_the_new_law():
    law = Normal(mean=[1.0, 2.0, 3.0], cov=COV)
    wider = find(law, "std").moved(law, 0.1)
    np.testing.assert_allclose(wider.cov, 1.21 * np.array(COV))
    closer = find(law, "correlation").moved(law, 0.05)
    std = np.sqrt(np.diag(COV))
    np.testing.assert_allclose(closer.cov, COV + 0.05 * np.outer(std, std) * (1 - np.eye(3)))
    one = find(law, "mean.x2").moved(law, 0.5)
    np.testing.assert_allclose(one.location, [1.0, 2.5, 3.0])
    np.testing.assert_allclose(one.cov, COV)
    joined = CopulaInputs(copula=T(dof=3.0, rho=0.2, dim=2), marginals=[MarginalT(dof=5.0), Exponential(scale=2.0)])
    moved = find(joined, "x2.scale").moved(joined, 0.5)
    assert moved.copula is joined.copula
    assert moved.laws[0] is joined.laws[0]
    assert moved.laws[1].scale == 3.0


def test_what_is_given_stays_given():
    law = Independent(marginals=[Lognormal(mean=2.0, std=0.5)])
    wider = find(law, "std").moved(law, 0.2).laws[0]
    assert (wider.mean, wider.std) == (2.0, 0.6)
    assert names(law) == ["x1.mean", "x1.std", "x1.loc"]


def test_tails_of_a_sample_can_be_heavier():
    sample = SemiParametric(values=stats.t.rvs(3, size=400, random_state=1))
    law = Independent(marginals=[sample])
    heavier = find(law, "x1.upper_shape").moved(law, 0.1).laws[0]
    assert heavier.tails[1].shape == sample.tails[1].shape + 0.1
    assert heavier.tails[0] is sample.tails[0]
    far = sample.tails[1].threshold + 20.0 * sample.tails[1].scale
    assert heavier.logsf(far) > sample.logsf(far) + 0.2
    np.testing.assert_allclose(heavier.logsf(sample.tails[1].threshold), sample.logsf(sample.tails[1].threshold))


def test_unknown_parameter_is_answered_with_the_nearest():
    with pytest.raises(FieldError, match=r"unknown parameter 'doff'; did you mean 'dof'\? \(allowed: correlation, dof"):
        find(StudentT(dof=4.0, dim=2), "doff")


# ------------------------------------------------------------------ densities


def _moves_an_end(law, *others):
    """Whether a marginal of another law reaches further: its draws are then not all among those of ``law``."""
    ends = [[marginal.support for marginal in margins_of(each)] for each in (law, *others)]
    return any(a < c or b > d for other in ends[1:] for (a, b), (c, d) in zip(other, ends[0], strict=True))


def margins_of(law):
    return getattr(getattr(law, "joint", law), "laws", ())


def step_of(parameter):
    return 1e-4 * (1.0 if parameter.by_factor else max(1.0, float(np.abs(parameter.values).max())))


WITHOUT_DENSITY = {"garch-0", "garch-1", "historical-0", "historical-1", "factor-1"}


@pytest.mark.parametrize("law", [p for p in LAWS if p.id in WITHOUT_DENSITY])
def test_draws_without_a_density_are_not_weighed(law):
    u = normals(10, law.latent_dim, 1)
    with pytest.raises(NoDensityError, match=r"have no density|has no specific part, so the factors determine it"):
        log_density_at(law, u, mapped(law, u))


@pytest.mark.slow
@pytest.mark.statistical(effect=0.5, false_fail=1e-5, false_pass=0.01)
@pytest.mark.parametrize("law", [p for p in LAWS if p.id not in WITHOUT_DENSITY])
def test_scores_give_the_derivatives_that_moved_draws_have(law, seed):
    """``E[g s]`` is what ``g`` of the same normals, mapped by laws on either side, changes by: an independent route."""
    is_tail = law.kind == "fitted" and law.choose is None
    n = 25_000 if is_tail else 8_000  # scores of a fitted tail are zero but for a tenth of the draws
    u = normals(n, law.latent_dim, seed(7))
    x = mapped(law, u)
    at = log_density_at(law, u, x)
    middle = at(law)
    compared = 0
    for name in names(law):
        parameter = find(law, name)
        h = step_of(parameter)
        up, down = parameter.moved(law, h), parameter.moved(law, -h)
        if _moves_an_end(law, up, down):
            continue
        score = (np.exp(at(up) - middle) - np.exp(at(down) - middle)) / (2 * h)
        by_score = score * (smooth(x, x) - smooth(x, x).mean())
        moved = (smooth(mapped(up, u), x) - smooth(mapped(down, u), x)) / (2 * h)
        difference = by_score - moved
        assert_within_error(difference.mean(), 0.0, difference.std() / math.sqrt(n), scale=np.abs(by_score).mean())
        assert_within_error(score.mean(), 0.0, score.std() / math.sqrt(n), scale=score.std())
        compared += 1
    assert compared


def test_density_of_a_factor_model_is_that_of_its_normal_law():
    model = FactorModel(loadings=[[0.6], [0.3], [-0.2]], factors=Normal(std=[2.0]), specific=0.5, loc=[0.0, 1.0, 2.0])
    u = normals(4, model.latent_dim, 3)
    x = mapped(model, u)
    other = find(model, "factors.std").moved(model, 0.3)
    at = log_density_at(model, u, x)
    f = 2.0 * u[:, 0]
    np.testing.assert_allclose(at(other) - at(model), stats.norm.logpdf(f, scale=2.6) - stats.norm.logpdf(f, scale=2.0))
    other = find(model, "loadings").moved(model, 0.1)
    expected = sum(
        stats.norm.logpdf(x[:, j], c + 1.1 * b * f, 0.5) - stats.norm.logpdf(x[:, j], c + b * f, 0.5)
        for j, (b, c) in enumerate(zip((0.6, 0.3, -0.2), (0.0, 1.0, 2.0), strict=True))
    )
    np.testing.assert_allclose(at(find(model, "loadings").changed(model, lambda v: 1.1 * v)) - at(model), expected)
    assert find(model, "loadings").by_factor is False
    assert other is not model


@pytest.mark.statistical(effect=0.1, false_fail=1e-5, false_pass=0.01)
def test_joined_defaults_are_weighed_for_other_probabilities_and_correlations(seed):
    """Two Bernoulli variables of a Gaussian copula: joint probabilities from the bivariate normal law."""
    law = CopulaInputs(copula=Gaussian(rho=0.4, dim=2), marginals=[Bernoulli(p=0.1), Bernoulli(p=0.2)])
    u = normals(200_000, 2, seed(5))
    x = mapped(law, u)
    at = log_density_at(law, u, x)
    for change, (p, q, rho) in {
        ("x1.p", 0.15): (0.15, 0.2, 0.4),
        ("x2.p", 0.1): (0.1, 0.1, 0.4),
        ("correlation", 0.5): (0.1, 0.2, 0.5),
    }.items():
        name, value = change
        other = find(law, name).changed(law, lambda v, value=value: np.full(v.shape, value))
        weight = np.exp(at(other) - at(law))
        both = stats.multivariate_normal.cdf(stats.norm.ppf([p, q]), cov=[[1, rho], [rho, 1]])
        for seen, exact in ((x[:, 0] * x[:, 1], both), (x[:, 0], p), (x[:, 1], q)):
            terms = weight * seen
            assert_within_error(terms.mean(), exact, terms.std() / math.sqrt(len(terms)))


@pytest.mark.parametrize(
    ("law", "name", "step", "why"),
    [
        (Independent(marginal=Exponential(scale=2.0), dim=2), "loc", -0.1, "could then lie from -0.1 to inf"),
        (
            CopulaInputs(copula=Gaussian(rho=0.4, dim=2), marginals=[Poisson(mu=1.0), Exponential()]),
            "x1.mu",
            0.1,
            "discrete law of kind poisson that a copula joins",
        ),
        (
            FactorModel(loadings=[[1.0]], factors=Normal(dim=1), specific=1.0, residual=Exponential()),
            "loadings",
            0.1,
            "the range of values of a name would change with it",
        ),
    ],
)
def test_draws_that_do_not_reach_another_law_are_refused(law, name, step, why):
    u = normals(10, law.latent_dim, 1)
    at = log_density_at(law, u, mapped(law, u))
    with pytest.raises(NoDensityError, match=why):
        at(find(law, name).moved(law, step))


def test_a_narrower_law_is_weighed():
    law = Independent(marginal=Exponential(scale=2.0), dim=1)
    u = normals(10, 1, 1)
    x = mapped(law, u)
    weight = log_density_at(law, u, x)(find(law, "loc").moved(law, 0.5)) - law_density(law, x)
    np.testing.assert_allclose(weight[x[:, 0] > 0.5], 0.25)
    assert (weight[x[:, 0] < 0.5] == -np.inf).all()


def law_density(law, x):
    out = np.empty(len(x))
    law.logpdf(x, out)
    return out


def test_pearson_correlation_of_the_factors_themselves_is_held():
    law = Nataf(correlation=[[1.0, 0.5], [0.5, 1.0]], marginals=[Exponential(), Exponential(scale=2.0)])
    wider = find(law, "x1.scale").moved(law, 0.3)
    np.testing.assert_allclose(wider.correlation, law.correlation)
    np.testing.assert_allclose(wider.joint.copula.matrix, law.joint.copula.matrix, rtol=1e-9)
