"""Numbers that are known by another way than sampling, to hold an estimate against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from raresim.record.exhibits import Exhibit
from raresim.record.verdict import Status

if TYPE_CHECKING:
    from raresim.record.records import Estimate

COLUMNS = ("control", "number", "value", "estimate", "difference", "allowed", "assumes")


@dataclass(frozen=True)
class Control:
    """A number in closed form or by recursion beside an estimate.

    Parameters
    ----------
    name : str
        What it is called in the field.
    quantity : str
        What it is a figure of, as the run's numbers are called: ``VaR 99.9 %``.
    value : float
        In the unit of the loss, or dimensionless for a probability.
    estimate : float or None
        What the run found for the same; None where it was not asked.
    assumes : str
        What it takes for granted, in a sentence.
    within : float or None
        How far it may be from the estimate by what it assumes, relative to the estimate; None where nothing is known.
    """

    name: str
    quantity: str
    value: float
    estimate: float | None
    assumes: str
    within: float | None = None

    @property
    def gap(self) -> float | None:
        """Distance of the estimate from it, relative to the estimate; None where there is nothing to compare."""
        return None if not self.estimate else self.value / self.estimate - 1.0


def exhibit(controls: Sequence[Control], status: Status) -> Exhibit:
    """The table of the controls, with the ``status`` of the run."""
    rows = tuple((c.name, c.quantity, c.value, c.estimate, c.gap, c.within, c.assumes) for c in controls)
    notes = (
        "A control is a number known without sampling under the assumptions stated with it. The difference is the "
        "control minus the estimate, relative to the estimate. The verdict is caution if a control is further off than "
        "what is allowed for its assumptions plus four standard errors of the estimate.",
    )
    return Exhibit("controls", "Controls", COLUMNS, rows, notes, status)


def gaps(estimate: Estimate, controls: Sequence[Control]) -> dict[str, float]:
    """What the verdict on ``estimate`` looks at: the worst control that knows how far off it may be, as diagnostics."""
    known = [
        (abs(c.gap), c.within) for c in controls if c.quantity == estimate.label and c.gap is not None and c.within
    ]
    if not known:
        return {}
    gap, within = max(known, key=lambda pair: pair[0] - pair[1])
    return {"control_gap": gap, "control_allowed": within}
