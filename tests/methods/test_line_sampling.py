"""Line sampling: masses on a line, what the grid sees, cones of several directions, and what the method says."""

import dataclasses
import math

import numpy as np
import pytest
from scipy import integrate, stats

from raresim import Linear, Probability, PythonLoss, StandardNormal
from raresim.config import load as configs
from raresim.distributions.masses import log_normal_mass, log_sum
from raresim.engine.executors import Executor
from raresim.engine.fold import Sampler
from raresim.engine.problem import Problem
from raresim.errors import FieldError
from raresim.estimators.lines import Lines
from raresim.methods.line_sampling import ALIKE, LineSampling
from raresim.numerics.blocks import Block
from raresim.record.event import Event
from raresim.record.verdict import Status
from raresim.search.roots import TOLERANCE, log_shares, shifted
from tests.helpers import normals
from tests.problems import Case, below, linear_normal, several, solve, two_sided
from tests.statistical import assert_count_at_least, assert_scores_are_standard, assert_within_error

RESOLUTION = 1e-5
"""Relative error that the tolerance of a boundary may leave in a weight."""

RARE_ROWS = 1e-3
"""Relative error that rows which a small sample does not show may add where nearly all rows are alike."""

NODES = np.linspace(-8.0, 8.0, 17)
ANYWHERE = np.array([-np.inf])


def bowl(x):
    """Curved boundary with a known answer, nearest at ``x_2 = 0``; a line's relative variance is about 0.3."""
    return x[:, 0] + 0.04 * x[:, 1] ** 2


def bowl_tail(c):
    return integrate.quad(lambda y: stats.norm.pdf(y) * stats.norm.sf(c - 0.04 * y * y), -12, 12, limit=200)[0]


def branches(x):
    return np.abs(x).max(axis=1)


BOWL = Case("bowl", StandardNormal(dim=2), PythonLoss(function=bowl), Probability(above=5.0), [bowl_tail(5.0)])
LIKELY = Case("likely", StandardNormal(dim=2), PythonLoss(function=branches), Probability(above=1.5), [1.0])
FOUR = Case(
    "four",
    StandardNormal(dim=2),
    PythonLoss(function=branches),
    Probability(above=3.5),
    [1.0 - (1.0 - 2.0 * stats.norm.sf(3.5)) ** 2],
)


def share(function, *events, nodes=NODES, low=ANYWHERE):
    found = log_shares(lambda _, t: function(t), events, nodes, low, log_normal_mass)
    return np.exp(found.log_share[:, 0]), found


def within(values, exact, std_errors, resolution=RESOLUTION):
    """As `assert_within_error`, with the resolution of a boundary added to the error."""
    assert_within_error(values, exact, np.hypot(std_errors, resolution * np.asarray(exact)))


# --- one line ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("a", "b"), [(-1.0, 2.0), (5.0, np.inf), (-np.inf, -37.0), (37.0, 38.0), (-np.inf, np.inf), (6.0, 6.0 + 1e-9)]
)
def test_mass_is_exact_in_both_tails(a, b):
    """Against SciPy on the lower side, where its differences do not cancel; one formula serves both sides."""
    low, high = (a, b) if a + b < 0 or not math.isfinite(a) else (-b, -a)
    upper, lower = stats.norm.logcdf(high), stats.norm.logcdf(low)
    exact = upper + math.log1p(-math.exp(lower - upper))
    assert log_normal_mass(np.array([a]), np.array([b]))[0] == pytest.approx(exact, abs=1e-6 if b - a < 1e-6 else 1e-12)


