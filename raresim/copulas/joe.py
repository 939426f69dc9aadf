"""The Joe copula: joint extremes in the upper tail, stronger than in the Gumbel copula."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from raresim.copulas.archimedean import LOG_WHOLE, Archimedean, log_polynomial, log_stirling_second, settle
from raresim.copulas.tables import log_exponential_exactly, log_minus_log_one_minus_exp, log_one_minus_exp
from raresim.numerics.arrays import Float
from raresim.numerics.jit import kernel
from raresim.registry import member

LARGE = 1e4
"""Above this, a ratio of gamma functions is a power of the middle of their arguments, to relative 1e-9."""


@member("copula")
@dataclass(frozen=True, kw_only=True, eq=False)
class Joe(Archimedean):
    """Joe copula, ``C(u) = 1 - (1 - prod_j (1 - (1 - u_j)^theta))^(1/theta)``.

    Parameters
    ----------
    theta : float, optional
        Strength, in ``THETAS``; 1 is independence.
    tau : float, optional
        Instead of ``theta``: Kendall's tau, ``1 + 2 (digamma(2) - digamma(1 + 2 / theta)) / (2 - theta)``.
    dim : int
        Number of coordinates, at least 2.

    Raises
    ------
    FieldError
        When the parameter is out of range.

    Notes
    -----
    The frailty is a whole number with Sibuya's law, by inversion ([1]_, proposition 3.2). The first latent normal makes
    the frailty, the others make the coordinates. Every score rises in every latent normal, in the first by steps.

    References
    ----------
    .. [1] M. Hofert, *Efficiently sampling nested Archimedean copulas*, Computational Statistics & Data Analysis 55
       (2011) 57-70.
    """

    kind: ClassVar[str] = "joe"
    THETAS: ClassVar[tuple[float, float]] = (1.0, 100.0)
    FRAILTY_NORMALS: ClassVar[int] = 1

    dim: int
    theta: float | None = None
    tau: float | None = None
    parameter: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        settle(self)

    def _log_frailty(self, u: Float, out: Float) -> None:
        from scipy import special

        if self.parameter == 1.0:
            out[:] = 0.0
        else:
            log_sibuya(special.log_ndtr(-u[:, 0]), 1.0 / self.parameter, out)

    def _log_psi(self, x: Float) -> Float:
        return log_one_minus_exp(log_minus_log_one_minus_exp(x) - math.log(self.parameter))

    def _log_rest(self, x: Float) -> Float:
        return np.asarray(-np.exp(log_minus_log_one_minus_exp(x)) / self.parameter)

    def _log_inverse(self, v: Float) -> Float:
        return log_minus_log_one_minus_exp(math.log(self.parameter) + log_exponential_exactly(-v))

    def _log_derivative(self, x: Float, order: int) -> Float:
        a = 1.0 / self.parameter
        log_rest = log_one_minus_exp(x)
        with np.errstate(divide="ignore"):
            factors = np.log(np.arange(1, order) - a) if order > 1 else np.empty(0)
        log_coefficients = log_stirling_second(order)[1:] + np.append(0.0, np.cumsum(factors))
        t = np.exp(x)
        return math.log(a) - t - (1.0 - a) * log_rest + log_polynomial(log_coefficients, -t - log_rest)

    def _spread(self) -> float:
        return 1.0

    @staticmethod
    def tau_of(theta: float) -> float:
        from scipy import special

        h = 2.0 / theta - 1.0
        if abs(h) < 1e-4:  # digamma(2 + h) - digamma(2) by its series
            trigamma, second = (float(special.polygamma(k, 2.0)) for k in (1, 2))
            slope = trigamma + 0.5 * h * second
        else:
            slope = float(special.digamma(2.0 + h) - special.digamma(2.0)) / h
        return 1.0 - 2.0 * slope / theta

    def _tails(self) -> tuple[float, float]:
        return 0.0, 2.0 - 2.0 ** (1.0 / self.parameter)

    @staticmethod
    def examples() -> list[Joe]:
        """Members for the conformance tests."""
        return [Joe(theta=2.0, dim=2), Joe(tau=0.3, dim=3), Joe(theta=8.0, dim=4)]


@kernel
def log_sibuya(log_q: Float, a: float, out: Float) -> None:
    """Log of the smallest whole ``k`` with ``P(V > k) = Gamma(k + 1 - a) / (Gamma(1 - a) k!)`` at most ``exp(log_q)``.

    With ``y^-a / Gamma(1 - a) = q``, Gautschi's inequality leaves the two whole numbers around ``y``.
    """
    log_gamma = math.lgamma(1.0 - a)
    for i in range(log_q.shape[0]):
        log_y = -(log_q[i] + log_gamma) / a
        if log_q[i] >= math.log1p(-a) or log_y < 0.0:
            out[i] = 0.0
        elif log_y > LOG_WHOLE:
            out[i] = log_y
        else:
            y = math.exp(log_y)
            k = math.floor(y)
            if y > LARGE:
                reached = k + 0.5 * (1.0 - a) >= y
            else:
                reached = math.lgamma(k + 1.0 - a) - math.lgamma(k + 1.0) - log_gamma <= log_q[i]
            out[i] = math.log(k if reached else k + 1.0)
