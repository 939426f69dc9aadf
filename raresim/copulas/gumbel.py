"""The Gumbel copula: joint extremes in the upper tail."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np

from raresim.copulas.archimedean import Archimedean, log_polynomial, settle
from raresim.copulas.tables import U_MAX, log_exponential, log_exponential_exactly, log_one_minus_exp, read
from raresim.numerics import arrays
from raresim.numerics.arrays import Float
from raresim.numerics.interpolation import PiecewisePolynomial
from raresim.registry import member

_CELLS = 1600


@member("copula")
@dataclass(frozen=True, kw_only=True, eq=False)
class Gumbel(Archimedean):
    """Gumbel copula, ``C(u) = exp(-(sum_j (-log u_j)^theta)^(1/theta))``.

    Parameters
    ----------
    theta : float, optional
        Strength, in ``THETAS``; 1 is independence.
    tau : float, optional
        Instead of ``theta``: Kendall's tau, ``1 - 1 / theta``.
    dim : int
        Number of coordinates, at least 2.

    Raises
    ------
    FieldError
        When the parameter is out of range.

    Notes
    -----
    The frailty is positive stable with index ``a = 1 / theta``, made of an angle ``T`` and an exponential ``W`` ([1]_
    theorem 4.1): ``V = sin(aT) / sin(T)^(1/a) (sin((1 - a) T) / W)^((1 - a)/a)``. The first latent normal makes the
    angle, the second the exponential, the others the coordinates. Every score rises in every latent normal.

    References
    ----------
    .. [1] M. Kanter, *Stable densities under change of scale and total variation inequalities*, Annals of Probability 3
       (1975) 697-707.
    """

    kind: ClassVar[str] = "gumbel"
    THETAS: ClassVar[tuple[float, float]] = (1.0, 100.0)
    FRAILTY_NORMALS: ClassVar[int] = 2

    dim: int
    theta: float | None = None
    tau: float | None = None
    parameter: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        settle(self)

    def _log_frailty(self, u: Float, out: Float) -> None:
        log_w = arrays.scratch("gumbel", u.shape[0], 1)[:, 0]
        log_exponential(u[:, 1], log_w)
        read(self._angle_table, self._of_angle, u[:, 0], out)
        log_w *= self.parameter - 1.0
        out -= log_w

    def _of_angle(self, u: Float) -> Float:
        """The part of ``log V`` from the angle ``T = pi Phi(u)``; ``numpy.sinc(p)`` is ``sin(pi p) / (pi p)``."""
        from scipy import special

        theta = self.parameter
        if theta == 1.0:
            return np.zeros(u.shape)
        a, rest = 1.0 / theta, (theta - 1.0) / theta
        low, high = special.ndtr(u), special.ndtr(-u)
        log_low, log_high = special.log_ndtr(u), special.log_ndtr(-u)
        log_sin = np.where(u < 0, log_low + np.log(np.sinc(low)), log_high + np.log(np.sinc(high)))
        # sin(aT) is computed from the end of [0, pi] that is nearer.
        beyond = rest + a * high
        near, far = math.log(a) + log_low + np.log(np.sinc(a * low)), np.log(beyond * np.sinc(beyond))
        log_other = math.log(rest) + log_low + np.log(np.sinc(rest * low))
        return np.asarray(np.where(beyond > 0.5, near, far) - theta * log_sin + (theta - 1.0) * log_other)

    @cached_property
    def _angle_table(self) -> PiecewisePolynomial:
        return PiecewisePolynomial.fit(self._of_angle, -U_MAX, U_MAX, _CELLS)

    def _log_psi(self, x: Float) -> Float:
        return np.asarray(-np.exp(x / self.parameter))

    def _log_rest(self, x: Float) -> Float:
        return log_one_minus_exp(x / self.parameter)

    def _log_inverse(self, v: Float) -> Float:
        return self.parameter * log_exponential_exactly(v)

    def _log_derivative(self, x: Float, order: int) -> Float:
        scaled = x / self.parameter
        return log_polynomial(_log_coefficients(order, 1.0 / self.parameter), scaled) - np.exp(scaled) - order * x

    def _spread(self) -> float:
        return self.parameter

    @staticmethod
    def tau_of(theta: float) -> float:
        return 1.0 - 1.0 / theta

    @classmethod
    def theta_of(cls, tau: float) -> float:
        return 1.0 / (1.0 - tau)

    def _tails(self) -> tuple[float, float]:
        return 0.0, 2.0 - 2.0 ** (1.0 / self.parameter)

    @staticmethod
    def examples() -> list[Gumbel]:
        """Members for the conformance tests."""
        return [Gumbel(theta=2.0, dim=2), Gumbel(tau=0.3, dim=3), Gumbel(theta=8.0, dim=4)]


def _log_coefficients(order: int, a: float) -> Float:
    """Logs of ``c_k`` in ``(-1)^n psi^(n)(t) = psi(t) t^-n sum_k c_k t^(a k)``.

    One more derivative gives ``c_k <- a c_{k-1} + (n - a k) c_k``, a sum of positive terms where the closed form of
    Hofert, Maechler and McNeil alternates.
    """
    row = np.array([0.0])
    with np.errstate(divide="ignore"):
        for n in range(order):
            keep = np.log(np.maximum(n - a * np.arange(row.size + 1), 0.0))
            row = np.logaddexp(math.log(a) + np.append(-np.inf, row), keep + np.append(row, -np.inf))
    return row
