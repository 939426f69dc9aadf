"""Forecast files for `raresim backtest`: crude oil, one day, by an exponentially weighted volatility and two tails.

``python experiments/backtest/oil.py FOLDER`` writes ``oil-normal.csv`` and ``oil-t4.csv``: the loss of a long
position (minus the log return), VaR and ES at 0.99, from 2010 on, each forecast made from the days before it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from raresim import ReturnsSource
from raresim.backtests.shortfall import Tail

PRICES = Path(__file__).parents[2] / "configs" / "data" / "wti_spot_1986_2019.csv"
DECAY, BURN_IN, FIRST = 0.94, 250, np.datetime64("2010-01-01")
TAIL = 0.01


def volatility(returns: np.ndarray) -> np.ndarray:
    """Volatility of each day, from the returns before it; the first ``BURN_IN`` are not to be used."""
    variance = np.full(len(returns), np.var(returns[:BURN_IN]))
    for day in range(1, len(returns)):
        variance[day] = DECAY * variance[day - 1] + (1 - DECAY) * returns[day - 1] ** 2
    return np.sqrt(variance)


def forecasts(law: Tail) -> str:
    """The file of forecasts by a law of unit variance times the volatility."""
    table = ReturnsSource(prices=PRICES, returns="log", missing="drop").load()
    returns = table.values[:, 0]
    unit = 1.0 if law.kind == "normal" else np.sqrt((law.dof - 2) / law.dof)
    var, es = unit * float(law.quantile(TAIL)), unit * law.shortfall(TAIL)
    lines = ["date,loss,var,es"]
    for day, loss, sigma in zip(table.dates, -returns, volatility(returns), strict=True):
        if np.datetime64(day) >= FIRST:
            lines.append(f"{day},{loss:.6f},{var * sigma:.6f},{es * sigma:.6f}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for law in (Tail.of("normal"), Tail.of("t4")):
        (folder / f"oil-{law}.csv").write_text(forecasts(law), encoding="utf-8")
