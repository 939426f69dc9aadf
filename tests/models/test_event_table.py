"""Event tables: their law against closed forms, and what is wrong with a file by its place."""

import math

import numpy as np
import pytest
from scipy import stats

from raresim.errors import DataError, FieldError
from raresim.models import Compound, EventTable
from raresim.models.insurance.aggregate import tails_of
from raresim.models.insurance.event_severity import MOST_POINTS, EventSeverity
from raresim.models.insurance.largest_claim import LargestClaim
from raresim.models.insurance.occurrence import Occurrence
from raresim.models.insurance.tail_table import TailTable
from tests.helpers import block, normals
from tests.statistical import assert_within_error

HEAD = "summary_id,type,event_id,mean,standard_deviation,exposure_value"
ELT = f"""{HEAD},rate
1,1,13,60,0,80,0.02
1,1,11,5,3,100,0.1
1,1,14,100,60,400,0.01
1,1,12,20,10,200,0.05
1,1,15,0,0,10,0.3
"""
RATES, MEANS = np.array([0.1, 0.05, 0.02, 0.01]), np.array([5.0, 20.0, 60.0, 100.0])


def beta(mean, std, exposure):
    share = mean / exposure
    both = share * (1.0 - share) / (std / exposure) ** 2 - 1.0
    return stats.beta(share * both, (1.0 - share) * both, scale=exposure)


LAWS = [beta(5, 3, 100), beta(20, 10, 200), None, beta(100, 60, 400)]


def one_above(x):
    each = [float(x < 60.0) if law is None else law.sf(x) for law in LAWS]
    return float(RATES @ each) / 0.18


@pytest.fixture
def table(tmp_path):
    def make(text=ELT, **options):
        (tmp_path / "elt.csv").write_text(text)
        for name, content in options.items():
            if name == "rates":
                (tmp_path / "rates.csv").write_text(content)
                options[name] = tmp_path / "rates.csv"
        return EventTable(name="cat", file=tmp_path / "elt.csv", **options)

    return make


def test_moments_and_tails_are_those_of_the_events(table):
    model = Compound(event_tables=[table()])
    law = model.frequencies.lines[0].severity
    for x in (1.0, 10.0, 59.0, 61.0, 250.0):
        assert float(law.sf(x)) == pytest.approx(one_above(x), rel=1e-12)
        assert float(law.cdf(x)) == pytest.approx(1.0 - one_above(x), rel=1e-9)
        assert float(law.quantile(math.log(one_above(x)), upper=True)) <= x + 1e-9
    mean, std = model.loss.moments(model.inputs)
    assert mean == pytest.approx(RATES @ MEANS)
    second = RATES @ [60.0**2 if k is None else k.var() + k.mean() ** 2 for k in LAWS]
    assert std == pytest.approx(math.sqrt(second))
    x = 150.0
    assert Occurrence(model.frequencies).exceeds(np.array([x]))[0] == pytest.approx(-math.expm1(-0.18 * one_above(x)))
    assert not LargestClaim(model.loss).serves  # where the cells of two events meet, claims fall
    assert [path.name for path in model.files()] == ["elt.csv"]


@pytest.mark.statistical(effect=0.6, false_fail=1e-6, false_pass=1e-3)
def test_draws_follow_the_law_and_the_largest_is_the_largest(table, seed):
    model = Compound(event_tables=[table(ELT.replace(",0.1\n", ",1.0\n"))])
    law = model.frequencies.lines[0].severity
    u, out = normals(60_000, 1, seed(950))[:, 0], np.empty(60_000)
    law.from_normal(u, out)
    for x in (3.0, 10.0, 59.0, 61.0):
        p = float(law.sf(x))
        assert_within_error((out > x).mean(), p, math.sqrt(p * (1 - p) / 60_000))
    x = model.inputs.to_physical(normals(60_000, 4, seed(951)), block(60_000, 4))
    totals = model.loss.totals(x)
    assert (totals.second <= totals.top).all()
    p = float(Occurrence(model.frequencies).exceeds(np.array([30.0]))[0])
    assert_within_error((totals.top[:, 0] > 30.0).mean(), p, math.sqrt(p * (1 - p) / 60_000))
    (tail,) = tails_of(model.loss, [30.0])
    assert_within_error((totals.gross[:, 0] >= 30.0).mean(), tail.value, math.sqrt(tail.value / 60_000))


