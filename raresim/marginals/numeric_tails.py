"""Both tails of a law of which only the density is known, exact to their ends.

The density is integrated panel by panel, from far out inwards, in the log of the distance from a centre: in this scale
power laws, exponential tails and a singularity at the centre are all smooth. A panel is halved until polynomials
resolve it, and its mass is kept as a logarithm, so a tail of 1e-305 is as exact as a tail of 0.1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray

from raresim.marginals.base import U_MAX, Marginal, Moments
from raresim.marginals.inversion import StandardForm, solve
from raresim.numerics.arrays import Float, frozen
from raresim.numerics.jit import kernel

LogDensity = Callable[[Float], Float]
Rows = NDArray[np.intp]

NODES = 16
DROP = 4.0
"""Largest change of the log density within a panel: the panel's rounding must stay small beside the tail beyond it."""

FLOOR = -760.0
NEGLIGIBLE = 42.0
ROUNDS = 14
RESOLVED, ROUNDING = 1e-13, 1e-10
"""Last coefficients of a panel relative to the largest: for a resolved density, and the largest left by rounding."""

_X, _WEIGHT = legendre.leggauss(NODES)
_TO_LEGENDRE = (legendre.legvander(_X, NODES - 1) * _WEIGHT[:, None]) * (np.arange(NODES) + 0.5)
_INTEGRAL = np.zeros((NODES, NODES + 1))
"""Matrix from the Legendre coefficients of a density to the powers of its integral from -1."""
for _k in range(NODES):
    _of_unit = legendre.leg2poly(legendre.legint(np.eye(NODES)[_k], lbnd=-1))
    _INTEGRAL[_k, : _of_unit.size] = _of_unit

_FAR_EDGES = np.array([0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0])
_FAR = np.concatenate([0.5 * (a + b) + 0.5 * (b - a) * _X for a, b in pairwise(_FAR_EDGES)])
_FAR_WEIGHT = np.concatenate([0.5 * (b - a) * _WEIGHT for a, b in pairwise(_FAR_EDGES)])


