"""Period tables: their law against enumeration and closed forms, and what is wrong with a file by its place."""

import math

import numpy as np
import pytest
from scipy import special, stats

import raresim
from raresim import marginals
from raresim.config import load as configs
from raresim.errors import DataError, FieldError
from raresim.models import Compound, Contract, Line, PeriodTable
from raresim.models.insurance.claims import PIECE
from raresim.models.insurance.occurrence import Occurrence
from raresim.models.insurance.period_controls import losses_of_periods
from raresim.models.insurance.period_losses import PeriodLosses
from raresim.record.verdict import Status
from tests.helpers import block, losses, normals
from tests.statistical import assert_within_error

HEAD = "event_id,period_no,mean,standard_deviation,exposure_value"
FIXED = f"""{HEAD},occ_year,occ_month,occ_day
7,1,10,0,100,1,1,31
8,1,20,0,100,1,2,29
7,3,10,0,100,3,2,28
9,3,70,0,100,3,12,31
4,4,5,0,100,4,6,30
6,5,0,0,100,5,6,30
"""
RANDOM = f"""{HEAD},date_id
1,1,20,10,100,17
2,1,30,0,100,18
3,2,10,12,50,700
3,2,10,12,50,701
"""
LAYER = {"name": "xl", "attachment": 10.0, "limit": 30.0, "aggregate_limit": 35.0}


@pytest.fixture
def table(tmp_path):
    def make(text=FIXED, name="cat", **options):
        (tmp_path / f"{name}.csv").write_text(text)
        return PeriodTable(name=name, file=tmp_path / f"{name}.csv", **options)

    return make


def beta(mean, std, exposure):
    share = mean / exposure
    both = share * (1.0 - share) / (std / exposure) ** 2 - 1.0
    return stats.beta(share * both, (1.0 - share) * both, scale=exposure)


def draws(model, n, seed):
    u = normals(n, model.inputs.latent_dim, seed)
    return model.inputs.to_physical(u, block(n, model.inputs.dim))


def test_every_period_is_as_likely_and_a_larger_normal_is_a_worse_one(table):
    model = Compound(period_tables=[table(periods=10)])
    assert model.inputs.names == ("cat_period", "own_risk")
    u = block(10, 2, 0.0)
    u[:, 0] = special.ndtri((np.arange(10) + 0.5) / 10)
    x = model.inputs.to_physical(u, block(10, 2))
    assert sorted(x[:, 0]) == list(range(1, 11))
    assert losses(model.loss, x).tolist() == [0.0] * 7 + [5.0, 30.0, 80.0]
    assert model.loss.moments(model.inputs) == pytest.approx((11.5, np.std([0.0] * 7 + [5.0, 30.0, 80.0])))
    far = block(2, 2, 0.0)
    far[:, 0] = [-40.0, 40.0]
    assert model.inputs.to_physical(far, block(2, 2))[1, 0] == 3


def test_contracts_apply_to_each_event_and_to_the_period(table):
    by_hand = {"gross": [5.0, 30.0, 80.0], "ceded": [0.0, 10.0, 30.0], "net": [5.0, 20.0, 50.0]}
    for view, expected in by_hand.items():
        model = Compound(period_tables=[table(periods=5)], contracts=[Contract(**LAYER)], view=view)
        assert losses_of_periods(model.loss).tolist() == sorted([0.0, 0.0, *expected])
    short = Contract(name="s", attachment=10.0, limit=30.0, aggregate_limit=7.0, lines=["cat"])
    model = Compound(period_tables=[table(periods=5)], contracts=[short], view="ceded")
    assert losses_of_periods(model.loss).tolist() == [0.0, 0.0, 0.0, 7.0, 7.0]


def test_a_table_stands_beside_lines_and_other_tables(table):
    line = Line(name="motor", frequency=marginals.Poisson(mu=4.0), severity=marginals.Gamma(a=2.0))
    tables = [table(periods=10), table(RANDOM, "quake", periods=4)]
    model = Compound(lines=[line], period_tables=tables, contracts=[Contract(**LAYER)], view="net")
    assert model.inputs.names[1:4] == ("cat_period", "quake_period", "quake_level")
    x = draws(model, 500, 11)
    parts = model.loss.components(x)
    assert model.loss.component_names == ("motor", "cat", "quake", "ceded: xl")
    alone = Compound(lines=[line])
    own = np.asfortranarray(np.column_stack([x[:, 0], x[:, -3:]]))
    np.testing.assert_array_equal(parts[:, 0], losses(alone.loss, own))
    only = Compound(period_tables=tables[:1])
    np.testing.assert_array_equal(parts[:, 1], losses(only.loss, np.asfortranarray(x[:, [1, -1]])))
    for i in range(0, 500, 100):
        np.testing.assert_array_equal(model.loss.components(np.asfortranarray(x[i : i + 1]))[0], parts[i])
    assert model.describe()[0] == "compound model: 1 line of business and 2 period tables, net loss"
    assert [path.name for path in model.files()] == ["cat.csv", "quake.csv"]
    assert model.scheme is None


