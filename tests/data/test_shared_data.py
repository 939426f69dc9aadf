"""The numbers that the README of the shared data states, reproduced from its files; skipped where they are absent."""

import hashlib
import re

import numpy as np
import pytest
from scipy import stats

from raresim import Normal
from raresim.data import ColumnSource, ReturnsSource
from raresim.distributions.historical import Historical
from raresim.errors import DataError
from raresim.marginals.generalised_pareto import GeneralisedPareto
from tests.helpers import ROOT

FOLDER = ROOT.parent / "shared" / "data"

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no folder {FOLDER}")


def logs(file, *columns, **options):
    source = ReturnsSource(prices=FOLDER / file, returns="log", columns=columns or None, **options)
    return source.load()


def column(file, name):
    return ColumnSource(file=FOLDER / file, column=name).load().values


def value_at_risk(losses, level):
    return np.quantile(losses, level, method="inverted_cdf")


def expected_shortfall(losses, level):
    threshold = value_at_risk(losses, level)
    return threshold + np.maximum(losses - threshold, 0.0).mean() / (1 - level)


@pytest.fixture(scope="module")
def index():
    """Log returns of SP500, 1990 to 2022."""
    return logs("us20_prices.csv", "SP500")


def test_hashes_are_those_of_the_readme():
    readme = (FOLDER / "README.md").read_text("utf-8")
    stated = re.findall(r"(\w+) ([0-9a-f]{12})[,.\n]", readme.split("SHA-256", 1)[1])
    files = {path.name: path for path in FOLDER.glob("*.csv")}
    assert len(stated) == len(files) == 11
    for name, digest in stated:
        (path,) = (path for file, path in files.items() if name.removesuffix("_") in file)
        assert hashlib.sha256(path.read_bytes()).hexdigest().startswith(digest)


def test_returns_of_the_index(index):
    assert index.values.shape == (8312, 1)
    assert index.values.std(ddof=1) == pytest.approx(0.011543, abs=5e-7)
    assert (str(index.dates[0]), str(index.dates[-1])) == ("1990-01-03", "2022-12-28")


@pytest.mark.parametrize(
    ("level", "var", "es"), [(0.975, 0.024054, 0.035584), (0.99, 0.032519, 0.047610), (0.999, 0.070438, 0.091357)]
)
def test_tail_of_the_index(index, level, var, es):
    losses = -index.values[:, 0]
    assert value_at_risk(losses, level) == pytest.approx(var, abs=6e-7)
    assert expected_shortfall(losses, level) == pytest.approx(es, abs=6e-7)


@pytest.mark.slow
def test_equal_weights_of_the_twenty_stocks():
    table = logs("us20_prices.csv")
    assert table.names[0] == "SP500"
    losses = -table.values[:, 1:].mean(axis=1)
    assert table.values.shape == (8312, 21)
    assert losses.std(ddof=1) == pytest.approx(0.011937, abs=6e-7)
    assert value_at_risk(losses, 0.99) == pytest.approx(0.032382, abs=6e-7)
    assert expected_shortfall(losses, 0.975) == pytest.approx(0.035663, abs=6e-7)


def test_days_of_the_index_beyond_five_sigma(index):
    returns = index.values[:, 0]
    assert (returns < -5 * returns.std(ddof=1)).sum() == 16
    worst = int(returns.argmin())
    assert (str(index.dates[worst]), returns[worst]) == ("2020-03-16", pytest.approx(-0.12765, abs=6e-6))


@pytest.mark.slow
def test_sixty_six_years_of_the_index():
    table = logs("sp500_close_1950_2015.csv")
    r = table.values[:, 0]
    assert r.size == 16_606
    assert r.mean() == pytest.approx(0.000289632, rel=2e-6)
    assert r.std(ddof=1) == pytest.approx(0.00972351, rel=1e-6)
    assert stats.skew(r, bias=False) == pytest.approx(-1.02, abs=0.005)
    assert stats.kurtosis(r, bias=False) == pytest.approx(27.29, abs=0.005)
    assert (r < -5 * r.std(ddof=1)).sum() == 28
    assert r.size * stats.norm.cdf(-5) == pytest.approx(0.0048, abs=5e-5)
    assert str(table.dates[int(r.argmin())]) == "1987-10-19"


def test_the_index_in_units_of_its_riskmetrics_volatility():
    table = logs("sp500_close_1950_2015.csv")
    r = table.values[:, 0]
    variance = np.empty(r.size)
    variance[0] = r[:250].var(ddof=1)
    for t in range(1, r.size):
        variance[t] = 0.94 * variance[t - 1] + 0.06 * r[t - 1] ** 2
    z = (r / np.sqrt(variance))[250:]
    assert (z < -5).sum() == 12
    assert z.min() == pytest.approx(-12.07, abs=0.005)
    assert str(table.dates[250 + int(z.argmin())]) == "1987-10-19"


