"""Fitted tails of a sample, and the law that joins them to its body."""

import math

import numpy as np
import pytest
from scipy import integrate, optimize, special, stats

from raresim.errors import DataError, FieldError
from raresim.marginals.pareto_tail import fit_generalised_pareto, fit_tail, threshold_stability
from raresim.marginals.semi_parametric import SemiParametric, invert
from raresim.numerics.streams import stream
from tests.helpers import ROOT
from tests.statistical import assert_count, assert_within_error

DANISH = ROOT.parent / "shared" / "data" / "danish_fire_losses.csv"

HEAVY = stats.t.rvs(3.0, size=1500, random_state=12)
ROUNDED = np.round(stats.gamma.rvs(2.0, scale=1.5, size=600, random_state=13), 1)
LAWS = {
    "both tails": SemiParametric(values=HEAVY),
    "thresholds": SemiParametric(values=HEAVY, lower_threshold=-2.0, upper_threshold=2.5),
    "upper only, ties": SemiParametric(values=ROUNDED, lower=None, upper=0.15),
    "lower only": SemiParametric(values=-ROUNDED, lower=0.05, upper=None),
    "no tails": SemiParametric(values=HEAVY[:50], lower=None, upper=None),
    "upper end": SemiParametric(values=stats.beta.rvs(2.0, 3.0, size=800, random_state=14), upper=0.3),
    "most of it a tail": SemiParametric(values=HEAVY**2, lower=None, upper=0.8),
}
every_law = pytest.mark.parametrize("law", LAWS.values(), ids=LAWS.keys())


def log_likelihood(y, shape, scale, w=1.0):
    return float(np.sum(w * stats.genpareto.logpdf(y, shape, scale=scale)))


# The fit of a tail.


@pytest.mark.skipif(not DANISH.exists(), reason="the shared data folder is not there")
@pytest.mark.parametrize(("threshold", "k", "shape", "scale"), [(10, 109, 0.4970, 6.9755), (20, 36, 0.6842, 9.6351)])
def test_danish_fire_losses(threshold, k, shape, scale):
    """McNeil, *Estimating the tails of loss severity distributions using extreme value theory*, ASTIN Bull. 27."""
    x = np.sort(np.genfromtxt(DANISH, delimiter=",", skip_header=1)[:, 1])
    tail = fit_tail(x, "upper", None, threshold)
    assert (tail.exceedances, tail.threshold) == (k, threshold)
    assert (round(tail.shape, 4), round(tail.scale, 4)) == (shape, scale)
    assert tail.log_likelihood == pytest.approx(log_likelihood(x[x > threshold] - threshold, tail.shape, tail.scale))
    mirrored = fit_tail(np.sort(-x), "lower", None, -threshold)
    assert (mirrored.shape, mirrored.scale) == pytest.approx((tail.shape, tail.scale), rel=1e-10)


@pytest.mark.parametrize("shape", [-0.4, -0.2, 0.0, 1e-4, 0.3, 1.0, 3.0])
@pytest.mark.statistical(effect=0.3, false_fail=2e-7, false_pass=1e-3)
def test_pareto_fit_recovers_its_parameters(shape, seed):
    y = stats.genpareto.rvs(shape, scale=3.0, size=20_000, random_state=seed(4101))
    fit = fit_generalised_pareto(y)
    assert_within_error(fit.shape, shape, math.sqrt(fit.covariance[0, 0]), scale=1.0)
    assert_within_error(fit.scale, 3.0, math.sqrt(fit.covariance[1, 1]))
    if shape > -0.25:  # below, the observed information has no variance
        expected = (1 + shape) / y.size * np.array([[1 + shape, -3.0], [-3.0, 18.0]])  # Smith 1985
        np.testing.assert_allclose(fit.covariance, expected, rtol=0.2)


