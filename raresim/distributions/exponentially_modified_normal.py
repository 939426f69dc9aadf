"""A normal law with an exponential tail in one direction: the shape of a rare event behind a smooth boundary."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from raresim.arguments import checks
from raresim.arguments.checks import Matrix, Vector
from raresim.distributions.base import Distribution, moved_from
from raresim.distributions.low_rank_normal import centred_squared_norm
from raresim.errors import FieldError
from raresim.numerics import arrays
from raresim.numerics.arrays import Float
from raresim.numerics.interpolation import PiecewisePolynomial
from raresim.numerics.jit import kernel
from raresim.numerics.normals import fill_standard_normal
from raresim.registry import member

LOG_2PI = math.log(2.0 * math.pi)

LOWEST, HIGHEST, CELLS = -60.0, 9.0, 1_200
"""Ends of the table of ``log Phi(h) + h^2 / 2``, beyond which the first terms of its expansions are exact to 1e-11
and 1e-18, and its number of cells."""


@member("distribution")
@dataclass(frozen=True, kw_only=True, eq=False)
class ExponentiallyModifiedNormal(Distribution):
    """``x = mean + z + e tail`` with ``z`` normal and ``e`` exponential, independent.

    The covariance of ``z`` is ``bulk`` times the identity, except for ``variances`` along ``directions``.

    Parameters
    ----------
    mean : (d,)
        Where the exponential part begins.
    directions : (d, k), optional
        Orthonormal columns, ``k`` at most ``d``.
    variances : (k,), optional
        Variance of ``z`` along each of them, positive.
    bulk : float
        Variance of ``z`` along every other direction, positive.
    tail : (d,), optional
        Direction of the exponential part, of length one.
    rate : float, optional
        Rate of the exponential part; it goes with ``tail``. Without the two the law is normal.

    Raises
    ------
    FieldError
        When sizes disagree, a variance, ``bulk`` or ``rate`` is not positive, or directions are not orthonormal.

    Notes
    -----
    With ``C`` the covariance of ``z``, ``A = t' C^-1 t``, ``b = t' C^-1 (x - mean)`` and ``h = (b - rate)/sqrt(A)``,
    the integral over ``e`` gives ``log f(x) = log N(x; mean, C) + log rate + log(2 pi / A)/2 + h^2/2 + log Phi(h)``:
    the exponentially modified Gaussian of [1]_ in ``d`` dimensions. For a standard normal target beyond a plane at
    distance ``beta`` from the origin, the distance beyond the plane is nearly exponential with rate ``beta``, so that
    weights vary little.

    References
    ----------
    .. [1] Grushka, *Characterization of exponentially modified Gaussian peaks in chromatography*,
       Anal. Chem. 44, 1972.
    """

    kind: ClassVar[str] = "exponentially_modified_normal"
    mapped: ClassVar[bool] = True

    mean: Vector
    directions: Matrix | None = None
    variances: Vector | None = None
    bulk: float = 1.0
    tail: Vector | None = None
    rate: float | None = None

    location: Float = field(init=False, repr=False)
    basis: Float = field(init=False, repr=False)
    spread: Float = field(init=False, repr=False)

    _columns: Float = field(init=False, repr=False)
    _moves: Float = field(init=False, repr=False)
    _offset: Float = field(init=False, repr=False)
    _log_norm: float = field(init=False, repr=False)
    _steepness: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        location = checks.vector("mean", self.mean)
        d = location.size
        basis = np.zeros((d, 0)) if self.directions is None else np.array(self.directions, float, ndmin=2, order="F")
        spread = np.zeros(0) if self.variances is None else checks.positive_vector("variances", self.variances)
        if basis.shape[0] != d or basis.shape[1] > d:
            raise FieldError("directions", f"must be a matrix of {d} rows and at most {d} columns, got {basis.shape}")
        if spread.size != basis.shape[1]:
            raise FieldError("variances", f"must have one entry per direction ({basis.shape[1]}), got {spread.size}")
        if np.abs(basis.T @ basis - np.eye(basis.shape[1])).max(initial=0.0) > 1e-8:
            raise FieldError("directions", "must be orthonormal")
        checks.positive("bulk", self.bulk)
        if (self.tail is None) != (self.rate is None):
            raise FieldError("rate", "goes with tail: give both or neither")
        precision = 1.0 / spread - 1.0 / self.bulk
        columns, moves = [basis], [basis * (np.sqrt(spread) - math.sqrt(self.bulk))]
        log_norm = -0.5 * (d * LOG_2PI + float(np.log(spread).sum()) + (d - spread.size) * math.log(self.bulk))
        steepness = 0.0
        if self.tail is not None and self.rate is not None:
            tail = checks.vector("tail", self.tail, d)
            checks.positive("rate", self.rate)
            if abs(tail @ tail - 1.0) > 1e-8:
                raise FieldError("tail", f"must have length one, got {math.sqrt(tail @ tail):.6g}")
            bent = tail / self.bulk + basis @ (precision * (basis.T @ tail))
            steepness = float(tail @ bent)
            log_norm += math.log(self.rate) + 0.5 * (LOG_2PI - math.log(steepness))
            columns.append(bent[:, None])
            moves.append(tail[:, None] / self.rate)
        stacked = np.asfortranarray(np.hstack(columns))
        for name, value in (
            ("location", location),
            ("basis", arrays.frozen(basis)),
            ("spread", arrays.frozen(spread)),
            ("_columns", arrays.frozen(stacked)),
            ("_moves", arrays.frozen(np.ascontiguousarray(np.hstack(moves)))),
            ("_offset", arrays.frozen(location @ stacked)),
        ):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "_log_norm", log_norm)
        object.__setattr__(self, "_steepness", steepness)

    @property
    def dim(self) -> int:
        return int(self.location.size)

    def sample(self, rng: np.random.Generator, x: Float) -> None:
        fill_standard_normal(rng, x)
        e = None if self.rate is None else np.asarray(rng.standard_exponential(x.shape[0]))
        self.place(x, e, x)

    def place(self, z: Float, e: Float | None, x: Float) -> None:
        """Fill ``x`` (n, d) with draws made of standard normals ``z`` (n, d) and standard exponentials ``e``.

        ``x`` may be ``z``.
        """
        n, k = x.shape[0], self._moves.shape[1]
        along = arrays.scratch("emn_along", n, k)
        moved = arrays.scratch("emn_moved", n, self.dim)
        np.matmul(self.basis.T, z.T, out=along.T[: self.spread.size])
        if e is not None:
            along[:, -1] = e
        np.matmul(self._moves, along.T, out=moved.T)
        moved += self.location
        np.multiply(z, math.sqrt(self.bulk), out=x)
        x += moved

    def logpdf(self, x: Float, out: Float) -> None:
        n, columns = x.shape[0], self._columns.shape[1]
        seen = arrays.scratch("emn_seen", n, columns)
        np.matmul(self._columns.T, x.T, out=seen.T)
        centred_squared_norm(x, self.location, out)
        k = self.spread.size
        precision = 1.0 / self.spread - 1.0 / self.bulk
        normal_logpdf(seen[:, :k], self._offset[:k], precision, self.bulk, self._log_norm, out)
        if self.rate is not None:
            h = seen[:, k]
            h -= self._offset[k] + self.rate
            h /= math.sqrt(self._steepness)
            add_log_mills(h, out)

    @property
    def centre(self) -> Float | None:
        return self.location if self.rate is None else None

    @property
    def n_normals(self) -> int:
        """One for each coordinate, after one that becomes the exponential part where there is one."""
        return self.dim + (self.rate is not None)

    def lead(self, target: Distribution) -> Float:
        """Its tail, where it has one: the second normal is turned along ``L'`` times the tail's direction."""
        if self.tail is not None:
            return self.spread_transposed(np.asarray(self.tail, dtype=np.float64))
        return moved_from(self, target)

    def from_normals(self, z: Float, turn: Callable[[Float], None], x: Float) -> None:
        from scipy.special import log_ndtr

        first = z[:, 0].copy()
        turn(z)
        self.place(z[:, -self.dim :], None if self.rate is None else -log_ndtr(-first), x)

    def spread_transposed(self, a: Float) -> Float:
        bulk = math.sqrt(self.bulk)
        moved: Float = bulk * a + self.basis @ ((np.sqrt(self.spread) - bulk) * (self.basis.T @ a))
        return moved

    @staticmethod
    def examples() -> list[ExponentiallyModifiedNormal]:
        """Members for the conformance tests."""
        return [
            ExponentiallyModifiedNormal(mean=[3.0, 0.0], tail=[1.0, 0.0], rate=3.0),
            ExponentiallyModifiedNormal(
                mean=[1.0, -2.0, 0.5],
                directions=[[0.6], [0.8], [0.0]],
                variances=[0.2],
                bulk=1.5,
                tail=[0.0, 0.6, 0.8],
                rate=2.0,
            ),
            ExponentiallyModifiedNormal(mean=[0.5, -0.5], bulk=2.0),
        ]


@kernel
def normal_logpdf(seen: Float, offset: Float, precision: Float, bulk: float, log_norm: float, out: Float) -> None:
    """``out = log_norm - (out / bulk + sum_j precision[j] (seen[:, j] - offset[j])^2) / 2``."""
    n, k = seen.shape
    for i in range(n):
        out[i] = log_norm - 0.5 * out[i] / bulk
    for j in range(k):
        half, c = 0.5 * precision[j], offset[j]
        for i in range(n):
            a = seen[i, j] - c
            out[i] -= half * a * a


@functools.cache
def log_mills_table() -> PiecewisePolynomial:
    """``log Phi(h) + h^2 / 2`` on [LOWEST, HIGHEST], to 1e-13."""
    from scipy.special import log_ndtr

    def exact(h: Float) -> Float:
        return np.asarray(log_ndtr(h) + 0.5 * np.square(h))

    return PiecewisePolynomial.fit(exact, LOWEST, HIGHEST, CELLS)


def add_log_mills(h: Float, out: Float) -> None:
    """Add ``log Phi(h) + h^2 / 2`` of ``h`` (n,) to ``out`` (n,)."""
    value = arrays.scratch("log_mills", h.size, 1)[:, 0]
    log_mills(h, value)
    out += value


def log_mills(h: Float, out: Float) -> None:
    """``out = log Phi(h) + h^2 / 2`` of ``h`` (n,)."""
    if not log_mills_table()(h, out):
        below, above = h < LOWEST, h > HIGHEST
        far = h[below]
        x = 1.0 / np.square(far)
        out[below] = -np.log(-far) - 0.5 * LOG_2PI - x * (1.0 - x * (2.5 - 37.0 / 3.0 * x))
        out[above] = 0.5 * np.square(h[above])
