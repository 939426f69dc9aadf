"""Every branch of the verdict, which is a pure function of stored numbers."""

import copy
import json
import math

import pytest

from raresim.diagnostics.advice import ADVICE, MISSING
from raresim.diagnostics.verdict import judge, worst
from raresim.record.verdict import Status
from tests.problems import PROBLEMS, crude, linear_normal, solve

GOOD = {"hits": 1000, "ess": 500.0, "max_share": 0.01, "khat": 0.2, "weights": 1000, "max_to_mean": 10.0}
GOOD |= {"self_information_nats": 15.0, "audit_climbs": 2, "audit_found": 2, "audit_failing": 300}
GOOD |= {"audit_uncovered": 0.0, "audit_error_ratio": None, "audit_log_ratio": -0.1, "audit_log_ratio_error": 0.2}
GOOD |= {"audit_nominal": 1000, "audit_nominal_hits": 0, "audit_nominal_chance": 1.0}
AUDITED = {"extent": "quick", "why": "", "needed": True, "climbs": 2, "samples": 500, "reached": 2}
NO_NEED = AUDITED | {"why": "every draw came from the target itself", "needed": False, "climbs": 0, "samples": 0}
CANARY = {"draws": 10_000, "regions": 3, "z": -1.5, "ratio": 0.98}
DRAWS = {"unit": "draw", "facts": {}, "audit": AUDITED, "canary": CANARY}
TUNED = {
    "kind": "tuned",
    "starts": 4,
    "reached": 4,
    "regions": 1,
    "nominal": 4000,
    "outcome": "4 of 4 starts reached the threshold",
    "weighted": True,
} | DRAWS
STATED = {
    "kind": "stated",
    "starts": 0,
    "reached": 0,
    "regions": 0,
    "nominal": 0,
    "outcome": "",
    "weighted": True,
} | DRAWS
NONE = {**STATED, "kind": "none", "weighted": False, "audit": NO_NEED, "canary": None}
REPLICATES = TUNED | {"kind": "replicates", "unit": "replicate", "nominal": 21_000, "audit": NO_NEED, "canary": None}
RAYS = {**NONE, "weighted": True, "unit": "direction", "facts": {"grid_step": 0.5, "grid_change": 0.0}}
LINES = TUNED | {"unit": "line", "facts": {"grid_step": 0.5, "grid_change": 0.0}, "canary": None}
UNSURE = TUNED | {"audit": AUDITED | {"samples": 99}}
FAILED = {"failed_searching": 0, "failed_estimating": 50, "widening": 0.0}
UNAUDITED = AUDITED | {"why": "it was switched off", "climbs": 0, "samples": 0, "reached": 0}
SOUNDED = {"soundings_draws": 1600, "soundings_hits": 40, "soundings_width": 4.2, "soundings_regions": 2}
SOUNDED |= {
    "soundings_whole": True,
    "soundings_failing": 50,
    "soundings_uncovered": 0.0,
    "soundings_log_ratio": 0.0,
    "soundings_error": 0.2,
}
WIDENED = SOUNDED | {
    "search": REPLICATES | {"audit": AUDITED},
    "hits": 20,
    "rows": 20,
    "khat": None,
    "audit_nominal": 0,
}
NOT_HIT = SOUNDED | {"soundings_hits": 0, "soundings_regions": 0, "soundings_failing": 0, "soundings_uncovered": None}
NOT_HIT |= {"soundings_log_ratio": None, "soundings_error": None}


def knowing(**facts):
    return TUNED | {"facts": facts}


