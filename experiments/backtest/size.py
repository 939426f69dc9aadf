"""How often each test of a backtest rejects right forecasts, and forecasts that are a fifth too small.

``python experiments/backtest/size.py`` (a minute on one core) writes ``size.md``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from raresim.backtests import coverage, shortfall
from raresim.backtests.backtest import DECISIVE
from raresim.backtests.coverage import Transitions
from raresim.backtests.shortfall import STATISTICS, Tail
from raresim.measures.levels import tail_of

ALPHA, HISTORIES, SEED = 0.05, 4000, 20261125
VAR_TESTS = {
    "kupiec": lambda exceeds, tail: coverage.proportion_of_failures(int(exceeds.sum()), len(exceeds), tail),
    "independence": lambda exceeds, tail: coverage.independence(exceeds),
    "conditional_coverage": coverage.conditional_coverage,
}
COLUMNS = (*VAR_TESTS, *(f"{name}, chi-square" for name in VAR_TESTS), *STATISTICS, "rejected", "doubtful")


def rejections(law: Tail, days: int, tail: float, scale: float) -> dict[str, float]:
    """Share of the histories in which each test rejects; VaR and ES are ``scale`` times the right ones."""
    var, es = float(law.quantile(tail)), law.shortfall(tail)
    (null,) = shortfall.simulated(np.full(days, var / es), tail, [law], SEED)
    rng = np.random.default_rng(SEED)
    forecast = np.full(days, scale * var), np.full(days, scale * es)

    known: dict[tuple[int, Transitions], dict[str, float]] = {}

    def of_var(exceeds: np.ndarray) -> dict[str, float]:
        key = int(exceeds.sum()), Transitions.of(exceeds)  # all that the tests use
        if key not in known:
            found = {name: test(exceeds, tail) for name, test in VAR_TESTS.items()}
            asymptotic = {f"{name}, chi-square": one.p_chi_square for name, one in found.items()}
            known[key] = {name: one.p_value for name, one in found.items()} | asymptotic
        return known[key]

    count = dict.fromkeys(COLUMNS, 0)
    for _ in range(HISTORIES):
        losses = rng.standard_normal(days) if law.kind == "normal" else rng.standard_t(law.dof, days)
        p = dict(of_var(losses > forecast[0]))
        for name, z in shortfall.statistics(losses, *forecast, tail).items():
            p[name] = 1.0 if z is None else shortfall.p_value(null[name], z)
        p["rejected"] = len(DECISIVE) * min(p[name] for name in DECISIVE)
        p["doubtful"] = min(p[name] for name in (*VAR_TESTS, *STATISTICS))
        for name in COLUMNS:
            count[name] += p[name] <= ALPHA
    return {name: hits / HISTORIES for name, hits in count.items()}


def table(scale: float) -> list[str]:
    """The rejections in per cent, a column for each design."""
    designs = [(law, days, level) for law in ("normal", "t5") for days in (250, 1000) for level in (0.99, 0.975)]
    found = [rejections(Tail.of(law), days, tail_of(level, None), scale) for law, days, level in designs]
    head = ["test", *(f"{law}, {days:,} days, {level:g}" for law, days, level in designs)]
    rows = [[name, *(f"{100 * one[name]:.1f}" for one in found)] for name in COLUMNS]
    return ["| " + " | ".join(row) + " |" for row in [head, ["---"] + ["---:"] * len(designs), *rows]]


if __name__ == "__main__":
    parts = ["Right forecasts, per cent rejected:", "", *table(1.0), "", "VaR and ES 20 % too small:", "", *table(0.8)]
    Path(__file__).with_name("size.md").write_text("\n".join(parts) + "\n", encoding="utf-8")
