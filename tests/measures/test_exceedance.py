"""The exceedance curve: sums by enumeration, closed forms, intervals one by one and a band for all of them at once."""

import math
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import integrate, stats

from raresim import Exceedance, ValueAtRisk, estimate
from raresim.config import load as configs
from raresim.config import schema
from raresim.errors import FieldError
from raresim.measures import bands
from raresim.measures.bands import (
    band,
    critical_value,
    exceedances_of,
    excesses_of,
    intervals,
    pointwise_confidence,
    quantiles_of,
)
from raresim.measures.base import Answered
from raresim.measures.intervals import HEAVY_DOF, log_scale
from raresim.measures.tail_sample import TailSample
from raresim.record.verdict import Status
from raresim.report import curve as drawing
from raresim.report import grid, style
from raresim.report.run import read as read_run
from tests.statistical import assert_count_at_least, assert_within_error

STUDENT = stats.t(4)


def kept(loss, log_weight, floor=-math.inf):
    """The sample of rows with a loss of at least the floor."""
    loss, log_weight = np.asarray(loss, dtype=float), np.asarray(log_weight, dtype=float)
    row = np.flatnonzero(loss >= floor)
    none = np.empty((row.size, 0))
    return TailSample(loss.size, floor, loss[row], log_weight[row], row, none, none, none)


def crude_normal(rng, n, floor=-math.inf):
    return kept(rng.standard_normal(n), np.zeros(n), floor)


def crude_student(rng, n, floor=-math.inf):
    return kept(STUDENT.rvs(n, random_state=rng), np.zeros(n), floor)


def shifted_normal(rng, n, floor=-math.inf):
    x = 2.5 + rng.standard_normal(n)
    return kept(x, stats.norm.logpdf(x) - stats.norm.logpdf(x, 2.5), floor)


def shifted_student(rng, n, floor=-math.inf):
    proposal = stats.t(3, loc=3, scale=3)
    x = proposal.rvs(n, random_state=rng)
    return kept(x, STUDENT.logpdf(x) - proposal.logpdf(x), floor)


SAMPLERS = {
    "crude normal": (crude_normal, stats.norm),
    "crude t": (crude_student, STUDENT),
    "shifted normal": (shifted_normal, stats.norm),
    "shifted t": (shifted_student, STUDENT),
}


@pytest.fixture
def tied(seed):
    """Weighted rows with many ties, as of a loss on a lattice."""
    rng = np.random.default_rng(seed(1901))
    return kept(rng.integers(0, 12, 400), rng.normal(0, 1, 400), 2.0)


@pytest.fixture
def normal(seed):
    return shifted_normal(np.random.default_rng(seed(1902)), 4_000, 1.0)


# --- sums --------------------------------------------------------------------------------------------


def test_probabilities_are_weighted_shares_of_the_rows_strictly_beyond(tied):
    x = np.array([2.0, 3.0, 3.5, 7.0, 11.0, 12.0])
    curve = exceedances_of(tied, x)
    for j, threshold in enumerate(x):
        beyond = (tied.loss > threshold).astype(float)
        assert curve.hits[j] == beyond.sum()
        assert curve.probability[j] == pytest.approx(min(tied.mean(beyond), 1.0), rel=1e-12)
        assert curve.std_error[j] == pytest.approx(tied.error_of_mean(beyond), rel=1e-12)


def test_partial_moments_are_weighted_means_of_the_excesses(tied):
    x = np.array([2.0, 3.0, 3.5, 7.0, 10.9])
    found = excesses_of(tied, x)
    for j, threshold in enumerate(x):
        excess, beyond = np.maximum(tied.loss - threshold, 0.0), (tied.loss > threshold).astype(float)
        mean = tied.mean(excess) / tied.mean(beyond)
        influence = tied.weight * (excess - mean * beyond) / tied.mean(beyond)
        assert found.first[j] == pytest.approx(tied.mean(excess), rel=1e-12)
        assert found.first_error[j] == pytest.approx(tied.error_of_mean(excess), rel=1e-12)
        assert found.second[j] == pytest.approx(tied.mean(excess**2), rel=1e-12)
        assert found.second_error[j] == pytest.approx(tied.error_of_mean(excess**2), rel=1e-12)
        assert found.beyond[j] == pytest.approx(threshold + mean, rel=1e-12)
        assert found.beyond_error[j] == pytest.approx(tied.error_of_sum(influence), rel=1e-9, abs=1e-9)