def verdict(search=TUNED, relative_error=0.05, **changes):
    stored = {key: value for key, value in GOOD.items() if search["audit"]["climbs"] or not key.startswith("audit_")}
    return judge(stored | changes, relative_error, search)


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
    ("khat", {"khat": 1.5, "known_variance": 2.0}, "trusted"),
    ("khat", {"khat": None, "known_variance": 2.0}, "trusted"),
    ("max_share", {"max_share": 0.049, "known_variance": 2.0}, "trusted"),
    ("max_share", {"max_share": 0.05, "known_variance": 2.0}, "untrusted"),
    ("khat", {"khat": None, "search": NONE}, "trusted"),
    ("khat", {"khat": 5.57, "max_to_mean": 6.0}, "trusted"),
    ("khat", {"khat": 5.57, "max_to_mean": 6.1}, "untrusted"),
    ("khat", {"khat": 5.57, "max_to_mean": 6.0, "weights": 900}, "untrusted"),
    ("khat", {"khat": 5.57, "max_to_mean": 9.9, "weights": 10**6}, "trusted"),
    ("khat", {"khat": 5.57, "max_to_mean": 10.0, "weights": 10**6}, "untrusted"),
    ("khat", {"khat": None, "max_to_mean": 1.0, "weights": 120, "search": LINES}, "trusted"),
    ("khat", {"khat": None, "max_to_mean": 1.0, "weights": 20, "search": LINES}, "caution"),
    ("khat", {"khat": 0.8, "max_to_mean": math.nan}, "untrusted"),
    ("max_share", {"max_share": 0.0199}, "trusted"),
    ("max_share", {"max_share": 0.02}, "caution"),
    ("max_share", {"max_share": 0.0499}, "caution"),
    ("max_share", {"max_share": 0.05}, "untrusted"),
    ("max_share", {"max_share": math.nan}, "untrusted"),
    ("search", {"search": TUNED | {"reached": 2}}, "trusted"),
    ("search", {"search": UNSURE | {"reached": 2}}, "trusted"),
    ("search", {"search": UNSURE | {"reached": 1}}, "caution"),
    ("search", {"search": UNSURE | {"starts": 8, "reached": 3}}, "caution"),
    ("search", {"search": UNSURE | {"regions": 2}}, "trusted"),
    ("search", {"search": TUNED | {"reached": 0}}, "untrusted"),
    ("search", {"search": TUNED | {"starts": 8, "reached": 4}}, "trusted"),
    ("search", {"search": UNSURE | {"starts": 3, "reached": 3}}, "caution"),
    ("search", {"search": UNSURE | {"starts": 1, "reached": 1}}, "caution"),
    ("search", {"search": TUNED | {"starts": 1, "reached": 1}}, "trusted"),
    ("search", {"search": TUNED | {"starts": 1, "reached": 1}, "audit_found": 1}, "caution"),
    ("search", {"search": TUNED | {"regions": 2}}, "trusted"),
    ("search", {"search": UNSURE | {"regions": 3}}, "caution"),
    ("search", {"search": UNSURE | {"starts": 8, "reached": 7, "regions": 4}}, "caution"),
    ("search", {"search": TUNED | {"starts": 8, "reached": 8, "regions": 4}}, "trusted"),
    ("search", {"search": STATED}, "trusted"),
    ("search", {"search": STATED | {"audit": AUDITED | {"samples": 100}}}, "trusted"),
    ("search", {"search": STATED | {"audit": AUDITED | {"samples": 99}}}, "caution"),
    ("search", {"search": STATED | {"audit": UNAUDITED}}, "caution"),
    ("search", {"search": STATED, "audit_found": 1}, "caution"),
    ("search", {"search": STATED, "audit_uncovered": 1e-9}, "caution"),
    ("audit", {"audit_uncovered": 0.0099}, "trusted"),
    ("audit", {"audit_uncovered": 0.01}, "caution"),
    ("audit", {"audit_uncovered": 0.2}, "untrusted"),
    ("audit", {"audit_uncovered": 0.0, "relative_error": 1e-6}, "trusted"),
    ("audit", {"audit_uncovered": 1e-5, "relative_error": 1e-6}, "caution"),
    ("audit", {"audit_uncovered": 0.00299, "relative_error": 0.001}, "trusted"),
    ("audit", {"audit_uncovered": 0.003, "relative_error": 0.001}, "caution"),
    ("audit", {"audit_uncovered": math.nan}, "untrusted"),
    ("audit", {"audit_found": 0, "audit_uncovered": None, "audit_log_ratio": None}, "caution"),
    ("audit", {"search": TUNED | {"audit": UNAUDITED}}, "caution"),
    ("audit", {"audit_log_ratio": None}, "trusted"),
    ("audit_error", {"search": LINES, "audit_error_ratio": 1.99}, "trusted"),
    ("audit_error", {"search": LINES, "audit_error_ratio": 2.0}, "caution"),
    ("audit_error", {"search": LINES, "audit_error_ratio": 4.0}, "untrusted"),
    ("audit_error", {"search": LINES, "audit_error_ratio": math.inf}, "untrusted"),
    ("khat", {"khat": 0.9, "audit_error_ratio": 1.24}, "trusted"),
    ("khat", {"khat": None, "max_to_mean": 1e6, "audit_error_ratio": 1.24}, "trusted"),
    ("khat", {"khat": 0.9, "audit_error_ratio": 1.25}, "untrusted"),
    ("khat", {"khat": 0.9, "audit_error_ratio": 0.9, "search": UNSURE}, "untrusted"),
    ("khat", {"khat": 0.9, "audit_error_ratio": None}, "untrusted"),
    ("max_share", {"max_share": 0.049, "audit_error_ratio": 1.24}, "trusted"),
    ("max_share", {"max_share": 0.05, "audit_error_ratio": 1.24}, "untrusted"),
    ("max_share", {"max_share": 0.03, "audit_error_ratio": 1.25}, "caution"),
    ("audit_level", {"audit_log_ratio": 0.79}, "trusted"),
    ("audit_level", {"audit_log_ratio": -9.0}, "trusted"),
    ("audit_level", {"audit_log_ratio": 0.8}, "caution"),
    ("audit_level", {"audit_log_ratio": 1.6}, "untrusted"),
    ("audit_level", {"audit_log_ratio": 1.49, "audit_log_ratio_error": 0.5}, "trusted"),
    ("audit_level", {"audit_log_ratio": 1.99, "audit_log_ratio_error": 0.5}, "caution"),
    ("audit_level", {"audit_log_ratio": 2.0, "audit_log_ratio_error": 0.5}, "untrusted"),
    ("audit_level", {"audit_log_ratio": 800.0}, "untrusted"),
    ("control", {"control_gap": 0.0899, "control_allowed": 0.05, "relative_error": 0.01}, "trusted"),
    ("control", {"control_gap": 0.0901, "control_allowed": 0.05, "relative_error": 0.01}, "caution"),
    ("control", {"control_gap": 9.0, "control_allowed": 0.05}, "caution"),
    ("soundings", SOUNDED, "trusted"),
    ("soundings", SOUNDED | {"soundings_uncovered": 9e-13}, "trusted"),
    ("soundings", SOUNDED | {"soundings_uncovered": 1e-12}, "caution"),
    ("soundings", SOUNDED | {"soundings_uncovered": 0.199}, "caution"),
    ("soundings", SOUNDED | {"soundings_uncovered": 0.2}, "untrusted"),
    ("soundings", SOUNDED | {"soundings_uncovered": math.nan}, "untrusted"),
    ("soundings", SOUNDED | {"soundings_uncovered": 0.0, "relative_error": 1e-6}, "trusted"),
    ("soundings", SOUNDED | {"soundings_uncovered": None}, "caution"),
    ("soundings", SOUNDED | {"soundings_whole": False}, "caution"),
    ("soundings", NOT_HIT | {"soundings_whole": False}, "trusted"),
    ("soundings", SOUNDED | {"soundings_uncovered": 0.5, "audit_found": 0}, "untrusted"),
    ("soundings", NOT_HIT, "trusted"),
    ("soundings_level", SOUNDED, "trusted"),
    ("soundings_level", SOUNDED | {"soundings_log_ratio": -9.0}, "trusted"),
    ("soundings_level", SOUNDED | {"soundings_log_ratio": 0.0953, "soundings_error": 0.0}, "trusted"),  # 1.09999
    ("soundings_level", SOUNDED | {"soundings_log_ratio": 0.0954, "soundings_error": 0.0}, "caution"),
    ("soundings_level", SOUNDED | {"soundings_log_ratio": 0.6931, "soundings_error": 0.0}, "caution"),
    ("soundings_level", SOUNDED | {"soundings_log_ratio": 0.6932, "soundings_error": 0.0}, "untrusted"),
    ("soundings_level", SOUNDED | {"soundings_log_ratio": math.log(2.7), "soundings_error": 0.2}, "trusted"),
    ("soundings_level", SOUNDED | {"soundings_log_ratio": math.log(2.8), "soundings_error": 0.2}, "caution"),
    ("soundings_level", SOUNDED | {"soundings_log_ratio": math.log(5.1), "soundings_error": 0.2}, "untrusted"),
    ("soundings_level", SOUNDED | {"soundings_log_ratio": 800.0}, "untrusted"),
    ("audit_agreement", WIDENED | {"soundings_log_ratio": 0.7, "audit_log_ratio": 0.2231}, "trusted"),  # 1.25
    ("audit_agreement", WIDENED | {"soundings_log_ratio": 0.2231, "audit_log_ratio": 0.7}, "trusted"),
    ("audit_agreement", WIDENED | {"soundings_log_ratio": 0.4, "audit_log_ratio": 0.2232}, "caution"),
    ("audit_agreement", WIDENED | {"soundings_log_ratio": 0.2232, "audit_log_ratio": 0.4}, "caution"),
    ("audit_agreement", WIDENED | {"soundings_log_ratio": 0.6932, "audit_log_ratio": 0.6932}, "untrusted"),
    ("nominal_hits", {"audit_nominal_chance": 1.1e-3}, "trusted"),
    ("nominal_hits", {"audit_nominal_chance": 1e-3}, "caution"),
    ("nominal_hits", {"audit_nominal_chance": 1e-5}, "untrusted"),
    ("canary", {"search": TUNED | {"canary": CANARY | {"z": -3.99}}}, "trusted"),
    ("canary", {"search": TUNED | {"canary": CANARY | {"z": -4.0}}}, "caution"),
    ("canary", {"search": TUNED | {"canary": CANARY | {"z": 5.0}}}, "untrusted"),
    ("canary", {"search": TUNED | {"canary": CANARY | {"z": None, "ratio": None, "regions": 0}}}, "caution"),
    ("search", {"search": knowing(searched=1.0)}, "trusted"),
    ("search", {"search": knowing(searched=1.0) | {"starts": 1, "reached": 1}}, "trusted"),
    ("search", {"search": knowing(searched=1.0) | {"reached": 0}}, "untrusted"),
    ("uncovered", {"search": knowing(uncovered=0.049)}, "trusted"),
    ("uncovered", {"search": knowing(uncovered=0.05)}, "caution"),
    ("uncovered", {"search": knowing(uncovered=0.2)}, "untrusted"),
    ("unseen_regions", {"search": knowing(unseen_regions=0.099)}, "trusted"),
    ("unseen_regions", {"search": knowing(unseen_regions=0.1)}, "caution"),
    ("unseen_regions", {"search": knowing(unseen_regions=0.5)}, "untrusted"),
    ("unseen_regions", {"search": knowing(unseen_regions=0.5, unseen_walks=16.0)}, "untrusted"),
    ("unseen_regions", {"search": knowing(unseen_regions=1.0, unseen_walks=15.0)}, "caution"),
    ("unseen_regions", {"search": knowing(unseen_regions=0.09, unseen_walks=4.0)}, "trusted"),
    ("grid", {"search": knowing(grid_step=1.0, grid_change=0.01)}, "trusted"),
    ("grid", {"search": knowing(grid_step=1.0, grid_change=0.011)}, "caution"),
    ("grid", {"search": knowing(grid_step=1.0, grid_change=0.1)}, "caution"),
    ("grid", {"search": knowing(grid_step=1.0, grid_change=0.11)}, "untrusted"),
    ("grid", {"search": knowing(grid_step=1.0)}, "caution"),
    ("replicates", {"search": REPLICATES, "rows": 10, "hits": 9}, "trusted"),
    ("replicates", {"search": REPLICATES, "rows": 9, "hits": 9}, "caution"),
    ("replicates", {"search": REPLICATES, "rows": 20, "hits": 17}, "caution"),
    ("replicates", {"search": REPLICATES, "rows": 20, "hits": 9}, "untrusted"),
    ("replicates", {"search": REPLICATES, "rows": 5, "hits": 3}, "untrusted"),
    ("replicates", {"search": REPLICATES, "rows": 5, "hits": 4}, "caution"),
    ("replicates", {"search": REPLICATES, "rows": 20, "hits": 10}, "caution"),
    ("replicates", {"search": REPLICATES, "rows": 20, "hits": 18}, "trusted"),
    ("khat", {"search": REPLICATES, "rows": 20, "khat": 0.6}, "caution"),
    ("failures", FAILED | {"widening": 0.1}, "trusted"),
    ("failures", FAILED | {"widening": 0.11}, "caution"),
    ("failures", FAILED | {"widening": 1.0}, "caution"),
    ("failures", FAILED | {"widening": 1.01}, "untrusted"),
    ("failures", FAILED | {"widening": None}, "untrusted"),
    ("failures", FAILED | {"failed_estimating": 9}, "trusted"),
    ("failures", FAILED | {"failed_estimating": 9, "failed_searching": 1}, "caution"),
    ("failures", FAILED | {"failed_estimating": 10, "failed_searching": 1}, "trusted"),
    ("failures", FAILED | {"failed_estimating": 0, "failed_searching": 1}, "caution"),
    ("failures", FAILED | {"failed_estimating": 9, "failed_searching": 1, "search": NONE}, "trusted"),
    ("interrupted", {"search": TUNED | {"interrupted": True}}, "caution"),
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


