"""Option books: prices against published ones, the loss of a book against SciPy, what auto makes of it, bad files."""

import dataclasses
import json
import math

import numpy as np
import pytest
from scipy import integrate, stats

import raresim
from raresim.config import load as configs
from raresim.errors import DataError, FieldError
from raresim.models import Options
from raresim.models.market.book_quadratic import quadratic_of
from raresim.models.market.instruments import BARRIER, Instrument
from raresim.models.market.prices import denominator, exponential, numerator
from raresim.record.verdict import Status
from tests.helpers import losses, normals
from tests.statistical import assert_within_error

HEAD = "id,type,underlying,quantity,strike,expiry,volatility,rate,dividend,barrier,rebate,payout"


def price(kind, spot, strike, dividend, rate, expiry, volatility, x=0.0, elapsed=0.0, v=None, **more):
    """Of one unit, by both of the ways in which an option is valued where there are two."""
    terms = {"volatility": volatility, "rate": rate, "dividend": dividend, "expiry": expiry}
    one = Instrument("a", kind, "A", 1.0, spot, float(strike), **terms, **more)
    x, out = np.array([x]), np.zeros(1)
    one.add(x, np.exp(x), v, elapsed, 1.0, out)
    return out[0]


PUBLISHED = [
    (2.1334, ("call", 60.0, 65, 0.0, 0.08, 0.25, 0.30), {}),
    (2.4648, ("put", 100.0, 95, 0.05, 0.10, 0.50, 0.20), {}),
    (1.7011, ("put", 19.0, 19, 0.10, 0.10, 0.75, 0.28), {}),
    (5.0975, ("call", 42.0, 40, 0.08, 0.04, 0.75, 0.35), {}),
    (2.6710, ("digital_put", 100.0, 80, 0.06, 0.06, 0.75, 0.35), {"payout": 10.0}),
    (4.6922, ("geometric_asian_put", 80.0, 85, -0.03, 0.05, 0.25, 0.20), {}),
    *(
        (value, (kind, 100.0, strike, 0.04, 0.08, 0.5, 0.25), {"barrier": barrier, "rebate": 3.0})
        for kind, barrier, values in (
            ("down_and_out_call", 95.0, (9.0246, 6.7924, 4.8759)),
            ("down_and_in_call", 95.0, (7.7627, 4.0109, 2.0576)),
            ("up_and_out_call", 105.0, (2.6789, 2.3580, 2.3453)),
        )
        for strike, value in zip((90, 100, 110), values, strict=True)
    ),
]
"""Values of QuantLib's test suite, after Haug."""


@pytest.mark.parametrize(("value", "terms", "more"), PUBLISHED)
def test_published_prices_are_met(value, terms, more):
    assert price(*terms, **more) == pytest.approx(value, abs=1e-4)
    assert price(*terms, v=np.zeros(1), **more) == pytest.approx(price(*terms, **more), abs=1e-9)


def test_exponential_is_that_of_the_library():
    at = np.linspace(-700.0, 0.0, 2001)
    np.testing.assert_allclose([exponential(a) for a in at], np.exp(at), rtol=1e-11)
    assert exponential(-1e9) == exponential(-700.0) < 1e-300


def test_the_ratio_of_the_fast_prices_is_the_normal_tail():
    at = np.linspace(0.0, 40.0, 4001)
    found = np.array([numerator(a) / denominator(a) for a in at]) * np.exp(-0.5 * at**2)
    np.testing.assert_allclose(found, stats.norm.sf(at), atol=2e-12, rtol=0.0)


def test_in_and_out_of_each_barrier_make_the_vanilla():
    for side, barrier in (("down", 90.0), ("up", 115.0)):
        for option in ("call", "put"):
            for strike in (80, 100, 120):
                terms = (100.0, strike, 0.02, 0.05, 0.7, 0.3)
                both = sum(price(f"{side}_and_{k}_{option}", *terms, barrier=barrier) for k in ("in", "out"))
                assert both == pytest.approx(price(option, *terms), abs=1e-9)


