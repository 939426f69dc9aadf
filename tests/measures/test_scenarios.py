"""Reverse stress tests: design points, moments given an event, modes and days, against closed forms."""

import math
import pickle
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from raresim import (
    FittedInputs,
    Garch,
    Historical,
    Linear,
    Normal,
    PythonLoss,
    ReturnsSource,
    ReturnsTable,
    Scenarios,
    StandardNormal,
    StudentT,
    estimate,
    load,
)
from raresim.distributions.covariances import covariance
from raresim.engine.problem import Problem
from raresim.errors import ConfigError, FieldError
from raresim.measures.base import Answered, LossScale
from raresim.measures.conditional import Given
from raresim.measures.modes import FEW, MAX_EVALUATIONS, MAX_SHARE
from raresim.measures.tail_sample import TailSample
from raresim.record.event import Event
from tests.helpers import session_of
from tests.problems import COV, MEAN, WEIGHTS
from tests.statistical import assert_count, assert_spread_is, assert_within_error

COV, MEAN, WEIGHTS = np.array(COV), np.array(MEAN), np.array(WEIGHTS)
SIGMA = math.sqrt(WEIGHTS @ COV @ WEIGHTS)
K = 4.0
THRESHOLD = WEIGHTS @ MEAN + K * SIGMA
AXIS = np.linalg.cholesky(COV).T @ WEIGHTS / SIGMA


# ------------------------------------------------------------------ samples to read from


def problem_of(inputs, loss, space="standard"):
    return Problem(inputs, loss.bind(inputs), space)


def sample_of(problem, means, n, seed, floor, shares=None, scale=1.0):
    """``n`` draws from normals around ``means`` (k, l), weighed, of which those beyond ``floor`` are kept."""
    rng = np.random.default_rng(seed)
    means = np.atleast_2d(means)
    k, dim = means.shape
    shares = np.full(k, 1 / k) if shares is None else np.array(shares)
    u = means[rng.choice(k, n, p=shares)] + scale * rng.standard_normal((n, dim))
    squares = [np.square((u - mean) / scale).sum(axis=1) for mean in means]
    log_q = np.logaddexp.reduce([np.log(s) - 0.5 * q for s, q in zip(shares, squares, strict=True)])
    log_weight = -0.5 * np.square(u).sum(axis=1) - log_q + dim * math.log(scale)
    inputs = problem.inputs
    x = np.array(inputs.to_physical(np.asfortranarray(u), np.empty((n, inputs.dim), order="F")))
    loss = np.empty(n)
    problem.loss(np.asfortranarray(x), loss)
    rows = np.flatnonzero(loss >= floor)
    return TailSample(n, floor, loss[rows], log_weight[rows], rows, u[rows], x[rows], np.empty((rows.size, 0)))


def exhibits_of(measure, problem, sample, threshold=math.nan, value=math.nan):
    """By name; ``value`` is a value at risk."""
    verdict = SimpleNamespace(status="trusted")
    own = SimpleNamespace(threshold=threshold, value=value, label="P(loss >= x)", verdict=verdict)
    return {e.name: e for e in measure.exhibits(Answered(sample, (own,), (own,), session_of(problem)))}


def cells(exhibit, column):
    place = exhibit.columns.index(column)
    return {row[0]: row[place] for row in exhibit.rows}


GAUSSIAN = problem_of(Normal(mean=MEAN, cov=COV), Linear(weights=WEIGHTS))


def gaussian_sample(seed, n=4000, floor=THRESHOLD):
    return sample_of(GAUSSIAN, K * AXIS, n, seed, floor)


def gaussian_moments():
    """Mean, standard deviation and correlation given ``loss >= THRESHOLD``, from Mills' ratio."""
    hazard = stats.norm.pdf(K) / stats.norm.sf(K)
    beta = COV @ WEIGHTS / SIGMA
    cov = COV - np.outer(beta, beta) * hazard * (hazard - K)
    std = np.sqrt(np.diag(cov))
    return MEAN + beta * hazard, std, cov / np.outer(std, std)


def value_at_risk(sample, tail):
    """The smallest kept loss that is exceeded with at most the probability ``tail``."""
    order = np.argsort(-sample.loss)
    beyond = np.cumsum(sample.weight[order]) / sample.n
    return float(sample.loss[order][np.searchsorted(beyond, tail, side="right")])