def test_law_of_atoms_is_that_of_its_enumeration():
    """Five loans: each outcome is one row whose weight is its probability, so nothing is left to chance."""
    exposure, default = np.array([1.0, 1.0, 2.0, 3.0, 5.0]), np.array([0.1, 0.02, 0.05, 0.01, 0.003])
    outcomes = np.array(list(product([0.0, 1.0], repeat=5)))
    chance = np.prod(np.where(outcomes > 0, default, 1 - default), axis=1)
    loss = outcomes @ exposure
    sample = kept(loss, np.log(32 * chance))
    x = np.unique(loss)
    curve, excesses = exceedances_of(sample, x), excesses_of(sample, x)
    for j, threshold in enumerate(x):
        assert curve.probability[j] == pytest.approx(chance[loss > threshold].sum(), rel=1e-12)
        assert excesses.first[j] == pytest.approx(chance @ np.maximum(loss - threshold, 0), rel=1e-12)
        assert excesses.second[j] == pytest.approx(chance @ np.maximum(loss - threshold, 0) ** 2, rel=1e-12)
    tails = np.array([0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 1e-3, 1e-5, 1e-12])
    smallest = [min(t for t in x if chance[loss > t].sum() <= tail) for tail in tails]
    assert quantiles_of(sample, tails).tolist() == smallest


def test_tail_that_is_exactly_reached_has_its_quantile_there():
    """Three of thirty rows beyond 27, whose weights do not add up to a tenth in binary."""
    sample = kept(np.arange(1.0, 31.0), np.zeros(30))
    assert quantiles_of(sample, np.array([0.1, 0.0999])).tolist() == [27.0, 28.0]


def test_quantile_below_the_floor_is_not_made_up():
    sample = kept(np.arange(100.0), np.zeros(100), floor=80.0)
    assert quantiles_of(sample, np.array([0.5, 0.1])) == pytest.approx([math.nan, 89.0], nan_ok=True)
    assert np.isnan(quantiles_of(kept([1.0], [0.0], floor=5.0), np.array([0.1]))).all()


def test_moment_beyond_all_doubles_is_infinite_without_a_warning():
    """As for a short position under log returns of Student t: a fourth power of 1e200 is no double."""
    found = excesses_of(kept([1.0, 2.0, 3.0, 1e200], np.zeros(4)), np.array([0.5, 2.5]))
    np.testing.assert_allclose(found.first, 1e200 / 4)
    assert np.isinf(found.second).all()
    assert not np.isfinite(found.second_error).any()


@pytest.mark.parametrize("read", [exceedances_of, excesses_of])
def test_threshold_below_the_floor_is_refused(read, normal):
    with pytest.raises(ValueError, match=r"begins at the floor of the sample, 1, got 0\.5"):
        read(normal, np.array([0.5, 2.0]))


# --- intervals ---------------------------------------------------------------------------------------


def test_interval_of_draws_of_the_target_is_exact(seed):
    sample = crude_normal(np.random.default_rng(seed(1903)), 3_000, 1.0)
    curve = exceedances_of(sample, np.array([1.0, 1.5, 2.0, 2.5, 3.0]))
    low, high = intervals(curve, 0.9)
    for j, hits in enumerate(curve.hits):
        expected = stats.binomtest(int(hits), 3_000).proportion_ci(0.9, method="exact")
        assert (low[j], high[j]) == pytest.approx((expected.low, expected.high), rel=1e-8)


def test_interval_of_weights_is_that_of_the_log_scale(normal):
    curve = exceedances_of(normal, np.array([1.5, 2.5, 3.5]))
    assert not curve.is_heavy.any()
    low, high = intervals(curve, 0.95, factor=1.05)
    for j, (p, error) in enumerate(zip(curve.probability, curve.std_error, strict=True)):
        assert (low[j], high[j]) == pytest.approx(log_scale(p, 1.05 * error / p, 0.95))


def test_heavy_weights_take_the_quantile_of_student_t(seed):
    rng = np.random.default_rng(seed(1904))
    weight = (1.0 - rng.random(4_000)) ** -0.45
    curve = exceedances_of(kept(1.0 + rng.random(4_000), np.log(0.1 * weight), 0.0), np.array([0.5]))
    assert curve.is_heavy.all()
    p, error = float(curve.probability[0]), float(curve.std_error[0])
    ends = tuple(float(end[0]) for end in intervals(curve, 0.95))
    assert ends == pytest.approx(log_scale(p, error / p, 0.95, HEAVY_DOF))


