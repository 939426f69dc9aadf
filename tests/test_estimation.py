"""The estimate stage: budget, looks, and what the interval pays for them."""

import itertools
import math

import pytest
from scipy import stats

from raresim import CrossEntropy, Crude, Importance, Mixture, Normal, StandardNormal, Stop
from raresim.errors import FieldError
from raresim.estimation import GROWTH, HISTORY_STEP, estimate
from raresim.estimators.weighted_draws import WeightedDraws
from raresim.executors import Executor
from raresim.measures.intervals import LOOK_INFLATION, clopper_pearson, log_scale, widened
from raresim.methods.base import Session, Tuned
from raresim.problem import Event, Problem
from tests.helpers import assert_within_error
from tests.problems import linear_normal, solve

CASE = linear_normal(2, 3.0)
SHIFTED = Normal(mean=3.0 / math.sqrt(2), dim=2)
METHODS = [Crude(), CrossEntropy(), Importance(proposal=SHIFTED)]

FIRST_LOOK = WeightedDraws.first_look


def session(seed, *thresholds, report=lambda *_: None, **options):
    problem = Problem(CASE.inputs, CASE.loss.bind(CASE.inputs))
    events = [Event(t) for t in thresholds or (3.0,)]
    return Session(problem, events, seed, Executor(), options.get("max_evaluations", 10**7), report)


# --- budget ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.kind)
@pytest.mark.parametrize("budget", [20_011, 123_457])
def test_without_an_asked_error_the_budget_is_spent_exactly(method, budget, seed):
    result = solve(CASE, seed(181), method=method, relative_error=None, max_evaluations=budget, audit="off")
    assert result.evaluations["total"] == budget
    assert result.stopping["looks"] == 1


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.kind)
def test_an_error_that_cannot_be_reached_spends_the_budget_exactly(method, seed):
    result = solve(CASE, seed(182), method=method, relative_error=1e-5, max_evaluations=70_001, audit="off")
    assert result.evaluations["total"] == 70_001


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.kind)
def test_an_error_that_can_be_reached_is_reached_within_the_budget(method, seed):
    result = solve(CASE, seed(183), method=method, relative_error=0.05, max_evaluations=2_000_000)
    assert result.estimates[0].relative_error <= 0.05
    assert result.evaluations["total"] < 2_000_000


def test_every_event_gets_the_asked_error(seed):
    tuned = Tuned(proposal=Mixture.defensive(SHIFTED, StandardNormal(dim=2), 0.05))
    sample = estimate(session(seed(184), 3.0, 2.0, 3.5), tuned, Stop(relative_error=0.02))
    assert max(sample.summary.tail.relative_error(k) for k in range(3)) <= 0.02


@pytest.mark.parametrize("spent", [1000, 1200])
def test_nothing_left_for_the_estimate_is_refused(spent, seed):
    with pytest.raises(FieldError) as caught:
        estimate(session(seed(185)), Tuned(None, evaluations=spent - 300), Stop(max_evaluations=1000), explored=300)
    assert str(caught.value) == (
        f"max_evaluations: must leave draws for the estimate: {spent:,} of 1,000 were spent before it"
    )


def test_one_draw_left_is_used(seed):
    sample = estimate(session(seed(186)), Tuned(None, evaluations=999), Stop(max_evaluations=1000))
    assert sample.summary.tail.n == 1


# --- weights that are not settled --------------------------------------------------------------------


@pytest.mark.parametrize("narrow", [True, False])
def test_unsettled_weights_get_as_many_draws_once_more_where_the_method_asks_for_it(narrow, seed):
    """A proposal of half the standard deviation has weights without a variance; one of the right one has not."""
    law = Normal(mean=3.2 / math.sqrt(2), std=0.5 if narrow else 1.0, dim=2)
    samples = [
        estimate(session(seed(188)), Tuned(law, variances=(4.0,), settles=settles), Stop(relative_error=0.05))
        for settles in (False, True)
    ]
    once, settled = (sample.summary.tail.n for sample in samples)
    assert settled == (2 if narrow else 1) * once
    assert [sample.looks for sample in samples] == [1, 2 if narrow else 1]


def test_unsettled_weights_do_not_exceed_the_budget(seed):
    law = Normal(mean=3.2 / math.sqrt(2), std=0.5, dim=2)
    tuned = Tuned(law, variances=(4.0,), settles=True)
    sample = estimate(session(seed(188)), tuned, Stop(relative_error=0.05, max_evaluations=2_000))
    assert sample.summary.tail.n == 2_000


# --- looks -------------------------------------------------------------------------------------------


def test_a_known_variance_plans_one_look(seed):
    """2,500 draws for 2 % at a relative variance of one, and a tenth more so that a second look is rare."""
    sample = estimate(session(seed(187), 0.0), Tuned(None, variances=(1.0,)), Stop(relative_error=0.02))
    assert sample.summary.tail.n == 2750
    assert (sample.looks, sample.planned) == (1, True)


