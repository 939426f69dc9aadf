"""The mean loss beyond the value at risk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from raresim import arrays
from raresim.measures.base import Keeps, LossScale, Measure, Question, Reference
from raresim.measures.levels import Levels, questions_at, references_of, tails_of
from raresim.registry import member


@member("measure")
@dataclass(frozen=True, kw_only=True)
class ExpectedShortfall(Measure):
    """Expected shortfall: ``VaR + E[(loss - VaR)+] / (1 - level)``, at one or several levels.

    Parameters
    ----------
    level : float or a list of them
        The confidence, such as 0.975; exactly one of ``level`` and ``tail``.
    tail : float or a list of them
        One minus the level, such as 0.025: what is computed with.
    confidence : float
        Of the interval, between 0 and 1.
    reference : Reference or a list of them
        Known answers, one per level, in the unit of the loss.

    Raises
    ------
    FieldError
        When a level is not between 0 and 1, or the numbers of levels and references differ.

    Notes
    -----
    The mean of the worst share ``1 - level`` of all outcomes: right also where a loss has a probability of its own, of
    which ``E[loss | loss >= VaR]`` takes too much ([1]_). The error is that of the mean of ``w (loss - VaR)+``, because
    to first order that of the value at risk plays no part; the interval is that of its logarithm.

    References
    ----------
    .. [1] Acerbi & Tasche, *On the coherence of expected shortfall*, J. Bank. Finance 26, 2002.
    """

    kind: ClassVar[str] = "expected_shortfall"
    keeps: ClassVar[Keeps] = "losses"

    level: Levels = None
    tail: Levels = None
    confidence: float = 0.95
    reference: Reference | Sequence[Reference] | None = None

    def __post_init__(self) -> None:
        arrays.between("confidence", self.confidence, 0.0, 1.0)
        references_of(self.reference, len(self.tails))

    @property
    def tails(self) -> tuple[float, ...]:
        return tails_of(self.level, self.tail)

    def questions(self, scale: Callable[[], LossScale], quantile: Callable[[float], float]) -> list[Question]:
        references = references_of(self.reference, len(self.tails))
        return questions_at("expected_shortfall", self.tails, quantile, self.confidence, references)

    @staticmethod
    def examples() -> list[ExpectedShortfall]:
        """Members for the conformance tests."""
        return [ExpectedShortfall(level=0.975), ExpectedShortfall(tail=[0.01, 1e-4], confidence=0.9)]
