"""Design points: where the search ends, what it says when it does not, and importance sampling around them."""

import math

import numpy as np
import pytest
from scipy import optimize, stats

from raresim import CrossEntropy, Mixture, Probability, PythonLoss, StandardNormal
from raresim.config import load as configs
from raresim.engine.executors import Executor
from raresim.errors import FieldError
from raresim.methods.design_point import DesignPointSampling
from raresim.methods.line_sampling import LineSampling
from raresim.record.verdict import Status
from raresim.search.design_points import (
    FARTHEST,
    RADII,
    STEPS,
    between,
    explore,
    find_design_points,
    slope_direction,
    start_directions,
    start_points,
)
from tests.helpers import normals
from tests.problems import Case, linear_normal, several, solve, two_sided
from tests.statistical import assert_count_at_least, assert_scores_are_standard, assert_within_error

STARTS = np.array([[1.0, 2.0], [-2.0, 1.0], [3.0, -1.0], [0.5, 0.5]])


class Counted:
    """A loss that counts its rows, and checks that they come as a block."""

    def __init__(self, function):
        self.function, self.rows = function, 0

    def __call__(self, u):
        assert u.flags.f_contiguous
        self.rows += len(u)
        return np.asarray(self.function(u), dtype=float)


def exponentials(u):
    """Concave, so the event is convex and its nearest point the only one."""
    return -np.exp(-0.4 * u[:, 0]) - 2.0 * np.exp(-0.3 * u[:, 1])


def four_branches(u):
    return np.abs(u).max(axis=1)


def corner(u):
    return np.minimum(u[:, 0], 0.2 * u[:, 0] + u[:, 1])


def flat(u):
    return np.zeros(len(u))


def search(function, goal, starts=STARTS, **options):
    loss = Counted(function)
    found = find_design_points(loss, goal, starts, options.pop("max_evaluations", 10_000), **options)
    assert found.evaluations == loss.rows == sum(step.evaluations for step in found.steps)
    return found


# --- the search --------------------------------------------------------------------------------------


@pytest.mark.parametrize("d", [1, 3, 30])
def test_design_point_of_a_plane_is_its_nearest_point(d):
    a = np.arange(1.0, d + 1)
    a /= np.linalg.norm(a)
    found = search(lambda u: u @ a, 5.0, normals(3, d, 1))
    (point,) = found.points
    np.testing.assert_allclose(point.u, 5.0 * a, atol=2e-3)
    np.testing.assert_allclose(point.direction, a, atol=1e-6)
    assert point.beta == pytest.approx(5.0, abs=1e-3)
    assert point.slope == pytest.approx(1.0, abs=1e-6)
    assert found.reached == 3
    assert found.outcome == "3 of 3 starts reached the threshold"


def test_design_point_of_a_curved_loss_agrees_with_a_constrained_minimiser():
    (point,) = search(exponentials, -1.0).points
    constraint = {"type": "eq", "fun": lambda u: exponentials(u[None, :])[0] + 1.0}
    oracle = optimize.minimize(lambda u: u @ u, [3.0, 3.0], constraints=[constraint], tol=1e-12)
    assert point.beta == pytest.approx(math.sqrt(oracle.fun), abs=1e-4)
    np.testing.assert_allclose(point.u, oracle.x, atol=1e-2)


def test_origin_in_the_event_is_climbed_from_too():
    (point,) = search(lambda u: u[:, 0], -1.5).points
    np.testing.assert_allclose(point.u, [-1.5, 0.0], atol=2e-3)
    np.testing.assert_allclose(point.direction, [1.0, 0.0], atol=1e-6)


def test_every_region_has_one_point():
    u = normals(500, 2, 3)
    found = explore(Counted(four_branches), 3.5, u, four_branches(u), 4, 20_000)
    assert len(found.points) == 4
    assert found.reached >= 8  # two starts a region
    ends = {tuple(np.round(point.u).astype(int)) for point in found.points}
    assert len(ends) == 4
    assert [point.beta for point in found.points] == pytest.approx([3.5] * 4, abs=1e-2)
    assert sorted(end.start for end in found.ends) == list(range(len(found.ends)))


