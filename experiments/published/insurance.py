"""Published figures of insurance, for `run.py`: treaties, sums of heavy and light claims, storms."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from figures import UNREAD, Row, sampled
from scipy import special, stats

from raresim import marginals
from raresim.config import load
from raresim.models import Compound, Contract, Line
from raresim.models.insurance.aggregate import tails_of
from raresim.models.insurance.occurrence import Occurrence

POINTS = 2**19
"""Of the grid for expected losses: used-up limits are atoms, which a coarse grid rounds to one side."""

CONFIGS = Path(__file__).parents[2] / "configs" / "insurance"


def ceded(name: str, premium: float, rate: float, alpha: float, low: float, high: float) -> Line:
    """A line whose layer from ``low`` to ``high`` costs ``rate`` of its premium, with Pareto claims above ``low``."""
    each = low / (alpha - 1.0) * (1.0 - (low / high) ** (alpha - 1.0))
    frequency = marginals.Poisson(mu=premium * rate / each)
    return Line(name=name, frequency=frequency, severity=marginals.Pareto(b=alpha, scale=low))


def expected(model: Compound, most: float, step: float) -> float:
    """The expected loss, by the exact law: the mean of its tail probabilities between multiples of ``step``."""
    at = np.arange(0.5 * step, most, step).tolist()
    return step * math.fsum(tail.value for tail in tails_of(model.loss, at, POINTS) or ())


def treaties() -> Iterator[Row]:
    note = "the exact law, integrated"
    first = Compound(
        lines=[ceded("A", 9000, 0.04, 0.9, 40, 200), ceded("B", 3000, 0.03, 0.95, 40, 200)],
        contracts=[Contract(name="treaty", attachment=40.0, limit=160.0, aggregate_deductible=360.0)],
        view="ceded",
    )
    rate = 100 * expected(first, 3000.0, 8.0) * 100 / 75 / 12000
    yield Row("BN-1", "Bear & Nemlick (1990), treaty 1, rate in per cent", "1.58", f"{rate:.4f}", "1.5755", note=note)
    lines = [ceded(n, 2000, r, a, 300, 1000) for n, r, a in (("A", 0.10, 1.5), ("B", 0.14, 1.3), ("C", 0.21, 1.1))]
    terms = Contract(name="treaty", attachment=300.0, limit=700.0, reinstatements=3, share=0.8)
    second = Compound(lines=lines, contracts=[terms], view="ceded")
    rate = 100 * expected(second, 2240.0, 8.0) * 100 / 60 / 6000
    yield Row("BN-2", "Bear & Nemlick (1990), treaty 2, rate in per cent", "19.89", f"{rate:.4f}", "19.8862", note=note)
    used = "the cover is used up: exact by the transform, with 2^20 points"
    yield sampled("BN-2-P", "treaty 2, P(recovered >= 2,240)", second, 2240.0, "", 0.01335020, note=used)


def heavy() -> Iterator[Row]:
    n = np.arange(1, 200)
    exact = float(stats.poisson.pmf(n, 20.0) @ special.erf(n / math.sqrt(2e12)))
    model = load.load(CONFIGS / "heavy-tail.yaml").experiment().model
    what = "Gruebel & Hermesmeier (1999): Poisson(20) x Levy, P(S >= 1e12)"
    yield sampled("GH-1999", what, model, 1e12, "", exact, note=UNREAD)


def five_lomax() -> Iterator[Row]:
    lomax = Line(name="x", frequency=marginals.Binomial(n=5, p=1.0), severity=marginals.Pareto(b=1.5, loc=-1.0))
    exact, what = 1.5977420388584728e-4, "Asmussen & Kroese (2006): five Lomax(1.5), P(S >= 1,000)"
    yield sampled("LOMAX-SUM-5", what, Compound(lines=[lomax]), 1000.0, "", exact, note=UNREAD)


def light() -> Iterator[Row]:
    line = Line(name="x", frequency=marginals.Poisson(mu=10.0), severity=marginals.Gamma(a=2.0))
    for x, exact in ((60, 3.762648355598732e-5), (80, 2.932347752602834e-8)):
        what = f"Poisson(10) x Gamma(2), P(S >= {x})"
        model = Compound(lines=[line])
        note = "exponential twist of numbers and sizes of claims"
        yield sampled(f"POISSON-GAMMA-{x}", what, model, float(x), "", exact, note=note)
        note = "without the twist: what the search finds"
        yield sampled(f"POISSON-GAMMA-{x}-SEARCH", what, model, float(x), "", exact, note=note, scheme="off")


def wind() -> Iterator[Row]:
    model = load.load(CONFIGS / "us-wind.yaml").experiment().model
    for x, exact in ((200, 5.5873e-3), (500, 2.84956e-4)):
        note = "parameters of Jewson (2022); exact by the transform, with 2^20 points"
        yield sampled(f"WIND-{x}", f"five categories of storms, P(S >= {x})", model, float(x), "", exact, note=note)
    for years, exact in ((100, "141.611"), (250, "203.847")):
        oep = Occurrence(model.frequencies).quantile(1 / years)
        yield Row(f"WIND-OEP-{years}", f"largest storm in {years} years", "", f"{oep:.3f}", exact, note="closed form")


ROWS: tuple[tuple[str, Callable[[], Iterator[Row]]], ...] = (
    ("BN", treaties),
    ("GH-1999", heavy),
    ("LOMAX-SUM-5", five_lomax),
    ("POISSON-GAMMA", light),
    ("WIND", wind),
)
