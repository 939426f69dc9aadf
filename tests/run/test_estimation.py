"""The estimate stage: budget, looks, and what the interval pays for them."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from raresim import (
    CrossEntropy,
    Crude,
    Importance,
    Mixture,
    Normal,
    Probability,
    StandardNormal,
    Stop,
    SubsetSimulation,
)
from raresim.engine.executors import Executor
from raresim.engine.problem import Problem
from raresim.engine.session import Session
from raresim.errors import FieldError
from raresim.estimators.guarantee import Goal, chance_of_more
from raresim.estimators.weighted_draws import WeightedDraws
from raresim.measures.intervals import LOOK_INFLATION, clopper_pearson, log_scale, widened
from raresim.methods.base import Tuned
from raresim.record.event import Event
from raresim.run import estimation
from raresim.run.estimation import HISTORY_STEP, estimate
from raresim.run.looks import GROWTH
from tests.problems import linear_normal, solve
from tests.statistical import assert_count, assert_within_error

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
def test_unsettled_weights_get_as_many_draws_once_more(narrow, seed, monkeypatch):
    """A proposal of half the standard deviation has weights without a variance; one of the right one has not."""
    law = Normal(mean=3.2 / math.sqrt(2), std=0.5 if narrow else 1.0, dim=2)
    tuned, stop = Tuned(law, variances=(4.0,)), Stop(relative_error=0.05)
    settled = estimate(session(seed(188)), tuned, stop)
    monkeypatch.setattr(estimation, "weights_settled", lambda _: True)
    once = estimate(session(seed(188)), tuned, stop)
    times = settled.summary.tail.n / once.summary.tail.n
    assert times >= 2.0 if narrow else times == 1.0
    assert settled.looks > once.looks if narrow else settled.looks == once.looks
    assert max(sample.summary.tail.relative_error(0) for sample in (once, settled)) <= 0.05


def test_draws_of_the_target_and_replicates_have_nothing_to_settle(seed):
    """The share of one of 25 hits, or of ten replicates, is larger than that of a weight may be."""
    sample = estimate(session(seed(188), 1.5), Tuned(None, variances=(15.0,)), Stop(relative_error=0.2))
    assert sample.looks == 1
    assert sample.summary.tail.max_share(0) > 0.02
    replicated = solve(linear_normal(2, 3.2), seed(189), method=SubsetSimulation(samples=500), relative_error=0.3)
    assert replicated.stopping["looks"] == 1
    assert replicated.estimates[0].diagnostics["max_share"] > 0.02


def test_unsettled_weights_do_not_exceed_the_budget(seed):
    law = Normal(mean=3.2 / math.sqrt(2), std=0.5, dim=2)
    tuned = Tuned(law, variances=(4.0,))
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


@pytest.mark.statistical(effect=0.5, false_fail=1e-7, false_pass=1e-3)
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
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)
    assert seen[0] == ("estimate", 0, FIRST_LOOK)
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


# --- weights that may have no variance ---------------------------------------------------------------


@pytest.mark.parametrize(("std", "named"), [(0.5, False), (1.0, True)])
def test_interval_of_weights_without_a_variance_is_not_called_by_its_confidence(std, named, seed):
    law = Normal(mean=3.2 / math.sqrt(2), std=std, dim=2)
    budget = {"relative_error": None, "max_evaluations": 20_000, "audit": "off"}  # which may know the error better
    result = solve(CASE, seed(197), method=Importance(proposal=law), **budget)
    (estimate_,) = result.estimates
    assert estimate_.holds_confidence is named
    assert (estimate_.diagnostics["khat"] < 0.5) is named
    assert estimate_.interval_kind.startswith("log scale" if named else "not at 95 %: log scale, t with 15 degrees")
    assert result.to_dict()["estimates"][0]["holds_confidence"] is named


@pytest.mark.parametrize(("khat", "dof"), [(0.29, None), (0.3, 15), (0.6, 15)])
def test_quantile_of_student_t_comes_with_the_tail_of_the_weights(khat, dof, seed, monkeypatch):
    monkeypatch.setattr("raresim.run.answer.khat", lambda *_: khat)
    result = solve(CASE, seed(198), method=Importance(proposal=SHIFTED), relative_error=None, max_evaluations=5_000)
    (estimate_,) = result.estimates
    assert estimate_.interval == pytest.approx(log_scale(estimate_.value, estimate_.relative_error, 0.95, dof))
    last = result.convergence[-1]
    assert (last.lower, last.upper) == pytest.approx(estimate_.interval)


# --- a number of hits --------------------------------------------------------------------------------


def test_hits_are_counted_in_the_order_of_rows_each_event_to_its_own(seed):
    """The rows of the run itself, kept in order, give the row of the last hit that counts."""
    goal = Goal.of(0.1, 0.95)
    run = session(seed(199), 1.0, 0.0)
    tuned = Tuned(None, goals=(goal, goal))
    sample = estimate(run, tuned, Stop(relative_error=0.1))
    arrivals, loss = sample.summary.arrivals, sample.summary.kept.loss
    assert loss.size == sample.summary.tail.n
    for k, threshold in enumerate((1.0, 0.0)):
        rows = np.flatnonzero(loss >= threshold) + 1
        assert arrivals.rows[k].tolist() == rows[: goal.hits].tolist()
        assert arrivals.last(k) == rows[goal.hits - 1]
    assert arrivals.last(1) < arrivals.last(0) <= sample.summary.tail.n
    assert sample.waits[0].value == pytest.approx(stats.norm.sf(1.0), rel=0.5)


@pytest.mark.slow
def test_rows_after_the_last_hit_are_few(seed):
    """Rows drawn over rows needed, mean of 40 runs: measured 0.4 %."""
    tuned = Tuned(None, goals=(Goal.of(0.05, 0.95),))
    extra = []
    for k in range(40):
        summary = estimate(session(seed(200) + k, 2.0), tuned, Stop(relative_error=0.05)).summary
        extra.append(summary.tail.n / summary.arrivals.last(0) - 1)
    assert np.mean(extra) < 0.02


@pytest.mark.statistical(effect=0.8, false_fail=1e-7, false_pass=0.1)
def test_guarantee_has_its_own_interval_whatever_the_number_of_looks(seed):
    result = solve(CASE, seed(201), method=Crude(guarantee="relative"), relative_error=0.1)
    (estimate_,) = result.estimates
    wanted = Goal.of(0.1, 0.95)
    assert result.stopping["looks"] > 1
    assert result.stopping["interval_inflation"] == 1.0
    assert estimate_.interval[1] / estimate_.value == pytest.approx(
        stats.gamma(wanted.hits).isf(0.025) / (wanted.hits - 1)
    )
    assert estimate_.relative_error == pytest.approx(1 / math.sqrt(wanted.hits - 2))
    assert estimate_.diagnostics["hits_wanted"] == wanted.hits
    assert estimate_.diagnostics["guaranteed_error"] == wanted.error
    assert estimate_.interval_kind == "exact (gamma law of 102 hits); off by more than 19.6 % in at most 5 % of runs"
    assert_within_error(estimate_.value, CASE.exact[0], estimate_.std_error)


def test_budget_that_ends_before_the_hits_leaves_no_guarantee(seed):
    result = solve(CASE, seed(202), method=Crude(guarantee="relative"), relative_error=0.1, max_evaluations=20_000)
    (estimate_,) = result.estimates
    hits = estimate_.diagnostics["hits"]
    assert result.evaluations["total"] == 20_000
    assert estimate_.value == pytest.approx(hits / 20_000)
    assert estimate_.interval == clopper_pearson(hits, 20_000, 0.95)
    assert estimate_.diagnostics["guaranteed_error"] is None
    assert estimate_.interval_kind.endswith(f"; no guarantee: the budget ended after {hits} of 102 hits")


@pytest.mark.slow
@pytest.mark.statistical(effect=2.0, false_fail=1e-7, false_pass=0.1)
def test_guaranteed_error_holds_in_runs(seed):
    """120 runs of the whole program: how many are off by more is binomial, with the chance that the law says."""
    goal, off = Goal.of(0.15, 0.8), 0
    for k in range(120):
        measure = Probability(above=1.0, confidence=0.8)
        options = {"method": Crude(guarantee="relative"), "measures": [measure], "relative_error": 0.15}
        off += abs(solve(CASE, seed(203) + k, **options).estimates[0].value / stats.norm.sf(1.0) - 1) > goal.error
    assert_count(off, 120, chance_of_more(goal.hits, goal.error))


# --- bets --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "bound"), [(Crude(), 1), (Importance(proposal=SHIFTED, defensive=0.1), 10)])
def test_interval_of_bets_is_not_widened_and_says_its_bound(method, bound, seed):
    measure = Probability(above=2.0, interval="betting")
    result = solve(CASE, seed(204), method=method, measures=[measure], relative_error=0.01)
    (estimate_,) = result.estimates
    low, high = estimate_.interval
    assert low < stats.norm.sf(2.0) < high
    assert estimate_.interval_kind.startswith(f"betting: holds at every look, weights of at most {bound}")
    assert estimate_.holds_confidence


def test_interval_of_bets_beside_a_large_bound_says_that_it_is_wide(seed):
    measure = Probability(above=4.0, interval="betting")
    (estimate_,) = solve(CASE, seed(205), measures=[measure], relative_error=0.05).estimates
    assert estimate_.interval_kind.endswith(
        "; wide: the bound divided by the estimate is above a hundredth of the draws"
    )
    assert estimate_.interval[1] > 10 * estimate_.value
