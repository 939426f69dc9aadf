"""Directional sampling: masses along a ray, systems of directions, and what the method says."""

import math

import numpy as np
import pytest
from scipy import stats

from raresim import Probability, PythonLoss, StandardNormal
from raresim.config import load as configs
from raresim.distributions.masses import log_chi_mass, log_chi_tail
from raresim.engine.executors import Executor
from raresim.engine.fold import Sampler
from raresim.engine.problem import Problem
from raresim.errors import FieldError
from raresim.estimators.directions import Directions
from raresim.methods.directional_sampling import DirectionalSampling
from raresim.record.event import Event
from raresim.record.verdict import Status
from tests.problems import Case, below, linear_normal, several, solve, two_sided
from tests.statistical import assert_count_at_least, assert_scores_are_standard, assert_within_error

RESOLUTION = 1e-5
"""Relative error that the tolerance of a boundary may leave in a weight."""

SYSTEMS = ["orthogonal", "antithetic", "independent"]


def norm(x):
    return np.linalg.norm(x, axis=1)


def shell(d, r):
    loss = PythonLoss(function=norm)
    return Case(f"shell-d{d}-{r:g}", StandardNormal(dim=d), loss, Probability(above=r), [stats.chi.sf(r, d)])


def ring():
    """Radii between 3 and 4.5 fail: a ray enters and leaves."""
    loss = PythonLoss(function=lambda x: -np.abs(norm(x) - 3.75))
    exact = stats.chi.sf(3.0, 3) - stats.chi.sf(4.5, 3)
    return Case("ring", StandardNormal(dim=3), loss, Probability(above=-0.75), [exact])


def within(values, exact, std_errors):
    """As `assert_within_error`, with the resolution of a boundary added to the error."""
    assert_within_error(values, exact, np.hypot(std_errors, RESOLUTION * np.asarray(exact)))


# --- one ray -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("d", [1, 2, 5, 20, 150])
def test_mass_of_radii_agrees_with_the_chi_law(d):
    """Where SciPy's differences have digits left; beyond, halves must add to the whole."""
    edges = stats.chi.ppf([1e-12, 0.01, 0.3, 0.5, 0.7, 0.99, 1 - 1e-9], d)
    a, b = edges[:-1], edges[1:]
    np.testing.assert_allclose(np.exp(log_chi_mass(d, a, b)), stats.chi.cdf(b, d) - stats.chi.cdf(a, d), rtol=1e-6)
    low, middle, high = np.array([40.0]), np.array([40.2]), np.array([np.inf])
    halves = np.logaddexp(log_chi_mass(d, low, middle), log_chi_mass(d, middle, high))
    np.testing.assert_allclose(halves, log_chi_mass(d, low, high), rtol=1e-13)
    np.testing.assert_allclose(log_chi_mass(d, np.zeros(1), high), 0.0, atol=1e-15)


def test_tail_of_two_normals_is_exact_far_out():
    """``P(|u| > r) = exp(-r^2 / 2)`` in two dimensions, and ``r^2 / 2`` of the small disc."""
    far = log_chi_tail(2, np.array([0.0, 5.0, 60.0]), upper=True)
    np.testing.assert_allclose(far, [0.0, -12.5, -1800.0], rtol=1e-13)
    tiny = log_chi_tail(2, np.array([0.0, 1e-100]), upper=False)
    np.testing.assert_allclose(tiny, [-np.inf, 2 * math.log(1e-100) - math.log(2.0)], rtol=1e-13)


# --- rows --------------------------------------------------------------------------------------------


