"""Paths: probabilities against exact values, with what they cost, and the weights of their schemes."""

import math

import numpy as np
import pytest

import raresim
from raresim import marginals
from raresim.engine.fold import Sampler
from raresim.engine.problem import Problem
from raresim.models import GarchReturns, GeometricBrownian, Heston, MertonJumps, Path, RandomWalk
from raresim.models.paths.aims import aim_of, shared
from raresim.models.paths.exact import probability
from raresim.models.paths.twisted_paths import TwistedPaths
from raresim.numerics.blocks import Block
from raresim.record.event import Event
from raresim.record.verdict import Status
from tests.statistical import assert_count, assert_mean_is, assert_within_error

GLASSERMAN = GeometricBrownian(price=95.0, drift=0.05, volatility=0.15)
NORMAL_WALK = RandomWalk(step=marginals.Normal(mean=-0.1, std=1.0))
SIMPLE_WALK = RandomWalk(step=marginals.Finite(values=[-1.0, 1.0], probabilities=[0.6, 0.4]))
JUMPS = MertonJumps(price=100.0, drift=0.03, volatility=0.2, jump_rate=1.0, jump_mean=-0.1, jump_std=0.15)
WATCHED = {
    "process": GeometricBrownian(price=100.0, drift=0.03, volatility=0.2),
    "horizon": 1.0,
    "quantity": "knock_in",
    "barrier": 125.0,
    "strike": 85.0,
    "option": "put",
    "monitoring": "continuous",
}


def knock_in(time, steps, barrier, strike, **options):
    return Path(
        process=GLASSERMAN,
        steps=steps,
        horizon=time,
        quantity="knock_in",
        barrier=barrier,
        strike=strike,
        **options,
    )


def run(model, error, seed, above=None, below=None, **options):
    asked = raresim.Probability(above=above) if below is None else raresim.Probability(below=below)
    return raresim.estimate(model, measures=asked, relative_error=error, seed=seed, **options)


@pytest.mark.parametrize(
    ("model", "event", "reference", "rows_to_five"),
    [
        (knock_in(0.25, 50, 94.0, 96.0), {"above": 0.0}, 0.3049536067844742, 700),
        (knock_in(0.25, 50, 85.0, 96.0), {"above": 0.0}, 0.0005628762173406775, 2200),
        (knock_in(1.0, 50, 90.0, 106.0), {"above": 0.0}, 0.06944374512238967, 1100),
        (knock_in(0.25, 100, 90.0, 106.0), {"above": 0.0}, 0.0015763327147808926, 1800),
        (Path(process=NORMAL_WALK, steps=50, quantity="maximum"), {"above": 28.0}, 2.536308468390585e-06, 1100),
        (Path(process=SIMPLE_WALK, steps=40, quantity="maximum"), {"above": 18.0}, 5.547005117233223e-05, 600),
        (
            Path(process=SIMPLE_WALK, steps=60, quantity="first_passage", barrier=18.0),
            {"below": 40.0},
            5.547005117233223e-05,
            600,
        ),
    ],
    ids=["94-96", "85-96", "T1", "M100", "walk", "simple walk", "passage"],
)
@pytest.mark.statistical(effect=0.3, false_fail=1e-6, false_pass=1e-3)
def test_twisted_paths_reach_exact_values(model, event, reference, rows_to_five, seed):
    result = run(model, 0.025, seed(1), **event)
    (found,) = result.estimates
    assert_within_error(found.value, reference, found.std_error)
    assert found.verdict.status is Status.TRUSTED
    assert "no row weighs more than" in found.verdict.scope
    assert result.evaluations["audit"] == 0
    assert result.evaluations["estimate"] * (found.relative_error / 0.05) ** 2 < rows_to_five


@pytest.mark.parametrize("construction", ["increments", "bridge"])
@pytest.mark.statistical(effect=0.3, false_fail=1e-6, false_pass=1e-3)
def test_a_barrier_watched_between_dates_does_not_see_the_dates(construction, seed):
    model = Path(**WATCHED, steps=12 if construction == "bridge" else 1, construction=construction)
    result = run(model, 0.03, seed(2), above=0.0)
    (found,) = result.estimates
    assert_within_error(found.value, 0.0011038204893257983, found.std_error)
    assert "no row weighs more than" in found.verdict.scope
    assert result.evaluations["total"] < 8_000
    assert found.diagnostics["control_gap"] == pytest.approx(abs(0.0011038204893257983 / found.value - 1.0))


@pytest.mark.statistical(effect=0.3, false_fail=1e-6, false_pass=1e-3)
def test_a_drift_along_the_path_for_an_average(seed):
    process = GeometricBrownian(price=50.0, drift=0.05, volatility=0.3)
    model = Path(process=process, steps=16, horizon=1.0, quantity="average")
    result = run(model, 0.03, seed(3), above=90.0)
    (found,) = result.estimates
    assert_within_error(found.value, 0.001110072944677757, found.std_error)
    assert found.verdict.status is Status.TRUSTED
    assert "Normals move by" in " ".join(result.search["decisions"])
    assert result.evaluations["total"] < 12_000


