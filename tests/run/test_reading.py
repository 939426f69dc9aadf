"""From sums to an estimate: every number written down again from the weights, on samples made by hand."""

import math

import numpy as np
import pytest
from scipy import stats

from raresim.accumulators.bets import Bets
from raresim.accumulators.summary import Summary
from raresim.accumulators.tail import TailMoments
from raresim.diagnostics.psis import khat
from raresim.diagnostics.verdict import judge
from raresim.estimators.guarantee import Goal, Wait
from raresim.measures.base import Question
from raresim.measures.intervals import clopper_pearson, log_scale, weighted_upper, widened, zero_hits_bound
from raresim.record.event import Event
from raresim.record.records import Reference
from raresim.run.answer import inflation
from raresim.run.audit import Audit
from raresim.run.probabilities import Lost
from raresim.run.reading import convergence, estimates
from raresim.run.sample import Look, Sample
from tests.diagnostics.test_verdict import NONE, REPLICATES, TUNED, UNAUDITED

N = 2000
W = 1e-3 * np.linspace(0.5, 1.5, 400)
HEAVY = 1e-3 * (np.arange(1, 401) / 400.0) ** -0.45
WILD = 1e-3 * (np.arange(1, 401) / 400.0) ** -1.2
CHECKED = TUNED | {"audit": UNAUDITED}
RUNS = REPLICATES | {"weighted": True}
QUESTION = Question(Event(3.0), "3 of something", 0.9, Reference(value=2e-4, source="a table"))


def summary(w, n=N, **more):
    return Summary.of_rows(n, [np.log(w)], n, **more)


def sample(w, n=N, upper=None, **options):
    given = {"history": (), "looks": 1, "planned": True} | options
    found = None if upper is None else [np.log(upper)]
    return Sample(summary(w, n, upper=found), **given)


def read(taken, search=CHECKED, question=QUESTION, total=5000, **more):
    (found,) = estimates([question], taken, search, total, **more)
    return found


def moments(w, n=N):
    """Mean and relative standard error of ``n`` rows of which some have the weights ``w``."""
    x = np.concatenate([w, np.zeros(n - len(w))])
    return x.mean(), x.std(ddof=1) / x.mean() / math.sqrt(n)


# --- the estimate ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("note", "direction", "share", "said"),
    [
        ("", "above", 0.49, ""),
        ("", "above", 0.51, "it lies below the median of the loss, so the event is more likely than not: is the sign "),
        ("", "below", 0.51, "it lies above the median of the loss, so the event is more likely than not: is the sign "),
        ("1 sigma: so", "above", 0.49, "1 sigma: so"),
        ("1 sigma: so", "above", 0.51, "1 sigma: so; it lies below the median of the loss, so the event"),
    ],
)
def test_18_14_a_threshold_below_the_median_is_said(note, direction, share, said):
    question = Question(Event(3.0, direction), note, 0.9, None)
    got = read(sample(np.ones(round(share * N))), search=NONE, question=question).threshold_note
    assert got.startswith(said) if share > 0.5 else got == said