def test_lower_end_of_few_equal_weights_is_that_of_a_poisson_number():
    curve = exceedances_of(kept([2.0] * 4 + [0.0] * 99_996, np.full(100_000, -3.0)), np.array([1.0]))
    low, _ = intervals(curve, 0.95)
    assert low[0] / curve.probability[0] == pytest.approx(stats.chi2.ppf(0.025, 8) / 8, rel=1e-3)


def test_nothing_beyond_is_a_bound_and_no_number(seed):
    rng = np.random.default_rng(seed(1905))
    for sample in (crude_normal(rng, 1_000), shifted_normal(rng, 1_000)):
        curve = exceedances_of(sample, np.array([1.0, 2.0, 50.0, 60.0]))
        assert curve.probability[2:].tolist() == curve.std_error[2:].tolist() == [0.0, 0.0]
        low, high = band(curve, critical_value(curve, 0.95))
        assert low[2:].tolist() == [0.0, 0.0]
        assert (high[2:] > 0).all()
        assert (high[2:] <= high[1]).all()
    crude = exceedances_of(crude_normal(rng, 1_000), np.array([50.0]))
    assert intervals(crude, 0.95)[1][0] == pytest.approx(1 - 0.05**1e-3)
    assert critical_value(crude, 0.95) == pytest.approx(stats.norm.isf(0.025))
    assert band(crude, critical_value(crude, 0.95))[1][0] == pytest.approx(1 - 0.05**1e-3)


def test_sample_without_a_row_has_no_upper_end():
    curve = exceedances_of(kept([0.0], [0.0], floor=1.0), np.array([1.0, 2.0]))
    assert [ends.tolist() for ends in intervals(curve, 0.95)] == [[0.0, 0.0], [1.0, 1.0]]


def test_certain_probability_has_no_width():
    """Every draw is beyond and has the same weight: nothing is uncertain, and nothing is divided by zero."""
    curve = exceedances_of(kept([2.0, 3.0, 4.0], np.full(3, math.log(1e-5))), np.array([1.0]))
    for ends in (*intervals(curve, 0.95), *band(curve, critical_value(curve, 0.95))):
        assert ends == pytest.approx([1e-5])


# --- the band ----------------------------------------------------------------------------------------


def test_critical_value_of_one_threshold_is_the_quantile_of_the_normal_law(normal):
    """To five of its errors: 20,000 maxima, the density of the modulus at 1.96 is 0.117."""
    critical = critical_value(exceedances_of(normal, np.array([2.0])), 0.95)
    assert critical == pytest.approx(stats.norm.isf(0.025), abs=5 * math.sqrt(0.05 * 0.95 / 20_000) / 0.117)
    assert pointwise_confidence(critical) == pytest.approx(0.95, abs=0.01)


@pytest.mark.parametrize("sampler", [crude_normal, shifted_normal])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_critical_value_of_three_thresholds_is_that_of_their_correlation(sampler, confidence, seed):
    """Against SciPy's integral of the trivariate normal law with the sample covariance, row by row."""
    sample = sampler(np.random.default_rng(seed(1906)), 4_000, 0.5)
    x = np.array([0.5, 1.2, 2.0])
    critical = critical_value(exceedances_of(sample, x), confidence)
    terms = np.zeros((4_000, 3))
    terms[sample.row] = sample.weight[:, None] * (sample.loss[:, None] > x)
    law = stats.multivariate_normal(np.zeros(3), np.corrcoef(terms, rowvar=False))
    held = law.cdf(np.full(3, critical), lower_limit=np.full(3, -critical))
    assert held == pytest.approx(confidence, abs=5.5 * math.sqrt(confidence * (1 - confidence) / 20_000))


def test_critical_value_lies_between_that_of_one_threshold_and_of_independent_ones(normal):
    few, many = np.linspace(1.2, 3.5, 5), np.linspace(1.2, 3.5, 80)
    one, five, eighty = (critical_value(exceedances_of(normal, x), 0.95) for x in (few[:1], few, many))
    assert one < five < eighty < stats.norm.isf((1 - 0.95 ** (1 / 80)) / 2)


