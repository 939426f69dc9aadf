"""The truncated normal law."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np

from raresim.arguments import checks
from raresim.errors import FieldError
from raresim.marginals.base import Continuous, Moments
from raresim.marginals.parameters import finite
from raresim.numerics import normal_scores
from raresim.numerics.arrays import Float
from raresim.registry import member

LOG_ROOT_2PI = 0.5 * math.log(2.0 * math.pi)
STEPS = 40
FAR = 1e3

_X, _WEIGHT = np.polynomial.legendre.leggauss(24)


@member("marginal")
@dataclass(frozen=True, kw_only=True, eq=False)
class TruncatedNormal(Continuous):
    """Normal law given that it lies between two bounds.

    Density ``exp(-(x - mean)^2 / (2 std^2))`` between the bounds, divided by its integral. The tail probabilities come
    from Mills' ratio of the tail to the density, so bounds may lie any number of standard deviations away.

    Parameters
    ----------
    mean, std : float
        Mean and standard deviation, positive, of the normal law before it is truncated.
    low, high : float, optional
        The bounds, in the unit of ``x``; one of them may be left out.

    Notes
    -----
    Moments and entropy are integrals over the distance from a bound, because the textbook differences cancel when both
    bounds lie on one side.
    """

    kind: ClassVar[str] = "truncated_normal"

    mean: float
    std: float
    low: float | None = None
    high: float | None = None
    loc: float = field(init=False, repr=False)
    scale: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        finite("mean", self.mean)
        checks.positive("std", self.std)
        if self.low is None and self.high is None:
            raise FieldError("low", "must be given where high is not: without bounds the law is kind normal")
        for name in ("low", "high"):
            if (value := getattr(self, name)) is not None:
                finite(name, value)
        if self.low is not None and self.high is not None and not self.low < self.high:
            raise FieldError("high", f"must be above low, which is {self.low:.15g}, got {self.high:.15g}")
        object.__setattr__(self, "loc", float(self._end))
        object.__setattr__(self, "scale", float(self.std))

    @property
    def _end(self) -> float:
        """The bound from which the standard form is measured: the smaller one in size, to keep its digits."""
        ends = [end for end in (self.low, self.high) if end is not None]
        return min(ends, key=abs)

    @property
    def _support(self) -> tuple[float, float]:
        width = self._slice.width
        return (0.0, width) if self._end == self.low else (-width, 0.0)

    def _distances(self, z: Float) -> tuple[Float, Float]:
        """How far ``z`` lies above the lower bound and below the upper one."""
        width = self._slice.width
        return (z, width - z) if self._end == self.low else (width + z, -z)

    def _logpdf(self, z: Float) -> Float:
        return self._slice.logpdf(*self._distances(z))

    def _logcdf(self, z: Float) -> Float:
        return self._slice.log_tail(*self._distances(z), False)

    def _logsf(self, z: Float) -> Float:
        return self._slice.log_tail(*self._distances(z), True)

    def _quantile(self, log_p: Float, upper: bool) -> Float:
        slice_ = self._slice
        distance = slice_.distance(log_p, upper, from_high=self._end != self.low)
        return distance if self._end == self.low else -distance

    def _log_quantile(self, log_p: Float, upper: bool) -> Float:
        return np.asarray(np.log(self._slice.distance(log_p, upper, from_high=self.low is None)))

    @cached_property
    def _slice(self) -> _Slice:
        return _Slice(
            -math.inf if self.low is None else (self.low - self.mean) / self.std,
            math.inf if self.high is None else (self.high - self.mean) / self.std,
            math.inf if self.low is None or self.high is None else (self.high - self.low) / self.std,
        )

    def moments(self) -> Moments:
        mean, variance, skewness, kurtosis = Continuous.moments(self._standard)
        return Moments(self.loc + self.scale * mean, self.scale**2 * variance, skewness, kurtosis)

    def entropy(self) -> float:
        return Continuous.entropy(self._standard) + math.log(self.scale)

    @property
    def _standard(self) -> TruncatedNormal:
        """The law of the standard form; its values are distances from a bound, which ``x`` may round away."""
        low, high = self._support
        return TruncatedNormal(
            mean=(self.mean - self.loc) / self.std,
            std=1.0,
            low=None if math.isinf(low) else low,
            high=None if math.isinf(high) else high,
        )

    @staticmethod
    def examples() -> list[TruncatedNormal]:
        """Members for the conformance tests."""
        return [
            TruncatedNormal(mean=1.0, std=2.0, low=-1.0, high=6.0),
            TruncatedNormal(mean=0.0, std=1.0, low=20.0),
            TruncatedNormal(mean=0.5, std=0.2, high=0.25),
        ]


@dataclass(frozen=True, eq=False)
class _Slice:
    """The standard normal between ``low`` and ``high``, in distances from these.

    The integrand is ``exp(-(s^2 - r^2) / 2)``, where ``r`` is the point of the slice nearest to 0. ``near`` is the
    bound nearest to 0, mirrored so that the slice lies to the right of it.
    """

    low: float
    high: float
    width: float

    @property
    def is_mirrored(self) -> bool:
        return abs(self.high) < abs(self.low)

    @property
    def near(self) -> float:
        return -self.high if self.is_mirrored else self.low

    @cached_property
    def log_whole(self) -> float:
        return float(self._log_integral(np.zeros(1), np.full(1, self.width))[0])

    def logpdf(self, above_low: Float, below_high: Float) -> Float:
        return self._exponent(below_high if self.is_mirrored else above_low) - self.log_whole

    def log_tail(self, above_low: Float, below_high: Float, upper: bool) -> Float:
        """Log probability of the upper (or lower) part at the place with these distances from both ends."""
        width = below_high if upper else above_low
        at_near = upper == self.is_mirrored
        offset = np.zeros(width.shape) if at_near else (below_high if self.is_mirrored else above_low)
        return self._log_integral(offset, width) - self.log_whole

    def distance(self, log_p: Float, upper: bool, from_high: bool) -> Float:
        """The distance from one end, which is finite, to the place that cuts off the tail ``log_p``.

        Newton steps for the log of the tail: in the log of the distance if the tail begins at that end, else in the
        distance. Both functions are concave or almost straight, and the start is close.
        """
        own_end = upper == from_high
        if not own_end and math.isfinite(self.width):
            return np.asarray(self.width - self.distance(log_p, upper, not from_high))
        d = self._start(log_p, upper, from_high)
        for _ in range(STEPS):
            rest = self.width - d
            ends = (rest, d) if from_high else (d, rest)
            log_tail = self.log_tail(*ends, upper)
            step = (log_tail - log_p) * np.exp(log_tail - self.logpdf(*ends))
            following = d * np.exp(np.clip(-step / d, -5.0, 5.0)) if own_end else np.maximum(d + step, 0.2 * d)
            change, d = np.abs(following - d), np.minimum(following, self.width)
            if (change <= 1e-15 * d).all():
                break
        return np.asarray(d)

    def _start(self, log_p: Float, upper: bool, from_high: bool) -> Float:
        """Start from the untruncated normal; where that loses digits, from the exponential law of the same slope."""
        from scipy import special

        end = self.high if from_high else self.low
        log_rest = np.log1p(-np.exp(log_p))
        log_lower, log_upper = (log_rest, log_p) if upper else (log_p, log_rest)
        log_mass = self.log_whole - LOG_ROOT_2PI - 0.5 * max(self.near, 0.0) ** 2
        score = np.empty(log_p.shape)
        normal_scores.from_log_probabilities(
            np.logaddexp(special.log_ndtr(self.low), log_lower + log_mass),
            np.logaddexp(special.log_ndtr(-self.high), log_upper + log_mass),
            score,
        )
        distance = np.abs(score - end)
        slope = -end if from_high else end
        if upper != from_high:
            return np.asarray(-log_p / slope) if slope > FAR else distance
        at_end = np.zeros(1) if self.is_mirrored == from_high else np.full(1, self.width)
        with np.errstate(all="ignore"):
            share = np.exp(log_p + self.log_whole - self._exponent(at_end))
            exponential = -np.log1p(-slope * share) / slope if slope != 0 else share
        is_lost = (distance * (1.0 + abs(end)) < 1e-3) | (abs(end) > FAR)
        return np.where(is_lost & (exponential > 0), exponential, distance)

    def _exponent(self, offset: Float) -> Float:
        """``-(s^2 - r^2) / 2`` at a distance from the near end."""
        if self.near >= 0:
            return -offset * (self.near + 0.5 * offset)
        return -0.5 * (self.near + offset) ** 2

    def _log_integral(self, offset: Float, width: Float) -> Float:
        """Log of the integral from ``offset`` to ``offset + width``."""
        from scipy import special

        left = self.near + offset
        right = left + width
        change = width * (left + 0.5 * width)
        narrow = (width < 1.0) & (np.abs(change) < 0.7)
        above, below = ~narrow & (left >= 0), ~narrow & (left < 0) & (right <= 0)
        across = ~(narrow | above | below)
        out = np.empty(width.shape)
        if narrow.any():
            s = 0.5 * width[narrow, None] * (1.0 + _X)
            even = np.exp(-s * (left[narrow, None] + 0.5 * s)) @ _WEIGHT
            out[narrow] = self._exponent(offset[narrow]) + np.log(0.5 * width[narrow] * even)
        if above.any():
            beyond = np.exp(-change[above]) * _mills(right[above])
            out[above] = self._exponent(offset[above]) + np.log(_mills(left[above]) - beyond)
        if below.any():
            beyond = np.exp(change[below]) * _mills(-left[below])
            out[below] = self._exponent((offset + width)[below]) + np.log(_mills(-right[below]) - beyond)
        if across.any():
            out[across] = LOG_ROOT_2PI + np.log1p(-(special.ndtr(left[across]) + special.ndtr(-right[across])))
        return out


def _mills(x: Float) -> Float:
    """Tail of the standard normal beyond ``x`` divided by its density there."""
    from scipy import special

    return np.asarray(math.sqrt(0.5 * math.pi) * special.erfcx(x / math.sqrt(2.0)))
