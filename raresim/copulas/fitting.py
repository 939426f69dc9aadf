"""The copula of a kind that fits data, or the better of two."""

from __future__ import annotations

from typing import Any

from raresim.copulas.fit import CopulaFit
from raresim.copulas.gaussian import Gaussian
from raresim.copulas.t import T
from raresim.errors import DataError
from raresim.numerics.arrays import Float
from raresim.registry import lookup


def fit_kind(kind: str | None, scores: Float) -> CopulaFit:
    """The copula of a kind that fits normal scores (n, d) best; without a kind, Gaussian or t, whichever AIC prefers.

    Raises
    ------
    DataError
        When the kind does not fit the data.
    """
    if kind is not None:
        law: Any = lookup("copula", kind)
        fit: CopulaFit = law.fit(scores)
        return fit
    gaussian = Gaussian.fit(scores)
    try:
        return min(T.fit(scores), gaussian, key=lambda fit: fit.aic)
    except DataError:  # no finite degrees of freedom: as good as Gaussian
        return gaussian