def test_oil_prices_are_missing_on_holidays():
    with pytest.raises(DataError, match=r"^wti_spot_1986_2019\.csv:\d+:usd_per_barrel: is missing, got ''; "):
        logs("wti_spot_1986_2019.csv")
    table = logs("wti_spot_1986_2019.csv", missing="drop")
    assert (table.source.rows, table.source.missing, len(table.values)) == (8611, 290, 8611 - 290 - 1)
    worst = int(table.values[:, 0].argmin())
    assert (str(table.dates[worst]), table.values[worst, 0]) == ("1991-01-17", pytest.approx(-0.406396, abs=6e-7))
    assert len(logs("wti_spot_1986_2019.csv", missing="previous").values) == 8610


def test_two_french_files_differ_in_their_unit():
    """The market's excess return stands in both, in per cent and in fractions."""
    options = {"returns": "simple", "start": None}
    percent = ReturnsSource(
        returns_file=FOLDER / "ff3_monthly_1926_2018.csv", unit="percent", columns=("Mkt-RF",), **options
    ).load()
    fraction = ReturnsSource(
        returns_file=FOLDER / "french_industry12_monthly.csv", unit="fraction", columns=("MktRF",), **options
    ).load()
    assert (len(percent.values), len(fraction.values)) == (1109, 819)
    at = {date: row for row, date in enumerate(percent.dates)}
    same = percent.values[[at[date] for date in fraction.dates]]
    np.testing.assert_allclose(same, fraction.values, atol=2e-3)  # vintages differ in single basis points
    with pytest.raises(DataError, match=r"ff3_monthly_1926_2018\.csv:2:Mkt-RF: .*is `unit: percent` meant\?"):
        ReturnsSource(returns_file=FOLDER / "ff3_monthly_1926_2018.csv", unit="fraction", returns="log").load()


def test_danish_claims():
    claims = column("danish_fire_losses.csv", "loss_mdkk")
    assert claims.size == 2167
    assert claims.sum() == pytest.approx(7335.486, abs=6e-4)
    assert np.median(claims) == pytest.approx(1.7782, abs=6e-5)
    assert claims.max() == pytest.approx(263.2504, abs=6e-5)


@pytest.mark.parametrize(
    ("threshold", "exceedances", "shape", "scale"), [(10.0, 109, 0.4970, 6.9755), (20.0, 36, 0.6842, 9.6351)]
)
def test_tails_of_the_danish_claims(threshold, exceedances, shape, scale):
    claims = column("danish_fire_losses.csv", "loss_mdkk")
    excess = claims[claims > threshold] - threshold
    assert excess.size == exceedances
    fit = GeneralisedPareto.fit(excess)
    assert fit.parameters["xi"] == pytest.approx(shape, abs=2e-4)
    assert fit.parameters["scale"] == pytest.approx(scale, abs=2e-3)


def test_synthetic_credit_portfolio():
    ead, pd, lgd, rho = (column("credit_portfolio_synthetic.csv", name) for name in ("ead", "pd", "lgd", "rho"))
    loadings = [column("credit_portfolio_synthetic.csv", f"loading_{which}") for which in ("global", "sector")]
    np.testing.assert_allclose(sum(one**2 for one in loadings), rho, atol=2e-6)
    assert ead.sum() == pytest.approx(999_999_999.89, abs=0.006)
    expected = ead * pd * lgd
    assert expected.sum() == pytest.approx(8_305_988.46, abs=0.006)
    stressed = stats.norm.cdf((stats.norm.ppf(pd) + np.sqrt(rho) * stats.norm.ppf(0.999)) / np.sqrt(1 - rho))
    loss = (ead * lgd * stressed).sum()
    assert loss == pytest.approx(57_026_598.07, abs=0.02)
    assert loss - expected.sum() == pytest.approx(48_720_609.61, abs=0.02)
    share = ead / ead.sum()
    assert share.max() == pytest.approx(0.0192, abs=6e-5)
    assert (share**2).sum() == pytest.approx(0.003583, abs=6e-7)


def test_glasserman_li_portfolio():
    exposure, pd = (column("credit_portfolio_glasserman_li.csv", name) for name in ("exposure", "pd"))
    assert exposure.sum() == 11_000
    assert (exposure * pd).sum() == pytest.approx(104.0248, abs=6e-5)


def test_a_fit_to_the_index_has_its_moments(index):
    mean, std = Normal.fit(index).linear_moments(np.ones(1))
    assert mean == pytest.approx(index.values.mean(), rel=1e-12)
    assert std == pytest.approx(index.values.std(), rel=1e-12)


def test_history_is_as_bad_as_its_worst_day(index):
    law = Historical.fit(index)
    assert law.rows[0, 0] == pytest.approx(-0.12765, abs=6e-6)
    assert "lowest row by its mean: 2020-03-16" in law.describe()
