"""Every branch of the verdict, which is a pure function of stored numbers."""

import copy
import json
import math

import pytest

from raresim.diagnostics.verdict import Status, judge, worst
from tests.problems import PROBLEMS, crude, linear_normal, solve

GOOD = {"hits": 1000, "ess": 500.0, "max_share": 0.01, "khat": 0.2}
TUNED = {
    "kind": "tuned",
    "starts": 4,
    "reached": 4,
    "regions": 1,
    "nominal": 4000,
    "outcome": "4 of 4 starts reached the threshold",
    "weighted": True,
}
STATED = {"kind": "stated", "starts": 0, "reached": 0, "regions": 0, "nominal": 0, "outcome": "", "weighted": True}
NONE = {**STATED, "kind": "none", "weighted": False}


def verdict(search=TUNED, relative_error=0.05, **changes):
    return judge(GOOD | changes, relative_error, search)


def check(name, **changes):
    return next(c for c in verdict(**changes).checks if c.name == name)


LIMITS = [
    ("hits", {"hits": 100}, "trusted"),
    ("hits", {"hits": 99}, "caution"),
    ("hits", {"hits": 30}, "caution"),
    ("hits", {"hits": 29}, "untrusted"),
    ("ess", {"ess": 50.0}, "trusted"),
    ("ess", {"ess": 49.9}, "caution"),
    ("ess", {"ess": 20.0}, "caution"),
    ("ess", {"ess": 19.9}, "untrusted"),
    ("relative_error", {"relative_error": 0.10}, "trusted"),
    ("relative_error", {"relative_error": 0.101}, "caution"),
    ("relative_error", {"relative_error": 0.30}, "caution"),
    ("relative_error", {"relative_error": 0.301}, "untrusted"),
    ("relative_error", {"relative_error": None}, "untrusted"),
    ("relative_error", {"relative_error": math.nan}, "untrusted"),
    ("khat", {"khat": -0.3}, "trusted"),
    ("khat", {"khat": 0.499}, "trusted"),
    ("khat", {"khat": 0.5}, "caution"),
    ("khat", {"khat": 0.699}, "caution"),
    ("khat", {"khat": 0.7}, "untrusted"),
    ("khat", {"khat": math.nan}, "untrusted"),
    ("khat", {"khat": None}, "caution"),
    ("khat", {"khat": None, "search": STATED}, "caution"),
    ("khat", {"khat": None, "search": NONE}, "trusted"),
    ("max_share", {"max_share": 0.0199}, "trusted"),
    ("max_share", {"max_share": 0.02}, "caution"),
    ("max_share", {"max_share": 0.0499}, "caution"),
    ("max_share", {"max_share": 0.05}, "untrusted"),
    ("max_share", {"max_share": math.nan}, "untrusted"),
    ("search", {"search": TUNED | {"reached": 2}}, "trusted"),
    ("search", {"search": TUNED | {"reached": 1}}, "caution"),
    ("search", {"search": TUNED | {"reached": 0}}, "untrusted"),
    ("search", {"search": TUNED | {"starts": 8, "reached": 4}}, "trusted"),
    ("search", {"search": TUNED | {"starts": 3, "reached": 3}}, "caution"),
    ("search", {"search": TUNED | {"starts": 1, "reached": 1}}, "caution"),
    ("search", {"search": TUNED | {"regions": 2}}, "trusted"),
    ("search", {"search": TUNED | {"regions": 3}}, "caution"),
    ("search", {"search": TUNED | {"starts": 8, "reached": 7, "regions": 4}}, "caution"),
    ("search", {"search": TUNED | {"starts": 8, "reached": 8, "regions": 4}}, "trusted"),
    ("search", {"search": STATED}, "caution"),
]


@pytest.mark.parametrize(("name", "changes", "status"), LIMITS)
def test_each_check_changes_at_its_limit(name, changes, status):
    assert check(name, **changes).status == status
    assert check(name, **changes).message