@pytest.mark.parametrize("kind", BARRIER)
def test_a_barrier_that_is_crossed_at_the_horizon_settles(kind):
    down, is_out = kind.startswith("down"), "_out_" in kind
    x = math.log(0.85) if down else math.log(1.25)
    terms = (100.0, 100, 0.0, 0.05, 0.5, 0.3)
    found = price(kind, *terms, x=x, elapsed=0.1, barrier=90.0 if down else 115.0, rebate=2.0)
    vanilla = price(kind[-4:].strip("_"), *terms, x=x, elapsed=0.1)
    assert found == pytest.approx(2.0 if is_out else vanilla, rel=1e-9)


def test_an_average_counts_the_past_by_its_bridge():
    """The mean over the end of the past of the value then is today's value, grown at the rate."""
    s, k, q, r, t, sigma, h = 80.0, 85, 0.01, 0.05, 0.5, 0.25, 0.2
    law = stats.norm((r - q - 0.5 * sigma**2) * h, sigma * math.sqrt(h))

    def later(x):
        return law.pdf(x) * price("geometric_asian_call", s, k, q, r, t, sigma, x=x, elapsed=h)

    mean = integrate.quad(later, law.ppf(1e-13), law.isf(1e-13), epsabs=1e-12)[0]
    assert math.exp(-r * h) * mean == pytest.approx(price("geometric_asian_call", s, k, q, r, t, sigma), rel=1e-8)


def test_what_expired_is_settled_and_linear_positions_are_linear():
    up = math.log(1.1)
    assert price("call", 100.0, 95, 0.0, 0.05, 0.1, 0.3, x=up, elapsed=0.1) == pytest.approx(15.0)
    assert price("put", 100.0, 95, 0.0, 0.05, 0.1, 0.3, x=up, elapsed=0.2) == 0.0
    assert price("digital_call", 100.0, 95, 0.0, 0.05, 0.1, 0.3, x=up, elapsed=0.2, payout=7.0) == 7.0
    assert price("stock", 100.0, 1, 0.0, 0.05, 1.0, 0.3, x=up) == pytest.approx(110.0)
    forward = 110.0 * math.exp(-0.02 * 0.4) - 99.0 * math.exp(-0.05 * 0.4)
    assert price("forward", 100.0, 99, 0.02, 0.05, 0.5, 0.3, x=up, elapsed=0.1) == pytest.approx(forward)
    assert price("cash", 1.0, 1, 0.0, 0.05, math.nan, 0.3, elapsed=0.1) == pytest.approx(math.exp(0.005))


@pytest.mark.parametrize("kind", BARRIER)
def test_barriers_have_a_price_wherever_heavy_tails_go(kind):
    barrier = 90.0 if kind.startswith("down") else 115.0
    x = np.linspace(-650.0, 650.0, 27)
    for v in (-3.0, 0.0, 3.0):
        one = Instrument("a", kind, "A", 1.0, 100.0, 100.0, 0.7, 0.3, 0.05, 0.02, barrier, 2.0)
        out = np.zeros(27)
        one.add(x, np.exp(x), np.full(27, v), 0.1, 1.0, out)
        assert np.isfinite(out).all()
        assert (out >= -1e-9).all()


def columns(rows):
    class Table(dict):
        columns = property(list)

    names = HEAD.split(",")
    return Table({name: [row.get(name, "") for row in rows] for name in names})


def straddles(calls=10.0, puts=5.0, assets=10, **options):
    """The book A1: short calls and puts on independent assets."""
    rows = []
    for k in range(assets):
        for kind, many in (("call", calls), ("put", puts)):
            rows.append({"id": f"{kind}{k}", "type": kind, "underlying": f"S{k}", "quantity": -many, "strike": 100.0})
            rows[-1]["expiry"] = 0.5
    given = {
        "positions": columns(rows),
        "spots": {f"S{k}": 100.0 for k in range(assets)},
        "factors": raresim.Normal(mean=0.0002, std=0.06, dim=assets),
        "horizon": 0.04,
        "volatility": 0.3,
        "rate": 0.05,
        "dividend": 0.0,
    }
    return Options(**(given | options))


