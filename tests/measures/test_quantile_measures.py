"""Value at risk and expected shortfall end to end: levels, the search for them, values, verdicts, refusals."""

import dataclasses
import math

import numpy as np
import pytest
from scipy import stats

import raresim
from raresim import (
    CrossEntropy,
    Crude,
    Exceedance,
    ExpectedShortfall,
    Importance,
    LineSampling,
    Normal,
    Probability,
    PythonLoss,
    Reference,
    StudentT,
    SubsetSimulation,
    ValueAtRisk,
)
from raresim.accumulators import tail_draws, weighted_losses
from raresim.accumulators.tail_draws import TailDraws
from raresim.engine.executors import Executor
from raresim.engine.problem import Problem
from raresim.engine.session import Session
from raresim.errors import ConfigError, FieldError
from raresim.measures.levels import level_of, percent, tail_of, tails_of
from raresim.registry import lookup
from raresim.run import presets
from raresim.run.locate import locate
from tests.problems import experiment, linear_normal, solve
from tests.statistical import assert_within_error

CASE = linear_normal(4, 3.0)
BOTH = [ValueAtRisk(tail=1e-4), ExpectedShortfall(tail=1e-4)]


def normal_quantile(tail):
    v = stats.norm.isf(tail)
    return v, stats.norm.pdf(v) / tail


# --- levels ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "tail"),
    [(0.999, 0.001), (0.9999999, 1e-7), (0.99999999999, 1e-11), (0.975, 0.025), (0.1, 0.9)],
)
def test_a_level_is_the_decimal_number_that_is_written(level, tail):
    assert tail_of(level, None) == tail
    assert tail_of(None, tail) == tail
    assert level_of(tail) == level


@pytest.mark.parametrize(
    ("tail", "text"), [(0.001, "99.9 %"), (0.025, "97.5 %"), (1e-7, "99.99999 %"), (0.5, "50 %"), (0.01, "99 %")]
)
def test_a_level_is_printed_in_full(tail, text):
    assert percent(tail) == text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "level: give exactly one of level and tail"),
        ({"level": 0.9, "tail": 0.1}, "level: give exactly one of level and tail"),
        ({"level": 99.9}, "level: must be above 0 and below 1, got 99.9; for 99.9 % write 0.999"),
        ({"level": [0.99, 97.5]}, "level: must be above 0 and below 1, got 97.5; for 97.5 % write 0.975"),
        ({"level": 1.0}, "level: must be above 0 and below 1, got 1"),
        ({"level": 0.0}, "level: must be above 0 and below 1, got 0"),
        ({"level": -0.5}, "level: must be above 0 and below 1, got -0.5"),
        ({"level": 200.0}, "level: must be above 0 and below 1, got 200"),
        ({"level": math.nan}, "level: must be above 0 and below 1, got nan"),
        ({"tail": 1.5}, "tail: must be above 0 and below 1, got 1.5; for 1.5 % write 0.015"),
        ({"tail": 5.0}, "tail: must be above 0 and below 1, got 5; for 5 % write 0.05"),
        ({"level": []}, "level: must name at least one number"),
        ({"level": [0.9, 0.9]}, "level: must not name the same number twice, got [0.9, 0.9]"),
        ({"level": 0.9, "confidence": 95}, "confidence: must be above 0 and below 1, got 95; for 95 % write 0.95"),
        (
            {"level": [0.9, 0.99], "reference": Reference(value=1.0, source="a")},
            "reference: must have one entry per level (2), got 1",
        ),
    ],
)
@pytest.mark.parametrize("measure", [ValueAtRisk, ExpectedShortfall])
def test_bad_options_are_named(measure, options, message):
    with pytest.raises(FieldError) as caught:
        measure(**options)
    assert str(caught.value) == message


def test_one_level_is_no_list():
    assert tails_of([0.9, 0.99], None) == (0.1, 0.01)
    with pytest.raises(FieldError, match=r"level: must be one number, got \[0.9, 0.99\]"):
        tail_of([0.9, 0.99], None)


# --- the search --------------------------------------------------------------------------------------