def test_every_number_is_that_of_the_weights():
    got = read(sample(W))
    value, error = moments(W)
    kl = (W * np.log(W)).sum() / W.sum() - math.log(value)
    d = got.diagnostics
    assert (got.kind, got.label, got.direction) == ("probability", "P(loss >= 3)", "above")
    assert (got.threshold, got.threshold_note, got.reference) == (3.0, "3 of something", QUESTION.reference)
    assert (got.confidence, got.holds_confidence) == (0.9, True)
    assert got.value == pytest.approx(value)
    assert got.log_value == pytest.approx(math.log(value))
    assert (got.relative_error, got.std_error) == pytest.approx((error, value * error))
    assert got.interval == pytest.approx(log_scale(value, error, 0.9))
    assert got.interval_kind == "log scale"
    assert (d["rows"], d["hits"], d["weights"]) == (N, 400, 400)
    assert d["ess"] == pytest.approx(W.sum() ** 2 / (W**2).sum())
    assert d["max_share"] == pytest.approx(W.max() / W.sum())
    assert d["max_to_mean"] == pytest.approx(W.max() / W.mean())
    assert d["khat"] == pytest.approx(khat(np.log(W), 400))
    assert d["kl_optimal_proposal"] == pytest.approx(kl)
    assert d["self_information_nats"] == pytest.approx(-math.log(value))
    assert d["self_information_bits"] == pytest.approx(-math.log2(value))
    assert d["draws_per_effective_hit"] == pytest.approx(N / d["ess"])
    assert d["speedup_over_crude"] == pytest.approx((1 - value) / value / error**2 / 5000)
    assert got.information.proposal_nats == pytest.approx(kl)
    assert got.verdict == judge(d, got.relative_error, CHECKED)
    assert {"hits_wanted", "failed_searching"}.isdisjoint(d)


def test_the_error_of_the_numerics_adds_to_that_of_the_rows():
    value, error = moments(W)
    got = read(sample(W, resolution=0.3))
    assert got.relative_error == pytest.approx(math.hypot(error, 0.3))
    assert got.interval == pytest.approx(log_scale(value, math.hypot(error, 0.3), 0.9))


def test_counts_have_an_exact_interval_and_no_tail():
    got = read(sample(np.ones(400)), NONE)
    assert got.interval == clopper_pearson(400, N, 0.9)
    assert got.interval_kind == "exact (Clopper-Pearson)"
    assert got.holds_confidence


@pytest.mark.parametrize(("search", "high", "missing"), [(NONE, zero_hits_bound(N, 0.9), True), (CHECKED, 1.0, False)])
def test_without_a_hit_there_is_a_bound(search, high, missing):
    """Of draws of the target; the proposal may have missed everything."""
    got = read(sample(np.empty(0)), search)
    assert (got.value, got.std_error, got.relative_error) == (0.0, math.inf, math.inf)
    assert got.interval == (0.0, pytest.approx(high))
    assert (got.interval_kind, got.holds_confidence) == ("bound", True)
    assert got.diagnostics["draws_per_effective_hit"] == math.inf
    assert got.diagnostics["speedup_over_crude"] is None
    assert got.verdict == judge(got.diagnostics, None, search)


def test_a_single_row_bounds_nothing_and_has_no_speedup():
    got = read(sample(np.array([0.5]), n=1))
    assert got.interval == (0.0, 1.0)
    assert got.diagnostics["speedup_over_crude"] is None


def test_weights_of_more_than_everything_have_a_probability_for_their_interval_and_no_speedup():
    got = read(sample(np.array([2.0, 6.0] * 50), n=100))
    assert (got.value, got.log_value) == (1.0, 0.0)  # their mean is 4
    assert got.interval == (1.0, 1.0)
    assert read(sample(np.array([1.0, 3.0] * 50), n=100)).diagnostics["speedup_over_crude"] is None


def test_an_event_that_always_happens_has_no_speedup():
    assert read(sample(np.ones(N)), NONE).diagnostics["speedup_over_crude"] is None


@pytest.mark.parametrize(("log_speedup", "infinite"), [(699.9, False), (700.1, True), (800.0, True)])
def test_a_speedup_beyond_the_doubles_is_infinite(log_speedup, infinite):
    """Beyond exp(700)."""
    value, error = moments(W)
    logs = np.log(W) - math.log(value) - 2 * math.log(error) - math.log(5000) - log_speedup
    got = read(Sample(Summary.of_rows(N, [logs], N), (), 1, True))
    assert (got.diagnostics["speedup_over_crude"] == math.inf) is infinite
    assert got.interval[1] > 0.0


