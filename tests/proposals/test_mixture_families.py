"""Mixtures of Gaussians and of t laws: their number of components, what few elites bear, and smoothing."""

import numpy as np
import pytest
from scipy import stats

from raresim import LowRankNormal, Mixture, Normal, StandardNormal, StudentT
from raresim.errors import FieldError
from raresim.proposals.gaussian import Gaussian
from raresim.proposals.gaussian_mixture import GaussianMixture, posterior, smoothed
from raresim.proposals.student_t import DOF_RANGE, StudentTMixture
from tests import oracles
from tests.helpers import draws, logpdf, normals

THREE = Mixture(
    weights=[0.5, 0.3, 0.2],
    components=(
        Normal(mean=[4.0, 0.0], std=[1.0, 1.5]),
        Normal(mean=[-4.0, 1.0], cov=[[1.0, 0.3], [0.3, 0.8]]),
        Normal(mean=[0.0, -5.0], std=1.0),
    ),
)


def refit(family, u, seed=1, weight=None, current=None):
    start = current or StandardNormal(dim=u.shape[1])
    return family.refit(start, u, np.ones(len(u)) if weight is None else weight, np.random.default_rng(seed))


def centres(law):
    return np.array([oracles.centre_and_spread(c)[0] for c in law.parts[1]])


# --- the fit ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("components", [3, "auto"])
@pytest.mark.parametrize("start", range(3))
def test_components_are_found_with_their_shares_and_parameters(components, start, seed):
    """3,000 draws: centres within 0.25 (6 of their errors), shares within 0.05 (5 of theirs)."""
    law = refit(GaussianMixture(components=components, covariance="full"), draws(THREE, 3000, seed(401)), start)
    assert len(law.parts[1]) == 3
    order = np.argsort(-law.shares)
    np.testing.assert_allclose(law.shares[order], THREE.shares, atol=0.05)
    np.testing.assert_allclose(centres(law)[order], centres(THREE), atol=0.25)


def test_weights_decide_what_is_fitted(seed):
    """Draws of an even mixture, weighted to another one: shares follow the weights, within 0.05."""
    even = Mixture(weights=np.full(3, 1 / 3), components=THREE.components)
    u = draws(even, 3000, seed(402))
    law = refit(GaussianMixture(components=3, covariance="full"), u, 1, np.exp(logpdf(THREE, u) - logpdf(even, u)))
    np.testing.assert_allclose(np.sort(law.shares), [0.2, 0.3, 0.5], atol=0.05)


@pytest.mark.parametrize("n", [200, 2000])
def test_bic_takes_one_component_for_one_normal_law(n, seed):
    for s in range(5):
        law = refit(GaussianMixture(covariance="diagonal"), draws(StandardNormal(dim=2), n, seed(410 + s)), s)
        assert len(law.parts[1]) == 1


def test_posterior_shares_are_those_of_bayes(seed):
    u = normals(50, 2, seed(403))
    joint = np.column_stack(
        [w * np.exp(oracles.log_density(c, u)) for w, c in zip(THREE.shares, THREE.components, strict=True)]
    )
    np.testing.assert_allclose(posterior(THREE, u)[0], joint / joint.sum(axis=1, keepdims=True), rtol=1e-9)


def test_t_law_is_fitted_with_its_degrees_of_freedom(seed):
    """20,000 draws of dof 4: within 0.5 (4 errors of the maximum-likelihood estimate, and what the steps leave)."""
    truth = StudentT(dof=4.0, loc=[1.0, -2.0], shape=[[1.0, 0.5], [0.5, 2.0]])
    u = draws(truth, 20_000, seed(404))
    law = refit(StudentTMixture(dof="estimated", covariance="full"), u)
    assert law.dof == pytest.approx(4.0, abs=0.5)
    np.testing.assert_allclose(law.loc, truth.loc, atol=0.06)
    np.testing.assert_allclose(law.shape, truth.shape, atol=0.12)


def test_t_fit_is_the_most_likely_one_by_direct_search(seed):
    """One coordinate: location and scale of SciPy's fit with the same degrees of freedom."""
    u = draws(StudentT(dof=5.0, loc=2.0, scale=1.5), 2000, seed(405))
    law = refit(StudentTMixture(dof=5.0), u)
    _, loc, scale = stats.t.fit(u[:, 0], fix_df=5.0)
    assert law.loc[0] == pytest.approx(loc, abs=2e-3)
    assert law.scale[0] == pytest.approx(scale, abs=2e-3)


def test_estimated_degrees_of_freedom_stay_in_their_range(seed):
    law = refit(StudentTMixture(dof="estimated"), draws(StandardNormal(dim=3), 5000, seed(406)))
    assert 20 < law.dof <= DOF_RANGE[1]


# --- few elites ---------------------------------------------------------------------------------------


def test_components_that_elites_do_not_bear_are_not_fitted(seed):
    """30 rows bear 6 parameters: two means of two coordinates and a share, no third."""
    family = GaussianMixture(components=3, covariance="mean_shift")
    law = refit(family, draws(THREE, 30, seed(407)))
    assert len(law.parts[1]) == 2
    assert family.shortfall(law) == "2 of 3 components fitted"
    assert family.shortfall(refit(family, draws(THREE, 3000, seed(407)))) == ""