@pytest.mark.parametrize(
    ("function", "event", "exact", "boundaries"),
    [
        (lambda t: t, Event(5.3), stats.norm.sf(5.3), 1),
        (lambda t: -t, Event(5.3), stats.norm.sf(5.3), 1),
        (lambda t: t, Event(-6.2, "below"), stats.norm.sf(6.2), 1),
        (np.abs, Event(4.5), 2 * stats.norm.sf(4.5), 2),
        (lambda t: t * t - 9 * t, Event(-18.0, "below"), stats.norm.sf(3) - stats.norm.sf(6), 2),
        (np.floor, Event(3.0), stats.norm.sf(3), 1),
        (lambda t: np.floor(2.0 * t - 0.7), Event(6.0), stats.norm.sf(3.35), 1),
        (lambda t: np.floor(-2.0 * t - 0.7), Event(-7.0, "below"), stats.norm.sf(2.65), 1),
        (lambda t: np.minimum(t, 3.3), Event(3.3), stats.norm.sf(3.3), 1),
        (lambda t: np.floor(np.abs(t - 0.4)), Event(4.0), stats.norm.sf(4.4) + stats.norm.sf(3.6), 2),
        (lambda t: np.where(t > 2.5, np.inf, -np.inf), Event(0.0), stats.norm.sf(2.5), 1),
        (lambda t: t, Event(9.0), 0.0, 0),
        (lambda t: t, Event(-9.0), 1.0, 0),
        (np.zeros_like, Event(0.0), 1.0, 0),
    ],
    ids=[
        "up",
        "down",
        "below",
        "both",
        "between",
        "step",
        "step off the grid",
        "step below",
        "capped",
        "steps on both sides",
        "infinite",
        "beyond",
        "everywhere",
        "constant",
    ],
)
def test_share_of_a_line_is_exact(function, event, exact, boundaries):
    (value,), found = share(function, event)
    assert value == pytest.approx(exact, rel=RESOLUTION, abs=1e-300)
    assert found.boundaries[0, 0] == boundaries


def test_boundaries_of_steps_are_those_of_a_fine_scan(seed):
    """A count of 30 defaults: on every line the mass that 4,000 places between -8 and 8 see."""
    rng = np.random.default_rng(seed(310))
    own = 0.9 * rng.standard_normal((50, 30))

    def count(rays, t):
        return ((own[rays] + 0.45 * t[:, None]) > 1.5).sum(axis=1).astype(float)

    found = log_shares(count, (Event(12.0),), shifted(NODES, 50, rng), np.full(50, -np.inf), log_normal_mass)
    places = np.linspace(-8.0, 8.0, 4_001)
    middle = 0.5 * (places[1:] + places[:-1])
    inside = np.array([count(np.full(4_000, k), middle) >= 12.0 for k in range(50)])
    np.testing.assert_allclose(np.exp(found.log_share[0]), inside @ np.diff(stats.norm.cdf(places)), rtol=0.03)


def test_several_events_share_the_grid():
    values, found = share(lambda t: t, Event(3.2), Event(4.4), Event(4.6))
    np.testing.assert_allclose(values, stats.norm.sf([3.2, 4.4, 4.6]), rtol=RESOLUTION)
    assert found.evaluations <= NODES.size + 3 * 12


def test_every_evaluation_is_counted():
    seen = []

    def loss_at(rays, t):
        seen.append(t.size)
        return np.sin(t + rays)

    found = log_shares(loss_at, (Event(0.5), Event(0.9)), NODES, np.full(7, -np.inf), log_normal_mass)
    assert found.evaluations == sum(seen)
    assert len(seen) < NODES.size + 60  # rays go side by side


def test_line_that_begins_somewhere_counts_from_there():
    low = np.array([-9.0, 1.7, 4.2, 8.5])
    found = log_shares(lambda _, t: t, (Event(3.0),), NODES, low, log_normal_mass)
    np.testing.assert_allclose(np.exp(found.log_share[0]), stats.norm.sf(np.maximum(low, 3.0)), rtol=RESOLUTION)


def test_event_between_two_nodes_is_missed_as_documented():
    (coarse,), _ = share(lambda t: -np.abs(t - 3.5), Event(-0.2))
    (fine,), _ = share(lambda t: -np.abs(t - 3.5), Event(-0.2), nodes=np.linspace(-8.0, 8.0, 65))
    assert coarse == 0.0
    assert fine == pytest.approx(stats.norm.sf(3.3) - stats.norm.sf(3.7), rel=RESOLUTION)


