"""Independent coordinates whose normal law is reweighted bin by bin."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from raresim.arguments import checks
from raresim.arguments.checks import Matrix, Vector
from raresim.distributions.base import Distribution
from raresim.distributions.binned_ratio import BinnedRatio
from raresim.distributions.standard_normal import LOG_2PI, squared_norm
from raresim.errors import FieldError
from raresim.numerics import arrays
from raresim.numerics.arrays import Float
from raresim.numerics.jit import kernel
from raresim.registry import member

HALF = (0.0, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5)
"""Edges of the bins of the lower half, as probabilities; the edges of the upper half mirror them."""

LOWER = arrays.frozen(np.array(HALF))
BINS = 2 * (LOWER.size - 1)
WIDTHS = arrays.frozen(np.concatenate([np.diff(LOWER), np.diff(LOWER)[::-1]]))
"""Probability of each bin under the standard normal law, (18,)."""

UNIT = 0.01
"""Unit to which steps of the log density ratio may be rounded, in nats."""


@member("distribution")
@dataclass(frozen=True, kw_only=True, eq=False)
class HistogramTilt(Distribution):
    """Law of independent coordinates with density ``phi(u) r(bin of Phi(u))``.

    The standard normal is cut into 18 bins of probability ``w_b``, finest in the tails; a coordinate falls into bin
    ``b`` with probability ``p_b``, so that ``r_b = p_b / w_b``, and is a standard normal given its bin.

    Parameters
    ----------
    shares : (g, 18)
        Probabilities ``p_b`` of each group of coordinates, positive, adding to 1 within 1e-9.
    groups : (d,)
        The group of each coordinate, a whole number from 0 to g - 1.

    Raises
    ------
    FieldError
        When sizes disagree, a row of ``shares`` is not a probability vector, or a group does not exist.
    """

    kind: ClassVar[str] = "histogram_tilt"

    shares: Matrix
    groups: Vector

    table: Float = field(init=False, repr=False)
    labels: NDArray[np.intp] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        table = np.array(self.shares, dtype=np.float64, ndmin=2)
        labels = checks.vector("groups", self.groups)
        if table.ndim != 2 or table.shape[1] != BINS:
            raise FieldError("shares", f"must have {BINS} entries in each row, got shape {table.shape}")
        if not (table > 0).all():
            raise FieldError("shares", f"must be positive, got {table.min():g}")
        if (gap := np.abs(table.sum(axis=1) - 1.0)).max() > 1e-9:
            raise FieldError("shares", f"must add to 1 in each row, got {table.sum(axis=1)[gap.argmax()]:.12g}")
        if not np.isin(labels, np.arange(table.shape[0])).all():
            raise FieldError("groups", f"must be whole numbers from 0 to {table.shape[0] - 1}, one for each coordinate")
        object.__setattr__(self, "table", arrays.frozen(table / table.sum(axis=1, keepdims=True)))
        object.__setattr__(self, "labels", arrays.frozen(labels.astype(np.intp)))

    @property
    def dim(self) -> int:
        return int(self.labels.size)

    def sample(self, rng: np.random.Generator, x: Float) -> None:
        """Fill ``x``: draw a bin and a uniform place in it, and take the quantile from the tail on its side."""
        from scipy import special

        draw_tails(rng, np.cumsum(self.table, axis=1)[self.labels, :-1], LOWER, x)
        size = arrays.scratch("tails", *x.shape)
        np.abs(x, out=size)
        special.ndtri(size, out=size)
        np.copysign(size, x, out=x)

    def logpdf(self, x: Float, out: Float) -> None:
        squared_norm(x, out)
        out *= -0.5
        out -= 0.5 * self.dim * LOG_2PI
        add_steps(x, normal_edges(), self.log_ratios(), out)

    def log_ratios(self) -> Float:
        """Log of the density ratio to the standard normal law in each bin of each coordinate, (d, 18), in nats."""
        ratios: Float = np.log(self.table / WIDTHS)[self.labels]
        return ratios

    def binned_ratio(self) -> BinnedRatio:
        return BinnedRatio(self.log_ratios(), normal_edges(), UNIT)

    @staticmethod
    def examples() -> list[HistogramTilt]:
        """Members for the conformance tests."""
        rising = WIDTHS * np.linspace(0.5, 2.0, BINS)
        two = np.stack([rising, WIDTHS + rising[::-1]])
        return [HistogramTilt(shares=two / two.sum(axis=1, keepdims=True), groups=[0, 1, 1])]


def normal_edges() -> Float:
    """The standard normals at which one bin ends and the next begins, (17,)."""
    return _edges().copy()


@functools.cache
def _edges() -> Float:
    from scipy import special

    lower = special.ndtri(LOWER[1:-1])
    return np.concatenate([lower, [0.0], -lower[::-1]])


@kernel
def draw_tails(rng: np.random.Generator, edges: Float, lower: Float, out: Float) -> None:
    """Draw a uniform place in a random bin, as the probability of the tail on its side: negative for the lower tail.

    ``edges`` (d, 17) are the cumulative shares of each column's bins, ``lower`` (10,) the edges of the lower half.
    """
    n, d = out.shape
    half = lower.shape[0] - 1
    for j in range(d):
        for i in range(n):
            level = rng.random()
            b = 0
            for k in range(2 * half - 1):
                b += level >= edges[j, k]
            side = -1.0 if b < half else 1.0
            k = b if b < half else 2 * half - 1 - b
            out[i, j] = side * (lower[k + 1] - (lower[k + 1] - lower[k]) * rng.random())


@kernel
def add_steps(x: Float, edges: Float, values: Float, out: Float) -> None:
    """``out[i] += sum_j values[j, number of edges at or below x[i, j]]``."""
    n, d = x.shape
    for j in range(d):
        for i in range(n):
            b = 0
            for k in range(edges.shape[0]):
                b += x[i, j] >= edges[k]
            out[i] += values[j, b]


def bin_counts(x: Float, weight: Float) -> Float:
    """Weight of the entries of ``x`` (n,) in each bin, (18,)."""
    places = np.searchsorted(normal_edges(), x, side="right")
    return np.asarray(np.bincount(places, weight, minlength=BINS), dtype=np.float64)
