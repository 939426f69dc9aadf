"""The audit: what it finds of regions that the estimate misses, what it costs, and what it leaves alone."""

import dataclasses
import json
import math

import numpy as np
import pytest
from scipy import stats

import raresim
from raresim import (
    Auto,
    CrossEntropy,
    Crude,
    DirectionalSampling,
    Importance,
    Linear,
    LineSampling,
    Normal,
    Probability,
    StandardNormal,
    SubsetSimulation,
)
from raresim.accumulators.summary import Summary
from raresim.accumulators.tail import TailMoments
from raresim.distributions.standard_normal import widening
from raresim.engine.executors import Executor
from raresim.engine.fold import Sampler
from raresim.engine.problem import Problem
from raresim.errors import FieldError, LossError
from raresim.estimators.weighted_draws import WeightedDraws
from raresim.methods.subset_simulation import Climb, Level, climb
from raresim.numerics.blocks import Block
from raresim.numerics.streams import stream
from raresim.record.event import Event
from raresim.record.evidence import Evidence
from raresim.record.verdict import Status
from raresim.run.audit import MOST_ROWS, SIZES, Audit, Climbs, ClimbSeen, _AuditClimb, audit, described, reserve
from raresim.run.sample import Sample
from raresim.run.soundings import Sound, Sounded, Soundings, Thin, rows_through
from raresim.run.soundings import cost as cost_of_soundings
from tests.problems import crude, experiment, linear_normal, solve, two_sided
from tests.statistical import assert_count_at_least


def problem_of(dim):
    inputs = StandardNormal(dim=dim)
    return Problem(inputs, Linear(weights=np.ones(dim)).bind(inputs))


ONE_SIDED = Importance(proposal=Normal(mean=[2.5, 2.5, 2.5], std=1.0))
"""Sees one side of a two-sided event at 4.3: its weights are as good as they can be, and half is missing."""


def check(result, name, k=0):
    return next(c for c in result.estimates[k].verdict.checks if c.name == name)


# --- what it finds -----------------------------------------------------------------------------------


@pytest.mark.statistical(effect=0.8, false_fail=1e-7, false_pass=0.1)
def test_a_missed_half_is_found(seed):
    """No check of the weights says so. Two climbs from both sides hardly ever end on the same one."""
    results = [solve(two_sided(3, 4.3), seed(700 + k), method=ONE_SIDED, relative_error=0.05) for k in range(30)]
    of_weights = ("hits", "ess", "relative_error", "khat", "max_share", "canary")
    others = [c.status for r in results for c in r.estimates[0].verdict.checks if c.name in of_weights]
    assert set(others) == {Status.TRUSTED}
    assert_count_at_least(sum(check(r, "audit").status is Status.UNTRUSTED for r in results), 30, 0.8)
    values = [r.estimates[0].value / two_sided(3, 4.3).exact[0] for r in results]
    assert np.mean(values) == pytest.approx(0.5, rel=0.05)


@pytest.mark.slow
@pytest.mark.statistical(effect=0.95, false_fail=1e-7, false_pass=0.1)
def test_a_defensive_share_does_not_hide_the_half(seed):
    """Draws of the target reach the other side so rarely that one of them would be more than the estimate."""
    method = dataclasses.replace(ONE_SIDED, defensive=0.1)
    found = [
        check(solve(two_sided(3, 4.3), seed(740 + k), method=method, relative_error=0.05), "audit") for k in range(15)
    ]
    assert_count_at_least(sum(c.status is not Status.TRUSTED for c in found), 15, 0.8)


@pytest.mark.slow
@pytest.mark.statistical(effect=0.95, false_fail=1e-7, false_pass=0.1)
def test_a_steep_far_region_goes_under_in_climbs_from_the_target_alone(seed):
    """The farther of two half-spaces has 30 % of the event and a loss that rises five times as fast."""

    def loss(x):
        return np.maximum(x[:, 0] - 4.0, 5.0 * (x[:, 1] - 4.2))

    method = Importance(proposal=Normal(mean=[4.1, 0.0], std=1.0))
    found = [
        raresim.estimate(2, loss, Probability(above=0.0), method, seed=seed(760 + k), relative_error=0.05)
        for k in range(15)
    ]
    assert_count_at_least(sum(check(r, "audit").status is not Status.TRUSTED for r in found), 15, 0.8)
    rows = [row for r in found for row in r.trace.tables[-1].rows]
    from_target = [row[-1] for row in rows if row[1] == "the target"]
    widened = [row[-1] for row in rows if row[1] == "a widened target"]
    assert np.mean([share for share in widened if share is not None]) > 0.2
    assert sum(share is None or share < 0.05 for share in from_target) > 5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "d"),
    [
        (Auto(), 3),
        (CrossEntropy(), 3),
        (CrossEntropy(draws="sobol"), 3),
        (LineSampling(), 3),
        (DirectionalSampling(), 3),
    ],
    ids=["auto", "cross_entropy", "sobol", "lines", "rays"],
)
def test_good_estimates_pass(method, d, seed):
    """Two-sided events that both sides of are drawn; five runs, one of which may be unlucky."""
    results = [solve(two_sided(d, 3.5), seed(780 + k), method=method, relative_error=0.05) for k in range(5)]
    assert sum(check(r, "audit").status is Status.TRUSTED for r in results) >= 4
    assert all(check(r, "audit_level").status is Status.TRUSTED for r in results)


