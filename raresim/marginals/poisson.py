"""The Poisson law, and the common part of the laws of counts: exact probabilities, tables and searches."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from raresim.arguments import checks
from raresim.errors import DataError, FieldError
from raresim.marginals import likelihood
from raresim.marginals.base import U_MAX, Discrete, Moments
from raresim.marginals.finite import TIE, Atoms, smaller_tail
from raresim.marginals.likelihood import MarginalFit
from raresim.numerics import normal_scores
from raresim.numerics.arrays import Bool, Float
from raresim.registry import member

MOST_ATOMS = 1_000_000

LARGEST_COUNT = 1e15
"""Means above it are refused, because doubles would skip whole numbers."""

LOG_SMALLEST = -715.0
"""Log probability of the last atoms that are listed; a tail of 1e-307 lies within them."""

MARGIN = 50.0
"""The sums of a table begin this much further out in log probability, so that the tails of all atoms are exact."""

GRID = 257
GAUSS_NODES = 16


class Count(Discrete):
    """A law on whole numbers with one mode.

    Up to a million atoms are tabulated, with tails that are sums of exact probabilities. A law with more atoms
    evaluates its tails by special functions, and searches for its quantiles.
    """

    # A law defines these.

    @abstractmethod
    def _log_probability(self, k: Float) -> Float:
        """Log probability of whole numbers ``k`` (n,) inside the support."""

    @abstractmethod
    def _tails(self, k: Float) -> tuple[Float, Float]:
        """``P(X <= k)`` and ``P(X > k)`` at whole numbers ``k`` (n,) inside the support, for a law without a table."""

    # These follow from them.

    @property
    def atoms(self) -> Float | None:
        return None if self._table is None else self._table.values

    def logpdf(self, x: ArrayLike) -> Float:
        x = np.asarray(x, dtype=np.float64)
        low, high = self.support
        out = np.where(np.isnan(x), np.nan, -np.inf)
        possible = (x >= low) & (x <= high) & (np.floor(x) == x) & np.isfinite(x)
        out[possible] = self._log_probability(x[possible])
        return out

    def logcdf(self, x: ArrayLike) -> Float:
        return self._log_tails(x)[0] if self._table is None else self._table.logcdf(x)

    def logsf(self, x: ArrayLike) -> Float:
        return self._log_tails(x)[1] if self._table is None else self._table.logsf(x)

    def quantile(self, log_p: ArrayLike, upper: bool = False) -> Float:
        log_p = np.asarray(log_p, dtype=np.float64)
        smaller, swapped = smaller_tail(log_p)
        out = np.where(log_p <= 0, np.where(swapped ^ upper, self.support[1], self.support[0]), np.nan)
        proper = (smaller > -np.inf) & (log_p <= 0)
        if self._table is not None:
            out[proper] = self._table.quantile(log_p[proper], upper)
            return out
        for side in (False, True):
            rows = proper & ((swapped ^ upper) == side)
            out[rows] = self._search(smaller[rows], side)
        return out

    def entropy(self) -> float:
        """Shannon's entropy: the sum over the atoms; for a law with more than a million, partly as an integral.

        From 1e5 on, the sum is replaced by the integral from half below the first term to half above the last, whose
        error is of order 1e-12 there, by Gauss-Legendre quadrature between quantiles.
        """
        if self._table is not None:
            p = np.exp(self._table.log_p)
            return float(-(p @ self._table.log_p))

        def term(k: Float) -> Float:
            log_p = self._log_probability(k)
            return np.asarray(-np.exp(log_p) * log_p)

        low, high = self._range
        singly = np.arange(low, max(low, 1e5))
        places = self._grid[1]
        edges = np.unique(np.concatenate(([low + singly.size, high], places[places > low + singly.size]))) - 0.5
        edges[-1] += 1.0
        node, weight = np.polynomial.legendre.leggauss(GAUSS_NODES)
        half = 0.5 * np.diff(edges)
        k = 0.5 * (edges[1:] + edges[:-1]) + half * node[:, None]
        return float(term(singly).sum() + weight @ term(k.ravel()).reshape(k.shape) @ half)

    def _log_tails(self, x: ArrayLike) -> tuple[Float, Float]:
        x = np.floor(np.asarray(x, dtype=np.float64))
        low, high = self.support
        cdf, sf = np.where(x < low, 0.0, np.where(x >= high, 1.0, np.nan)), np.where(x < low, 1.0, 0.0)
        sf[np.isnan(x)] = np.nan
        inside = (x >= low) & (x < high)
        cdf[inside], sf[inside] = self._tails(x[inside])
        with np.errstate(divide="ignore"):
            return (
                np.where(sf < 0.5, np.log1p(-np.minimum(sf, 0.5)), np.log(cdf)),
                np.where(cdf < 0.5, np.log1p(-np.minimum(cdf, 0.5)), np.log(sf)),
            )

    @cached_property
    def _range(self) -> tuple[float, float]:
        """First and last whole number whose log probability is at least ``LOG_SMALLEST - MARGIN``."""
        least, most = self.support
        centre = float(np.clip(np.floor(self.moments().mean), least, most))

        def is_low(k: Float) -> Bool:
            return np.asarray(self._log_probability(k) < LOG_SMALLEST - MARGIN)

        step = 1.0
        while centre + step < most and not is_low(np.array([centre + step]))[0]:
            step *= 2.0
        beyond = centre + step if centre + step < most else most + 1.0
        outside = first_true(lambda k: (k > most) | is_low(np.minimum(k, most)), np.array([centre]), np.array([beyond]))
        inside = first_true(lambda k: ~is_low(k), np.array([least - 1.0]), np.array([centre]))
        return float(inside[0]), float(outside[0]) - 1.0

    @cached_property
    def _table(self) -> Atoms | None:
        low, high = self._range
        if high - low >= MOST_ATOMS:
            return None
        values = np.arange(low, high + 1.0)
        table = Atoms.of(values, self._log_probability(values))
        return table.within(table.log_p >= LOG_SMALLEST)

    # These are the quantiles of a law without a table.

    @cached_property
    def _grid(self) -> tuple[Float, Float]:
        """Standard normals, increasing, and the law's values there."""
        u = np.linspace(-U_MAX, U_MAX, GRID)
        low, high = self._range
        k = np.empty(GRID)
        tail = normal_scores.log_tail(u)
        for side in (False, True):
            rows = (u > 0) == side
            n = int(rows.sum())
            k[rows] = first_true(self._reached(tail[rows], side), np.full(n, low - 1.0), np.full(n, high))
        return u, k

    def _reached(self, log_p: Float, upper: bool) -> Callable[[Float], Bool]:
        """The condition on ``k`` (n,) that defines the quantile; it is true from the quantile on."""
        if upper:
            return lambda k: self._log_tails(k)[1] <= log_p + TIE
        return lambda k: self._log_tails(k)[0] >= log_p - TIE

    def _search(self, log_p: Float, upper: bool) -> Float:
        """The quantiles, by Newton steps from the grid, then doubling steps to a bracket, then bisection."""
        u, places = self._grid
        target = np.empty(log_p.shape)
        normal_scores.from_log_tail(log_p, upper, target)
        cell = np.clip(np.searchsorted(u, target) - 1, 0, GRID - 2)
        low, high = places[cell], places[cell + 1]
        k = np.clip(np.interp(target, u, places), low, high)
        for _ in range(3):
            log_tail = self._log_tails(np.floor(k))[int(upper)]
            with np.errstate(all="ignore"):
                step = (log_tail - log_p) * np.exp(log_tail - self._log_probability(np.floor(k)))
            k = np.clip(k + np.where(np.isfinite(step), step if upper else -step, 0.0), low, high)
        k = np.floor(k)
        reached = self._reached(log_p, upper)
        least, most = self._range
        down = reached(k)
        bound = k.copy()
        width = 1.0
        seeking = np.ones(k.shape, dtype=bool)
        while seeking.any():
            bound = np.where(seeking, np.clip(k + np.where(down, -width, width), least - 1.0, most), bound)
            at_end = np.where(down, bound < least, bound >= most)
            seeking &= ~at_end & (reached(bound) == down)
            width *= 4.0
        return first_true(reached, np.where(down, bound, k), np.where(down, k, bound))