def two_sided(x):
    """Beyond 3 in one direction, or beyond the point in the other that makes it a fourth as likely."""
    along = x.sum(axis=1) / math.sqrt(x.shape[1])
    return np.maximum(along, 3.0 - stats.norm.isf(stats.norm.sf(3.0) / 4) - along)


def largest(x):
    return x.max(axis=1)


def radius(x):
    return np.sqrt(np.square(x).sum(axis=1))


def four_branches(x):
    total, gap = x.sum(axis=1) / math.sqrt(2), x[:, 0] - x[:, 1]
    bent = 3 + 0.1 * np.square(gap) - np.abs(total)
    return -np.minimum(bent, 6 / math.sqrt(2) - np.abs(gap))


BRANCHES = 2.1 * np.array([[1, 1], [-1, -1], [-1, 1], [1, -1]])


# ------------------------------------------------------------------ the most likely scenario


def test_most_likely_scenario_of_a_linear_loss_is_the_design_point():
    found = exhibits_of(Scenarios(above=THRESHOLD), GAUSSIAN, gaussian_sample(1), THRESHOLD)
    first = dict(zip(found["scenarios"].columns, found["scenarios"].rows[0], strict=True))
    assert (first["scenario"], first["how"]) == ("most likely", "design point")
    assert first["radius"] == pytest.approx(K, rel=1e-6)
    assert first["loss"] == pytest.approx(THRESHOLD, rel=1e-6)
    assert first["as_far"] == pytest.approx(stats.chi2.sf(K**2, 3), rel=1e-4)
    assert first["beyond_plane"] == pytest.approx(stats.norm.sf(K), rel=1e-4)
    point = MEAN + COV @ WEIGHTS / SIGMA * K
    factors = found["scenario_factors"]
    assert list(cells(factors, "most_likely").values()) == pytest.approx(point, rel=1e-5)
    shift = (point - MEAN) / np.sqrt(np.diag(COV))
    assert list(cells(factors, "most_likely_shift").values()) == pytest.approx(shift, rel=1e-5)


def linear_in(dim, n):
    weights = np.full(dim, dim**-0.5)
    problem = problem_of(StandardNormal(dim=dim), Linear(weights=weights))
    sample = sample_of(problem, K * weights, n, 1, K)
    return sample, exhibits_of(Scenarios(above=K, history=0), problem, sample, K)["scenarios"]


@pytest.mark.parametrize("dim", [1, 20, 100, 300])
def test_search_is_short_in_any_dimension(dim):
    _, table = linear_in(dim, 4000)
    assert cells(table, "radius")["most likely"] == pytest.approx(K, rel=1e-3)
    assert 0 < table.evaluations <= min(MAX_EVALUATIONS, MAX_SHARE * 4000)


def test_where_a_gradient_is_too_dear_the_boundary_is_found_along_the_mean_of_the_draws():
    sample, table = linear_in(300, 500)
    assert table.evaluations <= FEW
    assert cells(table, "how")["most likely"] == "on the boundary, no design point: no gradient was taken"
    assert cells(table, "loss")["most likely"] == pytest.approx(K, rel=1e-2)
    assert K < cells(table, "radius")["most likely"] < 0.5 * np.linalg.norm(sample.u, axis=1).min()
    assert any("because the estimate took 500 draws" in note for note in table.notes)


def test_where_hardly_anything_may_be_evaluated_the_densest_draw_stays():
    sample, table = linear_in(3, 12)
    assert table.evaluations <= 12
    assert cells(table, "radius")["most likely"] == np.linalg.norm(sample.u, axis=1).min()


def test_point_of_a_scale_mixture_is_denser_than_every_draw():
    weights, shape = np.full(3, 1 / 3), np.full((3, 3), 0.4) + 0.6 * np.eye(3)
    problem = problem_of(StudentT(dof=4.0, shape=shape), Linear(weights=weights))
    sample = sample_of(problem, [-2.0, 1.2, 1.2, 1.2], 8000, 1, 6.0, scale=1.3)
    table = exhibits_of(Scenarios(above=6.0), problem, sample, 6.0)["scenarios"]
    assert table.rows[0][-1] == "design point"
    assert cells(table, "radius")["most likely"] <= np.linalg.norm(sample.u, axis=1).min()
    assert cells(table, "loss")["most likely"] == pytest.approx(6.0, abs=1e-2)


