"""The copulas by constructor: ``from raresim import copulas; copulas.Clayton(theta=2.0, dim=3)``."""

from raresim import by_stub

__getattr__, __dir__, __all__ = by_stub(__name__)
