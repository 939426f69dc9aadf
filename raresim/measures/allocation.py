"""A value at risk and an expected shortfall shared among the parts of a portfolio, from weighted rows of the tail."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np

from raresim.diagnostics.ess import effective
from raresim.measures.curve import TailCurve
from raresim.measures.tail_sample import TailSample, Whole
from raresim.numerics.arrays import Float

WINDOW = 3.0
"""Half-width of the window, in mean excesses, for one effective row; it falls with the fourth root of their number."""

FEWEST = 50
"""Effective rows at the value at risk from which these rows alone are used, and rows that a window is widened to
hold."""

DISAGREE = 3.0
"""Standard errors by which the window and its half must differ for the difference to count as bias."""

SLOWEST = 4.0
"""Largest probability below the floor, in multiples of the lowest strip above it: each strip has 4/5 of the next
one."""

COLUMNS = 32
"""Parts per chunk of the computation."""

LARGEST_SHARE = 0.05
"""Share of one row in the tail of the loss without a part from which on that tail is unknown."""

UNSEEN = 0.1
"""Largest probability, in standard errors of the tail, that an incremental number may miss below the floor."""


@dataclass(frozen=True, eq=False)
class Shares:
    """The contribution of each part to a number.

    Parameters
    ----------
    value, std_error : (m,) float64
        In the unit of the loss.
    drift : (m,) float64
        Bias of the window, estimated from half the window and included in ``std_error``; 0 where none shows.
    """

    value: Float
    std_error: Float
    drift: Float

    def take(self, places: list[int]) -> Shares:
        """The contributions at ``places``."""
        return Shares(self.value[places], self.std_error[places], self.drift[places])

    def and_(self, *others: Shares) -> Shares:
        """All sets of contributions, these first."""
        fields = ("value", "std_error", "drift")
        return Shares(*(np.concatenate([getattr(each, name) for each in (self, *others)]) for name in fields))

    def adding_up_to(self, total: float) -> tuple[Shares, float]:
        """Contributions changed in proportion to their sizes to add up to ``total``, and the relative change."""
        sizes = float(np.abs(self.value).sum())
        gap = total - math.fsum(self.value)
        if sizes == 0:
            return self, 0.0
        return replace(self, value=self.value + gap * np.abs(self.value) / sizes), abs(gap) / sizes


@dataclass(frozen=True, eq=False)
class Window:
    """The rows around a loss ``q`` that estimate means given ``loss = q``.

    Parameters
    ----------
    half_width : float
        Half-width of the window, in the unit of the loss; 0 where only the rows at ``q`` are used.
    at : (j,) int64
        Places of the rows in the sample.
    level, slope : (j,) float64
        Weight of each row in the mean at ``q``, and in the rate of change of this mean with the loss.
    density : float
        Density of the loss at ``q``; infinite where ``q`` is an atom.
    ess : float
        Effective number of the rows.
    """

    half_width: float
    at: Whole
    level: Float
    slope: Float
    density: float
    ess: float


@dataclass(frozen=True, eq=False)
class Near:
    """Losses of the parts in a window.

    Parameters
    ----------
    mean, slope : (m,) float64
        Mean of each part given the loss in the middle of the window, and its rate of change with the loss.
    influence : (j, m) float64
        Influence of the window's rows on the mean, for a known middle.
    """

    mean: Float
    slope: Float
    influence: Float

    @classmethod
    def of(cls, sample: TailSample, window: Window, parts: Float, q: float) -> Self:
        """Means of ``parts`` (k, m) in a window around ``q``."""
        near = parts[window.at]
        mean, slope = window.level @ near, window.slope @ near
        off = near - mean - np.outer(sample.loss[window.at] - q, slope)
        return cls(mean, slope, off * (sample.n * window.level)[:, np.newaxis])


@dataclass(frozen=True, eq=False)
class Allocation:
    """The rows of a sample with their value at risk, ready to be shared among parts.

    Parameters
    ----------
    sample : TailSample
        A sample with at least one row.
    tail : float
        Probability beyond the value at risk.
    value_at_risk : float
        The smallest loss with at most ``tail`` beyond it.
    half_width : float, optional
        Half-width of the window around the value at risk, in the unit of the loss.

    Notes
    -----
    The contribution of part ``i`` to the value at risk ``q`` is ``E[L_i | L = q]`` and to the expected shortfall
    ``(E[L_i; L > q] + (tail - P(L > q)) E[L_i | L = q]) / tail``, [1]_ and [2]_: an atom at ``q`` adds the second term.
    The mean given ``L = q`` is estimated from the rows at ``q`` if these are many (an atom), and otherwise by a local
    linear regression of ``L_i`` on the loss within the window. Both give ``q`` for the loss itself, so parts that add
    up to the loss add up to both numbers by construction.

    A window of the half-width ``h = 3 s n^(-1/4)``, ``s`` the mean excess ``E[L - q | L > q]`` and ``n`` the effective
    number of rows within ``s`` of ``q``, shrinks faster than the window of least squared error, whose bias would be as
    large as its standard error. The bias is of the order ``h^2``, and half the window has a quarter of it: where the
    two windows differ by more than `DISAGREE` standard errors of the difference, 4/3 of the difference is added to the
    standard error, in squares.

    Standard errors come from influence functions. Because the quantile is an estimate, the influence on a contribution
    to the expected shortfall has ``L_i - E[L_i | L = q]`` in place of ``L_i``; the influence on a contribution to the
    value at risk has the additional term slope of the regression times ``1{L > q} / f(q)``, the influence of the
    quantile.

    References
    ----------
    .. [1] D. Tasche, *Capital allocation for credit portfolios with kernel estimators*, Quant. Finance 9, 2009.
    .. [2] D. Tasche, *Risk contributions and performance measurement*, 1999.
    """

    sample: TailSample
    tail: float
    value_at_risk: float
    half_width: float | None = None

    @cached_property
    def beyond(self) -> Float:
        """1 for the rows with a loss above the value at risk, (k,)."""
        return (self.sample.loss > self.value_at_risk).astype(np.float64)

    @cached_property
    def expected_shortfall(self) -> float:
        """``VaR + E[(L - VaR)+] / tail``."""
        excess = np.maximum(self.sample.loss - self.value_at_risk, 0.0)
        return self.value_at_risk + self.sample.mean(excess) / self.tail

    @cached_property
    def at_the_edge(self) -> float:
        """The share of the tail at the value at risk itself, ``1 - P(L > VaR) / tail``."""
        return 1.0 - self.sample.mean(self.beyond) / self.tail

    @cached_property
    def window(self) -> Window:
        """The rows for means at the value at risk."""
        sample, q = self.sample, self.value_at_risk
        tied = np.flatnonzero(sample.loss == q)
        if tied.size > 1 and effective(sample.weight[tied]) >= FEWEST:
            return _atom(sample, tied)
        return window_of(sample, sample.loss, q, self.width)

    @cached_property
    def width(self) -> float:
        """Half-width of the window: the one asked for or by the rule, but wide enough for `FEWEST` rows."""
        distance = np.abs(self.sample.loss - self.value_at_risk)
        near = self.sample.weight[distance <= self.scale]
        width = self.half_width or WINDOW * self.scale * max(1.0, effective(near)) ** -0.25
        last = min(FEWEST, distance.size) - 1
        return max(width, float(np.partition(distance, last)[last]) * 1.001)

    @cached_property
    def scale(self) -> float:
        """The mean excess of the loss over the value at risk."""
        mass = self.sample.mean(self.beyond)
        return (self.expected_shortfall - self.value_at_risk) * self.tail / mass if mass > 0 else 0.0

    @cached_property
    def half_window(self) -> Window | None:
        """A window half as wide, to estimate the bias of the whole one; None for an atom or too few rows."""
        if self.window.half_width == 0:
            return None
        narrow = window_of(self.sample, self.sample.loss, self.value_at_risk, 0.5 * self.window.half_width)
        return narrow if narrow.half_width > 0 and narrow.at.size >= FEWEST // 2 else None

    def of_value_at_risk(self, parts: Float) -> Shares:
        """The contribution of each of ``parts`` (k, m) to the value at risk."""
        return Shares(*np.concatenate([self._at_risk(some) for some in chunks(parts)], axis=1))

    def of_expected_shortfall(self, parts: Float) -> Shares:
        """The contribution of each of ``parts`` (k, m) to the expected shortfall."""
        return Shares(*np.concatenate([self._shortfall(some) for some in chunks(parts)], axis=1))

    def _at_risk(self, parts: Float) -> Float:
        """Values, standard errors and drifts of contributions to the value at risk, (3, m)."""
        near = Near.of(self.sample, self.window, parts, self.value_at_risk)
        weight = self.sample.weight * self.beyond
        steps = near.slope / self.window.density
        total = near.influence.sum(axis=0) + steps * weight.sum()
        squares = np.square(near.influence).sum(axis=0) + steps**2 * (weight @ weight)
        squares += 2.0 * steps * (weight[self.window.at] @ near.influence)
        drift = self.drift(parts, near)
        return np.array([near.mean, np.hypot(self._error(total, squares), drift), drift])

    def _shortfall(self, parts: Float) -> Float:
        """Values, standard errors and drifts of contributions to the expected shortfall, (3, m)."""
        sample, edge = self.sample, self.at_the_edge
        near = Near.of(sample, self.window, parts, self.value_at_risk)
        rows = np.flatnonzero(self.beyond)
        weight = sample.weight * self.beyond / self.tail
        value = weight[rows] @ parts[rows] / sample.n + edge * near.mean
        influence = (parts[rows] - near.mean) * weight[rows, np.newaxis]
        both = (parts[self.window.at] - near.mean) * weight[self.window.at, np.newaxis] * near.influence
        total = influence.sum(axis=0) + edge * near.influence.sum(axis=0)
        squares = np.square(influence).sum(axis=0) + edge**2 * np.square(near.influence).sum(axis=0)
        squares += 2.0 * edge * both.sum(axis=0)
        drift = edge * self.drift(parts, near)
        return np.array([value, np.hypot(self._error(total, squares), drift), drift])

    def drift(self, parts: Float, near: Near) -> Float:
        """The bias (m,) of the means of ``parts`` at the value at risk, from half the window; 0 where none shows."""
        if self.half_window is None:
            return np.zeros(parts.shape[1])
        narrow = Near.of(self.sample, self.half_window, parts, self.value_at_risk)
        gap, change = near.mean - narrow.mean, near.influence.copy()
        change[np.searchsorted(self.window.at, self.half_window.at)] -= narrow.influence
        noise = self._error(change.sum(axis=0), np.square(change).sum(axis=0))
        is_rounding = np.abs(gap) <= 1e-9 * np.abs(parts[self.window.at]).max(axis=0)
        return np.where(is_rounding | (np.abs(gap) <= DISAGREE * noise), 0.0, 4.0 / 3.0 * gap)

    def _error(self, total: Float, squares: Float) -> Float:
        """`TailSample.error_of_sum` of influences with these sums and sums of squares, (m,)."""
        n = self.sample.n
        error: Float = np.sqrt(np.maximum(squares / n - np.square(total / n), 0.0) / max(1, n - 1))
        return error

    def without(self, part: Float) -> Without | None:
        """How much smaller both numbers would be without ``part`` (k,); None where that is unknown.

        It is unknown where rows below the floor matter, or where a few rows make up the tail of the rest: a proposal
        tuned to the whole loss hardly draws where only the rest is large, and the error is then unknown too.
        """
        sample = self.sample
        rest = sample.loss - part
        curve = TailCurve.of_rows(sample.n, rest, sample.log_weight)
        at = curve.index(self.tail)
        q = None if at is None else float(curve.loss[at])
        if q is None or self._unseen(rest >= q) > UNSEEN * sample.error_of_mean(self.beyond):
            return None
        own = sample.weight[rest >= q]
        if effective(own) < FEWEST or own.max() > LARGEST_SHARE * own.sum():
            return None
        over = (rest > q).astype(np.float64)
        excess = np.maximum(rest - q, 0.0)
        shortfall = q + sample.mean(excess) / self.tail
        more = np.maximum(sample.loss - self.value_at_risk, 0.0) - excess
        other = window_of(sample, rest, q, self.width)
        density = math.inf if effective(sample.weight[rest == q]) >= FEWEST else other.density
        influence = sample.weight * (self.beyond / self.window.density - over / density)
        return Without(
            value_at_risk=self.value_at_risk - q,
            value_at_risk_error=sample.error_of_sum(influence),
            expected_shortfall=self.expected_shortfall - shortfall,
            expected_shortfall_error=sample.error_of_sum(sample.weight * more / self.tail),
        )

    def _unseen(self, counted: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> float:
        """Upper limit of an event's probability below the floor, from its ``counted`` rows (k,).

        From the upper to the lower of two strips of equal width above the floor the probability falls by a factor; it
        falls at least as fast below the floor if the density of the loss in the event is log-concave. The limit is at
        most `SLOWEST` times the probability of the lower strip.
        """
        sample, floor = self.sample, self.sample.floor
        if not math.isfinite(floor):
            return 0.0
        strip = min(0.125 * (self.expected_shortfall - floor), 0.5 * (self.value_at_risk - floor))
        place = np.floor((sample.loss - floor) / strip) if strip > 0 else np.zeros(sample.loss.size)
        low, high = (sample.mean(((place == k) & counted).astype(np.float64)) for k in (0, 1))
        return low * low / (high - low) if high > (1 + 1 / SLOWEST) * low else SLOWEST * low


@dataclass(frozen=True)
class Without:
    """How much smaller both numbers would be without one part of the portfolio, with standard errors."""

    value_at_risk: float
    value_at_risk_error: float
    expected_shortfall: float
    expected_shortfall_error: float


def chunks(parts: Float) -> Iterator[Float]:
    """``parts`` (k, m), some columns at a time."""
    return (np.ascontiguousarray(parts[:, k : k + COLUMNS]) for k in range(0, parts.shape[1], COLUMNS))


def window_of(sample: TailSample, loss: Float, q: float, half_width: float) -> Window:
    """The window of ``half_width`` around ``q`` on ``loss`` (k,), with Epanechnikov's kernel.

    Where all rows of the window have the same loss, it takes their plain mean.
    """
    distance = loss - q
    at = np.flatnonzero(np.abs(distance) < half_width)
    if at.size == 0:
        return _atom(sample, np.flatnonzero(np.abs(distance) == np.abs(distance).min()))
    scaled = distance[at] / half_width
    mass = sample.weight[at] * (1.0 - scaled**2)
    s0, s1, s2 = (float(mass @ scaled**k) for k in range(3))
    spread = s0 * s2 - s1 * s1
    if spread <= 1e-10 * s0 * s0:
        return _atom(sample, at)
    seen = max(-1.0, min(1.0, (sample.floor - q) / half_width))
    area = (1.0 - 1.0 / 3.0) - (seen - seen**3 / 3.0)
    return Window(
        half_width=half_width,
        at=at,
        level=mass * (s2 - s1 * scaled) / spread,
        slope=mass * (s0 * scaled - s1) / spread / half_width,
        density=s0 / sample.n / half_width / area if area > 0 else math.inf,
        ess=effective(mass),
    )


def _atom(sample: TailSample, at: Whole) -> Window:
    weight = sample.weight[at]
    return Window(0.0, at, weight / weight.sum(), np.zeros(at.size), math.inf, effective(weight))
