"""The triangular law."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from raresim.arguments import checks
from raresim.errors import FieldError
from raresim.marginals import likelihood, tails
from raresim.marginals.base import U_MAX, Continuous, Moments
from raresim.marginals.likelihood import MarginalFit
from raresim.marginals.parameters import REQUIRED, UNSET, Natural, finite, resolve
from raresim.numerics.arrays import Float
from raresim.registry import member


@member("marginal")
@dataclass(frozen=True, kw_only=True, eq=False)
class Triangular(Continuous):
    """Triangular law: the density rises from 0 at ``loc`` to the mode and falls to 0 at ``loc + scale``.

    Parameters
    ----------
    c : float
        Place of the mode between the ends, from 0 to 1.
    loc, scale : float
        Lower end, and distance between the ends, positive; 0 and 1 where one is left out.
    low, mode, high : float
        The ends and the mode, instead of ``c``, ``loc`` and ``scale``.

    References
    ----------
    .. [1] Kotz & van Dorp, *Beyond beta*, 2004, sec. 1.4: the mode with the largest likelihood is one of the values.
    """

    kind: ClassVar[str] = "triangular"

    c: Natural = UNSET
    loc: Natural = UNSET
    scale: Natural = UNSET
    low: float | None = None
    mode: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        resolve(self, {"c": REQUIRED, "loc": 0.0, "scale": 1.0}, ("low", "mode", "high"), self._of_ends)
        if not 0 <= self.c <= 1:
            raise FieldError("c", f"must be from 0 to 1, got {self.c:.15g}")
        finite("loc", self.loc)
        checks.positive("scale", self.scale)

    def _of_ends(self) -> Mapping[str, float]:
        low, mode, high = (finite(name, getattr(self, name)) for name in ("low", "mode", "high"))
        if not low < high:
            raise FieldError("high", f"must be above low, which is {low:.15g}, got {high:.15g}")
        if not low <= mode <= high:
            raise FieldError("mode", f"must be from low, {low:.15g}, to high, {high:.15g}, got {mode:.15g}")
        return {"c": (mode - low) / (high - low), "loc": low, "scale": high - low}

    @property
    def _support(self) -> tuple[float, float]:
        return 0.0, 1.0

    @property
    def _kink(self) -> float:
        from scipy import special

        return float(np.clip(special.ndtri(self.c), -U_MAX, U_MAX))

    def _logpdf(self, z: Float) -> Float:
        return np.where(z < self.c, _log_ratio(z, self.c), _log_ratio(1.0 - z, 1.0 - self.c)) + math.log(2.0)

    def _logcdf(self, z: Float) -> Float:
        return self._log_tail(z, self.c)

    def _logsf(self, z: Float) -> Float:
        return self._log_tail(1.0 - z, 1.0 - self.c)

    @staticmethod
    def _log_tail(y: Float, c: float) -> Float:
        """Log of the probability within ``y`` of an end that is ``c`` away from the mode."""
        below = np.log(y) + _log_ratio(y, c)
        if c == 1:
            return below
        other = (1.0 - y) ** 2 / (1.0 - c)
        above = np.where(other < 0.5, np.log1p(-other), np.log(((y - c) + y * (1.0 - y)) / (1.0 - c)))
        return np.where(y <= c, below, above)

    def _quantile(self, log_p: Float, upper: bool) -> Float:
        y = np.exp(self._log_length(log_p, 1.0 - self.c if upper else self.c))
        return np.asarray(1.0 - y if upper else y)

    def _log_quantile(self, log_p: Float, upper: bool) -> Float:
        log_y = self._log_length(log_p, 1.0 - self.c if upper else self.c)
        return tails.log1mexp(log_y) if upper else log_y

    @staticmethod
    def _log_length(log_p: Float, c: float) -> Float:
        """Log of the length of a tail of log probability ``log_p``, at an end that is ``c`` away from the mode."""
        if c == 1:
            return 0.5 * log_p
        # 1 - sqrt(q) as p / (1 + sqrt(q)) with q = (1 - c) (1 - p), which does not cancel for c = 0.
        p = np.exp(log_p)
        root = np.sqrt((1.0 - c) * -np.expm1(log_p))
        beyond = np.log(c + (1.0 - c) * p) - np.log1p(root) if c > 0 else log_p - np.log1p(root)
        return np.where(p <= c, 0.5 * (log_p + math.log(c)), beyond) if c > 0 else beyond

    def moments(self) -> Moments:
        c = self.c
        spread = 1.0 - c + c * c
        skewness = math.sqrt(2.0) * (1.0 - 2.0 * c) * (1.0 + c) * (2.0 - c) / (5.0 * spread**1.5)
        return Moments(self.loc + self.scale * (1.0 + c) / 3.0, self.scale**2 * spread / 18.0, skewness, -0.6)

    def entropy(self) -> float:
        return 0.5 + math.log(0.5 * self.scale)

    @classmethod
    def fit(cls, values: ArrayLike, weights: ArrayLike | None = None) -> MarginalFit:
        """Maximum likelihood of the ends, with the best mode for each pair of ends (Kotz & van Dorp 2004).

        The likelihood is not smooth, so there are no standard errors.
        """
        from scipy import optimize

        x, w = likelihood.observations(values, weights, least=4)
        x, w = x[w > 0], w[w > 0]
        order = np.argsort(x)
        y, v = x[order], w[order] / w.sum()
        span = float(y[-1] - y[0])
        below, above = np.cumsum(v), 1.0 - np.cumsum(v)

        def best_mode(ends: Float) -> tuple[float, float, float, float]:
            """Mean log likelihood at the best mode for these ends, and the parameters."""
            low, high = float(y[0] - span * np.exp(ends[0])), float(y[-1] + span * np.exp(ends[1]))
            left, right = np.log(y - low), np.log(high - y)
            rising = np.cumsum(v * left) - below * left
            falling = np.cumsum((v * right)[::-1])[::-1] - v * right - above * right
            k = int(np.argmax(rising + falling))
            mean = float(rising[k] + falling[k]) + math.log(2.0 / (high - low))
            return mean, float((y[k] - low) / (high - low)), low, high - low

        def cost(ends: Float) -> float:
            return -best_mode(ends)[0] if np.abs(ends).max() < 30 else math.inf

        options: dict[str, float] = {"xatol": 1e-7, "fatol": 1e-12, "maxiter": 1000}
        found = optimize.minimize(cost, np.array([-3.0, -3.0]), method="Nelder-Mead", options=options)  # type: ignore[call-overload]
        _, c, loc, scale = best_mode(found.x)
        parameters = {"c": c, "loc": loc, "scale": scale}
        return likelihood.closed_form(cls, parameters, dict.fromkeys(parameters, math.nan), x, w)

    @staticmethod
    def examples() -> list[Triangular]:
        """Members for the conformance tests."""
        return [
            Triangular(c=0.6, loc=-1.0, scale=3.0),
            Triangular(low=10.0, mode=11.0, high=20.0),
            Triangular(c=0.0),
            Triangular(low=-3.0, mode=2.0, high=2.0),
        ]


def _log_ratio(y: Float, c: float) -> Float:
    """``log(y / c)``; 0 where ``c`` is 0, which only ``y = 0`` reaches."""
    return np.log(y) - math.log(c) if c > 0 else np.zeros(y.shape)