def rows(case, system, nodes):
    problem = Problem(case.inputs, case.loss.bind(case.inputs))
    return Directions(Sampler(problem, None, 1), (Event(case.measure.above),), system, nodes)


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.statistical(effect=0.2, false_fail=6e-7, false_pass=1e-3)
def test_rays_are_uniform_and_belong_together(system):
    n, d = 3000, 3
    rays = rows(shell(d, 3.0), system, np.ones(1)).rays(np.random.default_rng(21), n)
    m = DirectionalSampling(system=system).rays(d)
    assert rays.shape == (n * m, d)
    np.testing.assert_allclose(norm(rays), 1.0)
    for axis in range(d):  # first and second moment and their errors: 0 and 1/3
        fresh = rays[::m, axis]
        if system != "orthogonal":  # there each ray comes with its opposite, so its sign does not matter
            assert_within_error(fresh.mean(), 0.0, math.sqrt(1 / 3 / n))
        assert_within_error(np.square(fresh).mean(), 1 / 3, math.sqrt(4 / 45 / n))
    first = rays[:m]
    gram = np.abs(first @ first.T)
    expected = {1: np.ones((1, 1)), 2: np.ones((2, 2)), 6: np.tile(np.eye(3), (2, 2))}[m]
    np.testing.assert_allclose(gram, expected, atol=1e-12)


def test_ball_is_exact_with_one_ray(seed):
    """The weight of every ray is the same: no variance, and no error but a boundary's."""
    result = solve(shell(5, 6.0), seed(321), method=DirectionalSampling(system="independent"), relative_error=0.01)
    assert result.estimates[0].value == pytest.approx(stats.chi.sf(6.0, 5), rel=RESOLUTION)
    assert result.estimates[0].diagnostics["rows"] == Directions.least_rows
    assert result.estimates[0].interval[1] == pytest.approx(stats.chi.sf(6.0, 5), rel=RESOLUTION)


# --- the method --------------------------------------------------------------------------------------


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize(
    "case",
    [linear_normal(1, 5.0), linear_normal(3, 4.0), two_sided(2, 5.0), below(4.0), several(0.5, 3.0, 4.0), ring()],
    ids=lambda case: case.name,
)
@pytest.mark.statistical(effect=0.5, false_fail=1e-7, false_pass=1e-3)
@pytest.mark.slow_cases("normal-d3-4-independent")
def test_answer_is_exact_within_its_error(case, system, seed):
    result = solve(case, seed(322), method=DirectionalSampling(system=system), relative_error=0.04)
    within([e.value for e in result.estimates], case.exact, [e.std_error for e in result.estimates])
    assert result.search["unit"] == "direction"
    assert result.evaluations["tune"] == sum(row.evaluations for row in result.iterations)
    assert result.verdict.status in (Status.TRUSTED, Status.CAUTION)


@pytest.mark.statistical(effect=0.4, false_fail=1e-7, false_pass=1e-3)
def test_both_sides_are_answered_at_once(seed):
    measures = [Probability(above=2.0), Probability(below=-3.0)]
    options = {"measures": measures, "relative_error": 0.03}
    result = solve(linear_normal(2, 2.0), seed(323), method=DirectionalSampling(), **options)
    within([e.value for e in result.estimates], stats.norm.sf([2.0, 3.0]), [e.std_error for e in result.estimates])


@pytest.mark.slow
def test_orthogonal_rays_are_worth_more_than_independent_ones(seed):
    """Rays times squared relative error for a plane in five dimensions: at least 1.3 times fewer."""

    def rays(system):
        method = DirectionalSampling(system=system)
        result = solve(linear_normal(5, 2.0), seed(324), method=method, relative_error=0.03)
        n = result.estimates[0].diagnostics["rows"] * method.rays(5)
        return n * result.estimates[0].relative_error ** 2

    assert rays("orthogonal") < rays("independent") / 1.3


@pytest.mark.statistical(effect=0.00012, false_fail=1e-7, false_pass=1e-3)
@pytest.mark.slow
def test_grid_is_halved_until_nothing_changes(seed):
    """A ring of width 0.4, which a grid of step 2 misses on every ray, within a shell that it sees."""
    loss = PythonLoss(function=lambda x: np.maximum(0.2 - np.abs(norm(x) - 3.3), norm(x) - 5.0))
    exact = stats.chi.sf(3.1, 2) - stats.chi.sf(3.5, 2) + stats.chi.sf(5.0, 2)
    case = Case("thin", StandardNormal(dim=2), loss, Probability(above=0.0), [exact])
    result = solve(case, seed(325), method=DirectionalSampling(step=2.0), relative_error=0.02)
    within(result.estimates[0].value, exact, result.estimates[0].std_error)
    assert result.search["facts"]["grid_step"] < 2.0


