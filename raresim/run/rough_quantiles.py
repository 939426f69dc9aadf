"""Quantiles of the loss that a run needs before its estimate, and those that a model knows without sampling."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from raresim.measures.base import Measure
from raresim.models.base import Model

FLOOR, MOST_FLOOR = 4.0, 0.5
"""Rows are kept from a floor with this many times the largest tail probability, which is at most the second number. The
floor surely lies below a quantile whose tail is at most half of that; for larger tails every row is kept."""

NEAR = 0.25
"""Share of the scale of the loss below which the size of a quantile does not count for its relative error."""

MOST_TAILS = 8
"""Tails for which the law of a model is inverted: for the many points of a curve, climbs take less time."""

NODES = 6
"""Of the quadrature of a mean excess over the logarithm of the tail."""


class Quantiles(ABC):
    """Quantiles of the loss that are near enough to tune to, to plan an error with, and to keep rows by."""

    @abstractmethod
    def quantile(self, tail: float) -> float:
        """The loss that is exceeded with a probability of about ``tail``."""

    @abstractmethod
    def excess(self, tail: float) -> float:
        """Mean excess of the losses beyond the quantile over it."""

    def steepness(self, tail: float) -> float:
        """``-d log P(loss > x) / d log x`` at the quantile, over a factor four of the tail; infinite at an atom.

        ``x`` is the size of the quantile, or `least` if that is larger.
        """
        more = _more(tail)
        low, high = self.quantile(more), self.quantile(0.5 * tail)
        at = max(abs(self.quantile(tail)), self.least(tail))
        return math.log(more / (0.5 * tail)) * at / (high - low) if high > low and at > 0 else math.inf

    def least(self, tail: float) -> float:
        """Smallest size of a loss by which an error of the quantile is divided; 0 if the quantile's own size will do.

        A quantile next to zero, between losses of either sign, is no scale of the loss. The scale is the distance
        between the quantiles at half the tail and at twice the tail (or half way to one).
        """
        low, high = self.quantile(_more(tail)), self.quantile(0.5 * tail)
        return NEAR * (high - low) if low < 0.0 < high else 0.0

    def least_shortfall(self, tail: float) -> float:
        """As `least`, for the mean of the losses beyond the quantile; the scale is their distance from the quantile."""
        return NEAR * self.excess(tail) if self.quantile(tail) < 0.0 else 0.0

    def floor(self, tails: Sequence[float]) -> float:
        """A loss that surely lies below the quantiles of all tails; below every loss if a tail is large."""
        if 2.0 * max(tails) > MOST_FLOOR:
            return -math.inf
        return self.quantile(min(MOST_FLOOR, FLOOR * max(tails)))


def _more(tail: float) -> float:
    """Twice the tail, but at most half way from it to one."""
    return min(2.0 * tail, 0.5 * (1.0 + tail))


@dataclass(frozen=True, eq=False)
class KnownQuantiles(Quantiles):
    """Quantiles by the exact law of a model: no evaluation is spent on them.

    Parameters
    ----------
    model : Model
        Knows them.

    Notes
    -----
    The estimate does not rest on them: it reads its quantiles from rows of its own. A law that were wrong would make
    it slow, and the verdict say so.
    """

    model: Model
    found: dict[float, float | None] = field(default_factory=dict)

    evaluations: ClassVar[int] = 0
    draws: ClassVar[None] = None
    sentence: ClassVar[str] = "the quantiles that the search aims at are those of the exact law of the model"

    @classmethod
    def of(cls, model: Model | None, measures: Sequence[Measure]) -> KnownQuantiles | None:
        """Those for ``measures``; None where the model does not know them, or draws of climbs are wanted too."""
        tails = {tail for measure in measures for tail in measure.tails}
        if model is None or not 0 < len(tails) <= MOST_TAILS or any(m.keeps == "draws" for m in measures):
            return None
        known = cls(model)
        wanted = [t for tail in tails for t in (tail, _more(tail), 0.5 * tail, min(MOST_FLOOR, FLOOR * tail))]
        return known if all(known.sought(tail) is not None for tail in wanted) else None

    def sought(self, tail: float) -> float | None:
        """The quantile; None where the model does not know it."""
        if tail not in self.found:
            self.found[tail] = self.model.quantile(tail)
        return self.found[tail]

    def quantile(self, tail: float) -> float:
        value = self.sought(tail)
        return math.nan if value is None else value

    def excess(self, tail: float) -> float:
        """``int_0^inf (q(tail e^-y) - q(tail)) e^-y dy`` with the quantile function ``q``, by Gauss and Laguerre's rule
        as far as the quantiles are known."""
        y, weights = np.polynomial.laguerre.laggauss(NODES)
        beyond = np.array([self.quantile(tail * math.exp(-at)) for at in y.tolist()]) - self.quantile(tail)
        inside = np.isfinite(beyond)
        return float(weights[inside] @ beyond[inside])
