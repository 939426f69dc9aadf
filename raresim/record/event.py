"""An event: the loss beyond a threshold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Direction = Literal["above", "below"]


@dataclass(frozen=True)
class Event:
    """``loss >= threshold`` (above) or ``loss <= threshold`` (below).

    Parameters
    ----------
    threshold : float
        Threshold in the unit of the loss.
    direction : "above" or "below"
        The side of the threshold on which the event lies.
    """

    threshold: float
    direction: Direction = "above"

    @property
    def sign(self) -> float:
        """+1 or -1: the event is ``sign * loss >= sign * threshold``."""
        return 1.0 if self.direction == "above" else -1.0

    @property
    def label(self) -> str:
        """The event as it is printed."""
        return f"P(loss {'>=' if self.direction == 'above' else '<='} {self.threshold:.6g})"
