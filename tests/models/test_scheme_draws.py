"""The weighted sample of the event from rows of schemes: it gives the estimate again, and its factors have the loss."""

from pathlib import Path

import numpy as np
import pytest

import raresim
from raresim import marginals
from raresim.models import DeltaGamma, Network, Queue, Ruin

EXPONENTIAL = marginals.Exponential()
HEAVY = marginals.GeneralisedPareto(xi=0.4)
TASKS = Path(__file__).parents[2] / "configs" / "systems" / "tasks.csv"
QUADRATIC = {"deltas": [1.0, -2.0, 0.5], "gammas": [-2.0, 1.0, 0.0], "covariance": np.diag([1.0, 2.0, 0.5])}

MODELS = {
    "twisted walk": (Ruin(claims=EXPONENTIAL, arrival_rate=0.7, premium_rate=1.0, horizon=9.0), {"above": 15.0}),
    "one big step": (Ruin(claims=HEAVY, arrival_rate=0.3, premium_rate=1.0, horizon=9.0), {"above": 60.0}),
    "line of servers": (
        Queue(arrival_rate=0.1, service_rates=[0.4, 0.5], capacity=9, jumps=120),
        {"above": 9.0},
    ),
    "minimal cuts": (Network(units=8, failing=3, failure_probability=0.01), {"below": 1.0}),
    "ways of a project": (Network(tasks=TASKS), {"above": 60.0}),
    "delta-gamma": (DeltaGamma(**QUADRATIC), {"above": 12.0}),
    "delta-gamma, t": (DeltaGamma(dof=5.0, **QUADRATIC), {"above": 25.0}),
}


def solve(model, event, seed, **options):
    asked = raresim.Probability(**event)
    only = raresim.Auto(scheme="only")
    return raresim.estimate(model, measures=asked, method=only, seed=seed, relative_error=0.1, audit="off", **options)


@pytest.mark.parametrize("name", MODELS)
def test_rows_of_a_scheme_are_drawn_with_their_factors(name, seed):
    model, event = MODELS[name]
    result = solve(model, event, seed(1), draws=100_000)
    table, drawn = result.draws.to_arrays(), result.manifest["draws"]
    (found,) = result.estimates
    assert drawn["rows"] == drawn["of"] == found.diagnostics["hits"]
    assert table["weight"].sum() == pytest.approx(found.value, rel=1e-9)
    factors = np.asfortranarray(result.draws.values[:, : model.inputs.dim])
    again = np.empty(len(factors))
    model.loss.bind(model.inputs)(factors, again)
    np.testing.assert_allclose(again, table["loss"], rtol=1e-9)
    assert "left_out" not in drawn


def test_rows_of_ladder_heights_have_a_loss_and_a_weight(seed):
    """The walk of Siegmund's twist is drawn by ladder heights, which are not the claims of the model."""
    model = Ruin(claims=EXPONENTIAL, arrival_rate=0.75, premium_rate=1.0)
    result = solve(model, {"above": 40.0}, seed(2), draws=100_000)
    assert result.draws.columns == ("loss", "log_weight", "weight")
    assert result.draws.to_arrays()["weight"].sum() == pytest.approx(result.estimates[0].value, rel=1e-9)
    assert (result.draws.to_arrays()["loss"] >= 40.0).all()
    assert "drawn without them" in result.manifest["draws"]["left_out"]
    plain = solve(model, {"above": 40.0}, seed(2))
    assert plain.estimates[0].value == result.estimates[0].value