def test_more_events_than_a_piece_stay_in_their_rows():
    counts = np.array([PIECE + 7, 0, 3])
    mean = np.arange(counts.sum()) + 1.0
    zero = np.zeros(mean.size)
    for a in (zero, np.where(mean % 2 == 0, 1e6, 0.0)):  # hardly random
        many = PeriodLosses("many", counts, mean, a, a, 2.0 * mean)
        x = block(4, len(many.factors), 0.0)
        x[:, 0] = [3, 1, 2, 1]
        total = np.zeros(4)
        for piece in many.pieces(x, np.arange(4, dtype=np.uint64)):
            assert piece.row.size <= PIECE
            np.add.at(total, piece.row, piece.claim)
        exact = [mean[-3:].sum(), mean[: PIECE + 7].sum(), 0.0, mean[: PIECE + 7].sum()]
        np.testing.assert_allclose(total, exact, rtol=1e-12 if a is zero else 0.01)


@pytest.mark.statistical(effect=0.4, false_fail=1e-6, false_pass=1e-3)
def test_secondary_uncertainty_has_beta_laws(table, seed):
    model = Compound(period_tables=[table(RANDOM, periods=4)])
    x = draws(model, 60_000, seed(960))
    total = losses(model.loss, x)
    first, second = beta(20, 10, 100), beta(10, 12, 50)
    for at in (25.0, 40.0, 60.0):
        y = (np.arange(20_000) + 0.5) / 20_000
        two = float(np.mean(second.sf(at - second.ppf(y))))  # the sum of the two events of period 2
        p = (first.sf(at - 30.0) + two) / 4
        assert_within_error((total > at).mean(), p, math.sqrt(p * (1 - p) / 60_000))
    mean, std = model.loss.moments(model.inputs)
    assert mean == pytest.approx(70 / 4)
    assert std**2 == pytest.approx((100 + 2 * 144 + 50**2 + 20**2) / 4 - mean**2)
    top, law = model.loss.totals(x).top[:, 0], Occurrence.of(model.loss)
    for at in (15.0, 29.9, 30.0, 35.0):
        p = (1 - first.cdf(at) * (at >= 30.0) + 1 - second.cdf(at) ** 2) / 4
        assert law.exceeds(np.array([at]))[0] == pytest.approx(p, rel=1e-9)
        assert_within_error((top > at).mean(), p, math.sqrt(p * (1 - p) / 60_000))
    u = (np.arange(400_000) + 0.5) / 400_000
    grid = np.linspace(law.quantile(0.05), 100.0, 4_000)
    exact = law.quantile(0.05) + np.trapezoid(law.exceeds(grid), grid) / 0.05
    assert law.mean_beyond(0.05) == pytest.approx(exact, rel=1e-3)
    assert first.ppf(u).mean() == pytest.approx(20.0, rel=1e-3)


def test_far_levels_stay_within_the_exposure(table):
    model = Compound(period_tables=[table(RANDOM, periods=4)])
    x = block(4, 3, 0.0)
    x[:, 0], x[:, 1] = 2.0, [-38.0, -9.0, 9.0, 38.0]
    found = losses(model.loss, x)
    assert (np.diff(found) >= 0.0).all()
    assert found[0] >= 0.0
    assert 95.0 < found[2] <= found[3] <= 100.0


def test_largest_event_of_fixed_losses_is_counted_exactly(table):
    law = Occurrence.of(Compound(period_tables=[table(periods=10)]).loss)
    np.testing.assert_allclose(law.exceeds(np.array([-1.0, 0.0, 5.0, 19.9, 20.0, 70.0])), [1, 0.3, 0.2, 0.2, 0.1, 0])
    assert (law.quantile(0.1), law.quantile(0.05), law.quantile(0.5)) == (20.0, 70.0, 0.0)
    assert law.mean_beyond(0.15) == pytest.approx(20.0 + (70.0 - 20.0) * 0.1 / 0.15)
    net = Compound(period_tables=[table(periods=10)], contracts=[Contract(**LAYER)], view="net")
    assert Occurrence.of(net.loss).mean_beyond(0.1) == pytest.approx(40.0)