def test_loss_of_a_book_is_that_of_the_formula(seed):
    model = straddles(assets=3)
    x = 0.0002 + 0.06 * normals(40, 3, seed(950))

    def value(s, t):
        d1 = (np.log(s / 100.0) + (0.05 + 0.045) * t) / (0.3 * math.sqrt(t))
        call = s * stats.norm.cdf(d1) - 100.0 * math.exp(-0.05 * t) * stats.norm.cdf(d1 - 0.3 * math.sqrt(t))
        return 10.0 * call + 5.0 * (call - s + 100.0 * math.exp(-0.05 * t))

    exact = value(100.0 * np.exp(x), 0.46).sum(axis=1) - 3 * value(100.0, 0.5)
    np.testing.assert_allclose(losses(model.loss, x), exact, rtol=1e-9, atol=1e-8)


def test_a_volatility_that_moves_is_that_of_its_underlying(seed):
    law = raresim.Normal(mean=0.0, std=[0.06, 0.06, 0.2])
    model = straddles(assets=2, factors=law, volatility_factors={"S1": "vol"})
    assert model.inputs.names == ("S0", "S1", "vol")
    x = np.zeros((2, 3), order="F")
    x[1, 2] = 0.3
    still, moved = losses(model.loss, x)
    other = straddles(assets=1, volatility=0.3 * math.exp(0.3))
    change = losses(other.loss, np.zeros((1, 1)))[0] + other.loss.today.sum() * -1.0
    one = straddles(assets=1)
    base = losses(one.loss, np.zeros((1, 1)))[0] - one.loss.today.sum()
    assert moved - still == pytest.approx(change - base, rel=1e-9)


def test_quadratic_is_the_taylor_series_for_a_small_step_and_exact_at_a_large_one():
    law = raresim.Normal(mean=0.0, cov=[[0.0036, 0.001], [0.001, 0.04]])
    model = straddles(assets=1, factors=law, volatility_factors={"S0": "vol"})
    x = np.array([[0.12, 0.0], [-0.12, 0.0], [0.0, 0.4], [0.12, 0.4], [0.001, -0.002]], order="F")
    exact = losses(model.loss, x)
    for step, rows, tolerance in ((2.0, slice(0, 3), 1e-9), (1e-3, slice(4, 5), 1e-4)):
        form = quadratic_of(model.loss, model.inputs, step)
        u = np.linalg.solve(np.asarray(model.inputs.factor), x.T).T
        z = u @ form.rotation
        found = form.constant + z @ form.linear + z**2 @ form.square
        np.testing.assert_allclose(found[rows], exact[rows], rtol=tolerance)


VAR, ES = 287.537537216383, 319.18832284660175


@pytest.mark.statistical(effect=0.3, false_fail=1e-6, false_pass=1e-3)
def test_auto_takes_the_twist_of_a_book_and_finds_the_exact_answer(seed):
    """BOOK-A1-b, by a contour integral of the transform of one asset's loss."""
    exact = 9.932846060928565e-05
    result = raresim.estimate(
        straddles(), measures=raresim.Probability(above=360.0), seed=seed(951), relative_error=0.05
    )
    (estimate,) = result.estimates
    assert_within_error(estimate.value / exact, 1.0, estimate.std_error / exact)
    assert result.verdict.status is Status.TRUSTED
    assert result.evaluations["total"] - result.evaluations["audit"] < 2_000
    row = next(r for r in result.exhibit("controls").rows if r[0] == "delta-gamma")
    assert 0.3 < row[2] / exact < 1.0  # the local approximation misses the fall of gammas in large moves