def test_evaluations_are_counted():
    seen = []

    def counted(x):
        seen.append(len(x))
        return radius(x)

    problem = problem_of(StandardNormal(dim=2), PythonLoss(function=counted))
    sample = sample_of(problem, [[4.0, 0.0], [-4.0, 0.0]], 500, 1, 4.0)
    seen.clear()
    assert exhibits_of(Scenarios(above=4.0), problem, sample, 4.0)["scenarios"].evaluations == sum(seen)


# ------------------------------------------------------------------ losses that fail, events that were not seen


def raising(x):
    raise ArithmeticError("no convergence")


def test_loss_that_fails_leaves_the_densest_draw():
    inputs = StandardNormal(dim=2)
    sample = sample_of(problem_of(inputs, Linear(weights=[1.0, 0.0])), [3.0, 0.0], 1000, 1, 3.0)
    problem = problem_of(inputs, PythonLoss(function=raising))
    table = exhibits_of(Scenarios(above=3.0), problem, sample, 3.0)["scenarios"]
    assert cells(table, "how")["most likely"] == "the densest draw"
    assert cells(table, "radius")["most likely"] == np.linalg.norm(sample.u, axis=1).min()
    assert cells(table, "loss")["mode 1 mean"] is None
    assert any("no convergence" in note for note in table.notes)


def nowhere(x):
    return np.full(len(x), np.nan)


def test_losses_that_are_bounded_are_counted_as_failed():
    inputs = StandardNormal(dim=2)
    sample = sample_of(problem_of(inputs, Linear(weights=[1.0, 0.0])), [3.0, 0.0], 1000, 1, 3.0)
    problem = problem_of(inputs, PythonLoss(function=nowhere, on_failure="bound"))
    table = exhibits_of(Scenarios(above=3.0), problem, sample, 3.0)["scenarios"]
    assert cells(table, "how")["most likely"] == "the densest draw"
    assert any("of the losses evaluated for the scenarios failed" in note for note in table.notes)


@pytest.mark.parametrize(
    ("measure", "known"), [(Scenarios(above=90.0), {"threshold": 90.0}), (Scenarios(tail=1e-9), {"value": math.nan})]
)
def test_event_that_was_not_seen_leaves_a_note(measure, known):
    found = exhibits_of(measure, GAUSSIAN, gaussian_sample(1), **known)
    assert list(found) == ["scenarios"]
    assert found["scenarios"].rows == ()
    assert "No draw reached the event" in found["scenarios"].notes[0]


def test_one_draw_has_no_interval():
    sample = sample_of(GAUSSIAN, K * AXIS, 10, 1, -np.inf)
    threshold = float(sample.loss.max())
    found = exhibits_of(Scenarios(above=threshold), GAUSSIAN, sample, threshold)
    assert set(cells(found["scenario_moments"], "mean_lower").values()) == {None}
    assert cells(found["scenario_moments"], "mean")["x1"] == pytest.approx(sample.x[sample.loss.argmax(), 0])


# ------------------------------------------------------------------ moments given the event


@pytest.mark.statistical(effect=0.1, false_fail=3e-7, false_pass=1e-3)
def test_moments_of_normals_given_a_large_loss():
    given = Given(gaussian_sample(1, 100_000), THRESHOLD)
    mean, std, correlation = gaussian_moments()
    x = given.sample.x
    found = given.moments_of_mean(x)
    assert_within_error(found.value, mean, found.std_error)
    found = given.moments_of_std(x)
    assert_within_error(found.value, std, found.std_error)
    pairs = [(0, 1), (0, 2), (1, 2)]
    found = given.moments_of_correlation(x, pairs)
    assert_within_error(found.value, [correlation[pair] for pair in pairs], found.std_error, scale=1.0)


@pytest.mark.statistical(effect=0.08, false_fail=1e-7, false_pass=1e-3)
def test_mean_of_a_student_t_with_shared_mixing_given_a_large_loss():
    dof, tail, shape, weights = 4.0, 1e-4, np.full((3, 3), 0.4) + 0.6 * np.eye(3), np.array([0.5, 0.3, 0.2])
    scale, quantile = math.sqrt(weights @ shape @ weights), stats.t.isf(tail, dof)
    shortfall = (dof + quantile**2) / (dof - 1) * stats.t.pdf(quantile, dof) / tail
    problem = problem_of(StudentT(dof=dof, shape=shape), Linear(weights=weights))
    sample = sample_of(problem, [-2.0, 1.6, 1.2, 1.0], 100_000, 1, quantile * scale, scale=1.3)
    found = Given(sample, quantile * scale).moments_of_mean(sample.x)
    assert_within_error(found.value, shape @ weights / scale * shortfall, found.std_error)


