"""What the methods whose rows are replicates of a population have in common: answers, budgets, endings and options."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from scipy import stats

from raresim import Probability, PythonLoss, StandardNormal
from raresim.config import load as configs
from raresim.engine.executors import Executor
from raresim.errors import FieldError
from raresim.methods.sequential import SequentialImportance
from raresim.methods.splitting import Splitting
from raresim.methods.subset_simulation import SubsetSimulation
from raresim.record.verdict import Status
from tests.helpers import assert_intervals_of_replicates_cover, runs_of
from tests.problems import (
    Case,
    below,
    capped,
    constant,
    linear_normal,
    several,
    solve,
    student,
    total,
    two_sided,
)
from tests.statistical import assert_log_within_error, assert_within_error

SUBSET, SEQUENTIAL, SPLITTING = SubsetSimulation, SequentialImportance, Splitting
USUAL = SEQUENTIAL(samples=300, steps=5, target_cv=1.0)


def assert_answers_are_exact(result, exact):
    for estimate, value in zip(result.estimates, exact, strict=True):
        rows = estimate.diagnostics["rows"]
        assert_log_within_error(estimate.value, value, estimate.relative_error, rows - 1)


# --- answers -----------------------------------------------------------------------------------------

ANSWERED = [
    *(
        (SUBSET(), 431, case)
        for case in (linear_normal(1, 3.0), linear_normal(20, 4.0), two_sided(3, 5.0), below(4.0), student(3.0, 1e-5))
    ),
    *((USUAL, 471, case) for case in (linear_normal(3, 4.0), two_sided(3, 4.0), below(4.0))),
    *((SPLITTING(), 491, case) for case in (linear_normal(3, 5.0), two_sided(3, 4.0), below(4.0))),
]


@pytest.mark.parametrize(
    ("method", "literal", "case"), [pytest.param(*each, id=f"{each[0].kind}-{each[2].name}") for each in ANSWERED]
)
@pytest.mark.statistical(effect=4, false_fail=1e-7, false_pass=1e-3)
def test_answer_is_exact_within_its_error(method, literal, case, seed):
    """5 standard errors of 10 %, by Student's t of at least 9 degrees of freedom."""
    result = solve(case, seed(literal), method=method, relative_error=0.1)
    assert_answers_are_exact(result, case.exact)
    (estimate,) = result.estimates
    assert estimate.diagnostics["rows"] >= 10
    assert estimate.relative_error <= 0.1
    assert estimate.interval_kind.startswith("log scale, t with")
    assert result.verdict.status is not Status.UNTRUSTED
    assert result.evaluations["tune"] == sum(row.evaluations for row in result.iterations)
    assert result.search["unit"] == "replicate"


@pytest.mark.parametrize(
    ("method", "literal", "relative_error"),
    [
        pytest.param(SUBSET(), 432, 0.08, marks=pytest.mark.slow),
        (USUAL, 472, 0.1),
        (SPLITTING(samples=200, killed=50), 492, 0.2),
    ],
    ids=["subset", "sequential", "splitting"],
)
@pytest.mark.statistical(effect=3, false_fail=3e-7, false_pass=1e-3)
def test_several_events_are_exact_within_their_errors(method, literal, relative_error, seed):
    case = several(2.0, 4.0, 3.0)
    result = solve(case, seed(literal), method=method, relative_error=relative_error)
    assert_answers_are_exact(result, case.exact)
    assert len({estimate.diagnostics["rows"] for estimate in result.estimates}) == 1  # all read from the same runs


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "literal", "coverage"),
    [
        (SUBSET(samples=200), 433, 0.93),
        (SEQUENTIAL(samples=200, steps=5, target_cv=1.0), 474, 0.95),
        (SPLITTING(samples=100, killed=20), 484, 0.95),
    ],
    ids=["subset", "sequential", "splitting"],
)
@pytest.mark.statistical(effect=1.2, false_fail=2e-7, false_pass=1e-3)
def test_intervals_cover(method, literal, coverage, seed):
    """From ten runs each to 4e-3; for climbs of subset simulation 0.93 were seen in long runs."""
    done = runs_of(method, total, 2.65, seed(literal), 560, d=1)
    values = np.exp([run.log_probabilities[0] for run in done]).reshape(56, 10)
    assert_intervals_of_replicates_cover(values, stats.norm.sf(2.65), coverage)