def test_a_line_whose_grid_misses_the_event_does_not_count_for_covered(seed):
    """A slab a tenth wide, nodes two apart: most failing draws lie on lines that count nothing."""

    def loss(x):
        return 1.0 - 20.0 * np.abs(x[:, 0] - 4.0)

    method = LineSampling(direction=[1.0, 0.0], step=2.0)
    result = raresim.estimate(2, loss, Probability(above=0.0), method, seed=seed(800), relative_error=0.1)
    if result.estimates[0].diagnostics["hits"]:
        assert check(result, "audit").status is not Status.TRUSTED
    assert result.verdict.status is not Status.TRUSTED


def test_climbs_estimate_the_probability(seed):
    """Four full climbs: their mean is within half of the answer, from the target and from the widened target alike."""
    result = solve(linear_normal(5, 4.0), seed(801), relative_error=0.02, audit="full", max_evaluations=10**6)
    d = result.estimates[0].diagnostics
    assert d["audit_climbs"] == d["audit_found"] == 4
    assert abs(d["audit_log_ratio"]) < 0.5
    assert abs(d["audit_log_ratio"]) < 5.0 * d["audit_log_ratio_error"]


def test_every_event_has_its_own_answer(seed):
    """The proposal reaches both events on one side only; the easier one has its other half among the climbs' draws."""
    result = solve(two_sided(3, 4.3), seed(802), measures=[Probability(above=[3.5, 4.3])], method=ONE_SIDED)
    easy, hard = (e.diagnostics for e in result.estimates)
    assert easy["audit_failing"] > hard["audit_failing"] > 0
    assert [check(result, "audit", k).status for k in range(2)] == [Status.UNTRUSTED, Status.UNTRUSTED]


def test_events_on_both_sides_get_climbs_of_their_own(seed):
    """``loss <= -3.5`` is as likely as ``loss >= 3.5``, and the proposal was made for the latter."""
    method = Importance(proposal=Normal(mean=[2.0, 2.0, 2.0]))
    measures = [Probability(above=3.5), Probability(below=-3.5)]
    result = solve(linear_normal(3, 3.5), seed(803), method=method, measures=measures, max_evaluations=50_000)
    above, below = result.estimates
    assert above.diagnostics["audit_climbs"] == 2
    assert check(result, "audit", 0).status is Status.TRUSTED
    assert below.diagnostics["hits"] == 0 or check(result, "audit", 1).status is Status.UNTRUSTED


def test_draws_of_the_target_that_hit_are_counted(seed):
    """An estimate that is a hundredth of the truth, and 1,000 draws of the target of which some 60 hit."""
    method = Importance(proposal=Normal(mean=[9.0], std=1.0))
    result = solve(
        linear_normal(1, 1.5), seed(804), method=method, relative_error=None, max_evaluations=60_000, audit="full"
    )
    d = result.estimates[0].diagnostics
    assert d["audit_nominal_hits"] > 0.03 * d["audit_nominal"]
    assert check(result, "nominal_hits").status is Status.UNTRUSTED


@pytest.mark.slow
@pytest.mark.statistical(effect=0.5, false_fail=1e-7, false_pass=0.1)
def test_a_region_that_replicates_do_not_come_to_is_found(seed):
    """The farther of two half-spaces has 30 % of the event and a loss that rises twenty times as fast."""

    def loss(x):
        return np.maximum(x[:, 0] - 4.0, 20.0 * (x[:, 1] - 4.2))

    settings = {"relative_error": 0.05, "max_evaluations": 100_000}
    results = [
        raresim.estimate(2, loss, Probability(above=0.0), SubsetSimulation(), seed=seed(850 + k), **settings)
        for k in range(40)
    ]
    exact = stats.norm.sf(4.0) + stats.norm.sf(4.2)
    missing = [r for r in results if r.estimates[0].value < 0.8 * exact]
    assert len(missing) > 10
    assert_count_at_least(40 - sum(r.verdict.status is Status.TRUSTED for r in missing), 40, 0.9)
    assert {row[1] for r in results for row in r.trace.tables[-1].rows} == {"a widened target"}


# --- where it draws and what it costs ----------------------------------------------------------------


@pytest.mark.parametrize("space", ["standard", "physical"])
def test_the_audit_climbs_in_standard_space_and_asks_in_that_of_the_proposal(space, seed):
    """Inputs of mean 1 and standard deviation 2: the same law in both spaces gives the same shares."""
    inputs = Normal(mean=[1.0, 1.0], std=2.0)
    proposal = Normal(mean=[3.0, 3.0]) if space == "standard" else Normal(mean=[7.0, 7.0], std=2.0)
    loss = raresim.Linear(weights=[1.0, 1.0])
    method = Importance(proposal=proposal, space=space)
    result = raresim.estimate(inputs, loss, Probability(above=14.0), method, seed=seed(805), relative_error=0.05)
    d = result.estimates[0].diagnostics
    assert d["audit_uncovered"] == 0.0
    assert d["audit_failing"] > 0


