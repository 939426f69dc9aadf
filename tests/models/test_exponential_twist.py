"""The exponential twist of a compound sum: its laws against closed forms, its weights against the law of the sum."""

import math

import numpy as np
import pytest
from scipy import stats

import raresim
from raresim import copulas, marginals
from raresim.engine.fold import Sampler
from raresim.engine.problem import Problem
from raresim.models import CommonEvents, Compound, Contract, Corridor, GammaMixing, Line
from raresim.models.insurance.aggregate import tails_of
from raresim.models.insurance.event_severity import EventSeverity
from raresim.models.insurance.exponential_twist import PLAIN, ExponentialTwist
from raresim.models.insurance.score_twist import EDGES, Cells, table
from raresim.models.insurance.twisted_counts import TwistedNumbers, twisted_law
from raresim.models.insurance.twisted_sums import TwistedSums
from raresim.numerics.blocks import Block
from raresim.record.event import Event
from raresim.record.verdict import Status
from tests.statistical import assert_within_error

GAMMA = marginals.Gamma(a=2.0)
UNIFORM = marginals.Uniform(loc=0.0, scale=6.0)
EVENTS = EventSeverity(
    shares=np.array([0.6, 0.3, 0.1]),
    mean=np.array([2.0, 4.0, 5.0]),
    a=np.array([0.8, 0.0, 3.0]),
    b=np.array([1.2, 0.0, 3.0]),
    exposure=np.array([5.0, 4.0, 10.0]),
)


def book(a=GAMMA, b=UNIFORM, many=None, **options):
    return Compound(
        lines=[
            Line(name="a", frequency=many or marginals.Poisson(mu=3.0), severity=a),
            Line(name="b", frequency=marginals.Poisson(mu=2.0), severity=b),
        ],
        **options,
    )


LAYER = Contract(name="xl", attachment=2.0, limit=3.0, share=0.6)
MODELS = {
    "independent": book,
    "negative binomial": lambda: book(many=marginals.NegativeBinomial(mean=3.0, std=2.5)),
    "binomial": lambda: book(many=marginals.Binomial(n=6, p=0.5)),
    "mixing": lambda: book(mixing=GammaMixing(std=0.5)),
    "one mixed": lambda: book(mixing=GammaMixing(std=0.5, lines=["b"])),
    "common events": lambda: book(common_events=[CommonEvents(frequency=marginals.Poisson(mu=1.0), lines=["a", "b"])]),
    "event table": lambda: book(b=EVENTS),
    "net": lambda: book(contracts=[LAYER], view="net"),
    "ceded": lambda: book(contracts=[Contract(name="xl", attachment=2.0, limit=3.0, reinstatements=4)], view="ceded"),
}
LEVELS = {"ceded": 9.0, "net": 28.0}


def rows_of(model, levels):
    scheme = ExponentialTwist(model.loss)
    sums = scheme.levels(levels)
    cells = scheme.cells(max(sums))
    sampler = Sampler(Problem(model.inputs, model.loss.bind(model.inputs)), None, 5)
    return TwistedSums(sampler, (Event(levels[-1]),), cells, scheme.twists(cells, sums))


def drawn(rows, n, seed):
    u = np.asfortranarray(np.random.default_rng(seed).standard_normal((n, rows.sampler.problem.dim)))
    x = rows.loss.factors.to_physical(u, np.empty((n, rows.loss.factors.dim), order="F"))
    totals, added = rows.loss.rows(x)
    loss = np.empty(n)
    rows.loss.plain.of_totals(totals, loss)
    return x, loss, added


