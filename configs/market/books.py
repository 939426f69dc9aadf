"""Write the sensitivities of this folder: ``python configs/market/books.py``. All names and numbers are invented."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

HERE = Path(__file__).parent
SWAPS = ("SWAP_1", "SWAP_2")
FX_OPTIONS = ("FX_CALL", "FX_PUT")
HEAD = "#TradeId,IsPar,Factor_1,ShiftSize_1,Factor_2,ShiftSize_2,Currency,Base NPV,Delta,Gamma"
TENORS = ("6M", "1Y", "2Y", "5Y", "10Y")
SPOT, VOLATILITY = "FXSpot/USDEUR/0/spot", "FXVolatility/USDEUR/0/1Y/ATM"


def write(name: str, rows: Iterable[Sequence[object]]) -> None:
    with (HERE / name).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def quadratic() -> None:
    """The hundred factors of the problem DG-B2: b = 0.2 and lambda = 0.5 x 0.95^k; a gamma is twice a lambda."""
    write("deltas.csv", [["factor", "delta", "gamma"], *([f"f{k:03}", 0.2, 0.95**k] for k in range(100))])


def curve() -> None:
    """A short straddle on five points of a curve, and its covariance in squared basis points."""
    write("rates.csv", [["factor", "delta"], *([tenor, -40.0 + 25.0 * k] for k, tenor in enumerate(TENORS))])
    gammas = [["factor_1", "factor_2", "gamma"]]
    gammas += [[tenor, tenor, -2.0 - 0.5 * k] for k, tenor in enumerate(TENORS)]
    gammas += [["1Y", "2Y", -0.6], ["2Y", "5Y", -0.8], ["5Y", "10Y", -1.1]]
    write("rates_gammas.csv", gammas)
    std = [8.0, 9.0, 10.0, 11.0, 10.5]
    rows = [[a, *(std[i] * std[j] * 0.9 ** abs(i - j) for j in range(5))] for i, a in enumerate(TENORS)]
    write("rates_covariance.csv", [["factor", *TENORS], *rows])


def ore() -> None:
    """A sensitivity report, a covariance and a portfolio in the form of ORE: swaps and short currency options."""

    def row(trade: str, first: str, second: str, delta: float, gamma: float) -> list[object]:
        shift = "0.000100" if first.startswith("DiscountCurve") else "0.010000"
        return [trade, "false", first, shift, second, shift if second else "0.000000", "EUR", -2e4, delta, gamma]

    rows: list[Sequence[object]] = [HEAD.split(",")]
    for t, trade in enumerate(SWAPS):
        for k, tenor in enumerate(TENORS):
            rows.append(
                row(trade, f"DiscountCurve/EUR/{k}/{tenor}", "", (-1) ** t * (30.0 + 40.0 * k * (1 - t)), -0.2 * k)
            )
    for t, trade in enumerate(FX_OPTIONS):
        rows.append(row(trade, SPOT, "", (-1) ** t * 900.0 - 500.0, -220.0 - 30.0 * t))
        rows.append(row(trade, VOLATILITY, "", -310.0, -4.0))
        rows.append(row(trade, "FXVolatility/USDEUR/1/5Y/ATM", "", -9.0, 0.0))
        rows.append(row(trade, SPOT, VOLATILITY, 0.0, (-1) ** t * 12.0))
    write("ore/sensitivity.csv", rows)
    variance = {f"DiscountCurve/EUR/{k}/any": 120.0 for k in range(5)} | {SPOT: 9.0, VOLATILITY: 4.0}
    lines = [f"{name}\t{name}\t{value}" for name, value in variance.items()]
    lines += [f"DiscountCurve/EUR/{k}/any\tDiscountCurve/EUR/{k + 1}/any\t55.0" for k in range(4)]
    lines.append(f"{SPOT}\t{VOLATILITY}\t-2.5")
    (HERE / "ore" / "covariance.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    books = {"RATES": SWAPS, "FX": FX_OPTIONS}
    trades = [
        f'<Trade id="{trade}"><PortfolioIds><PortfolioId>{book}</PortfolioId></PortfolioIds></Trade>'
        for book, trades in books.items()
        for trade in trades
    ]
    text = "\n".join(["<Portfolio>", *trades, "</Portfolio>", ""])
    (HERE / "ore" / "portfolio.xml").write_text(text, encoding="utf-8")


def straddles() -> None:
    """The book A1 of Glasserman, Heidelberger & Shahabuddin (2000): short calls and puts on each of ten assets."""
    rows: list[Sequence[object]] = [["id", "type", "underlying", "quantity", "strike", "expiry"]]
    for k in range(10):
        rows += [[f"call_{k}", "call", f"S{k}", -10, 100, 0.5], [f"put_{k}", "put", f"S{k}", -5, 100, 0.5]]
    write("straddles.csv", rows)
    write("spots.csv", [["factor", "spot"], *([f"S{k}", 100] for k in range(10))])


def desk() -> None:
    """A small book of every kind on two underlyings, whose volatilities move too."""
    head = "id,type,underlying,quantity,strike,expiry,volatility,dividend,barrier,rebate,payout,desk"
    rows = """
index_put,put,INDEX,-40,95,0.25,0.22,0.02,,,,index
index_call,call,INDEX,-25,110,0.5,0.18,0.02,,,,index
index_knock_out,down_and_out_call,INDEX,30,100,0.75,0.2,0.02,80,2,,index
index_digital,digital_put,INDEX,-8,90,0.4,0.23,0.02,,,50,index
index_forward,forward,INDEX,20,101,0.5,,0.02,,,,index
share_average,geometric_asian_put,SHARE,-60,48,0.6,0.3,0.01,,,,shares
share_put,put,SHARE,-50,45,0.3,0.35,0.01,,,,shares
share_hedge,stock,SHARE,-40,,,,,,,,shares
cash,cash,,1500,,,,,,,,treasury
"""
    write("desk.csv", [line.split(",") for line in [head, *rows.split()]])


if __name__ == "__main__":
    straddles()
    desk()
    quadratic()
    curve()
    ore()