NO_CANARY = CANARY | {"z": None, "ratio": None, "regions": 0}

MESSAGES = [
    ("hits", {}, 1000, "1,000 draws hit the event (100 wanted)"),
    ("ess", {"ess": 1234.5}, 1234.5, "the effective number of hits is 1,234 (50 wanted)"),
    ("relative_error", {}, 0.05, "the relative error is 5.00% (10 % wanted)"),
    ("relative_error", {"relative_error": None}, math.inf, "the relative error is inf% (10 % wanted)"),
    ("khat", {}, 0.2, "tail shape k-hat 0.20: the weights have a finite variance (below 0.5 wanted)"),
    (
        "khat",
        {"khat": 0.6},
        0.6,
        ("tail shape k-hat 0.60: the variance of the weights may be infinite (below 0.5 wanted)"),
    ),
    (
        "khat",
        {"khat": 0.5},
        0.5,
        ("tail shape k-hat 0.50: the variance of the weights may be infinite (below 0.5 wanted)"),
    ),
    ("khat", {"khat": None}, None, "too few different weights to see their tail"),
    ("khat", {"search": NONE}, None, "all weights are equal"),
    (
        "khat",
        {"khat": 5.57, "max_to_mean": 6.0},
        5.57,
        "tail shape k-hat 5.57, but the largest weight is only 6 times the mean weight: too little to matter",
    ),
    (
        "khat",
        {"khat": None, "max_to_mean": 6.0},
        None,
        "the largest weight is only 6 times the mean weight: too little to matter",
    ),
    ("max_share", {}, 0.01, "the largest weight carries 1.00% of the estimate (under 2 % wanted)"),
    ("search", {}, 4, "4 of 4 starts reached the threshold, in 1 region"),
    ("search", {"search": knowing(searched=1.0)}, 4, "4 of 4 starts reached the threshold"),
    (
        "search",
        {"search": STATED},
        None,
        "the proposal was stated, not found by a search; the audit has looked for regions that it misses",
    ),
    (
        "search",
        {"search": STATED, "audit_uncovered": 0.004},
        None,
        "the proposal was stated, not found by a search, and the audit found a part of the event where it hardly draws",
    ),
    (
        "search",
        {"search": STATED, "audit_found": 0},
        None,
        "the proposal was stated, not found by a search: a failure region away from it would not be seen",
    ),
    (
        "search",
        {"search": TUNED | {"starts": 1, "reached": 1}},
        1,
        "4 of 4 starts reached the threshold, in 1 region; 4 starts wanted; two starts per region wanted: some "
        "regions may not have been reached by any start; the audit has looked for missed regions",
    ),
    (
        "audit",
        {},
        0.0,
        "the estimate makes hardly any draws in 0.0% of the failure probability found by 2 climbs with 500 draws "
        "per level that do not use the proposal (1.00% allowed)",
    ),
    (
        "audit",
        {"search": REPLICATES | {"audit": AUDITED}, "hits": 20, "rows": 20, "khat": None, "audit_nominal": 0},
        0.0,
        "replicates hardly come near 0.0% of the failure probability found by 2 climbs with 500 draws per level "
        "from a widened target (1.00% allowed)",
    ),
    (
        "audit_agreement",
        WIDENED | {"soundings_log_ratio": math.log(1.5), "audit_log_ratio": math.log(1.3)},
        math.log(1.3),
        "climbs and soundings both put the probability at 1.3 times the estimate or more (1.25 allowed)",
    ),
    (
        "audit_error",
        {"search": LINES, "audit_error_ratio": 1.234},
        1.234,
        "the relative error computed from the failing draws of the audit is 1.23 times the reported one (2 allowed)",
    ),
    (
        "khat",
        {"khat": 0.9, "audit_error_ratio": 1.2},
        0.9,
        "tail shape k-hat 0.90, but the relative error computed from the failing draws of the audit is only 1.20 "
        "times the reported one",
    ),
    (
        "max_share",
        {"audit_error_ratio": 1.2},
        0.01,
        ("the largest weight carries 1.00% of the estimate (under 5 % wanted)"),
    ),
    ("audit", {"search": TUNED | {"audit": UNAUDITED}}, None, "no audit was made: it was switched off"),
    (
        "audit",
        {"audit_found": 0},
        None,
        "none of 2 climbs with 500 draws per level that do not use the proposal reached the event: they cannot say "
        "what the estimate misses",
    ),
    ("audit_level", {"audit_log_ratio": 0.0}, 0.0, "the climbs put the probability at 1 times the estimate"),
    (
        "audit_level",
        {"audit_log_ratio": 800.0},
        800.0,
        "the climbs put the probability at 1.01e+304 times the estimate",
    ),
    (
        "soundings",
        SOUNDED | {"soundings_uncovered": 0.125},
        0.125,
        "40 of 1,600 draws widened to standard deviation 4.2 hit the event, in 2 regions; the estimate makes "
        "hardly any draws in 12.5% of the event there (none wanted)",
    ),
    (
        "soundings",
        SOUNDED | {"soundings_uncovered": 3e-7},
        3e-7,
        "40 of 1,600 draws widened to standard deviation 4.2 hit the event, in 2 regions; the estimate makes "
        "hardly any draws in a part of the event there: the soundings see a share of 3e-07, but the part may be "
        "larger (none wanted)",
    ),
    (
        "soundings",
        SOUNDED | {"soundings_uncovered": None, "soundings_regions": 1, "soundings_width": 6.0},
        None,
        "40 of 1,600 draws widened to standard deviation 6 hit the event, in 1 region, but no typical failing draw "
        "was found there",
    ),
    (
        "soundings",
        SOUNDED | {"soundings_whole": False},
        None,
        "40 of 1,600 draws widened to standard deviation 4.2 hit the event, in 2 regions; the evaluations for "
        "soundings ran out before it was known what the estimate misses",
    ),
    (
        "soundings",
        NOT_HIT,
        None,
        "none of 1,600 draws widened to standard deviation 4.2 hit the event: they give no evidence",
    ),
    (
        "soundings_level",
        SOUNDED | {"soundings_log_ratio": math.log(1.5), "soundings_error": 0.25},
        math.log(1.5),
        "the soundings put the probability at 1.5 times the estimate, with a relative error of 25%",
    ),
    (
        "nominal_hits",
        {"audit_nominal_hits": 3, "audit_nominal_chance": 0.25},
        3,
        "3 of the 1,000 draws of the target that began the climbs hit the event (probability of at least so many, "
        "if the estimate is right: 0.25)",
    ),
    (
        "canary",
        {},
        -1.5,
        "the estimated probability of test regions is 0.980 times the known one, "
        "1.5 standard errors off (under 4 wanted)",
    ),
    (
        "canary",
        {"search": TUNED | {"canary": NO_CANARY}},
        None,
        "the density of the proposal could not be tested, because the weights of 10,000 draws around its "
        "components are too uneven; this is missing evidence, not a finding",
    ),
    (
        "grid",
        {"search": LINES},
        0.0,
        "halving the grid step changes the estimates of a trial by 0.00% (1 % allowed)",
    ),
    (
        "grid",
        {"search": knowing(grid_step=0.5)},
        None,
        "the grid step of 0.5 standard deviations was not compared with a finer one: no trial met the event, or "
        "the budget was too small",
    ),
    (
        "uncovered",
        {"search": knowing(uncovered=0.04)},
        0.04,
        "4.0% of the failure probability seen so far lies where the proposal makes hardly any draws (under 5 % wanted)",
    ),
    (
        "unseen_regions",
        {"search": knowing(unseen_regions=0.04)},
        0.04,
        "about 4.0% of the failure regions may not have been found (under 10 % wanted)",
    ),
    (
        "unseen_regions",
        {"search": knowing(unseen_regions=1.0, unseen_walks=4.0)},
        None,
        "4 walks uphill cannot show how many failure regions there are: this is missing evidence, not a finding "
        "(16 walks, or two per region, would be enough)",
    ),
    (
        "replicates",
        {"search": REPLICATES, "rows": 12, "hits": 11},
        11,
        "11 of 12 independent replicates reached the event",
    ),
    (
        "replicates",
        {"search": REPLICATES, "rows": 10, "hits": 9},
        9,
        "9 of 10 independent replicates reached the event",
    ),
    (
        "replicates",
        {"search": REPLICATES, "rows": 9, "hits": 9},
        9,
        "9 of 9 independent replicates reached the event; 10 wanted",
    ),
    (
        "failures",
        FAILED | {"widening": 0.05},
        0.05,
        "50 rows of the estimate failed: counting them as safe at the lower end and as failing at the upper end "
        "widens the interval by 0.05 of its width (10% allowed)",
    ),
    (
        "failures",
        FAILED | {"failed_estimating": 9, "failed_searching": 1, "widening": None},
        math.inf,
        "9 rows of the estimate failed: counting them as safe at the lower end and as failing at the upper end "
        "widens the interval by inf of its width (10% allowed); but 1 of the rows of the search failed: the proposal "
        "may avoid such rows, and the upper end may then be too low",
    ),
    (
        "interrupted",
        {"search": TUNED | {"interrupted": True}},
        None,
        "the run was interrupted: this is the estimate so far",
    ),
    ("data", {"hits": 0}, 0.0, "no draw hit the event: only an upper bound is known"),
]