@pytest.mark.parametrize("shape", [-0.45, -0.05, 0.0, 0.4, 2.0])
def test_pareto_fit_is_a_maximum_with_its_observed_information(shape):
    y = stats.genpareto.rvs(shape, scale=0.02, size=120, random_state=31)
    fit = fit_generalised_pareto(y)
    assert fit.log_likelihood == pytest.approx(log_likelihood(y, fit.shape, fit.scale), rel=1e-12)
    with np.errstate(all="ignore"):
        found = optimize.minimize(
            lambda p: -log_likelihood(y, p[0], math.exp(p[1])),
            [fit.shape + 0.05, math.log(fit.scale) + 0.05],
            method="Nelder-Mead",
            options={"xatol": 1e-10, "fatol": 1e-12, "maxiter": 2000},
        )
    assert fit.log_likelihood >= -found.fun - 1e-9
    assert fit.shape == pytest.approx(found.x[0], abs=1e-6)
    assert fit.scale == pytest.approx(math.exp(found.x[1]), rel=1e-6)
    if not np.isfinite(fit.covariance).all():
        assert fit.shape <= -0.5
        return
    steps = np.array([1e-4, 1e-4 * fit.scale])

    def at(i, j):
        return log_likelihood(y, fit.shape + i * steps[0], fit.scale + j * steps[1])

    cross = -(at(1, 1) - at(1, -1) - at(-1, 1) + at(-1, -1)) / 4
    numeric = [[2 * at(0, 0) - at(1, 0) - at(-1, 0), cross], [cross, 2 * at(0, 0) - at(0, 1) - at(0, -1)]]
    information = np.array(numeric) / np.outer(steps, steps)
    np.testing.assert_allclose(np.linalg.inv(fit.covariance), information, rtol=1e-4)


def test_standard_errors_are_the_spread_of_many_fits(seed):
    """The standard deviation of 200 has itself an error of 5 %."""
    rng = np.random.default_rng(seed(4102))
    fits = [fit_generalised_pareto(stats.genpareto.rvs(0.25, size=300, random_state=rng)) for _ in range(200)]
    points = np.array([(f.shape, f.scale) for f in fits])
    stated = np.sqrt(np.mean([np.diag(f.covariance) for f in fits], axis=0))
    np.testing.assert_allclose(stated, points.std(axis=0, ddof=1), rtol=0.25)


def test_weight_two_equals_a_repeated_excess():
    y = stats.genpareto.rvs(0.3, size=60, random_state=5)
    w = np.arange(60) % 3
    one, other = fit_generalised_pareto(y, w), fit_generalised_pareto(np.repeat(y, w))
    np.testing.assert_allclose(one[:2], other[:2], rtol=1e-9)
    np.testing.assert_allclose(one.covariance, other.covariance, rtol=1e-7)
    assert one.log_likelihood == pytest.approx(other.log_likelihood, rel=1e-12)


@pytest.mark.parametrize("factor", [1e-12, 1e9])
def test_pareto_fit_follows_the_unit(factor):
    y = stats.genpareto.rvs(0.3, size=60, random_state=5)
    one, other = fit_generalised_pareto(y), fit_generalised_pareto(factor * y)
    assert other.shape == pytest.approx(one.shape, rel=1e-9)
    assert other.scale == pytest.approx(factor * one.scale, rel=1e-9)


def test_excesses_of_a_law_with_mass_at_its_end_stop_at_shape_minus_one():
    y = stats.genpareto.rvs(-2.0, size=300, random_state=6)
    fit = fit_generalised_pareto(y)
    assert (fit.shape, fit.scale) == (-1.0, y.max())
    assert np.isnan(fit.covariance).all()
    assert fit.log_likelihood == pytest.approx(-300 * math.log(y.max()))


# The law.


@every_law
def test_tails_have_exactly_the_share_of_the_sample_beyond_the_threshold(law):
    x = np.asarray(law.values)
    for tail in law.tails:
        beyond = x > tail.threshold if tail.side == "upper" else x < tail.threshold
        assert tail.exceedances == beyond.sum()
        assert tail.share == beyond.sum() / x.size
        found = law.sf(tail.threshold) if tail.side == "upper" else law.cdf(tail.threshold)
        assert float(found) == pytest.approx(tail.share, rel=1e-14)
        excess = np.abs(x[beyond] - tail.threshold)
        fit = fit_generalised_pareto(excess)
        assert (tail.shape, tail.scale, tail.shape_se) == pytest.approx(
            (fit.shape, fit.scale, fit.covariance[0, 0] ** 0.5)
        )


def test_share_is_the_part_of_the_sample_that_is_fitted():
    law = SemiParametric(values=HEAVY, lower=0.05, upper=0.02)
    assert [t.exceedances for t in law.tails] == [75, 30]
    assert [t.side for t in law.tails] == ["lower", "upper"]
    x = np.sort(HEAVY)
    assert [t.threshold for t in law.tails] == [x[75], x[-31]]