def session(loss, d=3, budget=200_000, seed=1):
    inputs = raresim.StandardNormal(dim=d)
    problem = Problem(inputs, PythonLoss(function=loss).bind(inputs))
    return Session(problem, [], seed, Executor(), budget, lambda *_: None)


def first(x):
    return x[:, 0]


@pytest.mark.parametrize("tail", [0.2, 1e-2, 1e-5])
def test_a_quantile_is_found_within_a_factor_of_its_probability(tail, seed):
    for k in range(5):
        found = locate(session(first, seed=seed(20 + k)), [tail])
        assert 0.3 * tail < stats.norm.sf(found.quantile(tail)) < 3.0 * tail
        assert found.reached == 2
        assert found.floor([tail]) < stats.norm.isf(tail)
        x = stats.norm.isf(tail)
        assert found.steepness(tail) == pytest.approx(x * stats.norm.pdf(x) / tail, rel=0.6)
        assert found.excess(tail) == pytest.approx(stats.norm.pdf(x) / tail - x, rel=0.6)


def test_a_loss_of_few_values_has_a_quantile(seed):
    """P(X >= 3) = Phi(-2.5) = 0.0062: the tail 1e-3 belongs to the atom at three, beyond which there is nothing."""
    found = locate(session(lambda x: np.clip(np.round(x[:, 0]), -3, 3), seed=seed(30)), [1e-3])
    assert found.quantile(1e-3) == 3.0
    assert found.steepness(1e-3) == math.inf
    assert found.excess(1e-3) == 0.0


def test_a_budget_that_is_too_small_is_refused():
    with pytest.raises(FieldError) as caught:
        locate(session(first, budget=2000), [1e-3])
    assert str(caught.value).startswith("max_evaluations: must be at least ")
    assert str(caught.value).endswith("to find a quantile with tail probability 0.001, got 2,000")


# --- values ------------------------------------------------------------------------------------------


@pytest.mark.statistical(effect=0.02, false_fail=3e-7, false_pass=0.1)
@pytest.mark.parametrize("tail", [1e-2, 1e-4, 1e-7])
@pytest.mark.parametrize("method", ["auto", "cross_entropy"])
def test_normal_loss(method, tail, seed):
    result = raresim.estimate(
        4,
        lambda x: x.sum(axis=1) / 2.0,
        [ValueAtRisk(tail=tail), ExpectedShortfall(tail=tail)],
        method,
        seed=seed(40),
        relative_error=0.003,
    )
    for estimate, exact in zip(result.estimates, normal_quantile(tail), strict=True):
        assert estimate.relative_error <= 0.003
        assert_within_error(estimate.value, exact, estimate.std_error)
    assert result.verdict.status == "trusted"
    var, es = result.estimates
    assert es.value > var.value
    assert (var.label, es.label) == (f"VaR {percent(tail)}", f"ES {percent(tail)}")
    assert (var.level, es.level) == (level_of(tail),) * 2
    assert var.unit == es.unit == "loss"
    assert es.threshold == var.value


@pytest.mark.slow
@pytest.mark.statistical(effect=0.004, false_fail=3e-7, false_pass=0.1)
@pytest.mark.parametrize("method", ["auto", "cross_entropy"])
def test_one_in_a_million_of_twenty_factors_is_known_to_a_few_thousandths(method, seed):
    loss = raresim.Linear(weights=np.full(20, 1.0 / math.sqrt(20.0)), factors="losses")
    measures = [ValueAtRisk(tail=1e-6), ExpectedShortfall(tail=1e-6)]
    options = {"relative_error": 0.0005, "max_evaluations": 200_000}
    result = raresim.estimate(20, loss, measures, method, seed=seed(55), **options)
    exact = normal_quantile(1e-6)
    for estimate, answer, most in zip(result.estimates, exact, (0.002, 0.003), strict=True):
        assert_within_error(estimate.value, answer, estimate.std_error)
        assert abs(estimate.value / answer - 1.0) < most
    assert result.evaluations["total"] <= 200_000
    assert result.verdict.status == "trusted"


