"""The loss of a path: what is asked of it, as a function of the factors that make it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path as File
from typing import ClassVar, Literal, Self

import numpy as np

from raresim.distributions.base import Inputs
from raresim.distributions.independent import Independent
from raresim.errors import FieldError
from raresim.losses.base import Loss
from raresim.marginals.exponential import Exponential
from raresim.models.paths import bridge, quantities
from raresim.models.paths.process import Process
from raresim.numerics import arrays
from raresim.numerics.arrays import Float

Quantity = Literal[
    "end", "maximum", "minimum", "drawdown", "first_passage", "knock_in", "knock_out", "average", "n_day_loss"
]
Monitoring = Literal["discrete", "continuous"]
Construction = Literal["increments", "bridge"]
Payoff = Literal["digital", "vanilla"]
Option = Literal["call", "put"]
Average = Literal["arithmetic", "geometric"]

LARGEST = 700.0
"""Log of the largest price over the first one."""


@dataclass(frozen=True, eq=False)
class PathLoss(Loss):
    """A number that is asked of a path.

    Parameters
    ----------
    process : Process
        Makes the path.
    steps : int
        Of the path.
    dt : float
        Time of a step.
    quantity : str
        What is asked.
    continuous : bool
        Whether barriers are watched between dates too.
    bridged : bool
        Whether the normals of the steps come from a Brownian bridge.
    barrier, strike : float
        In the coordinates of the path; NaN for none.
    payoff : "digital" or "vanilla"
        Of knock-ins and knock-outs.
    call : bool
        Whether the end has to lie above the strike.
    geometric : bool
        Whether the average is a geometric one.
    days : int
        Steps of an n-day loss.
    lines : tuple of str
        What is asked, in words.
    """

    kind: ClassVar[str] = "path"

    process: Process
    steps: int
    dt: float
    quantity: Quantity
    continuous: bool
    bridged: bool
    barrier: float
    strike: float
    payoff: Payoff
    call: bool
    geometric: bool
    days: int
    lines: tuple[str, ...]

    def inputs_of(self) -> Inputs:
        """The joint law of the factors: those of the process, and an exponential for each step watched in between."""
        factors = self.process.factors(self.steps, self.dt)
        if not self.continuous or not isinstance(factors, Independent):
            return factors
        between = {f"between_{k + 1}": Exponential() for k in range(self.steps)}
        return Independent(marginals=dict(zip(factors.names, factors.laws, strict=True)) | between)

    def bind(self, inputs: Inputs) -> Self:
        wanted = self.inputs_of().dim
        if inputs.dim != wanted:
            raise FieldError("inputs", f"must have the {wanted:,} factors of the path, got {inputs.dim:,}")
        return self

    @property
    def sign(self) -> float:
        """1 where the path has to rise to the barrier, or to its maximum; -1 where it has to fall."""
        if self.quantity in ("maximum", "minimum"):
            return 1.0 if self.quantity == "maximum" else -1.0
        return 1.0 if self.barrier > 0 else -1.0

    def paths(self, x: Float) -> Float:
        """The path (n, steps) after each step, in a buffer of this thread."""
        path = arrays.scratch("path", len(x), self.steps)
        if self.bridged:
            both = arrays.scratch("path_factors", *x.shape)
            both[:, self.steps :] = x[:, self.steps :]
            both[:, : self.steps] = bridge.increments(x[:, : self.steps])
            x = both
        self.process.fill(x, self.dt, path)
        return path

    def points(self, x: Float, path: Float) -> Float:
        """What is held against a barrier after each step: the path, or its extreme within the step."""
        if not self.continuous:
            return path
        out = arrays.scratch("path_extremes", *path.shape)
        variance = self.process.bridge_variance(self.dt) or 0.0
        bridge.extremes(path, x[:, x.shape[1] - self.steps :], variance, self.sign, out)
        return out

    def __call__(self, x: Float, out: Float) -> None:
        path = self.paths(x)
        if self.quantity in ("knock_in", "knock_out"):
            self._knocked(x, path, out)
        elif self.quantity in ("maximum", "minimum"):
            quantities.farthest(self.points(x, path), self.sign, out)
            out *= self.sign
            self._valued(out)
        elif self.quantity == "first_passage":
            quantities.first_time(self.points(x, path), self.sign, abs(self.barrier), out)
            out *= self.dt
        elif self.quantity == "average":
            quantities.average(path, self.geometric, self.process.is_price, out)
            out[:] = out * self.process.first if self.process.is_price else out + self.process.first
        elif self.quantity == "end":
            out[:] = path[:, -1]
            self._valued(out)
        else:
            self._fallen(path, out)

    def _valued(self, out: Float) -> None:
        """From the coordinates of the path to a price, or to the value of the walk."""
        if self.process.is_price:
            np.exp(np.minimum(out, LARGEST), out=out)
            out *= self.process.first
        else:
            out += self.process.first

    def _fallen(self, path: Float, out: Float) -> None:
        if self.quantity == "drawdown":
            quantities.deepest_fall(path, out)
        else:
            quantities.worst_window(path, self.days, out)
        if self.process.is_price:
            np.negative(np.expm1(np.minimum(-out, LARGEST)), out=out)

    def _knocked(self, x: Float, path: Float, out: Float) -> None:
        """By how much the worse of both conditions is met, or what is paid."""
        quantities.farthest(self.points(x, path), self.sign, out)
        beyond = out - abs(self.barrier)
        if self.quantity == "knock_out":
            beyond = -beyond
        end = path[:, -1]
        if self.payoff == "digital":
            if not math.isnan(self.strike):
                np.minimum(beyond, end - self.strike if self.call else self.strike - end, out=beyond)
            out[:] = beyond
            return
        out[:] = end
        self._valued(out)
        strike = np.array([self.strike])
        self._valued(strike)
        out -= strike[0]
        if not self.call:
            np.negative(out, out=out)
        out[(beyond < 0) | (out < 0)] = 0.0

    def moments(self, inputs: Inputs) -> None:
        return None

    def files(self) -> list[File]:
        return []

    def describe(self) -> list[str]:
        return list(self.lines)
