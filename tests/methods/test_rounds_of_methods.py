"""Another round of a method's search: what the audit of the first one found begins it, and nothing else is kept."""

import numpy as np
import pytest
from scipy import stats

from raresim import (
    CrossEntropy,
    ExponentialTilting,
    GaussianMixture,
    Mixture,
    Normal,
    Probability,
    PythonLoss,
    StandardNormal,
)
from raresim.distributions.base import log_density
from raresim.distributions.standard_normal import LOG_2PI
from raresim.engine.executors import Executor
from raresim.engine.problem import Problem
from raresim.engine.session import Session
from raresim.estimators.control_variates import ControlledBatches
from raresim.estimators.lines import Lines
from raresim.estimators.sobol import SobolLines, SobolReplicates
from raresim.losses.noise import ROWS_AGAIN
from raresim.methods import cross_entropy, regions
from raresim.methods.base import Tuned
from raresim.methods.design_point import DesignPointSampling
from raresim.methods.draws import drawn_as
from raresim.methods.line_sampling import LineSampling
from raresim.proposals.student_t import StudentTMixture
from raresim.record.event import Event
from raresim.record.verdict import Status
from raresim.run.rounds import Round, missed_by
from raresim.search.design_points import find_design_points
from raresim.search.explorer import Explorer
from raresim.search.hits import Hits
from tests.problems import Case, solve
from tests.statistical import assert_within_error

EXACT = 1.0 - stats.norm.cdf(4.89) ** 2

METHODS = [DesignPointSampling(), LineSampling(), CrossEntropy()]

VARIANTS = [
    *METHODS,
    DesignPointSampling(draws="sobol"),
    DesignPointSampling(tail="normal", draws="antithetic", control_variates=True),
    LineSampling(draws="sobol"),
    CrossEntropy(draws="sobol"),
    CrossEntropy(control_variates=True, starts=3),
    CrossEntropy(proposal=GaussianMixture(components=2)),
    CrossEntropy(proposal=StudentTMixture()),
]


def named(method):
    options = [str(v) for k, v in vars(method).items() if k in ("draws", "control_variates") and v]
    family = [method.proposal.kind] if isinstance(method, CrossEntropy) else []
    return "-".join([method.kind, *family, *options])


def steep_and_flat(u):
    """Two alike regions; below the threshold the flat one hides the steep one."""
    return np.maximum(u[:, 0] - 4.89, 5.0 * (u[:, 1] - 4.89))


class Counted:
    """A loss that counts its rows."""

    def __init__(self):
        self.rows = 0

    def __call__(self, u):
        self.rows += len(u)
        return steep_and_flat(u)


def case(function=steep_and_flat):
    loss = PythonLoss(function=function)
    return Case("steep and flat", StandardNormal(dim=10), loss, Probability(above=0.0), [EXACT])


@pytest.fixture
def blind(monkeypatch):
    """A function after which the next search of a method finds only the flat region of the two."""

    def of_next(method):
        module = cross_entropy if isinstance(method, CrossEntropy) else regions
        find, explore = module.find_by_hits, regions.explore

        def no_hit(evaluate, dim, goal, rng, hits, most, known):
            monkeypatch.setattr(module, "find_by_hits", find)
            return Hits(tuple(known), 4.2, 40, 0, 0, 0, "no hit")

        def to_the_flat_one(evaluate, goal, u, loss, starts, most, settle):
            monkeypatch.setattr(regions, "explore", explore)
            return find_design_points(evaluate, goal, at({0: 6.0}, {0: 5.0, 3: 1.0}), most)

        monkeypatch.setattr(module, "find_by_hits", no_hit)
        monkeypatch.setattr(regions, "explore", to_the_flat_one)

    return of_next


def at(*pairs):
    """Points (k, 10) that are zero but for a few (coordinate, value) each."""
    points = np.zeros((len(pairs), 10))
    for point, pair in zip(points, pairs, strict=True):
        for coordinate, value in pair.items():
            point[coordinate] = value
    return points