@pytest.mark.slow
@pytest.mark.statistical(effect=0.04, false_fail=8e-7, false_pass=0.1)
def test_t_loss_at_several_levels_from_one_sample(seed):
    tails = [0.025, 1e-3, 1e-4]
    inputs = StudentT(dof=4.0, dim=2)
    result = raresim.estimate(
        inputs,
        lambda x: x.sum(axis=1) / math.sqrt(2.0),
        [ValueAtRisk(tail=tails), ExpectedShortfall(tail=tails), Probability(above=5.0)],
        seed=seed(41),
        relative_error=0.005,
    )
    law = stats.t(4.0)
    v = law.isf(tails)
    es = law.pdf(v) / tails * (4.0 + v * v) / 3.0
    for estimate, exact in zip(result.estimates, [*v, *es, law.sf(5.0)], strict=True):
        assert_within_error(estimate.value, exact, estimate.std_error)
        assert estimate.relative_error <= 0.005


@pytest.mark.statistical(effect=0.1, false_fail=3e-7, false_pass=0.1)
def test_crude_sample_has_the_exact_interval(seed):
    result = solve(CASE, seed(42), method=Crude(), measures=[ValueAtRisk(level=0.99)], relative_error=0.01)
    (estimate,) = result.estimates
    assert estimate.interval_kind == "order statistics (exact)"
    assert_within_error(estimate.value, stats.norm.isf(0.01), estimate.std_error)
    assert estimate.interval[0] < estimate.value < estimate.interval[1]


@pytest.mark.statistical(effect=0.04, false_fail=2e-7, false_pass=0.1)
def test_a_loss_with_atoms(seed):
    """Three outcomes: 0, and 1 and 2 with the probabilities 0.05 and 0.005."""

    def loss(x):
        u = stats.norm.sf(x[:, 0])
        return np.where(u < 0.005, 2.0, np.where(u < 0.055, 1.0, 0.0))

    measures = [ValueAtRisk(tail=[0.1, 0.03, 0.001]), ExpectedShortfall(tail=[0.03, 0.001])]
    result = raresim.estimate(2, loss, measures, seed=seed(43), relative_error=0.02)
    assert [e.value for e in result.estimates[:3]] == [0.0, 1.0, 2.0]
    assert all(e.interval == (e.value, e.value) for e in result.estimates[:3])
    part, top = result.estimates[3:]
    assert_within_error(part.value, 1.0 + 0.005 / 0.03, part.std_error)
    assert (top.value, top.std_error) == (2.0, 0.0)


def test_a_quantile_beyond_the_budget_is_not_trusted(seed):
    """The budget gives a thousandth of the twenty draws that are wanted beyond it."""
    measures = [ValueAtRisk(tail=1e-5), ExpectedShortfall(tail=1e-5)]
    result = raresim.estimate(2, first, measures, "crude", seed=seed(44), max_evaluations=40_000)
    assert [e.verdict.status for e in result.estimates] != ["trusted", "trusted"]
    var = result.estimates[0]
    assert var.interval[1] == math.inf
    assert result.to_dict()["estimates"][0]["interval"][1] is None


def test_every_measure_has_its_own_verdict(seed):
    """Draws of the target that do for 90 % are too few for 99.9 %."""
    measures = [ValueAtRisk(level=[0.9, 0.9995])]
    result = raresim.estimate(2, first, measures, "crude", seed=seed(45), max_evaluations=40_000, relative_error=0.001)
    common, rare = result.estimates
    assert common.verdict.status == "trusted"
    assert rare.verdict.status != "trusted"
    assert result.verdict.status == rare.verdict.status


def test_the_same_digits_on_any_number_of_workers(seed):
    case = experiment(CASE, seed(46), measures=BOTH, relative_error=0.002, method=CrossEntropy())
    plain = case.run().to_dict()
    with Executor.of("threads", 3) as executor:
        threads = case.run(executor).to_dict()
    for result in (plain, threads):
        result.pop("seconds")
    assert plain == threads


def test_more_rows_than_are_kept_by_themselves(seed, monkeypatch):
    whole = solve(CASE, seed(47), measures=BOTH, relative_error=None, max_evaluations=60_000, method=CrossEntropy())
    monkeypatch.setattr(weighted_losses, "CAPACITY", 5000)
    binned = solve(CASE, seed(47), measures=BOTH, relative_error=None, max_evaluations=60_000, method=CrossEntropy())
    for one, other in zip(whole.estimates, binned.estimates, strict=True):
        assert "resolution" in other.diagnostics
        assert abs(one.value - other.value) <= 1.01 * other.diagnostics["resolution"]
        assert other.std_error == pytest.approx(one.std_error, rel=0.1)


