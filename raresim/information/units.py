"""Nats, bits and any other unit of information."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass

from raresim.errors import FieldError

BITS_PER_NAT = 1.0 / math.log(2.0)
LOG_MAX = math.log(sys.float_info.max)


@dataclass(frozen=True)
class Quantity:
    """An amount of information and its standard error.

    Parameters
    ----------
    value : float
        Amount in the requested unit.
    std_error : float
        Standard error in the same unit; 0 for a closed form.
    how : str
        "closed form", "quadrature" or "Monte Carlo".
    """

    value: float
    std_error: float
    how: str


def exp_or_inf(nats: float) -> float:
    """``exp(nats)``; infinite above the largest double."""
    return math.exp(nats) if nats < LOG_MAX else math.inf


def per_nat(base: float) -> float:
    """Units of base ``base`` in one nat: ``1 / log(base)``.

    Raises
    ------
    FieldError
        Unless ``base`` is finite and above 1: a smaller base would make a surprise negative and swap lower and upper
        bounds.
    """
    if not (math.isfinite(base) and base > 1):
        raise FieldError("base", f"must be above 1 (e for nats, 2 for bits), got {base:.15g}")
    return 1.0 if base == math.e else 1.0 / math.log(base)
