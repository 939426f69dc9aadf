"""Numbers that are known by another way than sampling, to hold an estimate against."""

from __future__ import annotations

from dataclasses import dataclass


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
