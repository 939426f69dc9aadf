"""Joint laws of the risk factors that are made of marginals and a copula."""

from typing import Any

from raresim.arguments.typed import converts


@converts("Inputs")
def _of_scipy(value: Any) -> Any:
    """A frozen law of ``scipy.stats`` as inputs; the laws that it may become are imported only where one is given."""
    from raresim.inputs.frozen import of_frozen_joint

    return of_frozen_joint(value)
