"""Cross-entropy tuning: levels, regions, and every way in which it may end."""

import itertools

import numpy as np
import pytest
from scipy import stats

from raresim import (
    CrossEntropy,
    Gaussian,
    Independent,
    LowRankNormal,
    Mixture,
    Normal,
    Probability,
    PythonLoss,
    StandardNormal,
    StudentT,
)
from raresim.config import load as configs
from raresim.engine.executors import Executor
from raresim.engine.problem import Problem
from raresim.engine.session import Session
from raresim.errors import FieldError
from raresim.estimators.weighted_draws import WeightedDraws
from raresim.marginals.exponential import Exponential
from raresim.methods import cross_entropy
from raresim.methods.levels import Evaluate
from raresim.proposals.directional import DirectionalMixture
from raresim.proposals.exponential_tilt import ExponentialTilting
from raresim.proposals.gaussian_mixture import GaussianMixture
from raresim.proposals.student_t import StudentTMixture
from raresim.record.event import Event
from raresim.record.verdict import Status
from raresim.search.explorer import EvaluatePoints
from tests.problems import EVERY_PROBLEM, Case, below, linear_normal, several, solve, two_sided
from tests.statistical import assert_within_error


def tuning(result):
    """The iterations of each start, in order."""
    return {start: list(rows) for start, rows in itertools.groupby(result.iterations, key=lambda row: row.start)}


def loss_case(function, threshold, d=2, exact=()):
    return Case(
        function.__name__, StandardNormal(dim=d), PythonLoss(function=function), Probability(above=threshold), exact
    )


# --- the answer --------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", EVERY_PROBLEM)
@pytest.mark.statistical(effect=0.25, false_fail=1e-7, false_pass=1e-3)
def test_answer_is_exact_within_its_error(case, seed):
    """5 standard errors of 2 %; every event of every problem with a known answer."""
    result = solve(case, seed(201), relative_error=0.02)
    values = [e.value for e in result.estimates]
    assert_within_error(values, case.exact, [e.std_error for e in result.estimates])
    assert result.verdict.status is Status.TRUSTED


# --- levels ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", [linear_normal(3, 5.0), two_sided(3, 5.0), below(4.0)], ids=lambda c: c.name)
def test_levels_climb_to_the_threshold(case, seed):
    result = solve(case, seed(202), relative_error=0.1)
    sign = -1.0 if result.estimates[0].direction == "below" else 1.0
    goal = sign * result.estimates[0].threshold
    starts = tuning(result)
    assert list(starts) == ["all", *range(len(starts) - 3), "hits", "pooled"]
    assert [sign * row.level for row in starts["hits"]] == [goal]
    for start in range(len(starts) - 3):
        levels = [sign * row.level for row in starts[start]]
        assert levels == sorted(levels)
        assert levels[-1] == goal
        assert [row.iteration for row in starts[start]] == list(range(1, len(levels) + 1))


def test_levels_take_a_share_of_the_draws_and_measure_themselves(seed):
    result = solve(linear_normal(3, 5.0), seed(203), relative_error=0.1)
    for row in result.iterations:
        if row.start == "hits":  # no level: draws of a widened target, and what their hits led to
            continue
        assert 0.1 <= row.rarity <= 1.0
        assert row.rarity == pytest.approx(row.elites / row.evaluations)
        assert 0 < row.ess <= row.elites * (1 + 1e-12)
        assert row.kl_optimal_proposal >= -1e-12
        assert row.kl_step >= -1e-12 or row.start in ("all", "pooled")
        assert row.log_probability < 0
        assert row.note == ""


def test_pooled_level_already_knows_the_answer(seed):
    """Its own estimate, from draws that the result does not use, is within a tenth (about 4 of its errors)."""
    for case in (linear_normal(3, 5.0), two_sided(3, 5.0)):
        pooled = tuning(solve(case, seed(204), relative_error=0.1))["pooled"][0]
        assert pooled.evaluations >= 2000
        assert pooled.log_probability == pytest.approx(np.log(case.exact[0]), abs=0.2)


