"""Tests of expected shortfall, with critical values from simulated histories of right forecasts.

VaR and ES of a day leave the shape of its tail open, so the law of a right forecast has to be chosen: beyond the day's
VaR the loss follows a named family, shifted and scaled to the VaR and ES of the forecast. No statistic uses losses
below the VaR. `Tail` has the families.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from raresim.errors import FieldError
from raresim.numerics.arrays import Float
from raresim.numerics.streams import stream

N_SIMULATED = 50_000
"""Number of simulated histories: the standard error of a p-value near 5 % is then 0.1 percentage points."""

AT_ONCE = 2_000_000
"""Number of exceedances that are simulated at once, which limits the memory."""

LEAST_DOF, MOST_DOF = 2.1, 200.0
"""Range in which degrees of freedom are matched; a t law with more is almost normal."""

COMPARED = ("normal", "t10", "t5", "t3", "gpd")
"""Further tail laws for which critical values are given."""

STATISTICS = ("acerbi_szekely_1", "acerbi_szekely_2", "minimally_biased")

KNOTS = np.linspace(0.0, 37.0, 20_001)
"""Knots of the linear interpolation of an excess, as minus logs of uniform numbers; the smallest of these is 2^-53."""

_STUDENT = re.compile(r"t([0-9]+(?:\.[0-9]+)?)")


@dataclass(frozen=True)
class Tail:
    """Shape of a loss beyond the VaR.

    Parameters
    ----------
    kind : {"normal", "t", "gpd"}
        ``normal`` and ``t``: the upper tail of that law, shifted and scaled to the day's VaR and ES. ``gpd``: the
        generalised Pareto excess that makes the whole tail a power law with this VaR ``v`` and ES ``e``, ``P(L > x | L
        > v) = (v / x)^(e / (e - v))``.
    dof : float
        Degrees of freedom of ``t``, above 2.
    """

    kind: Literal["normal", "t", "gpd"]
    dof: float = math.inf

    @classmethod
    def of(cls, name: str) -> Tail:
        """The tail called ``normal``, ``gpd``, or ``t`` and its degrees of freedom: ``t3``, ``t4.5``."""
        if name == "normal":
            return cls("normal")
        if name == "gpd":
            return cls("gpd")
        if (student := _STUDENT.fullmatch(name)) and float(student[1]) > 2:
            return cls("t", float(student[1]))
        raise FieldError(
            "tail", f"must be auto, normal, gpd, or t and degrees of freedom above 2 such as t4.5, got {name!r}"
        )

    @classmethod
    def matched(cls, ratio: float, tail: float, var_tail: float) -> Tail:
        """The Student t law around 0 whose ES and VaR have this ratio; the normal law where it has a smaller one.

        Parameters
        ----------
        ratio : float
            ES divided by VaR.
        tail, var_tail : float
            Probabilities beyond the VaR at the level of the ES, and beyond the given VaR.

        Notes
        -----
        Degrees of freedom are from `LEAST_DOF` to `MOST_DOF`; if no such law has the ratio, the nearer end is taken.
        """
        from scipy.optimize import brentq

        def gap(log_dof: float) -> float:
            law = cls("t", math.exp(log_dof))
            return law.shortfall(tail) / float(law.quantile(var_tail)) - ratio

        low, high = math.log(LEAST_DOF), math.log(MOST_DOF)
        ends = gap(low), gap(high)
        if ends[0] * ends[1] < 0:
            return cls("t", float(f"{math.exp(brentq(gap, low, high)):.3g}"))
        return cls("t", LEAST_DOF) if abs(ends[0]) < abs(ends[1]) else cls("normal")

    def __str__(self) -> str:
        return f"t{self.dof:g}" if self.kind == "t" else self.kind

    @property
    def words(self) -> str:
        """The name of the law in a sentence."""
        laws = {"normal": "normal law", "t": f"Student t law, {self.dof:g} degrees of freedom", "gpd": "power law"}
        return laws[self.kind]

    def quantile(self, tail: float | Float) -> Float:
        """Quantile of the standard law with the probability ``tail`` beyond it."""
        from scipy.special import ndtri, stdtrit

        return np.asarray(-stdtrit(self.dof, tail) if self.kind == "t" else -ndtri(tail), dtype=np.float64)

    def shortfall(self, tail: float) -> float:
        """Mean of the standard law beyond its `quantile`."""
        from scipy.stats import norm, t

        q = float(self.quantile(tail))
        if self.kind == "t":
            return float(t.pdf(q, self.dof)) / tail * (self.dof + q * q) / (self.dof - 1)
        return float(norm.pdf(q)) / tail

    def excess(self, u: Float, ratio: Float, tail: float) -> Float:
        """Loss minus VaR, as a share of the ES, on days that exceed.

        Parameters
        ----------
        u : (n,) float64
            Uniform numbers in (0, 1]: the probability of a larger excess, given an exceedance.
        ratio : (n,) float64
            VaR divided by ES, in (0, 1].
        tail : float
            Probability of an exceedance.
        """
        if self.kind == "gpd":
            return np.asarray(ratio * np.expm1(-(1.0 - ratio) * np.log(u)), dtype=np.float64)
        return (1.0 - ratio) * np.interp(-np.log(u), KNOTS, self._unit_excess(tail))

    def _unit_excess(self, tail: float) -> Float:
        """Excess of mean 1 at `KNOTS`: a quantile of Student's t takes thirty times as long as linear interpolation."""
        q = float(self.quantile(tail))
        return (self.quantile(tail * np.exp(-KNOTS)) - q) / (self.shortfall(tail) - q)


