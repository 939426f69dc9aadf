"""Crude Monte Carlo: draw from the target and count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from raresim.arguments import checks
from raresim.engine.problem import Space
from raresim.engine.session import Session
from raresim.errors import FieldError
from raresim.estimators.guarantee import Goal, Guarantee
from raresim.losses.base import Loss
from raresim.measures.base import Measure
from raresim.methods.base import Method, Tuned
from raresim.registry import member


@member("method")
@dataclass(frozen=True, kw_only=True)
class Crude(Method):
    """For common events, and to check other methods: counts draws from the target, with an exact interval.

    Parameters
    ----------
    guarantee : "relative" or None
        With ``relative`` the run stops at a number of hits instead of an observed error, and
        ``|estimate / P - 1| <= eps`` holds with at least the confidence of the measure, whatever ``P`` is and however
        few draws there are. ``eps`` is the half-width ``z r`` of a normal interval with the asked relative standard
        error ``r`` of the run: 1.96 % for ``relative_error: 0.01`` at 95 %, for about ``1 / r^2`` hits. If the budget
        ends first, there is no guarantee, and the interval is that of the draws.

    Raises
    ------
    FieldError
        When the guarantee is unknown.

    Notes
    -----
    See `raresim.estimators.guarantee`. The estimate ``(k - 1) / t`` is random given the draws: ``t`` is the time of the
    rows up to hit ``k`` on a clock with a stream of its own.
    """

    kind: ClassVar[str] = "crude"
    both_sides: ClassVar[bool] = True
    unaudited: ClassVar[str] = "every draw comes from the target itself"

    guarantee: Guarantee | None = None

    def __post_init__(self) -> None:
        if self.guarantee is not None:
            checks.one_of("guarantee", self.guarantee, Guarantee)

    def refuse(self, loss: Loss, measures: Sequence[Measure], relative_error: float | None) -> None:
        if self.guarantee is None:
            return
        if relative_error is None:
            raise FieldError("guarantee", "needs stop.relative_error, the error that it guarantees")
        if loss.may_fail:
            raise FieldError(
                "guarantee",
                "must not be given where loss.on_failure is 'bound': rows without a loss leave the error open; use "
                "'retry' or 'error'",
            )
        for k, measure in enumerate(measures):
            if measure.bets:
                raise FieldError(
                    "interval",
                    "must not be 'betting' where method.guarantee is given: its own interval is exact",
                    ("measures", k),
                )
            if measure.keeps != "counts":
                raise FieldError(
                    "measures", f"must be probabilities where method.guarantee is given, got {measure.kind}", ()
                )

    @property
    def draws_in(self) -> Space:
        return "standard"

    def tune(self, session: Session) -> Tuned:
        if self.guarantee is None:
            return Tuned(proposal=None)
        error = session.relative_error
        if error is None:
            raise FieldError("guarantee", "needs stop.relative_error, the error that it guarantees")
        return Tuned(proposal=None, goals=tuple(Goal.of(error, confidence) for confidence in session.confidences))

    def cost(self, latent_dim: int, dim: int) -> int:
        return 0

    def describe(self) -> list[str]:
        end = "" if self.guarantee is None else ", stops at a number of hits fixed in advance"
        return [f"crude Monte Carlo: draws from the target, counts hits{end}"]

    @staticmethod
    def examples() -> list[Crude]:
        """Members for the conformance tests."""
        return [Crude(), Crude(guarantee="relative")]
