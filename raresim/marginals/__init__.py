"""The laws of one risk factor, by constructor: ``from raresim import marginals; marginals.Gamma(a=2.0)``."""

from typing import Any

from raresim import by_stub
from raresim.arguments.typed import converts

__getattr__, __dir__, __all__ = by_stub(__name__)


@converts("Marginal")
def _of_scipy(value: Any) -> Any:
    """A frozen law of ``scipy.stats`` as a marginal; all laws are imported only where one is given."""
    from raresim.marginals.frozen import of_frozen

    return of_frozen(value)