@pytest.mark.parametrize(
    ("method", "literal", "relative_error"),
    [(SUBSET(samples=200), 435, 0.2), (USUAL, 473, 0.3), (SPLITTING(samples=100, killed=30), 493, 0.3)],
    ids=["subset", "sequential", "splitting"],
)
def test_workers_change_no_digit(method, literal, relative_error, seed):
    case, options = linear_normal(2, 3.0), {"method": method, "relative_error": relative_error}
    one = solve(case, seed(literal), **options)
    with Executor.of("threads", 2) as executor:
        two = solve(case, seed(literal), executor, **options)
    assert one.estimates[0].value == two.estimates[0].value
    assert one.estimates[0].std_error == two.estimates[0].std_error
    np.testing.assert_array_equal(one.arrays.loss, two.arrays.loss)
    np.testing.assert_array_equal(one.arrays.log_weight, two.arrays.log_weight)


# --- how a run may end -------------------------------------------------------------------------------

STALLED = "the pilot run ended early: level stalled after "
ENDINGS = [
    (SUBSET(), capped, f"{STALLED}3 levels: no draw has a larger loss than the others"),
    (SEQUENTIAL(samples=100, steps=5, max_levels=30), capped, STALLED),
    (SEQUENTIAL(samples=100, steps=5), constant, f"{STALLED}1 levels: no draw has a larger loss than the others"),
    (SPLITTING(samples=100, killed=30), capped, STALLED),
    (SPLITTING(samples=100, killed=30), constant, f"{STALLED}1 levels: no particle has a larger loss than the others"),
]


@pytest.mark.parametrize(
    ("method", "function", "outcome"),
    [pytest.param(*each, id=f"{each[0].kind}-{each[1].__name__}") for each in ENDINGS],
)
def test_impossible_event_gives_a_bound_and_a_name(method, function, outcome, seed):
    case = Case("c", StandardNormal(dim=2), PythonLoss(function=function), Probability(above=3.0), ())
    result = solve(case, seed(441), method=method, max_evaluations=40_000)
    assert result.verdict.status is Status.BOUND_ONLY
    assert result.search["outcome"].startswith(outcome)
    assert "has a larger loss than the others" in result.search["outcome"]
    assert result.iterations[-1].note.startswith("level stalled")
    assert result.estimates[0].value == 0.0
    assert result.evaluations["total"] <= 40_000


@pytest.mark.parametrize(
    ("method", "literal", "budget"),
    [(SUBSET(), 443, 6_000), (SEQUENTIAL(), 476, 10_000), (SPLITTING(), 496, 10_000)],
    ids=["subset", "sequential", "splitting"],
)
def test_a_pilot_takes_at_most_half_of_the_budget(method, literal, budget, seed):
    result = solve(linear_normal(3, 6.0), seed(literal), method=method, max_evaluations=budget)
    spent = f"the pilot run ended early: budget of {budget // 2:,} evaluations spent after "
    assert result.search["outcome"].startswith(spent)
    assert result.evaluations["tune"] <= budget // 2
    assert result.evaluations["total"] <= budget
    assert result.verdict.status is Status.BOUND_ONLY


@pytest.mark.parametrize(
    ("method", "levels"), [(SUBSET(max_levels=2), 2), (SEQUENTIAL(max_levels=3), 3)], ids=["subset", "sequential"]
)
def test_too_few_levels_are_named(method, levels, seed):
    result = solve(linear_normal(3, 5.0), seed(475), method=method, max_evaluations=40_000)
    assert result.search["outcome"] == f"the pilot run ended early: threshold not reached in {levels} levels"


@pytest.mark.parametrize(
    ("method", "threshold"),
    [*((SUBSET(), t) for t in (-1e300, -20.0, 0.0)), (SEQUENTIAL(target_cv=1.5), 0.0)],
    ids=["all", "nearly all", "half", "half-sequential"],
)
@pytest.mark.statistical(effect=0.12, false_fail=1e-7, false_pass=1e-3)
def test_event_that_is_not_rare_is_drawn_from_the_target(method, threshold, seed):
    result = solve(linear_normal(2, threshold), seed(444), method=method, relative_error=0.01)
    (estimate,) = result.estimates
    assert_within_error(estimate.value, stats.norm.sf(threshold), max(estimate.std_error, 1e-12))
    assert estimate.interval_kind.startswith("exact")
    assert result.search["outcome"].startswith("the event is not rare")


# --- options -----------------------------------------------------------------------------------------

