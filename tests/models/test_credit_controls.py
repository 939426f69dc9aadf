"""Controls of a credit portfolio: published figures, closed forms, and the verdict that looks at them."""

import csv
import math

import numpy as np
import pytest
from scipy import integrate, special, stats

import raresim
from raresim.models import Credit
from raresim.models.controls import Control, gaps
from raresim.models.obligors.credit_risk_plus import CreditRiskPlus
from raresim.models.obligors.exact_law import ExactLaw
from raresim.models.obligors.irb import risk_weight
from raresim.models.obligors.large_pool import LargePool
from raresim.record.verdict import Status
from tests.models.test_credit import Table, exact_law

EXPOSURES = """358475 1089819 1799710 1933116 2317327 2410929 2652184 2957685 3137989 3204044 4727724 4830517 4912097
4928989 5042312 5320364 5435457 5517586 5764596 5847845 6466533 6480322 7727651 15410906 20238895"""
RATES = ".3 .3 .1 .15 .15 .15 .3 .15 .05 .05 .015 .05 .05 .3 .1 .075 .05 .03 .075 .03 .3 .3 .016 .1 .075"


def pool(m=50, pd=0.02, rho=0.2, **options):
    return Credit(tape=Table(id=range(m), ead=[1.0] * m, pd=[pd] * m), lgd=1.0, rho=rho, **options)


def test_credit_risk_plus_hits_the_published_example():
    """CSFB, CreditRisk+ (1997), appendix B: 25 obligors, one sector, exposures in bands."""
    exposure, rate = (np.array(text.split(), dtype=float) for text in (EXPOSURES, RATES))
    law = CreditRiskPlus.of(exposure, rate, 0.5, math.ceil(exposure.max() / 100), 2e8, banded=True)
    assert round(float(exposure @ rate)) == 14_221_863
    assert law.value_at_risk(0.01) == pytest.approx(55_311_503, abs=1)
    assert law.value_at_risk(0.005) == pytest.approx(62_033_181, abs=1)
    fine = CreditRiskPlus.of(exposure, rate, 0.5, 1000.0, 4e8)
    assert fine.beyond(1e8) == pytest.approx(7.6746e-5, rel=2e-4)
    assert fine.probability @ np.arange(fine.probability.size) * 1000.0 == pytest.approx(14_221_863, rel=1e-5)


def test_risk_weights_are_those_of_the_basel_framework():
    pd = np.array([0.0003, 0.001, 0.01, 0.05, 0.2])
    shown = np.round(100 * risk_weight(pd, np.full(5, 0.45)), 2)
    np.testing.assert_array_equal(shown, [14.44, 29.65, 92.32, 149.85, 238.23])


def test_large_pool_has_the_law_of_vasicek():
    """Quantile, mean beyond it and probability of a homogeneous pool, by its density and its closed forms."""
    pd, rho, tail = 0.01, 0.2, 1e-3
    large = LargePool(np.ones(1), np.zeros(1), np.array([pd]), np.array([rho]))

    def share(z):
        return special.ndtr((special.ndtri(pd) + math.sqrt(rho) * z) / math.sqrt(1 - rho))

    z = stats.norm.isf(tail)
    assert large.value_at_risk(tail)[0] == pytest.approx(share(z), rel=1e-12)
    mean = integrate.quad(lambda z: share(z) * stats.norm.pdf(z), z, 12, epsabs=0, epsrel=1e-11)[0] / tail
    assert large.expected_shortfall(tail)[0] == pytest.approx(mean, rel=1e-9)
    assert large.probability(0.15) == pytest.approx(0.0008769960013136821, rel=1e-9)
    closed = stats.multivariate_normal(cov=[[1, rho], [rho, 1]]).cdf([special.ndtri(pd)] * 2) - pd**2
    assert large.variance_of_mean == pytest.approx(closed, rel=1e-6)


def test_granularity_adjustment_is_the_first_order_of_one_over_the_number():
    """Of twice as many names it is half, and it leaves an error of second order to the exact quantile."""
    exact, adjusted, more = [], [], []
    for m in (400, 800):
        model = Credit(tape=Table(id=range(m), ead=[1.0 / m] * m, pd=[0.05] * m), lgd=1.0, rho=0.2)
        law = ExactLaw.of(model.inputs, model.loss, 0.05, 0.4)
        large = LargePool(model.obligors.severity, np.zeros(m), model.obligors.pd, model.dependence.common_share)
        plain, change = large.value_at_risk(0.001)
        # between two steps of the lattice, as a continuous law has it
        k = int(np.argmax(law.beyond <= 0.001))
        part = math.log(law.beyond[k - 1] / 0.001) / math.log(law.beyond[k - 1] / law.beyond[k])
        exact.append((k - 1.5 + part) / m)
        adjusted.append(plain + change)
        more.append(change)
    assert more[0] == pytest.approx(2 * more[1], rel=1e-9)
    errors = np.abs(np.array(adjusted) - exact)
    assert (errors < 0.1 * np.array(more)).all()
    assert errors[1] < 0.5 * errors[0]


