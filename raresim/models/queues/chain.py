"""A line of exponential servers, jump by jump, from its first customer until it is full or empty."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from raresim.distributions.base import Inputs
from raresim.distributions.independent import Independent
from raresim.errors import FieldError
from raresim.losses.base import Loss
from raresim.marginals.normal import Normal
from raresim.numerics.arrays import Float
from raresim.numerics.jit import kernel

Whole = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class LargestNumber(Loss):
    """The largest number of customers in a line of servers, from one customer until it is empty or full.

    Parameters
    ----------
    rates : (d + 1,) float64
        Of arrivals, and of each server.
    capacity : int
        Customers at which a path ends.
    jumps : int
        Jumps after which a path ends in any case.

    Notes
    -----
    Factor ``k`` is a standard normal that says what jump ``k`` is: an arrival where its probability ``Phi`` is below
    that of arrivals, and so on from server to server. A server without a customer does nothing: such a jump leaves all
    as it was.
    """

    kind: ClassVar[str] = "largest_number"

    rates: Float
    capacity: int
    jumps: int

    @property
    def servers(self) -> int:
        """Their number ``d``."""
        return self.rates.size - 1

    @cached_property
    def inputs(self) -> Independent:
        """The factors."""
        return Independent(marginals={f"jump_{k + 1}": Normal() for k in range(self.jumps)})

    @cached_property
    def p(self) -> Float:
        """Probabilities of the jumps (d + 1,)."""
        return np.asarray(self.rates / self.rates.sum())

    @property
    def gamma(self) -> float:
        """``log(mu / lambda)`` of the slowest server."""
        return math.log(float(self.rates[1:].min() / self.rates[0]))

    @cached_property
    def between(self) -> Float:
        """Standard normals (d,) between two kinds of jumps."""
        from scipy import special

        return np.asarray(special.ndtri(np.cumsum(self.p)[:-1]))

    def bind(self, inputs: Inputs) -> Self:
        if inputs.dim != self.jumps:
            raise FieldError("inputs", f"must have the {self.jumps:,} jumps of the queue, got {inputs.dim:,}")
        return self

    def __call__(self, x: Float, out: Float) -> None:
        out[:] = self.at_most(x).sum(axis=1)

    def components(self, x: Float) -> Float:
        return self.at_most(x)

    def at_most(self, x: Float) -> Float:
        """Customers at each server where most are in the line for the first time, (n, d), of factors ``x`` (n, k)."""
        most = np.empty((len(x), self.servers), order="F")
        largest_of(x, self.between, self.capacity, most)
        return most

    @property
    def component_names(self) -> tuple[str, ...]:
        return tuple(f"server_{k + 1}" for k in range(self.servers))

    def moments(self, inputs: Inputs) -> None:
        return None

    def files(self) -> list[Path]:
        return []

    @property
    def log_longer(self) -> float:
        """Log of about how likely a path is to be neither empty nor full after all jumps, in nats.

        ``jumps log(1 - (sqrt(mu) - sqrt(lambda))^2 / sum)`` with the slowest server ``mu``: the decay of an
        M/M/1 queue.
        """
        gap = math.sqrt(float(self.rates[1:].min())) - math.sqrt(float(self.rates[0]))
        return self.jumps * math.log1p(-(gap**2) / float(self.rates.sum()))

    def describe(self) -> list[str]:
        longer = self.log_longer / math.log(10.0)
        return [
            f"the largest number of customers until there are {self.capacity} or none, in at most {self.jumps:,} jumps "
            f"(longer with a probability of about 10^{longer:.0f})"
        ]


@kernel
def largest_of(x: Float, between: Float, capacity: int, most: Float) -> None:
    """Customers at each server where most are in the line for the first time.

    Parameters
    ----------
    x : (n, k) float64
        A standard normal for each jump.
    between : (d,) float64
        Normals between an arrival and a service of the first server, and so on.
    capacity : int
        Customers at which a path ends.
    most : (n, d) float64
        Overwritten.
    """
    d = between.shape[0]
    at = np.empty(d, np.int64)
    for i in range(x.shape[0]):
        for j in range(d):
            at[j] = 0
            most[i, j] = 0.0
        at[0], total, top, k = 1, 1, 1, 0
        most[i, 0] = 1.0
        while 0 < total < capacity and k < x.shape[1]:
            j = 0
            while j < d and x[i, k] > between[j]:
                j += 1
            k += 1
            if j == 0:
                at[0] += 1
                total += 1
                if total > top:
                    top = total
                    for m in range(d):
                        most[i, m] = at[m]
            elif at[j - 1] > 0:
                at[j - 1] -= 1
                if j < d:
                    at[j] += 1
                else:
                    total -= 1