def first_true(condition: Callable[[Float], Bool], low: Float, high: Float) -> Float:
    """The smallest whole number above ``low`` (n,) where ``condition`` holds; it holds from there up to ``high``."""
    while True:
        middle = np.floor(0.5 * (low + high))
        if (middle <= low).all():
            return high
        # A bracket that is already closed is evaluated at its upper end, where the answer changes nothing.
        true = condition(np.where(middle <= low, high, middle)) | (middle <= low)
        high = np.where(true & (middle > low), middle, high)
        low = np.where(true, low, middle)


def stirling_error(k: Float) -> Float:
    """``log Gamma(k + 1) - log(sqrt(2 pi k) (k/e)^k)`` for ``k > 0``: [1]_ eq. (3).

    References
    ----------
    .. [1] Loader, *Fast and accurate computation of binomial probabilities*, 2000.
    """
    from scipy import special

    z = np.maximum(k, 15.0)
    s = 1.0 / (z * z)
    series = (1 / 12 - s * (1 / 360 - s * (1 / 1260 - s * (1 / 1680 - s * (1 / 1188 - s * 691 / 360360))))) / z
    small = np.minimum(k, 15.0)
    exact = special.gammaln(small + 1.0) - ((small + 0.5) * np.log(small) - small + 0.5 * math.log(2.0 * math.pi))
    return np.where(k < 15.0, exact, series)


