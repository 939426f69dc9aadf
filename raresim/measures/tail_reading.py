"""The numbers of a run, computed again from the rows that were kept, with the influence of each row on them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from raresim.diagnostics.psis import evenness
from raresim.measures.curve import TailCurve
from raresim.measures.levels import tail_of
from raresim.measures.tail_rate import NoRateError, TailRate
from raresim.measures.tail_sample import TailSample
from raresim.numerics.arrays import Bool, Float

if TYPE_CHECKING:
    from typing import Any

    from raresim.record.records import Estimate


STEP = 0.01
"""Share of the tail from which the rows at a value at risk make it a step of the loss."""

SURE = 3.0
"""Standard errors by which the tail at a step must differ from the asked tail."""


class UnreadableError(ValueError):
    """Raised when the kept rows do not determine the number; the text says why."""


class BelowFloorError(UnreadableError):
    """Raised when the value at risk lies below the losses that were kept."""


@dataclass(frozen=True, eq=False)
class Reading:
    """One number of a run.

    Parameters
    ----------
    sample : TailSample
        The rows, weighted for the law that the number belongs to.
    quantity : str
        ``probability``, ``value_at_risk`` or ``expected_shortfall``.
    threshold : float
        Threshold of the event; for a quantile or shortfall, the value at risk.
    tail : float or None
        One minus the level; None for a probability.
    hit : (k,) bool
        Whether each row is in the event, or beyond the value at risk.
    """

    sample: TailSample
    quantity: str
    threshold: float
    tail: float | None
    hit: Bool

    @classmethod
    def of(cls, sample: TailSample, estimate: Estimate) -> Reading:
        """``estimate``, computed again from ``sample``.

        Raises
        ------
        UnreadableError
            When the sample does not hold the event.
        """
        threshold = estimate.threshold
        if estimate.level is not None:
            tail = tail_of(estimate.level, None)
            curve = TailCurve.of_rows(sample.n, sample.loss, sample.log_weight)
            at = curve.index(tail)
            if at is None:
                reached = sample.mean(np.ones(sample.loss.size))
                raise BelowFloorError(f"only {reached:.3g} of the losses lie beyond the floor {sample.floor:.6g}")
            value = float(curve.loss[at])
            return cls(sample, estimate.kind, value, tail, sample.loss > value)
        if estimate.direction == "above":
            if threshold < sample.floor:
                raise UnreadableError(f"losses below {sample.floor:.6g} were not kept")
            return cls(sample, estimate.kind, threshold, None, sample.loss >= threshold)
        if sample.floor > -math.inf:
            raise UnreadableError("the smallest losses were not kept")
        return cls(sample, estimate.kind, threshold, None, sample.loss <= threshold)

    @cached_property
    def excess(self) -> Float:
        """``(loss - VaR)+`` (k,)."""
        return np.where(self.hit, self.sample.loss - self.threshold, 0.0)

    @cached_property
    def terms(self) -> Float:
        """What each row (k,), with its weight, adds to the probability, or to the mean excess of a shortfall."""
        return self.sample.weight * (self.excess if self.quantity == "expected_shortfall" else self.hit)

    @cached_property
    def value(self) -> float:
        if self.tail is None:
            return float(self.terms.sum()) / self.sample.n
        if self.quantity == "value_at_risk":
            return self.threshold
        return self.threshold + float(self.terms.sum()) / self.sample.n / self.tail

    @cached_property
    def rate(self) -> TailRate:
        """How fast the tail falls at the threshold; raises `NoRateError` where the rows do not show it."""
        return TailRate.of(self.sample, self.threshold)

    @property
    def steps(self) -> bool:
        """Whether the loss has an atom at the value at risk, which then does not move with the sample."""
        here = self.sample.weight[self.sample.loss == self.threshold]
        return self.tail is not None and here.size > 1 and bool(here.sum() > STEP * self.tail * self.sample.n)

    @cached_property
    def quantile_influence(self) -> Float:
        """Influence (k,) of each row on the value at risk; zeros where the loss has a step there.

        Raises
        ------
        NoRateError
            When the rows do not show how fast the tail falls, or at which of two steps the value at risk lies.
        """
        if self.tail is None:
            raise ValueError("a probability has no quantile")
        if not self.steps:
            return self.sample.weight * self.hit / (self.tail * self.rate.value)
        for rows in (self.hit, self.sample.loss >= self.threshold):
            of = rows.astype(np.float64)
            if abs(self.sample.mean(of) - self.tail) < SURE * self.sample.error_of_mean(of):
                raise NoRateError(f"the value at risk may be {self.threshold:.6g} or the next step of the loss")
        return np.zeros(self.hit.size)

    @cached_property
    def influence(self) -> Float:
        """Influence (k,) of each row on the number, weights included."""
        if self.quantity == "value_at_risk":
            return self.quantile_influence
        return self.terms if self.tail is None else self.terms / self.tail

    def weights(self, factor: Float | None = None) -> dict[str, Any]:
        """How even the terms are, each times ``factor`` (k,): the diagnostics that the checks of a verdict use."""
        terms = np.abs(self.terms if factor is None else self.terms * factor)
        logs = np.log(terms[terms > 0])
        if not logs.size:
            return {"hits": 0, "ess": 0.0, "max_share": math.nan, "khat": None, "weights": 0, "max_to_mean": math.nan}
        return {"hits": int(np.count_nonzero(self.hit)), **evenness(logs)}


__all__ = ["BelowFloorError", "NoRateError", "Reading", "UnreadableError"]
