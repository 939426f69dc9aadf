"""Expected and unexpected loss beside the value at risk and the expected shortfall."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from raresim.arguments import checks
from raresim.diagnostics.verdict import overall
from raresim.measures.base import Answered, Keeps, LossScale, Measure, Question
from raresim.measures.curve import Certainty
from raresim.measures.levels import Levels, percent, questions_at, tails_of
from raresim.record.exhibits import Exhibit
from raresim.registry import member

COLUMNS = ("quantity", "level", "value", "std_error", "lower", "upper", "status")


@member("measure")
@dataclass(frozen=True, kw_only=True)
class UnexpectedLoss(Measure):
    """Expected loss, value at risk, unexpected loss and expected shortfall, side by side at one or several levels.

    Parameters
    ----------
    level : float or a list of them
        The confidence, such as 0.999; exactly one of ``level`` and ``tail``.
    tail : float or a list of them
        One minus the level.
    confidence : float
        Confidence of the intervals, between 0 and 1.

    Raises
    ------
    FieldError
        When a level is not between 0 and 1.

    Notes
    -----
    The expected loss ``EL`` is the mean of the loss, in closed form where there is one, else over the draws of the
    target that the run begins with. The unexpected loss is ``VaR - EL``. The two come from different draws, so their
    squared errors add.
    """

    kind: ClassVar[str] = "unexpected_loss"
    keeps: ClassVar[Keeps] = "losses"

    level: Levels = None
    tail: Levels = None
    confidence: float = 0.95

    def __post_init__(self) -> None:
        checks.between("confidence", self.confidence, 0.0, 1.0)
        tails_of(self.level, self.tail)

    @property
    def tails(self) -> tuple[float, ...]:
        return tails_of(self.level, self.tail)

    def questions(self, scale: Callable[[], LossScale], quantile: Callable[[float], float]) -> list[Question]:
        scale()
        return [
            *questions_at("value_at_risk", self.tails, quantile, self.confidence),
            *questions_at("expected_shortfall", self.tails, quantile, self.confidence),
        ]

    def exhibits(self, answered: Answered) -> list[Exhibit]:
        if answered.scale is None:
            raise ValueError("the mean of the loss was asked for and is missing")
        scale = answered.scale()
        z = Certainty(self.confidence).quantile
        mean, error = scale.mean, scale.std_error
        rows: list[tuple[str | float | None, ...]] = [
            ("expected loss", None, mean, error, mean - z * error, mean + z * error, "trusted")
        ]
        m = len(self.tails)
        for tail, var, es in zip(self.tails, answered.own[:m], answered.own[m:], strict=True):
            both, wider = math.hypot(var.std_error, error), z * error
            low = var.value - mean - math.hypot(var.value - var.interval[0], wider)
            high = var.value - mean + math.hypot(var.interval[1] - var.value, wider)
            rows += [
                ("value at risk", percent(tail), var.value, var.std_error, *var.interval, str(var.verdict.status)),
                ("unexpected loss", percent(tail), var.value - mean, both, low, high, str(var.verdict.status)),
                ("expected shortfall", percent(tail), es.value, es.std_error, *es.interval, str(es.verdict.status)),
            ]
        worst = overall([estimate.verdict for estimate in answered.own]).status
        notes = (
            f"Expected loss: {scale.source}.",
            "Unexpected loss is the value at risk minus the expected loss. Intervals are at "
            f"{100 * self.confidence:g} %.",
        )
        return [Exhibit("unexpected_loss", "Expected and unexpected loss", COLUMNS, tuple(rows), notes, worst)]

    @staticmethod
    def examples() -> list[UnexpectedLoss]:
        """Members for the conformance tests."""
        return [UnexpectedLoss(level=0.999), UnexpectedLoss(tail=[0.01, 1e-3], confidence=0.9)]
