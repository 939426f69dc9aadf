"""The scheme in which the largest claim makes the loss: its weights are the model's, and its error stays small."""

import math

import numpy as np
import pytest

import raresim
from raresim import marginals
from raresim.engine.fold import Sampler
from raresim.engine.problem import Problem
from raresim.models import CommonEvents, Compound, Contract, GammaMixing, Line
from raresim.models.insurance.aggregate import tails_of
from raresim.models.insurance.biased_factors import SizeBiased
from raresim.models.insurance.largest_claim import LargestClaim
from raresim.models.insurance.largest_draws import LargestDraws
from raresim.numerics.blocks import Block
from raresim.record.event import Event
from raresim.record.verdict import Status
from tests.models.test_compound import poisson_gamma_tail
from tests.statistical import assert_within_error

LOMAX = marginals.Pareto(b=1.5, loc=-1.0)
FIRE = marginals.Lognormal(mean=4.0, std=9.0)


def book(**options):
    return Compound(
        lines=[
            Line(name="a", frequency=marginals.Poisson(mu=2.0), severity=LOMAX),
            Line(name="b", frequency=marginals.NegativeBinomial(mean=1.5, std=1.6), severity=FIRE),
        ],
        **options,
    )


def mixed():
    lines = [
        Line(name=n, frequency=marginals.Poisson(mu=m), severity=s) for n, m, s in (("a", 2, LOMAX), ("b", 1, FIRE))
    ]
    return Compound(lines=lines, mixing=GammaMixing(std=0.7))


MODELS = {
    "independent": book,
    "mixing": mixed,
    "common events": lambda: book(common_events=[CommonEvents(frequency=marginals.Poisson(mu=0.5), lines=["a", "b"])]),
    "binomial": lambda: Compound(lines=[Line(name="a", frequency=marginals.Binomial(n=5, p=0.6), severity=LOMAX)]),
}


def drawn(model, levels, shares, n, seed):
    sampler = Sampler(Problem(model.inputs, model.loss.bind(model.inputs)), None, seed)
    rows = LargestDraws(sampler, (Event(levels[-1]),), np.array(levels), np.array(shares))
    _, found, log_weight = rows.drawn(Block(3, 0, 0, n))
    return found.totals.gross.sum(axis=1), np.exp(log_weight), rows


@pytest.mark.parametrize(
    "law",
    [marginals.Poisson(mu=2.5), marginals.NegativeBinomial(n=1.5, p=0.4), marginals.Binomial(n=6, p=0.3)],
    ids=["poisson", "negative binomial", "binomial"],
)
def test_size_biased_law_by_its_quantiles(law):
    k = np.arange(0, 200)
    mass = k * np.exp(law.logpdf(k))
    upto = np.cumsum(mass / mass.sum())
    u = np.linspace(-3.0, 3.0, 41)
    found = np.empty(41)
    SizeBiased(law).from_normal(u, found)
    from scipy import special

    np.testing.assert_array_equal(found, k[np.searchsorted(upto, special.ndtr(u))])


@pytest.mark.statistical(effect=0.35, false_fail=1e-6, false_pass=1e-3)
@pytest.mark.parametrize("plain", [0.0, 0.3])
@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_weights_give_the_law_of_the_sum_beyond_the_lowest_level(make, plain, seed):
    model = make()
    many = len(model.lines)
    shares = (1.0 - plain) / 2 * np.full((2, many), 1.0 / many)
    loss, weight, _ = drawn(model, [20.0, 60.0], shares, 20_000, seed(940))
    for tail, x in zip(tails_of(model.loss, [20.0, 35.0, 60.0, 90.0]), (20.0, 35.0, 60.0, 90.0), strict=True):
        rows = weight * (loss >= x)
        assert_within_error(rows.mean(), tail.value, rows.std() / math.sqrt(rows.size))


def test_every_row_reaches_the_lowest_level_and_weighs_what_its_claims_say():
    model = Compound(lines=[Line(name="a", frequency=marginals.Poisson(mu=2.0), severity=LOMAX)])
    loss, weight, rows = drawn(model, [100.0], [[1.0]], 3_000, 3)
    assert (loss >= 100.0).all()
    _, found, _ = rows.drawn(Block(3, 0, 0, 3_000))
    need = np.maximum(found.second, 100.0 - found.rest)
    np.testing.assert_allclose(weight, 2.0 * LOMAX.sf(need), rtol=1e-12)
    assert weight.std() / weight.mean() < 0.2


@pytest.mark.statistical(effect=0.3, false_fail=1e-6, false_pass=1e-3)
@pytest.mark.parametrize(
    ("frequency", "severity", "x", "exact"),
    [
        (marginals.Binomial(n=5, p=1.0), LOMAX, 1000.0, 1.5977420388584728e-4),
        (marginals.Poisson(mu=20.0), marginals.ScipyLaw(name="levy", parameters={"scale": 1.0}), 1e12, 1.59576912e-5),
    ],
    ids=["LOMAX-SUM-5", "Grubel and Hermesmeier"],
)
def test_published_sums_take_few_evaluations(frequency, severity, x, exact, seed):
    model = Compound(lines=[Line(name="a", frequency=frequency, severity=severity)])
    result = raresim.estimate(model, measures=raresim.Probability(above=x), seed=seed(941))
    estimate = result.estimates[0]
    assert result.verdict.status == Status.TRUSTED
    assert_within_error(estimate.value, exact, estimate.std_error)
    rows = result.evaluations["estimate"]
    assert 400 * rows * estimate.relative_error**2 < 50  # evaluations to 5 %
    assert result.evaluations["total"] <= 1_000
    assert "all claims but the largest came from the model itself" in result.verdict.scope


@pytest.mark.statistical(effect=0.3, false_fail=1e-6, false_pass=1e-3)
@pytest.mark.slow
def test_light_tails_are_left_to_the_exponential_twist(seed):
    model = Compound(lines=[Line(name="a", frequency=marginals.Poisson(mu=4.0), severity=marginals.Gamma(a=2.0))])
    result = raresim.estimate(model, measures=raresim.Probability(above=40.0), seed=seed(942), relative_error=0.03)
    assert result.verdict.status == Status.TRUSTED
    assert "twisted exponentially" in " ".join(result.search["decisions"])
    estimate = result.estimates[0]
    assert_within_error(estimate.value, poisson_gamma_tail(40.0), estimate.std_error)


@pytest.mark.slow
def test_contributions_come_from_the_rows_of_the_scheme(seed):
    measures = [
        raresim.ExpectedShortfall(tail=1e-3),
        raresim.Contributions(of="expected_shortfall", tail=1e-3),
    ]
    result = raresim.estimate(
        book(), measures=measures, seed=seed(943), method=raresim.Auto(scheme="only"), relative_error=0.02
    )
    (table,) = (exhibit for exhibit in result.exhibits if exhibit.name == "contributions")
    total = math.fsum(row[table.columns.index("contribution")] for row in table.rows if row[1] in ("a", "b"))
    assert total == pytest.approx(result.estimates[0].value, rel=0.02)


def test_contracts_are_not_for_the_largest_claim():
    contract = Contract(name="xl", attachment=5.0, limit=20.0)
    assert not LargestClaim(book(contracts=[contract], view="net").loss).serves
    assert LargestClaim(book(contracts=[contract]).loss).serves