@pytest.mark.slow
@pytest.mark.parametrize("estimated", [False, True])
@pytest.mark.statistical(effect=0.1, false_fail=1e-6, false_pass=0.02)
def test_intervals_of_conditional_means_cover(estimated):
    runs, mean = 500, gaussian_moments()[0]
    hits = np.zeros(3)
    for seed in range(runs):
        sample = gaussian_sample(seed, 1500, THRESHOLD - 0.6 * SIGMA * estimated)
        threshold = value_at_risk(sample, stats.norm.sf(K)) if estimated else THRESHOLD
        found = Given(sample, threshold, estimated).moments_of_mean(sample.x)
        hits += (found.low <= mean) & (mean <= found.high)
    assert_count(hits, runs, 0.95)


def scores_at_estimated_quantiles(estimated, runs=500, n=10_000, tail=0.05):
    """Errors of the mean of an exponential loss beyond its value at risk, in standard errors."""
    scores = []
    for seed in range(runs):
        loss = np.random.default_rng(seed).standard_exponential(n)
        rows = np.flatnonzero(loss >= -math.log(2 * tail))
        nothing = np.empty((rows.size, 0))
        sample = TailSample(n, 0.0, loss[rows], np.zeros(rows.size), rows, nothing, nothing, nothing)
        found = Given(sample, value_at_risk(sample, tail), estimated).moments_of_mean(sample.loss[:, None])
        scores.append((found.value[0] - (1.0 - math.log(tail))) / found.std_error[0])
    return scores


@pytest.mark.statistical(effect=0.4, false_fail=1e-6, false_pass=1e-3)
def test_error_of_a_mean_beyond_an_estimated_quantile_holds():
    assert_spread_is(scores_at_estimated_quantiles(True), 1.0)


@pytest.mark.statistical(effect=0.4, false_fail=1e-6, false_pass=1e-3)
def test_error_as_for_a_given_threshold_does_not_hold_beyond_an_estimated_one():
    with pytest.raises(AssertionError, match="the spread of 500 values"):
        assert_spread_is(scores_at_estimated_quantiles(False), 1.0)


def test_weight_of_two_equals_a_repeated_row():
    rng = np.random.default_rng(1)
    x, u = rng.standard_normal((40, 3)), np.empty((40, 0))
    heavy = TailSample(100, 0.0, np.ones(40), np.log(np.r_[np.full(20, 2.0), np.ones(20)]), np.arange(40), u, x, u)
    rows = np.r_[np.arange(20), np.arange(40)]
    twice = TailSample(100, 0.0, np.ones(60), np.zeros(60), np.arange(60), u[rows], x[rows], u[rows])
    for of in (
        lambda g, v: g.moments_of_mean(v).value,
        lambda g, v: g.moments_of_std(v).value,
        lambda g, v: g.moments_of_correlation(v, [(0, 1), (0, 2)]).value,
    ):
        assert of(Given(heavy, 0.5), x) == pytest.approx(of(Given(twice, 0.5), x[rows]), rel=1e-12)


def test_moments_of_draws_of_the_target_are_those_of_the_rows():
    x = np.random.default_rng(1).standard_normal((50, 2)) @ np.array([[1.0, 0.5], [0.0, 1.0]])
    nothing = np.empty((50, 0))
    given = Given(TailSample(50, 0.0, np.ones(50), np.zeros(50), np.arange(50), nothing, x, nothing), 0.5)
    mean = given.moments_of_mean(x)
    assert mean.value == pytest.approx(x.mean(axis=0))
    assert mean.std_error == pytest.approx(x.std(axis=0, ddof=1) / math.sqrt(50))
    half = stats.t.isf(0.025, 49) * mean.std_error
    assert (mean.low, mean.high) == (pytest.approx(mean.value - half), pytest.approx(mean.value + half))
    assert given.moments_of_std(x).value == pytest.approx(x.std(axis=0))
    assert given.moments_of_correlation(x, [(0, 1)]).value[0] == pytest.approx(np.corrcoef(x.T)[0, 1])


def test_factor_of_the_run_widens_intervals():
    sample = gaussian_sample(1)
    one, two = (Given(sample, THRESHOLD, factor=f).moments_of_mean(sample.x) for f in (1.0, 2.0))
    assert two.high - two.value == pytest.approx(2 * (one.high - one.value))