@every_law
def test_tails_are_generalised_pareto(law):
    for tail in law.tails:
        pareto = stats.genpareto(tail.shape, scale=tail.scale)
        y = pareto.isf([0.9, 0.5, 0.1, 1e-3, 1e-8])
        x, log_tail = (tail.threshold + y, law.logsf) if tail.side == "upper" else (tail.threshold - y, law.logcdf)
        np.testing.assert_allclose(law.logpdf(x), math.log(tail.share) + pareto.logpdf(y), rtol=1e-7)
        np.testing.assert_allclose(log_tail(x), math.log(tail.share) + pareto.logsf(y), rtol=1e-7)


@every_law
def test_quantile_reaches_1e_300_in_closed_form(law):
    for tail in law.tails:
        upper = tail.side == "upper"
        log_q = np.array([-20.0, -200.0, -690.0])
        exact = stats.genpareto(tail.shape, scale=tail.scale)
        e = log_q - math.log(tail.share)
        z = np.expm1(-tail.shape * e) / tail.shape
        x = law.quantile(log_q, upper=upper)
        np.testing.assert_allclose(np.abs(x - tail.threshold), tail.scale * z, rtol=1e-12)
        np.testing.assert_allclose(np.abs(x[0] - tail.threshold), exact.isf(math.exp(e[0])), rtol=1e-9)
        if tail.shape > 0:
            np.testing.assert_allclose((law.logsf if upper else law.logcdf)(x), log_q, rtol=1e-13)


@every_law
def test_density_is_the_derivative_of_the_distribution_function(law):
    rng = np.random.default_rng(8)
    knots = law._body.knots
    x = np.sort(rng.uniform(*law.quantile(np.log([0.01, 0.99])), 400))
    h = 1e-7
    far = np.min(np.abs(x[:, None] - knots), axis=1) > 2 * h
    assert far.sum() > 200
    slope = (law.cdf(x + h) - law.cdf(x - h)) / (2 * h)
    np.testing.assert_allclose(slope[far], np.exp(law.logpdf(x[far])), rtol=1e-5)


@every_law
def test_law_is_continuous_and_increasing(law):
    x = np.unique(np.concatenate((law.quantile(np.linspace(-9, -0.001, 5000)), law._body.knots)))
    p = law.cdf(x)
    assert (np.diff(p[np.diff(x, prepend=-np.inf) > 1e-12]) > 0).all()
    knots = law._body.knots
    step = np.nextafter(knots, np.inf)
    np.testing.assert_allclose(law.cdf(step), law.cdf(knots), atol=1e-12)
    np.testing.assert_allclose(law.cdf(x) + law.sf(x), 1.0, atol=1e-14)


@pytest.mark.parametrize(
    ("values", "places", "cdf"),
    [
        ([0.0, 1.0, 2.0, 4.0], [0.0, 0.5, 1.0, 3.0, 4.0], [0, 1 / 6, 1 / 3, 5 / 6, 1]),
        ([0.0, 1.0, 1.0, 2.0], [0.5, 1.0, 1.5], [0.25, 0.5, 0.75]),
        ([0.0, 0.0, 1.0, 2.0], [0.5, 1.0], [0.3, 0.6]),
    ],
)
def test_body_joins_the_observations_and_spreads_ties(values, places, cdf):
    law = SemiParametric(values=values, lower=None, upper=None)
    np.testing.assert_allclose(law.cdf(places), cdf, atol=1e-15)
    assert law.support == (min(values), max(values))
    assert law.logsf(max(values)) == -np.inf


def test_body_follows_the_sample():
    """No further from the empirical distribution function than its steps, which ties make larger."""
    for law in LAWS.values():
        x = np.sort(np.asarray(law.values))
        body = (x >= law._body.knots[0]) & (x <= law._body.knots[-1])
        middle = (stats.rankdata(x) - 0.5) / x.size
        largest = np.unique(x, return_counts=True)[1].max()
        assert np.abs(law.cdf(x[body]) - middle[body]).max() <= (largest + 1.0) / x.size


@every_law
def test_map_from_a_normal_is_the_quantile_and_may_overwrite(law):
    rng = np.random.default_rng(9)
    u = np.concatenate((rng.standard_normal(2000), np.linspace(-37, 37, 501)))
    found, exact = np.empty(u.shape), np.empty(u.shape)
    law.from_normal(u, found)
    for upper in (False, True):
        rows = (u > 0) == upper
        exact[rows] = law.quantile(special.log_ndtr(-np.abs(u[rows])), upper=upper)
    scale = np.maximum(np.abs(exact), np.ptp(law._body.knots))
    assert (np.abs(found - exact) <= 1e-11 * scale).all()
    law.from_normal(u, u)
    np.testing.assert_array_equal(u, found)