def test_convergence_ends_at_the_estimate(seed):
    result = solve(CASE, seed(48), measures=BOTH, relative_error=0.002, method=CrossEntropy())
    for k, estimate in enumerate(result.estimates):
        points = [p for p in result.convergence if p.estimate == k]
        assert len(points) > 1
        assert points[-1].value == estimate.value
        assert points[-1].evaluations == result.evaluations["estimate"]
        assert points[0].std_error > points[-1].std_error


@pytest.mark.statistical(effect=0.04, false_fail=2e-7, false_pass=0.1)
def test_a_stated_proposal_needs_no_tuning(seed):
    law = Importance(proposal=Normal(mean=np.full(4, 2.0), std=1.0))
    result = solve(CASE, seed(49), measures=BOTH, relative_error=0.005, method=law)
    assert_within_error(result.estimates[0].value, stats.norm.isf(1e-4), result.estimates[0].std_error)


# --- draws that are kept -----------------------------------------------------------------------------


def test_first_draws_of_the_tail_are_kept(seed, monkeypatch):
    rng = np.random.default_rng(seed(50))
    u, log_weight = rng.standard_normal((1000, 4)), rng.standard_normal(1000)
    loss = u.sum(axis=1)
    monkeypatch.setattr(tail_draws, "NUMBERS", 4 * 60)
    parts = [
        TailDraws.of_block(u[k : k + 50], loss[k : k + 50], log_weight[k : k + 50], 2.0) for k in range(0, 1000, 50)
    ]
    total = parts[0]
    for part in parts[1:]:
        total = total.merge(part)
    at = np.flatnonzero(loss >= 2.0)
    assert total.full
    assert total.n == at[60]
    for kept, expected in zip(total.joined(), (loss, log_weight, np.arange(1000), u), strict=True):
        np.testing.assert_array_equal(kept, expected[at[:60]])


def test_a_block_of_its_own_is_cut_too(seed, monkeypatch):
    monkeypatch.setattr(tail_draws, "NUMBERS", 6)
    u = np.arange(20.0).reshape(10, 2)
    one = TailDraws.of_block(u, u[:, 0], np.zeros(10), 4.0)
    assert (one.n, one.full, one.joined()[0].tolist()) == (5, True, [4.0, 6.0, 8.0])


# --- refusals ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "method",
    [
        LineSampling(),
        SubsetSimulation(),
        CrossEntropy(draws="sobol"),
        CrossEntropy(control_variates=True),
        raresim.Splitting(),
        raresim.SequentialImportance(),
        raresim.DirectionalSampling(),
        raresim.AsmussenKroese(),
    ],
    ids=lambda m: m.kind,
)
def test_methods_without_weighted_draws_are_refused(method, seed):
    with pytest.raises(FieldError) as caught:
        experiment(CASE, seed(51), measures=BOTH, method=method)
    assert str(caught.value).startswith(f"measures: must be probabilities with method {method.kind} and these options")
    assert "got value_at_risk" in str(caught.value)


def test_what_leaves_the_upper_end_open_is_refused(seed):
    with pytest.raises(FieldError, match=r"^measures: must be probabilities where method.guarantee is given"):
        experiment(CASE, seed(52), measures=BOTH, method=Crude(guarantee="relative"))
    loss = PythonLoss(function=first, on_failure="bound")
    with pytest.raises(FieldError, match=r"^measures: must be probabilities where loss.on_failure is 'bound'"):
        experiment(dataclasses.replace(CASE, loss=loss), seed(53), measures=BOTH)


def test_events_below_do_not_go_with_quantiles(seed):
    with pytest.raises(FieldError, match=r"^measures: must be on the upper side of the loss"):
        experiment(CASE, seed(54), measures=[Probability(below=-3.0), *BOTH])


# --- expected and unexpected loss --------------------------------------------------------------------


def rows_by_name(exhibit):
    return {(row[0], row[1]): dict(zip(exhibit.columns[2:], row[2:], strict=True)) for row in exhibit.rows}


