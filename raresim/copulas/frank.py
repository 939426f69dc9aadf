"""The Frank copula: no joint extremes in either tail."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np

from raresim.copulas.archimedean import LOG_WHOLE, Archimedean, log_polynomial, log_stirling_second, settle
from raresim.copulas.tables import (
    U_MAX,
    log_expm1,
    log_exponential,
    log_minus_log_one_minus,
    log_minus_log_one_minus_exp,
    log_one_minus_exp,
    log_softplus,
    read,
)
from raresim.numerics import arrays
from raresim.numerics.arrays import Float
from raresim.numerics.interpolation import PiecewisePolynomial
from raresim.numerics.jit import kernel
from raresim.registry import member

_CELLS = 2400


@member("copula")
@dataclass(frozen=True, kw_only=True, eq=False)
class Frank(Archimedean):
    """Frank copula, ``C(u) = -log(1 + prod_j (exp(-theta u_j) - 1) / (exp(-theta) - 1)^(d-1)) / theta``.

    Parameters
    ----------
    theta : float, optional
        Strength, in ``THETAS``.
    tau : float, optional
        Instead of ``theta``: Kendall's tau, ``1 - 4 (1 - D_1(theta)) / theta`` with Debye's function.
    dim : int
        Number of coordinates, at least 2.

    Raises
    ------
    FieldError
        When the parameter is out of range; negative dependence is not supported.

    Notes
    -----
    The frailty is a whole number with the logarithmic law, made by Kemp's method ([1]_, algorithm LK): it is geometric
    with a ratio ``1 - exp(-theta A)`` for a uniform ``A``. The first latent normal makes the ratio, the second the
    geometric number, the others the coordinates. Every score rises in every latent normal, in the second by steps.

    References
    ----------
    .. [1] A. W. Kemp, *Efficient generation of logarithmically distributed pseudo-random variables*, Applied Statistics
       30 (1981) 249-253.
    """

    kind: ClassVar[str] = "frank"
    THETAS: ClassVar[tuple[float, float]] = (1e-4, 200.0)
    FRAILTY_NORMALS: ClassVar[int] = 2

    dim: int
    theta: float | None = None
    tau: float | None = None
    parameter: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        settle(self)

    def _log_frailty(self, u: Float, out: Float) -> None:
        log_rate = arrays.scratch("frank", u.shape[0], 1)[:, 0]
        log_exponential(np.negative(u[:, 1], out=log_rate), out)
        read(self._rate_table, self._log_rate, u[:, 0], log_rate)
        log_geometric(out, log_rate, out)

    def _log_rate(self, u: Float) -> Float:
        """Log of the geometric number's rate ``-log(1 - exp(-theta Phi(u)))``."""
        from scipy import special

        return log_minus_log_one_minus_exp(math.log(self.parameter) + special.log_ndtr(u))

    @cached_property
    def _rate_table(self) -> PiecewisePolynomial:
        return PiecewisePolynomial.fit(self._log_rate, -U_MAX, U_MAX, _CELLS)

    @property
    def _log_p(self) -> float:
        return math.log(-math.expm1(-self.parameter))

    def _log_psi(self, x: Float) -> Float:
        """The logarithm of ``1 - z``, ``z = p exp(-t)``, from the side on which it keeps its digits."""
        log_z = self._log_p - np.exp(x)
        near_one = np.log(-np.minimum(np.logaddexp(-self.parameter, self._log_p + log_one_minus_exp(x)), -1e-300))
        return np.where(log_z > -0.7, near_one, log_minus_log_one_minus(log_z)) - math.log(self.parameter)

    def _log_rest(self, x: Float) -> Float:
        return log_softplus(self._log_odds + log_one_minus_exp(x)) - math.log(self.parameter)

    @property
    def _log_odds(self) -> float:
        return self.parameter + self._log_p  # log(exp(theta) - 1)

    def _log_inverse(self, v: Float) -> Float:
        from scipy import special

        log_theta = math.log(self.parameter)
        log_u = log_theta + special.log_ndtr(v)
        small = (v <= 0) & (log_u < 0)
        # exp(-t) = (1 - exp(-theta u)) / (1 - exp(-theta)), and 1 - exp(-t) from 1 - u in the same way.
        with np.errstate(divide="ignore", invalid="ignore"):
            low = np.log(self._log_p - log_one_minus_exp(log_u))
            high = log_minus_log_one_minus(log_expm1(log_theta + special.log_ndtr(-v)) - self._log_odds)
        return np.where(small, low, high)

    def _log_derivative(self, x: Float, order: int) -> Float:
        """A polylogarithm of order ``1 - order`` at ``z = p exp(-t)``: a polynomial in ``z / (1 - z)``."""
        log_z = self._log_p - np.exp(x)
        log_rest = np.logaddexp(-self.parameter, self._log_p + log_one_minus_exp(x))
        odds = log_z - log_rest
        log_coefficients = log_stirling_second(order)[1:] + np.cumsum(np.log(np.maximum(np.arange(order), 1.0)))
        return odds + log_polynomial(log_coefficients, odds) - math.log(self.parameter)

    def _spread(self) -> float:
        return 1.0

    @staticmethod
    def tau_of(theta: float) -> float:
        from scipy import integrate

        if theta < 0.1:  # 4 (1 - D_1) / theta loses digits here
            square = theta * theta
            return theta / 9.0 * (1.0 - square / 100.0 + square * square / 5880.0)
        debye, _ = integrate.quad(lambda t: t / math.expm1(t) if t else 1.0, 0.0, theta, epsabs=0.0, epsrel=1e-13)
        return 1.0 - 4.0 / theta * (1.0 - debye / theta)

    def _tails(self) -> tuple[float, float]:
        return 0.0, 0.0

    @staticmethod
    def examples() -> list[Frank]:
        """Members for the conformance tests."""
        return [Frank(theta=5.0, dim=2), Frank(tau=0.2, dim=3), Frank(theta=30.0, dim=4)]


@kernel
def log_geometric(log_e: Float, log_rate: Float, out: Float) -> None:
    """Log of ``1 + floor(E / rate)``; ``out`` may be ``log_e``."""
    for i in range(log_e.shape[0]):
        y = log_e[i] - log_rate[i]
        if y < 0.0:
            out[i] = 0.0
        elif y > LOG_WHOLE:
            out[i] = y
        else:
            out[i] = math.log(1.0 + math.floor(math.exp(y)))
