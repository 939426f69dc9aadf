"""The contract of a method, over every registered member, on a problem that all of them can solve."""

import pytest
from scipy import stats

from raresim import Probability, Surrogate
from raresim.record.verdict import Status
from tests.helpers import examples
from tests.problems import linear_normal, solve
from tests.statistical import assert_within_error

EXACT = stats.norm.sf(3.0)

SLOW = ("splitting-0", "subset_simulation-0", "subset_simulation-1", "directional_sampling-1")
"""Examples whose solution takes longest."""


@pytest.fixture(scope="module", params=examples("method"))
def method(request):
    return request.param


@pytest.fixture(scope="module")
def result(method, seed):
    """The run of a method that all of its tests look at."""
    case = linear_normal(3, 3.0)
    return solve(case, seed(81), method=method, relative_error=0.02, max_evaluations=5_000_000)


@pytest.mark.statistical(effect=0.25, false_fail=1e-7, false_pass=1e-3)
@pytest.mark.slow_cases(*SLOW)
def test_method_finds_the_exact_answer(result):
    """5 standard errors of 2 %: a bias of 12 % would show."""
    (estimate,) = result.estimates
    assert_within_error(estimate.value, EXACT, estimate.std_error)
    assert estimate.relative_error <= 0.02
    assert estimate.interval[0] < estimate.value < estimate.interval[1]
    assert estimate.verdict.status in (Status.TRUSTED, Status.CAUTION)


@pytest.mark.slow_cases(*SLOW)
def test_method_accounts_for_every_evaluation(method, result):
    spent = result.evaluations
    assert spent["total"] == sum(n for stage, n in spent.items() if stage != "total")
    assert spent["tune"] == sum(i.evaluations for i in result.iterations)
    assert spent["total"] <= 5_000_000
    assert not (method.unaudited and spent["audit"])


@pytest.mark.slow_cases(*SLOW)
def test_method_stays_within_its_predicted_cost(method, result):
    assert result.evaluations["tune"] <= method.cost(latent_dim=3, dim=3)


def test_method_describes_itself(method):
    assert all(isinstance(line, str) and line for line in method.describe())
    assert method.draws_in in ("standard", "physical")


@pytest.mark.statistical(effect=0.6, false_fail=1e-7, false_pass=1e-3)
def test_method_gives_two_sides_at_once_only_where_it_can(method, seed):
    """Crude and stated proposals serve any set of events; none may answer one that it did not look for."""
    case = linear_normal(3, 1.0)
    measures = [Probability(above=1.0), Probability(above=0.5)]
    few = {"max_evaluations": 200} if isinstance(method, Surrogate) else {}
    result = solve(case, seed(82), method=method, measures=measures, relative_error=0.05, **few)
    exact = [stats.norm.sf(1.0), stats.norm.sf(0.5)]
    assert_within_error([e.value for e in result.estimates], exact, [e.std_error for e in result.estimates])