@pytest.mark.parametrize(("name", "changes", "value", "message"), MESSAGES)
def test_each_check_has_its_number_and_says_it(name, changes, value, message):
    got = check(name, **changes)
    assert (got.value, got.message) == (value, message)


@pytest.mark.parametrize(("name", "changes", "status"), LIMITS)
def test_a_check_that_is_trusted_needs_no_advice_and_another_has_its_own(name, changes, status):
    """All other numbers are good; a stated proposal without an audit lacks that too."""
    others = [c.name for c in verdict(**changes).checks if c.status is not Status.TRUSTED and c.name != name]
    assert len(verdict(**changes).advice) == len({ADVICE[n] for n in [*others, *([name] * (status != "trusted"))]})


GRANTED = ("shrinkage", "columns", "simple_returns", "log_returns")


@pytest.mark.parametrize(
    ("assumptions", "name", "status", "message"),
    [
        (
            {"below_total_loss": 0.05 * math.exp(-15.0) * 0.999},
            "simple_returns",
            "trusted",
            "with probability 1.5e-08: at most 5.0% of this event (5% allowed)",
        ),
        ({"below_total_loss": 0.051 * math.exp(-15.0)}, "simple_returns", "caution", "at most 5.1% of this event"),
        ({"below_total_loss": 0.1}, "simple_returns", "caution", "at most all of this event"),
        ({"below_total_loss": None}, "simple_returns", "trusted", "their effect on this number is not known"),
        (
            {"log_returns": True, "gross": 5.0},
            "log_returns",
            "caution",
            "at a loss of 20.2% of all positions, this makes up about",
        ),
        (
            {"shrinkage": 0.25, "correlation_moved": 0.3, "loss_std_ratio": 0.96},
            "shrinkage",
            "trusted",
            "the fit shrinks correlations towards 0 by 25.00%: the standard deviation of the loss is 0.96 times "
            "its value in the sample (a change of 5% allowed)",
        ),
        ({"shrinkage": 0.25, "correlation_moved": 0.0, "loss_std_ratio": 0.94}, "shrinkage", "caution", ""),
        ({"shrinkage": 0.25, "correlation_moved": 0.0, "loss_std_ratio": 1.06}, "shrinkage", "caution", ""),
        ({"shrinkage": 0.9, "correlation_moved": 0.1, "loss_std_ratio": None}, "shrinkage", "trusted", ""),
        (
            {"shrinkage": 0.9, "correlation_moved": 0.11},
            "shrinkage",
            "caution",
            "the fit shrinks correlations towards 0 by 90.00%, none by more than 0.11 (0.1 allowed)",
        ),
        (
            {"dependent_columns": ["column 'B' is a copy of column 'A'", "column 'D' is a copy of column 'C'"]},
            "columns",
            "caution",
            "column 'B' is a copy of column 'A'; and 1 more like it: the fit treats them as different risks",
        ),
    ],
)
def test_18_2_what_a_fit_takes_for_granted_is_judged(assumptions, name, status, message):
    found = verdict(search=TUNED | {"assumptions": assumptions}, share_of_gross=0.202)
    assert [c.name for c in found.checks if c.name in GRANTED] == [name]
    looked_at = check(name, search=TUNED | {"assumptions": assumptions}, share_of_gross=0.202)
    assert looked_at.status == status == found.status
    assert message in looked_at.message
    assert found.advice == (() if status == "trusted" else (ADVICE[name],))