@pytest.mark.parametrize(("n", "kind"), [(200, "full"), (60, "diagonal"), (30, "identity")])
def test_a_covariance_is_as_rich_as_the_elites_bear(n, kind, seed):
    """Four coordinates: 14 parameters take 70 elites, 8 take 40."""
    wide = Normal(mean=3.0, std=2.0, dim=4)
    for family in (GaussianMixture(components=1, covariance="full"), StudentTMixture(covariance="full")):
        law = refit(family, draws(wide, n, seed(408)))
        normal = law.normal if isinstance(law, StudentT) else law
        found = "full" if normal.correlated else "identity" if (normal.scales == 1).all() else "diagonal"
        assert found == kind
        lacking = "" if kind == "full" else "1 of 1 components without full covariance"
        assert family.shortfall(law) == lacking


def test_a_low_rank_component_without_elites_keeps_the_identity(seed):
    family = GaussianMixture(components=1)
    poor, rich = (refit(family, draws(Normal(mean=2.0, std=2.0, dim=4), n, seed(409))) for n in (22, 400))
    assert isinstance(poor, LowRankNormal)
    assert (poor.spread == 1).all()
    assert rich.spread[0] > 2
    assert family.shortfall(poor) == "1 of 1 components without low_rank covariance"


def test_a_dead_component_is_dropped_and_the_heaviest_never(seed):
    u = draws(Normal(mean=[3.0, 0.0]), 500, seed(411))
    far = Mixture(weights=[0.5, 0.5], components=(Normal(mean=[3.0, 0.0]), Normal(mean=[-30.0, 0.0])))
    family = GaussianMixture(components=2, covariance="full")
    law = family.fit(far, family.suffstats(far, u, np.ones(500)))
    assert isinstance(law, Normal)
    np.testing.assert_allclose(law.mean, u.mean(axis=0), rtol=1e-9)
    one = family.fit(far, family.suffstats(far, u[:1].copy(order="F"), np.ones(1)))
    np.testing.assert_allclose(one.mean, u[0])


# --- options ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GaussianMixture(components=0), "components: must be at least 1, got 0"),
        (lambda: GaussianMixture(components="atuo"), "components: unknown value 'atuo'; did you mean 'auto'?"),
        (lambda: GaussianMixture(floor=0.5), "floor: must be above 0.5 and at most 1, got 0.5"),
        (lambda: GaussianMixture(covariance="full", rank=2), "rank: goes with covariance: low_rank"),
        (lambda: StudentTMixture(dof=0.5), "dof: must be from 1 to 200, got 0.5"),
        (lambda: StudentTMixture(dof="estimate"), "dof: unknown value 'estimate'; did you mean 'estimated'?"),
        (lambda: StudentTMixture(floor=0.0), "floor: must be above 0 and at most 1, got 0"),
        (lambda: StudentTMixture(covariance="low_rank"), "covariance: unknown value 'low_rank'"),
    ],
)
def test_bad_options_are_refused(make, message):
    with pytest.raises(FieldError) as caught:
        make()
    assert message in str(caught.value)


def test_parameters_of_a_mixture_are_counted():
    assert GaussianMixture(components=3, covariance="full").n_parameters(2) == 3 * 5 + 2
    assert GaussianMixture(components=1).n_parameters(4) == Gaussian().n_parameters(4)
    assert StudentTMixture(components=2, dof="estimated").n_parameters(3) == 2 * 7 + 1


# --- smoothing ----------------------------------------------------------------------------------------


def moments(law):
    return oracles.centre_and_spread(law)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (StandardNormal(dim=2), Normal(mean=[1.0, 2.0], std=[2.0, 0.8])),
        (Normal(mean=[1.0, 2.0], std=[2.0, 0.8]), Normal(mean=[3.0, 1.0], cov=[[2.0, 0.3], [0.3, 1.0]])),
        (StandardNormal(dim=2), StudentT(dof=5.0, loc=[1.0, 1.0], shape=[[2.0, 0.3], [0.3, 1.0]])),
        (StudentT(dof=9.0, loc=[1.0, 1.0]), StudentT(dof=9.0, loc=[2.0, 1.0], scale=[2.0, 3.0])),
    ],
)
def test_smoothing_is_the_convex_combination_of_the_parameters(old, new):
    got = moments(smoothed(old, new, 0.7))
    for value, before, after in zip(got, moments(old), moments(new), strict=True):
        np.testing.assert_allclose(value, 0.3 * before + 0.7 * after, rtol=1e-12)


def test_low_rank_variances_are_smoothed_along_the_new_directions():
    old = LowRankNormal(mean=[1.0, 0.0, 0.0], directions=[[1.0], [0.0], [0.0]], variances=[0.6])
    new = LowRankNormal(mean=[0.0, 2.0, 0.0], directions=[[0.6], [0.8], [0.0]], variances=[2.0])
    got = smoothed(old, new, 0.5)
    np.testing.assert_allclose(got.mean, [0.5, 1.0, 0.0])
    along = new.basis.T @ (0.5 * moments(old)[1] + 0.5 * moments(new)[1]) @ new.basis
    np.testing.assert_allclose(got.spread, along[0])


def test_components_are_smoothed_towards_the_nearest():
    old = Mixture(weights=[0.2, 0.8], components=(Normal(mean=[-4.0]), Normal(mean=[4.0])))
    new = Mixture(weights=[0.5, 0.5], components=(Normal(mean=[6.0]), Normal(mean=[-6.0])))
    got = smoothed(old, new, 0.5)
    np.testing.assert_allclose(centres(got)[:, 0], [5.0, -5.0])
    np.testing.assert_allclose(got.shares, [0.65, 0.35])