@pytest.mark.statistical(effect=0.35, false_fail=1e-6, false_pass=1e-3)
@pytest.mark.parametrize("name", MODELS)
def test_weights_give_the_law_of_the_loss(name, seed):
    model, x = MODELS[name](), LEVELS.get(name, 40.0)
    rows = rows_of(model, [0.8 * x, x])
    _, loss, added = drawn(rows, 20_000, seed(970))
    weight = np.exp(-rows.loss.log_ratio(added))
    for tail, at in zip(tails_of(model.loss, [0.6 * x, 0.8 * x, x]), (0.6 * x, 0.8 * x, x), strict=True):
        of_row = weight * (loss >= at)
        assert_within_error(of_row.mean(), tail.value, of_row.std() / math.sqrt(of_row.size))
    assert weight.max() <= 1.0 / PLAIN + 1e-9
    assert np.mean(loss >= 0.8 * x) > 0.25  # the event is common


@pytest.mark.parametrize("theta", [0.0, 0.2, 0.6])
def test_cells_have_the_generating_function_and_the_twisted_law(theta):
    cells = Cells.of(GAMMA, lambda claim: claim, 100.0)
    assert cells.log_mean(theta) == pytest.approx(-2.0 * math.log1p(-theta), abs=2e-4)
    p = (np.arange(20_000) + 0.5) / 20_000
    place, score = cells.twisted(theta).of_normal(stats.norm.ppf(p))
    assert (np.diff(score) >= 0.0).all()
    np.testing.assert_array_equal(place, np.searchsorted(EDGES, score, side="right"))
    claim = np.empty(score.size)
    GAMMA.from_normal(score, claim)
    np.testing.assert_allclose(claim, stats.gamma(2.0, scale=1.0 / (1.0 - theta)).ppf(p), rtol=0.02)
    if theta == 0.0:
        np.testing.assert_allclose(score, stats.norm.ppf(p), atol=1e-12)


def test_twisted_scores_are_exact_far_out():
    law = Cells(np.zeros(table().log_p.size)).twisted(0.0)
    u = np.array([-37.0, -20.0, -6.5, 0.0, 6.5, 20.0, 37.0])
    np.testing.assert_allclose(law.of_normal(u)[1], u, rtol=1e-9)
    assert np.exp(table().log_p).sum() == pytest.approx(1.0, rel=1e-14)
    assert table().below[1] == pytest.approx(stats.norm.cdf(EDGES[0]), rel=1e-12)
    assert table().above[-2] == pytest.approx(stats.norm.sf(EDGES[-1]), rel=1e-12)


@pytest.mark.parametrize("log_m", [0.0, 0.4, -0.7])
@pytest.mark.parametrize(
    "law",
    [marginals.Poisson(mu=2.5), marginals.NegativeBinomial(n=1.5, p=0.6), marginals.Binomial(n=6, p=0.3)],
    ids=["poisson", "negative binomial", "binomial"],
)
def test_twisted_numbers_of_claims_by_their_probabilities(law, log_m):
    k = np.arange(0.0, 7.0)
    every = np.arange(0.0, 400.0)
    mean = np.exp(law.logpdf(every) + every * log_m).sum()
    expected = np.exp(law.logpdf(k) + k * log_m) / mean
    np.testing.assert_allclose(np.exp(twisted_law(law, log_m).logpdf(k)), expected, rtol=1e-9)


def test_a_common_factor_is_multiplied():
    plain = book(mixing=GammaMixing(std=0.5)).frequencies
    twisted = TwistedNumbers.of(plain, np.log([1.5, 1.2]))
    grown = 3.0 * 0.5 + 2.0 * 0.2
    assert twisted.factor == pytest.approx(1.0 / (1.0 - 0.25 * grown))  # of a gamma law of shape 4 and scale 1/4
    assert twisted.frequencies.means == pytest.approx(np.array([3.0 * 1.5, 2.0 * 1.2]) * twisted.factor)
    model = book(mixing=GammaMixing(std=0.5))
    x, _, _ = drawn(rows_of(model, [40.0]), 4_000, 3)
    assert x[:, 2].mean() > 1.3