def test_what_cannot_miss_anything_is_not_audited(seed):
    result = solve(crude(2.5), seed(806), method=Crude(), relative_error=0.1)
    assert result.search["audit"] == {
        "extent": "quick",
        "why": "every draw came from the target itself",
        "needed": False,
        "climbs": 0,
        "samples": 0,
        "reached": 0,
        "soundings": [],
    }
    assert result.evaluations["audit"] == 0
    assert "audit" not in [c.name for c in result.verdict.checks]


def test_without_an_audit_nothing_is_trusted(seed):
    result = solve(linear_normal(3, 4.0), seed(807), relative_error=0.05, audit="off")
    assert result.verdict.status is Status.CAUTION
    assert [c.name for c in result.verdict.checks if c.status is not Status.TRUSTED] == ["audit"]
    assert result.evaluations["audit"] == 0


@pytest.mark.parametrize("method", [Auto(), CrossEntropy(), LineSampling(), ONE_SIDED], ids=lambda m: m.kind)
@pytest.mark.parametrize("extent", ["quick", "full"])
@pytest.mark.slow_cases("full-auto", "quick-auto")
def test_the_audit_stays_within_its_size(method, extent, seed):
    """Soundings, draws around what they find, and climbs of the least size or for their share of what came before."""
    result = solve(two_sided(3, 4.3), seed(808), method=method, relative_error=0.03, audit=extent)
    spent, size = result.evaluations, SIZES[extent]
    before = spent["total"] - spent["audit"]
    least = size.climbs * size.least * (1.0 + 0.8 * math.log(2e-5) / math.log(0.2)) / 0.8
    lines = 20 * MOST_ROWS * (size.climbs + 1) if method.kind == "line_sampling" else 0  # through failing draws
    assert 0 < spent["audit"] <= 1.2 * (cost_of_soundings(problem_of(3)) + max(least, size.share * before)) + lines
    assert result.search["audit"]["samples"] >= size.least


@pytest.mark.parametrize("relative_error", [None, 1e-5])
def test_the_budget_holds_the_audit(relative_error, seed):
    result = solve(linear_normal(3, 4.0), seed(809), relative_error=relative_error, max_evaluations=40_000)
    assert result.evaluations["audit"] > 0
    assert result.evaluations["total"] <= 40_000
    problem = problem_of(3)
    assert reserve("off", 40_000, problem) == 0
    assert reserve("quick", 40_000, problem) < reserve("full", 40_000, problem) <= 10_000
    assert reserve("quick", 10**9, problem) == reserve("quick", 10**10, problem)


def test_an_audit_that_cannot_be_paid_for_is_said_to_be_missing(seed):
    """Too few evaluations for soundings and thirty draws of each of some forty levels."""
    method = Importance(proposal=Normal(mean=[12.0], std=0.1))
    result = solve(linear_normal(1, 12.0), seed(810), method=method, relative_error=None, max_evaluations=500)
    assert result.search["audit"]["climbs"] == 0
    assert check(result, "audit").status is Status.CAUTION
    assert "evaluations would be needed" in check(result, "audit").message


def test_unknown_extent_is_refused():
    with pytest.raises(FieldError, match="audit: unknown value 'brief'"):
        raresim.estimate(1, lambda x: x[:, 0], Probability(above=2.0), seed=1, audit="brief")


# --- digits ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_workers_change_no_digit_of_the_audit(two_processes, seed):
    one = experiment(two_sided(3, 4.0), seed(811), relative_error=0.05)
    results = [one.run()]
    with Executor.of("threads", 2) as two_threads:
        again = [dataclasses.replace(one, loss=two_sided(3, 4.0).loss) for _ in range(2)]
        results += [each.run(executor) for each, executor in zip(again, (two_threads, two_processes), strict=True)]
    stored = [json.dumps([r.search["audit"], [e.diagnostics for e in r.estimates]], default=float) for r in results]
    assert stored[0] == stored[1] == stored[2]


def test_the_audit_leaves_the_estimate_alone(seed):
    with_, without = (
        solve(linear_normal(3, 4.0), seed(812), relative_error=0.05, audit=extent) for extent in ("quick", "off")
    )
    assert with_.estimates[0].value == without.estimates[0].value
    assert with_.estimates[0].interval == without.estimates[0].interval


# --- the arithmetic ----------------------------------------------------------------------------------

ROWS = Normal(mean=[2.0, 0.0])
"""What the rows of the estimate are drawn from, where climbs are asked about them below."""


def seen(side, uncovered, log_probability, nominal=0, hits=0, influence=math.nan):
    """A climb of an audit of three events, of which it is ``side``'s that it looked at."""
    return ClimbSeen(
        outcome="reached" if side else "stalled",
        reached=bool(side),
        samples=100,
        evaluations=500 + nominal,
        nominal=nominal,
        nominal_hits=np.array([hits, 7, 9]),
        failing=np.array([40 + hits, 5, 6]),
        log_probability=np.array([log_probability, -1.0, -2.0]),
        uncovered=np.array([uncovered, 0.5, 0.5]),
        influence=np.array([influence, 0.5, 0.5]),
        loss=np.array([1.0, 2.0]) + side,
        log_influence=np.array([math.log(0.1), math.nan]) + side,
        thin=Thin(np.full((2, 2), float(side)), np.ones(2)),
    )


