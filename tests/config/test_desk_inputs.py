"""Inputs as a desk has them: its columns, a part of the priced names, amounts in a currency, doubtful thresholds."""

import dataclasses

import numpy as np
import pytest

import raresim
from raresim.config import load as configs
from raresim.data import Positions, ReturnsSource
from raresim.diagnostics.assumptions import remarks
from raresim.diagnostics.verdict import advice_of
from raresim.errors import ConfigError, DataError, FieldError
from raresim.report import brief, tables
from raresim.report.run import Run
from raresim.shell import cli, terminal
from tests.invoking import CliRunner
from tests.problems import linear_normal, solve

pandas = pytest.importorskip("pandas")

NAMES = ("x", "y", "z", "v")
BOOK = {"y": 30.0, "v": -20.0}


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(3)
    prices = 100.0 * np.exp(np.cumsum(0.01 * rng.standard_normal((300, 4)), axis=0))
    days = np.arange("2020-01-01", "2020-10-27", dtype="datetime64[D]")
    rows = [",".join([str(day), *map(repr, map(float, row))]) for day, row in zip(days, prices, strict=True)]
    (tmp_path / "prices.csv").write_text(f"date,{','.join(NAMES)}\n" + "\n".join(rows) + "\n")
    (tmp_path / "book.csv").write_text("ticker,market_value,desk\nv,-20,a\ny,30,b\n")
    (tmp_path / "shares.csv").write_text("symbol,quantity\ny,3\nv,-2\n")
    return tmp_path


def config(folder, positions="book.csv", measures="[{kind: probability, above: 1.0}]", more=""):
    path = folder / "case.yaml"
    path.write_text(
        "seed: 1\ninputs: {kind: normal, fit: {prices: prices.csv, returns: simple}}\n"
        f"loss: {{kind: linear, positions: {positions}{more}}}\nmeasures: {measures}\n"
    )
    return configs.load(path)


def checked(folder, *options):
    found = CliRunner().invoke(cli.app, ["check", str(folder / "case.yaml"), *options])
    return found.exit_code, found.output


@pytest.mark.parametrize("name", ["id", "ticker", "symbol", "name"])
@pytest.mark.parametrize("size", ["weight", "market_value"])
def test_columns_of_names_and_sizes_have_several_names(name, size, tmp_path):
    (path := tmp_path / "book.csv").write_text(f"{name},sector,{size}\ny,a,30\nv,b,-20\n")
    for held in (Positions.read(path, ("y", "v")), Positions.of(pandas.read_csv(path), ("y", "v"))):
        np.testing.assert_array_equal(held.weights, [30.0, -20.0])
        assert held.groups("sector") == ("a", "b")


def test_the_first_column_of_names_counts_and_the_others_can_be_grouped_by(tmp_path):
    (path := tmp_path / "book.csv").write_text("name,ticker,weight\nYoyo,y,1\nVoid,v,2\n")
    assert Positions.read(path, ("y", "v")).groups("name") == ("Yoyo", "Void")


def test_a_quantity_counts_at_the_last_price_of_the_fit(folder):
    source = ReturnsSource(prices=folder / "prices.csv", returns="log", columns=("v", "y"))
    last = dict(zip(NAMES, map(float, (folder / "prices.csv").read_text().split()[-1].split(",")[1:]), strict=True))
    loss = raresim.Linear(positions=folder / "shares.csv").bind(raresim.Normal.fit(source))
    np.testing.assert_allclose(loss.weights, [-2.0 * last["v"], 3.0 * last["y"]], rtol=1e-14)
    loss = config(folder, "shares.csv").experiment().check()
    np.testing.assert_allclose(loss.weights, [3.0 * last["y"], -2.0 * last["v"]], rtol=1e-14)
    assert loss.gross == pytest.approx(3.0 * last["y"] + 2.0 * last["v"])
    assert "last_prices" not in str(source.load().source.to_dict())


def test_a_quantity_without_prices_is_refused(folder):
    with pytest.raises(
        FieldError, match=r"'quantity' of shares\.csv is multiplied by the last price of each name: fit"
    ):
        raresim.Linear(positions=folder / "shares.csv").bind(raresim.Normal(mean={"y": 0.0, "v": 0.0}, std=1.0))


def test_a_quantity_of_a_name_without_a_price_is_refused_with_its_row(folder):
    with pytest.raises(
        DataError, match=r"shares\.csv:3:quantity: has no price in the data of the fit; give the column"
    ):
        Positions.read(folder / "shares.csv", ("y", "v"), {"y": 100.0})


@pytest.mark.parametrize("kind", ["normal", "historical", "fitted, margins: normal, copula: independence"])
def test_positions_choose_the_columns_of_the_fit(kind, folder):
    config(folder)
    path = folder / "case.yaml"
    path.write_text(path.read_text().replace("kind: normal", f"kind: {kind}"))
    experiment = configs.load(path).experiment()
    assert experiment.inputs.names == ("y", "v")
    np.testing.assert_array_equal(experiment.check().weights, [BOOK["y"], BOOK["v"]])
    assert "of 2 columns (no position is in the other 2)" in " ".join(experiment.inputs.describe())
    assert experiment.files()[0]["not_held"] == 2


def test_check_says_which_columns_are_used(folder):
    config(folder)
    code, output = checked(folder)
    assert code == 0
    assert ", 2 of 4 columns: those held\n" in output