def test_plots_show_the_factors_by_their_names():
    found = exhibits_of(Scenarios(above=THRESHOLD), GAUSSIAN, gaussian_sample(1), THRESHOLD)
    (point,), (means,) = found["scenario_factors"].plots, found["scenario_moments"].plots
    assert point.labels == means.labels == ("x1", "x2", "x3")
    assert point.y == tuple(cells(found["scenario_factors"], "most_likely_shift").values())
    assert means.y == tuple(cells(found["scenario_moments"], "shift").values())
    assert all(low < y < high for low, y, high in zip(means.low, means.y, means.high, strict=True))


def test_spread_is_left_out_where_the_law_has_none():
    problem = problem_of(StudentT(dof=1.5, dim=2), Linear(weights=[1.0, 1.0]))
    sample = sample_of(problem, [-1.0, 1.0, 1.0], 2000, 1, 8.0, scale=1.3)
    moments = exhibits_of(Scenarios(above=8.0), problem, sample, 8.0)["scenario_moments"]
    assert set(cells(moments, "std").values()) == {None}
    assert set(cells(moments, "usual_std").values()) == {None}
    assert None not in cells(moments, "mean").values()


def test_usual_moments_stand_beside_those_of_the_event():
    found = exhibits_of(Scenarios(above=THRESHOLD), GAUSSIAN, gaussian_sample(1), THRESHOLD)
    moments, correlations = found["scenario_moments"], found["scenario_correlations"]
    assert list(cells(moments, "usual_mean").values()) == pytest.approx(MEAN)
    assert list(cells(moments, "usual_std").values()) == pytest.approx(np.sqrt(np.diag(COV)))
    usual = {row[:2]: row[-1] for row in correlations.rows}
    assert usual["x1", "x2"] == pytest.approx(0.6 / math.sqrt(2.0))
    assert usual["x2", "x3"] == pytest.approx(0.2 / math.sqrt(0.5))


# ------------------------------------------------------------------ modes


def shares(table):
    return {row[1]: row[2] for row in table.rows}


@pytest.mark.parametrize("dim", [2, 10])
@pytest.mark.statistical(effect=0.2, false_fail=1e-7, false_pass=1e-3)
def test_two_modes_have_their_shares(dim):
    problem = problem_of(StandardNormal(dim=dim), PythonLoss(function=two_sided))
    starts = np.array([[3.0], [-3.4]]) * np.full((2, dim), dim**-0.5)
    sample = sample_of(problem, starts, 40_000, 1, 3.0)
    table = exhibits_of(Scenarios(above=3.0), problem, sample, 3.0)["scenarios"]
    rows = {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}
    assert set(shares(table)) == {1.0, 2.0}
    first, second = rows["most likely"], rows["mode 2 likeliest"]
    assert_within_error([first["share"], second["share"]], [0.8, 0.2], [first["share_std_error"]] * 2)
    assert first["radius"] == pytest.approx(3.0, rel=1e-5)
    assert second["radius"] == pytest.approx(stats.norm.isf(stats.norm.sf(3.0) / 4), rel=1e-5)
    assert first["share_lower"] < first["share"] < first["share_upper"]


@pytest.mark.statistical(effect=0.5, false_fail=1e-7, false_pass=1e-3)
def test_ten_planes_are_ten_modes():
    problem = problem_of(StandardNormal(dim=10), PythonLoss(function=largest))
    sample = sample_of(problem, 3.5 * np.eye(10), 20_000, 1, 3.5)
    table = exhibits_of(Scenarios(above=3.5), problem, sample, 3.5)["scenarios"]
    found = {row[1]: row[2:4] for row in table.rows}
    assert len(found) == 10
    assert_within_error([share for share, _ in found.values()], 0.1, [error for _, error in found.values()])
    likeliest = [row for row in table.rows if row[0].endswith("likeliest") or row[0] == "most likely"]
    assert [row[table.columns.index("radius")] for row in likeliest] == pytest.approx([3.5] * 10, rel=1e-5)


@pytest.mark.parametrize("dim", [2, 5])
def test_shell_is_one_mode(dim):
    problem = problem_of(StandardNormal(dim=dim), PythonLoss(function=radius))
    sample = sample_of(problem, 4.5 * np.vstack([np.eye(dim), -np.eye(dim)]), 4000, 1, 4.5, scale=1.2)
    table = exhibits_of(Scenarios(above=4.5), problem, sample, 4.5)["scenarios"]
    assert shares(table) == {1.0: pytest.approx(1.0)}


