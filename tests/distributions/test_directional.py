"""The directional law and its family: exact moments, the closed-form fit, and rare events in many dimensions."""

import math

import numpy as np
import pytest
from scipy import integrate, optimize, stats

from raresim import CrossEntropy, Importance, LowRankNormal, Mixture, Probability, PythonLoss, StandardNormal
from raresim.distributions.directional import Directional, along_and_square
from raresim.engine.executors import Executor
from raresim.errors import FieldError
from raresim.proposals.directional import DirectionalMixture, fit_laplace, fit_profile
from tests.helpers import draws, logpdf, normals
from tests.problems import Case, linear_normal, solve, two_sided
from tests.statistical import assert_count, assert_count_at_least, assert_scores_are_standard, assert_within_error

N = 100_000
LAWS = [
    Directional(direction=[3.0, 4.0, 0.0], location=2.0, left=0.3, right=0.8, variance=1.5),
    Directional(direction=[1.0, -1.0], location=-1.0, left=2.0, right=0.5, variance=0.7, profile="normal"),
    Directional(direction=np.arange(1.0, 301.0), location=5.0, left=0.2, right=0.2),
]


def distance(x):
    return np.sqrt(np.square(x).sum(axis=1))


def profile_cdf(law, t):
    """``P(a'u <= t)`` from the definition of the two-sided profile, with SciPy's laws of its halves."""
    half = stats.expon if law.profile == "laplace" else stats.halfnorm
    left = law.left / (law.left + law.right)
    below = left * half.sf((law.location - t) / law.left)
    return np.where(t < law.location, below, left + (1 - left) * half.cdf((t - law.location) / law.right))


# --- the law -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.statistical(effect=1, false_fail=3e-7, false_pass=1e-3)
def test_draws_follow_the_profile_along_and_the_normal_across(law, seed):
    """Binomial counts at 1e-6 below places along the axis and across it; a shift of 0.02 would show."""
    n = N if law.dim < 10 else N // 10
    x = draws(law, n, seed(801))
    t = law.axis @ x.T
    places = law.location + np.array([-3 * law.left, -law.left, 0.0, law.right, 4 * law.right])
    assert_count([(t <= place).sum() for place in places], n, profile_cdf(law, places))
    across = np.zeros(law.dim)
    across[:2] = law.axis[1], -law.axis[0]
    z = x @ (across / np.linalg.norm(across)) / math.sqrt(law.variance)
    assert_count([(z <= place).sum() for place in (-2.0, 0.0, 1.0)], n, stats.norm.cdf([-2.0, 0.0, 1.0]))
    rest = (np.square(x).sum(axis=1) - t**2) / law.variance
    assert_count((rest <= law.dim - 1).sum(), n, stats.chi2.cdf(law.dim - 1, law.dim - 1))


@pytest.mark.parametrize("law", LAWS)
def test_density_is_the_product_of_profile_and_normals(law, seed):
    x = draws(law, 50, seed(802))
    t = x @ law.axis
    step = 1e-6 * min(law.left, law.right)
    along = (profile_cdf(law, t + step) - profile_cdf(law, t - step)) / (2 * step)
    square = np.square(x - t[:, None] * law.axis).sum(axis=1) / law.variance
    across = -0.5 * square - 0.5 * (law.dim - 1) * math.log(2 * math.pi * law.variance)
    np.testing.assert_allclose(logpdf(law, x), np.log(along) + across, atol=1e-6)


def test_two_piece_normal_of_equal_scales_is_the_low_rank_normal(seed):
    law = Directional(direction=[0.6, 0.8], location=1.5, left=1.3, right=1.3, profile="normal")
    same = LowRankNormal(mean=[0.9, 1.2], directions=[[0.6], [0.8]], variances=[1.69])
    x = draws(same, 200, seed(803))
    np.testing.assert_allclose(logpdf(law, x), logpdf(same, x), rtol=1e-13)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"direction": [0.0, 0.0]}, "direction: must have a positive and finite length, got 0"),
        ({"direction": [1.0, 0.0], "left": 0.0}, "left: must be positive and finite, got 0"),
        ({"direction": [1.0, 0.0], "variance": -1.0}, "variance: must be positive and finite, got -1"),
        ({"direction": [1.0, 0.0], "location": math.nan}, "location: must be finite, got nan"),
        ({"direction": [1.0, 0.0], "profile": "laplac"}, "profile: unknown value 'laplac'; did you mean 'laplace'?"),
    ],
)
def test_bad_parameters_are_refused(options, message):
    with pytest.raises(FieldError, match=message.split("?")[0].replace("(", r"\(")):
        Directional(**options)