@dataclass(frozen=True, eq=False)
class NumericTails:
    """Cumulative probabilities of a density on the real line, in panels from left to right.

    Parameters
    ----------
    centre : float
        The point where the two half lines meet.
    side : (panels,) float64
        -1 left of the centre, 1 right of it.
    middle, half : (panels,) float64
        Middle and half width of a panel in the log of the distance from the centre.
    left : (panels,) float64
        Signed distance of each panel's left end from the centre.
    right : float
        Signed distance of the last panel's right end from the centre.
    integral : (panels, 17) float64
        The panel's mass left of a place in it, in units of ``exp(log_unit)``: coefficients of the powers of the place,
        which runs from -1 to 1 with ``z``.
    log_unit : (panels,) float64
        Log of the unit of mass of each panel.
    below, above : (panels,) float64
        Log probability left of the panel, and right of it.
    """

    centre: float
    side: Float
    middle: Float
    half: Float
    left: Float
    right: float
    integral: Float
    log_unit: Float
    below: Float
    above: Float

    @classmethod
    def of(cls, logpdf: LogDensity, centre: float = 0.0) -> NumericTails:
        """Integrate the normalised density ``exp(logpdf(z))``.

        Parameters
        ----------
        logpdf : callable
            Log density of a vector; smooth on both sides of the centre, where it may be infinite.
        centre : float
            A point in the bulk of the law, or the only point where its density is not smooth.
        """
        grid = np.arange(-690.0, 690.5, 0.5)
        levels = {side: _level(logpdf, centre, side, grid) for side in (-1.0, 1.0)}
        inner = max(min(level.max() for level in levels.values()) - NEGLIGIBLE, FLOOR)
        parts = []
        for side, level in levels.items():
            used = np.flatnonzero(level > FLOOR)
            if not used.size:
                continue
            rising = np.flatnonzero(level > inner)
            first = rising[0] if rising.size else used[0]
            edges = grid[max(first - 1, 0) : min(used[-1] + 2, grid.size)]
            middle, *rest = _panels(logpdf, centre, side, edges)
            order = np.argsort(side * middle)
            parts.append([a[order] for a in (np.full(middle.size, side), middle, *rest)])
        sides, middle, half, density, top = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        left = sides * np.exp(middle - sides * half)
        right = float(sides[-1] * np.exp(middle[-1] + sides[-1] * half[-1]))
        integral = np.ascontiguousarray(density @ _TO_LEGENDRE @ _INTEGRAL)
        log_unit = top + np.log(half)
        mass = log_unit + np.log(integral.sum(axis=1))
        outside = [
            float(_far(np.array([centre + end]), way, logpdf)[0]) for end, way in ((left[0], -1.0), (right, 1.0))
        ]
        below = np.logaddexp.accumulate(np.append(outside[0], mass[:-1]))
        above = np.ascontiguousarray(np.logaddexp.accumulate(np.append(outside[1], mass[:0:-1]))[::-1])
        for array in (sides, middle, half, left, integral, log_unit, below, above):
            frozen(array)
        return cls(float(centre), sides, middle, half, left, right, integral, log_unit, below, above)

    @property
    def total(self) -> float:
        """Integral of the density; 1 up to rounding."""
        masses = self.log_unit + np.log(self.integral.sum(axis=1))
        return float(np.exp(masses).sum() + np.exp(self.below[0]) + np.exp(self.above[-1]))

    def log_tail(self, z: Float, upper: bool, logpdf: LogDensity) -> Float:
        """Log of ``P(Z > z)`` if ``upper``, else of ``P(Z <= z)``; ``logpdf`` is called only beyond the panels."""
        out = self._log_tail(z, upper, logpdf)
        large = out > -0.5
        if large.any():
            out[large] = np.log1p(-np.exp(self._log_tail(z[large], not upper, logpdf)))
        return out

    def _log_tail(self, z: Float, upper: bool, logpdf: LogDensity) -> Float:
        distance = z - self.centre
        row = np.clip(np.searchsorted(self.left, distance, side="right") - 1, 0, self.left.size - 1)
        with np.errstate(divide="ignore"):
            place = (np.log(np.abs(distance)) - self.middle[row]) * self.side[row] / self.half[row]
        # This corrects for rounding, and for the tiny gap around the centre that no panel covers.
        place = np.clip(place, -1.0, 1.0)
        out = np.empty(z.shape)
        horner(self.integral, row, place, out)
        beyond = self.below[row]
        if upper:
            beyond = self.above[row]
            np.subtract(self.integral.sum(axis=1)[row], out, out=out)
        with np.errstate(divide="ignore"):
            out = np.logaddexp(beyond, np.log(np.maximum(out, 0.0)) + self.log_unit[row])
        for outside, direction in ((distance < self.left[0], -1.0), (distance > self.right, 1.0)):
            if outside.any():
                far = _far(z[outside], direction, logpdf)
                out[outside] = far if upper == (direction > 0) else np.log1p(-np.exp(far))
        return out

    def quantile(self, log_p: Float, upper: bool, law: StandardForm) -> Float:
        """The values that cut off tails of log probability ``log_p`` (n,); ``law`` is used only beyond the panels."""
        log_p = np.ascontiguousarray(log_p)
        if upper:
            row, beyond = np.searchsorted(-self.above, -log_p), self.above
            outside = row == self.above.size
        else:
            row, beyond = np.searchsorted(self.below, log_p, side="right") - 1, self.below
            outside = row < 0
        row = np.clip(row, 0, self.left.size - 1)
        place = np.empty(log_p.shape)
        inverse(self.integral, row, log_p - self.log_unit[row], (beyond - self.log_unit)[row], upper, place)
        z = self.centre + self.side[row] * np.exp(self.middle[row] + self.side[row] * self.half[row] * place)
        if outside.any():
            z[outside] = solve(law, log_p[outside], upper)
        return np.asarray(z)

    def expect(self, function: Callable[[Float], Float], logpdf: LogDensity) -> float:
        """``E function(Z)`` by quadrature on the nodes of the panels."""
        s = self.middle[:, None] + self.half[:, None] * _X
        z = self.centre + self.side[:, None] * np.exp(s)
        mass = np.exp(s + logpdf(z)) * _WEIGHT * self.half[:, None]
        return float((mass * function(z)).sum())


def _level(logpdf: LogDensity, centre: float, side: float, s: Float) -> Float:
    """Log density in the coordinate ``s``, the log of the distance from the centre."""
    with np.errstate(all="ignore"):
        level = s + logpdf(centre + side * np.exp(s))
    return np.where(np.isnan(level), -np.inf, level)


