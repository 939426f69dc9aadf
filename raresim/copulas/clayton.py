"""The Clayton copula: joint extremes in the lower tail."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np

from raresim.copulas.archimedean import Archimedean, settle
from raresim.copulas.tables import log_expm1, log_exponential_exactly, log_one_minus_exp, log_softplus
from raresim.distributions.mixing import log_mixing, log_mixing_table
from raresim.numerics.arrays import Float
from raresim.numerics.interpolation import PiecewisePolynomial
from raresim.registry import member


@member("copula")
@dataclass(frozen=True, kw_only=True, eq=False)
class Clayton(Archimedean):
    """Clayton copula, ``C(u) = (sum_j u_j^-theta - d + 1)^(-1/theta)``.

    Parameters
    ----------
    theta : float, optional
        Strength, in ``THETAS``.
    tau : float, optional
        Instead of ``theta``: Kendall's tau, ``theta / (theta + 2)``.
    dim : int
        Number of coordinates, at least 2.

    Raises
    ------
    FieldError
        When the parameter is out of range; negative dependence is not supported.

    Notes
    -----
    The frailty is gamma with shape ``1 / theta``. The first latent normal makes the frailty, the others make the
    coordinates. Every score rises in every latent normal.
    """

    kind: ClassVar[str] = "clayton"
    THETAS: ClassVar[tuple[float, float]] = (1e-4, 20.0)
    FRAILTY_NORMALS: ClassVar[int] = 1

    dim: int
    theta: float | None = None
    tau: float | None = None
    parameter: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        settle(self)

    def _log_frailty(self, u: Float, out: Float) -> None:
        log_mixing(u[:, 0], self._mixing_table, out)
        out *= -2.0
        out -= math.log(self.parameter)

    @cached_property
    def _mixing_table(self) -> PiecewisePolynomial:
        """Table of ``log sqrt(1 / (theta V))``; ``2 V`` is chi-square with ``2 / theta`` degrees of freedom."""
        return log_mixing_table(2.0 / self.parameter)

    def _log_psi(self, x: Float) -> Float:
        return np.asarray(-np.logaddexp(0.0, x) / self.parameter)

    def _log_rest(self, x: Float) -> Float:
        return log_one_minus_exp(log_softplus(x) - math.log(self.parameter))

    def _log_inverse(self, v: Float) -> Float:
        return log_expm1(math.log(self.parameter) + log_exponential_exactly(v))

    def _log_derivative(self, x: Float, order: int) -> Float:
        a = 1.0 / self.parameter
        rising = float(np.log(a + np.arange(order)).sum())  # Gamma(order + a) / Gamma(a)
        return np.asarray(rising - (order + a) * np.logaddexp(0.0, x))

    def _spread(self) -> float:
        return 1.0

    @staticmethod
    def tau_of(theta: float) -> float:
        return theta / (theta + 2.0)

    @classmethod
    def theta_of(cls, tau: float) -> float:
        return 2.0 * tau / (1.0 - tau)

    def _tails(self) -> tuple[float, float]:
        return 2.0 ** (-1.0 / self.parameter), 0.0

    @staticmethod
    def examples() -> list[Clayton]:
        """Members for the conformance tests."""
        return [Clayton(theta=2.0, dim=2), Clayton(tau=0.3, dim=3), Clayton(theta=10.0, dim=4)]
