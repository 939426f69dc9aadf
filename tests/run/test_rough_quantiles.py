"""Quantiles that a model knows without sampling: they stand in for climbs, and no number rests on them."""

import math

import numpy as np
import pytest

import raresim
from raresim import marginals
from raresim.config import load
from raresim.models.ruin import Ruin
from raresim.run.experiment import Experiment
from raresim.run.rough_quantiles import MOST_TAILS, KnownQuantiles
from raresim.shell.checking import facts
from tests.statistical import assert_within_error

LOAD = 0.75
RUIN = Ruin(claims=marginals.Exponential(), arrival_rate=LOAD, premium_rate=1.0)


def reserve(tail):
    return math.log(LOAD / tail) / (1.0 - LOAD)


def known(model, *measures):
    return KnownQuantiles.of(model, measures)


def test_known_quantiles_have_the_shape_of_the_law():
    found = known(RUIN, raresim.ExpectedShortfall(tail=1e-4))
    assert found.quantile(1e-4) == pytest.approx(reserve(1e-4), rel=1e-14)
    assert found.excess(1e-4) == pytest.approx(1.0 / (1.0 - LOAD), rel=1e-12)  # exponential beyond the quantile
    assert found.steepness(1e-4) == pytest.approx((1.0 - LOAD) * reserve(1e-4), rel=1e-12)
    assert found.floor([1e-4, 1e-6]) == pytest.approx(reserve(4e-4), rel=1e-14)
    assert found.floor([0.3]) == -math.inf


@pytest.mark.parametrize(
    ("model", "measures"),
    [
        (None, [raresim.ValueAtRisk(tail=1e-3)]),
        (RUIN, [raresim.Probability(above=20.0)]),
        (RUIN, [raresim.ValueAtRisk(tail=1e-3), raresim.Contributions(tail=1e-3)]),
        (RUIN, [raresim.ValueAtRisk(tail=t) for t in np.geomspace(1e-6, 1e-2, MOST_TAILS + 1).tolist()]),
        (Ruin(claims=marginals.Gamma(a=2.0), arrival_rate=0.1, premium_rate=1.0), [raresim.ValueAtRisk(tail=1e-3)]),
        (
            Ruin(claims=marginals.Exponential(), arrival_rate=1.0, premium_rate=1.0, horizon=9.0),
            [raresim.ValueAtRisk(tail=0.1)],
        ),
    ],
    ids=["no model", "no quantile", "draws of climbs", "a curve", "no closed form", "a horizon"],
)
def test_what_is_not_known_is_climbed_for(model, measures):
    assert known(model, *measures) is None


@pytest.mark.statistical(effect=0.5, false_fail=1e-6, false_pass=1e-3)
def test_no_evaluation_is_spent_on_a_quantile_that_the_model_knows(seed):
    result = raresim.estimate(RUIN, measures=raresim.ValueAtRisk(tail=1e-5), seed=seed(1), relative_error=0.02)
    (e,) = result.estimates
    assert result.evaluations["explore"] == 0
    assert KnownQuantiles.sentence in result.search["decisions"]
    assert_within_error(e.value, reserve(1e-5), e.std_error)


@pytest.mark.statistical(effect=0.5, false_fail=1e-6, false_pass=1e-3)
def test_the_estimate_does_not_rest_on_known_quantiles(seed, monkeypatch):
    """A law that is wrong by a factor four of the tail leaves the estimate right."""
    monkeypatch.setattr(Ruin, "quantile", lambda self, tail: reserve(4.0 * tail))
    result = raresim.estimate(RUIN, measures=raresim.ValueAtRisk(tail=1e-5), seed=seed(2), relative_error=0.02)
    (e,) = result.estimates
    assert_within_error(e.value, reserve(1e-5), e.std_error)


def test_check_knows_that_no_climbs_are_made(tmp_path):
    file = tmp_path / "ruin.yaml"
    text = """
    seed: 1
    model: {kind: ruin, claims: {kind: exponential}, arrival_rate: 0.75, premium_rate: 1.0}
    measures: [{kind: value_at_risk, tail: 1e-6}]
    stop: {relative_error: 0.1, max_evaluations: 4000}
    """
    file.write_text(text, encoding="utf-8")
    assert facts(file, seconds=False)["quantile_evaluations"] == 0
    experiment = load.load(file).experiment()
    assert isinstance(experiment, Experiment)
    assert experiment.run().evaluations["explore"] == 0
    file.write_text(text.replace("claims: {kind: exponential}", "claims: {kind: gamma, a: 0.5}"), encoding="utf-8")
    with pytest.raises(raresim.ConfigError, match="to find a quantile with tail probability 1e-06"):
        facts(file, seconds=False)
