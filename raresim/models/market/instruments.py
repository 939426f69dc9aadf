"""The types of positions: what each needs, and what it is worth over the rows of a block."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from raresim.models.market.prices import add_asian, add_barrier, add_digital, add_europeans, add_vanilla
from raresim.numerics.arrays import Float, frozen, scratch

VANILLA = ("call", "put")
DIGITAL = ("digital_call", "digital_put")
ASIAN = ("geometric_asian_call", "geometric_asian_put")
BARRIER = tuple(
    f"{side}_and_{kind}_{option}" for side in ("down", "up") for kind in ("in", "out") for option in ("call", "put")
)
LINEAR = ("stock", "forward", "cash")
TYPES = (*VANILLA, *DIGITAL, *BARRIER, *ASIAN, *LINEAR)

NEEDS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys((*VANILLA, *ASIAN), ("strike", "expiry", "volatility", "rate", "dividend")),
    **dict.fromkeys(DIGITAL, ("strike", "expiry", "volatility", "rate", "dividend", "payout")),
    **dict.fromkeys(BARRIER, ("strike", "expiry", "volatility", "rate", "dividend", "barrier", "rebate")),
    "stock": (),
    "forward": ("strike", "expiry", "rate", "dividend"),
    "cash": ("rate",),
}
"""The columns that a position of each type needs."""


@dataclass(frozen=True, eq=False)
class Instrument:
    """One position.

    Parameters
    ----------
    id, type, underlying : str
        Of the row of the file; a cash position has no underlying.
    quantity : float
        Held; negative if short.
    spot : float
        Today's price of the underlying; 1 for cash.
    strike, rate, dividend, volatility, barrier, rebate, payout : float
        As in the file: rates continuously compounded and volatilities, both a year. NaN where the type has none.
    expiry : float
        In years from today.
    """

    id: str
    type: str
    underlying: str
    quantity: float
    spot: float
    strike: float = math.nan
    expiry: float = math.nan
    volatility: float = math.nan
    rate: float = 0.0
    dividend: float = 0.0
    barrier: float = math.nan
    rebate: float = 0.0
    payout: float = math.nan

    @property
    def has_volatility(self) -> bool:
        """Whether its price depends on a volatility."""
        return self.type not in LINEAR

    def add(self, x: Float, growth: Float, v: Float | None, elapsed: float, weight: float, out: Float) -> None:
        """Add ``weight`` times the price of one unit after ``elapsed`` years to ``out`` (n,).

        ``x`` (n,) is the log change of the underlying's price, ``growth`` its exponential, and ``v`` (n,) the log
        change of the volatility; None where that is fixed.
        """
        left = self.expiry - elapsed
        if self.type in LINEAR:
            a, b = self.linear(left, elapsed)
            out += weight * (a * growth + b)
        elif self.is_european(v is None, left):
            terms = self.european(left, weight)
            add_europeans(x, growth, frozen(terms[None, :]), out)
            if self.type == "put":
                out -= weight * (terms[3] * growth - terms[4])
        else:
            still = scratch("no_change", x.size, 1)[:, 0] if v is None else v
            if v is None:
                still[:] = 0.0
            self._option(x, still, left, elapsed, weight, out)

    def is_european(self, is_fixed: bool, left: float) -> bool:
        """Whether it is a European option with years left, whose volatility is fixed."""
        return self.type in VANILLA and is_fixed and left > 0

    def linear(self, left: float, elapsed: float) -> tuple[float, float]:
        """Price of one that is linear as ``a`` times the growth of the underlying plus ``b``."""
        if self.type == "cash":
            return 0.0, math.exp(self.rate * elapsed)
        if self.type == "stock":
            return self.spot, 0.0
        left = max(left, 0.0)
        return self.spot * math.exp(-self.dividend * left), -self.strike * math.exp(-self.rate * left)

    def european(self, left: float, weight: float) -> Float:
        """A row of the terms of `add_europeans`, (6,), for the call with the strike of the option."""
        sd = self.volatility * math.sqrt(left)
        start = (math.log(self.spot / self.strike) + (self.rate - self.dividend) * left) / sd + 0.5 * sd
        near, far = self.spot * math.exp(-self.dividend * left), self.strike * math.exp(-self.rate * left)
        return np.array([start, 1.0 / sd, sd, near, far, weight])

    def _option(self, x: Float, v: Float, left: float, elapsed: float, weight: float, out: Float) -> None:
        sign = 1.0 if self.type.endswith("call") else -1.0
        extra = {**dict.fromkeys(DIGITAL, self.payout), **dict.fromkeys(BARRIER, self.barrier)}
        own = elapsed if self.type in ASIAN else extra.get(self.type, 0.0)
        first = (self.spot, self.strike, self.rate, self.dividend, left, self.volatility)
        terms = np.array([*first, sign, own, self.rebate])
        if self.type in BARRIER:
            add_barrier(x, v, terms, barrier_mix(self.type, self.strike, self.barrier), weight, out)
        else:
            kernel = add_digital if self.type in DIGITAL else add_asian if self.type in ASIAN else add_vanilla
            kernel(x, v, terms, weight, out)


MIXES = {
    ("down_in_call", True): "C+E",
    ("down_in_call", False): "A-B+D+E",
    ("up_in_call", True): "A+E",
    ("up_in_call", False): "B-C+D+E",
    ("down_in_put", True): "B-C+D+E",
    ("down_in_put", False): "A+E",
    ("up_in_put", True): "A-B+D+E",
    ("up_in_put", False): "C+E",
    ("down_out_call", True): "A-C+F",
    ("down_out_call", False): "B-D+F",
    ("up_out_call", True): "F",
    ("up_out_call", False): "A-B+C-D+F",
    ("down_out_put", True): "A-B+C-D+F",
    ("down_out_put", False): "F",
    ("up_out_put", True): "B-D+F",
    ("up_out_put", False): "A-C+F",
}
"""The terms of Haug's table for each type, where the strike is at or beyond the barrier (True) and below it."""


def barrier_mix(type_: str, strike: float, barrier: float) -> Float:
    """The coefficients of the terms A to F, the side of the barrier, and whether crossing it knocks out: (8,)."""
    text = MIXES[type_.replace("_and", ""), strike >= barrier]
    signs = dict.fromkeys("ABCDEF", 0.0)
    for before, letter in zip("+" + text, text, strict=False):
        if letter in signs:
            signs[letter] = -1.0 if before == "-" else 1.0
    side = 1.0 if type_.startswith("down") else -1.0
    return frozen(np.array([*signs.values(), side, 1.0 if "_out_" in type_ else 0.0]))