def test_modes_beyond_those_asked_for_are_taken_together():
    problem = problem_of(StandardNormal(dim=2), PythonLoss(function=four_branches))
    sample = sample_of(problem, BRANCHES, 4000, 1, 0.0)
    full = exhibits_of(Scenarios(above=0.0), problem, sample, 0.0)["scenarios"]
    assert set(shares(full)) == {1.0, 2.0, 3.0, 4.0}
    table = exhibits_of(Scenarios(above=0.0, modes=2), problem, sample, 0.0)["scenarios"]
    assert set(shares(table)) == {1.0, 2.0, None}
    assert table.rows[-1][0] == "other modes"
    assert sum(shares(table).values()) == pytest.approx(1.0)
    assert shares(table)[None] == pytest.approx(shares(full)[3.0] + shares(full)[4.0])


@pytest.mark.slow
def test_medoid_of_a_mode_is_a_draw_of_it_and_its_mean_is_its_conditional_mean():
    sample = gaussian_sample(1)
    found = exhibits_of(Scenarios(above=THRESHOLD), GAUSSIAN, sample, THRESHOLD)
    factors, moments = found["scenario_factors"], found["scenario_moments"]
    assert cells(factors, "mode_1_mean") == pytest.approx(cells(moments, "mean"))
    (row,) = np.flatnonzero((sample.x == list(cells(factors, "mode_1_draw").values())).all(axis=1))
    assert cells(found["scenarios"], "loss")["mode 1 draw"] == sample.loss[row]
    apart = np.square(sample.u[:, None] - sample.u).sum(axis=2) @ sample.weight
    assert row == apart.argmin()


def test_draws_of_physical_space_are_not_told_apart():
    problem = problem_of(Normal(mean=MEAN, cov=COV), Linear(weights=WEIGHTS), "physical")
    table = exhibits_of(Scenarios(above=THRESHOLD), problem, gaussian_sample(1), THRESHOLD)["scenarios"]
    assert cells(table, "radius")["most likely"] == pytest.approx(K, rel=1e-3)
    assert cells(table, "radius")["mode 1 draw"] is None
    assert any("modes are not told apart" in note for note in table.notes)


# ------------------------------------------------------------------ days


def history(rows=300, names=("a", "b", "c")):
    """Returns with a day that is the most likely scenario of `THRESHOLD`, the 101st."""
    rng = np.random.default_rng(1)
    values = 0.01 * rng.standard_normal((rows, 3)) @ np.linalg.cholesky(COV).T
    dates = np.datetime64("2020-01-01") + np.arange(rows)
    return ReturnsTable.of(values, dates=dates, names=names, returns="simple")


def crash(table, inputs, threshold):
    """The most likely scenario of an equally weighted portfolio of ``inputs``, a normal law."""
    weights = -np.full(3, 1 / 3)
    beta = np.asarray(inputs.cov) @ weights
    return inputs.location + beta * (threshold - weights @ inputs.location) / (weights @ beta)


def test_days_nearest_to_the_most_likely_scenario():
    table = history()
    inputs = Normal.fit(table)
    problem = problem_of(inputs, Linear(weights="equal"))
    threshold = float(np.sort(-table.values.mean(axis=1))[-5])
    axis = np.linalg.cholesky(inputs.cov).T @ -np.full(3, 1 / 3)
    sample = sample_of(problem, axis / np.linalg.norm(axis) * 2.0, 2000, 1, threshold)
    found = exhibits_of(Scenarios(above=threshold, history=5), problem, sample, threshold)
    days, factors = found["scenario_days"], found["scenario_factors"]
    scenario = np.array(list(cells(factors, "most_likely").values()))
    assert scenario == pytest.approx(crash(table, inputs, threshold), rel=1e-3)
    std = table.values.std(axis=0)
    inverse = np.linalg.inv(covariance(table.values / std).cov)
    away = (table.values - scenario) / std
    distance = np.sqrt(np.einsum("ij,jk,ik->i", away, inverse, away))
    nearest = np.argsort(distance)[:5]
    assert [row[1] for row in days.rows] == [str(table.dates[k]) for k in nearest]
    assert [row[2] for row in days.rows] == pytest.approx(distance[nearest])
    assert [row[4] for row in days.rows] == pytest.approx(-table.values[nearest].mean(axis=1))
    assert list(cells(factors, "day_1").values()) == pytest.approx(table.values[nearest[0]])
    assert list(cells(factors, "day_1")) == ["a", "b", "c"]


