"""Models, by constructor: ``from raresim import models; models.Credit(tape="tape.csv")``."""

from raresim.models.credit import Credit

__all__ = ["Credit"]
