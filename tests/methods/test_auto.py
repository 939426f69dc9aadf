"""The method that chooses by itself: exact answers on every shape of event, named ends, budgets, determinism."""

import json
import math

import numpy as np
import pytest
from scipy import stats

import raresim
from raresim import Experiment, Linear, Mixture, Normal, Probability, PythonLoss, StandardNormal
from raresim.config import load as configs
from raresim.engine.executors import Executor
from raresim.engine.problem import Problem
from raresim.engine.session import Session
from raresim.errors import FieldError, LossError
from raresim.methods.auto import Auto
from raresim.methods.auto_search import Search
from raresim.record.event import Event
from raresim.record.verdict import Status
from tests.problems import Case, below, linear_normal, several, solve, student, two_sided
from tests.statistical import assert_count_at_least, assert_scores_are_standard, assert_within_error

TRILLIONTH = float(stats.norm.isf(1e-12))
BELIEVED = (Status.TRUSTED, Status.CAUTION)
NOT_BELIEVED = (Status.UNTRUSTED, Status.BOUND_ONLY)


def run(case, seed, **options):
    return solve(case, seed, options.pop("executor", None), **({"method": Auto(), "relative_error": 0.05} | options))


def stairs(u):
    return np.floor(u.sum(axis=1) / math.sqrt(u.shape[1]))


def both(u):
    """The smaller of a sum and of the squared norm over 100."""
    return np.minimum(u.sum(axis=1) / math.sqrt(u.shape[1]), np.square(u).sum(axis=1) / 100.0)


def case_of(function, threshold, d, exact, name=None):
    loss = PythonLoss(function=function)
    return Case(name or function.__name__, StandardNormal(dim=d), loss, Probability(above=threshold), [exact])


_SOLVED = {}


def solved(case, seed):
    """`run`, once for all tests that ask for the same case and seed."""
    key = case.name, repr(case.measure), seed
    if key not in _SOLVED:
        _SOLVED[key] = run(case, seed)
    return _SOLVED[key]


# --- losses ------------------------------------------------------------------------------------------


def total(u):
    """A standard normal that the coordinates make up."""
    return u.sum(axis=1) / math.sqrt(u.shape[1])


def largest(u):
    return u.max(axis=1)


def square_norm(u):
    return np.square(u).sum(axis=1)


def corners(u):
    """Above the threshold in the corner of each quadrant."""
    return np.abs(u).min(axis=1)


def steps(u):
    return np.floor(total(u))


def inward(u):
    """Beyond a paraboloid that bends away from the origin: the event is narrower than a half-space."""
    return u[:, 0] - 0.1 * np.square(u[:, 1:]).sum(axis=1)