def test_days_are_left_out_where_nobody_wants_them_and_missed_where_there_are_none():
    sample = gaussian_sample(1)
    assert "scenario_days" not in exhibits_of(Scenarios(above=THRESHOLD, history=0), GAUSSIAN, sample, THRESHOLD)
    days = exhibits_of(Scenarios(above=THRESHOLD), GAUSSIAN, sample, THRESHOLD)["scenario_days"]
    assert days.rows == ()
    assert days.notes[0].startswith("There is no history to compare with")


@pytest.mark.parametrize(
    ("law", "kept"),
    [
        (Normal.fit, True),
        (StudentT.fit, True),
        (Historical.fit, True),
        (lambda table: FittedInputs(fit=table, margins="normal", copula="gaussian"), True),
        (lambda table: Garch(fit=table, innovations="normal"), True),
        (lambda table: Garch(fit=table, innovations="normal", horizon=2, aggregate="path"), False),
    ],
    ids=["normal", "student_t", "historical", "fitted", "garch", "garch of two days"],
)
def test_inputs_keep_the_days_that_they_were_fitted_to(law, kept):
    values = 0.01 * np.random.default_rng(1).standard_t(5.0, (1200, 2))
    table = ReturnsTable.of(values, names=("a", "b"), returns="log")
    fitted = law(table)
    assert Scenarios(above=1.0).table(fitted) is (table if kept else None)


def test_history_is_not_sent_to_workers():
    inputs = Normal.fit(history())
    sent = pickle.loads(pickle.dumps(inputs))
    assert inputs.fitted.history is not None
    assert (sent.fitted.history, sent.names) == (None, inputs.names)


def written(tmp_path, table, names):
    path = tmp_path / "past.csv"
    lines = [",".join(["date", *names])]
    lines += [",".join([str(d), *map(repr, row.tolist())]) for d, row in zip(table.dates, table.values, strict=True)]
    path.write_text("\n".join(lines) + "\n")
    return ReturnsSource(returns_file=path, returns="simple", unit="fraction")


def test_history_file_is_put_into_the_order_of_the_inputs(tmp_path):
    inputs = Normal.fit(history(names=("a", "b", "c")))
    source = written(tmp_path, history(), ("c", "a", "b"))
    table = Scenarios(above=1.0, history_file=source).table(inputs)
    assert table.names == ("a", "b", "c")
    assert table.values[:, 0] == pytest.approx(history().values[:, 1])


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (Normal.fit(history(names=("a", "b", "oil"))), "must have a column for each of the 3 inputs, lacks oil"),
        (StandardNormal(dim=3), "needs inputs with named factors"),
    ],
)
def test_history_file_with_other_columns_is_refused(tmp_path, inputs, message):
    measure = Scenarios(above=1.0, history_file=written(tmp_path, history(), ("a", "b", "c")))
    with pytest.raises(FieldError, match=f"history_file: {message}"):
        measure.check_inputs(inputs)
    problem = problem_of(inputs, Linear(weights=[1.0, 1.0, 1.0], factors="losses"))
    threshold = 3.0 * float(np.sqrt(inputs.linear_moments(np.ones(3))[1] ** 2))
    axis = np.linalg.cholesky(np.eye(3) if inputs.names is None else inputs.cov).T @ np.ones(3)
    sample = sample_of(problem, 3.0 * axis / np.linalg.norm(axis), 500, 1, threshold)
    (note,) = exhibits_of(measure, problem, sample, threshold)["scenario_days"].notes
    assert message in note


# ------------------------------------------------------------------ whole runs


def exhibits_of_run(loss, measure, dim=5, **options):
    result = estimate(dim, loss, measure, seed=1, **options)
    return result, {exhibit.name: exhibit for exhibit in result.exhibits}


