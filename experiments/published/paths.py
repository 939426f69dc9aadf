"""Published figures of paths for `run.py`: knock-ins, Asian options, level crossings."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator

import numpy as np
from figures import ERROR, SEED, Row, sampled

import raresim
from raresim import marginals
from raresim.models import GeometricBrownian, Path, RandomWalk

KNOCK_INS = (
    ("T25-94-96", 0.25, 50, 94.0, 96.0, 3017.6, 2, 0.3049536067844742),
    ("T25-85-96", 0.25, 50, 85.0, 96.0, 5.6, 477, 0.0005628762173406775),
    ("T1-90-106", 1.0, 50, 90.0, 106.0, 664.8, 6, 0.06944374512238967),
    ("T25M100-90-106", 0.25, 100, 90.0, 106.0, 15.8, 180, 0.0015763327147808926),
)
"""Name, years, dates, barrier, strike, price of 10,000 and variance ratio of the paper, and the exact probability."""

ASIANS = (
    (16, 0.1, 45.0, 6.05, 11, 6.055056929231537),
    (16, 0.1, 50.0, 1.92, 7, 1.9195453602151262),
    (16, 0.3, 45.0, 7.15, 8, 7.152376599194108),
    (64, 0.1, 45.0, 6.00, 11, 5.995367948466466),
    (64, 0.3, 50.0, 4.02, 9, 4.022443116865257),
    (64, 0.3, 55.0, 2.08, 12, 2.079655768700807),
)
"""Dates, volatility, strike, price and variance ratio (of the drift alone) of the paper, and the exact price."""


def knock_ins() -> Iterator[Row]:
    process = GeometricBrownian(price=95.0, drift=0.05, volatility=0.15)
    for name, years, dates, barrier, strike, price, ratio, exact in KNOCK_INS:
        model = Path(process=process, steps=dates, horizon=years, quantity="knock_in", barrier=barrier, strike=strike)
        paper = f"{price / (1e4 * math.exp(-0.05 * years)):.3g}"
        note = "the paper's price over 10,000 exp(-rT)" + ("" if name != "T25-94-96" else "; the event is common")
        what = f"Glasserman (2004), table 4.4: knock-in digital, H = {barrier:g}, K = {strike:g}, {dates} dates"
        yield sampled(f"PATH-KI-{name}", what, model, 0.0, paper, exact, str(ratio), note)
    process = GeometricBrownian(price=100.0, drift=0.03, volatility=0.2)
    asked = {"quantity": "knock_in", "barrier": 125.0, "strike": 85.0, "option": "put", "monitoring": "continuous"}
    for steps in (1, 50):
        model = Path(process=process, steps=steps, horizon=1.0, **asked)
        what = f"up-and-in digital put, watched all the time, {steps} steps"
        yield sampled(f"PATH-BB-{steps}", what, model, 0.0, "", 0.0011038204893257983)


def crossings() -> Iterator[Row]:
    model = Path(process=RandomWalk(step=marginals.Normal(mean=-0.1, std=1.0)), steps=50, quantity="maximum")
    yield sampled(
        "PATH-WALK-MAX-50", "Gaussian walk, drift -.1, 28 within 50 steps", model, 28.0, "", 2.536308468390585e-06
    )
    steps = marginals.Finite(values=[-1.0, 1.0], probabilities=[0.6, 0.4])
    model = Path(process=RandomWalk(step=steps), steps=40, quantity="maximum")
    yield sampled(
        "PATH-BERN-WALK-40", "simple walk, p = .4, +18 within 40 steps", model, 18.0, "", 5.547005117233223e-05
    )


def asians() -> Iterator[Row]:
    process = GeometricBrownian(price=50.0, drift=0.05, volatility=0.3)
    model = Path(process=process, steps=16, horizon=1.0, quantity="average")
    yield sampled(
        "PATH-ASIAN-TAIL", "average of 16 dates, volatility .3, P(A >= 90)", model, 90.0, "", 0.001110072944677757
    )
    for dates, volatility, strike, price, ratio, exact in ASIANS:
        process = GeometricBrownian(price=50.0, drift=0.05, volatility=volatility)
        yield asian(Path(process=process, steps=dates, horizon=1.0, quantity="average"), strike, price, ratio, exact)


def asian(model: Path, strike: float, price: float, ratio: int, exact: float) -> Row:
    """The price of an Asian call: the discounted stop-loss premium of the average at the strike."""
    begun, discount = time.perf_counter(), math.exp(-0.05)
    asked = raresim.Exceedance(thresholds=[strike])
    result = raresim.estimate(model, measures=asked, seed=SEED, relative_error=ERROR)
    (table,) = (each for each in result.exhibits if "stop_loss" in each.columns)
    found = dict(zip(table.columns, table.rows[0], strict=True))
    value, error = discount * float(found["stop_loss"]), discount * float(found["stop_loss_error"])
    rows = result.evaluations["estimate"]
    variance = rows * (error / value) ** 2
    average = np.empty(100_000)
    model.loss(np.asfortranarray(np.random.default_rng(SEED).standard_normal((average.size, model.steps))), average)
    plain = np.maximum(average - strike, 0.0)
    volatility = model.process.volatility  # type: ignore[attr-defined]  # of geometric Brownian motion
    return Row(
        f"PATH-ASIAN-{model.steps}-{100 * volatility:g}-{strike:g}",
        f"Glasserman (2004), table 4.5: Asian call, {model.steps} dates, volatility {volatility:g}, K = {strike:g}",
        f"{price:.2f}",
        f"{value:.5g} +- {error:.1g}",
        f"{exact:.6g} ({(value - exact) / error:+.1f} errors)",
        f"{rows:,} of {result.evaluations['total']:,}",
        f"{variance / 0.05**2:,.0f}",
        f"{plain.var() / plain.mean() ** 2 / variance:,.1f}",
        str(ratio),
        str(result.verdict.status),
        f"{time.perf_counter() - begun:.1f}",
        "the stop-loss premium of the average; the run aims at the probability of a payoff, to 1 %",
    )


def paths() -> Iterator[Row]:
    for make in (knock_ins, crossings, asians):
        yield from make()


ROWS: tuple[tuple[str, Callable[[], Iterator[Row]]], ...] = (("PATH", paths),)
