"""The Bernoulli law."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from raresim.errors import DataError, FieldError
from raresim.marginals import likelihood
from raresim.marginals.base import Moments
from raresim.marginals.finite import Atoms, Tabulated
from raresim.marginals.likelihood import MarginalFit
from raresim.registry import member


@member("marginal")
@dataclass(frozen=True, kw_only=True, eq=False)
class Bernoulli(Tabulated):
    """Bernoulli law: 1 with probability ``p``, otherwise 0.

    Parameters
    ----------
    p : float
        Probability of a 1, from 0 to 1.
    """

    kind: ClassVar[str] = "bernoulli"

    p: float
    _table: Atoms = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not 0.0 <= self.p <= 1.0:
            raise FieldError("p", f"must be from 0 to 1, got {self.p:.15g}")
        with np.errstate(divide="ignore"):
            log_p = np.array([np.log1p(-self.p), np.log(self.p)])
        possible = log_p > -np.inf
        object.__setattr__(self, "_table", Atoms.of(np.array([0.0, 1.0])[possible], log_p[possible]))

    def moments(self) -> Moments:
        variance = self.p * (1.0 - self.p)
        if variance == 0:
            return Moments(self.p, variance, math.nan, math.nan)
        return Moments(self.p, variance, (1.0 - 2.0 * self.p) / math.sqrt(variance), 1.0 / variance - 6.0)

    @classmethod
    def fit(cls, values: ArrayLike, weights: ArrayLike | None = None) -> MarginalFit:
        """Maximum likelihood: the weighted share of ones."""
        x, w = likelihood.observations(values, weights)
        if (wrong := (x != 0) & (x != 1)).any():
            first = int(wrong.argmax())
            raise DataError(f"bernoulli needs zeros and ones, got {x[first]:g} at row {first}")
        p = float(w @ x / w.sum())
        return likelihood.closed_form(cls, {"p": p}, {"p": math.sqrt(p * (1.0 - p) / w.sum())}, x, w)

    @staticmethod
    def examples() -> list[Bernoulli]:
        """Members for the conformance tests."""
        return [Bernoulli(p=0.3), Bernoulli(p=1e-9)]
