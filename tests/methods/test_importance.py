"""Importance sampling from a stated proposal, in either space."""

import math

import numpy as np
import pytest
from scipy import stats

from raresim import Importance, Linear, LowRankNormal, Mixture, Normal, Probability, StandardNormal, StudentT
from raresim.errors import FieldError
from raresim.record.verdict import Status
from tests.problems import COV, MEAN, WEIGHTS, Case, linear_normal, solve, student, two_sided
from tests.statistical import assert_within_error

CORRELATED = Case(
    "c", Normal(mean=MEAN, cov=COV), Linear(weights=WEIGHTS), Probability(above="3 sigma"), [stats.norm.sf(3)]
)
HEAVY = StudentT(dof=3.0, loc=MEAN, shape=np.array(COV) * 4)
SHIFT = np.array(COV) @ WEIGHTS * 3 / np.sqrt(np.array(WEIGHTS) @ COV @ WEIGHTS)

# A stated proposal that suits the case: normal, low rank, Student t, mixture; standard and physical space.
STATED = [
    (linear_normal(3, 3.0), Importance(proposal=Normal(mean=3 / math.sqrt(3), dim=3))),
    (linear_normal(3, 3.0), Importance(proposal=Normal(mean=3 / math.sqrt(3), std=1.3, dim=3), defensive=0.3)),
    (linear_normal(3, 3.0), Importance(proposal=StudentT(dof=5.0, loc=1.7, dim=3))),
    (linear_normal(2, 3.0), Importance(proposal=LowRankNormal(mean=[2, 2], directions=[[0.6], [0.8]], variances=1.5))),
    (CORRELATED, Importance(proposal=Normal(mean=MEAN + SHIFT, cov=COV), space="physical")),
    (CORRELATED, Importance(proposal=HEAVY, space="physical", defensive=0.1)),
    (student(3.0, 1e-3), Importance(proposal=HEAVY, space="physical")),
    (student(3.0, 1e-3), Importance(proposal=Normal(mean=[-2.0, 1.0, 0.0, 0.0], std=[1, 1.5, 1.5, 1.5]))),
]


@pytest.mark.parametrize(("case", "method"), STATED, ids=[f"{c.name}-{m.space}-{k}" for k, (c, m) in enumerate(STATED)])
@pytest.mark.statistical(effect=0.25, false_fail=1e-7, false_pass=1e-3)
def test_answer_is_exact_in_either_space(case, method, seed):
    """5 standard errors of 2 %: a Jacobian or a normalising constant that is forgotten would show."""
    (estimate,) = solve(case, seed(231), method=method, relative_error=0.02).estimates
    assert_within_error(estimate.value, case.exact[0], estimate.std_error)


def test_proposal_equal_to_the_target_is_crude_with_unit_weights(seed):
    result = solve(linear_normal(2, 2.0), seed(232), method=Importance(proposal=StandardNormal(dim=2)))
    assert result.estimates[0].diagnostics["ess"] == pytest.approx(result.estimates[0].diagnostics["hits"])
    assert result.diagnostics["kl_proposal_target"] == 0.0


@pytest.mark.parametrize(("audit", "status"), [("off", Status.CAUTION), ("full", Status.TRUSTED)])
def test_stated_proposal_is_at_most_caution_without_an_audit(audit, status, seed):
    result = solve(linear_normal(3, 3.0), seed(233), method=STATED[0][1], relative_error=0.02, audit=audit)
    assert result.verdict.status is status
    assert result.search["kind"] == "stated"


def test_optimal_proposal_of_a_half_line_has_the_known_divergence(seed):
    """Shift by 3: KL(q || p) = 9 / 2 in closed form; KL(optimal || q) from the weights, 5 % of its 0.8 nats."""
    method = Importance(proposal=Normal(mean=3.0))
    result = solve(linear_normal(1, 3.0), seed(234), method=method, relative_error=0.01)
    tail = stats.truncnorm(3, np.inf)
    exact = -math.log(stats.norm.sf(3.0)) - tail.expect(lambda u: 3 * u - 4.5)
    assert result.diagnostics["kl_proposal_target"] == pytest.approx(4.5)
    assert result.diagnostics["kl_optimal_proposal"] == pytest.approx(exact, rel=0.05)
    assert result.diagnostics["kl_target_optimal"] == pytest.approx(-math.log(stats.norm.sf(3.0)), rel=0.01)


@pytest.mark.parametrize(
    ("space", "dim", "wanted"), [("standard", 3, 4), ("physical", 4, 3)], ids=["standard", "physical"]
)
def test_dimension_of_the_proposal_is_that_of_its_space(space, dim, wanted, seed):
    """A Student t law of three factors takes four standard normals."""
    with pytest.raises(FieldError) as caught:
        solve(student(3.0, 1e-3), seed(235), method=Importance(proposal=Normal(dim=dim), space=space))
    assert str(caught.value) == f"proposal: must have {wanted} coordinates ({space} space), got {dim}"


@pytest.mark.slow
@pytest.mark.parametrize("threshold", [-3.0, -1.0])
def test_interval_of_a_weighted_estimate_is_one_of_probabilities(threshold, seed):
    """Likely events and a proposal that does not suit them: the estimate may exceed one, the interval may not."""
    method = Importance(proposal=Normal(mean=1.0, std=1.5))
    for r in range(120):
        case, stop = linear_normal(1, threshold), {"relative_error": None, "max_evaluations": 100}
        low, high = solve(case, seed(2000 + r), method=method, **stop).estimates[0].interval
        assert 0.0 < low <= high <= 1.0


def test_weights_without_a_variance_are_not_trusted(seed):
    """A proposal of standard deviation 0.5 around the far tail: k-hat must see it."""
    method = Importance(proposal=Normal(mean=3.5, std=0.3))
    result = solve(linear_normal(1, 2.0), seed(236), method=method, relative_error=None, max_evaluations=200_000)
    assert result.estimates[0].diagnostics["khat"] > 0.5
    assert result.verdict.status is Status.UNTRUSTED


@pytest.mark.statistical(effect=0.12, false_fail=1e-7, false_pass=1e-3)
def test_mixture_proposal_sees_both_tails(seed):
    """Two thresholds on either side cannot be one loss; two tails of ``|x|`` can."""
    both = Mixture(weights=[0.5, 0.5], components=(Normal(mean=4.0), Normal(mean=-4.0)))
    case = two_sided(1, 4.0)
    (estimate,) = solve(case, seed(237), method=Importance(proposal=both)).estimates
    assert_within_error(estimate.value, case.exact[0], estimate.std_error)