LOG_VALUES = (math.log(1e-3), math.log(1e-4), -math.inf)


def audit_of(*climbs, signs=(1.0, -1.0, -1.0), log_values=LOG_VALUES):
    return Audit("full", climbs=climbs, signs=signs, log_values=log_values)


FOUR = (
    seen(-1, 0.9, -1.0, 100, 9),
    seen(1, 0.02, math.log(2e-3), 100, 1),
    seen(-1, 0.9, -1.0),
    seen(1, 0.04, math.log(3e-3), 200, 2),
)


def test_climbs_take_turns_between_the_sides_and_each_event_asks_its_own():
    """Below first: climbs two and four are those of the event above."""
    got = audit_of(*FOUR).diagnostics(0)
    assert got == {
        "audit_climbs": 2,
        "audit_found": 2,
        "audit_failing": 83,
        "audit_uncovered": 0.04,
        "audit_error_ratio": None,
        "audit_log_ratio": pytest.approx(0.5 * (math.log(2) + math.log(3))),
        "audit_log_ratio_error": pytest.approx(2 * math.sqrt(math.log(1e-3) / math.log(0.2) * 0.8 / 20) / math.sqrt(2)),
        "audit_nominal": 300,
        "audit_nominal_hits": 3,
        "audit_nominal_chance": pytest.approx(stats.poisson.sf(2, 0.3)),
    }
    below = audit_of(*FOUR).diagnostics(1)
    assert (below["audit_nominal"], below["audit_nominal_hits"], below["audit_failing"]) == (100, 14, 10)


def test_the_error_of_lines_is_that_of_lines_through_failing_draws_of_the_target():
    """The moment is 1 / n for equal lines, plus twice the reported error: only the excess counts, over that error."""
    lines = Audit("quick", climbs=FOUR[1:2], signs=(1.0,), log_values=(0.0,), rows=400, errors=(0.02,))

    def ratio(*influences, nominal=100):
        climbs = tuple(seen(1, 0.0, -1.0, nominal, influence=x) for x in influences)
        return dataclasses.replace(lines, climbs=climbs).diagnostics(0)["audit_error_ratio"]

    assert ratio(2.0 / 400) == pytest.approx(math.sqrt((1.0 - 0.04) / 400) / 0.02)
    assert ratio(1.0 / 400, 5.0 / 400) == pytest.approx(math.sqrt((2.0 - 0.04) / 400) / 0.02)
    assert ratio(1.03 / 400) == 0.0
    assert ratio(5.0 / 400, nominal=0) is None
    rest = dataclasses.replace(lines, climbs=(seen(1, 0.0, -1.0, 100, influence=1.0 / 400), seen(1, 0.0, -1.0)))
    assert rest.diagnostics(0)["audit_error_ratio"] == 0.0
    assert dataclasses.replace(rest, rows=0).diagnostics(0)["audit_error_ratio"] is None


def test_an_event_that_was_not_seen_or_asked_about_has_no_answer_of_the_audit():
    assert audit_of(*FOUR).diagnostics(2) == {}
    assert audit_of().diagnostics(0) == {}
    assert audit_of(*FOUR[:1]).diagnostics(0) == {}


def test_climbs_that_found_nothing_count_and_say_nothing():
    """One of three found draws that were not asked about; one has no estimate; only the third has both."""
    climbs = [seen(1, *found) for found in ((math.nan, -math.inf), (0.3, -math.inf), (0.1, math.log(4e-3), 50))]
    got = audit_of(*climbs, signs=(1.0, 1.0, 1.0)).diagnostics(0)
    assert (got["audit_climbs"], got["audit_found"], got["audit_failing"]) == (3, 2, 80)
    assert got["audit_uncovered"] == 0.3
    assert got["audit_log_ratio"] == pytest.approx(math.log(4))
    assert (got["audit_nominal_hits"], got["audit_nominal_chance"]) == (0, 1.0)
    none = audit_of(seen(1, math.nan, -math.inf), signs=(1.0, 1.0, 1.0)).diagnostics(0)
    assert (none["audit_found"], none["audit_uncovered"], none["audit_log_ratio"]) == (0, None, None)


def test_error_of_a_climb_to_a_common_event_is_that_of_one_level():
    got = audit_of(*FOUR, log_values=(-0.1, math.log(1e-4), -math.inf)).diagnostics(0)
    assert got["audit_log_ratio_error"] == pytest.approx(2 * math.sqrt(0.8 / 20) / math.sqrt(2))