def test_sum_of_nothing_is_nothing():
    assert log_sum(np.full((2, 3), -np.inf)).tolist() == [-np.inf, -np.inf]
    assert log_sum(np.array([[-1000.0, -1000.0]]))[0] == pytest.approx(-1000.0 + math.log(2.0))


# --- rows --------------------------------------------------------------------------------------------


def lines(case, directions, nodes=NODES):
    problem = Problem(case.inputs, case.loss.bind(case.inputs))
    return Lines(Sampler(problem, None, 1), (Event(case.measure.above),), np.array(directions), nodes)


@pytest.mark.parametrize(
    "directions",
    [
        [[1.0, 0.0]],
        [[0.6, 0.8]],
        [[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]],
        [[1.0, 0.0], [0.6, 0.8], [-0.8, 0.6]],
    ],
    ids=["one", "oblique", "all four", "uneven"],
)
@pytest.mark.statistical(effect=3, false_fail=1e-7, false_pass=1e-3)
def test_mean_of_rows_is_right_for_any_directions(directions):
    """4,000 rows of an event in four directions: a cone that is left out or counted twice would show."""
    rows = lines(FOUR, directions)
    log_weight, evaluations = rows.of_normals(normals(4000, 2, 11), Block(0, 0, 0, 4000))
    weight = np.exp(log_weight[0])
    assert_within_error(weight.mean(), FOUR.exact[0], weight.std() / math.sqrt(weight.size))
    assert 0 < evaluations < 4000 * len(directions) * (NODES.size + 60)


@pytest.mark.parametrize(
    "directions",
    [[[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]], [[1.0, 0.0], [0.6, 0.8], [-0.8, 0.6]]],
    ids=["all four", "uneven"],
)
@pytest.mark.statistical(effect=0.08, false_fail=1e-7, false_pass=1e-3)
def test_cones_divide_the_space(directions):
    """A certain event has probability 1; overlapping cones would give up to their number. Five errors are 4 %."""
    rows = dataclasses.replace(lines(FOUR, directions), events=(Event(-1.0),))
    weight = np.exp(rows.of_normals(normals(4000, 2, 12), Block(0, 0, 0, 4000))[0][0])
    error = weight.std() / math.sqrt(weight.size)
    assert error < 0.008
    assert_within_error(weight.mean(), 1.0, error)


@pytest.mark.parametrize(
    "directions",
    [np.array([[1.0, 0.0]]), np.eye(2), np.vstack([np.eye(2), -np.eye(2)])],
    ids=["one", "two", "four"],
)
@pytest.mark.statistical(effect=0.3, false_fail=1e-7, false_pass=1e-3)
def test_rows_through_failing_draws_are_met_in_proportion_to_their_weight(directions, seed):
    """Their mean over draws of the target given the event is ``E[w^2] / E[w]``, however many cones a row has."""
    job = lines(LIKELY, directions)
    weights = np.exp(job.of_normals(normals(20_000, 2, seed(70)), Block(2, 0, 0, 20_000))[0][0])
    u = normals(40_000, 2, seed(71))
    failing = np.asfortranarray(u[branches(u) >= 1.5])
    through = np.exp(job.through(failing, Block(2, 1, 0, len(failing)))[0][0])
    mean, second = weights.mean(), np.square(weights).mean()
    se = math.hypot(np.square(weights).std() / math.sqrt(weights.size) / mean, through.std() / math.sqrt(through.size))
    se = math.hypot(se, 2.0 * second / mean**2 * weights.std() / math.sqrt(weights.size))
    assert_within_error(through.mean(), second / mean, se, scale=second / mean)


def test_rows_through_draws_cost_little_more_than_a_line_for_each(seed):
    job = lines(LIKELY, np.vstack([np.eye(2), -np.eye(2)]))
    u = normals(400, 2, seed(72))
    failing = np.asfortranarray(u[branches(u) >= 1.5])
    _, whole = job.of_normals(failing, Block(2, 0, 0, len(failing)))
    log_rows, spent = job.through(failing, Block(2, 1, 0, len(failing)))
    assert log_rows.shape == (1, len(failing))
    assert np.isfinite(log_rows).all()
    assert spent < 0.65 * whole
    assert dataclasses.replace(job, cost=80.0).cost_through == pytest.approx(80.0 * (2.0 - 0.25) / 4)


