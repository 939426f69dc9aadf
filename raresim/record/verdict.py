"""A verdict: how far a number can be believed, with the reasons."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """How far a number can be believed, best first."""

    TRUSTED = "trusted"
    CAUTION = "caution"
    UNTRUSTED = "untrusted"
    BOUND_ONLY = "bound_only"


@dataclass(frozen=True)
class Check:
    """One reason of a verdict: its name, the value seen, and what follows."""

    name: str
    value: float | None
    status: Status
    message: str


@dataclass(frozen=True)
class Verdict:
    """The worst of the checks, its scope, and what to do.

    Parameters
    ----------
    status : Status
        The worst status of any check.
    scope : str
        What a trusted number is trusted for.
    hidden_mass_bound : float or None
        Probability of failure that may still lie where no draw of the search went (95 % confidence); None if nothing
        was searched or nothing can hide.
    checks : tuple of Check
        Every check, in a fixed order.
    advice : tuple of str
        What would improve the status.
    """

    status: Status
    scope: str
    hidden_mass_bound: float | None
    checks: tuple[Check, ...]
    advice: tuple[str, ...]

    def __str__(self) -> str:
        """The status, what did not pass, what to do and the scope, a line each."""
        word = self.status.replace("_", " ").upper()
        passed = sum(check.status is Status.TRUSTED for check in self.checks)
        lines = [f"{word}, {passed} of {len(self.checks)} checks passed"]
        lines += [f"  {check.name}: {check.message}" for check in self.checks if check.status is not Status.TRUSTED]
        lines += [f"  -> {sentence}" for sentence in self.advice]
        return "\n".join([*lines, f"  Scope: {self.scope}"] if self.scope else lines)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """What a notebook shows."""
        printer.text(str(self))