def test_what_is_stored_of_an_audit_adds_up():
    assert audit_of(*FOUR).facts() == {
        "extent": "full",
        "why": "",
        "needed": True,
        "climbs": 4,
        "samples": 100,
        "reached": 4,
        "soundings": [],
    }
    assert audit_of(FOUR[0], seen(0, 0.1, -1.0)).facts()["reached"] == 1
    assert audit_of(*FOUR).evaluations == 2400
    nothing = {"climbs": 0, "samples": 0, "reached": 0, "soundings": []}
    assert audit_of().facts() == {"extent": "full", "why": "", "needed": True, **nothing}
    assert (audit_of(FOUR[0]).samples, audit_of().samples) == (100, None)


def test_evidence_has_a_row_of_each_climb_and_event_and_the_points_that_were_asked_about():
    events = [Event(3.0), Event(-3.0, "below"), Event(-9.0, "below")]
    found = audit_of(*FOUR[:2], seen(-1, math.nan, -math.inf)).evidence(events)
    (table,), (plot,) = found.tables, found.plots
    rows = [(row[0], *row[2:]) for row in table.rows]
    third = math.log10(math.exp(-1.0))
    assert len(table.columns) == len(table.rows[0]) == 7
    assert [row[1] for row in table.rows] == ["the target"] * 2 + ["a widened target"] + [
        "the target",
        "a widened target",
    ]
    assert table.title == "Audit: climbs of its own"
    assert (plot.title, plot.x_label, plot.y_label) == ("Failing draws of the audit", "loss", "log10 share one adds")
    assert rows == [
        ("P(loss >= 3)", 100.0, 600.0, 41.0, pytest.approx(math.log10(2e-3)), 0.02),
        *[("P(loss <= -3)", 100.0, cost, 5.0, pytest.approx(third), 0.5) for cost in (600.0, 500.0)],
        *[("P(loss <= -9)", 100.0, cost, 6.0, pytest.approx(2 * third), 0.5) for cost in (600.0, 500.0)],
    ]
    assert plot.form == "points"
    assert plot.x == (0.0, 2.0, 0.0)
    assert plot.y == pytest.approx([math.log10(0.1) + side / math.log(10) for side in (-1, 1, -1)])
    assert (plot.low, plot.high) == ((), ())
    nothing = audit_of(dataclasses.replace(FOUR[1], log_influence=np.array([math.nan, math.inf]))).evidence(events)
    assert (len(nothing.tables), nothing.plots) == (1, ())
    assert audit_of().evidence(events) == Evidence()


def test_an_estimate_that_a_climb_does_not_have_is_left_open_in_the_table():
    rows = audit_of(seen(1, math.nan, -math.inf), signs=(1.0, 1.0, 1.0)).evidence([Event(3.0)]).tables[0].rows
    assert [row[-2:] for row in rows] == [(None, None)]


@pytest.mark.parametrize(
    ("extent", "left", "dim", "held"),
    [
        ("quick", 8000, 3, 2000),  # no more than a quarter
        ("quick", 9000, 3, 2235),  # soundings, and two climbs of ten levels of thirty draws, and a fifth to spare
        ("quick", 10_000, 10, 2375),  # twenty evaluations of the soundings for each dimension
        ("quick", 15_601, 3, 3600),  # three tenths of what comes before
        ("full", 20_000, 3, 5000),
        ("quick", 10**9, 3, 44_060),  # two climbs of twenty levels of a thousand draws
        ("full", 10**9, 3, 171_560),
        ("off", 10**9, 3, 0),
    ],
)
def test_what_is_held_back_pays_for_the_least_audit_or_is_a_share_up_to_the_price_of_the_largest(
    extent, left, dim, held
):
    assert reserve(extent, left, problem_of(dim)) == held


@pytest.mark.parametrize(
    ("extent", "words"),
    [
        ("off", "off: the verdict is caution at best, unless nothing can be missed"),
        (
            "quick",
            "quick: soundings, and 2 climbs with at least 30 draws per level, for about 30% of the evaluations "
            "before them",
        ),
        (
            "full",
            "full: soundings, and 4 climbs with at least 100 draws per level, for about 100% of the evaluations "
            "before them",
        ),
    ],
)
def test_an_audit_is_told_in_a_line(extent, words):
    assert described(extent) == words


SOUNDED = 600
"""Evaluations that soundings take here, of the 1,540 that they may."""


def sounded(sign, missed=0, **changed):
    """What soundings on a side said of three events."""
    none = {"failing": np.zeros(3, np.int64), "log_probability": np.full(3, -math.inf)}
    none |= {"relative_error": np.full(3, math.inf), "uncovered": np.full(3, math.nan)}
    found = Sounded(
        sign,
        4.2,
        160,
        40,
        2,
        3,
        "all hits explained",
        SOUNDED,
        thin=Thin(np.full((missed, 2), 7.0), np.ones(missed)),
        **none,
    )
    return dataclasses.replace(found, **changed)


class Recorded:
    """The parts of a session that an audit uses; what it would fold is kept instead, the climbs last."""

    problem, seed = Problem(StandardNormal(dim=2), Linear(weights=[1.0, 0.0]).bind(StandardNormal(dim=2))), 5

    def __init__(self, *events):
        self.events, self.folds = list(events), []

    @property
    def folded(self):
        return self.folds[-1] if self.folds else None

    def plan(self, many, fixed_rows):
        return (many, fixed_rows)

    def fold(self, name, job, plan, note):
        self.folds.append((name, job, plan, note))
        return Soundings(tuple(map(sounded, job.sides))) if isinstance(job, Sound) else Climbs(FOUR)