def test_nothing_is_said_of_failures_interruptions_or_a_canary_where_there_were_none():
    names = {c.name for c in verdict(search=TUNED | {"canary": None, "interrupted": False}).checks}
    assert names == {
        "hits",
        "ess",
        "relative_error",
        "khat",
        "max_share",
        "search",
        "audit",
        "audit_level",
        "nominal_hits",
    }
    names = {c.name for c in verdict(failed_searching=0, failed_estimating=0).checks}
    assert "failures" not in names


@pytest.mark.parametrize(
    ("found", "names"),
    [
        ({}, ["audit", "audit_level", "nominal_hits"]),
        ({"audit_found": 0}, ["audit", "nominal_hits"]),
        ({"audit_log_ratio": None}, ["audit", "nominal_hits"]),
        ({"audit_error_ratio": 1.0}, ["audit", "audit_level", "nominal_hits"]),
        ({"audit_error_ratio": 1.0, "search": LINES}, ["audit", "audit_error", "audit_level", "nominal_hits"]),
        ({"audit_nominal": 0, "audit_nominal_hits": 0}, ["audit", "audit_level"]),
        ({"audit_nominal": 0, "audit_found": 0}, ["audit"]),
        (WIDENED, ["audit", "audit_level", "audit_agreement"]),
        (WIDENED | {"soundings_log_ratio": None}, ["audit", "audit_level"]),
        (WIDENED | {"audit_log_ratio": None}, ["audit"]),
    ],
)
def test_the_audit_has_up_to_four_checks(found, names):
    got = [c.name for c in verdict(**found).checks]
    assert [name for name in got if name.startswith("audit") or name == "nominal_hits"] == names


