"""The probability of a loss beyond one or several thresholds."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

import numpy as np

from raresim.arguments import checks, numerals
from raresim.errors import FieldError
from raresim.measures.base import Interval, LossScale, Measure, Question, Unsure
from raresim.record.event import Direction, Event
from raresim.record.records import Reference
from raresim.registry import member

if TYPE_CHECKING:
    from raresim.distributions.base import Inputs
    from raresim.losses.base import Loss

Threshold: TypeAlias = float | str

_SIGMAS = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*sigmas?\s*")

_OTHER_SIGMAS = re.compile(
    r"([-+]?\d+(?:\.\d*)?) ?(?:s|sd|std|stdev|stds|sds|\u03c3|standard deviations?|sigma\w*)", re.IGNORECASE
)


@member("measure")
@dataclass(frozen=True, kw_only=True)
class Probability(Measure):
    """``P(loss >= threshold)`` (above) or ``P(loss <= threshold)`` (below), for each threshold.

    Parameters
    ----------
    above, below : float, str or a list of them
        Exactly one of the two is given. A number is in the unit of the loss; ``"5 sigma"`` is five standard deviations
        of the loss from its mean: ``mean + 5 std`` above, ``mean - 5 std`` below.
    sigma : "model" or float
        The standard deviation that a threshold in sigma is a multiple of. ``model`` is the standard deviation of the
        loss under the input law: in closed form where there is one, else from a pilot sample of the target with as many
        draws as the asked error needs, at most a fiftieth of the budget or 10,000; the interval includes the remaining
        error of the threshold. A number is the standard deviation itself, in the unit of the loss, around mean zero.
    confidence : float
        Confidence of the interval, between 0 and 1.
    reference : Reference or a list of them
        Known answers, one per threshold.
    interval : "standard" or "betting"
        A ``betting`` interval holds for samples of any size and at all looks of the run together. It needs a bound on
        the weights: one without a proposal, and one over the share of draws from the target with a proposal. It is
        nearly twice as wide if that bound is below a hundredth of the probability times the draws, and far wider
        otherwise, as for rare events. A method without such a share is refused once it has tuned.

    Raises
    ------
    FieldError
        When a threshold cannot be read or the numbers of thresholds and references differ.
    """

    kind: ClassVar[str] = "probability"

    above: Threshold | Sequence[Threshold] | None = None
    below: Threshold | Sequence[Threshold] | None = None
    sigma: Literal["model"] | float = "model"
    confidence: float = 0.95
    reference: Reference | Sequence[Reference] | None = None
    interval: Interval = "standard"

    def __post_init__(self) -> None:
        if (self.above is None) == (self.below is None):
            raise FieldError("above", "give exactly one of above and below")
        checks.between("confidence", self.confidence, 0.0, 1.0)
        checks.one_of("interval", self.interval, Interval)
        if isinstance(self.sigma, str):
            if self.sigma != "model":
                raise FieldError("sigma", f"must be 'model' or a number, got {self.sigma!r}")
        else:
            checks.positive("sigma", self.sigma)
        thresholds = self.thresholds
        if not thresholds:
            raise FieldError(self.direction, "must name at least one threshold")
        for threshold in thresholds:
            _parse(self.direction, threshold)
        if self.sigma != "model" and not any(isinstance(t, str) for t in thresholds):
            raise FieldError("sigma", f"goes with a threshold in sigma, got {thresholds[0]!r}")
        if self.reference is not None and len(self._references()) != len(thresholds):
            raise FieldError(
                "reference",
                f"must have one entry per threshold ({len(thresholds)}), got {len(self._references())}",
            )

    @property
    def direction(self) -> Direction:
        """The side of the threshold on which the event lies."""
        return "above" if self.above is not None else "below"

    @property
    def bets(self) -> bool:
        return self.interval == "betting"

    @property
    def thresholds(self) -> list[Threshold]:
        """The thresholds as given."""
        given: Any = self.above if self.above is not None else self.below
        return [given] if isinstance(given, str) or not np.ndim(given) else list(given)

    @property
    def in_losses(self) -> tuple[float, ...]:
        parsed = (_parse(self.direction, threshold) for threshold in self.thresholds)
        return tuple(value for value, is_sigmas in parsed if not is_sigmas)

    def questions(self, scale: Callable[[], LossScale], quantile: Callable[[float], float]) -> list[Question]:
        references = self._references() or [None] * len(self.thresholds)
        return [
            replace(
                self._resolve(threshold, scale),
                confidence=self.confidence,
                reference=reference,
                interval=self.interval,
            )
            for threshold, reference in zip(self.thresholds, references, strict=True)
        ]

    def _references(self) -> list[Reference | None]:
        if self.reference is None:
            return []
        return [self.reference] if isinstance(self.reference, Reference) else list(self.reference)

    @property
    def sigmas(self) -> tuple[float, ...]:
        if self.sigma != "model":
            return ()
        counted = (_parse(self.direction, threshold) for threshold in self.thresholds)
        sign = 1.0 if self.direction == "above" else -1.0
        return tuple(sign * value for value, is_sigmas in counted if is_sigmas)

    def check_moments(self, loss: Loss, inputs: Inputs) -> None:
        closed = loss.moments(inputs) if self.sigmas else None
        if closed is not None:
            self._check_std(closed[1])

    def _check_std(self, std: float) -> None:
        if not (math.isfinite(std) and std > 0):
            raise FieldError(
                self.direction,
                f"cannot be in sigma: the loss has no finite, positive standard deviation (got {std:g}); "
                "give the threshold in loss units, or sigma as a number",
            )

    def _resolve(self, threshold: Threshold, scale: Callable[[], LossScale]) -> Question:
        value, is_sigmas = _parse(self.direction, threshold)
        if not is_sigmas:
            return Question(Event(value, self.direction), "", self.confidence, None)
        of = LossScale(0.0, float(self.sigma), "given") if self.sigma != "model" else scale()
        self._check_std(of.std)
        sign = "+" if self.direction == "above" else "-"
        resolved = of.mean + value * of.std if self.direction == "above" else of.mean - value * of.std
        note = f"{value:g} sigma: mean {of.mean:.6g} {sign} {value:g} x {of.std:.6g} ({of.source})"
        signed = value if self.direction == "above" else -value
        error = of.error_at(signed)
        unsure = Unsure(error, signed, of.std, of.draws, of.khat) if of.draws else None
        if unsure is not None:
            note += f"; standard error {error:.3g}"
        return Question(Event(resolved, self.direction), note, self.confidence, None, unsure=unsure)

    @staticmethod
    def examples() -> list[Probability]:
        """Members for the conformance tests."""
        return [
            Probability(above=3.0),
            Probability(below=[-2.0, "3 sigma"]),
            Probability(above="2 sigma", sigma=2.0),
            Probability(above=1.0, interval="betting"),
        ]


def _parse(field: str, threshold: Threshold) -> tuple[float, bool]:
    """The number, and whether it is in standard deviations."""
    if isinstance(threshold, str):
        match = _SIGMAS.fullmatch(threshold)
        if not match:
            advice = numerals.advice(threshold) or _sigma_advice(threshold)
            raise FieldError(field, f"must be a number or 'k sigma', got {threshold!r}{advice}")
        return _finite(field, float(match[1])), True
    return _finite(field, float(threshold)), False


def _sigma_advice(threshold: str) -> str:
    found = _OTHER_SIGMAS.fullmatch(threshold.strip())
    return f"; write {found[1]} sigma" if found else ""


def _finite(field: str, value: float) -> float:
    if not math.isfinite(value):
        raise FieldError(field, f"must be finite, got {value:g}")
    return value
