"""One run from end to end, and the one-call interface."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

import raresim
from raresim import (
    AsmussenKroese,
    Auto,
    CrossEntropy,
    Crude,
    DesignPointSampling,
    DirectionalSampling,
    Experiment,
    Importance,
    Linear,
    LineSampling,
    Normal,
    Probability,
    PythonLoss,
    Splitting,
    StandardNormal,
    Stop,
    SubsetSimulation,
)
from raresim.errors import FieldError
from raresim.record.verdict import Status
from raresim.run.provenance import compile_seconds
from tests.problems import COV, MEAN, WEIGHTS, crude, experiment, linear_normal, several, solve, two_sided
from tests.statistical import assert_within_error

UP = Probability(above=3.0)
SUM = Linear(weights=[0.6, 0.8])


def total(x):
    return x @ np.array([0.6, 0.8])


# --- raresim.estimate --------------------------------------------------------------------------------

WAYS = {
    "number of normals, loss model": (2, SUM, UP, "crude"),
    "law, function": (StandardNormal(dim=2), total, [UP], "crude"),
    "law, method object": (StandardNormal(dim=2), SUM, (UP,), Crude()),
}


@pytest.mark.parametrize(("inputs", "loss", "measures", "method"), WAYS.values(), ids=WAYS)
def test_every_way_to_ask_gives_the_same_answer(inputs, loss, measures, method, seed):
    result = raresim.estimate(inputs, loss, measures, method, seed=seed(261), relative_error=0.1)
    expected = solve(crude(3.0), seed(261), relative_error=0.1)
    assert result.estimates[0].value == pytest.approx(expected.estimates[0].value, rel=1e-12)
    assert result.evaluations == expected.evaluations


@pytest.mark.statistical(effect=0.4, false_fail=1e-7, false_pass=1e-3)
def test_default_method_chooses_by_itself(seed):
    result = raresim.estimate(2, SUM, UP, seed=seed(262), relative_error=0.1)
    assert result.method == "auto"
    assert_within_error(result.estimates[0].value, stats.norm.sf(3.0), result.estimates[0].std_error)


@pytest.mark.parametrize("workers", [2, 3])
def test_workers_change_no_digit(workers, seed):
    one = raresim.estimate(2, total, UP, seed=seed(263), relative_error=0.05)
    many = raresim.estimate(2, total, UP, seed=seed(263), relative_error=0.05, workers=workers)
    assert many.estimates == one.estimates


def test_seeds_matter(seed):
    results = [raresim.estimate(2, SUM, UP, "crude", seed=seed(s), relative_error=0.1) for s in range(5)]
    assert len({result.arrays.loss[0] for result in results}) == 5


def test_a_seed_must_be_given():
    with pytest.raises(TypeError, match="seed"):
        raresim.estimate(2, SUM, UP)


def test_unknown_method_is_answered_with_the_nearest():
    with pytest.raises(FieldError, match=r"unknown method kind 'cross_entrop'; did you mean 'cross_entropy'\?"):
        raresim.estimate(2, SUM, UP, "cross_entrop", seed=1)


def test_no_workers_are_refused():
    with pytest.raises(FieldError, match="workers: must be at least 1, got 0"):
        raresim.estimate(2, SUM, UP, seed=1, workers=0)


@pytest.mark.parametrize("relative_error", [0.1, None])
def test_budget_may_be_written_as_a_float(relative_error, seed):
    """``1e5`` is how a budget is written; it is a whole number."""
    result = raresim.estimate(2, SUM, UP, seed=seed(264), max_evaluations=1e5, relative_error=relative_error)
    assert result.evaluations["total"] <= 100_000


# --- sigma and the pilot -----------------------------------------------------------------------------


def test_pilot_draws_count_towards_the_budget(seed):
    result = raresim.estimate(
        2, total, Probability(above="3 sigma"), seed=seed(265), relative_error=None, max_evaluations=50_000, audit="off"
    )
    assert result.evaluations["explore"] == 10_000
    assert result.evaluations["total"] == 50_000


def test_tuning_is_given_what_the_pilot_left(seed):
    """At most three quarters of the rest; without that, the 18,000 draws that 5 sigma takes would fit."""
    five = Probability(above="5 sigma")
    options = {"max_evaluations": 30_000, "audit": "off"}
    result = raresim.estimate(3, lambda x: x.sum(axis=1), five, "cross_entropy", seed=seed(285), **options)
    assert result.evaluations["tune"] <= (30_000 - 10_000) * 3 // 4
    assert result.evaluations["total"] == 30_000


def test_pilot_draws_stay_out_of_the_estimate(seed):
    with_pilot = raresim.estimate(2, total, Probability(above="3 sigma"), "crude", seed=seed(266))
    without = raresim.estimate(2, total, Probability(above=3.0), "crude", seed=seed(266))
    assert with_pilot.arrays.loss[:5].tolist() != without.arrays.loss[:5].tolist()


def test_budget_below_the_pilot_is_refused_before_it_is_spent(seed):
    calls = []

    def counted(x):
        calls.append(len(x))
        return total(x)

    with pytest.raises(FieldError, match="max_evaluations"):
        raresim.estimate(2, counted, Probability(above="3 sigma"), "crude", seed=seed(267), max_evaluations=5000)
    assert sum(calls) <= 5000


# --- what a result holds -----------------------------------------------------------------------------


def test_result_is_json_and_names_everything(seed):
    result = solve(several(3.0, 4.0), seed(268), relative_error=0.05)
    stored = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert stored["schema_version"] == 1
    assert [e["threshold"] for e in stored["estimates"]] == [3.0, 4.0]
    assert stored["evaluations"]["total"] == sum(v for k, v in stored["evaluations"].items() if k != "total")
    assert stored["verdict"]["status"] == "trusted"
    assert stored["description"]["method"]
    assert len(stored["iterations"]) == len(result.iterations)


def test_a_result_without_a_hit_is_json_too(seed):
    result = solve(crude(9.0), seed(269), relative_error=None, max_evaluations=1000)
    stored = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    (estimate,) = stored["estimates"]
    assert (estimate["value"], estimate["log_value"], estimate["std_error"]) == (0.0, None, None)
    assert stored["verdict"]["status"] == "bound_only"
    assert stored["speedup_over_crude"] is None


def test_diagnostics_are_those_of_the_rarest_event(seed):
    result = solve(several(3.0, 5.0, 4.0), seed(270), relative_error=0.05)
    assert result.diagnostics["hits"] == result.estimates[1].diagnostics["hits"]
    assert result.diagnostics["kl_target_optimal"] == pytest.approx(-result.estimates[1].log_value)


def test_verdict_of_a_run_is_its_worst_estimates(seed):
    result = solve(crude(2.0), seed(271), measures=[Probability(above=[1.0, 2.0, 9.0])], relative_error=None,
                   max_evaluations=20_000)  # fmt: skip
    assert [e.verdict.status for e in result.estimates] == [Status.TRUSTED, Status.TRUSTED, Status.BOUND_ONLY]
    assert result.verdict == result.estimates[2].verdict


def test_speedup_is_what_crude_would_need_over_what_was_spent(seed):
    result = solve(linear_normal(3, 4.0), seed(272), relative_error=0.05)
    (estimate,) = result.estimates
    crude_draws = (1 - estimate.value) / estimate.value / estimate.relative_error**2
    assert result.speedup_over_crude == pytest.approx(crude_draws / result.evaluations["total"])


def test_crude_needs_as_much_as_crude(seed):
    result = solve(crude(2.0), seed(273), relative_error=None, max_evaluations=100_000)
    assert result.speedup_over_crude == pytest.approx(1.0, rel=1e-4)


def test_surprise_is_in_nats_and_bits(seed):
    d = solve(crude(2.0), seed(274)).diagnostics
    assert d["self_information_nats"] == pytest.approx(-math.log(stats.norm.sf(2.0)), abs=0.1)
    assert d["self_information_bits"] == pytest.approx(d["self_information_nats"] / math.log(2))


@pytest.mark.parametrize(
    ("method", "kind", "scope"),
    [
        (Crude(), "none", "all failure regions: every draw came from the target itself"),
        (AsmussenKroese(), "none", "all failure regions: every draw came from the target itself"),
        (DirectionalSampling(), "none", "all failure regions that the grid sees: every direction came from"),
        (LineSampling(direction=[1.0, 1.0, 1.0]), "none", "all failure regions that the grid sees: every line"),
        (CrossEntropy(draws="sobol"), "tuned", "all failure regions: any part of the event that 4,000 draws of"),
        (Importance(proposal=Normal(mean=1.5, dim=3), draws="sobol"), "stated", "the stated proposal covers"),
    ],
    ids=lambda value: getattr(value, "kind", None),
)
def test_scope_says_what_was_looked_at(method, kind, scope, seed):
    result = solve(linear_normal(3, 2.5), seed(275), method=method, relative_error=0.1, audit="off")
    assert result.search["kind"] == kind
    assert scope in result.verdict.scope
    assert (result.verdict.hidden_mass_bound is None) == (kind in ("none", "stated"))


@pytest.mark.parametrize(
    ("method", "kind", "scope"),
    [
        (LineSampling(), "tuned", "from the 1,000 first draws of the search and the audit; "),
        (Splitting(samples=100, killed=20), "replicates", "first draws of all runs; "),
    ],
    ids=lambda value: getattr(value, "kind", None),
)
def test_a_search_speaks_about_what_it_could_find_unless_there_is_nothing_else(method, kind, scope, seed):
    """A function may do anything anywhere; of a weighted sum of normals the event is one half-space."""
    proven = linear_normal(3, 2.5)
    function = PythonLoss(function=lambda x: x.sum(axis=1) / math.sqrt(3.0))
    for case, is_proven in ((proven, True), (replace(proven, loss=function), False)):
        result = solve(case, seed(275), method=method, relative_error=0.1, audit="off")
        assert result.search["kind"] == kind
        assert bool(result.search["one_region"]) is is_proven
        if is_proven:
            assert result.verdict.scope.startswith("all failure regions: the loss is a weighted sum")
            assert result.verdict.hidden_mass_bound is None
        else:
            assert scope in result.verdict.scope
            assert result.verdict.hidden_mass_bound > 0
        if kind == "replicates":
            assert result.search["nominal"] == 100 * (1 + result.estimates[0].diagnostics["rows"])


@pytest.mark.parametrize("method", [DesignPointSampling(), LineSampling(), SubsetSimulation(samples=200)])
def test_entropy_is_left_out_where_the_last_level_has_none(method, seed):
    result = solve(linear_normal(2, 3.0), seed(276), method=method, relative_error=0.2)
    assert result.diagnostics["entropy"] == {}
    json.dumps(result.to_dict(), allow_nan=False)


def test_largest_weight_is_held_against_the_mean(seed):
    """One weight for all hits of crude draws, and at most 1 / 0.05 of the probability with a defensive share."""
    (estimate,) = solve(crude(2.0), seed(277)).estimates
    assert estimate.diagnostics["max_to_mean"] == pytest.approx(1.0)
    (estimate,) = solve(linear_normal(3, 3.0), seed(278), relative_error=0.05).estimates
    d = estimate.diagnostics
    assert d["weights"] == d["hits"]
    assert d["max_to_mean"] == pytest.approx(d["max_share"] * d["hits"])
    assert 1.0 < d["max_to_mean"] < 20.0 * d["hits"] / d["rows"] / estimate.value


@pytest.mark.statistical(effect=0.1, false_fail=1e-7, false_pass=1e-3)
def test_kept_rows_hold_every_component_of_the_proposal_in_proportion(seed):
    """The figures' rows: their own weighted estimate agrees with the run's, within 5 standard errors of either.

    Rows of one mixture component stand together in a block, so the first rows of a block are not a fair sample.
    """
    result = solve(two_sided(3, 4.0), seed(275), relative_error=None, max_evaluations=1_040_000)
    rows = result.arrays
    contribution = np.exp(rows.log_weight) * (rows.loss >= 4.0)
    assert_within_error(contribution.mean(), 2 * stats.norm.sf(4.0), contribution.std() / np.sqrt(rows.loss.size))


def test_convergence_ends_at_the_estimate(seed):
    result = solve(crude(2.0), seed(276), relative_error=None, max_evaluations=200_000)
    last = result.convergence[-1]
    assert (last.evaluations, last.value) == (200_000, result.estimates[0].value)
    assert last.lower <= result.estimates[0].interval[0] * (1 + 1e-12)
    assert last.upper >= result.estimates[0].interval[1] * (1 - 1e-12)


def test_top_weights_are_those_of_hits_largest_first(seed):
    result = solve(linear_normal(3, 4.0), seed(277), relative_error=0.1)
    top, rows = result.arrays.top_log_weight, result.arrays
    expected = np.sort(rows.log_weight[rows.loss >= 4.0])[::-1]
    np.testing.assert_array_equal(top, expected[: top.size])


def test_log_holds_every_stage(seed):
    result = solve(linear_normal(3, 4.0), seed(278), relative_error=0.1)
    assert {entry["event"] for entry in result.log} == {"tune", "explore", "fit", "estimate", "audit"}
    rows = sum(e["rows"] for e in result.log if e["event"] in ("tune", "explore", "estimate"))
    assert rows == result.evaluations["total"] - result.evaluations["audit"]
    assert [e["seconds"] for e in result.log] == sorted(e["seconds"] for e in result.log)


def test_manifest_names_what_made_the_digits(seed):
    manifest = solve(crude(2.0), seed(279)).manifest
    assert manifest["seed"] == seed(279)
    assert (manifest["bit_generator"], manifest["stream_version"]) == ("SFC64", 2)
    assert manifest["packages"]["numpy"] == np.__version__


@pytest.mark.slow
@pytest.mark.parametrize("k", [37.0, 38.4, 45.0])
@pytest.mark.statistical(effect=0.0005, false_fail=1e-7, false_pass=1e-3)
def test_probability_at_the_end_of_the_doubles_has_a_logarithm_and_a_bound(k, seed):
    """1e-300, a denormal, and 1e-442: the logarithm is right and no interval says that the event is impossible."""
    (estimate,) = solve(linear_normal(2, k), seed(284), relative_error=0.03).estimates
    assert_within_error(estimate.log_value, stats.norm.logsf(k), estimate.relative_error)
    assert estimate.interval[0] <= estimate.value <= estimate.interval[1]
    assert estimate.interval[1] > 0.0


# --- progress ----------------------------------------------------------------------------------------


def test_progress_is_told_in_rows_of_each_stage(seed):
    told = []
    experiment(two_sided(3, 4.0), seed(280), relative_error=0.05).run(report=lambda *args: told.append(args))
    stages = [stage for stage, *_ in told]
    assert set(stages) == {"tune", "explore", "fit", "estimate", "audit"}
    assert all(0 <= done <= rows for _, done, rows, _ in told)
    assert all(isinstance(text, str) and (text or not done) for _, done, _, text in told)
    assert all(told[stages.index(stage)][1] == 0 for stage in stages)  # before the first of its rows
    assert stages.index("estimate") > max(k for k, stage in enumerate(stages) if stage == "tune")


def test_report_cannot_change_a_digit(seed):
    quiet = solve(crude(2.0), seed(281))
    told = experiment(crude(2.0), seed(281)).run(report=lambda *_: None)
    assert quiet.estimates == told.estimates


# --- parts that do not fit ---------------------------------------------------------------------------


def test_experiment_can_be_run_twice(seed):
    one = experiment(linear_normal(3, 4.0), seed(282), relative_error=0.1)
    assert one.run().estimates == one.run().estimates


def test_loss_that_does_not_fit_its_inputs_is_refused_before_a_draw():
    with pytest.raises(FieldError, match="weights: must have 3 entries, got 2"):
        Experiment(inputs=StandardNormal(dim=3), loss=SUM, measures=[UP], seed=1).run()


@pytest.mark.slow
def test_correlated_inputs_with_a_python_loss(seed):
    """The same number from a closed-form portfolio and from a function of its factors."""
    inputs, threshold = Normal(mean=MEAN, cov=COV), 4.5
    model = raresim.estimate(inputs, Linear(weights=WEIGHTS), Probability(above=threshold), seed=seed(283))
    black_box = raresim.estimate(inputs, lambda x: x @ np.array(WEIGHTS), Probability(above=threshold), seed=seed(283))
    assert black_box.estimates[0].value == pytest.approx(model.estimates[0].value, rel=1e-9)


def test_seconds_inside_the_compiler_count_nested_ones_once():
    class Event:
        def __init__(self, is_start):
            self.is_start = is_start

    events = [(1.0, Event(True)), (2.0, Event(True)), (3.0, Event(False)), (5.0, Event(False)), (7.0, Event(True)),
              (7.5, Event(False))]  # fmt: skip
    assert compile_seconds(events) == pytest.approx(4.5)


def test_defaults_are_those_of_the_documentation():
    got = Experiment(inputs=StandardNormal(), loss=PythonLoss(function=total), measures=[UP], seed=1)
    assert got.method == Auto()
    assert got.stop == Stop(relative_error=0.01, max_evaluations=10_000_000)
