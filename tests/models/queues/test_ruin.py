"""Ruin: probabilities and evaluations against closed forms, and what is refused."""

import math

import numpy as np
import pytest

import raresim
from raresim import marginals
from raresim.errors import FieldError
from raresim.models import Ruin
from raresim.models.queues import exact
from raresim.record.verdict import Status
from tests.statistical import assert_mean_is, assert_within_error

EXPONENTIAL = marginals.Exponential()
HEAVY = marginals.GeneralisedPareto(xi=0.4)
RUIN_EXP = {"claims": EXPONENTIAL, "arrival_rate": 0.75, "premium_rate": 1.0}


def run(model, above, error, seed, **options):
    return raresim.estimate(
        model, measures=raresim.Probability(above=above), relative_error=error, seed=seed, **options
    )


@pytest.mark.parametrize(
    ("model", "reserve", "reference", "rows_to_five"),
    [
        (RUIN_EXP, 60.0, 2.2942674037636934e-07, 40),
        (
            {"claims": marginals.Exponential(scale=2.0), "arrival_rate": 1.0, "premium_rate": 3.0},
            200.0,
            2.2254919e-15,
            80,
        ),
        ({**RUIN_EXP, "arrival_rate": 0.7, "horizon": 50.0}, 30.0, 2.7554182925e-05, 800),
        ({**RUIN_EXP, "arrival_rate": 0.7, "horizon": 200.0}, 30.0, 8.5373822e-05, 80),
    ],
    ids=["RUIN-EXP", "rare", "short horizon", "long horizon"],
)
@pytest.mark.statistical(effect=0.2, false_fail=1e-6, false_pass=1e-3)
def test_ruin_by_siegmunds_twist(model, reserve, reference, rows_to_five, seed):
    result = run(Ruin(**model), reserve, 0.02, seed(1))
    (found,) = result.estimates
    assert_within_error(found.value, reference, found.std_error)
    assert found.verdict.status is Status.TRUSTED
    assert "no row weighs more than" in found.verdict.scope
    assert result.evaluations["audit"] == 0
    assert result.evaluations["estimate"] * (found.relative_error / 0.05) ** 2 < rows_to_five


@pytest.mark.statistical(effect=0.5, false_fail=1e-6, false_pass=1e-3)
def test_several_reserves_and_a_quantile_from_one_run(seed):
    measures = [raresim.Probability(above=[5.0, 20.0, 60.0]), raresim.ValueAtRisk(level=0.9999)]
    result = raresim.estimate(Ruin(**RUIN_EXP), measures=measures, relative_error=0.05, seed=seed(2))
    *probabilities, reserve = result.estimates
    for found in probabilities:
        exactly = exact.ruin_exponential(1.0, 0.75, found.threshold)
        assert_within_error(found.value, exactly, found.std_error)
        assert found.diagnostics["control_gap"] == pytest.approx(abs(exactly / found.value - 1.0))
    assert_within_error(reserve.value, math.log(0.75 / 1e-4) / 0.25, reserve.std_error)


@pytest.mark.parametrize("horizon", [None, 20.0], ids=["any time", "horizon"])
def test_heavy_claims_are_never_twisted(horizon, seed):
    model = Ruin(claims=HEAVY, arrival_rate=0.3, premium_rate=1.0, horizon=horizon)
    result = run(model, 300.0, 0.05, seed(3), method=raresim.Auto(scheme="only"))
    told = " ".join(result.search["decisions"])
    assert "given that it lifts" in told
    assert "twist" not in told
    assert "no exponential moment" in " ".join(model.notes())


@pytest.mark.statistical(effect=0.5, false_fail=1e-6, false_pass=1e-3)
def test_weights_of_one_big_step_have_the_mean_one(seed):
    from raresim.engine.fold import Sampler
    from raresim.engine.problem import Problem
    from raresim.models.queues.walk_draws import Aim, OneBigStep
    from raresim.numerics.blocks import Block
    from raresim.record.event import Event

    model = Ruin(claims=HEAVY, arrival_rate=1.0, premium_rate=1.2, horizon=5.0)
    aims = (Aim(0.4, 3.0), Aim(0.4, 8.0))
    rows = OneBigStep(Sampler(Problem(model.inputs, model.loss), None, seed(5)), (Event(3.0),), aims)
    x = rows.mapped(rows.draw(Block(0, 0, 0, 20_000)))
    weight = np.exp(rows.log_weight(x))
    assert_mean_is(weight, 1.0)
    assert weight.max() <= 1.0 / 0.2 + 1e-9
    loss = np.empty(20_000)
    model.loss(x, loss)
    assert np.mean(loss >= 3.0) > 0.8
    normals = np.asfortranarray(np.random.default_rng(seed(6)).standard_normal((40_000, rows.sampler.problem.dim)))
    plain = np.empty(40_000)
    model.loss(rows.mapped(normals), plain)
    crude, found = plain >= 8.0, weight * (loss >= 8.0)
    error = math.hypot(crude.std() / math.sqrt(crude.size), found.std() / math.sqrt(found.size))
    assert_within_error(found.mean(), crude.mean(), error)


def test_parts_are_claims_and_premiums_up_to_the_maximum():
    walk = Ruin(claims=EXPONENTIAL, arrival_rate=0.1, premium_rate=2.0, horizon=10.0).walk
    x = np.full((2, 2 * walk.steps), 1.0, order="F")
    x[:, walk.steps :] = 100.0
    x[0, :3], x[0, walk.steps : walk.steps + 3] = [1.0, 9.0, 50.0], [2.0, 1.0, 8.0]  # the third comes too late
    np.testing.assert_allclose(walk.components(x), [[10.0, -6.0], [0.0, 0.0]])
    out = np.empty(2)
    walk(x, out)
    np.testing.assert_allclose(out, [4.0, 0.0])
    assert walk.component_names == ("claims", "premiums")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"premium_rate": 0.75}, r"^premium_rate: .* ruin is certain, got 0.75 \(rho = 1\)"),
        ({"claims": marginals.Pareto(b=0.9)}, "^claims: must have a finite mean: ruin is certain"),
        ({"claims": marginals.Normal(mean=1.0, std=1.0)}, "^claims: must be a law of no negative claims"),
        ({"claims": marginals.Poisson(mu=0.5)}, "^claims: must have a density where there is no horizon"),
        ({"arrival_rate": 0.0}, "^arrival_rate: must be positive"),
        ({"horizon": -1.0}, "^horizon: must be positive"),
        ({"horizon": 1e6}, "^horizon: must bring at most 10,000 claims"),
    ],
)
def test_what_is_refused(changes, message):
    with pytest.raises(FieldError, match=message):
        Ruin(**{**RUIN_EXP, **changes})


def test_ruin_may_be_certain_in_the_end_where_there_is_a_horizon():
    assert Ruin(claims=EXPONENTIAL, arrival_rate=1.5, premium_rate=1.0, horizon=5.0).load == 1.5
