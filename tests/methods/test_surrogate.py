"""The surrogate on losses of a hundred evaluations: right where it is trusted, and not trusted where it cannot know."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from raresim import (
    Auto,
    ExpectedShortfall,
    Probability,
    ProgramLoss,
    ProgramOutput,
    PythonLoss,
    Surrogate,
    UMBridgeLoss,
    ValueAtRisk,
    estimate,
)
from raresim.errors import FieldError, LossError
from raresim.methods.surrogate_correction import draw_by, row_variances
from raresim.methods.surrogate_design import first_design
from raresim.methods.surrogate_search import Learner
from tests.statistical import assert_within_error
from tests.umbridge_server import serving

FOUR_BRANCHES = 0.0022227950661814558
"""Two-dimensional quadrature; Waarts (2000)."""


def four_branches(x):
    a, b = x.T
    bend, root = 0.1 * (a - b) ** 2, np.sqrt(2.0)
    return -np.min([3 + bend - (a + b) / root, 3 + bend + (a + b) / root, a - b + 7 / root, b - a + 7 / root], axis=0)


def plane(x):
    return x.sum(axis=1) / np.sqrt(x.shape[1]) - 4.0


def steps(x):
    return np.floor(2.0 * plane(x)) + 0.5


def solve(loss, dim, smooth=True, most=100, error=0.02, seed=1, above=0.0, **options):
    costly = PythonLoss(function=loss, smooth=smooth)
    return estimate(
        dim,
        costly,
        Probability(above=above),
        Surrogate(**options),
        seed=seed,
        max_evaluations=most,
        relative_error=error,
    )


def failed_checks(result):
    return {c.name for c in result.estimates[0].verdict.checks if c.status != "trusted"}


@pytest.fixture(scope="module")
def branches():
    return solve(four_branches, 2)


@pytest.mark.statistical(effect=0.25, false_fail=1e-6, false_pass=1e-3)
def test_a_hundred_evaluations_give_the_answer_within_some_per_cent(branches):
    (number,) = branches.estimates
    assert branches.evaluations["total"] <= 100
    assert number.relative_error < 0.04
    assert_within_error(number.value, FOUR_BRANCHES, number.std_error)


def test_a_hundred_evaluations_are_mostly_trusted(branches):
    """A few runs are refused: the last digits of a processor decide where the surrogate learns."""
    assert branches.verdict.status == "trusted" or any(
        solve(four_branches, 2, seed=seed).verdict.status == "trusted" for seed in (2, 3)
    )


def test_it_says_before_a_run_how_many_evaluations_it_learns_from():
    assert Surrogate().cost_within(100, 2, 2) == 60
    assert Surrogate().cost_within(5_000_000, 2, 2) == Surrogate().cost(2, 2)


def test_the_scope_says_what_it_rests_on(branches):
    assert "provided that the loss is as smooth as declared" in branches.verdict.scope


@pytest.mark.slow
def test_every_evaluation_is_counted_and_none_is_made_twice():
    rows = []

    def counted(x):
        rows.append(x.copy())
        return plane(x)

    result = solve(counted, 3, error=0.05)
    seen = np.vstack(rows)
    again = len(seen) - len(np.unique(seen, axis=0))
    assert len(seen) - again == result.evaluations["total"]
    assert again <= 8  # rows that are evaluated again to see whether the loss has noise


@pytest.mark.slow
def test_a_loss_that_is_not_declared_smooth_is_never_trusted_on_so_few():
    result = solve(plane, 3, smooth=False)
    assert result.verdict.status == "caution"
    assert failed_checks(result) == {"surrogate_sight"}
    assert any("declare loss.smooth: true" in advice for advice in result.verdict.advice)


@pytest.mark.slow
def test_a_search_with_true_evaluations_stands_in_for_the_declaration():
    result = solve(four_branches, 2, smooth=False, most=1_200)
    assert result.verdict.status == "trusted"
    assert "a search that evaluates the loss" in result.verdict.scope


@pytest.mark.slow
def test_a_part_that_shows_only_where_it_fails_is_found_by_that_search(monkeypatch):
    """Ninety evaluations are learnt from, not three hundred: their arithmetic would take ten seconds more."""
    monkeypatch.setattr("raresim.methods.surrogate_search.MOST_LEARNT", 100)

    def unlike(x):
        return np.maximum(x[:, 0] - 4.0, 200.0 * (x[:, 1] - 4.0))

    result = solve(unlike, 2, smooth=False, most=1_200, error=0.2)
    right = abs(result.estimates[0].value / (2 * stats.norm.sf(4.0)) - 1.0) < 0.25
    assert right or result.verdict.status != "trusted"


@pytest.mark.slow
def test_steps_contradict_the_declaration():
    result = solve(steps, 3)
    assert result.verdict.status == "untrusted"
    assert "surrogate_steps" in failed_checks(result)


UNLIKE = 1.0 - (1.0 - stats.norm.sf(4.0)) ** 2 * (1.0 - np.exp(-9.0))


def unlike(x):
    """Three limit states in units of their own: only columns show the second, 200 times steeper than the first."""
    return np.column_stack([x[:, 0] - 4.0, 200.0 * (x[:, 1] - 4.0), 0.5 * (x[:, 2] ** 2 + x[:, 3] ** 2) - 9.0])


def solve_states(states, dim, names, smooth=True, most=100, error=0.03, seed=1, **options):
    costly = PythonLoss(function=states, limit_states=names, smooth=smooth, **options)
    return estimate(
        dim, costly, Probability(above=0.0), Surrogate(), seed=seed, max_evaluations=most, relative_error=error
    )


@pytest.mark.slow
@pytest.mark.statistical(effect=0.25, false_fail=1e-6, false_pass=1e-3)
def test_limit_states_by_columns_are_learnt_each_by_itself():
    result = solve_states(unlike, 4, ["a", "b", "c"])
    (number,) = result.estimates
    assert result.evaluations["total"] <= 100
    assert number.verdict.status == "trusted"
    assert_within_error(number.value, UNLIKE, number.std_error)
    assert "provided that all 3 limit states are as smooth as declared" in number.verdict.scope


@pytest.mark.slow
def test_a_limit_state_that_is_not_declared_smooth_is_counted():
    result = solve_states(lambda x: x - 2.5, 2, ["a", "b"], smooth=["a"], error=0.1)
    assert failed_checks(result) == {"surrogate_sight"}
    assert any("1 of the 2 limit states are not declared" in c.message for c in result.estimates[0].verdict.checks)


@pytest.mark.slow
@pytest.mark.statistical(effect=0.25, false_fail=1e-6, false_pass=1e-3)
def test_at_least_two_of_three_limit_states():
    p = stats.norm.sf(2.5)
    result = solve_states(lambda x: x - 2.5, 3, ["a", "b", "c"], system={"at_least": 2})
    (number,) = result.estimates
    assert_within_error(number.value, 3 * p**2 * (1 - p) + p**3, number.std_error)
    assert number.relative_error < 0.05


def test_a_server_and_a_program_may_be_declared_smooth():
    program = ProgramLoss(command=["true", "${x1}"], output=ProgramOutput(pattern="(.*)"), smooth=True)
    server = UMBridgeLoss(url="http://127.0.0.1:4242", model="forward", smooth=True)
    assert program.undeclared == server.undeclared == ()
    assert replace(program, smooth=False).undeclared == ("loss",)


@pytest.mark.slow
def test_a_model_behind_a_server_is_learnt_as_a_function_is():
    with serving() as server:
        loss = UMBridgeLoss(url=server.url, model="forward", output=0, smooth=True)
        result = estimate(
            3, loss, Probability(above=6.0), Surrogate(), seed=1, max_evaluations=100, relative_error=0.05
        )
        asked = sum(path == "/Evaluate" for path, _ in server.asked)
    assert result.verdict.status == "trusted"
    assert result.estimates[0].value == pytest.approx(stats.norm.sf(6.0 / np.sqrt(2.0)), rel=0.05)
    assert asked <= result.evaluations["total"] + 8  # those that are asked for again, to see whether there is noise


@pytest.mark.slow
def test_events_below_a_threshold_are_the_same():
    costly = PythonLoss(function=lambda x: -plane(x), smooth=True)
    result = estimate(3, costly, Probability(below=0.0), Surrogate(), seed=2, max_evaluations=100, relative_error=0.02)
    assert result.estimates[0].value == pytest.approx(stats.norm.sf(4.0), rel=0.05)


@pytest.mark.slow
def test_workers_cannot_change_a_digit(branches):
    costly = PythonLoss(function=four_branches, smooth=True)
    again = estimate(
        2, costly, Probability(above=0.0), Surrogate(), seed=1, max_evaluations=100, relative_error=0.02, workers=2
    )
    assert again.estimates == branches.estimates


@pytest.mark.slow
def test_a_batch_is_evaluated_side_by_side():
    sizes = []

    def counted(x):
        sizes.append(len(x))
        return plane(x)

    result = solve(counted, 3, batch=6)
    assert sizes.count(6) >= 2
    assert result.estimates[0].value == pytest.approx(stats.norm.sf(4.0), rel=0.1)


def test_rows_that_fail_are_counted_and_not_chosen_again():
    calls = []

    def evaluate(u):
        calls.append(u.copy())
        return np.where(u[:, :1] < -1.0, -np.inf, u.sum(axis=1, keepdims=True) - 3.0)

    learner = Learner(evaluate, 2, np.random.default_rng(1))
    learner.begin()
    learner.learn(60, None)
    seen = np.vstack(calls)
    assert learner.failed == np.count_nonzero(seen[:, 0] < -1.0) > 0
    assert learner.evaluations == len(seen) == len(np.unique(seen, axis=0))
    assert np.isfinite(learner.margins).all()


def test_the_correction_draws_every_point_and_knows_its_variance():
    learner = Learner(lambda u: u.sum(axis=1, keepdims=True) - 4.0, 2, np.random.default_rng(1))
    learner.begin()
    likely = learner.belief.failing
    r = draw_by(learner.pool, likely)
    assert r.sum() == pytest.approx(1.0)
    assert r.min() >= 0.05 / r.size * (1 - 1e-9)
    (likely,) = likely
    value = learner.pool.probability(likely)
    terms = learner.pool.weight / r.size / r
    labels = np.random.default_rng(2).random((2_000, r.size)) < likely
    rows = np.random.default_rng(3).choice(r.size, 2_000, p=r)
    sample = terms[rows] * (labels[np.arange(2_000), rows] - likely[rows]) / value
    assert row_variances(learner.pool, likely[np.newaxis])[0] == pytest.approx(np.mean(sample**2), rel=0.5)


def test_the_first_design_begins_at_the_origin_and_reaches_the_edge():
    points = first_design(3, np.random.default_rng(1))
    radii = np.linalg.norm(points, axis=1)
    assert radii[0] == 0.0
    assert radii.max() == pytest.approx(np.sqrt(stats.chi2.isf(1e-5, 3)), rel=0.1)
    assert len(points) == 10


def test_an_event_that_is_never_seen_is_bounded_and_not_an_error():
    result = solve(lambda x: x[:, 0] - 40.0, 2)
    assert result.verdict.status in ("bound_only", "untrusted")
    assert result.to_dict()


@pytest.mark.parametrize(
    "measure", [Probability(above=1.0), ValueAtRisk(level=0.999), ExpectedShortfall(level=0.999)], ids=lambda m: m.kind
)
def test_a_constant_loss_is_named_before_more_is_spent_on_it(measure):
    calls = []

    def nothing(x):
        calls.append(len(x))
        return np.full(len(x), -0.25)

    with pytest.raises(LossError, match=r"^the loss is -0.25 in all of the first 1\d evaluations, so that a surrogate"):
        estimate(3, nothing, measure, Surrogate(), seed=1, max_evaluations=200)
    assert sum(calls) < 40


def test_sixty_evaluations_are_enough_in_two_inputs():
    found = solve(plane, 2, most=60).estimates[0]
    assert found.value == pytest.approx(stats.norm.sf(4.0), rel=0.02)
    low, high = found.interval
    assert low < stats.norm.sf(4.0) < high


REFUSED = {
    "inputs": (
        lambda: estimate(60, plane, Probability(above=0.0), Surrogate(), seed=1, max_evaluations=500),
        "surrogate takes at most 50 inputs, got 60: use auto",
    ),
    "budget": (
        lambda: Surrogate().refuse_budget(12, 90),
        "max_evaluations: must be at least 96 for a surrogate of 12 inputs, got 90",
    ),
    "batch": (lambda: Surrogate(batch=0), "batch: must be at least 1, got 0"),
    "smooth": (
        lambda: PythonLoss(function=plane, smooth=["a"]),
        "smooth: must be true or false: names go with limit_states",
    ),
    "smooth names": (
        lambda: PythonLoss(function=unlike, limit_states=["a", "b", "c"], smooth=["d"]),
        "smooth: unknown limit state 'd'",
    ),
}


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_it_does_not_take_is_refused(name):
    build, message = REFUSED[name]
    with pytest.raises(FieldError, match=message):
        build()


def declared(smooth=True, **options):
    return PythonLoss(function=plane, smooth=smooth, **options)


@pytest.mark.parametrize(
    ("loss", "dim", "budget", "chosen"),
    [
        (declared(), 3, 300, True),
        (declared(smooth=False), 3, 300, False),
        (declared(on_failure="bound"), 3, 300, False),
        (declared(), 13, 300, False),
        (declared(), 3, 5_000, False),
        (declared(limit_states=["a", "b", "c"], smooth=["a"]), 3, 300, False),
    ],
)
def test_auto_leaves_a_costly_smooth_loss_to_a_surrogate(loss, dim, budget, chosen):
    said = Auto().foreseen(loss, [Probability(above=0.0)], dim, budget)
    assert bool(said) == chosen
    assert Auto().foreseen(loss, [ValueAtRisk(level=0.99)], dim, budget) == ""
    assert Auto(draws="sobol").foreseen(loss, [Probability(above=0.0)], dim, budget) == ""


@pytest.mark.slow
def test_auto_gives_the_answer_of_the_surrogate_and_says_so():
    result = estimate(3, declared(), Probability(above=0.0), seed=1, max_evaluations=150, relative_error=0.05)
    assert result.method == "auto"
    assert result.search["kind"] == "surrogate"
    assert result.search["decisions"][0].startswith(
        "a surrogate learns the loss, because the loss is declared to be smooth"
    )
    assert result.estimates[0].value == pytest.approx(stats.norm.sf(4.0), rel=0.1)