def _panels(logpdf: LogDensity, centre: float, side: float, edges: Float) -> tuple[Float, ...]:
    """Middles, half widths, densities at the nodes and their log unit, for panels that polynomials resolve."""
    middle, half = 0.5 * (edges[1:] + edges[:-1]), 0.5 * np.diff(edges)
    before = np.full(middle.shape, np.inf)
    done = []
    for k in range(ROUNDS):
        level = _level(logpdf, centre, side, (middle[:, None] + side * half[:, None] * _X).ravel()).reshape(-1, NODES)
        top = level.max(axis=1)
        density = np.exp(level - top[:, None])
        size = np.abs(density @ _TO_LEGENDRE)
        rough = size[:, -2:].max(axis=1) / size.max(axis=1)
        # Where halving does not help much, the error is the rounding of the density itself.
        smooth = (rough <= RESOLVED) | ((rough <= ROUNDING) & (rough > 0.01 * before))
        outside = top < FLOOR - 10.0 * DROP
        fine = outside | (smooth & (top - level.min(axis=1) <= DROP)) | (k == ROUNDS - 1)
        kept = fine & ~outside
        done.append((middle[kept], half[kept], density[kept], top[kept]))
        if fine.all():
            break
        quarter = 0.5 * half[~fine]
        middle = np.concatenate([middle[~fine] - quarter, middle[~fine] + quarter])
        half = np.concatenate([quarter, quarter])
        before = np.concatenate([rough[~fine], rough[~fine]])
    return tuple(np.concatenate(arrays) for arrays in zip(*done, strict=True))


def _far(z: Float, direction: float, logpdf: LogDensity) -> Float:
    """Log probability beyond ``z``, where ``z`` is so far out that the density falls exponentially."""
    here = logpdf(z)
    step = 1e-4 * np.abs(z)
    rate = (here - logpdf(z + direction * step)) / step
    places = z[:, None] + direction * _FAR / rate[:, None]
    ratio = np.exp(logpdf(places.ravel()).reshape(places.shape) - here[:, None])
    return np.asarray(here + np.log(ratio @ _FAR_WEIGHT) - np.log(rate))


def sample_moments(x: Float, weights: Float) -> Moments:
    """The weighted sample moments of ``x`` (n,), from which the method of moments starts a fit."""
    share = weights / weights.sum()
    mean = float(share @ x)
    second, third, fourth = (float(share @ (x - mean) ** k) for k in (2, 3, 4))
    return Moments(mean, second, third / second**1.5, fourth / second**2 - 3.0)


def expect(law: Marginal, function: Callable[[Float], Float]) -> float:
    """``E function(X)`` of a continuous law by the trapezoidal rule in the standard normal."""
    u = np.linspace(-U_MAX, U_MAX, 6001)
    x = np.empty(u.shape)
    law.from_normal(u, x)
    with np.errstate(over="ignore", invalid="ignore"):
        terms = function(x) * np.exp(-0.5 * u * u)
    return float(np.where(np.isfinite(terms), terms, 0.0).sum() * (u[1] - u[0]) / np.sqrt(2.0 * np.pi))


@kernel
def horner(coefficients: Float, row: Rows, x: Float, out: Float) -> None:
    """Write the polynomials ``coefficients[row]`` at ``x`` (n,) into ``out`` (n,)."""
    last = coefficients.shape[1] - 1
    for i in range(x.shape[0]):
        c = coefficients[row[i]]
        value = c[last]
        for k in range(last - 1, -1, -1):
            value = value * x[i] + c[k]
        out[i] = value


@kernel
def inverse(coefficients: Float, row: Rows, log_p: Float, log_beyond: Float, upper: bool, out: Float) -> None:
    """Write the places where panel ``row`` has the tail ``log_p`` into ``out`` (n,); all in the panel's unit.

    Newton's method for the log of the tail, kept inside a bracket.
    """
    last = coefficients.shape[1] - 1
    for i in range(log_p.shape[0]):
        c = coefficients[row[i]]
        whole = 0.0
        for k in range(last + 1):
            whole += c[k]
        beyond = np.exp(log_beyond[i])
        goal = np.exp(log_p[i])
        span = np.log((beyond + whole) / beyond) if beyond > 0.0 else np.inf
        share = (log_p[i] - log_beyond[i]) / span if span < np.inf else 0.5
        low, high = -1.0, 1.0
        x = min(max(1.0 - 2.0 * share if upper else 2.0 * share - 1.0, -1.0), 1.0)
        for _ in range(60):
            value = c[last]
            density = 0.0
            for k in range(last - 1, -1, -1):
                density = density * x + value
                value = value * x + c[k]
            tail = beyond + (whole - value if upper else value)
            gap = np.log(goal / tail) if upper else np.log(tail / goal)
            if gap > 0.0:
                high = x
            else:
                low = x
            following = x - gap * tail / density
            if not low <= following <= high:
                following = 0.5 * (low + high)
            moved = abs(following - x)
            x = following
            if moved <= 1e-15:
                break
        out[i] = x