@pytest.mark.parametrize(
    ("found", "names"),
    [
        ({}, []),
        (SOUNDED, ["soundings", "soundings_level"]),
        (SOUNDED | {"audit_found": 0}, ["soundings", "soundings_level"]),
        (SOUNDED | {"soundings_log_ratio": None}, ["soundings"]),
        (SOUNDED | {"soundings_error": None}, ["soundings"]),
        (SOUNDED | {"soundings_uncovered": None}, ["soundings"]),
        (SOUNDED | {"soundings_whole": False}, ["soundings"]),
        (NOT_HIT, ["soundings"]),
        (SOUNDED | {"search": TUNED | {"audit": UNAUDITED}}, []),
        (SOUNDED | {"search": NONE}, []),
    ],
)
def test_soundings_have_up_to_two_checks(found, names):
    """None without them: in a folder from before they were made, or where there was no audit."""
    assert [c.name for c in verdict(**found).checks if c.name.startswith("soundings")] == names


def test_the_worse_of_soundings_and_climbs_decides():
    for changes in ({"soundings_uncovered": 0.5}, {"audit_uncovered": 0.5}):
        assert verdict(**(SOUNDED | changes)).status is Status.UNTRUSTED
    assert verdict(**SOUNDED).status is Status.TRUSTED


