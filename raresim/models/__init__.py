"""Models, by constructor: ``from raresim import models; models.Credit(tape="tape.csv")``."""

from raresim import by_stub

__getattr__, __dir__, __all__ = by_stub(__name__)
