"""Student's t law."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from raresim.arguments import checks
from raresim.errors import FieldError
from raresim.marginals import tails
from raresim.marginals.base import Continuous, Moments
from raresim.marginals.likelihood import Domain
from raresim.marginals.parameters import finite
from raresim.numerics.arrays import Float
from raresim.registry import member

DOF_RANGE = (0.1, 1e5)
"""Below it, half of the draws lie outside the doubles; above it, the law is normal to 1e-5."""


@member("marginal")
@dataclass(frozen=True, kw_only=True, eq=False)
class StudentT(Continuous):
    """Student's t law, density proportional to ``(1 + z^2 / dof)^(-(dof + 1) / 2)`` with ``z = (x - loc) / scale``.

    Parameters
    ----------
    dof : float
        Degrees of freedom, the tail index; in `DOF_RANGE`.
    loc : float
        Median.
    scale : float
        Scale, positive; the standard deviation is ``scale * sqrt(dof / (dof - 2))``.
    """

    kind: ClassVar[str] = "student_t"
    PARAMETERS: ClassVar[Mapping[str, Domain]] = {"dof": DOF_RANGE, "loc": "real", "scale": "positive"}

    dof: float
    loc: float = 0.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        low, high = DOF_RANGE
        if not low <= self.dof <= high:
            raise FieldError("dof", f"must be from {low:g} to {high:g} (beyond: kind normal), got {self.dof:.15g}")
        finite("loc", self.loc)
        checks.positive("scale", self.scale)

    @property
    def _support(self) -> tuple[float, float]:
        return -np.inf, np.inf

    def _logpdf(self, z: Float) -> Float:
        return tails.t_logpdf(self.dof, z)

    def _logcdf(self, z: Float) -> Float:
        return self._logsf(-z)

    def _logsf(self, z: Float) -> Float:
        log_tail = tails.t_log_tail(self.dof, np.abs(z))
        return np.where(z >= 0, log_tail, tails.log1mexp(log_tail))

    def _quantile(self, log_p: Float, upper: bool) -> Float:
        z = tails.t_isf(self.dof, log_p)
        return z if upper else -z

    def moments(self) -> Moments:
        d = self.dof
        mean, skewness = (value if d > k else math.nan for value, k in ((self.loc, 1), (0.0, 3)))
        variance = self.scale**2 * d / (d - 2.0) if d > 2 else math.inf if d > 1 else math.nan
        return Moments(mean, variance, skewness, 6.0 / (d - 4.0) if d > 4 else math.inf if d > 2 else math.nan)

    def entropy(self) -> float:
        return t_entropy(self.dof) + math.log(self.scale)

    @classmethod
    def start(cls, values: Float, weights: Float) -> dict[str, float]:
        share = weights / weights.sum()
        mean = float(share @ values)
        return {"dof": 5.0, "loc": mean, "scale": math.sqrt(0.6 * float(share @ (values - mean) ** 2))}

    @staticmethod
    def examples() -> list[StudentT]:
        """Members for the conformance tests."""
        return [StudentT(dof=5.0, loc=1.0, scale=2.0), StudentT(dof=3.0), StudentT(dof=2.5, loc=-1.0, scale=0.01)]


def t_entropy(dof: float) -> float:
    """Entropy of the standard t law, in nats."""
    from scipy import special

    x = 0.5 * dof
    if dof < 1e3:
        rise = float(special.digamma(x + 0.5) - special.digamma(x))
    else:
        rise = 1.0 / (2.0 * x) + 1.0 / (8.0 * x**2) - 1.0 / (64.0 * x**4)  # from DLMF 5.11.2
    return (x + 0.5) * rise + 0.5 * math.log(dof) + float(special.betaln(x, 0.5))