def test_rows_all_alike_are_alike_through_any_draw(seed):
    """Two planes of unequal probability, one cone each: each cone is asked separately for what the other adds."""

    def planes(x):
        return np.maximum(x[:, 0], -x[:, 0] - 0.7)

    case = Case("planes", StandardNormal(dim=2), PythonLoss(function=planes), Probability(above=1.5), [1.0])
    job = lines(case, np.array([[1.0, 0.0], [-1.0, 0.0]]))
    u = normals(2000, 2, seed(73))
    failing = np.asfortranarray(u[planes(u) >= 1.5])
    log_rows, _ = job.through(failing, Block(2, 1, 0, len(failing)))
    np.testing.assert_allclose(np.exp(log_rows[0]), stats.norm.sf(1.5) + stats.norm.sf(2.2), rtol=RESOLUTION)


def test_direction_along_the_gradient_leaves_no_variance():
    case = linear_normal(2, 5.0)
    log_weight, _ = lines(case, [[0.6, 0.8]]).of_normals(normals(50, 2, 12), Block(0, 0, 0, 50))
    assert np.std(log_weight) > 0.1
    log_weight, _ = lines(case, [np.full(2, math.sqrt(0.5))]).of_normals(normals(50, 2, 12), Block(0, 0, 0, 50))
    np.testing.assert_allclose(np.exp(log_weight[0]), stats.norm.sf(5.0), rtol=10 * TOLERANCE)


# --- the method --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "case",
    [
        linear_normal(1, 4.0),
        linear_normal(100, 5.0),
        two_sided(3, 5.0),
        below(4.0),
        several(1.0, 3.0, 5.0),
        BOWL,
        FOUR,
        linear_normal(3, 9.0),
        linear_normal(2, -1.0),
    ],
    ids=lambda case: case.name,
)
@pytest.mark.statistical(effect=0.3, false_fail=1e-7, false_pass=1e-3)
def test_answer_is_exact_within_its_error(case, seed):
    result = solve(case, seed(311), method=LineSampling(), relative_error=0.02)
    resolution = RARE_ROWS if case is FOUR else RESOLUTION
    within([e.value for e in result.estimates], case.exact, [e.std_error for e in result.estimates], resolution)
    assert all(e.relative_error <= 0.02 for e in result.estimates)
    assert result.search["unit"] == "line"
    assert result.evaluations["tune"] == sum(row.evaluations for row in result.iterations)
    assert result.verdict.status in (Status.TRUSTED, Status.CAUTION)


@pytest.mark.parametrize("direction", ["pilot", [1.0, 0.7, 0.5]], ids=["pilot", "given"])
@pytest.mark.statistical(effect=0.6, false_fail=1e-7, false_pass=1e-3)
def test_any_direction_gives_the_answer(direction, seed):
    case = linear_normal(3, 4.0)
    result = solve(case, seed(312), method=LineSampling(direction=direction), relative_error=0.05)
    within(result.estimates[0].value, case.exact[0], result.estimates[0].std_error)


def test_plane_takes_the_smallest_sample(seed):
    result = solve(linear_normal(50, 5.0), seed(313), method=LineSampling(), relative_error=0.01)
    assert result.estimates[0].diagnostics["rows"] == Lines.least_rows
    estimate = result.estimates[0]
    assert estimate.relative_error == pytest.approx(Lines.unseen / Lines.least_rows, rel=1e-4)
    assert estimate.value == pytest.approx(stats.norm.sf(5.0), rel=2 * Lines.resolution)
    low, high = result.estimates[0].interval
    assert low < stats.norm.sf(5.0) < high
    assert result.verdict.status is Status.TRUSTED
    assert result.evaluations["tune"] + result.evaluations["estimate"] < 8000
    assert result.evaluations["audit"] < 8000  # rows through its failing draws take some twenty each