def test_kl_of_the_optimal_proposal_falls_while_tuning(seed):
    """KL(optimal || q): what crude pays for the event is far more than what the tuned proposal pays."""
    result = solve(linear_normal(3, 5.0), seed(205), relative_error=0.02)
    d = result.diagnostics
    assert d["kl_target_optimal"] == pytest.approx(-np.log(2.866515718791933e-07), abs=0.1)
    assert 0 < d["kl_optimal_proposal"] < 2.0
    assert d["kl_proposal_target"] == pytest.approx(5.2**2 / 2, rel=0.15)  # a shift by the mean of the tail


# --- several regions ---------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.statistical(effect=0.25, false_fail=1e-7, false_pass=1e-3)
def test_both_sides_of_a_two_sided_event_are_found(seed):
    """30 seeds at d = 3: missing a side halves the answer; each run lies within 5 errors of 2 %."""
    case = two_sided(3, 5.0)
    results = [solve(case, seed(1000 + s), relative_error=0.02) for s in range(30)]
    values = [r.estimates[0].value for r in results]
    assert_within_error(values, case.exact[0], [r.estimates[0].std_error for r in results])
    assert {r.verdict.status for r in results} == {Status.TRUSTED}


# --- tuning draws stay out of the estimate -----------------------------------------------------------


def test_no_tuning_draw_enters_the_estimate(seed, monkeypatch):
    """The stages that tuning, its hits of a widened target, and the estimate draw from have no index in common."""
    stages = {"tune": set(), "hits": set(), "estimate": set()}
    for name, job in (("tune", Evaluate), ("hits", EvaluatePoints), ("estimate", WeightedDraws)):
        original = job.__call__

        def call(self, block, name=name, original=original):
            stages[name].add(block.stage)
            return original(self, block)

        monkeypatch.setattr(job, "__call__", call)
    result = solve(two_sided(3, 4.0), seed(207), relative_error=0.02)
    assert len(stages["estimate"]) == 1
    assert not (stages["tune"] | stages["hits"]) & stages["estimate"]
    assert not stages["tune"] & stages["hits"]
    assert len(stages["tune"]) == sum(row.start != "hits" for row in result.iterations)


# --- how tuning may end ------------------------------------------------------------------------------


def capped(x):
    return np.minimum(x.sum(axis=1), 2.0)


def constant(x):
    return np.zeros(len(x))


def steps(x):
    return np.floor(x.sum(axis=1))


def indicator(x):
    return (x.sum(axis=1) > 3.0).astype(float)


def notes(result):
    return {row.note for row in result.iterations if row.note}


def test_impossible_event_gives_a_bound_and_says_that_levels_stalled(seed):
    result = solve(loss_case(capped, 3.0), seed(211), max_evaluations=100_000, audit="off")
    (estimate,) = result.estimates
    assert result.verdict.status is Status.BOUND_ONLY
    assert notes(result) == {"level stalled for 3 iterations"}
    assert result.search["outcome"] == "0 of 4 starts reached the threshold (level stalled for 3 iterations)"
    assert result.search["reached"] == 0
    assert (estimate.value, estimate.log_value) == (0.0, -np.inf)
    assert estimate.interval == (0.0, 1.0)  # draws of a proposal bound nothing
    assert result.evaluations["total"] == 100_000


def test_constant_loss_gives_a_bound_and_no_exception(seed):
    result = solve(loss_case(constant, 1.0), seed(212), max_evaluations=100_000)
    assert result.verdict.status is Status.BOUND_ONLY
    assert notes(result)


@pytest.mark.parametrize("threshold", [-1e300, -20.0, 0.0])
@pytest.mark.statistical(effect=0.12, false_fail=1e-7, false_pass=1e-3)
def test_event_that_is_not_rare_is_estimated(threshold, seed):
    """Certain, nearly certain and even events: their complement's error must not be hidden by weights."""
    case = linear_normal(2, threshold)
    (estimate,) = solve(case, seed(213), relative_error=0.01).estimates
    exact = stats.norm.sf(threshold)
    assert_within_error(estimate.value, exact, max(estimate.std_error, 1e-12))
    assert estimate.interval[1] <= 1.0
    assert estimate.verdict.status is Status.TRUSTED


@pytest.mark.statistical(effect=0.25, false_fail=1e-7, false_pass=1e-3)
def test_discrete_loss_with_ties_is_estimated(seed):
    """``floor(x + y) >= 7`` is ``x + y >= 7``."""
    exact = stats.norm.sf(7 / np.sqrt(2))
    (estimate,) = solve(loss_case(steps, 7.0), seed(214), relative_error=0.02).estimates
    assert_within_error(estimate.value, exact, estimate.std_error)


