"""The law of a sample with generalised Pareto tails."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from raresim.arguments import checks
from raresim.arguments.checks import Vector
from raresim.errors import DataError, FieldError
from raresim.marginals import pareto_tail
from raresim.marginals.base import LOG_HALF, Marginal, Moments
from raresim.marginals.empirical import unweighted
from raresim.marginals.likelihood import MarginalFit
from raresim.marginals.pareto_tail import Side, TailFit, fit_tail
from raresim.numerics import arrays
from raresim.numerics.arrays import Float, frozen
from raresim.numerics.jit import kernel
from raresim.registry import member

SHARE = 0.1


class Body(NamedTuple):
    """The piecewise linear distribution function between the thresholds.

    Parameters
    ----------
    knots : (m,) float64
        Strictly increasing; the first and last are the thresholds, or the extreme observations.
    below, above : (m,) float64
        ``P(X <= knot)`` and ``P(X > knot)``, each summed from its own end.
    mass : (m - 1,) float64
        Probability between two knots.
    """

    knots: Float
    below: Float
    above: Float
    mass: Float


@member("marginal")
@dataclass(frozen=True, kw_only=True, eq=False)
class SemiParametric(Marginal):
    """A law that is empirical between two thresholds and generalised Pareto beyond them [1]_.

    The probability of a tail is the share of the sample strictly beyond its threshold, and its law is fitted to the
    excesses by maximum likelihood; see `tails`. Where no tail is fitted, the law ends at the extreme observation.

    Between the thresholds the distribution function is a straight line from each observation to the next. A value that
    occurs ``c`` times has weight ``c``; half of it goes into the gap on either side. An observation at a threshold has
    only one gap, and all gaps are scaled together so that ``P(X > threshold)`` is exactly the share of the tail. So
    repeated values make the law steep, but are not atoms.

    Parameters
    ----------
    values : (n,) array_like
        The sample, in any order.
    lower, upper : float, optional
        Share of the sample in each tail. The threshold is the first observation that is not in the tail; with ties at
        the threshold the tail has a smaller share. None for no fitted tail.
    lower_threshold, upper_threshold : float, optional
        The threshold itself, instead of a share.

    Raises
    ------
    FieldError
        When a tail is given both a share and a threshold, or the tails overlap.
    DataError
        When fewer than 20 observations lie beyond a threshold, or none between the thresholds.

    References
    ----------
    .. [1] McNeil & Frey, *Estimation of tail-related risk measures for heteroscedastic financial time series*,
       J. Empirical Finance 7, 2000, sec. 2.2.
    """

    kind: ClassVar[str] = "semi_parametric"

    values: Vector
    lower: float | None = SHARE
    upper: float | None = SHARE
    lower_threshold: float | None = None
    upper_threshold: float | None = None
    tails: tuple[TailFit, ...] = field(init=False, repr=False)
    _body: Body = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", checks.vector("values", self.values))
        x = np.sort(np.asarray(self.values))
        if x[0] == x[-1]:
            raise DataError(f"all {x.size} values are {x[0]:g}: a continuous law needs different values")
        shares = {side: self._share(side) for side in ("lower", "upper")}
        if sum(share or 0.0 for share in shares.values()) >= 1.0:
            raise FieldError("upper", f"the tails overlap: lower {shares['lower']:g} and upper {shares['upper']:g}")
        if None not in (self.lower_threshold, self.upper_threshold) and self.lower_threshold >= self.upper_threshold:  # type: ignore[operator]  # both are numbers
            raise FieldError(
                "lower_threshold",
                f"must be below upper_threshold {self.upper_threshold:.15g}, got {self.lower_threshold:.15g}",
            )
        sides: tuple[Side, Side] = ("lower", "upper")
        tails = tuple(
            fit_tail(x, side, shares[side], threshold)
            for side, threshold in zip(sides, (self.lower_threshold, self.upper_threshold), strict=True)
            if shares[side] is not None or threshold is not None
        )
        object.__setattr__(self, "tails", tails)
        object.__setattr__(self, "_body", _body(x, self._tail("lower"), self._tail("upper")))

    def with_tails(self, tails: tuple[TailFit, ...]) -> SemiParametric:
        """The law with other shapes and scales of its tails; their thresholds and shares and the body stay the same."""
        other = copy.copy(self)
        object.__setattr__(other, "tails", tails)
        return other

    def _share(self, side: str) -> float | None:
        share: float | None = getattr(self, side)
        threshold: float | None = getattr(self, f"{side}_threshold")
        if threshold is not None:
            if not math.isfinite(threshold):
                raise FieldError(f"{side}_threshold", f"must be finite, got {threshold:g}")
            if share not in (None, SHARE):
                raise FieldError(side, f"give either {side} or {side}_threshold, got {share:g} and {threshold:g}")
            return None
        return share if share is None else checks.between(side, share, 0.0, 1.0)

    def _tail(self, side: Side) -> TailFit | None:
        return next((tail for tail in self.tails if tail.side == side), None)

    @property
    def support(self) -> tuple[float, float]:
        low, high = self._body.knots[[0, -1]].tolist()
        for tail in self.tails:
            reach = tail.scale * (-1.0 / tail.shape) if tail.shape < 0 else math.inf
            low, high = (low, high + reach) if tail.side == "upper" else (low - reach, high)
        return low, high

    def logpdf(self, x: ArrayLike) -> Float:
        x = np.asarray(x, dtype=np.float64)
        knots, _, _, mass = self._body
        out = np.where(np.isnan(x), np.nan, -np.inf)
        inside = (x >= knots[0]) & (x <= knots[-1])
        gap = np.clip(np.searchsorted(knots, x[inside], side="right") - 1, 0, mass.size - 1)
        out[inside] = np.log(mass / np.diff(knots))[gap]
        for tail in self.tails:
            beyond, z = _beyond(tail, x)
            out[beyond] = math.log(tail.share / tail.scale) + pareto_tail.log_density(z, tail.shape)
        return out

    def logcdf(self, x: ArrayLike) -> Float:
        return self._log_tails(x)[0]

    def logsf(self, x: ArrayLike) -> Float:
        return self._log_tails(x)[1]

    def _log_tails(self, x: ArrayLike) -> tuple[Float, Float]:
        """Log of ``P(X <= x)`` and of ``P(X > x)``."""
        x = np.asarray(x, dtype=np.float64)
        knots, below, above, mass = self._body
        log_p = np.where(x < knots[0], -np.inf, 0.0)
        log_q = np.where(x > knots[-1], -np.inf, 0.0)
        inside = (x >= knots[0]) & (x <= knots[-1])
        y = x[inside]
        gap = np.clip(np.searchsorted(knots, y, side="right") - 1, 0, mass.size - 1)
        density = (mass / np.diff(knots))[gap]
        with np.errstate(divide="ignore"):
            log_p[inside] = np.log(below[gap] + (y - knots[gap]) * density)
            log_q[inside] = np.log(above[gap + 1] + (knots[gap + 1] - y) * density)
        for tail in self.tails:
            beyond, z = _beyond(tail, x)
            log_tail = math.log(tail.share) + pareto_tail.log_survival(z, tail.shape)
            near, far = (log_q, log_p) if tail.side == "upper" else (log_p, log_q)
            near[beyond], far[beyond] = log_tail, np.log1p(-np.exp(log_tail))
        log_p[np.isnan(x)] = log_q[np.isnan(x)] = np.nan
        # The larger of two complements is computed from the smaller one.
        with np.errstate(divide="ignore"):
            return (
                np.where(log_q < LOG_HALF, np.log1p(-np.exp(np.minimum(log_q, LOG_HALF))), log_p),
                np.where(log_p < LOG_HALF, np.log1p(-np.exp(np.minimum(log_p, LOG_HALF))), log_q),
            )

    def quantile(self, log_p: ArrayLike, upper: bool = False) -> Float:
        log_p = np.asarray(log_p, dtype=np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            other = np.where(log_p > LOG_HALF, np.log(-np.expm1(log_p)), np.log1p(-np.exp(np.minimum(log_p, LOG_HALF))))
        out = np.full(log_p.shape, np.nan)
        rest = log_p <= 0
        for tail in self.tails:
            log_tail = log_p if upper == (tail.side == "upper") else other
            rows = rest & (log_tail < math.log(tail.share))
            out[rows] = _cut_off(tail, log_tail[rows])
            rest &= ~rows
        body = np.exp(other[rest] if upper else log_p[rest])
        self._invert(body, body)
        out[rest] = body
        return out

    def from_normal(self, u: Float, out: Float) -> None:
        from scipy import special

        beyond = []
        for tail in self.tails:
            upper = tail.side == "upper"
            edge = float(special.ndtri(tail.share))
            rows = np.flatnonzero(u > -edge if upper else u < edge)
            beyond.append((tail, rows, special.log_ndtr(-u[rows] if upper else u[rows])))
        special.ndtr(u, out=out)
        self._invert(out, out)
        for tail, rows, log_tail in beyond:
            out[rows] = _cut_off(tail, log_tail)

    def _invert(self, p: Float, out: Float) -> None:
        invert(p, self._body.below, self._body.knots, self._guide, out)

    @cached_property
    def _guide(self) -> NDArray[np.int64]:
        """The gap in which each even step of ``P(X <= x)`` begins."""
        below = self._body.below
        steps = 2 * below.size
        starts = below[0] + (below[-1] - below[0]) * np.arange(steps) / steps
        return frozen(np.clip(np.searchsorted(below, starts, side="right") - 1, 0, below.size - 2))

    def moments(self) -> Moments:
        raw = self._raw_moments(0.0)
        mean = raw[0]
        if math.isfinite(mean):
            # These are moments about the mean, so that nothing cancels.
            raw = self._raw_moments(mean)
        _, variance, third, fourth = raw
        if not math.isfinite(variance):
            return Moments(mean, variance, math.nan, math.nan)
        return Moments(mean, variance, third / variance**1.5, fourth / variance**2 - 3.0)

    def _raw_moments(self, centre: float) -> list[float]:
        """``E (X - centre)^k`` for k = 1, ..., 4: infinite or NaN where a tail is too heavy."""
        knots, _, _, mass = self._body
        a, b = knots[:-1] - centre, knots[1:] - centre
        raw = []
        for k in range(1, 5):
            # The mean of x^k between a and b is (b^(k+1) - a^(k+1)) / ((k + 1) (b - a)).
            total = float(mass @ sum(a**i * b ** (k - i) for i in range(k + 1))) / (k + 1)
            for tail in self.tails:
                sign = 1.0 if tail.side == "upper" else -1.0
                start = tail.threshold - centre
                total += tail.share * math.fsum(
                    math.comb(k, i)
                    * start ** (k - i)
                    * (sign * tail.scale) ** i
                    * pareto_tail.raw_moment(i, tail.shape)
                    for i in range(k + 1)
                    if i == k or k * tail.shape < 1.0
                )
            raw.append(total)
        return raw

    def entropy(self) -> float:
        """Entropy as a sum over gaps and tails, each in closed form."""
        knots, _, _, mass = self._body
        body = float(mass @ np.log(np.diff(knots) / mass))
        return body + sum(t.share * (math.log(t.scale / t.share) + 1.0 + t.shape) for t in self.tails)

    def describe(self) -> str:
        parts = [f"{np.size(self.values)} values"]
        for t in self.tails:
            beyond = "above" if t.side == "upper" else "below"
            parts.append(f"{t.exceedances} {beyond} {t.threshold:.6g}: shape {t.shape:.3g}, scale {t.scale:.3g}")
        return f"semi-parametric ({'; '.join(parts)})"

    @classmethod
    def fit(
        cls,
        values: ArrayLike,
        weights: ArrayLike | None = None,
        *,
        lower: float | None = SHARE,
        upper: float | None = SHARE,
        lower_threshold: float | None = None,
        upper_threshold: float | None = None,
    ) -> MarginalFit:
        """The law of ``values``, with the parameters of its tails.

        The log likelihood belongs to the whole law, whose body follows the sample. AIC and BIC count only the
        parameters of the tails, so they cannot compare it with another law.
        """
        x = unweighted(cls.kind, values, weights)
        law = cls(values=x, lower=lower, upper=upper, lower_threshold=lower_threshold, upper_threshold=upper_threshold)
        parameters: dict[str, float] = {}
        errors: dict[str, float] = {}
        for t in law.tails:
            parameters |= {f"{t.side}_shape": t.shape, f"{t.side}_scale": t.scale}
            errors |= {f"{t.side}_shape": t.shape_se, f"{t.side}_scale": t.scale_se}
        return MarginalFit(law, parameters, errors, float(law.logpdf(x).sum()), x.size)

    @staticmethod
    def examples() -> list[SemiParametric]:
        """Members for the conformance tests."""
        rng = np.random.default_rng(11)
        heavy = rng.standard_t(3.0, 1000)
        return [
            SemiParametric(values=heavy),
            SemiParametric(values=np.round(rng.gamma(2.0, 1.5, 500), 1), lower=None, upper_threshold=5.0),
            SemiParametric(values=rng.uniform(0.0, 1.0, 60), lower=None, upper=None),
        ]


def _body(x: Float, lower: TailFit | None, upper: TailFit | None) -> Body:
    """The body of the sorted sample ``x`` (n,) between two tails."""
    low = float(x[0]) if lower is None else lower.threshold
    high = float(x[-1]) if upper is None else upper.threshold
    between = x[(x >= low) & (x <= high)]
    if not low < high or between.size == 0:
        raise DataError(f"no values lie between the thresholds {low:g} and {high:g}")
    knots, weight = np.unique(np.concatenate((between, (low, high))), return_counts=True)
    weight[[0, -1]] -= 1
    gaps = 0.5 * (weight[:-1] + weight[1:])
    beyond = (0 if lower is None else lower.exceedances, 0 if upper is None else upper.exceedances)
    n = x.size
    mass = gaps * (between.size / n / gaps.sum())
    below = beyond[0] / n + np.append(0.0, np.cumsum(mass))
    above = beyond[1] / n + np.append(np.cumsum(mass[::-1])[::-1], 0.0)
    below[-1], above[0] = 1.0 - beyond[1] / n, 1.0 - beyond[0] / n
    return Body(*(frozen(part) for part in (knots, below, above, mass)))


def _beyond(tail: TailFit, x: Float) -> tuple[arrays.Bool, Float]:
    """Whether each ``x`` lies in the tail, up to its end, and the standardised excesses of those that do."""
    excess = x - tail.threshold if tail.side == "upper" else tail.threshold - x
    z = excess / tail.scale
    beyond = z > 0
    # At the upper end of a shape below -1/2 the density may be positive; beyond the end it is zero.
    if tail.shape < 0:
        beyond &= z <= -1.0 / tail.shape
    return beyond, z[beyond]


def _cut_off(tail: TailFit, log_tail: Float) -> Float:
    """The values that cut off the log probability ``log_tail``, which is at most that of the tail."""
    z = pareto_tail.quantile(np.minimum(log_tail - math.log(tail.share), 0.0), tail.shape)
    return tail.threshold + (tail.scale if tail.side == "upper" else -tail.scale) * z


@kernel
def invert(p: Float, below: Float, knots: Float, guide: NDArray[np.int64], out: Float) -> None:
    """Inverse of the piecewise linear ``below`` at ``knots``; ``out`` (n,) may be ``p``.

    A ``p`` outside the range of ``below`` gives the nearest end. ``guide`` (steps,) has the gap where each even step of
    ``p`` begins, so that a search takes two or three comparisons.
    """
    last = below.shape[0] - 1
    steps = guide.shape[0]
    first = below[0]
    scale = steps / (below[last] - first)
    for i in range(p.shape[0]):
        q = min(max(p[i], first), below[last])
        place = (q - first) * scale
        k = guide[min(int(place), steps - 1)] if place >= 0.0 else 0
        while k > 0 and below[k] > q:
            k -= 1
        while k < last - 1 and below[k + 1] < q:
            k += 1
        share = (q - below[k]) / (below[k + 1] - below[k])
        out[i] = min(knots[k] + share * (knots[k + 1] - knots[k]), knots[k + 1])