def test_an_error_below_half_a_row_takes_more_rows(seed):
    """120 equal rows do not show whether one row in 120 would differ."""
    result = solve(linear_normal(50, 5.0), seed(313), method=LineSampling(), relative_error=0.001)
    (estimate,) = result.estimates
    assert estimate.diagnostics["rows"] >= Lines.unseen / 0.001
    assert estimate.relative_error <= 0.001


@pytest.mark.parametrize("case", [BOWL, FOUR, linear_normal(3, 4.0)], ids=lambda case: case.name)
@pytest.mark.statistical(effect=0.4, false_fail=1e-7, false_pass=1e-3)
@pytest.mark.slow_cases("four", "bowl")
def test_lines_of_nets_give_the_answer(case, seed):
    result = solve(case, seed(321), method=LineSampling(draws="sobol"), relative_error=0.02)
    (estimate,) = result.estimates
    within(estimate.value, case.exact[0], estimate.std_error, RARE_ROWS if case is FOUR else RESOLUTION)
    assert estimate.relative_error <= 0.02
    assert result.search["unit"] == "replicate"
    assert result.search["kind"] == "tuned"
    assert result.verdict.status in (Status.TRUSTED, Status.CAUTION)


def test_opposite_regions_get_cones_of_their_own(seed):
    result = solve(two_sided(3, 4.0), seed(314), method=LineSampling(), relative_error=0.02)
    assert result.search["regions"] == 2
    assert any("cut into 2 cones" in sentence for sentence in result.search["decisions"])
    (estimate,) = result.estimates
    assert estimate.relative_error == pytest.approx(Lines.unseen / estimate.diagnostics["rows"], rel=1e-4)
    assert estimate.value == pytest.approx(2 * stats.norm.sf(4.0), rel=1e-5)  # both boundaries are flat
    assert -1 < ALIKE < 1


@pytest.mark.slow
def test_grid_is_halved_until_nothing_changes(seed):
    """Stripes of width 0.6 that a grid of step 1.2 mostly misses."""

    def stripes(x):
        return np.where((x[:, 0] > 2.5) & (np.sin(x[:, 0] * math.pi / 0.6) > 0), 1.0, 0.0) + 0.01 * x[:, 0]

    edges = np.arange(0.0, 12.0, 1.2)
    parts = [(max(2.5, low), low + 0.6) for low in edges if low + 0.6 > 2.5]
    exact = sum(stats.norm.sf(low) - stats.norm.sf(high) for low, high in parts)
    case = Case("stripes", StandardNormal(dim=2), PythonLoss(function=stripes), Probability(above=0.9), [exact])
    method = LineSampling(direction=[1.0, 0.0], step=1.2)
    result = solve(case, seed(315), method=method, relative_error=0.02)
    assert result.estimates[0].value == pytest.approx(exact, rel=1e-5)  # all lines see the same stripes
    assert result.search["facts"]["grid_step"] < 1.2
    assert result.search["facts"]["grid_change"] <= 0.01


@pytest.mark.slow
@pytest.mark.statistical(effect=1.5, false_fail=3e-7, false_pass=1e-3)
def test_intervals_cover(seed):
    """40 runs of a curved boundary: mean z beyond 0.8, an error wrong by half, or coverage under 70 % would show."""
    z, covered = [], 0
    for r in range(40):
        found = solve(BOWL, seed(3100 + r), method=LineSampling(pilot=200), relative_error=0.03, audit="off")
        (e,) = found.estimates
        z.append((e.value - BOWL.exact[0]) / e.std_error)
        covered += e.interval[0] <= BOWL.exact[0] <= e.interval[1]
    assert_scores_are_standard(z)
    assert_count_at_least(covered, 40, 0.92)


@pytest.mark.statistical(effect=0.2, false_fail=1e-7, false_pass=1e-3)
def test_a_stepped_loss_of_many_columns_is_exact_within_its_error(seed):
    """Half standard deviations of a sum of twenty: the grid settles at once, and the estimate was a fifth too low."""
    loss = PythonLoss(function=lambda x: np.floor(2.0 * x.sum(axis=1) / math.sqrt(20.0)) / 2.0)
    case = Case("stairs", StandardNormal(dim=20), loss, Probability(above=3.5), [stats.norm.sf(3.5)])
    result = solve(case, seed(315), method=LineSampling(), relative_error=0.02)
    within(result.estimates[0].value, case.exact[0], result.estimates[0].std_error)
    grid = next(check for check in result.verdict.checks if check.name == "grid")
    assert grid.status is Status.TRUSTED


