"""Hansen's skewed t law."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from raresim.arguments import checks
from raresim.marginals import tails
from raresim.marginals.base import Continuous, Moments
from raresim.marginals.likelihood import Domain
from raresim.marginals.parameters import finite
from raresim.marginals.student_t import t_entropy
from raresim.numerics.arrays import Bool, Float
from raresim.registry import member


@member("marginal")
@dataclass(frozen=True, kw_only=True, eq=False)
class SkewedT(Continuous):
    """Skewed t law of mean ``loc`` and standard deviation ``scale``, [1]_ eq. (10).

    With ``y = b (x - loc) / scale + a`` the density is ``b t(y / (1 - skew)) / scale`` below ``y = 0`` and
    ``b t(y / (1 + skew)) / scale`` above, where ``t`` is the density of the t law of variance 1.

    Parameters
    ----------
    dof : float
        Degrees of freedom, above 2: the index of both tails.
    skew : float
        Asymmetry, above -1 and below 1; negative for a heavier lower tail.
    loc : float
        Mean.
    scale : float
        Standard deviation, positive.

    References
    ----------
    .. [1] Hansen, *Autoregressive conditional density estimation*, Int. Econ. Rev. 35(3), 1994.
    .. [2] Jondeau & Rockinger, *Conditional volatility, skewness, and kurtosis*, J. Econ. Dyn. Control 27, 2003.
    """

    kind: ClassVar[str] = "skewed_t"
    PARAMETERS: ClassVar[Mapping[str, Domain]] = {
        "dof": (2.0, 500.0),
        "skew": (-1.0, 1.0),
        "loc": "real",
        "scale": "positive",
    }

    dof: float
    skew: float
    loc: float = 0.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        checks.between("dof", self.dof, 2.0, 1e5)
        checks.between("skew", self.skew, -1.0, 1.0)
        finite("loc", self.loc)
        checks.positive("scale", self.scale)

    @property
    def _constants(self) -> tuple[float, float, float]:
        """``a``, ``b`` and ``sqrt((dof - 2) / dof)``, the scale of a t law of variance 1."""
        from scipy import special

        c = math.exp(-float(special.betaln(0.5 * self.dof, 0.5))) / math.sqrt(self.dof - 2.0)
        a = 4.0 * self.skew * c * (self.dof - 2.0) / (self.dof - 1.0)
        return a, math.sqrt(1.0 + 3.0 * self.skew**2 - a * a), math.sqrt((self.dof - 2.0) / self.dof)

    @property
    def _support(self) -> tuple[float, float]:
        return -np.inf, np.inf

    @property
    def _kink(self) -> float:
        from scipy import special

        return float(special.ndtri(0.5 * (1.0 - self.skew)))

    def _t(self, z: Float) -> tuple[Float, Bool]:
        """The t variable of the piece on which ``z`` lies, and whether that is the upper piece."""
        a, b, unit = self._constants
        y = b * z + a
        upper = y >= 0
        return y / (unit * np.where(upper, 1.0 + self.skew, 1.0 - self.skew)), upper

    def _logpdf(self, z: Float) -> Float:
        _, b, unit = self._constants
        return tails.t_logpdf(self.dof, self._t(z)[0]) + math.log(b / unit)

    def _logcdf(self, z: Float) -> Float:
        t, upper = self._t(z)
        log_tail = tails.t_log_tail(self.dof, np.abs(t))
        return np.where(
            upper, tails.log1mexp(log_tail + math.log1p(self.skew)), np.minimum(log_tail + math.log1p(-self.skew), 0.0)
        )

    def _logsf(self, z: Float) -> Float:
        t, upper = self._t(z)
        log_tail = tails.t_log_tail(self.dof, np.abs(t))
        return np.where(
            upper, np.minimum(log_tail + math.log1p(self.skew), 0.0), tails.log1mexp(log_tail + math.log1p(-self.skew))
        )

    def _quantile(self, log_p: Float, upper: bool) -> Float:
        a, b, unit = self._constants
        sign = 1.0 if upper else -1.0
        near, far = 1.0 - sign * self.skew, 1.0 + sign * self.skew
        outer = log_p <= math.log(0.5 * far)
        log_tail = np.where(outer, log_p - math.log(far), tails.log1mexp(log_p) - math.log(near))
        t = tails.t_isf(self.dof, np.minimum(log_tail, math.log(0.5)))
        return np.asarray((sign * unit * np.where(outer, far, -near) * t - a) / b)

    def moments(self) -> Moments:
        """Jondeau & Rockinger (2003), eq. (3)-(5)."""
        a, b, _ = self._constants
        d, s = self.dof, self.skew
        m2 = 1.0 + 3.0 * s * s
        skewness, kurtosis = math.nan, math.inf
        if d > 3:
            m3 = 4.0 * a * (1.0 + s * s) * (d - 2.0) / (d - 3.0)
            skewness = (m3 - 3.0 * a * m2 + 2.0 * a**3) / b**3
        if d > 4:
            m4 = 3.0 * (d - 2.0) / (d - 4.0) * (1.0 + 10.0 * s**2 + 5.0 * s**4)
            kurtosis = (m4 - 4.0 * a * m3 + 6.0 * a * a * m2 - 3.0 * a**4) / b**4
        return Moments(self.loc, self.scale**2, skewness, kurtosis - 3.0)

    def entropy(self) -> float:
        _, b, unit = self._constants
        return t_entropy(self.dof) + math.log(unit * self.scale / b)

    @classmethod
    def start(cls, values: Float, weights: Float) -> dict[str, float]:
        share = weights / weights.sum()
        mean = float(share @ values)
        return {"dof": 6.0, "skew": 0.0, "loc": mean, "scale": math.sqrt(float(share @ (values - mean) ** 2))}

    @staticmethod
    def examples() -> list[SkewedT]:
        """Members for the conformance tests."""
        return [
            SkewedT(dof=6.0, skew=-0.3, loc=1.0, scale=2.0),
            SkewedT(dof=2.5, skew=0.6),
            SkewedT(dof=40.0, skew=-0.8, scale=0.01),
        ]
