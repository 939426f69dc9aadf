"""What losses that run the user's code have in common: what is done about a row that fails."""

from __future__ import annotations

from typing import Literal

from raresim.arguments.checks import one_of, positive, whole
from raresim.errors import FieldError
from raresim.losses.base import Loss

Policy = Literal["error", "bound", "retry"]
"""Treatment of a row without a loss: it ends the run, widens the interval, or is tried again."""

RETRIES = 3
"""How many times `retry` tries a failed row again."""


class UserCode(Loss):
    """A loss that runs the user's code, which may fail for some rows.

    A subclass has the fields ``on_failure``, ``retries`` and ``timeout``, as `PythonLoss` documents them.
    """

    on_failure: Policy
    retries: int | None
    timeout: float | None

    def check_policy(self) -> None:
        """Raise `FieldError` if one of these fields is not allowed; the numbers become plain ones."""
        one_of("on_failure", self.on_failure, Policy)
        if self.retries is not None:
            if self.on_failure == "error":
                raise FieldError("retries", "goes with on_failure 'retry' or 'bound', got 'error'")
            least = 1 if self.on_failure == "retry" else 0
            object.__setattr__(self, "retries", whole("retries", self.retries, least))
        if self.timeout is not None:
            object.__setattr__(self, "timeout", positive("timeout", self.timeout))

    @property
    def may_fail(self) -> bool:
        return self.on_failure == "bound"

    @property
    def runs_user_code(self) -> bool:
        return True

    @property
    def again(self) -> int:
        """How often a failed row is tried again."""
        if self.retries is not None:
            return self.retries
        return RETRIES if self.on_failure == "retry" else 0