def test_loss_of_two_values_is_estimated_or_not_trusted(seed):
    """A 0/1 loss has no levels to climb: P(x + y > 3) = 0.017 is found by the first draws or not believed."""
    result = solve(loss_case(indicator, 1.0), seed(215), relative_error=0.05, max_evaluations=300_000)
    (estimate,) = result.estimates
    near = abs(estimate.value / stats.norm.sf(3 / np.sqrt(2)) - 1) < 0.25
    assert near or result.verdict.status is not Status.TRUSTED


def test_too_few_levels_are_named(seed):
    result = solve(linear_normal(3, 5.0), seed(216), method=CrossEntropy(max_levels=1), max_evaluations=50_000)
    assert notes(result) == {"threshold not reached in 1 levels"}
    assert result.verdict.status is not Status.TRUSTED


def test_tuning_that_fell_short_plans_nothing(seed):
    """Its variance is that of a proposal for another level: the size of the sample is then chosen by looking."""
    result = solve(linear_normal(3, 3.3), seed(227), method=CrossEntropy(max_levels=1), relative_error=0.05)
    assert result.search["reached"] == 0
    assert result.iterations[-1].ess > 100
    assert result.stopping["planned"] is False


def test_half_of_the_budget_on_tuning_is_named(seed):
    result = solve(linear_normal(3, 5.0), seed(217), max_evaluations=16_000, audit="off")
    assert "half of max_evaluations spent on tuning" in result.search["outcome"]
    assert result.search["reached"] < result.search["starts"]
    assert result.evaluations["tune"] <= 16_000 * 3 // 4
    assert result.evaluations["total"] == 16_000


def test_degenerate_weights_are_named(seed):
    """50 draws with 5 elites, and a budget that allows one doubling: 10 effective elites fit nothing."""
    method = CrossEntropy(proposal=Gaussian(covariance="mean_shift"), samples=50, starts=1)
    result = solve(linear_normal(1, 6.0), seed(218), method=method, max_evaluations=600)
    assert any(note.startswith("weights degenerate: ") for note in notes(result))
    assert result.verdict.status is not Status.TRUSTED


@pytest.mark.parametrize("budget", [9_000, 12_000, 16_000, 20_000])
def test_a_note_stands_on_a_row_of_the_start_that_ended_with_it(budget, seed):
    """A start that reached the threshold has no note; nor has the first level, which all starts share."""
    result = solve(linear_normal(3, 5.0), seed(219), max_evaluations=budget)
    for start, rows in tuning(result).items():
        ended = [row.note for row in rows if row.note]
        reached = start == "pooled" or rows[-1].level >= 5.0
        assert not (ended and (reached or start == "all")), f"start {start}: {ended}"


@pytest.mark.parametrize("budget", [100, 3_000, 4_000])
def test_a_budget_below_the_first_level_is_refused_before_it_is_spent(budget, seed):
    """4,000 draws of a loss that may cost a second each: the refusal must not come after them."""
    calls = []

    def counted(x):
        calls.append(len(x))
        return x.sum(axis=1)

    with pytest.raises(FieldError, match="max_evaluations"):
        solve(loss_case(counted, 5.0), seed(220), max_evaluations=budget)
    assert sum(calls) <= budget


# --- options -----------------------------------------------------------------------------------------


def test_too_few_samples_for_the_family_are_refused(seed):
    method = CrossEntropy(proposal=Gaussian(covariance="full"), samples=1000)
    with pytest.raises(FieldError) as caught:
        solve(linear_normal(20, 3.0), seed(221), method=method)
    assert str(caught.value) == (
        "samples: must be at least 11,500: 5 elites for each of the 230 free parameters, got 1,000"
    )


def test_two_tails_at_once_are_refused(seed):
    measures = [Probability(above=3.0), Probability(below=-3.0)]
    with pytest.raises(
        FieldError,
        match="measures: must be on one side of the loss for method cross_entropy: put `above` and `below` into two",
    ):
        solve(linear_normal(2, 3.0), seed(222), measures=measures)