@pytest.mark.parametrize(("k", "climbs"), [(1, 4), (2, 8), (3, 16), (4, 20), (7, 44)])
def test_the_more_regions_the_more_climbs(k, climbs):
    """``w^2 (w + 1) / (L (L - 1))`` is 0.22 or less after ``L`` climbs to ``w`` regions, in rounds of four."""
    ended = []
    for seed in range(8):
        u = normals(400, 12, 530 + seed)
        found = explore(lambda u: u[:, :k].max(axis=1), 4.0, u, u[:, :k].max(axis=1), 4, 100_000)
        ended.append((len(found.points), found.reached))
    assert ended.count((k, climbs)) >= 4
    assert all(reached >= climbs for regions, reached in ended if regions == k)


def test_edge_is_reached_but_not_called_a_design_point():
    """The nearest point of two planes' common part is where they meet, at (3, 2.4): no gradient points there."""
    found = search(corner, 3.0)
    assert found.reached >= 1
    assert "no step lowers the merit function" in found.outcome
    for point in found.points:
        assert not point.converged
        assert 3.0 <= point.loss < 3.02
        assert point.beta >= math.hypot(3.0, 2.4) - 1e-9


CORNERS = [
    (lambda u: np.minimum(u[:, 2], u[:, 3]) - 3.2, [math.hypot(3.2, 3.2)], 8),
    (lambda u: u[:, 2:5].min(axis=1) - 2.2, [2.2 * math.sqrt(3.0)], 8),
    (
        lambda u: np.maximum(u[:, :2].max(axis=1) - 4.2, np.minimum(u[:, 2], u[:, 3]) - 3.2),
        [4.2, 4.2, math.hypot(3.2, 3.2)],
        20,
    ),
]


@pytest.mark.parametrize(("function", "distances", "climbs"), CORNERS, ids=["two", "three", "beside planes"])
@pytest.mark.parametrize("method", [DesignPointSampling(), LineSampling()], ids=lambda method: method.kind)
def test_climbs_to_a_corner_end_in_its_nearest_point(method, function, distances, climbs, seed):
    """They end all along its edges, and are one region all the same, so that no further climbs are begun for them."""
    case = Case("corner", StandardNormal(dim=10), PythonLoss(function=function), Probability(above=0.0), [0.0])
    result = solve(case, seed(522), method=method, relative_error=0.2)
    (told,) = [s for s in result.search["decisions"] if s.startswith("Distances of the design points")]
    found = [float(x) for x in told.rstrip(".").split(": ")[1].split(", ")]
    assert found == pytest.approx(distances, rel=0.05)
    assert result.search["regions"] == len(distances)
    assert result.search["starts"] <= climbs
    assert result.evaluations["tune"] == sum(row.evaluations for row in result.iterations)


@pytest.mark.statistical(effect=0.35, false_fail=1e-7, false_pass=1e-3)
def test_corner_is_drawn_from_its_nearest_point(seed):
    function, _, _ = CORNERS[0]
    case = Case("corner", StandardNormal(dim=10), PythonLoss(function=function), Probability(above=0.0), [0.0])
    result = solve(case, seed(523), method=DesignPointSampling(), relative_error=0.03)
    assert_within_error(result.estimates[0].value, stats.norm.sf(3.2) ** 2, result.estimates[0].std_error)
    assert result.verdict.status is Status.TRUSTED


def test_flat_loss_ends_at_once_with_a_name():
    found = search(flat, 1.0)
    assert not found.points
    assert found.reached == 0
    assert "the loss is flat around the point reached" in found.outcome
    assert max(step.iteration for step in found.steps) <= 2


def test_steps_of_a_loss_are_no_design_point_but_their_edge_is_found():
    """A loss of whole numbers has no gradient; a start in the event is brought to its edge along its ray."""
    found = search(lambda u: np.floor(u[:, 0]), 3.0, np.array([[6.0, 0.0]]))
    (point,) = found.points
    assert point.note == "the loss is flat around the point reached"
    assert 3.0 <= point.u[0] < 3.01


def test_infinite_losses_are_no_exception():
    with np.errstate(all="raise"):
        found = search(lambda u: np.where(u[:, 0] > 2.0, np.inf, u[:, 0]), 5.0)
    assert all(np.isfinite(end.u).all() for end in found.ends)