def test_exact_law_is_that_of_a_convolution():
    m = 30
    table = Table(id=range(m), ead=[1.0] * m, pd=np.linspace(0.01, 0.1, m).tolist())
    model = Credit(tape=table, lgd=1.0, rho=0.3)
    law = ExactLaw.of(model.inputs, model.loss, 1.0, 12.0)
    factor = np.linspace(-9, 9, 4001)
    convolved = exact_law(model, factor, stats.norm.pdf(factor) * (factor[1] - factor[0]))
    beyond = convolved[::-1].cumsum()[::-1]
    np.testing.assert_allclose([law.probability(k) for k in range(1, 13)], beyond[1:13], rtol=1e-9)
    assert law.probability(3.5) == law.probability(4.0)
    tail = 0.5 * (beyond[9] + beyond[10])
    assert law.value_at_risk(tail) == 9.0
    shortfall = 9.0 + convolved @ np.maximum(np.arange(m + 1) - 9.0, 0.0) / tail
    assert law.expected_shortfall(tail) == pytest.approx(shortfall, rel=1e-9)


def test_exact_law_of_a_t_copula_is_published():
    """250 obligors, t copula with 12 degrees of freedom: P(more than 62.5 default) by quadrature over both factors."""
    scale = math.sqrt(0.0625 + 9 * 0.9375)
    pd = float(stats.t.sf(0.5 * math.sqrt(250) / scale, 12))
    model = pool(250, pd, (0.25 / scale) ** 2, copula="t", dof=12.0)
    law = ExactLaw.of(model.inputs, model.loss, 63.0, 63.0)
    assert law.probability(63.0) == pytest.approx(1.070119262180198e-05, rel=1e-6)


def test_exact_law_rounds_what_is_no_multiple():
    """Twice as many obligors with random exposures, against the lattice of an exact unit."""
    rng = np.random.default_rng(5)
    ead = rng.integers(100, 1000, 60)
    whole = Credit(tape=Table(id=range(60), ead=ead.tolist(), pd=[0.02] * 60), lgd=1.0, rho=0.2)
    broken = Credit(tape=Table(id=range(60), ead=(ead * math.pi).tolist(), pd=[0.02] * 60), lgd=1.0, rho=0.2)
    exact = ExactLaw.of(whole.inputs, whole.loss, 3000.0, 3000.0)
    split = ExactLaw.of(broken.inputs, broken.loss, 3000.0 * math.pi, 3000.0 * math.pi)
    assert (exact.rounds, split.rounds) == (True, True)  # more multiples than the lattice has
    least = Credit(tape=Table(id=range(60), ead=(ead // 100).tolist(), pd=[0.02] * 60), lgd=1.0, rho=0.2)
    assert not ExactLaw.of(least.inputs, least.loss, 30.0, 30.0).rounds
    assert split.probability(3000.0 * math.pi) == pytest.approx(exact.probability(3000.0), rel=1e-9)


def test_exact_law_is_not_made_where_factors_or_severities_are_too_many():
    random = Credit(tape=Table(id=[1, 2], ead=[1.0] * 2, pd=[0.1] * 2, lgd_mean=[0.5] * 2, lgd_std=[0.1] * 2), rho=0.1)
    assert ExactLaw.of(random.inputs, random.loss, 1.0, 1.0) is None
    loadings = {f"loading_{k}": [0.1] * 2 for k in range(4)}
    many = Credit(tape=Table(id=[1, 2], ead=[1.0] * 2, pd=[0.1] * 2, **loadings), lgd=1.0)
    assert ExactLaw.of(many.inputs, many.loss, 1.0, 1.0) is None


@pytest.fixture(scope="module")
def result():
    model = Credit(tape=Table(id=range(300), ead=[1.0] * 300, pd=[0.02] * 300), lgd=1.0, rho=0.15)
    measures = [raresim.Probability(above=50.0), raresim.ValueAtRisk(level=0.999)]
    experiment = raresim.Experiment(
        model=model, measures=measures, seed=3, stop=raresim.Stop(relative_error=0.05), preset="irb"
    )
    return experiment.run()


def test_controls_stand_beside_the_estimates(result, tmp_path):
    assert result.verdict.status is Status.TRUSTED
    table = next(e for e in result.exhibits if e.name == "controls")
    named = {(row[0], row[1]) for row in table.rows}
    labels = [e.label for e in result.estimates]
    for label in labels:
        assert {("ASRF (Vasicek)", label), ("exact law, by recursion given the factors", label)} <= named
    assert ("ASRF with granularity adjustment", labels[1]) in named
    assert ("IRB capital (CRE31)", "UL 99.9 %") in named
    for estimate in result.estimates:
        assert estimate.diagnostics["control_gap"] < 0.2
    folder = result.save(tmp_path / "run")
    with (folder / "controls.csv").open() as file:
        assert len(list(csv.DictReader(file))) == len(table.rows)


def test_a_control_that_is_off_makes_the_verdict_caution(result):
    estimate = result.estimates[0]
    off = Control("known", estimate.label, 2.0 * estimate.value, estimate.value, "nothing", 0.01)
    near = Control("known", estimate.label, 1.001 * estimate.value, estimate.value, "nothing", 0.01)
    vague = Control("known", estimate.label, 5.0 * estimate.value, estimate.value, "much")
    other = Control("known", "another", 2.0 * estimate.value, estimate.value, "nothing", 0.01)
    assert gaps(estimate, [near, off, vague, other]) == {"control_gap": pytest.approx(1.0), "control_allowed": 0.01}
    assert gaps(estimate, [vague, other]) == {}