@every_law
@pytest.mark.statistical(effect=4, false_fail=1e-7, false_pass=1e-3)
def test_draws_have_the_law(law, seed):
    n = 20_000
    x = np.empty(n)
    law.sample(stream(seed(4103), 0, 0), x)
    p = np.array([0.001, 0.05, 0.3, 0.5, 0.8, 0.95, 0.999])
    assert_count((x[:, None] <= law.ppf(p)).sum(axis=0), n, p)


@every_law
def test_moments_and_entropy_are_integrals_of_the_density(law):
    knots = law._body.knots
    node, weight = np.polynomial.legendre.leggauss(5)
    half = 0.5 * np.diff(knots)
    x = knots[:-1, None] + half[:, None] * (1 + node)

    def mean_of(function):
        total = float(half @ ((function(x) * np.exp(law.logpdf(x))) @ weight))
        for tail in law.tails:
            sign = 1.0 if tail.side == "upper" else -1.0

            def integrand(e, tail=tail, sign=sign):
                # In the exponential score of the tail, in which every moment that exists is a smooth integral.
                at = np.array([tail.threshold + sign * tail.scale * math.expm1(tail.shape * e) / tail.shape])
                return tail.share * math.exp(-e) * float(function(at)[0])

            end = 400 if tail.shape > 0 else 30  # further out, rounding reaches an upper end
            total += integrate.quad(integrand, 0, end, limit=400, epsabs=0, epsrel=1e-11)[0]
        return total

    m = law.moments()
    heaviest = max((t.shape for t in law.tails), default=-1.0)
    assert m.mean == pytest.approx(mean_of(lambda x: x), rel=1e-7, abs=1e-9)
    if heaviest < 0.45:
        assert m.variance == pytest.approx(mean_of(lambda x: (x - m.mean) ** 2), rel=1e-7)
    for k, stated in ((3, m.skewness), (4, m.excess_kurtosis + 3)):
        if k * heaviest < 0.9:
            assert stated == pytest.approx(mean_of(lambda x, k=k: (x - m.mean) ** k) / m.variance ** (k / 2), rel=1e-6)
    assert law.entropy() == pytest.approx(-mean_of(law.logpdf), rel=1e-8)


@pytest.mark.parametrize("alpha", [0.7, 1.4, 2.4, 3.4, 9.0])
def test_moments_are_infinite_where_a_tail_has_none(alpha):
    law = SemiParametric(values=stats.pareto.rvs(alpha, size=3000, random_state=3), lower=None)
    shape, m = law.tails[0].shape, law.moments()
    assert math.isinf(m.mean) == (shape >= 1)
    assert math.isinf(m.variance) == (shape >= 1 / 2)
    assert math.isnan(m.skewness) == (shape >= 1 / 2)
    assert math.isinf(m.skewness) == (1 / 3 <= shape < 1 / 2)
    assert math.isinf(m.excess_kurtosis) == (1 / 4 <= shape < 1 / 2)
    both = SemiParametric(values=np.concatenate((law.values, -np.asarray(law.values))))
    assert math.isnan(both.moments().mean) == (shape >= 1)


def test_kernel_equals_its_python():
    law = LAWS["upper only, ties"]
    p = np.random.default_rng(4).uniform(-0.1, 1.1, 500)
    compiled, plain = np.empty(500), np.empty(500)
    arguments = law._body.below, law._body.knots, law._guide
    invert(p, *arguments, compiled)
    invert.py_func(p, *arguments, plain)
    np.testing.assert_array_equal(compiled, plain)
    inside = np.clip(p, arguments[0][0], arguments[0][-1])
    np.testing.assert_allclose(compiled, np.interp(inside, *arguments[:2]), rtol=1e-13)


def test_fit_reports_the_tails():
    fit = SemiParametric.fit(HEAVY, upper=0.05)
    lower, upper = fit.law.tails
    assert dict(fit.parameters) == {
        "lower_shape": lower.shape,
        "lower_scale": lower.scale,
        "upper_shape": upper.shape,
        "upper_scale": upper.scale,
    }
    assert fit.std_errors["upper_shape"] == upper.shape_se
    assert upper.exceedances == 75
    assert fit.n == HEAVY.size
    assert "75 above" in fit.law.describe()