@pytest.mark.parametrize("limit", [1, 30, 60, 100])
def test_search_keeps_to_its_budget(limit):
    found = search(exponentials, -1.0, max_evaluations=limit)
    assert found.evaluations <= limit
    if limit < 60:
        assert "budget of the search spent" in found.outcome


def test_no_step_goes_far_beyond_the_normals():
    found = search(lambda u: np.tanh(u[:, 0]), 2.0)
    assert found.reached == 0
    assert max(end.beta for end in found.ends) <= FARTHEST + 1e-9


# --- between two design points -----------------------------------------------------------------------


def heavy(u):
    """A sum of heavy-tailed terms: beyond the threshold by one beyond 4.6, or by two beyond 4.0."""
    return np.exp(1.2 * u).sum(axis=1) - math.exp(1.2 * 4.6)


@pytest.mark.parametrize(("d", "most"), [(2, 7), (5, 70), (12, 462)])
def test_points_between_two_are_where_both_terms_make_the_event(d, most):
    points, evaluations = between(heavy, 0.0, 4.6 * np.eye(d), most)
    assert len(points) == d * (d - 1) // 2
    assert evaluations == 7 * len(points) == most
    assert (np.sort(points, axis=1)[:, :-2] == 0).all()
    assert (heavy(points) >= 0).all()
    assert (heavy(0.98 * points) < 0).all()
    assert between(heavy, 0.0, 4.6 * np.eye(d), most - 1)[1] == 0


@pytest.mark.parametrize(
    ("points", "looked"),
    [
        (np.array([[4.6, 0.0], [-4.6, 0.0]]), 0),
        (4.6 * np.eye(13), 0),
        (4.6 * np.eye(3)[:1], 0),
        (np.empty((0, 3)), 0),
        (4.6 * np.stack([np.cos(np.arange(7) * 0.9), np.sin(np.arange(7) * 0.9)], axis=1), 14),
    ],
    ids=["opposite", "many", "one", "none", "polygon"],
)
def test_between_opposite_points_many_points_and_planes_is_nothing(points, looked):
    """Beyond planes the event begins where they do; of 21 pairs of sides seven are nearly opposite."""
    towards = points / np.linalg.norm(points, axis=1, keepdims=True)
    found, evaluations = between(lambda u: (u @ towards.T).max(axis=1), 4.6, points, math.inf)
    assert len(found) == 0
    assert evaluations == looked


@pytest.mark.parametrize("method", [DesignPointSampling(), LineSampling()], ids=lambda method: method.kind)
@pytest.mark.slow_cases("line_sampling")
def test_points_between_get_draws_of_their_own_and_are_no_regions(method, seed):
    case = Case("heavy", StandardNormal(dim=3), PythonLoss(function=heavy), Probability(above=0.0), [0.0])
    result = solve(case, seed(521), method=method, relative_error=0.1)
    assert result.search["regions"] == 3
    assert any("than their tangent planes: 3 points" in sentence for sentence in result.search["decisions"])
    looked = [row for row in result.iterations if row.start == "between"]
    assert [(row.level, row.evaluations) for row in looked] == [(0.0, 21)]
    assert sum(row.evaluations for row in result.iterations if row.start != "trial") <= result.evaluations["tune"]


@pytest.mark.parametrize("d", [2, 25])
def test_gradients_of_a_quadratic(d):
    """Central differences are exact up to rounding; one-sided ones are off by half of the second derivative."""
    u = normals(4, d, 5)
    seen = STEPS.gradients(lambda x: 0.5 * np.square(x).sum(axis=1), u, 0.5 * np.square(u).sum(axis=1))
    np.testing.assert_allclose(seen, u, atol=1e-9 if d == 2 else 6e-4)


def test_mean_slope_points_up_in_high_dimension():
    u = normals(2000, 200, 6)
    a = np.eye(200)[7]
    assert slope_direction(u, np.exp(u @ a)) @ a > 0.9