def test_confidence_beyond_the_simulated_maxima_takes_a_bound(normal):
    curve = exceedances_of(normal, np.linspace(1.2, 3.5, 80))
    assert critical_value(curve, 0.9999) == pytest.approx(stats.norm.isf(0.00005 / 80))
    assert critical_value(curve, 0.9951) < critical_value(curve, 0.9999)
    ends = band(curve, critical_value(curve, 1 - 1e-16))
    assert np.isfinite(ends).all()


def test_thresholds_between_the_same_rows_cost_nothing():
    """Between losses on a lattice the curve is flat: its errors there are the same."""
    rng = np.random.default_rng(7)
    sample = kept(rng.integers(0, 3, 2_000), rng.normal(0, 0.5, 2_000))
    repeated = exceedances_of(sample, np.linspace(1.1, 1.9, 50))
    alone = exceedances_of(sample, np.array([1.5]))
    assert critical_value(repeated, 0.95) == pytest.approx(critical_value(alone, 0.95), abs=0.08)


def test_band_falls_and_holds_the_single_intervals(normal):
    curve = exceedances_of(normal, np.linspace(1.0, 6.0, 60))
    low, high = band(curve, critical_value(curve, 0.95))
    alone_low, alone_high = intervals(curve, 0.95)
    assert (np.diff(low) <= 0).all()
    assert (np.diff(high) <= 0).all()
    hit = curve.hits > 20
    assert (low[hit] < alone_low[hit]).all()
    assert (alone_high[hit] < high[hit]).all()
    assert np.isfinite([low, high]).all()


def test_factor_widens_the_band(normal):
    curve = exceedances_of(normal, np.array([1.5, 2.5]))
    (low, high), (lower, higher) = band(curve, 2.5), band(curve, 2.5, factor=1.05)
    p = curve.probability
    np.testing.assert_allclose(np.log(p / lower), 1.05 * np.log(p / low))
    np.testing.assert_allclose(np.log(higher / p), 1.05 * np.log(high / p))


def test_band_is_the_same_at_every_reading(normal):
    first, second = (exceedances_of(normal, np.linspace(1.0, 4.0, 30)) for _ in range(2))
    assert critical_value(first, 0.95) == critical_value(second, 0.95)


# --- against closed forms ----------------------------------------------------------------------------


@pytest.mark.statistical(effect=0.2, false_fail=4e-7, false_pass=0.1)
@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.slow_cases("shifted normal", "shifted t")
def test_curve_and_moments_are_those_of_the_law(name, seed):
    """At four thresholds; the second moment of Student's t with 4 degrees of freedom has no error: it is not asked."""
    sampler, law = SAMPLERS[name]
    sample = sampler(np.random.default_rng(seed(1907)), 1_000_000, 0.9)
    x = np.array([1.0, 1.5, 2.0, 2.5])
    curve, found = exceedances_of(sample, x), excesses_of(sample, x)
    stop_loss = np.array([integrate.quad(law.sf, t, math.inf)[0] for t in x])
    second = np.array([integrate.quad(lambda y, t=t: 2 * (y - t) * law.sf(y), t, math.inf)[0] for t in x])
    assert_within_error(curve.probability, law.sf(x), curve.std_error)
    assert_within_error(found.first, stop_loss, found.first_error)
    assert_within_error(found.beyond, x + stop_loss / law.sf(x), found.beyond_error)
    if law is stats.norm:
        assert_within_error(found.second, second, found.second_error)


