"""Value at risk and expected shortfall from a surrogate: thresholds that follow the quantile, and corrected means."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from raresim import ExpectedShortfall, FieldError, PythonLoss, Surrogate, ValueAtRisk, estimate
from raresim.distributions.standard_normal import StandardNormal
from raresim.methods.surrogate_pool import Pool, defended
from raresim.methods.surrogate_quantiles import Aim, Believed
from raresim.run.corrected import Corrected
from raresim.surrogate.components import first_system
from tests.statistical import assert_within_error

TAIL = 1e-3
VAR = stats.norm.isf(TAIL)
ES = stats.norm.pdf(VAR) / TAIL


def plane(u):
    return u @ np.full(u.shape[1], 1.0 / math.sqrt(u.shape[1]))


@pytest.mark.slow
@pytest.mark.statistical(effect=0.02, false_fail=1e-6, false_pass=1e-3)
def test_quantile_and_shortfall_come_from_the_same_hundred_evaluations():
    """The loss is the exponential of a plane, so that its quantiles are those of a lognormal law."""
    spread = 0.4
    result = estimate(
        3,
        PythonLoss(function=lambda x: 10.0 * np.exp(spread * plane(x)), smooth=True),
        [ValueAtRisk(tail=TAIL), ExpectedShortfall(tail=TAIL)],
        Surrogate(),
        seed=3,
        max_evaluations=100,
        relative_error=None,
    )
    exact = 10.0 * math.exp(spread * VAR)
    shortfall = 10.0 * math.exp(0.5 * spread**2) * stats.norm.sf(VAR - spread) / TAIL
    for number, answer in zip(result.estimates, (exact, shortfall), strict=True):
        assert_within_error(number.value, answer, number.std_error)
        assert number.relative_error < 0.01
        assert number.verdict.status == "trusted"
        assert number.interval[0] < number.value < number.interval[1]
    assert result.evaluations["total"] <= 100
    assert len(result.exhibit("evaluations").rows) == result.evaluations["total"]
    assert any("locate the quantile" in decision for decision in result.search["decisions"])
    assert {point.estimate for point in result.convergence} == {0, 1}


def test_thresholds_move_to_the_quantiles_whatever_the_first_design_shows():
    aim = Aim(lambda u: plane(u)[:, np.newaxis], 3, np.random.default_rng(1), 1, (TAIL, None), [math.nan, 2.0])
    aim.find(None)
    assert aim.thresholds[0] == pytest.approx(VAR, abs=0.05)
    assert aim.thresholds[1] == 2.0


def test_what_is_believed_of_a_known_plane_is_the_normal_law():
    rng = np.random.default_rng(2)
    x = rng.standard_normal((40, 2))
    system = first_system(x, (plane(x) - 3.0)[:, np.newaxis], 1, (0.0,), None)
    law = defended(StandardNormal(dim=2), 2, 2.0)
    points = np.empty((40_000, 2), order="F")
    law.sample(rng, points)
    log_q, log_p = np.empty(len(points)), np.empty(len(points))
    law.logpdf(points, log_q)
    StandardNormal(dim=2).logpdf(points, log_p)
    believed = Believed.of(system, Pool(points, np.exp(log_p - log_q), law))
    assert 3.0 + believed.goal(0.01) == pytest.approx(stats.norm.isf(0.01), abs=0.03)
    assert believed.rate(0.01) == pytest.approx(stats.norm.pdf(stats.norm.isf(0.01)) / 0.01, rel=0.1)
    mean = believed.mean.copy()
    mean[0] = 1e15
    astronomic = replace(believed, mean=mean)
    assert 3.0 + astronomic.goal(0.01) == pytest.approx(stats.norm.isf(0.01), abs=0.03)
    over, spread = believed.excess(-1.0)
    np.testing.assert_allclose(over, np.maximum(plane(points) - 2.0, 0.0), atol=0.02)
    assert spread.max() < 0.02


@pytest.mark.parametrize("measure", [ValueAtRisk(tail=TAIL), ExpectedShortfall(tail=TAIL)], ids=["var", "es"])
def test_a_threshold_that_is_no_quantile_gives_no_trusted_number(measure, monkeypatch):
    """Both numbers are of first order around the quantile; far from it they mean nothing."""
    monkeypatch.setattr(Believed, "goal", lambda self, tail: -2.0)
    loss = PythonLoss(function=plane, smooth=True)
    result = estimate(2, loss, measure, Surrogate(), seed=1, max_evaluations=100, relative_error=None)
    (number,) = result.estimates
    assert number.verdict.status == "untrusted"
    assert "surrogate_agreement" in {c.name for c in number.verdict.checks if c.status == "untrusted"}


def test_thresholds_are_found_where_two_warps_disagree_far_out():
    """A loss with few large values: one warp expects far too much beyond the first design, another far too little."""
    loss = lambda u: (np.exp(2.0 * np.abs(u[:, 0])) + np.exp(1.5 * u[:, 1]))[:, np.newaxis]  # noqa: E731
    aim = Aim(loss, 2, np.random.default_rng(4), 1, (TAIL,), [math.nan])
    aim.find(None)
    draws = np.random.default_rng(5).standard_normal((400_000, 2))
    beyond = float(np.mean(loss(draws) > aim.thresholds[0]))
    assert TAIL / 2.5 < beyond < 2.5 * TAIL


def test_corrections_move_a_quantile_by_the_rate_and_a_shortfall_by_its_excess():
    quantile = Corrected(threshold=3.0, rate=2.0, unit=0.0, tail=TAIL)
    assert quantile.value(TAIL) == 3.0
    assert quantile.value(TAIL * math.e) == pytest.approx(3.5)
    assert quantile.error(TAIL, 0.1) == pytest.approx(0.05)
    shortfall = Corrected(threshold=3.0, rate=2.0, unit=0.4, tail=TAIL)
    assert shortfall.value(1.1 * TAIL) == pytest.approx(3.44)
    assert shortfall.error(TAIL, 0.1) == pytest.approx(0.04)


def test_quantiles_of_a_system_are_refused():
    loss = PythonLoss(function=lambda x: x[:, :2], limit_states=["a", "b"], smooth=True)
    with pytest.raises(FieldError, match="value_at_risk of one number only, got limit states"):
        estimate(2, loss, ValueAtRisk(level=0.99), Surrogate(), seed=1, max_evaluations=100)