@pytest.mark.statistical(effect=0.2, false_fail=1e-6, false_pass=1e-3)
def test_quantile_and_shortfall_of_a_book_are_exact(seed):
    measures = [raresim.ValueAtRisk(level=0.999), raresim.ExpectedShortfall(level=0.999)]
    result = raresim.estimate(straddles(), measures=measures, seed=seed(952), relative_error=0.02)
    for estimate, exact in zip(result.estimates, (VAR, ES), strict=True):
        assert_within_error(estimate.value / exact, 1.0, estimate.std_error / exact)


POSITIONS = f"""{HEAD},desk
c,call,A,-10,100,0.5,0.3,0.05,0,,,,eq
b,down_and_out_put,A,5,95,0.4,0.3,0.05,0,80,1,,eq
d,digital_call,B,-2,52,0.3,0.25,0.05,0.01,,,100,fx
m,cash,,1000,,,,0.05,,,,,fx
"""
YAML = {
    "kind": "options",
    "positions": "book.csv",
    "spots": {"A": 100.0, "B": 50.0},
    "factors": {"kind": "normal", "std": [0.06, 0.05, 0.2]},
    "volatility_factors": {"A": "A_vol"},
    "horizon": 0.04,
}
FLIPS = {
    "positions": "other.csv",
    "spots": {"A": 101.0, "B": 50.0},
    "factors": {"kind": "normal", "std": [0.06, 0.05, 0.3]},
    "volatility_factors": {"B": "A_vol"},
    "horizon": 0.08,
    "volatility": 0.4,
    "rate": 0.01,
    "dividend": 0.03,
}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "book.csv").write_text(POSITIONS)
    (tmp_path / "other.csv").write_text(POSITIONS.replace("-10", "-11"))
    without = POSITIONS.replace("100,0.5,0.3,0.05,0,", "100,0.5,,,,")
    (tmp_path / "without.csv").write_text(without)
    return tmp_path


def test_every_field_changes_the_loss(folder):
    def loss(model):
        config = {"seed": 1, "model": model, "measures": [{"kind": "probability", "above": 5.0}]}
        (folder / "case.yaml").write_text(json.dumps(config))
        model = configs.load(folder / "case.yaml").experiment().model
        u = np.asfortranarray([[0.5, -0.7, 1.1]])
        return losses(model.loss, model.inputs.to_physical(u, np.empty((1, 3), order="F")))[0]

    for name, value in FLIPS.items():
        base = YAML
        if name in ("volatility", "rate", "dividend"):
            base = YAML | {"positions": "without.csv", "volatility": 0.3, "rate": 0.05, "dividend": 0.0}
        assert loss(base) != loss(base | {name: value}), name
    assert {f.name for f in dataclasses.fields(Options) if f.init} == set(FLIPS)


def test_contributions_can_be_summed_by_columns(folder):
    model = Options(**({k: v for k, v in YAML.items() if k != "kind"} | {
        "positions": folder / "book.csv", "factors": raresim.Normal(mean=0.0, std=[0.06, 0.05, 0.2])
    }))  # fmt: skip
    assert model.loss.component_groups("desk") == ("eq", "eq", "fx", "fx")
    assert model.loss.component_groups("underlying") == ("A", "A", "B", "cash")
    with pytest.raises(FieldError, match=r"^by: unknown column of book.csv 'sector'"):
        model.loss.component_groups("sector")
    some = model.loss.part_columns(np.zeros((2, 3), order="F"))(np.array([2, 0]))
    np.testing.assert_array_equal(some, model.loss.components(np.zeros((2, 3), order="F"))[:, [2, 0]])