class Pairs(WeightedDraws):
    per_row = 2


def asked(session, sums, extent, spent, left, samples=None):
    """An audit of an estimate of 1,000 rows of two draws each, in which each event has the sum of weights given."""
    job = Pairs(Sampler(session.problem, ROWS, 5), tuple(session.events))
    weights = [np.log([x]) if x else np.empty(0) for x in sums]
    summary = Summary(TailMoments.of_hits(1000, weights), None, None, 0)
    return audit(session, job, Sample(summary, (), 1, True), extent, spent, left, samples)


@pytest.mark.parametrize(
    ("extent", "spent", "left", "samples", "most"),
    [
        ("quick", 20_000, 10_000, 430, 4700),  # 0.3 x 20,000 evaluations
        ("quick", 20_000, 5000, 315, 2200),  # what is left
        ("quick", 10**6, 10**6, 1000, 499_700),  # no more than a thousand draws a level
        ("quick", 400, 3000, 30, 1200),  # no fewer than thirty, for more than three tenths
        ("full", 20_000, 10**6, 717, 249_850),
        ("full", 1000, 10**6, 100, 249_850),
    ],
)
def test_levels_of_a_climb_are_as_large_as_its_share_pays_for(extent, spent, left, samples, most):
    """To 1e-4: 1 + 0.8 log(1e-4) / log(0.2) evaluations for a draw of a level, and a fifth to spare."""
    session = Recorded(Event(3.0), Event(4.0), Event(9.0))
    got = asked(session, (1.0, 0.1, 0.0), extent, spent, left)
    name, climbs, plan, _ = session.folded
    assert (name, plan) == ("audit", (SIZES[extent].climbs, 1))
    first, sound, sides, _ = session.folds[0]
    least = {"quick": 419, "full": 2790}[extent]  # of the climbs
    assert (first, type(sound), sides, sound.most) == ("audit", Sound, (1, 1), left - least)
    assert (climbs.samples, climbs.most) == (samples, most)
    assert type(climbs.most) is int
    assert climbs.sides == (1.0,)
    assert climbs.log_sizes == pytest.approx((math.log(2.0), math.log(0.2), -math.inf))
    assert (got.climbs, got.signs) == (FOUR, (1.0, 1.0, 1.0))
    assert got.log_values == pytest.approx((math.log(1e-3), math.log(1e-4), -math.inf))


def test_two_sides_take_twice_the_climbs():
    session = Recorded(Event(4.0), Event(-4.0, "below"))
    asked(session, (0.1, 0.1), "quick", 20_000, 10_000)
    _, climbs, plan, _ = session.folded
    assert (plan, climbs.sides, climbs.samples, climbs.most) == ((4, 1), (-1.0, 1.0), 215, 2200)
    assert [job.sides for _, job, _, _ in session.folds] == [(-1.0, 1.0)] * 2
    assert session.folds[0][2] == (2, 1)


def test_a_side_whose_events_were_not_seen_is_not_climbed():
    session = Recorded(Event(4.0), Event(-4.0, "below"))
    got = asked(session, (0.1, 0.0), "quick", 20_000, 10_000)
    assert session.folded[1].sides == (1.0,)
    assert got.signs == (1.0, -1.0)


def test_levels_that_an_earlier_run_has_fixed_are_kept():
    session = Recorded(Event(4.0))
    asked(session, (0.1,), "quick", 20_000, 10, samples=321)
    assert (session.folded[1].samples, session.folded[1].most) == (321, 2238)


@pytest.mark.parametrize(("left", "made"), [(1959, True), (1958, False)])
def test_an_audit_is_made_where_the_smallest_can_be_paid_for(left, made):
    """Thirty draws a level at 13.95 evaluations each are 418.4, and soundings may take 1,540."""
    session = Recorded(Event(4.0))
    got = asked(session, (0.1,), "quick", 10_000, left)
    assert (session.folded is not None) is made
    assert got.why == ("" if made else "up to 1,959 evaluations would be needed, 1,958 are left for it")


def test_what_was_spent_before_does_not_shrink_the_least_audit():
    """A run of ten evaluations is audited as thoroughly as one of a thousand."""
    sizes = []
    for spent in (10, 1000):
        session = Recorded(Event(4.0))
        asked(session, (0.1,), "quick", spent, 10_000)
        sizes.append([(job.most, getattr(job, "samples", None)) for _, job, _, _ in session.folds])
    assert sizes[0] == sizes[1]


def test_a_common_event_has_one_level():
    """Likelier than a level's share: the cost of a climb does not fall below that of its first level and one more."""
    session = Recorded(Event(0.0))
    asked(session, (900.0,), "quick", 3010, 10_000)
    assert session.folded[1].samples == int(903 / (1.8 * 2 / 0.8))