# --- whole runs --------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.statistical(effect=0.35, false_fail=1e-7, false_pass=1e-3)
@pytest.mark.parametrize("method", VARIANTS, ids=named)
def test_second_round_finds_what_the_first_missed(method, blind, seed):
    loss = Counted()
    blind(method)
    result = solve(case(loss), seed(901), method=method, relative_error=0.04, max_evaluations=400_000)
    (first,) = result.search["rounds"]
    estimate = result.estimates[0]
    assert first["values"][0] == pytest.approx(EXACT / 2, rel=0.25)
    assert_within_error(estimate.value, EXACT, max(estimate.std_error, 1e-4 * EXACT))
    assert result.verdict.status is Status.TRUSTED
    assert result.search["regions"] == 2
    assert 0 < loss.rows - result.evaluations["total"] <= ROWS_AGAIN
    assert result.evaluations["rounds"] == first["estimate"] + first["audit"] > 0
    assert sum(row.evaluations for row in result.iterations) == result.evaluations["tune"]
    assert [row.elites for row in result.iterations if row.start == "audit"] == [first["missed"]]
    told = f"{first['missed']} failing draws of the audit led to 1 new point of failure regions"
    assert sum(sentence.startswith(told) for sentence in result.search["decisions"]) == 1
    stages = {name: {e["stage"] for e in result.log if e["event"] == name} for name in ("tune", "estimate", "explore")}
    assert len(stages["estimate"]) == 2  # fresh draws
    assert not stages["estimate"] & (stages["tune"] | stages["explore"])


@pytest.mark.parametrize("method", METHODS, ids=named)
@pytest.mark.slow_cases("line_sampling-independent")
def test_workers_change_no_digit_of_a_later_round(method, blind, seed):
    results = []
    for workers in (1, 2):
        blind(method)
        with Executor.of("threads" if workers > 1 else "serial", workers) as executor:
            results.append(solve(case(), seed(902), executor, method=method, relative_error=0.05))
    one, two = results
    assert len(one.search["rounds"]) == 1
    assert repr(one.iterations) == repr(two.iterations)
    assert one.search == two.search
    assert (one.estimates[0].value, one.estimates[0].std_error) == (two.estimates[0].value, two.estimates[0].std_error)


@pytest.mark.slow
@pytest.mark.parametrize("method", VARIANTS, ids=named)
def test_whatever_is_left_for_another_round_is_enough_for_a_verdict(method, blind, seed):
    """No error, no more evaluations than allowed, and no trust in half of the probability."""
    least = 36_000 if isinstance(method, CrossEntropy) else 13_000
    for most in (least, 1.25 * least, 1.5 * least, 2 * least):
        blind(method)
        result = solve(case(), seed(903), method=method, relative_error=0.05, max_evaluations=int(most))
        assert result.evaluations["total"] <= 1.01 * most  # what audits of lines take is not known before
        assert result.verdict.status is not Status.TRUSTED or result.search["rounds"]


@pytest.mark.parametrize(
    ("method", "most"), list(zip(METHODS, (8_000, 12_000, 28_000), strict=True)), ids=[named(m) for m in METHODS]
)
def test_budget_too_small_for_another_round_leaves_the_verdict(method, most, blind, seed):
    blind(method)
    result = solve(case(), seed(904), method=method, relative_error=0.05, max_evaluations=most)
    assert result.search["rounds"] == []
    assert result.verdict.status in (Status.CAUTION, Status.UNTRUSTED)
    assert result.evaluations["total"] <= most


# --- its parts ---------------------------------------------------------------------------------------


def session(seed, function=steep_and_flat, most=100_000):
    inputs = StandardNormal(dim=10)
    problem = Problem(inputs, PythonLoss(function=function).bind(inputs))
    return Session(problem, [Event(0.0)], seed, Executor(), most, lambda *_: None, 0.05)


def test_draws_that_known_points_explain_are_not_climbed_from(seed):
    explorer = Explorer(session(seed(906)), 1.0)
    flat = at({0: 4.89})[0]
    missed = at({0: 5.2, 4: 1.0}, {1: 5.1, 2: -1.0}, {1: 5.5, 3: 2.0})
    (found,) = regions.nearest_points(explorer, 0.0, missed, [flat], 10_000)
    np.testing.assert_allclose(found, at({1: 4.89})[0], atol=0.1)
    assert explorer.evaluations < 120
    spent = explorer.evaluations
    assert regions.nearest_points(explorer, 0.0, missed, [flat, found], 10_000) == []
    assert explorer.evaluations == spent + 9  # three losses on the way to each


def test_draws_of_many_regions_are_climbed_from_a_few_times(seed):
    many = lambda u: np.abs(u).max(axis=1) - 4.5  # noqa: E731
    missed = np.concatenate([5.0 * np.eye(10), -5.0 * np.eye(10)])
    explorer = Explorer(session(seed(907), many), 1.0)
    assert len(regions.nearest_points(explorer, 0.0, missed, [], 10_000)) == regions.MISSED
    assert len(regions.nearest_points(explorer, 0.0, missed, [], explorer.evaluations + 1)) == 1