@pytest.mark.parametrize("covariance", ["mean_shift", "diagonal", "full", "low_rank"])
@pytest.mark.parametrize("starts", [1, 3, 4])
@pytest.mark.statistical(effect=0.4, false_fail=1e-7, false_pass=1e-3)
def test_every_covariance_and_number_of_starts_gives_the_answer(covariance, starts, seed):
    case = linear_normal(3, 4.0)
    method = CrossEntropy(proposal=Gaussian(covariance=covariance), starts=starts)
    result = solve(case, seed(223), method=method, relative_error=0.03)
    assert_within_error(result.estimates[0].value, case.exact[0], result.estimates[0].std_error)
    assert result.search["starts"] == starts


@pytest.mark.statistical(effect=0.6, false_fail=1e-7, false_pass=1e-3)
def test_less_rare_events_are_estimated_with_the_rarest(seed):
    case = several(2.0, 4.0, 3.0)
    result = solve(case, seed(224), relative_error=0.05)
    values = [e.value for e in result.estimates]
    assert_within_error(values, case.exact, [e.std_error for e in result.estimates])
    assert tuning(result)[0][-1].level == 4.0


@pytest.mark.parametrize("defensive", [0.05, 0.5])
def test_no_weight_exceeds_the_inverse_of_the_defensive_share(defensive, seed):
    method = CrossEntropy(defensive=defensive)
    result = solve(linear_normal(3, 4.0), seed(225), method=method, relative_error=0.05)
    assert result.arrays.log_weight.max() <= np.log(1 / defensive) + 1e-9


def test_method_describes_its_options():
    lines = CrossEntropy(starts=3, defensive=0.1).describe()
    assert "3 starts" in lines[0]
    assert "10% of the target" in lines[1]
    lines = CrossEntropy(proposal=StudentTMixture(components=2), smoothing=0.7).describe()
    assert "student_t (components 2, dof 10.0, covariance diagonal)" in lines[0]
    assert lines[0].endswith("smoothing 0.7")


@pytest.mark.parametrize(("case", "regions"), [(two_sided(3, 4.0), 2), (linear_normal(3, 4.0), 1)], ids=["two", "one"])
def test_each_region_has_a_law_and_the_target_its_share(case, regions, seed):
    problem = Problem(case.inputs, case.loss.bind(case.inputs))
    tuned = CrossEntropy().tune(Session(problem, [Event(4.0)], seed(226), Executor(), 10**6, lambda *_: None))
    *laws, target = tuned.proposal.components
    assert [type(law) for law in laws] == [LowRankNormal] * regions
    assert target == problem.target
    assert tuned.proposal.shares[-1] == pytest.approx(0.05)


# --- mixtures, t laws, smoothing, physical space -----------------------------------------------------


@pytest.mark.parametrize(
    "proposal",
    [
        GaussianMixture(),
        GaussianMixture(components=2, covariance="full"),
        StudentTMixture(dof="estimated"),
        StudentTMixture(components=2, covariance="mean_shift"),
    ],
    ids=["auto", "full", "t", "two t"],
)
@pytest.mark.parametrize("case", [linear_normal(3, 4.0), two_sided(3, 5.0), below(4.0)], ids=lambda c: c.name)
@pytest.mark.statistical(effect=0.5, false_fail=1e-7, false_pass=1e-3)
def test_mixtures_give_the_answer(case, proposal, seed):
    method = CrossEntropy(proposal=proposal)
    result = solve(case, seed(231), method=method, relative_error=0.04, max_evaluations=300_000)
    (estimate,) = result.estimates
    assert_within_error(estimate.value, case.exact[0], estimate.std_error)
    assert estimate.relative_error <= 0.04
    assert result.search["regions"] == (2 if case.name.startswith("two") else 1)


@pytest.mark.slow
@pytest.mark.statistical(effect=0.6, false_fail=1e-7, false_pass=1e-3)
def test_one_start_of_a_mixture_finds_both_sides(seed):
    """10 seeds of a single start: a side that is missed halves the answer, 10 of its errors."""
    case, method = two_sided(2, 4.0), CrossEntropy(proposal=GaussianMixture(components=2), starts=1)
    results = [solve(case, seed(260 + s), method=method, relative_error=0.05) for s in range(10)]
    estimates = [r.estimates[0] for r in results]
    assert_within_error([e.value for e in estimates], case.exact[0], [e.std_error for e in estimates])