def test_without_a_hit_there_is_nothing_to_climb_to():
    assert asked(Recorded(Event(9.0)), (0.0,), "quick", 20_000, 10_000).why == "no draw is in the event"


def climbing(events, log_sizes, job=None, most=10**6, samples=200):
    problem = Recorded.problem
    job = job or WeightedDraws(Sampler(problem, ROWS, 5), tuple(events))
    sides = tuple(sorted({event.sign for event in events}))
    return _AuditClimb(problem, 5, job, tuple(events), sides, log_sizes, samples, most)


@pytest.mark.parametrize("index", [0, 1])
def test_a_climb_weighs_its_draws_and_asks_what_each_would_have_added(index):
    """Against the densities of SciPy, at the draws of the same climb made here; the first begins with a wider law."""
    events = (Event(2.5), Event(3.0), Event(5.0), Event(9.0))
    log_sizes = (math.log(3e-3), math.log(0.1), 0.0, -math.inf)
    block = Block(7, index, index, 1)
    (got,) = climbing(events, log_sizes, samples=800)(block).seen
    width = widening(2) if index == 0 else 1.0
    done = climb(
        lambda z: width * z[:, 0], 2, 800, 0.2, 5.0, stream(5, 7, index), max_evaluations=10**6, keep_from=-math.inf
    )
    z, loss, log_weight = (np.concatenate(part) for part in zip(*done.shells(), strict=True))
    log_mean = log_weight - math.log(len(loss))
    log_mean += stats.norm.logpdf(width * z).sum(axis=1) - stats.norm.logpdf(width * z, scale=width).sum(axis=1)
    influence = stats.norm.logpdf(width * z).sum(axis=1) - stats.norm.logpdf(width * z, [2.0, 0.0]).sum(axis=1)
    for k, event in enumerate(events[:3]):
        hit = loss >= event.threshold
        own, added = np.exp(log_mean[hit]), np.exp(influence[hit] - log_sizes[k])
        assert got.failing[k] == hit.sum() > 0
        assert got.log_probability[k] == pytest.approx(math.log(own.sum()))
        assert got.uncovered[k] == pytest.approx(own[added > 0.1].sum() / own.sum())
        assert got.influence[k] == pytest.approx(own @ np.minimum(added, 1.0) / own.sum())
    assert 0 < got.uncovered[1] < got.uncovered[0]
    assert (got.failing[3], got.log_probability[3]) == (0, -math.inf)
    assert math.isnan(got.uncovered[3])
    assert math.isnan(got.influence[3])
    hit = loss >= 2.5
    step = hit.sum() // 300
    assert step > 1
    np.testing.assert_allclose(got.loss, loss[hit][::step])
    np.testing.assert_allclose(got.log_influence, (influence[hit] - log_sizes[0])[::step])
    assert (got.samples, got.evaluations, got.reached, got.outcome) == (800, done.evaluations, True, "reached")
    first = done.levels[0].loss
    assert got.nominal == (0 if index == 0 else 800)
    assert got.nominal_hits.tolist() == [
        0 if index == 0 else np.count_nonzero(first >= 2.5),
        *[np.count_nonzero(first >= 3.0) * index, 0, 0],
    ]


def test_a_climb_below_sees_the_events_below():
    events = (Event(-2.0, "below"), Event(2.0), Event(-2.5, "below"))
    (got,) = climbing(events, (0.0, 0.0, 0.0))(Block(7, 0, 0, 1)).seen
    assert got.failing[0] > got.failing[2] > got.failing[1] == 0
    assert got.loss.max() <= -2.0
    (other,) = climbing(events, (0.0, 0.0, 0.0))(Block(7, 1, 1, 1)).seen
    assert other.failing[1] > other.failing[0] == 0


def test_climbs_of_a_side_begin_with_the_wider_law_and_the_target_in_turn():
    two = climbing((Event(-2.0, "below"), Event(2.0)), (0.0, 0.0))
    assert [two.width(Block(7, index, 0, 1)) for index in range(5)] == [widening(2)] * 2 + [1.0] * 2 + [widening(2)]


def test_a_climb_keeps_to_its_evaluations():
    (got,) = climbing((Event(9.0),), (0.0,), most=1000)(Block(7, 1, 1, 1)).seen
    assert not got.reached
    assert got.evaluations <= 1000
    assert (got.failing[0], got.log_probability[0], got.loss.size, got.log_influence.size) == (0, -math.inf, 0, 0)


class OfFactors:
    """A bound loss of a function, which is not made in one pass from standard normals."""

    def __init__(self, function):
        self.function = function

    def __call__(self, x, out):
        self.function(x, out)

    def of_normals(self, inputs, u, out):
        return False