def test_starts_are_different_directions_of_large_losses():
    u = normals(400, 2, 7)
    loss = np.abs(u[:, 0])
    first = start_directions(u, loss, 3)
    np.testing.assert_allclose(np.linalg.norm(first, axis=1), 1.0)
    assert min(first[1] @ first[2], first[1] @ first[0]) < -0.9  # the other side is among them
    more = start_directions(u, loss, 2, first)
    assert more.shape == (2, 2)


def test_start_is_the_first_point_of_the_event_on_its_ray():
    begin, looked = start_points(lambda u: u[:, 0], 3.5, np.array([[1.0, 0.0], [-1.0, 0.0]]))
    np.testing.assert_allclose(begin, [[4.0, 0.0], [-1.0, 0.0]])
    assert looked == 2 * RADII.size


# --- the method --------------------------------------------------------------------------------------


@pytest.mark.parametrize("tail", ["exponential", "normal"])
@pytest.mark.parametrize(
    "case",
    [linear_normal(3, 5.0), linear_normal(20, 5.0), two_sided(3, 4.0), several(3.0, 4.0, 5.0)],
    ids=lambda case: case.name,
)
@pytest.mark.statistical(effect=0.25, false_fail=1e-7, false_pass=1e-3)
def test_answer_is_exact_within_its_error(case, tail, seed):
    result = solve(case, seed(301), method=DesignPointSampling(tail=tail), relative_error=0.02)
    values = [e.value for e in result.estimates]
    assert_within_error(values, case.exact, [e.std_error for e in result.estimates])
    assert result.verdict.status is Status.TRUSTED
    assert result.evaluations["tune"] == sum(row.evaluations for row in result.iterations)


def test_exponential_tail_halves_the_cost_of_a_plane(seed):
    """Relative variance of a draw at 5 sigma: about 5 of a shifted normal, 3 of the exponential tail."""

    def rows(tail):
        result = solve(linear_normal(2, 5.0), seed(302), method=DesignPointSampling(tail=tail), relative_error=0.01)
        return result.estimates[0].diagnostics["rows"] * (result.estimates[0].relative_error / 0.01) ** 2

    assert rows("exponential") < 0.75 * rows("normal")


@pytest.mark.slow
@pytest.mark.usefixtures("no_canary")
@pytest.mark.statistical(effect=1.5, false_fail=3e-7, false_pass=1e-3)
def test_intervals_cover(seed):
    """40 runs at 4 sigma: mean z beyond 0.8, an error wrong by half, or coverage under 70 % would show."""
    case = two_sided(2, 4.0)
    z, covered = [], 0
    for r in range(40):
        (e,) = solve(case, seed(3000 + r), method=DesignPointSampling(pilot=300), relative_error=0.1).estimates
        z.append((e.value - case.exact[0]) / e.std_error)
        covered += e.interval[0] <= case.exact[0] <= e.interval[1]
    assert_scores_are_standard(z)
    assert_count_at_least(covered, 40, 0.93)


def test_proposal_has_a_law_for_each_region(seed):
    result = solve(two_sided(3, 4.0), seed(303), method=DesignPointSampling(), relative_error=0.1)
    assert result.search["regions"] == 2
    assert result.trace.tables[0].rows[0][2] == pytest.approx(4.0, abs=1e-2)
    assert len(result.trace.tables[0].rows) == 2
    assert any("4, 4" in sentence for sentence in result.search["decisions"])
    points = explore(lambda u: np.abs(u[:, 0]), 4.0, normals(200, 2, 8), normals(200, 2, 8)[:, 0] ** 2, 4, 9000).points
    law = DesignPointSampling(tail="normal").proposal(points)
    assert isinstance(law, Mixture)
    np.testing.assert_allclose(law.shares, [0.5, 0.5], atol=1e-3)


@pytest.mark.parametrize(
    ("function", "why"), [(flat, "the loss is flat"), (np.tanh, "0 of 4 starts reached")], ids=["flat", "impossible"]
)
def test_event_that_is_never_reached_is_a_named_outcome(function, why, seed):
    loss = PythonLoss(function=function if function is flat else lambda x: np.tanh(x[:, 0]))
    case = Case("never", StandardNormal(dim=2), loss, Probability(above=3.0), [0.0])
    result = solve(case, seed(304), method=DesignPointSampling(), max_evaluations=20_000)
    assert result.verdict.status is Status.BOUND_ONLY
    assert why in result.search["outcome"]
    assert any("the target itself is drawn from" in sentence for sentence in result.search["decisions"])