# --- the fit -----------------------------------------------------------------------------------------


def test_closed_form_fit_is_the_maximum_of_the_likelihood(seed):
    """A numerical search over all three parameters finds nothing better, and little worse."""
    rng = np.random.default_rng(seed(805))
    t, share = 5.0 + rng.gamma(2.0, 0.2, 400), rng.exponential(size=400)
    share /= share.sum()

    def loss(m, left, right):
        return math.log(left + right) + share @ np.where(t < m, (m - t) / left, (t - m) / right)

    found = loss(*fit_laplace(t, share))
    free = min(
        optimize.minimize(lambda p, m=m: loss(m, *np.exp(p)), [-1.0, -1.0], method="Nelder-Mead").fun
        for m in np.quantile(t, np.linspace(0.0, 0.3, 60))
    )
    assert found <= free + 1e-9
    assert free - found < 0.01


def fit_directional(u, weight, direction, left_floor):
    """The law of most weighted likelihood along a given direction of unit length."""
    along, square = np.empty(len(u)), np.empty(len(u))
    along_and_square(u, direction, along, square)
    return fit_profile(along, square, weight, direction, left_floor)


@pytest.mark.statistical(effect=0.1, false_fail=3e-7, false_pass=1e-3)
def test_fit_recovers_a_law_within_its_errors(seed):
    """Scales to 5 errors of ``s / sqrt(n p)``; the variance across to 5 errors; the mode is known to O(1/n)."""
    law = LAWS[0]
    u = draws(law, N, seed(806))
    weight = np.full(N, 1e-200)
    fit = fit_directional(u, weight, law.axis, 0.25)
    p = law.left / (law.left + law.right)
    assert_within_error([fit.left], [law.left], law.left / math.sqrt(N * p) * 1.5)
    assert_within_error([fit.right], [law.right], law.right / math.sqrt(N * (1 - p)) * 1.5)
    assert_within_error(fit.variance, law.variance, law.variance * math.sqrt(2 / (N * 2)))
    assert fit.location == pytest.approx(law.location, abs=0.02)


def test_left_scale_is_raised_to_its_floor():
    t = np.linspace(5.0, 7.0, 200)
    u = np.asfortranarray(np.stack([t, np.zeros(200)], axis=1))
    free, floored = (fit_directional(u, np.ones(200), np.array([1.0, 0.0]), floor) for floor in (1e-3, 1.0))
    assert free.left < 0.9 * free.right
    assert floored.left == floored.right == free.right


def test_variance_across_stays_one_unless_rows_tell_it_apart(seed):
    axis = np.eye(40)[0]
    for n, scale, kept in ((200, 1.0, True), (200, 1.3, False), (4, 1.03, True)):
        u = normals(n, 40, seed(807))
        u[:, 1:] *= scale / np.sqrt(np.square(u[:, 1:]).mean())
        u[:, 0] += 5.0
        fit = fit_directional(u, np.ones(n), axis, 1.0)
        assert (fit.variance == 1.0) == kept
        if not kept:
            assert fit.variance == pytest.approx(scale**2, rel=1e-12)


def test_rows_around_the_origin_get_a_normal_profile_of_safe_width(seed):
    u = 0.1 * normals(500, 3, seed(808))
    fit = fit_directional(u, np.ones(500), np.eye(3)[0], 1.0)
    assert fit.profile == "normal"
    assert fit.left == fit.right == pytest.approx(math.sqrt(0.6))
    assert fit.variance == 0.8


def test_equal_rows_are_fitted_too():
    fit = fit_directional(np.full((5, 2), 3.0, order="F"), np.ones(5), np.array([1.0, 1.0]) / math.sqrt(2), 1.0)
    assert 0 < fit.left == fit.right < 1e-4