@pytest.mark.statistical(effect=0.05, false_fail=3e-7, false_pass=0.1)
def test_unexpected_loss_of_a_closed_form(seed):
    """The mean of a linear loss of normals is known: the unexpected loss has the error of the value at risk."""
    inputs = Normal(mean=[1.0, 2.0], std=1.0)
    loss = raresim.Linear(weights=[1.0, 1.0], factors="losses")
    measure = raresim.UnexpectedLoss(level=[0.99, 0.999])
    result = raresim.estimate(inputs, loss, measure, seed=seed(60), relative_error=0.004)
    (exhibit,) = result.exhibits
    rows = rows_by_name(exhibit)
    assert rows["expected loss", None] == {
        "value": 3.0,
        "std_error": 0.0,
        "lower": 3.0,
        "upper": 3.0,
        "status": "trusted",
    }
    for level, text in ((0.99, "99 %"), (0.999, "99.9 %")):
        v = stats.norm.ppf(level) * math.sqrt(2.0)
        var, ul, es = (rows[name, text] for name in ("value at risk", "unexpected loss", "expected shortfall"))
        assert ul["value"] == pytest.approx(var["value"] - 3.0, rel=1e-12)
        assert ul["std_error"] == var["std_error"]
        assert ul["upper"] - ul["value"] == pytest.approx(var["upper"] - var["value"], rel=1e-9)
        assert_within_error(ul["value"], v, ul["std_error"])
        assert es["value"] > var["value"]
    assert [e.label for e in result.estimates] == ["VaR 99 %", "VaR 99.9 %", "ES 99 %", "ES 99.9 %"]


@pytest.mark.statistical(effect=0.1, false_fail=2e-7, false_pass=0.1)
def test_expected_loss_of_a_black_box_is_that_of_its_first_draws(seed):
    measure = raresim.UnexpectedLoss(level=0.99)
    result = raresim.estimate(2, lambda x: np.exp(x[:, 0]), measure, seed=seed(61), relative_error=0.01)
    rows = rows_by_name(result.exhibits[0])
    mean = rows["expected loss", None]
    assert_within_error(mean["value"], math.exp(0.5), mean["std_error"])
    ul, var = rows["unexpected loss", "99 %"], rows["value at risk", "99 %"]
    assert ul["std_error"] == pytest.approx(math.hypot(mean["std_error"], var["std_error"]))
    assert ul["lower"] < ul["value"] < ul["upper"]


# --- alike questions ---------------------------------------------------------------------------------


def test_alike_questions_are_asked_once(seed):
    measures = [
        ValueAtRisk(level=0.99),
        ValueAtRisk(
            level=[0.99, 0.999], reference=[Reference(value=2.3, source="a"), Reference(value=3.1, source="b")]
        ),
        ValueAtRisk(level=0.99, confidence=0.9),
    ]
    result = solve(CASE, seed(62), measures=measures, relative_error=0.01, method=CrossEntropy())
    assert [(e.label, e.confidence) for e in result.estimates] == [
        ("VaR 99 %", 0.95),
        ("VaR 99.9 %", 0.95),
        ("VaR 99 %", 0.9),
    ]
    assert result.estimates[0].reference.source == "a"


# --- presets -----------------------------------------------------------------------------------------


CONFIG = """
preset: {preset}
seed: 1
inputs: {{kind: normal, dim: 3}}
loss: {{kind: linear, weights: equal, factors: losses}}
{measures}
"""


def config_of(tmp_path, preset, measures=""):
    path = tmp_path / "a.yaml"
    path.write_text(CONFIG.format(preset=preset, measures=measures))
    return raresim.load(path)


@pytest.mark.parametrize("preset", presets.PRESETS)
def test_a_preset_fills_in_measures_and_says_so(preset, tmp_path):
    config = config_of(tmp_path, preset)
    config.outline()
    experiment_ = config.experiment()
    assert [m.kind for m in experiment_.measures] == [m["kind"] for m in presets.PRESETS[preset].measures]
    assert len(config.filled) == 2 + len(experiment_.measures)
    assert config.filled[0].startswith(f"preset {preset}: ")
    assert "99" in str(config.resolved()["measures"]) or preset in ("frtb-es", "cat-ep")


