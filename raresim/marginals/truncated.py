"""A law that is cut off at bounds."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np

from raresim.errors import FieldError
from raresim.marginals.affine import Listed, Wrapper, listed
from raresim.marginals.base import LOG_HALF, Continuous, Marginal
from raresim.marginals.finite import Atoms, Tabulated
from raresim.marginals.tails import log1mexp
from raresim.numerics import normal_scores
from raresim.numerics.arrays import Float
from raresim.registry import member

_X, _WEIGHT = np.polynomial.legendre.leggauss(24)


@member("marginal")
@dataclass(frozen=True, kw_only=True, eq=False)
class Truncated(Wrapper):
    """The law of ``X`` given ``low <= X <= high``.

    A standard normal is mapped to the normal score of its truncated probability in ``law``, and this score by the map
    of ``law``. So the bounds may lie in a tail of probability 1e-300, and edges of the law do not matter.

    Parameters
    ----------
    law : Marginal
        Law of ``X``; a discrete law must be able to list its values.
    low, high : float, optional
        Bounds, in the unit of ``x``; a discrete law may take the bounds themselves.
    """

    kind: ClassVar[str] = "truncated"

    law: Marginal
    low: float | None = None
    high: float | None = None
    _form: Continuous | Tabulated = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.low is None and self.high is None:
            raise FieldError("low", "must be given where high is not")
        low = -math.inf if self.low is None else float(self.low)
        high = math.inf if self.high is None else float(self.high)
        for name, value in (("low", low), ("high", high)):
            if math.isnan(value):
                raise FieldError(name, "must be a number, got nan")
        if not (low <= high if self.law.discrete else low < high):
            raise FieldError("high", f"must be above low, which is {low:.15g}, got {high:.15g}")
        nothing = FieldError(
            "low" if self.low is not None else "high",
            f"leaves nothing: {self.law.describe()} has no probability between {low:g} and {high:g}",
        )
        if self.law.discrete:
            atoms = listed("law", self.law)
            kept = (atoms.values >= low) & (atoms.values <= high) & (atoms.log_p > -np.inf)
            if not kept.any():
                raise nothing
            log_p = atoms.log_p[kept]
            self._take(Listed(Atoms.of(atoms.values[kept], log_p - np.logaddexp.reduce(log_p))))
            return
        ends = self.law.support
        form = _Slice(self.law, max(low, ends[0]), min(high, ends[1]))
        if not form.low < form.high or not form.log_mass > -math.inf:
            raise nothing
        self._take(form)

    def describe(self) -> str:
        low = "" if self.low is None else f" from {self.low:.6g}"
        return f"{self.law.describe()}{low}{'' if self.high is None else f' to {self.high:.6g}'}"

    @staticmethod
    def examples() -> list[Truncated]:
        """Members for the conformance tests."""
        from raresim.marginals.lognormal import Lognormal
        from raresim.marginals.poisson import Poisson
        from raresim.marginals.student_t import StudentT

        return [
            Truncated(law=StudentT(dof=4.0), low=-3.0, high=10.0),
            Truncated(law=Lognormal(s=1.0), low=50.0),
            Truncated(law=Poisson(mu=2.0), low=1.0),
        ]


@dataclass(frozen=True, eq=False)
class _Slice(Continuous):
    """A continuous law between two points of its support."""

    law: Marginal
    low: float
    high: float

    @property
    def _support(self) -> tuple[float, float]:
        return self.low, self.high

    @cached_property
    def _log_outside(self) -> tuple[float, float]:
        """Log probability of ``law`` below the lower bound and above the upper one."""
        return float(self.law.logcdf(self.low)), float(self.law.logsf(self.high))

    @cached_property
    def log_mass(self) -> float:
        return float(self._log_between(np.full(1, self.low), np.full(1, self.high))[0])

    def _logpdf(self, z: Float) -> Float:
        return self.law.logpdf(z) - self.log_mass

    def _logcdf(self, z: Float) -> Float:
        return np.minimum(self._log_between(np.full(z.shape, self.low), z) - self.log_mass, 0.0)

    def _logsf(self, z: Float) -> Float:
        return np.minimum(self._log_between(z, np.full(z.shape, self.high)) - self.log_mass, 0.0)

    def _quantile(self, log_p: Float, upper: bool) -> Float:
        log_rest = log1mexp(log_p)
        lower_tail, upper_tail = self._in_law(log_rest if upper else log_p, log_p if upper else log_rest)
        from_above = upper_tail < lower_tail
        smaller = np.where(from_above, upper_tail, lower_tail)
        z = np.where(from_above, self.law.quantile(smaller, True), self.law.quantile(smaller, False))
        return np.clip(z, self.low, self.high)

    def _in_law(self, log_lower: Float, log_upper: Float) -> tuple[Float, Float]:
        """Logs of both tails in ``law`` at the place with these log tails in the slice; they are sums, hence exact."""
        below, above = self._log_outside
        return np.logaddexp(below, log_lower + self.log_mass), np.logaddexp(above, log_upper + self.log_mass)

    # A composition, whether or not the law has a table, so that kinks of the law do not matter for this map.
    def from_normal(self, u: Float, out: Float) -> None:
        from scipy import special

        lower, upper = self._in_law(special.log_ndtr(u), special.log_ndtr(-u))
        score = np.empty(u.shape)
        normal_scores.from_log_probabilities(lower, upper, score)
        self.law.from_normal(score, out)
        np.clip(out, self.low, self.high, out=out)

    @property
    def _table(self) -> None:  # the map is a composition
        return None

    def _log_between(self, a: Float, b: Float) -> Float:
        """Log of ``P(a < X <= b)`` in ``law``, from the tails on the side where they are smaller.

        Where the two tails are so close that their difference loses digits, an integral of the density replaces it. The
        difference is kept if the two disagree by more than the lost digits: then the density has an edge there.
        """
        law = self.law
        below_a, above_a, below_b, above_b = law.logcdf(a), law.logsf(a), law.logcdf(b), law.logsf(b)
        with np.errstate(invalid="ignore", divide="ignore"):
            from_above = above_a + log1mexp(np.minimum(above_b - above_a, 0.0))
            from_below = below_b + log1mexp(np.minimum(below_a - below_b, 0.0))
            across = np.log1p(-(np.exp(below_a) + np.exp(above_b)))
            out = np.where(above_a <= LOG_HALF, from_above, np.where(below_b <= LOG_HALF, from_below, across))
            size = np.where(above_a <= LOG_HALF, above_a, np.where(below_b <= LOG_HALF, below_b, 0.0))
        lost = 4e-15 * np.maximum(1.0, np.abs(size)) * np.exp(np.minimum(size - out, 700.0))
        narrow = (lost > 1e-13) & (b > a) & np.isfinite(size) & np.isfinite(b - a)
        if narrow.any():
            x, y = a[narrow], b[narrow]
            points = x[:, None] + (0.5 * (y - x))[:, None] * (1.0 + _X)
            logs = law.logpdf(points.ravel()).reshape(points.shape)
            top = logs.max(axis=1)
            with np.errstate(invalid="ignore", divide="ignore"):
                integral = top + np.log(np.exp(logs - top[:, None]) @ _WEIGHT) + np.log(0.5 * (y - x))
                near = np.abs(integral - out[narrow]) <= lost[narrow]
            out[narrow] = np.where(near | ((out[narrow] == -np.inf) & np.isfinite(integral)), integral, out[narrow])
        return np.asarray(out)