def test_the_saddle_point_makes_the_level_the_expected_sum():
    model = Compound(lines=[Line(name="x", frequency=marginals.Poisson(mu=10.0), severity=GAMMA)])
    for x in (60.0, 80.0):
        scheme = ExponentialTwist(model.loss)
        theta = scheme.saddle_point(scheme.cells(x), x)
        assert theta == pytest.approx(1.0 - (20.0 / x) ** (1 / 3), rel=1e-3)
    assert scheme.saddle_point(scheme.cells(15.0), 15.0) == 0.0
    assert scheme.twists(scheme.cells(15.0), [15.0]) == ()


def test_a_draw_through_the_model_weighs_what_a_row_there_would():
    model = book()
    rows = rows_of(model, [40.0])
    u = np.asfortranarray(np.random.default_rng(8).standard_normal((500, rows.sampler.problem.dim)))
    x = model.inputs.to_physical(u, np.empty((500, model.inputs.dim), order="F"))
    log_weight, evaluations = rows.through(u, Block(0, 0, 0, 500))
    added = rows.loss.added_by(x)
    assert evaluations == 0
    np.testing.assert_allclose(log_weight[0], -rows.loss.log_ratio(added))
    loss = np.empty(500)
    model.loss(x, loss)
    np.testing.assert_allclose(added, loss, atol=0.2)  # cells are narrow
    assert np.abs(added - loss).max() > 0.0


@pytest.mark.statistical(effect=0.3, false_fail=1e-6, false_pass=1e-3)
@pytest.mark.parametrize(
    ("x", "exact", "textbook"), [(60, 3.762648355598732e-5, 5.95), (80, 2.932347752602834e-8, 8.69)]
)
def test_a_published_sum_takes_no_more_than_the_textbook(x, exact, textbook, seed):
    """The textbook's relative variance is that of 400,000 rows of the twisted Poisson and gamma laws themselves."""
    model = Compound(lines=[Line(name="x", frequency=marginals.Poisson(mu=10.0), severity=GAMMA)])
    result = raresim.estimate(model, measures=raresim.Probability(above=float(x)), seed=seed(971), relative_error=0.03)
    (estimate,) = result.estimates
    assert result.verdict.status == Status.TRUSTED
    assert_within_error(estimate.value, exact, estimate.std_error)
    assert result.evaluations["estimate"] * estimate.relative_error**2 < 1.2 * textbook
    assert result.evaluations["estimate"] < 1.5 * textbook / 0.03**2
    assert result.evaluations["tune"] == 400
    assert "failure regions" in result.verdict.scope
    assert "every draw came from the target" not in result.verdict.scope


def test_measures_and_contributions_come_from_the_rows(seed):
    measures = [
        raresim.ValueAtRisk(level=0.999),
        raresim.ExpectedShortfall(level=0.999),
        raresim.Contributions(of="expected_shortfall", level=0.999),
    ]
    model = book(contracts=[Contract(name="xl", attachment=2.0, limit=3.0, reinstatements=2)], view="net")
    result = raresim.estimate(
        model, measures=measures, seed=seed(972), method=raresim.Auto(scheme="only"), relative_error=0.02
    )
    (table,) = (exhibit for exhibit in result.exhibits if exhibit.name == "contributions")
    parts = {row[1]: row[table.columns.index("contribution")] for row in table.rows}
    total = math.fsum(parts[name] for name in ("a", "b", "ceded: xl"))
    shortfall = next(e for e in result.estimates if e.kind == "expected_shortfall")
    assert total == pytest.approx(shortfall.value, rel=0.02)
    assert parts["ceded: xl"] < 0.0


def test_what_the_twist_does_not_serve():
    joined = copulas.Gaussian(correlation=[[1.0, 0.5], [0.5, 1.0]])
    assert not ExponentialTwist(book(copula=joined).loss).serves
    both = [Contract(name="t", limit=3.0), Contract(name="u", limit=4.0)]
    assert not ExponentialTwist(book(contracts=both, view="net").loss).serves
    kept = Contract(name="t", limit=3.0, corridor=Corridor(start=1.0, end=2.0))
    assert ExponentialTwist(book(contracts=[kept], view="net").loss).serves