def test_draws_on_the_threshold_are_in_the_event():
    """Losses in steps of a half: the climb ends on the level of the threshold, and all its draws there fail."""

    def steps(x, out):
        np.floor(2.0 * x[:, 0], out=out)
        out /= 2.0

    problem, events = Problem(StandardNormal(dim=2), OfFactors(steps)), (Event(2.5),)
    job = WeightedDraws(Sampler(problem, ROWS, 5), events)
    (got,) = _AuditClimb(problem, 5, job, events, (1.0,), (0.0,), 200, 10**6)(Block(7, 1, 1, 1)).seen
    assert 2.5 in got.loss
    assert got.failing[0] > sum(got.loss > 2.5) + 20
    assert got.failing.dtype == got.nominal_hits.dtype == np.int64
    assert got.log_probability[0] == pytest.approx(stats.norm.logsf(2.5), abs=0.7)
    assert got.loss.size == got.log_influence.size == got.failing[0] < 600
    easy = (Event(0.0),)
    (got,) = _AuditClimb(problem, 5, job, easy, (1.0,), (0.0,), 200, 10**6)(Block(7, 1, 1, 1)).seen
    assert 75 < got.nominal_hits[0] < 125
    assert got.nominal_hits[0] == got.failing[0]


def test_shares_of_an_event_far_below_the_doubles_are_known():
    """A climb that came to exp(-800): its draws' own weights are looked at relative to the largest."""
    u = np.asfortranarray(np.column_stack([np.linspace(2.0, 6.0, 50), np.zeros(50)]))
    levels = [Level(2.0, 0.02, -800.0, u, u[:, 0].copy(), 50, 0.5), Level(5.0, 0.2, -802.0, u, u[:, 0].copy(), 50, 0.5)]
    one = climbing((Event(5.0),), (-9.0 - math.log(0.1),), samples=50)
    got = one._seen(Climb(tuple(levels), 5.0, "reached", 100), 1.0, 5.0, 1.0, Block(7, 1, 1, 1))
    hit = u[:, 0] >= 5.0
    assert got.failing[0] == hit.sum()
    assert got.log_probability[0] == pytest.approx(-800.0 + math.log(hit.sum() / 50))
    assert got.uncovered[0] == pytest.approx(np.mean(2.0 - 2.0 * u[hit, 0] > -9.0))
    assert 0 < got.uncovered[0] < 1


def test_a_loss_that_fails_in_a_climb_names_the_block():
    def fails(x, out):
        raise LossError("no convergence")

    problem, events = Problem(StandardNormal(dim=2), OfFactors(fails)), (Event(2.5),)
    job = WeightedDraws(Sampler(problem, ROWS, 5), events)
    with pytest.raises(LossError, match=r"^no convergence \[stage 7, block 1\]$"):
        _AuditClimb(problem, 5, job, events, (1.0,), (0.0,), 200, 10**6)(Block(7, 1, 1, 1))


class Lines(WeightedDraws):
    """Rows that cost ten evaluations for each checked draw; the line through the first draw misses it."""

    cost_through = 10.0

    def through(self, u, block):
        found, _ = WeightedDraws.through(self, u, block)
        found[:, 0] = -math.inf
        return found, 10 * len(u)


@pytest.mark.parametrize("most", [100, 10, 1])
def test_where_asking_costs_few_draws_are_asked_evenly(most):
    events = (Event(2.5), Event(3.0))
    job = Lines(Sampler(Recorded.problem, ROWS, 5), events)
    u = np.asfortranarray(np.column_stack([np.linspace(2.5, 4.0, 700), np.zeros(700)]))
    some, logs, evaluations = rows_through(job, Recorded.problem, u, Block(7, 0, 0, 1), most)
    at = np.unique(np.linspace(0, 699, most).round().astype(int))
    assert evaluations == 10 * most
    assert some.tolist() == at.tolist()
    assert logs[:, 0].tolist() == [math.inf, math.inf]
    np.testing.assert_allclose(logs[1, 1:], (2.0 - 2.0 * u[at[1:], 0]))
    assert rows_through(job, Recorded.problem, u[:0], Block(7, 0, 0, 1), most)[2] == 0


def test_evaluations_for_lines_through_draws_are_part_of_the_climb():
    events = (Event(2.5),)
    with_, without = (
        climbing(events, (0.0,), kind(Sampler(Recorded.problem, ROWS, 5), events))(Block(7, 1, 1, 1)).seen[0]
        for kind in (Lines, WeightedDraws)
    )
    assert with_.evaluations == without.evaluations + 10 * min(100, without.failing[0])


def test_a_climb_of_lines_leaves_them_what_it_may_take():
    events = (Event(2.5),)
    job = Lines(Sampler(Recorded.problem, ROWS, 5), events)
    alone = climbing(events, (0.0,), WeightedDraws(job.sampler, events))(Block(7, 1, 1, 1)).seen[0].evaluations
    assert climbing(events, (0.0,), job, most=alone + 109)(Block(7, 1, 1, 1)).seen[0].evaluations == alone + 100


def test_a_draw_that_rows_never_make_and_the_target_neither_adds_nothing():
    """Its own weight is zero, while a line or ray that misses its draw would count as infinite."""

    class Hole(WeightedDraws):
        def through(self, u, block):
            return np.full((1, len(u)), -math.inf), 0

    hole = Hole(Sampler(Recorded.problem, ROWS, 5), (Event(2.5),))
    u = np.zeros((3, 2), order="F")
    assert rows_through(hole, Recorded.problem, u, Block(7, 0, 0, 1), 9)[1].tolist() == [[-math.inf] * 3]
