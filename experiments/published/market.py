"""Published figures of market books, for `run.py`: delta-gamma losses, option books, and Haug's prices."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from figures import Row, sampled
from scipy import stats

import raresim
from raresim.models import DeltaGamma, Options, Ore
from raresim.models.market.exact_quadratic import QuadraticLaw
from raresim.models.market.instruments import Instrument

MARKET = Path(__file__).parents[2] / "configs" / "market"
BY_TRANSFORM = "exact: contour integral of the transform"
GHS = "in the style of Glasserman, Heidelberger & Shahabuddin (2000); the ratio is that of their twist alone, exact"


class Table(dict[str, list[Any]]):
    """Columns by name, as a data frame has them."""

    columns = property(list)


def delta_gamma() -> Iterator[Row]:
    ten = raresim.Normal(mean=0.0, std=1.0, dim=10)
    for name, constant, b, lam, levels in (
        (
            "DG-A1",
            -54.534044674192195,
            22.973020223781532,
            4.951993337508313,
            ((192, 0.010073772399923651, "30.9"), (338, 0.00010156436259613638, "1,856")),
        ),
        (
            "DG-A3",
            -76.26672255876626,
            0.0,
            8.02440820305121,
            ((110, 0.009988743617783603, "24.5"), (209, 0.00010055925240684825, "1,344")),
        ),
    ):
        model = DeltaGamma(deltas=[b] * 10, gammas=[2.0 * lam] * 10, theta=constant, factors=ten, of="loss")
        for (level, exact, ratio), case in zip(levels, "ab", strict=True):
            what = f"delta-gamma loss of ten assets, P(L >= {level})"
            yield sampled(f"{name}-{case}", what, model, float(level), "", exact, ratio, f"{GHS}; {BY_TRANSFORM}")
    model = DeltaGamma(deltas=MARKET / "deltas.csv", factors=raresim.Normal(mean=0.0, std=1.0, dim=100), of="loss")
    for case, level, exact in (("a", 17.8, EXACT_B2[0]), ("b", 26.5, EXACT_B2[1])):
        what = f"quadratic loss of a hundred factors, P(L >= {level})"
        yield sampled(f"DG-B2-{case}", what, model, level, "", exact, "", BY_TRANSFORM)


EXACT_B2 = (0.00969621777039448, 1.0260616127141318e-05)


def book(calls: float, puts: float, strikes: tuple[float, float], expiry: float) -> Options:
    """Short calls and puts on each of ten assets, ten days, as the papers have them."""
    rows = [
        (f"{kind}_{k}", kind, f"S{k}", -many, strike)
        for k in range(10)
        for kind, many, strike in (("call", calls, strikes[0]), ("put", puts, strikes[1]))
    ]
    names = ("id", "type", "underlying", "quantity", "strike")
    table = Table({name: [row[k] for row in rows] for k, name in enumerate(names)})
    return Options(
        positions=Table(table, expiry=[expiry] * len(rows)),
        spots={f"S{k}": 100.0 for k in range(10)},
        factors=raresim.Normal(mean=0.0002, std=0.06, dim=10),
        horizon=0.04,
        volatility=0.3,
        rate=0.05,
        dividend=0.0,
    )


def books() -> Iterator[Row]:
    for name, model, levels in (
        (
            "BOOK-A1",
            book(10.0, 5.0, (100.0, 100.0), 0.5),
            ((206, 0.009926316993627154, "31.41"), (360, 9.932846060928565e-05, "1,890")),
        ),
        (
            "BOOK-A3",
            book(10.0, 14.306600361125003, (100.0, 100.0), 0.5),
            ((109, 0.010026855977534603, "23.55"), (204, 0.00010161777051769157, "1,162")),
        ),
        (
            "BOOK-A5",
            book(10.0, 10.0, (110.0, 90.0), 0.25),
            ((125, 0.00985121896902335, "25.52"), (238, 0.00010049724069208844, "1,391")),
        ),
    ):
        for (level, exact, ratio), case in zip(levels, "ab", strict=True):
            what = f"short calls and puts on ten assets, valued again, P(L >= {level})"
            note = f"{GHS.replace('exact', 'by simulation')}; {BY_TRANSFORM}"
            yield sampled(f"{name}-{case}", what, model, float(level), "", exact, ratio, note)


ORE = MARKET.parents[2] / "shared" / "data" / "ore"
"""The example files of ORE, which are not part of the project: without them its rows are left out."""


def ore() -> Iterator[Row]:
    if not ORE.is_dir():
        return
    files = Ore(
        sensitivity=ORE / "sensitivity.csv",
        covariance=ORE / "covariance.csv",
        portfolio=ORE / "portfolio.xml",
        portfolio_id=["PF2"],
    )
    model = DeltaGamma(ore=files)
    assert model.form is not None
    law, normal = QuadraticLaw(model.form), model.form.mean + float(stats.norm.ppf(0.99)) * model.form.std
    what = "ORE's example, portfolio PF2, 99 % VaR, delta-gamma-normal"
    note = f"its true exceedance is {law.probability(normal):.3%}, not 1 %; the exact VaR is {law.quantile(0.01):,.2f}"
    yield Row("ORE-PF2", what, "44,719.20", f"{normal:,.2f}", note=note)
    what = "ORE's example, P(loss >= 44,719.2)"
    yield sampled("ORE-PF2-P", what, model, 44_719.2, "", law.probability(44_719.2), note="exact: inversion")


HAUG = (
    ("call", "2.1334", 60.0, 65.0, 0.0, 0.08, 0.25, 0.30, {}),
    ("put", "2.4648", 100.0, 95.0, 0.05, 0.10, 0.50, 0.20, {}),
    ("digital_put", "2.6710", 100.0, 80.0, 0.06, 0.06, 0.75, 0.35, {"payout": 10.0}),
    ("geometric_asian_put", "4.6922", 80.0, 85.0, -0.03, 0.05, 0.25, 0.20, {}),
    ("down_and_out_call", "6.7924", 100.0, 100.0, 0.04, 0.08, 0.5, 0.25, {"barrier": 95.0, "rebate": 3.0}),
    ("down_and_in_call", "4.0109", 100.0, 100.0, 0.04, 0.08, 0.5, 0.25, {"barrier": 95.0, "rebate": 3.0}),
    ("up_and_out_call", "2.3580", 100.0, 100.0, 0.04, 0.08, 0.5, 0.25, {"barrier": 105.0, "rebate": 3.0}),
)
"""Type, price, spot, strike, dividend, rate, years, volatility and the rest."""


def haug() -> Iterator[Row]:
    for kind, paper, spot, strike, dividend, rate, expiry, volatility, more in HAUG:
        rates = {"dividend": dividend, "rate": rate, "expiry": expiry, "volatility": volatility}
        one, out = Instrument("a", kind, "A", 1.0, spot, strike, **rates, **more), np.zeros(1)
        one.add(np.zeros(1), np.ones(1), None, 0.0, 1.0, out)
        what = f"{kind}, spot {spot:g}, strike {strike:g}, {expiry:g} years"
        note = "Haug, as in the tests of QuantLib"
        yield Row(f"HAUG-{kind}", what, paper, f"{out[0]:.4f}", note=note)


ROWS: tuple[tuple[str, Callable[[], Iterator[Row]]], ...] = (
    ("DG", delta_gamma),
    ("BOOK", books),
    ("ORE", ore),
    ("HAUG", haug),
)