def tuned_by(case, method, threshold, seed):
    problem = Problem(case.inputs, case.loss.bind(case.inputs), method.draws_in)
    return method.tune(Session(problem, [Event(threshold)], seed, Executor(), 10**6, lambda *_: None))


def test_a_mixture_says_how_many_components_it_has(seed):
    method = CrossEntropy(proposal=StudentTMixture(components=2, dof=6.0), starts=2)
    tuned = tuned_by(two_sided(2, 4.0), method, 4.0, seed(232))
    *laws, _ = tuned.proposal.components
    assert {type(law) for law in laws} == {StudentT}
    assert {law.dof for law in laws} == {6.0}
    hits, parts = tuned.decisions
    assert "hit the event, in 2 failure regions (2 new); the search ended with: all hits explained" in hits
    assert parts == f"The student_t proposal has {len(laws)} components in 2 regions."


def test_components_that_the_elites_do_not_bear_are_noted(seed):
    method = CrossEntropy(proposal=GaussianMixture(components=4), starts=1)
    tuned = tuned_by(linear_normal(3, 4.0), method, 4.0, seed(233))
    assert any("of 4 components fitted" in row.note for row in tuned.iterations)


@pytest.mark.statistical(effect=0.4, false_fail=2e-7, false_pass=1e-3)
def test_smoothing_takes_smaller_steps_to_the_same_answer(seed):
    case = linear_normal(3, 5.0)
    results = {
        share: solve(case, seed(234), method=CrossEntropy(smoothing=share, starts=1), relative_error=0.03)
        for share in (1.0, 0.5)
    }
    for result in results.values():
        assert_within_error(result.estimates[0].value, case.exact[0], result.estimates[0].std_error)
    levels = {share: [row.level for row in r.iterations if row.start == 0] for share, r in results.items()}
    assert len(levels[0.5]) > len(levels[1.0])
    assert levels[0.5][0] < levels[1.0][0]


def test_first_smoothed_law_lies_between_the_target_and_the_fit(seed, monkeypatch):
    """After one level, a halved step is the shorter one, though its level is drawn from half of the first shift."""
    monkeypatch.setattr(cross_entropy._Climb, "by_hits", lambda _, known: known)
    whole, half = (
        tuned_by(linear_normal(2, 1.5), CrossEntropy(smoothing=s, starts=1, max_levels=1), 9.0, seed(235)).proposal
        for s in (1.0, 0.5)
    )
    first = [law.parts[1][0].location for law in (whole, half)]
    assert np.linalg.norm(first[1]) < 0.8 * np.linalg.norm(first[0])


@pytest.mark.parametrize(
    ("options", "unit"),
    [
        ({"draws": "antithetic"}, "draw"),
        ({"draws": "sobol"}, "replicate"),
        ({"control_variates": True}, "replicate"),
        ({"draws": "antithetic", "control_variates": True}, "replicate"),
        ({"draws": "sobol", "proposal": DirectionalMixture()}, "replicate"),
        ({"draws": "sobol", "proposal": GaussianMixture(components=2)}, "replicate"),
    ],
)
@pytest.mark.statistical(effect=0.4, false_fail=1e-7, false_pass=1e-3)
def test_final_draws_can_be_made_in_other_ways(options, unit, seed):
    result = solve(linear_normal(3, 4.0), seed(391), method=CrossEntropy(**options), relative_error=0.03)
    (estimate,) = result.estimates
    assert_within_error(estimate.value, stats.norm.sf(4.0), estimate.std_error)
    assert estimate.relative_error <= 0.03
    assert result.search["unit"] == unit
    assert result.search["kind"] == "tuned"
    assert result.verdict.status is Status.TRUSTED


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"draws": "halton"}, "draws: unknown value 'halton'"),
        ({"draws": "sobol", "control_variates": True}, "control_variates: must be false where draws is 'sobol'"),
        ({"control_variates": True, "defensive": 0.0}, "control_variates: must be false where defensive is 0"),
        ({"draws": "antithetic", "proposal": DirectionalMixture()}, "draws: goes with proposal gaussian, "),
        ({"draws": "sobol", "proposal": ExponentialTilting()}, "draws: goes with proposal directional, gaussian, "),
    ],
)
def test_ways_to_draw_that_do_not_go_with_the_rest_are_refused(options, message):
    with pytest.raises(FieldError) as caught:
        CrossEntropy(**options)
    assert str(caught.value).startswith(message)