def rough(u):
    """Noise of the row alone: a hash of its digits gives a normal of standard deviation 1/4."""
    digits = np.ascontiguousarray(u).view(np.uint64).reshape(u.shape)
    mixed = np.zeros(len(u), dtype=np.uint64)
    for column in digits.T:
        mixed = (mixed ^ (column ^ (column >> np.uint64(29)))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed ^= mixed >> np.uint64(32)
    uniform = ((mixed >> np.uint64(11)).astype(float) + 0.5) / 2.0**53
    return total(u) + 0.25 * stats.norm.ppf(uniform)


def pareto_sum(u):
    """A sum of two Pareto variables of index one: ``P(X + Y > t) = 2/t + 2 log(t - 1)/t^2``, Pareto from one on."""
    return np.exp(-stats.norm.logsf(u)).sum(axis=1)


def pareto_tail(t):
    return 2.0 / t + 2.0 * math.log(t - 1.0) / t**2


def rotated(d, seed):
    basis = np.linalg.qr(np.random.default_rng(seed).standard_normal((d, d)))[0]

    def largest_rotated(u):
        return (u @ basis).max(axis=1)

    return largest_rotated


def constant(u):
    return np.zeros(len(u))


def ones(u):
    return np.ones(len(u))


def bounded(u):
    """Below one for ever, and always a little higher."""
    return np.tanh(u[:, 0])


def stopped(u):
    return np.minimum(total(u), 2.0)


def indicator(u):
    return (total(u) >= 3.0).astype(float)


def needle(u):
    """A disc of probability 3e-9 and nothing that points to it."""
    return (np.square(u - 4.0).sum(axis=1) < 0.05).astype(float)


def cliff(u):
    """Discontinuous: ten times as large beyond three."""
    return np.where(total(u) > 3.0, 10.0, 1.0) * total(u)


def sawtooth(u):
    """Not monotone: rises and drops on the way."""
    return total(u) + np.sin(8.0 * total(u))


def pure_noise(u):
    return rough(u) - total(u)


def astronomic(u):
    """Over hundreds of orders of magnitude."""
    return np.exp(50.0 * total(u))


def minute(u):
    return 1e-200 * total(u)


# --- the answer --------------------------------------------------------------------------------------

LARGEST_OF_20 = -math.expm1(20.0 * stats.norm.logcdf(5.5))

EXACT = [
    *(linear_normal(d, k) for d in (1, 2, 10, 100) for k in (3.0, 5.0, TRILLIONTH)),
    *(two_sided(d, 4.0) for d in (1, 3, 20)),
    case_of(corners, 3.0, 2, (2.0 * stats.norm.sf(3.0)) ** 2),
    case_of(largest, 5.5, 20, LARGEST_OF_20),
    case_of(rotated(20, 3), 5.5, 20, LARGEST_OF_20, "largest_rotated"),
    *(case_of(square_norm, stats.chi2.isf(1e-5, d), d, 1e-5, f"shell_d{d}") for d in (2, 10, 50)),
    case_of(pareto_sum, 1e5, 2, pareto_tail(1e5)),
    case_of(steps, 4.0, 3, stats.norm.sf(4.0)),
    case_of(rough, 4.5, 3, stats.norm.sf(4.5 / math.hypot(1.0, 0.25))),
    case_of(cliff, 35.0, 2, stats.norm.sf(3.5)),
    several(2.0, 5.0),
    several(5.0, 3.0, 4.0),
    below(4.0),
    student(3.0, 1e-5),
]

SLOW = {"largest", "largest_rotated", "rough", "shell_d2", "shell_d10", "shell_d50", "several", "two-sided-d20-4"}
SLOW |= {"corners", "normal-d100-3", "normal-d100-5", "normal-d100-7.03448", "two-sided-d3-4"}


@pytest.mark.parametrize(
    "case", [pytest.param(c, id=c.name, marks=pytest.mark.slow if c.name in SLOW else []) for c in EXACT]
)
@pytest.mark.statistical(effect=3, false_fail=6e-7, false_pass=1e-3)
def test_answer_is_exact_within_its_error(case, seed):
    """A region lost of two halves the answer. Two seeds beyond the half-spaces: one in fifty has large weights there.

    Such a run says so; that both do is rare. The noise of the rough loss gives some draws large weights.
    """
    believed = []
    for s in (801,) if case.name.startswith("normal") else (801, 802):
        result = solved(case, seed(s))
        for estimate, exact in zip(result.estimates, case.exact, strict=True):
            assert_within_error(estimate.value, exact, estimate.std_error)
        believed.append(result.verdict.status in BELIEVED)
        assert max(e.relative_error for e in result.estimates) <= 0.05 or not believed[-1]
        assert result.search["reached"] > 0 or not result.search["weighted"]
    assert any(believed) or case.name == "rough"


@pytest.mark.slow
@pytest.mark.statistical(effect=0.5, false_fail=8e-7, false_pass=1e-3)
def test_both_sides_are_found(seed):
    """Eight seeds, the first with a single start on one side, within the event: a lost side halves the answer."""
    case = two_sided(3, 5.0)
    for s in (2_000_824, *range(850, 857)):
        result = run(case, seed(s), relative_error=0.04)
        (estimate,) = result.estimates
        assert_within_error(estimate.value, case.exact[0], estimate.std_error)
        assert result.search["regions"] == 2


@pytest.mark.slow
@pytest.mark.statistical(effect=0.5, false_fail=2e-7, false_pass=1e-3)
def test_paraboloid_is_exact(seed):
    """Its probability is an integral over the chi-square law of the other coordinates."""
    from scipy import integrate

    d, k = 5, 4.0
    exact, _ = integrate.quad(lambda q: stats.chi2.pdf(q, d - 1) * stats.norm.sf(k + 0.1 * q), 0.0, 60.0)
    for s in (803, 804):
        (estimate,) = run(case_of(inward, k, d, exact), seed(s)).estimates
        assert_within_error(estimate.value, exact, estimate.std_error)


@pytest.mark.slow
@pytest.mark.statistical(effect=0.6, false_fail=2e-7, false_pass=1e-3)
def test_ring_in_a_plane_is_exact_or_not_trusted(seed):
    """The hardest shape for a mixture: weights may be heavy between its components, and the verdict may say so."""
    for s in (808, 809):
        result = run(case_of(square_norm, stats.chi2.isf(1e-5, 2), 2, 1e-5), seed(s))
        (estimate,) = result.estimates
        if result.verdict.status is Status.TRUSTED:
            assert_within_error(estimate.value, 1e-5, estimate.std_error)
        assert 0.6 < estimate.value / 1e-5 < 1.6


@pytest.mark.slow
@pytest.mark.statistical(effect=0.6, false_fail=4e-7, false_pass=1e-3)
def test_every_corner_is_found(seed):
    """Four regions whose nearest points no gradient leads to: a corner that is lost takes a quarter of the answer."""
    exact, spent = (2.0 * stats.norm.sf(3.0)) ** 2, []
    for s in (0, 3, 9, 802):
        result = solved(case_of(corners, 3.0, 2, exact), seed(s))
        (estimate,) = result.estimates
        assert_within_error(estimate.value, exact, estimate.std_error)
        spent.append(result.evaluations["total"])
    assert np.median(spent) <= 20_000


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "most"),
    [
        (linear_normal(1, 5.0), 4_000),
        (linear_normal(10, 5.0), 6_000),
        (linear_normal(100, 5.0), 15_000),
        (linear_normal(10, TRILLIONTH), 6_000),
        (two_sided(20, 4.0), 12_000),
        (case_of(largest, 5.5, 20, LARGEST_OF_20), 12_000),
        (case_of(corners, 3.0, 2, 0.0), 12_000),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_evaluations_are_few(case, most, seed):
    """At a relative error of 5 %, some three times what was seen; one run in forty at the corners has heavy weights."""
    assert np.median([solved(case, seed(s)).evaluations["total"] for s in (801, 802, 803)]) <= most


@pytest.mark.slow
@pytest.mark.usefixtures("no_canary")
@pytest.mark.parametrize("case", [linear_normal(2, 4.0), two_sided(1, 4.0)], ids=lambda case: case.name)
@pytest.mark.statistical(effect=1.5, false_fail=3e-7, false_pass=1e-3)
def test_intervals_cover_and_errors_are_honest(case, seed):
    """40 seeds at 10 %."""
    n = 40
    estimates = [run(case, seed(9_000 + s), relative_error=0.1).estimates[0] for s in range(n)]
    (exact,) = case.exact
    assert_count_at_least(sum(e.interval[0] <= exact <= e.interval[1] for e in estimates), n, 0.95)
    z = np.array([math.log(e.value / exact) / e.relative_error for e in estimates])
    assert_scores_are_standard(z)
    assert np.abs(z).max() < 5.0


def test_tuning_draws_stay_out_of_the_estimate(seed):
    result = run(linear_normal(3, 4.0), seed(806))
    stages = {name: {e["stage"] for e in result.log if e["event"] == name} for name in ("explore", "estimate")}
    assert len(stages["explore"]) > 1
    assert not stages["explore"] & stages["estimate"]
    assert result.evaluations["tune"] == sum(e["rows"] for e in result.log if e["event"] == "explore")
    assert result.evaluations["estimate"] == result.estimates[0].diagnostics["rows"]


@pytest.mark.statistical(effect=0.6, false_fail=1e-7, false_pass=1e-3)
def test_physical_inputs_and_losses_are_explored_in_standard_space(seed):
    inputs = Normal(mean=[100.0, -20.0], std=[10.0, 0.1])
    case = Case("scaled", inputs, Linear(weights=[0.06, 8.0]), Probability(above="4 sigma"), [stats.norm.sf(4.0)])
    (estimate,) = run(case, seed(807)).estimates
    assert_within_error(estimate.value, case.exact[0], estimate.std_error)


# --- how a run may end -------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("function", "threshold", "d"),
    [
        (stopped, 3.0, 2),
        (stopped, 2.0 + 1e-9, 50),
        (constant, 1.0, 1),
        (constant, 1.0, 20),
        (bounded, 1.5, 2),
        (bounded, 1.5, 1),
        (needle, 1.0, 2),
        (total, 1e6, 3),
        (pure_noise, 50.0, 2),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_event_that_is_not_reached_gives_a_bound_and_a_name(function, threshold, d, seed):
    """The event is (almost) impossible: no number, a named reason, and a bound from the rest of the budget."""
    budget = 10_000
    result = run(case_of(function, threshold, d, 0.0), seed(811), max_evaluations=budget)
    (estimate,) = result.estimates
    assert result.verdict.status is Status.BOUND_ONLY
    assert estimate.value == 0.0
    assert estimate.interval[0] == 0.0
    assert 0.0 < estimate.interval[1] <= 5.0 / (result.evaluations["estimate"])
    assert result.search["reached"] == 0
    assert len(result.search["outcome"]) > 10
    assert result.search["outcome"] != "the event was reached"
    assert result.evaluations["tune"] <= budget / 2
    assert result.evaluations["total"] == budget


@pytest.mark.parametrize(("function", "threshold", "budget"), [(stairs, 10.0, 3000), (both, 10.4, 5000)])
def test_weights_that_vanish_in_many_dimensions_end_with_a_bound(function, threshold, budget, seed):
    """Failing draws of 1,000 coordinates whose weights are below the smallest number say nothing of the event."""
    result = run(case_of(function, threshold, 1000, 0.0), seed(817), max_evaluations=budget)
    assert result.verdict.status is Status.BOUND_ONLY
    assert result.evaluations["total"] == budget


@pytest.mark.parametrize(
    ("case", "exact"),
    [
        (linear_normal(2, -100.0), 1.0),
        (linear_normal(2, -3.0), stats.norm.sf(-3.0)),
        (linear_normal(1, 0.0), 0.5),
        (linear_normal(30, 0.5), stats.norm.sf(0.5)),
        (linear_normal(2, 1.0), stats.norm.sf(1.0)),
        (linear_normal(2, 1.5), stats.norm.sf(1.5)),
        (case_of(ones, 0.0, 2, 1.0), 1.0),
        (case_of(ones, 1.0, 2, 1.0), 1.0),
    ],
    ids=["certain", "wrong-side", "half", "common", "sixth", "fifteenth", "constant", "constant-at-threshold"],
)
@pytest.mark.statistical(effect=0.25, false_fail=1e-7, false_pass=1e-3)
def test_event_that_is_not_rare_is_simply_drawn(case, exact, seed):
    result = run(case, seed(812), relative_error=0.02, max_evaluations=50_000)
    (estimate,) = result.estimates
    assert_within_error(estimate.value, exact, max(estimate.std_error, 1e-12))
    assert estimate.interval[0] <= exact * (1.0 + 1e-9)
    assert result.verdict.status in BELIEVED
    assert result.evaluations["total"] <= 50_000
    if exact > 0.3:
        assert not result.search["weighted"]
        assert result.evaluations["tune"] <= 1_000
        assert any("target" in sentence for sentence in result.search["decisions"])


@pytest.mark.parametrize(
    "case",
    [
        case_of(indicator, 1.0, 2, stats.norm.sf(3.0)),
        case_of(astronomic, 1e80, 2, stats.norm.sf(math.log(1e80) / 50.0)),
        case_of(minute, 4e-200, 2, stats.norm.sf(4.0)),
        case_of(minute, 4e-200, 60, stats.norm.sf(4.0)),
    ],
    ids=["indicator", "astronomic", "minute", "minute-d60"],
)
@pytest.mark.statistical(effect=0.5, false_fail=2e-7, false_pass=1e-3)
@pytest.mark.slow_cases("minute-d60")
def test_awkward_losses_end_without_an_exception(case, seed):
    """The result is within its error, or it is not trusted."""
    for s in (813, 814):
        result = run(case, seed(s), max_evaluations=20_000)
        assert result.evaluations["total"] <= 20_000
        (estimate,) = result.estimates
        if result.verdict.status in BELIEVED:
            assert_within_error(estimate.value, case.exact[0], estimate.std_error)


@pytest.mark.slow
@pytest.mark.statistical(effect=0.5, false_fail=1e-7, false_pass=1e-3)
def test_a_loss_that_rises_and_drops_seldom_hides_its_nearest_tooth(seed):
    """Climbs may jump over the tooth that holds most of the probability: 4 of 900 runs were trusted and missed it."""
    grid = np.linspace(3.0, 12.0, 200_001)
    exact = (stats.norm.pdf(grid) * (grid + np.sin(8.0 * grid) >= 5.0)).sum() * (grid[1] - grid[0])
    results = [run(case_of(sawtooth, 5.0, 2, exact), seed(40_000 + s), max_evaluations=20_000) for s in range(30)]
    right = [
        result.verdict.status not in BELIEVED or abs(result.estimates[0].value / exact - 1) < 0.5 for result in results
    ]
    assert_count_at_least(sum(right), 30, 0.99)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_losses_that_are_not_finite_are_named_as_the_users(value, seed):
    def broken(u):
        return np.where(total(u) > 2.5, value, total(u))

    with pytest.raises(LossError, match="loss broken: must be finite"):
        run(case_of(broken, 4.0, 2, None), seed(815))


BUDGETED = [
    linear_normal(1, 5.0),
    linear_normal(3, 5.0),
    linear_normal(50, 4.0),
    linear_normal(400, 4.0),
    two_sided(2, 2.5),
    two_sided(20, 4.0),
    case_of(rotated(20, 3), 5.5, 20, LARGEST_OF_20, "largest_rotated"),
    case_of(square_norm, stats.chi2.isf(1e-5, 10), 10, 1e-5),
    case_of(steps, 4.0, 3, stats.norm.sf(4.0)),
    case_of(constant, 1.0, 3, 0.0),
]


@pytest.mark.parametrize("case", BUDGETED, ids=lambda case: case.name)
@pytest.mark.parametrize("budget", [100, 300, 1_000])
@pytest.mark.statistical(effect=0.5, false_fail=1e-7, false_pass=1e-3)
def test_budget_is_kept_and_what_it_buys_is_judged(case, budget, seed):
    """Never more than `max_evaluations`, some of it for the estimate, and no trust in a number that is wrong.

    A search that was cut short may lack regions; caution is then the least that is said, and the rest is most of it.
    """
    result = run(case, seed(816), relative_error=0.01, max_evaluations=budget)
    (estimate,) = result.estimates
    spent = result.evaluations
    assert spent["total"] == sum(n for stage, n in spent.items() if stage != "total") <= budget
    assert spent["estimate"] >= 1
    if result.verdict.status is Status.TRUSTED:
        assert_within_error(estimate.value, case.exact[0], estimate.std_error)
    if result.verdict.status is Status.CAUTION:
        assert 0.4 < estimate.value / case.exact[0] < 2.5
        assert estimate.relative_error <= 0.3
    if result.search["kind"] == "tuned":
        proven = result.search["one_region"]
        assert result.verdict.hidden_mass_bound is None if proven else result.verdict.hidden_mass_bound > 0
    if budget == 100:
        assert result.verdict.status in NOT_BELIEVED
    assert estimate.interval[0] <= estimate.value <= estimate.interval[1]
    assert len(result.search["outcome"]) > 10


def test_hidden_needle_is_within_the_bound_on_hidden_mass(seed):
    """The disc is not found; the verdict says how much may hide."""
    result = run(case_of(needle, 1.0, 2, 0.0), seed(817), max_evaluations=5_000)
    assert result.verdict.hidden_mass_bound > 3e-9
    assert "cannot be excluded" in result.verdict.scope


def test_failing_mass_that_the_proposal_misses_is_counted(seed):
    """Half of it for a law on one of two sides, by some 100 effective draws: 5 errors are a quarter; else nothing."""
    case = two_sided(2, 4.0)
    problem = Problem(case.inputs, case.loss.bind(case.inputs))
    search = Search(
        Session(problem, [Event(4.0)], seed(813), Executor(), 10**6, lambda *_: None, 0.05), 40, single=True
    )
    search.explorer.draw(Normal(mean=0.0, std=2.5, dim=2), 4_000, "wide")
    one, other = (Normal(mean=side * 4.0 / math.sqrt(2.0), std=1.0, dim=2) for side in (1.0, -1.0))
    both = Mixture(weights=[0.5, 0.5], components=(one, other))
    missed = [search.coverage(law, case.exact[0], 2.0)["uncovered"] for law in (one, other, both)]
    assert missed[0] == pytest.approx(0.5, abs=0.25)
    assert missed[0] + missed[1] == pytest.approx(1.0)
    assert missed[2] == 0.0


def test_levels_are_limited(seed):
    """One level is not enough for a loss that walks cannot climb."""
    few = run(case_of(square_norm, 60.0, 2, None), seed(818), method=Auto(max_levels=1), max_evaluations=20_000)
    levels = [row for row in few.iterations if row.start == "levels"]
    assert len(levels) <= 1


# --- what is told ------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", [linear_normal(3, 4.0), linear_normal(2, 0.0), case_of(constant, 1.0, 2, 0.0)])
def test_decisions_are_sentences_and_are_stored(case, seed):
    result = run(case, seed(821), max_evaluations=5_000)
    stored = json.loads(json.dumps(result.to_dict()))["search"]
    assert len(stored["decisions"]) >= 2
    assert stored["decisions"] == list(result.search["decisions"])
    for sentence in stored["decisions"]:
        assert len(sentence.split()) >= 4
        assert "nan" not in sentence.split()
    assert stored["outcome"] == result.search["outcome"]


def test_iterations_tell_of_every_draw_of_the_search(seed):
    """Their levels rise to the threshold; their evaluations are those of tuning but for walks uphill."""
    result = run(linear_normal(4, 5.0), seed(822))
    assert sum(row.evaluations for row in result.iterations) <= result.evaluations["tune"]
    assert result.iterations[-1].level == 5.0
    for row in result.iterations:
        assert 0 <= row.rarity <= 1
        assert row.elites <= row.evaluations
        assert row.log_probability <= 0
        assert row.level <= 5.0


def test_levels_of_an_event_below_have_its_sign(seed):
    result = run(below(4.0), seed(823))
    assert result.iterations[-1].level == -4.0
    assert all(row.level >= -4.0 for row in result.iterations)


def test_one_region_is_counted_as_one(seed):
    assert run(linear_normal(3, 4.0), seed(824)).search["regions"] == 1


# --- reproducibility ---------------------------------------------------------------------------------


def digits(result):
    return [(e.value, e.std_error, e.interval) for e in result.estimates], result.search["decisions"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "case", [two_sided(3, 4.0), linear_normal(100, 4.0), case_of(largest, 4.0, 20, None)], ids=lambda case: case.name
)
def test_workers_change_no_digit_and_seeds_do(case, seed):
    one, again, other = (run(case, seed(s), relative_error=0.2) for s in (831, 831, 832))
    with Executor.of("threads", 2) as executor:
        two = run(case, seed(831), executor=executor, relative_error=0.2)
    assert digits(one) == digits(again) == digits(two)
    assert one.evaluations == two.evaluations
    np.testing.assert_array_equal(one.arrays.loss, two.arrays.loss)
    np.testing.assert_array_equal(one.arrays.log_weight, two.arrays.log_weight)
    assert one.estimates[0].value != other.estimates[0].value


# --- options -----------------------------------------------------------------------------------------

YAML = """
seed: {seed}
inputs: {{kind: standard_normal, dim: 3}}
loss: {{kind: linear, weights: [1, 1, 1]}}
measures: [{{kind: probability, above: 4 sigma}}]
{method}
stop: {{relative_error: 0.1, max_evaluations: 20000}}
"""


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("method: {kind: auto}", Auto()),
        ("method: {kind: auto, max_levels: 30}", Auto(max_levels=30)),
        ("", Experiment.__dataclass_fields__["method"].default_factory()),
    ],
    ids=["auto", "options", "default"],
)
@pytest.mark.statistical(effect=0.5, false_fail=1e-7, false_pass=1e-3)
def test_method_runs_from_yaml(method, expected, tmp_path, seed):
    """Without a method the config means what `Experiment` means without one."""
    (tmp_path / "one.yaml").write_text(YAML.format(seed=seed(841), method=method))
    experiment = configs.load(tmp_path / "one.yaml").experiment()
    assert experiment.method == expected
    result = experiment.run()
    assert result.method == expected.kind
    (estimate,) = result.estimates
    assert_within_error(estimate.value, stats.norm.sf(4.0), estimate.std_error)


