"""Files of ORE: its own parametric VaR is reproduced, and what it drops is said."""

import csv
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from raresim.errors import DataError, FieldError
from raresim.models import DeltaGamma, Ore
from raresim.models.market.exact_quadratic import QuadraticLaw
from tests.helpers import ROOT

OWN = ROOT / "configs" / "market" / "ore"
SHARED = ROOT.parent / "shared" / "data" / "ore"
FACTORS = {
    ("InterestRate", "DeltaGamma"): ["DiscountCurve", "IndexCurve"],
    ("InterestRate", "Vega"): ["OptionletVolatility", "SwaptionVolatility"],
    ("Inflation", "DeltaGamma"): ["YoYInflationCurve", "ZeroInflationCurve"],
    ("Credit", "DeltaGamma"): ["SurvivalProbability"],
    ("FX", "DeltaGamma"): ["FXSpot"],
    ("FX", "Vega"): ["FXVolatility"],
}
"""Types of factors in each risk class and type, as ORE's RiskFilter has them (OREAnalytics/orea/engine)."""


def files(folder):
    return {"sensitivity": folder / "sensitivity.csv", "covariance": folder / "covariance.csv"}


def present(portfolio, wanted):
    """Those of ``wanted`` types that trades of the portfolio have."""
    ore = Ore(**files(SHARED), portfolio=SHARED / "portfolio.xml", portfolio_id=portfolio)
    return [name for name in wanted if any(factor.startswith(name) for factor in ore.read().names)]


def of_row(portfolio, risk_class, risk_type):
    """Mean and standard deviation of the value, as ORE's delta-gamma-normal VaR has them."""
    some = None if portfolio == "All" else [portfolio]
    types = None
    if (risk_class, risk_type) != ("All", "All"):
        pairs = [v for (c, t), v in FACTORS.items() if risk_class in ("All", c) and risk_type in ("All", t)]
        types = present(some, [name for pair in pairs for name in pair])
    ore = Ore(**files(SHARED), portfolio=SHARED / "portfolio.xml", portfolio_id=some, factor_types=types)
    form = DeltaGamma(ore=ore).form
    return -form.mean, form.std


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the example files of ORE, which are not part of the project")
def test_ore_s_own_quantiles_are_reproduced():
    with (SHARED / "var.csv").open() as file:
        head, *rows = csv.reader(file)
    levels = [float(name.split("_")[1]) for name in head[3:]]
    assert len(rows) == 28
    for portfolio, risk_class, risk_type, *quantiles in rows:
        mean, std = of_row(portfolio, risk_class, risk_type)
        ours = mean + stats.norm.ppf(levels) * std
        assert np.abs(ours - np.array(quantiles, dtype=float)).max() <= 5e-9 * std


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the example files of ORE, which are not part of the project")
def test_ore_s_value_at_risk_is_exceeded_a_third_as_often_as_it_says():
    ore = Ore(**files(SHARED), portfolio=SHARED / "portfolio.xml", portfolio_id=["PF2"])
    law = QuadraticLaw(DeltaGamma(ore=ore).form)
    assert law.probability(44719.196292) == pytest.approx(0.00333533, rel=1e-5)
    exact = [12210.2168, 33202.3856, 55734.4643, 73649.0380]
    np.testing.assert_allclose([law.quantile(t) for t in (0.05, 0.01, 1e-3, 1e-4)], exact, atol=1e-4)
    np.testing.assert_allclose(
        [law.shortfall(t) for t in (0.05, 0.01, 1e-3)], [25063.9032, 43238.5647, 63642.9756], atol=1e-4
    )