@pytest.mark.statistical(effect=0.2, false_fail=1e-7, false_pass=1e-3)
def test_common_event_is_drawn_from_the_target_in_the_asked_way(seed):
    result = solve(linear_normal(3, 1.0), seed(392), method=CrossEntropy(draws="antithetic"), relative_error=0.02)
    (estimate,) = result.estimates
    assert_within_error(estimate.value, stats.norm.sf(1.0), estimate.std_error)
    assert result.search["kind"] == "none"
    assert result.evaluations["estimate"] == 2 * estimate.diagnostics["rows"]


@pytest.mark.parametrize("smoothing", [0.0, 1.1])
def test_smoothing_out_of_range_is_refused(smoothing):
    with pytest.raises(FieldError, match="smoothing: must be above 0 and at most 1"):
        CrossEntropy(smoothing=smoothing)


def test_smoothing_of_a_family_without_moments_is_refused():
    with pytest.raises(
        FieldError, match="smoothing: goes with proposal gaussian, gaussian_mixture, student_t, got exponential_tilt"
    ):
        CrossEntropy(proposal=ExponentialTilting(), smoothing=0.5)


def total(x):
    return x.sum(axis=1)


def spread(x):
    return np.abs(x.sum(axis=1) - 300.0)


@pytest.mark.statistical(effect=0.8, false_fail=1e-7, false_pass=1e-3)
def test_proposals_in_physical_space_give_the_answer(seed):
    """A sum of exponentials is a gamma variable."""
    inputs, threshold = Independent(marginal=Exponential(), dim=4), float(stats.gamma.isf(1e-6, 4))
    case = Case("sum", inputs, PythonLoss(function=total), Probability(above=threshold), [1e-6])
    result = solve(case, seed(236), method=CrossEntropy(proposal=ExponentialTilting()), relative_error=0.05)
    assert_within_error(result.estimates[0].value, 1e-6, result.estimates[0].std_error)


@pytest.mark.statistical(effect=0.6, false_fail=1e-7, false_pass=1e-3)
def test_regions_in_physical_space_are_told_apart_in_units_of_the_target(seed):
    """Two sides of a sum whose two factors have scales 30 and 1, far from the origin."""
    inputs = Normal(mean=[200.0, 100.0], std=[30.0, 1.0])
    scale = np.hypot(30.0, 1.0)
    case = Case("far", inputs, PythonLoss(function=spread), Probability(above=4.5 * scale), [2 * stats.norm.sf(4.5)])
    method = CrossEntropy(proposal=ExponentialTilting())
    assert method.draws_in == "physical"
    tuned = tuned_by(case, method, 4.5 * scale, seed(237))
    assert tuned.regions == 2
    assert isinstance(tuned.proposal, Mixture)
    (estimate,) = solve(case, seed(238), method=method, relative_error=0.05).estimates
    assert_within_error(estimate.value, case.exact[0], estimate.std_error)


@pytest.mark.statistical(effect=1.2, false_fail=1e-7, false_pass=1e-3)
def test_mixture_runs_from_yaml_with_the_same_digits_on_any_number_of_workers(tmp_path):
    path = tmp_path / "one.yaml"
    path.write_text(
        "seed: 7\n"
        "inputs: {kind: normal, dim: 2}\n"
        "loss: {kind: linear, weights: equal}\n"
        "measures: [{kind: probability, above: 4 sigma}]\n"
        "method: {kind: cross_entropy, starts: 2, proposal: {kind: gaussian_mixture, components: 2}}\n"
        "stop: {relative_error: 0.1}\n"
    )
    experiment = configs.load(path).experiment()
    assert experiment.method == CrossEntropy(proposal=GaussianMixture(components=2), starts=2)
    one = experiment.run()
    with Executor.of("threads", 2) as executor:
        two = experiment.run(executor)
    assert one.estimates[0].value == two.estimates[0].value
    assert_within_error(one.estimates[0].value, stats.norm.sf(4.0), one.estimates[0].std_error)