@pytest.mark.parametrize(("name", "changes", "status"), LIMITS)
def test_the_worst_check_is_the_verdict_and_has_its_advice(name, changes, status):
    """All other numbers are good, so the one that changed decides; a stated proposal is at most caution."""
    got = verdict(**changes)
    assert got.status is worst([c.status for c in got.checks])
    assert got.status is worst([got.status, Status(status)])
    assert bool(got.advice) == (got.status is not Status.TRUSTED)
    assert len(set(got.advice)) == len(got.advice)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "4 of 4 starts reached the threshold, in 1 region"),
        ({"regions": 2}, "4 of 4 starts reached the threshold, in 2 regions"),
        ({"reached": 0, "outcome": "none"}, "none"),
        ({"starts": 2, "reached": 2}, "4 of 4 starts reached the threshold, in 1 region; 4 starts wanted"),
        (
            {"regions": 3},
            "4 of 4 starts reached the threshold, in 3 regions; "
            "two starts a region wanted: there may be more regions than starts",
        ),
    ],
)
def test_the_search_says_where_its_starts_ended_and_how_many_are_wanted(changes, message):
    assert check("search", search=TUNED | changes).message == message


def test_good_numbers_are_trusted_without_advice():
    got = verdict()
    assert (got.status, got.advice) == (Status.TRUSTED, ())
    assert [c.name for c in got.checks] == ["hits", "ess", "relative_error", "khat", "max_share", "search"]


def test_crude_numbers_need_no_search():
    got = verdict(search=NONE, khat=None)
    assert got.status is Status.TRUSTED
    assert "search" not in [c.name for c in got.checks]
    assert got.scope.startswith("all failure regions")
    assert got.hidden_mass_bound is None


def test_statuses_are_ordered_from_best_to_worst():
    order = [Status.TRUSTED, Status.CAUTION, Status.UNTRUSTED, Status.BOUND_ONLY]
    for k, status in enumerate(order):
        assert worst(order[: k + 1]) is status
        assert worst(order[k::-1]) is status


@pytest.mark.parametrize(
    ("search", "advice"), [(NONE, "cross_entropy"), (TUNED, "may be impossible"), (STATED, "may be")]
)
def test_no_hit_gives_a_bound_only(search, advice):
    got = verdict(search=search, relative_error=None, hits=0, ess=0.0, max_share=math.nan, khat=None)
    assert got.status is Status.BOUND_ONLY
    assert got.checks[0].name == "data"
    assert advice in " ".join(got.advice)


def test_hidden_mass_is_three_over_the_draws_of_the_target():
    got = verdict()
    assert got.hidden_mass_bound == pytest.approx(3.0 / 4000, rel=0.01)
    assert "4,000 draws of the first level" in got.scope
    assert "0.00075" in got.scope
    assert verdict(search=STATED).hidden_mass_bound is None


def test_verdict_is_a_pure_function():
    diagnostics, search = copy.deepcopy(GOOD), copy.deepcopy(TUNED)
    first, second = judge(diagnostics, 0.05, search), judge(diagnostics, 0.05, search)
    assert first == second
    assert (diagnostics, search) == (GOOD, TUNED)


@pytest.mark.parametrize("case", [PROBLEMS[0], crude(2.0), crude(7.0), linear_normal(3, 5.0)], ids=lambda c: c.name)
def test_verdict_can_be_derived_again_from_what_is_stored(case, seed):
    stored = json.loads(json.dumps(solve(case, seed(151), relative_error=0.3, max_evaluations=30_000).to_dict()))
    (estimate,) = stored["estimates"]
    again = judge(estimate["diagnostics"], estimate["relative_error"], stored["search"])
    assert again.status == estimate["verdict"]["status"]
    assert [c.message for c in again.checks] == [c["message"] for c in estimate["verdict"]["checks"]]
    assert list(again.advice) == estimate["verdict"]["advice"]
