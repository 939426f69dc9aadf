"""The maximum of a random walk over a path of a stated length: claims less premiums, or services less arrivals."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path as File
from typing import ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from raresim.distributions.base import Inputs
from raresim.distributions.independent import Independent
from raresim.errors import FieldError
from raresim.losses.base import Loss
from raresim.marginals.base import Marginal
from raresim.marginals.twist import Twistable
from raresim.models.queues.lundberg import Exponents
from raresim.numerics.arrays import Float


class Sums(NamedTuple):
    """Along the paths of ``n`` rows: what has been added, the time, and the walk after each of ``steps`` steps."""

    added: Float
    time: Float
    walk: Float


@dataclass(frozen=True, eq=False)
class WalkMaximum(Loss):
    """The largest value, at least 0, of a walk with the steps ``X_k - c A_k``.

    Parameters
    ----------
    added, gaps : Marginal
        The laws of ``X``, what a step adds, and of ``A``, the time before it; neither is negative.
    rate : float
        What is taken away in a unit of time, ``c``.
    steps : int
        Of a path.
    horizon : float
        The time after which nothing counts; infinite for none.
    names : tuple of str
        What ``X``, ``A`` and ``c A`` are called.

    Notes
    -----
    The factors are ``X_1 .. X_m`` and ``A_1 .. A_m``, independent of each other.
    """

    kind: ClassVar[str] = "walk_maximum"

    added: Marginal
    gaps: Marginal
    rate: float
    steps: int
    horizon: float
    names: tuple[str, str, str]

    @cached_property
    def inputs(self) -> Independent:
        """The factors."""
        laws = {f"{self.names[0]}_{k + 1}": self.added for k in range(self.steps)}
        return Independent(marginals=laws | {f"{self.names[1]}_{k + 1}": self.gaps for k in range(self.steps)})

    @cached_property
    def exponents(self) -> Exponents:
        """Its twists."""
        return Exponents(Twistable(self.added), Twistable(self.gaps), self.rate)

    def bind(self, inputs: Inputs) -> Self:
        if inputs.dim != 2 * self.steps:
            raise FieldError("inputs", f"must have the {2 * self.steps:,} factors of the walk, got {inputs.dim:,}")
        return self

    def sums(self, x: Float) -> Sums:
        """Of rows of factors ``x`` (n, d), (n, steps) each."""
        added, time = np.cumsum(x[:, : self.steps], axis=1), np.cumsum(x[:, self.steps :], axis=1)
        return Sums(added, time, added - self.rate * time)

    def counted(self, sums: Sums) -> Float:
        """The walk (n, steps) with ``-inf`` after the horizon."""
        return np.where(sums.time <= self.horizon, sums.walk, -np.inf) if math.isfinite(self.horizon) else sums.walk

    def __call__(self, x: Float, out: Float) -> None:
        np.maximum(self.counted(self.sums(x)).max(axis=1), 0.0, out=out)

    def components(self, x: Float) -> Float:
        sums = self.sums(x)
        counted = self.counted(sums)
        top = counted.argmax(axis=1)[:, None]
        rises = np.take_along_axis(counted, top, axis=1) > 0
        added = np.where(rises, np.take_along_axis(sums.added, top, axis=1), 0.0)
        taken = np.where(rises, np.take_along_axis(sums.time, top, axis=1), 0.0)
        return np.asfortranarray(np.hstack([added, -self.rate * taken]))

    @property
    def component_names(self) -> tuple[str, ...]:
        return (f"{self.names[0]}s", self.names[2])

    def stops(self, sums: Sums, level: float) -> NDArray[np.intp]:
        """The step (n,) at which each path reaches ``level`` or passes the horizon; the last one if it does neither."""
        done = (sums.walk >= level) | (sums.time > self.horizon)
        done[:, -1] = True
        return np.asarray(done.argmax(axis=1))

    def moments(self, inputs: Inputs) -> None:
        return None

    def files(self) -> list[File]:
        return []

    def describe(self) -> list[str]:
        until = f" up to time {self.horizon:g}" if math.isfinite(self.horizon) else ""
        return [f"the largest value of a walk of {self.steps:,} steps{until}, at least 0"]
