"""The Pareto law."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from raresim.arguments import checks
from raresim.marginals import likelihood, tails
from raresim.marginals.base import Continuous, Moments
from raresim.marginals.likelihood import MarginalFit
from raresim.marginals.parameters import finite
from raresim.numerics.arrays import Float
from raresim.registry import member


@member("marginal")
@dataclass(frozen=True, kw_only=True, eq=False)
class Pareto(Continuous):
    """Pareto law, ``P(X > x) = z^(-b)`` with ``z = (x - loc) / scale > 1``.

    Its standard form here is ``z - 1``, so that both tails are exact; with ``loc = -scale`` it is Lomax's law.

    Parameters
    ----------
    b : float
        Tail index, positive.
    loc : float
        Shift of the law; its lower end is ``loc + scale``.
    scale : float
        Scale, positive.
    """

    kind: ClassVar[str] = "pareto"

    b: float
    loc: float = 0.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        checks.positive("b", self.b)
        finite("loc", self.loc)
        checks.positive("scale", self.scale)

    @property
    def _support(self) -> tuple[float, float]:
        return 0.0, np.inf

    @property
    def _origin(self) -> float:
        return self.loc + self.scale

    def _logpdf(self, z: Float) -> Float:
        return np.asarray(math.log(self.b) - (self.b + 1.0) * np.log1p(z))

    def _logcdf(self, z: Float) -> Float:
        return tails.log1mexp(-self.b * np.log1p(z))

    def _logsf(self, z: Float) -> Float:
        return np.asarray(-self.b * np.log1p(z))

    def _quantile(self, log_p: Float, upper: bool) -> Float:
        return np.asarray(np.expm1(np.exp(tails.log_hazard(log_p, upper)) / self.b))

    def _log_quantile(self, log_p: Float, upper: bool) -> Float:
        t = np.exp(tails.log_hazard(log_p, upper)) / self.b
        # log(exp(t) - 1), which is log t where t is small and t where it is large.
        return np.where(t < 1e-20, tails.log_hazard(log_p, upper) - math.log(self.b), t + tails.log1mexp(-t))

    def moments(self) -> Moments:
        b = self.b
        mean = self.loc + self.scale * b / (b - 1.0) if b > 1 else math.inf
        variance = self.scale**2 * b / ((b - 1.0) ** 2 * (b - 2.0)) if b > 2 else math.inf
        skewness = 2.0 * (b + 1.0) * math.sqrt((b - 2.0) / b) / (b - 3.0) if b > 3 else math.nan
        excess = 6.0 * (b**3 + b**2 - 6.0 * b - 2.0) / (b * (b - 3.0) * (b - 4.0)) if b > 4 else math.nan
        return Moments(mean, variance, skewness, excess)

    def entropy(self) -> float:
        return math.log(self.scale / self.b) + 1.0 + 1.0 / self.b

    @classmethod
    def fit(cls, values: ArrayLike, weights: ArrayLike | None = None) -> MarginalFit:
        """Maximum likelihood with ``loc`` 0: ``scale`` is the smallest value, without a standard error.

        Johnson, Kotz & Balakrishnan, *Continuous univariate distributions* 1, 1994, eq. (20.25).
        """
        x, w = likelihood.observations(values, weights)
        x, w = x[w > 0], w[w > 0]
        likelihood.above_zero(cls, x)
        scale = float(x.min())
        total = float(w.sum())
        b = total / float(w @ np.log(x / scale))
        return likelihood.closed_form(
            cls, {"b": b, "scale": scale}, {"b": b / math.sqrt(total), "scale": math.nan}, x, w
        )

    @staticmethod
    def examples() -> list[Pareto]:
        """Members for the conformance tests."""
        return [Pareto(b=3.0, scale=2.0), Pareto(b=1.5, loc=-1.0), Pareto(b=20.0, scale=0.1)]