def test_what_is_settled_is_said():
    model = straddles(assets=2, horizon=0.5)
    assert "4 of 4 positions expire by the horizon of 0.5 years and are settled at the price there" in model.notes()[0]
    unheld = straddles(assets=1, spots={"S0": 100.0, "X": 1.0}, factors=raresim.Normal(dim=2))
    assert unheld.notes() == ["no position is on X"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("-10,100,0.5", "-10,100,-0.5", "book.csv:2:expiry: must be positive (years from today), got -0.5"),
        ("0.5,0.3,", "0.5,0,", "book.csv:2:volatility: must be positive (a year, as a fraction), got 0"),
        ("0.5,0.3,", "0.5,30,", "book.csv:2:volatility: must be at most 3, got 30; is the column in per cent?"),
        ("0.3,0.05,0,,,,eq", "0.3,5,0,,,,eq", "book.csv:2:rate: must be at most 1, got 5; is the column in per cent?"),
        ("c,call,A", "c,call,C", "book.csv:2:underlying: unknown underlying 'C' (allowed: A, B)"),
        ("c,call,A", "c,cal,A", "book.csv:2:type: unknown type 'cal'; did you mean 'call'?"),
        (
            ",80,1,",
            ",110,1,",
            "book.csv:3:barrier: must be below the price of A, 100, for down_and_out_put, got 110",
        ),
        (
            "down_and_out_put",
            "up_and_out_put",
            "book.csv:3:barrier: must be above the price of A, 100, for up_and_out",
        ),
        (",80,1,", ",,1,", "book.csv:3:barrier: is missing; a position of type down_and_out_put needs it"),
        (",80,1,", ",80,-1,", "book.csv:3:rebate: must not be negative, got -1"),
        ("0.5,0.3,", "0.5,,", "book.csv:2:volatility: is missing; a position of type call needs it, or give `vola"),
        (",,,100,fx", ",,,,fx", "book.csv:4:payout: is missing; a position of type digital_call needs it"),
        ("b,down", "c,down", "book.csv:3:id: 'c' is in row 2 already; keep one row for each"),
        ("-10,", "many,", "book.csv:2:quantity: must be a finite number with a decimal point, got 'many'"),
        ("digital_call", "geometric_asian_call", "book.csv:4:expiry: must be beyond the horizon of 0.4 years"),
        ("m,cash,,", "m,cash,A,", "book.csv:5:underlying: must be empty for cash, got 'A'"),
        ("quantity", "amount", "book.csv:1: unknown column 'quantity'"),
    ],
)
def test_a_wrong_cell_is_named_by_row_and_column(folder, old, new, message):
    assert old in POSITIONS
    (folder / "book.csv").write_text(POSITIONS.replace(old, new, 1))
    with pytest.raises(DataError) as caught:
        Options(
            positions=folder / "book.csv",
            spots={"A": 100.0, "B": 50.0},
            factors=raresim.Normal(mean=0.0, std=[0.06, 0.05]),
            horizon=0.4,
        )
    assert str(caught.value).startswith(message)


def test_factors_that_do_not_fit_are_refused():
    for message, options in (
        ("horizon: must be at least 0 years, got -1", {"horizon": -1.0}),
        ("spots.S0: must be positive", {"spots": {"S0": -1.0}}),
        ("factors: must name its factors, or be", {"factors": raresim.Normal(dim=3)}),
        (
            "factors: has no factor for the underlying S0: a",
            {"factors": raresim.Independent(marginals={"a": raresim.marginals.Normal()})},
        ),
        (
            "volatility_factors: unknown underlying 'X'",
            {"volatility_factors": {"X": "v"}, "factors": raresim.Normal(dim=2)},
        ),
    ):
        with pytest.raises(FieldError) as caught:
            straddles(assets=1, **options)
        assert str(caught.value).startswith(message)


def test_simple_returns_are_refused(tmp_path):
    days = "\n".join(f"2020-01-{k:02},{100 + k % 7}" for k in range(1, 29))
    (tmp_path / "p.csv").write_text(f"date,S0\n{days}\n")
    source = raresim.ReturnsSource(prices=tmp_path / "p.csv", returns="simple")
    with pytest.raises(FieldError, match=r"^factors: must be log returns, as prices move by exp"):
        straddles(assets=1, factors=raresim.Normal.fit(source))
