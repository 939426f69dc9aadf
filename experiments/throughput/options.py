"""What does a scenario of an option book cost, against NumPy and against a loop over QuantLib's engine?

``python experiments/throughput/options.py`` writes options.md beside this file: 1,000 European options on ten assets,
plain draws with full revaluation, on one thread; medians of rounds in turns, in seconds of the processor. NumPy is
written straightforwardly with ``scipy.special.ndtr``, in blocks of 10,000 scenarios whose prices are made once for each
asset. QuantLib, where it is installed, sets a quote and asks each option for its value.
"""

from __future__ import annotations

import importlib.util
import math
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import ndtr

import raresim
from raresim.models import Options

HERE = Path(__file__).parent
OPTIONS, ASSETS, SCENARIOS, BLOCK, ROUNDS = 1_000, 10, 1_000_000, 10_000, 5
OF_NUMPY, OF_RARESIM, OF_QUANTLIB = 50_000, 200_000, 20
"""Scenarios of a round; times are proportional to them."""

HORIZON, SIGMA, RATE, DIVIDEND = 0.04, 0.3, 0.05, 0.01


class Table(dict[str, list[Any]]):
    """Columns by name, as a data frame has them."""

    columns = property(list)


def terms() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    asset, is_call = np.arange(OPTIONS) % ASSETS, rng.random(OPTIONS) < 0.5
    return asset, is_call, rng.uniform(70, 130, OPTIONS), rng.uniform(0.1, 2.0, OPTIONS), rng.normal(size=OPTIONS)


def book() -> Options:
    asset, is_call, strike, expiry, quantity = terms()
    table = Table(id=[f"o{k}" for k in range(OPTIONS)], type=["call" if c else "put" for c in is_call])
    table |= {"underlying": [f"S{k}" for k in asset], "strike": strike.tolist(), "expiry": expiry.tolist()}
    table["quantity"] = quantity.tolist()
    return Options(
        positions=table,
        spots={f"S{k}": 100.0 for k in range(ASSETS)},
        factors=raresim.Normal(mean=0.0, std=SIGMA * math.sqrt(HORIZON), dim=ASSETS),
        horizon=HORIZON,
        volatility=SIGMA,
        rate=RATE,
        dividend=DIVIDEND,
    )


def by_numpy() -> float:
    asset, is_call, strike, expiry, quantity = terms()
    rng, total = np.random.default_rng(2), 0.0
    for _ in range(OF_NUMPY // BLOCK):
        spot = 100.0 * np.exp(SIGMA * math.sqrt(HORIZON) * rng.standard_normal((ASSETS, BLOCK)))
        value = np.zeros(BLOCK)
        for k in range(OPTIONS):
            s, t = spot[asset[k]], expiry[k] - HORIZON
            sd = SIGMA * math.sqrt(t)
            d1 = (np.log(s / strike[k]) + (RATE - DIVIDEND + 0.5 * SIGMA**2) * t) / sd
            near, far = math.exp(-DIVIDEND * t), strike[k] * math.exp(-RATE * t)
            if is_call[k]:
                value += quantity[k] * (s * near * ndtr(d1) - far * ndtr(d1 - sd))
            else:
                value += quantity[k] * (far * ndtr(sd - d1) - s * near * ndtr(-d1))
        total += float(value.sum())
    return total / OF_NUMPY


def by_raresim(model: Options) -> float:
    result = raresim.estimate(
        model,
        measures=raresim.Probability(above=0.0),
        method="crude",
        seed=1,
        relative_error=None,
        max_evaluations=OF_RARESIM,
    )
    return result.estimates[0].value


def by_quantlib() -> Callable[[], float]:
    """A function that values the book in `OF_QUANTLIB` scenarios."""
    import QuantLib as ql  # type: ignore[import-not-found]  # noqa: N813  # as its documentation has it

    asset, is_call, strike, expiry, quantity = terms()
    today = ql.Date(1, 1, 2026)
    ql.Settings.instance().evaluationDate = today
    quotes = [ql.SimpleQuote(100.0) for _ in range(ASSETS)]
    day = ql.Actual365Fixed()

    def flat(rate: float) -> Any:
        return ql.YieldTermStructureHandle(ql.FlatForward(today, rate, day))

    volatility = ql.BlackVolTermStructureHandle(ql.BlackConstantVol(today, ql.NullCalendar(), SIGMA, day))
    engines = [
        ql.AnalyticEuropeanEngine(
            ql.BlackScholesMertonProcess(ql.QuoteHandle(quote), flat(DIVIDEND), flat(RATE), volatility)
        )
        for quote in quotes
    ]
    options = []
    for k in range(OPTIONS):
        kind = ql.Option.Call if is_call[k] else ql.Option.Put
        left = ql.Period(round(365 * (expiry[k] - HORIZON)), ql.Days)
        option = ql.VanillaOption(ql.PlainVanillaPayoff(kind, float(strike[k])), ql.EuropeanExercise(today + left))
        option.setPricingEngine(engines[asset[k]])
        options.append(option)

    def value() -> float:
        rng, total = np.random.default_rng(2), 0.0
        for _ in range(OF_QUANTLIB):
            for quote, z in zip(quotes, rng.standard_normal(ASSETS), strict=True):
                quote.setValue(100.0 * math.exp(SIGMA * math.sqrt(HORIZON) * z))
            total += sum(q * option.NPV() for q, option in zip(quantity.tolist(), options, strict=True))
        return total / OF_QUANTLIB

    return value


def main() -> None:
    model = book()
    by_raresim(model)
    jobs: dict[str, tuple[Callable[[], float], int]] = {
        "NumPy": (by_numpy, OF_NUMPY),
        "raresim": (lambda: by_raresim(model), OF_RARESIM),
    }
    if importlib.util.find_spec("QuantLib"):
        jobs["QuantLib, a loop"] = (by_quantlib(), OF_QUANTLIB)
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(ROUNDS):
        for name, (job, scenarios) in jobs.items():
            begun = time.process_time()
            job()
            seconds[name].append(SCENARIOS / scenarios * (time.process_time() - begun))
    ours = statistics.median(seconds["raresim"])
    lines = [
        f"{SCENARIOS:,} scenarios of {OPTIONS:,} European options on {ASSETS} assets; seconds of one processor, "
        "median, smallest and largest.",
        "",
        "| program | seconds | range | ns an option | raresim is faster by |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, each in seconds.items():
        t = statistics.median(each)
        per = 1e9 * t / SCENARIOS / OPTIONS
        lines.append(f"| {name} | {t:.1f} | {min(each):.1f} to {max(each):.1f} | {per:.1f} | {t / ours:.1f} |")
    (HERE / "options.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