def deviance(k: Float, mean: Float | float) -> Float:
    """``k log(k / mean) + mean - k`` for ``k > 0``, without cancellation where the two are close: [1] sec. 3."""
    v = (k - mean) / (k + mean)
    near = np.abs(v) < 0.3
    s = np.where(near, v * v, 0.0)
    series = np.zeros(np.shape(s))
    for j in range(15, 0, -1):
        series = s * (1.0 / (2 * j + 1) + series)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        far = k * np.log(k / mean) + mean - k
    return np.where(near, (k - mean) * v + 2.0 * k * v * series, far)


def log_binomial(k: Float, n: Float | float, p: float, q: float) -> Float:
    """Log of the binomial probability for ``0 < k < n``, which need not be whole, and ``q = 1 - p``: [1] eq. (2)."""
    rest = n - k
    return np.asarray(
        stirling_error(np.asarray(n, dtype=np.float64))
        - stirling_error(k)
        - stirling_error(rest)
        - deviance(k, n * p)
        - deviance(rest, n * q)
        - 0.5 * (math.log(2.0 * math.pi) + np.log(k) + np.log1p(-k / n))
    )


def counts(cls: type[Discrete], x: Float, least: int = 0) -> None:
    """Raise `DataError` where a value is not a whole number of at least ``least``."""
    wrong = (x < least) | (np.floor(x) != x)
    if wrong.any():
        first = int(wrong.argmax())
        raise DataError(f"{cls.kind} needs whole numbers from {least} on, got {x[first]:.15g} at row {first}")


@member("marginal")
@dataclass(frozen=True, kw_only=True, eq=False)
class Poisson(Count):
    """Poisson law, ``P(X = k) = mu^k exp(-mu) / k!`` for ``k = 0, 1, ...``.

    Parameters
    ----------
    mu : float
        Mean, positive and at most 1e15.
    """

    kind: ClassVar[str] = "poisson"

    mu: float

    def __post_init__(self) -> None:
        if checks.positive("mu", self.mu) > LARGEST_COUNT:
            raise FieldError("mu", f"must be at most {LARGEST_COUNT:g}, got {self.mu:.15g}")

    @property
    def support(self) -> tuple[float, float]:
        return 0.0, math.inf

    def _log_probability(self, k: Float) -> Float:
        j = np.maximum(k, 1.0)
        log_p = -stirling_error(j) - deviance(j, self.mu) - 0.5 * np.log(2.0 * math.pi * j)
        return np.where(k == 0, -self.mu, log_p)

    def _tails(self, k: Float) -> tuple[Float, Float]:
        """Temme's uniform expansion, DLMF 8.12.3 to 8.12.8, to the term in ``1 / k``.

        A Poisson law without a table has a mean of at least 1e8; within `_range` the terms left out are below 1e-13.
        """
        from scipy import special

        # At these means SciPy's incomplete gamma functions do not converge beyond some 5 standard deviations.
        a = k + 1.0
        half = deviance(a, self.mu)
        z = np.sign(self.mu - a) * np.sqrt(2.0 * half)
        eta = z / np.sqrt(a)
        c = -1 / 3 + eta * (1 / 12 - eta * (2 / 135 - eta / 864)) - (1 / 540 + eta / 288) / a
        density = np.exp(-half)
        rest = density * c / np.sqrt(2.0 * math.pi * a)
        near = 0.5 * density * special.erfcx(np.abs(z) / math.sqrt(2.0))
        cdf, sf = near + rest, near - rest
        return np.where(z > 0, cdf, 1.0 - sf), np.where(z > 0, 1.0 - cdf, sf)

    def moments(self) -> Moments:
        return Moments(self.mu, self.mu, self.mu**-0.5, 1.0 / self.mu)

    @classmethod
    def fit(cls, values: ArrayLike, weights: ArrayLike | None = None) -> MarginalFit:
        """Maximum likelihood: the weighted mean."""
        x, w = likelihood.observations(values, weights)
        counts(cls, x)
        mean = float(w @ x / w.sum())
        return likelihood.closed_form(cls, {"mu": mean}, {"mu": math.sqrt(mean / w.sum())}, x, w)

    @staticmethod
    def examples() -> list[Poisson]:
        """Members for the conformance tests."""
        return [Poisson(mu=3.5), Poisson(mu=1e-3), Poisson(mu=1e4)]