@pytest.mark.parametrize(
    ("w", "dof", "kind", "holds"),
    [
        (W, None, "log scale", True),
        (HEAVY, 15, "log scale, t with 15 degrees of freedom", True),
        (
            WILD,
            15,
            "not at 90 %: log scale, t with 15 degrees of freedom, from weights whose variance may be infinite",
            False,
        ),
        (
            np.array([1.0, 1.0, 40.0]),
            15,
            "not at 90 %: log scale, t with 15 degrees of freedom, from weights too few to see their tail",
            False,
        ),
    ],
    ids=["even", "heavy", "wild", "few"],
)
def test_the_quantile_and_the_name_of_an_interval_follow_the_tail(w, dof, kind, holds):
    got = read(sample(w))
    low, high = log_scale(*moments(w), 0.9, dof)
    assert got.interval == pytest.approx((min(1.0, low), min(1.0, high)))
    assert (got.interval_kind, got.holds_confidence) == (kind, holds)


@pytest.mark.parametrize(("n", "heavy", "dof"), [(8, False, 7), (8, True, 7), (40, False, 39), (40, True, 15)])
def test_replicates_have_a_degree_of_freedom_less_than_rows_and_heavy_single_weights_at_most_fifteen(n, heavy, dof):
    rows = np.linspace(0.9, 1.1, n) * 1e-4
    singles = WILD if heavy else W
    drawn = Summary.of_rows(N, [np.log(singles)], N)
    single = Summary(summary(rows, n).tail, drawn.top, drawn.kept, N, drawn.tail)
    got = read(Sample(single, (), 1, True, unit="replicate"), RUNS)
    assert got.interval == pytest.approx(log_scale(*moments(rows, n), 0.9, dof))
    assert got.holds_confidence is not heavy
    assert got.diagnostics["weights"] == 400
    assert got.diagnostics["khat"] == pytest.approx(khat(np.log(singles), 400))
    assert got.diagnostics["kl_optimal_proposal"] == pytest.approx(drawn.tail.kl(0))


def test_replicates_without_single_weights_have_no_tail_and_hold():
    rows = np.linspace(0.2, 3.0, 40) * 1e-4
    got = read(sample(rows, 40, unit="replicate"), RUNS)
    assert (got.diagnostics["khat"], got.holds_confidence) == (None, True)
    assert got.interval == pytest.approx(log_scale(*moments(rows, 40), 0.9, 39))
    assert khat(np.log(rows), 40) is not None


@pytest.mark.parametrize("times", [0.3, 1.0, 4.0])
def test_few_rows_that_scatter_little_are_believed_as_far_as_what_was_known_before(times):
    """The known variance counts as ten rows beside thirteen of the sample; it never lowers the error."""
    rows = np.linspace(0.7, 1.3, 14) * 1e-4
    value, seen = moments(rows, 14)
    known = times * 14 * seen**2
    got = read(sample(rows, 14, unit="replicate", known=(known,)), RUNS)
    pooled = math.sqrt((13 * 14 * seen**2 + 10 * known) / 23 / 14)
    assert got.relative_error == pytest.approx(max(seen, pooled))
    assert got.interval == pytest.approx(log_scale(value, max(seen, pooled), 0.9, 13))
    one = read(sample(rows[:1], 1, unit="replicate", known=(known,)), RUNS)
    assert one.relative_error == math.inf


def test_the_upper_end_is_a_probability_and_positive():
    assert read(sample(np.array([1.0, 1.0, 40.0]), n=5)).interval[1] == 1.0
    tiny = Sample(Summary.of_rows(N, [np.log(W) - 800.0], N), (), 1, True)
    assert read(tiny).interval == (0.0, math.ulp(0.0))


# --- looks, waits and bets ---------------------------------------------------------------------------