def test_a_run_is_held_against_all_periods(table):
    model = Compound(period_tables=[table(periods=10)], contracts=[Contract(**LAYER)], view="net")
    measures = [
        raresim.Probability(above=30.0),
        raresim.ValueAtRisk(level=0.85),
        raresim.ExpectedShortfall(level=0.85),
    ]
    result = raresim.estimate(model, measures=measures, seed=1, relative_error=0.05)
    by_name = {exhibit.name: exhibit for exhibit in result.exhibits}
    rows = {row[1]: row[2] for row in by_name["controls"].rows}
    expected = {"EL": 7.5, "P(loss >= 30)": 0.1, "VaR 85 %": 20.0, "ES 85 %": 20.0 + 30.0 * 0.1 / 0.15}
    assert rows == pytest.approx(expected, rel=1e-12)
    assert result.verdict.status == Status.TRUSTED
    assert "before their terms for the whole period" in by_name["return_periods"].notes[0]


def test_sums_that_differ_in_their_last_digits_are_one_step(table):
    """0.1 + 0.2 is not 0.3: the error of the quantile is that difference, which no part of the rows can confirm."""
    rows = [f"1,{k},{a},0,1" for k in range(1, 11) for a in (("0.1", "0.2") if k % 2 else ("0.3",))]
    text = "event_id,period_no,mean,standard_deviation,exposure_value,date_id\n"
    text += "".join(f"{row},{k}\n" for k, row in enumerate(rows)) + "2,11,9,0,9,0\n"
    model = Compound(period_tables=[table(text, periods=100)])
    result = raresim.estimate(model, measures=raresim.ValueAtRisk(level=0.95), seed=2, relative_error=0.05)
    assert result.estimates[0].value == pytest.approx(0.3)
    assert result.verdict.status == Status.TRUSTED


YEARS = "period_no,loss\n1,10\n2,0\n3,40\n"


def test_a_year_loss_table_has_the_loss_of_each_year(table):
    model = Compound(period_tables=[table(YEARS)])
    assert losses_of_periods(model.loss).tolist() == [0.0, 10.0, 40.0]
    assert Occurrence.of(model.loss) is None
    stop = Contract(name="stop", aggregate_deductible=15.0, aggregate_limit=20.0)
    ceded = Compound(period_tables=[table(YEARS)], contracts=[stop], view="ceded")
    assert losses_of_periods(ceded.loss).tolist() == [0.0, 0.0, 20.0]
    result = raresim.estimate(model, measures=raresim.ValueAtRisk(level=0.5), seed=1, relative_error=0.1)
    (periods,) = (exhibit for exhibit in result.exhibits if exhibit.name == "return_periods")
    assert "a year loss table has no single claims" in periods.notes[0]
    for terms in ({"attachment": 5.0}, {"limit": 5.0}):
        with pytest.raises(FieldError, match=rf"^contracts\[0\]\.{next(iter(terms))}: must be left out where 'cat'"):
            Compound(period_tables=[table(YEARS)], contracts=[Contract(name="xl", **terms)], view="net")
    with pytest.raises(DataError, match=r"cat\.csv:3:period_no: the period is in row 2 already"):
        table("period_no,loss\n1,10\n1,20\n")
    with pytest.raises(DataError, match=r"cat\.csv:3:loss: must be at least 0, got -3"):
        table("period_no,loss\n1,10\n2,-3\n")


def test_periods_without_events_are_declared_or_refused(table):
    with pytest.raises(DataError, match=r"cat\.csv:4:period_no: is 3, but no row has 2; say by `periods` how many"):
        table()
    with pytest.raises(DataError, match=r"cat\.csv:2:period_no: is 3, but no row has 1 to 2;"):
        table(f"{HEAD}\n1,3,5,0,9\n")
    with pytest.raises(DataError, match=r"cat\.csv:6:period_no: must be at most 3, as `periods` says, got 4"):
        table(periods=3)
    for wrong in (0, -5, 10**9):
        with pytest.raises(FieldError, match=rf"^periods: must be from 1 to 10,000,000, got {wrong}"):
            table(periods=wrong)
    declared = Compound(period_tables=[table(periods=10)])
    assert declared.notes() == ["table cat: 10 periods of cat.csv, 7 of them without a loss"]
    full = Compound(period_tables=[table(f"{HEAD}\n1,2,5,0,9\n1,1,5,0,9\n")])
    assert full.notes() == [
        "table cat: 2 periods of cat.csv, as its largest period_no says; later ones without events count by `periods`"
    ]


