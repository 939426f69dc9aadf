"""Nats, bits and any other unit of information."""

from __future__ import annotations

import math
from dataclasses import dataclass

from raresim.errors import FieldError

BITS_PER_NAT = 1.0 / math.log(2.0)


@dataclass(frozen=True)
class Quantity:
    """An amount of information and how well it is known.

    Parameters
    ----------
    value : float
        In the unit that was asked for.
    std_error : float
        In the same unit; 0 for a closed form.
    how : str
        "closed form", "quadrature" or "Monte Carlo".
    """

    value: float
    std_error: float
    how: str


def per_nat(base: float) -> float:
    """Units of base ``base`` in one nat: ``1 / log(base)``.

    Raises
    ------
    FieldError
        Unless ``base`` is positive, finite and not 1.
    """
    if not (math.isfinite(base) and base > 0 and base != 1):
        raise FieldError("base", f"must be positive and not 1, got {base:g}")
    return 1.0 if base == math.e else 1.0 / math.log(base)