def test_a_preset_fills_in_levels_that_are_missing_alone(tmp_path):
    given = "measures: [{kind: value_at_risk}, {kind: expected_shortfall, level: 0.9}, {kind: probability, above: 1}]"
    config = config_of(tmp_path, "irb", given)
    var, es, probability = config.experiment().measures
    assert (var.level, es.level, probability.above) == (0.999, 0.9, 1)
    assert config.filled[2:] == ("measures[0]: level: 0.999",)


def test_a_preset_is_told_in_the_result_and_changes_no_number(tmp_path):
    given = "measures: [{kind: value_at_risk, level: 0.999}]"
    config = config_of(tmp_path, "irb", given)
    told = config.experiment().run().to_dict()
    plain = dataclasses.replace(config.experiment(), preset=None).run().to_dict()
    assert told["description"].pop("preset") == [presets.PRESETS["irb"].title, "one year"]
    for result in (told, plain):
        result.pop("seconds")
    assert told == plain


def test_an_unknown_preset_is_named_with_those_there_are(tmp_path):
    with pytest.raises(ConfigError) as caught:
        config_of(tmp_path, "basel")
    assert str(caught.value).endswith(
        "a.yaml:2:1: preset: must be one of solvency2, irb, frtb-es, sst, cat-ep, got 'basel'"
    )


# --- values at risk near and below the median --------------------------------------------------------


@pytest.mark.statistical(effect=0.3, false_fail=2e-7, false_pass=0.1)
@pytest.mark.parametrize("method", ["crude", "auto"])
@pytest.mark.parametrize("tail", [0.3, 0.5, 0.9])
@pytest.mark.slow_cases("0.5-auto", "0.5-crude")
def test_18_3_var_and_es_near_and_below_the_median_are_read(method, tail, seed):
    """The floor of the rows that were kept lay above them: the budget was spent, and the answer was NaN."""
    measures = [ValueAtRisk(tail=tail), ExpectedShortfall(tail=tail)]
    kind = lookup("method", method)
    found = solve(CASE, seed(40), method=kind(), measures=measures)
    for estimate, exact in zip(found.estimates, normal_quantile(tail), strict=True):
        assert_within_error(estimate.value, exact, estimate.std_error, scale=1.0)
        assert estimate.interval[0] <= estimate.value <= estimate.interval[1]
        assert estimate.verdict.status == "trusted"
    assert found.evaluations["total"] < 400_000


@pytest.mark.slow
@pytest.mark.statistical(effect=0.3, false_fail=2e-7, false_pass=0.1)
def test_18_3_a_curve_that_begins_at_the_median_is_whole(seed):
    ends = Exceedance(from_tail=0.5, to_tail=0.01)
    measures = [ends, Exceedance(return_periods=[1.5, 20])]
    found = solve(CASE, seed(41), method=Crude(), measures=measures, relative_error=0.03)
    assert all(estimate.verdict.status == "trusted" for estimate in found.estimates)
    values = {estimate.level: estimate for estimate in found.estimates}
    for level in (0.5, level_of(1.0 / 1.5)):
        estimate = values[level]
        assert_within_error(estimate.value, stats.norm.ppf(level), estimate.std_error, scale=1.0)
    first, second = (exhibit for exhibit in found.exhibits if exhibit.name.startswith("exceedance"))
    assert first.rows[0][1] == pytest.approx(0.5, abs=0.03)
    assert "1.5 years" in second.rows[0][-1]


def test_18_3_only_next_to_zero_is_an_error_compared_with_the_scale_of_the_loss(seed):
    """A centred loss has its median at zero; one of positive losses alone is compared with its own size as ever."""
    centred = locate(session(first, seed=seed(42)), [0.5])
    assert centred.least(0.5) == pytest.approx(0.25 * (stats.norm.isf(0.25) - stats.norm.isf(0.75)), rel=0.3)
    positive = locate(session(lambda x: np.exp(x[:, 0]), seed=seed(43)), [0.5])
    assert positive.least(0.5) == positive.least_shortfall(0.5) == 0.0
    assert centred.floor([0.5]) == -math.inf