def test_wrong_options_are_refused():
    with pytest.raises(FieldError, match="max_levels: must be at least 1, got 0"):
        Auto(max_levels=0)


def test_two_tails_are_refused(seed):
    measures = [Probability(above=3.0), Probability(below=-3.0)]
    with pytest.raises(FieldError, match="measures"):
        run(linear_normal(2, 3.0), seed(842), measures=measures)


def test_cost_grows_with_dimension_and_is_of_the_size_of_tuning(seed):
    costs = [Auto().cost(d, d) for d in (1, 10, 100, 1000)]
    assert costs == sorted(costs)
    for d in (2, 20):
        tune = run(linear_normal(d, 4.0), seed(843)).evaluations["tune"]
        assert 0.2 * tune <= Auto().cost(d, d) <= 10.0 * tune


def test_method_describes_itself():
    assert all(isinstance(line, str) and line for line in Auto().describe())
    assert Auto().draws_in == "standard"


# --- the smallest case of two unlike slopes ----------------------------------------------------------


@pytest.mark.slow
@pytest.mark.statistical(effect=0.9, false_fail=1e-7, false_pass=0.1)
def test_two_planes_of_unlike_slopes_are_trusted_and_right(seed):
    """Of the same distance in ten dimensions, one five times as steep: whoever climbs by the loss reports a half.

    Wrong is a number that is off by a quarter and by five of its errors.
    """
    exact = 1.0 - stats.norm.cdf(4.89) ** 2
    results = [
        raresim.estimate(
            10,
            lambda x: np.maximum(x[:, 0] - 4.89, 5.0 * (x[:, 1] - 4.89)),
            raresim.Probability(above=0.0),
            seed=seed(870 + k),
            relative_error=0.05,
        )
        for k in range(12)
    ]
    trusted = [r.estimates[0] for r in results if r.verdict.status is Status.TRUSTED]
    off = [abs(e.value - exact) for e in trusted]
    assert not any(d > 0.25 * exact and d > 5.0 * e.std_error for d, e in zip(off, trusted, strict=True))
    assert len(trusted) >= 10
    assert_count_at_least(sum(e.interval[0] <= exact <= e.interval[1] for e in trusted), len(trusted), 0.9)


# --- where crude Monte Carlo costs no more -----------------------------------------------------------


@pytest.mark.statistical(effect=0.4, false_fail=1e-7, false_pass=0.1)
def test_18_9_crude_is_taken_where_a_search_would_cost_as_much(seed):
    """In 250 dimensions a search takes 120,000 evaluations; 2 % by counting an event of 4 % takes half of that."""
    case = linear_normal(250, 1.75)
    result = run(case, seed(951), relative_error=0.02, max_evaluations=1_000_000)
    (estimate,) = result.estimates
    assert not result.search["weighted"]
    assert result.verdict.status is Status.TRUSTED
    assert result.evaluations["total"] < 90_000
    assert "crude Monte Carlo costs no more" in result.search["outcome"]
    assert_within_error(estimate.value, stats.norm.sf(1.75), estimate.std_error)


def test_18_9_a_search_is_made_where_it_costs_less(seed):
    result = run(linear_normal(3, 3.0), seed(952), relative_error=0.02, max_evaluations=1_000_000)
    assert result.search["weighted"]
    assert not any("draws of the target hit the event" in sentence for sentence in result.search["decisions"])