@pytest.mark.slow
@pytest.mark.statistical(effect=1.5, false_fail=3e-7, false_pass=1e-3)
def test_intervals_cover(seed):
    """40 runs of a plane in two dimensions: mean z beyond 0.8, or coverage under 70 % would show."""
    case = linear_normal(2, 3.0)
    z, covered = [], 0
    for r in range(40):
        found = solve(case, seed(3200 + r), method=DirectionalSampling(), relative_error=0.05, audit="off")
        (e,) = found.estimates
        z.append((e.value - case.exact[0]) / e.std_error)
        covered += e.interval[0] <= case.exact[0] <= e.interval[1]
    assert_scores_are_standard(z)
    assert_count_at_least(covered, 40, 0.92)


def test_impossible_event_is_a_bound(seed):
    case = Case("never", StandardNormal(dim=2), PythonLoss(function=lambda x: np.tanh(x[:, 0])), None, [0.0])
    options = {"measures": [Probability(above=2.0)], "max_evaluations": 20_000}
    result = solve(case, seed(326), method=DirectionalSampling(), **options)
    assert result.verdict.status is Status.BOUND_ONLY
    assert any("0 met the rarest event" in sentence for sentence in result.search["decisions"])


@pytest.mark.statistical(effect=0.3, false_fail=1e-7, false_pass=1e-3)
def test_high_dimension_is_said_to_be_hard(seed):
    options = {"relative_error": None, "max_evaluations": 60_000}
    result = solve(linear_normal(40, 1.0), seed(327), method=DirectionalSampling(), **options)
    assert any("In 40 dimensions few directions meet" in sentence for sentence in result.search["decisions"])
    within(result.estimates[0].value, stats.norm.sf(1.0), result.estimates[0].std_error)


def test_options_out_of_range_are_refused(seed):
    for options, message in [
        ({"system": "random"}, "system: unknown value 'random'"),
        ({"step": -1.0}, "step: must be above 0 and at most 4, got -1"),
        ({"step": 5.0}, "step: must be above 0 and at most 4, got 5"),
    ]:
        with pytest.raises(FieldError) as caught:
            DirectionalSampling(**options)
        assert str(caught.value).startswith(message)
    with pytest.raises(FieldError, match="max_evaluations: must be at least"):
        solve(linear_normal(20, 3.0), seed(328), method=DirectionalSampling(), max_evaluations=1000)


def test_workers_change_no_digit(seed):
    options = {"method": DirectionalSampling(), "relative_error": 0.03}
    with Executor.of("threads", 2) as executor:
        spread = solve(linear_normal(3, 3.0), seed(329), executor, **options)
    alone = solve(linear_normal(3, 3.0), seed(329), **options)
    assert alone.estimates[0].diagnostics["rows"] > 2 * Directions.block_rows
    assert repr(spread.estimates) == repr(alone.estimates)


@pytest.mark.statistical(effect=1.2, false_fail=1e-7, false_pass=1e-3)
def test_runs_from_yaml(tmp_path):
    (tmp_path / "one.yaml").write_text(
        "seed: 5\ninputs: {kind: normal, dim: 3}\nloss: {kind: linear, weights: [0.6, 0.8, 0.0]}\n"
        "measures: [{kind: probability, above: 3}]\nstop: {relative_error: 0.1}\n"
        "method: {kind: directional_sampling, system: antithetic, step: 0.5}\n"
    )
    result = configs.load(tmp_path / "one.yaml").experiment().run()
    within(result.estimates[0].value, stats.norm.sf(3.0), result.estimates[0].std_error)
