"""An approximation beside a costly loss: the surrogate learns what it leaves; one that cannot serve is refused."""

from pathlib import Path

import numpy as np
import pytest

from raresim import (
    Auto,
    FieldError,
    LossError,
    Normal,
    Probability,
    PythonLoss,
    Surrogate,
    UMBridgeLoss,
    estimate,
    models,
)
from tests.statistical import assert_within_error
from tests.umbridge_server import serving

MARKET = Path(__file__).parents[2] / "configs" / "market"
BEYOND_360 = 9.932846060928565e-05
"""Contour integral; see configs/market/options.yaml."""


def book(**changes):
    law = Normal(mean=0.0002, std=0.06, dim=10)
    given = {"positions": MARKET / "straddles.csv", "spots": MARKET / "spots.csv", "factors": law, "horizon": 0.04}
    return models.Options(**{**given, "volatility": 0.3, "rate": 0.05, "dividend": 0.0, **changes})


def of_book(approximation, most=100, relative_error=0.01):
    return estimate(
        book(),
        measures=Probability(above=360.0),
        method=Surrogate(),
        seed=1,
        max_evaluations=most,
        relative_error=relative_error,
        approximation=approximation,
    )


@pytest.mark.slow
@pytest.mark.statistical(effect=0.25, false_fail=1e-6, false_pass=1e-3)
def test_what_delta_gamma_leaves_of_a_book_is_learnt():
    assisted = of_book("delta_gamma", 200)
    (number,) = assisted.estimates
    assert_within_error(number.value, BEYOND_360, number.std_error)
    assert number.verdict.status == "trusted"
    assert number.relative_error <= 0.01
    assert (
        "the surrogate learnt the part of the loss that the approximation does not explain"
        in assisted.search["decisions"]
    )
    assert assisted.description["approximation"][0].startswith("delta")


@pytest.mark.slow
@pytest.mark.statistical(effect=0.5, false_fail=1e-6, false_pass=1e-3)
def test_a_good_approximation_saves_evaluations():
    """Ten seeds without it took 160 (median): learning ends early, and the correction takes what the error needs."""
    assisted = of_book("delta_gamma", 400, relative_error=0.02)
    (number,) = assisted.estimates
    assert assisted.evaluations["total"] <= 130
    assert number.verdict.status == "trusted"
    assert_within_error(number.value, BEYOND_360, number.std_error)


@pytest.mark.slow
def test_an_approximation_that_says_nothing_is_not_used():
    result = solve(lambda x: np.sin(9.0 * x[:, 0]))
    assert "the approximation is not used" in " ".join(result.search["decisions"])
    assert result.search["facts"]["surrogate_assisted"] == 0


@pytest.mark.slow
def test_a_server_whose_rows_are_runs_is_learnt_itself():
    with serving() as server:
        near = UMBridgeLoss(url=server.url, model="forward", output=0)
        loss = PythonLoss(function=lambda x: x[:, 0] + x[:, 1] + 0.05 * x[:, 2] ** 2, smooth=True)
        result = estimate(
            3, loss, Probability(above=6.0), Surrogate(), seed=1, max_evaluations=100, relative_error=0.05,
            approximation=near,
        )  # fmt: skip
        asked = sum(path == "/Evaluate" for path, _ in server.asked)
    assert result.search["facts"]["surrogate_assisted"] == 1
    assert any("a surrogate of the approximation learnt from" in decision for decision in result.search["decisions"])
    assert asked <= 300
    assert result.evaluations["total"] <= 100


def plane(x):
    return x.sum(axis=1) - 6.0


def solve(near, loss=plane, method=None, **options):
    costly = loss if not callable(loss) or isinstance(loss, PythonLoss) else PythonLoss(function=loss, smooth=True)
    return estimate(
        3,
        costly,
        Probability(above=0.0),
        method or Surrogate(),
        seed=1,
        max_evaluations=100,
        relative_error=0.05,
        approximation=near,
        **options,
    )


STATES = PythonLoss(function=lambda x: x - 3.0, limit_states=["a", "b", "c"])

REFUSED = {
    "another method": (
        lambda: solve(plane, method=Auto()),
        FieldError,
        "approximation: must be left out with method auto: only method surrogate uses",
    ),
    "no book": (lambda: solve("delta_gamma"), FieldError, "inputs and loss of your own have none"),
    "another length": (
        lambda: solve(lambda x: np.zeros(len(x) + 1)),
        LossError,
        r"approximation: loss .*must return an array of shape \(\d+,\), got shape",
    ),
    "not finite": (
        lambda: solve(lambda x: np.where(x[:, 0] > 2.0, np.nan, x[:, 0])),
        LossError,
        "approximation: loss .*must be finite, got nan",
    ),
    "one number for columns": (
        lambda: solve(plane, STATES),
        FieldError,
        "limit_states: must be as many as the loss has, 3 limit states, got none",
    ),
    "rows that may fail": (
        lambda: solve(PythonLoss(function=plane, on_failure="bound")),
        FieldError,
        "on_failure: cannot be 'bound' for an approximation",
    ),
}


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_cannot_serve_is_refused(name):
    build, error, message = REFUSED[name]
    with pytest.raises(error, match=message):
        build()


def test_the_delta_gamma_of_a_book_touches_it_at_zero():
    options = book()
    near, x = options.delta_gamma, 0.01 * np.asfortranarray(np.eye(10)[:3] - np.eye(10)[3:6])
    rough, full = np.empty(3), np.empty(3)
    near.bind(options.inputs)(x, rough)
    options.loss(x, full)
    np.testing.assert_allclose(rough, full, rtol=0.01)
    assert options.loss.undeclared == ()
