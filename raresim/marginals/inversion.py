"""Quantiles of laws without a closed form, from the logs of their tail probabilities."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from raresim.numerics.arrays import Float

ITERATIONS = 200
TOLERANCE = 4e-16
SMALLEST = 1e-300


class StandardForm(Protocol):
    """The functions of a law that `solve` needs."""

    @property
    def _support(self) -> tuple[float, float]: ...
    def _logpdf(self, z: Float) -> Float: ...
    def _logcdf(self, z: Float) -> Float: ...
    def _logsf(self, z: Float) -> Float: ...


def solve(law: StandardForm, log_p: Float, upper: bool, start: Float | None = None) -> Float:
    """The values whose lower (or upper) tail has log probability ``log_p``.

    Newton steps on the log of the tail. A step that leaves the bracket is replaced by bisection, on a log scale where
    the bracket spans orders of magnitude, so the result is as exact as the law's own tail functions.

    Parameters
    ----------
    law : Continuous
        The law whose standard form is solved.
    log_p : (n,) float64
        Log probabilities of the tail, finite.
    upper : bool
        Whether it is the upper tail.
    start : (n,) float64, optional
        First guesses inside the support.

    Returns
    -------
    (n,) float64
    """
    sign = -1.0 if upper else 1.0

    def tail_and_excess(z: Float) -> tuple[Float, Float]:
        """The log tail, and an excess that increases in ``z`` and is zero at the solution."""
        with np.errstate(all="ignore"):
            log_tail = law._logsf(z) if upper else law._logcdf(z)
            gap = sign * (log_tail - log_p)
        return log_tail, np.where(np.isnan(gap), sign * np.inf, gap)

    least, most = law._support
    centre = least if np.isfinite(least) else (most if np.isfinite(most) else 0.0)
    low, high = _bracket(law, lambda z: tail_and_excess(z)[1], centre, log_p.size)
    z = _middle(low, high, centre) if start is None else np.clip(start, low, high)
    done = np.zeros(log_p.shape, dtype=bool)
    for _ in range(ITERATIONS):
        log_tail, gap = tail_and_excess(z)
        low = np.where(gap < 0, z, low)
        high = np.where(gap > 0, z, high)
        with np.errstate(all="ignore"):
            step = gap * np.exp(np.minimum(log_tail - law._logpdf(z), 700.0))
            newton = z - step
        usable = (newton > low) & (newton < high) & np.isfinite(newton)
        following = np.where(usable, newton, _middle(low, high, centre))
        done |= (gap == 0) | (np.abs(following - z) <= TOLERANCE * np.abs(z)) | (high - low <= TOLERANCE * np.abs(z))
        z = np.where(done, np.where(gap == 0, z, np.where(usable, following, z)), following)
        if done.all():
            break
    return np.asarray(z)


def _middle(low: Float, high: Float, centre: float) -> Float:
    """The middle of two bounds; on a log scale of the distance from ``centre`` where these distances differ in size."""
    with np.errstate(all="ignore"):
        a, b = low - centre, high - centre
        sign = np.where(np.abs(a) > np.abs(b), np.sign(a), np.sign(b))
        near, far = np.minimum(np.abs(a), np.abs(b)), np.maximum(np.abs(a), np.abs(b))
        geometric = centre + sign * np.sqrt(np.maximum(near, SMALLEST)) * np.sqrt(far)
        return np.where((a * b >= 0) & (far > 4.0 * near), geometric, 0.5 * low + 0.5 * high)


def _bracket(law: StandardForm, excess: Callable[[Float], Float], centre: float, n: int) -> tuple[Float, Float]:
    """Bounds on both sides of every solution: the ends of the support, or powers of two away from its inside."""
    least, most = law._support
    low, high = np.full(n, least), np.full(n, most)
    for bound, end, direction in ((low, least, -1.0), (high, most, 1.0)):
        if np.isfinite(end):
            continue
        bound[:] = centre
        width = 1e-3
        open_ = np.ones(n, dtype=bool)
        while open_.any() and width < 1e308:
            bound[open_] = centre + direction * width
            gap = excess(bound)
            open_ &= gap * direction < 0
            width *= 4.0
    return low, high