@pytest.mark.parametrize(("looks", "planned", "factor"), [(1, True, 1.0), (2, True, 1.05), (1, False, 1.05)])
def test_a_size_that_the_sample_chose_widens_its_interval(looks, planned, factor):
    taken = sample(W, looks=looks, planned=planned)
    value, error = moments(W)
    assert inflation(taken) == factor
    assert read(taken).interval == pytest.approx(log_scale(value, factor * error, 0.9))
    counted = sample(np.ones(400), looks=looks, planned=planned)
    assert read(counted, NONE).interval == pytest.approx(widened(clopper_pearson(400, N, 0.9), 0.2, factor))
    none = sample(np.empty(0), looks=looks, planned=planned)
    assert read(none, NONE).interval[1] == pytest.approx(factor * zero_hits_bound(N, 0.9))


def test_a_wait_that_ended_gives_the_estimate_and_its_interval():
    goal = Goal(102, 0.2, 0.95)
    got = read(sample(np.ones(102), looks=3, planned=False, waits=(Wait(goal, 505.0),)), NONE)
    assert (got.value, got.log_value) == pytest.approx((0.2, math.log(0.2)))
    assert (got.relative_error, got.std_error) == pytest.approx((0.1, 0.02))
    assert got.interval == pytest.approx(stats.gamma(102).ppf([0.025, 0.975]) / 505.0)
    assert got.interval_kind == "exact (gamma law of 102 hits); off by more than 20 % in at most 5 % of runs"
    assert (got.diagnostics["hits_wanted"], got.diagnostics["guaranteed_error"]) == (102, 0.2)
    assert got.diagnostics["kl_optimal_proposal"] == pytest.approx(-math.log(0.2))
    assert got.diagnostics["speedup_over_crude"] == pytest.approx(4.0 / 0.1**2 / 5000)


def test_a_wait_that_did_not_end_leaves_the_draws():
    goal = Goal(1020, 0.2, 0.95)
    got = read(sample(np.ones(400), looks=3, planned=False, waits=(Wait(goal, None),)), NONE)
    assert got.value == pytest.approx(0.2)
    assert got.interval == clopper_pearson(400, N, 0.9)
    assert got.interval_kind == ("exact (Clopper-Pearson); no guarantee: the budget ended after 400 of 1,020 hits")
    assert (got.diagnostics["hits_wanted"], got.diagnostics["guaranteed_error"]) == (1020, None)


@pytest.mark.parametrize(("bound", "wide"), [(4.0, False), (4.01, True)])
def test_bets_make_the_interval_where_they_are_asked_for(bound, wide):
    """A hundredth of 2,000 draws is twenty bounds: 4 / 0.2."""
    logs = [np.zeros(400)]
    bets = Bets.of_hits(N, logs, math.log(bound))
    taken = sample(np.ones(400))
    taken = Sample(Summary(taken.summary.tail, taken.summary.top, taken.summary.kept, N, bets=bets), (), 2, False)
    asked = Question(Event(3.0), "", 0.9, None, "betting")
    got = read(taken, CHECKED, asked)
    assert got.interval == bets.interval(0, 0.9)
    assert got.interval_kind == f"betting: holds at every look, weights of at most {bound:.3g}" + (
        "; wide: the bound divided by the estimate is above a hundredth of the draws" if wide else ""
    )
    assert got.holds_confidence
    assert read(taken, CHECKED).interval != got.interval


def test_bets_without_a_hit_are_wide():
    bets = Bets.of_hits(N, [np.empty(0)], 0.0)
    none = summary(np.empty(0))
    taken = Sample(Summary(none.tail, none.top, none.kept, N, bets=bets), (), 1, True)
    got = read(taken, CHECKED, Question(Event(3.0), "", 0.9, None, "betting"))
    assert got.interval == bets.interval(0, 0.9)
    assert "; wide: the bound divided by the estimate" in got.interval_kind


def test_bets_of_weights_without_a_variance_hold():
    logs = [np.log(WILD)]
    bets = Bets.of_hits(N, logs, 5.0)
    drawn = summary(WILD)
    taken = Sample(Summary(drawn.tail, drawn.top, drawn.kept, N, bets=bets), (), 1, True)
    assert read(taken, CHECKED, Question(Event(3.0), "", 0.9, None, "betting")).holds_confidence


