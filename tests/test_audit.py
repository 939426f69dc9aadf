"""The audit: what it finds of regions that the estimate misses, what it costs, and what it leaves alone."""

import dataclasses
import json

import numpy as np
import pytest

import raresim
from raresim import (
    Auto,
    CrossEntropy,
    Crude,
    DirectionalSampling,
    Importance,
    LineSampling,
    Normal,
    Probability,
    SubsetSimulation,
)
from raresim.audit import SIZES, reserve
from raresim.diagnostics.verdict import Status
from raresim.errors import FieldError
from raresim.executors import Executor
from tests.problems import crude, experiment, linear_normal, solve, two_sided
from tests.statistical import assert_count_at_least

ONE_SIDED = Importance(proposal=Normal(mean=[2.5, 2.5, 2.5], std=1.0))
"""Sees one side of a two-sided event at 4.3: its weights are as good as they can be, and half is missing."""


def check(result, name, k=0):
    return next(c for c in result.estimates[k].verdict.checks if c.name == name)


# --- what it finds -----------------------------------------------------------------------------------


@pytest.mark.statistical(effect=0.8, false_fail=1e-7, false_pass=0.1)
def test_a_missed_half_is_found(seed):
    """Nothing else says so: every other check passes. Two climbs from both sides hardly ever end on the same one."""
    results = [solve(two_sided(3, 4.3), seed(700 + k), method=ONE_SIDED, relative_error=0.05) for k in range(30)]
    others = [c.status for r in results for c in r.estimates[0].verdict.checks if not c.name.startswith("audit")]
    assert set(others) <= {Status.TRUSTED}
    assert_count_at_least(sum(check(r, "audit").status is Status.UNTRUSTED for r in results), 30, 0.8)
    values = [r.estimates[0].value / two_sided(3, 4.3).exact[0] for r in results]
    assert np.mean(values) == pytest.approx(0.5, rel=0.05)


@pytest.mark.statistical(effect=0.95, false_fail=1e-7, false_pass=0.1)
def test_a_defensive_share_does_not_hide_the_half(seed):
    """Draws of the target reach the other side so rarely that one of them would be more than the estimate."""
    method = dataclasses.replace(ONE_SIDED, defensive=0.1)
    found = [
        check(solve(two_sided(3, 4.3), seed(740 + k), method=method, relative_error=0.05), "audit") for k in range(15)
    ]
    assert_count_at_least(sum(c.status is not Status.TRUSTED for c in found), 15, 0.8)


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


@pytest.mark.parametrize(
    ("method", "why"),
    [
        (Crude(), "every draw came from the target itself"),
        (SubsetSimulation(samples=200), "every row is a search of its own, from draws of the target"),
    ],
    ids=["crude", "replicates"],
)
def test_what_cannot_miss_anything_is_not_audited(method, why, seed):
    result = solve(crude(2.5), seed(806), method=method, relative_error=0.1)
    assert result.search["audit"] == {
        "extent": "quick",
        "why": why,
        "needed": False,
        "climbs": 0,
        "samples": 0,
        "reached": 0,
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
def test_the_audit_stays_within_its_share(method, extent, seed):
    result = solve(two_sided(3, 4.3), seed(808), method=method, relative_error=0.03, audit=extent)
    spent = result.evaluations
    before = spent["total"] - spent["audit"]
    assert 0 < spent["audit"] <= SIZES[extent].most_share * before
    if extent == "quick":
        assert spent["audit"] <= 0.3 * spent["total"]
    elif before > 20_000:
        assert spent["audit"] <= before


@pytest.mark.parametrize("relative_error", [None, 1e-5])
def test_the_budget_holds_the_audit(relative_error, seed):
    result = solve(linear_normal(3, 4.0), seed(809), relative_error=relative_error, max_evaluations=40_000)
    assert result.evaluations["audit"] > 0
    assert result.evaluations["total"] <= 40_000
    assert reserve("off", 40_000) == 0
    assert reserve("quick", 40_000) < reserve("full", 40_000) <= 20_000
    assert reserve("quick", 10**9) == reserve("quick", 10**10)


def test_an_audit_that_cannot_be_paid_for_is_said_to_be_missing(seed):
    """Too few evaluations for ten draws of each of some forty levels."""
    method = Importance(proposal=Normal(mean=[12.0], std=0.1))
    result = solve(linear_normal(1, 12.0), seed(810), method=method, relative_error=None, max_evaluations=500)
    assert result.search["audit"]["climbs"] == 0
    assert check(result, "audit").status is Status.CAUTION
    assert "evaluations at least would be needed" in check(result, "audit").message


def test_unknown_extent_is_refused():
    with pytest.raises(FieldError, match="audit: unknown value 'brief'"):
        raresim.estimate(1, lambda x: x[:, 0], Probability(above=2.0), seed=1, audit="brief")


# --- digits ------------------------------------------------------------------------------------------


def test_workers_change_no_digit_of_the_audit(seed):
    one = experiment(two_sided(3, 4.0), seed(811), relative_error=0.05)
    results = [one.run()]
    for kind in ("threads", "processes"):
        with Executor.of(kind, 2) as executor:
            results.append(dataclasses.replace(one, loss=two_sided(3, 4.0).loss).run(executor))
    stored = [json.dumps([r.search["audit"], [e.diagnostics for e in r.estimates]], default=float) for r in results]
    assert stored[0] == stored[1] == stored[2]


def test_the_audit_leaves_the_estimate_alone(seed):
    with_, without = (
        solve(linear_normal(3, 4.0), seed(812), relative_error=0.05, audit=extent) for extent in ("quick", "off")
    )
    assert with_.estimates[0].value == without.estimates[0].value
    assert with_.estimates[0].interval == without.estimates[0].interval
