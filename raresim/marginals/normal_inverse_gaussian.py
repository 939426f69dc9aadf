"""The normal inverse Gaussian law."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from raresim.arguments import checks
from raresim.errors import FieldError
from raresim.marginals.base import Continuous, Moments
from raresim.marginals.likelihood import Domain
from raresim.marginals.numeric_tails import NumericTails, sample_moments
from raresim.marginals.parameters import finite
from raresim.numerics.arrays import Float
from raresim.registry import member


@member("marginal")
@dataclass(frozen=True, kw_only=True, eq=False)
class NormalInverseGaussian(Continuous):
    """Normal inverse Gaussian law, in SciPy's form.

    With ``z = (x - loc) / scale``, ``q = sqrt(1 + z^2)`` and ``g = sqrt(a^2 - b^2)`` the density is
    ``a K_1(a q) / (pi q scale) exp(g + b z)``: both tails fall as ``|z|^-1.5 exp(-(a -+ b) |z|)`` [1]_. In the letters
    of [1]_, ``a = alpha delta``, ``b = beta delta``, ``loc = mu`` and ``scale = delta``. The mean is
    ``loc + scale b / g``, the variance ``scale^2 a^2 / g^3``.

    Parameters
    ----------
    a : float
        Steepness of the tails, positive: small is heavy, large is near to normal.
    b : float
        Asymmetry, ``|b| < a``; positive leans to the right.
    loc : float
        Location, the mean where ``b`` is 0.
    scale : float
        Scale, positive.

    References
    ----------
    .. [1] Barndorff-Nielsen, *Normal inverse Gaussian distributions and stochastic volatility modelling*,
       Scandinavian Journal of Statistics 24, 1997.
    """

    kind: ClassVar[str] = "normal_inverse_gaussian"
    PARAMETERS: ClassVar[Mapping[str, Domain]] = {"a": "positive", "b": "real", "loc": "real", "scale": "positive"}

    a: float
    b: float = 0.0
    loc: float = 0.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        checks.positive("a", self.a)
        if not abs(self.b) < self.a:
            raise FieldError(
                "b", f"must be above -{self.a:.15g} and below {self.a:.15g}, the value of a, got {self.b:.15g}"
            )
        finite("loc", self.loc)
        checks.positive("scale", self.scale)

    @property
    def _support(self) -> tuple[float, float]:
        return -np.inf, np.inf

    @property
    def _g(self) -> float:
        return math.sqrt((self.a - self.b) * (self.a + self.b))

    def _logpdf(self, z: Float) -> Float:
        from scipy import special

        g = self._g
        q = np.hypot(1.0, z)
        w = self.a * q
        # The exponent is g + b z - w = -2 g sinh^2(shift / 2); each form is used where it loses no digits.
        shift = np.arcsinh(z) - math.asinh(self.b / g)
        along = np.abs(self.b * z)
        away = np.where(self.b * z < 0, w + along, self.a * (self.a / (w + along)) + g * z * (g * z / (w + along)))
        near = np.abs(shift) < 1.0
        exponent = np.where(near, -2.0 * g * np.sinh(0.5 * np.where(near, shift, 0.0)) ** 2, g - away)
        return np.asarray(math.log(self.a / math.pi) + np.log(special.k1e(w) / q) + exponent)

    def _logcdf(self, z: Float) -> Float:
        return self._tails.log_tail(z, False, self._logpdf)

    def _logsf(self, z: Float) -> Float:
        return self._tails.log_tail(z, True, self._logpdf)

    def _quantile(self, log_p: Float, upper: bool) -> Float:
        return self._tails.quantile(log_p, upper, self)

    @cached_property
    def _tails(self) -> NumericTails:
        between = np.sinh(np.linspace(0.0, math.asinh(self.b / self._g), 201))
        return NumericTails.of(self._logpdf, float(between[np.argmax(self._logpdf(between))]))

    def moments(self) -> Moments:
        g, lean = self._g, self.b / self.a
        return Moments(
            self.loc + self.scale * self.b / g,
            self.scale**2 * self.a**2 / g**3,
            3.0 * lean / math.sqrt(g),
            3.0 * (1.0 + 4.0 * lean**2) / g,
        )

    def entropy(self) -> float:
        return math.log(self.scale) - self._tails.expect(self._logpdf, self._logpdf)

    @classmethod
    def start(cls, values: Float, weights: Float) -> dict[str, float]:
        """The method of moments; the kurtosis is raised where no such law has it with the sample's skewness."""
        mean, variance, skewness, kurtosis = sample_moments(values, weights)
        kurtosis = max(kurtosis, 2.0 * skewness**2, 0.05)
        g = 3.0 / (kurtosis - 4.0 / 3.0 * skewness**2)
        lean = skewness * math.sqrt(g) / 3.0
        a = g / math.sqrt(1.0 - lean**2)
        scale = math.sqrt(variance * g**3) / a
        return {"a": a, "b": lean * a, "loc": mean - scale * lean * a / g, "scale": scale}

    @staticmethod
    def examples() -> list[NormalInverseGaussian]:
        """Members for the conformance tests."""
        return [
            NormalInverseGaussian(a=1.5, b=-0.5),
            NormalInverseGaussian(a=0.6, b=0.1, loc=0.001, scale=0.01),
            NormalInverseGaussian(a=40.0, b=25.0, loc=-2.0, scale=3.0),
        ]