def test_budget_too_small_is_refused_and_a_small_one_kept(seed):
    with pytest.raises(
        FieldError, match=r"^max_evaluations: must be at least 2,168: the pilot and the first step of 4"
    ):
        solve(linear_normal(3, 4.0), seed(305), method=DesignPointSampling(), max_evaluations=2000)
    result = solve(linear_normal(3, 4.0), seed(305), method=DesignPointSampling(), max_evaluations=2400)
    assert result.evaluations["total"] <= 2400
    assert result.evaluations["tune"] <= 1000 + 600  # the pilot, and a quarter for climbs and hits


@pytest.mark.parametrize(
    "options",
    [{"draws": "sobol"}, {"control_variates": True}, {"draws": "antithetic", "tail": "normal"}],
    ids=["sobol", "controls", "antithetic"],
)
@pytest.mark.statistical(effect=0.3, false_fail=1e-7, false_pass=1e-3)
def test_final_draws_can_be_made_in_other_ways(options, seed):
    case = two_sided(3, 4.0)
    result = solve(case, seed(341), method=DesignPointSampling(**options), relative_error=0.03)
    (estimate,) = result.estimates
    assert_within_error(estimate.value, case.exact[0], estimate.std_error)
    assert estimate.relative_error <= 0.03
    assert result.verdict.status is Status.TRUSTED


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"draws": "antithetic"}, "draws: cannot be 'antithetic' where tail is 'exponential'"),
        ({"draws": "sobol", "control_variates": True}, "control_variates: must be false where draws is 'sobol'"),
        (
            {"control_variates": True, "tail": "normal", "defensive": 0.0},
            "control_variates: must be false where defensive is 0",
        ),
    ],
)
def test_ways_to_draw_that_do_not_go_with_the_rest_are_refused(options, message):
    with pytest.raises(FieldError) as caught:
        DesignPointSampling(**options)
    assert str(caught.value).startswith(message)


def test_options_out_of_range_are_refused():
    for options, message in [
        ({"tail": "heavy"}, "tail: unknown value 'heavy'"),
        ({"pilot": 99}, "pilot: must be at least 100, got 99"),
        ({"starts": 0}, "starts: must be at least 1, got 0"),
        ({"defensive": 1.0}, "defensive: must be at least 0 and below 1, got 1"),
    ]:
        with pytest.raises(FieldError) as caught:
            DesignPointSampling(**options)
        assert str(caught.value).startswith(message)


def test_both_sides_at_once_are_refused(seed):
    measures = [Probability(above=3.0), Probability(below=-3.0)]
    with pytest.raises(FieldError, match="measures: must be on one side of the loss"):
        solve(linear_normal(2, 3.0), seed(306), method=DesignPointSampling(), measures=measures)


def test_workers_change_no_digit(seed):
    case, options = two_sided(3, 4.0), {"method": DesignPointSampling(), "relative_error": 0.02}
    with Executor.of("threads", 2) as executor:
        spread = solve(case, seed(307), executor, **options)
    alone = solve(case, seed(307), **options)
    assert repr(spread.iterations) == repr(alone.iterations)
    assert spread.estimates[0].value == alone.estimates[0].value
    assert spread.estimates[0].std_error == alone.estimates[0].std_error


@pytest.mark.statistical(effect=0.6, false_fail=1e-7, false_pass=1e-3)
def test_runs_from_yaml(tmp_path):
    (tmp_path / "one.yaml").write_text(
        "seed: 5\ninputs: {kind: normal, dim: 3}\nloss: {kind: linear, weights: [0.6, 0.8, 0.0]}\n"
        "measures: [{kind: probability, above: 4}]\nstop: {relative_error: 0.05}\n"
        "method: {kind: design_point, tail: normal, pilot: 200, starts: 4, defensive: 0.05}\n"
    )
    result = configs.load(tmp_path / "one.yaml").experiment().run()
    assert_within_error(result.estimates[0].value, stats.norm.sf(4.0), result.estimates[0].std_error)
    assert result.method == "design_point" != CrossEntropy.kind
