"""Backtests of VaR and expected shortfall against realised losses: tests, and a verdict on the risk model."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from raresim.arguments.checks import between, whole
from raresim.arguments.numerals import as_share
from raresim.arguments.typed import argument
from raresim.backtests import coverage, shortfall
from raresim.backtests.coverage import TrafficLight, Transitions
from raresim.backtests.shortfall import Tail
from raresim.data.forecasts import Forecasts, ForecastSource
from raresim.errors import FieldError
from raresim.measures.levels import tail_of
from raresim.numerics.arrays import Bool, Float

SCHEMA_VERSION = 1

FEW_EXPECTED = 1.0
"""Expected number of exceedances below which the tests can hardly reject."""

DECISIVE = ("kupiec", "independence", "acerbi_szekely_2")
"""The tests that can reject the model, one for each question; the others add detail."""

TITLES = {
    "kupiec": "Kupiec: number",
    "independence": "Christoffersen: clusters",
    "conditional_coverage": "both together",
    "acerbi_szekely_1": "Acerbi-Szekely Z1",
    "acerbi_szekely_2": "Acerbi-Szekely Z2",
    "minimally_biased": "minimally biased",
}


@dataclass(frozen=True)
class Outcome:
    """The result of one test of the forecasts.

    Parameters
    ----------
    name : str
        A key of `TITLES`.
    measure : {"var", "es"}
        The forecast that is tested.
    statistic : float or None
        Likelihood ratio of a test of VaR, at least 0; statistic of a test of ES, around 0 and smaller if the ES is too
        small; None if it is undefined.
    p_value : float or None
        P-value, exact for VaR and simulated for ES; None if there is no statistic.
    p_chi_square : float or None
        Asymptotic p-value, for VaR only.
    critical : float or None
        Statistic at or below which a test of ES rejects.
    is_rejected : bool
        Whether the p-value is at most the significance level.
    message : str
        The result in words.
    """

    name: str
    measure: str
    statistic: float | None
    p_value: float | None
    p_chi_square: float | None
    critical: float | None
    is_rejected: bool
    message: str


@dataclass(frozen=True)
class TailCheck:
    """Critical values and p-values of the tests of ES with another tail law, by the name of the test."""

    tail: str
    critical: dict[str, float]
    p_values: dict[str, float | None]


@dataclass(frozen=True, kw_only=True, eq=False)
class Backtest:
    """The result of a backtest.

    Parameters
    ----------
    forecasts : Forecasts
        The forecasts that were tested.
    level, es_level : float
        Levels of the VaR and of the ES; without ES the second equals the first.
    alpha : float
        Significance level of each test.
    seed : int
        Seed of the simulated critical values.
    exceeds : (n,) bool
        Whether the loss of each day is larger than its VaR.
    accepted : tuple of int
        Smallest and largest number of exceedances that the Kupiec test accepts.
    pairs : Transitions
        Counts of pairs of successive days.
    light : TrafficLight
        The zone of the Basel Committee.
    tests : tuple of Outcome
        All tests, the tests of VaR first.
    tail : str
        Tail law of the tests of ES; empty without ES.
    tails : tuple of TailCheck
        The same tests with other tail laws.
    steps : tuple of str
        Assumptions and intermediate results, in words.
    verdict : {"not rejected", "doubtful", "rejected"}
        ``rejected`` if one of the `DECISIVE` tests has a p-value of at most ``alpha`` divided by their number, so that
        right forecasts are rejected with probability at most ``alpha``; ``doubtful`` if any single test rejects.
    findings : tuple of str
        Reasons for the verdict, in words.
    """

    forecasts: Forecasts
    level: float
    es_level: float
    alpha: float
    seed: int
    exceeds: Bool
    accepted: tuple[int, int]
    pairs: Transitions
    light: TrafficLight
    tests: tuple[Outcome, ...]
    tail: str
    tails: tuple[TailCheck, ...]
    steps: tuple[str, ...]
    verdict: str
    findings: tuple[str, ...]

    @property
    def n_exceedances(self) -> int:
        """Number of days that exceed the VaR."""
        return int(self.exceeds.sum())

    @property
    def n_expected(self) -> float:
        """Expected number of exceedances of a right VaR."""
        return self.forecasts.n_days * tail_of(self.level, None)

    def test(self, name: str) -> Outcome:
        """The test of that name."""
        return next(test for test in self.tests if test.name == name)

    def to_dict(self) -> dict[str, Any]:
        """All results except the daily series as plain text and numbers, ready for JSON."""
        f = self.forecasts
        return {
            "schema_version": SCHEMA_VERSION,
            "file": f.name,
            "sha256": f.sha256 or None,
            "sign": "loss-positive",
            "columns": dict(f.columns),
            "days": f.n_days,
            "first_date": f.dates[0].isoformat() if f.dates else None,
            "last_date": f.dates[-1].isoformat() if f.dates else None,
            "level": self.level,
            "es_level": self.es_level if f.es is not None else None,
            "alpha": self.alpha,
            "seed": self.seed,
            "verdict": self.verdict,
            "findings": list(self.findings),
            "steps": list(self.steps),
            "exceedances": {
                "count": self.n_exceedances,
                "expected": self.n_expected,
                "accepted": list(self.accepted),
                "transitions": asdict(self.pairs),
                "days": list(self._exceedances()),
            },
            "traffic_light": asdict(self.light),
            "tests": [asdict(test) for test in self.tests],
            "tail": self.tail or None,
            "tails": [asdict(check) for check in self.tails],
        }

    def _exceedances(self) -> Iterator[dict[str, Any]]:
        f = self.forecasts
        for day in np.flatnonzero(self.exceeds):
            yield {
                "row": f.rows[day],
                "date": f.dates[day].isoformat() if f.dates else None,
                "loss": float(f.losses[day]),
                "var": float(f.var[day]),
                "es": None if f.es is None else float(f.es[day]),
            }


def backtest(
    data: Forecasts | ForecastSource,
    *,
    level: float,
    es_level: float | None = None,
    alpha: float = 0.05,
    tail: str = "auto",
    seed: int = 1,
) -> Backtest:
    """Test forecasts of VaR, and of ES where there are any, against realised losses.

    A day exceeds if its loss is larger than its VaR. VaR is tested by the number of such days (Kupiec), by whether they
    cluster (Christoffersen), by both together, and by the zones of the Basel Committee; ES is tested by the tests Z1
    and Z2 and the minimally biased test of Acerbi and Szekely.

    Parameters
    ----------
    data : Forecasts or ForecastSource
        Losses and forecasts, from arrays (`Forecasts.of`) or a file.
    level : float
        Level of the VaR, such as 0.99.
    es_level : float, optional
        Level of the ES; left out, the level of the VaR. If the levels differ, the tests of ES need the VaR at the level
        of the ES: the column ``es_var``, or else the VaR times the ratio of the two quantiles of the tail law around 0.
    alpha : float
        Significance level of each test.
    tail : str
        The tail law under which the tests of ES are simulated: ``normal``, ``t3`` (any degrees of freedom above 2),
        ``gpd`` (a power law), or ``auto``. ``auto`` is Student's t around 0 with the median ratio of ES to VaR of the
        forecasts, or the normal law if that ratio is not above the normal one.
    seed : int
        Seed of the simulation.

    Notes
    -----
    VaR and ES of a day say nothing about losses below the VaR, and the statistics do not use them. Beyond the VaR the
    loss follows, if the forecasts are right, the upper tail of the law named by ``tail``, shifted and scaled to the VaR
    and ES of the day. The critical value of Z2 hardly depends on the family (250 days at 97.5 %, alpha 5 %, laws around
    0: -0.70 normal, -0.74 with 5 and -0.81 with 3 degrees of freedom; the paper has -0.7). The critical values of Z1
    and of the minimally biased test do depend on it (-0.11 and -0.16 normal, -0.42 and -0.49 with 3). All are given for
    five laws.

    Examples
    --------
    >>> losses = np.random.default_rng(1).standard_normal(500)
    >>> found = backtest(Forecasts.of(losses, var=2.326, es=2.665), level=0.99)
    >>> found.n_exceedances, found.verdict
    (4, 'not rejected')
    """
    data = argument(
        "data", data, Forecasts | ForecastSource, "make one by raresim.Forecasts.of(losses, var=..., es=...)"
    )
    level, alpha = argument("level", level, float), argument("alpha", alpha, float)
    es_level, tail = argument("es_level", es_level, float | None), argument("tail", tail, str)
    seed = argument("seed", seed, int)
    level = _level("level", level)
    es_level = level if es_level is None else _level("es_level", es_level)
    between("alpha", alpha, 1e-4, 0.5)
    seed = whole("seed", seed, least=0)
    chosen = None if tail == "auto" else Tail.of(tail)
    f = data.load() if isinstance(data, ForecastSource) else data
    exceeds = f.losses > f.var
    steps = [f"{f.sign}; VaR{' and ES are losses' if f.es is not None else ' is a loss'}", "a day exceeds: loss > VaR"]
    accepted = coverage.accepted_counts(f.n_days, tail_of(level, None), alpha)
    tests = _of_var(exceeds, tail_of(level, None), alpha, accepted)
    tails: list[TailCheck] = []
    law = ""
    if f.es is None:
        steps.append("no column of ES: VaR alone is tested")
    else:
        if chosen is None:
            ratio = float(np.median(f.es / (f.var if f.es_var is None else f.es_var)))
            chosen = Tail.matched(
                ratio, tail_of(es_level, None), tail_of(level if f.es_var is None else es_level, None)
            )
        var = _var_of_es(f, f.es, level, es_level, chosen, steps)
        of_es, tails = _of_es(f.losses, var, f.es, tail_of(es_level, None), chosen, alpha, seed)
        tests += of_es
        steps.append(
            f"tests of ES: {shortfall.N_SIMULATED:,} histories of right forecasts, beyond the VaR by the "
            f"{chosen.words}, with the VaR and ES of each day (seed {seed})"
        )
        law = str(chosen)
    verdict, findings = _verdict(tests, alpha)
    if (expected := f.n_days * tail_of(level, None)) < FEW_EXPECTED:
        findings.append(
            f"only {expected:.2g} exceedances are expected of {f.n_days} days: these tests can hardly "
            "reject; take more days or a lower level"
        )
    return Backtest(
        forecasts=f,
        level=level,
        es_level=es_level,
        alpha=alpha,
        seed=seed,
        exceeds=exceeds,
        accepted=accepted,
        pairs=Transitions.of(exceeds),
        light=coverage.traffic_light(int(exceeds.sum()), f.n_days, level),
        tests=tuple(tests),
        tail=law,
        tails=tuple(tails),
        steps=tuple(steps),
        verdict=verdict,
        findings=tuple(findings),
    )


def _level(name: str, level: float) -> float:
    """``level``, if a VaR can have it: above 0.5 and below 1."""
    if math.isfinite(level) and 1 < level < 100:
        raise FieldError(name, f"must be above 0.5 and below 1, got {level:.15g}{as_share(level)}")
    if 0 < level <= 0.5:
        raise FieldError(
            name, f"must be above 0.5 and below 1, got {level:.15g}; is it the tail? Write {1 - level:.10g}"
        )
    return between(name, level, 0.5, 1.0)


def _of_var(exceeds: Bool, tail: float, alpha: float, accepted: tuple[int, int]) -> list[Outcome]:
    count, days = int(exceeds.sum()), len(exceeds)
    pairs = Transitions.of(exceeds)
    found = {
        "kupiec": coverage.proportion_of_failures(count, days, tail),
        "independence": coverage.independence(exceeds),
        "conditional_coverage": coverage.conditional_coverage(exceeds, tail),
    }
    seen = f"{pairs.n11} of {pairs.n10 + pairs.n11} exceedances with a next day are followed by another on that day"
    size = "VaR too small: " if count > accepted[1] else "VaR too large: " if count < accepted[0] else ""
    messages = {
        "kupiec": f"{size}{count} exceedances, {days * tail:.4g} expected, {accepted[0]} to {accepted[1]} accepted",
        "independence": seen if count > 1 else "fewer than two exceedances: too few to test",
        "conditional_coverage": "number and clusters in one ratio",
    }
    return [
        Outcome(name, "var", one.statistic, one.p_value, one.p_chi_square, None, one.p_value <= alpha, messages[name])
        for name, one in found.items()
    ]


def _var_of_es(f: Forecasts, es: Float, level: float, es_level: float, law: Tail, steps: list[str]) -> Float:
    """The VaR at the level of the ES; raises `DataError` where the ES of a day is below it."""
    var, role = f.var, "var"
    if f.es_var is not None:
        var, role = f.es_var, "es_var"
    elif es_level != level:
        if law.kind == "gpd":
            raise FieldError("tail", f"'gpd' gives no VaR at the level of the ES, {es_level:g}; give it as `es_var`")
        factor = float(law.quantile(tail_of(es_level, None)) / law.quantile(tail_of(level, None)))
        var = var * factor
        steps.append(f"VaR at {es_level:g} = {factor:.4f} times the one at {level:g}, by the {law.words} around 0")
    implied = f"VaR of {'' if role == 'es_var' or es_level == level else 'its level, by the tail law, '}"
    if es_level > level:
        f.refuse(es < f.var, "es", lambda row: _too_small(es[row], f.var[row], "VaR of "))
    f.refuse(es < var, "es", lambda row: _too_small(es[row], var[row], implied))
    return var


def _too_small(es: float, var: float, which: str) -> str:
    return f"the ES is the mean of losses beyond the VaR and cannot be below it, got {es:.12g} and a {which}{var:.12g}"


def _of_es(
    losses: Float, var: Float, es: Float, tail: float, law: Tail, alpha: float, seed: int
) -> tuple[list[Outcome], list[TailCheck]]:
    """The tests of ES with the tail ``law``, and their critical values and p-values with other laws."""
    seen = shortfall.statistics(losses, var, es, tail)
    others = [Tail.of(name) for name in shortfall.COMPARED]
    checks = []
    for each, null in zip([law, *others], shortfall.simulated(var / es, tail, [law, *others], seed), strict=True):
        critical = {name: shortfall.critical_value(values, alpha) for name, values in null.items()}
        p = {name: None if (z := seen[name]) is None else shortfall.p_value(null[name], z) for name in seen}
        checks.append(TailCheck(str(each), critical, p))
    count = int((losses > var).sum())
    beyond = losses > var
    mean = f"{float((losses[beyond] / es[beyond]).mean()):.3g} times the ES" if count else ""
    messages = {
        "acerbi_szekely_1": f"{count} losses beyond the VaR, on average {mean}" if count else "no loss beyond the VaR",
        "acerbi_szekely_2": f"their number and size; {len(losses) * tail:.4g} are expected",
        "minimally_biased": "size of the ES, with little effect of a wrong VaR",
    }
    tests = []
    for name, statistic in seen.items():
        p_value = checks[0].p_values[name]
        rejected = p_value is not None and p_value <= alpha
        critical_value = checks[0].critical[name]
        tests.append(Outcome(name, "es", statistic, p_value, None, critical_value, rejected, messages[name]))
    return tests, checks[1:]


def _verdict(tests: list[Outcome], alpha: float) -> tuple[str, list[str]]:
    """The status and the reasons for it."""
    decisive = [test for test in tests if test.name in DECISIVE]
    limit = alpha / len(decisive)
    strong = [test for test in decisive if test.p_value is not None and test.p_value <= limit]
    weak = [test for test in tests if test.is_rejected]
    if not weak:
        return "not rejected", [f"no test rejects at {alpha:g}"]
    findings = [f"{_meaning(test)} (p {test.p_value:.2g})" for test in weak]
    if strong:
        return "rejected", findings
    return "doubtful", [*findings, f"none of the {len(decisive)} deciding p-values is at most {limit:.3g}"]


def _meaning(test: Outcome) -> str:
    """The meaning of a rejection, in words."""
    if test.name == "kupiec":
        return test.message
    return {
        "independence": f"exceedances are not independent: {test.message}",
        "conditional_coverage": "number and clusters of exceedances together do not fit the VaR",
        "acerbi_szekely_1": f"losses beyond the VaR are too large for the ES: {test.message}",
        "acerbi_szekely_2": "losses beyond the VaR are too many or too large for the ES",
        "minimally_biased": "the ES is too small",
    }[test.name]