def test_rows_are_added_and_matched_by_type_name_and_index():
    read = Ore(**files(OWN)).read()
    assert read.names[:2] == ("DiscountCurve/EUR/0/6M", "DiscountCurve/EUR/1/1Y")
    assert read.delta[:3].tolist() == [0.0, 40.0, 80.0]  # of two swaps, by labels that the covariance does not have
    spot, volatility = (read.names.index(n) for n in ("FXSpot/USDEUR/0/spot", "FXVolatility/USDEUR/0/1Y/ATM"))
    assert read.gamma[spot, spot] == -470.0
    assert read.gamma[spot, volatility] == read.gamma[volatility, spot] == 0.0  # 12 and -12
    assert read.covariance[spot, volatility] == -2.5
    assert read.covariance[0, 1] == read.covariance[1, 0] == 55.0
    assert "1 of 8 factors have no covariance in covariance.csv and do not move: this drops 0.883" in read.notes[0]
    assert "(FXVolatility/USDEUR/1/5Y/ATM)" in read.notes[0]
    assert read.notes[-1] == "values are in EUR, as in sensitivity.csv"


def test_only_trades_of_a_portfolio_count():
    some = Ore(**files(OWN), portfolio=OWN / "portfolio.xml", portfolio_id=["FX"]).read()
    assert {name.split("/")[0] for name in some.names} == {"FXSpot", "FXVolatility"}
    with pytest.raises(FieldError, match=r"^portfolio_id: unknown portfolio of portfolio.xml 'fx'; did you mean 'FX'"):
        Ore(**files(OWN), portfolio=OWN / "portfolio.xml", portfolio_id=["fx"]).read()
    with pytest.raises(FieldError, match=r"^portfolio_id: needs portfolio"):
        Ore(**files(OWN), portfolio_id=["FX"])
    with pytest.raises(FieldError, match=r"^factor_types: unknown type of factors of sensitivity.csv 'Spot'"):
        Ore(**files(OWN), factor_types=["Spot"]).read()


SENSITIVITY, COVARIANCE = ((OWN / name).read_text() for name in ("sensitivity.csv", "covariance.csv"))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("sensitivity.csv", SENSITIVITY.replace("Gamma", "Gama"), "sensitivity.csv:1: a column Gamma is required"),
        (
            "sensitivity.csv",
            SENSITIVITY.replace("EUR,-20000.0,110.0", "USD,-20000.0,110.0"),
            "sensitivity.csv:4:Currency: must be 'EUR' as in row 2: rows with different values cannot be added",
        ),
        (
            "sensitivity.csv",
            SENSITIVITY.replace("FX_PUT,false", "FX_PUT,true"),
            "sensitivity.csv:16:IsPar: must be 'false' as in row 2",
        ),
        ("sensitivity.csv", SENSITIVITY.replace("-310.0", "n/a"), "sensitivity.csv:13:Delta: must be a finite number"),
        ("sensitivity.csv", SENSITIVITY.replace("FXSpot/USDEUR/0/spot,", ","), "sensitivity.csv:12:Factor_1: is miss"),
        ("covariance.csv", "a\tb\n", "covariance.csv:1: must have two factors and a number, got 2 cells"),
        ("covariance.csv", COVARIANCE + "X/a/0\tX/a/0\t-\n", "covariance.csv:13:3: must be a finite number"),
        (
            "covariance.csv",
            COVARIANCE + "FXSpot/USDEUR/0/other\tFXSpot/USDEUR/0/spot\t8.0\n",
            "covariance.csv:13:3: FXSpot/USDEUR/0 and FXSpot/USDEUR/0 have the covariance 9 in row 6 already",
        ),
        ("covariance.csv", "Y/z/1 Y/z/1 2.0\n", "covariance.csv: has a variance for none of the 8 factors of"),
        ("portfolio.xml", "<Portfolio><Trade></Portfolio>", "portfolio.xml:1:20: is not valid XML"),
        ("portfolio.xml", "<Portfolio/>", "portfolio.xml: no trade has a PortfolioId"),
    ],
)
def test_files_are_refused_with_the_place(tmp_path: Path, name, text, message):
    for path in OWN.iterdir():
        (tmp_path / path.name).write_text(text if path.name == name else path.read_text())
    with pytest.raises(DataError) as caught:
        Ore(**files(tmp_path), portfolio=tmp_path / "portfolio.xml").read()
    assert str(caught.value).startswith(message)