def test_both_checks_of_the_soundings_give_one_advice():
    got = verdict(**(SOUNDED | {"soundings_uncovered": 0.5, "soundings_log_ratio": 3.0}))
    assert len(got.advice) == 1
    assert "each limit state separately" in got.advice[0]


def test_a_folder_from_before_the_error_was_audited_is_judged_without_it():
    old = {name: value for name, value in GOOD.items() if name != "audit_error_ratio"}
    assert judge(old, 0.02, TUNED).status is Status.TRUSTED


def test_a_bound_still_says_what_was_searched_and_what_failed():
    lost = FAILED | {"hits": 0, "self_information_nats": None}
    got = verdict(search=TUNED | {"interrupted": True}, relative_error=None, **lost)
    assert [c.name for c in got.checks] == ["data", "search", "failures", "interrupted"]
    assert got.advice == (
        "check the threshold: the event may be impossible",
        "raise stop.max_evaluations, or the samples per level of the tuning",
    )
    assert got.hidden_mass_bound == pytest.approx(-math.log(0.05) / 5000)
    crude_ = verdict(search=NONE, relative_error=None, hits=0, self_information_nats=None)
    assert [c.name for c in crude_.checks] == ["data"]
    assert len(crude_.advice) == 1


SCOPES = [
    ({"search": NONE}, "all failure regions: every draw came from the target itself"),
    (
        {"search": RAYS},
        "all failure regions that the grid sees: every direction came from the target itself; a part of the event "
        "that is narrower than 0.5 standard deviations along a line may be missed",
    ),
    ({"search": STATED | {"audit": UNAUDITED}}, "the failure regions that the stated proposal covers"),
    (
        {"self_information_nats": 1.0},
        "all failure regions: any part of the event that 5,000 draws of the target missed is small beside the estimate",
    ),
    (
        {"search": LINES},
        "failure regions that can be reached by following rising losses from the 5,000 first draws of the search "
        "and the audit; an isolated region with a probability of up to 0.0006 (95 % confidence) cannot be "
        "excluded; a part of the event that is narrower than 0.5 standard deviations along a line may be missed",
    ),
]