@pytest.mark.slow
@pytest.mark.statistical(effect=0.25, false_fail=2e-7, false_pass=0.1)
@pytest.mark.parametrize("name", SAMPLERS)
def test_intervals_hold_one_by_one_and_the_band_holds_the_curve(name, seed, monkeypatch):
    """2,000 rows, 200 times: at quantiles of the sample, down to where draws of the target have one hit."""
    monkeypatch.setattr(bands, "MAXIMA", 4_000)
    sampler, law = SAMPLERS[name]
    tails = np.geomspace(0.1, 5e-4, 40)
    single, whole, naive = 0.0, 0, 0
    for run in range(200):
        sample = sampler(np.random.default_rng([seed(1908), run]), 2_000, law.isf(0.13))
        x = np.unique(quantiles_of(sample, tails))
        curve, exact = exceedances_of(sample, x), law.sf(x)
        low, high = intervals(curve, 0.95)
        held = (low <= exact) & (exact <= high)
        low, high = band(curve, critical_value(curve, 0.95))
        single, naive = single + held[x.size // 2], naive + held.all()
        whole += ((low <= exact) & (exact <= high)).all()
    assert_count_at_least(single, 200, 0.95)
    assert_count_at_least(whole, 200, 0.93)
    assert naive < 170, f"single intervals hold the whole curve in {naive} of 200 samples: the test sees no band"


# --- the measure -------------------------------------------------------------------------------------

REFUSED = [
    ({"thresholds": [3.0, 2.0]}, "thresholds: must rise without repeats, got 2 after 3"),
    ({"thresholds": [1.0, 2.0, 2.0]}, "thresholds: must rise without repeats, got 2 after 2"),
    ({"thresholds": []}, "thresholds: must not be empty"),
    ({"thresholds": [1.0, math.inf]}, "thresholds: must be finite"),
    ({"thresholds": list(range(1001))}, "thresholds: must be at most 1,000, got 1,001"),
    ({"thresholds": [1.0], "points": 10}, "points: goes with points chosen by the program"),
    ({"thresholds": [1.0], "to_tail": 0.01}, "to_tail: goes with points chosen by the program"),
    ({"points": 1}, "points: must be at least 2, got 1"),
    ({"points": 1001}, "points: must be at most 1,000, got 1,001"),
    ({"from_tail": 1.5}, "from_tail: must be above 0 and below 1, got 1.5"),
    ({"to_tail": 0.0}, "to_tail: must be above 0 and below 1, got 0"),
    ({"to_tail": 0.2}, "to_tail: the curve must go from a larger to a smaller probability, got 0.1 to 0.2"),
    ({"from_tail": 1e-5}, "from_tail: the curve must go from a larger to a smaller probability, got 1e-05 to 0.0001"),
    ({"return_periods": [10, 5]}, "return_periods: must rise without repeats, got 5 after 10"),
    ({"return_periods": [1, 5]}, "return_periods: must be above 1 years, the mean time between losses, got 1"),
    ({"return_periods": [-5, 5]}, "return_periods: must be above 1 years, the mean time between losses, got -5"),
    (
        {"return_periods": [5], "from_tail": 0.1},
        "return_periods: must lie on the curve: 5 years are a probability of 0.2",
    ),
    (
        {"return_periods": [500], "to_tail": 0.01},
        "return_periods: must lie on the curve: 500 years are a probability of",
    ),
    ({"events_per_year": 0.0}, "events_per_year: must be positive and finite, got 0"),
    (
        {"events_per_year": 12, "curve": "aep"},
        "events_per_year: goes with curve 'loss': a draw of 'aep' is a year, got 12",
    ),
    ({"curve": "ep"}, "curve: unknown value 'ep'"),
    ({"confidence": 1.0}, "confidence: must be above 0 and below 1, got 1"),
]


@pytest.mark.parametrize(("options", "message"), REFUSED)
def test_bad_option_is_refused(options, message):
    with pytest.raises(FieldError) as caught:
        Exceedance(**options)
    assert str(caught.value).startswith(message)


def test_tails_are_the_ends_with_powers_of_ten_or_return_periods_between():
    assert Exceedance().tails == (0.1, 0.01, 1e-3, 1e-4)
    assert Exceedance(from_tail=0.05, to_tail=2e-6).tails == (0.05, 0.01, 1e-3, 1e-4, 1e-5, 2e-6)
    assert Exceedance(to_tail=1e-5).tails == (0.1, 0.01, 1e-3, 1e-4, 1e-5)
    assert Exceedance(return_periods=[2, 200, 20_000]).tails == (0.5, 1 / 200, 1 / 20_000)
    assert Exceedance(return_periods=[50]).tails == (0.1, 0.02, 1e-4)
    assert Exceedance(return_periods=[1], events_per_year=250).tails == (0.1, 0.004, 1e-4)
    assert Exceedance(thresholds=[1.0, 2.0]).tails == ()


def test_questions_are_some_thresholds_and_the_quantiles_at_the_tails():
    measure = Exceedance(thresholds=[float(x) for x in range(21)], return_periods=[100], confidence=0.9)
    asked = measure.questions(None, lambda tail: -math.log(tail))
    assert [q.event.threshold for q in asked] == [0.0, 5.0, 10.0, 15.0, 20.0, -math.log(0.01)]
    assert [(q.quantity, q.tail) for q in asked] == [("probability", None)] * 5 + [("value_at_risk", 0.01)]
    assert {q.confidence for q in asked} == {0.9}


def answered(measure, sample, statuses=(Status.TRUSTED,)):
    """As a run answers: the measure's own probabilities and quantiles, here read from the sample."""
    values = [*measure._asked, *quantiles_of(sample, np.array(measure.tails))]
    status = dict(enumerate(statuses))
    own = tuple(
        SimpleNamespace(value=float(v), asked=True, verdict=SimpleNamespace(status=status.get(k, Status.TRUSTED)))
        for k, v in enumerate(values)
    )
    return Answered(sample=sample, own=own, estimates=own, session=None, factor=1.05)


def columns(exhibit):
    return {name: [row[k] for row in exhibit.rows] for k, name in enumerate(exhibit.columns)}


def test_exhibits_are_the_curve_and_its_partial_moments(normal):
    measure = Exceedance(return_periods=[50, 100, 200, 1000], from_tail=0.1, points=24)
    curve, moments = measure.exhibits(answered(measure, normal, [Status.TRUSTED, Status.CAUTION]))
    assert (curve.name, moments.name) == ("exceedance", "partial_moments")
    assert curve.status == moments.status == "caution"
    table = columns(curve)
    assert len(curve.rows) == 24 + 4
    np.testing.assert_allclose(np.array(table["return_period"]), 1 / np.array(table["probability"]))
    marks = {mark: p for mark, p in zip(table["mark"], table["probability"], strict=True) if mark}
    assert list(marks) == ["tail 0.1", "50 years", "100 years", "200 years", "1000 years", "tail 0.0001"]
    for tail, p in zip(measure.tails, marks.values(), strict=True):
        assert p <= tail * (1 + 1e-9)
        assert p == pytest.approx(tail, rel=0.02)
    for low, p, high, low_all, high_all in zip(
        *(table[key] for key in ("lower", "probability", "upper", "band_lower", "band_upper")), strict=True
    ):
        assert low_all < low < p < high < high_all
    assert columns(moments)["threshold"] == table["threshold"]
    assert any("The band is" in note for note in curve.notes)


def test_return_period_counts_draws_of_a_year(normal):
    measure = Exceedance(return_periods=[1], events_per_year=250)
    (curve, _) = measure.exhibits(answered(measure, normal))
    table = columns(curve)
    at = table["mark"].index("1 years")
    assert table["return_period"][at] == pytest.approx(1.0, rel=0.02)
    np.testing.assert_allclose(np.array(table["return_period"]), 1 / (250 * np.array(table["probability"])))


def test_label_of_the_axis_says_what_a_draw_is(normal):
    for kind, label in {
        "loss": "P(loss > x)",
        "aep": "P(sum of a year > x)",
        "oep": "P(largest of a year > x)",
    }.items():
        measure = Exceedance(curve=kind)
        assert {plot.y_label for plot in measure.exhibits(answered(measure, normal))[0].plots} == {label}


def test_table_has_no_number_where_there_is_none(normal):
    measure = Exceedance(thresholds=[0.5, 2.0, 80.0, 90.0])
    curve, moments = measure.exhibits(answered(measure, normal))
    table = columns(curve)
    assert table["threshold"] == [2.0, 80.0, 90.0]
    assert "1 of 4 thresholds are left out: losses below 1 were not kept." in curve.notes
    assert table["probability"][1:] == table["lower"][1:] == table["band_lower"][1:] == [0.0, 0.0]
    assert table["return_period"][1:] == columns(moments)["mean_beyond"][1:] == [None, None]
    assert table["upper"][1] == table["band_upper"][1] == table["band_upper"][0]
    assert not any(isinstance(cell, float) and math.isnan(cell) for row in curve.rows + moments.rows for cell in row)


def test_curve_that_begins_below_the_floor_begins_late(normal):
    measure = Exceedance(from_tail=0.5, points=10)
    curve, _ = measure.exhibits(answered(measure, normal))
    assert columns(curve)["threshold"][0] >= 1.0
    assert "Not in the table, because the sample does not reach them: tail 0.5." in curve.notes
    assert "The curve begins at 1: smaller losses were not kept." in curve.notes


def test_nothing_to_show_shows_nothing():
    measure = Exceedance()
    assert measure.exhibits(answered(measure, kept([0.0], [0.0], floor=1.0))) == []


def test_losses_that_equal_a_threshold_are_pointed_at(tied):
    note = (
        "Some losses equal a threshold. They do not count as beyond it here, but they count in a probability of losses"
    )
    for thresholds, is_pointed_at in (([3.0, 4.0], True), ([3.5, 4.5], False)):
        measure = Exceedance(thresholds=thresholds)
        notes = measure.exhibits(answered(measure, tied))[0].notes
        assert any(text.startswith(note) for text in notes) == is_pointed_at


def test_steps_of_a_lattice_are_one_row_each(tied):
    measure = Exceedance(from_tail=0.4, to_tail=1e-3)
    table = columns(measure.exhibits(answered(measure, tied))[0])
    assert table["threshold"] == sorted(set(table["threshold"]))
    assert set(table["threshold"]) <= set(range(12))


def test_yaml_knows_the_measure(tmp_path):
    path = tmp_path / "case.yaml"
    path.write_text(
        "seed: 1\ninputs: {kind: standard_normal, dim: 2}\nloss: {kind: linear, weights: equal}\nmeasures:\n"
        "  - {kind: exceedance, return_periods: [10, 100], points: 50, from_tail: 0.2, curve: oep}\n"
        "  - {kind: exceedance, thresholds: [1, 2.5]}\n"
    )
    given, fixed = configs.load(path).experiment().measures
    assert given == Exceedance(return_periods=[10, 100], points=50, from_tail=0.2, curve="oep")
    assert fixed == Exceedance(thresholds=[1, 2.5])
    assert schema.experiment_model()


# --- the plot ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("sampler", [crude_student, shifted_normal])
def test_curve_is_drawn_in_one_panel_on_a_log_axis(sampler, seed):
    measure = Exceedance(return_periods=[20, 100])
    curve, _ = measure.exhibits(answered(measure, sampler(np.random.default_rng(seed(1909)), 3_000, 1.0)))
    assert [plot.form for plot in curve.plots] == list(drawing.FORMS)
    (panel,) = drawing.panels(curve.plots)
    assert panel.is_log
    positive = [p for p in columns(curve)["probability"] if p > 0]
    drawn = [y for y in panel.plot.y if not math.isnan(y)]
    np.testing.assert_allclose(drawn, np.log10(positive))
    assert panel.limits[0] < min(drawn) < max(drawn) < panel.limits[1]
    assert panel.limits[0] > min(drawn) - 1.5
    with style.applied():
        picture = grid.draw("curve", [panel], "A finding", drawing.CAPTION, "Plots", "file")
    assert picture.png.startswith(b"\x89PNG")


def test_curve_of_zeros_is_drawn_as_nothing(normal):
    measure = Exceedance(thresholds=[90.0])
    curve, _ = measure.exhibits(answered(measure, normal))
    with style.applied():
        assert grid.draw("curve", drawing.panels(curve.plots), "A finding", "", "Plots", "file").png


# --- the verdict of the run --------------------------------------------------------------------------


@pytest.mark.slow
def test_18_8_points_that_a_curve_adds_do_not_set_the_verdict_of_the_run(tmp_path):
    """Ten draws beyond the last point leave it untrusted; the value at risk that was asked for is well known."""
    options = {"seed": 3, "relative_error": None, "max_evaluations": 100_000, "method": "crude"}
    asked = estimate(1, lambda x: x[:, 0], [ValueAtRisk(tail=0.01), Exceedance()], **options)
    own = {e.level: e for e in asked.estimates}
    assert [level for level, e in own.items() if e.asked] == [0.99]
    assert own[0.9999].verdict.status == Status.UNTRUSTED
    assert asked.verdict == own[0.99].verdict
    assert asked.verdict.status == Status.TRUSTED
    asked.save(tmp_path / "run")
    shown = read_run(tmp_path / "run")
    assert shown.verdict.status == "trusted"
    assert shown.primary.level == 0.99
    (curve,) = (exhibit for exhibit in asked.exhibits if exhibit.name == "exceedance")
    assert any("outside the verdict of the run" in note and "tail 0.0001" in note for note in curve.notes)

    named = estimate(1, lambda x: x[:, 0], [ValueAtRisk(tail=0.01), Exceedance(to_tail=1e-4)], **options)
    assert named.verdict.status == Status.UNTRUSTED
    alone = estimate(1, lambda x: x[:, 0], Exceedance(), **options)
    assert alone.verdict.status == Status.UNTRUSTED