# --- rows without a loss -----------------------------------------------------------------------------

ALL = np.concatenate([W, [2e-3] * 5])


def test_failed_rows_count_for_the_upper_end_alone():
    got = read(sample(W, upper=ALL), lost=Lost(7, 5))
    low, high = log_scale(*moments(W), 0.9)
    value, error = moments(ALL)
    few = value * weighted_upper((ALL / 2e-3).sum(), (ALL**2 / 4e-6).sum(), 0.9) / (ALL / 2e-3).sum()
    end = max(log_scale(value, error, 0.9)[1], few)
    assert few > log_scale(value, error, 0.9)[1]
    assert got.interval == pytest.approx((low, end))
    assert got.interval_kind == "log scale, failed rows counted on both sides"
    assert (got.diagnostics["failed_searching"], got.diagnostics["failed_estimating"]) == (7, 5)
    assert got.diagnostics["widening"] == pytest.approx((end - high) / (high - low))


def test_failed_rows_of_a_sample_that_chose_its_size_pay_for_it():
    got = read(sample(W, upper=ALL, looks=2), lost=Lost(0, 5))
    value, _ = moments(ALL)
    few = value * weighted_upper((ALL / 2e-3).sum(), (ALL**2 / 4e-6).sum(), 0.9) / (ALL / 2e-3).sum()
    assert got.interval[1] == pytest.approx(value * (few / value) ** 1.05)


def test_failed_rows_of_counts_have_an_exact_upper_end():
    got = read(sample(np.ones(400), upper=np.ones(410)), NONE, lost=Lost(0, 10))
    assert got.interval == pytest.approx((clopper_pearson(400, N, 0.9)[0], clopper_pearson(410, N, 0.9)[1]))
    assert got.interval_kind == "exact (Clopper-Pearson), failed rows counted on both sides"


def test_failed_rows_of_counts_pay_for_a_size_that_the_sample_chose():
    got = read(sample(np.ones(400), upper=np.ones(410), looks=2), NONE, lost=Lost(0, 10))
    assert got.interval[1] == pytest.approx(widened(clopper_pearson(410, N, 0.9), 410 / N, 1.05)[1])


def test_failed_rows_beside_weights_with_a_heavy_tail_take_the_quantile_of_student_t():
    n, every = 20_000, np.full(400, 4e-3)
    value, error = moments(every, n)
    end = log_scale(value, error, 0.9, 15)[1]
    assert end > value * weighted_upper(400, 400, 0.9) / 400 > log_scale(value, error, 0.9)[1]
    assert read(sample(HEAVY, n, upper=every), lost=Lost(0, 5)).interval[1] == pytest.approx(end)


def test_failed_replicates_have_the_end_of_their_spread():
    rows, every = np.linspace(0.9, 1.1, 12) * 1e-4, np.linspace(0.9, 1.3, 12) * 1e-4
    got = read(sample(rows, 12, upper=every, unit="replicate", resolution=0.1), RUNS, lost=Lost(0, 1))
    value, error = moments(every, 12)
    assert got.interval[1] == pytest.approx(log_scale(value, math.hypot(error, 0.1), 0.9, 11)[1])


def test_rows_that_failed_before_the_estimate_widen_nothing():
    got = read(sample(W), lost=Lost(3, 0))
    assert got.interval == pytest.approx(log_scale(*moments(W), 0.9))
    assert got.interval_kind == "log scale"
    assert (got.diagnostics["failed_searching"], got.diagnostics["widening"]) == (3, 0.0)


def test_an_upper_end_below_that_of_the_estimate_is_not_taken():
    """Rows that all failed alike may have a smaller error than the estimate."""
    got = read(sample(W[:2], upper=np.full(2, 1e-6)), lost=Lost(0, 1))
    assert got.interval == read(sample(W[:2])).interval
    assert got.diagnostics["widening"] == 0.0