# Thresholds.


def test_stability_rows_are_the_fits_above_each_threshold():
    shares = [0.3, 0.1, 0.05, 0.001]
    for side in ("upper", "lower"):
        rows = threshold_stability(HEAVY, side, shares)
        assert [r.exceedances for r in rows] == [450, 150, 75]
        for row, share in zip(rows, shares, strict=False):
            tail = fit_tail(np.sort(HEAVY), side, share)
            t = tail.threshold if side == "upper" else -tail.threshold
            assert (row.threshold, row.shape, row.scale) == (tail.threshold, tail.shape, tail.scale)
            assert row.modified_scale == pytest.approx(tail.scale - tail.shape * t)
            (a, b), (_, c) = tail.covariance
            assert row.modified_scale_se == pytest.approx(math.sqrt(c - 2 * t * b + t * t * a))
    assert len(threshold_stability(HEAVY)) == 25


@pytest.mark.statistical(effect=1.5, false_fail=4e-7, false_pass=1e-3)
def test_modified_scale_of_a_pareto_law_does_not_depend_on_the_threshold(seed):
    """Of the whole law the scale is 2 and the shape 0.2 above 0."""
    rows = threshold_stability(
        stats.genpareto.rvs(0.2, scale=2.0, size=20_000, random_state=seed(4104)), "upper", [0.5, 0.1]
    )
    for row in rows:
        assert_within_error(row.shape, 0.2, row.shape_se)
        assert_within_error(row.modified_scale, 2.0, row.modified_scale_se)


# What is refused.


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"upper": 0.0}, "upper: must be above 0 and below 1, got 0"),
        ({"lower": 1.2}, "lower: must be above 0 and below 1, got 1.2"),
        ({"upper": math.nan}, "upper: must be above 0 and below 1, got nan"),
        ({"lower": 0.6, "upper": 0.5}, "upper: the tails overlap: lower 0.6 and upper 0.5"),
        ({"upper": 0.2, "upper_threshold": 2.0}, "upper: give either upper or upper_threshold, got 0.2 and 2"),
        ({"lower_threshold": math.inf}, "lower_threshold: must be finite, got inf"),
        ({"lower_threshold": 1.0, "upper_threshold": 1.0}, "lower_threshold: must be below upper_threshold 1, got 1"),
        ({"values": [1.0, math.nan]}, "values: must be finite"),
    ],
)
def test_bad_parameters_are_refused(given, message):
    with pytest.raises(FieldError) as caught:
        SemiParametric(**{"values": HEAVY, **given})
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SemiParametric(values=HEAVY[:100]), "too few exceedances: 10 of 100 values lie below the lower"),
        (lambda: SemiParametric(values=HEAVY, upper_threshold=1e3), "too few exceedances: 0 of 1500 values lie above"),
        (
            lambda: SemiParametric(values=HEAVY, lower=None, upper_threshold=-1e3),
            "no values lie between the thresholds",
        ),
        (lambda: SemiParametric(values=[2.0] * 50), "all 50 values are 2"),
        (lambda: SemiParametric.fit([*HEAVY, math.nan]), "the values must be finite"),
        (lambda: SemiParametric.fit(HEAVY[:3], [1.0, 2.0, 1.0]), "semi_parametric takes no weights"),
        (lambda: fit_generalised_pareto([1.0, 2.0, 0.0]), "excesses must be positive, got 0"),
        (lambda: fit_generalised_pareto([1.0, 1.0, 1.0]), "all 3 values are 1"),
        (lambda: fit_generalised_pareto([1.0, 2.0]), "at least 3 values are needed"),
        (lambda: threshold_stability(HEAVY, "upper", [0.001]), "no share of 1500 values leaves"),
    ],
)
def test_data_that_cannot_be_fitted_are_refused(make, message):
    with pytest.raises(DataError) as caught:
        make()
    assert str(caught.value).startswith(message)


def test_stability_refuses_wrong_shares_and_sides():
    with pytest.raises(FieldError, match="shares: must be above 0 and below 1, got 1"):
        threshold_stability(HEAVY, "upper", [1.0])
    with pytest.raises(FieldError, match="side: unknown value 'top'"):
        threshold_stability(HEAVY, "top", [0.1])
