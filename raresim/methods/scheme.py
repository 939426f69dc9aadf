"""The contract of a scheme: a way to draw that a model offers because it knows the structure of its loss."""

from __future__ import annotations

from abc import ABC, abstractmethod

from raresim.engine.session import Session
from raresim.methods.base import Tuned


class Scheme(ABC):
    """A way to draw that a model offers; `Auto` holds it against what its search finds."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What it is called in the field."""

    @abstractmethod
    def tune(self, session: Session) -> Tuned | None:
        """Choose the law to draw from for the session's events, in standard normal space.

        `Tuned.variances` come from a pilot that the estimate does not use. None where the scheme does not serve the
        events of the session, such as those below a threshold.
        """