def statistics(losses: Float, var: Float, es: Float, tail: float) -> dict[str, float | None]:
    """The three statistics by name: right forecasts have mean 0, and a negative value means that the ES is too small.

    Parameters
    ----------
    losses, var, es : (n,) float64
        Realised losses, and forecasts of VaR and ES at the same level.
    tail : float
        Probability of exceeding the VaR.

    Notes
    -----
    Sums are over the ``N`` of ``T`` days that exceed the VaR:

    * ``acerbi_szekely_1`` is ``Z1 = 1 - sum(L / ES) / N`` [1]_, of the sizes alone; None without an exceedance; *
    ``acerbi_szekely_2`` is ``Z2 = 1 - sum(L / ES) / (T tail)`` [1]_, of number and sizes together; *
    ``minimally_biased`` is the mean of ``(ES - VaR - max(L - VaR, 0) / tail) / ES`` [2]_, which a wrong VaR changes
    only in second order, and downwards.

    Losses are positive here and profits are in the papers; the statistics are the same numbers.

    References
    ----------
    .. [1] Acerbi & Szekely, *Backtesting expected shortfall*, Risk, December 2014.
    .. [2] Acerbi & Szekely, *The minimally biased backtest for ES*, Risk, September 2019.
    """
    exceeds = losses > var
    size = float((losses[exceeds] / es[exceeds]).sum())
    excess = float(((losses - var)[exceeds] / es[exceeds]).sum())
    count, expected = int(exceeds.sum()), len(losses) * tail
    return {
        "acerbi_szekely_1": 1.0 - size / count if count else None,
        "acerbi_szekely_2": 1.0 - size / expected,
        "minimally_biased": float((1.0 - var / es).mean()) - excess / expected,
    }


def simulated(ratio: Float, tail: float, tails: Sequence[Tail], seed: int) -> list[dict[str, Float]]:
    """The `statistics` of `N_SIMULATED` histories in which the forecasts are right, sorted, for each of ``tails``.

    Parameters
    ----------
    ratio : (n,) float64
        VaR divided by ES of each day, at the same level.
    tail : float
        Probability of exceeding the VaR.
    tails : sequence of Tail
        Tail laws. The same days exceed for all of them, with the same uniform numbers.
    seed : int
        Seed of the simulation.

    Returns
    -------
    list of dict
        Maps the name of each statistic to (m,) float64; ``acerbi_szekely_1`` has only histories with an exceedance.
    """
    at_once = min(N_SIMULATED, max(1, int(AT_ONCE / (len(ratio) * tail + 1))))
    parts = [
        _block(ratio, tail, tails, min(at_once, N_SIMULATED - begin), stream(seed, 0, block))
        for block, begin in enumerate(range(0, N_SIMULATED, at_once))
    ]
    return [
        {name: np.sort(np.concatenate([part[k][name] for part in parts])) for name in STATISTICS}
        for k in range(len(tails))
    ]


def _block(
    ratio: Float, tail: float, tails: Sequence[Tail], histories: int, rng: np.random.Generator
) -> list[dict[str, Float]]:
    """Some of the histories, joined into one long series of days, of which only days that exceed are drawn."""
    days = len(ratio)
    at = _exceedances(histories * days, tail, rng)
    u = 1.0 - rng.random(len(at))
    owner, day = np.divmod(at, days)
    count = np.bincount(owner, minlength=histories)
    expected, center = days * tail, float((1.0 - ratio).mean())
    found = []
    for law in tails:
        over = law.excess(u, ratio[day], tail)
        size = np.bincount(owner, weights=ratio[day] + over, minlength=histories)
        excess = np.bincount(owner, weights=over, minlength=histories)
        some = count > 0
        one = 1.0 - size[some] / count[some]
        found.append(dict(zip(STATISTICS, (one, 1.0 - size / expected, center - excess / expected), strict=True)))
    return found


def _exceedances(days: int, tail: float, rng: np.random.Generator) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Indices of the independent ``days`` that exceed, by the geometric gaps between them."""
    chunk = int(days * tail + 6.0 * math.sqrt(days * tail)) + 10
    at = np.cumsum(rng.geometric(tail, chunk)) - 1
    while at[-1] < days:
        at = np.concatenate([at, at[-1] + np.cumsum(rng.geometric(tail, chunk))])
    return at[: np.searchsorted(at, days)]


def p_value(null: Float, statistic: float) -> float:
    """Probability of a statistic at most as large [1]_; the observed history counts as one of the simulated ones.

    Parameters
    ----------
    null : (m,) float64
        Sorted statistics of simulated histories.
    statistic : float
        Statistic of the observed history.

    References
    ----------
    .. [1] Phipson & Smyth, *Permutation p-values should never be zero*, Stat. Appl. Genet. Mol. Biol. 9, 2010.
    """
    as_small = int(np.searchsorted(null, statistic + 1e-12, side="right"))
    return (1 + as_small) / (1 + len(null))


def critical_value(null: Float, alpha: float) -> float:
    """The largest statistic whose `p_value` would be at most ``alpha``."""
    return float(null[max(0, math.floor(alpha * (len(null) + 1)) - 2)])