def test_an_interval_that_was_a_point_is_widened_without_end():
    ones = np.ones(N)
    got = read(sample(ones, n=N, upper=ones), lost=Lost(0, 1))
    assert got.diagnostics["widening"] == 0.0
    assert read(sample(0.5 * ones, n=N, upper=0.9 * ones), lost=Lost(0, 1)).diagnostics["widening"] == math.inf


# --- the audit and the history -----------------------------------------------------------------------


def test_what_the_audit_found_is_among_the_diagnostics(monkeypatch):
    monkeypatch.setattr(Audit, "diagnostics", lambda self, k: {"audit_climbs": 10 * (k + 1)})
    pair = [np.log(W), np.log(W[:50])]
    taken = Sample(Summary.of_rows(N, pair, N), (), 1, True)
    found = estimates([QUESTION, Question(Event(4.0), "", 0.8, None)], taken, CHECKED, 5000, audited=Audit("quick"))
    assert [e.diagnostics["audit_climbs"] for e in found] == [10, 20]
    assert [(e.diagnostics["hits"], e.confidence, e.threshold) for e in found] == [(400, 0.9, 3.0), (50, 0.8, 4.0)]


def test_each_look_of_each_event_is_a_point():
    def tail(n, *ws):
        return TailMoments.of_hits(n, [np.log(w) for w in ws])

    history = (
        Look(100, tail(50, W[:10], np.empty(0)), tail(50, W[:20], W[:1])),
        Look(4000, tail(N, HEAVY, W)),
    )
    taken = Sample(Summary.of_rows(N, [np.log(HEAVY), np.log(W)], N), history, 2, False, resolution=0.1)
    questions = [QUESTION, Question(Event(4.0), "", 0.8, None)]
    points = convergence(questions, taken, False, {})
    assert [(p.estimate, p.evaluations) for p in points] == [(0, 100), (0, 4000), (1, 100), (1, 4000)]
    first, last, none, other = points
    value, error = moments(W[:10], 50)
    error = math.hypot(error, 0.1)
    assert (first.value, first.std_error) == pytest.approx((value, value * error))
    assert first.lower == pytest.approx(log_scale(value, error, 0.9, 15)[0])
    v, e = moments(W[:20], 50)
    few = v * weighted_upper(W[:20].sum() / W[19], (W[:20] ** 2).sum() / W[19] ** 2, 0.9) / (W[:20].sum() / W[19])
    assert first.upper == pytest.approx(max(few, log_scale(v, math.hypot(e, 0.1), 0.9, 15)[1]))
    value, error = moments(HEAVY)
    assert (last.lower, last.upper) == pytest.approx(log_scale(value, math.hypot(error, 0.1), 0.9, 15))
    assert (none.value, none.lower) == (0.0, 0.0)
    assert math.isnan(none.std_error)
    value, error = moments(W)
    assert (other.lower, other.upper) == pytest.approx(log_scale(value, math.hypot(error, 0.1), 0.8))


def test_points_of_replicates_have_a_degree_of_freedom_less_than_rows():
    rows = np.linspace(0.9, 1.1, 8) * 1e-4
    history = (Look(50, TailMoments.of_hits(8, [np.log(rows)])),)
    (point,) = convergence([QUESTION], sample(rows, 8, unit="replicate", history=history), False, {})
    assert (point.lower, point.upper) == pytest.approx(log_scale(*moments(rows, 8), 0.9, 7))


def test_points_of_counts_are_exact():
    history = (Look(50, TailMoments.of_hits(50, [np.zeros(10)]), TailMoments.of_hits(50, [np.zeros(12)])),)
    taken = Sample(summary(np.ones(400)), history, 1, True)
    (point,) = convergence([QUESTION], taken, True, {})
    assert (point.lower, point.upper) == (clopper_pearson(10, 50, 0.9)[0], clopper_pearson(12, 50, 0.9)[1])
