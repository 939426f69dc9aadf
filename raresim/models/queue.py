"""Queues: how long a customer waits, and how full a line of servers becomes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from raresim.arguments import checks
from raresim.distributions.base import Inputs
from raresim.errors import FieldError
from raresim.losses.base import Loss
from raresim.marginals.base import Marginal
from raresim.marginals.exponential import Exponential
from raresim.marginals.twist import Twistable
from raresim.methods.scheme import Scheme
from raresim.models.base import Model
from raresim.models.controls import Control
from raresim.models.queues import exact
from raresim.models.queues.chain import LargestNumber
from raresim.models.queues.chain_scheme import Fill
from raresim.models.queues.walk import WalkMaximum
from raresim.models.queues.walk_scheme import BigStep, WalkTwist
from raresim.models.ruin import MOST_STEPS, Ruin
from raresim.registry import member

if TYPE_CHECKING:
    from raresim.record.records import Estimate

STATES = 5_000
"""States of a line of two servers up to which its equations are solved for a control."""

LONGER = 1e-6
"""Probability of a path that is longer than allowed from which it is said. With 5e-3, for rates .1, .7 and .2 and 300
jumps, the probability of 20 customers comes out 5 % too small; with 3e-8 and 1,000 jumps nothing is seen."""


@member("model")
@dataclass(frozen=True, kw_only=True, eq=False)
class Queue(Model):
    """A queue: the waiting time of a customer, or the largest number of customers in a line of servers.

    *Waiting time*, with ``service``: one server, first come, first served. With ``arrival_rate`` the loss is the
    waiting time in an M/G/1 queue in its steady state; with ``interarrival`` it is the waiting time of customer number
    ``customers`` of a GI/G/1 queue that begins empty.

    *Largest number*, with ``service_rates``: Poisson arrivals pass one exponential server after the other. The loss is
    the largest number of customers in all, from the first arrival until the line is empty again or full.

    Parameters
    ----------
    service : Marginal, optional
        The law of a service time, not negative.
    arrival_rate : float, optional
        Customers in a unit of time, by a Poisson process.
    interarrival : Marginal, optional
        The law of the time between two arrivals, not negative.
    customers : int
        Number of the customer whose waiting time is the loss, where ``interarrival`` is given.
    service_rates : sequence of float, optional
        Service rates of exponential servers, in the order in which customers pass the servers.
    capacity : int, optional
        Customers in all at which the line is full; with ``service_rates``.
    jumps : int
        Arrivals and services after which a path ends in any case; with ``service_rates``.

    Raises
    ------
    FieldError
        When arguments are out of range or do not go together, and when customers arrive at least as fast as they are
        served.

    Notes
    -----
    The waiting time is the maximum of a walk of services less times between arrivals, counted backwards from the
    customer ([1]_ ch. III): see `raresim.models.ruin`.

    References
    ----------
    .. [1] Asmussen, *Applied probability and queues*, 2nd ed., 2003.
    """

    kind: ClassVar[str] = "queue"

    service: Marginal | None = None
    arrival_rate: float | None = None
    interarrival: Marginal | None = None
    customers: int = 1000
    service_rates: Sequence[float] | None = None
    capacity: int | None = None
    jumps: int = 1000

    def __post_init__(self) -> None:
        if (self.service is None) == (self.service_rates is None):
            raise FieldError("service", "exactly one of service and service_rates must be given")
        if self.arrival_rate is not None:
            object.__setattr__(self, "arrival_rate", checks.positive("arrival_rate", self.arrival_rate))
        if (self.arrival_rate is None) == (self.interarrival is None):
            raise FieldError("arrival_rate", "exactly one of arrival_rate and interarrival must be given")
        if self.service_rates is not None:
            self._check_line()
            return
        if self.capacity is not None:
            raise FieldError("capacity", "must be left out beside service: it is for service_rates")
        for name, law in (("service", self.service), ("interarrival", self.interarrival)):
            if law is not None and not law.support[0] >= 0:
                raise FieldError(name, f"must be a law of times that are not negative, got {law.describe()}")
            if law is not None and law.discrete and getattr(law, "atoms", None) is None:
                raise FieldError(name, f"must have a density or a table of its values, got {law.describe()}")
        if self.service is not None and self.interarrival is None and self.service.discrete:
            raise FieldError(
                "service",
                f"must have a density beside arrival_rate, got {self.service.describe()}; give "
                "interarrival: {kind: exponential, scale: ...}, for the waiting time of a customer",
            )
        object.__setattr__(self, "customers", checks.dimension("customers", self.customers, 2, MOST_STEPS))
        if not self.load < 1.0:
            raise FieldError(
                "service",
                f"must take less time than passes between arrivals: waiting without end is certain, got rho = "
                f"{self.load:g}",
            )

    def _check_line(self) -> None:
        rates = checks.positive_vector("service_rates", list(self.service_rates or ()))
        if self.arrival_rate is None:
            raise FieldError("interarrival", "must be left out beside service_rates: arrivals are Poisson")
        if self.capacity is None:
            raise FieldError("capacity", "is required beside service_rates: the number at which the line is full")
        object.__setattr__(self, "service_rates", tuple(rates.tolist()))
        object.__setattr__(self, "capacity", checks.dimension("capacity", self.capacity, 2, 10_000))
        object.__setattr__(self, "jumps", checks.dimension("jumps", self.jumps, self.capacity))
        if not self.load < 1.0:
            raise FieldError(
                "arrival_rate",
                f"must be below every service rate: a queue without end is certain, got rho = {self.load:g}",
            )

    @property
    def load(self) -> float:
        """``rho``: the share of time in which the server, or the slowest of them, works; 1 and more without end."""
        if self.service_rates is not None:
            return float(self.arrival_rate or 0.0) / min(self.service_rates)
        mean = self.service.moments().mean if self.service is not None else math.nan
        if self.arrival_rate is not None:
            return self.arrival_rate * mean
        gap = self.interarrival.moments().mean if self.interarrival is not None else math.nan
        return mean / gap if gap > 0 else math.inf

    @cached_property
    def steady(self) -> Ruin | None:
        """The model whose maximum has the law of the waiting time of an M/G/1 queue; None for another queue."""
        if self.service is None or self.arrival_rate is None:
            return None
        return Ruin(claims=self.service, arrival_rate=self.arrival_rate, premium_rate=1.0)

    @cached_property
    def loss(self) -> Loss:
        if self.service_rates is not None:
            rates = np.array([self.arrival_rate, *self.service_rates], dtype=np.float64)
            return LargestNumber(rates, self.capacity or 0, self.jumps)
        if self.steady is not None:
            return self.steady.loss
        return self.walk

    @cached_property
    def walk(self) -> WalkMaximum:
        """The walk backwards from a customer of a GI/G/1 queue."""
        if self.service is None or self.interarrival is None:
            raise TypeError("a queue has a walk where service and interarrival are given")
        names = ("service", "interarrival", "interarrivals")
        return WalkMaximum(self.service, self.interarrival, 1.0, self.customers - 1, math.inf, names)

    @property
    def inputs(self) -> Inputs:
        if self.steady is not None:
            return self.steady.inputs
        return self.loss.inputs if isinstance(self.loss, LargestNumber) else self.walk.inputs

    @property
    def scheme(self) -> Scheme:
        if isinstance(self.loss, LargestNumber):
            return Fill(self.loss)
        if self.steady is not None:
            return self.steady.scheme
        return BigStep(self.walk) if Twistable(self.walk.added).is_heavy else WalkTwist(self.walk)

    def quantile(self, tail: float) -> float | None:
        return None if self.steady is None else self.steady.quantile(tail)

    def controls(self, estimates: Sequence[Estimate], preset: str | None) -> tuple[Control, ...]:
        asked = [e for e in estimates if e.kind == "probability" and e.direction == "above" and e.threshold is not None]
        if self.steady is not None:
            return self.steady.controls(asked, preset)
        return tuple(control for e in asked for control in self._controls(e, float(e.threshold or 0.0)))

    def _controls(self, e: Estimate, x: float) -> list[Control]:
        """What is known of one probability."""
        loss = self.loss
        if isinstance(loss, LargestNumber):
            many = math.ceil(x)
            rates = self.service_rates or ()
            known = len(rates) == 1 or (len(rates) == 2 and many * (many + 1) / 2 <= STATES)
            if not known or not 1 < many <= loss.capacity:
                return []
            value = exact.largest_number(float(loss.rates[0]), tuple(rates), many)
            assumes = "paths as long as they may be"
            return [Control("equations of the first step", e.label, value, e.value, assumes, 1e-3)]
        gamma = self.walk.exponents.adjustment
        if gamma is None or not x > 0:
            return []
        found = [Control("Kingman's bound", e.label, math.exp(-gamma * x), e.value, "nothing; it is an upper bound")]
        law = self.walk.added
        if isinstance(law, Exponential) and law.loc == 0:
            value = (1.0 - gamma * law.scale) * math.exp(-gamma * x)
            assumes = "the steady state, of which the customer's is the limit"
            found.append(Control("GI/M/1", e.label, value, e.value, assumes))
        return found

    def notes(self) -> list[str]:
        if isinstance(self.loss, LargestNumber):
            if self.loss.log_longer < math.log(LONGER):
                return []
            return [
                f"a path is longer than {self.jumps:,} jumps with a probability of about "
                f"{math.exp(self.loss.log_longer):.1g}; it is cut off there and counts with its largest number so far: "
                "raise jumps"
            ]
        return [] if self.steady is None else self.steady.notes()

    def files(self) -> list[Path]:
        return []

    def describe(self) -> list[str]:
        share = f"rho = {self.load:.4g}"
        if self.service_rates is not None:
            rates = ", ".join(f"{rate:g}" for rate in self.service_rates)
            return [f"a line of {len(self.service_rates)} exponential servers with the rates {rates}; {share}"]
        service = "" if self.service is None else self.service.describe()
        if self.arrival_rate is not None:
            return [
                f"M/G/1 queue: waiting time in the steady state, arrival rate {self.arrival_rate:g}, services "
                f"{service}; {share}"
            ]
        between = "" if self.interarrival is None else self.interarrival.describe()
        return [
            f"GI/G/1 queue: waiting time of customer {self.customers:,}, times between arrivals {between}, services "
            f"{service}; {share}"
        ]

    @staticmethod
    def examples() -> list[Queue]:
        """Members for the conformance tests."""
        return [
            Queue(service=Exponential(), arrival_rate=0.5),
            Queue(service=Exponential(), interarrival=Exponential(scale=2.0), customers=40),
            Queue(arrival_rate=0.1, service_rates=[0.7, 0.2], capacity=20, jumps=200),
        ]
