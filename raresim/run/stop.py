"""When a run ends."""

from __future__ import annotations

from dataclasses import dataclass

from raresim.arguments.checks import between, positive, whole
from raresim.arguments.typed import typed
from raresim.errors import FieldError


@typed
@dataclass(frozen=True, kw_only=True)
class Stop:
    """When a run ends.

    Parameters
    ----------
    relative_error : float or None
        Standard error divided by the estimate, asked of every measure; None: spend the budget. If a value at risk or an
        expected shortfall is next to zero, between losses of either sign, the error is divided by a quarter of the
        distance to losses half as likely and twice as likely, or of the mean excess.
    max_evaluations : int
        Loss evaluations of the whole run, tuning included; at least 20.
    seconds : float or None
        How long the run may take, without figures and page: it ends there with the estimate that it has. Evaluations
        are timed before the run, and its searches planned for those that the time pays for; ``max_evaluations`` still
        holds. The estimate ends with the last chunk of rows that was finished in time; the chunk under way is not used.
        What cannot be cut is finished: a search, the first rows of an estimate, and the audit.
    ended_at : int or None
        Number of evaluations after which a run limited by ``seconds`` ended, as its result records it. With this number
        and the recorded ``max_evaluations`` the run is repeated digit by digit, however long it takes.
    by_hand : bool or None
        Whether ``ended_at`` is where the user stopped the run on its live page. A user who stops a run has seen its
        estimate, so its intervals are widened as for a further look.

    Raises
    ------
    FieldError
        When an argument is out of range.
    """

    relative_error: float | None = 0.01
    max_evaluations: int = 10_000_000
    seconds: float | None = None
    ended_at: int | None = None
    by_hand: bool | None = None

    def __post_init__(self) -> None:
        if self.by_hand and self.ended_at is None:
            raise FieldError("by_hand", "must be given beside ended_at: it says who ended the run there")
        if self.seconds is not None:
            object.__setattr__(self, "seconds", positive("seconds", self.seconds))
        if self.ended_at is not None:
            object.__setattr__(self, "ended_at", whole("ended_at", self.ended_at, 1))
            if self.seconds is not None:
                raise FieldError(
                    "ended_at", "must not be given beside seconds: it repeats a run that a time limit ended"
                )
        if self.relative_error is not None:
            between("relative_error", self.relative_error, 0.0, 1.0)
        object.__setattr__(self, "max_evaluations", whole("max_evaluations", self.max_evaluations, 20))