def test_an_unknown_variance_starts_with_a_first_look(seed):
    sample = estimate(session(seed(188), 0.0), Tuned(None), Stop(relative_error=0.5))
    assert (sample.summary.tail.n, sample.looks, sample.planned) == (FIRST_LOOK, 1, False)


def test_a_look_that_falls_short_is_continued_not_begun_again(seed):
    """Draws of further looks are added: no block is drawn twice, and growth is bounded."""
    seen = []
    report = lambda stage, done, total, note: seen.append((stage, done, total))  # noqa: E731
    run = session(seed(189), report=report)
    sample = estimate(run, Tuned(None), Stop(relative_error=0.05))
    planned = sorted({total for _, _, total in seen})
    assert sample.looks == len(planned) == len(run.log) > 1
    assert len({entry["stage"] for entry in run.log}) == 1
    assert planned[0] == FIRST_LOOK
    assert all(b <= GROWTH * a for a, b in itertools.pairwise(planned))
    assert [done for _, done, _ in seen] == sorted({done for _, done, _ in seen})
    assert seen[-1] == ("estimate", sample.summary.tail.n, sample.summary.tail.n)
    tail = sample.summary.tail
    value = math.exp(tail.log_probability(0))
    assert_within_error(value, CASE.exact[0], value * tail.relative_error(0))


def test_a_second_look_keeps_the_rows_of_the_first(seed):
    first = estimate(session(seed(190), 0.0), Tuned(None), Stop(relative_error=0.9, max_evaluations=FIRST_LOOK))
    second = estimate(session(seed(190), 3.0), Tuned(None), Stop(relative_error=0.3, max_evaluations=FIRST_LOOK + 5))
    assert second.summary.kept.loss[:FIRST_LOOK].tolist() == first.summary.kept.loss.tolist()


def test_history_grows_by_a_tenth_and_ends_with_the_sample(seed):
    sample = estimate(session(seed(191)), Tuned(None), Stop(relative_error=0.05))
    sizes = [look.tail.n for look in sample.history]
    assert sizes[-1] == sample.summary.tail.n
    assert all(b >= HISTORY_STEP * a for a, b in itertools.pairwise(sizes[:-1]))
    assert sizes == sorted(set(sizes))


# --- what an interval pays for looking ---------------------------------------------------------------

INFLATION = [
    ({"relative_error": None, "max_evaluations": 50_000}, 1.0, "the size was fixed beforehand"),
    ({"relative_error": 0.5}, LOOK_INFLATION, "the first look decided"),
    ({"relative_error": 0.1}, LOOK_INFLATION, "a later look decided"),
]


@pytest.mark.parametrize(("stop", "factor", "why"), INFLATION, ids=[why for *_, why in INFLATION])
def test_the_interval_is_widened_when_the_sample_chose_its_size_and_it_is_recorded(stop, factor, why, seed):
    result = solve(CASE, seed(192), method=Crude(), **stop)
    (estimate_,) = result.estimates
    exact = clopper_pearson(estimate_.diagnostics["hits"], result.evaluations["estimate"], 0.95)
    assert result.stopping["interval_inflation"] == factor
    assert estimate_.interval == widened(exact, estimate_.value, factor)
    assert estimate_.interval_kind == "exact (Clopper-Pearson)"


def test_interval_of_replicates_has_one_degree_of_freedom_less_than_rows(seed):
    """16 nets, exact: one degree of freedom more would make the interval 0.5 % shorter, the normal quantile 8 %."""
    method = Importance(proposal=SHIFTED, draws="sobol")
    result = solve(CASE, seed(196), method=method, relative_error=None, max_evaluations=1024, audit="off")
    (estimate_,) = result.estimates
    half = stats.t.isf(0.025, 15) * estimate_.relative_error
    assert estimate_.diagnostics["rows"] == 16
    assert estimate_.interval == pytest.approx((estimate_.value * math.exp(-half), estimate_.value * math.exp(half)))
    assert estimate_.interval_kind == "log scale, t with 15 degrees of freedom"


def test_a_size_planned_from_tuning_draws_costs_nothing(seed):
    result = solve(CASE, seed(193), relative_error=0.02)
    (estimate_,) = result.estimates
    assert result.stopping["planned"] is True
    assert result.stopping["looks"] == 1
    assert estimate_.interval == pytest.approx(log_scale(estimate_.value, estimate_.relative_error, 0.95))


def test_a_plan_that_fell_short_is_widened(seed):
    sample = estimate(session(seed(194)), Tuned(SHIFTED, variances=(1e-9,)), Stop(relative_error=0.02))
    assert sample.planned
    assert sample.looks > 1


def test_an_event_without_a_hit_has_a_bound(seed):
    case = linear_normal(2, 8.0)
    result = solve(case, seed(195), method=Crude(), relative_error=None, max_evaluations=1000)
    (estimate_,) = result.estimates
    assert (estimate_.value, estimate_.interval_kind) == (0.0, "bound")
    assert estimate_.interval == (0.0, pytest.approx(3.0 / 1000, rel=0.02))
    assert estimate_.std_error == math.inf
