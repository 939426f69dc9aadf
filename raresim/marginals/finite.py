"""A law on finitely many listed numbers, and the table of atoms that other discrete laws share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from raresim.arguments import checks
from raresim.arguments.checks import Vector
from raresim.errors import FieldError
from raresim.marginals import likelihood
from raresim.marginals.base import LOG_HALF, Discrete
from raresim.marginals.likelihood import MarginalFit
from raresim.numerics import arrays
from raresim.numerics.arrays import Float, frozen
from raresim.registry import member

TIE = 2e-12
"""Relative tolerance of a quantile. A probability from ``cdf`` or ``sf`` may differ from the law's own by an ulp of its
logarithm, which is 1e-13 of the probability at the smallest doubles; the quantile must not move to the next atom."""

SHIFT = 700.0
"""Added to logs before the probabilities are summed, so that these keep all their digits down to e^-1400."""

SUM_TOLERANCE = 1e-9


@dataclass(frozen=True, eq=False)
class Atoms:
    """A table of values, with the logs of their probabilities and of both tails.

    Parameters
    ----------
    values : (m,) float64
        Strictly increasing.
    log_p, log_cdf, log_sf : (m,) float64
        Log of ``P(X = v)``, ``P(X <= v)`` and ``P(X > v)``.
    """

    values: Float
    log_p: Float
    log_cdf: Float
    log_sf: Float

    @classmethod
    def of(cls, values: Float, log_p: Float) -> Atoms:
        """The table of a law; each tail is summed from its own end, the smallest terms first."""
        p = np.exp(log_p + SHIFT)
        below = np.log(np.cumsum(p)) - SHIFT
        with np.errstate(divide="ignore"):
            above = np.log(np.append(np.cumsum(p[:0:-1])[::-1], 0.0)) - SHIFT
            log_cdf = np.where(above < LOG_HALF, np.log1p(-np.exp(np.minimum(above, LOG_HALF))), below)
            log_sf = np.where(below < LOG_HALF, np.log1p(-np.exp(np.minimum(below, LOG_HALF))), above)
        return cls(frozen(values), frozen(log_p), frozen(log_cdf), frozen(log_sf))

    def within(self, keep: arrays.Bool) -> Atoms:
        """The rows ``keep`` (m,), which must be adjacent."""
        return Atoms(self.values[keep], self.log_p[keep], self.log_cdf[keep], self.log_sf[keep])

    def logpdf(self, x: ArrayLike) -> Float:
        """Log probability of each ``x``; ``-inf`` between the atoms."""
        x = np.asarray(x, dtype=np.float64)
        row = np.minimum(np.searchsorted(self.values, x), self.values.size - 1)
        return np.where(np.isnan(x), np.nan, np.where(self.values[row] == x, self.log_p[row], -np.inf))

    def logcdf(self, x: ArrayLike) -> Float:
        """Log of ``P(X <= x)``."""
        return self._step(x, self.log_cdf, -np.inf)

    def logsf(self, x: ArrayLike) -> Float:
        """Log of ``P(X > x)``."""
        return self._step(x, self.log_sf, 0.0)

    def _step(self, x: ArrayLike, levels: Float, first: float) -> Float:
        x = np.asarray(x, dtype=np.float64)
        row = np.searchsorted(self.values, x, side="right") - 1
        return np.where(np.isnan(x), np.nan, np.where(row >= 0, levels[np.maximum(row, 0)], first))

    def quantile(self, log_p: ArrayLike, upper: bool) -> Float:
        """The smallest atom whose lower tail is at least the given one, or upper tail at most that, up to `TIE`."""
        log_p = np.asarray(log_p, dtype=np.float64)
        smaller, swapped = smaller_tail(log_p)
        low = np.searchsorted(self.log_cdf, smaller - TIE)
        high = np.searchsorted(-self.log_sf, -(smaller + TIE))
        last = self.values.size - 1
        x = self.values[np.minimum(np.where(swapped ^ upper, high, low), last)]
        return np.where(log_p <= 0, x, np.nan)


def smaller_tail(log_p: Float) -> tuple[Float, arrays.Bool]:
    """The log of the smaller of a tail and its complement, and whether it is the complement."""
    swapped = log_p > LOG_HALF
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(swapped, np.log(-np.expm1(log_p)), log_p), swapped


class Tabulated(Discrete):
    """A law given by the table of its atoms, which a member makes in ``__post_init__``."""

    _table: Atoms

    @property
    def support(self) -> tuple[float, float]:
        return float(self._table.values[0]), float(self._table.values[-1])

    @property
    def atoms(self) -> Float:
        return self._table.values

    def logpdf(self, x: ArrayLike) -> Float:
        return self._table.logpdf(x)

    def logcdf(self, x: ArrayLike) -> Float:
        return self._table.logcdf(x)

    def logsf(self, x: ArrayLike) -> Float:
        return self._table.logsf(x)

    def quantile(self, log_p: ArrayLike, upper: bool = False) -> Float:
        return self._table.quantile(log_p, upper)


@member("marginal")
@dataclass(frozen=True, kw_only=True, eq=False)
class Finite(Tabulated):
    """The law that takes ``values[i]`` with probability ``probabilities[i]``.

    Parameters
    ----------
    values : (m,) array_like
        Different numbers, in any order.
    probabilities : (m,) array_like
        Not negative; they add to 1 within 1e-9, and are divided by their sum to remove the rounding. A value of
        probability 0 is not an atom.
    """

    kind: ClassVar[str] = "finite"

    values: Vector
    probabilities: Vector
    _table: Atoms = field(init=False, repr=False)

    def __post_init__(self) -> None:
        values = checks.vector("values", self.values)
        p = checks.vector("probabilities", self.probabilities, values.size)
        order = np.argsort(values, kind="stable")
        ordered = values[order]
        if (twice := ordered[1:][np.diff(ordered) == 0]).size:
            raise FieldError("values", f"must be different, got {twice[0]:g} more than once")
        if (p < 0).any():
            raise FieldError("probabilities", f"must not be negative, got {p.min():g} at position {int(p.argmin())}")
        if abs(float(p.sum()) - 1.0) > SUM_TOLERANCE:
            raise FieldError("probabilities", f"must add to 1 within {SUM_TOLERANCE:g}, got {p.sum():.12g}")
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "probabilities", p)
        kept = order[p[order] > 0]
        object.__setattr__(self, "_table", Atoms.of(values[kept], np.log(p[kept] / p.sum())))

    def describe(self) -> str:
        low, high = self.support
        return f"finite ({self._table.values.size} values from {low:.6g} to {high:.6g})"

    @classmethod
    def fit(cls, values: ArrayLike, weights: ArrayLike | None = None) -> MarginalFit:
        """Maximum likelihood: the (weighted) share of each value that occurs.

        The parameters are the probabilities of all values but the largest, named ``P(value)``.
        """
        x, w = likelihood.observations(values, weights)
        atoms, where = np.unique(x[w > 0], return_inverse=True)
        p = np.bincount(where, w[w > 0]) / w.sum()
        law = cls(values=atoms, probabilities=p)
        free = {f"P({v:.12g})": float(share) for v, share in zip(atoms[:-1], p[:-1], strict=True)}
        errors = {name: float(np.sqrt(share * (1.0 - share) / w.sum())) for name, share in free.items()}
        return MarginalFit(law, free, errors, float(w @ np.where(w > 0, law.logpdf(x), 0.0)), x.size)

    @staticmethod
    def examples() -> list[Finite]:
        """Members for the conformance tests."""
        return [
            Finite(values=[2.0, -1.0, 0.5], probabilities=[0.3, 0.2, 0.5]),
            Finite(values=[0.0, 1e6, 1e9], probabilities=[1.0 - 1e-9 - 1e-15, 1e-9, 1e-15]),
        ]