@pytest.mark.parametrize(
    ("model", "event"),
    [
        (knock_in(0.25, 6, 92.0, 96.0), Event(0.0)),
        (knock_in(0.25, 6, 92.0, 96.0, monitoring="continuous", construction="bridge"), Event(0.0)),
        (knock_in(0.25, 6, 92.0, 96.0, payoff="vanilla"), Event(1.0)),
        (Path(process=JUMPS, steps=4, horizon=0.5, quantity="knock_in", barrier=90.0, strike=92.0), Event(0.0)),
        (Path(process=JUMPS, steps=4, horizon=0.5, quantity="end"), Event(80.0, "below")),
        (Path(process=JUMPS, steps=6, horizon=0.5, quantity="n_day_loss", days=2), Event(0.15)),
        (Path(process=SIMPLE_WALK, steps=12, quantity="first_passage", barrier=4.0), Event(8.0, "below")),
        (Path(process=RandomWalk(step=marginals.Gamma(a=2.0)), steps=4, quantity="end"), Event(12.5)),
        (Path(process=GLASSERMAN, steps=4, horizon=1.0, quantity="knock_out", barrier=80.0, strike=110.0), Event(0.0)),
    ],
    ids=["knock-in", "continuous", "vanilla", "jumps", "jumps end", "window", "passage", "gamma", "knock-out"],
)
@pytest.mark.statistical(effect=0.3, false_fail=1e-6, false_pass=1e-3)
def test_weights_of_twisted_paths_are_density_ratios(model, event, seed):
    """Their mean is one, their bound holds in the event, and the weighted event has the probability of plain draws."""
    n, step = 20_000, model.process.increment(model.dt)
    aim = aim_of(model.loss, step, event)
    rows = TwistedPaths(Sampler(Problem(model.inputs, model.loss), None, seed(5)), (event,), step, shared([aim], 0.3))
    x = rows.mapped(rows.draw(Block(0, 0, 0, n)))
    weight = np.exp(rows.log_weight(x))
    assert_mean_is(weight, 1.0)
    assert weight.max() <= 1.0 / 0.3 + 1e-9
    loss, plain = np.empty(n), np.empty(n)
    model.loss(x, loss)
    hit = event.sign * loss >= event.sign * event.threshold
    assert (np.log(weight[hit]) <= aim.log_most - math.log(0.7) + 1e-9).all()
    normals = np.random.default_rng(seed(6)).standard_normal((n, rows.sampler.problem.dim))
    model.loss(rows.mapped(np.asfortranarray(normals)), plain)
    crude = event.sign * plain >= event.sign * event.threshold
    error = math.hypot(crude.std() / math.sqrt(n), (weight * hit).std() / math.sqrt(n))
    assert_within_error((weight * hit).mean(), crude.mean(), error)
    assert hit.mean() > crude.mean()


@pytest.mark.statistical(effect=0.5, false_fail=1e-6, false_pass=1e-3)
def test_several_levels_and_a_quantile_from_one_run(seed):
    model = Path(process=GLASSERMAN, steps=20, horizon=1.0, quantity="end")
    measures = [raresim.Probability(above=[130.0, 150.0, 180.0]), raresim.ValueAtRisk(level=0.9999)]
    result = raresim.estimate(model, measures=measures, relative_error=0.05, seed=seed(7))
    *probabilities, quantile = result.estimates
    for found in probabilities:
        score = (math.log(found.threshold / 95.0) - 0.05 + 0.5 * 0.15**2) / 0.15
        assert_within_error(found.value, 0.5 * math.erfc(score / math.sqrt(2.0)), found.std_error)
    exactly = 95.0 * math.exp(0.05 - 0.5 * 0.15**2 + 0.15 * 3.719016485455709)
    assert_within_error(quantile.value, exactly, quantile.std_error)


def test_a_year_of_garch_days_is_drawn_plainly(seed):
    model = Path(process=GarchReturns(omega=1.5e-6, alpha=0.08, beta=0.91, dof=6.0), steps=250, quantity="n_day_loss")
    result = run(model, 0.1, seed(8), above=0.4)
    assert "crude Monte Carlo needs about" in " ".join(result.search["decisions"])
    assert result.verdict.status is Status.TRUSTED
    assert all(check.status is Status.TRUSTED for check in result.verdict.checks)
    assert result.evaluations["audit"] == 0
    assert result.estimates[0].relative_error <= 0.1


@pytest.mark.parametrize(
    ("quantity", "barrier", "strike", "option"),
    [
        ("knock_in", 110.0, 95.0, "put"),
        ("knock_in", 110.0, 95.0, "call"),
        ("knock_in", 90.0, 85.0, "call"),
        ("knock_in", 110.0, 120.0, "put"),
        ("knock_out", 90.0, 105.0, "call"),
        ("knock_out", 110.0, 95.0, "put"),
        ("knock_out", 85.0, None, "call"),
    ],
)
@pytest.mark.statistical(effect=0.2, false_fail=1e-6, false_pass=1e-3)
def test_controls_of_digitals_that_are_watched_all_the_time(quantity, barrier, strike, option, seed):
    model = Path(**WATCHED | {"quantity": quantity, "barrier": barrier, "strike": strike, "option": option}, steps=2)
    loss = np.empty(20_000)
    u = np.random.default_rng(seed(10)).standard_normal((loss.size, model.inputs.dim))
    model.loss(model.inputs.to_physical(np.asfortranarray(u), np.empty(u.shape, order="F")), loss)
    known = probability(model.loss, model.process.increment(model.dt), 0.0, True)
    assert_count(np.count_nonzero(loss >= 0), loss.size, known[1])


def test_the_shifted_barrier_is_near_for_many_dates():
    model = knock_in(0.25, 50, 85.0, 96.0)
    known = probability(model.loss, model.process.increment(model.dt), 0.0, True)
    assert known[1] == pytest.approx(0.0005628762173406775, rel=0.01)
    assert known[3] is None


def test_heston_says_what_its_variance_can_do():
    process = Heston(price=1.0, variance=0.04, reversion=1.0, long_variance=0.04, vol_of_variance=1.0)
    assert "Feller's condition" in Path(process=process, steps=4, horizon=1.0, quantity="end").notes()[0]