def test_impossible_event_is_a_bound(seed):
    loss = PythonLoss(function=lambda x: np.tanh(x[:, 0]))
    case = Case("never", StandardNormal(dim=2), loss, Probability(above=2.0), [0.0])
    result = solve(case, seed(316), method=LineSampling(), max_evaluations=20_000)
    assert result.verdict.status is Status.BOUND_ONLY
    assert result.evaluations["total"] <= 20_200  # a row may take a few more than expected
    assert any("no design point was found" in sentence for sentence in result.search["decisions"])


def test_constant_loss_is_no_exception(seed):
    case = Case("constant", StandardNormal(dim=2), PythonLoss(function=lambda x: np.zeros(len(x))), None, [0.0])
    options = {"method": LineSampling(), "max_evaluations": 10_000}
    none = solve(case, seed(317), measures=[Probability(above=1.0)], **options)
    assert none.verdict.status is Status.BOUND_ONLY
    sure = solve(case, seed(317), measures=[Probability(above=-1.0)], **options)
    assert sure.estimates[0].value == pytest.approx(1.0)


def test_options_out_of_range_are_refused(seed):
    for options, message in [
        ({"direction": "north"}, "direction: unknown value 'north'"),
        ({"direction": [0.0, 0.0]}, "direction: must not be zero"),
        ({"step": 0.0}, "step: must be above 0 and at most 4, got 0"),
        ({"step": 4.5}, "step: must be above 0 and at most 4, got 4.5"),
        ({"pilot": 10}, "pilot: must be at least 100, got 10"),
        ({"starts": 0.5}, "starts: must be a whole number, got 0.5"),
        ({"draws": "antithetic"}, "draws: unknown value 'antithetic'"),
    ]:
        with pytest.raises(FieldError) as caught:
            LineSampling(**options)
        assert str(caught.value).startswith(message)
    with pytest.raises(FieldError, match="direction: must have 3 entries, got 2"):
        solve(linear_normal(3, 3.0), seed(318), method=LineSampling(direction=[1.0, 0.0]))
    with pytest.raises(FieldError, match="max_evaluations: must be at least"):
        solve(linear_normal(3, 3.0), seed(318), method=LineSampling(), max_evaluations=1000)


def test_workers_change_no_digit(seed):
    options = {"method": LineSampling(), "relative_error": 0.01}
    with Executor.of("threads", 2) as executor:
        spread = solve(BOWL, seed(319), executor, **options)
    alone = solve(BOWL, seed(319), **options)
    assert alone.estimates[0].diagnostics["rows"] > 2 * Lines.block_rows
    assert repr(spread.estimates) == repr(alone.estimates)
    assert repr(spread.iterations) == repr(alone.iterations)


@pytest.mark.parametrize(
    "options", ["step: 0.5, pilot: 200, starts: 2", "direction: pilot", "direction: [1, 2, 0]", "draws: sobol"]
)
@pytest.mark.statistical(effect=0.6, false_fail=1e-7, false_pass=1e-3)
def test_runs_from_yaml(options, tmp_path):
    (tmp_path / "one.yaml").write_text(
        "seed: 5\ninputs: {kind: normal, dim: 3}\nloss: {kind: linear, weights: [0.6, 0.8, 0.0]}\n"
        f"measures: [{{kind: probability, above: 4}}]\nmethod: {{kind: line_sampling, {options}}}\n"
        "stop: {relative_error: 0.05}\n"
    )
    result = configs.load(tmp_path / "one.yaml").experiment().run()
    assert isinstance(result.estimates[0].value, float)
    within(result.estimates[0].value, stats.norm.sf(4.0), result.estimates[0].std_error)
    assert Linear.kind == "linear"