MOVES = "moves: unknown value 'pcn' (allowed: adaptive, elliptical_slice)"
ELLIPTICAL = {"moves": "elliptical_slice"}
REFUSED = [
    (SUBSET, {"samples": 10}, "samples: must be at least 50, got 10"),
    (SUBSET, {"rarity": 0.6}, "rarity: must be above 0 and at most 0.5, got 0.6"),
    (SUBSET, {"max_levels": 0}, "max_levels: must be at least 1, got 0"),
    (SEQUENTIAL, {"samples": 10}, "samples: must be at least 50, got 10"),
    (SEQUENTIAL, {"target_cv": 0}, "target_cv: must be positive and finite, got 0"),
    (SEQUENTIAL, {"steps": 0}, "steps: must be at least 1, got 0"),
    (SEQUENTIAL, {"max_levels": 0.5}, "max_levels: must be a whole number, got 0.5"),
    (SPLITTING, {"samples": 10}, "samples: must be at least 20, got 10"),
    (SPLITTING, {"killed": 0}, "killed: must be at least 1, got 0"),
    (SPLITTING, {"samples": 100, "killed": 51}, "killed: must be at most half of the 100 samples, got 51"),
    (SPLITTING, {"steps": 0}, "steps: must be at least 1, got 0"),
    *((kind, {"moves": "pcn"}, MOVES) for kind in (SUBSET, SEQUENTIAL, SPLITTING)),
]


@pytest.mark.parametrize(("kind", "options", "message"), REFUSED)
def test_wrong_options_are_refused(kind, options, message):
    with pytest.raises(FieldError) as caught:
        kind(**options)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("kind", "given", "change"),
    [
        *((SUBSET, {"samples": 100}, each) for each in ({"samples": 200}, {"rarity": 0.2}, ELLIPTICAL)),
        *(
            (SEQUENTIAL, {"samples": 80, "steps": 3}, each)
            for each in ({"samples": 100}, {"target_cv": 0.8}, {"steps": 4}, ELLIPTICAL)
        ),
        *(
            (SPLITTING, {"samples": 60, "killed": 20, "steps": 2}, each)
            for each in ({"samples": 80}, {"killed": 10}, {"steps": 4}, ELLIPTICAL)
        ),
    ],
)
def test_every_option_changes_the_result(kind, given, change, seed):
    plain, other = (runs_of(kind(**options), total, 2.0, seed(497), 1)[0] for options in (given, given | change))
    assert (plain.evaluations, plain.log_probabilities[0]) != (other.evaluations, other.log_probabilities[0])


YAML = """
seed: {seed}
inputs: {{kind: standard_normal, dim: 3}}
loss: {{kind: linear, weights: [1, 1, 1]}}
measures: [{{kind: probability, above: 4 sigma}}]
method: {{kind: {method}, moves: adaptive}}
stop: {{relative_error: 0.2, max_evaluations: 1e6}}
"""


@dataclass(frozen=True)
class Written:
    """A method as a config has it, the same from Python, and the line that describes it."""

    text: str
    method: Any
    line: str


WRITTEN = {
    "subset": Written(
        "subset_simulation, samples: 500, rarity: 0.2, max_levels: 20",
        SUBSET(samples=500, rarity=0.2, max_levels=20),
        "subset simulation: 500 draws a level, rarity 0.2, ",
    ),
    "sequential": Written(
        "sequential_importance, samples: 300, target_cv: 1, steps: 5, max_levels: 20",
        SEQUENTIAL(samples=300, target_cv=1.0, steps=5, max_levels=20),
        "sequential importance sampling: 300 draws, moved 5 steps a level; weights between two levels have a "
        "coefficient of variation of 1",
    ),
    "splitting": Written(
        "splitting, samples: 200, killed: 60, steps: 3",
        SPLITTING(samples=200, killed=60, steps=3),
        "multilevel splitting: 200 particles, 60 killed a level, moved 3 steps from a survivor",
    ),
}


@pytest.mark.parametrize("written", WRITTEN.values(), ids=WRITTEN)
@pytest.mark.statistical(effect=8, false_fail=1e-7, false_pass=1e-3)
def test_method_runs_from_yaml(written, tmp_path, seed):
    (tmp_path / "one.yaml").write_text(YAML.format(seed=seed(449), method=written.text))
    experiment = configs.load(tmp_path / "one.yaml").experiment()
    assert experiment.method == written.method
    assert experiment.method.describe()[0].startswith(written.line)
    assert_answers_are_exact(experiment.run(), [stats.norm.sf(4)])