def test_exponential_tail_above_a_threshold_is_followed():
    """Above 5 a normal is nearly ``5 + Exp(5)``: the mode is the threshold, and nothing lies to its left."""
    t = 5.0 - np.log(np.linspace(1.0, 1e-4, 2000)) / 5.0
    mode, left, right = fit_laplace(t, np.full(2000, 1 / 2000))
    assert mode == pytest.approx(5.0, abs=1e-3)
    assert right == pytest.approx(0.2, rel=0.02)
    assert left < 1e-4


def test_two_lobes_become_two_laws(seed):
    u = normals(2000, 6, seed(809))
    u[:, 0] = np.where(np.arange(2000) % 4 == 0, -5.0, 5.0) + 0.2 * u[:, 0]
    family = DirectionalMixture(components=2)
    law = family.refit(StandardNormal(dim=6), u, np.ones(2000), np.random.default_rng(1))
    assert isinstance(law, Mixture)
    order = np.argsort(law.shares)
    np.testing.assert_allclose(law.shares[order], [0.25, 0.75], atol=1e-6)
    centres = [law.components[k].location * law.components[k].axis[0] for k in order]
    np.testing.assert_allclose(centres, [-5.0, 5.0], atol=0.15)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"components": 0}, "components: must be at least 1, got 0"),
        ({"left_floor": 0.0}, "left_floor: must be positive and finite, got 0"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(FieldError, match=message):
        DirectionalMixture(**options)


# --- rare events -------------------------------------------------------------------------------------

SHELL = Case("shell", StandardNormal(dim=50), PythonLoss(function=distance), Probability(above=11.2), [])


@pytest.mark.parametrize("case", [linear_normal(50, 5.0), two_sided(10, 4.0)], ids=lambda c: c.name)
@pytest.mark.parametrize("family", [DirectionalMixture(), DirectionalMixture(components=2)])
@pytest.mark.statistical(effect=0.4, false_fail=1e-7, false_pass=1e-3)
def test_half_spaces_are_exact_within_their_error(case, family, seed):
    result = solve(case, seed(810), method=CrossEntropy(proposal=family, starts=2), relative_error=0.03)
    estimate = result.estimates[0]
    assert_within_error(estimate.value, case.exact[0], estimate.std_error)
    assert result.evaluations["estimate"] < 10_000


@pytest.mark.slow
@pytest.mark.statistical(effect=0.3, false_fail=1e-7, false_pass=1e-3)
def test_shell_is_exact_within_its_error(seed):
    exact = stats.chi.sf(11.2, 50)
    result = solve(SHELL, seed(811), method=CrossEntropy(proposal=DirectionalMixture(), starts=2), relative_error=0.03)
    assert_within_error(result.estimates[0].value, exact, result.estimates[0].std_error)


@pytest.mark.slow
@pytest.mark.usefixtures("no_canary")
@pytest.mark.statistical(effect=2, false_fail=3e-7, false_pass=1e-3)
def test_intervals_cover_over_many_seeds(seed):
    """40 runs from the law that suits a half-space at 5: a bias of 0.7 errors would show."""
    case = linear_normal(20, 5.0)
    law = Directional(direction=np.ones(20), location=5.05, left=0.2, right=0.2)
    method = Importance(proposal=law, defensive=0.05)
    runs = [solve(case, seed(900 + k), method=method, max_evaluations=2000).estimates[0] for k in range(40)]
    z = np.array([(e.value - case.exact[0]) / e.std_error for e in runs])
    assert_scores_are_standard(z)
    assert_count_at_least(sum(e.interval[0] <= case.exact[0] <= e.interval[1] for e in runs), 40, 0.95)


@pytest.mark.slow
def test_digits_do_not_depend_on_the_workers(seed):
    method = CrossEntropy(proposal=DirectionalMixture(components=2))
    alone = solve(linear_normal(5, 4.0), seed(812), method=method)
    with Executor.of("threads", 2) as executor:
        together = solve(linear_normal(5, 4.0), seed(812), executor, method=method)
    assert alone.estimates[0].value == together.estimates[0].value


def test_density_along_integrates_to_one():
    for law in LAWS[:2]:
        one = Directional(direction=[1.0], location=law.location, left=law.left, right=law.right, profile=law.profile)
        area = integrate.quad(lambda t, one=one: math.exp(logpdf(one, [[t]])[0]), -40, 40, points=[law.location])[0]
        assert area == pytest.approx(1.0, abs=1e-9)