@pytest.mark.slow
@pytest.mark.parametrize("measure", [Scenarios(above=3.0), Scenarios(tail=1e-4)], ids=["above", "tail"])
@pytest.mark.parametrize("method", ["auto", "cross_entropy"])
def test_run_finds_both_modes(measure, method, tmp_path):
    result, found = exhibits_of_run(two_sided, measure, method=method, relative_error=0.05)
    own = result.estimates[0]
    threshold = own.threshold if measure.above else own.value
    table = found["scenarios"]
    assert set(shares(table)) == {1, 2}
    assert cells(table, "loss")["most likely"] == pytest.approx(threshold, rel=1e-3)
    assert cells(table, "radius")["most likely"] == pytest.approx(threshold, rel=1e-3)
    assert table.status == own.verdict.status
    folder = result.save(tmp_path / "run")
    written = (folder / "scenarios.csv").read_text().splitlines()
    assert written[0] == ",".join(table.columns)
    assert len(written) == 1 + len(table.rows)
    assert {f"{name}.csv" for name in found} <= {path.name for path in folder.iterdir()}


def test_run_without_a_hit_shows_a_note():
    result, found = exhibits_of_run(largest, Scenarios(above=9.0), method="crude", max_evaluations=1000)
    assert result.verdict.status == "bound_only"
    assert found["scenarios"].rows == ()


# ------------------------------------------------------------------ options


def test_questions():
    scale = LossScale(2.0, 0.5, "model standard deviation, closed form")
    (one,) = Scenarios(above="3 sigma", confidence=0.9).questions(lambda: scale, None)
    assert (one.event, one.quantity, one.tail, one.confidence) == (Event(3.5), "probability", None, 0.9)
    (two,) = Scenarios(level=0.999).questions(None, lambda tail: 7.0)
    assert (two.event, two.quantity, two.tail) == (Event(7.0), "value_at_risk", 0.001)
    assert Scenarios(above=1.0).tails == ()
    assert Scenarios(tail=1e-7).tails == (1e-7,)


def test_event_of_a_level_lies_beyond_the_value_at_risk():
    sample = gaussian_sample(1, floor=THRESHOLD - SIGMA)
    value = value_at_risk(sample, stats.norm.sf(K))
    found = exhibits_of(Scenarios(tail=float(stats.norm.sf(K))), GAUSSIAN, sample, value=value)
    assert cells(found["scenarios"], "loss")["most likely"] == pytest.approx(value, rel=1e-4)
    inside = sample.loss >= value
    mean = sample.weight[inside] @ sample.x[inside, 0] / sample.weight[inside].sum()
    assert cells(found["scenario_moments"], "mean")["x1"] == pytest.approx(mean)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "above: give exactly one of above, level and tail"),
        ({"above": 1.0, "level": 0.9}, "above: give exactly one of above, level and tail"),
        ({"level": 0.9, "tail": 0.1}, "level: give exactly one"),
        ({"level": 1.5}, "level: must be above 0 and below 1"),
        ({"above": "many"}, "above: must be a number or 'k sigma', got 'many'"),
        ({"above": [1.0, 2.0]}, "above: must be a number, text or None"),
        ({"above": math.inf}, "above: must be finite"),
        ({"above": 1.0, "sigma": 2.0}, "sigma: goes with a threshold in sigma"),
        ({"level": 0.9, "sigma": 2.0}, "sigma: goes with a threshold in sigma"),
        ({"above": 1.0, "modes": 0}, "modes: must be at least 1"),
        ({"above": 1.0, "history": -1}, "history: must be at least 0"),
        ({"above": 1.0, "history": 1.5}, "history: must be a whole number"),
        ({"above": 1.0, "confidence": 95.0}, "confidence: must be above 0 and below 1"),
    ],
)
def test_refusals(options, message):
    with pytest.raises(FieldError, match=f"^{message}"):
        Scenarios(**options)


def test_history_file_without_days_is_refused(tmp_path):
    source = written(tmp_path, history(), ("a", "b", "c"))
    with pytest.raises(FieldError, match="history: must be at least 1 if history_file is given"):
        Scenarios(above=1.0, history=0, history_file=source)


def test_yaml(tmp_path):
    written(tmp_path, history(), ("a", "b", "c"))
    text = """\
seed: 1
inputs: {kind: normal, fit: {returns_file: past.csv, returns: simple, unit: fraction}}
loss: {kind: linear, weights: equal}
measures:
  - kind: scenarios
    above: 3 sigma
    modes: 4
    history_file: {returns_file: past.csv, returns: simple, unit: fraction}
"""
    (tmp_path / "a.yaml").write_text(text)
    load(tmp_path / "a.yaml").outline()
    (tmp_path / "b.yaml").write_text(text.replace("modes: 4", "modes: 0"))
    with pytest.raises(ConfigError, match=r"b.yaml:7:\d+: measures\[0\].modes: must be at least 1"):
        load(tmp_path / "b.yaml").outline()