def test_stated_columns_stay_and_unknown_names_are_refused_by_name(folder):
    stated = config(folder)
    stated = configs.load(folder / "case.yaml", ["inputs.fit.columns=[v, y, x]"])
    with pytest.raises(DataError, match=r"no row for 1 of 3 names: x; add each, with market_value 0"):
        stated.experiment().check()
    (folder / "book.csv").write_text("ticker,market_value\ny,1\nvv,1\n")
    with pytest.raises(DataError, match=r"book\.csv:3:ticker: unknown ticker 'vv'; did you mean 'v'\?"):
        config(folder).outline()


def test_a_broken_file_of_positions_is_refused_at_its_key(folder):
    (folder / "book.csv").write_text("isin,market_value\ny,1\n")
    with pytest.raises(DataError, match=r"case\.yaml:3:\d+: book\.csv:1: a column 'id' \(or 'ticker' or"):
        config(folder).experiment()
    with pytest.raises(ConfigError, match=r"loss\.positions: no such file"):
        config(folder, "none.csv").experiment()


# --- thresholds that are odd ---------------------------------------------------------------------------


def test_check_remarks_on_thresholds_that_may_have_another_unit(folder):
    config(folder, measures="[{kind: probability, above: [-1.0, 60.0, 3 sigma]}]", more=", unit: USD")
    _, output = checked(folder)
    lines = [line for line in output.splitlines() if "note: the threshold" in line]
    assert lines[0].startswith("  note: the threshold 60 USD is 1.2 times the gross size of the book, 50 USD: a long")
    assert lines[1].startswith("  note: the threshold -1 is below the median of the losses in the data, ")
    assert lines[1].endswith("; is the threshold in the unit of the loss?")
    assert len(lines) == 2
    config(folder, measures="[{kind: probability, below: 1.0}]")
    assert "the threshold 1 is above the median of the losses in the data" in checked(folder)[1]


def test_check_says_nothing_of_usual_thresholds(folder):
    config(folder, measures="[{kind: probability, above: 1.0}]")
    assert "note: the threshold" not in checked(folder)[1]


def test_a_run_remarks_on_its_numbers_and_keeps_its_verdict(capsys):
    case = linear_normal(2, 3.0)
    loss = dataclasses.replace(case.loss, factors="returns")
    measure = raresim.Probability(above=[4.0, -0.5])
    found = raresim.estimate(case.inputs, loss, measure, seed=1)
    usual = found.estimates[1].diagnostics
    assert usual["usual_event"] == found.estimates[1].value > 0.5
    assert "usual_event" not in found.estimates[0].diagnostics
    said = [*remarks(found.estimates[0].diagnostics), *remarks(usual)]
    assert said[0].startswith("the loss is 2.828 times the gross size of the book: a long position cannot lose more")
    assert said[1].startswith("the probability is 0.6")
    assert set(said) <= set(advice_of(found.verdict, found.estimates))
    assert str(found.verdict.status) == "trusted"
    terminal.show_result(found)
    shown = " ".join(capsys.readouterr().out.split())
    assert all(f"-> {text}" in shown for text in said)


# --- the unit ------------------------------------------------------------------------------------------


def test_a_named_unit_stands_beside_numbers_and_on_axes(capsys):
    case = linear_normal(2, 3.0)
    loss = dataclasses.replace(case.loss, unit="USD", factors="returns")
    asked = [raresim.ValueAtRisk(level=0.99), raresim.Exceedance(), raresim.Contributions(level=0.99)]
    found = raresim.estimate(case.inputs, loss, [case.measure, *asked], seed=1, relative_error=0.1)
    number = next(e for e in found.estimates if e.kind == "value_at_risk" and e.asked)
    assert (found.estimates[0].unit, number.unit) == ("dimensionless", "USD")
    assert f"{tables.answer(number)} USD" in brief.text(found)
    assert "gross size 1.41421 USD" in found.description["loss"][0]
    assert Run.of(found).loss_unit == "USD"
    labels = {text for e in found.exhibits for plot in e.plots for text in (plot.x_label, plot.y_label)}
    assert {"x, in USD", "contribution, in USD"} <= labels
    terminal.show_result(found)
    assert f"{tables.answer(number)} USD" in capsys.readouterr().out


def test_a_function_has_a_unit_too_and_a_run_without_one_says_nothing():
    loss = raresim.PythonLoss(function=lambda x: x.sum(axis=1), unit="EUR m")
    found = raresim.estimate(2, loss, raresim.ValueAtRisk(level=0.9), seed=1, relative_error=0.1)
    assert found.estimates[0].unit == "EUR m"
    assert Run.of(solve(linear_normal(1, 3.0), 1)).loss_unit == ""


def test_a_program_has_a_unit_too():
    loss = raresim.ProgramLoss(
        command=["${python}", "-c", "print('loss', ${x1} + ${x2})"],
        output=raresim.ProgramOutput(pattern="loss (.*)"),
        unit="mm",
    )
    found = raresim.estimate(2, loss, raresim.Probability(above=0.0), raresim.Crude(), seed=1, max_evaluations=20)
    assert Run.of(found).loss_unit == "mm"


@pytest.mark.parametrize("unit", ["", " USD", "x" * 21, "a\nb"])
def test_a_unit_is_a_short_name(unit):
    with pytest.raises(FieldError, match="unit: must be a short name such as USD or EUR m, got"):
        raresim.Linear(weights="equal", unit=unit)
    with pytest.raises(FieldError, match="unit: must be a short name such as USD or EUR m, got"):
        raresim.ProgramLoss(command=["true"], output=raresim.ProgramOutput(pattern="(.*)"), unit=unit)