def test_summaries_are_chosen_and_repeated_rows_refused(table):
    two = "summary_id,event_id,period_no,mean,standard_deviation,exposure_value\n1,5,1,10,0,20\n2,5,1,7,0,20\n"
    with pytest.raises(
        DataError, match=r"cat\.csv:3:event_id: the same event of the period is in row 2 already; .* or"
    ):
        table(two)
    assert table(two, summary_id=2).losses.mean.tolist() == [7.0]
    with pytest.raises(DataError, match=r"cat\.csv: has no rows among those that are taken"):
        table(two, summary_id=3)
    with pytest.raises(DataError, match=r"cat\.csv:3:summary_id: must be a finite number"):
        table(two.replace("\n2,", "\nx,"), summary_id=1)
    twice = f"{HEAD},date_id\n5,1,10,0,20,3\n5,1,10,0,20,4\n"
    assert table(twice).losses.mean.tolist() == [10.0, 10.0]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1,0,5,0,9,1,1,1", r"cat\.csv:2:period_no: must be a whole number from 1 on, got 0"),
        ("1,1.5,5,0,9,1,1,1", r"cat\.csv:2:period_no: must be a whole number from 1 on, got 1\.5"),
        ("1,,5,0,9,1,1,1", r"cat\.csv:2:period_no: must be a finite number .* got ''"),
        ("1,1,-5,0,9,1,1,1", r"cat\.csv:2:mean: must be at least 0, got -5"),
        ("1,1,5,-1,9,1,1,1", r"cat\.csv:2:standard_deviation: must be at least 0, got -1"),
        ("1,1,5,1,4,1,1,1", r"cat\.csv:2:exposure_value: must be above the mean, 5"),
        ("1,1,5,90,100,1,1,1", r"cat\.csv:2:standard_deviation: must be below 21\.7945 for a beta law"),
        ("1,1,5,0,9,1,13,1", r"cat\.csv:2:occ_month: must be a whole number from 1 to 12, got 13"),
        ("1,1,5,0,9,1,4,31", r"cat\.csv:2:occ_day: must be a whole number from 1 to 30, got 31"),
        ("1,1,5,0,9,0,1,1", r"cat\.csv:2:occ_year: must be a whole number from 1 on, got 0"),
        ("1,1,0,0,9,1,1,1", r"table cat: has no loss above 0"),
        ("1,1,5,0,9,1,1", r"cat\.csv:2: has 7 cells, must have 8"),
    ],
)
def test_a_wrong_cell_is_named_by_its_place(table, row, message):
    with pytest.raises(DataError, match=message):
        table(f"{HEAD},occ_year,occ_month,occ_day\n{row}\n")


def test_columns_are_those_of_ktools(table):
    with pytest.raises(DataError, match=r"cat\.csv:1: unknown column 'occ_month'"):
        table(f"{HEAD},occ_year,occ_day\n1,1,5,0,9,1,1\n")
    with pytest.raises(DataError, match=r"cat\.csv:1: must have date_id or occ_year, occ_month, occ_day, got both"):
        table(f"{HEAD},occ_year,date_id\n1,1,5,0,9,1,1\n")
    with pytest.raises(DataError, match=r"cat\.csv:2:date_id: must be a whole number from 0 on, got -1"):
        table(f"{HEAD},date_id\n1,1,5,0,9,-1\n")
    with pytest.raises(FieldError, match=r"^name: must not be empty"):
        table(name=" ")
    with pytest.raises(FieldError, match=r"^lines\[1\]\.name: must differ from the others, got 'cat' again"):
        Compound(period_tables=[table(periods=9), table(periods=9)])
    text = f"{HEAD}\n" + "".join(f"1,{k},-5,0,9\n" for k in range(1, 40))
    with pytest.raises(DataError, match=r"cat\.csv: stopped after 20 problems"):
        table(text)


def test_a_table_is_read_from_yaml(tmp_path):
    (tmp_path / "plt.csv").write_text(FIXED)
    (tmp_path / "a.yaml").write_text(
        "model:\n  kind: compound\n  period_tables: [{name: cat, file: plt.csv, periods: 10}]\n"
        "measures: [{kind: probability, above: 30}]\nseed: 1\n"
    )
    experiment = configs.load(tmp_path / "a.yaml").experiment()
    assert [facts["name"] for facts in experiment.files()] == ["plt.csv"]
    assert configs.load(tmp_path / "a.yaml").outline()[0].notes == tuple(experiment.model.notes())