def test_tails_of_many_events_are_interpolated_between_exact_ones():
    rng = np.random.default_rng(4)
    k, fixed = 3_000, 500
    a, b, exposure = rng.uniform(0.3, 4.0, k), rng.uniform(1.0, 20.0, k), np.exp(rng.normal(3.0, 1.0, k))
    a[:fixed] = b[:fixed] = 0.0
    mean = np.where(a > 0, exposure * a / np.where(a > 0, a + b, 1.0), 0.3 * exposure)
    shares = rng.gamma(0.5, 1.0, k)
    law = EventSeverity(shares=shares / shares.sum(), mean=mean, a=a, b=b, exposure=exposure)
    x = np.append(np.geomspace(1e-4, 0.99 * exposure.max(), 60), [0.0, -1.0, exposure.max(), 1e9])
    exact = law._exact_tails(x, upper=True)
    assert law.is_interpolated(1)
    np.testing.assert_allclose(law.sf(x), exact, rtol=2e-3, atol=1e-15)
    assert np.sqrt(np.mean((law.sf(x[:60]) / exact[:60] - 1.0) ** 2)) < 5e-4
    assert law._table.curve.x.size <= MOST_POINTS


def test_a_table_stops_at_its_points_and_a_jump_takes_few_of_them():
    asked = []

    def jump(x):
        asked.extend(x)
        return np.where(x < 3.0, 0.6, 0.1 * (1.0 - x / 10.0))

    table = TailTable(jump, 0.6, 10.0)
    x = np.array([0.5, 2.99, 3.01, 7.0])
    np.testing.assert_allclose(table(x), jump(x), rtol=2e-4)
    assert len(asked) < 200
    few = TailTable(lambda x: np.exp(-x) - math.exp(-10.0), 1.0 - math.exp(-10.0), 10.0, most=40)
    assert few.curve.x.size == 40


def test_far_normals_stay_within_the_exposure(table):
    law = table().line.severity
    out = np.empty(4)
    law.from_normal(np.array([-37.0, -9.0, 9.0, 37.0]), out)
    assert (out >= 0.0).all()
    assert 390.0 < out[2] <= out[3] <= 400.0


def test_rates_may_stand_in_a_file_of_their_own(table):
    bare = "\n".join(line.rsplit(",", 1)[0] for line in ELT.strip().split("\n")) + "\n"
    rates = "event_id,rate\n11,0.1\n12,0.05\n13,0.02\n14,0.01\n15,0.3\n"
    one, two = table().line, table(bare, rates=rates).line
    np.testing.assert_array_equal(one.severity.shares, two.severity.shares)
    with pytest.raises(
        FieldError, match=r"^rates: must name a file with event_id and rate: elt\.csv has no column rate"
    ):
        table(bare)
    with pytest.raises(FieldError, match=r"^rates: must be left out: elt\.csv has a column rate"):
        table(rates=rates)
    with pytest.raises(DataError, match=r"elt\.csv:2:event_id: '13' has no rate"):
        table(bare, rates="event_id,rate\n11,0.1\n")


def test_summaries_and_types_are_chosen(table):
    more = ELT + "2,1,11,7,3,100,0.1\n1,2,11,6,3,100,0.1\n"
    with pytest.raises(DataError, match=r"elt\.csv:7:event_id: '11' is in row 3 already; choose rows by summary_id"):
        table(more)
    assert table(more, summary_id=2).line.severity.mean.tolist() == [7.0]
    assert 6.0 in table(more, summary_id=1, type=2).line.severity.mean


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1,1,1,5,3,100,2.5", r"elt\.csv:2:rate: must be at most 1, .* got 2\.5; is it in per cent\?"),
        ("1,1,1,5,3,100,-1", r"elt\.csv:2:rate: must be at least 0, got -1"),
        ("1,1,1,-5,3,100,0.1", r"elt\.csv:2:mean: must be at least 0, got -5"),
        ("1,1,1,5,-3,100,0.1", r"elt\.csv:2:standard_deviation: must be at least 0, got -3"),
        ("1,1,1,5,3,4,0.1", r"elt\.csv:2:exposure_value: must be above the mean, 5"),
        ("1,1,1,5,90,100,0.1", r"elt\.csv:2:standard_deviation: must be below 21\.7945 for a beta law"),
        ("1,1,1,0,0,100,0.1", r"elt\.csv: has no event with a rate and a mean above 0"),
        ("1,1,1,,0,100,0.1", r"elt\.csv:2:mean: must be a finite number"),
    ],
)
def test_a_wrong_cell_is_named_by_its_place(table, row, message):
    with pytest.raises(DataError, match=message):
        table(f"{HEAD},rate\n{row}\n")
