"""A loss that is quadratic in normal or Student t factors, in coordinates in which its terms do not mix."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from raresim.distributions.base import Inputs
from raresim.distributions.normal import Normal
from raresim.distributions.standard_normal import StandardNormal
from raresim.distributions.student_t import StudentT
from raresim.numerics.arrays import Float, frozen

NEAREST = 1.0 - 1e-9
"""How near to the end of its domain a twist may come."""

Numbers = Any
"""One number or an array of numbers, real or complex."""


@dataclass(frozen=True, eq=False)
class QuadraticForm:
    """``L = constant + m b'z + m^2 sum_i lam_i z_i^2`` with independent standard normals ``z``.

    ``m`` is 1 for normal factors, and ``sqrt(dof / Y)`` with ``Y`` chi-square for those of Student's t law.

    Parameters
    ----------
    constant : float
        In the unit of the loss, as are the other coefficients.
    linear, square : (d,) float64
        ``b`` and ``lam``.
    rotation : (d, d) float64
        Standard normals behind the factors are ``rotation @ z``; empty where they are ``z``.
    dof : float or None
        Degrees of freedom; None for normal factors.

    Notes
    -----
    Everything goes by ``Q_x = (L - x) / m^2``, whose sign is that of ``L - x``. Its moment generating function is
    ``(1 - 2 a(s) / dof)^(-dof / 2) prod_i (1 - 2 s lam_i)^(-1/2)`` with ``a(s) = s (constant - x) + sum_i s^2 b_i^2 /
    (2 (1 - 2 s lam_i))``, [2]_ sec. 3; for normal factors the first factor is ``exp(a(s))``, [1]_ sec. 3.

    References
    ----------
    .. [1] Glasserman, Heidelberger & Shahabuddin, *Variance reduction techniques for estimating value-at-risk*,
       Management Science 46, 2000.
    .. [2] Glasserman, Heidelberger & Shahabuddin, *Portfolio value-at-risk with heavy-tailed risk factors*,
       Mathematical Finance 12, 2002.
    """

    constant: float
    linear: Float
    square: Float
    rotation: Float
    dof: float | None = None

    @cached_property
    def inversions(self) -> dict[tuple[float, float, float, int], float | None]:
        """What `raresim.models.market.exact_quadratic.QuadraticLaw` has found, by its arguments: a search, strata and
        controls of a run ask for the same numbers, and so do several runs of a model."""
        return {}

    @classmethod
    def of(cls, inputs: Inputs, constant: float, linear: Float, quadratic: Float) -> QuadraticForm | None:
        """Of ``constant + linear'x + x' quadratic x / 2``; None where ``inputs`` are neither normal nor Student's t.

        ``quadratic`` is (d, d), or (d,) where it is diagonal.
        """
        if isinstance(inputs, StandardNormal):
            law, dof = Normal(mean=np.zeros(inputs.dim), std=1.0), None
        elif isinstance(inputs, StudentT):
            law, dof = inputs.normal, inputs.dof
        elif isinstance(inputs, Normal):
            law, dof = inputs, None
        else:
            return None
        m, is_diagonal = law.location, quadratic.ndim == 1
        pull = quadratic * m if is_diagonal else quadratic @ m
        start = constant + float(linear @ m) + 0.5 * float(m @ pull)
        slope = law.spread_transposed(linear + pull)
        if is_diagonal and not law.correlated:
            lam, rotation = 0.5 * quadratic * law.scales**2, np.empty((0, 0))
        else:
            full = np.diag(quadratic) if is_diagonal else quadratic
            root = law.factor if law.correlated else np.diag(law.scales)
            lam, rotation = np.linalg.eigh(0.5 * root.T @ full @ root)
            slope = rotation.T @ slope
        return cls(start, frozen(slope), frozen(lam), frozen(np.ascontiguousarray(rotation)), dof)

    @property
    def dim(self) -> int:
        """Number of factors."""
        return self.linear.size

    @property
    def end(self) -> float:
        """Where the domain of the twist ends: ``1 / (2 max lam)``, infinite where no ``lam`` is positive."""
        top = float(self.square.max())
        return 0.5 / top if top > 0 else math.inf

    @property
    def bounds(self) -> tuple[float, float]:
        """The greatest lower and the least upper bound of the loss, which may be infinite."""
        return -self._sup(-1.0), self._sup(1.0)

    def _sup(self, sign: float) -> float:
        lam, b = sign * self.square, self.linear
        if (lam > 0).any() or b[lam == 0].any():
            return math.inf
        bends = lam < 0
        return sign * self.constant - float((b[bends] ** 2 / (4.0 * lam[bends])).sum())

    @property
    def size(self) -> float:
        """The standard deviation of the loss with normal factors: a scale, in the unit of the loss."""
        return math.sqrt(float(self.linear @ self.linear) + 2.0 * float(self.square @ self.square))

    @property
    def mean(self) -> float:
        """Expected loss; NaN where there is none."""
        if self.dof is None:
            return self.constant + float(self.square.sum())
        return self.constant + self.dof / (self.dof - 2.0) * float(self.square.sum()) if self.dof > 2 else math.nan

    @property
    def std(self) -> float:
        """Standard deviation of the loss; NaN where there is none."""
        b, lam = float(self.linear @ self.linear), self.square
        if self.dof is None:
            return self.size
        if self.dof <= (4 if lam.any() else 2):
            return math.nan
        first = self.dof / (self.dof - 2.0)
        if not lam.any():
            return math.sqrt(first * b)
        second = first * self.dof / (self.dof - 4.0)
        total = float(lam.sum())
        return math.sqrt(first * b + second * (2.0 * float(lam @ lam) + total * total) - (first * total) ** 2)

    def log_mgf(self, s: Numbers, x: float) -> Numbers:
        """``log E exp(s Q_x)`` of real ``s`` (n,), or of points along a path that begins at the real axis."""
        s = np.asarray(s)
        left = 1.0 - 2.0 * np.multiply.outer(s, self.square)
        spread = s * (self.constant - x) + 0.5 * s * s * ((self.linear**2) / left).sum(axis=-1)
        out = -0.5 * np.log(left).sum(axis=-1)
        if self.dof is None:
            return out + spread
        if not np.iscomplexobj(spread):
            return out - 0.5 * self.dof * np.log1p(-2.0 * spread / self.dof)
        room = 1.0 - 2.0 * spread / self.dof
        return out - 0.5 * self.dof * (np.log(np.abs(room)) + 1j * np.unwrap(np.angle(room)))

    def slope(self, t: float, x: float) -> float:
        """The derivative of `log_mgf` at a real ``t``: the mean of ``Q_x`` under the twist ``t``."""
        left = np.maximum(np.abs(1.0 - 2.0 * t * self.square), 1e-150)
        b2 = self.linear**2
        spread = t * (self.constant - x) + 0.5 * t * t * float((b2 / left).sum())
        of_spread = self.constant - x + float((t * b2 / left + t * t * b2 * self.square / left**2).sum())
        of_squares = float((self.square / left).sum())
        if self.dof is None:
            return of_spread + of_squares
        room = 1.0 - 2.0 * spread / self.dof
        return of_spread / room + of_squares if room > 0 else math.copysign(math.inf, t)

    def twist(self, x: float, q: float = 0.0) -> float:
        """The twist that makes ``q`` the mean of ``Q_x``: a saddle point of its transform; NaN where there is none."""
        from scipy import optimize

        def slope(t: float) -> float:
            return min(max(self.slope(t, x) - q, -1e300), 1e300)

        sign = 1.0 if slope(0.0) < 0 else -1.0
        bottom = float(self.square.min())
        limit = self.end if sign > 0 else (0.5 / bottom if bottom < 0 else -math.inf)
        size = self.size
        inner, outer = 0.0, sign / size
        while abs(outer) < 1e100 / size:
            outer = outer if abs(outer) < abs(limit) else limit * NEAREST
            if sign * slope(outer) >= 0:
                found = optimize.brentq(slope, min(inner, outer), max(inner, outer), xtol=1e-14 / size)
                return float(found)
            if outer == limit * NEAREST:
                break
            inner, outer = outer, 2.0 * outer
        return math.nan