@pytest.mark.parametrize(("changes", "scope"), SCOPES)
def test_the_scope_says_what_a_number_is_trusted_for(changes, scope):
    assert verdict(**changes).scope == scope


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "4 of 4 starts reached the threshold, in 1 region"),
        ({"regions": 2}, "4 of 4 starts reached the threshold, in 2 regions"),
        ({"reached": 0, "outcome": "none"}, "none"),
        ({"starts": 2, "reached": 2}, "4 of 4 starts reached the threshold, in 1 region; 4 starts wanted"),
        (
            {"regions": 3},
            "4 of 4 starts reached the threshold, in 3 regions; two starts per region wanted: some regions may not "
            "have been reached by any start",
        ),
    ],
)
def test_the_search_says_where_its_starts_ended_and_how_many_are_wanted(changes, message):
    assert check("search", search=UNSURE | changes).message == message


def test_good_numbers_are_trusted_without_advice():
    got = verdict()
    assert (got.status, got.advice) == (Status.TRUSTED, ())
    data, audit = (
        ["hits", "ess", "relative_error", "khat", "max_share"],
        ["audit", "audit_level", "nominal_hits"],
    )
    assert [c.name for c in got.checks] == [*data, "search", *audit, "canary"]


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
    nothing = {"hits": 0, "ess": 0.0, "max_share": None, "khat": None, "self_information_nats": None}
    got = verdict(search=search, relative_error=None, **nothing)
    assert got.status is Status.BOUND_ONLY
    assert got.checks[0].name == "data"
    assert advice in " ".join(got.advice)


def test_hidden_mass_is_three_over_the_draws_of_the_target():
    got = verdict()
    assert got.hidden_mass_bound == pytest.approx(3.0 / 5000, rel=0.01)
    assert "5,000 first draws of the search and the audit" in got.scope
    assert "0.0006" in got.scope
    assert verdict(search=STATED).hidden_mass_bound == pytest.approx(3.0 / 1000, rel=0.01)
    assert verdict(search=STATED | {"audit": UNAUDITED}).hidden_mass_bound is None


@pytest.mark.parametrize(("log_p", "unconditional"), [(math.log(0.0024), True), (math.log(0.0023), False)])
def test_a_bound_that_is_small_beside_the_estimate_leaves_no_condition(log_p, unconditional):
    """Three over 5,000 draws is a quarter of 0.0024."""
    got = verdict(self_information_nats=-log_p)
    assert got.scope.startswith("all failure regions") is unconditional
    assert got.hidden_mass_bound == pytest.approx(3.0 / 5000, rel=0.01)


@pytest.mark.parametrize("extent", ["quick", "full"])
def test_no_audit_says_why(extent):
    got = check("audit", search=TUNED | {"audit": UNAUDITED | {"extent": extent}})
    assert got.message == "no audit was made: it was switched off"


def test_replicates_climb_from_all_their_first_levels():
    got = verdict(search=REPLICATES, rows=20, hits=20, khat=None)
    assert got.status is Status.TRUSTED
    assert [c.name for c in got.checks] == ["replicates", "relative_error"]
    assert "21,000 first draws of all runs" in got.scope
    assert got.hidden_mass_bound == pytest.approx(3.0 / 21_000, rel=0.01)


@pytest.mark.parametrize("search", [RAYS, LINES], ids=["rays", "lines"])
def test_a_grid_limits_the_scope(search):
    got = verdict(search=search)
    assert got.status is Status.TRUSTED
    assert "narrower than 0.5 standard deviations along a line may be missed" in got.scope
    assert not got.scope.startswith("all failure regions:")


@pytest.mark.parametrize(
    ("search", "words"),
    [
        (NONE, "1,000 draws hit the event (100 wanted)"),
        (LINES, "1,000 lines met the event (100 wanted)"),
        (RAYS, "1,000 directions met the event (100 wanted)"),
    ],
)
def test_rows_are_called_what_they_are(search, words):
    got = verdict(search=search)
    assert [c.message for c in got.checks][:2] == [words, "the effective number of hits is 500 (50 wanted)"]
    none = verdict(search=search, hits=0, self_information_nats=None)
    assert none.checks[0].message == f"no {search['unit']} {words.split()[2]} the event: only an upper bound is known"


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


@pytest.mark.parametrize(
    ("search", "wanted"),
    [
        (TUNED | {"canary": NO_CANARY}, "compare with method crude, or with a proposal of fewer or wider components"),
        (knowing(unseen_regions=1.0, unseen_walks=4.0), "these walks are too few to count the regions"),
    ],
    ids=["canary", "unseen_regions"],
)
def test_18_9_a_check_that_could_not_be_made_says_what_it_would_take(search, wanted):
    """Missing evidence is caution, and neither a bug nor a reason not to use the number."""
    found = verdict(search=search)
    assert found.status is Status.CAUTION
    assert any("missing evidence, not a finding" in check.message for check in found.checks)
    (advice,) = found.advice
    assert wanted in advice
    assert "bug" not in advice
    assert "do not use" not in advice


def test_18_9_every_check_without_a_value_has_advice_of_its_own():
    """A check that warns and has no value could not be made: its advice is not that of one that failed."""
    assert set(MISSING) <= set(ADVICE)
    assert not any(MISSING[name] == ADVICE[name] for name in MISSING)
    assert not any("bug" in advice for advice in MISSING.values())