@pytest.mark.parametrize("method", METHODS, ids=named)
@pytest.mark.slow_cases("line_sampling-independent")
def test_later_round_takes_no_more_than_its_share(method, blind, seed):
    """Of what is left beside the audit's reserve, three quarters at most."""
    run = session(seed(908), most=200_000)
    run.reserved = 2_000
    blind(method)
    first = method.tune(run)
    for left in (4_000, 8_000, 20_000):
        run.max_evaluations = first.evaluations + left
        more = first.again(at({1: 5.1, 2: -1.0}))
        assert 0 <= more.evaluations - first.evaluations <= 0.75 * (left - run.reserved)
        assert more.iterations[: len(first.iterations)] == first.iterations
        assert more.decisions[: len(first.decisions)] == first.decisions


def test_later_round_that_cannot_pay_for_nets_has_lines_at_random(blind, seed):
    run, method = session(seed(905)), LineSampling(draws="sobol")
    blind(method)
    first = method.tune(run)
    run.max_evaluations = first.evaluations + 8_000
    more = first.again(at({1: 5.1, 2: -1.0}))
    assert isinstance(first.estimator, SobolLines)
    assert isinstance(more.estimator, Lines)
    assert more.decisions[-1].startswith("The lines are random, not through Sobol' nets: max_evaluations must leave ")


@pytest.mark.parametrize("method", METHODS, ids=named)
@pytest.mark.slow_cases("line_sampling-independent")
def test_a_third_round_goes_on_from_the_second(method, blind, seed):
    """What each of them found is drawn in the last."""
    three = lambda u: np.maximum(steep_and_flat(u), 20.0 * (u[:, 2] - 4.89))  # noqa: E731
    tuned = None
    run = session(seed(909), three)
    for missed in (None, at({1: 5.1, 2: -1.0}), at({2: 5.1, 3: -1.0})):
        blind(method)
        tuned = method.tune(run) if tuned is None else tuned.again(missed)
    assert tuned.regions == 3
    assert sum(row.start == "audit" for row in tuned.iterations) == 2
    if isinstance(method, LineSampling):
        assert len(tuned.estimator.directions) == 3
        return
    points = np.asfortranarray(at({0: 4.89}, {1: 4.89}, {2: 4.89}))
    assert (log_density(tuned.proposal, points) > -5.0 * LOG_2PI - 5.0).all()


def test_no_other_round_where_its_draws_would_mean_nothing(seed):
    """Lines along a given direction; and a law of the inputs themselves, in whose space the audit makes no draws."""
    run = session(seed(910))
    assert LineSampling(direction=np.eye(10)[0]).tune(run).again is None
    assert LineSampling(direction="pilot").tune(run).again is None
    inputs = Normal(mean=np.zeros(2), std=1.0)
    loss = PythonLoss(function=lambda u: u[:, 0] - 3.0).bind(inputs)
    physical = Session(Problem(inputs, loss, "physical"), [Event(0.0)], seed(911), Executor(), 100_000, lambda *_: None)
    method = CrossEntropy(proposal=ExponentialTilting())
    assert method.draws_in == "physical"
    assert method.tune(physical).again is None


@pytest.mark.parametrize(
    ("options", "kind"), [(("sobol", False), SobolReplicates), (("independent", True), ControlledBatches)]
)
def test_later_rounds_are_drawn_as_the_first(options, kind, seed):
    law = Mixture(weights=[0.5, 0.5], components=[Normal(mean=np.full(10, m), std=1.0) for m in (0.0, 1.0)])
    tuned = Tuned(law, again=lambda missed: Tuned(law, decisions=(f"{len(missed)} draws",)))
    later = drawn_as(tuned, session(seed(912)), *options).again(np.zeros((3, 10)))
    assert isinstance(later.estimator, kind)
    assert later.decisions == ("3 draws",)
    assert later.least == (1024 if kind is SobolReplicates else 5120)


class Audited:
    missed = np.zeros((1, 10))


@pytest.mark.parametrize(
    ("tuned", "rounds", "left", "goes_on"),
    [
        (Tuned(None, again=lambda _: Tuned(None)), 1, 2_000, True),
        (Tuned(None, again=lambda _: Tuned(None)), 1, 1_999, False),
        (Tuned(None, again=lambda _: Tuned(None)), 3, 2_000, False),
        (Tuned(None), 1, 2_000, False),
        (Tuned(None, again=lambda _: Tuned(None), least=1_000), 1, 5_000, True),
        (Tuned(None, again=lambda _: Tuned(None), least=1_000), 1, 4_999, False),
    ],
)
def test_another_round_needs_room_for_an_audit_and_an_estimate(tuned, rounds, left, goes_on):
    before = [Round((1e-6,), 1, 100, 100)] * (rounds - 1)
    assert (missed_by(tuned, None, Audited(), before, left, 1_000) is not None) == goes_on
